"""Convolutions of each channel by itself: all pixels times one weight of the kernel after the other.

The images are (height, width, numbers), with all that is at a pixel, of all samples and channels, in one
axis; the kernels are (height, width, numbers) as well, and each of these numbers has its own. A product of
matrices would have one column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["each", "each_input", "each_weight", "met"]

Array = Any
Pair = tuple[int, int]

_CACHE = 1 << 18  # bytes of products that are made at a time


def met(
    offset: Sequence[int], where: Sequence[slice], stride: Pair, dilation: Pair
) -> Iterator[slice]:
    """The pixels that one element of the window meets in some of the window's places."""
    for k, part, s, d in zip(offset, where, stride, dilation, strict=True):
        yield slice(k * d + part.start * s, k * d + (part.stop - 1) * s + 1, s)


def _blocks(places: Pair, numbers: int, dtype: Any) -> Iterator[tuple[tuple[slice, slice], Array]]:
    """Some rows of places after the others, and room for their products."""
    rows, columns = places
    n = max(1, min(rows, _CACHE // max(1, columns * numbers * dtype.itemsize)))
    room = np.empty((n, columns, numbers), dtype)
    for i in range(0, rows, n):
        block = slice(i, min(i + n, rows))
        yield (block, slice(0, columns)), room[: block.stop - i]


def each(x: Array, w: Array, places: Pair, stride: Pair, dilation: Pair) -> Array:
    """The images that come out."""
    y = np.empty((*places, x.shape[2]), np.result_type(x, w))
    first, *others = np.ndindex(*w.shape[:2])
    for where, room in _blocks(places, x.shape[2], y.dtype):
        np.multiply(x[*met(first, where, stride, dilation)], w[first], out=y[where])
        for offset in others:
            y[where] += np.multiply(x[*met(offset, where, stride, dilation)], w[offset], out=room)
    return y


def each_input(g: Array, w: Array, image: Pair, stride: Pair, dilation: Pair) -> Array:
    """The cotangent of the images, from that of what comes out."""
    x = np.zeros((*image, g.shape[2]), np.result_type(g, w))
    for where, room in _blocks(g.shape[:2], g.shape[2], x.dtype):
        for offset in np.ndindex(*w.shape[:2]):
            x[*met(offset, where, stride, dilation)] += np.multiply(g[where], w[offset], out=room)
    return x


def each_weight(x: Array, g: Array, size: Pair, stride: Pair, dilation: Pair) -> Array:
    """The cotangent of the kernels."""
    w = np.zeros((*size, g.shape[2]), np.result_type(x, g))
    for where, room in _blocks(g.shape[:2], g.shape[2], w.dtype):
        for offset in np.ndindex(*size):
            np.multiply(x[*met(offset, where, stride, dilation)], g[where], out=room)
            w[offset] += np.add.reduce(room, axis=(0, 1))
    return w
