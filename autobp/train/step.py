"""Step: what a training does with one batch, as it is or as a program."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
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
from autobp.train.state import State
from autobp.train.survey import Survey

__all__ = ["Step", "number"]

Function = Callable[[Any, Any], Any]

#: Batches of a size after which a program is worth the time that writing it takes, which is that of
#: about as many batches. They are counted from the last change of the model, and no stopwatch
#: decides: the same training gives the same bits, be it resumed or not.
UNCOMPILED = 100

FEWEST = 6  # batches in an epoch: to compare one takes as long as programs save in about so many
MOST_PROGRAMS = 8  # written in one epoch: a model that needs more changes with the batches
MOST_CALLS = 2000  # in a program; a longer one takes seconds to write


class Step:
    """Moves the parameters along the gradient of one batch.

    Two programs do it. One computes the gradient, with loss and prediction; the other is the step of
    the optimizer. In between, the gradient is looked at. Where a number is not finite, the batch is
    done again as it is, which finds the layer.

    Nothing that decides whether a program runs differs between a training that was resumed and one
    that was not: `kept` and the record, which are in the checkpoint, are all that is remembered from
    one epoch to the next, and where a program is compared with the code, its numbers count.
    """

    def __init__(
        self,
        state: State,
        loss: Function,
        clip_norm: float | None,
        compile: bool | None,
        predicts: bool,
        data: Sequence[Any],
        batch_size: int,
        record: Compilation,
        say: Callable[[str], None],
    ) -> None:
        self.state = state
        self.loss = loss
        self.clip_norm = clip_norm
        self.compile = compile
        self.predicts = predicts  # predictions are asked for
        self.data = data
        self.record = record
        self.say = say
        self.number = 0  # of the batch, counted from 1 over the whole training
        self.seen: dict[int, int] = {}  # batches, by their sizes, since the model last changed
        self.form = ""  # that the training had when it was last looked at
        self.survey: Survey | None = None
        self.gradient: Compiled[Any] | None = None
        self.update: Compiled[Any] | None = None
        self.to_compare = False
        self.fresh = 0  # programs that were written in this epoch
        self.drawn: list[np.random.Generator] = []
        self.averages: list[Tensor] = []
        self.never = ""  # why this training is not compiled, whatever the model is
        n = -(-len(data[0]) // batch_size)
        if compile is False:
            self.never = "compile=False"
        elif compile:
            record.why = ""
            self.gradient, self.update = self._to_gradient(), self._to_update()
        elif n < FEWEST:
            self.never = f"an epoch has fewer than {FEWEST} batches, too few to gain by it"

    @property
    def kept(self) -> dict[str, Any]:
        """What a training that is resumed has to know."""
        return {"number": self.number, "seen": self.seen, "form": self.form}

    def load(self, kept: dict[str, Any]) -> None:
        self.number, self.seen, self.form = kept["number"], kept["seen"], kept["form"]

    def __call__(self, xs: Any, ys: Any) -> tuple[Any, float]:
        """The prediction, if it is asked for, and the loss, both from before the step."""
        state = self.state
        self.number += 1
        state.optimizer.zero_grad()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # it is looked at here
            found = self._by_program(xs, ys) if self._is_due(len(xs)) else None
            prediction, loss = found or self._as_it_is(xs, ys)
            if self.clip_norm is not None:
                clip_grad_norm(state.params, self.clip_norm)
            if found is None or self.update is None:
                state.optimizer.step()
            else:
                self._update()
        return prediction, loss

    def review(self) -> None:
        """Look whether all is known, before the first epoch and after each: callbacks may have
        changed the model. It comes before the checkpoint, which so holds what was found."""
        if self.compile is not None or self.never or self.record.why:
            return
        state = self.state
        survey = Survey(state.model, self.loss, state.optimizer, self.data)
        if survey.unknown:
            self._end(f"{survey.unknown} (compile=True compiles it all the same)")
            return
        if self.gradient is None:
            self.gradient = self._to_gradient()
            self.update = None if survey.unknown_step else self._to_update()
        elif survey.unknown_step and self.update is not None:
            self._end(survey.unknown_step)
        before = self.survey
        if survey.form != self.form if before is None else not survey.is_like(before):
            self.seen = {}
        self.survey, self.form = survey, survey.form

    def begin_epoch(self) -> None:
        self.to_compare, self.fresh = True, 0
        if self.gradient is None:
            return
        modules = [*self.state.model.modules()] if hasattr(self.state.model, "modules") else []
        held = [value for module in modules for value in vars(module).values()]
        self.drawn = [value for value in held if isinstance(value, np.random.Generator)]
        self.averages = [
            average
            for module in modules
            if isinstance(module, BatchNorm1d | BatchNorm2d)
            for average in (module.running_mean, module.running_var)
        ]

    def finish(self) -> None:
        """Say in the record why no program ran, if none did and nothing has ended it."""
        if self.record.why:
            return
        if self.never:
            self.record.why = self.never
        elif self.record.last is None and _is_profiled():
            self.record.why = "the code itself runs under a profiler"
        elif self.record.last is None and self.compile is None:
            self.record.why = (
                f"the first {UNCOMPILED} batches of a size, and those after a change of the model, run as"
                " they are"
            )

    # ── by programs ───────────────────────────────────────────────────────────────────────────────

    def _is_due(self, size: int) -> bool:
        if self.gradient is None:
            return False
        self.seen[size] = seen = self.seen.get(size, 0) + 1
        # A profiler may take the place of what sees effects, and is to see the user's code besides.
        return self.compile is True or (seen > UNCOMPILED and not _is_profiled())

    def _to_gradient(self) -> Compiled[Any]:
        model, loss, predicts = self.state.model, self.loss, self.predicts

        def step(x: Any, y: Any) -> Any:
            prediction = model(x)
            value = _differentiable(loss(prediction, y))
            value.backward()
            return (constant(prediction) if predicts else None), constant(value)

        return Compiled(step, Settings(most=MOST_CALLS, keep_program=True))

    def _to_update(self) -> Compiled[Any]:
        optimizer = self.state.optimizer

        def update() -> None:
            optimizer.step()

        return Compiled(update, Settings(most=MOST_CALLS, keep_program=True))

    def _by_program(self, xs: Any, ys: Any) -> tuple[Any, float] | None:
        """None: not by a program, and nothing was changed."""
        assert self.gradient is not None
        if self.to_compare:
            self.to_compare = False
            for program in (self.gradient, self.update):
                if program is not None:
                    program.compare_next()
        drawn = [(g.bit_generator, g.bit_generator.state) for g in self.drawn]
        averages = [(t, np.copy(t.data)) for t in self.averages]
        latest = _latest(self.gradient)
        try:
            prediction, value = self.gradient(xs, ys)
        except Exception as error:  # whatever it is: the code itself goes on, or raises it too
            if self.compile:
                raise
            self._undo(drawn, averages)
            self._fail(error)
            return None
        self.fresh += _latest(self.gradient) is not latest
        loss = number("fit: the loss", value)
        if not (math.isfinite(loss) and all(map(_is_sound, self.state.params))):
            self._undo(drawn, averages)
            found = self._as_it_is(xs, ys)  # raises, as a rule
            difference = DifferenceError(
                f"the program's loss is {loss} or its gradient is not finite; the code's loss is"
                f" {found[1]}, and all is finite"
            )
            if self.compile:
                raise difference
            self._fail(difference)
            return found
        if _latest(self.gradient):  # else it was too early to write one, and the code ran
            self.record.first = self.record.first or self.number
            self.record.last = self.number
            self.record.steps += 1
        if self.compile is None and self.fresh > MOST_PROGRAMS:
            self._end(f"more than {MOST_PROGRAMS} programs were needed in one epoch")
        return prediction, loss

    def _update(self) -> None:
        assert self.update is not None
        try:
            self.update()
        except Exception as error:
            if self.compile:
                raise
            self._fail(error)
            self.state.optimizer.step()

    def _undo(self, drawn: list[tuple[Any, Any]], averages: list[tuple[Tensor, Any]]) -> None:
        self.state.optimizer.zero_grad()
        for bits, before in drawn:
            bits.state = before
        for t, value in averages:
            t.data = value

    def _fail(self, error: Exception) -> None:
        """A program could not be written, or it differs from the code, which is to be known."""
        kind = "" if isinstance(error, CaptureError) else f"{type(error).__name__}: "
        why = f"{kind}{' '.join(str(error).split())}"
        self._end(why)
        if isinstance(error, DifferenceError):
            self.say(f"step {self.number:,}: from here on the code itself runs, no program. {why}")

    def _end(self, why: str) -> None:
        """No program runs from now on."""
        self.record.why = why
        self.gradient = self.update = None

    # ── as it is ──────────────────────────────────────────────────────────────────────────────────

    def _as_it_is(self, xs: Any, ys: Any) -> tuple[Any, float]:
        state = self.state
        prediction = state.model(xs)
        value = _differentiable(self.loss(prediction, ys))
        loss = number("fit: the loss", value)
        if not math.isfinite(loss):
            raise DivergedError(f"the loss is {loss}: {of_loss(value, state.names)}")
        value.backward()
        if not all(map(_is_sound, state.params)):
            state.optimizer.zero_grad()
            raise DivergedError(f"a gradient is not finite: {of_gradient(value, state.names)}")
        return prediction, loss


def _latest(compiled: Compiled[Any]) -> Any:
    return next(iter(compiled.programs), None)


def _is_profiled() -> bool:
    """Since Python 3.12, cProfile is not where sys.getprofile looks."""
    if sys.getprofile() is not None:
        return True
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and monitoring.get_tool(monitoring.PROFILER_ID) is not None


def _differentiable(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or not value.requires_grad:
        raise TypeError("fit: the loss was computed from none of the parameters")
    if value.size != 1:
        raise ValueError(f"fit: the loss must be a number, not of shape {value.shape}")
    return value


def _is_sound(p: Tensor) -> bool:
    return p.grad is None or is_finite(p.grad)


def number(what: str, value: Any) -> float:
    """A loss or a metric, in whatever form it comes."""
    value = np.asarray(constant(value))
    if value.size != 1:
        raise ValueError(f"{what} must be a number, not of shape {value.shape}")
    return float(value.item())
