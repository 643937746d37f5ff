"""Rolled: a straight-line program in which what repeats has become loops."""

from __future__ import annotations

import math

from autobp.compiler.passes.exact import dead_code_elimination
from autobp.compiler.program import Program
from autobp.compiler.rolling.columns import Nest
from autobp.compiler.rolling.making import Found, LoopMaker, nest_of
from autobp.compiler.rolling.operands import Source, sources, with_the_one_before
from autobp.compiler.rolling.periods import ITERATIONS, Run, runs
from autobp.compiler.rolling.tokens import Tokens
from autobp.compiler.rolling.words import words

__all__ = ["rolled"]

STEPS = 400  # in a program: a shorter one stays as it is, and
LEFT = 3  # one of which loops leave more than a third: they take longer, and so does making them
LONG = 200  # steps with all loops: loops of many lengths are looked for too
WORTH = 1000  # steps that are looked through for one less with loops
MOST = 12  # loops that are found before those are looked for
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
    found = _found(table, 0, len(table.steps), MOST)
    made = _with_loops(program, table, found)
    size = _size(made)
    if size > LONG + len(table.steps) // WORTH:
        nested = _with_loops(program, table, _nests(program, table))
        if 2 * _size(nested) < size:
            made, size = nested, _size(nested)
        elif len(found) > MOST:
            made = _with_loops(program, table, _found(table, 0, len(table.steps)))
            size = _size(made)
    return program if LEFT * size > len(program.steps) else made


def _with_loops(program: Program, table: Tokens, found: list[Found]) -> Program:
    """The program with loops, if they may leave little enough of it."""
    outside = len(table.steps) - sum(end - start for start, end in map(_span, found))
    if not found or LEFT * outside > len(program.steps):
        return program
    return LoopMaker(program, table, found).program()


def _span(loop: Found) -> tuple[int, int]:
    """Where a loop begins and ends."""
    whole = loop if isinstance(loop, Nest) else loop[0]
    return whole.start, whole.end


def _size(program: Program) -> int:
    return sum(len(part.steps) for part in program.nested())


def _nests(program: Program, table: Tokens) -> list[Found]:
    """The loops of a program, of which those within others may have other lengths each time."""
    rows = [row for row in words(table) if 2 * (row.last - row.first) >= FEWEST]
    nests = [nest_of(program, table, row) for row in rows if row.is_nested]
    flat = [row for row in rows if not row.is_nested]
    found: list[Found] = []
    position = 0
    for nest in (*filter(None, nests), None):
        end = nest.start if nest else len(table.steps)
        found += _found(table, position, end)
        taken = [*map(_span, found)]
        for row in flat:
            is_free = all(row.last < start or row.first >= stop for start, stop in taken)
            if position <= row.first and row.last < end and is_free:
                found += filter(None, [nest_of(program, table, row)])
        if nest is not None:
            found.append(nest)
            position = nest.end
    return sorted(found, key=_span)


def _found(table: Tokens, first: int, last: int, most: float = math.inf) -> list[Found]:
    """The loops between two steps, in order: the longest, and those before it and after it. Of more
    than the most, only some."""
    found: list[tuple[Run, list[Source]]] = []
    gaps = [(first, last)]
    while gaps and len(found) <= most:
        first, last = gaps.pop()
        loop = _longest(table, first, last)
        if loop is not None:
            found.append(loop)
            gaps += (first, loop[0].start), (loop[0].end, last)
    return [*sorted(found, key=lambda loop: loop[0].start)]


def _longest(table: Tokens, first: int, last: int) -> tuple[Run, list[Source]] | None:
    """The longest loop between two steps."""
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
            return run, body
    return None
