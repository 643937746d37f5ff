"""Diagram: the data of a drawing, before anything is drawn.

A diagram holds primal values (the user's own arrays, which it only reads), names, and the record of a
backward sweep. It changes no Tensor: no `.grad` is set, no hook is called, and nothing is
recorded on the levels of the program.

The player uses the variables in evaluation order (`nodes`; `n12` in a picture is an index into them),
their uses (`uses`, `e7`), and the contribution of each use to the gradient (`Use.contribution`). The
contributions to a node, added in the order of the backward sweep (uses by later results first, by one
result in the order of slots), give its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from autobp.calculus import as_numpy_scalars, project, zeros
from autobp.dag import Graph
from autobp.primitive import Array, constant
from autobp.reverse import SweepRecord, sweep
from autobp.tensor import Tensor

__all__ = [
    "Diagram",
    "Kind",
    "Naming",
    "Node",
    "Use",
    "diagram",
    "local",
    "replaced_leaves",
    "swept",
]

#: In the program of the backward pass, results of the forward pass are "saved".
Kind = Literal["parameter", "input", "constant", "saved", "result"]


@dataclass(slots=True, eq=False)
class Node:
    """One variable: a tensor, or an array that a program used as a constant."""

    index: int
    name: str
    kind: Kind
    value: Any  # a float, a NumPy scalar or an ndarray
    tensor: Tensor | None  # None: a plain array
    scope: str | None = None
    output: bool = False
    stale: bool = False  # its data was replaced after it was used
    gradient: Any = None  # in the form of the value; None: not computed
    operands: tuple[int | None, ...] = ()  # the nodes of the arguments; None: a number

    @property
    def id(self) -> str:
        return f"n{self.index}"

    @property
    def operation(self) -> str | None:
        """The name of the operation that made it."""
        t = self.tensor
        return t.primitive.name if t is not None and t.primitive and self.kind == "result" else None

    @property
    def params(self) -> dict[str, Any]:
        return self.tensor.params if self.tensor is not None else {}

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments as they were given, including numbers."""
        return self.tensor.args if self.tensor is not None else ()


class Use(NamedTuple):
    """One use of a variable in one slot of an operation: an edge."""

    place: int
    source: int
    target: int
    slot: int
    contribution: Any = None  # to the source's gradient, in its shape; None: not computed

    @property
    def id(self) -> str:
        return f"e{self.place}"


@dataclass(slots=True, eq=False)
class Diagram:
    """The variables, arguments before results, and their uses, ordered by target and slot."""

    nodes: list[Node]
    uses: list[Use]
    notes: list[str] = field(default_factory=list)  # messages for the reader, one line each
    groups: dict[Any, Any] = field(default_factory=dict, repr=False)  # the results of `blocks`

    @property
    def outputs(self) -> list[Node]:
        return [n for n in self.nodes if n.output]


def diagram(
    graph: Graph, names: Mapping[str, Any] | None = None, gradients: bool = True
) -> Diagram:
    """The diagram of a graph. It has gradients if the graph has one output, which is a number.

    >>> from autobp import Tensor, graph
    >>> a, b = Tensor(2.0, name="a"), Tensor(3.0, name="b")
    >>> d = diagram(graph(a * b + a))
    >>> [(n.id, n.name, n.value, n.gradient) for n in d.nodes]
    [('n0', 'a', 2.0, 4.0), ('n1', 'b', 3.0, 2.0), ('n2', 't2', 6.0, 1.0), ('n3', 't3', 8.0, 1.0)]
    >>> [(e.id, e.source, e.target, e.contribution) for e in d.uses]
    [('e0', 0, 2, 3.0), ('e1', 1, 2, 2.0), ('e2', 2, 3, 1.0), ('e3', 0, 3, 1.0)]
    """
    level = max((y.level for y in graph.outputs), default=-1)
    called = Naming(graph, names or {})
    stale = replaced_leaves(graph, level)
    found = Diagram([], [])
    position: dict[int, int] = {}  # by id(): of tensors and arrays that the graph keeps alive

    def add(thing: Any, kind: Kind) -> Node:
        tensor = thing if isinstance(thing, Tensor) else None
        node = Node(len(found.nodes), called(thing), kind, constant(thing), tensor)
        position[id(thing)] = node.index
        found.nodes.append(node)
        return node

    for t in sorted(graph.nodes, key=lambda t: t not in stale):  # arguments before results
        if t.level != level or not t.requires_grad:
            node = add(t, "constant")
        elif t.primitive is None:
            node = add(t, "input" if t.scope is None else "parameter")
        else:
            for a in t.args:
                if type(a) is np.ndarray and id(a) not in position:
                    add(a, "constant")
            node = add(t, "result")
            node.operands = tuple(position.get(id(a)) for a in t.args)
            for slot, source in enumerate(node.operands):
                if source is not None:
                    found.uses.append(Use(len(found.uses), source, node.index, slot))
        node.scope, node.stale = t.scope, t in stale
    for y in graph.outputs:
        found.nodes[position[id(y)]].output = True
    if gradients:
        _differentiate(found, graph, level, position, stale)
    return found


def replaced_leaves(graph: Graph, level: int) -> set[Tensor]:
    """The leaves whose data was replaced after a result was computed from it."""
    return {
        a
        for t in graph.nodes
        if t.level == level
        for a in t.args
        if isinstance(a, Tensor) and a.born > t.born
    }


class Naming:
    """A name for each node: its own, or that of the user's variable, or its number."""

    def __init__(self, graph: Graph, given: Mapping[str, Any]) -> None:
        self._given: dict[int, str] = {}
        for name, thing in given.items():
            if not name.startswith("_"):
                for path, part in _parts(thing):
                    self._given.setdefault(id(part), f"{name}{path}")
        self._place = {t: f"t{i}" for i, t in enumerate(graph.nodes)}
        self._arrays = 0

    def __call__(self, thing: Any) -> str:
        name = thing.name if isinstance(thing, Tensor) else None
        name = name or self._given.get(id(thing))
        if not name and isinstance(thing, Tensor):
            name = self._place[thing]
        if not name:
            name = f"array{self._arrays}"
            self._arrays += 1
        return str(name)


def _parts(thing: Any) -> Iterator[tuple[str, Any]]:
    """The things that a variable of the user names: its value, or the items of a list or dict."""
    if isinstance(thing, Tensor | np.ndarray):
        yield "", thing
    elif isinstance(thing, list | tuple | dict) and len(thing) <= 1000:
        for key, part in thing.items() if isinstance(thing, dict) else enumerate(thing):
            if isinstance(part, Tensor | np.ndarray):
                yield f"[{key!r}]", part


def _differentiate(
    found: Diagram, graph: Graph, level: int, position: dict[int, int], stale: set[Tensor]
) -> None:
    if level < 0:
        return
    if len(graph.outputs) != 1 or graph.outputs[0].size != 1:
        found.notes.append("no gradients: they need one scalar result, such as a sum or a mean")
        return
    if stale:
        names = ", ".join(found.nodes[position[id(t)]].name for t in stale)
        found.notes.append(f"no gradients: the data of {names} was replaced after it was used")
        return
    (result,) = graph.outputs
    seed = project(np.ones(result.shape), constant(result))
    order = [t for t in graph.nodes if t.level == level]
    record, error = swept(order, result, seed, constant)
    if error is not None:
        found.notes.append(f"gradients stop where a rule failed: {error}")
    for t in order:
        node = found.nodes[position[id(t)]]
        node.gradient = record.cotangents.get(t)
        if node.gradient is None and error is None:
            node.gradient = zeros(node.value)
    found.uses = [
        use._replace(contribution=record.contributions.get((made, use.slot)))
        for use in found.uses
        if (made := found.nodes[use.target].tensor) is not None
    ]


def swept(
    order: Sequence[Tensor], result: Tensor, seed: Array, value: Callable[[Any], Array]
) -> tuple[SweepRecord, str | None]:
    """The record of a backward sweep from one result, in which the rules compute with `value` of each
    tensor. If a rule raises, the record ends there, and the error comes with it as a line of text."""
    record = SweepRecord(value)
    try:
        with np.errstate(all="ignore"):
            sweep({result: seed}, order, record)
    except Exception as error:  # of a rule of the user's own, perhaps
        failed = next(reversed(record.cotangents)).primitive
        assert failed is not None
        return record, f"{failed.name}: {type(error).__name__}: {error}"
    return record, None


def local(found: Diagram, use: Use) -> Any | None:
    """The local derivative along a use, if a number or an array describes it completely: for an
    elementwise operation, and for any operation whose result is a single number. Otherwise None.

    >>> from autobp import Tensor, graph
    >>> d = diagram(graph(np.tanh(Tensor(0.5)) * 3.0))
    >>> [round(local(d, use), 4) for use in d.uses]
    [0.7864, 3.0]
    """
    node, source = found.nodes[use.target], found.nodes[use.source]
    t, out = node.tensor, node.value
    if t is None or t.primitive is None:
        return None
    one = np.size(out) == 1
    if t.primitive.form != "elementwise" and not one:
        return None
    form = source.value if one else out
    rule = t.primitive.reverse[use.slot]
    if rule is None:
        return zeros(form)
    with np.errstate(all="ignore"):
        try:
            out, *args = as_numpy_scalars(out, *map(constant, t.args))
            c = rule(np.ones_like(out)[()], out, *args, **t.params)
        except Exception:  # the sweep failed at it too, and has noted it
            return None
    return zeros(form) if c is None else project(c, form)
