"""Functions given by their values at points: interpolation, differences, integrals, convolutions.

>>> import numpy as np
>>> from autobp import grad
>>> grad(lambda y: np.interp(0.25, [0.0, 1.0, 2.0], y))(np.array([1.0, 3.0, 2.0]))
array([0.75, 0.25, 0.  ])
>>> grad(np.trapezoid)(np.zeros(4))
array([0.5, 1. , 1. , 0.5])
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from autobp.arrays import array_of
from autobp.errors import no_rule
from autobp.extras import needed
from autobp.operation import operation
from autobp.primitive import Array, anywhere, constant, implements, plainly
from autobp.rules import batching
from autobp.rules.convolution import conv2d_
from autobp.rules.indexing import picked
from autobp.rules.neural import floating
from autobp.rules.shape import Axis, axes_of, axis_of

# ── between points ────────────────────────────────────────────────────────────────────────────────


@implements(np.interp)
def interp(
    x: Array, xp: Array, fp: Array, left: Array = None, right: Array = None, period: Any = None
) -> Array:
    x, xp, fp = (floating(a) for a in (x, xp, fp))
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ValueError(
            f"interp: xp and fp are vectors of one length, not of shapes {xp.shape} and {fp.shape}"
        )
    if period is not None:
        period = abs(period)
        x, xp = x % period, xp % period
        order = np.argsort(constant(xp))
        xp, fp, left, right = picked(xp, order), picked(fp, order), None, None
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    known, points = array_of(x), array_of(xp)
    after = np.clip(np.searchsorted(points, known, "right"), 1, max(len(points) - 1, 1))
    if len(points) == 1:
        y = fp[0] + 0.0 * x
    else:
        x0, x1, f0, f1 = (picked(a, i) for a in (xp, fp) for i in (after - 1, after))
        y = (f1 - f0) / (x1 - x0) * (x - x0) + f0
    y = np.where(known < points[0], fp[0] if left is None else left, y)
    return np.where(known > points[-1], fp[-1] if right is None else right, y)


@implements(np.trapezoid)
def trapezoid(y: Array, x: Array = None, dx: Array = 1.0, axis: int = -1) -> Array:
    y, along = floating(y), axis
    axis = axis_of(axis, y.ndim)
    if x is not None:
        dx = np.diff(floating(x), axis=-1 if np.ndim(x) == 1 else along)
        if np.ndim(x) == 1:
            dx = np.reshape(dx, [-1 if k == axis else 1 for k in range(y.ndim)])
    before = (slice(None),) * axis
    return np.sum(dx * (y[(*before, slice(1, None))] + y[(*before, slice(None, -1))]) / 2, along)


@implements(np.gradient)
def gradient(f: Array, *varargs: Array, axis: Axis = None, edge_order: int = 1) -> Any:
    f = floating(f)
    axes = [axis_of(a, f.ndim) for a in axes_of(axis, f.ndim)]
    steps = list(varargs or (1.0,))
    if len(steps) == 1 and len(axes) > 1 and np.ndim(steps[0]) == 0:
        steps *= len(axes)
    if len(steps) != len(axes):
        raise TypeError(f"gradient: {len(steps)} spacings for {len(axes)} axes")
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: edge_order is 1 or 2, not {edge_order}")
    results = tuple(_slopes(f, h, a, edge_order) for h, a in zip(steps, axes, strict=True))
    return results[0] if len(results) == 1 else results


def _slopes(f: Array, h: Array, axis: int, edge_order: int) -> Array:
    """The slope of the parabola through three neighbours; at the ends, of one or two pieces."""
    f = np.moveaxis(f, axis, 0)
    n = f.shape[0]
    if n < edge_order + 1:
        raise ValueError(
            f"gradient: axis {axis} has {n} elements; edge_order={edge_order} needs {edge_order + 1}"
        )
    h = floating(h).astype(f.dtype)
    if h.ndim and h.shape != (n,):
        raise ValueError(f"gradient: {h.shape} coordinates for an axis of {n} elements")
    h = np.reshape(np.diff(h), (n - 1,) + (1,) * (f.ndim - 1)) if h.ndim else h
    d = np.diff(f, axis=0) / h  # the slopes of the pieces
    if h.ndim:
        a, b = h[:-1], h[1:]
        inside = (b * d[:-1] + a * d[1:]) / (a + b)
        shares = a[:1] / (a[:1] + b[:1]), b[-1:] / (a[-1:] + b[-1:])
    else:  # without the number in the middle, which may be infinite
        inside, shares = (f[2:] - f[:-2]) / (2.0 * h), (0.5, 0.5)
    first, last = d[:1], d[-1:]
    if edge_order == 2:
        first = first + (first - d[1:2]) * shares[0]
        last = last + (last - d[-2:-1]) * shares[1]
    return np.moveaxis(np.concatenate([first, inside, last], axis=0), 0, axis)


# ── convolutions ──────────────────────────────────────────────────────────────────────────────────


def _full(a: Array, v: Array) -> Array:
    """All sums of products of a vector with a turned one, wherever they overlap."""
    n = v.shape[0]
    image = np.reshape(np.pad(a, (n - 1, n - 1)), (1, 1, 1, -1))
    kernel = np.reshape(np.flip(v), (1, 1, 1, -1))
    return np.ravel(conv2d_(image, kernel, stride=(1, 1), dilation=(1, 1)))


def _vectors(a: Array, v: Array, who: str) -> tuple[Array, Array]:
    a, v = np.atleast_1d(floating(a)), np.atleast_1d(floating(v))
    if a.ndim != 1 or v.ndim != 1 or not a.size or not v.size:
        raise ValueError(f"{who} takes two vectors with elements, not {a.shape} and {v.shape}")
    return a, v


def _middle(full: Array, m: int, n: int, mode: Any, who: str) -> Array:
    """The part of a full convolution that a mode means."""
    least = min(m, n)
    if mode == "full":
        return full
    if mode == "valid":
        return full[least - 1 : full.shape[0] - least + 1]
    if mode == "same":
        start = (least - 1) // 2
        return full[start : start + max(m, n)]
    raise ValueError(f"{who}: mode is 'full', 'same' or 'valid', not {mode!r}")


@implements(np.convolve)
def convolve(a: Array, v: Array, mode: Any = "full") -> Array:
    a, v = _vectors(a, v, "convolve")
    return _middle(_full(a, v), a.size, v.size, mode, "convolve")


@implements(np.correlate)
def correlate(a: Array, v: Array, mode: Any = "valid") -> Array:
    a, v = _vectors(a, v, "correlate")
    if a.size < v.size:
        turned = _middle(_full(v, np.flip(a)), v.size, a.size, mode, "correlate")
        return np.flip(turned)
    return _middle(_full(a, np.flip(v)), a.size, v.size, mode, "correlate")


# ── polynomials and sequences ─────────────────────────────────────────────────────────────────────


@implements(np.polyval)
def polyval(p: Array, x: Array) -> Array:
    """By Horner's scheme, as in NumPy."""
    y = 0.0 * floating(x)
    for coefficient in floating(p):
        y = y * x + coefficient
    return y


@implements(np.polyadd)
def polyadd(a1: Array, a2: Array) -> Array:
    return _of_degree(a1, a2) + _of_degree(a2, a1)


@implements(np.polysub)
def polysub(a1: Array, a2: Array) -> Array:
    return _of_degree(a1, a2) - _of_degree(a2, a1)


def _of_degree(p: Array, other: Array) -> Array:
    """The coefficients, with zeros in front as the other polynomial has more."""
    p, other = np.atleast_1d(floating(p)), np.atleast_1d(floating(other))
    more = other.shape[0] - p.shape[0]
    return np.concatenate([np.zeros(more, p.dtype), p]) if more > 0 else p


@implements(np.polyder)
def polyder(p: Array, m: int = 1) -> Array:
    if (m := operator.index(m)) < 0:
        raise ValueError(f"polyder takes 0 derivatives or more, not {m}")
    p = floating(p)
    for _ in range(m):
        p = p[:-1] * np.arange(p.shape[0] - 1, 0, -1)
    return p


@implements(np.polyint)
def polyint(p: Array, m: int = 1, k: Array = None) -> Array:
    if (m := operator.index(m)) < 0:
        raise ValueError(f"polyint takes 0 integrals or more, not {m}")
    p = floating(p)
    k = np.zeros(m, p.dtype) if k is None else np.atleast_1d(floating(k))
    if k.shape[0] == 1 < m:
        k = k * np.ones(m, k.dtype)
    if k.shape[0] < m:
        raise ValueError(f"polyint takes one constant, or one for each of {m} integrals")
    for i in range(m):
        p = np.concatenate([p / np.arange(p.shape[0], 0, -1), k[i : i + 1]])
    return p


@implements(np.polyfit)
def polyfit(
    x: Array, y: Array, deg: int, rcond: float | None = None, full: bool = False, w: Array = None,
    cov: Any = False,
) -> Array:  # fmt: skip
    """By least squares, of columns that are divided by their norms, as in NumPy."""
    if full or cov:
        raise no_rule(np.polyfit, {"full" if full else "cov": True})
    x, y = floating(x), floating(y)
    if x.ndim != 1 or y.ndim not in (1, 2) or x.shape[0] != y.shape[0] or not x.shape[0]:
        raise ValueError(
            f"polyfit takes points x, and values y of as many rows, not shapes {x.shape} and {y.shape}"
        )
    if (deg := operator.index(deg)) < 0:
        raise ValueError(f"polyfit takes a degree of 0 or more, not {deg}")
    columns = np.vander(x, deg + 1)
    if w is not None:
        w = floating(w)[:, None]
        columns, y = columns * w, y * (w if y.ndim == 2 else w[:, 0])
    norms = np.sqrt(np.sum(columns * columns, axis=0))
    rcond = x.shape[0] * np.finfo(x.dtype).eps if rcond is None else rcond
    found = np.linalg.lstsq(columns / norms, y, rcond)[0]
    return found / (norms if y.ndim == 1 else norms[:, None])


@implements(np.vander)
def vander(x: Array, N: int | None = None, increasing: bool = False) -> Array:
    if x.ndim != 1:
        raise ValueError(f"vander takes a vector, not {x.ndim} dimensions")
    n = x.shape[0] if N is None else operator.index(N)
    if not n:
        return x[:, None][:, :0]
    return np.stack([x**k for k in (range(n) if increasing else range(n - 1, -1, -1))], axis=1)


@implements(np.i0)
def i0(x: Array) -> Array:
    return needed("scipy.special", "np.i0 of a Tensor", "scipy").i0(x)


@implements(np.linspace)
def linspace(
    start: Array,
    stop: Array,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    *,
    axis: int = 0,
) -> Any:
    start, stop = (a if isinstance(a, int | float) else floating(a) for a in (start, stop))
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"linspace makes 0 numbers or more, not {num}")
    pieces = num - 1 if endpoint else num
    whole = stop - start
    along = np.reshape(np.arange(num), (-1,) + (1,) * whole.ndim).astype(whole.dtype)
    step = whole / pieces if pieces else np.nan
    y = start + along * (step if pieces else whole)
    if endpoint and num > 1:  # exactly, as in NumPy
        last = np.broadcast_to(stop, y.shape[1:])[None].astype(y.dtype)
        y = np.concatenate([y[:-1], last])
    y = np.moveaxis(y, 0, axis) if axis else y
    return (y, step) if retstep else y


@implements(np.logspace)
def logspace(
    start: Array,
    stop: Array,
    num: int = 50,
    endpoint: bool = True,
    base: Array = 10.0,
    *,
    axis: int = 0,
) -> Array:
    exponents = np.linspace(start, stop, num, endpoint)
    return np.moveaxis(np.power(base, exponents), 0, axis)


@implements(np.geomspace)
def geomspace(
    start: Array, stop: Array, num: int = 50, endpoint: bool = True, *, axis: int = 0
) -> Array:
    start, stop = floating(start), floating(stop)
    sign = np.sign(array_of(start))
    if anywhere(sign * np.sign(array_of(stop)) <= 0):
        raise ValueError("geomspace: start and stop must have the same sign, and not be 0")
    exponents = np.linspace(np.log(sign * start), np.log(sign * stop), num, endpoint)
    return np.moveaxis(sign * np.exp(exponents), 0, axis)


@implements(np.unwrap)
def unwrap(
    p: Array, discont: float | None = None, axis: int = -1, *, period: float = 2 * np.pi
) -> Array:
    """Whole periods are added, which are constants."""
    known = array_of(p)
    return p + (plainly(np.unwrap, known, discont=discont, axis=axis, period=period) - known)


operation(np.unwrap, np.maximum.accumulate, np.minimum.accumulate, batch=batching.along_axis)


def _running(function: Any) -> Any:
    """The maximum or the minimum so far: each is one of the elements, in a tie the last of them."""

    def running(a: Array, axis: int = 0) -> Array:
        known = array_of(a)
        axis = axis_of(axis, known.ndim)
        best = plainly(function.accumulate, known, axis=axis)
        place = np.reshape(
            np.arange(known.shape[axis]), [-1 if k == axis else 1 for k in range(known.ndim)]
        )
        taken = np.where((known == best) | np.isnan(known), place, 0)
        last = plainly(np.maximum.accumulate, taken, axis=axis)
        return np.take_along_axis(a, last, axis)

    return implements(function.accumulate)(running)


running_maximum: Any = _running(np.maximum)
running_minimum: Any = _running(np.minimum)


@implements(np.logaddexp.accumulate)
def running_logaddexp(array: Array, axis: int = 0) -> Array:
    """Each sum from the one before, so that no digits are lost, however far the elements range."""
    rows = np.moveaxis(array, axis, 0)
    sums: list[Array] = [rows[0]] if rows.shape[0] else []
    for row in rows[1:]:
        sums.append(np.logaddexp(sums[-1], row))
    return np.moveaxis(np.stack(sums), 0, axis) if sums else np.positive(array)
