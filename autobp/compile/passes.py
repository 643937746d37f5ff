"""Passes: small functions from programs to programs that compute the same."""

from __future__ import annotations

import operator

import numpy as np

from autobp.compile.capture import as_type, draw, put
from autobp.compile.program import Program, Step, mapped

__all__ = ["own_results"]

#: Functions whose results never share memory with what they are given.
FRESH = {
    as_type, put, draw, operator.pow, np.copy, np.sum, np.mean, np.prod, np.var, np.std, np.max,
    np.min, np.cumsum, np.cumprod, np.argmax, np.argmin, np.argsort, np.sort, np.concatenate,
    np.stack, np.where, np.dot, np.tensordot, np.clip, np.linalg.inv, np.linalg.solve,
}  # fmt: skip


def is_fresh(step: Step) -> bool:
    function = step.function
    if isinstance(function, np.ufunc) or isinstance(getattr(function, "__self__", None), np.ufunc):
        return True
    return function in FRESH or (getattr(function, "__module__", "") or "").startswith(
        "autobp.rules"
    )


def own_results(program: Program) -> Program:
    """Results are the caller's: neither constants of the program, nor parts of other arrays, nor one
    array in two places. Arguments alone are returned as they are."""
    copies: list[Step] = []
    seen: set[Step] = set()

    def owned(step: Step) -> Step:
        first = step not in seen
        seen.add(step)
        if not step.is_array or step.is_argument or (first and is_fresh(step)):
            return step
        copy = step.with_(function=np.copy, args=(step,), params={}, constant=None, name=None)
        copies.append(copy)
        return copy

    returns = mapped(owned, program.returns)
    return program.with_(returns=returns, steps=[*program.steps, *copies])
