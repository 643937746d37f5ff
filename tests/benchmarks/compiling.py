"""Row 7: what compiling costs, against fixed limits."""

from __future__ import annotations

import gc
import statistics
import time
from typing import Any

import numpy as np

from autobp import compile

from .classifier import descend, problem
from .race import OURS, Effort, Row, legend

FIRST = (
    "trace and compile: one SGD step of row 3 (the first call with check=0, less a step as it is)"
)
EMPTY = "replay of an empty program: lambda x: x"


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
    return [
        _row(FIRST, "50 ms", statistics.median(firsts), 50e-3),
        _row(EMPTY, "2 µs", statistics.median(times), 2e-6),
    ]


def _cpu(function: Any, *args: Any) -> float:
    gc.collect()
    start = time.process_time()
    function(*args)
    return time.process_time() - start


def _row(what: str, limit: str, ours: float, at_most: float) -> Row:
    return Row("7", what, f"a limit of {limit}", ours, at_most, "≤ 1", ours <= at_most)
