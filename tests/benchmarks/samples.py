"""Row 10: the gradients of each sample of a batch by all parameters of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autobp import compile, grad, nn, vmap

from .race import COMPILED, OURS, Effort, Row, Step, compete, ready, rows_against

SAMPLES = 256
LOOP = "a loop over grad"


def run(effort: Effort) -> list[Row]:
    rows = []
    for sizes, dtype, loops in (
        ((20, 64, 10), np.float64, True),
        ((784, 128, 10), np.float32, False),
    ):
        what = f"gradients of {SAMPLES} samples, {'-'.join(map(str, sizes))} network"
        contestants = {**CONTESTANTS, **({LOOP: loop} if loops else {})}
        times = compete(ready("10", contestants, *problem(sizes, dtype)), effort, rtol=1e-3)
        compiled = times.pop(COMPILED)
        rows += rows_against("10", what, times, {LOOP: 1 / 40, "PyTorch": 1.5})
        times = {OURS: compiled, **{k: t for k, t in times.items() if k not in (OURS, LOOP)}}
        rows += rows_against("10", f"compiled: {what}", times, {"PyTorch": 1.0})
    return rows


def problem(sizes: tuple[int, ...], dtype: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """Inputs, labels, and a model."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((SAMPLES, sizes[0])).astype(dtype)
    model = nn.MLP(sizes, activation="tanh", rng=0).astype(dtype)
    return x, rng.integers(0, sizes[-1], SAMPLES), model


def loss_of(model: Any) -> Callable[..., Any]:
    """The loss of one sample, as a function of the parameters."""
    return lambda params, x, y: nn.cross_entropy(nn.functional_call(model, params, x), y)


def ours(x: np.ndarray, y: np.ndarray, model: Any) -> Step:
    """vmap(grad(loss), in_axes=(None, 0, 0)) of nn.cross_entropy and nn.functional_call."""
    each, params = vmap(grad(loss_of(model)), in_axes=(None, 0, 0)), model.state_dict()
    return lambda: list(each(params, x, y).values())


def compiled(x: np.ndarray, y: np.ndarray, model: Any) -> Step:
    """The same, compiled."""
    each, params = vmap(grad(loss_of(model)), in_axes=(None, 0, 0)), model.state_dict()
    program = compile(each)
    return lambda: list(program(params, x, y).values())


def loop(x: np.ndarray, y: np.ndarray, model: Any) -> Step:
    """grad(loss) of one sample after the other, stacked."""
    one, params = grad(loss_of(model)), model.state_dict()

    def step() -> list[Any]:
        rows = [one(params, a, b).values() for a, b in zip(x, y, strict=True)]
        return [np.stack(column) for column in zip(*rows, strict=True)]

    return step


def torch(x: np.ndarray, y: np.ndarray, model: Any) -> Step:
    """torch.func.vmap(torch.func.grad(loss)) of cross_entropy and torch.func.functional_call."""
    import torch
    from torch.func import functional_call, grad, vmap

    layers = [torch.nn.Linear(*layer.weight.shape[::-1]) for layer in (model[0], model[2])]
    theirs = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1])
    params = {k: torch.tensor(p) for k, p in model.state_dict().items()}

    def loss(params: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(functional_call(theirs, params, (x,)), y)

    each = vmap(grad(loss), in_dims=(None, 0, 0))
    inputs, labels = torch.tensor(x), torch.tensor(y)
    return lambda: list(each(params, inputs, labels).values())


CONTESTANTS = {OURS: ours, COMPILED: compiled, "PyTorch": torch}
