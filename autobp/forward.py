"""Forward mode: tangents travel with the values, along with the program or over a recording.

`jvp` runs the program on dual numbers and records nothing, so that its memory is the program's own.
`linearize` records the program once and sweeps over the recording, once for each direction. The
rules are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autobp.calculus import as_value, evaluate, project, push
from autobp.context import Context, clock
from autobp.graph import Trace, lifted, like, trace
from autobp.primitive import Array, Primitive
from autobp.tensor import Tensor, leaf, operands
from autobp.tree import leaves, refilled

__all__ = ["jvp", "linearize", "sweep"]


class Dual(Tensor):
    """A value and its tangent, at the level of the `jvp` that it belongs to."""

    __slots__ = ("tangent",)

    tangent: Array | None  # None: zero

    def record(
        self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any], context: Context
    ) -> Tensor:
        """Run the operation on the values and push the tangents through its rules."""
        level = self.level
        kept, values = operands(args, level)
        tangents = [a.tangent if isinstance(a, Dual) and a.level == level else None for a in kept]
        out = evaluate(primitive, kept, values, params, context)
        return dual(out, push(primitive, tangents, out, values, params), level)


def dual(value: Any, tangent: Array | None, level: int) -> Dual:
    d: Dual = leaf(value, level, Dual)
    d.tangent = tangent
    return d


def jvp(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Any, Any]:
    """The value of a function and its derivative along a direction, in one run.

    >>> from autobp import jvp
    >>> jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    (6.0, 23.0)
    """
    primals = tuple(primals)
    level = clock()
    duals = [dual(v, t, level) for v, t in zip(*_matched(primals, tangents, "jvp"), strict=True)]
    result = function(*refilled(primals, duals))
    found = [y for _, y in leaves(result)]
    mine = [isinstance(y, Dual) and y.level == level for y in found]
    values = [y.value if m else y for y, m in zip(found, mine, strict=True)]
    slopes = [
        _dense(y.tangent if m else None, v) for y, m, v in zip(found, mine, values, strict=True)
    ]
    return refilled(result, values), refilled(result, slopes)


def linearize(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of a function and its derivative as a function of the direction: `jvp` for many
    directions at the price of one recording.

    >>> from autobp import linearize
    >>> y, derivative = linearize(lambda x, y: x * y, 2.0, 3.0)
    >>> y, derivative(1.0, 0.0), derivative(0.0, 1.0)
    (6.0, 3.0, 2.0)
    """
    traced = trace(function, primals, range(len(primals)))
    order = traced.order()

    def derivative(*tangents: Any) -> Any:
        _, given = _matched(primals, tangents, "linearize")
        return traced.refill(pushed(traced, order, given))

    return traced.refill(traced.values), derivative


def pushed(traced: Trace, order: Sequence[Tensor], tangents: Sequence[Array | None]) -> list[Array]:
    """The tangents of a trace's outputs from those of its inputs."""
    known = sweep(order, dict(zip(traced.inputs, tangents, strict=True)), traced.level)
    pairs = zip(traced.outputs, traced.values, strict=True)
    return [_dense(None if y is None else known.get(y), v) for y, v in pairs]


def sweep(
    order: Sequence[Tensor], tangents: dict[Tensor, Array | None], level: int
) -> dict[Tensor, Array | None]:
    """Push tangents through recorded operations, in the order in which those ran."""
    for t in order:
        if t.primitive is not None:
            mine = [isinstance(a, Tensor) and a.level == level for a in t.args]
            values = [a.seen_from(level) if isinstance(a, Tensor) else a for a in t.args]
            incoming = [tangents.get(a) if m else None for a, m in zip(t.args, mine, strict=True)]
            tangents[t] = push(t.primitive, incoming, t.value, values, t.params)
    return tangents


def _dense(tangent: Array | None, value: Array) -> Array:
    """A tangent as users get it: zeros where there is none, and an array of their own."""
    if tangent is None:
        tangent = project(0.0, value if isinstance(value, Tensor) else as_value(value))
    if type(tangent) is np.ndarray and not (tangent.base is None and tangent.flags.writeable):
        return tangent.copy()
    return tangent


def _matched(
    primals: Sequence[Any], tangents: Sequence[Any], who: str
) -> tuple[list[Any], list[Any]]:
    """The leaves of the arguments, and those of the directions that go with them."""
    primals_, tangents_ = list(leaves(primals)), [t for _, t in leaves(tuple(tangents))]
    if len(primals_) != len(tangents_):
        raise ValueError(
            f"{who}: {len(tangents_)} tangents for {len(primals_)} arguments; they come in the same"
            " nest as the arguments"
        )
    values = [lifted(x, f"{who}: argument {path}") for path, x in primals_]
    paths = [path for path, _ in primals_]
    return values, [
        like(t, v, f"{who}: the tangent of argument {path}")
        for path, v, t in zip(paths, values, tangents_, strict=True)
    ]
