"""Errors for names of other libraries, which say what to write here instead.

Whoever comes from PyTorch, JAX, Keras, HIPS autograd or micrograd types names from there. Each owner of
attributes looks into its table of `spellings`, and raises an AttributeError with the spelling that works
here. A name that is in no table gets the nearest name that exists.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from types import FrameType
from typing import Any, TypeVar, cast

import numpy as np

from autobp.primitive import NUMPY
from autobp.spellings import KEYWORDS, Table

__all__ = [
    "AbsentError",
    "ForeignModules",
    "ListsWhatItHas",
    "absent",
    "absent_from_module",
    "add_absent",
    "check_set_to_none",
    "checks_keywords",
    "foreign_keyword",
    "is_executing",
]

F = TypeVar("F", bound=Callable[..., Any])


# ── attributes ────────────────────────────────────────────────────────────────────────────────────


class AbsentError(AttributeError):
    """An attribute that is not there. The text is made when it is read: most of these errors are
    caught, by hasattr, copy, pickle or NumPy."""

    def __init__(self, said: str, name: str, hint: Callable[[], str]) -> None:
        super().__init__(said, name=name, obj=None)  # with the object Python would add a guess
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.args[0]}{self.hint()}"

    def __reduce__(self) -> Any:
        return AttributeError, (str(self),)  # hints are functions, which are not pickled


def absent(
    said: str,
    name: str,
    table: Table,
    known: Callable[[], Iterable[str]],
    *,
    numpy: bool = False,
) -> AbsentError:
    """The error for a name. The hint is that of the `table`; else, where NumPy's functions may be meant,
    that of NumPy; else the nearest of the names that are known."""

    def hint() -> str:
        if name in table:
            return f": {written(table[name])}"
        if numpy and name[:1] != "_":
            function = getattr(np, name, None)
            if isinstance(function, np.ufunc) and function.nin == 1:
                return f": write `np.{name}(t)`"
            if callable(function) and not isinstance(function, type):
                return f": write `np.{name}`, which takes Tensors" * (function in NUMPY)
        from difflib import get_close_matches  # late: not needed to import autobp

        near = get_close_matches(name, known(), 1, 0.75) if name[:2] != "__" else []
        return f"; did you mean {near[0]!r}?" if near else ""

    return AbsentError(said, name, hint)


class Absent:
    """An attribute of a class that raises the error for its name. A `__getattr__` would say the same, but
    makes every attribute slower, by a third in sweeps."""

    __slots__ = ("name", "table")

    def __init__(self, name: str, table: Table) -> None:
        self.name: str = name
        self.table: Table = table

    def __get__(self, instance: Any, owner: type) -> Any:
        said = f"{owner.__name__!r} object has no attribute {self.name!r}"
        raise absent(said, self.name, self.table, tuple, numpy=True)


class ListsWhatItHas(type):
    """The class of a class that explains names: `dir` and `help` list those alone that it has."""

    def __dir__(cls) -> list[str]:
        return [name for name in super().__dir__() if hasattr(cls, name)]


def add_absent(kind: type, table: Table) -> None:
    """Let a class explain the names of a table, and of NumPy's functions that it has not."""
    functions = {getattr(f, "__name__", ""): f for f in NUMPY}
    more = (name for name, f in functions.items() if getattr(np, name, None) is f)
    for name in (*table, *more):
        if not hasattr(kind, name):
            setattr(kind, name, Absent(name, table))


def written(hint: str) -> str:
    return f"write {hint}" if hint.startswith("`") else hint


def absent_from_module(
    module: str, name: str, table: Table, known: Callable[[], Iterable[str]]
) -> Exception:
    """The error for a module's `__getattr__` to raise: an ImportError with the same hint where the
    name is imported, since Python forgets the text of an AttributeError there."""
    said = f"module {module!r} has no attribute {name!r}"
    error = absent(said, name, table, known, numpy=module == "autobp")
    if is_executing(sys._getframe(2), "IMPORT_FROM"):
        return ImportError(f"cannot import name {name!r} from {module!r}{error.hint()}")
    return error


class ForeignModules:
    """A finder that explains modules of other libraries, `import autobp.nn.functional as F`, where all
    others have found none."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self.tables = tables

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        package, _, last = name.rpartition(".")
        hint = self.tables.get(package, {}).get(last)
        if hint is not None:
            said = f"No module named {name!r}: {written(hint)}"
            raise ModuleNotFoundError(said, name=name)


def is_executing(frame: FrameType, *instructions: str) -> bool:
    """Whether a frame is at one of these instructions: the protocols that Python and NumPy ask do not say
    what for. An instruction that this Python does not have is none."""
    from opcode import opmap  # late: not needed to import autobp

    code, at = frame.f_code.co_code, frame.f_lasti
    return 0 <= at < len(code) and code[at] in map(opmap.get, instructions)


# ── keywords ──────────────────────────────────────────────────────────────────────────────────────


def foreign_keyword(who: str, names: Iterable[str]) -> TypeError | None:
    """The error for keywords of another library, if there is one among the names."""
    for name in names:
        if name in KEYWORDS:
            return TypeError(f"{who} has no {name}=: {written_keyword(KEYWORDS[name])}")
    return None


def written_keyword(hint: str) -> str:
    word = hint.split("=")[0]
    return (
        f"write {hint}" if hint.startswith("`") or (word.isidentifier() and "=" in hint) else hint
    )


def checks_keywords(function: F) -> F:
    """Let a function explain keywords of other libraries. It costs calls with keywords alone."""
    code = getattr(function, "__wrapped__", function).__code__
    own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    foreign = KEYWORDS.keys() - set(own)

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if kwargs and not foreign.isdisjoint(kwargs):
            named = [name for name in kwargs if name in foreign]
            raise foreign_keyword(function.__name__, named)  # type: ignore[misc]
        return function(*args, **kwargs)

    return cast(F, checked)


def check_set_to_none(set_to_none: bool) -> None:
    """Of zero_grad: the gradient is always cleared to None, PyTorch's default."""
    if not set_to_none:
        raise ValueError(
            "zero_grad(set_to_none=False): gradients are cleared to None; for zeros, which let momentum"
            " and weight decay move a parameter, write p.grad = np.zeros(p.shape)"
        )
