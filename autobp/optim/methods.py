"""The update rules: how each optimizer moves a parameter, given its gradient.

Formulas, defaults and names of options and state are those of `torch.optim`. Updates work in place,
in buffers that are reused from step to step.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from autobp.optim.optimizer import Optimizer
from autobp.optim.option import at_least_zero, flag, fraction, option, pair_of_fractions

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "RMSprop"]

State = dict[str, Any]


def _remembered(state: State, name: str, x: np.ndarray, start: float = 0.0) -> np.ndarray:
    """An array of the state, which is created at its first use."""
    if name not in state:
        state[name] = np.full_like(x, start)
    return state[name]


def _tick(state: State) -> int:
    """Count this step; return its number, from 1."""
    state["step"] = step = state.get("step", 0) + 1
    return step


def _penalized(g: np.ndarray, x: np.ndarray, weight_decay: float, tmp: np.ndarray) -> np.ndarray:
    """The gradient plus weight_decay · x, the gradient of ½ · weight_decay · Σx²."""
    if not weight_decay:
        return g
    np.multiply(x, weight_decay, out=tmp)
    tmp += g
    return tmp


class SGD(Optimizer):
    """Gradient descent, optionally with momentum: `v ← momentum·v + g`, `x ← x − lr·v`.

    `nesterov=True` looks ahead: it moves by `g + momentum·v`. As in PyTorch, momentum and Nesterov
    momentum are options of SGD, not optimizers of their own. `weight_decay` adds
    weight_decay · x to the gradient.

    >>> from autobp import Tensor
    >>> from autobp.optim import SGD
    >>> w = Tensor([1.0, -2.0])
    >>> optimizer = SGD([w], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (w @ w).backward()
    ...     optimizer.step()
    >>> w
    Tensor([ 0.46 -0.92])
    """

    lr: float = option(at_least_zero, default=1e-3)
    momentum: float = option(at_least_zero, default=0.0)
    nesterov: bool = option(flag, default=False, kw_only=True)
    weight_decay: float = option(at_least_zero, default=0.0, kw_only=True)

    optional_state_names: ClassVar[tuple[str, ...]] = ("momentum_buffer",)

    def _checked(self, group: dict[str, Any], k: int) -> dict[str, Any]:
        checked = super()._checked(group, k)
        if checked["nesterov"] and not checked["momentum"]:
            raise ValueError(f"SGD: nesterov=True of group {k} needs a momentum above 0")
        return checked

    def update(
        self, x: np.ndarray, g: np.ndarray, state: State, *,
        lr: float, momentum: float, nesterov: bool, weight_decay: float,
    ) -> None:  # fmt: skip
        g = _penalized(g, x, weight_decay, self.scratch(x))
        tmp = self.scratch(x, 1)
        if momentum:
            v = _remembered(state, "momentum_buffer", x)
            v *= momentum
            v += g
            if nesterov:
                np.multiply(v, momentum, out=tmp)
                tmp += g
                g = tmp
            else:
                g = v
        x -= np.multiply(g, lr, out=tmp)


class Adagrad(Optimizer):
    """Scales the step of each element down by all its gradients so far:
    `s ← s + g²`, `x ← x − lr·g / (√s + eps)`.

    >>> from autobp import Tensor
    >>> from autobp.optim import Adagrad
    >>> w = Tensor([1.0, -2.0])
    >>> (w @ w).backward()
    >>> Adagrad([w], lr=0.5).step()
    >>> w
    Tensor([ 0.5 -1.5])
    """

    lr: float = option(at_least_zero, default=1e-2)
    lr_decay: float = option(at_least_zero, default=0.0, kw_only=True)
    weight_decay: float = option(at_least_zero, default=0.0, kw_only=True)
    initial_accumulator_value: float = option(at_least_zero, default=0.0, kw_only=True)
    eps: float = option(at_least_zero, default=1e-10, kw_only=True)

    state_names: ClassVar[tuple[str, ...]] = ("step", "sum")

    def update(
        self, x: np.ndarray, g: np.ndarray, state: State, *,
        lr: float, lr_decay: float, weight_decay: float, initial_accumulator_value:
        float, eps: float,
    ) -> None:  # fmt: skip
        t = _tick(state)
        s = _remembered(state, "sum", x, initial_accumulator_value)
        g = _penalized(g, x, weight_decay, self.scratch(x))
        tmp = self.scratch(x, 1)
        s += np.multiply(g, g, out=tmp)
        np.sqrt(s, out=tmp)
        tmp += eps
        np.divide(g, tmp, out=tmp)
        tmp *= lr / (1 + (t - 1) * lr_decay)
        x -= tmp


class RMSprop(Optimizer):
    """Adagrad with a moving average in place of the sum: `s ← alpha·s + (1 − alpha)·g²`,
    `x ← x − lr·g / (√s + eps)`.

    `centered=True` divides by the standard deviation of the gradient instead. `momentum`
    accumulates the quotients, as SGD accumulates gradients.

    >>> from autobp import Tensor
    >>> from autobp.optim import RMSprop
    >>> w = Tensor([1.0, -2.0])
    >>> (w @ w).backward()
    >>> RMSprop([w], lr=0.05, eps=0).step()
    >>> w
    Tensor([ 0.5 -1.5])
    """

    lr: float = option(at_least_zero, default=1e-2)
    alpha: float = option(fraction, default=0.99, kw_only=True)
    eps: float = option(at_least_zero, default=1e-8, kw_only=True)
    weight_decay: float = option(at_least_zero, default=0.0, kw_only=True)
    momentum: float = option(at_least_zero, default=0.0, kw_only=True)
    centered: bool = option(flag, default=False, kw_only=True)

    state_names: ClassVar[tuple[str, ...]] = ("square_avg",)
    optional_state_names: ClassVar[tuple[str, ...]] = ("grad_avg", "momentum_buffer")

    def update(
        self, x: np.ndarray, g: np.ndarray, state: State, *,
        lr: float, alpha: float, eps: float, weight_decay: float, momentum: float,
        centered: bool,
    ) -> None:  # fmt: skip
        s = _remembered(state, "square_avg", x)
        g = _penalized(g, x, weight_decay, self.scratch(x))
        tmp = self.scratch(x, 1)
        s *= alpha
        np.multiply(g, g, out=tmp)
        tmp *= 1 - alpha
        s += tmp
        if centered:
            mean = _remembered(state, "grad_avg", x)
            np.subtract(g, mean, out=tmp)
            tmp *= 1 - alpha
            mean += tmp
            np.multiply(mean, mean, out=tmp)
            np.subtract(s, tmp, out=tmp)
            np.maximum(tmp, 0, out=tmp)  # rounding can make a variance of 0 negative
            np.sqrt(tmp, out=tmp)
        else:
            np.sqrt(s, out=tmp)
        tmp += eps
        np.divide(g, tmp, out=tmp)
        if momentum:
            v = _remembered(state, "momentum_buffer", x)
            v *= momentum
            v += tmp
            np.multiply(v, lr, out=tmp)
        else:
            tmp *= lr
        x -= tmp


class Adam(Optimizer):
    """Combines momentum and RMSprop: `m ← β₁·m + (1 − β₁)·g`, `s ← β₂·s + (1 − β₂)·g²`,
    `x ← x − lr·m̂ / (√ŝ + eps)`, where m̂ and ŝ are corrected for their start at 0.

    `weight_decay` adds weight_decay · x to the gradient. `AdamW` is usually the better choice.

    >>> from autobp import Tensor
    >>> from autobp.optim import Adam
    >>> w = Tensor([1.0, -2.0])
    >>> (w @ w).backward()
    >>> Adam([w], lr=0.5).step()
    >>> w
    Tensor([ 0.5 -1.5])
    """

    lr: float = option(at_least_zero, default=1e-3)
    betas: tuple[float, float] = option(pair_of_fractions, default=(0.9, 0.999), kw_only=True)
    eps: float = option(at_least_zero, default=1e-8, kw_only=True)
    weight_decay: float = option(at_least_zero, default=0.0, kw_only=True)

    state_names: ClassVar[tuple[str, ...]] = ("step", "exp_avg", "exp_avg_sq")

    def update(
        self, x: np.ndarray, g: np.ndarray, state: State, *,
        lr: float, betas: tuple[float, float], eps: float, weight_decay: float,
    ) -> None:  # fmt: skip
        t = _tick(state)
        m, s = _remembered(state, "exp_avg", x), _remembered(state, "exp_avg_sq", x)
        beta1, beta2 = betas
        g = _penalized(g, x, weight_decay, self.scratch(x))
        tmp = self.scratch(x, 1)
        np.subtract(g, m, out=tmp)
        tmp *= 1 - beta1
        m += tmp
        s *= beta2
        np.multiply(g, g, out=tmp)
        tmp *= 1 - beta2
        s += tmp
        np.sqrt(s, out=tmp)
        tmp /= (1 - beta2**t) ** 0.5
        tmp += eps
        np.divide(m, tmp, out=tmp)
        tmp *= lr / (1 - beta1**t)
        x -= tmp


class AdamW(Adam):
    """Adam with decoupled weight decay: `x ← (1 − lr·weight_decay)·x` before each step.

    The decay does not pass through the averages of the gradient, which would weaken it.

    >>> from autobp import Tensor
    >>> from autobp.optim import AdamW
    >>> w = Tensor([1.0, -2.0])
    >>> (w @ w).backward()
    >>> AdamW([w], lr=0.5, weight_decay=0.1).step()
    >>> w
    Tensor([ 0.45 -1.4 ])
    """

    weight_decay: float = option(at_least_zero, default=1e-2, kw_only=True)

    def update(
        self, x: np.ndarray, g: np.ndarray, state: State, *,
        lr: float, betas: tuple[float, float], eps: float, weight_decay: float,
    ) -> None:  # fmt: skip
        x *= 1 - lr * weight_decay
        super().update(x, g, state, lr=lr, betas=betas, eps=eps, weight_decay=0.0)
