"""Rows of numbers and words, as text for people and as CSV for programs."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["aligned", "columns", "short", "table", "to_csv"]

Row = Mapping[str, Any]

_MOST = 20  # rows that a table shows


def columns(rows: Sequence[Row]) -> list[str]:
    """The names in all rows, in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))


def short(value: Any) -> str:
    """A value in few characters; of a class or a function its name."""
    if isinstance(value, bool) or value is None:
        return str(value)
    try:
        return f"{value:.4g}" if not isinstance(value, int) else str(value)
    except (TypeError, ValueError):
        return str(getattr(value, "__name__", value))


def aligned(lines: Sequence[Sequence[str]], left: int = 0, ruled: int = 0) -> str:
    """Lines of cells as columns, the first so many of them flush left, the others flush right. With
    `ruled` there is a line below the first so many, which have the names.

    >>> print(aligned([["way", "time"], ["reverse", "3 ms"]], left=1, ruled=1))
    way      time
    ─────────────
    reverse  3 ms
    """
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = [
        "  ".join(
            c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))
        )
        for line in lines
    ]
    if ruled:
        text.insert(ruled, "─" * len(text[0]))
    return "\n".join(line.rstrip() for line in text)


def table(rows: Sequence[Row]) -> str:
    """Rows under their names, numbers to the right; of many the first and the last.

    >>> print(table([{"epoch": 1, "loss": 0.51234}, {"epoch": 2, "loss": 0.25}]))
    epoch    loss
        1  0.5123
        2    0.25
    """
    names = columns(rows)
    shown = [*rows]
    if len(rows) > _MOST:
        shown = [*rows[: _MOST // 2], *rows[-(_MOST // 2) :]]
    cells = [names, *([short(row[n]) if n in row else "" for n in names] for row in shown)]
    lines = aligned(cells).split("\n")
    if len(rows) > _MOST:
        lines.insert(1 + _MOST // 2, f"… {len(rows) - len(shown):,} more …")
    return "\n".join(lines)


def to_csv(rows: Sequence[Row], path: str | os.PathLike[str]) -> None:
    """Numbers are written with all their digits."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns(rows), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: getattr(v, "__name__", v) for k, v in row.items()})
