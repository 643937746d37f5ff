"""Arguments: what the function is given when it is traced, and what is traced of all that it finds.

Numbers and arrays are replaced by tracers, Tensors are given as they are, with their values and
gradients traced until the end. So are the Tensors that the function finds around it, what optimizers
remember and the arrays of modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from autobp.arrays import full_name, is_foreign
from autobp.compiler.call import Call
from autobp.compiler.program import Step
from autobp.compiler.terms import CaptureError, differentiated
from autobp.compiler.trace.effects import line_of
from autobp.compiler.trace.form import Form, Place
from autobp.compiler.trace.free_variables import (
    ARRAYS,
    Found,
    FreeVariable,
    is_kind,
    place_of,
    tests_of,
)
from autobp.compiler.trace.live import LiveTensor, LiveVariable
from autobp.compiler.trace.trace import Trace
from autobp.compiler.trace.tracer import Tracer
from autobp.tensor import Tensor
from autobp.tree import parts_of

__all__ = ["Arguments"]

MANY = 8  # floats in a list, which are looked at together


class Arguments(Form):
    """The arguments of one call while it is traced."""

    def __init__(
        self, call: Call, trace: Trace, reads_arrays: bool, counters: Iterable[tuple[int, Any]]
    ) -> None:
        super().__init__(call.parameters)
        self.donated: list[str] = call.donated
        self.trace = trace
        self.reads_arrays = reads_arrays  # of modules, at each call; else they are only checked
        self.counters: set[tuple[int, Any]] = set(
            counters
        )  # places of numbers that the function changes
        self.bindings: list[tuple[Step, Place]] = []  # where programs find their arguments
        self.tensors: dict[Tensor, LiveTensor] = {}
        self.live: list[LiveVariable] = []
        self.arrays: dict[int, tuple[str, Tracer]] = {}  # that objects hold, by their ids
        self.traced: set[tuple[int, Any]] = set()  # variables: ids of owners, and keys
        self.optimizers: list[Any] = []
        self.generators: dict[np.random.Generator, Any] = {}  # and what stands for them
        self.replaced: list[FreeVariable] = []  # which hold a generator
        self.nests: list[tuple[str, Any, dict[Any, Any]]] = []  # given, and with what in them
        self.given: dict[int, tuple[str, Any]] = {}  # arrays, lists and dicts, by their ids
        self.alike: dict[Any, list[str]] = {}  # where arrays of one shape and dtype are

    # ── what is given ─────────────────────────────────────────────────────────────────────────────

    def visit_nest(self, x: Any, place: Place, name: str) -> Any:
        if id(x) in self.given and not isinstance(x, tuple):
            return self.same(x, place)
        before = len(self.trace.arguments)
        nest = super().visit_nest(x, place, name)
        if not isinstance(x, dict):
            self.trace.unnamed.update(self.trace.arguments[before:])
        self.nests.append((name, nest, _entries(nest)))
        self.given[id(x)] = place.local, nest
        return nest

    def visit_parts(self, x: Sequence[Any], place: Place, name: str) -> list[Any]:
        """The types of many floats are tested at once."""
        if len(x) < MANY or {*map(type, x)} != {float}:
            return super().visit_parts(x, place, name)
        kinds = f"[*map(type, {place.local})]"  # to count is twice as fast as to make a set
        self.tests.append(f"{kinds}.count({self.known(float)}) == {len(x)}")
        return [self.argument(v, place.part(i), f"{name}{i}") for i, v in enumerate(x)]

    def visit_leaf(self, x: Any, place: Place, name: str) -> Any:
        kind = type(x)
        if isinstance(x, np.ndarray):
            if id(x) in self.given:
                return self.same(x, place)
            if kind not in ARRAYS or x.dtype.kind not in "biufc":
                raise CaptureError(
                    f"compile cannot capture the argument {name}, a {kind.__name__} of {x.dtype}:"
                    " programs are made for arrays of numbers"
                )
            self.tests.append(self.type_test(x, place))
            tracer = self.argument(np.asarray(x), place, name)
            self.given[id(x)] = place.local, tracer
            self.alike.setdefault((x.shape, x.dtype), []).append(place.local)
            return tracer
        if isinstance(x, Tensor):
            return self.tensor(x, place, name)
        if isinstance(x, np.generic) or kind in (float, int, complex):
            self.tests.append(f"type({place.local}) is {self.known(kind)}")
            return self.argument(x, place, name)
        if is_foreign(x):
            return self.argument(x, place, name)
        if kind is np.random.Generator:
            self.tests.append(f"type({place.local}) is {self.known(kind)}")
            return self.generator(x, place, name)
        return super().visit_leaf(x, place, name)

    def same(self, x: Any, place: Place) -> Any:
        """One array or nest in two places."""
        first, given = self.given[id(x)]
        self.tests.append(f"{place.local} is {first}")
        return given

    def check_apart(self) -> None:
        """What is two arrays is two arrays at each call: a function may ask whether they are one."""
        for places in self.alike.values():
            if len(places) == 2:
                self.tests.append(f"{places[0]} is not {places[1]}")
            elif len(places) > 2:
                ids = ", ".join(f"id({place})" for place in places)
                self.tests.append(f"len({{{ids}}}) == {len(places)}")

    def check_nests(self, found: Found) -> None:
        """The function was given copies of the caller's lists and dicts."""
        for name, nest, before in self.nests:
            now = _entries(nest)
            if now.keys() != before.keys() or any(now[k] is not v for k, v in before.items()):
                raise CaptureError(
                    f"compile cannot capture that {name} is changed in place at"
                    f" {line_of(found, name)}: a program changes no lists"
                    " and dicts of its caller; return a new one"
                )

    def argument(self, x: Any, place: Place, name: str, is_borrowed: bool = True) -> Tracer:
        if is_foreign(x):
            raise CaptureError(
                f"compile cannot capture the argument {name} of type {full_name(x)}: programs are made for"
                " NumPy's arrays; call the function itself"
            )
        tracer = self.trace.argument(x, name)
        tracer.borrowed = is_borrowed
        self.bindings.append((tracer.step, place))
        return tracer

    def generator(self, rng: np.random.Generator, place: Place, name: str) -> Any:
        draws = self.generators[rng] = self.trace.generator(rng, name)
        self.bindings.append((draws._handle.step, place))
        return draws

    def tensor(self, t: Tensor, place: Place, name: str, is_found: bool = False) -> Tensor:
        where = place.local
        if t in self.tensors:
            self.tests.append(f"{where} is {self.tensors[t].place.local}")
            return t
        if type(t) is not Tensor:
            raise CaptureError(
                f"compile cannot capture {name}, a {type(t).__name__}: of Tensors only those of"
                " autobp's own class"
            )
        self.tests.append(f"{where}.primitive is None and {where}.level == {t.level}")
        self.tests.append(f"{where}.hooks is {self.known(t.hooks)}")
        name = t.name or name
        value, grad = self.field(t.value, place.of_tensor(".value"), name), None
        if t.grad is None:
            self.tests.append(f"{where}.grad is None")
        else:
            grad = self.field(t.grad, place.of_tensor(".grad"), f"d{name}")
        self.trace.known.add(t)
        live = self.tensors[t] = LiveTensor(t, place, value, grad, is_found)
        live.begin()
        return t

    def field(self, x: Any, place: Place, name: str) -> Tracer:
        """The value or the gradient of a Tensor."""
        self.tests.append(self.type_test(x, place))
        return self.argument(x, place, name, is_borrowed=False)

    # ── what is found ─────────────────────────────────────────────────────────────────────────────

    def visit_found(self, found: Found) -> None:
        """Of what the function finds around it, replace what programs read at each call, and test
        all else."""
        for v in found.variables:
            value = v.value
            if v.kind == "optimizer":
                self.optimizer(value)
            elif (v.kind == "opaque" and hasattr(type(value), "__setitem__")) or (
                v.live and is_kind(value, np.ndarray) and type(value) not in ARRAYS
            ):
                raise CaptureError(
                    f"compile cannot capture {v.name}, a {type(value).__name__}: a change of what it holds"
                    " would not be seen; hold an ndarray, a list or a dict instead"
                )
            elif is_kind(value, Tensor):
                if not differentiated(value) and value not in self.tensors:
                    self.tensor(
                        value, _object_place(self.known(value)), value.name or "tensor", True
                    )
            elif type(value) is np.ndarray and v.live:
                self.array(v)
            elif (id(v.owner), v.key) in self.counters:
                place = _object_place(place_of(v, self.known))
                self.tests.append(f"type({place}) is {self.known(type(value))}")
                self.variable(v, self.argument(value, place, str(v.key)))
            elif type(value) is np.random.Generator and v.is_writable and not v.is_global:
                place = _object_place(self.known(value))
                draws = self.generators.get(value) or self.generator(value, place, str(v.key))
                self.replaced.append(v)
                v.write(draws)
        self.tests.extend(tests_of(found.variables, self.traced | found.live, self.known))

    def variable(self, v: FreeVariable, tracer: Tracer, is_remembered: bool = False) -> None:
        live = LiveVariable(v, tracer, is_remembered)
        self.traced.add(live.key)
        self.live.append(live)
        v.write(tracer)

    def array(self, v: FreeVariable) -> None:
        """An array that a module holds, or another live object, is read at each call."""
        array = v.value  # an element of a tuple has no place, and is always the same array
        place = _object_place(place_of(v, self.known) or self.known(array))
        if array.dtype.kind not in "biufc" or (id(v.owner), v.key) in self.traced:
            return
        if not self.reads_arrays or array.dtype.kind in "biu" or not v.is_writable:
            self.tests.append(f"{self.known(_same_array)}({place}, {self.known(array.copy())})")
            return
        if id(array) in self.arrays:  # one array in two places
            first, tracer = self.arrays[id(array)]
            self.tests.append(f"{place} is {first}")
        else:
            self.tests.append(self.type_test(array, place))
            tracer = self.argument(array, place, str(v.key), is_borrowed=False)
            self.arrays[id(array)] = str(place), tracer
        self.variable(v, tracer)

    def optimizer(self, optimizer: Any) -> None:
        """What an optimizer remembers, and its rates."""
        self.optimizers.append(optimizer)
        for owner, key in optimizer.live_entries():
            v = FreeVariable("entry", owner, key, owner[key], key, "", live=True)
            value, where = v.value, f"{self.known(owner)}[{key!r}]"
            place = _object_place(where)
            if isinstance(value, np.ndarray):
                self.tests.append(self.type_test(value, place))
            elif key == "lr":
                self.tests.append(f"type({where}) in (float, int) and 0 <= {where} < 1e999")
                value, place = float(value), _object_place(f"float({where})")
            else:
                self.tests.append(f"type({where}) is int")
            tracer = self.argument(value, place, key, is_borrowed=False)
            self.variable(v, tracer, is_remembered=True)

    # ── the end ───────────────────────────────────────────────────────────────────────────────────

    def release(self) -> bool:
        """Put back what was replaced. Whether an optimizer remembers something now that was not there
        to be an argument; it is removed."""
        for held in self.tensors.values():
            held.release()
        for v in self.replaced:
            v.write(v.value)
        for live in self.live:
            live.release()
        known = {live.key for live in self.live}
        found = [entry for optimizer in self.optimizers for entry in optimizer.live_entries()]
        new = [(owner, key) for owner, key in found if (id(owner), key) not in known]
        for owner, key in new:
            del owner[key]
        return bool(new)

    def forget(self) -> None:
        """Let go of the values of the call, which take memory: a program is made of steps."""
        for held in self.tensors.values():
            held.forget()
        for live in self.live:
            live.forget()
        self.given.clear()
        self.arrays.clear()
        self.nests.clear()
        self.generators.clear()
        self.trace.forget()


def _object_place(text: str) -> Place:
    """The place of an object or of what it holds."""
    return Place(text, text, text, is_literal=False)


def _entries(nest: Any) -> dict[Any, Any]:
    return dict(nest) if isinstance(nest, dict) else dict(enumerate(parts_of(nest) or ()))


def _same_array(x: Any, before: np.ndarray) -> bool:
    """Whether an array that is a constant of the program holds what it held."""
    return (
        type(x) is np.ndarray
        and x.dtype == before.dtype
        and x.shape == before.shape
        and x.tobytes() == before.tobytes()
    )
