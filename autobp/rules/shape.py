"""Operations that move elements about without changing them: all of them linear."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from autobp.arrays import is_foreign, plain_array
from autobp.operation import MOVE
from autobp.primitive import Array, Primitive, Together, Variable, constant, implements, linear
from autobp.rules import batching, patterns

Axis = int | tuple[int, ...] | None


def _inverse(axes: Sequence[int] | None) -> Any:
    return None if axes is None else tuple(np.argsort([a % len(axes) for a in axes]))


def _parts(g: Array, xs: Sequence[Array], axis: int) -> Iterator[Array]:
    """The pieces of a concatenation."""
    before, start = (slice(None),) * (axis % g.ndim), 0
    for x in xs:
        stop = start + x.shape[axis]
        yield g[(*before, slice(start, stop))]
        start = stop


def _layers(g: Array, axis: int) -> Iterator[Array]:
    """What was stacked."""
    before = (slice(None),) * (axis % g.ndim)
    return (g[(*before, i)] for i in range(g.shape[axis]))


def surrounded(x: Array, width: Sequence[tuple[int, int]]) -> Array:
    """An array in zeros. Its axes keep their order in memory, which np.pad forgets."""
    if is_foreign(x):  # whose slices may be copies
        return np.pad(x, width)
    lengths = [n + sum(around) for n, around in zip(x.shape, width, strict=True)]
    padded = np.zeros_like(x, shape=lengths)
    _inside(padded, x, width)[...] = x
    return padded


def _inside(g: Array, x: Array, width: Sequence[tuple[int, int]]) -> Array:
    return g[
        tuple(slice(before, before + n) for (before, _), n in zip(width, x.shape, strict=True))
    ]


_pad_plain: Any = np.pad

# fmt: off
reshape_:      Primitive = linear(lambda x, shape: np.reshape(x, shape),
                                  lambda g, y, x, shape: np.reshape(g, x.shape),               name="reshape",       numpy=np.reshape,      moves=True, batch=batching.reshaped)
transpose_:    Primitive = linear(lambda x, axes: np.transpose(x, axes),
                                  lambda g, y, x, axes: np.transpose(g, _inverse(axes)),       name="transpose",     numpy=np.transpose,    moves=True, batch=batching.transposed)
flip_:         Primitive = linear(lambda x, axis: np.flip(x, axis),
                                  lambda g, y, x, axis: np.flip(g, axis),                      name="flip",          numpy=np.flip,         moves=True, batch=batching.along_axis)
roll_:         Primitive = linear(lambda x, shift, axis: np.roll(x, shift, axis),
                                  lambda g, y, x, shift, axis: np.roll(g, _back(shift), axis), name="roll",          numpy=np.roll,         moves=True, batch=batching.rolled)
broadcast_to_: Primitive = linear(lambda x, shape: np.broadcast_to(x, shape),
                                  lambda g, y, x, shape: g,                                    name="broadcast_to",  numpy=np.broadcast_to, moves=True, batch=batching.broadcast)
concatenate_:  Primitive = linear(lambda *xs, axis: np.concatenate(xs, axis=axis),
                                  Together(lambda g, y, *xs, axis: _parts(g, xs, axis)),       name="concatenate",                          moves=True, batch=batching.joined)
stack_:        Primitive = linear(lambda *xs, axis: np.stack(xs, axis=axis),
                                  Together(lambda g, y, *xs, axis: _layers(g, axis)),          name="stack",                                moves=True, batch=batching.stacked)
pad_:          Primitive = linear(surrounded,
                                  lambda g, y, x, width: _inside(g, x, width),                 name="pad",           cost=MOVE, fresh=True, opaque=True, pixels="kept", batch=batching.padded, pattern=patterns.moved)
# fmt: on


def _back(shift: int | tuple[int, ...]) -> int | tuple[int, ...]:
    return tuple(-s for s in shift) if isinstance(shift, tuple) else -shift


# ── the forms in which NumPy takes them ───────────────────────────────────────────────────────────


def axis_of(axis: Any, ndim: int) -> int:
    """An axis, counted from the front."""
    a = operator.index(axis)
    if not -ndim <= a < ndim:
        raise np.exceptions.AxisError(a, ndim)
    return a % ndim


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes, as a tuple, that a reduction goes over."""
    return tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)


def along(a: Array, axis: int | None) -> tuple[Array, int]:
    """What to go along and its axis: without one, all elements in a row. A number is a row of one."""
    return (np.ravel(a), axis or 0) if axis is None or not a.ndim else (a, axis)


def _order(order: str, name: str) -> None:
    if order not in ("C", "F"):
        raise TypeError(f"{name} of a Tensor takes order='C' or order='F', not {order!r}")


@implements(np.reshape)
def reshape(a: Array, /, shape: Any, order: str = "C") -> Array:
    _order(order, "reshape")
    shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if order == "F":
        return transpose(reshape_(transpose(a), shape=shape[::-1]))
    return reshape_(a, shape=shape)


@implements(np.ravel)
def ravel(a: Array, order: str = "C") -> Array:
    return reshape(a, -1, order)


@implements(np.transpose, np.permute_dims)
def transpose(a: Array, axes: Any = None) -> Array:
    if isinstance(axes, int | np.integer):  # which NumPy takes for a sequence of one
        axes = (axes,)
    return transpose_(a, axes=None if axes is None else tuple(axes))


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Array, /) -> Array:
    return swapaxes(x, -1, -2)


@implements(np.swapaxes)
def swapaxes(a: Array, axis1: int, axis2: int) -> Array:
    axes = list(range(a.ndim))
    i, j = axis_of(axis1, a.ndim), axis_of(axis2, a.ndim)
    axes[i], axes[j] = axes[j], axes[i]
    return transpose_(a, axes=tuple(axes))


@implements(np.moveaxis)
def moveaxis(a: Array, source: Any, destination: Any) -> Array:
    source, destination = (list(s) if np.iterable(s) else [s] for s in (source, destination))
    sources = [axis_of(s, a.ndim) for s in source]
    targets = [axis_of(d, a.ndim) for d in destination]
    order = [i for i in range(a.ndim) if i not in sources]
    for target, s in sorted(zip(targets, sources, strict=True)):
        order.insert(target, s)
    return transpose_(a, axes=tuple(order))


@implements(np.rollaxis)
def rollaxis(a: Array, axis: int, start: int = 0) -> Array:
    axis = axis_of(axis, a.ndim)
    start = start + a.ndim if start < 0 else start
    return moveaxis(a, axis, start - 1 if axis < start else start)


@implements(np.squeeze)
def squeeze(a: Array, axis: Any = None) -> Array:
    return reshape_(a, shape=np.squeeze(np.broadcast_to(0.0, a.shape), axis).shape)


@implements(np.expand_dims)
def expand_dims(a: Array, axis: Any) -> Array:
    if type(axis) is int:  # as nearly always
        shape, i = a.shape, axis_of(axis, a.ndim + 1)
        return reshape_(a, shape=(*shape[:i], 1, *shape[i:]))
    shape = list(a.shape)
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    for i in sorted(normalize_axis_tuple(axes, a.ndim + len(axes))):
        shape.insert(i, 1)
    return reshape_(a, shape=tuple(shape))


def _at_least(function: Any) -> Any:
    def at_least(*arrays: Array) -> Any:
        results = tuple(
            reshape_(a, shape=function(np.broadcast_to(0.0, np.shape(a))).shape) for a in arrays
        )
        return results[0] if len(results) == 1 else results

    return implements(function)(at_least)


atleast_1d: Any = _at_least(np.atleast_1d)
atleast_2d: Any = _at_least(np.atleast_2d)
atleast_3d: Any = _at_least(np.atleast_3d)


@implements(np.broadcast_to)
def broadcast_to(array: Array, shape: Any, subok: bool = False) -> Array:
    return broadcast_to_(array, shape=tuple(shape) if np.iterable(shape) else (shape,))


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Array, subok: bool = False) -> tuple[Array, ...]:
    shape = np.broadcast_shapes(*map(np.shape, args))
    return tuple(broadcast_to_(a, shape=shape) for a in args)


@implements(np.concatenate, np.concat)
def concatenate(arrays: Sequence[Array], /, axis: int | None = 0) -> Array:
    if axis is None:
        arrays, axis = [np.ravel(a) for a in arrays], 0
    return concatenate_(*arrays, axis=axis)


@implements(np.stack)
def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    parts: list[Any] = [a if isinstance(a, Variable) else plain_array(a) for a in arrays]
    shapes = {a.shape for a in parts}
    if len(shapes) > 1:
        raise ValueError(
            f"stack: all shapes must be the same, got {_few([a.shape for a in parts])}"
        )
    axis_of(axis, len(shapes.pop()) + 1)
    return stack_(*parts, axis=axis)


def _few(shapes: list[Any]) -> str:
    return str(shapes) if len(shapes) <= 20 else f"{len(set(shapes))} different shapes"


def _stacker(function: Any, prepare: Any, axis: Any, of: int = 0, along: int | None = None) -> Any:
    """Arrays `of` so many axes and of one shape are stacked `along` an axis, if one is given."""

    def stacker(tup: Sequence[Array]) -> Array:
        shapes = {a.shape if hasattr(a, "shape") else np.shape(a) for a in tup}
        if along is not None and len(shapes) == 1 and len(next(iter(shapes))) == of:
            return stack(tup, along)
        arrays = [prepare(a) for a in tup]
        return concatenate_(*arrays, axis=axis(arrays))

    return implements(function)(stacker)


def _column(a: Array) -> Array:
    return a if np.ndim(a) > 1 else np.transpose(np.atleast_2d(a))


vstack: Any = _stacker(np.vstack, np.atleast_2d, lambda arrays: 0, of=1, along=0)
hstack: Any = _stacker(
    np.hstack,
    lambda a: a if np.ndim(a) else np.atleast_1d(a),
    lambda arrays: 0 if np.ndim(arrays[0]) == 1 else 1,
    of=0,
    along=0,
)
dstack: Any = _stacker(np.dstack, np.atleast_3d, lambda arrays: 2)
column_stack: Any = _stacker(np.column_stack, _column, lambda arrays: 1, of=1, along=1)


@implements(np.unstack)
def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    return tuple(np.moveaxis(x, axis, 0))


def _pieces(ary: Array, divisions: Sequence[int], axis: int) -> list[Array]:
    everything = (slice(None),) * axis_of(axis, ary.ndim)
    return [
        ary[(*everything, slice(start, stop))]
        for start, stop in zip([0, *divisions], [*divisions, None], strict=True)
    ]


@implements(np.array_split)
def array_split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    if not isinstance(indices_or_sections, int | np.integer):
        return _pieces(ary, list(indices_or_sections), axis)
    if indices_or_sections < 1:
        raise ValueError(f"array_split makes 1 part or more, not {indices_or_sections}")
    each, extra = divmod(ary.shape[axis], indices_or_sections)
    sizes = [each + 1] * extra + [each] * (indices_or_sections - extra)
    return _pieces(ary, np.cumsum(sizes)[:-1].tolist(), axis)


@implements(np.split)
def split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    if isinstance(indices_or_sections, int | np.integer) and ary.shape[axis] % indices_or_sections:
        raise ValueError(
            f"split: axis {axis} of length {ary.shape[axis]} does not divide into"
            f" {indices_or_sections} equal parts (array_split makes unequal ones)"
        )
    return array_split(ary, indices_or_sections, axis)


def _splitter(function: Any, least: int, axis: Any) -> Any:
    def splitter(ary: Array, indices_or_sections: Any) -> list[Array]:
        if ary.ndim < least:
            raise ValueError(
                f"{function.__name__} takes {least} dimensions or more, not {ary.ndim}"
            )
        return split(ary, indices_or_sections, axis(ary))

    return implements(function)(splitter)


vsplit: Any = _splitter(np.vsplit, 2, lambda ary: 0)
hsplit: Any = _splitter(np.hsplit, 1, lambda ary: min(ary.ndim - 1, 1))
dsplit: Any = _splitter(np.dsplit, 3, lambda ary: 2)


@implements(np.tile)
def tile(A: Array, reps: Any) -> Array:
    reps = (reps,) if isinstance(reps, int | np.integer) else tuple(reps)
    ndim = builtins.max(len(reps), A.ndim)
    shape = (1,) * (ndim - A.ndim) + A.shape
    reps = (1,) * (ndim - len(reps)) + reps
    # (2, 3) tiled (5, 7) times: (1, 2, 1, 3) broadcast to (5, 2, 7, 3), folded to (10, 21)
    apart = np.reshape(A, [n for size in shape for n in (1, size)])
    spread = np.broadcast_to(
        apart, [n for r, size in zip(reps, shape, strict=True) for n in (r, size)]
    )
    return np.reshape(spread, [r * size for r, size in zip(reps, shape, strict=True)])


@implements(np.repeat)
def repeat(a: Array, repeats: Any, axis: int | None = None) -> Array:
    a, axis = along(a, axis)
    axis, often = axis_of(axis, a.ndim), np.asarray(constant(repeats))
    if often.size != 1 or often.dtype.kind not in "iu" or often.min() < 0:
        return np.take(a, np.repeat(np.arange(a.shape[axis]), often), axis=axis)
    # each as often: (2, 3) repeated 4 times along the first axis is (2, 1, 3) broadcast to (2, 4, 3)
    before, after, n = a.shape[:axis], a.shape[axis + 1 :], int(often.reshape(()))
    apart = np.reshape(a, (*before, a.shape[axis], 1, *after))
    spread = np.broadcast_to(apart, (*before, a.shape[axis], n, *after))
    return np.reshape(spread, (*before, a.shape[axis] * n, *after))


@implements(np.roll)
def roll(a: Array, shift: Any, axis: Any = None) -> Array:
    if isinstance(shift, Variable) and shift.is_batch and not shift.ndim:  # each its own
        if axis is None:
            return np.reshape(roll(np.ravel(a), shift, 0), a.shape)
        if isinstance(axis, int | np.integer):
            return np.take(a, np.arange(a.shape[axis]) - shift, axis=axis, mode="wrap")
    if isinstance(shift, list | np.ndarray):
        shift = tuple(np.ravel(shift).tolist())
    if isinstance(axis, list):
        axis = tuple(axis)
    return roll_(a, shift=shift, axis=axis)


@implements(np.flip)
def flip(m: Array, axis: Any = None) -> Array:
    return flip_(m, axis=axis)


@implements(np.fliplr)
def fliplr(m: Array) -> Array:
    return flip_(m, axis=1)


@implements(np.flipud)
def flipud(m: Array) -> Array:
    return flip_(m, axis=0)


@implements(np.rot90)
def rot90(m: Array, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    first, second = axes
    if axis_of(first, m.ndim) == axis_of(second, m.ndim):
        raise ValueError(f"rot90 takes two different axes, not {first} and {second}")
    k %= 4
    if k == 0:
        return np.positive(m)
    if k == 2:
        return flip(flip(m, first), second)
    return swapaxes(flip(m, second), *axes) if k == 1 else flip(swapaxes(m, *axes), second)


@implements(np.pad)
def pad(array: Array, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Array:
    if isinstance(pad_width, dict):
        given = [(0, 0)] * array.ndim
        for axis, w in pad_width.items():
            given[axis] = tuple(np.broadcast_to(w, 2))
        pad_width = given
    if not array.ndim:
        return array
    pairs = np.broadcast_to(pad_width, (array.ndim, 2))
    width = tuple((operator.index(b), operator.index(a)) for b, a in pairs)
    if mode == "constant":
        padded = pad_(array, width=width)
        if isinstance(constant_values, Variable) and not constant_values.ndim:
            is_new = np.pad(np.zeros(array.shape, bool), width, constant_values=True)
            border: Any = constant_values
            return np.where(is_new, border, padded).astype(array.dtype)
        if isinstance(constant_values, Variable):
            raise TypeError(
                "pad: constant_values is a Tensor of several numbers; pad with each of them in turn, or"
                " concatenate"
            )
        if not np.any(constant_values):
            return padded
        border = np.pad(np.zeros(array.shape), width, constant_values=constant_values)
        return padded + border.astype(array.dtype)
    if mode in ("edge", "reflect", "symmetric", "wrap"):
        # Every border element is a copy: let NumPy pad the indices and gather by them.
        for axis, (n, w) in enumerate(zip(array.shape, width, strict=True)):
            if any(w):
                array = np.take(array, _pad_plain(np.arange(n), w, mode=mode), axis=axis)
        return array
    raise TypeError(
        f"pad(mode={mode!r}) has no rule of differentiation; constant, edge, reflect, symmetric"
        " and wrap have"
    )


@implements(np.diff)
def diff(
    a: Array, n: int = 1, axis: int = -1, prepend: Array = None, append: Array = None
) -> Array:
    if n < 0:
        raise ValueError(f"diff: n is {n}, and must not be negative")
    if n == 0:  # then NumPy leaves out what was to be put before and behind, too
        return a
    a = a if isinstance(a, Variable) else np.asarray(a)
    axis = axis_of(axis, a.ndim)
    ends = [
        x
        if x is None or np.ndim(x)
        else np.broadcast_to(x, (*a.shape[:axis], 1, *a.shape[axis + 1 :]))
        for x in (prepend, append)
    ]
    parts = [x for x in (ends[0], a, ends[1]) if x is not None]
    a = a if len(parts) == 1 else concatenate(parts, axis)
    before = (slice(None),) * axis
    for _ in range(n):
        a = a[(*before, slice(1, None))] - a[(*before, slice(None, -1))]
    return a


@implements(np.copy)
def copy(a: Array, order: str = "K", subok: bool = False) -> Array:
    return np.positive(a)


@implements(np.meshgrid)
def meshgrid(
    *xi: Array, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> tuple[Array, ...]:
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    first = (1, 0) if indexing == "xy" and len(xi) > 1 else (0, 1)
    place = [*first, *range(2, len(xi))][: len(xi)]
    shape = [0] * len(xi)
    for axis, x in zip(place, xi, strict=True):
        shape[axis] = np.size(x)
    grids = (
        np.reshape(x, [-1 if i == axis else 1 for i in range(len(xi))])
        for axis, x in zip(place, xi, strict=True)
    )
    return tuple(grids if sparse else (np.broadcast_to(x, shape) for x in grids))
