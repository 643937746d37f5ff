"""Folds: which samples to learn from, and which to be judged by."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.data.batching import aligned, parted
from autobp.data.points import Seed

__all__ = ["k_folds", "split"]


def split(*arrays: Any, test: float | int = 0.2, rng: Seed = 0) -> tuple[Any, Any]:
    """Put samples aside at random: `test` of them, a part of the whole or a number.

    Returns two tuples with a part of every array (or the parts, where there is one array). The same
    seed gives the same parts, so that what was put aside once stays aside.

    >>> X, y = np.arange(10).reshape(5, 2), np.arange(5)
    >>> (X_train, y_train), (X_test, y_test) = split(X, y, test=0.4)
    >>> y_train, y_test
    (array([0, 1, 3]), array([2, 4]))
    """
    samples = aligned(arrays)
    n = len(samples[0])
    aside = test if isinstance(test, int | np.integer) else round(test * n)
    if not 0 < aside < n:
        raise ValueError(f"test={test} of {n} samples leaves one of the parts empty")
    chosen = np.zeros(n, bool)
    chosen[np.random.default_rng(rng).permutation(n)[:aside]] = True
    return parted(samples, np.flatnonzero(~chosen)), parted(samples, np.flatnonzero(chosen))


def k_folds(
    samples: Any, k: int, *, stratified: bool = False, rng: Seed = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each of `k` folds the indices of the samples to learn from and of those to validate on.

    `samples` is their number, or anything that has one row for each. Every sample is validated on
    once; the folds differ by one sample at most. Stratified folds, which need the labels, also hold
    each class in as even a number as can be.

    >>> for train, held in k_folds(5, 2): print(train, held)
    [0 4] [1 2 3]
    [1 2 3] [0 4]
    >>> y = np.array([0, 0, 0, 0, 1, 1])
    >>> [y[held].tolist() for _, held in k_folds(y, 2, stratified=True)]
    [[0, 0, 1], [0, 0, 1]]
    """
    number = isinstance(samples, int | np.integer)
    n = int(samples) if number else len(samples)
    if not 2 <= k <= n:
        raise ValueError(f"{n} samples cannot make {k} folds")
    order = np.random.default_rng(rng).permutation(n)
    if stratified:
        labels = None if number else np.asarray(samples)
        if labels is None or labels.ndim != 1:
            given = n if labels is None else f"shape {labels.shape}"
            raise ValueError(f"stratified folds need labels, one for each sample, not {given}")
        order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(n, int)
    fold[order] = np.arange(n) % k  # dealt like cards: even as a whole, and in each run of equals
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]
