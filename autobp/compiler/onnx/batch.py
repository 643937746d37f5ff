"""Batch: one graph for every size of a batch, from graphs of a few sizes.

The printer writes sizes into constants. Where the graphs of all sizes agree in all but these, and
each such constant follows a law (a·n + b, or its reciprocal; a fill, or a range, of such a size), the
constant is computed from the shape of an input instead. Three sizes over-determine the law, so that
what follows none is noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, product
from typing import Any

import numpy as np

from autobp.compiler.onnx.graph import Graph, Node

__all__ = ["NAME", "Fixed", "lifted", "sizes"]

#: The name of a dimension that is free.
NAME = "batch"


class Fixed(Exception):
    """No one graph serves all sizes; the message says why."""


def lifted(graphs: Sequence[Graph], batches: Sequence[int], source: str) -> Graph:
    """The graph for all sizes. `batches` are those of the graphs, of axis 0 of the input `source`."""
    first = graphs[0]
    lift = _Lift(batches, source, first.names())
    nodes = lift.nodes([g.nodes for g in graphs])
    return Graph(first.inputs, first.outputs, [*lift.before, *nodes])


def sizes(graphs: Sequence[Graph], batches: Sequence[int]) -> dict[str, tuple[int | str, ...]]:
    """The shapes of inputs and outputs, in which dimensions that vary have names."""
    found: dict[str, tuple[int | str, ...]] = {}
    for values in zip(*([*g.inputs, *g.outputs] for g in graphs), strict=True):
        dims = [_dimension(ns, batches) for ns in zip(*(v.shape for v in values), strict=True)]
        found[values[0].name] = tuple(dims)
    return found


def _dimension(ns: Sequence[int], batches: Sequence[int]) -> int | str:
    if len({*ns}) == 1:
        return ns[0]
    law = _line(np.array(ns), batches)
    if law is None:
        raise Fixed("a result has a size that follows the batch's in no way that is known")
    a, b = law
    return f"{NAME if a == 1 else f'{a}*{NAME}'}{f' + {b}' if b > 0 else f' - {-b}' if b else ''}"


class _Lift:
    def __init__(self, batches: Sequence[int], source: str, taken: set[str]) -> None:
        self.batches = batches
        self.before: list[Node] = []  # that compute what constants were
        self.known: dict[Any, str] = {}
        self.source = source
        names = (f"{NAME}.{k}" for k in count())
        self.free = (name for name in names if name not in taken)
        #: Of each graph the names of the first, by its own.
        self.names: list[dict[str, str]] = [{} for _ in batches]

    def nodes(self, lists: Sequence[Sequence[Node]]) -> list[Node]:
        if len({*map(len, lists)}) > 1:
            raise Fixed("another number of operations is needed for another size")
        return [self.node(alike) for alike in zip(*lists)]

    def node(self, alike: Sequence[Node]) -> Node:
        first = alike[0]
        if len({(n.op, n.name, len(n.outputs), len(n.inputs)) for n in alike}) > 1:
            raise Fixed(f"other operations are needed for another size, from {first.name} on")
        inputs = [self.operand(first, xs) for xs in zip(*(n.inputs for n in alike))]
        attributes = {}
        for key, value in first.attributes.items():
            values = [n.attributes.get(key) for n in alike]
            if isinstance(value, Graph):
                value = self.body(first, values)
            elif any(v != value for v in values):
                raise Fixed(f"{key} of {first.name} is an attribute, which no input can be")
            attributes[key] = value
        self.identify([n.outputs for n in alike])
        return Node(first.op, inputs, first.outputs, attributes, first.name)

    def body(self, node: Node, alike: Sequence[Any]) -> Graph:
        self.identify([[v.name for v in g.inputs] for g in alike])
        nodes = self.nodes([g.nodes for g in alike])
        for outputs in zip(*([v.name for v in g.outputs] for g in alike), strict=True):
            if len({names.get(x, x) for names, x in zip(self.names, outputs)}) > 1:
                raise Fixed(f"the body of {node.name} has another result for another size")
        return Graph(alike[0].inputs, alike[0].outputs, nodes, sizes(alike, self.batches))

    def identify(self, alike: Sequence[Sequence[str]]) -> None:
        for names, own in zip(self.names, alike):
            names.update(zip(own, alike[0]))

    def operand(self, node: Node, alike: Sequence[Any]) -> Any:
        first = alike[0]
        if any(isinstance(x, str) for x in alike):
            named = {
                names.get(x, x) if isinstance(x, str) else "" for names, x in zip(self.names, alike)
            }
            if len(named) > 1:
                raise Fixed(f"{node.name} takes another operand for another size")
            return first
        if node.op == "Reshape" and first.ndim == 1 and len({x.shape for x in alike}) == 1:
            varies = np.any([x != first for x in alike], axis=0)
            if varies.sum() == 1 and first.all() and _line(np.array(alike), self.batches):
                return np.where(varies, -1, first)
        return self.constant(node, alike)

    def constant(self, node: Node, alike: Sequence[np.ndarray]) -> Any:
        """What computes a constant for any size."""
        first = alike[0]
        if all(
            x.shape == first.shape and np.array_equal(x, first, equal_nan=x.dtype.kind == "f")
            for x in alike
        ):
            return first
        if all(x.shape == first.shape for x in alike):
            values = np.array(alike)
            law = _line(values, self.batches)
            if law is not None:
                return self.affine(*law, first)
            if first.dtype.kind == "f" and np.all(values):
                return self.quotient(node, values.astype(np.float64), first)
        elif all(x.ndim == first.ndim and x.size for x in alike):
            shape = [np.array(x.shape, np.int64) for x in alike]
            flat = [x.ravel() for x in alike]
            if all(np.all(x == x[0]) for x in flat):
                fill = self.constant(node, [x[:1].reshape(()) for x in flat])
                return self.computed("Expand", [fill, self.constant(node, shape)])
            if (part := _repeated(alike)) is not None:
                return self.computed(
                    "Expand", [self.constant(node, part), self.constant(node, shape)]
                )
            steps = [x[1:] - x[:-1] for x in flat if x.dtype.kind in "if" and x.size > 1]
            step = steps[0][0] if steps else None
            if steps and all(np.all(s == step) for s in steps):  # also of those of one element
                ends = [(x[0], x[-1] + step, step) for x in flat]
                ranged = self.computed(
                    "Range", [self.constant(node, [*map(np.asarray, e)]) for e in zip(*ends)]
                )
                return (
                    ranged
                    if first.ndim == 1
                    else self.computed("Reshape", [ranged, self.constant(node, shape)])
                )
        raise self.fixed(node)

    def quotient(self, node: Node, values: np.ndarray, like: np.ndarray) -> Any:
        """The reciprocal of a·n + b, a / n + b, and the roots of these, as of 1 / √n."""
        for is_root, is_inverse, is_part in product((False, True), repeat=3):
            if is_root and np.any(values < 0):
                break
            powers = values ** ((2.0 if is_root else 1.0) * (-1 if is_inverse else 1))
            law = _line(powers, self.batches, -1 if is_part else 1)
            if law is not None:
                found = self.affine(*law, like, is_part)
                found = self.computed("Reciprocal", [found]) if is_inverse else found
                return self.computed("Sqrt", [found]) if is_root else found
        raise self.fixed(node)

    def fixed(self, node: Node) -> Fixed:
        return Fixed(f"a constant of {node.name} follows the size in no way that is known")

    def affine(self, a: Any, b: Any, like: np.ndarray, is_part: bool = False) -> Any:
        """a·n + b, or a / n + b, of the type of a constant."""
        n = self.computed("Shape", [self.source], start=0, end=1)
        if not like.shape:
            n = self.computed("Squeeze", [n, np.array([0])])
        if like.dtype != np.int64:
            n = self.computed("Cast", [n], to=like.dtype)
        if is_part:
            n = self.computed("Reciprocal", [n])
        a, b = np.asarray(a, like.dtype), np.asarray(b, like.dtype)
        if np.any(a != 1) or like.size > 1:  # one for each
            n = self.computed("Mul", [n, a])
        return self.computed("Add", [n, b]) if np.any(b) else n

    def computed(self, op: str, inputs: list[Any], **attributes: Any) -> str:
        key = (
            op,
            *(x if isinstance(x, str) else (x.dtype.str, x.shape, x.tobytes()) for x in inputs),
            *map(str, attributes.values()),
        )
        if key not in self.known:
            name = self.known[key] = next(self.free)
            self.before.append(Node(op, inputs, [name], attributes, name.replace(".", "/")))
        return self.known[key]


def _repeated(alike: Sequence[np.ndarray]) -> list[np.ndarray] | None:
    """One row of constants whose rows are all the same, along the axes whose length varies."""
    varying = [k for k, ns in enumerate(zip(*(x.shape for x in alike))) if len({*ns}) > 1]
    rows = [
        x[tuple(slice(1) if k in varying else slice(None) for k in range(x.ndim))] for x in alike
    ]
    is_one = all(
        np.array_equal(np.broadcast_to(row, x.shape), x, equal_nan=x.dtype.kind == "f")
        for row, x in zip(rows, alike)
    )
    return rows if is_one else None


def _line(values: np.ndarray, batches: Sequence[int], power: int = 1) -> tuple[Any, Any] | None:
    """a and b, if values are a·n + b, or a / n + b."""
    kind = values.dtype.kind
    if kind not in "iuf":
        return None
    dtype = np.int64 if kind in "iu" and power > 0 else np.float64
    values, n = values.astype(dtype), np.array(batches, dtype) ** power
    rise, run = values[1] - values[0], n[1] - n[0]
    if dtype == np.int64 and np.any(rise % run):
        return None
    a = rise // run if dtype == np.int64 else rise / run
    b = values[0] - a * n[0]
    if dtype == np.float64:  # what is 0 but for rounding
        scale = 1e-6 * np.abs(values[0])
        a, b = (np.where(np.abs(x) <= scale * y, 0.0, x) for x, y in ((a, 1 / n[0]), (b, 1.0)))
    tolerance = 0.0 if dtype == np.int64 else 1e-6
    fits = (np.allclose(a * m + b, value, tolerance, 0) for m, value in zip(n, values))
    return (a, b) if all(fits) else None
