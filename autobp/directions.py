"""Directions: one sweep over a recording for many directions at once.

The tangents or cotangents of all directions are a batch (`batching`), of which each stands for one. The
sweep is that of `forward` or `reverse`, on batches: the program is recorded once, as for one direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from autobp.batching import Batched, batched
from autobp.context import clock
from autobp.counts import BATCH, CALL, VISIT
from autobp.dag import Recording
from autobp.forward import pushed, with_last_uses
from autobp.primitive import Array
from autobp.reverse import pulled
from autobp.tensor import Tensor

__all__ = ["Seeds", "checked_chunk", "chunk_of", "pulled_all", "pushed_all", "work"]

#: From the first direction and the one after the last: for each input or output a row for each direction,
#: or None for zeros.
Seeds = Callable[[int, int], Sequence["Array | None"]]

#: The bytes of the largest intermediate result of all directions of a chunk. More would not fit the
#: processor's caches, and be slower.
BYTES = 1 << 22

#: For fewer directions, sweeps one after the other are faster: an operation on a batch takes several
#: times as long as one on small arrays.
FEW = 4

#: BLAS reads so many numbers of a matrix in the time in which NumPy's other operations read one.
BLAS = 8


def checked_chunk(chunk: Any) -> int | None:
    if chunk is None:
        return None
    if not isinstance(chunk, int | np.integer) or isinstance(chunk, bool) or chunk < 1:
        raise ValueError(
            f"chunk is how many directions are swept at once, 1 or more, not {chunk!r}"
        )
    return int(chunk)


def chunk_of(order: Sequence[Tensor], chunk: int | None = None) -> int:
    """How many directions to sweep at once."""
    if chunk is not None:
        return chunk
    largest = 8
    for t in order:
        value = t.value
        bytes_ = value.nbytes if type(value) is np.ndarray else getattr(value, "nbytes", 8)
        if bytes_ > largest:
            largest = bytes_
    return max(1, BYTES // largest)


def work(operations: Iterable[Tensor], forward: bool, count: int, size: int) -> float:
    """About what sweeps through recorded operations take, in nanoseconds, for so many directions of
    which `size` are swept at once. What moves elements reads in forward mode those that it takes; the
    reverse sweep makes an array for all that there are, or adds to it. Few directions are swept one by one, in
    which a step of the forward sweep takes twice as long."""
    visits, numbers, few = 0, 0.0, count < FEW
    for t in operations:
        facts, reads = t.primitive.facts, t.size  # type: ignore[union-attr]
        if not ((forward and facts.moves) or (few and facts.adds is not None)):
            reads += sum(getattr(a, "size", 1) for a in t.args)
        numbers += reads / BLAS if facts.blas else reads
        visits += 1
    times = count * (1 + forward) if few else BATCH * math.ceil(count / size)
    return (CALL + VISIT) * visits * times + numbers * count


def pushed_all(
    traced: Recording,
    order: Sequence[Tensor],
    seeds: Seeds,
    count: int,
    chunk: int | None = None,
    axis: int = 0,
) -> list[Array]:
    """The tangents of a recording's outputs from those of its inputs, with the directions along a new
    axis, the first or the last (-1). A single direction needs none."""
    steps = with_last_uses(order, traced.outputs)
    sweep = lambda tangents: pushed(traced, steps, tangents)
    return _swept(sweep, order, seeds, count, chunk, axis)


def pulled_all(
    traced: Recording, order: Sequence[Tensor], seeds: Seeds, count: int, chunk: int | None = None
) -> list[Array]:
    """The cotangents of a recording's inputs from those of its outputs, with the directions along a new
    first axis. A single direction needs none."""
    sweep = lambda cotangents: pulled(traced, order, cotangents)
    return _swept(sweep, order, seeds, count, chunk, 0)


Sweep = Callable[[Sequence["Array | None"]], list[Array]]


def _swept(
    sweep: Sweep, order: Sequence[Tensor], seeds: Seeds, count: int, chunk: int | None, axis: int
) -> list[Array]:
    if count == 1:
        return _apart(sweep([None if r is None else _number(r[0]) for r in seeds(0, 1)]))
    if chunk is None and count < FEW:
        return _one_by_one(sweep, seeds(0, count), count, axis)
    size = chunk_of(order, chunk)
    at_once = True
    for t in order:
        if t.hooks:  # a hook is told of one gradient
            at_once = False
    parts = []
    for start in range(0, count, size):
        stop = min(start + size, count)
        rows, found = seeds(start, stop), None
        if at_once and stop - start >= FEW:
            found = _together(sweep, rows, stop - start, axis)
            at_once = found is not None
        if found is None:
            found = _one_by_one(sweep, rows, stop - start, axis)
        parts.append(found)
    if len(parts) == 1:
        return parts[0]
    return [np.concatenate(p, axis) for p in zip(*parts, strict=True)]


def _together(sweep: Sweep, rows: Sequence[Any], n: int, axis: int) -> list[Array] | None:
    """All directions in one sweep; None if an operation or a rule of the user's does not take batches."""
    level = clock()
    try:
        found = sweep([None if r is None else batched(r, level) for r in rows])
    except Exception:  # what a single direction raises too, it will raise again
        return None
    results = []
    for y in found:
        y = y.value if type(y) is Batched and y.level == level else np.stack([y] * n)
        if axis and y.ndim > 1:
            y = y.T if y.ndim == 2 else np.moveaxis(y, 0, -1)
        results.append(y)
    return _apart(results)


def _one_by_one(sweep: Sweep, rows: Sequence[Any], n: int, axis: int) -> list[Array]:
    found = [sweep([None if r is None else _number(r[i]) for r in rows]) for i in range(n)]
    return [np.stack(column, axis) for column in zip(*found, strict=True)]


def _apart(results: Iterable[Array]) -> list[Array]:
    """Results of which the caller may change one without a change to another."""
    found: list[Array] = []
    seen: set[int] = set()
    for y in results:
        if type(y) is np.ndarray:
            root = y if y.base is None else y.base
            y = y.copy() if id(root) in seen or not y.flags.writeable else y
            seen.add(id(root))
        found.append(y)
    return found


def _number(x: Any) -> Any:
    return float(x) if type(x) is np.float64 else x
