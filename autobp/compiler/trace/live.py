"""Live values: what a program reads at each call and updates: Tensors, and what objects hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from autobp.compiler.program import Step
from autobp.compiler.trace.effects import line_of
from autobp.compiler.trace.form import Place
from autobp.compiler.trace.free_variables import Found, FreeVariable
from autobp.compiler.trace.stand_in import Traced, end, stand_in
from autobp.compiler.trace.tracer import Tracer
from autobp.context import clock
from autobp.hooks import Hook
from autobp.tensor import Tensor

__all__ = ["LiveTensor", "LiveVariable", "Update", "update"]


@dataclass
class LiveTensor:
    """A Tensor whose value and gradient are traced."""

    tensor: Tensor
    place: Place
    value: Tracer
    grad: Tracer | None
    is_found: bool  # around the function, and no argument
    after: tuple[Any, Any] = (
        None,
        ...,
    )  # value and gradient at the end; ...: the gradient is as it was
    traced: Traced | None = None
    level: int = field(init=False)
    hooks: tuple[Hook, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.level, self.hooks = self.tensor.level, self.tensor.hooks
        self.steps: Any = [t.step for t in (self.value, self.grad) if t is not None]

    def begin(self) -> None:
        self.traced = stand_in(self.tensor, self.value, self.grad)

    def release(self) -> None:
        """Let the Tensor be what it was."""
        if self.traced is None:
            return
        value, grad = self.traced.value, self.traced.grad
        end(self.traced)
        if grad is self.grad and (grad is None or not grad.version):
            grad = ...
        self.after = value, grad

    def forget(self) -> None:
        """Let go of the values, when it is known what becomes of them."""
        self.after, self.traced = (None, ...), None
        for tracer in (self.value, self.grad):
            if tracer is not None:
                tracer.now = tracer.view = None

    @property
    def is_changed(self) -> bool:
        value, _ = self.after
        return value is not self.value or value.version > 0

    def undo_effects(self, found: Found) -> list[str]:
        """What else was changed, put back."""
        t, effects, name = self.tensor, [], repr(self.tensor.name or "a Tensor")
        if t.level != self.level:
            t.level = self.level
            where = line_of(found, "requires_grad", stores=True)
            effects.append(f"requires_grad of {name} is set at {where}")
        if t.hooks is not self.hooks:
            t.hooks = self.hooks
            effects.append(f"a hook of {name} is set at {line_of(found, 'register_hook')}")
        return effects


def update(t: Tensor, value: Any, grad: Any) -> None:
    """Give a Tensor the value and the gradient that a program returns; the value is changed in place."""
    if value is not None:
        if type(t.value) is not np.ndarray:
            t.value = value
        elif value is not t.value:
            t.value[...] = value
        t.born = clock()
    if grad is not ...:
        t.grad = grad


@dataclass
class LiveVariable:
    """A variable that is traced: a rate, a count of steps, an average, an array of a module."""

    variable: FreeVariable
    tracer: Tracer
    is_remembered: bool = False  # by an optimizer
    after: Any = ...  # its value at the end

    def __post_init__(self) -> None:
        self.step: Step = self.tracer.step

    @property
    def key(self) -> tuple[int, Any]:
        return id(self.variable.owner), self.variable.key

    def release(self) -> None:
        """Let the variable be what it was."""
        if self.after is ...:
            self.after = self.variable.read()
        self.variable.write(self.variable.value)

    @property
    def is_changed(self) -> bool:
        return self.after is not self.tracer or self.after.version > 0

    @property
    def is_in_place(self) -> bool:
        """Whether the array stays the one that it is."""
        is_array = type(self.variable.value) is np.ndarray
        return is_array and (self.is_remembered or self.after is self.tracer)

    def forget(self) -> None:
        self.after = ...
        self.tracer.now = self.tracer.view = None

    def update(self) -> Update:
        return Update(self.variable, self.is_in_place)


class Update(NamedTuple):
    """How a variable is given its new value. It holds nothing that was traced."""

    variable: FreeVariable
    is_in_place: bool

    def __call__(self, value: Any) -> None:
        if not self.is_in_place:
            self.variable.write(value)
        elif value is not (array := self.variable.read()):
            array[...] = value
