"""Progress: a bar on a terminal, a few lines elsewhere, always on stderr."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, Self

from autobp.owner import warn

__all__ = ["Progress"]

_LINES = 20  # about as many are written where there is no terminal
_BAR = "{n_fmt}/{total_fmt}|{bar}| {remaining}{postfix}"
_NO_BAR = "{percentage:3.0f}%{postfix}"  # where the text needs the columns
_BAR_WIDTH = 30  # columns of the bar and its numbers, at least


class Progress:
    """The progress of work in `steps` steps, each of `ticks` movements of the bar.

    Where there is no terminal, it writes a line for each step, or for every tenth of 200.
    """

    def __init__(self, steps: int, ticks: int, shown: bool, done: int = 0) -> None:
        self.steps = steps
        self.bar: Any = None
        self.shown: bool = shown and sys.stderr is not None
        self.waiting: str = ""  # a line that was held back
        if self.shown and sys.stderr.isatty():
            from tqdm import tqdm  # type: ignore[import-untyped]  # late: not needed to import autobp

            self.bar = tqdm(
                total=steps * ticks or None,  # None: unknown
                initial=done * ticks,
                bar_format=_BAR,
                dynamic_ncols=True,
            )

    def tick(self, text: Callable[[], str]) -> None:
        """Move the bar. The first part of the text is dropped first if columns are few."""
        if self.bar is not None:
            self._set_text(text(), 0)
            self.bar.update()

    def step(self, i: int, text: str) -> None:
        """Show that step i, counted from 1, is done."""
        if self.bar is not None:
            self._set_text(text, -1)
            self.bar.refresh()
        elif self.shown:
            self.waiting = f"{i:{len(str(self.steps))}}/{self.steps}  {text}"
            if i == 1 or i % max(1, self.steps // _LINES) == 0:
                self._line()

    def say(self, text: str) -> None:
        """Write a message on its own line."""
        if self.bar is not None:
            self.bar.write(text, file=sys.stderr)
        elif self.shown:
            self._line()
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Write a message, or give a warning if no progress is shown, as nobody must miss it."""
        if self.shown:
            self.say(text)
        else:
            warn(text)

    def _set_text(self, text: str, spare: int) -> None:
        """Set a text whose items are separated by two spaces. If there are too few columns, drop the
        bar, then the item `spare`, then items from the end."""
        columns = self.bar.ncols or math.inf  # when it was last drawn
        narrow = len(text) + _BAR_WIDTH > columns
        items = text.split("  ")
        while narrow and len(items) > 1 and len("100%, " + "  ".join(items)) > columns:
            items.pop(spare)
            spare = -1
        self.bar.bar_format = _NO_BAR if narrow else _BAR
        self.bar.set_postfix_str("  ".join(items), refresh=False)

    def _line(self) -> None:
        if self.waiting:
            print(self.waiting, file=sys.stderr, flush=True)
            self.waiting = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        self._line()
