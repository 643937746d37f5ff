"""Several results of one operation.

A tensor holds one number or array. An operation with several results is recorded as a tensor whose
value is the list of them, from which each is taken out by `part`. A sweep backwards collects the
cotangents of the parts in a list, with None for zero, and hands that to the rule of the operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from autobp.calculus import as_value, zeros
from autobp.context import current
from autobp.primitive import Array, Primitive, Results, Together, general
from autobp.tensor import CONSTANT, Tensor, leaf, node

__all__ = ["part", "recorded", "rows"]


def _never(*_: Any, **__: Any) -> Any:
    raise AssertionError("a sweep backwards takes the parts of results itself")


#: One of the results of an operation.
part: Primitive = general(
    lambda results, index: results[index],
    forward=lambda t, y, results, index: t[index],
    reverse=_never,
    name="part",
    moves=True,
)


def recorded(
    primitive: Primitive,
    args: Sequence[Any],
    values: Iterable[Any],
    params: dict[str, Any],
    level: int,
) -> list[Tensor]:
    """Record an operation whose values are known: a tensor for each of its results."""
    context, results = current(), Results(values)
    first, second = tuple(args), None
    whole = node(results, primitive, first, second, params, level, context)
    return [
        node(v, part, whole, None, {"index": i}, level, context) for i, v in enumerate(results)
    ]


# ── the rows of an array ──────────────────────────────────────────────────────────────────────────


def rows(x: Any) -> list[Any]:
    """An array as a list of its rows. A sweep through `x[0]`, `x[1]`, … would make as many arrays of
    the size of x; through these it makes one.

    >>> from autobp import Tensor
    >>> from autobp.results import rows
    >>> a, b = rows(Tensor([1.0, 2.0]))
    >>> a * b
    Tensor(2.0, from multiply)
    """
    if not isinstance(x, Tensor):
        return list(x)
    if x.level == CONSTANT or x.level < current().threshold:
        return [leaf(as_value(v), CONSTANT) for v in x.primal_value()]
    if type(x) is not Tensor:  # a dual number, which remembers nothing
        return list(x)
    values = (v if _is_recorded(v) else as_value(v) for v in rows(x.value))
    return recorded(_unstack, [x], values, {}, x.level)


def _is_recorded(v: Any) -> bool:
    return isinstance(v, Tensor) and v.requires_grad


def _stacked(g: Sequence[Array | None], out: Results, x: Array) -> Iterable[Array]:
    yield np.stack([zeros(v) if c is None else c for c, v in zip(g, out, strict=True)])


_unstack: Primitive = general(
    rows,
    forward=lambda t, out, x: rows(t),
    reverse=Together(_stacked),
    name="unstack",
    moves=True,
)
