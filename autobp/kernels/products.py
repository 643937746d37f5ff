"""Products of matrices and vectors, as few calls of BLAS as there can be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["product"]

Array = Any


def product(a: Array, b: Array) -> Array:
    """`np.matmul`. Of matrices and vectors dot is the same, and sooner at BLAS. Many matrices by one, or by a
    vector, are one product."""
    if type(a) is np.ndarray is type(b) and 0 < b.ndim <= 2:
        if 0 < a.ndim <= 2:
            return a.dot(b)
        if a.ndim and a.flags.c_contiguous:
            rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
            return rows.dot(b).reshape(a.shape[:-1] + b.shape[1:])
    return np.matmul(a, b)
