"""Exact passes: the program computes the same numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import pairwise
from types import EllipsisType, NoneType
from typing import Any

import numpy as np

from autobp.compiler.passes.rewrite import (
    Rewrite,
    constant_step,
    frozen,
    is_array,
    is_number,
    is_same,
)
from autobp.compiler.program import Program, Step, mapped, rebuilt
from autobp.compiler.trace.calls import as_type, draw, guarded, placed
from autobp.kernels.extrema import LONG, MANY, greatest, least
from autobp.kernels.factors import SHORT, multiplied
from autobp.kernels.triangular import by_substitution, solved
from autobp.operation import MOVE, PLUS, TIMES
from autobp.rules.indexing import scatter

SMALL = 4096  # elements: below, a call costs more than its arithmetic


# ── preconditions ─────────────────────────────────────────────────────────────────────────────────


def is_call(step: Step) -> bool:
    return step.function is not None


def is_pure(step: Step) -> bool:
    return step.function not in (draw, guarded)


def is_simplified(step: Step) -> bool:
    """Whether there is algebra for a call."""
    return step.function in _SIMPLIFICATIONS and not step.params


def is_scatter(step: Step) -> bool:
    return step.function is scatter.function


def is_solution(step: Step) -> bool:
    return step.function is solved


def is_small_elementwise(step: Step) -> bool:
    return step.is_elementwise and step.is_array and step.size <= SMALL


def is_of_rows(step: Step) -> bool:
    """Whether the greatest, the least or the product of each of many rows is taken, and none is long."""
    if step.operation.reduces not in _OF_ROWS or step.params.keys() - {"axis", "keepdims"}:
        return False
    x, axis = step.args[0], step.params.get("axis")
    if len(step.args) > 1 or not is_array(x) or x.dtype not in (np.float32, np.float64):
        return False
    most = SHORT if step.operation.reduces is np.multiply else LONG
    return bool(x.ndim > 1 and axis == x.ndim - 1 and x.size >= MANY and x.shape[-1] <= most)


def has_errstate(step: Step) -> bool:
    return bool(step.errors)


# ── simplifying ───────────────────────────────────────────────────────────────────────────────────


def dead_code_elimination(program: Program) -> Program:
    """Steps that nothing needs are left out."""
    needed = set(program.results) | program.effects
    steps = []
    for step in reversed(program.steps):
        if step in needed:
            needed.update(step.operands)
            steps.append(step)
    return program if len(steps) == len(program.steps) else program.with_(steps=steps[::-1])


def common_subexpression_elimination(step: Step, rewrite: Rewrite) -> Step | None:
    """What is computed twice is computed once."""
    if step in rewrite.program.effects or (step.loop and step.loop.body.effects):
        return None
    return rewrite.known_call(step)


def canonicalization(step: Step, rewrite: Rewrite) -> Step | None:
    """One way to write each call: the fastest that NumPy has."""
    f, args = step.function, step.args
    if f is operator.pow and step.is_array and step.dtype == args[0].dtype:
        special = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}.get(args[1])
        return rewrite.call(step, special, args[0]) if special else None
    if f is np.divide and is_number(args[0], 1) and step.is_array and step.dtype == args[1].dtype:
        return rewrite.call(step, np.reciprocal, args[1])
    if f is np.matrix_transpose and step.ndim == 2:
        return rewrite.call(step, np.transpose, args[0])
    if f is np.transpose:
        order = _order(step)
        axes = () if order == tuple(range(step.ndim))[::-1] else (order,)
        changed = step.params or args[1:] != axes
        return rewrite.call(step, np.transpose, args[0], *axes) if changed else None
    return _canonical_reduction(step, rewrite)


def _canonical_reduction(step: Step, rewrite: Rewrite) -> Step | None:
    """np.add.reduce(x, axis=…) for np.sum, and the like, and for np.mean the sum divided by a number."""
    f, params = step.function, step.params
    ufunc = np.add if f is np.mean else step.operation.reduces
    if ufunc is None or len(step.args) > 2 or not params.keys() <= {"axis", "keepdims"}:
        return None
    x, *axes = step.args
    is_method = f == ufunc.reduce
    if not is_array(x) or not x.ndim or (not is_method and x.dtype.kind != "f"):
        return None
    axis = axes[0] if axes else params.get("axis", 0 if is_method else None)
    keepdims = bool(params.get("keepdims") or False)
    options: dict[str, Any] = {"axis": _canonical_axis(axis, x.ndim)}
    if keepdims:
        options["keepdims"] = True
    if f is np.mean:
        if x.dtype.itemsize < 4 or not x.size:
            return None
        total = rewrite.other(step, np.add.reduce, x, shape=step.shape, **options)
        return rewrite.call(step, np.divide, total, x.size // max(1, step.size))
    if is_method and not axes and frozen(options) == frozen(params):
        return None
    return rewrite.call(step, ufunc.reduce, x, **options)


def _canonical_axis(axis: Any, ndim: int) -> Any:
    axes = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(sorted(a % ndim for a in axes))
    if len(axes) == ndim and ndim > 1:
        return None
    return axes[0] if len(axes) == 1 else axes


def _order(step: Step) -> tuple[int, ...]:
    """The axes of what is transposed, in the order of the result's."""
    axes = step.args[1] if len(step.args) > 1 else step.params.get("axes")
    if isinstance(axes, int | np.integer):  # of a vector
        axes = (axes,)
    if isinstance(axes, int | np.integer):  # of a vector
        return (0,)
    return (
        tuple(range(step.ndim))[::-1] if axes is None else tuple(int(a) % step.ndim for a in axes)
    )


def algebraic_simplification(step: Step, rewrite: Rewrite) -> Step | None:
    """Algebra that is exact: x·1, −−x, transposes of transposes, reshapes of reshapes."""
    return _SIMPLIFICATIONS[step.function](step, rewrite)


def _identity(step: Step, rewrite: Rewrite) -> Step | None:
    """A call that returns what it is given, if that has the form already."""
    x = step.args[0]
    return x if is_same(x, step) else None


def _without_conjugation(step: Step, rewrite: Rewrite) -> Step | None:
    x = step.args[0]
    is_real = is_same(x, step) and x.dtype is not None and x.dtype.kind == "f"
    return x if is_real else None


def _without_one(step: Step, rewrite: Rewrite) -> Step | None:
    x, one = step.args
    return x if is_number(one, 1) and is_same(x, step) else None


def _product_simplification(step: Step, rewrite: Rewrite) -> Step | None:
    x, y = step.args
    return y if is_number(x, 1) and is_same(y, step) else _without_one(step, rewrite)


def _double_negation(step: Step, rewrite: Rewrite) -> Step | None:
    x = step.args[0]
    return x.args[0] if _calls(x, step.function) and is_same(x.args[0], step) else None


def _sum_simplification(step: Step, rewrite: Rewrite) -> Step | None:
    f, (x, y) = step.function, step.args
    if f in (np.subtract, operator.sub) and is_number(y, 0) and is_same(x, step):
        return x
    if step.is_array and f in _OPPOSITE and _calls(y, np.negative):
        return rewrite.call(step, _OPPOSITE[f], x, y.args[0])
    if step.is_array and f is np.add and _calls(x, np.negative):
        return rewrite.call(step, np.subtract, y, x.args[0])
    return None


def _transpose_simplification(step: Step, rewrite: Rewrite) -> Step | None:
    x = step.args[0]
    if not is_array(x):
        return None
    order, unmoved = _order(step), tuple(range(step.ndim))
    if order == unmoved:
        return x
    if _calls(x, np.transpose):
        order = tuple(_order(x)[i] for i in order)
        return x.args[0] if order == unmoved else rewrite.call(step, np.transpose, x.args[0], order)
    return None


def _matrix_transpose_simplification(step: Step, rewrite: Rewrite) -> Step | None:
    x = step.args[0]
    return x.args[0] if _calls(x, np.matrix_transpose) else None


def _reshape_simplification(step: Step, rewrite: Rewrite) -> Step | None:
    x, *others = step.args
    if is_same(x, step):
        return x
    is_plain = step.function is np.ravel or len(others) == 1
    if is_plain and _calls(x, np.reshape):
        return rewrite.call(step, np.reshape, x.args[0], step.shape)
    return None


_OPPOSITE = {np.add: np.subtract, np.subtract: np.add}
_SIMPLIFICATIONS: dict[Any, Callable[[Step, Rewrite], Step | None]] = {
    **dict.fromkeys((np.positive, np.copy, np.broadcast_to, as_type, float), _identity),
    np.conjugate: _without_conjugation,
    **dict.fromkeys((np.multiply, operator.mul), _product_simplification),
    **dict.fromkeys((np.divide, operator.pow, np.power), _without_one),
    **dict.fromkeys((np.negative, operator.neg), _double_negation),
    **dict.fromkeys((np.add, np.subtract, operator.sub), _sum_simplification),
    np.transpose: _transpose_simplification,
    np.matrix_transpose: _matrix_transpose_simplification,
    **dict.fromkeys((np.reshape, np.ravel), _reshape_simplification),
}


def _calls(x: Any, function: Any) -> bool:
    """Whether an operand is a step that calls a function, with no more than it needs."""
    return isinstance(x, Step) and x.function is function and not x.params and len(x.args) <= 2


def scatter_simplification(step: Step, rewrite: Rewrite) -> Step | None:
    """What is put back to places that are all different need not be added."""
    index, shape = step.params["index"], step.params["shape"]
    if not names_once(index):
        return None
    return rewrite.call(step, placed, step.args[0], index, shape)


def names_once(index: Any) -> bool:
    """Whether it is plain to see that an index names no place twice."""
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [p for p in parts if isinstance(p, Step) and p.kind is not int]
    numbers = int, slice, Step, NoneType, EllipsisType
    if not all(type(p) in numbers for p in parts):
        return False
    for p in arrays:
        if p.dtype is None or p.dtype.kind not in "iu" or p.ndim != 1 or p.size != arrays[0].size:
            return False
    return not arrays or any(p.is_constant and _all_different(p.constant) for p in arrays)


def small_systems(step: Step, rewrite: Rewrite) -> Step | None:
    """Systems of equations that are too few and too small for substitution are solved by NumPy alone."""
    a = step.args[0]
    if not is_array(a) or by_substitution(a.shape):
        return None
    return rewrite.call(step, np.linalg.solve, *step.args)


def _all_different(index: np.ndarray) -> bool:
    return bool(np.all(index >= 0)) and len(np.unique(index)) == index.size


# ── lowering ──────────────────────────────────────────────────────────────────────────────────────


def constant_materialization(step: Step, rewrite: Rewrite) -> Step | None:
    """Numbers are made arrays beforehand, which NumPy would do at each call."""
    if step.function is np.ldexp:  # of which the second is a whole number
        return None
    arrays = [a for a in step.args if isinstance(a, Step) and a.is_array]
    numbers = [a for a in step.args if is_number(a)]
    dtypes = {a.dtype for a in arrays}
    if not numbers or dtypes not in ({np.dtype(np.float64)}, {np.dtype(np.float32)}):
        return None
    if len(arrays) + len(numbers) < len(step.args):
        return None
    made = (constant_step(np.array(a, arrays[0].dtype)) if is_number(a) else a for a in step.args)
    return rewrite.call(step, step.function, *made)


def reductions_of_rows(step: Step, rewrite: Rewrite) -> Step | None:
    """Maxima and minima of rows are found as their places are, and products column by column, which is
    faster."""
    function = _OF_ROWS[step.operation.reduces]
    return rewrite.call(step, function, step.args[0], -1, step.params.get("keepdims", False))


_OF_ROWS: dict[Any, Any] = {np.maximum: greatest, np.minimum: least, np.multiply: multiplied}


def errstate_merging(program: Program) -> Program:
    """np.errstate is entered once for a run of steps, not once for each: the few steps between two
    that need it are made quiet too, if they are sums and products."""
    steps = program.steps
    merged = [step.errors for step in steps]
    for i, j in pairwise(i for i, step in enumerate(steps) if step.errors):
        first, last, between = steps[i], steps[j], steps[i + 1 : j]
        alike = all(getattr(first, k) == getattr(last, k) for k in ("errors", "phase", "scope"))
        if alike and len(between) <= 8 and all(map(_is_arithmetic, between)):
            merged[i:j] = [first.errors] * (j - i)
    instead: dict[Step, Step] = {}
    for step, errors in zip(steps, merged, strict=True):
        made = rebuilt(step, instead)
        if errors != step.errors:
            made = made.with_(errors=errors)
        if made is not step:
            instead[step] = made
    if not instead:
        return program
    other = lambda s: instead.get(s, s)
    return program.with_(
        steps=[*map(other, steps)],
        returns=mapped(other, program.returns),
        effects={*map(other, program.effects)},
    )


def _is_arithmetic(step: Step) -> bool:
    """Whether a step is a sum, a product, or moves elements."""
    return step.operation.cost in (PLUS, TIMES, MOVE) or step.operation.blas
