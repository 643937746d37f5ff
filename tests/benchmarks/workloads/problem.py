"""What a workload consists of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Shapes = list[tuple[int, ...]]


class Product(NamedTuple):
    """So many products of two matrices, (m, k) and (k, n). Where there is a window, the first is taken
    out of an image each time: a row, or with `turned` a column, for each place of the window."""

    count: int
    m: int
    k: int
    n: int
    window: int = 0  # its size
    image: tuple[int, ...] = ()  # samples, height, width, channels
    turned: bool = False


@dataclass(frozen=True)
class Problem:
    how: str  # the method of a library that makes a step of it
    program: Callable[[Any], Callable[..., Any]]  # of a library: a function of parameters and data
    start: Any
    data: Sequence[Any]
    method: str = "SGD"  # of training
    by_hand: Callable[..., list[Any]] | None = None  # in NumPy, of parameters and data
    without: Sequence[str] = ()  # libraries that cannot say it
    rtol: float | None = None
    products: Sequence[Product] = ()  # of matrices, which a step cannot do without


def weights(rng: np.random.Generator, shapes: Shapes, dtype: Any) -> list[np.ndarray]:
    """Parameters; vectors are scales and biases, near ½."""
    drawn = []
    for shape in shapes:
        noise = rng.standard_normal(shape)
        size = np.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.1
        drawn.append((size * noise + (0.5 if len(shape) == 1 else 0)).astype(dtype))
    return drawn


# ── the floor ─────────────────────────────────────────────────────────────────────────────────────


def linear(
    rows: int, inner: int, columns: int, count: int = 1, first: bool = False
) -> list[Product]:
    """The products of a layer: forward, for the weight, and for the input, but not for that of the first
    layer, which is data."""
    products = [Product(count, rows, inner, columns), Product(count, columns, rows, inner)]
    return products + [Product(count, rows, columns, inner)] * (not first)


def convolution(
    samples: int, inner: int, outer: int, side: int, size: int = 3, first: bool = False
) -> list[Product]:
    """The same of a convolution to images of that side, as products of windows, those of a few samples at
    a time, so that they stay in the cache."""
    found = []
    for channels, others, turned in (
        (inner, outer, False),
        (inner, outer, True),
        (outer, inner, False),
    ):
        window = channels * size**2
        few = max(1, min(samples, CACHE // (4 * window * side**2)))
        rows, image = few * side**2, (few, side + size - 1, side + size - 1, channels)
        shape = (window, rows, others) if turned else (rows, window, others)
        found.append(Product(-(-samples // few), *shape, size, image, turned))
    return found[:2] if first else found


CACHE = 1 << 20  # bytes


def bare(products: Sequence[Product], dtype: Any) -> Callable[[], list[Any]]:
    """A step that computes these and nothing else: NumPy's products of matrices that lie ready in memory,
    as BLAS likes them, into others."""
    rng = np.random.default_rng(0)
    matrix = lambda *shape: rng.standard_normal(shape).astype(dtype)
    ready = []
    for product in products:
        a, b = matrix(product.m, product.k), matrix(product.k, product.n)
        taken = seen = None
        if product.window > 1:
            views = np.lib.stride_tricks.sliding_window_view
            seen = views(matrix(*product.image), [product.window] * 2, (1, 2))
            seen = seen.transpose(0, 1, 2, 4, 5, 3)
            rows = np.empty((product.k, product.m) if product.turned else a.shape, dtype)
            taken, a = rows.reshape(seen.shape), rows.T if product.turned else rows
        ready.append((product.count, a, b, np.empty((product.m, product.n), dtype), taken, seen))

    def step() -> list[Any]:
        for count, a, b, out, taken, seen in ready:
            for _ in range(count):
                if taken is not None:
                    np.copyto(taken, seen)
                np.dot(a, b, out)
        return []

    return step
