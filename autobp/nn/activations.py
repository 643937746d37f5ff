"""Activations: functions, and modules that apply them.

A module states its function, its options and their defaults in one declaration. Calling the module
calls the function with these options.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeVar, dataclass_transform

import numpy as np

from autobp.habits import checks_keywords
from autobp.nn.module import Module
from autobp.primitive import Array, V
from autobp.rules.neural import (
    elu,
    floating,
    gelu,
    glu,
    leaky_relu,
    log_softmax,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
)
from autobp.tensor import Tensor

__all__ = [
    "Activation",
    "Given",
    "Identity",
    "ELU",
    "GELU",
    "GLU",
    "LeakyReLU",
    "LogSoftmax",
    "ReLU",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Tanh",
    "as_module",
    "elu",
    "gelu",
    "glu",
    "identity",
    "leaky_relu",
    "log_softmax",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "step",
    "tanh",
]

K = TypeVar("K", bound=type[Module])

_NAMED: dict[str, type[Module]] = {}


@dataclass_transform(eq_default=False)
def _applies(function: Callable[..., Array]) -> Callable[[K], K]:
    """Make a class a module that applies `function`. Annotated attributes are its options."""

    def declare(kind: K) -> K:
        dataclass(eq=False, repr=False)(kind)
        names = [option.name for option in fields(kind)]  # type: ignore[arg-type]

        def forward(self: Module, x: Array) -> Array:
            return function(x, *[getattr(self, name) for name in names])

        def extra_repr(self: Module) -> str:
            return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)

        kind.forward, kind.extra_repr = forward, extra_repr  # type: ignore[method-assign]
        _NAMED[function.__name__] = kind
        return kind

    return declare


# ── functions that NumPy has not, or names otherwise ──────────────────────────────────────────────


def identity(x: V | Array) -> V:
    """Return x unchanged.

    >>> from autobp import nn
    >>> nn.identity(2.0)
    2.0
    """
    return x


def step(x: V | Array, threshold: float = 0.0) -> V:
    """The perceptron's activation: 1 above the threshold, 0 elsewhere. Its derivative is 0.

    >>> from autobp import nn
    >>> nn.step([-1.0, 0.5, 2.0], threshold=0.5)
    array([0., 0., 1.])
    """
    return np.heaviside(floating(x) - threshold, 0.0)


@checks_keywords
def tanh(x: V | Array) -> V:
    """`np.tanh`, which also takes lists and integers here.

    >>> from autobp import nn
    >>> nn.tanh([0, 100])
    array([0., 1.])
    """
    return np.tanh(floating(x))


# ── modules ───────────────────────────────────────────────────────────────────────────────────────


class _Applied(Module):
    if TYPE_CHECKING:

        def forward(self, x: Array) -> Tensor: ...


@_applies(identity)
class Identity(_Applied):
    """Returns its input unchanged; it takes the place of an activation where none is wanted.

    >>> from autobp import nn
    >>> nn.Identity()(2.0)
    2.0
    """


@_applies(step)
class Step(_Applied):
    """The perceptron's activation: 1 above the threshold, 0 elsewhere.

    >>> from autobp import nn
    >>> nn.Step(threshold=0.5)([-1.0, 0.5, 2.0])
    array([0., 0., 1.])
    """

    threshold: float = 0.0


@_applies(sigmoid)
class Sigmoid(_Applied):
    """1 / (1 + e⁻ˣ): a probability from a score.

    >>> from autobp import nn
    >>> nn.Sigmoid()([-1e4, 0.0, 1e4])
    array([0. , 0.5, 1. ])
    """


@_applies(tanh)
class Tanh(_Applied):
    """The hyperbolic tangent, between −1 and 1.

    >>> from autobp import nn
    >>> nn.Tanh()([0, 100])
    array([0., 1.])
    """


@_applies(relu)
class ReLU(_Applied):
    """max(x, 0), with derivative 0 at 0.

    >>> from autobp import nn
    >>> nn.ReLU()([-1.0, 2.0])
    array([0., 2.])
    """


@_applies(leaky_relu)
class LeakyReLU(_Applied):
    """x where positive, negative_slope · x elsewhere.

    >>> from autobp import nn
    >>> nn.LeakyReLU(negative_slope=0.1)([-1.0, 2.0])
    array([-0.1,  2. ])
    """

    negative_slope: float = 0.01


@_applies(gelu)
class GELU(_Applied):
    """x · Φ(x), where Φ is the cumulative distribution function of the normal distribution.

    `approximate="tanh"` uses the older approximation by tanh.

    >>> from autobp import nn
    >>> nn.GELU()([-1.0, 0.0, 1.0]).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """

    approximate: str = "none"

    def __post_init__(self) -> None:
        gelu(0.0, self.approximate)  # which knows what there is


@_applies(elu)
class ELU(_Applied):
    """x where positive, alpha · (eˣ − 1) elsewhere.

    >>> from autobp import nn
    >>> nn.ELU()([-100.0, 0.0, 2.0])
    array([-1.,  0.,  2.])
    """

    alpha: float = 1.0


@_applies(selu)
class SELU(_Applied):
    """The ELU that keeps mean and variance from layer to layer.

    >>> from autobp import nn
    >>> nn.SELU()([-100.0, 0.0, 1.0]).round(4)
    array([-1.7581,  0.    ,  1.0507])
    """


@_applies(silu)
class SiLU(_Applied):
    """x · sigmoid(x): a smooth ReLU, also called swish.

    >>> from autobp import nn
    >>> nn.SiLU()([0.0, 1.0]).round(4)
    array([0.    , 0.7311])
    """


@_applies(glu)
class GLU(_Applied):
    """The first half of the input times the sigmoid of the second, along `axis`.

    >>> from autobp import nn
    >>> nn.GLU()([1.0, 2.0, 0.0, 100.0])
    array([0.5, 2. ])
    """

    axis: int = -1


@_applies(softplus)
class Softplus(_Applied):
    """log(1 + eˣ): a smooth ReLU.

    >>> from autobp import nn
    >>> nn.Softplus()([-1e4, 0.0, 2.0]).round(4)
    array([0.    , 0.6931, 2.1269])
    """


@_applies(softmax)
class Softmax(_Applied):
    """Probabilities from scores: eˣ divided by its sum along `axis`.

    >>> from autobp import nn
    >>> nn.Softmax()([1e4, 1e4])
    array([0.5, 0.5])
    """

    axis: int = -1


@_applies(log_softmax)
class LogSoftmax(_Applied):
    """The logarithm of `Softmax`, exact where the softmax itself underflows to 0.

    >>> from autobp import nn
    >>> nn.LogSoftmax()([0.0, 1e4])
    array([-10000.,      0.])
    """

    axis: int = -1


class Activation(Module):
    """Any function as a module. `Sequential` wraps functions in it.

    >>> import numpy as np
    >>> from autobp import nn
    >>> nn.Sequential(nn.Linear(2, 3), np.sin)
    Sequential(
      (0): Linear(2, 3)
      (1): Activation(sin)
    )
    """

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self.function = function

    def forward(self, x: Array) -> Tensor:
        return self.function(x)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))

    def _kind(self) -> str:
        name = self.extra_repr()
        return name if name.isidentifier() else "activation"


#: A name ("relu"), a module, a class of modules that needs no arguments, or a function of arrays.
Given = str | Module | type[Module] | Callable[[Array], Array]


def as_module(given: Given) -> Module:
    """The module for an activation or a layer in any of the forms of `Given`."""
    if isinstance(given, str):
        if given not in _NAMED:
            raise ValueError(f"no activation is called {given!r}; there are {', '.join(_NAMED)}")
        return _NAMED[given]()
    if isinstance(given, Module):
        return given
    if isinstance(given, type) and issubclass(given, Module):
        return given()
    if not callable(given):
        hint = "; write Sequential(*layers)" if isinstance(given, list | tuple) else ""
        raise TypeError(f"{given!r:.60} is neither a module nor a function{hint}")
    return Activation(given)
