"""Recurrence: `scan`, a loop whose body is stated once.

Outside of compiled functions the body runs once for each iteration and is recorded like any other
code, in a scope of its own: pictures roll the iterations into one, and every kind of derivative goes
through. A compiled function traces the body once and loops over it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autobp.context import no_grad, scope, tracing
from autobp.habits import checks_keywords
from autobp.owner import owner
from autobp.primitive import constant
from autobp.results import rows
from autobp.tensor import Tensor
from autobp.tree import leaves, paired, parts_of, refilled, transformed

__all__ = ["Body", "scan"]

Form = tuple[tuple[int, ...], Any]  # a shape and a dtype


@checks_keywords
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Loop over the first axis of `xs`, handing a carry on: `carry, y = f(carry, x)`.

    Returns the last carry and the ys, stacked. The carry, `xs` and the ys may be nested lists, tuples
    and dicts of Tensors, arrays and numbers. With `xs=None` the body runs `length` times and is given
    None. With `reverse=True` it runs from the last row to the first; ys[i] belongs to xs[i] all the
    same. A loop of length 0 runs the body on zeros, once, to learn the form of the ys.

    It gives what the Python loop gives, in reverse and forward mode, to any order, with respect to
    what the body closes over too. What it adds: `compile` traces the body once, whatever the length,
    and writes a `for` loop; pictures show the body "× n". In a compiled function a branch on a value
    that the body computes is refused; elsewhere it is fine.

    Each iteration must return a carry with the structure, the shapes and the dtypes that it was given.
    A number of Python's in `init` takes the dtype that the first iteration gives it.

    >>> import numpy as np
    >>> from autobp import grad, scan
    >>> def body(total, x):
    ...     total = 0.5 * total + x
    ...     return total, total**2
    >>> scan(body, 0.0, np.array([1.0, 2.0, 3.0]))
    (np.float64(4.25), array([ 1.    ,  6.25  , 18.0625]))
    >>> grad(lambda xs: np.sum(scan(body, 0.0, xs)[1]))(np.array([1.0, 2.0, 3.0]))
    array([6.625, 9.25 , 8.5  ])

    A recurrent network reads a sequence:

    >>> from autobp import nn
    >>> cell = nn.Linear(3, 2, rng=0)
    >>> def read(h, x):
    ...     h = np.tanh(cell(np.concatenate([h, x])))
    ...     return h, h
    >>> last, states = scan(read, np.zeros(2), np.ones((4, 1)))
    >>> states.shape
    (4, 2)

    A body wrapped in `remat` keeps the carries alone, and computes all else again.
    """
    body = Body(f)
    count = _count(xs, length, body)
    trace = tracing.get()
    if trace is not None and trace.rolls and not trace.is_elsewhere:
        return trace.scan(body, init, xs, count, reverse)
    if not count:
        return init, body.no_rows(init, xs)
    row = _row_maker(xs)
    carry = transformed(_lent, init)
    forms: Sequence[Form] = []
    ys: list[Any] = [None] * count
    with scope(body.name):
        for i in reversed(range(count)) if reverse else range(count):
            before = carry
            carry, ys[i] = body(carry, row(i))
            if not (forms and alike(before, carry)):
                forms = body.checked(before, carry, forms, i)
    return carry, body.stacked(ys)


class Body:
    """The function that a scan calls, and what messages say of it."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        if not callable(function):
            raise TypeError(f"scan takes a function of a carry and a row, not {function!r:.50}")
        self.function = function
        name = getattr(function, "__name__", type(function).__name__)
        self.name: Any | str = "scan" if name == "<lambda>" else name

    @property
    def place(self) -> str:
        """The function and where it begins."""
        code = getattr(self.function, "__code__", None)
        if code is None or owner(self.function).is_library:
            return self.name
        return f"{self.name} ({code.co_filename}:{code.co_firstlineno})"

    def __call__(self, carry: Any, x: Any) -> tuple[Any, Any]:
        try:
            result = self.function(carry, x)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise ValueError(
                f"scan: {self.place} writes into the arrays that it is given, which are the caller's:"
                " make new ones, with c = c + x for c += x"
            ) from error
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise TypeError(
                f"scan: {self.place} must return two things, the carry for the next iteration and y"
                f" (None if there is none), not {_said(result)}"
            )
        carry, y = result
        return carry, y

    def checked(self, before: Any, after: Any, forms: Sequence[Form], i: int) -> list[Form]:
        """The forms of a carry, which are those of the carry before."""
        found = []
        pairs = paired(before, after, f"scan: the carry that {self.place} returns")
        for k, (path, x, y) in enumerate(pairs):
            if parts_of(y) is not None:
                raise TypeError(
                    f"scan: the carry that {self.place} returns has {_said(y)} at carry{path}, where it"
                    f" was given {_said(x)}. A carry has one structure"
                )
            shape, dtype = form_of(y)
            was = forms[k] if forms else form_of(x)
            if (shape, dtype) != was and (shape != was[0] or forms or not is_weak(x)):
                raise self.other_form(path, was, (shape, dtype), f"at iteration {i}")
            found.append((shape, dtype))
        return found

    def other_form(self, path: str, was: Form, is_: Form, when: str) -> TypeError:
        (shape, dtype), (to, as_) = was, is_
        if to != shape:
            way_out = f"; begin with np.zeros({to}), say" if shape == () else ""
            said = f"has shape {to}, and was given with shape {shape}{way_out}"
        else:
            said = (
                f"is {as_}, and was given as {dtype}; cast it with astype, or begin with that dtype"
            )
        return TypeError(
            f"scan: carry{path} changes its form {when}: what {self.place} returns {said}. A carry has"
            " one structure, and each part of it one shape and one dtype"
        )

    def stacked(self, ys: Sequence[Any]) -> Any:
        """The ys of all iterations in one nest."""
        columns: list[list[Any]] = [[y] for _, y in leaves(ys[0])]
        for i, y in enumerate(ys[1:], 1):
            pairs = list(paired(ys[0], y, f"scan: the y that {self.place} returns"))
            for column, (path, first, now) in zip(columns, pairs, strict=True):
                if np.shape(first) != np.shape(now):
                    raise TypeError(
                        f"scan: y{path} has shape {np.shape(now)} at iteration {i} and"
                        f" {np.shape(first)} at iteration 0, and cannot be stacked"
                    )
                column.append(now)
        return refilled(ys[0], map(_stacked, columns))

    def no_rows(self, init: Any, xs: Any) -> Any:
        """The ys of a loop of length 0."""
        x = transformed(lambda x: zeros_of(np.shape(x)[1:], form_of(x)[1]), xs)
        with no_grad():
            _, y = self(init, x)
        return transformed(lambda y: np.zeros((0, *np.shape(y)), form_of(y)[1]), y)


def _count(xs: Any, length: int | None, body: Body) -> int:
    """The number of iterations."""
    count, first = length, "length"
    if length is not None and (not isinstance(length, int | np.integer) or length < 0):
        raise ValueError(f"scan: length is a number of iterations, not {length!r}")
    for path, x in leaves(xs):
        shape = getattr(x, "shape", None)
        if not shape:
            kind = type(x).__name__ if shape is None else "an array without dimensions"
            raise TypeError(
                f"scan: xs{path} is {kind}, which has no rows; the leaves of xs are arrays whose first"
                " axis counts the iterations (np.array of a list of numbers)"
            )
        if count is None:
            count, first = shape[0], f"xs{path}"
        elif shape[0] != count:
            raise ValueError(
                f"scan: xs{path} has {shape[0]} rows, but {first} says {count} iterations"
            )
    if count is None:
        raise TypeError("scan without xs needs length=, the number of iterations")
    return int(count)


def _row_maker(xs: Any) -> Callable[[int], Any]:
    """The function that takes a row of each leaf."""
    makers = [rows(x) for _, x in leaves(xs)]
    if makers and parts_of(xs) is None:
        return makers[0]
    return lambda i: refilled(xs, (make(i) for make in makers))


def alike(x: Any, y: Any) -> bool:
    """Whether two carries plainly have one form. If not, they may have it all the same."""
    kind = type(x)
    if kind is not type(y):
        return False
    if kind is tuple or kind is list:
        return len(x) == len(y) and all(map(alike, x, y))
    if kind is dict:
        return x.keys() == y.keys() and all(alike(x[key], y[key]) for key in x)
    if kind is float or x is y:
        return True
    if not isinstance(x, Tensor | np.ndarray | np.generic):
        return False
    return x.shape == y.shape and x.dtype == y.dtype


def form_of(x: Any) -> Form:
    """The shape and the dtype of a leaf."""
    dtype = getattr(x, "dtype", None)
    return np.shape(x), np.result_type(x) if dtype is None else dtype


def is_weak(x: Any) -> bool:
    """Whether a number has no dtype of its own: one of Python's, or a Tensor that holds one."""
    x = constant(x)
    return type(getattr(x, "now", x)) in (float, int, bool)


def _stacked(column: list[Any]) -> Any:
    """The ys of one leaf. Numbers of Python's take the dtype of the others, as everywhere."""
    strong = {form_of(y)[1] for y in column if not is_weak(y)}
    if strong and len(strong) < len({form_of(y)[1] for y in column}):
        weak = (0.0 if isinstance(y, Tensor) else y for y in column if is_weak(y))
        dtype = np.result_type(*strong, *weak)
        column = [_cast(y, dtype) if is_weak(y) else y for y in column]
    return np.stack(column)


def _cast(y: Any, dtype: Any) -> Any:
    return y.astype(dtype) if isinstance(y, Tensor) else dtype.type(y)


def zeros_of(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.zeros(shape, dtype)[()]


def _lent(x: Any) -> Any:
    """An array that the body cannot write into, since it is the caller's."""
    if type(x) is np.ndarray:
        x = x.view()
        x.flags.writeable = False
    return x


def _said(result: Any) -> str:
    if isinstance(result, tuple | list):
        return f"a {type(result).__name__} of {len(result)}"
    kind = type(result).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
