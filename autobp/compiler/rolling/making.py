"""Making: a program with loops in place of the runs of steps that repeat."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from autobp.compiler.program import Loop, Program, Step, form_of, mapped, rebuilt, steps_in
from autobp.compiler.rolling.bodies import Body
from autobp.compiler.rolling.columns import Irregular, Lists, Nest
from autobp.compiler.rolling.nests import Nested
from autobp.compiler.rolling.operands import Source
from autobp.compiler.rolling.periods import ITERATIONS, Run
from autobp.compiler.rolling.tokens import Tokens
from autobp.compiler.rolling.values import Rolled, Stack, Values
from autobp.compiler.rolling.words import Repeated

__all__ = ["Found", "LoopMaker", "nest_of"]

#: Functions of many arrays in a list, which may as well be given one array that has them as rows.
_OF_LISTS = (np.stack, np.concatenate, np.vstack, np.hstack)


Found = tuple[Run, Sequence[Source]] | Nest


def nest_of(program: Program, table: Tokens, row: Repeated) -> Nest | None:
    """A row of words as loops, if it can be."""
    nest = Nest(table, row)
    start, end = nest.start, nest.end
    steps = table.steps[start:end]
    if any(s.dtype is None or s in program.effects for s in steps):
        return None
    used = table.operands[(table.owners < start) | (table.owners >= end)]
    results = np.array([table.number(s) for s in program.results], np.int64)
    used = np.concatenate([used, results])
    used = np.unique(used[(used >= start) & (used < end)])
    is_last = np.array([nest.places[i].positions[-1] for i in nest.home[used - start]]) == used
    try:
        nest.find_sources()
        nest.check(used[is_last])
        nest.put_in_list(used[~is_last])
    except Irregular:
        return None
    return nest


class LoopMaker(Values):
    """The program with loops in place of runs, which are in order."""

    def __init__(self, program: Program, table: Tokens, found: Sequence[Found]) -> None:
        super().__init__(program, table)
        lists = Lists()
        for loop in found:
            if isinstance(loop, Nest):
                self.put(loop.start, loop.end, Nested(self, loop, lists))
                continue
            run, sources = loop
            needed = self.needed(run)
            if self.can_be_rolled(run, *needed):
                self.put(run.start, run.end, Rolled(run, sources, *needed))
        for loop in found:
            if isinstance(loop, Nest):
                for numbers in loop.listed():
                    lists.join(list(dict.fromkeys(map(self.member, numbers.tolist()))))
        self.effects: set[Step] = {s for s in program.effects if self.home[table.number(s)] < 0}

    def put(self, start: int, end: int, loop: Rolled | Nested) -> None:
        self.home[start:end] = len(self.loops)
        self.loops.append(loop)

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
        for loop in self.loops:
            for step in steps[position : loop.start]:
                self.keep(step)
            self.user = steps[loop.start]
            loop.make() if isinstance(loop, Nested) else self.roll(loop)
            position = loop.stop
        for step in steps[position:]:
            self.keep(step)
        returns = self.with_lists(self.old.returns)
        old = (s for s in steps_in(returns) if s in self.table)
        self.instead.update((s, self.operand(self.table.number(s))) for s in old)
        returns = mapped(lambda s: self.instead.get(s, s), returns)
        for loop in self.loops:
            if isinstance(loop, Nested):
                loop.finish()
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
        body = Body(self, rolled.run, rolled.sources)
        for place, (x, first, stride) in body.elements.items():
            rolled.stacks[place] = Stack(x, first, stride)
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

        for j, (end, value) in enumerate(zip(body.carried_places(), becomes, strict=True)):
            if end is not None and end in (*rows, *lasts) and end not in rolled.ends:
                rolled.ends[end] = result(j, *form_of(value))
                rolled.ends[end].name = value.name
        for j, (place, row) in enumerate(zip(rows, made, strict=True), len(becomes)):
            kind = np.ndarray if row.is_array else list
            rolled.stacks[place] = Stack(result(j, (run.count, *row.shape), row.dtype, kind))
