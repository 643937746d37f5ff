"""Trace: the recording of one call of a function.

The function runs on tracers. NumPy and the rules of differentiation hand their calls over to them;
the trace carries each out, so that shapes and dtypes are known, and records it as a step. Whatever
needs a value, a branch or a conversion to a Python number, is refused with the line that asked: the
program would be wrong for other values.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import operator
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

import numpy as np

from autobp.compiler.program import Program, Step, arithmetic, mapped, steps_in
from autobp.compiler.terms import CaptureError, Changed
from autobp.compiler.trace.calls import draw, guarded, numbers
from autobp.compiler.trace.effects import check_call
from autobp.compiler.trace.handlers import handlers, is_within
from autobp.compiler.trace.iterations import Iteration
from autobp.compiler.trace.scanning import SCAN, Scanning
from autobp.compiler.trace.search import Executed
from autobp.compiler.trace.tracer import Call, TracedGenerator, Tracer, View, named, tracers_in
from autobp.compiler.trace.watching import SWITCHES, watched
from autobp.context import clock, current, user_line
from autobp.dag import ancestors
from autobp.errors import label
from autobp.operation import PREFIXES, SIGNS, of, operation
from autobp.owner import Owner, is_scipys, owner, owner_of_frame
from autobp.primitive import Variable
from autobp.recurrence import Body
from autobp.reverse import places_read
from autobp.rules import PRIMITIVES
from autobp.tensor import Tensor

__all__ = ["ManyNumbers", "Trace"]

#: Python's operators of which whole numbers make others.
_WHOLE_NUMBERS = {sign.python for sign in SIGNS.values() if sign.total}

#: Operators and ufuncs whose results have one form, and are new memory.
_FLAT = {
    float, np.matmul,
    *(sign.python for sign in (*SIGNS.values(), *PREFIXES.values())),
    *(f for f in vars(np).values() if isinstance(f, np.ufunc) and f.signature is None and f.nout == 1),
}  # fmt: skip

#: The functions of primitives that are the library's own; those given to `custom` are watched.
_OWN = {SCAN.function, *(p.function for p in PRIMITIVES.values())}

#: Holds another object when NumPy's errors are set otherwise: to look takes a tenth of the time of asking.
_ERRORS: Any = getattr(importlib.import_module("numpy._core.umath"), "_extobj_contextvar", None)

_FLOAT64, _BOOL = np.dtype(np.float64), np.dtype(bool)
_NO_PARAMS: dict[str, Any] = {}
_FORMS = (float, bool, np.ndarray, np.float64)

#: Functions written in Python that tell something of the process, by the ids of their codes.
_ASKING = {
    id(threading.current_thread.__code__): "current_thread",
    id(np.geterr.__code__): "np.geterr",
}


class ManyNumbers(BaseException):
    """A function computes many single numbers side by side, which are to be grouped. No user's
    `except Exception` is to stop it."""


class Phase(NamedTuple):
    """What a training step is doing, as sweeps and optimizers tell it."""

    name: str  # "forward", "backward" or "update"
    node: Tensor | None = None  # that a sweep has reached
    cotangent: Any = None  # of the node


class Trace:
    """One function while it is traced. If there come to be `many` results that are single numbers, and
    they are wide, it is not traced to its end. There may be so many `calls`."""

    numbers: int
    many: float
    runs: int
    run_number: int
    switches: bool

    def __init__(
        self,
        many: float = math.inf,
        is_wide: Callable[[Sequence[Step]], bool] | None = None,
        calls: float = math.inf,
        rolls: bool = True,
    ) -> None:
        self.many = many
        self.is_wide = is_wide
        self.numbers = 0  # results that are single numbers
        self.calls = calls
        self.rolls = rolls  # whether a scan is one step
        self.steps: list[Step] = []
        self.arguments: list[Step] = []
        self.effects: set[Step] = set()  # guards, and draws of random numbers
        self.constants: dict[int, tuple[Any, Step]] = {}
        self.sources: dict[Step, np.ndarray] = {}  # the arrays that constants are copies of
        self.phase: Phase = Phase("forward")
        self.cotangents: dict[Step, Step] = {}  # of what a step holds the cotangent
        self.began: int = clock()
        self.known: set[Tensor] = set()  # Tensors whose values are arguments
        self.errors: dict[str, Any] = {**np.geterr()}
        self.settings: Any = _ERRORS and _ERRORS.get(None)  # what stands for them
        self.unusual: tuple[tuple[str, str], ...] = ()  # errors that are not as they were
        self.unnamed: set[Step] = set()  # arguments without a name of their own
        self.thread: int = get_ident()
        self.closed: bool = False
        self.profiler: Callable[[FrameType, str, Any], None] | None = None
        self.switches: bool = False  # whether the profiler can be switched
        self.listens: bool = True  # whether code of the user's may run, and so it is on
        self.line: str | None = None  # of the user's that runs, while the library computes
        self.frame: FrameType | None = None  # that the library has computed from since then
        self.refusal: CaptureError | None = None  # why no program will come of it
        self.asked: Step | None = None  # whose value was asked for, and refused
        self.is_too_long: bool = False  # with many single numbers, side by side
        self.codes: set[CodeType] = (
            set()
        )  # of the functions that the search for variables has found
        self.met: dict[int, CodeType] = {}  # codes that have run, by their ids
        self.own: set[int] = set()  # of these, those of the library, which may do what they like
        self.naming: set[int] = set()  # of these, those whose variables name arrays
        self.handlers: frozenset[CodeType] = handlers()  # whose calls are not the function's
        self.executed: list[Executed] = []  # calls of functions that it has not found
        self.inside: Iteration | None = None  # the iteration of a scan that is traced
        self.over: dict[Step, Iteration] = {}  # of iterations that are over, by their steps
        self.element_kinds: dict[Step, type] = {}  # of lists of numbers
        self.run_number = 0  # which run of a function that runs again
        self.runs = 0  # so many were there
        self.drawn: list[Any] = []  # random numbers
        self.replayed: Iterator[Any] | None = None  # those of the first run, in a second one

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────

    def argument(self, value: Any, name: str) -> Tracer:
        tracer = Tracer(self, self._argument(_step(None, (), {}, value), name), value)
        tracer.borrowed = True
        tracer.static = type(value) is int
        return tracer

    def generator(self, rng: np.random.Generator, name: str) -> Any:
        step = self._argument(Step(None, (), {}, (), None, type(rng)), name)
        return TracedGenerator(self, Tracer(self, step, rng))

    def _argument(self, step: Step, name: str) -> Step:
        step.name = name
        self.arguments.append(step)
        return step

    def constant(self, array: np.ndarray) -> Step:
        """An array that the program brings along: a copy, since its owner may change it."""
        known = self.constants.get(id(array))
        if known is not None and np.array_equal(known[1].constant, array, equal_nan=False):
            return known[1]
        step = _step(None, (), {}, array)
        step.constant = array.copy()
        self.constants[id(array)] = array, step  # the array too, so that no other gets its id
        self.sources[step] = array
        return step

    # ── what happens ──────────────────────────────────────────────────────────────────────────────

    def refuse(self, message: str) -> CaptureError:
        """The error to raise. Whoever catches it, no program will come of this trace."""
        error = CaptureError(message)
        if self.refusal is None and not self.is_elsewhere:
            self.refusal = error
        return error

    def call(
        self, function: Callable[..., Any], args: Sequence[Any], params: dict[str, Any]
    ) -> Any:
        """Carry a call out and record it."""
        if get_ident() != self.thread:
            return self.meanwhile(*Call(function, tuple(args), dict(params)))
        heard = self.listens and self.listen(False)
        try:
            if not params and function in _FLAT:
                found = self._flat_call(function, args)
                if found is not None:
                    return found
            return self._call(Call(function, tuple(args), dict(params)))
        finally:
            if self.listens is not heard:
                self.listen(heard)

    def arithmetic(self, function: Callable[..., Any], args: Sequence[Any]) -> Any:
        """A call of one of Python's operators that never raise, with floats, as most are in loops: `call`,
        without the questions whose answers are known."""
        over = self.over
        operands: list[Any] = []
        steps: list[Step] = []
        plain: list[float] = []
        static = True
        for a in args:
            if type(a) is float:
                operands.append(a)
                plain.append(a)
                continue
            step = a.step
            if a.tracing is not self or (over and step in over):
                return self.call(function, args, _NO_PARAMS)
            static = static and a.static
            operands.append(step)
            steps.append(step)
            plain.append(a.now)
        if self.closed or get_ident() != self.thread:
            return self.call(function, args, _NO_PARAMS)
        heard = self.listens and self.listen(False)
        try:
            made = arithmetic(function, tuple(operands), steps)
            self.record(made)
            self._count(made)
        finally:
            if self.listens is not heard:
                self.listen(heard)
        tracer = Tracer(self, made, function(*plain))
        tracer.static = static
        return tracer

    def _flat_call(self, function: Any, args: Sequence[Any]) -> Any:
        """A call of a ufunc of NumPy's or of an operator with arrays and plain numbers alone, as nearly
        all are in loops: `_call`, without the questions whose answers are known."""
        operands: list[Any] = []
        plain: list[Any] = []
        static, over = True, self.over
        for a in args:
            if type(a) is Tracer:
                if a.tracing is not self or self.closed or (over and a.step in over):
                    return None
                if a.view is not None:
                    a.current()
                now = a.now
                if type(now) not in _FORMS:
                    return None
                static = static and a.static
                operands.append(a.step)
                plain.append(now)
            elif type(a) is np.ndarray:
                operands.append(self.constant(a))
                plain.append(a)
            elif type(a) is float or type(a) is int:
                operands.append(a)
                plain.append(a)
            else:
                return None
        result = function(*plain)
        kind = type(result)
        if kind is float or kind is bool:
            dtype = _FLOAT64 if kind is float else _BOOL
            step = Step(function, tuple(operands), _NO_PARAMS, (), dtype, kind)
        elif kind is np.ndarray:
            step = Step(function, tuple(operands), _NO_PARAMS, result.shape, result.dtype, kind)
        elif kind is np.float64:
            step = Step(function, tuple(operands), _NO_PARAMS, (), _FLOAT64, kind)
        else:
            return None
        self.record(step)
        self._count(step)
        tracer = Tracer(self, step, result)
        tracer.static = static
        return tracer

    def _call(self, call: Call) -> Any:
        if self.closed or any(t.tracing is not self for t in tracers_in(call[1:])):
            raise self.refuse(
                f"{named(call.function)} at {user_line()} uses an array of a call that is over: a"
                " compiled function must not keep its arrays anywhere but in what it returns"
            )
        if isinstance(call.function, np.ufunc):
            call = call._replace(function=_known_ufunc(call.function))
        else:
            call = _with_plain_shapes(call)
        function, args, params = call
        seen = list(tracers_in(call[1:]))
        if self.over:
            self.check_inside(call, seen)
        if function is draw and self.replayed is not None:
            self.drawn.append(next(self.replayed))
            return self.drawn[-1]
        plain_args, plain_params = mapped(lambda t: t.current().now, (args, params), Tracer)
        operands = self._operands(args, function), self._operands(params, function)
        result = self._run(function, plain_args, plain_params)
        step = _step(function, *operands, result)
        self.record(step)
        self._count(step)
        traced = self._traced(step, result, call, seen, _has_static_shape(call, seen, result))
        if function is draw:
            self.effects.add(step)
            self.drawn.append(traced)
        return traced

    def _count(self, step: Step) -> None:
        if len(self.steps) > self.calls:
            raise self.refuse(
                f"the program may have {self.calls} calls at most, and at {user_line()} it has more"
            )
        if not step.shape:
            self.numbers += 1
            if self.numbers > self.many:
                self.many *= 2
                self.is_too_long = self.is_wide is not None and self.is_wide(self.steps)
                if self.is_too_long:
                    raise ManyNumbers

    def run(self, function: Callable[..., Any], args: Sequence[Any], params: dict[str, Any]) -> Any:
        """The result of a function, which is watched if it is one that was given to `custom`."""
        if type(function) is not FunctionType or function in _OWN:
            return function(*args, **params)
        heard = self.listen(True)
        try:
            return function(*args, **params)
        finally:
            self.listen(heard)

    def _run(self, function: Callable[..., Any], args: Any, params: Any) -> Any:
        """The result of a call. A function given to `custom` may write into an argument: that is
        undone and refused. The library's own do not, and are not copied for."""
        facts = of(function)
        if facts.form != "general" or facts.opaque:
            return self.run(function, args, params)
        arrays = [a for a in args if type(a) is np.ndarray]
        before = [a.copy() for a in arrays]
        result = self.run(function, args, params)
        for a, value in zip(arrays, before, strict=True):
            if a.tobytes() != value.tobytes():
                a[...] = value
                raise self.refuse(
                    f"compile cannot capture that {named(function)} changes an argument in place at"
                    f" {user_line()}: return a new array"
                )
        return result

    def user_line(self) -> str:
        """The user's line that runs: one for all that the library computes until it returns."""
        line = user_line(self.frame)
        if not self.listens:
            self.line = line
        return line

    def record(self, step: Step) -> None:
        name, node, g = self.phase
        step.phase = name
        step.run = self.run_number
        step.line = self.line or self.user_line()
        if node is not None:
            step.scope = node.scope
            if type(g) is Tracer and type(node.value) is Tracer:
                self.cotangents.setdefault(g.step, node.value.step)
        elif name == "forward":
            step.scope = current().scope
        if _ERRORS is None or _ERRORS.get(None) is not self.settings:
            self._ask_errors()
        step.errors = self.unusual
        self.steps.append(step)

    def _ask_errors(self) -> None:
        """Ask NumPy which errors it raises or is silent about; they are other ones in `np.errstate`."""
        errors: Any = np.geterr()
        self.settings = _ERRORS and _ERRORS.get(None)
        self.unusual = tuple((k, v) for k, v in errors.items() if v != self.errors[k])

    def _traced(
        self, step: Step, result: Any, call: Call, seen: Sequence[Tracer], has_static_shape: bool
    ) -> Any:
        """A result as a tracer, or a tuple of results as one of tracers."""
        kind = type(result)
        if isinstance(result, tuple | list):
            parts = []
            for i, part in enumerate(result):
                item = _step(operator.getitem, (step, i), {}, part)
                item.scope, item.phase = step.scope, step.phase
                self.steps.append(item)
                parts.append(self._traced(item, part, call, seen, has_static_shape))
            return kind(*parts) if hasattr(kind, "_fields") else kind(parts)
        if not isinstance(result, np.ndarray | np.generic | float | int):
            raise self.refuse(
                f"{named(call.function)} at {user_line()} returns a {kind.__name__}, which a program of"
                " NumPy calls cannot go on from"
            )
        tracer = Tracer(self, step, result)
        tracer.static = all(t.static for t in seen)
        if not has_static_shape:
            self.guard(step, kind if isinstance(result, float | int) else (step.shape, step.dtype))
        if isinstance(result, np.ndarray) and not step.is_fresh:
            for t in seen:
                if isinstance(t.now, np.ndarray) and np.may_share_memory(t.now, result):
                    tracer.view = View(t, t.version, call)
                    break
        return tracer

    def guard(self, step: Step, expected: Any, line: str | None = None) -> None:
        """Let the program raise Changed if a value, or a shape and dtype, is not as expected."""
        guard = _step(guarded, (step, expected), {}, True)
        guard.line = line or self.line or self.user_line()
        self.steps.append(guard)
        self.effects.add(guard)

    def _operands(self, nest: Any, function: Callable[..., Any]) -> Any:
        """Arguments of a call with steps in place of tracers, and of arrays, which are constants."""
        if isinstance(nest, Tracer):
            return nest.step
        kind = type(nest)
        if isinstance(nest, np.ndarray):
            if kind is not np.ndarray:  # which may be of a user's class, with code of its own
                self.listen(True)
            return self.constant(nest)
        if isinstance(nest, tuple | list):
            parts = [self._operands(a, function) for a in nest]
            return parts if kind is list else tuple(parts)
        if kind is dict:
            return {k: self._operands(a, function) for k, a in nest.items()}
        if kind is slice:
            return slice(*(self._operands(a, function) for a in (nest.start, nest.stop, nest.step)))
        if kind is range:
            return list(nest)
        if nest is None or nest is Ellipsis or nest is np._NoValue:
            return nest
        if isinstance(nest, bool | int | float | complex | str | np.generic | np.dtype | type):
            return nest
        raise self.refuse(
            f"{named(function)} at {user_line()} is given {nest!r:.60}, a {kind.__name__}, which a"
            " program of NumPy calls cannot bring along"
        )

    def check_origins(self, args: Sequence[Any]) -> None:
        """Refuse Tensors that come from elsewhere: the program would go on using their values."""
        for a in args:
            if type(a) is Tensor and type(a.value) is Tracer:  # as nearly always
                continue
            if not isinstance(a, Tensor) or isinstance(a.primal_value(), Tracer):
                continue
            for origin in ancestors([a], a.level):
                if origin.is_leaf and origin.born < self.began and origin not in self.known:
                    raise self.refuse(
                        f"{label(origin)} is read at {user_line()} but is not an argument of the compiled"
                        " function, which would go on using the value that it has now: pass the Tensor"
                        " as an argument"
                    )

    # ── loops ─────────────────────────────────────────────────────────────────────────────────────

    def scan(
        self,
        body: Body,
        init: Any,
        xs: Any,
        count: int,
        is_reversed: bool,
        of: Iteration | None = None,
    ) -> tuple[Any, Any]:
        """Trace the body of a scan once. It goes through the iterations `of` another loop again, or
        through none."""
        if count:
            return Scanning(self, body, init, xs, count, is_reversed, of).run()
        with self.iteration(count, is_reversed, None) as iteration:
            ys = body.no_rows(init, xs)
        iteration.discard()
        return init, ys

    @contextmanager
    def iteration(self, count: int, is_reversed: bool, of: Iteration | None) -> Iterator[Iteration]:
        """Trace an iteration: what is called meanwhile is a part of it."""
        around, outer = self.steps, self.inside
        self.inside = Iteration(self, count, is_reversed, of, outer, around)
        self.steps = self.inside.steps
        try:
            yield self.inside
        finally:
            self.steps, self.inside = around, outer

    def check_inside(self, call: Call, seen: Iterable[Tracer]) -> None:
        """Refuse what a loop does not hand out."""
        for t in seen:
            owner = self.over.get(t.step)
            here = self.inside
            while owner is not None and here is not None and owner not in here.lineage():
                here = here.outer
            if owner is not None and here is None:
                raise self.refuse(
                    f"compile cannot capture that {named(call.function)} at {user_line()} uses an array"
                    " of an iteration of a scan that is over: return it, in the carry or as y"
                )

    def varies(self, step: Step) -> bool:
        """Whether a value may be another one in each iteration of a scan."""
        here = self.inside
        while here is not None and step not in here.steps and step not in here.arguments:
            here = here.outer
        return here is not None

    def operand(self, x: Any) -> Any:
        """What a step is called with for a tracer, an array or a number."""
        return self._operands(x.current() if isinstance(x, Tracer) else x, operator.getitem)

    def floats(self, array: Any) -> Step:
        """The elements of an array of floats as Python's."""
        made = _step(numbers, (self.operand(array),), {}, np.empty(array.shape)).with_(kind=list)
        self.element_kinds[made] = float
        self.record(made)
        return made

    def row(self, x: Any) -> Step:
        """What a loop stacks for it."""
        row = self.operand(x)
        return row if isinstance(row, Step) else self.constant(np.asarray(row))

    # ── functions that run again ──────────────────────────────────────────────────────────────────

    def first_run(self, run: Callable[[], Any]) -> tuple[Any, list[Any]]:
        """The result, and the random numbers that were drawn."""
        start, before = len(self.drawn), self.run_number
        self.runs += 1
        if before <= 0:
            self.run_number = -self.runs
        try:
            result = run()
        finally:
            self.run_number = before
        return result, self.drawn[start:]

    def second_run(self, run: Callable[[], Any], drawn: Sequence[Any]) -> Any:
        """The result of a second run, which gets the same random numbers, and whose calls are not taken
        for those of the first."""
        before = self.run_number, self.replayed
        self.runs += 1
        self.run_number, self.replayed = self.runs, iter(drawn)
        try:
            return run()
        finally:
            self.run_number, self.replayed = before

    # ── other threads ─────────────────────────────────────────────────────────────────────────────

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is another thread that asks, which shares a Tensor with this one."""
        return get_ident() != self.thread

    def meanwhile(self, function: Callable[..., Any], args: Any, params: Any) -> Any:
        """A call by another thread, for which a Tensor has the value that it had before."""

        def before(t: Tracer) -> Any:
            if t.step.is_argument and not t.version:
                return t.now
            raise Changed(
                f"{named(function)} at {user_line()} uses a Tensor that a compiled function changes,"
                " in another thread"
            )

        args, params = mapped(before, (args, params), Tracer)
        return function(*args, **params)

    # ── what sweeps and optimizers tell ───────────────────────────────────────────────────────────

    def sweep(self, run: Callable[..., Any], *args: Any) -> Any:
        """Run a sweep backwards, which tells the nodes that it reaches."""
        heard = self.listens
        try:
            found = self._during("backward", run, *args, self._reached)
            for leaf, g in found.items():
                if isinstance(g, Tracer) and isinstance(leaf.value, Tracer):
                    self.cotangents[g.step] = leaf.value.step
        finally:
            self.listen(heard)
        return found

    def update(self, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run an update of parameters."""
        return self._during("update", run, *args, **kwargs)

    def _during(self, phase: str, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        before, self.phase = self.phase, Phase(phase)
        try:
            return run(*args, **kwargs)
        finally:
            self.phase = before

    def _reached(self, node: Tensor, cotangent: Any) -> None:
        """Rules of the library are not watched, but hooks are, and rules given to `custom`."""
        self.phase = Phase(self.phase.name, node, cotangent)
        primitive = node.primitive
        is_users = node.hooks or (primitive is not None and primitive.function not in _OWN)
        if bool(is_users) is not self.listens and not self.is_elsewhere:
            self.listen(bool(is_users))
        if type(node.value) is Tracer and any(type(a) is np.ndarray for a in node.args):
            self._check_unchanged(node, node.value.step)

    def _check_unchanged(self, node: Tensor, step: Step) -> None:
        """Refuse a rule that reads an array which held something else when the operation was recorded: the
        function's own derivative is wrong."""
        if step.function is float:  # of what NumPy gave
            (step,) = step.operands
        read = [a for place, a in enumerate(node.args, 1) if place in places_read(node)]
        for s in step.operands:
            source = self.sources.get(s) if type(s) is Step else None
            if source is None or not any(a is source for a in read):
                continue
            if s.constant.tobytes() != source.tobytes():
                raise self.refuse(
                    f"{named(step.function)} at {step.line} was given an array that was changed in place"
                    " before the backward pass, whose derivative would be wrong, compiled or not: write"
                    " a new array each time, as buffer = X[k].copy()"
                )

    # ── what the user's functions tell ────────────────────────────────────────────────────────────

    def watched(self, run: Callable[..., Any], *args: Any) -> Any:
        """Run a function, and hear what it calls."""
        self.switches = SWITCHES
        self.profiler = self.watcher()
        try:
            return watched(functools.partial(run, *args), self.profiler, self.own)
        finally:
            self.switches = False
            self.profiler = None  # which refers to the trace

    def listen(self, listens: bool) -> bool:
        """Switch the profiler off, while the library computes, or on again. Tell whether it was on."""
        heard = self.listens
        if listens is not heard:
            self.listens, self.line, self.frame = listens, None, None
            if self.switches:
                sys.setprofile(self.profiler if listens else None)
        return heard

    def unheard(self, function: Callable[..., Any], *args: Any) -> Any:
        """The result of a function of the library that calls none of the user's."""
        if not self.listens or get_ident() != self.thread:
            return function(*args)
        # Switched here, not by `listen`: until it is off, each call of ours takes a microsecond.
        if self.switches:
            sys.setprofile(None)
        self.listens, self.frame = False, sys._getframe(1)
        try:
            return function(*args)
        finally:
            self.listens, self.line, self.frame = True, None, None
            if self.switches:
                sys.setprofile(self.profiler)

    def listen_again(self) -> None:
        """Put the profiler back, which Python removes when it raises an exception."""
        if self.switches and self.listens and sys.getprofile() is None:
            sys.setprofile(self.profiler)

    def watcher(self) -> Callable[[FrameType, str, Any], None]:
        """A profiler that refuses effects before they happen, meets functions that no search has
        found, and learns what the user's functions call their arrays."""
        own, met, naming = self.own, self.met, self.naming

        def watch(frame: FrameType, event: str, result: Any) -> None:
            code = id(frame.f_code)
            if code in own:
                return
            if event == "call":
                if code not in met or code in _ASKING:
                    if is_within(frame, self.handlers):
                        return
                    met[code] = frame.f_code
                    self._meet(frame)
            elif event == "c_call":
                try:
                    check_call(frame, result)
                except CaptureError as error:
                    if is_within(frame, self.handlers):
                        return
                    self.refusal = self.refusal or error
                    raise
            elif event == "return" and code in naming:
                self._name(frame)

        return watch

    def _meet(self, frame: FrameType) -> None:
        """A function is called for the first time: what it reads is to be known."""
        asks, caller = _ASKING.get(id(frame.f_code)), frame.f_back
        if asks and caller and owner_of_frame(caller) is Owner.USER:
            raise self.refuse(
                f"compile cannot capture the call of {asks} at {user_line()}: a program would repeat what"
                " it gives in this call; keep it out of the compiled function"
            )
        whose = owner_of_frame(frame)
        if whose.is_library and not asks:
            self.own.add(id(frame.f_code))
        if whose is Owner.USER or whose is Owner.INSTALLED:
            self.naming.add(id(frame.f_code))
        if whose is Owner.USER and frame.f_code not in self.codes:
            plain = {k: v for k, v in _locals(frame).items() if not isinstance(v, Variable)}
            self.executed.append(Executed(frame.f_code, frame.f_globals, plain))

    def _name(self, frame: FrameType) -> None:
        """A function returns: its arrays are named as it names them. The last to return is heard,
        since what an outer function calls an array counts more."""
        for name, value in _locals(frame).items():
            if issubclass(type(value), Tensor):
                value = value.primal_value()
            if type(value) is Tracer and value.tracing is self:
                step = value.step
                is_free = step.function is not None or step in self.unnamed
                if is_free and name.isidentifier() and name != "_":
                    step.name = name

    def program(self, returns: Any) -> Program:
        self.closed = True
        for step in steps_in(returns):
            if step in self.over:
                raise self.refuse(
                    f"compile cannot capture that {step.name or 'an array'}, which is made in an iteration"
                    " of a scan, outlives it: return it from the body, in the carry or as y"
                )
        for step, primal in self.cotangents.items():
            if step.function is not None and step.name is None and primal.name:
                step.name = re.sub(r"\W", "_", f"d{primal.name}")
        return Program(self.arguments, self.steps, returns, self.effects)

    def forget(self) -> None:
        """Let go of what it still has, when the program is made."""
        self.constants.clear()
        self.sources.clear()
        self.drawn.clear()
        self.cotangents.clear()
        self.steps, self.is_wide = [], None


def _locals(frame: FrameType) -> dict[str, Any]:
    """The variables of one of the user's functions, for two readers: the printed program has their
    names, and what a function that no search has found was given is looked into. Python hands them
    over in no other way. No variable of the library is read so."""
    return frame.f_locals


def _step(function: Callable[..., Any] | None, args: Any, params: Any, result: Any) -> Step:
    if isinstance(result, tuple | list):
        return Step(function, args, params, (), None, tuple)
    dtype = result.dtype if hasattr(result, "dtype") else np.dtype(type(result))
    kind = np.ndarray if isinstance(result, np.ndarray) else type(result)
    return Step(function, args, params, np.shape(result), dtype, kind)


def _has_static_shape(call: Call, seen: Sequence[Tracer], result: Any) -> bool:
    """Whether the result has the same shape and type whatever the values are."""
    function, args, params = call
    if any(type(t.now) is int for t in seen) and not isinstance(function, np.ufunc):
        is_power = function is operator.pow and type(args[0]) is float
        return type(result) is bool or function in _WHOLE_NUMBERS or is_power
    return of(function).is_static(args, params)


# ── numbers that say which axes, how many, which way ──────────────────────────────────────────────

#: Parameters of NumPy's functions that are such. Whole numbers that are arguments of the program are
#: made conditions of it there.
_SHAPING = frozenset(
    """
    axis axes axis1 axis2 axisa axisb axisc source destination start keepdims ddof shape newshape
    reps repeats shift k n ndmin num decimals kth N M indices_or_sections pad_width minlength
    correction offset mode
    """.split()  # noqa: SIM905
)


def _with_plain_shapes(call: Call) -> Call:
    """A call with plain numbers for axes, shapes and the like."""
    function, args, params = call
    plain = lambda t: operator.index(t) if t.ndim == 0 and t.dtype.kind in "iu" else t
    if any(True for _ in tracers_in(params)):
        params = {
            k: mapped(plain, v, Tracer) if _is_of_ufunc(function) or k in _SHAPING else v
            for k, v in params.items()
        }
    within = (type(a.now) is int if type(a) is Tracer else [*tracers_in(a)] for a in args[1:])
    if any(within):
        names = _parameters(function)
        args = tuple(
            mapped(plain, a, Tracer) if i < len(names) and names[i] in _SHAPING else a
            for i, a in enumerate(args)
        )
    return Call(function, args, params)


def _is_of_ufunc(function: Callable[..., Any]) -> bool:
    return isinstance(getattr(function, "__self__", None), np.ufunc)


@functools.lru_cache(256)
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    if _is_of_ufunc(function):
        return ("array", "axis", "dtype", "out", "keepdims")
    if owner(function) is not Owner.NUMPY:
        return ()
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


@functools.lru_cache(256)
def _known_ufunc(ufunc: np.ufunc) -> Callable[..., Any]:
    """A ufunc of NumPy's or SciPy's; another one as a function of which nothing is known but its
    result."""
    if getattr(np, ufunc.__name__, None) is ufunc or is_scipys(ufunc):
        return ufunc

    @operation(static=True)
    def run(*args: Any, **params: Any) -> Any:
        return ufunc(*args, **params)

    run.__name__ = re.sub(r"\W", "_", ufunc.__name__)
    return run
