"""Maxima and minima over a short last axis. NumPy takes row after row; all rows at once are faster."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["greatest", "least"]

Array = Any
_MANY = 1 << 10  # numbers: fewer are not worth their copy
_SHORT = 1 << 6  # numbers in a row: in longer ones NumPy is as fast


def greatest(x: Array, axis: Any, keepdims: bool = False) -> Array:
    """`np.max`."""
    columns = _columns(x, axis)
    if columns is None:
        return np.max(x, axis=axis, keepdims=keepdims)
    found = np.max(columns, axis=0).reshape(x.shape[:-1])
    return found[..., None] if keepdims else found


def least(x: Array, axis: Any, keepdims: bool = False) -> Array:
    """`np.min`."""
    columns = _columns(x, axis)
    if columns is None:
        return np.min(x, axis=axis, keepdims=keepdims)
    found = np.min(columns, axis=0).reshape(x.shape[:-1])
    return found[..., None] if keepdims else found


def _columns(x: Array, axis: Any) -> np.ndarray | None:
    """A row of all the first elements, of all the second, and so on, if that is worth it."""
    if type(x) is not np.ndarray or x.size < _MANY or x.ndim < 2 or x.shape[-1] > _SHORT:
        return None
    if axis not in (-1, x.ndim - 1, (-1,), (x.ndim - 1,)):
        return None
    return np.ascontiguousarray(x.reshape(-1, x.shape[-1]).T)
