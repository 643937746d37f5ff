"""Special functions that NumPy's dispatch does not reach; those that it reaches are SciPy's own."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from autobp.extras import needed
from autobp.habits import checks_keywords
from autobp.primitive import Array
from autobp.rules.neural import floating

__all__ = ["polygamma"]


@checks_keywords
def polygamma(n: int, x: Array) -> Array:
    """The derivative of order n of the digamma function, on arrays and Tensors; it needs SciPy, whose
    own `polygamma` does not take Tensors.

    >>> from autobp import polygamma
    >>> float(polygamma(1, 1.0))  # π² / 6
    1.6449340668482266
    """
    special: Any = needed("scipy.special", "polygamma", "scipy")
    rules = import_module("autobp.rules.special")  # late, since it imports SciPy
    if not isinstance(n, int) or n < 0:
        raise ValueError(f"polygamma: n must be a whole number, 0 or more, not {n!r}")
    x = floating(x)
    return special.psi(x) if n == 0 else rules.polygamma(x, n=n)
