"""custom: a function with derivative rules of your own. One rule gives both modes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from autobp.arrays import is_foreign
from autobp.batching import vmap
from autobp.calculus import project
from autobp.context import value_listener
from autobp.dag import ancestors, record
from autobp.errors import NoRuleError
from autobp.primitive import Array, Primitive, Rule, Rules, Variable, general
from autobp.reverse import vjp as pull_back
from autobp.sparsity import Inside
from autobp.tensor import Tensor

__all__ = ["custom"]

#: What a user may state of a function, and what it must be.
_FACTS = {
    "static": "True or False, or a function of the arguments",
    "fresh": "True or False, or a function of the arguments",
    "moves": "True or False",
    "cost": "a function of the shapes of the result and of the arguments",
    "batch": "a batching rule, batch(run, args, mapped, **params)",
}


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

    Facts about the function are keywords. `static=True`: the shape of the result does not depend on
    values. `fresh=True`: the result shares no memory with an argument. `moves=True`: the result
    consists of elements of the arguments. `cost`: a function of the shapes of the result and of the
    arguments that counts multiplications, additions and transcendental calls. Without them, `compile`
    assumes that the shape depends on values and that the result may be a view.

    `vmap` runs the function and its rules on a whole batch, if they are written in NumPy. Otherwise
    `batch` does: `batch(run, args, mapped, **params)` returns the results of all examples, stacked, where
    `run` is the function, and `args[i]` has the examples along a first axis if `mapped[i]` is true.

    Sparse derivatives find which elements of the result depend on which of an argument by what a rule
    does, if it is written in NumPy. Otherwise each is taken to depend on all.

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
    for fact, value in facts.items():
        if fact not in _FACTS:
            raise TypeError(f"custom(): there is no fact {fact!r}; there are {', '.join(_FACTS)}")
        if not (isinstance(value, bool) or (callable(value) and fact != "moves")) or (
            fact in ("cost", "batch") and not callable(value)
        ):
            raise TypeError(f"custom(): {fact} must be {_FACTS[fact]}, not {value!r:.50}")
    if vjp is None and jvp is None:
        raise TypeError("custom() needs a rule: vjp=, jvp= or both")
    name = name or _named(forward)
    backward = _rules(vjp) or [_transposed(r, i, "jvp", name) for i, r in enumerate(_rules(jvp))]
    onward = _rules(jvp) or [_transposed(r, i, "vjp", name) for i, r in enumerate(_rules(vjp))]
    if len(backward) != len(onward):
        raise TypeError(f"custom(): {len(backward)} vjp rules and {len(onward)} jvp rules")

    def run(*args: Any, **params: Any) -> Any:
        out = forward(*args, **params)
        if isinstance(out, tuple | list):
            raise TypeError(f"{name} returned a {type(out).__name__}; a primitive has one result")
        return out

    run.__name__ = name
    forward_rules = [_owned(rule, name) for rule in onward]
    reverse_rules = [_owned(rule, name) for rule in backward]
    if "batch" in facts:
        facts["batch"] = _checked_batches(facts["batch"], name)
    else:
        facts["batch"] = _OnBatches(run, forward_rules, reverse_rules)
    inside = _Pushed(forward_rules)
    primitive = general(
        run, forward=forward_rules, reverse=reverse_rules, name=name, inside=inside, **facts
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
        if is_foreign(c):
            c = c.copy()
        else:
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


class _Reads(NamedTuple):
    """The tensors of which a rule has read the bare value, as by `t.tolist()`."""

    tensors: list[Tensor]
    others: Any  # who listens besides

    def read(self, t: Tensor) -> None:
        self.tensors.append(t)
        if self.others is not None:
            self.others.read(t)

    def compared(self, *comparison: Any) -> Any:
        return None if self.others is None else self.others.compared(*comparison)

    def of_any(self, inputs: Mapping[Tensor, Any], level: int) -> bool:
        """Whether any of them depends on the inputs, which alone are variables further in."""
        return any(
            t.level > level
            or (t.level == level and not inputs.keys().isdisjoint(ancestors([t], level)))
            for t in self.tensors
        )


@contextmanager
def _reading() -> Iterator[_Reads]:
    reads = _Reads([], value_listener.get())
    token = value_listener.set(reads)
    try:
        yield reads
    finally:
        value_listener.reset(token)


def _transposed(rule: Rule | None, slot: int, kind: str, name: str) -> Rule | None:
    """The rule of the other mode. A rule is a linear map between the argument in that slot and the
    result. A reverse sweep through the rule gives its transpose."""
    if rule is None:
        return None

    def transposed(t: Array, out: Array, *args: Array, **params: Any) -> Array:
        ends = (args[slot], out) if kind == "jvp" else (out, args[slot])
        start, end = (np.zeros(np.shape(a))[()] for a in ends)

        def linear(s: Tensor) -> Array:
            with _reading() as reads:
                c = project(rule(s, out, *args, **params), end)
            is_cut = not (isinstance(c, Tensor) and c.level == s.level)
            if is_cut and any(r.level == s.level for r in reads.tensors):
                other = "jvp" if kind == "vjp" else "vjp"
                raise TypeError(
                    f"{name}: {kind}= takes bare values, as by .tolist(), from what it is given, so that {other}="
                    " does not follow from it: write it in NumPy, or give both"
                )
            return c

        _, pullback = pull_back(linear, start)
        return pullback(t)[0]

    return transposed


def _checked_batches(rule: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A batching rule of the user's, whose result is held to the number of examples."""

    def checked(run: Any, args: Sequence[Array], mapped: Sequence[bool], **params: Any) -> Array:
        found = rule(run, args, mapped, **params)
        count = next(len(a) for a, m in zip(args, mapped, strict=True) if m)
        if np.shape(found)[:1] != (count,) or not hasattr(found, "shape"):
            what = (
                f"an array of shape {found.shape}" if hasattr(found, "shape") else repr(found)[:50]
            )
            raise TypeError(
                f"{name}: batch= returned {what}, and there are {count} examples: it returns one array, with"
                " the results of all along its first axis"
            )
        return found

    return checked


class _Pushed:
    """What the tangent of a result is made of: the rules, recorded. The result depends on an argument where
    the tangent does on the argument's."""

    def __init__(self, rules: Sequence[Rule | None]) -> None:
        self.rules = rules

    def __call__(self, t: Tensor) -> Inside | None:
        slots = [
            i
            for i, a in enumerate(t.args)
            if isinstance(a, Tensor) and a.level == t.level and self.rules[i] is not None
        ]
        values = [t.value, *t.operand_values()]
        tangents = [np.ones(np.shape(values[1 + i]))[()] for i in slots]

        def tangent(*given: Any) -> Any:
            directions, (out, *args) = given[: len(slots)], given[len(slots) :]
            parts = [self.rules[i](d, out, *args, **t.params) for i, d in zip(slots, directions)]  # type: ignore[misc]
            return sum([project(c, t.value) for c in parts if c is not None], np.zeros(t.shape))

        given = [*tangents, *values]
        floats = [i for i, v in enumerate(given) if np.result_type(v).kind == "f"]
        try:
            with np.errstate(all="ignore"), _reading() as reads:
                recorded = record(tangent, given, floats)
        except Exception:  # a rule that is not written in NumPy
            return None
        inputs = dict(zip(recorded.inputs, [t.args[i] for i in slots], strict=False))
        if reads.of_any(inputs, recorded.level):
            return None
        return Inside(inputs, recorded.outputs, recorded.order())


class _OnBatches:
    """The batching rule of a function that runs on a batch itself. What runs is an operation again, whose
    rules are those of one example, on all examples."""

    def __init__(
        self,
        run: Callable[..., Array],
        forward: Sequence[Rule | None],
        reverse: Sequence[Rule | None],
    ) -> None:
        self.run = run
        self.forward = forward
        self.reverse = reverse
        self.made: dict[tuple[bool, ...], Primitive] = {}

    def __call__(
        self, run: Any, args: Sequence[Array], mapped: Sequence[bool], **params: Any
    ) -> Array:
        key = tuple(mapped)
        if key not in self.made:
            self.made[key] = self._primitive(key)
        return self.made[key](*args, **params)

    def _primitive(self, mapped: tuple[bool, ...]) -> Primitive:
        axes = tuple(0 if m else None for m in mapped)
        name = self.run.__name__

        def on_batch(*args: Array, **params: Any) -> Array:
            return _mapped(name, self.run, axes, args, params)

        def pushed(rule: Rule | None, slot: int) -> Rule | None:
            def tangent(t: Array, out: Array, *args: Array, **params: Any) -> Array:
                return project(rule(t, out, *args, **params), out)  # type: ignore[misc]

            def of_batch(t: Array, out: Array, *args: Array, **params: Any) -> Array:
                return _mapped(name, tangent, (axes[slot], 0, *axes), (t, out, *args), params)

            return None if rule is None else of_batch

        def pulled(rule: Rule | None, slot: int) -> Rule | None:
            def cotangent(g: Array, out: Array, *args: Array, **params: Any) -> Array:
                return project(rule(g, out, *args, **params), args[slot])  # type: ignore[misc]

            def of_batch(g: Array, out: Array, *args: Array, **params: Any) -> Array:
                c = _mapped(name, cotangent, (0, 0, *axes), (g, out, *args), params)
                return c if mapped[slot] else np.sum(c, axis=0)

            return None if rule is None else of_batch

        on_batch.__name__ = name
        forward = [pushed(rule, i) for i, rule in enumerate(self.forward)]
        reverse = [pulled(rule, i) for i, rule in enumerate(self.reverse)]
        further = _OnBatches(on_batch, forward, reverse)  # a batch of such batches
        return general(
            on_batch,
            forward=forward,
            reverse=reverse,
            name=name,
            batch=further,
            inside=_Pushed(forward),
        )


def _mapped(
    name: str, function: Callable[..., Any], axes: Any, args: Sequence[Any], params: dict[str, Any]
) -> Any:
    try:
        return vmap(lambda *xs: function(*xs, **params), axes)(*args)
    except TypeError as error:
        raise NoRuleError(
            f"vmap: {name} does not run on a batch of examples as it is ({error}): write it in NumPy, or give"
            " it a batching rule, custom(..., batch=rule)"
        ) from error
