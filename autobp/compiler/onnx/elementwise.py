"""Elementwise: an operation of the table on operands of the type that NumPy gives it."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from autobp.compiler.onnx.graph import COMPARISONS, Value
from autobp.compiler.onnx.operands import IN_DOUBLE, Operands
from autobp.compiler.onnx.table import BOOLEAN, DOUBLE, INTEGER, Spelling
from autobp.compiler.program import Step

__all__ = ["clipped", "elementwise", "nan_to_num", "rounded"]

_LOGICAL = (np.logical_and, np.logical_or, np.logical_xor, np.logical_not)
_TESTS = (
    *(np.isnan, np.isinf, np.isfinite, np.signbit),
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
    *(operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge),
)


def elementwise(p: Operands, step: Step, row: Spelling) -> Value:
    if row == "Where":
        return _chosen(p, step)
    dtype = _dtype(p, step)
    if dtype.kind == "b" and row in COMPARISONS:
        dtype = np.dtype(np.uint8)
    given = [p.typed(a, dtype) for a in step.args]
    spelling: Spelling | None = row
    if row == "Pow" and _is_root(step):
        spelling = "Sqrt"
        del given[1:]
    elif dtype.kind in "iu":
        spelling = INTEGER.get(row, row)
    elif dtype.kind == "b":
        spelling = BOOLEAN.get(row, row)
    elif dtype == np.float64:
        spelling = DOUBLE.get(row, row)
    if spelling is None:
        raise NotImplementedError(IN_DOUBLE if dtype.kind == "f" else f" of {dtype}")
    if spelling == "Identity":
        return given[0]
    found: Value = (
        getattr(p.o, spelling)(*given) if isinstance(spelling, str) else spelling(p.o, *given)
    )
    return found


def _dtype(p: Operands, step: Step) -> np.dtype[Any]:
    """The type of the operands: that of the result, but for questions."""
    if step.function in _LOGICAL:
        return np.dtype(bool)
    if step.function not in _TESTS:
        assert step.dtype is not None
        return step.dtype
    dtype = p.common(step.args)
    is_asked_of_floats = len(step.args) == 1
    return np.dtype(np.float64) if is_asked_of_floats and dtype.kind != "f" else dtype


def _is_root(step: Step) -> bool:
    """Whether an array has the exponent 0.5, for which NumPy takes the root: of -inf it is nan."""
    if not step.is_array:
        return False
    exponent = step.args[1]
    if isinstance(exponent, Step):
        exponent = exponent.constant
    return np.ndim(exponent) == 0 and exponent == 0.5


def _chosen(p: Operands, step: Step) -> Value:
    if len(step.args) != 3:
        raise NotImplementedError(" of a condition alone")
    condition = p.typed(step.args[0], bool)
    return p.o.Where(condition, *(p.typed(a, step.dtype) for a in step.args[1:]))


# ── with options ──────────────────────────────────────────────────────────────────────────────────


def rounded(p: Operands, step: Step) -> Value:
    (decimals,) = p.given(step, decimals=0)
    x: Value = p.value(step.args[0])
    if x.dtype.kind != "f":
        if decimals >= 0:
            return x
        x = p.o.cast(x, np.float64)  # as in NumPy
    if not decimals:
        return p.o.Round(x)
    scale = 10.0 ** abs(decimals)
    there, back = (p.o.Mul, p.o.Div) if decimals > 0 else (p.o.Div, p.o.Mul)
    return back(p.o.Round(there(x, scale)), scale)


def clipped(p: Operands, step: Step) -> Value:
    low, high = _ends(step)
    x = p.typed(step.args[0], step.dtype)
    x = x if low is None else p.o.Max(x, p.typed(low, x.dtype))
    return x if high is None else p.o.Min(x, p.typed(high, x.dtype))


def _ends(step: Step) -> list[Any]:
    """The least and the greatest element, by place or under one of two names."""
    found = []
    for i, names in enumerate((("a_min", "min"), ("a_max", "max")), 1):
        given = [*step.args[i : i + 1], *(step.params[n] for n in names if n in step.params)]
        found.append(next((x for x in given if x is not np._NoValue), None))
    return found


def nan_to_num(p: Operands, step: Step) -> Value:
    o, x = p.o, p.value(step.args[0])
    if x.dtype.kind != "f":
        found: Value = x
        return found
    most = float(np.finfo(x.dtype).max)
    _, nan, high, low = p.given(step, copy=True, nan=0.0, posinf=most, neginf=-most)
    high, low = (d if v is None else v for v, d in ((high, most), (low, -most)))
    x = o.Where(o.IsNaN(x), nan, x)
    x = o.Where(o.And(o.IsInf(x), o.Greater(x, 0)), high, x)
    return o.Where(o.And(o.IsInf(x), o.Less(x, 0)), low, x)
