"""How each optimizer moves a parameter, given its gradient.

The formulas, their defaults and the names of options and state are those of `torch.optim`. All is
done in place, in room that is kept from step to step.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from autobp.optim.optimizer import Optimizer, Params
from autobp.optim.option import at_least_zero, flag, fraction, pair_of_fractions

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "RMSprop"]

State = dict[str, Any]


def _memory(state: State, name: str, x: np.ndarray, start: float = 0.0) -> np.ndarray:
    """An array that is remembered of a parameter, made when it is first asked for."""
    if name not in state:
        state[name] = np.full_like(x, start)
    return state[name]


def _tick(state: State) -> int:
    """The number of this step, from 1."""
    state["step"] = step = state.get("step", 0) + 1
    return step


def _penalized(g: np.ndarray, x: np.ndarray, weight_decay: float, room: np.ndarray) -> np.ndarray:
    """The gradient with that of ½ · weight_decay · Σx² added."""
    if not weight_decay:
        return g
    np.multiply(x, weight_decay, out=room)
    room += g
    return room


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for: `v ← momentum·v + g`, `x ← x − lr·v`.

    `nesterov=True` looks ahead: it moves by `g + momentum·v`. These two are what the textbooks call
    Momentum and Nesterov; being options here, as in PyTorch, they have no classes of their own.
    `weight_decay` adds that many times the parameter to its gradient.

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

    options: ClassVar = {
        "lr": at_least_zero,
        "momentum": at_least_zero,
        "nesterov": flag,
        "weight_decay": at_least_zero,
    }
    kept_if_asked = ("momentum_buffer",)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        *,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
        )

    def _checked(self, group: dict[str, Any], k: int) -> dict[str, Any]:
        checked = super()._checked(group, k)
        if checked["nesterov"] and not checked["momentum"]:
            raise ValueError(f"SGD: nesterov=True of group {k} needs a momentum above 0")
        return checked

    def update(
        self,
        x: np.ndarray,
        g: np.ndarray,
        state: State,
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> None:
        g = _penalized(g, x, weight_decay, self.scratch(x))
        room = self.scratch(x, 1)
        if momentum:
            v = _memory(state, "momentum_buffer", x)
            v *= momentum
            v += g
            if nesterov:
                np.multiply(v, momentum, out=room)
                room += g
                g = room
            else:
                g = v
        x -= np.multiply(g, lr, out=room)


class Adagrad(Optimizer):
    """Steps that shrink with all the gradients so far, for each element on its own:
    `s ← s + g²`, `x ← x − lr·g / (√s + eps)`.

    >>> from autobp import Tensor
    >>> from autobp.optim import Adagrad
    >>> w = Tensor([1.0, -2.0])
    >>> (w @ w).backward()
    >>> Adagrad([w], lr=0.5).step()
    >>> w
    Tensor([ 0.5 -1.5])
    """

    options: ClassVar = {
        "lr": at_least_zero,
        "lr_decay": at_least_zero,
        "weight_decay": at_least_zero,
        "initial_accumulator_value": at_least_zero,
        "eps": at_least_zero,
    }
    kept = ("step", "sum")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        *,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )

    def update(
        self,
        x: np.ndarray,
        g: np.ndarray,
        state: State,
        *,
        lr: float,
        lr_decay: float,
        weight_decay: float,
        initial_accumulator_value: float,
        eps: float,
    ) -> None:
        t = _tick(state)
        s = _memory(state, "sum", x, initial_accumulator_value)
        g = _penalized(g, x, weight_decay, self.scratch(x))
        room = self.scratch(x, 1)
        s += np.multiply(g, g, out=room)
        np.sqrt(s, out=room)
        room += eps
        np.divide(g, room, out=room)
        room *= lr / (1 + (t - 1) * lr_decay)
        x -= room


class RMSprop(Optimizer):
    """Adagrad with a memory that fades: `s ← alpha·s + (1 − alpha)·g²`,
    `x ← x − lr·g / (√s + eps)`.

    `centered=True` divides by the standard deviation of the gradient instead, and `momentum`
    gathers the quotients as SGD does gradients.

    >>> from autobp import Tensor
    >>> from autobp.optim import RMSprop
    >>> w = Tensor([1.0, -2.0])
    >>> (w @ w).backward()
    >>> RMSprop([w], lr=0.05, eps=0).step()
    >>> w
    Tensor([ 0.5 -1.5])
    """

    options: ClassVar = {
        "lr": at_least_zero,
        "alpha": fraction,
        "eps": at_least_zero,
        "weight_decay": at_least_zero,
        "momentum": at_least_zero,
        "centered": flag,
    }
    kept = ("square_avg",)
    kept_if_asked = ("grad_avg", "momentum_buffer")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )

    def update(
        self,
        x: np.ndarray,
        g: np.ndarray,
        state: State,
        *,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        centered: bool,
    ) -> None:
        s = _memory(state, "square_avg", x)
        g = _penalized(g, x, weight_decay, self.scratch(x))
        room = self.scratch(x, 1)
        s *= alpha
        np.multiply(g, g, out=room)
        room *= 1 - alpha
        s += room
        if centered:
            mean = _memory(state, "grad_avg", x)
            np.subtract(g, mean, out=room)
            room *= 1 - alpha
            mean += room
            np.multiply(mean, mean, out=room)
            np.subtract(s, room, out=room)
            np.maximum(room, 0, out=room)  # a variance of 0 may come out as less by rounding
            np.sqrt(room, out=room)
        else:
            np.sqrt(s, out=room)
        room += eps
        np.divide(g, room, out=room)
        if momentum:
            v = _memory(state, "momentum_buffer", x)
            v *= momentum
            v += room
            np.multiply(v, lr, out=room)
        else:
            room *= lr
        x -= room


class Adam(Optimizer):
    """Momentum and RMSprop in one, both averages corrected for having begun at 0:
    `m ← β₁·m + (1 − β₁)·g`, `s ← β₂·s + (1 − β₂)·g²`, `x ← x − lr·m̂ / (√ŝ + eps)`.

    `weight_decay` adds that many times the parameter to its gradient; what is usually wanted with
    Adam is AdamW.

    >>> from autobp import Tensor
    >>> from autobp.optim import Adam
    >>> w = Tensor([1.0, -2.0])
    >>> (w @ w).backward()
    >>> Adam([w], lr=0.5).step()
    >>> w
    Tensor([ 0.5 -1.5])
    """

    options: ClassVar = {
        "lr": at_least_zero,
        "betas": pair_of_fractions,
        "eps": at_least_zero,
        "weight_decay": at_least_zero,
    }
    kept = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(
        self,
        x: np.ndarray,
        g: np.ndarray,
        state: State,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        t = _tick(state)
        m, s = _memory(state, "exp_avg", x), _memory(state, "exp_avg_sq", x)
        beta1, beta2 = betas
        g = _penalized(g, x, weight_decay, self.scratch(x))
        room = self.scratch(x, 1)
        np.subtract(g, m, out=room)
        room *= 1 - beta1
        m += room
        s *= beta2
        np.multiply(g, g, out=room)
        room *= 1 - beta2
        s += room
        np.sqrt(s, out=room)
        room /= (1 - beta2**t) ** 0.5
        room += eps
        np.divide(m, room, out=room)
        room *= lr / (1 - beta1**t)
        x -= room


class AdamW(Adam):
    """Adam, with weights that decay by themselves: `x ← (1 − lr·weight_decay)·x` before each step,
    instead of through the gradient, whose averages would take the decay away again.

    >>> from autobp import Tensor
    >>> from autobp.optim import AdamW
    >>> w = Tensor([1.0, -2.0])
    >>> (w @ w).backward()
    >>> AdamW([w], lr=0.5, weight_decay=0.1).step()
    >>> w
    Tensor([ 0.45 -1.4 ])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(
        self,
        x: np.ndarray,
        g: np.ndarray,
        state: State,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        x *= 1 - lr * weight_decay
        super().update(x, g, state, lr=lr, betas=betas, eps=eps, weight_decay=0.0)
