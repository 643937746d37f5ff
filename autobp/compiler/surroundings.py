"""Surroundings: what a function reads besides its arguments, so that a change of it is noticed."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from autobp.tensor import Tensor

__all__ = ["surroundings"]

_PLAIN = (np.ndarray, np.generic, float, int, str, type(None), Tensor)
_SOME = 1000  # entries of a nest that are looked at


def surroundings(function: Callable[..., Any]) -> Iterator[tuple[str, Any, Any]]:
    """The variables that a function, and those that it calls, read from around them: an expression
    for each, of an object `o`; the object; and what is found there now."""
    todo: list[Any] = [function]
    seen: set[int] = set()
    while todo:
        f = todo.pop()
        if id(f) in seen:
            continue
        seen.add(id(f))
        if isinstance(f, functools.partial):
            todo.append(f.func)
        elif isinstance(f, types.MethodType):
            todo.append(f.__func__)
        elif isinstance(f, types.FunctionType):
            for expression, owner, value in _variables(f):
                if isinstance(value, types.FunctionType | types.MethodType | functools.partial):
                    todo.append(value)
                    if not _ours(value):
                        yield expression, owner, value
                elif isinstance(value, (*_PLAIN, np.random.Generator)):
                    yield expression, owner, value
                elif type(value) in (list, tuple, dict):
                    yield from _within(expression, owner, value, seen)
            todo += [d for d in (f.__defaults__ or ()) if callable(d)]
        elif hasattr(f, "__wrapped__"):
            todo.append(f.__wrapped__)


def _variables(f: types.FunctionType) -> Iterator[tuple[str, Any, Any]]:
    for cell in f.__closure__ or ():
        try:
            yield "o.cell_contents", cell, cell.cell_contents
        except ValueError:  # not filled yet
            continue
    if _ours(f):
        return
    codes = [f.__code__]
    while codes:
        code = codes.pop()
        codes += [c for c in code.co_consts if isinstance(c, types.CodeType)]
        for name in code.co_names:
            if name in f.__globals__:
                yield f"o.get({name!r})", f.__globals__, f.__globals__[name]


def _within(
    expression: str, owner: Any, nest: Any, seen: set[int]
) -> Iterator[tuple[str, Any, Any]]:
    yield expression, owner, nest
    if id(nest) in seen or len(nest) > _SOME:
        return
    seen.add(id(nest))
    if type(nest) is not tuple:
        yield "len(o)", nest, len(nest)  # of which small ones are the same object always
    for key, value in nest.items() if type(nest) is dict else enumerate(nest):
        if type(nest) is dict and not isinstance(key, str | int):
            continue
        if isinstance(value, _PLAIN):
            yield f"o[{key!r}]", nest, value
        elif type(value) in (list, tuple, dict):
            yield from _within(f"o[{key!r}]", nest, value, seen)


def _ours(f: Any) -> bool:
    return (getattr(f, "__module__", None) or "").partition(".")[0] in ("autobp", "numpy")
