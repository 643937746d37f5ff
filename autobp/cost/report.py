"""Report: the cost of each way of differentiating, counted and measured, and the machine it ran on."""

from __future__ import annotations

import csv
import io
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from autobp.colours import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from autobp.counts import Counts
from autobp.extras import needed
from autobp.table import aligned

__all__ = ["COLOURS", "Report", "Row", "blas", "machine"]

#: The colour of each method in all plots.
COLOURS = {
    "one evaluation of f": "#999999",
    "central differences": ORANGE,
    "one-sided differences": PURPLE,
    "forward, online": SKY,
    "forward, recorded": BLUE,
    "forward, all at once": "#003A5D",
    "sparse forward": GREEN,
    "reverse": VERMILION,
    "reverse, all at once": "#7A3500",
    "sparse reverse": "#8A8A00",
    "reverse with remat": "#000000",
    "gradient, reverse": VERMILION,
    "Hessian × vector, forward over reverse": SKY,
    "Hessian × vector, reverse over reverse": "#8A8A00",
    "Hessian, differences of gradients": ORANGE,
    "Hessian, forward over reverse": BLUE,
    "Hessian, forward over reverse, all at once": "#003A5D",
    "Hessian, sparse forward over reverse": GREEN,
    "Hessian, reverse over forward": PURPLE,
    "Hessian, reverse over reverse": "#7A3500",
}
MARKERS = {
    "central differences": "s",
    "one-sided differences": "D",
    "forward, online": "^",
    "forward, recorded": "v",
    "forward, all at once": ">",
    "sparse forward": "P",
    "reverse": "o",
    "reverse, all at once": "<",
    "sparse reverse": "X",
    "reverse with remat": "*",
    "gradient, reverse": "o",
    "Hessian × vector, forward over reverse": "2",
    "Hessian × vector, reverse over reverse": "1",
    "Hessian, differences of gradients": "s",
    "Hessian, forward over reverse": "v",
    "Hessian, forward over reverse, all at once": ">",
    "Hessian, sparse forward over reverse": "P",
    "Hessian, reverse over forward": "D",
    "Hessian, reverse over reverse": "<",
}

WIDTH = 79  # of prose; tables may be wider
#: The figures that are given as multiples of one evaluation.
RATIOS = ("flops", "alive", "seconds", "peak")


@dataclass(frozen=True)
class Row:
    """The cost of one way of differentiating. None: not counted, or not measured."""

    method: str
    sweeps: str
    counts: Counts | None
    alive: int | None  # bytes, counted
    seconds: float | None
    peak: int | None  # bytes, measured
    error: float | None  # the largest, relative to the largest derivative
    measured: int  # how many directions were measured
    directions: int
    failed: str = ""  # why it cannot be done


@dataclass(frozen=True)
class Report:
    """The result of `compare`. Its text is the table. `rows` are the numbers; the first row is one
    evaluation of the function, to which all ratios refer."""

    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    interrupted: bool = False

    def __getitem__(self, method: str) -> Row:
        for row in self.rows:
            if row.method == method:
                return row
        raise KeyError(f"{method!r} is not one of {', '.join(r.method for r in self.rows)}")

    def ratio(self, method: str, what: str = "seconds") -> float | None:
        """The "flops", "alive", "seconds" or "peak" of a method as a multiple of one evaluation."""
        mine, one = (_number(row, what) for row in (self[method], self.rows[0]))
        return None if mine is None or not one else mine / one

    def table(self) -> str:
        """Three tables, with a line for each method: its sweeps, counted costs, measured costs."""
        return f"{self._ways()}\n\n{self._counted()}\n\n{self._measured()}"

    def _ways(self) -> str:
        lines = [["", "sweeps", "measured"]]
        for r in self.rows:
            lines.append([r.method, r.sweeps, "" if r is self.rows[0] else _scope(r)])
        return aligned(lines, left=3, ruled=1)

    def _counted(self) -> str:
        head = ["counted", "×", "+", "exp …", "all", "× f", "alive", "× f"]
        lines = []
        for r in self.rows:
            four = ["–" if n is None else quantity(n) for n in _operations(r)]
            ratios = [_times(self.ratio(r.method, what)) for what in ("flops", "alive")]
            lines.append([r.method, *four, ratios[0], size(r.alive), ratios[1]])
        return aligned([head, *lines], left=1, ruled=1)

    def _measured(self) -> str:
        head = ["measured", "time", "× f", "peak", "× f", "error"]
        lines = []
        for r in self.rows:
            ratios = [_times(self.ratio(r.method, what)) for what in ("seconds", "peak")]
            error = "–" if r.error is None else f"{r.error:.0e}" if r.error else "0"
            lines.append([r.method, duration(r.seconds), ratios[0], size(r.peak), ratios[1], error])
        return aligned([head, *lines], left=1, ruled=1)

    def __repr__(self) -> str:
        notes = [fill(f"– {note}", WIDTH, subsequent_indent="  ") for note in self.notes]
        return "\n\n".join([self.title, self.table(), "\n".join(notes)])

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str | None:
        """All numbers, in bytes and seconds. Returned as text if there is no path."""
        head = ["method", "sweeps", "multiplications", "additions", "transcendental"]
        head += [name for what in RATIOS for name in (what, f"{what}_ratio")]
        lines: list[list[Any]] = [[*head, "error", "measured", "directions"]]
        for r in self.rows:
            line: list[Any] = [r.method, r.sweeps, *_operations(r)[:3]]
            for what in RATIOS:
                line += [_number(r, what), self.ratio(r.method, what)]
            lines.append([*line, r.error, r.measured, r.directions])
        return written(lines, path)

    def plot(self) -> Any:
        """Draw operations, time and memory of each method, as multiples of one evaluation, with
        matplotlib. Save the figure with `.savefig(path)`."""
        pyplot = needed("matplotlib.pyplot", "plot()", "plot")
        rows = self.rows[1:]
        figure, panels = pyplot.subplots(
            1,
            3,
            figsize=(12, 1.2 + 0.42 * len(rows)),
            sharex=True,
            sharey=True,
            layout="constrained",
        )
        labels = {"flops": "operations", "seconds": "time", "peak": "peak memory"}
        for panel, (what, label) in zip(panels, labels.items()):
            found = {row.method: self.ratio(row.method, what) for row in rows}
            least = min((times for times in found.values() if times), default=1.0)
            for y, (method, times) in enumerate(found.items()):
                if times is None:
                    continue
                panel.barh(y, times, color=COLOURS.get(method, BLUE))
                more = f", {quantity(times / least)} × the least" if times > least else ""
                panel.annotate(
                    f" {quantity(times)}{more}", (times, y), va="center", fontsize="small"
                )
            panel.axvline(1, color="black", linewidth=0.8)
            panel.set_xlabel(f"{label}, in evaluations of f")
            panel.set_xscale("log")
            panel.spines[["top", "right"]].set_visible(False)
        most = max((bar.get_width() for panel in panels for bar in panel.patches), default=1.0)
        panels[0].set_xlim(0.5, 4 * most**1.6)  # one scale for all, and room for the numbers
        panels[0].set_yticks(range(len(rows)), [row.method for row in rows])
        panels[0].invert_yaxis()
        return figure

    def plane(self, axes: Any = None) -> Any:
        """Draw the time–memory plane with matplotlib, on the given axes or in a figure of its own: each
        way to differentiate is a point, at its measured time and peak memory. Those to the left need
        less memory, those below less time; none is better in both than one on the line. Hollow
        points were scaled up from a sample of the directions.

        >>> import numpy as np
        >>> from autobp.cost import compare
        >>> report = compare(lambda x: np.sum(np.sin(x) * x), np.ones(50))
        >>> report.plane().savefig("plane.png")  # doctest: +SKIP
        """
        pyplot = needed("matplotlib.pyplot", "plane()", "plot")
        ticker = needed("matplotlib.ticker", "plane()", "plot")
        if axes is None:
            _, axes = pyplot.subplots(figsize=(7.2, 4.6), layout="constrained")
        rows = [row for row in self.rows if row.seconds and row.peak]
        best: list[Row] = []
        for row in sorted(rows[1:], key=lambda row: (row.peak, row.seconds)):
            if not best or row.seconds < best[-1].seconds:  # type: ignore[operator]
                best.append(row)
        axes.step(
            [row.peak for row in best],
            [row.seconds for row in best],
            where="post",
            color="0.75",
            linewidth=1,
            zorder=0,
        )
        for row in rows:
            colour, sampled = COLOURS.get(row.method, BLUE), row.measured < row.directions
            scope = f" ({row.measured:,} of {row.directions:,})" if sampled else ""
            axes.plot(
                row.peak,
                row.seconds,
                MARKERS.get(row.method, "."),
                color=colour,
                markerfacecolor="white" if sampled else colour,
                markersize=9,
                linestyle="none",
                label=row.method + scope,
            )
        axes.set(xscale="log", yscale="log", xlabel="peak memory", ylabel="time, seconds")
        wide = max(row.peak for row in rows) > 30 * min(row.peak for row in rows)  # type: ignore[operator, type-var]
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1,) if wide else (1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda bytes_, _: size(bytes_))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set_title(self.title, fontsize="medium")
        axes.margins(0.12)
        axes.grid(color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            title="measured; hollow: a sample, scaled up",
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            frameon=False,
            fontsize="small",
            title_fontsize="small",
        )
        return axes.figure


def _number(row: Row, what: str) -> Any:
    if what not in RATIOS:
        raise ValueError(f"there are ratios of {', '.join(RATIOS)}, not of {what!r}")
    return _operations(row)[3] if what == "flops" else getattr(row, what)


def _operations(row: Row) -> tuple[int | None, int | None, int | None, int | None]:
    """The multiplications, the additions, the transcendental calls, and all of them."""
    c = row.counts
    if c is None:
        return None, None, None, None
    return c.multiplications, c.additions, c.transcendental, c.flops


def _scope(row: Row) -> str:
    """How many of the directions were measured, in words."""
    if row.failed:
        return "failed"
    if row.measured == row.directions:
        return f"all {row.directions:,} directions" if row.directions > 1 else "1 direction"
    return f"{row.measured:,} of {row.directions:,} directions"


# ── numbers as text ───────────────────────────────────────────────────────────────────────────────


def quantity(n: float) -> str:
    """A count with three or four digits and a unit prefix."""
    for unit, scale in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if n >= scale:
            return _places(n / (1e3 if unit == "k" else scale)) + unit
    return _places(n)


def _places(x: float) -> str:
    return f"{x:,.0f}" if x >= 100 or x == int(x) else f"{x:.3g}"


def size(n: float | None) -> str:
    if n is None:
        return "–"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= scale:
            return f"{_places(n / scale)} {unit}"
    return f"{n:,.0f} B"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    for unit, scale in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{_places(seconds / scale)} {unit}"
    return f"{_places(seconds / 1e-6)} µs"


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else quantity(ratio)


def written(lines: Sequence[Sequence[Any]], path: str | os.PathLike[str] | None) -> str | None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    if path is None:
        return text.getvalue()
    Path(path).write_text(text.getvalue(), encoding="utf-8")
    return None


# ── the machine ───────────────────────────────────────────────────────────────────────────────────


def machine() -> str:
    """The machine and the libraries that measured times depend on."""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores;"
        f" Python {platform.python_version()}, NumPy {np.__version__}, BLAS {blas()}"
    )


def blas() -> str:
    """The BLAS library that NumPy uses, and its number of threads."""
    found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{found.get('name', 'unknown')} {found.get('version', '')}, {_threads()}"


def _threads() -> str:
    try:
        pools = import_module("threadpoolctl").threadpool_info()
    except ModuleNotFoundError:
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        given = [f"{name}={os.environ[name]}" for name in names if name in os.environ]
        return ", ".join(given) or "default number of threads (threadpoolctl shows it)"
    counts = [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]
    return ", ".join(f"{n} thread{'s'[: n > 1]}" for n in counts)
