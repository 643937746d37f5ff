"""Call: what is to be compiled, as those who trace it, check it and print it need it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from autobp.compiler.terms import Settings

__all__ = ["Call"]

#: Python's functions that tests of arguments call: no parameter of theirs may have such a name.
_USED = {"float", "id", "int", "len", "map", "str", "tuple", "type", "vars"}


@dataclass(frozen=True)
class Call:
    """A call of a function, and the settings under which it is compiled."""

    function: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    settings: Settings

    @property
    def values(self) -> list[Any]:
        return [*self.args, *self.kwargs.values()]

    @cached_property
    def parameters(self) -> list[str]:
        """Names for the arguments: those of the function, where it has some."""
        try:
            parameters = list(inspect.signature(self.function).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = [p.name for p in parameters if p.kind in kinds][: len(self.args)]
        names = [f"{name}_" if name in _USED else name for name in names]
        others = (x for i in range(1, 1 << 30) if (x := f"x{i}") not in {*names, *self.kwargs})
        while len(names) < len(self.args):
            names.append(next(others))
        return [*names, *self.kwargs]

    @cached_property
    def donated(self) -> list[str]:
        """The parameters whose arrays are given away."""
        n = len(self.parameters)
        for i in self.settings.donate:
            if not -n <= i < n:
                raise ValueError(
                    f"compile(donate={i}) gives away an argument that this call of {self.name} does not"
                    f" have: it has {n}, counted from 0"
                )
        return [self.parameters[i] for i in self.settings.donate]

    def run(self, values: list[Any]) -> Any:
        """The result of the function for other arguments in these places."""
        n = len(self.args)
        return self.function(*values[:n], **dict(zip(self.kwargs, values[n:], strict=True)))
