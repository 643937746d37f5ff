"""Common layers, and containers for layers."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from autobp.batching import drawn
from autobp.context import current
from autobp.data.points import Seed
from autobp.nn.activations import Given, as_module
from autobp.nn.initializers import INITIALIZERS, Initializer, fan_in, uniform
from autobp.nn.module import Module
from autobp.optim.option import count
from autobp.primitive import Array
from autobp.rules.neural import floating, linear
from autobp.tensor import Tensor

__all__ = ["MLP", "Dropout", "Flatten", "Linear", "Sequential", "located", "weight_and_bias"]


class Linear(Module):
    """x Wᵀ + b, with a weight of shape (out, in) as in PyTorch.

    Weight and bias are drawn uniformly within ±1/√in_features. If `init` is given, it draws the
    weight, and the bias is 0. To make a model reproducible, pass the same Generator as `rng` to all
    its layers.

    >>> import numpy as np
    >>> from autobp import nn
    >>> layer = nn.Linear(2, 3, rng=0)
    >>> layer(np.ones((5, 2))).shape
    (5, 3)
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: Initializer | None = None,
        rng: Seed = None,
    ) -> None:
        self.in_features: int = count("Linear: in_features", in_features, 1)
        self.out_features: int = count("Linear: out_features", out_features, 1)
        self.weight, self.bias = weight_and_bias((out_features, in_features), bias, init, rng)

    def forward(self, x: Array) -> Tensor:
        shape = x.shape if hasattr(x, "shape") else np.shape(x)
        if shape[-1:] != (self.in_features,):
            raise ValueError(_misfit(self, self.in_features, shape))
        return linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}" + (
            ", bias=False" if self.bias is None else ""
        )


def weight_and_bias(
    shape: tuple[int, ...], bias: bool, init: Initializer | None, rng: Seed
) -> tuple[Tensor, Tensor | None]:
    """The parameters of a layer whose weight has the shape (out, in, *kernel)."""
    if init is not None and (not callable(init) or init in INITIALIZERS):
        raise TypeError(f"init must be an initializer such as nn.he(), not {init!r:.50}")
    if not isinstance(bias, bool | int | np.bool_):
        raise TypeError(
            f"bias must be True or False, not {bias!r:.50}; an activation is a layer of its own:"
            " nn.Sequential(nn.Linear(2, 4), 'relu')"
        )
    rng = np.random.default_rng(rng)
    bound = 1 / math.sqrt(fan_in(shape))
    weight = Tensor((init or uniform(-bound, bound))(shape, rng))
    if weight.shape != shape:
        raise ValueError(f"init returned an array of shape {weight.shape}, not {shape}")
    if not bias:
        return weight, None
    drawn = rng.uniform(-bound, bound, shape[0])
    return weight, Tensor(drawn if init is None else np.zeros(shape[0]))


class Flatten(Module):
    """Reshapes each sample to one row: (n, …) becomes (n, product of the rest). Other axes may be made
    one, from `start_dim` to `end_dim`.

    >>> import numpy as np
    >>> from autobp import nn
    >>> nn.Flatten()(np.ones((5, 28, 28))).shape
    (5, 784)
    """

    start_dim: int
    end_dim: int

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = operator.index(start_dim), operator.index(end_dim)

    def forward(self, x: Array) -> Tensor:
        given: Any = x
        shape = np.shape(given)
        n = len(shape)
        first, last = (i + n if i < 0 else i for i in (self.start_dim, self.end_dim))
        if not (0 <= first <= last < n or first == n == last + 1):
            raise ValueError(
                f"{located(self)} makes axes {self.start_dim} to {self.end_dim} one, and its input has"
                f" shape {shape}"
            )
        one = math.prod(shape[first : last + 1])
        found: Any = np.reshape(given, (*shape[:first], one, *shape[last + 1 :]))
        return found

    def extra_repr(self) -> str:
        given = self.start_dim, self.end_dim
        return "" if given == (1, -1) else f"{self.start_dim}, {self.end_dim}"


class Dropout(Module):
    """In training mode, sets each number to 0 with probability `p` and scales the others by 1/(1 − p),
    which keeps the mean. In evaluation mode, returns its input. A model is in training mode until its
    `eval()`; `train.predict` and `train.evaluate` switch it for as long as they run. Inside `vmap`, other
    numbers of each example are set to 0.

    >>> import numpy as np
    >>> from autobp import nn
    >>> layer = nn.Dropout(0.5, rng=0)
    >>> layer(np.ones(8))
    array([2., 2., 2., 0., 0., 0., 0., 0.])
    >>> layer.eval()(np.ones(3))
    array([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, *, rng: Seed = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p must be a probability from 0 to 1, not {p}")
        self.p = p
        self.rng: np.random.Generator = np.random.default_rng(rng)

    def forward(self, x: Array) -> Tensor:
        if not self.training or self.p == 0:
            return x
        x = floating(x)
        mask = drawn(lambda shape: self.rng.random(shape, np.float32), x) >= self.p
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        return x * (mask * x.dtype.type(scale))

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Sequential(Module):
    """Runs layers one after the other. A layer is a module, a function, or the name of an activation.

    >>> import numpy as np
    >>> from autobp import nn
    >>> model = nn.Sequential(nn.Linear(2, 4), "tanh", nn.Linear(4, 1))
    >>> model
    Sequential(
      (0): Linear(2, 4)
      (1): Tanh()
      (2): Linear(4, 1)
    )
    >>> model(np.ones((5, 2))).scope
    'sequential/linear2'

    Parameters have names such as "0.weight", as in PyTorch. Scopes have names such as "linear2".
    """

    def __init__(self, *layers: Given) -> None:
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            raise TypeError(
                "Sequential takes layers one by one and without names; write Sequential(*layers.values())"
            )
        self._layers = tuple(map(as_module, layers))
        kinds = [layer._kind() for layer in self._layers]
        self._titles = [
            f"{kind}{kinds[: i + 1].count(kind)}" if kinds.count(kind) > 1 else kind
            for i, kind in enumerate(kinds)
        ]

    def forward(self, x: Array) -> Tensor:
        for title, layer in zip(self._titles, self._layers):
            x = layer._called(layer.name or title, x)
        return x

    def _members(self) -> Iterator[tuple[str, Any]]:
        yield from ((str(i), layer) for i, layer in enumerate(self._layers))
        yield from super()._members()

    def _entitle(self, members: Iterable[tuple[str, Any]]) -> None:
        super()._entitle(super()._members())  # layers have their titles in self._titles

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers)

    def __getitem__(self, i: int | slice) -> Module:
        return Sequential(*self._layers[i]) if isinstance(i, slice) else self._layers[i]

    def __setitem__(self, i: int, layer: Given) -> None:
        layers = list(self._layers)
        layers[i] = as_module(layer)
        Sequential.__init__(self, *layers)


class MLP(Sequential):
    """A multilayer perceptron: linear layers of the given sizes, with an activation between them and
    optionally one at the `output`.

    >>> import numpy as np
    >>> from autobp import nn
    >>> model = nn.MLP([2, 4, 8, 1], activation="tanh", output="sigmoid", rng=0)
    >>> model
    MLP(
      (0): Linear(2, 4)
      (1): Tanh()
      (2): Linear(4, 8)
      (3): Tanh()
      (4): Linear(8, 1)
      (5): Sigmoid()
    )
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Given = "relu",
        output: Given | None = None,
        *,
        bias: bool = True,
        init: Initializer | None = None,
        rng: Seed = None,
    ) -> None:
        if isinstance(sizes, int) and isinstance(activation, list | tuple):
            sizes, activation = [sizes, *activation], "relu"  # micrograd's MLP(2, [16, 16, 1])
        if not hasattr(sizes, "__len__") or len(sizes) < 2:
            raise ValueError(
                "MLP: sizes must be a list of the sizes of the input and of each layer, two or more, not"
                f" {sizes}"
            )
        rng = np.random.default_rng(rng)
        as_module(activation)  # a misspelt name is found without a hidden layer too
        layers: list[Module] = []
        for n_in, n_out in pairwise(sizes):
            if layers:
                layers.append(as_module(activation))
            layers.append(Linear(n_in, n_out, bias, init=init, rng=rng))
        if output is not None:
            layers.append(as_module(output))
        super().__init__(*layers)


def located(module: Module) -> str:
    """What messages call the running module."""
    return f"{type(module).__name__} {current().scope or module._scope!r}"


def _misfit(module: Module, n: int, shape: tuple[int, ...]) -> str:
    given = "×".join(map(str, shape[1:] or shape)) or "a single number"
    hint = "; flatten first (nn.Flatten)" if len(shape) > 2 and math.prod(shape[1:]) == n else ""
    return f"{located(module)} takes {n} features, not {given}{hint} (its input has shape {shape})"
