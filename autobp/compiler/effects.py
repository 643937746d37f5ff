"""Effects: what a function does besides computing, and a program would not do again."""

from __future__ import annotations

import ast
import collections
import random
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any

import numpy as np

from autobp.compiler.compiled import CaptureError
from autobp.compiler.surroundings import Thing

__all__ = [
    "Randomness",
    "arrays_around",
    "check_call",
    "check_changes",
    "check_draws",
    "put_back",
]

# ── calls ─────────────────────────────────────────────────────────────────────────────────────────

#: Modules written in C whose functions, and the methods of whose objects, act on the world or ask it.
_OUTSIDE = {"time", "posix", "nt", "io", "_io", "_socket", "_thread", "_warnings", "select"}
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
        acts = module in _OUTSIDE or (module == "builtins" and name in ("print", "input"))
    elif isinstance(owner, type):
        acts = owner.__module__ == "datetime" and name in _CLOCKS
    else:
        acts = any(kind.__module__ in _OUTSIDE for kind in type(owner).__mro__)
    if acts:
        raise CaptureError(
            f"compile cannot capture the call of {name} at {_line(frame)}: a program would not do it"
            " again; keep it out of the compiled function"
        )


def _package(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]


def _line(frame: FrameType) -> str:
    """The user's line: that in Python's own modules, or in ours, says little."""
    here: FrameType | None = frame
    while here is not None and _package(here) in sys.stdlib_module_names - {"__main__"}:
        here = here.f_back
    here = here or frame
    return f"{here.f_code.co_filename}:{here.f_lineno}"


# ── what is around ────────────────────────────────────────────────────────────────────────────────


_GROW = (list, set, collections.deque)
_SMALL = 1000  # elements of an array that is looked at


def arrays_around(around: Sequence[Thing]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Arrays that a function might write to, with copies of what is in them."""
    arrays = (thing.value for thing in around if type(thing.value) is np.ndarray)
    return [(a, a.copy()) for a in arrays if a.size <= _SMALL]


def put_back(around: Sequence[Thing], arrays: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[str]:
    """Undo what a function has changed around it, a count of its calls, a list that grows, and tell
    what that was. New attributes and new entries of dicts may be what it keeps from its first call."""
    things = [
        t for t in around if not t.live and (t.expression != "len(o)" or type(t.owner) in _GROW)
    ]
    looked_up = ", ".join(t.expression.replace("o", f"o[{i}]", 1) for i, t in enumerate(things))
    try:
        found = eval(f"[{looked_up}]", {"o": [t.owner for t in things]})
    except (IndexError, ValueError):  # something is gone
        found = [None] * len(things)
    said = []
    for thing, value in zip(things, found, strict=True):
        if value is not thing.value and (thing.expression != "len(o)" or value != thing.value):
            said.append(_put_back(thing))
    for array, before in arrays:
        if array.tobytes() != before.tobytes():
            array[...] = before
            said.append("an array")
    return said


def check_changes(changed: list[str]) -> None:
    if changed:
        raise CaptureError(
            f"compile cannot capture that {changed[0]}, which is not an argument, is changed: a program"
            " would not do it again; return the new value instead"
        )


def _put_back(thing: Thing) -> str:
    owner, value = thing.owner, thing.value
    entry = re.fullmatch(r"o(?:\.get\((.*)\)|\[(.*)\])", thing.expression)
    if thing.expression == "o.cell_contents":
        owner.cell_contents = value
    elif type(owner) is list and not entry:
        del owner[value:]
    elif entry and isinstance(owner, dict | list):
        owner[ast.literal_eval(entry[1] or entry[2])] = value
    if type(owner) in _GROW:
        return f"a {type(owner).__name__}"
    return entry[1] if entry and entry[1] else "a variable"


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
