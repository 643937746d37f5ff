"""The methods that a Tensor shares with ndarray, and the few of micrograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from autobp.dispatch import method
from autobp.errors import label
from autobp.primitive import Variable
from autobp.rules import arithmetic as ops
from autobp.rules import indexing, neural, shape

__all__ = ["ArrayMethods"]

Axis = int | Sequence[int] | None


class NoMatrixError(AttributeError, ValueError):
    """There is no transposed matrix of a vector. NumPy raises a ValueError; as an AttributeError it lets
    hasattr and inspect.getmembers pass."""


class ArrayMethods(Variable):
    """Methods that record, each a NumPy function of the tensor."""

    __slots__ = ()

    ndim: Any

    @property
    def T(self) -> Self:
        return shape.transpose(self)

    @property
    def mT(self) -> Self:
        if self.ndim < 2:
            raise NoMatrixError(f"mT swaps the last two axes, and {label(self)} has not two")
        return shape.swapaxes(self, -1, -2)

    @property
    def real(self) -> Self:
        return ops.positive(self)

    def astype(self, dtype: Any) -> Self:
        """The same numbers in another floating-point type. The gradient comes back in this one."""
        if np.dtype(dtype).kind != "f":
            raise TypeError(
                f"astype({np.dtype(dtype)}) would cut {label(self)} off from its derivative;"
                f" if you mean that, use .numpy().astype({np.dtype(dtype)})"
            )
        return ops.astype(self, dtype=np.dtype(dtype))

    def reshape(self, *shape_: Any, order: str = "C") -> Self:
        size = shape_[0] if len(shape_) == 1 else shape_
        return shape.reshape(self, size, order)

    def flatten(self, order: Any = "C", **foreign: Any) -> Self:
        if foreign or isinstance(order, int):  # PyTorch's flatten(1) keeps the first axis
            raise TypeError(
                "flatten() gives one axis; to keep the first, write t.reshape(len(t), -1) or nn.Flatten()"
            )
        return shape.ravel(self, order)

    def transpose(self, *axes: Any) -> Self:
        many = len(axes) == 1 and np.iterable(axes[0])
        pair = len(axes) == 2 and all(isinstance(i, int) for i in axes)
        if pair and (self.ndim > 2 or (axes == (0, 1) and self.ndim == 2)):
            i, j = axes
            raise ValueError(
                f"transpose({i}, {j}): NumPy's takes the new order of all {self.ndim} axes; PyTorch's, which"
                f" swaps two, is t.swapaxes({i}, {j})"
            )
        return (
            shape.transpose(self, axes[0] if many else axes if axes != (None,) else None)
            if axes
            else shape.transpose(self)
        )

    if TYPE_CHECKING:  # what is made below, as type checkers and editors see it
        # fmt: off
        def sum(self, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False) -> Self: ...
        def mean(self, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False) -> Self: ...
        def prod(self, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False) -> Self: ...
        def var(self, axis: Axis = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Self: ...
        def std(self, axis: Axis = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Self: ...
        def max(self, axis: Axis = None, *, keepdims: bool = False) -> Self: ...
        def min(self, axis: Axis = None, *, keepdims: bool = False) -> Self: ...
        def cumsum(self, axis: int | None = None) -> Self: ...
        def cumprod(self, axis: int | None = None) -> Self: ...
        def argmax(self, axis: int | None = None) -> Any: ...
        def argmin(self, axis: int | None = None) -> Any: ...
        def argsort(self, axis: int | None = -1) -> Any: ...
        def all(self, axis: Axis = None, *, keepdims: bool = False) -> Any: ...
        def any(self, axis: Axis = None, *, keepdims: bool = False) -> Any: ...
        def nonzero(self) -> tuple[Any, ...]: ...
        def ravel(self, order: str = "C") -> Self: ...
        def squeeze(self, axis: Axis = None) -> Self: ...
        def swapaxes(self, axis1: int, axis2: int) -> Self: ...
        def round(self, decimals: int = 0) -> Self: ...
        def dot(self, b: Any) -> Self: ...
        def take(self, indices: Any, axis: int | None = None) -> Self: ...
        def copy(self) -> Self: ...
        def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self: ...
        def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self: ...
        def argpartition(self, kth: Any, axis: int | None = -1) -> Any: ...
        def searchsorted(self, v: Any, side: str = "left", sorter: Any = None) -> Any: ...
        def conj(self) -> Self: ...
        def conjugate(self) -> Self: ...
        def exp(self) -> Self: ...
        def log(self) -> Self: ...
        def sqrt(self) -> Self: ...
        def tanh(self) -> Self: ...
        def abs(self) -> Self: ...
        # fmt: on
    else:
        # fmt: off
        sum,     mean,    prod     = method(np.sum),     method(np.mean),    method(np.prod)
        var,     std               = method(np.var),     method(np.std)
        max,     min               = method(np.max),     method(np.min)
        cumsum,  cumprod           = method(np.cumsum),  method(np.cumprod)
        argmax,  argmin,  argsort  = method(np.argmax),  method(np.argmin),  method(np.argsort)
        all,     any,     nonzero  = method(np.all),     method(np.any),     method(np.nonzero)
        ravel,   squeeze, swapaxes = method(np.ravel),   method(np.squeeze), method(np.swapaxes)
        round,   dot               = method(np.round),   method(np.dot)
        take,    copy              = method(np.take),    method(np.copy)
        trace,   diagonal          = method(np.trace),   method(np.diagonal)
        argpartition, searchsorted = method(np.argpartition), method(np.searchsorted)
        conj = conjugate           = method(np.conjugate)
        exp, log, sqrt, tanh, abs  = map(method, (np.exp, np.log, np.sqrt, np.tanh, np.abs))
        # fmt: on

    def repeat(self, repeats: Any, axis: int | None = None, *more: int) -> Self:
        """`np.repeat` of this tensor."""
        if more or (isinstance(axis, int) and not -self.ndim <= axis < max(self.ndim, 1)):
            sizes = ", ".join(map(str, (repeats, axis, *more)))
            raise ValueError(
                f"repeat({sizes}): NumPy's takes repeats and an axis, and {label(self)} has"
                f" {self.ndim} axes; PyTorch's is np.tile(t, ({sizes}))"
            )
        repeat: Any = np.repeat
        return repeat(self, repeats, axis)

    def relu(self) -> Self:
        return neural.relu(self)

    def sigmoid(self) -> Self:
        return neural.sigmoid(self)

    def clip(self, min: Any = None, max: Any = None, **kwargs: Any) -> Self:
        clip: Any = np.clip  # whose overloads know arrays alone
        return clip(self, min, max, **kwargs)

    def compress(self, condition: Any, axis: int | None = None) -> Self:
        return indexing.compress(condition, self, axis)

    def sort(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("sort() would change the Tensor in place: use np.sort(t)")
