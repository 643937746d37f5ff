"""How long the steps of a method take, how much memory, and how right they are."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from autobp.cost.methods import Method, flat

__all__ = ["Measured", "measure"]

ROUNDS = 5
TURN = 0.01  # seconds that a method has the stopwatch for in a round, if it needs no longer
LONG = 1.0  # seconds after which it has had enough rounds
PATIENCE = 0.5  # seconds: steps that take longer, all together, are measured on a sample
SAMPLE = 64


@dataclass
class Measured:
    """What was measured of a method. What was not reached is None."""

    method: Method
    sample: Sequence[int] = ()
    starts: list[float] = field(default_factory=list)  # seconds, one for each run
    steps: list[list[float]] = field(default_factory=list)  # for each run, those of its steps
    spent: float = 0.0
    peak: int | None = None  # bytes
    error: float | None = None

    @property
    def done(self) -> int:
        """How many of the sample were measured."""
        return len(self.steps[0]) if self.steps else 0

    @property
    def seconds(self) -> float | None:
        """For all steps. The median is each step's own: that of their sum would have in it what
        the machine did meanwhile in some other step of every run."""
        if not self.done:
            return None
        each = float(np.mean(np.median(self.steps, axis=0)))
        return median(self.starts) + each * self.method.steps

    def prepare(self, full: bool, rng: np.random.Generator) -> None:
        """Warm up, take the memory, and choose the steps that are measured."""
        method = self.method
        with _memory() as peak:
            state = method.start()
            method.step(state, 0)
            self.peak = peak()
        began = perf_counter()
        method.step(state, 0)
        once = perf_counter() - began
        self.sample = range(method.steps)
        if method.steps * once > PATIENCE and not full:
            size = int(min(max(2 * LONG / once, 4), SAMPLE, method.steps))
            self.sample = np.sort(rng.choice(method.steps, size, replace=False)).tolist()

    def run(self, look: Callable[[int, Any], None]) -> None:
        """Take all chosen steps once. Of a first run that is interrupted, what was done counts."""
        began = perf_counter()
        state = self.method.start()
        once = perf_counter() - began
        each: list[float] = []
        try:
            for i in self.sample:
                began = perf_counter()
                result = self.method.step(state, i)
                each.append(perf_counter() - began)
                look(i, result)
        finally:
            self.spent += once + sum(each)
            if not self.steps or len(each) == self.done:
                self.starts.append(once)
                self.steps.append(each)


class _Reference:
    """The rows that the reference found, and how far the columns of others are from them."""

    def __init__(self) -> None:
        self.rows: dict[int, np.ndarray] = {}
        self.chosen = np.zeros(0, int)
        self.values = np.zeros((0, 0))
        self.scale = 0.0

    def keep(self, i: int, result: Any) -> None:
        self.rows[i] = flat(result)

    def settle(self) -> None:
        self.chosen = np.array(list(self.rows))
        self.values = np.stack(list(self.rows.values()))
        self.scale = float(np.max(np.abs(self.values))) or 1.0

    def check(self, measured: Measured, i: int, result: Any) -> None:
        if result is None or not self.rows:
            return
        found, known = flat(result)[self.chosen], self.values[:, i]
        with np.errstate(invalid="ignore"):
            gap = np.where(found == known, 0.0, np.abs(found - known))
        error = float(np.max(gap)) / self.scale
        measured.error = (
            error if measured.error is None else float(np.maximum(measured.error, error))
        )


def measure(
    methods: Sequence[Method], full: bool, rng: np.random.Generator
) -> tuple[list[Measured], bool]:
    """Measure all methods, which take turns, so that whatever else the machine does slows all of
    them alike. Whether this was interrupted comes second."""
    found = [Measured(method) for method in methods]
    turns = sorted(found, key=lambda m: not m.method.reference)  # what others are compared with
    gc.collect()  # what others left behind is not to be paid for here
    try:
        for m in turns:
            m.prepare(full, rng)
        _first(turns)
        for _ in range(1, ROUNDS):
            for m in turns:
                enough = perf_counter() + TURN
                while m.spent < LONG:
                    m.run(lambda i, result: None)
                    if perf_counter() > enough:
                        break
    except KeyboardInterrupt:
        return found, True
    return found, False


def _first(turns: Sequence[Measured]) -> None:
    """The first round, in which results are compared."""
    reference = _Reference()
    with _progress(sum(len(m.sample) for m in turns)) as advance:
        for m in turns:

            def look(i: int, result: Any, m: Measured = m) -> None:
                if m.method.reference:
                    reference.keep(i, result)
                else:
                    reference.check(m, i, result)
                advance(m.method.name)

            m.run(look)
            if m.method.reference:
                reference.settle()


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar, on a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda name: None
        return
    from tqdm import tqdm  # type: ignore[import-untyped]  # late: few programs measure

    with tqdm(total=total, unit="sweep", leave=False) as bar:

        def advance(name: str) -> None:
            bar.set_description(name, refresh=False)
            bar.update()

        yield advance


@contextmanager
def _memory() -> Iterator[Callable[[], int]]:
    """What tells the most memory that was in use at one time since the beginning, in bytes."""
    ours = not tracemalloc.is_tracing()
    if ours:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        if ours:
            tracemalloc.stop()
