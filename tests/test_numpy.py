"""NumPy's functions on Tensors: the values are NumPy's, and the derivatives are right.

Every line of a table is a row of NumPy expressions about the samples below. Each expression is run
on plain arrays and on Tensors, in float64 and float32, on arrays that are not contiguous, and with
each of its samples in turn the only Tensor among arrays and lists; each derivative is compared with
finite differences, in both modes and to the second order.
"""

from __future__ import annotations

import math
import re
import sys
from typing import Any

import numpy as np
import pytest

import autobp
from autobp import Tensor, check_gradients, grad, jvp, vjp
from autobp.primitive import NUMPY
from autobp.tree import leaves, transformed

# ── samples ───────────────────────────────────────────────────────────────────────────────────────

_rng = np.random.default_rng(20)


def _apart(*shape: int) -> np.ndarray:
    """Numbers of both signs and from −1.5 to 1.5, far from each other and from multiples of ½."""
    n = math.prod(shape)
    steps = (np.arange(n) + 0.5) / n * 3 - 1.5
    steps += 0.013 + 0.06 * (np.abs(2 * steps - np.round(2 * steps)) < 0.1)
    return _rng.permutation(steps).reshape(shape)


def _regular(*batch: int) -> np.ndarray:
    """Matrices far from singular ones."""
    return _rng.uniform(-1, 1, (*batch, 3, 3)) + 2.5 * np.eye(3)


# fmt: off
SAMPLES: dict[str, Any] = {
    "x": _apart(2, 3),         "y": _apart(2, 3) + 0.03,        # of both signs
    "p": _apart(2, 3) + 1.8,   "q": _apart(2, 3) + 1.9,         # positive
    "u": _apart(2, 3) * 0.6,   "h": _apart(2, 3) + 3.0,         # inside (−1, 1); above 1
    "z": np.array([[0.0, 1.2, -0.7], [0.0, 0.8, 0.0]]),         # with zeros
    "v": _apart(3),            "w": _apart(3) + 0.02,           # vectors
    "l": _apart(7),                                             # a long one
    "c": _apart(2, 3, 4),      "d": _apart(4, 3, 2) - 0.02,     # three axes
    "A": _regular(),           "B": _regular(),                 # matrices
    "T": _regular(2),          "U": _regular(2),                # batches of matrices
    "s": np.array(0.7),                                         # a number
    "o": _apart(1, 3),         "k": _apart(2, 1) + 0.04,        # with axes of one element
    "e": np.zeros((0, 3)),                                      # empty
}
# fmt: on


class _At:
    """What `t.at[i]` stands for, on arrays."""

    def __init__(self, array: Any, index: Any = ()) -> None:
        self.array, self.index = np.array(array), index

    def __getitem__(self, index: Any) -> _At:
        return _At(self.array, index)

    def set(self, value: Any) -> np.ndarray:
        self.array[self.index] = value
        return self.array

    def add(self, value: Any) -> np.ndarray:
        np.add.at(self.array, self.index, value)
        return self.array


VERSION = np.lib.NumpyVersion(np.__version__)
PLAIN_NAMES = {
    "at": lambda a: a.at if isinstance(a, Tensor) else _At(a),
    "np": np,
    "mask": SAMPLES["x"] > 0,
    "i": np.array([1, 0, 1, 1]),
    "j": np.array([[0, 2], [1, 1]]),
    **{name: getattr(autobp, name) for name in autobp.__all__},
}


class Expression:
    """A row's entry as a function of the samples that it names."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.code = compile(text, text, "eval")
        self.names = [n for n in SAMPLES if n in self.code.co_names]

    def __repr__(self) -> str:
        return self.text

    def __call__(self, *values: Any) -> Any:
        return eval(self.code, {**PLAIN_NAMES, **dict(zip(self.names, values, strict=True))})

    def bare(self, name: str) -> bool:
        """Whether a sample is only ever an argument by itself, for which a list will do."""
        uses = re.findall(rf"(.)\b{name}\b(.?)", " " + self.text)
        return all(before in "([ " and after in ",)]" for before, after in uses)

    def samples(self, form: Any = np.float64) -> list[Any]:
        return [transformed(form, SAMPLES[n]) for n in self.names]


def run(f: Expression, form: Any = None) -> tuple[list[Any], Any]:
    """The samples in some form, and the expression's value of them as plain arrays."""
    samples = f.samples(form or (lambda a: a))
    return samples, f(*samples)


def table(rows: str) -> Any:
    """The expressions of a table: separated by semicolons, or by the end of a line."""
    found = [e.strip() for line in rows.splitlines() for e in line.split("  #")[0].split(";")]
    return pytest.mark.parametrize("f", [Expression(e) for e in found if e], ids=repr)


# fmt: off
ELEMENTWISE = """
np.add(x, y);            x + y; x + 2; 2 + x; x + 0.5; [1, 2, 3] + x; x + np.arange(3); np.arange(3) + x; np.float32(2) + x; True + x; x + v; x + k; s + x; x + s; s + s; np.add(x, [[1], [2]])
np.subtract(x, y);       x - y; x - 2; 2 - x; np.arange(3) - x; v - x; k - o; s - x
np.multiply(x, y);       x * y; x * 2; 2 * x; x * [1, 2, 3]; np.arange(3) * x; np.float64(2) * x; x * k; k * o; s * x; x * x; x * mask
np.divide(x, p);         x / p; x / 2; 2 / p; [1, 2, 3] / p; x / s; s / p; np.true_divide(x, p)
np.power(p, y);          p ** y; p ** 2; p ** -1; p ** 0; p ** 0.5; p ** s; s ** y; 2 ** y; 2.0 ** y; [1, 2, 3] ** y; np.power(x, 3); np.power(x, 2); np.power(z, 2); np.power(x, [1, 2, 3]); np.power(z, [0, 1, 2]); x ** 1; x ** np.float64(3); np.pow(p, y); s ** 2; s ** s; 0 ** p; x ** mask
np.float_power(p, y);    np.float_power(p, 2); np.float_power(2, y); np.float_power(p, [1, 2, 3])
np.negative(x);          -x
np.positive(x);          +x
np.absolute(x);          abs(x); np.abs(x); np.fabs(x); abs(s)
np.exp(x);               np.exp2(x); np.expm1(x); np.exp(s); np.exp2(s); np.expm1(s)
np.log(p);               np.log2(p); np.log10(p); np.log1p(p); np.log(s); np.log2(s); np.log10(s); np.log1p(s)
np.logaddexp(x, y);      np.logaddexp2(x, y); np.logaddexp(x, 0); np.logaddexp2(0, x); np.logaddexp(s, v)
np.sqrt(p);              np.cbrt(p); np.square(x); np.reciprocal(p); np.sqrt(s); np.cbrt(s); np.square(s); np.reciprocal(s)
np.sin(x);               np.cos(x); np.tan(u); np.sin(s); np.cos(s); np.tan(s)
np.arcsin(u);            np.arccos(u); np.arctan(x); np.asin(u); np.acos(u); np.atan(x); np.arcsin(s); np.arccos(s); np.arctan(s)
np.arctan2(x, y);        np.atan2(x, 2); np.arctan2(1, y); np.arctan2(s, y)
np.hypot(x, y);          np.hypot(x, 2); np.hypot(1, y)
np.sinh(x);              np.cosh(x); np.tanh(x); np.sinh(s); np.cosh(s); np.tanh(s)
np.arcsinh(x);           np.arccosh(h); np.arctanh(u); np.asinh(x); np.acosh(h); np.atanh(u); np.arcsinh(s); np.arctanh(s)
np.maximum(x, y);        np.maximum(x, 0); np.maximum(0.1, x); np.maximum(x, v); np.maximum(s, x); np.maximum(s, 0.2)
np.minimum(x, y);        np.minimum(x, 0); np.minimum(0.1, x); np.minimum(x, k)
np.fmax(x, y);           np.fmin(x, y); np.fmax(x, 0); np.fmin(0.1, x)
np.clip(x, -1, 1);       np.clip(x, a_min=-1, a_max=None); np.clip(x, None, 0.1); np.clip(x, min=-1, max=1); np.clip(x, -p, q); x.clip(-1, 1); x.clip(0.1); x.clip(max=0.1); x.clip(-1, max=0.1); np.clip(x, [-1, 0, -0.4], 1); np.clip(s, 0, 1)
np.where(mask, x, y);    np.where(x > y, x, y); np.where(mask, x, 0); np.where(mask, 1, y); np.where(mask[0], v, x); np.where(True, x, s); np.where([True, False, True], x, 0.0)
np.mod(x, y);            x % y; x % 0.7; np.remainder(x, y); 2 % p; divmod(x, y); divmod(x, 0.7); divmod(2, p)
np.fmod(x, y);           np.fmod(x, 0.7); np.fmod(2, p)
np.deg2rad(x);           np.radians(x); np.rad2deg(x); np.degrees(x)
np.sinc(x);              np.sinc(z); np.sinc(x * 9); np.sinc(s)
np.copysign(x, y);       np.copysign(x, -1); np.copysign(1, y)
np.nan_to_num(x);        np.nan_to_num(x, nan=1.0); np.nan_to_num(x, copy=True, posinf=2); np.nan_to_num(x, True, 1.0)
np.conjugate(x);         np.conj(x); x.conj(); x.conjugate(); np.real(x); x.real
np.sign(x);              np.floor(x); np.ceil(x); np.trunc(x); np.rint(x); np.fix(x)
np.round(x);             np.round(x, 1); np.round(x, decimals=1); np.around(x); x.round(1); x.round()
np.heaviside(x, 0.5);    np.heaviside(x, y); np.heaviside(0.0, y); np.heaviside([0, 1, -1], y)
np.floor_divide(x, y);   x // y; x // 0.7; 2 // p
np.divmod(x, y);         np.divmod(x, 0.7); np.divmod(2, p)
np.add.outer(v, w);      np.multiply.outer(x, v); np.subtract.outer(v, 1.0); np.maximum.outer(v, w)
np.astype(x, np.float64); x.astype("float64"); np.copy(x); x.copy()
"""

REDUCTIONS = """
np.sum(x);               np.sum(x, where=mask); np.sum(x, 0, where=mask, initial=0.5); np.sum(c, (0, 2), where=c > 0, keepdims=True); np.sum(x, 0, None, None, False, 2, mask); np.add.reduce(x, 1, where=mask); np.sum(x, initial=np._NoValue); x.sum(); np.sum(x, 0); np.sum(x, axis=-1); np.sum(c, axis=(0, 2)); np.sum(c, (0, -1), keepdims=True); x.sum(1); x.sum(axis=(0, 1)); x.sum(0, keepdims=True); np.sum(x, axis=()); np.sum(s); np.sum(x, 0, None, None, True); np.sum(a=x); np.sum(c, np.int64(1)); np.sum(c, axis=(np.int64(0), 1))
np.mean(x);              np.mean(x, where=mask); np.mean(x, 1, where=[[True], [True]], keepdims=True); np.mean(c, (0, 2), where=c > -1); x.mean(); np.mean(x, 0); np.mean(x, axis=-1); np.mean(c, axis=(0, 2)); np.mean(c, (0, -1), keepdims=True); x.mean(1); x.mean(axis=0, keepdims=True); np.mean(s); np.mean(x, None); np.mean(c, np.int64(1))
np.var(x);               np.var(x, where=x > -1); np.var(c, (0, 2), where=c > -1, ddof=1); x.var(); np.var(x, 0); np.var(x, axis=-1, ddof=1); np.var(c, axis=(0, 2)); np.var(c, (0, -1), keepdims=True); x.var(1); np.var(x, 1, None, None, 1); np.var(x, correction=1); np.var(s); np.var(x, axis=0, mean=np.mean(x, axis=0, keepdims=True))
np.std(x);               np.std(x, where=x > -1); np.std(c, (0, 2), where=c > -1, keepdims=True); x.std(); np.std(x, 0); np.std(x, axis=-1, ddof=1); np.std(c, axis=(0, 2)); np.std(c, (0, -1), keepdims=True); x.std(1); np.std(x, 1, None, None, 1); np.std(x, correction=1)
np.prod(x);              np.prod(x, where=mask); np.prod(x, 0, where=mask, initial=2); x.prod(); np.prod(x, 0); np.prod(x, axis=-1); np.prod(c, axis=(0, 2)); np.prod(c, (0, -1), keepdims=True); x.prod(1); np.prod(z); np.prod(z, 0); np.prod(z, 1, keepdims=True); np.prod(s)
np.max(x);               np.max(x, where=mask, initial=-1); np.max(x, 0, initial=0.1); np.maximum.reduce(x, 1, where=mask, initial=-5.0); x.max(); np.max(x, 0); np.max(x, axis=-1); np.max(c, axis=(0, 2)); np.max(c, (0, -1), keepdims=True); x.max(1); np.amax(x, 1); np.max(s); np.max(x, 1, None, True)
np.min(x);               np.min(x, where=mask, initial=3); np.min(x, -1, initial=0.1, keepdims=True); x.min(); np.min(x, 0); np.min(x, axis=-1); np.min(c, axis=(0, 2)); np.min(c, (0, -1), keepdims=True); x.min(1); np.amin(x, 1); np.min(s)
np.ptp(x);               np.ptp(x, 0); np.ptp(x, axis=-1, keepdims=True); np.ptp(c, (0, 2))
np.cumsum(x);            x.cumsum(); np.cumsum(x, 0); np.cumsum(x, axis=-1); x.cumsum(1); np.cumsum(s); np.cumulative_sum(v); np.cumulative_sum(x, axis=1); np.cumulative_sum(x, axis=0, include_initial=True)
np.cumprod(x);           x.cumprod(); np.cumprod(s - 0.7, axis=0); np.cumprod(x, 0); np.cumprod(x, axis=-1); x.cumprod(1); np.cumprod(z); np.cumprod(z, 0); np.cumprod(z, 1); np.cumprod(s); np.cumulative_prod(v); np.cumulative_prod(x, axis=1); np.cumulative_prod(x, axis=0, include_initial=True)
np.median(x);            np.median(l); np.median(x, 0); np.median(x, axis=-1); np.median(c, axis=(0, 2)); np.median(c, (0, -1), keepdims=True); np.median(c, 1, keepdims=True); np.median(s)
np.average(x);           np.average(x, 0); np.average(x, axis=-1, weights=w); np.average(x, weights=p); np.average(x, 1, p, True); np.average(x, 0, [1, 3]); np.average(x, axis=1, weights=v + 2, keepdims=True); np.average(x, returned=True); np.average(c, axis=(0, 2)); np.average(c, axis=(0, 2), weights=d[:, 0].T + 4); np.average(c, axis=(2, 0), weights=d[:, 0] + 4)
np.add.reduce(x);        np.add.reduce(x, 1); np.add.reduce(x, axis=None); np.add.reduce(c, axis=(0, 2), keepdims=True); np.add.accumulate(x); np.add.accumulate(x, 1)
np.multiply.reduce(x);   np.multiply.reduce(x, axis=1); np.multiply.reduce(z, 0); np.multiply.accumulate(x); np.multiply.accumulate(x, axis=1)
np.maximum.reduce(x);    np.maximum.reduce(x, axis=-1, keepdims=True); np.minimum.reduce(x); np.minimum.reduce(x, axis=None)
np.logaddexp.reduce(x);  np.logaddexp.reduce(x, axis=1); np.logaddexp.reduce(x, axis=None)
"""

SHAPES = """
np.reshape(x, (3, 2));   np.reshape(x, 6); np.reshape(x, -1); np.reshape(x, [3, -1]); np.reshape(x, (3, 2), order="F"); np.reshape(c, (-1, 4), order="F"); x.reshape(3, 2); x.reshape((3, 2)); x.reshape(-1); x.reshape(3, 2, order="F"); x.reshape([6]); np.reshape(s, (1, 1)); np.reshape(x, shape=(3, 2))
np.ravel(x);             np.ravel(x, "F"); np.ravel(x, order="F"); x.ravel(); x.ravel("F"); x.flatten(); x.flatten("F"); np.ravel(s)
np.transpose(x);         np.transpose(c, (1, 2, 0)); np.transpose(c, axes=[2, 0, 1]); np.transpose(c, (-1, 0, 1)); x.T; c.T; c.mT; c.transpose(1, 2, 0); c.transpose((1, 2, 0)); c.transpose(); c.transpose(None); np.permute_dims(c, (1, 2, 0)); np.matrix_transpose(c); np.linalg.matrix_transpose(c); v.T
np.swapaxes(c, 0, 2);    np.swapaxes(c, -1, 0); c.swapaxes(0, 1)
np.moveaxis(c, 0, -1);   np.moveaxis(c, (0, 1), (-1, 0)); np.moveaxis(c, [2], [0]); np.moveaxis(c, source=-1, destination=0); np.moveaxis(c, np.int64(0), np.int64(1))
np.rollaxis(c, 2);       np.rollaxis(c, 0, 3); np.rollaxis(c, -1, 1)
np.squeeze(o);           np.squeeze(o, 0); np.squeeze(o, axis=(0,)); o.squeeze(); k.squeeze(-1); np.squeeze(s)
np.transpose(v, 0); np.diff(x, n=0, prepend=0.0); np.prod(s, 0); np.prod(s - 0.7, -1); softmax(np.zeros((5, 0, 0)) + s)
np.expand_dims(x, 0);    np.expand_dims(x, (0, -1)); np.expand_dims(x, axis=1); np.expand_dims(s, 0)
np.atleast_1d(s);        np.atleast_1d(x); np.atleast_2d(s); np.atleast_2d(v); np.atleast_2d(c); np.atleast_3d(s); np.atleast_3d(v); np.atleast_3d(x); np.atleast_3d(c); np.atleast_1d(s, x); np.atleast_2d(v, 1.0)
np.broadcast_to(v, (2, 3)); np.broadcast_to(s, 3); np.broadcast_to(s, np.int64(3)); np.broadcast_to(k, (4, 2, 3)); np.broadcast_to(o, shape=[2, 3]); np.broadcast_to(s, ())
np.broadcast_arrays(o, k); np.broadcast_arrays(v, k, s); np.broadcast_arrays(x, 1.0)
np.concatenate([x, y]);  np.concatenate((x, y), axis=1); np.concatenate([x, o], 0); np.concatenate([x, c], axis=None); np.concat([x, y], axis=-1); np.concatenate([x, [[1, 2, 3]]]); np.concatenate([[[1, 2, 3]], x]); np.concatenate(c); np.concatenate([x, s], None); np.concatenate([x])
np.append(x, y);         np.append(x, y, 0); np.append(x, [[1, 2, 3]], axis=0); np.append(1, x); np.append(v, 2.0); np.append([1, 2], v)
np.stack([x, y]);        np.stack((x, y), axis=1); np.stack([x, y], -1); np.stack([s, 2.0, s]); np.stack([v, [1, 2, 3]], axis=1); np.stack(c, axis=1)
np.vstack([x, v]);       np.vstack((v, w)); np.vstack([v, [1, 2, 3]]); np.vstack([s, s]); np.vstack(c)
np.hstack([x, y]);       np.hstack((v, w)); np.hstack([v, s]); np.hstack([[1], v]); np.hstack(c)
np.dstack([x, y]);       np.dstack((v, w)); np.dstack([x, [[1, 2, 3], [4, 5, 6]]])
np.column_stack([v, w]); np.column_stack((v, x.T)); np.column_stack([[1, 2, 3], v])
np.split(c, 2);          np.split(c, 2, axis=2); np.split(l, [2, 5]); np.split(l, (2, 2, 9)); np.split(c, [1], -1); np.split(l, [-2]); np.split(c, np.int64(2)); np.split(l, np.array([2, 5]))
np.array_split(l, 3);    np.array_split(c, 2, axis=1); np.array_split(l, [1, 3]); np.array_split(v, 5)
np.hsplit(c, 3);         np.hsplit(l, [3]); np.vsplit(c, 2); np.dsplit(c, 2); np.unstack(c); np.unstack(c, axis=1)
np.tile(x, 2);           np.tile(x, (2, 1)); np.tile(v, (2, 2)); np.tile(x, [2, 1, 2]); np.tile(c, 2); np.tile(s, 3); np.tile(A=x, reps=(1, 2)); np.tile(x, np.array([2, 1])); np.tile(x, (2, 0))
np.repeat(x, 2);         np.repeat(x, 2, 0); np.repeat(x, [1, 2], axis=0); x.repeat(2, axis=1); np.repeat(s, 3); np.repeat(s, 3, axis=0); np.repeat(s, 2, -1); np.repeat(x, [0, 1, 2], -1); np.repeat(x, [2])
np.roll(x, 1);           np.roll(x, -2, 1); np.roll(x, (1, 2), axis=(0, 1)); np.roll(x, [1, 2], [0, 1]); np.roll(x, 1, axis=(0, 1)); np.roll(x, shift=7); np.roll(s, 1); np.roll(x, np.array([1, 2]), (0, 1)); np.roll(c, 1, (0, 2))
np.flip(x);              np.flip(x, 0); np.flip(c, axis=(0, 2)); np.fliplr(x); np.flipud(c); np.flip(c, -1); np.flip(s)
np.rot90(x);             np.rot90(x, 2); np.rot90(x, -1); np.rot90(c, 1, (1, 2)); np.rot90(c, k=3, axes=[2, 0]); np.rot90(x, 4); np.rot90(c, 2, (0, 2))
np.pad(x, 1); np.pad(s, 1);           np.pad(x, (1, 2)); np.pad(x, ((1, 0), (0, 2))); np.pad(x, 1, constant_values=3.0); np.pad(x, 1, "constant"); np.pad(x, 1, constant_values=((1, 2), (3, 4))); np.pad(x, 2, "edge"); np.pad(x, 1, mode="reflect"); np.pad(x, 2, "symmetric"); np.pad(x, 4, "wrap"); np.pad(v, [2]); np.pad(x, np.int64(1)); np.pad(v, 5, "reflect")
np.diff(x);              np.diff(x, 2); np.diff(x, axis=0); np.diff(l, n=3); np.diff(v, prepend=0); np.diff(x, append=k); np.diff(x, axis=0, prepend=o, append=1.0); np.diff(v, 0); np.diff([1, 2, 4], prepend=s); np.diff(v, 4)
np.meshgrid(v, l);       np.meshgrid(v, [1, 2]); np.meshgrid(v, w, indexing="ij"); np.meshgrid(v, w, [1, 2], sparse=True); np.meshgrid(v); np.meshgrid(v, s)
"""

INDEXING = """
x[0];                    x[-1]; x[0, 1]; x[1, -1]; x[0][1]; v[2]; x[np.int64(1)]; x[()]; s[()]; x[np.array(1)]
x[:];                    x[1:]; x[::-1]; x[:, ::2]; x[..., -1]; x[:, 1:2]; l[5:1:-2]; x[:, :0]; x[...]; s[...]; c[..., 1:, ::-1]; c[1, ..., 0]; c[:, 1]; l[-3:]; l[10:]
x[None];                 x[:, None]; x[None, ..., None]; v[:, None, None]; s[None]; x[np.newaxis, 0]; s[..., None]
x[mask];                 x[~mask]; x[x > 0]; v[[True, False, True]]; x[:, [True, False, True]]; x[np.array([True, False])]; c[mask]; c[:, np.array([True, False, True])]; c[mask, 1]; x[True]; x[np.zeros((2, 3), bool)]; c[..., np.array([True, False, True, False])]
x[i];                    x[[0, 0, 1]]; x[[0, 1], [2, 2]]; x[i, i]; x[:, j]; x[j - 1, j]; l[j]; l[[]]; l[np.array([], int)]; l[-j]; x[[1]]; x[i[:, None], [0, 2]]; l[np.array([1, 1, 1])]; l[np.array([3])]
x[range(2), [1, 1]];     l[range(0, 6, 2)]; x[range(2), range(2)]; x[np.arange(2), 1]; x[[0, 1], 1]; x[range(0)]; x[(range(2), [0, 0])]
c[0, :, [1, 1]];         c[:, [0, 2], 1:3]; c[[0, 1], :, [1, 3]]; c[None, [0, 1], ..., 1]; c[..., [2, 2], :]; c[1, [0, 2]]; c[:, None, [1, 1]]; c[[1, 1], 1:, None, 0]; c[j % 2, :, j]; c[np.ix_([0, 1], [1, 1], [3])]; c[mask, None]; c[[True, False], 0]; c[:, j, ::2]; c[:, i - 1, ..., i]
at(x)[0].set(v);          at(x)[0, 1].set(s); at(x)[:, 1].set(2.0); at(x)[mask].set(0); at(x)[[0, 1], [1, 2]].set([5, 6]); at(l)[[1, 1, 2]].set(v); at(x)[...].set(k); at(x)[:, ::-1].set(y); at(x)[0].set([1, 2, 3]); at(l)[np.array([2, 2, 2])].set(v); at(x)[None, 0].set(v); at(s)[()].set(2.0); at(x)[mask].set(l[:1])
at(x)[0].add(v);          at(x)[0, 1].add(s); at(x)[:, 1].add(2.0); at(x)[mask].add(1); at(l)[[1, 1, 2]].add(v); at(x)[:, [0, 0]].add(k); at(x)[...].add(k); at(l)[j].add(1); at(x)[::-1].add(y); at(s)[()].add(2.0); at(x)[mask].add(l[:1])
np.take(x, [0, 5, 5]);   np.take(x, 1); np.take(x, [0, 0], axis=0); np.take(x, j, axis=1); np.take(x, i, 0); x.take([1, 2]); x.take([[1, 0]], axis=-1); np.take(x, 2, axis=1); np.take(x, [7, -9], mode="wrap"); np.take(x, [7, -9], mode="clip"); np.take(x, indices=[-1]); np.take(c, j, 1); np.take(x, []); np.take(l, range(3)); np.take(s, [0, -1], axis=0); np.take(s, 0, axis=-1); np.compress([True], s, axis=0)
np.take_along_axis(x, j, 1); np.take_along_axis(x, j, axis=-1); np.take_along_axis(x, np.array([[1, 0, 0]]), 0); np.take_along_axis(x, i, axis=None); np.take_along_axis(c, np.zeros((1, 3, 1), int), 2); np.take_along_axis(x, np.argsort(x), -1)
np.compress([True, False, True], x, axis=1); np.compress([0, 1, 1], x); np.compress([True, False], x, 0); x.compress([True, True, False]); x.compress([False, True], axis=0)
np.extract(mask, x);     np.extract([True, False, True], v)
np.diag(v);              np.diag(A); np.diag(x, 1); np.diag(v, k=-2); np.diag(x, -1); np.diag(x, 3); np.diagflat(x); np.diagflat(v, 1)
np.diagonal(x);          np.diagonal(c, 1, 0, 2); np.diagonal(c, offset=-1, axis1=1, axis2=2); A.diagonal(); x.diagonal(1); np.linalg.diagonal(T); np.linalg.diagonal(T, offset=1); np.diagonal(x, 5)
np.trace(A);             np.trace(x, 1); np.trace(c, 0, 1, 2); A.trace(); np.trace(c, offset=1, axis1=0, axis2=1); np.linalg.trace(T); np.linalg.trace(T, offset=-1)
np.tril(x);              np.triu(x); np.tril(c, 1); np.triu(c, -1); np.tril(A, k=-1); np.triu(v); np.tril(v)
np.sort(x);              np.sort(x, 0); np.sort(x, axis=None); np.sort(l, kind="stable"); np.sort(c, axis=1, stable=True); np.sort(l)[::-1]
np.partition(l, 3);      np.partition(x, 1, axis=1); np.partition(x, (0, 1), 1); np.partition(x, 2, axis=None); np.sort(np.partition(l, -2)[-2:])
"""

LINEAR_ALGEBRA = """
np.dot(A, B);            np.dot(v, w); np.dot(A, v); np.dot(v, A); np.dot(c, d.T.mT); np.dot(s, x); np.dot(x, 2); np.dot(x, A); np.dot(c, l[:4]); np.dot(v, d); x.dot(np.eye(3)); v.dot([1, 2, 3]); np.dot([1, 2, 3], v); np.dot(a=A, b=B)
np.matmul(A, B);         A @ B; A @ v; v @ A; v @ w; T @ U; T @ A; A @ T; T @ v; v @ T; x @ A; [1, 2, 3] @ A; A @ [1, 2, 3]; A @ np.eye(3); np.eye(3) @ A; np.linalg.matmul(A, B); T[:, None] @ U; o.T @ o; T[:1] @ U; v @ T[:, None]; x @ [[1], [2], [3]]; np.arange(3) @ A
np.vdot(v, w);           np.vdot(x, y); np.vdot(x, np.ones(6)); np.vdot(s, 2.0)
np.inner(v, w);          np.inner(x, A); np.inner(c, l[:4]); np.inner(s, x); np.inner(c, d.T); np.inner(v, [1, 2, 3]); np.inner(x, v); np.inner(v, x)
np.outer(v, w);          np.outer(x, v); np.outer(v, [1, 2]); np.outer([1, 2], v); np.linalg.outer(v, w); np.outer(s, v)
np.vecdot(x, v);         np.vecdot(c, d.T, axis=0); np.vecdot(x, y, axis=-1); np.linalg.vecdot(x, y); np.vecdot(x, [1, 2, 3]); np.linalg.vecdot(x, y, axis=0)
np.tensordot(c, d, 1);   np.tensordot(c, d[..., 0].T); np.tensordot(c, d, ([1], [1])); np.tensordot(c, d, axes=([0, 2], [2, 0])); np.tensordot(v, w, 0); np.tensordot(c, d, (1, 1)); np.tensordot(c, d, (np.int64(1), 1)); np.tensordot(c, d, np.int64(1)); np.tensordot(x, A, axes=1); np.tensordot(c, d, ((1, 2), (1, 0))); np.linalg.tensordot(x, y); np.tensordot(c, d, ([-1], [0])); np.tensordot(v, [1, 2, 3], 1); np.tensordot(s, s, 0)
np.einsum("ij,jk->ik", x, A); np.einsum("ij,jk", x, A); np.einsum("ii", A); np.einsum("ii->i", A); np.einsum("ij->ji", x); np.einsum("ij->", x); np.einsum("ij->j", x); np.einsum("ij,ij->", x, y); np.einsum("i,j", v, w); np.einsum("i,i", v, w); np.einsum("ba", x)
np.einsum("...ij,...jk->...ik", T, A); np.einsum("...ij,jk", T, A); np.einsum("...ii->...i", T); np.einsum("i...->...", c); np.einsum("...,...", x, v); np.einsum("...j,j...", v, A); np.einsum("...", x)
np.einsum("ij,jk,kl->il", x, A, B); np.einsum("i,ij,j->", v, A, w); np.einsum("i,i,i->i", v, w, v); np.einsum("bij,bjk,k->bi", T, U, v); np.einsum("a,b,c->abc", v, w, v); np.einsum("ij,jk,kl->il", x, A, B, optimize=True)
np.einsum("iij->j", T.T); np.einsum("ii,jj->ij", A, B); np.einsum("iji->j", T.swapaxes(0, 1)); np.einsum("ii,ij->j", A, B); np.einsum("ii,i->i", A[:1, :1], v); np.einsum("iii->i", np.broadcast_to(A, (3, 3, 3))); np.einsum("ij,kj->ki", x, A, optimize="greedy"); np.einsum("i,->i", v, s); np.einsum(" i j , j -> i ", x, v); np.einsum("ij,j->ij", k, v); np.einsum("ij,ij->ij", k, x); np.einsum("ij,ij->i", k, x); np.einsum("ij,ji", o, k.T @ x)
np.einsum(x, [0, 1], A, [1, 2], [0, 2]); np.einsum(x, [0, 1], A, [1, 2]); np.einsum(T, [..., 0, 1], v, [1], [..., 0]); np.einsum(A, [0, 0]); np.einsum(x, [1, 0]); np.einsum("ij,j", x, [1, 2, 3]); np.einsum("i,ij", [1, 2], x)
np.kron(x, A);           np.kron(v, w); np.kron(x, v); np.kron(v, x); np.kron(s, x); np.kron([1, 2], v); np.kron(c, x); np.kron(x, [1, 2])
np.cross(v, w);          np.cross(x, v); np.cross(x, y); np.cross(x.T, y.T, axis=0); np.cross(x.T, y, axisa=0); np.cross(x, y, axisc=0); np.linalg.cross(x, y); np.cross(v, [1, 2, 3]); np.cross([1, 2, 3], v); np.linalg.cross(x.T, y.T, axis=0); np.cross(c, v, 1, 0, 0)
np.linalg.norm(x);       np.linalg.norm(v); np.linalg.norm(c); np.linalg.norm(x, axis=0); np.linalg.norm(x, axis=1, keepdims=True); np.linalg.norm(c, axis=(0, 2)); np.linalg.norm(x, keepdims=True); np.linalg.norm(x, None, -1); np.linalg.norm(x, axis=(1,)); np.linalg.norm(s); np.linalg.norm(x, axis=np.int64(1)); np.linalg.norm(c, axis=(-1, 0))
np.linalg.norm(v, 1);    np.linalg.norm(v, 2); np.linalg.norm(v, 3); np.linalg.norm(v, 0); np.linalg.norm(v, -1); np.linalg.norm(v, -2); np.linalg.norm(v, np.inf); np.linalg.norm(v, -np.inf); np.linalg.norm(v, 0.5); np.linalg.norm(v, 2.5, keepdims=True); np.linalg.norm(x, 1, axis=0); np.linalg.norm(x, 3, 1, True); np.linalg.norm(x, np.inf, axis=-1); np.linalg.norm(c, 2, axis=1)
np.linalg.norm(x, "fro"); np.linalg.norm(x, 1); np.linalg.norm(x, -1); np.linalg.norm(x, np.inf); np.linalg.norm(x, -np.inf); np.linalg.norm(x, 1, keepdims=True); np.linalg.norm(c, np.inf, axis=(0, 2)); np.linalg.norm(c, 1, axis=(-1, 1), keepdims=True); np.linalg.norm(c, "fro", (1, 2)); np.linalg.norm(c, -1, axis=(2, 0))
np.linalg.vector_norm(x); np.linalg.vector_norm(x, axis=0); np.linalg.vector_norm(c, axis=(0, 2), ord=3, keepdims=True); np.linalg.vector_norm(c, keepdims=True); np.linalg.vector_norm(c, ord=1); np.linalg.matrix_norm(c); np.linalg.matrix_norm(c, ord=1); np.linalg.matrix_norm(x, keepdims=True); np.linalg.vector_norm(x, ord=np.inf); np.linalg.vector_norm(x, axis=-1, ord=0)
np.linalg.inv(A);        np.linalg.inv(T); np.linalg.inv(T[:, None]); np.linalg.inv(a=A)
np.linalg.solve(A, v);   np.linalg.solve(A, B); np.linalg.solve(T, U); np.linalg.solve(T, A); np.linalg.solve(A, T); np.linalg.solve(T, v); np.linalg.solve(A, x.T); np.linalg.solve(A, [1, 2, 3]); np.linalg.solve(np.eye(3), v); np.linalg.solve(T, x[..., None]); np.linalg.solve(T[:1], U)
np.linalg.det(A);        np.linalg.det(T); np.linalg.slogdet(A); np.linalg.slogdet(T); np.linalg.slogdet(-A)
np.linalg.cholesky(A @ A.T); np.linalg.cholesky(T @ T.mT); np.linalg.cholesky(A @ A.T, upper=True)
np.linalg.matrix_power(A, 2); np.linalg.matrix_power(A, 3); np.linalg.matrix_power(A, 0); np.linalg.matrix_power(A, 1); np.linalg.matrix_power(A, -2); np.linalg.matrix_power(T, 5); np.linalg.matrix_power(T, 0)
np.linalg.multi_dot([x, A, B]); np.linalg.multi_dot([v, A, B, w]); np.linalg.multi_dot((v, A)); np.linalg.multi_dot([A, np.eye(3), v])
"""

EDGES = """
e + 1;                   e * v; e + e; np.exp(e); np.where(e > 0, e, 0); np.maximum(e, 0); np.clip(e, 0, 1); e ** 2; -e
np.sum(e);               np.sum(e, 0); np.sum(e, 1); np.prod(e); np.prod(e, 0); np.max(e, 1); np.mean(e, axis=1); np.cumsum(e); np.cumsum(e, 1); np.cumprod(e, 0); np.cumprod(e); np.var(e, 1); np.linalg.norm(e); np.linalg.norm(e, axis=0); np.std(e, axis=1); np.sort(e); np.ptp(e, 1)
e.T;                     np.reshape(e, (3, 0)); np.ravel(e); np.concatenate([e, o]); np.concatenate([e, e], 1); np.stack([e, e]); np.broadcast_to(e[:, :1], (2, 0, 5)); np.pad(e, 1); np.diff(e); np.tile(e, 2); np.repeat(e, 2, 1); np.roll(e, 1); np.flip(e); np.split(e, 3, 1); np.expand_dims(e, 0); np.rot90(e); np.array_split(e, 2)
e[:, 0];                 e[e > 0]; e[[]]; e[..., None]; e[:, [1, 1]]; e[::-1]; np.take(e, [1, 2], axis=1); at(e)[:, 0].set(1.0); at(e)[:, [0, 0]].add(s); np.diagonal(e); np.trace(e); np.tril(e)
e @ A;                   A @ e.T; e.T @ e; e @ v; np.dot(e, v); np.einsum("ij,jk->ik", e, A); np.einsum("ij->j", e); np.einsum("ij,kj->j", e, v[None]); np.einsum("ij,ij->j", e, v[None]); np.einsum("ij,ij->", v[None], e); np.tensordot(e, A, 1); np.kron(e, v); np.inner(e, v); np.outer(e, v); np.linalg.solve(A, e.T); np.linalg.inv(T[:0]); np.linalg.det(T[:0]); np.cross(e, v)
o + k;                   np.sum(o, 0); np.sum(o, 1); np.max(o, 0); np.mean(k, 1); np.prod(k, 1); np.var(o, 0); np.cumsum(o, 0); np.cumprod(k, 1); o * o; k @ o; o @ A; np.sort(o, 0); np.median(o, axis=0); np.linalg.norm(k, axis=0); np.diff(o, axis=0); np.ptp(o, axis=1); softmax(o); logsumexp(k)
"""

NEURAL = """
relu(x);                 relu(s); relu([1.0, -2.0] * x[:, :2])
leaky_relu(x);           leaky_relu(x, 0.2); leaky_relu(x, negative_slope=0.3); leaky_relu(s); leaky_relu(x, s); leaky_relu(x, v); leaky_relu([1.0, -2.0, 0.5], s)
sigmoid(x);              sigmoid(x * 9); sigmoid(s)
softplus(x);             softplus(x * 9); softplus(s)
softmax(x);              softmax(x, 0); softmax(x, axis=None); softmax(c, axis=(0, 2)); softmax(v)
log_softmax(x);          log_softmax(x, 0); log_softmax(x, axis=None); log_softmax(c, axis=(0, 2))
logsumexp(x);            logsumexp(x, 0); logsumexp(x, axis=1, keepdims=True); logsumexp(c, axis=(0, -1)); logsumexp(s); logsumexp(s, axis=0); logsumexp(x, axis=1, b=p); logsumexp(x, b=q, keepdims=True)
"""

DECOMPOSITIONS = """
np.linalg.eigh(A + A.T);  np.linalg.eigh(T + T.mT); np.linalg.eigh(A + A.T, UPLO="U"); np.linalg.eigh(A + A.T)[0]; np.linalg.eigvalsh(T + T.mT); np.linalg.eigvalsh(A + A.T, "U")
np.linalg.svd(A);         np.linalg.svd(T); np.linalg.svd(x, full_matrices=False); np.linalg.svd(c, False); np.linalg.svd(x, compute_uv=False); np.linalg.svdvals(c)
np.linalg.qr(A);          np.linalg.qr(d); np.linalg.qr(c); np.linalg.qr(x, mode="r"); np.linalg.qr(x, "complete")
np.linalg.pinv(A);        np.linalg.pinv(x); np.linalg.pinv(d, rcond=1e-12); np.linalg.pinv(x, rtol=1e-9); np.linalg.pinv(x, rtol=None)
np.linalg.lstsq(x.T, v);  np.linalg.lstsq(x, x[:, :2])[0]; np.linalg.lstsq(A, B); np.linalg.lstsq(x.T, [1, 2, 4])
np.linalg.norm(x, 2);     np.linalg.norm(x, -2); np.linalg.norm(x, "nuc"); np.linalg.norm(c, "nuc", axis=(0, 2)); np.linalg.norm(c, 2, (2, 0), True); np.linalg.matrix_norm(c, ord=2); np.linalg.matrix_norm(T, ord="nuc", keepdims=True)
np.linalg.cond(A);        np.linalg.cond(T, 2); np.linalg.cond(x, -2); np.linalg.cond(A, 1); np.linalg.cond(A, "fro")
np.linalg.tensorinv(A[:, None], 1); np.linalg.tensorinv(A.reshape(3, 1, 3, 1)); np.linalg.tensorsolve(A.reshape(3, 1, 3), v[:, None]); np.linalg.tensorsolve(A[:, :, None], v[:, None], axes=(1,))
solve_triangular(A, v);   solve_triangular(T, U, lower=True); solve_triangular(A, v, trans="T"); solve_triangular(A, v, unit_diagonal=True); cho_solve((A, False), v); cho_solve((T, True), U)
"""

STATISTICS = """
np.nansum(x);             np.nansum(x, 0); np.nansum(c, axis=(0, 2), keepdims=True); np.nanprod(x); np.nanprod(x, axis=1)
np.nanmean(x);            np.nanmean(x, 0); np.nanmean(c, axis=(0, 2), keepdims=True); np.nanmax(x, 0); np.nanmax(x); np.nanmin(c, axis=(0, 2)); np.fmax.reduce(x); np.fmin.reduce(x, axis=None)
np.nanvar(x);             np.nanvar(x, axis=1, ddof=1); np.nanstd(x, 0, keepdims=True); np.nanstd(x, correction=1); np.nanvar(x, mean=0.5)
np.nancumsum(x);          np.nancumsum(x, 1); np.nancumprod(x, axis=0); np.nanmedian(x); np.nanmedian(c, (0, 2))
np.quantile(x, 0.3);      np.quantile(x, [0.1, 0.5, 0.9], axis=1); np.quantile(c, 0.7, axis=(0, 2), keepdims=True); np.quantile(l, [[0.1, 1]]); np.quantile(l, 0.3, method="lower"); np.quantile(l, 0.3, method="higher"); np.quantile(l, 0.3, method="nearest"); np.quantile(l, 0.3, method="midpoint"); np.quantile(l, 0.3, method="hazen"); np.quantile(l, 0.3, method="weibull"); np.quantile(l, 0.3, method="median_unbiased"); np.quantile(l, 0.3, method="normal_unbiased"); np.quantile(l, 0.3, method="interpolated_inverted_cdf"); np.quantile(x, s)
np.percentile(x, 30);     np.percentile(x, [10, 50], 0); np.nanquantile(x, 0.3, 1); np.nanpercentile(x, [30, 70], axis=0, keepdims=True)
np.cov(x);                np.cov(v); np.cov(v, w); np.cov(x, y); np.cov(x, rowvar=False); np.cov(x, bias=True); np.cov(x, ddof=0); np.cov(x, fweights=[1, 3, 2]); np.cov(x, aweights=[0.1, 0.3, 0.2]); np.cov(x, fweights=[1, 3, 2], aweights=[0.1, 0.3, 0.2])
np.corrcoef(c[0]);        np.corrcoef(l[:3], l[3:6]); np.corrcoef(c[0], rowvar=False)
"""

SIGNALS = """
np.interp(s, [0, 1, 2], v); np.interp(x, [-1, 0.3, 1.1], v); np.interp(x, np.sort(l), l); np.interp(x, [-1, 0.3, 1.1], v, -3, 4); np.interp(x, [-1, 0.3, 0.8], v, period=2.1); np.interp(x, [0.3], [1.0]); np.interp([0.5, 1.5], [0, 1, 2], v)
np.trapezoid(x);          np.trapezoid(x, axis=0); np.trapezoid(x, dx=0.3); np.trapezoid(x, v); np.trapezoid(x, y); np.trapezoid(x, dx=s); np.trapezoid([1, 2, 4], v)
np.gradient(l);           np.gradient(l, 0.5); np.gradient(l, s); np.gradient(c); np.gradient(c, 0.5, 2, 3); np.gradient(c, axis=1); np.gradient(c, axis=(0, 2)); np.gradient(l, edge_order=2); np.gradient(x, np.cumsum(v + 2), axis=1, edge_order=2); np.gradient(x, [0, 1, 3], axis=1)
np.convolve(v, l);        np.convolve(l, v, "same"); np.convolve(v, l, "valid"); np.convolve(l, [1, 2]); np.convolve(s, v)
np.correlate(l, v);       np.correlate(l, v, "same"); np.correlate(v, l, "full"); np.correlate(v, l, "same"); np.correlate(l, [1, 2], "full")
np.polyval(v, x);         np.polyval([1, 2, 3], x); np.polyval(v, 2); np.vander(v); np.vander(v, 4, True); np.vander(v, N=2)
np.polyadd(v, l);         np.polyadd([1, 2, 3, 4], v); np.polyadd(s, v); np.polysub(v, [1, 2]); np.polyder(l); np.polyder(v, 2); np.polyder(v, 5); np.polyint(v); np.polyint(v, 2, [1, 2]); np.polyint(v, 2, 1)
np.polyfit(np.sort(l), np.sin(l), 2); np.polyfit([0, 1, 3], v, 1); np.polyfit([0, 1, 3], x.T, 1); np.polyfit(v, [1, 2, 4], 2); np.polyfit([0, 1, 3], v, 1, w=w + 3); np.polyfit([0, 1, 3], x.T, 1, w=[1, 2, 1])
np.linspace(s, 2);        np.linspace(s, 2, 4, endpoint=False); np.linspace(v, w, 3, axis=1); np.linspace(0, v, 3, retstep=True); np.linspace(v, 2, 1); np.logspace(s, 1.5, 4); np.logspace(v, 2, 3, base=2); np.geomspace(p, 7, 3); np.geomspace(-p, -7, 3, axis=1)
np.i0(x); np.unwrap(l * 9);         np.unwrap(c * 9, axis=0); np.unwrap(l * 9, period=4); np.ediff1d(x); np.ediff1d(x, 1.0, [2.0, 3.0]); np.ediff1d(l, v)
np.maximum.accumulate(l); np.maximum.accumulate(c, axis=1); np.minimum.accumulate(x, 1); np.minimum.accumulate(l); np.logaddexp.accumulate(l); np.logaddexp.accumulate(x, axis=1)
"""

SELECTION = """
np.select([mask, x > 1], [x, y]); np.select([mask], [x], 2.0); np.select([mask, mask], [x, v], 1); np.select([mask[0]], [x], 1)
np.choose([0, 1, 0], [x, y]); np.choose([0, 7, -1], (x, v), mode="wrap"); np.choose([[5]], [x, y], mode="clip"); np.choose(1, [x, v])
np.piecewise(x, [x < 0, x >= 0], [lambda t: -t, lambda t: t * t]); np.piecewise(x, [x < 0], [lambda t: -t, 3]); np.piecewise(v, v < 0, [2, lambda t, k: t * k], 3); np.piecewise(v, [v < 0], [np.exp])
np.delete(x, 1);          np.delete(x, [0, 2], axis=1); np.delete(x, 0, 0); np.delete(l, slice(2, 5)); np.delete(l, [True] + [False] * 6)
np.insert(l, 2, s);       np.insert(l, [1, 4], [5, 6]); np.insert(x, 1, 7, axis=1); np.insert(x, [0, 2], v, axis=0); np.insert(x, 1, v, axis=0); np.insert(v, 1, w); np.insert(x, 3, 1); np.insert(x, [1], k, axis=1); np.insert(x, -1, x[:, 0], axis=1)
np.bincount([0, 1, 1], v); np.bincount([3, 0, 0], weights=v, minlength=6); np.append(x, y, 0);
np.block([[+x, +k], [+o, 1.0]]); np.block([+v, 2, +w]); np.block(+x); np.block([[+A, +B], [+B, +A]]); np.block([+x])
np.full_like(x, x[0]); np.full_like(s, s); np.resize(x, (4, 2)); np.resize(v, 8); np.ldexp(x, 2); np.ldexp(x, [1, 2, -1])
np.lib.stride_tricks.sliding_window_view(l, 3); np.lib.stride_tricks.sliding_window_view(x, (2, 2)); np.lib.stride_tricks.sliding_window_view(c, 2, axis=1); np.lib.stride_tricks.sliding_window_view(c, (2, 3), axis=(0, -1))
np.modf(x);               np.real_if_close(x); np.imag(x); np.angle(x); np.angle(x, deg=True)
"""

# What came to NumPy after the oldest version that is served.
LATER = {
    "2.1.1": 'np.reshape(x, (3, 2), "F")',
    "2.2.0": "np.matvec(T, v); np.matvec(A, x); np.vecmat(v, T); np.vecmat(x, A)",
    "2.3.0": "np.take_along_axis(x, j)",
    "2.4.0": "np.pad(x, {0: 1, -1: (2, 0)})",
}

# Plain arrays, numbers and truth values by design: what does not vary smoothly.
CONSTANTS = """
x == y;                  x != y; x < y; x <= y; x > y; x >= y; x > 0; 0 < x; x == [1, 2, 3]; np.ones(3) >= x; s > 0; x == x; s == 0.7
np.equal(x, y);          np.not_equal(x, y); np.less(x, 0); np.less_equal(0, x); np.greater(x, y); np.greater_equal(x, v)
np.logical_and(x, z);    np.logical_or(x, z); np.logical_xor(x, z); np.logical_not(z)
np.isnan(x);             np.isinf(x); np.isfinite(x); np.isneginf(x); np.isposinf(x); np.signbit(x); np.isreal(x); np.iscomplex(x); np.isrealobj(x); np.iscomplexobj(x); np.isfinite(s)
np.isclose(x, y);        np.isclose(x, 0.07, rtol=1); np.allclose(x, x); np.allclose(x, y, atol=9); np.array_equal(x, x); np.array_equiv(x, y); np.isin(x, z); np.isin([0.0, 1], z)
np.all(z);               np.all(z, 0); np.all(z, axis=1, keepdims=True); z.all(); np.any(z); np.any(z, 0); z.any(axis=1); np.count_nonzero(z); np.count_nonzero(z, axis=0); np.count_nonzero(z, 1, keepdims=True)
np.argmax(x);            np.argmax(x, 0); np.argmax(x, axis=-1); x.argmax(); x.argmax(1); np.argmax(x, 1, keepdims=True); np.nanargmax(x, 1)
np.argmin(x);            np.argmin(x, 0); np.argmin(x, axis=-1); x.argmin(); x.argmin(0); np.nanargmin(x)
np.argsort(x);           np.argsort(x, 0); np.argsort(x, axis=None); x.argsort(); np.argsort(x, kind="stable"); np.argpartition(l, 3)[3]; l.argpartition(0)[0]; np.lexsort((v, w)); np.linalg.matrix_rank(x)
np.nonzero(z);           z.nonzero(); np.flatnonzero(z); np.argwhere(z); np.where(z > 0); np.where(z)
np.searchsorted(np.sort(l), v); np.searchsorted([-1, 0, 1], x); np.searchsorted([-1, 0, 1], s, side="right"); np.sort(l).searchsorted(0.1); np.digitize(x, [-1, 0, 1])
np.shape(x);             np.ndim(x); np.size(x); np.size(x, 0); np.result_type(x, np.float32); x.shape; x.ndim; x.size; x.dtype; x.nbytes; len(x)
np.zeros_like(x);        np.ones_like(x); np.zeros_like(x, dtype=int); np.empty_like(x) * 0; np.shape(np.empty_like(x)); np.zeros_like(s)
np.array2string(v);      np.array_str(v); np.array_repr(v); np.array2string(v, precision=2); np.may_share_memory(x, y); np.shares_memory(x, y)
x[0, 0].item(); s.item(); x.tolist(); s.tolist(); bool(s)
"""

# What NumPy refuses, Tensors must refuse as well.
REFUSED = """
x + l; x @ y; A @ s; s @ A; x ** l; np.add(x); np.clip(x, l, 1); np.clip(x, 0, 1, min=1); np.where(mask, x); np.where(mask, x, l); np.round(x, 0.5); np.heaviside(x)
np.sum(x, 2); np.sum(x, (0, 0)); np.sum(x, axis=(0, -2)); np.max(e); np.max(e, 0); np.min(e); np.argmax(e); np.mean(x, 5); np.cumsum(s, 1); np.cumprod(s, -2); np.cumsum(x, 2); np.cumulative_sum(x); np.prod(x, -3); np.median(x, 2); np.average(x, weights=v); np.average(x, 0, weights=v); np.average(x, axis=(0, 1), weights=v); np.ptp(e); np.var(x, 3)
np.reshape(x, 5); np.reshape(x, (-1, -1)); np.reshape(x, 6, "Q"); np.transpose(c, (0, 1)); np.transpose(c, (0, 1, 1)); np.swapaxes(c, 0, 3); np.moveaxis(c, 0, 3); np.moveaxis(c, (0, 1), 0); np.moveaxis(c, (0, 0), (1, 2)); np.rollaxis(c, 5); np.squeeze(x, 0); np.expand_dims(x, 4); np.expand_dims(x, (0, 0)); np.broadcast_to(x, (3,)); np.broadcast_arrays(x, l); np.matrix_transpose(v)
np.concatenate([x, v]); np.concatenate([x, l[None]]); np.concatenate([s, s]); np.concatenate([x, c], 0); np.concatenate([x, y], 2); np.stack([x, v]); np.stack([x, y], 4); np.vstack([x, l]); np.hstack([x, v]); np.dstack([x, v]); np.column_stack([v, l]); np.split(l, 2); np.split(x, 2, 5); np.array_split(l, 0); np.hsplit(s, 1); np.vsplit(v, 1); np.dsplit(x, 1); np.unstack(s); np.unstack(x, axis=2)
np.tile(x, -1); np.repeat(x, -1); np.repeat(x, [1, 2, 3]); np.repeat(x, [1, 2, 3], 0); np.roll(x, (1, 2), (0, 1, 1)); np.roll(x, 1, 2); np.flip(x, 2); np.fliplr(v); np.rot90(v); np.rot90(x, 1, (0, 0)); np.rot90(x, 1, (0, 2)); np.hsplit(s, 2); np.dsplit(v, 1); np.dsplit(s, 1); np.repeat(s, 2, 1); np.pad(x, -1); np.pad(x, 1.5); np.pad(x, ((1, 1), (1, 1), (1, 1))); np.pad(x, 1, "nonsense"); np.pad(e, 1, "edge"); np.diff(s); np.diff(x, -1); np.diff(x, 1, 2); np.diff(x, prepend=v); np.meshgrid(v, indexing="no")
x[2]; x[0, 3]; x[0, 0, 0]; x[1.0]; x["a"]; x[[0, 2]]; x[mask.T]; x[:, mask]; x[..., ...]; s[0]; x[[True]]; x[None, 0, 0, 0]; np.take(x, 6); np.take(x, 2, 0); np.take(s, 0, 1); np.take(x, 0, mode="no"); np.take_along_axis(x, i, 0); np.take_along_axis(x, j, 2); np.take_along_axis(x, np.array([[3]]), 1); np.compress([0, 0, 1], x, 0); np.compress([[1]], x); np.diag(s); np.diag(c); np.diagonal(v); np.diagonal(c, 0, 1, 1); np.trace(v); np.linalg.diagonal(v); np.tril(s); np.sort(x, 2); np.sort(s); np.partition(x, 3); np.argsort(x, 5)
np.dot(x, y); np.dot(v, l); np.dot(c, l); np.vdot(v, l); np.inner(x, l); np.linalg.outer(x, v); np.vecdot(v, l); np.tensordot(x, y, 1); np.tensordot(x, y, 3); np.tensordot(x, y, ([0], [0, 1])); np.tensordot(x, y, ([0], [5])); np.cross(v, l); np.linalg.cross(x[:, :2], y[:, :2])
np.einsum("ij,jk", x, y); np.einsum("ij", v); np.einsum("i,i", v, l); np.einsum("ij->k", x); np.einsum("ij->ii", x); np.einsum("i", x); np.einsum("i,i,i", v, v); np.einsum("ii", x); np.einsum("i?", x); np.einsum("...i->i", x)
np.linalg.norm(c, 2); np.linalg.norm(x, 3); np.linalg.norm(x, "no"); np.linalg.norm(v, "fro"); np.linalg.norm(x, axis=3); np.linalg.norm(c, axis=(0, 1, 2)); np.linalg.norm(x, 1, axis=(0, 5)); np.linalg.norm(c, "fro"); np.linalg.norm(x, "fro", axis=0); np.linalg.matrix_norm(v)
np.linalg.inv(x); np.linalg.inv(z[:, :2] * 0); np.linalg.solve(A, l); np.linalg.solve(x, v); np.linalg.solve(T, x); np.linalg.det(x); np.linalg.slogdet(x); np.linalg.cholesky(-A @ A.T); np.linalg.cholesky(x); np.linalg.matrix_power(x, 2); np.linalg.matrix_power(A, 0.5); np.linalg.matrix_power(v, 2); np.linalg.multi_dot([A]); np.linalg.multi_dot([A, x])
"""
# fmt: on
DIFFERENTIABLE = [
    ELEMENTWISE,
    REDUCTIONS,
    SHAPES,
    INDEXING,
    LINEAR_ALGEBRA,
    DECOMPOSITIONS,
    STATISTICS,
]
DIFFERENTIABLE += [SIGNALS, SELECTION, EDGES, NEURAL]
DIFFERENTIABLE += [f"\n{rows}" for since, rows in LATER.items() if since <= VERSION]


# ── what every expression is put through ──────────────────────────────────────────────────────────


def assert_same(found: Any, wanted: Any, digits: int = 12) -> None:
    """The same nest, shapes, dtypes and numbers; Tensors, if anything in it varies."""
    found, wanted = list(leaves(found)), list(leaves(wanted))
    assert [path for path, _ in found] == [path for path, _ in wanted]
    for (_, a), (_, b) in zip(found, wanted, strict=True):
        assert np.shape(a) == np.shape(b)
        assert dtype_of(a) == dtype_of(b)
        a = a.numpy() if isinstance(a, Tensor) else a
        if dtype_of(b).kind in "fiub":
            np.testing.assert_allclose(a, b, rtol=10.0**-digits, atol=10.0**-digits)
        else:
            assert a == b


def dtype_of(a: Any) -> np.dtype[Any]:
    return a.dtype if isinstance(a, Tensor) else np.asarray(a).dtype


def directions(nest: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return transformed(lambda a: rng.standard_normal(np.shape(a)).astype(dtype_of(a))[()], nest)


def gradients(f: Expression, samples: list[Any]) -> list[Any]:
    """Of the values of the expression along some fixed direction."""
    value, pullback = vjp(f, *samples)
    return list(pullback(directions(value, 1)))


def strided(a: Any) -> Any:
    """The same numbers laid out backwards and with gaps."""
    if not np.ndim(a):
        return a
    wide = np.repeat(a[..., ::-1], 2, axis=-1)
    return wide[..., ::-2]


everything = table("".join(DIFFERENTIABLE))


@everything
def test_value_is_numpys(f: Expression) -> None:
    samples, wanted = run(f)
    found = f(*map(Tensor, samples))
    assert any(isinstance(y, Tensor) and y.requires_grad for _, y in leaves(found))
    assert_same(found, wanted)


@everything
def test_derivatives(f: Expression) -> None:
    samples, _ = run(f)
    report = check_gradients(f, *samples, order=2)
    assert report.compared > 0 or not any(map(np.size, samples))


@everything
def test_float32_stays(f: Expression) -> None:
    samples, wanted = run(f, np.float32)
    found = f(*map(Tensor, samples))
    for (_, a), (_, b) in zip(leaves(found), leaves(wanted), strict=True):
        # Numbers never widen float32, of whatever type; arrays do as in NumPy.
        assert dtype_of(a) in (np.float32, dtype_of(b))
    value, tangent = jvp(f, samples, directions(samples, 2))
    for (_, a), (_, t) in zip(leaves(value), leaves(tangent), strict=True):
        # The derivative of what is constant is a plain 0, whatever the constant's type.
        assert dtype_of(a) == dtype_of(t) or not np.any(t)
    narrow, wide = gradients(f, samples), gradients(f, run(f)[0])
    for a, b in zip(narrow, wide, strict=True):
        assert dtype_of(a) == np.float32
        np.testing.assert_allclose(
            a, b, rtol=2e-4, atol=2e-4 * max(1.0, np.max(np.abs(b), initial=0))
        )


@everything
def test_layout_does_not_matter(f: Expression) -> None:
    samples, wanted = run(f)
    laid_out = list(map(strided, samples))
    assert_same(f(*map(Tensor, laid_out)), wanted)
    assert_same(gradients(f, laid_out), gradients(f, samples), digits=10)


@everything
def test_mixes_with_arrays_and_lists(f: Expression) -> None:
    """Each sample alone as a Tensor, the others as arrays or lists."""
    samples, wanted = run(f)
    if len(samples) < 2:
        return
    together = gradients(f, samples)
    for n, (name, sample) in enumerate(zip(f.names, samples, strict=True)):
        if "at(" in f.text and f"at({name})" not in f.text:
            continue  # t.at is a Tensor's own
        others = [
            a.tolist() if f.bare(k) and a.size else a for k, a in zip(f.names, samples, strict=True)
        ]

        def alone(a: Any, n: int = n, others: list[Any] = others) -> Any:
            return f(*others[:n], a, *others[n + 1 :])

        assert_same(alone(Tensor(sample)), wanted)
        _, pullback = vjp(alone, sample)
        assert_same(pullback(directions(wanted, 1))[0], together[n], digits=10)


# ── the other tables ──────────────────────────────────────────────────────────────────────────────


@table(CONSTANTS)
def test_plain_by_design(f: Expression) -> None:
    samples, wanted = run(f)
    found = f(*map(Tensor, samples))
    assert_same(found, wanted)
    assert not any(isinstance(y, Tensor) for _, y in leaves(found))


@table(REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_refused_as_numpy_does(f: Expression) -> None:
    samples = f.samples()
    with pytest.raises(Exception) as of_numpy:
        f(*samples)
    with pytest.raises(Exception) as ours:
        f(*map(Tensor, samples))
    assert isinstance(ours.value, ValueError | TypeError | IndexError)
    assert isinstance(of_numpy.value, ValueError | TypeError | IndexError)


# ── what networks need, far out ───────────────────────────────────────────────────────────────────

FAR = np.array([-1e4, -1e3, -90.0, -30.0, -1.0, 0.5, 1.0, 30.0, 90.0, 1e3, 1e4])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.where(x > 0, 1, small) / (1 + small)


def _one_hot(x: np.ndarray) -> np.ndarray:
    return np.where(x == np.max(x), 1.0, 0.0)  # the softmax, of numbers far apart


# fmt: off
#                     at                     value                                         gradient of the sum
STABLE = {
    "relu(x)":        (FAR,                  np.maximum(FAR, 0),                           FAR > 0),
    "leaky_relu(x)":  (FAR,                  np.maximum(FAR, 0.01 * FAR),                  np.where(FAR > 0, 1, 0.01)),
    "sigmoid(x)":     (FAR,                  _sigmoid(FAR),                                _sigmoid(FAR) * _sigmoid(-FAR)),
    "softplus(x)":    (FAR,                  np.maximum(FAR, 0) + np.log1p(np.exp(-np.abs(FAR))), _sigmoid(FAR)),
    "softmax(x)":     (FAR[::2],             _one_hot(FAR[::2]),                           FAR[::2] * 0),
    "log_softmax(x)": (FAR[::2],             FAR[::2] - 1e4,                               1 - 6 * _one_hot(FAR[::2])),
    "logsumexp(x)":   (FAR[::2],             1e4,                                          _one_hot(FAR[::2])),
    "softmax(x) ":    (np.full(4, 1e4),      np.full(4, 0.25),                             np.zeros(4)),
    "log_softmax(x) ": (np.full(4, -1e4),    np.full(4, -np.log(4)),                       np.zeros(4)),
    "logsumexp(x) ":  (np.full(4, -1e4),     -1e4 + np.log(4),                             np.full(4, 0.25)),
}
# fmt: on


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("text", STABLE)
def test_stable_far_out(text: str, dtype: Any) -> None:
    """No overflow on the way, which as a warning would be an error here, and nothing lost."""
    at, value, gradient = STABLE[text]
    f, x = Expression(text.strip()), at.astype(dtype)
    eps = float(np.finfo(dtype).eps)
    found, pullback = vjp(f, x)
    ones = np.ones_like(found)
    (g,) = pullback(ones)
    assert dtype_of(found) == g.dtype == dtype
    np.testing.assert_allclose(found, value, rtol=4 * eps, atol=4 * eps)
    np.testing.assert_allclose(g, gradient, rtol=8 * eps, atol=8 * eps)
    tangent, curvature = jvp(lambda x: vjp(f, x)[1](ones)[0], (x,), (np.ones_like(x),))
    assert np.all(np.isfinite(curvature))
    assert tangent.dtype == curvature.dtype == dtype


# ── Python's own ──────────────────────────────────────────────────────────────────────────────────


def test_parts_of_infinite_numbers_are_numpys() -> None:
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 2.5, -2.5])
    for f in (np.angle, np.imag, lambda a: np.modf(a)[0], lambda a: np.modf(a)[1]):
        np.testing.assert_array_equal(f(Tensor(x)).numpy(), f(x))


def test_pythons_functions_of_numbers() -> None:
    s = Tensor(-1.7)
    for function in (abs, round, math.floor, math.ceil, math.trunc):
        found = function(s)
        assert isinstance(found, Tensor)
        assert found.item() == function(-1.7)
    assert round(s, 1).item() == -1.7
    assert sum([s, s]).item() == -3.4
    assert max(s, 0.0) == 0.0
    assert math.prod([s, s, 2.0]).item() == pytest.approx(5.78)


def test_arrays_are_not_filled_with_tensors() -> None:
    """NumPy's own arrays cannot hold what is recorded, and nothing may get into them unseen."""
    a, t, n = np.ones(3), Tensor([1.0, 2.0, 3.0]), Tensor(1.0)
    for attempt in (
        lambda: a.__setitem__(slice(None), t),
        lambda: a.__setitem__(0, n),
        lambda: a.__iadd__(t),
        lambda: a.fill(n),
        lambda: a.put([0], n),
        lambda: a.dot(t),
        lambda: a[t],
        lambda: np.add(1, t, out=a),
        lambda: np.sum(a, initial=n),
        lambda: np.add.at(a, [0], n),
        lambda: np.array([1.0, n]),
        lambda: np.r_[t, t],
        lambda: np.random.default_rng(0).normal(t),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            attempt()
        assert refused(caught.value), caught.value
    assert np.all(a == 1)


def refused(error: BaseException | None) -> bool:
    """Whether an error is ours, or NumPy's in consequence of ours."""
    return error is not None and (
        "has no rule of differentiation" in str(error)
        or "is recorded and cannot silently become" in str(error)
        or refused(error.__cause__)
    )


# ── completeness ──────────────────────────────────────────────────────────────────────────────────


def test_every_function_has_a_row() -> None:
    """What is registered as having a rule is in a table above."""
    named = {
        _function(path)
        for rows in (*DIFFERENTIABLE, CONSTANTS)
        for path in re.findall(r"np\.([a-z_0-9.]+)(?=\()", rows)
    }
    scipy = sys.modules.get("scipy.special")  # whose functions another table has, once it is used
    functions = [f for f in NUMPY if getattr(scipy, f.__name__, None) is not f]
    assert not [f.__name__ for f in functions if f not in named]


def _function(path: str) -> Any:
    found: Any = np
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


@pytest.mark.filterwarnings("ignore:`row_stack` alias is deprecated")
def test_options_that_are_ours_by_default_may_be_given() -> None:
    """As by np.row_stack, which hands its defaults on to np.vstack."""
    x = Tensor([1.0, 2.0])
    assert np.vstack([x, x], casting="same_kind").shape == (2, 2)
    if hasattr(np, "row_stack"):
        assert np.row_stack([x, x]).shape == (2, 2)
    with pytest.raises(TypeError, match=r"np.vstack\(casting=…\) has no rule"):
        np.vstack([x, x], casting="unsafe")


def test_lists_may_hold_tensors_where_numpy_lets_them_through() -> None:
    s, x = Tensor(0.5), Tensor([1.0, 2.0])
    for found, wanted in (
        (np.append(x, [s, 3.0]), [1, 2, 0.5, 3]),
        (np.append([3.0], x), [3, 1, 2]),
        (np.append(x, (x, x)), [1, 2, 1, 2, 1, 2]),
        (np.insert(x, 1, [s, s]), [1, 0.5, 0.5, 2]),
    ):
        assert found.requires_grad
        assert found.tolist() == wanted


@pytest.mark.parametrize("function", [np.nanvar, np.nanstd])
def test_elements_that_are_left_out_have_no_derivative(function):
    given, left = np.array([1.0, np.nan, 2.0, 4.0]), [0, 2, 3]
    found = grad(function)(given)
    assert found[1] == 0
    plain = {np.nanvar: np.var, np.nanstd: np.std}[function]
    np.testing.assert_allclose(found[left], grad(plain)(given[left]), rtol=1e-13)
