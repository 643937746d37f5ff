"""Batch normalization of images as one operation, whose derivatives of the first order take few passes over
memory. Derivatives of derivatives are recorded operation by operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.kernels import normalization as kernels
from autobp.kernels.normalization import normalized
from autobp.operation import operation
from autobp.primitive import Array, Primitive, Together, fused, general, opaque
from autobp.rules import batching, costs, patterns

__all__ = ["batch_norm", "channel_moments"]

channel_moments: Callable[..., Any] = opaque(
    operation(static=True, fresh=True, batch=batching.moments_of_channels)(kernels.channel_moments)
)
normalized_cotangents: Callable[..., Any] = opaque(
    operation(static=True, fresh=True, batch=batching.normalized_part)(
        kernels.normalized_cotangents
    )
)


def _channels(v: Array) -> Array:
    """Numbers of channels as an image that is broadcast."""
    return v[:, None, None]


def _mean(x: Array) -> Array:
    return np.mean(x, axis=(0, 2, 3))


def _standard(x: Array, eps: float) -> tuple[Array, Array]:
    """The images with mean 0 and variance 1, and what they were multiplied by for that."""
    centred = x - _channels(_mean(x))
    scale = 1.0 / np.sqrt(_mean(centred * centred) + eps)
    return centred * _channels(scale), scale


def _slope(t: Array, x: Array, w: Array, eps: float) -> Array:
    """Times the derivative by the images, which is a symmetric matrix."""
    standard, scale = _standard(x, eps)
    across = t - _channels(_mean(t)) - standard * _channels(_mean(t * standard))
    return across * _channels(w * scale)


def _cotangents(g: Array, x: Array, w: Array, eps: float) -> tuple[Array, Array, Array]:
    by_w = np.sum(g * _standard(x, eps)[0], axis=(0, 2, 3))
    return _slope(g, x, w, eps), by_w, np.sum(g, axis=(0, 2, 3))


# fmt: off
batch_norm: Primitive = general(normalized,
                                forward=(lambda t, y, x, w, b, eps: _slope(t, x, w, eps),
                                         lambda t, y, x, w, b, eps: _channels(t) * _standard(x, eps)[0],
                                         lambda t, y, x, w, b, eps: _channels(t)),
                                reverse=Together(lambda g, y, x, w, b, eps: fused(normalized_cotangents, _cotangents, g, x, w, eps)),
                                name="batch_norm", cost=costs.batch_norm, static=True, fresh=True, opaque=True, pixels="first", batch=batching.normalized, pattern=patterns.normalized)
# fmt: on
