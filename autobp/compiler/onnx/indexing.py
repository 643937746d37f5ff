"""Indexing: elements that are taken out, and put back.

An index has plain parts (numbers, slices), each of which is a cut along its axis, and arrays, which
name places on several axes at once. To put elements back is to go the same way backwards: axes are
widened by zeros, and places are written by ScatterND.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.compiler.onnx.graph import Builder, Value

__all__ = ["Index", "placed", "taken"]


@dataclass
class Index:
    """An index of an array of some shape, taken apart. What None adds is an axis of the array first."""

    shape: tuple[int, ...]  # with the axes that None adds
    added: list[int]  # these
    cuts: dict[int, tuple[int, int, int]]  # of axes of the array, slices that leave something out
    numbers: list[int]  # axes that a number removes
    arrays: dict[int, Value]  # by the axes that they name, after the cuts
    is_apart: bool  # whether something is between the arrays: then their axes come first

    @classmethod
    def of(cls, index: Any, shape: tuple[int, ...], value: Any) -> Index:
        parts = _parts(index, len(shape), value)
        added = [i for i, p in enumerate(parts) if p is None]
        rest = iter(shape)
        found = cls(tuple(1 if p is None else next(rest) for p in parts), added, {}, [], {}, False)
        has_arrays = any(isinstance(p, Value) and not _is_number(p) for p in parts)
        for axis, p in enumerate(parts):
            if p is None:
                continue
            if isinstance(p, slice):
                ends = p.indices(found.shape[axis])
                if ends != (0, found.shape[axis], 1):
                    found.cuts[axis] = ends
            elif has_arrays:  # then numbers are arrays too
                found.arrays[axis] = p if isinstance(p, Value) else value(p)
            else:
                k = int(p.constant if isinstance(p, Value) else p)
                k += found.shape[axis] * (k < 0)
                found.cuts[axis] = k, k + 1, 1
                found.numbers.append(axis)
        places = [*found.arrays]
        found.is_apart = bool(places) and places != [*range(places[0], places[-1] + 1)]
        return found

    def order(self) -> list[int]:
        """The axes with those that arrays name in front."""
        return [*self.arrays, *(i for i in range(len(self.shape)) if i not in self.arrays)]

    def back(self, ndim: int) -> list[int]:
        """From the axes of the arrays in front to where the result has them."""
        rest = len(self.shape) - len(self.arrays)
        first = 0 if self.is_apart else min(self.arrays)
        order = list(range(ndim, ndim + rest))
        order[first:first] = range(ndim)
        return order

    def places(self, o: Builder) -> Value:
        """The arrays as one, a row for each place, as GatherND takes it."""
        arrays = [o.cast(a, np.int64) for a in self.arrays.values()]
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        if len(arrays) == 1:
            return o.unsqueeze(arrays[0], [len(shape)])
        parts = []
        for a in arrays:
            a = a if a.shape == shape else o.expand(a, shape)
            parts.append(o.unsqueeze(a, [len(shape)]))
        return o.concat(parts, len(shape))


def _parts(index: Any, ndim: int, value: Any) -> list[Any]:
    """A part for each axis, and None for each that is added. A mask is the places where it is true."""
    parts: list[Any] = []
    for p in index if isinstance(index, tuple) else [index]:
        if isinstance(p, bool | np.bool):
            raise NotImplementedError(" at a single truth value")
        p = value(p) if hasattr(p, "shape") or isinstance(p, list) else p
        if not isinstance(p, Value) or p.dtype != bool:
            parts.append(p)
        elif p.constant is None or not p.ndim:
            raise NotImplementedError(" at truth values that are computed")
        else:
            parts += map(value, np.nonzero(p.constant))
    rest = [slice(None)] * (ndim - sum(p is not None and p is not Ellipsis for p in parts))
    at = next((i for i, p in enumerate(parts) if p is Ellipsis), len(parts))
    parts[at : at + 1] = rest
    return parts


def _is_number(p: Value) -> bool:
    return not p.shape and p.constant is not None


def taken(o: Builder, x: Value, index: Index) -> Value:
    """x[index]."""
    x = o.slice(o.unsqueeze(x, index.added), index.cuts)
    if len(index.arrays) == 1:
        ((axis, at),) = index.arrays.items()
        shape = (*x.shape[:axis], *at.shape, *x.shape[axis + 1 :])
        return o.emit("Gather", [x, o.cast(at, np.int64)], x.dtype, shape, axis=axis)
    if index.arrays:
        at = index.places(o)
        k = len(index.arrays)
        x = o.transpose(x, index.order())
        shape = (*at.shape[:-1], *x.shape[k:])
        x = o.emit("GatherND", [x, at], x.dtype, shape)
        return o.transpose(x, index.back(at.ndim - 1))
    return o.squeeze(x, index.numbers)


def placed(o: Builder, x: Value, index: Index, adds: bool) -> Value:
    """Zeros with x at the index; where that names a place twice, the sum."""
    if index.arrays:
        at = index.places(o)
        back = index.back(at.ndim - 1)
        order = index.order()
        inner = [len(range(*index.cuts.get(i, (0, n, 1)))) for i, n in enumerate(index.shape)]
        zeros = o.full([inner[i] for i in order], 0, x.dtype)
        shape = [*at.shape[:-1], *zeros.shape[len(index.arrays) :]]
        x = o.expand(x, [shape[i] for i in back])
        x = o.transpose(x, list(np.argsort(back)))
        how = {"reduction": "add"} if adds else {}
        x = o.emit("ScatterND", [zeros, at, x], x.dtype, zeros.shape, **how)
        x = o.transpose(x, list(np.argsort(order)))
    else:
        x = o.unsqueeze(x, index.numbers)
    return o.squeeze(_widened(o, x, index), index.added)


def _widened(o: Builder, x: Value, index: Index) -> Value:
    """The axes as long as they were before they were cut."""
    before, after = [0] * x.ndim, [0] * x.ndim
    for axis, (start, stop, step) in index.cuts.items():
        n = len(range(start, stop, step))
        if not n:
            return o.full(index.shape, 0, x.dtype)
        if step < 0:
            x = o.slice(x, {axis: (n - 1, -1, -1)})
            start, step = start + (n - 1) * step, -step
        if step > 1:  # zeros between the elements
            x = _spread(o, x, axis, step)
        before[axis] = start
        after[axis] = index.shape[axis] - start - x.shape[axis]
    return o.pad(x, before, after)


def _spread(o: Builder, x: Value, axis: int, step: int) -> Value:
    """Each element with zeros behind it."""
    shape = list(x.shape)
    shape[axis] *= step
    x = o.unsqueeze(x, [axis + 1])
    none = [0] * x.ndim
    after = list(none)
    after[axis + 1] = step - 1
    return o.reshape(o.pad(x, none, after), shape)
