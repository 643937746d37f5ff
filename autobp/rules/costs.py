"""Costs: what an operation takes, from the shapes of its result and its arguments.

A cost counts multiplications (with divisions), additions (with comparisons) and calls of
transcendental functions. Rows of operations name them; what depends on nothing but the size of the
result is made by `operation.each`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from autobp.kernels.contraction import path
from autobp.operation import Cost, each
from autobp.rules.shape import axes_of

Shape = tuple[int, ...]
Triple = tuple[int, int, int]  # multiplications, additions, transcendental


def _total(*terms: tuple[int, Triple]) -> Triple:
    """So many times so much, added up. Nothing costs less than nothing: a sum over no elements has
    a result but no additions."""
    m, a, t = (sum(n * triple[i] for n, triple in terms) for i in range(3))
    return max(m, 0), max(a, 0), max(t, 0)


def reduction(element: Triple, result: Triple) -> Cost:
    """So much for each element that goes in, and for each that comes out."""
    return lambda out, x, **_: _total((math.prod(x), element), (math.prod(out), result))


def grouped(element: Triple, group: Triple) -> Cost:
    """So much for each element, and for each group along an axis."""
    return lambda out, x, axis, **_: _total((math.prod(x), element), (_groups(x, axis), group))


def _groups(x: Shape, axis: Any) -> int:
    axes = {a % len(x) for a in axes_of(axis, len(x))}
    return math.prod(n for i, n in enumerate(x) if i not in axes)


def norm(out: Shape, x: Shape, axis: Any, keepdims: bool, ord: float) -> Triple:
    element = (1, 1, 0) if ord == 2 else (0, 2, 1)
    return _total((math.prod(x), element), (math.prod(out), (0, -1, 1)))


def power_by(out: Shape, x: Shape, n: float) -> Triple:
    """Few powers are products and quotients; a function is called for what is not as simple."""
    if n % 1 or abs(n) > 16:
        return each(0, 0, 1)(out)
    size = abs(int(n))
    products = size.bit_length() + size.bit_count() - 2 if size else 0
    return each(products + (n < 0), 0, 0)(out)


def sinc(out: Shape, x: Shape, order: int) -> Triple:
    terms = 20 + 2 * order - (order + 1) // 2
    return each(3 + 2 * order + terms, 1 + 2 * order + terms, 1 + order + terms)(out)


def products(results: int, terms: int) -> Triple:
    """So many sums of so many products."""
    return results * terms, results * max(terms - 1, 0), 0


def matmul(out: Shape, a: Shape, b: Shape) -> Triple:
    return products(math.prod(out), a[-1])


def attention(out: Shape, q: Shape, k: Shape, v: Shape, **_: Any) -> Triple:
    """Two products, and the scale and the softmax of each score."""
    rows = math.prod(out[:-1])
    scores = rows * k[-2]
    both = _total((1, products(scores, k[-1])), (1, products(math.prod(out), k[-2])))
    return _total((1, both), (scores, (1, 3, 1)), (rows, (0, -2, 0)), (math.prod(out), (1, 0, 0)))


def einsum(out: Shape, *shapes: Shape, terms: Sequence[str], result: str) -> Triple:
    """Two at a time, in the order that NumPy chooses; each time over all indices of the two."""
    size = {i: n for term, shape in zip(terms, shapes) for i, n in zip(term, shape)}
    operands, total = list(terms), (0, 0, 0)

    def extent(indices: set[str]) -> int:
        return math.prod(size[i] for i in indices)

    for places in path(tuple(terms), shapes, result):
        taken = [operands.pop(i) for i in sorted(places, reverse=True)]
        over = set("".join(taken))
        kept = over & set("".join([*operands, result]))
        operands.append("".join(kept))
        summed = extent(over) - extent(kept)
        total = _total((1, total), (1, ((len(taken) - 1) * extent(over), summed, 0)))
    return total


def _factored(a: Shape) -> tuple[int, int, Triple]:
    """How many matrices, of how many rows, and what a decomposition of one into L·U takes."""
    n = a[-1]
    return math.prod(a[:-2]), n, ((n**3 - n) // 3, (2 * n**3 - 3 * n**2 + n) // 6, 0)


def solve(out: Shape, a: Shape, b: Shape) -> Triple:
    batch, n, factors = _factored((*out[: max(len(a), len(b)) - 2], *a[-2:]))
    columns = math.prod(b[-1:]) if len(b) > 1 else 1
    return _total((batch, factors), (batch * columns, (n * n, n * n - n, 0)))


def inv(out: Shape, a: Shape) -> Triple:
    return solve(out, a, a)


def det(out: Shape, a: Shape) -> Triple:
    batch, n, factors = _factored(a)
    return _total((batch, factors), (batch, (n - 1, 0, 0)))


def logdet(out: Shape, a: Shape) -> Triple:
    batch, n, factors = _factored(a)
    return _total((batch, factors), (batch, (0, n - 1, n)))


def cholesky(out: Shape, a: Shape) -> Triple:
    n, batch = a[-1], math.prod(a[:-2])
    pairs = n * (n - 1) // 2
    return _total((batch, ((n**3 - n) // 6 + pairs, (n**3 - n) // 6, n)))


def _halves(batch: int, operations: int) -> Triple:
    """What is iterative is counted as it is in books: so many operations, half of them products."""
    return batch * operations // 2, batch * operations // 2, 0


def eigh(out: Shape, a: Shape, UPLO: str) -> Triple:
    return _halves(math.prod(a[:-2]), 9 * a[-1] ** 3)


def eigvalsh(out: Shape, a: Shape, UPLO: str) -> Triple:
    return _halves(math.prod(a[:-2]), 4 * a[-1] ** 3 // 3)


def svd(out: Shape, a: Shape) -> Triple:
    short, long = sorted(a[-2:])
    return _halves(math.prod(a[:-2]), 6 * long * short**2 + 20 * short**3)


def svd_beyond(out: Shape, a: Shape, left: bool) -> Triple:
    return svd(out, a)


def svdvals(out: Shape, a: Shape) -> Triple:
    short, long = sorted(a[-2:])
    return _halves(math.prod(a[:-2]), 4 * long * short**2 - 4 * short**3 // 3)


def qr(out: Shape, a: Shape) -> Triple:
    m, n = a[-2:]
    return _halves(math.prod(a[:-2]), 4 * m * n**2 - 4 * n**3 // 3)


def pinv(out: Shape, a: Shape, rcond: float) -> Triple:
    short, long = sorted(a[-2:])
    return _total((1, svd(out, a)), (math.prod(a[:-2]), products(long * short, short)))


def batch_norm(out: Shape, x: Shape, w: Shape, b: Shape, **_: Any) -> Triple:
    """Mean, variance, and a product and a sum for each number."""
    return _total((math.prod(x), (2, 4, 0)), (math.prod(w), (3, -1, 1)))


def conv2d(out: Shape, x: Shape, w: Shape, **_: Any) -> Triple:
    return products(math.prod(out), math.prod(w[-3:]))


def conv2d_input(out: Shape, g: Shape, w: Shape, groups: int = 1, **_: Any) -> Triple:
    seen = math.prod(g[:-3]) * groups * math.prod(w[-3:]) * math.prod(g[-2:])
    return _total((1, products(seen, w[-4] // groups)), (seen, (0, 1, 0)))


def conv2d_weight(out: Shape, x: Shape, g: Shape, **_: Any) -> Triple:
    terms = math.prod(out) * g[-4] * math.prod(g[-2:])
    return terms, terms, 0  # the first is added to a zero


def pool2d(out: Shape, x: Shape, w: Shape, **_: Any) -> Triple:
    return products(math.prod(out), math.prod(w[:2]))


def pool2d_input(out: Shape, g: Shape, w: Shape, image: Any, stride: Any) -> Triple:
    terms = math.prod(g) * math.prod(w[:2])
    apart = all(s >= k for s, k in zip(stride, w))  # no pixel is in two windows
    return terms, 0 if apart else terms, 0


def max_pool2d(out: Shape, x: Shape, size: Any, **_: Any) -> Triple:
    return each(0, math.prod(size) - 1, 0)(out)
