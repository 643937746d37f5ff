"""What a thread records: the clock that orders events, `no_grad`, `scope`, `detect_anomaly`.

The state is one immutable value in a `ContextVar`. Every thread starts with the default, a `with`
block puts a changed copy in its place and takes it away again whatever happens inside, and nothing
here is shared, so nothing can leak from one thread, or from one exception, into another.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

__all__ = [
    "clock",
    "current",
    "detect_anomaly",
    "lines",
    "no_grad",
    "readings",
    "scope",
    "user_line",
]

#: A logical clock. A tensor keeps the time of its birth, and since arguments are born before their
#: results, sorting by birth is a topological order. A derivative's level is the time it began, so
#: inner derivatives have the higher level and no two of them, on any threads, have the same.
clock = itertools.count(1).__next__


@dataclass(frozen=True, slots=True)
class Context:
    threshold: int = 0  # levels below it are not recorded
    scope: str | None = None
    anomaly: bool = False
    lines: bool = False  # tensors remember the user's line that made them


_context: ContextVar[Context] = ContextVar("autobp", default=Context())  # noqa: B039 (frozen)
current = _context.get

#: Told of each tensor whose bare value is asked for, and of comparisons; nobody listens but while a
#: program is recorded that is to serve other values.
readings: ContextVar[Any] = ContextVar("readings", default=None)


@contextmanager
def _changed(context: Context) -> Iterator[None]:
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without recording: results are constants.

    Derivatives that begin inside the block (`grad` and its kin) still work; those that began
    outside see what is computed here as constant, in forward and reverse mode alike.

    >>> from autobp import Tensor, no_grad
    >>> x = Tensor(3.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y
    Tensor(9.0, requires_grad=False)
    """
    with _changed(replace(current(), threshold=clock())):
        yield


class scope(ContextDecorator):
    """Name the part of the program that the operations inside belong to; scopes nest.

    >>> from autobp import Tensor, scope
    >>> with scope("encoder"), scope("layer1"):
    ...     h = Tensor(1.0) * 2
    >>> h.scope
    'encoder/layer1'
    """

    # A class, since every call of every module passes here, and a generator takes thrice the time.
    __slots__ = ("_name", "_token")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        outer = current()
        name = f"{outer.scope}/{self._name}" if outer.scope else self._name
        self._token = _context.set(Context(outer.threshold, name, outer.anomaly, outer.lines))

    def __exit__(self, *_: object) -> None:
        _context.reset(self._token)

    def _recreate_cm(self) -> scope:
        """What each call of a decorated function enters: one of its own, since calls nest."""
        return scope(self._name)


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Stop at the first operation that makes a NaN or an infinity, forward or backward.

    The error names the operation and the line of your code that called it. Numbers that were not
    finite when they came in are not held against the operation that received them.

    >>> import numpy as np
    >>> from autobp import Tensor, detect_anomaly
    >>> with detect_anomaly(), np.errstate(divide="ignore"):
    ...     np.log(Tensor(0.0, name="p"))   # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FloatingPointError: log made the first inf (forward), ...
    """
    with _changed(replace(current(), anomaly=True, lines=True)):
        yield


@contextmanager
def lines() -> Iterator[None]:
    """Remember of each operation the line of the user's code that called it, and nothing else."""
    with _changed(replace(current(), lines=True)):
        yield


_OURS = os.path.dirname(__file__) + os.sep


def user_line() -> str:
    """Where the running operation was called from: the innermost frame outside the library."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        # Not all that lies in the folder is the library: an installed package has the demos there.
        ours = package == "autobp" and frame.f_code.co_filename.startswith(_OURS)
        if not ours and package not in ("numpy", "contextlib"):
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
