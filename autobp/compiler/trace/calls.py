"""Calls that NumPy has no function for, as programs have them."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.operation import operation

__all__ = ["appended", "as_type", "draw", "guarded", "joined", "numbers", "placed", "put", "select"]


@operation(static=True, fresh=True)
def as_type(x: Any, dtype: Any) -> Any:
    return np.asarray(x, dtype)[()] if np.ndim(x) == 0 else x.astype(dtype)


@operation(static=True, fresh=True)
def put(x: Any, index: Any, value: Any) -> Any:
    z = np.array(x)
    z[index] = value
    return z


@operation(static=True, fresh=True)
def placed(x: Any, index: Any, shape: Any) -> Any:
    """Zeros with x at the index, which names no place twice."""
    z = np.zeros(shape, np.asarray(x).dtype)
    z[index] = x
    return z


@operation(static=True, fresh=True)
def select(condition: Any, x: Any, y: Any) -> Any:
    """np.where for single numbers."""
    return x if condition else y


@operation(static=True, fresh=True)
def draw(rng: np.random.Generator, method: str, *args: Any, **kwargs: Any) -> Any:
    return getattr(rng, method)(*args, **kwargs)


@operation(static=True)
def guarded(value: Any, expected: Any) -> Any:
    """A guard: the program was traced with this value, or with this shape and dtype."""
    raise NotImplementedError


@operation(static=True)
def joined(*parts: Any) -> list[Any]:
    """The elements of all parts in one list."""
    return [x for part in parts for x in part]


@operation(static=True)
def appended(numbers: list[Any], x: Any) -> list[Any]:
    """A list with one more element. It is the same list where the program runs."""
    return [*numbers, x]


@operation(static=True, fresh=True)
def numbers(array: Any) -> list[Any]:
    """The elements of an array as Python's numbers."""
    return array.tolist()
