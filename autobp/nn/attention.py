"""Attention: each query takes the mean of the values, weighted by how well it fits their keys."""

from __future__ import annotations

import math

import numpy as np

from autobp.context import scope
from autobp.data.points import Seed
from autobp.primitive import Array, array_of
from autobp.rules.neural import floating, softmax

__all__ = ["scaled_dot_product_attention"]


@scope("attention")
def scaled_dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    rng: Seed = None,
) -> Array:
    """softmax(q·kᵀ / √d)·v, of queries (…, L, d), keys (…, S, d) and values (…, S, e).

    A mask is True where a query may look, or is added to the scores. With `is_causal`, query i looks at
    the keys up to i. `enable_gqa` lets groups of heads (axis −3 of the queries) share keys and values.
    Dropout draws from `rng`.

    >>> import numpy as np
    >>> from autobp import nn
    >>> q, k, v = np.zeros((3, 2)), np.zeros((3, 2)), np.array([[0.0], [2.0], [4.0]])
    >>> nn.scaled_dot_product_attention(q, k, v, is_causal=True).T
    array([[0., 1., 2.]])
    """
    query, key, value = floating(query), floating(key), floating(value)
    who = "scaled_dot_product_attention"
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"{who}: dropout_p is a probability from 0 to 1, not {dropout_p}")
    if attn_mask is not None and is_causal:
        raise ValueError(f"{who} takes an attn_mask or is_causal, not both")
    if enable_gqa:
        heads = query.shape[-3]
        key = np.repeat(key, heads // key.shape[-3], axis=-3)
        value = np.repeat(value, heads // value.shape[-3], axis=-3)
    scores = query @ key.mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = np.tri(*scores.shape[-2:], dtype=bool)
    if attn_mask is not None:
        allowed = array_of(attn_mask)
        if allowed.dtype == bool:
            scores = np.where(allowed, scores, -np.inf)
        else:
            scores = scores + attn_mask
    weights = softmax(scores)
    if dropout_p:
        kept = np.random.default_rng(rng).random(weights.shape, np.float32) >= dropout_p
        part = 1 / (1 - dropout_p) if dropout_p < 1 else 0.0
        weights = weights * (kept * weights.dtype.type(part))
    return weights @ value
