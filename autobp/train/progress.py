"""Progress: one bar on a terminal, a few whole lines elsewhere, all to stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Self

__all__ = ["Progress"]

_LINES = 20  # how many are written, about, where there is no terminal


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
                bar_format="{n_fmt}/{total_fmt}|{bar}| {remaining}{postfix}",  # 80 columns are few
                dynamic_ncols=True,
            )

    def tick(self, text: Callable[[], str]) -> None:
        """Move the bar."""
        if self.bar is not None:
            self.bar.set_postfix_str(text(), refresh=False)
            self.bar.update()

    def step(self, i: int, text: str) -> None:
        """Step i, counted from 1, is done."""
        if self.bar is not None:
            self.bar.set_postfix_str(text)
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
