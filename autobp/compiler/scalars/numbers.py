"""Scalars: functions written one number at a time, compiled as programs of arrays.

What computes with arrays is written down call by call. A function that computes with thousands of
single numbers is recorded as a graph of Tensors instead, which is quick, and grouped; the groups are
a function of two arrays, which is differentiated and written down as if a user had written it. All
that is left to do for a call is to read the numbers out of the nests that they come in.
"""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from autobp import reverse
from autobp.compiler import entry as arrays
from autobp.compiler.comparison import Checked, check_same, moved
from autobp.compiler.program import Program
from autobp.compiler.scalars.groups import HELD, VARIED, Groups, Ungrouped, grouped
from autobp.compiler.scalars.masks import Listener, Mask
from autobp.compiler.terms import (
    SIGNATURE_ERRORS,
    CaptureError,
    Changed,
    Settings,
    differentiated,
)
from autobp.compiler.trace.effects import Randomness, check_draws
from autobp.compiler.trace.free_variables import Found, is_kind, tests_of
from autobp.compiler.trace.search import free_variables
from autobp.compiler.trace.trace import ManyNumbers
from autobp.context import clock, value_listener
from autobp.dag import ancestors
from autobp.tensor import Tensor, leaf
from autobp.tree import leaves, refilled, transformed

__all__ = ["Numbers", "compile_entry"]

chain = itertools.chain.from_iterable

MANY = 1000  # single numbers, from which on they are grouped


def compile_entry(
    function: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    settings: Settings,
    earlier: Sequence[Found] = (),
) -> Any:
    """The program for arguments like these."""
    try:
        return arrays.compile_entry(function, name, args, kwargs, settings, MANY, earlier)
    except ManyNumbers:
        if settings.most < math.inf:
            raise CaptureError(
                f"compile was to write {settings.most} calls at most, and there are more single numbers"
            ) from None
    try:
        return Numbers(function, name, args, kwargs, settings)
    except (Ungrouped, Changed):  # what the matter is, if any, is found in the usual way
        return arrays.compile_entry(function, name, args, kwargs, settings)


class Numbers(Checked):
    """The program for arguments of one form: how numbers are read from them, what is computed of the
    numbers, and how the results are put together."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        settings: Settings,
    ) -> None:
        super().__init__(settings.check)
        recipe = getattr(function, "recipe", None)
        if recipe is None or recipe.derivative is not function:  # what wraps one has its attributes
            recipe = reverse.Recipe(function, function, "", ())
        where = reverse.positions(reverse.chosen_arguments(recipe.argnums), args)
        parameters = [*arrays.parameter_names(function, args, kwargs), *kwargs]
        values = [*args, *kwargs.values()]
        found = free_variables(function, (args, kwargs))
        randomness = Randomness(found, ())
        try:
            form = Form(parameters, values, where, found, {float, np.float64, int})
            groups, result = _recorded(recipe.function, args, kwargs, form)
        except Ungrouped:  # whole numbers may be what loops and indices need: then they are fixed
            form = Form(parameters, values, where, found, {float, np.float64})
            groups, result = _recorded(recipe.function, args, kwargs, form)
        check_draws(randomness.rewind())
        if recipe.title and result is not _NUMBER:
            raise Ungrouped

        self.name = name if name.isidentifier() else "program"
        self.found = found
        self.form = form
        self.keywords = list(kwargs)
        self.groups = groups
        self.read = form.reader()
        of_arrays = f"{self.name}_of_arrays"
        varied = [values[i] for i in where]
        nest = form.places_of(varied[0] if reverse.is_one(recipe.argnums) else tuple(varied))
        first = lambda varied, held: groups(varied, held)[0]
        if recipe.title == "value_and_grad":
            program, self.returned = reverse.value_and_grad(first), ("value, g", (_VALUE, nest))
        elif recipe.title == "grad":
            program, self.returned = reverse.grad(first), ("g", nest)
        else:
            program, self.returned = (lambda varied, held: groups(varied, held)), ("g", result)
        self.inner = arrays.compile_entry(
            program, of_arrays, self.read(*values), {}, Settings(check=0)
        )
        self.put_together = form.assembler(*self.returned)

    @property
    def program(self) -> Program:
        return self.inner.program

    @property
    def plan(self) -> Any:
        return self.inner.plan

    def fits(self, *args: Any, **kwargs: Any) -> bool:
        """That is found out while the arguments are read."""
        return len(kwargs) == len(self.keywords)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        try:
            numbers = self.read(*args, *[kwargs[name] for name in self.keywords])
        except (*SIGNATURE_ERRORS, OverflowError) as error:
            raise Changed from error
        return self.put_together(self.inner.run(*numbers))

    def values(self, *args: Any, **kwargs: Any) -> Any:
        """All numbers among the arguments."""
        return self.read(*args, *[kwargs[name] for name in self.keywords])

    def compared(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The result of the program, after the function has given the same."""
        with np.errstate(all="ignore"):
            result = self.run(*args, **kwargs)
        expected = function(*args, **kwargs)

        def play(moves_arguments: bool) -> Any:
            if not moves_arguments:
                raise ValueError("there is nothing else to move")
            given, named = moved(args), moved(kwargs)
            with np.errstate(all="ignore"):
                return (function(*given, **named), []), (self.run(*given, **named), [])

        check_same(self.name, (result, []), (expected, []), play)
        return result

    def text(self, whole: bool) -> str:
        form, name = self.form, self.inner.name
        lines = [line for line, is_check in form.lines if not is_check]
        lines += [f"varied = {form.vector(VARIED)}", f"held = {form.vector(HELD)}"]
        target, nest = self.returned
        lines.append(f"{target} = {name}(varied, held)")
        lines.append("n = g.tolist()")
        lines.append(f"return {form.assembled(nest, plain=True)}")
        body = "".join(f"\n    {line}" for line in lines)
        outer = f"\ndef {self.name}({', '.join(form.parameters)}):{body}"
        constants = self.found.constants()
        return self.inner.module.text(whole, constants, ["import itertools"], [outer])


class _Mark:
    """A place in a result."""


_NUMBER, _VALUE = _Mark(), _Mark()  # of the next number; of the value that comes with a gradient


@dataclass(frozen=True)
class _Block:
    """The place of an array in a result."""

    shape: tuple[int, ...]


def _constant(y: Any) -> Tensor:
    return Tensor(y, requires_grad=False)


def _recorded(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], form: Form
) -> tuple[Groups, Any]:
    """Run the function on Tensors in place of all numbers, and group what it did. Whatever goes wrong
    goes wrong again, and is explained, when the function is written down in the usual way."""
    began = level = clock()
    inputs: list[tuple[Tensor, Any, int]] = []
    listener = Listener(level)

    def variable(x: Any) -> Any:
        if not form.is_input(x):
            return x
        value = x.value if isinstance(x, Tensor) else x
        t: Tensor = leaf(
            value.astype(float) if isinstance(value, np.ndarray) else float(value), level
        )
        inputs.append((t, t.value, t.born))
        return t

    values = [*args, *kwargs.values()]
    taken = {i: transformed(variable, values[i]) for i in form.order}
    filled = [taken[i] for i in range(len(values))]
    given = [x for _, x in leaves(filled)]
    places = {t: place for (t, _, _), place in zip(inputs, form.places, strict=True)}
    token = value_listener.set(listener)
    try:
        named = zip(kwargs, filled[len(args) :], strict=True)
        result = function(*filled[: len(args)], **dict(named))
    except Exception as error:
        raise Ungrouped from error
    finally:
        value_listener.reset(token)
    kept = [x for _, x in leaves(filled)]
    touched = any(
        t.value is not value or t.born != born or t.grad is not None or t.hooks
        for t, value, born in inputs
    )
    changed = len(kept) != len(given) or any(x is not y for x, y in zip(kept, given, strict=True))
    outputs = [y for _, y in leaves(result) if isinstance(y, Tensor)]
    if listener.was_read or touched or changed or not outputs:
        raise Ungrouped
    if any(y.level != level or y in places or isinstance(y, Mask) for y in outputs):
        raise Ungrouped
    groups = grouped(ancestors(outputs, level), places, form.varied, form.size, outputs, began)
    return groups, transformed(lambda y: _NUMBER if isinstance(y, Tensor) else y, result)


class Form:
    """The form of arguments, as text: how their numbers are read, in order, into two arrays, and how
    a nest is put together of results."""

    def __init__(
        self,
        parameters: Sequence[str],
        values: Sequence[Any],
        where: Sequence[int],
        found: Found,
        kinds: set[type],
    ) -> None:
        self.kinds = kinds
        self.objects: dict[str, Any] = {
            "np": np, "itertools": itertools, "Tensor": Tensor, "Changed": Changed,
            "vector": _vector, "refilled": refilled, "constant": _constant,
        }  # fmt: skip
        taken = {*self.objects, *dir(builtins), "g", "n", "value", "varied", "held"}
        self.parameters = [f"{p}_" if p in taken else p for p in parameters]
        self.lines: list[tuple[str, bool]] = []  # and whether it is a check only
        self.pieces: tuple[list[_Piece], ...] = ([], [])
        self.sizes = [0, 0]
        self.entries: list[tuple[int, Any]] = []  # in which array each leaf is, and where
        self.tensors = False
        for v in found.variables:
            if is_kind(v.value, Tensor) or v.kind == "optimizer":
                raise Ungrouped
            if is_kind(v.value, np.ndarray) and v.live:
                raise Ungrouped
        for test in tests_of(found.variables, set(), self.named):
            self.check(test)
        self.order = [*where, *(i for i in range(len(values)) if i not in where)]
        for i in self.order:
            self.side = VARIED if i in where else HELD
            self.take(values[i], self.parameters[i])
        self.varied, self.size = self.sizes[VARIED], sum(self.sizes)
        self.places = [
            place + self.varied if side == HELD else place for side, place in self.entries
        ]

    def is_number(self, x: Any) -> bool:
        return type(x) in self.kinds or (type(x) is Tensor and self.is_input(x) and not x.shape)

    def is_input(self, x: Any) -> bool:
        if type(x) is Tensor:
            return not differentiated(x) and x.dtype == float
        if type(x) is np.ndarray:
            return x.dtype == float or x.dtype.kind in "iu"
        return type(x) in self.kinds

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    def known(self, thing: Any) -> str:
        """A name for an object, or its text."""
        finite = type(thing) is float and math.isfinite(thing)
        if type(thing) in (str, int, bool) or thing is None or finite:
            return repr(thing)
        return self.named(thing)

    def named(self, thing: Any) -> str:
        """A name for an object."""
        name = f"k{len(self.objects)}_"
        self.objects[name] = thing
        return name

    def check(self, test: str) -> None:
        self.lines.append((f"if not ({test}): raise Changed", True))

    def take(self, x: Any, where: str) -> None:
        kind = type(x)
        if kind is np.random.Generator:
            raise Ungrouped
        if isinstance(x, dict):
            self.check(f"type({where}) is {self.known(kind)}")
            self.check(f"tuple({where}) == {self.known(tuple(x))}")
            for key, v in x.items():
                name = f"v{len(self.lines)}_"
                self.lines.append((f"{name} = {where}[{self.known(key)}]", False))
                self.take(v, name)
        elif isinstance(x, list | tuple):
            self.check(f"type({where}) is {self.known(kind)} and len({where}) == {len(x)}")
            self.sequence(x, where)
        elif self.is_number(x):
            self.numbers([x], where)
        elif self.is_input(x):
            self.array(x, where)
        elif x is None or self.side == HELD:
            same = "==" if kind in (int, str) else "is"
            self.check(f"type({where}) is {self.known(kind)} and {where} {same} {self.known(x)}")
        else:
            raise Ungrouped

    def sequence(self, x: Any, where: str) -> None:
        """Lists of numbers, and tables, are read as a whole."""
        if all(map(self.is_number, x)):
            self.numbers(x, f"*{where}")
        elif _is_table(x) and all(map(self.is_number, chain(x))):
            self.check(f"{{*map(type, {where})}} == {{{self.known(type(x[0]))}}}")
            self.check(f"{{*map(len, {where})}} == {{{len(x[0])}}}")
            self.numbers(list(chain(x)), f"*itertools.chain.from_iterable({where})")
        else:
            names = [f"v{len(self.lines)}_{i}" for i in range(len(x))]
            self.lines.append((f"[{', '.join(names)}] = {where}", False))
            for name, v in zip(names, x, strict=True):
                self.take(v, name)

    def numbers(self, xs: Sequence[Any], expression: str) -> None:
        start = self.sizes[self.side]
        self.entries += [(self.side, start + i) for i in range(len(xs))]
        self.sizes[self.side] += len(xs)
        tensors = [type(x) is Tensor for x in xs]
        self.tensors |= any(tensors)
        self.pieces[self.side].append(_Piece(expression, False, tensors))

    def array(self, x: Any, where: str) -> None:
        if isinstance(x, Tensor):
            self.tensors = True
            self.check(f"type({where}) is Tensor and {where}.primitive is None")
            self.check(f"{where}.level <= 0")
            where = f"{where}.value"
        self.check(f"type({where}) is np.ndarray and {where}.shape == {x.shape}")
        self.check(f"{where}.dtype == {self.known(x.dtype)}")
        start, size = self.sizes[self.side], x.size
        self.entries.append((self.side, np.arange(start, start + size).reshape(x.shape)))
        self.sizes[self.side] += size
        self.pieces[self.side].append(_Piece(f"{where}.ravel()", True, []))

    def vector(self, side: int, checked: bool = False) -> str:
        """The expression of an array of all the numbers on one side."""
        runs = []
        for is_array, run in groupby(self.pieces[side], key=attrgetter("is_array")):
            pieces = list(run)
            if is_array:
                runs += [piece.expression for piece in pieces]
                continue
            text = f"[{', '.join(piece.expression for piece in pieces)}]"
            if checked:
                tensors = list(chain(piece.tensors for piece in pieces))
                which = self.known(tensors) if any(tensors) else None
                runs.append(f"vector({text}, {self.known(self.kinds)}, {which})")
            else:
                runs.append(f"np.array({text}, float)")
        one = len(runs) == 1 and not self.pieces[side][0].is_array
        return runs[0] if one else f"np.concatenate([{', '.join([*runs, '[]'])}], dtype=float)"

    def reader(self) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
        """What reads the numbers from arguments, or finds that they have another form."""
        lines = [line for line, _ in self.lines]
        lines.append(f"return {self.vector(VARIED, True)}, {self.vector(HELD, True)}")
        body = "".join(f"\n    {line}" for line in lines)
        exec(f"def read({', '.join(self.parameters)}):{body}", self.objects)
        return self.objects["read"]

    # ── putting together ──────────────────────────────────────────────────────────────────────────

    def assembler(self, target: str, nest: Any) -> Callable[[Any], Any]:
        """What makes the result of what the program of arrays returns."""
        text = self.assembled(nest, self.tensors)
        body = f"    {target} = found\n    n = g.tolist()\n    return {text}"
        exec(f"def assembled(found):\n{body}", self.objects)
        return self.objects["assembled"]

    def assembled(self, nest: Any, tensors: bool = False, plain: bool = False) -> str:
        """A nest as an expression: the value of a gradient's function, and what is in `g`, of which
        `n` is the list. Plain, it has lists in place of what only autobp could make again."""
        start = 0
        one = "constant({})" if tensors else "{}"
        many = "[*map(constant, {})]" if tensors else "{}"

        def expression(x: Any) -> str:
            nonlocal start
            kind, before = type(x), start
            if kind is dict:
                return f"{{{', '.join(f'{self.known(k)}: {expression(v)}' for k, v in x.items())}}}"
            if kind in (list, tuple) and x and all(v is _NUMBER for v in x):
                start += len(x)
                part = many.format(f"n[{before}:{start}]")
                return part if kind is list else f"tuple({part})"
            if kind in (list, tuple):
                inside = ", ".join(map(expression, x))
                return f"[{inside}]" if kind is list else f"({inside},)" if x else "()"
            if isinstance(x, dict | list | tuple):
                parts = ", ".join(expression(v) for _, v in leaves(x))
                return f"[{parts}]" if plain else f"refilled({self.known(x)}, [{parts}])"
            if x is _NUMBER:
                start += 1
                return one.format(f"n[{before}]")
            if isinstance(x, _Block):
                start += math.prod(x.shape)
                return one.format(f"g[{before}:{start}].reshape({x.shape}).copy()")
            return one.format("value") if x is _VALUE else self.known(x)

        return expression(nest)

    def places_of(self, nest: Any) -> Any:
        """A nest with what is to be put in the place of its numbers."""
        return transformed(lambda x: _NUMBER if self.is_number(x) else _Block(x.shape), nest)


class _Piece(NamedTuple):
    """Numbers that are read at once."""

    expression: str
    is_array: bool
    tensors: list[bool]  # which of the numbers are Tensors


def _is_table(x: Any) -> bool:
    """Whether a list holds lists of one length, and nothing else."""
    return all(isinstance(row, list | tuple) for row in x) and (
        len({(type(row), len(row)) for row in x}) == 1
    )


def _vector(numbers: list[Any], kinds: set[type], tensors: list[bool] | None) -> np.ndarray:
    if tensors is not None:
        if [type(x) is Tensor for x in numbers] != tensors:
            raise Changed
        numbers = [_value(x) if type(x) is Tensor else x for x in numbers]
    if not kinds.issuperset(map(type, numbers)):
        raise Changed
    return np.array(numbers, float)


def _value(t: Tensor) -> Any:
    if t.primitive is not None or t.level > 0:
        raise Changed
    return t.value
