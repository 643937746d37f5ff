"""fit: the loop that trains a model, and evaluate, which judges it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autobp.calculus import is_finite, nonfinite_kind
from autobp.context import no_grad, updates
from autobp.data.batching import aligned, batches
from autobp.data.points import Seed
from autobp.optim import Optimizer, ReduceLROnPlateau, Schedule
from autobp.optim.option import count, flag
from autobp.primitive import constant
from autobp.table import short
from autobp.train.diverged import DivergedError
from autobp.train.executors import in_a_task
from autobp.train.history import History, best_of, highest
from autobp.train.progress import Progress
from autobp.train.state import State, Weights
from autobp.train.step import Step, number

__all__ = ["Run", "evaluate", "fit", "pair"]

Function = Callable[[Any, Any], Any]


@dataclass
class Run:
    """A training under way, as callbacks see it."""

    model: Any
    optimizer: Optimizer
    history: History
    best: Weights | None = field(default=None, repr=False)  # with keep_best

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.history)

    def stop(self, why: str) -> None:
        """Let the epoch that was just done be the last."""
        self.history.stopped = why


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
) -> History:
    """Train a model on `data`, a pair of arrays (X, y), and return how that went.

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

    The model is any function of a batch of X; `loss(prediction, y)` gives a number; metrics are
    functions of the same two, as plain arrays. Loss and metrics are averaged over the samples of an
    epoch; those of `validation`, another pair, are called "val_loss" and so on. `rng` shuffles.

    After each epoch the `schedule` takes a step, and each callback is called with the `Run`, which it
    may `stop`. `clip_norm` shortens long gradients.

    What an epoch is judged by is `monitor`: the loss, that of the validation if there is one. Losses
    and errors are good when low, accuracies when high; of anything else `mode="min"` or "max" says.
    With `patience`, training stops after so many epochs without a new best. With `keep_best`, the
    model ends with the weights of the best epoch, not of the last.

    With `checkpoint`, all that the training depends on is in that file after each epoch. With
    `resume=True` it goes on from there, if the file exists, as if it had never stopped: the same
    numbers, bit for bit, if data and arguments are the same.

    Ctrl-C ends the training, and what there is is returned. If loss, gradients or weights are no
    longer finite, `DivergedError` names epoch, batch and layer; the model has the weights of the end
    of the epoch before.

    By default `fit` compiles what it knows whole: a model made of `autobp.nn`'s own modules, one of
    its losses, no hooks; a subclass or a function of your own runs as it is. With `compile=True` it
    compiles any model and loss, under the contract of `compile`, and what a program cannot do is an
    error with its line. In each epoch one batch is computed in both ways: a difference beyond
    rounding ends the compiled steps, with a line that says so, or, with `compile=True`, is an error.

    Small models take little more than half the time as programs. By default these begin after 100
    batches of a size, counted from the last change of the model by a callback, and an epoch must have
    6 batches; with `compile=True` they begin at the first batch. `history.compiled` tells which steps
    ran as programs, and why not all. With `compile=False` none does, as a debugger needs it.

    On a terminal there is a bar, elsewhere about twenty lines; with `progress=False`, and within a
    `sweep`, which has lines of its own, nothing.
    """
    if isinstance(model, type) or not callable(model):
        raise TypeError(f"fit: the model is a function of a batch of X, not {model!r:.50}")
    if not callable(loss):
        raise TypeError(f"fit: the loss is a function such as nn.cross_entropy, not {loss!r:.50}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"fit: the optimizer is one such as Adam(model.parameters()), not {optimizer!r:.50}"
        )
    X, y = pair("data", data)
    held = None if validation is None else pair("validation", validation)
    epochs = count("fit: epochs", epochs, 1)
    batch_size = count("fit: batch_size", batch_size, 1)
    if patience is not None:
        patience = count("fit: patience", patience, 1)
    metrics = _metrics("fit", metrics)
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"fit: a callback is a function of the Run, not {callback!r:.50}")
    if schedule is not None and not isinstance(schedule, Schedule | ReduceLROnPlateau):
        raise TypeError(
            f"fit: the schedule is one such as StepLR(optimizer, 10), not {schedule!r:.50}"
        )
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("fit: the schedule belongs to another optimizer")
    if compile is not None:
        compile = flag("fit: compile", compile)
    generator = np.random.default_rng(rng)
    others: dict[str, Any] = {f"callbacks[{i}]": f for i, f in enumerate(callbacks)}
    others |= {f"metrics[{name!r}]": f for name, f in metrics.items()}
    state = State(model, optimizer, schedule, generator, loss, others, saves=checkpoint is not None)
    history = History([], *_monitored(monitor, mode, metrics, held is not None))
    run, kept = Run(model, optimizer, history), None
    if checkpoint is None and resume:
        raise ValueError("fit: resume=True needs checkpoint=, the file to go on from")
    if checkpoint is not None:
        folder = os.path.realpath(os.path.dirname(os.path.abspath(checkpoint)))
        if not os.access(folder, os.W_OK):  # to be known before an epoch's work is lost
            raise OSError(f"fit: there is no folder {folder} that a checkpoint can be written to")
    there = checkpoint is not None and os.path.exists(checkpoint)
    if checkpoint is not None and there and not resume:
        raise FileExistsError(
            f"{os.fspath(checkpoint)} exists: resume=True goes on from it; to begin anew, remove it"
        )
    with _mode(model, training=True):
        if checkpoint is not None and there:
            saved = state.load(checkpoint)
            history.rows[:], history.stopped, history.compiled = saved[:3]
            run.best, kept, history.unsaved = saved.best, saved.step, saved.unsaved
        best = _best(history, range(1, run.epoch + 1))
        shown = Progress(epochs, -(-len(X) // batch_size), progress and not in_a_task(), run.epoch)
        step = Step(
            state, loss, clip_norm, compile, bool(metrics), (X, y), batch_size, history.compiled,
            shown.say,
        )  # fmt: skip
        if kept is not None:
            step.load(kept)

        def tick(means: _Means) -> None:
            before = history.rows[-1] if history else {}
            known = {name: value for name, value in before.items() if name.startswith("val_")}
            shown.tick(lambda: f"epoch {run.epoch + 1}/{epochs}  {_text(means.found() | known)}")

        try:
            with shown:
                if history.unsaved:
                    shown.warn(_not_to_the_bit(history.unsaved))
                step.review()
                while run.epoch < epochs and not history.stopped:
                    if patience is not None and run.epoch - best >= patience:
                        run.stop(f"no better {history.monitor} for {_many(patience, 'epoch')}")
                        break
                    start = time.perf_counter()
                    row: dict[str, float] = {"epoch": run.epoch + 1}
                    parts = batches(X, y, size=batch_size, shuffle=True, rng=generator)
                    try:
                        row |= _epoch(state, parts, step, metrics, tick)
                    except DivergedError as error:
                        raise _explained(error, history, X, y) from None
                    if held is not None:
                        found = evaluate(model, held, loss, metrics=metrics)
                        row |= {f"val_{name}": number for name, number in found.items()}
                    row["lr"] = optimizer.param_groups[0]["lr"]
                    row["seconds"] = time.perf_counter() - start
                    history.rows.append(row)
                    shown.step(run.epoch, _text(row))
                    if isinstance(schedule, ReduceLROnPlateau):
                        schedule.step(row[history.monitor])
                    elif schedule is not None:
                        schedule.step()
                    best = _best(history, [best, run.epoch] if best else [run.epoch])
                    if keep_best and best == run.epoch:
                        run.best = state.weights()
                    for callback in callbacks:
                        callback(run)
                    step.review()
                    if checkpoint is not None:
                        new = state.save(checkpoint, history, run.best, step.kept)
                        if new:
                            history.unsaved += new
                            shown.warn(_unsaved(new))
        except KeyboardInterrupt:
            if in_a_task():  # then it is the whole sweep that is to end
                raise
            history.interrupted = True
            run.stop(f"interrupted in epoch {run.epoch + 1}")
        finally:
            step.finish()
        if keep_best and run.best is not None:
            state.restore(run.best)
    if history.stopped:
        shown.say(f"stopped after {_many(run.epoch, 'epoch')}: {history.stopped}")
    return history


def evaluate(
    model: Any,
    data: Any,
    loss: Function,
    *,
    metrics: Mapping[str, Function] | None = None,
    batch_size: int = 256,
) -> dict[str, float]:
    """Loss and metrics of a model on data, averaged over the samples, with nothing recorded and
    the model as in use (`eval()`).

    >>> from autobp import nn
    >>> from autobp.data import moons
    >>> from autobp.train import evaluate
    >>> found = evaluate(nn.MLP([2, 2]), moons(), nn.cross_entropy, metrics={"right": nn.accuracy})
    >>> sorted(found)
    ['loss', 'right']
    """
    X, y = pair("data", data)
    metrics = _metrics("evaluate", metrics)
    means = _Means()
    with no_grad(), _mode(model, training=False):
        for xs, ys in batches(X, y, size=count("evaluate: batch_size", batch_size, 1)):
            prediction = model(xs)
            value = number("evaluate: the loss", loss(prediction, ys))
            means.add(len(xs), {"loss": value, **_measured(metrics, prediction, ys)})
    return means.found()


# ── one epoch ─────────────────────────────────────────────────────────────────────────────────────


def _epoch(
    state: State,
    parts: Iterable[Any],
    step: Step,
    metrics: Mapping[str, Function],
    tick: Callable[[_Means], None],
) -> dict[str, float]:
    """Go once through the data; return the means of loss and metrics."""
    before = state.weights()
    step.begin_epoch()
    means = _Means()
    batch = 0
    try:
        for xs, ys in parts:
            batch += 1
            prediction, value = step(xs, ys)
            means.add(len(xs), {"loss": value, **_measured(metrics, prediction, ys)})
            tick(means)
        with np.errstate(over="ignore", invalid="ignore"):
            bad = [p for p in state.params if not is_finite(p.data)]
        if bad:
            kind, name = nonfinite_kind(bad[0].data), state.name_of(bad[0])
            raise DivergedError(f"the step made {kind} of the parameter {name!r}")
    except DivergedError as error:
        state.restore(before)
        state.optimizer.zero_grad()
        raise DivergedError(f"batch {batch}, {error}") from None
    return means.found()


def _explained(error: DivergedError, history: History, X: Any, y: Any) -> DivergedError:
    """With the epoch, what is to be done, and how the model was left."""
    said, advice = str(error), "a smaller learning rate or clip_norm= may help"
    for name, values in (("X", constant(X)), ("y", constant(y))):
        if kind := nonfinite_kind(values):
            sample = np.argwhere(~np.isfinite(values))[0, 0]
            said, advice = said.partition(":")[0], f"the data has {kind} in {name}[{sample}]"
            break
    done = len(history)
    since = f"of the end of epoch {done}" if done else "that it began with"
    where = f"in epoch {done + 1}, {said}"
    explained = DivergedError(f"fit: {where}; {advice}. The model has the weights {since}")
    explained.where, explained.history = where, history
    return explained


def _measured(metrics: Mapping[str, Function], prediction: Any, ys: Any) -> dict[str, float]:
    return {
        name: number(f"the metric {name!r}", metric(constant(prediction), constant(ys)))
        for name, metric in metrics.items()
    }


class _Means:
    """Averages over samples that come a few at a time."""

    def __init__(self) -> None:
        self.samples = 0
        self.sums: dict[str, float] = {}

    def add(self, samples: int, values: Mapping[str, float]) -> None:
        self.samples += samples
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + samples * value

    def found(self) -> dict[str, float]:
        return {name: total / self.samples for name, total in self.sums.items()}


# ── arguments ─────────────────────────────────────────────────────────────────────────────────────


def pair(what: str, data: Any) -> tuple[Any, Any]:
    """Samples and what belongs to them."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        many = f" of {len(data)}" if isinstance(data, tuple | list) else ""
        raise TypeError(f"{what} must be a pair (X, y), not {type(data).__name__}{many}")
    try:
        X, y = aligned(tuple(data))
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    if not len(X):
        raise ValueError(f"{what} has no samples")
    return X, y


def _metrics(who: str, metrics: Mapping[str, Function] | None) -> dict[str, Function]:
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise TypeError(f'{who}: metrics have names, as in {{"accuracy": nn.accuracy}}')
    taken = [name for name in metrics if name in ("loss", "epoch", "lr", "seconds")]
    if taken:
        raise ValueError(f"{who}: a metric cannot be called {taken[0]!r}, which is another column")
    return dict(metrics)


def _monitored(
    monitor: str | None, mode: str | None, metrics: Mapping[str, Function], held: bool
) -> tuple[str, str]:
    names = ["loss", *metrics]
    if held:
        names += [f"val_{name}" for name in names]
    if monitor is None:
        monitor = "val_loss" if held else "loss"
    if monitor not in names:
        raise ValueError(f"fit: there is no {monitor!r} to monitor; there are {', '.join(names)}")
    return monitor, "max" if highest(monitor, mode) else "min"


@contextmanager
def _mode(model: Any, training: bool) -> Iterator[None]:
    """A model that behaves as in training, or as in use, and afterwards as before."""
    if not hasattr(model, "modules"):
        yield
        return
    before = [(module, "training" in vars(module), module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, own, mode in before:
            if own:
                module.training = mode
            else:
                vars(module).pop("training", None)


# ── odds and ends ─────────────────────────────────────────────────────────────────────────────────


def _best(history: History, epochs: Sequence[int]) -> int:
    """Which of some epochs was the best; 0 if none of them has a number."""
    try:
        rows = [history.rows[epoch - 1] for epoch in epochs]
        return epochs[best_of(rows, history.monitor, history.mode)]
    except ValueError:
        return 0


def _unsaved(names: Sequence[str]) -> str:
    return (
        f"a checkpoint cannot hold {', '.join(names)}, of a kind that fit does not know, which has"
        " changed since the last one: a training that goes on from it is not the same bit for bit"
    )


def _not_to_the_bit(names: Sequence[str]) -> str:
    return (
        f"resumed without {', '.join(names)}, which the checkpoint does not hold or has no place for:"
        " from here on the training is not bit for bit what it would have been"
    )


def _text(row: Mapping[str, float]) -> str:
    shown = {k: v for k, v in row.items() if k not in ("epoch", "lr", "seconds")}
    said = "  ".join(f"{name} {short(value)}" for name, value in shown.items())
    return f"{said}  {row['seconds']:.1f} s" if "seconds" in row else said


def _many(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"
