"""Images: convolution and pooling as sums of products, given where their terms are.

A place of a window is where it begins in an image; from there to its elements it is equally far in all
places. Only the gradient by the image is another sum: its cotangents are put apart, with zeros between
and around them, and windows go over these, backwards.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autobp.compiler.javascript.places import Printer, grid, numbered, strides
from autobp.compiler.program import Step
from autobp.rules import convolution

__all__ = ["IMAGES"]

Pair = tuple[int, int]


def _conv2d(p: Printer, step: Step) -> str:
    x, w = _images(p, step, 2)
    stride, dilation, groups = step.params["stride"], step.params["dilation"], _groups(step)
    (n, c, height, width), (o, inside, *size) = x.shape, w.shape
    each, kernel = o // groups, inside * size[0] * size[1]
    results = (n, groups, each, *step.shape[2:])
    terms = (inside, *size)
    return _contract(
        p,
        (p.name(x), grid(results, (c * height * width, inside * height * width, 0, *_by(stride, width))),
         grid(terms, (height * width, *_by(dilation, width)))),
        (p.name(w), grid(results, (0, each * kernel, kernel, 0, 0)),
         grid(terms, (size[0] * size[1], size[1], 1))),
    )  # fmt: skip


def _conv2d_weight(p: Printer, step: Step) -> str:
    x, g = _images(p, step, 2)
    stride, dilation, groups = step.params["stride"], step.params["dilation"], _groups(step)
    (n, c, height, width), (_, o, down, across) = x.shape, g.shape
    _, inside, *size = step.shape
    results = (groups, o // groups, inside, *size)
    terms = (n, down, across)
    area, pixels = down * across, height * width
    return _contract(
        p,
        (p.name(x), grid(results, (inside * pixels, 0, pixels, *_by(dilation, width))),
         grid(terms, (c * pixels, *_by(stride, width)))),
        (p.name(g), grid(results, (o // groups * area, area, 0, 0, 0)),
         grid(terms, (o * area, across, 1))),
    )  # fmt: skip


def _conv2d_input(p: Printer, step: Step) -> str:
    g, w = _images(p, step, 2)
    stride, dilation, groups = step.params["stride"], step.params["dilation"], _groups(step)
    n, _, height, width = step.shape
    o, inside, *size = w.shape
    each, kernel = o // groups, inside * size[0] * size[1]
    begin = [(k - 1) * d for k, d in zip(size, dilation)]
    apart = np.full((n, o, height + begin[0], width + begin[1]), -1)
    down, across = g.shape[2:]
    apart[
        :, :,
        begin[0] : begin[0] + down * stride[0] : stride[0],
        begin[1] : begin[1] + across * stride[1] : stride[1],
    ] = numbered(g)  # fmt: skip
    area, wide = apart.shape[2] * apart.shape[3], apart.shape[3]
    results = (n, groups, inside, height, width)
    terms = (each, *size)
    last = size[0] * size[1] - 1
    return _contract(
        p,
        (f"pick({p.name(g)}, {p.places(apart)})",
         grid(results, (o * area, each * area, 0, wide, 1)),
         grid(terms, (area, *_by(dilation, wide)))),
        (p.name(w), grid(results, (0, each * kernel, size[0] * size[1], 0, 0)),
         last + grid(terms, (kernel, -size[1], -1))),
    )  # fmt: skip


def _pool2d(p: Printer, step: Step) -> str:
    x, weight = _images(p, step, 1)
    seen, of = _windows(x, weight.shape[:2], step.shape, step.params["stride"])
    results, terms = step.shape, weight.shape[:2]
    apart = strides(weight)
    return _contract(
        p,
        (p.name(x), seen, of),
        (p.name(weight), grid(results, apart[2:]), grid(terms, apart[:2])),
    )


def _pool2d_input(p: Printer, step: Step) -> str:
    g, weight = _images(p, step, 1)
    size = weight.shape[:2]
    seen, of = _windows(step, size, g.shape, step.params["stride"])
    all_ = (*size, *g.shape)
    to = np.add.outer(of, seen)
    at = np.broadcast_to(numbered(g), all_), np.broadcast_to(numbered(weight), all_)
    terms = f"each({to.size}, (i) => {_element(p, g, at[0])} * {_element(p, weight, at[1])})"
    return f"scatter({step.size}, {terms}, {p.places(to)})"


def _pool2d_weight(p: Printer, step: Step) -> str:
    x, g = _images(p, step, 2)
    seen, of = _windows(x, step.shape[:2], g.shape, step.params["stride"])
    at = np.broadcast_to(numbered(g), step.shape)
    elements = f"{_element(p, x, np.add.outer(of, seen))} * {_element(p, g, at)}"
    return f"each({step.size}, (i) => {elements})"


def _max_pool2d(p: Printer, step: Step) -> str:
    (x,) = _images(p, step, 1)[:1]
    seen, of = _windows(x, step.params["size"], step.shape, step.params["stride"])
    return f"reduce(Math.max, undefined, {p.name(x)}, {p.places(seen)}, {p.places(of)})"


def _greatest(p: Printer, step: Step) -> str:
    x, y, size, stride = _images(p, step, 2)
    seen, of = _windows(x, size, y.shape, stride)
    at = np.broadcast_to(numbered(y), (*size, *y.shape))
    hit = f"each({at.size}, (i) => +({_element(p, x, np.add.outer(of, seen))} === {_element(p, y, at)}))"
    whole = p.places(numbered(y)), p.places(grid(size, (size[1] * y.size, y.size)))
    return f"((hit) => [hit, reduce(sum, 0, hit, {', '.join(whole)}).map((n) => Math.max(n, 1))])({hit})"


def _images(p: Printer, step: Step, count: int) -> Sequence[Any]:
    """The arguments, of which so many are images: arrays of four axes."""
    if any(not isinstance(a, Step) or a.ndim != 4 for a in step.args[:count]):
        raise p.refused(step, " of many kernels at once")
    return step.args


def _groups(step: Step) -> int:
    return step.params.get("groups", 1)


def _by(steps: Pair, width: int) -> Pair:
    """How far apart pixels are that are some rows or some columns apart."""
    return steps[0] * width, steps[1]


def _windows(x: Step, size: Sequence[int], shape: Sequence[int], stride: Pair) -> tuple[Any, Any]:
    """Where the windows begin in images, and their elements from there."""
    *_, height, width = x.shape
    begin = grid(shape, (x.shape[1] * height * width, height * width, *_by(stride, width)))
    return begin, grid(size, (width, 1))


def _contract(p: Printer, *operands: tuple[str, Any, Any]) -> str:
    given = (f"{text}, {p.places(results)}, {p.places(terms)}" for text, results, terms in operands)
    return f"contract({', '.join(given)})"


def _element(p: Printer, x: Step, at: Any) -> str:
    return f"{p.name(x)}[{p.places(at)}[i]]"


#: What spells a step, by its function.
IMAGES: dict[Any, Callable[[Any, Step], str]] = {
    convolution.conv2d_.function: _conv2d,
    convolution.conv2d_input.function: _conv2d_input,
    convolution.conv2d_weight.function: _conv2d_weight,
    convolution.pool2d.function: _pool2d,
    convolution.pool2d_input.function: _pool2d_input,
    convolution.pool2d_weight.function: _pool2d_weight,
    convolution.max_pool2d_.function: _max_pool2d,
    inspect.unwrap(convolution.greatest): _greatest,
}
