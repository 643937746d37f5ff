"""Movement: elements that are taken, put and arranged in other ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.compiler.onnx.graph import Value
from autobp.compiler.onnx.indexing import Index, placed, taken
from autobp.compiler.onnx.operands import Operands
from autobp.compiler.program import Step, mapped
from autobp.compiler.trace import calls
from autobp.rules.indexing import _scatter

__all__ = [
    "broadcast", "concatenated", "converted", "copied", "diagonal", "filled",
    "filled_by", "flipped", "item", "joined", "put", "reshaped", "rolled",
    "scattered", "stacked", "surrounded", "taken_along", "transposed", "triangle",
]  # fmt: skip


# ── shapes ────────────────────────────────────────────────────────────────────────────────────────


def copied(p: Operands, step: Step) -> Value:
    found: Value = p.value(step.args[0])
    return found


def converted(p: Operands, step: Step) -> Value:
    return p.typed(step.args[0], step.dtype)


def reshaped(p: Operands, step: Step) -> Value:
    return p.o.reshape(p.value(step.args[0]), step.shape)


def broadcast(p: Operands, step: Step) -> Value:
    return p.o.expand(p.value(step.args[0]), step.shape)


def transposed(p: Operands, step: Step) -> Value:
    """By an array of the numbers of the axes, on which the function itself acts."""
    x = p.value(step.args[0])
    axes = np.empty([2 + i for i in range(x.ndim)], bool)  # each of another length
    moved = step.function(axes, *step.args[1:], **step.params)  # type: ignore[misc]
    return p.o.transpose(x, [n - 2 for n in moved.shape])


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────


def _arrays(p: Operands, step: Step) -> list[Value]:
    return [p.typed(x, step.dtype) for x in step.args[0]]


def concatenated(p: Operands, step: Step) -> Value:
    parts, (axis,) = _arrays(p, step), p.given(step, axis=0)
    if axis is None:
        parts, axis = [p.o.flat(x) for x in parts], 0
    return p.o.concat(parts, axis % max(1, step.ndim))


def stacked(p: Operands, step: Step) -> Value:
    axis = p.given(step, axis=0)[0] % step.ndim
    return p.o.concat([p.o.unsqueeze(x, [axis]) for x in _arrays(p, step)], axis)


def joined(p: Operands, step: Step) -> Value:
    parts = []
    for part in step.args:
        if isinstance(part, tuple | list):
            parts += [p.o.reshape(p.typed(x, step.dtype), [1]) for x in part]
        else:
            parts.append(p.value(part))
    return p.o.concat(parts, 0)


def flipped(p: Operands, step: Step) -> Value:
    x, (axis,) = p.value(step.args[0]), p.given(step, axis=None)
    axes = range(x.ndim) if axis is None else [a % x.ndim for a in np.atleast_1d(axis).tolist()]
    return p.o.slice(x, {a: (x.shape[a] - 1, -1, -1) for a in axes if x.shape[a]})


def rolled(p: Operands, step: Step) -> Value:
    o = p.o
    x, (shift, axis) = p.value(step.args[0]), p.given(step, shift=None, axis=None)
    rows = o.flat(x) if axis is None else x
    pairs = np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(axis or 0))
    for k, a in zip(*(a.tolist() for a in pairs)):
        a %= rows.ndim
        n = rows.shape[a]
        if n and k % n:
            parts = ((n - k % n, n, 1), (0, n - k % n, 1))
            rows = o.concat([o.slice(rows, {a: part}) for part in parts], a)
    return o.reshape(rows, x.shape) if axis is None else rows


def surrounded(p: Operands, step: Step) -> Value:
    (width,) = p.given(step, width=())
    return p.o.pad(p.value(step.args[0]), *zip(*width)) if width else copied(p, step)


# ── matrices ──────────────────────────────────────────────────────────────────────────────────────


def triangle(p: Operands, step: Step) -> Value:
    x, (k,) = p.value(step.args[0]), p.given(step, k=0)
    upper = int(step.function is np.triu)
    dtype = x.dtype
    x = p.o.cast(x, np.float32) if dtype.kind == "b" else x
    found = p.o.emit("Trilu", [x, np.array(k, np.int64)], x.dtype, x.shape, upper=upper)
    return p.o.cast(found, dtype)


def diagonal(p: Operands, step: Step) -> Value:
    x, (k, *axes) = p.value(step.args[0]), p.given(step, offset=0, axis1=0, axis2=1)
    first, second = (a % x.ndim for a in axes)
    rest = [i for i in range(x.ndim) if i not in (first, second)]
    x = p.o.transpose(x, [first, second, *rest])
    at = np.arange(step.shape[-1])
    index = Index.of((at + max(0, -k), at + max(0, k)), x.shape, p.value)
    return p.o.transpose(taken(p.o, x, index), [*range(1, x.ndim - 1), 0])


# ── elements ──────────────────────────────────────────────────────────────────────────────────────


def item(p: Operands, step: Step) -> Value:
    x = p.value(step.args[0])
    return taken(p.o, x, Index.of(step.args[1], x.shape, p.value))


def taken_along(p: Operands, step: Step) -> Value:
    """The elements at some places of one axis."""
    indices = step.args[1] if len(step.args) > 1 else step.params["indices"]
    axis = step.params.get("axis", *step.args[2:3] or [None])
    x = p.value(step.args[0])
    if axis is None:
        x, axis = p.o.flat(x), 0
    index = (*[slice(None)] * (axis % x.ndim), indices)
    return taken(p.o, x, Index.of(index, x.shape, p.value))


def scattered(p: Operands, step: Step) -> Value:
    index, shape = (*step.args[1:], *step.params.values())
    where, adds = Index.of(index, tuple(shape), p.value), step.function is _scatter
    return placed(p.o, p.value(step.args[0]), where, adds)


def put(p: Operands, step: Step) -> Value:
    """The new elements where an array of ones, put at the same places, is not 0."""
    o = p.o
    x, v, index = (*step.args, *step.params.values())
    if step.function is calls.put:
        x, index, v = step.args
    x, v = p.value(x), o.cast(p.value(v), p.value(x).dtype)
    if isinstance(index, Step) and index.dtype == bool and not index.is_constant:
        return _put_by_mask(p, x, v, p.value(index))
    where = Index.of(index, x.shape, p.value)
    arrays = [a.constant for a in where.arrays.values()]
    if any(a is None for a in arrays):
        raise NotImplementedError(" at an index that is computed")
    if arrays and _repeats(arrays):
        raise NotImplementedError(" at an index that names a place twice")
    shape = np.broadcast_to(0.0, x.shape)[mapped(lambda s: s.constant, index)].shape
    new = placed(o, o.expand(v, shape), where, False)
    ones = placed(o, o.expand(o.full((), 1, np.float32), shape), where, False)
    return o.Where(o.Greater(ones, 0), new, x)


def _repeats(arrays: list[Any]) -> bool:
    places = [*zip(*(a.ravel().tolist() for a in np.broadcast_arrays(*arrays)))]
    return len({*places}) < len(places)


def _put_by_mask(p: Operands, x: Value, v: Value, mask: Value) -> Value:
    """What is the same for all places that a mask names, or a row for each of them that is one."""
    inner = x.shape[mask.ndim :]
    if v.ndim > len(inner) or mask.shape != x.shape[: mask.ndim]:
        raise NotImplementedError(" of elements that truth values name, which are computed,")
    mask = p.o.unsqueeze(mask, [*range(mask.ndim, x.ndim)])
    return p.o.Where(mask, v, x)


# ── one number everywhere ─────────────────────────────────────────────────────────────────────────


def filled(value: float) -> Callable[[Operands, Step], Value]:
    return lambda p, step: p.o.full(step.shape, value, step.dtype)


def filled_by(p: Operands, step: Step) -> Value:
    value = step.args[1] if len(step.args) > 1 else step.params["fill_value"]
    return p.o.expand(p.typed(value, step.dtype), step.shape)
