"""Measure the time, the memory and the error of the steps of a method."""

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

from autobp.cost.problem import Method, flat

__all__ = ["Measured", "measure"]

ROUNDS = 5
TURN = 0.01  # seconds for which a method repeats its steps in a round
LONG = 0.5  # seconds after which a method takes part in no further round
PATIENCE = 0.5  # seconds: if all steps together take longer, a sample of them is measured
SAMPLE = 64  # directions
FEWEST = 8  # steps of more directions: fewer would be measured while caches fill


@dataclass
class Measured:
    """The measurements of a method. None: not measured."""

    method: Method
    sample: Sequence[int] = ()
    starts: list[float] = field(default_factory=list)  # seconds, one for each run
    steps: list[list[float]] = field(default_factory=list)  # seconds of each step, for each run
    spent: float = 0.0
    peak: int | None = None  # bytes
    error: float | None = None
    failed: Exception | None = None  # why it is not measured

    @property
    def done(self) -> int:
        """How many steps of the sample were measured."""
        return len(self.steps[0]) if self.steps else 0

    @property
    def directions(self) -> int:
        """How many directions that were."""
        return sum(map(self.method.width, self.sample[: self.done]))

    @property
    def seconds(self) -> float | None:
        """For all steps. It uses the median of each step: in every run, some step is slow because the
        machine does something else, so a median of the sums would be too large."""
        if not self.done or self.failed:
            return None
        each = float(np.sum(np.median(self.steps, axis=0))) / max(1, self.directions)
        return median(self.starts) + each * self.method.directions

    def prepare(self, full: bool, rng: np.random.Generator) -> None:
        """Warm up, measure the memory, and choose the steps to time."""
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
            most = max(FEWEST, SAMPLE // method.width(0))
            size = int(min(max(2 * LONG / once, 4), most, method.steps))
            self.sample = np.sort(rng.choice(method.steps, size, replace=False)).tolist()

    def run(self, look: Callable[[int, Any], None]) -> None:
        """Run all chosen steps once. If the first run is interrupted, its finished steps count."""
        began = perf_counter()
        state = self.method.start()
        once = perf_counter() - began
        each: list[float] = []
        if (
            len(self.sample) < self.method.steps
        ):  # the first of a sample is no slower than the others
            self.method.step(state, self.sample[0])
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
    """The rows that the reference computed, against which the columns of others are checked."""

    def __init__(self) -> None:
        self.rows: dict[int, np.ndarray] = {}
        self.chosen = np.zeros(0, int)
        self.values = np.zeros((0, 0))
        self.scale = 0.0

    def keep(self, i: int, result: Any) -> None:
        self.rows[i] = flat(result)

    def settle(self) -> None:
        self.chosen = np.array(sorted(self.rows))
        self.values = np.stack([self.rows[i] for i in self.chosen])
        self.scale = float(np.max(np.abs(self.values))) or 1.0

    def check(self, measured: Measured, i: int, result: Any) -> None:
        if result is None or not self.rows:
            return
        rows, columns, found, computed = measured.method.part(i, result, self.chosen)
        known = self.values[np.searchsorted(self.chosen, rows)][:, columns]
        with np.errstate(invalid="ignore"):
            gap = np.where(found == known, 0.0, np.abs(found - known))
        if computed is not None:
            gap = gap[computed]
        if not gap.size:
            return
        error = float(np.max(gap)) / self.scale
        measured.error = (
            error if measured.error is None else float(np.maximum(measured.error, error))
        )


@contextmanager
def _failing(m: Measured) -> Iterator[None]:
    """What one way does not do is no reason to measure no other."""
    try:
        yield
    except Exception as error:
        m.failed = error


def measure(
    methods: Sequence[Method], full: bool, rng: np.random.Generator
) -> tuple[list[Measured], bool]:
    """Measure all methods, and return whether this was interrupted too. The methods take turns, so
    that other work on the machine slows all of them alike."""
    found = [Measured(method) for method in methods]
    turns = sorted(found, key=lambda m: not m.method.reference)  # the reference first
    gc.collect()  # so that no measurement pays for earlier garbage
    try:
        for m in turns:
            with _failing(m):
                m.prepare(full, rng)
        _first([m for m in turns if not m.failed])
        for _ in range(1, ROUNDS):
            for m in turns:
                enough = perf_counter() + TURN
                while m.spent < LONG and not m.failed:
                    with _failing(m):
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

            with _failing(m):
                m.run(look)
            if m.method.reference and reference.rows:
                reference.settle()


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar, on a terminal."""
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
    """Gives a function that returns the peak of memory use since the beginning, in bytes."""
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
