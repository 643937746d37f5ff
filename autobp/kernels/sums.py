"""Sums over axes. BLAS adds up rows and columns several times as fast as NumPy: as products with ones.

It adds one number after the other, and so does NumPy, but along rows. A long sum is lost in rounding;
here it is one of short sums.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

__all__ = ["BLAS", "LONG", "LONGER", "MANY", "TINY", "added_rows", "dot", "ones", "total"]

Array = Any
Axis = int | tuple[int, ...] | None

BLAS = (np.dtype(np.float64), np.dtype(np.float32))
MANY = 1 << 12  # numbers: for fewer, to find out takes longer than to add them
LONG = (
    1 << 10
)  # numbers that are added one after the other; of twice as many the sum is one of sums
LONGER = 1 << 16  # products that are added by BLAS, many at once
TINY = 1 << 6  # numbers in a matrix: for smaller ones, a product of each takes longer
_FEW = 1 << 12  # ones that are kept


def total(x: Array, axis: Axis, keepdims: bool = False) -> Array:
    """`np.sum`, to rounding, where it is faster as a product with ones; else NumPy's reduction."""
    if type(x) is np.ndarray and x.size >= MANY and x.dtype in BLAS and axis is not None:
        n = x.shape[-1]
        if axis in (-1, (-1,)) and x.size > n <= LONG and x.flags.c_contiguous:  # as in networks
            found = x.reshape(-1, n).dot(ones(n, x.dtype))
            return found.reshape((*x.shape[:-1], 1) if keepdims else x.shape[:-1])
        axes = normalize_axis_tuple(axis, x.ndim)
        if 0 < len(axes) < x.ndim:
            found = _product(x, axes)
            if found is not None:
                return np.expand_dims(found, axes) if keepdims else found
    if type(x) is not np.ndarray and not hasattr(x, "primal_value"):
        return np.sum(
            x, axis, keepdims=keepdims
        )  # not all arrays of other libraries have np.add.reduce
    return np.add.reduce(x, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]


def _product(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray | None:
    """The sum as a product, if the axes lie side by side in memory; else None."""
    order = tuple(range(x.ndim))
    if not x.flags.c_contiguous:
        order = tuple(sorted(order, key=x.strides.__getitem__, reverse=True))
        x = x.transpose(order)
        if not x.flags.c_contiguous:
            return None
    summed = [a in axes for a in order]
    first = summed.index(True)
    last = first + len(axes)
    if not all(summed[first:last]):
        return None
    before, after = x.shape[:first], x.shape[last:]
    n, m = math.prod(x.shape[first:last]), math.prod(after)
    rows: np.ndarray
    if first == 0:
        rows = added_rows(x.reshape(n, m))
    elif m == 1:
        if n > LONG:
            return None
        rows = x.reshape(-1, n) @ ones(n, x.dtype)
    elif n * m < TINY:
        return None
    else:
        rows = added_rows(x.reshape(-1, n, m))
    rows = rows.reshape(before + after)
    kept = [a for a in order if a not in axes]
    return rows if kept == sorted(kept) else rows.transpose(np.argsort(kept))


def added_rows(x: Array, keepdims: bool = False) -> Array:
    """The sum over the last axis but one, of C-ordered arrays."""
    n, m = x.shape[-2:]
    if n < 2 * LONG:
        return np.ones((1, n) if keepdims else n, x.dtype) @ x
    above, below = divmod(n, LONG)
    most = x[..., : LONG * above, :].reshape(*x.shape[:-2], LONG, above * m)
    parts = np.ones(LONG, x.dtype) @ most
    rows = added_rows(parts.reshape(*x.shape[:-2], above, m), keepdims)
    return rows + added_rows(x[..., n - below :, :], keepdims)


def dot(a: Array, b: Array) -> Array:
    """`np.vdot` of real numbers."""
    a, b = np.ravel(a), np.ravel(b)
    some = a.size // LONGER * LONGER
    parts = np.vecdot(a[:some].reshape(-1, LONGER), b[:some].reshape(-1, LONGER))
    return np.add.reduce(parts) + np.vdot(a[some:], b[some:])


def ones(n: int, dtype: Any) -> np.ndarray:
    return _kept_ones(n, dtype) if n <= _FEW else np.ones(n, dtype)


@lru_cache(maxsize=64)
def _kept_ones(n: int, dtype: Any) -> np.ndarray:
    """Cached, since making a few ones takes twice as long as the product with them."""
    return np.ones(n, dtype)
