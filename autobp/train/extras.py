"""Packages that not everybody needs."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["needed"]


def needed(module: str, who: str, extra: str) -> Any:
    """A module of a package that one of autobp's extras brings."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name not in (package, module):
            raise
        raise ModuleNotFoundError(
            f"{who} needs {package}: pip install 'autobp[{extra}]'", name=package
        ) from None
