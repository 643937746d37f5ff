"""Preconditions: what held for the values that a program was traced with, and must hold for others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from autobp.compiler.program import Program, Step
from autobp.compiler.trace.calls import as_type, guarded
from autobp.compiler.trace.tracer import named

__all__ = ["preconditions", "without_folders"]


def preconditions(
    program: Program, inner: list[tuple[Program, dict[Step, Any]]], names: Mapping[Step, str]
) -> list[str]:
    """Those of a program and of the programs in it, whose arguments stand for steps of it."""
    names, found = dict(names), [*_of(program, names)]
    for part, operands in inner:
        names |= {argument: _text(x, names) for argument, x in operands.items()}
        found += _of(part, names)
    return list(dict.fromkeys(found))


def _of(program: Program, names: Mapping[Step, str]) -> Iterator[str]:
    for part in program.nested():
        for step in part.steps:
            if step.function is not guarded:
                continue
            value, expected = step.args
            if isinstance(expected, type):
                continue
            is_form = isinstance(expected, tuple)
            said = (
                f"has shape {expected[0]} and type {expected[1]}" if is_form else f"is {expected!r}"
            )
            line = f" ({without_folders(step.line)})" if step.line else ""
            yield f"{_text(value, names)} {said}{line}"


def without_folders(text: str) -> str:
    """A model names no folder of its author's."""
    return re.sub(r"\S*[/\\](?=[^/\\\s]+:\d)", "", text)


def _text(x: Any, names: Mapping[Step, str], depth: int = 4) -> str:
    """A value as an expression of the arguments."""
    if isinstance(x, Step):
        if x in names:
            return names[x]
        if x.is_constant:
            return repr(x.constant.item()) if x.size == 1 else "a constant"
        if x.function is as_type:
            return _text(x.args[0], names, depth)
        if x.function is None or not depth:
            return x.name or "…"
        parts = [_text(a, names, depth - 1) for a in x.args]
        sign = x.operation.sign
        if sign and len(parts) == 2:
            return f"{parts[0]} {sign} {parts[1]}"
        return f"{named(x.function)}({', '.join(parts)})"
    if isinstance(x, list | tuple):
        return f"[{', '.join(_text(a, names, depth - 1) for a in x)}]"
    return getattr(x, "__name__", None) or str(x)
