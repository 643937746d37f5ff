"""Several results of one operation.

A tensor holds one number or array. An operation with several results is recorded as a tensor whose
value is the list of them, from which each is taken out by `part`. A sweep backwards collects the
cotangents of the parts in a list, with None for zero, and hands that to the rule of the operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from autobp.calculus import as_value, zeros
from autobp.context import current
from autobp.forward import Dual
from autobp.primitive import Array, Primitive, Results, Together, general, part
from autobp.tensor import CONSTANT, Tensor, leaf, node

__all__ = ["rows", "several", "taken"]


def several(
    primitive: Primitive,
    args: Iterable[Any],
    values: Iterable[Any],
    params: dict[str, Any],
    level: int,
) -> Tensor:
    """Record an operation whose results are known, as one tensor."""
    results: Tensor = node(Results(values), primitive, tuple(args), None, params, level, current())
    return results


def taken(results: Tensor, i: int) -> Tensor:
    """Take one of several results."""
    params = {"index": i}
    t: Tensor = node(results.value[i], part, results, None, params, results.level, current())
    return t


# ── the rows of an array ──────────────────────────────────────────────────────────────────────────


def rows(x: Any) -> Callable[[int], Any]:
    """The function that takes a row of an array. A sweep through `x[0]`, `x[1]`, … would make as many
    arrays of the size of x; through these it makes one.

    >>> from autobp import Tensor
    >>> from autobp.results import rows
    >>> row = rows(Tensor([1.0, 2.0]))
    >>> row(0) * row(1)
    Tensor(2.0, from multiply)
    """
    if not isinstance(x, Tensor):
        return list(x).__getitem__
    if isinstance(x, Tensor) and (x.is_batch or isinstance(x.primal_value(), Tensor)):
        return x.__getitem__
    if x.level == CONSTANT or x.level < current().threshold:
        values = [as_value(v) for v in x.primal_value()]
        return lambda i: leaf(values[i], CONSTANT)
    if isinstance(x, Dual):  # which remembers nothing
        return x.__getitem__
    results = several(_unstack, [x], _unstacked(x.value), {}, x.level)
    return lambda i: taken(results, i)


def _unstacked(x: Array) -> Results:
    found = map(rows(x), range(len(x)))
    return Results(v if _is_recorded(v) else as_value(v) for v in found)


def _is_recorded(v: Any) -> bool:
    return isinstance(v, Tensor) and v.requires_grad


def _stacked(g: Sequence[Array | None], out: Results, x: Array) -> Iterable[Array]:
    yield np.stack([zeros(v) if c is None else c for c, v in zip(g, out, strict=True)])


_unstack: Primitive = general(
    _unstacked,
    forward=lambda t, out, x: _unstacked(t),
    reverse=Together(_stacked),
    name="unstack",
    moves=True,
)
