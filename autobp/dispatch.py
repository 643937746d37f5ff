"""Calls of NumPy functions on Tensors: find our function, and fit the arguments to it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from autobp.errors import no_rule
from autobp.habits import foreign_keyword
from autobp.owner import is_scipys
from autobp.primitive import NUMPY, Primitive

__all__ = ["called", "called_ufunc", "method", "twin_of"]

_TAKES_ARGS, _TAKES_KWARGS = 0x04, 0x08  # flags of code objects


def called(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call our counterpart of a NumPy function."""
    twin = twin_of(function)
    if twin is None:
        raise no_rule(function)
    return _fitted(twin, function, args, kwargs)


def twin_of(function: Any) -> Callable[..., Any] | None:
    """Our counterpart of a function of NumPy or SciPy, if it has a rule."""
    twin = NUMPY.get(function)
    if twin is None and is_scipys(function):
        importlib.import_module("autobp.rules.special")  # late: only where SciPy is used
        twin = NUMPY.get(function)
    return twin


def called_ufunc(
    ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    """Call our counterpart of a ufunc or of one of its methods: `np.add(x, y)`, `np.add.reduce(x)`."""
    kwargs = {
        k: v
        for k, v in kwargs.items()
        if (v is not None and not (k == "where" and v is True))
        or (k == "axis" and method != "__call__")  # of a reduction, where None is all axes
    }
    if method == "__call__":
        return called(ufunc, inputs, kwargs)
    if method == "outer" and ufunc in NUMPY and not kwargs:
        x, y = inputs
        return NUMPY[ufunc](np.reshape(x, (*np.shape(x), *(1,) * np.ndim(y))), y)
    function = getattr(ufunc, method)
    if function not in NUMPY:
        raise no_rule(ufunc, method=method)
    x, axis = (*inputs, kwargs.pop("axis", 0))[:2]  # a ufunc's methods begin at axis 0
    if kwargs.keys() - {"keepdims", "initial", "where"}:
        raise no_rule(ufunc, kwargs, method)
    return _fitted(NUMPY[function], function, (x, axis), kwargs)


def method(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method of ndarray that is named like a NumPy function."""
    twin = NUMPY[function]

    def as_method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _fitted(twin, function, (self, *args), kwargs)

    as_method.__name__ = function.__name__
    as_method.__doc__ = f"`np.{function.__name__}` of this tensor."
    return as_method


def _fitted(ours: Any, theirs: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call our function with arguments meant for NumPy's. Options that ours lacks must be at their
    defaults."""
    if len(args) == 1 and not kwargs:  # nothing to fit
        return ours(*args)
    if kwargs and (foreign := foreign_keyword(theirs.__name__, kwargs)):
        raise foreign
    if len(args) > 2 and isinstance(args[2], int | np.bool_):
        _check_third(theirs, args)
    if isinstance(ours, Primitive):
        if kwargs:
            raise no_rule(theirs, kwargs)
        if isinstance(theirs, np.ufunc) and len(args) > theirs.nin:
            raise TypeError(
                f"{theirs.__name__} takes {theirs.nin} argument{'s' * (theirs.nin > 1)}, not {len(args)}"
            )
        return ours(*args)
    code = ours.__code__
    if len(args) > code.co_argcount and not code.co_flags & _TAKES_ARGS:
        # By position, past an option that ours lacks: np.sum has dtype before keepdims.
        kwargs = {**dict(zip(_names(theirs), args)), **kwargs}
        args = ()
    if kwargs and not code.co_flags & _TAKES_KWARGS:
        known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        unmet = {
            k: v
            for k, v in kwargs.items()
            if k not in known and v is not None and v is not np._NoValue
        }
        if unmet and not _are_defaults(unmet, theirs):
            raise no_rule(theirs, unmet)
        kwargs = {k: v for k, v in kwargs.items() if k in known and v is not np._NoValue}
    return ours(*args, **kwargs)


def _check_third(function: Any, args: Sequence[Any]) -> None:
    """Refuse PyTorch's keepdim by position, `t.sum(1, True)`, where NumPy's functions have dtype or out,
    and axes that are not in a tuple."""
    if isinstance(function, np.ufunc):
        return
    names = _names(function)
    option = names[2] if len(names) > 2 else ""
    if option not in ("dtype", "out", "kind"):
        return
    axis, given = args[1:3]
    write = [f"axis=({axis}, {given}) for two axes"] if type(given) is int else []
    write += [f"keepdims={bool(given)} to keep the axis"] if "keepdims" in names else []
    write += ["ddof=1 for an unbiased estimate"] if "ddof" in names else []
    write += ["np.flip of the result for descending order"] if option == "kind" else []
    raise TypeError(
        f"{function.__name__}({axis}, {given}): by position, NumPy's next option is {option}="
        + (f"; write {', or '.join(write)}" if write else "; write its name")
    )


def _are_defaults(given: dict[str, Any], function: Any) -> bool:
    """Whether options are words that are the defaults, as NumPy itself passes on casting="same_kind"."""
    from inspect import signature  # late: rare, and slow to import

    try:
        parameters = signature(function).parameters
    except ValueError:  # of NumPy's functions in C
        return False
    return all(isinstance(v, str) and parameters[k].default == v for k, v in given.items())


@lru_cache(1024)
def _names(function: Any) -> list[str]:
    from inspect import signature  # late: rare, and slow to import

    try:
        return list(signature(function).parameters)
    except ValueError:  # of NumPy's functions in C, before NumPy 2.4
        return []
