"""Frame: one box with its neighbours as a separate diagram."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from autobp.drawing.blocks import Blocks, Box
from autobp.drawing.diagram import Diagram, Node, Use
from autobp.drawing.fold import Fold, drawn

__all__ = ["Frame", "Framing"]

_OPEN = 20  # operations of a box that is shown with its inner boxes open
_NEIGHBOURS = 8  # variables drawn on either side of a box


@dataclass
class Frame:
    """A box, `c0`, with the variables that its arguments come from and that its results go to. Nodes,
    uses and boxes are numbered anew, so that boxes of equal structure have equal frames."""

    diagram: Diagram
    fold: Fold
    nodes: list[int]  # for each node of this diagram, its number in the whole program
    uses: list[int]  # the same for uses
    outside: set[int]  # the neighbours among its nodes
    boxes: dict[str, Box] = field(
        default_factory=dict
    )  # by id, the boxes of the tree that are in it


class Framing:
    """Makes frames of the boxes of a diagram. Variables `hidden` in parts are not neighbours."""

    def __init__(self, diagram: Diagram, hidden: Iterable[int] = ()) -> None:
        self.nodes: list[Node] = diagram.nodes
        self.hidden: frozenset[int] = frozenset(hidden)
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
        shown = {*inside, *leaves, *near, *far}
        # the operands of neighbours are not drawn, but labels name them
        behind = {o for i in shown for o in self.nodes[i].operands if o is not None} - shown
        order = sorted(shown | behind)
        place = {i: k for k, i in enumerate(order)}
        uses = [
            use
            for i in order
            for use in self.into[i]
            if (i in within and use.source in shown) or (i in far and use.source in within)
        ]
        diagram = Diagram(
            [self._counted(i, k, place, i in behind) for i, k in place.items()],
            [
                use._replace(place=k, source=place[use.source], target=place[use.target])
                for k, use in enumerate(uses)
            ],
        )
        outside = {place[i] for i in (*near, *far)}
        boxes: dict[str, Box] = {}
        inner = _copied(box, place, boxes)
        root = Box("c", "", "", 0, items=[inner, *sorted(outside)])
        opened = {inner}
        if len(inside) <= _OPEN:
            opened.update(_all(inner))
        folded = drawn(diagram, Blocks(root, {}, {}), opened, rolled=len(inside) > _OPEN)
        return Frame(diagram, folded, order, [use.place for use in uses], outside, boxes)

    def _counted(self, i: int, k: int, place: dict[int, int], behind: bool) -> Node:
        node = self.nodes[i]
        operands = tuple(None if o is None else place.get(o) for o in node.operands)
        kind = "result" if behind else node.kind  # a leaf would be drawn
        return replace(node, index=k, operands=operands, kind=kind)


def _copied(box: Box, place: dict[int, int], boxes: dict[str, Box]) -> Box:
    """A box of the tree, numbered as in a frame."""
    copy = Box(f"c{len(boxes)}", box.title, box.path or "", box.depth, times=box.times)
    if box.path is None and boxes:
        copy.path = None
    boxes[copy.id] = box
    copy.items = [
        place[item] if isinstance(item, int) else _copied(item, place, boxes) for item in box.items
    ]
    return copy


def _all(box: Box) -> Iterable[Box]:
    for item in box.items:
        if isinstance(item, Box):
            yield item
            yield from _all(item)
