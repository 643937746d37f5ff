"""The command line: `autobp`, or `python -m autobp`. Each command is a module of its own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from autobp.cli import costs, demo

__all__ = ["main"]

COMMANDS = (demo, costs)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code: 0, 1 for what went wrong, 2 for wrong use, 130 after
    Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="autobp", description="See and trust derivatives.", epilog="Try: autobp demo xor"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    options, rest = parser.parse_known_args(argv)
    if rest and options.run is not costs.run:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # of `autobp demo | head`; what is flushed at the end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
