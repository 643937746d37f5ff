"""Sums at an index that names places again and again; and any index by one of rows, for arrays of other
libraries that know no other."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

__all__ = ["added_at", "rows_added_at", "rows_taken"]

Array = Any

_SMALL = 1 << 9  # numbers: the rest takes longer than to add so many in
_LARGE = 1 << 15  # numbers: SciPy is worth its import


def added_at(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros with x added at the index, as `np.add.at` does, in the same order."""
    if x.size < _SMALL:
        z = np.zeros(shape, x.dtype)
        np.add.at(z, index, x)
        return z
    places, rest = _rows(index, shape)
    n = math.prod(shape[: len(shape) - len(rest)])
    return _sum_of_rows(x.reshape(places.size, -1), places.ravel(), n).reshape(shape)


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


def rows_taken(x: Array, index: Any) -> Array:
    """x[index]."""
    places, rest = _rows(index, x.shape)
    rows = x.reshape(math.prod(x.shape[: x.ndim - len(rest)]), *rest)
    return rows[places.ravel()].reshape(*places.shape, *rest)


def rows_added_at(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros with x added at the index: in as many rounds as it names a place, since a round can put but
    one row there."""
    places, rest = _rows(index, shape)
    rows = np.broadcast_to(x, (*places.shape, *rest)).reshape(places.size, *rest)
    places = places.ravel()
    order = np.argsort(places, kind="stable")
    is_first = np.diff(places[order], prepend=-1) != 0
    turns = np.arange(places.size)
    turns -= np.maximum.accumulate(np.where(is_first, turns, 0))
    zeros = np.zeros_like(x, shape=(math.prod(shape[: len(shape) - len(rest)]), *rest))
    total = zeros
    for k in range(int(np.max(turns, initial=-1)) + 1):
        at, part = order[turns == k], zeros.copy()
        part[places[at]] = rows[at]
        total = part if k == 0 else total + part
    return total.reshape(shape)


def _rows(index: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """The places that an index names, where the axes that it names are one; and the axes after them."""
    axes = _axes_named(index, len(shape))
    places = _numbered(index, shape[:axes])
    if places is None:
        places = np.arange(math.prod(shape[:axes])).reshape(shape[:axes])[index]
    return places, shape[axes:]


def _numbered(index: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """The places that arrays of whole numbers name together. To look them up takes several times as long,
    above all if each array has lengths along axes of its own, as labels of pixels have. None for any other
    index, and for one that names no place."""
    parts = index if isinstance(index, tuple) else (index,)
    terms, step = [], math.prod(shape)
    for i, n in zip(parts, shape):
        if not isinstance(i, np.ndarray) or i.dtype.kind not in "iu" or not i.size:
            return None
        least, most = np.min(i), np.max(i)
        if least < -n or most >= n:
            return None
        step //= n
        i = i.astype(np.intp, copy=False)
        terms.append((i if least >= 0 else np.where(i < 0, i + n, i)) * step)
    return reduce(np.add, sorted(terms, key=np.size)) if terms else None  # small ones first


def _axes_named(index: Any, ndim: int) -> int:
    """How many axes an index names; those after them are taken whole."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(i is Ellipsis for i in parts):
        return ndim
    return sum(i.ndim if getattr(i, "dtype", 0) == np.bool else i is not None for i in parts)
