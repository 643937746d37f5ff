"""Passes of loops: their bodies are programs too.

Loops are gone through from the last to the first, since what a later one no longer reads, an earlier
one need not stack.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from autobp.compiler.passes.accumulations import Accumulation, accumulations
from autobp.compiler.passes.exact import dead_code_elimination, is_pure
from autobp.compiler.passes.order import with_carried_last
from autobp.compiler.passes.rewrite import constant_step
from autobp.compiler.passes.rows import recomputed_rows
from autobp.compiler.program import Program, Step, form_of, mapped, rebuilt

__all__ = ["with_optimized_bodies"]


def with_optimized_bodies(
    program: Program, optimized: Callable[[Program], Program], exact: bool = False
) -> Program:
    """The program with the bodies of its loops optimized. What is the same for all iterations is
    computed before the loop; what nobody reads is neither carried nor stacked. Unless all must be
    `exact`, what is added to places of an array is added after the loop."""
    for loop in reversed([step for step in program.steps if step.loop]):
        program = dead_code_elimination(program)
        if loop in program.steps:
            program = _Optimization(program, loop).run(optimized, exact)
    program, changed = recomputed_rows(program)
    for loop in reversed([step for step in program.steps if step.loop] if changed else []):
        program = dead_code_elimination(program)
        as_it_is = lambda body: body
        program = _Optimization(program, loop).run(
            optimized if loop in changed else as_it_is, exact
        )
    return program


class _Sum(NamedTuple):
    """What an array becomes to which a loop only adds."""

    begin: Any  # what is added to, or None if the loop adds something itself
    terms: list[Accumulation]


class _Optimization:
    """One loop of a program while its body is optimized."""

    def __init__(self, program: Program, step: Step) -> None:
        loop = step.loop
        assert loop is not None
        self.program = program
        self.step = step
        self.loop = loop
        self.count = loop.count
        self.parts = [s for s in program.steps if s.is_loop_result and s.args[0] is step]
        self.body = loop.body
        self.given: list[list[Any]] = [list(xs) for xs in step.args]
        ends = [0, *(len(xs) for xs in self.given)]
        starts = [sum(ends[: i + 1]) for i in range(len(ends))]
        self.arguments = [loop.body.arguments[a:b] for a, b in pairwise(starts)]
        becomes, rows = loop.body.returns
        self.becomes: list[Any] = list(becomes)
        self.rows: list[Any] = list(rows)
        self.carried_at = list(range(len(becomes)))  # by the index that a result had
        self.rows_at: list[int] = list(range(len(rows)))
        self.sums: dict[int, _Sum] = {}  # by the index that a result had

    def run(self, optimized: Callable[[Program], Program], exact: bool) -> Program:
        self.narrow()
        returns = tuple(self.becomes), tuple(self.rows)
        arguments = [a for kind in self.arguments for a in kind]
        self.body = optimized(self.body.with_(arguments=arguments, returns=returns))
        self.becomes, self.rows = map(list, self.body.returns)
        if not exact and self.count and not self.loop.varies:
            self.take_sums_out()
        hoisted = self.hoist()
        self.drop_unused()
        return self.replaced(hoisted)

    def narrow(self) -> None:
        """Leave out what is stacked or carried for nobody."""
        carried = len(self.becomes)
        used = {part.args[1] for part in self.parts}
        self.rows_at = [j for j in self.rows_at if j + carried in used]
        self.rows = [self.rows[j] for j in self.rows_at]
        keep = {j for j in range(carried) if j in used}
        while True:
            becomes = [self.becomes[j] for j in sorted(keep)]
            body = dead_code_elimination(self.body.with_(returns=(becomes, self.rows)))
            read = {s for step in body.steps for s in step.operands}.union(body.results)
            more = {j for j, a in enumerate(self.arguments[0]) if a in read} - keep
            if not more:
                break
            keep |= more
        self.body = body
        self.carried_at = sorted(keep)
        self.becomes = becomes
        self.arguments[0] = [self.arguments[0][j] for j in self.carried_at]
        self.given[0] = [self.given[0][j] for j in self.carried_at]

    def take_sums_out(self) -> None:
        """Let what is added to places of arrays be added after the loop."""
        sequences = dict(zip(self.arguments[1], self.given[1], strict=True))
        steps = list(self.body.steps)
        totals: dict[Step, Step] = {}
        for j, old in reversed([*enumerate(self.carried_at)]):
            carried, begin = self.arguments[0][j], self.given[0][j]
            found = accumulations(self.body, carried, self.becomes[j], sequences)
            if found is None:
                continue
            taken, others = found
            total = carried
            for term in others:
                total = self.becomes[j].with_(function=np.add, args=(total, term))
                steps.append(total)
            self.becomes[j] = total
            if not others:
                for kept in (self.arguments[0], self.given[0], self.becomes, self.carried_at):
                    del kept[j]
            self.sums[old] = _Sum(None if others else begin, taken)
            for put in taken:
                if put.is_stacked and put.x not in self.rows:
                    self.rows.append(put.x)
                    self.rows_at.append(-1)
                elif not put.is_stacked and put.x not in totals:
                    totals[put.x] = self.carry_sum(put.x, steps)
                put.at = self.rows.index(put.x) if put.is_stacked else totals[put.x]
        arguments = [a for kind in self.arguments for a in kind]
        returns = tuple(self.becomes), tuple(self.rows)
        self.body = self.body.with_(arguments=arguments, steps=steps, returns=returns)
        self.body = dead_code_elimination(self.body)

    def carry_sum(self, x: Step, steps: list[Step]) -> Step:
        """A new carried value: the sum of what the iterations make."""
        argument = Step(None, (), {}, x.shape, x.dtype, x.kind)
        zero = constant_step(np.zeros(x.shape, x.dtype)) if x.is_array else x.kind(0)
        add: Any = operator.add if x.kind is float else np.add
        steps.append(x.with_(function=add, args=(argument, x), params={}, name=None))
        self.arguments[0].append(argument)
        self.given[0].append(zero)
        self.becomes.append(steps[-1])
        self.carried_at.append(-1 - len(self.carried_at))
        return argument

    def hoist(self) -> list[Step]:
        """Take the steps out of the body that are the same for all iterations."""
        outside: dict[Step, Any] = dict(zip(self.arguments[2], self.given[2], strict=True))
        hoisted: list[Step] = []
        inside: dict[Step, Step] = {}  # and the arguments in their place
        steps: list[Step] = []
        for step in self.body.steps:
            is_same = all(s.is_constant or s in outside for s in step.operands)
            is_value = step.dtype is not None and not step.loop and step not in self.body.effects
            if is_same and is_value and is_pure(step) and step.operands:
                swap = lambda s: outside.get(s, s)
                made = step.with_(args=mapped(swap, step.args), params=mapped(swap, step.params))
                hoisted.append(made)
                shape, dtype, kind = form_of(step)
                argument = Step(None, (), {}, shape, dtype, kind, step.name)
                inside[step] = argument
                outside[step] = outside[argument] = made
                self.arguments[2].append(argument)
                self.given[2].append(made)
            else:
                steps.append(rebuilt(step, inside))
                if steps[-1] is not step:
                    inside[step] = steps[-1]
        effects = {inside.get(s, s) for s in self.body.effects}
        self.becomes, self.rows = mapped(lambda s: inside.get(s, s), [self.becomes, self.rows])
        self.body = self.body.with_(steps=steps, effects=effects)
        return hoisted

    def drop_unused(self) -> None:
        """Leave out the sequences and invariants that the body does not read."""
        read = {s for step in self.body.steps for s in step.operands}
        read.update(s for s in (*self.becomes, *self.rows) if isinstance(s, Step))
        for kind in (1, 2):
            pairs = zip(self.arguments[kind], self.given[kind], strict=True)
            kept = [(a, x) for a, x in pairs if a in read]
            if kind == 1 and self.loop.varies:  # the sequences say how often
                kept = kept or [*zip(self.arguments[1][:1], self.given[1][:1], strict=True)]
            self.arguments[kind] = [a for a, _ in kept]
            self.given[kind] = [x for _, x in kept]

    def replaced(self, hoisted: Sequence[Step]) -> Program:
        """The program with the new loop in place of the old one."""
        program, step = self.program, self.step
        given = self.given_rows()
        rows = [row for row in dict.fromkeys(self.rows) if row not in given]
        body = self.body.with_(
            arguments=[a for kind in self.arguments for a in kind],
            returns=(tuple(self.becomes), tuple(rows)),
        )
        body = with_carried_last(body, self.arguments[0])
        args = tuple(map(tuple, self.given))
        loop = step.with_(function=replace(self.loop, body=body), args=args)
        instead = {step: loop}
        carried = {old: new for new, old in enumerate(self.carried_at)}
        before = len(self.step.args[0])
        sums: dict[Step, list[Step]] = {}
        for part in self.parts:
            old = part.args[1]
            if old in self.sums:
                sums[part] = self.summed(part, loop, rows, carried.get(old))
                instead[part] = sums[part][-1]
                continue
            if old < before:
                instead[part] = part.with_(args=(loop, carried[old]))
                continue
            row = self.rows[self.rows_at.index(old - before)]
            if row in given:
                instead[part] = given[row]
            else:
                new = len(self.carried_at) + rows.index(row)
                instead[part] = part.with_(args=(loop, new))
        steps: list[Step] = []
        for s in program.steps:
            if s is step:
                steps += hoisted
            if s in sums:
                steps += sums[s]
                continue
            made = instead.get(s) or rebuilt(s, instead)
            if made is not s:
                instead[s] = made
            if made.is_loop_result or not s.is_loop_result:  # else it is there already
                steps.append(made)
        returns = mapped(lambda s: instead.get(s, s), program.returns)
        effects = {instead.get(s, s) for s in program.effects}
        return program.with_(steps=steps, returns=returns, effects=effects)

    def given_rows(self) -> dict[Step, Step]:
        """Rows that are elements of a list which the loop goes through, with the list: it is there
        already. One that is returned is the caller's, who may change it."""
        before = len(self.step.args[0])
        added = {
            self.rows[t.at] for total in self.sums.values() for t in total.terms if t.is_stacked
        }
        results = {part.args[1] for part in self.parts if part in self.program.results}
        added.update(row for row, at in zip(self.rows, self.rows_at) if at + before in results)
        pairs = zip(self.arguments[1], self.given[1], strict=True)
        return {
            a: x
            for a, x in pairs
            if isinstance(x, Step)
            and x.kind is list
            and x.shape == (self.count,)
            and a not in added
        }

    def summed(
        self, part: Step, loop: Step, rows: Sequence[Any], carried: int | None
    ) -> list[Step]:
        """The steps that add to a result of the loop what was taken out of it."""
        begin, terms = self.sums[part.args[1]]
        steps = [] if carried is None else [part.with_(args=(loop, carried), name=None)]
        total = steps[0] if steps else begin
        for term in terms:
            if term.is_stacked:
                place = len(self.carried_at) + rows.index(self.rows[term.at])
                shape = (self.count, *term.x.shape)
                kind = np.ndarray if term.x.is_array else list
            else:
                place = self.arguments[0].index(term.at)
                shape, _, kind = form_of(term.x)
            x = Step(operator.getitem, (loop, place), {}, shape, term.x.dtype, kind)
            x.scope, x.phase = loop.scope, loop.phase
            put = term.added(x)
            put.scope, put.phase = loop.scope, loop.phase
            steps += x, put
            if total.is_constant and not total.constant.any() and form_of(total) == form_of(put):
                total = put
            else:
                total = part.with_(function=np.add, args=(total, put), name=None)
                steps.append(total)
        total.name = part.name
        return steps
