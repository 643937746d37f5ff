"""Parts: what is put back into places of one array, each into zeros of its own, and then added up.

That is what the gradient of an array becomes that was taken apart, by `np.split` or by slices: if the
parts are all there is, they are joined, and neither the zeros nor the sums are made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.compiler.passes.rewrite import Rewrite, is_array
from autobp.compiler.program import Step
from autobp.compiler.trace.calls import placed

__all__ = ["is_addition", "joining"]

MOST = 64  # parts, so that a long sum is not gone through again for each of its terms


def is_addition(step: Step) -> bool:
    return step.function is np.add and step.is_array and not step.params


def joining(step: Step, rewrite: Rewrite) -> Step | None:
    """Parts that make up an array are joined, not added up. (Of −0.0 a sum with 0 makes 0.0.)"""
    terms = _terms(step, rewrite)
    if not terms or sum(term.args[0].size for term in terms) != step.size:
        return None
    for axis, length in enumerate(step.shape):
        places = {p: t.args[0] for t in terms if (p := _place(t, axis)) is not None}
        if len(places) < len(terms):
            continue
        starts = sorted(places)
        parts = [places[start] for start in starts]
        if [stop for _, stop in starts] == [*(start for start, _ in starts[1:]), length]:
            return rewrite.call(step, np.concatenate, parts, axis=axis)
        if starts == [(i, None) for i in range(length)]:
            return rewrite.call(step, np.stack, parts, axis=axis)
    return None


def _terms(total: Step, rewrite: Rewrite) -> list[Step]:
    """The terms of a sum, if all of them are parts that were put back, and used for nothing else."""
    terms: list[Step] = []
    stack: list[Any] = [total]
    while stack:
        x = stack.pop()
        if not is_array(x) or (x.shape, x.dtype) != (total.shape, total.dtype):
            return []
        if x is not total and not rewrite.single(x):
            return []
        if x.function is placed:
            if not is_array(x.args[0]) or not x.args[0].size or len(terms) == MOST:
                return []
            terms.append(x)
        elif is_addition(x) and not x.errors:
            stack += reversed(x.args)
        else:
            return []
    return terms


def _place(term: Step, axis: int) -> tuple[int, int | None] | None:
    """Which part of an axis a term takes up, if it takes up the others whole: from where to where, or the
    number of a row."""
    x, index, shape = term.args
    parts = index if isinstance(index, tuple) else (index,)
    parts = (*parts, *[slice(None)] * (len(shape) - len(parts)))
    if len(parts) != len(shape) or any(type(p) not in (int, slice) for p in parts):
        return None
    part = parts[axis]
    whole = (_range(p, n) == (0, n) for i, (p, n) in enumerate(zip(parts, shape)) if i != axis)
    if not all(whole):
        return None
    rest = (*shape[:axis], *shape[axis + 1 :])
    if type(part) is int:
        return (part % shape[axis], None) if x.shape == rest else None
    found = _range(part, shape[axis])
    if found is None or x.shape != (*shape[:axis], found[1] - found[0], *shape[axis + 1 :]):
        return None
    return found


def _range(part: Any, length: int) -> tuple[int, int] | None:
    """Where a slice begins and ends, if it leaves nothing out between."""
    if type(part) is not slice:
        return None
    if any(type(e) not in (int, type(None)) for e in (part.start, part.stop, part.step)):
        return None
    start, stop, stride = part.indices(length)
    return (start, stop) if stride == 1 and start < stop else None
