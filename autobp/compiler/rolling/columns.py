"""Columns: where each operand of a loop within loops comes from, in all its iterations at once.

A loop within others is entered many times, each time with as many iterations as it likes. A column has
an operand of all iterations of all entries, one after the other. It is a value of the same iteration,
or of the one before, or the same throughout an entry; what an entry begins with is then a column of
the loop around. All else is read from a list: what several steps have made, in the order in which
they made it, after what was there before the loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from autobp.compiler.program import form_of
from autobp.compiler.rolling.tokens import Tokens
from autobp.compiler.rolling.words import Repeated

__all__ = [
    "Before", "Fixed", "Integers", "Irregular", "Listed", "Lists", "Nest", "Node", "Now", "Place",
    "Same", "Source",
]  # fmt: skip

Array = Any


class Irregular(Exception):
    """What repeats can not be written as loops within loops."""


@dataclass(eq=False)
class Place:
    """A step of a body, and its positions in the program, in all iterations."""

    node: Node
    positions: Array
    sources: list[Source] = field(default_factory=list)


@dataclass(eq=False)
class Node:
    """A loop within others: how many iterations each entry has, and what is in its body."""

    parent: Node | None
    counts: Array
    begins: Array  # the position of the first step of each entry
    items: list[Place | Node] = field(default_factory=list)

    @cached_property
    def total(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def lasts(self) -> Array:
        """The last iteration of each entry, among all."""
        return np.cumsum(self.counts) - 1

    @cached_property
    def firsts(self) -> Array:
        return self.lasts - self.counts + 1

    @cached_property
    def goes_on(self) -> Array:
        """The iterations that are not the first of an entry."""
        inside = np.ones(self.total, bool)
        inside[self.firsts] = False
        return np.flatnonzero(inside)

    def each(self, of_entries: Array) -> Array:
        """What entries have, for each iteration."""
        return np.repeat(of_entries, self.counts)

    def has(self, node: Node | None) -> bool:
        """Whether a loop is this one, or within it."""
        while node is not None and node is not self:
            node = node.parent
        return node is self

    def places(self) -> Iterator[Place]:
        for item in self.items:
            if isinstance(item, Place):
                yield item
            else:
                yield from item.places()


def ends(place: Place, node: Node) -> Array:
    """The positions of what a step has made at last when an iteration of a loop around it is over."""
    positions, at = place.positions, place.node
    while at is not node:
        positions = positions[at.lasts]
        assert at.parent is not None
        at = at.parent
    return positions


# ── sources ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Fixed:
    """An operand from outside of all loops."""

    number: int


@dataclass(frozen=True)
class Now:
    """What a step, of the body or of a loop in it, has made last in this iteration."""

    place: Place


@dataclass(frozen=True)
class Before:
    """The same of the iteration before; for the first one of an entry, something else."""

    place: Place
    first: Source


@dataclass(frozen=True)
class Same:
    """One operand throughout an entry."""

    source: Source


@dataclass(frozen=True, eq=False)
class Integers:
    """Whole numbers, written in the program."""

    values: Array


@dataclass(frozen=True, eq=False)
class Listed:
    """An element of a list, by operands' numbers."""

    numbers: Array


Source = Fixed | Now | Before | Same | Integers | Listed


class Lists:
    """Which operands are in one list. A member is a place in loops, or else the number of an operand."""

    def __init__(self) -> None:
        self.roots: dict[Any, Any] = {}

    def root(self, member: Any) -> Any:
        while (above := self.roots.setdefault(member, member)) is not member:
            self.roots[member] = member = self.roots[above]
        return member

    def join(self, members: list[Any]) -> None:
        roots = [self.root(member) for member in members]
        for root in roots[1:]:
            self.roots[self.root(root)] = self.root(roots[0])


class Nest:
    """Loops within a loop that is not within another, and the sources of all operands in them."""

    def __init__(self, table: Tokens, row: Repeated) -> None:
        self.table = table
        self.start, self.end = row.first, row.last + 1
        self.root = _node(None, [row])
        self.places: list[Place] = [*self.root.places()]
        self.home: Array = np.full(self.end - self.start, -1, np.int64)  # of each step its place
        for i, place in enumerate(self.places):
            self.home[place.positions - self.start] = i
        self.read: set[Place] = set()  # places that lists are read from, or made of
        self.others: list[Array] = []  # operands from elsewhere that are read from lists
        self._known: dict[Any, Source] = {}
        self._ends: dict[Any, Array] = {}

    def place(self, number: int) -> Place | None:
        i = int(self.home[number - self.start]) if self.start <= number < self.end else -1
        return self.places[i] if i >= 0 else None

    def ends(self, place: Place, node: Node) -> Array:
        if (place, node) not in self._ends:
            self._ends[place, node] = ends(place, node)
        return self._ends[place, node]

    def find_sources(self) -> None:
        """Find the sources of all operands, or raise Irregular."""
        table = self.table
        for place in self.places:
            first = table.starts[place.positions]
            width = int(table.starts[place.positions[0] + 1] - first[0])
            columns = (table.operands[first + i] for i in range(width))
            place.sources = [self.source(place.node, column) for column in columns]

    def source(self, node: Node | None, column: Array) -> Source:
        if node is None:
            return Fixed(int(column[0]))
        key = node, column.tobytes()
        if key not in self._known:
            self._known[key] = self._source(node, column)
        return self._known[key]

    def _source(self, node: Node, column: Array) -> Source:
        place = self.place(int(column[-1]))
        if place and node.has(place.node) and np.array_equal(column, self.ends(place, node)):
            if place.node is not node:
                self.check(place.positions[:1])
            return Now(place)
        firsts = column[node.firsts]
        if np.all(firsts < node.begins):
            if np.array_equal(column, node.each(firsts)):
                return Same(self.source(node.parent, firsts))
            place = self.place(int(column[node.goes_on[-1]]))
            if place and node.has(place.node):
                before = self.ends(place, node)[node.goes_on - 1]
                if np.array_equal(column[node.goes_on], before):
                    self.check(place.positions[:1])
                    return Before(place, self.source(node.parent, firsts))
        if np.all(column < 0):
            values = [self.table.outside[-1 - i] for i in column.tolist()]
            if {*map(type, values)} == {int}:
                return Integers(np.array(values))
        self.put_in_list(np.unique(column))
        return Listed(column)

    def put_in_list(self, numbers: Array) -> None:
        """Let operands be read from a list."""
        self.check(numbers)
        inside = numbers[(numbers >= self.start) & (numbers < self.end)]
        found = [self.places[i] for i in np.unique(self.home[inside - self.start]).tolist()]
        self.read.update(found)
        others = numbers[(numbers < self.start) | (numbers >= self.end)]
        self.others.append(others)

    def check(self, numbers: Array) -> None:
        """Whether operands are single numbers, as lists and names of loops hold them."""
        for number in numbers.tolist():
            steps = self.table.steps
            x = steps[number] if number >= 0 else self.table.outside[-1 - number]
            _, dtype, kind = form_of(x)
            if dtype is None or kind in (np.ndarray, list, tuple):
                raise Irregular

    def listed(self) -> Iterator[Array]:
        """The operands that are to be in one list, for each time that some are."""
        for source in self._known.values():
            if isinstance(source, Listed):
                yield np.unique(source.numbers)


def _node(parent: Node | None, rows: list[Repeated]) -> Node:
    """The loop that some rows are the entries of."""
    counts = np.array([row.count for row in rows])
    node = Node(parent, counts, np.array([row.first for row in rows]))
    _add_items(node, rows)
    return node


def _add_items(node: Node, rows: list[Repeated]) -> None:
    size = rows[0].size
    for i in range(size):
        column = [x for row in rows for x in row.items[i::size]]
        within = [x for x in column if isinstance(x, Repeated)]
        if not within:
            node.items.append(Place(node, np.array(column)))
        elif all(x.count == 1 for x in within):  # of a loop that has one iteration each time
            _add_items(node, within)
        else:
            node.items.append(_node(node, within))
