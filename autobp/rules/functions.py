"""Functions of NumPy and Python that programs call and that are no primitives.

The results of some are plain arrays by design: their values do not vary smoothly. The others are
called while a function is traced, or by rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autobp.operation import operation
from autobp.primitive import NUMPY, Variable, plainly
from autobp.rules import batching
from autobp.rules.selection import stacked


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: plainly(function, *map(_together, args), **kwargs)


def _together(a: Any) -> Any:
    """A list with batches in it as one batch."""
    is_batch = type(a) in (list, tuple) and any(isinstance(x, Variable) and x.is_batch for x in a)
    return stacked(a) if is_batch else a


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
    np.linalg.matrix_rank,
    # properties
    np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like,
    np.array2string, np.array_str, np.array_repr,
    np.shares_memory, np.may_share_memory,
)
# fmt: on

NUMPY |= {function: _plain(function) for function in PLAIN}

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
    np.copy, np.clip, np.sort, np.stack, np.tensordot,
    np.mean, np.var, np.std, np.cumsum, np.cumprod,
    static=True, fresh=True)
operation(np.concatenate, static=True, fresh=True, pixels="kept")
operation(  # of one shape, and maybe a view
    np.ravel, np.squeeze, np.swapaxes, np.moveaxis, np.rollaxis, np.expand_dims, np.matrix_transpose,
    np.atleast_1d, np.atleast_2d, np.atleast_3d, np.broadcast_arrays, np.vstack, np.hstack, np.dstack,
    np.column_stack, np.fliplr, np.flipud, np.rot90, np.tril, np.triu, np.diag, np.diagflat, np.diagonal,
    np.take, np.take_along_axis, np.partition,
    np.amax, np.amin, np.ptp, np.median, np.average, np.nansum, np.nanmean, np.nanmax, np.nanmin, np.trace,
    np.diff, np.cumulative_sum, np.cumulative_prod, np.around, np.full_like, np.sinc, np.real, np.imag,
    np.vdot, np.inner, np.outer, np.einsum, np.kron, np.cross, np.linalg.norm,
    abs, float,
    static=True)
operation(  # as long as their values ask for, or more than one result
    np.repeat, np.compress, np.extract)
operation(  # of one shape each
    np.linalg.solve, np.linalg.eigh, np.linalg.svd, np.linalg.svdvals, np.linalg.qr, np.linalg.pinv,
    static=True, fresh=True)
# those whose results are plain arrays, with their batching rules
operation(np.argmax, np.argmin, np.nanargmax, np.nanargmin,             static=True, fresh=True, batch=batching.reducing)
operation(np.all, np.any, np.count_nonzero,                             static=True,             batch=batching.reducing)
operation(np.argsort,                                                   static=True, fresh=True, batch=batching.sorting)
operation(np.argpartition,                                              static=True,             batch=batching.partitioning)
operation(np.lexsort,                                                                            batch=batching.by_keys)
operation(np.searchsorted,                                              static=True,             batch=batching.placing)
operation(np.digitize,                                                  static=True,             batch=batching.binning)
operation(np.histogram,                                                                          batch=batching.in_bins)
operation(np.histogram_bin_edges,                                                                batch=batching.bin_edges)
operation(np.linalg.matrix_rank,                                        static=True, fresh=True, batch=batching.ranked)
operation(np.isclose, np.isneginf, np.isposinf, np.isreal, np.iscomplex, static=True,            batch=batching.elementwise)
operation(np.isin,                                                      static=True,             batch=batching.belonging)
operation(np.allclose, np.array_equal, np.array_equiv,                                           batch=batching.of_all)
operation(np.nonzero, np.flatnonzero, np.argwhere, np.unique, np.unique_all, np.unique_counts, np.unique_inverse, np.unique_values,
          np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d, np.trim_zeros,                  batch=batching.ragged_results)
operation(np.unravel_index,                                                                      batch=batching.leading)
operation(np.zeros_like, np.ones_like, np.empty_like,                   static=True,             batch=batching.of_form)
operation(np.array2string, np.array_str, np.array_repr, np.isrealobj, np.iscomplexobj,
          np.shares_memory, np.may_share_memory,                                                 batch=batching.looked_at)
operation(np.linalg.slogdet,                                                                     batch=batching.leading)
operation(np.array,    static=True, fresh=lambda x, *_, copy=True, **__: copy is True)
operation(np.sum,      static=True, fresh=True, reduces=np.add)
operation(np.prod,     static=True, fresh=True, reduces=np.multiply)
operation(np.max,      static=True, fresh=True, reduces=np.maximum)
operation(np.min,      static=True, fresh=True, reduces=np.minimum)
operation(np.dot,      static=True, fresh=True, out=True, blas=True)
operation(np.where,    static=lambda *args: len(args) > 1, fresh=True,  # of one, the places where it is true
          batch=batching.ragged_results)
operation(np.bincount, static=lambda x, *_, **__: not isinstance(x, Variable))  # as long as x asks for
# fmt: on
