"""Taking elements out and putting them back: each is the other's transpose."""

from __future__ import annotations

import math
import operator
from typing import Any, Generic, TypeVar

import numpy as np

from autobp.arrays import array_of, in_memory, is_foreign, plain_array
from autobp.habits import absent
from autobp.kernels.indexed import added_at, rows_added_at, rows_taken
from autobp.operation import MOVE, operation
from autobp.primitive import (
    Array,
    Primitive,
    Variable,
    constant,
    implements,
    linear,
    opaque,
    variable_in,
)
from autobp.rules import batching, patterns
from autobp.rules.arithmetic import where
from autobp.rules.shape import along, axis_of
from autobp.spellings import AT

T = TypeVar("T")
Index = Any


def _getitem(x: Array, index: Index) -> Array:
    x = plain_array(x)
    try:
        return x[index]
    except (NotImplementedError, TypeError, ValueError):  # Dask's arrays know one array of numbers
        if is_foreign(x):
            return rows_taken(x, _known(index))
        raise


def _scatter(x: Array, index: Index, shape: tuple[int, ...]) -> Array:
    """Zeros of the shape given, with x added in at the index, as often as that names a place."""
    x = plain_array(x)
    if is_foreign(x):
        return _scatter_foreign(x, index, shape)
    if _repeats(index):
        return added_at(x, index, shape)
    z = np.zeros(shape, x.dtype)
    z[index] = x
    return z


def _scatter_foreign(x: Array, index: Index, shape: tuple[int, ...]) -> Array:
    z, index = np.zeros_like(x, shape=shape), _places_known(index)
    try:
        if not _repeats(index) or _names_none_twice(x, index, shape):
            z[index] = x
        else:
            np.add.at(z, index, x)
    except (NotImplementedError, TypeError, ValueError, IndexError):
        return rows_added_at(x, _known(index), shape)
    return z


def _names_none_twice(x: Array, index: Index, shape: tuple[int, ...]) -> bool:
    """Whether an index, as an order is, names no place twice: not all other libraries have `add.at`."""
    named = np.zeros(shape, bool)
    named[_known(index)] = True
    return int(np.count_nonzero(named)) == math.prod(x.shape)


def _known(index: Index) -> Index:
    """An index of which NumPy's arrays know every part."""
    if type(index) is tuple:
        return tuple(map(_known, index))
    return in_memory(index)[()] if is_foreign(index) else index


def _places_known(index: Index) -> Index:
    """An index to assign at, of which NumPy's arrays know every place: Dask's before 2025.2 take numbers in an
    array of their own for truth values, and assign everywhere. Masks stay as they are."""
    if type(index) is tuple:
        return tuple(map(_places_known, index))
    return index if is_foreign(index) and index.dtype == bool else _known(index)


def _repeats(index: Index) -> bool:
    """Only arrays of integers can name a place twice."""
    for i in index if type(index) is tuple else (index,):
        if (isinstance(i, np.ndarray) or is_foreign(i)) and i.dtype != bool and i.size > 1:
            return True
    return False


def _add_part(total: np.ndarray, g: np.ndarray, index: Index) -> bool:
    """Add to the numbers of an array that an index names, if it names none twice: without the zeros
    around them, which for many parts of one array take most of the time."""
    if _repeats(index) or variable_in(index) is not None:
        return False
    total[index] += g
    return True


def _scatter_cost(
    out: tuple[int, ...], x: tuple[int, ...], index: Index, shape: Any
) -> tuple[int, int, int]:
    return 0, math.prod(x) if _repeats(index) else 0, 0


def _unmasked(x: Array, index: Index) -> bool:
    """Whether the places that an index names are as many whatever is in it, while it is traced."""
    parts = index if isinstance(index, tuple) else (index,)
    ends = [e for p in parts if isinstance(p, slice) for e in (p.start, p.stop, p.step)]
    masks = [p for p in parts if isinstance(p, Variable) and p.dtype.kind == "b"]
    return not masks and not any(isinstance(e, Variable) for e in ends)


def _put(x: Array, v: Array, index: Index) -> Array:
    if is_foreign(x):
        return _put_foreign(x, v, index)
    z = np.array(x)  # whose dtype it stays, as with NumPy's z[i] = v
    z[index] = v
    return z


def _put_foreign(x: Array, v: Array, index: Index) -> Array:
    z = x.copy()
    z[_places_known(index)] = v
    return z


@opaque
@operation(static=True, fresh=True, batch=batching.kept_places)
def _last(index: Index, shape: tuple[int, ...]) -> Array:
    """1 where a written value survives, 0 where a later one to the same place overwrote it."""
    order = np.full(shape, -1)
    mine = np.arange(order[index].size).reshape(order[index].shape)
    order[index] = mine
    return order[index] == mine


# fmt: off
getitem: Primitive = linear(_getitem,
                            lambda g, y, x, index: scatter(g, index=index, shape=x.shape),
                            name="getitem", numpy=operator.getitem, moves=True, static=_unmasked, adds=_add_part, batch=batching.taken)
scatter: Primitive = linear(_scatter,
                            lambda g, y, x, index, shape: getitem(g, index=index),
                            name="scatter", cost=_scatter_cost, fresh=True, opaque=True, batch=batching.scattered, pattern=patterns.added)
put:     Primitive = linear(_put,
                            lambda g, y, x, v, index: put(g, 0.0, index=index),
                            lambda g, y, x, v, index: getitem(g, index=index) * _last(index, g.shape),
                            name="put", cost=MOVE, fresh=True, opaque=True, batch=batching.written, pattern=patterns.moved)
# fmt: on


BASIC = {int, slice, type(None), type(...)}  # what cannot change, in most indices


def prepared(index: Index) -> Index:
    """An index that later changes to the caller's lists and arrays cannot reach."""
    if type(index) in BASIC or (type(index) is tuple and BASIC.issuperset(map(type, index))):
        return index
    if isinstance(index, tuple):
        return tuple(prepared(list(i) if isinstance(i, tuple) else i) for i in index)
    if isinstance(index, Variable) and index.primal_value() is index and index.dtype.kind in "iub":
        return index  # an array that is being written down
    if isinstance(index, Variable):
        raise TypeError(
            "a Tensor holds floating-point numbers and cannot be an index;"
            " use t.numpy().astype(int), or a comparison, which gives a plain mask"
        )
    if isinstance(index, list | range):
        index = np.asarray(index)
        return index if index.size else index.astype(int)
    return index.copy() if isinstance(index, np.ndarray) or is_foreign(index) else index


def picked(a: Array, index: Index) -> Array:
    """a[index], where either may stand for an array or a batch."""
    return getitem(a, index=prepared(index))


class At(Generic[T]):
    """`t.at[i]`: the functional form of writing. `set` and `add` return a new Tensor.

    >>> from autobp import Tensor
    >>> t = Tensor([1.0, 2.0, 3.0])
    >>> t.at[0].set(9.0)
    Tensor([9. 2. 3.], from put)
    >>> t.at[[1, 1]].add(0.5)
    Tensor([1. 3. 3.], from add)
    """

    __slots__ = ("_index", "_tensor")

    def __init__(self, tensor: T, index: Index = None) -> None:
        self._tensor = tensor
        self._index = index

    def __getitem__(self, index: Index) -> At[T]:
        return At(self._tensor, prepared(index))

    def set(self, value: Array) -> T:
        return put(self._tensor, value, index=self._index)

    def add(self, value: Array) -> T:
        tensor: Any = self._tensor
        shape, dtype = tensor.shape, tensor.dtype
        added: Any = value if isinstance(value, Variable) else np.asarray(value)
        added = added if added.dtype == dtype else added.astype(dtype)
        added = np.broadcast_to(
            added, getitem(np.broadcast_to(0.0, shape), index=self._index).shape
        )
        return tensor + scatter(added, index=self._index, shape=shape)

    def __getattr__(self, name: str) -> Any:
        said = f"'At' object has no attribute {name!r}"
        raise absent(said, name, AT, lambda: dir(At))


# ── the forms in which NumPy takes them ───────────────────────────────────────────────────────────


@implements(np.take)
def take(a: Array, indices: Any, axis: int | None = None, *, mode: str = "raise") -> Array:
    a, axis = along(a, axis)
    axis = axis_of(axis, a.ndim)
    indices = array_of(prepared(indices))
    n = a.shape[axis]
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"take: mode is 'raise', 'wrap' or 'clip', not {mode!r}")
    if mode == "wrap":
        indices = indices % n
    elif mode == "clip":
        indices = np.clip(indices, 0, n - 1)
    return getitem(a, index=(*(slice(None),) * axis, indices))


@implements(np.take_along_axis)
def take_along_axis(arr: Array, indices: Any, axis: int | None = -1) -> Array:
    if axis is None:
        arr, axis = np.ravel(arr), 0
    axis = axis_of(axis, arr.ndim)
    # Broadcasting ranges along the other axes; where an axis of the indices is 1, take 0…n all the same.
    grid: list[Any] = [
        np.arange(n).reshape([-1 if i == k else 1 for i in range(arr.ndim)])
        for k, n in enumerate(arr.shape)
    ]
    grid[axis] = array_of(prepared(indices))
    return getitem(arr, index=tuple(grid))


@implements(np.compress)
def compress(condition: Any, a: Array, axis: int | None = None) -> Array:
    condition = array_of(condition)
    if condition.ndim != 1:
        raise ValueError(f"compress takes a condition of 1 dimension, not {condition.ndim}")
    return take(a, np.flatnonzero(condition), axis)


@implements(np.extract)
def extract(condition: Any, arr: Array) -> Array:
    return take(arr, np.flatnonzero(constant(condition)))


@implements(np.sort)
def sort(
    a: Array,
    axis: int | None = -1,
    *,
    kind: Any = None,
    stable: bool | None = None,
    descending: bool = False,
) -> Array:
    if axis is None:
        a, axis = np.ravel(a), 0
    values = constant(a)
    order = np.argsort(-values if descending else values, axis=axis, kind=kind, stable=stable)
    return take_along_axis(a, order, axis)


@implements(np.partition)
def partition(a: Array, kth: Any, axis: int | None = -1) -> Array:
    if axis is None:
        a, axis = np.ravel(a), 0
    return take_along_axis(a, np.argpartition(constant(a), kth, axis=axis), axis)


@implements(np.diagonal)
def diagonal(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    a = np.moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = a.shape[-2:]
    n = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    i = np.arange(n)
    return getitem(a, index=(..., i + max(-offset, 0), i + max(offset, 0)))


@implements(np.linalg.diagonal)
def linalg_diagonal(x: Array, /, *, offset: int = 0) -> Array:
    return diagonal(x, offset, -2, -1)


@implements(np.diag)
def diag(v: Array, k: int = 0) -> Array:
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise ValueError(f"diag takes a vector or a matrix, not {v.ndim} dimensions")
    n = v.shape[0] + abs(k)
    i = np.arange(v.shape[0])
    return scatter(v, index=(i + max(-k, 0), i + max(k, 0)), shape=(n, n))


@implements(np.diagflat)
def diagflat(v: Array, k: int = 0) -> Array:
    return diag(np.ravel(v), k)


@implements(np.trace)
def trace(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1)


@implements(np.linalg.trace)
def linalg_trace(x: Array, /, *, offset: int = 0) -> Array:
    return trace(x, offset, -2, -1)


def _triangle(m: Array, k: int) -> np.ndarray:
    rows, columns = (m.shape * 2)[-2:]  # a vector counts as a square of it, as in NumPy
    return np.tri(rows, columns, k, bool)


@implements(np.tril)
def tril(m: Array, k: int = 0) -> Array:
    return where(_triangle(m, k), m, 0.0)


@implements(np.triu)
def triu(m: Array, k: int = 0) -> Array:
    return where(_triangle(m, k - 1), 0.0, m)
