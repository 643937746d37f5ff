"""Jacobians, and second derivatives: forward mode over reverse mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from autobp import forward, reverse
from autobp.arrays import of_its_kind
from autobp.calculus import as_value, zeros
from autobp.context import clock, tracing
from autobp.dag import Recording, ancestors, record
from autobp.directions import Seeds, checked_chunk, chunk_of, pulled_all, pushed_all, work
from autobp.forward import Dual, Steps, along, dense, dual, matched
from autobp.habits import checks_keywords
from autobp.primitive import Array, Results
from autobp.reverse import (
    accumulate,
    check_function,
    chosen_arguments,
    derived,
    grad,
    is_one,
    positions,
    the_number,
    unit_cotangent,
)
from autobp.sparse import SparseDerivative
from autobp.tensor import Tensor
from autobp.tree import refilled

__all__ = ["hessian", "hvp", "jacobian"]

Mode = Literal["auto", "forward", "reverse"]


@checks_keywords
def jacobian(
    function: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    mode: Mode = "auto",
    *,
    sparse: Any = False,
    chunk: int | None = None,
) -> Callable[..., Any]:
    """The function that computes all the partial derivatives of `function`.

    For a result of shape (m,) and an argument of shape (n,) the Jacobian has shape (m, n). For nested
    arguments and results it is a nest in the form of the result, of nests in the form of the argument.

    Forward mode takes a direction for each component of the argument, reverse mode one for each
    component of the result. mode="auto" takes what is less work, by the sizes of the recorded
    operations. The function runs once. All directions are swept at once, as many as the processor's
    caches hold, or `chunk` of them: a larger number may be faster, and takes more memory. Where an
    operation or a rule of yours does not take a batch of directions, as `vmap` would say, they are
    swept one by one.

    `sparse=True` computes only the entries that can be different from 0. The first call finds which
    these are, from the recorded operations and not from values, and which columns or rows do not
    overlap, so that one sweep computes them together. Later calls need no more than these few sweeps,
    unless the function records something else. Each block of the result is a matrix with a row for
    each number of the result and a column for each number of the argument: SciPy's `csr_array`, or
    `Triplets` where SciPy is not installed. `sparse=` may also be a pattern: a matrix of SciPy's, an
    array that is not 0 where derivatives may be, or Triplets. The product with a random vector checks
    the pattern: one that is found when it is new, one that is given in each call.

    >>> import numpy as np
    >>> from autobp import jacobian
    >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    >>> jacobian(lambda x: x[1:] * x[:-1], sparse=True)(np.ones(1000)).nnz
    1998
    """
    check_function("jacobian", function)
    if mode not in ("auto", "forward", "reverse"):
        raise ValueError(f"mode must be 'auto', 'forward' or 'reverse', not {mode!r}")
    derivative = SparseDerivative.asked("jacobian", sparse, False)
    return _derivative(function, argnums, mode, derivative, chunk, function, "jacobian")


def _derivative(
    function: Callable[..., Any],
    argnums: int | Sequence[int],
    mode: Mode,
    sparse: SparseDerivative | None,
    chunk: int | None,
    of: Callable[..., Any],
    title: str,
) -> Callable[..., Any]:
    chosen, one, chunk = chosen_arguments(argnums), is_one(argnums), checked_chunk(chunk)

    def all_partials(*args: Any, **kwargs: Any) -> Any:
        where = positions(chosen, args)
        given = partial(function, **kwargs) if kwargs else function
        traced = record(given, args, where)
        for value in traced.values:
            _check_number(value, title)
        order = traced.order()

        def is_cheaper(ins: Sequence[int], outs: Sequence[int]) -> bool:
            if mode != "auto":
                return mode == "forward"
            return _forward_is_cheaper(traced, order, ins, outs, chunk)

        if sparse is not None:
            blocks = sparse(traced, order, chunk, is_cheaper)
        else:
            ins = [x.size for x in traced.inputs]
            outs = [math.prod(_shape(y)) for y in traced.values]
            sweeps = _by_columns if is_cheaper(ins, outs) else _by_rows
            blocks = sweeps(traced, order, chunk)
        if one:
            (i,) = where
            return traced.refill([refilled(args[i], row) for row in blocks])
        picked = tuple([args[i] for i in where])
        return traced.refill([refilled(picked, row) for row in blocks])

    return derived(all_partials, of, title)


def _check_number(value: Any, title: str) -> None:
    """Refuse a result that has no derivative, rather than call it constant."""
    dtype = np.dtype(getattr(value, "dtype", type(value)))
    if dtype.kind not in "fiub":
        what = f"an array of {dtype}" if np.shape(value) else f"a {type(value).__name__}"
        raise TypeError(f"{title} differentiates real numbers and arrays of them: {what} is none")


def _forward_is_cheaper(
    traced: Recording,
    order: Sequence[Tensor],
    ins: Sequence[int],
    outs: Sequence[int],
    chunk: int | None,
) -> bool:
    """Whether so many directions of the inputs are less work than so many of the outputs. Those of each
    leaf are counted by themselves, since a sweep from one may be short."""
    operations = [t for t in order if t.primitive is not None]
    if len(ins) == len(outs) == 1 and not any(t.primitive.facts.moves for t in operations):  # type: ignore[union-attr]
        return ins[0] < outs[0]  # a sweep is as much work in both modes
    size = chunk_of(order, chunk)
    after, before = [operations], [operations]
    if len(ins) > 1:
        after = [_after(operations, x) for x in traced.inputs]
    if len(outs) > 1:
        before = [_before(y) for y in traced.outputs]
    forward = sum(work(after[k], True, n, size) for k, n in enumerate(ins))
    reverse = sum(work(before[k], False, n, size) for k, n in enumerate(outs))
    return forward < reverse


def _after(operations: Sequence[Tensor], x: Tensor) -> list[Tensor]:
    """The operations that depend on an input."""
    reached = {x}
    for t in operations:
        if any(isinstance(a, Tensor) and a in reached for a in t.args):
            reached.add(t)
    return [t for t in operations if t in reached]


def _before(y: Tensor | None) -> list[Tensor]:
    """The operations that an output depends on."""
    return [] if y is None else [t for t in ancestors([y], y.level) if t.primitive is not None]


def _by_rows(traced: Recording, order: Sequence[Tensor], chunk: int | None) -> list[list[Array]]:
    """A reverse sweep for each component of each result."""
    blocks, ins = [], [x.shape for x in traced.inputs]
    for k, value in enumerate(traced.values):
        seeds, count = _units(traced.values, k)
        found = pulled_all(traced, order, seeds, count, chunk) if count else _nothing(ins)
        shape = _shape(value)
        blocks.append([_block(rows, shape + x) for rows, x in zip(found, ins, strict=True)])
    return blocks


def _by_columns(traced: Recording, order: Sequence[Tensor], chunk: int | None) -> list[list[Array]]:
    """A forward sweep for each component of each argument."""
    blocks: list[list[Array]] = [[] for _ in traced.values]
    outs = [_shape(y) for y in traced.values]
    for k, x in enumerate(traced.inputs):
        seeds, count = _units([x.value for x in traced.inputs], k)
        found = pushed_all(traced, order, seeds, count, chunk, -1) if count else _nothing(outs)
        for row, columns, shape in zip(blocks, found, outs, strict=True):
            row.append(_block(columns, shape + x.shape))
    return blocks


def _units(values: Sequence[Any], k: int) -> tuple[Seeds, int]:
    """The unit arrays of one of the values, one for each component, and how many these are."""
    shape, dtype = _shape(values[k]), getattr(values[k], "dtype", float)
    size = math.prod(shape)

    def seeds(start: int, stop: int) -> list[Any]:
        found: list[Any] = [None] * len(values)
        rows = np.zeros((stop - start, size), dtype)
        rows.reshape(-1)[start :: size + 1] = 1  # as np.eye does, in less time
        rows = rows if len(shape) == 1 else rows.reshape(stop - start, *shape)
        found[k] = of_its_kind(rows, values[k])
        return found

    return seeds, size


def _nothing(shapes: Sequence[Any]) -> list[Array]:
    """What no direction gives, for each of these."""
    return [np.zeros(0) for _ in shapes]


def _shape(value: Any) -> tuple[int, ...]:
    return getattr(value, "shape", ())


def _block(rows: Array, shape: tuple[int, ...]) -> Array:
    if type(rows) is np.ndarray:
        if rows.shape == shape != () and rows.flags.c_contiguous:
            return rows
        return as_value(np.ascontiguousarray(rows).reshape(shape))
    return rows if np.shape(rows) == shape else np.reshape(rows, shape)


@checks_keywords
def hessian(
    function: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    *,
    sparse: Any = False,
    chunk: int | None = None,
) -> Callable[..., Any]:
    """The function that computes all second partial derivatives of `function`, which returns a number,
    by forward mode over reverse mode. `sparse=` is that of `jacobian`; since a Hessian is symmetric,
    it needs still fewer sweeps.

    >>> import numpy as np
    >>> from autobp import hessian
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    check_function("hessian", function)
    derivative = SparseDerivative.asked("hessian", sparse, True)
    gradient = grad(function, argnums)
    return _derivative(gradient, argnums, "forward", derivative, chunk, function, "hessian")


@checks_keywords
def hvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The product of the Hessian and a direction, at the cost of a few gradients.

    The product has the form of the argument. For several arguments it is a tuple.

    >>> import numpy as np
    >>> from autobp import hvp
    >>> hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    array([6., 0.])
    """
    argnums = 0 if len(primals) == 1 else tuple(range(len(primals)))
    if tracing.get() is not None:  # the rules of a traced loop differentiate the graph of its body
        return along(grad(function, argnums), primals, tangents, "hvp")[1]
    found = refilled(tuple(primals), _product(function, primals, tangents))
    return found[0] if argnums == 0 else found


def _product(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> list[Array]:
    """See `hvp`: the product, a part for each leaf of the arguments."""
    check_function("hvp", function)
    _, directions = matched(primals, tangents, "hvp")
    traced = record(function, primals, range(len(primals)))
    seed = unit_cotangent(the_number(traced, "hvp"), "hvp")
    (output,) = traced.outputs
    if output is None:
        return [zeros(x.value) for x in traced.inputs]
    order = traced.order()
    steps: Steps = [(t, []) for t in order if t.primitive is not None]
    both = Tangents(forward.sweep(steps, dict(zip(traced.inputs, directions, strict=True))))
    found = reverse.sweep({output: seed}, order, along=both)
    slopes = [both.of_leaf(x, found.get(x)) for x in traced.inputs]
    return [dense(t, x.value) for t, x in zip(slopes, traced.inputs, strict=True)]


class Tangents:
    """Forward mode over reverse: the tangents of recorded tensors, and those of their cotangents, which
    a sweep backwards computes along with the cotangents.

    The rules of most operations are linear in the cotangent and at most in an argument, so that the
    tangent of what they give is that of the product rule. The others are run on dual numbers.
    """

    __slots__ = ("level", "of", "of_cotangents", "owned")

    def __init__(self, of: dict[Tensor, Array | None]) -> None:
        self.level: int = clock()
        self.of = of
        self.of_cotangents: dict[Tensor, Array] = {}  # where they are not zero
        self.owned: set[Tensor] = set()  # those whose tangent of a cotangent is a buffer of our own

    def dual(self, a: Any, value: Any) -> Any:
        """The value of an argument or a result as the rules take it."""
        tangent = self.of.get(a) if isinstance(a, Tensor) else None
        if tangent is None:
            return value
        if type(value) is Results:
            pairs = zip(value, tangent, strict=True)
            return Results(v if t is None else dual(v, t, self.level) for v, t in pairs)
        return dual(value, tangent, self.level)

    def joined(self, node: Tensor, g: Array) -> Array:
        """A cotangent with its tangent."""
        tangent = self.of_cotangents.pop(node, None)
        return g if tangent is None else dual(g, tangent, self.level)

    def split(self, c: Array, a: Tensor, g: Array) -> Array:
        """What a rule made of g, without its tangent, which is added to those of `a`."""
        if not isinstance(c, Dual) or c.level != self.level:
            return c
        if c.tangent is not None:
            before = g.tangent if isinstance(g, Dual) else None
            accumulate(c.tangent, a, before, self.of_cotangents, self.owned)
        return c.value

    def of_leaf(self, x: Tensor, g: Array) -> Array | None:
        """The tangent of what the sweep has found for a leaf."""
        if isinstance(g, Dual) and g.level == self.level:
            return g.tangent
        return self.of_cotangents.get(x)
