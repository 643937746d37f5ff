"""Maxima and minima over the last axis. NumPy takes row after row, which is slow where rows are short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["LONG", "MANY", "greatest", "least"]

Array = Any
MANY = 1 << 10  # numbers: fewer are not worth the trouble
_FEW = 1 << 4  # numbers in a row: so few are compared for all rows at once
LONG = 1 << 10  # numbers in a row: in longer ones NumPy is as fast


def greatest(x: Array, axis: Any, keepdims: bool = False) -> Array:
    """`np.max`."""
    if not _is_over_rows(x, axis):
        return np.max(x, axis=axis, keepdims=keepdims)
    return _of_rows(x, np.max, np.argmax, keepdims)


def least(x: Array, axis: Any, keepdims: bool = False) -> Array:
    """`np.min`."""
    if not _is_over_rows(x, axis):
        return np.min(x, axis=axis, keepdims=keepdims)
    return _of_rows(x, np.min, np.argmin, keepdims)


def _is_over_rows(x: Array, axis: Any) -> bool:
    """Whether there are many rows, and none is long."""
    if type(x) is not np.ndarray or x.size < MANY or x.ndim < 2 or x.shape[-1] > LONG:
        return False
    if axis not in (-1, x.ndim - 1, (-1,), (x.ndim - 1,)):
        return False
    return x.shape[-1] <= _FEW or (x.flags.c_contiguous and x.dtype.kind == "f")


def _of_rows(
    x: np.ndarray,
    extremum: Callable[..., np.ndarray],
    place: Callable[..., np.ndarray],
    keepdims: bool,
) -> np.ndarray:
    """An extremum of each row: of short rows, of all their first elements, all their second, and so on,
    at once; of others, what is at its place, which NumPy finds several times as fast."""
    n = x.shape[-1]
    rows = x.reshape(-1, n)
    if n <= _FEW:
        found = extremum(np.ascontiguousarray(rows.T), axis=0)
    else:
        places = place(rows, axis=1)
        places += np.arange(0, x.size, n)
        found = rows.reshape(-1)[places]
    return found.reshape((*x.shape[:-1], 1) if keepdims else x.shape[:-1])
