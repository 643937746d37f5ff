"""Row 2: a network so small that everything but the arithmetic is what costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autobp import Tensor, compile, sigmoid, value_and_grad

from .race import COMPILED, OURS, Effort, Row, Step, both_rows, compete, ready

RATE = 0.1
WHAT = "one SGD step: 2-4-8-1, sigmoid, mean squared error, 100 points, float64"
AT_MOST = {"PyTorch": 1.0, "HIPS autograd": 0.5, "MyGrad": 0.5}
COMPILED_AT_MOST = {"NumPy by hand": 0.6, "JAX, jitted": 1.0}


def run(effort: Effort) -> list[Row]:
    steps = ready("2", CONTESTANTS, *problem())
    times = compete(steps, effort, rtol=1e-9)
    return both_rows("2", WHAT, times, AT_MOST, COMPILED_AT_MOST)


def problem() -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Points, what to learn of them, and the parameters W1, b1, W2, b2, W3, b3."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (100, 2))
    y = (x[:, :1] * x[:, 1:] > 0).astype(float)
    shapes = [(2, 4), (4,), (4, 8), (8,), (8, 1), (1,)]
    return x, y, [rng.standard_normal(shape) for shape in shapes]


def pairs(parameters: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(parameters[::2], parameters[1::2]))


def squared_error(
    sigmoid: Callable[[Any], Any], mean: Callable[[Any], Any], x: Any, y: Any, parameters: Any
) -> Any:
    """The program that all but NumPy run."""
    for W, b in pairs(parameters):
        x = sigmoid(x @ W + b)
    return mean((x - y) ** 2)


def ours(x: np.ndarray, y: np.ndarray, start: list[np.ndarray]) -> Step:
    """Tensors, backward(), p.data -= rate * p.grad."""
    parameters = list(map(Tensor, start))

    def step() -> list[Any]:
        for p in parameters:
            p.grad = None
        squared_error(sigmoid, np.mean, x, y, parameters).backward()
        for p in parameters:
            p.data -= RATE * p.grad
        return [p.grad for p in parameters]

    return step


def compiled(x: np.ndarray, y: np.ndarray, start: list[np.ndarray]) -> Step:
    """The whole step, update included, by autobp.compile with donate=0, reuse=True, on NumPy arrays."""

    def update(parameters: list[Any], x: Any, y: Any) -> Any:
        loss = lambda parameters: squared_error(sigmoid, np.mean, x, y, parameters)
        value, gradients = value_and_grad(loss)(parameters)
        return [p - RATE * g for p, g in zip(parameters, gradients)], gradients, value

    program = compile(update, donate=0, reuse=True)
    parameters = [p.copy() for p in start]

    def step() -> list[np.ndarray]:
        nonlocal parameters
        parameters, gradients, _ = program(parameters, x, y)
        return gradients

    return step


def by_hand(x: np.ndarray, y: np.ndarray, start: list[np.ndarray]) -> Step:
    """The chain rule written out in NumPy, loss included."""
    parameters = [p.copy() for p in start]

    def step() -> list[np.ndarray]:
        activations = [x]
        for W, b in pairs(parameters):
            activations.append(1 / (1 + np.exp(-(activations[-1] @ W + b))))
        error = activations[-1] - y
        np.mean(error**2)
        g = error * (2 / error.size)
        gradients: list[np.ndarray] = []
        for i in reversed(range(3)):
            a = activations[i + 1]
            g = g * (a * (1 - a))
            gradients = [activations[i].T @ g, g.sum(axis=0), *gradients]
            if i:
                g = g @ parameters[2 * i].T
        for p, g in zip(parameters, gradients):
            p -= RATE * g
        return gradients

    return step


def torch(x: np.ndarray, y: np.ndarray, start: list[np.ndarray]) -> Step:
    """Eager, on the CPU: tensors with requires_grad, backward(), p -= rate * p.grad under no_grad."""
    import torch

    inputs, wanted = torch.tensor(x), torch.tensor(y)
    parameters = [torch.tensor(p, requires_grad=True) for p in start]

    def step() -> list[Any]:
        for p in parameters:
            p.grad = None
        squared_error(torch.sigmoid, torch.mean, inputs, wanted, parameters).backward()
        with torch.no_grad():
            for p in parameters:
                p -= RATE * p.grad
        return [p.grad for p in parameters]

    return step


def hips(x: np.ndarray, y: np.ndarray, start: list[np.ndarray]) -> Step:
    """value_and_grad of the list of parameters, sigmoid as autograd.scipy.special.expit."""
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.scipy.special import expit

    parameters = [p.copy() for p in start]
    both = value_and_grad(lambda parameters: squared_error(expit, anp.mean, x, y, parameters))

    def step() -> list[np.ndarray]:
        _, gradients = both(parameters)
        for p, g in zip(parameters, gradients):
            p -= RATE * g
        return gradients

    return step


def mygrad(x: np.ndarray, y: np.ndarray, start: list[np.ndarray]) -> Step:
    """mygrad.Tensors, backward(), p.data -= rate * p.grad; memory guarding on, as it is by default."""
    import mygrad as mg
    from mygrad.nnet.activations import sigmoid

    parameters = [mg.tensor(p) for p in start]

    def step() -> list[Any]:
        squared_error(sigmoid, mg.mean, x, y, parameters).backward()
        for p in parameters:
            p.data -= RATE * p.grad
        return [p.grad for p in parameters]

    return step


def jax(x: np.ndarray, y: np.ndarray, start: list[np.ndarray]) -> Step:
    """The whole step, update included, compiled beforehand by jax.jit, on the CPU, with x64."""
    import jax

    jax.config.update("jax_enable_x64", True)
    data = jax.device_put((x, y))
    parameters = jax.device_put(start)

    @jax.jit
    def update(parameters: Any, x: Any, y: Any) -> Any:
        loss = lambda ps: squared_error(jax.nn.sigmoid, jax.numpy.mean, x, y, ps)
        _, gradients = jax.value_and_grad(loss)(parameters)
        return [p - RATE * g for p, g in zip(parameters, gradients)], gradients

    def step() -> Any:
        nonlocal parameters
        parameters, gradients = jax.block_until_ready(update(parameters, *data))
        return gradients

    return step


CONTESTANTS = {
    OURS: ours,
    COMPILED: compiled,
    "PyTorch": torch,
    "HIPS autograd": hips,
    "MyGrad": mygrad,
    "NumPy by hand": by_hand,
    "JAX, jitted": jax,
}
