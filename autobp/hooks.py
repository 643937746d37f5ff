"""Hooks: functions that a backward sweep calls with a tensor's gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["RETAIN", "Hook", "HookHandle"]


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
