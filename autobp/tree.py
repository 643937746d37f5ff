"""Nested lists, tuples, dicts and dataclasses as arguments: their leaves, and the same nest with other
leaves.

What has another structure than a nest, an object or a Module, is a leaf. So is None, which counts as
no leaf. Of a dataclass, fields that are annotated as str, bool or int, and those declared with
`metadata={"static": True}`, stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from autobp.habits import absent_from_module, checks_keywords
from autobp.owner import Owner, owner
from autobp.primitive import Variable
from autobp.spellings import TREE
from autobp.tensor import Tensor

__all__ = ["leaves", "map", "paired", "ravel", "refilled", "stop_gradient", "transformed"]


DEEPEST = 900  # levels of nesting
_SEQUENCES = (list, tuple)
_LEAVES = (np.ndarray, float, Tensor)  # what nearly all leaves are


if not TYPE_CHECKING:  # else a type checker would believe every name

    def __getattr__(name: str) -> Any:
        raise absent_from_module("autobp.tree", name, TREE, lambda: __all__)


def _too_deep() -> ValueError:
    return ValueError(
        "an argument is nested too deeply, or contains itself: lists, tuples, dicts and dataclasses may"
        " be nested a few hundred levels deep"
    )


_STATIC = (str, bool, int, "str", "bool", "int")  # as annotations: constants of a dataclass


@lru_cache(1024)
def _fields_of_kind(kind: Hashable) -> tuple[str, ...] | None:
    if not hasattr(kind, "__dataclass_fields__") or hasattr(kind, "is_leaf_of_trees"):
        return None
    if owner(kind) is Owner.AUTOBP:
        return None
    declared = fields(cast(Any, kind))
    return tuple(f.name for f in declared if f.type not in _STATIC and not f.metadata.get("static"))


def fields_of(x: Any) -> tuple[str, ...] | None:
    """The fields of a dataclass that hold branches; None for anything else."""
    kind: Any = type(x)
    return _fields_of_kind(kind)


def parts_of(x: Any) -> list[Any] | tuple[Any, ...] | None:
    """The branches of a nest; None for a leaf."""
    if type(x) in _LEAVES or isinstance(x, Variable):  # others tell isinstance what they stand for
        return None
    if isinstance(x, dict):
        return list(x.values())
    if isinstance(x, _SEQUENCES):
        return x
    names = fields_of(x)
    return None if names is None else [getattr(x, name) for name in names]


Split = Callable[[Any], "Sequence[Any] | None"]


def parts_of_values(x: Any) -> Sequence[Any] | None:
    """The branches of a nest, where a dataclass that is not frozen is a leaf: an object that may change
    while it is used."""
    if fields_of(x) is not None and not type(x).__dataclass_params__.frozen:
        return None
    return parts_of(x)


def steps_of(x: Any) -> list[str]:
    """The ends of the paths to the branches of a nest."""
    if isinstance(x, dict):
        return [f"[{key!r}]" for key in x]
    if isinstance(x, _SEQUENCES):
        return [f"[{i}]" for i in range(len(x))]
    return [f".{name}" for name in fields_of(x) or ()]


def rebuilt(tree: Any, parts: Sequence[Any]) -> Any:
    """A nest like this one with other branches, in their order."""
    if type(tree) is dict:
        return dict(zip(tree, parts))
    if isinstance(tree, dict):
        result = copy(tree)  # keeps the default of a defaultdict
        dict.update(result, zip(tree, parts))  # a Counter's own update would add
        return result
    if isinstance(tree, _SEQUENCES):
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    result = copy(tree)
    for name, part in zip(fields_of(tree) or (), parts, strict=True):
        object.__setattr__(result, name, part)  # it may be frozen
    return result


def leaves(tree: Any, path: str = "", split: Split = parts_of) -> Iterator[tuple[str, Any]]:
    """The leaves with their paths, from left to right. None counts as no leaf. `split` gives the branches
    of a nest, where other nests count as leaves.

    >>> from autobp import tree
    >>> list(tree.leaves({"W": 1.0, "b": [2.0, None]}))
    [("['W']", 1.0), ("['b'][0]", 2.0)]
    """
    return iter([(path, tree)]) if type(tree) in _LEAVES else _leaves(tree, path, split)


def _leaves(tree: Any, path: str, split: Split) -> Iterator[tuple[str, Any]]:
    todo = [(path, tree, 0)]  # a stack and no recursion: nests may be deep
    while todo:
        where, branch, level = todo.pop()
        if level > DEEPEST:
            raise _too_deep()
        parts = split(branch)
        if parts is None:
            if branch is not None:
                yield where, branch
            continue
        if all([type(b) in _LEAVES for b in parts]):  # noqa: C419 (sooner than a generator)
            for step, b in zip(steps_of(branch), parts):
                yield where + step, b
            continue
        inner = [(where + step, b, level + 1) for step, b in zip(steps_of(branch), parts)]
        todo += reversed(inner)


def refilled(tree: Any, values: Iterable[Any]) -> Any:
    """The same nest with other leaves.

    >>> refilled({"W": 1.0, "b": [2.0, None]}, [10, 20])
    {'W': 10, 'b': [20, None]}
    """
    supply = iter(values)
    if type(tree) in _LEAVES:
        return next(supply)
    return transformed(lambda _: next(supply), tree)


def transformed(function: Callable[[Any], Any], tree: Any, split: Split = parts_of) -> Any:
    """The same nest with a function applied to each leaf."""
    try:
        return _transformed(function, tree, split)
    except RecursionError:
        raise _too_deep() from None


def _transformed(function: Callable[[Any], Any], tree: Any, split: Split) -> Any:
    parts = split(tree)
    if parts is None:
        return None if tree is None else function(tree)
    changed = []
    for branch in parts:  # a comprehension would add a frame to the recursion
        if type(branch) in _LEAVES:
            changed.append(function(branch))
        else:
            changed.append(_transformed(function, branch, split))
    return rebuilt(tree, changed)


@checks_keywords
def map(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """The nest of what a function makes of the leaves of one nest, or of several of the same form.

    >>> from autobp import grad, tree
    >>> params = {"w": 2.0, "b": [1.0]}
    >>> gradient = grad(lambda p: p["w"] ** 2 + 3 * p["b"][0])(params)
    >>> tree.map(lambda p, g: p - 0.1 * g, params, gradient)
    {'w': 1.6, 'b': [0.7]}
    """
    columns = [[leaf for _, leaf in leaves(tree)]]
    for i, other in enumerate(others, 2):
        columns.append([leaf for _, _, leaf in paired(tree, other, f"tree.map: argument {i}")])
    return refilled(tree, [function(*row) for row in zip(*columns, strict=True)])


def ravel(tree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """All numbers of a nest as one vector, and the function that makes the nest of such a vector again,
    as optimizers of SciPy need it. Both can be differentiated.

    >>> import numpy as np
    >>> from autobp import grad, tree
    >>> params = {"W": np.array([[1.0, 2.0]]), "b": 3.0}
    >>> flat, unravel = tree.ravel(params)
    >>> flat
    array([1., 2., 3.])
    >>> unravel(flat * 10)
    {'W': array([[10., 20.]]), 'b': 30.0}
    >>> grad(lambda v: np.sum(unravel(v)["W"] ** 2))(flat)
    array([2., 4., 0.])
    """
    found = [leaf for _, leaf in leaves(tree)]
    shapes = [np.shape(leaf) for leaf in found]
    ends = np.cumsum([math.prod(shape) for shape in shapes], dtype=int).tolist()
    size = ends[-1] if ends else 0
    flat = np.concatenate([np.ravel(leaf) for leaf in found]) if found else np.zeros(0)

    def unravel(vector: Any) -> Any:
        if np.shape(vector) != (size,):
            raise ValueError(
                f"unravel takes a vector of {size} numbers, not one of shape {np.shape(vector)}"
            )
        starts = [0, *ends[:-1]]
        parts = [vector[a:b] for a, b in zip(starts, ends, strict=False)]
        filled: list[Any] = []
        for leaf, part, shape in zip(found, parts, shapes, strict=True):
            if shape or isinstance(part, Tensor):
                filled.append(np.reshape(part, shape))
            else:
                filled.append(float(part[0]) if type(leaf) in (float, int) else part[0])
        return refilled(tree, filled)

    return flat, unravel


def stop_gradient(tree: Any) -> Any:
    """The same numbers as constants, to all derivatives that are being taken.

    >>> from autobp import grad, stop_gradient
    >>> grad(lambda x: x * stop_gradient(x))(3.0)
    3.0
    """
    return transformed(lambda x: x.detach() if isinstance(x, Tensor) else x, tree)


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
        parts = parts_of(branch)
        if parts is None:
            if branch is not None:
                yield where, branch, twig
            elif twig is not None:
                raise _unlike(branch, twig, what, where)
            continue
        if not _is_like(branch, twig):
            raise _unlike(branch, twig, what, where)
        twigs = [twig[key] for key in branch] if isinstance(branch, dict) else parts_of(twig) or ()
        rows = zip(steps_of(branch), parts, twigs, strict=True)
        todo += reversed([(where + step, b, t, level + 1) for step, b, t in rows])


def _is_like(branch: Any, twig: Any) -> bool:
    if isinstance(branch, dict):
        return isinstance(twig, dict) and branch.keys() == twig.keys()
    if isinstance(branch, _SEQUENCES):
        return isinstance(twig, _SEQUENCES) and len(branch) == len(twig)
    return type(twig) is type(branch) and fields_of(twig) == fields_of(branch)


def _unlike(tree: Any, other: Any, what: str, path: str) -> ValueError:
    def form(nest: Any) -> str:
        if isinstance(nest, dict):
            return f"a dict of {sorted(repr(key) for key in nest)}"
        return (
            f"{type(nest).__name__} of {len(nest)}"
            if isinstance(nest, _SEQUENCES)
            else type(nest).__name__
        )

    return ValueError(
        f"{what}{path} must have the structure of its value, {form(tree)}, not {form(other)}"
    )
