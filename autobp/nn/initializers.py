"""Values to begin with. An initializer is a function of a shape and a Generator, `init(shape, rng)`.

Shapes are (out, in, *kernel): what a layer's `weight` has.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

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


def normal(std: float = 1.0) -> Initializer:
    """Normal around 0.

    >>> import numpy as np
    >>> from autobp import nn
    >>> nn.normal(0.01)((10, 784), np.random.default_rng(0)).std().round(3)
    np.float64(0.01)
    """
    return lambda shape, rng: std * rng.standard_normal(shape)


def uniform(low: float = 0.0, high: float = 1.0) -> Initializer:
    """Uniform from `low` to `high`."""
    return lambda shape, rng: rng.uniform(low, high, shape)


def xavier(fan_out: bool = True) -> Initializer:
    """Normal of variance 2 / (n_in + n_out), or 1 / n_in with `fan_out=False`: signals keep their
    size on the way through layers of tanh or sigmoid."""

    def init(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        n_in = fan_in(shape)
        variance = 2 / (n_in + shape[0] * math.prod(shape[2:])) if fan_out else 1 / n_in
        return math.sqrt(variance) * rng.standard_normal(shape)

    return init


def he() -> Initializer:
    """Normal of variance 2 / n_in, for layers followed by relu, which loses half of the signal."""
    return lambda shape, rng: math.sqrt(2 / fan_in(shape)) * rng.standard_normal(shape)


def zeros() -> Initializer:
    """All zero: fit for biases; neurons with the same weights stay the same."""
    return lambda shape, rng: np.zeros(shape)


def from_npy(path: str | os.PathLike[str]) -> Initializer:
    """What a file holds that `np.save` wrote."""

    def init(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        try:
            with open(path, "rb") as file:
                values = np.lib.format.read_array(file, allow_pickle=False)
        except OSError:
            raise
        except Exception as error:  # of the parsers that NumPy reads headers with
            raise ValueError(
                f"{path} is no .npy file, or it is damaged: {type(error).__name__}: {error}"
            ) from error
        if values.shape != shape:
            turned = values.shape == shape[::-1]
            hint = "; weights are (out, in): save the transpose" if turned else ""
            raise ValueError(f"{path} holds an array of shape {values.shape}, not {shape}{hint}")
        return values

    return init


#: The functions that make initializers, and are none themselves.
INITIALIZERS: tuple[Any, ...] = (normal, uniform, xavier, he, zeros, from_npy)


def fan_in(shape: tuple[int, ...]) -> int:
    """How many numbers one output is computed from."""
    return math.prod(shape[1:])
