"""Spellings: the arguments that the spelling of a function reads, and how it prints a call."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autobp.compiler.onnx import elementwise, movement, products, reductions
from autobp.compiler.onnx.graph import Value
from autobp.compiler.onnx.operands import Operands
from autobp.compiler.program import Step
from autobp.compiler.trace import calls
from autobp.kernels import attention as kernels
from autobp.kernels import factors
from autobp.kernels import normalization as norms
from autobp.rules import attention, normalization, reduction
from autobp.rules.indexing import _put, _scatter
from autobp.rules.neural import softmax
from autobp.rules.shape import surrounded

__all__ = ["PLAIN", "SPELLED", "unread"]

_REDUCED = "a axis dtype keepdims"
_LIKE = "a dtype order subok shape"

#: A call with other arguments is refused. Those that say how NumPy keeps the result in memory, or how it
#: computes it, change no number.
# fmt: off
SPELLED: dict[Any, tuple[str, Callable[[Operands, Step], Value]]] = {
    np.matmul:            ("x1 x2 dtype",                    products.matmul),
    operator.matmul:      ("a b",                            products.matmul),
    np.dot:               ("a b",                            products.matmul),
    np.vdot:              ("a b",                            products.vdot),
    np.outer:             ("a b",                            products.outer),
    np.einsum:            ("operands dtype optimize",        products.einsum),
    np.mean:              (_REDUCED,                         reductions.mean),
    np.count_nonzero:     ("a axis keepdims",                reductions.counted),
    np.all:               ("a axis keepdims",                lambda p, s: reductions.quantified(p, s, True)),
    np.any:               ("a axis keepdims",                lambda p, s: reductions.quantified(p, s, False)),
    np.argmax:            ("a axis keepdims",                reductions.arg("ArgMax")),
    np.argmin:            ("a axis keepdims",                reductions.arg("ArgMin")),
    np.cumsum:            ("a axis dtype",                   reductions.cumulated),
    np.cumprod:           ("a axis dtype",                   reductions.cumulated),
    np.sort:              ("a axis kind stable",             reductions.sorted_),
    np.argsort:           ("a axis kind stable",             reductions.sorted_),
    np.reshape:           ("a shape newshape copy",          movement.reshaped),
    np.ravel:             ("a",                              movement.reshaped),
    np.expand_dims:       ("a axis",                         movement.reshaped),
    np.squeeze:           ("a axis",                         movement.reshaped),
    np.copy:              ("a order subok",                  movement.copied),
    np.array:             ("object dtype copy order subok",  movement.copied),
    np.asarray:           ("a dtype order copy",             movement.copied),
    np.positive:          ("x dtype",                        movement.copied),
    calls.numbers:        ("array",                          movement.copied),
    np.tril:              ("m k",                            movement.triangle),
    np.triu:              ("m k",                            movement.triangle),
    np.transpose:         ("a axes",                         movement.transposed),
    np.matrix_transpose:  ("x",                              movement.transposed),
    np.swapaxes:          ("a axis1 axis2",                  movement.transposed),
    np.moveaxis:          ("a source destination",           movement.transposed),
    np.broadcast_to:      ("array shape subok",              movement.broadcast),
    np.concatenate:       ("arrays axis dtype casting",      movement.concatenated),
    np.stack:             ("arrays axis dtype casting",      movement.stacked),
    np.flip:              ("m axis",                         movement.flipped),
    np.roll:              ("a shift axis",                   movement.rolled),
    np.diagonal:          ("a offset axis1 axis2",           movement.diagonal),
    np.take:              ("a indices axis",                 movement.taken_along),
    np.round:             ("a decimals",                     elementwise.rounded),
    np.clip:              ("a a_min a_max min max",          elementwise.clipped),
    np.nan_to_num:        ("x copy nan posinf neginf",       elementwise.nan_to_num),
    np.ones_like:         (_LIKE,                            movement.filled(1)),
    np.zeros_like:        (_LIKE,                            movement.filled(0)),
    np.full_like:         (f"{_LIKE} fill_value",            movement.filled_by),
    operator.getitem:     ("a b",                            movement.item),
    float:                ("x",                              movement.converted),
    int:                  ("x",                              movement.converted),
    bool:                 ("x",                              movement.converted),
    calls.as_type:        ("x dtype",                        movement.converted),
    surrounded:           ("x width",                        movement.surrounded),
    _put:                 ("x v index",                      movement.put),
    calls.put:            ("x index value",                  movement.put),
    _scatter:             ("x index shape",                  movement.scattered),
    calls.placed:         ("x index shape",                  movement.scattered),
    calls.joined:         ("operands",                       movement.joined),
}
# fmt: on


def _attended(q: Any, k: Any, v: Any, *given: Any) -> Any:
    return softmax(attention.masked_scores(q, k, *given)) @ v


def _normalized(x: Any, w: Any, b: Any, eps: float) -> Any:
    standard, _ = normalization._standard(x, eps)
    return standard * normalization._channels(w) + normalization._channels(b)


def _moments(x: Any) -> Any:
    return np.mean(x, axis=(0, 2, 3)), np.var(x, axis=(0, 2, 3))


#: Calls that are opaque for NumPy's sake, or have two results, as the same in plain operations.
PLAIN: dict[Any, Callable[..., Any]] = {
    kernels.attended: _attended,
    kernels.attended_tangent: attention._tangent,
    kernels.attended_cotangents: attention._cotangents,
    norms.normalized: _normalized,
    norms.normalized_cotangents: normalization._cotangents,
    norms.channel_moments: _moments,
    factors.others: reduction._others_recorded,
    np.divmod: lambda x, y: (x // y, x % y),
}


_PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def unread(step: Step, accepted: Sequence[str]) -> list[str]:
    """The arguments of a call that are not accepted, and are not as NumPy's default has them."""
    parameters = _parameters(step.function)
    placed = [name for name, p in parameters.items() if p.kind in _PLACED] or [*accepted]
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters.values()):
        placed = ["operands"] * len(step.args)
    found = ["further arguments"] * (len(step.args) > len(placed))
    for name, x in (dict(zip(placed, step.args)) | step.params).items():
        default = parameters[name].default if name in parameters else None
        is_default = x is np._NoValue or x is None or (type(x) is type(default) and x == default)
        if name not in accepted and not is_default:
            found.append(name)
    return found


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # of built-in functions, of which NumPy's have one since 2.4
        return {}
