"""Loops: passes over the bodies of loops, and between a body and what is around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from autobp.compiler.passes.exact import dead_code_elimination, is_pure
from autobp.compiler.program import Loop, Program, Step, mapped, rebuilt, steps_in

__all__ = ["loop_optimization"]


def loop_optimization(program: Program, optimize: Callable[[Program], Program]) -> Program:
    """The program with the bodies of its loops optimized. Loops hand on and stack only what is used,
    and what is the same in all iterations is computed before them."""
    if not any(step.loop for step in program.steps):
        return program
    program = dead_code_elimination(program)
    used: dict[Step, set[int]] = {}
    for step in program.steps:
        if step.is_loop_result:
            used.setdefault(step.args[0], set()).add(step.args[1])
    instead: dict[Step, Step] = {}
    places: dict[Step, dict[int, int]] = {}  # of the results of loops
    steps: list[Step] = []
    for old in program.steps:
        step = rebuilt(old, instead)
        if old.loop:
            before, step, places[old] = _optimized(step, old.loop, used.get(old, set()), optimize)
            steps += before
        elif old.is_loop_result:
            loop, i = old.args
            step = step.with_(args=(step.args[0], places[loop][i]))
        if step is not old:
            instead[old] = step
        steps.append(step)
    return _with(program, steps, instead)


def _optimized(
    step: Step, loop: Loop, used: set[int], optimize: Callable[[Program], Program]
) -> tuple[list[Step], Step, dict[int, int]]:
    """A loop of whose results some are used: the steps that are done before it, the loop, and the new
    places of its results."""
    carried, sequences, invariants = step.args
    becomes, rows = loop.body.returns
    n = len(carried)
    rows = [(n + j, row) for j, row in enumerate(rows) if n + j in used]
    body = loop.body.with_(returns=((), tuple(row for _, row in rows)))
    held = _needed(body, loop.body.arguments[:n], becomes, {i for i in used if i < n})
    body = body.with_(returns=(tuple(becomes[i] for i in held), body.returns[1]))
    body = optimize(dead_code_elimination(body))

    given = dict(zip(body.arguments[n + len(sequences) :], invariants, strict=True))
    before, body = _hoisted(body, given)
    read = {s for s in body.steps for s in s.operands} | set(body.results)
    arguments = list(zip(body.arguments[:n], carried, strict=True))
    firsts = [arguments[i] for i in held]
    elements = zip(body.arguments[n : n + len(sequences)], sequences, strict=True)
    elements_ = [(a, x) for a, x in elements if a in read]
    around = [(a, x) for a, x in given.items() if a in read]
    parts = firsts, elements_, around
    body = body.with_(arguments=[a for part in parts for a, _ in part])
    args = tuple(tuple(x for _, x in part) for part in parts)
    step = step.with_(function=replace(loop, body=body), args=args)
    places = [*held, *(i for i, _ in rows)]
    return before, step, {old: new for new, old in enumerate(places)}


def _needed(
    body: Program, arguments: Sequence[Step], becomes: Sequence[Any], used: set[int]
) -> list[int]:
    """Which carried values are used: after the loop, or by an iteration for something that is."""
    held = set(used)
    while True:
        returns = [body.returns, [becomes[i] for i in held]]
        read = {
            s
            for step in dead_code_elimination(body.with_(returns=returns)).steps
            for s in step.operands
        }
        read.update(steps_in(returns))
        more = {i for i, a in enumerate(arguments) if a in read}
        if more <= held:
            return sorted(held)
        held |= more


def _with(program: Program, steps: list[Step], instead: dict[Step, Step]) -> Program:
    """A program of these steps, in which others are in place of some."""
    returns = mapped(lambda s: instead.get(s, s), program.returns)
    effects = {instead.get(s, s) for s in program.effects}
    return program.with_(steps=steps, returns=returns, effects=effects)


def _hoisted(body: Program, given: dict[Step, Any]) -> tuple[list[Step], Program]:
    """The steps of a body that are the same in all iterations, to be done before the loop, and the body
    without them. What it is `given` around it grows by their results."""
    before: list[Step] = []
    around = dict(given)  # what is the same in all iterations, as it is called outside
    instead: dict[Step, Step] = {}
    steps = []

    def give(used: Iterable[Step]) -> None:
        for s in used:
            if s in around and s not in given and s not in instead:
                instead[s] = Step(None, (), {}, s.shape, s.dtype, s.kind, s.name)
                given[instead[s]] = around[s]

    for old in body.steps:
        fixed = old.operands and all(s.is_constant or s in around for s in old.operands)
        if fixed and old not in body.effects and is_pure(old) and not old.loop:
            args, params = mapped(lambda s: around.get(s, s), (old.args, old.params))
            around[old] = old.with_(args=args, params=params)
            before.append(around[old])
            continue
        give(old.operands)
        step = rebuilt(old, instead)
        if step is not old:
            instead[old] = step
        steps.append(step)
    give(body.results)
    return before, _with(body, steps, instead)
