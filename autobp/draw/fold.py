"""Folding: which variables are drawn, and which are inside a box that stands for many.

Two things fold. Scopes do, each run through one being a group of its own, so that a folded picture
has no circles. And where many operations follow one another, as in a loop or in a graph of scalars
without scopes, all but the first and the last of them do. Both kinds of group are stretches of the
evaluation order, with the leaves that only they use.

The player folds the same diagram at several depths: `home` of a fold says what stands for a variable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from autobp.draw.diagram import Diagram, Use

__all__ = ["LIMIT", "Box", "Fold", "Link", "fold"]

LIMIT = 200  # how many nodes a picture has at most, unless it is asked for more
_ENDS = (None, 6, 2)  # how many operations are left at each end of a folded run: tried in turn
_CROWD = 6  # how many leaves that are used alike are drawn each, where there are too many
_DEEPEST = 30  # scopes within scopes; what is deeper is as if in the thirtieth


@dataclass(slots=True, eq=False)
class Box:
    """A group of variables: open, it is drawn around what it holds; closed, in its place."""

    id: str
    title: str
    path: str | None  # of the scope; None: a folded run
    depth: int
    parent: Box | None = None
    closed: bool = False
    items: list[Box | int] = field(default_factory=list)  # what it holds; numbers are nodes

    def all_nodes(self) -> Iterator[int]:
        """Every node inside, however deep."""
        stack: list[Box | int] = [self]
        while stack:
            item = stack.pop()
            if isinstance(item, Box):
                stack.extend(reversed(item.items))
            else:
                yield item


@dataclass(slots=True, eq=False)
class Link:
    """What is drawn as one edge: a use, or all the uses between two ends one of which is a box."""

    source: str
    target: str
    uses: list[Use]

    @property
    def id(self) -> str:
        return self.uses[0].id


@dataclass(slots=True, eq=False)
class Fold:
    """A diagram as it is drawn: a tree of boxes, the home of each node, and the links."""

    root: Box
    home: list[str]  # of each node: its own id, or that of the closed box which stands for it
    links: list[Link]

    @property
    def drawn(self) -> int:
        return len(set(self.home))

    def boxes(self) -> Iterator[Box]:
        """All boxes that are drawn, outer before inner, but for the root."""
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
) -> Fold:
    """Decide what is drawn.

    With a `depth`, that many levels of scopes are open; those in `expand`, and all around them, are
    open besides. Without either, as many levels as fit the limit are. If what is open still does
    not fit, runs of operations fold.

    >>> from autobp import Tensor, graph
    >>> from autobp.draw.diagram import diagram
    >>> y = Tensor(1.0, name="x")
    >>> for _ in range(1000):
    ...     y = y * 1.01
    >>> folded = fold(diagram(graph(y)))
    >>> folded.drawn, [box.title for box in folded.boxes()]
    (14, ['988 operations'])
    """
    if expand:
        _check(diagram, expand)
        depth = depth or 0
    deepest = max((len(_parts(n.scope)) for n in diagram.nodes), default=0)
    depths = range(deepest, -1, -1) if depth is None else [depth]
    least: tuple[int, Box, list[str]] | None = None
    for ends in _ENDS:
        for d in depths:
            root, home = _folded(diagram, d, expand, ends, limit)
            drawn = len(set(home))
            if drawn <= limit and (drawn > 4 or d == deepest or depth is not None):
                links = _links(diagram, home)
                if depth is not None or len(links) <= 2 * limit:
                    return Fold(root, home, links)
            if least is None or drawn < least[0]:
                least = drawn, root, home
    assert least is not None
    _, root, home = least
    return Fold(root, home, _links(diagram, home))


def _check(diagram: Diagram, expand: Sequence[str]) -> None:
    scopes = {
        "/".join(parts[:i])
        for parts in {tuple(_parts(n.scope)) for n in diagram.nodes}
        for i in range(1, len(parts) + 1)
    }
    for path in expand:
        if path not in scopes:
            there = ", ".join(map(repr, sorted(scopes))) or "none"
            raise ValueError(f"expand={path!r} is no scope of this graph; there are {there}")


def _parts(scope: str | None) -> list[str]:
    return scope.split("/", _DEEPEST - 1) if scope else []


def _folded(
    diagram: Diagram, depth: int, expand: Sequence[str], ends: int | None, limit: int
) -> tuple[Box, list[str]]:
    root, holder = _nested(diagram)
    for box in _every(root):
        within = any(path == box.path or path.startswith(f"{box.path}/") for path in expand)
        box.closed = box.depth > depth and not within
    if ends is not None:
        for box in [root, *_every(root)]:
            if not box.closed:
                _fold_run(box, holder, ends)
    stands: dict[Box, Box | None] = {}
    homes = [_home(holder[n.index], stands) if n.kind == "result" else None for n in diagram.nodes]
    _place_leaves(diagram, root, holder, homes, ends, limit)
    return root, [f"n{i}" if box is None else box.id for i, box in enumerate(homes)]


def _every(root: Box) -> list[Box]:
    found = [item for item in root.items if isinstance(item, Box)]
    for box in found:
        found += [item for item in box.items if isinstance(item, Box)]
    return found


def _nested(diagram: Diagram) -> tuple[Box, list[Box]]:
    """The operations in a tree of boxes, one for each run through a scope; and, for each node, the
    innermost box that it is in."""
    root = Box("c", "", "", 0)
    chain, holder = [root], []
    visits: Counter[str] = Counter()
    count = 0
    scope = None
    for node in diagram.nodes:
        if node.kind == "result":
            if node.scope != scope:
                scope, parts = node.scope, _parts(node.scope)
                paths = ["/".join(parts[: i + 1]) for i in range(len(parts))]
                same = 0
                while (
                    same < min(len(parts), len(chain) - 1) and chain[same + 1].path == paths[same]
                ):
                    same += 1
                del chain[same + 1 :]
                for depth in range(same, len(parts)):
                    visits[paths[depth]] += 1
                    again = visits[paths[depth]]
                    title = parts[depth] + (f" ({again})" if again > 1 else "")
                    box = Box(f"c{count}", title, paths[depth], depth + 1, chain[-1])
                    count += 1
                    chain[-1].items.append(box)
                    chain.append(box)
            chain[-1].items.append(node.index)
        holder.append(chain[-1])
    return root, holder


def _fold_run(box: Box, holder: list[Box], ends: int) -> None:
    """Put all but the ends of what runs in a box into one closed box."""
    middle = box.items[ends:-ends]
    if len(middle) < ends:
        return
    run = Box("", "", None, box.depth + 1, box, closed=True, items=middle)
    inside = list(run.all_nodes())
    run.id, run.title = f"f{inside[0]}", f"{len(inside):,} operations"
    box.items[ends:-ends] = [run]
    for item in middle:
        if isinstance(item, Box):
            item.parent = run
        else:
            holder[item] = run


def _home(box: Box, known: dict[Box, Box | None]) -> Box | None:
    """The outermost closed box around what is in this one."""
    if box not in known:
        found, at = None, box
        while at.parent is not None:
            found, at = (at if at.closed else found), at.parent
        known[box] = found
    return known[box]


def _place_leaves(
    diagram: Diagram,
    root: Box,
    holder: list[Box],
    homes: list[Box | None],
    ends: int | None,
    limit: int,
) -> None:
    """Put each leaf where it is used: inside a folded run if only that uses it, inside a scope if
    it is of one, and else outside all boxes."""
    users: list[list[int]] = [[] for _ in diagram.nodes]
    for use in diagram.uses:
        users[use.source].append(use.target)
    loose: dict[tuple[Box, str, frozenset[int]], list[int]] = {}
    for node in diagram.nodes:
        if node.kind == "result":
            continue
        targets = users[node.index]
        around = {homes[i] or i for i in targets}
        (end,) = around if len(around) == 1 else (None,)
        box = root
        if isinstance(end, Box) and (end.path is None or node.scope):
            box, homes[node.index] = end, end
        elif node.scope and targets:
            box = _around([homes[i] or holder[i] for i in targets])
        if homes[node.index] is None:
            seen = frozenset(i for i in around if isinstance(i, int))
            loose.setdefault((box, node.kind, seen), []).append(node.index)
        else:
            box.items.append(node.index)
    crowded = ends is not None and sum(map(len, loose.values())) > limit // 2
    for (box, kind, _), leaves in loose.items():
        if crowded and len(leaves) > _CROWD:
            title = f"{len(leaves):,} {kind}s"
            bundle = Box(f"f{leaves[0]}", title, None, box.depth + 1, box, True, [*leaves])
            box.items.append(bundle)
            for i in leaves:
                homes[i] = bundle
        else:
            box.items += leaves


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
