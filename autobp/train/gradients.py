"""Gradients over data in several parts, each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any

import numpy as np

from autobp.primitive import constant
from autobp.reverse import value_and_grad
from autobp.train.executors import check_executor, check_sendable, one_blas_thread, sendable
from autobp.tree import leaves, refilled, transformed

__all__ = ["gradient_over", "value_and_gradient_over"]


def gradient_over(
    executor: Executor | None, loss: Callable[..., Any], params: Any, shards: Iterable[Any]
) -> Any:
    """The gradient of Σ loss(params, shard) over the shards, each computed by a worker of a
    `concurrent.futures` executor, or all of them here if it is None.

    >>> import numpy as np
    >>> from autobp.train import gradient_over
    >>> X, y = np.arange(12.0).reshape(6, 2), np.ones(6)
    >>> def loss(params, part):
    ...     return np.sum((X[part] @ params["w"] - y[part]) ** 2)
    >>> gradient_over(None, loss, {"w": np.zeros(2)}, [slice(0, 3), slice(3, 6)])
    {'w': array([-60., -72.])}

    `params` is a number, an array, or a nest of them, as `grad` takes; it goes to the workers in its
    own dtype, and so does the gradient come back. A shard is whatever the loss understands; it is
    cheapest if it says which samples are meant, and the workers have the data. Gradients are added
    in the order of the shards, so that the sum is the same on every executor, to the bit; from that
    of all data at once it differs by rounding. For a mean, divide in the loss by the number of all.

    For a model, `loss` is `lambda params, part: … nn.functional_call(model, params, X[part]) …`, with
    `params=dict(model.named_parameters())`. Parameters travel with every shard: on one machine that
    pays when a shard takes some 20 ms, and more on several.
    """
    return value_and_gradient_over(executor, loss, params, shards)[1]


def value_and_gradient_over(
    executor: Executor | None, loss: Callable[..., Any], params: Any, shards: Iterable[Any]
) -> tuple[Any, Any]:
    """Σ loss(params, shard) and its gradient: see `gradient_over`."""
    check_executor("gradient_over", executor)
    params = transformed(constant, params)
    parts = list(shards)
    if not parts:
        raise ValueError("gradient_over needs at least one shard")
    home, futures = os.getpid(), []
    total: Any = None
    gradient: list[Any] = []
    try:
        if executor is not None:
            futures = [executor.submit(_gradient, loss, params, part, home) for part in parts]
        for i, part in enumerate(parts):
            try:
                value, found = futures[i].result() if futures else _gradient(loss, params, part, home)  # fmt: skip
            except Exception as error:
                check_sendable((loss, params, part), error)
                error.add_note(f"in gradient_over, shard {i} of {len(parts)}")
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
    loss: Callable[..., Any], params: Any, part: Any, home: int
) -> tuple[Any, list[np.ndarray]]:
    away = os.getpid() != home
    if away:
        one_blas_thread()
    try:
        value, gradient = value_and_grad(lambda p: loss(p, part))(params)
    except Exception as error:
        if not away or (sent := sendable(error)) is error:
            raise
        raise sent from None
    return value, [g for _, g in leaves(gradient)]
