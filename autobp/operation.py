"""Operation: what is known of an operation, stated once, for every reader.

A row holds mathematics and memory: what an operation costs, whether the shape of its result depends
on values, whether its result is new memory. Most of a row follows from the form of the rule and from
NumPy itself; what deviates is stated where the operation is defined. What is not known has the careful
answer: the shape may depend on values, and the result may be a view.

How a target writes an operation down (NumPy's source, a picture) is a table of its printer. Python's
signs are here, since arrays, printers and pictures share them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

__all__ = [
    "FUNCTION",
    "MOVE",
    "PLUS",
    "PREFIXES",
    "SIGNS",
    "TIMES",
    "Operation",
    "Sign",
    "each",
    "of",
    "operation",
    "register",
    "row",
]

Cost = Callable[..., tuple[int, int, int]]  # of the shapes of the result and of the arguments


# ── Python's signs ────────────────────────────────────────────────────────────────────────────────

#: How tightly a sign binds its operands.
COMPARISON, OR, XOR, AND, SHIFT, SUM, PRODUCT, PREFIX, POWER, ATOM = range(10)


class Sign(NamedTuple):
    """What Python knows of a sign."""

    method: str  # __add__, with __radd__ and __iadd__
    python: Callable[..., Any]
    ufunc: np.ufunc
    binding: int
    commutes: bool = False
    total: bool = False  # Python computes it for all numbers; elsewhere it may raise


# fmt: off
SIGNS: dict[str, Sign] = {
    "+":  Sign("add",      operator.add,      np.add,           SUM,        commutes=True, total=True),
    "-":  Sign("sub",      operator.sub,      np.subtract,      SUM,        total=True),
    "*":  Sign("mul",      operator.mul,      np.multiply,      PRODUCT,    commutes=True, total=True),
    "/":  Sign("truediv",  operator.truediv,  np.divide,        PRODUCT),
    "//": Sign("floordiv", operator.floordiv, np.floor_divide,  PRODUCT),
    "%":  Sign("mod",      operator.mod,      np.remainder,     PRODUCT),
    "@":  Sign("matmul",   operator.matmul,   np.matmul,        PRODUCT),
    "**": Sign("pow",      operator.pow,      np.power,         POWER),
    "&":  Sign("and",      operator.and_,     np.bitwise_and,   AND,        commutes=True),
    "|":  Sign("or",       operator.or_,      np.bitwise_or,    OR,         commutes=True),
    "^":  Sign("xor",      operator.xor,      np.bitwise_xor,   XOR,        commutes=True),
    "<<": Sign("lshift",   operator.lshift,   np.left_shift,    SHIFT),
    ">>": Sign("rshift",   operator.rshift,   np.right_shift,   SHIFT),
    "==": Sign("eq",       operator.eq,       np.equal,         COMPARISON, commutes=True),
    "!=": Sign("ne",       operator.ne,       np.not_equal,     COMPARISON, commutes=True),
    "<":  Sign("lt",       operator.lt,       np.less,          COMPARISON),
    "<=": Sign("le",       operator.le,       np.less_equal,    COMPARISON),
    ">":  Sign("gt",       operator.gt,       np.greater,       COMPARISON),
    ">=": Sign("ge",       operator.ge,       np.greater_equal, COMPARISON),
}
PREFIXES: dict[str, Sign] = {
    "-":  Sign("neg",      operator.neg,      np.negative,      PREFIX),
    "+":  Sign("pos",      operator.pos,      np.positive,      PREFIX),
    "~":  Sign("invert",   operator.invert,   np.invert,        PREFIX),
}
# fmt: on


# ── costs of an element ───────────────────────────────────────────────────────────────────────────


def each(*triple: int) -> Cost:
    """A cost for each element of the result: multiplications, additions, transcendental calls."""
    m, a, t = triple
    return lambda out, *_, **__: (m * (n := math.prod(out)), a * n, t * n)


MOVE, PLUS, TIMES, FUNCTION = each(0, 0, 0), each(0, 1, 0), each(1, 0, 0), each(0, 0, 1)


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The row of one operation. `static` and `fresh` may be functions of the arguments of a call."""

    form: str = ""  # elementwise, linear, bilinear or general; "": it has no rule
    cost: Cost | None = None  # None: unknown
    sign: str = ""  # of Python; with one argument it stands in front
    python: Callable[..., Any] | None = None  # the same function on floats, several times faster
    static: bool | Callable[..., bool] = False  # shape and dtype do not depend on values
    fresh: bool | Callable[..., bool] = False  # the result shares no memory with an argument
    moves: bool = False  # the result consists of elements of the arguments
    numpy: Any = None  # the callable that programs call for it
    reduces: np.ufunc | None = None  # whose reduction it is
    out: bool = False  # `out=` takes the result
    opaque: bool = False  # traced as one call, not through its function
    blas: bool = False  # products of matrices, which BLAS computes
    adds: Callable[..., bool] | None = None  # what a rule makes, to an array in place; or declines
    pixels: str = (
        ""  # of images in memory, before samples and channels: "first" puts, "kept" leaves them
    )
    batch: Callable[..., Any] | None = None  # the rule of `rules.batching`; None: by the form
    pattern: Callable[..., Any] | None = None  # what elements depend on; see `rules.patterns`
    inside: Callable[[Any], Any] | None = (
        None  # the operations that a result is made of; see `sparsity`
    )

    def is_static(self, args: tuple[Any, ...], params: dict[str, Any]) -> bool:
        """Whether the result of a call has the same shape and dtype whatever the values are."""
        return self.static(*args, **params) if callable(self.static) else self.static

    def is_fresh(self, args: tuple[Any, ...], params: dict[str, Any]) -> bool:
        """Whether the result of a call shares no memory with an argument."""
        return self.fresh(*args, **params) if callable(self.fresh) else self.fresh


_UNKNOWN = Operation()
_SIGNED = {
    function: (text, sign)
    for signs in (SIGNS, PREFIXES)
    for text, sign in signs.items()
    for function in (sign.ufunc, sign.python)
}
#: NumPy 2.1 reduces arrays with negative strides wrongly if it is told where to put the result.
_WRONG_WITH_OUT = (
    (np.maximum, np.minimum, np.fmax, np.fmin)
    if np.lib.NumpyVersion(np.__version__) < "2.2.0"
    else ()
)
_STATIC_FORMS = ("elementwise", "linear", "bilinear")  # whose results have one shape by definition

_known: dict[Any, Operation] = {}  # rows of NumPy's callables and Python's, which stay
_defined: WeakKeyDictionary[Any, Operation] = WeakKeyDictionary()  # rows of functions in Python


def of(function: Any) -> Operation:
    """The row of a callable."""
    if isinstance(function, FunctionType):
        return _defined.get(function, _UNKNOWN)
    found = _known.get(function)
    return row(function) if found is None else found


def row(function: Any, form: str = "", **stated: Any) -> Operation:
    """A row from what is stated, what NumPy says of its own, and what the form implies."""
    facts = {"static": form in _STATIC_FORMS} | _by_numpy(function)
    if form:
        facts["form"] = form
    if stated.get("moves"):
        facts["cost"] = MOVE
    return Operation(**{**facts, **stated})


def _by_numpy(function: Any) -> dict[str, Any]:
    """What is known of NumPy's ufuncs and of their methods, and of Python's operators."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        reduces = function == owner.reduce
        return {
            "static": True,
            "fresh": True,
            "out": reduces and owner not in _WRONG_WITH_OUT,
            "reduces": owner if reduces else None,
        }
    facts: dict[str, Any] = {}
    if function in _SIGNED:
        text, sign = _SIGNED[function]
        python = sign.python if sign.ufunc.signature is None else None
        facts = {"sign": text, "python": python, "static": True, "fresh": True}
    if isinstance(function, np.ufunc):
        facts |= {"static": True, "fresh": True}
        if function.signature is None:
            facts |= {"form": "elementwise", "cost": FUNCTION, "out": function.nout == 1}
    return facts


def register(function: Any, facts: Operation) -> None:
    """Make a row known by a callable. The first row counts: what a user states of NumPy's functions
    holds for the user's primitive alone."""
    (_defined if isinstance(function, FunctionType) else _known).setdefault(function, facts)


def operation(*functions: Any, **stated: Any) -> Callable[[Any], Any]:
    """State facts of functions that are no primitives; of one's own, as a decorator.

    >>> from autobp.operation import of, operation
    >>> @operation(static=True, fresh=True)
    ... def doubled(x):
    ...     return x + x
    >>> of(doubled).fresh
    True
    """

    def state(function: Any) -> Any:
        register(function, row(function, **stated))
        return function

    for function in functions:
        state(function)
    return state


operation(*(sign.python for sign in (*SIGNS.values(), *PREFIXES.values())))
