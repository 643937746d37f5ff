"""Sample arguments for every primitive, on which the checks of the rules run.

At `samples` the function is smooth: values, and derivatives of both orders and both modes, are compared
with numerical ones. At `kinks` it is not, or arithmetic needs care (0, infinity, ties): there the
derivative is a convention, and each kink states it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

Shape = tuple[int, ...]
Intervals = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Sample:
    args: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)
    #: At a kink: the cotangent of each differentiable argument, from a cotangent of ones.
    gradients: tuple[Any, ...] | None = None
    #: At a kink: whether the second derivative is 0.
    flat: bool = False


@dataclass(frozen=True)
class Record:
    samples: tuple[Sample, ...]
    kinks: tuple[Sample, ...] = ()
    undefined: tuple[
        Sample, ...
    ] = ()  # where there is no derivative, and taking it raises an error
    symmetric: bool = False  # its function is defined for symmetric matrices alone
    reference: Callable[..., Any] | None = None  # the same value from NumPy, by another way


# ── drawing values ────────────────────────────────────────────────────────────────────────────────

NONZERO: Intervals = ((-2.0, -0.2), (0.2, 2.0))
POSITIVE: Intervals = ((0.3, 2.0),)
WITHIN_ONE: Intervals = ((-0.8, -0.1), (0.1, 0.8))
FRACTIONS: Intervals = ((-1.8, -1.6), (-0.4, -0.2), (0.2, 0.4), (1.6, 1.8))
# Two arguments that never tie, either of them the greater.
ODD: Intervals = ((-2.0, -1.1), (0.1, 0.9), (2.1, 3.0))
EVEN: Intervals = ((-0.9, -0.1), (1.1, 1.9), (3.1, 4.0))
# Dividends and divisors whose quotients stay away from whole numbers.
DIVIDENDS: Intervals = ((-1.7, -0.3), (0.3, 1.7), (2.7, 3.7))
DIVISORS: Intervals = ((2.0, 2.4),)


def generator(name: str) -> np.random.Generator:
    """A random generator that gives the same numbers for a name in every run."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def draw(rng: np.random.Generator, shape: Shape, intervals: Intervals) -> Any:
    low, high = np.array(intervals)[rng.integers(len(intervals), size=shape)].T
    return np.asarray(rng.uniform(low.T, high.T))[()]


def strided(rng: np.random.Generator, shape: Shape, intervals: Intervals) -> Any:
    """Like `draw`, but not contiguous in memory: a transposed view of every other element."""
    rows, columns = shape
    return draw(rng, (columns, 2 * rows), intervals).T[::2]


# ── shapes ────────────────────────────────────────────────────────────────────────────────────────

#: None stands for a matrix that is not contiguous.
SINGLE: tuple[Shape | None, ...] = ((), (3,), (2, 3), (2, 1, 3), (0,), (0, 3), None)


def broadcasts(n: int) -> Iterator[tuple[Shape | None, ...]]:
    """Combinations of shapes for n arguments of an elementwise operation."""
    if n == 1:
        yield from ((shape,) for shape in SINGLE)
        return
    for shape in ((), (3,), (2, 3), None, (0,)):
        yield (shape,) * n
    for i, small in product(range(n), ((), (3,), (2, 1), (1, 1))):
        yield tuple(small if k == i else (2, 3) for k in range(n))
    yield tuple((2, 1) if k % 2 else (1, 3) for k in range(n))
    yield tuple((3,) if k else (0, 3) for k in range(n))
    yield tuple((1,) if k else (2, 0) for k in range(n))


def pointwise(
    name: str,
    *ranges: Intervals,
    also: Sequence[Sample] = (),
    kinks: Sequence[Sample] = (),
    reference: Callable[..., Any] | None = None,
    **params: Any,
) -> Record:
    """The record of an elementwise primitive, with every way to broadcast its arguments."""
    rng = generator(name)
    samples = [
        Sample(
            tuple(
                strided(rng, (2, 3), r) if shape is None else draw(rng, shape, r)
                for shape, r in zip(shapes, ranges, strict=True)
            ),
            params,
        )
        for shapes in broadcasts(len(ranges))
    ]
    return Record(
        (*samples, *also),
        tuple(kinks),
        reference=reference,
    )


def kink(*args: Any, to: Sequence[Any], flat: bool = False, **params: Any) -> Sample:
    """A point where the derivative is a convention: `to` is that derivative, by argument."""
    return Sample(tuple(map(_value, args)), params, tuple(map(_value, to)), flat)


def sample(*args: Any, **params: Any) -> Sample:
    return Sample(tuple(map(_value, args)), params)


def _value(a: Any) -> Any:
    array = np.asarray(a)
    return array if array.dtype == bool else array.astype(np.float64)[()]


INF, NAN = np.inf, np.nan

#: Elementwise conventions at one point, for a function of one argument: 0 there.
FLAT_AT_0 = (kink(0.0, to=[0.0]), kink([0.0, -0.0], to=[[0.0, 0.0]]))


# ── elementwise ───────────────────────────────────────────────────────────────────────────────────


def _ties(winner: int) -> list[Sample]:
    """maximum (winner 1) and minimum (winner −1): a tie is shared."""
    lost, won = (0.0, 1.0) if winner > 0 else (1.0, 0.0)
    return [
        kink(1.0, 1.0, to=[0.5, 0.5]),
        kink([1.0, 2.0, 3.0], 2.0, to=[[lost, 0.5, won], 1.5]),
        kink([0.0, INF], [-0.0, 1.0], to=[[0.5, won], [0.5, lost]]),
    ]


def _power() -> Record:
    rng = generator("powers at 0")
    base = draw(rng, (3,), POSITIVE)
    return pointwise(
        "power",
        POSITIVE,
        ((-1.5, 2.5),),
        also=[
            # An exponent of 0 is no kink: the mixed second derivative there is 1/x.
            Sample((base, np.array([0.0, 1.0, 2.0]))),
            Sample((base[0], 0.0)),
        ],
        kinks=[
            kink(0.0, 2.0, to=[0.0, 0.0]),
            kink(0.0, 1.0, to=[1.0, 0.0]),
            kink(0.0, 0.0, to=[0.0, 0.0]),
            kink([0.0, 0.0, 2.0], [0.0, 1.0, 3.0], to=[[0, 1, 12], [0, 0, 8 * np.log(2)]]),
            kink(-2.0, 3.0, to=[12.0, NAN]),  # (−2)ʸ exists at whole y alone
        ],
    )


def _quotient(name: str, times: Callable[[float, float], float]) -> Record:
    """remainder, fmod and floor_divide; `times` is how often the divisor was taken off."""
    rng = generator(name)
    both = [draw(rng, (3,), r) for r in (DIVIDENDS, DIVISORS)]
    slopes = (lambda x, y: (0.0, 0.0)) if name == "floor_divide" else lambda x, y: (1, -times(x, y))
    return pointwise(
        name,
        DIVIDENDS,
        DIVISORS,
        also=[Sample((both[0], -both[1])), Sample((-both[0], -both[1]))],
        # The quotient rounds to the whole number 10, but 0.1 goes into 1 only 9 times in full.
        kinks=[kink(1.0, 0.1, to=slopes(1.0, 0.1)), kink(-1.0, 0.1, to=slopes(-1.0, 0.1))],
    )


def _power_by() -> Record:
    rng = generator("power_by")
    positive, both = draw(rng, (2, 3), POSITIVE), draw(rng, (2, 3), NONZERO)
    return Record(
        (
            *(Sample((both,), {"n": n}) for n in (0, 1, 2, 3, -1, -2, 2.0, 7, -6)),
            *(Sample((positive,), {"n": n}) for n in (0.5, -0.5, 2.5)),
            *(Sample((np.array([0.0, 1.5]),), {"n": n}) for n in (0, 1, 2, 3)),
            *(Sample((x,), {"n": 3}) for x in (both[0, 0], both[:, :0], both.T[::2])),
            Sample((0.0,), {"n": 2}),
        ),
        (
            kink([0.0, INF], to=[[0.0, 0.0]], n=0),
            kink(0.0, to=[INF], n=0.5),
            kink(-1.0, to=[NAN], n=1.5),
        ),
        reference=lambda x, n: np.power(x, n),
    )


def _sinc() -> Record:
    rng = generator("sinc")
    values = [
        draw(rng, (), NONZERO),
        0.0,
        np.array([0.0, 1e-9, 1e-3, 0.3, 0.31, 0.32, -0.6, 0.64, 1.0, -7.3]),
        strided(rng, (2, 3), NONZERO),
        np.zeros((0, 3)),
    ]
    return Record(
        tuple(Sample((x,), {"order": n}) for x in values for n in range(3)),
        reference=lambda x, order: np.sinc(x) if order == 0 else None,
    )


def _where() -> Record:
    rng = generator("where")
    samples = [
        Sample((rng.integers(2, size=c).astype(bool), *(draw(rng, s, NONZERO) for s in (x, y))))
        for c, x, y in (
            ((), (), ()),
            ((3,), (3,), (3,)),
            ((3,), (2, 3), ()),
            ((2, 1), (3,), (2, 3)),
            ((2, 3), (), (2, 1)),
            ((2, 3), (1, 3), ()),
            ((0,), (1,), ()),
            ((2, 3), (2, 3), (2, 3)),
        )
    ]
    return Record(
        tuple(samples),
        (kink([True, False], [1.0, INF], [NAN, 2.0], to=[[1.0, 0.0], [0.0, 1.0]]),),
        reference=np.where,
    )


ANYWHERE: Intervals = ((-2.0, 2.0),)


def _elementwise() -> dict[str, Record]:
    def step(name: str, *at: float) -> Record:
        """A step function, whose derivative is 0, by convention also on the steps."""
        return pointwise(name, FRACTIONS, kinks=[kink(x, to=[0.0]) for x in at])

    def smooth(name: str, r: Intervals = ANYWHERE, **others: Any) -> Record:
        return pointwise(name, r, **others)

    e_no = [
        kink([-INF, 0.0], [0.0, -INF], to=[[0.0, 1.0], [1.0, 0.0]]),
        kink(1e4, -1e4, to=[1.0, 0.0]),
    ]
    nans = [kink([NAN, 1.0, NAN], [1.0, NAN, NAN], to=[[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])]
    saturated = [1e4, -1e4, 0.0]
    return {
        "add": pointwise("add", NONZERO, NONZERO),
        "subtract": pointwise("subtract", NONZERO, NONZERO),
        "multiply": pointwise("multiply", NONZERO, NONZERO),
        "divide": pointwise("divide", NONZERO, NONZERO),
        "power": _power(),
        "remainder": _quotient("remainder", lambda x, y: np.floor_divide(x, y)),
        "fmod": _quotient("fmod", lambda x, y: np.sign(x) * np.floor_divide(abs(x), y)),
        "floor_divide": _quotient("floor_divide", lambda x, y: 0.0),
        "maximum": pointwise("maximum", ODD, EVEN, kinks=_ties(1)),
        "minimum": pointwise("minimum", ODD, EVEN, kinks=_ties(-1)),
        "fmax": pointwise("fmax", ODD, EVEN, kinks=[*_ties(1), *nans]),
        "fmin": pointwise("fmin", ODD, EVEN, kinks=[*_ties(-1), *nans]),
        "arctan2": pointwise("arctan2", NONZERO, NONZERO, kinks=[kink(0.0, 2.0, to=[0.5, 0.0])]),
        "hypot": pointwise(
            "hypot",
            NONZERO,
            NONZERO,
            also=[sample(0.0, 0.7), sample([0.7, 1.0], 0.0)],
            kinks=[kink(0.0, 0.0, to=[0.0, 0.0], flat=True)],
        ),
        "logaddexp": pointwise("logaddexp", NONZERO, NONZERO, kinks=e_no),
        "logaddexp2": pointwise("logaddexp2", NONZERO, NONZERO, kinks=e_no),
        "copysign": pointwise(
            "copysign", NONZERO, NONZERO, kinks=[kink([0.0, 1.0], -0.0, to=[[0.0, -1.0], 0.0])]
        ),
        "heaviside": pointwise(
            "heaviside",
            NONZERO,
            NONZERO,
            kinks=[kink([0.0, 1.0], [0.3, 0.3], to=[[0.0, 0.0], [1.0, 0.0]])],
        ),
        "negative": smooth("negative"),
        "positive": smooth("positive"),
        "conjugate": pointwise("conjugate", ANYWHERE),
        "absolute": pointwise("absolute", NONZERO, kinks=FLAT_AT_0),
        "fabs": pointwise("fabs", NONZERO, kinks=FLAT_AT_0),
        "square": smooth("square"),
        "reciprocal": smooth("reciprocal", NONZERO),
        "sqrt": smooth("sqrt", POSITIVE, kinks=[kink(0.0, to=[INF])]),
        "cbrt": pointwise("cbrt", NONZERO, kinks=[kink(0.0, to=[INF])]),
        "exp": smooth("exp"),
        "exp2": smooth("exp2"),
        "expm1": smooth("expm1"),
        "log": smooth("log", POSITIVE, kinks=[kink(0.0, to=[INF])]),
        "log2": smooth("log2", POSITIVE),
        "log10": smooth("log10", POSITIVE),
        "log1p": smooth("log1p", ((-0.7, 2.0),)),
        "sin": smooth("sin"),
        "cos": smooth("cos"),
        "tan": smooth("tan", ((-1.2, 1.2),)),
        "arcsin": smooth("arcsin", WITHIN_ONE, kinks=[kink(1.0, to=[INF])]),
        "arccos": smooth("arccos", WITHIN_ONE, kinks=[kink(1.0, to=[-INF])]),
        "arctan": smooth("arctan"),
        "sinh": smooth("sinh"),
        "cosh": smooth("cosh"),
        "tanh": smooth("tanh", kinks=[kink(1e4, to=[0.0])]),
        "arcsinh": smooth("arcsinh"),
        "arccosh": smooth("arccosh", ((1.2, 3.0),), kinks=[kink(1.0, to=[INF])]),
        "arctanh": smooth("arctanh", WITHIN_ONE),
        "deg2rad": pointwise("deg2rad", ANYWHERE),
        "radians": pointwise("radians", ANYWHERE),
        "rad2deg": pointwise("rad2deg", ANYWHERE),
        "degrees": pointwise("degrees", ANYWHERE),
        "sign": pointwise("sign", NONZERO, kinks=FLAT_AT_0),
        "floor": step("floor", 0.0, 1.0),
        "ceil": step("ceil", 0.0, 1.0),
        "trunc": step("trunc", 0.0, 1.0),
        "rint": step("rint", 0.5, 1.5),
        "round": pointwise("round", FRACTIONS, decimals=0, kinks=[kink(0.5, to=[0.0], decimals=0)]),
        "power_by": _power_by(),
        "sinc": _sinc(),
        "where": _where(),
        "nan_to_num": pointwise(
            "nan_to_num",
            NONZERO,
            nan=0.5,
            posinf=None,
            neginf=None,
            kinks=[
                kink([NAN, 1.0], to=[[0.0, 1.0]]),
                kink([NAN, INF, 2.0], to=[[0.0, 0.0, 1.0]], nan=1.0, posinf=9.0, neginf=-9.0),
            ],
        ),
        "astype": pointwise(
            "astype",
            NONZERO,
            dtype=np.dtype(np.float64),
            reference=lambda x, dtype: np.array(x).astype(dtype),
            kinks=[kink([1.5, -2.5], to=[[1.0, 1.0]], dtype=np.dtype(np.float32))],
        ),
        "relu": pointwise(
            "relu", NONZERO, kinks=FLAT_AT_0, reference=lambda x: np.where(x < 0, 0.0, x)
        ),
        "leaky_relu": pointwise(
            "leaky_relu",
            NONZERO,
            slope=0.1,
            also=[sample([-1.0, 1.0], slope=-0.5)],
            kinks=[kink([0.0, -1.0, 1.0], to=[[0.1, 0.1, 1.0]], slope=0.1)],
            reference=lambda x, slope: np.maximum(x, 0) + slope * np.minimum(x, 0),
        ),
        "elu": pointwise(
            "elu",
            NONZERO,
            alpha=1.7,
            order=0,
            also=[sample([-1.0, 1.0], alpha=-0.5, order=n) for n in range(3)],
            kinks=[kink([0.0, -40.0, 1.0], to=[[1.7, 1.7 * np.exp(-40), 1.0]], alpha=1.7, order=0)],
            reference=lambda x, alpha, order: np.where(
                x > 0, [x, 1.0, 0.0][order] + 0 * x, alpha * (np.exp(x) - (order == 0))
            ),
        ),
        "sigmoid": smooth(
            "sigmoid",
            kinks=[kink(saturated, to=[[0.0, 0.0, 0.25]])],
            reference=lambda x: 0.5 + 0.5 * np.tanh(x / 2),
        ),
        "normal_cdf": pointwise(
            "normal_cdf",
            ANYWHERE,
            kinks=[kink([-50.0, 1e4, 0.0], to=[[0.0, 0.0, 1 / np.sqrt(2 * np.pi)]])],
            reference=lambda x: np.vectorize(lambda z: math.erfc(-z / math.sqrt(2)) / 2, "d")(x),
        ),
        "softplus": pointwise(
            "softplus",
            ANYWHERE,
            also=[sample(0.0), sample([0.0, 1e-5])],
            kinks=[kink(saturated, to=[[1.0, 0.0, 0.5]])],
            reference=lambda x: np.logaddexp(x, 0),
        ),
    }


# ── reductions and scans ──────────────────────────────────────────────────────────────────────────

AXES: tuple[tuple[Shape | None, Any], ...] = (
    ((), None),
    ((4,), None),
    ((4,), 0),
    ((2, 3), None),
    ((2, 3), 0),
    ((2, 3), -1),
    ((2, 3), (0, 1)),
    ((2, 3, 2), 1),
    ((2, 3, 2), (0, 2)),
    ((2, 3, 2), (-1, 0)),
    ((2, 1, 3), 1),
    ((2, 1, 3), (1, 2)),
    ((0, 3), 1),
    ((1,), 0),
    (None, 0),
)
OVER_NOTHING: tuple[tuple[Shape | None, Any], ...] = (((0,), None), ((0, 3), 0), ((0, 3), (0, 1)))


def reductions(
    name: str, axes: Sequence[tuple[Shape | None, Any]], intervals: Intervals = NONZERO
) -> list[Sample]:
    rng = generator(name)
    return [
        Sample(
            (strided(rng, (2, 3), intervals) if shape is None else draw(rng, shape, intervals),),
            {"axis": axis, "keepdims": keepdims},
        )
        for shape, axis in axes
        for keepdims in (False, True)
    ]


def _with_zeros() -> list[np.ndarray]:
    """Rows without a zero, with one and with two."""
    rows = np.array([[1.5, 2.0, -0.5], [0.0, 2.0, 0.7], [0.0, -1.5, 0.0]])
    return [rows, rows[1], rows[2], np.stack([rows, rows[::-1]]), np.zeros(3)]


def _reductions() -> dict[str, Record]:
    def over(axis: Any, keepdims: bool = False) -> dict[str, Any]:
        return {"axis": axis, "keepdims": keepdims}

    def distinct(name: str) -> list[Sample]:
        """Values so far apart that the step of a difference does not change their order."""
        rng = generator(name + " apart")
        samples = []
        for s in reductions(name, AXES):
            x = s.args[0]
            ranks = 0.25 * rng.permutation(x.size).reshape(x.shape) - 1.0
            samples.append(Sample(((ranks.T.copy().T if x.ndim else ranks)[()],), s.params))
        return samples

    def extremum(name: str, of: Callable[..., Any], winner: int) -> Record:
        w = winner
        tied = [w * 1.0, w * 2.0, w * 2.0]
        grid = [[w * 3.0, w * 3.0, w * 3.0], [w * 1.0, w * 3.0, w * 2.0]]
        return Record(
            tuple(distinct(name)),
            (
                kink(tied, to=[[0, 0.5, 0.5]], **over(None)),
                kink(tied, to=[[0, 0.5, 0.5]], **over(0, True)),
                kink(grid, to=[[[0.25, 0.25, 0.25], [0, 0.25, 0]]], **over(None)),
                kink(grid, to=[[[1 / 3, 1 / 3, 1 / 3], [0, 1, 0]]], **over(1)),
                kink(grid, to=[[[1, 0.5, 1], [0, 0.5, 0]]], **over(0)),
                kink([1.0, NAN], to=[[0.0, 0.0]], **over(None)),
            ),
            reference=lambda x, axis, keepdims: of(x, axis=axis, keepdims=keepdims),
        )

    products = [
        Sample((x,), {"axis": axis, "keepdims": keepdims})
        for x in _with_zeros()
        for axis in ((None, -1) if x.ndim == 1 else (None, 0, -1, tuple(range(x.ndim))[:2]))
        for keepdims in (False, True)
    ]
    zero_row = [[0.0, 0.0], [3.0, 4.0]]
    rng = generator("scans")
    scanned = [
        Sample((x,), {"axis": axis})
        for x in (
            draw(rng, (4,), NONZERO),
            draw(rng, (2, 3), NONZERO),
            draw(rng, (2, 1, 3), NONZERO),
            strided(rng, (2, 3), NONZERO),
            np.zeros((0,)),
            np.zeros((0, 3)),
            draw(rng, (1,), NONZERO),
        )
        for axis in range(-x.ndim, x.ndim)
    ]
    zeros = [Sample((x,), {"axis": a}) for x in _with_zeros() for a in range(-x.ndim, x.ndim)]
    return {
        "sum": Record(tuple(reductions("sum", (*AXES, *OVER_NOTHING))), reference=np.sum),
        "mean": Record(tuple(reductions("mean", AXES)), reference=np.mean),
        "cumsum": Record(tuple(scanned), reference=np.cumsum),
        "max": extremum("max", np.max, 1),
        "min": extremum("min", np.min, -1),
        "norm": Record(
            tuple(
                replace(s, params={**s.params, "ord": ord})
                for s in (*reductions("norm", AXES), sample([0.0, 3.0, 4.0], **over(None)))
                for ord in ((2, 3, 1.5) if np.all(s.args[0]) else (2,))
            ),
            (
                kink([0.0, 0.0], to=[[0.0, 0.0]], flat=True, ord=2, **over(None)),
                kink([0.0, 0.0], to=[[0.0, 0.0]], flat=True, ord=3, **over(None)),
                kink([0.0, 0.0], to=[[0.0, 0.0]], flat=True, ord=1.5, **over(None)),
                kink([0.0, 4.0], to=[[0.0, 1.0]], ord=0.5, **over(None)),
                kink(0.0, to=[0.0], ord=2, **over(None)),
                kink(zero_row, to=[[[0.0, 0.0], [0.6, 0.8]]], ord=2, **over(1)),
                kink(zero_row, to=[[[0.0, 0.0], [0.6, 0.8]]], ord=2, **over(-1, True)),
            ),
            reference=lambda x, axis, keepdims, ord: (
                np.sum(np.abs(x) ** ord, axis=axis, keepdims=keepdims) ** (1 / ord)
            ),
        ),
        "prod": Record(
            (*reductions("prod", (*AXES, *OVER_NOTHING)), *products),
            # The product underflows, the products of the others do not.
            (
                kink([1e-200, 1e-200, 1e300], to=[[1e100, 1e100, 0.0]], **over(None)),
                kink([1e200, 1e200, 1e-300], to=[[1e-100, 1e-100, INF]], **over(None)),
                kink(0.0, to=[1.0], **over(0)),  # a number may have the axis of a row of one
                kink(0.0, to=[1.0], **over(-1, True)),
            ),
            reference=np.prod,
        ),
        "cumprod": Record(
            (*scanned, *zeros),
            (kink([1e-200, 1e-200, 1e300], to=[[1e100, 1e100, 0.0]], axis=0),),
            reference=np.cumprod,
        ),
    }


# ── shapes and indices ────────────────────────────────────────────────────────────────────────────


def _shapes() -> dict[str, Record]:
    rng = generator("shapes")

    def a(*shape: int) -> Any:
        return draw(rng, shape, NONZERO)

    def linear(reference: Callable[..., Any], *samples: Sample) -> Record:
        return Record(samples, reference=reference)

    return {
        "reshape": linear(
            lambda x, shape: np.array(x).copy().reshape(shape),
            sample(a(2, 3), shape=(3, 2)),
            sample(a(2, 3), shape=(-1,)),
            sample(a(6), shape=(1, 2, 3)),
            sample(a(), shape=(1, 1)),
            sample(a(1, 1), shape=()),
            sample(a(0, 3), shape=(3, 0)),
            Sample((strided(rng, (2, 3), NONZERO),), {"shape": (6,)}),
        ),
        "transpose": linear(
            lambda x, axes: np.array(x).transpose(axes),
            sample(a(2, 3), axes=None),
            sample(a(2, 3), axes=(0, 1)),
            sample(a(2, 3, 4), axes=(2, 0, 1)),
            sample(a(2, 3, 4), axes=(1, -1, 0)),
            sample(a(2, 3, 4), axes=None),
            sample(a(3), axes=None),
            sample(a(), axes=None),
            sample(a(0, 3), axes=(1, 0)),
            Sample((strided(rng, (2, 3), NONZERO),), {"axes": (1, 0)}),
        ),
        "flip": linear(
            np.flip,
            sample(a(3), axis=None),
            sample(a(2, 3), axis=None),
            sample(a(2, 3), axis=0),
            sample(a(2, 3), axis=-1),
            sample(a(2, 3, 2), axis=(0, 2)),
            sample(a(2, 1), axis=1),
            sample(a(0, 3), axis=0),
            sample(a(), axis=None),
        ),
        "roll": linear(
            np.roll,
            sample(a(5), shift=2, axis=None),
            sample(a(2, 3), shift=1, axis=None),
            sample(a(2, 3), shift=-1, axis=1),
            sample(a(2, 3), shift=4, axis=-1),
            sample(a(3, 4), shift=(1, 2), axis=(0, 1)),
            sample(a(3, 4), shift=(1, -2), axis=(1, 0)),
            sample(a(3, 4), shift=(1, 1), axis=0),
            sample(a(0, 3), shift=1, axis=0),
        ),
        "broadcast_to": linear(
            lambda x, shape: np.zeros(shape) + x,
            sample(a(), shape=(2, 3)),
            sample(a(3), shape=(2, 3)),
            sample(a(2, 1), shape=(2, 3)),
            sample(a(1, 3), shape=(4, 2, 3)),
            sample(a(2, 3), shape=(2, 3)),
            sample(a(1), shape=(0,)),
            sample(a(3), shape=(0, 3)),
            sample(a(1, 1), shape=(1, 1)),
            sample(a(), shape=()),
        ),
        "concatenate": linear(
            lambda *xs, axis: np.concatenate(xs, axis=axis),
            sample(a(3), a(2), axis=0),
            sample(a(3), axis=0),
            sample(a(2, 3), a(1, 3), a(2, 3), axis=0),
            sample(a(2, 3), a(2, 1), axis=-1),
            sample(a(2, 1), a(2, 2), a(2, 3), axis=1),
            sample(a(2, 0), a(2, 3), axis=1),
            sample(a(0), a(0), axis=0),
            Sample((strided(rng, (2, 3), NONZERO), a(2, 3)), {"axis": 0}),
        ),
        "stack": linear(
            lambda *xs, axis: np.stack(xs, axis=axis),
            sample(a(), a(), a(), axis=0),
            sample(a(3), a(3), axis=0),
            sample(a(3), a(3), axis=1),
            sample(a(2), axis=-1),
            sample(a(2, 3), a(2, 3), a(2, 3), axis=1),
            sample(a(2, 3), a(2, 3), axis=-1),
            sample(a(0, 3), a(0, 3), axis=2),
            Sample((strided(rng, (2, 3), NONZERO), a(2, 3)), {"axis": 0}),
        ),
        "pad": linear(
            lambda x, width: np.pad(x, width, constant_values=0.0),
            sample(a(3), width=((1, 2),)),
            sample(a(2, 3), width=((1, 0), (0, 2))),
            sample(a(2, 3), width=((0, 0), (2, 1))),
            sample(a(2, 3), width=((0, 0), (0, 0))),
            sample(a(2, 1, 2), width=((1, 1), (2, 0), (0, 3))),
            sample(a(2, 2, 1, 2), width=((0, 0), (0, 0), (1, 1), (0, 1))),
            sample(a(0, 3), width=((1, 1), (0, 1))),
        ),
    }


def _indices() -> list[tuple[Shape, Any]]:
    """Shapes with indices: basic, by arrays of integers with repeats, by masks."""
    i = np.array
    return [
        ((4,), 2),
        ((4,), -1),
        ((4,), slice(1, 3)),
        ((4,), slice(None, None, -2)),
        ((4,), i([0, 2, 2, 2])),
        ((4,), i([1])),
        ((4,), i([], int)),
        ((4,), i([[0, 1], [1, -1]])),
        ((4,), i([True, False, True, True])),
        ((4,), (None, slice(None))),
        ((4,), Ellipsis),
        ((), ()),
        ((), None),
        ((2, 3), 1),
        ((2, 3), (1, 2)),
        ((2, 3), (slice(None), 1)),
        ((2, 3), (..., slice(None, 2))),
        ((2, 3), (i([0, 1, 0, 0]), i([2, 1, 2, 0]))),
        ((2, 3), (i([[0], [1]]), i([0, 0, 2]))),
        ((2, 3), (slice(None), i([2, 2, 0]))),
        ((2, 3), (1, i([1, 1]))),
        ((2, 3), i([[True, False, True], [False, True, True]])),
        ((2, 3), (i([True, True]), i([1, 1]))),
        ((2, 3), (i(1), i([0, 0]))),
        ((2, 3, 2), (slice(None), i([0, 0, 1]), 1)),
        ((2, 3, 2), (i([0, 0]), slice(1, None), i([1, 1]))),
        ((2, 3, 2), (i([1, 0]), ..., i([1, 0]))),
        ((2, 3, 2), (..., i([1, 0, 1]), 0)),
        ((0, 3), (slice(None), 1)),
        ((1, 3), (0, slice(0, 0))),
    ]


def _scattered(x: Any, index: Any, shape: Shape) -> np.ndarray:
    """Add one element at a time, at the places that an index selects from an array of positions."""
    z = np.zeros(shape)
    places = np.arange(z.size).reshape(shape)[index]
    for place, value in zip(np.ravel(places), np.ravel(np.broadcast_to(x, places.shape))):
        z.flat[place] += value
    return z


def _overwritten(x: Any, v: Any, index: Any) -> np.ndarray:
    z = np.array(x)
    places = np.arange(z.size).reshape(z.shape)[index]
    for place, value in zip(np.ravel(places), np.ravel(np.broadcast_to(v, places.shape))):
        z.flat[place] = value
    return z


def _indexing() -> dict[str, Record]:
    rng = generator("indexing")
    taken, scattered, written = [], [], []
    for shape, index in _indices():
        part = np.empty(shape)[index].shape
        taken.append(Sample((draw(rng, shape, NONZERO),), {"index": index}))
        scattered.append(Sample((draw(rng, part, NONZERO),), {"index": index, "shape": shape}))
        for v in {part, (), (1,) * len(part), part[-1:]}:
            args = (draw(rng, shape, NONZERO), draw(rng, v, NONZERO))
            written.append(Sample(args, {"index": index}))
    taken.append(Sample((strided(rng, (2, 3), NONZERO),), {"index": (slice(None), 1)}))
    return {
        "getitem": Record(
            tuple(taken),
            reference=lambda x, index: np.ravel(x)[np.arange(np.size(x)).reshape(x.shape)[index]],
        ),
        "scatter": Record(tuple(scattered), reference=_scattered),
        "put": Record(tuple(written), reference=_overwritten),
    }


# ── linear algebra ────────────────────────────────────────────────────────────────────────────────

# Shapes of the two operands: vectors, matrices, batches that broadcast, sums over nothing.
MATMUL = (
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((1,), (1,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((4, 1, 2, 3), (5, 3, 2)),
    ((1, 2, 3), (5, 3, 4)),
    ((2, 1), (1, 3)),
    ((1, 3), (3, 1)),
    ((3, 3), (3, 3)),
    ((2, 0), (0, 3)),
    ((0, 3), (3, 2)),
    ((0,), (0,)),
)
SOLVE = (
    ((3, 3), (3,)),
    ((3, 3), (3, 2)),
    ((3, 3), (3, 3)),
    ((1, 1), (1,)),
    ((2, 2), (2, 1)),
    ((2, 3, 3), (2, 3, 2)),
    ((3, 3), (2, 3, 2)),
    ((2, 3, 3), (3, 2)),
    ((2, 1, 2, 2), (3, 2, 1)),
    ((0, 2, 2), (2, 3)),
    ((2, 2), (2, 0)),
)


def _linalg() -> dict[str, Record]:
    rng = generator("linear algebra")

    def a(*shape: int) -> Any:
        return draw(rng, shape, NONZERO)

    def regular(*shape: int) -> np.ndarray:
        """Matrices far from singular, and not symmetric."""
        return draw(rng, shape, ((-0.5, 0.5),)) + np.diag(1.5 + np.arange(shape[-1]))

    def definite(*shape: int) -> np.ndarray:
        x = draw(rng, shape, ((-0.5, 0.5),))
        return x @ x.mT + np.eye(shape[-1])

    def swapped(x: np.ndarray) -> np.ndarray:
        """Exchange two rows, which changes the sign of the determinant."""
        return x[..., [1, 0, *range(2, x.shape[-2])], :]

    def products(*samples: tuple[str, Sequence[Shape]]) -> tuple[Sample, ...]:
        return tuple(
            Sample(
                tuple(a(*shape) for shape in shapes),
                {"terms": tuple(text.split("->")[0].split(",")), "result": text.split("->")[1]},
            )
            for text, shapes in samples
        )

    singular = [  # of rank 2, 1 and 0, and beside one that is not
        np.diag([1.5, 0.0, -2.0]),
        np.diag([0.0, -1.5, 0.0]),
        np.zeros((2, 2)),
        np.stack([np.diag([1.5, 0.0]), regular(2, 2)]),
        np.zeros((1, 1)),
    ]
    squares = [
        regular(2, 2),
        regular(1, 1),
        regular(3, 3),
        swapped(regular(2, 2)),
        regular(2, 3, 3),
        regular(2, 1, 2, 2),
        regular(0, 2, 2),
        regular(3, 3).T,
    ]
    return {
        "matmul": Record(
            (
                *(Sample((a(*left), a(*right))) for left, right in MATMUL),
                Sample((strided(rng, (2, 3), NONZERO), strided(rng, (3, 2), NONZERO))),
            ),
        ),
        "linear": Record(
            (
                *(Sample((a(*shape), a(2, 3))) for shape in ((4, 3), (3,), (2, 4, 3), (0, 3))),
                Sample((strided(rng, (4, 3), NONZERO), strided(rng, (2, 3), NONZERO))),
            ),
            reference=np.inner,
        ),
        "inv": Record(tuple(map(sample, squares))),
        "solve": Record(
            (
                *(Sample((regular(*left), a(*right))) for left, right in SOLVE),
                Sample((regular(3, 3).T, strided(rng, (3, 2), NONZERO))),
            ),
        ),
        "det": Record(
            (
                *map(sample, squares),
                *map(sample, singular),
            ),
        ),
        "logdet": Record(
            tuple(map(sample, squares)),
            reference=lambda x: np.log(np.abs(np.linalg.det(x))),
        ),
        "cholesky": Record(
            tuple(
                sample(definite(*shape))
                for shape in ((1, 1), (2, 2), (3, 3), (2, 3, 3), (2, 1, 3, 3))
            ),
            symmetric=True,
        ),
        "einsum": Record(
            products(
                ("ij,jk->ik", [(2, 3), (3, 4)]),
                ("ij,jk->ki", [(2, 3), (3, 4)]),
                ("ab,b->a", [(2, 3), (3,)]),
                ("i,i->", [(3,), (3,)]),
                ("i->", [(3,)]),
                ("i->i", [(3,)]),
                ("ij->ji", [(2, 3)]),
                ("ij->j", [(2, 3)]),
                ("ij->j", [(1, 3)]),
                ("ijk->j", [(2, 3, 4)]),
                ("ii->", [(3, 3)]),
                ("ii->i", [(3, 3)]),
                ("iii->i", [(2, 2, 2)]),
                ("iij->j", [(3, 3, 2)]),
                ("iji->", [(3, 2, 3)]),
                ("iij,j->i", [(3, 3, 2), (2,)]),
                ("ii,ii->", [(2, 2), (2, 2)]),
                ("ii,i->i", [(1, 1), (3,)]),
                ("iij,jk->ik", [(2, 2, 1), (3, 2)]),
                ("ij,kl->il", [(2, 3), (2, 4)]),
                ("i,j->ij", [(2,), (3,)]),
                (",i->i", [(), (3,)]),
                ("->", [()]),
                ("bij,bjk->bik", [(2, 2, 3), (2, 3, 2)]),
                ("bij,jk->bik", [(2, 2, 3), (3, 2)]),
                ("ij,jk,kl->il", [(2, 3), (3, 2), (2, 3)]),
                ("i,ij,j->", [(2,), (2, 3), (3,)]),
                ("ij,jk->ik", [(2, 1), (3, 4)]),
                ("ij,jk->ik", [(0, 3), (3, 2)]),
                ("ij,jk->ik", [(2, 0), (0, 2)]),
            ),
            reference=lambda *xs, terms, result: np.einsum(",".join(terms) + "->" + result, *xs),
        ),
    }


def _decompositions() -> dict[str, Record]:
    rng = generator("decompositions")

    def spread(*shape: int) -> np.ndarray:
        """Matrices whose singular values are far from each other and from 0."""
        x = draw(rng, shape, ((-0.5, 0.5),))
        diagonal = np.arange(min(shape[-2:]))
        x[..., diagonal, diagonal] += 1.5 + 2.0 * diagonal
        return x

    squares = ((1, 1), (2, 2), (3, 3), (2, 3, 3), (2, 1, 2, 2), (0, 2, 2))
    tall = ((1, 1), (2, 2), (3, 3), (4, 2), (3, 1), (2, 4, 2))
    shapes = (*tall, (2, 4), (1, 3), (2, 2, 3))
    turned = spread(3, 2).T.copy().T
    # Matrices of which one has equal values, but for rounding.
    turn = np.linalg.qr(spread(3, 3)).Q
    equal = np.eye(2), turn @ np.diag([2.0, 2.0, 5.0]) @ turn.T, [np.eye(2), np.diag([1e9, 2e9])]
    return {
        "eigh": Record(
            tuple(sample(spread(*shape), UPLO=u) for shape in squares for u in "LU"),
            undefined=tuple(sample(a, UPLO="L") for a in equal),
            reference=lambda a, UPLO: np.concatenate(
                [np.linalg.eigvalsh(a, UPLO)[..., None, :], np.linalg.eigh(a, UPLO).eigenvectors],
                axis=-2,
            ),
        ),
        "eigvalsh": Record(
            tuple(sample(spread(*shape), UPLO=u) for shape in squares for u in "LU"),
            (kink(np.eye(2), to=[np.eye(2)], UPLO="L"),),
            reference=lambda a, UPLO: np.linalg.eigh(a, UPLO).eigenvalues,
        ),
        "svd": Record(
            (*(sample(spread(*shape)) for shape in shapes), Sample((turned,))),
            undefined=tuple(map(sample, equal)),
        ),
        "svdvals": Record(
            (*(sample(spread(*shape)) for shape in shapes), Sample((turned,))),
            (
                kink(np.eye(2), to=[np.eye(2)]),
                kink(np.diag([2.0, 0.0]), to=[np.diag([1.0, 0.0])]),
                kink(np.zeros((2, 3)), to=[np.zeros((2, 3))]),
                kink(  # a small value is no zero
                    [[[2.0, 0.0], [0.0, 0.0]], [[1e-20, 0.0], [0.0, 5e-21]]],
                    to=[[[[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]]],
                ),
            ),
            reference=lambda a: np.sqrt(
                np.linalg.eigvalsh(a @ a.mT if a.shape[-2] < a.shape[-1] else a.mT @ a)[..., ::-1]
            ),
        ),
        "qr": Record((*(sample(spread(*shape)) for shape in tall), Sample((turned,)))),
        "pinv": Record(
            (
                *(sample(spread(*shape), rcond=1e-15) for shape in shapes),
                Sample((turned,), {"rcond": 1e-15}),
            ),
            reference=lambda a, rcond: (
                np.linalg.solve(a.mT @ a, a.mT)
                if a.shape[-2] >= a.shape[-1]
                else np.linalg.solve(a @ a.mT, a).mT
            ),
        ),
    }


# ── networks ──────────────────────────────────────────────────────────────────────────────────────


def _neural() -> dict[str, Record]:
    rng = generator("networks")
    over = [
        Sample((x,), {"axis": axis})
        for x, axes in (
            (draw(rng, (3,), NONZERO), (-1, 0, None)),
            (draw(rng, (2, 3), NONZERO), (-1, 0, None, (0, 1))),
            (draw(rng, (2, 3, 2), NONZERO), (1, (0, 2))),
            (draw(rng, (2, 1, 3), NONZERO), (1,)),
            (draw(rng, (0, 3), NONZERO), (1,)),
            (strided(rng, (2, 3), NONZERO), (1,)),
            (np.array([1.0, 1.0, 0.5]), (0,)),
        )
        for axis in axes
    ]
    far = np.array([1e4, 0.0, -1e4])

    def probabilities(x: Any, axis: Any) -> Any:
        return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)

    heads = tuple(draw(rng, shape, NONZERO) for shape in ((2, 2, 2), (2, 3, 2), (2, 3, 1)))
    row = tuple(draw(rng, shape, NONZERO) for shape in ((3, 1), (4, 1), (4, 2)))
    shared = (heads[0], heads[1][0], heads[2][:1])
    some = np.array([[True, False, True], [False, True, True]])

    def standardized(x: Any, w: Any, b: Any, eps: float) -> Any:
        axes, along = (0, 2, 3), (-1, 1, 1)
        variance = np.var(x, axis=axes, keepdims=True)
        y = (x - np.mean(x, axis=axes, keepdims=True)) / np.sqrt(variance + eps)
        return y * np.reshape(w, along) + np.reshape(b, along)

    def attention(q: Any, k: Any, v: Any, scale: float, mask: Any, causal: bool) -> Any:
        weights = np.exp(scale * np.einsum("...id,...jd->...ij", q, k))
        if causal:
            weights = np.tril(weights)
        if mask is not None:
            weights = weights * mask
        return weights @ v / np.sum(weights, axis=-1, keepdims=True)

    return {
        "attention": Record(
            tuple(
                Sample(args, {"scale": scale, "mask": mask, "causal": causal})
                for args, mask, scale, causal in (
                    (heads, None, -0.7, True),
                    (row, None, 1.3, False),
                    (shared, some, 1.0, False),
                )
            ),
            reference=attention,
        ),
        "batch_norm": Record(
            tuple(
                Sample(
                    (draw(rng, shape, NONZERO), *draw(rng, (2, shape[1]), NONZERO)), {"eps": eps}
                )
                for shape, eps in (((2, 3, 2, 2), 0.1), ((3, 1, 1, 3), 1e-3), ((1, 2, 3, 1), 0.5))
            ),
            reference=standardized,
        ),
        "standardized": Record(
            tuple(
                Sample((draw(rng, shape, NONZERO),), {"axis": axis, "eps": eps})
                for shape, axis, eps in (
                    ((2, 3), (-1,), 0.1),
                    ((3, 2, 2), (1, 2), 1e-3),
                    ((3, 2), (0,), 0.5),
                    ((2, 2), (0, 1), 0.2),
                )
            ),
            reference=lambda x, axis, eps: (
                (x - np.mean(x, axis=axis, keepdims=True))
                / np.sqrt(np.var(x, axis=axis, keepdims=True) + eps)
            ),
        ),
        "softmax": Record(
            tuple(over),
            (kink(far, to=[np.zeros(3)], axis=0),),
            reference=probabilities,
        ),
        "log_softmax": Record(
            tuple(over),
            (kink(far, to=[[-2.0, 1.0, 1.0]], axis=0),),
            reference=lambda x, axis: np.log(probabilities(x, axis)),
        ),
        "logsumexp": Record(
            tuple(reductions("logsumexp", AXES)),
            (
                kink(far, to=[[1.0, 0.0, 0.0]], axis=0, keepdims=False),
                kink([-INF, 0.0, 0.0], to=[[0.0, 0.5, 0.5]], axis=None, keepdims=False),
            ),
            reference=lambda x, axis, keepdims: np.log(
                np.sum(np.exp(x), axis=axis, keepdims=keepdims)
            ),
        ),
    }


# ── convolutions ──────────────────────────────────────────────────────────────────────────────────


def _in_groups(function: Any, *axes: int) -> Any:
    """A function of two arrays that is done for groups of their channels; the axes are those of the
    channels, in both and in the result."""

    def grouped(a: Any, b: Any, groups: int = 1, **given: Any) -> np.ndarray:
        parts = zip(np.split(a, groups, axes[0]), np.split(b, groups, axes[1]), strict=True)
        return np.concatenate([function(*part, **given) for part in parts], axes[2])

    return grouped


def _convolved_once(x: Any, w: Any, stride: Any, dilation: Any) -> np.ndarray:
    """A convolution by einsum over views of the windows, with stride and dilation by slices."""
    span = [d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation)]
    views = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    views = views[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return np.einsum("nchwij,ocij->nohw", views, w)


_convolved = _in_groups(_convolved_once, 1, 0, 1)


def _convolutions() -> dict[str, Record]:
    rng = generator("convolutions")

    def a(*shape: int) -> Any:
        return draw(rng, shape, NONZERO)

    # image, kernel, stride, dilation
    geometries = (
        ((3, 4), (2, 2), (1, 1), (1, 1)),
        ((4, 6), (2, 3), (2, 1), (1, 1)),
        ((6, 5), (1, 2), (3, 2), (1, 2)),
        ((5, 7), (2, 3), (1, 2), (3, 2)),
        ((2, 3), (1, 1), (1, 1), (1, 1)),
    )
    forward, to_x, to_w, gathered, scattered, met, pooled = [], [], [], [], [], [], []
    for n, c, o, groups, geometry in (
        *((2, 3, 2, 1, g) for g in geometries),
        (0, 2, 1, 1, geometries[0]),
        (1, 1, 1, 1, geometries[3]),
        (2, 2, 2, 1, ((4, 4), (2, 2), (2, 2), (1, 1))),
        (2, 4, 6, 2, ((4, 3), (2, 2), (1, 1), (1, 1))),
        (1, 2, 4, 2, ((4, 6), (2, 2), (2, 1), (1, 2))),
        (2, 16, 16, 16, ((3, 4), (2, 2), (1, 2), (2, 1))),
    ):
        image, size, stride, dilation = geometry
        step: dict[str, Any] = {"stride": stride, "dilation": dilation}
        if groups > 1:
            step["groups"] = groups
        x, w = a(n, c, *image), a(o, c // groups, *size)
        g = a(*_convolved(x, w, **step).shape)
        forward.append(Sample((x, w), step))
        to_x.append(Sample((g, w), {"image": image, **step}))
        to_w.append(Sample((x, g), {"size": size, **step}))
        if dilation == (1, 1) and groups == 1:
            y = _convolved(x.reshape(n * c, 1, *image), w[:1, :1], **step)
            y = y.reshape(n, c, *y.shape[2:])
            for weight in (a(*size, *y.shape), a(*size, 1, 1, 1, 1)):
                gathered.append(Sample((x, weight), {"stride": stride}))
                scattered.append(Sample((y, weight), {"image": image, "stride": stride}))
            met.append(Sample((x, y), {"size": size, "stride": stride}))
            apart = 0.25 * rng.permutation(x.size).reshape(x.shape) - 1.0
            pooled.append(Sample((apart,), {"size": size, "stride": stride}))

    def windows(x: Any, size: Any, **step: Any) -> np.ndarray:
        """Windows by a convolution with kernels that are 1 at one place and 0 elsewhere."""
        units = np.eye(int(np.prod(size))).reshape(-1, 1, *size)
        n, c = x.shape[:2]
        y = _convolved(x.reshape(n * c, 1, *x.shape[2:]), units, **step)
        return y.reshape(n, c, *size, *y.shape[2:])

    def add_windows(seen: Any, image: Any, **step: Any) -> np.ndarray:
        units = np.eye(int(np.prod(image))).reshape(-1, 1, *image)
        each = windows(units, seen.shape[2:4], **step)[:, 0]
        return np.einsum("ncijhw,pijhw->ncp", seen, each).reshape(*seen.shape[:2], *image)

    def pool2d(x: Any, w: Any, stride: Any) -> np.ndarray:
        seen = windows(x, w.shape[:2], stride=stride, dilation=(1, 1))
        w = np.broadcast_to(w, (*w.shape[:2], *seen.shape[:2], *seen.shape[4:]))
        return np.einsum("ncijhw,ijnchw->nchw", seen, w)

    def pool2d_input(g: Any, w: Any, image: Any, stride: Any) -> np.ndarray:
        seen = np.einsum("nchw,ijnchw->ncijhw", g, np.broadcast_to(w, (*w.shape[:2], *g.shape)))
        return add_windows(seen, image, stride=stride, dilation=(1, 1))

    def pool2d_weight(x: Any, g: Any, size: Any, stride: Any) -> np.ndarray:
        seen = windows(x, size, stride=stride, dilation=(1, 1))
        return np.einsum("ncijhw,nchw->ijnchw", seen, g)

    third = 1 / 3
    over: dict[str, Any] = {"size": (2, 2), "stride": (1, 2)}
    return {
        "conv2d": Record(tuple(forward), reference=_convolved),
        "conv2d_input": Record(
            tuple(to_x),
            reference=_in_groups(
                lambda g, w, **given: add_windows(np.einsum("nohw,ocij->ncijhw", g, w), **given),
                1,
                0,
                1,
            ),
        ),
        "conv2d_weight": Record(
            tuple(to_w),
            reference=_in_groups(
                lambda x, g, **given: np.einsum("ncijhw,nohw->ocij", windows(x, **given), g),
                1,
                1,
                0,
            ),
        ),
        "pool2d": Record(tuple(gathered), reference=pool2d),
        "pool2d_input": Record(tuple(scattered), reference=pool2d_input),
        "pool2d_weight": Record(tuple(met), reference=pool2d_weight),
        "max_pool2d": Record(
            tuple(pooled),
            (
                kink(
                    [[[[1, 1, 1, 2], [0, 1, 2, 2]]]],
                    to=[[[[[third, third, 0, third], [0, third, third, third]]]]],
                    **over,
                ),
                kink(
                    [[[[1, 1], [0, 0]], [[1, 2], [0, 3]], [[2, 0], [2, 2]]]],
                    to=[[[[[0.5, 0.5], [0, 0]], [[0, 0], [0, 1]], [[third, 0], [third, third]]]]],
                    **over,
                ),
                kink([[[[1, NAN, 3, 2]] * 2]], to=[[[[[0, 0, 0.5, 0]] * 2]]], **over),
                kink([[[[1, -INF], [-INF, 0]]]], to=[[[[[1, 0], [0, 0]]]]], **over),
                # more ties than a byte can count
                kink(
                    np.zeros((1, 1, 2, 128)),
                    to=[np.full((1, 1, 2, 128), 1 / 256)],
                    size=(2, 128),
                    stride=(1, 1),
                ),
            ),
            reference=lambda x, size, stride: np.max(
                windows(x, size, stride=stride, dilation=(1, 1)), axis=(2, 3)
            ),
        ),
    }


RECORDS: dict[str, Record] = {
    **_elementwise(),
    **_reductions(),
    **_shapes(),
    **_indexing(),
    **_linalg(),
    **_decompositions(),
    **_neural(),
    **_convolutions(),
}
