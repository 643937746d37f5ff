"""Comparison: whether a program gives what its function gives, to rounding.

What is small for one computation is an error in another. Where results differ by more than the usual
rounding, both run again on arguments that are changed in their last digits, which tells how much
rounding matters there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.compiler.results import form
from autobp.compiler.terms import DifferenceError
from autobp.compiler.trace.free_variables import has_identity
from autobp.compiler.trace.handlers import is_of_handler, suppressed
from autobp.tensor import Tensor
from autobp.tree import leaves

__all__ = ["check_same"]

Values = list[tuple[str, Any]]  # and what messages call them
Outcome = tuple[Any, Values]  # a result, and what was changed
Replay = Callable[[bool, int], tuple[Outcome, Outcome]]

#: How much farther arguments are moved where the first move tells nothing: among half a million relus
#: rounding takes one or two to the other side of their kinks, and not the same with each move.
KINKS = 64


def check_same(
    name: str,
    program: Outcome,
    function: Outcome,
    replay: Replay,
) -> None:
    """Raise an error if results and changes of a program are not those of the function. `replay` runs
    function and program on arguments that differ in the last digits, or on such Tensors alone; and is
    told how far they are to differ."""
    found, expected = _values(program), _values(function)
    difference = _difference(found, expected)
    if difference is None:
        return
    where, said, is_numeric = difference
    if is_numeric:
        i = _beyond_rounding(found, expected, replay)
        if i is None:
            return
        where, said, _ = _difference(found[i : i + 1], expected[i : i + 1]) or difference
    raise DifferenceError(
        f"compile cannot be trusted with {name}: {where} {said}. The function depends on something"
        " that no program can follow: the type or the identity of a number, or what it finds around"
        " it; see compile's documentation for what is constant"
    )


def _values(outcome: Outcome) -> Values:
    result, changes = outcome
    values = [
        (f"result{path}", y.primal_value() if isinstance(y, Tensor) else y)
        for path, y in leaves(result)
    ]
    return [("the form of the result", form(result)), *values, *changes]


# ── the first difference ──────────────────────────────────────────────────────────────────────────


def _difference(found: Values, expected: Values) -> tuple[str, str, bool] | None:
    """The first difference: where, what, and whether it is one of numbers alone."""
    for (where, x), (_, y) in zip(found, expected, strict=False):
        if x is y:
            continue
        if not _is_number(x) or not _is_number(y):
            if not _equal(x, y):
                return where, f"is {x!r:.60} by the program and {y!r:.60} by the function", False
            continue
        a, b = np.asarray(x), np.asarray(y)
        if a.shape != b.shape:
            said = f"has shape {a.shape} by the program and {b.shape} by the function"
            return where, said, False
        if a.dtype != b.dtype and (a.ndim or b.ndim):
            return where, f"is {a.dtype} by the program and {b.dtype} by the function", False
        with np.errstate(all="ignore"):
            if _is_near(a, b):
                continue
            excess = _excess(a, b)
            if np.max(excess) > 1:
                index = np.unravel_index(int(np.argmax(excess)), a.shape)
                at = f" at {tuple(map(int, index))}" if a.ndim else ""
                said = f"is {a[index]!r}{at} by the program and {b[index]!r} by the function"
                return where, said.replace("np.float64(", "(").replace("np.float32(", "("), True
    if len(found) != len(expected):
        return "the result", "has another form by the program than by the function", False
    return None


def _is_number(x: Any) -> bool:
    return isinstance(x, float | int | complex | np.generic | np.ndarray) and (
        np.asarray(x).dtype.kind in "biufc"
    )


def _equal(x: Any, y: Any) -> bool:
    if type(x) is not type(y):
        return False
    with suppressed():  # an object of no known kind is as good as another of its class
        return has_identity(type(x)) or bool(x == y)
    return True


def _tolerance(dtype: np.dtype[Any]) -> float:
    if dtype.kind == "f":
        return {2: 1e-2, 4: 1e-4}.get(dtype.itemsize, 1e-9)
    return 1e-4 if dtype == np.complex64 else 1e-9


def _precision(dtype: np.dtype[Any]) -> float:
    return float(np.finfo(dtype).eps) if dtype.kind in "fc" else 0.0


def _is_near(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are the same to far less than `_excess` allows, which is quickly seen."""
    if np.array_equal(a, b):
        return True
    if a.dtype.kind not in "fc" or b.dtype.kind not in "fc":
        return False
    tol = 1e-3 * _tolerance(a.dtype)
    return bool(np.max(np.abs(a - b)) <= tol * np.max(np.abs(b)))


def _excess(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The distance of each two numbers over that which rounding may make."""
    if a.dtype.kind in "biu" and b.dtype.kind in "biu":
        return np.where(a == b, 0.0, 2.0)
    tol = max(_tolerance(a.dtype), _tolerance(b.dtype))
    finite = np.isfinite(a) & np.isfinite(b)
    size = np.maximum(np.abs(a), np.abs(b))
    scale = np.max(size, where=finite, initial=0.0)
    # sums of a few dozen numbers are off by so many units in the last place of the largest
    floor = min(tol, max(1e-3 * tol, 16 * _precision(a.dtype), 16 * _precision(b.dtype)))
    near = np.abs(a * 1.0 - b) / (np.maximum(tol * size, floor * scale) + np.finfo(float).tiny)
    return np.where(_same(a, b), 0.0, np.where(finite, near, np.inf))


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a == b) | (np.isnan(a) & np.isnan(b))


# ── how much rounding matters ─────────────────────────────────────────────────────────────────────


def _beyond_rounding(found: Values, expected: Values, replay: Replay) -> int | None:
    """The place of the first value of which the two are farther apart than each is from itself on moved
    arguments."""
    place: int | None = 0
    for far in (1, KINKS):
        for moves_arguments in (True, False):  # labels, say, must be what they are
            try:
                function, program = replay(moves_arguments, far)
            except Exception as error:
                if is_of_handler(error):
                    raise
                continue
            place = _far(found, expected, _values(function), _values(program))
            if place is None:
                return None
            break
    return place


def _far(found: Values, expected: Values, function: Values, program: Values) -> int | None:
    """The first place where program and function are farther from each other than rounding takes
    either."""
    largest = max((_size(y) for _, y in (*expected, *found)), default=0.0)
    all_of_one = zip(found, expected, function, program, strict=False)
    for i, ((_, x), (_, y), (_, f), (_, p)) in enumerate(all_of_one):
        if not all(map(_is_number, (x, y, f, p))) or not np.shape(y) == np.shape(f) == np.shape(p):
            continue
        a, b = np.asarray(x), np.asarray(y)
        with np.errstate(all="ignore"):
            if not a.size or np.max(_excess(a, b)) <= 1:
                continue
            distance = np.abs(a * 1.0 - b)
            width = _width(b, np.asarray(f)) + _width(a, np.asarray(p))
            if a.dtype.kind in "fc":  # a sum of large numbers may be nothing but rounding
                width = width + np.finfo(a.dtype).eps * largest / 10
            if not np.all(np.isfinite(width)):
                continue
            if not np.all(np.isfinite(distance)) or np.max(distance) > 100 * np.max(width):
                return i
    return None


def _width(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The distance of two results, where both are nan or the same infinity none."""
    return np.where(_same(a, b), 0.0, np.abs(a * 1.0 - b))


def _size(x: Any) -> float:
    """The largest finite number in something."""
    if not _is_number(x) or not np.size(x):
        return 0.0
    size = np.abs(np.asarray(x) * 1.0)
    return float(np.max(size, where=np.isfinite(size), initial=0.0))
