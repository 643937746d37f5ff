"""Choosing, putting together and laying out: functions that are made of `where`, `take` and the like.

>>> import numpy as np
>>> from autobp import grad
>>> grad(lambda x: np.sum(np.select([x < 0, x > 1], [x**2, np.sin(x)], x)))(np.array([-1.0, 0.5]))
array([-2.,  1.])
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from autobp.arrays import array_of
from autobp.errors import ragged
from autobp.primitive import Array, Variable, anywhere, constant, implements, numbers
from autobp.rules.indexing import put, scatter
from autobp.rules.neural import floating
from autobp.rules.shape import axis_of


def stacked(a: Any) -> Array:
    """An array of what may be a nest of lists with Tensors in it."""
    if isinstance(a, list | tuple) and _holds_variables(a):
        return np.stack([stacked(x) for x in a])
    return a if isinstance(a, Variable) else np.asarray(a)


def _holds_variables(nest: Any) -> bool:
    if isinstance(nest, list | tuple):
        return any(map(_holds_variables, nest))
    return isinstance(nest, Variable)


# ── choosing ──────────────────────────────────────────────────────────────────────────────────────


@implements(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Array], default: Array = 0) -> Array:
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(f"select: {len(condlist)} conditions for {len(choicelist)} choices")
    conditions = list(map(array_of, condlist))
    for condition in conditions:
        if condition.dtype != bool:
            raise TypeError(f"select: conditions are truth values, not {condition.dtype}")
    pairs = reversed(list(zip(conditions, choicelist, strict=True)))
    shape = np.broadcast_shapes(
        *map(np.shape, conditions), *map(np.shape, choicelist), np.shape(default)
    )
    chosen = reduce(lambda rest, pair: np.where(pair[0], pair[1], rest), pairs, default)
    return np.broadcast_to(chosen, shape)


@implements(np.choose)
def choose(a: Any, choices: Sequence[Array], *, mode: str = "raise") -> Array:
    index, n = array_of(a), len(choices)
    if index.dtype.kind not in "iub":
        raise TypeError(f"choose: the indices must be whole numbers, not {index.dtype}")
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"choose: mode is 'raise', 'wrap' or 'clip', not {mode!r}")
    if mode == "raise" and anywhere((index < 0) | (index >= n)):
        raise ValueError(f"choose: an index is not one of {n} choices")
    index = index % n if mode == "wrap" else np.clip(index, 0, n - 1)
    return reduce(lambda rest, k: np.where(index == k, choices[k], rest), range(1, n), choices[0])


@implements(np.piecewise)
def piecewise(x: Array, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Array:
    is_list = np.ndim(condlist[0]) or not np.ndim(x)
    conditions = [array_of(c) for c in (condlist if is_list else [condlist])]
    if len(funclist) == len(conditions) + 1:
        conditions.append(~reduce(np.logical_or, conditions))
    if len(funclist) != len(conditions):
        raise ValueError(f"piecewise: {len(funclist)} functions for {len(conditions)} conditions")
    y = np.where(False, x, 0.0).astype(x.dtype)
    for condition, function in zip(conditions, funclist, strict=True):
        if isinstance(condition, Variable):  # other elements in each example, or in the next call
            holds: Any = condition
            rows = (*holds.shape, *(1,) * (np.ndim(x) - holds.ndim))  # of the first axes
            holds = np.broadcast_to(np.reshape(holds, rows), np.shape(x))
            value = (
                _where_it_holds(function, x, holds, args, kw) if callable(function) else function
            )
            y = np.where(holds, value, y).astype(x.dtype)
        else:
            value = function(x[condition], *args, **kw) if callable(function) else function
            y = put(y, value, index=condition)
    return y


#: A number for which most functions have a value.
_ANY = 0.5


def _where_it_holds(
    function: Any, x: Array, holds: Array, args: Sequence[Any], kw: dict[str, Any]
) -> Array:
    """A function of all elements, of which the value counts where a condition holds. In place of the others
    stands one for which it does, so that the function is asked for no value that it does not have."""
    flat, inside = np.ravel(x), np.ravel(holds)
    where = numbers(np.where(inside, flat, np.nan))
    is_known = not isinstance(where, Variable)  # as what is traced is not
    if not flat.size or (is_known and not anywhere(inside)):
        return 0.0
    others: Any = where[~np.isnan(where)][:1] if is_known else ()  # of another example
    own = np.take_along_axis(flat, np.argmax(inside, keepdims=True), 0)
    one = constant(np.where(np.any(inside), own, others[0] if len(others) else _ANY))
    taken = np.where(inside, flat, one).astype(flat.dtype)
    value = function(taken, *args, **kw)
    if is_known and flat.size > 1:
        some = constant(function(constant(taken)[::2], *args, **kw))
        whole = constant(value)
        whole = whole[::2] if np.ndim(whole) else whole
        if np.shape(some) != np.shape(whole) or anywhere(
            ~np.isclose(some, whole, rtol=1e-4, equal_nan=True)
        ):
            raise TypeError(
                f"vmap: {getattr(function, '__name__', 'a function')} in np.piecewise gives an element a value"
                " that depends on the others. NumPy calls it with the elements for which a condition holds, and"
                " each example has others: write a function of one element"
            )
    return np.reshape(value, np.shape(x)) if np.ndim(value) else value


@implements(np.delete)
def delete(arr: Array, obj: Any, axis: int | None = None) -> Array:
    _same_place("delete", obj, "j + (j >= i) of j = np.arange(n - 1)")
    arr, axis = (np.ravel(arr), 0) if axis is None else (arr, axis)
    return np.take(arr, np.delete(np.arange(arr.shape[axis]), constant(obj)), axis=axis)


@implements(np.insert)
def insert(arr: Array, obj: Any, values: Array, axis: int | None = None) -> Array:
    _same_place(
        "insert", obj, "j - (j > i) of j = np.arange(n + 1), and np.where(j == i, value, x)"
    )
    arr, values = stacked(arr), stacked(values)
    arr, axis = (np.ravel(arr), 0) if axis is None else (arr, axis_of(axis, arr.ndim))
    if np.ndim(obj) == 0 and not isinstance(obj, slice):  # as NumPy has it for a single place
        values = np.reshape(values, (1,) * (arr.ndim - values.ndim) + values.shape)
        values = np.moveaxis(values, 0, axis)
    n = arr.shape[axis]
    probe = np.insert(
        np.arange(n), constant(obj), -1 if np.ndim(obj) else [-1] * _rows(values, axis)
    )
    new = np.cumsum(probe == -1) - 1
    width = int(np.sum(probe == -1))
    values = np.broadcast_to(
        values.astype(arr.dtype), (*arr.shape[:axis], width, *arr.shape[axis + 1 :])
    )
    both = np.concatenate([arr, values], axis=axis)
    return np.take(both, np.where(probe == -1, n + new, probe), axis=axis)


def _same_place(who: str, obj: Any, instead: str) -> None:
    if isinstance(obj, Variable) and obj.is_batch:
        raise TypeError(
            f"vmap: np.{who} takes one place for all examples of a batch: use np.take with {instead}"
        )


def _rows(values: Array, axis: int) -> int:
    return values.shape[axis] if values.ndim else 1


@implements(np.bincount)
def bincount(x: Any, weights: Array = None, minlength: int = 0) -> Array:
    x = array_of(x)
    if weights is None:  # of a batch
        return bincount(x, np.ones(x.shape), minlength).astype(int)
    if x.ndim != 1 or np.shape(weights) != x.shape:
        raise ValueError(f"bincount: weights of shape {np.shape(weights)} for x of shape {x.shape}")
    n, most = operator.index(minlength), int(np.max(numbers(x), initial=-1))
    if most >= n and isinstance(x, Variable) and x.is_batch:
        raise ragged("np.bincount", f"np.bincount(x, minlength={most + 1})")
    return scatter(weights, index=x, shape=(max(most + 1, n),))


# ── putting together ──────────────────────────────────────────────────────────────────────────────


@implements(np.append)
def append(arr: Array, values: Array, axis: int | None = None) -> Array:
    arr, values = stacked(arr), stacked(values)
    return np.concatenate(
        [np.ravel(arr), np.ravel(values)] if axis is None else [arr, values], axis or 0
    )


@implements(np.block)
def block(arrays: Any) -> Array:
    depth = _depth(arrays)
    if not depth:
        return np.positive(arrays)

    def least(nest: Any) -> int:
        return max(map(least, nest)) if isinstance(nest, list) else np.ndim(nest)

    ndim = max(depth, least(arrays))

    def joined(nest: Any, axis: int) -> Array:
        if isinstance(nest, list):
            return np.concatenate([joined(part, axis + 1) for part in nest], axis)
        return np.reshape(nest, (1,) * (ndim - np.ndim(nest)) + np.shape(nest))

    return joined(arrays, -depth)


def _depth(nest: Any) -> int:
    return 1 + _depth(nest[0]) if isinstance(nest, list) else 0


@implements(np.full_like)
def full_like(a: Array, fill_value: Array, dtype: Any = None, *, shape: Any = None) -> Array:
    filled = np.broadcast_to(fill_value, np.shape(a) if shape is None else shape)
    return filled.astype(stacked(a).dtype if dtype is None else dtype)


# ── laying out ────────────────────────────────────────────────────────────────────────────────────


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(x: Array, window_shape: Any, axis: Any = None) -> Array:
    """As in NumPy, but a copy: a Tensor has no views."""
    shape = tuple(window_shape) if np.iterable(window_shape) else (window_shape,)
    axes = range(x.ndim) if axis is None else axis if np.iterable(axis) else (axis,)
    axes = [axis_of(a, x.ndim) for a in axes]
    if len(axes) != len(shape):
        raise ValueError(f"sliding_window_view: {len(shape)} window sizes for {len(axes)} axes")
    for width, a in zip(shape, axes, strict=True):
        n = x.shape[a] - width + 1
        if n < 1 or width < 0:
            raise ValueError(f"sliding_window_view: a window of {width} on {x.shape[a]} elements")
        x = np.take(x, np.arange(n)[:, None] + np.arange(width), axis=a)
        x = np.moveaxis(x, a + 1, -1)
    return x


@implements(np.resize)
def resize(a: Array, new_shape: Any) -> Array:
    shape = tuple(new_shape) if np.iterable(new_shape) else (new_shape,)
    size = int(np.prod(shape))
    if not np.size(a):
        return np.zeros(shape, a.dtype)
    return np.reshape(np.take(np.ravel(a), np.arange(size) % np.size(a)), shape)


@implements(np.ediff1d)
def ediff1d(ary: Array, to_end: Array = None, to_begin: Array = None) -> Array:
    ary = floating(ary)
    ends = [
        None if e is None else np.ravel(floating(e)).astype(ary.dtype) for e in (to_begin, to_end)
    ]
    parts = [ends[0], np.diff(np.ravel(ary)), ends[1]]
    return np.concatenate([p for p in parts if p is not None])


@implements(np.ldexp)
def ldexp(x1: Array, x2: Any) -> Array:
    exponent = array_of(x2)
    if exponent.dtype.kind not in "iub":
        raise TypeError(f"ldexp: the exponents must be whole numbers, not {exponent.dtype}")
    return x1 * np.exp2(exponent.astype(floating(x1).dtype))


@implements(np.modf)
def modf(x: Array) -> tuple[Array, Array]:
    finite = np.where(np.isinf(x), 0.0, x)
    return finite - np.trunc(finite), np.trunc(x)


@implements(np.real_if_close)
def real_if_close(a: Array, tol: float = 100) -> Array:
    return np.positive(a)


@implements(np.angle)
def angle(z: Array, deg: bool = False) -> Array:
    """Of real numbers it is 0 or π."""
    half = np.where(np.signbit(array_of(z)), 180.0 if deg else np.pi, 0.0).astype(z.dtype)
    return np.where(np.isnan(z), z, half)


@implements(np.imag)
def imag(val: Array) -> Array:
    return np.where(False, val, 0.0)
