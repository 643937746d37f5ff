"""Operands: the values of the steps of a program while it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autobp.compiler.onnx.graph import Builder, Value
from autobp.compiler.program import Step, steps_in

__all__ = ["DTYPES", "FLOATS", "IN_DOUBLE", "Operands", "Unprintable"]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
DTYPES = frozenset(map(np.dtype, ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")))
IN_DOUBLE = " of float64, which onnxruntime computes in float32 alone,"


class Unprintable(ValueError):
    """ONNX has no spelling for a step of a program."""


class Operands:
    """The values of steps, and the builder that adds nodes to the graph."""

    def __init__(self) -> None:
        self.o: Builder = Builder()
        self.values: dict[Step, Any] = {}

    def value(self, x: Any) -> Any:
        """A step, a number or a nest of them as an operand."""
        if isinstance(x, Step):
            if not x.is_constant:
                return self.values[x]
            x = x.constant
        if isinstance(x, list | tuple) and any(True for _ in steps_in(x)):
            parts = [self.value(a) for a in x]
            dtype = np.result_type(*(p.dtype for p in parts))
            return self.o.concat([self.o.unsqueeze(self.o.cast(p, dtype), [0]) for p in parts], 0)
        array = np.asarray(x)
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        if array.dtype not in DTYPES:
            raise NotImplementedError(f" of {array.dtype}")
        return self.o.value(array)

    def typed(self, x: Any, dtype: Any) -> Value:
        if type(x) is int and dtype == np.float64:  # which may have more than 64 bits
            x = float(x)
        return self.o.cast(self.value(x), dtype)

    def common(self, args: Sequence[Any]) -> np.dtype[Any]:
        """The type in which NumPy compares: Python's numbers take that of arrays, if it has them."""
        kinds: list[Any] = []
        whole = [x for x in args if type(x) is int]
        for x in args:
            if isinstance(x, Step):
                kinds.append({float: 0.0, int: 0, bool: np.bool_}.get(x.kind, x.dtype))
            else:
                kinds.append(type(x)(0) if type(x) in (int, float) else np.asarray(x).dtype)
        dtype = np.result_type(*kinds)
        for wider in (dtype, np.dtype(np.int64)):
            if wider.kind not in "iu" or all(_holds(wider, k) for k in whole):
                return wider
        return np.dtype(np.float64)

    def given(self, step: Step, **defaults: Any) -> list[Any]:
        """Further arguments, by place or by name, which are no arrays."""
        by_place = dict(zip(defaults, step.args[1:]))
        found = [by_place.get(k, step.params.get(k, default)) for k, default in defaults.items()]
        if any(True for _ in steps_in(found)):
            raise NotImplementedError(" by numbers that are computed")
        return found


def _holds(dtype: np.dtype[Any], k: int) -> bool:
    return bool(np.iinfo(dtype).min <= k <= np.iinfo(dtype).max)
