"""Losses: functions of predictions and targets, to be minimized.

`reduction` is "mean" or "sum", taken over all losses, or "none" for the losses themselves, as in
PyTorch. There is a loss for each element, or, where classes are scored, for each label. Predictions and targets must have the same shape; they are not broadcast. Each loss
opens a scope of its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from autobp.arrays import array_of
from autobp.context import scope
from autobp.habits import checks_keywords
from autobp.primitive import Array, V, constant, numbers
from autobp.rules.indexing import picked
from autobp.rules.neural import floating, log_softmax, relu, softplus
from autobp.tensor import Tensor
from autobp.tree import leaves

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "hinge",
    "huber",
    "l2_penalty",
    "mse",
    "nll",
    "squared_error",
]

#: Is told of each mean in which labels weigh differently. It is not put together from the means of parts.
uneven: ContextVar[Callable[[str], None] | None] = ContextVar("uneven", default=None)


@checks_keywords
@scope("mse")
def mse(
    predicted: V | Array, target: V | Array, *, half: bool = False, reduction: str = "mean"
) -> V:
    """The mean of the squared errors of all elements, as PyTorch's. `half=True` halves it.

    `squared_error` is the textbook's, which adds up the outputs of a sample.

    >>> from autobp import nn
    >>> nn.mse([[1.0, 2.0]], [[1.0, 5.0]])
    np.float64(4.5)
    """
    return _reduced("mse", _squares("mse", predicted, target, half), reduction)


@checks_keywords
@scope("squared_error")
def squared_error(
    predicted: V | Array, target: V | Array, *, half: bool = False, reduction: str = "mean"
) -> V:
    """The squared error of a sample: the sum over its outputs. The mean of it is taken over samples,
    so that with `half=True` the gradient is (predicted − target) / samples.

    For one output it equals `mse`; for k outputs it is k times as large.

    >>> from autobp import nn
    >>> nn.squared_error([[1.0, 2.0]], [[1.0, 5.0]])
    np.float64(9.0)
    """
    squares = _squares("squared_error", predicted, target, half)
    if squares.ndim > 1:
        squares = np.sum(squares, axis=tuple(range(1, squares.ndim)))
    return _reduced("squared_error", squares, reduction)


def _squares(who: str, predicted: Array, target: Array, half: bool) -> Array:
    predicted, target = _aligned(who, predicted, target)
    squares = (predicted - target) ** 2
    return squares / 2 if half else squares


@checks_keywords
@scope("cross_entropy")
def cross_entropy(
    logits: V | Array,
    target: Any,
    weight: Array = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> V:
    """−log p, where p is the probability of the true class: the softmax of the scores. Classes are
    along axis 1, or axis 0 for a single sample.

    Targets are integer labels, with one dimension less, or a probability for every class. `weight`
    has a number for each class; the mean is then a weighted one. Labels that are `ignore_index` do not
    count. `label_smoothing` moves that part of the probability from the true class to all evenly.

    >>> import numpy as np
    >>> from autobp import nn
    >>> Z = np.array([[2.0, 25.0, 13.0], [54.0, 3.0, 11.0]])
    >>> float(nn.cross_entropy(Z, [2, 1]))
    31.500003072148047
    >>> float(nn.cross_entropy(Z, [2, -100]))
    12.000006144296096
    """
    logits = floating(logits)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is from 0 to 1, not {label_smoothing}")
    logs = log_softmax(logits, _axis("cross_entropy", logits))
    return _picked("cross_entropy", logs, target, reduction, weight, ignore_index, label_smoothing)


@checks_keywords
@scope("binary_cross_entropy")
def binary_cross_entropy(
    probabilities: V | Array, target: V | Array, weight: Array = None, *, reduction: str = "mean"
) -> V:
    """−y log p − (1 − y) log(1 − p). As in PyTorch, logarithms are at least −100, so that a wrong 0 or
    1 costs 100, and the derivative is −10¹² or 10¹² there. Each loss is multiplied by the `weight`, if
    there is one.

    >>> from autobp import nn
    >>> nn.binary_cross_entropy([0.0, 1.0, 0.5], [0.0, 1.0, 1.0], reduction="none").round(3)
    array([0.   , 0.   , 0.693])
    >>> nn.binary_cross_entropy([0.0], [1.0])
    np.float64(100.0)
    """
    who = "binary_cross_entropy"
    p, y = _aligned(who, probabilities, target)
    primal = constant(p)
    _within_unit(who, "probabilities", primal)
    _within_unit(who, "targets", y)
    # Both are true for a NaN, which propagates. (A number's ~True would be -2.)
    above, below = np.logical_not(primal <= _LEAST), np.logical_not(primal >= 1)
    rise = _STEEP * (p - primal)  # 0, with a derivative, so that a wrong 0 or 1 is trained away
    if_true = np.where(above, -np.log(np.where(above, p, 1.0)), 100.0 - rise)
    if_false = np.where(below, -np.log1p(-np.where(below, p, 0.0)), 100.0 + rise)
    return _reduced(who, _weighted(y * if_true + (1 - y) * if_false, weight), reduction)


_LEAST, _STEEP = math.exp(-100.0), 1e12  # of Python, so that float32 is compared as it is


def _within_unit(who: str, what: str, a: Any) -> None:
    a = numbers(a)
    wrong = (a < 0) | (a > 1)
    if not np.any(wrong):
        return
    where = _first(wrong)
    hint = "; pass scores to binary_cross_entropy_with_logits"
    raise ValueError(
        f"{who}: {what} must be from 0 to 1, not {np.asarray(a)[where]:.6g}{_at(where)}"
        + (hint if what == "probabilities" else "")
    )


@checks_keywords
@scope("binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    logits: V | Array,
    target: V | Array,
    weight: Array = None,
    *,
    reduction: str = "mean",
    pos_weight: Array = None,
) -> V:
    """`binary_cross_entropy` of sigmoid(logits), exact for scores of any size. Its derivative is
    sigmoid(logits) − target. `pos_weight` multiplies the part of the true samples alone.

    >>> from autobp import nn
    >>> nn.binary_cross_entropy_with_logits([1000.0, -1000.0], [0.0, 0.0], reduction="none")
    array([1000.,    0.])
    """
    who = "binary_cross_entropy_with_logits"
    z, y = _aligned(who, logits, target)
    _within_unit(who, "targets", y)
    true = _weighted(y * softplus(-z), pos_weight)
    return _reduced(who, _weighted(true + (1 - y) * softplus(z), weight), reduction)


@checks_keywords
@scope("hinge")
def hinge(scores: V | Array, target: V | Array, *, reduction: str = "mean") -> V:
    """max(0, 1 − y·score), for labels y of −1 or 1. It is 0 for scores that are right by a margin.

    >>> from autobp import nn
    >>> nn.hinge([2.0, 0.5, 0.5], [1, 1, -1], reduction="none")
    array([0. , 0.5, 1.5])
    """
    f, y = _aligned("hinge", scores, target)
    if not np.all(np.abs(numbers(y)) == 1):
        raise ValueError("hinge: labels must be -1 or 1; for labels 0 and 1, pass 2*y - 1")
    return _reduced("hinge", relu(1 - y * f), reduction)


@checks_keywords
@scope("huber")
def huber(
    predicted: V | Array, target: V | Array, *, delta: float = 1.0, reduction: str = "mean"
) -> V:
    """Half the square of errors up to `delta`, and linear above it, which limits the gradient of
    outliers.

    >>> from autobp import nn
    >>> nn.huber([0.5, 3.0], [0.0, 0.0], reduction="none")
    array([0.125, 2.5  ])
    """
    if not delta > 0:
        raise ValueError(f"huber: delta must be above 0, not {delta}")
    predicted, target = _aligned("huber", predicted, target)
    size = np.abs(predicted - target)
    small = np.minimum(size, delta)
    return _reduced("huber", small * (size - small / 2), reduction)


@checks_keywords
@scope("l2_penalty")
def l2_penalty(params: Any, strength: float = 1.0) -> Array:
    """strength · Σ‖W‖² over a Tensor, or nested lists, tuples, dicts, dataclasses or an iterator of
    Tensors.

    >>> from autobp import nn
    >>> nn.l2_penalty([[3.0, 4.0], [1.0]], 0.1)
    np.float64(2.6)
    """
    if isinstance(params, Iterator):
        params = list(params)
    return strength * sum(np.sum(w**2) for w in (floating(w) for _, w in leaves(params)))


@checks_keywords
@scope("nll")
def nll(
    log_probabilities: V | Array,
    target: Any,
    weight: Array = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> V:
    """Negative log likelihood: `cross_entropy` for log probabilities instead of scores.

    >>> import numpy as np
    >>> from autobp import nn
    >>> float(nn.nll(np.log([0.3, 0.5, 0.2]), 2))
    1.6094379124341003
    """
    return _picked("nll", floating(log_probabilities), target, reduction, weight, ignore_index)


def _axis(who: str, scores: Array) -> int:
    if scores.ndim == 0:
        raise ValueError(f"{who} takes a score for each class, not a single number")
    return 1 if scores.ndim > 1 else 0


def _picked(
    who: str,
    logs: Array,
    target: Any,
    reduction: str,
    weight: Array,
    ignore_index: int,
    smoothing: float = 0.0,
) -> Array:
    axis = _axis(who, logs)
    classes = logs.shape[axis]
    labels_shape = logs.shape[:axis] + logs.shape[axis + 1 :]
    given = array_of(target)
    if weight is not None:
        weight = floating(weight)
        if weight.shape != (classes,):
            raise ValueError(
                f"{who}: weight has shape {weight.shape}, not ({classes},): one a class"
            )
    if given.shape == logs.shape:
        soft = _probabilities(who, target, given, axis, logs.dtype)
        if smoothing:
            soft = (1 - smoothing) * soft + smoothing / classes
        losses = -np.sum(_weighted(soft * logs, _laid(weight, axis, logs.ndim)), axis=axis)
        return _reduced(who, losses, reduction)
    if given.shape != labels_shape:
        hint = ""
        if given.shape == logs.shape[:-1]:
            hint = (
                f"; the classes are on axis {axis}: if they are last, pass"
                f" scores.reshape(-1, {logs.shape[-1]}) and labels.reshape(-1)"
            )
        raise ValueError(
            f"{who}: scores of shape {logs.shape} take labels of shape {labels_shape} or"
            f" probabilities of shape {logs.shape}, not a target of shape {given.shape}{hint}"
        )
    labels, counted = _counted(who, given, classes, ignore_index)
    index: list[Any] = list(np.indices(given.shape, sparse=True))
    index.insert(axis, labels)
    losses = -picked(logs, tuple(index))
    share = picked(weight, labels) if weight is not None else None
    if counted is not None:
        share = counted.astype(logs.dtype) if share is None else _weighted(share, counted)
        losses = np.where(counted, losses, 0.0)
    losses = _weighted(losses, share)
    if smoothing:
        even = -np.sum(_weighted(logs, _laid(weight, axis, logs.ndim)), axis=axis)
        even = even if counted is None else np.where(counted, even, 0.0)
        losses = (1 - smoothing) * losses + smoothing / classes * even
    if share is not None and reduction == "mean":
        told = uneven.get()
        if told is not None and np.ptp(numbers(share)) > 0:
            told(who)
        return np.sum(losses) / np.sum(share)
    return _reduced(who, losses, reduction)


def _probabilities(who: str, target: Any, given: Any, axis: int, dtype: Any) -> Array:
    """Targets with a probability for every class, checked."""
    if given.dtype.kind not in "fiub":
        raise TypeError(f"{who}: targets must be numbers, not {given.dtype}")
    totals, least = np.sum(given, axis=axis), np.min(given, axis=axis)
    totals, least = numbers(totals), numbers(least)
    wrong = ~((np.abs(totals - 1) <= 1e-3) & (least >= 0))
    if np.any(wrong):
        where = _first(wrong)
        raise ValueError(
            f"{who}: probabilities must be 0 or more and sum to 1; those of the target{_at(where)}"
            f" sum to {totals[where]:.6g}, the least of them is {least[where]:.6g}"
        )
    return target if isinstance(target, Tensor) else given.astype(dtype, copy=False)


def _laid(weight: Array, axis: int, ndim: int) -> Array:
    """The weights of the classes along their axis."""
    return None if weight is None else np.reshape(weight, (-1,) + (1,) * (ndim - axis - 1))


def _weighted(losses: Array, weight: Array) -> Array:
    return losses if weight is None else losses * floating(weight).astype(losses.dtype)


def _counted(who: str, given: Any, classes: int, ignore_index: int) -> tuple[Any, Any]:
    """The labels, and which of them count: None, if all do."""
    labels = _whole(who, given)
    every = numbers(labels)
    inside = not every.size or 0 <= np.min(every) <= np.max(every) < classes
    if inside and not 0 <= ignore_index < classes:
        return labels, None
    ignored = labels == ignore_index
    return as_labels(who, np.where(ignored, 0, labels), classes), ~ignored


def _whole(who: str, given: np.ndarray) -> np.ndarray:
    """Labels as integers."""
    if given.dtype.kind not in "iubf":
        raise TypeError(f"{who}: labels must be integers, not {given.dtype}")
    if given.dtype.kind == "f" and np.any((every := numbers(given)) != np.rint(every)):
        where = _first(every != np.rint(every))
        raise ValueError(f"{who}: labels must be integers, not {every[where]:.6g}{_at(where)}")
    return given.astype(int, copy=False)


def as_labels(who: str, given: np.ndarray, classes: int) -> np.ndarray:
    """Labels as integers, checked to be classes."""
    labels = _whole(who, given)
    every = numbers(labels)
    if every.size and not 0 <= np.min(every) <= np.max(every) < classes:
        where = _first((every < 0) | (every >= classes))
        raise ValueError(
            f"{who}: the label{_at(where)} is {every[where]}; with {classes} classes labels are"
            f" 0 to {classes - 1}"
        )
    return labels


def _first(wrong: Any) -> tuple[int, ...]:
    """The index of the first true element."""
    return tuple(np.argwhere(wrong)[0].tolist())


def _at(where: tuple[int, ...]) -> str:
    return f" at {list(where)}" if where else ""


def _aligned(who: str, predicted: Array, target: Array) -> tuple[Array, Array]:
    """Both in floating point; constant targets in the dtype of the predictions."""
    predicted, target = floating(predicted), floating(target)
    if not isinstance(target, Tensor):
        target = target.astype(predicted.dtype, copy=False)
    if predicted.shape != target.shape:
        raise ValueError(
            f"{who}: predictions of shape {predicted.shape} and targets of shape {target.shape};"
            " the shapes must be equal (reshape one of them)"
        )
    return predicted, target


def _reduced(who: str, losses: Array, reduction: str) -> Array:
    if reduction == "mean":
        return np.mean(losses)
    if reduction == "sum":
        return np.sum(losses)
    if reduction == "none":
        return losses
    raise ValueError(f'{who}: reduction must be "mean", "sum" or "none", not {reduction!r}')
