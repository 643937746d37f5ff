"""Form of numbers: how the numbers among arguments are read into two arrays, and how results that are
one array become nests of numbers again."""

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

from autobp.compiler.call import Call
from autobp.compiler.scalars.groups import HELD, VARIED
from autobp.compiler.scalars.numbering import Ungrouped
from autobp.compiler.terms import Changed, differentiated
from autobp.compiler.trace.form import Form, Place
from autobp.compiler.trace.free_variables import Found, is_kind, tests_of
from autobp.context import clock
from autobp.tensor import Tensor, leaf
from autobp.tree import leaves, refilled, transformed

__all__ = ["NUMBER", "VALUE", "NumberForm"]

chain: Callable[..., Any] = itertools.chain.from_iterable


class _Mark:
    """A place in a result."""


NUMBER, VALUE = _Mark(), _Mark()  # of the next number; of the value that comes with a gradient


@dataclass(frozen=True)
class _Block:
    """The place of an array in a result."""

    shape: tuple[int, ...]


class _Piece(NamedTuple):
    """Numbers that are read at once."""

    text: str  # with {} for the place
    place: Place
    is_array: bool
    tensors: Sequence[bool]  # which of the numbers are Tensors


class NumberForm(Form):
    """The form of a call whose numbers, of some kinds, become Tensors: those of the arguments that
    are `varied` in one array, all others in a second."""

    varied: int
    side: int
    has_tensors: bool
    size: int

    def __init__(self, call: Call, varied: Sequence[int], found: Found, kinds: set[type]) -> None:
        helpers = {
            "np": np, "itertools": itertools, "Tensor": Tensor, "Changed": Changed,
            "vector": _vector, "refilled": refilled, "constant": _constant,
        }  # fmt: skip
        taken = {*helpers, *dir(builtins), "g", "n", "value", "varied", "held"}
        super().__init__([f"{p}_" if p in taken else p for p in call.parameters])
        self.objects.update(helpers)
        self.kinds = kinds
        self.level: int = clock()  # at which the function is recorded
        self.pieces: tuple[list[_Piece], list[_Piece]] = ([], [])
        self.inputs: list[tuple[Tensor, Any, int]] = []  # with values and births
        self.ids: dict[Tensor, Any] = {}  # of the inputs; arrays have arrays of ids
        self.size = 0  # numbers in the inputs
        self.has_tensors = False
        for v in found.variables:
            if is_kind(v.value, Tensor) or v.kind == "optimizer":
                raise Ungrouped
            if is_kind(v.value, np.ndarray) and v.live:
                raise Ungrouped
        self.tests += tests_of(found.variables, set(), self.known)
        values, self.side = call.values, VARIED
        given = {i: self.visit_argument(i, values[i]) for i in varied}
        self.varied, self.side = self.size, HELD  # of the numbers, how many vary
        held = (i for i in range(len(values)) if i not in varied)
        given |= {i: self.visit_argument(i, values[i]) for i in held}
        self.given: list[Any] = [given[i] for i in range(len(values))]  # to the function

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    def is_number(self, x: Any) -> bool:
        return type(x) in self.kinds or (type(x) is Tensor and self.is_input(x) and not x.shape)

    def is_input(self, x: Any) -> bool:
        if type(x) is Tensor:
            return not differentiated(x) and x.dtype == float
        if type(x) is np.ndarray:
            return x.dtype == float or x.dtype.kind in "iu"
        return type(x) in self.kinds

    def visit_parts(self, x: Sequence[Any], place: Place, name: str) -> list[Any]:
        """Lists of numbers, and tables, are read as a whole."""
        if all(map(self.is_number, x)):
            return self.numbers(x, "*{}", place)
        if _is_table(x) and all(map(self.is_number, chain(x))):
            self.tests.append(f"{{*map(type, {place.local})}} == {{{self.known(type(x[0]))}}}")
            self.tests.append(f"{{*map(len, {place.local})}} == {{{len(x[0])}}}")
            text = "*itertools.chain.from_iterable({})"
            rows: list[Any] = refilled(list(x), self.numbers(list(chain(x)), text, place))
            return rows
        return super().visit_parts(x, place, name)

    def visit_leaf(self, x: Any, place: Place, name: str) -> Any:
        if self.is_number(x):
            return self.numbers([x], "{}", place)[0]
        if self.is_input(x):
            if isinstance(x, Tensor):
                where = place.local
                self.tests.append(f"type({where}) is Tensor and {where}.primitive is None")
                self.tests.append(f"{where}.level <= 0")
                place = place.of_tensor(".value")
                self.has_tensors = True
            self.tests.append(self.type_test(_value(x), place))
            self.pieces[self.side].append(_Piece("{}.ravel()", place, True, ()))
            return self.variable(_value(x).astype(float))
        if type(x) is np.random.Generator or (x is not None and self.side == VARIED):
            raise Ungrouped
        return super().visit_leaf(x, place, name)

    def numbers(self, xs: Sequence[Any], text: str, place: Place) -> list[Tensor]:
        tensors = [type(x) is Tensor for x in xs]
        self.has_tensors |= any(tensors)
        self.pieces[self.side].append(_Piece(text, place, False, tensors))
        return [self.variable(float(_value(x))) for x in xs]

    def variable(self, value: Any) -> Tensor:
        t: Tensor = leaf(value, self.level)
        self.inputs.append((t, value, t.born))
        start = self.size
        if type(value) is float:
            self.size += 1
            self.ids[t] = start
        else:
            self.size += value.size
            self.ids[t] = np.arange(start, self.size).reshape(value.shape)
        return t

    def vector(self, side: int, checked: bool = False) -> str:
        """The expression of an array of all the numbers on one side."""
        runs = []
        for is_array, run in groupby(self.pieces[side], key=attrgetter("is_array")):
            pieces = list(run)
            texts = [p.text.format(p.place.local if checked else p.place) for p in pieces]
            if is_array:
                runs += texts
            elif checked:
                tensors = list(chain(piece.tensors for piece in pieces))
                which = self.known(tensors) if any(tensors) else None
                runs.append(f"vector([{', '.join(texts)}], {self.known(self.kinds)}, {which})")
            else:
                runs.append(f"np.array([{', '.join(texts)}], float)")
        one = len(runs) == 1 and not self.pieces[side][0].is_array
        return runs[0] if one else f"np.concatenate([{', '.join([*runs, '[]'])}], dtype=float)"

    def reader(self) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
        """What reads the numbers from arguments, or finds that they have another form."""
        tests = f"if not ({' and '.join(self.tests) or True}): raise Changed"
        return self.function(
            [tests, f"return {self.vector(VARIED, True)}, {self.vector(HELD, True)}"]
        )

    # ── putting together ──────────────────────────────────────────────────────────────────────────

    def assembler(self, target: str, nest: Any) -> Callable[[Any], Any]:
        """What makes the result of what the program of arrays returns."""
        text = self.assembled(nest, self.has_tensors)
        space = dict(self.objects)
        exec(
            f"def made(found):\n    {target} = found\n    n = g.tolist()\n    return {text}", space
        )
        made: Callable[[Any], Any] = space["made"]
        return made

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
                entries = (f"{self.literal(k)}: {expression(v)}" for k, v in x.items())
                return f"{{{', '.join(entries)}}}"
            if kind in (list, tuple) and x and all(v is NUMBER for v in x):
                start += len(x)
                part = many.format(f"n[{before}:{start}]")
                return part if kind is list else f"tuple({part})"
            if kind in (list, tuple):
                inside = ", ".join(map(expression, x))
                return f"[{inside}]" if kind is list else f"({inside},)" if x else "()"
            if isinstance(x, dict | list | tuple):
                parts = ", ".join(expression(v) for _, v in leaves(x))
                return f"[{parts}]" if plain else f"refilled({self.known(x)}, [{parts}])"
            if x is NUMBER:
                start += 1
                return one.format(f"n[{before}]")
            if isinstance(x, _Block):
                start += math.prod(x.shape)
                return one.format(f"g[{before}:{start}].reshape({x.shape}).copy()")
            return one.format("value") if x is VALUE else self.literal(x)

        return expression(nest)

    def literal(self, x: Any) -> str:
        finite = type(x) is float and math.isfinite(x)
        plain = type(x) in (str, int, bool) or x is None or finite
        return repr(x) if plain else self.known(x)

    def marks(self, nest: Any) -> Any:
        """A nest with marks for what is to be put in the place of its numbers."""
        return transformed(lambda x: NUMBER if self.is_number(x) else _Block(x.shape), nest)


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Tensor) else x


def _constant(y: Any) -> Tensor:
    return Tensor(y, requires_grad=False)


def _is_table(x: Any) -> bool:
    """Whether a list holds lists of one length, and nothing else."""
    return all(isinstance(row, list | tuple) for row in x) and (
        len({(type(row), len(row)) for row in x}) == 1
    )


def _vector(numbers: list[Any], kinds: set[type], tensors: list[bool] | None) -> np.ndarray:
    if tensors is not None:
        if [type(x) is Tensor for x in numbers] != tensors:
            raise Changed
        if any(type(x) is Tensor and (x.primitive is not None or x.level > 0) for x in numbers):
            raise Changed
        numbers = [_value(x) for x in numbers]
    if not kinds.issuperset(map(type, numbers)):
        raise Changed
    return np.array(numbers, float)
