"""Frame: one box with its neighbours as a diagram of its own, to be drawn by itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from autobp.draw.blocks import Box
from autobp.draw.diagram import Diagram, Use
from autobp.draw.fold import Fold, _links

__all__ = ["Frame", "Framing"]

_OPEN = 40  # operations of a box that is shown with its inner boxes open
_NEIGHBOURS = 8  # variables around a box that are drawn on either side of it


@dataclass
class Frame:
    """A box, which is `c0`, and around it where its arguments come from and its results go. Nodes
    and uses are counted anew."""

    diagram: Diagram
    fold: Fold
    nodes: list[int]  # of each node of this diagram, the one of the whole program
    uses: list[int]  # likewise
    outside: set[int]  # the neighbours among its nodes
    boxes: dict[str, Box]  # by id, the boxes of the tree that are drawn in it


class Framing:
    """Makes frames of the boxes of a diagram. What is `hidden` in parts is no neighbour."""

    def __init__(self, diagram: Diagram, hidden: Iterable[int] = ()) -> None:
        self.nodes = diagram.nodes
        self.hidden = frozenset(hidden)
        self.into: dict[int, list[Use]] = defaultdict(list)
        self.out: dict[int, list[Use]] = defaultdict(list)
        for use in diagram.uses:
            self.into[use.target].append(use)
            self.out[use.source].append(use)

    def __call__(self, box: Box) -> Frame:
        inside = sorted(box.all_nodes())
        within = set(inside)
        sources = dict.fromkeys(u.source for i in inside for u in self.into[i])
        leaves = [i for i in sources if self.nodes[i].kind != "result"]
        before = [i for i in sources if self.nodes[i].kind == "result" and i not in within]
        after = dict.fromkeys(u.target for i in inside for u in self.out[i])
        near = [i for i in before if i not in self.hidden][-_NEIGHBOURS:]
        far = [i for i in after if i not in within and i not in self.hidden][:_NEIGHBOURS]
        drawn = {*inside, *leaves, *near, *far}
        # what some are computed from is not drawn, but it is in their labels
        behind = {o for i in drawn for o in self.nodes[i].operands if o is not None}
        order = sorted(drawn | behind)
        place = {i: k for k, i in enumerate(order)}
        root = Box("c", "", "", 0)
        inner = Box("c0", box.title, "", 1, root)
        shut: dict[int, Box] = {}  # of each node in a closed box, that box
        boxes: dict[str, Box] = {}
        self._fill(inner, box, len(inside) <= _OPEN, shut, place, boxes)
        root.items = [inner, *(place[i] for i in (*near, *far))]
        for i in leaves:
            users = {u.target for u in self.out[i]}
            closed = {shut.get(t) for t in users}
            home = root if users - within else inner
            if home is inner and len(closed) == 1:
                home = next(iter(closed)) or inner
            home.items.append(place[i])
            if home.closed:
                shut[i] = home
        taken: list[Use] = []
        uses: list[int] = []
        for i in order:
            for use in self.into[i] if i in drawn else ():
                if (i in within and use.source in drawn) or (i in far and use.source in within):
                    uses.append(use.place)
                    ends = place[use.source], place[i]
                    taken.append(Use(len(taken), *ends, use.slot, use.contribution))
        nodes = [
            replace(
                self.nodes[i],
                index=k,
                operands=tuple(None if o is None else place.get(o) for o in self.nodes[i].operands),
            )
            for k, i in enumerate(order)
        ]
        diagram = Diagram(nodes, taken)
        homes = [shut[i].id if i in shut else f"n{k}" for k, i in enumerate(order)]
        folded = Fold(root, homes, _links(diagram, homes), [])
        outside = {place[i] for i in (*near, *far)}
        return Frame(diagram, folded, order, uses, outside, boxes)

    def _fill(
        self,
        box: Box,
        source: Box,
        opened: bool,
        shut: dict[int, Box],
        place: dict[int, int],
        boxes: dict[str, Box],
    ) -> None:
        """Draw what a box of the tree holds in another one."""
        for item in source.items:
            if isinstance(item, int):
                box.items.append(place[item])
            elif opened and item.roll:
                self._fill(box, item, opened, shut, place, boxes)
            else:
                # ids of its own, so that boxes that are built alike have the same text
                id = f"c{len(boxes) + 1}"
                boxes[id] = item
                made = Box(id, item.title, item.path, item.depth, box, closed=not opened)
                made.times = item.times
                box.items.append(made)
                if opened:
                    self._fill(made, item, opened, shut, place, boxes)
                else:
                    made.items = list(_placed(item, place))
                    shut.update((i, made) for i in item.all_nodes())


def _placed(box: Box, place: dict[int, int]) -> Iterator[Box | int]:
    """What a closed box holds: of a roll its pieces, else all that is in it."""
    for item in box.items:
        if isinstance(item, int):
            yield place[item]
        else:
            copy = Box(item.id, item.title, item.path, item.depth, times=item.times)
            copy.items = list(_placed(item, place))
            yield copy
