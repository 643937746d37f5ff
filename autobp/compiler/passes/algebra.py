"""Passes: small functions from programs to programs that compute the same.

Those under "exact" give the same bits. Those under "to rounding" add up in another order, or multiply
by one constant where there were two.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from autobp.compiler.passes.images import (
    by_windows,
    channels_last,
    maxima_first,
    signs_of_maxima,
    sums_by_channel,
)
from autobp.compiler.passes.rewrite import (
    Rewrite,
    constant_step,
    is_array,
    is_number,
    is_same,
    rewriting,
)
from autobp.compiler.program import Program, Step, mapped, rebuilt
from autobp.compiler.trace.calls import as_type, draw, guarded
from autobp.operation import MOVE, PLUS, TIMES, operation
from autobp.rules.indexing import scatter

__all__ = ["PASSES", "optimized", "own_results"]

# ── exact ─────────────────────────────────────────────────────────────────────────────────────────


def without_dead(program: Program) -> Program:
    """Steps that nothing needs are left out."""
    needed = set(program.results) | program.effects
    steps = []
    for step in reversed(program.steps):
        if step in needed:
            needed.update(step.operands)
            steps.append(step)
    return program.with_(steps=steps[::-1])


def cse(program: Program) -> Program:
    """What is computed twice is computed once."""
    known: dict[Any, Step] = {}
    alike: dict[Any, Step] = {}
    other: dict[Step, Step] = {}
    for c in program.constants():
        first = alike.setdefault((c.shape, c.dtype, c.constant.tobytes()), c)
        if first is not c:
            other[c] = first

    def rule(step: Step, rewrite: Rewrite) -> Step | None:
        if step in program.effects or step.function is draw:
            return None
        if other:
            step = rebuilt(step, other)
        key = (step.function, _frozen(step.args), _frozen(step.params), step.errors)
        if key not in known:
            known[key] = step
            rewrite.steps.append(step)
        return known[key]

    return Rewrite(program).run(program, rule)


def _frozen(nest: Any) -> Any:
    if isinstance(nest, Step):
        return id(nest)
    kind = type(nest)
    if kind is tuple or kind is list:
        return kind, tuple(map(_frozen, nest))
    if kind is dict:
        return kind, tuple((k, _frozen(v)) for k, v in nest.items())
    if kind is slice:
        return kind, _frozen((nest.start, nest.stop, nest.step))
    return kind, repr(nest)  # −0.0 is not 0.0, nor 1 True


@rewriting
def constant_folding(step: Step, rewrite: Rewrite) -> Step | None:
    """What depends on constants alone is computed once and for all."""
    operands = step.operands
    if step.function in (None, guarded, draw) or not operands or step.errors or not step.is_array:
        return None
    if not all(s.is_constant for s in operands) or step.nbytes > 2 * sum(
        s.nbytes for s in operands
    ):
        return None
    args, params = mapped(lambda s: s.constant, (step.args, step.params))
    with np.errstate(all="ignore"):
        return constant_step(np.array(step.function(*args, **params)))


@rewriting
def plain_forms(step: Step, rewrite: Rewrite) -> Step | None:
    """One way to say each thing: the fastest that NumPy has."""
    f, args, params = step.function, step.args, step.params
    if f is operator.pow and step.is_array and step.dtype == args[0].dtype:
        special = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}.get(args[1])
        return rewrite.call(step, special, args[0]) if special else None
    if f is np.divide and is_number(args[0], 1) and step.is_array and step.dtype == args[1].dtype:
        return rewrite.call(step, np.reciprocal, args[1])
    ufunc = step.operation.reduces  # of which it is the method, or does the same
    named = ufunc is not None and f != ufunc.reduce
    if (named or f is np.mean) and len(args) <= 2:
        x, keepdims = args[0], bool(params.get("keepdims") or False)
        known = params.keys() <= {"axis", "keepdims"} and isinstance(x, Step) and x.is_array
        if not known or x.dtype is None or x.dtype.kind != "f" or not x.ndim:
            return None
        axis = _plain_axis(args[1] if len(args) == 2 else params.get("axis"), x.ndim, keepdims)
        options: dict[str, Any] = {"axis": axis} | ({"keepdims": True} if keepdims else {})
        if ufunc is not None:
            return rewrite.call(step, ufunc.reduce, x, **options)
        if x.dtype.itemsize < 4 or not x.size:
            return None
        total = rewrite.other(step, np.add.reduce, x, shape=step.shape, **options)
        return rewrite.call(step, np.divide, total, x.size // max(1, step.size))
    if (
        f == np.add.reduce
        and len(args) == 1
        and is_array(args[0])
        and args[0].ndim
        and params.keys() <= {"axis", "keepdims"}
    ):
        x, keepdims = args[0], bool(params.get("keepdims") or False)
        axis = _plain_axis(params.get("axis", 0), x.ndim, keepdims)
        plain: dict[str, Any] = {"axis": axis} | ({"keepdims": True} if keepdims else {})
        if _frozen(plain) != _frozen(params):
            return rewrite.call(step, np.add.reduce, x, **plain)
    if f is np.matrix_transpose and step.ndim == 2:
        return rewrite.call(step, np.transpose, args[0])
    if f is np.transpose and len(args) == 1 and "axes" in params:
        axes = params["axes"]
        return rewrite.call(step, f, args[0], *(() if axes is None else (tuple(axes),)))
    if f is np.transpose and len(args) == 2:
        axes = args[1]
        if axes is None or tuple(a % step.ndim for a in axes) == tuple(range(step.ndim))[::-1]:
            return rewrite.call(step, f, args[0])
    return None


def _plain_axis(axis: Any, ndim: int, keepdims: bool) -> Any:
    axes = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(sorted(a % ndim for a in axes))
    if len(axes) == ndim and ndim > 1:
        return None
    return axes[0] if len(axes) == 1 else axes


@rewriting
def simplified(step: Step, rewrite: Rewrite) -> Step | None:
    """Algebra that is exact: x·1, −−x, transposes of transposes, reshapes of reshapes."""
    f, args = step.function, step.args
    if step.params or not args:
        return None
    x = args[0]
    if f in (np.positive, np.copy) or (f is np.conjugate and step.dtype and step.dtype.kind == "f"):
        return x if is_same(x, step) else None
    if f is np.multiply:
        for a, b in (args, args[::-1]):
            if is_number(a, 1) and is_same(b, step):
                return b
    if f in (np.divide, operator.pow, np.power) and is_number(args[1], 1) and is_same(x, step):
        return x
    if f is np.subtract and is_number(args[1], 0) and is_same(x, step):
        return x
    if f is np.negative and isinstance(x, Step) and x.function is np.negative:
        return x.args[0] if is_same(x.args[0], step) else None
    if f in (np.add, np.subtract) and step.is_array:
        y = args[1]
        if isinstance(y, Step) and y.function is np.negative:
            inverse = np.subtract if f is np.add else np.add
            return rewrite.call(step, inverse, x, y.args[0])
        if f is np.add and isinstance(x, Step) and x.function is np.negative:
            return rewrite.call(step, np.subtract, y, x.args[0])
    if f is np.transpose and isinstance(x, Step):
        if step.ndim < 2:
            return x
        if len(args) == 1 and x.function is np.transpose and len(x.args) == 1:
            return x.args[0]
        if len(args) == 2 and tuple(args[1]) == tuple(range(step.ndim)):
            return x
        if len(args) == 2 and x.function is np.transpose and len(x.args) == 2:
            return rewrite.call(step, np.transpose, x.args[0], tuple(x.args[1][i] for i in args[1]))
    if f is np.matrix_transpose and isinstance(x, Step) and x.function is np.matrix_transpose:
        return x.args[0]
    if f in (np.reshape, np.ravel) and isinstance(x, Step) and len(args) == (1 + (f is np.reshape)):
        if is_same(x, step):
            return x
        if x.function is np.reshape and not x.params and len(x.args) == 2:
            return rewrite.call(step, np.reshape, x.args[0], step.shape)
    if f is np.broadcast_to and is_same(x, step):
        return x
    if f is as_type and is_same(x, step):
        return x
    if f is float and isinstance(x, Step) and x.kind is float:
        return x
    return None


def signs_from_relu(program: Program) -> Program:
    """Where x is positive is seen from max(x, 0) too, so that x itself need not be kept."""
    relus = {
        s.args[0]: s
        for s in program.steps
        if s.function is np.maximum and s.is_array and is_number(s.args[1], 0) and not s.params
    }
    before: set[Step] = set()

    def rule(step: Step, rewrite: Rewrite) -> Step | None:
        before.add(step)
        if step.function is np.greater and is_number(step.args[1], 0):
            relu = relus.get(step.args[0])
            if relu in before:
                return rewrite.call(step, np.greater, relu, 0)
        return None

    return Rewrite(program).run(program, rule)


@rewriting
def unspread(step: Step, rewrite: Rewrite) -> Step | None:
    """Broadcasts are left to the operation that uses them, and never made."""
    if not step.is_elementwise or not step.is_array or len(step.args) != 2:
        return None
    args = list(step.args)
    for i in (0, 1):
        x, other = args[i], args[1 - i]
        if not isinstance(x, Step) or not x.is_array or not isinstance(other, Step):
            continue
        if other.shape != step.shape or other.dtype != x.dtype:
            continue
        if x.function is np.broadcast_to and isinstance(x.args[0], Step):
            inner = x.args[0]
            if inner.dtype == x.dtype and inner.kind is not float:
                args[i] = inner
        elif x.is_constant and x.size > 1 and x.dtype is not None and x.dtype.kind == "f":
            first = x.constant.flat[0]
            if np.all(x.constant == first) and first != 0 and x.dtype.itemsize >= 4:
                args[i] = float(first)
    if args == list(step.args):
        return None
    return rewrite.call(step, step.function, *args)


@rewriting
def turned(step: Step, rewrite: Rewrite) -> Step | None:
    """The transpose of a product is the product of the transposes, which takes no pass over memory
    of its own."""
    x = step.args[0] if step.args else None
    if step.function is not np.transpose or len(step.args) != 1:
        return None
    if not isinstance(x, Step) or not rewrite.single(x):
        return None
    if x.function is not np.matmul or x.ndim != 2:
        return None
    a, b = x.args
    if not (isinstance(a, Step) and isinstance(b, Step) and a.ndim == b.ndim == 2):
        return None
    left = rewrite.other(step, np.transpose, b, shape=b.shape[::-1])
    right = rewrite.other(step, np.transpose, a, shape=a.shape[::-1])
    return rewrite.call(step, np.matmul, left, right)


@rewriting
def maxima_of_short_rows(step: Step, rewrite: Rewrite) -> Step | None:
    """The maximum of each of many short rows: NumPy goes through columns faster."""
    f, params = step.function, step.params
    if f not in (np.maximum.reduce, np.minimum.reduce) or len(step.args) != 1:
        return None
    x = step.args[0]
    if (
        not is_array(x)
        or x.ndim != 2
        or params.get("axis") not in (1, -1)
        or x.shape[1] > 32
        or x.shape[0] < 64
    ):
        return None
    turned = rewrite.other(step, np.transpose, x, shape=x.shape[::-1])
    columns = rewrite.other(step, np.ascontiguousarray, turned, shape=x.shape[::-1])
    if not params.get("keepdims"):
        return rewrite.call(step, f, columns, axis=0)
    top = rewrite.other(step, f, columns, axis=0, shape=(x.shape[0],))
    return rewrite.call(step, np.reshape, top, step.shape)


@operation(static=True, fresh=True)
def placed(x: Any, index: Any, shape: Any) -> Any:
    """Zeros with x at the index, which names no place twice."""
    z = np.zeros(shape, x.dtype)
    z[index] = x
    return z


@rewriting
def distinct_places(step: Step, rewrite: Rewrite) -> Step | None:
    """What is put back to places that are all different need not be added."""
    if step.function is not scatter.function:
        return None
    index, shape = step.params["index"], step.params["shape"]
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [p for p in parts if isinstance(p, Step)]
    plain = all(isinstance(p, slice | int) or p is Ellipsis or p in arrays for p in parts)
    x = step.args[0]
    if not plain or not isinstance(x, Step) or not x.is_array:
        return None
    for p in arrays:
        if p.dtype is None or p.dtype.kind not in "iu" or p.ndim != 1 or p.size != arrays[0].size:
            return None
    if any(p.is_constant and _all_different(p.constant) for p in arrays):
        return rewrite.call(step, placed, x, index, shape)
    return None


def _all_different(index: np.ndarray) -> bool:
    return bool(np.all(index >= 0)) and len(np.unique(index)) == index.size


# ── to rounding ───────────────────────────────────────────────────────────────────────────────────


@rewriting
def one_factor(step: Step, rewrite: Rewrite) -> Step | None:
    """Two constant factors in a row are one."""
    f, args = step.function, step.args
    if not step.is_array or step.params or step.dtype not in (np.float64, np.float32):
        return None
    if f is np.negative:
        outer, x = -1.0, args[0]
    elif f is np.multiply and (is_number(args[0]) or is_number(args[1])):
        outer, x = (args[0], args[1]) if is_number(args[0]) else (args[1], args[0])
    elif f is np.divide and is_number(args[1]) and args[1]:
        outer, x = 1 / args[1], args[0]
    else:
        return None
    if not rewrite.single(x) or not is_same(x, step) or x.params:
        return None
    inner: float
    if x.function is np.multiply and (is_number(x.args[0]) or is_number(x.args[1])):
        inner, y = x.args if is_number(x.args[0]) else x.args[::-1]
    elif x.function is np.divide and is_number(x.args[1]) and x.args[1]:
        inner, y = 1 / x.args[1], x.args[0]
    else:
        return None
    factor = outer * inner
    if not isinstance(y, Step) or not 1e-30 < abs(factor) < 1e30:
        return None
    return rewrite.call(step, np.multiply, float(factor), y)


@rewriting
def products_for_sums(step: Step, rewrite: Rewrite) -> Step | None:
    """The sum of a product is a product of matrices, and what is summed is never made."""
    if step.function != np.add.reduce or len(step.args) != 1 or step.params.get("keepdims"):
        return None
    x = step.args[0]
    if (
        not rewrite.single(x)
        or not x.is_array
        or x.params
        or x.dtype not in (np.float64, np.float32)
    ):
        return None
    if step.shape == () and x.function in (np.multiply, np.square):
        a, b = x.args * 2 if x.function is np.square else x.args
        if is_same(a, x) and is_same(b, x):
            return rewrite.call(step, np.vdot, a, b)
    return None


@rewriting
def sums_as_products(step: Step, rewrite: Rewrite) -> Step | None:
    """Sums over the rows or the columns of a matrix are its products with ones."""
    if step.function != np.add.reduce or len(step.args) != 1:
        return None
    x, axis = step.args[0], step.params.get("axis")
    if (
        not is_array(x)
        or x.ndim != 2
        or axis not in (0, 1)
        or x.dtype not in (np.float64, np.float32)
    ):
        return None
    if not x.size or x.shape[axis] < 4:
        return None
    shape: tuple[int, ...] = (x.shape[axis],)
    if step.params.get("keepdims"):
        shape = (1, x.shape[0]) if axis == 0 else (x.shape[1], 1)
    ones = constant_step(np.ones(shape, x.dtype))
    return rewrite.call(step, np.matmul, *((ones, x) if axis == 0 else (x, ones)))


# ── for small arrays, where each call costs more than its arithmetic ──────────────────────────────

SMALL = 4096  # elements


@rewriting
def small_numbers(step: Step, rewrite: Rewrite) -> Step | None:
    """Numbers are made arrays beforehand, which NumPy would do at each call."""
    if not step.is_elementwise or step.size > SMALL or not step.is_array:
        return None
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


def quiet_together(program: Program) -> Program:
    """np.errstate is entered once for a run of steps, not once for each: the few steps between two
    that need it are made quiet too, if they are sums and products."""
    steps = program.steps
    loud = [i for i, s in enumerate(steps) if s.errors]
    quiet: dict[int, Any] = {}
    for i, j in pairwise(loud):
        between = steps[i + 1 : j]
        alike = all(
            (s.errors, s.phase, s.scope) == (steps[i].errors, steps[i].phase, steps[i].scope)
            for s in (steps[i], steps[j])
        )
        if alike and len(between) <= 8 and all(_is_arithmetic(s) for s in between):
            quiet.update((k, steps[i].errors) for k in range(i + 1, j))
    instead = {steps[k]: errors for k, errors in quiet.items()}
    old = iter(steps)

    def rule(step: Step, rewrite: Rewrite) -> Step | None:
        errors = instead.get(next(old))
        return (
            rewrite.call(step.with_(errors=errors), step.function, *step.args) if errors else None
        )

    return Rewrite(program).run(program, rule)


def _is_arithmetic(step: Step) -> bool:
    """Whether a step is a sum, a product, or moves elements."""
    return step.operation.cost in (PLUS, TIMES, MOVE) or step.operation.blas


# ── at the end ────────────────────────────────────────────────────────────────────────────────────


def own_results(program: Program, written: Program, replaced: Collection[Step] = ()) -> Program:
    """Results are the caller's: neither constants of the program, nor parts of other arrays, nor one
    array in two places. Arguments alone are returned as they are, where they were `written` so and
    are not `replaced` by the call."""
    copies: list[Step] = []
    seen: set[Step] = set()
    originals = iter(written.results)

    def owned(step: Step) -> Step:
        first = step not in seen
        seen.add(step)
        original = next(originals)
        lent = original.is_argument and original not in replaced
        if not step.is_array or lent or (first and step.is_fresh):
            return step
        copy = step.with_(function=np.copy, args=(step,), params={}, constant=None, name=None)
        copies.append(copy)
        return copy

    returns = mapped(owned, program.returns)
    return program.with_(returns=returns, steps=[*program.steps, *copies])


PASSES: tuple[Callable[[Program], Program], ...] = (
    without_dead,
    plain_forms,
    constant_folding,
    simplified,
    unspread,
    cse,
    one_factor,
    turned,
    products_for_sums,
    sums_as_products,
    maxima_of_short_rows,
    distinct_places,
    signs_from_relu,
    signs_of_maxima,
    maxima_first,
    sums_by_channel,
)


AT_LAST = (small_numbers, cse, quiet_together)


def optimized(program: Program) -> Program:
    """All passes. Images come when nothing else is left to do, and then there is more."""
    program = _settled(program, PASSES)
    if (after := channels_last(by_windows(program))) is not program:
        program = _settled(after, (*PASSES, channels_last))
    for run in AT_LAST:
        program = run(program)
    return without_dead(program)


def _settled(program: Program, passes: Sequence[Callable[[Program], Program]]) -> Program:
    """After all passes, until they find nothing more."""
    for _ in range(10):
        before = program.steps
        for run in passes:
            program = run(program)
        if len(before) == len(program.steps) and all(
            a is b for a, b in zip(before, program.steps, strict=True)
        ):
            break
    return program
