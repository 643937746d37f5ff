"""Surroundings: what a function reads besides its arguments, so that a change of it is noticed."""

from __future__ import annotations

import collections
import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from autobp.tensor import Tensor
from autobp.tree import leaves

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
    key: Any = None  # its place in the owner, if that is a dict that objects hold
    live: bool = False  # it has `live_entries`, which are changed by steps and read at each call


def surroundings(function: Callable[..., Any], args: Any = ()) -> Iterator[Thing]:
    """The variables that a function, and those that it calls, read from around them: numbers, arrays
    and Tensors, also in nests and in the attributes of objects; and the functions themselves. Objects
    among its arguments, models and optimizers, are looked into as well."""
    objects = [x for _, x in leaves(args) if not isinstance(x, (*_PLAIN, complex))]
    return _Search([function, *objects]).things()


class _Search:
    def __init__(self, todo: list[Any]) -> None:
        self.seen: set[int] = set()
        self.todo = todo
        self.live: set[tuple[int, Any]] = set()

    def things(self) -> Iterator[Thing]:
        while self.todo:
            f = self.todo.pop()
            if id(f) not in self.seen:
                self.seen.add(id(f))
                for thing in self.of(f):
                    yield from self.around(thing)

    def of(self, f: Any) -> Iterator[Thing]:
        """What one object reads. Other objects that it leads to are looked at later."""
        if isinstance(f, functools.partial):
            self.todo += [f.func, *f.args, *f.keywords.values()]
        elif isinstance(f, types.MethodType):
            self.todo += [f.__func__, f.__self__]
            yield from self.methods(type(f.__self__), [f.__name__])
        elif isinstance(f, types.FunctionType):
            self.todo += f.__defaults__ or ()
            yield from self.variables(f)
        elif "__wrapped__" in getattr(f, "__dict__", ()):  # a compiled function, one that caches
            self.todo.append(f.__wrapped__)
        elif isinstance(f, types.ModuleType | type | types.BuiltinFunctionType | np.ufunc):
            return
        elif isinstance(f, _NESTS):
            yield from _entries(f)
        else:
            yield from self.members(f)

    def members(self, f: Any) -> Iterator[Thing]:
        if _has_attributes(f) and (_is_open(type(f)) or not _foreign(type(f))):
            yield from self.attributes(f)
            yield from self.methods(type(f), ["__call__", "forward"])

    def variables(self, f: types.FunctionType) -> Iterator[Thing]:
        found = []
        for cell in f.__closure__ or ():
            try:
                found.append(Thing("o.cell_contents", cell, cell.cell_contents))
            except ValueError:  # not filled yet
                continue
        codes: list[types.CodeType] = [f.__code__]
        names: list[str] = []
        while codes:
            code = codes.pop()
            codes += [c for c in code.co_consts if isinstance(c, types.CodeType)]
            names += code.co_names
        if not _ours(f) and not _foreign(f):
            yield from self.attributes(f)
            found += [_named(f.__globals__, name) for name in names if name in f.__globals__]
        for thing in found:
            yield thing
            owner = thing.value
            if isinstance(owner, type):
                yield from self.methods(owner, ["__init__", *names])
            elif isinstance(owner, types.ModuleType) and not _foreign(owner) and not _ours(owner):
                yield from (_named(vars(owner), name) for name in names if name in vars(owner))

    def attributes(self, f: Any) -> Iterator[Thing]:
        if not hasattr(f, "__dict__"):
            slots = [s for s in f.__slots__ if s[:2] != "__" and hasattr(f, s)]
            yield from (Thing(f"o.{name}", f, getattr(f, name)) for name in slots)
            return
        attributes = vars(f)
        if hasattr(type(f), "live_entries"):
            self.live |= {(id(owner), key) for owner, key in f.live_entries()}
            yield Thing("o", f, f, live=True)
        else:
            yield Thing("len(o)", attributes, len(attributes))
        for name, value in attributes.items():
            if name[0] != "_" or not hasattr(type(f), "live_entries"):
                yield Thing(f"o.get({name!r})", attributes, value, name)

    def methods(self, kind: type, names: list[str]) -> Iterator[Thing]:
        """The methods of a user's class that are called, and the attributes of the class."""
        classes = [c for c in kind.__mro__ if not _ours(c) and not _foreign(c)]
        known: set[str] = set()
        while names:
            name = names.pop()
            if name in known:
                continue
            known.add(name)
            for c in classes:
                if name not in vars(c):
                    continue
                value = vars(c)[name]
                value = getattr(value, "fget", getattr(value, "__func__", value))
                if isinstance(value, types.FunctionType):
                    self.todo.append(value)
                    names += value.__code__.co_names
                elif isinstance(value, (*_PLAIN, *_NESTS)):
                    yield Thing(f"vars(o).get({name!r})", c, value)

    def around(self, thing: Thing) -> Iterator[Thing]:
        value = thing.value
        if (id(thing.owner), thing.key) in self.live:
            return
        if thing.live:
            yield thing
        elif isinstance(value, _PLAIN):
            yield thing
            if isinstance(value, Tensor):
                self.todo += [hook.call for hook in value.hooks]
        elif isinstance(value, _CALLABLE):
            self.todo.append(value)
            if not _ours(value):
                yield thing
        elif isinstance(value, _NESTS):
            if id(value) not in self.seen and len(value) <= _MANY:
                self.seen.add(id(value))
                yield thing
                if not isinstance(value, tuple):
                    yield Thing("len(o)", value, len(value))
                for entry in (*_entries(value), *self.members(value)):
                    yield from self.around(entry)
        elif isinstance(value, set | collections.deque):
            yield thing
            yield Thing("len(o)", value, len(value))
        elif hasattr(type(value), "__next__") and not hasattr(value, "__dict__"):
            yield thing
        elif not isinstance(value, types.ModuleType | type):
            self.todo.append(value)


def _entries(nest: Any) -> Iterator[Thing]:
    if isinstance(nest, dict):
        for key, value in nest.items():
            if isinstance(key, str | int):
                yield Thing(f"o.get({key!r})", nest, value, key)
    else:
        for i, value in enumerate(nest):
            yield Thing(f"o[{i}]", nest, value)


def _named(variables: dict[str, Any], name: str) -> Thing:
    return Thing(f"o.get({name!r})", variables, variables[name])


def _foreign(f: Any) -> bool:
    """Whether a function, a class or a module is Python's own or comes from an installed package:
    what those keep for themselves is theirs."""
    name = _module(f)
    if _ours(f):
        return False
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return name.partition(".")[0] in sys.stdlib_module_names - {"__main__"} or "-packages" in file


def _has_attributes(f: Any) -> bool:
    return hasattr(f, "__dict__") or isinstance(getattr(type(f), "__slots__", None), tuple)


def _is_open(kind: type) -> bool:
    """Whether the attributes of an object are the user's, wherever its class comes from: those of
    modules of ours that an installed package derives, and those of namespaces."""
    return kind.__name__ in ("SimpleNamespace", "Namespace") or any(map(_ours, kind.__mro__))


def _ours(f: Any) -> bool:
    return _module(f).partition(".")[0] in ("autobp", "numpy")


def _module(f: Any) -> str:
    name = f.__name__ if isinstance(f, types.ModuleType) else getattr(f, "__module__", None)
    return name or ""
