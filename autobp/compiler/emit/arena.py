"""Arena: the one block of memory of a program, and where in it each buffer lies.

Buffers are placed in the order in which they come to life, each in the smallest hole that it fits in.
That takes little time however many there are, and nearly as little memory as can be: all live ranges
are known, so both directions of time are tried, and the better one counts.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

__all__ = ["ALIGNED", "Range", "placed"]

ALIGNED = 64  # bytes, a line of the cache


class Range(NamedTuple):
    """How large a buffer is, and from when until when it is in use, both included."""

    nbytes: int
    first: int
    last: int


def placed(ranges: Sequence[Range]) -> tuple[list[int], int]:
    """Where each buffer starts, so that no two overlap that are in use at once, and the size of all.

    >>> from autobp.compiler.emit.arena import Range, placed
    >>> placed([Range(100, 0, 2), Range(64, 1, 3), Range(128, 3, 4)])
    ([0, 128, 0], 192)
    """
    onward = _placed_in_time(ranges)
    backward = _placed_in_time([Range(r.nbytes, -r.last, -r.first) for r in ranges])
    return min(onward, backward, key=lambda found: found[1])


def _placed_in_time(ranges: Sequence[Range]) -> tuple[list[int], int]:
    holes, size = _Holes(), 0
    ends: list[tuple[int, int, int]] = []  # of what is in use: when, and where it lies
    starts = [0] * len(ranges)
    for i in sorted(range(len(ranges)), key=lambda i: (ranges[i].first, -ranges[i].nbytes)):
        nbytes, first, last = ranges[i]
        if not nbytes:
            continue
        while ends and ends[0][0] < first:
            _, start, end = heappop(ends)
            holes.add(start, end)
        aligned = -(-nbytes // ALIGNED) * ALIGNED
        start = starts[i] = holes.take(aligned)
        size = max(size, start + nbytes)
        heappush(ends, (last, start, start + aligned))
    return starts, size


class _Holes:
    """The free memory below the top, of which there is any amount."""

    def __init__(self) -> None:
        self.top = 0
        self.sizes: list[tuple[int, int]] = []  # sorted, with the starts
        self.ends: dict[int, int] = {}  # by starts
        self.starts: dict[int, int] = {}  # by ends

    def add(self, start: int, end: int) -> None:
        """Free some memory, which becomes one with the holes beside it."""
        if end in self.ends:
            end = self._remove(end)
        if start in self.starts:
            start = self.starts[start]
            self._remove(start)
        if end == self.top:
            self.top = start
            return
        self.ends[start], self.starts[end] = end, start
        insort(self.sizes, (end - start, start))

    def take(self, size: int) -> int:
        """The start of the smallest hole that is large enough, or the top."""
        i = bisect_left(self.sizes, (size, 0))
        if i == len(self.sizes):
            start, self.top = self.top, self.top + size
            return start
        _, start = self.sizes[i]
        end = self._remove(start)
        if start + size < end:
            self.add(start + size, end)
        return start

    def _remove(self, start: int) -> int:
        end = self.ends.pop(start)
        del self.starts[end]
        del self.sizes[bisect_left(self.sizes, (end - start, start))]
        return end
