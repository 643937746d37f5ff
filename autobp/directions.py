"""Directions: one sweep over a recording for many directions at once.

The tangents or cotangents of all directions are a batch (`batching`), of which each stands for one. The
sweep is that of `forward` or `reverse`, on batches: the program is recorded once, as for one direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from autobp.batching import Batched, batched
from autobp.context import clock
from autobp.dag import Recording
from autobp.forward import in_order, pushed
from autobp.primitive import Array
from autobp.reverse import pulled
from autobp.tensor import Tensor

__all__ = ["Seeds", "chunk_of", "pulled_all", "pushed_all"]

#: From the first direction and the one after the last: for each input or output a row for each direction,
#: or None for zeros.
Seeds = Callable[[int, int], Sequence["Array | None"]]

#: The bytes of the largest intermediate result of all directions of a chunk. More would not fit the
#: processor's caches, and be slower.
BYTES = 1 << 22


def chunk_of(order: Sequence[Tensor], chunk: int | None = None) -> int:
    """How many directions to sweep at once."""
    if chunk is None:
        return max(1, BYTES // max((t.nbytes for t in order), default=1))
    if not isinstance(chunk, int | np.integer) or isinstance(chunk, bool) or chunk < 1:
        raise ValueError(f"chunk is a number of directions to sweep at once, 1 or more, not {chunk!r}")
    return int(chunk)


def pushed_all(
    traced: Recording, order: Sequence[Tensor], seeds: Seeds, count: int, chunk: int | None = None
) -> list[Array]:
    """The tangents of a recording's outputs from those of its inputs: a row for each direction."""
    steps = in_order(traced)
    sweep = lambda tangents: pushed(traced, steps, tangents)
    return _swept(sweep, order, seeds, count, chunk)


def pulled_all(
    traced: Recording, order: Sequence[Tensor], seeds: Seeds, count: int, chunk: int | None = None
) -> list[Array]:
    """The cotangents of a recording's inputs from those of its outputs: a row for each direction."""
    sweep = lambda cotangents: pulled(traced, order, cotangents)
    return _swept(sweep, order, seeds, count, chunk)


Sweep = Callable[[Sequence["Array | None"]], list[Array]]


def _swept(
    sweep: Sweep, order: Sequence[Tensor], seeds: Seeds, count: int, chunk: int | None
) -> list[Array]:
    size = chunk_of(order, chunk)
    at_once = size > 1 and not any(t.hooks for t in order)  # hooks are told of one gradient each
    parts = []
    for start in range(0, count, size):
        stop = min(start + size, count)
        rows = seeds(start, stop)
        found = _together(sweep, rows, stop - start) if at_once and stop - start > 1 else None
        if found is None:
            at_once = False
            found = _one_by_one(sweep, rows, stop - start)
        parts.append(found)
    return [p[0] if len(p) == 1 else np.concatenate(p) for p in zip(*parts, strict=True)]


def _together(sweep: Sweep, rows: Sequence[Any], n: int) -> list[Array] | None:
    """All directions in one sweep; None if an operation or a rule of the user's does not take batches."""
    level = clock()
    try:
        found = sweep([None if r is None else batched(r, level) for r in rows])
    except Exception:  # whatever it was, it is raised again by a single direction, or was of the batch
        return None
    return _apart(
        y.value if isinstance(y, Batched) and y.level == level else np.stack([y] * n) for y in found
    )


def _apart(found: Iterable[Array]) -> list[Array]:
    """Results that share no memory with each other, and can be written to."""
    apart, seen = [], set()
    for y in found:
        if type(y) is np.ndarray:
            root = y if y.base is None else y.base
            y = y.copy() if id(root) in seen or not y.flags.writeable else y
            seen.add(id(root))
        apart.append(y)
    return apart


def _one_by_one(sweep: Sweep, rows: Sequence[Any], n: int) -> list[Array]:
    found = [sweep([None if r is None else r[i] for r in rows]) for i in range(n)]
    return [np.stack(column) for column in zip(*found, strict=True)]
