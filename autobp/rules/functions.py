"""Functions of NumPy and Python that programs call and that are no primitives.

The results of some are plain arrays by design: their values do not vary smoothly. The others are
called while a function is traced, or by rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.operation import operation
from autobp.primitive import NUMPY, Variable, constant


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
NUMPY[np.result_type] = lambda *xs: np.result_type(
    *(x.dtype if isinstance(x, Variable) else x for x in xs)
)
NUMPY[np.ndim] = lambda a: a.ndim
NUMPY[np.size] = lambda a, axis=None: np.size(np.broadcast_to(0.0, a.shape), axis)


# ── what is known of them ─────────────────────────────────────────────────────────────────────────

# fmt: off
operation(  # of one shape, and fresh
    np.copy, np.clip, np.sort, np.concatenate, np.stack, np.tensordot,
    np.mean, np.var, np.std, np.cumsum, np.cumprod, np.argmax, np.argmin, np.argsort,
    static=True, fresh=True)
operation(  # of one shape, and maybe a view
    np.ravel, np.squeeze, np.swapaxes, np.moveaxis, np.rollaxis, np.expand_dims, np.matrix_transpose,
    np.atleast_1d, np.atleast_2d, np.atleast_3d, np.broadcast_arrays, np.vstack, np.hstack, np.dstack,
    np.column_stack, np.fliplr, np.flipud, np.rot90, np.tril, np.triu, np.diag, np.diagflat, np.diagonal,
    np.take, np.take_along_axis, np.partition, np.argpartition, np.searchsorted, np.digitize, np.isin,
    np.amax, np.amin, np.ptp, np.median, np.average, np.nansum, np.nanmean, np.nanmax, np.nanmin, np.trace,
    np.diff, np.cumulative_sum, np.cumulative_prod, np.around, np.isclose, np.all, np.any, np.count_nonzero,
    np.zeros_like, np.ones_like, np.full_like, np.empty_like, np.sinc, np.real, np.imag,
    np.vdot, np.inner, np.outer, np.einsum, np.kron, np.cross, np.linalg.norm,
    abs, float,
    static=True)
operation(  # as long as their values ask for, or more than one result
    np.nonzero, np.flatnonzero, np.argwhere, np.repeat, np.compress, np.extract, np.unique,
    np.linalg.slogdet)
operation(  # of one shape each
    np.linalg.solve, np.linalg.eigh, np.linalg.svd, np.linalg.svdvals, np.linalg.qr, np.linalg.pinv,
    static=True, fresh=True)
operation(np.array,    static=True, fresh=lambda x, *_, copy=True, **__: copy is True)
operation(np.sum,      static=True, fresh=True, reduces=np.add)
operation(np.prod,     static=True, fresh=True, reduces=np.multiply)
operation(np.max,      static=True, fresh=True, reduces=np.maximum)
operation(np.min,      static=True, fresh=True, reduces=np.minimum)
operation(np.dot,      static=True, fresh=True, out=True, blas=True)
operation(np.where,    static=lambda *args: len(args) > 1, fresh=True)  # of one, the places where it is true
operation(np.bincount, static=lambda x, *_, **__: not isinstance(x, Variable))  # as long as x asks for
# fmt: on
