"""Segments: a recorded program as a function whose parts are computed again in the backward pass."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from autobp.dag import Recording
from autobp.primitive import part
from autobp.recomputation import remat
from autobp.tensor import Tensor

__all__ = ["Segmented"]


class Segmented:
    """A recording of n operations, cut into √n segments of which each is wrapped in `remat`: what
    `remat` does for a function, without a change to its code.

    >>> import numpy as np
    >>> from autobp.cost.segments import Segmented
    >>> from autobp.dag import record
    >>> def f(x):
    ...     for _ in range(9):
    ...         x = np.sin(x)
    ...     return x
    >>> g = Segmented(record(f, [1.0], [0]))
    >>> len(g.segments), g(1.0) == [f(1.0)]
    (3, True)
    """

    def __init__(self, traced: Recording) -> None:
        self.inputs = traced.inputs
        self.outputs = traced.outputs
        self.values = traced.values
        self.segments = [_Segment(segment) for segment in _cut(_grouped(traced.order()))]
        needed = {y for y in self.outputs if y is not None}
        for segment in reversed(self.segments):
            segment.results = [t for t in segment.operations if t in needed]
            needed |= set(segment.arguments)

    def __call__(self, *values: Any) -> list[Any]:
        """The outputs for values of the inputs."""
        known: dict[Tensor, Any] = dict(zip(self.inputs, values, strict=True))
        for segment in self.segments:
            if segment.results:
                given = [known[t] for t in segment.arguments]
                known |= zip(segment.results, remat(segment)(given), strict=True)
        pairs = zip(self.outputs, self.values, strict=True)
        return [value if y is None else known[y] for y, value in pairs]


class _Segment:
    """Operations in order, as a function from what they need to what others need of them."""

    def __init__(self, operations: Sequence[Tensor]) -> None:
        self.operations = operations
        self.results: list[Tensor] = []
        mine, level = set(operations), operations[0].level
        used = (a for t in operations for a in t.args if isinstance(a, Tensor) and a.level == level)
        self.arguments = list(dict.fromkeys(a for a in used if a not in mine))

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        known: dict[Any, Any] = dict(zip(self.arguments, values, strict=True))
        for t in self.operations:
            args = [known.get(a, a) if isinstance(a, Tensor) else a for a in t.args]
            assert t.primitive is not None
            known[t] = t.primitive(*args, **t.params)
        return [known[t] for t in self.results]


def _grouped(order: Sequence[Tensor]) -> list[list[Tensor]]:
    """The operations in their order, each with those that take one of its several results."""
    groups: dict[Tensor, list[Tensor]] = {}
    for t in order:
        if t.primitive is part:
            groups[t.args[0]].append(t)
        elif t.primitive is not None:
            groups[t] = [t]
    return list(groups.values())


def _cut(groups: Sequence[list[Tensor]]) -> Iterator[list[Tensor]]:
    """√n segments of about equal length."""
    length = math.ceil(math.sqrt(sum(map(len, groups))))
    segment: list[Tensor] = []
    for group in groups:
        if len(segment) >= length:
            yield segment
            segment = []
        segment += group
    if segment:
        yield segment
