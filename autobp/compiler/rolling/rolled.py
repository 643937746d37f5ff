"""Rolled: a straight-line program in which what repeats has become loops."""

from __future__ import annotations

from autobp.compiler.passes.exact import dead_code_elimination
from autobp.compiler.program import Program
from autobp.compiler.rolling.making import LoopMaker
from autobp.compiler.rolling.operands import Source, sources, with_the_one_before
from autobp.compiler.rolling.periods import ITERATIONS, Run, runs
from autobp.compiler.rolling.tokens import Tokens

__all__ = ["rolled"]

STEPS = 400  # in a program: a shorter one stays as it is, and
MANY = 1000  # a shorter one than this too, unless loops leave less than half of it
FEWEST = 60  # steps in a loop, and
TRIMMED = 2  # iterations at most that stay before a loop, which takes what they make
SHARE = 64  # of the program's steps, at least one in so many is in each loop


def rolled(program: Program) -> Program:
    """The program with loops, if it is long and repeats itself."""
    if len(program.steps) < STEPS:
        return program
    program = dead_code_elimination(program)
    table = Tokens(program)
    if len(table.steps) < STEPS:
        return program
    found = _found(table, 0, len(table.steps))
    if not found:
        return program
    made = LoopMaker(program, table, found).program()
    steps = sum(len(part.steps) for part in made.nested())
    return program if len(program.steps) < MANY and 2 * steps > len(program.steps) else made


def _found(table: Tokens, first: int, last: int) -> list[tuple[Run, list[Source]]]:
    """The loops between two steps, in order: the longest, and those before it and after it."""
    for run in runs(table, first, last, least=max(FEWEST, len(table.steps) // SHARE)):
        begin = run.start
        body = sources(table, run)
        while body is None and run.count > ITERATIONS and run.start < begin + TRIMMED * run.period:
            run = Run(run.start + run.period, run.period, run.count - 1)
            body = sources(table, run)
        if body is not None:
            longer = with_the_one_before(table, run)
            if longer.start >= first and longer is not run:
                run, body = longer, sources(table, longer) or body
            before, after = _found(table, first, run.start), _found(table, run.end, last)
            return [*before, (run, body), *after]
    return []
