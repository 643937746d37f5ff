"""Liveness: when each array of a program is made, and when it is used for the last time.

One clock runs through a program and the bodies of its loops, each of which is passed once. What a loop
is called with is in use until its end.
"""

from __future__ import annotations

from autobp.compiler.program import Program, Step

__all__ = ["Liveness"]


class Liveness:
    """The live range of each step, and whose memory it may share."""

    now: int

    def __init__(self, program: Program) -> None:
        self.begin: dict[Step, int] = {}
        self.end: dict[Step, int] = {}  # of a loop that of its last iteration
        self.last_use: dict[Step, int] = {}  # of an array, and of all that shares its memory
        self.views: dict[Step, list[Step]] = {}  # of an array, where it is their one owner
        self._owners: dict[Step, tuple[Step, ...]] = {}  # of what may be a view
        self.now = 0
        self.length: int = self._pass(program)

    def _pass(self, program: Program) -> int:
        """Let the clock run through a program; its results are in use at the end, which is told."""
        for step in program.steps:
            self.begin[step] = self.now
            if step.loop:
                self.now += 1
                self._pass(step.loop.body)
            self.end[step] = self.now
            for s in step.operands:
                self._use(s)
            if _has_memory(step) and not (step.is_fresh or step.loop):
                owners = tuple(dict.fromkeys(o for s in step.operands for o in self.owners(s)))
                self._owners[step] = owners or (step,)
                if len(owners) == 1:
                    self.views.setdefault(owners[0], []).append(step)
            self.now += 1
        for s in program.results:
            self._use(s)
        return self.now

    def _use(self, step: Step) -> None:
        for owner in self.owners(step):
            self.last_use[owner] = self.now

    def owners(self, step: Step) -> tuple[Step, ...]:
        """The arrays whose memory a step may share; of a new array itself alone."""
        return self._owners.get(step, (step,))

    def is_owner(self, step: Step) -> bool:
        return self.owners(step) == (step,)

    def last(self, step: Step) -> int:
        """When the result of a step is used for the last time."""
        return self.last_use.get(step, self.end[step])

    def dies(self, step: Step, user: Step) -> bool:
        """Whether an array, and all that shares its memory, is used for the last time by a step."""
        return self.is_owner(step) and self.last_use.get(step) == self.end[user]


def _has_memory(step: Step) -> bool:
    """Whether a step makes arrays, which may share memory with others."""
    return step.is_array or step.kind is tuple or (step.kind is list and step.ndim > 1)
