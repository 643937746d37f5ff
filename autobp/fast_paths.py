"""Fast paths: common operations on plain floats and arrays, written out by hand.

The engine is complete without this module, and simpler to read. Programs spend most of their time in
four places, where the same steps without the lists, loops and checks of the general code are up to
four times as fast on numbers:

    operators    two numbers, or an array and another, of one level: computed and recorded at once
    apply        the same for an operation on one argument, or on an array and another; and for a part
                 of an array
    tangents     value and tangent of an operation on one argument or two
    the sweep    a step for an operation with one argument or two
    batches      an operation on a batch; a step of a sweep for a batch of directions

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
from autobp.calculus import as_numpy_scalars, as_value, on_float, project, push
from autobp.context import Context, current
from autobp.forward import Dual, dual
from autobp.kernels.layout import MANY, alike
from autobp.operation import SIGNS
from autobp.primitive import NUMPY, Array, Primitive, Results, Variable, part, same, variable_in
from autobp.reverse import accumulate, add_in_place
from autobp.rules.arithmetic import multiply
from autobp.rules.batching import elementwise
from autobp.rules.indexing import BASIC, getitem, scatter
from autobp.tensor import CONSTANT, Tensor, node

__all__ = ["install", "remove"]

_PLAIN = (float, np.ndarray)
_NUMBERS = (*_PLAIN, np.float64, np.float32)
_KNOWN = (Tensor, np.ndarray, float, int)  # which let a Tensor take an operation over
#: What stands for a value in a derivative, or in a batch, further out.
_OUTER = (Tensor, Dual, Batched)
#: These and what stands for an array that is traced.
_VARIABLES = Variable.kinds
#: What a sweep computes with.
_VALUES = (*_PLAIN, *_OUTER)
_NONE: dict[str, Any] = {}
_FLOAT64 = np.dtype(np.float64)


def install() -> None:
    """Put the fast paths in front of the general code."""
    for name, method in _METHODS.items():
        setattr(Tensor, name, method)
    for name, method in _BATCH_METHODS.items():
        setattr(Batched, name, method)
    for name, method in _DUAL_METHODS.items():
        setattr(Dual, name, method)
    Dual.record = _dual_record  # type: ignore[method-assign]
    reverse.shortcut, reverse.shortcut_along = _step, _step_along
    forward.shortcut = _tangent_of_step


def remove() -> None:
    """Take the fast paths out again."""
    for name, method in _GENERAL.items():
        setattr(Tensor, name, method)
    for name in _BATCH_METHODS:
        delattr(Batched, name)
    for name, method in _GENERAL_BATCH.items():
        setattr(Batched, name, method)
    for name in _DUAL_METHODS:
        delattr(Dual, name)
    Dual.record = _general_dual_record  # type: ignore[method-assign]
    reverse.shortcut = reverse.shortcut_along = forward.shortcut = None


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
                    if x.ndim > 2 and x.size >= MANY and type(y) is np.ndarray:
                        x, y = alike(x, y)
                        other = y if type(other) is np.ndarray else other
                    value = _as_kept(function(y, x) if reflected else function(x, y), x)
                elif type(x) in _OUTER:
                    if reflected:
                        value = _of_outer(primitive, other, self, y, x, level)
                    else:
                        value = _of_outer(primitive, self, other, x, y, level)
                elif (type(y) is float or type(y) is type(x)) and type(x) in _VARIABLES:
                    args, values = ((other, self), (y, x)) if reflected else ((self, other), (x, y))
                    found = x.tracing.unheard(_recorded, x, primitive, args, values, level, context)
                    if found is not None:  # as a function is traced
                        return found
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


def _recorded(
    x: Variable,
    primitive: Primitive,
    args: tuple[Any, Any],
    values: tuple[Any, Any],
    level: int,
    context: Context,
) -> Any:
    value = x.computed(primitive, args, values, _NONE)
    return None if value is None else node(value, primitive, *args, _NONE, level, context)


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
            elif type(x) in _OUTER:
                value = x.computed(primitive, args, (x,), params)
                value = None if type(value) is Results else value
            if value is not None:
                return node(value, primitive, self, None, params, level, context)
    elif len(args) == 2 and not params:
        level, context = self.level, current()
        if level >= context.threshold and not context.anomaly:
            first, second = args
            value = _of_two(primitive, first, second, level)
            if value is not None:
                return node(value, primitive, first, second, _NONE, level, context)
    return _general_apply(self, primitive, args, params)


def _of_two(primitive: Primitive, first: Any, second: Any, level: int) -> Any:
    """The value of an operation on an array and another, or on an array and a number; None if it is
    not such a one. The values may be Tensors of derivatives further out."""
    x = first.value if type(first) is Tensor and first.level == level else first
    y = second.value if type(second) is Tensor and second.level == level else second
    if type(x) is np.ndarray and type(y) in _PLAIN:
        like, other = x, y
    elif type(y) is np.ndarray and type(x) is float:
        like, other = y, x
    else:
        return _of_outer(primitive, first, second, x, y, level)
    if not like.ndim or (
        type(other) is np.ndarray and (not other.ndim or other.dtype is not like.dtype)
    ):
        return None
    try:
        return _as_value(primitive.function(x, y))
    except ValueError:
        return None


def _of_outer(primitive: Primitive, first: Any, second: Any, x: Any, y: Any, level: int) -> Any:
    """The same for values of which a derivative further out is taken; constants are arrays."""
    outer = None
    for v in (y, x):
        kind = type(v)
        if kind in _OUTER:
            if v.level >= level or v.level == CONSTANT:
                return None
            outer = v
        elif kind is not float and (kind is not np.ndarray or not v.ndim or v.dtype.kind != "f"):
            return None
    if outer is None:
        return None
    if type(outer) is Batched and _joins(x, outer.level) and _joins(y, outer.level):
        value = _batch_record(outer, primitive, (x, y), _NONE, current())
        return value if type(value) is Batched else None
    return outer.computed(primitive, (first, second), (x, y), _NONE)


def _as_value(value: Any) -> Any:
    """The canonical form of a result, which nothing else may be made of; None if it has several."""
    if type(value) is np.ndarray and value.ndim and value.dtype.kind == "f":
        return value
    return None if isinstance(value, Results | Variable) else as_value(value)


# Dual numbers have methods of their own, as batches have: the same code for them and for Tensors would
# run slower for both, since Python's interpreter adapts a function to one type.


def _dual_operator(primitive: Primitive, reflected: bool = False) -> Callable[..., Any]:
    function = primitive.function
    general = _operator(primitive, reflected)

    def operator_(self: Dual, other: Any) -> Any:
        x, t, level, context = self.value, self.tangent, self.level, current()
        y, s = other, None
        if type(other) is Dual and other.level == level:
            y, s = other.value, other.tangent
        elif type(other) is int:
            y = float(other)
        if (
            type(x) is not np.ndarray
            or (type(y) is not float and (type(y) is not np.ndarray or y.dtype is not x.dtype))
            or level < context.threshold
            or context.anomaly
        ):
            return general(self, other)
        if reflected:
            x, y, t, s = y, x, s, t
        try:
            value = function(x, y)
        except ValueError:  # which the general code explains
            return general(self, other)
        d: Dual = node(value, None, None, None, _NONE, level, context, Dual)
        d.tangent = _tangent(primitive, (t, s), value, (x, y), _NONE)
        return d

    return operator_


def _dual_apply(
    self: Dual, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]
) -> Any:
    level, context = self.level, current()
    if level < context.threshold or "index" in params:
        return _general_apply(self, primitive, args, params)
    for a in args:
        if isinstance(a, Tensor) and a.level > level:
            return _general_apply(self, primitive, args, params)
    return _dual_record(self, primitive, args, params, context)


def _dual_array_ufunc(self: Dual, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    if method == "__call__" and not kwargs and ufunc in NUMPY:
        if len(inputs) == 1 and ufunc in _UNARY:
            return _dual_apply(self, _UNARY[ufunc], inputs, _NONE)
        if inputs[-1] is self and ufunc in _REFLECTED_DUAL:
            return _REFLECTED_DUAL[ufunc](self, inputs[0])  # as of array * dual
    return _array_ufunc(self, ufunc, method, *inputs, **kwargs)


def _dual_record(
    self: Dual, primitive: Primitive, args: Sequence[Any], params: dict[str, Any], context: Context
) -> Tensor:
    level, form = self.level, primitive.form
    if context.anomaly or len(args) > 2 or variable_in(params.get("index")) is not None:
        return _general_dual_record(self, primitive, args, params, context)
    outer: Tensor | None = None  # a value that is a Tensor, of a derivative further out
    values, tangents = [], []
    for a in args:
        t = None
        if type(a) is Dual and a.level == level:
            a, t = a.value, a.tangent
        plain = type(a) is np.ndarray and a.ndim and a.dtype.kind == "f"
        if not plain and not (type(a) is float and t is None and form == "elementwise"):
            if type(a) not in _OUTER or a.level == CONSTANT or not a.shape:
                return _general_dual_record(self, primitive, args, params, context)
            outer = a
        values.append(a)
        tangents.append(t)
    try:
        if outer is None:
            value = primitive.function(*values, **params)
        else:
            value = outer.computed(primitive, args, values, params)
    except ValueError:  # which the general code explains
        return _general_dual_record(self, primitive, args, params, context)
    if type(value) is not np.ndarray or not value.ndim or value.dtype.kind != "f":
        if type(value) is Results:
            return dual(value, push(primitive, tangents, value, values, params), level)
        if not isinstance(value, Variable):
            value = as_value(value)
    d: Dual = node(value, None, None, None, _NONE, level, context, Dual)
    d.tangent = _tangent(primitive, tangents, value, values, params)
    return d


def _tangent(
    primitive: Primitive,
    tangents: Sequence[Any],
    value: Any,
    values: Sequence[Any],
    params: dict[str, Any],
) -> Any:
    if primitive.forward is None:
        if primitive.form != "linear" or len(tangents) > 1:
            return push(primitive, tangents, value, values, params)
        (t,) = tangents
        return None if t is None else _as_value_is(primitive(t, **params), value)
    if type(value) is float:
        return push(primitive, tangents, value, values, params)
    total = None
    try:
        for t, rule in zip(tangents, primitive.forward):
            if t is not None and rule is not None:
                term = t if rule is same else rule(t, value, *values, **params)
                if term is not None:
                    total = term if total is None else total + term
    except ArithmeticError:  # of a division by 0, of which NumPy makes an inf or a nan
        return push(primitive, tangents, value, values, params)
    return None if total is None else _as_value_is(total, value)


def _as_value_is(t: Any, value: Any) -> Any:
    """A tangent in the shape and dtype of its value."""
    if (
        type(t) is not float is not type(value)
        and t.shape == value.shape
        and t.dtype == value.dtype
    ):
        return t
    return project(t, value)


def _getitem(self: Tensor, index: Any) -> Any:
    kind = type(index)
    if kind in BASIC or (kind is tuple and BASIC.issuperset(map(type, index))):
        x, level, context = self.value, self.level, current()
        if level >= context.threshold and not context.anomaly and type(self) is Tensor:
            value = _as_kept(x[index], x) if type(x) is np.ndarray else None
            if value is not None:
                return node(value, getitem, self, None, {"index": index}, level, context)
    return _general_getitem(self, index)


def _array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    if method == "__call__" and not kwargs and ufunc in NUMPY:
        if len(inputs) == 1 and ufunc in _UNARY:
            return self.apply(_UNARY[ufunc], inputs, _NONE)
        if inputs[-1] is self and ufunc in _REFLECTED:
            return _REFLECTED[ufunc](self, inputs[0])  # as of array * tensor
        if type(inputs[-1]) in _KNOWN and type(inputs[0]) in _KNOWN:
            return NUMPY[ufunc](*inputs)
    return _general_array_ufunc(self, ufunc, method, *inputs, **kwargs)


# ── batches ───────────────────────────────────────────────────────────────────────────────────────


# Batches have methods of their own, as dual numbers have.


def _batch_operator(primitive: Primitive, reflected: bool = False) -> Callable[..., Any]:
    general = _operator(primitive, reflected)

    def operator_(self: Batched, other: Any) -> Any:
        if _joins(other, self.level):
            args = (other, self) if reflected else (self, other)
            return _batch_record(self, primitive, args, _NONE, current())
        return general(self, other)

    return operator_


def _batch_apply(
    self: Batched, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]
) -> Any:
    if "index" not in params or _is_basic(params["index"]):
        level = self.level
        for a in args:
            if not _joins(a, level):
                break
        else:
            return _batch_record(self, primitive, args, params, current())
    return _general_apply(self, primitive, args, params)


def _batch_array_ufunc(
    self: Batched, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
) -> Any:
    if method == "__call__" and not kwargs and ufunc in NUMPY:
        level = self.level
        for x in inputs:
            if not _joins(x, level):
                break
        else:
            ours = NUMPY[ufunc]
            if type(ours) is Primitive:
                return _batch_record(self, ours, inputs, _NONE, current())
            return ours(*inputs)
    return _general_batch_array_ufunc(self, ufunc, method, *inputs, **kwargs)


def _joins(other: Any, level: int) -> bool:
    """Whether an operand takes part in an operation on batches of this level as it is."""
    kind = type(other)
    if kind is Batched:
        return other.level == level
    return kind is float or kind is int or (kind is np.ndarray and other.ndim > 0)


def _batch_record(
    self: Batched,
    primitive: Primitive,
    args: Sequence[Any],
    params: dict[str, Any],
    context: Context,
) -> Any:
    level, like = self.level, self.value
    if context.anomaly:
        return _general_batch_record(self, primitive, args, params, context)
    if "index" in params:
        found = _at_places(primitive, like, params) if len(args) == 1 and args[0] is self else None
        if found is None:
            return _general_batch_record(self, primitive, args, params, context)
        return batched(found, level)
    if type(like) is not np.ndarray or like.dtype.kind != "f":
        return _general_batch_record(self, primitive, args, params, context)
    values, mapped = [], []
    aligned = not params or all(type(p) is float or type(p) is int for p in params.values())
    for a in args:
        m = type(a) is Batched and a.level == level
        v = a.value if m else a
        if type(v) is np.ndarray and v.dtype is like.dtype:
            aligned = aligned and (v.ndim == like.ndim if m else v.ndim < like.ndim)
        elif m or not (type(v) is float or type(v) is int):
            return _general_batch_record(self, primitive, args, params, context)
        values.append(v)
        mapped.append(m)
    rule = primitive.facts.batch
    try:
        if rule is not None:
            value = rule(primitive.function, values, mapped, **params)
        elif primitive.form != "elementwise":
            return _general_batch_record(self, primitive, args, params, context)
        elif aligned:
            value = _outer(*values) if primitive is multiply else None
            if value is None:
                value = primitive.function(*values, **params)
        else:
            value = elementwise(primitive.function, values, mapped, **params)
    except ValueError:  # which the general code explains
        return _general_batch_record(self, primitive, args, params, context)
    if type(value) is Results:
        return Results(batched(v, level) for v in value)
    return batched(value, level)


def _outer(a: Any, b: Any) -> np.ndarray | None:
    """The outer products of two vectors of each example, of which the gradients of single examples consist.
    Broadcasting takes longer, since its innermost loops are no longer than a row."""
    if type(a) is not np.ndarray or type(b) is not np.ndarray or not a.ndim == 3 == b.ndim:
        return None
    if a.shape[2] != 1 or b.shape[1] != 1 or a.shape[0] != b.shape[0] or b.shape[2] < 2:
        return None
    return np.einsum("ni,nj->nij", a[:, :, 0], b[:, 0], order="C")


def _is_basic(index: Any) -> bool:
    """Whether an index is of whole numbers and slices alone, which lead to one place in all examples."""
    for i in index if type(index) is tuple else (index,):
        if type(i) is slice:
            for end in (i.start, i.stop, i.step):
                if end is not None and type(end) is not int:
                    return False
        elif type(i) is not int:
            return False
    return True


def _at_places(primitive: Primitive, x: Any, params: dict[str, Any]) -> Any:
    """What is taken out of each example at the same place, or put there."""
    index = params["index"]
    if type(x) is not np.ndarray or not _is_basic(index):
        return None
    parts = index if type(index) is tuple else (index,)
    try:
        if primitive is getitem:
            return primitive.function(x, index=(slice(None), *parts))
        if primitive is scatter:
            shape = params["shape"]
            if x.ndim == 1 + len(shape) - sum(type(i) is int for i in parts):
                whole = (x.shape[0], *shape)
                return primitive.function(x, index=(slice(None), *parts), shape=whole)
    except (IndexError, ValueError):  # which the general code explains
        pass
    return None


# ── the sweep ─────────────────────────────────────────────────────────────────────────────────────


def _step(
    primitive: Primitive,
    node: Tensor,
    g: Array,
    cotangents: dict[Tensor, Array],
    owned: set[Tensor],
) -> bool:
    """A step of the sweep for one argument or two. False: it was not such a step, and nothing was
    done."""
    if (
        type(g) is Batched
        and primitive.form == "elementwise"
        and _step_of_batch(primitive, node, g, cotangents)
    ):
        return True
    x, y, z, level = node.first, node.second, node.value, node.level
    rules, params = primitive.reverse, node.params
    if isinstance(x, Tensor) and x.level == level:
        u = x.value
    elif type(x) is np.ndarray:
        u = x
    else:
        x = u = _constant_value(x, node)
    if type(u) not in _VALUES and not isinstance(u, Variable):
        return False
    if y is not None:
        if isinstance(y, Tensor) and y.level == level:
            v = y.value
        else:
            y = v = _constant_value(y, node)
        if params or (type(v) not in _VALUES and not isinstance(v, Variable)):
            return False
    if primitive.form != "elementwise":
        if type(u) is float or (y is not None and type(v) is float):
            return False
        if type(z) is float or type(g) is float:
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
        elif type(c) is Batched and x not in cotangents and _fits(c, u):
            cotangents[x] = c
        else:
            accumulate(c, x, g, cotangents, owned)
            if params and primitive.facts.adds is not None:
                owned.add(x)
    if d is not None:
        if type(d) is float is type(v):
            before = cotangents.get(y)
            cotangents[y] = d if before is None else before + d
        elif type(d) is Batched and y not in cotangents and _fits(d, v):
            cotangents[y] = d
        else:
            accumulate(d, y, g, cotangents, owned)
    return True


def _step_along(
    primitive: Primitive | None,
    node: Tensor,
    g: Array,
    cotangents: dict[Tensor, Array],
    owned: set[Tensor],
    along: Any,
) -> bool:
    """A step of a sweep that carries tangents, for one argument or two. False: it was not such a step,
    and nothing was done."""
    if primitive is None or primitive is part or node.hooks or type(g) not in _NUMBERS:
        return False
    level, z, params = node.level, node.value, node.params
    args = (node.first,) if node.second is None else (node.first, node.second)
    t, slope = along.of_cotangents.get(node), along.of.get(node)
    is_elementwise = primitive.form == "elementwise"
    values, tangents = [], []
    for a in args:
        tangent = None
        if isinstance(a, Tensor) and a.level == level:
            a, tangent = a.value, along.of.get(a)
        elif type(a) is not np.ndarray:
            a = _constant_value(a, node)
        if type(a) is not np.ndarray and not (is_elementwise and type(a) is float):
            return False
        values.append(a)
        tangents.append(tangent)
    for v in (z, t, slope, *tangents):
        if v is not None and type(v) not in _NUMBERS:
            return False
    if params and variable_in(params.get("index")) is not None:
        return False
    if not is_elementwise:
        g, z, t, slope = as_numpy_scalars(g, z, t, slope)
    varies = slope is not None or any(v is not None for v in tangents)
    rules, form = primitive.reverse, primitive.form
    is_linear = form == "linear" or not varies
    is_product = primitive is multiply or (form == "bilinear" and type(rules) is tuple)
    found = []
    try:
        for slot, a in enumerate(args):
            if not isinstance(a, Tensor) or a.level != level or (rule := rules[slot]) is None:
                continue
            c = d = None  # the cotangent and its tangent
            needed = a.primitive is not None or a.hooks  # of a leaf only the tangent is asked for
            if rule is same:
                c, d = g, t
            elif is_linear or is_product:
                c = rule(g, z, *values, **params) if needed else None
                d = None if t is None else rule(t, z, *values, **params)
                if not is_linear and (other := tangents[1 - slot]) is not None:
                    changed = (values[0], other) if slot == 0 else (other, values[1])
                    e = rule(g, z, *changed, **params)
                    d = e if d is None else d + e
            else:
                duals = [
                    v if s is None else dual(v, s, along.level)
                    for v, s in zip((g, z, *values), (t, slope, *tangents))
                ]
                c = rule(*duals, **params)
                if type(c) is Dual and c.level == along.level:
                    c, d = c.value, c.tangent
            found.append((a, c if needed else None, d))
    except ArithmeticError:  # a division by 0, of which NumPy makes an inf or a nan
        return False
    along.of_cotangents.pop(node, None)
    for a, c, d in found:
        if c is not None:
            accumulate(c, a, g, cotangents, owned)
        if d is not None:
            accumulate(d, a, t, along.of_cotangents, along.owned)
    return True


def _fits(c: Batched, v: Any) -> bool:
    """Whether a cotangent of a batch has the shape and the dtype of the primal value as it is."""
    batch = c.value
    if type(batch) is not np.ndarray or type(v) is not np.ndarray:
        return False
    return batch.shape[1:] == v.shape and batch.dtype is v.dtype


def _constant_value(a: Any, node: Tensor) -> Any:
    """What an operation computed with for an argument that is not of its level: the value of a constant
    tensor; a tensor of a derivative further out as it is. None if it was replaced since."""
    if isinstance(a, Tensor):
        if a.born > node.born:
            return None
        return a.value if a.level == CONSTANT else a
    return a


# ── many directions at once ───────────────────────────────────────────────────────────────────────

# The rules of an elementwise operation broadcast over the directions as they are, where its arguments
# have the shape of its result.


def _step_of_batch(
    primitive: Primitive, node: Tensor, g: Batched, cotangents: dict[Tensor, Array]
) -> bool:
    """A step of the backward sweep. False: it was not such a step, and nothing was done."""
    level, out, args = node.level, node.value, node.args
    if type(out) not in _PLAIN:
        return False
    values = []
    for a in args:
        v = a.value if isinstance(a, Tensor) and a.level == level else _constant_value(a, node)
        kind = type(v)
        if kind not in _PLAIN and kind is not int:
            return False
        values.append(v)
    found = []
    for a, v, rule in zip(args, values, primitive.reverse):
        if rule is not None and v is not a and a.level == level:
            c = _term(rule, g, v, out, v, values, node.params)
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


def _tangent_of_step(
    primitive: Primitive,
    tangents: list[Any],
    out: Array,
    values: list[Any],
    params: dict[str, Any],
) -> Array | None:
    """A step of the forward sweep. None: it was not such a step, or the tangent is zero."""
    first = next((t for t in tangents if t is not None), None)
    if first is None or type(out) is not np.ndarray:
        return None
    is_elementwise = primitive.form == "elementwise"
    for v in values:
        kind = type(v)
        if not (kind is np.ndarray or (is_elementwise and (kind is float or kind is int))):
            return None
    if is_elementwise and type(first) is Batched:
        t = _tangent_of_batch(primitive, tangents, out, values, params, first.level)
        if t is not None:
            return t
    return _tangent(primitive, tangents, out, values, params)


def _tangent_of_batch(
    primitive: Primitive,
    tangents: Sequence[Any],
    out: Array,
    values: Sequence[Any],
    params: dict[str, Any],
    level: int,
) -> Array | None:
    total = None
    for t, v, rule in zip(tangents, values, primitive.forward):
        if t is not None and rule is not None:
            term = _term(rule, t, out, out, v, values, params) if t.level == level else None
            if term is None:
                return None
            total = term if total is None else total + term
    return None if total is None else batched(total, level)


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
    if type(batch) is not np.ndarray or getattr(x, "shape", ()) != getattr(out, "shape", ()):
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
    "__getitem__": _getitem,
    "__array_ufunc__": _array_ufunc,
}
_BATCH_METHODS: dict[str, Callable[..., Any]] = {
    **{f"__{sign.method}__": _batch_operator(p) for sign, p in _OPERATORS},
    **{f"__r{sign.method}__": _batch_operator(p, reflected=True) for sign, p in _OPERATORS},
    "apply": _batch_apply,
    "record": _batch_record,
    "__array_ufunc__": _batch_array_ufunc,
}
_DUAL_METHODS: dict[str, Callable[..., Any]] = {
    **{f"__{sign.method}__": _dual_operator(p) for sign, p in _OPERATORS},
    **{f"__r{sign.method}__": _dual_operator(p, reflected=True) for sign, p in _OPERATORS},
    "apply": _dual_apply,
    "__array_ufunc__": _dual_array_ufunc,
}
_REFLECTED_DUAL = {sign.ufunc: _DUAL_METHODS[f"__r{sign.method}__"] for sign, _ in _OPERATORS}
_REFLECTED = {sign.ufunc: _METHODS[f"__r{sign.method}__"] for sign, _ in _OPERATORS}
_UNARY = {u: p for u, p in NUMPY.items() if isinstance(p, Primitive) and getattr(u, "nin", 0) == 1}
_GENERAL: dict[str, Callable[..., Any]] = {name: getattr(Tensor, name) for name in _METHODS}
_GENERAL_BATCH: dict[str, Callable[..., Any]] = {
    name: vars(Batched)[name] for name in _BATCH_METHODS if name in vars(Batched)
}
_general_dual_record, _general_batch_record = Dual.record, Batched.record
_general_batch_array_ufunc = Batched.__array_ufunc__
_general_apply, _general_array_ufunc = _GENERAL["apply"], _GENERAL["__array_ufunc__"]
_general_getitem = _GENERAL["__getitem__"]
