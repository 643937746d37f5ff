"""Reverse mode: sweep the graph backwards, carrying cotangents from results to inputs.

`sweep` is the one backward traversal of the package. Gradients are what it returns; pictures and
the player give it a `SweepRecord` to fill in; the cost study runs it on values that are recorded.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from autobp.arrays import is_foreign
from autobp.calculus import as_numpy_scalars, as_value, is_batch, made_nonfinite, project, zeros
from autobp.context import current, tracing, unwatched
from autobp.dag import Recording, ancestors, checked_cotangent, copied, record
from autobp.errors import changed, label, replaced
from autobp.habits import checks_keywords
from autobp.hooks import RETAIN, Digests
from autobp.locks import fork_safe
from autobp.lookups import arguments_read
from autobp.primitive import Array, Results, Together, Variable, constant, part
from autobp.tensor import CONSTANT, Tensor
from autobp.tree import paired, parts_of, refilled, transformed

__all__ = ["SweepRecord", "backward", "grad", "places_read", "sweep", "value_and_grad", "vjp"]


@dataclass
class SweepRecord:
    """Every step of a sweep, to be shown: the cotangent of each tensor that was reached, and what
    each use of a tensor (the operation and the slot) contributed to its cotangent."""

    value: Callable[[Any], Array] = constant  # of a tensor: what the rules compute with
    cotangents: dict[Tensor, Array] = field(default_factory=dict)
    contributions: dict[tuple[Tensor, int], Array] = field(default_factory=dict)


#: Set by `fast_paths`: handle a common step of the sweep faster, or return False. The second is for
#: sweeps that carry tangents.
shortcut: Callable[..., bool] | None = None
shortcut_along: Callable[..., bool] | None = None


def sweep(
    seeds: dict[Tensor, Array],
    order: Sequence[Tensor],
    kept: SweepRecord | None = None,
    inputs: Collection[Tensor] = (),
    along: Any = None,
) -> dict[Tensor, Array]:
    """From cotangents of results to cotangents of the leaves, in one pass over the graph: the
    `order` of recording, backwards. A cotangent is dropped as soon as it has been passed on.

    With a record to be `kept`, everything stays there. Such a sweep is run to show the graph: it
    calls no hooks, and detect_anomaly() does not stop it. Through a part of a graph the sweep ends at
    its `inputs`, as at leaves. It computes the tangents of the
    cotangents too `along` those of the graph: see `higher.Tangents`.
    """
    trace = tracing.get()
    if trace is None or kept is not None:
        return _sweep(seeds, order, inputs, None, kept, along)
    return trace.sweep(_sweep, seeds, order, inputs)


def _sweep(
    seeds: dict[Tensor, Array],
    order: Sequence[Tensor],
    inputs: Collection[Tensor],
    reached: Callable[[Tensor, Array], None] | None,
    kept: SweepRecord | None = None,
    along: Any = None,
) -> dict[Tensor, Array]:
    """The sweep. A trace is told which node was `reached`, and with which cotangent."""
    level = CONSTANT
    for y in seeds:
        level = y.level
        break
    watched = kept is None and current().anomaly
    if kept is not None:
        reached = kept.cotangents.__setitem__
    fast = None if watched or kept is not None else shortcut if along is None else shortcut_along
    cotangents = dict(seeds)
    owned: set[Tensor] = set()  # those whose cotangent is a buffer of our own
    found: dict[Tensor, Array] = {}

    for node in reversed(order):
        primitive, g = node.primitive, cotangents.pop(node, None)
        if inputs and node in inputs:
            if g is not None:
                found[node] = g
            continue
        if g is None:
            if primitive is None and along is None:
                found[node] = zeros(node.value)
            continue
        if along is not None:
            if fast is not None and fast(primitive, node, g, cotangents, owned, along):
                continue
            g = along.joined(node, g)
        if reached is not None:
            reached(node, _of_all(g, node.value) if type(g) is list else g)
        if node.hooks and kept is None:
            g = _hooked(node, g)
        if primitive is None:
            found[node] = g
            continue
        if primitive is part:
            results: Any = node.first
            cotangents.setdefault(results, [None] * len(results.value))[node.params["index"]] = g
            continue
        if along is None and fast is not None and fast(primitive, node, g, cotangents, owned):
            continue

        if kept is None:
            value, values = node.value, node.operand_values()
            if watched:
                _check_unchanged(node, value, values)
            if along is not None:
                value = along.dual(node, value)
                values = [along.dual(a, v) for a, v in zip(node.args, values, strict=True)]
        else:
            value, values = kept.value(node), [kept.value(a) for a in node.args]
        if primitive.form != "elementwise":
            g, value, *values = as_numpy_scalars(g, value, *values)
        together, params = isinstance(primitive.reverse, Together), node.params
        each = (
            primitive.reverse.rule(g, value, *values, **params) if together else primitive.reverse
        )
        for slot, (a, rule) in enumerate(zip(node.args, each)):
            if rule is None or not isinstance(a, Tensor) or a.level != level:
                continue
            plainly = kept is None and along is None and not watched
            if plainly and add_in_place(node, a, g, cotangents, owned):
                continue
            if together:
                c = rule  # the cotangent itself
            else:
                if watched and is_batch(value):
                    rule = unwatched()(rule)
                try:
                    c = rule(g, value, *values, **params)
                except ArithmeticError:  # Python's floats raise where NumPy has an inf or a nan
                    c = rule(*as_numpy_scalars(g, value, *values), **params)
            if c is None:
                continue
            if watched or kept is not None:
                c = project(c, a.value)  # which may overflow
            if watched:
                _watch(c, (*(g if type(g) is list else (g,)), *values), node, a)
            if kept is not None:
                kept.contributions[node, slot] = c
            if along is not None:
                c = along.split(c, a, g)
            accumulate(c, a, g, cotangents, owned)
            if plainly and primitive.facts.adds is not None:
                owned.add(a)

    if cotangents:  # of a tensor younger than the operation that has it as an argument
        raise replaced(next(iter(cotangents)))
    return found


def accumulate(
    c: Array, a: Tensor, g: Array, cotangents: dict[Tensor, Array], owned: set[Tensor]
) -> None:
    """Add to the cotangent of a tensor what a rule made of g.

    The first contribution is borrowed, not changed, since a rule may give one array to several
    arguments. Its sum with the second is a buffer of our own; the others are added in place."""
    v = a.value
    arrays = type(c) is np.ndarray is type(v)
    if not arrays or c.shape != v.shape or c.dtype is not v.dtype:
        c = project(c, v)
    if a.primitive is None and type(c) is np.ndarray and (c is g or c.base is not None):
        c = c.copy()  # a leaf's gradient is the user's, to keep and to change
    before = cotangents.get(a)
    if before is None:
        cotangents[a] = c
    elif a in owned and type(c) is np.ndarray is type(before):
        before += c
    else:
        cotangents[a] = total = before + c
        if type(total) is np.ndarray:
            owned.add(a)


_ARRAYS = (np.ndarray, np.float64, np.float32, np.float16, np.longdouble)
_FLOAT64 = np.dtype(np.float64)


def add_in_place(
    node: Tensor, a: Tensor, g: Array, cotangents: dict[Tensor, Array], owned: set[Tensor]
) -> bool:
    """Let an operation that can add to the cotangent of its argument, if that is a buffer of our own.
    What such an operation's rule makes is a new array, hence the first buffer."""
    adds = node.primitive.facts.adds if node.primitive is not None and a in owned else None
    if adds is None:
        return False
    total = cotangents[a]
    if type(total) is not np.ndarray:
        return False
    if total.dtype is not (
        g.dtype if type(g) in _ARRAYS else _FLOAT64 if type(g) is float else None
    ):
        return False
    return adds(total, g, **node.params)


def _of_all(g: list[Array | None], value: Any) -> Results:
    """The cotangents of several results, none of which is left out."""
    return Results(zeros(v) if c is None else c for c, v in zip(g, value, strict=True))


def _hooked(node: Tensor, g: Array) -> Array:
    """The cotangent after the hooks of a tensor."""
    for hook in node.hooks:
        changed = hook.call(g)
        if changed is not None:
            if not isinstance(node.value, Tensor) and not isinstance(g, Tensor):
                changed = constant(changed)
            g = checked_cotangent(changed, node.value, "the gradient that a hook returned")
    if RETAIN in node.hooks:
        node.grad = copied(g)
    return g


def _watch(c: Array, given: Sequence[Array], node: Tensor, a: Tensor) -> None:
    """The backward half of detect_anomaly."""
    kind = made_nonfinite(c, given)
    if kind and node.primitive is not None:
        places = [f"at {node.line}"] if node.line else []
        places += [f"in scope {node.scope!r}"] if node.scope else []
        where = " ".join(places) or "recorded outside detect_anomaly()"
        raise FloatingPointError(
            f"{node.primitive.name} made the first {kind} (backward), {where},"
            f" in the gradient of {label(a)}"
        )


def _check_unchanged(node: Tensor, value: Array, values: Sequence[Array]) -> None:
    """Of detect_anomaly too: whether what the rules of an operation read is what it was. An array that was
    written to since makes a wrong derivative."""
    primitive, arrays = node.primitive, (value, *values)
    if primitive is None:
        return
    read = places_read(node)
    for hook in node.hooks:
        if isinstance(hook, Digests) and (places := hook.changed(arrays)) is not None:
            if not read.isdisjoint(places):
                raise changed(node)
            return
    if not read or primitive.facts.cost is None or type(value) is Results:
        return  # of a user's own, which may draw random numbers or print
    if any(isinstance(v, Variable) for v in arrays):
        return
    with np.errstate(all="ignore"):  # recorded before detect_anomaly() was open
        again = primitive.function(*as_numpy_scalars(*values), **node.params)
        again = again if is_foreign(again) else np.asarray(again)
        finite = np.where(np.isfinite(value), np.abs(value), 0.0)
        size = 0.0 if 0 in np.shape(finite) else np.max(finite)  # of Dask it takes no `initial`
        gap = np.abs(again - value) > 1e4 * np.finfo(again.dtype).eps * size
        if np.any(gap & np.isfinite(again)) or np.any(np.isnan(again) & ~np.isnan(value)):
            raise changed(node)


def places_read(node: Tensor) -> set[int]:
    """Which of the result and the arguments of an operation its rules read: the result is 0. If any, those
    that are Tensors are among them: exp reads its result, and that of an argument which is another now.
    Linear rules read shapes at most."""
    primitive, args = node.primitive, node.args
    if primitive is None or primitive.form == "linear":
        return set()
    reverse = primitive.reverse
    needed: list[Any] = [reverse.rule] if isinstance(reverse, Together) else [
        rule
        for a, rule in zip(args, reverse)
        if rule is not None and isinstance(a, Tensor) and a.level == node.level
    ]  # fmt: skip
    each = (arguments_read(rule, len(args) + 2) for rule in needed)
    read = {place - 1 for places in each for place in places if place}
    return read | {k for k, a in enumerate(args, 1) if isinstance(a, Tensor)} if read else read


# ── what users call ───────────────────────────────────────────────────────────────────────────────


def backward(result: Tensor, gradient: Any = None) -> None:
    """See `Tensor.backward`."""
    if not result.requires_grad:
        raise RuntimeError(
            f"backward() of {label(result)}: it is a constant, computed from no Tensor that requires a"
            " gradient, or under no_grad()"
        )
    value = result.value
    if gradient is not None:
        seed = checked_cotangent(constant(gradient), value, "backward(): the gradient")
    else:
        seed = unit_cotangent(value, "backward()")
    found = sweep({result: seed}, ancestors([result], result.level))
    with _adding:
        for leaf, g in found.items():
            leaf.grad = g if leaf.grad is None else leaf.grad + g


#: Threads that share leaves add to their gradients one after the other, each for its whole sweep.
_adding = fork_safe(threading.Lock())


def unit_cotangent(value: Array, who: str) -> Array:
    """The cotangent that a gradient starts from: 1, for a result that has one element."""
    if math.prod(np.shape(value)) != 1:
        raise ValueError(
            f"{who} needs a scalar; this result has shape {np.shape(value)}: take a sum or a mean,"
            " pass a cotangent (vjp, backward(gradient)), or use jacobian"
        )
    return project(1.0, as_value(value) if not isinstance(value, Tensor) else value)


def pulled(
    traced: Recording, order: Sequence[Tensor], cotangents: Sequence[Array | None]
) -> list[Array]:
    """The cotangents of a recording's inputs from those of its outputs."""
    seeds: dict[Tensor, Array] = {}
    for y, c in zip(traced.outputs, cotangents, strict=True):
        if y is not None and c is not None:
            seeds[y] = seeds[y] + c if y in seeds else c
    found = sweep(seeds, order)
    return [found[x] if x in found else zeros(x.value) for x in traced.inputs]


def _is_truth(value: Any) -> bool:
    """Whether a result is of truth values, which vary with nothing."""
    return isinstance(value, bool) or getattr(value, "dtype", None) == np.bool_


@checks_keywords
def vjp(
    function: Callable[..., Any], *primals: Any
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of a function, and its pullback: the linear map from cotangents of the value to
    cotangents of the arguments.

    >>> import numpy as np
    >>> from autobp import vjp
    >>> y, pullback = vjp(lambda x: np.sin(x) * 2, np.zeros(2))
    >>> pullback(np.array([1.0, 10.0]))
    (array([ 2., 20.]),)
    """
    check_function("vjp", function)
    traced = record(function, primals, range(len(primals)), keep=True)
    order = traced.order()

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        pairs = paired(traced.result, cotangent, "vjp: the cotangent")
        seeds = [
            checked_cotangent(c, v, f"vjp: the cotangent{path}")
            if np.shape(c) != np.shape(v) or not _is_truth(v)
            else None
            for (path, _, c), v in zip(pairs, traced.values, strict=True)
        ]
        return tuple(refilled(primals, pulled(traced, order, seeds)))

    return traced.refill(map(copied, traced.values)), pullback


@checks_keywords
def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, *, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """The function that computes both the value of `function`, a number, and its gradient.

    With `has_aux=True`, `function` returns a number and something more; the result is then
    `((value, more), gradient)`, and no derivative is taken of `more`.

    >>> import numpy as np
    >>> from autobp import value_and_grad
    >>> value_and_grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    (5.0, array([2., 4.]))
    >>> value_and_grad(lambda x: (x**2, {"x": x}), has_aux=True)(3.0)
    ((9.0, {'x': 3.0}), 6.0)
    """
    check_function("grad", function)
    chosen = chosen_arguments(argnums)

    def with_gradient(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        where = positions(chosen, args)
        aux: list[Any] = []

        def number(*a: Any) -> Any:
            result = function(*a, **kwargs)
            return _without_aux(result, aux) if has_aux else result

        traced = record(number, args, where)
        hint = "; has_aux=True if the rest is not to be differentiated" * (not has_aux)
        value = the_number(traced, "grad", hint)
        gradients = pulled(traced, traced.order(), [unit_cotangent(value, "grad")])
        nests = refilled([args[i] for i in where], gradients)
        gradient = nests[0] if is_one(argnums) else tuple(nests)
        if not has_aux:
            return value, gradient
        return (value, transformed(lambda y: _below(y, traced.level), aux[0])), gradient

    return derived(with_gradient, function, "value_and_grad", None if has_aux else argnums)


def the_number(traced: Recording, who: str, hint: str = "") -> Any:
    """The one result of a function of which a gradient is taken."""
    if len(traced.values) != 1 or parts_of(traced.result) is not None:
        raise TypeError(
            f"{who} takes a function that returns a number; this one returned a"
            f" {type(traced.result).__name__}{hint}"
        )
    return traced.values[0]


def _without_aux(result: Any, aux: list[Any]) -> Any:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(
            "has_aux=True: the function must return a pair, a number and something more, not a"
            f" {type(result).__name__}"
        )
    aux.append(result[1])
    return result[0]


def _below(y: Any, level: int) -> Any:
    """The value of a variable of a derivative, as it is outside of that."""
    return copied(y.value) if isinstance(y, Tensor) and y.level == level else y


def check_function(who: str, function: Any) -> None:
    """Refuse what is no function, and PyTorch's grad(loss, w) above all."""
    if callable(function):
        return
    if isinstance(function, Tensor):
        raise TypeError(
            f"{who} takes a function, not {label(function)}: write loss.backward() and read w.grad, or"
            f" {who}(f)(w) with the function f that computes the loss of w"
        )
    raise TypeError(
        f"{who} takes a function and returns one: write {who}(f)(x), not {who} of a"
        f" {type(function).__name__}"
    )


class Recipe(NamedTuple):
    """How a gradient function was made, so that one can be made of another function."""

    derivative: Callable[[], Any]  # a weak reference: it has this as an attribute
    function: Callable[..., Any]
    title: str
    argnums: int | Sequence[int]


def derived(
    derivative: Callable[..., Any], function: Callable[..., Any], title: str, argnums: Any = None
) -> Any:
    """Name a derivative after its function, and let it show that one's signature."""
    if argnums is not None:
        derivative.recipe = Recipe(ref(derivative), function, title, argnums)  # type: ignore[attr-defined]
    name = getattr(function, "__name__", "")
    derivative.__name__ = f"{title}_{name}" if name.isidentifier() else title
    derivative.__wrapped__ = function  # type: ignore[attr-defined]
    return derivative


@checks_keywords
def grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """The function that computes the gradient of `function`, which returns a number.

    The gradient has the form of the argument: a number, an array, or nested lists, tuples, dicts and
    dataclasses of them. Derivatives nest: `grad(grad(f))`, `jvp` of `grad`, and so on. With
    `has_aux=True`, `function` returns a number and something more, and the result is
    `(gradient, more)`.

    >>> import numpy as np
    >>> from autobp import grad
    >>> grad(np.tanh)(0.0)
    1.0
    >>> grad(grad(lambda x: x**3))(2.0)
    12.0
    >>> grad(lambda p, x: p["w"] * x + p["b"])({"w": 2.0, "b": 1.0}, 5.0)
    {'w': 5.0, 'b': 1.0}
    """
    both = value_and_grad(function, argnums, has_aux=has_aux)
    if has_aux:

        def with_aux(*args: Any, **kwargs: Any) -> Any:
            (_, aux), gradient = both(*args, **kwargs)
            return gradient, aux

        return derived(with_aux, function, "grad")
    return derived(lambda *args, **kwargs: both(*args, **kwargs)[1], function, "grad", argnums)


def is_one(argnums: Any) -> bool:
    """Whether argnums is a single number: the derivative then comes without a tuple around it."""
    return isinstance(argnums, int | np.integer)


def chosen_arguments(argnums: Any) -> tuple[int, ...]:
    chosen = (argnums,) if is_one(argnums) else argnums
    if not isinstance(chosen, Sequence) or not all(map(is_one, chosen)):
        raise TypeError(
            f"argnums must be the position of an argument, or several, not {argnums!r:.50}: the"
            " arguments themselves are for the function that comes back, grad(f)(w)"
        )
    return tuple(chosen)


def positions(chosen: Sequence[int], args: Sequence[Any]) -> list[int]:
    """The positions of the arguments to differentiate by, counted from 0 and checked."""
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"argnums={tuple(chosen)} names an argument twice")
    for i in chosen:
        if not -len(args) <= i < len(args):
            raise ValueError(f"argnums={i}, but the function was called with {len(args)} arguments")
    return [i % len(args) for i in chosen]
