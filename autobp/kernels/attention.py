"""Attention for a few queries at a time: its scores are made, used and dropped, and made again for
derivatives, so that memory grows with the lengths and not with their product."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from autobp.kernels.sums import total

__all__ = ["added_mask", "attended", "attended_cotangents", "attended_tangent"]

Array = Any

_SCORES = 1 << 20  # numbers: the scores that there are at a time


def added_mask(mask: Any, dtype: Any) -> Array:
    """What is added to the scores: to choose by a mask would take ten times as long."""
    return np.where(mask, 0.0, -np.inf).astype(dtype) if mask.dtype == bool else mask


def _blocks(q: Array, k: Array, causal: bool) -> Iterator[tuple[slice, slice]]:
    """The queries in groups, and the keys that those of a group may look at."""
    length, keys = q.shape[-2], k.shape[-2]
    batch = math.prod(np.broadcast_shapes(q.shape[:-2], k.shape[:-2]))
    n = max(1, _SCORES // max(1, batch * keys))
    for i in range(0, length, n):
        yield slice(i, i + n), slice(0, min(i + n, keys) if causal else keys)


def _weights(
    q: Array, k: Array, rows: slice, keys: slice, scale: float, mask: Any, causal: bool
) -> tuple[Array, Array]:
    """The softmax of the scores of some queries, before it is divided by the sums; and the sums."""
    w = np.matmul(q[..., rows, :] * scale, k[..., keys, :].mT)
    if causal:
        n, m = w.shape[-2:]
        later = np.triu(np.full((n, max(0, m - rows.start)), -np.inf, w.dtype), 1)
        w[..., rows.start :] += later
    if mask is not None:
        part = mask[..., rows if mask.shape[-2] > 1 else slice(None), :]
        w += added_mask(part, w.dtype)
    w -= np.maximum.reduce(w, axis=-1, keepdims=True)
    np.exp(w, out=w)
    return w, total(w, -1, True)


def attended(q: Array, k: Array, v: Array, scale: float, mask: Any, causal: bool) -> Array:
    batch = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    y = np.empty((*batch, q.shape[-2], v.shape[-1]), np.result_type(q, k, v))
    for rows, keys in _blocks(q, k, causal):
        w, sums = _weights(q, k, rows, keys, scale, mask, causal)
        y[..., rows, :] = np.matmul(w, v[..., keys, :]) / sums
    return y


def attended_tangent(
    dq: Array,
    dk: Array,
    y: Array,
    q: Array,
    k: Array,
    v: Array,
    scale: float,
    mask: Any,
    causal: bool,
) -> Array:
    """The tangent of the result, where that of the scores is the product of `dq` and `dk`: of a tangent
    of the queries with the keys, or of the queries with a tangent of the keys."""
    shape = np.broadcast_shapes(y.shape[:-2], dq.shape[:-2], dk.shape[:-2])
    tangent = np.empty((*shape, *y.shape[-2:]), y.dtype)
    dq = np.broadcast_to(dq, (*shape, *dq.shape[-2:]))
    for rows, keys in _blocks(q, k, causal):
        w, sums = _weights(q, k, rows, keys, scale, mask, causal)
        ws = np.matmul(dq[..., rows, :] * scale, dk[..., keys, :].mT)
        ws *= w
        part = np.matmul(ws, v[..., keys, :]) - total(ws, -1, True) * y[..., rows, :]
        tangent[..., rows, :] = part / sums
    return tangent


def attended_cotangents(
    g: Array, y: Array, q: Array, k: Array, v: Array, scale: float, mask: Any, causal: bool
) -> tuple[Array, Array, Array]:
    batch = np.broadcast_shapes(g.shape[:-2], y.shape[:-2])
    g = np.broadcast_to(g, (*batch, *g.shape[-2:]))
    dq, dk, dv = (np.zeros((*batch, *x.shape[-2:]), y.dtype) for x in (q, k, v))
    mean = total(g * y, -1, True)
    for rows, keys in _blocks(q, k, causal):
        w, sums = _weights(q, k, rows, keys, scale, mask, causal)
        w /= sums
        dy = g[..., rows, :]
        dv[..., keys, :] += np.matmul(w.mT, dy)
        ds = np.matmul(dy, v[..., keys, :].mT)
        ds -= mean[..., rows, :]
        ds *= w
        ds *= scale
        dq[..., rows, :] = np.matmul(ds, k[..., keys, :])
        dk[..., keys, :] += np.matmul(ds.mT, q[..., rows, :])
    return dq, dk, dv
