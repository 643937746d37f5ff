"""Groups: a recording of many single numbers, computed as few arrays.

Chains of additions become one sum each, the numbers are sorted by level and operation, and each
group is one call on arrays: its operands are gathered out of the groups before it. Sums of products
whose factors come in rows are products of matrices, however the program was written.

What is made is a function of arrays that is written in primitives, so that it is differentiated,
compiled and read like any other. There are no derivatives here but of gathering, which is linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.compiler.scalars.masks import LOGICAL, Mask
from autobp.operation import MOVE
from autobp.primitive import Array, Primitive, linear
from autobp.rules import arithmetic, costs, reduction
from autobp.tensor import Tensor

__all__ = ["Groups", "Ungrouped", "grouped"]

Indices = Any  # an array of whole numbers

# fmt: off
gather: Primitive = linear(
    lambda x, at: np.take(x, at),
    lambda g, z, x, at: totals(np.reshape(g, -1), at=np.ravel(at), size=x.shape[0]),
    name="gather", cost=MOVE)
totals: Primitive = linear(
    lambda x, at, size: np.bincount(at, weights=x, minlength=size),
    lambda g, z, x, at, size: gather(g, at=at),
    name="totals", cost=costs.reduction((0, 1, 0), (0, 0, 0)))
segments: Primitive = linear(
    lambda x, starts, lengths: np.add.reduceat(x, starts),
    lambda g, z, x, starts, lengths: repeated(g, starts=starts, lengths=lengths),
    name="segments", cost=costs.reduction((0, 1, 0), (0, -1, 0)))
repeated: Primitive = linear(
    lambda x, starts, lengths: np.repeat(x, lengths),
    lambda g, z, x, starts, lengths: segments(g, starts=starts, lengths=lengths),
    name="repeated", cost=MOVE)
# fmt: on

FEW = 16  # numbers: groups are split by where their operands come from if that leaves more in each
NARROW = 8  # numbers in a level: where there are fewer, calls cost more than they save
VARIED, HELD, CONSTANTS = range(3)  # the banks that are there from the start


class Ungrouped(Exception):
    """A recording that is not one of single numbers."""


# ── operands ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Gather:
    """Numbers out of one bank."""

    register: int
    at: Indices | None  # None: all, in order

    def read(self, registers: Sequence[Array]) -> Array:
        return (
            registers[self.register]
            if self.at is None
            else gather(registers[self.register], at=self.at)
        )

    def of(self, at: Indices, size: int) -> Gather:
        """Those of these numbers that are at some places, of which there are `size`."""
        return _gather(self.register, at if self.at is None else self.at[at], size)


@dataclass(frozen=True)
class Fixed:
    """Numbers that are known."""

    value: Array

    def read(self, registers: Sequence[Array]) -> Array:
        return self.value


@dataclass(frozen=True)
class Mixed:
    """Numbers out of several banks: pieces one after the other, and then in another order."""

    pieces: tuple[Gather, ...]
    order: Indices

    def read(self, registers: Sequence[Array]) -> Array:
        pieces = [np.reshape(p.read(registers), -1) for p in self.pieces]
        return gather(np.concatenate(pieces) if len(pieces) > 1 else pieces[0], at=self.order)


Operand = Gather | Fixed | Mixed

# ── groups ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Elementwise:
    """Numbers that one operation makes."""

    primitive: Primitive
    params: dict[str, Any]
    operands: tuple[Operand, ...]

    def computed(self, registers: Sequence[Array]) -> Array:
        return self.primitive(*(o.read(registers) for o in self.operands), **self.params)


@dataclass(frozen=True)
class Product:
    """Sums of products, all pairs of a row of left and a row of right."""

    left: Gather
    right: Gather
    rows: tuple[int, int]
    at: Indices | None  # of the pairs that are wanted; None: all, in order

    def read(self, registers: Sequence[Array]) -> Array:
        left, right = (
            np.reshape(o.read(registers), (n, -1))
            for o, n in zip((self.left, self.right), self.rows, strict=True)
        )
        pairs = left @ right.T
        return pairs if self.at is None else gather(np.reshape(pairs, -1), at=self.at)


@dataclass(frozen=True)
class Rows:
    """Sums of as many terms each."""

    terms: Gather
    count: int  # of terms in each

    def read(self, registers: Sequence[Array]) -> Array:
        return np.sum(np.reshape(self.terms.read(registers), (-1, self.count)), axis=1)


@dataclass(frozen=True)
class Segments:
    """Sums of different numbers of terms."""

    terms: Mixed
    starts: Indices
    lengths: Indices

    def read(self, registers: Sequence[Array]) -> Array:
        return segments(self.terms.read(registers), starts=self.starts, lengths=self.lengths)


@dataclass(frozen=True)
class Sum:
    """Numbers that are sums, of parts that come from different banks."""

    parts: tuple[Any, ...]
    form: tuple[int, ...]  # a matrix if some parts are the same in all of its rows

    def computed(self, registers: Sequence[Array]) -> Array:
        total, *others = (self.formed(part.read(registers)) for part in self.parts)
        for other in others:
            total = total + other
        return np.reshape(total, -1)

    def formed(self, part: Array) -> Array:
        one = np.ndim(part) == 0 or np.shape(part) == self.form or part.size == self.form[-1]
        return part if one else np.reshape(part, self.form)


@dataclass(frozen=True)
class Groups:
    """A program of many numbers, as a function of two arrays: those that vary, in whose derivatives
    one may be interested, and those that are held."""

    groups: tuple[Any, ...]
    constants: Array
    outputs: Operand
    numbers: int  # how many were grouped

    def __call__(self, varied: Array, held: Array) -> Array:
        registers = [varied, held, self.constants]
        for group in self.groups:
            registers.append(group.computed(registers))
        return self.outputs.read(registers)


# ── from a recording ──────────────────────────────────────────────────────────────────────────────


@dataclass
class _Numbered:
    """A recording with a number for each number in it: the inputs, the results, the constants."""

    kinds: list[tuple[Primitive, dict[str, Any]]]
    kind: Indices  # of each result, among the kinds
    first: Indices  # operands of each result
    second: Indices  # the first again if there is no second
    third: Indices  # the first again if there are no three
    arity: Indices
    inputs: int
    constants: Array
    outputs: Indices


def grouped(
    order: Sequence[Tensor],
    places: dict[Tensor, Any],
    varied: int,
    inputs: int,
    outputs: Sequence[Any],
    began: int,
) -> Groups:
    """The groups of a recording. Its inputs have their `places` in two arrays, one after the other,
    of which the first has the length `varied`; it `began` at a time on the clock."""
    return _Grouping(_numbered(order, places, inputs, outputs, began), varied).run()


def _numbered(
    order: Sequence[Tensor], places: dict[Any, Any], inputs: int, outputs: Sequence[Any], began: int
) -> _Numbered:
    kinds: list[tuple[Primitive, dict[str, Any]]] = [(arithmetic.add, {}), (arithmetic.divide, {})]
    plain: dict[Primitive, int] = {arithmetic.add: 0, arithmetic.divide: 1}
    others: dict[Any, int] = {}  # those with parameters
    kind: list[int] = []
    first: list[int] = []
    second: list[int] = []
    third: list[int] = []
    arity: list[int] = []
    columns = kind, first, second, third, arity
    constants: list[float] = []
    n, get = inputs, places.get

    def constant(a: Any) -> int:
        """Its place: from −1 downwards."""
        if isinstance(a, Tensor):
            if a in places or not a.is_leaf or a.born < began:  # an array; from elsewhere
                raise Ungrouped
            a = a.value
        if type(a) not in (float, int, np.float64):
            raise Ungrouped
        constants.append(float(a))
        return -len(constants)

    def added_up(terms: Sequence[int], mean: bool) -> int:
        """The place of what np.sum or np.mean makes of some numbers."""
        nonlocal n
        total = terms[0]
        for term in terms[1:]:
            _extend(columns, (0, total, term, total, 2))
            total, n = n, n + 1
        if mean:
            _extend(columns, (1, total, constant(len(terms)), total, 2))
            total, n = n, n + 1
        return total

    for t in order:
        primitive, params = t.primitive, t.params
        if primitive is None:
            if t not in places:
                raise Ungrouped
            continue
        a, b = t.first, t.second
        if type(t.value) is not float or primitive.form != "elementwise":
            moved = [np.asarray(get(x, -1) if isinstance(x, Tensor) else -1) for x in t.args]
            if any(x.dtype.kind != "i" or (x.size and x.min() < 0) for x in moved):
                raise Ungrouped
            if primitive in (reduction.sum_, reduction.mean_) and type(t.value) is float:
                terms = moved[0].ravel().tolist()
                if not terms:
                    raise Ungrouped
                places[t] = added_up(terms, primitive is reduction.mean_)
            elif primitive.facts.moves:
                there = np.asarray(primitive.function(*moved, **params))
                places[t] = there if there.ndim else int(there)
            else:
                raise Ungrouped
            continue
        c = None
        if type(a) is tuple:
            if len(a) != 3:
                raise Ungrouped
            a, b, c = a
        if isinstance(a, Mask) and primitive not in LOGICAL and (b is None or isinstance(b, Mask)):
            raise Ungrouped
        if params:
            try:
                k = others.setdefault((primitive, *params.items()), len(kinds))
            except TypeError:
                raise Ungrouped from None
        else:
            k = plain.setdefault(primitive, len(kinds))
        if k == len(kinds):
            kinds.append((primitive, params))
        i = get(a) if isinstance(a, Tensor) else None
        first.append(i if type(i) is int else constant(a))
        if b is None:
            second.append(first[-1])
        else:
            i = get(b) if isinstance(b, Tensor) else None
            second.append(i if type(i) is int else constant(b))
        if c is None:
            third.append(first[-1])
        else:
            i = get(c) if isinstance(c, Tensor) else None
            third.append(i if type(i) is int else constant(c))
        arity.append(1 if b is None else 2 if c is None else 3)
        kind.append(k)
        places[t] = n
        n += 1
    ends = [get(y) for y in outputs]
    if any(type(i) is not int for i in ends):
        raise Ungrouped
    lists = (np.array(x, np.intp) for x in (first, second, third, ends))
    one, two, three, out = (np.where(x < 0, n - 1 - x, x) for x in lists)
    return _Numbered(
        kinds,
        np.array(kind, np.intp),
        one,
        two,
        three,
        np.array(arity, np.intp),
        inputs,
        np.array(constants),
        out,
    )


def _extend(lists: Sequence[list[Any]], row: Sequence[Any]) -> None:
    for column, entry in zip(lists, row, strict=True):
        column.append(entry)


class _Grouping:
    """The state of sorting numbers into groups, level by level."""

    def __init__(self, numbered: _Numbered, varied: int) -> None:
        self.it = numbered
        inputs, count = numbered.inputs, len(numbered.kind)
        self.end = inputs + count
        size = self.end + len(numbered.constants)
        self.register = np.full(size, CONSTANTS, np.intp)  # of each number, and its place there
        self.at = np.zeros(size, np.intp)
        self.register[:varied], self.at[:varied] = VARIED, np.arange(varied)
        self.register[varied:inputs], self.at[varied:inputs] = HELD, np.arange(inputs - varied)
        self.at[self.end :] = np.arange(size - self.end)
        self.groups: list[Any] = []
        self.sizes = [varied, inputs - varied, size - self.end]
        self.salt = np.random.default_rng(0).integers(1 << 62, size=1 << 12, dtype=np.uint64) | 1

    def run(self) -> Groups:
        it = self.it
        results = np.arange(it.inputs, self.end)
        within = self.within_chains()
        self.chains(within, results)
        levels = self.levels(within)
        alone = np.flatnonzero(~within)
        order = alone[np.argsort(levels[alone], kind="stable")]
        cuts = np.flatnonzero(np.diff(levels[order])) + 1
        if len(alone) < NARROW * len(cuts):
            raise Ungrouped
        for level in np.split(order, cuts) if len(order) else ():
            self.level(level)
        return Groups(tuple(self.groups), it.constants, self.operand(it.outputs), len(it.kind))

    # ── chains of additions ───────────────────────────────────────────────────────────────────────

    def within_chains(self) -> Any:
        """Which results are additions that only one other addition uses."""
        it, inputs = self.it, self.it.inputs
        ids = np.arange(inputs, self.end)
        two, three = it.arity > 1, it.arity > 2
        edges = np.concatenate([it.first, it.second[two], it.third[three]])
        users = np.concatenate([ids, ids[two], ids[three]])
        uses = np.bincount(np.concatenate([edges, it.outputs]), minlength=len(self.register))
        user = np.zeros(len(self.register), np.intp)
        user[edges] = users
        self.user = user[inputs : self.end] - inputs
        adds = it.kind == 0
        outputs = np.zeros(len(self.register), bool)
        outputs[it.outputs] = True
        once = (uses[inputs : self.end] == 1) & ~outputs[inputs : self.end]
        return adds & once & adds[np.where(once, self.user, 0)]

    def chains(self, within: Any, results: Any) -> None:
        """The terms of each chain, and where those of one begin."""
        it = self.it
        root = np.where(within, self.user, np.arange(len(within)))
        while not np.array_equal(up := root[root], root):
            root = up
        adds = np.flatnonzero(it.kind == 0)
        terms = np.stack([it.first[adds], it.second[adds]], axis=1).ravel()
        roots = np.repeat(root[adds], 2)
        inner = np.zeros(len(self.register), bool)
        inner[it.inputs : self.end] = within
        nothing = np.zeros(len(self.register), bool)
        nothing[self.end :] = it.constants == 0.0
        some = np.bincount(roots[~inner[terms] & ~nothing[terms]], minlength=len(within)) > 0
        keep = ~inner[terms] & ~(nothing[terms] & some[roots])
        terms, roots = terms[keep], roots[keep]
        order = np.argsort(roots, kind="stable")
        self.terms, roots = terms[order], roots[order]
        self.lengths = np.bincount(roots, minlength=len(within))
        self.starts = np.cumsum(self.lengths) - self.lengths

    def levels(self, within: Any) -> Any:
        """How many groups each result has to wait for."""
        it = self.it
        level = [0] * len(self.register)
        steps = (~within).astype(int).tolist()
        n = it.inputs
        lists = (x.tolist() for x in (it.first, it.second, it.third))
        for i, j, k, step in zip(*lists, steps, strict=True):
            a, b, c = level[i], level[j], level[k]
            a = a if a > b else b
            level[n] = (a if a > c else c) + step
            n += 1
        return np.array(level[it.inputs : self.end], np.intp)

    # ── one level ─────────────────────────────────────────────────────────────────────────────────

    def level(self, results: Any) -> None:
        it = self.it
        sums = it.kind[results] == 0
        made: list[tuple[Any, Any]] = []
        rest = results[~sums]
        if len(rest):
            kinds = it.kind[rest]
            for k in np.unique(kinds).tolist():
                made += self.alike(rest[kinds == k], *it.kinds[k])
        if sums.any():
            made += self.sums(results[sums])
        for members, group in made:  # only now: operands are in levels before
            self.register[it.inputs + members] = len(self.sizes)
            self.at[it.inputs + members] = np.arange(len(members))
            self.sizes.append(len(members))
            self.groups.append(group)

    def alike(self, members: Any, primitive: Primitive, params: dict[str, Any]) -> Any:
        """Groups of results of one operation."""
        it = self.it
        columns = (it.first, it.second, it.third)[: it.arity[members[0]]]
        key = np.zeros(len(members), np.intp)
        for column in columns:
            key = key * len(self.sizes) + self.register[column[members]]
        for part in _split(members, key):
            operands = tuple(self.operand(column[part]) for column in columns)
            yield part, Elementwise(primitive, params, operands)

    def sums(self, members: Any) -> Any:
        """Groups of sums, those together that have as many terms from each bank."""
        lengths, starts = self.lengths[members], self.starts[members]
        at = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
        salted = self.salt[self.register[self.terms[at]] % len(self.salt)]
        key = np.add.reduceat(salted, np.cumsum(lengths) - lengths)
        for part in _split(members, key):
            count = self.lengths[part[0]]
            if np.all(self.lengths[part] == count):
                terms = self.terms[self.starts[part][:, None] + np.arange(count)]
                registers = self.register[terms]
                order = np.argsort(registers, axis=1, kind="stable")
                registers = np.take_along_axis(registers, order, 1)
                if np.all(registers == registers[0]):
                    yield part, self.sum(np.take_along_axis(terms, order, 1), registers[0])
                    continue
            lengths = self.lengths[part]
            ends = np.cumsum(lengths)
            at = np.repeat(self.starts[part] - ends + lengths, lengths) + np.arange(ends[-1])
            terms = Segments(self.mixed(self.terms[at]), ends - lengths, lengths)
            yield part, Sum((terms,), (len(part),))

    def sum(self, terms: Any, registers: Any) -> Sum:
        """Sums with one row of terms each, sorted by their banks."""
        cuts = np.flatnonzero(np.diff(registers)) + 1
        parts: list[Any] = []
        for columns in np.split(terms, cuts, axis=1):
            register = self.register[columns[0, 0]]
            at, count = self.at[columns], columns.shape[1]
            if register == CONSTANTS:
                parts.append(_fixed(self.it.constants[at].sum(axis=1)))
            elif count == 1:
                parts.append(_gather(register, at[:, 0], self.sizes[register]))
            else:
                terms = _gather(register, at.ravel(), self.sizes[register])
                parts.append(self.product(register, at) or Rows(terms, count))
        form: tuple[int, ...] = (len(terms),) if not parts else (len(at),)
        whole = [p for p in parts if isinstance(p, Product) and p.at is None]
        if whole:
            form = whole[0].rows
            parts = [_repeating(p, form) for p in parts]
        parts.sort(key=lambda part: not isinstance(part, Product))
        return Sum(tuple(parts), form)

    def product(self, register: int, at: Any) -> Product | None:
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
        return Product(
            _gather(x, left.ravel(), self.sizes[x]),
            _gather(y, right.ravel(), self.sizes[y]),
            (n, m),
            None if _is_all(i * m + j, n * m) else i * m + j,
        )

    def distinct(self, rows: Any) -> tuple[Any, Any]:
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

    def operand(self, ids: Any) -> Operand:
        registers = self.register[ids]
        if not len(ids) or np.any(registers != registers[0]):
            return self.mixed(ids)
        register = int(registers[0])
        if register == CONSTANTS:
            return _fixed(self.it.constants[self.at[ids]])
        return _gather(register, self.at[ids], self.sizes[register])

    def mixed(self, ids: Any) -> Mixed:
        registers = self.register[ids]
        order = np.argsort(registers, kind="stable")
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        pieces = [
            _gather(
                int(self.register[piece[0]]), self.at[piece], self.sizes[self.register[piece[0]]]
            )
            for piece in np.split(ids[order], np.flatnonzero(np.diff(registers[order])) + 1)
            if len(piece)
        ]
        return Mixed(tuple(pieces), places)


def _split(members: Any, key: Any) -> Any:
    """Members with the same key together, or all if that would leave too few."""
    keys, which = np.unique(key, return_inverse=True)
    if len(keys) == 1 or len(members) < FEW * len(keys):
        return [members]
    order = np.argsort(which, kind="stable")
    return np.split(members[order], np.flatnonzero(np.diff(which[order])) + 1)


def _is_all(at: Any, size: int) -> bool:
    return len(at) == size and np.array_equal(at, np.arange(size))


def _gather(register: int, at: Any, size: int) -> Gather:
    return Gather(int(register), None if _is_all(at, size) else at)


def _fixed(values: Any) -> Fixed:
    return Fixed(float(values[0]) if np.all(values == values[0]) else values)


def _repeating(part: Any, form: tuple[int, ...]) -> Any:
    """A part of a sum of the form of a matrix, once if it is the same in all rows."""
    if not isinstance(part, Gather) or part.at is None or form[0] == 1:
        return part
    rows = part.at.reshape(form)
    return Gather(part.register, rows[0]) if np.all(rows == rows[0]) else part
