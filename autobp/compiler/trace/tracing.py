"""Tracing: one run of a function on tracers, from which its program is made."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from autobp.compiler.call import Call
from autobp.compiler.program import Program, Step, steps_in
from autobp.compiler.results import plain_nest
from autobp.compiler.terms import CaptureError, UnforeseenError
from autobp.compiler.trace.arguments import Arguments
from autobp.compiler.trace.effects import Randomness
from autobp.compiler.trace.free_variables import Found
from autobp.compiler.trace.handlers import is_of_handler
from autobp.compiler.trace.live import LiveTensor, LiveVariable
from autobp.compiler.trace.search import Executed, free_variables
from autobp.compiler.trace.trace import ManyNumbers, Trace
from autobp.compiler.trace.tracer import Tracer
from autobp.compiler.trace.undo import Undo
from autobp.compiler.trace.watching import can_pause
from autobp.context import current, tracing, user_line
from autobp.owner import Owner, owner_of_frame
from autobp.tensor import Tensor
from autobp.tree import leaves, transformed

__all__ = ["Traced", "trace_call"]

_ATTEMPTS = 8  # functions are met one after the other, each of which may lead to others


@dataclass
class Traced:
    """What has come of a tracing."""

    call: Call
    found: Found
    arguments: Arguments
    program: Program
    result: Any  # of the function
    tensors: list[LiveTensor]  # that the program reads or changes
    live: list[LiveVariable]  # that it changes
    seconds: float = 0.0  # that it took

    @property
    def is_cut(self) -> bool:
        """Whether the function itself returns a Tensor of which derivatives could be taken."""
        if any(step.phase == "backward" for step in self.program.steps):
            return False
        results = [y for _, y in leaves(self.result) if isinstance(y, Tensor)]
        return any(y.level == 0 and not y.is_leaf for y in results)

    def updated(self, program: Program) -> dict[Step, Step]:
        """The results of the program that take the place of an argument, with it."""
        if not self.tensors and not self.live:
            return {}
        _, changes, after = program.returns
        pairs = [(value, held.steps[0]) for held, (value, _) in zip(self.tensors, changes)]
        pairs += [(value, v.step) for v, value in zip(self.live, after) if v.is_in_place]
        return {value: step for value, step in pairs if isinstance(value, Step)}

    def gradients(self, program: Program) -> set[Step]:
        """The results of the program that become gradients of Tensors, and nothing else that changes: no
        later call writes into them."""
        if not self.tensors:
            return set()
        _, changes, after = program.returns
        values = {*(value for value, _ in changes), *after}
        return {g for _, g in changes if isinstance(g, Step)} - values

    def failed(self, error: Exception) -> CaptureError:
        return _failed(self.call, self.arguments.trace, error)


def trace_call(
    call: Call,
    many: float = math.inf,
    is_wide: Callable[[Sequence[Step]], bool] | None = None,
    earlier: Sequence[Found] = (),
    rolls: bool = True,
) -> Traced:
    """Trace a call. Nothing is changed yet: that is what the program does. When there are `many`
    results that are single numbers, and whenever they have doubled since, it is asked whether the
    trace is wide; then it ends with ManyNumbers. What programs traced `earlier` have found tells which numbers of
    modules change between calls. Unless it `rolls`, the iterations of a scan are traced one by one, as
    they are recorded."""
    executed: list[Executed] = []
    reads_arrays = True
    varying = {place for found in earlier for place in _varying(found)}
    counters = set(varying)
    for _ in range(_ATTEMPTS):
        found = free_variables(call.function, (call.args, call.kwargs), executed)
        trace = Trace(many, is_wide, call.settings.most, rolls)
        run = _Tracing(call, found, Arguments(call, trace, reads_arrays, counters))
        try:
            start = time.perf_counter()
            traced = run.run()
            traced.seconds = time.perf_counter() - start
            if not run.unknown:
                return traced
        except CaptureError:
            if run.changed - counters:
                counters |= run.changed
            elif deciding := varying & counters & run.deciding():  # by its value
                counters -= deciding
            elif not run.unknown:
                if not (reads_arrays and run.arguments.arrays):
                    raise
                reads_arrays = False  # perhaps one of a module is used where only a constant can be
        executed += run.unknown
    raise CaptureError(
        f"compile cannot capture {call.name}: each time it runs it calls functions that were not there"
        " before"
    )


def _varying(found: Found) -> Iterator[tuple[int, Any]]:
    """The places where modules held another float when a program was traced."""
    for v in found.variables:
        if v.live and type(v.value) is float and v.is_writable and v.read() != v.value:
            yield id(v.owner), v.key


class _Tracing:
    def __init__(self, call: Call, found: Found, arguments: Arguments) -> None:
        self.call = call
        self.found = found
        self.arguments = arguments
        self.trace = arguments.trace
        self.trace.codes = found.codes
        self.changed: set[tuple[int, Any]] = set()  # numbers of modules

    @property
    def unknown(self) -> list[Executed]:
        """Calls of functions whose variables have not been looked for."""
        return [call for call in self.trace.executed if call.code not in self.found.codes]

    def deciding(self) -> set[tuple[int, Any]]:
        """The variables that the value depends on which was asked for, and refused."""
        todo, seen = [self.trace.asked], set()
        while todo:
            step = todo.pop()
            if step is not None and step not in seen:
                seen.add(step)
                todo += step.operands
        return {live.key for live in self.arguments.live if live.step in seen}

    def run(self) -> Traced:
        trace, arguments = self.trace, self.arguments
        undo = Undo(self.found, arguments)
        result = returns = failure = None
        try:
            with undo:
                given = [arguments.visit_argument(i, x) for i, x in enumerate(self.call.values)]
                arguments.check_apart()
                arguments.visit_found(self.found)
                undo.randomness = Randomness(self.found, arguments.generators)
                undo.context.run(tracing.set, trace)
                run = self.call.run
                if can_pause(undo.profiler):  # otherwise effects go unseen, and names are poorer
                    run = partial(trace.watched, run)
                result = undo.context.run(run, given)
                returns = transformed(self.returned, result)
        except Exception as error:
            failure = error
        self.changed = undo.state.counters
        if failure is not None and is_of_handler(failure):
            raise failure
        if trace.is_too_long:
            raise ManyNumbers
        if failure is not None and not isinstance(failure, CaptureError):
            raise _failed(self.call, trace, failure) from failure
        if failure is not None or trace.refusal is not None:
            raise trace.refusal or failure  # type: ignore[misc]
        undo.check()
        arguments.check_nests(self.found)
        return self.traced(result, plain_nest(returns))

    def traced(self, result: Any, returns: Any) -> Traced:
        """The program, which returns the results, and what becomes of all that it changes."""
        trace, arguments = self.trace, self.arguments
        read = {s for step in trace.steps for s in step.operands} | set(steps_in(returns))
        tensors, changes = [], []
        for held in arguments.tensors.values():
            arguments.tests.append(f"{held.place.local}.name == {held.tensor.name!r}")
            value, grad = held.after
            if (
                held.is_found
                and not held.is_changed
                and grad is ...
                and read.isdisjoint(held.steps)
            ):
                continue  # it is there and has no part in this
            tensors.append(held)
            after = self.after(value) if held.is_changed else None
            changes.append((after, self.returned(grad)))
        if tensors:  # whose derivatives are taken, or not
            mode = current().threshold > 0
            arguments.tests.append(f"({arguments.known(current)}().threshold > 0) is {mode}")
        live = [variable for variable in arguments.live if variable.is_changed]
        if changes or live:
            returns = (returns, changes, [self.after(variable.after) for variable in live])
        program = trace.program(returns)
        return Traced(self.call, self.found, arguments, program, result, tensors, live)

    def after(self, value: Any) -> Any:
        """What the program is to put where a Tensor, a module or an optimizer holds something."""
        if isinstance(value, Tracer | np.ndarray | Tensor | float | int | np.generic):
            return self.returned(value)
        raise CaptureError(
            f"compile cannot capture that an array is replaced by a {type(value).__name__}"
        )

    def returned(self, y: Any) -> Any:
        """What the program is to return for y."""
        if isinstance(y, Tensor):
            if not isinstance(y.primal_value(), Tracer):
                self.trace.check_origins([y])
            y = y.primal_value()
        if isinstance(y, Tensor):
            raise self.trace.refuse(
                "compile cannot capture a batch of examples that is not an argument of the compiled"
                " function: pass it as an argument, or compile vmap(f)"
            )
        if isinstance(y, Tracer):
            return y.current().step
        if isinstance(y, np.ndarray):
            return self.trace.constant(y)
        if (
            y is ...
            or y is None
            or isinstance(y, bool | int | float | complex | str | bytes | np.generic | np.dtype)
        ):
            return y
        raise self.trace.refuse(
            f"compile cannot capture that a {type(y).__name__} is returned: a program returns arrays,"
            " numbers and Tensors, in lists, tuples and dicts"
        )


def _failed(call: Call, trace: Trace, error: Exception) -> CaptureError:
    """What is said of an exception while the function was traced that may not be the function's."""
    if trace.refusal is not None:
        return UnforeseenError(str(trace.refusal))
    return UnforeseenError(
        f"compile cannot capture {call.name} at {_line_of(error)}: {type(error).__name__}: {error}"
    )


def _line_of(error: BaseException) -> str:
    """The user's innermost line that an exception went through."""
    found, traceback = None, error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if owner_of_frame(frame) is Owner.USER:
            found = f"{frame.f_code.co_filename}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found or user_line()
