"""The cofactors of a matrix: the derivatives of its determinant."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["cofactors", "left_out"]

Array = Any

MOST = 32  # rows of a singular matrix whose minors are computed one by one


def cofactors(a: Array, det: Array) -> Array:
    """The cofactors of matrices and their determinants: det(a)·a⁻ᵀ. Where one is singular, all are
    taken from singular values, of which each stands for the product of the others:

        a = u·diag(s)·v    cofactors = det(u)·det(v) · u·diag(s₁⋯sₙ/sᵢ)·v
    """
    if np.all(det):
        return np.expand_dims(det, (-2, -1)) * np.swapaxes(np.linalg.inv(a), -1, -2)
    u, s, v = np.linalg.svd(a)
    signs = np.linalg.det(u) * np.linalg.det(v)
    one = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([one, s[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([one, s[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    others = np.rint(signs)[..., None] * before * after
    return (u * others[..., None, :]) @ v


def left_out(n: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """For each of n rows the numbers of the others, and the signs of the minors."""
    if n > MOST:
        raise np.linalg.LinAlgError(
            f"det: second derivatives of singular matrices are computed up to {MOST} rows, not of {n}"
        )
    i, k = np.arange(n), np.arange(max(n - 1, 0))
    return k + (k >= i[:, None]), np.where((i + i[:, None]) % 2, -1, 1).astype(dtype)
