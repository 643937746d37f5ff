"""Training: a recorded run of training in the page, one step of which is the program that it plays.

The page has the parameters before each step. It computes everything else from them: values, gradients,
the state of the optimizer, by a program of one step of training, and the decision region, by a program
of the model.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.compiler.call import Call
from autobp.compiler.javascript import Unprintable, javascript
from autobp.compiler.passes.pipeline import PASSES, optimized
from autobp.compiler.program import Program, Step, evaluated, steps_in
from autobp.compiler.snapshot import Snapshot
from autobp.compiler.terms import CaptureError, Settings
from autobp.compiler.trace.calls import draw
from autobp.compiler.trace.search import free_variables
from autobp.compiler.trace.tracing import Traced, trace_call
from autobp.context import clock
from autobp.dag import Graph
from autobp.drawing.diagram import diagram
from autobp.drawing.player.player import Player
from autobp.drawing.player.words import speaking
from autobp.primitive import Array, constant
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
    before: list[Any]  # the same before the first step, None where the optimizer does not say


class Recorded:
    """What a page knows of a run of training: its numbers, and programs that go on with it."""

    region: str | None
    drawn: Any

    def __init__(
        self,
        run: Run,
        step: Callable[[], Any],
        model: Any,
        data: Any,
        loss: Callable[..., Any],
        optimizer: Any,
    ) -> None:
        self.run = run
        traced, self.columns = _step_of(step, data)
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
            if v.variable.key == "lr" and id(v.variable.owner) in groups:
                sources[v.step] = ["rate", groups[id(v.variable.owner)]]
            elif id(v.variable.owner) in owners:
                sources[v.step] = ["state", kept[owners[id(v.variable.owner)], v.variable.key]]
        _check_repeats(traced, sources)
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
        sources = {**_constants(traced), **sources}
        sources |= {program.arguments[j]: ["data", j] for j in range(len(self.columns))}
        self.arguments: list[list[Any]] = _given(program, sources)
        self.code: str = javascript(program, "advance")
        given = {"parameter": run.path[0], "state": run.before, "data": self.columns}
        given["rate"] = [group["lr"] for group in optimizer.param_groups]
        self.starts = _is_first(run, program, self.arguments, given)
        self.region, self.drawn = None, None
        X, y = (np.asarray(a) for a in data)
        self.X = X
        if X.ndim == 2 and X.shape[1] == 2:
            self.region, self.drawn = self._region(model, X, y, loss, order)
        self.rates: list[float] = [float(group["lr"]) for group in optimizer.param_groups]

    def _region(
        self, model: Any, X: Array, y: Array, loss: Callable[..., Any], order: dict[int, int]
    ) -> tuple[str, Any]:
        """The program of the model on a grid, and how to draw it."""
        traced = _traced(lambda grid: model(grid), (np.zeros((_GRID * _GRID, 2)),))
        given: dict[Step, list[Any]] = {
            held.steps[0]: ["parameter", order[id(t)]]
            for t, held in traced.arguments.tensors.items()
            if id(t) in order
        }
        given = {traced.program.arguments[0]: ["cells"], **_constants(traced), **given}
        returns = traced.program.returns
        returns = returns[0] if isinstance(returns, tuple) else returns
        program = _simplified(traced.program.with_(returns=returns, effects=set()))
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
            "middle": _middle(loss, labels) if outputs == 1 else 0.0,
            "reach": 0.5 * float(labels.max() - labels.min()) or 1.0,
            "arguments": _given(program, given),
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
            "before": [_filled(value) for value in run.before] if self.starts else None,
            "arguments": self.arguments,
            "rates": self.rates,
            "region": self.drawn,
        }


def _step_of(step: Callable[..., Any], data: Sequence[Any]) -> tuple[Traced, list[Array]]:
    """A step of training as a program of the data, as far as it can be, and of which arrays."""
    columns = [a for a in data if isinstance(a, np.ndarray) and a.dtype == np.float64]
    try:
        traced = _traced(_function_of(step, data, columns), tuple(columns))
        javascript(_simplified(traced.program.with_(effects=set())))
    except (CaptureError, Unprintable):
        return _traced(lambda: step(*data), ()), []
    return traced, columns


def _function_of(
    function: Callable[..., Any], data: Sequence[Any], columns: list[Array]
) -> Callable[..., Any]:
    """A function of data as one of some of its arrays; the others stay as they are."""

    def of(*given: Any) -> Any:
        left = iter(given)
        return function(*(next(left) if any(a is c for c in columns) else a for a in data))

    return of


def _is_first(
    run: Run, program: Program, arguments: list[list[Any]], given: dict[str, list[Any]]
) -> bool:
    """Whether the program also computes the first step, from the state before it."""
    if any(value is None for value in run.before):
        return False
    values = [
        np.resize(i, step.shape)[()] if kind == "constant" else given[kind][i]
        for step, (kind, i, *_) in zip(program.arguments, arguments)
    ]
    with np.errstate(all="ignore"):
        found = evaluated(program, *values)
    expected = [run.path[1], [value for _, _, value in run.state]]
    pairs = [(a, b) for f, e in zip(found, expected) for a, b in zip(f, e)]
    return all(np.allclose(a, b, 1e-12, 1e-15) for a, b in pairs)


def _filled(value: Any) -> Any:
    """A number, or the numbers of an array; only the first if all are the same."""
    flat = np.ravel(value).tolist()
    return flat[0] if flat and flat.count(flat[0]) == len(flat) else flat


class _Entries(dict[str, Any]):
    """The state of a parameter in its first step, which keeps what each entry was when it was made."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        super().__init__(entries)
        self.before = {name: np.array(value)[()] for name, value in entries.items()}

    def __setitem__(self, name: str, value: Any) -> None:
        self.before.setdefault(name, np.array(value)[()])
        super().__setitem__(name, value)

    def get(self, name: str, default: Any = None) -> Any:
        if default is not None:
            self.before.setdefault(name, np.array(default)[()])
        return super().get(name, default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        self.before.setdefault(name, np.array(default)[()])
        return super().setdefault(name, default)


def _check_repeats(traced: Traced, sources: dict[Step, list[Any]]) -> None:
    """Refuse a step that the page could not repeat: one that draws, or leaves something else behind."""
    if any(step.function is draw for step in traced.program.steps):
        raise ValueError(
            "play_training: a step draws random numbers, which a page cannot repeat; nn.Dropout draws none"
            " after model.eval()"
        )
    left = [
        held.tensor.name
        for held in traced.tensors
        if held.is_changed and held.steps[0] not in sources
    ]
    left += [v.step.name for v in traced.live if v.step not in sources]
    if left:
        raise ValueError(
            f"play_training: a step changes {left[0]}, which is no parameter and no state of the optimizer,"
            " and a page would not go on with it; nn.BatchNorm1d and nn.BatchNorm2d change nothing after"
            " model.eval()"
        )


def _constants(traced: Traced) -> dict[Step, list[Any]]:
    """What a program reads besides, whose values stay as they are."""
    values = {held.steps[0]: held.tensor.value for held in traced.arguments.tensors.values()}
    values |= {v.step: v.variable.value for v in traced.arguments.live}
    return {
        step: ["constant", np.ravel(value).tolist(), np.ndim(value) > 0]
        for step, value in values.items()
        if isinstance(value, int | float | np.ndarray | np.generic)
    }


def _given(program: Program, sources: dict[Step, list[Any]]) -> list[list[Any]]:
    """Where the page finds each argument of a program."""
    used = {*steps_in(program.returns), *(s for step in program.steps for s in step.operands)}
    return [
        sources[step] if step in used else ["constant", [0.0], False] for step in program.arguments
    ]


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
    if not isinstance(data, tuple | list) or len(data) != 2:
        what = f"{len(data)} of them" if isinstance(data, tuple | list) else type(data).__name__
        raise ValueError(
            "play_training: data must be a pair (X, y), the inputs of the model and what the loss compares"
            f" its results with, not {what}"
        )
    X, y = data
    for name, array in (("X", X), ("y", y)):
        if not np.size(array) or not np.all(np.isfinite(np.asarray(array, float))):
            what = "is empty" if not np.size(array) else "holds NaN or inf"
            raise ValueError(f"play_training: {name} of data = X, y {what}")

    def objective(X: Any = X, y: Any = y) -> Tensor:
        return loss(model(X), y)

    def step(X: Any = X, y: Any = y) -> Tensor:
        optimizer.zero_grad()
        found = objective(X, y)
        found.backward()
        optimizer.step()
        return found

    before = None
    try:
        before = Snapshot(free_variables(step), (), all=True)
        run = _recorded(step, objective, optimizer, steps)
        optimizer.zero_grad()
        final = [p.value for p in run.parameters]
        recorded = Recorded(run, step, model, data, loss, optimizer)
        for p, value in zip(run.parameters, run.path[0]):
            _rebind(p, np.array(value))
        with speaking(lang):
            result = objective()
            found = diagram(Graph([result]), {"X": X, "y": y, "loss": result})
            columns = recorded.columns
            call = _call(_function_of(objective, data, columns), tuple(columns))
            player = Player(found, call, lang, recorded)
    except BaseException as error:
        if before is not None:
            before.restore()
        if not isinstance(error, CaptureError | Unprintable):
            raise
        raise ValueError(
            f"play_training: this step of training cannot be computed in a page: {error}"
        ) from None
    for p, value in zip(run.parameters, final):
        _rebind(p, value)
    return player


def _recorded(
    step: Callable[[], Any], objective: Callable[[], Any], optimizer: Any, steps: int
) -> Run:
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    if not parameters or not _reaches(objective(), parameters):
        raise ValueError(
            "play_training: the loss does not depend on the parameters of the optimizer: give the optimizer"
            " the parameters of this model, as in optim.SGD(model.parameters(), lr=0.1)"
        )
    path, losses, state, before = [], [], [], []
    for k in range(steps):
        path.append([np.array(p.value) for p in parameters])
        if k == 0:
            watched = [_Entries(optimizer.state.get(p, {})) for p in parameters]
            optimizer.state.update(zip(parameters, watched))
        losses.append(float(step().item()))
        if k == 0:
            for i, (p, entries) in enumerate(zip(parameters, watched)):
                del optimizer.state[p]
                if entries:
                    optimizer.state[p] = dict(entries)
                for name, value in entries.items():
                    state.append((i, name, np.array(value) if np.ndim(value) else value))
                    before.append(entries.before[name])
    path.append([np.array(p.value) for p in parameters])
    losses.append(float(objective().item()))
    if not np.all(np.isfinite(losses)):
        raise ValueError(
            f"play_training: the loss is {losses[-1]} after {steps} steps; a smaller learning rate may help"
        )
    return Run(parameters, path, losses, state, before)


def _reaches(loss: Any, parameters: list[Tensor]) -> bool:
    """Whether one of the parameters is behind a loss."""
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        return False
    inputs = {id(t) for t in Graph([loss]).inputs}
    return any(id(p) in inputs for p in parameters)


def _middle(loss: Callable[..., Any], labels: Array) -> float:
    """The result of a model of one output that is as far from one label as from the other: 0 for logits."""
    low, high = float(labels.min()), float(labels.max())
    between = 0.5 * (low + high)

    def gap(result: float) -> float:
        pair = [np.array([[float(x)]]) for x in (result, low, high)]
        first, second = (constant(loss(pair[0], label)) for label in pair[1:])
        return abs(float(np.sum(first)) - float(np.sum(second)))

    try:
        with np.errstate(all="ignore"):
            return 0.0 if gap(0.0) < 1e-6 * gap(between) else between
    except Exception:  # a loss that takes labels of another form
        return between


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
