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
from autobp.spellings import KEYWORDS, OPTIONS, TENSOR, TENSOR_CLASS, Table

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

_TAKES_ARGS, _TAKES_KWARGS = 0x04, 0x08  # flags of code objects


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
                if function not in NUMPY:
                    return f": NumPy's has no rule of differentiation; a constant is `np.{name}(t.numpy())`"
                return f": write `np.{name}(t)`"
            if callable(function) and not isinstance(function, type) and function in NUMPY:
                return f": write `np.{name}`, which takes Tensors"
        near = _like(name, known()) if name[:2] != "__" else ""
        return f"; did you mean {near!r}?" if near else ""

    return AbsentError(said, name, hint)


def _like(name: str, known: Iterable[str]) -> str:
    """The nearest of the names: one that differs in capitals alone, if there is one, and of those a
    class where the name looks like one."""
    from difflib import get_close_matches  # late: not needed to import autobp

    listed = list(known)
    same_letters = [other for other in listed if other.lower() == name.lower()]
    if same_letters:
        return max(same_letters, key=lambda other: other[0].isupper() == name[0].isupper())
    near = get_close_matches(name, listed, 1, 0.75)
    return near[0] if near else ""


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
    """The class of a class that explains names: `dir` and `help` list those alone that it has. It explains
    those that the class is asked for; instances do not ask it."""

    def __dir__(cls) -> list[str]:
        return [name for name in super().__dir__() if hasattr(cls, name)]

    def __getattr__(cls, name: str) -> Any:
        said = f"type object {cls.__name__!r} has no attribute {name!r}"
        table = TENSOR_CLASS if name in TENSOR_CLASS else TENSOR
        raise absent(said, name, table, lambda: type.__dir__(cls), numpy=name not in table)


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


def foreign_keyword(who: str, names: Iterable[str], kind: str = "") -> TypeError | None:
    """The error for keywords of another library, if there is one among the names. What a function or a
    class, or its kind, says of a keyword of its own comes first."""
    for name in names:
        for hint in (
            OPTIONS.get(f"{who}.{name}"),
            OPTIONS.get(f"{kind}.{name}"),
            KEYWORDS.get(name),
        ):
            if hint is not None:
                return TypeError(f"{who} has no {name}=: {written_keyword(hint)}")
    return None


def written_keyword(hint: str) -> str:
    word = hint.split("=")[0]
    return (
        f"write {hint}" if hint.startswith("`") or (word.isidentifier() and "=" in hint) else hint
    )


def checks_keywords(function: F, kind: str = "") -> F:
    """Let a function, or the constructor of a class of this kind, explain keywords of other libraries,
    and arguments of which Python's own error says less: too many by position, one given twice, or none."""
    innermost: Any = function
    while hasattr(innermost, "__wrapped__"):
        innermost = innermost.__wrapped__
    code = innermost.__code__
    own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    places = own[: code.co_argcount]
    needed = places[: len(places) - len(innermost.__defaults__ or ())]
    least = len(needed)
    most = float("inf") if code.co_flags & _TAKES_ARGS else len(places)
    name = function.__name__
    who = function.__qualname__.split(".")[-2] if name == "__init__" else name
    named = {
        option.partition(".")[2] for option in OPTIONS if option.startswith((f"{who}.", f"{kind}."))
    }
    foreign = set() if code.co_flags & _TAKES_KWARGS else (KEYWORDS.keys() | named) - set(own)

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            if not foreign.isdisjoint(kwargs):
                raise foreign_keyword(who, [k for k in kwargs if k in foreign], kind)  # type: ignore[misc]
            if not kwargs.keys().isdisjoint(places[: len(args)]):
                raise _given_twice(who, places[: len(args)], kwargs)
        if len(args) > most:
            raise _too_many(who, len(args), own, len(places))
        if len(args) < least and not kwargs.keys() >= {*needed[len(args) :]}:
            raise _missing(who, needed, len(args), kwargs)
        return function(*args, **kwargs)

    return cast(F, checked)


def _given_twice(who: str, places: tuple[str, ...], kwargs: Mapping[str, Any]) -> TypeError:
    twice = next(name for name in places if name in kwargs)
    hint = OPTIONS.get(f"{who}.{twice}")
    return TypeError(
        f"{who}: {twice}= is given by position already, where the arguments are {', '.join(places)}"
        + (f": {hint}" if hint else "")
    )


def _too_many(who: str, count: int, own: tuple[str, ...], most: int) -> TypeError:
    if own[:1] == ("self",):
        count, own, most = count - 1, own[1:], most - 1
    rest = ", ".join(f"{name}=" for name in own[most:])
    return TypeError(
        f"{who} takes {most} argument{'s' * (most != 1)} by position ({', '.join(own[:most])}), not {count}"
        + (f": write the others by name, {rest}" if rest else "")
    )


def _missing(who: str, needed: tuple[str, ...], count: int, kwargs: Mapping[str, Any]) -> TypeError:
    missing = " and ".join(name for name in needed[count:] if name not in kwargs)
    called = ", ".join(needed[needed[:1] == ("self",) :])
    return TypeError(f"{who} is called without {missing}: write {who}({called}, …)")


def check_set_to_none(set_to_none: bool) -> None:
    """Of zero_grad: the gradient is always cleared to None, PyTorch's default."""
    if not set_to_none:
        raise ValueError(
            "zero_grad(set_to_none=False): gradients are cleared to None; for zeros, which let momentum"
            " and weight decay move a parameter, write p.grad = np.zeros(p.shape)"
        )
