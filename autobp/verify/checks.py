"""Checks of one primitive's rules on its samples. Each check returns the largest error, or raises
AssertionError if a rule is wrong.

Rules are compared with numerical derivatives: by the complex step where the function is analytic, which
is exact up to rounding, and by central differences elsewhere. The two modes are compared by the adjoint
test ⟨v, Ju⟩ = ⟨Jᵀv, u⟩, which is also exact up to rounding, and holds at kinks too.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from itertools import combinations
from typing import Any

import numpy as np

from autobp.batching import vmap
from autobp.forward import jvp, linearize
from autobp.primitive import Each, Primitive
from autobp.reverse import vjp
from autobp.rules import batching
from autobp.tensor import Tensor
from autobp.verify.samples import Record, Sample, draw, generator

EXACT = 1e-12  # a difference by rounding alone
DIFFERENCE = 1e-8  # the error of central differences
ANALYTIC = 1e-6  # how closely differences show that the complex step is right
SINGLE = 1e-4  # float32 against float64

Function = Callable[..., Any]


# ── comparing ─────────────────────────────────────────────────────────────────────────────────────


def plain(x: Any) -> np.ndarray:
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


def close(found: Any, expected: Any, rtol: float, what: str) -> float:
    """Demand equal shapes and equal elements, up to `rtol` of the largest; inf and nan must be equal.
    Returns the largest relative error."""
    found, expected = plain(found), plain(expected)
    if found.shape != expected.shape:
        raise AssertionError(f"{what}: shape {found.shape}, not {expected.shape}")
    finite = np.isfinite(expected)
    scale = max(1.0, float(np.max(np.abs(expected[finite]), initial=0.0)))
    gap = float(np.max(np.abs(found[finite] - expected[finite]), initial=0.0)) / scale
    if not (gap <= rtol and _same(found[~finite], expected[~finite])):
        raise AssertionError(f"{what}: {found.tolist()}, not {expected.tolist()}")
    return gap


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def adjoint(v: Any, ju: Any, jtv: Sequence[Any], u: Sequence[Any], rtol: float, what: str) -> float:
    """Demand ⟨v, Ju⟩ = ⟨Jᵀv, u⟩. Returns the difference, relative to the sum of the products."""
    left = [plain(a) * plain(b) for a, b in zip(v, ju, strict=True)]
    right = [plain(a) * plain(b) for a, b in zip(jtv, u, strict=True)]
    forward, reverse = (sum(float(np.sum(p)) for p in parts) for parts in (left, right))
    if not np.isfinite(forward):
        if np.isfinite(reverse):
            raise AssertionError(f"{what}: forward {forward}, reverse {reverse}")
        return 0.0
    scale = sum(float(np.sum(np.abs(p))) for p in (*left, *right))
    gap = abs(forward - reverse) / max(1.0, scale)
    if not gap <= rtol:
        raise AssertionError(f"{what}: ⟨v, Ju⟩ = {forward!r}, ⟨Jᵀv, u⟩ = {reverse!r}")
    return gap


# ── a primitive at a sample ───────────────────────────────────────────────────────────────────────


def variables(sample: Sample) -> list[int]:
    """The arguments that derivatives are taken by: those of floating point."""
    return [i for i, a in enumerate(sample.args) if np.asarray(a).dtype.kind == "f"]


def subsets(sample: Sample) -> list[tuple[int, ...]]:
    slots = variables(sample)
    return [s for n in range(len(slots), 0, -1) for s in combinations(slots, n)]


def bound(primitive: Function, sample: Sample, chosen: Sequence[int]) -> Function:
    """The function of some of the arguments, with the others fixed."""

    def function(*xs: Any) -> Any:
        args = list(sample.args)
        for i, x in zip(chosen, xs, strict=True):
            args[i] = x
        return primitive(*args, **sample.params)

    return function


def picked(sample: Sample, chosen: Sequence[int]) -> list[Any]:
    return [sample.args[i] for i in chosen]


def directions(rng: np.random.Generator, like: Sequence[Any], symmetric: bool = False) -> list[Any]:
    """A random direction for each. No component is small, so that an error in any of them shows."""
    found = [draw(rng, np.shape(x), ((-1.5, -0.5), (0.5, 1.5))) for x in like]
    return [(u + u.mT) / 2 for u in found] if symmetric else found


def complex_step(function: Function, xs: Sequence[Any], u: Sequence[Any]) -> Any:
    """Im f(x + ihu) / h: it has no cancellation, so h can be arbitrarily small."""
    h = 1e-20
    return np.imag(function(*(x + 1j * h * d for x, d in zip(xs, u, strict=True)))) / h


def difference(function: Function, xs: Sequence[Any], u: Sequence[Any]) -> list[np.ndarray]:
    """Central differences with two step sizes, combined to an error of order h⁴."""
    h = 1e-3

    def at(step: float) -> list[np.ndarray]:
        result = function(*(x + step * d for x, d in zip(xs, u, strict=True)))
        return [plain(y) for y in (result if isinstance(result, tuple) else (result,))]

    return [
        (8 * (b - a) - (d - c)) / (12 * h)
        for a, b, c, d in zip(at(-h), at(h), at(-2 * h), at(2 * h), strict=True)
    ]


def numerical(function: Function, xs: Sequence[Any], u: Sequence[Any]) -> tuple[Any, float]:
    """A directional derivative, and its accuracy. The complex step is taken where it agrees with
    differences, which it does where the function takes complex numbers and is analytic in them."""
    expected = difference(function, xs, u)[0]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            exact = complex_step(function, xs, u)
        close(exact, expected, ANALYTIC, "the complex step")
    except (TypeError, ValueError, AssertionError, np.exceptions.ComplexWarning):
        return expected, DIFFERENCE
    return exact, EXACT


def places(primitive: Primitive, record: Record, kinks: bool) -> Iterator[tuple[Sample, Any, str]]:
    """The samples, each with a random generator and a description for messages."""
    rng = generator(primitive.name + " directions")
    for s in (*record.samples, *(record.kinks if kinks else ())):
        shapes = ", ".join(str(np.shape(a)) for a in s.args)
        given = "".join(f", {k}={v!r}" for k, v in s.params.items())
        yield s, rng, f"{primitive.name}({shapes}{given})"


# ── the checks ────────────────────────────────────────────────────────────────────────────────────

Check = Callable[[Primitive, Record], float]


def measured(errors: Callable[[Primitive, Record], Iterator[float]]) -> Check:
    """Make a check from a generator of errors: it returns the largest."""

    @wraps(errors)
    def check(primitive: Primitive, record: Record) -> float:
        return max(errors(primitive, record), default=0.0)

    return check


def check_complete(primitive: Primitive, record: Record) -> float:
    """Every argument has a rule in each mode. A rule is None only if the derivative is zero."""
    takes_tangents = type(primitive).push is not Primitive.push  # linear: the function itself
    for s, rng, what in places(primitive, record, kinks=False):
        for mode in ("forward", "reverse"):
            rules = getattr(primitive, mode)
            if isinstance(rules, Each) or (mode == "forward" and takes_tangents):
                continue
            if rules is None or len(rules) != len(s.args):
                n = 0 if rules is None else len(rules)
                raise AssertionError(
                    f"{what}: {n} {mode} rules for {len(s.args)} arguments; each argument needs one"
                )
            for i in variables(s):
                if rules[i] is None:
                    x = picked(s, [i])
                    slope = difference(
                        bound(primitive.function, s, [i]), x, directions(rng, x, record.symmetric)
                    )
                    if np.any(slope[0]):
                        raise AssertionError(
                            f"{what}: no {mode} rule for argument {i}, whose derivative is not zero"
                        )
    return 0.0


@measured
def check_tangents(primitive: Primitive, record: Record) -> Iterator[float]:
    """Tangents equal numerical derivatives, for every subset of the arguments."""
    for s, rng, what in places(primitive, record, kinks=False):
        for chosen in subsets(s):
            x = picked(s, chosen)
            u = directions(rng, x, record.symmetric)
            _, found = jvp(bound(primitive, s, chosen), x, u)
            expected, rtol = numerical(bound(primitive.function, s, chosen), x, u)
            yield close(found, expected, rtol, f"{what}: tangent by {chosen}")


@measured
def check_cotangents(primitive: Primitive, record: Record) -> Iterator[float]:
    """Cotangents equal numerical derivatives along a random direction."""
    for s, rng, what in places(primitive, record, kinks=False):
        for chosen in subsets(s):
            x = picked(s, chosen)
            u = directions(rng, x, record.symmetric)
            y, pullback = vjp(bound(primitive, s, chosen), *x)
            (v,) = directions(rng, [y])
            expected, rtol = numerical(bound(primitive.function, s, chosen), x, u)
            yield adjoint([v], [expected], pullback(v), u, rtol, f"{what}: cotangents by {chosen}")


@measured
def check_adjoints(primitive: Primitive, record: Record) -> Iterator[float]:
    """Forward and reverse mode are each other's transposes, at kinks too."""
    for s, rng, what in places(primitive, record, kinks=True):
        for chosen in subsets(s):
            x, function = picked(s, chosen), bound(primitive, s, chosen)
            u = directions(rng, x)
            y, tangent = jvp(function, x, u)
            yield close(
                linearize(function, *x)[1](*u), tangent, EXACT, f"{what}: linearize against jvp"
            )
            again, pullback = vjp(function, *x)
            (v,) = directions(rng, [y])
            cotangents = pullback(v)
            yield close(again, y, EXACT, f"{what}: value")
            for a, c in zip(x, cotangents, strict=True):
                if np.shape(c) != np.shape(a):
                    raise AssertionError(f"{what}: cotangent {np.shape(c)} of {np.shape(a)}")
            rtol = EXACT if np.result_type(y) == np.float64 else SINGLE
            yield adjoint([v], [tangent], cotangents, u, rtol, f"{what} by {chosen}")


@measured
def check_kinks(primitive: Primitive, record: Record) -> Iterator[float]:
    """The derivative at a kink is the convention that the record states."""
    for s in record.kinks:
        chosen = variables(s)
        y, pullback = vjp(bound(primitive, s, chosen), *picked(s, chosen))
        for i, c, to in zip(chosen, pullback(np.ones(np.shape(y))), s.gradients or (), strict=True):
            yield close(
                c, to, EXACT, f"{primitive.name} at the kink {s.args}, {s.params}: argument {i}"
            )
        if s.flat:
            f, point = bound(primitive, s, chosen), picked(s, chosen)
            slopes = lambda *xs, f=f, y=y: vjp(f, *xs)[1](np.ones(np.shape(y)))
            _, curvature = vjp(slopes, *point)
            for c in curvature(tuple(np.ones(np.shape(x)) for x in point)):
                yield close(
                    c, np.zeros(np.shape(c)), EXACT, f"{primitive.name}: second order at a kink"
                )


def check_undefined(primitive: Primitive, record: Record) -> float:
    """Where there is no derivative, taking it raises an error in both modes."""
    rng = generator(primitive.name + " undefined")
    for s in record.undefined:
        x, function = picked(s, variables(s)), bound(primitive, s, variables(s))
        y, pullback = vjp(function, *x)
        u, v = directions(rng, x), directions(rng, [y])
        for name, derivative in (
            ("jvp", lambda f=function, x=x, u=u: jvp(f, x, u)),
            ("vjp", lambda p=pullback, v=v: p(v[0])),
        ):
            try:
                derivative()
            except np.linalg.LinAlgError:
                continue
            raise AssertionError(f"{primitive.name} at {s.args}: {name} raises no error")
    return 0.0


@measured
def check_second_order(primitive: Primitive, record: Record) -> Iterator[float]:
    """Second derivatives are right, in both modes of both modes.

    A derivative is differentiated as a function of the point and of its tangents or cotangents, so
    that rules are differentiated by all of their arguments.
    """
    for s, rng, what in places(primitive, record, kinks=False):
        chosen = variables(s)
        x, function, n = picked(s, chosen), bound(primitive, s, chosen), len(chosen)

        def tangent(*a: Any, f: Function = function, n: int = n) -> tuple[Any, ...]:
            return (jvp(f, a[:n], a[n:])[1],)

        def cotangents(*a: Any, f: Function = function, n: int = n) -> tuple[Any, ...]:
            return vjp(f, *a[:n])[1](a[n])

        u, v = directions(rng, x), directions(rng, [jvp(function, x, x)[0]])
        for name, derivative, given in (("jvp", tangent, u), ("vjp", cotangents, v)):
            at = (*x, *given)
            along = (*directions(rng, x, record.symmetric), *directions(rng, given))
            once = derivative(*at)
            inside, slopes = jvp(derivative, at, along)
            _, pullback = vjp(derivative, *at)
            weights = directions(rng, once)
            back = pullback(tuple(weights))
            for a, b in zip(inside, once, strict=True):
                yield close(a, b, EXACT, f"{what}: {name} inside jvp against {name}")
            for a, b in zip(slopes, difference(derivative, at, along), strict=True):
                yield close(a, b, 10 * DIFFERENCE, f"{what}: jvp of {name}")
            yield adjoint(weights, slopes, back, along, EXACT, f"{what}: vjp of {name}")


@measured
def check_values(primitive: Primitive, record: Record) -> Iterator[float]:
    """The value equals NumPy's, computed in another way, also on Tensors and floats."""
    for s, _, what in places(primitive, record, kinks=False):
        value = primitive.function(*s.args, **s.params)
        tensors = (Tensor(a) if i in variables(s) else a for i, a in enumerate(s.args))
        yield close(primitive(*tensors, **s.params), value, EXACT, f"{what}: value of Tensors")
        numbers = (float(a) if isinstance(a, np.float64) else a for a in s.args)
        yield close(primitive(*numbers, **s.params), value, EXACT, f"{what}: value of floats")
        if record.reference is not None:
            expected = record.reference(*s.args, **s.params)
            if expected is not None:
                yield close(value, expected, EXACT, f"{what}: value")


def rules(primitive: Primitive, sample: Sample) -> Iterator[tuple[str, Any]]:
    """The rules for the arguments of a sample."""
    for mode in ("forward", "reverse"):
        row = getattr(primitive, mode)
        for i in variables(sample):
            if row is not None and row[i] is not None:
                yield f"{mode}[{i}]", row[i]


@measured
def check_forms(primitive: Primitive, record: Record) -> Iterator[float]:
    """A rule gives the same on arrays, Tensors and Python floats, and changes none of them."""
    for s, rng, what in places(primitive, record, kinks=True):
        slots = variables(s)
        floats = [np.float64(a) if np.ndim(a) == 0 else a for a in s.args]
        args = [a if i in slots else s.args[i] for i, a in enumerate(floats)]
        out = np.asarray(primitive.function(*args, **s.params))[()]
        for name, rule in rules(primitive, s):
            primal = out if name.startswith("reverse") else args[int(name[8:-1])]
            (t,) = directions(rng, [primal])
            given = copy.deepcopy((t, out, *args)), copy.deepcopy(s.params)
            found = rule(t, out, *args, **s.params)
            untouched = all(map(_same_bits, given[0], (t, out, *args)))
            if not untouched or repr(given[1]) != repr(s.params):
                raise AssertionError(f"{what}: {name} changes its arguments")
            wrapped = [Tensor(a) if i in slots else a for i, a in enumerate(args)]
            on_tensors = rule(Tensor(t), Tensor(out), *wrapped, **s.params)
            yield close(on_tensors, found, EXACT, f"{what}: {name} on Tensors against arrays")
            if primitive.form == "elementwise" and not any(map(np.ndim, (t, out, *args))):
                numbers = [a if np.asarray(a).dtype == bool else float(a) for a in (t, out, *args)]
                try:
                    on_floats = rule(*numbers, **s.params)
                except ArithmeticError:  # where Python raises, the engine uses NumPy
                    continue
                yield close(on_floats, found, EXACT, f"{what}: {name} on floats against arrays")


def _same_bits(a: Any, b: Any) -> bool:
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


@measured
def check_single(primitive: Primitive, record: Record) -> Iterator[float]:
    """float32 stays float32, alone and mixed with float64, and is accurate to float32."""
    for s, rng, what in places(primitive, record, kinks=True):
        slots = variables(s)
        function = bound(primitive, s, slots)
        singles = [np.asarray(a, np.float32)[()] for a in picked(s, slots)]
        doubles = [np.asarray(a, np.float64)[()] for a in singles]
        u = [np.asarray(d, np.float32)[()] for d in directions(rng, singles)]
        y, tangent = jvp(function, singles, u)
        (v,) = (np.asarray(d, np.float32)[()] for d in directions(rng, [y]))
        cotangents = vjp(function, *singles)[1](v)
        wide, wide_tangent = jvp(function, doubles, [d.astype(np.float64) for d in u])
        wide_cotangents = vjp(function, *doubles)[1](np.asarray(v, np.float64)[()])
        kept = s.params.get("dtype", np.dtype(np.float32))
        for name, found, expected, dtype in (
            ("value", y, wide, kept),
            ("tangent", tangent, wide_tangent, kept),
            *(("cotangent", c, w, np.float32) for c, w in zip(cotangents, wide_cotangents)),
        ):
            if np.result_type(found) != dtype:
                raise AssertionError(f"{what}: {name} is {np.result_type(found)}, not {dtype}")
            yield close(found, expected, SINGLE, f"{what}: {name} in float32")
        for i in range(len(slots) if len(slots) > 1 else 0):
            mixed = [a if k == i else b for k, (a, b) in enumerate(zip(singles, doubles))]
            y, pullback = vjp(function, *mixed)
            for a, c in zip(mixed, pullback(np.ones(np.shape(y)))):
                if np.result_type(c) != np.result_type(a):
                    raise AssertionError(
                        f"{what}: the cotangent of {np.result_type(a)} is {np.result_type(c)}"
                    )


#: So many examples: a number that is no size of an axis in the samples.
EXAMPLES = 4


def _examples(a: Any) -> np.ndarray:
    """Examples that differ a little; of truth values altogether, of an index in its order."""
    if np.asarray(a).dtype.kind in "iu":
        return np.stack([np.roll(a, i) for i in range(EXAMPLES)])
    if np.asarray(a).dtype.kind == "b":
        return np.stack([a if i % 2 else ~a for i in range(EXAMPLES)])
    return np.stack([np.asarray(a) * (1 + 0.01 * i) for i in range(EXAMPLES)])


def batchings(n: int) -> Iterator[list[bool]]:
    """Which of n arguments have the examples: each alone, and all together."""
    if n > 1:
        for i in range(n):
            yield [k == i for k in range(n)]
    yield [True] * n


@measured
def check_batches(primitive: Primitive, record: Record) -> Iterator[float]:
    """What `vmap` computes is what a loop over the examples computes: values, tangents and cotangents
    of both orders, with the derivative inside and outside."""
    if batching.of(primitive.facts) is None:
        return  # vmap refuses it
    for s, rng, what in places(primitive, record, kinks=True):
        given, function = _with_index(primitive, s)
        for mapped in batchings(len(given)):
            args = [_examples(a) if m else a for a, m in zip(given, mapped, strict=True)]
            axes = tuple(0 if m else None for m in mapped)
            twice = all(s is not k for k in record.kinks)
            about = f"{what}: a batch of {axes}"
            yield from _batch_errors(function, args, axes, variables(s), rng, twice, about)
            if len(variables(s)) == len(args):
                yield from _single_errors(function, args, axes, variables(s), about)


def _with_index(primitive: Primitive, sample: Sample) -> tuple[list[Any], Function]:
    """The arguments of a sample and the arrays in its index, and the function of them all."""
    index = sample.params.get("index", ())
    parts = list(index) if isinstance(index, tuple) else [index]
    where = [i for i, p in enumerate(parts) if np.asarray(p).dtype.kind == "i" and np.ndim(p)]
    n = len(sample.args)

    def function(*args: Any) -> Any:
        for i, p in zip(where, args[n:], strict=True):
            parts[i] = p
        changed = {"index": tuple(parts) if isinstance(index, tuple) else parts[0]} if where else {}
        return primitive(*args[:n], **{**sample.params, **changed})

    return [*sample.args, *(np.asarray(parts[i]) for i in where)], function


def _batch_errors(
    function: Function,
    args: list[Any],
    axes: tuple[Any, ...],
    chosen: list[int],
    rng: np.random.Generator,
    twice: bool,
    what: str,
) -> Iterator[float]:
    def row(xs: Sequence[Any], axes: Sequence[Any], i: int) -> list[Any]:
        return [x if axis is None else x[i] for x, axis in zip(xs, axes, strict=True)]

    def loop(f: Function, xs: Sequence[Any], axes: Sequence[Any]) -> list[np.ndarray]:
        found = [f(*row(xs, axes, i)) for i in range(EXAMPLES)]
        rows = zip(*(y if isinstance(y, tuple) else (y,) for y in found), strict=True)
        return [np.stack([plain(y) for y in column]) for column in rows]

    def compared(found: Any, expected: Any, name: str) -> float:
        pairs = zip(found if isinstance(found, tuple) else (found,), expected, strict=True)
        return max((close(y, to, EXACT, f"{what}: {name}") for y, to in pairs), default=0.0)

    (values,) = loop(function, args, axes)
    yield compared(vmap(function, axes)(*args), [values], "value")
    if not chosen:
        return
    us = directions(rng, [args[i] for i in chosen])
    (v,) = directions(rng, [values])
    along = tuple(axes[i] for i in chosen)

    def of_chosen(xs: Sequence[Any], f: Function = function) -> Function:
        """The function of the arguments that are differentiated by."""

        def part(*ys: Any) -> Any:
            full = list(xs)
            for i, y in zip(chosen, ys, strict=True):
                full[i] = y
            return f(*full)

        return part

    def tangent(*a: Any) -> Any:
        xs, u = a[: len(args)], a[len(args) :]
        return jvp(of_chosen(xs), [xs[i] for i in chosen], u)[1]

    def cotangents(v: Any, *xs: Any) -> Any:
        return vjp(of_chosen(xs), *(xs[i] for i in chosen))[1](v)

    points = [args[i] for i in chosen]
    slopes = loop(tangent, [*args, *us], axes + along)
    back = loop(cotangents, [v, *args], (0, *axes))
    yield compared(vmap(tangent, axes + along)(*args, *us), slopes, "jvp inside")
    yield compared(vmap(cotangents, (0, *axes))(v, *args), back, "vjp inside")
    outside = of_chosen(args, vmap(function, axes))
    yield compared(jvp(outside, points, us)[1], slopes, "jvp outside")
    summed = [c if axis == 0 else np.sum(c, axis=0) for c, axis in zip(back, along, strict=True)]
    yield compared(vjp(outside, *points)[1](v), summed, "vjp outside")
    if not twice:
        return
    ws = directions(rng, back)

    def curvature(*a: Any) -> Any:
        """The tangents of cotangents."""
        v, xs, u = a[0], a[1 : len(args) + 1], a[len(args) + 1 :]
        f = lambda *ys: vjp(of_chosen(xs), *ys)[1](v)
        return jvp(f, [xs[i] for i in chosen], u)[1]

    def again(*a: Any) -> Any:
        """The cotangents of cotangents, by the points and by the cotangent that they are of."""
        w, v, xs = a[: len(chosen)], a[len(chosen)], a[len(chosen) + 1 :]
        f = lambda v, *ys: vjp(of_chosen(xs), *ys)[1](v)
        return vjp(f, v, *(xs[i] for i in chosen))[1](w)

    expected = loop(curvature, [v, *args, *us], (0, *axes, *along))
    yield compared(
        vmap(curvature, (0, *axes, *along))(v, *args, *us), expected, "jvp of vjp inside"
    )
    zeros = (0,) * len(chosen)
    expected = loop(again, [*ws, v, *args], (*zeros, 0, *axes))
    yield compared(vmap(again, (*zeros, 0, *axes))(*ws, v, *args), expected, "vjp of vjp inside")
    each = vmap(cotangents, (0, *axes))
    outside = lambda v, *ys: of_chosen(args, lambda *xs: each(v, *xs))(*ys)
    found = vjp(outside, v, *points)[1](tuple(ws))
    summed = [
        c if axis == 0 else np.sum(c, axis=0) for c, axis in zip(expected, (0, *along), strict=True)
    ]
    yield compared(found, summed, "vjp of vmap of vjp")


def _single_errors(
    function: Function, args: list[Any], axes: tuple[Any, ...], chosen: list[int], what: str
) -> Iterator[float]:
    """A batch of float32 stays so, also where a cotangent is the same for all examples."""
    args = [np.asarray(a, np.float32)[()] if i in chosen else a for i, a in enumerate(args)]

    def row(i: int) -> list[Any]:
        return [a if axis is None else a[i] for a, axis in zip(args, axes, strict=True)]

    def cotangents(*xs: Any) -> Any:
        y, pullback = vjp(function, *xs)
        return y, *pullback(np.ones(np.shape(y), np.result_type(y)))

    rows = zip(*(cotangents(*row(i)) for i in range(EXAMPLES)), strict=True)
    for y, expected in zip(vmap(cotangents, axes)(*args), map(_stacked, rows), strict=True):
        if plain(y).dtype != expected.dtype:
            raise AssertionError(f"{what}: {plain(y).dtype} of float32, not {expected.dtype}")
        yield close(y, expected, SINGLE, f"{what} in float32")


def _stacked(column: Sequence[Any]) -> np.ndarray:
    return np.stack([plain(y) for y in column])


#: Ordered so that a wrong rule is found soonest.
CHECKS: tuple[Check, ...] = (
    check_complete,
    check_tangents,
    check_cotangents,
    check_adjoints,
    check_kinks,
    check_undefined,
    check_values,
    check_forms,
    check_second_order,
    check_single,
    check_batches,
)


def check_primitive(primitive: Primitive, record: Record) -> None:
    """Run all checks of one primitive, without NumPy's warnings about infinities."""
    with np.errstate(all="ignore"):
        for check in CHECKS:
            check(primitive, record)
