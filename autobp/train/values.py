"""Values: objects of Python's library that never change, as a checkpoint holds them.

Of each kind there is a text, or a few numbers, of which an equal object is made. No other code runs
when a file is read.
"""

from __future__ import annotations

import datetime
import pathlib
import sys
import types
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from autobp.compiler.trace.free_variables import attributes

__all__ = ["are_plain", "can_be_new", "new", "subclass", "value_form", "value_of"]

#: Whole numbers of more bits are written in base 16, in which Python has no limit.
_LONG = 4096

_BASES = {"int": int, "float": float, "str": str}


class _Kind(NamedTuple):
    write: Callable[[Any], Any]
    make: Callable[[type, Any], Any]


def _called(kind: type, text: str) -> Any:
    return kind(text)


def _of_iso(kind: Any, text: str) -> Any:
    return kind.fromisoformat(text)


def _iso(x: Any) -> str | None:
    """Zones that are no fixed offsets have names, which the text has not."""
    zone = getattr(x, "tzinfo", None)
    fixed = zone is None or type(zone) is datetime.timezone
    return x.isoformat() if fixed and not getattr(x, "fold", 0) else None


# fmt: off
_KINDS = {
    "decimal.Decimal":    _Kind(str,  _called),
    "fractions.Fraction": _Kind(str,  _called),
    "uuid.UUID":          _Kind(str,  _called),
    "datetime.date":      _Kind(_iso, _of_iso),
    "datetime.time":      _Kind(_iso, _of_iso),
    "datetime.datetime":  _Kind(_iso, _of_iso),
    "datetime.timedelta": _Kind(lambda x: [x.days, x.seconds, x.microseconds], lambda kind, parts: kind(*parts)),
}
# fmt: on
_PATHS = {
    kind.__name__: kind
    for kind in (pathlib.PurePosixPath, pathlib.PureWindowsPath, type(pathlib.Path()))
}


_PLAIN = {bool, int, float, str, type(None)}


def are_plain(values: Collection[Any]) -> bool:
    """Whether all values are their own forms: numbers, texts, None.

    >>> from autobp.train.values import are_plain
    >>> are_plain([1, 0.5, "a"]), are_plain([1j]), are_plain([10**2000])
    (True, False, False)
    """
    kinds = {*map(type, values)}
    if not kinds <= _PLAIN:
        return False
    return int not in kinds or not any(type(x) is int and x.bit_length() > _LONG for x in values)


def value_form(x: Any) -> list[Any] | None:
    """The form of a value in a record, or None if it is none of these kinds.

    >>> from fractions import Fraction
    >>> from autobp.train.values import value_form, value_of
    >>> value_form(Fraction(1, 3))
    ['value', 'fractions.Fraction', '1/3']
    >>> value_of("value", ["fractions.Fraction", "1/3"])
    Fraction(1, 3)
    """
    kind = type(x)
    if kind is int:
        return ["long", hex(x)] if x.bit_length() > _LONG else None
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in _KINDS:
        text = _KINDS[name].write(x)
        return None if text is None else ["value", name, text]
    if _PATHS.get(kind.__name__) is kind:
        return ["path", kind.__name__, str(x)]
    for base_name, base in _BASES.items():
        if issubclass(kind, base) and kind is not bool and not attributes(x):
            same = subclass(kind.__module__, kind.__qualname__, base) is kind
            if not same or not can_be_new(kind, base):
                return None
            return ["as", base_name, kind.__module__, kind.__qualname__, base(x)]
    return None


def value_of(form: str, parts: list[Any]) -> Any:
    """The value of a form; None if its class is not loaded."""
    if form == "long":
        return int(parts[0], 16)
    if form == "path":
        return _PATHS[parts[0]](parts[1])
    if form == "value":
        module, _, name = parts[0].rpartition(".")
        kind = getattr(sys.modules.get(module), name, None)
        return None if kind is None else _KINDS[parts[0]].make(kind, parts[1])
    base: Any = _BASES[parts[0]]
    made = subclass(parts[1], parts[2], base)
    return None if made is None else new(made, base, parts[3])


def new(kind: Any, base: Any, *args: Any) -> Any:
    """An object of a subclass of one of Python's classes, of which no code in Python runs."""
    own = kind.__new__  # NumPy's numbers have one in C, and refuse that of the base
    make = own if isinstance(own, types.BuiltinFunctionType) else base.__new__
    return make(kind, *args)


def can_be_new(kind: type, base: type) -> bool:
    """Whether `new` makes objects of a class."""
    try:
        return type(new(kind, base)) is kind
    except TypeError:
        return False


def subclass(module: str, name: str, base: type) -> Any:
    """The class of that name in a module that is loaded, if it has that base."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, base) else None
