"""Writing a diagram as DOT text.

Everything that is drawn has an id, which Graphviz hands on to the SVG as `<g id="…">`:

    n12   a variable, by its place in the diagram            o12   the operation that made it
    e7    a use, forward; the first of them where a link      b7    the same, backward
          stands for many                                    r12   from an operation to its result
    c3    a scope, open or folded                            s12   the same, backward
    f40   a folded run, by the first node in it

The text depends on the diagram alone, so that it is the same whenever the program is. Labels are
plain strings and records, never HTML, and there is no attribute that could hold a link.

The player writes its views with `dot` too, and finds the lines of a label again as `<text>` elements,
in the order of `label_of`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from autobp.draw.diagram import Diagram, Node, Use, local
from autobp.draw.fold import Box, Fold, Link
from autobp.draw.literal import few, number, quoted, record, shown
from autobp.draw.marks import Mark, marks
from autobp.draw.theme import FONT, LIGHT, Paint, Theme

__all__ = ["Direction", "Passes", "Style", "View", "dot", "label_of", "statements", "symbol"]

_FEW_EDGES = 40  # up to here, local derivatives stand on the edges
_SMALL = 6  # numbers that are shown one by one

_INFIX = {
    "add": "+",
    "subtract": "−",
    "multiply": "×",
    "divide": "÷",
    "matmul": "@",
    "power": "^",
    "maximum": "max",
    "minimum": "min",
    "remainder": "mod",
}
_ORDERED = {"subtract", "divide", "matmul", "power", "remainder"}  # a − b is not b − a
_RAISED = str.maketrans("0123456789−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


View = Literal["textbook", "operations"]
Passes = Literal["forward", "backward", "both"]
Direction = Literal["LR", "TB", "RL", "BT"]


@dataclass(frozen=True, slots=True)
class Style:
    """What is shown, and how."""

    view: View = "textbook"
    passes: Passes = "both"
    values: bool = True
    gradients: bool = True
    shapes: bool = True
    dtypes: bool | None = None  # None: those that are not float64
    derivatives: bool | None = None  # None: if there are few edges
    direction: Direction = "LR"
    theme: Theme = LIGHT

    @property
    def backward(self) -> bool:
        return self.passes != "forward"


def dot(diagram: Diagram, folded: Fold, style: Style) -> str:
    """The DOT text of a folded diagram."""
    return (
        "digraph {\n"
        + "".join(f"\t{line}\n" for line in statements(diagram, folded, style))
        + "}\n"
    )


class _Scene(NamedTuple):
    diagram: Diagram
    marks: dict[int, list[Mark]]


def statements(diagram: Diagram, folded: Fold, style: Style) -> Iterator[str]:
    """The statements of the graph, one a line."""
    theme, scene = style.theme, _Scene(diagram, marks(diagram))
    text = f'fontname="{FONT}" fontcolor="{theme.ink}"'
    notes = quoted(*(shown(note, 120) for note in diagram.notes))
    yield f'graph [rankdir={style.direction} bgcolor="{theme.page}" pad=0.2 nodesep=0.3 ranksep=0.5]'
    yield f"graph [{text} fontsize=11 labelloc=t labeljust=l{f' label={notes}' if diagram.notes else ''}]"
    yield f'node [{text} fontsize=11 style=filled margin="0.12,0.06" height=0.3]'
    yield f"edge [{text} fontsize=10 arrowsize=0.7]"
    yield from _members(folded.root, style, scene)
    yield from _edges(folded, style, scene)


def _members(box: Box, style: Style, scene: _Scene) -> Iterator[str]:
    scope = style.theme.scope
    for item in sorted(box.items, key=_first):
        if isinstance(item, int):
            yield from _node(scene.diagram.nodes[item], style, scene)
        elif item.closed:
            yield _box(item, style, scene)
        else:
            yield f"subgraph cluster_{item.id} {{"
            yield (
                f'graph [id={item.id} label={quoted(shown(item.title))} style="rounded,filled"'
                f' fillcolor="{scope.fill}" color="{scope.line}" fontcolor="{style.theme.faint}"]'
            )
            yield from _members(item, style, scene)
            yield "}"


def _first(item: Box | int) -> int:
    return item if isinstance(item, int) else next(item.all_nodes())


def _node(node: Node, style: Style, scene: _Scene) -> Iterator[str]:
    theme = style.theme
    found = [m for m in scene.marks.get(node.index, ()) if style.gradients or "grad" not in m.text]
    paint: Paint = theme.output if node.output else getattr(theme, node.kind)
    ink, width = theme.ink, 2.2 if node.output or node.kind == "parameter" else 1.0
    if any(m.grave for m in found):
        paint, ink, width = theme.warning, theme.warning_ink, 3.0
    elif found:
        paint, width = Paint(paint.fill, theme.folded.line), 2.2
    shape = "Mrecord" if node.kind == "result" else "record"
    fields = label_of(node, style)
    if found:
        fields.append(tuple(shown(m.text) for m in found))
    dashed = ' style="filled,dashed"'
    label = record(*fields, across=style.direction in ("LR", "RL"))
    yield (
        f"{node.id} [id={node.id} shape={shape} label={label} penwidth={width}"
        f"{dashed if node.kind == 'constant' else ''}"
        f' fillcolor="{paint.fill}" color="{paint.line}" fontcolor="{ink}"]'
    )
    if style.view == "operations" and node.operation is not None:
        paint = theme.operation
        yield (
            f"o{node.index} [id=o{node.index} shape=ellipse label={quoted(symbol(scene.diagram, node))}"
            f' fillcolor="{paint.fill}" color="{paint.line}" margin="0.05,0.02"]'
        )


def label_of(node: Node, style: Style) -> list[tuple[str, ...]]:
    """What is written on a variable: its name and form, its value, its gradient, each in lines."""
    title = shown(node.name)
    if style.shapes and np.ndim(node.value):
        title += f" {np.shape(node.value)}"
    dtype = getattr(node.value, "dtype", np.dtype(np.float64))
    if style.dtypes or (style.dtypes is None and dtype != np.float64):
        title += f" {dtype}"
    fields: list[tuple[str, ...]] = [(title,)]
    if style.values:
        fields.append(_lines(node.value))
    if style.gradients and style.backward and node.kind != "constant":
        first, *others = ("—",) if node.gradient is None else _lines(node.gradient)
        fields.append((f"grad {first}", *others))
    return fields


def _lines(value: Any) -> tuple[str, ...]:
    """A few numbers themselves, of more what there is to say of them all."""
    array = np.asarray(value)
    if array.ndim == 2 and array.size <= 9 and array.shape[1] <= 4:
        return tuple(map(few, array)) or ("empty",)
    if array.size <= _SMALL and array.ndim < 2:
        return (few(array),) if array.size else ("empty",)
    if array.dtype.kind != "f":
        return (f"{number(array.min())} … {number(array.max())}",)
    finite = array[np.isfinite(array)]
    if not finite.size:
        return ("nothing finite",)
    low, mean, high = (number(f(finite)) for f in (np.min, np.mean, np.max))
    return (f"min {low}", f"mean {mean}", f"max {high}")


def _box(box: Box, style: Style, scene: _Scene) -> str:
    """A closed box: its title, what is in it, and what of it deserves a look."""
    nodes = [scene.diagram.nodes[i] for i in box.all_nodes()]
    kinds = Counter(n.kind for n in nodes)
    parts = Counter(n.operation for n in nodes if n.operation)
    lines = [shown(box.title)]
    if box.path is not None:
        lines.append(_count(kinds["result"], "operation"))
    inside = [_count(kinds[k], k) for k in ("parameter", "input", "constant") if kinds[k]]
    if parts:
        lines += inside
        common = [f"{n:,} {shown(name, 20)}" for name, n in parts.most_common(3)]
        lines.append(", ".join(common) + (", …" if len(parts) > 3 else ""))
    found = [
        m
        for n in nodes
        for m in scene.marks.get(n.index, ())
        if style.gradients or "grad" not in m.text
    ]
    graves = [m for m in found if m.grave]
    first = next((m.text for m in found if m.text.startswith("first ")), None)
    if graves:
        lines.append(f"{first or graves[0].text} inside")
    dead = sum("dead" in m.text for m in found)
    zero = sum(m.text.startswith("gradient") for m in found)
    if dead:
        lines.append(f"dead units in {dead:,}")
    if zero:
        lines.append(f"gradients of 0: {zero:,}")
    paint = style.theme.warning if graves else style.theme.folded
    ink = style.theme.warning_ink if graves else style.theme.ink
    return (
        f"{box.id} [id={box.id} shape={'box3d' if box.path is not None else 'box'} label={quoted(*lines)}"
        f' fillcolor="{paint.fill}" color="{paint.line}" fontcolor="{ink}" penwidth={3.0 if graves else 1.2}'
        f"{'' if box.path is not None else ' peripheries=2'}]"
    )


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _edges(folded: Fold, style: Style, scene: _Scene) -> Iterator[str]:
    theme, operations = style.theme, style.view == "operations"
    labelled = style.derivatives
    if labelled is None:
        labelled = len(folded.links) <= _FEW_EDGES
    drawn = {folded.home[n.index] for n in scene.diagram.nodes if n.kind == "result"}
    for link in folded.links:
        use = link.uses[0]
        source, target = link.source, link.target
        node = scene.diagram.nodes[use.target]
        if operations and target[0] == "n":
            target = f"o{use.target}"
        alone = len(link.uses) == 1 and link.target[0] == "n"
        many = f"{len(link.uses):,} uses" if len(link.uses) > 1 else ""
        if style.passes != "backward":
            text = many or (
                symbol(scene.diagram, node, use.slot) if alone and not operations else ""
            )
            if operations and alone and node.operation in _ORDERED and None not in node.operands:
                text = ("left", "right")[use.slot]
            yield (
                f'{source} -> {target} [id={use.id} color="{theme.forward}" fontcolor="{theme.forward}"'
                f"{f' label={quoted(text)}' if text else ''}]"
            )
        if style.backward and _carries(scene.diagram, link):
            text = many if style.passes == "backward" else ""
            if labelled and alone:
                text = _derivative(scene.diagram, use)
            yield _back(source, target, f"b{use.place}", text, style)
    if operations:
        for i in sorted(int(name[1:]) for name in drawn if name[0] == "n"):
            if style.passes != "backward":
                yield f'o{i} -> n{i} [id=r{i} color="{theme.forward}"]'
            if style.backward and scene.diagram.nodes[i].gradient is not None:
                yield _back(f"o{i}", f"n{i}", f"s{i}", "", style)


def _back(source: str, target: str, id: str, text: str, style: Style) -> str:
    """An edge from a result back to where it came from. It is written forward, so that the layout
    is the same, and has its head at the other end."""
    theme = style.theme
    return (
        f'{source} -> {target} [id={id} dir=back style=dashed color="{theme.backward}"'
        f' fontcolor="{theme.backward_ink}"{f" label={quoted(text)}" if text else ""}]'
    )


def _carries(diagram: Diagram, link: Link) -> bool:
    return any(use.contribution is not None for use in link.uses)


def _derivative(diagram: Diagram, use: Use) -> str:
    """The local derivative along a use, as a label."""
    d = local(diagram, use)
    source, target = diagram.nodes[use.source].name, diagram.nodes[use.target].name
    ratio = f"∂{target}/∂{source}" if len(source) + len(target) <= 8 else "∂"
    if d is None:
        return ""
    if np.size(d) <= 4 and np.ndim(d) < 2:
        return f"{shown(ratio)} = {few(d)}"
    low, high = np.min(d), np.max(d)
    return f"{shown(ratio)} = {number(low)}" + (f" … {number(high)}" if low != high else "")


def symbol(diagram: Diagram, node: Node, slot: int | None = None) -> str:
    """An operation as a label, with the numbers that it was given; along the edge in one slot, with
    a dot where that argument goes if the place matters."""
    name = node.operation or ""
    if name == "power_by":
        n = number(node.params["n"])
        return f"·{n.translate(_RAISED)}" if n.lstrip("−").isdigit() else f"·^{n}"
    if name == "getitem":
        return shown(f"·[{_index(node.params['index'])}]", 24)
    if name in _INFIX and len(node.args) == 2:
        sign = _INFIX[name]
        left, right = ("·" if i is not None else few(a) for i, a in zip(node.operands, node.args))
        if None in node.operands:
            commutes = name not in _ORDERED and left != "·"
            return (
                f"{sign} {left}"
                if commutes
                else f"{sign} {right}"
                if right != "·"
                else f"{left} {sign} ·"
            )
        if slot is None or name not in _ORDERED:
            return sign
        return f"· {sign}" if slot == 0 else f"{sign} ·"
    given = [f"{k} {v}" for k, v in node.params.items() if type(v) in (int, float, tuple, str)]
    return shown(" ".join([name, *given]), 24)


def _index(index: Any) -> str:
    if isinstance(index, tuple):
        return ", ".join(map(_index, index))
    if isinstance(index, slice):
        ends = (index.start, index.stop, index.step)[: 2 + (index.step is not None)]
        return ":".join("" if i is None else str(i) for i in ends)
    if isinstance(index, np.ndarray):
        return few(index) if index.size <= 4 else f"{index.size} places"
    return "…" if index is Ellipsis else str(index)
