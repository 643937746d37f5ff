"""`p -= lr * p.grad`: the operators that update a leaf in place where nothing is recorded.

Elsewhere `a += b` makes a new Tensor, as `a = a + b` does: a recorded value must stay what it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.context import current
from autobp.errors import argument_changed, changed_by_batch, changed_in_model, label, shape_changed
from autobp.operation import SIGNS
from autobp.primitive import Variable

__all__ = ["FROZEN", "UNRECORDED", "in_place", "overwrite"]

#: The params of a result that was not recorded, by which it is told from a leaf that a user made.
UNRECORDED: dict[str, Any] = {}
#: Those of a leaf that was trained and is so no longer, by which a module tells it from a buffer.
FROZEN: dict[str, Any] = {}


def in_place(text: str) -> Callable[[Any, Any], Any]:
    """The method of Tensor for an operator such as `+=`."""
    compute = SIGNS[text].python

    def update(self: Any, other: Any) -> Any:
        context = current()
        if not context.threshold:
            if text == "-" and _looks_like_descent(self, other):
                warnings.warn(
                    f"-= makes a new Tensor while gradients are recorded, and {label(self)} stays as it was:"
                    " to update a parameter, write with no_grad(): p -= lr * p.grad",
                    stacklevel=2,
                )
            return compute(self, other)
        if self.level > 0 and self.primitive is None and self.level < context.threshold:
            raise argument_changed(self, text)
        result = compute(self, other)
        if self.level == 0 and self.primitive is None and getattr(result, "is_batch", False):
            raise changed_by_batch(self, text)
        if not _is_update(self, result):
            return result
        if context.keeps_leaves:
            if self.level < 0 or self.born > context.threshold:  # made since: it is no parameter
                return result
            raise changed_in_model(self, text)
        if result.shape != self.shape:
            raise shape_changed(self, text, result.shape)
        overwrite(self, result.value)
        return self

    return update


def overwrite(t: Any, value: Any) -> None:
    """Set the data of a leaf. Its array stays the same one, for whoever has a view of it."""
    held = t.value
    plain = type(held) is np.ndarray and not isinstance(value, Variable)
    if plain and held.flags.writeable and held.shape == np.shape(value):
        held[...] = value
        value = held
    t.data = value


def _looks_like_descent(t: Any, step: Any) -> bool:
    """Whether a leaf that has a gradient is decreased by a constant of its shape."""
    return (
        t.primitive is None
        and t.level == 0
        and t._grad is not None
        and not getattr(step, "requires_grad", False)
        and np.shape(step) == t.shape
    )


def _is_update(t: Any, result: Any) -> bool:
    """Whether `t` is a leaf that a user made, and the result was not recorded."""
    if t.primitive is not None or t.level > 0 or t.params is UNRECORDED:
        return False
    return not getattr(result, "requires_grad", True)
