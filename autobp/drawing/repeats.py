"""Repeats: parts of a program that are the same piece several times in a row.

A loop leaves such a part: the steps of a recurrent network, the layers of a deep one. Two pieces are
equal if they consist of the same operations on arrays of the same shapes. Whether they are also wired
alike, with the same weights and numbers, the caller decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

import numpy as np

__all__ = ["WORTH", "Alike", "Repeat", "repeats"]

_LONGEST = 2000  # items of a piece
_CUTS = 64  # cut repeats, after which only their parts are examined
_PAIR = (
    4  # a repeat of only two pieces must save so many times more, since it may hold shorter ones
)
WORTH = 6  # a repeat must save so many operations


class Repeat(NamedTuple):
    """`times` pieces of `period` items, the first of them beginning at `start`."""

    start: int
    period: int
    times: int

    @property
    def stop(self) -> int:
        return self.start + self.period * self.times


#: From a repeat of equal tokens, the parts of it whose pieces are equal in all else too.
Alike = Callable[[Repeat], list[Repeat]]


def repeats(
    tokens: Sequence[int],
    weights: Sequence[int],
    crossing: Sequence[int] | None = None,
    alike: Alike = lambda repeat: [repeat],
) -> list[Repeat]:
    """The repeats in a sequence, in order. Repeats that save more operations take precedence; the
    weight of an item is its number of operations. `crossing` gives for each item how many values
    computed up to it are needed later; pieces begin where these are few. `alike` cuts a repeat where
    its pieces differ in something that their tokens do not tell.

    >>> repeats([7, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 3], [1] * 12)
    [Repeat(start=1, period=2, times=5)]
    """
    row, heavy = np.asarray(tokens, np.int64), np.asarray(weights, np.int64)
    before = np.concatenate([[0], np.cumsum(heavy)])
    alive = np.zeros(len(row) + 1) if crossing is None else np.asarray([0, *crossing], float)
    found: list[Repeat] = []
    gaps = [(0, len(row))]
    for _ in range(4):  # what is left between repeats may hold others
        fresh = [r for low, high in gaps for r in _scanned(row, before, alive, low, high, alike)]
        found = sorted([*found, *fresh])
        if not fresh:
            break
        ends = [(0, 0), *((r.start, r.stop) for r in found), (len(row), len(row))]
        gaps = [(a, b) for (_, a), (b, _) in pairwise(ends) if b - a > 1]
    return found


def _scanned(
    row: np.ndarray, before: np.ndarray, alive: np.ndarray, low: int, high: int, alike: Alike
) -> list[Repeat]:
    """Repeats between two places that do not overlap."""
    part = row[low:high]
    candidates: list[tuple[int, int, Repeat, bool]] = []  # a heap: what saves the most is first

    def consider(repeat: Repeat, cut: bool = False) -> None:
        start, period, times = repeat
        saved = int(before[repeat.stop] - before[start + period])
        one = int(before[start + period] - before[start])
        if saved >= WORTH and (times > 2 or one >= WORTH):
            heappush(candidates, (-saved // (_PAIR if times == 2 else 1), period, repeat, cut))

    for period in range(1, min(len(part) // 2, _LONGEST) + 1):
        same = np.flatnonzero(part[:-period] != part[period:])
        edges = np.concatenate([[-1], same, [len(part) - period]])
        for k in np.flatnonzero(np.diff(edges) > period):
            first, last = int(edges[k]) + 1, int(edges[k + 1])  # so far each is like the one after
            times = (last - first) // period + 1
            slack = last - first + period - period * times
            consider(Repeat(_phase(alive, low + first, period, times, slack), period, times))
    taken = np.zeros(len(row) + 1, bool)
    found, cuts = [], 0
    while candidates:
        *_, repeat, cut = heappop(candidates)
        if cuts > _CUTS and not cut:
            continue  # a multiple, most likely, of a period that was cut
        if taken[repeat.start : repeat.stop].any():
            parts = _free(taken, repeat)
        else:
            parts = alike(repeat)
        if parts == [repeat]:
            taken[repeat.start : repeat.stop] = True
            found.append(repeat)
        else:  # the parts save less, so another repeat may save more
            for smaller in parts:
                consider(smaller, cut=True)
            cuts += not cut
    return found


def _free(taken: np.ndarray, repeat: Repeat) -> list[Repeat]:
    """The parts of a repeat that do not overlap others."""
    start, period, times = repeat
    used = taken[start : repeat.stop].reshape(times, period).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[True], used, [True]]).astype(int)))
    return [
        Repeat(start + int(a) * period, period, int(b - a))
        for a, b in zip(edges[::2], edges[1::2], strict=True)
        if b - a > 1
    ]


def _phase(alive: np.ndarray, first: int, period: int, times: int, slack: int) -> int:
    """Where the first piece begins, so that the fewest values pass between pieces."""
    if not slack:
        return first
    starts = range(first, first + min(slack, period - 1) + 1)
    between = np.arange(times + 1) * period
    return min(starts, key=lambda start: float(alive[start + between].sum()))
