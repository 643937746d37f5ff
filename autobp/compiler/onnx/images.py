"""Images: convolution and pooling in operators of ONNX. A window's element after the other is a view
of the image by a Slice with strides."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from autobp.compiler.onnx.graph import Builder, Value
from autobp.compiler.onnx.indexing import Index, placed
from autobp.rules import convolution

__all__ = ["IMAGES"]

Pair = tuple[int, int]


def _conv2d(o: Builder, x: Value, w: Value, stride: Pair, dilation: Pair, groups: int = 1) -> Value:
    size = _spans(w.shape[2:], dilation)
    places = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], size, stride)]
    shape = (x.shape[0], w.shape[0], *places)
    how = {"strides": list(stride), "dilations": list(dilation), "group": groups}
    return o.emit("Conv", [x, w], x.dtype, shape, kernel_shape=list(w.shape[2:]), **how)


def _conv2d_input(
    o: Builder, g: Value, w: Value, image: Pair, stride: Pair, dilation: Pair, groups: int = 1
) -> Value:
    size = _spans(w.shape[2:], dilation)
    whole = [(n - 1) * s + k for n, s, k in zip(g.shape[2:], stride, size)]
    shape = (g.shape[0], groups * w.shape[1], *whole)
    how = {"strides": list(stride), "dilations": list(dilation), "group": groups}
    x = o.emit("ConvTranspose", [g, w], g.dtype, shape, kernel_shape=list(w.shape[2:]), **how)
    return o.pad(x, (0, 0, 0, 0), (0, 0, *(n - k for n, k in zip(image, whole))))


def _conv2d_weight(
    o: Builder, x: Value, g: Value, size: Pair, stride: Pair, dilation: Pair, groups: int = 1
) -> Value:
    """A convolution of the images by the cotangents, with the samples as its channels."""
    samples, channels, *image = x.shape
    each = channels // groups
    if groups > 1:
        x = o.transpose(o.reshape(x, (samples, groups, each, *image)), (2, 1, 0, 3, 4))
        x = o.reshape(x, (each, groups * samples, *image))
    else:
        x = o.transpose(x, (1, 0, 2, 3))
    w = _conv2d(o, x, o.transpose(g, (1, 0, 2, 3)), dilation, stride, groups)
    w = o.pad(w, (0, 0, 0, 0), (0, 0, *(n - k for n, k in zip(size, w.shape[2:]))))
    return o.transpose(w, (1, 0, 2, 3))


def _spans(size: Sequence[int], dilation: Sequence[int]) -> list[int]:
    return [d * (k - 1) + 1 for k, d in zip(size, dilation)]


def _cuts(
    offset: Sequence[int], places: Sequence[int], stride: Pair
) -> dict[int, tuple[int, int, int]]:
    """The pixels that one element of the window meets in all of its places."""
    both = zip(offset, places, stride)
    return {axis: (k, k + (n - 1) * s + 1, s) for axis, (k, n, s) in enumerate(both, 2)}


def _views(o: Builder, x: Value, size: Sequence[int], stride: Pair) -> list[Value]:
    places = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], size, stride)]
    return [o.slice(x, _cuts(k, places, stride)) for k in np.ndindex(*size)]


def _weights(o: Builder, weight: Value) -> list[Value]:
    """The weights of the elements of the window."""
    size = weight.shape[:2]
    if weight.constant is not None:
        return [o.value(weight.constant[k]) for k in np.ndindex(*size)]
    numbers = ({0: (i, i + 1, 1), 1: (j, j + 1, 1)} for i, j in np.ndindex(*size))
    return [o.squeeze(o.slice(weight, cut), [0, 1]) for cut in numbers]


def _pool2d(o: Builder, x: Value, weight: Value, stride: Pair) -> Value:
    views = _views(o, x, weight.shape[:2], stride)
    parts: list[Value] = [o.Mul(v, o.cast(w, x.dtype)) for v, w in zip(views, _weights(o, weight))]
    return reduce(o.Add, parts)


def _pool2d_input(o: Builder, g: Value, weight: Value, image: Pair, stride: Pair) -> Value:
    parts = []
    for k, w in zip(np.ndindex(*weight.shape[:2]), _weights(o, weight)):
        given = o.Mul(g, o.cast(w, g.dtype))
        shape = (*given.shape[:2], *image)
        index = Index(shape, [], _cuts(k, given.shape[2:], stride), [], {}, False)
        parts.append(placed(o, given, index, False))
    return reduce(o.Add, parts)


def _pool2d_weight(o: Builder, x: Value, g: Value, size: Pair, stride: Pair) -> Value:
    parts = [o.unsqueeze(o.Mul(v, g), [0]) for v in _views(o, x, size, stride)]
    whole = o.concat(parts, 0)
    return o.reshape(whole, (*size, *whole.shape[1:]))


def _max_pool2d(o: Builder, x: Value, size: Pair, stride: Pair) -> Value:
    places = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], size, stride)]
    how = {"kernel_shape": list(size), "strides": list(stride)}

    def pool(x: Value) -> Value:
        return o.emit("MaxPool", [x], x.dtype, (*x.shape[:2], *places), **how)

    bad = pool(o.cast(o.IsNaN(x), x.dtype))  # nan, which MaxPool passes over
    found: Value = o.Where(o.Greater(bad, 0), np.nan, pool(x))
    return found


def _greatest(o: Builder, x: Value, y: Value, size: Pair, stride: Pair) -> tuple[Value, Value]:
    """Where in each window the maximum stands, and how often."""
    hits = [o.Equal(v, y) for v in _views(o, x, size, stride)]
    count = reduce(o.Add, [o.cast(hit, np.int64) for hit in hits])
    whole = o.concat([o.unsqueeze(hit, [0]) for hit in hits], 0)
    return o.reshape(whole, (*size, *whole.shape[1:])), o.Max(count, 1)


# fmt: off
#: How many of the arguments are arrays, whether onnxruntime computes it in float32 alone, and what is
#: printed for a call.
IMAGES: dict[Any, tuple[int, bool, Any]] = {
    convolution.conv2d_.function:            (2, True,  _conv2d),
    convolution.conv2d_input.function:       (2, True,  _conv2d_input),
    convolution.conv2d_weight.function:      (2, True,  _conv2d_weight),
    convolution.pool2d.function:             (2, False, _pool2d),
    convolution.pool2d_input.function:       (2, False, _pool2d_input),
    convolution.pool2d_weight.function:      (2, False, _pool2d_weight),
    convolution.max_pool2d_.function:        (1, False, _max_pool2d),
    inspect.unwrap(convolution.greatest):    (2, False, _greatest),
}
# fmt: on
