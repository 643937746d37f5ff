"""Nested lists, tuples and dicts as arguments: their leaves, and the same nest with other leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import Any

__all__ = ["leaves", "paired", "refilled", "transformed"]


DEEPEST = 900  # levels of nesting


def _too_deep() -> ValueError:
    return ValueError(
        "an argument is nested too deeply, or contains itself: lists, tuples and dicts may be nested"
        " a few hundred levels deep"
    )


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves with their paths, from left to right. None counts as no leaf.

    >>> list(leaves({"W": 1.0, "b": [2.0, None]}))
    [("['W']", 1.0), ("['b'][0]", 2.0)]
    """
    todo = [(path, tree, 0)]  # a stack and no recursion: nests may be deep
    while todo:
        where, branch, level = todo.pop()
        if level > DEEPEST:
            raise _too_deep()
        if isinstance(branch, dict):
            inner = [(f"{where}[{key!r}]", b, level + 1) for key, b in branch.items()]
        elif isinstance(branch, list | tuple):
            inner = [(f"{where}[{i}]", b, level + 1) for i, b in enumerate(branch)]
        else:
            if branch is not None:
                yield where, branch
            continue
        todo += reversed(inner)


def refilled(tree: Any, values: Iterable[Any]) -> Any:
    """The same nest with other leaves.

    >>> refilled({"W": 1.0, "b": [2.0, None]}, [10, 20])
    {'W': 10, 'b': [20, None]}
    """
    supply = iter(values)
    return transformed(lambda _: next(supply), tree)


def transformed(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same nest with a function applied to each leaf."""
    try:
        return _transformed(function, tree)
    except RecursionError:
        raise _too_deep() from None


def _transformed(function: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, dict):
        result = copy(tree)  # keeps the default of a defaultdict
        branches = {}
        for key, branch in tree.items():
            branches[key] = _transformed(function, branch)
        dict.update(result, branches)  # a Counter's own update would add
        return result
    if isinstance(tree, list | tuple):
        twigs = []
        for branch in tree:  # a comprehension would add a frame to the recursion
            twigs.append(_transformed(function, branch))
        return type(tree)(*twigs) if hasattr(tree, "_fields") else type(tree)(twigs)
    return None if tree is None else function(tree)


def paired(tree: Any, other: Any, what: str, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The leaves of a nest together with those of another nest of the same form, and their paths.

    >>> list(paired({"a": 1, "b": 2}, {"b": 20, "a": 10}, "a tangent"))
    [("['a']", 1, 10), ("['b']", 2, 20)]
    """
    todo = [(path, tree, other, 0)]
    while todo:
        where, branch, twig, level = todo.pop()
        if level > DEEPEST:
            raise _too_deep()
        if isinstance(branch, dict):
            if not isinstance(twig, dict) or branch.keys() != twig.keys():
                raise _unlike(branch, twig, what, where)
            inner = [(f"{where}[{key!r}]", b, twig[key], level + 1) for key, b in branch.items()]
        elif isinstance(branch, list | tuple):
            if not isinstance(twig, list | tuple) or len(branch) != len(twig):
                raise _unlike(branch, twig, what, where)
            pairs = zip(branch, twig, strict=True)
            inner = [(f"{where}[{i}]", b, t, level + 1) for i, (b, t) in enumerate(pairs)]
        else:
            if branch is not None:
                yield where, branch, twig
            elif twig is not None:
                raise _unlike(branch, twig, what, where)
            continue
        todo += reversed(inner)


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
        f"{what}{path} must have the structure of its value, {form(tree)}, not {form(other)}"
    )
