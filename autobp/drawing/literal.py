"""Text for labels: numbers in few digits, and names escaped.

A name in a picture passes four layers. `shown` makes it one short line of characters that XML and fonts
can take. `quoted` and `record` escape it for DOT strings, for Graphviz's entities, and for the special
characters of record labels. Code that writes HTML escapes it for HTML.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np

from autobp.drawing.hole import hole, is_open

__all__ = ["breadth", "columns", "few", "number", "quoted", "record", "shown"]

_UNSAFE = {"Cc", "Cs", "Co", "Zl", "Zp"}
_HIDDEN = set(
    "\u00ad\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)


def number(x: Any) -> str:
    """A number in four digits, with a true minus.

    >>> number(-0.70711), number(3.0), number(1e-9), number(float("nan"))
    ('−0.7071', '3', '1e−09', 'NaN')
    """
    if is_open(x):
        return hole(x, "n")
    return f"{float(x) + 0.0:.4g}".replace("-", "−").replace("nan", "NaN")


def few(value: Any) -> str:
    """One number, or a few in a line.

    >>> few(2.0), few(np.array([0.5, -1.0])), few(np.eye(2))
    ('2', '[0.5, −1]', '[[1, 0], [0, 1]]')
    """
    return hole(value, "f") if is_open(value) else _nested(np.asarray(value).tolist())


def _nested(x: Any) -> str:
    return f"[{', '.join(map(_nested, x))}]" if isinstance(x, list) else number(x)


def shown(text: str, limit: int = 40) -> str:
    """A name on one line, shortened. Invisible characters, and those that reverse the text, are written
    as Python's escapes.

    >>> shown("a\\nb"), shown("x" * 5000, limit=10), shown("変数 <b>")
    ('a\\\\nb', 'xxxxxxxxx…', '変数 <b>')
    """
    written = _visible(text[:limit])
    whole = len(text) <= limit and len(written) <= limit
    return written if whole else written[: limit - 1] + "…"


def _visible(text: str) -> str:
    return "".join(c if _plain(c) else c.encode("unicode_escape").decode() for c in text)


def _plain(c: str) -> bool:
    if c < "\x7f":
        return c >= " "
    noncharacter = ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF
    return unicodedata.category(c) not in _UNSAFE and c not in _HIDDEN and not noncharacter


def columns(text: str) -> int:
    """How many columns of a terminal a text takes; wide characters take two.

    >>> columns("変数 x"), columns("x")
    (6, 1)
    """
    return len(text) + sum(unicodedata.east_asian_width(c) in "WF" for c in text)


def breadth(text: str) -> float:
    """How many ems a text with wide characters takes, because not all builds of Graphviz know their
    width; 0 if it has none.

    >>> breadth("変数 x"), breadth("x")
    (3.2, 0)
    """
    wide = columns(text) - len(text)
    return wide and wide + 0.6 * (len(text) - wide)


def quoted(*lines: str) -> str:
    """Lines of text as a DOT string.

    >>> print(quoted('C:\\\\ "&lt;"', "b"))
    "C:\\\\ \\"&amp;lt;\\"\\nb"
    """
    return '"' + "\\n".join(map(_escaped, lines)) + '"'


def record(*fields: tuple[str, ...], across: bool) -> str:
    """Fields of lines as a record label, one below another. In pictures that run `across` the page
    this is a record's own direction; in others it is turned by braces.

    >>> print(record(("a|b",), ("{x}", "y z"), across=True))
    "a\\|b|\\{x\\}\\ny\\ z"
    """
    text = "|".join("\\n".join(map(_fenced, lines)) for lines in fields)
    return f'"{text}"' if across else f'"{{{text}}}"'


def _escaped(text: str) -> str:
    return _visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def _fenced(text: str) -> str:
    return "".join(f"\\{c}" if c in "{}|<> " else c for c in _escaped(text))
