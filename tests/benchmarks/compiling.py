"""Row 7: what compiling costs, against fixed limits."""

from __future__ import annotations

import gc
import io
import random
import statistics
import time
import tracemalloc
from contextlib import redirect_stderr
from typing import Any

import numpy as np

from autobp import compile, value_and_grad

from .classifier import descend, problem
from .race import OURS, Effort, Row, legend

FIRST = (
    "trace and compile: one SGD step of row 3 (the first call with check=0, less a step as it is)"
)
EMPTY = "replay of an empty program: lambda x: x"
LONG = (
    "first call, for each call of the program: value and gradient of {} numbers that do not repeat"
)


def run(effort: Effort) -> list[Row]:
    legend[f"7 {OURS}"] = "CPU time for the first, wall time for the second; medians."
    x, truth, params = problem()
    firsts = []
    for _ in range(effort.rounds):
        program = compile(descend, check=0)  # the comparison takes two more steps
        firsts.append(_cpu(program, params, x, truth) - _cpu(descend, params, x, truth))
    identity, a = compile(lambda x: x), np.ones(3)
    calls = 10_000
    times = []
    for k in range(3):  # the calls that are compared
        identity(a + k)
    for _ in range(effort.rounds):
        start = time.perf_counter()
        for _ in range(calls):
            identity(a)
        times.append((time.perf_counter() - start) / calls)
    numbers = 10_000 if effort.turn else 100
    seconds, nbytes = _long_program(numbers)
    legend[f"7 {numbers:,} numbers"] = (
        f"of which each is several calls; {nbytes:,.0f} bytes a call at most, the limit is 2,000."
    )
    return [
        _row(FIRST, "50 ms", statistics.median(firsts), 50e-3),
        _row(EMPTY, "2 µs", statistics.median(times), 2e-6),
        _row(LONG.format(f"{numbers:,}"), "50 µs", seconds, 50e-6),
    ]


def _long_program(numbers: int) -> tuple[float, float]:
    """Seconds and bytes for each call of a program that has no loops."""
    rng = random.Random(0)
    chosen = [
        (rng.randrange(5), rng.randrange(1, 9), rng.uniform(0.5, 1.5)) for _ in range(numbers)
    ]

    def wander(x: Any) -> Any:
        earlier = [x]
        for which, back, c in chosen:
            y, z = earlier[-1], earlier[-min(back, len(earlier))]
            if which < 2:
                y = y + c * z if which else y - c * z
            else:
                y = y / c if which == 2 else np.sin(y) if which == 3 else c * np.tanh(y)
            earlier.append(y)
        return earlier[-1]

    program = compile(value_and_grad(wander), check=0)
    with redirect_stderr(io.StringIO()):  # where it says how long this may take
        seconds = _cpu(program, 0.7)
        tracemalloc.start()
        compile(value_and_grad(wander), check=0)(0.7)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    calls = len(program.programs[0].steps)
    return seconds / calls, most / calls


def _cpu(function: Any, *args: Any) -> float:
    gc.collect()
    start = time.process_time()
    function(*args)
    return time.process_time() - start


def _row(what: str, limit: str, ours: float, at_most: float) -> Row:
    return Row("7", what, f"a limit of {limit}", ours, at_most, "≤ 1", ours <= at_most)
