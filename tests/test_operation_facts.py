"""Whether what rows state is true: each fact is checked against NumPy itself.

A fact that is stated and false gives wrong results. One that is true and not stated costs a guard or
a copy, and is nobody's error.
"""

from __future__ import annotations

import math
import operator
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from inspect import signature
from types import FunctionType
from typing import Any

import numpy as np
import pytest
import scipy.special

from autobp import compile, grad, nn, optim, scan
from autobp.compiler.emit.source import _SPELLED, _public_name
from autobp.compiler.passes import exact
from autobp.compiler.program import Step
from autobp.compiler.trace import calls
from autobp.operation import PREFIXES, SIGNS, Operation, _defined, _known, of
from autobp.primitive import Primitive
from autobp.rules import PRIMITIVES, convolution, indexing, shape
from autobp.rules.arithmetic import multiply, negative, remainder
from autobp.verify.samples import RECORDS

pytestmark = pytest.mark.filterwarnings("ignore")

# ── every row is whole ────────────────────────────────────────────────────────────────────────────

WHOLE = """
import gc, pkgutil, sys
import autobp
from autobp.primitive import Primitive
for module in pkgutil.walk_packages(autobp.__path__, "autobp."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
found = [p for p in gc.get_objects() if isinstance(p, Primitive)]
for p in found:
    facts = p.facts
    lacking = [] if facts.cost else ["cost"]
    lacking += [] if facts.form in ("elementwise", "linear", "bilinear", "general") else ["form"]
    if facts.opaque:  # it is called as a whole: its shape and its memory are asked for
        lacking += [name for name in ("static", "fresh") if not getattr(facts, name)]
    if lacking:
        print(f"{p.name}: {', '.join(lacking)}")
print(len(found))
"""


def test_every_primitive_there_is_states_what_its_form_demands() -> None:
    run = subprocess.run([sys.executable, "-c", WHOLE], capture_output=True, text=True, check=True)
    *incomplete, count = run.stdout.splitlines()
    assert not incomplete
    assert int(count) >= len(PRIMITIVES)


# ── every callable of a program has a row ─────────────────────────────────────────────────────────


def has_row(function: Any) -> bool:
    owner = getattr(function, "__self__", function)
    rows = _defined if isinstance(function, FunctionType) else _known
    return isinstance(owner, np.ufunc) or function in rows


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> set[Any]:
    """The functions of all steps that are made, while tracing and by passes."""
    found: set[Any] = set()
    original = Step.__post_init__

    def made(step: Step) -> None:
        found.add(step.function)
        original(step)

    monkeypatch.setattr(Step, "__post_init__", made)
    return found


def rowless(functions: set[Any]) -> set[Any]:
    return {f for f in functions - {None} if not has_row(f)}


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_callable_of_a_step_has_a_row(name: str, called: set[Any]) -> None:
    primitive = PRIMITIVES[name]
    for sample in RECORDS[name].samples[-4:]:
        given = [a if np.ndim(a) else float(a) for a in sample.args]
        moved = [i for i, a in enumerate(given) if np.asarray(a).dtype.kind == "f"]

        def f(*xs: Any, given: Any = given, moved: Any = moved, params: Any = sample.params) -> Any:
            args = list(given)
            for i, x in zip(moved, xs, strict=True):
                args[i] = x
            return np.sum(primitive(*args, **params))

        compile(f, check=0)(*(given[i] for i in moved))
        with np.errstate(all="ignore"):
            compile(grad(f), check=0)(*(given[i] for i in moved))
    assert called - {None}
    assert not rowless(called)


class Images(nn.Module):
    def __init__(self) -> None:
        self.layers = nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 3),
        )  # fmt: skip

    def __call__(self, x: Any) -> Any:
        return self.layers(x)


def test_every_callable_of_a_training_step_has_a_row(called: set[Any]) -> None:
    model = Images()
    adam = optim.Adam(model.parameters())
    rng = np.random.default_rng(0)
    X, y = rng.random((5, 1, 4, 4)), rng.integers(3, size=5)

    def step(X: Any, y: Any) -> Any:
        loss = nn.cross_entropy(model(X), y)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss

    compile(step, check=0)(X, y)
    assert len(called) > 20
    assert not rowless(called)


def test_a_callable_without_a_row_is_seen(called: set[Any]) -> None:
    compile(lambda x: np.percentile(x, 50), check=0)(np.ones(3))
    assert rowless(called) == {np.percentile}


# ── calls on which facts are checked ──────────────────────────────────────────────────────────────

Call = tuple[tuple[Any, ...], dict[str, Any]]

R = np.random.default_rng(0)
X, M, IMAGE = R.standard_normal((2, 3)), R.standard_normal((3, 3)), R.standard_normal((2, 3, 6, 6))
HALF = R.standard_normal((2, 3, 3, 3))

#: General calls, of which at least one is understood by most functions.
GENERAL: list[Callable[[Any], Any]] = [
    lambda x: ((x,), {}),
    lambda x: ((x,), {"axis": 0}),
    lambda x: ((x,), {"axis": ()}),
    lambda x: ((x,), {"axis": -1, "keepdims": True}),
    lambda x: ((x, 0), {}),
    lambda x: ((x, 1), {}),
    lambda x: ((x, 0, 1), {}),
    lambda x: ((x, x), {}),
    lambda x: ((x, x, 0), {}),
    lambda x: ((x, 2.0), {}),
    lambda x: (([x],), {}),
    lambda x: (([x, x],), {}),
    lambda x: ((x, None, 0.5), {}),
    lambda x: ((x > 0, x, 0.0), {}),
]

# fmt: off
#: Calls of those that take something else.
OWN: dict[Any, list[Call]] = {
    np.linalg.eigh:     [((M + M.T,), {}), ((M + M.T, "U"), {})],
    np.linalg.cholesky: [((M @ M.T + 9 * np.eye(len(M)),), {})],
    np.take:            [((X, [0, 1]), {"axis": 1})],
    np.take_along_axis: [((X, np.argsort(X, 1), 1), {})],
    np.partition:       [((X, 1), {})],
    np.einsum:          [(("ij->ji", X), {}), (("ij,kj->ik", X, X), {})],
    np.searchsorted:    [((np.arange(4.0), X[0]), {})],
    np.digitize:        [((X[0], np.arange(4.0)), {})],
    np.where:           [((X > 0, X, X), {}), ((True, X, 0.0), {}), ((X > 0,), {}), ((X,), {})],
    np.bincount:        [((np.arange(3), X[0]), {}), (([0, 1, 1],), {"minlength": 5})],
    np.full_like:       [((X, 1.0), {})],
    np.isneginf:        [((X,), {})],
    np.isposinf:        [((X,), {})],
    np.rollaxis:        [((X, 1), {}), ((X, 0), {})],
    np.diff:            [((X,), {"n": 0}), ((X,), {})],
    np.nan_to_num:      [((X,), {}), ((X,), {"copy": False})],
    np.array:           [((X,), {}), ((X,), {"copy": None})],
    np.linalg.solve:    [((M, X[0]), {}), ((M, M), {})],
    np.broadcast_to:    [((X, (2, 3)), {}), ((X, (4, 2, 3)), {})],
    np.reshape:         [((X, (3, 2)), {}), ((X, -1), {})],
    float:              [((0.5,), {})],
    operator.getitem:   [((X, 0), {}), ((X, (slice(None), [0, 2])), {}), ((X, X > 0), {})],
    calls.as_type:      [((X, np.dtype(np.float64)), {}), ((X, np.dtype(np.float32)), {})],
    calls.put:          [((X, 0, 1.0), {}), ((X, slice(None), X), {})],
    calls.draw:         [((np.random.default_rng(0), "permutation", X), {}), ((np.random.default_rng(0), "normal", X), {})],
    exact.placed:       [((X, [1, 0], (4, 3)), {}), ((X, slice(None), (2, 3)), {})],
    indexing._last.__wrapped__: [((np.array([0, 1, 1]), (3,)), {})],
    convolution.greatest.__wrapped__: [((IMAGE, HALF, (2, 2), (2, 2)), {})],
}
# fmt: on

_PRIMITIVE_OF = {p.function: p for p in PRIMITIVES.values()}


def calls_of(function: Any) -> list[Call]:
    """Calls that a function understands."""
    if isinstance(function, Primitive):
        samples = RECORDS[function.name].samples
        return [(s.args, s.params) for s in samples]
    if function in OWN:
        return OWN[function]
    if function in _PRIMITIVE_OF:
        return calls_of(_PRIMITIVE_OF[function])
    made = [make(x) for make in GENERAL for x in (X[0], X, M, IMAGE)]
    return [call for call in made if understood(function, call)]


def understood(function: Any, call: Call) -> bool:
    try:
        function(*call[0], **call[1])
    except (TypeError, ValueError, IndexError):
        return False
    return True


def changed(call: Call, change: Callable[[np.ndarray], np.ndarray]) -> Call:
    """A call with other arrays of floats."""

    def other(a: Any) -> Any:
        if isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.ndim:
            return change(a)
        return type(a)(map(other, a)) if type(a) in (list, tuple) else a

    return other(call[0]), {k: other(v) for k, v in call[1].items()}


def arrays(nest: Any) -> Iterator[np.ndarray]:
    if isinstance(nest, np.ndarray):
        yield nest
    elif isinstance(nest, tuple | list):
        for a in nest:
            yield from arrays(a)


def pixels_first(a: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.moveaxis(a, (-2, -1), (-4, -3)).copy(), (-4, -3), (-2, -1))


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C-ordered": lambda a: a.copy(),
    "turned": lambda a: a.T.copy().T,
    "strided": lambda a: np.repeat(a, 2, -1)[..., ::2],
    "backwards": lambda a: a[..., ::-1].copy()[..., ::-1],
    "pixels first": lambda a: pixels_first(a) if a.ndim > 3 else a,
}  # fmt: skip

VALUES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "others": lambda a: np.resize(np.linspace(-3, 2, a.size + 2), a.shape),
    "negative": lambda a: -np.abs(a) - 1,
    "positive": lambda a: np.abs(a) + 0.1,
    "zeros": np.zeros_like,
    "ties": np.ones_like,
    "half of them": lambda a: np.resize([0.0, 1.0], a.shape),
    "turned": lambda a: a[..., ::-1].copy(),
}

# ── the checks ────────────────────────────────────────────────────────────────────────────────────


def check_fresh(function: Any, facts: Operation, calls: list[Call]) -> None:
    for call in calls:
        for layout, change in LAYOUTS.items():
            args, params = changed(call, change)
            if facts.is_fresh(args, params):
                results = arrays(function(*args, **params))
                given = [*arrays(args), *arrays(tuple(params.values()))]
                shared = any(np.may_share_memory(y, a) for y in results if y.ndim for a in given)
                assert not shared, f"a view, of {layout} arguments {args}, {params}"


def check_static(function: Any, facts: Operation, calls: list[Call]) -> None:
    compared = 0
    for call in calls:
        if not facts.is_static(*call):
            continue
        form = form_of(function(*call[0], **call[1]))
        for values, change in VALUES.items():
            args, params = changed(call, change)
            try:
                with np.errstate(all="ignore"):
                    result = function(*args, **params)
            except (ValueError, np.linalg.LinAlgError):  # singular, or not in order
                continue
            assert form_of(result) == form, f"for {values}, {args}, {params}"
            compared += 1
    assert compared or not calls


def form_of(result: Any) -> Any:
    if isinstance(result, tuple | list):
        return [form_of(r) for r in result]
    return np.shape(result), np.asarray(result).dtype


def check_out(function: Any, facts: Operation, calls: list[Call]) -> None:
    assert calls
    for call in calls:
        for change in LAYOUTS.values():
            args, params = changed(call, change)
            with np.errstate(all="ignore"):
                expected = function(*args, **params)
                if not isinstance(expected, np.ndarray):
                    continue
                out = np.empty(expected.shape, expected.dtype)
                try:
                    found = function(*args, **params, out=out)
                except TypeError as error:
                    raise AssertionError(f"it takes no out: {error}") from None
            assert found is out
            np.testing.assert_allclose(
                found, expected, 1e-13, 1e-15
            )  # NumPy may sum in another order
            first = args[0]
            in_place = facts.form == "elementwise" and form_of(first) == form_of(expected)
            if in_place and isinstance(first, np.ndarray):
                first = first.copy()  # with memory of another order NumPy may round otherwise
                with np.errstate(all="ignore"):
                    expected = function(first, *args[1:], **params)
                    function(first, *args[1:], **params, out=first)
                assert first.tobytes() == np.ascontiguousarray(expected).tobytes()


def check_moves(function: Any, facts: Operation, calls: list[Call]) -> None:
    for call in calls:
        start = iter(range(1, 1000, 100))

        def distinct(a: np.ndarray, start: Iterator[int] = start) -> np.ndarray:
            return np.arange(a.size).reshape(a.shape) + next(start)

        args, params = changed(call, distinct)
        if not any(a.ndim for a in arrays(args)):
            continue
        given = {n for a in arrays(args) for n in a.ravel().tolist()}
        result = np.asarray(function(*args, **params))
        assert result.dtype.kind == "i" or not result.size
        assert {*result.ravel().tolist()} <= given


FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 7.25, 1e-300, -1e300, math.pi, math.inf, -math.inf, math.nan]  # fmt: skip


def check_python(function: Any, facts: Operation, params: list[dict[str, Any]], nin: int) -> None:
    """The same number, or its neighbour: NumPy and C round differently."""
    assert facts.python is not None
    compared = 0
    for x in FLOATS:
        for y in FLOATS if nin == 2 else [None]:
            for given in params:
                args = (x,) if y is None else (x, y)
                try:
                    found = facts.python(*args, *given.values())
                except (ArithmeticError, ValueError):
                    continue
                if type(found) is not float:
                    continue
                with np.errstate(all="ignore"):
                    expected = float(function(*map(np.float64, args), **given))
                same = repr(found) == repr(expected)
                if not same and not facts.sign:
                    same = abs(found - expected) <= np.spacing(abs(expected))
                assert same, f"{args}, {given}: {found!r}, not {expected!r}"
                compared += 1
    assert compared > 5


def check_numpy(primitive: Primitive, numpy: Any) -> None:
    """The callable in programs takes the same arguments, and means the same by them."""
    for args, params in calls_of(primitive):
        expected = np.asarray(primitive.function(*args, **params))
        if not all(np.ndim(a) for a in args):
            continue  # of numbers, which are indexed as arrays
        found = np.asarray(numpy(*args, *params.values()))
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, 1e-13)  # BLAS may have another order of sums


def check_reduces(function: Any, facts: Operation) -> None:
    for axis in (None, 0, 1, (0, 1)):
        expected = facts.reduces.reduce(X, axis=axis)  # type: ignore[union-attr]
        assert np.array_equal(function(X, axis=axis), expected)


def check_pixels(function: Any, facts: Operation, calls: list[Call]) -> None:
    """Of images in C order, the pixels of the result are first if the function puts them there."""
    compared = 0
    for call in calls:
        for layout, expected in (("pixels first", True), ("C-ordered", facts.pixels == "first")):
            args, params = changed(call, LAYOUTS[layout])
            result = function(*args, **params)
            if (
                result.size
                and result.ndim == 4
                and 1 not in result.shape[:2]
                and result.shape[2] * result.shape[3] > 1
            ):
                assert result.transpose(2, 3, 0, 1).flags.c_contiguous == expected, (
                    f"{args}, {params}"
                )
                compared += 1
    assert compared


# ── of every row ──────────────────────────────────────────────────────────────────────────────────

_OPERATORS = [sign.python for signs in (SIGNS, PREFIXES) for sign in signs.values()]


def stated(fact: str) -> list[Any]:
    """The callables whose rows state a fact, other than the ufuncs, of which NumPy states it."""
    mine = [f for f in list(_defined) if f.__module__.startswith("autobp.")]
    mine = [f for f in mine if f in _PRIMITIVE_OF or f in OWN]
    everything = [
        f for f in (*_known, *mine) if not isinstance(f, np.ufunc) and f not in _OPERATORS
    ]
    return [pytest.param(f, id=_name(f)) for f in everything if getattr(of(f), fact)]


def _name(function: Any) -> str:
    primitive = _PRIMITIVE_OF.get(function)
    return primitive.name if primitive else f"{function.__module__}.{function.__name__}"


@pytest.mark.parametrize("function", stated("fresh"))
def test_what_is_called_fresh_shares_no_memory(function: Any) -> None:
    calls = calls_of(function)
    assert calls, "no general call is understood: add one to OWN"
    check_fresh(function, of(function), calls)


@pytest.mark.parametrize("function", stated("static"))
def test_what_is_called_static_keeps_its_shape(function: Any) -> None:
    calls = calls_of(function)
    assert calls, "no general call is understood: add one to OWN"
    check_static(function, of(function), calls)


@pytest.mark.parametrize("function", stated("out"))
def test_what_takes_out_gives_the_same_bits(function: Any) -> None:
    check_out(function, of(function), [((M, M), {}), ((X, M), {}), ((M, X[0]), {})])


UFUNCS = sorted({f.__name__ for f in vars(np).values() if isinstance(f, np.ufunc)} - {"isnat"})


@pytest.mark.parametrize("name", UFUNCS)
def test_ufuncs_are_as_numpy_says(name: str) -> None:
    ufunc, facts = getattr(np, name), of(getattr(np, name))
    floats = [
        (X, X)[: ufunc.nin],
        (X[0], M)[: ufunc.nin],
        (M, X[0])[: ufunc.nin],
        (X, X[:1])[: ufunc.nin],
    ]
    if ufunc.nin == 1:
        floats.append((X > 0,))
    whole = [tuple(np.abs(a * 3).astype(int) for a in args) for args in floats]
    mixed = [(a, b) for (a, *_), (*_, b) in zip(floats, whole, strict=True)]  # as ldexp takes them
    calls: list[Call] = [(args[: ufunc.nin], {}) for args in (*floats, *whole, *mixed)]
    calls = [call for call in calls if understood(ufunc, call)]
    assert calls
    check_fresh(ufunc, facts, calls)
    check_static(ufunc, facts, calls)
    if facts.out:
        check_out(ufunc, facts, calls)


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "minimum", "logaddexp"])
def test_reductions_are_as_numpy_says(name: str) -> None:
    reduce = getattr(np, name).reduce
    calls: list[Call] = [
        ((x,), {"axis": axis}) for x in (X, M, IMAGE) for axis in (0, -1, (0, 1), ())
    ]
    check_fresh(reduce, of(reduce), calls)
    check_static(reduce, of(reduce), calls)
    if of(reduce).out:
        check_out(reduce, of(reduce), calls)


@pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if p.facts.moves])
def test_what_moves_makes_no_other_numbers(name: str) -> None:
    primitive = PRIMITIVES[name]
    check_moves(primitive.function, primitive.facts, calls_of(primitive))


@pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if p.facts.python])
def test_python_computes_the_same_number(name: str) -> None:
    primitive = PRIMITIVES[name]
    params = {str(params): params for _, params in calls_of(primitive)}
    nin = len(calls_of(primitive)[0][0])
    check_python(primitive.function, primitive.facts, list(params.values()), nin)


@pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if p.facts.numpy])
def test_programs_call_the_same_function(name: str) -> None:
    check_numpy(PRIMITIVES[name], PRIMITIVES[name].facts.numpy)


@pytest.mark.parametrize("function", stated("reduces"))
def test_a_reduction_is_that_of_its_ufunc(function: Any) -> None:
    check_reduces(function, of(function))


@pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if p.facts.pixels])
def test_pixels_are_first_in_memory(name: str) -> None:
    primitive = PRIMITIVES[name]
    check_pixels(primitive.function, primitive.facts, calls_of(primitive))


@pytest.mark.parametrize("function", _OPERATORS)
def test_operators_are_fresh_and_static(function: Any) -> None:
    args = (M,) if function in {sign.python for sign in PREFIXES.values()} else (M, M)
    calls = [
        call
        for call in ((args, {}), (tuple(a > 0 for a in args), {}))
        if understood(function, call)
    ]
    calls += [
        call
        for call in [(tuple(a.astype(int) % 3 for a in args), {})]
        if understood(function, call)
    ]
    check_fresh(function, of(function), calls)
    check_static(function, of(function), calls)
    assert of(function).fresh
    assert calls


# ── how NumPy's source spells them ────────────────────────────────────────────────────────────────


def test_the_printer_has_a_name_for_every_function_of_numpys_and_pythons() -> None:
    named = [f for f in _known if f not in _OPERATORS and f not in _SPELLED]
    assert len(named) > 100
    for f in named:
        assert eval(str(_public_name(f)), {"np": np, "scipy": scipy}) == f


def collected(x: Any) -> Any:
    y, ys = x, []
    for _ in range(600):
        y = np.tanh(y + x)
        ys.append(y)
    ys.append(np.cosh(y))
    return np.stack(ys)[-1] + ys[0]


SPELLED = {
    operator.getitem: (lambda x: x[1:, 0] * 1.0, "[1:, 0]"),
    np.transpose: (lambda x: x.T[0] + x[:, 1], ".T"),
    np.matrix_transpose: (lambda x: np.stack([x, x]).mT[0] * 1.0, ".mT"),
    calls.as_type: (lambda x: x.astype(np.float32) * x, ".astype(np.float32)"),
    calls.draw: (lambda x, rng: rng.normal(x), "rng.normal("),
    float: (lambda x, s: grad(lambda s: s * s * s)(s) * x, " = s * s"),
    calls.numbers: (
        lambda x: grad(lambda x: scan(lambda c, a: (c * a, None), 1.0, x[0])[0])(x),
        ".tolist()",
    ),
    calls.joined: (collected, " = [*rows0, "),
    calls.select: (lambda x, s: grad(lambda s: np.where(s > 1, s * s, s))(s) * x, " if t"),
}


def test_every_other_spelling_has_a_sample() -> None:
    assert set(SPELLED) == set(_SPELLED)


@pytest.mark.parametrize("function", SPELLED)
def test_what_is_spelled_otherwise_computes_the_same(function: Any) -> None:
    f, text = SPELLED[function]
    others = [{"rng": np.random.default_rng(0), "s": 1.5} for _ in range(3)]
    named = [{k: v for k, v in given.items() if k in signature(f).parameters} for given in others]
    compiled = compile(f, check=0)
    expected = f(M, **named[0])
    for given in named[1:]:
        assert np.array_equal(compiled(M, **given), expected)
    assert text in compiled.source


# ── the checks are checked ────────────────────────────────────────────────────────────────────────

WRONG = Operation(static=True, fresh=True, out=True, moves=True, form="elementwise")


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (check_fresh, np.ravel),
        (check_fresh, np.diff),
        (check_fresh, np.nan_to_num),
        (check_fresh, np.einsum),
        (check_fresh, np.broadcast_to),
        (check_fresh, np.array),
        (check_fresh, PRIMITIVES["max_pool2d"].function),
        (check_static, np.nonzero),
        (check_static, np.unique),
        (check_static, np.where),
        (check_out, np.sort),
        (check_out, operator.add),
        (check_moves, np.multiply),
        (check_moves, PRIMITIVES["pad"].function),
        (check_moves, PRIMITIVES["scatter"].function),
    ],
)
def test_a_wrong_flag_is_found(check: Any, function: Any) -> None:
    calls: list[Call] = [((M,), {})] if function in (np.nonzero, np.unique) else calls_of(function)
    with pytest.raises(AssertionError):
        check(function, WRONG, calls or [((M, M), {})])


@pytest.mark.parametrize(
    ("check", "args"),
    [
        (check_python, (remainder.function, replace(remainder.facts, python=math.remainder), [{}], 2)),
        (check_python, (multiply.function, replace(multiply.facts, python=operator.add), [{}], 2)),
        (check_python, (negative.function, replace(negative.facts, python=abs), [{}], 1)),
        (check_numpy, (shape.reshape_, np.broadcast_to)),
        (check_numpy, (PRIMITIVES["sum"], np.prod)),
        (check_reduces, (np.sum, Operation(reduces=np.multiply))),
        (check_pixels, (PRIMITIVES["pool2d_weight"].function, WRONG, calls_of(PRIMITIVES["conv2d_weight"]))),
    ],
)  # fmt: skip
def test_a_wrong_fact_is_found(check: Any, args: Any) -> None:
    with pytest.raises((AssertionError, ValueError, TypeError)):
        check(*args)
