"""Row 5: a small convolutional network, whose convolutions are products of matrices for NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp import Tensor, compile, conv2d, log_softmax, max_pool2d, relu, value_and_grad

from .race import COMPILED, OURS, Effort, Row, Step, both_rows, compete, ready

RATE = 0.01
WHAT = "one SGD step: conv 32, conv 64, 128, 10 on 28×28, batch 32, float32"
AT_MOST = {"PyTorch": 2.0}
COMPILED_AT_MOST = {"PyTorch": 1.3}


def run(effort: Effort) -> list[Row]:
    steps = ready("5", CONTESTANTS, *problem())
    times = compete(steps, effort, rtol=1e-3)
    return both_rows("5", WHAT, times, AT_MOST, COMPILED_AT_MOST)


def problem() -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Images, labels, and the parameters: weights, each followed by its biases."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 1, 28, 28), dtype=np.float32)
    y = rng.integers(0, 10, 32)
    shapes = [(32, 1, 3, 3), (64, 32, 3, 3), (128, 1600), (10, 128)]
    parameters = []
    for shape in shapes:
        bound = np.prod(shape[1:]) ** -0.5
        parameters += [rng.uniform(-bound, bound, s).astype(np.float32) for s in (shape, shape[:1])]
    return x, y, parameters


def entropy(x: np.ndarray, y: np.ndarray, parameters: Any) -> Any:
    """The network and its loss."""
    W1, b1, W2, b2, W3, b3, W4, b4 = parameters
    h = max_pool2d(relu(conv2d(x, W1, b1)), 2)
    h = max_pool2d(relu(conv2d(h, W2, b2)), 2)
    h = relu(h.reshape(len(x), -1) @ W3.T + b3)
    z = h @ W4.T + b4
    return -np.mean(log_softmax(z, axis=1)[np.arange(len(x)), y])


def ours(x: np.ndarray, y: np.ndarray, start: list[np.ndarray]) -> Step:
    """Tensors, backward(), p.data -= rate * p.grad."""
    parameters = list(map(Tensor, start))

    def step() -> list[Any]:
        for p in parameters:
            p.grad = None
        entropy(x, y, parameters).backward()
        for p in parameters:
            p.data -= np.float32(RATE) * p.grad
        return [p.grad for p in parameters]

    return step


def compiled(x: np.ndarray, y: np.ndarray, start: list[np.ndarray]) -> Step:
    """The whole step, update included, by autobp.compile with donate=0, on NumPy arrays."""

    def update(parameters: list[Any], x: Any, y: Any) -> Any:
        value, gradients = value_and_grad(lambda ps: entropy(x, y, ps))(parameters)
        return [p - RATE * g for p, g in zip(parameters, gradients)], gradients, value

    program = compile(update, donate=0)
    parameters = [p.copy() for p in start]

    def step() -> list[np.ndarray]:
        nonlocal parameters
        parameters, gradients, _ = program(parameters, x, y)
        return gradients

    return step


def torch(x: np.ndarray, y: np.ndarray, start: list[np.ndarray]) -> Step:
    """Eager, on the CPU: torch.nn.functional, backward(), p -= rate * p.grad under no_grad."""
    import torch
    import torch.nn.functional as F

    inputs, labels = torch.tensor(x), torch.tensor(y)
    parameters = [torch.tensor(p, requires_grad=True) for p in start]

    def step() -> list[Any]:
        for p in parameters:
            p.grad = None
        W1, b1, W2, b2, W3, b3, W4, b4 = parameters
        h = F.max_pool2d(F.relu(F.conv2d(inputs, W1, b1)), 2)
        h = F.max_pool2d(F.relu(F.conv2d(h, W2, b2)), 2)
        h = F.relu(F.linear(h.flatten(1), W3, b3))
        F.cross_entropy(F.linear(h, W4, b4), labels).backward()
        with torch.no_grad():
            for p in parameters:
                p -= RATE * p.grad
        return [p.grad for p in parameters]

    return step


CONTESTANTS = {OURS: ours, COMPILED: compiled, "PyTorch": torch}
