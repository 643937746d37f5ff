"""Wiring: which pieces of equal operations are also equal in their arguments.

Pieces are alike if each takes the same from the one before it, and if every other argument is either
the same in all of them, a weight or a number, or different in nearly all, as the weights of layers are.
So two chains in a row are not one loop, and a step that squares differs from one that cubes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from autobp.drawing.diagram import Diagram

__all__ = ["Wiring", "alikeness"]

_MANY = 10  # pieces that are enough to tell a varying number from an exception


class Wiring:
    """The arguments and parameters of each operation of a diagram, one slot each."""

    first: np.ndarray
    source: np.ndarray
    key: np.ndarray

    def __init__(self, diagram: Diagram) -> None:
        known: dict[Any, int] = {}
        self.place: np.ndarray = np.full(len(diagram.nodes), -1)  # of each result among the results
        first = [0]  # of the slots of each result
        source: list[int] = []  # the place of the result in each slot, else -1
        key: list[int] = []  # what is in each slot, equal if that is the same
        differentiated: list[bool] = []
        number: list[bool] = []  # or a parameter, which is not computed
        for node in diagram.nodes:
            if node.kind != "result":
                continue
            self.place[node.index] = len(first) - 1
            for o, a in zip(node.operands, node.args, strict=True):
                source.append(-1 if o is None else int(self.place[o]))
                what = ("node", o) if o is not None else alikeness(a)
                key.append(known.setdefault(what, len(known)))
                number.append(o is None)
                differentiated.append(o is not None and diagram.nodes[o].kind != "constant")
            for value in node.params.values():
                source.append(-1)
                key.append(known.setdefault(alikeness(value), len(known)))
                number.append(True)
                differentiated.append(False)
            first.append(len(key))
        self.first, self.source, self.key = map(np.asarray, (first, source, key))
        self.differentiated: np.ndarray = np.asarray(differentiated, bool)
        self.number: np.ndarray = np.asarray(number, bool)

    def alike(self, node: int, start: int, size: int, times: int) -> list[tuple[int, int]]:
        """Which of `times` pieces of `size` results, beginning `start` results after a node, are alike:
        the beginning of each such part, and its number of pieces."""
        base = int(self.place[node]) + start
        low, high = self.first[base], self.first[base + size * times]
        source = self.source[low:high].reshape(times, -1)
        key = self.key[low:high].reshape(times, -1)
        piece = np.arange(times)[:, None]
        inside = source >= base
        back = source - base - piece * size  # from the beginning of each piece
        usual = np.median(back[1:], axis=0).astype(int)
        fits = inside & (back == usual)
        chained = 2 * fits[1:].sum(axis=0) > times - 1
        other = ~inside[1:] | (key[1:] == key[:-1])
        differs = key[1:] != key[:-1]
        varying = ~chained & self._varying(low, high, key, differs)

        cut = np.zeros(times + 1, bool)  # before each piece
        cut[[0, -1]] = True
        cut[1:-1] |= (differs & ~chained & ~varying).any(axis=1)
        own = inside & (back >= 0)
        cut[1:-1] |= (own[1:] != own[:-1]).any(axis=1) | ~(other | chained).all(axis=1)
        begins = chained & ~inside & (usual < 0)
        allowed = piece * size + usual < 0  # there is no such piece before it in this repeat
        cut[:-1] |= (begins & ~allowed).any(axis=1)
        strange = (chained & inside & (back != usual)).any(axis=1)
        cut[:-1] |= strange
        cut[1:] |= strange
        parts = [(int(a), int(b - a)) for a, b in pairwise(np.flatnonzero(cut)) if b - a > 1]
        if parts != [(0, times)]:
            return parts
        if times == 2 and (
            not (chained & (usual < 0)).any()
            or (varying & self.differentiated[low:high].reshape(2, -1)).any()
        ):
            return []  # two with other weights are no sign of a loop
        periodic = any(_periodic(column) for column in key[:, varying].T)
        return [] if periodic else parts

    def _varying(self, low: int, high: int, key: Any, differs: Any) -> Any:
        """Which slots differ in each piece: they hold leaves of its own, or other numbers."""
        times = len(key)
        few = times < _MANY  # where one that is odd is much of it
        most = (4 if few else 3) * differs.sum(axis=0) > (3 if few else 1) * (times - 1)
        several = (times > 2) & most
        if times == 3:
            several &= key[0] != key[2]
        found, at = np.unique(key, return_inverse=True)
        at = at.reshape(key.shape)
        rows = np.broadcast_to(np.arange(times)[:, None], key.shape)
        least, last = np.full(len(found), times), np.full(len(found), -1)
        np.minimum.at(least, at, rows)
        np.maximum.at(last, at, rows)
        owned = 4 * (least == last)[at].sum(axis=0) > 3 * times
        kinds = np.array([len(np.unique(column)) for column in key.T])
        owned |= (2 * kinds >= times) & (times > 3)  # what two loops read, each in its order
        number = self.number[low:high].reshape(times, -1).all(axis=0)
        return np.where(number, several, owned)


def _periodic(column: np.ndarray) -> bool:
    """Whether the same values recur in the same order, so that the pieces are parts of longer ones."""
    again = np.flatnonzero(column[2 : len(column) // 2 + 1] == column[0]) + 2
    return any(bool((column[q:] == column[:-q]).all()) for q in again)


def alikeness(value: Any) -> Any:
    """A hashable key that is equal for equal arguments and parameters.

    >>> alikeness(2.0) == alikeness(2), alikeness(slice(1)) == alikeness(slice(2))
    (True, False)
    """
    if isinstance(value, np.ndarray):
        return ("array", value.shape, value.dtype.str, value.tobytes())
    if isinstance(value, list | tuple):
        return (type(value).__name__, *map(alikeness, value))
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return repr(value)
    return value if value == value else "nan"
