"""Row 3: a network large enough that the arithmetic is what costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autobp import compile, grad, log_softmax, relu, value_and_grad

from .race import COMPILED, OURS, Effort, Row, Step, both_rows, compete, ready, rows_against

BATCH = 2000
WHAT = f"grad: 784-256-10, relu, softmax cross-entropy, batch {BATCH:,}, float32"


RATE = 0.1
STEP = WHAT.replace("grad:", "one SGD step:")
BARE = "bare products"


def run(effort: Effort) -> list[Row]:
    steps = ready("3", CONTESTANTS, *problem())
    rows = rows_against("3", WHAT, compete(steps, effort, rtol=1e-4), {"NumPy by hand": 1.2})
    steps = ready("3, step:", STEPS, *problem())
    times = compete(steps, effort, rtol=1e-3, unchecked=[BARE])
    return rows + both_rows("3", STEP, times, {}, {BARE: 1.1, "PyTorch": 1.0})


Truth = tuple[np.ndarray, np.ndarray]  # each row, and its class: an index into the scores


def problem() -> tuple[np.ndarray, Truth, list[np.ndarray]]:
    """Images, their classes, and the parameters W1, b1, W2, b2."""
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, 784), np.float32)
    truth = np.arange(BATCH), rng.integers(0, 10, BATCH)
    shapes = [(784, 256), (256,), (256, 10), (10,)]
    return x, truth, [0.05 * rng.standard_normal(shape, np.float32) for shape in shapes]


def cross_entropy(
    relu: Callable[[Any], Any], log_softmax: Callable[[Any], Any], x: Any, truth: Any, params: Any
) -> Any:
    """The program that all but NumPy run."""
    W1, b1, W2, b2 = params
    scores = log_softmax(relu(x @ W1 + b1) @ W2 + b2)
    return -scores[truth].mean()


def ours(x: np.ndarray, truth: Truth, params: list[np.ndarray]) -> Step:
    """autobp.grad with respect to the list W1, b1, W2, b2."""
    gradient = grad(lambda params: cross_entropy(relu, log_softmax, x, truth, params))
    return lambda: gradient(params)


def by_hand(x: np.ndarray, truth: Truth, params: list[np.ndarray]) -> Step:
    """Forward and backward written out in NumPy, (softmax - onehot) / m fused, loss included."""
    W1, b1, W2, b2 = params

    def step() -> list[np.ndarray]:
        hidden = np.maximum(x @ W1 + b1, 0)
        scores = hidden @ W2 + b2
        scores -= scores.max(axis=1, keepdims=True)
        softmax = np.exp(scores)
        softmax /= softmax.sum(axis=1, keepdims=True)
        -np.log(softmax[truth]).mean()
        g = softmax  # no longer needed itself
        g[truth] -= 1
        g /= BATCH
        g_hidden = g @ W2.T
        g_hidden *= hidden > 0
        return [x.T @ g_hidden, g_hidden.sum(axis=0), hidden.T @ g, g.sum(axis=0)]

    return step


def torch(x: np.ndarray, truth: Truth, params: list[np.ndarray]) -> Step:
    """Eager, on the CPU: torch.autograd.grad with respect to tensors with requires_grad."""
    import torch

    inputs, wanted = torch.tensor(x), tuple(map(torch.tensor, truth))
    parameters = [torch.tensor(p, requires_grad=True) for p in params]
    log_softmax = lambda scores: torch.log_softmax(scores, 1)

    def step() -> Any:
        loss = cross_entropy(torch.relu, log_softmax, inputs, wanted, parameters)
        return torch.autograd.grad(loss, parameters)

    return step


def jax(x: np.ndarray, truth: Truth, params: list[np.ndarray]) -> Step:
    """jax.grad compiled beforehand by jax.jit, on the CPU."""
    import jax

    arguments = jax.device_put((params, x, truth))

    @jax.jit
    def gradient(params: Any, x: Any, truth: Any) -> Any:
        loss = lambda params: cross_entropy(jax.nn.relu, jax.nn.log_softmax, x, truth, params)
        return jax.grad(loss)(params)

    return lambda: jax.block_until_ready(gradient(*arguments))


# ── one step, update included ─────────────────────────────────────────────────────────────────────


def descend(params: list[Any], x: Any, truth: Any) -> tuple[list[Any], list[Any], Any]:
    loss = lambda params: cross_entropy(relu, log_softmax, x, truth, params)
    value, gradients = value_and_grad(loss)(params)
    return [p - RATE * g for p, g in zip(params, gradients)], gradients, value


def our_step(x: np.ndarray, truth: Truth, start: list[np.ndarray]) -> Step:
    """autobp.value_and_grad, and new parameters from the old."""
    return _stepping(descend, x, truth, start)


def compiled_step(x: np.ndarray, truth: Truth, start: list[np.ndarray]) -> Step:
    """The same function by autobp.compile with donate=0, reuse=True: parameters change in place."""
    return _stepping(compile(descend, donate=0, reuse=True), x, truth, start)


def _stepping(step: Callable[..., Any], x: Any, truth: Truth, start: list[np.ndarray]) -> Step:
    params = [p.copy() for p in start]

    def run() -> Any:
        nonlocal params
        params, gradients, _ = step(params, x, truth)
        return gradients

    return run


def bare_products(x: np.ndarray, truth: Truth, params: list[np.ndarray]) -> Step:
    """The five products of matrices that a step cannot do without, with out=, and nothing else."""
    W1, _, W2, _ = params
    hidden, g_hidden = np.ones((2, BATCH, 256), np.float32)
    scores, g = np.ones((2, BATCH, 10), np.float32)
    g1, g2 = np.empty_like(W1), np.empty_like(W2)

    def step() -> list[np.ndarray]:
        np.matmul(x, W1, out=hidden)
        np.matmul(hidden, W2, out=scores)
        np.matmul(hidden.T, g, out=g2)
        np.matmul(g, W2.T, out=g_hidden)
        np.matmul(x.T, g_hidden, out=g1)
        return [g1, g2]

    return step


def torch_step(x: np.ndarray, truth: Truth, params: list[np.ndarray]) -> Step:
    """Eager, on the CPU: torch.autograd.grad, and p -= rate * g under no_grad."""
    import torch

    inputs, wanted = torch.tensor(x), torch.tensor(truth[1])
    parameters = [torch.tensor(p, requires_grad=True) for p in params]

    def step() -> Any:
        W1, b1, W2, b2 = parameters
        scores = torch.relu(inputs @ W1 + b1) @ W2 + b2
        loss = torch.nn.functional.cross_entropy(scores, wanted)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, g in zip(parameters, gradients):
                p -= RATE * g
        return gradients

    return step


STEPS = {OURS: our_step, COMPILED: compiled_step, BARE: bare_products, "PyTorch": torch_step}
CONTESTANTS = {OURS: ours, "NumPy by hand": by_hand, "PyTorch": torch, "JAX, jitted": jax}
