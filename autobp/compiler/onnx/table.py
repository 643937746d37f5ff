"""Table: how ONNX spells NumPy's elementwise operations and reductions.

A row is the name of an operator, or an expression of several: `o.Exp(x)` adds a node. What onnxruntime
computes in float32 alone has a second spelling for float64, of operators that it has; where there is
none, the operation is refused in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.compiler.trace.calls import select
from autobp.operation import PREFIXES, SIGNS

__all__ = ["BOOLEAN", "DOUBLE", "ELEMENTWISE", "INTEGER", "REDUCED", "SCIPY", "Spelling"]

Spelling = str | Callable[..., Any]


# ── expressions ───────────────────────────────────────────────────────────────────────────────────


def _expm1(o: Any, x: Any) -> Any:
    """(u − 1)·x / log u with u = eˣ, in which the rounding of u cancels."""
    u = o.Exp(x)
    found = o.Div(o.Mul(o.Sub(u, 1), x), o.Log(u))
    found = o.Where(o.Equal(u, 1), x, found)
    return o.Where(o.Or(o.Less(x, -30), o.Greater(x, 30)), o.Sub(u, 1), found)


def _log1p(o: Any, x: Any) -> Any:
    """log u·x / (u − 1) with u = 1 + x, in which the rounding of u cancels."""
    u = o.Add(x, 1)
    far = o.Greater(x, 1e16 if x.is_double else 1e8)
    near = o.Where(far, 1.0, x)
    v = o.Add(near, 1)
    found = o.Div(o.Mul(o.Log(v), near), o.Sub(v, 1))
    return o.Where(o.Equal(u, 1), x, o.Where(far, o.Log(x), found))


def _sinh(o: Any, x: Any) -> Any:
    """Of e^(|x| / 2), which does not overflow before the result does."""
    near = o.Where(o.Less(o.Abs(x), 1), x, 0.0)
    small = _expm1(o, near)
    small = o.Mul(o.Add(small, o.Div(small, o.Add(small, 1))), 0.5)
    return o.Where(o.Less(o.Abs(x), 1), small, o.Mul(o.Sign(x), _half_exp(o, x, o.Sub)))


def _half_exp(o: Any, x: Any, join: Any) -> Any:
    half = o.Exp(o.Mul(o.Abs(x), 0.5))
    return join(o.Mul(o.Mul(half, 0.5), half), o.Div(o.Div(0.5, half), half))


def _arcsinh(o: Any, x: Any) -> Any:
    a = o.Abs(x)
    far = o.Greater(a, 1e8)
    b = o.Where(far, 0.0, a)
    square = o.Mul(b, b)
    near = _log1p(o, o.Add(b, o.Div(square, o.Add(o.Sqrt(o.Add(square, 1)), 1))))
    large = o.Add(o.Log(o.Where(far, a, 1.0)), math.log(2))
    return o.Mul(o.Sign(x), o.Where(far, large, near))


def _arccosh(o: Any, x: Any) -> Any:
    far = o.Greater(x, 1e8)
    b = o.Where(far, 1.0, x)
    t = o.Sub(b, 1)
    near = _log1p(o, o.Add(t, o.Sqrt(o.Mul(t, o.Add(b, 1)))))
    near = o.Where(o.Less(x, 1), np.nan, near)
    return o.Where(far, o.Add(o.Log(o.Where(far, x, 1.0)), math.log(2)), near)


def _arctan(o: Any, x: Any) -> Any:
    """The angle in float32, corrected by the angle that is left, which is too small for its third power
    to count."""
    b = o.Max(o.Min(x, 1e30), -1e30)
    y = o.cast(o.Atan(o.cast(b, np.float32)), np.float64)
    s, c = o.Sin(y), o.Cos(y)
    left = o.Div(o.Sub(o.Mul(b, c), s), o.Add(c, o.Mul(b, s)))
    return o.Add(y, left)


def _arcsin(o: Any, x: Any) -> Any:
    return _arctan(o, o.Div(x, o.Sqrt(o.Mul(o.Sub(1.0, x), o.Add(x, 1)))))


def _arccos(o: Any, x: Any) -> Any:
    return o.Mul(_arctan(o, o.Sqrt(o.Div(o.Sub(1.0, x), o.Add(x, 1)))), 2.0)


def _is_negative(o: Any, x: Any) -> Any:
    """The sign bit, also of −0."""
    return o.Or(o.Less(x, 0), o.And(o.Equal(x, 0), o.Less(o.Reciprocal(x), 0)))


def _arctan2(o: Any, y: Any, x: Any) -> Any:
    a, b = o.Abs(y), o.Abs(x)
    quotient = o.Where(o.Equal(a, b), o.Where(o.Equal(a, 0), a, 1.0), o.Div(a, b))
    angle = o.Atan(quotient) if not x.is_double else _arctan(o, quotient)
    angle = o.Where(_is_negative(o, x), o.Sub(math.pi, angle), angle)
    angle = o.Where(_is_negative(o, y), o.Neg(angle), angle)
    return o.Where(o.Or(o.IsNaN(x), o.IsNaN(y)), o.Add(x, y), angle)


def _hypot(o: Any, x: Any, y: Any) -> Any:
    a, b = o.Abs(x), o.Abs(y)
    great, small = o.Max(a, b), o.Min(a, b)
    ratio = o.Div(small, o.Where(o.Or(o.Equal(great, 0), o.IsInf(great)), 1.0, great))
    found = o.Mul(great, o.Sqrt(o.Add(o.Mul(ratio, ratio), 1)))
    return o.Where(o.Or(o.IsInf(x), o.IsInf(y)), np.inf, found)


def _logaddexp(o: Any, x: Any, y: Any) -> Any:
    gap = o.Where(o.Equal(x, y), 0.0, o.Neg(o.Abs(o.Sub(x, y))))
    return o.Add(o.Max(x, y), _log1p(o, o.Exp(gap)))


def _logaddexp2(o: Any, x: Any, y: Any) -> Any:
    gap = o.Where(o.Equal(x, y), 0.0, o.Neg(o.Abs(o.Sub(x, y))))
    return o.Add(
        o.Max(x, y), o.Mul(_log1p(o, o.Pow(o.value(np.array(2, x.dtype)), gap)), 1 / math.log(2))
    )


def _remainder(o: Any, x: Any, y: Any) -> Any:
    """With the sign of the divisor, as in Python."""
    rest = o.Mod(x, y, fmod=1)
    found = o.Where(_is_below(o, rest, y), o.Add(rest, y), rest)
    return o.Where(o.Equal(rest, 0), _copysign(o, rest, y), found)


def _floor_divide(o: Any, x: Any, y: Any) -> Any:
    """The rest is exact, so that the quotient without it is a whole number but for rounding."""
    rest = o.Mod(x, y, fmod=1)
    whole = o.Round(o.Div(o.Sub(x, rest), y))
    found = o.Where(_is_below(o, rest, y), o.Sub(whole, 1), whole)
    return o.Where(o.Equal(y, 0), o.Div(x, y), found)


def _is_below(o: Any, rest: Any, y: Any) -> Any:
    """Whether the quotient was rounded up."""
    return o.And(o.Xor(o.Less(rest, 0), o.Less(y, 0)), o.Not(o.Equal(rest, 0)))


def _fmod(o: Any, x: Any, y: Any) -> Any:
    return o.Mod(x, y, fmod=1)


def _fmax(o: Any, x: Any, y: Any) -> Any:
    return o.Where(o.IsNaN(x), y, o.Where(o.IsNaN(y), x, o.Max(x, y)))


def _fmin(o: Any, x: Any, y: Any) -> Any:
    return o.Where(o.IsNaN(x), y, o.Where(o.IsNaN(y), x, o.Min(x, y)))


def _trunc(o: Any, x: Any) -> Any:
    return o.Where(o.Less(x, 0), o.Ceil(x), o.Floor(x))


def _divisor(o: Any, y: Any) -> Any:
    """Whole numbers to divide by, without those that end the process: 0, and −1, by which the least
    number has no quotient. Their place takes 1, which leaves no rest either."""
    ends = o.Equal(y, 0) if y.dtype.kind == "u" else o.Or(o.Equal(y, 0), o.Equal(y, -1))
    return o.Where(ends, o.full((), 1, y.dtype), y)


def _whole_quotient(o: Any, x: Any, y: Any) -> Any:
    """Rounded down: ONNX rounds to 0. A quotient by 0 is 0."""
    divisor = _divisor(o, y)
    found = o.Div(x, divisor)
    if y.dtype.kind == "i":
        below = _is_below(o, o.Mod(x, divisor, fmod=1), divisor)
        found = o.Where(below, o.Sub(found, 1), found)
        found = o.Where(o.Equal(y, -1), o.Neg(x), found)
    return o.Where(o.Equal(y, 0), 0, found)


def _copysign(o: Any, x: Any, y: Any) -> Any:
    return o.Where(_is_negative(o, y), o.Neg(o.Abs(x)), o.Abs(x))


def _heaviside(o: Any, x: Any, y: Any) -> Any:
    found = o.Where(o.Equal(x, 0), y, o.Where(o.Greater(x, 0), o.full((), 1, x.dtype), 0.0))
    return o.Where(o.IsNaN(x), x, found)


def _cbrt(o: Any, x: Any) -> Any:
    """With one step of Newton's method, since the exponent is rounded."""
    a = o.Abs(x)
    y = o.Pow(a, 1 / 3)
    is_plain = o.Not(o.Or(o.Equal(a, 0), o.IsInf(a)))
    z = o.Where(is_plain, y, 1.0)
    better = o.Sub(z, o.Div(o.Sub(z, o.Div(o.Div(a, z), z)), 3.0))
    return o.Mul(o.Sign(x), o.Where(is_plain, better, y))


def _where_zero(o: Any, x: Any, found: Any, y: Any) -> Any:
    """0 where x is 0, unless y is nan."""
    return o.Where(o.And(o.Equal(x, 0), o.Not(o.IsNaN(y))), 0.0, found)


def _softplus(o: Any, x: Any) -> Any:
    return o.Add(o.Max(x, 0.0), _log1p(o, o.Exp(o.Neg(o.Abs(x)))))


def _rel_entr(o: Any, x: Any, y: Any) -> Any:
    positive = o.And(o.Greater(x, 0), o.Greater(y, 0))
    found = o.Mul(x, o.Log(o.Where(positive, o.Div(x, y), 1.0)))
    zero = o.And(o.Equal(x, 0), o.GreaterOrEqual(y, 0))
    found = o.Where(positive, found, o.Where(zero, o.Mul(x, 0.0), np.inf))
    return o.Where(o.Or(o.IsNaN(x), o.IsNaN(y)), o.Add(x, y), found)


def _entr(o: Any, x: Any) -> Any:
    found = o.Neg(o.Mul(x, o.Log(o.Where(o.Greater(x, 0), x, 1.0))))
    return o.Where(o.Less(x, 0), -np.inf, found)


# fmt: off

#: Operators that onnxruntime computes in float32 alone, in float64.
DOUBLE: dict[Any, Spelling | None] = {
    "Tan":   lambda o, x: o.Div(o.Sin(x), o.Cos(x)),
    "Sinh":  _sinh,
    "Cosh":  lambda o, x: _half_exp(o, x, o.Add),
    "Asin":  _arcsin,
    "Acos":  _arccos,
    "Atan":  _arctan,
    "Asinh": _arcsinh,
    "Acosh": _arccosh,
    "Atanh": lambda o, x: o.Mul(_log1p(o, o.Div(o.Mul(x, 2.0), o.Sub(1.0, x))), 0.5),
    "Erf":   None,
}

_SIGNED: dict[str, Spelling] = {
    "+": "Add",  "-": "Sub",  "*": "Mul",  "/": "Div",  "**": "Pow",
    "//": _floor_divide,  "%": _remainder,
    "&": "And",  "|": "Or",  "^": "Xor",
    "==": "Equal",  "!=": lambda o, x, y: o.Not(o.Equal(x, y)),
    "<": "Less",  "<=": "LessOrEqual",  ">": "Greater",  ">=": "GreaterOrEqual",
}
_PREFIXED: dict[str, Spelling] = {"-": "Neg", "+": "Identity", "~": "Not"}

#: Where whole numbers have another spelling. A quotient by 0, which would end the process, is 0.
INTEGER: dict[Any, Spelling | None] = {
    "And": "BitwiseAnd",  "Or": "BitwiseOr",  "Xor": "BitwiseXor",  "Not": "BitwiseNot",
    "Floor": "Identity",  "Ceil": "Identity",  "Round": "Identity",  _trunc: "Identity",
    _fmax: "Max",  _fmin: "Min",
    _remainder:    lambda o, x, y: o.Where(o.Equal(y, 0), 0, o.Mod(x, _divisor(o, y))),
    _floor_divide: _whole_quotient,
    _fmod:         lambda o, x, y: o.Where(o.Equal(y, 0), 0, o.Mod(x, _divisor(o, y), fmod=1)),
    "Neg":         lambda o, x: o.Sub(0, x) if x.dtype.kind == "u" else o.Neg(x),
    "Reciprocal":  None,
}

#: Where truth values have.
BOOLEAN: dict[Any, Spelling | None] = {
    "Mul": "And",  "Add": "Or",  "Max": "Or",  "Min": "And",  _fmax: "Or",  _fmin: "And",
    "Abs": "Identity",  "Floor": "Identity",  "Ceil": "Identity",  _trunc: "Identity",
}

#: An operation on elements: its operands have the type of its result; those of a comparison, their own.
ELEMENTWISE: dict[Any, Spelling] = {
    **{f: op for sign, op in _SIGNED.items() for f in (SIGNS[sign].ufunc, SIGNS[sign].python)},
    **{f: op for sign, op in _PREFIXED.items() for f in (PREFIXES[sign].ufunc, PREFIXES[sign].python)},
    **{getattr(np, name): op for name, op in {
        "exp": "Exp", "log": "Log", "sin": "Sin", "cos": "Cos", "tan": "Tan", "arcsin": "Asin",
        "arccos": "Acos", "arctan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh",
        "arcsinh": "Asinh", "arccosh": "Acosh", "arctanh": "Atanh", "sqrt": "Sqrt", "absolute": "Abs",
        "fabs": "Abs", "floor": "Floor", "ceil": "Ceil", "rint": "Round", "sign": "Sign",
        "reciprocal": "Reciprocal", "conjugate": "Identity", "maximum": "Max", "minimum": "Min",
        "isnan": "IsNaN", "isinf": "IsInf", "logical_not": "Not", "logical_and": "And",
        "logical_or": "Or", "logical_xor": "Xor"}.items()},
    abs: "Abs",
    float: "Identity",
    np.square:      lambda o, x: o.Mul(x, x),
    np.expm1:       _expm1,
    np.log1p:       _log1p,
    np.log2:        lambda o, x: o.Mul(o.Log(x), 1 / math.log(2)),
    np.log10:       lambda o, x: o.Mul(o.Log(x), 1 / math.log(10)),
    np.exp2:        lambda o, x: o.Pow(o.full((), 2, x.dtype), x),
    np.cbrt:        _cbrt,
    np.trunc:       _trunc,
    np.deg2rad:     lambda o, x: o.Mul(x, math.pi / 180),
    np.radians:     lambda o, x: o.Mul(x, math.pi / 180),
    np.rad2deg:     lambda o, x: o.Mul(x, 180 / math.pi),
    np.degrees:     lambda o, x: o.Mul(x, 180 / math.pi),
    np.fmax:        _fmax,
    np.fmin:        _fmin,
    np.fmod:        _fmod,
    np.arctan2:     _arctan2,
    np.hypot:       _hypot,
    np.logaddexp:   _logaddexp,
    np.logaddexp2:  _logaddexp2,
    np.copysign:    _copysign,
    np.heaviside:   _heaviside,
    np.signbit:     _is_negative,
    np.where:       "Where",
    select:         "Where",
    np.isfinite:    lambda o, x: o.Not(o.Or(o.IsNaN(x), o.IsInf(x))),
}

#: The same for functions of scipy.special, by their names.
SCIPY: dict[str, Spelling] = {
    "erf":       "Erf",
    "expit":     "Sigmoid",
    "log_expit": lambda o, x: o.Neg(_softplus(o, o.Neg(x))),
    "logit":     lambda o, x: o.Log(o.Div(x, o.Sub(1.0, x))),
    "xlogy":     lambda o, x, y: _where_zero(o, x, o.Mul(x, o.Log(y)), y),
    "xlog1py":   lambda o, x, y: _where_zero(o, x, o.Mul(x, _log1p(o, y)), y),
    "entr":      _entr,
    "rel_entr":  _rel_entr,
}

#: Reductions by a ufunc.
REDUCED: dict[np.ufunc, str] = {
    np.add: "ReduceSum",
    np.multiply: "ReduceProd",
    np.maximum: "ReduceMax",
    np.minimum: "ReduceMin",
}
# fmt: on
