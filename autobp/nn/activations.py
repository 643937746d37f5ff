"""Activations: functions, and the modules that apply them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autobp.nn.module import Module
from autobp.primitive import Array
from autobp.rules.neural import (
    floating,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    softplus,
)

__all__ = [
    "Activation",
    "Given",
    "Identity",
    "GELU",
    "LeakyReLU",
    "LogSoftmax",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Tanh",
    "as_module",
    "gelu",
    "identity",
    "leaky_relu",
    "log_softmax",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "step",
    "tanh",
]


def identity(x: Array) -> Array:
    """x itself: no activation."""
    return x


def step(x: Array, threshold: float = 0.0) -> Array:
    """The perceptron's: 1 above the threshold, 0 elsewhere. Its derivative is 0.

    >>> from autobp import nn
    >>> nn.step([-1.0, 0.5, 2.0], threshold=0.5)
    array([0., 0., 1.])
    """
    return np.heaviside(floating(x) - threshold, 0.0)


def tanh(x: Array) -> Array:
    """`np.tanh`."""
    return np.tanh(floating(x))


class Activation(Module):
    """Any function as a module. Those of this page have modules of their own.

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

    def forward(self, x: Array) -> Array:
        return self.function(x)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))

    def _kind(self) -> str:
        name = self.extra_repr()
        return name if name.isidentifier() else "activation"


class Identity(Module):
    """`identity` as a module: what passes is unchanged."""

    def forward(self, x: Array) -> Array:
        return x


class Step(Module):
    """`step` as a module: the perceptron."""

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = threshold

    def forward(self, x: Array) -> Array:
        return step(x, self.threshold)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}"


class Sigmoid(Module):
    """`sigmoid` as a module."""

    def forward(self, x: Array) -> Array:
        return sigmoid(x)


class Tanh(Module):
    """`tanh` as a module."""

    def forward(self, x: Array) -> Array:
        return tanh(x)


class ReLU(Module):
    """`relu` as a module."""

    def forward(self, x: Array) -> Array:
        return relu(x)


class LeakyReLU(Module):
    """`leaky_relu` as a module."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Array) -> Array:
        return leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class GELU(Module):
    """`gelu` as a module."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Array) -> Array:
        return gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"


class Softplus(Module):
    """`softplus` as a module."""

    def forward(self, x: Array) -> Array:
        return softplus(x)


class Softmax(Module):
    """`softmax` as a module."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return softmax(x, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class LogSoftmax(Module):
    """`log_softmax` as a module."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return log_softmax(x, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


_NAMED: dict[str, type[Module]] = {
    "identity": Identity,
    "step": Step,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "gelu": GELU,
    "softplus": Softplus,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
}

#: A name ("relu"), a module, a class of modules that needs no arguments, or a function of arrays.
Given = str | Module | type[Module] | Callable[[Array], Array]


def as_module(given: Given) -> Module:
    """An activation, or a layer, in whatever way it was given."""
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
        raise TypeError(f"{given!r:.60} is no module and no function{hint}")
    return Activation(given)
