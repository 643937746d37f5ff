"""Row 8: a frame of the live page in Chromium: from a change of an input to the picture laid out."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from autobp import Tensor, play

from ..browser import CHROMIUM, DRIVER, started
from .race import Effort, Row

FRAMES = """
const done = arguments[arguments.length - 1], real = requestAnimationFrame.bind(window), times = [];
window.requestAnimationFrame = (f) => real((now) => {
  const before = performance.now();
  f(now);
  document.body.getBoundingClientRect();
  document.querySelector('.view:not([hidden]) text').getBBox();
  times.push(performance.now() - before);
});
for (const g of document.querySelectorAll('.view:not([hidden]) .node')) {
  g.focus();
  if (!document.getElementById('change').hidden) break;
}
const range = document.getElementById('amount');
let k = 0;
const step = () => {
  if (k++ === arguments[0]) return done(times.slice(5));
  range.value = Number(range.min) + (Number(range.max) - Number(range.min)) * (0.3 + 0.4 * ((k * 37) % 60) / 60);
  range.dispatchEvent(new Event('input'));
  setTimeout(step, 20);
};
step();
"""


def operations() -> Tensor:
    """200 operations on single numbers."""
    rng = np.random.default_rng(0)
    xs = [Tensor(float(v), name=f"x{i}") for i, v in enumerate(rng.standard_normal(10))]
    y = xs[0]
    for k in range(66):
        y = np.tanh(y * xs[k % 10] + xs[(k + 3) % 10])
    return y


def numbers() -> Tensor:
    """A network on data, 2,000 numbers with their gradients."""
    rng = np.random.default_rng(0)
    W1 = Tensor(rng.standard_normal((10, 16)) * 0.3, name="W1")
    W2 = Tensor(rng.standard_normal((16, 4)) * 0.3, name="W2")
    X, y = rng.standard_normal((20, 10)), rng.standard_normal((20, 4))
    return np.mean((np.tanh(X @ W1) @ W2 - y) ** 2)


def run(effort: Effort) -> list[Row]:
    if not (CHROMIUM and DRIVER):
        print("skipped: row 8 needs Chromium and chromedriver", file=sys.stderr)
        return []
    driver = started()
    rows = []
    try:
        for make, what, most in (
            (operations, "200 operations", 16),
            (numbers, "2,000 numbers", 50),
        ):
            with tempfile.TemporaryDirectory() as folder:
                path = play(make()).save(Path(folder) / "page.html")
                driver.get(path.as_uri())
                driver.set_script_timeout(60)
                driver.execute_script(
                    "const v = document.getElementById('view'); if (!v) return;"
                    "v.value = v.options.length - 1; v.dispatchEvent(new Event('change'))"
                )
                found = driver.execute_async_script(FRAMES, 10 + 4 * effort.rounds)
            seconds = statistics.median(found) / 1000
            said = f"a frame of a live page, {what}: {1000 * seconds:.1f} ms"
            limit = most / 1000
            rows.append(
                Row("8", said, f"a limit of {most} ms", seconds, limit, "≤ 1", seconds <= limit)
            )
    finally:
        driver.quit()
    return rows
