"""Helpers: the texts of functions that a program calls and NumPy does not have."""

from __future__ import annotations

import ast
import inspect
import sys
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from autobp.arrays import is_foreign, plain_array
from autobp.compiler.emit.literals import literal

__all__ = ["helper_sources"]

#: What is left of functions in a saved program, all of whose arrays are NumPy's.
_ON_NUMPY = {
    is_foreign: "def is_foreign(a):\n    return False\n",
    plain_array: "def plain_array(a, dtype=None):\n    return np.asarray(a, dtype)\n",
}

_IMPORTED = {"numpy", *sys.stdlib_module_names}  # packages that are there without autobp


def helper_sources(functions: Mapping[Any, str], program: str) -> tuple[set[str], list[str]]:
    """The imports and the texts of helpers, by the names they have in a program, and of all that they
    call."""
    imports: set[str] = set()
    texts: dict[Any, str] = {}
    chosen: dict[Any, str] = {
        inspect.unwrap(function): name for function, name in functions.items()
    }

    def free(name: str) -> str:
        while name in {program, *chosen.values()}:
            name += "_"
        return name

    def constant(name: str, value: str) -> str:
        """Modules may have constants of one name, and other values."""
        if (name, value) not in chosen:
            chosen[name, value] = free(name)
            texts[name, value] = f"{chosen[name, value]} = {value}"
        return chosen[name, value]

    def add(function: Any, name: str) -> str:
        function = inspect.unwrap(function)
        if function not in chosen:
            chosen[function] = free(name)
        name = chosen[function]
        if function in texts:
            return name
        texts[function] = ""
        source, definition = _definition(function, name)
        names = {definition.name: name}  # in this text, and what they become
        for other in dict.fromkeys(node.id for node in _names_in(definition)):
            value = function.__globals__.get(other)
            home = (getattr(value, "__module__", None) or "").lstrip("_")
            if isinstance(value, types.ModuleType) and value is not np:
                imports.add(f"import {value.__name__}")
            elif home.partition(".")[0] in _IMPORTED:
                imports.add(f"from {home} import {other}")
            elif isinstance(value, types.FunctionType):
                names[other] = add(value, other)
            elif _is_plain(value):
                names[other] = constant(other, literal(value))
            elif other in function.__globals__ and value is not np:
                raise ValueError(
                    f"{name} uses {other}, which has no text, so the program cannot be saved"
                )
        del texts[function]
        texts[function] = _renamed(source, definition, names)
        return name

    for function, name in functions.items():
        add(function, name)
    return imports, list(texts.values())


def _is_plain(value: Any) -> bool:
    """Whether a value is a number, a string, a dtype, or a tuple of such."""
    if type(value) is tuple:
        return all(map(_is_plain, value))
    return isinstance(value, int | float | str | np.dtype)


def _definition(function: Any, name: str) -> tuple[str, ast.FunctionDef]:
    """The text of a function, and the text as a tree."""
    try:
        source = _ON_NUMPY.get(function) or inspect.getsource(function)
    except (OSError, TypeError):
        raise ValueError(
            f"the text of {name} cannot be had, so the program cannot be saved"
        ) from None
    try:
        definition = ast.parse(source).body[0]
    except SyntaxError:  # it is indented, or a piece of an expression
        definition = None
    if not isinstance(definition, ast.FunctionDef):
        raise ValueError(
            f"{name} is not written as a function of its own, so the program cannot be saved"
        )
    return source, definition


def _names_in(definition: ast.FunctionDef) -> list[ast.Name]:
    """The names that a function uses when it runs, but those of its arguments, in order."""
    arguments = {node.arg for node in ast.walk(definition.args) if isinstance(node, ast.arg)}
    defaults = [*definition.args.defaults, *filter(None, definition.args.kw_defaults)]
    inside = [node for part in definition.body for node in ast.walk(part)]
    nodes = [node for part in defaults for node in ast.walk(part)]
    nodes += [node for node in inside if getattr(node, "id", None) not in arguments]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    return sorted(names, key=lambda node: (node.lineno, node.col_offset))


def _renamed(source: str, definition: ast.FunctionDef, names: Mapping[str, str]) -> str:
    """The text of a function with other names, and without decorators."""
    lines = source.encode().splitlines()  # trees count in bytes
    found = [(node.lineno, node.col_offset, node.id) for node in _names_in(definition)]
    found.append((definition.lineno, len("def "), definition.name))
    for row, start, name in sorted(found, reverse=True):
        line, new = lines[row - 1], names.get(name, name).encode()
        lines[row - 1] = line[:start] + new + line[start + len(name.encode()) :]
    return b"\n".join(lines[definition.lineno - 1 :]).decode()
