"""Tracer: an array, or a number, that records what is done to it.

It stands where an array would, in the user's code and in the values of Tensors. Its shape and dtype
are known; its values are those of the call that is traced, and only the trace looks at them.
"""

from __future__ import annotations

import inspect
import operator
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import get_ident
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from autobp.compiler.program import Step, mapped
from autobp.compiler.terms import CaptureError
from autobp.compiler.trace.calls import as_type, draw, put
from autobp.context import user_line
from autobp.operation import COMPARISON, PREFIXES, SIGNS, Sign, of
from autobp.owner import Owner, is_scipys, owner_of_frame
from autobp.primitive import Primitive, Variable
from autobp.rules import arithmetic, indexing, selection
from autobp.tensor import Tensor

__all__ = ["Call", "TracedGenerator", "Tracer", "View", "named", "tracers_in"]

Trace = Any  # see trace.py, which stands on this

_METHODS = """
    sum mean prod var std max min cumsum cumprod argmax argmin argsort all any nonzero ravel
    squeeze swapaxes round take repeat trace diagonal argpartition searchsorted compress conj
    conjugate
""".split()  # noqa: SIM905 (as a list it is 30 lines)

#: What the call that is traced can answer for all others.
_ASKS_FORM = (
    np.shape, np.ndim, np.size, np.iscomplexobj, np.isrealobj, np.result_type,
    np.may_share_memory, np.shares_memory,
)  # fmt: skip
_ASSIGNS = (np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal)


def _split(function: Any, x: Any, indices_or_sections: Any, axis: Any = 0) -> list[Any]:
    """What np.split gives, by slices, so that what is done to a part is done to the whole."""
    axis = operator.index(axis)
    plain = mapped(operator.index, indices_or_sections, Tracer)
    before = (slice(None),) * (axis % x.ndim)
    parts = function(np.arange(x.shape[axis]), plain)
    return [x[(*before, slice(p[0], p[-1] + 1) if p.size else slice(0))] for p in parts]


#: What a program does by other functions.
_BY_OTHERS: dict[Any, Callable[..., Any]] = {
    np.split: partial(_split, np.split),
    np.array_split: partial(_split, np.array_split),
    np.vsplit: partial(_split, np.split, axis=0),
    np.hsplit: lambda x, parts: _split(np.split, x, parts, 1 if x.ndim > 1 else 0),
    np.dsplit: partial(_split, np.split, axis=2),
    np.piecewise: selection.piecewise,  # which calls functions that it is given
}


def tracers_in(nest: Any) -> Iterator[Tracer]:
    """The tracers in a nest of arguments, from left to right."""
    found: list[Tracer] = []
    mapped(found.append, nest, Tracer)
    return iter(found)


def named(function: Any) -> str:
    """A function as messages name it."""
    if isinstance(ufunc := getattr(function, "__self__", None), np.ufunc):  # np.add.reduce
        return f"{named(ufunc)}.{function.__name__}"
    module = (getattr(function, "__module__", None) or "").split(".")
    name = getattr(function, "__name__", repr(function))
    if isinstance(function, np.ufunc) and getattr(np, name, None) is function:
        return f"np.{name}"  # before NumPy 2.2 ufuncs have no module
    if is_scipys(function):
        return f"scipy.special.{name}"
    return ".".join(["np", *module[1:], name]) if module[0] == "numpy" else name


# ── its operators and methods ─────────────────────────────────────────────────────────────────────


def _infix(sign: Sign) -> tuple[Any, Any, Any]:
    """An operator's three methods. Python's own numbers stay Python's, but where Python would raise
    in a rule and NumPy has an inf or a nan, NumPy computes."""
    ufunc, python = sign.ufunc, sign.python

    def compute(self: Tracer, x: Any, y: Any) -> Any:
        if sign.total and _is_float(x) and _is_float(y):
            return self.tracing.arithmetic(python, (x, y))
        if not _operand(x) or not _operand(y):
            return NotImplemented
        kinds = {type(v.now) if isinstance(v, Tracer) else type(v) for v in (x, y)}
        if python is operator.mul and kinds in ({int, list}, {int, tuple}):
            return NotImplemented  # Python repeats the list
        if kinds <= {int, bool}:
            return self.tracing.call(python, (x, y), {})
        if kinds <= {float, int, bool}:
            fades = ufunc is np.power and type(x) is float and 0 < x <= 1 and type(y.now) is int
            if fades or sign.total:
                return self.tracing.call(python, (x, y), {})
            if owner_of_frame(sys._getframe(2)) is not Owner.AUTOBP:
                return self.tracing.call(python, (x, y), {})  # which raises for a 0, as it should
            return self.tracing.call(ufunc, (x, y), {}).canonical()
        if ufunc is np.power and isinstance(x, Tracer) and isinstance(y, int | float) and x.ndim:
            return self.tracing.call(operator.pow, (x, y), {})
        return self.tracing.call(ufunc, (x, y), {})

    def forward(self: Tracer, other: Any) -> Any:
        return compute(self, self, other)

    def reflected(self: Tracer, other: Any) -> Any:
        return compute(self, other, self)

    def in_place(self: Tracer, other: Any) -> Any:
        return self.become(compute(self, self, other), f"{python.__name__}=")

    return forward, reflected, in_place


_FLOAT64 = np.dtype(np.float64)

#: Python's operators that never raise for floats, by NumPy's ufuncs that give the same bits.
_TOTAL: dict[Any, Any] = {sign.ufunc: sign.python for sign in SIGNS.values() if sign.total}
_TOTAL[np.negative] = operator.neg


def _is_float(x: Any) -> bool:
    return type(x.now if type(x) is Tracer else x) is float


def _is_pythons(x: Any) -> bool:
    return type(x) in (float, int, bool)


def _operand(x: Any) -> bool:
    if isinstance(x, Tensor):  # a batch says that it is an array; it takes the operation over
        return False
    return isinstance(x, Tracer | np.ndarray | np.generic | float | int | complex | list | tuple)


def _comparison(sign: Sign) -> Any:
    """Of Python's numbers the truth is Python's too: two of them add up to 2."""

    def compared(self: Tracer, other: Any) -> Any:
        if not _operand(other):
            return NotImplemented
        now = other.now if isinstance(other, Tracer) else other
        numbers = _is_pythons(self.now) and _is_pythons(now)
        return self.tracing.call(sign.python if numbers else sign.ufunc, (self, other), {})

    return compared


def _prefix(ufunc: np.ufunc, python: Callable[..., Any]) -> Any:
    def operator_(self: Tracer) -> Any:
        if type(self.now) is float and python is operator.neg:
            return self.tracing.arithmetic(python, (self,))
        function = python if _is_pythons(self.now) else ufunc
        return self.tracing.call(function, (self,), {})

    return operator_


def _method(name: str) -> Any:
    function = getattr(np, name)

    def method(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise _refused(self, f"{name}(out=…) writes into an array", "leave out= away")
        args = (args[0], self, *args[1:]) if name == "compress" else (self, *args)
        return self.tracing.call(function, args, kwargs)

    method.__name__ = name
    return method


# ── the array ─────────────────────────────────────────────────────────────────────────────────────


class Call(NamedTuple):
    """What is called, on tracers and plain values."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    params: dict[str, Any]


class View(NamedTuple):
    """How a tracer that is a view of another looks again, once that was changed in place."""

    base: Tracer
    version: int  # of the base, when it was last looked at
    call: Call


class Tracer(Variable):
    """An array, or a number, that records what is done to it."""

    __slots__ = ("borrowed", "now", "static", "step", "tracing", "version", "view")

    requires_grad = False

    step: Step | Trace
    now: Any
    version: int

    def __init__(self, trace: Trace, step: Step, now: Any) -> None:
        self.tracing: Trace = trace
        self.step = step
        self.now = now  # what it is in the call that is traced
        self.version = 0  # how often it was changed in place
        self.view: View | None = None
        self.borrowed: bool = False  # it is the caller's
        self.static: bool = False  # it depends on whole numbers alone, and may be made a condition

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What isinstance sees: an array is an ndarray, a number a float to those who ask."""
        return type(self.now)

    # ── as the engine sees it ─────────────────────────────────────────────────────────────────────

    def apply(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        for a in args:
            if isinstance(a, Tensor):
                return a.apply(primitive, args, params)
        trace = self.tracing
        if trace.is_elsewhere:
            now = trace.meanwhile(primitive.function, args, params)
            return Tensor(now, requires_grad=False)
        if primitive is indexing.getitem:
            if _is_pythons(self.now):  # which NumPy takes for an array without dimensions
                args = (trace.call(np.array, args, {}),)
            return trace.call(operator.getitem, (*args, params["index"]), {})
        if primitive is arithmetic.astype:
            return trace.call(as_type, (*args, params["dtype"]), {})
        if primitive.facts.opaque:
            return trace.call(primitive.function, args, params)
        if (python := _TOTAL.get(primitive.function)) and all(_is_float(a) for a in args):
            return trace.arithmetic(python, args)
        before, refusal = len(trace.steps), trace.refusal
        try:
            result = trace.run(primitive.function, args, params)
            if trace.refusal is refusal:
                return result
        except CaptureError:  # of a function that a user gave rules to: it is one call
            trace.listen_again()
        trace.effects.difference_update(trace.steps[before:])
        del trace.steps[before:]
        trace.refusal = refusal
        return trace.call(primitive.function, args, params)

    def call_opaque(self, function: Callable[..., Any], args: Sequence[Any]) -> Any:
        return self.tracing.call(function, args, {})

    def computed(
        self,
        primitive: Primitive,
        args: Sequence[Any],
        values: Sequence[Any],
        params: dict[str, Any],
    ) -> Any:
        trace = self.tracing
        if get_ident() != trace.thread:
            return super().computed(primitive, args, values, params)
        return trace.unheard(self._computed, primitive, args, values, params)

    def _computed(
        self,
        primitive: Primitive,
        args: Sequence[Any],
        values: Sequence[Any],
        params: dict[str, Any],
    ) -> Any:
        self.tracing.check_origins(args)
        python = _TOTAL.get(primitive.function)
        if python and _is_float(values[0]) and _is_float(values[-1]):  # of one number or of two
            return self.tracing.arithmetic(python, values)
        return super().computed(primitive, args, values, params)

    def primal_value(self) -> Any:
        return self.now if self.tracing.is_elsewhere else self

    def canonical(self) -> Any:
        if type(self.now) is float:
            return self
        if self.dtype.kind in "iu":
            return self.astype(np.float64).canonical()
        if self.dtype.kind != "f":
            raise TypeError(f"a Tensor holds floating-point numbers, not {self.dtype}")
        if self.shape == () and self.dtype == np.float64 and type(self.now) is not float:
            return self.tracing.call(float, (self,), {})
        if type(self.now) is np.ndarray and self.shape == ():
            return self[()]
        return self

    @property
    def value(self) -> Any:
        return self.canonical()

    def current(self) -> Tracer:
        """Itself, looked at again if it is a view of what was changed in place."""
        if self.view is not None and self.view.base.current().version != self.view.version:
            again = self.tracing.call(*self.view.call)
            self.step, self.now, self.view = again.step, again.now, again.view
            self.version += 1
        return self

    def become(self, changed: Any, what: str) -> Any:
        """What `a += b` makes of a: the same object with other contents."""
        if changed is NotImplemented or type(self.now) is not np.ndarray:
            return changed
        if self.tracing.is_elsewhere:
            self.now[...] = changed
            return self.now
        if self.borrowed:
            raise _refused(
                self, f"{what} changes an argument in place", "make a new array, and return it"
            )
        if self.tracing.inside and not self.tracing.varies(self.step):
            raise _refused(
                self,
                f"{what} in the body of a scan changes in place what was there before",
                "make it a part of the carry",
            )
        view = self.view
        if view is not None and view.call.function is not operator.getitem:
            raise _refused(self, f"{what} changes a view of an array in place", "use np.where")
        if changed.shape != self.shape:
            raise ValueError(
                f"{what}: an array of shape {self.shape} cannot take a result of shape {changed.shape}"
            )
        if changed.dtype != self.dtype:
            if not np.can_cast(changed.dtype, self.dtype, "same_kind"):
                raise TypeError(f"{what}: {changed.dtype} cannot be cast to {self.dtype}")
            changed = changed.astype(self.dtype)
        if view is not None:  # a part: the whole changes, and the part is looked at again
            index = view.call.args[1]
            view.base.become(self.tracing.call(put, (view.base, index, changed), {}), what)
            return self
        if type(changed.now) is not np.ndarray:  # of arrays without dimensions NumPy makes numbers
            changed = self.tracing.call(np.array, (changed,), {})
        self.step, self.now = changed.step, changed.now
        self.version += 1
        return self

    # ── NumPy's protocols ─────────────────────────────────────────────────────────────────────────

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented
        kwargs = {k: v for k, v in kwargs.items() if not (v is None and k == "out")}
        out = kwargs.pop("out", None)
        if out is not None or method == "at":
            target = out[0] if out else inputs[0]
            if method == "__call__" and isinstance(target, Tracer) and not kwargs:
                return target.become(self.tracing.call(ufunc, inputs, {}), f"{named(ufunc)}(out=…)")
            raise _refused(self, f"{named(ufunc)} writes into an array", "leave out= away")
        if isinstance(kwargs.get("where", True), Tracer):
            raise _refused(self, f"{named(ufunc)}(where=…) leaves numbers unset", "use np.where")
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if method not in ("__call__", "reduce", "accumulate", "outer"):
            raise _refused(self, f"{named(ufunc)}.{method} is called", "use another function")
        return self.tracing.call(function, inputs, kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        if any(issubclass(t, Tensor) for t in types):
            return NotImplemented
        if function in _ASKS_FORM:
            return function(*mapped(lambda t: t.now, tuple(args), Tracer), **kwargs)
        out = kwargs.get("out")
        plain = {k: v for k, v in kwargs.items() if k != "out"}
        if type(out) is Tracer and of(function).is_static(tuple(args), plain):
            return out.become(self.tracing.call(function, args, plain), f"{named(function)}(out=…)")
        if function in _ASSIGNS or out is not None:
            raise _refused(self, f"{named(function)} writes into an array", "use np.where")
        if function in (np.array2string, np.array_str, np.array_repr):
            return self._text(function)
        if function in _BY_OTHERS:
            return _BY_OTHERS[function](*args, **kwargs)
        return self.tracing.call(function, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._shown(
            np.asarray(self.current().now, dtype),
            "the numbers in it were asked for, as by np.asarray, .numpy() or an index into a constant"
            " array,",
            "use NumPy's functions (np.stack for a list of numbers, np.take for an index), or make the"
            " constant an argument",
        )

    # ── what would need the value ─────────────────────────────────────────────────────────────────

    def _decides(
        self,
        what: str,
        value: Any,
        by: str = "if, while, range, max or sorted",
        instead: str = "choose with np.where (np.maximum for max, np.sort for sorted)",
    ) -> Any:
        """A condition: allowed in the library, and on whole numbers, where the program guards it."""
        if self.tracing.is_elsewhere:
            return value
        if self.static or _asked_by_library(self.tracing):
            if type(value) is bool and self.dtype.kind != "b":
                return bool(operator.ne(self, 0))
            self.tracing.guard(self.current().step, value)
            return value
        way_out = "or keep it out of the compiled function"
        raise _refused(
            self, f"{what} was asked for, as by {by}, {_OTHER_VALUES}", f"{instead}, {way_out}"
        )

    def condition(self) -> bool:
        now = bool(self.current().now)
        if not self.tracing.is_elsewhere:
            self.tracing.guard(self.current().step, now)
        return now

    def __bool__(self) -> bool:
        return self._decides("its truth", bool(self.current().now))

    def __index__(self) -> int:
        return self._decides("its value as an index", operator.index(self.current().now))

    def __int__(self) -> int:
        return self._decides("its value as an int", int(self.current().now), instead=_AS_NUMBER)

    def __float__(self) -> float:
        now = float(self.current().now)
        by = "math.sin or an assignment into an array"
        return self._decides("its value as a float", now, by, _AS_NUMBER)

    def __round__(self, ndigits: int | None = None) -> Any:
        rounded = round(self.current().now, ndigits)
        return self._decides("its value as a rounded number", rounded, "round", "use np.round")

    def item(self, *args: Any) -> Any:
        return self._decides("its value", self.current().now)

    def tolist(self) -> Any:
        now = self.current().now
        numbers = now.tolist() if hasattr(now, "tolist") else now
        return self._shown(numbers, "its numbers were asked for", "use NumPy")

    def _text(self, text: Callable[[Any], str]) -> str:
        now = self.current().now
        if self.tracing.closed:  # it is looked at afterwards, as by a debugger
            return text(now)
        if self.static:
            return text(self._decides("its text", now))
        return text(self._shown(now, "its text was asked for,", "print results"))

    def __format__(self, spec: str) -> str:
        return self._text(lambda now: format(now, spec))

    def __str__(self) -> str:
        return self._text(str)

    def __repr__(self) -> str:
        return self._text(repr)

    def __hash__(self) -> int:
        now = self.current().now
        if type(now) is np.ndarray:
            raise TypeError("unhashable type: 'numpy.ndarray'")
        return hash(self._decides("its hash", now, by="`in` a set or by the key of a dict"))

    def _shown(self, now: Any, what: str, way_out: str) -> Any:
        """The numbers, for the library's messages only, after which no program is made of this."""
        if self.tracing.is_elsewhere:
            return now
        error = _refused(self, f"{what} {_OTHER_VALUES}", way_out)
        if not _asked_by_library(self.tracing):
            raise error
        self.tracing.refusal = self.tracing.refusal or error
        return now

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array without dimensions has no len()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("an array without dimensions cannot be iterated over")
        return (self[i] for i in range(len(self)))

    def __contains__(self, item: Any) -> bool:
        return bool(np.any(self == item))

    # ── operators ─────────────────────────────────────────────────────────────────────────────────

    __abs__: Any = _prefix(np.absolute, abs)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple) and not index and type(self.now) is not np.ndarray:
            return self
        return self.tracing.call(operator.getitem, (self, _index(index)), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, Tensor):
            raise _refused(self, "a Tensor is written into it", "use np.where or np.concatenate")
        self.become(self.tracing.call(put, (self, _index(index), value), {}), "a[i] = b")

    # ── ndarray's attributes and methods ──────────────────────────────────────────────────────────

    @property
    def shape(self) -> tuple[int, ...]:
        now = self.now
        return () if type(now) is float else now.shape if hasattr(now, "shape") else ()

    @property
    def dtype(self) -> np.dtype[Any]:
        now = self.now
        if type(now) is float:
            return _FLOAT64
        return now.dtype if hasattr(now, "dtype") else np.dtype(type(now))

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    T: Any = property(lambda self: self.tracing.call(np.transpose, (self,), {}))
    mT: Any = property(lambda self: self.tracing.call(np.matrix_transpose, (self,), {}))
    real: Any = property(lambda self: self.tracing.call(np.real, (self,), {}))
    imag: Any = property(lambda self: self.tracing.call(np.imag, (self,), {}))

    def reshape(self, *shape: Any, order: Any = "C") -> Any:
        size = shape[0] if len(shape) == 1 else shape
        return self.tracing.call(np.reshape, (self, size), {} if order == "C" else {"order": order})

    def transpose(self, *axes: Any) -> Any:
        many = len(axes) == 1 and not isinstance(axes[0], int)
        order = (axes[0] if many else axes) or None
        return self.tracing.call(np.transpose, (self, order) if order else (self,), {})

    def flatten(self, order: str = "C") -> Any:
        return self.tracing.call(np.ravel, (self, order), {}).copy()

    def astype(self, dtype: Any, **kwargs: Any) -> Any:
        return self.tracing.call(as_type, (self, np.dtype(dtype)), {})

    def copy(self, order: str = "C") -> Any:
        return self.tracing.call(np.copy, (self,), {})

    def clip(self, min: Any = None, max: Any = None, **kwargs: Any) -> Any:
        return np.clip(self, min, max, **kwargs)

    def dot(self, other: Any) -> Any:
        return np.dot(self, other)

    def __getattr__(self, name: str) -> Any:
        kind = type(self.now)
        if name.startswith("__") or not hasattr(kind, name):
            raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")
        instead = f"np.{name}" if callable(getattr(np, name, None)) else "NumPy's functions"
        raise _refused(
            self, f".{name} is used, which a traced array does not have", f"use {instead}"
        )


class TracedGenerator(np.random.Generator):
    """A generator whose draws are traced, to be drawn again by every call."""

    def __init__(self, trace: Trace, handle: Tracer) -> None:
        super().__init__(handle.now.bit_generator)
        self._trace = trace
        self._handle = handle

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        trace, handle = self._trace, self._handle
        if trace.is_elsewhere or trace.closed:
            return getattr(handle.now, name)
        if name in ("shuffle", "spawn", "bytes", "bit_generator"):
            raise trace.refuse(
                f"compile cannot capture {handle.step.name}.{name} at {user_line()}; draw numbers, or a"
                " permutation"
            )

        def method(*args: Any, **kwargs: Any) -> Any:
            if kwargs.get("out") is not None:
                raise trace.refuse(
                    f"compile cannot capture {handle.step.name}.{name}(out=…) at {user_line()}: leave"
                    " out= away"
                )
            return trace.call(draw, (handle, name, *args), kwargs)

        return method


for _sign in SIGNS.values():
    if _sign.binding == COMPARISON:
        setattr(Tracer, f"__{_sign.method}__", _comparison(_sign))
    else:
        for _side, _operator in zip(("", "r", "i"), _infix(_sign), strict=True):
            setattr(Tracer, f"__{_side}{_sign.method}__", _operator)
for _sign in PREFIXES.values():
    setattr(Tracer, f"__{_sign.method}__", _prefix(_sign.ufunc, _sign.python))
for _name in _METHODS:
    setattr(Tracer, _name, _method(_name))


def _index(index: Any) -> Any:
    """An index whose lists are arrays."""
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    if isinstance(index, list | range):
        if any(True for _ in tracers_in(list(index))):
            return np.stack(list(index))
        array = np.asarray(index)
        return array if array.size else array.astype(int)
    return index


#: Where code lies that asks for whoever called it.
_DOORS = (inspect.getfile(Tensor), os.path.dirname(os.path.dirname(__file__)))


def _asked_by_library(trace: Trace) -> bool:
    """Whether a rule, a loss or a layer asks for a value. It may, since it does nothing but compute;
    an optimizer changes what it holds."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_DOORS):
        frame = frame.f_back
    is_ours = frame is not None and owner_of_frame(frame) is Owner.AUTOBP
    return is_ours and trace.phase.name != "update"


#: Why a value cannot be told while a function is traced.
_AS_NUMBER = "use NumPy's function (np.sin for math.sin), collect what is to be an array in a list for np.stack"
_OTHER_VALUES = "and a program that is traced once must serve other values too"


def _refused(array: Tracer, what: str, way_out: str) -> CaptureError:
    name = array.step.name
    array.tracing.asked = array.tracing.asked or array.step
    shape = f" of shape {array.shape}" if array.shape else ""
    who = repr(name) if name else "an array" + shape if shape else "a number"
    return array.tracing.refuse(f"compile cannot capture {who} at {user_line()}: {what}; {way_out}")
