"""`autobp costs`: what each way to differentiate costs."""

from __future__ import annotations

import argparse

from autobp.cli.demo import run_demo

__all__ = ["add", "run"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "measure what forward mode, reverse mode and differences cost"
    commands.add_parser("costs", help=about, add_help=False).set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """The demo of the costs, which has the options."""
    return run_demo("forward_vs_reverse", options.rest)
