"""History: the numbers of each epoch, as plain data."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from autobp import table
from autobp.colours import BLUE, VERMILION
from autobp.extras import needed

__all__ = ["Compilation", "History", "best_of"]


@dataclass(repr=False)
class Compilation:
    """Which steps of a training were compiled, and why others were not.

    >>> from autobp.train.history import Compilation
    >>> Compilation(first=101, last=400, steps=290)
    290 of the steps 101 to 400 were compiled
    >>> Compilation(why="compile=False")
    no step was compiled: compile=False
    """

    first: int | None = None  # batch, counted from 1 over the whole training
    last: int | None = None
    steps: int = 0  # how many; the first batches of each size run uncompiled
    why: str = ""  # why none was compiled, or none after the last

    def __repr__(self) -> str:
        if self.first is None or self.last is None:
            return "no step was compiled" + (self.why and f": {self.why}")
        few = "" if self.steps == self.last - self.first + 1 else f"{self.steps:,} of the "
        said = f"{few}steps {self.first:,} to {self.last:,} were compiled"
        return said + (self.why and f", later ones were not: {self.why}")


@dataclass(repr=False)
class History:
    """The result of `fit`: one row for each epoch, and why the training stopped.

    `history["loss"]` is a column. `monitor` names the column that decides which epoch is best.
    `history.compiled` tells which steps were compiled.

    >>> from autobp.train import History
    >>> history = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    >>> history["loss"]
    [0.5, 0.25]
    >>> history.best()
    {'epoch': 2, 'loss': 0.25}
    >>> history
    History of 2 epochs, best loss 0.25 in epoch 2
    epoch  loss
        1   0.5
        2  0.25
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    monitor: str = "loss"
    mode: str | None = None  # "min" or "max": whether low or high numbers of `monitor` are better
    stopped: str = ""  # why it ended early; empty if it did not
    interrupted: bool = False  # by Ctrl-C
    compiled: Compilation = field(default_factory=Compilation)
    unsaved: list[str] = field(default_factory=list)  # what the checkpoint could not hold

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> list[float]:
        names = table.columns(self.rows)
        if name not in names:
            raise KeyError(f"the history has no {name!r}; it has {', '.join(names) or 'no epochs'}")
        return [row.get(name, math.nan) for row in self.rows]

    def __getattr__(self, name: str) -> Any:
        columns = table.columns(vars(self).get("rows", []))
        column = "loss" if name == "history" else name
        hint = f": write history[{column!r}]" if column in columns else ""
        raise AttributeError(f"'History' object has no attribute {name!r}{hint}")

    def best(self, name: str | None = None, mode: str | None = None) -> dict[str, float]:
        """The row of the epoch with the best `name`; of equals, the first. Lower is better for losses
        and errors, higher for accuracies. For other names, pass `mode="min"` or `mode="max"`."""
        if name is None:
            name, mode = self.monitor, mode or self.mode
        self[name]
        return self.rows[best_of(self.rows, name, mode)]

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows, below a header of column names."""
        table.to_csv(self.rows, path)

    def plot(self) -> Any:
        """Plot loss and metrics over the epochs with matplotlib: training solid, validation dashed.
        Return the axes. `plt.show()` shows the figure, `plt.savefig("history.png")` saves it."""
        pyplot = needed("matplotlib.pyplot", "History.plot", "plot")
        names = [n for n in table.columns(self.rows) if n not in ("epoch", "lr", "seconds")]
        if not names:
            raise ValueError("there are no epochs to plot")
        kinds = list(dict.fromkeys(n.removeprefix("val_") for n in names))
        _, axes = pyplot.subplots(
            1, len(kinds), figsize=(4.5 * len(kinds), 3.2), squeeze=False, layout="constrained"
        )
        for ax, kind in zip(axes[0], kinds):
            for name, style, colour in ((kind, "-", BLUE), (f"val_{kind}", "--", VERMILION)):
                if name in names:
                    marker = "o" if len(self) < 30 else None
                    ax.plot(self["epoch"], self[name], style, color=colour, label=name, marker=marker, ms=3)  # fmt: skip
            ax.set(xlabel="epoch", ylabel=kind)
            ax.xaxis.get_major_locator().set_params(integer=True)
            ax.grid(alpha=0.3)
            ax.legend()
        return axes[0]

    def __repr__(self) -> str:
        said = f"History of {len(self)} epoch{'s' * (len(self) != 1)}"
        if self.stopped:
            said += f" ({self.stopped})"
        if not self.rows:
            return said
        try:
            best = self.best()
            number = table.short(best[self.monitor])
            said += f", best {self.monitor} {number} in epoch {best['epoch']}"
        except (KeyError, ValueError):
            pass
        return f"{said}\n{table.table(self.rows)}"


def best_of(rows: Sequence[table.Row], name: str, mode: str | None) -> int:
    """The index of the row with the best number. Rows without one, or with NaN, do not count."""
    sign = -1 if highest(name, mode) else 1
    values = [(row.get(name), i) for i, row in enumerate(rows)]
    found = [(sign * v, i) for v, i in values if isinstance(v, int | float) and not math.isnan(v)]
    if not found:
        raise ValueError(f"no row has a number for {name!r}")
    return min(found)[1]


def highest(name: str, mode: str | None) -> bool:
    """Whether higher numbers are better."""
    if mode not in ("min", "max", None):
        raise ValueError(f"mode must be 'min' or 'max', not {mode!r}")
    if mode is None and not name.endswith(("loss", "error", "accuracy")):
        raise ValueError(f"is a high or a low {name!r} better? Pass mode='max' or mode='min'")
    return mode == "max" or (mode is None and name.endswith("accuracy"))
