"""The functions of `scipy.special`. This module is imported when one of them meets a Tensor.

    >>> from scipy import special
    >>> from autobp import grad
    >>> grad(special.gammaln)(3.0), special.digamma(3.0)
    (0.9227843350984671, np.float64(0.9227843350984671))

The derivative of a Bessel function is made of its neighbours, that of polygamma is the next one: so all
functions here can be differentiated to any order.
"""

from __future__ import annotations

import math
import sys
from types import ModuleType
from typing import Any

import numpy as np

from autobp.errors import no_rule
from autobp.extras import needed
from autobp.kernels.normal import density_over_cdf
from autobp.operation import FUNCTION, each
from autobp.primitive import NUMPY, Array, Primitive, Variable, elementwise, implements
from autobp.rules import PRIMITIVES

special: Any = needed("scipy.special", "a function of scipy.special", "scipy")
scipy: ModuleType = sys.modules["scipy"]

HALF_ROOT_PI = math.sqrt(math.pi) / 2
ROOT_2_PI = math.sqrt(2 * math.pi)


def _logarithm(x: Array, y: Array) -> Array:
    """log(y), and 0 where x is 0 and there is none."""
    none = (x == 0) & (y <= 0)
    return np.where(none, 0.0, np.log(np.where(none, 1.0, y)))


def _quotient(x: Array, y: Array) -> Array:
    """x / y, and 0 for 0 / 0."""
    return x / np.where((x == 0) & (y == 0), 1.0, y)


def _polygamma(x: Array, n: int) -> Array:
    """(−1)ⁿ⁺¹ n! ζ(n + 1, x)."""
    return scipy.special.zeta(n + 1, x) * float((-1) ** (n + 1) * math.factorial(n))


# fmt: off
# ── errors, probabilities, entropies ──────────────────────────────────────────────────────────────
erf:       Primitive = elementwise(special.erf,       lambda t, y, x: t * np.exp(-x * x) / HALF_ROOT_PI)
erfc:      Primitive = elementwise(special.erfc,      lambda t, y, x: -t * np.exp(-x * x) / HALF_ROOT_PI)
erfcx:     Primitive = elementwise(special.erfcx,     lambda t, y, x: 2 * t * (x * y - 1 / (2 * HALF_ROOT_PI)),            cost=each(1, 2, 0))
erfinv:    Primitive = elementwise(special.erfinv,    lambda t, y, x: t * np.exp(y * y) * HALF_ROOT_PI)
ndtr:      Primitive = elementwise(special.ndtr,      lambda t, y, x: t * np.exp(-x * x / 2) / ROOT_2_PI)
ndtri:     Primitive = elementwise(special.ndtri,     lambda t, y, x: t * np.exp(y * y / 2) * ROOT_2_PI)
log_ndtr:  Primitive = elementwise(special.log_ndtr,  lambda t, y, x: t * density_over_cdf(x, y))
expit:     Primitive = elementwise(special.expit,     lambda t, y, x: t * (y * (1 - y)),                                  cost=each(1, 2, 1))
log_expit: Primitive = elementwise(special.log_expit, lambda t, y, x: t * special.expit(-x),                              cost=each(0, 3, 2))
logit:     Primitive = elementwise(special.logit,     lambda t, y, x: t / (x * (1 - x)),                                  cost=each(1, 1, 1))
entr:      Primitive = elementwise(special.entr,      lambda t, y, x: -t * (np.log(x) + 1),                               cost=each(1, 1, 1))
xlogy:     Primitive = elementwise(special.xlogy,     lambda t, z, x, y: t * _logarithm(x, y),
                                                      lambda t, z, x, y: t * _quotient(x, y),                             cost=each(1, 0, 1))
xlog1py:   Primitive = elementwise(special.xlog1py,   lambda t, z, x, y: t * _logarithm(x, 1 + y),
                                                      lambda t, z, x, y: t * _quotient(x, 1 + y),                         cost=each(1, 1, 1))
rel_entr:  Primitive = elementwise(special.rel_entr,  lambda t, z, x, y: t * (np.log(x / y) + 1),
                                                      lambda t, z, x, y: -t * x / y,                                      cost=each(2, 0, 1))

# ── the gamma function ────────────────────────────────────────────────────────────────────────────
gamma:     Primitive = elementwise(special.gamma,     lambda t, y, x: t * y * special.psi(x))
gammaln:   Primitive = elementwise(special.gammaln,   lambda t, y, x: t * special.psi(x))
psi:       Primitive = elementwise(special.psi,       lambda t, y, x: t * polygamma(x, n=1))
betaln:    Primitive = elementwise(special.betaln,    lambda t, z, x, y: t * (special.psi(x) - special.psi(x + y)),
                                                      lambda t, z, x, y: t * (special.psi(y) - special.psi(x + y)))
polygamma: Primitive \
          = elementwise(_polygamma,        lambda t, y, x, n: t * polygamma(x, n=n + 1),                       cost=each(1, 0, 1), fresh=True, opaque=True)

# ── Bessel functions, with their order v as a parameter ───────────────────────────────────────────
i0:        Primitive = elementwise(special.i0,        lambda t, y, x: t * special.i1(x))
i1:        Primitive = elementwise(special.i1,        lambda t, y, x: t * (special.i0(x) + special.iv(2, x)) / 2)
iv:        Primitive = elementwise(lambda x, v: special.iv(v, x),
                                                      lambda t, y, x, v: t * (special.iv(v - 1, x) + special.iv(v + 1, x)) / 2, name="iv", cost=FUNCTION)
i0e:       Primitive = elementwise(special.i0e,       lambda t, y, x: t * (special.i1e(x) - np.sign(x) * y))
i1e:       Primitive = elementwise(special.i1e,       lambda t, y, x: t * ((special.i0e(x) + special.ive(2, x)) / 2 - np.sign(x) * y))
ive:       Primitive = elementwise(lambda x, v: special.ive(v, x),
                                                      lambda t, y, x, v: t * ((special.ive(v - 1, x) + special.ive(v + 1, x)) / 2 - np.sign(x) * y), name="ive", cost=FUNCTION)
j0:        Primitive = elementwise(special.j0,        lambda t, y, x: -t * special.j1(x))
j1:        Primitive = elementwise(special.j1,        lambda t, y, x: t * (special.j0(x) - special.jv(2, x)) / 2)
jv:        Primitive = elementwise(lambda x, v: special.jv(v, x),
                                                      lambda t, y, x, v: t * (special.jv(v - 1, x) - special.jv(v + 1, x)) / 2, name="jv", cost=FUNCTION)
# fmt: on


def _of_an_order(function: Any, primitive: Primitive) -> None:
    """Let a ufunc of an order and a number be differentiated by the number."""

    def ordered(order: Any, x: Array) -> Array:
        if isinstance(order, Variable):
            raise no_rule(function, {"order": order})
        return primitive(x, v=order)

    implements(function)(ordered)


_of_an_order(special.iv, iv)
_of_an_order(special.ive, ive)
_of_an_order(special.jv, jv)

for _name in ("cbrt", "exp2", "expm1", "log1p"):  # which NumPy has too
    NUMPY[getattr(special, _name)] = NUMPY[getattr(np, _name)]

for _value in list(vars().values()):
    if isinstance(_value, Primitive):
        PRIMITIVES[_value.name] = _value
        if isinstance(_value.function, np.ufunc):
            NUMPY[_value.function] = _value
