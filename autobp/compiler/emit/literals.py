"""Literals: plain values and arrays as text that makes them again, exactly."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

__all__ = ["LARGE", "literal", "long_text", "short_text"]

LARGE = 1000  # elements of a constant that are too many to read


def literal(value: Any) -> str:
    """A plain value as text."""
    if value is Ellipsis:
        return "..."
    if type(value) is tuple:
        inside = ", ".join(map(literal, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, np.dtype):
        name = value.type.__name__
        return f"np.{name}" if np.dtype(value.type) == value else f"np.dtype({value.str!r})"
    if isinstance(value, type):
        module = value.__module__
        return f"np.{value.__name__}" if module == "numpy" else value.__name__
    if isinstance(value, np.bool_):
        return f"np.{value!r}".replace("np.np.", "np.")
    if isinstance(value, np.longdouble | np.clongdouble):  # of which Python has no number
        return f"np.{type(value).__name__}({str(value)!r})"
    if isinstance(value, np.generic):
        return f"np.{type(value).__name__}({literal(value.item())})"
    if isinstance(value, float):
        if value != value:
            return "np.nan"
        if value in (np.inf, -np.inf):
            return "np.inf" if value > 0 else "-np.inf"
    return repr(value)


def short_text(array: np.ndarray) -> str | None:
    """A small or regular array as text."""
    dtype = literal(array.dtype)
    if not array.size:
        return f"np.empty({array.shape!r}, {dtype})"
    if array.ndim == 1 and array.size > 3 and array.dtype.kind in "iu":
        start, stop = int(array[0]), int(array[-1]) + 1
        if stop - start == array.size and np.array_equal(array, np.arange(start, stop)):
            ends = f"{start}, {stop}" if start else f"{stop}"
            return (
                f"np.arange({ends})" if array.dtype == int else f"np.arange({ends}, dtype={dtype})"
            )
    if array.size > 3 and np.all(array == 1) and array.dtype.kind == "f":
        size = array.shape if array.ndim != 1 else array.size
        return f"np.ones({size!r}{'' if array.dtype == float else ', ' + dtype})"
    if array.size > 3 and array.tobytes() == array.flat[0].tobytes() * array.size:
        return f"np.full({array.shape!r}, {literal(array.flat[0].item())}, {dtype})"
    if array.size <= LARGE and array.dtype.kind in "biuf" and np.all(np.isfinite(array)):
        return f"np.array({array.tolist()!r}, {dtype})"
    return None


def long_text(array: np.ndarray) -> str:
    """Any array as such text, which nobody can read."""
    data = base64.b85encode(np.ascontiguousarray(array).tobytes()).decode()
    return (
        f"np.frombuffer(base64.b85decode({data!r}), {array.dtype.str!r}).reshape({array.shape!r})"
    )
