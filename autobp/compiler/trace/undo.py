"""Undo: after a function was traced everything is as it was."""

from __future__ import annotations

import contextvars
import gc
import sys
from typing import Any

from autobp.compiler.terms import StateNotReady
from autobp.compiler.trace.arguments import Arguments
from autobp.compiler.trace.effects import Randomness, State, check_changes, check_draws
from autobp.compiler.trace.free_variables import Found
from autobp.compiler.trace.watching import resume

__all__ = ["Undo"]


class Undo:
    """A block at whose end everything is as it was, however it ends. An interrupt while things are
    put back is raised when all are. What had to be put back is checked apart, by `check`."""

    grown: str

    def __init__(self, found: Found, arguments: Arguments) -> None:
        self.found = found
        self.arguments = arguments
        self.profiler: Any = sys.getprofile()
        self.collects: bool = gc.isenabled()
        self.state: State = State(found)
        self.randomness: Randomness | None = None
        # A copy, so that no variable of it stays changed.
        self.context: contextvars.Context = contextvars.copy_context()
        self.is_early: bool = False  # an optimizer has only now made what it remembers
        self.effects: list[str] = []
        self.grown = ""
        self.drawn: list[str] = []

    def __enter__(self) -> Undo:
        gc.disable()  # whose callbacks would be taken for the function's doing
        return self

    def __exit__(self, *error: Any) -> None:
        trace = self.arguments.trace
        trace.closed = True
        self.found.ran = trace.met
        interrupt: KeyboardInterrupt | None = None
        for _ in range(10):
            try:
                self.put_back()
                break
            except KeyboardInterrupt as error_:
                interrupt = error_
        if interrupt is not None:
            raise interrupt

    def put_back(self) -> None:
        if sys.getprofile() is not self.profiler:  # an interrupt came before it was put back
            resume(self.profiler)
        if self.collects:
            gc.enable()
        self.is_early = self.arguments.release()
        self.effects, self.grown = self.state.restore(self.context)
        for live in self.arguments.tensors.values():
            self.effects += live.undo_effects(self.found)
        if self.randomness is not None:
            self.drawn = self.randomness.rewind()

    def check(self) -> None:
        """Raise an error if there was something that a program would not do again."""
        if self.is_early:
            raise StateNotReady("")
        check_draws(self.drawn)
        check_changes(self.effects)
        if self.grown:
            raise StateNotReady(self.grown)
