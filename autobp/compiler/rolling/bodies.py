"""Bodies: one iteration of a run as a program."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from autobp.compiler.passes.rewrite import constant_step
from autobp.compiler.program import Step, form_of
from autobp.compiler.rolling.operands import Carried, Each, Invariant, Local, Source
from autobp.compiler.rolling.periods import Run
from autobp.compiler.rolling.tokens import filled
from autobp.compiler.rolling.values import Values

__all__ = ["Body"]


class Body:
    """The body of a loop in the making, and what the loop is called with."""

    def __init__(self, outer: Values, run: Run, sources: Sequence[Source]) -> None:
        self.outer = outer
        self.run = run
        self.registers: dict[Carried, tuple[Step, Any]] = {}  # and what they begin with
        self.sequences: dict[Any, tuple[Step, Any]] = {}
        self.invariants: dict[int, tuple[Step, Any]] = {}
        self.values: list[Step] = []  # by places
        self.elements: dict[int, tuple[Step, int, int]] = {}  # places that read a row of an array
        self.steps: list[Step] = []
        table = outer.table
        begin = run.start + run.count // 2 * run.period  # an iteration like most
        self.templates: list[Step] = table.steps[begin : begin + run.period]
        self.lasts: list[Step] = table.steps[run.end - run.period : run.end]
        starts = table.starts[run.start : run.start + run.period + 1] - table.starts[run.start]
        for i, template in enumerate(self.templates):
            mine = sources[starts[i] : starts[i + 1]]
            row = self.row(template, mine)
            if row is None:
                operands = map(self.operand, mine)
                step = filled(template, operands)
                self.steps.append(step)
            else:
                step, self.elements[i] = row
            self.values.append(step)

    @property
    def arguments(self) -> list[Step]:
        kinds = self.registers, self.sequences, self.invariants
        return [argument for kind in kinds for argument, _ in kind.values()]

    @property
    def given(self) -> tuple[Any, ...]:
        kinds = self.registers, self.sequences, self.invariants
        return tuple(tuple(x for _, x in kind.values()) for kind in kinds)

    # ── operands ──────────────────────────────────────────────────────────────────────────────────

    def operand(self, source: Source) -> Any:
        if isinstance(source, Local):
            return self.values[source.step]
        if isinstance(source, Carried):
            return self.register(source)
        if isinstance(source, Invariant):
            return self.invariant(source.number)
        key = source.numbers.tobytes()
        if key not in self.sequences:
            first = self.outer.old_operand(int(source.numbers[0]))
            name = (first.name or "").rstrip("0123456789_") if isinstance(first, Step) else ""
            sequence = self.outer.sequence(source.numbers, form_of(first))
            self.sequences[key] = _argument(form_of(first), name or None), sequence
        return self.sequences[key][0]

    def register(self, source: Carried) -> Step:
        """The argument that holds the value of an earlier iteration."""
        if source not in self.registers:
            like = self.templates[source.step]
            first = self.outer.operand(source.firsts[-1])
            self.registers[source] = _argument(form_of(like), self.name(source.step)), first
            if len(source.firsts) > 1:
                self.register(Carried(source.step, source.firsts[:-1]))
        return self.registers[source][0]

    def name(self, place: int) -> str | None:
        """What is carried has the name that it has in the end, if it has none in between."""
        return self.templates[place].name or self.lasts[place].name

    def carry_out(self, place: int) -> None:
        """Let the last iteration's value be a result of the loop."""
        if place in self.carried_places():
            return
        like = self.templates[place]
        array = np.zeros(like.shape, like.dtype)
        zero = constant_step(array) if like.is_array else like.kind(0)
        self.registers[Carried(place, ())] = _argument(form_of(like), self.name(place)), zero

    def invariant(self, number: int) -> Any:
        x = self.outer.operand(number)
        if not isinstance(x, Step) or x.is_constant:
            return x
        if number not in self.invariants:
            self.invariants[number] = _argument(form_of(x), x.name), x
        return self.invariants[number][0]

    def row(self, template: Step, sources: Sequence[Source]) -> Any:
        """The argument in place of a step that reads a row of an array, another in each iteration,
        and which rows of what it reads: where they begin, and how far apart they are."""
        if template.function is not operator.getitem or len(sources) != 2:
            return None
        array, index = sources
        if not isinstance(array, Invariant) or not isinstance(index, Each):
            return None
        at = template.args[1]
        is_row = type(at) is int or (type(at) is tuple and len(at) == 1)
        x = self.outer.operand(array.number)
        given = [self.outer.old_operand(i) for i in index.numbers.tolist()]
        if not is_row or not x.is_array or not x.shape or {*map(type, given)} != {int}:
            return None
        rows = np.array(given)
        stride, *others = {*np.diff(rows).tolist()}
        if others or not stride or np.any(rows < 0):
            return None
        if not template.is_array and template.kind is not x.dtype.type:
            return None
        key = "row", array.number, int(rows[0]), stride
        if key not in self.sequences:
            sequence = self.outer.slice(x, int(rows[0]), stride, self.run.count)
            self.sequences[key] = _argument(form_of(template), template.name), sequence
        return self.sequences[key][0], (x, int(rows[0]), stride)

    # ── results ───────────────────────────────────────────────────────────────────────────────────

    def becomes(self) -> Iterator[Step]:
        """What the registers hold in the next iteration."""
        for register in self.registers:
            if len(register.firsts) > 1:
                yield self.registers[Carried(register.step, register.firsts[:-1])][0]
            else:
                yield self.values[register.step]

    def carried_places(self) -> list[int | None]:
        """Of each register, what it holds at the end if that is of the last iteration."""
        return [r.step if len(r.firsts) <= 1 else None for r in self.registers]


def _argument(form: tuple[Any, ...], name: str | None) -> Step:
    shape, dtype, kind = form
    return Step(None, (), {}, shape, dtype, kind, name)
