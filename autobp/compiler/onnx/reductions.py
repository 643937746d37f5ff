"""Reductions: sums, extrema, questions, and what is in the order of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.compiler.onnx.graph import Graph, Value
from autobp.compiler.onnx.operands import Operands
from autobp.compiler.program import Step

__all__ = ["arg", "counted", "cumulated", "mean", "quantified", "reduced", "sorted_"]


def _over(p: Operands, step: Step, *more: str) -> tuple[Value, list[int], bool]:
    """What a step reduces, along which axes, and whether they stay. Of the arguments, `more` are read
    elsewhere."""
    ufunc = step.operation.reduces
    is_method = ufunc is not None and step.function == ufunc.reduce
    (axis,) = p.given(step, axis=0 if is_method else None)
    known = {"axis", "dtype", "keepdims", *more}
    params = {k: x for k, x in step.params.items() if x is not None and x is not np._NoValue}
    if len(step.args) > 2 or params.keys() - known:
        others = ", ".join(k for k in params if k not in known)
        raise NotImplementedError(f" with {others or 'further arguments'}")
    x: Value = p.value(step.args[0])
    axes = range(x.ndim) if axis is None else np.atleast_1d(axis).tolist()
    found = sorted(a % x.ndim for a in axes) if x.ndim else []
    return x, found, bool(params.get("keepdims", False))


def _reduced_shape(x: Value, axes: list[int], keepdims: bool) -> list[int]:
    return [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes]


def _along(p: Operands, step: Step, x: Value, axes: list[int]) -> tuple[Value, int]:
    """An array and its one axis: of one that is given none, the elements in a row."""
    (axis,) = p.given(step, axis=None)
    return (p.o.flat(x), 0) if axis is None or not axes else (x, axes[0])


def reduced(p: Operands, step: Step, op: str) -> Value:
    o = p.o
    x, axes, keepdims = _over(p, step, "initial")
    x = o.cast(x, np.int32 if step.dtype == bool else step.dtype)
    (initial,) = (None if i is np._NoValue else i for i in (step.params.get("initial"),))
    is_extreme = op in ("ReduceMax", "ReduceMin")
    if is_extreme and 0 in (x.shape[a] for a in axes):
        if initial is None:
            raise NotImplementedError(" of no elements")
        return o.expand(p.typed(initial, step.dtype), _reduced_shape(x, axes, keepdims))
    found = o.reduce(op, x, axes, keepdims)
    if is_extreme and axes and x.dtype.kind == "f":  # which pass nan over
        found = o.Where(_has_nan(p, x, axes, keepdims), o.full((), np.nan, x.dtype), found)
    if initial is not None:
        join = {"ReduceMax": o.Max, "ReduceMin": o.Min, "ReduceSum": o.Add, "ReduceProd": o.Mul}
        found = join[op](found, p.typed(initial, found.dtype))
    return o.cast(found, step.dtype)


def _has_nan(p: Operands, x: Value, axes: list[int], keepdims: bool) -> Value:
    o = p.o
    return o.cast(o.reduce("ReduceMax", o.cast(o.IsNaN(x), np.int32), axes, keepdims), bool)


def mean(p: Operands, step: Step) -> Value:
    x, axes, keepdims = _over(p, step)
    if 0 in (x.shape[a] for a in axes):
        return p.o.full(_reduced_shape(x, axes, keepdims), np.nan, step.dtype)
    return p.o.reduce("ReduceMean", p.o.cast(x, step.dtype), axes, keepdims)


def counted(p: Operands, step: Step) -> Value:
    x, axes, keepdims = _over(p, step)
    return p.o.reduce("ReduceSum", p.o.cast(p.o.cast(x, bool), np.int64), axes, keepdims)


def quantified(p: Operands, step: Step, all_: bool) -> Value:
    """all and any, of which of no elements one is true."""
    o = p.o
    x, axes, keepdims = _over(p, step)
    x = o.cast(x, bool)
    count = o.reduce("ReduceSum", o.cast(o.Not(x) if all_ else x, np.int64), axes, keepdims)
    return o.Equal(count, 0) if all_ else o.Greater(count, 0)


def arg(op: str) -> Callable[[Operands, Step], Value]:
    def printed(p: Operands, step: Step) -> Value:
        o = p.o
        x, axes, keepdims = _over(p, step)
        x, axis = _along(p, step, x, axes)
        shape = _reduced_shape(x, [axis], keepdims)

        def place(op: str, x: Value) -> Value:
            return o.emit(op, [x], np.int64, shape, axis=axis, keepdims=int(keepdims))

        found = place(op, o.cast(x, np.uint8) if x.dtype == bool else x)
        if x.dtype.kind == "f":  # the first nan
            nan = place("ArgMax", o.cast(o.IsNaN(x), np.int32))
            found = o.Where(_has_nan(p, x, [axis], keepdims), nan, found)
        return found

    return printed


def sorted_(p: Operands, step: Step) -> Value:
    """The places of numbers in order, or the numbers."""
    o = p.o
    x, (axis,) = p.value(step.args[0]), p.given(step, axis=-1)
    if axis is None:
        x, axis = o.flat(x), 0
    axis %= x.ndim
    dtype = x.dtype
    if dtype.kind in "iub":
        if dtype == np.uint64:
            raise NotImplementedError(" of uint64")
        x = o.cast(x, np.int64)
    names = [o.named("sorted"), o.named("places")]
    k = o.ints([x.shape[axis]])
    o.node("TopK", [x, k], names, axis=axis, largest=0, sorted=1)
    if step.function is np.argsort:
        return Value(names[1], np.dtype(np.int64), x.shape)
    return o.cast(Value(names[0], x.dtype, x.shape), dtype)


def cumulated(p: Operands, step: Step) -> Value:
    o = p.o
    x, axes, _ = _over(p, step)
    x, axis = _along(p, step, o.cast(x, step.dtype), axes)
    if step.function is np.cumsum:
        return o.emit("CumSum", [x, np.array(axis, np.int64)], x.dtype, x.shape)
    return _products(p, x, axis) if x.size else x  # over nothing onnxruntime has no Scan


def _products(p: Operands, x: Value, axis: int) -> Value:
    o = p.o
    row = tuple(n for i, n in enumerate(x.shape) if i != axis)
    carry, element = (Value(o.named(name), x.dtype, row) for name in ("carry", "element"))
    outer, o.nodes = o.nodes, []
    product = o.Mul(carry, element)
    copy = o.emit("Identity", [product], x.dtype, row)
    body = Graph([carry, element], [product, copy], o.nodes)
    o.nodes = outer
    last, found = o.named("last"), o.named("products")
    how: dict[str, Any] = {"num_scan_inputs": 1, "scan_input_axes": [axis]}
    how["scan_output_axes"] = [axis]
    o.node("Scan", [o.full(row, 1, x.dtype), x], [last, found], body=body, **how)
    return Value(found, x.dtype, x.shape)
