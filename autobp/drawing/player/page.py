"""The page: one HTML file that contains everything, loads nothing, and runs only its own script.

A Content-Security-Policy allows exactly one script and one style sheet, by their hashes. Texts from the
user's program are escaped in HTML, and in JSON so that they cannot end the element around it. The
script writes them only by `textContent`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
import zlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from autobp.colours import BLACK, BLUE, VERMILION, YELLOW
from autobp.compiler.javascript import RUNTIME
from autobp.compiler.javascript.printer import _digits
from autobp.drawing.formula import brief
from autobp.drawing.health import Layer
from autobp.drawing.literal import shown
from autobp.drawing.player.cells import ALPHABET
from autobp.drawing.player.live import Dead, Live
from autobp.drawing.player.steps import Item, Script, Step
from autobp.drawing.player.views import View, Views
from autobp.drawing.player.words import phrased, said, spoken
from autobp.drawing.theme import DARK, LIGHT, Paint, Theme

__all__ = ["page"]


_SCRIPTS = (
    "data",
    "live",
    "maps",
    "stage",
    "find",
    "strip",
    "player",
    "table",
    "change",
    "training",
    "lecture",
    "start",
)
_LARGE = 120_000  # characters of data beyond which it is compressed


def page(
    script: Script,
    views: Views,
    health: Sequence[Layer],
    found: Live | Dead,
    note: str = "",
    training: Any = None,
) -> str:
    """The whole page as text. Without views, it shows the `note` instead."""
    code, style = _code(found, training), _style()
    output = script.diagram.nodes[script.output]
    everything = said("one_derivative")
    if script.entries != 1:
        everything = said("all_derivatives", n=script.entries)
    return Template(_read("player.html")).substitute(
        {f"w_{key}": html.escape(text) for key, text in spoken().words.items()},
        lang=spoken().tag,
        name=html.escape(shown(output.name)),
        value=html.escape(brief(output.value)),
        script=code,
        style=style,
        script_hash=_hash(code),
        style_hash=_hash(style),
        detail=_detail(views),
        key=_key(script, views),
        views=_first(views) or f"<p>{html.escape(note)}</p>",
        cost_reverse=html.escape(said("cost_reverse", what=everything)),
        notes="".join(f'<p class="note">{html.escape(shown(n, 200))}</p>' for n in script.notes),
        held=_held(script),
        dead=f'<p class="small">{html.escape(str(found))}</p>' if isinstance(found, Dead) else "",
        data=_packed(_escaped(_data(script, views, health, found, training))),
    )


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _parts() -> str:
    return "\n".join(_read(f"script/{name}.js") for name in _SCRIPTS)


def _code(found: Live | Dead, training: Any = None) -> str:
    """The script: the printed programs over their runtime, and what the page does with them."""
    program = "const program = null;\n"
    if isinstance(found, Live):
        more = [x for x in (training.code, training.region) if x] if training else []
        names = ["program", "Changed", *("advance", "region")[: len(more)]]
        parts = "\n".join([RUNTIME, found.code, *more, f"return [{', '.join(names)}];"])
        names[3:] = ["classify"][: len(names) - 3]  # the page's own `region` draws it
        program = f"const [{', '.join(names)}] = (() => {{\n{parts}\n}})();\n"
    code = f'"use strict";\n(async () => {{\n{program}{_parts()}}})();\n'
    return re.sub(r"^ *//.*\n|^ +", "", code, flags=re.M)


@cache
def _style() -> str:
    text = _read("player.css")
    text = text.replace("/*light*/", _colours(LIGHT)).replace("/*dark*/", _colours(DARK))
    return re.sub(r"^ +|/\*.*?\*/\n?", "", text, flags=re.M)


def _colours(theme: Theme) -> str:
    """A theme of the pictures as CSS variables."""
    said = []
    for name, value in theme._asdict().items():
        name = name.replace("_", "-")
        if isinstance(value, Paint):
            said += [f"--{name}: {value.fill}", f"--{name}-line: {value.line}"]
        else:
            said.append(f"--{name}: {value}")
    return "; ".join(said) + ";"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _escaped(data: Any) -> str:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for c in "<>&\u2028\u2029":
        text = text.replace(c, f"\\u{ord(c):04x}")
    return text


def _packed(data: str) -> str:
    if len(data) < _LARGE:
        return data
    return base64.b64encode(zlib.compress(data.encode(), 9)).decode()


def _detail(views: Views) -> str:
    whole = [view for view in views.views if view.up is None]
    if len(whole) < 2:
        return ""
    options = "".join(
        f'<option value="{i}">{html.escape(view.title)}</option>' for i, view in enumerate(whole)
    )
    return f'<label>{html.escape(said("detail"))} <select id="view">{options}</select></label>'


def _key(script: Script, views: Views) -> str:
    """The key of borders and colours, for the kinds that occur."""
    there = {item.kind for item in script.items} | {"output"}
    if any(view.titles for view in views.views):
        there.add("folded")
    kinds = ("parameter", "input", "constant", "result", "output", "folded")
    shown = "".join(
        f'<i class="{kind}">{said(f"kind_{kind}")}</i>' for kind in kinds if kind in there
    )
    return f'<span class="key">{shown}</span>'


def _first(views: Views) -> str:
    return f'<div class="view" id="view0">{views.pictures[0]}</div>' if views.pictures else ""


def _held(script: Script) -> str:
    if len(script.passes) == script.entries:
        return ""
    held = said("held", n=len(script.passes), of=f"{script.entries:,}")
    return f" {html.escape(held)}"


def _data(
    script: Script, views: Views, health: Sequence[Layer], found: Live | Dead, training: Any
) -> dict[str, Any]:
    return {
        "training": _training(script, found, training) if isinstance(found, Live) else None,
        "live": _live(script, found) if isinstance(found, Live) else None,
        "words": spoken().words,
        "phrases": [
            [pattern, re.sub(r"\\(\d)", r"$\1", phrase)]
            for pattern, phrase in spoken().phrases.items()
        ],
        "alphabet": ALPHABET,
        "colours": [BLUE, VERMILION, YELLOW, BLACK],  # of maps: below 0, above it, NaN, inf
        "maps": script.cells.maps,
        "items": [_item(i, home) for i, home in zip(script.items, views.home, strict=True)],
        "arrows": [[a.source, a.target, a.product, a.term] for a in script.arrows],
        "forward": [_step(script, step, "value") for step in script.forward],
        "backward": [_step(script, step, "gradient") for step in script.backward],
        "passes": [[p.name, p.item, [_step(script, s) for s in p.steps]] for p in script.passes],
        "entries": script.entries,
        "backwardCount": script.backward_count,
        "forwardCount": script.forward_count,
        "output": script.place[script.output],
        "pictures": [None, *views.pictures[1:]],
        "views": list(map(_view, views.views)),
        "layers": views.layers,
        "health": [_health(script, views, layer) for layer in health],
    }


def _item(i: Item, home: int | None) -> list[Any]:
    known = [i.name, i.kind, i.shape, i.value, i.formula, i.line, i.gradient, i.operation]
    return [*known, home, i.value_map, i.gradient_map, [*map(phrased, i.marks)]]


def _step(script: Script, step: Step, last: str = "") -> list[Any]:
    found = [_found(script.items[one[0]], *one, last) for one in step.found]
    return [step.item, step.says, step.result, step.why, step.arrows, found, step.count]


def _found(item: Item, place: int, text: str, map: int | None, last: str) -> list[Any]:
    """The text that an item shows after a step. If it is the final one, its value or its gradient, only
    the item."""
    known = {"value": (item.value, item.value_map), "gradient": (item.gradient, item.gradient_map)}
    return [place] if known.get(last) == (text, map) else [place, text, map]


def _live(script: Script, found: Live) -> dict[str, Any]:
    texts, nodes = found.script, script.diagram.nodes
    steps = [*texts.forward, *texts.backward, *(s for p in texts.passes for s in p.steps)]
    return {
        "inputs": [[script.place[i], *_numbers(nodes[i].value)] for i in found.inputs],
        "gradients": found.gradients,
        "loss": found.loss,
        "shapes": found.shapes,
        "items": [
            [i.value, i.formula, i.gradient, i.value_map, i.gradient_map] for i in texts.items
        ],
        "arrows": [[a.product, a.term, found.slopes.get(a.use, "")] for a in texts.arrows],
        "steps": [[s.says, s.result, s.why, s.found] for s in steps],
        "maps": texts.cells.maps,
    }


def _training(script: Script, found: Live, training: Any) -> dict[str, Any] | None:
    """A recorded run, and which inputs of the program its parameters are."""
    if training is None:
        return None
    nodes = {id(n.tensor): n.index for n in script.diagram.nodes}
    inputs = [found.inputs.index(nodes[id(p)]) for p in training.run.parameters]
    given = {id(script.diagram.nodes[i].value): k for k, i in enumerate(found.inputs)}
    columns = [given.get(id(a), np.ravel(a).tolist()) for a in training.columns]
    data = training.data
    if data["region"]:
        data["region"]["X"] = given.get(id(training.X))
    return {**data, "inputs": inputs, "columns": columns}


def _numbers(value: Any) -> tuple[list[int], list[Any]]:
    """The shape and the elements of an array; those that JSON does not have, as text."""
    flat = np.ravel(value).tolist()
    return list(np.shape(value)), [x if math.isfinite(x) else _digits(x) for x in flat]


def _view(view: View) -> dict[str, Any]:
    return {
        "title": view.title,
        "path": view.path,
        "picture": view.picture,
        "up": view.up,
        "groups": {id: _runs(inside) for id, inside in view.groups.items()},
        "arrows": [n for pair in view.arrows.items() for n in pair],
        "boxes": view.opens,
        "rolls": view.rolls,
        "titles": view.titles,
        "outside": view.outside,
        "texts": {id: [*map(phrased, lines)] for id, lines in view.texts.items()},
        "shares": view.shares,
    }


def _health(script: Script, views: Views, layer: Layer) -> list[Any]:
    return [
        shown(layer.name, 60),
        *map(_number, (layer.value, layer.gradient, layer.weight_gradient)),
        layer.marks,
        views.named.get(layer.name),
        script.place[layer.results[-1]],
    ]


def _runs(numbers: Sequence[int]) -> list[int]:
    """Numbers as runs: the first number of each run, and its length."""
    found: list[int] = []
    for n in sorted(numbers):
        if found and n == found[-2] + found[-1]:
            found[-1] += 1
        else:
            found += [n, 1]
    return found


def _number(x: float | None) -> float | str | None:
    return x if x is None else float(f"{x:.7g}") if math.isfinite(x) else str(x)
