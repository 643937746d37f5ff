"""`autobp tour`: show what the package can do, on a first network."""

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
        "show it all: train, check, draw, compile, measure",
        "Train a small network, check its gradients, draw and play a graph, print the\n"
        "backward pass as a program, measure what derivatives cost, and learn digits.",
        ["autobp tour", "autobp tour --out pictures"],
    )
    help = f"folder for pictures and pages ({FOLDER})"
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="FOLDER", help=help)


def run(options: argparse.Namespace) -> int:
    out = folder(options.out)
    from autobp.cli.guide import Guide  # late: it imports most of the package

    guide = Guide(out)
    try:
        guide.tour()
    finally:  # also after Ctrl-C and on a full disk
        guide.written()
    guide.next()
    return 0
