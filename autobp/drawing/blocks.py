"""Blocks: the operations of a diagram as a tree of scopes, in which repeated pieces are grouped.

Each run through a scope is a box: a contiguous part of the evaluation order, so that no box depends on
later ones. A sequence of equal boxes or operations is a roll: a box whose items are the pieces. Every
box has a name, by which `expand` opens it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import accumulate

import numpy as np

from autobp.drawing.diagram import Diagram
from autobp.drawing.repeats import WORTH, Repeat, repeats
from autobp.drawing.wiring import Wiring

__all__ = ["Blocks", "Box", "Copy", "blocks", "first_node", "matched", "scope_parts", "titled"]

_DEEPEST = 30  # nested scopes; deeper ones count as part of the thirtieth
_NAMED = 12  # names that an error lists


@dataclass(slots=True, eq=False)
class Copy:
    """A second drawing of a variable, near some of its uses."""

    id: str
    node: int
    uses: list[int]  # places of the uses that begin here
    note: str = "copy"


@dataclass(slots=True, eq=False)
class Box:
    """A group of variables. An open box is drawn around its items, a closed box instead of them."""

    id: str
    title: str
    path: str | None  # of the scope; None: of a piece that repeats, a roll, or a folded run
    depth: int
    parent: Box | None = None
    closed: bool = False
    items: list[Box | int] = field(default_factory=list)  # boxes, and nodes by number
    name: str = ""  # the name for `expand`; "": it cannot be opened
    times: int = 1  # the number of pieces of a roll, which are its items
    copies: list[Copy] = field(default_factory=list)  # also drawn in it
    sorted: bool = True  # whether items are drawn in evaluation order or as listed

    @property
    def roll(self) -> bool:
        return self.times > 1

    @property
    def pieces(self) -> list[Box]:
        """The pieces of a roll."""
        return [item for item in self.items if isinstance(item, Box)] if self.roll else []

    def all_nodes(self) -> Iterator[int]:
        """Every node inside, at any depth."""
        stack: list[Box | int] = [self]
        while stack:
            item = stack.pop()
            if isinstance(item, Box):
                stack.extend(reversed(item.items))
            else:
                yield item


@dataclass(slots=True, eq=False)
class Blocks:
    """The tree, with all its boxes by name."""

    root: Box
    # by name, by the path of a scope that was entered several times, and by unique title
    named: dict[str, list[Box]]
    piece: dict[int, tuple[Box, int]]  # of each result in a roll: the outermost one, which piece

    def chosen(self, names: Iterable[str]) -> set[Box]:
        """The boxes of these names, and all boxes around them."""
        found = set()
        for name in names:
            if name not in self.named:
                raise ValueError(self._unknown(name))
            for box in self.named[name]:
                at: Box | None = box
                while at is not None and at not in found:
                    found.add(at)
                    at = at.parent
        return found

    def _unknown(self, name: str) -> str:
        there = sorted({b.name for boxes in self.named.values() for b in boxes}, key=_natural)
        close = get_close_matches(name, there, 1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        listed = ", ".join(map(repr, there[:_NAMED])) or "none"
        if len(there) > _NAMED:
            listed += f", … {there[-1]!r}, {len(there):,} in all"
        return f"expand={name!r} is not a scope of this graph{meant}; there are {listed}"


def blocks(diagram: Diagram, shapes: bool = True) -> Blocks:
    """The tree of a diagram. `shapes` says whether pieces that differ only in shapes are different.

    >>> import numpy as np
    >>> from autobp import Tensor, graph
    >>> from autobp.drawing.diagram import diagram
    >>> h, w = Tensor(0.5, name="h"), Tensor(1.5, name="w")
    >>> for _ in range(30):
    ...     h = np.tanh(h * w)
    >>> (roll,) = blocks(diagram(graph(h))).root.items
    >>> roll.title, roll.times, roll.items[11].name, list(roll.items[11].all_nodes())
    ('step 1 … 30', 30, 'step 12', [24, 25])
    """
    if shapes not in diagram.groups:
        root, boxes = _nested(diagram)
        _Rolls(diagram, shapes).gather(root, boxes)
        named: dict[str, list[Box]] = defaultdict(list)
        titles: dict[str, list[Box]] = defaultdict(list)
        piece: dict[int, tuple[Box, int]] = {}
        for box in _every(root):
            if box.roll and not _rolled_in(box):
                for k, one in enumerate(box.items):
                    piece.update((i, (box, k)) for i in (_nodes(one)))
            for name in {box.name, box.path or ""} - {""}:
                named[name].append(box)
            titles[box.title].append(box)
        short = {t: same for t, same in titles.items() if len(same) == 1 and same[0].name}
        named = {**short, **named}
        diagram.groups[shapes] = Blocks(root, named, piece)
    found: Blocks = diagram.groups[shapes]
    return found


def scope_parts(scope: str | None) -> list[str]:
    return scope.split("/", _DEEPEST - 1) if scope else []


def first_node(item: Box | int) -> int:
    """The first node of an item, by which items are sorted."""
    return item if isinstance(item, int) else next(item.all_nodes())


def _natural(name: str) -> list[tuple[str, int]]:
    """A key that sorts layer2 before layer10."""
    return [(text, int(digits or -1)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _nodes(item: Box | int) -> Iterable[int]:
    return (item,) if isinstance(item, int) else item.all_nodes()


def _every(root: Box) -> list[Box]:
    found = [item for item in root.items if isinstance(item, Box)]
    for box in found:  # the list grows meanwhile
        found += [item for item in box.items if isinstance(item, Box)]
    return found


def _rolled_in(box: Box) -> bool:
    at = box.parent
    while at is not None and not at.roll:
        at = at.parent
    return at is not None


def _nested(diagram: Diagram) -> tuple[Box, list[Box]]:
    """The results as a tree of boxes, one for each run through a scope. Returns these boxes too, outer
    before inner."""
    root = Box("c", "", "", 0)
    chain = [root]
    made: list[Box] = []
    visits: Counter[str] = Counter()
    scope = None
    for node in diagram.nodes:
        if node.kind != "result":
            continue
        if node.scope != scope:
            scope, parts = node.scope, scope_parts(node.scope)
            paths = ["/".join(parts[: i + 1]) for i in range(len(parts))]
            same = 0
            while same < min(len(parts), len(chain) - 1) and chain[same + 1].path == paths[same]:
                same += 1
            del chain[same + 1 :]
            for depth in range(same, len(parts)):
                path = paths[depth]
                visits[path] += 1
                title = parts[depth] + (f" ({visits[path]})" if visits[path] > 1 else "")
                box = Box(f"c{len(made)}", title, path, depth + 1, chain[-1])
                box.name = f"{path} {visits[path]}"
                made.append(box)
                chain[-1].items.append(box)
                chain.append(box)
        chain[-1].items.append(node.index)
    for box in made:
        if visits[box.path or ""] == 1:
            box.name = box.path or ""
    return root, made


class _Rolls:
    """Groups repeated pieces, box by box."""

    def __init__(self, diagram: Diagram, shapes: bool) -> None:
        self.nodes = diagram.nodes
        self.shapes = shapes
        self.known: dict[object, int] = {}  # a number for each kind of operation and of box
        self.token: dict[Box, int] = {}
        self.weight: dict[Box, int] = {}
        self.wiring = Wiring(diagram)
        self.last = np.full(len(diagram.nodes), -1)  # the last use of each variable
        for use in diagram.uses:
            self.last[use.source] = use.target  # targets come in increasing order

    def gather(self, root: Box, boxes: Sequence[Box]) -> None:
        for box in reversed(boxes):  # inner before outer
            inside = tuple(map(self._token, box.items))
            title = re.sub(r"\d+", "#", scope_parts(box.path)[-1])
            self.token[box] = self._number((title, inside))
            self.weight[box] = sum(map(self._weight, box.items))
        waiting = [root, *boxes]
        while waiting:
            waiting += self._roll(waiting.pop())

    def _number(self, what: object) -> int:
        return self.known.setdefault(what, len(self.known))

    def _token(self, item: Box | int) -> int:
        if isinstance(item, Box):
            return self.token[item]
        node = self.nodes[item]
        form = np.shape(node.value) if self.shapes else np.ndim(node.value)
        return self._number((node.operation, form, len(node.operands)))

    def _weight(self, item: Box | int) -> int:
        return self.weight[item] if isinstance(item, Box) else 1

    def _roll(self, box: Box) -> list[Box]:
        """Replace the repeats among a box's items by rolls. Returns the new boxes to look into."""
        weights = list(map(self._weight, box.items))
        if len(box.items) < 2 or sum(weights) <= WORTH:
            return []
        tokens = list(map(self._token, box.items))
        ends = list(accumulate(len(list(_nodes(item))) for item in box.items))
        starts = [0, *ends]
        first = first_node(box.items[0])

        def alike(repeat: Repeat) -> list[Repeat]:
            size = starts[repeat.start + repeat.period] - starts[repeat.start]
            parts = self.wiring.alike(first, starts[repeat.start], size, repeat.times)
            start, period, _ = repeat
            return [Repeat(start + k * period, period, times) for k, times in parts]

        found = repeats(tokens, weights, self._crossing(box.items), alike)
        fresh: list[Box] = []
        items: list[Box | int] = []
        done = 0
        for number, repeat in enumerate(found, 1):
            items += box.items[done : repeat.start]
            done = repeat.stop
            pieces = self._pieces(box, repeat, number)
            fresh += [piece for piece in pieces if piece.path is None]
            items.append(_rolled(box, pieces))
        box.items = [*items, *box.items[done:]]
        return fresh

    def _crossing(self, items: Sequence[Box | int]) -> list[int]:
        """For each item, how many values computed up to it are needed afterwards."""
        ends = [max(_nodes(item)) for item in items]
        places = np.repeat(np.arange(len(items)), [len(list(_nodes(item))) for item in items])
        inside = np.fromiter((i for item in items for i in _nodes(item)), int)
        until = np.searchsorted(ends, self.last[inside])
        change = np.zeros(len(items) + 2, int)
        np.add.at(change, places, 1)
        np.add.at(change, np.maximum(until, places), -1)
        return list(np.cumsum(change)[: len(items)])

    def _pieces(self, box: Box, repeat: Repeat, number: int) -> list[Box]:
        """The pieces of a repeat: the scopes themselves, or new boxes called steps."""
        items = box.items[repeat.start : repeat.stop]
        if repeat.period == 1 and all(isinstance(item, Box) for item in items):
            return [item for item in items if isinstance(item, Box)]
        before = f"{box.name}/" if box.name else ""
        what = "step" if number == 1 else f"loop {number} step"
        pieces = []
        for k in range(repeat.times):
            inside = items[k * repeat.period : (k + 1) * repeat.period]
            title = f"{what} {k + 1}"
            piece = Box(f"p{next(iter(_nodes(inside[0])))}", title, None, box.depth)
            piece.items, piece.name = inside, before + title
            for item in inside:
                if isinstance(item, Box):
                    item.parent = piece
            pieces.append(piece)
        return pieces


def _rolled(parent: Box, pieces: Sequence[Box]) -> Box:
    """A box for consecutive pieces."""
    first = next(pieces[0].all_nodes())
    roll = Box(f"f{first}", titled(pieces), None, parent.depth, parent, items=[*pieces])
    roll.times = len(pieces)
    for piece in pieces:
        piece.parent = roll
    return roll


def titled(pieces: Sequence[Box]) -> str:
    """A name for consecutive pieces.

    >>> titled([Box("", f"layer{k}", f"net/layer{k}", 2) for k in range(200)])
    'layer0 … 199'
    """
    first, last = pieces[0], pieces[-1]
    if first.path is not None and first.path == last.path:
        return scope_parts(first.path)[-1]
    if first is last:
        return first.title
    before = re.sub(r"\d+$", "", first.title)
    end = last.title.removeprefix(before)
    return f"{first.title} … {end if end.isdigit() else last.title}"


def matched(diagram: Diagram, one: Box, other: Box) -> dict[int, int]:
    """For each variable that a piece of a roll computes or uses, the corresponding variable of another
    piece, so that the numbers of one piece can be written into the picture of the other.
    """
    pairs: dict[int, int] = {}
    for i, j in zip(_made(diagram, one), _made(diagram, other), strict=True):
        pairs[i] = j
        for a, b in zip(diagram.nodes[i].operands, diagram.nodes[j].operands, strict=True):
            if a is not None and b is not None:
                pairs.setdefault(a, b)
    return pairs


def _made(diagram: Diagram, box: Box) -> list[int]:
    return [i for i in box.all_nodes() if diagram.nodes[i].kind == "result"]
