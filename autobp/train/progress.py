"""Progress: one bar on a terminal, a few whole lines elsewhere, all to stderr."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from typing import Any, Self

__all__ = ["Progress"]

_LINES = 20  # how many are written, about, where there is no terminal
_BAR = "{n_fmt}/{total_fmt}|{bar}| {remaining}{postfix}"
_NO_BAR = "{percentage:3.0f}%{postfix}"  # where the columns are needed for what it says
_BESIDE = 30  # columns of the bar and the numbers around it, at least


class Progress:
    """The progress of a work of so many steps, each of them `ticks` movements of the bar.

    Logs keep all that is written to them: they get a line for a step, or for every tenth of 200.
    """

    def __init__(self, steps: int, ticks: int, shown: bool, done: int = 0) -> None:
        self.steps = steps
        self.bar: Any = None
        self.shown = shown and sys.stderr is not None
        self.waiting = ""  # a line that was held back
        if self.shown and sys.stderr.isatty():
            from tqdm import tqdm  # type: ignore[import-untyped]  # late: not needed to import autobp

            self.bar = tqdm(
                total=steps * ticks,
                initial=done * ticks,
                bar_format=_BAR,
                dynamic_ncols=True,
            )

    def tick(self, text: Callable[[], str]) -> None:
        """Move the bar. The text begins with where it is, which 80 columns have no room for."""
        if self.bar is not None:
            self._beside_bar(text(), 0)
            self.bar.update()

    def step(self, i: int, text: str) -> None:
        """Step i, counted from 1, is done."""
        if self.bar is not None:
            self._beside_bar(text, -1)
            self.bar.refresh()
        elif self.shown:
            self.waiting = f"{i:{len(str(self.steps))}}/{self.steps}  {text}"
            if i == 1 or i % max(1, self.steps // _LINES) == 0:
                self._line()

    def say(self, text: str) -> None:
        """Something that is to be known, on a line of its own."""
        if self.bar is not None:
            self.bar.write(text, file=sys.stderr)
        elif self.shown:
            self._line()
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """The same for what must not be missed: a warning where no progress is shown."""
        if self.shown:
            self.say(text)
        else:
            warnings.warn(text, stacklevel=5)  # of the call of fit

    def _beside_bar(self, text: str, spare: int) -> None:
        """Set a text of parts with two spaces between. Where there are few columns there is no bar,
        and then first the spare part and then the last ones are left out, each of them whole."""
        columns = self.bar.ncols or math.inf  # when it was last drawn
        narrow = len(text) + _BESIDE > columns
        parts = text.split("  ")
        while narrow and len(parts) > 1 and len("100%, " + "  ".join(parts)) > columns:
            parts.pop(spare)
            spare = -1
        self.bar.bar_format = _NO_BAR if narrow else _BAR
        self.bar.set_postfix_str("  ".join(parts), refresh=False)

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
