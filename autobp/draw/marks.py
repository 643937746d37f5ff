"""What deserves a second look: NaN and inf, and the first of them; units that are dead; gradients
that are zero throughout; a `.grad` that is not the gradient of what is drawn."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from autobp.draw.diagram import Diagram, Node
from autobp.draw.literal import few
from autobp.primitive import constant

__all__ = ["Mark", "marks", "spoilt"]


class Mark(NamedTuple):
    text: str  # what is written on the variable
    grave: bool  # NaN or inf


def marks(diagram: Diagram) -> dict[int, list[Mark]]:
    """The marks of every node that has any, by its place.

    >>> from autobp import Tensor, graph, relu
    >>> from autobp.draw.diagram import diagram
    >>> units = Tensor([[1.0, -1.0], [2.0, -3.0]])
    >>> [m.text for found in marks(diagram(graph(np.sum(relu(units))))).values() for m in found]
    ['1 of 2 units dead']
    """
    found: dict[int, list[Mark]] = {}

    def add(node: Node, text: str, grave: bool = False) -> None:
        found.setdefault(node.index, []).append(Mark(text, grave))

    first = True
    for node in diagram.nodes:
        kind = spoilt(node.value)
        if kind:
            add(node, f"{'first ' if first else ''}{kind}", grave=True)
            first = False
        dead = _dead(diagram, node)
        if dead:
            add(node, dead)
    first = True
    for node in reversed(diagram.nodes):
        g = node.gradient
        if g is None:
            continue
        kind = spoilt(g)
        if kind:
            add(node, f"{'first ' if first else ''}{kind} of the gradients", grave=True)
            first = False
        elif g == 0 if type(g) is float else np.size(g) and not np.any(g):
            add(node, "gradient 0" if np.size(g) == 1 else "gradient all 0")
        given = node.tensor.grad if node.tensor is not None else None
        differs = given is not None and not np.allclose(constant(given), g, 1e-6, 0, True)
        if differs:
            add(
                node,
                f".grad is {few(constant(given))}"
                if np.size(g) <= 4
                else ".grad differs from this",
            )
    return found


def spoilt(value: Any) -> str | None:
    """What is not a number in a value, and how much of it."""
    if value is None or (type(value) is float and math.isfinite(value)):
        return None
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return None
    bad = ~np.isfinite(array)
    count = int(np.count_nonzero(bad))
    if not count:
        return None
    what = "NaN" if np.isnan(array).any() else "inf"
    return what if array.size == 1 else f"{what}: {count:,} of {array.size:,}"


def _dead(diagram: Diagram, node: Node) -> str | None:
    """Units of a ReLU layer that are 0 for a whole batch: columns, or the channels of images."""
    if node.operation == "relu":
        pass
    elif node.operation != "maximum" or not any(type(a) is float and a == 0 for a in node.args):
        return None
    value = node.value
    if np.ndim(value) < 2 or not np.size(value):
        return None
    unit = 1 if np.ndim(value) == 4 else np.ndim(value) - 1
    off = ~np.any(value, axis=tuple(i for i in range(np.ndim(value)) if i != unit))
    count = int(np.count_nonzero(off))
    return f"{count:,} of {off.size:,} units dead" if count else None
