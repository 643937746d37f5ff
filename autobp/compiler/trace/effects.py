"""Effects: what a function does besides computing, and a program would not do again."""

from __future__ import annotations

import contextvars
import dis
import importlib
import linecache
import operator
import os
import random
import re
import threading
import traceback
from collections.abc import Collection, Iterable
from types import FrameType, ModuleType
from typing import Any

import numpy as np

from autobp.compiler.terms import CaptureError
from autobp.compiler.trace.free_variables import (
    GONE,
    Found,
    FreeVariable,
    Places,
    same_item,
    same_items,
)
from autobp.owner import Owner, owner_of_frame

__all__ = [
    "Randomness",
    "State",
    "check_call",
    "check_changes",
    "check_draws",
    "is_counter",
    "line_of",
]

# ── calls ─────────────────────────────────────────────────────────────────────────────────────────

#: Modules written in C whose functions, and the methods of whose objects, act on the world or ask it.
_OUTSIDE = {"time", "posix", "nt", "io", "_io", "_socket", "_thread", "_warnings", "select"}
_HARMLESS = ("fspath", "get_ident", "_filters_mutated")  # the last: warnings are caught or ignored
_LOCKS = (type(threading.Lock()), type(threading.RLock()))  # which are left as they were found
_ACTING = ("print", "input", "breakpoint")
_CLOCKS = ("now", "today", "utcnow")
_ASKING = {  # refused to the user alone: Python's own modules ask all the time
    ("_decimal", "getcontext"),
    ("decimal", "getcontext"),
    ("sys", "getrecursionlimit"),
    ("sys", "_getframe"),
}
#: Python's own modules that read programs, to import or to show them, by their variables.
_READERS = {
    id(vars(module))
    for module in (
        importlib, importlib._bootstrap, importlib._bootstrap_external, linecache, traceback,
    )
}  # fmt: skip
_COMPILER = os.path.dirname(os.path.dirname(__file__))


def check_call(frame: FrameType, function: Any) -> None:
    """Refuse what is about to be called if it prints, writes, waits or asks for the time."""
    if owner_of_frame(frame).is_library:
        return
    name, owner = function.__name__, getattr(function, "__self__", None)
    if owner is None or type(owner) is ModuleType:
        module = function.__module__
        acts = module in _OUTSIDE or (module == "builtins" and name in _ACTING)
        acts = acts and name not in _HARMLESS
        if (module, name) in _ASKING:
            acts = owner_of_frame(frame) is Owner.USER
    elif isinstance(owner, type):
        acts = owner.__module__ == "datetime" and name in _CLOCKS
    else:
        outside = any(kind.__module__ in _OUTSIDE for kind in type(owner).__mro__)
        acts = outside and not isinstance(owner, _LOCKS)
    if acts and not _is_reading(frame):
        raise CaptureError(
            f"compile cannot capture the call of {name} at {_line(frame)}: a program would not do it"
            " again; keep it out of the compiled function"
        )


def _is_reading(frame: FrameType) -> bool:
    """Whether the function that is traced imports a module, which happens once anyway, or shows lines
    of a program."""
    here: FrameType | None = frame
    while here is not None and not here.f_code.co_filename.startswith(_COMPILER):
        if id(here.f_globals) in _READERS:
            return True
        here = here.f_back
    return False


def _line(frame: FrameType) -> str:
    """The user's line: that in Python's own modules, or in ours, says little."""
    here: FrameType | None = frame
    while here is not None and owner_of_frame(here) is not Owner.USER:
        here = here.f_back
    here = here or frame
    return f"{here.f_code.co_filename}:{here.f_lineno}"


# ── what is around ────────────────────────────────────────────────────────────────────────────────


_LARGE = 10_000_000  # elements of an array of which no copy is made


class State:
    """What the variables, arrays, lists, sets and dicts hold that a function might change. `traced`
    are the places, ids of owners and keys, whose values are arguments of the program."""

    def __init__(self, found: Found, traced: Collection[tuple[int, Any]] = ()) -> None:
        self.arrays: dict[int, tuple[np.ndarray, Any, str]] = {}
        self.nests: list[tuple[FreeVariable, Any]] = []  # and copies
        self.variables: list[FreeVariable] = []
        for v in found.variables:
            if v.kind == "contents":
                self.nests.append((v, v.owner.copy()))
            elif v.checked and v.is_place and (id(v.owner), v.key) not in traced:
                self.variables.append(v)
            if type(v.value) is np.ndarray and (id(v.owner), v.key) not in traced:
                self.arrays.setdefault(id(v.value), (v.value, _content(v.value), v.name))
        self.found = found
        self.counters: Places = set()
        for iterator, name in found.iterators:
            raise CaptureError(
                f"compile cannot capture a {type(iterator).__name__} that gives something else each"
                f" time, {name} at {line_of(found, name)}: the program would repeat what it gives in this"
                " call; pass that as an argument"
            )

    def restore(self, context: contextvars.Context | None = None) -> tuple[list[str], str]:
        """Undo what a function has changed, a count of its calls, a list that grows. Tell what that
        was and where; and where there is something new, an attribute, an entry of a dict or what was
        None, which may be what it keeps from its first call."""
        self.changed: list[tuple[str, str, bool]] = []  # what, its name, and whether it is live
        self.new: str = ""  # the name
        self.counters = set()  # numbers of live objects that were changed
        for array, before, name in self.arrays.values():
            if not _is_content(array, before):
                if not isinstance(before, int):
                    array[...] = before
                self.changed.append(("an array", name, False))
        for v, before in self.nests:
            if isinstance(v.owner, dict):
                self._restore_dict(v, before)
            elif isinstance(v.owner, set):
                if v.owner != before:
                    v.owner.clear()
                    v.owner.update(before)
                    self.changed.append(("a set", v.name, v.live))
            elif not same_items(v.owner, list(before)):
                v.owner.clear()
                v.owner.extend(before)
                self.changed.append((f"a {type(v.owner).__name__}", v.name, v.live))
        for v in self.variables:
            self._restore_variable(v, context)
        said = []
        for what, name, is_live in self.changed:
            whose = " of a module or an argument" if is_live else ", which is not an argument,"
            said.append(f"{what}{whose} is changed at {line_of(self.found, name, True)}")
        return said, self.new and line_of(self.found, self.new, True)

    def _restore_dict(self, v: FreeVariable, before: dict[Any, Any]) -> None:
        nest, optional = v.owner, v.key
        for key in [key for key in nest if key not in before and key not in optional]:
            del nest[key]
            self.new = key if isinstance(key, str) and key.isidentifier() else v.name
        for key, value in before.items():
            now = nest.get(key, nest)
            if now is value or key in optional:  # not touched: another thread may be reading it
                continue
            nest[key] = value
            if value is None:
                self.new = str(key)
            elif same_item(now, value):
                continue
            elif v.live and type(value) in (bool, str) and type(now) is type(value):
                self.new = str(key)  # a flag that is set in the first call
            else:
                self.changed.append((repr(key), str(key), v.live))
            if v.live and is_counter(value):
                self.counters.add((id(nest), key))

    def _restore_variable(self, v: FreeVariable, context: contextvars.Context | None) -> None:
        if v.kind == "context":  # what a function sets in a context of its own is gone with it
            if context is not None and not same_item(context.get(v.owner, GONE), v.value):
                self.changed.append(("a variable of the context", v.name, False))
        elif not same_item(v.read(), v.value):
            v.write(v.value)
            if v.value is None or v.value is GONE:
                self.new = str(v.key)
            else:
                self.changed.append((v.said, str(v.key), False))


def is_counter(x: Any) -> bool:
    """Whether it is a number that a module may count with."""
    return type(x) in (int, float) or (isinstance(x, np.generic) and x.dtype.kind in "iuf")


def line_of(found: Found, name: str, stores: bool = False) -> str:
    """The user's line where a variable is mentioned, or stored to; that where the function begins,
    if there is none."""
    name = re.findall(r"\w+", name)[-1] if re.search(r"\w", name) else name
    lines: list[tuple[tuple[bool, bool], str]] = []
    for code in found.codes:
        ran = id(code) in found.ran
        for instruction in dis.get_instructions(code):
            if instruction.argval == name and not instruction.opname.startswith("LOAD_CONST"):
                line = instruction.positions.lineno if instruction.positions else None
                is_store = instruction.opname.startswith(("STORE", "DELETE"))
                lines.append(((ran, is_store == stores), f"{code.co_filename}:{line}"))
    if lines:
        return max(lines, key=lambda line: line[0])[1]
    return found.line


def _content(array: np.ndarray) -> Any:
    """A copy of an array, or if it is large, a number that is another for other contents."""
    return array.copy() if array.size <= _LARGE else hash(array.tobytes())


def _is_content(array: np.ndarray, before: Any) -> bool:
    if isinstance(before, int):
        return hash(array.tobytes()) == before
    if array.shape != before.shape or array.dtype != before.dtype:
        return False
    if array.dtype.hasobject:
        return all(map(operator.is_, array.flat, before.flat))
    return array.tobytes() == before.tobytes()


def check_changes(changed: list[str]) -> None:
    if changed:
        raise CaptureError(
            f"compile cannot capture that {changed[0]}: a program would not do it again; return the new"
            " value instead"
        )


# ── random numbers ────────────────────────────────────────────────────────────────────────────────


# fmt: off
#: Classes of generators: what messages call them, how their state is read, and set.
_GENERATORS: Any = (
    (np.random.Generator,   "a generator that it did not receive", lambda g: g.bit_generator.state,      lambda g, s: setattr(g.bit_generator, "state", s)),
    (np.random.RandomState, "a RandomState",                       lambda g: g.get_state(legacy=False), lambda g, s: g.set_state(s)),
    (random.Random,         "a random.Random",                     lambda g: g.getstate(),              lambda g, s: g.setstate(s)),
)
# fmt: on


class Randomness:
    """The states of the generators of random numbers that a function might draw from. The draws from
    those that are `traced` are steps of the program. Draws of other threads are not its own."""

    def __init__(self, found: Found, traced: Iterable[np.random.Generator]) -> None:
        self.found = found
        self.traced: set[int] = {id(rng) for rng in traced}
        names = {id(v.value): v.name for v in found.variables}
        shared = {id(np.random.mtrand._rand): "np.random", id(random._inst): "random"}
        self.shared = shared
        objects = [np.random.mtrand._rand, random._inst, *traced, *found.objects.values()]
        self.states: list[Any] = []
        for rng in {id(x): x for x in objects}.values():
            for kind, said, read, write in _GENERATORS:
                if isinstance(rng, kind):
                    name = "random" if id(rng) in shared else names.get(id(rng), "")
                    what = shared.get(id(rng), said)
                    self.states.append((rng, read(rng), what, name, read, write))

    def rewind(self) -> list[str]:
        """Set all of them back, so that whatever runs now draws the same numbers. Tell which others
        than those of the trace were drawn from."""
        drawn = []
        for rng, state, what, name, read, write in self.states:
            if _comparable(read(rng)) != _comparable(state):
                if id(rng) in self.shared and self.may_be_of_others(rng):
                    continue
                write(rng, state)
                if id(rng) not in self.traced:
                    drawn.append(f"{what} at {line_of(self.found, name)}")
        return drawn

    def may_be_of_others(self, rng: Any) -> bool:
        """Whether another thread may have drawn, and the function has no name of one of the methods."""
        names = {name for code in self.found.codes for name in code.co_names}
        return threading.active_count() > 1 and names.isdisjoint(dir(rng))


def check_draws(drawn: list[str]) -> None:
    if drawn:
        raise CaptureError(
            f"compile cannot capture a draw from {drawn[0]}: the program would repeat the numbers of"
            " this call; pass a generator, np.random.default_rng(), as an argument"
        )


def _comparable(state: Any) -> Any:
    """The state of a generator in a form that can be compared."""
    if isinstance(state, dict):
        return {key: _comparable(value) for key, value in state.items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state
