"""A graph as text for a terminal: the tree of its operations, and the program as equations with their
numbers, forward and then backward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from autobp.dag import Graph
from autobp.drawing.diagram import Diagram, Node, diagram
from autobp.drawing.formula import Term, brief, operation, quantity, rule
from autobp.drawing.literal import columns, shown
from autobp.drawing.marks import Mark, marks

__all__ = ["text"]

_DEEPEST = 16  # levels of the tree
_MOST = 60  # lines of each part
_WIDEST = 60  # columns before the numbers
_FEW = 2  # numbers that are written out in the tree, where a line has a value and a gradient


def text(graph: Graph, names: Mapping[str, Any] | None = None) -> str:
    """See `Graph.text`."""
    found = diagram(graph, names)
    called = _unique(found)
    with np.errstate(all="ignore"):
        parts = [_tree(found, called), _forward(found, called), _backward(found, called)]
    return "\n\n".join([*found.notes, *("\n".join(_aligned(part)) for part in parts if part)])


Line = tuple[str, ...]  # a text, and its numbers


def _unique(found: Diagram) -> list[str]:
    """A unique name for each node."""
    taken: set[str] = set()
    names = []
    for node in found.nodes:
        name = base = shown(node.name, 30)
        again = 1
        while name in taken:
            again += 1
            name = f"{base} ({again})"
        taken.add(name)
        names.append(name)
    return names


def _aligned(lines: list[Line]) -> list[str]:
    """Align the parts of all lines in columns."""
    longest = max(map(len, lines))
    widths = [
        min(max((columns(line[i]) for line in lines if len(line) > i), default=0), _WIDEST)
        for i in range(longest)
    ]
    text = []
    for line in lines:
        cells = (part + " " * (width - columns(part)) for part, width in zip(line, widths))
        text.append("   ".join(cells).rstrip())
    return text


def _tree(found: Diagram, called: list[str]) -> list[Line]:
    """The outputs, with the arguments of each below it. A variable that was shown before is named but
    not repeated."""
    marked = marks(found)
    lines: list[Line] = []
    seen: set[int] = set()
    stack = [(node.index, "", "", 0) for node in reversed(found.outputs)]
    while stack and len(lines) < _MOST:
        i, before, below, depth = stack.pop()
        node = found.nodes[i]
        operands = [o for o in node.operands if o is not None]
        if i in seen and operands:
            lines.append((f"{before}{called[i]} (above)", ""))
            continue
        seen.add(i)
        made = f" = {node.operation}" if node.operation else f": {node.kind}"
        lines.append((f"{before}{called[i]}{made}", *_about(node, marked.get(i, []))))
        if operands and depth == _DEEPEST:
            lines.append((f"{below}└─ …", ""))
            continue
        for k, o in reversed(list(enumerate(operands))):
            last = k == len(operands) - 1
            stack.append(
                (
                    o,
                    below + ("└─ " if last else "├─ "),
                    below + ("   " if last else "│  "),
                    depth + 1,
                )
            )
    if stack:
        lines.append((f"… {len(found.nodes) - len(seen):,} more", ""))
    return lines


def _about(node: Node, found: list[Mark]) -> Line:
    parts = [brief(node.value, _FEW)]
    gradient = "—" if node.gradient is None else brief(node.gradient, _FEW)
    parts.append("" if node.kind == "constant" else f"grad {gradient}")
    return (*parts, "   ".join(m.text for m in found if m.kind != "zero"))


def _forward(found: Diagram, called: list[str]) -> list[Line]:
    lines: list[Line] = [("forward", "")]
    for node in _ends(found.nodes):
        if node is None:
            lines.append(("…", ""))
            continue
        right: str = node.kind
        t = node.tensor
        if node.kind == "result" and t is not None and t.primitive is not None:
            right = operation(t.primitive, _terms(node, called), t.params).text
        lines.append((f"{called[node.index]} = {right}", brief(node.value)))
    return lines


def _terms(node: Node, called: list[str]) -> list[Term]:
    return [quantity(a) if i is None else Term(called[i]) for i, a in zip(node.operands, node.args)]


def _backward(found: Diagram, called: list[str]) -> list[Line]:
    if not any(use.contribution is not None for use in found.uses):
        return []
    sums: dict[int, Any] = {}
    order = sorted(found.uses, key=lambda use: (-use.target, use.slot))
    lines: list[Line] = [("backward", "")]
    lines += [(f"∂{called[y.index]} = 1", "") for y in found.outputs]
    steps = [use for use in order if use.contribution is not None]
    for use in _ends(steps):
        if use is None:
            lines.append(("…",))
            continue
        node = found.nodes[use.target]
        assert node.tensor is not None
        carried = Term(f"∂{called[use.target]}")
        formula = rule(
            node.tensor, use.slot, Term(called[use.target]), _terms(node, called), carried
        )
        right = formula[0] if formula else f"{node.operation}, backward, of {carried.text}"
        sign, after = "=", ""
        if use.source in sums:
            sums[use.source] = sums[use.source] + use.contribution
            sign, after = "+=", f"→ {brief(sums[use.source])}"
        else:
            sums[use.source] = use.contribution
        lines.append((f"∂{called[use.source]} {sign} {right}", brief(use.contribution), after))
    return lines


def _ends(items: list[Any]) -> Iterator[Any]:
    """A short list; or the ends of a long one, with None between them."""
    if len(items) <= _MOST:
        yield from items
    else:
        yield from items[: _MOST // 2]
        yield None
        yield from items[-_MOST // 2 :]
