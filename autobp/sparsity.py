"""Sparsity: which outputs of a recorded program depend on which inputs, whatever the values are.

Each tensor has, for each of its elements, the set of the inputs that it depends on. The sets go
through the operations in the order of recording, by the patterns of their rows (`rules.patterns`).
What no row states depends on everything. A value is never looked at, since one that is 0 here may not
be 0 elsewhere; an index that was computed from values is part of the recorded structure.

Some operations are made of others, which they record again when they are asked (`inside` in their rows):
a segment that is computed again, and a function with rules of the user's own. The sets go through these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from autobp.dag import Recording
from autobp.primitive import Results
from autobp.rules import patterns
from autobp.rules.patterns import Pairs, Shared
from autobp.tensor import Tensor

__all__ = ["Entries", "Inside", "Structure", "detected", "ordered"]


class Entries(NamedTuple):
    """The entries of a matrix that may be different from 0, row by row."""

    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]

    @property
    def transposed(self) -> Entries:
        order = np.lexsort((self.rows, self.columns))
        return Entries(self.columns[order], self.rows[order], self.shape[::-1])

    @property
    def symmetric(self) -> Entries:
        """The entries whose mirror images are entries too."""
        n = self.shape[1]
        both = np.intersect1d(self.rows * n + self.columns, self.columns * n + self.rows)
        return Entries(*np.divmod(both, max(1, n)), self.shape)


def detected(traced: Recording, order: Sequence[Tensor]) -> Entries:
    """The pattern of the Jacobian of a recording, with the elements of all its outputs as rows and of
    all its inputs as columns.

    >>> import numpy as np
    >>> from autobp.dag import record
    >>> from autobp.sparsity import detected
    >>> traced = record(lambda x: x[1:] * x[:-1], [np.zeros(3)], [0])
    >>> found = detected(traced, traced.order())
    >>> list(zip(found.rows.tolist(), found.columns.tolist()))
    [(0, 0), (0, 1), (1, 1), (1, 2)]
    """
    sizes = [math.prod(np.shape(x)) for x in traced.inputs]
    sets = _Sets(sum(sizes))
    known: dict[Tensor, Any] = {}
    first = 1
    for x, size in zip(traced.inputs, sizes, strict=True):
        known[x] = np.arange(first, first + size).reshape(np.shape(x))
        first += size
    _walk(order, known, sets)
    ends = [np.zeros(0, int)]
    for y, value in zip(traced.outputs, traced.values, strict=True):
        none = np.zeros(math.prod(np.shape(value)), int)
        ends.append(none if y is None else np.ravel(known.get(y, none)))
    rows, columns = sets.members(np.concatenate(ends))
    return Entries(rows, columns, (sum(map(len, ends)), sum(sizes)))


# ── sets ──────────────────────────────────────────────────────────────────────────────────────────

_MOST = 1 << 24  # members that are put together at once; for more, the result is the set of all


class _Sets:
    """Sets of numbers below n, themselves numbered: 0 is the empty set, j + 1 is {j}."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.count = n + 1
        self._starts = np.maximum(np.arange(n + 2) - 1, 0)
        self._numbers = np.arange(n)
        self._all: int | None = None

    def members(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The members of many sets in a row, each with the place of its set among the labels."""
        starts = self._starts[labels]
        sizes = self._starts[labels + 1] - starts
        place = np.repeat(np.arange(len(labels)), sizes)
        within = np.arange(len(place)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return place, self._numbers[starts[place] + within]

    def sizes(self, labels: np.ndarray) -> np.ndarray:
        return self._starts[labels + 1] - self._starts[labels]

    @property
    def all(self) -> int:
        """The set of all numbers."""
        if self.n <= 1:
            return self.n
        if self._all is None:
            self._all = int(self._add(np.array([self.n]), np.arange(self.n))[0])
        return self._all

    def _add(self, sizes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """New sets, from their sizes and the members of all of them in a row."""
        ends = np.cumsum(sizes)
        used = self._starts[self.count]
        self._starts = _extended(self._starts, self.count + 1, used + ends)
        self._numbers = _extended(self._numbers, used, numbers)
        first, self.count = self.count, self.count + len(sizes)
        return np.arange(first, self.count)

    def unions(self, groups: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
        """For each of so many groups, the union of the sets that are given with its number."""
        found = np.zeros(count, int)
        kept = labels != 0
        group, label = np.divmod(ordered(groups[kept] * self.count + labels[kept]), self.count)
        alone = np.bincount(group, minlength=count)[group] == 1
        found[group[alone]] = label[alone]
        group, label = group[~alone], label[~alone]
        if not len(group):
            return found
        keys, like, group, label = _distinct(group, label)
        sizes = self.sizes(label)
        whole = group[sizes == self.n] if sizes.sum() <= _MOST else group
        if len(whole):
            found[whole] = self.all
            rest = found[group] == 0
            group, label, sizes = group[rest], label[rest], sizes[rest]
        if not len(group):
            found[keys] = found[like]
            return found
        place, numbers = self.members(label)
        group_of, numbers = np.divmod(ordered(group[place] * self.n + numbers), self.n)
        order = np.lexsort((sizes, group))
        last = order[np.append(group[order][1:] != group[order][:-1], True)]
        largest = label[last]  # of each group, a set that may contain the others
        now = np.bincount(group_of, minlength=count)[group[last]]
        contains = now == self.sizes(largest)
        found[group[last]] = largest
        new = group[last][~contains]
        if len(new):
            is_new = np.zeros(count, bool)
            is_new[new] = True
            found[new] = self._add(now[~contains], numbers[is_new[group_of]])
        found[keys] = found[like]
        return found

    def joined(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Element by element, the union of two sets."""
        if a is b or np.array_equal(a, b) or not np.any(b):
            return a
        if not np.any(a):
            return b
        pairs, where = np.unique(a * self.count + b, return_inverse=True)
        group = np.arange(len(pairs))
        both = np.concatenate(np.divmod(pairs, self.count))
        return self.unions(np.concatenate([group, group]), both, len(pairs))[where.reshape(a.shape)]


def ordered(keys: np.ndarray) -> np.ndarray:
    """Each of the numbers once, in order. `np.unique` hashes whole numbers since NumPy 2.3, which for
    evenly spaced ones takes a hundred times longer than to sort them."""
    keys = np.sort(keys)
    return keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys


def _distinct(
    group: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Groups, for each one of the same labels, and the groups and labels of those alone: of the rows of
    a batch, many have the same. Both are given in order."""
    keys, first, counts = np.unique(group, return_index=True, return_counts=True)
    mixed = label.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    sums = np.add.reduceat(mixed, first) + counts.astype(np.uint64)
    _, one, which = np.unique(sums, return_index=True, return_inverse=True)
    one = one[which]  # of each group, the place of the first with this sum
    one = np.where(counts[one] == counts, one, np.arange(len(keys)))
    within = np.arange(len(group)) - np.repeat(first, counts)
    differs = label != label[np.repeat(first[one], counts) + within]
    one = np.where(np.logical_or.reduceat(differs, first), np.arange(len(keys)), one)
    kept = np.repeat(one == np.arange(len(keys)), counts)
    return keys, keys[one], group[kept], label[kept]


def _extended(buffer: np.ndarray, used: int, more: np.ndarray) -> np.ndarray:
    """The buffer with more numbers in it after those that are used; twice as long if it was full."""
    if used + len(more) > len(buffer):
        larger = np.empty(max(2 * len(buffer), used + len(more)), buffer.dtype)
        larger[:used] = buffer[:used]
        buffer = larger
    buffer[used : used + len(more)] = more
    return buffer


# ── operations ────────────────────────────────────────────────────────────────────────────────────


class Inside(NamedTuple):
    """What a result was made of, recorded again."""

    given: dict[Tensor, Tensor]  # to each input the argument that it stands for
    outputs: list[Tensor | None]
    order: list[Tensor]


def _walk(order: Sequence[Tensor], known: dict[Tensor, Any], sets: _Sets) -> None:
    """The sets of what was recorded, added to those that are known."""
    for t in order:
        if t.primitive is not None:
            known[t] = _through(t, known, sets)


def _inside(t: Tensor) -> Inside | None:
    assert t.primitive is not None
    inside = t.primitive.facts.inside
    return None if inside is None else inside(t)


def _through(t: Tensor, known: dict[Tensor, Any], sets: _Sets) -> Any:
    """The sets of the elements of a result, from those of the arguments."""
    assert t.primitive is not None
    primitive, facts = t.primitive, t.primitive.facts
    labels = [known.get(a) if isinstance(a, Tensor) else None for a in t.args]
    if facts.moves or facts.pattern is patterns.moved:
        given = [
            np.zeros(np.shape(a), int) if label is None else label
            for a, label in zip(t.args, labels, strict=True)
        ]
        result = primitive.function(*given, **t.params)
        if isinstance(result, Results):
            return [np.asarray(y).astype(int) for y in result]
        return np.asarray(result).astype(int)
    inside = _inside(t)
    if inside is not None:
        mine = {x: known[a] for x, a in inside.given.items() if a in known}
        _walk(inside.order, mine, sets)
        several = isinstance(t.value, Results)
        values = t.value if several else [t.value]
        ends = [
            np.zeros(np.shape(v), int) if y is None or y not in mine else mine[y]
            for y, v in zip(inside.outputs, values, strict=True)
        ]
        return ends if several else ends[0]
    if primitive.form == "elementwise":
        rules = [*primitive.forward, *[None] * len(labels)]  # None: the derivative is zero
        labels = [None if rule is None else x for x, rule in zip(labels, rules)]
    if isinstance(t.value, Results) or any(isinstance(x, list) for x in labels):
        return _everything(t, labels, sets)
    stated = facts.pattern or (patterns.broadcast if primitive.form == "elementwise" else None)
    if stated is None:
        return _everything(t, labels, sets)
    args = [
        np.asarray(a)
        if label is None and not isinstance(a, Tensor)
        else np.broadcast_to(1.0, np.shape(a))
        for a, label in zip(t.args, labels, strict=True)
    ]
    found = np.zeros(t.shape, int)
    for label, how in zip(labels, stated(t.shape, *args, **t.params), strict=True):
        if label is not None:
            found = sets.joined(found, _reached(label, how, t.shape, sets))
    return found


def _everything(t: Tensor, labels: Sequence[Any], sets: _Sets) -> Any:
    """Each element depends on all elements of all arguments."""
    given = [np.ravel(y) for x in labels if x is not None for y in (x if type(x) is list else [x])]
    row = np.concatenate([np.zeros(0, int), *given])
    label = sets.unions(np.zeros(len(row), int), row, 1)[0]
    if isinstance(t.value, Results):
        return [np.full(np.shape(y), label) for y in t.value]
    return np.full(t.shape, label)


def _reached(
    label: np.ndarray, how: Shared | Pairs, shape: tuple[int, ...], sets: _Sets
) -> np.ndarray:
    """The sets of a result's elements by one argument."""
    if isinstance(how, Pairs):
        size = math.prod(shape)
        return sets.unions(how.result, np.ravel(label)[how.argument], size).reshape(shape)
    names = [n for n in dict.fromkeys(how.result) if n is not None and n in how.argument]
    axes = [how.argument.index(n) for n in names]
    rest = [i for i in range(label.ndim) if i not in axes]
    if rest:
        lengths = [label.shape[i] for i in axes]
        size = math.prod(label.shape[i] for i in rest)
        rows = label.transpose(*axes, *rest).reshape(math.prod(lengths), size)
        groups = np.repeat(np.arange(len(rows)), size)
        label = sets.unions(groups, rows.ravel(), len(rows)).reshape(lengths)
    else:
        label = label.transpose(axes)
    label = label.reshape([label.shape[names.index(n)] if n in names else 1 for n in how.result])
    return np.broadcast_to(label, shape)


# ── whether a program is still the same ───────────────────────────────────────────────────────────


class Structure:
    """What a pattern was read off: the operations of a recording, how they are connected, their
    shapes, parameters, and the zeros of matrices that are multiplied with."""

    def __init__(self, traced: Recording, order: Sequence[Tensor]) -> None:
        place = {x: i for i, x in enumerate(traced.inputs)}
        self._form = _form(traced)
        self._steps = list(_steps(order, place))
        self._outputs = _places(traced, place)

    def is_that_of(self, traced: Recording, order: Sequence[Tensor]) -> bool:
        """Whether another recording has the same structure."""
        if _form(traced) != self._form:
            return False
        place = {x: i for i, x in enumerate(traced.inputs)}
        pairs = zip_longest(self._steps, _steps(order, place))
        return all(map(_alike_steps, pairs)) and _places(traced, place) == self._outputs


class _Step(NamedTuple):
    primitive: Any
    shape: Any
    args: list[Any]
    params: dict[str, Any] | None


def _steps(order: Sequence[Tensor], place: dict[Tensor, int]) -> Iterator[_Step]:
    """The operations, each after those that it is made of. All get a place, by which they are named."""
    for t in order:
        if t.primitive is not None:
            inside = _inside(t)
            if inside is not None:
                place |= {x: place[a] for x, a in inside.given.items()}
                yield from _steps(inside.order, place)
            args = [_argument(t, a, place) for a in t.args]
            yield _Step(t.primitive, t.shape, args, _params(t))
        place.setdefault(t, len(place))


def _alike_steps(pair: tuple[_Step | None, _Step | None]) -> bool:
    a, b = pair
    if a is None or b is None:
        return False
    if a.primitive is not b.primitive or a.shape != b.shape or len(a.args) != len(b.args):
        return False
    return all(map(_alike, a.args, b.args)) and (a.params is None or _alike(a.params, b.params))


def _form(traced: Recording) -> Any:
    """The shapes and dtypes of inputs and outputs."""
    values = (*(x.value for x in traced.inputs), *traced.values)
    return len(traced.inputs), [
        (np.shape(v), v.dtype if hasattr(v, "dtype") else np.result_type(v)) for v in values
    ]


def _places(traced: Recording, place: dict[Tensor, int]) -> list[int | None]:
    return [None if y is None else place[y] for y in traced.outputs]


def _params(t: Tensor) -> dict[str, Any] | None:
    """The parameters, where the pattern may depend on them."""
    assert t.primitive is not None
    return t.params if t.primitive.facts.moves or t.primitive.facts.pattern else None


def _argument(t: Tensor, a: Any, place: dict[Tensor, int]) -> Any:
    """The place of a tensor in the recording; of a constant the shape, and of a matrix that is
    multiplied with the zeros too."""
    if isinstance(a, Tensor):
        found = place.get(a)  # the shape of many results takes long to tell
        return a.shape if found is None else found
    if isinstance(a, np.ndarray) and t.primitive.form == "bilinear" and not np.all(a):  # type: ignore[union-attr]
        return a.shape, a != 0
    return np.shape(a)


def _alike(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_alike(x, b[k]) for k, x in a.items())
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and bool((a == b).all())
    return bool(a == b)
