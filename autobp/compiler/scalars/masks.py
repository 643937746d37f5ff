"""Masks: comparisons of numbers that are recorded, since a program must make them again.

In a recording of a function that is to serve other numbers too, `x > 0` is a number as well, 1 or 0.
It can be multiplied by, combined by &, | and ~, and be the condition of `np.where`. Whoever asks
whether it is true is refused, as is whoever asks for any value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.operation import COMPARISON, PLUS, SIGNS
from autobp.primitive import Primitive, elementwise
from autobp.tensor import Tensor

__all__ = ["LOGICAL", "Listener", "Mask", "ValueRead"]


class ValueRead(Exception):
    """A value was asked for that is another in another call."""


def _truth(ufunc: np.ufunc) -> Primitive:
    return elementwise(lambda *args: ufunc(*args) * 1.0, None, None, name=ufunc.__name__, cost=PLUS)


_COMPARISONS = {
    sign.python: _truth(sign.ufunc) for sign in SIGNS.values() if sign.binding == COMPARISON
}
_AND, _OR, _NOT = map(_truth, (np.logical_and, np.logical_or, np.logical_not))

#: What may be done with masks alone; of truth values, sums and the like mean something else.
LOGICAL = {*_COMPARISONS.values(), _AND, _OR, _NOT}


class Mask(Tensor):
    """The result of a comparison, as a number that is recorded."""

    __slots__ = ("listener",)

    listener: Listener

    __rand__: Callable[..., Any]
    __ror__: Callable[..., Any]

    def primal_value(self) -> Any:
        """Itself: a condition is constant to every derivative, but not to the recording."""
        return self

    def __bool__(self) -> bool:
        raise self.listener.refused()

    def __and__(self, other: Any) -> Any:
        return self.listener.mask(_AND, self, other)

    def __or__(self, other: Any) -> Any:
        return self.listener.mask(_OR, self, other)

    def __invert__(self) -> Any:
        return self.listener.mask(_NOT, self)

    __rand__, __ror__ = __and__, __or__


class Listener:
    """Who is told, while a function is recorded at one level, of comparisons and of values that are
    asked for."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.was_read: bool = False

    def refused(self) -> ValueRead:
        self.was_read = True  # to be remembered, should somebody catch the exception
        return ValueRead()

    def read(self, t: Any) -> None:
        while isinstance(t, Tensor):  # of a derivative within, it has ours as its value
            if t.level == self.level:
                raise self.refused()
            t = t.value

    def compared(self, compare: Callable[..., Any], *args: Any) -> Mask | None:
        """The comparison as a mask, if it is of what is recorded."""
        inner = [self.ours(a) for a in args]
        if not any(isinstance(a, Tensor) and a.level == self.level for a in inner):
            return None
        return self.mask(_COMPARISONS[compare], *inner)

    def mask(self, primitive: Primitive, *args: Any) -> Mask:
        t = primitive(*args)
        mask: Mask = object.__new__(Mask)
        for name in Tensor.__slots__:
            if name != "_grad":  # which results have not
                setattr(mask, name, getattr(t, name))
        mask.listener = self
        return mask

    def ours(self, a: Any) -> Any:
        while isinstance(a, Tensor) and a.level > self.level:
            a = a.value
        return a
