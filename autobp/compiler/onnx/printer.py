"""Printer: a program as a graph of ONNX nodes.

Each step becomes one node, or a few where ONNX has no operator for it. It prints programs as they were
traced: passes make NumPy fast, and an ONNX runtime has its own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from autobp.compiler.onnx.elementwise import elementwise
from autobp.compiler.onnx.graph import Graph, Value
from autobp.compiler.onnx.images import IMAGES
from autobp.compiler.onnx.operands import DTYPES, FLOATS, IN_DOUBLE, Operands, Unprintable
from autobp.compiler.onnx.reductions import quantified, reduced
from autobp.compiler.onnx.spellings import PLAIN, SPELLED, unread
from autobp.compiler.onnx.table import ELEMENTWISE, REDUCED, SCIPY
from autobp.compiler.program import Loop, Program, Step, mapped, steps_in
from autobp.compiler.refusals import called, place, refusal
from autobp.compiler.trace.calls import draw
from autobp.compiler.trace.direct import program_of
from autobp.compiler.trace.tracer import Tracer
from autobp.context import clock
from autobp.primitive import NUMPY
from autobp.tensor import leaf

__all__ = ["Printer"]


class Printer(Operands):
    """Prints one program; its steps have values when they are printed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Any] = []  # functions that are written out just now
        self.inner: list[tuple[Program, dict[Step, Any]]] = []  # their programs, with the operands

    def graph(self, program: Program, names: dict[Step, str], returns: dict[str, Any]) -> Graph:
        """The graph of a program whose arguments have names, as have the results."""
        inputs = [self.argument(step, names[step]) for step in program.arguments if step in names]
        wanted = {x: name for name, x in returns.items() if isinstance(x, Step)}
        self.o.taken |= set(returns)
        for step in _needed(program, returns):
            if step in wanted:  # whose name is kept for it
                self.o.taken.discard(wanted[step])
            self.step(step, wanted.get(step) or step.name)
            self.o.taken |= set(returns)
        self.o.scope = ""
        outputs = [self.output(x, name) for name, x in returns.items()]
        return Graph(inputs, outputs, self.o.nodes)

    def argument(self, step: Step, name: str) -> Value:
        if step.dtype not in DTYPES:
            raise Unprintable(
                f"{name} of {step.dtype} has no spelling in ONNX: give it another type, as by"
                f" {name}.astype(np.float32)"
            )
        self.values[step] = value = Value(self.o.named(name), step.dtype, step.shape)
        return value

    def output(self, x: Any, name: str) -> Value:
        """A result under its name."""
        value = self.value(x)
        if value.name == name:
            found: Value = value
            return found
        self.o.taken.discard(name)
        return self.o.rename(self.o.emit("Identity", [value], value.dtype, value.shape), name)

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────

    def step(self, step: Step, name: str | None) -> None:
        phase = "" if step.phase == "forward" else step.phase
        self.o.scope = "/".join(filter(None, (phase, step.scope)))
        before = len(self.o.nodes)
        try:
            value = self.printed(step)
        except Unprintable:
            raise
        except NotImplementedError as error:
            raise refused(step, str(error)) from None
        except Exception as error:
            raise refused(step, " as it is called here") from error
        if isinstance(value, Value) and name and len(self.o.nodes) > before:
            value = self.o.rename(value, name)
        self.values[step] = value

    def printed(self, step: Step) -> Any:
        """The value of a step, in the shape and the type that NumPy gives it."""
        if step.dtype is not None and step.dtype not in DTYPES:
            raise NotImplementedError(f" of {step.dtype}")
        value = self.spelled(step)
        if not isinstance(value, Value):
            return value
        value = self.o.cast(value, step.dtype)
        if np.broadcast_shapes(value.shape, step.shape) != step.shape:
            raise NotImplementedError(" as it is called here")
        return self.o.expand(value, step.shape)

    def spelled(self, step: Step) -> Any:
        function: Any = step.function
        if step.loop:
            return self.loop(step, step.loop)
        if function is draw:
            raise drawn(step)
        first = step.args[0] if step.args else None
        if function is operator.getitem and isinstance(first, Step) and first.dtype is None:
            part = self.values[first][step.args[1]]
            return part if isinstance(part, list | tuple) else self.o.value(part)
        if function in SPELLED:
            accepted, print_step = SPELLED[function]
            if others := unread(step, accepted.split()):
                raise NotImplementedError(f" with {', '.join(others)}")
            return print_step(self, step)
        if function in PLAIN:
            return self.inlined(step, lambda *args, **more: PLAIN[function](*args, *more.values()))
        if function in IMAGES:
            return self.image(step, *IMAGES[function])
        row = ELEMENTWISE.get(function)
        if row is None and type(function) is np.ufunc and _is_scipys(function):
            row = SCIPY.get(function.__name__)
        if row is not None and step.params.keys() <= {"dtype"}:
            return elementwise(self, step, row)
        reduces = step.operation.reduces
        if reduces in REDUCED:
            return reduced(self, step, REDUCED[reduces])
        if reduces in (np.logical_and, np.logical_or):
            return quantified(self, step, reduces is np.logical_and)
        return self.composed(step)

    def image(self, step: Step, count: int, is_single: bool, print_image: Any) -> Any:
        given = [self.value(a) for a in step.args[:count]]
        dtype = np.result_type(*(x.dtype for x in given if x.dtype.kind == "f"))
        if dtype == np.float64 and is_single:
            raise NotImplementedError(IN_DOUBLE)
        given = [self.o.cast(x, dtype) if x.dtype.kind == "f" else x for x in given]
        return print_image(self.o, *given, *step.args[count:], **step.params)

    # ── functions that are made of others ─────────────────────────────────────────────────────────

    def composed(self, step: Step) -> Any:
        """A function of NumPy's that is made of others, as its rule says. The rule is one for
        floats: whole numbers become such, and are whole again at the end."""
        function: Any = step.function
        how = f" with {', '.join(step.params)}" if step.params else ""
        if function not in NUMPY or function in self.open:
            raise NotImplementedError(how if function in ELEMENTWISE else "")
        has_floats = any(s.dtype in FLOATS for s in step.operands)
        wide = step.dtype if step.dtype in FLOATS else None
        if not has_floats and any(s.dtype == bool for s in step.operands):
            raise NotImplementedError(
                " of truth values"
            )  # which NumPy adds and subtracts otherwise

        def recorded(*args: Any, **params: Any) -> Any:
            level = clock()

            def lift(x: Tracer) -> Any:
                if not has_floats:
                    x = x.astype(np.float64)
                elif wide and x.dtype in FLOATS and np.can_cast(x.dtype, wide):
                    x = x.astype(wide)  # NumPy computes in float64 where a rule may not
                return leaf(x.canonical(), level) if x.dtype in FLOATS else x

            lifted = mapped(lift, (args, params), Tracer)
            return function(*lifted[0], **lifted[1])

        self.open.append(function)
        try:
            found = self.inlined(step, recorded)
        except (Unprintable, NotImplementedError):
            raise
        except Exception as error:  # of the rule: it has none for these arguments, or needs values
            raise NotImplementedError(how) from error
        finally:
            self.open.pop()
        is_whole = step.dtype is not None and step.dtype.kind in "iu"
        return self.o.wrapped(found, step.dtype) if is_whole and isinstance(found, Value) else found

    def inlined(self, step: Step, function: Callable[..., Any]) -> Any:
        """What a function makes of the arguments of a step, by the program of it."""
        given = step.args, step.params
        operands = [s for s in dict.fromkeys(step.operands) if not s.is_constant]

        def of_operands(*xs: Any) -> Any:
            values = dict(zip(operands, xs))
            args, params = mapped(lambda s: s.constant if s.is_constant else values[s], given)
            return function(*args, **params)

        inner = program_of(of_operands, {f"x{i}": _example(x) for i, x in enumerate(operands)})
        by_argument = dict(zip(inner.arguments, operands))
        self.values.update((argument, self.value(x)) for argument, x in by_argument.items())
        self.inner.append((inner, by_argument))
        for s in _needed(inner, inner.returns):
            try:
                self.values[s] = self.printed(s)
            except NotImplementedError as error:
                if called(s) == called(step):
                    raise
                raise NotImplementedError(f", which is made of {called(s)}{error},") from None
        return mapped(self.value, inner.returns)

    # ── loops ─────────────────────────────────────────────────────────────────────────────────────

    def loop(self, step: Step, loop: Loop) -> list[Value]:
        """A Scan: its body reads what is around it, the invariants, by name."""
        o = self.o
        carried, sequences, invariants = step.args
        arguments, count = loop.body.arguments, len(carried)
        given = [*carried, *(list(x) if isinstance(x, tuple | range) else x for x in sequences)]
        operands = [self.typed(x, a.dtype) for x, a in zip(given, arguments)]
        if not sequences:
            operands.append(o.value(np.zeros(loop.count, np.float32)))
        for argument, x in zip(arguments[len(given) :], invariants):
            self.values[argument] = self.typed(x, argument.dtype)
        body = self.body(loop, arguments[: len(given)], bool(sequences))
        names = [o.named("last" if i < count else "rows") for i in range(len(body.outputs))]
        o.node("Scan", operands, names, body=body, num_scan_inputs=len(operands) - count)
        return [
            Value(name, v.dtype, v.shape if i < count else (loop.count, *v.shape))
            for i, (name, v) in enumerate(zip(names, body.outputs))
        ]

    def body(self, loop: Loop, arguments: list[Step], has_sequences: bool) -> Graph:
        o = self.o
        scope, outer, o.nodes = o.scope, o.nodes, []
        inputs = [self.argument(a, a.name or "element") for a in arguments]
        if not has_sequences:  # of which a Scan must have one
            inputs.append(Value(o.named("element"), np.dtype(np.float32), ()))
        after, rows = loop.body.returns
        for s in _needed(loop.body, (*after, *rows)):
            self.step(s, s.name)
        o.scope = scope
        outputs = [self.output(x, o.named("next")) for x in after]
        outputs += [self.output(x, o.named("row")) for x in rows]
        found, o.nodes = Graph(inputs, outputs, o.nodes), outer
        return found


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────


def refused(step: Step, why: str) -> Unprintable:
    hint = (
        "give it float32, as by model.astype(np.float32)"
        if IN_DOUBLE in why or " of float16" in why
        else "compute it outside of the function that is saved"
    )
    return Unprintable(f"{refusal(step, f'{why}{place(step)}', 'ONNX')}: {hint}")


def drawn(step: Step) -> Unprintable:
    return Unprintable(
        f"random numbers are drawn at {step.line or 'a line of the library'}, for which ONNX has no"
        " operator that draws NumPy's: call eval() on the model and then the function once more, or give the"
        " numbers as an argument"
    )


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────


def _needed(program: Program, returns: Any) -> Iterator[Step]:
    """The steps that results need, in order: guards are stated elsewhere."""
    todo, needed = [*steps_in(returns)], set()
    while todo:
        step = todo.pop()
        if step not in needed:
            needed.add(step)
            todo += step.operands
    return (step for step in program.steps if step in needed)


def _is_scipys(ufunc: np.ufunc) -> bool:
    return getattr(np, ufunc.__name__, None) is not ufunc


def _example(x: Step) -> Any:
    """A value of the form of a step: among whole numbers may be places, which 0 is one of."""
    made = (np.zeros if np.issubdtype(x.dtype, np.integer) else np.ones)(x.shape, x.dtype)
    return x.kind(made[()]) if x.kind in (float, int, bool) else made[()]
