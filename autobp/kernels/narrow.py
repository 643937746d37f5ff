"""Convolutions from many channels to few, with kernels larger than a pixel, in steps of one pixel.

A window holds the channels in of all its pixels, and to copy windows takes longer than to multiply. Here
it is the few channels out that are there once for each element of the window: the product of all pixels
and all weights is moved and added up; for derivatives the cotangent is moved.

The images are (height, width, samples, channels), and the kernels (channels out, channels in, height, width).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["narrow", "narrow_input", "narrow_pays", "narrow_weight"]

Array = Any
Pair = tuple[int, int]

_CACHE = 1 << 20  # bytes of moved numbers that are there at a time
_TIMES = 3  # as many channels in as out, at least


def narrow_pays(kernel: tuple[int, ...], stride: Pair) -> bool:
    """Whether this is the faster way."""
    out, channels, *size = kernel
    return stride == (1, 1) and tuple(size) != (1, 1) and 0 < _TIMES * out <= channels


def narrow(x: Array, w: Array, places: Pair, dilation: Pair) -> Array:
    """The images that come out."""
    y = np.zeros((len(w), *places, x.shape[2]), np.result_type(x, w))
    weights = _matrix(w)
    for rows in _blocks(x.shape, len(weights), y.itemsize):
        pixels = x[rows]
        moved = (weights @ _pixels(pixels).T).reshape(*w.shape[2:], len(w), *pixels.shape[:3])
        for ij in np.ndindex(*w.shape[2:]):
            few, here, columns = _met(ij, rows, places, dilation)
            y[:, few] += moved[*ij, :, here, columns]
    return np.ascontiguousarray(y.transpose(1, 2, 3, 0))


def narrow_input(g: Array, w: Array, image: Pair, dilation: Pair) -> Array:
    """The cotangent of the images, from that of what comes out."""
    x = np.empty((*image, g.shape[2], w.shape[1]), np.result_type(g, w))
    weights = _matrix(w)
    for rows, moved in _moved(g, w.shape[2:], x.shape, dilation):
        np.matmul(moved.T, weights, out=_pixels(x[rows]))
    return x


def narrow_weight(x: Array, g: Array, size: Pair, dilation: Pair) -> Array:
    """The cotangent of the kernels."""
    few, channels = g.shape[3], x.shape[3]
    w = np.zeros((size[0] * size[1] * few, channels), np.result_type(x, g))
    for rows, moved in _moved(g, size, x.shape, dilation):
        w += moved @ _pixels(x[rows])
    return w.reshape(*size, few, channels).transpose(2, 3, 0, 1)


def _matrix(w: Array) -> Array:
    """The kernels with a row for each element of the window and channel out."""
    return w.transpose(2, 3, 0, 1).reshape(-1, w.shape[1])


def _pixels(x: Array) -> Array:
    return x.reshape(-1, x.shape[3])


def _blocks(image: tuple[int, ...], numbers: int, itemsize: int) -> Iterator[slice]:
    """Some rows of the image after the others, with so many numbers at each pixel."""
    height, width, samples, _ = image
    some = max(1, _CACHE // max(1, width * samples * numbers * itemsize))
    for i in range(0, height, some):
        yield slice(i, min(i + some, height))


def _met(ij: Pair, rows: slice, places: Pair, dilation: Pair) -> tuple[slice, slice, slice]:
    """For one element of the window, the rows of places that meet some rows of the image, those rows,
    counted from the first of them, and the columns."""
    down, across = ij[0] * dilation[0], ij[1] * dilation[1]
    first, last = max(rows.start - down, 0), max(min(rows.stop - down, places[0]), 0)
    here = slice(max(down - rows.start, 0), max(last + down - rows.start, 0))
    return slice(min(first, last), last), here, slice(across, across + places[1])


def _moved(
    g: Array, size: Pair, image: tuple[int, ...], dilation: Pair
) -> Iterator[tuple[slice, Array]]:
    """For some rows of the image, the numbers of `g` that each element of the window meets there: a row
    for each element and channel, with zeros where it meets none."""
    few = np.ascontiguousarray(g.transpose(3, 0, 1, 2))
    width, samples, elements = image[1], image[2], size[0] * size[1] * len(few)
    for rows in _blocks(image, elements, g.itemsize):
        moved = np.zeros((*size, len(few), rows.stop - rows.start, width, samples), g.dtype)
        for ij in np.ndindex(*size):
            places, here, columns = _met(ij, rows, g.shape[:2], dilation)
            moved[*ij, :, here, columns] = few[:, places]
        yield rows, moved.reshape(elements, -1)
