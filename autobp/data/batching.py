"""Batches: a few samples at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from autobp.data.points import Seed
from autobp.habits import checks_keywords

__all__ = ["aligned", "batches", "selected"]


@checks_keywords
def batches(
    X: Any, y: Any, size: int, shuffle: bool = False, rng: Seed = None
) -> Iterator[tuple[Any, Any]]:
    """Iterate once over samples and their targets, `size` at a time. The last batch can be smaller.

    With `shuffle=True`, `rng` draws the order. Pass the same Generator in each epoch: then epochs
    differ, and the run is reproducible. (An integer gives the same order each time.)

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
        raise ValueError(f"size, the number of samples in a batch, must be at least 1, not {size}")
    n = len(samples[0])
    order = np.random.default_rng(rng).permutation(n) if shuffle else None
    starts = range(0, n, size)
    if order is None:
        return (selected(samples, slice(i, i + size)) for i in starts)
    return (selected(samples, order[i : i + size]) for i in starts)


def aligned(arrays: tuple[Any, ...]) -> list[Any]:
    """The arguments as arrays, whose rows are samples, equally many in each."""
    if not arrays:
        raise TypeError("at least one array is needed")
    # Indexing a pandas table selects labels or columns; indexing an array selects rows.
    samples = [
        a if hasattr(a, "shape") and not hasattr(a, "to_numpy") else np.asarray(a) for a in arrays
    ]
    for given, a in zip(arrays, samples):
        if not a.shape:
            raise TypeError(f"{given!r:.40} is not an array of samples")
    counts = [len(a) for a in samples]
    if len(set(counts)) > 1:
        raise ValueError(
            f"arrays must have equally many samples, not {' and '.join(map(str, counts))}"
        )
    return samples


def selected(samples: list[Any], index: Any) -> Any:
    """A tuple with the indexed samples of each array, or a single array if there is one."""
    found = tuple(a[index] for a in samples)
    return found if len(found) > 1 else found[0]
