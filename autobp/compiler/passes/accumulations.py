"""Accumulations: what every iteration of a loop adds to a place of a large array is added once.

A loop that reads an array by index has a gradient that adds, in each iteration, an array of zeros with
one element that is not. Iterations that take different places stack what they add, and all of it is
put in its places after the loop; iterations that take one place sum it up before it is put there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.compiler.passes.rewrite import constant_step
from autobp.compiler.program import Program, Step
from autobp.compiler.trace.calls import numbers, placed
from autobp.rules.indexing import scatter

__all__ = ["Accumulation", "accumulations"]


@dataclass
class Accumulation:
    """A term of a sum over iterations: what is put where."""

    x: Step  # what an iteration adds
    call: Step  # that puts it in its place
    index: Any  # after the loop
    is_stacked: bool  # each iteration has a place of its own; else all have the same
    at: Any = None  # which stack of the loop, or which carried value, has the terms

    def added(self, x: Step) -> Step:
        """The call after the loop, given the stacked terms or their sum."""
        made = self.call.with_(function=scatter.function, args=(x,), name=None)
        made.params = {"index": self.index, "shape": self.call.shape}
        return made


def accumulations(
    body: Program, carried: Step, becomes: Any, sequences: Mapping[Step, Any]
) -> tuple[list[Accumulation], list[Step]] | None:
    """If a loop only adds to what it carries, those terms that are put in few places of it, and the
    other terms."""
    uses = Counter(s for step in body.steps for s in step.operands)
    uses.update(body.results)
    terms = _terms(becomes, carried, uses)
    found, others = [], []
    for term in terms or []:
        index = _index(term, uses, sequences)
        if index is None:
            others.append(term)
        else:
            found.append(Accumulation(term.args[0], term, *index))
    return (found, others) if found else None


def _terms(step: Any, carried: Step, uses: Counter[Step]) -> list[Step] | None:
    """The terms that are added to what is carried, if nothing else is done with it."""
    if step is carried:
        return [] if uses[carried] == 1 else None
    is_sum = isinstance(step, Step) and step.function is np.add and not step.params
    if not is_sum or uses[step] != 1 or step.errors:
        return None
    for x, term in (step.args, step.args[::-1]):
        terms = _terms(x, carried, uses) if isinstance(x, Step) else None
        if terms is not None and isinstance(term, Step) and term.shape == step.shape:
            return [*terms, term]
    return None


def _index(term: Step, uses: Counter[Step], sequences: Mapping[Step, Any]) -> Any:
    """Where all iterations put a term: the index after the loop, and whether it is of all of them."""
    if term.function is placed:
        x, index, _ = term.args
    elif term.function is scatter.function:
        x, index = *term.args, term.params["index"]
    else:
        return None
    parts = index if isinstance(index, tuple) else (index,)
    columns = [_column(p, sequences) for p in parts]
    if (
        not isinstance(x, Step)
        or not _can_be_carried(x)
        or any(column is None for column in columns)
    ):
        return None
    several = [i for i, column in enumerate(columns) if isinstance(column, np.ndarray)]
    if not several:
        return index, False
    before = columns[: several[0]]
    if any(type(c) is not int for c in before) or (
        len(several) > 1 and slice in map(type, columns)
    ):
        return None
    made = [_as_slice(c) if len(several) == 1 and isinstance(c, np.ndarray) else c for c in columns]
    made = [constant_step(c) if isinstance(c, np.ndarray) else c for c in made]
    return (tuple(made) if isinstance(index, tuple) else made[0]), True


def _column(part: Any, sequences: Mapping[Step, Any]) -> Any:
    """A part of an index in all iterations."""
    if type(part) is int:
        return part
    if type(part) is slice:
        plain = all(type(e) in (int, type(None)) for e in (part.start, part.stop, part.step))
        return part if plain else None
    sequence = sequences.get(part) if isinstance(part, Step) else None
    if type(sequence) is range:
        return np.array(sequence)
    if isinstance(sequence, Step) and sequence.function is numbers:
        table = sequence.args[0]
        return table.constant if table.is_constant and table.dtype == int else None
    return None


def _can_be_carried(x: Step) -> bool:
    return bool(x.shape) if x.is_array else x.kind is float or issubclass(x.kind, np.floating)


def _as_slice(column: np.ndarray) -> Any:
    """An index in strides as a slice."""
    strides = {*np.diff(column).tolist()} or {1}
    first, stride = int(column[0]), strides.pop()
    if strides or not stride or np.any(column < 0):
        return column
    stop = first + stride * len(column)
    return slice(first, None if stop < 0 else stop, None if stride == 1 else stride)
