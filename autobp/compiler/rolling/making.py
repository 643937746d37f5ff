"""Making: a program with loops in place of the runs of steps that repeat."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autobp.compiler.passes.rewrite import constant_step
from autobp.compiler.program import Loop, Program, Step, form_of, mapped, rebuilt, steps_in
from autobp.compiler.rolling.bodies import Body
from autobp.compiler.rolling.operands import Source
from autobp.compiler.rolling.periods import ITERATIONS, Run
from autobp.compiler.rolling.tokens import Tokens
from autobp.compiler.trace.calls import joined, numbers

__all__ = ["LoopMaker"]

#: Functions of many arrays in a list, which may as well be given one array that has them as rows.
_OF_LISTS = (np.stack, np.concatenate, np.vstack, np.hstack)

Array = Any


@dataclass
class _Stack:
    """Where the values are that the iterations of a loop have made: element `first + k * stride` of
    what a step makes."""

    step: Step
    first: int = 0
    stride: int = 1


@dataclass
class Rolled:
    """A loop in the making."""

    run: Run
    sources: Sequence[Source]
    rows: list[int]  # the places in the body of what is needed of all iterations
    lasts: list[int]  # of what is needed of the last alone
    stacks: dict[int, _Stack] = field(default_factory=dict)
    ends: dict[int, Step] = field(default_factory=dict)  # what the last iteration has made
    elements: dict[tuple[int, int], Step] = field(default_factory=dict)


class LoopMaker:
    """The program with loops in place of runs, which are in order."""

    def __init__(
        self, program: Program, table: Tokens, found: Sequence[tuple[Run, Sequence[Source]]]
    ) -> None:
        self.old = program
        self.table = table
        self.home = np.full(len(table.steps), -1, np.int64)  # the loop that a step is in
        self.loops: list[Rolled] = []
        for run, sources in found:
            needed = self.needed(run)
            if self.can_be_rolled(run, *needed):
                self.home[run.start : run.end] = len(self.loops)
                self.loops.append(Rolled(run, sources, *needed))
        self.steps: list[Step] = []
        self.user = table.steps[0]  # the step that is being kept, or the first of a loop
        self.instead: dict[Step, Step] = {}
        self.effects = {s for s in program.effects if self.home[table.number(s)] < 0}

    def needed(self, run: Run) -> tuple[list[int], list[int]]:
        """Which steps of the body are used elsewhere: those of all iterations, of the last alone."""
        table = self.table
        used, owners = table.operands, table.owners
        apart = (owners < run.start) | (owners >= run.end)
        used = used[apart & (used >= run.start) & (used < run.end)]
        results = np.array([table.number(s) for s in self.old.results], np.int64)
        used = np.concatenate([used, results[(results >= run.start) & (results < run.end)]])
        iterations, places = np.divmod(np.unique(used) - run.start, run.period)
        rows = set(places[iterations < run.count - 1].tolist())
        return sorted(rows), sorted(set(places.tolist()) - rows)

    def can_be_rolled(self, run: Run, rows: list[int], lasts: list[int]) -> bool:
        """Whether all that leaves the loop is an array or a number."""
        steps = self.table.steps[run.start : run.start + run.period]
        leaving = [steps[place] for place in (*rows, *lasts)]
        return all(s.dtype is not None and (s.shape or not s.is_array) for s in leaving)

    def program(self) -> Program:
        position, steps = 0, self.table.steps
        for rolled in self.loops:
            for step in steps[position : rolled.run.start]:
                self.keep(step)
            self.roll(rolled)
            position = rolled.run.end
        for step in steps[position:]:
            self.keep(step)
        returns = self.with_lists(self.old.returns)
        old = (s for s in steps_in(returns) if s in self.table)
        self.instead.update((s, self.operand(self.table.number(s))) for s in old)
        returns = mapped(lambda s: self.instead.get(s, s), returns)
        return self.old.with_(steps=self.steps, returns=returns, effects=self.effects)

    # ── steps that stay ───────────────────────────────────────────────────────────────────────────

    def keep(self, step: Step) -> None:
        kept = self.user = step
        if step.function in _OF_LISTS and all(isinstance(x, Step) for x in step.args[0]):
            first, *others = step.args
            kept = step.with_(args=(self.listed(first), *others))
        for s in kept.operands:
            if s not in self.instead and s in self.table:
                self.instead[s] = self.operand(self.table.number(s))
        kept = rebuilt(kept, self.instead)
        if kept is not step:
            self.instead[step] = kept
        if step in self.effects:
            self.effects.remove(step)
            self.effects.add(kept)
        self.steps.append(kept)

    def operand(self, number: int) -> Any:
        """What is now in the place of an operand."""
        if number < 0:
            return self.table.outside[-1 - number]
        home = int(self.home[number])
        if home < 0:
            step = self.table.steps[number]
            return self.instead.get(step, step)
        rolled = self.loops[home]
        k, place = divmod(number - rolled.run.start, rolled.run.period)
        if k == rolled.run.count - 1 and place in rolled.ends:
            return rolled.ends[place]
        if (k, place) not in rolled.elements:
            stack, like = rolled.stacks[place], self.table.steps[number]
            args = stack.step, stack.first + k * stack.stride
            element = like.with_(function=operator.getitem, args=args, params={}, errors=())
            element.scope, element.phase = self.user.scope, self.user.phase
            self.steps.append(element)
            rolled.elements[k, place] = element
        return rolled.elements[k, place]

    def old_operand(self, number: int) -> Any:
        """An operand as the program had it."""
        return self.table.steps[number] if number >= 0 else self.table.outside[-1 - number]

    # ── lists ─────────────────────────────────────────────────────────────────────────────────────

    def listed(self, nest: Any) -> Any:
        """A list of arrays, of which those that a loop has made are taken at once."""
        steps = [x for x in nest if isinstance(x, Step)]
        if len(steps) < ITERATIONS:
            return nest
        pieces = self.pieces([self.table.number(x) for x in nest])
        if not any(isinstance(piece, Step) for piece in pieces):
            return nest
        return self.joined(pieces, steps[0].shape, steps[0].dtype)

    def with_lists(self, nest: Any) -> Any:
        """The nest that is returned, with the numbers that a loop has made taken at once."""
        kind = type(nest)
        if kind is dict:
            return {k: self.with_lists(x) for k, x in nest.items()}
        if kind not in (list, tuple):
            return nest
        is_number = lambda x: x.kind is float if isinstance(x, Step) else type(x) is float
        if kind is list and all(map(is_number, nest)):
            return self.listed(nest)
        return kind(map(self.with_lists, nest))

    # ── loops ─────────────────────────────────────────────────────────────────────────────────────

    def roll(self, rolled: Rolled) -> None:
        """Make the loop, and steps that take its results."""
        run, steps, effects_ = rolled.run, self.table.steps, self.old.effects
        self.user = steps[run.start]
        body = Body(self, rolled.run, rolled.sources)
        for place, (x, first, stride) in body.elements.items():
            rolled.stacks[place] = _Stack(x, first, stride)
        rows = [place for place in rolled.rows if place not in rolled.stacks]
        lasts = [place for place in rolled.lasts if place not in rolled.stacks]
        for place in lasts:
            body.carry_out(place)
        effects = {v for i, v in enumerate(body.values, run.start) if steps[i] in effects_}
        becomes = tuple(body.becomes())
        made = tuple(body.values[place] for place in rows)
        if not body.steps:
            return
        program = Program(body.arguments, body.steps, (becomes, made), effects)
        like = steps[run.start]
        loop = Step(Loop(program, run.count), body.given, {}, (), None, tuple)
        loop.scope, loop.phase = like.scope, like.phase
        self.steps.append(loop)
        if effects:
            self.effects.add(loop)

        def result(j: int, shape: tuple[int, ...], dtype: Any, kind: type) -> Step:
            part = Step(operator.getitem, (loop, j), {}, shape, dtype, kind)
            part.scope, part.phase = loop.scope, loop.phase
            self.steps.append(part)
            return part

        for j, (place, value) in enumerate(zip(body.carried_places(), becomes, strict=True)):
            if place is not None and place in (*rows, *lasts) and place not in rolled.ends:
                rolled.ends[place] = result(j, *form_of(value))
                rolled.ends[place].name = value.name
        for j, (place, row) in enumerate(zip(rows, made, strict=True), len(becomes)):
            kind = np.ndarray if row.is_array else list
            rolled.stacks[place] = _Stack(result(j, (run.count, *row.shape), row.dtype, kind))

    # ── what differs from iteration to iteration ──────────────────────────────────────────────────

    def sequence(self, operands: Array, form: tuple[Any, ...]) -> Any:
        """What a loop goes through to be given these operands one by one."""
        if np.all(operands < 0):
            return self.given_sequence([self.table.outside[-1 - i] for i in operands.tolist()])
        pieces = self.pieces(operands.tolist())
        if len(pieces) == 1:
            return pieces[0]
        return self.joined(pieces, *form[:2])

    def given_sequence(self, values: list[Any]) -> Any:
        """Numbers, arguments or constants as a sequence."""
        first = values[0]
        if any(isinstance(x, Step) for x in values):
            if first.shape and all(x.is_constant for x in values):
                return constant_step(np.stack([x.constant for x in values]))
            return tuple(values)
        if type(first) is int and len({*np.diff(values).tolist()}) == 1:
            stride = values[1] - first
            return range(first, first + stride * len(values), stride)
        table = constant_step(np.array(values))
        if isinstance(first, np.generic):
            return table
        made = Step(numbers, (table,), {}, (len(values),), table.dtype, list)
        made.scope, made.phase = self.user.scope, self.user.phase
        self.steps.append(made)
        return made

    def pieces(self, operands: list[int]) -> list[Any]:
        """Operands in order: slices of stacks, and tuples of single ones."""
        places = [self.place(number) for number in operands]
        found: list[Any] = []
        i = 0
        while i < len(operands):
            (stack, first), j, stride = places[i], i + 1, 0
            if stack is not None and j < len(operands):
                stride = places[j][1] - first
                while j < len(operands) and places[j] == (stack, first + stride * (j - i)):
                    j += 1
            if stack is not None and stride and j - i >= ITERATIONS:
                found.append(self.slice(stack.step, first, stride, j - i))
            else:
                single = tuple(self.operand(number) for number in operands[i:j])
                if found and type(found[-1]) is tuple:
                    found[-1] += single
                else:
                    found.append(single)
            i = j
        return found

    def place(self, number: int) -> tuple[_Stack | None, int]:
        """The stack that an operand is in, and its index there."""
        home = int(self.home[number]) if number >= 0 else -1
        if home < 0:
            return None, 0
        run = self.loops[home].run
        k, place = divmod(number - run.start, run.period)
        stack = self.loops[home].stacks.get(place)
        return (None, 0) if stack is None else (stack, stack.first + k * stack.stride)

    def slice(self, x: Step, first: int, stride: int, count: int) -> Step:
        """Elements of an array or of a list."""
        end, size = first + stride * count, x.shape[0]
        if first == 0 and stride == 1 and count == size:
            return x
        begin = None if first == (0 if stride > 0 else size - 1) else first
        stop = None if (end >= size if stride > 0 else end < 0) else end
        index = slice(begin, stop, None if stride == 1 else stride)
        made = Step(operator.getitem, (x, index), {}, (count, *x.shape[1:]), x.dtype, x.kind)
        made.scope, made.phase = self.user.scope, self.user.phase
        self.steps.append(made)
        return made

    def joined(self, pieces: list[Any], shape: tuple[int, ...], dtype: Any) -> Any:
        """One list of slices and of single operands; a slice alone is as good."""
        if len(pieces) == 1:
            return pieces[0]
        size = sum(len(p) if type(p) is tuple else p.shape[0] for p in pieces)
        made = Step(joined, tuple(pieces), {}, (size, *shape), dtype, list)
        made.scope, made.phase = self.user.scope, self.user.phase
        self.steps.append(made)
        return made
