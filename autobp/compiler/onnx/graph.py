"""Graph: nodes of ONNX as plain data, and the builder that adds them.

Constants stand in the inputs of nodes as arrays, so that graphs of one program, printed for several
sizes of a batch, can be compared node by node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autobp.primitive import Shaped

__all__ = ["COMPARISONS", "Builder", "Graph", "Node", "Value"]


@dataclass(frozen=True, eq=False)
class Value(Shaped):
    """The output of a node, an input of the graph, or a constant."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    constant: Any = None  # the array

    @property
    def is_double(self) -> bool:
        return self.dtype == np.float64


@dataclass
class Node:
    op: str
    inputs: list[Any]  # names, arrays, "" for none
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)  # a Graph is a body
    name: str = ""


@dataclass
class Graph:
    inputs: list[Value]
    outputs: list[Value]
    nodes: list[Node]
    #: Of a body, where they vary.
    sizes: dict[str, tuple[int | str, ...]] = field(default_factory=dict)

    def every_node(self) -> Iterator[Node]:
        """The nodes, and those of bodies."""
        for node in self.nodes:
            yield node
            for x in node.attributes.values():
                if isinstance(x, Graph):
                    yield from x.every_node()

    def names(self) -> set[str]:
        """Those of all values."""
        values = [*self.inputs, *self.outputs]
        found = {v.name for v in values}
        for node in self.nodes:
            found.update(node.outputs)
            for x in node.attributes.values():
                if isinstance(x, Graph):
                    found |= x.names()
        return found


COMPARISONS = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}
_TRUTHS = COMPARISONS | {"And", "Or", "Xor", "Not", "IsNaN", "IsInf"}

#: What onnxruntime computes in int32, int64 and floats alone, and the other whole numbers.
_LONG = {"Where", "Max", "Min", "Mod", "Pow", "MatMul", "Einsum", "CumSum", "Trilu"}
_LONG |= {"ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin", "ArgMax", "ArgMin"}
_SHORT = frozenset(map(np.dtype, ("i1", "i2", "u1", "u2", "u4")))


class Builder:
    """Adds nodes to a graph. `o.Tanh(x)` is an elementwise node; numbers beside a value are constants
    of its type.

    >>> import numpy as np
    >>> o = Builder()
    >>> o.Mul(o.Tanh(Value("x", np.dtype(np.float32), (3,))), 2.0)
    Value(name='t1', dtype=dtype('float32'), shape=(3,), constant=None)
    >>> [(node.op, node.inputs[0]) for node in o.nodes]
    [('Tanh', 'x'), ('Mul', 't0')]
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.scope = ""  # of the nodes that are added
        self.taken: set[str] = set()  # names of values
        self.counts: dict[str, int] = {}  # of nodes, by the names that they begin with

    def __getattr__(self, op: str) -> Callable[..., Value]:
        if not op[:1].isupper():
            raise AttributeError(op)
        return lambda *args, **attributes: self.elementwise(op, *args, **attributes)

    # ── names ─────────────────────────────────────────────────────────────────────────────────────

    def named(self, name: str) -> str:
        """A name that no other value has."""
        chosen, k = name, 1
        while chosen in self.taken:
            chosen, k = f"{name}_{k}", k + 1
        self.taken.add(chosen)
        return chosen

    def _numbered(self) -> str:
        k = self.counts.get("", 0)
        while f"t{k}" in self.taken:
            k += 1
        self.counts[""] = k + 1
        self.taken.add(f"t{k}")
        return f"t{k}"

    def rename(self, value: Value, name: str) -> Value:
        """The same value under another name, if the last node has made it."""
        if not self.nodes or self.nodes[-1].outputs != [value.name]:
            return value
        self.nodes[-1].outputs = [self.named(name)]
        return replace(value, name=self.nodes[-1].outputs[0])

    # ── nodes ─────────────────────────────────────────────────────────────────────────────────────

    def node(self, op: str, inputs: Sequence[Any], outputs: list[str], **attributes: Any) -> None:
        prefix = f"{self.scope}/{op}" if self.scope else op
        k = self.counts[prefix] = self.counts.get(prefix, 0) + 1
        given = [
            x if isinstance(x, str) else x.name if x.constant is None else x.constant
            for x in map(self.value, inputs)
        ]
        self.nodes.append(
            Node(op, given, outputs, attributes, prefix if k == 1 else f"{prefix}_{k}")
        )

    def emit(
        self, op: str, inputs: Sequence[Any], dtype: Any, shape: Sequence[int], **attributes: Any
    ) -> Value:
        """A node with one output, of which the type and the shape are known. What onnxruntime computes in
        no short whole numbers is computed in long ones, of which the result is a part."""
        if op == "Where" and np.dtype(dtype) == bool:  # onnxruntime chooses among no truth values
            condition, *chosen = inputs
            numbers = [self.cast(x, np.uint8) for x in chosen]
            return self.cast(self.emit(op, [condition, *numbers], np.uint8, shape), dtype)
        if op in _LONG:
            dtypes = {x.dtype for x in inputs if isinstance(x, Value)}
            if np.dtype(np.uint64) in dtypes and op not in ("Max", "Min"):
                raise NotImplementedError(" of uint64")
            if dtypes & _SHORT:
                long = [
                    self.cast(x, np.int64) if isinstance(x, Value) and x.dtype in _SHORT else x
                    for x in inputs
                ]
                to = np.int64 if np.dtype(dtype) in _SHORT else dtype
                return self.cast(self.emit(op, long, to, shape, **attributes), dtype)
        name = self._numbered()
        self.node(op, inputs, [name], **attributes)
        return Value(name, np.dtype(dtype), tuple(shape))

    def value(self, x: Any) -> Any:
        """An operand: a value, the name of one, or the array of a constant."""
        if isinstance(x, Value | str):
            return x
        array = np.asarray(x)
        return Value("", array.dtype, array.shape, array)

    def ints(self, numbers: Sequence[int]) -> np.ndarray:
        """Whole numbers as ONNX takes shapes, axes and places."""
        return np.array(numbers, np.int64).reshape(len(numbers))

    def elementwise(self, op: str, *args: Any, **attributes: Any) -> Value:
        chosen = args[1:] if op == "Where" else args  # not the condition
        dtype = next(x.dtype for x in chosen if isinstance(x, Value))
        given = [x if isinstance(x, Value) else self.value(np.array(x, dtype)) for x in args]
        shape = np.broadcast_shapes(*(x.shape for x in given))
        return self.emit(op, given, np.bool_ if op in _TRUTHS else dtype, shape, **attributes)

    def cast(self, x: Any, dtype: Any) -> Value:
        value: Value = self.value(x)
        dtype = np.dtype(dtype)
        if value.dtype == dtype:
            return value
        if value.constant is not None:
            return self.value(value.constant.astype(dtype))
        return self.emit("Cast", [value], dtype, value.shape, to=dtype)

    def wrapped(self, x: Value, dtype: Any) -> Value:
        """Whole numbers of a short type. Those that do not fit wrap around: a cast alone would be fused with
        the one from floats before it, which has other rules."""
        x, dtype = self.cast(x, np.int64), np.dtype(dtype)
        if dtype.itemsize == 8:
            return self.cast(x, dtype)
        bits = 8 * dtype.itemsize
        half = 1 << (bits - 1) if dtype.kind == "i" else 0
        low = self.BitwiseAnd(self.Add(x, half) if half else x, (1 << bits) - 1)
        return self.cast(self.Sub(low, half) if half else low, dtype)

    # ── shapes ────────────────────────────────────────────────────────────────────────────────────

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        allowzero = {"allowzero": 1} if 0 in shape else {}
        return self.emit("Reshape", [x, self.ints(shape)], x.dtype, shape, **allowzero)

    def flat(self, x: Value) -> Value:
        return self.reshape(x, [x.size])

    def expand(self, x: Value, shape: Sequence[int]) -> Value:
        if x.shape == tuple(shape):
            return x
        return self.emit("Expand", [x, self.ints(shape)], x.dtype, shape)

    def full(self, shape: Sequence[int], value: Any, dtype: Any) -> Value:
        return self.value(np.full(tuple(shape), value, dtype))

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        if list(order) == list(range(x.ndim)):
            return x
        return self.emit("Transpose", [x], x.dtype, [x.shape[i] for i in order], perm=list(order))

    def unsqueeze(self, x: Value, axes: Sequence[int]) -> Value:
        """Axes of length 1 at these places of the result."""
        if not axes:
            return x
        rest = iter(x.shape)
        shape = [1 if i in axes else next(rest) for i in range(x.ndim + len(axes))]
        return self.emit("Unsqueeze", [x, self.ints(axes)], x.dtype, shape)

    def squeeze(self, x: Value, axes: Sequence[int]) -> Value:
        if not axes:
            return x
        shape = [n for i, n in enumerate(x.shape) if i not in axes]
        return self.emit("Squeeze", [x, self.ints(axes)], x.dtype, shape)

    def slice(self, x: Value, parts: dict[int, tuple[int, int, int]]) -> Value:
        """Of each axis that is named: the first place, the one after the last, and the step; a step
        down ends at −1 before the first."""
        if not parts:
            return x
        shape = list(x.shape)
        for axis, (start, stop, step) in parts.items():
            shape[axis] = len(range(start, stop, step))
        starts, ends, steps = zip(*parts.values())
        stops = [-(1 << 40) if step < 0 and stop < 0 else stop for stop, step in zip(ends, steps)]
        inputs = [x, *map(self.ints, (starts, stops, list(parts), steps))]
        return self.emit("Slice", inputs, x.dtype, shape)

    def pad(self, x: Value, before: Sequence[int], after: Sequence[int]) -> Value:
        """In zeros; where the widths are negative, cut."""
        if not (any(before) or any(after)):
            return x
        shape = [b + n + a for b, n, a in zip(before, x.shape, after)]
        return self.emit("Pad", [x, self.ints([*before, *after])], x.dtype, shape)

    def concat(self, parts: Sequence[Value], axis: int) -> Value:
        shape = list(parts[0].shape)
        shape[axis] = sum(x.shape[axis] for x in parts)
        return self.emit("Concat", parts, parts[0].dtype, shape, axis=axis)

    def reduce(self, op: str, x: Value, axes: Sequence[int], keepdims: bool = False) -> Value:
        if not axes:
            return x
        shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes]
        return self.emit(op, [x, self.ints(axes)], x.dtype, shape, keepdims=int(keepdims))
