"""What a workload consists of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from autobp.rules.convolution import conv2d_, conv2d_input, conv2d_weight

Shapes = list[tuple[int, ...]]


class Product(NamedTuple):
    """So many products of two matrices, (m, k) and (k, n)."""

    count: int
    m: int
    k: int
    n: int


class Convolution(NamedTuple):
    """Of padded images with square kernels, and its derivatives, of which the first layer has but one."""

    samples: int
    inner: int  # channels in
    outer: int  # and out
    side: int  # of the images
    size: int = 3
    stride: int = 1
    first: bool = False


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
    products: Sequence[Product | Convolution] = ()  # which a step cannot do without


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


def bare(products: Sequence[Product | Convolution], dtype: Any) -> Callable[[], list[Any]]:
    """A step that computes these and nothing else, of arrays that lie ready in memory as they are liked,
    the products into others."""
    rng = np.random.default_rng(0)
    matrix = lambda *shape: rng.standard_normal(shape).astype(dtype)
    ready: list[Callable[[], Any]] = []
    for product in products:
        if isinstance(product, Convolution):
            ready += _bare_convolution(product, matrix)
        else:
            count, m, k, n = product
            ready += [partial(np.dot, matrix(m, k), matrix(k, n), np.empty((m, n), dtype))] * count

    def step() -> list[Any]:
        for run in ready:
            run()
        return []

    return step


def _bare_convolution(c: Convolution, matrix: Callable[..., Any]) -> list[Callable[[], Any]]:
    side, margin = -(-c.side // c.stride), 2 * (c.size // 2)
    pixels_first = lambda n, channels: matrix(n, n, c.samples, channels).transpose(2, 3, 0, 1)
    x, g = pixels_first(c.side + margin, c.inner), pixels_first(side, c.outer)
    w = matrix(c.outer, c.inner, c.size, c.size)
    step = {"stride": (c.stride, c.stride), "dilation": (1, 1)}
    found = [
        partial(conv2d_.function, x, w, **step),
        partial(conv2d_weight.function, x, g, size=w.shape[2:], **step),
    ]
    back = partial(conv2d_input.function, g, w, image=x.shape[2:], **step)
    return found if c.first else [*found, back]
