"""Writing a diagram as DOT text.

Everything that is drawn has an id, which Graphviz hands on to the SVG as `<g id="…">`:

    n12   a variable, by its place in the diagram            o12   the operation that made it
    e7    a use, forward; the first of them where a link      b7    the same, backward
          stands for many                                    r12   from an operation to its result
    c3    a scope, open or folded                            s12   the same, backward
    f40   a folded run or a rolled repeat, by the first node in it
    p40   one piece of what repeats, open or folded         k7    a variable drawn once more, where
                                                                  the use e7 of it begins

The text depends on the diagram alone: equal programs give equal texts. Labels are plain strings and
records, never HTML, and no attribute can hold a link.

The player writes its views with `statements`. The lines of a label become `<text>` elements in the order
of `label_of`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from autobp.drawing.blocks import Box, Copy, first_node
from autobp.drawing.diagram import Diagram, Node, Use, local
from autobp.drawing.fold import Fold
from autobp.drawing.formula import Term, brief, quantity, rule
from autobp.drawing.heat import Heat
from autobp.drawing.hole import hole, is_open
from autobp.drawing.literal import breadth, few, number, quoted, record, shown
from autobp.drawing.maps import LINES, Behind, heats, pictured
from autobp.drawing.marks import Mark, marks
from autobp.drawing.piece import leaving, varying, written
from autobp.drawing.symbol import ordered, symbol
from autobp.drawing.theme import FONT, LIGHT, Paint, Theme

__all__ = [
    "Detail",
    "Direction",
    "Passes",
    "Style",
    "View",
    "dot",
    "label_of",
    "labels",
    "statements",
]

_LABELLED = 400  # edges up to which they are labelled: labels slow the layout down
_FEW_EDGES = 40  # edges up to which they show local derivatives
_LONGEST = 24  # characters of a formula on an edge
_SIZE = 11  # of the text, in points
_STRING = 16_000  # characters that Graphviz reads in one piece
_WORDS = {
    "parameter": "parameter", "input": "input", "constant": "constant", "saved": "forward value",
}  # fmt: skip
_SMALL = 4  # numbers that are shown one by one
_ABREAST = 4  # scopes in a line
_LEAVING = 2  # results of a piece that are shown

View = Literal["textbook", "operations"]
Passes = Literal["forward", "backward", "both"]
Direction = Literal["LR", "TB", "RL", "BT"]
Detail = Literal["full", "compact", "short", "names"]


@dataclass(frozen=True, slots=True)
class Style:
    """The options of a drawing."""

    view: View = "textbook"
    passes: Passes = "both"
    values: bool = True
    gradients: bool = True
    shapes: bool = True
    dtypes: bool | None = None  # None: those that are not float64
    derivatives: bool | None = None  # None: if there are few edges
    heat: bool = False  # room for pictures of arrays, with a scale below it
    # compact: operations in the nodes, nothing on the edges; short: a line for each value as well;
    # names: no values at all
    detail: Detail = "full"
    direction: Direction = "LR"
    theme: Theme = LIGHT
    width: float = 0  # the least of a variable, in inches

    @property
    def backward(self) -> bool:
        return self.passes != "forward"


def dot(diagram: Diagram, folded: Fold, style: Style, behind: Behind | None = None) -> str:
    """The DOT text of a folded diagram, or of a second layout with pictures `behind` it."""
    lines = statements(diagram, folded, style, behind)
    return "digraph {\n" + "".join(f"\t{line}\n" for line in lines) + "}\n"


def statements(
    diagram: Diagram, folded: Fold, style: Style, behind: Behind | None = None
) -> list[str]:
    """The statements of that text, one a line."""
    with np.errstate(all="ignore"):
        return list(_statements(diagram, folded, style, behind))


def labels(diagram: Diagram, folded: Fold, style: Style) -> dict[str, list[tuple[str, ...]]]:
    """The labels of the drawn nodes, if they may hold pictures."""
    if not style.heat:
        return {}
    with np.errstate(all="ignore"):
        there = set(folded.home)
        found = {n.id: label_of(n, style) for n in diagram.nodes if n.id in there}
        return {name: fields for name, fields in found.items() if any(map(pictured, fields))}


class _Scene(NamedTuple):
    diagram: Diagram
    marks: dict[int, list[Mark]]
    gradients: bool  # are shown
    behind: Behind | None
    roomy: bool  # there is place for labels on the edges, which double the ranks of the layout

    def of(self, node: Node) -> list[Mark]:
        """The marks of a node that concern something shown."""
        return [m for m in self.marks.get(node.index, ()) if self.gradients or not m.backward]


def _statements(
    diagram: Diagram, folded: Fold, style: Style, behind: Behind | None
) -> Iterator[str]:
    theme, links = style.theme, len(folded.links)
    full = style.detail == "full"
    roomy = links <= min(2 * folded.drawn, _LABELLED) and full
    scene = _Scene(diagram, marks(diagram), style.gradients and style.backward, behind, roomy)
    text = f'fontname="{FONT}" fontcolor="{theme.ink}"'
    notes = quoted(*(shown(note, 120) for note in diagram.notes))
    apart = f"nodesep=0.3 ranksep={0.5 if roomy else 1.5}" if full else "nodesep=0.2 ranksep=0.4"
    page = f'bgcolor="{theme.page}" pad=0.2 {apart}'
    # without newrank, Graphviz 2.43 may lose edges between clusters
    yield f"graph [newrank=true rankdir={style.direction} {page}]"
    yield f"graph [{text} fontsize={_SIZE} labelloc=t labeljust=l{f' label={notes}' if diagram.notes else ''}]"
    if behind is not None:
        drawn = behind.background
        cut = (drawn[i : i + _STRING] for i in range(0, len(drawn), _STRING))
        yield "graph [_background=" + " + ".join(f'"{part}"' for part in cut) + "]"
    yield f'node [{text} fontsize={_SIZE} style=filled margin="0.12,0.06" height=0.3]'
    yield f"edge [{text} fontsize={_SIZE - 1} arrowsize=0.7]"
    yield from _members(folded.root, style, scene)
    yield from _edges(folded, style, scene)


def _members(box: Box, style: Style, scene: _Scene) -> Iterator[str]:
    scope = style.theme.scope
    for item in sorted(box.items, key=first_node) if box.sorted else box.items:
        if isinstance(item, int):
            yield from _node(scene.diagram.nodes[item], style, scene)
        elif item.closed:
            yield _box(item, style, scene)
        else:
            yield f"subgraph cluster_{item.id} {{"
            form = '"rounded,filled"' if scene.behind is None else "rounded bgcolor=transparent"
            yield (
                f"graph [id={item.id} label={quoted(shown(item.title))} style={form}"
                f' fillcolor="{scope.fill}" color="{scope.line}" fontcolor="{style.theme.faint}"]'
            )
            yield from _members(item, style, scene)
            yield "}"
    for copy in box.copies:
        yield _copy(copy, style, scene)


def _node(node: Node, style: Style, scene: _Scene) -> Iterator[str]:
    theme = style.theme
    found = scene.of(node)
    paint: Paint = theme.output if node.output else getattr(theme, node.kind)
    ink, width = theme.ink, 2.2 if node.output or node.kind == "parameter" else 1.0
    if any(m.kind == "nonfinite" for m in found):
        width = 4.0 if any(m.first for m in found) else 1.0
        paint, ink = theme.warning, theme.warning_ink
    elif found:
        paint, width = Paint(paint.fill, theme.marked), 3.0
    shape = "Mrecord" if node.kind in ("result", "saved") else "record"
    fields = label_of(node, style)
    if not scene.roomy and style.view == "textbook" and node.operation is not None:
        fields[0] = (f"{fields[0][0]}: {symbol(scene.diagram, node)}",)
    said = tuple(m.text for m in found if not _plain(m, node))
    if said:
        fields.append(said)
    forms = ["filled"]
    room = breadth(fields[0][0]) * _SIZE / 72
    least = max(style.width, room and room + 0.25)
    size = f" width={least:.2f}" if least else ""
    if scene.behind is not None and node.id in scene.behind.sizes:
        forms = []
        size = " width={:.5f} height={:.5f}".format(*scene.behind.sizes[node.id])
        fields = [("\xa0",) * LINES + lines[-1:] if pictured(lines) else lines for lines in fields]
    forms += ["dashed"] if node.kind in ("constant", "saved") else []
    joined = ",".join(forms)
    form = "" if forms == ["filled"] else f' style="{joined}"'
    label = record(*fields, across=style.direction in ("LR", "RL"))
    yield (
        f"{node.id} [id={node.id} shape={shape} label={label} penwidth={width}{form}{size}"
        f' fillcolor="{paint.fill}" color="{paint.line}" fontcolor="{ink}"]'
    )
    if style.view == "operations" and node.operation is not None:
        paint = theme.operation
        yield (
            f"o{node.index} [id=o{node.index} shape=ellipse label={quoted(symbol(scene.diagram, node))}"
            f' fillcolor="{paint.fill}" color="{paint.line}" margin="0.05,0.02"]'
        )


def _copy(copy: Copy, style: Style, scene: _Scene) -> str:
    """A copy of a variable: its name, and the contribution of its uses here to its gradient."""
    node = scene.diagram.nodes[copy.node]
    lines = [f"{shown(node.name)} ({copy.note})"]
    added = [c for use in copy.uses if (c := scene.diagram.uses[use].contribution) is not None]
    if style.gradients and style.backward and added and style.detail != "names":
        total = sum(added[1:], added[0])
        few = np.size(total) <= _SMALL
        lines.append(f"grad += {brief(total, _SMALL) if few else _scale(total)}")
    paint: Paint = getattr(style.theme, node.kind)
    return (
        f'{copy.id} [id={copy.id} shape=box label={quoted(*lines)} style="filled,dotted"'
        f' margin="0.06,0.03" height=0.2 fillcolor="{paint.fill}" color="{paint.line}"'
        f' fontcolor="{style.theme.ink}"]'
    )


def _plain(mark: Mark, node: Node) -> bool:
    """Whether the numbers already show it."""
    small = np.size(node.value) <= _SMALL and not mark.first
    return mark.kind == "zero" or (mark.kind == "nonfinite" and small)


def label_of(node: Node, style: Style) -> list[tuple[str, ...]]:
    """The lines on a variable: its name and shape, its value, its gradient."""
    title = shown(node.name) + (", forward" if node.kind == "saved" else "")
    if style.shapes and np.ndim(node.value):
        title += f" {np.shape(node.value)}"
    dtype = getattr(node.value, "dtype", np.dtype(np.float64))
    if style.dtypes or (style.dtypes is None and dtype != np.float64):
        title += f" {dtype}"
    fields: list[tuple[str, ...]] = [(title,)]
    if style.detail == "names":
        return fields
    if style.detail == "short":
        return fields + _short(node, style)
    if style.values:
        found = heats(node, False) if style.heat else None
        fields.append(_lines(node.value) if found is None else _room(node.value, found))
    if style.gradients and style.backward and node.kind != "constant":
        found = heats(node, True) if style.heat else None
        if found is not None:
            fields.append(_room(node.gradient, found, "grad "))
            return fields
        first, *others = ("—",) if node.gradient is None else _lines(node.gradient)
        fields.append((f"grad {first}", *others))
    return fields


def _short(node: Node, style: Style) -> list[tuple[str, ...]]:
    """A line each for the value and the gradient."""
    fields: list[tuple[str, ...]] = (
        [(brief(node.value, 2),)] if style.values and np.size(node.value) <= 2 else []
    )
    if style.values and not fields:
        fields = [(_scale(node.value),)]
    if style.gradients and style.backward and node.kind != "constant":
        g = node.gradient
        text = "—" if g is None else brief(g, 2) if np.size(g) <= 2 else _scale(g)
        fields.append((f"grad {text}",))
    return fields


def _scale(value: Any) -> str:
    """The scale of numbers."""
    array = np.asarray(value)
    if array.min() == array.max():
        return f"all {number(array.flat[0])}"
    finite = array[np.isfinite(array)]
    return f"±{number(np.max(np.abs(finite)))}" if finite.size else "nothing finite"


def _room(value: Any, found: Heat, word: str = "") -> tuple[str, ...]:
    """The numbers that a picture replaces, and its scale."""
    return (*_summary(np.asarray(value)), f"{word}{found.scale_text}")


def _summary(array: np.ndarray) -> tuple[str, ...]:
    finite = array[np.isfinite(array)]
    if not finite.size:
        return ("nothing finite",)
    low, mean, high = np.min(finite), np.mean(finite), np.max(finite)
    if abs(mean) < 1e-12 * max(abs(low), abs(high)):
        mean = 0.0  # up to rounding
    return (f"min {number(low)}", f"mean {number(mean)}", f"max {number(high)}")


def _lines(value: Any) -> tuple[str, ...]:
    """A few numbers themselves, or a summary of many."""
    if is_open(value):
        return (hole(value, "l"),)
    array = np.asarray(value)
    if array.size == 1:
        return (number(array.flat[0]),) if array.ndim != 1 else (few(array),)
    if array.size > 2 and array.min() == array.max():
        return (f"all {number(array.flat[0])}",)
    if array.ndim == 2 and array.size <= 9 and array.shape[1] <= 4:
        return tuple(map(few, array)) or ("empty",)
    if array.size <= _SMALL and array.ndim < 2:
        return (few(array),) if array.size else ("empty",)
    if array.dtype.kind != "f":
        return (f"{number(array.min())} … {number(array.max())}",)
    return _summary(array)


def _box(box: Box, style: Style, scene: _Scene) -> str:
    """A closed box: its title, its contents, and its marks."""
    nodes = [scene.diagram.nodes[i] for i in box.all_nodes()]
    kinds: Counter[str] = Counter(n.kind for n in nodes)
    parts = Counter(n.operation for n in nodes if n.operation)
    lines = [shown(box.title)]
    inside = [_count(kinds[k], word) for k, word in _WORDS.items() if kinds[k]]
    full = style.detail in ("full", "compact")
    roll = box if box.roll else _only_roll(box)
    if roll is not None:
        lines = [f"{shown(box.title)}  × {roll.times:,}", *_pieces(roll, style, scene)]
        lines += [f"{', '.join(inside)} inside"] if inside and full else []
    else:
        many = _count(kinds["result"], "operation")
        if kinds["result"] and style.detail != "names" and many != box.title:
            lines.append(many)
        lines += inside if parts and full else []
        lines += _common(parts) if parts and full else []
    if style.values:
        lines += [f"{shown(n.name)} = {brief(n.value, _SMALL)}" for n in nodes if n.output]
    found = [m for n in nodes for m in scene.of(n)]
    nonfinite = [m for m in found if m.kind == "nonfinite"]
    if nonfinite:
        lines.append(f"{max(nonfinite, key=lambda m: m.first).text}, inside")
    for kind, text in (
        ("dead", "relu with dead units"),
        ("zero", "gradient of 0"),
        ("grad", "other .grad"),
    ):
        n = sum(m.kind == kind for m in found)
        if n:
            lines.append(f"{n:,} × {text}")
    paint = style.theme.warning if nonfinite else style.theme.folded
    if found and not nonfinite:
        paint = Paint(paint.fill, style.theme.marked)
    ink = style.theme.warning_ink if nonfinite else style.theme.ink
    width = 3.0 if found else 1.2
    form = "box peripheries=2" if box.path is None else 'box3d margin="0.2,0.15"'
    return (
        f"{box.id} [id={box.id} shape={form} label={quoted(*lines)} penwidth={width}"
        f' fillcolor="{paint.fill}" color="{paint.line}" fontcolor="{ink}"]'
    )


def _only_roll(box: Box) -> Box | None:
    """The roll that is the only item of a scope, as in one that each step of a loop enters."""
    inside = [item for item in box.items if isinstance(item, Box)]
    results = [item for item in box.items if isinstance(item, int)]
    return inside[0] if len(inside) == 1 and inside[0].roll and not results else None


def _common(parts: Counter[str]) -> list[str]:
    common = [f"{n:,} {shown(name, 20)}" for name, n in parts.most_common(3)]
    return [", ".join(common) + (", …" if len(parts) > 3 else "")] if common else []


def _pieces(box: Box, style: Style, scene: _Scene) -> Iterator[str]:
    """A roll: the equations of one piece, and the results of the first and the last piece."""
    diagram = scene.diagram
    pieces = [[*piece.all_nodes()] for piece in box.pieces]
    ends = [leaving(diagram, piece) for piece in (pieces[0], pieces[-1])]
    varied, usual, out = varying(diagram, pieces), pieces[0], ends[0]
    if _begins(diagram, pieces):  # with a number, where the others go on from the one before
        usual, out = pieces[1], leaving(diagram, pieces[1])
        other = dict(zip(pieces[0], usual, strict=True))
        varied = {(other[i], place): how for (i, place), how in varied.items()}
    formulas = written(diagram, usual, out, varied)
    yield from formulas or _contents(box, pieces[0], diagram)
    if varied and not formulas:
        yield "numbers in it vary"
    for word, out in zip(("first", "last") if style.detail != "names" else (), ends):
        for i in out[-_LEAVING:]:
            node = diagram.nodes[i]
            said = f"{word} {shown(node.name, 16)}"
            if style.values:
                said += f" = {brief(node.value, _SMALL)}"
            if scene.gradients and node.gradient is not None:
                said += f", grad {brief(node.gradient, _SMALL)}"
            yield said


def _begins(diagram: Diagram, pieces: list[list[int]]) -> bool:
    pairs = ((diagram.nodes[i].operands, diagram.nodes[j].operands) for i, j in zip(*pieces[:2]))
    return any(a is None and b is not None for one in pairs for a, b in zip(*one))


def _contents(roll: Box, piece: list[int], diagram: Diagram) -> Iterator[str]:
    """The scopes in each piece of a roll, or its operations counted by kind."""
    parts = Counter(name for i in piece if (name := diagram.nodes[i].operation))
    yield f"each {_count(parts.total(), 'operation')}:"
    items = roll.items[0].items if isinstance(roll.items[0], Box) else []
    inner = [i for i in items if isinstance(i, Box) and i.path]
    if len(inner) < 2:
        yield from _common(parts)
    for k in range(0, len(inner) if len(inner) > 1 else 0, _ABREAST):
        names = " → ".join(shown(box.title, 20) for box in inner[k : k + _ABREAST])
        yield names + (" →" if k + _ABREAST < len(inner) else "")


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _edges(folded: Fold, style: Style, scene: _Scene) -> Iterator[str]:
    theme, operations = style.theme, style.view == "operations"
    labelled = style.derivatives
    if labelled is None:
        labelled = scene.roomy and len(folded.links) <= _FEW_EDGES
    inside = {
        f"n{item}" if isinstance(item, int) else item.id: box.id
        for box in (folded.root, *folded.boxes())
        if not box.closed
        for item in (*box.items, *box.copies)
    }
    for link in folded.links:
        use, source, target = link.uses[0], link.source, link.target
        node = scene.diagram.nodes[use.target]
        single = target[0] == "n" and len(link.uses) == 1
        leaf = scene.diagram.nodes[use.source].kind != "result"
        far = " minlen=2" if inside[source] != inside[target] and not leaf and scene.roomy else ""
        text = symbol(scene.diagram, node, use.slot) if single and scene.roomy else ""
        if operations:
            sided = text and ordered(node) and None not in node.operands
            text = ("left", "right")[use.slot] if sided else ""
            target = f"o{use.target}" if target[0] == "n" else target
        if len(link.uses) > 1 and scene.roomy:
            text = f"{len(link.uses):,} uses"
        if style.passes != "backward":
            yield _edge(source, target, use.id, text, theme.forward, theme.forward, far)
        if style.backward and any(u.contribution is not None for u in link.uses):
            if single:
                # a blank one keeps the label of the edge beside it free
                text = (_derivative(scene.diagram, use) or " ") if labelled else ""
            elif style.passes == "both":
                text = ""
            yield _back(source, target, f"b{use.place}", text, theme, far)
    if operations:
        shown_here = set(folded.home)
        for node in scene.diagram.nodes:
            if node.kind == "result" and node.id in shown_here:
                i = node.index
                if style.passes != "backward":
                    yield _edge(f"o{i}", node.id, f"r{i}", "", theme.forward, theme.forward)
                if style.backward and node.gradient is not None:
                    yield _back(f"o{i}", node.id, f"s{i}", "", theme)


def _edge(
    source: str, target: str, id: str, text: str, colour: str, ink: str, more: str = ""
) -> str:
    label = f' fontcolor="{ink}" label={quoted(f" {text} ")}' if text else ""
    return f'{source} -> {target} [id={id} color="{colour}"{label}{more}]'


def _back(source: str, target: str, id: str, text: str, theme: Theme, more: str = "") -> str:
    """An edge from a result back to its argument. It is written as a forward edge with its head at the
    other end, so that the layout is the same."""
    more = f" dir=back style=dashed{more}"
    return _edge(source, target, id, text, theme.backward, theme.backward_ink, more)


def _derivative(diagram: Diagram, use: Use) -> str:
    """The local derivative along a use, as a label."""
    d = local(diagram, use)
    if d is None:
        return _formula(diagram, use)
    source, target = diagram.nodes[use.source].name, diagram.nodes[use.target].name
    ratio = f"∂{target}/∂{source}" if len(source) + len(target) <= 8 else "∂"
    if is_open(d) and (np.size(d) > _SMALL or np.ndim(d) > 1):
        return f"{shown(ratio)} = {hole(d, 'r')}"
    if (np.size(d) <= _SMALL and np.ndim(d) < 2) or not np.size(d):
        return f"{shown(ratio)} = {few(d)}"
    low, high = number(np.min(d)), number(np.max(d))
    return f"{shown(ratio)} = {low}" + (f" … {high}" if low != high else "")


def _formula(diagram: Diagram, use: Use) -> str:
    """The gradient that a use passes on, as a formula, if the derivative is not a small array."""
    node = diagram.nodes[use.target]
    if node.tensor is None or use.contribution is None:
        return ""
    terms = [
        quantity(a) if i is None else Term(shown(diagram.nodes[i].name, 12))
        for i, a in zip(node.operands, node.args)
    ]
    name = shown(node.name, 12)
    found = rule(node.tensor, use.slot, Term(name), terms, Term(f"∂{name}"))
    return found[0] if found is not None and len(found[0]) <= _LONGEST else ""
