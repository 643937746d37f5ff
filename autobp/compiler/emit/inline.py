"""Inline: which steps are written where they are used, without a name of their own."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from autobp.compiler.emit.numbers import is_float_call, is_quotient
from autobp.compiler.program import Program, Step
from autobp.compiler.trace.calls import joined, numbers, select
from autobp.operation import COMPARISON, SIGNS

__all__ = ["inlined", "is_turn"]

OPERATIONS = 12  # at most so many on a line

#: Python's arithmetic that is written as it is.
_ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.neg)
_COMPARISONS = {sign.python for sign in SIGNS.values() if sign.binding == COMPARISON}


def inlined(programs: Iterable[Program]) -> set[Step]:
    """The steps of programs, one of which is within the other, that have no name."""
    programs = list(programs)
    steps = [step for program in programs for step in program.steps]
    uses = Counter(s for step in steps for s in step.operands)
    results = {s for program in programs for s in program.results}
    loops = [step for step in steps if step.loop]
    given = {s for step in loops for s in step.operands}  # which loops name
    found = {s for s in steps if is_turn(s)} | _numbers_within(steps, uses) | _terms(steps, uses)
    for body in programs[1:]:
        found |= _of_quotients(body.steps, uses)
    found |= _read_once(steps, uses) | _chosen(steps, uses)
    found -= results | given
    found |= _parts(programs[0], uses) - given
    sequences = {s for step in loops for s in step.args[1] if isinstance(s, Step)}
    lists = {s for step in loops for s in step.args[0] if isinstance(s, Step) and s.kind is list}
    sequences |= {s for s in lists if s.function is joined}  # that a loop makes longer
    return found | {s for s in sequences - results if uses[s] == 1 and _is_part(s)}


def _read_once(steps: list[Step], uses: Counter[Step]) -> set[Step]:
    """Elements of lists that are terms or factors of one other, and parts of lists in one other."""
    found = {s for step in steps if _is_arithmetic(step) for s in step.operands if _is_element(s)}
    lists = [step for step in steps if step.function is joined and step.ndim == 1]
    found.update(s for step in lists for s in step.operands if _is_part_of_list(s))
    return {s for s in found if uses[s] == 1}


def _parts(program: Program, uses: Counter[Step]) -> set[Step]:
    """What is returned of lists, and used for nothing else: elements, parts, and lists of those."""
    within = Counter(s for s in program.results if not uses[s])  # results, and lists that are
    found: set[Step] = set()
    for s in reversed(program.steps):
        is_list = (s.function is joined and s.ndim == 1) or _is_part_of_list(s) or _is_element(s)
        if within[s] == 1 and is_list:
            found.add(s)
            within.update(x for x in s.operands if uses[x] == 1)
    return found


def _is_element(step: Step) -> bool:
    """Whether a step is an element of a list of numbers, which stays where it is: lists but grow."""
    return _is_of_list(step) and type(step.args[1]) is not slice


def _is_part_of_list(step: Step) -> bool:
    return _is_of_list(step) and type(step.args[1]) is slice and len(step.operands) == 1


def _is_of_list(step: Step) -> bool:
    x = step.args[0] if step.function is operator.getitem else None
    return isinstance(x, Step) and x.kind is list and x.ndim == 1


def is_turn(step: Step) -> bool:
    """Whether a step is written as the attribute `.T` or `.mT`, which a Python number has not."""
    turn = step.function is np.transpose and len(step.args) == 1 and not step.params
    return (turn and not _is_number(step.args[0])) or step.function is np.matrix_transpose


def _is_number(x: Any) -> bool:
    return x.kind in (float, int, bool) if isinstance(x, Step) else isinstance(x, float | int)


def _is_part(step: Step) -> bool:
    """Whether a step is a slice, or what else a loop goes through and nothing else needs. A copy of an
    array is made where it stands: later, something else may be in the array's memory."""
    if step.function is operator.getitem:
        return type(step.args[1]) is slice
    return step.function in (joined, range) or (
        step.function is numbers and step.args[0].is_constant
    )


def _numbers_within(steps: list[Step], uses: Counter[Step]) -> set[Step]:
    """The calls of ufuncs that are made a float at once, and are used for nothing else."""
    made = ((step, step.args[0]) for step in steps if step.function is float)
    return {x for s, x in made if is_float_call(x) and uses[x] == 1 and x.errors == s.errors}


def _terms(steps: list[Step], uses: Counter[Step]) -> set[Step]:
    """Sums and products of floats that are terms and factors of one other."""
    sizes: dict[Step, int] = {}  # operations on the line of a step
    found = set()
    for step in steps:
        if not _is_arithmetic(step):
            continue
        sizes[step] = 1
        for s in step.operands:
            size = sizes[step] + sizes.get(s, OPERATIONS)
            if _is_alone(s, uses, step) and size <= OPERATIONS:
                found.add(s)
                sizes[step] = size
    return found


def _chosen(steps: list[Step], uses: Counter[Step]) -> set[Step]:
    """Comparisons, and floats of those, that are the condition of one choice, or one of its sides."""
    found: set[Step] = set()
    for step in steps:
        if step.function is select:
            alone = [s for s in step.operands if _is_alone(s, uses, step)]
            floats = {s for s in alone if s.function is float and s.operands[0].kind is bool}
            within = [(s, x) for s in floats for x in s.operands] + [(step, s) for s in alone]
            compared = {
                x for s, x in within if x.function in _COMPARISONS and _is_alone(x, uses, s)
            }
            found |= floats | compared
    return found


def _of_quotients(steps: list[Step], uses: Counter[Step]) -> set[Step]:
    """Sums and products that are one side of a quotient in a loop, which is tried."""
    quotients = [(step, step.args[0]) for step in steps if is_quotient(step)]
    pairs = [(step, x, s) for step, x in quotients for s in x.operands if uses[x] == 1]
    return {
        s
        for step, x, s in pairs
        if _is_arithmetic(s) and _is_alone(s, uses, step) and x.errors == step.errors
    }


def _is_alone(s: Step, uses: Counter[Step], user: Step) -> bool:
    """Whether nobody else needs a value, by a name or otherwise."""
    return uses[s] == 1 and s.name is None and s.errors == user.errors


def _is_arithmetic(step: Step) -> bool:
    return step.function in _ARITHMETIC and step.kind is float
