"""Batches: samples a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from autobp.data.points import Seed

__all__ = ["aligned", "batches", "parted"]


def batches(
    X: Any, y: Any, size: int, shuffle: bool = False, rng: Seed = None
) -> Iterator[tuple[Any, Any]]:
    """Go once through samples and what belongs to them, `size` at a time; the last batch is what is
    left.

    With `shuffle=True` the order is drawn from `rng`: hand the same Generator to each epoch, and the
    epochs differ while the run as a whole is reproducible. (An integer gives one order, every time.)

    >>> X, y = np.arange(10).reshape(5, 2), np.arange(5)
    >>> for xs, ys in batches(X, y, 2): print(xs.tolist(), ys)
    [[0, 1], [2, 3]] [0 1]
    [[4, 5], [6, 7]] [2 3]
    [[8, 9]] [4]
    >>> rng = np.random.default_rng(0)
    >>> [ys.tolist() for _ in range(2) for _, ys in batches(X, y, 3, shuffle=True, rng=rng)]
    [[2, 4, 3], [0, 1], [4, 1, 2], [0, 3]]
    """
    samples = aligned((X, y))
    if size < 1:
        raise ValueError(f"size is the number of samples in a batch, at least 1, not {size}")
    n = len(samples[0])
    order = np.random.default_rng(rng).permutation(n) if shuffle else None
    starts = range(0, n, size)
    if order is None:
        return (parted(samples, slice(i, i + size)) for i in starts)
    return (parted(samples, order[i : i + size]) for i in starts)


def aligned(arrays: tuple[Any, ...]) -> list[Any]:
    """Arrays of which each row is a sample, and all have as many."""
    if not arrays:
        raise TypeError("at least one array is needed")
    # An index into a table, of pandas say, may mean labels or columns; into an array it means rows.
    samples = [
        a if hasattr(a, "shape") and not hasattr(a, "to_numpy") else np.asarray(a) for a in arrays
    ]
    for given, a in zip(arrays, samples):
        if not a.shape:
            raise TypeError(f"{given!r:.40} is no array of samples")
    counts = [len(a) for a in samples]
    if len(set(counts)) > 1:
        raise ValueError(
            f"arrays of {' and '.join(map(str, counts))} samples do not belong together"
        )
    return samples


def parted(samples: list[Any], index: Any) -> Any:
    parts = tuple(a[index] for a in samples)
    return parts if len(parts) > 1 else parts[0]
