"""Step: what a training does with one batch, as it is or as a program."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.compiler import CaptureError, Compiled
from autobp.compiler.terms import Settings
from autobp.optim import clip_grad_norm
from autobp.primitive import constant
from autobp.tensor import Tensor
from autobp.train.diverged import DivergedError, is_finite, of_gradient, of_loss
from autobp.train.state import State

__all__ = ["Step", "number"]

Function = Callable[[Any, Any], Any]

#: Batches of a size after which a program is worth its writing, which takes as long as about as many
#: batches. It is their number that decides, from the beginning of the training, and no stopwatch: the
#: same training is to give the same bits, be it resumed or not.
UNCOMPILED = 100

MOST_PROGRAMS = 8  # a model that needs more changes too often
MOST_CALLS = 2000  # in a program; to write a longer one down takes seconds


class Step:
    """Moves the parameters along the gradient of one batch.

    Two programs do it, one the way to the gradient, with loss and prediction, the other the step of
    the optimizer: in between, the gradient is looked at. Where a number is not finite, the batch is
    done again as it is, which finds the layer.
    """

    def __init__(
        self,
        state: State,
        loss: Function,
        clip_norm: float | None,
        compile: bool | None,
        predicts: bool,
    ) -> None:
        self.state = state
        self.loss = loss
        self.clip_norm = clip_norm
        self.compile = compile
        self.predicts = predicts  # predictions are asked for
        self.seen: dict[int, int] = {}  # batches, by their sizes
        settings = Settings(most=MOST_CALLS)
        self.program: Compiled[Any] | None = None
        self.forgotten = 0  # programs
        if compile is not False:
            self.program = Compiled(self._to_gradient(), settings)
        self.update: Callable[[], None] = Compiled(state.optimizer.step, settings)

    def __call__(self, xs: Any, ys: Any) -> tuple[Any, float]:
        """The prediction, if it is asked for, and the loss, both from before the step."""
        state = self.state
        state.optimizer.zero_grad()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # it is looked at here
            found = self._by_program(xs, ys) if self._is_due(len(xs)) else None
            prediction, loss = found or self._as_it_is(xs, ys)
            if self.clip_norm is not None:
                clip_grad_norm(state.params, self.clip_norm)
            if found is None:
                state.optimizer.step()
            else:
                self._update()
        return prediction, loss

    def begin_epoch(self) -> None:
        if self.program is not None:  # callbacks may have changed what the model reads
            self.forgotten += self.program.refresh()

    def _update(self) -> None:
        try:
            self.update()
        except CaptureError:
            if self.compile:
                raise
            self.update = self.state.optimizer.step
            self.update()

    def _is_due(self, size: int) -> bool:
        if self.program is None:
            return False
        self.seen[size] = seen = self.seen.get(size, 0) + 1
        # A profiler may take the place of what sees effects, and is to see the user's code besides.
        return self.compile is True or (seen > UNCOMPILED and not _is_profiled())

    def _to_gradient(self) -> Callable[[Any, Any], Any]:
        model, loss, predicts = self.state.model, self.loss, self.predicts

        def step(x: Any, y: Any) -> Any:
            prediction = model(x)
            value = _differentiable(loss(prediction, y))
            value.backward()
            return (constant(prediction) if predicts else None), constant(value)

        return step

    def _by_program(self, xs: Any, ys: Any) -> tuple[Any, float] | None:
        """None: not by a program; nothing was changed but the means of batch normalization."""
        assert self.program is not None
        state = self.state
        before = [(g.bit_generator, g.bit_generator.state) for g in state.drawn_by_model]
        try:
            prediction, value = self.program(xs, ys)
        except CaptureError:
            if self.compile:
                raise
            self.program = None
            return None
        programs = self.forgotten + len(self.program.programs)
        if self.compile is None and programs > MOST_PROGRAMS:
            self.program = None
        loss = number("fit: the loss", value)
        if math.isfinite(loss) and all(map(_is_sound, state.params)):
            return prediction, loss
        state.optimizer.zero_grad()
        for bits, drawn_from in before:
            bits.state = drawn_from
        return None

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
