"""Row 6: that jacobian(mode="auto") chooses the faster mode, whatever the shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autobp import jacobian

from .race import OURS, Effort, Row, Step, compete, legend

SHAPES = ((1, 1000), (10, 1000), (300, 300), (1000, 10), (1000, 1))
AT_MOST = 1.1  # times as long as the faster of the two


def run(effort: Effort) -> list[Row]:
    legend["6 autobp"] = (
        'jacobian(f, mode="auto") of f(x) = tanh(A x), what it takes to choose in it'
    )
    rows = []
    for m, n in SHAPES:
        times = compete(steps(m, n), effort, rtol=1e-12)
        ours = times.pop(OURS)
        mode, theirs = min(times.items(), key=lambda item: item[1])
        what = f"Jacobian of {m:,} × {n:,}, against the faster mode"
        rows.append(Row("6", what, mode, ours, theirs, f"≤ {AT_MOST:g}", ours <= AT_MOST * theirs))
    return rows


def steps(m: int, n: int) -> dict[str, Step]:
    rng = np.random.default_rng(0)
    A, x = rng.standard_normal((m, n)) / n, rng.standard_normal(n)

    def step(mode: Any) -> Callable[[], list[Any]]:
        derivative = jacobian(lambda x: np.tanh(A @ x), mode=mode)
        return lambda: [derivative(x)]

    return {OURS: step("auto"), "forward": step("forward"), "reverse": step("reverse")}
