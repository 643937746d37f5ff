"""Gradient clipping, by norm and by value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from autobp.context import updates
from autobp.habits import checks_keywords
from autobp.optim.optimizer import listed, titled
from autobp.optim.option import not_negative
from autobp.primitive import Variable, condition
from autobp.tensor import Tensor

__all__ = ["clip_grad_norm", "clip_grad_value", "largest"]


@checks_keywords
@updates
def clip_grad_norm(params: Tensor | Iterable[Tensor], max_norm: float) -> float:
    """Scale the gradients in place so that their norm, as one long vector, is at most `max_norm`.

    Return the norm before scaling; `max_norm=math.inf` only measures it. A NaN or an infinity in a
    gradient raises an error that says where it is, and nothing is scaled.

    >>> from autobp import Tensor
    >>> from autobp.optim import clip_grad_norm
    >>> w = Tensor([3.0, 4.0])
    >>> (w @ w).backward()
    >>> clip_grad_norm([w], 5.0)
    10.0
    >>> w.grad.round(5)
    array([3., 4.])
    """
    entries = [params] if isinstance(params, Tensor) else listed(params, "clip_grad_norm")
    if any(isinstance(p, Tensor) and isinstance(p.grad, Variable) for p in entries):
        return _clip_traced(entries, max_norm)
    bound = not_negative("clip_grad_norm: max_norm", max_norm)
    norms: dict[str, float] = {}
    for i, p in enumerate(entries):
        if not isinstance(p, Tensor):
            raise TypeError(f"clip_grad_norm: {titled(p, i)} is not a Tensor: {p!r:.50}")
        if p.grad is not None:
            title = f"clip_grad_norm: the gradient of {titled(p, i)}"
            norms[title] = _norm(np.asarray(p.grad), title)
    norm = math.hypot(*norms.values())
    if norm == math.inf:
        longest = max(norms, key=lambda title: norms[title])
        raise FloatingPointError(f"{longest} is the largest of several, whose norm overflows")
    scale = bound / (norm + 1e-6)  # as in PyTorch
    if scale < 1:
        for p in entries:
            if type(p.grad) is np.ndarray:
                p.grad *= scale
            elif p.grad is not None:
                p.grad = p.grad * scale
    return norm


def _clip_traced(entries: Iterable[Any], max_norm: Any) -> Any:
    """`clip_grad_norm` without branches, for a compiled step. An error returns to the Python code."""
    given = [p for p in entries if p.grad is not None]
    norm = np.sqrt(sum(np.sum(p.grad * p.grad) for p in given))
    if not condition(np.isfinite(norm) & (max_norm >= 0)):
        raise FloatingPointError(
            "clip_grad_norm: a gradient is not finite, or max_norm is negative"
        )
    scale = np.minimum(max_norm / (norm + 1e-6), 1.0)
    for p in given:
        p.grad = (p.grad * scale).astype(p.dtype)
    return norm.canonical()


@checks_keywords
@updates
def clip_grad_value(params: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring each number of the gradients to within ±`clip_value`, in place.

    >>> from autobp import Tensor
    >>> from autobp.optim import clip_grad_value
    >>> w = Tensor([3.0, -0.2])
    >>> (w @ w).backward()
    >>> clip_grad_value([w], 1.0)
    >>> w.grad
    array([ 1. , -0.4])
    """
    entries = [params] if isinstance(params, Tensor) else listed(params, "clip_grad_value")
    bound = not_negative("clip_grad_value: clip_value", clip_value)
    for i, p in enumerate(entries):
        if not isinstance(p, Tensor):
            raise TypeError(f"clip_grad_value: {titled(p, i)} is not a Tensor: {p!r:.50}")
        if type(p.grad) is np.ndarray:
            np.clip(p.grad, -bound, bound, out=p.grad)
        elif p.grad is not None:
            clipped = np.clip(p.grad, -bound, bound)
            p.grad = clipped if isinstance(clipped, Variable) else type(p.grad)(clipped)


def largest(g: Any) -> float:
    """The largest absolute value in an array, or NaN if it has one. Makes no array of its size."""
    return float(max(np.max(g), -np.min(g))) if np.size(g) else 0.0


def _norm(g: np.ndarray, title: str) -> float:
    """The norm of a gradient. Squares neither overflow nor underflow on the way."""
    top = largest(g)
    if not math.isfinite(top):
        i = tuple(int(j) for j in np.argwhere(~np.isfinite(g))[0])
        at = f" at [{', '.join(map(str, i))}]" if i else ""
        raise FloatingPointError(
            f"{title} has {g[i]}{at}; detect_anomaly() finds the operation that it comes from"
        )
    flat = g.ravel(order="K")
    if 1e-15 < top < 1e15 and flat.dtype.itemsize >= 4:
        return math.sqrt(float(np.dot(flat, flat)))
    if top:
        flat = flat.astype(np.float64) / top
    return top * math.sqrt(float(np.dot(flat, flat)))
