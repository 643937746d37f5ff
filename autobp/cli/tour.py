"""`autobp tour`: from a first network to its derivative as a program, in one go."""

from __future__ import annotations

import argparse
from pathlib import Path

from autobp.cli.console import Commands, command, folder

__all__ = ["add", "run"]

FOLDER = Path("autobp-tour")


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "tour",
        run,
        "see what there is: train, check, draw, compile, measure",
        "Train a small network, check its gradients, look at the graph of a loss, read\n"
        "the backward pass as a program, measure what derivatives cost, and learn digits.",
        ["autobp tour", "autobp tour --out pictures"],
    )
    help = f"where pictures and pages go ({FOLDER})"
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="FOLDER", help=help)


def run(options: argparse.Namespace) -> int:
    out = folder(options.out)
    from autobp.cli.guide import Guide  # late: it brings most of the package

    guide = Guide(out)
    try:
        guide.tour()
    finally:  # after Ctrl-C and on a full disk too
        guide.written()
    guide.next()
    return 0
