"""Program: what a function did to its arguments, step by step, as plain data.

A step is one call: of a NumPy function, or of a helper that is effects whole. What it is called with
is a nest of other steps and of plain values. Passes are functions from programs to programs; the
steps themselves are never changed once a program is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

__all__ = ["Program", "Step", "mapped", "rebuilt", "steps_in", "used_by"]


@dataclass(eq=False, slots=True, repr=False)
class Step:
    """One call, and what is known of its result."""

    function: Callable[..., Any] | None  # None: an argument of the program, or a constant
    args: tuple[Any, ...]
    params: dict[str, Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None  # None: a tuple of results
    kind: type  # of the result when the program runs: np.ndarray, float, np.float64, tuple …
    name: str | None = None
    scope: str | None = None
    phase: str = "forward"  # or "backward", or "update", by an optimizer
    line: str | None = None  # of the user's code that asked for it
    errors: tuple[tuple[str, str], ...] = ()  # what np.errstate was in force, where not the usual
    constant: Any = None
    operands: list[Step] = field(init=False)  # the steps that it is called with, with repeats

    def __post_init__(self) -> None:
        self.operands = [*steps_in(self.args), *steps_in(self.params)]

    def __repr__(self) -> str:
        what = getattr(self.function, "__name__", "constant" if self.is_constant else "argument")
        return f"<step {self.name or what}: {self.kind.__name__} of shape {self.shape}>"

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize if self.dtype is not None else 0

    @property
    def is_array(self) -> bool:
        return self.kind is np.ndarray

    @property
    def is_constant(self) -> bool:
        return self.function is None and self.constant is not None

    @property
    def is_argument(self) -> bool:
        return self.function is None and self.constant is None

    def with_(self, **changes: Any) -> Step:
        return replace(self, **changes)


@dataclass(repr=False)
class Program:
    """Steps in the order in which they ran, from arguments to results."""

    arguments: list[Step]
    steps: list[Step]
    returns: Any  # a nest of steps and plain values
    effects: set[Step] = field(default_factory=set)  # steps that check or act, and so must run

    def __repr__(self) -> str:
        return f"<program of {len(self.steps)} steps>"

    @property
    def results(self) -> list[Step]:
        return list(steps_in(self.returns))

    def constants(self) -> list[Step]:
        found: dict[Step, None] = {}
        for step in self.steps:
            found.update((s, None) for s in step.operands if s.is_constant)
        found.update((s, None) for s in self.results if s.is_constant)
        return list(found)

    def with_(self, **changes: Any) -> Program:
        return replace(self, **changes)


def mapped(function: Callable[[Any], Any], nest: Any, of: type = Step) -> Any:
    """A nest of steps and plain values with a function applied to each step, or to what else is
    looked for."""
    if isinstance(nest, of):
        return function(nest)
    kind = type(nest)
    if kind is tuple or kind is list:
        return kind([mapped(function, a, of) for a in nest])
    if kind is dict:
        return {k: mapped(function, a, of) for k, a in nest.items()}
    if kind is slice:
        return slice(*(mapped(function, a, of) for a in (nest.start, nest.stop, nest.step)))
    return nest


def steps_in(nest: Any) -> Iterator[Step]:
    """The steps in a nest, from left to right."""
    if isinstance(nest, Step):
        yield nest
        return
    kind = type(nest)
    if kind is tuple or kind is list:
        for a in nest:
            yield from steps_in(a)
    elif kind is dict:
        for a in nest.values():
            yield from steps_in(a)
    elif kind is slice:
        yield from steps_in((nest.start, nest.stop, nest.step))


def rebuilt(step: Step, other: Mapping[Step, Step]) -> Step:
    """The same call with other steps in place of some."""
    if not any(s in other for s in step.operands):
        return step
    swap = lambda s: other.get(s, s)
    return step.with_(args=mapped(swap, step.args), params=mapped(swap, step.params))


def used_by(program: Program) -> dict[Step, list[Step]]:
    """For each step the steps that are called with it, with repeats."""
    users: dict[Step, list[Step]] = {}
    for step in program.steps:
        for s in step.operands:
            users.setdefault(s, []).append(step)
    return users
