"""Groups: many single numbers, computed as few arrays.

Each group is one call on arrays, which are called registers. Its operands are gathered out of the
registers before it, and its result is the next register. Sums of products whose factors come in rows
are products of matrices.

The whole is a function of two arrays that is written in primitives, so that it is differentiated,
compiled and read like any other. There are no derivatives here but of gathering, which is linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.operation import MOVE
from autobp.primitive import Array, Primitive, linear
from autobp.rules import costs

__all__ = [
    "Elementwise",
    "Fixed",
    "Gather",
    "Groups",
    "Mixed",
    "Product",
    "Rows",
    "Segments",
    "Sum",
]

Indices = Any  # an array of whole numbers
Registers = Sequence[Array]

VARIED, HELD, CONSTANTS = range(3)  # the registers that are there from the start


def _segment_sums(x: Array, starts: Indices, lengths: Indices) -> Array:
    return np.add.reduceat(x, starts)


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
    _segment_sums,
    lambda g, z, x, starts, lengths: repeated(g, starts=starts, lengths=lengths),
    name="segments", cost=costs.reduction((0, 1, 0), (0, -1, 0)))
repeated: Primitive = linear(
    lambda x, starts, lengths: np.repeat(x, lengths),
    lambda g, z, x, starts, lengths: segments(g, starts=starts, lengths=lengths),
    name="repeated", cost=MOVE)
# fmt: on


# ── operands ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Gather:
    """Numbers out of one register."""

    register: int
    at: Indices | None  # None: all, in order

    def read(self, registers: Registers) -> Array:
        register = registers[self.register]
        return register if self.at is None else gather(register, at=self.at)


@dataclass(frozen=True)
class Fixed:
    """Numbers that are known."""

    value: Array

    def read(self, registers: Registers) -> Array:
        return self.value


@dataclass(frozen=True)
class Mixed:
    """Numbers out of several registers: pieces one after the other, and then in another order."""

    pieces: tuple[Gather, ...]
    order: Indices

    def read(self, registers: Registers) -> Array:
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

    def computed(self, registers: Registers) -> Array:
        return self.primitive(*(o.read(registers) for o in self.operands), **self.params)


@dataclass(frozen=True)
class Sum:
    """Numbers that are sums, of parts that come from different registers."""

    parts: tuple[Any, ...]
    shape: tuple[int, ...]  # that of a matrix if some parts are the same in all of its rows

    def computed(self, registers: Registers) -> Array:
        total, *others = (self.shaped(part.read(registers)) for part in self.parts)
        for other in others:
            total = total + other
        return np.reshape(total, -1)

    def shaped(self, part: Array) -> Array:
        fits = np.ndim(part) == 0 or np.shape(part) == self.shape or part.size == self.shape[-1]
        return part if fits else np.reshape(part, self.shape)


@dataclass(frozen=True)
class Product:
    """A part of a sum: sums of products, of all pairs of a row of left and a row of right."""

    left: Gather
    right: Gather
    rows: tuple[int, int]
    at: Indices | None  # of the pairs that are wanted; None: all, in order

    def read(self, registers: Registers) -> Array:
        left = np.reshape(self.left.read(registers), (self.rows[0], -1))
        right = np.reshape(self.right.read(registers), (self.rows[1], -1))
        pairs = left @ right.T
        return pairs if self.at is None else gather(np.reshape(pairs, -1), at=self.at)


@dataclass(frozen=True)
class Rows:
    """A part of a sum: sums of as many terms each."""

    terms: Gather
    count: int  # of terms in each

    def read(self, registers: Registers) -> Array:
        return np.sum(np.reshape(self.terms.read(registers), (-1, self.count)), axis=1)


@dataclass(frozen=True)
class Segments:
    """A part of a sum: sums of different numbers of terms."""

    terms: Mixed
    starts: Indices
    lengths: Indices

    def read(self, registers: Registers) -> Array:
        return segments(self.terms.read(registers), starts=self.starts, lengths=self.lengths)


@dataclass(frozen=True)
class Groups:
    """A program of many numbers, as a function of two arrays: those that vary, in whose derivatives
    one may be interested, and those that are held."""

    groups: tuple[Elementwise | Sum, ...]
    constants: Array
    outputs: Operand
    size: int  # how many numbers are computed

    def __call__(self, varied: Array, held: Array) -> Array:
        registers = [varied, held, self.constants]
        for group in self.groups:
            registers.append(group.computed(registers))
        return self.outputs.read(registers)
