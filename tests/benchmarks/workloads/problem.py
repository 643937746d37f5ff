"""What a workload consists of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Shapes = list[tuple[int, ...]]


@dataclass(frozen=True)
class Problem:
    how: str  # the method of a library that makes a step of it
    program: Callable[[Any], Callable[..., Any]]  # of a library: a function of parameters and data
    start: Any
    data: Sequence[Any]
    method: str = "SGD"  # of training
    by_hand: Callable[..., list[Any]] | None = None  # in NumPy, of parameters and data
    without: Sequence[str] = ()  # libraries that cannot say it
    rtol: float | None = None


def weights(rng: np.random.Generator, shapes: Shapes, dtype: Any) -> list[np.ndarray]:
    """Parameters; vectors are scales and biases, near ½."""
    drawn = []
    for shape in shapes:
        noise = rng.standard_normal(shape)
        size = np.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.1
        drawn.append((size * noise + (0.5 if len(shape) == 1 else 0)).astype(dtype))
    return drawn
