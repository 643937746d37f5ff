"""Results: the nest that a function returns, and what a program returns for it."""

from __future__ import annotations

from typing import Any

from autobp.compiler.terms import CaptureError
from autobp.tensor import Tensor
from autobp.tree import leaves, parts_of, transformed

__all__ = ["Results", "form", "plain_nest"]

_DEEPEST = 150  # brackets within brackets that Python's parser takes, with some to spare


class Results:
    """How the nest that a function returned is made again of what its program returns: numbers and
    arrays in a nest that can be written as text."""

    def __init__(self, result: Any) -> None:
        has_tensors = any(isinstance(y, Tensor) for _, y in leaves(result))
        self.is_plain = not has_tensors and form(result) == form(plain_nest(result))
        self.like: Any = transformed(lambda y: isinstance(y, Tensor), result)

    def filled(self, result: Any) -> Any:
        if self.is_plain:
            return result
        values = (y for _, y in leaves(result))

        def leaf(is_tensor: bool) -> Any:
            y = next(values)
            return Tensor(y, requires_grad=False) if is_tensor else y

        return transformed(leaf, self.like)


def plain_nest(nest: Any, level: int = 0) -> Any:
    """A nest of the same leaves that can be written as text."""
    if level > _DEEPEST:
        raise CaptureError(
            f"compile cannot capture a result that is nested more than {_DEEPEST} levels deep"
        )
    if isinstance(nest, dict):
        parts = [plain_nest(v, level + 1) for v in nest.values()]
        is_text = all(isinstance(k, str | int | float | bool) for k in nest)
        return dict(zip(nest, parts)) if is_text and type(nest) is dict else parts
    inner = parts_of(nest)
    if inner is None:
        return nest
    parts = [plain_nest(v, level + 1) for v in inner]
    return tuple(parts) if isinstance(nest, tuple) else parts


def form(nest: Any) -> Any:
    """A nest without its leaves."""
    if isinstance(nest, dict):
        return {key: form(branch) for key, branch in nest.items()}
    parts = parts_of(nest)
    if parts is not None:
        return type(nest).__name__, [form(branch) for branch in parts]
    return None if nest is None else ...
