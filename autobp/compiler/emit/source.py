"""Source: the text of a program, as a person would write it, with NumPy alone."""

from __future__ import annotations

import builtins
import keyword
import operator
import re
import types
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.fft  # which NumPy loads when it is asked for: not while a function is traced

from autobp.compiler.emit.plan import Plan
from autobp.compiler.passes.algebra import SMALL
from autobp.compiler.passes.joined import part, side_by_side
from autobp.compiler.program import Program, Step
from autobp.compiler.trace.calls import as_type, draw, guarded, put
from autobp.operation import COMPARISON, SIGNS

__all__ = ["Writer", "literal"]

_WORDS = {0.0: "zero", 1.0: "one", 2.0: "two", 0.5: "half"}

_PLACED = (side_by_side, part)  # which are no calls


class Writer:
    """The text of one program, and the names in it."""

    def __init__(
        self, program: Program, plan: Plan, signature: Iterable[str], reserved: Iterable[str]
    ) -> None:
        self.program = program
        self.plan = plan
        self.arenas: dict[tuple[int, tuple[int, ...], Any, bool], str] = {}
        self.inline: set[Step] = set()  # written where they are used
        self.signature = list(signature)  # the parameters of the function that is written
        self.names: dict[Step, str] = {}
        self.taken = {"np", "Changed", "place", "arena", *reserved, *dir(builtins), *self.signature}
        self.last: dict[str, int] = {}  # the number of the latest of each name
        self.helpers: dict[Any, str] = {}

    # ── names ─────────────────────────────────────────────────────────────────────────────────────

    def name_all(self) -> None:
        program = self.program
        used = {s for step in program.steps for s in step.operands}.union(program.results)
        for step in program.arguments:
            if step not in self.names and step in used:
                self.names[step] = self.free(step.name or "x")
        for step in program.constants():
            word = _WORDS.get(float(step.constant)) if step.shape == () else None
            self.names[step] = self.free(word or "c", numbered=word is None)
        for step in program.steps:
            if _is_helper(step.function):
                self.helper(step.function)
        self.inline = {s for s in program.steps if _is_turn(s)} - set(program.results)
        self.after = self.successors()
        self.written_in = set(self.after.values())
        for argument in used.intersection(program.arguments):
            step = argument
            while step in self.after:
                step = self.after[step]
                self.names[step] = self.names[argument]
        for step in program.steps:
            if step in self.names or step in self.inline or step.function in _PLACED:
                continue
            chain = [step]  # what is in one place, from `a = …` over `a += b` to the last
            while chain[-1] in self.after:
                chain.append(self.after[chain[-1]])
            names = [s.name for s in chain if s.name and s.name.isidentifier()]
            name = self.free(names[-1]) if names else self.free("t", numbered=True)
            self.names.update(dict.fromkeys(chain, name))
        for step in program.steps:
            place = self.plan.places.get(step)
            if place is not None and place.kind == "arena" and step not in self.plan.in_place:
                self.arena_of(place.start, step)
        for step in program.steps:
            if step.function in _PLACED:
                start = step.args[1] if step.function is part else 0
                self.names[step] = self.arena_of(self.plan.places[step.args[0]].start + start, step)

    def arena_of(self, start: int, step: Step) -> str:
        """The name of the part of the arena that a result is in."""
        form = (start, step.shape, step.dtype, step in self.plan.images)
        if form not in self.arenas:
            self.arenas[form] = self.free("arena", numbered=True)
        return self.arenas[form]

    def successors(self) -> dict[Step, Step]:
        """For a step the one that is written as `a += b` in its place."""
        found: dict[Step, Step] = {}
        for step in self.program.steps:
            sign = SIGNS.get(step.operation.sign)
            assigns = sign is not None and sign.binding != COMPARISON and len(step.args) == 2
            if step in self.plan.in_place and assigns:
                a, place = step.args[0], self.plan.places[step]
                if isinstance(a, Step) and (
                    self.plan.places.get(a) is place or a is place.argument
                ):
                    found[a] = step
        return found

    def free(self, name: str, numbered: bool = False) -> str:
        name = re.sub(r"\W", "_", name)
        if not name or name[0].isdigit() or keyword.iskeyword(name):
            name = f"_{name}"
        chosen = f"{name}0" if numbered else name
        while chosen in self.taken:
            self.last[name] = self.last.get(name, 0) + 1
            chosen = f"{name}{self.last[name]}"
        self.taken.add(chosen)
        return chosen

    def helper(self, function: Any) -> str:
        if function not in self.helpers:
            name = getattr(function, "__name__", "helper")
            name = name if name.isidentifier() else "helper"
            while name in self.taken:
                name += "_"
            self.helpers[function] = name
            self.taken.add(name)
        return self.helpers[function]

    def arena(self) -> list[str]:
        """The memory that the program works in."""
        if not self.arenas:
            return []
        lines = [f"arena = np.empty({self.plan.size + 64}, np.uint8)"]
        lines.append("arena = arena[-arena.__array_interface__['data'][0] % 64 :]")
        for (start, shape, dtype, images), name in self.arenas.items():
            inside = tuple(shape[i] for i in (0, 2, 3, 1)) if images else shape
            turned = ".transpose(0, 3, 1, 2)" if images else ""
            lines.append(f"{name} = place({start}, {inside!r}, {literal(dtype)}){turned}")
        return lines

    # ── lines ─────────────────────────────────────────────────────────────────────────────────────

    def body(self) -> list[str]:
        lines: list[str] = []
        section: tuple[str | None, str] | None = None
        errors: tuple[tuple[str, str], ...] = ()
        for step in self.program.steps:
            if step in self.inline:
                continue
            here = (step.scope, step.phase)
            if here != section and step.function is not guarded:
                lines.append(f"# {step.phase}{': ' + step.scope if step.scope else ''}")
                section = here
                errors = ()
            if step.errors != errors:
                errors = step.errors
                if errors:
                    given = ", ".join(f"{k}={v!r}" for k, v in errors)
                    lines.append(f"with np.errstate({given}):")
            indent = "    " if errors else ""
            lines += [indent + line for line in self.lines(step)]
            done = [s for s in self.plan.done.get(step, []) if s not in self.inline]
            if done:
                lines.append(f"{indent}del {', '.join(dict.fromkeys(self.names[s] for s in done))}")
        return lines

    def lines(self, step: Step) -> list[str]:
        if step.function is guarded:
            return self.guard(step)
        if step.function in _PLACED:
            return []
        name, place = self.names[step], self.plan.places.get(step)
        if place is None or (place.kind == "own" and step not in self.plan.in_place):
            return [f"{name} = {self.call(step)}"]
        if step not in self.plan.in_place:
            arena = self.arenas[place.start, step.shape, step.dtype, step in self.plan.images]
            return [f"{name} = {self.call(step, arena)}"]
        if step in self.written_in:
            return [f"{name} {step.operation.sign}= {self.text(step.args[1])}"]
        inside = next(
            s
            for s in step.args
            if isinstance(s, Step)
            and (self.plan.places.get(s) is place or s is place.argument)
            and (s.shape, s.dtype) == (step.shape, step.dtype)
        )
        return [f"{name} = {self.call(step, self.names[inside])}"]

    def guard(self, step: Step) -> list[str]:
        guarded_step, expected = step.args
        name = self.text(guarded_step)
        if isinstance(expected, tuple):
            shape, dtype = expected
            test = f"{name}.shape != {shape!r} or {name}.dtype != {literal(dtype)}"
            said = f"{name} had shape {shape} and dtype {dtype}"
        elif isinstance(expected, type):
            test = f"type({name}) is not {literal(expected)}"
            said = f"{name} was of type {expected.__name__}"
        elif isinstance(expected, bool):
            test = f"not {name}" if expected else name
            said = f"{name} was {expected}"
        else:
            test = f"{name} != {literal(expected)}"
            said = f"{name} was {expected}"
        return [f"if {test}:", f'    raise Changed("{said}")']

    # ── expressions ───────────────────────────────────────────────────────────────────────────────

    def call(self, step: Step, out: str = "") -> str:
        function, args, params = step.function, step.args, step.params
        if out:
            if function is np.matmul and not params and all(a.ndim <= 2 for a in args):
                function = np.dot  # the same, with less ado
            given = [self.text(a) for a in args]
            given += [f"{k}={self.text(a)}" for k, a in params.items()]
            given.append(f"out={out}")
            if step.size <= SMALL and not params and function not in (np.maximum, np.minimum):
                given[-1] = out  # by position, which is as fast as calls get
            return f"{self.function(function)}({', '.join(given)})"
        if function is operator.getitem:
            return f"{self.text(args[0])}[{self.index(args[1])}]"
        numpys = not isinstance(function, np.ufunc) or not all(map(_is_pythons, args))
        sign = step.operation.sign
        if sign and not params and numpys:
            operands = [self.operand(a) for a in args]
            return sign + operands[0] if len(args) == 1 else f"{operands[0]} {sign} {operands[1]}"
        if function is np.transpose and len(args) == 1 and not params:
            return f"{self.text(args[0])}.T"
        if function is np.matrix_transpose:
            x = args[0]
            return f"{self.text(x)}.{'T' if x.ndim == 2 else 'mT'}"
        if function is as_type:
            x, dtype = args
            if step.is_array:
                return f"{self.text(x)}.astype({literal(dtype)})"
            return f"{literal(dtype)}({self.text(x)})"
        callee = self.function(function)
        if function is draw:
            callee, args = f"{self.text(args[0])}.{args[1]}", args[2:]
        given = [self.text(a) for a in args] + [
            f"{k}={self.text(a)}" for k, a in params.items() if a is not np._NoValue
        ]
        return f"{callee}({', '.join(given)})"

    def function(self, function: Any) -> str:
        if _is_helper(function):
            return self.helper(function)
        return _numpy_name(function)

    def operand(self, nest: Any) -> str:
        text = self.text(nest)
        return f"({text})" if text.startswith("-") else text

    def text(self, nest: Any) -> str:
        if isinstance(nest, Step):
            return self.call(nest) if nest in self.inline else self.names[nest]
        kind = type(nest)
        if kind is tuple:
            inside = ", ".join(map(self.text, nest))
            return f"({inside},)" if len(nest) == 1 else f"({inside})"
        if kind is list:
            return f"[{', '.join(map(self.text, nest))}]"
        if kind is dict:
            return "{" + ", ".join(f"{k!r}: {self.text(a)}" for k, a in nest.items()) + "}"
        if kind is slice:
            return f"slice({self.text(nest.start)}, {self.text(nest.stop)}, {self.text(nest.step)})"
        return literal(nest)

    def index(self, index: Any) -> str:
        if type(index) is tuple and index:
            parts = ", ".join(map(self.index, index))
            return parts + "," if len(index) == 1 else parts
        if type(index) is slice:
            ends = [index.start, index.stop] + ([index.step] if index.step is not None else [])
            return ":".join("" if a is None else self.text(a) for a in ends)
        return self.text(index)


def _is_pythons(x: Any) -> bool:
    """Whether an operand is a number of Python's, whose operators raise where NumPy's functions have
    an inf or a nan."""
    return x.kind in (float, int, bool) if isinstance(x, Step) else isinstance(x, float | int)


def _is_turn(step: Step) -> bool:
    turn = step.function is np.transpose and len(step.args) == 1 and not step.params
    return turn or step.function is np.matrix_transpose


def literal(value: Any) -> str:
    """A plain value as text that makes it again, exactly."""
    if value is Ellipsis:
        return "..."
    if isinstance(value, np.dtype):
        name = value.type.__name__
        return f"np.{name}" if np.dtype(value.type) == value else f"np.dtype({value.str!r})"
    if isinstance(value, type):
        module = value.__module__
        return f"np.{value.__name__}" if module == "numpy" else value.__name__
    if isinstance(value, np.bool_):
        return f"np.{value!r}".replace("np.np.", "np.")
    if isinstance(value, np.generic):
        return f"np.{type(value).__name__}({literal(value.item())})"
    if isinstance(value, float):
        if value != value:
            return "np.nan"
        if value in (np.inf, -np.inf):
            return "np.inf" if value > 0 else "-np.inf"
    return repr(value)


# ── functions ─────────────────────────────────────────────────────────────────────────────────────


def _is_helper(function: Any) -> bool:
    """Whether a function is neither Python's nor NumPy's, so that its own text must come along."""
    if function is None or function in (guarded, as_type, draw, float, *_PLACED):
        return False
    if function is put:
        return True
    if isinstance(function, np.ufunc | types.BuiltinFunctionType):
        return False
    module = getattr(function, "__module__", None) or ""
    return module.partition(".")[0] not in ("numpy", "builtins", "_operator", "")


def _numpy_name(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"{_numpy_name(owner)}.{function.__name__}"
    name = function.__name__
    for prefix, module in (("np", np), ("np.linalg", np.linalg), ("np.fft", np.fft)):
        if getattr(module, name, None) is function:
            return f"{prefix}.{name}"
    if getattr(builtins, name, None) is function:
        return name
    return f"{function.__module__.replace('numpy', 'np', 1)}.{name}"
