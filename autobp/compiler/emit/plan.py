"""Plan: where each result is put, so that a program allocates once and works in place.

Every array that a program makes on the way gets a buffer in one arena, which is allocated with the
program. A buffer is used again when what is in it was used for the last time, and elementwise work is
done in the buffer of an operand that nobody needs any more.

A loop has buffers that live as long as it does: its stacked results, in whose rows the iterations put
what they add, and its carried arrays. An iteration computes the next value of those in place, or in a
spare buffer; then the buffers change their roles.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import accumulate
from typing import Any

import numpy as np

from autobp.compiler.emit.arena import Range, placed
from autobp.compiler.emit.liveness import Liveness
from autobp.compiler.images import Order, images_in
from autobp.compiler.program import Loop, Program, Step, form_of, used_by

__all__ = ["Buffer", "Home", "LoopPlan", "Plan", "planned"]

_SLOW_IN_PLACE = (np.sign,)  # NumPy takes ten times as long where the result replaces the argument
LET_GO = 1 << 16  # bytes: smaller arrays stay until the program ends


class Home(Enum):
    """Whose the memory of a buffer is."""

    ARENA = auto()
    NUMPY = auto()  # which makes a new array at each call
    ARGUMENT = auto()  # the caller's, who gives it away
    ROW = auto()  # a row of a stacked result


@dataclass(eq=False)
class Buffer:
    """Memory that one array after the other is in."""

    nbytes: int
    first: int  # its live range
    last: int
    home: Home = Home.ARENA
    argument: Step | None = None  # that is given away
    start: int = 0  # in the arena
    form: Any = None  # of all arrays that are in it, if they have one


@dataclass
class LoopPlan:
    """Buffers that live as long as a loop."""

    stacks: list[Buffer | None]  # None: a list of numbers
    copied: set[int] = field(default_factory=set)  # which carried values an iteration copies
    rows: dict[Buffer, int] = field(default_factory=dict)  # and the stacks that they are rows of
    spares: dict[Buffer, Step] = field(default_factory=dict)  # and the argument that is spare next


@dataclass
class Plan:
    buffers: dict[Step, Buffer] = field(default_factory=dict)
    in_place: set[Step] = field(default_factory=set)  # steps done in the buffer of an operand
    images: dict[Step, Order] = field(
        default_factory=dict
    )  # steps whose pixels are first in memory
    freed: dict[Step, list[Step]] = field(default_factory=dict)  # what nobody needs after a step
    loops: dict[Step, LoopPlan] = field(default_factory=dict)
    size: int = 0  # of the arena
    peak: int = 0  # the most that is held at once, results included


def planned(
    program: Program,
    given: Iterable[Step] = (),
    updated: Mapping[Step, Step] | None = None,
    reuse: bool = False,
) -> Plan:
    """Buffers for the steps of a program. Arguments that are given away may be overwritten, and so may
    those that are `updated`, by the results that are to take their place; results are put in the arena
    only if they may be overwritten by the next call."""
    planner = _Planner(program, set(given))
    planner.overwrite(updated or {})
    planner.plan_steps(program, _Results(set() if reuse else set(program.results), set()))
    planner.lay_out()
    return planner.plan


@dataclass
class _Results:
    """What a program returns that must not stay in its arena. Of the body of a loop, `carried` are
    those to be computed in a spare buffer, and `rows` those in a row of a stacked result."""

    outside: set[Step]
    carried: set[Step]
    rows: set[Step] = field(default_factory=set)
    span: tuple[int, int] = (0, 0)  # the live range of what is carried


class _Planner:
    def __init__(self, program: Program, given: set[Step]) -> None:
        self.live = Liveness(program)
        self.plan = Plan()
        self.buffers: list[Buffer] = []
        self.carried: set[Buffer] = set()  # what loops carry is in them
        self.given = given
        # Until the last check has passed, nothing of the caller's is overwritten.
        self.checked = max((self.live.end[s] for s in program.effects), default=-1)

    def new_buffer(self, nbytes: int, first: int, last: int, **about: Any) -> Buffer:
        self.buffers.append(Buffer(nbytes, first, last, **about))
        return self.buffers[-1]

    # ── the steps ─────────────────────────────────────────────────────────────────────────────────

    def plan_steps(self, program: Program, results: _Results) -> None:
        self.plan.images |= images_in(program)
        users = used_by(program)
        for step in program.steps:
            first, last = self.live.begin[step], self.live.last(step)
            if step.loop:
                self.plan_loop(step, step.loop)
            elif not self.live.is_owner(step):
                if step not in self.plan.images and _is_copy(step, self.plan.images):
                    self.new_buffer(step.nbytes, first, self.live.length, home=Home.NUMPY)
            elif step.kind is tuple:
                parts = (s for s in users.get(step, []) if s.function is operator.getitem)
                nbytes = sum(s.nbytes for s in parts)
                self.plan.buffers[step] = self.new_buffer(nbytes, first, last, home=Home.NUMPY)
            elif step.is_array and step not in self.plan.buffers:
                buffer = self.buffer_for(step, results)
                if buffer is not None:
                    buffer.last = max(buffer.last, last)
                    self.plan.buffers[step] = buffer
        self.free(program)

    def buffer_for(self, step: Step, results: _Results) -> Buffer | None:
        """The buffer of an operand; else a new one, if the result is new memory."""
        if step.is_elementwise and step.function not in _SLOW_IN_PLACE:
            for s in step.args:
                buffer = self.dying(s, step, results)
                if buffer is not None:
                    self.plan.in_place.add(step)
                    self.return_in(buffer, step, results)
                    return buffer
            buffer = self.reshaped(step)
            if buffer is not None and step not in results.outside:
                buffer.form = None
                return buffer
        if not step.is_fresh:
            return None
        strided = not step.is_elementwise and any(s in self.plan.images for s in step.operands)
        home = Home.ARENA if step.takes_out and not strided else Home.NUMPY
        first = self.live.begin[step]
        buffer = self.new_buffer(step.nbytes, first, first, home=home, form=form_of(step))
        self.return_in(buffer, step, results)
        return buffer

    def dying(self, operand: Any, step: Step, results: _Results) -> Buffer | None:
        """The buffer of an operand that is needed no longer, and has the form of the result."""
        if not _is_alike(operand, step) or not self.live.dies(operand, step):
            return None
        now = self.live.end[step]
        if operand in self.given and now > self.checked and step in results.outside:
            return Buffer(step.nbytes, now, now, Home.ARGUMENT, operand)
        buffer = self.plan.buffers.get(operand)
        return buffer if buffer is not None and buffer.home is not Home.ARGUMENT else None

    def reshaped(self, step: Step) -> Buffer | None:
        """The buffer of an array that dies with this step, which is called with another shape of it."""
        view = next((s for s in step.args if _is_alike(s, step) and s.function is np.reshape), None)
        if view is None:
            return None
        array: Any = view.args[0]
        buffer = self.plan.buffers.get(array)
        if buffer is None or buffer.home is not Home.ARENA or buffer in self.carried:
            return None
        return buffer if self.live.last_use.get(array) == self.live.end[step] else None

    def return_in(self, buffer: Buffer, step: Step, results: _Results) -> None:
        """Where a step makes a result, its buffer becomes one that lives on."""
        if step not in results.outside or buffer.home is not Home.ARENA or buffer in self.carried:
            return
        alike = buffer.form == form_of(step)
        if step in results.carried and alike:
            buffer.first, buffer.last = results.span
        elif step in results.rows and alike:
            buffer.home = Home.ROW
        else:
            buffer.home = Home.NUMPY

    def free(self, program: Program) -> None:
        """Tell after which step the large arrays that NumPy made are needed no longer, nor their views."""
        at = {self.live.end[step]: step for step in program.steps}
        for step in program.steps:
            buffer = self.plan.buffers.get(step)
            if buffer is None or buffer.home is not Home.NUMPY or buffer.nbytes < LET_GO:
                continue
            if buffer.last in at:
                done = [step, *self.live.views.get(step, ())]
                self.plan.freed.setdefault(at[buffer.last], []).extend(done)

    # ── loops ─────────────────────────────────────────────────────────────────────────────────────

    def plan_loop(self, step: Step, loop: Loop) -> None:
        """Buffers for what a loop carries and stacks, and for the steps of its body."""
        span = self.live.begin[step], self.live.last(step)
        arguments = loop.body.arguments[: len(step.args[0])]
        becomes, rows = loop.body.returns
        buffers = self.plan.buffers
        plan = LoopPlan([self.stack(row, loop.count, span) for row in rows])
        for argument in arguments:
            if argument.is_array:
                buffers[argument] = self.new_buffer(argument.nbytes, *span, form=form_of(argument))
                self.carried.add(buffers[argument])
        arrays = [s for s in becomes if isinstance(s, Step) and s.is_array]
        made = [s for s in dict.fromkeys(arrays) if s in self.live.begin and s.is_fresh]
        outside = set(loop.body.results)
        self.plan_steps(loop.body, _Results(outside, set(made), set(rows) - {*becomes}, span))
        for j, s in enumerate(becomes):
            if s in arrays and (s in becomes[:j] or s not in {*made, *arguments}):
                plan.copied.add(j)
        for j, row in enumerate(rows):
            if row in buffers and buffers[row].home is Home.ROW:
                plan.rows.setdefault(buffers[row], j)
        kept = {buffers.get(s) for s in arrays}
        free = [a for a in arguments if a.is_array and buffers[a] not in kept]
        for s in made:
            if buffers[s].home is Home.NUMPY:
                buffers[s].first, buffers[s].last = span
            elif buffers[s] not in self.carried:
                plan.spares[buffers[s]] = next(a for a in free if form_of(a) == form_of(s))
                free.remove(plan.spares[buffers[s]])
        self.carried.update(plan.spares)
        self.plan.loops[step] = plan

    def stack(self, row: Step, count: int, span: tuple[int, int]) -> Buffer | None:
        return self.new_buffer(count * row.nbytes, *span) if row.is_array else None

    # ── arguments that are overwritten ────────────────────────────────────────────────────────────

    def overwrite(self, updated: Mapping[Step, Step]) -> None:
        """Find the steps that are done in the memory of an argument: those that lead, one in the buffer
        of the other, from its last use to the result that replaces it."""
        for result, argument in updated.items():
            chains: list[tuple[Step, ...]] = [(result,)]
            while chains:
                step, *_ = chain = chains.pop()
                now = self.live.end.get(step, -1)
                if now <= self.checked or not step.is_elementwise or not _is_alike(argument, step):
                    continue
                if argument in step.args and self.live.last_use.get(argument) == now:
                    buffer = Buffer(argument.nbytes, now, now, Home.ARGUMENT, argument)
                    self.plan.in_place.update(chain)
                    self.plan.buffers.update(dict.fromkeys(chain, buffer))
                    break
                dying = (s for s in step.operands if self.live.last_use.get(s) == now)
                chains += ((s, *chain) for s in dying)

    # ── the arena ─────────────────────────────────────────────────────────────────────────────────

    def lay_out(self) -> None:
        """Give each buffer of the arena its start, and tell how much is held at most."""
        arena = [b for b in self.buffers if b.home is Home.ARENA]
        starts, self.plan.size = placed([Range(b.nbytes, b.first, b.last) for b in arena])
        for buffer, start in zip(arena, starts, strict=True):
            buffer.start = start
        changes = [0] * (self.live.length + 2)  # of what NumPy holds
        for buffer in self.buffers:
            if buffer.home is Home.NUMPY:
                changes[buffer.first] += buffer.nbytes
                changes[buffer.last + 1] -= buffer.nbytes
        self.plan.peak = self.plan.size + max(accumulate(changes))


def _is_alike(s: Any, step: Step) -> bool:
    return isinstance(s, Step) and s.is_array and (s.shape, s.dtype) == (step.shape, step.dtype)


def _is_copy(step: Step, images: Mapping[Step, Order]) -> bool:
    """Whether what could be a view is most likely none: an array that is turned and then reshaped."""
    x: Any = step.args[0] if step.function is np.reshape else None
    turned = isinstance(x, Step) and x.function is np.transpose and len(x.args) == 2
    return x in images or (turned and x.args[0] not in images)
