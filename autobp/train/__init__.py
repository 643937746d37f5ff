"""Training: the loop, its history, checkpoints, sweeps and cross-validation.

>>> import numpy as np
>>> from autobp import nn
>>> from autobp.data import digits
>>> from autobp.optim import Adam
>>> from autobp.train import fit
>>> X, y, X_test, y_test = digits(scale=True)
>>> model = nn.Sequential(nn.Flatten(), nn.MLP([64, 32, 10], rng=0)).astype(np.float32)
>>> optimizer = Adam(model.parameters(), lr=1e-2)
>>> history = fit(
...     model, (X, y), nn.cross_entropy, optimizer, epochs=5, batch_size=64,
...     validation=(X_test, y_test), metrics={"accuracy": nn.accuracy}, rng=0, progress=False,
... )
>>> history.best("val_accuracy")["val_accuracy"] > 0.8
True
"""

from typing import TYPE_CHECKING, Any

from autobp.habits import absent_from_module
from autobp.spellings import TRAIN
from autobp.train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from autobp.train.diverged import DivergedError
from autobp.train.fitting import Run, evaluate, fit, predict
from autobp.train.gradients import gradient_over, value_and_gradient_over
from autobp.train.history import History
from autobp.train.search import Trials, cross_validate, sweep
from autobp.train.weights import load_weights, save_weights

__all__ = [
    "fit",
    "evaluate",
    "predict",
    "History",
    "Run",
    "DivergedError",
    "save_checkpoint",
    "load_checkpoint",
    "CheckpointError",
    "save_weights",
    "load_weights",
    "sweep",
    "cross_validate",
    "Trials",
    "gradient_over",
    "value_and_gradient_over",
]

if not TYPE_CHECKING:  # else a type checker would believe every name

    def __getattr__(name: str) -> Any:
        raise absent_from_module("autobp.train", name, TRAIN, __dir__)


def __dir__() -> list[str]:
    return sorted(__all__)
