"""Textbook gradient descent: minimize a loss until its gradient is small."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.context import no_grad, updates
from autobp.habits import checks_keywords
from autobp.numerical import numerical_gradient
from autobp.optim.clip import largest
from autobp.optim.methods import SGD
from autobp.optim.option import at_least_zero, count
from autobp.tensor import Tensor

__all__ = ["Descent", "gradient_descent"]


@dataclass(repr=False)
class Descent:
    """The result of `gradient_descent`. Its text says why it stopped."""

    losses: list[float]  # before the first iteration, and after each
    iterations: int  # updates of the parameters
    converged: bool  # whether max|grad| < epsilon ended it
    gradient: float  # the last max|grad|
    epsilon: float

    def __str__(self) -> str:
        many = f"{self.iterations} iteration{'s' * (self.iterations != 1)}"
        if self.converged:
            return f"stopped after {many}: max|grad| = {self.gradient:.3g} < {self.epsilon:g}"
        if not math.isfinite(self.losses[-1]):
            return f"gave up after {many}: the loss is {self.losses[-1]}; try a smaller lr"
        if not math.isfinite(self.gradient):
            return f"gave up after {many}: the gradient is not finite; try a smaller lr"
        return (
            f"not converged after {many}: max|grad| = {self.gradient:.3g}, not < {self.epsilon:g}"
        )

    def __repr__(self) -> str:
        return f"Descent({self}; loss {self.losses[0]:.4g} → {self.losses[-1]:.4g})"


@checks_keywords
@updates
@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # reported in the result
def gradient_descent(
    loss: Callable[[], Any],
    params: Iterable[Tensor],
    lr: float = 0.1,
    *,
    momentum: float = 0.0,
    steps: int = 1000,
    epsilon: float = 1e-4,
    numerical: bool = False,
) -> Descent:
    """Minimize `loss`, a function without arguments that reads the parameters.

    Descent stops after `steps` updates, when every element of the gradient is below `epsilon`, or
    when the loss or the gradient is no longer finite; then the parameters keep their last finite
    values. The result says which. The gradient comes from reverse mode, or with `numerical=True`
    from central differences. Afterwards the parameters have no `.grad`.

    >>> from autobp import Tensor
    >>> from autobp.optim import gradient_descent
    >>> x = Tensor(0.0)
    >>> gradient_descent(lambda: (x - 3) ** 2 + 1, [x], lr=0.25)
    Descent(stopped after 16 iterations: max|grad| = 9.16e-05 < 0.0001; loss 10 → 1)
    >>> round(x.item(), 3)
    3.0
    """
    optimizer = SGD(params, lr, momentum)
    entries = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    steps = count("gradient_descent: steps", steps)
    epsilon = at_least_zero("gradient_descent: epsilon", epsilon)
    losses: list[float] = []
    top, converged = math.nan, False
    try:
        while True:
            optimizer.zero_grad()
            last = len(losses) == steps
            value = _value(loss, record=not (last or numerical))
            losses.append(float(value.item()))
            if last or not math.isfinite(losses[-1]):
                break
            if numerical:
                for p, g in zip(entries, numerical_gradient(loss, entries)):
                    p.grad = g.astype(p.dtype)
            else:
                value.backward()
            gradients = [p.grad for p in entries if p.grad is not None]
            if not gradients:
                raise ValueError("gradient_descent: the loss does not depend on the parameters")
            tops = [largest(g) for g in gradients]
            top = math.nan if any(map(math.isnan, tops)) else max(tops)
            converged = top < epsilon
            if converged or not math.isfinite(top):
                break
            optimizer.step()
    finally:
        optimizer.zero_grad()
    return Descent(losses, len(losses) - 1, converged, top, epsilon)


def _value(loss: Callable[[], Any], record: bool) -> Any:
    if record:
        value = loss()
    else:
        with no_grad():
            value = loss()
    if np.size(value.data if isinstance(value, Tensor) else value) != 1:
        raise ValueError(
            f"gradient_descent: the loss must be a single number, not an array of shape {np.shape(value)}"
        )
    if record and not isinstance(value, Tensor):
        raise TypeError("gradient_descent: the loss does not depend on the parameters")
    return value if isinstance(value, Tensor) else np.asarray(value)
