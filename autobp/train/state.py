"""All that a training depends on: to be kept, put back, and written to a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from autobp.optim import Optimizer
from autobp.tensor import Tensor
from autobp.train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from autobp.train.history import Compilation, History

__all__ = ["State", "Weights"]

Weights = dict[str, np.ndarray]


class State:
    """A model, its optimizer and schedule, and the generators of random numbers.

    A model without `state_dict`, a plain function, is known by the parameters of the optimizer.
    """

    def __init__(
        self, model: Any, optimizer: Optimizer, schedule: Any, rng: np.random.Generator
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.schedule = schedule
        self.params: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
        named = [*model.named_parameters()] if hasattr(model, "named_parameters") else []
        if named and not {p for _, p in named} & set(self.params):
            raise ValueError("fit: the optimizer has none of the model's parameters")
        #: What messages call the parameters.
        self.names = {p: p.name or f"parameter {i}" for i, p in enumerate(self.params)}
        self.names |= {p: name for name, p in named}
        self.generators = {"shuffling": rng}
        for path, module in model.named_modules() if hasattr(model, "named_modules") else ():
            for name, value in vars(module).items():
                if isinstance(value, np.random.Generator):
                    self.generators[f"{path}.{name}"] = value

    def weights(self) -> Weights:
        """Copies of all values that the model has."""
        if hasattr(self.model, "state_dict"):
            return {name: np.array(value) for name, value in self.model.state_dict().items()}
        return {str(i): p.numpy() for i, p in enumerate(self.params)}

    def restore(self, weights: Weights) -> None:
        if hasattr(self.model, "load_state_dict"):
            self.model.load_state_dict(weights)
            return
        if len(weights) != len(self.params):
            raise ValueError(f"{len(weights)} parameters are not {len(self.params)}")
        for p, value in zip(self.params, weights.values()):
            p.data = value.copy()

    def save(
        self,
        path: str | os.PathLike[str],
        history: History,
        best: Weights | None,
        step: dict[str, Any],
    ) -> None:
        """Write all of it, with what the `step` needs to know when it goes on."""
        save_checkpoint(
            path,
            {
                "epoch": len(history),
                "model": self.weights(),
                "best": best,
                "optimizer": self.optimizer.state_dict(),
                "schedule": None if self.schedule is None else self.schedule.state_dict(),
                "rng": {name: g.bit_generator.state for name, g in self.generators.items()},
                "history": asdict(history),
                "step": step,
            },
        )

    def load(
        self, path: str | os.PathLike[str]
    ) -> tuple[Sequence[Any], str, Compilation, Weights | None, dict[str, Any]]:
        """Put back what was saved; if it does not fit, nothing is changed. Returns the rows of the
        history, why a callback had stopped it, what was compiled, the best weights, and what the step
        is to know."""
        saved = load_checkpoint(path)
        before = self.weights()
        try:
            if (saved["schedule"] is None) != (self.schedule is None):
                raise ValueError("one has a schedule, the other has none")
            if saved["rng"].keys() != self.generators.keys():
                raise ValueError(
                    f"its generators are those of {', '.join(saved['rng'])}, not of"
                    f" {', '.join(self.generators)}"
                )
            self.restore(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            if self.schedule is not None:
                self.schedule.load_state_dict(saved["schedule"])
            for name, g in self.generators.items():
                g.bit_generator.state = saved["rng"][name]
            history = saved["history"]
            compiled = Compilation(**history["compiled"])
            return history["rows"], history["stopped"], compiled, saved["best"], saved["step"]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self.restore(before)
            said = f"it has no {error}" if isinstance(error, KeyError) else error
            raise CheckpointError(
                f"{os.fspath(path)} does not belong to this training: {said}"
            ) from error
