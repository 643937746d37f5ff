"""Images: passes that make convolutions products of matrices, and pooling sums of long runs.

The windows that a convolution looks through are taken out once, for its product and for that of its
weights' gradient. If its result is pooled, and by windows that do not overlap, the places are sorted by
where they stand in the window of the pooling: those at its upper left come first, then their neighbours
to the right, and so on. The maxima are then those of a few whole arrays.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from inspect import unwrap
from typing import Any

import numpy as np

from autobp.compiler.passes.rewrite import (
    Rewrite,
    calls,
    is_array,
    is_number,
    rewriting,
)
from autobp.compiler.program import Program, Step, used_by
from autobp.compiler.trace.calls import as_type
from autobp.rules.convolution import (
    conv2d_,
    conv2d_input,
    conv2d_weight,
    greatest,
    max_pool2d_,
    pool2d_input,
    put_back,
    windows,
    windows_copy,
)

__all__ = [
    "LAST",
    "by_windows",
    "channels_last",
    "maxima_first",
    "signs_of_maxima",
    "sums_by_channel",
]

Pair = tuple[int, int]

#: From (samples, height, width, channels) to the order that users see, and back.
FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
PIXELS = (0, 2, 3)  # the axes that are summed over for each channel

GREATEST = unwrap(greatest)

KEPT = 1 << 22  # numbers: larger windows are taken out twice, those of a few samples at a time


# ── maxima ────────────────────────────────────────────────────────────────────────────────────────


@rewriting
def signs_of_maxima(step: Step, rewrite: Rewrite) -> Step | None:
    """Whether the pixels that a gradient goes back to are positive is asked of the maxima that they
    are, before it is spread: they are fewer."""
    if step.function is not np.multiply:
        return None
    for spread, positive in (step.args, step.args[::-1]):
        if not (calls(spread, pool2d_input.function) and calls(positive, np.greater)):
            continue
        g, hit = spread.args
        if not (calls(hit, operator.getitem) and calls(hit.args[0], GREATEST)):
            continue
        x, y, *_ = hit.args[0].args
        if positive.args[0] is x and is_number(positive.args[1], 0) and rewrite.single(spread):
            signs = rewrite.other(positive, np.greater, y, 0, shape=y.shape)
            g = rewrite.other(spread, np.multiply, g, signs, shape=g.shape)
            return rewrite.call(step, spread.function, g, hit, **spread.params)
    return None


def maxima_first(program: Program) -> Program:
    """The maximum of relu(x), or of x + b, in a window is relu(maximum of x), or that plus b, and there
    are fewer maxima than pixels. What differs are the ties that rounding makes of x + b, and those of
    zeros, whose derivative is zero in any case."""
    users = used_by(program)
    bound = {*program.results, *program.effects}
    later: dict[Step, int] = {}  # and which operand the image is, of what is done later
    for y in program.steps:
        if y.function is max_pool2d_.function and y.args[0] not in bound:
            comparing = [u for u in users[y.args[0]] if u is not y]
            at = _increasing_in(y.args[0])
            if at is not None and _is_alone(y, comparing, users):
                later.update(dict.fromkeys((y, *comparing), at))
    old = iter(program.steps)
    maxima: dict[Any, tuple[Step, Step]] = {}  # for each result the image and its maxima

    def rule(step: Step, rewrite: Rewrite) -> Step | None:
        at = later.get(next(old))
        if at is None:
            return None
        if step.function is GREATEST:
            return rewrite.call(step, GREATEST, *maxima[step.args[1]], *step.args[2:])
        args = list(step.args[0].args)
        x = args[at]
        args[at] = y = rewrite.other(step, step.function, x, shape=step.shape, **step.params)
        found = rewrite.call(step, step.args[0].function, *args)
        maxima[found] = x, y
        return found

    return Rewrite(program).run(program, rule)


def _is_alone(y: Step, comparing: list[Step], users: Mapping[Step, list[Step]]) -> bool:
    """Whether what is pooled serves nothing else but to find where the maxima stand; and of relu only
    those that are positive."""
    top, window = y.args[0], (y.params["size"], y.params["stride"])
    if not all(u.function is GREATEST and u.args == (top, y, *window) for u in comparing):
        return False
    hits = [u for g in comparing for u in users.get(g, ()) if u.args[1] == 0]
    return top.function is np.add or all(
        _is_masked(u, hit, y) for hit in hits for u in users.get(hit, ())
    )


def _is_masked(step: Step, hit: Step, y: Step) -> bool:
    """Whether a gradient that is put back where the maxima stood is zero for those that are."""
    if step.function is not pool2d_input.function or step.args[1] is not hit:
        return False
    g = step.args[0]
    return calls(g, np.multiply) and any(
        calls(a, np.greater) and a.args[0] is y and is_number(a.args[1], 0) for a in g.args
    )


def _increasing_in(step: Step) -> int | None:
    """Which operand is the image, of relu or of a sum with a number for each channel."""
    if step.params or not (calls(step, np.maximum) or calls(step, np.add)):
        return None
    for i, (x, b) in enumerate((step.args, step.args[::-1])):
        plain = is_number(b, 0) if step.function is np.maximum else _by_channel(b)
        if plain and is_array(x) and (x.shape, x.dtype) == (step.shape, step.dtype):
            return i
    return None


def _by_channel(b: Any) -> bool:
    return is_array(b) and b.ndim in (3, 4) and b.size == b.shape[-3]


# ── windows ───────────────────────────────────────────────────────────────────────────────────────


def by_windows(program: Program) -> Program:
    """A convolution and the gradient of its weights are products with the same windows, which are
    sorted where pooling follows. Places at the edge that are in no window of the pooling are left out
    then: nothing comes of them, not even of a nan."""
    return Rewrite(program).run(program, _Layers(program).rule)


class _Layers:
    """The convolutions that have windows in common with the gradients of their weights, and what is
    written in their place and around them."""

    def __init__(self, program: Program) -> None:
        self.old = iter(program.steps)
        self.users = used_by(program)
        self.bound = {*program.results, *program.effects}
        self.apart: dict[Step, Pair] = {}  # for each step, how its places are sorted
        self.sorted: dict[Any, Step] = {}  # images as they are in that order
        self.hits: dict[Any, Step] = {}  # and where in them the maxima stand
        self.find(program)
        self.rules: dict[Any, Any] = {
            conv2d_.function: self.product,
            conv2d_weight.function: self.weight,
            conv2d_input.function: self.input,
            max_pool2d_.function: self.maxima,
            GREATEST: self.greatest,
            operator.getitem: self.part,
            pool2d_input.function: self.spread,
            np.add.reduce: self.total,
        }

    def find(self, program: Program) -> None:
        layers: dict[Any, tuple[list[Step], list[Step]]] = {}
        for step in program.steps:
            if step.function in (conv2d_.function, conv2d_weight.function):
                x, other = step.args
                size = step.params.get("size", other.shape[2:])
                key = x, size, step.params["stride"], step.params["dilation"]
                if step.size and other.dtype == step.dtype:
                    gradient = step.function is conv2d_weight.function
                    layers.setdefault(key, ([], []))[gradient].append(step)
        for (x, size, *_), (products, gradients) in layers.items():
            if products and gradients and _worth_keeping(products[0], x, size):
                images = [*products, *(step.args[1] for step in gradients)]
                first, *others = {self.order(image) for image in images}
                apart = (1, 1) if first is None or others else first
                self.apart.update(dict.fromkeys([*images, *gradients], apart))

    def order(self, image: Step) -> Pair | None:
        """How far apart are the places of an image that are to be neighbours: as far as its windows
        are when it is pooled, or comes back from there, and serves nothing else."""
        users = self.users.get(image, [])
        if image in self.bound:
            return None
        if image.function is conv2d_.function:
            pools = {_pooling(user, image) for user in users}
            return pools.pop() if len(pools) == 1 else None
        if image.function is pool2d_input.function:
            size: Pair = image.args[1].shape[:2]
            gradients = [u for u in users if u.function is conv2d_weight.function]
            known = len(gradients) == 1 and all(self.takes(user, image) for user in users)
            return size if known and size == image.params["stride"] else None
        return None

    def takes(self, user: Step, image: Step) -> bool:
        """Whether a step can take what comes back from pooling in another order."""
        if user.function is conv2d_input.function:
            return user.args[0] is image
        if user.function is conv2d_weight.function:
            return user.args[1] is image
        return user.function == np.add.reduce and user.params == {"axis": PIXELS}

    def rule(self, step: Step, rewrite: Rewrite) -> Step | None:
        old = next(self.old)
        write = self.rules.get(step.function)
        return write(step, rewrite, old) if write else None

    # What a step becomes. None: it stays as it is; but if its users take what is sorted instead, it is
    # dead, and left out later.

    def product(self, step: Step, rewrite: Rewrite, old: Step) -> Step | None:
        apart = self.apart.get(old)
        if apart is None:
            return None
        x, w = step.args
        n, channels, height, width = step.shape
        seen = _seen(step, rewrite, x, w.shape[2:], step.shape, apart)
        last = _turned(step, rewrite, w, LAST)
        columns = _turned(step, rewrite, _shaped(step, rewrite, last, (channels, seen.shape[1])))
        rows = rewrite.other(step, np.matmul, seen, columns, shape=(seen.shape[0], channels))
        if apart == (1, 1):
            image = _shaped(step, rewrite, rows, (n, height, width, channels))
            return rewrite.call(step, np.transpose, image, FIRST)
        places = n, height // apart[0], width // apart[1], channels
        self.sorted[step] = _shaped(step, rewrite, rows, (*apart, *places))
        return None

    def weight(self, step: Step, rewrite: Rewrite, old: Step) -> Step | None:
        apart = self.apart.get(old)
        if apart is None:
            return None
        x, g = step.args
        channels = g.shape[1]
        seen = _seen(step, rewrite, x, step.params["size"], g.shape, apart)
        image = self.sorted.get(g) or _turned(step, rewrite, g, LAST)
        rows = _shaped(step, rewrite, image, (seen.shape[0], channels))
        columns = rewrite.other(
            step, np.matmul, _turned(step, rewrite, seen), rows, shape=(seen.shape[1], channels)
        )
        kernels = _shaped(step, rewrite, columns, (*step.params["size"], x.shape[1], channels))
        return rewrite.call(step, np.transpose, kernels, (3, 2, 0, 1))

    def input(self, step: Step, rewrite: Rewrite, old: Step) -> Step | None:
        g, w = step.args
        image = self.sorted.get(g)
        if image is None:
            return None
        last = tuple(step.shape[i] for i in LAST)
        x = rewrite.other(step, put_back, image, w, shape=last, **step.params)
        return rewrite.call(step, np.transpose, x, FIRST)

    def maxima(self, step: Step, rewrite: Rewrite, old: Step) -> Step | None:
        image = self.sorted.get(step.args[0])
        if image is None:
            return None
        top = rewrite.other(step, np.maximum.reduce, image, axis=(0, 1), shape=image.shape[2:])
        if any(user.function is GREATEST for user in self.users[old.args[0]]):
            like = step.with_(dtype=np.dtype(bool))  # now, so that the image need not be kept
            self.hits[image] = rewrite.other(like, np.equal, image, top, shape=image.shape)
        return rewrite.call(step, np.transpose, top, FIRST)

    def greatest(self, step: Step, rewrite: Rewrite, old: Step) -> Step | None:
        image = self.sorted.get(step.args[0])
        if image is not None:
            self.hits[step] = self.hits[image]
        return None

    def part(self, step: Step, rewrite: Rewrite, old: Step) -> Step | None:
        """Of what `greatest` finds: where the maxima stand, and how often."""
        hit = self.hits.get(step.args[0])
        if hit is None:
            return None
        if step.args[1] == 0:
            return rewrite.call(step, np.transpose, hit, (0, 1, 2, 5, 3, 4))
        axes, places = {"axis": (0, 1), "dtype": step.dtype}, hit.shape[2:]
        count = rewrite.other(step, np.add.reduce, hit, shape=places, **axes)
        ties = rewrite.other(step, np.maximum, count, 1, shape=places)
        return rewrite.call(step, np.transpose, ties, FIRST)

    def spread(self, step: Step, rewrite: Rewrite, old: Step) -> Step | None:
        if self.apart.get(old, (1, 1)) != (1, 1):
            g = _turned(step, rewrite, step.args[0], LAST)
            hit = _turned(step, rewrite, step.args[1], (0, 1, 2, 4, 5, 3))
            shape = (*self.apart[old], *g.shape)
            self.sorted[step] = rewrite.other(step, np.multiply, g, hit, shape=shape)
        return None

    def total(self, step: Step, rewrite: Rewrite, old: Step) -> Step | None:
        image = self.sorted.get(step.args[0])
        if image is None:
            return None
        return _summed(step, rewrite, image)


def _worth_keeping(step: Step, x: Step, size: Pair) -> bool:
    """Whether the windows are more than a part of the image, as it is there, and not too much. A part
    would be overwritten with the image, once that is no longer needed itself."""
    places: Any = step.shape[2:]
    elements = x.shape[0] * math.prod(places) * math.prod(size) * x.shape[1]
    return windows_copy(x, size, places, **step.params) and 0 < elements <= KEPT


def _pooling(step: Step, image: Step) -> Pair | None:
    """The size of the windows, which do not overlap, by which a step pools an image."""
    if step.function is max_pool2d_.function:
        size, stride = step.params["size"], step.params["stride"]
    elif step.function is GREATEST and calls(step.args[1], max_pool2d_.function):
        if step.args[0] is not image or step.args[1].args[0] is not image:
            return None
        size, stride = step.args[2:]
    else:
        return None
    return size if size == stride else None


def _seen(
    step: Step, rewrite: Rewrite, x: Step, size: Pair, image: tuple[int, ...], apart: Pair
) -> Step:
    """What the window sees at each place of an image."""
    n, _, *lengths = image
    places = tuple(length // a for length, a in zip(lengths, apart, strict=True))
    shape = math.prod((*apart, n, *places)), math.prod(size) * x.shape[1]
    if x.dtype != step.dtype:  # once, not in each product
        x = rewrite.other(step, as_type, x, step.dtype, shape=x.shape)
    how = {"stride": step.params["stride"], "dilation": step.params["dilation"], "apart": apart}
    return rewrite.other(step, windows, x, size, places, shape=shape, **how)


def _turned(step: Step, rewrite: Rewrite, x: Step, *axes: tuple[int, ...]) -> Step:
    order = axes[0] if axes else range(x.ndim)[::-1]
    shape = tuple(x.shape[i] for i in order)
    return rewrite.other(step.with_(dtype=x.dtype), np.transpose, x, *axes, shape=shape)


def _shaped(step: Step, rewrite: Rewrite, x: Step, shape: tuple[int, ...]) -> Step:
    return rewrite.other(step.with_(dtype=x.dtype), np.reshape, x, shape, shape=shape)


def _summed(step: Step, rewrite: Rewrite, image: Step) -> Step:
    """The sums of all that each channel has, of an image with its channels last."""
    rows = _shaped(step, rewrite, image, (image.size // step.size, step.size))
    total = rewrite.other(step, np.add.reduce, rows, axis=0, shape=(step.size,))
    return rewrite.call(step, np.reshape, total, step.shape)


# ── the order of the axes ─────────────────────────────────────────────────────────────────────────


@rewriting
def sums_by_channel(step: Step, rewrite: Rewrite) -> Step | None:
    """The sum over the samples, and then over the pixels, is one sum."""
    if step.function != np.add.reduce or step.params.get("axis") != (1, 2):
        return None
    inner = step.args[0]
    if not calls(inner, np.add.reduce) or inner.params != {"axis": 0} or inner.ndim != 3:
        return None
    plain = step.params.keys() <= {"axis", "keepdims"} and rewrite.single(inner)
    if not plain or not _is_image(inner.args[0]):
        return None
    total = rewrite.other(step, np.add.reduce, inner.args[0], axis=PIXELS, shape=inner.shape[:1])
    return rewrite.call(step, np.reshape, total, step.shape)


def _is_image(x: Any) -> bool:
    """Whether an array has its channels last in memory."""
    return isinstance(x, Step) and (x.operation.channels == "last" or _is_turned(x))


def _is_turned(x: Any, axes: tuple[int, ...] = FIRST) -> bool:
    return calls(x, np.transpose) and x.args[1:] == (axes,)


@rewriting
def channels_last(step: Step, rewrite: Rewrite) -> Step | None:
    """Work on images whose channels are last in memory is done on them as they are there."""
    if step.function == np.add.reduce and step.params.get("axis") == PIXELS:
        image = step.args[0]
        plain = step.size and step.params.keys() <= {"axis", "keepdims"}
        if not plain or not _is_image(image):
            return None
        return _summed(step, rewrite, _turned(step, rewrite, image, LAST))
    images = [a for a in step.args if _is_turned(a)]
    if step.function is np.vdot or (step.function == np.add.reduce and step.shape == ()):
        alike = len({image.shape for image in images}) == 1 and len(images) == len(step.args)
        if alike and step.params.keys() <= {"axis"}:  # then the order does not matter
            args = [image.args[0] for image in images]
            return rewrite.call(step, step.function, *args, **step.params)
        return None
    if not step.is_elementwise or not any(image.shape == step.shape for image in images):
        return None
    args = []
    for a in step.args:
        if _is_turned(a, LAST):
            return None  # turned twice, it would be an image of the same kind
        if is_array(a) and a.shape == step.shape:
            a = _turned(step, rewrite, a, LAST)
        elif is_array(a) and _by_channel(a):
            a = _shaped(step, rewrite, a, (a.size,))
        elif is_array(a) and a.size > 1:
            return None
        args.append(a)
    shape = tuple(step.shape[i] for i in LAST)
    last = rewrite.other(step, step.function, *args, shape=shape)
    return rewrite.call(step, np.transpose, last, FIRST)
