"""Rewrite: what a pass is, how a program becomes another, and what a rule may ask about a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from autobp.compiler.program import Program, Step, mapped, rebuilt

__all__ = [
    "Pass",
    "Rewrite",
    "constant_step",
    "each",
    "frozen",
    "has_arrays",
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
    rule: Rule | None = None  # what it does to one step, if it goes through them one by one
    numbers: bool = False  # its rule is for steps without arrays too

    @property
    def name(self) -> str:
        return self.run.__name__

    def __call__(self, program: Program) -> Program:
        return self.run(program) if any(map(self.requires, program.steps)) else program


def each(
    rule: Rule,
    requires: Condition,
    exact: bool = True,
    lowers: bool = False,
    numbers: bool = False,
) -> Pass:
    """A pass that applies a rule to each step that meets the precondition. Rules for single `numbers`
    are alone in being asked about steps without arrays, of which there may be very many."""

    def run(program: Program) -> Program:
        return Rewrite(program).run([made])

    run.__name__, run.__doc__ = rule.__name__, rule.__doc__
    made = Pass(run, requires, exact, lowers, rule, numbers)
    return made


class Rewrite:
    """A program being rewritten, step by step, by rules that may return another step instead.

    A rewrite goes once through a program and applies all rules to one step before it comes to the
    next. It tells which steps are `fresh`, since a rule that comes first has not seen what a later one
    made, and what is `single` now: rules look at these in the next rewrite, and at no others."""

    def __init__(self, program: Program, earlier: Rewrite | None = None) -> None:
        self.program = program
        self.steps: list[Step] = []
        self.uses: Counter[Step] = Counter(
            chain.from_iterable(step.operands for step in program.steps)
        )
        self.uses.update(program.results)
        self.keys: dict[Step, Any] = earlier.keys if earlier else {}
        self.constants: dict[Any, Step] = earlier.constants if earlier else {}  # by what they hold
        self.known: dict[Any, Step] = {}  # steps by what they call
        self.lasting: set[Step] = set()  # steps on the way to several
        self.asked: list[Any] = []  # keys of the step that the rules look at
        self.fresh: set[Step] = set()
        self.single_now: set[Step] = set()
        if earlier is not None:
            self.single_now = {s for s, n in self.uses.items() if n == 1 and earlier.uses[s] != 1}

    def run(self, passes: Sequence[Pass], dirty: Collection[Step] | None = None) -> Program:
        """The program after all rules; of `dirty` steps only, and of those that come to be others."""
        rules = [(p.rule, p.requires) for p in passes if p.rule]
        rules_of_numbers = [(p.rule, p.requires) for p in passes if p.rule and p.numbers]
        instead: dict[Step, Step] = {}
        replaced, steps, uses, single_now = instead.keys(), self.steps, self.uses, self.single_now
        keys, known = self.keys, self.known
        for old in self.program.steps:
            step = old if replaced.isdisjoint(old.operands) else rebuilt(old, instead)
            if (
                dirty is not None
                and step is old
                and old not in dirty
                and single_now.isdisjoint(old.operands)
            ):
                key = keys.get(old)
                if key is None or known.setdefault(key, old) is old:
                    steps.append(old)
                    continue
            found = self.rewritten(step, rules if has_arrays(step) else rules_of_numbers)
            if found is not old:
                instead[old] = found
                uses[found] += uses[old]
                if found.name is None and found.function is not None:
                    found.name = old.name
        program = self.program
        if not instead:
            return program
        returns = mapped(lambda s: instead.get(s, s), program.returns)
        effects = program.effects
        if effects:
            effects = {instead.get(s, s) for s in effects} & set(steps)
        return program.with_(steps=steps, returns=returns, effects=effects)

    def rewritten(self, step: Step, rules: Sequence[tuple[Rule, Condition]]) -> Step:
        """What becomes of a step by the rules, each of which sees what the one before has made."""
        steps, fresh = self.steps, self.fresh
        start = len(steps)
        self.asked.clear()
        for rule, requires in rules:
            found = rule(step, self) if requires(step) else None
            if found is None:
                continue
            if len(steps) == start or steps[-1] is not found or found in self.lasting:
                break  # it is already there
            step = steps.pop()
            fresh.add(step)
        else:
            found = step
            steps.append(step)
        if len(steps) > start + 1:
            fresh.update(steps[start:])
        for key in self.asked:
            self.known.setdefault(key, found)
        return found

    # ── what rules do ─────────────────────────────────────────────────────────────────────────────

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

    def shared(self, step: Step) -> Step:
        """A call on the way to a result, made once however many results ask for it."""
        key = self.key(step)
        if key not in self.known:
            self.steps.append(step)
            self.lasting.add(step)
            self.keys[step], self.known[key] = key, step
        return self.known[key]

    def single(self, step: Any) -> bool:
        """Whether a step is used once."""
        return isinstance(step, Step) and self.uses[step] == 1

    def known_call(self, step: Step) -> Step | None:
        """The step before that calls the same, if there is one; else this is the first."""
        key = self.keys.get(step)
        if key is None:
            constants = [s for s in step.operands if s.function is None and s.is_constant]
            if constants:
                alike = {s: self.constant(s) for s in constants}
                if any(s is not c for s, c in alike.items()):
                    made = rebuilt(step, alike)
                    self.steps.append(made)
                    return self.known_call(made) or made
            key = self.keys[step] = self.key(step)
        self.asked.append(key)
        return self.known.get(key)

    def key(self, step: Step) -> Any:
        """What tells a call from others."""
        args = tuple([a if type(a) is Step else frozen(a) for a in step.args])
        params = frozen(step.params) if step.params else None
        return step.function, args, params, step.errors, step.run if step.run > 0 else 0

    def constant(self, c: Step) -> Step:
        """The first constant that holds the same."""
        if c not in self.keys:
            self.keys[c] = c.shape, c.dtype, c.constant.tobytes()
        return self.constants.setdefault(self.keys[c], c)


def frozen(nest: Any) -> Any:
    """A nest of steps and plain values as a key of a dict, which tells −0.0 from 0.0, and 1 from
    True."""
    kind = type(nest)
    if kind is Step:
        return nest
    if kind is tuple or kind is list:
        return kind, tuple(map(frozen, nest))
    if kind is dict:
        return tuple((k, frozen(v)) for k, v in nest.items()) if nest else None
    if kind is float and nest == nest and nest:
        return kind, nest
    if kind is slice:
        return kind, frozen((nest.start, nest.stop, nest.step))
    return kind, repr(nest)


def constant_step(array: np.ndarray) -> Step:
    return Step(None, (), {}, array.shape, array.dtype, np.ndarray, constant=array)


def is_number(x: Any, value: float | None = None) -> bool:
    """Whether an operand is a plain number, or that number."""
    return type(x) in (int, float) and (value is None or x == value)


def has_arrays(step: Step) -> bool:
    """Whether a step makes an array, or is called with one."""
    if step.kind is np.ndarray:
        return True
    for s in step.operands:  # noqa: SIM110 (a loop takes half the time of any())
        if s.kind is np.ndarray:
            return True
    return False


def is_array(x: Any) -> bool:
    """Whether an operand is the array that a step makes."""
    return isinstance(x, Step) and x.is_array


def is_same(x: Any, step: Step) -> bool:
    """Whether an operand has the form of a result, and so can stand in for it."""
    return (
        isinstance(x, Step)
        and x.kind is step.kind
        and x.shape == step.shape
        and x.dtype == step.dtype
    )
