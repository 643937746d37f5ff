"""Statistics: quantiles, covariances, and reductions that skip NaN. Each is made of other functions.

>>> import numpy as np
>>> from autobp import grad
>>> grad(np.nanmean)(np.array([1.0, np.nan, 3.0]))
array([0.5, 0. , 0.5])
>>> grad(lambda x: np.quantile(x, 0.25))(np.array([1.0, 2.0, 4.0]))
array([0.5, 0.5, 0. ])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.arrays import array_of, of_its_kind
from autobp.primitive import Array, anywhere, constant, implements, possible
from autobp.rules.neural import floating
from autobp.rules.shape import Axis, axes_of, axis_of

# ── reductions that skip NaN ──────────────────────────────────────────────────────────────────────


def _filled(a: Array, with_: float) -> Array:
    return np.where(np.isnan(a), with_, a)


def _number(a: Array, axis: Axis, keepdims: bool = False) -> Array:
    """How many elements are not NaN."""
    return np.sum(~np.isnan(a), axis=axis, keepdims=keepdims)


@implements(np.nansum)
def nansum(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    return np.sum(_filled(a, 0.0), axis=axis, keepdims=keepdims)


@implements(np.nanprod)
def nanprod(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    return np.prod(_filled(a, 1.0), axis=axis, keepdims=keepdims)


@implements(np.nancumsum)
def nancumsum(a: Array, axis: int | None = None) -> Array:
    return np.cumsum(_filled(a, 0.0), axis=axis)


@implements(np.nancumprod)
def nancumprod(a: Array, axis: int | None = None) -> Array:
    return np.cumprod(_filled(a, 1.0), axis=axis)


@implements(np.nanmean)
def nanmean(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    return nansum(a, axis, keepdims=keepdims) / _number(a, axis, keepdims).astype(a.dtype)


@implements(np.nanmax, np.fmax.reduce)
def nanmax(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    return _nanextremum(np.max, -np.inf, a, axis, keepdims)


@implements(np.nanmin, np.fmin.reduce)
def nanmin(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    return _nanextremum(np.min, np.inf, a, axis, keepdims)


def _nanextremum(extremum: Any, least: float, a: Array, axis: Axis, keepdims: bool) -> Array:
    result = extremum(_filled(a, least), axis=axis, keepdims=keepdims)
    none = _number(a, axis, keepdims) == 0
    return np.where(none, np.nan, result) if possible(none) else result


@implements(np.nanvar)
def nanvar(
    a: Array,
    axis: Axis = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    mean: Array = None,
    correction: float = 0,
) -> Array:
    around = nanmean(a, axis, keepdims=True) if mean is None else mean
    none = np.isnan(a)
    if not isinstance(around, int | float):  # which stays a number, that does not widen float32
        around = np.where(none, 0.0, around)
    squares = np.where(none, 0.0, np.square(np.where(none, 0.0, a) - around))
    freedom = (_number(a, axis, keepdims) - (ddof or correction)).astype(a.dtype)
    return np.sum(squares, axis=axis, keepdims=keepdims) / np.where(freedom > 0, freedom, np.nan)


@implements(np.nanstd)
def nanstd(
    a: Array,
    axis: Axis = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    mean: Array = None,
    correction: float = 0,
) -> Array:
    variance = nanvar(a, axis, ddof=ddof or correction, keepdims=keepdims, mean=mean)
    at_zero = variance == 0  # the kink, where the derivative is 0
    return np.where(at_zero, 0.0, np.sqrt(np.where(at_zero, 1.0, variance)))


# ── quantiles ─────────────────────────────────────────────────────────────────────────────────────

#: What the methods make of a place between two elements in order.
_BETWEEN: dict[str, Any] = {
    "lower": np.floor,
    "higher": np.ceil,
    "nearest": np.rint,
    "midpoint": lambda p: (np.floor(p) + np.ceil(p)) / 2,
}
#: The parameters α and β of the methods that go from element to element in straight lines.
_LINES = {
    "linear": (1.0, 1.0),
    "interpolated_inverted_cdf": (0.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}


def _place(q: Array, n: Array, method: str) -> Array:
    """Where a quantile is among n elements in order, counted from 0."""
    if method in _BETWEEN:
        return _BETWEEN[method](q * (n - 1))
    if method not in _LINES:
        raise TypeError(
            f"quantile(method={method!r}) has no rule of differentiation;"
            f" {', '.join([*_LINES, *_BETWEEN])} have"
        )
    alpha, beta = _LINES[method]
    return np.clip(n * q + (alpha + q * (1 - alpha - beta)) - 1, 0, np.maximum(n - 1, 0))


def _quantile(
    a: Array, q: Array, axis: Axis, method: str, keepdims: bool, skips: bool, most: float = 1.0
) -> Array:
    """The quantiles of each row. `skips`: NaN is no element; else it is the result."""
    a = floating(a)
    q = floating(q) / most
    if anywhere((array_of(q) < 0) | (array_of(q) > 1)):
        raise ValueError(f"quantiles are from 0 to {most:g}")
    axes = tuple(axis_of(k, a.ndim) for k in axes_of(axis, a.ndim))
    shape = tuple(1 if k in axes else n for k, n in enumerate(a.shape))
    last = np.moveaxis(a, axes, tuple(range(-len(axes), 0)))
    outer = last.shape[: a.ndim - len(axes)]
    rows = np.sort(np.reshape(last, (*outer, -1)), axis=-1)  # which puts NaN last
    known = np.sum(~np.isnan(rows), axis=-1, keepdims=True)  # of each row
    size = rows.shape[-1]
    among = np.ravel(q)
    place = _place(of_its_kind(among, known) if skips else among, known if skips else size, method)
    place = np.broadcast_to(place, (*outer, np.size(constant(q))))
    below = np.clip(np.floor(constant(place)).astype(int), 0, max(size - 1, 0))
    above = np.minimum(below + 1, np.maximum(known - 1, below))
    low, high = (np.take_along_axis(rows, k, -1) for k in (below, above))
    part = of_its_kind((place - below).astype(rows.dtype), rows)
    result = np.where(part == 0, low, low + part * (high - low))
    unknown = known == 0 if skips else known < size
    result = np.where(unknown, np.nan, result) if possible(unknown) else result
    result = np.moveaxis(result, -1, 0)
    return np.reshape(result, np.shape(q) + (shape if keepdims else outer))


@implements(np.quantile)
def quantile(
    a: Array,
    q: Array,
    axis: Axis = None,
    *,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Array:
    return _quantile(a, q, axis, method, keepdims, False)


@implements(np.percentile)
def percentile(
    a: Array,
    q: Array,
    axis: Axis = None,
    *,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Array:
    return _quantile(a, q, axis, method, keepdims, False, 100.0)


@implements(np.nanquantile)
def nanquantile(
    a: Array,
    q: Array,
    axis: Axis = None,
    *,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Array:
    return _quantile(a, q, axis, method, keepdims, True)


@implements(np.nanpercentile)
def nanpercentile(
    a: Array,
    q: Array,
    axis: Axis = None,
    *,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Array:
    return _quantile(a, q, axis, method, keepdims, True, 100.0)


@implements(np.nanmedian)
def nanmedian(
    a: Array, axis: Axis = None, *, overwrite_input: bool = False, keepdims: bool = False
) -> Array:
    return _quantile(a, 0.5, axis, "midpoint", keepdims, True)


# ── covariances ───────────────────────────────────────────────────────────────────────────────────


@implements(np.cov)
def cov(
    m: Array,
    y: Array = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
) -> Array:
    rows = [_variables(x, rowvar) for x in (m, y) if x is not None]
    x = rows[0] if len(rows) == 1 else np.concatenate(rows, axis=0)
    freedom = (0 if bias else 1) if ddof is None else ddof
    if fweights is None and aweights is None:
        deviation = x - np.mean(x, axis=1, keepdims=True)
        weighted, total = deviation, x.shape[1] - freedom
    else:
        f, v = (1.0 if w is None else floating(w).astype(x.dtype) for w in (fweights, aweights))
        w = f * v
        deviation = x - np.expand_dims(np.average(x, axis=1, weights=w), 1)
        weighted, total = deviation * w, np.sum(w)
        if freedom:
            total = total - freedom * np.sum(w * v) / total
    return np.squeeze(deviation @ weighted.mT / total)


def _variables(x: Array, rowvar: bool) -> Array:
    """The observations as a matrix with a row for each variable."""
    x = floating(x)
    if x.ndim > 2:
        raise ValueError(f"cov and corrcoef take 2 dimensions at most, not {x.ndim}")
    matrix = np.atleast_2d(x)
    return matrix if rowvar or x.ndim < 2 else matrix.T


@implements(np.corrcoef)
def corrcoef(x: Array, y: Array = None, rowvar: bool = True) -> Array:
    c = cov(x, y, rowvar)
    if not c.ndim:
        return c / c
    deviation = np.sqrt(np.diagonal(c))
    result = c / np.expand_dims(deviation, 1) / deviation
    return np.where(np.abs(result) > 1, np.sign(result), result)  # by rounding
