"""Options: the arguments of `fit`, each with its check."""

# ruff: noqa: RUF009  (the calls make dataclass fields)

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from autobp.optim import Optimizer, ReduceLROnPlateau, Schedule
from autobp.optim.option import count, flag, not_negative
from autobp.train.executors import check_executor
from autobp.train.history import highest
from autobp.train.source import Source, Stream, source

__all__ = ["Function", "Options", "checked_metrics"]

Function = Callable[[Any, Any], Any]


def checked_metrics(name: str, value: Any) -> dict[str, Function]:
    if not isinstance(value, Mapping | None):
        raise TypeError(f'{name} must be a dict such as {{"accuracy": nn.accuracy}}')
    for key, metric in (value or {}).items():
        if not isinstance(key, str):
            raise TypeError(f"{name}: the name of a metric must be a string, not {key!r:.50}")
        _function(f"{name}[{key!r}]", metric, "such as nn.accuracy")
    for taken in ("loss", "epoch", "lr", "seconds"):
        if value and taken in value:
            raise ValueError(f"{name}: no metric can be called {taken!r}, as another column is")
    return dict(value or {})


def _function(name: str, value: Any, needed: str) -> Any:
    if isinstance(value, type) or not callable(value):
        raise TypeError(f"{name} must be a function {needed}, not {value!r:.50}")
    return value


def _callbacks(name: str, value: Any) -> list[Any]:
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list of functions of the Run, not {value!r:.50}")
    return [_function(f"{name}[{i}]", f, "of the Run") for i, f in enumerate(value)]


def _instance(name: str, value: Any, kinds: tuple[type, ...], needed: str) -> Any:
    if not isinstance(value, kinds):
        raise TypeError(f"{name} must be {needed}, not {value!r:.50}")
    return value


def _path(name: str, value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be the path of a file, not {value!r:.50}")
    path = os.fspath(value)
    folder = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    if not os.access(folder, os.W_OK):  # found before the work of an epoch is lost
        raise OSError(f"{name}: the folder {folder} does not exist or cannot be written to")
    return path


def _generator(name: str, value: Any) -> np.random.Generator:
    try:
        return np.random.default_rng(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be a whole number, 0 or above, or a Generator, not {value!r:.50}"
        ) from None


def _flag_or_none(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True, False or None, not {value!r:.50}")
    return value


def _executor(name: str, value: Any) -> Any:
    check_executor(name.partition(":")[0], value)
    return value


def _checked(check: Callable[..., Any], *args: Any, optional: bool = False) -> Any:
    return field(metadata={"check": check, "args": args, "optional": optional})


@dataclass(frozen=True, kw_only=True)
class Options:
    """The arguments of `fit`, checked and in canonical form. `None` means that one is not used."""

    model: Any = _checked(_function, "of a batch of X")
    data: Source = _checked(source)
    loss: Function = _checked(_function, "such as nn.cross_entropy")
    optimizer: Optimizer = _checked(
        _instance, (Optimizer,), "an optimizer such as Adam(model.parameters())"
    )
    epochs: int = _checked(count, 1)
    batch_size: int = _checked(count, 1)
    validation: Source | None = _checked(source, optional=True)
    callbacks: Sequence[Callable[..., object]] = _checked(_callbacks)
    metrics: Mapping[str, Function] = _checked(checked_metrics)
    schedule: Schedule | ReduceLROnPlateau | None = _checked(
        _instance,
        (Schedule, ReduceLROnPlateau),
        "a schedule such as StepLR(optimizer, 10)",
        optional=True,
    )
    clip_norm: float | None = _checked(not_negative, optional=True)
    monitor: str
    mode: str | None
    patience: int | None = _checked(count, 1, optional=True)
    keep_best: bool = _checked(flag)
    checkpoint: str | None = _checked(_path, optional=True)
    resume: bool = _checked(flag)
    rng: np.random.Generator = _checked(_generator)
    progress: bool = _checked(flag)
    compile: bool | None = _checked(_flag_or_none, optional=True)
    executor: Executor | None = _checked(_executor, optional=True)

    def __post_init__(self) -> None:
        for option in fields(self):
            value, how = getattr(self, option.name), option.metadata
            if how and not (how["optional"] and value is None):
                value = how["check"](f"fit: {option.name}", value, *how["args"])
                object.__setattr__(self, option.name, value)
        for given in (self.data, self.validation):
            if isinstance(given, Stream) and given.is_read_once and self.epochs > 1:
                raise TypeError(
                    f"{given.name} is a {type(given.source).__name__}, which can be read only once, and there"
                    f" are {self.epochs} epochs: pass a list of batches, an object whose __iter__ begins anew,"
                    " or a function that returns a new iterator"
                )
        if self.executor is not None and isinstance(self.data, Stream):
            raise TypeError(
                "fit: with an executor, data must be a pair of arrays (X, y), of which each worker keeps a"
                " part, not batches that come one by one"
            )
        if self.executor is not None and self.compile:
            raise ValueError(
                "fit: workers run uncompiled: pass executor= or compile=True, not both"
            )
        if self.schedule is not None and self.schedule.optimizer is not self.optimizer:
            raise ValueError("fit: the schedule belongs to another optimizer")
        if self.checkpoint is None and self.resume:
            raise ValueError("fit: resume=True needs checkpoint=, the file to resume from")
        if self.checkpoint is not None and os.path.isdir(self.checkpoint or "."):
            raise IsADirectoryError(
                f"fit: checkpoint={os.fspath(self.checkpoint)!r} is a folder: write the name of a file in it"
            )
        if self.checkpoint is not None and os.path.exists(self.checkpoint) and not self.resume:
            raise FileExistsError(
                f"{self.checkpoint} exists: pass resume=True to continue from it, or remove it"
            )
        monitor = self.monitor or ("loss" if self.validation is None else "val_loss")
        columns = ["loss", *self.metrics]
        if self.validation is not None:
            columns += [f"val_{name}" for name in columns]
        if monitor not in columns:
            raise ValueError(
                f"fit: there is no {monitor!r} to monitor; there are {', '.join(columns)}"
            )
        object.__setattr__(self, "monitor", monitor)
        try:
            object.__setattr__(self, "mode", "max" if highest(monitor, self.mode) else "min")
        except ValueError as error:
            raise ValueError(f"fit: {error}") from None
