"""`autobp demo`: list the demos, or run one."""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from autobp.cli.console import Commands, Failure, command, suggestion

__all__ = ["add", "demos", "run", "run_demo"]


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "demo",
        run,
        "list the demos, or run one",
        "List the demos, or run one. autobp demo NAME --help shows its options.",
        ["autobp demo", "autobp demo spiral --out pictures"],
    )
    parser.add_argument("name", nargs="?", help="the demo to run; without it, list all")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="options of the demo")


def run(options: argparse.Namespace) -> int:
    if options.name is None:
        found = demos()
        wide = max(map(len, found), default=0)
        for name, path in found.items():
            print(f"{name:{wide}}  {_about(path)}")
        return 0
    run_demo(options.name, options.options)
    return 0


def run_demo(name: str, options: Sequence[str]) -> Any:
    """Run a demo with its own options, and return what its `main` returns."""
    found = demos()
    if name not in found:
        raise Failure(
            f"there is no demo {name!r}{suggestion(name, found)}\n`autobp demo` lists them", 2
        )
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
        return demo.main()
    finally:
        sys.argv, sys.path = before


def demos() -> dict[str, Path]:
    """The demos by name: those beside the package in a checkout, or else those installed with it.

    >>> from autobp.cli.demo import demos
    >>> "xor" in demos()
    True
    """
    package = Path(__file__).parents[1]
    for folder in (package.parent / "demos", package / "_demos"):
        if (folder / "_common.py").is_file():
            return {p.stem: p for p in sorted(folder.glob("[!_]*.py"))}
    return {}


def _about(path: Path) -> str:
    """The first line of a demo's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]
