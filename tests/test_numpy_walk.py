"""A walk over all of NumPy: no function treats a Tensor silently as a constant.

Each public function is called with Tensors where it takes arrays, in every form that is likely to
reach it. It may differentiate, and return Tensors; or be one of those that give plain results by
design; or refuse, with our error. A function that only ever fails in some other way is unknown, and
the test names it: that is what happens when NumPy grows a function.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from autobp import (
    Tensor,
    leaky_relu,
    log_softmax,
    logsumexp,
    relu,
    sigmoid,
    softmax,
    softplus,
)
from autobp.dag import ancestors
from autobp.rules.functions import PLAIN
from autobp.tree import leaves

MODULES = (np, np.linalg, np.fft, np.emath, np.lib.stride_tricks)

# fmt: off
#: Not called, because no argument of theirs is an array of numbers.
NO_ARRAYS = {
    "they read, write or print":
        "fromfile fromregex genfromtxt load loadtxt save savetxt savez savez_compressed"
        " frombuffer fromstring info show_config show_runtime test",
    "they are about NumPy's settings":
        "get_include get_printoptions set_printoptions printoptions getbufsize setbufsize"
        " geterr seterr geterrcall seterrcall",
    "they are about types":
        "can_cast isdtype issubdtype mintypecode promote_types result_type typename datetime_data",
    "they take sizes":
        "zeros ones empty eye identity indices broadcast_shapes binary_repr mask_indices"
        " bartlett blackman hamming hanning tri diag_indices tril_indices triu_indices",
    "they make functions, or arrays by calling one":
        "frompyfunc fromfunction",
    "they are about memory, of which a Tensor has none of its own: it lacks the attribute":
        "isfortran from_dlpack nested_iters",
}

#: Plain results by design, besides those in autobp.rules.functions.
PLAIN_TOO = {
    "isscalar":  "asks what the object is",
    "iterable":  "asks what the object is",
    "full_like": "has the shape of its argument, and none of its values",
    "bmat":      "gives None for what is neither text, nor a list, nor an array",
}

#: Parameters, by function or for all ("*"), that are no numbers to be differentiated by: types and
#: truth values, sizes and names, conditions and thresholds, and the `out` that is refused anyway.
OPTIONS = {
    "*":           "dtype axis out keepdims order copy subok device casting like kind stable assume_unique"
                   " equal_nan overwrite_input density hermitian norm mode sparse invert right writeable"
                   " descending check_bounds",
    "angle":       "deg",
    "average":     "returned",
    "bmat":        "ldict gdict",
    "compress":    "condition",
    "cov":         "rowvar bias ddof",
    "corrcoef":    "rowvar bias ddof",
    "cumulative_prod": "include_initial",
    "cumulative_sum":  "include_initial",
    "extract":     "condition",
    "fromiter":    "count",
    "geomspace":   "endpoint",
    "gradient":    "edge_order",
    "interp":      "left right",  # they count only outside
    "intersect1d": "return_indices",
    "linspace":    "endpoint retstep",
    "logspace":    "endpoint",
    "matrix_rank": "tol rtol",
    "nan_to_num":  "nan posinf neginf",  # they count only where there is something to replace
    "real_if_close": "tol",
    "require":     "requirements",
    "svd":         "full_matrices compute_uv",
    "unique":      "return_index return_inverse return_counts sorted",
    "unwrap":      "discont",
    "vander":      "increasing N",
    "where":       "condition",
}
OPTIONS = {name: set(given.split()) for name, given in OPTIONS.items()}

#: Calls that the general forms below do not make.
CALLS: dict[str, Callable[[Any], Any]] = {
    "apply_along_axis": lambda t: np.apply_along_axis(np.sum, 0, t),
    "bincount":         lambda t: np.bincount([0, 1, 1], weights=t),
    "dsplit":           lambda t: np.dsplit(t[None, None], 3),
    "einsum":           lambda t: np.einsum("...->...", t),
    "einsum_path":      lambda t: np.einsum_path("...->...", t),
    "fill_diagonal":    lambda t: np.fill_diagonal(np.ones((3, 3)), t),
    "choose":           lambda t: np.choose([0, 1], [t[:2], t[1:]]),
    "histogramdd":      lambda t: np.histogramdd([t, t]),
    "piecewise":        lambda t: np.piecewise(t, [t > 0], [1.0]),
    "select":           lambda t: np.select([t > 0], [t]),
    "as_strided":       lambda t: np.lib.stride_tricks.as_strided(t, (2,), (8,)),
    "sliding_window_view": lambda t: np.lib.stride_tricks.sliding_window_view(t, 2),
    "cholesky":         lambda t: np.linalg.cholesky(np.diag(t * t + 1)),
    "tensorsolve":      lambda t: np.linalg.tensorsolve(np.eye(3), t),
}
# fmt: on


def public(module: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    skipped = {name for names in NO_ARRAYS.values() for name in names.split()}
    for name in sorted(dir(module)):
        function = getattr(module, name)
        if name.startswith("_") or name in skipped or isinstance(function, type):
            continue
        if callable(function):
            yield name, function


FUNCTIONS = [
    pytest.param(f, f"{module.__name__}.{name}", id=f"{module.__name__}.{name}")
    for module in MODULES
    for name, f in public(module)
]


FUNCTIONS += [
    pytest.param(f, f"autobp.{f.__name__}", id=f"autobp.{f.__name__}")
    for f in (relu, leaky_relu, sigmoid, softplus, softmax, log_softmax, logsumexp)
]


def forms(t: Tensor) -> Iterator[tuple[Any, ...]]:
    """Arguments by position, a Tensor in the first place of all."""
    a = t.numpy()
    yield from [(t,), (t, t), (t, t, t), (t, a), (t, a, a), ([t, t],), ((t, t), a)]
    yield from [(t, 0), (t, 1), (t, 0, 1), (t, 0.5), (t, [0]), (t, (1,)), (t, [0], a, 0)]
    yield from [(t, a > 0.5, t), (t, a > 0.5, a), (t, [a > 0.5], [1.0])]


def parameters_of(function: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:  # NumPy's C has signatures since 2.4
        condition = ["condition"] if function is np.where else []
        names = [*condition, *(f"x{i}" for i in range(getattr(function, "nin", 1)))]
        return [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names]


def later_forms(
    parameters: list[inspect.Parameter], t: Tensor
) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """The Tensor in the place of each parameter but the first, which is an array, a list, a number,
    a shape or another Tensor."""
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p.name for p in by_position if p.default is p.empty]
    a = t.numpy()
    for first in (a, [a, a], 1, [0], (3,), Tensor(a)):
        for other in (a, 0, [0]):
            plain = [first, *(other for _ in required[1:])][: len(required)]
            for p in parameters:
                if p.name in required[1:]:
                    i = required.index(p.name)
                    yield p.name, (*plain[:i], t, *plain[i + 1 :]), {}
                elif p.default is not p.empty and p.kind is not p.POSITIONAL_ONLY:
                    yield p.name, tuple(plain), {p.name: t}


def outcome(call: Callable[[Tensor], Any], t: Tensor) -> str:
    """What comes of a call that the Tensor has a part in."""
    try:
        result = call(t)
    except RecursionError:
        return "recursion"
    except Exception as error:
        return "refused" if refused(error) else "failed"
    tensors = [y for _, y in leaves(result) if isinstance(y, Tensor)]
    return "recorded" if t in ancestors(tensors, t.level) else "constant"


def refused(error: BaseException | None) -> bool:
    """Whether an error is ours, or NumPy's in consequence of ours."""
    return error is not None and (
        "has no rule of differentiation" in str(error)
        or "is recorded and cannot silently become" in str(error)
        or "is recorded and cannot be written into an array" in str(error)
        or "cannot be changed in place" in str(error)
        or refused(error.__cause__)
    )


THREE = np.array([0.3, 0.5, 0.9])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("function", "path"), FUNCTIONS)
def test_no_tensor_is_silently_constant(function: Any, path: str) -> None:
    name = path.rpartition(".")[2]
    plain = name in PLAIN_TOO or any(function is f for f in PLAIN)
    options = OPTIONS["*"] | OPTIONS.get(name, set())
    parameters = parameters_of(function)
    first = parameters[0].name if parameters else ""
    outcomes = set()
    for shape in ((), (3,), (3, 3)):
        n = math.prod(shape)
        t = Tensor(((np.arange(n) * 7 % 10 + 1) / 11).reshape(shape))
        calls = [(first, args, {}) for args in forms(t)]
        calls = [c for c in calls if first not in options or sum(x is t for x in c[1]) > 1]
        calls += [c for c in later_forms(parameters, t) if c[0] not in options]
        for parameter, args, kwargs in calls:
            found = outcome(lambda _: function(*args, **kwargs), t)  # noqa: B023
            given = ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in kwargs.items())])
            assert found != "recursion", f"{path}({given})"
            if found == "constant":
                assert plain, f"silently a constant: {parameter} in {path}({given})"
            outcomes.add(found)
    if name in CALLS:
        outcomes.add(outcome(CALLS[name], Tensor(THREE)))
    assert outcomes & {"recorded", "constant", "refused"}, (
        f"{path} of NumPy {np.__version__} is unknown here: no call in a general form got anywhere."
        " Add one that does to CALLS, or if the function takes no arrays, its name to NO_ARRAYS."
    )


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_understood(name: str) -> None:
    """The calls that were written out fail for no other reason than ours, if they do."""
    assert outcome(CALLS[name], Tensor(THREE)) in ("recorded", "refused")


def test_lists_are_of_what_there_is() -> None:
    known = {name for module in MODULES for name in dir(module)}
    for names in NO_ARRAYS.values():
        assert set(names.split()) <= known
    assert {*PLAIN_TOO, *OPTIONS, *CALLS} - {"*"} <= known


# ── what else makes arrays of its arguments ───────────────────────────────────────────────────────

# fmt: off
MAKERS = {
    "float64":    lambda t: np.float64(t),                  "float32":   lambda t: np.float32(t),
    "int64":      lambda t: np.int64(t),                    "complex":   lambda t: np.complex128(t),
    "bool":       lambda t: np.bool_(t),                    "matrix":    lambda t: np.matrix(t),
    "broadcast":  lambda t: np.broadcast(t, t),             "ndenumerate": lambda t: list(np.ndenumerate(t)),
    "poly1d":     lambda t: np.poly1d(t),
    "vectorize":  lambda t: np.vectorize(abs)(t),           "frompyfunc": lambda t: np.frompyfunc(abs, 1, 1)(t),
    "r_":         lambda t: np.r_[t, t],                    "c_":        lambda t: np.c_[t, t],
    "masked":     lambda t: np.ma.array(t),                 "of ma":     lambda t: np.ma.sum(t),
    "records":    lambda t: np.rec.fromarrays([t, t]),      "random":    lambda t: np.random.default_rng(0).normal(t),
    "object":     lambda t: np.asarray(t, dtype=object),    "list":      lambda t: np.array([t, t]),
    "Polynomial": lambda t: np.polynomial.Polynomial(t),    "index":     lambda t: np.arange(3)[t],
    "reduceat":   lambda t: np.add.reduceat(t, [0]),        "at":        lambda t: np.add.at(t, [0], 1),
    "initial":    lambda t: np.sum(np.ones(3), initial=t[0]), "out":     lambda t: np.add(1, t, out=np.ones(3)),
    "where=":     lambda t: np.exp(t, where=[True, False, True]), "math": lambda t: math.sin(t[0]),
}

#: What ndarray has and a Tensor lacks, so that asking for it raises an AttributeError.
NOT_ATTRIBUTES = {
    "they would change it in place":
        "fill partition put resize setfield setflags __iadd__ __isub__ __imul__ __itruediv__ __ifloordiv__"
        " __imod__ __ipow__ __imatmul__ __iand__ __ior__ __ixor__ __ilshift__ __irshift__ __delitem__",
    "they are about memory":
        "__buffer__ base byteswap ctypes data device dump dumps flags flat getfield itemsize strides to_device tobytes tofile view"
        " __array_interface__ __array_struct__ __dlpack__ __dlpack_device__ __setstate__ __copy__",
    "they are for whole numbers":
        "choose __and__ __or__ __xor__ __lshift__ __rshift__ __invert__ __rand__ __ror__ __rxor__ __rlshift__"
        " __rrshift__ __index__",
    "they are for complex numbers":
        "imag __complex__",
    "they are for subclasses of ndarray, and for how it is found":
        "__array_finalize__ __array_priority__ __array_wrap__ __array_namespace__ __class_getitem__",
    "NumPy kept the names only to refuse them":
        "itemset newbyteorder ptp tostring",
    "Python does it by iterating":
        "__contains__",
}
# fmt: on


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("maker", MAKERS)
def test_what_makes_arrays_refuses(maker: str) -> None:
    assert outcome(MAKERS[maker], Tensor(THREE)) == "refused"


def test_attributes_of_arrays() -> None:
    excused = {name for names in NOT_ATTRIBUTES.values() for name in names.split()}
    lacking = {name for name in dir(np.ndarray) if not hasattr(Tensor, name)}
    lacking = {name for name in lacking if not name.startswith("_") or name.startswith("__")}
    assert not lacking - excused, f"ndarray has {lacking - excused}, and a Tensor has not"
