"""Surroundings: what a function reads besides its arguments, so that a change of it is noticed."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from autobp.tensor import Tensor

__all__ = ["Thing", "surroundings"]

_DRAWS = (np.random.Generator, np.random.RandomState)
_PLAIN = (np.ndarray, np.generic, float, int, str, type(None), Tensor, *_DRAWS)
_NESTS = (list, tuple, dict)
_MANY = 1000  # entries of a nest; in larger ones nothing is looked at
_CALLABLE = (types.FunctionType, types.MethodType, functools.partial)


class Thing(NamedTuple):
    """Something that a function finds around it, and how to look for it again."""

    expression: str  # of an object that it calls `o`
    owner: Any  # that object
    value: Any


def surroundings(function: Callable[..., Any]) -> Iterator[Thing]:
    """The variables that a function, and those that it calls, read from around them: numbers, arrays
    and Tensors, also in nests and in the attributes of objects; and the functions themselves."""
    seen: set[int] = set()
    todo: list[Any] = [function]
    while todo:
        f = todo.pop()
        if id(f) in seen:
            continue
        seen.add(id(f))
        if isinstance(f, functools.partial):
            todo += [f.func, *f.args, *f.keywords.values()]
        elif isinstance(f, types.MethodType):
            todo += [f.__func__, f.__self__]
        elif isinstance(f, types.FunctionType):
            todo += f.__defaults__ or ()
            for thing in _variables(f):
                yield from _around(thing, todo, seen)
        elif isinstance(f, types.ModuleType | type | types.BuiltinFunctionType | np.ufunc):
            continue
        elif type(f) in _NESTS:
            for thing in _entries(f):
                yield from _around(thing, todo, seen)
        elif hasattr(f, "__dict__") and not _foreign(type(f)):
            attributes = vars(f)
            yield Thing("len(o)", attributes, len(attributes))
            for name, value in attributes.items():
                yield from _around(Thing(f"o.get({name!r})", attributes, value), todo, seen)
            if not _ours(type(f)):
                todo.append(vars(type(f)).get("__call__"))


def _around(thing: Thing, todo: list[Any], seen: set[int]) -> Iterator[Thing]:
    value = thing.value
    if isinstance(value, _PLAIN):
        yield thing
    elif isinstance(value, _CALLABLE):
        todo.append(value)
        if not _ours(value):
            yield thing
    elif type(value) in _NESTS:
        if id(value) not in seen and len(value) <= _MANY:
            seen.add(id(value))
            yield thing
            if type(value) is not tuple:
                yield Thing("len(o)", value, len(value))
            for entry in _entries(value):
                yield from _around(entry, todo, seen)
    elif not isinstance(value, types.ModuleType | type):
        todo.append(value)


def _entries(nest: Any) -> Iterator[Thing]:
    if type(nest) is dict:
        for key, value in nest.items():
            if isinstance(key, str | int):
                yield Thing(f"o.get({key!r})", nest, value)
    else:
        for i, value in enumerate(nest):
            yield Thing(f"o[{i}]", nest, value)


def _variables(f: types.FunctionType) -> Iterator[Thing]:
    for cell in f.__closure__ or ():
        try:
            yield Thing("o.cell_contents", cell, cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    if _ours(f) or _foreign(f):
        return
    codes = [f.__code__]
    while codes:
        code = codes.pop()
        codes += [c for c in code.co_consts if isinstance(c, types.CodeType)]
        for name in code.co_names:
            if name in f.__globals__:
                yield Thing(f"o.get({name!r})", f.__globals__, f.__globals__[name])


def _foreign(f: Any) -> bool:
    """Whether a function or a class is Python's own or comes from an installed package: what those
    keep for themselves is theirs."""
    name = getattr(f, "__module__", None) or ""
    if _ours(f):
        return False
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return name.partition(".")[0] in sys.stdlib_module_names - {"__main__"} or "-packages" in file


def _ours(f: Any) -> bool:
    return (getattr(f, "__module__", None) or "").partition(".")[0] in ("autobp", "numpy")
