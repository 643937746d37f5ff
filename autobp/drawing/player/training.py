"""Training: a recorded run of training in the page, one step of which is the program that it plays.

The page has the parameters before each step. It computes everything else from them: values, gradients,
the state of the optimizer, by a program of one step of training, and the decision region, by a program
of the model.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.compiler.call import Call
from autobp.compiler.javascript import Unprintable, javascript
from autobp.compiler.passes.pipeline import PASSES, optimized
from autobp.compiler.program import Program, Step
from autobp.compiler.terms import CaptureError, Settings
from autobp.compiler.trace.tracing import Traced, trace_call
from autobp.context import clock
from autobp.dag import Graph
from autobp.drawing.diagram import diagram
from autobp.drawing.player.player import Player
from autobp.drawing.player.words import speaking
from autobp.primitive import Array
from autobp.tensor import Tensor

__all__ = ["player_of_training"]


@dataclass
class Run:
    """A run of training, as recorded."""

    parameters: list[Tensor]
    path: list[list[Array]]  # the parameters before each step, and after the last
    losses: list[float]
    state: list[
        tuple[int, str, Any]
    ]  # after the first step: of which parameter, its name, its value


class Recorded:
    """What a page knows of a run of training: its numbers, and programs that go on with it."""

    region: str | None
    drawn: Any

    def __init__(
        self, run: Run, step: Callable[[], Any], model: Any, data: Any, optimizer: Any
    ) -> None:
        self.run = run
        traced = _traced(step, ())
        sources: dict[Step, list[Any]] = {}
        order = {id(p): i for i, p in enumerate(run.parameters)}
        kept = {(i, name): j for j, (i, name, _) in enumerate(run.state)}
        owners = {
            id(optimizer.state[p]): i for i, p in enumerate(run.parameters) if p in optimizer.state
        }
        groups = {id(group): k for k, group in enumerate(optimizer.param_groups)}
        for t, held in traced.arguments.tensors.items():
            if id(t) in order:
                sources[held.steps[0]] = ["parameter", order[id(t)]]
        for v in traced.arguments.live:
            if v.variable.key == "lr":
                sources[v.step] = ["rate", groups[id(v.variable.owner)]]
            elif id(v.variable.owner) in owners:
                sources[v.step] = ["state", kept[owners[id(v.variable.owner)], v.variable.key]]
        _, changes, after = traced.program.returns
        values: list[Any] = [None] * len(run.parameters)
        for held, (value, _) in zip(traced.tensors, changes):
            if id(held.tensor) in order and value is not None:
                values[order[id(held.tensor)]] = value
        states: list[Any] = [None] * len(run.state)
        for v, value in zip(traced.live, after):
            states[sources[v.step][1]] = value
        lost = [i for i, value in enumerate((*values, *states)) if value is None]
        if lost:
            names = ", ".join(
                p.name or f"parameter {i}"
                for i, p in enumerate(run.parameters)
                if values[i] is None
            )
            raise ValueError(
                "play_training: a step of training does not change"
                f" {names or 'a state of the optimizer'}: give the optimizer the parameters of this model,"
                " and only those that the loss depends on"
            )
        program = _simplified(traced.program.with_(returns=[values, states], effects=set()))
        self.arguments: list[list[Any] | None] = [sources.get(step) for step in program.arguments]
        if None in self.arguments:
            step_ = program.arguments[self.arguments.index(None)]
            raise ValueError(
                f"play_training: a step reads {step_.name}, which is no parameter, rate or state;"
                " what draws random numbers, such as nn.Dropout, is left out by model.eval()"
            )
        self.code: str = javascript(program, "advance")
        self.region, self.drawn = None, None
        X, y = (np.asarray(a) for a in data)
        if X.ndim == 2 and X.shape[1] == 2:
            self.region, self.drawn = self._region(model, X, y, order)
        self.rates: list[float] = [float(group["lr"]) for group in optimizer.param_groups]

    def _region(self, model: Any, X: Array, y: Array, order: dict[int, int]) -> tuple[str, Any]:
        """The program of the model on a grid, and how to draw it."""
        traced = _traced(lambda grid: model(grid), (np.zeros((_GRID * _GRID, 2)),))
        given = {
            held.steps[0]: order[id(t)]
            for t, held in traced.arguments.tensors.items()
            if id(t) in order
        }
        returns = traced.program.returns
        returns = returns[0] if isinstance(returns, tuple) else returns
        program = _simplified(traced.program.with_(returns=returns, effects=set()))
        sources = [given.get(step) for step in program.arguments]
        low, high = X.min(axis=0), X.max(axis=0)
        margin = 0.1 * np.where(high > low, high - low, 1.0)
        outputs = returns.shape[1] if returns.ndim > 1 else 1
        labels = np.argmax(y, axis=1) if y.ndim == 2 and y.shape[1] > 1 else np.ravel(y)
        drawn = {
            "grid": _GRID,
            "low": (low - margin).tolist(),
            "high": (high + margin).tolist(),
            "points": X[:500].tolist(),
            "labels": labels[:500].tolist(),
            "outputs": outputs,
            "middle": 0.5 * float(labels.min() + labels.max()),
            "arguments": sources,
        }
        return javascript(program, "region"), drawn

    @property
    def data(self) -> dict[str, Any]:
        run = self.run
        flat = np.concatenate([np.ravel(value) for values in run.path for value in values])
        return {
            "path": base64.b64encode(flat.astype("<f8").tobytes()).decode(),
            "sizes": [p.size for p in run.parameters],
            "shapes": [list(p.shape) for p in run.parameters],
            "losses": run.losses,
            "state": [
                [i, name, list(np.shape(value)), np.ravel(value).tolist()]
                for i, name, value in run.state
            ],
            "arguments": self.arguments,
            "rates": self.rates,
            "region": self.drawn,
        }


_GRID = 40


def player_of_training(
    model: Any, data: Sequence[Any], loss: Callable[..., Any], optimizer: Any, steps: int, lang: str
) -> Player:
    """See `autobp.play_training`."""
    if not isinstance(steps, int) or steps < 2:
        raise ValueError(
            f"play_training: steps must be a whole number of at least 2, not {steps!r}"
        )
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(
            "play_training: optimizer must be one of autobp.optim, such as"
            f" optim.SGD(model.parameters(), lr=0.1), not {type(optimizer).__name__}"
        )
    X, y = data
    for name, array in (("X", X), ("y", y)):
        if not np.size(array) or not np.all(np.isfinite(np.asarray(array, float))):
            what = "is empty" if not np.size(array) else "holds NaN or inf"
            raise ValueError(f"play_training: {name} of data = X, y {what}")

    def objective() -> Tensor:
        return loss(model(X), y)

    def step() -> Tensor:
        optimizer.zero_grad()
        found = objective()
        found.backward()
        optimizer.step()
        return found

    run = _recorded(step, objective, optimizer, steps)
    optimizer.zero_grad()
    final = [p.value for p in run.parameters]
    try:
        recorded = Recorded(run, step, model, data, optimizer)
        for p, value in zip(run.parameters, run.path[0]):
            _rebind(p, np.array(value))
        with speaking(lang):
            result = objective()
            found = diagram(Graph([result]), {"X": X, "y": y, "loss": result})
            return Player(found, _call(objective, ()), lang, recorded)
    except (CaptureError, Unprintable) as error:
        raise ValueError(
            f"play_training: this step of training cannot be computed in a page: {error}"
        ) from None
    finally:
        for p, value in zip(run.parameters, final):
            _rebind(p, value)


def _recorded(
    step: Callable[[], Any], objective: Callable[[], Any], optimizer: Any, steps: int
) -> Run:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    path, losses, state = [], [], []
    for k in range(steps):
        path.append([np.array(p.value) for p in parameters])
        losses.append(float(step().item()))
        if k == 0:
            state = [
                (i, name, np.array(value) if np.ndim(value) else value)
                for i, p in enumerate(parameters)
                for name, value in optimizer.state.get(p, {}).items()
            ]
    path.append([np.array(p.value) for p in parameters])
    losses.append(float(objective().item()))
    if not np.all(np.isfinite(losses)):
        raise ValueError(
            f"play_training: the loss is {losses[-1]} after {steps} steps; a smaller learning rate may help"
        )
    return Run(parameters, path, losses, state)


def _rebind(p: Tensor, value: Any) -> None:
    """Give a parameter another array; the one that it had stays as it is."""
    p.value = value
    p.born = clock()


def _traced(function: Callable[..., Any], args: tuple[Any, ...]) -> Traced:
    return trace_call(_call(function, args))


def _call(function: Callable[..., Any], args: tuple[Any, ...]) -> Call:
    return Call(function, "the step", args, {}, Settings())


def _simplified(program: Program) -> Program:
    return optimized(program, [p for p in PASSES if p.exact and not p.lowers])
