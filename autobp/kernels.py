"""Kernels: what NumPy, BLAS and SciPy compute faster in another way than by NumPy's one function."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

Array = Any
Axis = int | tuple[int, ...] | None

__all__ = ["BLAS", "LONG", "TINY", "added_at", "ones", "solved", "total"]

# ── over axes ─────────────────────────────────────────────────────────────────────────────────────

BLAS = (np.dtype(np.float64), np.dtype(np.float32))
_MANY = 1 << 12  # numbers: for fewer, to find out takes longer than to add them
LONG = 1 << 10  # numbers in a row: NumPy adds up more of them with less rounding
TINY = 1 << 6  # numbers in a matrix: for smaller ones, a product of each takes longer
_FEW = 1 << 12  # ones that are kept


def total(x: Array, axis: Axis, keepdims: bool = False) -> Array:
    """`np.sum`, to rounding, where it is faster as a product with ones; else NumPy's reduction."""
    if type(x) is np.ndarray and x.size >= _MANY and x.dtype in BLAS and axis is not None:
        axes = normalize_axis_tuple(axis, x.ndim)
        if 0 < len(axes) < x.ndim:
            found = _product(x, axes)
            if found is not None:
                return np.expand_dims(found, axes) if keepdims else found
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
        rows = ones(n, x.dtype) @ x.reshape(n, m)
    elif m == 1:
        if n > LONG:
            return None
        rows = x.reshape(-1, n) @ ones(n, x.dtype)
    elif n * m < TINY:
        return None
    else:
        rows = ones(n, x.dtype) @ x.reshape(-1, n, m)
    rows = rows.reshape(before + after)
    kept = [a for a in order if a not in axes]
    return rows if kept == sorted(kept) else rows.transpose(np.argsort(kept))


def ones(n: int, dtype: Any) -> np.ndarray:
    return _kept_ones(n, dtype) if n <= _FEW else np.ones(n, dtype)


@lru_cache(maxsize=64)
def _kept_ones(n: int, dtype: Any) -> np.ndarray:
    """Cached, since making a few ones takes twice as long as the product with them."""
    return np.ones(n, dtype)


# ── at an index ───────────────────────────────────────────────────────────────────────────────────

_SMALL = 1 << 9  # numbers: the rest takes longer than to add so many in
_LARGE = 1 << 15  # numbers: SciPy is worth its import


def added_at(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros with x added at the index, as `np.add.at` does, in the same order."""
    if x.size < _SMALL:
        z = np.zeros(shape, x.dtype)
        np.add.at(z, index, x)
        return z
    axes = _axes_named(index, len(shape))
    n = math.prod(shape[:axes])
    places = np.arange(n).reshape(shape[:axes])[index].ravel()
    return _sum_of_rows(x.reshape(places.size, -1), places, n).reshape(shape)


def _sum_of_rows(rows: Array, places: Array, n: int) -> Array:
    """Zeros with each row added at its place. `np.add.at` is slow at rows, and fast at single numbers;
    a sparse product, where SciPy is installed, is faster still, and sums in the same order."""
    m = rows.shape[1]
    if rows.size >= _LARGE:
        try:
            from scipy.sparse import csc_array
        except ImportError:
            pass
        else:
            once = np.ones(places.size, rows.dtype), places, np.arange(places.size + 1)
            return csc_array(once, shape=(n, places.size)) @ rows
    z = np.zeros((n, m), rows.dtype)
    few = max(1, _LARGE // m)  # rows, of which the places of all numbers fit in the cache
    for i in range(0, places.size, few):
        each = places[i : i + few, None] * m + np.arange(m)
        np.add.at(z.reshape(-1), each.ravel(), rows[i : i + few].ravel())
    return z


def _axes_named(index: Any, ndim: int) -> int:
    """How many axes an index names; those after them are taken whole."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(i is Ellipsis for i in parts):
        return ndim
    return sum(i.ndim if getattr(i, "dtype", 0) == np.bool else i is not None for i in parts)


# ── triangular systems ────────────────────────────────────────────────────────────────────────────

_BLOCK = 32  # rows that are solved at once


def solved(a: Array, b: Array) -> Array:
    """`np.linalg.solve`, by substitution where the matrices are large and triangular, as factors are."""
    if a.ndim >= 2 and a.shape[-1] == a.shape[-2] > 3 * _BLOCK and a.dtype in BLAS:
        for lower in (True, False):
            if _is_triangular(a, lower) and np.linalg.diagonal(a).all():
                return _substituted(a, b, lower)
    return np.linalg.solve(a, b)


def _is_triangular(a: Array, lower: bool) -> bool:
    """Whether the other triangle is zero; of most matrices one look at a corner tells."""
    if not lower:
        a = a.mT
    if a[..., 0, -1].any():
        return False
    n = a.shape[-1]
    for i in range(0, n, _BLOCK):
        j = i + _BLOCK
        if a[..., i:j, j:].any() or np.triu(a[..., i:j, i:j], 1).any():
            return False
    return True


def _substituted(a: Array, b: Array, lower: bool) -> Array:
    if b.ndim == 1:
        return _substituted(a, b[:, None], lower)[..., 0]
    n = a.shape[-1]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.empty((*batch, *b.shape[-2:]), np.result_type(a, b))
    starts = range(0, n, _BLOCK)
    for i in starts if lower else reversed(starts):
        here = slice(i, i + _BLOCK)
        known = slice(0, i) if lower else slice(i + _BLOCK, n)
        rest = b[..., here, :] - a[..., here, known] @ x[..., known, :]
        x[..., here, :] = np.linalg.solve(a[..., here, here], rest)
    return x
