"""Splits into training and test samples, and folds for cross-validation."""

from __future__ import annotations

from typing import Any, overload

import numpy as np

from autobp.data.batching import aligned, selected
from autobp.data.points import Seed
from autobp.habits import checks_keywords

__all__ = ["k_folds", "split"]


Size = float | int


@overload
def split(array: Any, /, *, test: Size = ..., rng: Seed = ...) -> tuple[Any, Any]: ...
@overload
def split(
    X: Any, y: Any, /, *, test: Size = ..., rng: Seed = ...
) -> tuple[tuple[Any, Any], tuple[Any, Any]]: ...
@overload
def split(
    *arrays: Any, test: Size = ..., rng: Seed = ...
) -> tuple[tuple[Any, ...], tuple[Any, ...]]: ...
@checks_keywords
def split(*arrays: Any, test: Size = 0.2, rng: Seed = 0) -> tuple[Any, Any]:
    """Split samples at random into a training part and a test part. `test` is the size of the test
    part: a fraction, or an integer number of samples.

    Return two tuples with a part of each array (or two arrays, for one array). The same seed gives
    the same parts, so that test samples stay test samples.

    >>> X, y = np.arange(10).reshape(5, 2), np.arange(5)
    >>> (X_train, y_train), (X_test, y_test) = split(X, y, test=0.4)
    >>> y_train, y_test
    (array([0, 1, 3]), array([2, 4]))
    """
    samples = aligned(arrays)
    n = len(samples[0])
    n_test = test if isinstance(test, int | np.integer) else round(test * n)
    if not 0 < n_test < n:
        raise ValueError(f"test={test} of {n} samples leaves one part empty")
    is_test = np.zeros(n, bool)
    is_test[np.random.default_rng(rng).permutation(n)[:n_test]] = True
    return selected(samples, np.flatnonzero(~is_test)), selected(samples, np.flatnonzero(is_test))


@checks_keywords
def k_folds(
    samples: Any, k: int, *, stratified: bool = False, rng: Seed = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the indices of training and of validation samples for each of `k` folds.

    `samples` is their number, or anything with one row for each. Every sample is used for validation
    once, and the sizes of folds differ by at most 1. Stratified folds, which need labels, also have
    almost equally many samples of each class.

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
    fold[order] = np.arange(n) % k  # dealt like cards: even overall and within each class
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]
