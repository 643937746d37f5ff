"""Operands: where the operands of a loop's body come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autobp.compiler.rolling.periods import Run
from autobp.compiler.rolling.tokens import Tokens

__all__ = ["Carried", "Each", "Invariant", "Local", "Source", "sources", "with_the_one_before"]

FARTHEST = 12  # iterations that a value is carried over


@dataclass(frozen=True)
class Local:
    """A step of the same iteration."""

    step: int  # its place in the body


@dataclass(frozen=True)
class Carried:
    """A step of an earlier iteration. `firsts` are what iterations have for which there is none: the
    value of iteration −1, then of −2 …, as many as the iterations that lie between."""

    step: int
    firsts: tuple[int, ...]


@dataclass(frozen=True)
class Invariant:
    """The same for all iterations."""

    number: int


@dataclass(frozen=True, eq=False)
class Each:
    """Another from outside for each iteration."""

    numbers: np.ndarray


Source = Local | Carried | Invariant | Each


def sources(table: Tokens, run: Run) -> list[Source] | None:
    """Where each operand of an iteration comes from, or None if this is no loop after all."""
    start, period, count = run.start, run.period, run.count
    a, b = table.starts[start], table.starts[run.end]
    columns = table.operands[a:b].reshape(count, -1)
    owners = table.owners[a : a + columns.shape[1]] - start
    begins = start + period * np.arange(count)
    distances = columns - begins[:, None]
    is_outside = np.all(columns < start, axis=0)
    is_same = np.all(columns == columns[-1], axis=0)
    found: list[Source] = []
    for w, owner in enumerate(owners.tolist()):
        column = columns[:, w]
        if is_outside[w]:
            found.append(Invariant(int(column[0])) if is_same[w] else Each(column))
            continue
        distance = int(distances[-1, w])
        away = -(distance // period)  # iterations
        steady = distances[away:, w] == distance
        if distance >= owner or away > min(FARTHEST, count - 1) or not steady.all():
            return None
        if np.any(column[:away] >= start):
            return None
        if away:
            firsts = tuple(column[:away][::-1].tolist())
            found.append(Carried(distance + away * period, firsts))
        else:
            found.append(Local(distance))
    return found


def with_the_one_before(table: Tokens, run: Run) -> Run:
    """The run with the iteration before it, if that has the same steps: what it is carried may come
    from anywhere."""
    start, period, count = run.start, run.period, run.count
    longer = Run(start - period, period, count + 1)
    tokens = table.tokens
    if start < period or not np.array_equal(
        tokens[start - period : start], tokens[start : start + period]
    ):
        return run
    now, before = sources(table, run), sources(table, longer)
    if now is None or before is None:
        return run
    kinds = [type(source) for source in now], [type(source) for source in before]
    return longer if kinds[0] == kinds[1] else run
