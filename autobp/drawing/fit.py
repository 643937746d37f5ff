"""Fitting: a drawing for a slide, a page or a screen, with readable letters.

Graphviz tells how large a drawing is. These are tried, from the most detailed on: across the page or
down it, cut into rows, with less in each node, and folded further.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import monotonic
from typing import Literal, NamedTuple

from autobp.drawing.diagram import Diagram
from autobp.drawing.dot import Detail, Direction, Style, dot
from autobp.drawing.fold import CALM, LIMIT, Fold, fold
from autobp.drawing.layout import LayoutTimeout, render
from autobp.drawing.rows import in_rows

__all__ = ["LETTERS", "SIZES", "Fitted", "Size", "fitted", "measured"]

Size = Literal["slide", "page", "screen"]
#: In pixels, 96 per inch: a projector, A4 without margins, a notebook's window.
SIZES: dict[str, tuple[float, float]] = {
    "slide": (1920, 1080),
    "page": (640, 960),
    "screen": (1280, 720),
}
LETTERS = 12  # the least height of letters in pixels
_LARGEST = 1.5  # how far a small drawing is enlarged
_LIMITS = (LIMIT, CALM, 25, 15, 10)  # limits of nodes, tried in turn
_CROWDED = 160  # nodes beyond which a layout is not even tried
_TIGHTER = 0.7  # rows take at least this part of the area of a drawing
_LESS = 0.28  # with the least in each node, it takes this part of its area
_ROWS = 8
_LOWER = 0.3  # a row has at least this part of the height of the whole
_SECONDS = 3.0  # for each layout
_PATIENCE = 8.0  # seconds after which the best layout so far is used


class Fitted(NamedTuple):
    """A drawing that fits, or the one that comes nearest."""

    folded: Fold
    style: Style
    scale: float  # of its natural size
    letters: float  # pixels that the smallest are high
    area: float  # in sizes, if letters were as small as they may be


def fitted(
    diagram: Diagram,
    style: Style,
    size: tuple[float, float],
    depth: int | None,
    expand: Sequence[str],
    limit: int | None,
    direction: Direction | None,
) -> Fitted:
    """Choose folding, detail and direction. Options that the user gave are kept."""
    best: Fitted | None = None
    end = monotonic() + _PATIENCE
    folds = list(_folds(diagram, depth, expand, limit))
    for folded in folds:
        for detailed in _details(style):
            area = 0.0
            for found in _layouts(diagram, folded, detailed, size, direction):
                area = area or found.area
                if found.letters >= LETTERS - 1e-6:
                    return found
                if best is None or found.letters > best.letters:
                    best = found
                if monotonic() > end:
                    return best
            if folded is not folds[-1] and area * _LESS > 1:
                break  # it would not fit with less in each node either
    if best is None:
        raise LayoutTimeout(f"every layout of this graph took longer than {_SECONDS:g} s")
    return best


def _folds(
    diagram: Diagram, depth: int | None, expand: Sequence[str], limit: int | None
) -> Iterator[Fold]:
    tried = set()
    for most in _LIMITS if limit is None else (limit,):
        found = fold(diagram, depth, expand, most)
        if found.drawn not in tried and (found.drawn <= _CROWDED or most == (limit or 10)):
            tried.add(found.drawn)
            yield found


def _details(style: Style) -> Iterator[Style]:
    details: tuple[Detail, ...] = ("full", "compact", "short", "names")
    for detail in details:
        yield replace(style, detail=detail)


def _layouts(
    diagram: Diagram,
    folded: Fold,
    style: Style,
    size: tuple[float, float],
    direction: Direction | None,
) -> Iterator[Fitted]:
    upright = size[1] > size[0]
    ways: tuple[Direction, ...] = ("TB", "LR") if upright else ("LR", "TB")
    if direction is not None:
        ways = (direction,)
    for way in ways:
        turned = replace(style, direction=way)
        found, svg = _tried(diagram, folded, turned, size)
        if found is None:
            return
        yield found
        wide, high, _ = measured(svg)
        if found.area * _TIGHTER > 1:
            return  # the other direction would not fit either
        if way in ("LR", "RL"):
            yield from _wrapped(diagram, folded, turned, size, svg)
        if high * size[0] < wide * size[1] and not upright:
            return  # down the page it would be longer still


def _wrapped(
    diagram: Diagram, folded: Fold, style: Style, size: tuple[float, float], svg: str
) -> Iterator[Fitted]:
    """Cut it into the number of rows that should make it as wide as the size, and into more."""
    wide, high, smallest = measured(svg)
    space = smallest / LETTERS
    first = max(2, round(wide / (size[0] * space)))
    if high * first * _LOWER > size[1] * space:
        return
    place = _places(svg)
    if style.direction == "RL":
        place = {name: -x for name, x in place.items()}
    for rows in range(first, _ROWS + 1):
        found, svg = _tried(diagram, in_rows(folded, diagram, place, rows), style, size)
        if found is None:
            return
        yield found
        wide, high, _ = measured(svg)
        if wide * size[1] < high * size[0]:  # more rows would make it smaller
            return


def _tried(
    diagram: Diagram, folded: Fold, style: Style, size: tuple[float, float]
) -> tuple[Fitted | None, str]:
    try:
        svg = render(dot(diagram, folded, style), "svg", _SECONDS).decode()
    except LayoutTimeout:
        return None, ""
    wide, high, smallest = measured(svg)
    scale = min(size[0] / wide, size[1] / high, _LARGEST)
    area = wide * high * (LETTERS / smallest) ** 2 / (size[0] * size[1])
    return Fitted(folded, style, scale, smallest * scale, area), svg


def measured(svg: str) -> tuple[float, float, float]:
    """The natural width and height of a drawing, and the height of its smallest letters, in pixels."""
    wide, high = (
        float(re.search(rf'<svg[^>]* {side}="([\d.]+)pt"', svg)[1]) * 4 / 3  # type: ignore[index]
        for side in ("width", "height")
    )
    letters = [float(points) * 4 / 3 for points in re.findall(r'font-size="([\d.]+)"', svg)]
    return wide, high, min(letters, default=float(LETTERS))


def _places(svg: str) -> dict[str, float]:
    """The distance of each node from the left."""
    found = {}
    for name, body in re.findall(r'<g id="(\w+)" class="node">\n?(.*?)</g>', svg, re.DOTALL):
        xs = [float(x) for x in re.findall(r' x="(-?[\d.]+)"', body)]
        if xs:
            found[name] = sum(xs) / len(xs)
    return found
