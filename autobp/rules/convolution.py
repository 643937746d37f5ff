"""Convolution and pooling of images, indexed as (samples, channels, height, width).

Both look at an image through a window. A convolution takes out what it sees at each of its places
and multiplies matrices; pooling makes one number of it, by weights that are the same everywhere for a
mean, and that say where the greatest stands for a maximum.

What is made here has its pixels first in memory, as (height, width, samples, channels): the numbers of
a pixel of all samples lie side by side, and NumPy goes through them in long runs, wherever the window
stands. Elementwise functions keep that order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import accumulate, product
from typing import Any

import numpy as np

from autobp.arrays import array_of, check_numpys
from autobp.habits import checks_keywords
from autobp.kernels.depthwise import each, each_input, each_weight, met
from autobp.kernels.layout import contiguous
from autobp.kernels.narrow import narrow, narrow_input, narrow_pays, narrow_weight
from autobp.kernels.planes import add_windows, in_planes, of_planes, windows, zero_planes
from autobp.kernels.sums import BLAS
from autobp.kernels.winograd import minimal, minimal_input, minimal_pays, minimal_weight
from autobp.operation import TIMES, operation
from autobp.primitive import Array, Primitive, bilinear, general, opaque
from autobp.rules import batching, costs, patterns
from autobp.rules.indexing import picked
from autobp.rules.neural import floating
from autobp.rules.shape import pad, surrounded

Pair = tuple[int, int]


def _seen(offset: Pair, places: Pair, stride: Pair, dilation: Pair) -> Any:
    """The pixels that one element of the window meets in all of the window's places."""
    return (
        ...,
        *(
            slice(k * d, k * d + n * s, s)
            for k, n, s, d in zip(offset, places, stride, dilation, strict=True)
        ),
    )


def _places(x: Array, size: Pair, stride: Pair, dilation: Pair) -> Any:
    """How many places a window has, vertically and horizontally."""
    lengths = zip(x.shape[-2:], size, stride, dilation, strict=True)
    return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in lengths)


def _turned(x: Array) -> Array:
    """Images (samples, channels, height, width) as (height, width, samples, channels), or back again."""
    return x.transpose(*range(x.ndim - 4), -2, -1, -4, -3)


def _pixels(x: Array) -> Array:
    """The images as (height, width, samples, channels), in memory too; most often they are."""
    return contiguous(_turned(x))


def _joined(a: Array, *runs: int) -> Array:
    """The array with each run of so many axes made one."""
    ends = accumulate(runs)
    return a.reshape([math.prod(a.shape[end - n : end]) for n, end in zip(runs, ends, strict=True)])


# A convolution is a product of matrices: of the windows, a row for each place, and of the weights, a
# column for each channel that comes out. The windows are many times as large as the image, so that
# only those of a few places are there at a time, which the processor's cache can hold. Where the kernels
# are of 3×3 there is a way with fewer multiplications, `kernels.winograd`.
#
# A stack of convolutions, (stack, samples, channels, height, width), has weights of its own for each; as
# those of each example have where derivatives by the weights are batched. It is a stack of products.

_CACHE = 1 << 20  # bytes
_PIXEL = 128  # bytes: pixels of fewer take longer to copy than planes
_THIN = 8  # columns of a matrix: products with fewer take longer than with all that a window sees
_LEAST_RUN = 16  # numbers of a plane that are copied at once
Block = tuple[slice, slice, slice]  # of the stack, of the rows of places, of the columns


def _stacks(*arrays: Array) -> Sequence[Array]:
    """Arrays as stacks: a single one is a stack of one."""
    return [a if a.ndim == 5 else a[None] for a in arrays]


def _unstacked(y: Array, like: Array) -> Array:
    """What a stack of images gave, or one, or one for each sample."""
    return y if like.ndim == 5 else y[0] if len(y) == 1 else y[:, 0]


def _blocks(stack: int, places: Pair, bytes_: int) -> Iterator[Block]:
    """Places that together fill the cache, of which each needs so many bytes: some of one convolution, or
    those of several. In an array of places they lie side by side."""
    rows, columns = places
    n = max(1, _CACHE // max(1, bytes_))
    whole = slice(0, rows), slice(0, columns)
    if n >= rows * columns:
        several = n // (rows * columns)
        yield from ((slice(i, i + several), *whole) for i in range(0, stack, several))
        return
    high, wide = (n // columns, columns) if n >= columns else (1, n)
    for i, r, c in product(range(stack), range(0, rows, high), range(0, columns, wide)):
        yield slice(i, i + 1), slice(r, min(r + high, rows)), slice(c, min(c + wide, columns))


def _windows_bytes(x: Array, size: Pair) -> int:
    """Bytes of the windows at one place, of all samples of an image."""
    return x.shape[1] * x.shape[2] * math.prod(size) * x.itemsize


def _empty(pixels: tuple[int, ...], stack: int, channels: int, dtype: Any) -> Array:
    """Room for (stack, height, width, samples, channels), with groups of channels beside each other."""
    return np.moveaxis(np.empty((*pixels, stack, channels), dtype), -2, 0)


def _windows(
    x: Array, apart: bool, places: Pair, size: Pair, stride: Pair, dilation: Pair
) -> Iterator[tuple[Block, Array]]:
    """Some places after the others, and for each of a stack of images a matrix with a row for each place
    of the window and sample: what it sees. If the numbers of a pixel are few, or if each image is taken
    apart from the others as it lies in memory, the matrix is one of planes; if not, pixels are copied whole.
    (Numbers that count what is done with them are objects, which have no bytes to copy.)"""
    by_planes = apart or not x.size or x.dtype.hasobject or _is_few(x, size, stride)
    laid_out = in_planes(x, stride[1]) if by_planes else _pixels(x)
    memory = np.empty(0, x.dtype)
    for block in _blocks(len(x), places, _windows_bytes(x, size)):
        of, *where = block
        if by_planes:
            seen, memory = windows(laid_out[of], memory, where, size, stride, dilation)
            yield block, seen.mT
        else:
            yield block, _seen_pixels(laid_out[of], where, size, stride, dilation)


def _seen_pixels(x: Array, where: Sequence[slice], size: Pair, stride: Pair, dilation: Pair) -> Any:
    """What windows see of images (stack, height, width, samples, channels)."""
    places = [part.stop - part.start for part in where]
    first = [part.start * s for part, s in zip(where, stride, strict=True)]
    depth, height, width, sample, _ = x.strides
    steps = depth, height * stride[0], width * stride[1], sample
    within = height * dilation[0], width * dilation[1]
    shape = (len(x), *places, x.shape[3], *size)
    pixel = np.dtype((np.void, x.shape[4] * x.itemsize))  # which is copied whole
    corner = x[:, first[0] :, first[1] :].view(pixel)[..., 0]
    seen = np.lib.stride_tricks.as_strided(corner, shape, (*steps, *within))
    numbers = np.ascontiguousarray(seen).view(x.dtype)
    return numbers.reshape(len(x), -1, math.prod(size) * x.shape[4])


def _is_few(x: Array, size: Pair, stride: Pair) -> bool:
    """Whether the numbers of a pixel are so few that they are not copied whole. To take planes apart for
    larger steps takes longer, too."""
    return x.shape[2] * x.itemsize * stride[1] < _PIXEL and size != (1, 1)


def _has_planes(x: Array, size: Pair) -> bool:
    """Whether images lie in memory with their planes first: then each sample is taken by itself where
    that copies less. Stacks of images are not taken so."""
    run = math.prod(x.shape[-2:]) if size == (1, 1) else x.shape[-1]
    return x.ndim == 4 and run >= _LEAST_RUN and x.flags.c_contiguous


def _is_minimal(
    places: Pair,
    samples: int,
    kernel: tuple[int, ...],
    stride: Pair,
    dilation: Pair,
    dtype: Any,
    groups: int,
) -> bool:
    """Whether fewer multiplications are worth their sums; stacks are not done so."""
    if len(kernel) != 4 or kernel[2:] != (3, 3) or not stride == dilation == (1, 1):
        return False
    channels = kernel[0] // groups, kernel[1]
    return minimal_pays(places, samples, min(channels), max(channels), dtype, groups)


def _is_narrow(kernel: tuple[int, ...], stride: Pair, dtype: Any) -> bool:
    """Whether few channels come out of many; stacks are not done so."""
    return len(kernel) == 4 and dtype in BLAS and narrow_pays(kernel, stride)


# Groups of channels, each with kernels of its own, are a stack as well. Where each channel has a kernel by
# itself, `kernels.depthwise` takes them all at once.


def _channels_apart(x: Array, groups: int) -> Array:
    """Images in groups of their channels: a stack of images."""
    *stack, samples, channels = x.shape[:-2]
    each = channels // groups, *x.shape[-2:]
    x = np.moveaxis(x.reshape(*stack, samples, groups, *each), -4, -5)
    return x.reshape(math.prod(stack) * groups, samples, *each)


def _channels_together(x: Array, groups: int, ndim: int) -> Array:
    """And images of all channels again, or a stack of them."""
    stack = (len(x) // groups,) * (ndim == 5)
    samples, channels, *image = x.shape[1:]
    x = np.moveaxis(x.reshape(*stack, groups, *x.shape[1:]), -5, -4)
    return x.reshape(*stack, samples, groups * channels, *image)


def _kernels_apart(w: Array, groups: int) -> Array:
    return w.reshape(math.prod(w.shape[:-4]) * groups, w.shape[-4] // groups, *w.shape[-3:])


def _bordered(g: Array, image: Pair) -> Array:
    """Cotangents in the middle of so many zeros that a kernel slides over them to all pixels."""
    around = [(n - m, n - m) for n, m in zip(image, g.shape[-2:], strict=True)]
    return surrounded(g, [(0, 0)] * (g.ndim - 2) + around)


def _turned_back(w: Array) -> Array:
    """The kernels that take the cotangent of what comes out to that of the images."""
    return w[..., ::-1, ::-1].swapaxes(-3, -4)


_MANY = 32  # numbers at a pixel: for fewer, windows in a matrix are sooner


def _is_each(x: Array, kernel: tuple[int, ...]) -> bool:
    return kernel[-4:-2] == (1, 1) and x.size >= _MANY * math.prod(x.shape[-2:]) > 0


def _numbers(x: Array) -> Array:
    """A stack of images of one channel as (height, width, numbers): of each sample those of the stack."""
    x = x[:, :, 0].transpose(2, 3, 1, 0)
    return _joined(contiguous(x), 1, 1, 2)


def _of_each(weights: Array, samples: int) -> Array:
    """Their kernels as (height, width, numbers)."""
    w = weights[:, 0, 0].transpose(1, 2, 0)[:, :, None]
    return _joined(np.repeat(w, samples, axis=2), 1, 1, 2)


def _images(x: Array, like: Array) -> Array:
    """Numbers as images again."""
    x = x.reshape(*x.shape[:2], *like.shape[1::-1])
    return x.transpose(3, 2, 0, 1)[:, :, None]


def _conv2d(x: Array, w: Array, stride: Pair, dilation: Pair, groups: int = 1) -> Array:
    size, dtype = w.shape[-2:], np.result_type(x, w)
    places = _places(x, size, stride, dilation)
    if _is_minimal(places, len(x), w.shape, stride, dilation, dtype, groups):
        return _turned(minimal(_pixels(x), w, groups))
    if groups > 1:
        y = _conv2d(_channels_apart(x, groups), _kernels_apart(w, groups), stride, dilation)
        return _channels_together(y, groups, x.ndim)
    if _is_narrow(w.shape, stride, dtype):
        return _turned(narrow(_pixels(x), w, places, dilation))
    images, weights = _stacks(x, w)
    if _is_each(x, w.shape):
        kernels = _of_each(weights, images.shape[1])
        y = _images(each(_numbers(images), kernels, places, stride, dilation), images)
        return y if x.ndim == 5 else y[0]
    apart = size == (1, 1) and _has_planes(x, size)
    if apart:
        images = x[:, None]
    y = _empty((*places, images.shape[1]), len(images), w.shape[-4], dtype)
    columns = _joined(weights.transpose(0, 3, 4, 2, 1), 1, 3, 1)
    for block, seen in _windows(images, apart, places, size, stride, dilation):
        of_block = columns[block[0]] if w.ndim == 5 else columns
        np.matmul(seen, of_block, out=_joined(y[block], 1, 3, 1))
    return _unstacked(_turned(y), x)


def _conv2d_input(
    g: Array, w: Array, image: Pair, stride: Pair, dilation: Pair, groups: int = 1
) -> Array:
    """One element of the window after the other: each gives one pixel to each place. A few pixels at a
    time stay in the cache while all elements are added to them."""
    places, channels, dtype = g.shape[-2:], w.shape[-3], np.result_type(g, w)
    if _is_minimal(places, len(g), w.shape, stride, dilation, dtype, groups):
        return _turned(minimal_input(_pixels(g), w, groups))
    if groups > 1:
        out, kernels = _channels_apart(g, groups), _kernels_apart(w, groups)
        if stride == (1, 1) and not _is_each(out, kernels.shape):
            x = _conv2d(_bordered(out, image), _turned_back(kernels), stride, dilation)
        else:
            x = _conv2d_input(out, kernels, image, stride, dilation)
        return _channels_together(x, groups, g.ndim)
    if _is_narrow(w.shape, stride, dtype):
        return _turned(narrow_input(_pixels(g), w, image, dilation))
    out, weights = _stacks(g, w)
    if _is_each(g, w.shape):
        kernels = _of_each(weights, out.shape[1])
        x = _images(each_input(_numbers(out), kernels, image, stride, dilation), out)
        return x if g.ndim == 5 else x[0]
    if w.shape[-2:] == stride == (1, 1):
        return _conv2d(g, _turned_back(w), stride, dilation)
    if channels < _THIN and w.shape[-2:] != (1, 1):
        return _few_input(g, w, image, stride, dilation)
    out = _pixels(out)
    x = _empty((*image, out.shape[3]), len(out), channels, dtype)
    x[...] = 0
    each = [(ij, np.ascontiguousarray(weights[..., *ij])) for ij in np.ndindex(*w.shape[-2:])]
    bytes_ = out.shape[3] * (w.shape[-4] + 2 * channels) * x.itemsize
    for block in _blocks(len(out), places, bytes_):
        of, *where = block
        rows = _joined(out[block], 1, 3, 1)
        for offset, weight in each:
            part = x[of, *met(offset, where, stride, dilation)]
            part += (rows @ weight[of]).reshape(part.shape)
    return _turned(x if g.ndim == 5 else x[0])


def _few_input(g: Array, w: Array, image: Pair, stride: Pair, dilation: Pair) -> Array:
    """All elements of the window at once: their products are added to planes."""
    size, places = w.shape[-2:], g.shape[-2:]
    out, weights = _stacks(g, w)
    if _has_planes(g, (1, 1)):
        out = g[:, None]
    pixels = _pixels(out) if len(out) == len(weights) else _turned(out)
    shape = len(out), w.shape[-3], *image, out.shape[1]
    x = zero_planes(shape, stride[1], np.result_type(g, w))
    rows = _joined(weights.transpose(0, 3, 4, 2, 1), 1, 3, 1)
    bytes_ = out.shape[1] * w.shape[-3] * math.prod(size) * x.itemsize
    for block in _blocks(len(out), places, bytes_):
        of_block = rows[block[0]] if w.ndim == 5 else rows
        seen = of_block @ _joined(pixels[block], 1, 3, 1).mT
        add_windows(x[block[0]], seen, block[1:], size, stride, dilation)
    images = np.moveaxis(of_planes(x, image[1]), -2, 0)
    return _unstacked(_turned(images), g)


def _conv2d_weight(
    x: Array, g: Array, size: Pair, stride: Pair, dilation: Pair, groups: int = 1
) -> Array:
    channels, dtype = (g.shape[-3], x.shape[-3] // groups), np.result_type(x, g)
    kernel = *g.shape[:-4], *channels, *size
    if _is_minimal(g.shape[-2:], len(x), kernel, stride, dilation, dtype, groups):
        return minimal_weight(_pixels(x), _pixels(g), groups)
    if groups > 1:
        images, out = _channels_apart(x, groups), _channels_apart(g, groups)
        return _conv2d_weight(images, out, size, stride, dilation).reshape(kernel)
    places = g.shape[-2:]
    if _is_narrow(kernel, stride, dtype):
        return narrow_weight(_pixels(x), _pixels(g), size, dilation)
    images, out = _stacks(x, g)
    if _is_each(x, kernel):
        w = each_weight(_numbers(images), _numbers(out), size, stride, dilation)
        w = np.add.reduce(w.reshape(*size, *images.shape[1::-1]), axis=2)
        w = w.transpose(2, 0, 1)[:, None, None]
        return w if x.ndim == 5 else w[0]
    apart = _has_planes(x, size) and (size == (1, 1) or _has_planes(g, size))
    if apart:
        images, out = x[:, None], _turned(g[:, None])
    else:
        out = _pixels(out)
    w = np.zeros((len(images) if x.ndim == 5 else 1, *size, *channels[::-1]), dtype)
    columns = _joined(w, 1, 3, 1)
    for block, seen in _windows(images, apart, places, size, stride, dilation):
        part = seen.mT @ _joined(out[block], 1, 3, 1)
        if x.ndim == 5:
            columns[block[0]] += part
        else:
            columns += np.add.reduce(part, axis=0) if len(part) > 1 else part
    w = w.transpose(0, 4, 3, 1, 2)
    return w if x.ndim == 5 else w[0]


def _pool2d(x: Array, weight: Array, stride: Pair) -> Array:
    """The weighted sum over each window; the axes of `weight` are those of the window, then those of
    the result. A sum over views of the image needs no copy of every window."""
    size = weight.shape[:2]
    places = _places(x, size, stride, (1, 1))
    offsets = np.ndindex(*size)
    return reduce(np.add, (x[_seen(k, places, stride, (1, 1))] * weight[k] for k in offsets))


def _pool2d_input(g: Array, weight: Array, image: Pair, stride: Pair) -> Array:
    x = _turned(np.zeros((*image, *g.shape[:2]), np.result_type(g, weight)))
    g, size = _turned(_pixels(g)), weight.shape[:2]
    apart = all(s >= k for s, k in zip(stride, size, strict=True))
    for offset in np.ndindex(*size):
        part = x[_seen(offset, g.shape[2:], stride, (1, 1))]
        if apart:  # no pixel is in two windows
            np.multiply(g, weight[offset], out=part)
        else:
            part += g * weight[offset]
    return x


def _pool2d_weight(x: Array, g: Array, size: Pair, stride: Pair) -> Array:
    """What each weight was multiplied by, times the cotangent of what it went into."""
    views = (x[_seen(offset, g.shape[2:], stride, (1, 1))] for offset in np.ndindex(*size))
    return np.reshape([view * g for view in views], (*size, *g.shape))


def _max_pool2d(x: Array, size: Pair, stride: Pair) -> Array:
    places = _places(x, size, stride, (1, 1))
    views = (x[_seen(offset, places, stride, (1, 1))] for offset in np.ndindex(*size))
    return reduce(np.maximum, views)


@opaque
@operation(static=True, fresh=True, batch=batching.maxima)
def greatest(x: Array, y: Array, size: Pair, stride: Pair) -> tuple[Array, Array]:
    """Where in each window the maximum stands, and how often."""
    hit = _turned(np.empty((*size, *_turned(y).shape), bool))
    for offset in np.ndindex(*size):
        np.equal(x[_seen(offset, y.shape[2:], stride, (1, 1))], y, out=hit[offset])
    count = np.min_scalar_type(math.prod(size))  # by small numbers it is counted faster
    return hit, np.maximum(np.add.reduce(hit, axis=(0, 1), dtype=count), 1)


def _max_pool2d_forward(t: Array, y: Array, x: Array, size: Pair, stride: Pair) -> Array:
    hit, ties = greatest(x, y, size, stride)
    return pool2d(t, hit, stride=stride) / ties


def _max_pool2d_reverse(g: Array, y: Array, x: Array, size: Pair, stride: Pair) -> Array:
    hit, ties = greatest(x, y, size, stride)
    return pool2d_input(g / ties, hit, image=x.shape[2:], stride=stride)


# ── what depends on what ──────────────────────────────────────────────────────────────────────────

_MOST = 1 << 22  # pairs of a pixel and a place; for more, a place depends on all pixels
_CHANNELS = ("sample", "channel", None, None)


def _pairs(
    image: tuple[int, ...], seen: tuple[int, ...], size: Pair, stride: Pair, dilation: Pair
) -> tuple[Array, Array]:
    """The pixels of one channel of an image, and the places of the window that see them, in pairs."""
    pixels, places = (np.arange(math.prod(s[2:])).reshape(s[2:]) for s in (image, seen))
    across = seen[2], seen[3]
    met = [pixels[_seen(k, across, stride, dilation)] for k in np.ndindex(*size)]
    return np.ravel(met), np.ravel([places] * len(met))


def _each_channel(image: Any, seen: Any, size: Pair, stride: Pair) -> tuple[Array, Array] | None:
    """The pairs of a pixel and a place in the same channel."""
    if math.prod(seen) * math.prod(size) > _MOST:
        return None
    pixels, places = _pairs(image, seen, size, stride, (1, 1))
    channel = np.arange(math.prod(image[:2]))[:, None]
    first, second = channel * math.prod(image[2:]) + pixels, channel * math.prod(seen[2:]) + places
    return first.ravel(), second.ravel()


def _all_channels(
    image: Any, seen: Any, w: Array, stride: Pair, dilation: Pair, groups: int
) -> Any:
    """The pairs of a pixel and a place in all channels of a group."""
    if math.prod(seen) * math.prod(w.shape[1:]) > _MOST:
        return None
    pixels, places = _pairs(image, seen, w.shape[2:], stride, dilation)
    sample, of, to = np.ogrid[: image[0], : image[1] // groups, : seen[1]]
    of = to // (seen[1] // groups) * (image[1] // groups) + of
    first = (sample * image[1] + of)[..., None] * math.prod(image[2:]) + pixels
    second = (sample * seen[1] + to)[..., None] * math.prod(seen[2:]) + places
    return [a.ravel() for a in np.broadcast_arrays(first, second)]


def _in_sample(pairs: Any, by_channel: bool) -> Any:
    """A pattern of pairs; if there are too many, of all that is in a sample, or in its channel."""
    each = _CHANNELS if by_channel else ("sample", None, None, None)
    return patterns.Shared(each, each) if pairs is None else patterns.Pairs(*pairs)


_STACK = patterns.Shared(("one", None, None, None, None), ("one", None, None, None, None))


def _conv2d_pattern(
    out: Any, x: Array, w: Array, stride: Pair, dilation: Pair, groups: int = 1
) -> Any:
    if x.ndim == 5:
        return _STACK, _STACK
    pairs = _all_channels(x.shape, out, w, stride, dilation, groups)
    of_w = patterns.Shared((None, "out", None, None), ("out", None, None, None))
    return _in_sample(pairs and pairs[::-1], False), of_w


def _conv2d_input_pattern(
    out: Any, g: Array, w: Array, stride: Pair, dilation: Pair, groups: int = 1, **_: Any
) -> Any:
    if g.ndim == 5:
        return _STACK, _STACK
    pairs = _all_channels(out, g.shape, w, stride, dilation, groups)
    channel = "in" if groups == 1 else None  # of a group, and not of the images
    of_w = patterns.Shared((None, channel, None, None), (None, channel, None, None))
    return _in_sample(pairs, False), of_w


def _conv2d_weight_pattern(out: Any, x: Array, g: Array, groups: int = 1, **_: Any) -> Any:
    if x.ndim == 5:
        return _STACK, _STACK
    mine = ("out", "in", None, None)
    of_x, of_g = ((None, name, None, None) for name in ("in", "out"))
    if groups > 1:
        return patterns.Shared((None,) * 4, (None,) * 4), patterns.Shared(mine, of_g)
    return patterns.Shared(mine, of_x), patterns.Shared(mine, of_g)


def _pool2d_pattern(out: Any, x: Array, w: Array, stride: Pair) -> Any:
    of_w = patterns.Shared((4, 3, 2, 1), (None, None, *range(w.ndim - 2, 0, -1)))
    return *_max_pool2d_pattern(out, x, w.shape[:2], stride), of_w


def _pool2d_input_pattern(out: Any, g: Array, w: Array, stride: Pair, **_: Any) -> Any:
    pairs = _each_channel(out, g.shape, w.shape[:2], stride)
    of_w = patterns.Shared((4, 3, None, None), (None, None, *range(w.ndim - 2, 0, -1)))
    return _in_sample(pairs, True), of_w


def _max_pool2d_pattern(out: Any, x: Array, size: Pair, stride: Pair) -> Any:
    pairs = _each_channel(x.shape, out, size, stride)
    return (_in_sample(pairs and pairs[::-1], True),)


# fmt: off
conv2d_:       Primitive = bilinear(_conv2d,
                                    lambda g, y, x, w, **of: conv2d_input(g, w, image=x.shape[-2:], **of),
                                    lambda g, y, x, w, **of: conv2d_weight(x, g, size=w.shape[-2:], **of),
                                    cost=costs.conv2d, fresh=True, opaque=True, blas=True, pixels="first", batch=batching.convolved, pattern=_conv2d_pattern)
conv2d_input:  Primitive = bilinear(_conv2d_input,
                                    lambda c, x, g, w, image, **of: conv2d_(c, w, **of),
                                    lambda c, x, g, w, image, **of: conv2d_weight(c, g, size=w.shape[-2:], **of),
                                    cost=costs.conv2d_input, fresh=True, opaque=True, blas=True, pixels="first", batch=batching.convolved_input, pattern=_conv2d_input_pattern)
conv2d_weight: Primitive = bilinear(_conv2d_weight,
                                    lambda c, w, x, g, size, **of: conv2d_input(g, c, image=x.shape[-2:], **of),
                                    lambda c, w, x, g, size, **of: conv2d_(x, c, **of),
                                    cost=costs.conv2d_weight, fresh=True, opaque=True, blas=True, batch=batching.convolved_weight, pattern=_conv2d_weight_pattern)
pool2d:        Primitive = bilinear(_pool2d,
                                    lambda g, y, x, w, stride: pool2d_input(g, w, image=x.shape[2:], stride=stride),
                                    lambda g, y, x, w, stride: pool2d_weight(x, g, size=w.shape[:2], stride=stride),
                                    cost=costs.pool2d, fresh=True, opaque=True, pixels="kept", batch=batching.pooled, pattern=_pool2d_pattern)
pool2d_input:  Primitive = bilinear(_pool2d_input,
                                    lambda c, x, g, w, image, stride: pool2d(c, w, stride=stride),
                                    lambda c, x, g, w, image, stride: pool2d_weight(c, g, size=w.shape[:2], stride=stride),
                                    cost=costs.pool2d_input, fresh=True, opaque=True, pixels="first", batch=batching.pooled, pattern=_pool2d_input_pattern)
pool2d_weight: Primitive = bilinear(_pool2d_weight,
                                    lambda c, w, x, g, size, stride: pool2d_input(g, c, image=x.shape[2:], stride=stride),
                                    lambda c, w, x, g, size, stride: pool2d(x, c, stride=stride),
                                    cost=TIMES, fresh=True, opaque=True, batch=batching.pooled_weight)
max_pool2d_:   Primitive = general(_max_pool2d,
                                   forward=_max_pool2d_forward,
                                   reverse=_max_pool2d_reverse,
                                   cost=costs.max_pool2d, static=True, fresh=lambda x, size, stride: size != (1, 1), opaque=True, pixels="kept", batch=batching.each_image, pattern=_max_pool2d_pattern)
# fmt: on


# ── as users call them ────────────────────────────────────────────────────────────────────────────


@checks_keywords
def conv2d(
    x: Array,
    w: Array,
    b: Array = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Array:
    """Slide kernels over images: each pixel that comes out is a product of a kernel with a window.

    `x` is (samples, channels, height, width), or one image without the first axis, `w` (channels out,
    channels in, height, width), and `b` has one number for each channel out. What is not square is
    given as (vertical, horizontal). `padding="same"` keeps the size of the image. With `groups`, the
    channels are in so many groups, each with kernels of its own.

    >>> import numpy as np
    >>> from autobp import conv2d
    >>> conv2d(np.eye(3).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2)), b=[0.5])
    array([[[[2.5, 1.5],
             [1.5, 2.5]]]])
    """
    check_numpys("conv2d", x, w)
    x, w = floating(x), floating(w)
    steps, spread = pair("conv2d", "stride", stride, 1), pair("conv2d", "dilation", dilation, 1)
    both = f"{_described('x', x)} and {_described('w', w)}"
    if w.ndim != 4:
        raise ValueError(f"conv2d: {both}: w takes 4 dimensions, not {w.ndim}")
    x, batched = _batch("conv2d", both, x)
    if not isinstance(groups, int | np.integer) or groups < 1 or w.shape[0] % groups:
        raise ValueError(f"conv2d: groups={groups!r} does not divide {w.shape[0]} channels out")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(
            f"conv2d: {both} do not fit: {x.shape[1]} channels (axis 1 of x)"
            f" are not {w.shape[1]} (axis 1 of w)" + f" in {groups} groups" * (groups > 1)
        )
    size = tuple(d * (k - 1) + 1 for k, d in zip(w.shape[2:], spread, strict=True))
    if 0 in w.shape[2:]:
        raise ValueError(f"conv2d: {both} do not fit: the kernel is empty")
    margin = margins("conv2d", padding, size, steps)
    x = _padded(x, margin)
    _fits("conv2d", f"{both} do", "kernel", x, size, margin, spread)
    step: dict[str, Any] = {"stride": steps, "dilation": spread}
    if groups > 1:
        step["groups"] = groups
    y = conv2d_(x, w, **step)
    if b is not None:
        b = floating(b)
        if b.shape != w.shape[:1]:
            raise ValueError(
                f"conv2d: {_described('b', b)} and {_described('w', w)} do not fit:"
                f" a bias has shape {w.shape[:1]}, one number for each channel out"
            )
        y = y + np.reshape(b, (-1, 1, 1))
    return y if batched else y[0]


@checks_keywords
def conv1d(
    x: Array,
    w: Array,
    b: Array = None,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Array:
    """The convolution of sequences (samples, channels, length), or of one without the first axis, with
    kernels (channels out, channels in, length): `conv2d` of images that are one pixel high.

    >>> from autobp import conv1d
    >>> conv1d([[1.0, 2.0, 4.0]], [[[-1.0, 1.0]]])
    array([[1., 2.]])
    """
    x, w = floating(x), floating(w)
    if x.ndim not in (2, 3) or w.ndim != 3:
        raise ValueError(
            f"conv1d: {_described('x', x)} and {_described('w', w)}: x takes 2 or 3 dimensions, w 3"
        )
    step, spread, margin = map(_single, (stride, dilation, padding))
    flat = margin if isinstance(margin, str) else (0, margin)
    x, w = np.expand_dims(x, -2), np.expand_dims(w, -2)
    y = conv2d(x, w, b, (1, step), flat, (1, spread), groups)
    return np.squeeze(y, -2)


def _single(given: Any) -> Any:
    """A number, which PyTorch takes in a tuple too."""
    return given[0] if isinstance(given, tuple | list) and len(given) == 1 else given


@checks_keywords
def max_pool2d(
    x: Array,
    size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest of each window. Ties share the derivative equally, as they do in `np.max`.

    With `ceil_mode`, windows that reach over the end count too, as in PyTorch. With `return_indices`,
    the places of the maxima in the images come too, counted row by row.

    >>> import numpy as np
    >>> from autobp import max_pool2d
    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """
    spread = pair("max_pool2d", "dilation", dilation, 1)
    columns = np.shape(x)[-1]
    x, batched, window, steps, margin, places = _pooled(
        "max_pool2d", x, size, stride, padding, ceil_mode, -np.inf, spread
    )
    if return_indices:
        first = _first_maxima(array_of(x), places, window, steps, spread, margin, columns)
        y = max_pool2d(x, window, steps, 0, spread)
        return (y, first) if batched else (y[0], first[0])
    if spread != (1, 1):  # what the windows see, laid out side by side
        for axis, (n, k, s, d) in enumerate(zip(places, window, steps, spread, strict=True), 2):
            x = np.take(x, np.ravel(s * np.arange(n)[:, None] + d * np.arange(k)), axis=axis)
        steps = window
    y = max_pool2d_(x, size=window, stride=steps)
    return y if batched else y[0]


@checks_keywords
def avg_pool2d(
    x: Array,
    size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
) -> Array:
    """The mean of each window, in which the zeros of the padding count, or not
    (`count_include_pad=False`); or its sum over a number of your own, the `divisor_override`.

    >>> import numpy as np
    >>> from autobp import avg_pool2d
    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    image = np.shape(x)[-2:]
    x, batched, window, steps, margin, places = _pooled(
        "avg_pool2d", x, size, stride, padding, ceil_mode, 0.0, (1, 1)
    )
    counts = [
        _counted(*given, count_include_pad)
        for given in zip(image, places, window, steps, margin, strict=True)
    ]
    number = np.multiply.outer(*counts) if divisor_override is None else divisor_override
    if divisor_override == 0:
        raise ValueError("avg_pool2d: divisor_override must not be 0")
    share = np.broadcast_to(1 / number, places)
    if np.all(share == share.flat[0]):  # as it most often is
        share = share[:1, :1]
    weight = np.broadcast_to(share.astype(x.dtype), (*window, 1, 1, *share.shape))
    y = pool2d(x, weight, stride=steps)
    return y if batched else y[0]


@checks_keywords
def adaptive_avg_pool2d(x: Array, output_size: int | Pair) -> Array:
    """The means of windows that share out the image evenly; `output_size=1` gives the mean of each
    channel.

    >>> import numpy as np
    >>> from autobp import adaptive_avg_pool2d
    >>> adaptive_avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 1)
    array([[[[7.5]]]])
    """
    x = floating(x)
    if x.ndim not in (3, 4):
        raise ValueError(f"adaptive_avg_pool2d: {_described('x', x)}: x takes 4 dimensions, or 3")
    if isinstance(output_size, tuple | list):  # None keeps a size
        given = zip(output_size, x.shape[-2:], strict=True)
        whole = [n if size is None else size for size, n in given]
    else:
        whole = [output_size, output_size]
    places = pair("adaptive_avg_pool2d", "output_size", whole, 1)
    rows, columns = (_shares(n, m).astype(x.dtype) for n, m in zip(x.shape[-2:], places))
    return rows @ x @ columns.T


def _first_maxima(
    x: Array, places: Pair, window: Pair, steps: Pair, spread: Pair, margin: Pair, columns: int
) -> Array:
    """The places of the maxima, in the images without their margin."""
    rows = steps[0] * np.arange(places[0])[:, None] + spread[0] * np.arange(window[0])
    across = steps[1] * np.arange(places[1])[:, None] + spread[1] * np.arange(window[1])
    seen = x[:, :, rows[:, None, :, None], across[None, :, None, :]]
    best = np.argmax(np.reshape(seen, (*seen.shape[:4], -1)), axis=-1)
    y = picked(rows, (np.arange(places[0])[:, None], best // window[1])) - margin[0]
    z = picked(across, (np.arange(places[1]), best % window[1])) - margin[1]
    return y * columns + z


def _shares(n: int, places: int) -> Array:
    """A matrix whose rows take the means of so many even parts of n elements."""
    i, k = np.arange(places)[:, None], np.arange(n)
    inside = (k >= i * n // places) & (k < -(-(i + 1) * n // places))
    return inside / np.sum(inside, axis=1, keepdims=True)


def _counted(n: int, places: int, k: int, s: int, p: int, padding: bool) -> Array:
    """How many elements along one axis each window counts: not those beyond the padding."""
    start = s * np.arange(places) - p
    stop = np.minimum(start + k, n + p)
    return stop - start if padding else np.minimum(stop, n) - np.maximum(start, 0)


def _pooled(
    name: str,
    x: Array,
    size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    border: float,
    dilation: Pair,
) -> tuple[Array, bool, Pair, Pair, Pair, Pair]:
    """The padded images, whether they are a batch, and the windows: size, step, margin, places."""
    check_numpys(name, x)
    x = floating(x)
    window = pair(name, "size", size, 1)
    steps = window if stride is None or stride == () else pair(name, "stride", stride, 1)
    margin = pair(name, "padding", padding, 0)
    x, batched = _batch(name, _described("x", x), x)
    spans = tuple(d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True))
    if any(2 * p > k for p, k in zip(margin, spans, strict=True)):
        raise ValueError(
            f"{name}: padding={margin} is more than half of size={window},"
            " which leaves windows with nothing in them but padding"
        )
    places, width = [], []
    for n, k, s, p in zip(x.shape[2:], spans, steps, margin, strict=True):
        rest = n + 2 * p - k
        count = (-(-rest // s) if ceil_mode else rest // s) + 1
        count -= ceil_mode and (count - 1) * s >= n + p  # the last begins in the image
        places.append(max(count, 0))
        width.append((p, p + max(0, (count - 1) * s - rest)))
    padded = _padded(x, width, border)
    _fits(name, _described("x", x) + " does", "window", padded, spans, margin, dilation)
    return padded, batched, window, steps, margin, (places[0], places[1])


def _batch(name: str, said: str, x: Array) -> tuple[Array, bool]:
    """The images with an axis of samples, and whether there was one."""
    if x.ndim not in (3, 4):
        raise ValueError(f"{name}: {said}: x takes 4 dimensions, or 3 for one image, not {x.ndim}")
    return (x, True) if x.ndim == 4 else (np.expand_dims(x, 0), False)


def margins(name: str, padding: Any, size: Any, stride: Pair) -> list[Pair]:
    """How much is added before and behind, vertically and horizontally."""
    if padding == "valid":
        padding = 0
    if padding != "same":
        if isinstance(padding, str):
            raise ValueError(f'{name}: padding is a number, "same" or "valid", not {padding!r}')
        return [(p, p) for p in pair(name, "padding", padding, 0)]
    if stride != (1, 1):
        raise ValueError(f'{name}: padding="same" takes stride=1, not {stride}')
    return [((k - 1) // 2, k - 1 - (k - 1) // 2) for k in size]


def pair(name: str, what: str, given: Any, least: int) -> Pair:
    both = (given, given) if isinstance(given, int | np.integer) else given
    if isinstance(both, tuple | list) and len(both) == 1:  # as PyTorch takes it
        both = (both[0], both[0])
    if not (
        isinstance(both, tuple | list)
        and len(both) == 2
        and all(isinstance(n, int | np.integer) and n >= least for n in both)
    ):
        raise ValueError(f"{name}: {what}={given!r} is not a number, or two, of {least} or more")
    return int(both[0]), int(both[1])


def _described(role: str, a: Array) -> str:
    name = getattr(a, "name", None)
    return f"{role} of shape {a.shape}" if name is None else f"{role} {name!r} of shape {a.shape}"


def _fits(
    name: str, said: str, what: str, x: Array, size: Any, margin: Any, dilation: Pair
) -> None:
    """Whether a window fits into images that are padded."""
    image = x.shape[2:]
    if all(k <= n for k, n in zip(size, image, strict=True)):
        return
    dilated = f", dilated by {dilation}," if dilation != (1, 1) else ""
    margin = tuple(p[0] if isinstance(p, tuple) and p[0] == p[1] else p for p in margin)
    padded = f", padded by {margin}," if margin != (0, 0) else ""
    raise ValueError(
        f"{name}: {said} not fit: the {what}{dilated} of {size}"
        f" is larger than the image{padded} of {image}"
    )


def _padded(x: Array, width: Sequence[Pair], border: float = 0.0) -> Array:
    if not any(map(any, width)):
        return x
    return pad(x, ((0, 0), (0, 0), *width), constant_values=border)
