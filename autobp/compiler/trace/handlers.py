"""Handlers of signals: they run while a function is traced, and what they do is not its doing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType, FrameType

__all__ = ["handlers", "is_of_handler", "is_within", "suppressed"]


def handlers() -> frozenset[CodeType]:
    """The codes of all handlers that are written in Python."""
    found = set()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        while isinstance(handler, partial):
            handler = handler.func
        if callable(handler):
            code = getattr(handler, "__code__", None) or getattr(
                type(handler).__call__, "__code__", None
            )
            if isinstance(code, CodeType):
                found.add(code)
    return frozenset(found)


def is_within(frame: FrameType | None, codes: frozenset[CodeType]) -> bool:
    """Whether what runs was called by one of these codes."""
    while codes and frame is not None:
        if frame.f_code in codes:
            return True
        frame = frame.f_back
    return False


def is_of_handler(error: BaseException) -> bool:
    """Whether a handler raised an error, or what it called: then it is for the caller of everything."""
    codes, traceback = handlers(), error.__traceback__
    while codes and traceback is not None:
        if traceback.tb_frame.f_code in codes:
            return True
        traceback = traceback.tb_next
    return False


@contextmanager
def suppressed() -> Iterator[None]:
    """Pass over what code of the user's raises, but not over what a handler does."""
    try:
        yield
    except Exception as error:
        if is_of_handler(error):
            raise
