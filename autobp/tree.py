"""Arguments that are nested lists, tuples and dicts: their leaves, and the same nest with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["leaves", "refilled", "transformed"]


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves with their paths, from left to right. None holds no leaf.

    >>> list(leaves({"W": 1.0, "b": [2.0, None]}))
    [("['W']", 1.0), ("['b'][0]", 2.0)]
    """
    if isinstance(tree, dict):
        for key, branch in tree.items():
            yield from leaves(branch, f"{path}[{key!r}]")
    elif isinstance(tree, list | tuple):
        for i, branch in enumerate(tree):
            yield from leaves(branch, f"{path}[{i}]")
    elif tree is not None:
        yield path, tree


def refilled(tree: Any, values: Iterable[Any]) -> Any:
    """The same nest with other leaves.

    >>> refilled({"W": 1.0, "b": [2.0, None]}, [10, 20])
    {'W': 10, 'b': [20, None]}
    """
    supply = iter(values)
    return transformed(lambda _: next(supply), tree)


def transformed(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same nest with a function applied to each leaf."""
    if isinstance(tree, dict):
        return type(tree)((key, transformed(function, branch)) for key, branch in tree.items())
    if isinstance(tree, list | tuple):
        branches = [transformed(function, branch) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    return None if tree is None else function(tree)
