"""The command line: `autobp`, or `python -m autobp`."""

from __future__ import annotations

import argparse
import ast
import os
import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

__all__ = ["demos", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code: 0, 1 for what went wrong, 2 for wrong use, 130 after
    Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="autobp", description="See and trust derivatives.", epilog="Try: autobp demo xor"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_costs(commands)
    options, rest = parser.parse_known_args(argv)
    if rest and options.run is not _costs:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # of `autobp demo | head`; what is flushed at the end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


# ── demo ──────────────────────────────────────────────────────────────────────────────────────────


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "demo",
        help="list the demos, or run one",
        description="List the demos, or run one.",
        epilog="Try: autobp demo spiral --out pictures; autobp demo spiral --help has its options",
    )
    parser.add_argument("name", nargs="?", help="which to run; without it they are listed")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="of the demo")
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    if options.name is None:
        found = demos()
        wide = max(map(len, found), default=0)
        for name, path in found.items():
            print(f"{name:{wide}}  {_about(path)}")
        return 0
    return _run(options.name, options.options)


def _run(name: str, options: Sequence[str]) -> int:
    found = demos()
    if name not in found:
        print(f"there is no demo {name!r}; there are {', '.join(found)}", file=sys.stderr)
        return 2
    path = found[name]
    before = sys.argv, sys.path
    sys.argv = [f"autobp demo {name}", *options]
    sys.path = [str(path.parent), *sys.path]  # as Python does with a script
    try:
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        demo = module_from_spec(spec)
        spec.loader.exec_module(demo)
        demo.main()
    finally:
        sys.argv, sys.path = before
    return 0


def demos() -> dict[str, Path]:
    """The demos by name: those of the checkout that the package is in, or else its own.

    >>> from autobp.cli import demos
    >>> "xor" in demos()
    True
    """
    package = Path(__file__).parent
    for folder in (package.parent / "demos", package / "demos"):
        if (folder / "_common.py").is_file():
            return {p.stem: p for p in sorted(folder.glob("[!_]*.py"))}
    return {}


def _about(path: Path) -> str:
    """The first line of what a demo says of itself."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


# ── costs ─────────────────────────────────────────────────────────────────────────────────────────


def _add_costs(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "measure what forward mode, reverse mode and differences cost"
    commands.add_parser("costs", help=about, add_help=False).set_defaults(run=_costs)


def _costs(options: argparse.Namespace) -> int:
    """The demo of the costs, which has the options."""
    return _run("forward_vs_reverse", options.rest)
