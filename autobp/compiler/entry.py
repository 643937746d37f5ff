"""Entry: the program for arguments of one form, from the call in which it was written down."""

from __future__ import annotations

import builtins
import gc
import inspect
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from autobp.compiler.capture import Captured, Recorder, draw, guarded
from autobp.compiler.effects import (
    Randomness,
    State,
    check_changes,
    check_draws,
)
from autobp.compiler.joined import joined
from autobp.compiler.passes import optimized, own_results
from autobp.compiler.plan import planned
from autobp.compiler.program import Program, Step, steps_in
from autobp.compiler.source import (
    CHANGED,
    LARGE,
    PLACE,
    Writer,
    helper_sources,
    long_text,
    short_text,
)
from autobp.compiler.surroundings import Thing, surroundings
from autobp.compiler.terms import CaptureError, Changed, Premature, Settings, differentiated
from autobp.context import clock
from autobp.tensor import Tensor
from autobp.tree import leaves, transformed

__all__ = ["Entry", "written_down"]


class _Arguments:
    """How the arguments of one signature are told and taken apart, as text for the check and for the
    program, while they are replaced by what is captured."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.tests: list[str] = []
        self.objects: dict[str, Any] = {"ndarray": np.ndarray, "Tensor": Tensor}
        self.numbers: dict[int, str] = {id(v): k for k, v in self.objects.items()}
        self.bindings: list[tuple[Step, str]] = []  # what is within a nest, and where
        self.tensors: dict[Tensor, _Held] = {}
        self.live: list[_Live] = []
        self.stateful: list[Any] = []  # what has live entries
        self.generators: dict[np.random.Generator, Any] = {}  # and what stands for them
        self.replaced: list[tuple[Any, Any, Any]] = []  # owners, keys, and what was there
        self.nests: list[tuple[str, Any, dict[Any, Any]]] = []  # given, and with what in them

    def known(self, thing: Any) -> str:
        name = self.numbers.get(id(thing))
        if name is None:
            name = self.numbers[id(thing)] = f"k{len(self.objects)}_"
            self.objects[name] = thing
        return name

    def take(self, x: Any, where: str, name: str) -> Any:
        """What the function is given instead of x."""
        kind = type(x)
        if isinstance(x, dict | list | tuple):
            self.tests.append(f"type({where}) is {self.known(kind)}")
            if isinstance(x, dict):
                self.tests.append(f"tuple({where}) == {self.known(tuple(x))}")
                taken = {
                    k: self.take(v, f"{where}[{_key(k, self)}]", _inner(name, k))
                    for k, v in x.items()
                }
                result = x.copy()
                result.update(taken)
                self.nests.append((name, result, dict(result)))
                return result
            self.tests.append(f"len({where}) == {len(x)}")
            before = len(self.recorder.arguments)
            parts = [self.take(v, f"{where}[{i}]", f"{name}{i}") for i, v in enumerate(x)]
            self.recorder.unnamed.update(self.recorder.arguments[before:])
            nest = kind(*parts) if hasattr(x, "_fields") else kind(parts)
            self.nests.append((name, nest, dict(enumerate(parts))))
            return nest
        if isinstance(x, np.ndarray):
            if kind not in (np.ndarray, np.memmap) or x.dtype.kind not in "biufc":
                raise CaptureError(
                    f"compile cannot capture the argument {name}, a {kind.__name__} of {x.dtype}:"
                    " arrays of numbers are what programs are written for"
                )
            self.tests += self.plain(x, where)
            return self.argument(x if kind is np.ndarray else np.asarray(x), where, name)
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

    def check_nests(self) -> None:
        """The function was given copies of the caller's lists and dicts."""
        for name, nest, before in self.nests:
            now = dict(nest) if isinstance(nest, dict) else dict(enumerate(nest))
            if now.keys() != before.keys() or any(now[k] is not v for k, v in before.items()):
                raise CaptureError(
                    f"compile cannot capture that {name} is changed in place: a program changes no lists"
                    " and dicts of its caller; return a new one"
                )

    def argument(self, x: Any, where: str, name: str) -> Captured:
        captured = self.recorder.argument(x, name)
        self.bindings.append((captured.step, where))
        return captured

    def generator(self, rng: np.random.Generator, where: str, name: str) -> Any:
        draws = self.generators[rng] = self.recorder.generator(rng, name)
        self.bindings.append((draws._handle.step, where))
        return draws

    def held_generator(self, thing: Thing) -> None:
        """A generator that an object holds is replaced there until the end."""
        rng = thing.value
        draws = self.generators.get(rng) or self.generator(rng, self.known(rng), str(thing.key))
        self.replaced.append((thing.owner, thing.key, rng))
        thing.owner[thing.key] = draws

    def take_live(self, stateful: Any) -> None:
        """What an optimizer remembers, and its rates, are arguments too."""
        self.stateful.append(stateful)
        for owner, key in stateful.live_entries():
            value, where = owner[key], f"{self.known(owner)}[{key!r}]"
            if isinstance(value, np.ndarray):
                self.tests += self.plain(value, where)
            elif isinstance(value, float):
                self.tests.append(f"isinstance({where}, float | int) and 0 <= {where} < 1e999")
                where, value = f"float({where})", float(value)
            else:
                self.tests.append(f"type({where}) is int")
            captured = self.argument(value, where, key)
            captured.borrowed = False
            self.live.append(_Live(owner, key, owner[key], captured, captured.step))
            owner[key] = captured

    def put_back(self) -> bool:
        """Put back what was replaced, but for Tensors. Whether something is remembered now that was
        not there to be an argument."""
        for owner, key, value in self.replaced:
            owner[key] = value
        for entry in self.live:
            entry.release()
        known = {(id(entry.owner), entry.key) for entry in self.live}
        found = [entry for stateful in self.stateful for entry in stateful.live_entries()]
        new = [(owner, key) for owner, key in found if (id(owner), key) not in known]
        for owner, key in new:
            del owner[key]
        return bool(new)

    def tensor(self, t: Tensor, where: str, name: str) -> Tensor:
        """A Tensor is given as it is, with its value and its gradient captured until the end."""
        if t in self.tensors:
            self.tests.append(f"{where} is {self.tensors[t].where}")
            return t
        tests = [f"type({where}) is Tensor and {where}.primitive is None"]
        tests += [f"{where}.level == {t.level}", *self.plain(t.value, f"{where}.value")]
        tests.append(f"{where}.hooks is {self.known(t.hooks)}")
        captured = self.argument(t.value, f"{where}.value", t.name or name)
        captured.borrowed = False
        self.tensors[t] = _Held(t, where, t.value, t.grad, tests, captured, captured.step)
        self.recorder.known.add(t)
        t.value = captured
        if t.grad is None:
            tests.append(f"{where}.grad is None")
        else:
            tests += self.plain(t.grad, f"{where}.grad")
            t.grad = self.argument(t.grad, f"{where}.grad", f"d{t.name or name}")
            t.grad.borrowed = False
            self.tensors[t].slope = t.grad
        return t

    def around(self, thing: Thing) -> None:
        """What the function finds around it. Tensors among that are arguments too."""
        if thing.live:
            self.take_live(thing.value)
            return
        owner, value = self.known(thing.owner), thing.value
        same = "==" if thing.expression == "len(o)" else "is"
        test = f"{thing.expression.replace('o', owner, 1)} {same} {self.known(value)}"
        if isinstance(value, Tensor) and not differentiated(value):
            if value not in self.tensors:
                self.tensor(value, self.known(value), value.name or "tensor")
                self.tensors[value].found = True
            self.tensors[value].tests.append(test)
        else:
            self.tests.append(test)
            if type(value) is np.random.Generator and thing.key is not None:
                self.held_generator(thing)

    def plain(self, x: Any, where: str) -> list[str]:
        """Tests of the type of a value, and of the shape and dtype of an array."""
        if not isinstance(x, np.ndarray | np.generic):
            return [f"type({where}) is {self.known(type(x))}"]
        return [
            f"type(a_ := {where}) is {self.known(type(x))} and a_.shape == {x.shape!r}"
            f" and a_.dtype is {self.known(x.dtype)}"
        ]


@dataclass
class _Held:
    """A Tensor among the arguments, and what it held when the call began."""

    tensor: Tensor
    where: str
    value: Any
    grad: Any
    tests: list[str]
    captured: Any
    step: Step  # the argument
    slope: Any = None  # the gradient, captured
    found: bool = False  # around the function, and not handed over

    def release(self) -> tuple[Any, Any]:
        """Give the Tensor its value back, and tell what it and the gradient have become; the gradient
        is ... if it is as it was."""
        t = self.tensor
        value, grad = t.value, t.grad
        t.value, t.grad = self.value, self.grad
        if grad is self.slope and (grad is None or not grad.version):
            grad = ...
        return value, grad


@dataclass
class _Live:
    """An entry of a dict that steps read and change: a rate, a number of steps, an average."""

    owner: dict[Any, Any]
    key: Any
    value: Any
    captured: Any
    step: Step  # the argument
    became: Any = None

    def release(self) -> None:
        self.became, self.owner[self.key] = self.owner[self.key], self.value

    @property
    def is_changed(self) -> bool:
        return self.became is not self.captured or self.became.version > 0

    def update(self, value: Any) -> None:
        if type(self.value) is not np.ndarray:
            self.owner[self.key] = value
        elif value is not self.owner[self.key]:
            self.owner[self.key][...] = value


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


def written_down(
    function: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    settings: Settings,
    most: float = math.inf,
) -> Entry:
    """The program for arguments like these. Nothing is changed yet: that is what the program does."""
    recorder = Recorder(most, settings.most)
    arguments = _Arguments(recorder)
    parameters = [*parameter_names(function, args, kwargs), *kwargs]
    for i in settings.donate:
        if not -len(parameters) <= i < len(parameters):
            raise ValueError(
                f"compile(donate={i}) gives away an argument that this call of {name} does not have: it has"
                f" {len(parameters)}, counted from 0"
            )
    around = list(surroundings(function, (args, kwargs)))
    profiler, collecting = sys.getprofile(), gc.isenabled()
    state, randomness = State(around), None
    gc.disable()  # whose callbacks would be taken for the function's doing
    try:
        given = [
            arguments.take(x, parameter, parameter)
            for parameter, x in zip(parameters, (*args, *kwargs.values()), strict=True)
        ]
        for thing in around:
            arguments.around(thing)
        randomness = Randomness(around, arguments.generators)
        if profiler is None:  # there is room for one only; without it names are poorer
            sys.setprofile(recorder.watch)
        result = function(*given[: len(args)], **dict(zip(kwargs, given[len(args) :], strict=True)))
        returns = transformed(partial(_returned, recorder), result)
    finally:
        if profiler is None:
            sys.setprofile(None)
        if collecting:
            gc.enable()
        recorder.closed = True
        ends = [(held, *held.release()) for held in arguments.tensors.values()]
        early = arguments.put_back()
        effects, grown = state.restore()
        drawn = randomness.rewind() if randomness is not None else []
    if early:
        raise Premature(False)
    if recorder.spoilt is not None:
        raise recorder.spoilt
    check_draws(drawn)
    check_changes(effects)
    if grown:
        raise Premature(True)
    arguments.check_nests()

    returns = _written_plainly(returns)
    read = {s for step in recorder.steps for s in step.operands} | set(steps_in(returns))
    changes = []
    for held, value, grad in ends:
        changed = value.version > 0 or value is not held.captured
        used = {held.step, *([] if held.slope is None else [held.slope.step])} & read
        if held.found and not changed and grad is ... and not used:
            del arguments.tensors[held.tensor]  # it is there and has no part in this
            continue
        arguments.tests += held.tests
        changes.append((value.step if changed else None, _returned(recorder, grad)))
    live = [number for number in arguments.live if number.is_changed]
    if changes or live:
        returns = (returns, changes, [_returned(recorder, number.became) for number in live])
    arguments.live = live
    program = recorder.program(returns)
    entry = Entry(program, name, parameters, arguments, result, settings)
    entry.read = [(array, hash(before.tobytes())) for array, before in state.arrays]
    return entry


def _written_plainly(nest: Any) -> Any:
    """A nest of the same leaves that can be written as text."""
    if isinstance(nest, dict):
        if _is_plain(nest):
            return {k: _written_plainly(v) for k, v in nest.items()}
        return [_written_plainly(v) for v in nest.values()]
    if isinstance(nest, list | tuple):
        parts = [_written_plainly(v) for v in nest]
        return parts if type(nest) is list else tuple(parts)
    return nest


def _returned(recorder: Recorder, y: Any) -> Any:
    """What the program is to return for y."""
    if isinstance(y, Tensor):
        if not isinstance(y.bare(), Captured):
            recorder.check_origin(y)
        y = y.bare()
    if isinstance(y, Captured):
        return y.current().step
    return recorder.constant(y) if isinstance(y, np.ndarray) else y


class Entry:
    """A program, its text and the functions made of it, one for each call that runs at the time."""

    def __init__(
        self,
        program: Program,
        name: str,
        parameters: list[str],
        arguments: _Arguments,
        result: Any,
        settings: Settings,
    ) -> None:
        given = {
            s for s, where in arguments.bindings if _within(where, parameters, settings.donate)
        }
        self.program = own_results(joined(optimized(program), settings.reuse), program)
        self.plan = planned(self.program, given, _updated(self.program, arguments), settings.reuse)
        self.name = name if name.isidentifier() else "program"
        self.parameters = parameters
        self.arguments = arguments
        self.writer = Writer(self.program, self.plan, parameters, [self.name])
        for step, where in arguments.bindings:
            if where in parameters:
                self.writer.names[step] = where
        self.writer.name_all()
        used = {s for step in self.program.steps for s in step.operands}
        used.update(self.program.results)
        self.bound = [
            (self.writer.names[step], where)
            for step, where in arguments.bindings
            if where not in parameters and step in used
        ]
        self.fits = self._checker(used)
        self._code = builtins.compile("\n".join(self._lines(False)), f"<{self.name}>", "exec")
        self._free: list[Callable[..., Any]] = []
        functions = {step.function for step in self.program.steps}
        both = {draw, guarded} <= functions
        self.run = self._run_drawing if both else self._run
        self._generators = _finder(
            parameters, arguments, [where for s, where in arguments.bindings if s.dtype is None]
        )
        found = [y for _, y in leaves(result)]
        self._wraps = any(isinstance(y, Tensor) for y in found) or not _is_plain(result)
        self._like = transformed(_outline, result)
        tensors = [held.where for held in arguments.tensors.values()]
        self._tensors = _finder(parameters, arguments, tensors) if tensors else None
        self._live = arguments.live
        self._changes = bool(tensors or self._live)
        self.read: list[tuple[np.ndarray, int]] = []  # arrays around, with what they held

    @property
    def is_current(self) -> bool:
        """Whether the arrays that the function finds around it hold what they held."""
        return all(hash(array.tobytes()) == held for array, held in self.read)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
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
            if self._tensors is not None:
                for t, change in zip(self._tensors(*args, **kwargs), changes, strict=True):
                    update(t, *change)
            for number, value in zip(self._live, became, strict=True):
                number.update(value)
        if not self._wraps:
            return result
        values = (y for _, y in leaves(result))
        return transformed(lambda y: _like(y, next(values)), self._like)

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
        """The function, with a room of its own."""
        space: dict[str, Any] = {**self.arguments.objects, "np": np, "Changed": Changed}
        for step in self.program.constants():
            space[self.writer.names[step]] = step.constant
        for function, name in self.writer.helpers.items():
            space[name] = function
        exec(self._code, space)
        return space[self.name]

    def _checker(self, used: set[Step]) -> Callable[..., bool]:
        tests = list(self.arguments.tests)
        given = {p.argument for p in self.plan.places.values() if p.argument is not None}
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

    # ── text ──────────────────────────────────────────────────────────────────────────────────────

    def _lines(self, module: bool) -> list[str]:
        """The room and the function. In a module of its own, what the function finds around it is
        handed over: the arrays of Tensors, the numbers and averages of optimizers, generators."""
        parameters, body = list(self.parameters), []
        for name, where in self.bound:
            owner = where.removesuffix(".value")
            if module and re.search(r"\bk\d+_", owner):
                parameters.append(name)
            else:
                body.append(f"{name} = {owner if module else where}")
        body += self.writer.body()
        body.append(f"return {self.writer.text(self.program.returns)}")
        room = self.writer.room()
        return [
            *([PLACE, "", *room, "", ""] if room else []),
            f"def {self.name}({', '.join(parameters)}):",
            *(f"    {line}" for line in body),
        ]

    def text(self, whole: bool) -> str:
        """A module; large constants are left out of it if it is only to be read."""
        if whole and any(where.endswith(".grad") for _, where in self.bound):
            raise ValueError(
                f"{self.name} adds to the gradients of Tensors, which a program without autobp does not"
                " have: set them to None in it, or use grad"
            )
        imports, constants = ["import numpy as np"], []
        for step in self.program.constants():
            name = self.writer.names[step]
            text = short_text(step.constant)
            if text is None and step.size > LARGE and not whole:
                constants.append(f"# {name}: {step.dtype} of shape {step.shape}; save() writes it")
                continue
            if text is None:
                text = long_text(step.constant)
                imports.insert(0, "import base64")
            constants.append(f"{name} = {text}")
        more, helpers = helper_sources(self.writer.helpers, self.name)
        parts = [f'"""{self.name}, written by autobp.compile for arguments of these shapes."""']
        if helpers:
            parts.append("from __future__ import annotations")
            imports.append("")
        parts.append("\n".join(sorted({*more, *imports} - {""})))
        if constants:
            parts.append("\n".join(constants))
        if any(step.function is guarded for step in self.program.steps):
            parts.append(CHANGED)
        parts += helpers
        parts.append("\n".join(self._lines(True)))
        return "\n\n".join(parts) + "\n"


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
    pairs = [(value, held.step) for held, (value, _) in zip(arguments.tensors.values(), changes)]
    pairs += [(value, entry.step) for entry, value in zip(arguments.live, became)]
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
