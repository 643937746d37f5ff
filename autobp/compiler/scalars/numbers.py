"""Numbers: functions written one number at a time, compiled as programs of arrays.

A function that computes with arrays is traced call by call, and so is one that computes one number
after the other. One that computes with thousands of single numbers side by side, which its trace
shows early, is recorded as a graph of Tensors instead, which is quick, and grouped. The groups are
a function of two arrays, which is differentiated and compiled as if a user had written it. All that
is left to do for a call is to read the numbers out of the nests that they come in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from autobp import reverse
from autobp.compiler import entry as arrays
from autobp.compiler.call import Call
from autobp.compiler.checked import Checked
from autobp.compiler.program import Program
from autobp.compiler.scalars import grouping
from autobp.compiler.scalars.form import NUMBER, VALUE, NumberForm
from autobp.compiler.scalars.grouping import MANY, Width, grouped
from autobp.compiler.scalars.groups import HELD, VARIED, Groups
from autobp.compiler.scalars.masks import Listener, Mask
from autobp.compiler.scalars.numbering import Ungrouped, numbering
from autobp.compiler.terms import SIGNATURE_ERRORS, CaptureError, Changed, Settings
from autobp.compiler.trace.effects import Randomness, check_draws
from autobp.compiler.trace.free_variables import Found
from autobp.compiler.trace.handlers import is_of_handler
from autobp.compiler.trace.search import free_variables
from autobp.compiler.trace.trace import ManyNumbers
from autobp.context import value_listener
from autobp.dag import ancestors
from autobp.tensor import Tensor
from autobp.tree import leaves, transformed

__all__ = ["Numbers", "compile_entry"]


def compile_entry(call: Call, earlier: Sequence[Found] = ()) -> Any:
    """The program for arguments like these."""
    width = Width()
    most = lambda: LONGEST if width.can_group else math.inf
    is_long = False
    try:
        return arrays.compile_entry(call, MANY, width, earlier, most)
    except arrays.TooLong:
        is_long = True
    except ManyNumbers:
        if call.settings.most < math.inf:
            raise CaptureError(
                f"compile was to write {call.settings.most} calls at most, and there are more single"
                " numbers"
            ) from None
    with suppress(Ungrouped, Changed):  # what the matter is, if any, is found in the usual way
        try:
            return Numbers(call, are_small=is_long)
        except ManyGroups:
            with suppress(arrays.TooLong):
                return arrays.compile_entry(call, earlier=earlier, longest=lambda: LONGEST)
            return Numbers(call, are_small=True)
    return arrays.compile_entry(call)


LONGEST = 2000  # steps of a program with loops that is better than groups that are many and small


class ManyGroups(Exception):
    """There are many groups, with few numbers in each."""


class Numbers(Checked):
    """The program for arguments of one form: how numbers are read from them, what is computed of the
    numbers, and how the results are put together. It raises ManyGroups if the groups are many and
    small, unless they may be."""

    returned: Any

    def __init__(self, call: Call, are_small: bool) -> None:
        recipe = getattr(call.function, "recipe", None)
        # A function around a derivative has its attributes, by functools.wraps.
        if recipe is None or recipe.derivative() is not call.function:
            recipe = reverse.Recipe(lambda: None, call.function, "", ())
        where = reverse.positions(reverse.chosen_arguments(recipe.argnums), call.args)
        found = free_variables(call.function, (call.args, call.kwargs))
        super().__init__(call, found)
        recorded = replace(call, function=recipe.function)
        randomness = Randomness(found, ())
        try:
            form = NumberForm(call, where, found, {float, np.float64, int})
            groups, result = _recorded(recorded, form)
        except Ungrouped:  # whole numbers may be needed by loops and indices, as constants
            if not any(type(x) is int for _, x in leaves((call.args, call.kwargs))):
                raise
            form = NumberForm(call, where, found, {float, np.float64})
            groups, result = _recorded(recorded, form)
        check_draws(randomness.rewind())
        if not are_small and grouping.are_small(len(groups.groups), groups.size):
            raise ManyGroups
        if recipe.title and result is not NUMBER:
            raise Ungrouped

        self.function: Callable[..., Any] = call.function
        self.form = form
        self.keywords: list[str] = list(call.kwargs)
        self.read: Callable[..., Any] = form.reader()
        varied = [call.values[i] for i in where]
        nest = form.marks(varied[0] if reverse.is_one(recipe.argnums) else tuple(varied))
        first = lambda varied, held: groups(varied, held)[0]
        program: Callable[..., Any]
        if recipe.title == "value_and_grad":
            program, self.returned = reverse.value_and_grad(first), ("value, g", (VALUE, nest))
        elif recipe.title == "grad":
            program, self.returned = reverse.grad(first), ("g", nest)
        else:
            program, self.returned = (lambda varied, held: groups(varied, held)), ("g", result)
        numbers, of_arrays = self.read(*call.values), f"{self.name}_of_arrays"
        self.inner: Any = arrays.compile_entry(
            Call(program, of_arrays, numbers, {}, Settings(check=0))
        )
        self.put_together: Callable[..., Any] = form.assembler(*self.returned)

    @property
    def program(self) -> Program:
        return self.inner.program

    @property
    def plan(self) -> Any:
        return self.inner.plan

    def fits(self, *args: Any, **kwargs: Any) -> bool:
        """That is found out while the arguments are read."""
        return len(kwargs) == len(self.keywords)

    def values(self, *args: Any, **kwargs: Any) -> Any:
        """All numbers among the arguments, in two arrays."""
        try:
            return self.read(*args, *[kwargs[name] for name in self.keywords])
        except (*SIGNATURE_ERRORS, OverflowError) as error:
            raise Changed from error

    def run(self, *args: Any, **kwargs: Any) -> Any:
        numbers = self.values(*args, **kwargs)
        try:
            with np.errstate(divide="raise", invalid="raise"):
                return self.put_together(self.inner.run(*numbers))
        except FloatingPointError:  # by zero, where numbers of Python raise an error of their own
            return self.function(*args, **kwargs)

    def text(self, whole: bool) -> str:
        form = self.form
        target, nest = self.returned
        lines = [
            f"def {self.name}({', '.join(form.parameters)}):",
            f"varied = {form.vector(VARIED)}",
            f"held = {form.vector(HELD)}",
            f"{target} = {self.inner.name}(varied, held)",
            "n = g.tolist()",
            f"return {form.assembled(nest, plain=True)}",
        ]
        outer = "\n" + "\n    ".join(lines)
        constants = self.found.constants()
        return self.inner.module.text(whole, constants, ["import itertools"], [outer])


def _recorded(call: Call, form: NumberForm) -> tuple[Groups, Any]:
    """Run the function on Tensors in place of all numbers, and group what it did. Whatever goes wrong
    goes wrong again, and is explained, when the function is traced in the usual way."""
    listener = Listener(form.level)
    before = [x for _, x in leaves(form.given)]
    token = value_listener.set(listener)
    try:
        result = call.run(form.given)
    except Exception as error:
        if is_of_handler(error):
            raise
        raise Ungrouped from error
    finally:
        value_listener.reset(token)
    after = [x for _, x in leaves(form.given)]
    touched = any(
        t.value is not value or t.born != born or t.grad is not None or t.hooks
        for t, value, born in form.inputs
    )
    changed = len(after) != len(before) or any(
        x is not y for x, y in zip(after, before, strict=True)
    )
    outputs = [y for _, y in leaves(result) if isinstance(y, Tensor)]
    if listener.was_read or touched or changed or not outputs:
        raise Ungrouped
    if any(y.level != form.level or y in form.ids or isinstance(y, Mask) for y in outputs):
        raise Ungrouped
    order = ancestors(outputs, form.level)
    groups = grouped(numbering(order, form.ids, form.size, outputs, form.level), form.varied)
    return groups, transformed(lambda y: NUMBER if isinstance(y, Tensor) else y, result)
