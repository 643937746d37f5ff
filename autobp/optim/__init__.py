"""Optimizers, learning-rate schedules, gradient clipping, textbook gradient descent, and SciPy's solvers.

Names and behaviour are those of PyTorch. Only `.data` and `.grad` of Tensors are used.
"""

from typing import TYPE_CHECKING, Any

from autobp.habits import absent_from_module
from autobp.optim.clip import clip_grad_norm, clip_grad_value
from autobp.optim.descent import Descent, gradient_descent
from autobp.optim.methods import SGD, Adagrad, Adam, AdamW, RMSprop
from autobp.optim.optimizer import Optimizer
from autobp.optim.schedules import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    ReduceLROnPlateau,
    Schedule,
    SequentialLR,
    StepLR,
)
from autobp.optim.solvers import least_squares, minimize, root
from autobp.spellings import OPTIM

__all__ = [
    "Optimizer",
    "SGD",
    "Adagrad",
    "RMSprop",
    "Adam",
    "AdamW",
    "Schedule",
    "StepLR",
    "MultiStepLR",
    "ExponentialLR",
    "LambdaLR",
    "CosineAnnealingLR",
    "LinearLR",
    "SequentialLR",
    "ReduceLROnPlateau",
    "clip_grad_norm",
    "clip_grad_value",
    "gradient_descent",
    "Descent",
    "minimize",
    "least_squares",
    "root",
]

if not TYPE_CHECKING:  # else a type checker would believe every name

    def __getattr__(name: str) -> Any:
        raise absent_from_module("autobp.optim", name, OPTIM, __dir__)


def __dir__() -> list[str]:
    return sorted(__all__)
