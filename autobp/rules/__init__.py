"""The derivative tables, and every primitive in them by name."""

import numpy as np

from autobp.primitive import NUMPY, Primitive
from autobp.rules import (
    arithmetic,
    attention,
    convolution,
    decompositions,
    functions,
    indexing,
    linalg,
    neural,
    normalization,
    reduction,
    selection,
    shape,
    signals,
    statistics,
)

__all__ = ["PRIMITIVES"]

# Statistics, signals and selection hold no primitives: what is in them is made of others.
_TABLES = (
    arithmetic, reduction, shape, indexing, linalg, decompositions, neural, normalization, attention,
    convolution, statistics, signals, selection, functions,
)  # fmt: skip

PRIMITIVES: dict[str, Primitive] = {
    value.name: value
    for module in _TABLES
    for value in vars(module).values()
    if isinstance(value, Primitive)
}

# A ufunc's primitive stands in for it as it is, unless a function does that takes more forms.
for primitive in PRIMITIVES.values():
    if isinstance(primitive.function, np.ufunc):
        NUMPY.setdefault(primitive.function, primitive)
