"""The state of recording: the clock that orders events, `no_grad`, `scope`, `detect_anomaly`.

The state is one `Context` in a `ContextVar`, and every thread starts with the default. A `with` block
puts a new context on top, linked to the one below, and removes it at the end, whatever happened
inside. Nothing is shared, so nothing leaks from one thread, or out of an exception, into another.

Generators may hold blocks open, so that blocks end in any order, or in another thread. A block that
is not on top is then removed from under the others.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from functools import wraps
from types import FrameType
from typing import Any, TypeVar, cast

from autobp.owner import Owner, outside, owner_of_frame

__all__ = [
    "clock",
    "current",
    "detect_anomaly",
    "evaluation",
    "lines",
    "mapped",
    "module_call",
    "no_grad",
    "resumed",
    "value_listener",
    "scope",
    "tracing",
    "unheard",
    "unwatched",
    "updates",
    "user_line",
]

F = TypeVar("F", bound=Callable[..., Any])

#: A logical clock. A tensor keeps the time of its birth. Arguments are born before their results, so
#: sorting by birth gives a topological order. The level of a derivative is the time it began: inner
#: derivatives have higher levels, and no two derivatives, on any threads, have the same.
clock: Callable[..., Any] = itertools.count(1).__next__


class Context:
    """The state inside a block. It changes if a block around it ends first, in this thread or in another.
    After its own block has ended, it is the state around that, for whoever still has it."""

    __slots__ = ("above", "anomaly", "batches", "block", "lines", "outer", "scope", "threshold")

    def __init__(
        self,
        threshold: int = 0,
        scope: str | None = None,
        anomaly: bool = False,
        lines: bool = False,
        outer: Context | None = None,
        block: _Block | None = None,
    ) -> None:
        self.threshold: int = threshold  # operations at lower levels are not recorded
        self.scope: str | None = scope
        self.anomaly: bool = anomaly
        self.lines: bool = lines  # tensors remember the user's line that made them
        self.outer: Context | None = outer
        #: The batches over which `vmap` maps the function that runs: their levels and sizes.
        self.batches: tuple[tuple[int, int], ...] = () if outer is None else outer.batches
        self.block: _Block | None = block  # the block that made it; None if that has ended
        self.above: list[Context] = []  # those whose blocks began inside this one and are open

    @property
    def keeps_leaves(self) -> bool:
        """Whether a block since the innermost no_grad() began keeps `p += x` from changing p."""
        context: Context | None = self
        while context is not None and context.threshold == self.threshold:
            if context.block is not None and context.block.keeps_leaves:
                return True
            context = context.outer
        return False


_context: ContextVar[Context] = ContextVar("autobp", default=Context())  # noqa: B039 (not changed)
current: Callable[..., Any] = _context.get

#: Is told of each tensor whose primal value is read, and of comparisons. The compiler listens while it
#: traces a function, since a program that serves other values must not depend on these.
value_listener: ContextVar[Any] = ContextVar("value_listener", default=None)

#: The trace that records this function, if one does. Sweeps and optimizers tell it what they do.
tracing: ContextVar[Any] = ContextVar("tracing", default=None)


def updates(function: F) -> F:
    """Let a trace know that a function updates parameters or rates."""

    @wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        trace = tracing.get()
        if trace is None:
            return function(*args, **kwargs)
        return trace.update(function, *args, **kwargs)

    return cast(F, told)


def unheard(function: F) -> F:
    """Let a trace not hear what a function does, which calls none of the user's: to hear takes time."""

    @wraps(function)
    def run(*args: Any) -> Any:
        trace = tracing.get()
        return function(*args) if trace is None else trace.unheard(function, *args)

    return cast(F, run)


class _Block(contextlib.ContextDecorator):
    """A `with` block that changes the state. It also decorates functions and generators."""

    __slots__ = ("_state",)

    _state: Context  # the one it made when it was last entered
    keeps_leaves = False  # see Context

    def within(self, outer: Context, before: Context | None = None) -> Context:
        """The state inside the block: a new one, or `before` again, over what is around it now."""
        raise NotImplementedError

    def __enter__(self) -> None:
        outer = current()
        if outer.block is None and outer.outer is not None:
            outer = _open(outer)
        self._state = state = self.within(outer)
        if outer.outer is not None:
            outer.above.append(state)
        _context.set(state)

    def __exit__(self, *_: object) -> None:
        top = current()
        outer = top.outer
        if top.block is self and outer is not None:
            if outer.outer is not None:
                outer.above.remove(top)
            _context.set(outer if outer.block is not None else _open(outer))
        else:
            self._leave(top)

    def _leave(self, top: Context) -> None:
        """End a block that is not the innermost one of this thread, or was begun in another."""
        found: Context | None = top
        while found is not None and found.block is not self:
            found = found.outer
        ended = found or self._state
        ended.block = None
        _renew(ended)

    def __call__(self, function: F) -> F:
        return cast(F, self._around(function))

    def _around(self, function: Any) -> Any:
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                with self._recreate_cm():
                    return await function(*args, **kwargs)

            return coroutine
        if inspect.isasyncgenfunction(function):
            return self._asynchronous(function)
        if not inspect.isgeneratorfunction(function):
            return super().__call__(function)

        @wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
            """Each step is a block of its own, since what runs between two steps is the caller's."""
            steps = function(*args, **kwargs)
            advance: Any = steps.send
            given: Any = None
            try:
                while True:
                    try:
                        with self._recreate_cm():
                            value = advance(given)
                    except StopIteration as end:
                        return end.value
                    try:
                        given = yield value
                        advance = steps.send
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        advance, given = steps.throw, error
            finally:
                with self._recreate_cm():
                    steps.close()

        return generator

    def _asynchronous(self, function: Any) -> Any:
        @wraps(function)
        async def generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            steps = function(*args, **kwargs)
            advance: Any = steps.asend
            given: Any = None
            try:
                while True:
                    try:
                        with self._recreate_cm():
                            value = await advance(given)
                    except StopAsyncIteration:
                        return
                    try:
                        given = yield value
                        advance = steps.asend
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        advance, given = steps.athrow, error
            finally:
                with self._recreate_cm():
                    await steps.aclose()

        return generator

    def _recreate_cm(self) -> _Block:
        """A block for each call of a decorated function, since calls nest."""
        return type(self)()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _open(context: Context) -> Context:
    """The innermost state whose block has not ended."""
    while context.block is None and context.outer is not None:
        context = context.outer
    return context


def _renew(context: Context) -> None:
    """Make a state, and those above it, what they are over the state around them."""
    outer = context.outer
    if outer is not None:
        now = outer if context.block is None else context.block.within(outer, context)
        context.threshold, context.scope = now.threshold, now.scope
        context.anomaly, context.lines = now.anomaly, now.lines
        context.batches = now.batches
    for above in context.above:
        _renew(above)


class no_grad(_Block):
    """Compute without recording: results are constants.

    Derivatives that begin inside the block (`grad`, `jvp`, …) still work. To those that began
    outside, what is computed inside is a constant, in forward mode and in reverse mode.

    >>> from autobp import Tensor, no_grad
    >>> x = Tensor(3.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y
    Tensor(9.0, requires_grad=False)

    A leaf is updated in place, as in PyTorch, so a training step can be written by hand:

    >>> w = Tensor([1.0, -2.0])
    >>> (w @ w).backward()
    >>> with no_grad():
    ...     w -= 0.1 * w.grad
    >>> w
    Tensor([ 0.8 -1.6])
    """

    __slots__ = ()

    def __new__(cls, function: Any = None) -> Any:
        """As a decorator it may stand without brackets, as in PyTorch."""
        return super().__new__(cls) if function is None else cls()(function)

    def within(self, outer: Context, before: Context | None = None) -> Context:
        threshold = clock() if before is None else before.threshold
        return Context(threshold, outer.scope, outer.anomaly, outer.lines, outer, self)


class evaluation(no_grad):
    """The no_grad() of the library, in which a model runs. A user's code inside means to compute, not
    to update, as it does where it is recorded."""

    __slots__ = ()
    keeps_leaves = True


class scope(_Block):
    """Name the part of the program that the operations inside belong to; scopes nest.

    >>> from autobp import Tensor, scope
    >>> with scope("encoder"), scope("layer1"):
    ...     h = Tensor(1.0) * 2
    >>> h.scope
    'encoder/layer1'
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def within(self, outer: Context, before: Context | None = None) -> Context:
        name = f"{outer.scope}/{self._name}" if outer.scope else self._name
        return Context(outer.threshold, name, outer.anomaly, outer.lines, outer, self)

    def _recreate_cm(self) -> scope:
        return type(self)(self._name)

    def __repr__(self) -> str:
        return f"scope({self._name!r})"


class resumed(_Block):
    """Go on in an earlier state: record what was recorded there, in its scope."""

    __slots__ = ("_earlier",)

    def __init__(self, earlier: Context) -> None:
        self._earlier = earlier

    def within(self, outer: Context, before: Context | None = None) -> Context:
        earlier = self._earlier
        anomaly, lines = outer.anomaly or earlier.anomaly, outer.lines or earlier.lines
        state = Context(earlier.threshold, earlier.scope, anomaly, lines, outer, self)
        state.batches = earlier.batches
        return state

    def _recreate_cm(self) -> resumed:
        return resumed(self._earlier)


class mapped(_Block):
    """Run a function for all examples of a batch."""

    __slots__ = ("_level", "_size")

    def __init__(self, level: int, size: int) -> None:
        self._level = level
        self._size = size

    def within(self, outer: Context, before: Context | None = None) -> Context:
        state = Context(outer.threshold, outer.scope, outer.anomaly, outer.lines, outer, self)
        state.batches = (*outer.batches, (self._level, self._size))
        return state

    def _recreate_cm(self) -> mapped:
        return mapped(self._level, self._size)


class module_call(scope):
    """The scope of a module while it runs."""

    __slots__ = ()
    keeps_leaves = True


class detect_anomaly(_Block):
    """Stop at the first operation that makes a NaN or an infinity, forward or backward.

    The error names the operation and the line of your code that called it. An operation that was
    given a NaN, or gives an infinity that it was given, is not blamed for its result; a parameter, an
    argument or a constant that holds a NaN is named where it is used. An array that the program has
    changed in place before the backward pass reads it is an error as well; without detect_anomaly()
    that goes unnoticed, and the derivative is that at the changed numbers.

    >>> import numpy as np
    >>> from autobp import Tensor, detect_anomaly
    >>> with detect_anomaly(), np.errstate(divide="ignore"):
    ...     np.log(Tensor(0.0, name="p"))   # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FloatingPointError: log made the first inf (forward), ...
    """

    __slots__ = ()

    def within(self, outer: Context, before: Context | None = None) -> Context:
        return Context(outer.threshold, outer.scope, True, True, outer, self)


class unwatched(_Block):
    """Let the operations of a rule pass: whoever applies it looks at what it gives."""

    __slots__ = ()

    def within(self, outer: Context, before: Context | None = None) -> Context:
        return Context(outer.threshold, outer.scope, False, outer.lines, outer, self)


class lines(_Block):
    """Record for each operation the line of the user's code that called it."""

    __slots__ = ()

    def within(self, outer: Context, before: Context | None = None) -> Context:
        return Context(outer.threshold, outer.scope, outer.anomaly, True, outer, self)


def user_line(frame: FrameType | None = None) -> str:
    """Where the running operation was called from: the innermost frame outside the library and Python's own
    modules, from this one outwards."""
    frame = outside(frame or sys._getframe(1))
    while frame.f_back is not None and owner_of_frame(frame) is Owner.PYTHON:
        frame = outside(frame.f_back)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
