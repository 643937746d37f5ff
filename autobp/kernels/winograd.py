"""Convolutions with kernels of 3×3 by Winograd's minimal filtering, F(2×2, 3×3).

Two neighbouring places of three weights, (w₀, w₁, w₂), see four pixels, and take six multiplications. Four
will do:

    y₀ = m₀ + m₁ + m₂     m₀ = (d₀ − d₂) w₀                    m₁ = (d₁ + d₂) (w₀ + w₁ + w₂) / 2
    y₁ = m₁ − m₂ − m₃     m₂ = (d₂ − d₁) (w₀ − w₁ + w₂) / 2    m₃ = (d₁ − d₃) w₂

As matrices, y = Aᵀ [(G w) ⊙ (Bᵀ d)]. In two dimensions, tiles of 4×4 pixels, which overlap by two, give
2×2 places in 16 multiplications instead of 36. The channels are summed before Aᵀ: a convolution is 16
products of matrices, (tiles, channels in) by (channels in, channels out), and Bᵀ and Aᵀ are sums of a few
large arrays. Derivatives are the transposes of all that.

In single precision it rounds less than the direct sum. A pixel that is not finite spoils its whole tile.

Images are (height, width, samples, channels) in memory too, so that every sum is one of long runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from autobp.kernels.sums import BLAS

__all__ = ["minimal", "minimal_input", "minimal_pays", "minimal_weight"]

Array = Any
Block = tuple[slice, slice]  # rows of tiles, samples

_TILES_BYTES = 1 << 20  # of tiles that are computed at a time: the cache holds them
_LEAST_CHANNELS = 12  # in and out: of fewer, the sums take as long as the products that are saved
_MANY_CHANNELS = 32  # of fewer, twice as many on the other side take sums that windows do not
_LEAST_IN_GROUPS = 8  # whose windows take longer
_LEAST_PRODUCTS = 1 << 18  # in each of the 16: of fewer, the calls of NumPy do


def minimal_pays(
    places: Any, samples: int, fewer: int, more: int, dtype: Any, groups: int = 1
) -> bool:
    """Whether this is the faster way, where a group has fewer channels on one side than on the other."""
    least = _LEAST_CHANNELS if groups == 1 else _LEAST_IN_GROUPS
    products = math.prod(_number_of_tiles(places)) * samples * fewer * more * groups
    alike = groups > 1 or more < 2 * fewer or fewer >= _MANY_CHANNELS
    return fewer >= least and alike and products >= _LEAST_PRODUCTS and dtype in BLAS


def minimal(x: Array, w: Array, groups: int = 1) -> Array:
    """The convolution of images with kernels (channels out, channels in of a group, 3, 3)."""
    height, width, samples, channels = x.shape
    y = np.empty((height - 2, width - 2, samples, len(w)), np.result_type(x, w))
    kernels = _kernels(w, y.dtype, 1.0, groups).mT
    memory: dict[str, Any] = {}
    for rows, few in _tile_blocks(y, max(len(w), channels)):
        seen = _seen_tiles(x, rows, few, memory, y.dtype)
        m = _held(memory, "b", y.dtype, (*seen.shape[:5], len(w)))
        np.matmul(_matrices(seen, groups), kernels, out=_matrices(m, groups))
        half = _held(memory, "a", y.dtype, (2, *m.shape[1:]))
        _sums(m, half)
        whole = _held(memory, "b", y.dtype, (2, 2, *m.shape[2:]))
        _sums(half.swapaxes(0, 1), whole.swapaxes(0, 1))
        pixels = y[2 * rows.start : 2 * rows.stop, :, few]
        for i, j in np.ndindex(2, 2):
            part = pixels[i::2, j::2]
            part[...] = whole[i, j, : part.shape[0], : part.shape[1]]
    return y


def minimal_input(g: Array, w: Array, groups: int = 1) -> Array:
    """The cotangent of the images, from that of the result."""
    height, width, samples, _ = g.shape
    channels = w.shape[1] * groups
    x = np.empty((height + 2, width + 2, samples, channels), np.result_type(g, w))
    kernels = _kernels(w, x.dtype, -1.0, groups)
    memory: dict[str, Any] = {}
    for rows, few in _tile_blocks(g, max(len(w), channels)):
        spread = _spread_tiles(g, rows, few, memory, "a", x.dtype)
        m = _held(memory, "b", x.dtype, (*spread.shape[:5], channels))
        np.matmul(_matrices(spread, groups), kernels, out=_matrices(m, groups))
        n, columns, samples, _ = m.shape[2:]
        half = _held(memory, "a", x.dtype, (4, n, 2, columns + 1, samples, channels))
        half[:, :, :, 0] = 0
        across = half.transpose(2, 3, 0, 1, 4, 5)
        _overlapped(m.transpose(1, 3, 0, 2, 4, 5), across[0], across[1])
        above = memory["whole"][-2:].copy() if rows.start else 0
        whole = memory["whole"] = np.empty((2 * n + 2, *half.shape[2:]), x.dtype)
        whole[:2] = above
        _overlapped(half, whole[::2], whole[1::2])
        # The next block of tiles has two of these rows as well.
        pixels = x[2 * rows.start : 2 * rows.stop + 2, :, few]
        for j in range(2):
            part = pixels[:, j::2]
            part[...] = whole[: part.shape[0], j, : part.shape[1]]
    return x


def minimal_weight(x: Array, g: Array, groups: int = 1) -> Array:
    """The cotangent of the kernels, from the images and that of the result."""
    shape = (groups, x.shape[3] // groups, g.shape[3] // groups)
    total = np.zeros((16, *shape), np.result_type(x, g))
    part = np.empty_like(total)
    memory: dict[str, Any] = {}
    for rows, few in _tile_blocks(g, max(x.shape[3], g.shape[3])):
        seen = _matrices(_seen_tiles(x, rows, few, memory, total.dtype), groups)
        spread = _matrices(_spread_tiles(g, rows, few, memory, "b", total.dtype), groups)
        total += np.matmul(seen.mT, spread, out=part)
    weights = _both_axes(-1.0, total.dtype).T @ total.reshape(16, -1)
    weights = weights.reshape(3, 3, *shape).transpose(2, 4, 3, 0, 1)
    return weights.reshape(g.shape[3], shape[1], 3, 3)


def _both_axes(last: float, dtype: Any) -> Array:
    """G for the rows and the columns of a kernel: (16, 9). For derivatives the last row has another sign,
    which Aᵀ then need not have."""
    g = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, last]], dtype)
    return (g[:, None, :, None] * g[:, None, :]).reshape(16, 9)


def _kernels(w: Array, dtype: Any, last: float, groups: int) -> Array:
    """G w Gᵀ: (16, groups, channels out, channels in)."""
    flat = w.reshape(-1, 9).astype(dtype, copy=False)
    shape = groups, len(w) // groups, w.shape[1]
    return (_both_axes(last, dtype) @ flat.T).reshape(16, *shape)


def _number_of_tiles(places: Any) -> tuple[int, int]:
    return (places[0] + 1) // 2, (places[1] + 1) // 2


def _tile_blocks(y: Array, channels: int) -> Iterator[Block]:
    """Tiles of the result, of so many channels, that the cache holds."""
    rows, columns = _number_of_tiles(y.shape)
    samples = y.shape[2]
    one = 16 * channels * columns * y.itemsize  # bytes of a row of tiles, of one sample
    few = max(1, min(samples, _TILES_BYTES // one))
    some = max(1, _TILES_BYTES // (one * few))
    for k in range(0, samples, few):
        for i in range(0, rows, some):
            yield slice(i, min(i + some, rows)), slice(k, min(k + few, samples))


def _held(memory: dict[str, Array], name: str, dtype: Any, shape: tuple[int, ...]) -> Array:
    """An array in the memory of that name, which may hold another until then."""
    size = math.prod(shape)
    if name not in memory or memory[name].size < size:
        memory[name] = np.empty(size, dtype)
    return memory[name][:size].reshape(shape)


def _matrices(tiles: Array, groups: int) -> Array:
    """Tiles (4, 4, rows, columns, samples, channels) as (16, groups, number, channels of each)."""
    shape = 16, math.prod(tiles.shape[2:5]), groups, tiles.shape[5] // groups
    return tiles.reshape(shape).swapaxes(1, 2)


def _seen_tiles(x: Array, rows: slice, few: slice, memory: dict[str, Array], dtype: Any) -> Array:
    """Bᵀ d B, of even and odd columns that stand apart first."""
    pixels = x[2 * rows.start : 2 * rows.stop + 2, :, few]
    n, columns = rows.stop - rows.start, (x.shape[1] - 1) // 2
    deep = pixels.shape[2:]
    apart = _held(memory, "a", dtype, (2 * n + 2, 2, columns + 1, *deep))
    for j in range(2):
        _fill(apart[:, j], pixels[:, j::2])
    half = _held(memory, "b", dtype, (4, n, 2, columns + 1, *deep))
    _differences([apart[i : i + 2 * n - 1 : 2] for i in range(4)], half)
    tiles = _held(memory, "a", dtype, (4, 4, n, columns, *deep))
    even, odd = half[:, :, 0], half[:, :, 1]
    across = even[:, :, :-1], odd[:, :, :-1], even[:, :, 1:], odd[:, :, 1:]
    _differences(across, tiles.swapaxes(0, 1))
    return tiles


def _spread_tiles(
    g: Array, rows: slice, few: slice, memory: dict[str, Array], name: str, dtype: Any
) -> Array:
    """A y Aᵀ, but for signs."""
    pixels = g[2 * rows.start : 2 * rows.stop, :, few]
    n, columns = rows.stop - rows.start, (g.shape[1] + 1) // 2
    tiles = _held(memory, name, dtype, (4, 4, n, columns, *pixels.shape[2:]))
    for i, j in np.ndindex(2, 2):
        _fill(tiles[3 * i, 3 * j], pixels[i::2, j::2])
    _sum_and_difference(tiles[:, ::3])
    _sum_and_difference(tiles.swapaxes(0, 1))
    return tiles


def _fill(out: Array, pixels: Array) -> None:
    """Pixels, and zeros where the last tiles reach beyond the image."""
    height, width = pixels.shape[:2]
    out[:height, :width] = pixels
    out[height:] = 0
    out[:, width:] = 0


def _differences(d: Any, out: Array) -> None:
    """Bᵀ d."""
    np.subtract(d[0], d[2], out=out[0])
    np.add(d[1], d[2], out=out[1])
    np.subtract(d[2], d[1], out=out[2])
    np.subtract(d[1], d[3], out=out[3])


def _sum_and_difference(y: Array) -> None:
    """A y, but for a sign, where the first and the last are there."""
    np.add(y[0], y[3], out=y[1])
    np.subtract(y[0], y[3], out=y[2])


def _overlapped(m: Array, even: Array, odd: Array) -> None:
    """B m, in which tiles overlap: the even and the odd pixels, of which the first are added to."""
    np.add(m[1], m[2], out=even[1:])
    even[1:] -= m[0]
    even[:-1] += m[0]
    last = m[1]
    last -= m[2]
    last += m[3]
    odd[0] += last[0]
    np.subtract(last[1:], m[3][:-1], out=odd[1:-1])
    # np.negative is wrong (2.4) from numbers that are 64 bytes apart to others that are not side by side
    np.multiply(m[3][-1], -1.0, out=odd[-1])


def _sums(m: Array, out: Array) -> None:
    """Aᵀ m."""
    np.add(m[0], m[1], out=out[0])
    out[0] += m[2]
    np.subtract(m[1], m[2], out=out[1])
    out[1] -= m[3]
