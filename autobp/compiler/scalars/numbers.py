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
from functools import cache
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
    """The program for arguments like these: its calls one by one, with loops, or groups of numbers. A
    group of few numbers takes longer than they do one after the other."""
    width = Width()
    recorded = cache(lambda: _recorded(call))

    def is_too_long(steps: int) -> bool:
        if steps <= SHORT or not width.can_group or (found := recorded()) is None:
            return False
        return steps > arrays.LONG or not found.are_small

    try:
        return arrays.compile_entry(call, MANY, width, earlier, is_too_long)
    except arrays.TooLong:
        pass
    except ManyNumbers:
        if call.settings.most < math.inf:
            raise CaptureError(
                f"compile was to write {call.settings.most} calls at most, and there are more single"
                " numbers"
            ) from None
        if (found := recorded()) is not None and found.are_small:
            with suppress(arrays.TooLong):
                is_longer = lambda steps: steps > arrays.LONG
                return arrays.compile_entry(call, earlier=earlier, is_too_long=is_longer)
    if (found := recorded()) is not None:
        with suppress(Ungrouped, Changed):
            return Numbers(call, found)
    return arrays.compile_entry(call)


SHORT = 2000  # steps of a program with loops that is better than any groups


def _recorded(call: Call) -> Recorded | None:
    """What the function does, in groups, if it can be. What the matter is, if any, is found when it is
    traced in the usual way."""
    with suppress(Ungrouped, Changed):
        return Recorded(call)
    return None


class Recorded:
    """A function that computes with single numbers, in groups."""

    def __init__(self, call: Call) -> None:
        recipe = getattr(call.function, "recipe", None)
        # A function around a derivative has its attributes, by functools.wraps.
        if recipe is None or recipe.derivative() is not call.function:
            recipe = reverse.Recipe(lambda: None, call.function, "", ())
        self.recipe: reverse.Recipe = recipe
        self.where = reverse.positions(reverse.chosen_arguments(recipe.argnums), call.args)
        self.found = free_variables(call.function, (call.args, call.kwargs))
        recorded = replace(call, function=recipe.function)
        randomness = Randomness(self.found, ())
        try:
            self.form = NumberForm(call, self.where, self.found, {float, np.float64, int})
            self.groups, self.result = _grouped(recorded, self.form)
        except Ungrouped:  # whole numbers may be needed by loops and indices, as constants
            if not any(type(x) is int for _, x in leaves((call.args, call.kwargs))):
                raise
            self.form = NumberForm(call, self.where, self.found, {float, np.float64})
            self.groups, self.result = _grouped(recorded, self.form)
        check_draws(randomness.rewind())
        if recipe.title and self.result is not NUMBER:
            raise Ungrouped

    @property
    def are_small(self) -> bool:
        return grouping.are_small(len(self.groups.groups), self.groups.size)


class Numbers(Checked):
    """The program for arguments of one form: how numbers are read from them, what is computed of the
    numbers, and how the results are put together."""

    returned: Any

    def __init__(self, call: Call, recorded: Recorded) -> None:
        super().__init__(call, recorded.found)
        recipe, form, groups = recorded.recipe, recorded.form, recorded.groups
        self.function: Callable[..., Any] = call.function
        self.form = form
        self.keywords: list[str] = list(call.kwargs)
        self.read: Callable[..., Any] = form.reader()
        varied = [call.values[i] for i in recorded.where]
        nest = form.marks(varied[0] if reverse.is_one(recipe.argnums) else tuple(varied))
        first = lambda varied, held: groups(varied, held)[0]
        program: Callable[..., Any]
        if recipe.title == "value_and_grad":
            program, self.returned = reverse.value_and_grad(first), ("value, g", (VALUE, nest))
        elif recipe.title == "grad":
            program, self.returned = reverse.grad(first), ("g", nest)
        else:
            program = lambda varied, held: groups(varied, held)
            self.returned = "g", recorded.result
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


def _grouped(call: Call, form: NumberForm) -> tuple[Groups, Any]:
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
