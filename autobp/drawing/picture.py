"""Picture: a drawn graph that notebooks show and that can be saved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import floor, inf
from operator import index
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from autobp.dag import Graph
from autobp.drawing.diagram import Diagram, diagram
from autobp.drawing.dot import Direction, Passes, Style, View, dot, labels
from autobp.drawing.fit import LETTERS, SIZES, Fitted, fitted, measured
from autobp.drawing.fold import LIMIT, Fold, fold
from autobp.drawing.layout import SECONDS, GraphvizMissing, LayoutTimeout, formats, render
from autobp.drawing.maps import behind, inserted
from autobp.drawing.program import backward_program
from autobp.drawing.theme import THEMES
from autobp.errors import file_path
from autobp.owner import warn
from autobp.tensor import Tensor

if TYPE_CHECKING:
    from graphviz import Digraph

__all__ = ["Picture", "picture", "tidy"]

_SUFFIXES = (".svg", ".png", ".pdf", ".dot", ".html")
_NOTEBOOK = (1280.0, 1600.0)  # pixels: the width of a cell, and a height without much scrolling
_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>autobp: a computation graph</title>
<style>body {{ margin: 0; background: {page} }} svg {{ display: block; margin: auto }}</style>
{svg}
</html>
"""


def picture(
    results: Sequence[Tensor | Graph],
    *,
    view: str,
    passes: Passes,
    size: Any,
    direction: Direction | None,
    theme: str,
    depth: int | None,
    expand: Sequence[str],
    names: Mapping[str, Any] | None,
    limit: int | None,
    **shown: bool | None,
) -> Picture:
    """See `autobp.drawing`."""
    _one_of("view", view, (*get_args(View), "backward program"))
    _one_of("passes", passes, get_args(Passes))
    if direction is not None:
        _one_of("direction", direction, get_args(Direction))
    _one_of("theme", theme, tuple(THEMES))
    if not results:
        raise TypeError("draw() takes the result of a computation, or several")
    limit, depth = _count("limit", limit), _count("depth", depth)
    if limit is not None and limit < 10:
        raise ValueError(f"limit={limit}: the limit must be at least 10 nodes")
    if depth is not None and depth < 0:
        raise ValueError(f"depth={depth}: the number of open levels of scopes must be 0 or more")
    one = results[0] if len(results) == 1 else None
    graph = one if isinstance(one, Graph) else Graph(results)  # type: ignore[arg-type]
    program = view == "backward program"
    style = Style(
        view="operations" if view == "operations" else "textbook",
        passes="forward" if program else passes,
        direction=direction or "LR",
        theme=THEMES[theme],
        heat=True,
        **shown,  # type: ignore[arg-type]
    )
    if program:
        ink = style.theme.backward_ink
        style = replace(style, theme=style.theme._replace(forward=ink))
        found = backward_program(graph, names)
    else:
        found = diagram(graph, names, style.backward)
    return Picture(found, style, depth, _names(expand), limit, _pixels(size), direction)


def _count(option: str, given: Any) -> int | None:
    """A whole number of Python's or NumPy's."""
    if given is None:
        return None
    try:
        if isinstance(given, bool | np.bool_):
            raise TypeError
        return index(given)
    except TypeError:
        raise TypeError(f"{option} must be a whole number or None, not {given!r}") from None


def _names(expand: Any) -> tuple[str, ...]:
    """One name or several."""
    names = (expand,) if isinstance(expand, str) else expand
    if isinstance(names, Iterable) and not isinstance(names, bytes | Mapping):
        names = tuple(names)
        if all(isinstance(name, str) for name in names):
            return names
    raise TypeError(
        f"expand must be a name or a list of names, such as ['step 12'], not {expand!r}"
    )


def _pixels(size: Any) -> tuple[float, float] | None:
    """A size by name or in numbers."""
    if size is None:
        return None
    if isinstance(size, str):
        _one_of("size", size, tuple(SIZES))
        return SIZES[size]
    try:
        wide, high = map(float, size)
    except (TypeError, ValueError):
        wide = high = 0.0
    if not (0 < wide < inf and 0 < high < inf):
        names = ", ".join(map(repr, SIZES))
        raise ValueError(f"size must be {names} or (width, height) in pixels, not {size!r}")
    return wide, high


def _one_of(option: str, given: Any, allowed: tuple[str, ...]) -> None:
    if not isinstance(given, str) or given not in allowed:
        raise ValueError(f"{option} must be {' or '.join(map(repr, allowed))}, not {given!r}")


class Picture:
    """A drawing of a graph; later changes of the graph do not change it. See `draw`.

    `source` is its DOT text, Graphviz's language.
    """

    source: str

    limit: int | None
    size: tuple[float, float] | None
    style: Style
    scale: float

    def __init__(
        self,
        diagram: Diagram,
        style: Style,
        depth: int | None = None,
        expand: Sequence[str] = (),
        limit: int | None = None,
        size: tuple[float, float] | None = None,
        direction: Direction | None = None,
    ) -> None:
        self.diagram = diagram
        self.style = style
        self.depth = depth
        self.expand: tuple[str] | tuple[str, ...] = (
            (expand,) if isinstance(expand, str) else tuple(expand)
        )
        self.limit, self.size, self.direction = limit, size, direction
        self.scale = 1.0  # of the natural size
        self.seconds = SECONDS
        self.folded: Fold
        if size is None or not formats():
            self._fold(limit or LIMIT)
        else:
            found = self._fitted(size)
            self._take(found)
            if found.letters < LETTERS - 0.05:
                warn(
                    f"at {size[0]:g} × {size[1]:g} pixels the letters of this picture are"
                    f" {floor(10 * found.letters) / 10:g} pixels high: a larger size, or a smaller depth or limit,"
                    " makes them larger"
                )

    def _fold(self, limit: int) -> None:
        self.folded = fold(self.diagram, self.depth, self.expand, limit)
        self.source = dot(self.diagram, self.folded, self.style)

    def _fitted(self, size: tuple[float, float]) -> Fitted:
        given = (self.depth, self.expand, self.limit, self.direction)
        return fitted(self.diagram, self.style, size, *given)

    def _take(self, found: Fitted) -> None:
        self.folded, self.style, self.scale = found.folded, found.style, found.scale
        self.source = dot(self.diagram, self.folded, self.style)

    def __repr__(self) -> str:
        operations = sum(n.kind == "result" for n in self.diagram.nodes)
        variables = len(self.diagram.nodes)
        drawn = self.folded.drawn
        folded = f", folded into {drawn}" if drawn < variables else ""
        return (
            f"<Picture of {variables:,} variable{'s' * (variables != 1)} and {operations:,}"
            f' operation{"s" * (operations != 1)}{folded}: .save("graph.svg") writes it>'
        )

    @property
    def graphviz(self) -> Digraph:
        """The drawing as a `graphviz.Digraph`, for changes of your own."""
        import graphviz  # late: only drawing needs it

        return graphviz.Digraph(body=self.source.splitlines(keepends=True)[1:-1])

    def save(self, path: str | PathLike[str], *, dpi: float | None = None) -> Path:
        """Write the picture as SVG, PNG, PDF, DOT or HTML, by the suffix of the file's name, and return
        the path. If Graphviz is missing, it writes DOT text, warns, and returns that path.

        A PNG without a `size` is fitted to a slide if it is larger than that. `dpi` is the number of
        pixels per inch, 96 by default.
        """
        path = file_path(path, "save")
        suffix = path.suffix.lower()
        if suffix not in _SUFFIXES:
            raise ValueError(
                f"{path.name}: the name of a picture must end in {', '.join(_SUFFIXES)}"
            )
        if dpi is not None and (
            isinstance(dpi, bool) or not isinstance(dpi, int | float | np.integer | np.floating)
        ):
            raise TypeError(f"dpi must be a number from 1 to 2400, such as 96 or 300, not {dpi!r}")
        if dpi is not None and suffix != ".png":
            raise ValueError(f"{path.name}: dpi= is for PNG; {suffix[1:].upper()} has no pixels")
        if dpi is not None and not 0 < dpi <= 2400:
            raise ValueError(f"dpi={dpi!r}: it must be a number from 1 to 2400, such as 96 or 300")
        try:
            if suffix == ".dot":
                content = self.source.encode()
            else:
                content = self._rendered(suffix[1:], dpi or 96.0)
        except GraphvizMissing as error:
            path = path.with_suffix(".svg" if "svg" in formats() else ".dot")
            warn(f"{error}; wrote {path} instead")
            return self.save(path)
        path.write_bytes(content)
        return path

    def _rendered(self, format: str, dpi: float = 96.0) -> bytes:
        """The picture in a format. While its layout takes too long, it is folded further."""
        if format == "html":
            svg = self._rendered("svg").decode()
            return _PAGE.format(svg=svg, page=self.style.theme.page).encode()
        while True:
            try:
                return self._laid_out(format, dpi)
            except LayoutTimeout as error:
                before = self.folded.drawn
                self._fold(max(10, min(before // 2, LIMIT)))
                if self.folded.drawn >= before:
                    raise LayoutTimeout(f"{error}; depth=0 folds its scopes") from None
                note = f"folded further: {error}"
                if note not in self.diagram.notes:
                    self.diagram.notes.append(note)
                    self.source = dot(self.diagram, self.folded, self.style)
                warn(f"{error}; it is drawn with fewer nodes")

    def _laid_out(self, format: str, dpi: float) -> bytes:
        if format not in formats():  # which says what to install
            return render(self.source, format, self.seconds)
        fields = labels(self.diagram, self.folded, self.style)
        if format == "pdf" and not fields:
            return render(self.source, format, self.seconds, 72 * self.scale)
        svg = render(self.source, "svg", self.seconds).decode()
        if format == "svg":
            return inserted(self._sized(tidy(svg)), self.diagram, fields).encode()
        if format == "png" and self.size is None:
            wide, high, _ = measured(svg)
            if wide > SIZES["slide"][0] or high > SIZES["slide"][1]:
                return self._for(SIZES["slide"])._laid_out(format, dpi)
        return self._upon_pictures(svg, format, dpi)

    def _sized(self, svg: str) -> str:
        """The SVG with the width and height that were asked for."""
        if self.size is None:
            return svg
        wide, high, _ = measured(svg)
        sides = f'width="{wide * self.scale:.0f}" height="{high * self.scale:.0f}"'
        return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', sides, svg, count=1)

    def _upon_pictures(self, svg: str, format: str, dpi: float) -> bytes:
        """Repeat the layout of this SVG with the pictures behind it."""
        fields = labels(self.diagram, self.folded, self.style)
        text = self.source
        if fields:
            pictures = behind(svg, self.diagram, fields, self.style.theme)
            text = dot(self.diagram, self.folded, self.style, pictures)
        return render(text, format, self.seconds, (72 if format == "pdf" else dpi) * self.scale)

    def _for(self, size: tuple[float, float]) -> Picture:
        """The drawing fitted to a size, or larger if it could not be read there."""
        other = Picture(self.diagram, self.style, self.depth, self.expand, self.limit)
        other.size, other.direction, other.seconds = size, self.direction, self.seconds
        found = other._fitted(size)
        other._take(found)
        other.scale *= max(1.0, LETTERS / found.letters)
        return other

    def _in_a_notebook(self) -> str:
        svg = self._rendered("svg").decode()
        if self.size is not None or measured(svg)[0] <= 1.2 * _NOTEBOOK[0]:
            return svg
        return self._for(_NOTEBOOK)._rendered("svg").decode()

    def _repr_mimebundle_(
        self, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """What a notebook shows: SVG, or PNG if it asks for that. A drawing much wider than a cell is
        fitted to it. It never raises an exception: an error is shown as text."""
        kinds = {"text/plain", "image/svg+xml", "image/png"}.difference(exclude or ())
        if include:
            kinds.intersection_update(include)
        elif "image/svg+xml" in kinds:
            kinds.discard("image/png")
        bundle: dict[str, Any] = {"text/plain": repr(self)}
        try:
            if "image/svg+xml" in kinds:
                bundle["image/svg+xml"] = self._in_a_notebook()
            if "image/png" in kinds:
                bundle["image/png"] = self._rendered("png")
        except Exception as error:
            bundle["text/plain"] += f"\n{error}"
        return {kind: content for kind, content in bundle.items() if kind in kinds}


def tidy(svg: str) -> str:
    """Graphviz's SVG for a page: without prolog and comments, and without titles, which browsers would
    show as `n12` at the pointer."""
    svg = svg[svg.index("<svg") :]
    return re.sub(r"<!--.*?-->\n?|<title>.*?</title>\n?", "", svg, flags=re.DOTALL)
