"""Layouts: images have their pixels first in memory; what is computed with them goes the same way."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.compiler.images import PIXELS_FIRST, Order, order_of
from autobp.compiler.passes.rewrite import constant_step, is_array
from autobp.compiler.passes.rounding import FLOATS, is_sum
from autobp.compiler.program import Program, Step, mapped, rebuilt
from autobp.kernels import layout
from autobp.kernels.sums import LONG, MANY, added_rows, dot
from autobp.operation import operation

__all__ = ["image_layouts", "is_image"]

operation(layout.laid_out, static=True, fresh=True)


def is_image(step: Step) -> bool:
    """Whether a step makes images."""
    return bool(step.operation.pixels)


def image_layouts(program: Program) -> Program:
    """What is combined with images element by element is laid out as they are, once: to go through two
    arrays of different orders takes NumPy many times as long. Products of two are taken in the order
    of memory, and sums over the pixels are products with ones: images are a matrix with a row for each
    pixel."""
    return _Layouts(program).run()


class _Layouts:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.images: dict[Step, Order] = {}
        self.steps: list[Step] = []
        self.known: dict[Any, Step] = {}  # ones, and what is laid out

    def run(self) -> Program:
        instead: dict[Step, Step] = {}
        for old in self.program.steps:
            step = self.rewritten(rebuilt(old, instead))
            order = order_of(step, self.images)
            if order is not None:
                self.images[step] = order
            self.steps.append(step)
            if step is not old:
                instead[old] = step
        if not instead:
            return self.program
        other = lambda s: instead.get(s, s)
        returns, effects = mapped(other, self.program.returns), {*map(other, self.program.effects)}
        return self.program.with_(steps=self.steps, returns=returns, effects=effects)

    def rewritten(self, step: Step) -> Step:
        """A step that takes images as they lie in memory."""
        if step.is_elementwise and len(step.args) > 1:
            return self.elementwise(step)
        if step.function in (np.vdot, dot):
            return self.dot_product(step)
        if _is_sum_over_pixels(step) and self.images.get(step.args[0]) == PIXELS_FIRST:
            return self.sum_over_pixels(step)
        return step

    def call(self, like: Step, function: Any, *args: Any, shape: tuple[int, ...]) -> Step:
        """A call on the way to a step."""
        self.steps.append(
            like.with_(
                function=function, args=args, params={}, shape=shape, name=None, constant=None,
                kind=np.ndarray,
            )
        )  # fmt: skip
        return self.steps[-1]

    def elementwise(self, step: Step) -> Step:
        order = order_of(step, self.images)
        if order is None or step.size < layout.MANY:
            return step
        others = [s for s in step.args if is_array(s) and s.shape == step.shape]
        apart = (s for s in others if s not in self.images and s.function is not np.broadcast_to)
        return rebuilt(step, {s: self.laid_out(s, order, step) for s in apart})

    def laid_out(self, s: Step, order: Order, user: Step) -> Step:
        """An array in the order of images; once for all that use it."""
        if (s, order) not in self.known:
            if s.is_constant:
                made = constant_step(layout.laid_out(s.constant, order))
            else:
                made = self.call(user, layout.laid_out, s, order, shape=s.shape)
                made.dtype = s.dtype
            self.known[s, order] = made
            self.images[made] = order
        return self.known[s, order]

    def dot_product(self, step: Step) -> Step:
        """The elements of both in the order in which they are in memory, of which none is copied."""
        a, b = step.args
        order = self.images.get(a) or self.images.get(b)
        if order is None or a.size < layout.MANY or a.shape != b.shape:
            return step
        turned = {}
        for s in (a, b):
            laid = s if s in self.images else self.laid_out(s, order, step)
            if s not in turned:
                shape = tuple(s.shape[i] for i in order)
                turned[s] = self.call(laid, np.transpose, laid, order, shape=shape)
        return step.with_(args=(turned[a], turned[b]))

    def sum_over_pixels(self, step: Step) -> Step:
        x: Any = step.args[0]
        samples, channels, height, width = x.shape
        first = self.call(
            step, np.transpose, x, (2, 3, 0, 1), shape=(height, width, samples, channels)
        )
        n = height * width * (samples if 0 in step.params["axis"] else 1)
        shape = (n, x.size // n)
        rows = self.call(step, np.reshape, first, shape, shape=shape)
        if n >= 2 * LONG:
            return self.reshaped(step, added_rows, rows, shape=shape[1:])
        if (n, x.dtype) not in self.known:
            self.known[n, x.dtype] = constant_step(np.ones(n, x.dtype))
        product = self.known[n, x.dtype], rows
        return self.reshaped(step, np.matmul, *product, shape=shape[1:])

    def reshaped(self, step: Step, function: Any, *args: Any, shape: tuple[int, ...]) -> Step:
        """A call in place of a step, whose shape its result is given."""
        if shape == step.shape:
            return step.with_(function=function, args=args, params={})
        found = self.call(step, function, *args, shape=shape)
        return step.with_(function=np.reshape, args=(found, step.shape), params={})


def _is_sum_over_pixels(step: Step) -> bool:
    """Whether many pixels are summed, for each channel or for each of each sample."""
    if not is_sum(step) or not is_array(step.args[0]) or step.args[0].ndim != 4:
        return False
    x = step.args[0]
    return step.params.get("axis") in ((0, 2, 3), (2, 3)) and x.size >= MANY and x.dtype in FLOATS
