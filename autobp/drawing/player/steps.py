"""Script: the steps of the player as data: each operation, then the seed, then each contribution.

This module knows nothing of pages. A program too large to be shown completely has parts. Variables in a
part are not shown one by one, and consecutive operations of a part are one step.
"""

from __future__ import annotations

import linecache
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from autobp.drawing.diagram import Diagram, Use, local
from autobp.drawing.dot import Style, _lines, _plain
from autobp.drawing.formula import FEW, Term, brief, operation, quantity, rule
from autobp.drawing.hole import is_open
from autobp.drawing.literal import shown
from autobp.drawing.marks import Mark, marks
from autobp.drawing.player.cells import Cells, pictured
from autobp.drawing.player.plan import Part
from autobp.drawing.player.sweeps import multiplications, tangents
from autobp.drawing.player.words import phrased, raised, said
from autobp.primitive import Array, constant, one_array
from autobp.tensor import Tensor

__all__ = ["STYLE", "Arrow", "Item", "Pass", "Script", "Step", "text_of"]

#: The style of a player's pictures, which decides what a step writes into them. A variable has room for
#: a gradient in four digits, whatever it will be.
STYLE = Style(view="textbook", passes="both", heat=True, width=1.02)

# Of forward mode, with one pass for each number, a page holds so many steps, and so much is computed.
_STEPS = 250
_LONGEST = 700  # steps of a pass that is played
_WORK = 100_000
_TANGENTS = 20_000  # numbers in all passes: a live page computes them in each frame


@dataclass
class Item:
    """A variable or a part, as text."""

    name: str
    kind: str  # parameter, input, constant, result; or part
    value: str = ""  # as in the picture
    shape: str = ""
    formula: list[str] = field(default_factory=list)  # on names, and on numbers if they are few
    line: str = ""  # of the user's code
    gradient: str = "—"  # at the end
    operation: str = ""
    value_map: int | None = None
    gradient_map: int | None = None
    marks: list[str] = field(default_factory=list)
    node: int | None = None  # in the diagram; None: a part


@dataclass
class Arrow:
    """One use of an item by another, with its contribution to the gradient."""

    source: int
    target: int
    product: str = ""  # upstream × local, or a formula
    term: str = ""  # its value
    use: int = 0  # in the diagram; the first one if there are several


Found = tuple[int, str, int | None]  # an item, what is written on it, and its map


@dataclass
class Step:
    """One step: its text, and the texts that items show after it."""

    item: int
    says: str  # up to the resulting number, which can be hidden
    result: str
    why: str = ""
    arrows: list[int] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    count: int = 0  # multiplications


@dataclass
class Pass:
    """One pass of forward mode: all tangents along one number of one input."""

    name: str
    item: int
    steps: list[Step]


class Script:
    """A recorded program as the steps of both modes.

    >>> from autobp import Tensor, graph
    >>> from autobp.drawing.diagram import diagram
    >>> a, b = Tensor(2.0, name="a"), Tensor(-3.0, name="b")
    >>> script = Script(diagram(graph(a * b + a)))
    >>> for step in script.forward + script.backward:
    ...     print(step.says, step.result)
    t2 = 2 × (−3) = −6
    t3 = −6 + 2 = −4
    grad of t3 = 1
    grad of t2: 0 + 1 × 1 = 1
    grad of a: 0 + 1 × 1 = 1
    grad of a: 1 + 1 × (−3) = −2
    grad of b: 0 + 1 × 2 = 2
    """

    output: int
    entries: int
    forward_count: int

    def __init__(self, diagram: Diagram, parts: Mapping[int, Part] | None = None) -> None:
        self.diagram = diagram
        self.parts: Mapping[int, Part] | dict[int, Part] = parts or {}
        self.notes: list[str] = [phrased(n) for n in diagram.notes]  # what a reader should be told
        (self.output,) = (n.index for n in diagram.outputs)
        self.level: int = self._tensor(self.output).level
        self.names: list[str] = [shown(n.name, 24) for n in diagram.nodes]
        self.widest: list[Any] = [
            n.gradient for n in diagram.nodes
        ]  # of all gradients and tangents shown
        self.space: dict[int, str] = {}  # and what is written of these, of variables that are items
        self.results: dict[Part, list[int]] = self._leaving()
        self.cells: Any = self._cells()
        self.marks: dict[int, list[Mark]] = self._marks()
        self.items: list[Item] = []
        self.place: list[int] = []  # of each node of the diagram, its item
        self._gather()
        self.arrows: list[Arrow] = []
        self.arrow_of: dict[int, int] = {}  # by use
        self.counts: dict[int, int] = {
            u.place: self._count(u) for u in diagram.uses if self._carries(u)
        }
        made = [n.index for n in diagram.nodes if n.kind == "result"]
        self.forward: list[Step] = [self._computed(run) for run in self._runs(made)]
        self.backward: list[Step] = [self._seed(), *self._returned()]
        self.inputs: list[int] = [
            n.index for n in diagram.nodes if n.kind in ("parameter", "input")
        ]
        self.uses_of: dict[int, list[Use]] = defaultdict(list)
        for use in diagram.uses:
            self.uses_of[use.target].append(use)
        self.entries, self.forward_count = self._forward_cost()
        self.backward_count: int = sum(step.count for step in self.backward)
        self.passes: list[Pass] = list(self._passes())
        self._join()
        self.arrow_at: dict[int, int] = {arrow.use: k for k, arrow in enumerate(self.arrows)}

    def _cells(self) -> Any:
        arrays = [v for n in self.diagram.nodes for v in (n.value, n.gradient) if v is not None]
        return Cells(sum(map(pictured, arrays)))

    def _marks(self) -> dict[int, list[Mark]]:
        return marks(self.diagram)

    # ── the items ─────────────────────────────────────────────────────────────────────────────────

    def _tensor(self, i: int) -> Tensor:
        t = self.diagram.nodes[i].tensor
        assert t is not None
        return t

    def _leaving(self) -> dict[Part, list[int]]:
        """For each part, its variables that are used outside."""
        found: dict[Part, dict[int, None]] = defaultdict(dict)
        for use in self.diagram.uses:
            part = self.parts.get(use.source)
            if part is not None and part != self.parts.get(use.target):
                found[part][use.source] = None
        if self.output in self.parts:
            found[self.parts[self.output]][self.output] = None
        return {part: sorted(nodes) for part, nodes in found.items()}

    def _gather(self) -> None:
        inside: dict[Part, list[int]] = defaultdict(list)
        for i, whole in self.parts.items():
            inside[whole].append(i)
        known: dict[Part, int] = {}
        for i in range(len(self.diagram.nodes)):
            part = self.parts.get(i)
            if part is None:
                self.place.append(len(self.items))
                self.items.append(self._described(i))
            else:
                if part not in known:
                    known[part] = len(self.items)
                    self.items.append(self._summed(part, inside[part]))
                self.place.append(known[part])

    def _described(self, i: int) -> Item:
        node = self.diagram.nodes[i]
        shape = str(np.shape(node.value)) if np.ndim(node.value) else ""
        dtype = getattr(node.value, "dtype", np.dtype(np.float64))
        if dtype != np.float64:
            shape += f" {dtype}"
        item = Item(self.names[i], node.kind, text_of(node.value), shape, node=i)
        item.value_map = self.cells.add(node.value, node.kind in ("constant", "input"))
        item.marks = [m.text for m in self.marks.get(i, ()) if not _plain(m, node)]
        if node.kind == "result":
            item.formula = list(dict.fromkeys(self._written(i)))
            item.operation = shown(node.operation or "", 24)
            item.line = _code(self._tensor(i).line)
        if node.gradient is not None:
            item.gradient = self.space[i] = text_of(node.gradient)
            item.gradient_map = self.cells.add(node.gradient)
        return item

    def _summed(self, part: Part, inside: Sequence[int]) -> Item:
        nodes = [self.diagram.nodes[i] for i in inside]
        kinds = Counter(n.operation for n in nodes if n.operation)
        parts = ", ".join(f"{n:,} {shown(name, 20)}" for name, n in kinds.most_common(6))
        results = self.results.get(part, [])
        item = Item(shown(part.title), "part", said("of_results", n=len(results)), formula=[parts])
        if len(results) == 1:
            node = self.diagram.nodes[results[0]]
            item.value, item.gradient = (
                "—" if v is None else brief(v) for v in (node.value, node.gradient)
            )
        return item

    def _terms(self, i: int) -> list[Term]:
        """The arguments of an operation by name, or as numbers if they are numbers."""
        node = self.diagram.nodes[i]
        return [
            quantity(a) if j is None else Term(self.names[j])
            for j, a in zip(node.operands, node.args, strict=True)
        ]

    def _written(self, i: int) -> list[str]:
        """The operation as a formula on names, and on numbers if they are few."""
        t = self._tensor(i)
        assert t.primitive is not None
        written = [operation(t.primitive, self._terms(i), t.params).text]
        args = [one_array(constant(a)) for a in t.args]
        if all(np.size(a) <= FEW for a in args):
            values = [quantity(a) for a in args]
            written.append(operation(t.primitive, values, t.params).text)
        return written

    def _runs(self, nodes: Iterable[int]) -> Iterator[list[int]]:
        for _, run in groupby(nodes, self.place.__getitem__):
            yield list(run)

    # ── forward ───────────────────────────────────────────────────────────────────────────────────

    def _computed(self, run: list[int]) -> Step:
        place = self.place[run[-1]]
        item = self.items[place]
        if item.node is None:
            says = said("part_computed", name=item.name, n=len(run))
            return Step(place, says, item.value, found=[(place, item.value, None)])
        written = list(dict.fromkeys(self._written(item.node)))
        why = f"{item.name} = {written[0]}" if len(written) > 1 else ""
        result = brief(self.diagram.nodes[item.node].value)
        found: list[Found] = [(place, item.value, item.value_map)]
        return Step(place, f"{item.name} = {written[-1]} =", result, why, found=found)

    # ── backward ──────────────────────────────────────────────────────────────────────────────────

    def _seed(self) -> Step:
        name = self.names[self.output]
        why = said("seed_why", name=name)
        one = np.ones(np.shape(self.diagram.nodes[self.output].value))[()]
        found = self._shown(self.output, one)
        return Step(
            self.place[self.output], said("grad_of", name=name) + " =", "1", why, found=found
        )

    def _returned(self) -> Iterator[Step]:
        """The contributions in the order of the backward sweep, added up as it adds them."""
        uses = [u for u in self.diagram.uses if u.contribution is not None]
        uses.sort(key=lambda u: (-u.target, u.slot))
        before: dict[int, Array] = {}
        for place, batch in groupby(uses, lambda u: self.place[u.target]):
            step = Step(place, "", "")
            sums: dict[int, Array] = {}
            many: list[Use] = []
            for use in batch:
                i, c = use.source, use.contribution
                old = before.get(i)
                before[i] = c if old is None else old + c
                if self.items[place].node is not None:
                    yield self._contribution(use, old, before[i])
                    continue
                many.append(use)
                if self.place[i] != place:
                    sums[i] = c if i not in sums else sums[i] + c
            if many:
                self._part_returned(step, many, sums, before)
                yield step

    def _contribution(self, use: Use, before: Array | None, after: Array) -> Step:
        node, source = self.diagram.nodes[use.target], self.diagram.nodes[use.source]
        g, slope = node.gradient, None
        if np.size(node.value) == np.size(source.value) == 1:
            slope = local(self.diagram, use)
        arrow = Arrow(self.place[use.source], self.place[use.target], use=use.place)
        arrow.term = brief(use.contribution)
        if slope is not None:
            upstream, factor = quantity(g), quantity(slope)
            arrow.product = f"{upstream.within()} × {factor.within()}"
            why = said("local_derivative", slope=self._slope(use, factor.text))
        else:
            arrow.product = self._product(use, Term("g"), "reverse")
            why = said("g_is", name=self.names[use.target], value=brief(g))
            if before is not None:
                why += said("this_adds", value=arrow.term)
        so_far = "0" if before is None else brief(before)
        added = Term(arrow.product).within()
        says = f"{said('grad_of', name=self.names[use.source])}: {so_far} + {added} ="
        self.arrow_of[use.place] = len(self.arrows)
        self.arrows.append(arrow)
        return Step(
            arrow.source,
            says,
            brief(after),
            why,
            [self.arrow_of[use.place]],
            self._shown(use.source, after),
            self.counts[use.place],
        )

    def _slope(self, use: Use, value: str) -> str:
        """∂target/∂source as a formula, the same with numbers, and its value."""
        t = self._tensor(use.target)
        names = rule(t, use.slot, Term(self.names[use.target]), self._terms(use.target))
        numbers = rule(t, use.slot, quantity(constant(t)), [quantity(constant(a)) for a in t.args])
        written = [form[0] for form in (names, numbers) if form is not None]
        ratio = f"∂{self.names[use.target]}/∂{self.names[use.source]}"
        return " = ".join([ratio, *dict.fromkeys([*written, value])])

    def _product(self, use: Use, carried: Term, mode: str) -> str:
        """The cotangent g, or the tangent, that a use passes on, as a formula."""
        t, size = self._tensor(use.target), np.size(self.diagram.nodes[use.source].value)
        assert t.primitive is not None
        form = rule(
            t, use.slot, Term(self.names[use.target]), self._terms(use.target), carried, mode
        )
        if form is None:
            return said("rule_of", name=shown(t.primitive.name, 20), of=carried.text)
        text, given = form
        if mode == "forward" or given == size:
            return text
        return said("for_each" if given < size else "sum_of", formula=text, n=size)

    def _part_returned(
        self, step: Step, uses: Sequence[Use], sums: Mapping[int, Array], after: Mapping[int, Array]
    ) -> None:
        """All contributions of a part, as one step."""
        step.says = said("part_returned", name=self.items[step.item].name, n=len(uses))
        step.count = sum(self.counts[use.place] for use in uses)
        first = {use.source: use.place for use in reversed(uses)}
        for i, total in sums.items():
            step.arrows.append(len(self.arrows))
            self.arrows.append(Arrow(self.place[i], step.item, term=brief(total), use=first[i]))
            step.found += self._shown(i, after[i])
        step.result = said("gradients_grew", n=len(sums))
        if len(sums) == 1:
            ((i, _),) = sums.items()
            step.says += f" {said('grad_of', name=self.names[i])} ="
            step.result = brief(after[i])

    def _shown(self, i: int, g: Array, least: bool = False) -> list[Found]:
        """Where a gradient or tangent is shown: on the variable, or on the part whose only result it
        is."""
        part = self.parts.get(i)
        if part is not None:
            return [(self.place[i], brief(g), None)] if self.results.get(part) == [i] else []
        node = self.diagram.nodes[i]
        text = self.items[self.place[i]].gradient if g is node.gradient else text_of(g)
        old = self.widest[i]
        if old is None:
            self.widest[i], self.space[i] = g, text
        elif g is not old and not pictured(g) and np.all(np.isfinite(g)):
            self.widest[i], self.space[i] = max((old, self.space[i]), (g, text), key=_extent)
        return [(self.place[i], text, self.cells.add(g, least=least))]

    def _join(self) -> None:
        """Arrows for uses without a contribution, mostly those of constants."""
        joined = {(a.source, a.target) for a in self.arrows}
        for use in self.diagram.uses:
            ends = self.place[use.source], self.place[use.target]
            if use.place not in self.arrow_of and ends[0] != ends[1] and ends not in joined:
                joined.add(ends)
                self.arrows.append(Arrow(*ends, use=use.place))

    # ── forward mode ──────────────────────────────────────────────────────────────────────────────

    def _carries(self, use: Use) -> bool:
        """Whether a derivative passes along a use."""
        source, primitive = (
            self.diagram.nodes[use.source].tensor,
            self._tensor(use.target).primitive,
        )
        assert primitive is not None
        rules = dict(zip(range(use.slot + 1), primitive.reverse))
        return source is not None and source.level == self.level and rules.get(use.slot) is not None

    def _count(self, use: Use) -> int:
        return multiplications(self._tensor(use.target), use.slot)

    def _passes(self) -> Iterator[Pass]:
        """As many passes as there is room for, and at least one unless it is too long."""
        steps, work, longest, largest, left = _STEPS, _WORK, 0, 0, _TANGENTS
        if len(self.forward) > _LONGEST:
            return
        for i in self.inputs:
            for index in np.ndindex(np.shape(self.diagram.nodes[i].value)):
                if longest > steps or len(self.diagram.nodes) > work or largest > left:
                    return
                try:
                    made, numbers = self._pass(i, index)
                except Exception as error:  # of a rule of the user's own
                    self.notes.append(said("forward_ends", error=raised(error)))
                    return
                longest = max(longest, len(made.steps))
                steps -= len(made.steps)
                work -= len(self.diagram.nodes)
                largest, left = max(largest, numbers), left - numbers
                yield made

    def _pass(self, i: int, index: tuple[int, ...]) -> tuple[Pass, int]:
        """A pass along one number, and how many tangents it computes."""
        x = self._tensor(i)
        start = np.zeros(x.shape, x.dtype)
        start[index] = 1
        order = [self._tensor(n.index) for n in self.diagram.nodes if n.kind == "result"]
        by_tensor = tangents(order, {x: start if x.ndim else start[()]})
        found = {
            n.index: by_tensor[n.tensor]
            for n in self.diagram.nodes
            if n.tensor is not None and n.tensor in by_tensor
        }
        name = self.names[i] + (f"[{', '.join(map(str, index))}]" if index else "")
        why = said("varies")
        seed = Step(self.place[i], said("tangent_of", name=name) + " =", "1", why)
        seed.found = self._shown(i, found[i], least=True)
        reached = [j for j in found if j != i]
        steps = [seed, *(self._moved(run, found) for run in self._runs(reached))]
        if len(steps) > 1 and self.output in found:
            steps[-1].why += said("that_is", of=self.names[self.output], by=name)
        return Pass(name, seed.item, steps), sum(map(np.size, found.values()))

    def _moved(self, run: list[int], found: Mapping[int, Array]) -> Step:
        """A step of forward mode."""
        uses = [
            u for i in run for u in self.uses_of[i] if u.source in found and u.place in self.counts
        ]
        last, place = run[-1], self.place[run[-1]]
        item = self.items[place]
        step = Step(place, "", brief(found[last]), count=sum(self.counts[u.place] for u in uses))
        step.arrows = [self.arrow_of[u.place] for u in uses if u.place in self.arrow_of]
        if item.node is None:
            step.says = said("part_tangents", name=item.name, n=len(run))
            results = [i for i in self.results[self.parts[last]] if i in found]
            if len(results) != 1:
                step.result = said("of_tangents", n=len(results))
            for i in results:
                step.found += self._shown(i, found[i], least=True)
        else:
            step.says = (
                f"{said('tangent_of', name=item.name)}: "
                + " + ".join(self._tangent(u, found) for u in uses)
                + " ="
            )
            step.why = self._chain(uses, found)
            step.found = self._shown(last, found[last], least=True)
        return step

    def _chain(self, uses: Sequence[Use], found: Mapping[int, Array]) -> str:
        """The chain rule with names, or the tangents in a formula."""
        of = self.names[uses[0].target]
        names = [self.names[u.source] for u in uses]
        if all(np.size(found[i]) == 1 for u in uses for i in (u.source, u.target)):
            terms = " + ".join(f"∂{of}/∂{a} × {said('tangent_of', name=a)}" for a in names)
            return f"{said('tangent_of', name=of)} = {terms}"
        told = (said("d_is", name=a, value=brief(found[u.source])) for u, a in zip(uses, names))
        return "; ".join(dict.fromkeys(told))

    def _tangent(self, use: Use, found: Mapping[int, Array]) -> str:
        """The contribution of one argument to a tangent."""
        t = self._tensor(use.target)
        assert t.primitive is not None
        if t.size == np.size(found[use.source]) == 1:
            slope = local(self.diagram, use)
            if slope is not None:
                return f"{quantity(slope).within()} × {quantity(found[use.source]).within()}"
        moved = Term(f"d{self.names[use.source]}")
        if t.primitive.form == "linear":  # then it is the operation itself
            given = [moved if k == use.slot else Term("0") for k in range(len(t.args))]
            return operation(t.primitive, given, t.params).text
        return self._product(use, moved, "forward")

    def _forward_cost(self) -> tuple[int, int]:
        """How many numbers the inputs have, and what forward mode costs, with one pass for each:
        every use counts for as many passes as reach it."""
        nodes = self.diagram.nodes
        sizes = [np.size(nodes[i].value) for i in self.inputs]
        reach = {i: 1 << k for k, i in enumerate(self.inputs)}
        weights = {0: 0}
        total = 0
        for use in self.diagram.uses:
            mine = reach.get(use.source, 0) if use.place in self.counts else 0
            if mine not in weights:
                weights[mine] = sum(size for k, size in enumerate(sizes) if mine >> k & 1)
            total += weights[mine] * self.counts.get(use.place, 0)
            reach[use.target] = reach.get(use.target, 0) | mine
        return sum(sizes), total


def text_of(value: Any) -> str:
    """The text of a value or of a gradient on a variable: its numbers, or their range if it has a map."""
    if not is_open(value) and pictured(value):
        return brief(value).partition(" ")[2]
    return "\n".join(_lines(value))


def _extent(shown: tuple[Any, str]) -> tuple[int, int]:
    lines = shown[1].split("\n")
    return len(lines), max(map(len, lines))


def _code(line: str | None) -> str:
    """The user's file and line, and the code there."""
    if line is None:
        return ""
    path, _, row = line.rpartition(":")
    where = f"{os.path.basename(path)}:{row}"
    return shown(f"{where}  {linecache.getline(path, int(row)).strip()}".strip(), 160)
