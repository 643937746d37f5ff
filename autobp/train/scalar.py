"""Scalar: a loss or a metric as the single number that a training needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.context import current
from autobp.primitive import constant
from autobp.tensor import Tensor

__all__ = ["differentiable", "number"]


def number(what: str, value: Any) -> float:
    """A loss or a metric as a float."""
    value = np.asarray(constant(value))
    if value.size != 1:
        raise ValueError(f"{what} must be a single number, not an array of shape {value.shape}")
    return float(value.item())


def differentiable(value: Any) -> Tensor:
    """A loss that backward can start from."""
    if not isinstance(value, Tensor) or not value.requires_grad:
        why = ", since no_grad() is open around fit" if current().threshold else ""
        raise TypeError(f"fit: the loss does not depend on the parameters{why}")
    if value.size != 1:
        raise ValueError(
            f"fit: the loss must be a single number, not an array of shape {value.shape}"
        )
    return value
