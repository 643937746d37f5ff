"""Nests: loops within loops as steps of a program.

What loops make for later is in lists, which they carry and make longer. An inner loop goes through a
part of a list, from where to where the loop around it says; it has as many iterations as that is long.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from autobp.compiler.passes.rewrite import constant_step
from autobp.compiler.program import Loop, Program, Step, form_of
from autobp.compiler.rolling.columns import (
    Before,
    Fixed,
    Integers,
    Listed,
    Lists,
    Nest,
    Node,
    Now,
    Place,
    Same,
    Source,
)
from autobp.compiler.rolling.tokens import filled
from autobp.compiler.rolling.values import Stack, Values
from autobp.compiler.trace.calls import appended, joined, numbers

__all__ = ["Nested"]

Array = Any


class Nested:
    """The loops of a nest in the making. A list is known by the root of its members."""

    def __init__(self, values: Values, nest: Nest, lists: Lists) -> None:
        self.values = values
        self.nest = nest
        self.lists = lists
        self.stacks: dict[Any, Stack] = {}
        self.versions: dict[Any, Step] = {}  # of lists, around all loops
        self.loops: dict[Node, Scope] = {}  # the outermost
        self.tables: dict[bytes, Step] = {}
        self.scopes: list[Scope] = []
        self.growing: dict[Place, Any] = {}
        self.begins: dict[Any, list[int]] = {}  # what lists begin with
        self.ordinals: dict[Any, Array] = {}  # the index in a list of each operand

    @property
    def start(self) -> int:
        return self.nest.start

    @property
    def stop(self) -> int:
        return self.nest.end

    def make(self) -> None:
        """Make the loops, whose steps are filled in by `finish`, when it is known what is read later."""
        self.make_lists()
        for root, begin in self.begins.items():
            grows = root in self.growing.values()
            pieces = self.values.pieces(begin)
            self.versions[root] = self.list_of(pieces, root, grows)
        node = self.nest.root
        self.loops[node] = scope = Scope(self, node, None)
        scope.make()

    def make_lists(self) -> None:
        values, nest = self.values, self.nest
        self.growing = {place: self.lists.root(place) for place in nest.read}
        self.begins = {root: [] for root in self.growing.values()}
        for number in np.unique(np.concatenate([*nest.others, np.zeros(0, np.int64)])).tolist():
            self.begins.setdefault(self.lists.root(values.member(number)), []).append(number)
        size = len(values.table.steps) + len(values.table.outside)
        for root, begin in self.begins.items():
            begin.sort(key=values.rank)
            places = [place.positions for place, r in self.growing.items() if r is root]
            grown = np.sort(np.concatenate([*places, np.zeros(0, np.int64)]))
            ordinals = np.full(size, -1, np.int64)
            ordinals[begin] = np.arange(len(begin))
            ordinals[grown] = len(begin) + np.arange(len(grown))
            self.ordinals[root] = ordinals

    def size(self, root: Any) -> int:
        return int((self.ordinals[root] >= 0).sum())

    def list_of(self, pieces: list[Any], root: Any, grows: bool) -> Step:
        if len(pieces) == 1 and isinstance(pieces[0], Step) and not grows:
            return pieces[0]
        begin = self.begins[root]
        some = begin[0] if begin else int(np.argmax(self.ordinals[root] >= 0))
        dtype = form_of(self.values.old_operand(some))[1]
        return self.add(Step(joined, tuple(pieces), {}, (len(begin),), dtype, list))

    def add(self, step: Step) -> Step:
        user = self.values.user
        step.scope, step.phase = user.scope, user.phase
        self.values.steps.append(step)
        return step

    # ── around the outermost loop ─────────────────────────────────────────────────────────────────

    def version(self, root: Any) -> Step:
        return self.versions[root]

    def brought(self, x: Step) -> Step:
        return x

    def integers_of(self, values: Array) -> int:
        return int(values[0])

    def slice(self, x: Step, firsts: Array, counts: Array, stride: int) -> Step:
        return self.values.slice(x, int(firsts[0]), stride, int(counts[0]))

    def range(self, firsts: Array, counts: Array, stride: int) -> Any:
        first = int(firsts[0])
        return range(first, first + stride * int(counts[0]), stride)

    def table(self, values: Array) -> Step:
        """Whole numbers as a list."""
        key = values.tobytes()
        if key not in self.tables:
            table = constant_step(values)
            form = values.shape, values.dtype, list
            self.tables[key] = self.add(Step(numbers, (table,), {}, *form))
        return self.tables[key]

    # ── as a loop in the place of steps ───────────────────────────────────────────────────────────

    def member(self, number: int) -> Any:
        return self.nest.place(number)

    def stack(self, number: int) -> tuple[Stack, int] | None:
        """The list that a value is in, and its index there."""
        place = self.nest.place(number)
        root = self.growing.get(place) if place else None
        if root is None:
            return None
        if root not in self.stacks:
            self.stacks[root] = Stack(self.versions[root])
        return self.stacks[root], int(self.ordinals[root][number])

    def end(self, number: int) -> Step | None:
        """What the loops have made at last."""
        place = self.nest.place(number)
        if place is None or place.positions[-1] != number:
            return None
        return self.loops[self.nest.root].end(place)

    def finish(self) -> None:
        for scope in self.scopes:
            scope.finish()


class Scope:
    """The body of one loop, and what is known in it."""

    def __init__(self, nested: Nested, node: Node, parent: Scope | None) -> None:
        self.nested = nested
        self.node = node
        self.parent = parent
        self.step = Step(None, (), {}, (), None, tuple)
        self.registers: dict[Any, tuple[Step, Any]] = {}
        self.sequences: dict[Any, tuple[Step, Any]] = {}
        self.invariants: dict[Any, tuple[Step, Any]] = {}
        self.steps: list[Step] = []
        self.values: dict[Place, Step] = {}
        self.loops: dict[Node, Scope] = {}
        self.versions: dict[Any, Step] = {}
        self.results: dict[Any, Step] = {}
        self.grown: set[Any] = {
            root for place, root in nested.growing.items() if node.has(place.node)
        }
        nested.scopes.append(self)

    @property
    def around(self) -> Any:
        """Where the loop is."""
        return self.parent or self.nested

    @property
    def steps_around(self) -> list[Step]:
        return self.parent.steps if self.parent else self.nested.values.steps

    def add(self, step: Step) -> Step:
        user = self.nested.values.user
        step.scope, step.phase = user.scope, user.phase
        self.steps.append(step)
        return step

    # ── the body ──────────────────────────────────────────────────────────────────────────────────

    def make(self) -> None:
        for item in self.node.items:
            if isinstance(item, Place):
                self.make_step(item)
            else:
                self.loops[item] = scope = Scope(self.nested, item, self)
                scope.make()
        if self.parent and not self.sequences:
            self.integers_of(np.arange(self.node.total) - self.node.each(self.node.firsts))
        user = self.nested.values.user
        self.step.scope, self.step.phase = user.scope, user.phase
        self.steps_around.append(self.step)
        for root in self.grown:
            version = self.registers["list", root][0]
            self.around.versions[root] = self.result(("list", root), form_of(version))

    def make_step(self, place: Place) -> None:
        table = self.nested.nest.table
        steps = [table.steps[place.positions[i]] for i in (0, len(place.positions) // 2, -1)]
        operands = [self.operand(source) for source in place.sources]
        step = filled(steps[1], iter(operands))
        if len({s.name for s in steps}) > 1:
            step = step.with_(name=None)
        self.steps.append(step)
        self.values[place] = step
        root = self.nested.growing.get(place)
        if root is not None:
            version = self.version(root)
            form = version.shape, version.dtype, list
            self.versions[root] = self.add(Step(appended, (version, step), {}, *form))

    def value(self, place: Place) -> Step:
        """What a step, of the body or of a loop in it, has made last."""
        if place.node is self.node:
            return self.values[place]
        scope = next(s for node, s in self.loops.items() if node.has(place.node))
        return scope.end(place)

    # ── operands ──────────────────────────────────────────────────────────────────────────────────

    def operand(self, source: Source) -> Any:
        if isinstance(source, Now):
            return self.value(source.place)
        if isinstance(source, Same):
            return self.invariant(self.operand_around(source.source))
        if isinstance(source, Before):
            return self.register(source)
        if isinstance(source, Integers):
            return self.integers_of(source.values)
        assert isinstance(source, Listed)
        return self.element(source.numbers)

    def operand_around(self, source: Source) -> Any:
        if isinstance(source, Fixed):
            return self.nested.values.operand(source.number)
        assert self.parent is not None
        return self.parent.operand(source)

    def invariant(self, x: Any) -> Any:
        if not isinstance(x, Step) or x.is_constant:
            return x
        if x not in self.invariants:
            self.invariants[x] = _argument(form_of(x), x.name), x
        return self.invariants[x][0]

    def register(self, source: Before) -> Step:
        key = source.place, source.first
        if key not in self.registers:
            first = self.operand_around(source.first)
            self.registers[key] = self.argument_for(source.place), first
        return self.registers[key][0]

    def argument_for(self, place: Place) -> Step:
        """An argument for what is carried, which has the name that it has in the end, if that is not
        the last of many."""
        *_, before, last = (self.nested.nest.table.steps[i] for i in place.positions[[0, -2, -1]])
        return _argument(form_of(last), last.name if before.name in (None, last.name) else None)

    def element(self, column: Array) -> Any:
        """An element of a list in each iteration."""
        key = column.tobytes()
        if key in self.sequences:
            return self.sequences[key][0]
        node, nested = self.node, self.nested
        root = nested.lists.root(nested.values.member(int(column[0])))
        at = nested.ordinals[root][column]
        form = form_of(nested.values.old_operand(int(column[0])))
        stride = _stride(node, at)
        is_there = root not in nested.growing.values() or (
            self.parent is not None and np.all(column < node.each(node.begins))
        )
        if stride and is_there:
            version = self.around.version(root)
            firsts = at[node.firsts]
            sequence = self.around.slice(version, firsts, node.counts, stride)
            self.sequences[key] = _argument(form, None), sequence
            return self.sequences[key][0]
        index = self.integers_of(at)
        return self.add(Step(operator.getitem, (self.version(root), index), {}, *form))

    def integers_of(self, values: Array) -> Any:
        """Whole numbers in each iteration: one, or an argument."""
        node = self.node
        if np.all(values == values[0]):
            return int(values[0])
        firsts = values[node.firsts]
        if np.array_equal(values, node.each(firsts)):
            return self.invariant(self.around.integers_of(firsts))
        key = "integers", values.tobytes()
        if key not in self.sequences:
            stride = _stride(node, values)
            if stride:
                sequence = self.around.range(firsts, node.counts, stride)
            else:
                whole = self.nested.table(values)
                sequence = self.around.slice(
                    self.around.brought(whole), node.firsts, node.counts, 1
                )
            form = (), np.dtype(int), int
            self.sequences[key] = _argument(form, None), sequence
        return self.sequences[key][0]

    # ── lists ─────────────────────────────────────────────────────────────────────────────────────

    def brought(self, x: Step) -> Step:
        """What is around all loops."""
        return self.invariant(self.around.brought(x))

    def version(self, root: Any) -> Step:
        """A list as it is now."""
        if root not in self.versions:
            version = self.around.version(root)
            if root in self.grown:
                form = (self.nested.size(root),), version.dtype, list
                argument = _argument(form, version.name)
                self.registers["list", root] = argument, version
                self.versions[root] = argument
            else:
                self.versions[root] = self.invariant(version)
        return self.versions[root]

    def slice(self, x: Step, firsts: Array, counts: Array, stride: int) -> Step:
        """A part of a list in each iteration."""
        low = firsts if stride > 0 else firsts + stride * (counts - 1)
        high = firsts + stride * counts if stride > 0 else firsts + 1
        start, stop = self.integers_of(low), self.integers_of(high)
        index = slice(None if type(start) is int and not start else start, stop)
        if abs(stride) > 1:
            index = slice(index.start, index.stop, abs(stride))
        form = (int(counts.max()), *x.shape[1:]), x.dtype, x.kind
        part = self.add(Step(operator.getitem, (x, index), {}, *form))
        if stride < 0:
            part = self.add(Step(operator.getitem, (part, slice(None, None, -1)), {}, *form))
        return part

    def range(self, firsts: Array, counts: Array, stride: int) -> Any:
        ends = firsts + stride * counts
        start, stop = self.integers_of(firsts), self.integers_of(ends)
        args: Any = (start, stop) if stride == 1 else (start, stop, stride)
        args = args[1:] if type(start) is int and not start and stride == 1 else args
        return self.add(Step(range, args, {}, (int(counts.max()),), np.dtype(int), list))

    # ── results ───────────────────────────────────────────────────────────────────────────────────

    def end(self, place: Place) -> Step:
        """What a step has made last when the loop is over, where the loop is."""
        found = (key for key in self.registers if type(key) is tuple and key[0] is place)
        key = next(found, None)
        if key is None:
            key, argument = (place, None), self.argument_for(place)
            self.registers[key] = argument, argument.kind(0)
        return self.result(key, form_of(self.registers[key][0]))

    def result(self, key: Any, form: tuple[Any, ...]) -> Step:
        if key not in self.results:
            index = [*self.registers].index(key)
            made = Step(operator.getitem, (self.step, index), {}, *form)
            made.scope, made.phase = self.step.scope, self.step.phase
            made.name = self.registers[key][0].name
            steps = self.steps_around
            steps.insert(steps.index(self.step) + 1 + len(self.results), made)
            self.results[key] = made
        return self.results[key]

    def finish(self) -> None:
        becomes: list[Step] = []
        done = 0
        while done < len(self.registers):  # inner loops may be asked for more of their results
            root, _ = key = [*self.registers][done]
            becomes.append(self.versions[key[1]] if root == "list" else self.value(root))
            done += 1
        kinds = self.registers, self.sequences, self.invariants
        arguments = [argument for kind in kinds for argument, _ in kind.values()]
        body = Program(arguments, self.steps, (tuple(becomes), ()))
        count = int(self.node.counts.max())
        given = tuple(tuple(x for _, x in kind.values()) for kind in kinds)
        self.step.function, self.step.args = Loop(body, count, bool(self.parent)), given
        self.step.__post_init__()


def _stride(node: Node, values: Array) -> int:
    """By how much values go on from each iteration to the next, if it is always as much."""
    steps = np.unique(values[node.goes_on] - values[node.goes_on - 1])
    return int(steps[0]) if len(steps) == 1 else 0


def _argument(form: tuple[Any, ...], name: str | None) -> Step:
    shape, dtype, kind = form
    return Step(None, (), {}, shape, dtype, kind, name)
