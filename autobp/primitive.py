"""Primitive: an operation and its rules of differentiation, each stated once.

A rule is one line of NumPy code with one signature in both modes,

    rule(t, out, *args, **params)

where `t` is the tangent that goes forward or the cotangent that comes back, `out` the result and
`args` the arguments. There is one rule for each argument, so a constant argument costs nothing.
The same text runs on arrays and, for derivatives of derivatives, on Tensors. Rules need not undo
broadcasting, cast dtypes or add up: the sweeps do that, and a rule must not change what it is given.

There are four forms, by what has to be said:

    elementwise   the Jacobian is diagonal, hence its own transpose: one row serves both modes
    linear        the tangent goes through the function itself: only the transpose is stated
    bilinear      linear in each argument, the others held: again only the transposes
    general       both rows, one above the other

The form implies most of what else is known of an operation (`operation.Operation`); what deviates is
stated by keyword at the end of its row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial, wraps
from itertools import count, islice
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np

from autobp.operation import Operation, register, row

__all__ = [
    "NUMPY",
    "Each",
    "Primitive",
    "Results",
    "Shaped",
    "Together",
    "V",
    "Variable",
    "anywhere",
    "bilinear",
    "condition",
    "constant",
    "elementwise",
    "general",
    "implements",
    "linear",
    "same",
    "numbers",
    "one_array",
    "opaque",
    "part",
    "plainly",
    "variable_in",
]

F = TypeVar("F", bound=Callable[..., Any])
Array = Any  # a float, a NumPy scalar, an ndarray, or a Tensor standing for one
Rule = Callable[..., Array]
Rules = Sequence["Rule | None"]  # None: the derivative is zero

#: NumPy's function -> ours. NumPy hands a call over to us when one of its arguments is a Tensor.
NUMPY: dict[Any, Callable[..., Any]] = {}


def same(t: Array, *_: Array, **__: Any) -> Array:
    """The rule of what passes derivatives on unchanged, so common that sweeps skip calling it."""
    return t


class _HasShape(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...


class Shaped:
    """What has a shape has axes and elements."""

    __slots__ = ()

    @property
    def ndim(self: _HasShape) -> int:
        return len(self.shape)

    @property
    def size(self: _HasShape) -> int:
        """The number of elements, as of NumPy's arrays. PyTorch's `t.size(0)` is `t.shape[0]`."""
        return math.prod(self.shape)


class Variable(Shaped):
    """What a primitive does not evaluate itself but asks to take the operation over: a Tensor, or
    what stands for an array while a program is written down."""

    __slots__ = ()

    #: All kinds of them, among which a type is found without a call, which a profiler would be told of.
    kinds: ClassVar[set[type]] = set()

    #: Whether it stands for a batch of examples, of which no single value can be told.
    is_batch = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Variable.kinds.add(cls)

    dtype: Any
    shape: Any
    tracing: Any  # of one that is traced, the trace: see `context.tracing`

    def apply(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        raise NotImplementedError

    def primal_value(self) -> Any:
        raise NotImplementedError

    def astype(self, dtype: Any) -> Any:
        raise NotImplementedError

    def canonical(self) -> Any:
        """Itself in the form in which a tensor keeps it."""
        return self

    def computed(
        self,
        primitive: Primitive,
        args: Sequence[Any],
        values: Sequence[Any],
        params: dict[str, Any],
    ) -> Any:
        """The value of an operation that is recorded with these arguments, and computes with these
        values, of which it is one."""
        result = self.apply(primitive, values, params)
        if type(result) is Results:  # of an array that is traced
            return result
        value = result.value
        if type(value) is Results:
            return Results(part(result, index=i) for i in range(len(value)))
        return result if result.requires_grad else value

    def condition(self) -> bool:
        raise NotImplementedError

    def call_plain(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        """Call a function of NumPy's that takes no part in differentiation."""
        return function(*args, **kwargs)

    def call_opaque(self, function: Callable[..., Any], args: Sequence[Any]) -> Any:
        raise NotImplementedError


if TYPE_CHECKING:
    import typing_extensions

    #: `f(x: V | Array) -> V` gives a Tensor of a Tensor, and of what else there is what NumPy makes of it.
    V = typing_extensions.TypeVar("V", bound=Variable, default=Any)
else:
    V = TypeVar("V")


def constant(a: Any) -> Any:
    """The bare value, for what takes no part in differentiation: a condition, a comparison."""
    return a.primal_value() if isinstance(a, Variable) else a


def condition(a: Any) -> bool:
    """The truth of a value, which a program that is traced takes for granted and checks when it runs."""
    return a.condition() if isinstance(a, Variable) else bool(a)


def anywhere(truth: Any) -> bool:
    """Whether something holds anywhere, in any example of a batch: for checks, and for shortcuts that
    give the same result as what they leave out."""
    return bool(np.any(numbers(truth)))


def numbers(value: Any) -> Any:
    """All numbers of a value, for those who look at them: of a batch, those of all examples."""
    value = constant(value)
    while isinstance(value, Variable) and value.is_batch:
        value = constant(value.value)  # type: ignore[attr-defined]
    return value


def plainly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of NumPy's on the bare values, in lists and tuples too: what it gives takes no part
    in differentiation."""
    args = tuple(map(_constants, args))
    kwargs = {k: _constants(v) for k, v in kwargs.items()}
    for a in _flat((*args, *kwargs.values())):
        if isinstance(a, Variable) and a.is_batch:
            return a.call_plain(function, args, kwargs)
    return function(*args, **kwargs)


def _constants(a: Any) -> Any:
    """The bare values, also of what comes in a list or a tuple, as the keys of lexsort do."""
    return type(a)(map(_constants, a)) if type(a) in (list, tuple) else constant(a)


def _flat(nest: Sequence[Any]) -> Iterator[Any]:
    for a in nest:
        if type(a) in (list, tuple):
            yield from _flat(a)
        else:
            yield a


def opaque(function: Callable[..., Array]) -> Callable[..., Array]:
    """A part of a rule that is constant and assigns into arrays: while a program is written down,
    it is run and written down as a whole, since an array that stands for others is not assigned."""

    @wraps(function)
    def taken_over(*args: Any) -> Any:
        args = tuple(map(constant, args))
        for a in args:
            for part in a if isinstance(a, tuple) else (a,):
                if isinstance(part, Variable):
                    return part.call_opaque(function, args)
        return function(*args)

    return taken_over


def fused(kernel: Callable[..., Any], written_out: Callable[..., Any], *args: Any) -> Any:
    """A part of a rule that is run, and traced, as one call of an opaque kernel; but written out where
    there are Tensors among its arguments, so that what is done to them is recorded."""
    recorded = any(isinstance(a, Variable) and a.primal_value() is not a for a in args)
    return (written_out if recorded else kernel)(*args)


def variable_in(index: Any) -> Variable | None:
    """What stands for an array in an index; a batch, if there is one."""
    kind = type(index)
    if kind is slice or kind is int:  # as nearly always
        return None
    found = None
    for i in index if kind is tuple else (index,):
        if isinstance(i, Variable) and (found is None or i.is_batch):
            found = i
    return found


class Each:
    """The rule of a primitive with any number of arguments: it is told which `slot` is meant."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __getitem__(self, slot: int) -> Rule:
        return partial(self.rule, slot=slot)

    def __iter__(self) -> Iterator[Rule]:
        return map(self.__getitem__, count())


class Together(Each):
    """The rule of a primitive with any number of arguments that makes the cotangents of all of them
    in one go, in their order. What is handed all arguments for each of them takes quadratic time."""

    def __getitem__(self, slot: int) -> Rule:
        def one(*args: Array, **params: Any) -> Array:
            return next(islice(self.rule(*args, **params), slot, None))

        return one


class Results(list[Any]):
    """The value of an operation that has several results: a list of theirs. To those who show values
    it is one array of all their numbers."""

    __slots__ = ()

    dtype: Any = np.dtype(np.float64)

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(np.size(x) for x in self),)

    def joined(self) -> Array:
        return np.concatenate([np.zeros(0), *map(np.ravel, self)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.joined(), dtype)

    def __str__(self) -> str:
        return f"{len(self)} results"

    __repr__ = __str__


def one_array(value: Any) -> Any:
    """A value, or the several results of an operation in one array."""
    return value.joined() if type(value) is Results else value


class Primitive:
    """An operation that is run as a whole and differentiated by rule."""

    __slots__ = ("facts", "form", "forward", "function", "name", "reverse")

    def __init__(
        self,
        name: str | None,
        function: Callable[..., Array],
        forward: Any,
        reverse: Any,
        form: str = "general",
        **facts: Any,
    ) -> None:
        self.name: str = name or function.__name__.strip("_")
        self.function: Callable[..., Array] = function
        self.forward: Any = forward  # one rule for each argument, carrying tangents
        self.reverse: Any = reverse  # one rule for each argument, carrying cotangents
        numpy = facts.get("numpy", function)
        self.facts: Operation = row(numpy, form, **facts)
        self.form: str = form
        register(numpy, self.facts)
        if function is not numpy:
            register(function, replace(self.facts, out=False))

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __call__(self, *args: Any, **params: Any) -> Any:
        if params and "index" in params:
            i = variable_in(params["index"])
            if i is not None:
                return i.apply(self, args, params)
        for a in args:
            if isinstance(a, Variable):
                return a.apply(self, args, params)
        return self.function(*args, **params)

    def push(
        self, tangents: Sequence[Array | None], out: Array, args: Sequence[Array], params: Any
    ) -> Array | None:
        """The tangent of the result from those of the arguments; None stands for zero."""
        total = None
        for t, rule in zip(tangents, self.forward, strict=False):
            if t is not None and rule is not None:
                term = rule(t, out, *args, **params)
                if term is not None:
                    total = term if total is None else total + term
        return total


class _Linear(Primitive):
    """Linear in all of its arguments together: all the tangents go through in one call."""

    __slots__ = ()

    def push(
        self, tangents: Sequence[Array | None], out: Array, args: Sequence[Array], params: Any
    ) -> Array | None:
        zero = partial(np.zeros, dtype=out.dtype)
        pairs = zip(tangents, args, strict=True)
        return self(*(zero(np.shape(a)) if t is None else t for t, a in pairs), **params)


def elementwise(
    function: Callable[..., Array], *rules: Rule | None, name: str | None = None, **facts: Any
) -> Primitive:
    """A primitive that acts on each element alone. Its rules serve both modes.

    >>> import numpy as np
    >>> from autobp import grad
    >>> from autobp.primitive import elementwise
    >>> bump = elementwise(lambda x: np.exp(-x * x), lambda t, y, x: -2 * x * y * t, name="bump")
    >>> grad(bump)(0.5)
    -0.7788007830714049
    """
    return Primitive(name, function, rules, rules, "elementwise", **facts)


def linear(
    function: Callable[..., Array], *transposes: Rule | Each, name: str | None = None, **facts: Any
) -> Primitive:
    """A primitive that is linear in its arguments. Only the transposes need saying."""
    reverse = transposes[0] if isinstance(transposes[0], Each) else transposes
    return _Linear(name, function, None, reverse, "linear", **facts)


def bilinear(
    function: Callable[..., Array], *transposes: Rule | Each, name: str | None = None, **facts: Any
) -> Primitive:
    """A primitive that is linear in each argument while the others are held."""

    def tangent(t: Array, out: Array, *args: Array, slot: int, **params: Any) -> Array:
        return primitive(*args[:slot], t, *args[slot + 1 :], **params)

    forward: Any = Each(tangent)
    reverse: Any = transposes[0]
    if not isinstance(reverse, Each):
        forward, reverse = tuple(islice(forward, len(transposes))), transposes
    primitive = Primitive(name, function, forward, reverse, "bilinear", **facts)
    return primitive


def general(
    function: Callable[..., Array],
    *,
    forward: Any,
    reverse: Any,
    name: str | None = None,
    **facts: Any,
) -> Primitive:
    """A primitive whose rules are both written out, a row for each mode."""
    forward, reverse = ((rules,) if callable(rules) else rules for rules in (forward, reverse))
    return Primitive(name, function, forward, reverse, "general", **facts)


def _collected(*_: Any, **__: Any) -> Array:
    raise AssertionError("sweeps collect the cotangents of the parts themselves")


#: One of the results of an operation that has several.
part: Primitive = general(
    lambda results, index: results[index],
    forward=lambda t, y, results, index: t[index],
    reverse=_collected,
    name="part",
    moves=True,
)


def implements(*numpy: Callable[..., Any]) -> Callable[[F], F]:
    """Let a function of ours stand in for NumPy's, with the argument forms that NumPy's has."""

    def register(ours: F) -> F:
        for theirs in numpy:
            NUMPY[theirs] = ours
        return ours

    return register
