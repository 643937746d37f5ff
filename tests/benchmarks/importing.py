"""Row 4: what `import autobp` adds to `import numpy`, each in a fresh interpreter."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

from .race import Effort, Row

ALLOWED = 0.040  # seconds
PROGRAM = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def run(effort: Effort) -> list[Row]:
    times: dict[str, list[float]] = {"autobp": [], "numpy": []}
    # Where PYTHONDONTWRITEBYTECODE is set, a checkout would be compiled anew by each import, which
    # what pip installed never is. So both get a cache of their own, and fill it in a round untimed.
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for i in range(1 + effort.rounds):
            for module, ts in times.items():
                seconds = import_seconds(module, environment)
                if i:
                    ts.append(seconds)
    ours, theirs = map(statistics.median, times.values())
    what = f"import autobp, in a fresh interpreter: {1e3 * (ours - theirs):+.0f} ms"
    target = f"≤ +{1e3 * ALLOWED:.0f} ms"
    return [Row("4", what, "import numpy", ours, theirs, target, ours - theirs <= ALLOWED)]


def import_seconds(module: str, environment: dict[str, str]) -> float:
    command = [sys.executable, "-c", PROGRAM.format(module)]
    ran = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    return float(ran.stdout)
