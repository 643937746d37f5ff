"""Pieces: a long program as several functions, called one after the other.

To compile a function Python takes two to four kilobytes a line, all at once. Functions that are
compiled one by one need that memory one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from autobp.compiler.emit.source import Printer
from autobp.compiler.program import Program, Step

__all__ = ["Piece", "pieces"]

LONGEST = 4000  # steps of a program that is one function
STEPS = 1000  # of a piece


class Piece(NamedTuple):
    """Steps in a row that are a function of their own."""

    program: Program
    takes: list[str]  # names that it is called with
    gives: list[str]  # names that it returns
    freed: list[str]  # of those that it is called with, what nobody needs after it


def pieces(printer: Printer, program: Program) -> list[Piece]:
    """The pieces of a long program; of a short one there are none, nor of one with loops, which would
    be short without what it is that they go around."""
    if len(program.steps) <= LONGEST or any(step.loop for step in program.steps):
        return []
    found: list[Piece] = []
    known: set[str] = {printer.names[s] for s in program.arguments if s in printer.names}
    for steps in _cut(program.steps):
        read = dict.fromkeys(name for step in steps for name in _read(printer, step.operands))
        made = {printer.names[step] for step in steps if step in printer.names}
        takes = [name for name in read if name in known]
        freed = {
            printer.names.get(s, "") for step in steps for s in printer.plan.freed.get(step, ())
        }
        found.append(
            Piece(program.with_(steps=steps), takes, [*made], [n for n in takes if n in freed])
        )
        known |= made
    needed = {*_read(printer, program.results)}  # after a piece
    for i, piece in reversed([*enumerate(found)]):
        found[i] = piece._replace(gives=sorted(needed.intersection(piece.gives)))
        needed.update(piece.takes)
    return found


def _cut(steps: list[Step]) -> Iterator[list[Step]]:
    """Steps in rows of about one length, which begin under the usual np.errstate."""
    row: list[Step] = []
    for step in steps:
        if len(row) >= STEPS and not step.errors:
            yield row
            row = []
        row.append(step)
    yield row


def _read(printer: Printer, steps: Iterable[Step]) -> Iterator[str]:
    """The names that steps are read by; of one that is written where it is used, those in it."""
    for step in steps:
        if step in printer.inline:
            yield from _read(printer, step.operands)
        elif not step.is_constant:
            yield printer.names[step]
