"""Joined: small products that lie side by side, so that one call scales all of them.

A step of descent multiplies each gradient by the rate, and for small arrays a call costs more than
its arithmetic. Arrays that the program makes in its own arena can lie in it as one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.compiler.passes.algebra import SMALL
from autobp.compiler.program import Program, Step, mapped, rebuilt

__all__ = ["joined", "part", "side_by_side"]


def side_by_side(*arrays: Any) -> Any:
    """What lies side by side, as one. No call: it is so by their places."""
    raise NotImplementedError


def part(whole: Any, start: int) -> Any:
    """One of what lies side by side. No call either."""
    raise NotImplementedError


def joined(program: Program, reuse: bool) -> Program:
    """Products of matrices that are multiplied by the same number, at a time when all of them are
    there, are multiplied at once. Results are among them only if they stay in the arena."""
    at = {step: i for i, step in enumerate(program.steps)}
    results = set() if reuse else set(program.results)
    groups: dict[tuple[Step, Any], dict[Step, Step]] = {}
    for step in program.steps:
        if step.function is np.multiply and step.is_array and not step.params and not step.errors:
            factor, x = step.args if _is_number(step.args[0]) else step.args[::-1]
            if _is_number(factor) and _is_product(x, step.dtype) and x not in results:
                groups.setdefault((factor, x.dtype), {})[step] = x
    instead: dict[Step, list[Step]] = {}
    placed: set[Step] = set()  # products that lie beside others already
    for (factor, _), group in groups.items():
        arrays, first = list(group.values()), next(iter(group))
        size = sum(x.size for x in arrays)
        if len({*arrays}) < max(2, len(arrays)) or size > SMALL:
            continue
        if results.intersection(group) or max(at[x] for x in arrays) > at[first]:
            continue
        if placed.intersection(arrays):
            continue
        placed.update(arrays)
        flat = first.with_(function=side_by_side, args=tuple(arrays), shape=(size,), name=None)
        scaled = first.with_(args=(factor, flat), shape=(size,), name=None)
        instead[first] = [flat, scaled]
        start = 0
        for step in group:
            step_part = step.with_(function=part, args=(scaled, start))
            instead.setdefault(step, []).append(step_part)
            start += step.nbytes
    if not instead:
        return program
    return _with_parts(program, instead)


def _is_number(x: Any) -> bool:
    return isinstance(x, Step) and x.is_constant and x.shape == ()


def _is_product(x: Any, dtype: Any) -> bool:
    if not isinstance(x, Step) or x.function is not np.matmul:
        return False
    return x.takes_out and x.dtype == dtype


def _with_parts(program: Program, instead: dict[Step, list[Step]]) -> Program:
    now: dict[Step, Step] = {}
    steps = []
    for old in program.steps:
        for before in instead.get(old, [old]):
            step = rebuilt(before, now)
            steps.append(step)
            if step is not before:
                now[before] = step
        if step is not old:
            now[old] = step
    returns = mapped(lambda s: now.get(s, s), program.returns)
    kept = {now.get(s, s) for s in program.effects}
    return program.with_(steps=steps, returns=returns, effects=kept)
