"""Source: the text of a program, as a person would write it, with NumPy alone."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import numpy.fft  # which NumPy loads when it is asked for: not while a function is traced
import numpy.lib.stride_tricks

from autobp.compiler.emit.inline import inlined, is_turn
from autobp.compiler.emit.literals import literal
from autobp.compiler.emit.names import Names
from autobp.compiler.emit.numbers import is_quotient, is_whole_power, python_text
from autobp.compiler.emit.plan import Buffer, Home, Plan
from autobp.compiler.images import Order
from autobp.compiler.passes.exact import SMALL
from autobp.compiler.program import Loop, Program, Step, steps_in
from autobp.compiler.trace.calls import appended, as_type, draw, guarded, joined, numbers, select
from autobp.operation import COMPARISON, PREFIX, SIGNS
from autobp.owner import is_scipys

__all__ = ["Printer"]

_WORDS = {0.0: "zero", 1.0: "one", 2.0: "two", 0.5: "half"}

Section = tuple[str | None, str]  # the scope and the phase of a step


class Printer:
    """The text of one program, and the names in it, some of which are `given`. Arguments that are
    `elements` of a list of the caller's have no name where a loop goes through the list."""

    free: Callable[..., Any]
    taken: set[str]

    def __init__(
        self,
        program: Program,
        plan: Plan,
        given: Mapping[Step, str],
        taken: Iterable[str],
        elements: Mapping[Step, tuple[str, int]] | None = None,
    ) -> None:
        self.plan = plan
        self.names: dict[Step, str] = dict(given)
        names = Names({"np", "scipy", "math", "Changed", "place", "arena", *taken})
        self.free, self.taken = names.free, names.taken
        self.arenas: dict[tuple[int, tuple[int, ...], Any, Order | None], str] = {}
        self.helpers: dict[Any, str] = {}
        self.targets: dict[Buffer, str] = {}  # buffers of loops, which change their places
        self.stacks: dict[Step, list[str]] = {}  # of loops
        self.indices: dict[Step, str] = {}  # of loops, that count their iterations
        self.repeats = 0  # loops that the line is in which is being written

        programs = list(program.nested())
        steps = [step for p in programs for step in p.steps]
        self.elements: Mapping[Step, tuple[str, int]] | dict[Step, tuple[str, int]] = elements or {}
        used = self.used(program)
        for argument in program.arguments:
            if argument in used and argument not in self.names:
                self.names[argument] = self.free(argument.name or "x")
        for constant in program.constants():
            word = _WORDS.get(float(constant.constant)) if constant.shape == () else None
            self.names[constant] = self.free(word or "c", numbered=word is None)
        for step in steps:
            self.name_helper(step)
        self.inline: set[Step] = inlined(programs)  # steps that are written where they are used
        self.assigned: dict[Step, Step] = dict(
            self.assignments(steps)
        )  # and the operand that becomes the result
        self.after: dict[Step, Step] = {a: step for step, a in self.assigned.items()}
        self.name_steps(program)

    # ── names ─────────────────────────────────────────────────────────────────────────────────────

    def assignments(self, steps: Iterable[Step]) -> Iterator[tuple[Step, Step]]:
        """The steps that are written as `a += b`, with a."""
        for step in steps:
            sign = SIGNS.get(step.operation.sign)
            assigns = sign is not None and sign.binding != COMPARISON and len(step.args) == 2
            if assigns and step in self.plan.in_place and self.is_place(step.args[0], step):
                yield step, step.args[0]

    def is_place(self, operand: Any, step: Step) -> bool:
        """Whether a step is done in the memory of an operand."""
        buffer = self.plan.buffers[step]
        return isinstance(operand, Step) and (
            self.plan.buffers.get(operand) is buffer or operand is buffer.argument
        )

    def name_steps(self, program: Program) -> None:
        for argument in program.arguments:
            if argument in self.names:
                self.names.update(dict.fromkeys(self.chain(argument), self.names[argument]))
        for step in program.steps:
            if step.loop:
                self.name_loop(step, step.loop)
            elif step.is_loop_result:
                self.names[step] = self.result_name(step)
            elif step.function is appended:
                self.names[step] = self.names[step.args[0]]
            elif step not in self.names and step not in self.inline:
                chain = self.chain(step)
                names = [s.name for s in chain if s.name and s.name.isidentifier()]
                name = self.free(names[-1]) if names else self.free("t", numbered=True)
                self.names.update(dict.fromkeys(chain, name))

    def used(self, program: Program) -> set[Step]:
        """What is used by its name."""
        used = {*program.results}
        for step in program.steps:
            operands: Iterable[Step] = step.operands
            if step.loop:
                carried, sequences, invariants = step.args
                named = (s for s in sequences if not self.has_elements(s))
                operands = steps_in((carried, (*named,), invariants))
            elif step.function is joined:
                operands = steps_in(tuple(x for x in step.args if not self.has_elements(x)))
            used.update(operands)
        return used

    def has_elements(self, nest: Any) -> bool:
        """Whether all arguments in a tuple are in lists of the caller's, where they are found without
        a name."""
        if type(nest) is not tuple:
            return False
        steps = [s for s in nest if isinstance(s, Step)]
        return bool(steps) and all(s in self.elements for s in steps)

    def sequence(self, nest: Any) -> str:
        """What a loop goes through."""
        if not self.has_elements(nest):
            return self.text(nest)
        parts = self.parts(nest)
        return parts[0][1:] if len(parts) == 1 and parts[0][0] == "*" else f"[{', '.join(parts)}]"

    def parts(self, nest: Any) -> list[str]:
        """The elements of a tuple, of which those in a row of a caller's list are a slice of it."""
        if not self.has_elements(nest):
            return list(map(self.text, nest))
        found = []
        i = 0
        while i < len(nest):
            name, first = (
                self.elements.get(nest[i], ("", 0)) if isinstance(nest[i], Step) else ("", 0)
            )
            j, stride = i + 1, 1
            while name and j < len(nest) and isinstance(nest[j], Step):
                other, index = self.elements[nest[j]]
                stride = index - first if j == i + 1 else stride
                if other != name or index != first + stride * (j - i) or not stride:
                    break
                j += 1
            if j - i > 2:
                found.append(f"*{name}[{_slice_text(first, stride, j - i)}]")
            else:
                j = i + 1
                found.append(
                    self.names.get(nest[i]) or f"{name}[{first}]" if name else self.text(nest[i])
                )
            i = j
        return found

    def chain(self, step: Step) -> list[Step]:
        """What has one name, from `a = …` over `a += b` to the last."""
        chain = [step]
        while chain[-1] in self.after:
            chain.append(self.after[chain[-1]])
        return chain

    def name_helper(self, step: Step) -> None:
        """Name a function that neither NumPy nor Python has."""
        function: Any = step.function
        if (
            function in _SPELLED
            or function is appended
            or function in self.helpers
            or function is guarded
            or step.loop
        ):
            return
        if step.operation.sign or _public_name(function) is not None:
            return
        name = getattr(function, "__name__", "helper")
        name = name if name.isidentifier() else "helper"
        while name in self.taken:
            name += "_"
        self.helpers[function] = name
        self.taken.add(name)

    def name_loop(self, step: Step, loop: Loop) -> None:
        carried, sequences, invariants = step.args
        for argument, start in zip(loop.body.arguments, carried, strict=False):
            if _is_growing(start):  # one list goes through all loops
                self.names[argument] = self.names[start]
        used = self.used(loop.body).union(loop.body.arguments[: len(carried)])
        given = (*carried, *sequences, *invariants)
        for i, (argument, x) in enumerate(zip(loop.body.arguments, given, strict=True)):
            if i >= len(carried) + len(sequences):
                self.names[argument] = self.text(x)
            elif argument in used and argument not in self.names:
                self.names[argument] = self.free(argument.name or "t", numbered=not argument.name)
        _, rows = loop.body.returns
        self.stacks[step] = [
            self.free(f"{row.name}s" if row.name else "rows", numbered=not row.name) for row in rows
        ]
        self.indices[step] = self.free("i") if any(row.is_array for row in rows) else "_"
        plan = self.plan.loops[step]
        for buffer, j in plan.rows.items():
            self.targets[buffer] = f"{self.stacks[step][j]}[{self.indices[step]}]"
        for buffer in plan.spares:
            self.targets[buffer] = self.free("spare", numbered=True)
        for argument, s in _successors(loop, len(carried), self.inline):
            self.names[s] = self.names[argument]
        self.name_steps(loop.body)

    def result_name(self, step: Step) -> str:
        """The name of a result of a loop: that of a variable of the loop."""
        loop, j = step.args
        carried = len(loop.args[0])
        if j < carried:
            return self.names[loop.loop.body.arguments[j]]
        return self.stacks[loop][j - carried]

    # ── memory ────────────────────────────────────────────────────────────────────────────────────

    def arena_of(
        self, buffer: Buffer, shape: tuple[int, ...], dtype: Any, order: Order | None
    ) -> str:
        """The name of the part of the arena that a result is in."""
        form = (buffer.start, shape, dtype, order)
        if form not in self.arenas:
            self.arenas[form] = self.free("arena", numbered=True)
        return self.arenas[form]

    def target(self, step: Step) -> str:
        """The array that a step is told to put its result in, if it is."""
        buffer = self.plan.buffers.get(step)
        if buffer is None:
            return ""
        if step in self.plan.in_place:
            alike = (s for s in step.args if self.is_place(s, step))
            form = step.shape, step.dtype
            return next(self.names[s] for s in alike if (s.shape, s.dtype) == form)
        if buffer in self.targets:
            return self.targets[buffer]
        if buffer.home is not Home.ARENA:
            return ""
        return self.arena_of(buffer, step.shape, step.dtype, self.plan.images.get(step))

    def arena(self) -> list[str]:
        """The memory that the lines work in."""
        if not self.arenas:
            return []
        lines = [f"arena = np.empty({self.plan.size + 64}, np.uint8)"]
        lines.append("arena = arena[-arena.__array_interface__['data'][0] % 64 :]")
        for (start, shape, dtype, order), name in self.arenas.items():
            inside = shape if order is None else tuple(shape[i] for i in order)
            turned = (
                "" if order is None else f".transpose{tuple(map(order.index, range(len(order))))}"
            )
            lines.append(f"{name} = place({start}, {inside!r}, {literal(dtype)}){turned}")
        return lines

    # ── lines ─────────────────────────────────────────────────────────────────────────────────────

    def lines(self, program: Program, section: Section | None = None) -> list[str]:
        """The lines of a program, or of the body of a loop. A comment says where a section begins."""
        lines: list[str] = []
        errors: tuple[tuple[str, str], ...] = ()
        for step in program.steps:
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
            lines += [indent + line for line in self.statement(step)]
            done = [self.names[s] for s in self.plan.freed.get(step, ()) if s not in self.inline]
            if done:
                lines.append(f"{indent}del {', '.join(dict.fromkeys(done))}")
        return lines

    def statement(self, step: Step) -> list[str]:
        if step.function is guarded:
            return self.guard(step)
        if step.loop:
            return self.loop(step, step.loop)
        if step.is_loop_result:
            return []
        name = self.names[step]
        if step.function is appended:
            return [f"{name}.append({self.text(step.args[1])})"]
        if step in self.assigned:
            return [f"{name} {step.operation.sign}= {self.text(step.args[1])}"]
        if self.repeats and is_quotient(step) and step.args[0] in self.inline:
            return self.tried(name, "/", step.args[0], "ZeroDivisionError")
        if self.repeats and is_whole_power(step) and step.args[0] in self.inline:
            return self.tried(name, "**", step.args[0], "ArithmeticError")
        return [f"{name} = {self.call(step, self.target(step))}"]

    def tried(self, name: str, sign: str, call: Step, error: str) -> list[str]:
        """Python's operator, and NumPy's function where that raises."""
        numpys = f"np.{call.function.__name__}"  # type: ignore[union-attr]
        return [
            "try:",
            f"    {name} = {self.infix(sign, *call.args)}",
            f"except {error}:",
            f"    {name} = float({self.called(numpys, call.args, {})})",
        ]

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

    def loop(self, step: Step, loop: Loop) -> list[str]:
        """What a loop begins with, and its iterations."""
        plan, index, stacks = self.plan.loops[step], self.indices[step], self.stacks[step]
        carried, sequences, _ = step.args
        becomes, rows = loop.body.returns
        arguments = loop.body.arguments
        lines = []
        alike: dict[str, list[str]] = {}  # what begins with one number
        for argument, start in zip(arguments, carried, strict=False):
            name, begin = self.names[argument], self.text(start)
            if argument.is_array:
                buffer = self.plan.buffers[argument]
                arena = self.arena_of(buffer, argument.shape, argument.dtype, None)
                lines += [f"{name} = {arena}", f"{name}[...] = {begin}"]
            elif argument.kind is list and not _is_growing(start):
                if start not in self.inline:
                    begin = f"[*{begin}]" if start.shape[0] else "[]"
                lines.append(f"{name} = {begin}")
            elif not isinstance(start, Step):
                alike.setdefault(begin, []).append(name)
            elif name != begin:
                lines.append(f"{name} = {begin}")
        lines += (" = ".join([*names, begin]) for begin, names in alike.items())
        for buffer, next_spare in plan.spares.items():
            arena = self.arena_of(buffer, next_spare.shape, next_spare.dtype, None)
            lines.append(f"{self.targets[buffer]} = {arena}")
        for stack, row, whole in zip(stacks, rows, plan.stacks, strict=True):
            form = (loop.count, *row.shape), row.dtype, None
            lines.append(f"{stack} = {self.arena_of(whole, *form) if whole else []}")

        elements = arguments[len(carried) : len(carried) + len(sequences)]
        names = [self.names.get(argument, "_") for argument in elements]
        texts = [self.sequence(s) for s in sequences]
        lines.append(_for_line(index, names, texts, loop.count))
        body = [
            f"{stack}.append({self.names[row]})"
            for stack, row in zip(stacks, rows, strict=True)
            if row.is_argument and not row.is_array  # as they are when the iteration begins
        ]
        self.repeats += 1
        body += self.lines(loop.body, (step.scope, step.phase))
        self.repeats -= 1
        for j, (stack, row) in enumerate(zip(stacks, rows, strict=True)):
            place = self.plan.buffers.get(row)
            if not row.is_array:
                if not row.is_argument:
                    body.append(f"{stack}.append({self.text(row)})")
            elif place is None or plan.rows.get(place) != j:
                body.append(f"{stack}[{index}] = {self.text(row)}")
        moves = []  # all at once: the names for the next iteration, and what they are then
        for j, (argument, s) in enumerate(zip(arguments, becomes, strict=False)):
            text = f"np.copy({self.text(s)})" if j in plan.copied else self.text(s)
            moves.append((self.names[argument], text))
        moves += [(self.targets[b], self.names[a]) for b, a in plan.spares.items()]
        moves = [(name, text) for name, text in moves if name != text]
        if moves:
            body.append(f"{', '.join(n for n, _ in moves)} = {', '.join(t for _, t in moves)}")
        return [*lines, *(f"    {line}" for line in body or ["pass"])]

    # ── expressions ───────────────────────────────────────────────────────────────────────────────

    def call(self, step: Step, out: str = "") -> str:
        function, args, params = step.function, step.args, step.params
        spelled = _SPELLED.get(function)
        text = "" if out else (spelled and spelled(self, step)) or self.signed(step)
        if text:
            return text
        if out and function is np.matmul and not params and all(a.ndim <= 2 for a in args):
            function = np.dot  # the same, with less ado
        callee = self.helpers.get(function) or str(_public_name(function))
        if not out:
            return self.called(callee, args, params)
        by_place = step.size <= SMALL and not params  # which is as fast as calls get
        by_place = by_place and function not in (np.maximum, np.minimum)
        return self.called(callee, args, params, out if by_place else f"out={out}")

    def called(self, callee: str, args: Iterable[Any], params: Mapping[str, Any], *out: str) -> str:
        given = [self.text(a) for a in args]
        given += [f"{k}={self.text(a)}" for k, a in params.items() if a is not np._NoValue]
        return f"{callee}({', '.join((*given, *out))})"

    def signed(self, step: Step) -> str | None:
        """A call that Python has a sign for. NumPy's functions of numbers of Python's alone have none:
        where they give an inf or a nan, Python's operators raise."""
        sign = step.operation.sign
        python = isinstance(step.function, np.ufunc) and all(map(_is_pythons, step.args))
        if not sign or step.params or python:
            return None
        if len(step.args) == 1:
            return sign + self.operand(step.args[0], PREFIX)
        return self.infix(sign, *step.args)

    def infix(self, sign: str, left: Any, right: Any) -> str:
        binding = SIGNS[sign].binding
        return f"{self.operand(left, binding)} {sign} {self.operand(right, binding + 1)}"

    def joined(self, parts: Iterable[Any]) -> str:
        """One list of the elements of all parts."""
        texts = (self.parts(p) if type(p) is tuple else [f"*{self.text(p)}"] for p in parts)
        return f"[{', '.join(chain.from_iterable(texts))}]"

    def operand(self, nest: Any, binding: int) -> str:
        """An operand of a sign, in brackets if it binds less."""
        text = self.text(nest)
        sign = nest.operation.sign if isinstance(nest, Step) and nest in self.inline else ""
        if sign and (len(nest.args) == 1 or SIGNS[sign].binding < binding):
            return f"({text})"
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


def _successors(loop: Loop, carried: int, inline: set[Step]) -> Iterator[tuple[Step, Step]]:
    """Carried numbers that are needed no more when their next value is computed, with that."""
    at: dict[Step, int] = {}  # the lines on which steps are computed
    last: dict[Step, int] = {}  # and on which they are used last
    for i, step in reversed([*enumerate(loop.body.steps)]):
        line = last[step] if step in inline else i
        at[step] = line
        for s in step.operands:
            last[s] = max(line, last.get(s, -1))
    becomes, _ = loop.body.returns
    given: set[Any] = {s for s in becomes if isinstance(s, Step)}
    for argument, s in zip(loop.body.arguments[:carried], becomes, strict=True):
        is_named = s in given and s in at and s not in inline and not s.is_array
        if is_named and argument not in given and last.get(argument, -1) <= at[s]:
            given.discard(s)
            yield argument, s


def _slice_text(first: int, stride: int, count: int) -> str:
    """A slice of a list of which the length is not told."""
    stop = first + stride * count
    ends = f"{first or ''}:{'' if stop < 0 else stop}"
    return ends if stride == 1 else f"{ends}:{stride}"


def _is_growing(start: Any) -> bool:
    """Whether a carried list is that of a loop around, and not a new one."""
    if not isinstance(start, Step) or start.kind is not list:
        return False
    is_result = start.is_loop_result and start.args[1] < len(start.args[0].args[0])
    return start.is_argument or start.function is appended or is_result


def _for_line(index: str, names: list[str], sequences: list[str], count: int) -> str:
    """The first line of a loop that goes through sequences, and counts where that is needed."""
    if not sequences:
        return f"for {index} in range({count}):"
    element, elements = ", ".join(names), ", ".join(sequences)
    if len(sequences) > 1:
        elements = f"zip({elements})"
    if index == "_":
        return f"for {element} in {elements}:"
    element = f"({element})" if len(names) > 1 else element
    return f"for {index}, {element} in enumerate({elements}):"


def _is_pythons(x: Any) -> bool:
    return x.kind in (float, int, bool) if isinstance(x, Step) else isinstance(x, float | int)


def _float(printer: Printer, step: Step) -> str | None:
    """`float` of a call that is written within it, as Python's arithmetic where that is the same."""
    x = step.args[0]
    if x not in printer.inline:
        return None
    return python_text(x, [printer.text(a) for a in x.args])


def _select(printer: Printer, step: Step) -> str:
    condition, x, y = map(printer.text, step.args)
    return f"{x} if {condition} else {y}"


# ── how NumPy's source spells a call that is not written as one ───────────────────────────────────


# fmt: off
_SPELLED: dict[Any, Callable[[Printer, Step], str | None]] = {
    operator.getitem: lambda p, s: f"{p.text(s.args[0])}[{p.index(s.args[1])}]",
    np.transpose: lambda p, s: f"{p.text(s.args[0])}.T" if is_turn(s) else None,
    np.matrix_transpose: lambda p, s: f"{p.text(s.args[0])}.{'T' if s.ndim == 2 else 'mT'}",
    as_type: lambda p, s: (f"{p.text(s.args[0])}.astype({literal(s.args[1])})" if s.is_array
                           else f"{literal(s.args[1])}({p.text(s.args[0])})"),
    joined: lambda p, s: p.joined(s.args),
    numbers: lambda p, s: f"{p.text(s.args[0])}.tolist()",
    float: _float,
    select: _select,
    draw: lambda p, s: p.called(f"{p.text(s.args[0])}.{s.args[1]}", s.args[2:], s.params),
}
# fmt: on

_SPACES = (
    ("np.", np),
    ("np.linalg.", np.linalg),
    ("np.fft.", np.fft),
    ("np.lib.stride_tricks.", np.lib.stride_tricks),
    ("", builtins),
)


def _public_name(function: Any) -> str | None:
    """The name of a function of NumPy's or Python's. Others are helpers, which come along."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"{_public_name(owner)}.{function.__name__}"
    name = getattr(function, "__name__", "")
    if is_scipys(function):
        return f"scipy.special.{name}"
    spaces = (prefix for prefix, space in _SPACES if getattr(space, name, None) is function)
    prefix = next(spaces, None)
    return None if prefix is None else f"{prefix}{name}"
