"""Sparse Jacobians and Hessians: the entries that can be different from 0, from few sweeps.

The first call finds the pattern (`sparsity`) and colours it (`colouring`): columns of one colour are
computed by one forward sweep, or rows by one reverse sweep, whichever takes less work. This plan is
kept for the calls that follow, as long as they record the same structure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.calculus import zeros
from autobp.colouring import coloured_columns, coloured_symmetrically
from autobp.context import tracing
from autobp.dag import Recording
from autobp.directions import Seeds, pulled_all, pushed_all
from autobp.forward import in_order, sweep
from autobp.primitive import Variable, constant
from autobp.sparsity import Entries, Structure, detected, ordered
from autobp.tensor import Tensor

#: Bytes of the directions of all sweeps that a plan keeps for the calls that follow.
_KEPT = 1 << 20

__all__ = ["PatternError", "Plan", "SparseDerivative", "Triplets"]


class PatternError(ValueError):
    """A pattern of sparsity misses derivatives that are not 0."""


@dataclass(frozen=True, eq=False)
class Triplets:
    """A sparse matrix without SciPy: the rows, the columns and the values of its entries.

    >>> import numpy as np
    >>> from autobp import Triplets
    >>> Triplets(np.array([0, 1]), np.array([2, 0]), np.array([5.0, 6.0]), (2, 3)).toarray()
    array([[0., 0., 5.],
           [6., 0., 0.]])
    """

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]

    @property
    def nnz(self) -> int:
        """The number of its entries."""
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.toarray(), dtype)

    def toarray(self) -> np.ndarray:
        """The matrix with its zeros; entries that are given twice are added up."""
        dense = np.zeros(self.shape, self.values.dtype)
        np.add.at(dense, (self.rows, self.columns), self.values)
        return dense


@dataclass(frozen=True)
class _Block:
    """The derivatives of one output by one input."""

    chosen: Any  # of all entries
    rows: np.ndarray
    columns: np.ndarray
    indices: np.ndarray  # the columns, as SciPy takes them
    starts: np.ndarray  # of each row among the entries, as SciPy takes them
    shape: tuple[int, int]
    dtype: Any

    def matrix(self, values: np.ndarray) -> Any:
        mine = values[self.chosen].astype(self.dtype)
        try:
            from scipy.sparse import csr_array  # late: an extra
        except ModuleNotFoundError:
            return Triplets(self.rows.copy(), self.columns.copy(), mine, self.shape)
        if mine.dtype == np.float16:  # of which SciPy has no sparse matrices
            mine = mine.astype(np.float32)
        return csr_array((mine, self.indices.copy(), self.starts.copy()), shape=self.shape)


@dataclass(frozen=True)
class Plan:
    """How to compute the entries of a matrix by few sweeps."""

    structure: Structure
    entries: Entries
    forward: bool
    colours: np.ndarray  # of the columns in forward mode, of the rows in reverse mode
    places: np.ndarray  # of the entries among the results of the sweeps, a row for each colour
    blocks: list[list[_Block]]
    units: Seeds

    @classmethod
    def made(
        cls,
        traced: Recording,
        order: Sequence[Tensor],
        entries: Entries,
        forward: bool | Callable[[Sequence[int], Sequence[int]], bool],
        symmetric: bool = False,
    ) -> Plan:
        """The plan for a pattern. Which mode to take may depend on the numbers of sweeps that forward
        and reverse mode need."""
        rows, columns, shape = entries
        if symmetric:
            colours, forward = coloured_symmetrically(entries), True
            count = _number(colours)
            meet, often = np.unique(rows * count + colours[columns], return_counts=True)
            rows, columns = np.minimum(rows, columns), np.maximum(rows, columns)
            alone = often[np.searchsorted(meet, rows * count + colours[columns])] == 1
            rows, columns = np.where(alone, rows, columns), np.where(alone, columns, rows)
        elif callable(forward):
            both = coloured_columns(entries), coloured_columns(entries.transposed)
            forward = forward(*([_number(colours)] for colours in both))
            colours = both[0 if forward else 1]
        else:
            colours = coloured_columns(entries if forward else entries.transposed)
        place, colour = (rows, colours[columns]) if forward else (columns, colours[rows])
        places = colour * shape[0 if forward else 1] + place
        blocks = _blocks(traced, entries, forward)
        ends = [x.value for x in traced.inputs] if forward else traced.values
        units = _seeds(colours, ends)
        return cls(Structure(traced, order), entries, forward, colours, places, blocks, units)

    @property
    def count(self) -> int:
        """How many directions are swept."""
        return _number(self.colours)

    def swept(
        self,
        traced: Recording,
        order: Sequence[Tensor],
        start: int,
        stop: int,
        chunk: int | None = None,
    ) -> np.ndarray:
        """The results of the sweeps for some of the colours, a row for each."""
        seeds = lambda i, j: self.units(start + i, start + j)
        found = (pushed_all if self.forward else pulled_all)(
            traced, order, seeds, stop - start, chunk
        )
        rows = [np.reshape(constant(y), (stop - start, -1)) for y in found]
        return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)

    def values(self, traced: Recording, order: Sequence[Tensor], chunk: int | None) -> np.ndarray:
        """The values of the entries."""
        if not self.count:
            return np.zeros(0)
        return self.swept(traced, order, 0, self.count, chunk).ravel()[self.places]


def _number(colours: np.ndarray) -> int:
    return int(colours.max(initial=-1)) + 1


def _seeds(colours: np.ndarray, ends: Sequence[Any]) -> Seeds:
    """For each colour the sum of the units that have it. They are made once, unless they are large."""
    shapes = [(np.shape(x), floating_dtype(x)) for x in ends]

    def seeds(start: int, stop: int) -> list[np.ndarray]:
        found, first = [], 0
        for shape, dtype in shapes:
            size = math.prod(shape)
            colour = colours[first : first + size]
            place = np.flatnonzero((colour >= start) & (colour < stop))
            mine = np.zeros((stop - start, size), dtype)
            mine[colour[place] - start, place] = 1
            found.append(mine.reshape(stop - start, *shape))
            first += size
        return found

    count = _number(colours)
    if count * sum(math.prod(shape) * dtype.itemsize for shape, dtype in shapes) > _KEPT:
        return seeds
    whole = seeds(0, count)
    for x in whole:
        x.flags.writeable = False
    return lambda start, stop: [x[start:stop] for x in whole]


class SparseDerivative:
    """The Jacobian of recordings of one function, with the plan for the structure that was recorded
    last."""

    def __init__(self, who: str, pattern: Any, symmetric: bool) -> None:
        self.who = who
        self.given: Entries | None = None if pattern is True else _given(who, pattern)
        self.symmetric = symmetric
        self.plan: Plan | None = None

    @classmethod
    def asked(cls, who: str, sparse: Any, symmetric: bool) -> SparseDerivative | None:
        """What the argument `sparse=` asks for: none if it is False."""
        if isinstance(sparse, bool | np.bool_):
            return cls(who, True, symmetric) if sparse else None
        return cls(who, sparse, symmetric)

    def __call__(
        self,
        traced: Recording,
        order: Sequence[Tensor],
        chunk: int | None,
        is_cheaper: Callable[[Sequence[int], Sequence[int]], bool],
    ) -> list[list[Any]]:
        """The blocks: for each output a row of matrices, one for each input. `is_cheaper` tells whether
        so many forward sweeps are less work than so many reverse sweeps."""
        self._check_plain(traced)
        plan = self.plan
        new = plan is None or not plan.structure.is_that_of(traced, order)
        if plan is None or new:
            entries = self._entries(traced, order)
            plan = Plan.made(traced, order, entries, is_cheaper, self.symmetric)
        values = plan.values(traced, order, chunk)
        if new or self.given is not None:
            self._check(traced, plan, values)
        self.plan = plan
        return [[block.matrix(values) for block in row] for row in plan.blocks]

    def _entries(self, traced: Recording, order: Sequence[Tensor]) -> Entries:
        entries = detected(traced, order) if self.given is None else self.given
        shape = tuple(
            sum(math.prod(np.shape(v)) for v in side) for side in (traced.values, traced.inputs)
        )
        if entries.shape != shape:
            raise ValueError(
                f"{self.who}: the pattern has shape {entries.shape}; the matrix of all derivatives has a row"
                f" for each number that the function returns and a column for each that it takes, {shape}"
            )
        return entries.symmetric if self.symmetric else entries

    def _check_plain(self, traced: Recording) -> None:
        trace = tracing.get()
        if trace is not None:
            raise trace.refuse(
                f"{self.who}(sparse=...) in a compiled function: the result would be a sparse matrix, and"
                f" a program computes arrays. Take the dense {self.who}, or compile the function that is"
                " differentiated"
            )
        if any(isinstance(x.value, Variable) for x in traced.inputs):
            raise TypeError(
                f"{self.who}(sparse=...) inside another derivative or vmap, or of Tensors: a sparse matrix"
                f" holds plain numbers. Take the dense {self.who} there; give it x.numpy() instead of a Tensor"
            )
        if any(getattr(y, "requires_grad", isinstance(y, Variable)) for y in traced.values):
            raise TypeError(
                f"{self.who}(sparse=...) of a function that uses Tensors besides its arguments, as a model"
                " does: a sparse matrix holds plain numbers, through which no gradient gets to them. Call it"
                " under `with no_grad():`"
            )

    def _check(self, traced: Recording, plan: Plan, values: np.ndarray) -> None:
        """Compare the product of the matrix and a random vector with a forward sweep."""
        rng = np.random.default_rng(0)
        direction = [
            rng.uniform(0.5, 1.5, np.shape(x)).astype(floating_dtype(x.value))[()]
            for x in traced.inputs
        ]
        tangents: dict[Any, Any] = dict(zip(traced.inputs, direction, strict=True))
        try:
            known = sweep([(t, []) for t, _ in in_order(traced)], tangents)
        except Exception:
            if plan.forward or self.given is not None:
                raise
            return  # a rule of the user's that has no other mode: its results are taken to depend on all
        swept = [
            zeros(constant(v)) if y is None or known.get(y) is None else constant(known[y])
            for y, v in zip(traced.outputs, traced.values, strict=True)
        ]
        expected = _joined(swept)
        rows, columns, shape = plan.entries
        terms = values * _joined(direction)[columns]
        found, scale = (
            np.bincount(rows, weights, minlength=shape[0]).astype(float)
            for weights in (terms, np.abs(terms))
        )
        with np.errstate(all="ignore"):
            precision = max((np.finfo(np.asarray(y).dtype).eps for y in swept), default=0.0)
            scale += np.abs(expected)
            # Of what cancels in the end, the rounding is left that there was on the way.
            passed = np.abs(_joined([constant(p) for t in known.values() for p in _parts(t)]))
            largest = max(np.max(a, initial=0.0, where=np.isfinite(a)) for a in (scale, passed))
            gap = np.abs(found - expected)
            wrong = gap > precision * (1e5 * scale + 1e3 * largest)
        if np.any(wrong):
            row = int(np.argmax(np.where(wrong, gap, -1)))
            raise PatternError(self._said(row, expected[row], found[row]))

    def _said(self, row: int, expected: float, found: float) -> str:
        what = "Hessian" if self.symmetric else "Jacobian"
        pattern = "given" if self.given is not None else "found"
        way_out = (
            "give one that has every entry that can be different from 0, or sparse=True, which finds it"
            if self.given is not None
            else "the rules of an operation do not fit each other, which check_gradients shows"
        )
        if self.symmetric:
            way_out += (
                "; if the second derivatives are not symmetric, as those of rules of your own may be, take"
                " jacobian(grad(f), sparse=True)"
            )
        return (
            f"{self.who}: the pattern that was {pattern} misses derivatives: row {row} of the {what} times a"
            f" vector is {expected:.6g}, and {found:.6g} by the entries of the pattern; {way_out}"
        )


def _blocks(traced: Recording, entries: Entries, forward: bool) -> list[list[_Block]]:
    """The entries by output and input."""
    tops, lefts = (
        np.cumsum([0, *(math.prod(np.shape(v)) for v in side)])
        for side in (traced.values, traced.inputs)
    )
    blocks = []
    for value, top, bottom in zip(traced.values, tops, tops[1:], strict=False):
        row = []
        for x, left, right in zip(traced.inputs, lefts, lefts[1:], strict=False):
            inside = (entries.rows >= top) & (entries.rows < bottom)
            inside &= (entries.columns >= left) & (entries.columns < right)
            chosen: Any = slice(None) if inside.all() else np.flatnonzero(inside)
            rows, columns = entries.rows[chosen] - top, entries.columns[chosen] - left
            starts = np.searchsorted(rows, np.arange(bottom - top + 1))
            small = max(len(rows), right - left) <= np.iinfo(np.int32).max
            index = np.int32 if small else np.int64  # SciPy would look for the largest at each call
            row.append(
                _Block(
                    chosen,
                    rows,
                    columns,
                    columns.astype(index),
                    starts.astype(index),
                    (int(bottom - top), int(right - left)),
                    floating_dtype(value if forward else x.value),
                )
            )
        blocks.append(row)
    return blocks


def _given(who: str, pattern: Any) -> Entries:
    """A pattern of the user's: a matrix whose entries are where derivatives may be."""
    if isinstance(pattern, Triplets):
        rows, columns, shape = pattern.rows, pattern.columns, pattern.shape
    elif hasattr(pattern, "tocoo"):
        coo = pattern.tocoo()
        rows, columns, shape = coo.row, coo.col, coo.shape
    else:
        array = np.asarray(pattern)
        if array.ndim != 2 or array.dtype.kind not in "biuf":
            raise TypeError(
                f"{who}: sparse is True, or a pattern: an array of two dimensions, a sparse matrix of SciPy"
                f" or Triplets, not {pattern!r:.50}"
            )
        (rows, columns), shape = np.nonzero(array), array.shape
    rows, columns = np.asarray(rows, int), np.asarray(columns, int)
    for what, places, n in (("row", rows, shape[0]), ("column", columns, shape[1])):
        if places.size and not (places.min() >= 0 and places.max() < n):
            wrong = places.min() if places.min() < 0 else places.max()
            raise ValueError(
                f"{who}: the pattern has an entry in {what} {wrong}, and its shape is {tuple(shape)}"
            )
    found = ordered(np.asarray(rows, int) * shape[1] + np.asarray(columns, int))
    return Entries(*np.divmod(found, max(1, shape[1])), (int(shape[0]), int(shape[1])))


def _parts(tangent: Any) -> Sequence[Any]:
    """The tangents of each of several results; that of one."""
    parts = tangent if isinstance(tangent, list) else [tangent]
    return [p for p in parts if p is not None]


def floating_dtype(x: Any) -> Any:
    """The dtype of derivatives of a value, or by it."""
    dtype = np.result_type(x) if not hasattr(x, "dtype") else x.dtype
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def _joined(parts: Sequence[Any]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *map(np.ravel, parts)])
