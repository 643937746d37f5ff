"""Printer: the text of a program in JavaScript.

Each step is a line. An elementwise operation is an expression of elements; a function that moves
elements is run once, when the program is printed, on the numbers of their places; sums of products are
one function, given where their terms are.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from autobp.compiler.javascript.images import IMAGES
from autobp.compiler.javascript.layers import LAYERS
from autobp.compiler.javascript.layers import SCRIPT as OF_LAYERS
from autobp.compiler.javascript.matrices import MATRICES
from autobp.compiler.javascript.matrices import SCRIPT as OF_MATRICES
from autobp.compiler.javascript.places import affine, grid, numbered, split, strides
from autobp.compiler.javascript.table import (
    ELEMENTWISE,
    MOVES,
    OF_TRUTH,
    OF_WHOLE_NUMBERS,
    REDUCED,
    SCANNED,
)
from autobp.compiler.program import Loop, Program, Step, mapped, steps_in
from autobp.compiler.refusals import called, refusal
from autobp.compiler.trace.calls import as_type, guarded, placed
from autobp.kernels import factors
from autobp.rules.indexing import _scatter

__all__ = ["RUNTIME", "Unprintable", "javascript"]

#: What printed programs call.
RUNTIME = files(__package__).joinpath("runtime.js").read_text(encoding="utf-8")

_TAKEN = frozenset(
    """
    await break case catch class const continue debugger default delete do else enum export extends
    false finally for function if implements import in instanceof interface let new null package
    private protected public return static super switch this throw true try typeof var void while
    with yield undefined NaN Infinity Math Number Object Array Float64Array Int32Array eval arguments i j
    """.split()  # noqa: SIM905
) | {
    name
    for pair in re.findall(
        r"(?m)^(?:class|function|const) (\w+)|(\w+) = \(", RUNTIME + OF_MATRICES + OF_LAYERS
    )
    for name in pair
}


class Unprintable(ValueError):
    """JavaScript has no spelling for a step of a program."""


def javascript(program: Program, name: str = "program") -> str:
    """A program as the text of a JavaScript function of its arguments. It returns what the program
    does: tuples and lists as arrays, and throws `Changed` where the program was traced for other values.

    Raises `Unprintable` with the name of the first operation that JavaScript has no spelling for.
    """
    return _Printer(program).text(name)


class _Printer:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.names: dict[Step, str] = {}
        self.taken = set(_TAKEN)
        self.constants: list[str] = []  # lines that run once
        self.known: dict[Any, str] = {}  # names of constants, by their contents

    def text(self, name: str) -> str:
        body = self.function(self.program)
        lines = "\n".join([*self.constants, f"return {body};"])
        return f"const {name} = (() => {{\n{lines}\n}})();"

    def function(self, program: Program) -> str:
        for step in program.arguments:
            self.check(step)
            self.names[step] = self.named(step.name or "x")
        given = ", ".join(self.names[step] for step in program.arguments)
        lines = [line for step in program.steps for line in self.statement(step)]
        lines.append(f"return {self.nest(program.returns)};")
        return f"({given}) => {{\n" + "\n".join(lines) + "\n}"

    def named(self, name: str) -> str:
        name = re.sub(r"[^A-Za-z0-9_]", "_", name)
        name = name if name[:1].isalpha() else f"_{name}"
        chosen, k = name, 0
        while chosen in self.taken:
            chosen, k = f"{name}_{k}", k + 1
        self.taken.add(chosen)
        return chosen

    # ── what a program names ──────────────────────────────────────────────────────────────────────

    def nest(self, nest: Any) -> str:
        """A nest of steps and numbers as an expression."""
        if isinstance(nest, tuple | list):
            return f"[{', '.join(map(self.nest, nest))}]"
        if isinstance(nest, range):
            return f"[{', '.join(map(str, nest))}]"
        if isinstance(nest, dict):
            return self.nest(list(nest.values()))
        return self.name(nest)

    def name(self, x: Any) -> str:
        """A step or a number as an operand."""
        if isinstance(x, Step):
            return self.constant(x.constant) if x.is_constant else self.names[x]
        if x is None:
            return "null"
        if isinstance(x, bool | np.bool_):
            return str(int(x))
        if isinstance(x, int | float | np.number):
            return _number(float(x))
        raise Unprintable(f"a {type(x).__name__} has no spelling in JavaScript")

    def constant(self, array: Any) -> str:
        if array.dtype.kind not in "biuf" or array.dtype in (np.float32, np.float16):
            raise Unprintable(f"an array of {array.dtype}: JavaScript computes in float64")
        if not array.shape:
            return _number(float(array))
        return self.table(f"Float64Array.of({', '.join(map(_digits, array.ravel().tolist()))})")

    def table(self, text: str) -> str:
        if text not in self.known:
            self.known[text] = name = self.named(f"k{len(self.known)}")
            self.constants.append(f"const {name} = {text};")
        return self.known[text]

    def brings(self, script: str) -> None:
        """Functions that a program brings along, since few programs call them."""
        if script not in self.known:
            self.known[script] = ""
            self.constants.append(script)

    def places(self, at: Any) -> str:
        """The places that an array of whole numbers holds."""
        regular = affine(at)
        if regular is None:
            return self.table(f"Int32Array.of({', '.join(map(str, at.ravel().tolist()))})")
        return self.table("places({}, {}, {})".format(*map(json.dumps, regular)))

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────

    def check(self, step: Step) -> None:
        dtype = step.dtype
        if dtype is None or dtype in (np.float64, np.int64, np.bool_):
            return
        whole = dtype.kind in "iu"
        if not (whole and (step.function is None or step.function in MOVES)):
            why = (
                "JavaScript's numbers have no end at which they begin again"
                if whole
                else "JavaScript computes in float64"
            )
            raise Unprintable(f"{called(step)} of {dtype}: {why}")

    def statement(self, step: Step) -> Iterator[str]:
        self.check(step)
        if step.function is guarded:
            yield from self.guard(step)
            return
        text = self.expression(step)
        if re.fullmatch(r"\w+", text) and not text[0].isdigit():
            self.names[step] = text  # another name of the same
            return
        self.names[step] = name = self.named(step.name or f"v{len(self.names)}")
        yield f"const {name} = {text};"

    def guard(self, step: Step) -> Iterator[str]:
        value, expected = step.args
        if isinstance(expected, bool | int | float) and not isinstance(expected, type):
            at = re.sub(r".*[/\\]", "", step.line or "")  # a page names no folder of its author's
            line = json.dumps(at).replace("<", "\\u003c")
            yield f"guard({self.name(value)} === {self.name(expected)}, {line});"

    def expression(self, step: Step) -> str:
        function: Any = step.function
        if step.loop:
            return self.loop(step, step.loop)
        if step.is_loop_result:
            return self.loop_result(step)
        if function is operator.getitem and step.args[0].kind is tuple:
            return f"{self.name(step.args[0])}[{step.args[1]}]"
        if function in MOVES:
            return self.moved(step, MOVES[function])
        if function is as_type:
            return self.converted(step)
        for spellings, script in ((MATRICES, OF_MATRICES), (LAYERS, OF_LAYERS)):
            if function in spellings:
                self.brings(script)
                return spellings[function](self, step)
        spelled = _SPELLED.get(function)
        if spelled is not None:
            return spelled(self, step)
        if function in ELEMENTWISE and not step.params:
            return self.elementwise(step, self.spelled(step), step.args)
        reduces = step.operation.reduces
        if reduces in REDUCED:
            return self.reduced(step, *REDUCED[reduces])
        if function in SCANNED:
            return self.scanned(step, REDUCED[SCANNED[function]][0])
        raise self.refused(step)

    def refused(self, step: Step, why: str = "") -> Unprintable:
        return Unprintable(refusal(step, why, "JavaScript"))

    def spelled(self, step: Step) -> str:
        """How an elementwise operation is spelled for numbers of the kind that it gives."""
        function: Any = step.function
        kind = np.dtype(step.dtype).kind
        particular = OF_TRUTH if kind == "b" else OF_WHOLE_NUMBERS if kind == "i" else {}
        text = particular.get(function, ELEMENTWISE[function])
        if not text:
            raise self.refused(step, " of whole numbers")
        return text

    def elementwise(self, step: Step, text: str, args: Sequence[Any]) -> str:
        if not step.shape:
            return text.format(*map(self.name, args))
        elements = text.format(*(self.element(a, step.shape) for a in args))
        return f"each({step.size}, (i) => {elements})"

    def element(self, x: Any, shape: tuple[int, ...]) -> str:
        name = self.name(x)
        if not isinstance(x, Step) or not x.shape:
            return name
        if x.shape == shape:
            return f"{name}[i]"
        return f"{name}[{self.places(np.broadcast_to(numbered(x), shape))}[i]]"

    def converted(self, step: Step) -> str:
        x, dtype = step.args
        kind = np.dtype(dtype).kind
        text = {"f": "{0}", "b": "+({0} !== 0)"}.get(kind, "Math.trunc({0})")
        return self.name(x) if kind == "f" else self.elementwise(step, text, [x])

    # ── elements that move ────────────────────────────────────────────────────────────────────────

    def moved(self, step: Step, count: int) -> str:
        operands: list[Any] = []
        total = 1  # 0 is a place of no operand: there a 0 is put

        def numbered(x: Any) -> Any:
            nonlocal total
            if isinstance(x, list | tuple):
                return type(x)(map(numbered, x))
            operands.append(x)
            size = math.prod(_shape(x))
            total += size
            return np.arange(total - size, total).reshape(_shape(x))

        first = [numbered(a) for a in step.args[:count]]
        rest, params = self.fixed(step, step.args[count:]), self.fixed(step, step.params)
        at = np.asarray(step.function(*first, *rest, **params)) - 1  # type: ignore[misc]
        if at.shape != step.shape:
            raise self.refused(step, ", whose shape depends on values,")
        is_whole = np.array_equal(at.ravel(), np.arange(total - 1))
        if len(operands) == 1 and is_whole:
            whole = self.name(operands[0])
            is_number = not _shape(operands[0])
            if is_number == (not step.shape):
                return whole
            return f"[{whole}]" if is_number else f"{whole}[0]"
        source = (
            self.name(operands[0])
            if len(operands) == 1 and _shape(operands[0])
            else f"join({', '.join(map(self.name, operands))})"
        )
        if not step.shape:
            return f"{source}[{int(at)}]" if at >= 0 else "0"
        if len(operands) > 1 and is_whole:
            return source
        return f"pick({source}, {self.places(at)})"

    def fixed(self, step: Step, nest: Any) -> Any:
        """Arguments that say where: constants of the program."""
        if not all(s.is_constant for s in steps_in(nest)):
            raise self.refused(step, " at an index that is computed")
        return mapped(lambda s: s.constant, nest)

    def scattered(self, step: Step) -> str:
        x, index, shape = *step.args, *step.params.values()
        index = self.fixed(step, index)
        at = np.arange(math.prod(shape)).reshape(shape)[index]
        source = self.name(x)
        if isinstance(x, Step) and x.shape not in ((), at.shape):
            source = f"each({at.size}, (i) => {self.element(x, at.shape)})"
        found = f"scatter({step.size}, {source}, {self.places(np.asarray(at))})"
        return found if step.shape else f"{found}[0]"

    # ── reductions ────────────────────────────────────────────────────────────────────────────────

    def reduced(self, step: Step, combine: str, first: str) -> str:
        x, axes = self.over(step)
        if step.dtype == bool and combine == "sum":
            combine = "either"
        if not isinstance(x, Step) or not x.shape:
            return self.name(x) if combine not in ("both", "either") else f"+({self.name(x)} !== 0)"
        outer, inner = split(x, axes)
        found = f"reduce({combine}, {first}, {self.name(x)}, {self.places(outer)}, {self.places(inner)})"
        return found if step.shape else f"{found}[0]"

    def over(self, step: Step) -> tuple[Any, tuple[int, ...]]:
        """What a step reduces, and along which axes."""
        x, *given = step.args
        params = {k: v for k, v in step.params.items() if v is not np._NoValue}
        axis = (
            given[0] if given else params.pop("axis", None if step.function not in _UFUNCS else 0)
        )
        params.pop("keepdims", None)
        if len(given) > 1 or any(v is not None for v in params.values()):
            raise self.refused(step, f" with {', '.join(params)}")
        ndim = x.ndim if isinstance(x, Step) else 0
        axes = range(ndim) if axis is None else np.atleast_1d(axis).tolist()
        return x, tuple(a % ndim for a in axes) if ndim else ()

    def mean(self, step: Step) -> str:
        x, axes = self.over(step)
        if not isinstance(x, Step) or not x.shape:
            return self.name(x)
        total = self.reduced(step, "sum", "0")
        n = math.prod(x.shape[a] for a in axes)
        return f"{total}.map((x) => x / {n})" if step.shape else f"{total} / {n}"

    def scanned(self, step: Step, combine: str) -> str:
        x, axes = self.over(step)
        if step.shape != x.shape or len(axes) != 1:
            raise self.refused(step, " of all elements")
        outer, inner = split(x, axes)
        return f"scan({combine}, {self.name(x)}, {self.places(outer)}, {self.places(inner)})"

    # ── products ──────────────────────────────────────────────────────────────────────────────────

    def others(self, step: Step) -> str:
        """For each factor the product of the others."""
        x, _, axis = step.args
        if not _shape(x):
            return "1"
        axes = range(x.ndim) if axis is None else np.atleast_1d(axis).tolist()
        outer, inner = split(x, [a % x.ndim for a in axes])
        return f"others({self.name(x)}, {self.places(outer)}, {self.places(inner)})"

    def matmul(self, step: Step) -> str:
        a, b = step.args
        left = "i" * (a.ndim > 1) + "k"
        right = "k" + "j" * (b.ndim > 1)
        batch = "abcdefgh"[: max(a.ndim, b.ndim, 2) - 2]
        if step.function is np.dot and (batch or not (a.shape and b.shape)):
            raise self.refused(step, " of other than vectors and matrices")
        letters = [
            batch[len(batch) - max(x.ndim - 2, 0) :] + own for x, own in ((a, left), (b, right))
        ]
        return self.contracted(step, letters, batch + left[:-1] + right[1:])

    def outer(self, step: Step) -> str:
        return self.contracted(step, ["i", "j"], "ij")

    def einsum(self, step: Step) -> str:
        subscripts = step.args[0]
        if not isinstance(subscripts, str) or "." in subscripts:
            raise self.refused(step, f" of {subscripts!r}")
        inputs, arrow, out = subscripts.replace(" ", "").partition("->")
        if not arrow:
            out = "".join(sorted(c for c in {*inputs} - {","} if inputs.count(c) == 1))
        return self.contracted(step.with_(args=step.args[1:]), inputs.split(","), out)

    def contracted(self, step: Step, letters: Sequence[str], out: str) -> str:
        """Sums of products of arrays, whose axes have letters. Axes of length 1 spread."""
        sizes: dict[str, int] = {}
        for x, axes in zip(step.args, letters):
            for c, n in zip(axes, np.shape(x), strict=True):
                sizes[c] = max(sizes.get(c, 1), n) if n else 0
        inner = [c for c in sizes if c not in out]
        given = []
        for x, axes in zip(step.args, letters):
            apart = dict.fromkeys(sizes, 0)
            for c, stride in zip(axes, strides(x)):
                apart[c] += stride
            source = self.name(x) if np.shape(x) else f"[{self.name(x)}]"
            places = (
                grid([sizes[c] for c in some], [apart[c] for c in some]) for some in (out, inner)
            )
            given.append((source, *map(self.places, places)))
        if len(given) == 1:
            found = f"reduce(sum, 0, {', '.join(*given)})"
        elif len(given) == 2:
            found = f"contract({', '.join(sum(given, ()))})"
        else:
            count = math.prod(sizes[c] for c in inner)
            term = " * ".join(f"{x}[{outer}[i] + {own}[j]]" for x, outer, own in given)
            whole = f"each({count}, (j) => {term}), [0], {self.places(np.arange(count))}"
            found = f"each({step.size}, (i) => reduce(sum, 0, {whole})[0])"
        if step.dtype == bool:
            found += ".map((x) => +(x !== 0))"
        return found if step.shape else f"{found}[0]"

    # ── loops ─────────────────────────────────────────────────────────────────────────────────────

    def loop(self, step: Step, loop: Loop) -> str:
        carried, sequences, invariants = step.args
        rows = [
            f"{{ rows: {self.name(x)}, single: {json.dumps(x.ndim == 1)} }}"
            if isinstance(x, Step)
            else self.nest(x)
            for x in sequences
        ]
        body = self.function(loop.body)
        given = ", ".join([self.nest(carried), f"[{', '.join(rows)}]", self.nest(invariants)])
        return f"loop({loop.count}, {len(loop.body.returns[1])}, {body}, {given})"

    def loop_result(self, step: Step) -> str:
        return f"{self.name(step.args[0])}[{step.args[1]}]"

    def rounded(self, step: Step) -> str:
        decimals = step.params.get("decimals", step.args[1] if len(step.args) > 1 else 0)
        if decimals < 0 and np.dtype(step.dtype).kind == "i":
            raise self.refused(step, f" of whole numbers to {decimals} decimals")
        power = f"1e{abs(decimals)}"
        text = f"rint({{0}} * {power}) / {power}" if decimals > 0 else "rint({0})"
        text = f"rint({{0}} / {power}) * {power}" if decimals < 0 else text
        return self.elementwise(step, text, step.args[:1])

    def nan_to_num(self, step: Step) -> str:
        given = {"nan": 0.0, "posinf": None, "neginf": None, **step.params}
        most = float(np.finfo(float).max)
        ends = [given["nan"], given["posinf"], given["neginf"]]
        ends = [end if v is None else v for v, end in zip(ends, (0.0, most, -most))]
        text = f"toNumber({{0}}, {', '.join(self.name(v) for v in ends)})"
        return self.elementwise(step, text, step.args[:1])

    def filled(self, value: str) -> Callable[[Step], str]:
        return lambda step: f"each({step.size}, () => {value})" if step.shape else value


_UFUNCS = tuple(u.reduce for u in REDUCED)
_SPELLED: dict[Any, Callable[[_Printer, Step], str]] = {
    np.matmul: _Printer.matmul,
    operator.matmul: _Printer.matmul,
    np.dot: _Printer.matmul,
    np.outer: _Printer.outer,
    np.einsum: _Printer.einsum,
    np.mean: _Printer.mean,
    np.all: lambda p, s: p.reduced(s, *REDUCED[np.logical_and]),
    np.any: lambda p, s: p.reduced(s, *REDUCED[np.logical_or]),
    np.round: _Printer.rounded,
    np.nan_to_num: _Printer.nan_to_num,
    np.ones_like: lambda p, s: p.filled("1")(s),
    np.zeros_like: lambda p, s: p.filled("0")(s),
    **IMAGES,
    _scatter: _Printer.scattered,
    placed: _Printer.scattered,
    factors.others: _Printer.others,
}


def _shape(x: Any) -> tuple[int, ...]:
    return x.shape if isinstance(x, Step) else ()


def _digits(x: float) -> str:
    text = repr(float(x))
    return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(text, text.removesuffix(".0"))


def _number(x: float) -> str:
    text = _digits(x)
    return f"({text})" if text[0] == "-" else text
