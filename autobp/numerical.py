"""The textbook's derivative: a function of no arguments, its parameters varied one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from inspect import signature
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from autobp.habits import checks_keywords
from autobp.lookups import globals_read
from autobp.owner import warn
from autobp.tensor import Tensor

__all__ = ["numerical_gradient"]


@checks_keywords
def numerical_gradient(
    function: Callable[[], Any], parameters: Sequence[Any], eps: float = 1e-6
) -> list[np.ndarray]:
    """The gradient of a function of no arguments by central differences.

    The function reads the parameters, arrays or Tensors, which are varied in place and left exactly
    as they were, whatever happens. An array of integers cannot hold a small step: for as long as it
    takes the function finds floats in its place, and a warning says so.

    >>> import numpy as np
    >>> from autobp import numerical_gradient
    >>> w = np.array([1.0, 2.0])
    >>> numerical_gradient(lambda: np.sum(w**2), [w])[0].round(6)
    array([2., 4.])
    """
    _check_call(function, parameters)
    gradients = []
    for k, p in enumerate(list(parameters)):
        with _variable(p, f"parameter {k}", function) as array:
            single = array.dtype.itemsize < 8
            h = max(eps, 5e-3) if single else eps  # float32 cannot tell smaller steps apart
            g = np.zeros(array.shape)
            for i in np.ndindex(array.shape):
                start = array[i]
                array[i] = start + h
                above, up = array[i], _number(function())
                array[i] = start - h
                below, down = array[i], _number(function())
                array[i] = start
                g[i] = (up - down) / (float(above) - float(below))
            gradients.append(g)
    return gradients


def _check_call(function: Any, parameters: Any) -> None:
    """Explain the form of the call to who gives a function of its arguments, or one array."""
    is_one = isinstance(parameters, Tensor | int | float | np.number)
    is_one = is_one or (isinstance(parameters, np.ndarray) and parameters.ndim < 2)
    if not is_one:
        try:
            signature(function).bind()
            return
        except ValueError:  # it does not say
            return
        except TypeError:
            pass
    raise TypeError(
        "numerical_gradient takes a function of no arguments, and a list of the arrays that it reads:"
        " write numerical_gradient(lambda: f(x), [x])"
    )


@contextmanager
def _variable(p: Any, what: str, function: Any) -> Iterator[np.ndarray]:
    """A parameter as an array of floats that the function reads, put back at the end."""
    if isinstance(p, Tensor) and not p.ndim:
        with _number_variable(p) as cell:
            yield cell
        return
    array = p.data if isinstance(p, Tensor) else p
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise TypeError(
            f"{what} must be a Tensor or an array of numbers to be varied, not {p!r:.60}"
        )
    if array.dtype.kind != "f":
        with _floats_for(array, what, function) as floats:
            yield floats
        return
    saved = array.copy()
    try:
        yield array
    finally:
        array[...] = saved


class _Cell(np.ndarray):
    """A 0-d array that writes through to a Tensor, whose number is not in an array."""

    tensor: Tensor

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        self.tensor.value = type(self.tensor.value)(value)


@contextmanager
def _number_variable(tensor: Tensor) -> Iterator[np.ndarray]:
    saved = tensor.value
    cell = np.array(saved).view(_Cell)
    cell.tensor = tensor
    try:
        yield cell
    finally:
        tensor.value = saved


@contextmanager
def _floats_for(array: np.ndarray, what: str, function: Any) -> Iterator[np.ndarray]:
    """Floats in the place of integers, wherever the function reads them from."""
    places = list(_places(function, array))
    if None in places or not places:
        found = (
            "in a tuple, a default argument or a view" if places else "in no place that is known"
        )
        raise TypeError(
            f"{what} is an array of {array.dtype}, which cannot be varied, and the function reads it"
            f" {found}, where floats cannot take its place: use .astype(float)"
        )
    warn(f"{what} is an array of {array.dtype}: converted to float64 to be varied")
    floats = array.astype(np.float64)
    try:
        for put in places:
            put(floats)  # type: ignore[misc]
        yield floats
    finally:
        for put in places:
            put(array)  # type: ignore[misc]


def _places(function: Any, array: np.ndarray) -> Iterator[Callable[[Any], None] | None]:
    """For each reference to an array that a function can reach: what puts another in its place, or
    None where nothing can."""
    stack, seen = [function], set()
    while stack:
        holder = stack.pop()
        if id(holder) not in seen:
            seen.add(id(holder))
            for held, put in _held(holder):
                if held is array:
                    yield put
                elif isinstance(held, np.ndarray):
                    if np.may_share_memory(held, array):
                        yield None  # a view of it
                elif not isinstance(held, str | float | int):
                    stack.append(held)


def _held(o: Any) -> Iterator[tuple[Any, Callable[[Any], None] | None]]:
    """What an object refers to when it is called or read."""
    if isinstance(o, FunctionType):
        names = globals_read(o.__code__) & o.__globals__.keys()
        yield from ((o.__globals__[n], partial(o.__globals__.__setitem__, n)) for n in names)
        yield from (
            (c.cell_contents, partial(setattr, c, "cell_contents")) for c in o.__closure__ or ()
        )
        yield from ((d, None) for d in o.__defaults__ or ())
    elif isinstance(o, MethodType):
        yield from ((o.__self__, None), (o.__func__, None))
    elif isinstance(o, partial):
        yield from ((x, None) for x in (o.func, *o.args, *o.keywords.values()))
    elif isinstance(o, tuple):
        yield from ((x, None) for x in o)
    elif isinstance(o, list):
        yield from ((x, partial(o.__setitem__, i)) for i, x in enumerate(o))
    elif isinstance(o, dict):
        yield from ((x, partial(o.__setitem__, k)) for k, x in o.items())
    elif hasattr(o, "__dict__") and not isinstance(o, type | ModuleType):
        yield from ((x, partial(setattr, o, k)) for k, x in vars(o).items())


def _number(value: Any) -> float:
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.size != 1:
        raise ValueError(f"the function must return a number, not shape {array.shape}")
    return float(array.item())
