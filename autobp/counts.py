"""Counts: what an evaluation or a sweep does, read off its graph.

Each primitive states in one line what it costs. What differentiating costs needs no second table:
a function is recorded within a recording, so that what the rules do in a sweep over its graph is a
graph as well, to be read in the same way. What is computed from constants alone is in no graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.calculus import project
from autobp.context import clock
from autobp.dag import ancestors, lifted, record
from autobp.forward import in_order, pushed
from autobp.primitive import Primitive, constant
from autobp.reverse import pulled
from autobp.rules import arithmetic as ar
from autobp.rules import convolution as conv
from autobp.rules import indexing, linalg, neural, shape
from autobp.rules import reduction as red
from autobp.tensor import Tensor, leaf
from autobp.tree import leaves, refilled

__all__ = ["COSTS", "Counts", "Program", "Sweeps", "alive", "counted", "recorded", "unknown"]

#: Prices, in multiplications of an element of an array, each about a nanosecond: of a call of NumPy,
#: of a visit to an operation, and of the exponential of an element. No two machines agree on them.
CALL = 500
VISIT = 1000
TRANSCENDENTAL = 10


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


# ── what each primitive costs ─────────────────────────────────────────────────────────────────────

Shape = tuple[int, ...]
Triple = tuple[int, int, int]  # multiplications, additions, transcendental
Cost = Callable[..., Triple]  # of the shapes of the result and the arguments, and the parameters


def _total(*terms: tuple[int, Triple]) -> Triple:
    """So many times so much, added up. Nothing costs less than nothing: a sum over no elements has
    a result but no additions."""
    m, a, t = (sum(n * triple[i] for n, triple in terms) for i in range(3))
    return max(m, 0), max(a, 0), max(t, 0)


def each(*triple: int) -> Cost:
    """So much for each element of the result."""
    m, a, t = triple
    return lambda out, *_, **__: (m * (n := math.prod(out)), a * n, t * n)


def reduction(element: Triple, result: Triple) -> Cost:
    """So much for each element that goes in, and for each that comes out."""
    return lambda out, x, **_: _total((math.prod(x), element), (math.prod(out), result))


def grouped(element: Triple, group: Triple) -> Cost:
    """So much for each element, and for each group along an axis."""
    return lambda out, x, axis, **_: _total((math.prod(x), element), (_groups(x, axis), group))


def _groups(x: Shape, axis: Any) -> int:
    axes = {a % len(x) for a in shape.axes_of(axis, len(x))}
    return math.prod(n for i, n in enumerate(x) if i not in axes)


def _norm(out: Shape, x: Shape, axis: Any, keepdims: bool, ord: float) -> Triple:
    element = (1, 1, 0) if ord == 2 else (0, 2, 1)
    return _total((math.prod(x), element), (math.prod(out), (0, -1, 1)))


def _power_by(out: Shape, x: Shape, n: float) -> Triple:
    """NumPy multiplies for x², divides for x⁻¹, and calls a function for what is not as simple."""
    return each(n in (2, -1), 0, n not in (0, 1, 2, -1))(out)


def _sinc(out: Shape, x: Shape, order: int) -> Triple:
    terms = 20 + 2 * order - (order + 1) // 2
    return each(3 + 2 * order + terms, 1 + 2 * order + terms, 1 + order + terms)(out)


def _normal_cdf(out: Shape, x: Shape) -> Triple:
    steps = len(neural._ABOVE) + len(neural._BELOW) - 2  # of Horner's rule
    return each(steps + 6, steps + 4, 1)(out)


def _scatter(out: Shape, x: Shape, index: Any, shape: Shape) -> Triple:
    return (0, math.prod(x) if indexing._repeats(index) else 0, 0)


def products(results: int, terms: int) -> Triple:
    """So many sums of so many products."""
    return results * terms, results * max(terms - 1, 0), 0


def _matmul(out: Shape, a: Shape, b: Shape) -> Triple:
    return products(math.prod(out), a[-1])


def _einsum(out: Shape, *shapes: Shape, terms: Sequence[str], result: str) -> Triple:
    """Two at a time, in the order that NumPy chooses; each time over all indices of the two."""
    size = {i: n for term, shape in zip(terms, shapes) for i, n in zip(term, shape)}
    operands, total = list(terms), (0, 0, 0)

    def extent(indices: set[str]) -> int:
        return math.prod(size[i] for i in indices)

    for places in _path(terms, shapes, result):
        taken = [operands.pop(i) for i in sorted(places, reverse=True)]
        over = set("".join(taken))
        kept = over & set("".join([*operands, result]))
        operands.append("".join(kept))
        summed = extent(over) - extent(kept)
        total = _total((1, total), (1, ((len(taken) - 1) * extent(over), summed, 0)))
    return total


def _path(terms: Sequence[str], shapes: Sequence[Shape], result: str) -> list[Sequence[int]]:
    if len(terms) <= 2:
        return [range(len(terms))]
    dummies = [np.broadcast_to(0.0, s) for s in shapes]
    return np.einsum_path(f"{','.join(terms)}->{result}", *dummies, optimize=True)[0][1:]


def _factored(a: Shape) -> tuple[int, int, Triple]:
    """How many matrices, of how many rows, and what a decomposition of one into L·U takes."""
    n = a[-1]
    return math.prod(a[:-2]), n, ((n**3 - n) // 3, (2 * n**3 - 3 * n**2 + n) // 6, 0)


def _solve(out: Shape, a: Shape, b: Shape) -> Triple:
    batch, n, factors = _factored((*out[: max(len(a), len(b)) - 2], *a[-2:]))
    columns = math.prod(b[-1:]) if len(b) > 1 else 1
    return _total((batch, factors), (batch * columns, (n * n, n * n - n, 0)))


def _inv(out: Shape, a: Shape) -> Triple:
    return _solve(out, a, a)


def _det(out: Shape, a: Shape) -> Triple:
    batch, n, factors = _factored(a)
    return _total((batch, factors), (batch, (n - 1, 0, 0)))


def _logdet(out: Shape, a: Shape) -> Triple:
    batch, n, factors = _factored(a)
    return _total((batch, factors), (batch, (0, n - 1, n)))


def _cholesky(out: Shape, a: Shape) -> Triple:
    n, batch = a[-1], math.prod(a[:-2])
    pairs = n * (n - 1) // 2
    return _total((batch, ((n**3 - n) // 6 + pairs, (n**3 - n) // 6, n)))


def _conv2d(out: Shape, x: Shape, w: Shape, **_: Any) -> Triple:
    return products(math.prod(out), math.prod(w[1:]))


def _conv2d_input(out: Shape, g: Shape, w: Shape, **_: Any) -> Triple:
    seen = g[0] * math.prod(w[1:]) * math.prod(g[2:])
    return _total((1, products(seen, w[0])), (seen, (0, 1, 0)))


def _conv2d_weight(out: Shape, x: Shape, g: Shape, **_: Any) -> Triple:
    terms = math.prod(out) * g[0] * math.prod(g[2:])
    return terms, terms, 0  # the first is added to a zero


def _pool2d(out: Shape, x: Shape, w: Shape, **_: Any) -> Triple:
    return products(math.prod(out), math.prod(w[:2]))


def _pool2d_input(out: Shape, g: Shape, w: Shape, image: Any, stride: Any) -> Triple:
    terms = math.prod(g) * math.prod(w[:2])
    apart = all(s >= k for s, k in zip(stride, w))  # no pixel is in two windows
    return terms, 0 if apart else terms, 0


def _max_pool2d(out: Shape, x: Shape, size: Any, **_: Any) -> Triple:
    return each(0, math.prod(size) - 1, 0)(out)


def _costs(cost: Cost, *primitives: Primitive) -> dict[Primitive, Cost]:
    return dict.fromkeys(primitives, cost)


# fmt: off
#: Multiplications, additions and transcendental calls of every primitive.
COSTS: dict[Primitive, Cost] = {
    # for each element of the result:
    #            ×  +  f
    **_costs(each(0, 0, 0), ar.positive, ar.conjugate, ar.where, ar.nan_to_num, ar.astype,
                            shape.reshape_, shape.transpose_, shape.flip_, shape.roll_, shape.broadcast_to_, shape.concatenate_, shape.stack_, shape.pad_,
                            indexing.getitem, indexing.put),
    **_costs(each(0, 1, 0), ar.add, ar.subtract, ar.negative, ar.absolute, ar.fabs,
                            ar.maximum, ar.minimum, ar.fmax, ar.fmin, ar.copysign, ar.heaviside, neural.relu_,
                            ar.sign, ar.floor, ar.ceil, ar.trunc, ar.rint, ar.round_),
    **_costs(each(1, 0, 0), ar.multiply, ar.divide, ar.square, ar.reciprocal, conv.pool2d_weight,
                            ar.deg2rad, ar.radians, ar.rad2deg, ar.degrees),
    **_costs(each(1, 1, 0), ar.floor_divide, neural.leaky_relu_),
    **_costs(each(2, 2, 0), ar.remainder, ar.fmod),
    **_costs(each(0, 0, 1), ar.power, ar.sqrt, ar.cbrt, ar.hypot, ar.arctan2,
                            ar.exp, ar.exp2, ar.expm1, ar.log, ar.log2, ar.log10, ar.log1p,
                            ar.sin, ar.cos, ar.tan, ar.arcsin, ar.arccos, ar.arctan,
                            ar.sinh, ar.cosh, ar.tanh, ar.arcsinh, ar.arccosh, ar.arctanh),
    **_costs(each(0, 3, 2), ar.logaddexp, ar.logaddexp2),
    **_costs(each(1, 2, 1), neural.sigmoid_),
    **_costs(each(0, 4, 2), neural.softplus_),
    neural.normal_cdf:      _normal_cdf,
    ar.power_by:            _power_by,
    ar.sinc:                _sinc,
    conv.max_pool2d_:       _max_pool2d,
    # for each element that goes in, and for each that comes out, or for each group along the axis:
    #                  ×  +  f      ×   +  f
    red.sum_:   reduction((0, 1, 0), (0, -1, 0)),
    red.mean_:  reduction((0, 1, 0), (1, -1, 0)),
    red.max_:   reduction((0, 1, 0), (0, -1, 0)),
    red.min_:   reduction((0, 1, 0), (0, -1, 0)),
    red.prod_:  reduction((1, 0, 0), (-1, 0, 0)),
    red.norm_:            _norm,
    red.cumsum_:          grouped((0, 1, 0), (0, -1, 0)),
    red.cumprod_:         grouped((1, 0, 0), (-1, 0, 0)),
    neural.softmax_:      grouped((1, 3, 1), (0, -2, 0)),
    neural.log_softmax_:  grouped((0, 4, 1), (0, -2, 1)),
    neural.logsumexp_:    grouped((0, 3, 1), (0, -1, 1)),
    indexing.scatter:     _scatter,
    # products, and what solves for them:
    linalg.matmul:        _matmul,
    neural.linear_:       _matmul,
    linalg.einsum:        _einsum,
    linalg.inv:           _inv,
    linalg.solve:         _solve,
    linalg.det:           _det,
    linalg.logdet:        _logdet,
    linalg.cholesky:      _cholesky,
    conv.conv2d_:         _conv2d,
    conv.conv2d_input:    _conv2d_input,
    conv.conv2d_weight:   _conv2d_weight,
    conv.pool2d:          _pool2d,
    conv.pool2d_input:    _pool2d_input,
}
# fmt: on

#: An operation of the user's own is taken for one call on each number of its result.
_UNKNOWN = each(0, 0, 1)


# ── readings of a graph ───────────────────────────────────────────────────────────────────────────


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
        cost = COSTS.get(t.primitive, _UNKNOWN)  # type: ignore[arg-type]
        for i, n in enumerate((*cost(t.shape, *map(np.shape, t.args), **t.params), 1)):
            total[i] += n
    return Counts(*total)


def unknown(operations: Iterable[Tensor]) -> list[str]:
    """The names of operations that have no line in the table of costs."""
    return sorted({t.primitive.name for t in operations if t.primitive not in COSTS})  # type: ignore[union-attr]


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
    """A function, recorded, and the programs of the sweeps over its graph, recorded as well.

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
        self.record = record(function, outer, chosen)
        #: What the function itself did.
        self.evaluation = self._behind(self.record.values)

    def forward(self, inputs: Collection[int] | None = None) -> Program:
        """A sweep that carries tangents of these inputs, or of all of them."""
        tangents = self._seeds([x.value for x in self.record.inputs], inputs)
        with np.errstate(all="ignore"):
            found = pushed(self.record, in_order(self.record), tangents)
        # asks each argument for a tangent and takes twice as long as a visit on the way back
        return self._behind(found, self.evaluation.operations, visits=2)

    def reverse(self, outputs: Collection[int] | None = None) -> Program:
        """A sweep that carries cotangents of these outputs, or of all of them."""
        cotangents = self._seeds(self.record.values, outputs)
        with np.errstate(all="ignore"):
            found = pulled(self.record, self.record.order(), cotangents)
        return self._behind(found, self.evaluation.operations, visits=1)

    def _seeds(self, values: Sequence[Any], chosen: Collection[int] | None) -> list[Tensor | None]:
        return [
            leaf(project(1.0, constant(v)), self._level) if chosen is None or k in chosen else None
            for k, v in enumerate(values)
        ]

    def _behind(
        self, results: Iterable[Any], done: Collection[Tensor] = (), visits: int = 0
    ) -> Program:
        """What the results come from, beyond what had been done before; and so many visits to each
        of that."""
        mine = [y for y in results if isinstance(y, Tensor) and y.level == self._level]
        rest = set(ancestors(mine, self._level)).difference(done)
        operations = [t for t in rest if t.primitive is not None]
        return Program(sorted(operations, key=lambda t: t.born), mine, visits * len(done))


def recorded(function: Callable[..., Any], *args: Any) -> Program:
    """The program of a function that may take derivatives itself."""
    return Sweeps(function, args).evaluation
