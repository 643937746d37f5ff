"""custom: a function with derivative rules of your own. One rule gives both modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autobp.calculus import project
from autobp.operation import Operation
from autobp.primitive import Array, Rule, Rules, Variable, general
from autobp.reverse import vjp as pull_back

__all__ = ["custom"]


def custom(
    forward: Callable[..., Array],
    *,
    vjp: Rule | Rules | None = None,
    jvp: Rule | Rules | None = None,
    name: str | None = None,
    **facts: Any,
) -> Callable[..., Any]:
    """Make a differentiable function from a NumPy function and its derivative rules.

    A rule is called as `rule(t, out, *args, **params)`. For `vjp`, `t` is the cotangent of the result,
    and the rule returns the contribution to the argument's cotangent. For `jvp`, `t` is the tangent
    of the argument, and the rule returns the contribution to the result's tangent. A function of
    several arguments takes a sequence of rules, one for each, None where the derivative is zero.

    One of `vjp` and `jvp` is enough, since each is the transpose of the other. Rules written in NumPy
    can be differentiated again. Neither the function nor a rule may write into its arguments.

    Other facts about the function are keywords (see `autobp.operation.Operation`). Without them,
    `compile` assumes that the shape of a result depends on values and that a result may be a view.

    >>> import numpy as np
    >>> from autobp import custom, grad, jvp
    >>> clipped = custom(lambda x: np.sin(x), vjp=lambda g, y, x: np.clip(g, -1, 1) * np.cos(x))
    >>> grad(lambda x: 100 * clipped(x))(0.0)
    1.0
    >>> cube = custom(lambda x: x**3, jvp=lambda t, y, x: 3 * x**2 * t)
    >>> grad(grad(cube))(2.0)
    12.0
    """
    if not callable(forward):
        raise TypeError(f"custom() takes a function, not {type(forward).__name__}")
    known = Operation.__dataclass_fields__
    for fact in facts:
        if fact not in known:
            raise TypeError(f"custom(): there is no fact {fact!r}; there are {', '.join(known)}")
    if vjp is None and jvp is None:
        raise TypeError("custom() needs a rule: vjp=, jvp= or both")
    backward = _rules(vjp) or [_transposed(r, i, "jvp") for i, r in enumerate(_rules(jvp))]
    onward = _rules(jvp) or [_transposed(r, i, "vjp") for i, r in enumerate(_rules(vjp))]
    if len(backward) != len(onward):
        raise TypeError(f"custom(): {len(backward)} vjp rules and {len(onward)} jvp rules")
    name = name or _named(forward)

    def run(*args: Any, **params: Any) -> Any:
        out = forward(*args, **params)
        if isinstance(out, tuple | list):
            raise TypeError(f"{name} returned a {type(out).__name__}; a primitive has one result")
        return out

    run.__name__ = name
    primitive = general(
        run,
        forward=[_owned(rule, name) for rule in onward],
        reverse=[_owned(rule, name) for rule in backward],
        name=name,
        **facts,
    )

    def function(*args: Any, **params: Any) -> Any:
        if len(args) != len(backward):
            raise TypeError(
                f"{primitive.name} has rules for {len(backward)} arguments but was called with"
                f" {len(args)}: give each argument a rule (None if its derivative is zero), and pass"
                " parameters by name"
            )
        for k, v in params.items():
            if isinstance(v, Variable):
                raise TypeError(f"{primitive.name}: {k} is a Tensor; pass Tensors by position")
        return primitive(*args, **params)

    function.__name__, function.__doc__ = primitive.name, forward.__doc__
    return function


def _named(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", "custom")
    return "custom" if name == "<lambda>" else name


def _rules(given: Any) -> Sequence[Rule | None]:
    return () if given is None else (given,) if callable(given) else tuple(given)


def _owned(rule: Rule | None, name: str) -> Rule | None:
    """The rule with its result copied, since a user's rule may return an array that it reuses."""
    if rule is None:
        return None

    def owned(t: Array, out: Array, *args: Array, **params: Any) -> Array:
        c = rule(t, out, *args, **params)
        if c is None or isinstance(c, Variable):
            return c
        c = np.array(c, None if np.result_type(c).kind == "f" else np.float64)[()]
        shapes = [np.shape(out), *map(np.shape, args)]
        if c.shape and not any(_fits(c.shape, s) for s in shapes):
            raise ValueError(
                f"a rule of {name} returned shape {c.shape}, which fits neither the result's shape"
                f" {shapes[0]} nor the arguments' shapes {shapes[1:]}"
            )
        return c

    return owned


def _fits(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, other) == other
    except ValueError:
        return False


def _transposed(rule: Rule | None, slot: int, kind: str) -> Rule | None:
    """The rule of the other mode. A rule is a linear map between the argument in that slot and the
    result. A reverse sweep through the rule gives its transpose."""
    if rule is None:
        return None

    def transposed(t: Array, out: Array, *args: Array, **params: Any) -> Array:
        ends = (args[slot], out) if kind == "jvp" else (out, args[slot])
        start, end = (np.zeros(np.shape(a))[()] for a in ends)
        _, pullback = pull_back(lambda s: project(rule(s, out, *args, **params), end), start)
        return pullback(t)[0]

    return transposed
