"""Rows: numbers that a later loop computes again are not stacked by an earlier one.

To stack a number, and to read it in a later loop, costs as much as a few operations of Python's. So the
later loop computes what is a sum or a product of numbers that it is given anyway: of other rows, of
what the earlier loop goes through, and of what is the same for all iterations. The bits are the same.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from autobp.compiler.program import Loop, Program, Step, form_of, mapped, rebuilt, used_by
from autobp.compiler.trace.calls import joined

__all__ = ["recomputed_rows"]

_CHEAP = (operator.add, operator.sub, operator.mul, operator.neg)
_STACKED = 3  # operations that a row costs where it is stacked, and one more where it is read

Element = Any  # of a sequence: a step, a number, or (what a step makes, index)


def recomputed_rows(program: Program) -> tuple[Program, set[Step]]:
    """The program with rows computed again, and the loops that compute them."""
    changed: set[Step] = set()
    for i in range(sum(_is_counted(step) for step in program.steps)):
        loop = [step for step in program.steps if _is_counted(step)][i]
        program, instead = _Stacking(program, loop).run()
        changed = {instead.get(s, s) for s in changed}.union(instead.values())
    return program, changed


def _is_counted(step: Step) -> bool:
    return step.loop is not None and not step.loop.varies


class _Place:
    """Where rows are computed again: in a later loop, or before a step that reads one element."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.swap: dict[Step, Any] = {}  # what was read, and what is computed instead
        self.steps: list[Step] = []
        self.before: list[Step] = []  # steps outside of the loop
        self.known: dict[Any, Any] = {}
        self.sequences: list[tuple[Step, Any, list[Element]]] = []  # argument, given, elements
        self.invariants: list[tuple[Step, Any]] = []
        if step.loop:
            carried, sequences, invariants = step.args
            arguments = step.loop.body.arguments[len(carried) :]
            given = zip(arguments, sequences, strict=False)
            self.sequences = [(a, x, _elements(x)) for a, x in given]
            self.invariants = [*zip(arguments[len(sequences) :], invariants, strict=True)]

    def state(self) -> tuple[Any, ...]:
        return dict(self.known), *(
            list(x) for x in (self.steps, self.before, self.sequences, self.invariants)
        )

    def restore(self, state: tuple[Any, ...]) -> None:
        self.known, self.steps, self.before, self.sequences, self.invariants = state

    @property
    def cost(self) -> int:
        return len(self.steps) + len(self.sequences) if self.step.loop else 0

    def computed(self, like: Step, args: Sequence[Any]) -> Step:
        step = like.with_(args=tuple(args), name=None, line=None, run=self.step.run)
        step.scope, step.phase = self.step.scope, self.step.phase
        self.steps.append(step)
        return step

    def outside(self, function: Any, args: Any, form: tuple[Any, ...]) -> Step:
        step = Step(function, args, {}, *form)
        step.scope, step.phase = self.step.scope, self.step.phase
        self.before.append(step)
        return step

    def element(self, x: Element, form: tuple[Any, ...]) -> Any:
        return self.outside(operator.getitem, x, form) if type(x) is tuple else x

    def invariant(self, x: Any) -> Any:
        if not self.step.loop or not isinstance(x, Step):
            return x
        for argument, y in self.invariants:
            if x is y:
                return argument
        self.invariants.append((_argument(form_of(x)), x))
        return self.invariants[-1][0]

    def find(self, wanted: list[Element], form: tuple[Any, ...]) -> Any:
        """What is given these elements one by one."""
        if not self.step.loop:
            return self.element(wanted[0], form)
        found = (a for a, _, xs in self.sequences if xs == wanted and form_of(a) == form)
        return next(found, None)

    def given(self, wanted: list[Element], form: tuple[Any, ...]) -> Step | None:
        """An argument that is given these elements one by one."""
        if all(type(x) is int for x in wanted):
            sequence: Any = tuple(wanted)
        elif all(isinstance(x, Step) for x in wanted):
            sequence = tuple(wanted)
        else:
            pieces = [self.piece(piece, form) for piece in _pieces(wanted)]
            sequence = pieces[0]
            if len(pieces) > 1:
                sequence = self.outside(joined, tuple(pieces), ((len(wanted),), form[1], list))
            elif type(sequence) is not tuple and sequence.kind is not list:
                return None
        self.sequences.append((_argument(form), sequence, wanted))
        return self.sequences[-1][0]

    def piece(self, piece: list[Element], form: tuple[Any, ...]) -> Any:
        if len(piece) == 1 or type(piece[0]) is not tuple:
            return tuple(self.element(x, form) for x in piece)
        (base, first), (_, second) = piece[:2]
        stride, count = second - first, len(piece)
        stop = first + stride * count
        index = slice(first or None, None if stop < 0 else stop, None if stride == 1 else stride)
        return self.outside(operator.getitem, (base, index), ((count,), base.dtype, base.kind))

    def loop(self) -> Step:
        """The loop with what is computed again."""
        loop: Any = self.step.loop
        swap = lambda s: self.swap.get(s, s)
        arguments = loop.body.arguments[: len(self.step.args[0])]
        arguments += [a for a, *_ in (*self.sequences, *self.invariants)]
        instead = {s: x for s, x in self.swap.items() if isinstance(x, Step)}
        steps = list(self.steps)
        for old in loop.body.steps:
            step = rebuilt(old, instead)
            if step is not old:
                instead[old] = self.swap[old] = step
            steps.append(step)
        body = loop.body.with_(
            arguments=arguments,
            steps=steps,
            returns=mapped(swap, loop.body.returns),
            effects={*map(swap, loop.body.effects)},
        )
        sequences = tuple(x for _, x, _ in self.sequences)
        args = self.step.args[0], sequences, tuple(x for _, x in self.invariants)
        return self.step.with_(function=Loop(body, loop.count), args=args)


class _Stacking:
    """A loop, and what is done with the rows that it stacks."""

    def __init__(self, program: Program, step: Step) -> None:
        loop: Any = step.loop
        self.program = program
        self.users = used_by(program)
        carried, sequences, invariants = step.args
        becomes, rows = loop.body.returns
        arguments = loop.body.arguments
        self.steps: list[Step] = loop.body.steps
        self.made = set(self.steps)
        self.carried = dict(zip(arguments, zip(carried, becomes)))
        arguments = arguments[len(carried) :]
        self.sequences = dict(zip(arguments, map(_elements, sequences)))
        self.invariants = dict(zip(arguments[len(sequences) :], invariants))
        self.stacks: dict[Step, Step] = {}  # by what is stacked
        for part in self.users.get(step, ()):
            if part.is_loop_result and part.args[1] >= len(carried):
                self.stacks[rows[part.args[1] - len(carried)]] = part
        self.places: dict[Step, _Place] = {}
        self.read: set[Step] = set()  # rows that others are computed from

    def run(self) -> tuple[Program, dict[Step, Step]]:
        """The program, and the loops in place of those that compute rows again."""
        for row in [s for s in self.steps if s in self.stacks]:
            if row.kind is float and row.function in _CHEAP and row not in self.read:
                self.compute_again(row)
        loops: dict[Step, Step] = {}
        if not any(place.swap for place in self.places.values()):
            return self.program, loops
        instead: dict[Step, Step] = {}
        steps: list[Step] = []
        for step in self.program.steps:
            place = self.places.get(step)
            made = rebuilt(step, instead)
            if place and place.swap:
                steps += place.before
                if step.loop:
                    made = loops[step] = rebuilt(place.loop(), instead)
                else:
                    steps += place.steps
                    instead[step] = place.swap[step]
                    continue
            if made is not step:
                instead[step] = made
            steps.append(made)
        other = lambda s: instead.get(s, s)
        returns, effects = mapped(other, self.program.returns), {*map(other, self.program.effects)}
        return self.program.with_(steps=steps, returns=returns, effects=effects), loops

    def compute_again(self, row: Step) -> None:
        """Let all that reads a row compute it, if that is cheaper."""
        readers = self.readers(self.stacks[row])
        if readers is None:
            return
        stack = self.stacks.pop(row)
        states = [(place, place.state()) for place in {id(p): p for p, *_ in readers}.values()]
        before, read = sum(place.cost for place, _ in states), set(self.read)
        found = [self.value(row, order, place) for place, _, order in readers]
        loops = sum(place.step.loop is not None for place, *_ in readers)
        cost = sum(place.cost for place, _ in states) - before
        if all(isinstance(x, Step) for x in found) and cost <= _STACKED + loops:
            for (place, old, _), x in zip(readers, found, strict=True):
                place.swap[old] = x
            return
        self.stacks[row], self.read = stack, read
        for place, state in states:
            place.restore(state)

    def readers(self, stack: Step) -> list[tuple[_Place, Step, tuple[int, ...]]] | None:
        """What reads a stack: where, as what, and which elements. None if that is not all."""
        found: list[tuple[_Place, Step, tuple[int, ...]]] = []
        loops: dict[Step, None] = {}
        looked_at = [stack]
        results = set(self.program.results)
        for s in looked_at:
            if s in results:
                return None
            for user in self.users.get(s, ()):
                if user.loop:
                    if user.loop.varies:
                        return None
                    carried, _, invariants = user.args
                    if s in carried or s in invariants:
                        return None
                    loops[user] = None
                elif user.function is operator.getitem and type(user.args[1]) is int and s is stack:
                    found.append((self.place(user), user, (user.args[1] % stack.shape[0],)))
                elif _is_slice(user) or user.function is joined:
                    looked_at.append(user)
                else:
                    return None
        for loop in loops:
            place = self.place(loop)
            for argument, _, elements in place.sequences:
                is_row = [type(x) is tuple and x[0] is stack for x in elements]
                if all(is_row):
                    found.append((place, argument, tuple(k for _, k in elements)))
                elif any(is_row):
                    return None
        return found

    def place(self, step: Step) -> _Place:
        if step not in self.places:
            self.places[step] = _Place(step)
        return self.places[step]

    def value(self, s: Any, order: tuple[int, ...], place: _Place, deep: int = 0) -> Any:
        """What the iterations in an order have made, or were given, as an operand in another place."""
        if not isinstance(s, Step) or (s, order) in place.known:
            return place.known.get((s, order), s) if isinstance(s, Step) else s
        if s.kind is not float:
            return None
        if s in self.invariants:
            return place.invariant(self.invariants[s])
        row, wanted = None, None
        if s in self.sequences:
            wanted = [self.sequences[s][i] for i in order]
        elif s in self.stacks:
            row, wanted = s, [(self.stacks[s], i) for i in order]
        elif s in self.carried:
            begin, row = self.carried[s]
            if row not in self.stacks:
                if min(order) == 0 or deep > _STACKED:
                    return None
                return self.value(row, tuple(i - 1 for i in order), place, deep)
            wanted = [(self.stacks[row], i - 1) if i else _element(begin) for i in order]
        found = None if wanted is None else place.find(wanted, form_of(s))
        if found is None and s in self.made and s.function in _CHEAP and deep <= _STACKED:
            state = place.state()
            args = [self.value(a, order, place, deep + 1) for a in s.args]
            if any(a is None for a in args):
                place.restore(state)
            else:
                found, row = place.computed(s, args), None
        if found is None and wanted is not None:
            found = place.given(wanted, form_of(s))
        if found is not None:
            place.known[s, order] = found
            self.read.update([row] if row is not None else [])
        return found


def _argument(form: tuple[Any, ...]) -> Step:
    return Step(None, (), {}, *form)


def _is_slice(step: Step) -> bool:
    is_part = step.function is operator.getitem and type(step.args[1]) is slice
    return is_part and len(step.operands) == 1


def _element(x: Any) -> Element:
    """An operand as an element: one of what a step makes by its index."""
    if isinstance(x, Step) and x.function is operator.getitem and type(x.args[1]) is int:
        base = x.args[0]
        if isinstance(base, Step) and base.kind is list:
            return base, x.args[1] % base.shape[0]
    return x


def _elements(sequence: Any) -> list[Element]:
    """What a loop goes through, one by one."""
    if not isinstance(sequence, Step):
        return [_element(x) for x in sequence]
    if sequence.function is joined:
        return [x for part in sequence.args for x in _elements(part)]
    if _is_slice(sequence):
        base, index = sequence.args
        return [(base, k) for k in range(*index.indices(base.shape[0]))]
    return [(sequence, k) for k in range(sequence.shape[0])]


def _pieces(elements: list[Element]) -> list[list[Element]]:
    """Elements in strides of one thing, and others alone."""
    found = [[elements[0]]]
    for x, y in pairwise(elements):
        piece = found[-1]
        goes_on = type(x) is tuple and type(y) is tuple and x[0] is y[0] and x[1] != y[1]
        if goes_on and (len(piece) == 1 or y[1] - x[1] == x[1] - piece[-2][1]):
            piece.append(y)
        else:
            found.append([y])
    return found
