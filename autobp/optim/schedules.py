"""Schedules: they change learning rates during training.

Names, options and numbers are those of `torch.optim.lr_scheduler`. Call `schedule.step()` once per
epoch (or per batch), after the optimizer's. A `Schedule` computes each rate from the initial one
and overwrites the current one, so an optimizer takes only one; `SequentialLR` combines several.
"""

from __future__ import annotations

import bisect
import math
import numbers
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from autobp.context import updates
from autobp.habits import absent, checks_keywords
from autobp.optim.optimizer import Optimizer
from autobp.optim.option import at_least_zero, count, fraction, number
from autobp.owner import warn
from autobp.spellings import SCHEDULE
from autobp.tensor import Tensor

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
]


class _OnRates:
    """The base of all schedules: the optimizer, saving and resuming."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        constructor: Any = vars(cls).get("__init__")
        if constructor is not None:
            type.__setattr__(cls, "__init__", checks_keywords(constructor, "Schedule"))

    if not TYPE_CHECKING:  # else a type checker would believe every name

        def __getattr__(self, name: str) -> Any:
            said = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise absent(said, name, SCHEDULE, lambda: dir(self))

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__} takes an optimizer, not {optimizer!r:.50}")
        self.optimizer = optimizer
        self.last_epoch = 0

    def get_last_lr(self) -> list[float]:
        """The current learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer, whose own state has the rates."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned. Restore the optimizer as well: it has the rates."""
        who = f"{type(self).__name__}.load_state_dict"
        mine = self.state_dict()
        if not isinstance(state_dict, dict) or state_dict.keys() != mine.keys():
            given = state_dict if isinstance(state_dict, dict) else [repr(state_dict)[:50]]
            found = ", ".join(map(str, given))
            raise ValueError(f"{who}: the state has {found}; expected {', '.join(mine)}")
        for name, value in state_dict.items():
            if isinstance(mine[name], str):
                fits = isinstance(value, str)
            else:
                fits = isinstance(value, numbers.Real) and not math.isnan(value)
            if not fits:
                raise ValueError(f"{who}: {name} is {value!r:.50}")
        vars(self).update(state_dict)


class Schedule(_OnRates):
    """The base of schedules with a formula. `rate(initial, t)` returns the learning rate after `t`
    steps for a group whose rate was `initial` at first (its "initial_lr").

    >>> from autobp import Tensor
    >>> from autobp.optim import SGD, Schedule
    >>> class InverseTime(Schedule):
    ...     def rate(self, initial, t):
    ...         return initial / (1 + t)
    >>> schedule = InverseTime(SGD([Tensor(1.0)], lr=0.6))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.3]
    """

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer)
        self._set()

    def rate(self, initial: float, t: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} has no rate()")

    @updates
    def step(self, *epoch: Any) -> None:
        """Set the next rate."""
        if epoch:
            raise TypeError(
                f"{type(self).__name__}.step() takes no epoch, since it counts them: write schedule.step();"
                " ReduceLROnPlateau's takes the loss"
            )
        self._check_rates()
        self.last_epoch += 1
        self._set()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned, and the rates of that step."""
        super().load_state_dict(state_dict)
        self._set()

    def _check_rates(self) -> None:
        """Warn of a rate that was set since the last step. PyTorch's schedules go on from it."""
        for k, group in enumerate(self.optimizer.param_groups):
            rate = group["lr"]
            if "initial_lr" in group and type(rate) is float:
                known = self.rate(group["initial_lr"], self.last_epoch)
                if rate != known:
                    warn(
                        f"{type(self).__name__}.step(): the rate of group {k} was changed to {rate:g}, and"
                        f" goes on from {known:g}, since a schedule computes each rate from the initial one;"
                        " to change it for good, change group['initial_lr']"
                    )

    def _set(self) -> None:
        for group in self.optimizer.param_groups:
            initial = group.setdefault("initial_lr", group["lr"])
            group["lr"] = self.rate(initial, self.last_epoch)


class StepLR(Schedule):
    """Multiplies the rate by `gamma` after every `step_size` steps.

    >>> from autobp import Tensor
    >>> from autobp.optim import SGD, StepLR
    >>> schedule = StepLR(SGD([Tensor(1.0)], lr=0.8), step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.2]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size: int = count("StepLR: step_size", step_size, 1)
        self.gamma: float = at_least_zero("StepLR: gamma", gamma)
        super().__init__(optimizer)

    def rate(self, initial: float, t: int) -> float:
        return initial * self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    """Multiplies the rate by `gamma` at each of the milestones.

    >>> from autobp import Tensor
    >>> from autobp.optim import SGD, MultiStepLR
    >>> schedule = MultiStepLR(SGD([Tensor(1.0)], lr=0.8), milestones=[1, 3], gamma=0.5)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.2]
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones: list[int] = sorted(
            count("MultiStepLR: a milestone", m) for m in milestones
        )
        self.gamma: float = at_least_zero("MultiStepLR: gamma", gamma)
        super().__init__(optimizer)

    def rate(self, initial: float, t: int) -> float:
        return initial * self.gamma ** bisect.bisect_right(self.milestones, t)

    def state_dict(self) -> dict[str, Any]:
        """The number of steps. The milestones are not saved."""
        return {"last_epoch": self.last_epoch}


class ExponentialLR(Schedule):
    """Multiplies the rate by `gamma` at each step.

    >>> from autobp import Tensor
    >>> from autobp.optim import SGD, ExponentialLR
    >>> schedule = ExponentialLR(SGD([Tensor(1.0)], lr=0.8), gamma=0.5)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.1]
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma: float = at_least_zero("ExponentialLR: gamma", gamma)
        super().__init__(optimizer)

    def rate(self, initial: float, t: int) -> float:
        return initial * self.gamma**t


class LambdaLR(Schedule):
    """Multiplies the initial rate by a function of the number of steps.

    >>> from autobp import Tensor
    >>> from autobp.optim import SGD, LambdaLR
    >>> schedule = LambdaLR(SGD([Tensor(1.0)], lr=0.6), lambda t: 1 / (1 + t))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.3]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        if not callable(lr_lambda):
            raise TypeError(
                f"LambdaLR takes one function of the number of steps, not {lr_lambda!r:.50}"
            )
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def rate(self, initial: float, t: int) -> float:
        return initial * self.lr_lambda(t)

    def _check_rates(self) -> None:
        """PyTorch's overwrites a rate as well, and calls the function once in a step."""

    def state_dict(self) -> dict[str, Any]:
        """The number of steps. The function is not saved."""
        return {"last_epoch": self.last_epoch}


class CosineAnnealingLR(Schedule):
    """Lowers the rate to `eta_min` along half a cosine wave in `T_max` steps. After that it rises
    again.

    >>> from autobp import Tensor
    >>> from autobp.optim import SGD, CosineAnnealingLR
    >>> schedule = CosineAnnealingLR(SGD([Tensor(1.0)], lr=0.1), T_max=10)
    >>> for _ in range(5):
    ...     schedule.step()
    >>> [round(lr, 6) for lr in schedule.get_last_lr()]
    [0.05]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max: int = count("CosineAnnealingLR: T_max", T_max, 1)
        self.eta_min: float = at_least_zero("CosineAnnealingLR: eta_min", eta_min)
        super().__init__(optimizer)

    def rate(self, initial: float, t: int) -> float:
        return (
            self.eta_min + (initial - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2
        )


class LinearLR(Schedule):
    """Warm-up: changes the rate from `start_factor` to `end_factor` times its initial value, in
    `total_iters` equal steps. Then it stays.

    >>> from autobp import Tensor
    >>> from autobp.optim import SGD, LinearLR
    >>> schedule = LinearLR(SGD([Tensor(1.0)], lr=0.5), start_factor=0.5, total_iters=2)
    >>> rates = schedule.get_last_lr()
    >>> for _ in range(3):
    ...     schedule.step()
    ...     rates += schedule.get_last_lr()
    >>> rates
    [0.25, 0.375, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        self.start_factor: float = at_least_zero("LinearLR: start_factor", start_factor)
        self.end_factor: float = at_least_zero("LinearLR: end_factor", end_factor)
        self.total_iters: int = count("LinearLR: total_iters", total_iters, 1)
        super().__init__(optimizer)

    def rate(self, initial: float, t: int) -> float:
        way = min(t, self.total_iters) / self.total_iters
        return initial * (self.start_factor + (self.end_factor - self.start_factor) * way)


class SequentialLR(Schedule):
    """Runs schedules one after the other; each starts at its milestone. Warm-up, then cosine:

    >>> from autobp import Tensor
    >>> from autobp.optim import SGD, CosineAnnealingLR, LinearLR, SequentialLR
    >>> optimizer = SGD([Tensor(1.0)], lr=0.4)
    >>> parts = LinearLR(optimizer, 0.5, total_iters=2), CosineAnnealingLR(optimizer, T_max=4)
    >>> schedule = SequentialLR(optimizer, parts, milestones=[2])
    >>> rates = schedule.get_last_lr()
    >>> for _ in range(4):
    ...     schedule.step()
    ...     rates += schedule.get_last_lr()
    >>> [round(lr, 6) for lr in rates]
    [0.2, 0.3, 0.4, 0.341421, 0.2]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]
    ) -> None:
        self.schedulers: list[Schedule] = list(schedulers)
        self.milestones: list[int] = [count("SequentialLR: a milestone", m, 1) for m in milestones]
        for i, schedule in enumerate(self.schedulers):
            if not isinstance(schedule, Schedule):
                raise TypeError(
                    f"SequentialLR: schedule {i} is {schedule!r:.50}, not a Schedule with a formula"
                )
            if schedule.optimizer is not optimizer:
                raise ValueError(f"SequentialLR: schedule {i} belongs to another optimizer")
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(self.schedulers)} schedules need"
                f" {len(self.schedulers) - 1} milestones, not {len(self.milestones)}"
            )
        if self.milestones != sorted(set(self.milestones)):
            raise ValueError(f"SequentialLR: milestones must increase, unlike {self.milestones}")
        super().__init__(optimizer)

    def rate(self, initial: float, t: int) -> float:
        k = bisect.bisect_right(self.milestones, t)
        return self.schedulers[k].rate(initial, t - self.milestones[k - 1] if k else t)

    def _check_rates(self) -> None:
        """One of its schedules may be a LambdaLR."""

    def state_dict(self) -> dict[str, Any]:
        """The number of steps. The formulas are not saved."""
        return {"last_epoch": self.last_epoch}


class ReduceLROnPlateau(_OnRates):
    """Multiplies the rate by `factor` when a metric has not improved for more than `patience` steps.

    An improvement is lower (`mode="min"`) or higher (`"max"`) than the best value by more than
    `threshold`, which is relative to the best (`threshold_mode="rel"`) or absolute (`"abs"`). After
    a reduction, the next `cooldown` steps do not count. No rate falls below `min_lr`, and reductions
    of less than `eps` are skipped.

    >>> from autobp import Tensor
    >>> from autobp.optim import SGD, ReduceLROnPlateau
    >>> schedule = ReduceLROnPlateau(SGD([Tensor(1.0)], lr=0.5), factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(optimizer)
        who = "ReduceLROnPlateau"
        if mode not in ("min", "max"):
            raise ValueError(f"{who}: mode must be 'min' or 'max', not {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"{who}: threshold_mode must be 'rel' or 'abs', not {threshold_mode!r}"
            )
        self.mode = mode
        self.factor: float = fraction(f"{who}: factor", factor)
        self.patience: int = count(f"{who}: patience", patience)
        self.threshold: float = at_least_zero(f"{who}: threshold", threshold)
        self.threshold_mode = threshold_mode
        self.cooldown: int = count(f"{who}: cooldown", cooldown)
        self.min_lr: float = at_least_zero(f"{who}: min_lr", min_lr)
        self.eps: float = at_least_zero(f"{who}: eps", eps)
        self.best: float = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs: int = 0
        self.cooldown_counter: int = 0

    @updates
    def step(self, metric: Any) -> None:
        """Report the metric of this step. NaN is not an improvement."""
        if isinstance(metric, Tensor):
            metric = metric.item()
        if metric == metric:  # not NaN
            metric = number("ReduceLROnPlateau: the metric", metric)
        self.last_epoch += 1
        if self._improves(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
            for group in self.optimizer.param_groups:
                lr = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr

    def _improves(self, metric: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        relative = self.threshold_mode == "rel" and math.isfinite(self.best)
        bound = (
            self.best * (1 + sign * self.threshold)
            if relative
            else self.best + sign * self.threshold
        )
        return metric > bound if self.mode == "max" else metric < bound
