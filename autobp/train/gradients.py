"""Data-parallel gradients: each process computes those of its part of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any

import numpy as np

from autobp.primitive import constant
from autobp.reverse import value_and_grad
from autobp.train.executors import (
    check_executor,
    check_sendable,
    one_blas_thread,
    sendable,
    this_process,
)
from autobp.tree import leaves, refilled, transformed

__all__ = ["gradient_over", "value_and_gradient_over"]


def gradient_over(
    executor: Executor | None, loss: Callable[..., Any], params: Any, shards: Iterable[Any]
) -> Any:
    """The gradient of Σ loss(params, shard) over all shards. Workers of a `concurrent.futures`
    executor compute one shard each; with None, this process computes all.

    >>> import numpy as np
    >>> from autobp.train import gradient_over
    >>> X, y = np.arange(12.0).reshape(6, 2), np.ones(6)
    >>> def loss(params, shard):
    ...     return np.sum((X[shard] @ params["w"] - y[shard]) ** 2)
    >>> gradient_over(None, loss, {"w": np.zeros(2)}, [slice(0, 3), slice(3, 6)])
    {'w': array([-60., -72.])}

    `params` is a number, an array, or nested lists, tuples and dicts of them, as for `grad`. Workers
    get it in its own dtype, and the gradient has the same. A shard is any argument that the loss
    understands. It is cheapest to send indices of samples, if the workers have the data. Gradients
    are added in the order of the shards, so that every executor gives the same bits. The gradient
    over all data at once differs by rounding. For a mean, let the loss divide by the number of all
    samples.

    For a model, let the loss call `nn.functional_call(model, params, X[shard])`, and pass
    `params=dict(model.named_parameters())`. The parameters are sent with every shard. On one machine
    that pays off if a shard takes 20 ms or more; on several, if it takes longer.
    """
    return value_and_gradient_over(executor, loss, params, shards)[1]


def value_and_gradient_over(
    executor: Executor | None, loss: Callable[..., Any], params: Any, shards: Iterable[Any]
) -> tuple[Any, Any]:
    """Σ loss(params, shard) over all shards, and its gradient. See `gradient_over`."""
    check_executor("gradient_over", executor)
    params = transformed(constant, params)
    shards = list(shards)
    if not shards:
        raise ValueError("gradient_over needs at least one shard")
    home, futures = this_process(), []
    total: Any = None
    gradient: list[Any] = []
    try:
        if executor is not None:
            futures = [executor.submit(_gradient, loss, params, shard, home) for shard in shards]
        for i, shard in enumerate(shards):
            try:
                value, found = futures[i].result() if futures else _gradient(loss, params, shard, home)  # fmt: skip
            except Exception as error:
                check_sendable((loss, params, shard), error)
                error.add_note(f"in gradient_over, shard {i} of {len(shards)}")
                raise
            if total is None:
                total, gradient = value, found
            else:
                total, gradient = total + value, [a + b for a, b in zip(gradient, found)]
    finally:
        for future in futures:
            future.cancel()
    return total, refilled(params, gradient)


def _gradient(
    loss: Callable[..., Any], params: Any, shard: Any, home: str
) -> tuple[Any, list[np.ndarray]]:
    away = this_process() != home
    if away:
        one_blas_thread()
    try:
        value, gradient = value_and_grad(lambda p: loss(p, shard))(params)
    except Exception as error:
        if not away or (sent := sendable(error)) is error:
            raise
        raise sent from None
    return value, [g for _, g in leaves(gradient)]
