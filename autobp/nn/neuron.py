"""Single neurons whose weights are separate scalars, for networks small enough to draw."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np

from autobp.context import current
from autobp.data.points import Seed
from autobp.nn.activations import Given, as_module
from autobp.nn.layers import located
from autobp.nn.module import Module
from autobp.optim.option import count
from autobp.tensor import Tensor

__all__ = ["Layer", "Neuron"]


class Neuron(Module):
    """activation(w1·x1 + w2·x2 + … + b), for scalars x1, x2, … Weights are drawn from −1 to 1; the
    bias is 0.

    >>> from autobp import Tensor, graph, nn
    >>> neuron = nn.Neuron(2, "tanh", rng=0)
    >>> print(graph(neuron([Tensor(1.0, name="x1"), 0.5])))
    w1 = input                 0.2739233746429086
    w2 = input                 -0.4604265724722594
    b  = input                 0.0
    x1 = input                 1.0
    t4 = multiply(w1, x1)      0.2739233746429086
    t5 = multiply(w2, 0.5)     -0.2302132862361297
    t6 = add(t4, t5)           0.043710088406778924
    t7 = add(t6, b)            0.043710088406778924
    t8 = tanh(t7)              0.043682272576398146
    """

    def __init__(self, n_in: int, activation: Given = "relu", *, rng: Seed = None) -> None:
        rng = np.random.default_rng(rng)
        self.w: list[Tensor] = [
            Tensor(w) for w in rng.uniform(-1, 1, count("Neuron: n_in", n_in, 1))
        ]
        self.b: Tensor = Tensor(0.0)
        self.activation: Module = as_module(activation)

    def forward(self, x: Sequence[Any]) -> Any:
        if len(x) != len(self.w):
            raise ValueError(f"{located(self)} takes {len(self.w)} numbers, not {len(x)}")
        products = map(operator.mul, self.w, x.tolist() if isinstance(x, np.ndarray) else x)
        return self.activation.forward(reduce(operator.add, products) + self.b)

    def _members(self) -> Iterator[tuple[str, Any]]:
        yield from ((f"w{i}", w) for i, w in enumerate(self.w, 1))
        yield "b", self.b

    def _entitle(self, members: Iterable[tuple[str, Any]]) -> None:
        if self.b.scope != current().scope:  # not at each call, which takes only microseconds
            super()._entitle(members)

    def extra_repr(self) -> str:
        return f"{len(self.w)}, {self.activation}"


class Layer(Module):
    """Neurons side by side. They return a list of numbers, or one number if there is one neuron.

    >>> from autobp import nn
    >>> net = nn.Sequential(nn.Layer(2, 3, rng=0), nn.Layer(3, 1, "identity", rng=1))
    >>> net
    Sequential(
      (0): Layer(2, 3, ReLU())
      (1): Layer(3, 1, Identity())
    )
    >>> net([1.0, 0.5]).scope
    'sequential/layer2/n1'
    """

    def __init__(
        self, n_in: int, n_out: int, activation: Given = "relu", *, rng: Seed = None
    ) -> None:
        rng = np.random.default_rng(rng)
        self.n_in = n_in
        self.neurons: list[Neuron] = [
            Neuron(n_in, activation, rng=rng) for _ in range(count("Layer: n_out", n_out, 1))
        ]

    def forward(self, x: Sequence[Any]) -> Any:
        x = x.tolist() if isinstance(x, np.ndarray) else list(x)
        outputs = [neuron(x) for neuron in self.neurons]
        return outputs if len(outputs) > 1 else outputs[0]

    def _members(self) -> Iterator[tuple[str, Any]]:
        return ((f"n{i}", neuron) for i, neuron in enumerate(self.neurons, 1))

    def __repr__(self) -> str:
        return f"Layer({self.n_in}, {len(self.neurons)}, {self.neurons[0].activation})"
