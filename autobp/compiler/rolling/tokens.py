"""Tokens: a program as numbers, in which repetition is quickly seen.

A token says what a step calls, without its operands: two steps have one token if one of them could be
the other, an iteration later. Operands are numbers too: a step of the program is its position; what
comes from outside, arguments, constants and the numbers written in a call, counts from −1 downwards.
Where two steps have one token and the same operands, the second is left out.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from autobp.compiler.passes.exact import is_pure
from autobp.compiler.program import Loop, Program, Step
from autobp.compiler.trace.calls import guarded, put
from autobp.rules.indexing import scatter

__all__ = ["Tokens", "filled"]

#: Calls in which a whole number is a number: elsewhere it may be an axis, or a part of a shape.
_INDEXING = (operator.getitem, put, scatter.function)

_FLOAT = -1  # the form of Python's floats, which nearly all are where there are many


class Tokens:
    """The tokens of a program, and its operands.

    The operands of step i are `operands[starts[i] : starts[i + 1]]`.
    """

    def __init__(self, program: Program) -> None:
        self.arguments = program.arguments
        self.steps: list[Step] = []
        self.outside: list[Any] = []  # operand −1 − i is outside[i]
        self._numbers: dict[Any, int] = {}
        self._forms: dict[Any, int] = {}
        known: dict[Any, int] = {}
        made: dict[Any, int] = {}
        tokens: list[int] = []
        operands: list[int] = []
        starts = [0]
        literals_of: dict[Any, type] = {}
        effects, get = program.effects, self._numbers.get
        for step in program.steps:
            function: Any = step.function
            literals = literals_of.get(function)
            if literals is None:
                literals = literals_of[function] = _literals(step)
            found: list[int] = []
            forms = []
            for a in step.args:  # as in _skeleton, which single numbers do not need
                kind = type(a)
                if kind is Step and a.kind is float and (number := get(a)) is not None:
                    found.append(number)
                    forms.append(_FLOAT)
                elif kind is float and literals is not Step:
                    found.append(self.number(a))
                    forms.append(_FLOAT)
                else:
                    forms.append(self._skeleton(a, literals, found))
            is_loop = type(function) is Loop or (
                function is operator.getitem and step.is_loop_result
            )
            key = (
                function,
                *forms,
                self._skeleton(step.params, _in_params(step), found) if step.params else None,
                _FLOAT if step.kind is float else self._form(step.shape, step.dtype, step.kind),
                step.errors,
                is_effect := (effects and step in effects) or not is_pure(step),
                step if is_loop else step.run,  # which no loop crosses
            )
            token = known.setdefault(key, len(known))
            number = len(tokens)
            if not is_effect:
                number = made.setdefault((token, *found), number)
            self._numbers[step] = number
            if number == len(tokens):
                self.steps.append(step)
                tokens.append(token)
                operands += found
                starts.append(len(operands))
        self.tokens: np.ndarray = np.array(tokens, np.int64)
        self.starts: np.ndarray = np.array(starts, np.int64)
        self.operands: np.ndarray = np.array(operands, np.int64)
        self.owners: np.ndarray = np.repeat(np.arange(len(tokens)), np.diff(self.starts))

    def __contains__(self, step: Step) -> bool:
        return step in self._numbers

    def number(self, x: Any) -> int:
        """The number of a step, or of what is written in a call."""
        key: Any = x
        if type(x) is not Step:
            key = type(x), repr(x)  # −0.0 is not 0.0
        elif x.is_constant and x not in self._numbers:
            alike = x.shape, x.dtype, x.constant.tobytes()
            if alike in self._numbers:
                self._numbers[x] = self._numbers[alike]
            else:
                self._numbers[alike] = -1 - len(self.outside)
        found = self._numbers.get(key)
        if found is None:
            self.outside.append(x)
            found = self._numbers[key] = -len(self.outside)
        return found

    def _form(self, shape: Any, dtype: Any, kind: type) -> int:
        if kind is float:
            return _FLOAT
        return self._forms.setdefault((shape, dtype, kind), len(self._forms))

    def _skeleton(self, nest: Any, literals: type, found: list[int]) -> Any:
        """A nest with the forms of operands in their places, which are collected."""
        kind = type(nest)
        if kind is Step:
            found.append(self._numbers[nest] if nest in self._numbers else self.number(nest))
            return self._form(nest.shape, nest.dtype, nest.kind)
        if _is_literal(kind, literals):
            found.append(self.number(nest))
            return self._form((), np.dtype(kind), kind)
        if kind is slice:
            nest = nest.start, nest.stop, nest.step
        if kind is tuple or kind is list or kind is slice:
            return kind, *[self._skeleton(a, literals, found) for a in nest]
        if kind is dict:
            return *nest, *[self._skeleton(a, literals, found) for a in nest.values()]
        return kind, repr(nest)


def _literals(step: Step) -> type:
    """Which numbers written in the arguments of a call are operands: none (Step), floats, or whole
    numbers as well (int)."""
    if step.function is guarded:
        return Step
    operation = step.operation
    is_sign = operation.python is not None or operation.form == "elementwise"
    return int if is_sign or step.function in _INDEXING else float


def _in_params(step: Step) -> type:
    return int if step.function is scatter.function else Step


def _is_literal(kind: type, literals: type) -> bool:
    if kind is float or issubclass(kind, np.floating):
        return literals is not Step
    return kind is int and literals is int


def filled(step: Step, operands: Iterator[Any]) -> Step:
    """The same call with other operands, in the order in which they are collected."""
    args = _filled(step.args, _literals(step), operands)
    return step.with_(args=args, params=_filled(step.params, _in_params(step), operands))


def _filled(nest: Any, literals: type, operands: Iterator[Any]) -> Any:
    kind = type(nest)
    if kind is Step or _is_literal(kind, literals):
        return next(operands)
    if kind is tuple or kind is list:
        return kind([_filled(a, literals, operands) for a in nest])
    if kind is dict:
        return {k: _filled(a, literals, operands) for k, a in nest.items()}
    if kind is slice:
        ends = nest.start, nest.stop, nest.step
        return slice(*[_filled(a, literals, operands) for a in ends])
    return nest
