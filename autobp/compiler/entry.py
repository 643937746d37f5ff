"""Entry: the program for arguments of one form, from the call in which it was written down."""

from __future__ import annotations

import contextvars
import gc
import inspect
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from autobp.compiler.comparison import Checked, Snapshot, check_same, copied, moved
from autobp.compiler.emit.module import Bound, Module
from autobp.compiler.emit.plan import planned
from autobp.compiler.passes.pipeline import optimized, owned_results
from autobp.compiler.program import Program, Step, steps_in
from autobp.compiler.terms import (
    CaptureError,
    Changed,
    DifferenceError,
    Settings,
    StateNotReady,
    UnforeseenError,
    differentiated,
)
from autobp.compiler.trace.effects import (
    Randomness,
    State,
    check_changes,
    check_draws,
    line_of,
)
from autobp.compiler.trace.free_variables import (
    ARRAYS,
    Executed,
    Found,
    FreeVariable,
    free_variables,
    is_kind,
    is_user_frame,
    place_of,
    tests_of,
)
from autobp.compiler.trace.stand_in import Traced, end, stand_in
from autobp.compiler.trace.tracer import ManyNumbers, Trace, Tracer, draw, guarded
from autobp.context import clock, current, tracing, user_line
from autobp.tensor import Tensor
from autobp.tree import leaves, transformed

__all__ = ["Entry", "compile_entry"]


class _Arguments:
    """How the arguments of one signature are told and taken apart, as text for the check and for the
    program, while they are replaced by what is captured."""

    def __init__(self, trace: Trace, reads_arrays: bool, counters: set[tuple[int, Any]]) -> None:
        self.trace = trace
        self.counters = counters  # places of numbers that the function changes
        self.reads_arrays = reads_arrays  # of modules, at each call; else they are only checked
        self.tests: list[str] = []
        self.objects: dict[str, Any] = {"ndarray": np.ndarray, "Tensor": Tensor}
        self.numbers: dict[int, str] = {id(v): k for k, v in self.objects.items()}
        self.bindings: list[tuple[Step, str]] = []  # what is within a nest, and where
        self.tensors: dict[Tensor, _Held] = {}
        self.live: list[_Live] = []  # what programs change of it, in the end
        self.live_places: list[_Live] = []  # all of it
        self.places: dict[int, tuple[str, Any]] = {}  # of arrays that objects hold, by their ids
        self.traced: set[tuple[int, Any]] = set()  # places that are arguments: owners' ids and keys
        self.optimizers: list[Any] = []
        self.generators: dict[np.random.Generator, Any] = {}  # and what stands for them
        self.replaced: list[FreeVariable] = []  # which hold a generator
        self.nests: list[tuple[str, Any, dict[Any, Any]]] = []  # given, and with what in them
        self.given: dict[int, tuple[str, Any]] = {}  # arrays, lists and dicts, by their ids
        self.alike: dict[Any, list[str]] = {}  # where arrays of one form are

    def known(self, thing: Any) -> str:
        name = self.numbers.get(id(thing))
        if name is None:
            name = self.numbers[id(thing)] = f"k{len(self.objects)}_"
            self.objects[name] = thing
        return name

    def take(self, x: Any, where: str, name: str) -> Any:
        """What the function is given instead of x."""
        kind = type(x)
        if isinstance(x, dict | list) and id(x) in self.given:
            first, nest = self.given[id(x)]
            self.tests.append(f"{where} is {first}")
            return nest
        if isinstance(x, dict | list | tuple):
            self.tests.append(f"type({where}) is {self.known(kind)}")
            if isinstance(x, dict):
                self.tests.append(f"tuple({where}) == {self.known(tuple(x))}")
                taken = {
                    k: self.take(v, f"{where}[{_key(k, self)}]", _inner(name, k))
                    for k, v in x.items()
                }
                result = x.copy()
                dict.update(result, taken)  # a Counter's own would add
                self.nests.append((name, result, dict(result)))
                self.given[id(x)] = where, result
                return result
            self.tests.append(f"len({where}) == {len(x)}")
            before = len(self.trace.arguments)
            parts = [self.take(v, f"{where}[{i}]", f"{name}{i}") for i, v in enumerate(x)]
            self.trace.unnamed.update(self.trace.arguments[before:])
            nest = kind(*parts) if hasattr(x, "_fields") else kind(parts)
            self.nests.append((name, nest, dict(enumerate(parts))))
            self.given[id(x)] = where, nest
            return nest
        if isinstance(x, np.ndarray) and id(x) in self.given:
            first, tracer = self.given[id(x)]  # one array in two places
            self.tests.append(f"{where} is {first}")
            return tracer
        if isinstance(x, np.ndarray):
            if kind not in ARRAYS or x.dtype.kind not in "biufc":
                raise CaptureError(
                    f"compile cannot capture the argument {name}, a {kind.__name__} of {x.dtype}:"
                    " arrays of numbers are what programs are written for"
                )
            self.tests += self.plain(x, where)
            tracer = self.argument(x if kind is np.ndarray else np.asarray(x), where, name)
            self.given[id(x)] = where, tracer
            self.alike.setdefault((x.shape, x.dtype), []).append(where)
            return tracer
        if isinstance(x, Tensor):
            return self.tensor(x, where, name)
        if isinstance(x, np.generic) or kind in (float, int, complex):
            self.tests.append(f"type({where}) is {self.known(kind)}")
            return self.argument(x, where, name)
        if kind is np.random.Generator:
            self.tests.append(f"type({where}) is {self.known(kind)}")
            return self.generator(x, where, name)
        if kind is str:
            self.tests.append(f"type({where}) is str and {where} == {x!r}")
        else:
            self.tests.append(f"{where} is {self.known(x)}")
        return x

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
            now = dict(nest) if isinstance(nest, dict) else dict(enumerate(nest))
            if now.keys() != before.keys() or any(now[k] is not v for k, v in before.items()):
                raise CaptureError(
                    f"compile cannot capture that {name} is changed in place at"
                    f" {line_of(found, name)}: a program changes no lists"
                    " and dicts of its caller; return a new one"
                )

    def argument(self, x: Any, where: str, name: str) -> Tracer:
        tracer = self.trace.argument(x, name)
        self.bindings.append((tracer.step, where))
        return tracer

    def generator(self, rng: np.random.Generator, where: str, name: str) -> Any:
        draws = self.generators[rng] = self.trace.generator(rng, name)
        self.bindings.append((draws._handle.step, where))
        return draws

    def held_generator(self, v: FreeVariable) -> None:
        """A generator that an object holds is replaced there until the end."""
        rng = v.value
        draws = self.generators.get(rng) or self.generator(rng, self.known(rng), str(v.key))
        self.replaced.append(v)
        v.write(draws)

    def held_array(self, v: FreeVariable) -> None:
        """An array that a module holds, or another live object, is read at each call."""
        array, where = v.value, place_of(v, self.known)
        if array.dtype.kind not in "biufc" or (id(v.owner), v.key) in self.traced:
            return
        if not self.reads_arrays or array.dtype.kind in "biu" or not v.is_writable:
            self.tests.append(f"{self.known(_same_array)}({where}, {self.known(array.copy())})")
            return
        if id(array) in self.places:  # one array in two places
            first, tracer = self.places[id(array)]
            self.tests.append(f"{where} is {first}")
        else:
            self.tests += self.plain(array, where)
            tracer = self.argument(array, where, str(v.key))
            tracer.borrowed = False
            self.places[id(array)] = where, tracer
        self.traced.add((id(v.owner), v.key))
        self.live.append(_Live(v, array, tracer, tracer.step))
        v.write(tracer)

    def counter(self, v: FreeVariable) -> None:
        """A number that a module holds and the function changes is an argument."""
        where = place_of(v, self.known)
        self.tests.append(f"type({where}) is {self.known(type(v.value))}")
        tracer = self.argument(v.value, where, str(v.key))
        self.traced.add((id(v.owner), v.key))
        self.live.append(_Live(v, v.value, tracer, tracer.step))
        v.write(tracer)

    def take_optimizer(self, optimizer: Any) -> None:
        """What an optimizer remembers, and its rates, are arguments too."""
        self.optimizers.append(optimizer)
        for owner, key in optimizer.live_entries():
            value, where = owner[key], f"{self.known(owner)}[{key!r}]"
            if isinstance(value, np.ndarray):
                self.tests += self.plain(value, where)
            elif key == "lr":
                self.tests.append(f"type({where}) in (float, int) and 0 <= {where} < 1e999")
                where, value = f"float({where})", float(value)
            else:
                self.tests.append(f"type({where}) is int")
            tracer = self.argument(value, where, key)
            tracer.borrowed = False
            v = FreeVariable("entry", owner, key, owner[key], key, "", live=True)
            self.live.append(_Live(v, owner[key], tracer, tracer.step, remembered=True))
            owner[key] = tracer

    def put_back(self) -> None:
        """Put back what was replaced, but for Tensors."""
        for v in self.replaced:
            v.write(v.value)
        for entry in self.live:
            entry.release()

    def forget_new(self) -> bool:
        """Whether an optimizer remembers something now that was not there to be an argument."""
        known = {(id(entry.place.owner), entry.place.key) for entry in self.live}
        found = [entry for optimizer in self.optimizers for entry in optimizer.live_entries()]
        new = [(owner, key) for owner, key in found if (id(owner), key) not in known]
        for owner, key in new:
            del owner[key]
        return bool(new)

    def tensor(self, t: Tensor, where: str, name: str) -> Tensor:
        """A Tensor is given as it is, with its value and its gradient traced until the end."""
        if t in self.tensors:
            self.tests.append(f"{where} is {self.tensors[t].where}")
            return t
        if type(t) is not Tensor:
            raise CaptureError(
                f"compile cannot capture {name}, a {type(t).__name__}: of Tensors only those of"
                " autobp's own class"
            )
        tests = [f"{where}.primitive is None and {where}.level == {t.level}"]
        tests += self.plain(t.value, f"{where}.value")
        tests.append(f"{where}.hooks is {self.known(t.hooks)}")
        value = self.argument(t.value, f"{where}.value", t.name or name)
        value.borrowed = False
        slope = None
        if t.grad is None:
            tests.append(f"{where}.grad is None")
        else:
            tests += self.plain(t.grad, f"{where}.grad")
            slope = self.argument(t.grad, f"{where}.grad", f"d{t.name or name}")
            slope.borrowed = False
        steps = [value.step] if slope is None else [value.step, slope.step]
        held = _Held(t, where, value, slope, tests, t.level, t.hooks, steps)
        self.tensors[t] = held
        self.trace.known.add(t)
        held.traced = stand_in(t, value, slope)
        return t

    def around(self, found: Found) -> None:
        """What the function finds around it. Tensors among that are arguments too."""
        for v in found.variables:
            value = v.value
            if v.kind == "optimizer":
                self.take_optimizer(value)
            elif (v.kind == "opaque" and hasattr(type(value), "__setitem__")) or (
                v.live and is_kind(value, np.ndarray) and type(value) not in ARRAYS
            ):
                raise CaptureError(
                    f"compile cannot capture {v.name}, a {type(value).__name__}: a change of what it holds"
                    " would not be seen; hold an ndarray, a list or a dict instead"
                )
            elif is_kind(value, Tensor):
                if not differentiated(value) and value not in self.tensors:
                    self.tensor(value, self.known(value), value.name or "tensor")
                    self.tensors[value].found = True
            elif type(value) is np.ndarray and v.live:
                self.held_array(v)
            elif (id(v.owner), v.key) in self.counters:
                self.counter(v)
            elif type(value) is np.random.Generator and v.is_writable and not v.is_global:
                self.held_generator(v)
        self.tests += tests_of(found.variables, self.traced | found.live, self.known)

    def plain(self, x: Any, where: str) -> list[str]:
        """Tests of the type of a value, and of the shape and dtype of an array."""
        if not isinstance(x, np.ndarray | np.generic):
            return [f"type({where}) is {self.known(type(x))}"]
        return [
            f"type(a_ := {where}) is {self.known(type(x))} and a_.shape == {x.shape!r}"
            f" and a_.dtype is {self.known(x.dtype)}"
        ]


def _same_array(x: Any, before: np.ndarray) -> bool:
    """Whether an array that is a part of what is compiled holds what it held."""
    return (
        type(x) is np.ndarray
        and x.dtype == before.dtype
        and x.shape == before.shape
        and x.tobytes() == before.tobytes()
    )


@dataclass
class _Held:
    """A Tensor among the arguments, and what it held when the call began."""

    tensor: Tensor
    where: str
    tracer: Any  # its value, traced
    slope: Any  # the gradient, traced; or None
    tests: list[str]
    level: int
    hooks: Any
    steps: list[Step]  # the arguments: the value, and the gradient if there is one
    found: bool = False  # around the function, and not handed over
    traced: Traced | None = None

    def release(self) -> tuple[Any, Any]:
        """Let the Tensor be what it was, and tell what its value and its gradient have become; the
        gradient is ... if it is as it was."""
        assert self.traced is not None
        value, grad = self.traced.value, self.traced.grad
        end(self.traced)
        if grad is self.slope and (grad is None or not grad.version):
            grad = ...
        return value, grad

    def changes(self, found: Found) -> list[str]:
        """What else was changed, put back."""
        t, said, name = self.tensor, [], repr(self.tensor.name or "a Tensor")
        if t.level != self.level:
            t.level = self.level
            where = line_of(found, "requires_grad", stores=True)
            said.append(f"requires_grad of {name} is set at {where}")
        if t.hooks is not self.hooks:
            t.hooks = self.hooks
            said.append(f"a hook of {name} is set at {line_of(found, 'register_hook')}")
        return said


@dataclass
class _Live:
    """A place that steps read and change: a rate, a number of steps, an average, an array of a
    module."""

    place: FreeVariable
    value: Any
    tracer: Any
    step: Step  # the argument
    remembered: bool = False  # by an optimizer
    became: Any = ...

    def release(self) -> None:
        if self.became is ...:
            self.became = self.place.read()
        self.place.write(self.value)

    @property
    def is_changed(self) -> bool:
        return self.became is not self.tracer or self.became.version > 0

    @property
    def in_place(self) -> bool:
        """Whether the array stays the one that it is."""
        return type(self.value) is np.ndarray and (self.remembered or self.became is self.tracer)

    def update(self, value: Any) -> None:
        if not self.in_place:
            self.place.write(value)
        elif value is not (array := self.place.read()):
            array[...] = value


def update(t: Tensor, value: Any, grad: Any) -> None:
    """What a call made of a Tensor: its value, changed in place, and its gradient."""
    if value is not None:
        if value is t.value:  # changed in place
            pass
        elif type(t.value) is np.ndarray:
            t.value[...] = value
        else:
            t.value = value
        t.born = clock()
    if grad is not ...:
        t.grad = grad


def _key(k: Any, arguments: _Arguments) -> str:
    return repr(k) if isinstance(k, str | int | float | bool) else arguments.known(k)


def _inner(name: str, key: Any) -> str:
    return key if isinstance(key, str) and key.isidentifier() else f"{name}_{key}"


def parameter_names(function: Callable[..., Any], args: Any, kwargs: Any) -> list[str]:
    """Names for the positional arguments: those of the function, where it has some."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = names[: len(args)]
    i = 0
    while len(names) < len(args):
        i += 1
        if f"x{i}" not in names and f"x{i}" not in kwargs:
            names.append(f"x{i}")
    return names


def compile_entry(
    function: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    settings: Settings,
    most: float = math.inf,
    earlier: Sequence[Found] = (),
) -> Entry:
    """The program for arguments like these. Nothing is changed yet: that is what the program does.
    What programs written `earlier` have found tells which numbers of modules change between calls."""
    executed: list[Executed] = []
    reads_arrays = True
    varying = {place for found in earlier for place in _varying(found)}
    counters = set(varying)
    for _ in range(_ATTEMPTS):
        found = free_variables(function, (args, kwargs), executed)
        trace = _Trace(function, name, args, kwargs, settings, most, found, reads_arrays, counters)
        try:
            entry = trace.run()
            if not trace.unknown:
                return entry
        except CaptureError:
            if trace.counters - counters:
                counters |= trace.counters
            elif deciding := varying & counters & trace.deciding():  # by its value
                counters -= deciding
            elif not trace.unknown and not (reads_arrays and trace.arguments.places):
                raise
            elif not trace.unknown:  # perhaps since an array of a module was used as a constant is
                reads_arrays = False
        executed += trace.unknown
    raise CaptureError(
        f"compile cannot capture {name}: each time it runs it calls functions that were not there before"
    )


def _varying(found: Found) -> Iterator[tuple[int, Any]]:
    """The places where modules held another float when a program was written."""
    for v in found.variables:
        if v.live and type(v.value) is float and v.is_writable and v.read() != v.value:
            yield id(v.owner), v.key


_ATTEMPTS = 8  # functions are met one after the other, each of which may lead to others


class _Trace:
    """One run of a function in which what it does is written down."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        settings: Settings,
        most: float,
        found: Found,
        reads_arrays: bool,
        counters: set[tuple[int, Any]],
    ) -> None:
        self.function = function
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.settings = settings
        self.found = found
        self.trace = Trace(most, settings.most)
        self.trace.codes = found.codes
        self.arguments = _Arguments(self.trace, reads_arrays, set(counters))
        self.counters: set[tuple[int, Any]] = set()  # numbers of modules that were changed

    @property
    def unknown(self) -> list[Executed]:
        """Calls of functions whose variables have not been looked for."""
        return [call for call in self.trace.executed if call.code not in self.found.codes]

    def deciding(self) -> set[tuple[int, Any]]:
        """The places that the value depends on which was asked for, and refused."""
        todo, seen = [self.trace.asked], set()
        while todo:
            step = todo.pop()
            if step is not None and step not in seen:
                seen.add(step)
                todo += step.operands
        live = [entry for entry in self.arguments.live_places if entry.step in seen]
        return {(id(entry.place.owner), entry.place.key) for entry in live}

    def run(self) -> Entry:
        function, name, args, kwargs = self.function, self.name, self.args, self.kwargs
        trace, arguments, settings, found = (
            self.trace, self.arguments, self.settings, self.found,
        )  # fmt: skip
        parameters = [*parameter_names(function, args, kwargs), *kwargs]
        for i in settings.donate:
            if not -len(parameters) <= i < len(parameters):
                raise ValueError(
                    f"compile(donate={i}) gives away an argument that this call of {name} does not have: it"
                    f" has {len(parameters)}, counted from 0"
                )
        profiler, collecting = sys.getprofile(), gc.isenabled()
        state, randomness, failure = State(found), None, None
        context = contextvars.copy_context()  # so that no variable of it stays changed
        context.run(tracing.set, trace)
        gc.disable()  # whose callbacks would be taken for the function's doing
        try:
            given = [
                arguments.take(x, parameter, parameter)
                for parameter, x in zip(parameters, (*args, *kwargs.values()), strict=True)
            ]
            arguments.check_apart()
            arguments.around(found)
            randomness = Randomness(found, arguments.generators)
            if profiler is None:  # there is room for one only; without it names are poorer
                sys.setprofile(trace.watch)
            keywords = dict(zip(kwargs, given[len(args) :], strict=True))
            result = context.run(function, *given[: len(args)], **keywords)
            if profiler is None:
                sys.setprofile(None)
            returns = transformed(partial(_returned, trace), result)
        except Exception as error:
            failure = error
        finally:
            trace.closed = True
            found.ran = trace.met
            undo = _Undo(self, profiler is None, collecting, state, randomness, context)
            undo.run()
        ends, early, effects, grown, drawn = (
            undo.ends, undo.early, undo.effects, undo.grown, undo.drawn,
        )  # fmt: skip
        self.counters = state.counters
        arguments.live_places = list(arguments.live)
        if trace.is_too_long:
            raise ManyNumbers
        if failure is not None and not isinstance(failure, CaptureError):
            raise self.failed(failure) from failure
        if failure is not None or trace.refusal is not None:
            raise trace.refusal or failure  # type: ignore[misc]
        if early:
            raise StateNotReady("")
        check_draws(drawn)
        check_changes(effects)
        if grown:
            raise StateNotReady(grown)
        arguments.check_nests(found)

        returns = _written_plainly(returns)
        read = {s for step in trace.steps for s in step.operands} | set(steps_in(returns))
        changes = []
        for held, value, grad in ends:
            changed = value is not held.tracer or value.version > 0
            used = read.intersection(held.steps)
            arguments.tests += held.tests
            arguments.tests.append(f"{held.where}.name == {held.tensor.name!r}")
            if held.found and not changed and grad is ... and not used:
                del arguments.tensors[held.tensor]  # it is there and has no part in this
                continue
            changes.append((_became(trace, value) if changed else None, _returned(trace, grad)))
        if arguments.tensors:  # whose derivatives are taken, or not
            mode = current().threshold > 0
            arguments.tests.append(f"({arguments.known(current)}().threshold > 0) is {mode}")
        live = [place for place in arguments.live if place.is_changed]
        if changes or live:
            became = [_became(trace, place.became) for place in live]
            returns = (returns, changes, became)
        arguments.live = live
        program = trace.program(returns)
        try:
            entry = Entry(program, name, parameters, arguments, result, settings, found)
        except Exception as error:
            raise self.failed(error) from error
        if not any(step.phase == "backward" for step in trace.steps):
            cut = [y for _, y in leaves(result) if isinstance(y, Tensor) and y.level == 0]
            if any(not y.is_leaf for y in cut):
                warnings.warn(
                    f"{name} returns a Tensor that requires a gradient; compiled, its results are constants,"
                    " and no derivative goes through them. Compile the whole step, with backward(), or"
                    " call it under no_grad()",
                    stacklevel=6,
                )
        return entry

    def failed(self, error: Exception) -> CaptureError:
        """What is said of an exception while the function was traced that may not be the function's."""
        if self.trace.refusal is not None:
            return UnforeseenError(str(self.trace.refusal))
        return UnforeseenError(
            f"compile cannot capture {self.name} at {_line_of(error)}: {type(error).__name__}: {error}"
        )


class _Undo:
    """The end of a tracing: everything is as it was. An interrupt in between is raised later."""

    def __init__(
        self,
        trace: _Trace,
        watches: bool,
        collects: bool,
        state: State,
        randomness: Randomness | None,
        context: contextvars.Context,
    ) -> None:
        self.trace = trace
        self.watches = watches
        self.collects = collects
        self.state = state
        self.randomness = randomness
        self.context = context
        self.ends: list[tuple[_Held, Any, Any]] = []
        self.early = False
        self.effects: list[str] = []
        self.grown = ""
        self.drawn: list[str] = []

    def run(self) -> None:
        interrupt: KeyboardInterrupt | None = None
        for _ in range(10):
            try:
                self.all()
                break
            except KeyboardInterrupt as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def all(self) -> None:
        if self.watches:
            sys.setprofile(None)
        if self.collects:
            gc.enable()
        arguments = self.trace.arguments
        self.ends = [(held, *held.release()) for held in arguments.tensors.values()]
        arguments.put_back()
        self.early = arguments.forget_new()
        self.effects, self.grown = self.state.restore(self.context)
        self.effects += [
            said for held, _, _ in self.ends for said in held.changes(self.trace.found)
        ]
        if self.randomness is not None:
            self.drawn = self.randomness.rewind()


def _line_of(error: BaseException) -> str:
    """The user's innermost line that an exception went through."""
    found, traceback = None, error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if is_user_frame(frame):
            found = f"{frame.f_code.co_filename}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found or user_line()


def _became(trace: Trace, value: Any) -> Any:
    """What the program is to put where a Tensor, a module or an optimizer holds something."""
    if isinstance(value, Tracer):
        return value.current().step
    if isinstance(value, np.ndarray):
        return trace.constant(value)
    if isinstance(value, Tensor):
        return _returned(trace, value)
    if isinstance(value, float | int | np.generic):
        return value
    raise CaptureError(
        f"compile cannot capture that an array is replaced by a {type(value).__name__}"
    )


_DEEPEST = 150  # brackets within brackets that Python's parser takes, with some to spare


def _written_plainly(nest: Any, level: int = 0) -> Any:
    """A nest of the same leaves that can be written as text."""
    if level > _DEEPEST:
        raise CaptureError(
            f"compile cannot capture a result that is nested more than {_DEEPEST} levels deep"
        )
    if isinstance(nest, dict):
        if _is_plain(nest):
            return {k: _written_plainly(v, level + 1) for k, v in nest.items()}
        return [_written_plainly(v, level + 1) for v in nest.values()]
    if isinstance(nest, list | tuple):
        parts = [_written_plainly(v, level + 1) for v in nest]
        return parts if type(nest) is list else tuple(parts)
    return nest


def _returned(trace: Trace, y: Any) -> Any:
    """What the program is to return for y."""
    if isinstance(y, Tensor):
        if not isinstance(y.primal_value(), Tracer):
            trace.check_origin(y)
        y = y.primal_value()
    if isinstance(y, Tracer):
        return y.current().step
    if isinstance(y, np.ndarray):
        return trace.constant(y)
    if (
        y is ...
        or y is None
        or isinstance(y, bool | int | float | complex | str | bytes | np.generic | np.dtype)
    ):
        return y
    raise trace.refuse(
        f"compile cannot capture that a {type(y).__name__} is returned: a program returns arrays,"
        " numbers and Tensors, in lists, tuples and dicts"
    )


class Entry(Checked):
    """A program, its text and the functions made of it, one for each call that runs at the time."""

    def __init__(
        self,
        program: Program,
        name: str,
        parameters: list[str],
        arguments: _Arguments,
        result: Any,
        settings: Settings,
        found: Found,
    ) -> None:
        super().__init__(settings.check)
        given = {
            s for s, where in arguments.bindings if _within(where, parameters, settings.donate)
        }
        replaced = {held.steps[0] for held in arguments.tensors.values()}
        replaced |= {entry.step for entry in arguments.live}
        self.program = owned_results(optimized(program), program, replaced)
        self.plan = planned(self.program, given, _updated(self.program, arguments), settings.reuse)
        self.name = name if name.isidentifier() else "program"
        self.parameters = parameters
        self.arguments = arguments
        bound = [_bound(step, where) for step, where in arguments.bindings]
        self.module = Module(self.program, self.plan, self.name, parameters, bound)
        used = {s for step in self.program.steps for s in step.operands}
        used.update(self.program.results)
        self.fits = self._checker(used)
        self._free: list[Callable[..., Any]] = []
        functions = {step.function for step in self.program.steps}
        both = {draw, guarded} <= functions
        self.run = self._run_drawing if both else self._run
        self._generators = _finder(
            parameters, arguments, [where for s, where in arguments.bindings if s.dtype is None]
        )
        self._wraps = any(isinstance(y, Tensor) for _, y in leaves(result)) or not _is_plain(result)
        self._like = transformed(_outline, result)
        tensors = [held.where for held in arguments.tensors.values()]
        self._tensors = _finder(parameters, arguments, tensors) if tensors else None
        self._live = arguments.live
        self._changes = bool(tensors or self._live)
        self.found = found  # the free variables
        self.values = _finder(
            parameters, arguments, [w for s, w in arguments.bindings if s in used]
        )
        self.settings = settings
        self.given = [parameters[i] for i in settings.donate]
        self._owners: set[int] = set()  # with `reuse`: ids of the arrays that results are in
        self._is_apart = self._apart_checker()

    def compared(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The result of the program, after the function has given the same. Of what both change, the
        function's doing counts, or with `keep_program` the program's."""
        args, kwargs = self._unshared(args, kwargs)
        keeps_program = self.settings.keep_program
        snapshot = Snapshot(self.found, (args, kwargs), all=keeps_program)
        own = self._copies(args, kwargs)  # the program may overwrite what is given away

        def by_program() -> Any:
            with np.errstate(all="ignore"):  # what there is to warn of, the function warns of
                result = self.run(*args, **kwargs)
            return result, snapshot.now()

        def by_function() -> Any:
            return function(*own[0], **own[1]), snapshot.now()

        def again(act: Callable[[Any, Any], Any], moves_arguments: bool) -> Any:
            """The function, or the program, on arguments that differ in the last digits."""
            after = Snapshot(self.found, (args, kwargs), all=True)
            given = moved(own) if moves_arguments else own
            try:
                snapshot.restore()
                snapshot.move()
                with np.errstate(all="ignore"):
                    result = contextvars.copy_context().run(act, *given)
                    return result, snapshot.now()
            finally:
                snapshot.restore()
                after.restore()

        def play(moves_arguments: bool) -> Any:
            return (
                again(lambda a, k: function(*a, **k), moves_arguments),
                again(lambda a, k: self.run(*a, **k), moves_arguments),
            )

        first, second = (by_function, by_program) if keeps_program else (by_program, by_function)
        failure = None
        try:
            one = first()
        except Changed:
            snapshot.restore()
            raise
        except Exception as error:
            if keeps_program:  # it is the function's own
                raise
            failure = error
        except BaseException:
            snapshot.restore()
            raise
        snapshot.restore()
        if failure is not None:
            by_function()  # which raises it too
            raise DifferenceError(
                f"compile cannot be trusted with {self.name}: the program raises"
                f" {type(failure).__name__}: {failure}; the function does not"
            ) from failure
        other = second()
        program, function_ = (other, one) if keeps_program else (one, other)
        try:
            check_same(self.name, program, function_, play)
        except DifferenceError:
            if keeps_program:
                snapshot.restore()
            raise
        return program[0]

    def _copies(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """The arguments, of those that are given away copies."""
        places = {
            name: transformed(copied, x) if name in self.given else x
            for name, x in zip(self.parameters, (*args, *kwargs.values()))
        }
        values = list(places.values())
        return tuple(values[: len(args)]), dict(zip(kwargs, values[len(args) :]))

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
        if self._changes:
            result, changes, became = result
            if self.settings.reuse:  # what outlives the call is in no memory that the next one uses
                changes = [(value, copied(grad)) for value, grad in changes]
                became = [copied(value) for value in became]
            if self._tensors is not None:
                for t, change in zip(self._tensors(*args, **kwargs), changes, strict=True):
                    update(t, *change)
            for number, value in zip(self._live, became, strict=True):
                number.update(value)
        if not self._wraps:
            return result
        values = (y for _, y in leaves(result))
        return transformed(lambda y: _like(y, next(values)), self._like)

    def _apart_checker(self) -> Callable[..., bool]:
        """The function that tells whether no array among the arguments is a result of an earlier
        call, which are views of memory of the program's."""
        arrays = [where for step, where in self.arguments.bindings if step.is_array]
        bases = "".join(f"id({where}.base), " for where in arrays)
        space = {**self.arguments.objects, "owners": self._owners}
        exec(
            f"def apart({', '.join(self.parameters)}):\n    return owners.isdisjoint(({bases}))",
            space,
        )
        return space["apart"]

    def _unshared(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """The arguments, of results of earlier calls among them copies."""
        if not self._owners or self._is_apart(*args, **kwargs):
            return args, kwargs
        return transformed(self._apart, args), transformed(self._apart, kwargs)

    def _apart(self, x: Any) -> Any:
        """An argument that the program does not overwrite: of a result of its own a copy."""
        if isinstance(x, Tensor):
            if x.is_leaf:
                x.value = self._apart(x.value)
        elif isinstance(x, np.ndarray) and id(x if x.base is None else x.base) in self._owners:
            return x.copy()
        return x

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

    def _made(self) -> Callable[..., Any]:
        """The function, with an arena of its own."""
        made = self.module.run(self.arguments.objects)
        if self.settings.reuse:
            arrays = [x for x in made.values() if isinstance(x, np.ndarray)]
            self._owners.update(id(x if x.base is None else x.base) for x in arrays)
        run: Callable[..., Any] = made[self.name]
        return run

    def _checker(self, used: set[Step]) -> Callable[..., bool]:
        tests = list(self.arguments.tests)
        given = {p.argument for p in self.plan.buffers.values() if p.argument is not None}
        arrays = {w: s for s, w in self.arguments.bindings if s in used and s.is_array}
        if given and len(arrays) > 1:  # what is overwritten is in no other array
            over = [i for i, s in enumerate(arrays.values()) if s in given]
            first = [" is ".join(f"{w}.base" for w in arrays) + " is None"]
            for form in {(s.shape, s.dtype) for s in given}:  # one array in two places has one form
                alike = [f"id({w})" for w, s in arrays.items() if (s.shape, s.dtype) == form]
                if len(alike) > 1:
                    first.append(f"len({{{', '.join(alike)}}}) == {len(alike)}")
            apart = f"_apart({over}, ({', '.join(arrays)}))"
            tests.append(f"({' and '.join(first)} or {apart})")
        space = {**self.arguments.objects, "_apart": _apart}
        exec(
            f"def check({', '.join(self.parameters)}):\n    return {' and '.join(tests) or True}",
            space,
        )
        return space["check"]

    def text(self, whole: bool) -> str:
        """A module; large constants are left out of it if it is only to be read."""
        return self.module.text(whole, self.found.constants())


def _bound(step: Step, where: str) -> Bound:
    """An argument of the program, with the parts of the expression that finds it."""
    attribute = next((a for a in (".value", ".grad") if where.endswith(a)), "")
    owner = where.removesuffix(attribute)
    return Bound(step, owner, attribute, re.search(r"\bk\d+_", owner) is None)


def _finder(
    parameters: Sequence[str], arguments: _Arguments, wheres: Sequence[str]
) -> Callable[..., list[Any]]:
    """The function that lists some of the things among its arguments."""
    space = dict(arguments.objects)
    exec(f"def found({', '.join(parameters)}):\n    return [{', '.join(wheres)}]", space)
    return space["found"]


def _updated(program: Program, arguments: _Arguments) -> dict[Step, Step]:
    """The results that take the place of an argument, with it."""
    if not arguments.tensors and not arguments.live:
        return {}
    _, changes, became = program.returns
    pairs = [
        (value, held.steps[0]) for held, (value, _) in zip(arguments.tensors.values(), changes)
    ]
    pairs += [(value, entry.step) for entry, value in zip(arguments.live, became) if entry.in_place]
    return {value: step for value, step in pairs if isinstance(value, Step)}


def _apart(given: Sequence[int], arrays: Sequence[np.ndarray]) -> bool:
    """Whether those that are given away share no memory with the others."""
    owners = [a if a.base is None else a.base for a in arrays]  # NumPy's views know their owner
    if len({*map(id, owners)}) == len(arrays) and all(
        type(owner) is np.ndarray and owner.base is None for owner in owners
    ):
        return True
    return not any(
        i != j and np.may_share_memory(arrays[i], a) for i in given for j, a in enumerate(arrays)
    )


def _within(where: str, parameters: Sequence[str], donate: Sequence[int]) -> bool:
    """Whether an argument, or a part of one, is given away."""
    owner = re.match(r"\w*", where)
    return owner is not None and owner[0] in [parameters[i] for i in donate]


def _outline(y: Any) -> Any:
    """What is to be remembered of a result: whether it is a Tensor."""
    return Tensor(0.0) if isinstance(y, Tensor) else 0.0


def _is_plain(nest: Any) -> bool:
    """Whether a nest is one that can be written as text."""
    if isinstance(nest, dict):
        keys = all(isinstance(k, str | int | float | bool) for k in nest)
        return type(nest) is dict and keys and all(map(_is_plain, nest.values()))
    if isinstance(nest, list | tuple):
        return type(nest) in (list, tuple) and all(map(_is_plain, nest))
    return True


def _like(y: Any, value: Any) -> Any:
    return Tensor(value, requires_grad=False) if isinstance(y, Tensor) else value
