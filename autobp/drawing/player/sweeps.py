"""Forward mode with every tangent kept, and the multiplications that each use of a tensor takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autobp.calculus import as_numpy_scalars, zeros
from autobp.context import clock
from autobp.dag import ancestors
from autobp.forward import sweep
from autobp.primitive import Array, constant, one_array, same
from autobp.tensor import Tensor, leaf

__all__ = ["multiplications", "tangents"]


def tangents(order: Sequence[Tensor], start: dict[Tensor, Array]) -> dict[Tensor, Array]:
    """The tangents of all tensors of a recording that have one.

    >>> x = Tensor(3.0)
    >>> list(tangents([y := x * x], {x: 1.0}).values())
    [1.0, 6.0]
    """
    with np.errstate(all="ignore"):
        found = sweep([(t, []) for t in order], dict(start))
    return {t: one_array(constant(tangent)) for t, tangent in found.items() if tangent is not None}


def multiplications(t: Tensor, slot: int) -> int:
    """How many multiplications carry a derivative along one use, in either mode.

    An elementwise operation takes one for each element. An operation that only passes derivatives on,
    adds or moves them, takes none. For all others they are counted on the rule itself.

    >>> a, b = Tensor(np.ones((2, 3))), Tensor(np.ones((3, 4)))
    >>> multiplications(a @ b, 0), multiplications(a + a, 0), multiplications(np.tanh(a), 0)
    (24, 0, 6)
    """
    primitive = t.primitive
    assert primitive is not None
    rule = primitive.reverse[slot]
    if rule is same or primitive.facts.sign == "-":
        return 0
    if primitive.form == "elementwise":
        return t.size
    level = clock()
    out, *values = as_numpy_scalars(constant(t), *(constant(a) for a in t.args))
    try:
        with np.errstate(all="ignore"):
            result = rule(leaf(zeros(out), level), out, *values, **t.params)
    except Exception:  # a rule of the user's own, which does not run on Tensors
        return t.size
    if not isinstance(result, Tensor):
        return 0
    return sum(map(_products, ancestors([result], level)))


def _products(t: Tensor) -> int:
    if t.primitive is None:
        return 0
    if t.primitive.facts.sign in ("*", "/"):
        return t.size
    if t.primitive.form != "bilinear":
        return 0
    # bilinear: of ones, it adds up to as many as it makes products
    ones = [np.ones(np.shape(constant(a))) for a in t.args]
    return round(float(np.sum(t.primitive.function(*ones, **t.params))))
