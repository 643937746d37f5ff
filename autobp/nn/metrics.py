"""Metrics of classifiers. They return plain numbers and arrays; nothing is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.arrays import array_of
from autobp.calculus import is_batch
from autobp.habits import checks_keywords
from autobp.nn.losses import as_labels
from autobp.primitive import constant
from autobp.rules.indexing import picked

__all__ = ["accuracy", "confusion_matrix", "one_hot"]


@checks_keywords
def one_hot(labels: Any, classes: int | None = None) -> np.ndarray:
    """A row for each label, with 1 at the label and 0 elsewhere. The default for `classes` is the
    largest label plus 1.

    >>> from autobp import nn
    >>> nn.one_hot([2, 0])
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    given = array_of(labels)
    if classes is None:
        classes = int(np.max(given)) + 1 if given.size else 0
    return picked(np.eye(classes), as_labels("one_hot", given, classes))


@checks_keywords
def accuracy(predicted: Any, truth: Any) -> float:
    """The fraction of samples whose class is predicted correctly, from 0 to 1.

    Both arguments can be labels, or scores of every class, of which the highest counts. They can also
    be one probability for each sample, of shape (n,) or (n, 1); above ½ it means class 1.

    >>> from autobp import nn
    >>> nn.accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    >>> nn.accuracy([[0.7], [0.2]], [[1], [0]])
    1.0
    """
    found, true = decided(predicted), decided(truth)
    if found.shape != true.shape:
        raise ValueError(f"accuracy: {_many(found)} predictions for {_many(true)} samples")
    if not found.size:
        raise ValueError("accuracy: there are no samples")
    return float(np.mean(found == true))


@checks_keywords
def confusion_matrix(predicted: Any, truth: Any, classes: int | None = None) -> np.ndarray:
    """The number of samples of each class (rows) that were predicted to be of each class (columns).

    >>> from autobp import nn
    >>> nn.confusion_matrix([0, 1, 1, 1], [0, 0, 1, 1])
    array([[1, 1],
           [0, 2]])
    """
    found, true = decided(predicted), decided(truth)
    if found.shape != true.shape:
        raise ValueError(f"confusion_matrix: {_many(found)} predictions for {_many(true)} samples")
    if classes is None:
        classes = 1 + max(int(np.max(a, initial=-1)) for a in (found, true))
    found, true = (as_labels("confusion_matrix", a, classes) for a in (found, true))
    return np.bincount(true * classes + found, minlength=classes**2).reshape(classes, classes)


def decided(scores: Any) -> np.ndarray:
    """Labels from labels, from scores of every class, or from probabilities of class 1."""
    if is_batch(scores):
        raise TypeError(
            "vmap: metrics count over all samples and take numbers: return the scores from the mapped"
            " function, and call the metric on the result of the vmap"
        )
    a = np.asarray(constant(scores))
    if a.ndim == 2 and a.shape[1] > 1:
        return np.argmax(a, axis=1)
    if a.ndim == 2:
        a = a[:, 0]
    if a.ndim != 1:
        raise ValueError(f"classes must have shape (n,), (n, 1) or (n, classes), not {a.shape}")
    if np.array_equal(a, np.rint(a)):
        return a.astype(int)
    outside = a[(a < 0) | (a > 1)]
    if outside.size:
        raise ValueError(
            f"one number for each sample must be a label or a probability, not {outside[0]:.6g};"
            " pass nn.sigmoid(scores) or scores > 0"
        )
    return (a > 0.5).astype(int)


def _many(labels: np.ndarray) -> str:
    return f"{len(labels):,}"
