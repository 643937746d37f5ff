"""Data sets (points in the plane, handwritten digits), batches, folds and standardization.

    >>> from autobp.data import batches, spiral
    >>> X, y = spiral()
    >>> [len(labels) for _, labels in batches(X, y, 128)]
    [128, 128, 44]

All functions return plain arrays. Nothing here depends on Tensors.
"""

from typing import TYPE_CHECKING, Any

from autobp.data.batching import batches
from autobp.data.folds import k_folds, split
from autobp.data.idx import DataError, read_idx
from autobp.data.images import Images
from autobp.data.mnist_files import fashion_mnist, mnist
from autobp.data.points import circles, linear, moons, regression, spiral, xor
from autobp.data.small_digits import digits
from autobp.data.standard import Standard, standardize
from autobp.habits import absent_from_module
from autobp.spellings import DATA

__all__ = [
    "linear",
    "xor",
    "spiral",
    "moons",
    "circles",
    "regression",
    "digits",
    "mnist",
    "fashion_mnist",
    "Images",
    "batches",
    "split",
    "k_folds",
    "standardize",
    "Standard",
    "read_idx",
    "DataError",
]

if not TYPE_CHECKING:  # else a type checker would believe every name

    def __getattr__(name: str) -> Any:
        raise absent_from_module("autobp.data", name, DATA, __dir__)


def __dir__() -> list[str]:
    return sorted(__all__)
