"""Iterations: one iteration of a scan while it is traced, and the loop that is made of it.

The body of a scan runs once, on tracers of its own for the carry and for a row of each sequence. What
it takes from around it becomes an invariant of the loop.

An iteration may go through the iterations of another loop again, as one of a sweep does. What it takes
from those, the other loop stacks, and this one is given row by row.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autobp.compiler.program import Loop, Program, Step, mapped, steps_in
from autobp.compiler.trace.calls import numbers
from autobp.compiler.trace.tracer import Tracer
from autobp.context import clock
from autobp.tensor import Tensor

__all__ = ["Iteration"]

Trace = Any  # see trace.py, which stands on this

_PYTHONS = (float, int, bool, complex)


@dataclass(eq=False)
class Iteration:
    """The steps of one iteration, and the loop."""

    trace: Trace
    count: int
    is_reversed: bool  # it goes from the last row of what the scan is given to the first
    of: Iteration | None  # of the loop whose iterations it goes through again
    outer: Iteration | None
    around: list[Step]  # the steps that the loop is one of
    steps: list[Step] = field(default_factory=list)
    arguments: list[Step] = field(default_factory=list)
    began: int = field(default_factory=clock)
    ended: int = 0  # 0: not yet
    loop: Step = field(init=False)
    own: set[Step] = field(default_factory=set)  # its steps and arguments, when it is over
    sequences: dict[Step, Any] = field(default_factory=dict)  # by the arguments that are rows
    stacks: dict[Step, Step] = field(default_factory=dict)  # results of the loop, by their rows
    turned: dict[Any, Step] = field(default_factory=dict)  # the same from the last row to the first
    arrays: dict[Step, Step] = field(default_factory=dict)  # of lists of numbers that are its steps
    turned_arrays: dict[Step, Step] = field(default_factory=dict)  # of those that the loop gives
    recordings: Any = None  # of the loop as an operation: see scanning.py

    def argument(self, now: Any) -> Tracer:
        dtype = now.dtype if hasattr(now, "dtype") else np.dtype(type(now))
        kind = np.ndarray if isinstance(now, np.ndarray) else type(now)
        step = Step(None, (), {}, np.shape(now), dtype, kind)
        self.arguments.append(step)
        self.trace.unnamed.add(step)
        tracer = Tracer(self.trace, step, now)
        tracer.borrowed = True
        return tracer

    def lineage(self) -> Iterator[Iteration]:
        """The loops whose iterations it goes through again."""
        of = self.of
        while of is not None:
            yield of
            of = of.of

    def maker(self, t: Tensor) -> Iteration | None:
        """Which of these made a tensor."""
        made = (of for of in self.lineage() if of.began < t.born < of.ended)
        return next(made, None)

    def discard(self) -> None:
        self.trace.effects.difference_update(self.steps)

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────

    def close(self, carried: Sequence[Any], becomes: Sequence[Any], rows: Sequence[Step]) -> None:
        """Make the loop: the first carried values, what becomes of them, and the rows to stack."""
        trace = self.trace
        self.own.update(self.arguments, self.steps)
        swap: dict[Step, Step] = {}
        invariants: dict[Step, Step] = {}
        used = [s for step in self.steps for s in step.operands]
        for s in (*used, *steps_in((list(becomes), list(rows)))):
            if s in self.own or s in swap or s.is_constant:
                continue
            of = trace.over.get(s)
            if of is not None and of in self.lineage():
                swap[s] = self.row_of(of, s)
            else:
                invariants[s] = swap[s] = Step(None, (), {}, s.shape, s.dtype, s.kind, s.name)
        swapped = lambda s: swap.get(s, s)
        for step in self.steps:
            if not swap.keys().isdisjoint(step.operands):
                step.args, step.params = mapped(swapped, (step.args, step.params))
                step.operands = [*steps_in(step.args), *steps_in(step.params)]
        self.arguments += invariants.values()
        self.own.update(self.arguments)
        effects = trace.effects.intersection(self.steps)
        returns = mapped(swapped, (tuple(becomes), tuple(rows)))
        body = Program(self.arguments, self.steps, returns, effects)
        args = tuple(carried), tuple(self.sequences.values()), tuple(invariants)
        self.loop = Step(Loop(body, self.count), args, {}, (), None, tuple)
        trace.record(self.loop)
        trace.effects -= effects
        if effects:
            trace.effects.add(self.loop)
        trace.over.update(dict.fromkeys(self.own, self))
        self.ended = clock()

    def row_of(self, of: Iteration, step: Step) -> Step:
        """What a step made in the same iteration of another loop, as an argument of this one."""
        made = of.array(step) if step.kind is list else step
        argument = Step(None, (), {}, step.shape, step.dtype, made.kind, step.name)
        self.arguments.append(argument)
        self.sequences[argument] = of.stack(made, turned=of.is_reversed is not self.is_reversed)
        if step.kind is list:
            kind = self.trace.element_kinds[step]
            function: Any = numbers if kind in _PYTHONS else list
        elif step.is_array and not step.shape:
            function = np.asarray
            argument.kind = step.dtype.type if step.dtype else float  # as NumPy gives such rows
        else:
            return argument
        cast = argument.with_(function=function, args=(argument,), kind=step.kind)
        self.steps.insert(0, cast)
        self.own.add(cast)
        return cast

    def array(self, stack: Step) -> Step:
        """An array of a list of numbers."""
        if stack not in self.arrays:
            args = stack, stack.dtype
            array = stack.with_(function=np.array, args=args, kind=np.ndarray)
            self.arrays[stack] = array
            self.steps.insert(self.steps.index(stack) + 1, array)
            self.own.add(array)
            self.trace.over[array] = self
        return self.arrays[stack]

    def stack(self, step: Step, turned: bool = False) -> Any:
        """What a step makes in all iterations, in the order of the loop or turned round: an array, or
        a list of numbers."""
        stack = self.sequences.get(step) or self.stacks.get(step)
        if stack is None:
            loop: Any = self.loop.loop
            carried, rows = loop.body.returns
            loop.body.returns = carried, (*rows, step)
            stack = self.stacks[step] = self.result(len(carried) + len(rows), step, self.count)
        if turned and stack not in self.turned:
            args = stack, slice(None, None, -1)
            step = Step(operator.getitem, args, {}, stack.shape, stack.dtype, stack.kind)
            if stack.kind is list:
                self.trace.element_kinds[step] = self.trace.element_kinds[stack]
            self.turned[stack] = step
            self.insert(step, stack if stack in self.around else self.loop)
        return self.turned[stack] if turned else stack

    def stacked_array(self, step: Step) -> Step:
        """What a step makes in all iterations, as an array, in the order of what the scan is given."""
        stack: Step = self.stack(step, self.is_reversed)
        if stack.kind is not list:
            return stack
        if stack not in self.turned_arrays:
            args = stack, stack.dtype
            array = stack.with_(function=np.array, args=args, kind=np.ndarray, name=step.name)
            self.turned_arrays[stack] = array
            self.insert(array, stack)
        return self.turned_arrays[stack]

    def result(self, i: int, step: Step, *count: int) -> Step:
        """A step that takes a result of the loop."""
        kind = step.kind if not count else np.ndarray if step.is_array else list
        name = step.name and f"{step.name}s" if count else step.name
        item = Step(
            operator.getitem, (self.loop, i), {}, (*count, *step.shape), step.dtype, kind, name
        )
        if kind is list:
            self.trace.element_kinds[item] = step.kind
        self.insert(item, self.loop)
        return item

    def insert(self, step: Step, after: Step) -> None:
        """Put a step where the loop is, which may be in an iteration that is over."""
        step.scope, step.phase = self.loop.scope, self.loop.phase
        self.around.insert(self.around.index(after) + 1, step)
        if self.outer is not None and self.outer.ended:
            self.outer.own.add(step)
            self.trace.over[step] = self.outer

    def stacked(self, x: Any) -> Any:
        """A value of the iteration in all iterations, in the order of what the scan is given."""
        if not isinstance(x, Tracer):
            return repeated(x, self.count)
        return Tracer(self.trace, self.stacked_array(x.step), repeated(x.now, self.count))


def repeated(now: Any, count: int) -> np.ndarray:
    """An array of so many rows, for its form."""
    return np.array(np.broadcast_to(now, (count, *np.shape(now))))
