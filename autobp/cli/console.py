"""What all commands share: how they are declared, how they fail, and how they print."""

from __future__ import annotations

import argparse
import codecs
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from unicodedata import normalize

__all__ = [
    "Commands",
    "Failure",
    "as_json",
    "at_least",
    "command",
    "folder",
    "named",
    "paint",
    "prepare",
    "say",
    "suggestion",
]

Commands = argparse._SubParsersAction  # the argument of each command's `add`

_COLOURS = {"green": "32", "red": "31", "yellow": "33"}

#: Replacements for the characters that an encoding lacks.
_PLAIN = {
    **dict(zip("−–—×÷·─│├└∂√≤≥µ⟨⟩", "---x/*-|||dv<>u<>")),
    **{"…": "...", "→": "->", "ᵀ": ".T", "Σ": "sum", "σ": "sigmoid", "‖": "||", "±": "+-"},
}
_POWER = re.compile("[⁻⁰¹²³⁴-⁹]+")


class Failure(Exception):
    """An error that ends a command with a message, because the user can do something about it."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code  # the exit code: 1, or 2 for wrong use


def command(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    about: str,
    description: str = "",
    examples: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """Declare a command, to which the caller adds options. `about` is shown in the list of commands,
    `description` and `examples` in the help of this one."""
    parser = commands.add_parser(
        name,
        help=about,
        description=description or f"{about[0].upper()}{about[1:]}.",
        epilog="\n  ".join(["examples:", *examples]) if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


# ── arguments ─────────────────────────────────────────────────────────────────────────────────────


def suggestion(name: str, known: Iterable[str]) -> str:
    """The known name closest to a misspelt one, as the end of a message; "" if none is close.

    >>> suggestion("tnah", ["tanh", "sin"]), suggestion("fnord", ["tanh", "sin"])
    ("; did you mean 'tanh'?", '')
    """
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def named(known: Iterable[str]) -> Callable[[str], str]:
    """The type of an option that takes one of several names."""
    names = list(known)

    def name(text: str) -> str:
        if text in names:
            return text
        raise argparse.ArgumentTypeError(
            f"{text!r} is not one of {', '.join(names)}{suggestion(text, names)}"
        )

    return name


def at_least(least: int) -> Callable[[str], int]:
    """The type of an option that takes a whole number."""

    def whole(text: str) -> int:
        if text.isdecimal() and int(text) >= least:
            return int(text)
        raise argparse.ArgumentTypeError(f"a whole number, at least {least}, not {text!r}")

    return whole


def folder(path: Path) -> Path:
    """Create a folder if it is missing, and check that files can be written to it. Commands call this
    before their work begins."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=path).close()
    except FileExistsError:
        raise Failure(f"{path} is not a folder") from None
    except OSError as error:
        raise Failure(f"{path} cannot be written to: {error.strerror}") from None
    return path


# ── printing ──────────────────────────────────────────────────────────────────────────────────────


def prepare() -> None:
    """Let stdout and stderr replace characters that their encoding lacks, instead of failing."""
    codecs.register_error("autobp", _in_plain_characters)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="autobp")


def _in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    found = _POWER.sub(lambda power: "^" + normalize("NFKC", power[0]), found)
    return "".join(_PLAIN.get(c, c if c.isascii() else "?") for c in found), error.end


def paint(text: str, colour: str) -> str:
    """Text in "green", "red" or "yellow" if stdout is a terminal with colours. The text must make
    sense without its colour."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or sys.stdout is None or not sys.stdout.isatty():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def say(text: str) -> None:
    """Print to stderr, if there is one, what is not part of the result."""
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


def as_json(found: Any) -> str:
    """Standard JSON, in which NaN and infinity are null.

    >>> print(as_json({"loss": float("nan"), "file": None}))
    {
      "loss": null,
      "file": null
    }
    """
    return json.dumps(_finite(found), indent=2, allow_nan=False)


def _finite(found: Any) -> Any:
    if isinstance(found, dict):
        return {str(k): _finite(v) for k, v in found.items()}
    if isinstance(found, list | tuple):
        return [_finite(v) for v in found]
    if isinstance(found, Path):
        return str(found)
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    return found
