"""Compiled: a function, and the programs that were written down for its arguments so far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from autobp.context import current
from autobp.primitive import Variable
from autobp.tensor import Tensor
from autobp.tree import leaves

if TYPE_CHECKING:
    from autobp.compile.entry import Entry
    from autobp.compile.program import Program

__all__ = ["CaptureError", "Compiled", "compile"]

F = TypeVar("F", bound=Callable[..., Any])

MOST = 64  # programs that a function keeps; the one not used for longest makes room


class CaptureError(TypeError):
    """Something that a program of NumPy calls cannot do again."""


class Compiled(Generic[F]):
    """A function that `compile` made: call it like the original."""

    def __init__(self, function: F) -> None:
        self.function = function
        self.__wrapped__ = function
        self.__name__ = getattr(function, "__name__", "program")
        self.__doc__ = function.__doc__
        self._entries: list[Entry] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current().anomaly:  # which is to see every operation
            return self.function(*args, **kwargs)
        for entry in self._entries:
            if entry.fits(args, kwargs):
                try:
                    return entry.run(args, kwargs)
                except entry.changed:
                    continue
        return self._first(args, kwargs)

    def _first(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if any(_differentiated(x) for _, x in leaves((args, kwargs))):
            return self.function(*args, **kwargs)
        from autobp.compile.entry import written_down  # late: importing autobp is cheap

        entry, result = written_down(self.function, self.__name__, args, kwargs)
        self._entries = [entry, *self._entries[: MOST - 1]]
        return result

    @property
    def programs(self) -> tuple[Program, ...]:
        """The programs that were written so far, the latest first."""
        return tuple(entry.program for entry in self._entries)

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
        """Write the program of the latest signature to a module that needs NumPy alone."""
        Path(path).write_text(self._latest().text(whole=True), encoding="utf-8")

    def _latest(self) -> Entry:
        if not self._entries:
            raise RuntimeError(
                f"{self.__name__} was not called yet: its program is written at the first call"
            )
        return self._entries[0]

    def __repr__(self) -> str:
        n = len(self._entries)
        return f"<compiled {self.__name__}: {n} program{'s' if n != 1 else ''}>"


def compile(function: F) -> Compiled[F]:
    """The same function as a program of plain NumPy calls, for speed and for reading.

    >>> import numpy as np
    >>> from autobp import compile, value_and_grad
    >>> step = compile(value_and_grad(lambda w, x: np.sum((x @ w) ** 2)))
    >>> step(np.ones(2), np.eye(2))
    (2.0, array([2., 2.]))
    """
    if not callable(function):
        raise TypeError(f"compile takes a function, not {type(function).__name__}")
    return Compiled(function)


def _differentiated(x: Any) -> bool:
    if isinstance(x, Variable) and not isinstance(x, Tensor):
        return True
    return isinstance(x, Tensor) and not (
        x.is_leaf and x.level <= 0 and not isinstance(x.value, Tensor)
    )
