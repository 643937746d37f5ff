"""Periods: where a program repeats itself, and after how many steps.

A lag p fits a step if the steps p and 2p before it have its token, and if each operand goes on as it
did from the one to the other: it is as far away, or the same, or moves by a constant distance, or all
three come from outside. A run of steps that fit is a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.compiler.program import Step
from autobp.compiler.rolling.tokens import Tokens

__all__ = ["Run", "fitting", "lags", "runs", "steadily"]

LAGS = 24  # that are looked at
GRAM = 8  # tokens in a row that are compared: single ones match too often
ITERATIONS = 8  # in a loop, at least
NUMPYS = 8  # numbers of Python's that are carried at the cost of one of NumPy's

Array = Any


@dataclass(frozen=True)
class Run:
    """Steps that repeat."""

    start: int
    period: int
    count: int  # of iterations

    @property
    def end(self) -> int:
        return self.start + self.period * self.count


def runs(table: Tokens, first: int, last: int, least: int) -> Iterator[Run]:
    """Runs of at least so many steps between two steps, the longest first. They may overlap."""
    found = []
    for lag in lags(table.tokens[first:last]):
        start, end = _longest(fitting(table, first, last, lag))
        if end > start:
            start, end = first + start, first + end + 2 * lag
            found.append((end - start, -lag, start))
    found.sort(reverse=True)
    if not found:
        return
    size, lag, _ = found[0]
    for divisor in (d for d in range(1, -lag // 2 + 1) if lag % d == 0):
        start, end = _longest(fitting(table, first, last, divisor))
        if end - start + 2 * divisor >= 0.97 * size:
            found.insert(0, (end - start + 2 * divisor, -divisor, first + start))
            break
    for size, lag, start in found:
        run = _cut(table, start, start + size, -lag)
        if run.count >= ITERATIONS and run.end - run.start >= least:
            yield run


def lags(tokens: Array) -> list[int]:
    """The lags at which most tokens match, by autocorrelation of a random phase for each row of
    tokens."""
    n = len(tokens) - GRAM + 1
    most = len(tokens) // ITERATIONS
    if n < 2 * ITERATIONS or not most:
        return []
    words = np.random.default_rng(0).integers(1 << 62, size=int(tokens.max()) + 1, dtype=np.uint64)
    grams = np.zeros(n, np.uint64)
    for i in range(GRAM):
        grams = grams * np.uint64(0x9E3779B97F4A7C15) + words[tokens[i : i + n]]
    grams ^= grams >> np.uint64(29)
    phases = np.exp(2j * np.pi / (1 << 20) * (grams & np.uint64((1 << 20) - 1)).astype(float))
    size = 1 << (n + most - 1).bit_length()
    spectrum = np.fft.fft(phases, size)
    matches = np.fft.ifft(spectrum * np.conj(spectrum)).real[1 : most + 1]
    best = np.argsort(-matches, kind="stable")[:LAGS]
    return [int(lag) + 1 for lag in best if matches[lag] > max(GRAM, 0.1 * matches[best[0]])]


def steadily(now: Array, before: Array, earlier: Array) -> Array:
    """Whether operands move on by the same number of steps each time."""
    steady: Array = now - before == before - earlier
    return steady


def fitting(
    table: Tokens, first: int, last: int, lag: int, is_steady: Callable[..., Array] = steadily
) -> Array:
    """Which steps the lag fits, from first + 2 · lag on: the steps one and two lags before have its token,
    and operands are from outside, or such that `is_steady` of them and of those before."""
    begin = first + 2 * lag
    if begin >= last:
        return np.zeros(0, bool)
    tokens, starts = table.tokens, table.starts
    fits = (tokens[begin:last] == tokens[begin - lag : last - lag]) & (
        tokens[begin:last] == tokens[first : last - 2 * lag]
    )
    a, b = starts[begin], starts[last]
    owners = table.owners[a:b]
    at = np.flatnonzero(fits[owners - begin])
    owners, at = owners[at], at + a
    now = table.operands[at]
    before = table.operands[at - starts[owners] + starts[owners - lag]]
    earlier = table.operands[at - starts[owners] + starts[owners - 2 * lag]]
    outside = (now < 0) & (before < 0) & (earlier < 0)
    inside = (now >= 0) & (before >= 0) & (earlier >= 0)
    wrong = ~(outside | (inside & is_steady(now, before, earlier)))
    fits[owners[wrong] - begin] = False
    return fits


def _longest(fits: Array) -> tuple[int, int]:
    """The longest run of steps that fit."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], fits, [False]])))
    if not len(edges):
        return 0, 0
    longest = int(np.argmax(edges[1::2] - edges[::2]))
    return int(edges[2 * longest]), int(edges[2 * longest + 1])


def _weight(step: Step) -> int:
    """What it costs to carry a value; no loop carries an array without dimensions."""
    if step.is_array:
        return 1 if step.shape else NUMPYS * NUMPYS
    return NUMPYS if issubclass(step.kind, np.generic) else 1


def _cut(table: Tokens, start: int, end: int, period: int) -> Run:
    """A run cut into iterations, where the fewest values are alive from one to the next, of two such
    places where they are read after the run as well, so that the loop has them by name anyway."""
    count, rest = divmod(end - start, period)
    if not rest or count < 3:
        return Run(start, period, count)
    middle = start + count // 2 * period
    a, b = table.starts[middle - period], table.starts[min(middle + 2 * period, end)]
    made, users = table.operands[a:b], table.owners[a:b]
    first = middle - 2 * period
    local = made >= first
    made, users = made[local] - first, users[local]
    last = np.zeros(4 * period, np.int64)
    np.maximum.at(last, made, users)
    made = np.flatnonzero(last)
    weight = np.array([_weight(table.steps[first + i]) for i in made.tolist()])
    later = table.operands[table.starts[end] :]
    later = later[(later >= start) & (later < end)]
    is_read = np.zeros(period, bool)
    is_read[(later - start) % period] = True
    weight = 2 * period * weight + ~is_read[(first + made - start) % period]
    change = np.zeros(4 * period + 2, np.int64)
    np.add.at(change, made + 1, weight)
    np.add.at(change, last[made] - first + 1, -weight)
    alive = np.cumsum(change)[2 * period : 2 * period + rest + 1]
    return Run(start + int(np.argmin(alive)), period, count)
