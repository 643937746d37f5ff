"""Refusals: what printers of programs say of a step for which their target has no spelling."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.compiler.program import Step
from autobp.compiler.trace.tracer import named
from autobp.primitive import NUMPY
from autobp.rules import PRIMITIVES

__all__ = ["called", "place", "refusal"]

#: Primitives that are known by another name.
_ALIASES = {
    "conv2d": "a convolution (np.convolve, nn.Conv2d)",
    "pool2d": "a pooling (nn.MaxPool2d, nn.AvgPool2d)",
    "logdet": "np.linalg.slogdet",
    "attention": "nn.attention",
    "batch_norm": "nn.BatchNorm2d",
    "polygamma": "autobp.polygamma",
    "put": "an assignment to elements (x[index] = v)",
}


def refusal(step: Step, why: str, target: str) -> str:
    return f"{called(step)}{why} has no spelling in {target}"


def called(step: Step) -> str:
    """What makes a step, by the name by which its user knows it."""
    if step.function is None:
        return "an argument"
    primitive = next((p for p in PRIMITIVES.values() if p.function is step.function), None)
    return named(step.function) if primitive is None else _public(primitive.name, step.function)


def _public(name: str, function: Any) -> str:
    """The function of NumPy's that has the name of a primitive, or the function itself; of one that is
    private, the primitive."""
    if (found := _ALIASES.get(name)) is not None:
        return found
    homes = (np, np.linalg)
    return next(
        (named(f) for m in homes if (f := getattr(m, name, None)) in NUMPY),
        name if named(function).startswith(("_", "<")) else named(function),
    )


def place(step: Step) -> str:
    return f" at {step.line}" if step.line else ""
