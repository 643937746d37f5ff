"""What a worker of an executor does for a training: it keeps shards of the data, and computes gradients.

An executor does not say which worker will get a task. So a task asks for one shard, but carries the
positions of all; a worker that lacks the shard takes another that it has, if it did not do that one in
this step already, and one that has none says so.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.locks import fork_safe
from autobp.nn.losses import uneven
from autobp.primitive import constant
from autobp.tensor import Tensor
from autobp.train.executors import one_blas_thread, sendable, this_process
from autobp.train.scalar import differentiable, number
from autobp.train.source import Pair

__all__ = ["Gradient", "Program", "Reply", "Shards", "Task", "computed", "forget", "keep", "work"]

MOST_KEPT = 4  # data sets that a worker keeps, the last ones used
CHEAP = 1 << 16  # bytes, which travel in no time

Program = tuple[Any, Callable[[Any, Any], Any], list[Tensor]]  # model, loss and parameters
Shards = tuple[str, int]  # what the whole data contains, as a digest, and into how many it is split


@dataclass
class Gradient:
    """Of the loss over some samples, by each parameter; None for those that it does not depend on."""

    loss: float
    by: list[np.ndarray | None]
    prediction: Any = None  # None: it is not needed, and takes longer on its way than the gradient


@dataclass(frozen=True)
class Task:
    """A part of a step. No two are equal, since Dask takes equal calls for one call."""

    shards: Shards
    asked: int  # the number of a shard
    step: tuple[str, int]  # the training, and the number of its step
    attempt: int
    rows: Mapping[int, np.ndarray]  # of each shard
    program: Program
    predicts: bool  # whether predictions are needed
    home: str  # the process that asks
    arrays: Pair | None = None  # the shard itself


@dataclass
class Reply:
    """The number of a shard and its gradient, or an error of the model or the loss. Of a worker that has
    none of the shards, neither."""

    worker: str
    shard: int | None = None
    gradient: Gradient | None = None
    error: Exception | None = None


_kept: dict[Shards, dict[int, Pair]] = {}  # the last ones used at the end
_done: dict[str, tuple[int, set[int]]] = {}  # of each training, the step and the shards done in it
_lock = fork_safe(threading.Lock())


def keep(shards: Shards, i: int, arrays: Pair) -> None:
    with _lock:
        _kept.setdefault(shards, {})[i] = arrays
        while len(_kept) > MOST_KEPT:
            del _kept[next(iter(_kept))]


def forget(shards: Shards) -> None:
    with _lock:
        _kept.pop(shards, None)


def work(task: Task) -> Reply:
    """Do one part of a step, in a worker."""
    worker, program = this_process(), task.program
    is_away = worker != task.home
    if is_away:
        one_blas_thread()
    else:
        program = copy.deepcopy(program)  # of which each thread needs its own
    if task.arrays is not None:
        keep(task.shards, task.asked, task.arrays)
    i, arrays = _chosen(task)
    if arrays is None:
        return Reply(worker)
    try:
        return Reply(worker, i, computed(arrays, task.rows[i], program, task.predicts))
    except Exception as error:
        return Reply(worker, i, error=sendable(error) if is_away else error)


def _chosen(task: Task) -> tuple[int, Pair | None]:
    training, number = task.step
    with _lock:
        if task.shards in _kept:
            _kept[task.shards] = _kept.pop(task.shards)
        here = _kept.get(task.shards, {})
        last, done = _done.pop(training, (0, set()))
        done = done if last == number else set()
        _done[training] = number, done
        while len(_done) > MOST_KEPT:
            del _done[next(iter(_done))]
        for i in (task.asked, *task.rows):
            if i in here and (i == task.asked or i not in done):
                done.add(i)
                return i, here[i]
    return task.asked, None


def _refuse_uneven(loss: str) -> None:
    raise ValueError(
        f"fit: an executor cannot train with {loss} on a batch in which labels are ignored or have different"
        " weights: its mean over the batch is not that of the workers' parts"
    )


def computed(arrays: Pair, rows: np.ndarray, program: Program, predicts: bool) -> Gradient:
    """The loss of some rows, and its gradient, which is left in the parameters too."""
    model, loss, params = program
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # checked where it is used
        prediction = model(arrays.X[rows])
        token = uneven.set(_refuse_uneven)
        try:
            value = differentiable(loss(prediction, arrays.y[rows]))
        finally:
            uneven.reset(token)
        found = Gradient(number("fit: the loss", value), [])
        value.backward()
    found.by = [None if p.grad is None else np.asarray(p.grad) for p in params]
    prediction = constant(prediction)
    if predicts or _is_cheap(prediction, found.by):
        found.prediction = prediction
    return found


def _is_cheap(prediction: Any, by: Sequence[np.ndarray | None]) -> bool:
    """Whether a prediction takes little time on its way, or no longer than the gradient."""
    size = sum(g.nbytes for g in by if g is not None)
    return isinstance(prediction, np.ndarray) and prediction.nbytes <= max(CHEAP, size)
