"""Windows of images in planes: for each number that a window sees, a row of that number at all places.

Where the numbers of a pixel are few, to copy them pixel after pixel takes longer than to multiply.
Rows of places are copied in long runs, and so they are for a window that moves in larger steps: of every
s columns, the first ones lie side by side, then the second ones.

Images are a stack, (stack, samples, channels, height, width); planes (stack, channels, height, phase,
columns of that phase, samples).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from autobp.kernels.layout import contiguous

__all__ = ["add_windows", "in_planes", "of_planes", "windows", "zero_planes"]

Array = Any
Pair = tuple[int, int]


def in_planes(x: Array, step: int) -> Array:
    """Images in planes, for windows that move so many columns at a time."""
    x = x.transpose(0, 2, 3, 4, 1)
    if step == 1:
        return contiguous(x)[:, :, :, None]
    planes = zero_planes(x.shape, step, x.dtype)
    for phase in range(min(step, x.shape[3])):
        columns = x[:, :, :, phase::step]
        planes[:, :, :, phase, : columns.shape[3]] = columns
    return planes


def zero_planes(shape: tuple[int, ...], step: int, dtype: Any) -> Array:
    """Planes of images (stack, channels, height, width, samples)."""
    *before, width, samples = shape
    return np.zeros((*before, step, -(-width // step), samples), dtype)


def of_planes(planes: Array, width: int) -> Array:
    """The images again, as (height, width, samples, stack, channels)."""
    stack, channels, height, step, _, samples = planes.shape
    x = np.empty((height, width, samples, stack, channels), planes.dtype)
    for phase in range(min(step, width)):
        part = x[:, phase::step]
        part[...] = planes[:, :, :, phase, : part.shape[1]].transpose(2, 3, 4, 0, 1)
    return x


def windows(
    planes: Array, memory: Array, where: Any, size: Pair, stride: Pair, dilation: Pair
) -> tuple[Array, Array]:
    """For each of a stack, a matrix with a column for each place of the window and sample: what it sees.
    And the memory that it is in, for the next ones."""
    if size == (1, 1):
        (_, pixels), *_ = _met(planes, where, size, stride, dilation)
        return _matrices(pixels[:, None, None]), memory
    shape = _windows_shape(planes, where, size)
    if memory.size < math.prod(shape):
        memory = np.empty(math.prod(shape), planes.dtype)
    seen = memory[: math.prod(shape)].reshape(shape)
    if stride[1] == 1:
        seen[...] = _sliding(planes, shape, where, stride, dilation)
    else:
        for (i, j), part in _met(planes, where, size, stride, dilation):
            seen[:, i, j] = part
    return _matrices(seen), memory


def _sliding(planes: Array, shape: Any, where: Any, stride: Pair, dilation: Pair) -> Array:
    """What windows see, of columns that are all in one phase."""
    rows, columns = where
    corner = planes[:, :, stride[0] * rows.start :, 0, columns.start :]
    depth, channel, height, width, sample = corner.strides
    within = depth, dilation[0] * height, dilation[1] * width, channel
    steps = *within, stride[0] * height, width, sample
    return np.lib.stride_tricks.as_strided(corner, shape, steps)


def add_windows(
    planes: Array, seen: Array, where: Any, size: Pair, stride: Pair, dilation: Pair
) -> None:
    """Add to the planes what windows give back to them."""
    seen = seen.reshape(_windows_shape(planes, where, size))
    for (i, j), part in _met(planes, where, size, stride, dilation):
        part += seen[:, i, j]


def _windows_shape(planes: Array, where: Any, size: Pair) -> tuple[int, ...]:
    places = (part.stop - part.start for part in where)
    return len(planes), *size, planes.shape[1], *places, planes.shape[5]


def _matrices(seen: Array) -> Array:
    return seen.reshape(len(seen), math.prod(seen.shape[1:4]), math.prod(seen.shape[4:]))


def _met(
    planes: Array, where: Any, size: Pair, stride: Pair, dilation: Pair
) -> Iterator[tuple[Pair, Array]]:
    """What each element of the window meets at some of its places."""
    rows, columns = where
    for i, j in np.ndindex(*size):
        above = i * dilation[0] + rows.start * stride[0]
        down = slice(above, above + (rows.stop - rows.start - 1) * stride[0] + 1, stride[0])
        first, phase = divmod(j * dilation[1], stride[1])
        across = slice(first + columns.start, first + columns.stop)
        yield (i, j), planes[:, :, down, phase, across]
