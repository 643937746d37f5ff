"""Batch normalization of images, in few passes over memory and long runs: the numbers of a pixel of all
samples and channels are one axis, along which what there is for each channel is repeated."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.kernels.layout import contiguous
from autobp.kernels.sums import ones

__all__ = ["channel_moments", "normalized", "normalized_cotangents"]

Array = Any


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Mean and variance of each channel of images (samples, channels, height, width)."""
    mean, centred = _centred(_pixel_rows(x), x.shape[1])
    centred *= centred
    return mean, _channel_means(centred, x.shape[1])


def normalized(x: Array, w: Array, b: Array, eps: float) -> Array:
    """Each channel with mean b and standard deviation w."""
    _, y = _centred(_pixel_rows(x), len(w))
    scale = w / np.sqrt(_channel_means(y * y, len(w)) + eps)
    y = y.astype(np.result_type(x, w, b), copy=False)
    y *= _each_sample(scale, y)
    y += _each_sample(b, y)
    return _as_images(y, x)


def normalized_cotangents(g: Array, x: Array, w: Array, eps: float) -> tuple[Array, Array, Array]:
    """Those of the images, of w and of b."""
    rows = _pixel_rows(g)
    _, centred = _centred(_pixel_rows(x), len(w))
    product = centred * centred
    scale = 1.0 / np.sqrt(_channel_means(product, len(w)) + eps)
    if product.dtype == rows.dtype:
        np.multiply(rows, centred, out=product)
    else:
        product = rows * centred
    n = max(1, x.size // max(1, len(w)))
    mean, along = _channel_means(rows, len(w)), _channel_means(product, len(w))
    np.multiply(centred, _each_sample(-along * scale * scale, product), out=product)
    product += rows
    product -= _each_sample(mean, product)
    product *= _each_sample(w * scale, product)
    return _as_images(product, x), along * scale * n, mean * n


def _pixel_rows(x: Array) -> Array:
    """As (height, width, samples · channels)."""
    samples, channels, height, width = x.shape
    x = contiguous(x.transpose(2, 3, 0, 1))
    return x.reshape(height, width, samples * channels)


def _as_images(rows: Array, like: Array) -> Array:
    samples, channels, height, width = like.shape
    return rows.reshape(height, width, samples, channels).transpose(2, 3, 0, 1)


def _channel_means(rows: Array, channels: int) -> Array:
    """Short sums, one after the other, round less than a long one."""
    height, width, numbers = rows.shape
    each = ones(height, rows.dtype) @ (ones(width, rows.dtype) @ rows)
    samples = numbers // channels
    return np.add.reduce(each.reshape(samples, channels), axis=0) / (height * width * samples)


def _each_sample(v: Array, rows: Array) -> Array:
    return np.tile(v.astype(rows.dtype, copy=False), rows.shape[2] // len(v))


def _centred(rows: Array, channels: int) -> tuple[Array, Array]:
    """The mean of each channel, and the numbers less that."""
    mean = _channel_means(rows, channels)
    return mean, rows - _each_sample(mean, rows)
