"""The page: one file of HTML that holds everything, asks for nothing, and runs no code but ours.

A Content-Security-Policy allows exactly one script and one style sheet, by their hashes. All that
comes from the user's program goes in as text: escaped in HTML, and in JSON in a way that cannot end
the element around it. The script writes it by `textContent` alone.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from autobp.draw.formula import brief
from autobp.draw.literal import shown
from autobp.draw.player.steps import Item, Script, Step
from autobp.draw.player.views import View
from autobp.draw.theme import DARK, LIGHT, Paint, Theme

__all__ = ["page"]


def page(script: Script, views: Sequence[View], opened: int, note: str = "") -> str:
    """The whole page as text. Without views, there is a `note` in their place."""
    code, style = _code(), _style()
    output = script.diagram.nodes[script.output]
    return Template(_read("player.html")).substitute(
        name=html.escape(shown(output.name)),
        value=html.escape(brief(output.value)),
        script=code,
        style=style,
        script_hash=_hash(code),
        style_hash=_hash(style),
        detail=_detail(views, opened),
        key=_key(script, views),
        views=_boxes(views, opened) or f"<p>{html.escape(note)}</p>",
        entries="the derivative" if script.entries == 1 else f"all {script.entries:,} derivatives",
        notes="".join(f'<p class="note">{html.escape(shown(n, 200))}</p>' for n in script.notes),
        held=_held(script),
        data=_escaped(_data(script, views, opened)),
    )


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _code() -> str:
    return re.sub(r"^ *//.*\n|^ +", "", _read("player.js"), flags=re.M)


@cache
def _style() -> str:
    text = _read("player.css")
    text = text.replace("/*light*/", _colours(LIGHT)).replace("/*dark*/", _colours(DARK))
    return re.sub(r"^ +|/\*.*?\*/\n?", "", text, flags=re.M)


def _colours(theme: Theme) -> str:
    """A theme of the pictures as variables of the style sheet."""
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


def _detail(views: Sequence[View], opened: int) -> str:
    if len(views) < 2:
        return ""
    options = "".join(
        f'<option value="{i}"{" selected" if i == opened else ""}>{html.escape(view.title)}</option>'
        for i, view in enumerate(views)
    )
    return f'<label>modules <select id="view">{options}</select></label>'


def _key(script: Script, views: Sequence[View]) -> str:
    """What the borders and colours mean, of those that occur."""
    there = {item.kind for item in script.items} | {"output"}
    if any(view.titles for view in views):
        there.add("folded")
    kinds = ("parameter", "input", "constant", "result", "output", "folded")
    shown = "".join(f'<i class="{kind}">{kind}</i>' for kind in kinds if kind in there)
    return f'<span class="key">{shown}</span>'


def _boxes(views: Sequence[View], opened: int) -> str:
    return "\n".join(
        f'<div class="view" id="view{i}"{"" if i == opened else " hidden"}>{view.svg}</div>'
        for i, view in enumerate(views)
    )


def _held(script: Script) -> str:
    if len(script.passes) == script.entries:
        return ""
    return f" This page plays {len(script.passes):,} of the {script.entries:,} passes."


def _data(script: Script, views: Sequence[View], opened: int) -> dict[str, Any]:
    return {
        "items": [
            [i.name, i.kind, i.value, i.whole, i.shape, i.formula, i.line, i.gradient]
            for i in script.items
        ],
        "sums": [_sum(script, i) for i in script.items],
        "arrows": [[a.source, a.target, a.product, a.term] for a in script.arrows],
        "forward": list(map(_step, script.forward)),
        "backward": list(map(_step, script.backward)),
        "passes": [[p.name, p.item, list(map(_step, p.steps))] for p in script.passes],
        "entries": script.entries,
        "backwardCount": script.backward_count,
        "forwardCount": script.forward_count,
        "output": script.place[script.output],
        "opened": opened,
        "views": [
            {
                "items": v.items,
                "arrows": v.arrows,
                "unfold": v.unfold,
                "fold": v.fold,
                "around": v.around,
                "titles": v.titles,
            }
            for v in views
        ],
    }


def _sum(script: Script, item: Item) -> str:
    if item.node is None:
        return item.gradient
    gradient = script.diagram.nodes[item.node].gradient
    return "—" if gradient is None else brief(gradient)


def _step(step: Step) -> list[Any]:
    return [step.item, step.says, step.result, step.why, step.arrows, step.found, step.count]
