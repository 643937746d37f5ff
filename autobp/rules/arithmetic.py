"""Elementwise operations: one row an operation, `t` a tangent or a cotangent.

Kinks, for both modes: ties in maximum and minimum share equally, abs and the like are 0 at 0.
"""

from __future__ import annotations

import math
import operator
from functools import reduce
from typing import Any

import numpy as np

from autobp.arrays import plain_array, single
from autobp.kernels import exponential
from autobp.operation import MOVE, PLUS, TIMES, each
from autobp.primitive import (
    Array,
    Primitive,
    Variable,
    constant,
    elementwise,
    implements,
    plainly,
    same,
)
from autobp.rules import costs

LN2 = math.log(2)
LN10 = math.log(10)
DEGREE = math.pi / 180


def _half(tie: Array, wins: Array, z: Array) -> Array:
    """What each of two contenders gets: 1 for the winner, ½ in a tie."""
    return np.where(tie, single(0.5, z), wins)


def _nonzero(x: Array) -> Array:
    """x, with 1 in place of 0: a divisor where the numerator vanishes too."""
    return np.where(x == 0, 1.0, x)


def _over(x: Array, size: Array) -> Array:
    """x / size, and 0, with no slope either, where the size of all is 0: its kink."""
    return np.where(size == 0, 0.0, x / _nonzero(size))


#: Powers that are products: of higher ones, more would go to rounding.
_WHOLE = frozenset(range(2, 17))


def _power_by(x: Array, n: float) -> Array:
    """xⁿ. NumPy has fast code for few n; of negative numbers, others take 100 times as long as products."""
    size = abs(n)
    whole = type(n) in (int, float) and size in _WHOLE
    if not whole or not getattr(x, "ndim", 0) or x.dtype.kind != "f":
        return x**n
    product = _product_of_squares(x, int(size))
    return product if n > 0 else 1.0 / product


def _product_of_squares(x: Array, n: int) -> Array:
    """xⁿ from x², x⁴, x⁸, the largest first, so that xⁿ⁻¹ has most of its products in common with it."""
    squares = [x]
    while 2 ** len(squares) <= n:
        squares.append(squares[-1] ** 2)
    return reduce(operator.mul, [square for k, square in enumerate(squares) if n >> k & 1][::-1])


def _power(x: Array, n: float) -> Array:
    """xⁿ among the real numbers; Python would go on to the complex ones."""
    if n == 1:
        return x
    if getattr(x, "ndim", 0):
        return power_by(x, n=n)
    y = x**n
    return math.nan if type(y) is complex else y


def _sinc(x: Array, order: int) -> Array:
    """The derivative of that order of sin(πx)/(πx).

    Away from 0 it follows from (u·s)' = cos u by s⁽ⁿ⁾ = (sin⁽ⁿ⁾u − n·s⁽ⁿ⁻¹⁾)/u, which loses all its
    digits near 0, where the power series takes over.
    """
    x = plain_array(x)
    u = math.pi * x
    near = np.abs(u) <= 1 + order
    far = np.where(near, 1.0, u)
    closed = np.sin(far) / far
    for n in range(1, order + 1):
        closed = (np.sin(far + n * math.pi / 2) - n * closed) / far
    small = np.where(near, u, 0.0)
    series = np.zeros_like(small)
    for k in range((order + 1) // 2, 20 + 2 * order):
        m = 2 * k - order
        factor = (-1) ** k / ((2 * k + 1) * math.factorial(m))
        series = series + factor * small**m
    result = np.where(near, series, closed) * math.pi**order
    return result.astype(u.dtype)


# fmt: off
# ── two arguments ─────────────────────────────────────────────────────────────────────────────────
#                                                   along x                                  along y
add:          Primitive = elementwise(np.add,          same,
                                                       same,                                                                            cost=PLUS)
subtract:     Primitive = elementwise(np.subtract,     same,
                                                       lambda t, z, x, y: -t,                                                           cost=PLUS)
multiply:     Primitive = elementwise(np.multiply,     lambda t, z, x, y: t * y,
                                                       lambda t, z, x, y: t * x,                                                        cost=TIMES)
divide:       Primitive = elementwise(np.divide,       lambda t, z, x, y: t / y,
                                                       lambda t, z, x, y: -(t / y) * z,                                                 cost=TIMES)
power:        Primitive = elementwise(np.power,        lambda t, z, x, y: t * y * x ** np.where((x == 0) & (y == 0), single(1.0, z), y - 1),
                                                       lambda t, z, x, y: t * z * np.log(_nonzero(single(x, z))),                                 python=None)
remainder:    Primitive = elementwise(np.remainder,    same,
                                                       lambda t, z, x, y: -t * np.floor_divide(x, y),                                   cost=each(2, 2, 0))
fmod:         Primitive = elementwise(np.fmod,         same,
                                                       lambda t, z, x, y: -t * np.rint((x - z) / y),                                    cost=each(2, 2, 0))
maximum:      Primitive = elementwise(np.maximum,      lambda t, z, x, y: t * _half(x == y, x > y, z),
                                                       lambda t, z, x, y: t * _half(x == y, y > x, z),                                  cost=PLUS)
minimum:      Primitive = elementwise(np.minimum,      lambda t, z, x, y: t * _half(x == y, x < y, z),
                                                       lambda t, z, x, y: t * _half(x == y, y < x, z),                                  cost=PLUS)
fmax:         Primitive = elementwise(np.fmax,         lambda t, z, x, y: t * _half(x == y, (x > y) | np.isnan(y), z),
                                                       lambda t, z, x, y: t * _half(x == y, (y > x) | np.isnan(x), z),                  cost=PLUS)
fmin:         Primitive = elementwise(np.fmin,         lambda t, z, x, y: t * _half(x == y, (x < y) | np.isnan(y), z),
                                                       lambda t, z, x, y: t * _half(x == y, (y < x) | np.isnan(x), z),                  cost=PLUS)
arctan2:      Primitive = elementwise(np.arctan2,      lambda t, z, x, y: t * (y / np.hypot(x, y)) / np.hypot(x, y),
                                                       lambda t, z, x, y: -t * (x / np.hypot(x, y)) / np.hypot(x, y))
hypot:        Primitive = elementwise(np.hypot,        lambda t, z, x, y: t * _over(x, z),
                                                       lambda t, z, x, y: t * _over(y, z))
logaddexp:    Primitive = elementwise(exponential.logaddexp,
                                                       lambda t, z, x, y: t * np.exp(x - z),
                                                       lambda t, z, x, y: t * np.exp(y - z),                        numpy=np.logaddexp, cost=each(0, 3, 2))
logaddexp2:   Primitive = elementwise(np.logaddexp2,   lambda t, z, x, y: t * np.exp2(x - z),
                                                       lambda t, z, x, y: t * np.exp2(y - z),                                           cost=each(0, 3, 2))
copysign:     Primitive = elementwise(np.copysign,     lambda t, z, x, y: t * np.sign(single(x, z)) * np.copysign(1.0, single(y, z)),
                                                       None,                                                                            cost=PLUS)
heaviside:    Primitive = elementwise(np.heaviside,    None,
                                                       lambda t, z, x, y: t * (x == 0),                                                 cost=PLUS)
floor_divide: Primitive = elementwise(np.floor_divide, None,
                                                       None,                                                                            cost=each(1, 1, 0))

# ── one argument ──────────────────────────────────────────────────────────────────────────────────
negative:     Primitive = elementwise(np.negative,     lambda t, y, x: -t,              cost=PLUS)
positive:     Primitive = elementwise(np.positive,     same,                            cost=MOVE)
conjugate:    Primitive = elementwise(np.conjugate,    same,                            cost=MOVE)
absolute:     Primitive = elementwise(np.absolute,     lambda t, y, x: t * np.sign(x),  cost=PLUS)
fabs:         Primitive = elementwise(np.fabs,         lambda t, y, x: t * np.sign(x),  cost=PLUS)
square:       Primitive = elementwise(np.square,       lambda t, y, x: t * 2 * x,       cost=TIMES)
reciprocal:   Primitive = elementwise(np.reciprocal,   lambda t, y, x: -t * y * y,      cost=TIMES)
sqrt:         Primitive = elementwise(np.sqrt,         lambda t, y, x: t / (2 * y),     python=math.sqrt)
cbrt:         Primitive = elementwise(np.cbrt,         lambda t, y, x: t / (3 * y * y))
exp:          Primitive = elementwise(np.exp,          lambda t, y, x: t * y,           python=math.exp)
exp2:         Primitive = elementwise(np.exp2,         lambda t, y, x: t * y * LN2)
expm1:        Primitive = elementwise(np.expm1,        lambda t, y, x: t * (y + 1))
log:          Primitive = elementwise(np.log,          lambda t, y, x: t / x,           python=math.log)
log2:         Primitive = elementwise(np.log2,         lambda t, y, x: t / (x * LN2))
log10:        Primitive = elementwise(np.log10,        lambda t, y, x: t / (x * LN10))
log1p:        Primitive = elementwise(np.log1p,        lambda t, y, x: t / (1 + x))
sin:          Primitive = elementwise(np.sin,          lambda t, y, x: t * np.cos(x),   python=math.sin)
cos:          Primitive = elementwise(np.cos,          lambda t, y, x: -t * np.sin(x),  python=math.cos)
tan:          Primitive = elementwise(np.tan,          lambda t, y, x: t * (1 + y * y))
arcsin:       Primitive = elementwise(np.arcsin,       lambda t, y, x: t / np.sqrt((1 - x) * (1 + x)))
arccos:       Primitive = elementwise(np.arccos,       lambda t, y, x: -t / np.sqrt((1 - x) * (1 + x)))
arctan:       Primitive = elementwise(np.arctan,       lambda t, y, x: t / (1 + x * x))
sinh:         Primitive = elementwise(np.sinh,         lambda t, y, x: t * np.cosh(x))
cosh:         Primitive = elementwise(np.cosh,         lambda t, y, x: t * np.sinh(x))
tanh:         Primitive = elementwise(np.tanh,         lambda t, y, x: t * (1 - y * y), python=math.tanh)
arcsinh:      Primitive = elementwise(np.arcsinh,      lambda t, y, x: t / np.hypot(1.0, x))
arccosh:      Primitive = elementwise(np.arccosh,      lambda t, y, x: t / np.sqrt((x - 1) * (x + 1)))
arctanh:      Primitive = elementwise(np.arctanh,      lambda t, y, x: t / ((1 - x) * (1 + x)))
deg2rad:      Primitive = elementwise(np.deg2rad,      lambda t, y, x: t * DEGREE,      cost=TIMES)
radians:      Primitive = elementwise(np.radians,      lambda t, y, x: t * DEGREE,      cost=TIMES)
rad2deg:      Primitive = elementwise(np.rad2deg,      lambda t, y, x: t / DEGREE,      cost=TIMES)
degrees:      Primitive = elementwise(np.degrees,      lambda t, y, x: t / DEGREE,      cost=TIMES)
sign:         Primitive = elementwise(np.sign,         None,                            cost=PLUS)
floor:        Primitive = elementwise(np.floor,        None,                            cost=PLUS)
ceil:         Primitive = elementwise(np.ceil,         None,                            cost=PLUS)
trunc:        Primitive = elementwise(np.trunc,        None,                            cost=PLUS)
rint:         Primitive = elementwise(np.rint,         None,                            cost=PLUS)

# ── with parameters ───────────────────────────────────────────────────────────────────────────────
power_by:     Primitive = elementwise(_power_by,
                                      lambda t, y, x, n: t * (n * _power(x, n - 1)) if n else t * 0.0,
                                      name="power_by", cost=costs.power_by, python=operator.pow)
sinc: Primitive \
             = elementwise(_sinc,
                           lambda t, y, x, order: t * sinc(x, order=order + 1),
                           name="sinc", cost=costs.sinc, fresh=True, opaque=True)
where:        Primitive = elementwise(lambda c, x, y: np.where(c, x, y),
                                      None,
                                      lambda t, z, c, x, y: np.where(c, t, 0.0),
                                      lambda t, z, c, x, y: np.where(c, 0.0, t),
                                      name="where", cost=MOVE)
nan_to_num:   Primitive = elementwise(np.nan_to_num,
                                      lambda t, y, x, **to: np.where(np.isfinite(x), t, 0.0),
                                      cost=MOVE)
round_:       Primitive = elementwise(np.round,
                                      None,
                                      cost=PLUS)
astype:       Primitive = elementwise(lambda x, dtype: plain_array(x, dtype),
                                      same,
                                      name="astype", cost=MOVE)
# fmt: on


# ── the forms in which NumPy takes them ───────────────────────────────────────────────────────────


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float | np.number) and not isinstance(x, Variable)


implements(np.logaddexp)(logaddexp)


@implements(np.power)
def power_(x: Array, y: Array) -> Array:
    return power_by(x, n=y) if _is_number(y) else power(x, y)


@implements(np.float_power)
def float_power(x: Array, y: Array) -> Array:
    y = y if _is_number(y) else astype(y, dtype=np.float64)
    return power_(astype(x, dtype=np.float64), y)


@implements(np.divmod)
def divmod(x: Array, y: Array) -> tuple[Array, Array]:
    return floor_divide(x, y), remainder(x, y)


@implements(np.where)
def where_(condition: Array, *branches: Array) -> Array:
    if not branches:
        return plainly(np.where, condition)
    return where(constant(condition), *branches)


@implements(np.clip)
def clip(
    a: Array, a_min: Array = None, a_max: Array = None, *, min: Array = None, max: Array = None
) -> Array:
    if not (min is None and max is None) and not (a_min is None and a_max is None):
        raise ValueError("clip takes a_min and a_max, or min and max, not some of both")
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


@implements(np.round, np.around)
def round(a: Array, decimals: int = 0) -> Array:
    return round_(a, decimals=decimals)


@implements(np.fix)
def fix(x: Array) -> Array:
    return np.trunc(x)


@implements(np.sinc)
def sinc_(x: Array) -> Array:
    return sinc(x, order=0)


@implements(np.nan_to_num)
def nan_to_num_(x: Array, copy: bool = True, **to: float | None) -> Array:
    if not copy:
        raise TypeError("nan_to_num(copy=False) would change a Tensor in place: leave copy out")
    return nan_to_num(x, **to)


@implements(np.astype)
def astype_(x: Array, dtype: Any, /, *, copy: bool = True) -> Array:
    return x.astype(dtype)


@implements(np.real)
def real(val: Array) -> Array:
    return np.positive(val)
