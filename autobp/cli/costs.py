"""`autobp costs`: measure what each mode costs. It runs the demo `forward_vs_reverse`."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path

from autobp.cli.console import Commands, as_json, at_least, command, folder
from autobp.cli.demo import run_demo
from autobp.extras import needed

__all__ = ["add", "run"]


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "costs",
        run,
        "measure what forward mode, reverse mode and differences cost",
        "Count and measure what differences, forward mode and reverse mode cost, for many\n"
        "inputs, for many outputs, for one update of a network, for a sparse Jacobian,\n"
        "and in memory: one direction at a time, all at once, and with remat.",
        ["autobp costs --quick", "autobp costs --out pictures"],
    )
    option = parser.add_argument
    option("--seed", type=at_least(0), default=0, help="random seed (0)")
    option("--quick", action="store_true", help="only small sizes: much shorter")
    option("--out", type=Path, metavar="FOLDER", help="save a picture there")
    option("--json", action="store_true", help="print one JSON object; tables go to stderr")


def run(options: argparse.Namespace) -> int:
    if options.out:
        needed("matplotlib", "--out", "plot")
        folder(options.out)
    given = ["--seed", str(options.seed)]
    given += ["--quick"] * options.quick
    given += ["--out", str(options.out)] if options.out else []
    if not options.json:
        run_demo("forward_vs_reverse", given)
        return 0
    found, interrupted = {}, False
    try:
        with redirect_stdout(sys.stderr):
            found = run_demo("forward_vs_reverse", given)
    except KeyboardInterrupt as stop:
        found, interrupted = next(iter(stop.args), found), True
    print(as_json({"interrupted": interrupted, **found}))
    return 130 if interrupted else 0
