"""Snapshot: what a call may change, to be put back, and to be changed by rounding on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from autobp.compiler.trace.effects import Randomness, State, is_counter
from autobp.compiler.trace.free_variables import ARRAYS, Found, FreeVariable, is_kind
from autobp.tensor import Tensor
from autobp.tree import leaves, parts_of_values, transformed

__all__ = ["Snapshot", "copied", "moved"]


class _Held(NamedTuple):
    """A variable, what messages call it, and an array or a number that it held."""

    name: str
    variable: FreeVariable
    value: Any
    before: Any  # a copy

    def restore(self) -> None:
        if isinstance(self.value, np.ndarray) and self.value.flags.writeable:
            self.value[...] = self.before
        self.variable.write(self.value)

    def move(self, far: int, seed: int) -> None:
        """Change floats in their last digits, arrays in place."""
        x, other = self.value, moved(self.value, far, seed)
        if isinstance(x, np.ndarray) and x.flags.writeable:
            x[...] = other
        elif isinstance(self.variable.owner, Tensor):
            self.variable.write(other)


class Snapshot:
    """What a call may change: Tensors, what optimizers and modules hold, generators. With `all`,
    everything that was found around the function."""

    def __init__(self, found: Found, args: Any, all: bool = False) -> None:
        given = [x for _, x in leaves(args, split=parts_of_values)]
        objects = (*given, *(v.value for v in found.variables))
        tensors = {x: x.born for x in objects if is_kind(x, Tensor) and x.is_leaf and x.level <= 0}
        self.births = tensors
        self.held: list[_Held] = []
        for i, t in enumerate(tensors):
            name = repr(t.name) if t.name else f"Tensor {i}"
            self.hold(f"the value of {name}", FreeVariable("attribute", t, "value", None, "", ""))
            self.hold(f"the gradient of {name}", FreeVariable("attribute", t, "grad", None, "", ""))
        for v in found.variables:
            if v.live and v.is_writable and (type(v.value) in ARRAYS or is_counter(v.value)):
                self.hold(repr(v.key), v)
        self.optimizers: list[Any] = [v.value for v in found.variables if v.kind == "optimizer"]
        self.entries: set[tuple[int, Any]] = {(id(owner), key) for owner, key in self._entries()}
        for owner, key in self._entries():
            self.hold(repr(key), FreeVariable("entry", owner, key, None, "", ""))
        objects = (*given, *found.objects.values())
        generators = {id(g): g for g in objects if isinstance(g, np.random.Generator)}.values()
        self.generators: list[tuple[np.random.BitGenerator, Mapping[str, Any]]] = [
            (g.bit_generator, g.bit_generator.state) for g in generators
        ]
        held = {(id(h.variable.owner), h.variable.key) for h in self.held}
        self.state: State | None = State(found, held) if all else None
        self.randomness: Randomness | None = Randomness(found, generators) if all else None

    def hold(self, name: str, variable: FreeVariable) -> None:
        value = variable.read()
        self.held.append(_Held(name, variable, value, copied(value)))

    def _entries(self) -> list[tuple[Any, Any]]:
        """What optimizers remember now."""
        return [entry for optimizer in self.optimizers for entry in optimizer.live_entries()]

    def now(self) -> list[tuple[str, Any]]:
        """Copies of what is there now, and what to call each."""
        values = [(h.name, copied(h.variable.read())) for h in self.held]
        states = [("the state of a generator", repr(bits.state)) for bits, _ in self.generators]
        return values + states

    def restore(self) -> None:
        for held in self.held:
            held.restore()
        for t, born in self.births.items():
            t.born = born
        for owner, key in self._entries():
            if (id(owner), key) not in self.entries:
                del owner[key]
        for bits, state in self.generators:
            bits.state = state
        if self.state is not None:
            self.state.restore()
        if self.randomness is not None:
            self.randomness.rewind()

    def move(self, far: int) -> None:
        """Change all numbers in their last digits."""
        for i, held in enumerate(self.held):
            held.move(far, i)


def copied(x: Any) -> Any:
    """What an array holds now; anything else as it is."""
    return x.copy() if isinstance(x, np.ndarray) else x


def moved(nest: Any, far: int, seed: int = 0) -> Any:
    """A nest like this one whose floats differ by a few units in the last place, or so many times as
    far."""
    rng = np.random.default_rng(seed)

    def one(x: Any) -> Any:
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            eps = far * np.finfo(x.dtype).eps
            return (x * (1 + eps * rng.integers(-4, 5, x.shape))).astype(x.dtype)
        if type(x) is float or isinstance(x, np.floating):
            eps = far * np.finfo(np.result_type(x)).eps
            return type(x)(x * (1 + eps * int(rng.choice([-4, -3, -2, 2, 3, 4]))))
        return x

    return transformed(one, nest, parts_of_values)
