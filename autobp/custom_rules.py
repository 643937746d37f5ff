"""Functions of your own with rules of your own, in both modes from either."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autobp.calculus import project
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
    """Make a differentiable function of a NumPy function and its rules.

    A rule is `(t, out, *args, **params)`: `t` is the cotangent of the result for `vjp`, the tangent
    of one argument for `jvp`; it returns what this contributes to the argument, or to the result.
    With several arguments give a sequence of rules, one each, None where the derivative is zero.
    Rules written with NumPy's functions can be differentiated again. One of the two is enough: both
    are linear in `t`, and each is the other's transpose.

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
                f"{primitive.name} has rules for {len(backward)} arguments and was given {len(args)};"
                " give each argument a rule (None if its derivative is zero), and parameters by name"
            )
        for k, v in params.items():
            if isinstance(v, Variable):
                raise TypeError(f"{primitive.name}: {k} is a Tensor; Tensors are given by position")
        return primitive(*args, **params)

    function.__name__, function.__doc__ = primitive.name, forward.__doc__
    return function


def _named(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", "custom")
    return "custom" if name == "<lambda>" else name


def _rules(given: Any) -> Sequence[Rule | None]:
    return () if given is None else (given,) if callable(given) else tuple(given)


def _owned(rule: Rule | None, name: str) -> Rule | None:
    """A rule whose result may be kept: a user's may return an array that it goes on using."""
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
                f" {shapes[0]} nor those of the arguments {shapes[1:]}"
            )
        return c

    return owned


def _fits(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, other) == other
    except ValueError:
        return False


def _transposed(rule: Rule | None, slot: int, kind: str) -> Rule | None:
    """The rule of the other mode. A rule is a linear map, between the argument in that slot and the
    result; its transpose is a reverse sweep through the rule."""
    if rule is None:
        return None

    def transposed(t: Array, out: Array, *args: Array, **params: Any) -> Array:
        ends = (args[slot], out) if kind == "jvp" else (out, args[slot])
        start, end = (np.zeros(np.shape(a))[()] for a in ends)
        _, pullback = pull_back(lambda s: project(rule(s, out, *args, **params), end), start)
        return pullback(t)[0]

    return transposed
