"""Numbers: NumPy's functions of single floats as Python writes them, with the same bits.

A ufunc of a float takes a microsecond, Python's operator twenty nanoseconds. Where Python raises and
NumPy has an inf or a nan, or warns, NumPy is called as before. Powers have Python's bits, as they have
without a program: NumPy's differ in the last digit, now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from autobp.compiler.program import Step
from autobp.operation import of

__all__ = ["is_float_call", "is_quotient", "is_whole_power", "python_text"]

_EXACT = 1 << 53  # whole numbers up to here are floats too

# fmt: off
#: Python's text of the arguments, and the condition under which it holds for all numbers.
_ARITHMETIC: dict[Any, tuple[str, str]] = {
    np.divide:     ("{0} / {1}",   "{1}"),
    np.reciprocal: ("1.0 / {0}",   "abs({0}) > 1e-300"),
    np.square:     ("{0} * {0}",   "-1e150 < {0} < 1e150"),
    np.absolute:   ("abs({0})",    ""),
    np.fabs:       ("abs({0})",    ""),
    np.sqrt:       ("math.sqrt({0})", "{0} >= 0.0"),
}
#: Where the function of Python's that the row of a ufunc names neither raises nor overflows.
_DOMAINS: dict[Any, str] = {
    np.sin:  "-1e300 < {0} < 1e300",
    np.cos:  "-1e300 < {0} < 1e300",
    np.exp:  "-700.0 < {0} < 700.0",
    np.log:  "{0} > 0.0",
    np.tanh: "",
}
# fmt: on


def is_float_call(step: Any) -> bool:
    """Whether a step calls a ufunc with floats of Python's, and whole numbers beside them."""
    if not isinstance(step, Step) or not isinstance(step.function, np.ufunc) or step.params:
        return False
    steps = [a for a in step.args if isinstance(a, Step)]
    others = [a for a in step.args if not isinstance(a, Step)]
    if step.function is np.power and steps and steps[-1] is step.args[1] and steps[-1].kind is int:
        steps.pop()  # a whole number of the loop that it is in
    return (
        step.dtype == float
        and not step.shape
        and all(s.kind is float for s in steps)
        and all(type(a) is float or (type(a) is int and abs(a) < _EXACT) for a in others)
    )


def is_quotient(step: Step) -> bool:
    """Whether a step makes a float of a quotient of floats, for which Python may raise. In a loop that is
    caught, which costs nothing where it does not happen; to ask for a 0 each time does."""
    x: Any = step.args[0] if step.function is float else None
    return is_float_call(x) and x.function is np.divide and isinstance(x.args[1], Step)


def is_whole_power(step: Step) -> bool:
    """Whether a step makes a float of a power of one whose exponent is a whole number of the loop."""
    x: Any = step.args[0] if step.function is float else None
    if not is_float_call(x) or x.function is not np.power:
        return False
    base, exponent = x.args
    return isinstance(exponent, Step) and exponent.kind is int and isinstance(base, Step)


def python_text(step: Step, args: Sequence[str]) -> str | None:
    """The float that a ufunc makes of floats, as Python writes it."""
    ufunc: Any = step.function
    literal = not isinstance(step.args[-1], Step)
    call = f"float(np.{ufunc.__name__}({', '.join(args)}))"
    if ufunc in (np.maximum, np.minimum):  # of a tie and of a nan NumPy has its own idea
        x, y = args
        sign = ">" if ufunc is np.maximum else "<"
        return f"{x} if {x} {sign} {y} else {y} if {y} {sign} {x} else {call}"
    if ufunc is np.sign:
        (x,) = args
        return f"1.0 if {x} > 0.0 else -1.0 if {x} < 0.0 else {call}"
    if ufunc is np.power and literal and step.args[1] == 2 and _has_same_bits(_powers, _squares):
        ufunc = np.square
    text, condition = _ARITHMETIC.get(ufunc, ("", ""))
    if ufunc is np.power and literal and 0 < abs(step.args[1]) < 1000:
        text, condition = "{0} ** {1}", _where_finite(step.args[1])
    if ufunc is np.divide and literal and step.args[1]:
        condition = ""
    if not text and ufunc in _DOMAINS:
        python = of(ufunc).python
        if python is None or not _has_same_bits(ufunc, python):
            return None
        text, condition = f"math.{python.__name__}({{0}})", _DOMAINS[ufunc]
    if not text:
        return None
    text = text.format(*args)
    return f"{text} if {condition.format(*args)} else {call}" if condition else text


def _where_finite(n: float) -> str:
    """Where Python's power, which the function itself computes with, neither raises nor is complex."""
    end = 10.0 ** min(300, 300 / abs(n))
    if n < 0:
        return f"{{0}} > {1 / end:.3g}" if n % 1 else f"abs({{0}}) > {1 / end:.3g}"
    return f"0.0 <= {{0}} < {end:.3g}" if n % 1 else f"-{end:.3g} < {{0}} < {end:.3g}"


def _powers(x: Any) -> Any:
    return np.power(x, 2)


def _squares(x: float) -> float:
    return x * x


@cache
def _has_same_bits(ufunc: Callable[[Any], Any], python: Callable[[float], float]) -> bool:
    """Whether NumPy, as it is built for this machine, rounds as Python does. That is tried out: where
    the two compute differently, one number in a thousand at least differs."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(10_000) * np.repeat([1.0, 1e-3, 30.0, 1e3, 1e100], 2000)
    if ufunc in (np.exp, np.log):
        x = np.clip(
            np.abs(x) if ufunc is np.log else x, -600.0, 1e150 if ufunc is np.log else 600.0
        )
    by_python = np.array([*map(python, x.tolist())])
    few = [float(ufunc(a)) for a in x[::500].tolist()]
    return bool(np.array_equal(ufunc(x), by_python) and np.array_equal(few, by_python[::500]))
