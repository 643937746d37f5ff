"""Step: what a training does with one batch, uncompiled or compiled."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.calculus import is_finite
from autobp.compiler import CaptureError, Compiled
from autobp.compiler.terms import DifferenceError, Settings
from autobp.nn import BatchNorm1d, BatchNorm2d
from autobp.optim import clip_grad_norm
from autobp.primitive import constant
from autobp.tensor import Tensor
from autobp.train.diverged import DivergedError, of_gradient, of_loss
from autobp.train.history import Compilation
from autobp.train.options import Options
from autobp.train.scalar import differentiable, number
from autobp.train.shards import Shards
from autobp.train.source import Pair
from autobp.train.state import State
from autobp.train.survey import Survey

__all__ = ["Step"]

#: Batches of one size that run uncompiled before a program is written for that size. Of the smallest
#: models, a program saves on so many what it takes to write it: a training that ends early loses half of
#: its time at most. They are counted from the last change of the model. No clock decides, so that a
#: training gives the same bits each time, and when it is resumed.
UNCOMPILED = 300

FEWEST = 16  # batches in an epoch; with fewer, comparing one costs what programs save
MOST_PROGRAMS = 8  # written in one epoch; a model that needs more changes from batch to batch
MOST_CALLS = 2000  # in a program; a longer one takes seconds to write


class Step:
    """Updates the parameters along the gradient of one batch.

    Compiled, a step is two programs: one computes prediction, loss and gradient, the other is the
    step of the optimizer. Between them the gradient is checked. If a number is not finite, the
    batch runs again uncompiled, which finds the layer.

    A resumed training must decide as an uninterrupted one does. So whether a program runs depends
    only on `state_dict()` and the record, both of which are in the checkpoint. And when a program
    is compared with the code, the program's numbers are used.
    """

    number: Any
    form: Any
    written: int

    def __init__(
        self,
        options: Options,
        state: State,
        record: Compilation,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self.options = options
        self.state = state
        self.record = record
        self.say = say
        self.number = 0  # of the batch, from 1, over the whole training
        self.seen: dict[int, int] = {}  # batches by size, since the last change of the model
        self.form = ""  # of the training, when it was last surveyed
        self.survey: Survey | None = None
        self.gradient: Compiled[..., Any] | None = None
        self.update: Compiled[..., Any] | None = None
        self.to_compare: bool = False
        self.written = 0  # programs in this epoch
        self.generators: list[np.random.Generator] = []
        self.averages: list[Tensor] = []
        self.never: str = ""  # why this training is not compiled, whatever the model
        self.shards: Shards | None = None  # with an executor
        n = options.data.count(options.batch_size)
        if options.executor is not None:
            assert isinstance(options.data, Pair)
            self.never = "the workers of the executor compute the gradients"
            self.shards = Shards(
                options.executor,
                options.data,
                state.model,
                options.loss,
                bool(options.metrics),
                warn,
            )
        elif options.compile is False:
            self.never = "compile=False"
        elif options.compile:
            record.why = ""
            self.gradient, self.update = self._gradient_program(), self._update_program()
        elif n is not None and n < FEWEST:
            self.never = f"an epoch has fewer than {FEWEST} batches, too few to gain by it"

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training must know."""
        return {"number": self.number, "seen": self.seen, "form": self.form}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.number, self.seen, self.form = saved["number"], saved["seen"], saved["form"]

    def __call__(self, xs: Any, ys: Any) -> tuple[Any, float]:
        """The prediction, if a metric needs it, and the loss, both before the update. With an executor,
        `xs` are the positions of the samples."""
        state, clip_norm = self.state, self.options.clip_norm
        self.number += 1
        state.optimizer.zero_grad()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # checked here
            found = self._compiled(xs, ys) if self._is_due(len(xs)) else None
            if self.shards is not None:
                prediction, loss = self._in_shards(self.shards, xs)
            else:
                prediction, loss = found or self._uncompiled(xs, ys)
            if clip_norm is not None:
                clip_grad_norm(state.params, clip_norm)
            if found is None or self.update is None:
                state.optimizer.step()
            else:
                self._update()
        return prediction, loss

    def review(self) -> None:
        """Survey the training before the first epoch and after each, as callbacks may change the
        model. It comes before the checkpoint, which saves the result."""
        if self.options.compile is not None or self.never or self.record.why:
            return
        state = self.state
        data = self.options.data if isinstance(self.options.data, Pair) else ()
        survey = Survey(state.model, self.options.loss, state.optimizer, data)
        if survey.unknown:
            self._end(f"{survey.unknown} (compile=True compiles it anyway)")
            return
        if self.gradient is None:
            self.gradient = self._gradient_program()
            self.update = None if survey.unknown_step else self._update_program()
        elif survey.unknown_step and self.update is not None:
            self._end(survey.unknown_step)
        before = self.survey
        if survey.form != self.form if before is None else not survey.is_like(before):
            self.seen = {}
        self.survey, self.form = survey, survey.form

    def begin_epoch(self) -> None:
        self.to_compare, self.written = True, 0
        if self.gradient is None:
            return
        modules = [*self.state.model.modules()] if hasattr(self.state.model, "modules") else []
        values = [value for module in modules for value in vars(module).values()]
        self.generators = [value for value in values if isinstance(value, np.random.Generator)]
        self.averages = [
            average
            for module in modules
            if isinstance(module, BatchNorm1d | BatchNorm2d)
            for average in (module.running_mean, module.running_var)
        ]

    def finish(self) -> None:
        """Note in the record why no step was compiled, if that is so and it is not noted yet."""
        if self.shards is not None:
            self.shards.close()
        if self.record.why:
            return
        if self.never:
            self.record.why = self.never
        elif self.record.last is None and _is_profiled():
            self.record.why = "steps run uncompiled under a profiler"
        elif self.record.last is None and self.options.compile is None:
            self.record.why = (
                f"the first {UNCOMPILED} batches of a size, and as many after a change of the model,"
                " run uncompiled"
            )

    # ── compiled ──────────────────────────────────────────────────────────────────────────────────

    def _is_due(self, size: int) -> bool:
        if self.gradient is None:
            return False
        self.seen[size] = seen = self.seen.get(size, 0) + 1
        # a profiler may replace the hook that sees effects, and it should see the user's code
        return self.options.compile is True or (seen > UNCOMPILED and not _is_profiled())

    def _gradient_program(self) -> Compiled[..., Any]:
        model, loss, predicts = self.state.model, self.options.loss, bool(self.options.metrics)

        def step(x: Any, y: Any) -> Any:
            prediction = model(x)
            value = differentiable(loss(prediction, y))
            value.backward()
            return (constant(prediction) if predicts else None), constant(value)

        return Compiled(step, Settings(most=MOST_CALLS, keep_program=True))

    def _update_program(self) -> Compiled[..., Any]:
        optimizer = self.state.optimizer

        def update() -> None:
            optimizer.step()

        return Compiled(update, Settings(most=MOST_CALLS, keep_program=True))

    def _compiled(self, xs: Any, ys: Any) -> tuple[Any, float] | None:
        """Run the program of the gradient. None if that failed; then nothing has changed."""
        assert self.gradient is not None
        if self.to_compare:
            self.to_compare = False
            for program in (self.gradient, self.update):
                if program is not None:
                    program.compare_next()
        random = [(g.bit_generator, g.bit_generator.state) for g in self.generators]
        averages = [(t, np.copy(t.data)) for t in self.averages]
        latest = _latest(self.gradient)
        try:
            prediction, value = self.gradient(xs, ys)
        except Exception as error:  # any: the uncompiled step works, or raises it too
            if self.options.compile:
                raise
            self._undo(random, averages)
            self._fail(error)
            return None
        self.written += _latest(self.gradient) is not latest
        loss = number("fit: the loss", value)
        if not (math.isfinite(loss) and all(map(_has_finite_grad, self.state.params))):
            self._undo(random, averages)
            found = self._uncompiled(xs, ys)  # mostly raises DivergedError
            difference = DifferenceError(
                f"compiled, the loss is {loss} or a gradient is not finite; uncompiled, the loss is"
                f" {found[1]}, and all gradients are finite"
            )
            if self.options.compile:
                raise difference
            self._fail(difference)
            return found
        if _latest(
            self.gradient
        ):  # else it was too early to write one, and the call ran uncompiled
            self.record.first = self.record.first or self.number
            self.record.last = self.number
            self.record.steps += 1
        if self.options.compile is None and self.written > MOST_PROGRAMS:
            self._end(f"more than {MOST_PROGRAMS} programs were needed in one epoch")
        return prediction, loss

    def _update(self) -> None:
        assert self.update is not None
        try:
            self.update()
        except Exception as error:
            if self.options.compile:
                raise
            self._fail(error)
            self.state.optimizer.step()

    def _undo(self, random: list[tuple[Any, Any]], averages: list[tuple[Tensor, Any]]) -> None:
        self.state.optimizer.zero_grad()
        for bits, before in random:
            bits.state = before
        for t, value in averages:
            t.data = value

    def _fail(self, error: Exception) -> None:
        """End compiled steps after an error. A difference in the numbers is also reported."""
        kind = "" if isinstance(error, CaptureError) else f"{type(error).__name__}: "
        why = f"{kind}{' '.join(str(error).split())}"
        self._end(why)
        if isinstance(error, DifferenceError):
            self.say(f"step {self.number:,}: from here on, steps run uncompiled. {why}")

    def _end(self, why: str) -> None:
        """Run no program from now on."""
        self.record.why = why
        self.gradient = self.update = None

    # ── over the workers of an executor ───────────────────────────────────────────────────────────

    def _in_shards(self, shards: Shards, index: np.ndarray) -> tuple[Any, float]:
        """The gradient by the workers. Of the first batch in each epoch, it is compared with that of this
        process. If a number is not finite, this process finds the layer."""
        params = self.state.params
        found = shards.gradient(index, params)
        gradients = [g for g in found.by if g is not None]
        if self.to_compare or not (math.isfinite(found.loss) and all(map(is_finite, gradients))):
            self.to_compare = False
            _, loss = self._uncompiled(*shards.selected(index))  # which raises DivergedError
            shards.compare(found, loss, {self.state.name_of(p): p for p in params})
        for p, g in zip(params, found.by):
            p.grad = g
        return found.prediction, found.loss

    # ── uncompiled ────────────────────────────────────────────────────────────────────────────────

    def _uncompiled(self, xs: Any, ys: Any) -> tuple[Any, float]:
        state = self.state
        prediction = state.model(xs)
        value = differentiable(self.options.loss(prediction, ys))
        loss = number("fit: the loss", value)
        if not math.isfinite(loss):
            raise DivergedError(f"the loss is {loss}: {of_loss(value, state.names)}")
        value.backward()
        if not all(map(_has_finite_grad, state.params)):
            state.optimizer.zero_grad()
            raise DivergedError(f"a gradient is not finite: {of_gradient(value, state.names)}")
        return prediction, loss


def _latest(compiled: Compiled[..., Any]) -> Any:
    return next(iter(compiled.programs), None)


def _is_profiled() -> bool:
    """Since Python 3.12, cProfile is not where sys.getprofile looks."""
    if sys.getprofile() is not None:
        return True
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and monitoring.get_tool(monitoring.PROFILER_ID) is not None


def _has_finite_grad(p: Tensor) -> bool:
    return p.grad is None or is_finite(p.grad)
