"""Loops found in traces: whatever a loop in Python does, the rolled program gives the numbers of the
straight-line one."""

import math
import os

import numpy as np
import pytest

from autobp import compile, grad, value_and_grad
from autobp.compiler.call import Call
from autobp.compiler.program import check, evaluated
from autobp.compiler.rolling import rolled as rolling
from autobp.compiler.rolling.rolled import rolled
from autobp.compiler.terms import Settings
from autobp.compiler.trace.tracing import trace_call
from autobp.tree import leaves

PROGRAMS = int(os.environ.get("AUTOBP_PROGRAMS", "500")) // 10


@pytest.fixture
def short(monkeypatch):
    """Short programs are rolled up too."""
    monkeypatch.setattr(rolling, "STEPS", 30)
    monkeypatch.setattr(rolling, "FEWEST", 16)


# ── random loops ──────────────────────────────────────────────────────────────────────────────────


class Loops:
    """A random function that is written as one or two loops."""

    def __init__(self, seed):
        self.rng = rng = np.random.default_rng(seed)
        self.arrays = bool(rng.integers(2))
        self.shape = (int(rng.integers(2, 5)),) if self.arrays else ()
        self.count = int(rng.integers(9, 15))
        self.carried = int(rng.integers(1, 4))
        self.data = rng.standard_normal((4 * self.count, *self.shape))  # a constant
        self.parts = [self.loop() for _ in range(rng.integers(1, 3))]
        make = rng.standard_normal if self.arrays else lambda shape: float(rng.standard_normal())
        self.args = (
            [make(self.shape) for _ in range(self.carried)],
            [make(self.shape) for _ in range(2)],
            rng.standard_normal((4 * self.count, *self.shape)),
            [make(self.shape) for _ in range(self.count)],
        )

    def chance(self, p):
        return self.rng.random() < p

    def operand(self, temporaries, deep):
        kinds = (
            ["carried"] * 4 + ["temporary"] * (3 if temporaries else 0) + ["parameter", "number"]
        )
        kinds += (
            [] if deep else ["datum", "row", "layer", "stride", "back", "index", "table", "seen"]
        )
        kinds += ["slice"] if self.arrays and not deep else []
        kind = str(self.rng.choice(kinds))
        top = {"carried": self.carried, "temporary": temporaries, "parameter": 2}.get(kind, 3)
        return kind, int(self.rng.integers(top))

    def operations(self, n, deep=False):
        made = []
        for _ in range(n):
            f = str(self.rng.choice(["add", "mul", "sub", "tanh", "sin", "div", "min"]))
            made.append((f, self.operand(len(made), deep), self.operand(len(made), deep)))
        return made

    def loop(self):
        n = int(self.rng.integers(1, 5))
        operations = self.operations(n)
        return {
            "operations": operations,
            "becomes": [
                self.operand(n, True)
                if self.chance(0.5)
                else ("temporary", int(self.rng.integers(n)))
                for _ in range(self.carried)
            ],
            "adds": self.chance(0.5),
            "collects": self.chance(0.6),
            "inner": self.operations(2, deep=True) if self.chance(0.25) else None,
            "changes": int(self.rng.integers(self.count)) if self.chance(0.15) else None,
            "ends": int(self.rng.integers(8, self.count)) if self.chance(0.2) else self.count,
            "swaps": self.chance(0.3),
            "alternates": self.chance(0.15),
            "before": self.chance(0.2),
        }

    def __call__(self, start, parameters, rows, layers):
        zero = np.zeros(self.shape) if self.arrays else 0.0  # of which a number becomes an array
        state, total, seen, kept = list(start), 0.0, [parameters[0]] * self.count, []
        for part in self.parts:
            older, state_before = state[0], state[0]
            for i in range(part["ends"]):
                if part["swaps"]:
                    state = state[::-1]
                inside = (state, parameters, rows, layers, seen, i)
                made = self.run(part["operations"], inside)
                if part["changes"] is not None and i >= part["changes"]:
                    made[-1] = made[-1] * 0.5
                if part["alternates"] and i % 2:
                    made[0] = np.cos(made[0])
                state_before, older = state[0], state_before
                state = [np.tanh(self.value(b, made, inside) + zero) for b in part["becomes"]]
                if part["before"]:
                    state[0] = state[0] + 0.3 * older
                if part["inner"]:
                    for _ in range(3):
                        inner = self.run(part["inner"], (state, parameters, rows, layers, seen, i))
                        state = [np.tanh(inner[-1]), *state[1:]]
                if part["adds"]:
                    total = total + made[-1] * self.data[i]
                kept.append(made[0] + state[0])
            if part["collects"]:
                seen = kept[-self.count :] if len(kept) >= self.count else seen
                total = total + (np.sum(np.stack(kept), 0) if self.arrays else sum(kept))
        total = total + sum(x * (k + 1.0) for k, x in enumerate(state))
        return np.sum(total * total) if self.arrays else total * total

    def run(self, operations, inside):
        made = []
        for f, a, b in operations:
            x, y = self.value(a, made, inside), self.value(b, made, inside)
            made.append(OPERATIONS[f](x, y))
        return made

    def value(self, operand, made, inside):
        kind, k = operand
        state, parameters, rows, layers, seen, i = inside
        if kind == "carried":
            return state[k]
        if kind == "temporary":
            return made[k]
        if kind == "parameter":
            return parameters[k]
        return {
            "number": lambda: 0.5 * (k + 1),
            "datum": lambda: self.data[i + k],
            "row": lambda: rows[i + k],
            "layer": lambda: layers[i],
            "stride": lambda: rows[2 * i + k],
            "back": lambda: rows[self.count + 3 - i - k],
            "index": lambda: math.sin(i * 0.1 + k),
            "table": lambda: 1.0 / (1 + i + k),
            "seen": lambda: seen[i] if k else seen[-1 - i],
            "slice": lambda: np.sum(rows[i : i + 2 + k], 0),
        }[kind]()


OPERATIONS = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / (2.0 + y * y),
    "tanh": lambda x, y: np.tanh(x) + 0.5 * y,
    "sin": lambda x, y: np.sin(x * y),
    "min": lambda x, y: np.minimum(x, y),
}


def close(found, expected, scale=1.0):
    for (_, a), (_, b) in zip(leaves(found), leaves(expected), strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, 1e-12 * scale, 1e-12 * scale)


def loops_in(program):
    return [step.loop for p in program.nested() for step in p.steps if step.loop]


def traced(function, args):
    """The program of a function, and what that is called with."""
    made = trace_call(Call(function, "f", args, {}, Settings()))
    places = ", ".join(str(place) for _, place in made.arguments.bindings)
    return made.program, made.arguments.function([f"return [{places}]"])(*args)


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_a_random_loop_is_what_it_was(short, seed):
    f = Loops(seed)
    argnums = (0, 1, 2, 3) if seed % 3 else (0, 1)
    function = value_and_grad(f, argnums)
    if seed % 10 == 0:  # second order
        first = grad(f, 1)
        function = grad(lambda *args: sum(np.sum(g) for g in first(*args)), argnums)
    program, given = traced(function, f.args)
    found = rolled(program)
    check(found)
    expected = evaluated(program, *given)
    close(evaluated(found, *given), expected)
    made = compile(function, check=0, reuse=seed % 4 == 1)
    close(made(*f.args), expected)
    close(made(*f.args), expected)
