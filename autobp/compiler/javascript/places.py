"""Places: where the elements of a view are in the array that it looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from autobp.compiler.program import Step

__all__ = ["Printer", "affine", "grid", "numbered", "split", "spread", "stacked", "strides"]


class Printer(Protocol):
    """What is asked of a printer of steps."""

    def name(self, x: Any) -> str: ...
    def places(self, at: Any) -> str: ...
    def refused(self, step: Step, why: str = "") -> Exception: ...


def numbered(x: Step) -> Any:
    """The places of an array's own elements."""
    return np.arange(x.size).reshape(x.shape)


def grid(shape: Sequence[int], strides: Sequence[int]) -> Any:
    """Places that are so far apart along each axis."""
    at = np.zeros(shape, int)
    for axis, stride in enumerate(strides):
        along = [1] * len(shape)
        along[axis] = shape[axis]
        at += stride * np.arange(shape[axis]).reshape(along)
    return at


def strides(x: Step | float) -> list[int]:
    """How far apart elements are along each axis; along one of length 1, which spreads, not at all."""
    found, step = [], 1
    for n in reversed(np.shape(x)):
        found.append(step * (n > 1))
        step *= n
    return found[::-1]


def spread(printer: Printer, x: Step, at: Any, batch: tuple[int, ...]) -> str:
    """The matrices of an array, for each element of a batch."""
    whole = np.broadcast_to(at, (*batch, *at.shape[-2:]))
    name = printer.name(x)
    return name if whole.size == x.size else f"pick({name}, {printer.places(whole)})"


def stacked(batch: tuple[int, ...], function: str, arrays: Sequence[str]) -> str:
    """A function of matrices for each element of a batch."""
    return f"stacked({math.prod(batch)}, {function}, {', '.join(arrays)})"


def split(x: Step, axes: Sequence[int]) -> tuple[Any, Any]:
    """The places where the results of a reduction begin, and those of its terms from there."""
    at = np.moveaxis(numbered(x), axes, range(-len(axes), 0)) if axes else numbered(x)
    shape = [x.shape[a] for a in axes]
    strides = [math.prod(x.shape[a + 1 :]) for a in axes]
    first = at[(..., *(slice(0, 1),) * len(axes))] if x.size else np.zeros(0, int)
    if not x.size:
        rest = [n for a, n in enumerate(x.shape) if a not in axes]
        first = np.zeros(rest, int)
    return first, grid(shape, strides)


def affine(at: Any) -> tuple[int, list[int], list[int]] | None:
    """Where a regular array of places starts, its shape, and how far apart its elements are."""
    if not at.size or np.any(at < 0):
        return (0, [0], [0]) if not at.size else None
    start, strides = int(at.flat[0]), []
    for axis, n in enumerate(at.shape):
        index = [0] * at.ndim
        index[axis] = 1
        strides.append(int(at[tuple(index)]) - start if n > 1 else 0)
    if not np.array_equal(at, start + grid(at.shape, strides)):
        return None
    kept = [(n, s) for n, s in zip(at.shape, strides) if n > 1]
    return start, [n for n, _ in kept], [s for _, s in kept]
