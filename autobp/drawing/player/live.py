"""Live: what a page needs to compute what it shows, for other inputs.

The recorded program runs again on tracers, values, gradients and tangents, and the steps are written
again from it: where a text had a number it has a hole. The program of the numbers in the holes is
printed as JavaScript. What it cannot be printed for, `Dead` says.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autobp.calculus import project, zeros
from autobp.compiler.call import Call
from autobp.compiler.javascript import Unprintable, javascript
from autobp.compiler.passes.pipeline import PASSES, optimized
from autobp.compiler.terms import CaptureError
from autobp.compiler.trace.direct import program_of
from autobp.context import clock
from autobp.dag import ancestors
from autobp.drawing.diagram import Diagram, Use, swept
from autobp.drawing.dot import _derivative
from autobp.drawing.hole import Holes, filling, is_open
from autobp.drawing.marks import Mark
from autobp.drawing.player.cells import OpenCells
from autobp.drawing.player.derived import Dead, Derived, has_masks, place_of
from autobp.drawing.player.steps import Found, Script, text_of
from autobp.drawing.player.words import reasoned, said
from autobp.primitive import Array, constant, one_array
from autobp.tensor import Tensor, leaf

__all__ = ["Dead", "Live", "live"]

_OPERATIONS = 1000  # that are traced again
_STEPS = 20_000  # calls of a program that a page may have
_NUMBERS = 100_000  # that it may compute


def _dead(error: Exception) -> Dead:
    why = re.sub(r"[^\s:]*[/\\](?=[^\s/\\]+:\d)", "", str(error))
    why = why.replace("compile cannot capture", "a page cannot follow")
    return Dead(said("dead", why=reasoned(why)))


@dataclass
class Live:
    """The texts of a script with holes, and the program of the numbers in them."""

    script: Script
    code: str  # of the JavaScript function `program`
    inputs: list[int]  # nodes of the diagram, in the order of the program's arguments
    shapes: list[tuple[int, ...]]  # of its results
    slopes: dict[int, str]  # of uses, the labels of their edges
    gradients: list[int | None]  # the result that is the gradient of each input
    loss: int  # the result that is the loss


def live(script: Script, call: Call | None = None) -> Live | Dead:
    """The live form of a script, or why it has none. With the call that was recorded, the plain values
    that it computed from its inputs follow them."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return _live(script, call)
    except (Dead, Unprintable, CaptureError) as error:
        return error if isinstance(error, Dead) else _dead(error)


def _live(script: Script, call: Call | None) -> Live:
    diagram = script.diagram
    operations = sum(n.kind == "result" for n in diagram.nodes)
    if script.parts or operations > _OPERATIONS:
        raise Dead(said("dead_large", n=operations, most=f"{_OPERATIONS:,}"))
    if any(node.stale for node in diagram.nodes) or diagram.notes:
        raise Dead(said("dead_notes"))
    held = 3 * sum(np.size(n.value) for n in diagram.nodes)  # values, gradients and contributions
    if held > _NUMBERS:  # known before anything is traced
        raise Dead(said("dead_long", n=held, most=f"{_NUMBERS:,}"))
    inputs = [n.index for n in diagram.nodes if _may_change(n)]
    derived = Derived(call, diagram, inputs) if call else None
    for n in diagram.nodes:
        if derived is None and n.tensor is not None and _has_order(n):
            raise Dead(said("dead_order", line=place_of(n.tensor.line)))
    fixed = _fixed_mask(diagram, derived)
    if fixed is not None and derived is None:
        raise Dead(said("dead_mask", line=place_of(fixed.tensor.line)))
    inputs = [i for i in inputs if derived is None or i not in derived.nodes]
    if fixed is not None:  # it may have been computed from data that is no argument
        inputs = [i for i in inputs if diagram.nodes[i].kind != "constant"]
    made: list[Live] = []

    def run(*values: Any) -> list[Any]:
        with filling() as holes:
            again = _run_again(diagram, dict(zip(inputs, values)), derived)
            texts = _LiveScript(again, script, holes)
            slopes = {use.place: _derivative(again, use) for use in again.uses if _goes_back(use)}
            slots = [again.nodes[i].gradient for i in inputs]
            gradients = [None if g is None else holes(g) for g in slots]
            loss = holes(again.nodes[script.output].value)
            shapes = [np.shape(value) for value in holes.values]
            made.append(Live(texts, "", inputs, shapes, slopes, gradients, loss))
            return holes.values

    program = program_of(run, {f"x{i}": diagram.nodes[i].value for i in inputs})
    program = optimized(program, [p for p in PASSES if p.exact and not p.lowers])
    numbers = sum(step.size for step in program.steps)
    if len(program.steps) > _STEPS or numbers > _NUMBERS:
        raise Dead(said("dead_long", n=numbers, most=f"{_NUMBERS:,}"))
    (found,) = made
    found.code = javascript(program)
    return found


def _may_change(node: Any) -> bool:
    """Inputs, parameters, and data: arrays of numbers."""
    if node.kind == "result" or not np.size(node.value):
        return False
    return node.kind != "constant" or getattr(node.value, "dtype", None) == np.float64


def _goes_back(use: Use) -> bool:
    return use.contribution is not None


def _fixed_mask(diagram: Diagram, derived: Derived | None) -> Any | None:
    """The first operation that is given truth values of which it is not known how they were computed."""
    known = derived.args if derived else {}
    nodes = derived.nodes if derived else {}
    for n in diagram.nodes:
        if n.kind == "result" and has_masks(
            n, [s for s, j in enumerate(n.operands) if (n.index, s) in known or j in nodes]
        ):
            return n
    return None


def _has_order(node: Any) -> bool:
    """Whether elements are taken by an array of indices for each axis, of as many axes, as those are that
    `np.sort` finds and `np.take_along_axis` is given. They depend on values as a rule."""
    if node.kind != "result" or type(node.params.get("index")) is not tuple:
        return False
    index, axes = node.params["index"], np.ndim(node.args[0])
    return bool(index) and all(
        isinstance(i, np.ndarray) and i.dtype.kind in "iu" and i.ndim == axes for i in index
    )


def _run_again(diagram: Diagram, given: Mapping[int, Any], derived: Derived | None) -> Diagram:
    """The diagram of the same operations on other values."""
    level = clock()
    computed = derived.computed(given) if derived else {}
    given = {
        **given,
        **{i: computed[step] for i, step in (derived.nodes if derived else {}).items()},
    }
    slots = {at: computed[step] for at, step in (derived.args if derived else {}).items()}
    again: list[Any] = []  # a tensor or an array for each node
    for node in diagram.nodes:
        value = given.get(node.index, node.value)
        if node.kind in ("input", "parameter"):
            again.append(leaf(value.canonical() if is_open(value) else value, level))
        elif node.kind == "constant":
            again.append(value)
        else:
            args = [
                slots.get((node.index, slot), a) if j is None else again[j]
                for slot, (j, a) in enumerate(zip(node.operands, node.args))
            ]
            assert node.tensor is not None
            assert node.tensor.primitive is not None
            again.append(node.tensor.primitive(*args, **node.params))
    (output,) = (again[n.index] for n in diagram.outputs)
    order = ancestors([output], level)
    record, error = swept(order, output, project(np.ones(output.shape), constant(output)), constant)
    if error is not None:
        raise Dead(error)
    nodes = []
    for node, thing in zip(diagram.nodes, again):
        tensor = thing if isinstance(thing, Tensor) else None
        gradient = node.gradient
        if gradient is not None and tensor is not None:
            gradient = one_array(record.cotangents.get(tensor, zeros(constant(thing))))
        value = one_array(constant(thing))
        nodes.append(replace(node, value=value, tensor=tensor, gradient=gradient))
    uses = [
        use
        if use.contribution is None
        else use._replace(contribution=record.contributions[again[use.target], use.slot])
        for use in diagram.uses
    ]
    return Diagram(nodes, uses, list(diagram.notes))


class _LiveScript(Script):
    """The steps of a script with holes for numbers."""

    def __init__(self, again: Diagram, script: Script, holes: Holes) -> None:
        self._original = script
        self._holes = holes
        super().__init__(again)

    def _cells(self) -> OpenCells:
        return OpenCells(len(self._original.cells.maps), self._holes)

    def _marks(self) -> dict[int, list[Mark]]:
        return {}

    def _count(self, use: Use) -> int:
        return self._original.counts[use.place]

    def _shown(self, i: int, g: Array, least: bool = False) -> list[Found]:
        node = self.diagram.nodes[i]
        same = g is node.gradient
        text = self.items[self.place[i]].gradient if same else text_of(g)
        return [(self.place[i], text, self.cells.add(g, least=least))]
