"""Effects: what a function does besides computing, and a program would not do again."""

from __future__ import annotations

import contextvars
import dis
import operator
import random
import re
import threading
from collections.abc import Callable, Collection, Iterable
from types import FrameType
from typing import Any

import numpy as np

from autobp.compiler.terms import CaptureError
from autobp.compiler.trace.free_variables import (
    GONE,
    Found,
    FreeVariable,
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
_ASKING = {
    ("_decimal", "getcontext"),
    ("decimal", "getcontext"),
    ("sys", "getrecursionlimit"),
    ("sys", "_getframe"),
}
_QUIET = ("autobp", "numpy", "importlib", "_frozen_importlib", "_frozen_importlib_external")
_SHOWING = ("linecache", "traceback")  # which read the lines of programs, to show them


def check_call(frame: FrameType, function: Any) -> None:
    """Refuse what is about to be called if it prints, writes, waits or asks for the time."""
    if _package(frame) in (*_QUIET, *_SHOWING):
        return
    owner = getattr(function, "__self__", None)
    name = function.__name__
    if owner is None or type(owner).__name__ == "module":
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
    if acts and not _is_import(frame):
        raise CaptureError(
            f"compile cannot capture the call of {name} at {_line(frame)}: a program would not do it"
            " again; keep it out of the compiled function"
        )


def _package(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]


def _is_import(frame: FrameType) -> bool:
    """Whether a module is being imported, which happens once anyway."""
    here: FrameType | None = frame
    while here is not None and here.f_globals.get("__name__") != "importlib._bootstrap":
        here = here.f_back
    return here is not None


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
        self.counters: set[tuple[int, Any]] = set()
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
        changed: list[tuple[str, str, str]] = []
        apart, held = ", which is not an argument,", " of a module or an argument"
        new = ""
        self.counters = set()  # numbers of live objects that were changed
        for array, before, name in self.arrays.values():
            if not _is_content(array, before):
                if not isinstance(before, int):
                    array[...] = before
                changed.append(("an array", name, apart))
        for v, before in self.nests:
            nest, name, is_live, hidden = v.owner, v.name, v.live, v.key
            if isinstance(nest, dict):
                for key in [key for key in nest if key not in before and key not in hidden]:
                    del nest[key]
                    new = key if isinstance(key, str) and key.isidentifier() else name
                for key, value in before.items():
                    now = nest.get(key, nest)
                    if key in hidden:
                        continue
                    if now is not value:  # not touched otherwise: another thread may be reading it
                        nest[key] = value
                        if value is None:
                            new = str(key)
                        elif not same_item(now, value):
                            if is_live and is_counter(value):
                                self.counters.add((id(nest), key))
                            if is_live and type(value) in (bool, str) and type(now) is type(value):
                                new = str(key)  # a flag that is set in the first call
                            else:
                                changed.append((repr(key), str(key), held if is_live else apart))
            elif isinstance(nest, set):
                if nest != before:
                    nest.clear()
                    nest.update(before)
                    changed.append(("a set", name, held if is_live else apart))
            elif not same_items(nest, list(before)):
                nest.clear()
                nest.extend(before)
                changed.append((f"a {type(nest).__name__}", name, held if is_live else apart))
        for v in self.variables:
            if v.kind == "context":  # what a function sets in a context of its own is gone with it
                if context is not None and not same_item(context.get(v.owner, GONE), v.value):
                    changed.append(("a variable of the context", v.name, apart))
                continue
            now = v.read()
            if not same_item(now, v.value):
                v.write(v.value)
                if v.value is None or v.value is GONE:
                    new = str(v.key)
                else:
                    changed.append((v.said, str(v.key), apart))
        said = [
            f"{what}{whose} is changed at {line_of(self.found, name, True)}"
            for what, name, whose in changed
        ]
        return said, new and line_of(self.found, new, True)


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


class Randomness:
    """The states of the generators of random numbers that a function might draw from."""

    def __init__(self, found: Found, tracer: Iterable[np.random.Generator]) -> None:
        state = lambda: np.random.get_state(legacy=False)
        self.tracer: dict[Any, Any] = {rng: rng.bit_generator.state for rng in tracer}
        self.found = found
        self.hidden: list[tuple[str, Callable[[], Any], Callable[[Any], Any], str]] = [
            ("np.random", state, np.random.set_state, "random"),
            ("random", random.getstate, random.setstate, "random"),
        ]
        names = {id(v.value): v.name for v in found.variables}
        for rng in found.objects.values():
            name = names.get(id(rng), "")
            if isinstance(rng, np.random.Generator) and rng not in self.tracer:
                bits = rng.bit_generator
                read = lambda bits=bits: bits.state
                write = lambda state, bits=bits: setattr(bits, "state", state)
                self.hidden.append(("a generator that it did not receive", read, write, name))
            elif isinstance(rng, np.random.RandomState):
                read = lambda rng=rng: rng.get_state(legacy=False)
                self.hidden.append(("a RandomState", read, rng.set_state, name))
            elif isinstance(rng, random.Random):
                self.hidden.append(("a random.Random", rng.getstate, rng.setstate, name))
        self.before = [read() for _, read, _, _ in self.hidden]

    def rewind(self) -> list[str]:
        """Set all of them back, so that whatever runs now draws the same numbers. What was drawn from
        though it is not captured."""
        for rng, state in self.tracer.items():
            rng.bit_generator.state = state
        drawn = []
        for (source, read, write, name), old in zip(self.hidden, self.before, strict=True):
            if _comparable(read()) != _comparable(old):
                write(old)
                drawn.append(f"{source} at {line_of(self.found, name)}")
        return drawn


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
