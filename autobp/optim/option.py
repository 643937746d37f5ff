"""Options of optimizers, and the checks for them and for other arguments.

A check takes a name for messages and a value. It returns the value in canonical form, or raises.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable
from typing import Any

__all__ = [
    "Check",
    "Option",
    "at_least_zero",
    "count",
    "flag",
    "fraction",
    "not_negative",
    "number",
    "option",
    "pair_of_fractions",
]

Check = Callable[[str, Any], Any]


class Option:
    """What a class of optimizers states of one option. Instances keep the values in their groups."""

    check: Check
    default: Any
    kw_only: bool

    def __init__(self, check: Check, default: Any, kw_only: bool) -> None:
        self.check, self.default, self.kw_only = check, default, kw_only

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Any, owner: type) -> Option:
        if optimizer is None:
            return self
        raise self._elsewhere(owner)

    def __set__(self, optimizer: Any, value: Any) -> None:
        raise self._elsewhere(type(optimizer))

    def _elsewhere(self, owner: type) -> AttributeError:
        return AttributeError(
            f"{owner.__name__} has {self.name!r} in each group of parameters: write"
            f" optimizer.param_groups[0][{self.name!r}]"
        )


def option(check: Check, *, default: Any, kw_only: bool = False) -> Any:
    """An option of an optimizer, in the body of its class: see `Optimizer`."""
    return Option(check, default, kw_only)


def number(name: str, value: Any, needed: str = "a number") -> float:
    """A Python float, which leaves float32 arrays in float32. It may be infinite, but not NaN."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be {needed}, not {value!r:.50}")
    if math.isnan(value):
        raise ValueError(f"{name} must be {needed}, not nan")
    return float(value)


def not_negative(name: str, value: Any) -> float:
    """A number that may be infinite."""
    x = number(name, value)
    if x < 0:
        raise ValueError(f"{name} must be 0 or above, not {value}")
    return x


def at_least_zero(name: str, value: Any) -> float:
    return _below(name, value, math.inf, "a finite number, 0 or above")


def fraction(name: str, value: Any) -> float:
    return _below(name, value, 1.0, "a number from 0 to below 1")


def _below(name: str, value: Any, bound: float, needed: str) -> float:
    x = number(name, value, needed)
    if not 0 <= x < bound:
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
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, not {value!r:.50}")
    n = operator.index(value)
    if n < least:
        raise ValueError(f"{name} must be at least {least}, not {n}")
    return n
