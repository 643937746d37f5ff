"""Scanning: a scan while it is traced, and its derivatives.

The carry is taken apart into arrays, which the loop hands on. Its form may be another after the first
iteration (a constant becomes a Tensor by a weight, a number of Python's a NumPy scalar); the body is
traced again until it lasts.

At each level at which results are recorded, the loop is one operation with several results. A sweep
that reaches it goes through the graph of the body once, which is traced as the body of another scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from autobp.batching import batched
from autobp.calculus import project, zeros
from autobp.compiler.program import Step
from autobp.compiler.trace.calls import as_type
from autobp.compiler.trace.iterations import Iteration, repeated
from autobp.compiler.trace.patterns import (
    PLAIN,
    Pattern,
    bottoms,
    built,
    joined,
    kept,
    pattern_of,
    size,
    tensors,
)
from autobp.compiler.trace.tracer import Tracer
from autobp.context import current
from autobp.counts import counted
from autobp.dag import recorded_since
from autobp.errors import label
from autobp.forward import Dual, dual, with_last_uses
from autobp.forward import sweep as sweep_forward
from autobp.primitive import Array, Primitive, Results, Together
from autobp.recurrence import Body
from autobp.results import several, taken
from autobp.reverse import sweep
from autobp.tensor import CONSTANT, Tensor, leaf
from autobp.tree import leaves, paired, refilled

__all__ = ["SCAN", "Scanning"]

Trace = Any  # see trace.py, which stands on this

_ATTEMPTS = 4  # to find a form of the carry that lasts; then what the body returns is cast


class Scanning:
    """A scan of at least one iteration."""

    trace: Trace
    body: Body
    init: Any
    xs: Any
    y: Any
    patterns: list[Pattern]
    forms: list[list[tuple[Any, Any]]]

    def __init__(
        self, trace: Trace, body: Body, init: Any, xs: Any, count: int, is_reversed: bool, of: Any
    ) -> None:
        self.trace, self.body, self.init, self.xs = trace, body, init, xs
        self.how: tuple[int, bool, Any] = count, is_reversed, of
        self.firsts: list[Any] = [x for _, x in leaves(init)]
        self.patterns = [*map(pattern_of, self.firsts)]
        self.begin()
        self.given: list[Any] = [x for _, x in leaves(xs)]
        self.row_patterns: list[Pattern] = [*map(pattern_of, self.given)]
        pairs = list(zip(self.given, self.row_patterns))
        arrays = [a for x, p in pairs for a in bottoms(x, p, is_sequence=True)]
        self.sequence_tensors: list[list[tuple[int, Tensor | None]]] = [
            tensors(x, p, is_sequence=True) for x, p in pairs
        ]
        self.sequences: list[Any] = [a[::-1] for a in arrays] if is_reversed else arrays
        # Rows of a Tensor that are numbers are Python's. So may be those of a sweep.
        kinds = [p != PLAIN or of is not None for p in self.row_patterns for _ in range(size(p))]
        self.floats: list[Any | bool] = [
            k and a.ndim == 1 and a.dtype == np.float64 for k, a in zip(kinds, arrays)
        ]

    def begin(self) -> None:
        """Take the carry apart, before the loop."""
        pairs = list(zip(self.firsts, self.patterns))
        self.carried: list[list[Any]] = [bottoms(x, p) for x, p in pairs]
        self.first_tensors: list[list[tuple[int, Tensor | None]]] = [
            tensors(x, p) for x, p in pairs
        ]

    def run(self) -> tuple[Any, Any]:
        """Trace the body, and record the loop. What the scan returns."""
        trace = self.trace
        for attempt in range(_ATTEMPTS):
            operands = [
                trace.floats(a) if is_float else trace.operand(a)
                for a, is_float in zip(self.sequences, self.floats)
            ]
            with trace.iteration(*self.how) as iteration:
                lasts = self.trace_body(iteration, operands, attempt == _ATTEMPTS - 1)
                if lasts:
                    becomes = [trace.operand(x) for x in self.becomes]
                    rows = [*map(trace.row, self.stacked)]
            if lasts:
                break
            iteration.discard()
            self.begin()
            self.carried = [  # which is computed before the loop, not in it
                [_cast(x, form) for x, form in zip(carried, like)]
                for carried, like in zip(self.carried, self.forms)
            ]
        carried = [trace.operand(x) for arrays in self.carried for x in arrays]
        arguments = iteration.arguments[: len(carried)]
        iteration.close(carried, becomes, rows)
        return self.results(iteration, arguments, rows)

    def trace_body(self, iteration: Iteration, operands: Sequence[Any], is_last: bool) -> bool:
        """Run the body once. Whether the carry has the form that it was given; else it is tried with
        the form that it has."""
        trace, body = self.trace, self.body
        before = {t: (t.value, _version(t.value), t.grad) for t in trace.known}
        self.carries: list[Any] = [
            built(p, (iteration.argument(_now(a)) for a in arrays))
            for p, arrays in zip(self.patterns, self.carried)
        ]
        arguments = [
            iteration.argument(float(_now(a)[0]) if is_float else _now(a)[0])
            for a, is_float in zip(self.sequences, self.floats)
        ]
        iteration.sequences.update(zip((t.step for t in arguments), operands))
        supply = iter(arguments)
        self.rows: list[Any] = [built(p, supply) for p in self.row_patterns]
        after, self.y = body(refilled(self.init, self.carries), refilled(self.xs, self.rows))
        for t, (value, version, grad) in before.items():
            if t.value is not value or _version(value) != version or t.grad is not grad:
                raise trace.refuse(
                    f"compile cannot capture that {body.place} changes {label(t)}, which is not its"
                    " own, in each iteration of a scan: make it a part of the carry"
                )
        body.checked(self.init, after, [], 0)
        self.ends: list[Any] = [x for _, _, x in paired(self.init, after, "scan: the carry")]
        patterns = [joined(p, pattern_of(x)) for p, x in zip(self.patterns, self.ends)]
        ends = [bottoms(x, p) for x, p in zip(self.ends, patterns)]
        forms, found = ([[*map(_form, a)] for a in arrays] for arrays in (self.carried, ends))
        if patterns == self.patterns and (forms == found or is_last):
            self.becomes: list[Any] = [
                _cast(x, form) for arrays, like in zip(ends, forms) for x, form in zip(arrays, like)
            ]
            self.end_tensors: list[list[tuple[int, Tensor | None]]] = [
                tensors(x, p) for x, p in zip(self.ends, patterns)
            ]
            self.kinds: list[Pattern] = [pattern_of(x) for _, x in leaves(self.y)]
            self.stacked: list[Any] = [
                a for (_, x), p in zip(leaves(self.y), self.kinds) for a in bottoms(x, p)
            ]
            return True
        self.patterns, self.forms = patterns, found
        return False

    def results(self, iteration: Iteration, carries: Sequence[Step], rows: Sequence[Step]) -> Any:
        """What the scan returns: tensors that take the results of the loop."""
        trace, count = self.trace, iteration.count
        recordings = Recordings(iteration)
        recordings.note(self)
        values = [
            Tracer(trace, iteration.result(i, step), _now(x))
            for i, (step, x) in enumerate(zip(carries, self.becomes))
        ]
        supply = iter(values)
        last = [recordings.result(p, x, supply, True) for p, x in zip(self.patterns, self.ends)]
        for i, row in enumerate(rows, len(carries)):
            if row not in iteration.stacks:
                iteration.stacks[row] = iteration.result(i, row, count)
        arrays = [
            Tracer(trace, iteration.stacked_array(row), repeated(_now(x), count))
            for row, x in zip(rows, self.stacked)
        ]
        supply = iter(arrays)
        ys = [
            recordings.result(p, x, supply, False) for p, (_, x) in zip(self.kinds, leaves(self.y))
        ]
        recordings.close()
        return refilled(self.init, last), refilled(self.y, ys)


def _now(x: Any) -> Any:
    return x.current().now if isinstance(x, Tracer) else x


def _version(x: Any) -> int:
    return x.version if isinstance(x, Tracer) else 0


def _form(x: Any) -> tuple[Any, Any]:
    """The dtype and the type of an array or a number."""
    now = _now(x)
    kind = np.ndarray if isinstance(now, np.ndarray) else type(now)
    return np.result_type(now), kind


def _cast(x: Any, form: tuple[Any, Any]) -> Any:
    """An array or a number of another dtype or type."""
    dtype, kind = form
    if _form(x) == form:
        return x
    if kind is np.ndarray:
        return (
            np.asarray(x, dtype)
            if not isinstance(x, Tracer)
            else x.tracing.call(np.array, (x,), {})
        )
    if not isinstance(x, Tracer):
        return kind(x)
    if issubclass(kind, np.generic):
        return x.tracing.call(as_type, (x, dtype), {})
    return x.tracing.call(kind, (x,), {})


# ── at one level ──────────────────────────────────────────────────────────────────────────────────


class Recordings:
    """A loop as an operation that was recorded, at each level."""

    def __init__(self, iteration: Iteration) -> None:
        self.iteration = iteration
        self.levels: dict[int, Recording] = {}
        iteration.recordings = self

    def at(self, level: int) -> Recording:
        if level not in self.levels:
            self.levels[level] = Recording(self, level)
        return self.levels[level]

    def note(self, scanning: Scanning) -> None:
        """Remember what goes in and out, by levels."""
        s = scanning
        for p, firsts, carry, ends in zip(s.patterns, s.first_tensors, s.carries, s.end_tensors):
            for (level, t), (_, u), (_, v) in zip(firsts, tensors(carry, p), ends):
                recording = self.at(level)
                recording.begins.append(t)
                recording.carries.append(u)
                recording.ends.append(v)
        for p, sequences, row in zip(s.row_patterns, s.sequence_tensors, s.rows):
            for (level, t), (_, u) in zip(sequences, tensors(row, p)):
                self.at(level).sequences.append(t)
                self.at(level).rows.append(u)

    def result(self, p: Pattern, x: Any, supply: Iterator[Any], is_carry: bool) -> Any:
        """A leaf around the loop, of which the body computes x."""
        if p.level is None:
            return next(supply)
        is_there = isinstance(x, Tensor) and x.level == p.level
        inner: Any = p.value
        if p.examples is not None:
            value = self.result(inner, x.value if is_there else x, supply, is_carry)
            return batched(value if is_carry else np.moveaxis(value, 0, 1), p.level)
        recording = None if p.is_dual or p.level == CONSTANT else self.at(p.level)
        carry = recording.next_carry() if recording is not None and is_carry else None
        value = self.result(inner, x.value if is_there else x, supply, is_carry)
        if p.level == CONSTANT or p.level < current().threshold:
            return value if isinstance(value, Tensor) else leaf(kept(value), CONSTANT)
        if p.is_dual:
            tangent = x.tangent if is_there and isinstance(x, Dual) else None
            slope = p.tangent and self.result(p.tangent, tangent, supply, is_carry)
            return dual(kept(value), kept(slope), p.level)
        if recording is not None and is_there:
            return recording.take(x, value, carry)
        is_tensor = isinstance(x, Tensor) and not isinstance(value, Tensor)
        return leaf(kept(value), CONSTANT) if is_tensor else value

    def stacked(self, x: Any) -> Any:
        """A value of the body in all iterations."""
        if isinstance(x, Dual):
            tangent = None if x.tangent is None else self.stacked(x.tangent)
            return dual(self.stacked(x.value), tangent, x.level)
        if isinstance(x, Tensor) and x.is_batch:
            return batched(np.moveaxis(self.stacked(x.value), 0, 1), x.level)
        if isinstance(x, Tensor):
            return self.at(x.level).stacked(x)
        return self.iteration.stacked(x)

    def close(self) -> None:
        for recording in self.levels.values():
            recording.close()


class Recording:
    """A loop as an operation that was recorded at one level, and the graph of its body there."""

    taken_carries: int

    def __init__(self, recordings: Recordings, level: int) -> None:
        self.recordings = recordings
        self.iteration: Iteration = recordings.iteration
        self.level = level
        self.begins: list[Tensor | None] = []  # the carry around the loop,
        self.carries: list[Any] = []  # as the body is given it,
        self.ends: list[Tensor | None] = []  # and as the body returns it
        self.sequences: list[Any] = []
        self.rows: list[Any] = []
        self.results: list[tuple[Tensor, int | None]] = []  # in the body, and which carry it is
        self.stacks: dict[Tensor, Tensor] = {}
        self.taken_carries = 0
        self.whole: Any = several(SCAN, (), (), {"of": self}, level)
        self.whole.born = self.iteration.ended

    def next_carry(self) -> int:
        self.taken_carries += 1
        return self.taken_carries - 1

    def graph(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What the body recorded, what it took from around it, and what of the iterations of another
        loop."""
        results = [t for t, _ in self.results]
        outputs = [t for t in (*self.ends, *results) if t is not None]
        order, before = recorded_since(self.iteration.began, outputs, self.level)
        foreign = [t for t in before if self.iteration.maker(t) is not None]
        return order, [t for t in before if self.iteration.maker(t) is None], foreign

    def arguments(self, free: Sequence[Tensor], foreign: Sequence[Tensor]) -> list[Tensor]:
        makers: list[Any] = [*map(self.iteration.maker, foreign)]
        stacked = [of.recordings.stacked(t) for of, t in zip(makers, foreign)]
        return [*(t for t in self.begins if t is not None), *self.sequences, *free, *stacked]

    def close(self) -> None:
        """Record what the loop was computed from."""
        _, free, foreign = self.graph()
        self.whole.first = tuple(self.arguments(free, foreign))

    def take(self, t: Tensor, value: Any, carry: int | None = None) -> Tensor:
        """A result of the loop, which the body computes as t."""
        self.results.append((t, carry))
        self.whole.value.append(kept(value))
        result: Any = taken(self.whole, len(self.results) - 1)
        result.born = self.whole.born + len(self.results) / (1 << 20)  # before all that comes after
        return result

    def stacked(self, t: Tensor) -> Tensor:
        """What a tensor of the body is in all iterations."""
        for row, sequence in zip(self.rows, self.sequences):
            if t is row:
                return sequence
        if t not in self.stacks:
            self.stacks[t] = self.take(t, self.recordings.stacked(t.value))
            self.close()
        return self.stacks[t]

    def scan(self, function: Any, carry: Any, xs: Any, is_reversed: bool) -> Any:
        """A scan through the same iterations."""
        here = self.iteration
        return here.trace.scan(Body(function), carry, xs, here.count, is_reversed, here)

    def pushed(self, tangents: Sequence[Array | None]) -> Results:
        """The tangents of the results."""
        order, free, foreign = self.graph()
        supply = iter(tangents)
        begins = [
            zeros(c.value) if b is None or (t := next(supply)) is None else t
            for b, c in zip(self.begins, self.carries)
        ]
        rows = {row: next(supply) for row in self.rows}
        fixed = {t: next(supply) for t in free}
        rows |= {t: next(supply) for t in foreign}
        moving = [t for t, tangent in rows.items() if tangent is not None]
        results = [t for t, _ in self.results]
        steps = with_last_uses(order, [*self.ends, *results])

        def pushforward(carry: Any, xs: Any) -> Any:
            given = {t: project(c, t.value) for t, c in zip(moving, xs)}
            given |= {t: project(c, t.value) for t, c in zip(self.carries, carry)}
            known = sweep_forward(steps, {**fixed, **given})

            def found(t: Tensor | None, like: Tensor) -> Array:
                tangent = None if t is None else known.get(t)
                return zeros(like.value) if tangent is None else tangent

            ends = [found(t, like) for t, like in zip(self.ends, self.carries)]
            return ends, [found(t, t) for t, carry in self.results if carry is None]

        xs = [rows[t] for t in moving]
        ends, stacks = self.scan(pushforward, begins, xs, self.iteration.is_reversed)
        supply = iter(stacks)
        return Results(next(supply) if i is None else ends[i] for _, i in self.results)

    def reached(self, live: set[int], given: Sequence[Tensor]) -> set[int]:
        """The carries that have a cotangent in some iteration. Those that have none are left out: zeros
        times what is not finite would be nan."""
        while True:
            outputs = [t for i, t in enumerate(self.ends) if t is not None and i in live]
            found, before = recorded_since(self.iteration.began, (*outputs, *given), self.level)
            seen = {*found, *before}
            more = {i for i, t in enumerate(self.carries) if t in seen} - live
            if not more:
                return live
            live = live | more

    def pulled(self, cotangents: Sequence[Array | None]) -> Iterator[Array]:
        """The cotangents of the arguments."""
        order, free, foreign = self.graph()
        inputs = [*free, *foreign]
        ends = [zeros(c.value) for c in self.carries]
        given = []
        live: set[int] = set()
        for (t, i), c in zip(self.results, cotangents, strict=True):
            if c is not None and i is None:
                given.append((t, c))
            elif c is not None and i is not None:
                ends[i] = c
                live.add(i)
        live = self.reached(live, [t for t, _ in given])

        def pullback(carry: Any, xs: Any) -> Any:
            ends, totals = carry
            seeds: dict[Tensor, Array] = {}
            lasts = [(t, c) for i, (t, c) in enumerate(zip(self.ends, ends)) if i in live]
            for t, c in (*lasts, *zip((t for t, _ in given), xs)):
                if t is not None:
                    c = project(c, t.value)
                    seeds[t] = seeds[t] + c if t in seeds else c
            found = sweep(seeds, [*inputs, *order], inputs=set(inputs))
            get = lambda t: found[t] if t in found else zeros(t.value)
            totals = [c + found[t] if t in found else c for t, c in zip(free, totals)]
            rows = [*map(get, (*self.rows, *foreign))]
            return ([*map(get, self.carries)], totals), rows

        carry = ends, [zeros(t.value) for t in free]
        xs = [c for _, c in given]
        (begins, totals), rows = self.scan(pullback, carry, xs, not self.iteration.is_reversed)
        yield from (c for t, c in zip(self.begins, begins) if t is not None)
        yield from rows[: len(self.rows)]
        yield from totals
        yield from rows[len(self.rows) :]


class _Scan(Primitive):
    __slots__ = ()

    def push(
        self, tangents: Sequence[Array | None], out: Array, args: Sequence[Array], params: Any
    ) -> Any:
        return params["of"].pushed(tangents)


def _pulled(g: Any, out: Array, *args: Array, of: Recording) -> Iterator[Array]:
    return of.pulled(g)


def _never(*_: Any, **__: Any) -> Any:
    raise AssertionError("a loop is recorded when it is made")


def _cost(out: Any, *shapes: Any, of: Recording) -> tuple[int, int, int]:
    once = counted(t for t in of.graph()[0] if not t.is_leaf)
    counts = once * of.iteration.count
    return counts.multiplications, counts.additions, counts.transcendental


SCAN = _Scan("scan", _never, None, Together(_pulled), cost=_cost)
