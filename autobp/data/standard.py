"""Standardization: features are shifted and scaled to mean 0 and standard deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.habits import checks_keywords

__all__ = ["Standard", "standardize"]


@dataclass(frozen=True, eq=False)
class Standard:
    """Mean and deviation from `standardize`. Call it on training, validation or test data."""

    mean: np.ndarray
    std: np.ndarray

    def __call__(self, x: Any) -> np.ndarray:
        x = _floating(x)
        if x.shape[1:] != self.mean.shape:
            raise ValueError(
                f"samples must have shape {self.mean.shape}, as in training, not {x.shape[1:]}"
            )
        out = x - self.mean.astype(x.dtype)
        out /= self.std.astype(x.dtype)
        return out


@checks_keywords
def standardize(train: Any) -> Standard:
    """Compute mean and standard deviation of each feature, from the training data alone.

    Apply the result to training and test data, so that nothing leaks from test data into training.
    A constant feature becomes 0. float32 stays float32; integers become float64.

    >>> train, test = np.array([[1.0, 7.0], [3.0, 7.0]]), np.array([[5.0, 8.0]])
    >>> standard = standardize(train)
    >>> standard(train).tolist(), standard(test).tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [[3.0, 1.0]])
    """
    x = np.asarray(train)
    if not x.ndim or not len(x):
        raise ValueError(f"standardize needs at least one sample, not shape {x.shape}")
    shifted = x.astype(np.float64)
    shifted -= x[0]  # then a constant feature has a deviation of exactly 0, without rounding
    std = shifted.std(axis=0)
    return Standard(x[0] + shifted.mean(axis=0), np.where(std == 0, 1.0, std))


def _floating(x: Any) -> np.ndarray:
    x = np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)
