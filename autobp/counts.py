"""Counts: what an evaluation or a sweep does, read off its graph.

Each primitive states in its row what it costs. What differentiating costs needs no second table:
a function is recorded within a recording, so that what the rules do in a sweep over its graph is a
graph as well, to be read in the same way. What is computed from constants alone is in no graph.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.batching import Batched, batched
from autobp.calculus import project
from autobp.context import clock
from autobp.dag import Recording, ancestors, lifted, record
from autobp.forward import in_order, pushed
from autobp.operation import FUNCTION
from autobp.primitive import constant
from autobp.reverse import pulled
from autobp.tensor import Tensor, leaf
from autobp.tree import leaves, refilled

__all__ = ["Counts", "Program", "Sweeps", "alive", "counted", "recorded", "unknown"]

#: Prices, in multiplications of an element of an array, each about a nanosecond: of a call of NumPy,
#: of a visit to an operation, and of the exponential of an element. No two machines agree on them.
CALL = 500
VISIT = 1000
TRANSCENDENTAL = 10
#: A visit for many directions at once takes so many times as long.
BATCH = 4


@dataclass(frozen=True, slots=True)
class Counts:
    """Operations on single numbers, and the calls of NumPy that perform them.

    >>> from autobp.counts import Counts
    >>> (Counts(multiplications=2, additions=1) * 10 + Counts(transcendental=5)).flops
    35
    """

    multiplications: int = 0  # and divisions
    additions: int = 0  # and subtractions, negations, comparisons, roundings
    transcendental: int = 0  # exp, sin, sqrt, …: one for each call on a number
    calls: int = 0  # of primitives
    visits: int = 0  # to operations, by a recording or a sweep: what Python does

    @property
    def flops(self) -> int:
        return self.multiplications + self.additions + self.transcendental

    @property
    def work(self) -> int:
        """What it comes to in time, in units of a multiplication."""
        numbers = self.multiplications + self.additions + TRANSCENDENTAL * self.transcendental
        return numbers + CALL * self.calls + VISIT * self.visits

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.multiplications + other.multiplications,
            self.additions + other.additions,
            self.transcendental + other.transcendental,
            self.calls + other.calls,
            self.visits + other.visits,
        )

    def __mul__(self, times: int) -> Counts:
        return Counts(
            self.multiplications * times,
            self.additions * times,
            self.transcendental * times,
            self.calls * times,
            self.visits * times,
        )


# ── what a recorded graph costs ──────────────────────────────────────────────────────────────────


def counted(operations: Iterable[Tensor]) -> Counts:
    """What recorded operations did, all in all.

    >>> import numpy as np
    >>> from autobp import Tensor, graph
    >>> from autobp.counts import counted
    >>> y = np.sum(np.exp(Tensor(np.ones(10))) * 2)
    >>> counted(graph(y).operations)
    Counts(multiplications=10, additions=9, transcendental=10, calls=3, visits=0)
    """
    total = [0, 0, 0, 0]
    for t in operations:
        assert t.primitive is not None
        cost = t.primitive.facts.cost or FUNCTION  # of a user's own: one call on each number
        for i, n in enumerate((*cost(t.shape, *map(np.shape, t.args), **t.params), 1)):
            total[i] += n
    return Counts(*total)


def unknown(operations: Iterable[Tensor]) -> list[str]:
    """The names of operations whose rows state no cost."""
    primitives = {t.primitive for t in operations if t.primitive is not None}
    return sorted({p.name for p in primitives if p.facts.cost is None})


def alive(operations: Sequence[Tensor], kept: Iterable[Tensor]) -> int:
    """The bytes of all numbers that these operations made and that are needed at one time, when it
    is most: each is forgotten after its last use, unless it is kept. Views take no space."""
    size: dict[int, int] = {}
    last: dict[int, int] = {}
    fresh: list[int | None] = []
    for i, t in enumerate(operations):
        used = [_buffer(a)[0] for a in t.args]
        buffer, bytes_ = _buffer(t)
        new = buffer not in size and buffer not in used
        if new:
            size[buffer] = bytes_
        fresh.append(buffer if new else None)
        last |= dict.fromkeys([b for b in (*used, buffer) if b in size], i)
    last |= dict.fromkeys([b for b in (_buffer(t)[0] for t in kept) if b in size], len(operations))
    gone: dict[int, list[int]] = {}
    for buffer, i in last.items():
        gone.setdefault(i, []).append(buffer)
    now = most = 0
    for i, made in enumerate(fresh):
        now += size[made] if made is not None else 0
        most = max(most, now)
        now -= sum(size[buffer] for buffer in gone.get(i, ()))
    return most


def _buffer(a: Any) -> tuple[int, int]:
    """What identifies the memory that holds a value, and its size."""
    value = a.primal_value() if isinstance(a, Tensor) else a
    if not isinstance(value, np.ndarray):
        return id(a), getattr(value, "nbytes", 8)
    while isinstance(value.base, np.ndarray):
        value = value.base
    return id(value), value.nbytes


@dataclass(frozen=True)
class Program:
    """Operations that were recorded, in order, and what came of them."""

    operations: list[Tensor]
    results: list[Tensor]
    visits: int = 0

    @property
    def counts(self) -> Counts:
        return counted(self.operations) + Counts(visits=self.visits)

    @property
    def alive(self) -> int:
        """The bytes that it takes to run, each value being forgotten after its last use."""
        return alive(self.operations, self.results)

    @property
    def tape(self) -> int:
        """The bytes that it takes to remember all of it."""
        return alive(self.operations, self.operations)


class Sweeps:
    """A recorded function, and recordings of what the sweeps over its graph compute.

    The sweeps are those of `reverse` and `forward`, run on values that are recorded themselves.

    >>> import numpy as np
    >>> from autobp.counts import Sweeps
    >>> sweeps = Sweeps(lambda x: np.sum(x * x), [np.ones(100)])
    >>> sweeps.evaluation.counts
    Counts(multiplications=100, additions=99, transcendental=0, calls=2, visits=0)
    >>> sweeps.reverse().counts   # twice g * x, and their sum
    Counts(multiplications=200, additions=100, transcendental=0, calls=4, visits=2)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        chosen: Sequence[int] | None = None,
    ) -> None:
        self._level = clock()
        chosen = range(len(args)) if chosen is None else chosen
        outer = list(args)
        for i in chosen:
            values = (lifted(x, f"argument {i}{path}") for path, x in leaves(args[i]))
            outer[i] = refilled(args[i], [leaf(v, self._level) for v in values])
        self.record: Recording = record(function, outer, chosen)
        #: What the function itself computes.
        self.evaluation: Program = self._behind(self.record.values)

    def forward(self, inputs: Collection[int] | None = None, at_once: int = 0) -> Program:
        """What a forward sweep with tangents of these inputs, or of all, computes; of so many
        directions at once, if any."""
        tangents = self._seeds([x.value for x in self.record.inputs], inputs, at_once)
        with np.errstate(all="ignore"):
            found = pushed(self.record, in_order(self.record), tangents)
        # a visit asks each argument for a tangent, and takes twice as long as one of a reverse sweep
        return self._behind(found, self.evaluation.operations, 2 * (BATCH if at_once else 1))

    def reverse(self, outputs: Collection[int] | None = None, at_once: int = 0) -> Program:
        """What a reverse sweep with cotangents of these outputs, or of all, computes; of so many
        directions at once, if any."""
        cotangents = self._seeds(self.record.values, outputs, at_once)
        with np.errstate(all="ignore"):
            found = pulled(self.record, self.record.order(), cotangents)
        return self._behind(found, self.evaluation.operations, BATCH if at_once else 1)

    def _seeds(
        self, values: Sequence[Any], chosen: Collection[int] | None, at_once: int
    ) -> list[Tensor | None]:
        level = clock()

        def seed(value: Any) -> Tensor:
            unit = project(1.0, constant(value))
            if not at_once:
                return leaf(unit, self._level)
            return batched(leaf(np.stack([unit] * at_once), self._level), level)

        return [seed(v) if chosen is None or k in chosen else None for k, v in enumerate(values)]

    def _behind(
        self, results: Iterable[Any], done: Collection[Tensor] = (), visits: int = 0
    ) -> Program:
        """The operations behind the results, except those `done` before, each of which the sweep
        visits so many times."""
        results = (y.value if isinstance(y, Batched) else y for y in results)
        mine = [y for y in results if isinstance(y, Tensor) and y.level == self._level]
        rest = set(ancestors(mine, self._level)).difference(done)
        operations = [t for t in rest if t.primitive is not None]
        return Program(sorted(operations, key=lambda t: t.born), mine, visits * len(done))


def recorded(function: Callable[..., Any], *args: Any) -> Program:
    """The program of a function that may take derivatives itself."""
    return Sweeps(function, args).evaluation
