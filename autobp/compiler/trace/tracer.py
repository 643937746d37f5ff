"""Capture: arrays that write down what is done to them.

A `Captured` stands where an array would, in the user's code and in the values of Tensors. NumPy and
the rules of differentiation hand it their calls; each is carried out, so that shapes and dtypes are
known, and written down. What would need its value, a branch or a conversion to a Python number, is
refused with the line that asked: the program would be wrong for other values.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from types import FrameType
from typing import Any

import numpy as np

from autobp.compiler.program import Program, Step, mapped
from autobp.compiler.terms import CaptureError, Changed
from autobp.compiler.trace.effects import check_call
from autobp.compiler.trace.free_variables import Executed, is_user_frame
from autobp.context import clock, current, user_line
from autobp.dag import ancestors
from autobp.errors import label
from autobp.operation import COMPARISON, PREFIXES, SIGNS, Sign, of, operation
from autobp.primitive import Primitive, Variable
from autobp.rules import arithmetic, indexing
from autobp.tensor import Tensor

__all__ = ["Tracer", "ManyNumbers", "Trace", "as_type", "draw", "guarded", "put"]


# ── calls that NumPy has no function for ──────────────────────────────────────────────────────────


@operation(static=True, fresh=True)
def as_type(x: Any, dtype: Any) -> Any:
    return np.asarray(x, dtype)[()] if np.ndim(x) == 0 else x.astype(dtype)


@operation(static=True, fresh=True)
def put(x: Any, index: Any, value: Any) -> Any:
    z = np.array(x)
    z[index] = value
    return z


@operation(static=True, fresh=True)
def draw(rng: np.random.Generator, method: str, *args: Any, **kwargs: Any) -> Any:
    return getattr(rng, method)(*args, **kwargs)


@operation(static=True)
def guarded(value: Any, expected: Any) -> Any:
    """A guard: the program was written down for this value, or for this shape and dtype."""
    raise NotImplementedError


_METHODS = """
    sum mean prod var std max min cumsum cumprod argmax argmin argsort all any nonzero ravel
    squeeze swapaxes round take repeat trace diagonal argpartition searchsorted compress
""".split()  # noqa: SIM905 (as a list it is 30 lines)

#: Python's operators of which whole numbers make others.
_WHOLE_NUMBERS = {sign.python for sign in SIGNS.values() if sign.total}

_ASKS_SHAPE = (np.shape, np.ndim, np.size, np.iscomplexobj, np.isrealobj, np.result_type)
_ASSIGNS = (np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal)

_DOORS = ("autobp.tensor", "autobp.compiler")
_ACTING = ("autobp.optim", "autobp.train")  # which change what they hold


class ManyNumbers(BaseException):
    """A function computes more single numbers than are to be written down one by one. No user's
    `except Exception` is to stop it."""


class Trace:
    """One function being written down."""

    def __init__(self, most: float = math.inf, calls: float = math.inf) -> None:
        self.most = most  # results that are single numbers
        self.calls = calls  # that may be written down at most
        self.steps: list[Step] = []
        self.arguments: list[Step] = []
        self.effects: set[Step] = set()  # guards, and draws of random numbers
        self.constants: dict[int, tuple[Any, Step]] = {}
        self.cotangents: dict[Step, Step] = {}  # of what a step holds the cotangent
        self.phase = "forward"  # or "backward", or "update"
        self.node: Tensor | None = None  # that a sweep has reached
        self.cotangent: Any = None  # of the node
        self.began = clock()
        self.known: set[Tensor] = set()  # Tensors whose values are arguments
        self.errors: dict[str, Any] = {**np.geterr()}
        self.unnamed: set[Step] = set()  # arguments without a name of their own
        self.thread = threading.get_ident()
        self.closed = False
        self.refusal: CaptureError | None = None  # why nothing will come of it, if that is so
        self.asked: Step | None = None  # whose value was asked for, and refused
        self.is_too_long = False  # of single numbers there were more than `most`
        self.codes: set[Any] = set()  # of the functions that the search for variables has found
        self.met: dict[int, Any] = {}  # codes by their ids, that were looked at
        self.executed: list[Executed] = []  # calls of functions that it has not found

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────

    def argument(self, value: Any, name: str) -> Tracer:
        step = _step(None, (), {}, value)
        step.name = name
        self.arguments.append(step)
        tracer = Tracer(self, step, value)
        tracer.borrowed = True
        tracer.static = type(value) is int
        return tracer

    def generator(self, rng: np.random.Generator, name: str) -> Any:
        step = Step(None, (), {}, (), None, type(rng), name)
        self.arguments.append(step)
        return TracedGenerator(self, Tracer(self, step, rng))

    def constant(self, array: np.ndarray) -> Step:
        """An array that the program brings along: a copy, since its owner may change it."""
        known = self.constants.get(id(array))
        if known is not None and np.array_equal(known[1].constant, array, equal_nan=False):
            return known[1]
        step = _step(None, (), {}, array)
        step.constant = array.copy()
        self.constants[id(array)] = array, step  # the array too, so that no other gets its id
        return step

    # ── what happens ──────────────────────────────────────────────────────────────────────────────

    def refuse(self, message: str) -> CaptureError:
        """The error to raise. Whoever catches it, no program will come of this recording."""
        error = CaptureError(message)
        if self.refusal is None and not self.is_elsewhere:
            self.refusal = error
        return error

    def call(
        self, function: Callable[..., Any], args: Sequence[Any], params: dict[str, Any]
    ) -> Any:
        """Carry a call out and write it down."""
        args, params = tuple(args), dict(params)
        if self.is_elsewhere:
            return self.meanwhile(function, args, params)
        if self.closed or any(c.tracing is not self for c in _tracers((args, params))):
            raise self.refuse(
                f"{_named(function)} at {user_line()} uses an array of a call that is over: a compiled"
                " function must not keep its arrays anywhere but in what it returns"
            )
        if isinstance(function, np.ufunc):
            function = _known_ufunc(function)
        else:
            args, params = _with_plain_shapes(function, args, params)
        seen = list(_tracers((args, params)))
        plain_args, plain_params = mapped(lambda c: c.current().now, (args, params), Tracer)
        result = function(*plain_args, **plain_params)
        step = _step(
            function, self._written(args, function), self._written(params, function), result
        )
        step.scope, step.phase = self._section()
        errors: dict[str, Any] = {**np.geterr()}
        if errors != self.errors:
            step.errors = tuple((k, v) for k, v in errors.items() if v != self.errors[k])
        self.steps.append(step)
        if len(self.steps) > self.calls:
            raise self.refuse(
                f"compile was to write {self.calls} calls at most, which are not enough"
            )
        if not step.shape:
            self.most -= 1
            if self.most < 0:
                self.is_too_long = True
                raise ManyNumbers
        if function is draw:
            self.effects.add(step)
        static = all(c.static for c in seen)
        steady = of(function).is_static(args, params)
        if any(type(c.now) is int for c in seen) and not isinstance(function, np.ufunc):
            steady = type(result) is bool or function in _WHOLE_NUMBERS
            steady |= function is operator.pow and type(args[0]) is float
        return self._wrapped(step, result, function, seen, static, steady, args, params)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is another thread that asks, which shares a Tensor with this one."""
        return threading.get_ident() != self.thread

    def meanwhile(self, function: Callable[..., Any], args: Any, params: Any) -> Any:
        """A call by another thread, for which a Tensor has the value that it had before."""

        def before(c: Tracer) -> Any:
            if c.step.is_argument and not c.version:
                return c.now
            raise Changed(
                f"{_named(function)} at {user_line()} uses a Tensor that a compiled function changes,"
                " in another thread"
            )

        args, params = mapped(before, (args, params), Tracer)
        return function(*args, **params)

    def _wrapped(
        self,
        step: Step,
        result: Any,
        function: Callable[..., Any],
        seen: Sequence[Tracer],
        static: bool,
        steady: bool,
        args: Any,
        params: Any,
    ) -> Any:
        kind = type(result)
        if isinstance(result, tuple | list):
            parts = []
            for i, part in enumerate(result):
                item = _step(operator.getitem, (step, i), {}, part)
                item.scope, item.phase = step.scope, step.phase
                self.steps.append(item)
                parts.append(
                    self._wrapped(item, part, function, seen, static, steady, args, params)
                )
            return kind(*parts) if hasattr(kind, "_fields") else kind(parts)
        if not isinstance(result, np.ndarray | np.generic | float | int):
            raise self.refuse(
                f"{_named(function)} at {user_line()} returns a {kind.__name__}, which a program of"
                " NumPy calls cannot go on from"
            )
        tracer = Tracer(self, step, result)
        tracer.static = static
        if not steady:
            self.guard(step, kind if isinstance(result, float | int) else (step.shape, step.dtype))
        if isinstance(result, np.ndarray):
            for c in seen:
                if isinstance(c.now, np.ndarray) and np.may_share_memory(c.now, result):
                    tracer.origin = (c, c.version, function, args, params)
                    break
        return tracer

    def guard(self, step: Step, expected: Any) -> None:
        guard = _step(guarded, (step, expected), {}, True)
        guard.line = user_line()
        self.steps.append(guard)
        self.effects.add(guard)

    def _written(self, nest: Any, function: Callable[..., Any]) -> Any:
        """Arguments with steps for captured arrays, and for arrays that are constants."""
        if isinstance(nest, Tracer):
            return nest.step
        kind = type(nest)
        if isinstance(nest, np.ndarray):
            return self.constant(nest)
        if kind is tuple or kind is list:
            return kind(self._written(a, function) for a in nest)
        if isinstance(nest, tuple | list):
            return tuple(self._written(a, function) for a in nest)
        if kind is dict:
            return {k: self._written(a, function) for k, a in nest.items()}
        if kind is slice:
            return slice(*(self._written(a, function) for a in (nest.start, nest.stop, nest.step)))
        if kind is range:
            return list(nest)
        if nest is None or nest is Ellipsis or nest is np._NoValue:
            return nest
        if isinstance(nest, bool | int | float | complex | str | np.generic | np.dtype | type):
            return nest
        raise self.refuse(
            f"{_named(function)} at {user_line()} is given {nest!r:.60}, a {kind.__name__}, which a"
            " program of NumPy calls cannot bring along"
        )

    # ── what sweeps and optimizers tell ──────────────────────────────────────────────────────────

    def sweep(self, run: Callable[..., Any], *args: Any) -> Any:
        """A sweep backwards, which tells the nodes that it reaches."""
        found = self._during("backward", run, *args, self._reached)
        for leaf, g in found.items():
            if isinstance(g, Tracer) and isinstance(leaf.value, Tracer):
                self.cotangents[g.step] = leaf.value.step
        return found

    def update(self, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """An update of parameters."""
        return self._during("update", run, *args, **kwargs)

    def _during(self, phase: str, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        before = self.phase, self.node, self.cotangent
        self.phase, self.node, self.cotangent = phase, None, None
        try:
            return run(*args, **kwargs)
        finally:
            self.phase, self.node, self.cotangent = before

    def _reached(self, node: Tensor, cotangent: Any) -> None:
        self.node, self.cotangent = node, cotangent

    def _section(self) -> tuple[str | None, str]:
        """The scope of the running operation, and the phase of a training step."""
        if self.phase == "forward":
            return current().scope, "forward"
        node, g = self.node, self.cotangent
        if node is None:
            return None, self.phase
        if isinstance(g, Tracer) and isinstance(node.value, Tracer):
            self.cotangents.setdefault(g.step, node.value.step)
        return node.scope, self.phase

    def meets(self, args: Sequence[Any]) -> None:
        """Tensors that come from elsewhere are refused: their values would be those of now."""
        for a in args:
            if isinstance(a, Tensor) and not isinstance(a.primal_value(), Tracer):
                self.check_origin(a)

    def check_origin(self, t: Tensor) -> None:
        for origin in ancestors([t], t.level):
            if origin.is_leaf and origin.born < self.began and origin not in self.known:
                raise self.refuse(
                    f"{label(origin)} is read at {user_line()} but is not an argument of the compiled"
                    " function, which would go on using the value that it has now: pass the Tensor as"
                    " an argument"
                )

    # ── names ─────────────────────────────────────────────────────────────────────────────────────

    def watch(self, frame: FrameType, event: str, result: Any) -> None:
        """A profiler that sees effects before they happen, and learns what functions call their
        arrays, as they return. What an outer function calls one counts more, so the last to speak is
        heard."""
        if event == "call":
            code = frame.f_code
            if id(code) not in self.met or code in _ASKING:
                self.met[id(code)] = code
                self._meet(frame)
            return
        if event == "c_call":
            try:
                check_call(frame, result)
            except CaptureError as error:
                self.refusal = self.refusal or error
                raise
        if event != "return":
            return
        package = _package(frame)
        if package in ("autobp", "numpy") or package.startswith("namedtuple_"):
            return
        for name, value in frame.f_locals.items():
            if issubclass(type(value), Tensor):
                value = value.primal_value()
            if type(value) is Tracer and value.tracing is self:
                step = value.step
                if step.function is not None or step in self.unnamed:
                    step.name = name if name.isidentifier() and name != "_" else step.name

    def _meet(self, frame: FrameType) -> None:
        """A function is called for the first time: what it reads is to be known."""
        code = frame.f_code
        asks, caller = _ASKING.get(code), frame.f_back
        if asks and caller and is_user_frame(caller):
            raise self.refuse(
                f"compile cannot capture the call of {asks} at {user_line()}: a program would repeat what"
                " it gives in this call; keep it out of the compiled function"
            )
        if code in self.codes or not is_user_frame(frame):
            return
        plain = {k: v for k, v in frame.f_locals.items() if not isinstance(v, Variable)}
        self.executed.append(Executed(code, frame.f_globals, plain))

    def program(self, returns: Any) -> Program:
        self.closed = True
        for step, primal in self.cotangents.items():
            if step.function is not None and step.name is None and primal.name:
                step.name = re.sub(r"\W", "_", f"d{primal.name}")
        return Program(self.arguments, self.steps, returns, self.effects)


def _package(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]


def _step(function: Callable[..., Any] | None, args: Any, params: Any, result: Any) -> Step:
    if isinstance(result, tuple | list):
        return Step(function, args, params, (), None, tuple)
    dtype = result.dtype if hasattr(result, "dtype") else np.dtype(type(result))
    kind = np.ndarray if isinstance(result, np.ndarray) else type(result)
    return Step(function, args, params, np.shape(result), dtype, kind)


#: Parameters of NumPy's functions that say which axes, how many, which way. Whole numbers that are
#: arguments of the program are made conditions of it there.
_SHAPING = frozenset(
    """
    axis axes axis1 axis2 axisa axisb axisc source destination start keepdims ddof shape newshape
    reps repeats shift k n ndmin num decimals kth N M indices_or_sections pad_width minlength
    correction offset mode
    """.split()  # noqa: SIM905
)


def _with_plain_shapes(
    function: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call with plain numbers for axes, shapes and the like."""
    plain = lambda c: operator.index(c) if c.ndim == 0 and c.dtype.kind in "iu" else c
    if any(True for _ in _tracers(params)):
        of_ufunc = isinstance(getattr(function, "__self__", None), np.ufunc)
        params = {
            k: mapped(plain, v, Tracer) if of_ufunc or k in _SHAPING else v
            for k, v in params.items()
        }
    if any(type(a) is not Tracer and any(True for _ in _tracers(a)) for a in args[1:]) or any(
        type(a) is Tracer and type(a.now) is int for a in args[1:]
    ):
        names = _parameters(function)
        args = tuple(
            mapped(plain, a, Tracer) if i < len(names) and names[i] in _SHAPING else a
            for i, a in enumerate(args)
        )
    return args, params


@functools.lru_cache(256)
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    if isinstance(getattr(function, "__self__", None), np.ufunc):
        return ("array", "axis", "dtype", "out", "keepdims")
    if not str(getattr(function, "__module__", "")).startswith("numpy"):
        return ()
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


@functools.lru_cache(256)
def _known_ufunc(ufunc: np.ufunc) -> Callable[..., Any]:
    """A ufunc of NumPy's; another one as a function of which nothing is known but its result."""
    if getattr(np, ufunc.__name__, None) is ufunc:
        return ufunc

    @operation(static=True)
    def run(*args: Any, **params: Any) -> Any:
        return ufunc(*args, **params)

    run.__name__ = re.sub(r"\W", "_", ufunc.__name__)
    return run


def _split(x: Any, indices_or_sections: Any, axis: int = 0, uneven: bool = False) -> list[Any]:
    """What np.split gives, by slices, so that what is done to a part is done to the whole."""
    axis, parts = operator.index(axis), indices_or_sections
    size = x.shape[axis]
    if isinstance(parts, int | np.integer):
        count = operator.index(parts)
        if count <= 0:
            raise ValueError("number sections must be larger than 0.")
        if size % count and not uneven:
            raise ValueError("array split does not result in an equal division")
        sizes = [size // count + (i < size % count) for i in range(count)]
        ends = [sum(sizes[:i]) for i in range(1, count)]
    else:
        ends = [operator.index(i) for i in parts]
    before = (slice(None),) * (axis % x.ndim)
    edges = [0, *ends, size]
    return [x[(*before, slice(a, b))] for a, b in pairwise(edges)]


_SPLITS: dict[Any, Callable[..., Any]] = {
    np.split: _split,
    np.array_split: functools.partial(_split, uneven=True),
    np.vsplit: lambda x, parts: _split(x, parts, 0),
    np.hsplit: lambda x, parts: _split(x, parts, 1 if x.ndim > 1 else 0),
    np.dsplit: lambda x, parts: _split(x, parts, 2),
}


def _tracers(nest: Any) -> Iterator[Tracer]:
    found: list[Tracer] = []
    mapped(found.append, nest, Tracer)
    return iter(found)


def _named(function: Any) -> str:
    module = (getattr(function, "__module__", None) or "").split(".")
    name = getattr(function, "__name__", repr(function))
    if isinstance(function, np.ufunc) and getattr(np, name, None) is function:
        return f"np.{name}"  # before NumPy 2.2 ufuncs have no module
    return ".".join(["np", *module[1:], name]) if module[0] == "numpy" else name


#: Functions written in Python that tell something of the process.
_ASKING = {
    threading.current_thread.__code__: "current_thread",
    np.geterr.__code__: "np.geterr",
}


# ── the array ─────────────────────────────────────────────────────────────────────────────────────


def _infix(sign: Sign) -> tuple[Any, Any, Any]:
    """An operator's three methods. Python's own numbers stay Python's, but where Python would raise
    in a rule and NumPy has an inf or a nan, NumPy computes."""
    ufunc, python = sign.ufunc, sign.python

    def compute(self: Tracer, x: Any, y: Any) -> Any:
        if not _operand(x) or not _operand(y):
            return NotImplemented
        kinds = {type(v.now) if isinstance(v, Tracer) else type(v) for v in (x, y)}
        if kinds <= {int, bool}:
            return self.tracing.call(python, (x, y), {})
        if kinds <= {float, int, bool}:
            fades = ufunc is np.power and type(x) is float and 0 < x <= 1 and type(y.now) is int
            if fades or sign.total:
                return self.tracing.call(python, (x, y), {})
            if _asked_by_user():
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


def _asked_by_user() -> bool:
    """Whether an operator is in the user's code, and not in a rule of ours."""
    caller = sys._getframe(3)
    return not caller.f_globals.get("__name__", "").startswith("autobp.")


def _is_pythons(x: Any) -> bool:
    return type(x) in (float, int, bool)


def _operand(x: Any) -> bool:
    return isinstance(x, Tracer | np.ndarray | np.generic | float | int | list | tuple)


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
        function = python if _is_pythons(self.now) else ufunc
        return self.tracing.call(function, (self,), {})

    return operator_


def _method(name: str) -> Any:
    function = getattr(np, name)

    def method(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise _refused(self, f"{name}(out=…) writes into an array", "leave out= away")
        if name == "compress":
            args = (args[0], self, *args[1:])
            return self.tracing.call(function, args, kwargs)
        return self.tracing.call(function, (self, *args), kwargs)

    method.__name__ = name
    return method


class Tracer(Variable):
    """An array, or a number, that writes down what is done to it."""

    __slots__ = (
        "borrowed",
        "now",
        "origin",
        "static",
        "step",
        "tracing",
        "version",
    )  # fmt: skip

    requires_grad = False

    def __init__(self, trace: Trace, step: Step, now: Any) -> None:
        self.tracing = trace
        self.step = step
        self.now = now  # what it is in the call that is being written down
        self.version = 0  # how often it was changed in place
        self.origin: Any = None  # of a view: what it is a view of, and how to look again
        self.borrowed = False  # it is the caller's
        self.static = False  # it depends on whole numbers alone, and may be made a condition

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
        before = len(trace.steps), set(trace.effects), trace.refusal
        try:
            result = primitive.function(*args, **params)
            if trace.refusal is before[2]:
                return result
        except CaptureError:  # of a function that a user gave rules to: it runs as a whole
            pass
        del trace.steps[before[0] :]
        trace.effects, trace.refusal = before[1:]
        return trace.call(primitive.function, args, params)

    def call_opaque(self, function: Callable[..., Any], args: Sequence[Any]) -> Any:
        return self.tracing.call(function, args, {})

    def on_operands(self, args: Sequence[Any]) -> None:
        if not self.tracing.is_elsewhere:
            self.tracing.meets(args)

    def primal_value(self) -> Any:
        return self.now if self.tracing.is_elsewhere else self

    def canonical(self) -> Any:
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
        if self.origin is not None:
            base, version, function, args, params = self.origin
            if base.current().version != version:
                again = self.tracing.call(function, args, params)
                self.step, self.now, self.origin = again.step, again.now, again.origin
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
                self, f"{what} changes an argument in place", "write a = a + b, and return it"
            )
        if self.origin is not None and self.origin[2] is not operator.getitem:
            raise _refused(self, f"{what} changes a view of an array in place", "use np.where")
        if changed.shape != self.shape:
            raise ValueError(
                f"{what}: an array of shape {self.shape} cannot take a result of shape {changed.shape}"
            )
        if changed.dtype != self.dtype:
            if not np.can_cast(changed.dtype, self.dtype, "same_kind"):
                raise TypeError(f"{what}: {changed.dtype} cannot be cast to {self.dtype}")
            changed = changed.astype(self.dtype)
        if self.origin is not None:  # a part: the whole changes, and the part is looked at again
            base, _, _, (_, index), _ = self.origin
            base.become(self.tracing.call(put, (base, index, changed), {}), what)
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
                return target.become(
                    self.tracing.call(ufunc, inputs, {}), f"{_named(ufunc)}(out=…)"
                )
            raise _refused(self, f"{_named(ufunc)} writes into an array", "leave out= away")
        if isinstance(kwargs.get("where", True), Tracer):
            raise _refused(self, f"{_named(ufunc)}(where=…) leaves numbers unset", "use np.where")
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if method not in ("__call__", "reduce", "accumulate", "outer"):
            raise _refused(self, f"{_named(ufunc)}.{method}", "use another function")
        return self.tracing.call(function, inputs, kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        if any(issubclass(t, Tensor) for t in types):
            return NotImplemented
        if function in _ASKS_SHAPE:
            return function(*mapped(lambda c: c.now, tuple(args), Tracer), **kwargs)
        out = kwargs.get("out")
        plain = {k: v for k, v in kwargs.items() if k != "out"}
        if type(out) is Tracer and of(function).is_static(tuple(args), plain):
            return out.become(
                self.tracing.call(function, args, plain), f"{_named(function)}(out=…)"
            )
        if function in _ASSIGNS or out is not None:
            raise _refused(self, f"{_named(function)} writes into an array", "use np.where")
        if function in (np.array2string, np.array_str, np.array_repr):
            return self._text(function)
        if function in _SPLITS:
            return _SPLITS[function](*args, **kwargs)
        if function is np.may_share_memory or function is np.shares_memory:
            return function(*mapped(lambda c: c.now, tuple(args), Tracer), **kwargs)
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

    def _decides(self, what: str, value: Any) -> Any:
        """A condition: allowed in the library, and on whole numbers, where the program guards it."""
        if self.tracing.is_elsewhere:
            return value
        if self.static or _asked_by_library():
            if type(value) is bool and self.dtype.kind != "b":
                return bool(operator.ne(self, 0))
            self.tracing.guard(self.current().step, value)
            return value
        asked = (
            what if what.endswith(",") else f"{what} was asked for, as by if, while, range or math,"
        )
        raise _refused(
            self, asked, "choose with np.where, or keep what decides out of the compiled function"
        )

    def __bool__(self) -> bool:
        return self._decides("its truth", bool(self.current().now))

    def __index__(self) -> int:
        return self._decides("its value as an index", operator.index(self.current().now))

    def __int__(self) -> int:
        return self._decides("its value as an int", int(self.current().now))

    def __float__(self) -> float:
        return self._decides("its value as a float", float(self.current().now))

    def item(self, *args: Any) -> Any:
        return self._decides("its value", self.current().now)

    def tolist(self) -> Any:
        now = self.current().now
        return self._shown(
            now.tolist() if hasattr(now, "tolist") else now,
            "its numbers were asked for",
            "use NumPy",
        )

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
        return hash(
            self._decides("its hash was asked for, as by `in` a set or by the key of a dict,", now)
        )

    def _shown(self, now: Any, what: str, way_out: str) -> Any:
        """The numbers, for the library's messages only, after which no program is made of this."""
        if self.tracing.is_elsewhere:
            return now
        error = _refused(self, what, way_out)
        if not _asked_by_library():
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

    __abs__ = _prefix(np.absolute, abs)

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
        return np.shape(self.now)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.now.dtype if hasattr(self.now, "dtype") else np.dtype(type(self.now))

    @property
    def ndim(self) -> int:
        return np.ndim(self.now)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def T(self) -> Any:
        return self.tracing.call(np.transpose, (self,), {})

    @property
    def mT(self) -> Any:
        return self.tracing.call(np.matrix_transpose, (self,), {})

    @property
    def real(self) -> Any:
        return self.tracing.call(np.real, (self,), {})

    @property
    def imag(self) -> Any:
        return self.tracing.call(np.imag, (self,), {})

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

    def conj(self) -> Any:
        return np.conjugate(self)

    conjugate = conj

    def __getattr__(self, name: str) -> Any:
        kind = type(self.now)
        if name.startswith("__") or not hasattr(kind, name):
            raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")
        raise _refused(self, f".{name} is used", "use NumPy's functions")


class TracedGenerator(np.random.Generator):
    """A generator whose draws are written down, to be drawn again by every call."""

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
        if any(True for _ in _tracers(list(index))):
            return np.stack(list(index))
        array = np.asarray(index)
        return array if array.size else array.astype(int)
    return index


def _asked_by_library() -> bool:
    """Whether it is a rule, a loss or a layer that asks, which may: it does nothing but compute."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_DOORS):
        frame = frame.f_back
    module = "" if frame is None else frame.f_globals.get("__name__", "")
    return module == "autobp.optim.clip" or (
        module.startswith("autobp.") and not module.startswith(_ACTING)
    )


def _refused(array: Tracer, what: str, way_out: str) -> CaptureError:
    name = array.step.name
    array.tracing.asked = array.tracing.asked or array.step
    shape = f" of shape {array.shape}" if array.shape else ""
    who = repr(name) if name else "an array" + shape if shape else "a number"
    return array.tracing.refuse(
        f"compile cannot capture {who} at {user_line()}: {what} and a program that is written down once"
        f" must serve other values too; {way_out}"
    )
