"""Programs printed as ONNX models compute NumPy's numbers in onnxruntime, for any size of a batch."""

import inspect
import sys
import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from autobp import Tensor, compile, grad, nn, no_grad, polygamma, scan, value_and_grad
from autobp.compiler.onnx import Unprintable
from autobp.compiler.onnx.graph import Node
from autobp.compiler.onnx.printer import SPELLED, Printer
from autobp.compiler.onnx.table import ELEMENTWISE
from autobp.compiler.program import Step, evaluated
from autobp.compiler.trace.calls import guarded
from autobp.compiler.trace.direct import program_of
from autobp.extras import MissingExtra
from autobp.optim import SGD
from autobp.rules import PRIMITIVES
from autobp.tree import leaves
from autobp.verify import RECORDS, special
from autobp.verify.checks import variables
from tests.test_compiler_javascript import value_and_gradients

try:
    import onnx
    import onnxruntime

    from autobp.compiler.onnx.model import IR, OPSET, model
except ModuleNotFoundError:
    onnx = onnxruntime = None
needs_onnx = pytest.mark.skipif(onnxruntime is None, reason="needs onnx and onnxruntime")

SPECIAL = {"erf", "expit", "log_expit", "logit", "xlogy", "xlog1py", "entr", "rel_entr"}
# Matrices are decomposed by no operator of ONNX, and of special functions it has one.
REFUSED = {
    *("inv", "solve", "det", "logdet", "cholesky", "sinc"),
    *("eigh", "eigvalsh", "svd", "svdvals", "qr", "pinv"),
    *(special.RECORDS.keys() - SPECIAL),
}
# onnxruntime computes these in float32 alone.
SINGLE = {"conv2d", "conv2d_input", "conv2d_weight", "erf"}
TOLERANCE = {np.float64: 1e-12, np.float32: 2e-5}


def session(made):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(made.SerializeToString(), options)


def agree(found, expected, tolerance, what):
    """Shapes, types and numbers, to rounding of the largest of them."""
    expected = np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype), what
    if expected.dtype.kind != "f":
        assert np.array_equal(found, expected), what
        return
    finite = np.isfinite(expected)
    scale = max(0.03, np.max(np.abs(expected[finite]), initial=0.0))
    assert np.max(np.abs(found[finite] - expected[finite]), initial=0.0) <= tolerance * scale, what
    assert np.array_equal(found[~finite], expected[~finite], equal_nan=True), what


# ── one operation ─────────────────────────────────────────────────────────────────────────────────


@cache
def samples(dtype):
    """The name, the program, the arguments and the graph of every sample that is printed."""
    found, refused = [], {}
    for name, primitive in PRIMITIVES.items():
        for sample in (*RECORDS[name].samples, *RECORDS[name].kinks):
            with np.errstate(over="ignore"):
                args = tuple(
                    x.astype(dtype) if getattr(x, "dtype", None) == np.float64 else x
                    for x in sample.args
                )
            program = value_and_gradients(primitive, replace(sample, args=args))
            given = {s.name: args[i] for s, i in zip(program.arguments, variables(sample))}
            names = {step: step.name for step in program.arguments}
            returns = {f"result{i}": x for i, x in enumerate(program.returns)}
            try:
                found.append((name, program, given, Printer().graph(program, names, returns)))
            except Unprintable as error:
                refused.setdefault(name, []).append(str(error))
    return found, refused


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_primitive_is_printed_or_refused_by_name(dtype):
    cases, refused = samples(dtype)
    missing = REFUSED | (SINGLE if dtype == np.float64 else set())
    assert {name for name, *_ in cases} == PRIMITIVES.keys() - missing
    for name in missing:
        for said in refused.pop(name):
            assert " has no spelling in ONNX: " in said
            assert ("float64" in said) is (name in SINGLE), said
    for said in refused.pop("put"):
        assert said.startswith(
            "an assignment to elements (x[index] = v) at an index that names a place"
        )
    assert refused == {}


@needs_onnx
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_sample_computes_the_same_in_onnxruntime(dtype):
    for name, program, given, graph in samples(dtype)[0]:
        shapes = {v.name: v.shape for v in (*graph.inputs, *graph.outputs)}
        dtypes = {v.name: v.dtype for v in graph.inputs}
        found = session(model(graph, name, {}, shapes, {})).run(
            None, {k: np.asarray(x, dtypes[k]) for k, x in given.items()}
        )
        steps = [step for step in program.steps if step.function is not guarded]
        with np.errstate(all="ignore"):
            expected = evaluated(program.with_(steps=steps), *given.values())
        assert len(found) == len(expected)
        for x, y in zip(found, expected, strict=True):
            agree(x, y, TOLERANCE[dtype], (name, given))


FLOATS = [
    np.nan,
    np.inf,
    -np.inf,
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    3.0,
    1e-12,
    40.0,
    7e4,
]
INTS = [0, 1, -1, 2, -2, 3, 7, -7]
# NumPy raises for negative powers, and logarithms of whole numbers are those of floats.
FLOATS_ONLY = {np.power, np.reciprocal, *(f for f in ELEMENTWISE if not isinstance(f, np.ufunc))}


def at_edges(values, dtype):
    """Every operation of the table, its arguments, which are all pairs of the values, and NumPy's
    results; those that are no ufuncs have other names in it."""
    x, y = (a.ravel() for a in np.meshgrid(np.array(values, dtype), np.array(values, dtype)))
    for f in ELEMENTWISE:
        if not isinstance(f, np.ufunc) or (dtype == np.int64 and f in FLOATS_ONLY):
            continue
        given = [x, y][: f.nin]
        try:
            with np.errstate(all="ignore"):
                expected = f(*given)
        except TypeError:  # of bits, for floats, and of what is no operation of truth values
            assert f.__name__.startswith(("bitwise", "invert")) or np.dtype(dtype) == bool
        else:
            yield f, given, expected


@needs_onnx
@pytest.mark.parametrize(
    ("values", "dtype"), [(FLOATS, np.float64), (FLOATS, np.float32), (INTS, np.int64)]
)
def test_every_row_of_the_table_keeps_numpys_conventions(values, dtype):
    count = 0
    for f, given, expected in at_edges(values, dtype):
        program = program_of(f, {f"x{i}": x for i, x in enumerate(given)})
        graph = Printer().graph(
            program, {s: s.name for s in program.arguments}, {"y": program.returns}
        )
        made = model(
            graph, "edges", {}, {v.name: v.shape for v in (*graph.inputs, *graph.outputs)}, {}
        )
        (found,) = session(made).run(None, {f"x{i}": x for i, x in enumerate(given)})
        assert found.dtype == expected.dtype
        where = np.flatnonzero(
            ~np.isclose(found, expected, 1e-5 if dtype == np.float32 else 1e-12, 0, equal_nan=True)
        )
        assert where.size == 0, (f, [x[where] for x in given], found[where], expected[where])
        count += 1
    assert count >= (20 if dtype == np.int64 else 55)


@needs_onnx
@pytest.mark.parametrize("dtype", ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_every_row_is_computed_or_refused_for_every_type(dtype):
    count, refused = 0, {}
    for f, given, expected in at_edges([0, 1, 2, 3], dtype):
        try:
            found = computed(f, *given)
        except Unprintable as error:
            refused[f"np.{f.__name__} of "] = str(error)
        else:
            agree(found, expected, 1e-5 if expected.dtype == np.float32 else 1e-12, f)
            count += 1
    assert count >= 20
    assert all(said.startswith(name) for name, said in refused.items())


WHOLE = [
    *(np.maximum, np.floor_divide, np.remainder, np.fmod, np.equal, np.add),
    lambda x, y: np.power(x % 7, y),
    *(lambda x, y: np.max(x) + np.min(y), lambda x, y: np.where(x > y, x, y), lambda x, y: x @ y),
    *(
        lambda x, y: np.sort(x),
        lambda x, y: np.argsort(x, kind="stable"),
        lambda x, y: np.argmax(x),
    ),
    *(
        lambda x, y: np.sum(x % 7, dtype=x.dtype) + np.prod(y, dtype=y.dtype),
        lambda x, y: np.clip(x, 1, 4),
    ),
    *(lambda x, y: np.tril(x[:, None] * y), lambda x, y: np.einsum("i,i", x, y)),
]


@needs_onnx
@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_whole_numbers_of_every_type_are_computed_or_refused(dtype):
    most = np.iinfo(dtype).max
    x, y = np.array([1, most, 3, 90], dtype), np.array([2, 3, 3, 1], dtype)
    refused = 0
    for f in WHOLE:
        with np.errstate(all="ignore"):
            expected = f(x, y)
        try:
            found = computed(f, x, y)
        except Unprintable as error:
            if dtype != "u8" or " of uint64" not in str(error):
                raise
            refused += 1
        else:
            assert (found.dtype, found.tolist()) == (expected.dtype, expected.tolist()), (f, dtype)
    assert refused < len(WHOLE)


@needs_onnx
@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4"])
def test_whole_numbers_are_divided_and_rounded_as_in_numpy(dtype):
    """Also the least ones, of which onnxruntime's quotient by −1 or 0 would end the process."""
    info = np.iinfo(dtype)
    ends = [info.min, info.min + 1, -1, -2, -15] if info.min else []
    values = np.array([*ends, 0, 1, 2, 3, 7, 15, 25, 95, info.max], dtype)
    x, y = (a.ravel() for a in np.meshgrid(values, values))
    for f in (
        *(
            lambda x, y: x // y,
            lambda x, y: x % y,
            np.fmod,
            lambda x, y: x // 3,
            lambda x, y: 7 // x,
        ),
        *(lambda x, y, i=i: np.divmod(x, y)[i] for i in (0, 1)),
        *(lambda x, y, k=k: np.round(x // 4, k) for k in (-1, -2, 0, 2)),
    ):
        with np.errstate(all="ignore"):
            expected = f(x, y)
            agree(computed(f, x, y), expected, 0, f)


@needs_onnx
def test_the_inverse_of_cosh_is_nan_below_1():
    x = np.array([-1e12, -3e9, -1e9, -1e7, -2.0, 0.5, 1.0, 1e9])
    with np.errstate(invalid="ignore"):
        agree(computed(np.arccosh, x), np.arccosh(x), 1e-12, "arccosh")


# ── arguments of one operation ────────────────────────────────────────────────────────────────────

X = np.random.default_rng(0).standard_normal((3, 4))
MASK = np.arange(12).reshape(3, 4) % 3 > 0
# How NumPy keeps a result in memory, or computes it, changes no number.
MEMORY = {"order", "subok", "copy", "casting", "optimize", "kind", "stable"}
#: Calls that between them give every argument that a spelling accepts.
CALLS = [
    *((f, (X,), {"axis": 1, "dtype": np.float32, "keepdims": True}) for f in (np.mean,)),
    *((f, (X > 0,), {"axis": 1, "keepdims": True}) for f in (np.all, np.any, np.count_nonzero)),
    *((f, (X,), {"axis": 1, "keepdims": True}) for f in (np.argmax, np.argmin)),
    *((f, (X,), {"axis": 0, "dtype": np.float32}) for f in (np.cumsum, np.cumprod)),
    *((f, (X,), {"axis": 0, "kind": "stable"}) for f in (np.sort, np.argsort)),
    (np.matmul, (X, X.T), {"dtype": np.float64}),
    (np.dot, (X, X.T), {}),
    (np.vdot, (X, X + 1), {}),
    (np.outer, (X[0], X[1]), {}),
    (np.einsum, ("ij,kj->ik", X, X + 1), {"dtype": np.float64, "optimize": True}),
    (np.reshape, (X,), {"shape": (2, 6)}),
    (np.ravel, (X,), {}),
    (np.expand_dims, (X,), {"axis": 1}),
    (np.squeeze, (X[:1],), {"axis": 0}),
    (np.copy, (X,), {}),
    (np.positive, (X,), {}),
    (np.tril, (X,), {"k": 1}),
    (np.triu, (X,), {"k": -1}),
    (np.transpose, (X[None],), {"axes": (1, 0, 2)}),
    (np.matrix_transpose, (X,), {}),
    (np.swapaxes, (X[None],), {"axis1": 0, "axis2": 2}),
    (np.moveaxis, (X[None],), {"source": 0, "destination": 2}),
    (np.broadcast_to, (X,), {"shape": (2, 3, 4)}),
    (np.concatenate, ((X, X + 1),), {"axis": 1, "dtype": np.float32}),
    (np.concatenate, ((X, X + 1),), {"axis": None}),
    (np.stack, ((X, X + 1),), {"axis": 1, "dtype": np.float32}),
    (np.flip, (X,), {"axis": 1}),
    (np.roll, (X,), {"shift": 1, "axis": 1}),
    *((np.diagonal, (X,), {"axis1": 1, "axis2": 0, "offset": k}) for k in (0, 1, -2, 4)),
    (np.take, (X,), {"indices": [2, 0, -1], "axis": 1}),
    (np.round, (X,), {"decimals": 1}),
    (np.clip, (X,), {"a_min": -0.1, "a_max": 0.3}),
    (np.clip, (X,), {"min": -0.1, "max": 0.3}),
    (np.clip, (X,), {"a_min": X - 1, "a_max": None}),
    (
        np.nan_to_num,
        (np.where(X > 1, np.nan, np.where(X < -1, np.inf, X)),),
        {"copy": True, "nan": 2.0, "posinf": 3.0, "neginf": 4.0},
    ),
    *((f, (X,), {"dtype": np.float32, "shape": (2, 2)}) for f in (np.ones_like, np.zeros_like)),
    (np.full_like, (X,), {"fill_value": 3, "dtype": np.float32, "shape": (2, 2)}),
    *((f, (X,), {"axis": 1, "keepdims": True, "initial": 0.2}) for f in (np.sum, np.prod, np.max)),
    *((f, (X,), {"axis": 1, "ddof": 1, "keepdims": True}) for f in (np.std, np.var)),
    *((f, (X,), {"axis": 1, "keepdims": True}) for f in (np.nansum, np.nanmean, np.nanvar, np.ptp)),
    (np.average, (X,), {"axis": 1, "weights": X + 4}),
    (np.average, (X,), {"axis": 0, "weights": X[:, 0] + 4}),
    (np.trapezoid, (X[0],), {"x": X[1]}),
    (np.trapezoid, (X,), {"dx": X[0, 0], "axis": 0}),
    (np.diff, (X,), {"n": 1, "axis": 0, "prepend": X[:1] + 1, "append": X[:2]}),
    (np.trace, (X,), {"axis1": 1, "axis2": 0}),
    (np.tensordot, (X, X + 1), {"axes": ([1], [1])}),
    (np.linalg.norm, (X,), {"axis": 1, "keepdims": True}),
]


def computed(function, *arrays):
    """What onnxruntime makes of the program of a function whose arguments are all given as arrays."""
    given = {f"x{i}": x for i, x in enumerate(arrays)}
    program = program_of(function, given)
    names = {step: step.name for step in program.arguments}
    graph = Printer().graph(program, names, {"result": program.returns})
    shapes = {v.name: v.shape for v in (*graph.inputs, *graph.outputs)}
    (found,) = session(model(graph, "call", {}, shapes, {})).run(
        None, {v.name: given[v.name] for v in graph.inputs}
    )
    return found


def forms(function, operands, params):
    """The call with its further arguments by name, and by place where they have one."""
    yield operands, params
    try:
        bound = inspect.signature(function).bind(*operands, **params)
    except ValueError:
        return
    if all(x is not np._NoValue for x in bound.args):
        yield bound.args, bound.kwargs


def of_arrays(function, args, kwargs):
    """The call as a function of its arrays, and these."""
    is_array = lambda x: isinstance(x, np.ndarray)
    nest = [[*x] if type(x) is tuple and any(map(is_array, x)) else x for x in args]
    flat = [
        x for part in (*nest, *kwargs.values()) for x in (part if type(part) is list else [part])
    ]

    def call(*arrays):
        rest = iter(arrays)
        own = lambda x: next(rest) if is_array(x) else x
        given = [[*map(own, x)] if type(x) is list else own(x) for x in nest]
        return function(*given, **{k: own(x) for k, x in kwargs.items()})

    return call, [x for x in flat if is_array(x)]


@needs_onnx
def test_arguments_that_a_spelling_accepts_count_by_name_and_by_place():
    count = 0
    for function, operands, params in CALLS:
        for args, kwargs in forms(function, operands, params):
            call, arrays = of_arrays(function, args, kwargs)
            try:
                found = computed(call, *arrays)
            except Unprintable as error:  # by place, and never another number
                if args is operands or " with " not in str(error):
                    raise
            else:
                agree(found, function(*args, **kwargs), 1e-6, (function, args, kwargs))
                count += 1
    assert count > 100


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.4.0", reason="NumPy's ufuncs have no signatures before"
)
def test_every_argument_that_a_spelling_accepts_is_tried():
    tried = {}
    for function, operands, params in CALLS:
        names = [*[*inspect.signature(function).parameters][: len(operands)], *params]
        tried.setdefault(function, set()).update(names)
    for function, (accepted, _) in SPELLED.items():
        if (getattr(function, "__module__", None) or "").startswith("numpy"):
            known = {*inspect.signature(function).parameters} | MEMORY
            if function in (np.array, np.asarray):
                continue  # of which only what they are given is traced
            left = {*accepted.split()} - MEMORY - tried.get(function, set()) - {"operands", "dtype"}
            assert left & known == set(), function


def test_an_argument_that_no_spelling_accepts_is_refused_by_name():
    x = program_of(lambda x: x + 1.0, {"x": X}).arguments[0]
    reductions = [np.sum, np.prod, np.max, np.min, np.std, np.var, np.nansum, np.nanmean, np.nanvar]
    rows = {f: accepted for f, (accepted, _) in SPELLED.items()} | dict.fromkeys(reductions, "")
    rows |= {np.std: "where", np.var: "where"}  # which are printed by what they are made of
    rows |= {f: "dtype" for f in ELEMENTWISE if isinstance(f, np.ufunc)}
    count = 0
    for function, accepted in rows.items():
        if not (getattr(function, "__module__", None) or "numpy").startswith("numpy"):
            continue
        further = {"surplus"} | (
            {"where", "casting"} if isinstance(function, np.ufunc) else {"where"}
        )
        try:
            further |= {*inspect.signature(function).parameters} & {
                "order",
                "mode",
                "offset",
                "axes",
            }
        except ValueError:
            pass
        for name in further - {*accepted.split()}:
            operands = [x] * (function.nin if isinstance(function, np.ufunc) else 1)
            step = Step(function, tuple(operands), {name: MASK}, X.shape, X.dtype, np.ndarray)
            printer = Printer()
            printer.argument(x, "x")
            with pytest.raises(Unprintable, match=f"with {name}"):
                printer.step(step, None)
            count += 1
    assert count > 150


@needs_onnx
def test_masks_and_weights_that_are_computed_are_used_or_refused(tmp_path):
    for f in (np.std, np.var):
        chosen = lambda x, m, f=f: f(x, axis=0, where=m)
        _, made, running = saved(chosen, tmp_path, X, MASK)
        agree(*run(made, running, X, MASK).values(), chosen(X, MASK), 1e-12, f.__name__)
    for f in (np.sum, np.nansum, np.nanmean, np.nanvar, np.mean, np.max):
        compiled = compile(
            lambda x, m, f=f: f(x, where=m, **({"initial": 0.0} if f is np.max else {}))
        )
        compiled(X, MASK)
        with pytest.raises(Unprintable, match=f"np.{f.__name__} with .*where.* at {__file__}:"):
            compiled.save(tmp_path / "step.onnx")
    for f in (
        lambda x: x.ravel("F"),
        lambda x: x.flatten("F"),
        lambda x: np.take(x, [7], mode="wrap"),
    ):
        compiled = compile(f)
        compiled(X)
        with pytest.raises(Unprintable, match="np.(ravel with order|take with mode) at"):
            compiled.save(tmp_path / "step.onnx")
    attend = lambda q, m: nn.scaled_dot_product_attention(q, q, q, m)
    q, m = np.random.default_rng(0).standard_normal((2, 3, 4)), MASK[:, :3]
    _, made, running = saved(attend, tmp_path, q, m)
    agree(*run(made, running, q, m).values(), attend(q, m), 1e-12, "a mask")


@needs_onnx
def test_a_loss_at_its_limits_has_its_gradient(tmp_path):
    p, y = np.array([0.0, 1.0, 0.5]), np.array([1.0, 0.0, 1.0])
    f = grad(lambda p: nn.binary_cross_entropy(p, y, reduction="sum"))
    _, made, running = saved(f, tmp_path, p)
    agree(*run(made, running, p).values(), [-1e12, 1e12, -2.0], 1e-12, "a wrong 0 and 1")


@needs_onnx
def test_what_a_rule_takes_for_granted_is_a_precondition(tmp_path):
    _, made, _ = saved(lambda x, q: np.quantile(x, q), tmp_path, X, 0.5)
    (said,) = metadata(made)["precondition"].splitlines()
    assert said.startswith("np.any(")
    assert "< 0 |" in said
    assert ") is False (" in said


@needs_onnx
@pytest.mark.parametrize(
    "function",
    [
        np.median, np.nanmedian, np.nanmax, np.nanmin,
        lambda x, axis: np.quantile(x, 0.3, axis=axis), lambda x, axis: np.nanquantile(x, 0.3, axis=axis),
        lambda x, axis: grad(lambda x: np.sum(np.median(x, axis=axis)))(x),
        lambda x, axis: grad(lambda x: np.sum(np.nanmax(x, axis=axis)))(x),
    ],
)  # fmt: skip
def test_a_shortcut_of_a_rule_is_no_precondition(function, tmp_path):
    """Traced without a nan, the model serves rows with some, and rows of nothing else."""
    f = lambda x: function(x, axis=1)
    _, made, running = saved(f, tmp_path, X)
    assert "is False" not in metadata(made).get("precondition", "")
    x = np.where(np.median(X) < X, np.nan, X)
    x[0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the extrema of nothing
        agree(*run(made, running, x).values(), f(x), 1e-12, "nan")


@needs_onnx
def test_what_numpy_makes_float64_is_computed_in_float64():
    x = np.linspace(0.1, 2.0, 12, dtype=np.float32).reshape(3, 4)
    for f in (lambda x: np.polyval([1.0, -2.0, 3.0], x), lambda x: np.cov(x)):
        assert f(x).dtype == np.float64
        agree(computed(f, x), f(x), 1e-14, f)


@needs_onnx
@pytest.mark.parametrize(
    ("function", "arrays"),
    [
        *((lambda x, i=i: x[i], (X,)) for i in (
            (None, [0, 1]), ([0, 1], None, [1, -1]), (None, 1, None), (slice(None, None, -2), [0, 2]),
            ([2, 0], slice(3, 0, -2)), (1, [0, 2]), ([0], None, slice(1, 3)), np.array([True, False, True]),
        )),
        (lambda x: x[None][[0], :, [1, 2]], (X,)),
        (grad(lambda x: np.sum(np.sin(x[None, [0, -1], :, None]))), (X,)),
        (grad(lambda x: np.sum(np.sin(np.einsum("ii", x)))), (X[:, :3],)),  # puts one number in many places
        (lambda x: np.diagonal(x, 1), (X,)),
        (lambda x: np.max(x, axis=(), initial=0.0), (X,)),
        (lambda x: np.mean(x, axis=1), (np.zeros((3, 0)),)),
        (lambda x: np.einsum("bij,bkj->bik", x, x), (np.zeros((0, 2, 3)),)),
        *((lambda x, f=f: f(x), (a,)) for f in (np.argmax, np.argmin) for a in (
            np.array([1.0, np.nan, np.inf, np.nan]), np.array([1, np.nan], np.float32), MASK, np.array(2.0), X,
        )),
        (lambda x: np.argmax(x, axis=1, keepdims=True), (np.array([[1.0, 2.0], [3.0, np.nan]]),)),
        *((lambda x, f=f: f(x, axis=1), (np.arange(6).reshape(2, 3) % 4,)) for f in (
            np.std, np.var, np.median, np.ptp, np.nansum, np.nanmax, np.average, np.diff, np.count_nonzero,
        )),
        (lambda x: np.ptp(x, axis=0), (np.array([[3, 250], [9, 1]], np.uint8),)),
        *((lambda x, f=f: f([x, x * 2]), (X,)) for f in (np.hstack, np.vstack, np.dstack, np.column_stack)),
        (lambda x: np.tensordot(x, x, 1), (np.array([65000, 3], np.uint16),)),  # wraps around
        (lambda x: np.diff(x), (np.array([2**31 - 1, -5, 7], np.int32),)),
        (lambda x: np.hstack([x, x * 2]), (np.arange(3),)),
        (lambda x: np.gradient(x[0])[1:] + np.block([[x[:1, 1:]], [x[:1, :3]]])[1], (X,)),
        (lambda x: np.unstack(x)[1], (X,)),
        (lambda x: np.pad(x, 1), (np.arange(3),)),
        (lambda x: x**0.5 + np.power(x, 0.5), (np.array([-np.inf, -0.0, 4.0]),)),
        *((lambda x, k=k: (x < k) | (k <= x) & (x != k), (np.arange(-2, 3, dtype=dtype),)) for k in (
            2**40, -(2**40), 1, 2**70,
        ) for dtype in (np.int32, np.int64)),
        (lambda x: (x > -1) & (x < 2**70), (np.arange(3, dtype=np.uint64),)),
        (lambda x: -x, (np.array([0, 1, 255], np.uint8),)),
        (lambda x: np.trunc(x) | np.floor(x) | np.abs(x), (MASK,)),
        (lambda x: x * np.arange(4.0).astype(">f8"), (X,)),
        (lambda x: np.angle(x) + np.modf(x)[0] + np.imag(x), (np.array([np.inf, -np.inf, -0.0, 0.5]),)),
    ],
)  # fmt: skip
def test_calls_whose_form_is_rare(function, arrays):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the mean of nothing
        agree(computed(function, *arrays), function(*arrays), 1e-12, arrays)


@needs_onnx
def test_elements_that_a_mask_names_are_chosen(tmp_path):
    def written(x, m):
        z = x.copy()
        z[x > 0.5] = -1.0
        z[m] = x[0] * 2
        return z

    rng = np.random.default_rng(0)
    calls = [(rng.standard_normal((n, 3)), rng.random(n) > 0.5) for n in (4, 1, 7)]
    compared(written, tmp_path, calls)

    def switched(x):
        z = x > 0
        z[x > 1] = False
        return z

    agree(computed(switched, X), switched(X), 0, "truth values")
    for f in (lambda x, v: np.sum(x[v > 0]), lambda x, v: x[True]):
        compiled = compile(f)
        compiled(X, X[:, 0])
        with pytest.raises(Unprintable, match="getitem at (truth values that|a single truth)"):
            compiled.save(tmp_path / "step.onnx")


# ── networks ──────────────────────────────────────────────────────────────────────────────────────


def saved(function, tmp_path, *args):
    """The compiled function after a call, its model, and a session."""
    compiled = compile(function)
    compiled(*args)
    path = tmp_path / "step.onnx"
    compiled.save(path)
    made = onnx.load(path)
    return compiled, made, session(made)


FIXED = "of 1 or more; all other sizes are fixed"


def metadata(made):
    return {p.key: p.value for p in made.metadata_props}


def run(made, run_session, *args):
    """The results by name, of the arguments in order."""
    defaults = {x.name for x in made.graph.initializer}
    names = [x.name for x in run_session.get_inputs() if x.name not in defaults]
    values = [np.asarray(x) for _, x in leaves(args)]
    found = run_session.run(None, dict(zip(names, values, strict=True)))
    return dict(zip([x.name for x in run_session.get_outputs()], found, strict=True))


def compared(function, tmp_path, calls, parameters=(), tolerance=1e-10):
    """The model of a function gives what the function gives, for batches of all sizes."""
    parameters = list(parameters)
    _, made, running = saved(function, tmp_path, *calls[0])
    assert metadata(made)["batch"].startswith("free: the first axis of ")
    for args in calls:
        found = run(made, running, *args)
        expected = [x.numpy() if isinstance(x, Tensor) else x for _, x in leaves(function(*args))]
        for p in parameters:
            agree(found.pop(f"{p.name}.grad"), p.grad, tolerance, p.name)
        for x, y in zip(found.values(), expected, strict=True):
            agree(x, y, tolerance, [np.shape(a) for a in args])
    return made


def gradients(model, loss):
    def step(*data):
        model.zero_grad()
        y = loss(*data)
        y.backward()
        return y

    return step


def labelled(rng, n, *shape, classes=10, dtype=np.float64):
    return rng.standard_normal((n, *shape)).astype(dtype), rng.integers(0, classes, n)


@needs_onnx
def test_a_classifier_of_digits(tmp_path):
    rng = np.random.default_rng(0)
    net = nn.MLP([784, 256, 10], rng=0).astype(np.float32)
    data = [labelled(rng, n, 784, dtype=np.float32) for n in (32, 1, 7)]
    with no_grad():
        compared(net, tmp_path, [(x,) for x, _ in data], (), 1e-5)
    step = gradients(net, lambda x, y: nn.cross_entropy(net(x), y))
    made = compared(step, tmp_path, data, net.parameters(), 1e-5)
    assert [x.name for x in made.graph.input] == ["x1", "x2"]
    names = {x.name for x in made.graph.initializer}
    assert {"linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias"} <= names


@needs_onnx
def test_a_convolutional_network(tmp_path):
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, rng=0), "relu", nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, stride=2, rng=1), "relu",
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(54, 10, rng=2),
    ).astype(np.float32)  # fmt: skip
    data = [labelled(rng, n, 1, 28, 28, dtype=np.float32) for n in (4, 1, 3)]
    step = gradients(net, lambda x, y: nn.cross_entropy(net(x), y))
    made = compared(step, tmp_path, data, net.parameters(), 1e-4)
    assert {"Conv", "ConvTranspose", "MaxPool"} <= {node.op_type for node in made.graph.node}


@needs_onnx
def test_convolutions_in_groups(tmp_path):
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=4, padding=1, rng=0), "relu", nn.Conv2d(4, 6, 3, groups=2, stride=2, rng=1),
        "relu", nn.Flatten(), nn.Linear(54, 3, rng=2),
    ).astype(np.float32)  # fmt: skip
    data = [labelled(rng, n, 4, 8, 7, classes=3, dtype=np.float32) for n in (4, 1, 3)]
    step = gradients(net, lambda x, y: nn.cross_entropy(net(x), y))
    made = compared(step, tmp_path, data, net.parameters(), 1e-4)
    groups = {a.i for node in made.graph.node for a in node.attribute if a.name == "group"}
    assert groups == {2, 4}


class Block(nn.Module):
    def __init__(self, width, heads):
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, rng=0), nn.Linear(width, width, rng=1)
        self.mlp = nn.MLP([width, 2 * width, width], activation="gelu", rng=2)

    def forward(self, x):
        n, length, width = x.shape
        split = lambda a: a.reshape(n, length, self.heads, -1).transpose(0, 2, 1, 3)
        q, k, v = map(split, np.split(self.qkv(self.first(x)), 3, axis=-1))
        a = nn.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(a.transpose(0, 2, 1, 3).reshape(n, length, width))
        return x + self.mlp(self.second(x))


@needs_onnx
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_language_model_of_one_transformer_block(dtype, tmp_path):
    rng = np.random.default_rng(0)
    net = nn.Sequential(nn.Embedding(11, 8, rng=3), Block(8, 2), nn.Linear(8, 11, rng=4)).astype(
        dtype
    )
    step = gradients(net, lambda x, y: nn.cross_entropy(net(x).reshape(-1, 11), y.reshape(-1)))
    data = [(rng.integers(0, 11, (n, 5)), rng.integers(0, 11, (n, 5))) for n in (3, 1, 6)]
    tolerance = 1e-10 if dtype == np.float64 else 1e-4
    compared(step, tmp_path, data, net.parameters(), tolerance)


@needs_onnx
def test_the_neuron_and_parameters_in_a_dict(tmp_path):
    rng = np.random.default_rng(0)
    neuron = value_and_grad(lambda w, x, b: np.tanh(np.dot(w, x) + b), argnums=(0, 1, 2))
    calls = [(rng.standard_normal(n), rng.standard_normal(n), 0.3) for n in (2, 3)]
    compared(neuron, tmp_path, calls)

    def loss(params, X, Y):
        return np.mean((np.tanh(X @ params["W"] + params["b"][0]) - Y) ** 2)

    params = {"W": rng.standard_normal((2, 3)), "b": [np.zeros(3)]}
    calls = [(params, rng.standard_normal((n, 2)), rng.standard_normal((n, 3))) for n in (5, 1, 8)]
    made = compared(value_and_grad(loss), tmp_path, calls)
    assert [x.name for x in made.graph.input] == ["params.W", "params.b.0", "X", "Y"]
    size = [d.dim_param or d.dim_value for d in made.graph.input[2].type.tensor_type.shape.dim]
    assert size == ["batch", 2]


@needs_onnx
def test_statistics_whose_constants_follow_the_size_in_other_ways(tmp_path):
    rng = np.random.default_rng(0)
    for f in (
        lambda x: np.var(x, ddof=1) + np.std(x),
        lambda x: np.sum(np.sort(x) * np.arange(len(x))) + np.linalg.norm(x),
        lambda x: np.prod(x) + np.max(x) + np.sum(np.cumsum(x) ** 2) + np.sum(np.diff(x) ** 2),
        lambda x: np.sum(np.outer(x, x) ** 3) + np.sum(np.roll(x, 1) * x[::-1]) / np.sqrt(x.size),
        lambda x: (
            np.sum(np.take(x, [0, -1, 0]) ** 3)
            + np.sum((np.stack([x, x * x]).mT @ np.ones(2)) ** 2)
        ),
    ):
        compared(value_and_grad(f), tmp_path, [(rng.standard_normal(n),) for n in (6, 2, 11)])


@needs_onnx
def test_a_loop_is_a_scan(tmp_path):
    def run_through(w, xs, h):
        def body(h, x):
            h = np.tanh(h @ w + x)
            return h, h

        h, states = scan(body, h, xs)
        return np.sum(states**2) + np.sum(h)

    rng = np.random.default_rng(0)
    w = rng.standard_normal((3, 3))
    calls = [(w, rng.standard_normal((n, 3)), np.zeros(3)) for n in (6, 2, 30)]
    made = compared(value_and_grad(run_through, argnums=(0, 2)), tmp_path, calls)
    assert [node.op_type for node in made.graph.node].count("Scan") == 2

    def growth(rate, xs):
        return scan(lambda c, x: (np.sin(c * rate + x), c * x), 0.1, xs)

    compared(growth, tmp_path, [(0.5, rng.standard_normal(n)) for n in (4, 1, 9)])


@needs_onnx
def test_a_python_loop_of_thousands_of_steps_is_traced_again(tmp_path):
    """Its program has a loop; the steps that it was traced with are not kept."""

    def relaxed(w, x):
        for _ in range(80):
            x = x + 0.1 * np.tanh(x @ w)
        return np.sum(x * x)

    rng = np.random.default_rng(0)
    calls = [(rng.standard_normal((3, 3)), rng.standard_normal((2, 3))) for _ in range(3)]
    compared(value_and_grad(relaxed), tmp_path, calls)


@needs_onnx
def test_a_loop_that_carries_the_batch_runs_for_any_batch(tmp_path):
    def last(w, xs):
        def body(h, x):
            h = np.tanh(x + h @ w)
            return h, h

        h, _ = scan(body, np.zeros((xs.shape[0], 3)), xs.transpose(1, 0, 2))
        return np.sum(h**2, axis=1)

    rng = np.random.default_rng(0)
    calls = [(0.5 * np.eye(3), rng.standard_normal((n, 7, 3))) for n in (2, 1, 5)]
    compared(last, tmp_path, calls)
    compared(value_and_grad(lambda *args: np.sum(last(*args))), tmp_path, calls)
    calls = [(rng.standard_normal((n, 3)),) for n in (4, 1, 6)]
    compared(lambda x: np.cumprod(x, axis=1), tmp_path, calls)
    compared(grad(lambda x: np.sum(np.cumprod(x, axis=1) ** 2)), tmp_path, calls)


@needs_onnx
def test_sums_of_products_are_free_whatever_numpy_does_for_long_arrays(tmp_path):
    def attended(w, q, k, v):
        q = np.einsum("btd,de->bte", q, w)
        scores = np.tanh(np.einsum("bqd,bkd->bqk", q, k))
        return np.sum(np.einsum("bqk,bkd->bqd", scores, v) ** 2)

    rng = np.random.default_rng(0)
    w = rng.standard_normal((6, 6))
    heads = lambda n: [rng.standard_normal((n, *shape)) for shape in ((5, 6), (7, 6), (7, 3))]
    compared(value_and_grad(attended), tmp_path, [(w, *heads(n)) for n in (4, 1, 40)])
    layer = grad(lambda w, x: np.sum(np.einsum("ni,ij->nj", x, w) ** 2))
    for first in (2, 500):
        calls = [(w, rng.standard_normal((n, 6))) for n in (first, 5, 1)]
        compared(layer, tmp_path, calls)


@needs_onnx
def test_a_program_of_another_state_is_not_traced_again(tmp_path):
    net = nn.Sequential(nn.Linear(6, 6, rng=0), nn.Dropout(0.0))
    f = lambda x: np.einsum("ni,nj->ij", net(x), x) * (2.0 if net.training else 3.0)
    compiled = compile(grad(lambda x: np.sum(f(x) ** 2)))
    x = np.random.default_rng(0).standard_normal((4, 6))
    expected = compiled(x)
    net.eval()
    compiled.save(tmp_path / "step.onnx")
    made = onnx.load(tmp_path / "step.onnx")
    agree(*run(made, session(made), x).values(), expected, 1e-10, "in training mode")


@needs_onnx
def test_constants_that_repeat_along_the_batch_are_broadcast(tmp_path):
    rng = np.random.default_rng(0)
    net, weights = nn.MLP([3, 5, 3], rng=0), np.array([1.0, 2.0, 3.0])
    for f in (
        lambda x: np.sum(np.tanh(x) * np.arange(3.0)),
        lambda x: np.sum(net(x)[:, 1]),
        lambda x: np.mean((np.tanh(x) - 1.0) ** 2 * weights),
        lambda x: np.sum(np.sort(x, axis=1) * np.arange(3.0)),
    ):
        for first in (4, 1):
            compared(grad(f), tmp_path, [(rng.standard_normal((n, 3)),) for n in (first, 6, 2)])
    compared(np.diag, tmp_path, [(rng.standard_normal(n),) for n in (3, 5)])
    step = gradients(net, lambda x, y: nn.cross_entropy(net(x), y))
    data = [labelled(rng, n, 3, classes=3) for n in (1, 4, 2)]
    compared(step, tmp_path, data, net.parameters())

    def lower(x):  # whose constant is no repetition
        return (
            x @ np.tril(np.ones((x.shape[1], x.shape[1]), bool))
            + np.sin(np.arange(len(x)))[:, None]
        )

    _, made, _ = saved(lower, tmp_path, X)
    assert metadata(made)["batch"].startswith("fixed: ")


@needs_onnx
def test_one_array_given_twice_is_two_inputs(tmp_path):
    compared(lambda x, y: x - 2 * y, tmp_path, [(X, X), (X, X + 1), (X[:1], X[1:2])])
    compared(lambda q, k, v: nn.scaled_dot_product_attention(q, k, v), tmp_path, [(X[None],) * 3])
    t = Tensor(X)
    _, made, running = saved(lambda p, q: p["w"] - 2 * q, tmp_path, {"w": t}, t)
    agree(*run(made, running, {"w": X}, X + 1).values(), -X - 2, 1e-12, "a Tensor")
    _, made, running = saved(lambda t: np.tanh(t), tmp_path, t)
    assert metadata(made)["batch"] == f"free: the first axis of t, {FIXED}"
    agree(*run(made, running, X[:2]).values(), np.tanh(X[:2]), 1e-12, "a Tensor")


@needs_onnx
def test_what_a_step_updates_is_an_input_with_a_default(tmp_path):
    rng = np.random.default_rng(0)
    net = nn.Sequential(nn.Linear(4, 3, rng=0), nn.BatchNorm1d(3), "relu", nn.Linear(3, 2, rng=1))
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)

    def train(x, y):
        optimizer.zero_grad()
        loss = nn.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    data = [labelled(rng, n, 4, classes=2) for n in (8, 8, 8, 5, 6)]
    compiled = compile(train)
    for batch in data[:2]:
        compiled(*batch)
    compiled.save(tmp_path / "train.onnx")
    made = onnx.load(tmp_path / "train.onnx")
    running = session(made)
    state = {}
    for x, y in data[2:]:
        found = dict(
            zip(
                [o.name for o in running.get_outputs()],
                running.run(None, {"x": x, "y": y, **state}),
            )
        )
        state = {k.removesuffix(".new"): v for k, v in found.items() if k.endswith(".new")}
        agree(found["loss"], train(x, y).item(), 1e-10, "loss")
    for p in net.parameters():
        agree(state[p.name], p.numpy(), 1e-10, p.name)
    assert {k for k in state if k.startswith("momentum_buffer")}
    assert any(k.endswith("running_var") for k in state)


# ── what a model says of itself ───────────────────────────────────────────────────────────────────


@needs_onnx
def test_scopes_are_names_of_nodes_and_the_opset_is_stated(tmp_path):
    net = nn.MLP([4, 3, 2], activation="tanh", rng=0)
    step = gradients(net, lambda x, y: nn.cross_entropy(net(x), y))
    _, made, _ = saved(step, tmp_path, np.ones((5, 4)), np.zeros(5, int))
    names = [node.name for node in made.graph.node]
    assert len({*names}) == len(names)
    assert "mlp/linear1/MatMul" in names
    assert "backward/mlp/linear1/MatMul" in names
    assert (made.ir_version, made.opset_import[0].version) == (IR, OPSET) == (8, 18)
    assert made.producer_name == "autobp"


@needs_onnx
def test_guards_are_preconditions(tmp_path):
    def loss(x, y):
        return nn.cross_entropy(x, y)

    _, made, _ = saved(loss, tmp_path, np.ones((5, 3)), np.zeros(5, int))
    first, _, last = metadata(made)["precondition"].splitlines()
    line = loss.__code__.co_firstlineno + 1
    assert first == f"np.min(y) >= 0 is True (test_compiler_onnx.py:{line})"
    assert last == f"np.max(y) < 3 is True (test_compiler_onnx.py:{line})"
    assert not any(str(tmp_path.parent) in value for value in metadata(made).values())


@needs_onnx
def test_a_size_that_the_program_is_made_for_is_fixed_and_said(tmp_path):
    def unrolled(xs):
        h = 0.0
        for x in xs:
            h = np.tanh(h + x)
        return h

    _, made, running = saved(unrolled, tmp_path, np.ones(6))
    assert metadata(made)["batch"] == (
        "fixed: for xs of another length, another number of operations is needed for another size"
    )
    assert running.get_inputs()[0].shape == [6]

    def halves(x):
        return x[::2]

    _, made, _ = saved(halves, tmp_path, np.ones(6))
    assert metadata(made)["batch"].startswith("fixed: ")
    _, made, _ = saved(
        lambda p, xs: unrolled(xs) * p["w"],
        tmp_path,
        {"w": np.ones(2), "b": np.ones(3)},
        np.ones(6),
    )
    assert metadata(made)["batch"] == (
        "free: the first axis of p.w, of 1 or more; all other sizes are fixed: for xs of another length,"
        " another number of operations is needed for another size"
    )
    _, made, _ = saved(lambda x: x * 2, tmp_path, 1.5)
    assert metadata(made)["batch"] == "fixed: no argument is an array with rows"


@needs_onnx
def test_what_depends_on_the_length_in_another_way_is_fixed(tmp_path):
    for f in (
        lambda x: np.sum(x[:50]),
        lambda x: np.sum(x) * (2.0 if len(x) > 100 else 1.0),
        lambda x: x[: min(len(x), 10)],
        *(lambda x, k=k: x * (len(x) % k == 0) for k in (2, 3, 4, 5, 6, 8, 10, 16, 32)),
        *(
            lambda x, f=f: x * f(len(x))
            for f in (lambda n: n // 2, lambda n: (-1) ** n, lambda n: -(-n // 2))
        ),
        lambda x: np.pad(x, ((0, len(x) % 2), (0, 0))),
    ):
        for n in (2, 3):
            _, made, _ = saved(f, tmp_path, X[:n])
            assert metadata(made)["batch"].startswith("fixed: ")
    f = lambda x: np.sum(x) * (2.0 if len(x) == 1 else 1.0)
    _, made, running = saved(f, tmp_path, X)
    said = "free: the first axis of x, of 2 or more; all other sizes are fixed"
    assert metadata(made)["batch"] == said
    agree(*run(made, running, X[:2]).values(), f(X[:2]), 1e-12, "two rows")


@needs_onnx
def test_the_batch_is_that_of_labels_and_of_most_arrays(tmp_path):
    made = compared(lambda t, y: t[y], tmp_path, [(X, np.array(y)) for y in ([0, 2, 1, 1], [2])])
    assert metadata(made)["batch"] == f"free: the first axis of y, {FIXED}"
    w, b, v = np.eye(3, 4), np.ones(3), np.ones((5, 4))
    for f, args, data in (
        (lambda w, x: x @ w.T, (w, v), "x"),
        (lambda x, w: x @ w.T, (v, w), "x"),
        (lambda c, x: np.argmin(np.sum((x[:, None] - c) ** 2, axis=-1), axis=1), (w, v), "x"),
        (lambda a: a[0] @ a[1].T, ([v, w],), "a.0"),
        (lambda w, b, x: np.tanh(x @ w.T + b), (w, b, v), "x"),
        (value_and_grad(lambda w, x: np.mean((x @ w.T) ** 2)), (w, v), "x"),
        (grad(lambda x, w: np.mean((x @ w.T) ** 2), argnums=1), (v, w), "x"),
        (value_and_grad(lambda w, x, y: np.mean((x @ w.T - y) ** 2)), (w, v, v[:, :3]), "x and y"),
    ):
        _, made, _ = saved(f, tmp_path, *args)
        assert metadata(made)["batch"] == f"free: the first axis of {data}, {FIXED}"
    calls = [(X[:n, :3], X[:n, 3], np.arange(3.0)) for n in (3, 2, 1)]
    made = compared(lambda x, y, w: np.mean((x @ w - y) ** 2), tmp_path, calls)
    assert metadata(made)["batch"].startswith(
        f"free: the first axis of x and y, {FIXED}: for x and y and w"
    )


@needs_onnx
def test_names_of_users_are_no_names_of_ours(tmp_path):
    def f(c0, t0, c1, p):
        return c0 * 2 + c1 * np.array([1.0, 2.0, 3.0]) + np.tanh(t0) / len(t0) + p["batch"]["0"]

    rng = np.random.default_rng(0)
    calls = [
        (*rng.standard_normal((3, n, 3)), {"batch": {"0": rng.standard_normal(3)}})
        for n in (4, 1, 6)
    ]
    compared(f, tmp_path, calls)
    w = Tensor([1.0, 2.0, 3.0], name="c0")
    _, made, running = saved(lambda x: x * w + 2.0, tmp_path, X[:, :3])
    agree(*run(made, running, X[:, :3]).values(), X[:, :3] * w.numpy() + 2, 1e-12, "c0")
    keys = {(0, 1): X, "a b": X, "it's": X, 2: X}
    _, made, running = saved(lambda p: p[0, 1] - p["a b"] * p["it's"] + p[2], tmp_path, keys)
    assert [x.name for x in made.graph.input] == ["p.(0, 1)", "p.a b", "p.it's", "p.2"]
    agree(*run(made, running, keys).values(), X - X * X + X, 1e-12, "keys")
    compiled = compile(np.tanh)
    compiled(X)
    compiled.save(tmp_path / "step.ONNX")
    assert len(onnx.load(tmp_path / "step.ONNX").graph.node) == 1


@needs_onnx
def test_one_sample_is_enough_to_free_the_batch(tmp_path):
    net = nn.MLP([4, 3, 2], rng=0)
    x = np.random.default_rng(0).standard_normal((7, 4))
    with no_grad():
        _, made, running = saved(net, tmp_path, x[:1])
        (found,) = run(made, running, x).values()
        np.testing.assert_allclose(found, net(x).numpy(), 1e-12)


@needs_onnx
def test_results_have_their_paths(tmp_path):
    def f(x):
        return {"a": x, "b": [x + 1.0, 2.0, None]}, x

    _, made, running = saved(f, tmp_path, np.ones(3))
    found = run(made, running, np.arange(3.0))
    assert {k: v.tolist() for k, v in found.items()} == {
        "result.0.a": [0.0, 1.0, 2.0],
        "result.0.b.0": [1.0, 2.0, 3.0],
        "result.0.b.1": 2.0,
        "result.1": [0.0, 1.0, 2.0],
    }


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────


@needs_onnx
def test_what_cannot_be_saved_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "step.onnx"

    def refused(function, *args):
        compiled = compile(function)
        compiled(*args)
        with pytest.raises(Unprintable) as caught:
            compiled.save(path)
        assert not path.exists()
        return str(caught.value)

    f = lambda x: np.linalg.inv(x)
    assert refused(f, np.eye(2)) == (
        f"np.linalg.inv at {__file__}:{f.__code__.co_firstlineno} has no spelling in ONNX: compute it"
        " outside of the function that is saved"
    )
    for name, f in (
        ("np.multiply.outer", lambda x: np.multiply.outer(x, x)),
        ("np.maximum.accumulate", lambda x: np.maximum.accumulate(x)),
        ("np.subtract.reduce", lambda x: np.subtract.reduce(x)),
        ("np.matmul of truth values", lambda x: (x > 0) @ (x > 1)),
        ("np.einsum of truth values", lambda x: np.einsum("i->", x > 0)),
        ("np.std of truth values", lambda x: np.std(x > 0)),
        ("np.einsum of lists of axes", lambda x: np.einsum(x, [0], [0])),
        ("autobp.polygamma", lambda x: polygamma(1, x)),
        ("np.where of a condition alone", lambda x: np.where(x > 0)),
    ):
        assert refused(f, np.ones(3)).startswith(f"{name} at {__file__}:")
    assert refused(lambda x: x * 2, np.ones(3, np.float16)) == (
        "x of float16 has no spelling in ONNX: give it another type, as by x.astype(np.float32)"
    )
    for name, f in (
        ("eigh", lambda x: np.linalg.eigh(x)),
        ("svd", lambda x: np.linalg.svd(x)),
        ("qr", lambda x: np.linalg.qr(x).R),
        ("slogdet", lambda x: np.linalg.slogdet(x)),
        ("slogdet", lambda x: np.linalg.slogdet(x).sign),
    ):
        assert refused(f, np.eye(3)).startswith(f"np.linalg.{name} at {__file__}:")
    drop, x = nn.Dropout(0.5, rng=0), np.ones((2, 3))
    said = refused(lambda x: drop(x), x)
    assert "random numbers are drawn" in said
    assert "call eval() on the model and then the function once more" in said
    conv = nn.Conv2d(1, 1, 2, rng=0)
    with no_grad():
        said = refused(conv, np.ones((1, 1, 3, 3)))
    assert "of float64, which onnxruntime computes in float32 alone, at " in said
    assert said.endswith(": give it float32, as by model.astype(np.float32)")
    assert "returns no number and no array" in refused(lambda x: None, x)

    graph = Printer().graph(program_of(np.tanh, {"x": np.ones(3)}), {}, {})
    graph.nodes.append(Node("Tanh", ["y"], ["z"]))
    with pytest.raises(
        Unprintable, match="the graph of step does not pass ONNX's checker: .*input .y. of node"
    ):
        model(graph, "step", {}, {}, {})

    def many(rows):
        return [sum(w * x for w, x in zip(row, row[::-1])) for row in rows]

    assert "computes with many single numbers" in refused(many, [[0.1 * i for i in range(40)]] * 60)


def test_without_onnx_an_error_names_the_extra(tmp_path, monkeypatch):
    compiled = compile(np.tanh)
    compiled(np.ones(3))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"save needs onnx: pip install .*\[onnx\]'"):
        compiled.save(tmp_path / "step.onnx")
