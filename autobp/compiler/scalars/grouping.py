"""Grouping: a recording of many single numbers becomes groups, each of which is one call.

Chains of additions become one sum each, the numbers are sorted by level and operation, and numbers of
one level and operation are a group. Sums of products whose factors come in rows become products of
matrices, however the program was written.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from autobp.compiler.program import Step
from autobp.compiler.scalars.groups import (
    CONSTANTS,
    HELD,
    VARIED,
    Elementwise,
    Fixed,
    Gather,
    Groups,
    Mixed,
    Operand,
    Product,
    Rows,
    Segments,
    Sum,
)
from autobp.compiler.scalars.numbering import ADD, Ids, Numbering, Ungrouped
from autobp.primitive import Primitive
from autobp.rules import arithmetic

__all__ = ["MANY", "Width", "are_small", "grouped"]

MANY = 1000  # single numbers in a function, from which on they are grouped
NARROW = 8  # numbers in a level: where there are fewer, calls cost more than they save
LATE = 4000  # numbers, after which a trace is not given up
GROUPS = 10  # so many cost little whatever is in them
EACH = 40  # numbers in a group: fewer take less time one after the other, in loops
_ADDS = (operator.add, np.add)
FEW = 16  # numbers: groups are split by where their operands come from if that leaves more in each


class Width:
    """Whether the single numbers of a trace are computed side by side, so that groups of them are worth
    a call each, rather than one after the other. A chain of additions counts as one sum. A trace that
    grows is asked about again: what was looked at is not looked at a second time. If the groups were
    many and small, it is traced on, since loops may do better, and to its end if it is long by now;
    `can_group` says that groups are possible."""

    can_group: bool = False

    def __init__(self) -> None:
        self.steps: Sequence[Step] = ()
        self.begin(())

    def begin(self, steps: Sequence[Step]) -> None:
        self.steps, self.seen = steps, 0
        self.levels: dict[Step, int] = {}
        self.terms: dict[Step, int] = {}  # of sums, the level of what they add up
        self.count = self.deepest = 0
        self.is_late = False

    def __call__(self, steps: Sequence[Step]) -> bool:
        if steps is not self.steps or len(steps) < self.seen:  # another trace, or it was cut
            self.begin(steps)
        levels, terms, count, deepest = self.levels, self.terms, self.count, self.deepest
        get = levels.get
        for step in steps[self.seen :]:
            operands = step.operands
            if not operands:
                continue
            if step.shape:  # an array: what is computed from it waits for what it is made of
                levels[step] = max([get(s, 0) for s in operands])
                continue
            if step.function is float:
                (x,) = operands
                levels[step] = get(x, 0)
                if x in terms:
                    terms[step] = terms[x]
                continue
            if step.function in _ADDS:
                below = terms[step] = max([terms.get(s, get(s, 0)) for s in operands])
                count += terms.keys().isdisjoint(operands)
            else:
                below = 0
                for s in operands:  # most steps: a list of the levels would take twice as long
                    if (level := get(s, 0)) > below:
                        below = level
                count += 1
            levels[step] = below + 1
            deepest = max(deepest, below + 1)
        self.seen, self.count, self.deepest = len(steps), count, deepest
        self.can_group = count >= NARROW * deepest
        self.is_late = self.is_late or (self.can_group and count > LATE)
        return self.can_group and not self.is_late and not are_small(deepest, count)


def are_small(groups: int, size: int) -> bool:
    """Whether groups, with so many numbers in all, are many and small."""
    return groups > GROUPS and size < EACH * groups


def grouped(numbering: Numbering, varied: int) -> Groups:
    """The groups of a recording, of whose inputs the first `varied` are those that vary."""
    return _Grouping(numbering, varied).run()


class _Grouping:
    """The state of sorting numbers into groups, level by level."""

    def __init__(self, numbering: Numbering, varied: int) -> None:
        self.it = numbering
        inputs, count = numbering.inputs, len(numbering.kind)
        self.end = inputs + count
        size = self.end + len(numbering.constants)
        self.register = np.full(size, CONSTANTS, np.intp)  # of each number, and its place there
        self.at = np.zeros(size, np.intp)
        self.register[:varied], self.at[:varied] = VARIED, np.arange(varied)
        self.register[varied:inputs], self.at[varied:inputs] = HELD, np.arange(inputs - varied)
        self.at[self.end :] = np.arange(size - self.end)
        self.groups: list[Elementwise | Sum] = []
        self.sizes = [varied, inputs - varied, size - self.end]  # of the registers
        self.salt = np.random.default_rng(0).integers(1 << 62, size=1 << 12, dtype=np.uint64) | 1

    def run(self) -> Groups:
        inner = self.inner_additions()
        self.collect_terms(inner)
        levels = self.levels(inner)
        others = np.flatnonzero(~inner)
        order = others[np.argsort(levels[others], kind="stable")]
        cuts = np.flatnonzero(np.diff(levels[order])) + 1
        if len(others) < NARROW * len(cuts):
            raise Ungrouped
        for level in np.split(order, cuts) if len(order) else ():
            self.group(level)
        outputs = self.operand(self.it.outputs)
        return Groups(tuple(self.groups), self.it.constants, outputs, len(self.it.kind))

    # ── chains of additions ───────────────────────────────────────────────────────────────────────

    def inner_additions(self) -> Ids:
        """Which results are additions that only one other addition uses."""
        it, results = self.it, slice(self.it.inputs, self.end)
        used = np.arange(3) < it.arity[:, None]
        operands, users = it.operands[used], np.repeat(np.arange(len(it.kind)), it.arity)
        uses = np.bincount(operands, minlength=len(self.register))
        uses[it.outputs] += 2  # which are read from outside, too
        user = np.zeros(len(self.register), np.intp)
        user[operands] = users
        self.user = user[results]
        adds, once = it.kind == ADD, uses[results] == 1
        return adds & once & adds[np.where(once, self.user, 0)]

    def collect_terms(self, inner: Ids) -> None:
        """The terms of each chain of additions, and where those of one begin."""
        it = self.it
        root = np.where(inner, self.user, np.arange(len(inner)))
        while not np.array_equal(up := root[root], root):
            root = up
        adds = np.flatnonzero(it.kind == ADD)
        terms, roots = it.operands[adds, :2].ravel(), np.repeat(root[adds], 2)
        is_inner, is_zero = np.zeros((2, len(self.register)), bool)
        is_inner[it.inputs : self.end] = inner
        is_zero[self.end :] = it.constants == 0.0
        others = np.bincount(roots[~is_inner[terms] & ~is_zero[terms]], minlength=len(inner)) > 0
        keep = ~is_inner[terms] & ~(is_zero[terms] & others[roots])
        terms, roots = terms[keep], roots[keep]
        self.terms = terms[np.argsort(roots, kind="stable")]
        self.lengths = np.bincount(roots, minlength=len(inner))
        self.starts = np.cumsum(self.lengths) - self.lengths

    def levels(self, inner: Ids) -> Ids:
        """How many groups each result has to wait for."""
        level = [0] * len(self.register)
        steps = (~inner).astype(int).tolist()
        n = self.it.inputs
        for (i, j, k), step in zip(self.it.operands.tolist(), steps, strict=True):
            a, b, c = level[i], level[j], level[k]
            a = a if a > b else b
            level[n] = (a if a > c else c) + step
            n += 1
        return np.array(level[self.it.inputs : self.end], np.intp)

    # ── one level ─────────────────────────────────────────────────────────────────────────────────

    def group(self, level: Ids) -> None:
        """Make the groups of one level. Their results become registers only when all are made, since
        operands are in levels before."""
        it, kinds = self.it, self.it.kind[level]
        made: list[tuple[Ids, Elementwise | Sum]] = []
        for kind in np.unique(kinds[kinds != ADD]).tolist():
            made += self.elementwise(level[kinds == kind], *it.kinds[kind])
        if np.any(kinds == ADD):
            made += self.sums(level[kinds == ADD])
        for members, group in made:
            self.register[it.inputs + members] = len(self.sizes)
            self.at[it.inputs + members] = np.arange(len(members))
            self.sizes.append(len(members))
            self.groups.append(group)

    def elementwise(
        self, members: Ids, primitive: Primitive, params: dict[str, Any]
    ) -> Iterator[tuple[Ids, Elementwise]]:
        """Groups of results of one operation."""
        operands = self.it.operands[:, : self.it.arity[members[0]]]
        key = np.zeros(len(members), np.intp)
        for column in operands.T:
            key = key * len(self.sizes) + self.register[column[members]]
        for part in _split(members, key):
            columns = tuple(self.operand(column[part]) for column in operands.T)
            yield part, Elementwise(primitive, params, columns)

    def sums(self, members: Ids) -> Iterator[tuple[Ids, Sum]]:
        """Groups of sums, those together that have as many terms from each register."""
        at, starts, _ = self.terms_of(members)
        salted = self.salt[self.register[self.terms[at]] % len(self.salt)]
        for part in _split(members, np.add.reduceat(salted, starts)):
            at, starts, lengths = self.terms_of(part)
            terms = self.terms[at]
            if np.all(lengths == lengths[0]):
                rows = terms.reshape(len(part), -1)
                order = np.argsort(self.register[rows], axis=1, kind="stable")
                rows = np.take_along_axis(rows, order, 1)
                registers = self.register[rows]
                if np.all(registers == registers[0]):
                    yield part, self.sum(rows, registers[0])
                    continue
            yield part, Sum((Segments(self.mixed(terms), starts, lengths),), (len(part),))

    def terms_of(self, members: Ids) -> tuple[Ids, Ids, Ids]:
        """Where the terms of some sums are, one sum after the other, where each begins among those,
        and how many there are of each."""
        lengths = self.lengths[members]
        starts = np.cumsum(lengths) - lengths
        return (
            np.repeat(self.starts[members] - starts, lengths) + np.arange(lengths.sum()),
            starts,
            lengths,
        )

    def sum(self, terms: Ids, registers: Ids) -> Sum:
        """Sums with one row of terms each, sorted by their registers."""
        parts: list[Any] = []
        for columns in np.split(terms, np.flatnonzero(np.diff(registers)) + 1, axis=1):
            register = int(self.register[columns[0, 0]])
            at, count = self.at[columns], columns.shape[1]
            if register == CONSTANTS:
                parts.append(_fixed(self.it.constants[at].sum(axis=1)))
            elif count == 1:
                parts.append(self.gather(register, at[:, 0]))
            else:
                rows = Rows(self.gather(register, at.ravel()), count)
                parts.append(self.product(register, at) or rows)
        shape: tuple[int, ...] = (len(terms),)
        whole = [p for p in parts if isinstance(p, Product) and p.at is None]
        if whole:
            shape = whole[0].rows
            parts = [_repeating(p, shape) for p in parts]
        parts.sort(key=lambda part: not isinstance(part, Product))
        return Sum(tuple(parts), shape)

    def product(self, register: int, at: Ids) -> Product | None:
        """Sums of products, if the factors are rows that come again and again."""
        group = self.groups[register - CONSTANTS - 1] if register > CONSTANTS else None
        if not isinstance(group, Elementwise) or group.primitive is not arithmetic.multiply:
            return None
        factors = [o for o in group.operands if isinstance(o, Gather)]
        if len(factors) < 2:
            return None
        (left, i), (right, j) = (self.distinct(at if o.at is None else o.at[at]) for o in factors)
        n, m = len(left), len(right)
        if n * m > 2 * len(at):
            return None
        x, y = factors[0].register, factors[1].register
        if np.array_equal(j * n + i, np.arange(n * m)):
            left, right, i, j, n, m, x, y = right, left, j, i, m, n, y, x
        pairs = None if _is_all(i * m + j, n * m) else i * m + j
        return Product(self.gather(x, left.ravel()), self.gather(y, right.ravel()), (n, m), pairs)

    def distinct(self, rows: Ids) -> tuple[Ids, Ids]:
        """The different rows, in the order in which they come, and which of them each one is."""
        odd = np.arange(1, 2 * rows.shape[1], 2).astype(np.uint64)
        salt = np.resize(self.salt, rows.shape[1]) * odd
        key = (rows.astype(np.uint64) * salt).sum(axis=1)
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        which, found = rank[inverse], rows[first[order]]
        if not np.array_equal(found[which], rows):
            return rows, np.arange(len(rows))
        return found, which

    # ── operands ──────────────────────────────────────────────────────────────────────────────────

    def operand(self, ids: Ids) -> Operand:
        registers = self.register[ids]
        if not len(ids) or np.any(registers != registers[0]):
            return self.mixed(ids)
        if registers[0] == CONSTANTS:
            return _fixed(self.it.constants[self.at[ids]])
        return self.gather(registers[0], self.at[ids])

    def mixed(self, ids: Ids) -> Mixed:
        order = np.argsort(self.register[ids], kind="stable")
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        ids = ids[order]
        pieces = np.split(ids, np.flatnonzero(np.diff(self.register[ids])) + 1)
        return Mixed(
            tuple(self.gather(self.register[p[0]], self.at[p]) for p in pieces if len(p)), places
        )

    def gather(self, register: Any, at: Ids) -> Gather:
        return Gather(int(register), None if _is_all(at, self.sizes[register]) else at)


def _split(members: Ids, key: Ids) -> list[Ids]:
    """Members with the same key together, or all if that would leave too few."""
    keys, which = np.unique(key, return_inverse=True)
    if len(keys) == 1 or len(members) < FEW * len(keys):
        return [members]
    order = np.argsort(which, kind="stable")
    return np.split(members[order], np.flatnonzero(np.diff(which[order])) + 1)


def _is_all(at: Ids, size: int) -> bool:
    return len(at) == size and np.array_equal(at, np.arange(size))


def _fixed(values: Ids) -> Fixed:
    return Fixed(float(values[0]) if np.all(values == values[0]) else values)


def _repeating(part: Any, shape: tuple[int, ...]) -> Any:
    """A part of a sum in the shape of a matrix, once if it is the same in all rows."""
    if not isinstance(part, Gather) or part.at is None or shape[0] == 1:
        return part
    rows = part.at.reshape(shape)
    return Gather(part.register, rows[0]) if np.all(rows == rows[0]) else part
