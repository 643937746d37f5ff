"""Passes of single numbers: exact ones, after which Python computes what NumPy would, much slower."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.compiler.passes.rewrite import Rewrite
from autobp.compiler.program import Step
from autobp.compiler.trace.calls import select
from autobp.operation import COMPARISON, SIGNS

_EXACT = 1 << 53  # whole numbers up to here are floats too

#: Python's operators that never raise for floats, by NumPy's ufuncs, which give the same bits.
_TOTAL = {sign.ufunc: sign.python for sign in SIGNS.values() if sign.total}
_COMPARISONS = {s.ufunc: s.python for s in SIGNS.values() if s.binding == COMPARISON}


def is_number_call(step: Step) -> bool:
    """Whether a step makes a float of what NumPy made of numbers, or chooses one of two."""
    return step.function in (float, select)


def python_arithmetic(step: Step, rewrite: Rewrite) -> Step | None:
    """Sums, products and choices of single numbers are Python's, with the same bits."""
    x: Any = step.args[0]
    if step.function is select:
        return _with_python_comparison(step, rewrite)
    if not isinstance(x, Step) or x.params or x.shape:
        return None
    if x.function in _TOTAL and _are_floats(x.args):
        args = [_as_float(a, step, rewrite) for a in x.args]
        return rewrite.call(step, _TOTAL[x.function], *args)
    if x.function is np.where and len(x.args) == 3 and all(map(_is_single, x.args)):
        condition, *branches = x.args
        return rewrite.call(
            step, select, condition, *(_as_float(a, step, rewrite) for a in branches)
        )
    return None


def _with_python_comparison(step: Step, rewrite: Rewrite) -> Step | None:
    condition, *branches = step.args
    if not isinstance(condition, Step) or condition.function not in _COMPARISONS:
        return None
    if not all(
        type(a) is float or (isinstance(a, Step) and a.kind is float) for a in condition.args
    ):
        return None
    made = condition.with_(function=_COMPARISONS[condition.function], kind=bool, name=None)
    rewrite.steps.append(made)
    return rewrite.call(step, select, made, *branches)


def _is_single(x: Any) -> bool:
    """Whether an operand is a single number that `float` takes."""
    if isinstance(x, Step):
        return x.shape == () and x.dtype is not None and x.dtype.kind in "bf"
    return isinstance(x, float | int)


def _are_floats(args: tuple[Any, ...]) -> bool:
    """Whether operands are floats, or whole numbers beside one."""
    steps = [a for a in args if isinstance(a, Step)]
    others = [a for a in args if not isinstance(a, Step)]
    return (
        any(s.dtype == float for s in steps)
        and all(s.dtype == float and not s.shape for s in steps)
        and all(isinstance(a, float) or (type(a) is int and abs(a) < _EXACT) for a in others)
    )


def _as_float(x: Any, like: Step, rewrite: Rewrite) -> Any:
    """An operand as a float of Python's; a whole number stays."""
    if not isinstance(x, Step):
        return x if type(x) is int else float(x)
    if x.kind is float:
        return x
    made = like.with_(function=float, args=(x,), params={}, name=None)
    rewrite.steps.append(made)
    return made
