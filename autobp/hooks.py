"""Hooks: functions that a backward sweep calls with a tensor's gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autobp.primitive import Variable

__all__ = ["RETAIN", "Digests", "Hook", "HookHandle"]


class Hook:
    """A function to call with a tensor's gradient. The tensor refers to it, not it to the tensor."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[Any], Any]) -> None:
        self.call: Callable[..., Any] = call


class HookHandle:
    """The handle by which a hook is removed."""

    __slots__ = ("_hook", "_tensor")

    def __init__(self, tensor: Any, hook: Hook) -> None:
        self._tensor = tensor
        self._hook = hook

    def remove(self) -> None:
        self._tensor.hooks = tuple(h for h in self._tensor.hooks if h is not self._hook)


#: The hook of retain_grad: a sweep that finds it stores the gradient.
RETAIN = Hook(lambda gradient: None)


class Digests(Hook):
    """What detect_anomaly() notes of an operation: digests of its result and of what it was given, since
    arrays may be written to before the sweep reads them. As a hook it does nothing."""

    __slots__ = ("digests",)

    def __init__(self, arrays: Sequence[Any]) -> None:
        super().__init__(lambda gradient: None)
        self.digests: list[int | None] = [_digest(a) for a in arrays]

    def changed(self, arrays: Sequence[Any]) -> list[int] | None:
        """The places of those that hold other numbers now; None if there are some of a kind that is not
        digested."""
        if None in self.digests:
            return None
        return [i for i, a in enumerate(arrays) if _digest(a) != self.digests[i]]


def _digest(a: Any) -> int | None:
    if type(a) is np.ndarray:
        return hash(a.tobytes())
    return 0 if isinstance(a, float | int | np.generic | Variable) else None
