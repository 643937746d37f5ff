"""Initial values of weights. An initializer is a function `init(shape, rng)`, where `rng` is a
Generator and `shape` is that of a layer's `weight`: (out, in, *kernel).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.habits import checks_keywords

__all__ = [
    "INITIALIZERS",
    "Initializer",
    "fan_in",
    "from_npy",
    "he",
    "normal",
    "uniform",
    "xavier",
    "zeros",
]

Initializer = Callable[[tuple[int, ...], np.random.Generator], np.ndarray]


@checks_keywords
def normal(std: float = 1.0) -> Initializer:
    """Normally distributed with mean 0.

    >>> import numpy as np
    >>> from autobp import nn
    >>> nn.normal(0.01)((10, 784), np.random.default_rng(0)).std().round(3)
    np.float64(0.01)
    """
    return lambda shape, rng: std * rng.standard_normal(shape)


@checks_keywords
def uniform(low: float = 0.0, high: float = 1.0) -> Initializer:
    """Uniformly distributed from `low` to `high`."""
    return lambda shape, rng: rng.uniform(low, high, shape)


@checks_keywords
def xavier(fan_out: bool = True) -> Initializer:
    """Normal with variance 2 / (n_in + n_out), or 1 / n_in with `fan_out=False`. It keeps the size of
    signals through layers of tanh or sigmoid."""

    def init(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        n_in = fan_in(shape)
        variance = 2 / (n_in + shape[0] * math.prod(shape[2:])) if fan_out else 1 / n_in
        return math.sqrt(variance) * rng.standard_normal(shape)

    return init


@checks_keywords
def he() -> Initializer:
    """Normal with variance 2 / n_in, for layers followed by relu, which drops half of the signal."""
    return lambda shape, rng: math.sqrt(2 / fan_in(shape)) * rng.standard_normal(shape)


def zeros() -> Initializer:
    """All zeros. Use it for biases; neurons with equal weights would stay equal."""
    return lambda shape, rng: np.zeros(shape)


def from_npy(path: str | os.PathLike[str]) -> Initializer:
    """The array in a file that `np.save` wrote."""

    def init(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        try:
            with open(path, "rb") as file:
                values = np.lib.format.read_array(file, allow_pickle=False)
        except OSError:
            raise
        except Exception as error:  # from the parsers of NumPy's header
            raise ValueError(
                f"{path} is not a .npy file, or it is damaged: {type(error).__name__}: {error}"
            ) from error
        if values.shape != shape:
            transposed = values.shape == shape[::-1]
            hint = "; weights are (out, in): save the transpose" if transposed else ""
            raise ValueError(f"{path} holds an array of shape {values.shape}, not {shape}{hint}")
        return values

    return init


#: Functions that return initializers. To pass one uncalled is a common mistake.
INITIALIZERS: tuple[Any, ...] = (normal, uniform, xavier, he, zeros, from_npy)


def fan_in(shape: tuple[int, ...]) -> int:
    """The number of inputs of one output."""
    return math.prod(shape[1:])
