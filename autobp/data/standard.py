"""Standardizing: features moved and stretched to mean 0 and deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Standard", "standardize"]


@dataclass(frozen=True, eq=False)
class Standard:
    """What `standardize` has learned from the training part; call it on any part."""

    mean: np.ndarray
    std: np.ndarray

    def __call__(self, x: Any) -> np.ndarray:
        x = _floating(x)
        if x.shape[1:] != self.mean.shape:
            raise ValueError(
                f"samples of shape {x.shape[1:]} do not fit: the training part's have {self.mean.shape}"
            )
        out = x - self.mean.astype(x.dtype)
        out /= self.std.astype(x.dtype)
        return out


def standardize(train: Any) -> Standard:
    """Learn the mean and the deviation of each feature from the training part, and from it alone.

    What comes back is applied to every part, so that nothing of the test part leaks into training.
    A feature that never varies becomes 0. float32 stays float32; integers become float64.

    >>> train, test = np.array([[1.0, 7.0], [3.0, 7.0]]), np.array([[5.0, 8.0]])
    >>> standard = standardize(train)
    >>> standard(train).tolist(), standard(test).tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [[3.0, 1.0]])
    """
    x = np.asarray(train)
    if not x.ndim or not len(x):
        raise ValueError(f"standardize needs samples to learn from, not shape {x.shape}")
    moved = x.astype(np.float64)
    moved -= x[0]  # so that what never varies has a deviation of 0, and not of a rounding error
    std = moved.std(axis=0)
    return Standard(x[0] + moved.mean(axis=0), np.where(std == 0, 1.0, std))


def _floating(x: Any) -> np.ndarray:
    x = np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)
