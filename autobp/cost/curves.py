"""Curves: the cost of each way of differentiating as the number of inputs, or of outputs, grows."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np

from autobp.cost.comparison import compared
from autobp.cost.methods import one_by_one
from autobp.cost.report import COLOURS, MARKERS, WIDTH, Report, quantity, written
from autobp.extras import needed
from autobp.table import aligned

__all__ = ["Curves", "sweep_inputs", "sweep_outputs"]

_DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), "-", (0, (4, 3)), (0, (1, 2)))
_WIDTHS = (4.0, 3.2, 2.4, 1.6, 1.2)

FORWARD, REVERSE = "forward, recorded", "reverse"


def _predicted(report: Report, method: str) -> float:
    """The counted cost in evaluations; nan where it was not counted."""
    mine, one = report[method].counts, report.rows[0].counts
    return mine.work / one.work if mine and one and one.work else np.nan


@dataclass(frozen=True)
class Curves:
    """The result of `sweep_inputs` and `sweep_outputs`: a report for each size.

    Costs are multiples of one evaluation of the function at that size. The counted costs predict the
    time: they add up operations and, at the prices of `autobp.counts`, exponentials and the like,
    calls of NumPy, and Python's visits to operations in a sweep.
    """

    what: str  # "inputs" or "outputs"
    sizes: tuple[int, ...]
    reports: tuple[Report, ...]
    interrupted: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(row.method for row in self.reports[0].rows[1:])

    def measured(self, method: str) -> np.ndarray:
        """The measured time at each size, in evaluations."""
        return np.array([report.ratio(method) for report in self.reports], float)

    def counted(self, method: str) -> np.ndarray:
        """The predicted time at each size, in evaluations."""
        return np.array([_predicted(r, method) for r in self.reports])

    def slope(self, method: str) -> float:
        """The power of the size with which the measured times grow, fitted on logarithmic axes."""
        return self._fitted(self.measured(method))

    def _fitted(self, costs: np.ndarray) -> float:
        return float(np.polyfit(np.log(self.sizes), np.log(costs), 1)[0])

    @property
    def crossing(self) -> float | None:
        """The size at which forward and reverse mode took the same time; None if there is none."""
        return self._crossing(self.measured)

    @property
    def predicted_crossing(self) -> float | None:
        """The same by the counted costs."""
        return self._crossing(self.counted)

    def _crossing(self, costs: Callable[[str], np.ndarray]) -> float | None:
        gap, x = np.log(costs(FORWARD) / costs(REVERSE)), np.log(self.sizes)
        for i in range(len(gap) - 1):
            if gap[i] * gap[i + 1] <= 0 and gap[i] != gap[i + 1]:
                part = gap[i] / (gap[i] - gap[i + 1])
                return float(np.exp(x[i] + part * (x[i + 1] - x[i])))
        return None

    def table(self) -> str:
        """Measured and counted costs at every size, in evaluations of the function, and the power of
        the size with which they grow."""
        above, _, below = zip(*(method.rpartition(" ") for method in self.methods))
        lines = [["", "", *above], [self.what, "", *below]]
        both = [[costs(m) for m in self.methods] for costs in (self.measured, self.counted)]
        rows = [
            (f"{n:,}", [[quantity(ratios[i]) for ratios in found] for found in both])
            for i, n in enumerate(self.sizes)
        ]
        rows.append(("slope", [[f"{self._fitted(r):.2f}" for r in found] for found in both]))
        for name, (measured, counted) in rows:
            lines += [[name, "measured", *measured], ["", "counted", *counted]]
        return f"In evaluations of f:\n\n{aligned(lines, left=2, ruled=2)}"

    def __repr__(self) -> str:
        end = "Interrupted: larger sizes were not measured.\n" if self.interrupted else ""
        slope = f"slope: the power of the number of {self.what} with which a cost grows."
        said = [fill(text, WIDTH) for text in (slope, self._said(), self.reports[-1].notes[-1])]
        return "\n".join([f"{self.table()}\n", said[0], f"{end}{said[1]}", said[2]])

    def _said(self) -> str:
        return (
            f"Forward and reverse mode cross at {self._crossed(self.crossing, self.measured)};"
            + (f" by count, at {self._crossed(self.predicted_crossing, self.counted)}.")
        )

    def _crossed(self, where: float | None, costs: Callable[[str], np.ndarray]) -> str:
        if where is not None:
            return f"{where:.2g} {self.what}"
        cheaper = "forward" if costs(FORWARD)[-1] < costs(REVERSE)[-1] else "reverse"
        return f"none of these sizes ({cheaper} mode is cheaper at each)"

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str | None:
        """All numbers, a line for each size and method. Returned as text if there is no path."""
        head = f"{self.what},method,seconds,seconds_ratio,flops,flops_ratio,predicted_ratio"
        lines: list[Sequence[Any]] = [head.split(",")]
        for n, r in zip(self.sizes, self.reports):
            for row in r.rows:
                name, flops = row.method, row.counts.flops if row.counts else None
                times = row.seconds, r.ratio(name)
                lines.append([n, name, *times, flops, r.ratio(name, "flops"), _predicted(r, name)])
        return written(lines, path)

    def plot(self, axes: Any = None) -> Any:
        """Draw a matplotlib figure, or on the given axes: measured points, counted lines."""
        if axes is None:
            pyplot = needed("matplotlib.pyplot", "plot()", "plot")
            _, axes = pyplot.subplots(figsize=(6.4, 5.2), layout="constrained")
        for i, (method, dashes, width) in enumerate(zip(self.methods, _DASHES, _WIDTHS)):
            colour = COLOURS[method]
            # lower lines are wider and solid, so that they show under the lines above them
            axes.plot(
                self.sizes, self.counted(method), color=colour, linewidth=width, linestyle=dashes
            )
            axes.plot(
                self.sizes,
                self.measured(method),
                MARKERS[method],
                color=colour,
                markersize=8.5 - i,
                markeredgecolor="white",
                markeredgewidth=0.4,
                label=f"{method}: slope {self.slope(method):.2f}",
            )
        if self.crossing is not None:
            axes.axvline(self.crossing, color="black", linewidth=0.8, linestyle=":")
            axes.annotate(
                f" forward = reverse at {self.crossing:.2g} {self.what}",
                (self.crossing, 0.97),
                xycoords=("data", "axes fraction"),
                fontsize="small",
                va="top",
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(f"number of {self.what}")
        axes.set_ylabel("time, in evaluations of f")
        axes.grid(color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            title="points: measured; lines: counted\n"
            f"slope s: time grows as the number of {self.what} to the power of s",
            loc="upper center",
            bbox_to_anchor=(0.5, -0.13),
            ncols=2,
            frameon=False,
            fontsize="small",
            title_fontsize="small",
        )
        return axes.figure


MakeFunction = Callable[[int], Any]


def sweep_inputs(
    make_f: MakeFunction, sizes: Sequence[int], *, full: bool = False, seed: int = 0
) -> Curves:
    """Compare the ways of differentiating at growing numbers of inputs.

    `make_f(size)` returns the function, or a tuple of it and its arguments. Without arguments, the
    function is evaluated at a vector of `size` random numbers.

    >>> import numpy as np
    >>> from autobp.cost import sweep_inputs
    >>> curves = sweep_inputs(lambda n: lambda x: np.sum(np.sin(x) * x), [4, 16, 64])
    >>> curves.counted("forward, recorded").round().tolist() > [4, 16, 64]
    True
    >>> max(report.ratio("reverse", "flops") for report in curves.reports) < 5
    True
    """
    return _swept("inputs", make_f, sizes, lambda rng, n: rng.standard_normal(n), full, seed)


def sweep_outputs(
    make_f: MakeFunction, sizes: Sequence[int], *, full: bool = False, seed: int = 0
) -> Curves:
    """Compare the ways of differentiating at growing numbers of outputs.

    `make_f(size)` returns the function, or a tuple of it and its arguments. Without arguments, the
    function is evaluated at one random number.
    """
    return _swept("outputs", make_f, sizes, lambda rng, n: rng.standard_normal(), full, seed)


def _swept(
    what: str,
    make_f: MakeFunction,
    sizes: Sequence[int],
    point: Callable[[np.random.Generator, int], Any],
    full: bool,
    seed: int,
) -> Curves:
    try:
        whole = [int(n) for n in sizes]
    except (TypeError, ValueError):
        whole = []
    if len(whole) < 2 or sorted({*whole}) != whole or whole[0] < 1 or whole != list(sizes):
        raise ValueError(
            f"sizes must be two or more increasing whole numbers from 1 up, not {sizes}"
        )
    reports: list[Report] = []
    for n in whole:
        made = make_f(n)
        function, *args = made if isinstance(made, tuple) else (made,)
        if not callable(function):
            raise TypeError(
                f"make_f({n}) returned {type(made).__name__}; it must return a function, or a tuple"
                " of a function and its arguments"
            )
        args = args or [point(np.random.default_rng(seed), n)]
        report = compared(function, args, one_by_one, full, seed)
        if report.interrupted:
            if len(reports) < 2:
                raise KeyboardInterrupt
            break
        reports.append(report)
    done = len(reports)
    return Curves(what, tuple(whole[:done]), tuple(reports), interrupted=done < len(whole))
