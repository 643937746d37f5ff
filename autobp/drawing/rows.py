"""Rows: a wide drawing, cut into rows that stand one below another.

A variable that crosses a cut is drawn again, as a small copy, at the beginning of the row that uses it.
So no edge joins two rows, and Graphviz lays out each row from the left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import pairwise

from autobp.drawing.blocks import Box, Copy, first_node
from autobp.drawing.diagram import Diagram, Use
from autobp.drawing.fold import Fold, Link

__all__ = ["in_rows"]

_SLACK = 0.3  # the part of a row's length within which its end may move


def in_rows(folded: Fold, diagram: Diagram, place: Mapping[str, float], rows: int) -> Fold:
    """The same fold in a number of rows. `place` gives, for each drawn id, its distance from the left
    in one single row."""
    return _Cutting(folded, diagram, place, rows).fold()


class _Cutting:
    def __init__(
        self, folded: Fold, diagram: Diagram, place: Mapping[str, float], rows: int
    ) -> None:
        self.folded, self.diagram = folded, diagram
        self.original = {copy.id: copy for copy in folded.copies}
        self.around: dict[str, Box] = {}  # the open box around each drawn thing
        for box in (folded.root, *folded.boxes()):
            if not box.closed:
                for item in box.items:
                    self.around[f"n{item}" if isinstance(item, int) else item.id] = box
        computed = {link.target for link in folded.links} & place.keys()
        self.place = {name: place[name] for name in computed}
        cuts = self._cuts(rows)
        self.row = {name: sum(x > cut for cut in cuts) for name, x in self.place.items()}
        for link in reversed(folded.links):  # leaves, where they are used first
            if link.source not in computed:
                row = self.row.get(link.target, 0)
                self.row[link.source] = min(row, self.row.get(link.source, row))

    def _cuts(self, rows: int) -> list[float]:
        """Where the rows end: at cuts through few edges and few boxes."""
        xs = sorted(set(self.place.values()))
        if len(xs) < rows:
            return []
        length = (xs[-1] - xs[0]) / rows
        middles = [(a + b) / 2 for a, b in pairwise(xs)]
        cuts: list[float] = []
        for k in range(1, rows):
            ideal = xs[0] + k * length
            near = [x for x in middles if abs(x - ideal) <= _SLACK * length and x not in cuts]
            if near:
                cuts.append(min(near, key=lambda x: (self._cost(x), abs(x - ideal))))
        return cuts

    def _cost(self, cut: float) -> int:
        at = self.place
        crossing = {
            link.source
            for link in self.folded.links
            if link.source in at and link.target in at and at[link.source] < cut < at[link.target]
        }
        boxes = 0
        for box in self.folded.boxes():
            inside = [
                at[name]
                for name, holder in self.around.items()
                if name in at and self._within(holder, box)
            ]
            boxes += bool(inside) and min(inside) < cut < max(inside)
        return 2 * len(crossing) + boxes

    def _within(self, box: Box | None, outer: Box) -> bool:
        while box is not None and box is not outer:
            box = box.parent
        return box is outer

    def fold(self) -> Fold:
        lines: list[Box] = []  # the rows, which are no boxes when they are drawn
        parts: dict[tuple[Box, int], Box] = {}
        for row in range(max(self.row.values(), default=0) + 1):
            lines.append(Box("c", "", "", 0))
            parts[self.folded.root, row] = lines[-1]
        seen: dict[Box, int] = {}

        def part(box: Box, row: int) -> Box:
            if (box, row) not in parts:
                again = seen[box] = seen.get(box, 0) + 1
                id, title = (box.id, box.title) if again == 1 else (
                    f"{box.id}_{again}", f"{box.title}, continued"
                )  # fmt: skip
                assert box.parent is not None
                outer = part(box.parent, row)
                fresh = Box(id, title, box.path, box.depth, outer, name=box.name)
                parts[box, row] = fresh
                outer.items.append(fresh)
            return parts[box, row]

        def put(box: Box) -> None:
            for item in box.items:
                if isinstance(item, Box) and not item.closed:
                    put(item)
                    continue
                name = f"n{item}" if isinstance(item, int) else item.id
                part(box, self.row.get(name, 0)).items.append(item)

        put(self.folded.root)
        links, copies = self._joined(part)
        root = Box("c", "", "", 0, sorted=False)
        for line in reversed(lines):  # Graphviz stacks what is apart from the bottom up
            root.items += sorted(line.items, key=first_node)
            root.copies += line.copies
            for item in line.items:
                if isinstance(item, Box):
                    item.parent = root
        return Fold(root, self.folded.home, links, copies)

    def _joined(self, part: Callable[[Box, int], Box]) -> tuple[list[Link], list[Copy]]:
        """The links. A link that would lead to another row begins at a copy in that row."""
        copies: dict[tuple[str, int, int], Copy] = {}
        links = []
        for link in self.folded.links:
            row, source = self.row[link.target], link.source
            original = self.original.get(source)
            if original is None and self.row[source] == row:
                links.append(link)
                continue
            of: dict[int, list[Use]] = defaultdict(list)  # each variable that comes out of a box
            for use in link.uses:
                of[use.source].append(use)
            for node, uses in of.items():
                if (source, row, node) not in copies:
                    result = self.diagram.nodes[node].kind == "result"
                    copied = original is not None or not result
                    note = "copy" if copied else f"row {self.row[source] + 1}"
                    copy = Copy(f"k{uses[0].place}", node, [], note)
                    copies[source, row, node] = copy
                    part(self.around[link.target], row).copies.append(copy)
                copies[source, row, node].uses += [use.place for use in uses]
                links.append(Link(copies[source, row, node].id, link.target, uses))
        return links, list(copies.values())
