"""All that a training depends on: to be kept, put back, and written to a file."""

from __future__ import annotations

import os
import types
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from autobp.in_place import overwrite
from autobp.optim import Optimizer
from autobp.tensor import Tensor
from autobp.train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from autobp.train.history import Compilation, History
from autobp.train.inventory import Inventory, unsaved

__all__ = ["Resumed", "State", "Weights"]

Weights = dict[str, np.ndarray]

_IN_STATE_DICT = ("param_groups", "state")  # of an optimizer


class Resumed(NamedTuple):
    """What a checkpoint tells a training that goes on."""

    rows: Sequence[Any]
    stopped: str
    compiled: Compilation
    best: Weights | None
    step: dict[str, Any]
    unsaved: list[str]  # what could not be put back
    dropped: list[str]  # callbacks and metrics whose state has no place here


class State:
    """A model, its loss, optimizer and schedule, and what they reach: Tensors, generators of random
    numbers, counters, arrays. `others`, callbacks and metrics by their names, may have a state too.

    A model without `state_dict`, a plain function, is known by the parameters of the optimizer.
    """

    names: dict[Tensor, str]

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer,
        schedule: Any,
        rng: np.random.Generator,
        loss: Any = None,
        others: Mapping[str, Any] | None = None,
        saves: bool = False,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.schedule = schedule
        self.rng = rng
        named = [*model.named_parameters()] if hasattr(model, "named_parameters") else []
        if named and not {p for _, p in named} & set(self.params):
            raise ValueError("fit: the optimizer has none of the model's parameters")
        self._others = {name: _kind(x) for name, x in (others or {}).items()}
        needed = {"model": model, "loss": loss, "schedule": schedule, "optimizer": optimizer}
        self.inventory: Inventory = Inventory(needed, others, hidden=[(optimizer, _IN_STATE_DICT)])
        #: Fingerprints of what cannot be saved: from the beginning, or from the first file if it was
        #: made later.
        self._first = self.inventory.begin() if saves else {}
        self._of_model = dict(named)
        if hasattr(model, "named_buffers"):
            self._of_model |= dict(model.named_buffers())
        has_its_own = hasattr(model, "state_dict")
        if not has_its_own:
            self._of_model = {str(i): p for i, p in enumerate(self.params)}
        #: Leaf Tensors that the model's own state lacks: those of a loss, parameters of the optimizer
        #: that are not in the model.
        self.outside: dict[str, Tensor] = {}
        held = set(self._of_model.values())
        taken = set(model.state_dict()) if has_its_own else set(self._of_model)
        numbered = {p.name or f"parameter {i}": p for i, p in enumerate(self.params)}
        for name, t in (*self.inventory.tensors.items(), *numbered.items()):
            if t not in held:
                held.add(t)
                while name in taken:
                    name += "'"
                taken.add(name)
                self.outside[name] = t
        #: What messages call the parameters.
        self.names = {p: p.name or f"parameter {i}" for i, p in enumerate(self.params)}
        self.names |= {
            p: name for name, p in self.outside.items() if p in self.names and not p.name
        }
        self.names |= {p: name for name, p in named}
        self._saves = 0  # files that were written
        self.unsaved: list[str] = []  # names of what could not be saved, and has changed
        self._told = 0  # how many of them were returned by `save`

    @property
    def params(self) -> list[Tensor]:
        """Those of the optimizer, which may get more of them as the training goes on."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def name_of(self, p: Tensor) -> str:
        """What messages call a parameter."""
        return (
            self.names.get(p) or p.name or f"parameter {[q is p for q in self.params].index(True)}"
        )

    def weights(self) -> Weights:
        """Copies of all values that there are: of the model, of Tensors beside it, and of arrays that
        its objects keep."""
        if hasattr(self.model, "state_dict"):
            found = {name: np.array(value) for name, value in self.model.state_dict().items()}
        else:
            found = {str(i): p.numpy() for i, p in enumerate(self.params)}
        found |= {name: t.numpy() for name, t in self.outside.items()}
        for v in self.inventory.arrays:
            now = v.read()
            if type(now) is np.ndarray:
                found.setdefault(v.name, np.array(now))
        return found

    def restore(self, weights: Weights) -> None:
        places = {v.name: v for v in self.inventory.arrays}
        own = {}
        for name, value in weights.items():
            if name in self.outside:
                overwrite(self.outside[name], value.copy())
            elif name in places:
                now = places[name].read()
                if type(now) is np.ndarray and now.shape == value.shape and now.flags.writeable:
                    now[...] = value
                else:
                    places[name].write(value.copy())
            else:
                own[name] = value
        if hasattr(self.model, "load_state_dict"):
            self.model.load_state_dict(own)
            return
        params = self.params
        if len(own) > len(params):
            raise ValueError(f"{len(own)} parameters are not {len(params)}")
        for name, value in own.items():
            overwrite(params[int(name)], value.copy())

    # ── files ─────────────────────────────────────────────────────────────────────────────────────

    def save(
        self,
        path: str | os.PathLike[str],
        history: History,
        best: Weights | None,
        step: dict[str, Any],
    ) -> list[str]:
        """Write all of it, with what the `step` needs to know when it goes on. Returns the names of
        what cannot be written and has changed, each once, from the second file on."""
        kept = {*map(id, self._of_model.values()), *map(id, self.outside.values())}
        forgets = type(self.optimizer).zero_grad is Optimizer.zero_grad
        zeroed = [id(p) for p in self.params] if forgets else []
        taken = self.inventory.take(without=kept, zeroed=zeroed)
        self._saves += 1
        if self._saves == 1:
            self._first = taken.unknown | self._first
        self.unsaved += [n for n in unsaved(self._first, taken.unknown) if n not in self.unsaved]
        new = self.unsaved[self._told :] if self._saves > 1 else []
        self._told += len(new)
        save_checkpoint(
            path,
            {
                "epoch": len(history),
                "model": self.weights(),
                "best": best,
                "optimizer": self.optimizer.state_dict(),
                "method": type(self.optimizer).__qualname__,
                "groups": self._groups(taken.made),
                "schedule": None if self.schedule is None else type(self.schedule).__qualname__,
                "rng": {"shuffling": self.rng.bit_generator.state},
                "generators": list(self.inventory.generators),
                "outside": list(self.outside),
                "grown": self._grown(),
                "others": self._others,
                "state": taken.records,
                "unsaved": self.unsaved,
                "history": asdict(history),
                "step": step,
            },
        )
        return new

    def load(self, path: str | os.PathLike[str]) -> Resumed:
        """Put back what was saved; if it does not fit, nothing is changed."""
        saved = load_checkpoint(path)
        undo = None
        try:
            self._check(saved)
            undo = self._undo()
            missing = self.inventory.put(saved["state"])
            lost = {*saved.get("grown", ())}.difference(self._grown())
            missing += [f"model.{name}" for name in sorted(lost)]
            self.restore({k: v for k, v in saved["model"].items() if k not in lost})
            self._add_groups(saved["groups"], saved["optimizer"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.rng.bit_generator.state = saved["rng"]["shuffling"]
            history = saved["history"]
            self.unsaved = list(saved["unsaved"])
            self._told = len(self.unsaved)
            resumed = Resumed(
                history["rows"],
                history["stopped"],
                Compilation(**history["compiled"]),
                saved["best"],
                saved["step"],
                [*self.unsaved, *missing],
                self._others_gone(saved.get("others", {})) if self.inventory.dropped else [],
            )
        except BaseException as error:
            if undo is not None:
                undo()
            if not isinstance(error, ValueError | TypeError | KeyError | AttributeError):
                raise
            said = f"it has no {error}" if isinstance(error, KeyError) else error
            raise CheckpointError(
                f"{os.fspath(path)} does not belong to this training: {said}"
            ) from error
        return resumed

    def _check(self, saved: Any) -> None:
        if not isinstance(saved, dict):
            raise TypeError(f"it holds a {type(saved).__name__}")
        mine = None if self.schedule is None else type(self.schedule).__qualname__
        theirs = saved["schedule"]
        if (theirs is None) != (mine is None):
            raise ValueError("one has a schedule, the other has none")
        if theirs != mine:
            raise ValueError(f"its schedule is a {theirs}, not a {mine}")
        method = type(self.optimizer).__qualname__
        if (other := saved.get("method", method)) != method:
            raise ValueError(f"its optimizer is of class {other}, not {method}")
        for what, here in (("generators", self.inventory.generators), ("outside", self.outside)):
            if set(saved[what]) != set(here):
                noun = "generators" if what == "generators" else "Tensors beside the model"
                first = ["shuffling"] if what == "generators" else []
                there = ", ".join([*first, *saved[what]]) or "none"
                raise ValueError(
                    f"its {noun} are those of {there}, not of {', '.join([*first, *here]) or 'none'}"
                )
        self.inventory.put(saved["state"], check_only=True)

    def _undo(self) -> Any:
        """A function that puts everything back as it is now."""
        optimizer = self.optimizer
        records = self.inventory.take(everything=True).records
        weights, random = self.weights(), self.rng.bit_generator.state
        groups = [(group, dict(group)) for group in optimizer.param_groups]
        state, data = optimizer.state, [(p, p.value, np.copy(p.data)) for p in self.params]

        def undo() -> None:
            self.inventory.put(records)
            with suppress(ValueError, TypeError, KeyError):
                self.restore(weights)
            for p, value, numbers in data:
                if isinstance(value, np.ndarray):
                    value[...] = numbers
                p.data = value
            for group, before in groups:
                group.clear()
                group.update(before)
            optimizer.param_groups[:] = [group for group, _ in groups]
            optimizer.state = state
            self.rng.bit_generator.state = random

        return undo

    def _grown(self) -> list[str]:
        """Names of what the model has got since the training began."""
        if not hasattr(self.model, "state_dict"):
            return []
        return [name for name in self.model.state_dict() if name not in self._of_model]

    def _others_gone(self, theirs: Mapping[str, str]) -> list[str]:
        """Callbacks, metrics and data of another training that this one does not have."""
        return [
            f"{name} ({kind})" for name, kind in theirs.items() if self._others.get(name) != kind
        ]

    # ── groups of parameters ──────────────────────────────────────────────────────────────────────

    def _keys(self) -> dict[str, Tensor]:
        remade = {k: t for k, t in self.inventory.remade.items() if isinstance(t, Tensor)}
        return self.inventory.tensors | self._of_model | self.outside | remade

    def _groups(self, made: Mapping[int, str]) -> list[list[str | None]]:
        keys = {p: name for name, p in self._keys().items()}
        return [
            [keys.get(p) or made.get(id(p)) for p in group["params"]]
            for group in self.optimizer.param_groups
        ]

    def _add_groups(self, groups: list[list[str | None]], saved: Any) -> None:
        """Those that a callback added, if their parameters are known or were made anew."""
        keys, have = self._keys(), len(self.optimizer.param_groups)
        for names, group in zip(groups[have:], saved["param_groups"][have:], strict=True):
            if not all(name in keys for name in names):
                return
            options = {k: v for k, v in group.items() if k != "params"}
            params = [keys[name] for name in names if name is not None]
            self.optimizer.add_param_group({**options, "params": params})


def _kind(x: Any) -> str:
    """What a function, or the class of an object, is called."""
    named = x if isinstance(x, types.FunctionType | types.MethodType) else type(x)
    return named.__qualname__.rpartition("<locals>.")[2]
