"""Products and linear algebra: the last two axes are the matrix, the ones before a batch."""

from __future__ import annotations

import math
import operator
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autobp.arrays import is_foreign
from autobp.errors import no_rule
from autobp.kernels import cofactors as kernels
from autobp.kernels.contraction import contracted
from autobp.kernels.products import product
from autobp.kernels.triangular import solved
from autobp.operation import operation
from autobp.primitive import (
    Array,
    Each,
    Primitive,
    Variable,
    bilinear,
    condition,
    fused,
    general,
    implements,
    numbers,
    opaque,
    plainly,
)
from autobp.rules import batching, costs, patterns
from autobp.rules.batching import leading
from autobp.rules.indexing import scatter
from autobp.rules.reduction import norm_
from autobp.rules.shape import Axis, axes_of, axis_of


def rows(a: Array) -> Array:
    """All rows of many matrices as those of one."""
    return a if a.ndim == 2 else np.reshape(a, (math.prod(a.shape[:-1]), a.shape[-1]))


def transposed(a: Array) -> Array:
    """`a.mT`, which not all arrays of other libraries have."""
    return np.swapaxes(a, -1, -2) if is_foreign(a) else a.mT


def _left(g: Array, a: Array, b: Array) -> Array:
    """g ↦ g·bᵀ, for operands of any dimensions that matmul takes."""
    if b.ndim == 1:
        return np.expand_dims(g, -1) * b
    if a.ndim == 1:
        return _times_vectors(b, g)
    return product(g, transposed(b))


def _right(g: Array, a: Array, b: Array) -> Array:
    """g ↦ aᵀ·g."""
    if a.ndim == 1:
        return g * a if b.ndim == 1 else np.expand_dims(a, -1) * np.expand_dims(g, -2)
    if a.ndim > 2 >= b.ndim and not is_foreign(a):  # b is what all matrices of a have in common
        a, g = rows(a), rows(g) if b.ndim == 2 else np.ravel(g)
    if b.ndim == 1:
        return _times_vectors(transposed(a), g)
    return product(transposed(a), g)


def _times_vectors(a: Array, g: Array) -> Array:
    """A vector for each matrix."""
    return a @ g if a.ndim == 2 else np.squeeze(a @ np.expand_dims(g, -1), -1)


def _phi(x: Array) -> Array:
    """The lower triangle, with half of the diagonal."""
    return np.tril(x) - 0.5 * (x * np.eye(x.shape[-1], dtype=x.dtype))


def _cholesky(a: Array) -> Array:
    y = np.linalg.cholesky(a)
    # Dask's is the upper triangle: of either, this is the lower one.
    return np.tril(y) + np.tril(transposed(y), -1) if is_foreign(y) else y


def _cholesky_forward(t: Array, y: Array) -> Array:
    inner = solve(y, transposed(solve(y, (t + transposed(t)) / 2)))
    return y @ _phi(inner)


def _cholesky_reverse(g: Array, y: Array) -> Array:
    inner, upper = _phi(transposed(y) @ g), transposed(y)
    s = solve(upper, transposed(solve(upper, transposed(inner))))
    return (s + transposed(s)) / 2


def _column(b: Array) -> Array:
    return np.expand_dims(b, -1) if b.ndim == 1 else b


def _trace_with(a: Array, t: Array) -> Array:
    """tr(a⁻¹ t), batch by batch."""
    return np.sum(transposed(np.linalg.inv(a)) * t, axis=(-2, -1))


def _matrices(g: Array) -> Array:
    return np.expand_dims(g, (-2, -1))


#: What is traced is one call.
cofactors: Callable[..., Array] = opaque(
    operation(static=True, fresh=True, batch=leading)(kernels.cofactors)
)


def _cofactors(a: Array, y: Array) -> Array:
    """The same for derivatives of derivatives. Where a matrix is singular, they are the determinants of
    what is left without a row and a column."""
    if not condition(np.any(numbers(y) == 0)):
        return _matrices(y) * transposed(np.linalg.inv(a))
    rest, signs = kernels.left_out(a.shape[-1], a.dtype)
    return np.linalg.det(a[..., rest[:, None, :, None], rest[None, :, None, :]]) * signs


# fmt: off
matmul:   Primitive = bilinear(product,
                               lambda g, z, a, b: _left(g, a, b),
                               lambda g, z, a, b: _right(g, a, b),
                               name="matmul", numpy=np.matmul, cost=costs.matmul, out=True, blas=True, batch=batching.product, pattern=patterns.product)
inv:      Primitive = general(np.linalg.inv,
                              forward=lambda t, y, a: -(y @ t @ y),
                              reverse=lambda g, y, a: -(transposed(y) @ g @ transposed(y)),
                              cost=costs.inv, static=True, fresh=True, batch=leading, pattern=patterns.matrices)
solve: Primitive \
         = general(solved,
                   forward=(lambda t, x, a, b: -solve(a, t @ x),
                            lambda t, x, a, b: solve(a, t)),
                   reverse=(lambda g, x, a, b: -_column(solve(transposed(a), g)) @ transposed(_column(x)),
                            lambda g, x, a, b: solve(transposed(a), g)),
                   name="solve", cost=costs.solve, static=True, fresh=True, opaque=True, batch=batching.solved, pattern=patterns.matrices)
det:      Primitive = general(np.linalg.det,
                              forward=lambda t, y, a: np.sum(fused(cofactors, _cofactors, a, y) * t, axis=(-2, -1)),
                              reverse=lambda g, y, a: _matrices(g) * fused(cofactors, _cofactors, a, y),
                              cost=costs.det, static=True, batch=leading, pattern=patterns.matrices)
logdet:   Primitive = general(lambda a: np.linalg.slogdet(a)[1],
                              forward=lambda t, y, a: _trace_with(a, t),
                              reverse=lambda g, y, a: _matrices(g) * transposed(np.linalg.inv(a)),
                              name="logdet", cost=costs.logdet, batch=leading, pattern=patterns.matrices)
cholesky: Primitive = general(_cholesky,
                              forward=lambda t, y, a: _cholesky_forward(t, y),
                              reverse=lambda g, y, a: _cholesky_reverse(g, y),
                              name="cholesky", numpy=np.linalg.cholesky, cost=costs.cholesky, static=True, batch=leading, pattern=patterns.matrices)
einsum:   Primitive = bilinear(contracted,
                               Each(lambda g, y, *xs, slot, terms, result: _einsum_transpose(g, xs, slot, terms, result)),
                               name="einsum", cost=costs.einsum, blas=True, batch=batching.einsum, pattern=patterns.einsum)
# fmt: on


def _einsum_transpose(
    g: Array, xs: Sequence[Array], slot: int, terms: Sequence[str], result: str
) -> Array:
    """The einsum that returns a cotangent to one operand.

    An index that only this operand has was summed over: the engine broadcasts it back. One that it
    has twice took a diagonal: the cotangent goes back onto that diagonal.
    """
    mine, x = terms[slot], xs[slot]
    others = [t for i, t in enumerate(terms) if i != slot]
    distinct = "".join(dict.fromkeys(mine))
    known = [i for i in distinct if i in result or any(i in t for t in others)]
    rest = [a for i, a in enumerate(xs) if i != slot]
    c = einsum(g, *rest, terms=(result, *others), result="".join(known))
    size = dict(zip(mine, x.shape, strict=True))
    kept = dict.fromkeys(distinct, 1) | dict(zip(known, c.shape, strict=True))
    c = np.reshape(c, [kept[i] for i in distinct])
    if distinct == mine:
        return c
    broadcast = tuple(k for k, i in enumerate(distinct) if kept[i] > size[i])
    if broadcast:
        c = np.sum(c, axis=broadcast, keepdims=True)
    place = np.indices([size[i] for i in distinct], sparse=True)
    return scatter(c, index=tuple(place[distinct.index(i)] for i in mine), shape=x.shape)


# ── the forms in which NumPy takes them ───────────────────────────────────────────────────────────


implements(np.matmul, np.linalg.matmul)(matmul)


@implements(np.dot)
def dot(a: Array, b: Array) -> Array:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    if np.ndim(b) <= 2:
        return matmul(a, b)
    return tensordot(a, b, (-1, -2))


@implements(np.vdot)
def vdot(a: Array, b: Array) -> Array:
    return matmul(np.ravel(a), np.ravel(b))


@implements(np.inner)
def inner(a: Array, b: Array) -> Array:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    return tensordot(a, b, (-1, -1))


@implements(np.outer)
def outer(a: Array, b: Array) -> Array:
    return np.expand_dims(np.ravel(a), 1) * np.ravel(b)


@implements(np.linalg.outer)
def linalg_outer(x1: Array, x2: Array, /) -> Array:
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError(f"outer takes vectors, not shapes {np.shape(x1)} and {np.shape(x2)}")
    return outer(x1, x2)


@implements(np.vecdot, np.linalg.vecdot)
def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    return np.sum(np.multiply(x1, x2), axis=axis)


def matvec(x1: Array, x2: Array, /) -> Array:
    return np.squeeze(matmul(x1, np.expand_dims(x2, -1)), -1)


def vecmat(x1: Array, x2: Array, /) -> Array:
    return np.squeeze(matmul(np.expand_dims(x1, -2), x2), -2)


if hasattr(np, "matvec"):  # since NumPy 2.2
    implements(np.matvec)(matvec)
    implements(np.vecmat)(vecmat)


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a: Array, b: Array, axes: Any = 2) -> Array:
    if isinstance(axes, int | np.integer):
        left, right = list(range(-int(axes), 0)), list(range(int(axes)))
    else:
        left, right = (list(x) if np.iterable(x) else [x] for x in axes)
    left, right = [i % np.ndim(a) for i in left], [i % np.ndim(b) for i in right]
    if [np.shape(a)[i] for i in left] != [np.shape(b)[i] for i in right]:
        raise ValueError(
            f"tensordot: shapes {np.shape(a)} and {np.shape(b)} do not fit over axes {left} and {right}"
        )
    outer_a = [i for i in range(np.ndim(a)) if i not in left]
    outer_b = [i for i in range(np.ndim(b)) if i not in right]
    shape = [np.shape(a)[i] for i in outer_a] + [np.shape(b)[i] for i in outer_b]
    size = int(np.prod([np.shape(a)[i] for i in left]))
    rows = int(np.prod([np.shape(a)[i] for i in outer_a]))
    columns = int(np.prod([np.shape(b)[i] for i in outer_b]))
    first = np.reshape(np.transpose(a, outer_a + left), (rows, size))
    second = np.reshape(np.transpose(b, right + outer_b), (size, columns))
    return np.reshape(first @ second, shape)


@implements(np.einsum)
def einsum_(*operands: Any, optimize: Any = False) -> Array:
    if not isinstance(operands[0], str):
        operands = _from_lists(operands)
    subscripts, *xs = operands
    terms, result = _subscripts(subscripts, [np.ndim(x) for x in xs])
    return einsum(*xs, terms=terms, result=result)


def _from_lists(operands: Sequence[Any]) -> tuple[Any, ...]:
    """einsum(x, [0, 1], y, [1, 2], [0, 2]) in letters."""

    def write(axes: Sequence[Any]) -> str:
        return "".join("..." if i is Ellipsis else string.ascii_letters[i] for i in axes)

    terms = ",".join(write(axes) for axes in operands[1::2])
    result = "->" + write(operands[-1]) if len(operands) % 2 else ""
    return (terms + result, *operands[0 : len(operands) // 2 * 2 : 2])


def _subscripts(subscripts: str, ndims: Sequence[int]) -> tuple[tuple[str, ...], str]:
    """The terms and the result of an einsum in full: the arrow and the ellipses written out."""
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"einsum: {subscripts!r} has {len(terms)} terms for {len(ndims)} operands")
    if not arrow:
        letters = left.replace(",", "").replace("...", "")
        result = "..." * ("..." in left) + "".join(
            sorted(i for i in set(letters) if letters.count(i) == 1)
        )
    free = [i for i in string.ascii_letters if i not in subscripts]
    hidden = [n - len(t.replace("...", "")) for t, n in zip(terms, ndims, strict=True)]
    most = max((h for h, t in zip(hidden, terms, strict=True) if "..." in t), default=0)
    dots = "".join(free[:most])
    for t, h, n in zip(terms, hidden, ndims, strict=True):
        if h < 0 or (h > 0 and "..." not in t):
            raise ValueError(f"einsum: the term {t!r} does not fit an operand of {n} dimensions")
    if most and "..." not in result:
        raise ValueError(f"einsum: the result of {subscripts!r} has no '...' for {most} dimensions")
    full = (t.replace("...", dots[most - h :]) for t, h in zip(terms, hidden, strict=True))
    return tuple(full), result.replace("...", dots)


@implements(np.kron)
def kron(a: Array, b: Array) -> Array:
    n = max(np.ndim(a), np.ndim(b))
    first, second = (1,) * (n - np.ndim(a)) + np.shape(a), (1,) * (n - np.ndim(b)) + np.shape(b)
    left = np.reshape(a, [k for i in first for k in (i, 1)])
    right = np.reshape(b, [k for i in second for k in (1, i)])
    return np.reshape(left * right, [i * j for i, j in zip(first, second, strict=True)])


@implements(np.cross, np.linalg.cross)
def cross(
    a: Array, b: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ValueError(
            f"cross takes vectors of 3 components, got {a.shape[-1]} and {b.shape[-1]}"
        )
    ahead, behind = [1, 2, 0], [2, 0, 1]
    product = a[..., ahead] * b[..., behind] - a[..., behind] * b[..., ahead]
    return np.moveaxis(product, -1, axisc)


@implements(np.linalg.norm)
def norm(x: Array, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Array:
    if isinstance(ord, Variable):
        raise no_rule(np.linalg.norm, {"ord": ord})
    if ord is None and axis is None:
        return norm_(x, axis=None, keepdims=keepdims, ord=2)
    axes = tuple(axis_of(a, x.ndim) for a in axes_of(axis, x.ndim))
    if ord is None and len(axes) <= 2:
        return norm_(x, axis=axes, keepdims=keepdims, ord=2)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    if len(axes) != 1 or isinstance(ord, str):
        raise ValueError(f"norm: ord={ord!r} does not fit {len(axes)} axes")
    size = np.abs(x)
    if ord == np.inf:
        return np.max(size, axis=axes, keepdims=keepdims)
    if ord == -np.inf:
        return np.min(size, axis=axes, keepdims=keepdims)
    if ord == 1:
        return np.sum(size, axis=axes, keepdims=keepdims)
    if ord == 0:
        count = np.where(x != 0, 1.0, np.sign(size))  # NaN counts, too
        return np.sum(count, axis=axes, keepdims=keepdims)
    return norm_(x, axis=axes, keepdims=keepdims, ord=ord)


def _matrix_norm(x: Array, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Array:
    if ord == "fro":
        return norm_(x, axis=axes, keepdims=keepdims, ord=2)
    if ord in ("nuc", 2, -2):
        values = np.linalg.svdvals(np.moveaxis(x, axes, (-2, -1)))
        reduce: Any = {"nuc": np.sum, 2: np.max, -2: np.min}[ord]
        result = reduce(values, axis=-1)
        return np.expand_dims(result, axes) if keepdims else result
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError(f"norm: a matrix has no norm ord={ord!r}")
    row, column = axes
    summed, rest = (row, column) if abs(ord) == 1 else (column, row)
    sums = np.sum(np.abs(x), axis=summed, keepdims=True)
    result = (np.max if ord > 0 else np.min)(sums, axis=rest, keepdims=True)
    return result if keepdims else np.squeeze(result, axes)


@implements(np.linalg.vector_norm)
def vector_norm(x: Array, /, *, axis: Axis = None, ord: Any = 2, keepdims: bool = False) -> Array:
    if axis is None or isinstance(axis, tuple):
        axes = tuple(range(x.ndim)) if axis is None else axis
        last = np.moveaxis(x, axes, tuple(range(-len(axes), 0)))
        flat = np.reshape(last, (*last.shape[: x.ndim - len(axes)], -1))
        result = norm(flat, ord, -1)
        return np.expand_dims(result, tuple(a % x.ndim for a in axes)) if keepdims else result
    return norm(x, ord, axis, keepdims)


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    return norm(x, ord, (-2, -1), keepdims)


@implements(np.linalg.inv)
def inv_(a: Array) -> Array:
    return inv(a)


@implements(np.linalg.solve)
def solve_(a: Array, b: Array) -> Array:
    if np.ndim(b) == 1 and np.ndim(a) > 2:  # one vector for many matrices
        return np.squeeze(solve(a, np.expand_dims(b, -1)), -1)
    return solve(a, b)


@implements(np.linalg.det)
def det_(a: Array) -> Array:
    return det(a)


@implements(np.linalg.slogdet)
def slogdet(a: Array) -> Any:
    values = plainly(np.linalg.slogdet, a)
    return type(values)(values.sign, logdet(a))  # the sign is a constant


@implements(np.linalg.cholesky)
def cholesky_(a: Array, /, *, upper: bool = False) -> Array:
    return cholesky(a.mT).mT if upper else cholesky(a)


@implements(np.linalg.matrix_power)
def matrix_power(a: Array, n: int) -> Array:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"matrix_power takes square matrices, not shape {a.shape}")
    n = operator.index(n)
    if n < 0:
        a, n = inv(a), -n
    if n == 0:
        return 0.0 * a + np.eye(a.shape[-1], dtype=a.dtype)
    result = None
    while n:
        if n % 2:
            result = a if result is None else result @ a
        a, n = (a @ a if n > 1 else a), n // 2
    return result


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Array]) -> Array:
    if len(arrays) < 2:
        raise ValueError(f"multi_dot takes two arrays or more, not {len(arrays)}")
    result, *rest = arrays
    for a in rest:
        result = dot(result, a)
    return result
