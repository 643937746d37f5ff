"""The methods of differentiation that are compared, each as a start and a number of steps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from autobp.counts import Counts, Sweeps, recorded
from autobp.dag import Recording, record
from autobp.forward import Steps, in_order, jvp, pushed
from autobp.higher import hvp
from autobp.primitive import constant
from autobp.reverse import grad, pulled, vjp
from autobp.tensor import Tensor
from autobp.tree import leaves, refilled, transformed

_PRECISION = np.finfo(float).eps

__all__ = ["Method", "Problem", "first_order", "flat", "second_order"]


@dataclass(frozen=True)
class Method:
    """A way to compute all partial derivatives: a start, and steps that are all alike.

    A step computes the derivatives by one input, a column of the Jacobian. Only a step of the
    reference computes a row. Methods that are timed only for comparison return None.
    """

    name: str
    sweeps: str
    steps: int
    counts: Counts  # of all steps together
    alive: int  # bytes
    step: Callable[[Any, int], Any]  # takes the result of `start` and the number of the step
    start: Callable[[], Any] = lambda: None
    reference: bool = False


class Problem:
    """A function at a point, with its inputs and its outputs numbered element by element."""

    def __init__(self, function: Callable[..., Any], args: Sequence[Any]) -> None:
        self.function = function
        self.args: Any = transformed(
            _owned, tuple(args)
        )  # copies: differences change them in place
        self.argnums: tuple[int, ...] = tuple(range(len(args)))
        self.inputs: _Row = _Row([x for _, x in leaves(self.args)])
        self.graph: Sweeps = Sweeps(function, self.args)
        self.outputs: _Row = _Row([constant(y) for y in self.graph.record.values])
        if not self.inputs.size or not self.outputs.size:
            raise ValueError(
                f"compare needs inputs and outputs; this function takes {self.inputs.size} numbers and"
                f" returns {self.outputs.size}"
            )

    def run(self) -> Any:
        return self.function(*self.args)

    def moved(self, i: int) -> tuple[Any, Callable[[Any], np.ndarray]]:
        """Input i, and a function that evaluates with another number in its place."""
        k, place = self.inputs.find(i)
        x = self.inputs.values[k]
        if np.ndim(x) == 0:
            return x, lambda other: flat(self.function(*self.filled({k: other})))
        before = x.flat[place]

        def run(other: Any) -> np.ndarray:
            x.flat[place] = other
            try:
                return flat(self.run())
            finally:
                x.flat[place] = before

        return before, run

    def filled(self, others: dict[int, Any]) -> Any:
        """The arguments with some leaves replaced."""
        return refilled(self.args, (others.get(k, x) for k, x in enumerate(self.inputs.values)))

    def direction(self, i: int) -> Any:
        """The tangents of the arguments for input i: 1 there, 0 elsewhere."""
        k, unit = self.inputs.unit(i)
        return refilled(
            self.args, (unit if j == k else _zeros(x) for j, x in enumerate(self.inputs.values))
        )

    def forward(self) -> Counts:
        """The operations of the forward sweeps from all inputs."""
        return self.inputs.total(lambda k: self.graph.forward([k]).counts)

    def reverse(self) -> Counts:
        """The operations of the reverse sweeps from all outputs."""
        return self.outputs.total(lambda k: self.graph.reverse([k]).counts)


class _Row:
    """Numbers and arrays whose elements are numbered as one row."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values
        self.sizes = [int(np.size(v)) for v in values]
        self.size = sum(self.sizes)
        self._starts = [0, *accumulate(self.sizes)]

    def find(self, i: int) -> tuple[int, int]:
        """Which value holds element i, and its place there."""
        k = bisect_right(self._starts, i) - 1
        return k, i - self._starts[k]

    def unit(self, i: int) -> tuple[int, Any]:
        """Which value holds element i, and the direction in which that element alone changes."""
        k, place = self.find(i)
        unit = np.zeros(np.shape(self.values[k]), _dtype(self.values[k]))
        unit.flat[place] = 1
        return k, unit[()]

    def seeds(self, i: int) -> list[Any]:
        seeds: list[Any] = [None] * len(self.values)
        k, unit = self.unit(i)
        seeds[k] = unit
        return seeds

    def total(self, cost: Callable[[int], Counts]) -> Counts:
        return sum((cost(k) * size for k, size in enumerate(self.sizes) if size), Counts())


def _owned(x: Any) -> Any:
    array = np.array(constant(x))
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    return array if array.ndim else float(array) if array.dtype == np.float64 else array[()]


def _dtype(x: Any) -> Any:
    """The dtype of derivatives by it; for values that are not floating point, float64."""
    dtype = np.result_type(x)
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def _zeros(x: Any) -> Any:
    return np.zeros(np.shape(x), _dtype(x))[()]


def flat(nest: Any) -> np.ndarray:
    """All numbers of a nest in one row, copied."""
    return np.concatenate([np.ravel(constant(y)) for _, y in leaves(nest)])


# ── the steps ─────────────────────────────────────────────────────────────────────────────────────


def _run(p: Problem, start: None, i: int) -> None:
    p.run()


def _step(x: Any, power: float) -> Any:
    """As small as rounding allows: a power of the precision that x is kept in."""
    precise = _PRECISION if type(x) is float else np.finfo(type(x)).eps
    return type(x)(precise**power * max(1.0, abs(x)))


def _central(p: Problem, start: None, i: int) -> np.ndarray:
    x, run = p.moved(i)
    h = _step(x, 1 / 3)
    return (run(x + h) - run(x - h)) / ((x + h) - (x - h))


def _one_sided(p: Problem, value: np.ndarray, i: int) -> np.ndarray:
    x, run = p.moved(i)
    h = _step(x, 1 / 2)
    return (run(x + h) - value) / ((x + h) - x)


def _online(p: Problem, start: None, i: int) -> Any:
    return jvp(p.function, p.args, p.direction(i))[1]


def _recording(p: Problem) -> Recording:
    return record(p.function, p.args, p.argnums)


def _recording_forward(p: Problem) -> tuple[Recording, Steps]:
    traced = _recording(p)
    return traced, in_order(traced)


def _pushed(p: Problem, recorded: tuple[Recording, Steps], i: int) -> Any:
    return pushed(*recorded, p.inputs.seeds(i))


def _recording_reverse(p: Problem) -> tuple[Recording, list[Tensor]]:
    traced = _recording(p)
    return traced, traced.order()


def _pulled(p: Problem, recorded: tuple[Recording, list[Tensor]], j: int) -> Any:
    return pulled(*recorded, p.outputs.seeds(j))


def _over_forward(p: Problem, start: None, i: int) -> Any:
    direction = p.direction(i)
    return grad(lambda *args: jvp(p.function, args, direction)[1], p.argnums)(*p.args)


def _with_gradient(p: Problem, cotangent: Any, *args: Any) -> Any:
    """The value and the gradient. If the cotangent is a Tensor, operations on it are recorded."""
    value, pullback = vjp(p.function, *args)
    return value, pullback(cotangent)


def _differences(p: Problem, sides: int, once: Counts) -> Counts:
    """The evaluations, and the arithmetic around them."""
    n, m = p.inputs.size, p.outputs.size
    return once * sides * n + Counts(multiplications=m, additions=m + sides) * n


# ── the methods ───────────────────────────────────────────────────────────────────────────────────


def _sweeps(number: int, what: str, recording: bool = False) -> str:
    said = f"{'1 recording, ' if recording else ''}{number:,} {what}"
    return said.replace("[s]", "s"[: number != 1])


def first_order(p: Problem) -> list[Method]:
    """All partial derivatives."""
    n, m = p.inputs.size, p.outputs.size
    f, tape = p.graph.evaluation, p.graph.evaluation.tape
    dual = recorded(lambda a, t: jvp(p.function, a, t), p.args, p.direction(0))
    recording = Counts(visits=len(f.operations))
    # fmt: off
    return [
        Method("one evaluation of f", "1 evaluation", 1,
               f.counts, f.alive,
               partial(_run, p)),
        Method("central differences", _sweeps(2 * n, "evaluation[s]"), n,
               _differences(p, 2, f.counts), f.alive,
               partial(_central, p)),
        Method("one-sided differences", _sweeps(n + 1, "evaluation[s]"), n,
               _differences(p, 1, f.counts) + f.counts, f.alive,
               partial(_one_sided, p), start=lambda: flat(p.run())),
        Method("forward, online", _sweeps(n, "evaluation[s] with tangents"), n,
               (dual.counts + recording * 3) * n, dual.alive,
               partial(_online, p)),
        Method("forward, recorded", _sweeps(n, "forward", recording=True), n,
               f.counts + recording + p.forward(), tape + p.graph.forward().alive,
               partial(_pushed, p), start=partial(_recording_forward, p)),
        Method("reverse", _sweeps(m, "backward", recording=True), m,
               f.counts + recording + p.reverse(), tape + p.graph.reverse().alive,
               partial(_pulled, p), start=partial(_recording_reverse, p), reference=True),
    ]
    # fmt: on


def second_order(p: Problem) -> list[Method]:
    """All second partial derivatives, and their product with one vector."""
    n = p.inputs.size
    f = p.graph.evaluation
    g = Problem(grad(p.function, p.argnums), p.args)
    gradient, held = f.counts + p.reverse(), f.tape + p.graph.reverse().alive
    tape = recorded(partial(_with_gradient, p), 1.0, *p.args).tape
    dual = recorded(lambda a, t: jvp(p.function, a, t), p.args, p.direction(0))
    product = recorded(
        lambda a, t, one: jvp(partial(_with_gradient, p, one), a, t), p.args, p.direction(0), 1.0
    )
    slope = Sweeps(lambda *args: jvp(p.function, args, p.direction(0)), p.args)
    back = slope.reverse([1])
    # fmt: off
    return [
        Method("one evaluation of f", "1 evaluation", 1,
               f.counts, f.alive,
               partial(_run, p)),
        Method("gradient, reverse", "1 recording, 1 backward", 1,
               gradient, held,
               partial(_run, g)),
        Method("Hessian × vector, forward over reverse", "1 gradient with tangents", 1,
               product.counts, 2 * held,
               lambda start, i: hvp(p.function, p.args, p.direction(i))),
        Method("Hessian × vector, reverse over reverse", "1 recording, 1 backward", 1,
               gradient + g.graph.reverse().counts, tape + g.graph.reverse().alive,
               partial(_pulled, g), start=partial(_recording_reverse, g)),
        Method("Hessian, differences of gradients", _sweeps(2 * n, "gradient[s]"), n,
               _differences(g, 2, gradient), held,
               partial(_central, g)),
        Method("Hessian, forward over reverse", _sweeps(n, "forward", recording=True), n,
               gradient + g.forward(), tape + g.graph.forward().alive,
               partial(_pushed, g), start=partial(_recording_forward, g), reference=True),
        Method("Hessian, reverse over forward", _sweeps(n, "slope[s], each with 1 backward"), n,
               (dual.counts + back.counts) * n, slope.evaluation.tape + back.alive,
               partial(_over_forward, p)),
        Method("Hessian, reverse over reverse", _sweeps(n, "backward", recording=True), n,
               gradient + g.reverse(), tape + g.graph.reverse().alive,
               partial(_pulled, g), start=partial(_recording_reverse, g)),
    ]
    # fmt: on
