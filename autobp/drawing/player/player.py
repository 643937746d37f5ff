"""Player: the page that plays a program, for a notebook or a file."""

from __future__ import annotations

import base64
import html
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from autobp.compiler.call import Call
from autobp.compiler.terms import Settings
from autobp.context import lines
from autobp.dag import Graph
from autobp.drawing.diagram import Diagram, diagram
from autobp.drawing.dot import dot
from autobp.drawing.health import measured
from autobp.drawing.layout import LayoutTimeout, render
from autobp.drawing.player.film import film
from autobp.drawing.player.live import Dead, live
from autobp.drawing.player.page import page
from autobp.drawing.player.plan import plan
from autobp.drawing.player.steps import STYLE, Script
from autobp.drawing.player.views import Views, views
from autobp.drawing.player.words import speaking
from autobp.errors import file_path, replaced
from autobp.tensor import Tensor
from autobp.tree import leaves, refilled

__all__ = ["Player", "player"]

_HEIGHT = 860  # pixels in a notebook
_HEAVY = 2_000_000  # characters beyond which a page is not put into a notebook


def player(
    loss: Tensor | Callable[..., Any],
    args: Sequence[Any],
    names: Mapping[str, Any] | None,
    lang: str = "en",
) -> Player:
    """See `autobp.play`."""
    call = None
    if isinstance(loss, Tensor):
        if args:
            raise TypeError("play() of a result takes no arguments; those are for a function")
        result = loss
    elif callable(loss):
        given = _tensors(loss, args)
        with lines():
            result = loss(*given)
        call = Call(loss, getattr(loss, "__name__", "the function"), tuple(given), {}, Settings())
    else:
        raise TypeError(
            f"play() takes a Tensor, or a function and its arguments, not {type(loss).__name__}"
        )
    if result is None or isinstance(result, tuple | list | dict):
        what = "None" if result is None else f"a {type(result).__name__}"
        raise TypeError(
            f"play(): the function returned {what}; it must return one number, the loss"
            + (": is there a return?" if result is None else "")
        )
    if not isinstance(result, Tensor) or not result.requires_grad:
        raise ValueError(
            "play(): the result is a constant, computed from no Tensor that requires a gradient,"
            " or under no_grad()"
        )
    if result.size != 1:
        raise ValueError(
            f"play() needs a scalar; this result has shape {result.shape}; take a sum or a mean"
        )
    program = diagram(Graph([result]), names)
    for node in program.nodes:
        if node.stale:
            raise replaced(node.tensor)
    with speaking(lang):
        return Player(program, call, lang)


def _tensors(function: Callable[..., Any], args: Sequence[Any]) -> list[Any]:
    """The arguments of a function as Tensors, with the names of its parameters."""
    return [
        refilled(
            arg,
            (x if isinstance(x, Tensor) else _tensor(x, path) for path, x in leaves(arg, name)),
        )
        for name, arg in zip(_parameters(function), args)
    ]


def _tensor(x: Any, name: str) -> Tensor:
    try:
        return Tensor(x, name=name)
    except TypeError as error:
        raise TypeError(
            f"play(): the argument {name}: {error}; let the function hold what is no number to"
            " differentiate by, as in play(lambda x: f(x, option), x)"
        ) from None


def _parameters(function: Callable[..., Any]) -> Iterator[str]:
    """The names of a function's parameters, by position."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # one of NumPy's own
        found = ()  # type: ignore[assignment]
    count = 0
    for p in found:
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            yield p.name
            count += 1
    rest = next((p.name for p in found if p.kind is p.VAR_POSITIONAL), "x")
    while True:
        yield f"{rest}{count}"
        count += 1


class Player:
    """A program that is played; later changes of its tensors do not change it. See `play`.

    `page` is the text that `save` writes.
    """

    page: str

    def __init__(
        self, program: Diagram, call: Call | None = None, lang: str = "en", training: Any = None
    ) -> None:
        self.diagram = program
        planned = plan(program)
        note = ""
        with np.errstate(all="ignore"):
            script = Script(program, planned.parts)
            found = live(script, call)
            pictures = Views([], [], [], [None] * len(script.items))
            try:
                pictures = views(script, planned)
            except (RuntimeError, LayoutTimeout) as error:
                note = str(error)
            layers = measured(program)
        if training is not None and isinstance(found, Dead):
            raise ValueError(f"play_training: {found}")
        self.page = page(script, pictures, layers, found, note, training)
        self._script, self._folded, self._lang = script, planned.still, lang
        self._still = dot(program, planned.still, STYLE)

    def __repr__(self) -> str:
        kinds = [n.kind for n in self.diagram.nodes]
        operations, inputs = kinds.count("result"), kinds.count("input") + kinds.count("parameter")
        return (
            f"<Player of {operations:,} operation{'s' * (operations != 1)} and {inputs:,}"
            f' input{"s" * (inputs != 1)}: .save("player.html") writes it>'
        )

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the page: one HTML file that needs no network and no other file."""
        path = file_path(path, "save")
        if path.suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"{path.name}: the name of a player must end in .html")
        path.write_bytes(self.page.encode())
        return path

    def frames(self, directory: str | PathLike[str]) -> list[Path]:
        """Write a picture of each step in a directory, as SVG, all with one layout; where Graphviz's
        `dot` is installed also as PNG, and all of them as `steps.gif`."""
        with speaking(self._lang):
            return film(self._script, self._folded, file_path(directory, "frames"))

    def _repr_mimebundle_(
        self, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """What a notebook shows: the page in a frame without access to anything else, and a picture for
        notebooks that are not trusted, which show no frames. It never raises an exception."""
        bundle: dict[str, Any] = {"text/plain": repr(self)}
        try:
            summary = (
                "<summary>The graph as a picture (the player needs a trusted notebook)</summary>"
            )
            still = f"<details>{summary}{self._picture()}</details>"
            bundle["text/html"] = f"{still}\n{self._frame()}"
        except Exception as error:
            bundle["text/plain"] += f"\n{error}"
        return {
            kind: content
            for kind, content in bundle.items()
            if (not include or kind in include) and kind not in (exclude or ())
        }

    def _frame(self) -> str:
        if len(self.page) > _HEAVY:
            return f"<p>Too large for a notebook: {html.escape(repr(self))}</p>"
        return (
            f'<iframe sandbox="allow-scripts" title="autobp player" width="100%" height="{_HEIGHT}"'
            f' style="border: 0" srcdoc="{html.escape(self.page)}"></iframe>'
        )

    def _picture(self) -> str:
        try:
            data = base64.b64encode(render(self._still, "svg")).decode()
        except (RuntimeError, LayoutTimeout) as error:
            return html.escape(str(error))
        source = f"data:image/svg+xml;base64,{data}"
        return f'<img alt="the graph" style="max-width: 100%" src="{source}">'
