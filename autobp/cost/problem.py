"""What is compared: a function at a point, and ways to compute its derivatives in steps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from autobp.counts import Counts, Sweeps
from autobp.dag import Recording, record
from autobp.primitive import constant
from autobp.tree import leaves, refilled, transformed

__all__ = ["Method", "Part", "Problem", "flat"]


@dataclass(frozen=True)
class Method:
    """A way to compute all partial derivatives: a start, and steps that are all alike.

    A step computes the derivatives by one input, a column of the Jacobian. A step of the reference
    computes a row. Those of other methods say by `found` what they have computed. Methods that are
    timed only for comparison return None.
    """

    name: str
    sweeps: str
    steps: int
    counts: Counts | None  # of all steps together; None: what a rule does cannot be recorded
    alive: int | None  # bytes
    step: Callable[[Any, int], Any]  # takes the result of `start` and the number of the step
    start: Callable[[], Any] = lambda: None
    reference: bool = False
    width: Callable[[int], int] = lambda i: 1  # how many directions a step takes
    found: Callable[[int, Any, np.ndarray], Part] | None = None

    @property
    def directions(self) -> int:
        return sum(map(self.width, range(self.steps)))

    def part(self, i: int, result: Any, rows: np.ndarray) -> Part:
        """What a step has found, in some of the rows of the Jacobian."""
        if self.found is not None:
            return self.found(i, result, rows)
        return Part(rows, np.array([i]), flat(result)[rows][:, None])


class Part(NamedTuple):
    """Some rows and columns of a Jacobian, and the numbers there."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    known: np.ndarray | None = None  # which of the numbers are computed, if not all are


class Problem:
    """A function at a point, with its inputs and its outputs numbered element by element."""

    def __init__(self, function: Callable[..., Any], args: Sequence[Any]) -> None:
        self.function = function
        # copies: differences change them in place
        self.args: Any = transformed(_owned, tuple(args))
        self.argnums: tuple[int, ...] = tuple(range(len(args)))
        self.inputs: _Row = _Row([x for _, x in leaves(self.args)])
        try:
            self.graph: Sweeps = Sweeps(function, self.args)
        except TypeError as error:
            wrong = next((x for _, x in leaves(args) if _is_no_variable(x)), None)
            if wrong is None:
                raise
            raise TypeError(
                f"compare differentiates by all arguments, also by {wrong!r:.50}: let the function close over"
                f" what is constant, compare(lambda x: f(x, labels), x) ({error})"
            ) from error
        self.outputs: _Row = _Row([constant(y) for y in self.graph.record.values])
        if not self.inputs.size or not self.outputs.size:
            raise ValueError(
                f"compare needs inputs and outputs; this function takes {self.inputs.size} numbers and"
                f" returns {self.outputs.size}"
            )

    def run(self) -> Any:
        return self.function(*self.args)

    @property
    def draws(self) -> bool:
        """Whether the function gives other values when it runs again."""
        first, again = flat(self.outputs.values), flat(self.run())
        return not np.array_equal(first, again, equal_nan=True)

    def record(self) -> Recording:
        return record(self.function, self.args, self.argnums)

    def moved(self, i: int) -> tuple[Any, Callable[[Any], np.ndarray]]:
        """Input i, and a function that evaluates with another number in its place."""
        k, place = self.inputs.find(i)
        x = self.inputs.values[k]
        if np.ndim(x) == 0:
            return x, lambda other: flat(self.function(*self.filled({k: other})))
        before = x.flat[place]

        def run(other: Any) -> np.ndarray:
            x.flat[place] = other
            try:
                return flat(self.run())
            finally:
                x.flat[place] = before

        return before, run

    def filled(self, others: dict[int, Any]) -> Any:
        """The arguments with some leaves replaced."""
        return refilled(self.args, (others.get(k, x) for k, x in enumerate(self.inputs.values)))

    def direction(self, i: int) -> Any:
        """The tangents of the arguments for input i: 1 there, 0 elsewhere."""
        k, unit = self.inputs.unit(i)
        return refilled(
            self.args, (unit if j == k else _zeros(x) for j, x in enumerate(self.inputs.values))
        )

    def forward(self) -> Counts:
        """The operations of the forward sweeps from all inputs."""
        return self.inputs.total(lambda k: self.graph.forward([k]).counts)

    def reverse(self) -> Counts:
        """The operations of the reverse sweeps from all outputs."""
        return self.outputs.total(lambda k: self.graph.reverse([k]).counts)


class _Row:
    """Numbers and arrays whose elements are numbered as one row."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values
        self.sizes: list[int] = [int(np.size(v)) for v in values]
        self.size: int = sum(self.sizes)
        self.starts: list[int] = [0, *accumulate(self.sizes)]

    def find(self, i: int) -> tuple[int, int]:
        """Which value holds element i, and its place there."""
        k = bisect_right(self.starts, i) - 1
        return k, i - self.starts[k]

    def unit(self, i: int) -> tuple[int, Any]:
        """Which value holds element i, and the direction in which that element alone changes."""
        k, place = self.find(i)
        unit = np.zeros(np.shape(self.values[k]), _dtype(self.values[k]))
        unit.flat[place] = 1
        return k, unit[()]

    def units(self, k: int, start: int, stop: int) -> list[Any]:
        """The directions in which single elements of one value change, a row each."""
        shape, size = np.shape(self.values[k]), self.sizes[k]
        found: list[Any] = [None] * len(self.values)
        units = np.eye(stop - start, size, start, _dtype(self.values[k]))
        found[k] = units.reshape(stop - start, *shape)
        return found

    def seeds(self, i: int) -> list[Any]:
        seeds: list[Any] = [None] * len(self.values)
        k, unit = self.unit(i)
        seeds[k] = unit
        return seeds

    def total(self, cost: Callable[[int], Counts]) -> Counts:
        return sum((cost(k) * size for k, size in enumerate(self.sizes) if size), Counts())


def _owned(x: Any) -> Any:
    array = np.array(constant(x))
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    return array if array.ndim else float(array) if array.dtype == np.float64 else array[()]


def _is_no_variable(x: Any) -> bool:
    """Whether it is rather an index, an option or a name than something to differentiate by."""
    return np.asarray(constant(x)).dtype.kind != "f"


def _dtype(x: Any) -> Any:
    """The dtype of derivatives by it; for values that are not floating point, float64."""
    dtype = np.result_type(x)
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def _zeros(x: Any) -> Any:
    return np.zeros(np.shape(x), _dtype(x))[()]


def flat(nest: Any) -> np.ndarray:
    """All numbers of a nest in one row, copied."""
    return np.concatenate([np.ravel(constant(y)) for _, y in leaves(nest)])
