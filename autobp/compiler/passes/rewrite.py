"""Rewrite: what a pass is, how a program becomes another, and what a rule may ask about a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.compiler.program import Program, Step, mapped, rebuilt

__all__ = [
    "Pass",
    "Rewrite",
    "constant_step",
    "each",
    "is_array",
    "is_number",
    "is_same",
]

Rule = Callable[[Step, "Rewrite"], Step | None]  # None: the step stays
Condition = Callable[[Step], bool]


@dataclass(frozen=True)
class Pass:
    """A function from programs to programs that compute the same. It changes nothing unless a step
    meets the precondition."""

    run: Callable[[Program], Program]
    requires: Condition
    exact: bool = True  # the same numbers; else the same to rounding
    lowers: bool = False  # runs once, after the fixed point of the others

    @property
    def name(self) -> str:
        return self.run.__name__

    def __call__(self, program: Program) -> Program:
        return self.run(program) if any(map(self.requires, program.steps)) else program


def each(rule: Rule, requires: Condition, exact: bool = True, lowers: bool = False) -> Pass:
    """A pass that applies a rule to each step that meets the precondition."""

    def run(program: Program) -> Program:
        apply = lambda step, rewrite: rule(step, rewrite) if requires(step) else None
        return Rewrite(program).run(program, apply)

    run.__name__, run.__doc__ = rule.__name__, rule.__doc__
    return Pass(run, requires, exact, lowers)


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
        effects = {instead.get(s, s) for s in program.effects} & set(self.steps)
        return program.with_(steps=self.steps, returns=returns, effects=effects)

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
        """Whether a step is used once."""
        return isinstance(step, Step) and self.uses[step] == 1


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
