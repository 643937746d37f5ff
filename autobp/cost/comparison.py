"""compare: count and measure all ways to differentiate one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autobp.compiler.snapshot import Snapshot
from autobp.compiler.trace.search import free_variables
from autobp.context import evaluation
from autobp.cost.measuring import Measured, measure
from autobp.cost.methods import first_order, second_order
from autobp.cost.problem import Method, Problem
from autobp.cost.report import Report, Row, machine, size
from autobp.counts import unknown

__all__ = ["compare", "compared"]


def compare(
    function: Callable[..., Any], *args: Any, order: int = 1, full: bool = False, seed: int = 0
) -> Report:
    """Compare what each way of differentiating a function costs, by all of its arguments: one direction
    at a time, all at once, only those that a sparse Jacobian needs, and with `remat` in √n segments of
    what was recorded.

    Operations and bytes are counted on the graph; time and memory are measured. If all sweeps would
    take too long, a random sample of the directions is timed and scaled up, and the report says so;
    `full=True` runs all of them. A way that f does not allow, since a rule of its own is not written in NumPy,
    say, has no numbers, and a note says why. Ctrl-C ends it early and returns what was measured until then.
    Reverse mode sweeps from one output at a time: for a loss, the only one, that is one sweep.
    `order=2` compares Hessians, and Hessian-vector products, of a function that returns a number. All at
    once, and sparse, they are computed by forward over reverse, as `hessian` does.

    >>> import numpy as np
    >>> from autobp.cost import compare
    >>> report = compare(lambda x: np.sum(np.sin(x) * x), np.ones(100))
    >>> print(report["reverse"].sweeps)
    1 recording, 1 backward
    >>> report.ratio("reverse", "flops") < 5
    True
    >>> report["central differences"].counts.flops > 200 * report.rows[0].counts.flops
    True
    """
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, not {order!r}")
    if not callable(function):
        raise TypeError(
            f"compare takes a function and its arguments, not {type(function).__name__}"
        )
    return compared(function, args, first_order if order == 1 else second_order, full, seed)


def compared(
    function: Callable[..., Any],
    args: Sequence[Any],
    methods: Callable[[Problem], list[Method]],
    full: bool,
    seed: int,
) -> Report:
    """Compare some ways of differentiating a function."""
    with (
        evaluation()
    ):  # to Tensors that the function uses besides its arguments, no gradient is taken
        before = Snapshot(free_variables(function), args)  # such as the averages of a BatchNorm
        try:
            problem, order = Problem(function, args), 2 if methods is second_order else 1
            found, interrupted = measure(methods(problem), full, np.random.default_rng(seed))
            draws = not interrupted and problem.draws
        finally:
            before.restore()
    rows = tuple(map(_row, found))
    notes = [*_notes(problem, rows, order), machine()]
    for why in reversed(dict.fromkeys(row.failed for row in rows if row.failed)):
        ways = "; ".join(row.method for row in rows if row.failed == why)
        notes.insert(0, f"failed: {ways}: {why}")
    if draws:
        notes.insert(
            0,
            "f gave other values when it ran again, as one that draws random numbers does: errors say nothing",
        )
    if interrupted:
        notes.insert(0, "interrupted: rows without numbers were not measured")
    n, m = problem.inputs.size, problem.outputs.size
    what = "all first derivatives" if order == 1 else "all second derivatives"
    return Report(f"f: {n:,} → {m:,}: {what}", rows, tuple(notes), interrupted)


def _row(m: Measured) -> Row:
    how = m.method
    return Row(
        how.name,
        how.sweeps,
        how.counts,
        how.alive,
        m.seconds,
        m.peak,
        m.error,
        m.directions,
        how.directions,
        "" if m.failed is None else f"{type(m.failed).__name__}: {m.failed}",
    )


_SMALL = 1000  # operations in a call; below that, the call itself takes longer
_CACHED = 1_000_000  # bytes


def _notes(problem: Problem, rows: tuple[Row, ...], order: int) -> list[str]:
    """How to read the numbers, and where times differ from theory."""
    operations, f = problem.graph.evaluation.operations, problem.graph.evaluation.counts
    notes = [
        "counted on the graph: × are multiplications and divisions; + are additions, subtractions and"
        " comparisons; exp … are calls of exp, log, sqrt and the like, one operation each; × f is a"
        " multiple of one evaluation",
        "memory of one sweep, without the arguments: alive counts the bytes of the numbers needed at"
        " the same time; peak is measured, and includes the sweep's direction and Python's objects",
        "time: medians in one process after a warm-up; a sample is scaled up to all directions;"
        f" which entries of a sparse {'Jacobian' if order == 1 else 'Hessian'} may differ from 0 is found"
        " once, before",
        f"error: the largest, relative to the largest derivative, against {_reference(order)}; at a kink, as"
        " that of |x| at 0, differences find other slopes",
    ]
    if order == 2:
        notes.insert(0, _products(rows))
    if f.flops < _SMALL * f.calls:
        each = round(f.flops / f.calls)
        notes.append(
            f"beyond theory: f has {each:,} operation{'s' * (each != 1)} in a NumPy call; with so few,"
            " the calls themselves take most of the time"
        )
    if any(t.primitive is not None and t.primitive.facts.blas for t in operations):
        notes.append(
            "beyond theory: BLAS computes matrix products many times faster than NumPy computes other"
            " operations, possibly on several threads"
        )
    largest = max(row.alive or 0 for row in rows)
    if largest > _CACHED:
        notes.append(
            f"beyond theory: {size(largest)} may exceed the processor's caches;"
            " no count shows the time of memory accesses"
        )
    if any(row.counts is None for row in rows):
        notes.append("–: not counted, since a rule of f is not written in NumPy, or not measured")
    if names := unknown(operations):
        notes.append(f"of unknown cost, counted as one call for each number: {', '.join(names)}")
    return notes


def _reference(order: int) -> str:
    return "reverse mode" if order == 1 else "forward over reverse"


def _products(rows: tuple[Row, ...]) -> str:
    _, gradient, product, *_ = rows
    if product.counts is None or gradient.counts is None:
        return "the products of the Hessian and a vector are not counted"
    said = f"a Hessian-vector product costs {product.counts.flops / gradient.counts.flops:.1f} gradients"
    if gradient.seconds and product.seconds:
        return f"{said} by count, {product.seconds / gradient.seconds:.1f} by time"
    return f"{said} by count"
