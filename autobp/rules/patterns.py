"""Patterns: which elements of its arguments each element of a result depends on, whatever the values.

A pattern is read off shapes and parameters, and off the zeros of a constant matrix in a product. For
each argument it is one of

    Shared    the two have axes in common, on which they agree; along all others, all depends on all
    Pairs     the positions of elements, counted in C order, of which one depends on the other

Rows of operations name them. Elementwise operations share all axes; what moves elements is its own
pattern. An operation whose row states nothing is taken to depend on all elements of all arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Pairs",
    "Pattern",
    "Shared",
    "added",
    "along",
    "attention",
    "broadcast",
    "einsum",
    "matrices",
    "moved",
    "normalized",
    "product",
    "product_with_rows",
]

Shape = tuple[int, ...]
Array = Any


class Shared(NamedTuple):
    """A name for each axis of the result and of the argument. Where a name is in both, they agree."""

    result: tuple[Any, ...]
    argument: tuple[Any, ...]


class Pairs(NamedTuple):
    """For each pair, a position in the result and one in the argument."""

    result: np.ndarray
    argument: np.ndarray


#: Of the shape of the result, the arguments and the parameters. Of a variable, of which the shape
#: alone counts, the argument is an array of ones.
Pattern = Callable[..., Sequence[Shared | Pairs]]


def _from_the_right(ndim: int, last: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    """Names of axes that broadcast, and of the last ones."""
    return (*range(len(last) - ndim, 0), *last)


def broadcast(out: Shape, *args: Array, **_: Any) -> list[Shared]:
    """An element depends on those in its place."""
    mine = _from_the_right(len(out))
    return [Shared(mine, _from_the_right(np.ndim(a))) for a in args]


def moved(out: Shape, *args: Array, **_: Any) -> list[Shared | Pairs]:
    """The result consists of elements of the arguments, and of zeros: what it depends on is seen by
    moving positions."""
    raise AssertionError("the operation itself moves the positions")


def along(out: Shape, x: Array, axis: Any, **_: Any) -> list[Shared]:
    """A reduction or a scan: an element depends on all along the axis, or axes."""
    ndim = np.ndim(x)
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    gone = {a % ndim for a in axes} if ndim else set()
    kept = tuple(None if a in gone else a for a in range(ndim))
    mine = kept if len(out) == ndim else tuple(a for a in kept if a is not None)
    return [Shared(mine, tuple(range(ndim)))]


def matrices(out: Shape, *args: Array, **_: Any) -> list[Shared]:
    """The last two axes of an argument are a matrix, of which all counts."""
    batch = max([np.ndim(a) for a in args]) - 2
    mine = (*range(-batch, 0), *(None,) * (len(out) - batch))
    return [Shared(mine, _from_the_right(np.ndim(a), (None, None)[: np.ndim(a)])) for a in args]


def attention(out: Shape, q: Array, k: Array, v: Array, **_: Any) -> list[Shared]:
    """A row of the result depends on that of the query."""
    mine = _from_the_right(len(out), ("row", "column"))
    last = ("row", "in"), ("key", "in"), ("key", "column")
    return [Shared(mine, _from_the_right(np.ndim(a), of)) for a, of in zip((q, k, v), last)]


def normalized(out: Shape, x: Array, w: Array, b: Array, **_: Any) -> list[Shared]:
    """A channel of the result depends on that of the images."""
    mine, channel = (
        (None, "channel", None, None),
        Shared((None, "channel", None, None), ("channel",)),
    )
    return [Shared(mine, mine), channel, channel]


def einsum(out: Shape, *args: Array, terms: Sequence[str], result: str) -> list[Shared]:
    return [Shared(tuple(result), tuple(term)) for term in terms]


def product(out: Shape, a: Array, b: Array) -> list[Shared | Pairs]:
    """A product of matrices. A zero in a matrix that is constant is no entry."""
    left, right = np.ndim(a), np.ndim(b)
    mine = _from_the_right(len(out), ("row",) * (left > 1) + ("column",) * (right > 1))
    found: list[Shared | Pairs] = [
        Shared(mine, _from_the_right(left, ("row", "in")[-left:])),
        Shared(mine, _from_the_right(right, ("in", "column")[:right])),
    ]
    if max(left, right) <= 2:
        rows, columns = np.shape(a)[0] if left > 1 else 1, np.shape(b)[1] if right > 1 else 1
        places = _places(out).reshape(rows, columns)
        if not np.all(a):
            found[1] = _entries(np.atleast_2d(a), _column(_places(np.shape(b))), places)
        if not np.all(b):
            found[0] = _entries(_column(b).T, np.atleast_2d(_places(np.shape(a))).T, places.T)
    return found


def product_with_rows(out: Shape, x: Array, w: Array) -> list[Shared | Pairs]:
    """The product with the rows of a matrix, x·wᵀ, over the last axis of x."""
    mine = _from_the_right(len(out), ("row",))
    found: list[Shared | Pairs] = [
        Shared(mine, _from_the_right(np.ndim(x), ("in",))),
        Shared(mine, ("row", "in")),
    ]
    if not np.all(w):
        n, m = w.shape[1], w.shape[0]
        found[0] = _entries(w, _places(np.shape(x)).reshape(-1, n).T, _places(out).reshape(-1, m).T)
    return found


def added(out: Shape, x: Array, index: Any, shape: Shape) -> list[Pairs]:
    """What is added in at places that an index names."""
    to = _places(shape)[index]
    return [Pairs(np.ravel(to), np.ravel(np.broadcast_to(_places(np.shape(x)), np.shape(to))))]


def _places(shape: Shape) -> np.ndarray:
    """The position of each element."""
    return np.arange(int(np.prod(shape))).reshape(shape)


def _column(b: np.ndarray) -> np.ndarray:
    """A vector as a matrix of one column."""
    return b[:, None] if b.ndim == 1 else b


def _entries(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Pairs:
    """The pairs of a product with a constant matrix, from the places in the other and the result."""
    row, inner = np.nonzero(a)
    return Pairs(out[row].ravel(), b[inner].ravel())
