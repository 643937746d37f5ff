"""Stand-ins: a Tensor that holds a tracer for the thread that traces, and for no other.

While a function is traced, the values and gradients of the Tensors that it uses are tracers. The
Tensors themselves stay as they are: their class becomes one that looks the two up by thread.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import Any

from autobp.tensor import Tensor, bare_gradient

__all__ = ["Traced", "end", "stand_in"]


@dataclass(slots=True)
class Traced:
    """What a Tensor holds for the thread that traces."""

    tensor: Tensor
    value: Any
    grad: Any
    thread: int = field(default_factory=threading.get_ident)


_traced: dict[Tensor, Traced] = {}


def _field(name: str) -> Any:
    slot = vars(Tensor)[name]

    def read(self: Tensor) -> Any:
        traced = _traced.get(self)
        if traced is None or traced.thread != threading.get_ident():
            return slot.__get__(self)
        return getattr(traced, name)

    def write(self: Tensor, value: Any) -> None:
        traced = _traced.get(self)
        if traced is None or traced.thread != threading.get_ident():
            slot.__set__(self, value)
        elif name == "grad":
            traced.grad = bare_gradient(value, traced.value)
        else:
            traced.value = value

    return property(read, write)


class TracedTensor(Tensor):
    """A Tensor while it is traced."""

    __slots__ = ()

    value = _field("value")
    grad = _field("grad")


def stand_in(tensor: Tensor, value: Any, grad: Any) -> Traced:
    """Let a Tensor hold other things for this thread until the `end`."""
    traced = _traced[tensor] = Traced(tensor, value, grad)
    tensor.__class__ = TracedTensor
    return traced


def end(traced: Traced) -> None:
    """Let a Tensor be what it was."""
    traced.tensor.__class__ = Tensor
    _traced.pop(traced.tensor, None)


def _end_all() -> None:
    """In a forked child the thread that traced is gone."""
    for traced in list(_traced.values()):
        end(traced)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_end_all)
