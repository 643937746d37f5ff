"""Module: the text of a program as a function, to be run here or saved where there is no autobp."""

from __future__ import annotations

import ast
import base64
import builtins
import inspect
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from autobp.compiler.emit.plan import Plan
from autobp.compiler.emit.source import Writer, literal
from autobp.compiler.program import Program, Step
from autobp.compiler.terms import Changed
from autobp.compiler.trace.calls import guarded
from autobp.compiler.trace.free_variables import Constant

__all__ = ["Bound", "Module"]

LARGE = 1000  # elements of a constant that are too many to read

CHANGED = '''class Changed(ValueError):
    """The program was written down for other values, shapes or dtypes than those it met."""'''

PLACE = '''def place(start, shape, dtype):
    """An array in the arena."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return arena[start : start + size].view(dtype).reshape(shape)'''


class Bound(NamedTuple):
    """An argument of a program, and the expression that finds it in a call."""

    step: Step
    owner: str  # the expression of what holds it: `x`, `parameters['W']`, `k3_`
    attribute: str = ""  # of a Tensor: `.value` or `.grad`
    is_literal: bool = True  # False: the expression names objects, which no other module knows


class Module:
    """The text of one program, and what it names."""

    def __init__(
        self,
        program: Program,
        plan: Plan,
        name: str,
        parameters: Sequence[str],
        bound: Sequence[Bound],
    ) -> None:
        self.program = program
        self.name = name
        self.parameters = parameters
        self.writer = Writer(program, plan, parameters, [name])
        whole = {b for b in bound if b.owner in parameters and not b.attribute}
        self.writer.names.update((b.step, b.owner) for b in whole)
        self.writer.name_all()
        self.bound = [b for b in bound if b not in whole and b.step in self.writer.names]
        self._code = builtins.compile("\n".join(self._lines(False)), f"<{name}>", "exec")

    def run(self, objects: Mapping[str, Any]) -> dict[str, Any]:
        """What the module defines: the function, and the arrays of an arena of its own."""
        names = self.writer.names
        given = {**objects, "np": np, "Changed": Changed}
        given |= {names[step]: step.constant for step in self.program.constants()}
        given |= {name: function for function, name in self.writer.helpers.items()}
        space = dict(given)
        exec(self._code, space)
        return {name: x for name, x in space.items() if name not in given}

    def text(
        self,
        whole: bool,
        constants: Sequence[Constant] = (),
        imports: Sequence[str] = (),
        functions: Sequence[str] = (),
    ) -> str:
        """The module; large constants are left out of it if it is only to be read. It lists the
        `constants` that were found around the function, and can hold more functions that need more
        imports."""
        if whole and any(b.attribute == ".grad" for b in self.bound):
            raise ValueError(
                f"{self.name} adds to the gradients of Tensors, which a program without autobp does not"
                " have: set them to None in it, or use grad"
            )
        more, helpers = helper_sources(self.writer.helpers, self.name)
        needed, arrays = {"import numpy as np", *imports, *more}, []
        for step in self.program.constants():
            name = self.writer.names[step]
            text = short_text(step.constant)
            if text is None and step.size > LARGE and not whole:
                arrays.append(f"# {name}: {step.dtype} of shape {step.shape}; save() writes it")
                continue
            if text is None:
                text = long_text(step.constant)
                needed.add("import base64")
            arrays.append(f"{name} = {text}")
        guards = any(step.function is guarded for p in self.program.nested() for step in p.steps)
        parts = [
            f'"""{self.name}, written by autobp.compile for arguments of these shapes."""',
            constants_comment(constants),
            "from __future__ import annotations" if helpers else "",
            "\n".join(sorted(needed)),
            "\n".join(arrays),
            CHANGED if guards else "",
            *helpers,
            "\n".join(self._lines(True)),
            *functions,
        ]
        return "\n\n".join(filter(None, parts)) + "\n"

    def _lines(self, saved: bool) -> list[str]:
        """The arena and the function. In a saved module, what the function finds around it is handed
        over: the arrays of Tensors, the numbers and averages of optimizers, generators."""
        parameters, body = list(self.parameters), []
        for step, owner, attribute, is_literal in self.bound:
            name = self.writer.names[step]
            if saved and not is_literal:
                parameters.append(name)
            else:
                is_given = saved and attribute == ".value"  # the array, in place of the Tensor
                body.append(f"{name} = {owner if is_given else owner + attribute}")
        body += self.writer.body()
        body.append(f"return {self.writer.text(self.program.returns)}")
        arena = self.writer.arena()
        return [
            *([PLACE, "", *arena, "", ""] if arena else []),
            f"def {self.name}({', '.join(parameters)}):",
            *(f"    {line}" for line in body),
        ]


# ── constants ─────────────────────────────────────────────────────────────────────────────────────


def constants_comment(constants: Sequence[Constant]) -> str:
    """A comment that lists what the program has taken over from around the function."""
    if not constants:
        return ""
    lines = [f"#   {c.name} = {_on_a_line(c.value)}  ({c.where})" for c in constants]
    return "\n".join(["# Constants, as they were when this was written:", *lines])


def _on_a_line(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def short_text(array: np.ndarray) -> str | None:
    """A small or regular array as text that makes it again, exactly."""
    dtype = literal(array.dtype)
    if not array.size:
        return f"np.empty({array.shape!r}, {dtype})"
    if array.ndim == 1 and array.size > 3 and array.dtype.kind in "iu":
        start, stop = int(array[0]), int(array[-1]) + 1
        if stop - start == array.size and np.array_equal(array, np.arange(start, stop)):
            ends = f"{start}, {stop}" if start else f"{stop}"
            return (
                f"np.arange({ends})" if array.dtype == int else f"np.arange({ends}, dtype={dtype})"
            )
    if array.size > 3 and np.all(array == 1) and array.dtype.kind == "f":
        size = array.shape if array.ndim != 1 else array.size
        return f"np.ones({size!r}{'' if array.dtype == float else ', ' + dtype})"
    if array.size > 3 and array.tobytes() == array.flat[0].tobytes() * array.size:
        return f"np.full({array.shape!r}, {literal(array.flat[0].item())}, {dtype})"
    if array.size <= LARGE and array.dtype.kind in "biuf" and np.all(np.isfinite(array)):
        return f"np.array({array.tolist()!r}, {dtype})"
    return None


def long_text(array: np.ndarray) -> str:
    """Any array as such text, which nobody can read."""
    data = base64.b85encode(np.ascontiguousarray(array).tobytes()).decode()
    return (
        f"np.frombuffer(base64.b85decode({data!r}), {array.dtype.str!r}).reshape({array.shape!r})"
    )


# ── helpers ───────────────────────────────────────────────────────────────────────────────────────

_IMPORTED = {"numpy", *sys.stdlib_module_names}  # packages that are there without autobp


def helper_sources(functions: Mapping[Any, str], program: str) -> tuple[set[str], list[str]]:
    """The imports and the texts of helpers, by the names they have in a program, and of all that they
    call."""
    imports: set[str] = set()
    texts: dict[Any, str] = {}
    chosen = {inspect.unwrap(function): name for function, name in functions.items()}

    def add(function: Any, name: str) -> str:
        function = inspect.unwrap(function)
        name = chosen.setdefault(function, name if name != program else f"{name}_")
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
            elif isinstance(value, int | float) and not isinstance(value, bool):
                texts.setdefault(other, f"{other} = {literal(value)}")
            elif home.partition(".")[0] in _IMPORTED:
                imports.add(f"from {home} import {other}")
            elif isinstance(value, types.FunctionType):
                names[other] = add(value, other)
        del texts[function]
        texts[function] = _renamed(source, definition, names)
        return name

    for function, name in functions.items():
        add(function, name)
    return imports, list(texts.values())


def _definition(function: Any, name: str) -> tuple[str, ast.FunctionDef]:
    """The text of a function, and the text as a tree."""
    try:
        source = inspect.getsource(function)
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
    """The names that a function uses when it runs, in order."""
    defaults = [*definition.args.defaults, *filter(None, definition.args.kw_defaults)]
    nodes = (node for part in (*defaults, *definition.body) for node in ast.walk(part))
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
