"""Contestants that must agree first and then take turns at the stopwatch."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

__all__ = [
    "COMPILED",
    "OURS",
    "Effort",
    "Row",
    "both_rows",
    "compete",
    "legend",
    "race",
    "ready",
    "rows_against",
]

OURS = "autobp"
COMPILED = "autobp, compiled"
T = TypeVar("T")

Step = Callable[[], Any]  # does the measured work once and returns the gradients it found

#: What each contestant that took part does, for the notes under the table.
legend: dict[str, str] = {}


@dataclass(frozen=True)
class Effort:
    rounds: int
    turn: float  # seconds that a contestant has the stopwatch for, in each round


@dataclass
class Row:
    number: str
    what: str
    peer: str
    ours: float  # seconds
    theirs: float
    target: str = ""  # none: for information
    met: bool | None = None


def ready(number: str, builders: Mapping[str, Callable[..., T]], *problem: Any) -> dict[str, T]:
    """Set up the contestants whose packages are installed, and say which are missing.

    The docstring of a contestant's builder says what it does, for the notes under the table.
    """
    built = {}
    for name, build in builders.items():
        try:
            built[name] = build(*problem)
        except ModuleNotFoundError as missing:
            print(f"skipped: {name} in row {number}: no {missing.name};", end=" ")
            print("pip install -e '.[bench]' installs the peers")
        else:
            legend[f"{number} {name}"] = " ".join((build.__doc__ or "").split())
    return built


def compete(
    steps: Mapping[str, Step],
    effort: Effort,
    rtol: float,
    collector: bool = True,
    unchecked: Collection[str] = (),
) -> dict[str, float]:
    """Check that all find autobp's gradients, but those that find none, then race. One alone does
    not."""
    # 1.0, since where nothing was multiplied micrograd's gradients are still ints.
    found = {
        name: [1.0 * np.asarray(g) for g in step()]
        for name, step in steps.items()
        if name not in unchecked
    }
    for name, theirs in found.items():
        for i, (a, b) in enumerate(zip(found[OURS], theirs, strict=True)):
            scale = float(np.max(np.abs(a)))
            message = f"{name} and {OURS} disagree on gradient {i}"
            np.testing.assert_allclose(b, a, rtol, rtol * scale, err_msg=message, strict=True)
    return race(steps, effort, collector) if len(steps) > 1 else {}


def race(
    steps: Mapping[str, Step],
    effort: Effort,
    collector: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """The median seconds that each step takes, over rounds in which all take their turn.

    A turn is several steps in a row, all timed, so that who makes garbage pays for its collection.
    """
    repeats = {}
    for name, step in steps.items():
        step()
        once = _turn(step, 1, collector, clock)
        repeats[name] = max(2, math.ceil(effort.turn / once))
    times: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for i in range(effort.rounds):
        first = i % len(names)  # so that nobody always follows the same other
        for name in names[first:] + names[:first]:
            times[name].append(_turn(steps[name], repeats[name], collector, clock))
    return {name: statistics.median(ts) for name, ts in times.items()}


def _turn(step: Step, repeats: int, collector: bool, clock: Callable[[], float]) -> float:
    gc.collect()  # nobody pays for what another left behind
    time.sleep(0.02)  # nor competes with the other's idle worker threads, which spin for a while
    step()
    if not collector:
        gc.disable()
    try:
        start = clock()
        for _ in range(repeats):
            step()
        return (clock() - start) / repeats
    finally:
        gc.enable()


def both_rows(
    number: str,
    what: str,
    times: Mapping[str, float],
    at_most: Mapping[str, float],
    compiled_at_most: Mapping[str, float],
) -> list[Row]:
    """Rows for autobp as it is, and rows for what it compiled."""
    peers = {name: t for name, t in times.items() if name not in (OURS, COMPILED)}
    rows = []
    for ours, title, targets in (
        (OURS, what, at_most),
        (COMPILED, f"compiled: {what}", compiled_at_most),
    ):
        if ours in times:
            rows += rows_against(number, title, {OURS: times[ours], **peers}, targets)
    return rows


def rows_against(
    number: str, what: str, times: Mapping[str, float], at_most: Mapping[str, float] = {}
) -> list[Row]:
    """A row for each peer; `at_most` are the targets, as ratios autobp / peer."""
    rows = []
    for peer, theirs in times.items():
        if peer == OURS:
            continue
        row = Row(number, what, peer, times[OURS], theirs)
        if peer in at_most:
            row.target, row.met = f"≤ {at_most[peer]:g}", row.ours <= at_most[peer] * theirs
        rows.append(row)
    return rows
