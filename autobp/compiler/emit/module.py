"""Module: the text of a program as a function, to be run here or saved where there is no autobp."""

from __future__ import annotations

import builtins
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from autobp.compiler.emit.helpers import helper_sources
from autobp.compiler.emit.literals import LARGE, long_text, short_text
from autobp.compiler.emit.pieces import pieces
from autobp.compiler.emit.plan import Plan
from autobp.compiler.emit.source import Printer
from autobp.compiler.program import Program, Step
from autobp.compiler.terms import Changed
from autobp.compiler.trace.calls import guarded
from autobp.compiler.trace.free_variables import Constant

__all__ = ["Bound", "Module"]

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
    element: tuple[str, int] | None = None  # the list or tuple that it is in, and its index


class Module:
    """The text of one program, and what it names."""

    names: dict[Step, str]

    def __init__(
        self,
        program: Program,
        plan: Plan,
        name: str,
        parameters: Sequence[str],
        bound: Sequence[Bound],
        lengths: Sequence[tuple[str, int]] = (),
    ) -> None:
        self.program = program
        self.name = name
        self.parameters = parameters
        self.lengths = lengths  # of lists and tuples that it is called with
        given = {b.step: b.owner for b in bound if b.owner in parameters and not b.attribute}
        elements = {b.step: b.element for b in bound if b.element is not None}
        self.printer: Printer = Printer(program, plan, given, [name, *parameters], elements)
        names = self.names = self.printer.names
        self.bound: list[Bound] = [b for b in bound if b.step not in given and b.step in names]
        self._pieces = pieces(self.printer, program)
        self._names_of_pieces = [self.printer.free(f"{name}_part", True) for _ in self._pieces]
        self._codes = [
            builtins.compile("\n".join(lines), f"<{name}>", "exec") for lines in self._parts(False)
        ]

    def run(self, objects: Mapping[str, Any]) -> dict[str, Any]:
        """What the module defines: the function, and the arrays of an arena of its own."""
        names = self.names
        given = {**objects, "np": np, "math": math, "Changed": Changed}
        if "scipy.special" in sys.modules:  # where it is not, no program calls it
            given["scipy"] = sys.modules["scipy"]
        given |= {names[step]: step.constant for step in self.program.constants()}
        given |= {name: function for function, name in self.printer.helpers.items()}
        space = dict(given)
        for code in self._codes:
            exec(code, space)
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
        more, helpers = self._helpers(whole)
        needed, arrays = {"import numpy as np", *imports, *more}, []
        for step in self.program.constants():
            name = self.names[step]
            text = short_text(step.constant)
            if text is None and step.size > LARGE and not whole:
                arrays.append(f"# {name}: {step.dtype} of shape {step.shape}; save() writes it")
                continue
            if text is None:
                text = long_text(step.constant)
                needed.add("import base64")
            arrays.append(f"{name} = {text}")
        function = "\n\n\n".join("\n".join(lines) for lines in self._parts(True, whole))
        if "math." in function:
            needed.add("import math")
        if "scipy.special." in function:
            needed.add("import scipy.special")
        guards = any(step.function is guarded for p in self.program.nested() for step in p.steps)
        parts = [
            f'"""{self.name}, written by autobp.compile for arguments of these shapes."""',
            constants_comment(constants),
            "from __future__ import annotations" if helpers else "",
            "\n".join(sorted(needed)),
            "\n".join(arrays),
            CHANGED if guards or "raise Changed" in function else "",
            *helpers,
            function,
            *functions,
        ]
        return "\n\n".join(filter(None, parts)) + "\n"

    def _helpers(self, whole: bool) -> tuple[set[str], list[str]]:
        """The imports and the texts of helpers. One without a text cannot be saved, but the rest can be
        read."""
        helpers = self.printer.helpers
        try:
            return helper_sources(helpers, self.name)
        except ValueError as error:
            if whole:
                raise
            return set(), [f"# {', '.join(helpers.values())}: {error}"]

    def _checked_lengths(self) -> Iterator[str]:
        """Lines of a saved module that tell calls with lists which it is not for, before it reads them."""
        for text, length in self.lengths:
            if text in self.parameters:
                yield f"if len({text}) != {length}:"
                yield f'    raise Changed(f"{text} has {{len({text})}} parts, not {length}")'

    def _checked_shapes(self) -> Iterator[str]:
        """The same of arrays."""
        used = {s for step in self.program.steps for s in step.operands}
        for step in self.program.arguments:
            if step.is_array and step in used and step in self.names:
                name = self.names[step]
                yield f"if np.shape({name}) != {step.shape!r}:"
                yield f'    raise Changed(f"{name} has shape {{np.shape({name})}}, not {step.shape!r}")'

    def _parts(self, saved: bool, checked: bool = False) -> Iterator[list[str]]:
        """The arena, the pieces of the function if it is long, and the function. In a saved module, what
        the function finds around it is handed over: the arrays of Tensors, the numbers and averages of
        optimizers, generators."""
        parameters = list(self.parameters)
        body = [*self._checked_lengths()] if checked else []
        for step, owner, attribute, is_literal, _ in self.bound:
            name = self.names[step]
            if saved and not is_literal:
                parameters.append(name)
            else:
                is_given = saved and attribute == ".value"  # the array, in place of the Tensor
                body.append(f"{name} = {owner if is_given else owner + attribute}")
        body += self._checked_shapes() if checked else []
        functions = []
        for piece, name in zip(self._pieces, self._names_of_pieces, strict=True):
            gives = ", ".join(piece.gives)
            lines = [*self.printer.lines(piece.program), f"return {gives or None}"]
            functions.append(_function(name, piece.takes, lines))
            body.append(f"{f'{gives} = ' if gives else ''}{name}({', '.join(piece.takes)})")
            body += [f"del {', '.join(piece.freed)}"] if piece.freed else []
        if not functions:
            body += self.printer.lines(self.program)
        body.append(f"return {self.printer.text(self.program.returns)}")
        arena = self.printer.arena()
        if arena:
            yield [PLACE, "", *arena]
        yield from functions
        yield _function(self.name, parameters, body)


def _function(name: str, parameters: Iterable[str], body: Iterable[str]) -> list[str]:
    return [f"def {name}({', '.join(parameters)}):", *(f"    {line}" for line in body)]


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
