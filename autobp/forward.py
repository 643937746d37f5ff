"""Forward mode: tangents travel with the values, either as the program runs or over a recording.

`jvp` runs the program on dual numbers. It records nothing, so it needs little more memory than the
program. `linearize` records the program once, and `sweep` traverses the recording once for each
direction. It is the one forward traversal of the package; the player and the cost study use it too.
Both ways apply the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from autobp.calculus import evaluate, push, zeros
from autobp.context import Context, clock, current
from autobp.dag import Recording, check_open, checked_cotangent, copied, lifted, record
from autobp.habits import checks_keywords
from autobp.primitive import Array, Primitive
from autobp.tensor import Tensor, leaf, operands
from autobp.tree import leaves, paired, refilled

__all__ = [
    "Dual",
    "dense",
    "dual",
    "jvp",
    "linearize",
    "matched",
    "sweep",
    "with_last_uses",
]


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


@checks_keywords
def jvp(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Any, Any]:
    """The value of a function and its derivative along a direction, in one run.

    >>> from autobp import jvp
    >>> jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    (6.0, 23.0)
    """
    return along(function, primals, tangents, "jvp")


def along(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], who: str
) -> tuple[Any, Any]:
    """`jvp` for whoever else the user has called, which messages name."""
    if not callable(function):
        raise TypeError(
            f"{who} takes a function first, then the tuples of its arguments and their directions, not a"
            f" {type(function).__name__}"
        )
    level = clock()
    duals = [dual(v, t, level) for v, t in zip(*matched(primals, tangents, who), strict=True)]
    result = function(*refilled(primals, duals))
    found = [y for _, y in leaves(result)]
    for y in found:
        check_open(y, level)
    mine = [isinstance(y, Dual) and y.level == level for y in found]
    values = [y.value if m else _plain(y) for y, m in zip(found, mine, strict=True)]
    slopes = [
        dense(y.tangent if m else None, v) for y, m, v in zip(found, mine, values, strict=True)
    ]
    return refilled(result, map(copied, values)), refilled(result, slopes)


def _plain(y: Any) -> Any:
    """A constant Tensor as its value, which is what the other results are."""
    return y.primal_value() if isinstance(y, Tensor) and not y.requires_grad else y


@checks_keywords
def linearize(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of a function, and its derivative as a function of the direction. The function runs
    once, however many directions follow.

    >>> from autobp import linearize
    >>> y, derivative = linearize(lambda x, y: x * y, 2.0, 3.0)
    >>> y, derivative(1.0, 0.0), derivative(0.0, 1.0)
    (6.0, 3.0, 2.0)
    """
    traced = record(function, primals, range(len(primals)), keep=True)
    order = in_order(traced)

    def derivative(*tangents: Any) -> Any:
        _, given = matched(primals, tangents, "linearize")
        return traced.refill(pushed(traced, order, given))

    return traced.refill(map(copied, traced.values)), derivative


Steps = list[tuple[Tensor, list[Tensor]]]


def in_order(traced: Recording) -> Steps:
    """The operations of a recording, each with the tensors that are not needed after it."""
    return with_last_uses(traced.order(), traced.outputs)


def with_last_uses(order: Sequence[Tensor], outputs: Iterable[Tensor | None]) -> Steps:
    """The operations in an order, each with the tensors that are not needed after it."""
    last = {a: t for t in order for a in t.args if isinstance(a, Tensor)}
    done: dict[Tensor, list[Tensor]] = {}
    kept = set(outputs)
    for a, t in last.items():
        if a not in kept:
            done.setdefault(t, []).append(a)
    return [(t, done.get(t, [])) for t in order if t.primitive is not None]


def pushed(traced: Recording, order: Steps, tangents: Sequence[Array | None]) -> list[Array]:
    """The tangents of a recording's outputs from those of its inputs."""
    known = sweep(order, dict(zip(traced.inputs, tangents, strict=True)))
    pairs = zip(traced.outputs, traced.values, strict=True)
    return [dense(None if y is None else known.get(y), v) for y, v in pairs]


#: Set by `fast_paths`: the tangent of a result by a faster way, or None.
shortcut: Callable[..., Array | None] | None = None


def sweep(order: Steps, tangents: dict[Tensor, Array | None]) -> dict[Tensor, Array | None]:
    """Push tangents through recorded operations, in the order in which they ran. After each, the
    tangents of the tensors listed with it are dropped."""
    fast = None if current().anomaly else shortcut
    for t, done in order:
        incoming = [tangents.get(a) if isinstance(a, Tensor) else None for a in t.args]
        values = t.operand_values()
        found = None if fast is None else fast(t.primitive, incoming, t.value, values, t.params)
        if found is None:
            line = lambda t=t: t.line or "a line recorded outside detect_anomaly()"
            found = push(t.primitive, incoming, t.value, values, t.params, line)  # type: ignore[arg-type]
        tangents[t] = found
        for a in done:
            tangents.pop(a, None)
    return tangents


def dense(tangent: Array | None, value: Array) -> Array:
    """A tangent as users get it: zeros if there is none, a float if the value is one, and an array
    that nobody else holds."""
    if tangent is None:
        return zeros(value)
    if type(tangent) is np.float64 and type(value) is float:
        return float(tangent)
    if type(tangent) is np.ndarray and not (tangent.base is None and tangent.flags.writeable):
        return tangent.copy()
    return tangent


def matched(primals: Any, tangents: Any, who: str) -> tuple[list[Any], list[Any]]:
    """The leaves of the arguments, and the leaves of their directions."""
    for given, what in ((primals, "primals"), (tangents, "tangents")):
        if not isinstance(given, tuple | list):
            raise TypeError(
                f"{who}: the {what} must be a tuple with one entry per argument, not"
                f" {type(given).__name__}"
            )
    values, directions = [], []
    for path, x, t in paired(tuple(primals), tuple(tangents), f"{who}: tangents"):
        values.append(lifted(x, f"{who}: argument {path}"))
        directions.append(checked_cotangent(t, values[-1], f"{who}: tangents{path}"))
    return values, directions
