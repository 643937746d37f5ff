"""Printer: a program as a graph of ONNX nodes.

Each step becomes one node, or a few where ONNX has no operator for it. It prints programs as they were
traced: passes make NumPy fast, and an ONNX runtime has its own.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from autobp.compiler.onnx.graph import Builder, Graph, Value
from autobp.compiler.onnx.images import IMAGES
from autobp.compiler.onnx.indexing import Index, placed, taken
from autobp.compiler.onnx.table import DOUBLE, ELEMENTWISE, INTEGER, REDUCED, SCIPY
from autobp.compiler.program import Loop, Program, Step, mapped, steps_in
from autobp.compiler.refusals import place, refusal
from autobp.compiler.trace import calls
from autobp.compiler.trace.calls import as_type, draw
from autobp.compiler.trace.direct import program_of
from autobp.compiler.trace.tracer import Tracer
from autobp.context import clock
from autobp.kernels import attention as kernels
from autobp.kernels import normalization as norms
from autobp.primitive import NUMPY, constant
from autobp.rules import attention, normalization
from autobp.rules.indexing import _put, _scatter
from autobp.rules.neural import softmax
from autobp.rules.shape import surrounded
from autobp.tensor import leaf

__all__ = ["SPELLED", "Printer", "Unprintable"]

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_DTYPES = frozenset(
    map(np.dtype, ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"))
)
_SINGLE = frozenset(("Conv", "ConvTranspose", *DOUBLE))  # which onnxruntime computes in float32
_COMPARISONS = frozenset("Equal Less LessOrEqual Greater GreaterOrEqual".split())  # noqa: SIM905
_LOGICAL = (np.logical_and, np.logical_or, np.logical_xor, np.logical_not)
_TESTS = (
    *(np.isnan, np.isinf, np.isfinite, np.signbit),
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
    *(operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge),
)


class Unprintable(ValueError):
    """ONNX has no spelling for a step of a program."""


class Printer:
    """Prints one program; its steps have values when they are printed."""

    def __init__(self) -> None:
        self.o: Builder = Builder()
        self.values: dict[Step, Any] = {}
        self.open: list[Any] = []  # functions that are written out just now
        self.inner: list[tuple[Program, dict[Step, Any]]] = []  # their programs, with the operands

    def graph(self, program: Program, names: dict[Step, str], returns: dict[str, Any]) -> Graph:
        """The graph of a program whose arguments have names, as have the results."""
        needed = _needed(program, returns)
        inputs = [self.argument(step, names[step]) for step in program.arguments if step in names]
        wanted = {x: name for name, x in returns.items() if isinstance(x, Step)}
        self.o.taken |= set(returns)
        for step in needed:
            if step in wanted:  # whose name is kept for it
                self.o.taken.discard(wanted[step])
            self.step(step, wanted.get(step) or step.name)
            self.o.taken |= set(returns)
        self.o.scope = ""
        outputs = [self.output(x, name) for name, x in returns.items()]
        return Graph(inputs, outputs, self.o.nodes)

    def argument(self, step: Step, name: str) -> Value:
        if step.dtype not in _DTYPES:
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
            return value
        self.o.taken.discard(name)
        found = self.o.emit("Identity", [value], value.dtype, value.shape)
        return self.o.rename(found, name)

    def step(self, step: Step, name: str | None) -> None:
        where = "" if step.phase == "forward" else f"{step.phase}/"
        self.o.scope = f"{where}{step.scope or ''}"
        if step.dtype is not None and step.dtype not in _DTYPES:
            raise refused(step, f" of {step.dtype}")
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

    # ── operands ──────────────────────────────────────────────────────────────────────────────────

    def value(self, x: Any) -> Any:
        """A step, a number or a nest of them as an operand."""
        if isinstance(x, Step):
            if not x.is_constant:
                return self.values[x]
            x = x.constant
        if isinstance(x, list | tuple) and any(True for _ in steps_in(x)):
            parts = [self.value(a) for a in x]
            dtype = np.result_type(*(p.dtype for p in parts))
            return self.o.concat([self.o.unsqueeze(self.o.cast(p, dtype), [0]) for p in parts], 0)
        array = np.asarray(x)
        if array.dtype not in _DTYPES:
            raise NotImplementedError(f" of {array.dtype}")
        return self.o.value(array)

    def typed(self, x: Any, dtype: Any) -> Value:
        return self.o.cast(self.value(x), dtype)

    def common(self, args: Sequence[Any]) -> Any:
        """The type in which NumPy compares: Python's numbers take that of arrays."""
        kinds: list[Any] = []
        for x in args:
            if isinstance(x, Step):
                kinds.append({float: 0.0, int: 0, bool: np.bool_}.get(x.kind, x.dtype))
            else:
                kinds.append(x if type(x) in (int, float) else np.asarray(x).dtype)
        return np.result_type(*kinds)

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────

    def printed(self, step: Step) -> Any:
        """The value of a step, in the shape and the type that NumPy gives it."""
        value = self.spelled(step)
        if not isinstance(value, Value):
            return value
        value = self.o.cast(value, step.dtype)
        if value.shape == step.shape:
            return value
        if np.broadcast_shapes(value.shape, step.shape) != step.shape:
            raise NotImplementedError(" as it is called here")
        return self.o.expand(value, step.shape)

    def spelled(self, step: Step) -> Any:
        function: Any = step.function
        if step.loop:
            return self.loop(step, step.loop)
        if (
            function is operator.getitem
            and isinstance(step.args[0], Step)
            and step.args[0].dtype is None
        ):
            return self.values[step.args[0]][step.args[1]]
        spelled = SPELLED.get(function)
        if function is draw:
            raise self.drawn(step)
        if spelled is not None:
            accepted, print_step = spelled
            if unread := further(step, accepted.split()):
                raise NotImplementedError(f" with {', '.join(unread)}")
            return print_step(self, step)
        if function in IMAGES:
            count, print_image = IMAGES[function]
            given = [self.value(a) for a in step.args[:count]]
            floats = np.result_type(*(x.dtype for x in given if x.dtype.kind == "f"))
            if function.__name__.startswith("_conv") and floats == np.float64:
                raise NotImplementedError(_IN_DOUBLE)
            given = [self.o.cast(x, floats) if x.dtype.kind == "f" else x for x in given]
            return print_image(self.o, *given, *step.args[count:], **step.params)
        row = ELEMENTWISE.get(function)
        if row is None and type(function) is np.ufunc:
            row = SCIPY.get(function.__name__) if _is_scipys(function) else None
        if row is not None and step.params.keys() <= {"dtype"}:
            return self.elementwise(step, row)
        reduces = step.operation.reduces
        if reduces in REDUCED:
            return self.reduced(step, REDUCED[reduces])
        if reduces in (np.logical_and, np.logical_or):
            return self.quantified(step, reduces is np.logical_and)
        return self.composed(step)

    def elementwise(self, step: Step, row: Any) -> Value:
        o, args, function = self.o, step.args, step.function
        if row == "Where":
            if len(args) != 3:
                raise NotImplementedError(" of a condition alone")
            condition = self.typed(args[0], bool)
            given = [condition, *(self.typed(a, step.dtype) for a in args[1:])]
            if step.dtype == bool:  # onnxruntime chooses among no truth values
                numbers = [o.cast(x, np.uint8) for x in given[1:]]
                return o.cast(o.Where(condition, *numbers), bool)
            return o.Where(*given)
        if function in _LOGICAL:
            dtype: Any = np.dtype(bool)
        elif function in _TESTS:
            dtype = self.common(args)
            if len(args) == 1 and dtype.kind != "f":  # as is asked of floats alone
                dtype = np.dtype(np.float64)
        else:
            dtype = step.dtype
        if dtype.kind == "b" and row in _COMPARISONS:
            dtype = np.dtype(np.uint8)
        given = [self.typed(a, dtype) for a in args]
        if dtype.kind in "iu":
            row = INTEGER.get(row, row)
        elif dtype.kind == "b":
            row = {"Mul": "And", "Add": "Or", "Max": "Or", "Min": "And"}.get(row, row)
        if dtype == np.float64 and row in DOUBLE:
            row = DOUBLE[row]
        if row is None:
            raise NotImplementedError(_IN_DOUBLE)
        if isinstance(row, str):
            if row == "Identity":
                return given[0]
            return getattr(o, row)(*given)
        return row(o, *given)

    # ── reductions ────────────────────────────────────────────────────────────────────────────────

    def over(self, step: Step, *more: str) -> tuple[Value, list[int], bool]:
        """What a step reduces, along which axes, and whether they stay."""
        x, *given = step.args
        params = {
            k: v
            for k, v in step.params.items()
            if (v is not np._NoValue and v is not None) or k == "axis"
        }
        is_method = (
            step.operation.reduces is not None and step.function == step.operation.reduces.reduce
        )
        axis = given[0] if given else params.pop("axis", 0 if is_method else None)
        params.pop("axis", None)
        keepdims = bool(params.pop("keepdims", False))
        for name in ("dtype", *more):
            params.pop(name, None)
        if len(given) > 1 or params:
            raise NotImplementedError(f" with {', '.join(params) or 'further arguments'}")
        value = self.value(x)
        axes = range(value.ndim) if axis is None else np.atleast_1d(axis).tolist()
        return value, sorted(a % value.ndim for a in axes) if value.ndim else [], keepdims

    def reduced(self, step: Step, op: str) -> Value:
        o = self.o
        x, axes, keepdims = self.over(step, "initial")
        x = o.cast(x, step.dtype)
        is_extreme = op in ("ReduceMax", "ReduceMin")
        if x.dtype == bool:
            x = o.cast(x, np.int32)
        if not axes:
            found = x
        elif is_extreme and 0 in (x.shape[a] for a in axes):
            if step.params.get("initial") is None:
                raise NotImplementedError(" of no elements")
            shape = [n for i, n in enumerate(x.shape) if i not in axes]
            return o.full(step.shape if keepdims else shape, step.params["initial"], step.dtype)
        else:
            found = o.reduce(op, x, axes, keepdims)
            if is_extreme and x.dtype.kind == "f":  # which pass nan over
                bad = o.reduce("ReduceMax", o.cast(o.IsNaN(x), np.int32), axes, keepdims)
                found = o.Where(o.cast(bad, bool), o.full((), np.nan, x.dtype), found)
        initial = step.params.get("initial")
        if initial is not None and initial is not np._NoValue:
            join = {"ReduceMax": o.Max, "ReduceMin": o.Min, "ReduceSum": o.Add, "ReduceProd": o.Mul}
            found = join[op](found, self.typed(initial, found.dtype))
        return o.cast(found, step.dtype)

    def mean(self, step: Step) -> Value:
        x, axes, keepdims = self.over(step)
        return self.o.reduce("ReduceMean", self.o.cast(x, step.dtype), axes, keepdims)

    def quantified(self, step: Step, all_: bool) -> Value:
        """all and any, of which of no elements one is true."""
        o = self.o
        x, axes, keepdims = self.over(step)
        x = o.cast(x, bool)
        count = o.reduce("ReduceSum", o.cast(o.Not(x) if all_ else x, np.int64), axes, keepdims)
        return o.Equal(count, 0) if all_ else o.Greater(count, 0)

    def arg(self, op: str) -> Callable[[Step], Value]:
        def printed(step: Step) -> Value:
            x, axes, keepdims = self.over(step)
            if step.params.get("axis", *step.args[1:2] or [None]) is None:
                x, axes = self.o.reshape(x, [x.size]), [0]
            shape = [
                1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes
            ]
            return self.o.emit(op, [x], np.int64, shape, axis=axes[0], keepdims=int(keepdims))

        return printed

    def sorted(self, step: Step) -> Value:
        """The places of numbers in order, or the numbers."""
        o = self.o
        x, axis = self.value(step.args[0]), step.params.get("axis", *step.args[1:2] or [-1])
        if axis is None:
            x, axis = o.reshape(x, [x.size]), 0
        axis %= x.ndim
        dtype = x.dtype
        if dtype.kind in "iub":
            if dtype == np.uint64:
                raise NotImplementedError(" of uint64")
            x = o.cast(x, np.int64)
        names = [o.named("sorted"), o.named("places")]
        k = o.ints([x.shape[axis]])
        o.node("TopK", [x, k], names, axis=axis, largest=0, sorted=1)
        is_order = step.function is np.argsort
        found = Value(names[is_order], np.dtype(np.int64) if is_order else x.dtype, x.shape)
        return found if is_order else o.cast(found, dtype)

    def cumulated(self, step: Step) -> Value:
        o = self.o
        x, axes, _ = self.over(step)
        if step.params.get("axis", *step.args[1:2] or [None]) is None:
            x, axes = o.reshape(x, [x.size]), [0]
        x = o.cast(x, step.dtype)
        if step.function is np.cumsum:
            return o.emit("CumSum", [x, np.array(axes[0], np.int64)], x.dtype, x.shape)
        if not x.size:  # over which onnxruntime has no Scan
            return x
        row = tuple(n for i, n in enumerate(x.shape) if i != axes[0])
        carry, element = (
            Value(o.named(f"{kind}_{len(o.nodes)}"), x.dtype, row) for kind in ("carry", "element")
        )
        outer, o.nodes = o.nodes, []
        product = o.Mul(carry, element)
        copy = o.emit("Identity", [product], x.dtype, row)
        body = Graph([carry, element], [product, copy], o.nodes)
        o.nodes = outer
        last, found = (o.named(f"{kind}_{len(outer)}") for kind in ("last", "products"))
        how = {"num_scan_inputs": 1, "scan_input_axes": [axes[0]], "scan_output_axes": [axes[0]]}
        o.node("Scan", [o.full(row, 1, x.dtype), x], [last, found], body=body, **how)
        return Value(found, x.dtype, x.shape)

    # ── products ──────────────────────────────────────────────────────────────────────────────────

    def matmul(self, step: Step) -> Value:
        a, b = (self.typed(x, step.dtype) for x in step.args)
        if step.function is np.dot:
            if not (a.shape and b.shape):
                return self.o.Mul(a, b)
            if b.ndim > 2:
                raise NotImplementedError(" of more than two axes")
        return self.product(a, b, step.shape)

    def product(self, a: Value, b: Value, shape: Sequence[int]) -> Value:
        """A vector beside a matrix is a matrix too: of a transpose by a vector, onnxruntime makes one
        call that forgets the transpose."""
        o = self.o
        if a.ndim == b.ndim == 1 or (a.ndim > 1 and b.ndim > 1):
            return o.emit("MatMul", [a, b], a.dtype, shape)
        if a.ndim == 1:
            whole = o.unsqueeze(a, [0])
            found = o.emit("MatMul", [whole, b], a.dtype, (*shape[:-1], 1, shape[-1]))
            return o.squeeze(found, [found.ndim - 2])
        whole = o.unsqueeze(b, [1])
        return o.squeeze(o.emit("MatMul", [a, whole], a.dtype, (*shape, 1)), [len(shape)])

    def vdot(self, step: Step) -> Value:
        a, b = (self.typed(x, step.dtype) for x in step.args)
        flat = [self.o.reshape(x, [x.size]) for x in (a, b)]
        return self.o.emit("MatMul", flat, a.dtype, ())

    def outer(self, step: Step) -> Value:
        a, b = (self.typed(x, step.dtype) for x in step.args)
        return self.o.Mul(self.o.reshape(a, [a.size, 1]), self.o.reshape(b, [1, b.size]))

    def einsum(self, step: Step) -> Value:
        subscripts, *arrays = step.args
        if not isinstance(subscripts, str):
            raise NotImplementedError(f" of {subscripts!r}")
        given = [self.typed(x, step.dtype) for x in arrays]
        equation = subscripts.replace(" ", "")
        return self.o.emit("Einsum", given, step.dtype, step.shape, equation=equation)

    # ── elements that move ────────────────────────────────────────────────────────────────────────

    def copied(self, step: Step) -> Value:
        return self.value(step.args[0])

    def reshaped(self, step: Step) -> Value:
        return self.o.reshape(self.value(step.args[0]), step.shape)

    def broadcast(self, step: Step) -> Value:
        return self.o.expand(self.value(step.args[0]), step.shape)

    def transposed(self, step: Step) -> Value:
        """By an array of the numbers of the axes, on which the function itself acts."""
        x = self.value(step.args[0])
        axes = np.empty([2 + i for i in range(x.ndim)], bool)  # each of another length
        moved = step.function(axes, *step.args[1:], **step.params)  # type: ignore[misc]
        return self.o.transpose(x, [n - 2 for n in moved.shape])

    def converted(self, step: Step) -> Value:
        return self.typed(step.args[0], step.dtype)

    def arrays(self, step: Step) -> list[Value]:
        return [self.typed(x, step.dtype) for x in step.args[0]]

    def concatenated(self, step: Step) -> Value:
        axis = step.args[1] if len(step.args) > 1 else step.params.get("axis", 0)
        parts = self.arrays(step)
        if axis is None:
            parts, axis = [self.o.reshape(x, [x.size]) for x in parts], 0
        return self.o.concat(parts, axis % max(1, step.ndim))

    def stacked(self, step: Step) -> Value:
        axis = (step.args[1] if len(step.args) > 1 else step.params.get("axis", 0)) % step.ndim
        return self.o.concat([self.o.unsqueeze(x, [axis]) for x in self.arrays(step)], axis)

    def joined(self, step: Step) -> Value:
        parts = []
        for part in step.args:
            if isinstance(part, tuple | list):
                parts += [self.o.reshape(self.typed(x, step.dtype), [1]) for x in part]
            else:
                parts.append(self.value(part))
        return self.o.concat(parts, 0)

    def flipped(self, step: Step) -> Value:
        x = self.value(step.args[0])
        axis = step.args[1] if len(step.args) > 1 else step.params.get("axis")
        axes = range(x.ndim) if axis is None else [a % x.ndim for a in np.atleast_1d(axis).tolist()]
        return self.o.slice(x, {a: (x.shape[a] - 1, -1, -1) for a in axes if x.shape[a]})

    def rolled(self, step: Step) -> Value:
        o = self.o
        x, shift, axis = self.value(step.args[0]), *self.given(step, shift=None, axis=None)
        flat = o.reshape(x, [x.size]) if axis is None else x
        shifts, axes = np.broadcast_arrays(
            np.atleast_1d(shift), np.atleast_1d(0 if axis is None else axis)
        )
        for k, a in zip(shifts.tolist(), axes.tolist()):
            a %= flat.ndim
            n = flat.shape[a]
            if n and k % n:
                parts = ((n - k % n, n, 1), (0, n - k % n, 1))
                flat = o.concat([o.slice(flat, {a: part}) for part in parts], a)
        return o.reshape(flat, x.shape) if axis is None else flat

    def given(self, step: Step, **defaults: Any) -> list[Any]:
        """Further arguments, by place or by name, which are no arrays."""
        values = [*step.args[1:], *([...] * (len(defaults) - len(step.args) + 1))]
        found = [
            step.params.get(k, default) if v is ... else v
            for (k, default), v in zip(defaults.items(), values)
        ]
        if any(True for _ in steps_in(found)):
            raise NotImplementedError(" by numbers that are computed")
        return found

    def triangle(self, step: Step) -> Value:
        x, (k,) = self.value(step.args[0]), self.given(step, k=0)
        upper = int(step.function is np.triu)
        dtype = x.dtype
        x = self.o.cast(x, np.float32) if dtype.kind == "b" else x
        found = self.o.emit("Trilu", [x, np.array(k, np.int64)], x.dtype, x.shape, upper=upper)
        return self.o.cast(found, dtype)

    def diagonal(self, step: Step) -> Value:
        offset, first, second = self.given(step, offset=0, axis1=0, axis2=1)
        x = self.value(step.args[0])
        if offset or first % x.ndim == second % x.ndim:
            raise NotImplementedError(f" with offset={offset}")
        rest = [i for i in range(x.ndim) if i not in (first % x.ndim, second % x.ndim)]
        x = self.o.transpose(x, [first % x.ndim, second % x.ndim, *rest])
        at = np.arange(min(x.shape[:2]))
        index = Index.of((at, at), x.shape, self.value)
        return self.o.transpose(taken(self.o, x, index), [*range(1, x.ndim - 1), 0])

    def surrounded(self, step: Step) -> Value:
        (width,) = self.given(step, width=())
        return self.o.pad(self.value(step.args[0]), *zip(*width)) if width else self.copied(step)

    def item(self, step: Step) -> Value:
        x = self.value(step.args[0])
        return taken(self.o, x, Index.of(step.args[1], x.shape, self.value))

    def scattered(self, step: Step) -> Value:
        index, shape = (*step.args[1:], *step.params.values())
        adds = step.function is _scatter
        return placed(
            self.o, self.value(step.args[0]), Index.of(index, tuple(shape), self.value), adds
        )

    def put(self, step: Step) -> Value:
        """The new elements where an array of ones, put at the same places, is not 0."""
        o = self.o
        x, v, index = (*step.args, *step.params.values())
        if step.function is calls.put:
            x, index, v = step.args
        x, v = self.value(x), self.value(v)
        where = Index.of(index, x.shape, self.value)
        arrays = [a.constant for a in where.arrays.values()]
        if any(a is None for a in arrays):
            raise NotImplementedError(" at an index that is computed")
        shape = np.broadcast_to(0.0, x.shape)[mapped(lambda s: s.constant, index)].shape
        if len({*zip(*(a.ravel().tolist() for a in np.broadcast_arrays(*arrays)))}) < (
            np.broadcast(*arrays).size if arrays else 0
        ):
            raise NotImplementedError(" at an index that names a place twice")
        new = placed(o, o.expand(o.cast(v, x.dtype), shape), where, False)
        ones = placed(o, o.expand(o.full((), 1, np.float32), shape), where, False)
        return o.Where(o.Greater(ones, 0), new, x)

    def taken_along(self, step: Step) -> Value:
        indices = step.args[1] if len(step.args) > 1 else step.params["indices"]
        axis = step.params.get("axis", *step.args[2:3] or [None])
        x = self.value(step.args[0])
        if axis is None:
            x, axis = self.o.reshape(x, [x.size]), 0
        index = (*[slice(None)] * (axis % x.ndim), indices)
        return taken(self.o, x, Index.of(index, x.shape, self.value))

    # ── others ────────────────────────────────────────────────────────────────────────────────────

    def filled(self, value: float) -> Callable[[Step], Value]:
        return lambda step: self.o.full(step.shape, value, step.dtype)

    def filled_by(self, step: Step) -> Value:
        value = step.args[1] if len(step.args) > 1 else step.params["fill_value"]
        return self.o.expand(self.typed(value, step.dtype), step.shape)

    def rounded(self, step: Step) -> Value:
        (decimals,) = self.given(step, decimals=0)
        x = self.value(step.args[0])
        if x.dtype.kind != "f":
            return x
        if not decimals:
            return self.o.Round(x)
        scale = 10.0 ** abs(decimals)
        there, back = (self.o.Mul, self.o.Div) if decimals > 0 else (self.o.Div, self.o.Mul)
        return back(self.o.Round(there(x, scale)), scale)

    def clipped(self, step: Step) -> Value:
        low, high = self.ends(step)
        x = self.typed(step.args[0], step.dtype)
        x = x if low is None else self.o.Max(x, self.typed(low, x.dtype))
        return x if high is None else self.o.Min(x, self.typed(high, x.dtype))

    def ends(self, step: Step) -> list[Any]:
        """The least and the greatest element, by place or under one of two names."""
        found = []
        for i, names in enumerate((("a_min", "min"), ("a_max", "max")), 1):
            given = [*step.args[i : i + 1], *(step.params[n] for n in names if n in step.params)]
            found.append(next((x for x in given if x is not np._NoValue), None))
        return found

    def nan_to_num(self, step: Step) -> Value:
        o, x = self.o, self.value(step.args[0])
        if x.dtype.kind != "f":
            return x
        most = float(np.finfo(x.dtype).max)
        _, nan, high, low = self.given(step, copy=True, nan=0.0, posinf=most, neginf=-most)
        high, low = (d if v is None else v for v, d in ((high, most), (low, -most)))
        x = o.Where(o.IsNaN(x), nan, x)
        x = o.Where(o.And(o.IsInf(x), o.Greater(x, 0)), high, x)
        return o.Where(o.And(o.IsInf(x), o.Less(x, 0)), low, x)

    def composed(self, step: Step) -> Any:
        """A function of NumPy's that is made of others, as its rule says."""
        function: Any = step.function
        how = f" with {', '.join(step.params)}" if step.params else ""
        if step.dtype is None or function not in NUMPY or function in self.open:
            raise NotImplementedError(how)

        def recorded(*args: Any, **params: Any) -> Any:
            level = clock()

            def lift(x: Any) -> Any:
                is_float = isinstance(x, Tracer) and x.dtype in _FLOATS
                return leaf(x.canonical(), level) if is_float else x

            y = function(*map(lift, args), **{k: lift(x) for k, x in params.items()})
            return constant(y)

        varied = [i for i, x in enumerate(step.args) if isinstance(x, Step) and x.dtype in _FLOATS]
        if not varied:
            raise NotImplementedError(how)
        self.open.append(function)
        try:
            return self.inlined(step, recorded, varied)
        except (Unprintable, NotImplementedError):
            raise
        except (
            Exception
        ) as error:  # of the rule: it has none for these arguments, or asks for values
            raise NotImplementedError(how) from error
        finally:
            self.open.pop()

    def written_out(self, step: Step, function: Callable[..., Any], count: int) -> Any:
        """A call that is opaque for NumPy's sake, as the program of the same in plain operations."""

        def placed(*xs: Any, **given: Any) -> Any:
            return function(*xs, *given.values())

        return self.inlined(step, placed, range(count))

    def inlined(self, step: Step, function: Callable[..., Any], varied: Iterable[Any]) -> Any:
        """What a function makes of the arguments of a step, by the program of it. Its operands are those
        that are varied, and all that are computed; the others are constants of it."""
        given = dict(enumerate(step.args)) | step.params

        def is_computed(x: Any) -> bool:
            return isinstance(x, Step) and not x.is_constant

        operands = {k: x for k, x in given.items() if k in {*varied} or is_computed(x)}
        fixed = {k: x for k, x in given.items() if k not in operands}
        if computed := [k for k, x in fixed.items() if any(map(is_computed, steps_in(x)))]:
            names = [f"argument {k + 1}" if isinstance(k, int) else k for k in computed]
            raise NotImplementedError(f" with numbers that are computed in {', '.join(names)}")
        constants = mapped(lambda s: s.constant, fixed)

        def called(*xs: Any) -> Any:
            values = constants | dict(zip(operands, xs))
            args = [values[i] for i in range(len(step.args))]
            return function(*args, **{k: values[k] for k in step.params})

        examples = {f"x{i}": _example(x) for i, x in enumerate(operands.values())}
        inner = program_of(called, examples)
        for argument, x in zip(inner.arguments, operands.values()):
            self.values[argument] = self.value(x)
        self.inner.append((inner, dict(zip(inner.arguments, operands.values()))))
        for s in _needed(inner, inner.returns):
            self.values[s] = self.printed(s)
        return mapped(self.value, inner.returns)

    def drawn(self, step: Step) -> Unprintable:
        return Unprintable(
            f"random numbers are drawn at {step.line or 'a line of the library'}, for which ONNX has no"
            " operator that draws NumPy's: call eval() on the model first, or give the numbers as an argument"
        )

    # ── loops ─────────────────────────────────────────────────────────────────────────────────────

    def loop(self, step: Step, loop: Loop) -> list[Value]:
        """A Scan: its body reads what is around it, the invariants, by name."""
        o = self.o
        carried, sequences, invariants = step.args
        count = len(carried)
        arguments = loop.body.arguments
        first = [self.typed(x, a.dtype) for x, a in zip(carried, arguments)]
        rows = [
            self.typed(list(x) if isinstance(x, tuple | range) else x, a.dtype)
            for x, a in zip(sequences, arguments[count:])
        ]
        if not rows:
            rows = [o.value(np.zeros(loop.count, np.float32))]
        for argument, x in zip(arguments[count + len(sequences) :], invariants):
            self.values[argument] = self.typed(x, argument.dtype)
        scope, outer = o.scope, o.nodes
        o.nodes = []
        inputs = [
            self.argument(a, a.name or "element") for a in arguments[: count + len(sequences)]
        ]
        if not sequences:
            inputs.append(Value(o.named("element"), np.dtype(np.float32), ()))
        after, stacked = loop.body.returns
        results = [*after, *stacked]
        for s in _needed(loop.body, dict(enumerate(results))):
            self.step(s, s.name)
        o.scope = scope
        outputs = [
            self.output(x, o.named("next" if i < count else "row")) for i, x in enumerate(results)
        ]
        body = Graph(inputs, outputs, o.nodes)
        o.nodes = outer
        names = [o.named("last" if i < count else "rows") for i in range(len(results))]
        o.node("Scan", [*first, *rows], names, body=body, num_scan_inputs=len(rows))
        shapes = [v.shape if i < count else (loop.count, *v.shape) for i, v in enumerate(outputs)]
        return [Value(n, v.dtype, shape) for n, v, shape in zip(names, outputs, shapes)]


_IN_DOUBLE = " of float64, which onnxruntime computes in float32 alone,"


def refused(step: Step, why: str) -> Unprintable:
    hint = (
        "give it float32, as by model.astype(np.float32)"
        if why == _IN_DOUBLE
        else "compute it outside of the function that is saved"
    )
    return Unprintable(f"{refusal(step, f'{why}{place(step)}', 'ONNX')}: {hint}")


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


def _example(x: Any) -> Any:
    if not isinstance(x, Step):
        return x
    if x.is_constant:
        return x.constant
    is_whole = np.issubdtype(x.dtype, np.integer)  # as are places, which 0 is among
    return (np.zeros if is_whole else np.ones)(x.shape, x.dtype)[()]


def _attended(q: Any, k: Any, v: Any, *given: Any) -> Any:
    return softmax(attention.masked_scores(q, k, *given)) @ v


def _normalized(x: Any, w: Any, b: Any, eps: float) -> Any:
    standard, _ = normalization._standard(x, eps)
    return standard * normalization._channels(w) + normalization._channels(b)


def _moments(x: Any) -> Any:
    return np.mean(x, axis=(0, 2, 3)), np.var(x, axis=(0, 2, 3))


def further(step: Step, accepted: Sequence[str]) -> list[str]:
    """The arguments of a call that are not accepted, and are not as NumPy's default has them."""
    parameters = _parameters(step.function)
    placed = [name for name, p in parameters.items() if p.kind in _PLACED] or [*accepted]
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters.values()):
        placed = ["operands"] * len(step.args)
    found = ["further arguments"] * (len(step.args) > len(placed))
    for name, x in (dict(zip(placed, step.args)) | step.params).items():
        default = parameters[name].default if name in parameters else None
        is_default = x is np._NoValue or x is None or (type(x) is type(default) and x == default)
        if name not in accepted and not is_default:
            found.append(name)
    return found


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # of built-in functions, of which NumPy's have one since 2.4
        return {}


_PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _written_out(function: Callable[..., Any], count: int) -> Callable[[Printer, Step], Any]:
    return lambda printer, step: printer.written_out(step, function, count)


_REDUCED = "a axis dtype keepdims"
_LIKE = "a dtype order subok shape"
_ATTENTION = "q k v scale mask causal"

#: The arguments that a spelling reads, and how it prints a call. A call with others is refused. Those that
#: say how NumPy keeps the result in memory change no number.
# fmt: off
SPELLED: dict[Any, tuple[str, Callable[[Printer, Step], Any]]] = {
    np.matmul:            ("x1 x2 dtype",                    Printer.matmul),
    operator.matmul:      ("a b",                            Printer.matmul),
    np.dot:               ("a b",                            Printer.matmul),
    np.vdot:              ("a b",                            Printer.vdot),
    np.outer:             ("a b",                            Printer.outer),
    np.einsum:            ("operands dtype optimize",               Printer.einsum),
    np.mean:              (_REDUCED,                         Printer.mean),
    np.all:               ("a axis keepdims",                lambda p, s: p.quantified(s, True)),
    np.any:               ("a axis keepdims",                lambda p, s: p.quantified(s, False)),
    np.argmax:            ("a axis keepdims",                lambda p, s: p.arg("ArgMax")(s)),
    np.argmin:            ("a axis keepdims",                lambda p, s: p.arg("ArgMin")(s)),
    np.cumsum:            ("a axis dtype",                   Printer.cumulated),
    np.cumprod:           ("a axis dtype",                   Printer.cumulated),
    np.sort:              ("a axis kind stable",             Printer.sorted),
    np.argsort:           ("a axis kind stable",             Printer.sorted),
    np.reshape:           ("a shape newshape copy",                   Printer.reshaped),
    np.ravel:             ("a",                              Printer.reshaped),
    np.expand_dims:       ("a axis",                         Printer.reshaped),
    np.squeeze:           ("a axis",                         Printer.reshaped),
    np.copy:              ("a order subok",                  Printer.copied),
    np.array:             ("object dtype copy order subok",  Printer.copied),
    np.asarray:           ("a dtype order copy",             Printer.copied),
    np.positive:          ("x dtype",                        Printer.copied),
    calls.numbers:        ("array",                          Printer.copied),
    np.tril:              ("m k",                            Printer.triangle),
    np.triu:              ("m k",                            Printer.triangle),
    np.transpose:         ("a axes",                         Printer.transposed),
    np.matrix_transpose:  ("x",                              Printer.transposed),
    np.swapaxes:          ("a axis1 axis2",                  Printer.transposed),
    np.moveaxis:          ("a source destination",           Printer.transposed),
    np.broadcast_to:      ("array shape subok",              Printer.broadcast),
    np.concatenate:       ("arrays axis dtype casting",      Printer.concatenated),
    np.stack:             ("arrays axis dtype casting",      Printer.stacked),
    np.flip:              ("m axis",                         Printer.flipped),
    np.roll:              ("a shift axis",                   Printer.rolled),
    np.diagonal:          ("a axis1 axis2",                  Printer.diagonal),
    np.take:              ("a indices axis",                 Printer.taken_along),
    np.round:             ("a decimals",                     Printer.rounded),
    np.clip:              ("a a_min a_max min max",          Printer.clipped),
    np.nan_to_num:        ("x copy nan posinf neginf",       Printer.nan_to_num),
    np.ones_like:         (_LIKE,                            lambda p, s: p.filled(1)(s)),
    np.zeros_like:        (_LIKE,                            lambda p, s: p.filled(0)(s)),
    np.full_like:         (f"{_LIKE} fill_value",            Printer.filled_by),
    operator.getitem:     ("a b",                            Printer.item),
    float:                ("x",                              Printer.converted),
    int:                  ("x",                              Printer.converted),
    bool:                 ("x",                              Printer.converted),
    as_type:              ("x dtype",                        Printer.converted),
    surrounded:           ("x width",                        Printer.surrounded),
    _put:                 ("x v index",                      Printer.put),
    calls.put:            ("x index value",                  Printer.put),
    _scatter:             ("x index shape",                  Printer.scattered),
    calls.placed:         ("x index shape",                  Printer.scattered),
    calls.joined:         ("operands",                             Printer.joined),
    kernels.attended:            (_ATTENTION,                _written_out(_attended, 3)),
    kernels.attended_tangent:    (f"dq dk y {_ATTENTION}",   _written_out(attention._tangent, 6)),
    kernels.attended_cotangents: (f"g y {_ATTENTION}",       _written_out(attention._cotangents, 5)),
    norms.normalized:            ("x w b eps",               _written_out(_normalized, 3)),
    norms.normalized_cotangents: ("g x w eps",               _written_out(normalization._cotangents, 3)),
    norms.channel_moments:       ("x",                       _written_out(_moments, 1)),
}
# fmt: on
