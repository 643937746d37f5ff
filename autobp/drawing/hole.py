"""Hole: a place in a text for a number that a page computes.

The texts of a live page are written once, from a program whose values are tracers. Where a text would
have a number it has a hole, which names a value and says how to write it; the page's script fills holes
(`player/script/live.js`), with the rules by which `literal` and `formula` write numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from autobp.primitive import Variable

__all__ = ["Holes", "begins_with_hole", "choice", "filling", "fenced", "hole", "is_open"]

# Private characters, which no name in a text has: names are written visibly.
_OPEN, _SHUT = "\ue000", "\ue001"
_FENCE, _FENCED = "\ue002", "\ue003"
_IF, _THEN, _ELSE, _FI = "\ue004", "\ue005", "\ue006", "\ue007"


class Holes:
    """The values that texts have holes for, each once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._place: dict[Any, int] = {}

    def __call__(self, value: Any) -> int:
        """The number of a value, which may be one that stays as it is."""
        key = value.current().step if is_open(value) else id(value)
        if key not in self._place:
            self._place[key] = len(self.values)
            self.values.append(value)
        return self._place[key]


_holes: ContextVar[Holes] = ContextVar("holes")


@contextmanager
def filling() -> Iterator[Holes]:
    """Collect the values of all holes that are made."""
    token = _holes.set(Holes())
    try:
        yield _holes.get()
    finally:
        _holes.reset(token)


def is_open(value: Any) -> bool:
    """Whether a value is one that a page computes."""
    return isinstance(value, Variable)


def hole(value: Any, form: str) -> str:
    """A hole. The form is one of
    n  a number: four digits
    f  a few numbers, in brackets
    b  a few numbers, or the shape and the range of many
    l  the lines of a label, or the range of many
    r  the lowest and the highest
    """
    return f"{_OPEN}{form}{_holes.get()(value)}{_SHUT}"


def begins_with_hole(text: str) -> bool:
    return text[:1] in (_OPEN, _FENCE)


def fenced(text: str) -> str:
    """A text in parentheses, if what fills it begins with a sign."""
    return f"{_FENCE}{text}{_FENCED}"


def choice(condition: Any, text: str, other: str) -> str:
    """One of two texts, by a value."""
    return f"{_IF}{_holes.get()(condition)}{_THEN}{text}{_ELSE}{other}{_FI}"
