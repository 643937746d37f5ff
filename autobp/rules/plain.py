"""Functions whose results are plain arrays by design: their values do not vary smoothly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.primitive import NUMPY, constant


def _plainly(function: Callable[..., Any]) -> Callable[..., Any]:
    def plain(*args: Any, **kwargs: Any) -> Any:
        return function(*map(_constants, args), **{k: _constants(v) for k, v in kwargs.items()})

    return plain


def _constants(a: Any) -> Any:
    """The bare values, also of what comes in a list or a tuple, as the keys of lexsort do."""
    return type(a)(map(_constants, a)) if type(a) in (list, tuple) else constant(a)


# fmt: off
PLAIN = (
    # comparisons and tests
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
    np.logical_and, np.logical_or, np.logical_xor, np.logical_not,
    np.isnan, np.isinf, np.isfinite, np.isneginf, np.isposinf, np.signbit,
    np.isclose, np.allclose, np.array_equal, np.array_equiv, np.isreal, np.iscomplex, np.isrealobj, np.iscomplexobj, np.isin,
    np.all, np.any, np.count_nonzero,
    # positions
    np.argmax, np.argmin, np.nanargmax, np.nanargmin, np.argsort, np.argpartition, np.lexsort,
    np.nonzero, np.flatnonzero, np.argwhere, np.searchsorted, np.digitize,
    # properties
    np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like,
    np.array2string, np.array_str, np.array_repr,
    np.shares_memory, np.may_share_memory,
)
# fmt: on

NUMPY |= {function: _plainly(function) for function in PLAIN}

# Told without a look at the values.
NUMPY[np.shape] = lambda a: a.shape
NUMPY[np.ndim] = lambda a: a.ndim
