"""Memory: which arrays share it, and how one lies within another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from autobp.tensor import Tensor

__all__ = ["Area", "hull", "together", "view_within"]

_MOST = 10_000  # work that is done to tell whether two arrays have an element in common


class Area(NamedTuple):
    """The memory of an array that has a name."""

    name: str
    array: Any
    low: int
    high: int

    @classmethod
    def of(cls, name: str, x: Any) -> Area:
        """That of an array or a Tensor; an empty one of anything else."""
        array = x.value if isinstance(x, Tensor) else x
        if not isinstance(array, np.ndarray) or not array.nbytes:
            return cls(name, None, 0, 0)
        return cls(name, array.view(np.ndarray), *np.lib.array_utils.byte_bounds(array))

    def holds(self, other: Area) -> bool:
        return self.low <= other.low and other.high <= self.high

    def overlaps(self, other: Area) -> bool:
        """Whether an element of one is part of the other."""
        if self.high <= other.low or other.high <= self.low:
            return False
        try:
            return np.shares_memory(self.array, other.array, max_work=_MOST)  # type: ignore[arg-type]
        except np.exceptions.TooHardError:
            return True

    def within(self, other: Area) -> list[Any]:
        """What `view_within` needs to find it in the other, in another process."""
        start = self.array.__array_interface__["data"][0]
        return [other.name, start - other.low, [*self.array.strides], [*other.array.strides]]


def together(areas: Iterable[Area]) -> Iterator[list[Area]]:
    """The groups of those that overlap.

    >>> import numpy as np
    >>> from autobp.train.memory import Area, together
    >>> a, b = np.zeros(4), np.zeros(4)
    >>> areas = [Area.of("a", a), Area.of("b", b), Area.of("row", a[1:2])]
    >>> [[area.name for area in group] for group in together(areas)]
    [['a', 'row']]
    """
    found = sorted((a for a in areas if a.array is not None), key=lambda a: (a.low, -a.high))
    highs = np.maximum.accumulate([a.high for a in found] or [0])
    ends = [i for i in range(1, len(found)) if found[i].low >= highs[i - 1]]
    for start, end in pairwise([0, *ends, len(found)]):
        if end - start > 1:
            yield found[start:end]


def hull(name: str, areas: Sequence[Area]) -> Area:
    """A copy of the memory that a group lies in, as bytes. It is of one allocation, since they
    overlap."""
    low, high = min(a.low for a in areas), max(a.high for a in areas)
    first = next(a for a in areas if a.low == low)
    memory = _view(first.array, low, (high - low,), np.dtype(np.uint8), (1,))
    return Area(name, memory.copy(), low, high)


def view_within(
    base: Area, like: np.ndarray, offset: int, strides: Sequence[int], of: Sequence[int]
) -> np.ndarray | None:
    """The array that lies so within another; None if that one is not as it was."""
    if base.array is None or base.array.strides != tuple(of):
        return None
    found = _view(base.array, base.low + offset, like.shape, like.dtype, strides)
    return found if base.holds(Area.of("", found)) else None


class _Memory:
    """What NumPy makes an array of."""

    def __init__(self, base: np.ndarray, interface: dict[str, Any]) -> None:
        self.base, self.__array_interface__ = base, interface


def _view(
    base: np.ndarray, start: int, shape: tuple[int, ...], dtype: np.dtype, strides: Sequence[int]
) -> np.ndarray:
    interface = {
        "version": 3,
        "data": (start, not base.flags.writeable),
        "shape": shape,
        "typestr": f"|V{dtype.itemsize}",
        "descr": [("", f"|V{dtype.itemsize}")],  # which NumPy 2.1.0 reads without a question
        "strides": tuple(strides),
    }
    return np.asarray(_Memory(base, interface)).view(dtype)
