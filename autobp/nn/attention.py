"""Attention: each query takes the mean of the values, weighted by how well it fits their keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autobp.arrays import array_of
from autobp.batching import drawn
from autobp.context import scope
from autobp.data.points import Seed
from autobp.habits import checks_keywords
from autobp.primitive import Array, V, Variable
from autobp.rules.attention import attend, masked_scores
from autobp.rules.neural import floating, softmax
from autobp.tensor import Tensor

__all__ = ["scaled_dot_product_attention"]

_MANY = (
    1 << 18
)  # scores: so many are one operation, a few are recorded step by step, to be looked at


@checks_keywords
@scope("attention")
def scaled_dot_product_attention(
    query: V | Array,
    key: Array,
    value: Array,
    attn_mask: Array = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    rng: Seed = None,
) -> V:
    """softmax(q·kᵀ / √d)·v, of queries (…, L, d), keys (…, S, d) and values (…, S, e).

    A mask is True where a query may look, or is added to the scores. The result of a query that may look
    nowhere is 0. With `is_causal`, query i looks at
    the keys up to i. `enable_gqa` lets groups of heads (axis −3 of the queries) share keys and values.
    Dropout draws from `rng`. Many scores are not kept: where there are no weights to be dropped, they
    are computed for a few queries at a time, and again for derivatives, so that memory grows with the
    lengths and not with their product.

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
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    mask: Any = attn_mask
    if mask is not None and not isinstance(mask, Tensor):
        mask = array_of(mask)  # of truth values, or what is added
    blind: Any = None
    if mask is not None and mask.dtype == bool:
        blind = ~np.any(mask, axis=-1, keepdims=True)
        if type(blind) is np.ndarray and not blind.any():
            blind = None
        else:
            mask = mask | blind
    batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    scores = math.prod(batch) * query.shape[-2] * key.shape[-2]
    if scores >= _MANY and not dropout_p and not isinstance(mask, Variable):
        return _seen(attend(query, key, value, scale, mask, is_causal), blind)
    weights = softmax(masked_scores(query, key, scale, mask, is_causal))
    if dropout_p:
        draw = np.random.default_rng(rng).random
        kept = drawn(lambda shape: draw(shape, np.float32), weights) >= dropout_p
        part = 1 / (1 - dropout_p) if dropout_p < 1 else 0.0
        weights = weights * (kept * weights.dtype.type(part))
    return _seen(weights @ value, blind)


def _seen(y: Array, blind: Any) -> Array:
    """0 for queries that may look nowhere."""
    return y if blind is None else np.where(blind, 0.0, y)
