"""Systems of equations with triangular matrices, for which NumPy has no function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autobp.kernels.sums import BLAS

__all__ = ["by_substitution", "solved"]

Array = Any

_BLOCK = 32  # rows that are solved at once
_LARGEST = 3 * _BLOCK  # rows of a matrix that is solved as any other is, if it is alone
_MANY = 1 << 10  # rows of all matrices: of as many the rows are solved one after the other
_COLUMNS = 4 * _BLOCK  # of more, the inverse of a block takes less than its solution
_SEEN = 1 << 7  # rows that are looked at at once


def by_substitution(shape: tuple[int, ...]) -> bool:
    """Whether substitution pays for triangular matrices of this shape: for large ones, and for many."""
    n = shape[-1]
    return n > _LARGEST or (n > 1 and len(shape) > 2 and math.prod(shape[:-1]) >= _MANY)


def solved(a: Array, b: Array) -> Array:
    """`np.linalg.solve`, by substitution where the matrices are triangular, as factors are, and large or many."""
    if a.ndim >= 2 and a.shape[-1] == a.shape[-2] and a.dtype in BLAS and by_substitution(a.shape):
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
    for i in range(0, n, _SEEN):
        j = min(i + _SEEN, n)
        within = np.tri(j - i, dtype=bool)
        if np.logical_and(a[..., i:j, i:j], ~within).any() or a[..., i:j, j:].any():
            return False
    return True


def _substituted(a: Array, b: Array, lower: bool) -> Array:
    if b.ndim == 1:
        return _substituted(a, b[:, None], lower)[..., 0]
    n = a.shape[-1]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.empty((*batch, *b.shape[-2:]), np.result_type(a, b))
    some = _BLOCK if n > _LARGEST else 1
    starts = range(0, n, some)
    for i in starts if lower else reversed(starts):
        here = slice(i, i + some)
        known = slice(0, i) if lower else slice(i + some, n)
        rest = b[..., here, :]
        if known.start < known.stop:
            rest = rest - a[..., here, known] @ x[..., known, :]
        block = a[..., here, here]
        x[..., here, :] = rest / block if some == 1 else _block_solved(block, rest)
    return x


def _block_solved(a: Array, b: Array) -> Array:
    """For many columns by the inverse, which is quick for a small matrix. One step of refinement makes
    up for its rounding."""
    if b.shape[-1] <= _COLUMNS:
        return np.linalg.solve(a, b)
    inverse = np.linalg.inv(a)
    x = inverse @ b
    x += inverse @ (b - a @ x)
    return x
