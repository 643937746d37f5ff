"""Terms: the settings of compile, and its errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from autobp.primitive import Variable
from autobp.tensor import Tensor

__all__ = [
    "SIGNATURE_ERRORS",
    "CaptureError",
    "Changed",
    "DifferenceError",
    "StateNotReady",
    "Settings",
    "UnforeseenError",
    "differentiated",
]

#: What a check of arguments of another form may raise.
SIGNATURE_ERRORS = (TypeError, KeyError, IndexError, ValueError, AttributeError)


class CaptureError(TypeError):
    """Something that a program of NumPy calls cannot do again."""


class UnforeseenError(CaptureError):
    """An exception while a function was traced, which may be the function's own or ours."""


class DifferenceError(CaptureError):
    """A program and its function gave different results."""


class Changed(ValueError):
    """The program was made for other values, shapes or dtypes than those it met."""


class StateNotReady(Exception):
    """What an optimizer remembers, or what else later calls find, was only made in this call: the
    next one can be traced."""

    def __init__(self, grown: str) -> None:
        self.grown = grown  # the line that made a new attribute, or a new entry of a dict


@dataclass(frozen=True)
class Settings:
    donate: tuple[int, ...] = ()
    reuse: bool = False
    most: float = math.inf  # steps of a program
    check: float = 2  # replays with new values that are compared with the function
    keep_program: bool = False  # of what is compared, the program's results and changes count


def differentiated(x: Any) -> bool:
    """Whether an argument is part of a derivative that is being taken."""
    if isinstance(x, Variable) and not isinstance(x, Tensor):
        return True
    return isinstance(x, Tensor) and not (
        x.is_leaf and x.level <= 0 and not isinstance(x.value, Tensor)
    )
