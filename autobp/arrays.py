"""Arrays: what may be the value of a Tensor, what a Tensor yields to, and what is refused.

One rule decides, by the type of what is given:

    admitted    Python's floats, NumPy's numbers and arrays of floating-point numbers; and arrays of
                other libraries that take part in both of NumPy's protocols, `__array_ufunc__` and
                `__array_function__`, such as those of Dask and CuPy: the rules run on them unchanged
    converted   what np.asarray makes such an array of: whole numbers, lists, objects of pandas
    yielded to  what takes no part in ufuncs (`__array_ufunc__ = None`), and what has ufuncs of its own
                but not NumPy's functions, such as objects of xarray: their operators take over
    refused     masked arrays with masked elements, np.matrix, arrays of objects, texts, complex numbers
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any

import numpy as np

from autobp.primitive import Variable, constant, numbers

__all__ = [
    "array_of",
    "by_its_library",
    "check_numpys",
    "defers_to",
    "full_name",
    "in_memory",
    "is_foreign",
    "of_its_kind",
    "plain_array",
    "single",
]

_UFUNC: Any = np.ndarray.__array_ufunc__
_OURS = (np.ndarray, float, int, slice)  # of most arrays, and of what indices are made of


def is_foreign(a: Any) -> bool:
    """Whether it is an array of another library that may be the value of a Tensor."""
    kind: Any = type(a)
    return kind not in _OURS and _is_foreign(kind)


@lru_cache(1024)
def _is_foreign(kind: Hashable) -> bool:
    if not isinstance(kind, type) or issubclass(kind, Variable | np.ndarray | np.generic):
        return False
    both = (getattr(kind, name, None) for name in ("__array_ufunc__", "__array_function__"))
    return all(map(callable, both)) and not hasattr(kind, "__pandas_priority__")


def full_name(a: Any) -> str:
    """The type of an array with its library, for messages."""
    return f"{type(a).__module__.partition('.')[0]}.{type(a).__name__}"


def in_memory(a: Any) -> Any:
    """The numbers of an array of another library as an array of NumPy: a GPU's are asked for by `get`."""
    return np.asarray(a.get() if hasattr(a, "get") else a)


def by_its_library(function: Any, a: Any, **options: Any) -> Any:
    """A function of NumPy's on an array of another library. If that has not all of it, as Dask has not the
    decompositions of all chunks, NumPy computes it, of all numbers in memory."""
    try:
        return function(a, **options)
    except (NotImplementedError, TypeError, ValueError):
        if not is_foreign(a):
            raise
    found = function(in_memory(a), **options)
    return [of_its_kind(x, a) for x in found] if isinstance(found, tuple) else of_its_kind(found, a)


def of_its_kind(c: Any, primal: Any) -> Any:
    """A constant as an array of the library of a primal value, since some are not mixed with NumPy's."""
    while hasattr(primal, "level"):  # a Tensor: of a derivative further out
        primal = primal.value
    if not is_foreign(primal) or is_foreign(c) or isinstance(c, Variable):
        return c
    return np.asarray(c, like=primal)


def check_numpys(what: str, *arrays: Any) -> None:
    """Refuse arrays of other libraries where a kernel works on NumPy's memory."""
    for a in map(numbers, arrays):
        if is_foreign(a):
            raise TypeError(f"{what} takes arrays of NumPy alone, not of type {full_name(a)}")


def defers_to(kind: type[Any]) -> bool:
    """Whether a binary operator leaves the operation to the other operand's class, as ndarray's does.
    Objects of pandas defer to Tensors in turn, since it cannot hold them."""
    key: Any = kind
    return _defers_to(key)


@lru_cache(1024)
def _defers_to(kind: Hashable) -> bool:
    if isinstance(kind, type) and issubclass(kind, Variable):
        return False
    if getattr(kind, "__array_ufunc__", _UFUNC) is _UFUNC or _is_foreign(kind):
        return False
    return not hasattr(kind, "__pandas_priority__")


def array_of(a: Any) -> Any:
    """The constant values as an array, or as what stands for one while a program is written down."""
    a = constant(a)
    return a if isinstance(a, Variable) else plain_array(a)


def plain_array(a: Any, dtype: Any = None) -> Any:
    """np.asarray, but not of what it would misread, nor of an array of another library."""
    if type(a) is np.ndarray:
        return a if dtype is None else a.astype(dtype, copy=False)
    if is_foreign(a):
        return a if dtype is None else a.astype(dtype)
    if isinstance(a, np.matrix):
        raise TypeError(
            "a np.matrix is not combined with Tensors, since its * is the product of matrices: write"
            " np.asarray(m), and @ for products"
        )
    if isinstance(a, np.ndarray) and np.any(getattr(a, "mask", False)):
        raise TypeError(
            "a masked array with masked elements has no meaning here, and its mask would be dropped: write"
            " m.filled(value), or m.compressed() for what is not masked"
        )
    return np.asarray(a, dtype)


def single(x: Any, z: Any) -> Any:
    """A number in float32, if z is: what NumPy computes of numbers and truth values alone is in float64,
    and makes so of what it meets."""
    if getattr(z, "dtype", float) != np.float32 or getattr(x, "ndim", 0):
        return x
    return x.astype(np.float32) if hasattr(x, "astype") else np.float32(x)
