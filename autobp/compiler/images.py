"""Images: which arrays of a program have their pixels first in memory, and so another order of axes."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from autobp.compiler.program import Program, Step, steps_in

__all__ = ["PIXELS_FIRST", "Order", "images_in", "order_of"]

#: The axes of an array, as they lie in memory.
Order = tuple[int, ...]

PIXELS_FIRST: Order = (2, 3, 0, 1)


def images_in(program: Program) -> dict[Step, Order]:
    """The images whose pixels are first in memory, where pooling and elementwise work leave them."""
    images: dict[Step, Order] = {}
    for step in program.steps:
        order = order_of(step, images)
        if order is not None:
            images[step] = order
    return images


def order_of(step: Step, images: Mapping[Step, Order]) -> Order | None:
    """The order of axes, if a step makes such an image, when it is known of the steps before it."""
    if not step.is_array:
        return None
    if step.operation.pixels == "first":
        return PIXELS_FIRST if step.ndim == 4 else None  # of a stack they are not
    if step.operation.pixels == "kept":
        orders = {images.get(x) for x in steps_in(step.args[0])}
        return orders.pop() if len(orders) == 1 else None
    x = step.args[0] if step.args else None
    if isinstance(x, Step) and x in images:
        if step.function in _RESHAPES:
            return _reshaped(images[x], x.shape, step.shape)
        if step.function is operator.getitem and _is_part(step.args[1]) and step.ndim == x.ndim:
            return images[x]
    if not step.is_elementwise:
        return None
    alike = (s for s in step.args if isinstance(s, Step) and s in images and s.shape == step.shape)
    return next((images[s] for s in alike), None)


_RESHAPES = (np.reshape, np.expand_dims, np.squeeze)


def _is_part(index: Any) -> bool:
    """Whether an index takes some of the elements along each axis."""
    parts = index if type(index) is tuple else (index,)
    return all(type(part) is slice or part is Ellipsis for part in parts)


def _reshaped(order: Order, before: tuple[int, ...], after: tuple[int, ...]) -> Order | None:
    """The order after a reshape that inserts or takes away axes of length 1, as signals do that are
    convolved as images."""
    long, longer = ([i for i, n in enumerate(shape) if n != 1] for shape in (before, after))
    if [before[i] for i in long] != [after[i] for i in longer]:
        return None
    place = dict(zip(long, longer, strict=True))
    flat = [i for i, n in enumerate(after) if n == 1]
    return *flat, *(place[i] for i in order if i in place)
