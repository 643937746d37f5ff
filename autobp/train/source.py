"""Source: the data of a training, as arrays or as an iterable of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from autobp.data.batching import aligned, batches
from autobp.tensor import Tensor

__all__ = ["Pair", "Source", "Stream", "pair", "source"]


class Pair(NamedTuple):
    """Samples and their targets, as arrays."""

    X: Any
    y: Any

    def batches(self, size: int, rng: np.random.Generator | None) -> Iterator[tuple[Any, Any]]:
        """Once through the data, in the order that the generator draws, if there is one."""
        return batches(*self, size=size, shuffle=rng is not None, rng=rng)

    def count(self, size: int) -> int:
        """The number of batches."""
        return -(-len(self.X) // size)


class Stream:
    """What gives batches each time it is iterated over, or a function that returns such an iterable."""

    def __init__(self, name: str, source: Iterable[Any] | Callable[[], Iterable[Any]]) -> None:
        self.name = name
        self.source = source

    @property
    def is_read_once(self) -> bool:
        return isinstance(self.source, Iterator)

    def batches(self, size: int, rng: np.random.Generator | None) -> Iterator[tuple[Any, Any]]:
        """The batches as they come: their size and order are the source's."""
        given: Iterable[Any] = self.source() if callable(self.source) else self.source
        i = -1
        for i, batch in enumerate(given):
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                raise TypeError(
                    f"{self.name}: batch {i} must be a pair (x, y), not {_described(batch)}"
                )
            x, y = (
                a if isinstance(a, np.ndarray | Tensor) else np.asarray(a)
                for a in aligned(tuple(batch))
            )
            if not len(x):
                raise ValueError(f"{self.name}: batch {i} has no samples")
            yield x, y
        if i < 0:
            raise ValueError(
                f"{self.name} gave no batches: an iterator can be read only once; pass a list of batches,"
                " an object whose __iter__ begins anew, or a function that returns a new iterator"
            )

    def count(self, size: int) -> int | None:
        try:
            return len(self.source)  # type: ignore[arg-type]
        except TypeError:
            return None


Source = Pair | Stream


def pair(name: str, value: Any) -> Pair:
    """Samples and their targets."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        call = name.split(":")[0]
        example = f": data is a pair (X, y), as in {call}(model, (X, y), …)" * ("data" in name)
        raise TypeError(f"{name} must be a pair (X, y), not {_described(value)}{example}")
    try:
        X, y = aligned(tuple(value))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if not len(X):
        raise ValueError(f"{name} has no samples")
    return Pair(X, y)


def source(name: str, value: Any) -> Source:
    """A pair of arrays, or an iterable of batches."""
    if isinstance(value, Pair | Stream):
        return value
    if isinstance(value, list) and value and all(_is_batch(b) for b in value):
        return Stream(name, value)
    is_nest = isinstance(value, tuple | list | dict | str | bytes | set)
    if is_nest or hasattr(value, "shape"):
        return pair(name, value)
    if isinstance(value, Iterable) or (callable(value) and not hasattr(value, "forward")):
        return Stream(name, value)
    if hasattr(type(value), "__getitem__"):
        raise TypeError(
            f"{name} is a {type(value).__name__} of samples, and must be a pair of arrays (X, y) or give batches:"
            " stack its samples, or pass PyTorch's DataLoader of it, or a function that returns batches"
        )
    return pair(name, value)


def _is_batch(x: Any) -> bool:
    """Nested lists of numbers are none: as a pair of two they would look like two batches."""
    if not isinstance(x, tuple | list) or len(x) != 2:
        return False
    return all(hasattr(a, "shape") or (isinstance(x, tuple) and np.ndim(a)) for a in x)


def _described(value: Any) -> str:
    many = f" of {len(value)}" if isinstance(value, tuple | list) else ""
    return f"{type(value).__name__}{many}"
