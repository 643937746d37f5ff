"""fit: the training loop; evaluate: loss and metrics on other data."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autobp.calculus import is_finite, nonfinite_kind
from autobp.context import evaluation, updates
from autobp.data.batching import aligned
from autobp.data.points import Seed
from autobp.habits import checks_keywords
from autobp.optim import Optimizer, ReduceLROnPlateau, Schedule
from autobp.optim.option import count
from autobp.primitive import Variable, constant
from autobp.table import short
from autobp.train.diverged import DivergedError
from autobp.train.executors import in_a_task
from autobp.train.history import History, best_of
from autobp.train.options import Function, Options, checked_metrics
from autobp.train.progress import Progress
from autobp.train.scalar import number
from autobp.train.source import Pair, Stream, source
from autobp.train.state import State, Weights
from autobp.train.step import Step
from autobp.tree import leaves, transformed
from autobp.tree import map as tree_map

__all__ = ["Run", "evaluate", "fit", "predict"]


@dataclass
class Run:
    """A training in progress, as callbacks see it."""

    model: Any
    optimizer: Optimizer
    history: History
    best: Weights | None = field(default=None, repr=False)  # with keep_best

    @property
    def epoch(self) -> int:
        """The number of completed epochs."""
        return len(self.history)

    def stop(self, why: str) -> None:
        """Stop the training after this epoch. The history and the log say why."""
        self.history.stopped = why


@checks_keywords
@updates
def fit(
    model: Any,
    data: Any,
    loss: Function,
    optimizer: Optimizer,
    epochs: int = 10,
    batch_size: int = 32,
    validation: Any = None,
    callbacks: Sequence[Callable[[Run], object]] = (),
    *,
    metrics: Mapping[str, Function] | None = None,
    schedule: Schedule | ReduceLROnPlateau | None = None,
    clip_norm: float | None = None,
    monitor: str | None = None,
    mode: str | None = None,
    patience: int | None = None,
    keep_best: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    rng: Seed = None,
    progress: bool = True,
    compile: bool | None = None,
    executor: Executor | None = None,
) -> History:
    """Train `model` on `data`, a pair of arrays (X, y), and return the `History`.

    `data` may also be an iterable of batches (x, y), which decides their size and order: a list, an
    object that can be iterated over again in each epoch, such as PyTorch's DataLoader, or a function
    that returns a new generator, `lambda: read(files)`. So does data that memory cannot hold, but a
    `numpy.memmap` is an array like any other. An iterator itself serves for one epoch.

    >>> from autobp import nn
    >>> from autobp.data import moons
    >>> from autobp.optim import Adam
    >>> from autobp.train import fit
    >>> model = nn.MLP([2, 16, 2], activation="tanh", rng=0)
    >>> history = fit(
    ...     model, moons(), nn.cross_entropy, Adam(model.parameters(), lr=0.01), epochs=40,
    ...     metrics={"accuracy": nn.accuracy}, rng=0, progress=False,
    ... )
    >>> history.best("accuracy")["accuracy"] > 0.95
    True

    `model` is any function of a batch of X, and `loss(prediction, y)` returns a number. `metrics`
    are functions of the same two arguments, as plain arrays. The history has their means over the
    samples of each epoch. Those over `validation`, another pair, are called "val_loss" and so on.
    `rng` shuffles the samples.

    After each epoch, `schedule` takes a step, and each callback is called with the `Run`, which it
    may `stop`. `clip_norm` limits the norm of the gradient.

    `monitor` names the column that decides which epoch is best: by default "val_loss" with
    validation data, "loss" without. Lower is better for losses and errors, higher for accuracies;
    for any other name, pass `mode="min"` or `mode="max"`. With `patience`, training stops after that
    many epochs without a new best. With `keep_best`, the model ends with the weights of the best
    epoch instead of the last.

    With `checkpoint`, everything that the training depends on is saved to that file after each
    epoch. With `resume=True`, training continues from the file if it exists. With the same data and
    arguments, the numbers are those of an uninterrupted training, bit for bit. What the file cannot
    hold, but has changed, a warning and `history.unsaved` name. Not seen are changes that nothing of
    the training reaches: in modules of Python or of other packages, in their objects, in threads.
    To resume in the same process, make model, optimizer, loss and callbacks anew.

    Ctrl-C stops the training and returns the history so far. If the loss, a gradient or a weight is
    not finite, `DivergedError` names epoch, batch and layer, and the model gets back the weights of
    the end of the previous epoch.

    By default `fit` compiles only what it knows completely: models made of `autobp.nn`'s own modules
    with one of its losses and no hooks. Subclasses and functions of your own run uncompiled.
    `compile=True` compiles any model and loss, under the contract of `autobp.compile`; code that
    cannot be compiled raises an error that names its line. In each epoch, one batch is computed both
    ways. If the results differ by more than rounding, compiled steps end, and a line says so; with
    `compile=True` that is an error.

    Compiled steps are almost twice as fast for small models. By default they begin after 300 batches
    of the same size, counted from the last change of the model by a callback, if an epoch has at
    least 16 batches. With `compile=True` they begin at once. `history.compiled` tells which steps
    were compiled, and why others were not. Pass `compile=False` to use a debugger.

    With `executor`, one of `concurrent.futures` or of its kind such as Dask's `client.get_executor(pure=False)`, each
    batch is split over its workers, and their gradients are added up: the numbers are those of one process,
    to rounding. The data must be a pair of arrays. Each worker gets a part of it once, and the model with
    every step. That pays off if the part of a batch takes a worker much longer than it takes to send the
    model, on one machine from about 20 ms on. Dropout, batch normalization and losses that are neither a
    mean nor a sum over samples cannot be split, and are refused; the first batch of each epoch is
    compared. What a worker that died had to do is done again, by another worker, or by this process if
    the executor is broken then, as a `ProcessPoolExecutor` is. Validation runs in this process.

    Afterwards the model is in the mode that it was in before, mostly training mode, and drops out
    when it is called. `predict` and `evaluate` use it in evaluation mode.

    A terminal shows a progress bar, other outputs about 20 lines. `progress=False` turns them off;
    within a `sweep`, which prints its own, they are off.
    """
    return _Training(Options(**locals())).result()  # the arguments are the only locals


@checks_keywords
def evaluate(
    model: Any,
    data: Any,
    loss: Function,
    *,
    metrics: Mapping[str, Function] | None = None,
    batch_size: int = 256,
) -> dict[str, float]:
    """The mean loss and metrics of `model` on `data`, a pair (X, y) or an iterable of such batches, in
    evaluation mode and without recording. The mean is over the batches, each of which counts by its number
    of samples; for a loss that is no mean over samples, write `loss(predict(model, X), y)`.

    >>> from autobp import nn
    >>> from autobp.data import moons
    >>> from autobp.train import evaluate
    >>> found = evaluate(nn.MLP([2, 2]), moons(), nn.cross_entropy, metrics={"right": nn.accuracy})
    >>> sorted(found)
    ['loss', 'right']
    """
    given = source("evaluate: data", data)
    metrics = checked_metrics("evaluate: metrics", metrics)
    means = _Means()
    with evaluation(), _mode(model, training=False):
        for xs, ys in given.batches(count("evaluate: batch_size", batch_size, 1), None):
            prediction = model(xs)
            value = number("evaluate: the loss", loss(prediction, ys))
            means.add(len(xs), {"loss": value, **_measured(metrics, prediction, ys)})
    return means.found()


@checks_keywords
def predict(model: Any, X: Any, *, batch_size: int = 256) -> Any:
    """What `model` makes of `X`, as plain arrays: in evaluation mode, without recording, in batches.

    A model in training mode, as it is when it is made and after `fit`, drops out and uses the averages
    of the batch when it is called. `predict` and `evaluate` change that for as long as they run.

    >>> import numpy as np
    >>> from autobp import nn
    >>> from autobp.train import predict
    >>> model = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 1, init=nn.normal(), rng=0))
    >>> predict(model, np.zeros((1000, 2))).shape, model.training
    ((1000, 1), True)

    `X` is an array of samples. For data that memory cannot hold, a generator, or another iterable such
    as PyTorch's DataLoader, gives the batches: arrays, or pairs of which the first is taken. A model that returns a list, a tuple or a dict of arrays gets one of whole arrays back.
    """
    size = count("predict: batch_size", batch_size, 1)
    if isinstance(X, tuple):
        raise TypeError(
            f"predict takes X alone, not a tuple of {len(X)}: write predict(model, X), without targets"
        )
    if callable(X) and not hasattr(X, "forward"):
        X = X()
    given: Iterable[Any]
    if isinstance(X, Iterable) and not hasattr(X, "shape") and not isinstance(X, list | dict | str):
        given = map(_inputs, X)
    else:
        if isinstance(X, list) and len({np.shape(x)[:1] for x in X if hasattr(x, "shape")}) > 1:
            raise ValueError(
                "predict: X is a list of arrays of different lengths; for batches write predict(model,"
                " iter(X))"
            )
        (samples,) = aligned((X,))
        given = (samples[i : i + size] for i in range(0, max(len(samples), 1), size))
    with evaluation(), _mode(model, training=False):
        found = [transformed(lambda y: np.asarray(constant(y)), model(xs)) for xs in given]
    if not found:
        raise ValueError("predict: there are no batches")
    first = found[0]
    if any(not np.ndim(y) for _, y in leaves(first)):
        raise ValueError("predict: the model returns a single number for a batch of samples")
    return tree_map(lambda *parts: np.concatenate(parts), *found) if len(found) > 1 else first


def _inputs(batch: Any) -> Any:
    """The samples of a batch that may have targets."""
    if isinstance(batch, tuple | list) and len(batch) == 2 and hasattr(batch[0], "shape"):
        batch = batch[0]
    return batch if isinstance(batch, Variable | np.ndarray) else np.asarray(batch)


class _Training:
    """One call of `fit`, from the first epoch, or that of a checkpoint, to the last."""

    step: Step
    shown: Progress

    def __init__(self, options: Options) -> None:
        self.options = o = options
        others: dict[str, Any] = {f"callbacks[{i}]": f for i, f in enumerate(o.callbacks)}
        others |= {f"metrics[{name!r}]": f for name, f in o.metrics.items()}
        for name, given in (("data", o.data), ("validation", o.validation)):
            if isinstance(given, Stream) and not given.is_read_once:
                others[name] = given.source
        saves = o.checkpoint is not None
        self.state = State(o.model, o.optimizer, o.schedule, o.rng, o.loss, others, saves)
        self.history = History([], o.monitor, o.mode)
        self.run = Run(o.model, o.optimizer, self.history)
        self.best = 0  # the best epoch, 0 if there is none

    def result(self) -> History:
        with _mode(self.options.model, training=True):
            self._begin()
            try:
                with self.shown:
                    self.step.review()
                    while not (self._is_done() or self._is_out_of_patience()):
                        self._record(self._epoch())
            except KeyboardInterrupt:
                if in_a_task():  # Ctrl-C ends the sweep
                    raise
                self.history.interrupted = True
                self.run.stop(f"interrupted in epoch {self.run.epoch + 1}")
            finally:
                self.step.finish()
            if self.options.keep_best and self.run.best is not None:
                self.state.restore(self.run.best)
        if self.history.stopped:
            self.shown.say(
                f"stopped after {_many(self.run.epoch, 'epoch')}: {self.history.stopped}"
            )
        return self.history

    def _begin(self) -> None:
        """Load the checkpoint if there is one, and make what depends on it."""
        o, history = self.options, self.history
        saved = None
        if o.checkpoint is not None and os.path.exists(o.checkpoint):
            saved = self.state.load(o.checkpoint)
            history.rows[:], history.stopped = saved.rows, saved.stopped
            history.compiled, history.unsaved = saved.compiled, saved.unsaved
            self.run.best = saved.best
        self._find_best(range(1, self.run.epoch + 1))
        ticks = o.data.count(o.batch_size) or 0
        self.shown = Progress(o.epochs, ticks, o.progress and not in_a_task(), self.run.epoch)
        self.step = Step(o, self.state, history.compiled, self.shown.say, self.shown.warn)
        if saved is not None:
            self.step.load_state_dict(saved.step)
        if history.unsaved:
            self.shown.warn(_resumed_without(history.unsaved))
        if saved is not None and saved.dropped:
            self.shown.warn(
                f"the checkpoint has the state of {', '.join(saved.dropped)}, which this training does not"
                " have: it is lost with the next checkpoint"
            )

    def _is_done(self) -> bool:
        return self.run.epoch >= self.options.epochs or bool(self.history.stopped)

    def _is_out_of_patience(self) -> bool:
        patience = self.options.patience
        if patience is None or self.run.epoch - self.best < patience:
            return False
        self.run.stop(f"no better {self.history.monitor} for {_many(patience, 'epoch')}")
        return True

    def _epoch(self) -> dict[str, float]:
        """Train for one epoch and validate. Return the row of the history."""
        o, start = self.options, time.perf_counter()
        row = {"epoch": self.run.epoch + 1, **self._train()}
        if o.validation is not None:
            found = evaluate(o.model, o.validation, o.loss, metrics=o.metrics)
            row |= {f"val_{name}": value for name, value in found.items()}
        rate = o.optimizer.param_groups[0]["lr"]
        return row | {"lr": rate, "seconds": time.perf_counter() - start}

    def _train(self) -> dict[str, float]:
        """Go once through the data. Return the mean loss and metrics."""
        o, before, means, batch = self.options, self.state.weights(), _Means(), 0
        self.step.begin_epoch()
        xs = ys = np.zeros(0)
        try:
            for xs, ys in self._batches():
                batch += 1
                prediction, value = self.step(xs, ys)
                means.add(len(xs), {"loss": value, **_measured(o.metrics, prediction, ys)})
                self.shown.tick(lambda: self._text_of_batch(means))
            self._check_parameters()
        except DivergedError as error:
            self.state.restore(before)
            o.optimizer.zero_grad()
            seen = ("data", o.data) if isinstance(o.data, Pair) else ("batch", (xs, ys))
            raise self._explained(f"batch {batch}, {error}", *seen) from None
        return means.found()

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        """Samples and targets; with an executor, whose workers have the samples, their positions."""
        o = self.options
        if o.executor is None:
            return o.data.batches(o.batch_size, o.rng)
        assert isinstance(o.data, Pair)
        return Pair(np.arange(len(o.data.X)), o.data.y).batches(o.batch_size, o.rng)

    def _check_parameters(self) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            bad = [p for p in self.state.params if not is_finite(p.data)]
        if bad:
            kind, name = nonfinite_kind(bad[0].data), self.state.name_of(bad[0])
            raise DivergedError(f"the step made {kind} of the parameter {name!r}")

    def _explained(self, said: str, what: str, arrays: Sequence[Any]) -> DivergedError:
        """The error with the epoch, a way out, and the state of the model."""
        advice = "a smaller learning rate or clip_norm= may help"
        for name, values in zip("Xy", map(constant, arrays)):
            if kind := nonfinite_kind(values):
                sample = np.argwhere(~np.isfinite(values))[0, 0]
                said, advice = said.partition(":")[0], f"the {what} has {kind} in {name}[{sample}]"
                break
        done = self.run.epoch
        since = f"from the end of epoch {done}" if done else "that it began with"
        where = f"in epoch {done + 1}, {said}"
        explained = DivergedError(f"fit: {where}; {advice}. The model has the weights {since}")
        explained.where, explained.history = where, self.history
        return explained

    def _record(self, row: dict[str, float]) -> None:
        """Add the row of an epoch, and do what follows from it."""
        o, run = self.options, self.run
        self.history.rows.append(row)
        self.shown.step(run.epoch, _text(row))
        if isinstance(o.schedule, ReduceLROnPlateau):
            o.schedule.step(row[self.history.monitor])
        elif o.schedule is not None:
            o.schedule.step()
        self._find_best([self.best, run.epoch] if self.best else [run.epoch])
        if o.keep_best and self.best == run.epoch:
            run.best = self.state.weights()
        for callback in o.callbacks:
            callback(run)
        self.step.review()
        if o.checkpoint is not None:
            new = self.state.save(o.checkpoint, self.history, run.best, self.step.state_dict())
            if new:
                self.history.unsaved += new
                self.shown.warn(_unsaved(new))

    def _find_best(self, epochs: Sequence[int]) -> None:
        rows = [self.history.rows[epoch - 1] for epoch in epochs]
        try:
            self.best = epochs[best_of(rows, self.history.monitor, self.history.mode)]
        except ValueError:  # none of them has a number
            self.best = 0

    def _text_of_batch(self, means: _Means) -> str:
        before = self.history.rows[-1] if self.history else {}
        known = {name: value for name, value in before.items() if name.startswith("val_")}
        return f"epoch {self.run.epoch + 1}/{self.options.epochs}  {_text(means.found() | known)}"


def _measured(metrics: Mapping[str, Function], prediction: Any, ys: Any) -> dict[str, float]:
    return {
        name: number(f"the metric {name!r}", metric(constant(prediction), constant(ys)))
        for name, metric in metrics.items()
    }


class _Means:
    """Running means over samples that come in batches."""

    def __init__(self) -> None:
        self.samples = 0
        self.sums: dict[str, float] = {}

    def add(self, samples: int, values: Mapping[str, float]) -> None:
        self.samples += samples
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + samples * value

    def found(self) -> dict[str, float]:
        return {name: total / self.samples for name, total in self.sums.items()}


@contextmanager
def _mode(model: Any, training: bool) -> Iterator[None]:
    """Put a model into training or evaluation mode, and afterwards back into its own."""
    if not hasattr(model, "modules"):
        yield
        return
    before = [(module, vars(module).get("training")) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in before:
            if mode is None:
                vars(module).pop("training", None)
            else:
                module.training = mode


def _unsaved(names: Sequence[str]) -> str:
    return (
        f"a checkpoint cannot hold {', '.join(names)}, of a kind that fit does not know, which has"
        " changed since the last one: a training that resumes from it will not be the same bit for bit"
    )


def _resumed_without(names: Sequence[str]) -> str:
    return (
        f"resumed without {', '.join(names)}, which the checkpoint lacks or which has no place to go"
        " to: from here on the training is not the same bit for bit"
    )


def _text(row: Mapping[str, float]) -> str:
    shown = {k: v for k, v in row.items() if k not in ("epoch", "lr", "seconds")}
    said = "  ".join(f"{name} {short(value)}" for name, value in shown.items())
    return f"{said}  {row['seconds']:.1f} s" if "seconds" in row else said


def _many(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"
