"""Arguments that are nested lists, tuples and dicts: their leaves, and the same nest with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import Any

__all__ = ["leaves", "paired", "refilled", "transformed"]


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
        result = copy(tree)  # which keeps what a defaultdict has besides
        # A Counter's own update would add.
        dict.update(result, {key: transformed(function, branch) for key, branch in tree.items()})
        return result
    if isinstance(tree, list | tuple):
        branches = [transformed(function, branch) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    return None if tree is None else function(tree)


def paired(tree: Any, other: Any, what: str, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The leaves of a nest with those of another that must have its form, and their paths.

    >>> list(paired({"a": 1, "b": 2}, {"b": 20, "a": 10}, "a tangent"))
    [("['a']", 1, 10), ("['b']", 2, 20)]
    """
    if isinstance(tree, dict):
        if not isinstance(other, dict) or tree.keys() != other.keys():
            raise _unlike(tree, other, what, path)
        for key, branch in tree.items():
            yield from paired(branch, other[key], what, f"{path}[{key!r}]")
    elif isinstance(tree, list | tuple):
        if not isinstance(other, list | tuple) or len(tree) != len(other):
            raise _unlike(tree, other, what, path)
        for i, (branch, twig) in enumerate(zip(tree, other, strict=True)):
            yield from paired(branch, twig, what, f"{path}[{i}]")
    elif tree is not None:
        yield path, tree, other
    elif other is not None:
        raise _unlike(tree, other, what, path)


def _unlike(tree: Any, other: Any, what: str, path: str) -> ValueError:
    def form(nest: Any) -> str:
        if isinstance(nest, dict):
            return f"a dict of {sorted(map(repr, nest))}"
        return (
            f"{type(nest).__name__} of {len(nest)}"
            if isinstance(nest, list | tuple)
            else type(nest).__name__
        )

    return ValueError(
        f"{what}{path} must have the form of its value, {form(tree)}, not {form(other)}"
    )
