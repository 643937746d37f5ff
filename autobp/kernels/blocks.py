"""Functions of many passes over an array, run on a part of it after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

__all__ = ["LARGE", "in_blocks"]

#: Bytes. Smaller arrays stay in the cache as they are, with what is computed of them.
LARGE = 1 << 20
_BLOCK = 1 << 15  # numbers


def in_blocks(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same elementwise function, of which each pass over a large array would fetch it from memory. Of a
    part that stays in the cache all passes are made at once."""

    @wraps(function)
    def run(x: Any) -> Any:
        if type(x) is not np.ndarray or x.nbytes < LARGE or not x.flags.forc:
            return function(x)
        given = x.ravel("K")
        result: Any = np.empty_like(x)
        flat = result.ravel("K")  # a view
        for start in range(0, x.size, _BLOCK):
            flat[start : start + _BLOCK] = function(given[start : start + _BLOCK])
        return result

    return run
