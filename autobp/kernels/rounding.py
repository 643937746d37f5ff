"""How much of a number may be rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["noise"]


def noise(values: Any) -> Any:
    """What rounding may make of a value that is 0."""
    if not values.shape[-1]:
        return values
    largest = np.max(np.abs(values), axis=-1, keepdims=True)
    return np.finfo(values.dtype).eps * values.shape[-1] * largest
