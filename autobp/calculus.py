"""Running a primitive: its value, the tangent of its result, and what both modes share.

Broadcasting is undone here, dtypes are restored here, and floats are told from arrays here, so that
no rule has to. A value that is a Tensor belongs to a derivative further out, which records it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from autobp.arrays import is_foreign, of_its_kind, plain_array
from autobp.context import Context, current, unwatched, user_line
from autobp.errors import explained, label
from autobp.kernels.sums import BLAS, LONG, added_rows, ones, total
from autobp.primitive import Array, Primitive, Results, Variable, numbers, part, variable_in
from autobp.rules import arithmetic as ops

__all__ = [
    "as_value",
    "evaluate",
    "on_float",
    "operand",
    "project",
    "push",
    "as_numpy_scalars",
    "is_batch",
    "is_finite",
    "made_nonfinite",
    "nonfinite_kind",
    "watch",
    "zeros",
]

# Derivatives allocate and free the same megabytes again and again. Linux's allocator returns each to
# the system, and page faults then cost as much as the arithmetic. Once it has seen one large block
# freed, it keeps up to twice that size for reuse. This is that block; it is never touched.
np.empty(31 << 20, np.uint8)


def as_value(data: Any, dtype: Any = None) -> Any:
    """The canonical form of a tensor's value: a Python float, a NumPy scalar, or an ndarray.

    A 0-d float64 becomes a Python float. That is faster than a NumPy scalar, and weak: it does not
    turn float32 arrays into float64.
    """
    if type(data) is np.ndarray and dtype is None and data.dtype.kind == "f":
        return data if data.ndim else as_value(data[()])
    if type(data) is float and dtype is None:
        return data
    if isinstance(data, Variable):
        data = data.primal_value()
        if isinstance(data, Variable):
            return (data if dtype is None else ops.astype(data, dtype=dtype)).canonical()
    if isinstance(data, np.float64) and dtype is None:
        return float(data)
    try:
        array = plain_array(data, dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a Tensor holds floating-point numbers: {error}") from None
    if array.dtype.kind in "iu" and dtype is None:
        array = array.astype(np.float64)
    if array.dtype.kind != "f":
        hint = ""
        if hasattr(data, "named_parameters"):
            hint = (
                "; to differentiate by the parameters of a Module, give a dict of them,"
                " nn.functional_call(model, params, x)"
            )
        elif array.dtype == object:
            hint = "; nests are lists, tuples, dicts and dataclasses"
        raise TypeError(f"a Tensor holds floating-point numbers, not {array.dtype}{hint}")
    if array.ndim or is_foreign(array):
        return array
    return float(array) if array.dtype == np.float64 else array[()]


def operand(a: Any) -> Any:
    """A constant argument in the form that is recorded: a number, or an ndarray of numbers."""
    kind = type(a)
    if isinstance(a, Variable):
        return a
    if kind is float or kind is int or (kind is np.ndarray and a.ndim and a.dtype.kind in "fiub"):
        return a
    array = plain_array(a)
    if array.dtype.kind not in "fiub":
        sparse = kind.__module__.startswith("scipy.sparse")
        raise TypeError(
            f"a Tensor combines with numbers and arrays, not with {a!r:.50} of {kind}"
            + "; write S.toarray() for a sparse matrix S" * sparse
        )
    if array.ndim or is_foreign(array):
        return array
    return float(array) if array.dtype == np.float64 else array[()]


def evaluate(
    primitive: Primitive,
    args: Sequence[Any],
    values: Sequence[Any],
    params: dict[str, Any],
    context: Context,
) -> Any:
    """The value of an operation. Messages call the values by the `args` they are those of."""
    if primitive is part:
        return values[0][params["index"]]
    if params and "index" in params:
        i = variable_in(params["index"])
        if i is not None:
            return i.computed(primitive, args, values, params)
    for v in values:
        if isinstance(v, Variable):  # of a derivative further out, which records this too
            return v.computed(primitive, args, values, params)
    try:
        if len(values) == 1 and type(values[0]) is float:
            value = on_float(primitive, values[0], params)
            if value is None:
                value = primitive.function(*as_numpy_scalars(*values), **params)
        else:
            value = primitive.function(*values, **params)
    except ValueError as error:
        if isinstance(error, np.linalg.LinAlgError | np.exceptions.AxisError):
            raise
        raise explained(error, primitive, args, params) from error
    if type(value) is Results:
        return value
    if isinstance(value, Variable):
        raise TypeError(f"{primitive.name}: a parameter is a Tensor; pass Tensors by position")
    if type(value) is not np.ndarray or not value.ndim or value.dtype.kind != "f":
        value = as_value(value)
    if context.anomaly:
        watch(primitive, value, values, args)
    return value


def on_float(primitive: Primitive, x: float, params: dict[str, Any]) -> float | None:
    """The value of Python's own function of a float. None if there is no such function, or if it
    raises or leaves the real numbers, as (−8.0) ** ⅓ does: NumPy gives an inf or a nan there."""
    compute = primitive.facts.python
    if compute is None:
        return None
    try:
        value = compute(x, *params.values()) if params else compute(x)
    except (ArithmeticError, ValueError):
        return None
    return value if type(value) is float else None


def is_finite(value: Any) -> bool:
    """Whether a value holds no NaN and no infinity.

    If the sum of the squares is finite, so are the numbers, and that sum is quickly computed. It may
    overflow, with a warning that the caller switches off.
    """
    if type(value) is np.ndarray and value.itemsize >= 4 and math.isfinite(np.vdot(value, value)):
        return True
    return nonfinite_kind(value) is None


def nonfinite_kind(value: Any) -> Literal["nan", "inf"] | None:
    """The kind of number in a value that is not finite; None if all are."""
    if type(value) is float and math.isfinite(value):
        return None
    value = plain_array(numbers(value))
    if value.dtype.kind != "f" or not value.size:
        return None
    least, most = np.min(value), np.max(value)
    if math.isfinite(least) and math.isfinite(most):
        return None
    return "nan" if math.isnan(least) else "inf"


def made_nonfinite(result: Array, given: Sequence[Array]) -> Literal["nan", "inf"] | None:
    """The kind of non-finite number that an operation made: an infinity of numbers that were all finite,
    or a NaN of what may be infinite, as inf - inf."""
    kind = nonfinite_kind(result)
    if kind is None:
        return None
    kinds = set(map(nonfinite_kind, given))
    return None if "nan" in kinds or (kind == "inf" in kinds) else kind


def watch(primitive: Primitive, value: Array, values: Sequence[Array], args: Sequence[Any]) -> None:
    """The forward half of detect_anomaly: it names the operation that made the first NaN or infinity, or
    the parameter, argument or constant that a NaN came from. That of a recorded result has been named, or
    was made where nobody watched."""
    if kind := made_nonfinite(value, values):
        raise FloatingPointError(
            f"{primitive.name} made the first {kind} (forward), at {user_line()}, from "
            + " and ".join(map(label, args))
        )
    if nonfinite_kind(value) != "nan":
        return
    for a, v in zip(args, values, strict=True):
        if getattr(a, "primitive", None) is None and nonfinite_kind(v) == "nan":
            raise FloatingPointError(
                f"{label(a)} holds nan, and was given to {primitive.name} at {user_line()}"
            )


def push(
    primitive: Primitive,
    tangents: Sequence[Array | None],
    out: Array,
    values: Sequence[Array],
    params: dict[str, Any],
    line: Callable[[], str] = user_line,
) -> Array | None:
    """The tangent of a result, in its shape and dtype, from those of the arguments. None is zero."""
    if all(t is None for t in tangents):
        return None
    anomaly = current().anomaly
    pushed = unwatched()(_pushed) if anomaly and is_batch(out) else _pushed
    t = pushed(primitive, tangents, out, values, params)
    if t is not None and anomaly:
        kind = made_nonfinite(t, [*(s for s in tangents if s is not None), *values])
        if kind:
            raise FloatingPointError(
                f"{primitive.name} made the first {kind} (forward, in the tangent), at {line()}"
            )
    return t


def _pushed(
    primitive: Primitive,
    tangents: Sequence[Array | None],
    out: Array,
    values: Sequence[Array],
    params: dict[str, Any],
) -> Array | None:
    if primitive.form == "elementwise":
        try:
            t = primitive.push(tangents, out, values, params)
            return None if t is None else project(t, out)
        except ArithmeticError:
            pass
    out, *values = as_numpy_scalars(out, *values)
    t = primitive.push(as_numpy_scalars(*tangents), out, values, params)
    return t if t is None or type(out) is Results else project(t, out)


def is_batch(value: Any) -> bool:
    """Whether a value stands for a batch of examples, so that a rule is itself made of operations."""
    return isinstance(value, Variable) and value.is_batch


def zeros(value: Array) -> Array:
    """Zeros in the form of a value; float64 zeros if it holds no floating-point numbers."""
    if is_foreign(value):
        return np.zeros_like(value)
    if not hasattr(value, "dtype"):
        return np.zeros(np.shape(value))[()] if np.shape(value) else 0.0
    dtype = value.dtype if value.dtype.kind == "f" else np.float64
    return 0.0 if value.shape == () and dtype == np.float64 else np.zeros(value.shape, dtype)[()]


def as_numpy_scalars(*values: Any) -> list[Any]:
    """The same values with NumPy scalars in place of floats: they have a shape, and dividing one by
    0 gives an inf.

    Rules that are not elementwise always get these. Elementwise rules get Python's floats, and these
    only if they raised on the floats.
    """
    return [np.float64(v) if type(v) is float else v for v in values]


def project(c: Array, primal: Array) -> Array:
    """A cotangent (or a tangent) in the shape and dtype of its primal value: summed over axes that
    were broadcast, and cast back if the operation promoted the dtype."""
    shape = () if type(primal) is float else primal.shape
    if shape and type(primal) is not np.ndarray and not isinstance(c, Variable):
        c = of_its_kind(c, primal)
    have = c.shape if type(c) is np.ndarray or isinstance(c, Variable) else np.shape(c)
    if have != shape:
        extra = len(have) - len(shape)
        if extra > 0:  # axes that broadcasting added in front
            c = _added_up(c, shape) if 1 in shape else _added_up_in_front(c, extra)
            have = np.shape(c)
        if have != shape:
            c = _widened(c, have, shape)
    if type(primal) is float:
        return c.canonical() if isinstance(c, Variable) else float(c)
    if type(c) is float:
        return c if primal.dtype == np.float64 else primal.dtype.type(c)
    c = c if c.dtype == primal.dtype else c.astype(primal.dtype)
    return c.canonical() if not shape and isinstance(c, Variable) else c


def _added_up(c: Array, shape: tuple[int, ...]) -> Array:
    """The sum over the axes in front, and at once over those of length 1 that were broadcast."""
    have = np.shape(c)
    extra = len(have) - len(shape)
    kept = tuple(1 if n == 1 else m for n, m in zip(shape, have[extra:], strict=True))
    axes = tuple(i for i, m in enumerate(have) if i < extra or kept[i - extra] != m)
    return np.reshape(total(c, axes), kept)


def _added_up_in_front(c: Array, axes: int) -> Array:
    """The sum over the first axes. Where possible it is a product with ones: BLAS adds up rows several
    times as fast as NumPy's sum."""
    if type(c) is np.ndarray and axes < c.ndim and c.dtype in BLAS and c.flags.c_contiguous:
        rest = c.shape[axes:]
        rows = c if c.ndim == 2 else c.reshape(math.prod(c.shape[:axes]), math.prod(rest))
        if rows.shape[1] > 1:
            is_long = len(rows) >= 2 * LONG
            added = added_rows(rows) if is_long else ones(len(rows), c.dtype).dot(rows)
            return added if rows is c else added.reshape(rest)
    return total(c, tuple(range(axes)))


def _widened(c: Array, have: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Sum over axes of length 1 that were broadcast; broadcast what a rule left smaller."""
    if (
        not isinstance(c, Variable)
        and isinstance(c, float | np.floating)
        and math.prod(shape) < 10_000
    ):
        filled = np.empty(shape, type(c))  # for a small array faster than a view of one number
        filled.fill(c)
        return filled
    if any(map(math.isnan, shape)):
        raise ValueError(
            f"a derivative by an array of shape {shape}, which its library does not know yet, as Dask does not"
            " that of x[mask]: write np.where(mask, x, 0.0), or x.compute_chunk_sizes()"
        )
    before = len(shape) - len(have)
    axes = tuple(i for i, n in enumerate(have) if shape[i + before] == 1 != n)
    if axes:
        c = total(c, axes, keepdims=True)
    return c if np.shape(c) == shape else np.broadcast_to(c, shape)
