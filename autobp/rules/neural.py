"""What networks need and NumPy lacks, each stable at any argument, value and gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autobp.arrays import plain_array, single
from autobp.habits import checks_keywords, foreign_keyword
from autobp.kernels.blocks import in_blocks
from autobp.kernels.extrema import greatest
from autobp.kernels.products import product
from autobp.kernels.sums import total
from autobp.operation import PLUS, each
from autobp.primitive import (
    Array,
    Primitive,
    V,
    Variable,
    bilinear,
    constant,
    elementwise,
    general,
    implements,
)
from autobp.rules import batching, costs, patterns
from autobp.rules.batching import along_axis
from autobp.rules.linalg import rows
from autobp.rules.reduction import spread
from autobp.rules.shape import Axis, axes_of


def _joined(x: Any) -> Any:
    """Lists that hold Tensors as one Tensor, and all else as it is."""
    if type(x) is not list and type(x) is not tuple:
        return x
    parts: list[Any] = [_joined(part) for part in x]
    return np.stack(parts) if any(isinstance(part, Variable) for part in parts) else x


def floating(x: Array) -> Array:
    """The argument of a function as an array or a Tensor of floating-point numbers."""
    if not isinstance(x, Variable):
        x = _joined(x)
    x = x if isinstance(x, Variable) else plain_array(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def _leaky_relu(x: Array, slope: float) -> Array:
    return x * _slopes(x, slope)


def _slopes(x: Array, slope: float) -> Array:
    """1 where x is positive, the slope elsewhere. Of truth values: to choose by a random mask takes ten
    times as long."""
    positive = x > 0
    return positive + np.logical_not(positive) * single(slope, x)


def _elu(x: Array, alpha: float, order: int) -> Array:
    """Its derivative of that order. To x that is not positive, −0 adds nothing, not even to −0."""
    below = np.minimum(x, 0.0)
    if not order:
        return np.maximum(x, -0.0) + alpha * np.expm1(below)
    positive = x > 0
    decay = np.logical_not(positive) * (alpha * np.exp(below))
    return positive + decay if order == 1 else decay


@np.errstate(over="ignore")  # which as a decorator costs half of what it does in a with block
def _sigmoid(x: Array) -> Array:
    """1 / (1 + e⁻ˣ): where e⁻ˣ overflows the quotient is 0, which is right."""
    z = np.exp(-x)
    z += 1.0
    return np.reciprocal(z)


@in_blocks
def _softplus(x: Array) -> Array:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _softmax(x: Array, axis: Axis) -> Array:
    if 0 in np.shape(x):
        return np.copy(x)
    z = np.exp(x - greatest(x, axis, keepdims=True))
    z /= total(z, axis, keepdims=True)
    return z


def _log_softmax(x: Array, axis: Axis) -> Array:
    if 0 in np.shape(x):
        return np.copy(x)
    shifted = x - greatest(x, axis, keepdims=True)
    return shifted - np.log(total(np.exp(shifted), axis, keepdims=True))


def _logsumexp(x: Array, axis: Axis, keepdims: bool) -> Array:
    nothing = np.ndim(x) and 0 in [np.shape(x)[a] for a in axes_of(axis, np.ndim(x))]
    if nothing:
        top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    else:
        top = greatest(x, axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0).astype(top.dtype)  # all −inf, or one +inf
    with np.errstate(divide="ignore"):  # the logarithm of nothing is −inf
        y = np.log(total(np.exp(x - top), axis, keepdims=True)) + top
    return (y if keepdims else np.squeeze(y, axis))[()]


def _linear(x: Array, w: Array) -> Array:
    """One product of matrices, however many axes there are in front."""
    if x.ndim <= 2:
        return product(x, w.T)
    return product(rows(x), w.T).reshape(*x.shape[:-1], w.shape[0])


_FAR = 40.0  # Φ(−40) is 0 in floating point
_ROOT_2 = math.sqrt(2.0)
_ROOT_2_PI = math.sqrt(2.0 * math.pi)

# exp(z²) erfc(z) for z ≥ 0, to 2e-16: a quotient of polynomials in 1 + z, the highest power first.
# The coefficients are all positive, so that no digits cancel. They were fitted by least squares of
# the relative error, with sixty digits.
_ABOVE = (
    0.5641895835477562,
    4.676190381888592,
    26.61054630272427,
    102.56322243732124,
    299.41137883524453,
    663.2411795309255,
    1119.9597568358981,
    1397.434719801137,
    1195.2336387683556,
    559.1552404593392,
    0.009015383635796384,
)
_BELOW = (
    1.0,
    7.288331649945415,
    39.37763361912589,
    139.26677911332973,
    376.63142212526725,
    758.3487722529052,
    1156.215764196572,
    1289.1500714563497,
    1002.987696594101,
    486.93950293725885,
    111.65310437516226,
    0.0,
)


# exp(z²) erfc(z) (1 + 0.4 z) as a polynomial in 1 / (1 + 0.4 z), to 1.2e-7: in single precision it takes
# half as many operations. Its largest error was made as small as can be, and Φ(0) is ½.
_SINGLE = (
    0.04962332,
    -0.1800243,
    0.16366483,
    -6.761189e-05,
    0.13810156,
    0.16973417,
    0.20759781,
    0.22569554,
    0.22567475,
)


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    y = coefficients[0] * x
    for c in coefficients[1:-1]:
        y += c
        y *= x
    y += coefficients[-1]
    return y


@in_blocks
def _normal_cdf(x: Array) -> Array:
    """½ erfc(−x / √2), within a few roundings, and in the tail too."""
    size = np.minimum(np.abs(x), _FAR)
    if getattr(x, "dtype", None) == np.float32:
        t = (0.4 / _ROOT_2) * size
        t += 1.0
        t = 1.0 / t
        tail = _polynomial(_SINGLE, t)
        tail *= t
    else:
        s = size / _ROOT_2
        s += 1.0
        tail = _polynomial(_ABOVE, s)
        tail /= _polynomial(_BELOW, s)
    size *= -0.5 * size
    tail *= np.exp(size)
    side = np.copysign(0.5, x)  # a choice by a random mask would take as long as all else
    tail *= side
    side += 0.5
    side -= tail
    return side


def _sum(x: Array, axis: Axis) -> Array:
    return total(x, axis, keepdims=True)


def _mean(x: Array, axis: tuple[int, ...]) -> Array:
    return _sum(x, axis) / math.prod(x.shape[a] for a in axis)


def _standardized(x: Array, axis: tuple[int, ...], eps: float) -> Array:
    centred = x - _mean(x, axis)
    centred *= _scale(centred, axis, eps)
    return centred


def _scale(centred: Array, axis: tuple[int, ...], eps: float) -> Array:
    return 1.0 / np.sqrt(_mean(centred * centred, axis) + eps)


def _standardized_slope(t: Array, y: Array, x: Array, axis: tuple[int, ...], eps: float) -> Array:
    """The Jacobian is symmetric."""
    across = t - _mean(t, axis) - y * _mean(y * t, axis)
    return across * _scale(x - _mean(x, axis), axis, eps)


# fmt: off
relu_:        Primitive = elementwise(_relu,        lambda t, y, x: t * (x > 0),                             cost=PLUS, python=lambda x: 0.0 if x <= 0 else x)
leaky_relu_:  Primitive = elementwise(_leaky_relu,  lambda t, y, x, slope: t * _slopes(x, slope),             cost=each(1, 1, 0))
elu_:         Primitive = elementwise(_elu,         lambda t, y, x, alpha, order: t * elu_(x, alpha=alpha, order=order + 1), cost=each(1, 3, 1))
sigmoid_:     Primitive = elementwise(_sigmoid,     lambda t, y, x: t * (y * (1 - y)),                       cost=each(1, 2, 1))
softplus_:    Primitive = elementwise(_softplus,    lambda t, y, x: t * sigmoid_(x),                         cost=each(0, 4, 2))
normal_cdf:   Primitive = elementwise(_normal_cdf,  lambda t, y, x: t * (np.exp(-0.5 * x * x) / _ROOT_2_PI), cost=each(len(_ABOVE) + len(_BELOW) + 6, len(_ABOVE) + len(_BELOW) + 2, 1))
linear_:      Primitive = bilinear(_linear,         lambda g, y, x, w: product(g, w),
                                                    lambda g, y, x, w: product(rows(g).T, rows(x)),         cost=costs.matmul, blas=True, batch=batching.linear, pattern=patterns.product_with_rows)
# (so that w's gradient is contiguous: through w.T it comes transposed, and copying that costs as much)
standardized_: Primitive \
              = general(_standardized,
                                  forward=_standardized_slope,
                                  reverse=_standardized_slope,
                                  cost=costs.grouped((2, 3, 0), (3, -1, 1)), batch=along_axis, pattern=patterns.along)
softmax_:     Primitive = general(_softmax,
                                  forward=lambda t, y, x, axis: y * (t - _sum(y * t, axis)),
                                  reverse=lambda g, y, x, axis: y * (g - _sum(y * g, axis)),
                                  cost=costs.grouped((1, 3, 1), (0, -2, 0)), batch=along_axis, pattern=patterns.along)
log_softmax_: Primitive = general(_log_softmax,
                                  forward=lambda t, y, x, axis: t - _sum(np.exp(y) * t, axis),
                                  reverse=lambda g, y, x, axis: g - np.exp(y) * _sum(g, axis),
                                  cost=costs.grouped((0, 4, 1), (0, -2, 1)), batch=along_axis, pattern=patterns.along)
# (by softmax and not as exp(x − y), into which y's rounding goes)
logsumexp_:   Primitive = general(_logsumexp,
                                  forward=lambda t, y, x, axis, keepdims: total(t * softmax_(x, axis=axis), axis, keepdims),
                                  reverse=lambda g, y, x, axis, keepdims: spread(g, x, axis) * softmax_(x, axis=axis),
                                  cost=costs.grouped((0, 3, 1), (0, -1, 1)), batch=along_axis, pattern=patterns.along)
# fmt: on


# ── as users call them ────────────────────────────────────────────────────────────────────────────


def relu(x: V | Array, **foreign: Any) -> V:
    """max(x, 0), with derivative 0 at 0.

    >>> from autobp import relu
    >>> relu([-1.0, 2.0])
    array([0., 2.])
    """
    if foreign:
        raise foreign_keyword("relu", foreign) or TypeError(f"relu has no {', '.join(foreign)}=")
    if isinstance(x, Variable):  # at once: nets of single neurons call this for each of them
        return x.apply(relu_, (x,), {})
    return relu_.function(floating(x))


@checks_keywords
def leaky_relu(x: V | Array, negative_slope: float = 0.01) -> V:
    """x where positive, negative_slope·x elsewhere."""
    x = floating(x)
    if isinstance(negative_slope, Variable):  # it is learned
        return np.where(constant(x) > 0, x, negative_slope * x)
    return leaky_relu_(x, slope=negative_slope)


def sigmoid(x: V | Array) -> V:
    """1 / (1 + e⁻ˣ).

    >>> from autobp import sigmoid
    >>> sigmoid([-1e4, 0.0, 1e4])
    array([0. , 0.5, 1. ])
    """
    return sigmoid_(floating(x))


@checks_keywords
def softplus(x: V | Array) -> V:
    """log(1 + eˣ), a smooth relu."""
    return softplus_(floating(x))


@checks_keywords
def linear(x: Array, w: Array, b: Array = None) -> Array:
    """x wᵀ + b, for weights of shape (out, in).

    >>> from autobp import nn
    >>> nn.linear([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.0, 0.0, 0.5])
    array([1. , 2. , 3.5])
    """
    y = linear_(floating(x), floating(w))
    return y if b is None else y + b


@checks_keywords
def gelu(x: V | Array, approximate: str = "none") -> V:
    """x·Φ(x), where Φ is the distribution function of the normal distribution: a smooth relu.

    With `approximate="tanh"`, the formula that stood in for Φ where that was slow to compute.

    >>> from autobp import nn
    >>> nn.gelu([-1.0, 0.0, 1.0]).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    x = floating(x)
    if approximate == "none":
        return x * normal_cdf(x)
    if approximate == "tanh":
        return x * (0.5 + 0.5 * np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    raise ValueError(f'gelu: approximate is "none" or "tanh", not {approximate!r}')


@checks_keywords
def elu(x: V | Array, alpha: float = 1.0) -> V:
    """x where positive, alpha·(eˣ − 1) elsewhere.

    >>> from autobp import nn
    >>> nn.elu([-100.0, 0.0, 2.0])
    array([-1.,  0.,  2.])
    """
    x = floating(x)
    if isinstance(alpha, Variable):  # it is learned
        positive = constant(x) > 0
        y: Array = np.where(positive, x, alpha * np.expm1(np.where(positive, 0.0, x)))
        return y
    return elu_(x, alpha=alpha, order=0)


@checks_keywords
def selu(x: V | Array) -> V:
    """The `elu` whose constants keep mean and variance from layer to layer.

    >>> from autobp import nn
    >>> nn.selu([-100.0, 0.0, 1.0]).round(4)
    array([-1.7581,  0.    ,  1.0507])
    """
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


@checks_keywords
def silu(x: V | Array) -> V:
    """x·sigmoid(x), a smooth relu, also called swish.

    >>> from autobp import nn
    >>> nn.silu([-100.0, 0.0, 1.0]).round(4)
    array([-0.    ,  0.    ,  0.7311])
    """
    x = floating(x)
    return x * sigmoid(x)


@checks_keywords
def glu(x: V | Array, axis: int = -1) -> V:
    """The first half of x times the sigmoid of the second: a gate.

    >>> from autobp import nn
    >>> nn.glu([1.0, 2.0, 0.0, 100.0])
    array([0.5, 2. ])
    """
    x = floating(x)
    if not x.ndim or x.shape[axis] % 2:
        raise ValueError(f"glu: axis {axis} of shape {x.shape} does not divide into two halves")
    kept, gate = np.split(x, 2, axis=axis)
    return kept * sigmoid(gate)


@checks_keywords
def softmax(x: V | Array, axis: Axis = -1) -> V:
    """eˣ over its sum along the axis: probabilities from scores.

    >>> from autobp import softmax
    >>> softmax([1e4, 1e4])
    array([0.5, 0.5])
    """
    return softmax_(floating(x), axis=axis)


@checks_keywords
def log_softmax(x: V | Array, axis: Axis = -1) -> V:
    """The logarithm of `softmax`, exact where the softmax itself is 0."""
    return log_softmax_(floating(x), axis=axis)


@checks_keywords
@implements(np.logaddexp.reduce)
def logsumexp(x: V | Array, axis: Axis = None, keepdims: bool = False, *, b: Array = None) -> V:
    """log Σ eˣ, a smooth maximum; with weights `b`, as SciPy's, log Σ b·eˣ.

    >>> from autobp import logsumexp
    >>> logsumexp([-1e4, -1e4])
    np.float64(-9999.30685281944)
    """
    x = floating(x)
    if not x.ndim and axis in (0, -1, (0,), (-1,)):  # which a number has for NumPy
        axis = None
    if b is None:
        return logsumexp_(x, axis=axis, keepdims=keepdims)
    top = np.max(constant(x), axis=axis, keepdims=True)
    total = np.log(np.sum(b * np.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else np.squeeze(total, axis)
