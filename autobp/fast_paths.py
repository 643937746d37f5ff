"""Fast paths: common operations on plain floats and arrays, written out by hand.

The engine is complete without this module, and simpler to read. Programs spend most of their time in
four places, where the same steps without the lists, loops and checks of the general code are up to
four times as fast on numbers:

    operators    two numbers, or an array and another, of one level: computed and recorded at once
    apply        the same for an operation on one argument
    the sweep    a step for an operation with one argument or two
    many at once a step for a batch of directions of an elementwise operation

Each of them handles the plain case and leaves all else, and every error, to the general code. They
change no bit of any result: `remove()` takes them out, and the tests compare.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autobp import forward, reverse
from autobp.arrays import defers_to
from autobp.batching import Batched, batched
from autobp.calculus import as_numpy_scalars, on_float
from autobp.context import current
from autobp.operation import SIGNS
from autobp.primitive import NUMPY, Array, Primitive, same
from autobp.reverse import accumulate, add_in_place
from autobp.tensor import CONSTANT, Tensor, node

__all__ = ["install", "remove"]

_PLAIN = (float, np.ndarray)
_KNOWN = (Tensor, np.ndarray, float, int)  # which let a Tensor take an operation over
_NONE: dict[str, Any] = {}
_FLOAT64 = np.dtype(np.float64)


def install() -> None:
    """Put the fast paths in front of the general code."""
    for name, method in _METHODS.items():
        setattr(Tensor, name, method)
    reverse.shortcut = _step
    forward.shortcut = _tangent_of_batch


def remove() -> None:
    """Take the fast paths out again."""
    for name, method in _GENERAL.items():
        setattr(Tensor, name, method)
    reverse.shortcut = forward.shortcut = None


# ── recording ─────────────────────────────────────────────────────────────────────────────────────


def _as_kept(value: Any, like: Any) -> Any:
    """The result of an operation as a tensor keeps it, if it plainly is one; else None."""
    kind = type(value)
    if kind is np.ndarray:
        return value if value.ndim and value.dtype is like.dtype else None
    return float(value) if kind is float or kind is np.float64 else None


def _operator(primitive: Primitive, reflected: bool = False) -> Callable[..., Any]:
    function = primitive.function
    compute = primitive.facts.python

    def operator_(self: Tensor, other: Any) -> Any:
        x, y, level, context = self.value, other, self.level, current()
        if level >= context.threshold and not context.anomaly and type(self) is Tensor:
            if type(other) is Tensor and other.level == level:
                y = other.value
            elif type(other) is int:
                y = other = float(other)
            value = None
            try:
                if type(x) is float:
                    if type(y) is float and compute is not None:
                        value = compute(y, x) if reflected else compute(x, y)
                elif type(x) is np.ndarray and type(y) in _PLAIN:
                    value = _as_kept(function(y, x) if reflected else function(x, y), x)
            except (ArithmeticError, ValueError):
                pass
            if value is not None:
                if reflected:
                    return node(value, primitive, other, self, _NONE, level, context)
                return node(value, primitive, self, other, _NONE, level, context)
        if defers_to(type(other)):
            return NotImplemented
        return _general_apply(self, primitive, (other, self) if reflected else (self, other), _NONE)

    return operator_


def _apply(self: Tensor, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
    if len(args) == 1:
        x, level, context = self.value, self.level, current()
        if level >= context.threshold and not context.anomaly and type(self) is Tensor:
            value = None
            if type(x) is float:
                value = on_float(primitive, x, params)
            elif type(x) is np.ndarray:
                try:
                    value = _as_kept(primitive.function(x, **params), x)
                except ValueError:
                    pass
            if value is not None:
                return node(value, primitive, self, None, params, level, context)
    return _general_apply(self, primitive, args, params)


def _array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    if method == "__call__" and not kwargs and ufunc in NUMPY:
        if inputs[-1] is self and ufunc in _REFLECTED:
            return _REFLECTED[ufunc](self, inputs[0])  # as of array * tensor
        if type(inputs[-1]) in _KNOWN and type(inputs[0]) in _KNOWN:
            return NUMPY[ufunc](*inputs)
    return _general_array_ufunc(self, ufunc, method, *inputs, **kwargs)


# ── the sweep ─────────────────────────────────────────────────────────────────────────────────────


def _step(
    primitive: Primitive,
    node: Tensor,
    g: Array,
    cotangents: dict[Tensor, Array],
    owned: set[Tensor],
) -> bool:
    """A step of the sweep for one argument or two that are plain floats or arrays. False: it was not
    such a step, and nothing was done."""
    if type(g) is Batched:
        return _step_of_batch(primitive, node, g, cotangents)
    x, y, z, level = node.first, node.second, node.value, node.level
    rules, params = primitive.reverse, node.params
    u = x.value if isinstance(x, Tensor) and x.level == level else x
    if type(u) not in _PLAIN:
        x = u = _constant_value(x, node)
        if type(u) not in _PLAIN:
            return False
    if y is not None:
        v = y.value if isinstance(y, Tensor) and y.level == level else y
        if type(v) not in _PLAIN:
            y = v = _constant_value(y, node)
        if type(v) not in _PLAIN or params:
            return False
    if primitive.form != "elementwise":
        if type(u) is float or (y is not None and type(v) is float):
            return False
        if type(z) is float:
            g, z = as_numpy_scalars(g, z)
    if params and isinstance(x, Tensor) and add_in_place(node, x, g, cotangents, owned):
        return True
    c = d = None
    try:
        along_x = rules[0]
        if y is None:
            if along_x is same:
                c = g
            elif along_x is not None:
                c = along_x(g, z, u, **params) if params else along_x(g, z, u)
        else:
            along_y = rules[1]
            if u is not x and along_x is not None:
                c = g if along_x is same else along_x(g, z, u, v)
            if v is not y and along_y is not None:
                d = g if along_y is same else along_y(g, z, u, v)
    except ArithmeticError:  # a division by 0, of which NumPy makes an inf or a nan
        return False
    if c is not None:
        if type(c) is float is type(u):
            before = cotangents.get(x)
            cotangents[x] = c if before is None else before + c
        else:
            accumulate(c, x, g, cotangents, owned)
            if params and primitive.facts.adds is not None:
                owned.add(x)
    if d is not None:
        if type(d) is float is type(v):
            before = cotangents.get(y)
            cotangents[y] = d if before is None else before + d
        else:
            accumulate(d, y, g, cotangents, owned)
    return True


def _constant_value(a: Any, node: Tensor) -> Any:
    """The value of an argument that is a constant tensor, unless it was replaced since."""
    if isinstance(a, Tensor) and a.level == CONSTANT and a.born < node.born:
        return a.value
    return a


# ── many directions at once ───────────────────────────────────────────────────────────────────────

# The rules of an elementwise operation broadcast over the directions as they are, where its arguments
# have the shape of its result.


def _step_of_batch(
    primitive: Primitive, node: Tensor, g: Batched, cotangents: dict[Tensor, Array]
) -> bool:
    """A step of the backward sweep. False: it was not such a step, and nothing was done."""
    level = node.level
    values = [
        a.value if isinstance(a, Tensor) and a.level == level else _constant_value(a, node)
        for a in node.args
    ]
    if not _is_plain(primitive, node.value, values):
        return False
    found = []
    for a, v, rule in zip(node.args, values, primitive.reverse):
        if rule is not None and v is not a and a.level == level:
            c = _term(rule, g, v, node.value, v, values, node.params)
            if c is None:
                return False
            found.append((a, c))
    for a, c in found:
        before = cotangents.get(a)
        if before is None:
            cotangents[a] = batched(c, g.level)
        elif type(before) is Batched and type(before.value) is np.ndarray:
            cotangents[a] = batched(before.value + c, g.level)
        else:
            cotangents[a] = before + batched(c, g.level)
    return True


def _tangent_of_batch(
    primitive: Primitive,
    tangents: Sequence[Array | None],
    out: Array,
    values: Sequence[Any],
    params: dict[str, Any],
) -> Array | None:
    """A step of the forward sweep. None: it was not such a step."""
    given = [t for t in tangents if t is not None]
    if not given or type(given[0]) is not Batched or not _is_plain(primitive, out, values):
        return None
    total, level = None, given[0].level
    for t, v, rule in zip(tangents, values, primitive.forward):
        if t is not None and rule is not None:
            term = _term(rule, t, out, out, v, values, params) if t.level == level else None
            if term is None:
                return None
            total = term if total is None else total + term
    return None if total is None else batched(total, level)


def _is_plain(primitive: Primitive, out: Array, values: Sequence[Any]) -> bool:
    return (
        primitive.form == "elementwise"
        and type(out) in _PLAIN
        and all(type(v) in _PLAIN or type(v) is int for v in values)
    )


def _term(
    rule: Any,
    t: Batched,
    primal: Any,
    out: Array,
    x: Any,
    values: Sequence[Any],
    params: dict[str, Any],
) -> np.ndarray | None:
    """What the rule of an argument x makes of a batch, if it has the shape and the dtype of the primal
    value that it belongs to."""
    batch, dtype = t.value, getattr(primal, "dtype", _FLOAT64)
    if type(batch) is not np.ndarray or np.shape(x) != np.shape(out):
        return None
    try:
        c = batch if rule is same else rule(batch, out, *values, **params)
    except ArithmeticError:  # of numbers of Python's, among the values
        return None
    return c if type(c) is np.ndarray and c.shape == batch.shape and c.dtype == dtype else None


# ── what is installed ─────────────────────────────────────────────────────────────────────────────

_OPERATORS = [
    (sign, primitive)
    for sign in SIGNS.values()
    if isinstance(primitive := NUMPY.get(sign.ufunc), Primitive)
]
_METHODS: dict[str, Callable[..., Any]] = {
    **{f"__{sign.method}__": _operator(p) for sign, p in _OPERATORS},
    **{f"__r{sign.method}__": _operator(p, reflected=True) for sign, p in _OPERATORS},
    "apply": _apply,
    "__array_ufunc__": _array_ufunc,
}
_REFLECTED = {sign.ufunc: _METHODS[f"__r{sign.method}__"] for sign, _ in _OPERATORS}
_GENERAL: dict[str, Callable[..., Any]] = {name: getattr(Tensor, name) for name in _METHODS}
_general_apply, _general_array_ufunc = _GENERAL["apply"], _GENERAL["__array_ufunc__"]
