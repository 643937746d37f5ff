"""Names: each is given once in a program."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

__all__ = ["Names"]


class Names:
    """The names that are taken."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken: set[str] = {*taken, *dir(builtins)}
        self.last: dict[str, int] = {}  # the number of the latest of each name

    def free(self, name: str, numbered: bool = False) -> str:
        """The name, with a number behind it if it is taken, or in any case."""
        name = re.sub(r"\W", "_", name)
        if not name or name[0].isdigit() or keyword.iskeyword(name):
            name = f"_{name}"
        chosen = f"{name}0" if numbered else name
        while chosen in self.taken:
            self.last[name] = self.last.get(name, 0) + 1
            chosen = f"{name}{self.last[name]}"
        self.taken.add(chosen)
        return chosen
