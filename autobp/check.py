"""Forward and reverse mode checked against central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autobp.arrays import is_foreign
from autobp.forward import jvp, linearize
from autobp.habits import checks_keywords
from autobp.primitive import constant
from autobp.reverse import vjp
from autobp.tensor import Tensor
from autobp.tree import leaves, refilled, transformed

__all__ = ["GradientError", "GradientReport", "check_gradients"]


class GradientError(AssertionError):
    """A derivative that disagrees with the numerical one."""


@dataclass
class GradientReport:
    """What `check_gradients` compared, and the worst it found."""

    compared: int = 0
    error: float = 0.0  # the worst, relative to the tolerance: above 1 is a failure
    worst: str = "nothing to compare"
    modes: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        verdict = "agree" if self.error <= 1 else "DISAGREE"
        return f"gradients {verdict}: {self.compared} numbers compared; worst: {self.worst}"

    def note(self, mode: str, what: str, found: float, numerical: float, bound: float) -> None:
        self.compared += 1
        gap = abs(found - numerical)
        error = gap / bound if np.isfinite(gap) else (0.0 if _same(found, numerical) else np.inf)
        self.modes[mode] = max(self.modes.get(mode, 0.0), error)
        if self.compared == 1 or error > self.error:
            self.error = error
            self.worst = f"{what}: {mode} {found:.10g}, numerical {numerical:.10g}"


def _same(a: float, b: float) -> bool:
    return a == b or (np.isnan(a) and np.isnan(b))


@checks_keywords
def check_gradients(
    function: Callable[..., Any],
    *args: Any,
    order: int = 1,
    step: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    elements: int = 100,
    seed: int = 0,
) -> GradientReport:
    """Compare forward and reverse mode with central differences; raise if they disagree.

    Every element of every argument is varied, or `elements` of them at random where there are more.
    With `order=2` the derivatives themselves are checked in the same way, which is all four ways of
    putting the modes together. float32 arguments are varied in float64.

    >>> import numpy as np
    >>> from autobp import check_gradients, custom
    >>> print(check_gradients(np.tanh, np.array([0.5, 1.0])).compared)
    4
    >>> wrong = custom(np.sin, vjp=lambda g, y, x: g * np.sin(x))
    >>> check_gradients(wrong, np.array([1.0, 2.0]))   # doctest: +ELLIPSIS
    Traceback (most recent call last):
    autobp.check.GradientError: gradients DISAGREE: ...; worst: argument 0[1]: forward ...
    """
    if order not in (1, 2):
        raise ValueError(f"order is 1 or 2, not {order}")
    rng = np.random.default_rng(seed)
    args = transformed(_plain, args)
    single = any(np.asarray(x).dtype.itemsize < 8 for _, x in leaves(args))
    rtol = rtol if rtol is not None else 2e-3 if single else 1e-5
    atol = atol if atol is not None else 2e-4 if single else 1e-7
    report = GradientReport()
    _compare(function, args, report, "", step, rtol, atol, elements, rng)
    if order == 2:
        y, _ = vjp(function, *args)
        v = transformed(lambda x: rng.standard_normal(np.shape(x)), y)
        u = transformed(lambda x: rng.standard_normal(np.shape(x)), args)
        for name, derivative in (
            ("the gradient's ", lambda *a: vjp(function, *a)[1](v)),
            ("the tangent's ", lambda *a: jvp(function, a, u)[1]),
        ):
            _compare(derivative, args, report, name, step, 10 * rtol, 10 * atol, elements, rng)
    if report.error > 1:
        raise GradientError(str(report))
    return report


def _plain(x: Any) -> Any:
    x = (
        Tensor(x).numpy()
        if is_foreign(x)
        else x.numpy()
        if isinstance(x, Tensor)
        else np.asarray(x)
    )
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def _flat(tree: Any) -> np.ndarray:
    parts = [np.ravel(np.asarray(constant(x), np.float64)) for _, x in leaves(tree)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _compare(
    function: Callable[..., Any],
    args: Sequence[Any],
    report: GradientReport,
    name: str,
    step: float | None,
    rtol: float,
    atol: float,
    elements: int,
    rng: np.random.Generator,
) -> None:
    """One order: for each element the numerical column of the Jacobian, against the column that
    forward mode finds and, along one random cotangent, the component that reverse mode finds."""
    wide = [np.array(x, np.float64) for _, x in leaves(args)]
    paths = [path for path, _ in leaves(args)]
    y, derivative = linearize(function, *args)
    _, pullback = vjp(function, *args)
    v = transformed(lambda x: rng.standard_normal(np.shape(x)), y)
    v_flat, pulled = _flat(v), [np.asarray(constant(g), np.float64) for _, g in leaves(pullback(v))]

    def at(k: int, i: Any, shift: float) -> np.ndarray:
        moved = [x.copy() if j == k else x for j, x in enumerate(wide)]
        moved[k][i] += shift
        return _flat(function(*refilled(args, [x[()] for x in moved])))

    for k, x in enumerate(wide):
        places = list(np.ndindex(x.shape))
        if len(places) > elements:
            places = [places[j] for j in np.sort(rng.choice(len(places), elements, replace=False))]
        for i in places:
            h = step if step is not None else 6e-6 * max(1.0, abs(float(x[i])))
            numerical = (at(k, i, h) - at(k, i, -h)) / ((x[i] + h) - (x[i] - h))
            units = [np.zeros(w.shape) for w in wide]
            units[k][i] = 1
            column = _flat(derivative(*refilled(args, [u[()] for u in units])))
            index = f"[{', '.join(map(str, i))}]" if i else ""
            place = f"{name}argument {paths[k][1:].replace(']', '', 1)}{index}"
            j = int(np.argmax(np.abs(column - numerical))) if len(column) else 0
            if len(column):
                scale: float = max(
                    abs(float(numerical[j])), 1e-3 * float(np.max(np.abs(numerical)))
                )
                report.note("forward", place, column[j], numerical[j], atol + rtol * scale)
            bound = atol + rtol * max(float(np.sum(np.abs(v_flat * numerical))), 1e-3)
            report.note("reverse", place, float(pulled[k][i]), float(v_flat @ numerical), bound)
