"""`autobp doctor`: list what is installed, what is missing, and how to install it."""

from __future__ import annotations

import argparse
import importlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import autobp
from autobp.cli.console import Commands, as_json, command, paint
from autobp.extras import EXTRAS, install_command

__all__ = ["add", "run"]

_PYTHON, _NUMPY = (3, 11), (2, 1)
_COLOURS = {"ok": "green", "missing": "yellow", "broken": "red"}


@dataclass
class Finding:
    """The state of one thing that autobp needs or can use."""

    name: str
    state: str  # "ok", "missing" or "broken"
    version: str
    about: str  # its purpose, its place, or what is wrong
    required: bool = False
    extra: str | None = None  # the extra of autobp that installs it


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "doctor",
        run,
        "list what is installed, and what to install",
        "Examine Python, NumPy and its BLAS, Graphviz, the extras and the data. List what\n"
        "is missing, what it is for, and how to install it.",
        ["autobp doctor", "autobp doctor --json"],
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    findings = [*_required(), *_optional(), *_data()]
    broken = [f.name for f in findings if f.required and f.state != "ok"]
    advice = list(_advice(findings))
    if options.json:
        found = [asdict(finding) for finding in findings]
        print(as_json({"ok": not broken, "findings": found, "advice": advice}))
        return 1 if broken else 0
    names, versions = (max(map(len, c)) for c in zip(*((f.name, f.version) for f in findings)))
    for f in findings:
        state = paint(f"{f.state:7}", _COLOURS[f.state])
        print(f"{state}  {f.name:{names}}  {f.version:{versions}}  {f.about}".rstrip())
    print()
    for line in advice:
        print(line)
    optional = [f for f in findings if not f.required and f.state != "ok"]
    absent = [f.name for f in optional]
    if broken:
        print(f"{paint('Broken', 'red')}: {', '.join(broken)}")
    elif any(f.state == "broken" for f in optional):
        print(f"All requirements work. Optional, missing or broken: {', '.join(absent)}")
    elif absent:
        print(f"{paint('All requirements work', 'green')}. Optional, missing: {', '.join(absent)}")
    else:
        print(f"{paint('Everything works', 'green')}, and nothing is missing")
    return 1 if broken else 0


# ── looking ───────────────────────────────────────────────────────────────────────────────────────


def _required() -> Iterator[Finding]:
    from autobp.cost.report import blas

    state = "ok" if sys.version_info >= _PYTHON else "broken"
    yield Finding("Python", state, platform.python_version(), sys.executable, required=True)
    yield _engine()
    old = tuple(map(int, re.findall(r"\d+", np.__version__)[:2])) < _NUMPY
    about = f"autobp needs {'.'.join(map(str, _NUMPY))} or later" if old else f"BLAS: {blas()}"
    yield Finding("numpy", "broken" if old else "ok", np.__version__, about, required=True)
    yield _package("graphviz", "pictures of graphs, with dot", required=True)
    yield _package("tqdm", "progress", required=True)


def _engine() -> Finding:
    """autobp itself, which must compute a known gradient."""
    folder = str(Path(autobp.__file__).parent)
    try:
        autobp.check_gradients(lambda x: np.sum(np.tanh(x) ** 2), np.array([0.5, -1.0]))
    except Exception as error:
        wrong = f"a test gradient failed: {error}"
        return Finding("autobp", "broken", autobp.__version__, wrong, required=True)
    return Finding("autobp", "ok", autobp.__version__, folder, required=True)


def _optional() -> Iterator[Finding]:
    yield _dot()
    for extra, (modules, about) in EXTRAS.items():
        for module in modules:
            yield _package(module, about, extra=extra)


def _package(module: str, about: str, **more: Any) -> Finding:
    name = module.replace("_", "-")
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module:
            return Finding(name, "missing", "", about, **more)
        return Finding(name, "broken", "", str(error), **more)
    except Exception as error:  # a damaged installation may raise anything
        return Finding(name, "broken", "", f"{type(error).__name__}: {error}", **more)
    return Finding(name, "ok", _version(name) or "", about, **more)


def _version(package: str) -> str | None:
    """The version of an installed package; None for one that is only on the path, as in a clone."""
    from importlib.metadata import PackageNotFoundError, version  # late: slow to import

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _dot() -> Finding:
    path = shutil.which("dot")
    if path is None:
        return Finding("dot", "missing", "", "Graphviz: pictures of graphs as SVG, PNG and PDF")
    try:
        done = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=20)
        found = re.search(r"version (\S+)", done.stderr + done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("dot", "broken", "", f"{path}: {error}")
    if done.returncode or found is None:
        said = (done.stderr or done.stdout).strip().partition("\n")[0]
        return Finding("dot", "broken", "", f"{path} -V: {said}")
    return Finding("dot", "ok", found[1], path)


def _data() -> Iterator[Finding]:
    from autobp.data import DataError
    from autobp.data.mnist_files import located

    for name, fashion in (("mnist", False), ("fashion_mnist", True)):
        try:
            folder = located(fashion)
        except DataError as error:
            yield Finding(name, "broken", "", str(error))
            continue
        if folder is None:
            yield Finding(name, "missing", "", "downloaded at its first use")
        else:
            yield Finding(name, "ok", "", str(folder))


# ── advising ──────────────────────────────────────────────────────────────────────────────────────


def _advice(findings: Sequence[Finding]) -> Iterator[str]:
    """The commands that install what is missing."""
    from autobp.drawing.layout import INSTALL

    drawn = any(f.name == "dot" and f.state == "ok" for f in findings)
    extras = [
        f.extra
        for f in findings
        if f.extra and f.state != "ok" and not (f.extra == "wasm" and drawn)  # dot replaces it
    ]
    packages = [f.name for f in findings if f.required and f.state != "ok"]
    if any(name not in ("Python", "autobp") for name in packages):
        yield f"To repair the requirements:\n  {_pip([], '--force-reinstall')}"
    if extras:
        yield f"To install the missing extras:\n  {_pip(list(dict.fromkeys(extras)))}"
    if not drawn:
        yield f"To install Graphviz:\n  {INSTALL}"


def _pip(extras: Sequence[str], *options: str) -> str:
    """The pip command for this Python."""
    return install_command(*extras, pip=[sys.executable, "-m", "pip"], options=options)
