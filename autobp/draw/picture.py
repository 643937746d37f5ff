"""Picture: a graph drawn, which shows itself in a notebook and saves itself in a file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from autobp.draw.diagram import Diagram, diagram
from autobp.draw.dot import Direction, Passes, Style, View, dot
from autobp.draw.fold import LIMIT, Fold, fold
from autobp.draw.layout import SECONDS, GraphvizMissing, LayoutTimeout, formats, render
from autobp.draw.program import backward_program
from autobp.draw.theme import THEMES
from autobp.graph import Graph
from autobp.tensor import Tensor

if TYPE_CHECKING:
    from graphviz import Digraph

__all__ = ["Picture", "picture", "tidy"]

_SUFFIXES = (".svg", ".png", ".pdf", ".dot", ".html")
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
    direction: Direction,
    theme: str,
    depth: int | None,
    expand: Sequence[str],
    names: Mapping[str, Any] | None,
    limit: int,
    **shown: bool | None,
) -> Picture:
    """See `autobp.draw`."""
    _one_of("view", view, (*get_args(View), "backward program"))
    _one_of("passes", passes, get_args(Passes))
    _one_of("direction", direction, get_args(Direction))
    _one_of("theme", theme, tuple(THEMES))
    if not results:
        raise TypeError("draw() takes the result of a computation, or several")
    if limit < 10:
        raise ValueError(f"limit={limit}: a picture needs room for 10 nodes at least")
    one = results[0] if len(results) == 1 else None
    graph = one if isinstance(one, Graph) else Graph(results)  # type: ignore[arg-type]
    program = view == "backward program"
    style = Style(
        view="operations" if view == "operations" else "textbook",
        passes="forward" if program else passes,
        direction=direction,
        theme=THEMES[theme],
        **shown,  # type: ignore[arg-type]
    )
    if program:
        ink = style.theme.backward_ink
        style = replace(style, theme=style.theme._replace(forward=ink))
        return Picture(backward_program(graph, names), style, depth, expand, limit)
    return Picture(diagram(graph, names, style.backward), style, depth, expand, limit)


def _one_of(option: str, given: Any, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ValueError(f"{option} is {' or '.join(map(repr, allowed))}, not {given!r}")


class Picture:
    """A graph as it was when it was drawn. See `draw`.

    `source` is its text in Graphviz's language, DOT.
    """

    source: str

    def __init__(
        self,
        diagram: Diagram,
        style: Style,
        depth: int | None = None,
        expand: Sequence[str] = (),
        limit: int = LIMIT,
    ) -> None:
        self.diagram = diagram
        self.style = style
        self.depth = depth
        self.expand = (expand,) if isinstance(expand, str) else tuple(expand)
        self.seconds = SECONDS
        self._fold(limit)

    def _fold(self, limit: int) -> None:
        self.folded: Fold = fold(self.diagram, self.depth, self.expand, limit)
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
        """The same as a `graphviz.Digraph`, to go on with."""
        import graphviz  # late: what is not drawn needs none of it

        return graphviz.Digraph(body=self.source.splitlines(keepends=True)[1:-1])

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the picture as SVG, PNG, PDF, DOT or HTML, by the suffix of the file's name. Returns
        the path of what was written, which is another one if Graphviz is missing, and says so."""
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in _SUFFIXES:
            raise ValueError(f"{path.name}: a picture is saved as {', '.join(_SUFFIXES)}")
        try:
            content = self.source.encode() if suffix == ".dot" else self._rendered(suffix[1:])
        except GraphvizMissing as error:
            path = path.with_suffix(".svg" if "svg" in formats() else ".dot")
            warnings.warn(f"{error}; wrote {path} instead", stacklevel=2)
            return self.save(path)
        path.write_bytes(content)
        return path

    def _rendered(self, format: str) -> bytes:
        """The picture in a format, folded further as often as its layout takes too long."""
        if format == "html":
            svg = self._rendered("svg").decode()
            return _PAGE.format(svg=svg, page=self.style.theme.page).encode()
        while True:
            try:
                content = render(self.source, format, self.seconds)
            except LayoutTimeout as error:
                before = self.folded.drawn
                self._fold(max(10, min(before // 2, LIMIT)))
                if self.folded.drawn >= before:
                    raise LayoutTimeout(f"{error}; depth=0 folds its scopes") from None
                note = f"folded further: {error}"
                if note not in self.diagram.notes:
                    self.diagram.notes.append(note)
                    self.source = dot(self.diagram, self.folded, self.style)
            else:
                return tidy(content.decode()).encode() if format == "svg" else content

    def _repr_mimebundle_(
        self, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """What a notebook shows. Never an exception: what is wrong is then the text."""
        bundle: dict[str, Any] = {"text/plain": repr(self)}
        try:
            available = formats()
            if "svg" not in available:
                self._rendered("svg")  # which says what to install
            bundle["image/svg+xml"] = self._rendered("svg").decode()
            if "png" in available:
                bundle["image/png"] = self._rendered("png")
        except Exception as error:
            bundle["text/plain"] += f"\n{error}"
        return {
            kind: content
            for kind, content in bundle.items()
            if (not include or kind in include) and kind not in (exclude or ())
        }


def tidy(svg: str) -> str:
    """Graphviz's SVG as it can stand in a page: without prolog and comments, and without titles,
    which browsers would show as `n12` at the pointer."""
    svg = svg[svg.index("<svg") :]
    return re.sub(r"<!--.*?-->\n?|<title>.*?</title>\n?", "", svg, flags=re.DOTALL)
