"""Entry: a program that runs for all calls of one form, and its text."""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from autobp.compiler.call import Call
from autobp.compiler.checked import Checked
from autobp.compiler.emit.module import Bound, Module
from autobp.compiler.emit.plan import Plan, planned
from autobp.compiler.memory import give_back
from autobp.compiler.passes.pipeline import optimized, owned_results
from autobp.compiler.program import Program, Step
from autobp.compiler.results import Results
from autobp.compiler.rolling.rolled import rolled
from autobp.compiler.snapshot import copied
from autobp.compiler.terms import Changed
from autobp.compiler.trace.calls import draw, guarded
from autobp.compiler.trace.form import Place
from autobp.compiler.trace.free_variables import Found
from autobp.compiler.trace.handlers import is_of_handler
from autobp.compiler.trace.live import update
from autobp.compiler.trace.tracing import Traced, trace_call
from autobp.owner import warn
from autobp.tensor import Tensor
from autobp.tree import parts_of_values, transformed

__all__ = ["LONG", "Entry", "TooLong", "compile_entry"]


def compile_entry(
    call: Call,
    many: float = math.inf,
    is_wide: Callable[[Sequence[Step]], bool] | None = None,
    earlier: Sequence[Found] = (),
    is_too_long: Callable[[int], bool] = lambda steps: False,
) -> Entry:
    """The program for calls like this one; see `trace_call`. It is asked whether one of so many steps is
    too long, which then ends with TooLong."""
    collects = gc.isenabled()
    gc.disable()  # a program has many small parts and no cycles
    try:
        traced = trace_call(call, many, is_wide, earlier)
        try:
            entry = Entry(traced, is_too_long)
        except TooLong:
            raise
        except Exception as error:
            if is_of_handler(error):
                raise
            raise traced.failed(error) from error
        traced.arguments.forget()
        is_cut = traced.is_cut
        del traced  # a million objects perhaps, which the collector need not go through
        if not call.settings.check:
            give_back()
    finally:
        if collects:
            gc.enable()
    if is_cut:
        warn(
            f"{call.name} returns a Tensor that requires a gradient; compiled, its results are constants,"
            " and no derivative goes through them. Compile the whole step, with backward(), or"
            " call it under no_grad()"
        )
    return entry


#: In place of a traced program with loops: thousands of steps that are kept for nobody but a printer that
#: wants the program as it was traced, which traces again.
_NOTHING = Program([], [], None)

LONG = 20_000  # calls of a program that is waited for
_WRITING = 2.5  # the time of all that comes after tracing, over that of tracing


class TooLong(Exception):
    """A program has too many steps, loops and all."""


class Entry(Checked):
    def __init__(
        self, traced: Traced, is_too_long: Callable[[int], bool] = lambda steps: False
    ) -> None:
        super().__init__(traced.call, traced.found)
        arguments, reuse = traced.arguments, self.settings.reuse
        donated = {step for step, place in arguments.bindings if place.root in arguments.donated}
        replaced = {held.steps[0] for held in traced.tensors} | {v.step for v in traced.live}
        program = rolled(traced.program)
        calls = len(program.steps)
        if is_too_long(sum(len(p.steps) for p in program.nested())):
            raise TooLong
        share = calls / max(1, len(traced.program.steps))
        _tell_waiting(self.called, calls, traced.seconds * share)
        self.program: Program = owned_results(
            optimized(program), program, replaced, traced.gradients(program)
        )
        self.plan: Plan = planned(self.program, donated, traced.updated(self.program), reuse)
        self.arguments = arguments
        kept = traced.program if program is traced.program else _NOTHING
        self.traced: Traced = replace(
            traced, call=_of_forms(traced.call), result=None, program=kept
        )
        bound = [
            Bound(step, place.text, place.attribute, place.is_literal, place.element)
            for step, place in arguments.bindings
        ]
        self.module: Module = Module(
            self.program, self.plan, self.name, arguments.parameters, bound, arguments.lengths
        )
        self._free: list[Callable[..., Any]] = []  # functions that no call is running in
        self._results = Results(traced.result)
        self._live = [variable.update() for variable in traced.live]
        self._has_tensors = bool(traced.tensors)
        self._tensors = self._lister(held.place for held in traced.tensors)
        self._generators = self._lister(p for step, p in arguments.bindings if step.dtype is None)
        used = {s for step in self.program.steps for s in step.operands} | set(self.program.results)
        self.values = self._lister(place for step, place in arguments.bindings if step in used)
        self.fits: Callable[..., bool] = self._checker(used)
        functions = {step.function for p in self.program.nested() for step in p.steps}
        self.run = self._run_drawing if {draw, guarded} <= functions else self._run
        self._owners: set[int] = set()  # with `reuse`: ids of the arrays that results are in
        bases = "".join(
            f"id({place}.base), " for step, place in arguments.bindings if step.is_array
        )
        self._is_apart = arguments.function(
            [f"return owners.isdisjoint(({bases}))"], owners=self._owners
        )

    def text(self, whole: bool) -> str:
        """A module; large constants are left out of it if it is only to be read."""
        return self.module.text(whole, self.found.constants())

    # ── which calls it is for ─────────────────────────────────────────────────────────────────────

    def _lister(self, places: Iterable[Place]) -> Callable[..., list[Any]]:
        """The function that lists what is in some places of its arguments."""
        return self.arguments.function([f"return [{', '.join(map(str, places))}]"])

    def _checker(self, used: set[Step]) -> Callable[..., bool]:
        tests = list(self.arguments.tests)
        given = {p.argument for p in self.plan.buffers.values() if p.argument is not None}
        bindings = self.arguments.bindings
        arrays = {p.local: step for step, p in bindings if step in used and step.is_array}
        if given and len(arrays) > 1:  # what is overwritten is in no other array
            over = [i for i, s in enumerate(arrays.values()) if s in given]
            first = [" is ".join(f"{where}.base" for where in arrays) + " is None"]
            for form in {(s.shape, s.dtype) for s in given}:  # one array in two places has one form
                alike = [f"id({w})" for w, s in arrays.items() if (s.shape, s.dtype) == form]
                if len(alike) > 1:
                    first.append(f"len({{{', '.join(alike)}}}) == {len(alike)}")
            tests.append(f"({' and '.join(first)} or _apart({over}, ({', '.join(arrays)})))")
        return self.arguments.function([f"return {' and '.join(tests) or True}"], _apart=_apart)

    # ── running ───────────────────────────────────────────────────────────────────────────────────

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        if self._owners:
            args, kwargs = self._unshared(args, kwargs)
        try:
            run = self._free.pop()
        except IndexError:  # the first call, or all are running in other threads
            run = self._made()
        try:
            result = run(*args, **kwargs)
        finally:
            self._free.append(run)
        if self._has_tensors or self._live:
            result, changes, after = result
            if self.settings.reuse:  # what outlives the call is in no memory that the next one uses
                changes = [(value, copied(grad)) for value, grad in changes]
                after = [copied(value) for value in after]
            if self._has_tensors:
                for t, change in zip(self._tensors(*args, **kwargs), changes, strict=True):
                    update(t, *change)
            for put, value in zip(self._live, after, strict=True):
                put(value)
        return result if self._results.is_plain else self._results.filled(result)

    def _run_drawing(self, *args: Any, **kwargs: Any) -> Any:
        """Generators are set back if it turns out that another program is to draw the numbers."""
        generators = [rng.bit_generator for rng in self._generators(*args, **kwargs)]
        states = [g.state for g in generators]
        try:
            return self._run(*args, **kwargs)
        except Changed:
            for g, state in zip(generators, states, strict=True):
                g.state = state
            raise

    def release(self) -> None:
        """Free the arenas that no call is running in. The next call makes another one."""
        with suppress(IndexError):  # none is left, or another thread runs in the last
            while True:
                self._free.pop().__globals__.clear()  # which a function holds, and they the function

    def _made(self) -> Callable[..., Any]:
        """The function, with an arena of its own."""
        made = self.module.run(self.arguments.objects)
        if self.settings.reuse:
            self._owners.update(id(_base(x)) for x in made.values() if isinstance(x, np.ndarray))
        run: Callable[..., Any] = made[self.name]
        return run

    # ── copies of arguments ───────────────────────────────────────────────────────────────────────

    def copies(self, args: Any, kwargs: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """The program may overwrite what is given away, and what is in memory of its own."""
        args, kwargs = self._unshared(args, kwargs)
        values = [
            transformed(copied, x, parts_of_values) if name in self.arguments.donated else x
            for name, x in zip(self.arguments.parameters, (*args, *kwargs.values()))
        ]
        own = tuple(values[: len(args)]), dict(zip(kwargs, values[len(args) :]))
        return (args, kwargs), own

    def _unshared(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """The arguments, of results of earlier calls among them copies."""
        if not self._owners or self._is_apart(*args, **kwargs):
            return args, kwargs
        copy = self._own_copy
        return (
            transformed(copy, args, parts_of_values),
            transformed(copy, kwargs, parts_of_values),
        )

    def _own_copy(self, x: Any) -> Any:
        if isinstance(x, Tensor):
            if x.is_leaf:
                x.value = self._own_copy(x.value)
        elif isinstance(x, np.ndarray) and id(_base(x)) in self._owners:
            return x.copy()
        return x


def _of_forms(call: Call) -> Call:
    """The call without the arrays that it was given: ones of their shapes, which take no memory."""
    made: dict[int, Any] = {}

    def of_form(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        if id(x) not in made:
            made[id(x)] = np.broadcast_to(np.array(x.dtype.kind == "f", x.dtype), x.shape)
        return made[id(x)]

    args, kwargs = (transformed(of_form, x, parts_of_values) for x in (call.args, call.kwargs))
    return replace(call, args=args, kwargs=kwargs)


def _tell_waiting(name: str, calls: int, seconds: float) -> None:
    """Say how long a long program takes to write, by how long it took to trace."""
    if calls > LONG and sys.stderr is not None:
        print(
            f"compile: {name} makes {calls:,} calls one by one; its program is ready in about"
            f" {max(1, round(_WRITING * seconds))} s",
            file=sys.stderr,
            flush=True,
        )


def _base(x: np.ndarray) -> Any:
    return x if x.base is None else x.base


def _apart(given: Sequence[int], arrays: Sequence[np.ndarray]) -> bool:
    """Whether those that are given away share no memory with the others."""
    owners = list(map(_base, arrays))  # NumPy's views know their owner
    if len({*map(id, owners)}) == len(arrays) and all(
        type(owner) is np.ndarray and owner.base is None for owner in owners
    ):
        return True
    return not any(
        i != j and np.may_share_memory(arrays[i], a) for i in given for j, a in enumerate(arrays)
    )
