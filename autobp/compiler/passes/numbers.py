"""Passes of single numbers: exact ones, after which Python computes what NumPy would, much slower."""

from __future__ import annotations

import operator
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
    if not _are_floats(condition.args) or any(a.kind is not float for a in condition.operands):
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
    return rewrite.shared(like.with_(function=float, args=(x,), params={}, name=None))


# ── signs ─────────────────────────────────────────────────────────────────────────────────────────

_NEGATIVE = operator.neg
_OPPOSITE = {operator.add: operator.sub, operator.sub: operator.add}


def is_float_arithmetic(step: Step) -> bool:
    """Whether a step is Python's arithmetic with floats, or a quotient by NumPy that is made one."""
    return step.kind is float and (step.function in _SIGNED or step.function is float)


_SIGNED = (operator.add, operator.sub, operator.mul, operator.neg)


def sign_simplification(step: Step, rewrite: Rewrite) -> Step | None:
    """x + −y is x − y, −a · b is −(a · b), and x · 1 is x: signs move towards sums, where they cost
    nothing. Rounding knows no sign, so the bits are the same."""
    f, args = step.function, step.args
    if f is operator.mul:
        for x, one in (args, args[::-1]):
            if type(one) is float and one == 1.0 and isinstance(x, Step) and x.kind is float:
                return x
    if f is _NEGATIVE:
        return _without_sign(args[0], rewrite)
    if f in _OPPOSITE:
        x, y = args
        positive = _without_sign(y, rewrite)
        if positive is not None:
            return rewrite.call(step, _OPPOSITE[f], x, positive)
        positive = _without_sign(x, rewrite) if f is operator.add else None
        return None if positive is None else rewrite.call(step, operator.sub, y, positive)
    factors = _factors(step)
    if factors and any(map(_is_negative, factors[1])):
        return rewrite.call(step, _NEGATIVE, _product(step, factors, rewrite))
    return None


def _is_negative(x: Any) -> bool:
    return isinstance(x, Step) and x.function is _NEGATIVE and x.kind is float


def _factors(step: Any) -> tuple[Any, list[Any]] | None:
    """The two operands of a product or of a quotient of floats."""
    if not isinstance(step, Step) or step.kind is not float:
        return None
    if step.function is operator.mul:
        return step, list(step.args)
    x: Any = step.args[0] if step.function is float else None
    if isinstance(x, Step) and x.function is np.divide and not x.params:
        return x, list(x.args)
    return None


def _product(step: Step, factors: tuple[Any, list[Any]], rewrite: Rewrite) -> Step:
    """The product without the sign of the first factor that has one."""
    made, operands = factors
    i = next(i for i, x in enumerate(operands) if _is_negative(x))
    operands[i] = operands[i].args[0]
    if made is step:
        return rewrite.call(step.with_(name=None), step.function, *operands)
    quotient = made.with_(args=tuple(operands), name=None)
    rewrite.steps.append(quotient)
    return rewrite.call(step.with_(name=None), float, quotient)


def _without_sign(x: Any, rewrite: Rewrite) -> Any:
    """What an operand is the negative of, if that costs no more than the operand itself."""
    if _is_negative(x):
        return x.args[0]
    factors = _factors(x)
    if factors and rewrite.single(x) and any(map(_is_negative, factors[1])):
        return _product(x, factors, rewrite)
    return None
