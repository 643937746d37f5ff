"""The three ways to run a primitive: evaluate its value, push tangents, pull a cotangent.

Here, and in no rule, are broadcasting undone, dtypes restored, and numbers told from arrays. What
is handed over as a Tensor stays one, and is recorded by the derivative that it belongs to.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autobp.context import Context, user_line
from autobp.errors import explained, label
from autobp.primitive import Array, Primitive, Rule, Variable
from autobp.rules import arithmetic as ops
from autobp.rules import neural

__all__ = ["ON_FLOATS", "as_value", "evaluate", "operand", "project", "pull", "push", "spoilt"]

#: What Python itself computes on floats, several times faster than NumPy.
ON_FLOATS: dict[Primitive, Callable[..., Any]] = {
    ops.add: operator.add,
    ops.subtract: operator.sub,
    ops.multiply: operator.mul,
    ops.divide: operator.truediv,
    ops.negative: operator.neg,
    ops.power_by: operator.pow,
    ops.exp: math.exp,
    ops.log: math.log,
    ops.sin: math.sin,
    ops.cos: math.cos,
    ops.tanh: math.tanh,
    ops.sqrt: math.sqrt,
    neural.relu_: lambda x: 0.0 if x <= 0 else x,
}


def as_value(data: Any, dtype: Any = None) -> Any:
    """The form in which a tensor keeps a value: a Python float, a NumPy scalar, or an ndarray.

    A 0-d float64 is a Python float, which is faster than a NumPy scalar and, as a plain number
    should, does not turn float32 arrays into float64.
    """
    if type(data) is np.ndarray and dtype is None and data.dtype.kind == "f":
        return data if data.ndim else as_value(data[()])
    if type(data) is float and dtype is None:
        return data
    if isinstance(data, Variable):
        data = data.numpy()
    if isinstance(data, np.float64) and dtype is None:
        return float(data)
    try:
        array = np.asarray(data, dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a Tensor holds floating-point numbers: {error}") from None
    if array.dtype.kind in "iu":
        array = array.astype(np.float64)
    if array.dtype.kind != "f":
        raise TypeError(f"a Tensor holds floating-point numbers, not {array.dtype}")
    if array.ndim:
        return array
    return float(array) if array.dtype == np.float64 else array[()]


def operand(a: Any) -> Any:
    """A constant argument in the form that is recorded: a number or an ndarray of numbers."""
    kind = type(a)
    if kind is float or kind is int or (kind is np.ndarray and a.ndim and a.dtype.kind in "fiub"):
        return a
    array = np.asarray(a)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"a Tensor does not combine with {a!r:.50} of {kind}; numbers and arrays do"
        )
    return array if array.ndim else float(array) if array.dtype == np.float64 else array[()]


def evaluate(
    primitive: Primitive,
    args: Sequence[Any],
    values: Sequence[Any],
    params: dict[str, Any],
    context: Context,
) -> Any:
    """Compute the value of an operation; `args` are what its values are called in messages."""
    for v in values:
        if isinstance(v, Variable):  # of a derivative further out, which records it too
            result = v.apply(primitive, values, params)
            return result if result.requires_grad else result.value
    try:
        value = as_value(call(primitive, values, params))
    except ValueError as error:
        if isinstance(error, np.linalg.LinAlgError | np.exceptions.AxisError):
            raise
        raise explained(error, primitive.name, args, params) from error
    if context.anomaly:
        kind = spoilt(value, values)
        if kind:
            raise FloatingPointError(
                f"{primitive.name} made the first {kind} (forward), at {user_line()}, from "
                + " and ".join(map(label, args))
            )
    return value


def call(primitive: Primitive, values: Sequence[Any], params: dict[str, Any]) -> Any:
    quick = ON_FLOATS.get(primitive)
    if quick is not None and all(type(v) is float for v in values):
        try:
            value = quick(*values, *params.values())
        except (ArithmeticError, ValueError):  # where NumPy has inf or nan
            return primitive.function(*map(np.float64, values), **params)
        if type(value) is float:  # (−8.0) ** ⅓ is complex
            return value
        return primitive.function(*map(np.float64, values), **params)
    return primitive.function(*values, **params)


def spoilt(result: Array, given: Sequence[Array]) -> str | None:
    """Whether an operation made a nan or an inf from numbers that were all finite, and which."""
    if np.all(np.isfinite(result)) or not all(np.all(np.isfinite(v)) for v in given):
        return None
    return "nan" if np.any(np.isnan(result)) else "inf"


def push(
    primitive: Primitive,
    tangents: Sequence[Array | None],
    out: Array,
    values: Sequence[Array],
    params: dict[str, Any],
) -> Array | None:
    """The tangent of a result, in its shape and dtype, from those of the arguments; None is zero."""
    if all(t is None for t in tangents):
        return None
    if primitive.diagonal:
        try:
            t = primitive.push(tangents, out, values, params)
            return None if t is None else project(t, out)
        except ArithmeticError:
            pass
    tangents, values = list(map(_shaped, tangents)), list(map(_shaped, values))
    t = primitive.push(tangents, _shaped(out), values, params)
    return None if t is None else project(t, out)


def _shaped(v: Any) -> Any:
    """A float as a NumPy scalar, which has a shape and can be divided by 0."""
    return np.float64(v) if type(v) is float else v


def pull(
    rule: Rule, primitive: Primitive, g: Array, out: Array, values: Sequence[Array], params: Any
) -> Array:
    """What a cotangent contributes to one argument. Python floats serve in elementwise rules, but
    where they raise, NumPy decides what a division by 0 is; rules about shapes need NumPy scalars."""
    if primitive.diagonal:
        try:
            return rule(g, out, *values, **params)
        except ArithmeticError:
            pass
    return rule(_shaped(g), _shaped(out), *map(_shaped, values), **params)


def project(c: Array, primal: Array) -> Array:
    """A cotangent (or a tangent) in its primal's shape and dtype: what broadcasting spread is
    summed, what an operation promoted is cast back."""
    shape, have = np.shape(primal), np.shape(c)
    if have != shape:
        extra = len(have) - len(shape)
        axes = tuple(i for i, n in enumerate(have) if i < extra or shape[i - extra] == 1 != n)
        if len(axes) > extra:
            c = np.add.reduce(c, axis=axes, keepdims=True)
            c = np.reshape(c, np.shape(c)[extra:]) if extra > 0 else c
        elif axes:
            c = np.add.reduce(c, axis=axes)
        if np.shape(c) != shape:
            c = np.broadcast_to(c, shape)
    if type(primal) is float:
        return c if isinstance(c, Variable) else float(c)
    if type(c) is float:
        return c if primal.dtype == np.float64 else primal.dtype.type(c)
    return c if c.dtype == primal.dtype else c.astype(primal.dtype)
