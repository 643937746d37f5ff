"""Sums of exponentials, which NumPy computes number by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.kernels.sums import BLAS

__all__ = ["MANY", "logaddexp"]

Array = Any
MANY = 1 << 6  # numbers: for fewer, the calls take longer


def logaddexp(x: Array, y: Array) -> Array:
    """`np.logaddexp`, by its own formula, one pass after the other: each is done for many numbers at once."""
    kinds = {type(x), type(y)}
    if np.ndarray not in kinds or not kinds <= {np.ndarray, np.float32, np.float64, float, int}:
        return np.logaddexp(x, y)
    z = np.maximum(x, y)
    if z.size < MANY or z.dtype not in BLAS:
        return np.logaddexp(x, y)
    with np.errstate(invalid="ignore"):  # infinite numbers, the difference of which is nan
        small = np.subtract(x, y)
        np.abs(small, out=small)
        np.negative(small, out=small)
        np.exp(small, out=small)
        np.log1p(small, out=small)
        z += small
    return np.logaddexp(x, y) if np.isnan(z).any() else z
