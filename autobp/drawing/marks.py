"""Marks of suspicious variables: NaN and inf, and the first of them; dead units; gradients that are all
zero; a `.grad` that is not the gradient of what is drawn; data that was replaced since."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from autobp.calculus import nonfinite_kind
from autobp.drawing.diagram import Diagram, Node
from autobp.drawing.literal import few
from autobp.primitive import constant
from autobp.rules.arithmetic import maximum
from autobp.rules.neural import relu_
from autobp.tensor import kept_grad

__all__ = ["Mark", "marks"]


class Mark(NamedTuple):
    kind: Literal["nonfinite", "stale", "dead", "zero", "grad"]
    text: str
    backward: bool = False  # of the gradient
    first: bool = False  # in the order in which its pass computes


def marks(diagram: Diagram) -> dict[int, list[Mark]]:
    """The marks of every node that has any, by its index.

    >>> from autobp import Tensor, graph, relu
    >>> from autobp.drawing.diagram import diagram
    >>> units = Tensor([[1.0, -1.0], [2.0, -3.0]])
    >>> [m.text for found in marks(diagram(graph(np.sum(relu(units))))).values() for m in found]
    ['1 of 2 units dead']
    """
    found: dict[int, list[Mark]] = {}

    def add(node: Node, *mark: Any) -> None:
        found.setdefault(node.index, []).append(Mark(*mark))

    first = True
    for node in diagram.nodes:
        bad = _nonfinite(node.value)
        if bad:
            add(node, "nonfinite", f"first {bad}" if first else bad, False, first)
            first = False
        if node.stale:
            add(node, "stale", "replaced since")
        dead = _dead(node)
        if dead:
            add(node, "dead", dead)
    first = True
    for node in reversed(diagram.nodes):
        g = node.gradient
        if g is None:
            continue
        bad = _nonfinite(g)
        if bad:
            add(
                node,
                "nonfinite",
                f"{'first gradient' if first else 'gradient'} {bad}",
                True,
                first,
            )
            first = False
        elif g == 0 if type(g) is float else np.size(g) and not np.any(g):
            add(node, "zero", "gradient 0", True)
        given = None if node.tensor is None else constant(kept_grad(node.tensor))
        if given is not None and not _same(given, g):
            text = f".grad {few(given)}" if np.size(g) <= 4 else ".grad differs from this"
            add(node, "grad", text, True)
    return found


def _nonfinite(value: Any) -> str | None:
    """The kind and the number of nonfinite elements of a value."""
    kind = nonfinite_kind(value)
    if kind is None:
        return None
    what, bad = ("NaN", np.isnan) if kind == "nan" else ("inf", np.isinf)
    size = np.size(value)
    return what if size == 1 else f"{what}: {np.count_nonzero(bad(value)):,} of {size:,}"


def _same(given: Any, g: Any) -> bool:
    return np.shape(given) == np.shape(g) and np.allclose(given, g, 1e-6, 0, equal_nan=True)


def _dead(node: Node) -> str | None:
    """Units of a ReLU layer that are 0 for a whole batch: columns, or channels of images."""
    primitive = None if node.tensor is None else node.tensor.primitive
    with_zero = any(type(a) is float and a == 0 for a in node.args)
    if primitive is not relu_ and not (primitive is maximum and with_zero):
        return None
    value = node.value
    if np.ndim(value) < 2 or not np.size(value):
        return None
    unit = 1 if np.ndim(value) == 4 else np.ndim(value) - 1
    off = ~np.any(value, axis=tuple(i for i in range(np.ndim(value)) if i != unit))
    count = int(np.count_nonzero(off))
    return f"{count:,} of {off.size:,} units dead" if count else None
