"""Colouring: directions that one sweep can take together, since their results do not overlap.

Columns of a matrix that have no row in common get one colour, and the sum of the columns of a colour
holds the entries of all of them. Of a symmetric matrix each entry need be alone in only one of its two
places, which takes fewer colours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from autobp.sparsity import Entries

__all__ = ["coloured_columns", "coloured_symmetrically"]

Lists = list[list[int]]


def coloured_columns(entries: Entries) -> np.ndarray:
    """A colour for each column, from 0 on, such that no row has two columns of one colour.

    >>> import numpy as np
    >>> from autobp.colouring import coloured_columns
    >>> from autobp.sparsity import Entries
    >>> banded = Entries(*np.nonzero(np.tri(6, 6, 1) * np.tri(6, 6, 1).T), (6, 6))
    >>> coloured_columns(banded).tolist()
    [0, 1, 2, 0, 1, 2]
    """
    n = entries.shape[1]
    fullest = int(np.max(np.bincount(entries.rows, minlength=1)))
    if fullest == n:
        return np.arange(n)
    rows_of = _lists(entries.columns, entries.rows, n)

    def in_order(order: Sequence[int]) -> np.ndarray:
        taken = [0] * entries.shape[0]  # the colours in each row, as bits
        colours = np.zeros(n, int)
        for j in order:
            used = 0
            for i in rows_of[j]:
                used |= taken[i]
            free = ~used & (used + 1)  # the lowest bit that is not set
            for i in rows_of[j]:
                taken[i] |= free
            colours[j] = free.bit_length() - 1
        return colours

    return _fewest(in_order, rows_of, fullest)


def coloured_symmetrically(entries: Entries) -> np.ndarray:
    """A colour for each column of a symmetric matrix, such that each entry is the only one of its
    colour in its row, or its mirror image is in its own.

    >>> import numpy as np
    >>> from autobp.colouring import coloured_symmetrically
    >>> from autobp.sparsity import Entries
    >>> arrow = np.eye(6)
    >>> arrow[0] = arrow[:, 0] = 1
    >>> coloured_symmetrically(Entries(*np.nonzero(arrow), (6, 6))).tolist()
    [0, 1, 1, 1, 1, 1]
    """
    n = entries.shape[0]
    apart = entries.rows != entries.columns
    neighbours = _lists(entries.rows[apart], entries.columns[apart], n)
    if len(apart) == n * n:
        return np.arange(n)

    def in_order(order: Sequence[int]) -> np.ndarray:
        colours = [-1] * n
        # of each row, the columns of each colour: which was the first, and how many
        first: list[dict[int, int]] = [{} for _ in range(n)]
        many: list[set[int]] = [set() for _ in range(n)]

        def is_alone(i: int, j: int) -> bool:
            """Whether column j, if it has a colour, has it alone in row i."""
            return colours[j] < 0 or colours[j] not in many[i]

        def fits(v: int, colour: int) -> bool:
            for w in neighbours[v]:
                if colours[w] == colour:
                    return False
                other = first[w].get(colour)
                if other is not None and not (is_alone(v, w) and is_alone(other, w)):
                    return False
            return True

        for v in order:
            colour = 0
            while not fits(v, colour):
                colour += 1
            colours[v] = colour
            for w in neighbours[v]:
                if first[w].setdefault(colour, v) != v:
                    many[w].add(colour)
        return np.array(colours, int)

    return _fewest(in_order, neighbours, 0)


def _lists(keys: np.ndarray, values: np.ndarray, n: int) -> Lists:
    """For each key the values that it has."""
    order = np.argsort(keys, kind="stable")
    ends = np.cumsum(np.bincount(keys, minlength=n))[:-1]
    return [part.tolist() for part in np.split(values[order], ends)]


def _fewest(colour: Callable[[Sequence[int]], np.ndarray], lists: Lists, least: int) -> np.ndarray:
    """The better of two orders: as they stand, which suits bands, and those with most entries first."""
    found = colour(range(len(lists)))
    if found.max(initial=-1) + 1 <= least:
        return found
    other = colour(sorted(range(len(lists)), key=lambda j: -len(lists[j])))
    return other if other.max() < found.max() else found
