"""A walk over all functions that record: in `vmap`, each gives what the loop over the examples gives.

Every function of NumPy's that a Tensor takes over, and every public function on arrays, is called in the
forms in which programs call it. Arguments have the examples one alone and all together; values are
compared, and gradients with `vmap` outside and inside. What cannot be done for a batch is refused by name.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy import special

import autobp as ab
from autobp import Tensor, grad, nn, vmap
from autobp.kernels import attention as kernels
from autobp.nn import attention
from autobp.primitive import NUMPY
from autobp.rules import convolution
from autobp.tree import leaves, refilled

N = 5  # examples; no axis of an example is as long
R = np.random.default_rng(7)


def apart(*shape: int) -> np.ndarray:
    """Numbers without ties, from −1.5 to 1.5."""
    n = int(np.prod(shape))
    return (R.permutation(n).reshape(shape) + 0.37) / n * 3 - 1.5


#: The arguments of an example, by name.
ARGUMENTS: dict[str, np.ndarray] = {
    "x": apart(N, 3, 4),
    "y": apart(N, 3, 4),
    "v": apart(N, 4),
    "u": apart(N, 4),
    "s": apart(N),
    "p": R.uniform(0.3, 2.0, (N, 3, 4)),  # positive
    "a": apart(N, 3, 3) + 3 * np.eye(3),  # invertible
    "i": R.integers(-3, 3, (N, 2)),
    "k": R.integers(0, 3, N),
    "j": R.integers(0, 2, (N, 3, 4)),
    "b": R.random((N, 3, 4)) > 0.4,
    "o": np.sort(apart(N, 4), axis=1),  # in order
    "e": np.where(R.random((N, 3, 4)) > 0.7, np.nan, apart(N, 3, 4)),  # with NaN
    "h": apart(N, 2, 3, 4),
    "im": apart(N, 2, 2, 4, 6),
    "ke": apart(N, 3, 2, 2, 2),
    "sq": apart(N, 2, 3, 4),
    "se": apart(N, 2, 2, 7),
}

AXES = (None, 0, -1, (0, -1))
Call = Callable[..., Any]


def spd(a: Any) -> Any:
    """A symmetric matrix that is positive definite, with distinct eigenvalues."""
    return a @ a.T + np.diag([0.5, 1.0, 2.0])


def tensor(x: Any) -> Tensor:
    """What all examples share, as something that an index of each example reaches."""
    return x if isinstance(x, Tensor) else Tensor(x, requires_grad=False)


def reductions(f: Any, *more: Call) -> list[Call]:
    return [
        *(lambda x, axis=axis: f(x, axis=axis) for axis in AXES),
        lambda x: f(x, axis=1, keepdims=True),
        lambda x: f(x, keepdims=True),
        lambda s: f(s),
        lambda h: f(h, axis=(0, -2), keepdims=True),
        *more,
    ]


def along(f: Any, *more: Call) -> list[Call]:
    return [
        lambda x: f(x, axis=0),
        lambda x: f(x, axis=-1),
        lambda h: f(h, axis=1),
        lambda x: f(x, axis=None),
        *more,
    ]


def one(f: Any) -> list[Call]:
    return [lambda x: f(x), lambda s: f(s)]


def two(f: Any) -> list[Call]:
    return [
        lambda x, y: f(x, y),
        lambda x, v: f(x, v),
        lambda s, v: f(s, v),
        lambda v, h: f(v, h),
        lambda x: f(x, 0.7),
    ]


def positive_two(f: Any) -> list[Call]:
    return [lambda p, y: f(p, y), lambda s, p: f(p, s), lambda p: f(2.0, p)]


def special_one(f: Any) -> list[Call]:
    return [lambda p: f(p / 3)]


def special_two(f: Any) -> list[Call]:
    return [lambda p, y: f(p, y * y + 0.1), lambda s, p: f(p, s * s + 0.2)]


def special_order(f: Any) -> list[Call]:
    return [lambda x: f(2, x)]


# fmt: off
ELEMENTWISE = [np.absolute, np.arctan, np.arcsinh, np.cbrt, np.ceil, np.conjugate, np.cos, np.cosh, np.deg2rad, np.degrees, np.exp, np.exp2,
               np.expm1, np.fabs, np.fix, np.floor, np.negative, np.positive, np.rad2deg, np.radians, np.real, np.reciprocal, np.rint,
               np.sign, np.sin, np.sinc, np.sinh, np.square, np.tan, np.tanh, np.trunc, np.angle, np.imag, np.real_if_close, np.i0, np.nan_to_num,
               np.isnan, np.isinf, np.isfinite, np.isneginf, np.isposinf, np.signbit, np.isreal, np.iscomplex, np.logical_not, np.copy, np.around, np.round, np.modf]
ON_POSITIVE = [np.log, np.log2, np.log10, np.log1p, np.sqrt]
WITHIN_ONE = [np.arcsin, np.arccos, np.arctanh]
BINARY = [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.fmax, np.fmin, np.hypot, np.arctan2, np.copysign, np.logaddexp,
          np.logaddexp2, np.remainder, np.fmod, np.floor_divide, np.heaviside, np.divmod,
          np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
          np.logical_and, np.logical_or, np.logical_xor, np.isclose, np.allclose, np.array_equal]

CALLS: dict[Any, list[Call]] = {
    **{f: one(f) for f in ELEMENTWISE},
    **{f: [lambda p, f=f: f(p)] for f in ON_POSITIVE},
    **{f: [lambda x, f=f: f(x / 2)] for f in WITHIN_ONE},
    np.arccosh: [lambda p: np.arccosh(p + 1)],
    **{f: two(f) for f in BINARY},
    np.power: [*positive_two(np.power), lambda x: x**3, lambda p, s: p**s, lambda x: np.power(x, 2)],
    np.float_power: positive_two(np.float_power),
    np.ldexp: [lambda x, j: np.ldexp(x, j), lambda x: np.ldexp(x, 2), lambda s, j: np.ldexp(s, j)],
    np.clip: [lambda x: np.clip(x, -0.5, 0.5), lambda x, s: np.clip(x, s, 1.0), lambda x, v: np.clip(x, None, v), lambda x, v: np.clip(x, v - 1, v)],
    np.where: [lambda b, x, y: np.where(b, x, y), lambda b, s: np.where(b, s, 0.0), lambda x, v: np.where(x > 0, x, v), lambda x: np.where(x > 0, x, 0.0)],
    np.select: [lambda x, y: np.select([x < 0, x > 1], [x**2, np.sin(y)], y), lambda b, v: np.select([b], [v], 1.0), lambda x, s: np.select([x > 0], [s])],
    np.choose: [lambda j, x, y: np.choose(j, [x, y]), lambda k, v, u: np.choose(k, [v, u, v * u]), lambda j, v: np.choose(j + 1, [v, 0.0], mode="clip")],
    # reductions
    **{f: reductions(f) for f in (np.sum, np.mean, np.prod, np.max, np.min, np.amax, np.amin, np.ptp, np.median, np.nansum, np.nanprod, np.nanmax, np.nanmin,
                                  np.nanmean, np.nanmedian, np.add.reduce, np.multiply.reduce, np.maximum.reduce, np.minimum.reduce,
                                  np.logaddexp.reduce, np.fmax.reduce, np.fmin.reduce)},
    np.sum: [*reductions(np.sum), lambda x, b: np.sum(x, where=b), lambda x, b: np.sum(x, -1, where=b[0], keepdims=True), lambda x, s: np.sum(tensor(x), 0, initial=s)],
    np.mean: [*reductions(np.mean), lambda x, b: np.mean(x, where=b), lambda x, v: np.mean(x, 1, where=v > -2)], np.prod: [*reductions(np.prod), lambda x, b: np.prod(x, 0, where=b)],
    np.max: [*reductions(np.max), lambda x, b, s: np.max(tensor(x), 0, where=b, initial=s)], np.min: [*reductions(np.min), lambda x, b: np.min(x, where=b, initial=0.9)],
    np.var: [*reductions(np.var), lambda x: np.var(x, axis=1, ddof=1), lambda x: np.var(x, 0, mean=np.mean(x, 0, keepdims=True))],
    np.std: [*reductions(np.std), lambda x: np.std(x, axis=-1, ddof=1), lambda x, b: np.std(x, where=b), lambda h: np.std(h, (0, 2), where=h > -1, ddof=1)],
    np.nanvar: [*reductions(np.nanvar), lambda e: np.nanvar(e, axis=0), lambda e: np.nanvar(e, ddof=1)],
    np.nanstd: [*reductions(np.nanstd), lambda e: np.nanstd(e, axis=0), lambda e: np.nanstd(e)],
    np.all: reductions(np.all, lambda b: np.all(b, axis=0)),
    np.any: reductions(np.any, lambda b: np.any(b), lambda b: b.any(axis=-1)),
    np.count_nonzero: reductions(np.count_nonzero, lambda b: np.count_nonzero(b, axis=(0, 1))),
    np.argmax: [lambda x: np.argmax(x), lambda x: np.argmax(x, axis=-1), lambda x: np.argmax(x, axis=0, keepdims=True), lambda s: np.argmax(s), lambda x: np.argmax(x, keepdims=True)],
    np.argmin: [lambda x: np.argmin(x), lambda x: np.argmin(x, axis=-1), lambda h: h.argmin(1)],
    np.nanargmax: [lambda e: np.nanargmax(np.where(np.isnan(e[:, :1]), 0.0, e), 1), lambda e: np.nanargmax(e)],
    np.nanargmin: [lambda e: np.nanargmin(e), lambda x: np.nanargmin(x, axis=0)],
    np.average: [lambda x: np.average(x), lambda x, v: np.average(x, axis=-1, weights=v + 2), lambda x, p: np.average(x, weights=p, returned=True), lambda x: np.average(x, 0, keepdims=True), lambda x, p: np.average(x, 0, p)],
    np.quantile: [lambda x: np.quantile(x, 0.3), lambda x: np.quantile(x, [0.25, 0.7], axis=-1), lambda x: np.quantile(x, 0.5, axis=(0, 1), keepdims=True),
                  lambda x, s: np.quantile(x, (s + 1.5) / 3, axis=0), lambda e: np.quantile(e, 0.3, axis=0), lambda x: np.quantile(x, [[0.1], [0.9]], 1, method="midpoint"),
                  *(lambda x, m=m: np.quantile(x, 0.37, 1, method=m) for m in ("lower", "higher", "nearest", "hazen", "weibull", "median_unbiased"))],
    np.percentile: [lambda x: np.percentile(x, 30), lambda x: np.percentile(x, [25, 70], axis=1, keepdims=True), lambda v, s: np.percentile(v, 30 * s + 50)],
    np.nanquantile: [lambda e: np.nanquantile(e, 0.3), lambda e: np.nanquantile(e, [0.3, 0.8], axis=-1)],
    np.nanpercentile: [lambda e: np.nanpercentile(e, 30, axis=1), lambda x: np.nanpercentile(x, 30, axis=-2)],
    np.cov: [lambda x: np.cov(x), lambda v, u: np.cov(v, u), lambda x: np.cov(x, rowvar=False, bias=True), lambda x, p: np.cov(x, aweights=p[0])],
    np.corrcoef: [lambda x: np.corrcoef(x), lambda v, u: np.corrcoef(v, u)],
    # along an axis
    **{f: along(f) for f in (np.cumsum, np.cumprod, np.nancumsum, np.nancumprod, np.sort)},
    np.argsort: along(np.argsort, lambda s: np.argsort(s)),
    **{f.accumulate: [lambda x, f=f: f.accumulate(x, axis=0), lambda x, f=f: f.accumulate(x, -1), lambda v, f=f: f.accumulate(v)] for f in (np.add, np.multiply, np.maximum, np.minimum, np.logaddexp)},
    np.cumulative_sum: [lambda x: np.cumulative_sum(x, axis=1), lambda v: np.cumulative_sum(v, include_initial=True)],
    np.cumulative_prod: [lambda x: np.cumulative_prod(x, axis=-1, include_initial=True)],
    np.diff: [lambda x: np.diff(x), lambda x: np.diff(x, axis=0), lambda x: np.diff(x, n=2), lambda x, v: np.diff(x, prepend=0.0, append=1.0), lambda v, s: np.diff(v, append=s[None])],
    np.ediff1d: [lambda x: np.ediff1d(x), lambda v, u: np.ediff1d(v, to_end=u)],
    np.gradient: [lambda x: np.gradient(x), lambda x: np.gradient(x, axis=-1), lambda v, o: np.gradient(v, o), lambda x, s: np.gradient(x, s + 2, axis=0, edge_order=2)],
    np.trapezoid: [lambda x: np.trapezoid(x), lambda v, o: np.trapezoid(v, o), lambda x, s: np.trapezoid(x, dx=s, axis=0), lambda x, y: np.trapezoid(x, y, axis=0), lambda h, x: np.trapezoid(h, x)],
    np.unwrap: [lambda x: np.unwrap(5 * x), lambda x: np.unwrap(5 * x, axis=0)],
    np.partition: [lambda x: np.partition(x, 2)[..., 2], lambda x: np.partition(x, 1, axis=0)[1], lambda x: np.partition(x, 5, axis=None)[5]],
    np.argpartition: [lambda x: np.argpartition(x, 2)[..., 2], lambda x: np.argpartition(x, 3, axis=None)[3]],
    np.lexsort: [lambda x: np.lexsort(x), lambda s: np.lexsort((s, s)), lambda v, u: np.lexsort((v, u)), lambda j: np.lexsort(j, axis=0)],
    np.searchsorted: [lambda o, x: np.searchsorted(o, x), lambda o, s: np.searchsorted(o, s, side="right"), lambda x: np.searchsorted([-1.0, 0.0], x)],
    np.digitize: [lambda x, o: np.digitize(x, o), lambda x: np.digitize(x, [-1.0, 0.5]), lambda s, o: np.digitize(s, o, right=True)],
    np.isin: [lambda j, i: np.isin(j, i), lambda j: np.isin(j, [1, 5]), lambda x, y: np.isin(x, y, False, True)],
    np.array_equiv: [lambda x: np.array_equiv(x, x), lambda v: np.array_equiv(np.stack([v, v]), v), lambda x, v: np.array_equiv(x, v), lambda s, v: np.array_equiv((s, s), s)],
    # shapes
    np.reshape: [lambda x: np.reshape(x, (2, -1)), lambda x: x.reshape(4, 3), lambda x: np.reshape(x, -1), lambda s: np.reshape(s, (1, 1)), lambda x: np.reshape(x, (4, 3), order="F")],
    np.ravel: [lambda x: np.ravel(x), lambda s: np.ravel(s), lambda x: np.ravel(x, order="F"), lambda x: x.flatten()],
    np.transpose: [lambda x: x.T, lambda h: np.transpose(h), lambda h: np.transpose(h, (1, -1, 0)), lambda h: h.transpose(2, 0, 1), lambda s: np.transpose(s)],
    np.swapaxes: [lambda h: np.swapaxes(h, 0, -1)],
    np.moveaxis: [lambda h: np.moveaxis(h, 0, -1), lambda h: np.moveaxis(h, (0, 1), (-1, 0))],
    np.rollaxis: [lambda h: np.rollaxis(h, 2), lambda h: np.rollaxis(h, -1, 1)],
    np.matrix_transpose: [lambda h: np.matrix_transpose(h), lambda h: h.mT], np.linalg.matrix_transpose: [lambda h: np.linalg.matrix_transpose(h)],
    np.expand_dims: [lambda x: np.expand_dims(x, 0), lambda s: np.expand_dims(s, -1), lambda x: np.expand_dims(x, (0, -1))],
    np.squeeze: [lambda x: np.squeeze(x[None]), lambda x: np.squeeze(x[:1], 0), lambda s: np.squeeze(s), lambda x: np.squeeze(x[:, :1], axis=-1), lambda x: x[:1].squeeze()],
    **{f: [lambda s, f=f: f(s), lambda v, f=f: f(v), lambda h, f=f: f(h), lambda s, v, f=f: f(s, v)] for f in (np.atleast_1d, np.atleast_2d, np.atleast_3d)},
    np.broadcast_to: [lambda v: np.broadcast_to(v, (3, 4)), lambda s: np.broadcast_to(s, (2, 2))],
    np.broadcast_arrays: [lambda v, x: np.broadcast_arrays(v, x), lambda s, x: np.broadcast_arrays(s, x)],
    np.meshgrid: [lambda v, u: np.meshgrid(v, u), lambda v, o: np.meshgrid(v, o, indexing="ij"), lambda v: np.meshgrid(v, [1.0, 2.0], sparse=True)],
    np.flip: [lambda x: np.flip(x), lambda x: np.flip(x, 0), lambda h: np.flip(h, (0, -1))],
    np.fliplr: [lambda x: np.fliplr(x)], np.flipud: [lambda x: np.flipud(x)],
    np.rot90: [lambda x: np.rot90(x), lambda h: np.rot90(h, 2, (1, 2)), lambda h: np.rot90(h, -1, (0, -1))],
    np.roll: [lambda x: np.roll(x, 1), lambda x: np.roll(x, 2, axis=-1), lambda x: np.roll(x, (1, 2), axis=(0, 1)), lambda x: np.roll(x, (1, 1), axis=0), lambda x: np.roll(x, np.array(1), 1), lambda x: np.roll(x, [1, 2]), lambda x, k: np.roll(tensor(x), k), lambda x, k: np.roll(tensor(x), -k, axis=-1)],
    np.tile: [lambda x: np.tile(x, 2), lambda s: np.tile(s, (2, 2)), lambda v: np.tile(v, (2, 1))],
    np.repeat: [lambda x: np.repeat(x, 2), lambda x: np.repeat(x, 2, axis=0), lambda x: np.repeat(x, [1, 0, 2], axis=0)],
    np.resize: [lambda x: np.resize(x, (2, 3)), lambda v: np.resize(v, 9)],
    np.pad: [lambda x: np.pad(x, 1), lambda x: np.pad(x, ((0, 1), (2, 0)), constant_values=3.0), lambda x: np.pad(x, 1, mode="edge"), lambda x: np.pad(x, 1, mode="reflect"), lambda v: np.pad(v, (1, 2), mode="wrap"), lambda x, s: np.pad(tensor(x), 1, constant_values=s)],
    np.tril: [lambda x: np.tril(x), lambda h: np.tril(h, -1), lambda v: np.tril(v)],
    np.triu: [lambda x: np.triu(x, 1), lambda v: np.triu(v)],
    np.diag: [lambda v: np.diag(v), lambda x: np.diag(x, 1), lambda v: np.diag(v, -1)],
    np.diagflat: [lambda x: np.diagflat(x)],
    np.diagonal: [lambda x: np.diagonal(x), lambda h: np.diagonal(h, 1, 0, -1), lambda h: h.diagonal(axis1=-2, axis2=-1)],
    np.linalg.diagonal: [lambda h: np.linalg.diagonal(h, offset=-1)],
    np.trace: [lambda x: np.trace(x), lambda h: np.trace(h, axis1=1, axis2=2), lambda x: x.trace(1)],
    np.linalg.trace: [lambda h: np.linalg.trace(h)],
    np.concatenate: [lambda x, y: np.concatenate([x, y]), lambda x, y: np.concatenate([x, y], axis=-1), lambda v, x: np.concatenate([v, x], axis=None), lambda x: np.concatenate([x, np.ones((1, 4))])],
    np.stack: [lambda x, y: np.stack([x, y]), lambda x, y: np.stack([x, y], axis=-1), lambda s: np.stack([s, 1.0])],
    np.vstack: [lambda v, x: np.vstack([v, x])], np.hstack: [lambda v, u: np.hstack([v, u]), lambda x, y: np.hstack((x, y)), lambda s, v: np.hstack([s, v])],
    np.dstack: [lambda x, y: np.dstack([x, y]), lambda v: np.dstack([v, v])], np.column_stack: [lambda v, u: np.column_stack([v, u]), lambda u, x: np.column_stack([x.T, u])],
    np.block: [lambda a, s: np.block([[a, a], [a, s * np.ones((3, 3))]]), lambda v, u: np.block([v, u])],
    np.append: [lambda v, u: np.append(v, u), lambda x, v: np.append(x, v), lambda x, y: np.append(x, y, axis=1), lambda v, s: np.append(v, s)],
    np.insert: [lambda v, s: np.insert(v, 1, s), lambda x, v: np.insert(x, 0, v, axis=0), lambda x: np.insert(x, [0, 2], 5.0, axis=-1), lambda x, s: np.insert(x, 3, s)],
    np.delete: [lambda v: np.delete(v, 1), lambda x: np.delete(x, [0, -1], axis=1), lambda x: np.delete(x, slice(0, 2), axis=-1), lambda x: np.delete(x, 3)],
    np.split: [lambda x: np.split(x, 2, axis=1), lambda v: np.split(v, [1, 3]), lambda h: np.split(h, 2)],
    np.array_split: [lambda x: np.array_split(x, 3, axis=-1), lambda x: np.array_split(x, 2)],
    np.hsplit: [lambda x: np.hsplit(x, 2), lambda v: np.hsplit(v, 2)], np.vsplit: [lambda h: np.vsplit(h, 2)], np.dsplit: [lambda h: np.dsplit(h, 2)],
    np.unstack: [lambda x: np.unstack(x), lambda x: np.unstack(x, axis=-1)],
    np.lib.stride_tricks.sliding_window_view: [lambda v: np.lib.stride_tricks.sliding_window_view(v, 2), lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2)), lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=-1)],
    np.full_like: [lambda x: np.full_like(x, 2.0), lambda x, s: np.full_like(tensor(x), s), lambda x, v: np.full_like(tensor(x), v)],
    np.zeros_like: [lambda x: np.zeros_like(x) + x, lambda s: np.zeros_like(s) + s], np.ones_like: [lambda x: np.ones_like(x) * x],
    np.empty_like: [lambda x: 0.0 * np.ones_like(np.empty_like(x)) + x],
    np.shape: [lambda x: np.shape(x)], np.ndim: [lambda x: np.ndim(x)], np.size: [lambda x: np.size(x), lambda x: np.size(x, 0)],
    np.result_type: [lambda x: x.astype(np.result_type(x, np.float32))],
    # elements
    np.take: [lambda x: np.take(x, [0, 5, -1]), lambda x, i: np.take(tensor(x), i, axis=0), lambda x, i: np.take(tensor(x), i, axis=-1), lambda x, k: np.take(tensor(x), k, axis=1), lambda v, j: np.take(tensor(v), j), lambda x, i: np.take(tensor(x), i + 5, 0, mode="wrap"), lambda x, i: np.take(tensor(x), i + 5, 0, mode="clip")],
    np.take_along_axis: [lambda x: np.take_along_axis(x, np.argsort(x, -1), -1), lambda x, j: np.take_along_axis(x, j, 0), lambda x, j: np.take_along_axis(x, j[:, :1], axis=1), lambda x, i: np.take_along_axis(x, i, axis=None)],
    np.compress: [lambda x: np.compress([True, False, True], x, axis=0)], np.extract: [lambda x: np.extract(np.arange(12).reshape(3, 4) % 2 > 0, x)],
    np.bincount: [lambda v: np.bincount([0, 1, 1, 3], weights=v), lambda j, x: np.bincount(j[0], x[0], minlength=3), lambda j: np.bincount(j[0], minlength=2)],
    np.piecewise: [lambda s: np.piecewise(s, [s < 0, np.True_], [1.0, 2.0]), lambda x: np.piecewise(x, [x < 0, x > 1], [1.0, 2.0, 3.0]), lambda x: np.piecewise(x, [np.arange(12).reshape(3, 4) > 4], [1.0, 2.0]),
                   lambda x, s: np.piecewise(tensor(x), [x < -0.2, x > 0.2], [lambda v: np.sqrt(-v), lambda v: np.log(v) * s, 2.5]), lambda s: np.piecewise(s, [s < 0, s >= 0], [lambda v: np.sqrt(-v), np.sqrt]), lambda s, u: np.piecewise(u, [np.arange(4) < s], [np.exp, lambda v, k=2: v**k]), lambda a, s: np.piecewise(a, [np.arange(3) < s], [np.exp])],
    # products
    np.matmul: [lambda x, y: x @ y.T, lambda x, v: x @ v, lambda v, y: v @ y.T, lambda v, u: v @ u, lambda h, v: h @ v, lambda x, h: x.T @ h, lambda h, y: h @ y.T, lambda h: np.ones(3) @ h],
    np.dot: [lambda x, v: np.dot(x, v), lambda v, u: np.dot(v, u), lambda s, x: np.dot(s, x), lambda h, y: np.dot(h, y.T), lambda v, h: np.dot(v, np.swapaxes(h, 1, 2)), lambda x, v: tensor(x).dot(v)],
    np.linalg.matmul: [lambda x, y: np.linalg.matmul(x, y.T)],
    np.vdot: [lambda x, y: np.vdot(x, y)], np.inner: [lambda x, y: np.inner(x, y), lambda v, h: np.inner(v, h), lambda s, v: np.inner(s, v)],
    np.outer: [lambda v, u: np.outer(v, u), lambda x, s: np.outer(x, s)], np.linalg.outer: [lambda v, u: np.linalg.outer(v, u)],
    np.vecdot: [lambda x, y: np.vecdot(x, y), lambda x, y: np.vecdot(x, y, axis=0)], np.linalg.vecdot: [lambda x, v: np.linalg.vecdot(x, v)],
    np.tensordot: [lambda x, y: np.tensordot(x, y), lambda h, x: np.tensordot(h, x, axes=([1, 2], [0, 1])), lambda v, u: np.tensordot(v, u, 0), lambda h, v: np.tensordot(h, v, (-1, 0))],
    np.linalg.tensordot: [lambda x, y: np.linalg.tensordot(x, y, axes=2)],
    np.einsum: [lambda x, y: np.einsum("ij,kj->ik", x, y), lambda a: np.einsum("ii", a), lambda h, v: np.einsum("...j,j", h, v), lambda x, v, u: np.einsum("ij,j,j->i", x, v, u), lambda s, v: np.einsum(",i->i", s, v), lambda x, y: np.einsum(x, [0, 1], y, [2, 1], [0, 2])],
    np.kron: [lambda x, v: np.kron(x, v), lambda v, u: np.kron(v, u)],
    np.cross: [lambda a: np.cross(a, a[::-1]), lambda a, x: np.cross(a, x[:, 0]), lambda a: np.cross(a, [1.0, 2.0, 3.0], axis=0)],
    np.linalg.cross: [lambda a: np.linalg.cross(a, a[::-1])],
    np.convolve: [lambda v, u: np.convolve(v, u), lambda v: np.convolve(v, [1.0, 2.0], "same"), lambda v, s: np.convolve(v, np.stack([s, s * s]), "valid")],
    np.correlate: [lambda v, u: np.correlate(v, u), lambda v, u: np.correlate(v, u[:2], "full"), lambda u: np.correlate([1.0, 2.0], u, "same")],
    np.polyval: [lambda v, x: np.polyval(v, x), lambda s: np.polyval([1.0, 2.0], s)],
    np.polyadd: [lambda v, u: np.polyadd(v, u), lambda s, v: np.polysub(s, v)], np.polysub: [lambda v, u: np.polysub(u, v)],
    np.polyder: [lambda v: np.polyder(v), lambda v: np.polyder(v, 2)], np.polyint: [lambda v: np.polyint(v), lambda v: np.polyint(v, 2, k=v[:2])],
    np.polyfit: [lambda o, v: np.polyfit(o, v, 2), lambda v: np.polyfit(np.arange(1.0 * len(v)), v, 1), lambda x, o: np.polyfit(o, x.T, 1) if len(o) == x.shape[1] else np.polyfit(o, x, 1)],
    np.linalg.matrix_rank: [lambda x: np.linalg.matrix_rank(x)],
    np.vander: [lambda v: np.vander(v), lambda v: np.vander(v, 3, increasing=True)],
    np.interp: [lambda x, o, v: np.interp(x, o, v), lambda s, o: np.interp(s, o, [1.0, 3.0, 2.0, 5.0]), lambda x: np.interp(x, [-1.0, 0.0, 1.0], [0.0, 2.0, 1.0], left=-3.0, right=4.0), lambda x, v: np.interp(x, [0.0, 0.5, 1.0, 1.6], v, period=2.0), lambda x, o, v, s: np.interp(tensor(x), o, v, left=s)],
    np.linspace: [lambda s: np.linspace(0.0, s, 4), lambda v, u: np.linspace(v, u, 3, axis=-1), lambda s: np.linspace(s, 2.0, 3, endpoint=False, retstep=True), lambda x, v: np.linspace(x, v, 3)],
    np.logspace: [lambda s: np.logspace(0.0, s, 3), lambda v, s: np.logspace(v, s, 3, base=2.0, axis=1)],
    np.geomspace: [lambda p: np.geomspace(p, 3.0, 3, axis=-1), lambda p: np.geomspace(-p[0], -p[1], 4)],
    # matrices
    np.linalg.inv: [lambda a: np.linalg.inv(a), lambda a: np.linalg.inv(np.stack([a, a.T]))],
    np.linalg.det: [lambda a: np.linalg.det(a)], np.linalg.slogdet: [lambda a: np.linalg.slogdet(a)],
    np.linalg.solve: [lambda a, x: np.linalg.solve(a, x), lambda a, x: np.linalg.solve(a, x[:, 0]), lambda a: np.linalg.solve(a, np.ones(3)), lambda a, h: np.linalg.solve(a, h)],
    np.linalg.cholesky: [lambda a: np.linalg.cholesky(spd(a)), lambda a: np.linalg.cholesky(spd(a), upper=True)],
    np.linalg.eigh: [lambda a: np.linalg.eigh(spd(a)).eigenvalues, lambda a: np.abs(np.linalg.eigh(spd(a), UPLO="U").eigenvectors)],
    np.linalg.eigvalsh: [lambda a: np.linalg.eigvalsh(spd(a))],
    np.linalg.svd: [lambda x: np.linalg.svd(x, full_matrices=False).S, lambda x: np.linalg.svd(x, compute_uv=False), lambda x: np.abs(np.linalg.svd(x, full_matrices=False).U), lambda x: np.linalg.svd(x).S],
    np.linalg.svdvals: [lambda x: np.linalg.svdvals(x)],
    np.linalg.qr: [lambda x: np.linalg.qr(x), lambda x: np.linalg.qr(x.T), lambda a: np.linalg.qr(a, mode="r")],
    np.linalg.pinv: [lambda x: np.linalg.pinv(x), lambda x: np.linalg.pinv(x.T, rcond=1e-10)],
    np.linalg.lstsq: [lambda x, v: np.linalg.lstsq(x.T, v), lambda x: np.linalg.lstsq(x.T, np.ones(4))[0], lambda x, a: np.linalg.lstsq(x, a)[0]],
    np.linalg.cond: [lambda a: np.linalg.cond(a), lambda a: np.linalg.cond(a, -2), lambda a: np.linalg.cond(a, 1), lambda a: np.linalg.cond(a, "fro")],
    np.linalg.norm: [lambda x: np.linalg.norm(x), lambda v: np.linalg.norm(v), *(lambda x, o=o: np.linalg.norm(x, o, axis=-1) for o in (None, 1, 2, 3, np.inf, -np.inf, 0)),
                     *(lambda a, o=o: np.linalg.norm(a, o) for o in ("fro", "nuc", 1, -1, 2, -2, np.inf)), lambda h: np.linalg.norm(h, axis=(0, -1), keepdims=True), lambda h: np.linalg.norm(h, "nuc", (0, 2))],
    np.linalg.vector_norm: [lambda x: np.linalg.vector_norm(x), lambda x: np.linalg.vector_norm(x, axis=0, ord=3, keepdims=True), lambda h: np.linalg.vector_norm(h, axis=(0, -1))],
    np.linalg.matrix_norm: [lambda h: np.linalg.matrix_norm(h), lambda a: np.linalg.matrix_norm(a, ord=1, keepdims=True)],
    np.linalg.matrix_power: [lambda a: np.linalg.matrix_power(a, 3), lambda a: np.linalg.matrix_power(a, -2), lambda a: np.linalg.matrix_power(a, 0)],
    np.linalg.multi_dot: [lambda x, a, v: np.linalg.multi_dot([a, x, v]), lambda a: np.linalg.multi_dot([a, np.ones((3, 2))])],
    np.linalg.tensorinv: [lambda a: np.linalg.tensorinv(a, ind=1)],
    np.linalg.tensorsolve: [lambda a, x: np.linalg.tensorsolve(a, x[:, 0])],
    # texts and memory: one for all examples
    **{f: [lambda x, f=f: (f(x), x)[1]] for f in (np.array2string, np.array_str, np.array_repr, np.isrealobj, np.iscomplexobj)},
    **{f: [lambda x, f=f: (f(x, x), x)[1]] for f in (np.shares_memory, np.may_share_memory)},
}
if hasattr(np, "matvec"):  # since NumPy 2.2
    CALLS[np.matvec] = [lambda x, v: np.matvec(x, v)]
    CALLS[np.vecmat] = [lambda x, v: np.vecmat(v, x.T)]
if hasattr(np, "astype"):
    CALLS[np.astype] = [lambda x: np.astype(x, np.float32)]

OURS: dict[str, list[Call]] = {
    **{f: one(getattr(ab, f)) for f in ("relu", "sigmoid", "softplus")},
    "leaky_relu": [*one(ab.leaky_relu), lambda s: ab.leaky_relu(s, np.full(3, 0.1))],
    **{f: [lambda x, f=f: getattr(ab, f)(x), lambda x, f=f: getattr(ab, f)(x, axis=0), lambda h, f=f: getattr(ab, f)(h, axis=(0, -1))] for f in ("softmax", "log_softmax")},
    "logsumexp": [lambda x: ab.logsumexp(x), lambda x: ab.logsumexp(x, axis=0), lambda h: ab.logsumexp(h, axis=(0, -1), keepdims=True)],
    "conv2d": [lambda im, ke: ab.conv2d(im, ke), lambda im, ke: ab.conv2d(im, ke, np.ones(3), stride=(1, 2), padding=1, dilation=(1, 2)), lambda im, ke: ab.conv2d(im[0], ke),
               lambda im, ke: ab.conv2d(im, ke[:2, :1], groups=2), lambda im, ke: ab.conv2d(im, ke, padding="same"), lambda im, ke, x: ab.conv2d(im, ke, x[:, 0])],
    "conv1d": [lambda se, ke: ab.conv1d(se, ke[:, :, 0]), lambda se, ke: ab.conv1d(se[0], ke[:, :, 0], stride=2, padding=1)],
    "max_pool2d": [lambda im: ab.max_pool2d(im, 2), lambda im: ab.max_pool2d(im[0], (2, 3), 1, padding=1), lambda im: ab.max_pool2d(im, 2, dilation=2), lambda im: ab.max_pool2d(im, 3, 2, ceil_mode=True), lambda im: ab.max_pool2d(im, 2, return_indices=True)],
    "avg_pool2d": [lambda im: ab.avg_pool2d(im, 2), lambda im: ab.avg_pool2d(im, 3, 2, 1, count_include_pad=False), lambda im: ab.avg_pool2d(im[0], 2, 1)],
    "adaptive_avg_pool2d": [lambda im: ab.adaptive_avg_pool2d(im, 1), lambda im: ab.adaptive_avg_pool2d(im, (3, 4))],
    "solve_triangular": [lambda a, x: ab.solve_triangular(a, x, lower=True), lambda a, x: ab.solve_triangular(a, x[:, 0], "T"), lambda a: ab.solve_triangular(a, np.ones(3), unit_diagonal=True)],
    "cho_solve": [lambda a, x: ab.cho_solve((np.linalg.cholesky(spd(a)), True), x)],
    "polygamma": [lambda p: ab.polygamma(2, p)],
    "stop_gradient": [lambda x: ab.stop_gradient(x)],
    "scan": [lambda x: ab.scan(lambda c, r: (c * r + 1, c), np.ones(4), x), lambda v, x: ab.scan(lambda c, r: (np.tanh(c + r), np.sum(c)), v, x), lambda s: ab.scan(lambda c, _: (c * c, c), s, length=3)],
    "remat": [lambda x, y: ab.remat(lambda x, y: np.sin(x) @ y.T)(x, y)],
}
#: What else the package has is no function of arrays, or is a transformation, tested elsewhere.
OTHERS = {"Tensor", "grad", "value_and_grad", "vjp", "jvp", "linearize", "jacobian", "hessian", "hvp", "vmap", "Triplets", "graph", "Graph", "draw", "play",
          "play_training", "compile", "check_gradients", "numerical_gradient", "custom", "no_grad", "scope", "detect_anomaly",
          "NoRuleError", "GradientError", "CaptureError", "PatternError"}

LOSSES = {
    "attention": [lambda sq, h: nn.scaled_dot_product_attention(sq, h, h), lambda sq: nn.scaled_dot_product_attention(sq, sq, sq, is_causal=True), lambda x, h: nn.scaled_dot_product_attention(x, h, h),
                  lambda x, y, b: nn.scaled_dot_product_attention(x, y, y, attn_mask=b[:, :3]), lambda x, a: nn.scaled_dot_product_attention(x, x, x, attn_mask=a)],
    "embedding": [lambda i, x: nn.embedding(i % 3, x), lambda k, x: nn.embedding(k, x, padding_idx=1), lambda x: nn.embedding([0, 2], x)],
    "cross_entropy": [lambda x, k: nn.cross_entropy(x[0], k), lambda x, j: nn.cross_entropy(x, j[:, 0]), lambda x, y: nn.cross_entropy(x, ab.softmax(y)), lambda x, k: nn.cross_entropy(x[0], k, label_smoothing=0.1, weight=np.arange(1.0, 5)),
                      lambda x, j: nn.cross_entropy(x, j[:, 0], reduction="none"), lambda x, j: nn.cross_entropy(x, j[:, 0], reduction="sum", ignore_index=1), lambda x, k: nn.nll(ab.log_softmax(x[0]), k)],
    "others": [lambda x, y: nn.mse(x, y), lambda x, y: nn.squared_error(x, y, half=True), lambda x, y: nn.huber(x, y), lambda x, y: nn.hinge(x, np.sign(y)), lambda x, y: nn.binary_cross_entropy_with_logits(x, ab.sigmoid(y)),
               lambda x, y: nn.binary_cross_entropy(ab.sigmoid(x), ab.sigmoid(y)), lambda x: nn.l2_penalty([x])],
    "one-hot": [lambda k: nn.one_hot(k, 4), lambda j: nn.one_hot(j, classes=2), lambda k: np.eye(4)[0] * (np.arange(4) == k), lambda k, x: np.sum(x * (np.arange(3) == k)[:, None]), lambda k: Tensor(np.eye(4), requires_grad=False)[k]],
}
OF_ONE = """erf erfc erfcx erfinv ndtr ndtri log_ndtr expit log_expit logit entr gamma gammaln psi digamma
            i0 i1 i0e i1e j0 j1 cbrt exp2 expm1 log1p"""
SPECIAL = {
    **{name: special_one(getattr(special, name)) for name in re.findall(r"\w+", OF_ONE)},
    **{name: special_two(getattr(special, name)) for name in ("xlogy", "xlog1py", "rel_entr", "betaln")},
    **{name: special_order(getattr(special, name)) for name in ("iv", "ive", "jv")},
}
# fmt: on


def name_of(f: Any) -> str:
    owner = getattr(f, "__self__", None)
    package = "special." if f in vars(special).values() and f not in vars(np).values() else ""
    package = "linalg." if f in vars(np.linalg).values() else package
    return package + (f"{owner.__name__}." if isinstance(owner, np.ufunc) else "") + f.__name__


def every() -> Iterator[tuple[str, list[Call]]]:
    for f, calls in CALLS.items():
        yield name_of(f), calls
    for group in (OURS, LOSSES, SPECIAL):
        yield from group.items()


#: As many results as the values ask for: `test_vmap.py` has their errors.
RAGGED = {np.nonzero, np.flatnonzero, np.argwhere}


def test_every_function_is_walked_over():
    known = {*CALLS, *RAGGED}
    lacking = [f for f in NUMPY if f not in known and f not in vars(special).values()]
    assert not list(map(name_of, lacking))
    assert set(ab.__all__) == {*OURS, *OTHERS}
    of_scipy = [f for f in NUMPY if f in vars(special).values() and f not in vars(np).values()]
    assert not [f.__name__ for f in of_scipy if f.__name__ not in SPECIAL]


# ── against the loop ──────────────────────────────────────────────────────────────────────────────


def plain(y: Any) -> np.ndarray:
    return y.numpy() if isinstance(y, Tensor) else np.asarray(y)


def loop(f: Call, args: list[Any], axes: tuple[Any, ...]) -> Any:
    rows = [f(*(a if k is None else a[n] for a, k in zip(args, axes, strict=True))) for n in range(N)]  # fmt: skip
    columns = zip(*([plain(y) for _, y in leaves(row)] for row in rows), strict=True)
    return refilled(rows[0], map(np.stack, columns))


def same(found: Any, expected: Any, what: str) -> None:
    pairs = list(zip(leaves(found), leaves(expected), strict=True))
    assert pairs, what
    for (path, y), (where, to) in pairs:
        y = plain(y)
        assert path == where, what
        assert y.shape == to.shape, f"{what}: shape {y.shape}, not {to.shape}"
        assert y.dtype == to.dtype, f"{what}: {y.dtype}, not {to.dtype}"
        np.testing.assert_allclose(y, to, 1e-9, 1e-11, err_msg=what)


def batchings(f: Call) -> Iterator[tuple[list[Any], tuple[Any, ...]]]:
    """The arguments, with the examples one alone and all together."""
    names = [p.name for p in inspect.signature(f).parameters.values() if p.default is p.empty]
    values = [ARGUMENTS[name] for name in names]
    each = [tuple(0 if i == k else None for i in range(len(names))) for k in range(len(names))]
    for axes in dict.fromkeys([*each, (0,) * len(names)]):
        yield [v if k == 0 else v[1] for v, k in zip(values, axes, strict=True)], axes


def total(y: Any) -> Any:
    """A number that all floating-point results have a part in."""
    parts = [np.sum(np.sin(z)) for _, z in leaves(y) if isinstance(z, Tensor) and z.dtype.kind == "f"]  # fmt: skip
    return sum(parts) if parts else None


def outcome(f: Call, args: list[Any], axes: tuple[Any, ...]) -> None:
    what = f"axes {axes}"
    same(vmap(f, axes)(*args), loop(f, args, axes), what)
    floats = tuple(i for i, a in enumerate(args) if np.asarray(a).dtype.kind == "f")
    if not floats:
        return

    def derivative(*xs: Any) -> Any:
        return grad(lambda *ys: total(f(*ys)), floats)(*xs)

    first = [a if k is None else a[0] for a, k in zip(args, axes, strict=True)]
    tensors = [Tensor(a) if i in floats else a for i, a in enumerate(first)]
    y = total(f(*tensors))
    if y is None or not y.requires_grad:
        return
    expected = loop(derivative, args, axes)
    same(vmap(derivative, axes)(*args), expected, f"{what}: gradients inside")
    outside = grad(lambda *xs: total(vmap(f, axes)(*xs)), floats)(*args)
    summed = [c if axes[i] == 0 else np.sum(c, axis=0) for c, i in zip(expected, floats, strict=True)]  # fmt: skip
    same(list(outside), summed, f"{what}: gradients outside")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "calls"), [pytest.param(n, c, id=n) for n, c in every()])
def test_vmap_gives_what_the_loop_gives(name: str, calls: list[Call]) -> None:
    for k, f in enumerate(calls):
        for args, axes in batchings(f):
            try:
                outcome(f, args, axes)
            except Exception as error:
                error.add_note(f"{name}, call {k}, axes {axes}")
                raise


# ── layers ────────────────────────────────────────────────────────────────────────────────────────

# fmt: off
LAYERS: dict[str, tuple[Any, str]] = {
    "Linear":      (lambda: nn.Linear(4, 3, rng=0), "x"),
    "MLP":         (lambda: nn.MLP([4, 5, 2], rng=0), "v"),
    "Conv2d":      (lambda: nn.Conv2d(2, 4, 3, padding=1, rng=0), "im"),
    "in groups":   (lambda: nn.Conv2d(2, 4, 2, groups=2, stride=2, rng=0), "im"),
    "Embedding":   (lambda: nn.Embedding(3, 4, padding_idx=1, rng=0), "j"),
    "LayerNorm":   (lambda: nn.LayerNorm((3, 4)), "x"),
    "BatchNorm":   (lambda: nn.BatchNorm2d(2).eval(), "im"),
    "MaxPool2d":   (lambda: nn.MaxPool2d(2, padding=1), "im"),
    "AvgPool2d":   (lambda: nn.AvgPool2d(2), "im"),
    "Adaptive":    (lambda: nn.AdaptiveAvgPool2d((1, 2)), "im"),
    "activations": (lambda: nn.Sequential(nn.ReLU(), nn.GELU(), nn.SiLU(), nn.Softplus(), nn.LeakyReLU(), nn.LogSoftmax()), "x"),
    "network":     (lambda: nn.Sequential(nn.Conv2d(2, 3, 2, rng=0), "relu", nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6, 2, rng=1)), "im"),
}
# fmt: on


@pytest.mark.parametrize("name", LAYERS)
def test_layers_with_shared_parameters_and_with_those_of_each_example(name: str) -> None:
    make, argument = LAYERS[name]
    layer, x = make(), ARGUMENTS[argument]
    shared = layer.state_dict()
    own = {k: np.stack([v * (1 + 0.1 * i) for i in range(N)]) for k, v in shared.items()}
    f = lambda p, x: np.sum(np.sin(nn.functional_call(layer, p, x)))
    for p, axis in ((shared, None), (own, 0)):
        derivative = grad(f, (0, 1) if x.dtype.kind == "f" else (0,))
        found = vmap(derivative, (axis, 0))(p, x)
        for i in range(N):
            one = {k: v[i] for k, v in p.items()} if axis == 0 else p
            pairs = zip(leaves(found), leaves(derivative(one, x[i])), strict=True)
            for (path, y), (_, to) in pairs:
                np.testing.assert_allclose(y[i], to, 1e-9, 1e-11, err_msg=path)


# ── kernels that go through a batch in parts ──────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 300, 2000, 1 << 20])
def test_stacks_of_convolutions_in_parts_of_any_size(size: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(convolution, "_CACHE", size)
    im, ke = ARGUMENTS["im"], ARGUMENTS["ke"]
    for f in (lambda x, w: ab.conv2d(x, w, stride=(1, 2)), lambda x, w: ab.conv2d(x[:1], w)):
        outcome(f, [im, ke], (0, 0))
    nested = vmap(vmap(ab.conv2d))(np.stack([im, im[::-1]]), np.stack([ke, ke]))
    each = loop(ab.conv2d, [im[::-1], ke], (0, 0))
    np.testing.assert_allclose(nested[1], each, 1e-12)


@pytest.mark.parametrize("scores", [1, 1 << 20])
def test_fused_attention_of_a_batch(scores: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(attention, "_MANY", 0)  # always one operation
    monkeypatch.setattr(kernels, "_SCORES", scores)
    q, k = ARGUMENTS["h"], ARGUMENTS["x"]
    mask = np.tri(3, dtype=bool)
    for f in (
        lambda q, k: nn.scaled_dot_product_attention(q, k, k, is_causal=True),
        lambda q, k: nn.scaled_dot_product_attention(q, k, k[:, :2], attn_mask=mask),
    ):
        for args, axes in ([[q, k], (0, 0)], [[q[0], k], (None, 0)], [[q, k[0]], (0, None)]):
            outcome(f, args, axes)
            pushed = lambda q, k, f=f: ab.jvp(f, (q, k), (np.cos(q), np.cos(k)))[1]
            same(vmap(pushed, axes)(*args), loop(pushed, args, axes), "jvp")
        pushed = lambda t, f=f: ab.jvp(f, (q[0], k[0]), (t, t[0]))[1]
        same(vmap(pushed)(q), loop(pushed, [q], (0,)), "tangents")
        y, pullback = ab.vjp(f, q[0], k[0])
        g = np.cos(np.stack([y * i for i in range(N)]))
        same(vmap(pullback)(g), loop(pullback, [g], (0,)), "cotangents")


def test_what_refusals_say_to_write_works() -> None:
    x, table = np.random.default_rng(0).standard_normal((N, 4)), np.arange(8.0).reshape(4, 2)
    row = lambda x: Tensor(table, requires_grad=False)[np.argmax(x)]
    same(vmap(row)(x), loop(lambda x: table[np.argmax(x)], [x], (0,)), "")
    whole = np.array([3, 1, 0, 2])
    found = vmap(lambda x: np.take_along_axis(whole, np.argmax(x)[None], 0)[0])(x)
    same(found, loop(lambda x: whole[np.argmax(x)], [x], (0,)), "")
    same(
        vmap(lambda s: np.broadcast_to(s, 3))(x[:, 0]),
        loop(lambda s: np.full(3, s), [x[:, 0]], (0,)),
        "",
    )


# ── what is refused ───────────────────────────────────────────────────────────────────────────────

RAGGED_ERROR = r"^vmap: {} of a batch gives as many results as the values of each example ask for"
# fmt: off
REFUSED: dict[str, tuple[Call, str]] = {
    **{f.__name__: (lambda x, f=f: f(x), RAGGED_ERROR.format(rf"np\.{f.__name__}")) for f in (np.nonzero, np.flatnonzero, np.argwhere, np.unique, np.unique_values, np.trim_zeros)},
    **{f.__name__: (lambda x, f=f: f(x, x), RAGGED_ERROR.format(rf"np\.{f.__name__}")) for f in (np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d)},
    "compress":    (lambda x: np.compress(x[0] > 0, x, axis=1), RAGGED_ERROR.format("np.flatnonzero")),
    "extract":     (lambda x: np.extract(x > 0, x), RAGGED_ERROR.format("np.flatnonzero")),
    "bincount":    (lambda x: np.bincount(np.argsort(x[0])), RAGGED_ERROR.format("np.bincount") + r".*use np.bincount\(x, minlength=4\)"),
    "piecewise":   (lambda x: np.piecewise(x, [x > 0], [lambda v: v - np.mean(v)]), "^vmap: <lambda> in np.piecewise gives an element a value that depends on the others.*write a function of one element"),
    "residuals":   (lambda x, s: np.linalg.lstsq(x.T[:, :2] * (s > 0), np.ones(4)), RAGGED_ERROR.format("the residuals of np.linalg.lstsq") + r".*np.linalg.pinv\(a\) @ b"),
    "insert":      (lambda x: np.insert(x, np.argmax(x[0]), 1.0), "^vmap: np.insert takes one place for all examples of a batch: use np.take"),
    "delete":      (lambda x: np.delete(x, np.argmax(x[0])), "^vmap: np.delete takes one place for all examples of a batch: use np.take"),
    "histogram":   (lambda x: np.histogram2d(x, x), "^vmap: np.histogram2d has no batching rule"),
    "fft":         (lambda x: np.fft.fft(x), "^vmap: np.fft.fft has no batching rule"),
    "eig":         (lambda x: np.linalg.eigvals(x[:, :3]), "^vmap: np.linalg.eigvals has no batching rule"),
    "out":         (lambda x: np.less(x, 0.0, np.empty((3, 4), bool)), r"^np.less\(out=.* has no rule"),
    "by name":     (lambda b: np.any(np.ones((3, 4)) > b, where=b), "^vmap: any takes no batch by keyword, as where="),
    "repeats":     (lambda x: np.repeat(x, np.argmax(x[0]), axis=0), "^vmap: the (value|array) of .* was asked for"),
    "sections":    (lambda x: np.linspace(0.0, 1.0, np.argmax(x[0])), "^vmap: the value of .* was asked for"),
    "table":       (lambda x: np.arange(4.0)[np.argmax(x[0])], r"^vmap: the value of .*as the index of a plain array or a list.*Tensor\(array, requires_grad=False\)\[i\]"),
    "list":        (lambda x: [1.0, 2.0, 3.0, 4.0][np.argmax(x[0])], r"^vmap: the value of .*as the index of a plain array or a list.*Tensor\(array, requires_grad=False\)\[i\]"),
    "take":        (lambda x: np.take(np.arange(4.0), np.argmax(x[0])), r"^vmap: the array of .*Tensor\(array, requires_grad=False\)\[i\] for array\[i\] or np.take"),
    "axis":        (lambda x: np.sum(x, axis=np.argmax(x[0])), "^vmap: the truth of .* was asked for"),
    "classes":     (lambda k: nn.one_hot(k), "^vmap: the value of .* was asked for"),
    "order":       (lambda s, x: special.jv(s, x), r"jv\(order=.* has no rule"),
    "accuracy":    (lambda x: nn.accuracy(x, [0, 1, 2]), "^vmap: "),
}
# fmt: on


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_for_a_batch_is_refused_by_name(name: str) -> None:
    f, message = REFUSED[name]
    for args, axes in batchings(f):
        if all(axis == 0 for axis in axes):
            with pytest.raises((TypeError, np.linalg.LinAlgError), match=message):
                vmap(f)(*args)
