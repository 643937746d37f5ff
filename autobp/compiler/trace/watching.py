"""Watching: Python tells of each call while a function is traced.

Until Python 3.11 it tells a profiler, which hears of the library's own calls too; the trace switches
it off while the library computes. There can be one: another pauses meanwhile. From Python 3.12 on to
switch it is slow, but it can be said of each code that it need not be told of again.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection
from types import BuiltinFunctionType, CodeType, FrameType, MethodDescriptorType
from typing import Any

from autobp.owner import owner_of_frame

__all__ = ["SWITCHES", "can_pause", "resume", "watched"]

#: What tells from Python 3.12 on.
_monitoring: Any = getattr(sys, "monitoring", None)

#: Whether it is a profiler, which can be switched off for a moment.
SWITCHES: bool = _monitoring is None

_TOOLS = (4, 3)  # numbers that are meant for nobody else

Watch = Callable[[FrameType, str, Any], None]


def can_pause(profiler: Any) -> bool:
    """Whether what `sys.getprofile` returned can be put back by `resume`."""
    return profiler is None or callable(profiler) or hasattr(profiler, "enable")


def resume(profiler: Any) -> None:
    """Put back what `sys.getprofile` returned before a function was watched. That of cProfile cannot be
    called, but enabled again."""
    if profiler is None or callable(profiler):
        sys.setprofile(profiler)
    else:
        profiler.enable()


def watched(run: Callable[[], Any], watch: Watch, own: Collection[int]) -> Any:
    """The result of a function. What it calls, on this thread, is told like to a profiler, if it is not
    called by code that is among the `own`, by its id."""
    if not SWITCHES:
        free = (tool for tool in _TOOLS if _monitoring.get_tool(tool) is None)
        tool = next(free, None)
        if tool is not None:
            return _monitored(run, watch, own, tool)
    other = sys.getprofile()
    sys.setprofile(watch)
    try:
        return run()
    finally:
        sys.setprofile(None)
        resume(other)


def _monitored(run: Callable[[], Any], watch: Watch, own: Collection[int], tool: int) -> Any:
    monitoring = _monitoring
    events, never = monitoring.events, monitoring.DISABLE
    thread = threading.get_ident()

    def told(code: CodeType, event: str, what: Any) -> Any:
        if id(code) in own:
            return never
        frame = sys._getframe(2)
        if event != "call" and owner_of_frame(frame).is_library:
            return never
        if threading.get_ident() == thread:
            watch(frame, event, what)
        return never if id(code) in own else None

    def starts(code: CodeType, at: int) -> Any:
        return told(code, "call", None)

    def returns(code: CodeType, at: int, value: Any) -> Any:
        return told(code, "return", value)

    def calls(code: CodeType, at: int, function: Any, first: Any) -> Any:
        if type(function) is MethodDescriptorType and first is not monitoring.MISSING:
            function = function.__get__(first, type(first))  # without its type some crash
        if type(function) is not BuiltinFunctionType:  # of others it is told when they start
            return never if id(code) in own else None
        return told(code, "c_call", function)

    heard = {
        events.PY_START: starts,
        events.PY_RESUME: starts,
        events.PY_RETURN: returns,
        events.PY_YIELD: returns,
        events.CALL: calls,
    }
    monitoring.use_tool_id(tool, "autobp.compile")
    try:
        for event, hear in heard.items():
            monitoring.register_callback(tool, event, hear)
        monitoring.set_events(tool, sum(heard))
        return run()
    finally:
        monitoring.set_events(tool, 0)
        for event in heard:
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)
