"""Row 1: graphs of single numbers, against micrograd and CasADi."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from statistics import geometric_mean
from typing import Any

import numpy as np

from autobp import Tensor, compile, relu, value_and_grad
from autobp.tree import leaves, refilled

from .race import COMPILED, OURS, Effort, Row, Step, both_rows, compete, ready, rows_against

CASADI = "CasADi"

Relu = Callable[[Any], Any]
Kind = tuple[type, Relu]  # all that a program has to be told: the numbers' type, and its relu


def ours() -> Kind:
    """The programs on autobp.Tensor and autobp.relu."""
    return Tensor, relu


def micrograd() -> Kind:
    """The same programs on micrograd.engine.Value and Value.relu."""
    from micrograd.engine import Value

    return Value, Value.relu


def run(effort: Effort) -> list[Row]:
    kinds = ready("1", {OURS: ours, "micrograd": micrograd})
    return [*demo(kinds, effort), *operations(kinds, effort)]


# ── 1: micrograd's own example ────────────────────────────────────────────────────────────────────


def demo(kinds: dict[str, Kind], effort: Effort) -> list[Row]:
    what = "micrograd's demo: MLP 2-16-16-1 of scalars, 100 points, loss + backward"
    steps = {k: two_moons(*kind) for k, kind in kinds.items()}
    steps |= ready("1", {COMPILED: compiled_moons})
    times = compete(steps, effort, rtol=1e-9)
    rows = both_rows("1", what, times, {"micrograd": 0.1}, {"micrograd": 1 / 500})
    # By itself, since the objects of its graph would make every collection slower for the others.
    steps.pop("micrograd", None)
    steps |= ready("1", {CASADI: casadi_moons})
    times = compete(steps, effort, rtol=1e-9)
    return rows + both_rows("1", what, times, {}, {CASADI: 1.0})


def moons() -> tuple[list[Any], list[list[float]], list[int]]:
    """The parameters, the points and the labels of micrograd's demo, as nested lists of numbers."""
    rng = np.random.default_rng(1337)
    turn = np.linspace(0, np.pi, 50)
    upper, lower = (np.cos(turn), np.sin(turn)), (1 - np.cos(turn), 0.5 - np.sin(turn))
    halves = np.concatenate([np.transpose(upper), np.transpose(lower)])
    points = (halves + 0.1 * rng.standard_normal(halves.shape)).tolist()
    layers = [
        [(rng.uniform(-1, 1, n).tolist(), 0.0) for _ in range(m)]
        for n, m in pairwise([2, 16, 16, 1])
    ]
    return layers, points, [-1] * 50 + [1] * 50


def loss_of(relu: Relu, layers: list[Any], points: list[Any], labels: list[Any]) -> Any:
    """The loss of micrograd's demo: about 65,000 nodes."""

    def model(x: list[Any]) -> Any:
        for layer in layers:
            x = [sum((wi * xi for wi, xi in zip(w, x)), b) for w, b in layer]
            x = x if layer is layers[-1] else list(map(relu, x))
        return x[0]

    scores = list(map(model, points))
    losses = [relu(1 + -yi * scorei) for yi, scorei in zip(labels, scores)]
    data_loss = sum(losses) * (1.0 / len(losses))
    parameters = (p for layer in layers for w, b in layer for p in [*w, b])
    return data_loss + 1e-4 * sum(p * p for p in parameters)


def two_moons(number: type, relu: Relu) -> Step:
    """Loss and gradients, step by step, with parameters that stay."""
    layers, points, labels = moons()
    layers = [[(list(map(number, w)), number(b)) for w, b in layer] for layer in layers]
    parameters = [p for layer in layers for w, b in layer for p in [*w, b]]

    def loss() -> Any:
        return loss_of(relu, layers, [list(map(number, point)) for point in points], labels)

    return partial(gradients, parameters, loss)


def compiled_moons() -> Step:
    """value_and_grad of the same program, compiled; every step reads all parameters, points and
    labels anew out of nested lists, and puts the gradient into nested lists."""
    step, problem = compile(value_and_grad(partial(loss_of, relu))), moons()

    def gradient() -> list[Any]:
        return [[g for layer in step(*problem)[1] for w, b in layer for g in (*w, b)]]

    return gradient


def casadi_moons() -> Step:
    """The same program on casadi.SX and its gradient, made a Function once; a step runs that, on
    arrays that stay where they are."""
    import casadi

    layers, points, labels = moons()
    values = [np.array([v for _, v in leaves(nest)], float) for nest in (layers, (points, labels))]
    symbols = [casadi.SX.sym(name, len(v)) for name, v in zip(("varied", "held"), values)]
    parts = [casadi.vertsplit(s) for s in symbols]
    nests = refilled(layers, parts[0]), *refilled((points, labels), parts[1])
    loss = loss_of(lambda x: casadi.fmax(x, 0), *nests)
    function = casadi.Function("step", symbols, [loss, casadi.gradient(loss, symbols[0])])
    buffer, run = function.buffer()
    results = np.zeros(1), np.zeros(len(values[0]))
    for i in range(2):
        buffer.set_arg(i, memoryview(values[i]))
        buffer.set_res(i, memoryview(results[i]))

    def step(_kept: Any = (function, buffer, values)) -> list[Any]:  # whose memory it runs in
        run()
        return [results[1]]

    return step


def gradients(parameters: list[Any], loss: Callable[[], Any]) -> list[Any]:
    """One step. The graph dies with it."""
    for p in parameters:
        p.grad = 0
    loss().backward()
    return [[p.grad for p in parameters]]  # to be compared as one array


# ── 1b: operation by operation ────────────────────────────────────────────────────────────────────

CHAINS, LENGTH = 250, 40  # 10,000 operations, no deeper than micrograd's recursion can go

BINARY = {
    "a + b": operator.add,
    "a * b": operator.mul,
    "a - b": operator.sub,
    "a / b": operator.truediv,
}
UNARY = {"a ** 2": partial(pow, exp=2), "relu(a)": None, "-a": operator.neg}


def operations(kinds: dict[str, Kind], effort: Effort) -> list[Row]:
    rows: list[Row] = []
    for name in [*BINARY, *UNARY]:
        steps = {k: chains(name, *kind) for k, kind in kinds.items()}
        times = compete(steps, effort, rtol=1e-9, collector=False)
        each = {k: t / (CHAINS * LENGTH) for k, t in times.items()}
        rows += rows_against("1b", f"one scalar {name}, forward + backward, collector off", each)
    if rows:
        ours, theirs = ([getattr(row, side) for row in rows] for side in ("ours", "theirs"))
        mean = {OURS: geometric_mean(ours), "micrograd": geometric_mean(theirs)}
        rows += rows_against("1b", "… the geometric mean of these", mean, {"micrograd": 1.0})
    return rows


def chains(name: str, number: type, relu: Relu) -> Step:
    """Chains y ← op(y, x) or y ← op(y), joined by a sum (2.5 % more operations)."""
    # So close to 1 that 40 squarings or products neither overflow nor vanish.
    starts = 1 + 1e-12 * np.random.default_rng(0).uniform(-1, 1, CHAINS)
    leaves = [number(x) for x in starts.tolist()]
    binary = BINARY.get(name)
    unary = UNARY.get(name) or relu  # of which each has its own

    def loss() -> Any:
        ends = []
        for x in leaves:
            y = x
            for _ in range(LENGTH):
                y = binary(y, x) if binary else unary(y)
            ends.append(y)
        return sum(ends)

    return partial(gradients, leaves, loss)
