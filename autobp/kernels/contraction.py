"""Sums of products over indices, as `np.einsum` does them: by products of matrices where these are faster."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from autobp.kernels.sums import BLAS, total

__all__ = ["contracted", "of_any_size", "path"]

Array = Any
Terms = Sequence[str]

# Multiplications from which BLAS is faster, in spite of the copies: of matrices, and of vectors.
_MANY = 1 << 13
_MORE = 1 << 16
_LONG = 1 << 4  # terms of each sum, of products of a matrix and a vector
_LONGER = 1 << 8  # and of two vectors


_of_any_size: ContextVar[bool] = ContextVar("of_any_size", default=False)


@contextmanager
def of_any_size() -> Iterator[None]:
    """Leave each sum of products to `np.einsum`, so that a program that is traced does not depend on the
    sizes."""
    token = _of_any_size.set(True)
    try:
        yield
    finally:
        _of_any_size.reset(token)


def contracted(*xs: Array, terms: Terms, result: str) -> Array:
    """`np.einsum`, two operands at a time."""
    operands, names = list(xs), list(terms)
    for places in path(tuple(terms), tuple(np.shape(x) for x in xs), result)[:-1]:
        places = sorted(places, reverse=True)
        taken, over = [operands.pop(i) for i in places], [names.pop(i) for i in places]
        names.append(_kept(over, names, result))
        operands.append(_contracted(taken, over, names[-1]))
    return _contracted(operands, names, result)


def path(terms: tuple[str, ...], shapes: tuple[Any, ...], result: str) -> list[Sequence[int]]:
    """Which operands are contracted one after another; each time, the result becomes the last one."""
    if len(terms) <= 2:
        return [range(len(terms))]
    return _path(terms, shapes, result)


@lru_cache(256)
def _path(terms: tuple[str, ...], shapes: tuple[Any, ...], result: str) -> list[Sequence[int]]:
    dummies = [np.broadcast_to(0.0, s) for s in shapes]
    found = np.einsum_path(_subscripts(terms, result), *dummies, optimize=True)[0][1:]
    size = {i: n for t, s in zip(terms, shapes, strict=True) for i, n in zip(t, s, strict=True)}
    if max(map(len, found)) == 2 or _work("".join(terms), size) < _MANY:
        return found
    return _pairs(terms, size, result)


def _work(indices: str, size: dict[str, int]) -> int:
    return math.prod([size[i] for i in {*indices}])


def _pairs(terms: Terms, size: dict[str, int], result: str) -> list[Sequence[int]]:
    """Each time the two that take the fewest multiplications, also where all at once would take no more:
    the product of two is one of matrices."""
    names, found = list(terms), list[Sequence[int]]()
    while len(names) > 2:
        pairs = combinations(range(len(names)), 2)
        i, j = min(pairs, key=lambda pair: _work("".join(names[k] for k in pair), size))
        found.append((i, j))
        second, first = names.pop(j), names.pop(i)
        names.append(_kept((first, second), names, result))
    return [*found, (0, 1)]


def _kept(over: Terms, others: Terms, result: str) -> str:
    """The indices of what is contracted that are needed later."""
    needed = {*"".join(others), *result}
    return "".join(i for i in dict.fromkeys("".join(over)) if i in needed)


def _subscripts(terms: Terms, result: str) -> str:
    return f"{','.join(terms)}->{result}"


def _contracted(xs: Sequence[Array], terms: Terms, result: str) -> Array:
    is_large = len(xs) == 2 and all(map(_is_numpys, xs)) and xs[0].size * xs[1].size >= _MANY
    if is_large and not _of_any_size.get():
        (a, b), (of_a, of_b) = xs, terms
        size = dict(zip(of_a, a.shape, strict=True))
        if all(size.setdefault(i, n) == n for i, n in zip(of_b, b.shape, strict=True)):
            a, of_a = _reduced(a, of_a, of_b + result)
            b, of_b = _reduced(b, of_b, of_a + result)
            roles = _roles(of_a, of_b, result)
            found = roles and _product(a, b, of_a, of_b, result, roles, size)
            if found is not None:
                return found
            xs, terms = (a, b), (of_a, of_b)
    return np.einsum(_subscripts(terms, result), *xs)


def _is_numpys(x: Array) -> bool:
    """Whether BLAS takes it, now or when the program that is traced runs."""
    return (type(x) is np.ndarray or hasattr(x, "primal_value")) and x.dtype in BLAS


def _reduced(x: Array, of_x: str, needed: str) -> tuple[Array, str]:
    """Summed over the indices that nothing else has: before the product that is one sum, not many."""
    alone = tuple(k for k, i in enumerate(of_x) if i not in needed and of_x.count(i) == 1)
    if not alone:
        return x, of_x
    return total(x, alone), "".join(i for k, i in enumerate(of_x) if k not in alone)


_ONCE = (True, False), (False, True)


class _Roles(NamedTuple):
    """What the indices of two operands are."""

    batch: str  # in both, and in the result
    left: str  # in the first, and in the result
    right: str  # in the second, and in the result
    summed: str  # in both


@lru_cache(1024)
def _roles(a: str, b: str, result: str) -> _Roles | None:
    """None: it is no product of matrices."""
    summed = "".join(i for i in a if i in b and i not in result)
    left, right = ("".join(i for i in result if (i in a, i in b) == where) for where in _ONCE)
    batch = "".join(i for i in result if i in a and i in b)
    repeated = any(len(set(t)) < len(t) for t in (a, b, result))
    if repeated or not summed or len(batch + left + right) < len(result):
        return None
    return _Roles(batch, left, right, summed)


def _product(
    a: Array, b: Array, of_a: str, of_b: str, result: str, roles: _Roles, size: dict[str, int]
) -> Array | None:
    """The two operands as stacks of matrices, and their product; None, if there is little to compute."""
    batch, left, right, summed = roles
    rows, columns, terms = (math.prod([size[i] for i in part]) for part in roles[1:])
    work = math.prod([size[i] for i in batch]) * rows * columns * terms
    if rows == 1 or columns == 1:
        if work < _MORE or terms < (_LONGER if rows == columns else _LONG):
            return None
    elif work < _MANY:
        return None
    stack = [size[i] for i in batch]
    if result == batch + right + left:  # as it is, and not its transpose
        a, b, of_a, of_b = b, a, of_b, of_a
        left, right, rows, columns = right, left, columns, rows
    first = _arranged(a, of_a, batch + left + summed, [*stack, rows, terms])
    second = _arranged(b, of_b, batch + summed + right, [*stack, terms, columns])
    found = np.matmul(first, second)
    made = batch + left + right
    return _arranged(_shaped(found, [size[i] for i in made]), made, result)


def _arranged(x: Array, of_x: str, order: str, shape: Sequence[int] | None = None) -> Array:
    """With its axes in another order, and then of another shape."""
    if of_x != order:
        x = np.transpose(x, [of_x.index(i) for i in order])
    return x if shape is None else _shaped(x, shape)


def _shaped(x: Array, shape: Sequence[int]) -> Array:
    return x if x.shape == tuple(shape) else np.reshape(x, shape)
