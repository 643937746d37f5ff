"""Reductions and scans. `axis` is None, an int or a tuple, as in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.arrays import array_of
from autobp.kernels import factors as kernels
from autobp.kernels.extrema import greatest, least
from autobp.kernels.sums import total
from autobp.operation import operation
from autobp.primitive import (
    Array,
    Primitive,
    Variable,
    fused,
    general,
    implements,
    linear,
    opaque,
    possible,
)
from autobp.rules import batching, costs, patterns
from autobp.rules.batching import along_axis
from autobp.rules.shape import Axis, along, axes_of


def spread(g: Array, x: Array, axis: Axis) -> Array:
    """A reduced value with the axes back that it was reduced over, ready to broadcast with x."""
    return g if g.ndim in (0, x.ndim) else np.expand_dims(g, axis)  # type: ignore[arg-type]


def _count(x: Array, axis: Axis) -> int:
    shape = np.shape(x)
    if axis is None:
        return math.prod(shape)
    try:
        return math.prod(shape[a] for a in axes_of(axis, len(shape)))
    except IndexError:  # sums of numbers may go over axis 0, in NumPy; means may not
        raise np.exceptions.AxisError(f"axis {axis} of a number, which has none") from None


def _shared(t: Array, x: Array, y: Array, axis: Axis) -> Array:
    """t where an extremum is, in equal shares if there are several, and 0 elsewhere."""
    hit = x == spread(y, x, axis)
    ties = np.maximum(1, np.sum(hit, axis=axis, keepdims=True))
    return t / ties.astype(getattr(x, "dtype", float)) * hit


def _extremum(function: Any, name: str) -> Any:
    return general(
        function,
        forward=lambda t, y, x, axis, keepdims: np.sum(
            _shared(t, x, y, axis), axis=axis, keepdims=keepdims
        ),
        reverse=lambda g, y, x, axis, keepdims: _shared(spread(g, x, axis), x, y, axis),
        name=name,
        cost=costs.reduction((0, 1, 0), (0, -1, 0)),
        batch=along_axis,
        pattern=patterns.along,
    )


def _unit(x: Array, y: Array, axis: Axis, ord: float) -> Array:
    """The gradient of a norm: x / ‖x‖ for the usual one. It is 0 where the norm is, its kink."""
    y = spread(y, x, axis)
    ratio = x / np.where(y == 0, 1.0, y)
    if ord != 2:
        size = np.where(ratio == 0, 1.0, np.abs(ratio))
        ratio = np.where(ratio == 0, 0.0, np.sign(ratio) * size ** (ord - 1))
    return np.where(y == 0, 0.0, ratio)


def _norm(x: Array, axis: Axis, keepdims: bool, ord: float) -> Array:
    if ord == 2:
        return np.sqrt(total(x * x, axis, keepdims))
    return total(np.abs(x) ** ord, axis, keepdims) ** (1 / ord)


operation(greatest, least, kernels.multiplied, static=True, fresh=True)

# fmt: off
sum_:    Primitive = linear(lambda x, axis, keepdims: total(x, axis, keepdims),
                            lambda g, y, x, axis, keepdims: spread(g, x, axis),
                            name="sum", cost=costs.reduction((0, 1, 0), (0, -1, 0)), batch=along_axis, pattern=patterns.along)
mean_:   Primitive = linear(lambda x, axis, keepdims: total(x, axis, keepdims) / _count(x, axis),
                            lambda g, y, x, axis, keepdims: spread(g, x, axis) / _count(x, axis),
                            name="mean", cost=costs.reduction((0, 1, 0), (1, -1, 0)), batch=along_axis, pattern=patterns.along)
cumsum_: Primitive = linear(lambda x, axis: np.cumsum(x, axis=axis),
                            lambda g, y, x, axis: np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis),
                            name="cumsum", cost=costs.grouped((0, 1, 0), (0, -1, 0)), batch=along_axis, pattern=patterns.along)
max_:          Any = _extremum(greatest, "max")
min_:          Any = _extremum(least, "min")
norm_:   Primitive = general(_norm,
                             forward=lambda t, y, x, axis, keepdims, ord: np.sum(t * _unit(x, y, axis, ord), axis=axis, keepdims=keepdims),
                             reverse=lambda g, y, x, axis, keepdims, ord: spread(g, x, axis) * _unit(x, y, axis, ord),
                             cost=costs.norm, batch=along_axis, pattern=patterns.along)
prod_:   Primitive = general(lambda x, axis, keepdims: kernels.multiplied(x, axis, keepdims),
                             forward=lambda t, y, x, axis, keepdims: np.sum(t * _others(x, y, axis), axis=axis, keepdims=keepdims),
                             reverse=lambda g, y, x, axis, keepdims: spread(g, x, axis) * _others(x, y, axis),
                             name="prod", cost=costs.reduction((1, 0, 0), (-1, 0, 0)), batch=along_axis, pattern=patterns.along)
cumprod_: Primitive = general(lambda x, axis: np.cumprod(x, axis=axis),
                              forward=lambda t, y, x, axis: _scan_forward(t, y, x, axis),
                              reverse=lambda g, y, x, axis: _scan_reverse(g, y, x, axis),
                              name="cumprod", cost=costs.grouped((1, 0, 0), (-1, 0, 0)), batch=along_axis, pattern=patterns.along)
# fmt: on


def _has_no_zero(y: Array) -> bool:
    """Whether all may be divided by. Where y is a variable, other values of it may follow."""
    return not y.size or (not isinstance(y, Variable) and bool(np.all(y)))


#: What is traced is one call, which chooses the way when the program runs.
_divided: Callable[..., Array] = opaque(
    operation(static=True, fresh=True, batch=batching.others)(kernels.others)
)


def _others(x: Array, y: Array, axis: Axis) -> Array:
    """For each element the product of all the others."""
    return fused(_divided, _others_recorded, x, y, axis)


def _others_recorded(x: Array, y: Array, axis: Axis) -> Array:
    """The same for derivatives of derivatives: the products of all before and of all behind."""
    if not x.ndim:
        return np.ones_like(x)
    axes = axes_of(axis, x.ndim)
    last = tuple(range(-len(axes), 0))
    moved = np.moveaxis(x, axes, last)
    size = math.prod(x.shape[a] for a in axes)
    flat = np.reshape(moved, (*moved.shape[: moved.ndim - len(axes)], size))
    one = np.ones_like(flat[..., :1])
    before = np.cumprod(np.concatenate([one, flat[..., :-1]], axis=-1), axis=-1)
    after = np.flip(
        np.cumprod(np.concatenate([one, np.flip(flat[..., 1:], -1)], axis=-1), axis=-1), -1
    )
    return np.moveaxis(np.reshape(before * after, moved.shape), last, axes)


def _scan_forward(t: Array, y: Array, x: Array, axis: int) -> Array:
    """dyₖ = dyₖ₋₁·xₖ + yₖ₋₁·dxₖ, which needs no division and so does not mind zeros."""
    if _has_no_zero(y):
        return y * np.cumsum(t / x, axis=axis)
    t, y, x = (np.moveaxis(a, axis, 0) for a in (t, y, x))
    steps = [t[0]]
    for k in range(1, x.shape[0]):
        steps.append(steps[-1] * x[k] + y[k - 1] * t[k])
    return np.moveaxis(np.stack(steps), 0, axis)


def _scan_reverse(g: Array, y: Array, x: Array, axis: int) -> Array:
    """The same recurrence run from the end."""
    if _has_no_zero(y):
        return np.flip(np.cumsum(np.flip(g * y, axis), axis=axis), axis) / x
    g, y, x = (np.moveaxis(a, axis, 0) for a in (g, y, x))
    carry, steps = g[-1], []
    for k in range(x.shape[0] - 1, 0, -1):
        steps.append(carry * y[k - 1])
        carry = g[k - 1] + carry * x[k]
    return np.moveaxis(np.stack([carry, *reversed(steps)]), 0, axis)


# ── the forms in which NumPy takes them ───────────────────────────────────────────────────────────


def _chosen(a: Array, where: Any, fill: Any) -> Array:
    """The elements for which a mask holds, and in place of the others what leaves the result as it is."""
    if where is True:
        return a
    mask = array_of(where)
    if mask.dtype.kind != "b":
        raise TypeError(f"where= is a mask of truth values, and not of {mask.dtype}")
    chosen = np.where(mask, a, fill)
    if chosen.shape != a.shape:
        raise ValueError(f"where has shape {mask.shape}, and the elements have {a.shape}")
    return chosen


def _chosen_count(a: Array, axis: Axis, where: Any) -> Any:
    """How many elements there are to take the mean of, with the axes kept."""
    if where is True:
        return _count(a, axis)
    return np.sum(np.broadcast_to(array_of(where), a.shape), axis=axis, keepdims=True)


def _freedom(a: Array, axis: Axis, where: Any, keepdims: bool, less: float) -> Any:
    """What the sum of the squares is divided by."""
    n = _chosen_count(a, axis, where)
    if where is True:
        return n - less
    left = np.maximum(n - less, 0.0).astype(a.dtype)
    return left if keepdims else np.squeeze(left, axes_of(axis, a.ndim))


@implements(np.sum, np.add.reduce)
def sum(
    a: Array, axis: Axis = None, *, keepdims: bool = False, initial: Array = None, where: Any = True
) -> Array:
    result = sum_(_chosen(a, where, 0), axis=axis, keepdims=keepdims)
    return result if initial is None else result + initial


@implements(np.mean)
def mean(a: Array, axis: Axis = None, *, keepdims: bool = False, where: Any = True) -> Array:
    if a.dtype == np.float16:  # of which NumPy too takes the sum in single precision
        single = mean(a.astype(np.float32), axis, keepdims=keepdims, where=where)
        return single.astype(np.float16)
    if where is True:
        return mean_(a, axis=axis, keepdims=keepdims)
    return sum(a, axis, keepdims=keepdims, where=where) / _freedom(a, axis, where, keepdims, 0)


@implements(np.prod, np.multiply.reduce)
def prod(
    a: Array, axis: Axis = None, *, keepdims: bool = False, initial: Array = None, where: Any = True
) -> Array:
    axis = None if a.ndim == 0 and axis in (0, -1) else axis  # which a number has for NumPy
    result = prod_(_chosen(a, where, 1), axis=axis, keepdims=keepdims)
    return result if initial is None else result * initial


@implements(np.max, np.amax, np.maximum.reduce)
def max(
    a: Array, axis: Axis = None, *, keepdims: bool = False, initial: Array = None, where: Any = True
) -> Array:
    result = max_(_among(a, where, initial), axis=axis, keepdims=keepdims)
    return result if initial is None else np.maximum(result, initial)


@implements(np.min, np.amin, np.minimum.reduce)
def min(
    a: Array, axis: Axis = None, *, keepdims: bool = False, initial: Array = None, where: Any = True
) -> Array:
    result = min_(_among(a, where, initial), axis=axis, keepdims=keepdims)
    return result if initial is None else np.minimum(result, initial)


def _among(a: Array, where: Any, initial: Array) -> Array:
    if where is not True and initial is None:
        raise ValueError(
            "the maximum and the minimum of the elements that where= chooses, which may be none, need initial="
        )
    return _chosen(a, where, initial)


@implements(np.ptp)
def ptp(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    return max(a, axis, keepdims=keepdims) - min(a, axis, keepdims=keepdims)


@implements(np.cumsum, np.add.accumulate)
def cumsum(a: Array, axis: int | None = None) -> Array:
    a, axis = along(a, axis)
    return cumsum_(a, axis=axis)


@implements(np.cumprod, np.multiply.accumulate)
def cumprod(a: Array, axis: int | None = None) -> Array:
    a, axis = along(a, axis)
    return cumprod_(a, axis=axis)


@implements(np.cumulative_sum)
def cumulative_sum(x: Array, /, *, axis: int | None = None, include_initial: bool = False) -> Array:
    return _initialled(cumsum, x, axis, np.zeros if include_initial else None)


@implements(np.cumulative_prod)
def cumulative_prod(
    x: Array, /, *, axis: int | None = None, include_initial: bool = False
) -> Array:
    return _initialled(cumprod, x, axis, np.ones if include_initial else None)


def _initialled(scan: Any, x: Array, axis: int | None, initial: Any) -> Array:
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"a cumulative function needs an axis of {x.ndim} dimensions")
        axis = 0
    result = scan(x, axis)
    if initial is None:
        return result
    shape = list(x.shape)
    shape[axis] = 1
    return np.concatenate([initial(shape, x.dtype), result], axis=axis)


@implements(np.var)
def var(
    a: Array,
    axis: Axis = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = True,
    mean: Array = None,
    correction: float = 0,
) -> Array:
    squares = np.square(_deviation(a, axis, where, mean))
    return sum(squares, axis, keepdims=keepdims) / _freedom(
        a, axis, where, keepdims, ddof or correction
    )


@implements(np.std)
def std(
    a: Array,
    axis: Axis = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = True,
    mean: Array = None,
    correction: float = 0,
) -> Array:
    # A norm of the deviations, and so 0 has the norm's derivative there: 0, not NaN.
    size = norm_(_deviation(a, axis, where, mean), axis=axis, keepdims=keepdims, ord=2)
    return size / _freedom(a, axis, where, keepdims, ddof or correction) ** 0.5


def _deviation(a: Array, axis: Axis, where: Any, around: Array) -> Array:
    around = mean(a, axis, keepdims=True, where=where) if around is None else around
    return _chosen(a - around, where, 0)


@implements(np.median)
def median(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    axes = axes_of(axis, a.ndim)
    shape = tuple(1 if i in {k % a.ndim for k in axes} else n for i, n in enumerate(a.shape))
    last = np.moveaxis(a, axes, tuple(range(-len(axes), 0)))
    rows = np.sort(np.reshape(last, (*last.shape[: a.ndim - len(axes)], -1)), axis=-1)
    n = rows.shape[-1]
    result = mean(rows[..., (n - 1) // 2 : n // 2 + 1], -1)
    has_nan = np.isnan(rows[..., -1]) if n else False  # sorting puts a nan last
    if possible(has_nan):
        result = np.where(has_nan, np.nan, result)
    return np.reshape(result, shape) if keepdims else result


@implements(np.average)
def average(
    a: Array,
    axis: Axis = None,
    weights: Array = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Array:
    if weights is None:
        result = np.mean(a, axis, keepdims=keepdims)
        if not returned:
            return result
        count = np.size(a) / np.size(result)
        return result, np.full(np.shape(result), count, result.dtype)[()]
    if np.shape(weights) != np.shape(a):
        weights = _along(weights, a, axis)
    total = np.sum(np.broadcast_to(weights, np.shape(a)), axis=axis, keepdims=keepdims)
    result = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (result, total) if returned else result


def _along(weights: Array, a: Array, axis: Axis) -> Array:
    """Weights that have only the axes averaged over, laid along those of the values."""
    shape = np.shape(a)
    axes = [] if axis is None else [k % len(shape) for k in axes_of(axis, len(shape))]
    if np.shape(weights) != tuple(shape[k] for k in axes):
        raise ValueError(
            f"average: weights of shape {np.shape(weights)} do not fit values of shape {shape}"
            f" along axis {axis}; weights have the values' shape, or that of the axes"
        )
    across = np.transpose(weights, np.argsort(axes).tolist())
    return np.reshape(across, [n if k in axes else 1 for k, n in enumerate(shape)])
