"""What an option of an optimizer may be: checks that return it in its plain form."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable
from typing import Any

__all__ = ["Check", "at_least_zero", "count", "flag", "fraction", "number", "pair_of_fractions"]

#: Takes the option's name and its value.
Check = Callable[[str, Any], Any]


def number(name: str, value: Any, needed: str = "a number") -> float:
    """A Python float, with which float32 arrays stay float32; it may be infinite, but not NaN."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be {needed}, not {value!r:.50}")
    if math.isnan(value):
        raise ValueError(f"{name} must be {needed}, not nan")
    return float(value)


def at_least_zero(name: str, value: Any) -> float:
    needed = "a finite number, 0 or above"
    x = number(name, value, needed)
    if not 0 <= x < math.inf:
        raise ValueError(f"{name} must be {needed}, not {value}")
    return x


def fraction(name: str, value: Any) -> float:
    needed = "a number from 0 to below 1"
    x = number(name, value, needed)
    if not 0 <= x < 1:
        raise ValueError(f"{name} must be {needed}, not {value}")
    return x


def pair_of_fractions(name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name} must be a pair of numbers, not {value!r:.50}")
    return fraction(f"{name}[0]", value[0]), fraction(f"{name}[1]", value[1])


def flag(name: str, value: Any) -> bool:
    if value is not True and value is not False:
        raise TypeError(f"{name} must be True or False, not {value!r:.50}")
    return bool(value)


def count(name: str, value: Any, least: int = 0) -> int:
    try:
        n = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {value!r:.50}") from None
    if n < least:
        raise ValueError(f"{name} must be at least {least}, not {n}")
    return n
