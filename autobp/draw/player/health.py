"""Health: how large values and gradients are in each layer, from the input to the loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autobp.draw.diagram import Node
from autobp.draw.marks import Mark, spoilt
from autobp.draw.player.plan import Layer, Plan
from autobp.draw.player.steps import Script
from autobp.draw.player.views import Views

__all__ = ["Row", "health"]

_FEW = 4  # layers, with which a strip says nothing yet
_MANY = 12  # operations of a program without layers that has a strip
_FAR = 1e4  # of the middle one, to be called vanishing or exploding


class Row(NamedTuple):
    """One layer: the root mean square of what it hands on, and of the gradient of that."""

    name: str
    value: float | None
    gradient: float | None
    marks: list[str]
    view: int | None  # in which it is open
    item: int | None  # which it is, where it is an operation


def health(script: Script, plan: Plan, views: Views) -> list[Row]:
    """The layers of a program, or its operations where it has none."""
    nodes = script.diagram.nodes
    used: dict[int, list[int]] = {}
    for use in script.diagram.uses:
        used.setdefault(use.source, []).append(use.target)
    rows: list[Row] = []
    for k, layer in enumerate(_layers(plan)):
        inside = set(layer.box.all_nodes())
        out = [i for i in inside if nodes[i].output or not inside.issuperset(used.get(i, ()))]
        view = next((v for _, path, _, v in views.layers if path == layer.path), None)
        marks = [mark for i in inside for mark in script.marks.get(i, ())]
        rows.append(_row(layer.path, [nodes[i] for i in sorted(out)], marks, view, None))
        del k
    if not rows:
        made = [n for n in nodes if n.kind == "result" and n.index not in script.parts]
        if len(made) >= _MANY:
            for n in made:
                place = script.place[n.index]
                rows.append(_row(n.name, [n], script.marks.get(n.index, ()), None, place))
    return _judged(rows)


def _layers(plan: Plan) -> list[Layer]:
    """The outermost layers of which there are some."""
    deepest = max((layer.depth for layer in plan.layers), default=-1)
    for depth in range(deepest + 1):
        found = [layer for layer in plan.layers if layer.depth == depth]
        if len(found) >= _FEW:
            return found
    return [layer for layer in plan.layers if layer.depth == max(deepest, 0)]


def _row(
    name: str, out: Sequence[Node], marks: Iterable[Mark], view: int | None, item: int | None
) -> Row:
    kinds = {mark.kind for mark in marks}
    said = ["NaN"] * ("spoilt" in kinds) + ["dead"] * ("dead" in kinds)
    gradients = [n.gradient for n in out if n.gradient is not None]
    values = [n.value for n in out]
    bad = any(spoilt(v) for v in (*values, *gradients))
    if bad and "NaN" not in said:
        said.append("NaN")
    return Row(name, _rms(values), _rms(gradients), said, view, item)


def _rms(arrays: Sequence[Any]) -> float | None:
    """The root mean square of all numbers of some arrays."""
    count = sum(np.size(a) for a in arrays)
    if not count:
        return None
    largest = max(float(np.max(np.abs(a), initial=0.0)) for a in arrays)
    if not largest or not np.isfinite(largest):
        return largest
    total = sum(float(np.sum((np.asarray(a, float) / largest) ** 2)) for a in arrays)
    return largest * float(np.sqrt(total / count))


def _judged(rows: list[Row]) -> list[Row]:
    there = [r.gradient for r in rows if r.gradient and np.isfinite(r.gradient)]
    if not there:
        return rows
    last = there[-1]
    for row in rows:
        g = row.gradient
        if g is None or not np.isfinite(g):
            continue
        if g < last / _FAR:
            row.marks.append("vanishing")
        elif g > last * _FAR:
            row.marks.append("exploding")
    return rows
