"""Table: how JavaScript spells NumPy's elementwise operations and reductions, and which move elements."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from autobp.compiler.trace.calls import select
from autobp.operation import PREFIXES, SIGNS
from autobp.rules.indexing import _put
from autobp.rules.shape import surrounded

__all__ = ["ELEMENTWISE", "MOVES", "OF_TRUTH", "OF_WHOLE_NUMBERS", "REDUCED", "SCANNED"]

# fmt: off
_SIGNED = {
    "+": "{0} + {1}",  "-": "{0} - {1}",  "*": "{0} * {1}",  "/": "{0} / {1}",
    "**": "power({0}, {1})",  "//": "floorDivide({0}, {1})",  "%": "remainder({0}, {1})",
    "&": "{0} & {1}",  "|": "{0} | {1}",  "^": "{0} ^ {1}",
    "==": "+({0} === {1})",  "!=": "+({0} !== {1})",
    "<": "+({0} < {1})",  "<=": "+({0} <= {1})",  ">": "+({0} > {1})",  ">=": "+({0} >= {1})",
}
_PREFIXED = {"-": "-{0}", "+": "{0}", "~": "+({0} === 0)"}

#: An element of the result, of the elements of the arguments.
ELEMENTWISE: dict[Any, str] = {
    **{f: text for sign, text in _SIGNED.items() for f in (SIGNS[sign].ufunc, SIGNS[sign].python)},
    **{f: text for sign, text in _PREFIXED.items() for f in (PREFIXES[sign].ufunc, PREFIXES[sign].python)},
    **{getattr(np, name): f"Math.{js}({{0}})" for name, js in {
        "exp": "exp", "expm1": "expm1", "log": "log", "log2": "log2", "log10": "log10", "log1p": "log1p",
        "sin": "sin", "cos": "cos", "tan": "tan", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
        "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "arcsinh": "asinh", "arccosh": "acosh",
        "arctanh": "atanh", "sqrt": "sqrt", "cbrt": "cbrt", "absolute": "abs", "fabs": "abs",
        "floor": "floor", "ceil": "ceil", "trunc": "trunc"}.items()},
    np.sign: "Math.sign({0}) + 0",  # of −0, as NumPy's, 0
    abs: "Math.abs({0})",
    float: "{0}",
    np.conjugate: "{0}",
    np.square: "{0} * {0}",
    np.reciprocal: "1 / {0}",
    np.exp2: "2 ** {0}",
    np.deg2rad: "{0} * (Math.PI / 180)",
    np.radians: "{0} * (Math.PI / 180)",
    np.rad2deg: "{0} * (180 / Math.PI)",
    np.degrees: "{0} * (180 / Math.PI)",
    np.rint: "rint({0})",
    np.maximum: "Math.max({0}, {1})",
    np.minimum: "Math.min({0}, {1})",
    np.fmax: "fmax({0}, {1})",
    np.fmin: "fmin({0}, {1})",
    np.fmod: "{0} % {1}",
    np.arctan2: "Math.atan2({0}, {1})",
    np.hypot: "Math.hypot({0}, {1})",
    np.logaddexp: "logaddexp({0}, {1})",
    np.logaddexp2: "logaddexp2({0}, {1})",
    np.copysign: "copysign({0}, {1})",
    np.heaviside: "heaviside({0}, {1})",
    np.where: "{0} !== 0 ? {1} : {2}",
    select: "{0} !== 0 ? {1} : {2}",
    np.isnan: "+({0} !== {0})",
    np.isfinite: "+Number.isFinite({0})",
    np.isinf: "+(Math.abs({0}) === Infinity)",
    np.signbit: "+isNegative({0})",
    np.logical_and: "both({0}, {1})",
    np.logical_or: "either({0}, {1})",
    np.logical_not: "+({0} === 0)",
}

#: What is spelled otherwise where the result is a truth value, and nothing without a spelling.
OF_TRUTH: dict[Any, str] = dict.fromkeys((np.add, operator.add), "either({0}, {1})")
#: And where it is a whole number: NumPy divides by zero to zero. Bits of whole numbers are not theirs here.
OF_WHOLE_NUMBERS: dict[Any, str] = {
    **{f: f"{{1}} === 0 ? 0 : {text}" for f, text in ELEMENTWISE.items() if f in (
        np.floor_divide, operator.floordiv, np.remainder, operator.mod, np.fmod)},
    **{f: "" for sign in ("&", "|", "^") for f in (SIGNS[sign].ufunc, SIGNS[sign].python)},
    **dict.fromkeys((PREFIXES["~"].ufunc, PREFIXES["~"].python, np.reciprocal), ""),
}

#: What combines two elements, and what the first one is combined with: of no elements, the result.
REDUCED: dict[np.ufunc, tuple[str, str]] = {
    np.add: ("sum", "0"),
    np.multiply: ("product", "1"),
    np.maximum: ("Math.max", "undefined"),
    np.minimum: ("Math.min", "undefined"),
    np.logical_and: ("both", "1"),
    np.logical_or: ("either", "0"),
}
SCANNED: dict[Any, np.ufunc] = {
    np.cumsum: np.add, np.cumprod: np.multiply,
    np.add.accumulate: np.add, np.multiply.accumulate: np.multiply,
}

#: Functions whose results consist of elements of their first arguments, and of zeros; of each, how
#: many arguments these are.
MOVES: dict[Any, int] = {
    _put: 2,
    **dict.fromkeys((
        operator.getitem, np.reshape, np.transpose, np.flip, np.roll, np.broadcast_to, np.concatenate,
        np.stack, np.expand_dims, np.squeeze, np.moveaxis, np.swapaxes, np.matrix_transpose, np.ravel,
        np.copy, np.array, np.tril, np.triu, np.diag, np.diagonal, np.repeat, np.tile, np.take,
        np.vstack, np.hstack, np.rot90, np.fliplr, np.flipud, np.atleast_1d, np.atleast_2d, surrounded,
    ), 1),
}
# fmt: on
