"""Curves and decision regions with matplotlib, for people with any kind of colour vision.

Curves differ in colour and dashes, points in colour and markers. Legends stand above the axes, where
they hide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import numpy as np

from autobp.colours import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from autobp.extras import needed

__all__ = ["COLOURS", "curves", "figure", "regions"]

#: In order of contrast with white.
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)), (0, (3, 4)))
_MARKERS = "os^DvP*"


def figure(rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """A matplotlib Figure, and its axes: one, or an array of several. The options are those of
    `Figure.subplots`. The figure has no window and is freed when it is no longer referenced.

    >>> from autobp.drawing import plots
    >>> figure, (left, right) = plots.figure(1, 2, sharey=True)
    >>> _ = plots.curves({"training": [0.9, 0.4, 0.2]}, left, xlabel="epoch", ylabel="loss")
    >>> figure.savefig("curves.png")   # doctest: +SKIP
    """
    Figure = needed("matplotlib.figure", "a plot", "plot").Figure
    made = Figure(figsize=(0.6 + 4.2 * columns, 0.4 + 3.2 * rows), dpi=120, layout="constrained")
    return made, made.subplots(rows, columns, **options)


def curves(
    lines: Mapping[str, Any],
    ax: Any,
    *,
    x: Any = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    legend: bool = True,
) -> Any:
    """Draw a curve for each name, over 1, 2, … or over `x`. For several runs, an array of shape
    (runs, points), it draws the median and the range of the middle half.

    Returns the axes.
    """
    for (name, values), colour, dashes in zip(lines.items(), cycle(COLOURS), cycle(_DASHES)):
        runs = np.atleast_2d(np.asarray(values, float))
        along = np.arange(1, runs.shape[1] + 1) if x is None else np.asarray(x)
        if len(along) != runs.shape[1]:
            raise ValueError(f"curves: {name!r} has {runs.shape[1]} points, x has {len(along)}")
        low, middle, high = np.quantile(runs, [0.25, 0.5, 0.75], axis=0)
        if len(runs) > 1:
            ax.fill_between(along, low, high, color=colour, alpha=0.15, linewidth=0)
        dot = "o" if len(along) == 1 else None
        ax.plot(
            along, middle, color=colour, linestyle=dashes, marker=dot, linewidth=1.8, label=name
        )
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if x is None and ax.get_xscale() == "linear":
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    rows = 0
    if legend:
        wide = [6 + len(name) for name in lines]  # in letters, of which 58 are as wide as the axes
        columns = len(lines) if sum(wide) <= 58 else max(1, 58 // max(wide))
        rows = -(-len(lines) // columns)
        ax.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, frameon=False,
            fontsize="small", handlelength=2.6, columnspacing=1.2, borderaxespad=0.2,
        )  # fmt: skip
    if title:
        ax.set_title(title, loc="left", fontsize="medium", pad=6 + 17 * rows)
    return ax


def regions(classify: Callable[[np.ndarray], Any], X: Any, y: Any, ax: Any, title: str = "") -> Any:
    """Fill the plane with the colours of a classifier's regions, and draw the points X with labels y on
    it. A classifier is a function from points of shape (n, 2) to n labels. The legend shows the classes
    by marker and colour; their regions are lighter.

    >>> import numpy as np
    >>> from autobp.data import moons
    >>> from autobp.drawing import plots
    >>> figure, ax = plots.figure()
    >>> plots.regions(lambda p: p[:, 1] < 0.25, *moons(), ax).get_aspect()
    1.0

    Returns the axes.
    """
    X, y = np.asarray(X, float), np.asarray(y).astype(int)
    if X.ndim != 2 or X.shape[1] != 2 or y.shape != X.shape[:1]:
        raise ValueError(
            f"regions: points are of shape (n, 2) and labels of shape (n,), not {X.shape} and {y.shape}"
        )
    margin = 0.08 * np.ptp(X, axis=0).max()
    (left, bottom), (right, top) = X.min(axis=0) - margin, X.max(axis=0) + margin
    across, up = np.meshgrid(np.linspace(left, right, 250), np.linspace(bottom, top, 250))
    found = np.asarray(classify(np.stack([across.ravel(), up.ravel()], axis=1))).astype(int)
    classes = int(max(found.max(), y.max())) + 1
    if classes > len(COLOURS):
        raise ValueError(f"regions: {classes} classes are too many to distinguish")
    ax.contourf(
        across, up, found.reshape(across.shape), levels=np.arange(classes + 1) - 0.5,
        colors=COLOURS[:classes], alpha=0.25,
    )  # fmt: skip
    for label, colour, marker in zip(range(classes), COLOURS, _MARKERS):
        ax.scatter(
            *X[y == label].T, s=22, marker=marker, color=colour, edgecolors="white", linewidths=0.6,
            label=f"class {label}",
        )  # fmt: skip
    ax.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    columns = min(classes, 4)
    ax.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, frameon=False,
        fontsize="small", handletextpad=0.1, columnspacing=1.0, borderaxespad=0.2,
    )  # fmt: skip
    if title:
        rows = -(-classes // columns)
        ax.set_title(title, loc="left", fontsize="medium", pad=6 + 17 * rows)
    return ax
