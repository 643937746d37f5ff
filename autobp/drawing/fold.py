"""Folding: which variables are drawn, and which are inside a closed box.

Three kinds of groups fold. Scopes: each run through a scope is a group, so that a folded picture has no
cycles. Repeats: a piece of the program that repeats becomes one box, "× 30". Runs: of many other
consecutive operations, all but the first and the last become one box. All groups are contiguous in the
evaluation order, and include the leaves that only they use.

A variable whose uses are far apart is drawn at each of them, once as itself and otherwise as a small
copy. Edges across the whole picture would tell little and slow Graphviz down.

The player folds the same diagram in several ways. `home` of a fold tells which id stands for a
variable. A `Link` is an edge; its source may be a copy. The pieces of `rolls` open by their `name`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from autobp.drawing.blocks import Blocks, Box, Copy, blocks, scope_parts, titled
from autobp.drawing.diagram import Diagram, Use

__all__ = ["CALM", "LIMIT", "Box", "Copy", "Fold", "Link", "drawn", "fold", "tree_of"]

LIMIT = 200  # the default limit of nodes in a picture
_WELCOME = 80  # nodes up to which scopes stay open
CALM = 40  # nodes up to which repeats are drawn one by one
# How many operations are left at each end of a folded run: tried in turn. With zero, a run is
# everything between rolls, except a few operations at the beginning and the end.
_ENDS = (None, 0, 6, 2)
_SEEN = 60  # operations of a chosen box that are drawn one by one
_BETWEEN = 5  # operations between rolls that are folded
_LEFT = (3, 6)  # operations left at the beginning and at the end
_TINY = 4  # a picture of so few nodes tells little
_LONG = 12  # if one of them is a roll with pieces of so many operations
_SMALLER = 0.6  # rolling must make a picture smaller than this fraction
_CROWD = 6  # leaves used alike that are drawn one by one in a crowded picture
_SHARED = 12  # leaves used by many pieces of a roll that are drawn beside it
_NEAR = 3  # ranks between the first and the last use of a leaf that need no copy
_FAR = 4  # ranks beyond which a use gets a copy


@dataclass(slots=True, eq=False)
class Link:
    """An edge as it is drawn: a use, or all uses between two ends of which one is a box."""

    source: str
    target: str
    uses: list[Use]

    @property
    def id(self) -> str:
        return self.uses[0].id


@dataclass(slots=True, eq=False)
class Fold:
    """A diagram as it is drawn: a tree of boxes, the id that stands for each node, and the links."""

    root: Box
    home: list[str]  # of each node: its own id, or that of the closed box which stands for it
    links: list[Link]
    copies: list[Copy]

    @property
    def drawn(self) -> int:
        return len(set(self.home)) + len(self.copies)

    @property
    def rolls(self) -> list[Box]:
        """The closed boxes that stand for several pieces; `expand` opens each by its name."""
        return [box for box in self.boxes() if box.closed and box.roll]

    def boxes(self) -> Iterator[Box]:
        """All boxes that are drawn, outer before inner, except the root."""
        stack = [self.root]
        while stack:
            box = stack.pop()
            if box is not self.root:
                yield box
            if not box.closed:
                stack += [item for item in reversed(box.items) if isinstance(item, Box)]


def fold(
    diagram: Diagram,
    depth: int | None = None,
    expand: Sequence[str] = (),
    limit: int = LIMIT,
    roll: bool | None = None,
) -> Fold:
    """Decide what is drawn.

    `depth` is how many levels of scopes are open. The scopes in `expand`, and all scopes around them,
    are open too. Without either, as many levels are open as fit the limit. Repeats are rolled into one
    box if that makes a large picture much smaller, or if `roll` says so; `expand` opens one piece. If
    the result still exceeds the limit, runs of operations fold.

    >>> from autobp import Tensor, graph
    >>> from autobp.drawing.diagram import diagram
    >>> y = Tensor(1.0, name="x")
    >>> for _ in range(1000):
    ...     y = y * 1.01
    >>> folded = fold(diagram(graph(y)))
    >>> folded.drawn, [f"{box.title} × {box.times}" for box in folded.boxes()]
    (2, ['step 1 … 1000 × 1000'])
    >>> [box.title for box in fold(diagram(graph(y)), expand=["step 12"]).boxes()]
    ['step 1 … 11', 'step 12', 'step 13 … 1000']
    """
    tree = tree_of(diagram)
    chosen = tree.chosen(expand)
    if expand:
        depth = depth or 0
    if roll is None:
        piece = any(box.path is None and not box.roll for box in chosen)
        ways = [True] if piece else [False] if limit > LIMIT else [False, True]
    else:
        ways = [roll]
    deepest = _deepest(diagram)
    depths = range(deepest, -1, -1) if depth is None else [depth]
    least: _Drawing | None = None
    most = limit if limit != LIMIT or depth is not None else _WELCOME
    for ends, bound in [(None, most), (0, most), *((ends, limit) for ends in _ENDS)]:
        for d in depths:
            best: _Drawing | None = None
            for rolled in ways:
                found = _Drawing(diagram, tree, d, chosen, rolled, ends, limit)
                if best is None or found.drawn < _SMALLER * best.drawn:
                    best = found
                if best.drawn <= CALM:
                    break
            assert best is not None
            if roll is None and best.drawn <= _TINY and not chosen:
                best = _shown(diagram, tree, d, ends, limit) or best
            telling = best.drawn > _TINY or d == deepest
            fits = best.drawn <= bound and len(best.fold().links) <= 2 * limit
            if (telling and fits) or (depth is not None and best.drawn <= limit):
                return best.fold()
            if least is None or best.drawn < least.drawn:
                least = best
    assert least is not None
    return least.fold()


def _shown(
    diagram: Diagram, tree: Blocks, depth: int, ends: int | None, limit: int
) -> _Drawing | None:
    """The same picture with the first piece open, if it is little more than a roll of long pieces."""
    for item in tree.root.items:
        if isinstance(item, Box) and item.roll:
            piece = item.items[0]
            if isinstance(piece, Box) and len(list(piece.all_nodes())) > _LONG:
                found = _Drawing(diagram, tree, depth, {piece}, True, ends, limit)
                return found if found.drawn <= _WELCOME else None
    return None


def _run(items: Sequence[Box | int], operations: int) -> str:
    """A title for a run of items: its scopes and steps, if it has any."""
    inside = [item for item in items if isinstance(item, Box)]
    if not inside:
        return f"{operations:,} operations"
    return titled(inside)


def _deepest(diagram: Diagram) -> int:
    return max((len(scope_parts(n.scope)) for n in diagram.nodes), default=0)


def tree_of(diagram: Diagram) -> Blocks:
    """The tree of blocks in which equal pieces have equal shapes, or the one in which shapes may differ
    if that makes the picture of a large program much smaller."""
    if "chosen" not in diagram.groups:
        drawn: list[tuple[int, Blocks]] = []
        for shapes in (True, False):
            tree = blocks(diagram, shapes)
            found = _Drawing(diagram, tree, _deepest(diagram), set(), True, None, LIMIT)
            drawn.append((found.drawn, tree))
            if found.drawn <= CALM:
                break
        (strict, tree), (loose, other) = drawn[0], drawn[-1]
        diagram.groups["chosen"] = other if loose < _SMALLER * strict else tree
    chosen: Blocks = diagram.groups["chosen"]
    return chosen


def drawn(diagram: Diagram, tree: Blocks, opened: set[Box], rolled: bool) -> Fold:
    """Fold a tree of boxes, with some of its boxes open and all others closed."""
    return _Drawing(diagram, tree, -1, opened, rolled, None, 2 * len(diagram.nodes)).fold()


class _Drawing:
    """Builds the tree of boxes that is drawn, and the map from nodes to ids."""

    def __init__(
        self,
        diagram: Diagram,
        tree: Blocks,
        depth: int,
        chosen: set[Box],
        rolled: bool,
        ends: int | None,
        limit: int,
    ) -> None:
        self.diagram, self.tree, self.limit = diagram, tree, limit
        self.folded: Fold | None = None
        self.shown: set[Box] = set()  # boxes chosen by the user, which no run hides
        self.depth, self.chosen, self.rolled, self.ends = depth, chosen, rolled, ends
        self.holder: list[Box | None] = [None] * len(diagram.nodes)  # the box that it is drawn in
        self.homes: list[Box | None] = [None] * len(diagram.nodes)  # the closed box around it
        self.users: list[list[int]] = [[] for _ in diagram.nodes]
        for use in diagram.uses:
            self.users[use.source].append(use.target)
        self.root = Box("c", "", "", 0)
        self._fill(self.root, tree.root.items)
        if ends is not None:
            waiting = [self.root]
            for box in waiting:  # the list grows meanwhile
                if box in self.shown and len(box.items) <= _SEEN:
                    pass
                elif ends:
                    self._fold_run(box, ends)
                elif any(isinstance(item, Box) and item.roll for item in box.items):
                    self._fold_between(box)
                waiting += [i for i in box.items if isinstance(i, Box) and not i.closed]
        self._place_leaves(limit)

    @cached_property
    def drawn(self) -> int:
        """How many nodes are drawn. Copies are not counted if there are too many nodes already."""
        alone = len({i if box is None else box for i, box in enumerate(self.homes)})
        return alone if alone > self.limit else self.fold().drawn

    def fold(self) -> Fold:
        if self.folded is None:
            home = [f"n{i}" if box is None else box.id for i, box in enumerate(self.homes)]
            links = _links(self.diagram, home)
            self.folded = Fold(self.root, home, links, self._copied(links))
        return self.folded

    # ── the boxes ─────────────────────────────────────────────────────────────────────────────────

    def _fill(self, box: Box, items: Iterable[Box | int]) -> None:
        """Draw items of the tree in an open box."""
        for item in items:
            if isinstance(item, int):
                box.items.append(item)
                self.holder[item] = box
            elif item.roll:
                self._fill_roll(box, item)
            elif item.path is None and not self.rolled:  # a piece among others of its kind
                self._fill(box, item.items)
            elif self._opens(item):
                fresh = Box(item.id, item.title, item.path, item.depth, box, name=item.name)
                box.items.append(fresh)
                if item in self.chosen:
                    self.shown.add(fresh)
                self._fill(fresh, item.items)
            else:
                self._close(box, Box(item.id, item.title, item.path, item.depth), item.items)

    def _opens(self, item: Box) -> bool:
        return item in self.chosen or (item.path is not None and item.depth <= self.depth)

    def _fill_roll(self, box: Box, roll: Box) -> None:
        pieces = roll.pieces
        if not self.rolled:
            self._fill(box, pieces)
            return
        run: list[Box] = []
        for piece in [*pieces, None]:
            if piece is not None and piece not in self.chosen:
                run.append(piece)
                continue
            if len(run) == 1:
                self._close(box, _like(run[0]), run[0].items)
            elif run:
                closed = Box(f"f{next(run[0].all_nodes())}", titled(run), None, box.depth + 1)
                closed.times = len(run)
                self._close(box, closed, run)
            run = []
            if piece is not None:
                self._fill(box, [piece])

    def _close(self, box: Box, closed: Box, items: Sequence[Box | int]) -> None:
        closed.parent, closed.closed, closed.items = box, True, [*items]
        box.items.append(closed)
        for i in closed.all_nodes():
            self.holder[i], self.homes[i] = box, closed

    def _fold_run(self, box: Box, ends: int) -> None:
        """Put a run of operations in a box, except its ends, into one closed box."""
        items, box.items = box.items, []
        first, middle, last = items[:ends], items[ends:-ends], items[-ends:]
        if len(middle) < ends:
            box.items = items
            return
        box.items += first
        for shown, run in groupby(middle, self.shown.__contains__):
            if shown:
                box.items += run
            else:
                self._close_run(box, [*run])
        box.items += last

    def _fold_between(self, box: Box) -> None:
        """Put the operations between rolls into closed boxes."""
        items, box.items = box.items, []
        runs = [(plain, [*run]) for plain, run in groupby(items, lambda i: isinstance(i, int))]
        for k, (plain, run) in enumerate(runs):
            before = _LEFT[0] if k == 0 else 0
            after = len(run) - (_LEFT[1] if k == len(runs) - 1 else 0)
            if plain and after - before >= _BETWEEN:
                box.items += run[:before]
                self._close_run(box, run[before:after])
                box.items += run[after:]
            else:
                box.items += run

    def _close_run(self, box: Box, items: Sequence[Box | int]) -> None:
        if len(items) == 1 and isinstance(items[0], Box) and items[0].closed:
            box.items += items  # the item itself tells more
            return
        inside = [
            i for item in items for i in ([item] if isinstance(item, int) else item.all_nodes())
        ]
        self._close(box, Box(f"f{inside[0]}", _run(items, len(inside)), None, box.depth + 1), items)

    # ── the leaves ────────────────────────────────────────────────────────────────────────────────

    def _place_leaves(self, limit: int) -> None:
        """Put each leaf where it is used: inside a box if only that box uses it, inside its scope if it
        belongs to one, and otherwise outside all boxes."""
        shared: dict[Box, list[int]] = defaultdict(list)  # leaves that many pieces of a roll use
        loose: dict[tuple[Box, str, frozenset[int]], list[int]] = {}
        for node in self.diagram.nodes:
            if node.kind == "result":
                continue
            i, targets = node.index, self.users[node.index]
            around = {self.homes[t] or t for t in targets}
            (end,) = around if len(around) == 1 else (None,)
            box = self.root
            if isinstance(end, Box) and (end.path is None or node.scope):
                if not end.roll or self._of_one_piece(i):
                    box = self.homes[i] = end
                else:
                    shared[end].append(i)
                    box = end.parent if node.scope and end.parent is not None else self.root
            elif node.scope and targets:
                box = _around([self.homes[t] or self._held(t) for t in targets])
            self.holder[i] = box
            if self.homes[i] is not None:
                box.items.append(i)
                continue
            seen = frozenset(i for i in around if isinstance(i, int))
            loose.setdefault((box, node.kind, seen), []).append(i)
        many = {i for leaves in shared.values() if len(leaves) > _SHARED for i in leaves}
        self._bundle(loose, limit, many)

    def _held(self, i: int) -> Box:
        box = self.holder[i]
        assert box is not None
        return box

    def _of_one_piece(self, leaf: int) -> bool:
        """Whether a leaf belongs to one piece of a roll, as others belong to the other pieces. A leaf
        that only the first piece uses does not, nor does one that several use."""
        pieces = {self.tree.piece[t][1] for t in self.users[leaf] if t in self.tree.piece}
        if len(pieces) != 1:
            return False
        first = min(self.users[leaf])
        roll, k = self.tree.piece[first]
        if k:
            return True
        slot = self.diagram.nodes[first].operands.index(leaf)
        one, other = (self._inside(roll, n) for n in (0, 1))
        operand = self.diagram.nodes[other[one.index(first)]].operands[slot]
        return operand is not None and self.diagram.nodes[operand].kind != "result"

    def _inside(self, roll: Box, k: int) -> list[int]:
        piece = roll.items[k]
        return [piece] if isinstance(piece, int) else list(piece.all_nodes())

    def _bundle(
        self, loose: dict[tuple[Box, str, frozenset[int]], list[int]], limit: int, many: set[int]
    ) -> None:
        """Draw leaves, or a box for leaves that are used alike if there are too many."""
        crowded = self.ends is not None and sum(map(len, loose.values())) > limit // 2
        for (box, kind, _), leaves in loose.items():
            if (crowded or many.issuperset(leaves)) and len(leaves) > _CROWD:
                title = f"{len(leaves):,} {kind}s"
                bundle = Box(f"f{leaves[0]}", title, None, box.depth + 1, box, True, [*leaves])
                box.items.append(bundle)
                for i in leaves:
                    self.homes[i] = bundle
            else:
                box.items += leaves

    # ── the copies ────────────────────────────────────────────────────────────────────────────────

    def _copied(self, links: Sequence[Link]) -> list[Copy]:
        """Draw copies of variables whose uses are far apart: leaves, and results with many uses. The
        edges to those uses begin at the copies."""
        rank = _ranks(links)
        starting: dict[str, list[Link]] = defaultdict(list)
        for link in links:
            starting[link.source].append(link)
        copies = []
        for source, mine in starting.items():
            boxes = sum(link.target[0] != "n" for link in mine)
            if source[0] != "n" or len({link.target for link in mine}) < 3 - (boxes > 0):
                continue
            mine.sort(key=lambda link: -rank[link.target])
            if rank[mine[0].target] - rank[mine[-1].target] <= _FAR:
                continue
            groups: list[list[Link]] = []
            for link in mine:
                near = groups and rank[groups[-1][0].target] - rank[link.target] <= _NEAR
                groups[-1].append(link) if near else groups.append([link])
            node = self.diagram.nodes[int(source[1:])]
            if node.kind == "result" and len(groups) < 4:
                continue
            for group in groups[1:]:
                uses = [use for link in group for use in link.uses]
                copy = Copy(f"k{uses[0].place}", node.index, [use.place for use in uses])
                for link in group:
                    link.source = copy.id
                at = [self.homes[use.target] or self._held(use.target) for use in uses]
                _around(at).copies.append(copy)
                copies.append(copy)
        self._settle(links)
        return copies

    def _settle(self, links: Sequence[Link]) -> None:
        """Draw the leaf of a scope itself near its first uses."""
        targets: dict[int, list[int]] = defaultdict(list)
        for link in links:
            if link.source[0] == "n":
                targets[link.uses[0].source] += [use.target for use in link.uses]
        for i, mine in targets.items():
            node, old = self.diagram.nodes[i], self._held(i)
            if node.kind == "result" or not node.scope or self.homes[i] is not None:
                continue
            box = _around([self.homes[t] or self._held(t) for t in mine])
            if box is not old and i in old.items:
                old.items.remove(i)
                box.items.append(i)
                self.holder[i] = box


def _like(piece: Box) -> Box:
    return Box(piece.id, piece.title, piece.path, piece.depth, name=piece.name)


def _ranks(links: Sequence[Link]) -> dict[str, int]:
    """For each drawn id, the number of edges on the longest path from it to an end."""
    into: dict[str, list[str]] = defaultdict(list)
    left: dict[str, int] = defaultdict(int)
    rank: dict[str, int] = {}
    for link in links:
        into[link.target].append(link.source)
        left[link.source] += 1
        rank[link.source] = rank[link.target] = 0
    ready = [name for name in rank if not left[name]]
    while ready:
        name = ready.pop()
        for source in into[name]:
            rank[source] = max(rank[source], rank[name] + 1)
            left[source] -= 1
            if not left[source]:
                ready.append(source)
    return rank


def _around(boxes: list[Box]) -> Box:
    """The innermost open box around all of these."""
    paths = []
    for box in set(boxes):
        path = [box]
        while path[-1].parent is not None:
            path.append(path[-1].parent)
        paths.append([b for b in reversed(path) if not b.closed])
    common = paths[0]
    for path in paths[1:]:
        same = 0
        while same < min(len(path), len(common)) and path[same] is common[same]:
            same += 1
        common = common[:same]
    return common[-1]


def _links(diagram: Diagram, home: list[str]) -> list[Link]:
    links: dict[object, Link] = {}
    for use in diagram.uses:
        source, target = home[use.source], home[use.target]
        if source != target:
            alone = source[0] == target[0] == "n"
            key = use.place if alone else (source, target)
            if key in links:
                links[key].uses.append(use)
            else:
                links[key] = Link(source, target, [use])
    return list(links.values())
