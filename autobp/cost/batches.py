"""Many directions at once: all of them, or those that a sparse Jacobian needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from autobp.cost.problem import Part, Problem
from autobp.counts import Counts, Program
from autobp.dag import Recording
from autobp.directions import FEW, chunk_of, pulled_all, pushed_all
from autobp.sparse import Plan
from autobp.sparsity import detected
from autobp.tensor import Tensor

__all__ = ["AtOnce", "Batches", "Compressed"]


class Batches:
    """Directions that are swept many at once, in steps of as many as memory allows."""

    def __init__(self, p: Problem, forward: bool, sizes: Sequence[int]) -> None:
        self.p = p
        self.forward = forward
        size = chunk_of(p.record().order())
        #: Of each step the leaf that its directions belong to, the first of them, and the end.
        self.spans: list[tuple[int, int, int]] = [
            (k, start, min(start + size, n))
            for k, n in enumerate(sizes)
            for start in range(0, n, size)
        ]

    @property
    def sweeps(self) -> str:
        widest = max(map(self.width, range(len(self.spans))), default=0)
        said = f"{len(self.spans):,} {'forward' if self.forward else 'backward'}"
        return f"1 recording, {said}" if widest == 1 else f"{said} of {widest:,}"

    def width(self, i: int) -> int:
        _, start, stop = self.spans[i]
        return stop - start

    def start(self) -> tuple[Recording, list[Tensor]]:
        traced = self.p.record()
        return traced, traced.order()

    def step(self, recorded: Any, i: int) -> np.ndarray:
        """The results of the directions of a step, a row each."""
        raise NotImplementedError

    def found(self, i: int, result: np.ndarray, rows: np.ndarray) -> Part:
        """What that is of the Jacobian, in some of its rows."""
        raise NotImplementedError

    def program(self, k: int, n: int) -> Program:
        """What a sweep for n directions of a leaf computes, or for one, if n is 0."""
        raise NotImplementedError

    def programs(self, k: int, n: int) -> tuple[Program, int]:
        """What the sweeps for n directions of a leaf compute: a program, and how often it runs."""
        if n >= FEW:
            try:
                return self.program(k, n), 1
            except Exception:  # an operation takes no batch: they are swept one by one
                pass
        return self.program(k, 0), n

    @property
    def counts(self) -> Counts:
        """The operations of all steps."""
        total = Counts()
        for (k, n), steps in Counter((k, stop - start) for k, start, stop in self.spans).items():
            program, times = self.programs(k, n)
            total += program.counts * (times * steps)
        return total

    @property
    def alive(self) -> int:
        n, k = max(((stop - start, k) for k, start, stop in self.spans), default=(0, 0))
        return self.programs(k, n)[0].alive


class AtOnce(Batches):
    """All directions of a mode."""

    def __init__(self, p: Problem, forward: bool) -> None:
        self.side = p.inputs if forward else p.outputs
        super().__init__(p, forward, self.side.sizes)

    def step(self, recorded: Any, i: int) -> np.ndarray:
        traced, order = recorded
        k, start, stop = self.spans[i]
        n = stop - start
        sweep = pushed_all if self.forward else pulled_all
        found = sweep(traced, order, lambda *_: self.side.units(k, start, stop), n, n)
        return np.concatenate([np.reshape(y, (n, -1)) for y in found], axis=1)

    def found(self, i: int, result: np.ndarray, rows: np.ndarray) -> Part:
        k, start, stop = self.spans[i]
        directions = self.side.starts[k] + np.arange(start, stop)
        if self.forward:
            return Part(rows, directions, result.T[rows])
        mine = np.isin(directions, rows)
        return Part(directions[mine], np.arange(result.shape[1]), result[mine])

    def program(self, k: int, n: int) -> Program:
        graph = self.p.graph
        return graph.forward([k], n) if self.forward else graph.reverse([k], n)


class Compressed(Batches):
    """The sums of directions that do not overlap, by which a sparse Jacobian is computed."""

    def __init__(self, p: Problem, forward: bool) -> None:
        traced = p.record()
        order = traced.order()
        self.plan = Plan.made(traced, order, detected(traced, order), forward)
        super().__init__(p, forward, [self.plan.count])

    def start(self) -> tuple[Recording, list[Tensor]]:
        traced, order = super().start()
        if not self.plan.structure.is_that_of(traced, order):
            raise RuntimeError("compare: the function records other operations each time it runs")
        return traced, order

    def step(self, recorded: Any, i: int) -> np.ndarray:
        traced, order = recorded
        _, start, stop = self.spans[i]
        return self.plan.swept(traced, order, start, stop)

    def found(self, i: int, result: np.ndarray, rows: np.ndarray) -> Part:
        _, start, stop = self.spans[i]
        plan, (entry_rows, entry_columns, shape) = self.plan, self.plan.entries
        mine = (plan.colours >= start) & (plan.colours < stop)
        lines = np.flatnonzero(mine)
        columns = lines if self.forward else np.arange(shape[1])
        rows = rows if self.forward else np.intersect1d(lines, rows)
        chosen = mine[entry_columns if self.forward else entry_rows] & np.isin(entry_rows, rows)
        values = np.zeros((len(rows), len(columns)))
        place = (
            np.searchsorted(rows, entry_rows[chosen]),
            np.searchsorted(columns, entry_columns[chosen]),
        )
        values[place] = result.ravel()[plan.places[chosen] - start * result.shape[1]]
        return Part(rows, columns, values)

    def program(self, k: int, n: int) -> Program:
        graph = self.p.graph
        return graph.forward(None, n) if self.forward else graph.reverse(None, n)
