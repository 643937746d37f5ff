"""The command line: `autobp`, or `python -m autobp`.

Each command is a module: `add` declares it, and `run` runs it and returns the exit code. A command that
takes a list of arguments names it `several`. A default `hint` is added to the error for an unknown
argument.

    console   what all commands share
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

import autobp
from autobp.cli import check, costs, demo, doctor, draw, tour, train
from autobp.cli.console import Failure, prepare, say, suggestion
from autobp.extras import MissingExtra

__all__ = ["main"]

COMMANDS = (tour, demo, draw, train, costs, check, doctor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 after an error, 2 for wrong use, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="autobp",
        description="Autograd for NumPy whose every gradient you can watch, check, and read as code.",
        epilog="autobp COMMAND --help shows the options of a command, and examples.",
    )
    parser.add_argument("--version", action="version", version=f"autobp {autobp.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    for command in COMMANDS:
        command.add(commands)
    prepare()
    argv = sys.argv[1:] if argv is None else argv
    if argv and not argv[0].startswith("-") and argv[0] not in commands.choices:
        meant = suggestion(argv[0], commands.choices) or "; autobp --help lists them"
        parser.error(f"there is no command {argv[0]!r}{meant}")
    options, rest = parser.parse_known_args(argv)
    if "several" in options:  # argparse ends a list of arguments at the first option
        options.several += [text for text in rest if not text.startswith("-")]
        rest = [text for text in rest if text.startswith("-")]
    if rest:
        hint = getattr(options, "hint", "")
        wrong = commands.choices.get(options.command, parser)
        wrong.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2

    def tell(what: object) -> None:
        say(f"autobp {options.command}: {what}")

    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: tell(message)
            code = int(options.run(options))
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # as in `autobp demo | head`
        _abandon_stdout()
    except Failure as failure:
        tell(failure)
        return failure.code
    except MissingExtra as error:
        tell(error)
    except ValueError as error:
        from autobp.data import DataError  # late: it imports the modules for downloads

        if not isinstance(error, DataError):
            raise
        tell(error)
    except MemoryError:
        tell("there is not enough memory for this")
    except OSError as error:
        what = error.strerror or str(error)
        tell(f"{error.filename}: {what}" if error.filename else what)
        try:
            sys.stdout.flush()
        except (OSError, AttributeError):
            _abandon_stdout()
    return 1


def _abandon_stdout() -> None:
    """Discard what Python would still write to stdout when it ends."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
