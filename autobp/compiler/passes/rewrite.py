"""Rewrite: a program becoming another, step by step, and what a rule may ask about a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.compiler.program import Program, Step, mapped, rebuilt

__all__ = [
    "Rewrite",
    "calls",
    "constant_step",
    "is_array",
    "is_number",
    "is_same",
    "rewriting",
]

Rule = Callable[[Step, "Rewrite"], Step | None]


class Rewrite:
    """A program being rewritten, step by step, by a rule that may return another step instead."""

    def __init__(self, program: Program) -> None:
        self.steps: list[Step] = []
        self.uses = Counter(s for step in program.steps for s in step.operands)
        self.uses.update(program.results)

    def run(self, program: Program, rule: Rule) -> Program:
        instead: dict[Step, Step] = {}
        for old in program.steps:
            step = rebuilt(old, instead)
            found = rule(step, self)  # None: as it is; another: already there, or among the steps
            if found is None:
                found = step
                self.steps.append(step)
            if found is not old:
                instead[old] = found
                self.uses[found] += self.uses[old]
                if found.name is None and found.function is not None:
                    found.name = old.name
        if not instead:
            return program
        returns = mapped(lambda s: instead.get(s, s), program.returns)
        kept = {instead.get(s, s) for s in program.effects} & set(self.steps)
        return program.with_(steps=self.steps, returns=returns, effects=kept)

    def call(self, like: Step, function: Any, *args: Any, **params: Any) -> Step:
        """A call in place of a step whose result it has."""
        step = like.with_(function=function, args=args, params=params)
        self.steps.append(step)
        return step

    def other(
        self, like: Step, function: Any, *args: Any, shape: tuple[int, ...], **params: Any
    ) -> Step:
        """A call on the way to it, of another shape."""
        step = like.with_(function=function, args=args, params=params, shape=shape, name=None)
        step.kind = (
            np.ndarray if shape else like.dtype.type if like.dtype is not None else like.kind
        )
        self.steps.append(step)
        return step

    def single(self, step: Any) -> bool:
        return isinstance(step, Step) and self.uses[step] == 1


def rewriting(rule: Rule) -> Callable[[Program], Program]:
    """A pass from a rule about one step."""

    def run(program: Program) -> Program:
        return Rewrite(program).run(program, rule)

    run.__name__, run.__doc__ = rule.__name__, rule.__doc__
    return run


def constant_step(array: np.ndarray) -> Step:
    return Step(None, (), {}, array.shape, array.dtype, np.ndarray, constant=array)


def is_number(x: Any, value: float | None = None) -> bool:
    """Whether an operand is a plain number, or that number."""
    return type(x) in (int, float) and (value is None or x == value)


def is_array(x: Any) -> bool:
    """Whether an operand is the array that a step makes."""
    return isinstance(x, Step) and x.is_array


def is_same(x: Any, step: Step) -> bool:
    """Whether an operand has the form of a result, and so can stand in for it."""
    return isinstance(x, Step) and (x.shape, x.dtype, x.kind) == (step.shape, step.dtype, step.kind)


def calls(x: Any, function: Any) -> bool:
    return isinstance(x, Step) and x.function == function  # not `is`: of methods there are many
