"""Effects: what a function does besides computing, and a program would not do again."""

from __future__ import annotations

import ast
import operator
import random
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any

import numpy as np

from autobp.compiler.surroundings import Thing
from autobp.compiler.terms import CaptureError

__all__ = [
    "Randomness",
    "State",
    "check_call",
    "check_changes",
    "check_draws",
]

# ── calls ─────────────────────────────────────────────────────────────────────────────────────────

#: Modules written in C whose functions, and the methods of whose objects, act on the world or ask it.
_OUTSIDE = {"time", "posix", "nt", "io", "_io", "_socket", "_thread", "_warnings", "select"}
_HARMLESS = ("fspath", "get_ident", "_filters_mutated")  # the last: warnings are caught or ignored
_LOCKS = (type(threading.Lock()), type(threading.RLock()))  # which are left as they were found
_ACTING = ("print", "input", "breakpoint")
_CLOCKS = ("now", "today", "utcnow")
_QUIET = ("autobp", "numpy", "importlib", "_frozen_importlib", "_frozen_importlib_external")


def check_call(frame: FrameType, function: Any) -> None:
    """Refuse what is about to be called if it prints, writes, waits or asks for the time."""
    if _package(frame) in _QUIET:
        return
    owner = getattr(function, "__self__", None)
    name = function.__name__
    if owner is None or type(owner).__name__ == "module":
        module = function.__module__
        acts = module in _OUTSIDE or (module == "builtins" and name in _ACTING)
        acts = acts and name not in _HARMLESS
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
    while here is not None and _package(here) in sys.stdlib_module_names - {"__main__"}:
        here = here.f_back
    here = here or frame
    return f"{here.f_code.co_filename}:{here.f_lineno}"


# ── what is around ────────────────────────────────────────────────────────────────────────────────


_SMALL = 1_000_000  # elements of an array that is looked at


class State:
    """What the variables, arrays, lists, sets and dicts hold that a function might change."""

    def __init__(self, around: Sequence[Thing]) -> None:
        arrays = (thing.value for thing in around if type(thing.value) is np.ndarray)
        self.arrays = [(a, a.copy()) for a in arrays if a.size <= _SMALL]
        nests = {id(t.owner): t.owner for t in around if t.expression == "len(o)"}
        self.nests = [(nest, nest.copy()) for nest in nests.values()]
        self.variables = [t for t in around if not t.live and id(t.owner) not in nests]
        for thing in around:
            if hasattr(type(thing.value), "__next__"):
                raise CaptureError(
                    f"compile cannot capture a {type(thing.value).__name__} that gives something else each"
                    " time: the program would repeat what it gives in this call; pass that as an argument"
                )

    def restore(self) -> tuple[list[str], bool]:
        """Undo what a function has changed, a count of its calls, a list that grows. Tell what that
        was, and whether there was something new, an attribute, an entry of a dict or what was None,
        which may be what it keeps from its first call."""
        said, grown = [], False
        for array, before in self.arrays:
            if array.tobytes() != before.tobytes():
                array[...] = before
                said.append("an array")
        for nest, before in self.nests:
            if isinstance(nest, dict):
                for key in [key for key in nest if key not in before]:
                    del nest[key]
                    grown = True
                for key, value in before.items():
                    now = nest.get(key, nest)
                    if now is not value:  # not touched otherwise: another thread may be reading it
                        nest[key] = value
                        if value is None:
                            grown = True
                        elif not _same(now, value):
                            said.append(repr(key))
            elif isinstance(nest, set):
                if nest != before:
                    nest.clear()
                    nest.update(before)
                    said.append("a set")
            elif len(nest) != len(before) or not all(map(operator.is_, nest, before)):
                if len(nest) != len(before) or not all(map(_same, nest, before)):
                    said.append(f"a {type(nest).__name__}")
                nest.clear()
                nest.extend(before)
        looked_up = ", ".join(
            t.expression.replace("o", f"o[{i}]", 1) for i, t in enumerate(self.variables)
        )
        try:
            found = eval(f"[{looked_up}]", {"o": [t.owner for t in self.variables]})
        except (ValueError, AttributeError):  # a variable is gone
            found = [None] * len(self.variables)
        for thing, value in zip(self.variables, found, strict=True):
            if not _same(value, thing.value):
                name = _put_back(thing)
                if thing.value is None:
                    grown = True
                else:
                    said.append(name)
        return said, grown


def check_changes(changed: list[str]) -> None:
    if changed:
        raise CaptureError(
            f"compile cannot capture that {changed[0]}, which is not an argument, is changed: a program"
            " would not do it again; return the new value instead"
        )


def _same(value: Any, before: Any) -> bool:
    """Whether nothing was changed. A shape that is noted in every call is the same if it is equal."""
    if value is before or type(value) is not type(before):
        return value is before
    if isinstance(value, tuple):
        return len(value) == len(before) and all(map(_same, value, before))
    return isinstance(value, int | float | str) and value == before


def _put_back(thing: Thing) -> str:
    owner, value = thing.owner, thing.value
    attribute, _, key = thing.expression.partition("get(")
    name = ast.literal_eval(key[:-1]) if key else attribute.removeprefix("o.")
    if isinstance(owner, dict):
        owner[name] = value
    else:
        setattr(owner, name, value)
    return "a variable" if name == "cell_contents" else repr(name)


# ── random numbers ────────────────────────────────────────────────────────────────────────────────


class Randomness:
    """The states of the generators of random numbers that a function might draw from."""

    def __init__(self, around: Iterable[Thing], captured: Iterable[np.random.Generator]) -> None:
        state = lambda: np.random.get_state(legacy=False)
        self.captured: dict[Any, Any] = {rng: rng.bit_generator.state for rng in captured}
        self.hidden: list[tuple[str, Callable[[], Any], Callable[[Any], Any]]] = [
            ("np.random", state, np.random.set_state),
            ("random", random.getstate, random.setstate),
        ]
        for thing in around:
            rng = thing.value
            if isinstance(rng, np.random.Generator) and rng not in self.captured:
                bits = rng.bit_generator
                read = lambda bits=bits: bits.state
                write = lambda state, bits=bits: setattr(bits, "state", state)
                self.hidden.append(("a generator that it did not receive", read, write))
            elif isinstance(rng, np.random.RandomState):
                read = lambda rng=rng: rng.get_state(legacy=False)
                self.hidden.append(("a RandomState", read, rng.set_state))
        self.before = [read() for _, read, _ in self.hidden]

    def rewind(self) -> list[str]:
        """Set all of them back, so that whatever runs now draws the same numbers. What was drawn from
        though it is not captured."""
        for rng, state in self.captured.items():
            rng.bit_generator.state = state
        drawn = []
        for (source, read, write), old in zip(self.hidden, self.before, strict=True):
            if _comparable(read()) != _comparable(old):
                write(old)
                drawn.append(source)
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
