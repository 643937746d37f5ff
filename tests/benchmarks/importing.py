"""Row 4: what `import autobp` adds to `import numpy`, each in a fresh interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys

from .race import Effort, Row

ALLOWED = 0.040  # seconds
PROGRAM = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def run(effort: Effort) -> list[Row]:
    seconds("autobp")  # writes the .pyc files if need be
    times: dict[str, list[float]] = {"autobp": [], "numpy": []}
    for _ in range(2 * effort.rounds):
        for module, ts in times.items():
            ts.append(seconds(module))
    ours, theirs = map(statistics.median, times.values())
    what = f"import autobp: {1e3 * (ours - theirs):+.0f} ms"
    target = f"≤ +{1e3 * ALLOWED:.0f} ms"
    return [Row("4", what, "import numpy", ours, theirs, target, ours - theirs <= ALLOWED)]


def seconds(module: str) -> float:
    command = [sys.executable, "-c", PROGRAM.format(module)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
