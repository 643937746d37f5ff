"""Row 1: graphs of single numbers, against micrograd."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from statistics import geometric_mean
from typing import Any

import numpy as np

from autobp import Tensor, relu

from .race import OURS, Effort, Row, Step, compete, ready, rows_against

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
    times = compete({k: two_moons(*kind) for k, kind in kinds.items()}, effort, rtol=1e-9)
    what = "micrograd's demo: MLP 2-16-16-1 of scalars, 100 points, loss + backward"
    return rows_against("1", what, times, {"micrograd": 0.1})


def two_moons(number: type, relu: Relu) -> Step:
    """The network and the loss of micrograd's demo: about 65,000 nodes in each step."""
    rng = np.random.default_rng(1337)
    turn = np.linspace(0, np.pi, 50)
    upper, lower = (np.cos(turn), np.sin(turn)), (1 - np.cos(turn), 0.5 - np.sin(turn))
    moons = np.concatenate([np.transpose(upper), np.transpose(lower)])
    points = (moons + 0.1 * rng.standard_normal(moons.shape)).tolist()
    labels = [-1] * 50 + [1] * 50

    sizes = [2, 16, 16, 1]
    layers = [
        [([number(w) for w in rng.uniform(-1, 1, n).tolist()], number(0.0)) for _ in range(m)]
        for n, m in pairwise(sizes)
    ]
    parameters = [p for layer in layers for w, b in layer for p in [*w, b]]

    def model(x: list[Any]) -> Any:
        for layer in layers:
            x = [sum((wi * xi for wi, xi in zip(w, x)), b) for w, b in layer]
            x = x if layer is layers[-1] else list(map(relu, x))
        return x[0]

    def loss() -> Any:
        scores = [model(list(map(number, point))) for point in points]
        losses = [relu(1 + -yi * scorei) for yi, scorei in zip(labels, scores)]
        data_loss = sum(losses) * (1.0 / len(losses))
        return data_loss + 1e-4 * sum(p * p for p in parameters)

    return partial(gradients, parameters, loss)


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
