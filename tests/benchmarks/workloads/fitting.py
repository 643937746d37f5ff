"""A whole run of training: `fit` on digits, against loops by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from autobp import nn, optim
from autobp.data import digits
from autobp.train import fit

from ..race import COMPILED, OURS, Step

SIZES = (64, 64, 10)
BATCH = 32


def builders(epochs: int = 3, samples: int = 1437) -> dict[str, Any]:
    """`fit` on digits, 64-64-10, Adam, batch 32, 3 epochs"""
    images, labels, *_ = digits(scale=True)
    x, y = images[:samples].reshape(samples, -1), labels[:samples]
    problem = x, y, epochs
    return {
        OURS: lambda: ours(*problem, compile=False),
        COMPILED: lambda: ours(*problem, compile=None),
        "PyTorch": lambda: torch(*problem),
    }


def start() -> list[np.ndarray]:
    model = nn.MLP(SIZES, rng=0)
    return [p.numpy().astype(np.float32) for p in model.parameters()]


def orders(n: int, epochs: int) -> Iterator[np.ndarray]:
    """The batches that `fit` draws."""
    rng = np.random.default_rng(1)
    for _ in range(epochs):
        order = rng.permutation(n)
        yield from (order[i : i + BATCH] for i in range(0, n, BATCH))


def ours(x: np.ndarray, y: np.ndarray, epochs: int, compile: bool | None) -> Step:
    def run() -> list[Any]:
        model = nn.MLP(SIZES, rng=0).astype(np.float32)
        fit(
            model,
            (x, y),
            nn.cross_entropy,
            optim.Adam(model.parameters()),
            epochs,
            BATCH,
            rng=np.random.default_rng(1),
            progress=False,
            compile=compile,
        )
        return [p.numpy() for p in model.parameters()]

    return run


def torch(x: np.ndarray, y: np.ndarray, epochs: int) -> Step:
    import torch

    torch.set_num_threads(1)
    inputs, labels = torch.tensor(x), torch.tensor(y)

    def run() -> list[Any]:
        first, second = torch.nn.Linear(*SIZES[:2]), torch.nn.Linear(*SIZES[1:])
        model = torch.nn.Sequential(first, torch.nn.ReLU(), second)
        with torch.no_grad():
            for p, value in zip(model.parameters(), start(), strict=True):
                p.copy_(torch.tensor(value))
        optimizer = torch.optim.Adam(model.parameters())
        for chosen in orders(len(x), epochs):
            optimizer.zero_grad()
            batch = torch.from_numpy(chosen)
            torch.nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
            optimizer.step()
        return [p.detach().numpy() for p in model.parameters()]

    return run
