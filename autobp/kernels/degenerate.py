"""What equal values of a decomposition, and values of 0, leave undetermined: their vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.kernels.rounding import noise

__all__ = ["equal_pairs", "has_changed", "is_asked_for", "vanishing"]


def equal_pairs(w: Any) -> Any:
    """Which values are equal, each to itself too."""
    gap = np.expand_dims(w, -2) - np.expand_dims(w, -1)
    return np.abs(gap) <= np.expand_dims(noise(w), -1)


def vanishing(s: Any) -> Any:
    """Which singular values are 0, in a row above the vectors."""
    return np.expand_dims(s <= noise(s), -2)


def is_asked_for(*vectors: Any) -> Any:
    """Which of the columns a cotangent is about, on one side or the other."""
    asked = [np.any(g != 0, axis=-2, keepdims=True) for g in vectors]
    return np.any(np.concatenate(asked, axis=-2), axis=-2, keepdims=True)


def has_changed(inner: Any) -> Any:
    """By a symmetric tangent between vectors: which pairs turn into each other, and of which the values
    part. If they were equal, that decides what their vectors become."""
    values = np.diagonal(inner, axis1=-2, axis2=-1)
    return (inner != 0) | (np.expand_dims(values, -2) != np.expand_dims(values, -1))
