"""Passes to rounding: they change the order in which numbers are added, or the factors of a product."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autobp.compiler.passes.rewrite import Rewrite, constant_step, is_array, is_number, is_same
from autobp.compiler.program import Step
from autobp.kernels import exponential
from autobp.kernels.sums import LONG, LONGER, MANY, TINY, added_rows, dot
from autobp.operation import operation

operation(added_rows, dot, static=True, fresh=True, blas=True)

FLOATS = (np.float32, np.float64)  # in which BLAS multiplies


# ── preconditions ─────────────────────────────────────────────────────────────────────────────────


def is_binary(step: Step) -> bool:
    """Whether two operands, arrays or numbers, are broadcast against each other."""
    return step.is_elementwise and step.is_array and len(step.args) == 2


def is_scaling(step: Step) -> bool:
    """Whether an array of floats is multiplied by a number."""
    if not step.is_array or step.params or step.dtype not in FLOATS:
        return False
    return _scale(step)[1] is not None


def is_transpose(step: Step) -> bool:
    return step.function is np.transpose and len(step.args) == 1 and not step.params


def is_sum(step: Step) -> bool:
    """Whether an operand is summed over some of its axes, and nothing else is done."""
    alone = len(step.args) == 1 and step.params.keys() <= {"axis", "keepdims"}
    return step.function == np.add.reduce and alone


def is_variance(step: Step) -> bool:
    """Whether the variance or the standard deviation of many numbers is taken."""
    if step.function not in (np.var, np.std) or step.params.keys() - {"axis", "keepdims", "ddof"}:
        return False
    x, *axes = step.args
    return len(axes) <= 1 and is_array(x) and x.size >= MANY and x.dtype in FLOATS


def is_sum_of_exponentials(step: Step) -> bool:
    """Whether the logarithms of many are taken."""
    many = step.is_array and step.size >= exponential.MANY and step.dtype in FLOATS
    return step.function is np.logaddexp and many and not step.params


# ── passes ────────────────────────────────────────────────────────────────────────────────────────


def broadcast_elimination(step: Step, rewrite: Rewrite) -> Step | None:
    """Broadcasts are left to the operation that uses them, and never made."""
    args = list(step.args)
    for i in (0, 1):
        x, other = args[i], args[1 - i]
        if not isinstance(x, Step) or not x.is_array or not isinstance(other, Step):
            continue
        if other.shape != step.shape or other.dtype != x.dtype:
            continue
        if i and step.function is np.power:
            continue  # for the number ½ NumPy takes a root, of which −inf has none
        if x.function is np.broadcast_to and isinstance(x.args[0], Step):
            inner = x.args[0]
            if inner.dtype == x.dtype and inner.kind is not float:
                args[i] = inner
        elif x.is_constant and x.size > 1 and x.dtype is not None and x.dtype.kind == "f":
            first = x.constant.flat[0]
            if np.all(x.constant == first) and first != 0 and x.dtype.itemsize >= 4:
                args[i] = float(first)
    if args == list(step.args):
        return None
    return rewrite.call(step, step.function, *args)


def reassociation(step: Step, rewrite: Rewrite) -> Step | None:
    """Two constant factors in a row are one."""
    outer, x = _scale(step)
    if not rewrite.single(x) or not is_same(x, step) or not is_scaling(x):
        return None
    inner, y = _scale(x)
    if not isinstance(y, Step) or not 1e-30 < abs(outer * inner) < 1e30:
        return None
    return rewrite.call(step, np.multiply, float(outer * inner), y)


def _scale(step: Step) -> tuple[float, Any]:
    """The number by which a step multiplies an operand, and the operand, if it does."""
    f, args = step.function, step.args
    if f is np.negative:
        return -1.0, args[0]
    if f is np.multiply and is_number(args[0]):
        return args
    if f is np.multiply and is_number(args[1]):
        return args[::-1]
    if f is np.divide and is_number(args[1]) and args[1]:
        return 1 / args[1], args[0]
    return 1.0, None


def transpose_folding(step: Step, rewrite: Rewrite) -> Step | None:
    """The transpose of a product is the product of the transposes, which takes no pass over memory
    of its own."""
    x = step.args[0]
    if not rewrite.single(x) or x.function is not np.matmul or x.params or x.ndim != 2:
        return None
    a, b = x.args
    if not (isinstance(a, Step) and isinstance(b, Step) and a.ndim == b.ndim == 2):
        return None
    left = rewrite.other(step, np.transpose, b, shape=b.shape[::-1])
    right = rewrite.other(step, np.transpose, a, shape=a.shape[::-1])
    return rewrite.call(step, np.matmul, left, right)


def dot_product_recognition(step: Step, rewrite: Rewrite) -> Step | None:
    """The sum of a product is a product of matrices, and what is summed is never made."""
    x = step.args[0]
    if not rewrite.single(x) or not x.is_array or x.params or x.dtype not in FLOATS:
        return None
    if step.shape == () and x.function in (np.multiply, np.square):
        a, b = x.args * 2 if x.function is np.square else x.args
        if is_same(a, x) and is_same(b, x):
            return rewrite.call(step, np.vdot if x.size < 16 * LONGER else dot, a, b)
    return None


def reduction_to_matmul(step: Step, rewrite: Rewrite) -> Step | None:
    """Sums over the last axis but one, or over a short last one, are products with ones."""
    x, axis = step.args[0], step.params.get("axis")
    if not is_array(x) or x.ndim < 2 or x.dtype not in FLOATS:
        return None
    if type(axis) is tuple and axis == tuple(range(axis[0], x.ndim - 1)):
        shape = *x.shape[: axis[0]], math.prod(x.shape[axis[0] : -1]), x.shape[-1]
        rows = rewrite.other(step, np.reshape, x, shape, shape=shape)
        if not step.params.get("keepdims"):
            return rewrite.call(step, np.add.reduce, rows, axis=len(shape) - 2)
        shape = *shape[:-2], shape[-1]
        total = rewrite.other(step, np.add.reduce, rows, shape=shape, axis=len(shape) - 1)
        return rewrite.call(step, np.reshape, total, step.shape)
    if type(axis) is not int:
        return None
    *_, n, m = x.shape
    over_rows = axis % x.ndim == x.ndim - 2
    if not x.size or (over_rows and (n < 4 or (x.ndim > 2 and n * m < TINY))):
        return None
    if axis % x.ndim < x.ndim - 2 or (not over_rows and not 1 < m <= LONG):
        return None
    keepdims = step.params.get("keepdims")
    if over_rows and n >= 2 * LONG:
        return rewrite.call(step, added_rows, x, bool(keepdims))
    if over_rows:
        ones = constant_step(np.ones((1, n) if keepdims else (n,), x.dtype))
        return rewrite.call(step, np.matmul, ones, x)
    ones = constant_step(np.ones((m, 1) if keepdims else (m,), x.dtype))
    return rewrite.call(step, np.matmul, x, ones)


def variances(step: Step, rewrite: Rewrite) -> Step | None:
    """Variances are the means of squares, and standard deviations their roots: sums that other passes
    know."""
    x, *axes = step.args
    params = step.params
    axis = axes[0] if axes else params.get("axis")
    keepdims = bool(params.get("keepdims"))
    alone = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    kept = tuple(1 if i in {a % x.ndim for a in alone} else n for i, n in enumerate(x.shape))
    n = math.prod(x.shape[a] for a in alone)
    if n <= params.get("ddof", 0):
        return None
    added = rewrite.other(step, np.add.reduce, x, shape=kept, axis=axis, keepdims=True)
    mean = rewrite.other(step, np.divide, added, n, shape=kept)
    deviation = rewrite.other(step, np.subtract, x, mean, shape=x.shape)
    squares = rewrite.other(step, np.square, deviation, shape=x.shape)
    total = rewrite.other(
        step, np.add.reduce, squares, shape=step.shape, axis=axis, keepdims=keepdims
    )
    if step.function is np.var:
        return rewrite.call(step, np.divide, total, n - params.get("ddof", 0))
    variance = rewrite.other(step, np.divide, total, n - params.get("ddof", 0), shape=step.shape)
    return rewrite.call(step, np.sqrt, variance)


def sums_of_exponentials(step: Step, rewrite: Rewrite) -> Step | None:
    """np.logaddexp goes number by number; the passes that it is made of do not."""
    return rewrite.call(step, exponential.logaddexp, *step.args)
