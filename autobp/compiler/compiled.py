"""Compiled: a function, and the programs that were made for its arguments so far."""

from __future__ import annotations

import contextvars
import math
import os
import threading
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar

from autobp.compiler.terms import (
    SIGNATURE_ERRORS,
    CaptureError,
    Changed,
    Settings,
    StateNotReady,
    UnforeseenError,
    differentiated,
)
from autobp.context import current
from autobp.errors import file_path
from autobp.habits import checks_keywords
from autobp.locks import fork_safe
from autobp.tree import leaves

if TYPE_CHECKING:
    from autobp.compiler.entry import Entry
    from autobp.compiler.program import Program
    from autobp.compiler.trace.free_variables import Constant

__all__ = ["Compiled", "compile"]

P = ParamSpec("P")
R = TypeVar("R")

MOST = 64  # programs of one function; with one more, the oldest is dropped

#: One thread traces at a time, since two might use the same Tensors.
_tracing = fork_safe(threading.RLock())

#: Held while the compiler is imported, which a fork waits for: in the child nobody would end it.
_importing = threading.RLock()


def _load() -> None:
    """Import the compiler, late, since importing autobp is to be quick."""
    with _importing:
        import autobp.compiler.scalars.numbers  # noqa: F401


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_importing.acquire,
        after_in_parent=_importing.release,
        after_in_child=_importing.release,
    )


class Compiled(Generic[P, R]):
    """A function that `compile` made: call it like the original."""

    def __init__(self, function: Callable[P, R], settings: Settings) -> None:
        _load()
        self.function = function
        self.settings = settings
        self.__wrapped__ = function
        self.__name__: Any | str = getattr(function, "__name__", "program")
        self.__doc__ = function.__doc__
        self._entries: list[Entry] = []
        self._grown: set[str] = set()  # forms of arguments whose call made attributes or entries
        self._compares_next = False

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if current().anomaly:  # which is to see every operation
            return self.function(*args, **kwargs)
        for entry in self._entries:
            try:
                if not entry.fits(*args, **kwargs):
                    continue
            except SIGNATURE_ERRORS:
                continue
            try:
                if entry.checks <= 0 and not self._compares_next:
                    return entry.run(*args, **kwargs)
                result = entry.checked(self.function, args, kwargs, self._compares_next)
                self._compares_next = False
                return result
            except Changed:
                continue
        return self._first(args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method of a class, it is given the object."""
        return self if instance is None else types.MethodType(self, instance)

    def compare_next(self) -> None:
        """Let the next call run the function too, and compare."""
        self._compares_next = True

    def _first(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if any(differentiated(x) for _, x in leaves((args, kwargs))):
            return self.function(*args, **kwargs)
        from autobp.compiler.call import Call  # late: see _load
        from autobp.compiler.scalars.numbers import compile_entry

        entries = self._entries
        with _tracing:
            is_mine = self._entries is entries  # else another thread has traced one meanwhile
            entry: Entry | None = None
            if is_mine:
                for other in entries:  # perhaps of forms that were met once
                    other.release()
                try:
                    earlier = [other.found for other in entries]
                    call = Call(self.function, self.__name__, args, kwargs, self.settings)
                    entry = compile_entry(call, earlier)
                except StateNotReady as early:
                    self._check_growth(early.grown, args, kwargs)
                except UnforeseenError as error:
                    raise self._explained(error, args, kwargs) from error.__cause__
                if entry is not None:
                    self._entries = [entry, *entries[: MOST - 1]]
                    self._grown.clear()
        if not is_mine:
            return self(*args, **kwargs)
        if entry is None:  # here, since the exception above holds what was traced
            return self.function(*args, **kwargs)
        try:
            if entry.fits(*args, **kwargs):
                if entry.checks <= 0:
                    return entry.run(*args, **kwargs)
                entry.checks += 1  # for this call, which has the values of the tracing
                return entry.checked(self.function, args, kwargs)
        except Changed:  # by a nan, which is never what it was
            pass
        return self.function(*args, **kwargs)  # also if what is given away is there twice

    def _explained(self, error: UnforeseenError, args: Any, kwargs: Any) -> Exception:
        """What is to be raised where tracing failed by an exception: that of the function, if it
        raises one by itself too."""
        from autobp.compiler.snapshot import Snapshot  # late: see _load
        from autobp.compiler.trace.search import free_variables

        snapshot = Snapshot(free_variables(self.function, (args, kwargs)), (args, kwargs), all=True)
        try:
            contextvars.copy_context().run(self.function, *args, **kwargs)
        except Exception as own:  # and what it has done until then, it has done
            own.__context__ = None
            return own
        snapshot.restore()
        return error

    def _check_growth(self, grown: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A call may make what the next one finds, but not if that makes more."""
        if not grown:
            return
        form = repr([(path, getattr(x, "shape", type(x))) for path, x in leaves((args, kwargs))])
        if form in self._grown:
            raise CaptureError(
                f"compile cannot capture that each call of {self.__name__} adds an attribute or an entry of"
                f" a dict, which is not an argument, at {grown}: a program would not do it again; return the"
                " new value instead"
            )
        self._grown.add(form)

    @property
    def constants(self) -> tuple[Constant, ...]:
        """What the programs have as constants: the values, when the function was traced, of what it
        reads that is neither an argument nor held by a module, an optimizer or an argument.

        >>> from autobp import compile
        >>> settings = {"scale": 2.0}
        >>> double = compile(lambda x: settings["scale"] * x)
        >>> double(3.0)
        6.0
        >>> [c.name for c in double.constants]
        ['settings', "settings['scale']"]
        """
        found: dict[tuple[str, str], Constant] = {}
        for entry in self._entries:
            for constant in entry.found.constants():
                found.setdefault(constant[:2], constant)
        return tuple(found.values())

    @property
    def programs(self) -> tuple[Program, ...]:
        """The programs that were made so far, the latest first."""
        return tuple(entry.program for entry in self._entries)

    @property
    def memory(self) -> int:
        """The bytes that a call of the latest program holds at most, besides its arguments and what
        NumPy needs within a call of its own."""
        return self._latest().plan.peak

    @property
    def source(self) -> str:
        """The program of the latest signature, as text.

        >>> import numpy as np
        >>> from autobp import compile, grad
        >>> slope = compile(grad(lambda x: np.sum(np.sin(x))))
        >>> slope(np.zeros(2))
        array([1., 1.])
        >>> "np.cos(x)" in slope.source
        True
        """
        return self._latest().text(whole=False)

    def save(self, path: str | Path) -> None:
        """Write the program of the latest signature to a module that needs NumPy alone, or, if the name
        ends in `.onnx`, to an ONNX model (extra `onnx`).

        The inputs of the model have the names of the arguments, with their paths (`params.W`). Modules
        that the function closes over are in it, with their weights of now. The first axis of the
        arguments is free where the program allows it: the function is traced for four more sizes, from
        1 to a thousand, to find out. What it does for other sizes alone is not seen. `metadata_props`
        says so under `batch`, and under `precondition` what held for the arguments and must hold for
        others.

        >>> import tempfile
        >>> import numpy as np
        >>> from autobp import compile, grad
        >>> slope = compile(grad(lambda x: np.sum(np.sin(x))))
        >>> slope(np.zeros(2))
        array([1., 1.])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     slope.save(f"{folder}/slope.py")
        ...     slope.save(f"{folder}/slope.onnx")
        """
        path = file_path(path, "save")
        if path.suffix.lower() == ".onnx":
            from autobp.compiler import onnx  # late: few save a model

            with _tracing:
                onnx.save(self._latest(), path)
            return
        if path.suffix.lower() not in ("", ".py"):
            raise ValueError(
                f"{path.name}: the name of a program must end in .py, or in .onnx for an ONNX model"
            )
        path.write_text(self._latest().text(whole=True), encoding="utf-8")

    def _latest(self) -> Entry:
        if not self._entries:
            raise RuntimeError(
                f"{self.__name__} has no program yet: its first call writes one. (A call with a Tensor that"
                " is a result, so that derivatives go through it, one under detect_anomaly, and one that makes"
                " what later calls find, as the averages of an optimizer, run the function as it is.)"
            )
        return self._entries[0]

    def __reduce__(self) -> Any:
        """A copy, also in another process, writes its own programs."""
        return Compiled, (self.function, self.settings)

    def __repr__(self) -> str:
        n = len(self._entries)
        return f"<compiled {self.__name__}: {n} program{'s' if n != 1 else ''}>"


@checks_keywords
def compile(
    function: Callable[P, R],
    *,
    donate: int | Sequence[int] = (),
    reuse: bool = False,
    check: int | Literal["always"] = 2,
) -> Compiled[P, R]:
    """The same function as a program of plain NumPy calls, for speed and for reading.

    The function runs once for each form of its arguments (structure, shapes, dtypes), on traced arrays
    that record what is done to them; from then on the program runs. The contract:

    1. A compiled function is a function of its arguments.
    2. Modules, optimizers and other objects among the arguments, and modules and optimizers that the
       function closes over, are live: all that they hold is read or checked at each call, and
       parameters, averages and gradients are updated in place.
    3. Everything else that it reads is a constant of the program, listed in `constants` and in a
       comment of `source`. Where it is cheap, a change is noticed and makes a new program.
    4. What a program cannot do again (a branch on a value, a print, a hidden draw of random numbers, a
       change of something around it) raises a `CaptureError` that names the line, whatever your
       code does with the exception.
    5. No program is trusted before it was compared: the first call, and the next two (`check`) with
       new values, also run the function and compare results and updates to rounding. A difference is
       a `CaptureError` that names the result, the index and both numbers. Such calls take the time and
       memory of both. With `check=0` nothing is compared, with `check="always"` every call is.

    Of a traced number, `isinstance`, `np.isscalar`, `shape`, `dtype`, `ndim` and `len` tell the truth;
    its value, hash and text are refused. Python lets nobody answer `type(x) is float`, `x is y`,
    `id(x)` and `hasattr(x, ...)` for it: they see the tracer, which is what the comparison is for.

    >>> import numpy as np
    >>> from autobp import compile, value_and_grad
    >>> step = compile(value_and_grad(lambda w, x: np.sum((x @ w) ** 2)))
    >>> step(np.ones(2), np.eye(2))
    (2.0, array([2., 2.]))

    A function written one number at a time, on nested lists of floats, becomes a program of arrays
    all the same: alike operations are done in one call, sums of products as products of matrices.

    A Tensor that is itself a result is no argument for a program: within a derivative that is being
    taken, the function runs as it is, and the derivative goes through it. The Tensors that a program
    returns are constants; a function whose result could be differentiated warns of that.

    Derivatives of any kind may be compiled, and whole training steps, with models and optimizers as
    they are. Dropout goes on drawing from its generator.

    >>> from autobp import Tensor
    >>> from autobp.optim import SGD
    >>> def train(w, optimizer, x):
    ...     optimizer.zero_grad()
    ...     np.sum((x @ w) ** 2).backward()
    ...     optimizer.step()
    >>> train, w = compile(train), Tensor([1.0, 2.0])
    >>> optimizer = SGD([w], lr=0.1)
    >>> for _ in range(2):
    ...     train(w, optimizer, np.eye(2))
    >>> w
    Tensor([0.64 1.28])

    The arrays of arguments that are given away by `donate`, their positions, may be overwritten by
    results that take their place. With `reuse=True` results are valid only until the next call, which
    overwrites them; a result that comes back as an argument is copied first.

    >>> def descend(w, x):
    ...     return w - 0.1 * value_and_grad(lambda w: np.sum((x @ w) ** 2))(w)[1]
    >>> descend = compile(descend, donate=0)
    >>> w = np.ones(2)
    >>> for _ in range(3):
    ...     w = descend(w, np.eye(2))
    >>> w
    array([0.512, 0.512])
    """
    if not callable(function):
        raise TypeError(f"compile takes a function, not {type(function).__name__}")
    given = (donate,) if isinstance(donate, int) else tuple(donate)
    if not all(isinstance(i, int) for i in given):
        raise TypeError(f"compile: donate must be positions of arguments, not {donate!r}")
    if not isinstance(reuse, bool):
        raise TypeError(f"compile: reuse must be True or False, not {reuse!r}")
    if check == "always":
        return Compiled(function, Settings(given, reuse, check=math.inf))
    if type(check) is not int or check < 0:
        raise ValueError(f"compile: check is a number of calls, or 'always', not {check!r}")
    return Compiled(function, Settings(given, reuse, check=check))
