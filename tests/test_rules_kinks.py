"""The conventions where a function has no derivative: one table, for both modes."""

import numpy as np
import pytest

from autobp import grad, jvp, leaky_relu, linearize, logsumexp, relu, softplus

INF = np.inf
A = np.array

# fmt: off
#   function                                       at                    derivative
CONVENTIONS = {
    "relu at 0":                (relu,                                    0.0,                  0.0),
    "leaky_relu at 0":          (leaky_relu,                              0.0,                  0.01),
    "abs at 0":                 (np.abs,                                  0.0,                  0.0),
    "fabs at 0":                (np.fabs,                                 0.0,                  0.0),
    "sign at 0":                (np.sign,                                 0.0,                  0.0),
    "floor at 1":               (np.floor,                                1.0,                  0.0),
    "round at ½":               (np.round,                                0.5,                  0.0),
    "sqrt at 0":                (np.sqrt,                                 0.0,                  INF),
    "cbrt at 0":                (np.cbrt,                                 0.0,                  INF),
    "log at 0":                 (np.log,                                  0.0,                  INF),
    "x ** ½ at 0":              (lambda x: x ** 0.5,                      0.0,                  INF),
    "x ** 1 at 0":              (lambda x: x ** 1,                        0.0,                  1.0),
    "x ** 0 at 0":              (lambda x: x ** 0,                        0.0,                  0.0),
    "x ** 0. at 0, array":      (lambda x: np.power(x, A([0.0]))[0],      0.0,                  0.0),
    "0 ** x at 2":              (lambda x: 0.0 ** x,                      2.0,                  0.0),
    "maximum(x, x)":            (lambda x: np.maximum(x, x),              1.0,                  1.0),
    "maximum(x, 1) at 1":       (lambda x: np.maximum(x, 1.0),            1.0,                  0.5),
    "minimum(x, 1) at 1":       (lambda x: np.minimum(x, 1.0),            1.0,                  0.5),
    "fmax(x, nan)":             (lambda x: np.fmax(x, np.nan),            1.0,                  1.0),
    "fmin(x, 1) at 1":          (lambda x: np.fmin(1.0, x),               1.0,                  0.5),
    "clip at its lower end":    (lambda x: np.clip(x, 0, 1),              0.0,                  0.5),
    "clip at its upper end":    (lambda x: np.clip(x, 0, 1),              1.0,                  0.5),
    "clip outside":             (lambda x: np.clip(x, 0, 1),              2.0,                  0.0),
    "sinc at 0":                (np.sinc,                                 0.0,                  0.0),
    "hypot at 0":               (lambda x: np.hypot(x, 0.0),              0.0,                  0.0),
    "copysign at 0":            (lambda x: np.copysign(x, 1.0),           0.0,                  0.0),
    "mod at a multiple":        (lambda x: np.mod(x, 2.0),                4.0,                  1.0),
    "nan_to_num of nan":        (np.nan_to_num,                           np.nan,               0.0),
    "max of ties":              (np.max,                                  A([1.0, 3, 3]),       A([0, .5, .5])),
    "min of ties":              (np.min,                                  A([2.0, 2, 2, 2]),    A([.25] * 4)),
    "max along an axis":        (lambda x: np.sum(np.max(x, axis=1)),     A([[1.0, 1], [2, 1]]), A([[.5, .5], [1, 0]])),
    "ptp of a constant":        (np.ptp,                                  A([1.0, 1]),          A([0.0, 0])),
    "norm at 0":                (np.linalg.norm,                          A([0.0, 0]),          A([0.0, 0])),
    "norms along an axis":      (lambda x: np.sum(np.linalg.norm(x, axis=1)), A([[0.0, 0], [3, 4]]), A([[0, 0], [.6, .8]])),
    "norm of order 3 at 0":     (lambda x: np.linalg.norm(x, 3),          A([0.0, 0]),          A([0.0, 0])),
    "norm of order ½ at a 0":   (lambda x: np.linalg.norm(x, 0.5),        A([0.0, 4]),          A([0.0, 1])),
    "second order of norm":     (lambda x: np.sum(grad(np.linalg.norm)(x)), A([0.0, 0]),        A([0.0, 0])),
    "x ** 1.5 below 0":         (lambda x: x ** 1.5,                      -1.0,                 np.nan),
    "repeats in a tuple":       (lambda x: np.sum(x[(0, 0, 1), :]),       A([[1.0], [1]]),      A([[2.0], [1]])),
    "median with a nan":        (lambda x: np.median(x) * 0 + x[0],       A([1.0, 2, 3]),       A([1.0, 0, 0])),
    "arctan2 far out":          (lambda x: np.arctan2(x, 1e200),          1e200,                5e-201),
    "prod that overflows":      (np.prod,                                 A([1e200, 1e200, 1e-300]), A([1e-100, 1e-100, np.inf])),
    "std of a constant":        (np.std,                                  A([5.0, 5, 5]),       A([0.0, 0, 0])),
    "prod with one zero":       (np.prod,                                 A([0.0, 2, 3]),       A([6.0, 0, 0])),
    "prod with two zeros":      (np.prod,                                 A([0.0, 0, 3]),       A([0.0, 0, 0])),
    "cumprod with a zero":      (lambda x: np.sum(np.cumprod(x)),         A([2.0, 0, 3]),       A([1.0, 8, 0])),
    "sort of ties":             (lambda x: np.sort(x)[0],                 A([1.0, 1]),          A([1.0, 0])),
    "where leaves the other":   (lambda x: np.sum(np.where(x > 0, x, 0)), A([-1.0, 1]),         A([0.0, 1])),
    "double where":             (lambda x: np.sum(np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0)), A([0.0, 2]), A([0.0, .5])),
    "overwritten twice":        (lambda x: np.sum(np.zeros(2) * x[0]) + np.sum(x.at[[0, 0]].set(x[1:])), A([1.0, 2, 3]), A([0.0, 1, 2])),
    "softplus far out":         (softplus,                                -1e4,                 0.0),
    "logsumexp of −inf":        (logsumexp,                               A([-INF, 0.0]),       A([0.0, 1])),
}
# fmt: on


@pytest.mark.parametrize("case", CONVENTIONS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_convention(case):
    function, x, expected = CONVENTIONS[case]
    found = grad(function)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    if np.all(np.isfinite(expected)):
        v = np.arange(1.0, 1 + np.size(x)).reshape(np.shape(x))[()]
        slope = np.sum(expected * v)
        np.testing.assert_allclose(jvp(function, (x,), (v,))[1], slope, rtol=1e-14)
        np.testing.assert_allclose(linearize(function, x)[1](v), slope, rtol=1e-14)


def test_the_trap_of_where():
    """A branch that is not taken still spoils the gradient if its own is infinite: 0 · ∞. The cure
    is to keep its argument away from there, as in 'double where' above."""
    with np.errstate(all="ignore"):
        assert np.isnan(grad(lambda x: np.where(x > 0, x / x, 0.0))(0.0))
