"""Products over axes, and for each factor the product of the others. NumPy takes row after row, which is slow
where rows are short."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["MANY", "SHORT", "multiplied", "others"]

Array = Any
MANY = 1 << 10  # numbers: fewer are not worth the trouble
SHORT = 1 << 5  # numbers in a row


def multiplied(x: Array, axis: Any, keepdims: bool = False) -> Array:
    """`np.prod`: of short rows all first numbers times all second ones, and so on."""
    is_array = type(x) is np.ndarray and x.size >= MANY and x.ndim > 1 and x.dtype.kind == "f"
    if not is_array or axis not in (-1, x.ndim - 1) or x.shape[-1] > SHORT:
        return np.prod(x, axis=axis, keepdims=keepdims)
    columns = np.ascontiguousarray(x.reshape(-1, x.shape[-1]).T)
    found = np.multiply.reduce(columns, axis=0)
    return found.reshape((*x.shape[:-1], 1) if keepdims else x.shape[:-1])


def others(x: Array, y: Array, axis: Any) -> Array:
    """For each factor the product y over that factor; where there are zeros, or where products are not
    finite, of all factors before and all behind."""
    if not np.ndim(x) or not x.size:
        return np.ones_like(x)
    y = y if np.ndim(y) in (0, x.ndim) else np.expand_dims(y, axis)
    if np.all((y != 0) & np.isfinite(y)):
        return y / x
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    last = tuple(range(-len(axes), 0))
    moved = np.moveaxis(x, axes, last)
    rows = moved.reshape(-1, math.prod(moved.shape[moved.ndim - len(axes) :])).T
    product = np.ones(rows.shape, x.dtype)
    np.multiply.accumulate(rows[:-1], axis=0, out=product[1:])
    behind = np.multiply.accumulate(rows[:0:-1], axis=0)[::-1]
    product[:-1] *= behind
    return np.moveaxis(product.T.reshape(moved.shape), last, axes)
