"""Derived: the plain values of a recording that its function computed from its inputs.

A comparison of Tensors gives a plain mask, which the recording holds like any other constant. When an
input changes, the mask changes. A trace of the function tells which of the plain values depend on the
inputs, and computes them again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from autobp.compiler.call import Call
from autobp.compiler.program import Step, mapped
from autobp.compiler.trace.calls import draw, guarded
from autobp.compiler.trace.tracer import Tracer, tracers_in
from autobp.compiler.trace.tracing import Traced, trace_call
from autobp.context import tracing
from autobp.dag import Graph
from autobp.drawing.diagram import Diagram, Node
from autobp.drawing.player.words import said
from autobp.tensor import Tensor

__all__ = ["Dead", "Derived", "has_masks", "place_of"]


class Dead(ValueError):
    """Why a page cannot compute what it shows."""


class Derived:
    """The plain values of a diagram that depend on its inputs, and the calls that compute them.

    `nodes` are constants of the diagram; `args` are arguments that it has no node for, by the node of
    the operation and their slot.
    """

    def __init__(self, call: Call, diagram: Diagram, inputs: Collection[int]) -> None:
        self.nodes: dict[int, Step] = {}
        self.args: dict[tuple[int, int], Step] = {}
        traced = trace_call(call, rolls=False)
        self.sources: dict[Step, int] = {}  # of the arguments that are inputs
        self.known: dict[Step, Any] = {}  # the values of the other arguments
        self._steps: list[Step] = traced.arguments.trace.steps
        self._arguments(traced, call.args, diagram, inputs)
        self._depends = self._following(set(self.sources))
        self._random = self._following({s for s in self._steps if s.function is draw})
        guards = [s for s in self._steps if s.function is guarded]
        self.guards = list(self._guarded(guards, call.name))
        operations = [n for n in diagram.nodes if n.kind == "result"]
        for node, again in zip(operations, _operations(traced.result, len(operations))):
            self._compare(node, again, diagram)
        decide = {value for value, _, _ in self.guards}
        self._needed = self._before({*self.nodes.values(), *self.args.values(), *decide})

    def _arguments(
        self, traced: Traced, args: Sequence[Any], diagram: Diagram, inputs: Collection[int]
    ) -> None:
        place = {id(n.tensor): n.index for n in diagram.nodes if n.tensor is not None}
        place |= {id(n.value): n.index for n in diagram.nodes if n.tensor is None}
        for t, held in traced.arguments.tensors.items():
            self._argument(held.steps[0], place.get(id(t)), t.value, inputs)
        for v in traced.arguments.live:
            array = v.variable.value
            self._argument(v.step, place.get(id(array)), array, inputs)
        arrays = [a for a in args if isinstance(a, np.ndarray)]  # which come first
        for step, array in zip(traced.program.arguments, arrays):
            self._argument(step, place.get(id(array)), array, inputs)

    def _argument(self, step: Step, node: int | None, value: Any, inputs: Collection[int]) -> None:
        if node in inputs:
            assert node is not None
            self.sources[step] = node
        else:
            self.known[step] = value

    def _guarded(
        self, guards: Iterable[Step], function: str
    ) -> Iterator[tuple[Step, Any, str | None]]:
        """What decides which way the library takes. A page is one program: it refuses inputs for which
        Python would take another. Of another number of elements it has no program at all."""
        for step in guards:
            value, expected = step.args
            if value in self._depends:
                if isinstance(expected, tuple) and expected[0]:  # a shape
                    raise Dead(said("dead_chosen", line=place_of(step.line, function)))
                if isinstance(expected, bool | int | float):
                    yield value, expected, step.line

    def _following(self, first: set[Step]) -> set[Step]:
        found = set(first)
        for step in self._steps:
            if not found.isdisjoint(step.operands):
                found.add(step)
        return found

    def _before(self, last: set[Step]) -> list[Step]:
        found = set(last)
        for step in reversed(self._steps):
            if step in found:
                found.update(step.operands)
        return [step for step in self._steps if step in found]

    def _compare(self, node: Node, again: Tensor, diagram: Diagram) -> None:
        """Find what one operation is given that depends on the inputs."""
        t = node.tensor
        assert t is not None
        if again.primitive is not t.primitive or len(again.args) != len(node.args):
            raise Dead(said("dead_other"))
        for slot, (j, arg) in enumerate(zip(node.operands, again.args)):
            if isinstance(arg, Tensor):
                arg = arg.value
                if j is not None and diagram.nodes[j].kind != "constant":
                    continue
            step = self._depending(arg, node)
            if step is not None and j is None:
                self.args[node.index, slot] = step
            elif step is not None and j is not None and j not in self.sources.values():
                self.nodes[j] = step
        if any(self._depending(x, node) is not None for x in tracers_in(again.params)):
            raise Dead(said("dead_chosen", line=place_of(t.line)))

    def _depending(self, x: Any, node: Node) -> Step | None:
        if type(x) is not Tracer:
            return None
        step = x.current().step
        if step not in self._depends:
            return None
        if step in self._random:
            raise Dead(said("dead_random", line=place_of(node.tensor.line)))  # type: ignore[union-attr]
        return step

    def computed(self, given: Mapping[int, Any]) -> dict[Step, Any]:
        """The values of these steps, for other values of the inputs, which are tracers."""
        trace = tracing.get()
        values = {**self.known, **{step: given[node] for step, node in self.sources.items()}}
        value = lambda s: s.constant if s.is_constant else values[s]
        for step in self._needed:
            args, params = mapped(value, step.args), mapped(value, step.params)
            if [*tracers_in((args, params))]:
                values[step] = trace.call(step.function, args, params)
            else:
                values[step] = step.function(*args, **params)  # type: ignore[misc]
        for decisive, expected, line in self.guards:
            trace.guard(values[decisive].current().step, expected, line)
        return values


def place_of(line: str | None, otherwise: str = "one place") -> str:
    """The file, without its folder, and the line."""
    return re.sub(r".*[/\\]", "", line) if line else otherwise


def _operations(result: Any, count: int) -> list[Tensor]:
    """The operations behind a result, in the order of a diagram's."""
    found: list[Tensor] = []
    if isinstance(result, Tensor) and result.requires_grad:
        graph = Graph([result])
        found = [t for t in graph.operations if t.level == result.level]
    if len(found) != count:
        raise Dead(said("dead_other"))
    return found


def has_masks(node: Node, derived: Collection[int]) -> bool:
    """Whether an operation is given truth values, or chooses elements by them, in other slots than those
    that are derived."""
    args = [a for slot, a in enumerate(node.args) if slot not in derived]
    return any(map(_is_mask, (*args, *_parts(node.params))))


def _is_mask(x: Any) -> bool:
    return isinstance(x, np.ndarray | np.generic) and x.dtype == np.bool_


def _parts(params: Mapping[str, Any]) -> Iterator[Any]:
    for value in params.values():
        yield from value if isinstance(value, tuple | list) else (value,)
