"""Patterns: a leaf of Tensors taken apart into the arrays at its bottom, and put together again.

What a loop hands on is arrays and numbers. A leaf may be a Tensor of some level whose value is one of a
level further out, or a dual number with two such halves, or a batch of examples. The examples of a batch are
along a further axis: of a sequence, whose rows a loop is given, the rows come first at the bottom.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from autobp.batching import batched
from autobp.compiler.trace.tracer import Tracer
from autobp.forward import Dual, dual
from autobp.tensor import CONSTANT, Tensor, leaf

__all__ = [
    "PLAIN",
    "Pattern",
    "bottoms",
    "built",
    "joined",
    "kept",
    "pattern_of",
    "size",
    "tensors",
]


class Pattern(NamedTuple):
    """What a leaf is: an array or a number (level None), a constant Tensor, a Tensor of a level, a dual
    number, or a batch of examples, each over what it holds."""

    level: int | None = None
    value: Pattern | None = None
    tangent: Pattern | None = None
    is_dual: bool = False
    examples: int | None = None  # of a batch


PLAIN = Pattern()


def pattern_of(x: Any) -> Pattern:
    if not isinstance(x, Tensor):
        return PLAIN
    if x.level == CONSTANT:
        return Pattern(CONSTANT, PLAIN)
    if x.is_batch:
        value = pattern_of(x.value)
        return Pattern(x.level, value, examples=x.value.shape[0])
    if isinstance(x, Dual):
        tangent = None if x.tangent is None else pattern_of(x.tangent)
        return Pattern(x.level, pattern_of(x.value), tangent, True)
    return Pattern(x.level, pattern_of(x.value))


def joined(p: Pattern, q: Pattern) -> Pattern:
    """The pattern of which both leaves can be."""
    if _height(q) > _height(p):
        p, q = q, p
    if p.level is None:
        return p
    if q.level != p.level:
        bare = PLAIN if q.level == CONSTANT else q
        return p._replace(value=joined(_value(p), bare))
    tangents = [t for t in (p.tangent, q.tangent) if t is not None]
    tangent = joined(tangents[0], tangents[-1]) if tangents else None
    return p._replace(value=joined(_value(p), _value(q)), tangent=tangent)


def size(p: Pattern) -> int:
    """Of how many arrays and numbers a leaf consists."""
    return 1 if p.level is None else size(_value(p)) + (0 if p.tangent is None else size(p.tangent))


def _height(p: Pattern) -> int:
    return CONSTANT - 1 if p.level is None else p.level


def _value(p: Pattern) -> Pattern:
    assert p.value is not None
    return p.value


def _all_examples(x: Any, p: Pattern, is_sequence: bool = False) -> Any:
    """What a batch holds, also if the leaf is the same for all examples."""
    if isinstance(x, Tensor) and x.level == p.level:
        x = x.value
    else:
        x = np.copy(np.broadcast_to(x, (p.examples or 0, *np.shape(x))))
    return np.moveaxis(x, 1, 0) if is_sequence else x


def bottoms(x: Any, p: Pattern, is_sequence: bool = False) -> list[Any]:
    """The arrays and numbers that a leaf consists of."""
    if p.level is None:
        return [x.primal_value() if isinstance(x, Tensor) else x]
    if p.examples is not None:
        return bottoms(_all_examples(x, p, is_sequence), _value(p), is_sequence)
    is_there = isinstance(x, Tensor) and x.level == p.level
    found = bottoms(x.value if is_there else x, _value(p), is_sequence)
    if p.tangent is not None:
        tangent = x.tangent if is_there and isinstance(x, Dual) else None
        if tangent is None:
            tangent = np.zeros(np.shape(x), getattr(x, "dtype", np.float64))[()]
        found += bottoms(tangent, p.tangent, is_sequence)
    return found


def tensors(x: Any, p: Pattern, is_sequence: bool = False) -> list[tuple[int, Tensor | None]]:
    """The Tensors of which a sweep backwards finds cotangents in a leaf, with their levels; None where
    the leaf is a constant to a level."""
    if p.level is None or p.level == CONSTANT:
        return []
    if p.examples is not None:
        return tensors(_all_examples(x, p, is_sequence), _value(p), is_sequence)
    is_there = isinstance(x, Tensor) and x.level == p.level
    found = tensors(x.value if is_there else x, _value(p), is_sequence)
    if not p.is_dual:
        return [(p.level, x if is_there else None), *found]
    if p.tangent is not None:
        found += tensors(
            x.tangent if is_there and isinstance(x, Dual) else None, p.tangent, is_sequence
        )
    return found


def built(p: Pattern, supply: Iterator[Any]) -> Any:
    """A leaf of other arrays."""
    if p.level is None:
        return next(supply)
    value = built(_value(p), supply)
    if p.is_dual:
        return dual(kept(value), p.tangent and kept(built(p.tangent, supply)), p.level)
    return leaf(kept(value), p.level) if p.examples is None else batched(value, p.level)


def kept(x: Any) -> Any:
    """An array in the form in which a tensor keeps it."""
    return x.canonical() if isinstance(x, Tracer) else x
