"""Copies of arrays into another order of axes in memory. NumPy goes through them element by element; by
blocks that fill the processor's lines of memory they take a third of the time, and much less where
rows lie a power of two apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

__all__ = ["MANY", "alike", "contiguous", "laid_out"]

Array = Any
MANY = 1 << 15  # numbers: fewer are in the cache, where order matters less
_BLOCK = 1 << 13  # numbers that are copied at once
_LINE = 64  # bytes that are moved at once


def contiguous(x: Array) -> Array:
    """`np.ascontiguousarray`."""
    if type(x) is not np.ndarray or x.size < MANY or x.flags.c_contiguous:
        return np.ascontiguousarray(x)
    fast = min((abs(s), i) for i, s in enumerate(x.strides) if x.shape[i] > 1)[1]
    axis, along = x.ndim - 1, 1  # numbers side by side in the copy, of a block
    wanted = max(_LINE // x.itemsize, _BLOCK // math.prod(x.shape[: fast + 1]))
    while axis > fast and along * x.shape[axis] <= wanted:
        along *= x.shape[axis]
        axis -= 1
    if axis <= fast:
        return np.ascontiguousarray(x)
    y = np.empty(x.shape, x.dtype)
    some = -(-wanted // along)
    for i in product(*map(range, x.shape[fast + 1 : axis])):
        for j in range(0, x.shape[axis], some):
            block: Any = *[slice(None)] * (fast + 1), *i, slice(j, j + some)
            y[block] = x[block]
    return y


def laid_out(x: Array, order: Sequence[int]) -> Array:
    """A copy of the array with its axes in this order in memory."""
    turned = x.transpose(order)
    copy = turned.copy() if turned.flags.c_contiguous else contiguous(turned)
    return copy.transpose(np.argsort(order))


def alike(x: Array, y: Array) -> tuple[Array, Array]:
    """Two arrays that are to be gone through together: where one is C-ordered and the numbers side by side
    are those of another axis in the other, a copy of the first in the order of the other."""
    if x.strides == y.strides or x.shape != y.shape:
        return x, y
    if x.flags.c_contiguous:
        order = _order(y)
        return (x if order is None else laid_out(x, order)), y
    order = _order(x) if y.flags.c_contiguous else None
    return x, (y if order is None else laid_out(y, order))


def _order(x: Array) -> list[int] | None:
    """The axes as they lie in memory, if an array has no gaps there and the last axis is not the last."""
    order = sorted(range(x.ndim), key=x.strides.__getitem__, reverse=True)
    is_turned = order[-1] != x.ndim - 1 and x.transpose(order).flags.c_contiguous
    return order if is_turned else None
