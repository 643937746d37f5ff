"""Words: loops within loops, as they repeat in the tokens of a program, whatever their lengths.

Steps that repeat are a word. Where all that is repeated of it stands in a row, the row becomes one
token, however long it is; then words are looked for again among these. So `for i in …: for j in
range(i): …` is a word whose repetitions have each one more of another word in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from autobp.compiler.program import Step
from autobp.compiler.rolling.periods import ITERATIONS, fitting, lags, steadily
from autobp.compiler.rolling.tokens import Tokens

__all__ = ["Repeated", "words"]

LEVELS = 16  # loops within one another, and beside one another
SHARE = 400  # of the steps, at least one in so many is in the rows of a word

Array = Any


@dataclass(eq=False)
class Repeated:
    """A word that repeats, one repetition after the other. Its items are positions of steps, and
    other words that repeat."""

    size: int  # of the word
    items: list[int | Repeated]

    @property
    def count(self) -> int:
        return len(self.items) // self.size

    @property
    def first(self) -> int:
        """The position of its first step."""
        x = self.items[0]
        return x.first if isinstance(x, Repeated) else x

    @property
    def last(self) -> int:
        x = self.items[-1]
        return x.last if isinstance(x, Repeated) else x

    @property
    def is_nested(self) -> bool:
        return any(isinstance(x, Repeated) for x in self.items[: self.size])


def words(table: Tokens) -> list[Repeated]:
    """The longest rows of words in a program."""
    ids = table.tokens
    items: list[int | Repeated] = [*range(len(ids))]
    alive = _alive(table)
    for level in range(LEVELS):
        found = _Level(table, ids, items, alive, is_lowest=not level)
        if not found.words:
            break
        ids, items = found.shortened()
    return [x for x in items if isinstance(x, Repeated) and x.count >= ITERATIONS]


def _first(item: int | Repeated) -> int:
    return item.first if isinstance(item, Repeated) else item


class _Level:
    """The words of a row of items."""

    def __init__(
        self, table: Tokens, ids: Array, items: list[int | Repeated], alive: Array, is_lowest: bool
    ) -> None:
        self.table = table
        self.ids = ids
        self.items = items
        self.alive = alive
        self.is_lowest = is_lowest
        self.sizes: Array = np.diff([*map(_first, items), len(table.tokens)])
        self.rows: dict[int, tuple[Array, Array]] = {}  # by lags: where rows begin and end
        self.masks: dict[int, Array] = {}  # and which items are in them
        self.owner: Array = np.full(len(ids), -1)  # the word that has a row there
        self.words: list[tuple[int, Array]] = []  # how long one is, and where
        self.find_rows()
        while word := self.best():
            self.add(*word)

    def find_rows(self) -> None:
        ids = self.ids
        divisors = ({d for d in range(1, lag + 1) if lag % d == 0} for lag in lags(ids))
        for lag in sorted(set().union(*divisors)):
            fits = _fitting(self.table, lag) if self.is_lowest else ids[lag:] == ids[:-lag]
            reach = 2 * lag if self.is_lowest else lag
            edges = np.flatnonzero(np.diff(np.concatenate([[False], fits, [False]])))
            starts, ends = edges[::2], edges[1::2] + reach
            enough = ends - starts >= 3 * lag
            starts, ends = starts[enough], ends[enough]
            if not len(starts) or (ends - starts).max() < ITERATIONS * lag:
                continue
            change = np.zeros(len(ids) + 1, np.int64)
            np.add.at(change, starts, 1)
            np.add.at(change, ends, -1)
            mask = np.cumsum(change[:-1]) > 0
            for shorter, theirs in self.masks.items():
                if lag % shorter == 0:  # a word of which this one is two or more
                    mask &= ~theirs
            if mask.any():
                self.rows[lag], self.masks[lag] = (starts, ends), mask

    def best(self) -> tuple[int, int] | None:
        """Where a word begins, and how many items it has: that of whose rows the most steps are, of two
        such words the shorter one."""
        best, chosen = 0, None
        for lag, (starts, ends) in self.rows.items():
            mask = self.masks[lag] & (self.owner < 0)
            covered = int(self.sizes[mask].sum())
            lengths = (ends - starts) * mask[(starts + ends) // 2]
            longest = int(np.argmax(lengths))
            enough = lengths[longest] >= ITERATIONS * lag and covered * SHARE > self.sizes.sum()
            if enough and covered > 1.2 * best:
                best, chosen = covered, (int(starts[longest]), int(ends[longest]), lag)
        if chosen is None:
            return None
        start, end, lag = chosen
        self.masks[lag][start:end] = False  # whatever comes of it
        rest = (end - start) % lag
        cuts = [self.alive[_first(self.items[start + k])] for k in range(rest + 1)]
        return start + int(np.argmin(cuts)), lag

    def add(self, start: int, size: int) -> None:
        """Add a word, whose rows are not to be taken apart by others."""
        matches = np.ones(max(0, len(self.ids) - size + 1), bool)
        for k, token in enumerate(self.ids[start : start + size].tolist()):
            matches &= self.ids[k : len(self.ids) - size + 1 + k] == token
        if self.is_lowest:
            matches &= _alike(self.table, start, size, matches)
        twice = matches[: -2 * size] & matches[size:-size] & matches[2 * size :]
        at = np.flatnonzero(twice)
        change = np.zeros(len(self.ids) + 1, np.int64)
        np.add.at(change, at, 1)
        np.add.at(change, at + 3 * size, -1)
        self.owner[(np.cumsum(change[:-1]) > 0) & (self.owner < 0)] = len(self.words)
        self.owner[start : start + size] = len(self.words)
        self.words.append((size, matches))

    def shortened(self) -> tuple[Array, list[int | Repeated]]:
        """The items with one in place of each row of a word."""
        token = int(self.ids.max()) + 1
        places: list[tuple[int, int]] = []
        may_be: list[Array] = []
        for m, (size, matches) in enumerate(self.words):
            is_other = self.owner != m if size == 1 else (self.owner >= 0) & (self.owner != m)
            others = np.concatenate([[0], np.cumsum(is_other)])
            may_be.append(np.concatenate([matches & (others[size:] == others[:-size]), [False]]))
            places += [(place, m) for place in np.flatnonzero(may_be[m]).tolist()]
        rows: list[tuple[int, int, int]] = []  # word, begin, end
        position = 0
        for place, m in sorted(places):
            if place < position:
                continue
            position, size = place, self.words[m][0]
            while position < len(may_be[m]) and may_be[m][position]:
                position += size
            rows.append((m, place, position))
        if self.is_lowest:
            rows = self.split(rows)
        shorter: list[int] = []
        made: list[int | Repeated] = []
        position, old, items = 0, self.ids.tolist(), self.items
        for m, place, end in rows:
            shorter += [*old[position:place], token + m]
            made += [*items[position:place], Repeated(self.words[m][0], items[place:end])]
            position = end
        return np.array([*shorter, *old[position:]]), [*made, *items[position:]]

    def split(self, rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """Rows that end where operands do not go on as they mostly do, as at the end of an inner loop
        that nothing comes before or after."""
        made: list[tuple[int, int, int]] = []
        for m, (size, _) in enumerate(self.words):
            ranges = [np.arange(start, end, size) for word, start, end in rows if word == m]
            if not ranges:
                continue
            at = np.concatenate(ranges)
            is_first = np.zeros(len(at), bool)
            for k in range(size):
                for column in self.columns(at + k):
                    is_first[1:] |= _breaks(column, at, size)
            position = 0
            for x in ranges:
                cuts = np.flatnonzero(is_first[position : position + len(x)]).tolist()
                position += len(x)
                cuts = [0, *(cut for cut in cuts if cut), len(x)]
                are_rows = sum(b - a >= ROW for a, b in pairwise(cuts)) > 1
                if not are_rows and size * (len(cuts) - 2) > FEW:
                    cuts = [0, len(x)]
                first = int(x[0])
                made += [(m, first + size * a, first + size * b) for a, b in pairwise(cuts)]
        return sorted(made, key=lambda row: row[1])

    def columns(self, at: Array) -> Iterator[list[Array]]:
        """The operands of steps of one token, as positions and as ranks among all of a kind."""
        starts, operands = self.table.starts, self.table.operands
        for i in range(int(starts[at[0] + 1] - starts[at[0]])):
            column = operands[starts[at] + i]
            yield [column, self.ranks[column]]

    @cached_property
    def ranks(self) -> Array:
        """Of steps, how many before them have the same token; of arguments, their places."""
        table = self.table
        order = np.argsort(table.tokens, kind="stable")
        tokens = table.tokens[order]
        firsts = np.flatnonzero(np.concatenate([[True], tokens[1:] != tokens[:-1]]))
        ranks = np.zeros(len(order) + len(table.outside), np.int64)
        ranks[order] = np.arange(len(order)) - np.repeat(
            firsts, np.diff(np.concatenate([firsts, [len(order)]]))
        )
        places = {x: i for i, x in enumerate(table.arguments)}
        ranks[len(order) :] = [
            places.get(x, -1) if isinstance(x, Step) else -1 for x in reversed(table.outside)
        ]
        return ranks


ROW = 3  # iterations of an inner loop, at least
FEW = 8  # steps that may stand before an inner loop, so that it begins where operands go on
MOSTLY = 0.6  # of the iterations, in which an operand goes on as it does


def _breaks(column: list[Array], at: Array, size: int) -> Array:
    """Where an operand does not go on as it does mostly. What is made in the same iteration or in the
    one before has no say: it begins somewhere else."""
    distances = at - column[0]
    if np.mean((distances > -size) & (distances <= size)) > MOSTLY:
        return np.zeros(len(at) - 1, bool)
    best, broken = MOSTLY * len(distances), np.zeros(len(at) - 1, bool)
    for values in column:
        steps = np.diff(values)
        found, counts = np.unique(steps, return_counts=True)
        if len(counts) and counts.max() > best:
            best, broken = int(counts.max()), steps != found[np.argmax(counts)]
    return broken


def _alike(table: Tokens, start: int, size: int, matches: Array) -> Array:
    """Where the steps of a word take what they do from one another, of the places that match."""
    found = matches.copy()
    at = np.flatnonzero(matches)
    starts, operands = table.starts, table.operands
    for k in range(size):
        first = int(starts[start + k])
        for i in range(first, int(starts[start + k + 1])):
            distance = start + k - int(operands[i])
            if 0 < distance <= k:
                theirs = operands[starts[at + k] + i - first]
                found[at[theirs != at + k - distance]] = False
    return found


def _alive(table: Tokens) -> Array:
    """How many values are used after each step that were made before it."""
    last = np.zeros(len(table.steps), np.int64)
    made = table.operands >= 0
    np.maximum.at(last, table.operands[made], table.owners[made])
    change = np.zeros(len(last) + 2, np.int64)
    used = np.flatnonzero(last)
    np.add.at(change, used + 1, 1)
    np.add.at(change, last[used] + 1, -1)
    return np.cumsum(change)


def _fitting(table: Tokens, lag: int) -> Array:
    """Which steps the lag fits, where operands that do not move on steadily come from one kind of step."""
    tokens = table.tokens

    def is_steady(now: Array, before: Array, earlier: Array) -> Array:
        alike = (tokens[now] == tokens[before]) & (tokens[before] == tokens[earlier])
        return steadily(now, before, earlier) | alike

    return fitting(table, 0, len(tokens), lag, is_steady)
