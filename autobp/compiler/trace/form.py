"""Form: what the calls that one program serves have in common.

A walk through the nests of the arguments (lists, tuples, dicts) writes down the tests that other
arguments must pass, and gives each leaf its place: the expression that finds it in another call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from autobp.tree import fields_of, parts_of_values, rebuilt

__all__ = ["Form", "Place"]


class Place(NamedTuple):
    """Where a call finds a value: in a parameter or in an object. As text it is the expression."""

    root: str  # the parameter, or the object
    text: str  # the expression, without the attribute
    local: str  # the same within the tests, which have names for nests
    attribute: str = ""  # ".value" or ".grad", of a Tensor that is there
    is_literal: bool = True  # False: the text names objects, which only their own program knows
    element: tuple[str, int] | None = None  # the list that it is in, as text, and its index

    def __str__(self) -> str:
        return self.text + self.attribute

    def entry(self, key: str, is_literal: bool = True) -> Place:
        text, local = f"{self.text}[{key}]", f"{self.local}[{key}]"
        return Place(self.root, text, local, is_literal=self.is_literal and is_literal)

    def part(self, i: int) -> Place:
        """The place of an element of a list or a tuple."""
        return self.entry(str(i))._replace(element=(self.text, i) if self.is_literal else None)

    def field(self, name: str) -> Place:
        text, local = f"{self.text}.{name}", f"{self.local}.{name}"
        return Place(self.root, text, local, is_literal=self.is_literal)

    def of_tensor(self, attribute: str) -> Place:
        return self._replace(attribute=attribute, local=self.local + attribute, element=None)


class Form:
    """The tests of arguments, and the places in them. What becomes of a leaf, subclasses say."""

    def __init__(self, parameters: Sequence[str]) -> None:
        self.parameters = parameters
        self.objects: dict[str, Any] = {}  # that the text names
        self.names: dict[int, str] = {}  # of the objects, by their ids
        self.tests: list[str] = []
        self.lengths: list[tuple[str, int]] = []  # of lists and tuples, by their places

    def known(self, thing: Any) -> str:
        """The name of an object."""
        name = self.names.get(id(thing))
        if name is None:
            name = self.names[id(thing)] = f"k{len(self.objects)}_"
            self.objects[name] = thing
        return name

    def visit_argument(self, i: int, x: Any) -> Any:
        parameter = self.parameters[i]
        return self.visit(x, Place(parameter, parameter, parameter), parameter)

    def visit(self, x: Any, place: Place, name: str) -> Any:
        """What the function is given instead of x, which messages call by the name."""
        visit = self.visit_leaf if parts_of_values(x) is None else self.visit_nest
        return visit(x, place, name)

    def visit_nest(self, x: Any, place: Place, name: str) -> Any:
        kind, local = type(x), f"n{len(self.tests)}_"
        self.tests.append(f"type({local} := {place.local}) is {self.known(kind)}")
        place = place._replace(local=local)
        if isinstance(x, dict):
            self.tests.append(f"tuple({local}) == {self.known(tuple(x))}")
            branches = {
                k: self.visit(v, self.entry(place, k), _inner(name, k)) for k, v in x.items()
            }
            nest = copy(x)  # which keeps what a defaultdict has besides
            dict.update(nest, branches)  # a Counter's own would add
            return nest
        if not isinstance(x, list | tuple):
            return self.visit_frozen(x, place, name)
        self.tests.append(f"len({local}) == {len(x)}")
        self.lengths.append((place.text, len(x)))
        parts = self.visit_parts(x, place, name)
        return kind(*parts) if hasattr(x, "_fields") else kind(parts)

    def visit_frozen(self, x: Any, place: Place, name: str) -> Any:
        """A frozen dataclass. (One that is not frozen is an object, which the function may change.)"""
        parts: list[Any] = []
        branches = fields_of(x) or ()
        for field in fields(x):
            inner, value = place.field(field.name), getattr(x, field.name)
            if field.name in branches:
                parts.append(self.visit(value, inner, _inner(name, field.name)))
            else:
                Form.visit_leaf(self, value, inner, field.name)  # a constant
        return rebuilt(x, parts)

    def visit_parts(self, x: Sequence[Any], place: Place, name: str) -> list[Any]:
        return [self.visit(v, place.part(i), f"{name}{i}") for i, v in enumerate(x)]

    def visit_leaf(self, x: Any, place: Place, name: str) -> Any:
        """Anything that is no number is a constant of the program."""
        if type(x) in (int, str):
            self.tests.append(f"type(a_ := {place.local}) is {type(x).__name__} and a_ == {x!r}")
        else:
            self.tests.append(f"{place.local} is {self.known(x)}")
        return x

    def entry(self, place: Place, key: Any) -> Place:
        """The place of an entry of a dict."""
        is_literal = isinstance(key, str | int | float | bool)
        return place.entry(repr(key) if is_literal else self.known(key), is_literal)

    def type_test(self, x: Any, place: Place) -> str:
        """A test of the type of a value, and of the shape and dtype of an array."""
        if not isinstance(x, np.ndarray | np.generic):
            return f"type({place.local}) is {self.known(type(x))}"
        return (
            f"type(a_ := {place.local}) is {self.known(type(x))} and a_.shape == {x.shape!r}"
            f" and a_.dtype is {self.known(x.dtype)}"
        )

    def function(self, body: Sequence[str], **more: Any) -> Callable[..., Any]:
        """A function of the parameters with these lines, which may name more objects."""
        space = {**self.objects, **more}
        lines = "".join(f"\n    {line}" for line in body)
        exec(f"def made({', '.join(self.parameters)}):{lines}", space)
        made: Callable[..., Any] = space["made"]
        return made


def _inner(name: str, key: Any) -> str:
    return key if isinstance(key, str) and key.isidentifier() else f"{name}_{key}"
