"""Program: what a function did to its arguments, step by step, as plain data.

A step is one call: of a NumPy function, of a helper that stays opaque, or of a loop, which has a
program as its body. What it is called with is a nest of other steps and of plain values. Passes are
functions from programs to programs; the steps themselves are never changed once a program is made.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from autobp.operation import Operation, of
from autobp.primitive import Shaped

__all__ = [
    "Loop",
    "Program",
    "Step",
    "arithmetic",
    "check",
    "evaluated",
    "form_of",
    "mapped",
    "rebuilt",
    "steps_in",
    "used_by",
]


@dataclass(eq=False, slots=True, repr=False)
class Step(Shaped):
    """One call, and what is known of its result."""

    function: Callable[..., Any] | None  # None: an argument of the program, or a constant
    args: tuple[Any, ...]
    params: dict[str, Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None  # None: a tuple of results
    kind: type  # of the result when the program runs: np.ndarray, float, list of numbers, tuple …
    name: str | None = None
    scope: str | None = None
    phase: str = "forward"  # or "backward", or "update", by an optimizer
    line: str | None = None  # of the user's code that asked for it
    errors: tuple[tuple[str, str], ...] = ()  # what np.errstate was in force, where not the usual
    constant: Any = None
    run: int = 0  # of a function that runs again: −k in its first run, k in its second
    operands: list[Step] = field(init=False)  # the steps that it is called with, with repeats

    def __post_init__(self) -> None:
        self.operands = operands = []
        for a in self.args:
            if type(a) is Step:
                operands.append(a)
            elif type(a) in _NESTS:
                operands += steps_in(a)
        if self.params:
            operands += steps_in(self.params)

    def __repr__(self) -> str:
        kind = "constant" if self.is_constant else "loop" if self.loop else "argument"
        what = getattr(self.function, "__name__", kind)
        return f"<step {self.name or what}: {self.kind.__name__} of shape {self.shape}>"

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize if self.dtype is not None else 0

    @property
    def is_array(self) -> bool:
        return self.kind is np.ndarray

    @property
    def is_constant(self) -> bool:
        return self.function is None and self.constant is not None

    @property
    def is_argument(self) -> bool:
        return self.function is None and self.constant is None

    @property
    def loop(self) -> Loop | None:
        """What a step with a body calls."""
        function = self.function
        return function if type(function) is Loop else None

    @property
    def is_loop_result(self) -> bool:
        """Whether a step takes one of the results of a loop."""
        x = self.args[0] if self.function is operator.getitem else None
        return isinstance(x, Step) and x.loop is not None

    @property
    def operation(self) -> Operation:
        """What is known of the function that is called."""
        return of(self.function)

    @property
    def is_elementwise(self) -> bool:
        """Whether NumPy computes each element alone, and in place where it is told to."""
        operation = self.operation
        return operation.form == "elementwise" and operation.out and not self.params

    @property
    def is_fresh(self) -> bool:
        """Whether a step makes an array that nothing else shares."""
        return self.operation.is_fresh(self.args, self.params)

    @property
    def takes_out(self) -> bool:
        """Whether NumPy puts the result where it is told to."""
        if not self.is_array or not self.size or not self.operation.out:
            return False
        alike = (isinstance(a, Step) and a.dtype == self.dtype for a in self.args)
        return self.is_elementwise or all(alike)

    def with_(self, **changes: Any) -> Step:
        assert changes.keys() <= _FIELDS
        get = changes.get  # written out: a dict of all fields takes twice as long
        return Step(
            get("function", self.function), get("args", self.args), get("params", self.params),
            get("shape", self.shape), get("dtype", self.dtype), get("kind", self.kind),
            get("name", self.name), get("scope", self.scope), get("phase", self.phase),
            get("line", self.line), get("errors", self.errors), get("constant", self.constant),
            get("run", self.run),
        )  # fmt: skip


def arithmetic(function: Callable[..., Any], args: tuple[Any, ...], operands: list[Step]) -> Step:
    """A call of Python's with floats, of which `operands` are steps. Programs of single numbers have so many
    that the constructor, which looks for steps in nests, would take a tenth of the time of tracing."""
    step = _new(Step)
    step.function = function
    step.args = args
    step.params = _NO_PARAMS
    step.shape = ()
    step.dtype = _FLOAT64
    step.kind = float
    step.name = step.scope = step.line = step.constant = None
    step.phase = "forward"
    step.errors = ()
    step.run = 0
    step.operands = operands
    return step


_FIELDS = {f.name for f in fields(Step) if f.init}
_new = object.__new__
_NO_PARAMS: dict[str, Any] = {}
_FLOAT64 = np.dtype(np.float64)
_NESTS = frozenset((tuple, list, dict, slice))


@dataclass(repr=False)
class Program:
    """Steps in the order in which they ran, from arguments to results."""

    arguments: list[Step]
    steps: list[Step]
    returns: Any  # a nest of steps and plain values
    effects: set[Step] = field(default_factory=set)  # steps that check or act, and so must run

    def __repr__(self) -> str:
        return f"<program of {len(self.steps)} steps>"

    @property
    def results(self) -> list[Step]:
        return list(steps_in(self.returns))

    def nested(self) -> Iterator[Program]:
        """This program and the bodies of its loops, and of the loops in those."""
        yield self
        for step in self.steps:
            if step.loop:
                yield from step.loop.body.nested()

    def constants(self) -> list[Step]:
        found: dict[Step, None] = {}
        for program in self.nested():
            for step in program.steps:
                found.update((s, None) for s in step.operands if s.is_constant)
            found.update((s, None) for s in program.results if s.is_constant)
        return list(found)

    def with_(self, **changes: Any) -> Program:
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Loop:
    """What a step with a body calls: the body, once for each iteration.

    A loop is called with three tuples: the carried values that the first iteration begins with; the
    sequences, of which each iteration is given one element (of an array a row, else an element of a
    tuple or of a range); and the invariants. The arguments of the body are these, in this order. The
    body returns two tuples: the carried values of the next iteration, and the rows that the iteration
    adds to the stacked results. The loop's result is one tuple: the last carried values, then the
    stacked results. Rows that are arrays are stacked in an array; rows that are numbers are collected
    in a list, as the numbers that they are, since Python reads and writes lists faster. To go through
    either backwards, or in strides, a loop is given a slice of it.

    A loop within another may have another number of iterations each time: as many as its sequences are
    long, which it then has. What such loops make for later they append to lists that they carry. There is
    one list, whatever it is called with on the way; its shape is that which it has in the end.
    """

    body: Program
    count: int  # of iterations
    varies: bool = False  # there are as many as the sequences have elements, and at most as counted

    def __call__(self, carried: Any, sequences: Any, invariants: Any) -> tuple[Any, ...]:
        _, rows = self.body.returns
        stacked: list[Any] = [
            np.empty((self.count, *row.shape), row.dtype) if row.is_array else [] for row in rows
        ]
        count = len(sequences[0]) if self.varies else self.count
        for k in range(count):
            elements = (sequence[k] for sequence in sequences)
            carried, rows = evaluated(self.body, *carried, *elements, *invariants)
            for stack, row in zip(stacked, rows, strict=True):
                if type(stack) is list:
                    stack.append(row)
                else:
                    stack[k] = row
        return (*carried, *stacked)


def evaluated(program: Program, *arguments: Any) -> Any:
    """What a program returns, by calling one step after the other."""
    values = dict(zip(program.arguments, arguments, strict=True))
    value = lambda s: s.constant if s.is_constant else values[s]
    for step in program.steps:
        function: Any = step.function  # of steps that are no arguments
        values[step] = function(*mapped(value, step.args), **mapped(value, step.params))
    return mapped(value, program.returns)


def mapped(function: Callable[[Any], Any], nest: Any, of: type = Step) -> Any:
    """A nest of steps and plain values with a function applied to each step, or to what else is
    looked for."""
    if isinstance(nest, of):
        return function(nest)
    kind = type(nest)
    if kind is tuple or kind is list:
        return kind([mapped(function, a, of) for a in nest])
    if kind is dict:
        return {k: mapped(function, a, of) for k, a in nest.items()}
    if kind is slice:
        return slice(*(mapped(function, a, of) for a in (nest.start, nest.stop, nest.step)))
    return nest


def steps_in(nest: Any) -> Iterator[Step]:
    """The steps in a nest, from left to right."""
    if isinstance(nest, Step):
        yield nest
        return
    kind = type(nest)
    if kind is tuple or kind is list:
        for a in nest:
            yield from steps_in(a)
    elif kind is dict:
        for a in nest.values():
            yield from steps_in(a)
    elif kind is slice:
        yield from steps_in((nest.start, nest.stop, nest.step))


def rebuilt(step: Step, other: Mapping[Step, Step]) -> Step:
    """The same call with other steps in place of some."""
    if other.keys().isdisjoint(step.operands):
        return step
    swap = lambda s: other.get(s, s)
    args = [
        other.get(a, a) if type(a) is Step else mapped(swap, a) if type(a) in _NESTS else a
        for a in step.args
    ]
    params = mapped(swap, step.params) if step.params else step.params
    return Step(
        step.function, tuple(args), params, step.shape, step.dtype, step.kind, step.name,
        step.scope, step.phase, step.line, step.errors, step.constant, step.run,
    )  # fmt: skip


def used_by(program: Program) -> dict[Step, list[Step]]:
    """For each step the steps that are called with it, with repeats."""
    users: dict[Step, list[Step]] = {}
    for step in program.steps:
        for s in step.operands:
            users.setdefault(s, []).append(step)
    return users


# ── what makes a program valid ────────────────────────────────────────────────────────────────────


def form_of(x: Any) -> tuple[Any, ...]:
    """The shape, the dtype and the type of what a step makes, or of a plain number."""
    if isinstance(x, Step):
        return x.shape, x.dtype, x.kind
    return (), np.asarray(x).dtype, type(x)


def check(program: Program) -> None:
    """Raise an error that says what is wrong with a program, if something is."""
    for problem in _problems(program):
        raise ValueError(problem)


def _problems(program: Program) -> Iterator[str]:
    defined: set[Step] = set()
    for argument in program.arguments:
        if not argument.is_argument or argument in defined:
            yield f"{argument} is among the arguments, and is none or is there twice"
        defined.add(argument)
    for i, step in enumerate(program.steps):
        where = f"step {i}, {step},"
        if step.function is None or step in defined:
            yield f"{where} calls nothing, or is there twice"
        if step.operands != [*steps_in(step.args), *steps_in(step.params)]:
            yield f"{where} has other operands than those that it is called with"
        for s in step.operands:
            if not s.is_constant and s not in defined:
                yield f"{where} uses {s}, which is not defined before it"
        defined.add(step)
        problems = _form_problems(step) if step.loop is None else _loop_problems(step, step.loop)
        yield from (f"{where} {problem}" for problem in problems)
        if step.loop and step.loop.body.effects and step not in program.effects:
            yield f"{where} has a body with effects, and is not among the effects"
    for s in program.results:
        if not s.is_constant and s not in defined:
            yield f"the program returns {s}, which is not defined"
    for c in program.constants():
        if form_of(c) != (c.constant.shape, c.constant.dtype, np.ndarray):
            yield f"{c} has not the form of the array that it holds"
    if missing := program.effects - set(program.steps):
        yield f"{missing.pop()} is among the effects, and not among the steps"
    bodies = [id(p) for p in program.nested()]
    if len({*bodies}) < len(bodies):
        yield "two loops have one body: each needs one of its own"


def _form_problems(step: Step) -> Iterator[str]:
    """Whether the result has the form that the call gives it, where that is plain to see."""
    function: Any = step.function
    is_many = step.is_array or step.kind is list
    if (step.shape and not is_many) or (is_many and step.dtype is None):
        yield "has a shape and is no array, or is an array and has no dtype"
    if isinstance(function, np.ufunc) and function.signature is None and not step.params:
        if len(step.args) != function.nin:
            yield f"is called with {len(step.args)} arguments"
        shape = np.broadcast_shapes(*(form_of(x)[0] for x in step.args))
        if function.nout == 1 and shape != step.shape:
            yield f"makes a result of shape {shape}"
    if step.is_loop_result:
        loop, j = step.args[0].loop, step.args[1]
        carried, rows = loop.body.returns
        stacked = (np.ndarray if row.is_array else list for row in rows)
        forms = [*map(form_of, carried)]
        forms += (((loop.count, *row.shape), row.dtype, kind) for row, kind in zip(rows, stacked))
        if form_of(step) not in forms[j : j + 1]:
            yield f"takes result {j} of {len(forms)}, of the form {forms[j : j + 1]}"


def _loop_problems(step: Step, loop: Loop) -> Iterator[str]:
    for problem in _problems(loop.body):
        yield f"has a body of which {problem}"
    carried, sequences, invariants = step.args
    becomes, rows = loop.body.returns
    if step.kind is not tuple or step.params:
        yield "is a loop: it makes a tuple, and has no params"
    given = len(carried), len(sequences), len(invariants)
    if sum(given) != len(loop.body.arguments) or len(becomes) != len(carried):
        yield f"has a body of {len(loop.body.arguments)} arguments for {given}"
    arguments = iter(loop.body.arguments)
    for first, after, argument in zip(carried, becomes, arguments):
        is_list = argument.kind is list and isinstance(first, Step) and first.kind is list
        begin = form_of(argument if is_list else first)  # a list may begin empty
        if not begin == form_of(after) == form_of(argument):
            yield f"carries {first}, then {after}, as {argument}"
    for sequence, argument in zip(sequences, arguments):
        forms: Any = [form_of(x) for x in sequence] if not isinstance(sequence, Step) else []
        if isinstance(sequence, Step) and sequence.shape and sequence.dtype is not None:
            n, *row = sequence.shape
            kind = argument.kind if sequence.kind is list else sequence.dtype.type
            forms = [(tuple(row), sequence.dtype, np.ndarray if row else kind)] * n
        if loop.varies and isinstance(sequence, Step):
            forms = [*{*forms}] * loop.count
        if forms != [form_of(argument)] * loop.count:
            yield f"goes {loop.count} times through {sequence}, of which each is {argument}"
    for x, argument in zip(invariants, arguments):
        if form_of(x) != form_of(argument):
            yield f"has an invariant of another form than {argument}"
    if loop.varies and (not sequences or rows):
        yield "has as many iterations as its sequences are long: it needs one, and stacks nothing"
    for row in rows:
        if not isinstance(row, Step) or row.dtype is None or row.kind is list:
            yield f"stacks {row!r}, which is no array or number that a step makes"
