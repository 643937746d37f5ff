"""Sums at an index that names places again and again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["added_at"]

Array = Any

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
