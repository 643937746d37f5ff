"""Maps: arrays as pictures in the nodes of a drawing.

Graphviz lays out numbers that take the room of a picture; it knows nothing of pictures. In SVG, the
pictures then replace these numbers. For PNG and PDF the graph is laid out twice: the second time
without the numbers and fillings, on a background of pictures and fillings that Graphviz draws as
polygons.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from autobp.drawing.diagram import Diagram, Node
from autobp.drawing.heat import Heat, heat, paths, runs
from autobp.drawing.theme import Theme

__all__ = ["Behind", "LINES", "behind", "heats", "inserted", "pictured"]

LINES = 3  # lines of text that a picture replaces
_MARGIN = 6.0  # points between a picture and the sides of its node
_ROUND = 5.0  # of corners
_NODE = re.compile(r'<g id="(n\d+)" class="node">\n?(.*?)</g>', re.DOTALL)
_CLUSTER = re.compile(r'<g id="(c\w*)" class="cluster">\n?(.*?)</g>', re.DOTALL)
_TEXT = re.compile(r"<text [^>]*>.*?</text>", re.DOTALL)
_PAIR = re.compile(r"(-?[\d.]+),(-?[\d.]+)")


class Rect(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float


class Behind(NamedTuple):
    """The input of a second layout: the nodes with pictures and their sizes in inches, and the drawing
    behind everything."""

    sizes: Mapping[str, tuple[float, float]]
    background: str


def heats(node: Node, gradient: bool) -> Heat | None:
    """The picture of a variable or of its gradient; None if text is better."""
    value = node.gradient if gradient else node.value
    if value is None or np.size(value) < 2 or np.all(value == np.ravel(value)[0]):
        return None
    data = node.kind in ("input", "constant") and node.scope is None
    return heat(value, like=node.value if data else None)


def pictured(lines: tuple[str, ...]) -> bool:
    """Whether the lines of a label stand for a picture."""
    return len(lines) == LINES + 1 and lines[0].startswith("min ")


def inserted(svg: str, diagram: Diagram, fields: Mapping[str, list[tuple[str, ...]]]) -> str:
    """An SVG with the pictures put into it. `fields` are the labels of the nodes that have pictures."""

    def replaced(found: re.Match[str]) -> str:
        name, body = found[1], found[2]
        if name not in fields:
            return found[0]
        for picture, rect, texts in _places(name, body, diagram, fields[name]):
            body = body.replace(texts[0], _drawn(picture, rect))
            for text in texts[1:]:
                body = body.replace(f"{text}\n", "").replace(text, "")
        return f'<g id="{name}" class="node">\n{body}</g>'

    return _NODE.sub(replaced, svg)


def _places(
    name: str, body: str, diagram: Diagram, fields: list[tuple[str, ...]]
) -> Iterator[tuple[Heat, Rect, list[str]]]:
    """The pictures of a node, their places, and the texts that they replace."""
    node, around = diagram.nodes[int(name[1:])], _outline(body)
    texts = _TEXT.findall(body)
    done = 0
    for lines in fields:
        if pictured(lines):
            found = heats(node, lines[-1].startswith("grad"))
            mine = texts[done : done + LINES]
            if found is not None and len(mine) == LINES:
                tops = [float(re.search(r' y="(-?[\d.]+)"', text)[1]) for text in mine]  # type: ignore[index]
                step = tops[1] - tops[0]
                rect = Rect(
                    around.left + _MARGIN, tops[0] - 0.72 * step,
                    around.right - _MARGIN, tops[-1] + 0.05 * step,
                )  # fmt: skip
                yield found, _fitting(found, rect), mine
        done += len(lines)


def _outline(body: str) -> Rect:
    shape = re.search(r'<(?:polygon|path) [^>]*(?:points|d)="([^"]*)"', body)
    points = np.array(_PAIR.findall(shape[1] if shape else ""), float)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return Rect(left, top, right, bottom)


def _fitting(found: Heat, rect: Rect) -> Rect:
    """The cells of images are squares."""
    if found.kind == "signed":
        return rect
    across, down = found.size
    side = min((rect.right - rect.left) / across, (rect.bottom - rect.top) / down)
    middle, centre = (rect.left + rect.right) / 2, (rect.top + rect.bottom) / 2
    wide, high = side * across / 2, side * down / 2
    return Rect(middle - wide, centre - high, middle + wide, centre + high)


def _drawn(found: Heat, rect: Rect) -> str:
    across, down = found.size
    x, y = (rect.right - rect.left) / across, (rect.bottom - rect.top) / down
    cells = "".join(f'<path fill="{colour}" d="{path}"/>' for colour, path in paths(found))
    frame = (
        '<path fill="none" stroke="#8A8A8A" stroke-width="0.5" vector-effect="non-scaling-stroke"'
        f' d="M0 0h{across}v{down}h-{across}z"/>'
    )
    place = f"translate({rect.left:.2f} {rect.top:.2f}) scale({x:.4g} {y:.4g})"
    return (
        f'<g class="heat" shape-rendering="crispEdges" transform="{place}"><title>{html.escape(found.said)}</title>'
        f"{cells}{frame}</g>"
    )


def behind(
    svg: str, diagram: Diagram, fields: Mapping[str, list[tuple[str, ...]]], theme: Theme
) -> Behind:
    """The pictures, and the fillings of boxes and of nodes with pictures, for a second layout equal to
    that of the SVG."""
    sizes: dict[str, tuple[float, float]] = {}
    drawn: list[str] = []
    for found in _CLUSTER.finditer(svg):
        drawn.append(_rounded(_outline(found[2]), theme.scope.fill))
    for found in _NODE.finditer(svg):
        name, body = found[1], found[2]
        if name not in fields:
            continue
        places = list(_places(name, body, diagram, fields[name]))
        if not places:
            continue
        around = _outline(body)
        sizes[name] = (around.right - around.left) / 72, (around.bottom - around.top) / 72
        fill = re.search(r'fill="(#\w+)"', body)
        drawn.append(_rounded(around, fill[1] if fill else theme.page))
        for picture, rect, _ in places:
            drawn.append(_cells(picture, rect))
    return Behind(sizes, "".join(drawn))


def _rounded(rect: Rect, fill: str) -> str:
    """A filled box that stays inside rounded corners."""
    left, top, right, bottom = rect
    x, y = (
        (left, left + _ROUND, right - _ROUND, right),
        (top, top + _ROUND, bottom - _ROUND, bottom),
    )
    around = ((1, 0), (2, 0), (3, 1), (3, 2), (2, 3), (1, 3), (0, 2), (0, 1))
    return _filled(fill) + _polygon([(x[i], y[j]) for i, j in around])


def _polygon(points: list[tuple[float, float]]) -> str:
    """In Graphviz's language of drawing, in which y grows upwards."""
    where = " ".join(f"{x:.1f} {-y:.1f}" for x, y in points)
    return f"P {len(points)} {where} "


def _filled(colour: str) -> str:
    return f"c 7 -{colour} C 7 -{colour} "


def _cells(found: Heat, rect: Rect) -> str:
    across, down = found.size
    x, y = (rect.right - rect.left) / across, (rect.bottom - rect.top) / down
    drawn: dict[str, list[str]] = defaultdict(list)
    for colour, i, j, n in runs(found):
        left, top = rect.left + i * x, rect.top + j * y
        right, bottom = left + n * x, top + y
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        drawn[colour].append(_polygon(corners))
    return "".join(_filled(colour) + "".join(cells) for colour, cells in drawn.items())
