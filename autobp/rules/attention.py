"""Attention as one operation, whose derivatives of the first order keep no scores either. Derivatives of
derivatives are recorded operation by operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.arrays import check_numpys
from autobp.kernels import attention as kernels
from autobp.kernels.attention import added_mask, attended
from autobp.operation import operation
from autobp.primitive import Array, Primitive, Together, fused, general, opaque
from autobp.rules import batching, costs, patterns
from autobp.rules.neural import softmax_

__all__ = ["attend", "attention", "masked_scores"]


def masked_scores(q: Array, k: Array, scale: float, mask: Any, causal: bool) -> Array:
    """How well each query fits each key; −inf where a query must not look."""
    scores = (q * scale) @ k.mT  # the queries are fewer than the scores
    if causal:
        mask = np.tri(*scores.shape[-2:], dtype=bool)
    return scores if mask is None else scores + added_mask(mask, scores.dtype)


# What is traced is one call.
_whole = operation(static=True, fresh=True, batch=batching.attended_part)
attended_tangent: Callable[..., Array] = opaque(_whole(kernels.attended_tangent))
attended_cotangents: Callable[..., Array] = opaque(_whole(kernels.attended_cotangents))


# ── the rules ─────────────────────────────────────────────────────────────────────────────────────


def _weights(q: Array, k: Array, *given: Any) -> Array:
    return softmax_(masked_scores(q, k, *given), axis=-1)


def _cotangents(
    g: Array, y: Array, q: Array, k: Array, v: Array, scale: float, *given: Any
) -> tuple[Array, Array, Array]:
    w = _weights(q, k, scale, *given)
    dw = g @ v.mT
    ds = scale * (w * (dw - np.sum(w * dw, axis=-1, keepdims=True)))
    return ds @ k, ds.mT @ q, w.mT @ g


def _tangent(
    dq: Array, dk: Array, y: Array, q: Array, k: Array, v: Array, scale: float, *given: Any
) -> Array:
    ws = _weights(q, k, scale, *given) * (scale * (dq @ dk.mT))
    return ws @ v - np.sum(ws, axis=-1, keepdims=True) * y


# fmt: off
attention: Primitive = general(attended,
                               forward=(lambda t, y, q, k, v, **given: fused(attended_tangent, _tangent, t, k, y, q, k, v, *given.values()),
                                        lambda t, y, q, k, v, **given: fused(attended_tangent, _tangent, q, t, y, q, k, v, *given.values()),
                                        lambda t, y, q, k, v, **given: attention(q, k, t, **given)),
                               reverse=Together(lambda g, y, q, k, v, **given: fused(attended_cotangents, _cotangents, g, y, q, k, v, *given.values())),
                               name="attention", cost=costs.attention, static=True, fresh=True, opaque=True, blas=True, batch=batching.attended, pattern=patterns.attention)
# fmt: on


def attend(q: Array, k: Array, v: Array, scale: float, mask: Any, causal: bool) -> Array:
    """Attention as one operation."""
    check_numpys("attention as long as this", q, k, v)
    return attention(q, k, v, scale=scale, mask=mask, causal=causal)
