"""Shared: one picture for all boxes of equal structure, laid out once.

Boxes are compared by their DOT texts, in which variables have no numbers; the page writes these itself.
The shared picture has room for the longest labels of all boxes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from autobp.drawing.blocks import Box
from autobp.drawing.diagram import Diagram
from autobp.drawing.dot import dot
from autobp.drawing.fold import Fold
from autobp.drawing.player.cells import pictured
from autobp.drawing.player.frames import Frame
from autobp.drawing.player.steps import STYLE, Script

__all__ = ["alike", "differing", "drawn_nodes", "light", "common_text", "widest"]

_INSIDE = replace(STYLE, derivatives=False)  # local derivatives differ from box to box


def drawn_nodes(box: Box) -> Iterator[int]:
    """The nodes in a box that are not inside a closed box."""
    for item in box.items:
        if isinstance(item, int):
            yield item
        elif not item.closed:
            yield from drawn_nodes(item)


def light(frame: Frame, folded: Fold) -> str:
    """The DOT text of a frame, with only names on the variables."""
    there = set(drawn_nodes(frame.fold.root))
    nodes = [
        replace(n, value=0.0, gradient=None) if n.index in there else n for n in frame.diagram.nodes
    ]
    return dot(Diagram(nodes, frame.diagram.uses), folded, _INSIDE)


def alike(script: Script, frames: Sequence[Frame], texts: Sequence[str]) -> list[list[int]]:
    """Groups of frames that are equal except for labels and colours."""
    groups: dict[object, list[int]] = defaultdict(list)
    for k, (frame, text) in enumerate(zip(frames, texts, strict=True)):
        lines = tuple(
            _lines_of(script, frame.nodes[i]) for i in sorted(drawn_nodes(frame.fold.root))
        )
        groups["\n".join(map(_bare, text.splitlines())), lines].append(k)
    return list(groups.values())


def _lines_of(script: Script, i: int) -> tuple[int, int, int]:
    """The number of lines on a variable for its value, for its gradient, and for marks."""
    node, item = script.diagram.nodes[i], script.items[script.place[i]]
    value = 0 if pictured(node.value) else 1 + item.value.count("\n")
    gradient = script.widest[i]
    if gradient is not None:
        return (
            value,
            0 if pictured(gradient) else 1 + script.space.get(i, "").count("\n"),
            len(item.marks),
        )
    return value, 1, len(item.marks)


def widest(script: Script, frames: Sequence[Frame], folded: Fold) -> str:
    """The DOT text of the first of several equal frames, with the longest names and numbers of all."""
    nodes = list(frames[0].diagram.nodes)
    for k in drawn_nodes(frames[0].fold.root):
        forms = [(frame.nodes[k], frame.diagram.nodes[k]) for frame in frames]
        items = {i: script.items[script.place[i]] for i, _ in forms}
        made = replace(forms[0][1], name=max((n.name for _, n in forms), key=len))
        if not items[forms[0][0]].marks:
            made.value = max(forms, key=lambda form: len(items[form[0]].value))[1].value
            longest = max(forms, key=lambda form: len(script.space.get(form[0], "")))
            made.gradient = longest[1].gradient
        nodes[k] = made
    return dot(Diagram(nodes, frames[0].diagram.uses), folded, _INSIDE)


_LABEL = re.compile(r'\[id=(\w+)(.*?) label="((?:[^"\\]|\\.)*)"(.*)')
_PAINT = re.compile(r' (?:fillcolor|color|fontcolor|penwidth|width)=(?:"[^"]*"|[\w.]+)')


def _bare(line: str) -> str:
    found = _LABEL.search(line)
    if found is None:
        return _PAINT.sub("", line)
    before = line[: found.start()]
    breaks = "" if "->" in before else "".join(_parted(found[3])[1])
    return f"{before}{found[1]}{breaks}{_PAINT.sub('', found[2] + found[4])}"


def _parted(label: str) -> tuple[list[str], list[str]]:
    """The lines of a label, and the separators between them."""
    lines, breaks = [""], []
    for token in re.findall(r"\\.|[^\\]", label):
        if token in ("|", "\\n"):
            breaks.append(token)
            lines.append("")
        else:
            lines[-1] += token
    return lines, breaks


def common_text(texts: Sequence[str], nodes: str) -> str:
    """Merge equal texts: each line of a label is the longest of all. `nodes` has the lines of the
    variables."""
    own = {found[1]: line for line in nodes.splitlines() if (found := _LABEL.search(line))}
    made = []
    for lines in zip(*(text.splitlines() for text in texts), strict=True):
        line = lines[0]
        found = _LABEL.search(line)
        if found is not None and found[1][0] == "n":
            line = own[found[1]]
        elif found is not None and len(set(lines)) > 1:
            labels = [_parted(other[3])[0] for one in lines if (other := _LABEL.search(one))]
            breaks = [*_parted(found[3])[1], ""]
            widest = [max(forms, key=len) for forms in zip(*labels, strict=False)]
            label = "".join(text + mark for text, mark in zip(widest, breaks, strict=False))
            line = f"{line[: found.start(3)]}{label}{line[found.end(3) :]}"
        made.append(line)
    return "\n".join(made)


def differing(group: Sequence[int], texts: Sequence[str]) -> dict[int, dict[str, list[str]]]:
    """For each of several equal texts, the labels that differ, except those of variables, which the
    page writes itself."""
    said: dict[int, dict[str, list[str]]] = {k: {} for k in group}
    for lines in zip(*(texts[k].splitlines() for k in group), strict=True):
        if len(set(lines)) == 1:
            continue
        for k, line in zip(group, lines):
            found = _LABEL.search(line)
            if found is not None and found[1][0] != "n":
                said[k][found[1]] = [_plain(text) for text in _parted(found[3])[0]]
    return said


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text).replace("&amp;", "&").strip()
