"""Values: where what the steps of a program make is, once some of them are in loops."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autobp.compiler.passes.rewrite import constant_step
from autobp.compiler.program import Program, Step
from autobp.compiler.rolling.operands import Source
from autobp.compiler.rolling.periods import ITERATIONS, Run
from autobp.compiler.rolling.tokens import Tokens
from autobp.compiler.trace.calls import joined, numbers

__all__ = ["Rolled", "Stack", "Values"]

Array = Any


@dataclass
class Stack:
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
    stacks: dict[int, Stack] = field(default_factory=dict)
    ends: dict[int, Step] = field(default_factory=dict)  # what the last iteration has made

    @property
    def start(self) -> int:
        return self.run.start

    @property
    def stop(self) -> int:
        return self.run.end

    def member(self, number: int) -> int:
        return number

    def end(self, number: int) -> Step | None:
        """What the last iteration has made, if an operand is that."""
        k, place = divmod(number - self.run.start, self.run.period)
        return self.ends.get(place) if k == self.run.count - 1 else None

    def stack(self, number: int) -> tuple[Stack, int] | None:
        """The stack that an operand is in, and its index there."""
        k, place = divmod(number - self.run.start, self.run.period)
        stack = self.stacks.get(place)
        return None if stack is None else (stack, stack.first + k * stack.stride)


class Values:
    """What is now in the place of the operands of a program, which is being rewritten."""

    def __init__(self, program: Program, table: Tokens) -> None:
        self.old = program
        self.table = table
        self.argument_at: dict[Any, int] = {s: i for i, s in enumerate(program.arguments)}
        self.home: np.ndarray = np.full(
            len(table.steps), -1, np.int64
        )  # the loop that a step is in
        self.loops: list[Any] = []  # each one Rolled or Nested
        self.elements: dict[int, Step] = {}  # of stacks and lists
        self.steps: list[Step] = []  # of the new program
        self.user: Step = table.steps[0]  # the old step that is being kept, or the first of a loop
        self.instead: dict[Step, Step] = {}

    def operand(self, number: int) -> Any:
        """What is now in the place of an operand."""
        if number < 0:
            return self.table.outside[-1 - number]
        home = int(self.home[number])
        if home < 0:
            step = self.table.steps[number]
            return self.instead.get(step, step)
        loop = self.loops[home]
        end = loop.end(number)
        if end is not None:
            return end
        if number not in self.elements:
            stack, index = loop.stack(number)
            like = self.table.steps[number]
            args = stack.step, index
            element = like.with_(function=operator.getitem, args=args, params={}, errors=())
            element.scope, element.phase = self.user.scope, self.user.phase
            self.steps.append(element)
            self.elements[number] = element
        return self.elements[number]

    def member(self, number: int) -> Any:
        """An operand as a member of lists."""
        home = int(self.home[number]) if number >= 0 else -1
        return number if home < 0 else self.loops[home].member(number)

    def rank(self, number: int) -> tuple[int, int]:
        """The order of operands in a list: those that are written, arguments, and what is made."""
        if number >= 0:
            return 2, number
        x = self.table.outside[-1 - number]
        return (1, self.argument_at[x]) if x in self.argument_at else (0, -number)

    def old_operand(self, number: int) -> Any:
        """An operand as the program had it."""
        return self.table.steps[number] if number >= 0 else self.table.outside[-1 - number]

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
            if all(isinstance(x, Step) and x.shape and x.is_constant for x in values):
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

    def place(self, number: int) -> tuple[Stack | None, int]:
        """The stack that an operand is in, and its index there."""
        home = int(self.home[number]) if number >= 0 else -1
        if home < 0:
            return None, 0
        return self.loops[home].stack(number) or (None, 0)

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
