"""Numbering: a recording of single numbers as a table, with an id for each number in it.

Ids count the inputs first, then the results in the order of recording, then the constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.compiler.scalars.masks import LOGICAL, Mask
from autobp.primitive import Array, Primitive
from autobp.rules import arithmetic, reduction
from autobp.tensor import Tensor

__all__ = ["ADD", "Ids", "Numbering", "Ungrouped", "numbering"]

Ids = Any  # an array of whole numbers

ADD, _DIVIDE = range(2)  # the first of the kinds of results


class Ungrouped(Exception):
    """The function does not compute with single numbers alone, so it is traced in the usual way."""


@dataclass(frozen=True)
class Numbering:
    kinds: list[tuple[Primitive, dict[str, Any]]]
    kind: Ids  # of each result, among the kinds
    operands: Ids  # three columns; the first operand stands where there is no second or third
    arity: Ids
    inputs: int
    constants: Array
    outputs: Ids


def numbering(
    order: Sequence[Tensor], ids: dict[Any, Any], inputs: int, outputs: Sequence[Any], began: int
) -> Numbering:
    """The table of a recording that `began` at a time on the clock. `ids` has those of the `inputs`
    numbers; an input that is an array has an array of them."""
    kinds: list[tuple[Primitive, dict[str, Any]]] = [(arithmetic.add, {}), (arithmetic.divide, {})]
    known: dict[Any, int] = {arithmetic.add: ADD, arithmetic.divide: _DIVIDE}
    rows: list[int] = []  # of each result the kind, three operands and the arity
    n = inputs  # the next id
    constants: list[float] = []
    get = ids.get

    def constant(a: Any) -> int:
        """The id of a constant: from −1 downwards until all results are known."""
        if isinstance(a, Tensor):
            if a in ids or not a.is_leaf or a.born < began:  # an array; from elsewhere
                raise Ungrouped
            a = a.value
        if type(a) not in (float, int, np.float64):
            raise Ungrouped
        constants.append(float(a))
        return -len(constants)

    def reduced(terms: Sequence[int], mean: bool) -> int:
        """The id of what np.sum or np.mean makes of some numbers."""
        nonlocal n
        total = terms[0]
        for term in terms[1:]:
            rows.extend((ADD, total, term, total, 2))
            total, n = n, n + 1
        if mean:
            rows.extend((_DIVIDE, total, constant(len(terms)), total, 2))
            total, n = n, n + 1
        return total

    for t in order:
        primitive, params = t.primitive, t.params
        if primitive is None:
            if t not in ids:
                raise Ungrouped
            continue
        if type(t.value) is not float or primitive.form != "elementwise":
            moved = [np.asarray(get(x, -1) if isinstance(x, Tensor) else -1) for x in t.args]
            if any(x.dtype.kind != "i" or (x.size and x.min() < 0) for x in moved):
                raise Ungrouped
            if primitive in (reduction.sum_, reduction.mean_) and type(t.value) is float:
                terms = moved[0].ravel().tolist()
                if not terms:
                    raise Ungrouped
                ids[t] = reduced(terms, primitive is reduction.mean_)
            elif primitive.facts.moves:
                there = np.asarray(primitive.function(*moved, **params))
                ids[t] = there if there.ndim else int(there)
            else:
                raise Ungrouped
            continue
        a, b, c = t.first, t.second, None
        if type(a) is tuple:
            if len(a) != 3:
                raise Ungrouped
            a, b, c = a
        if isinstance(a, Mask) and primitive not in LOGICAL and (b is None or isinstance(b, Mask)):
            raise Ungrouped
        try:
            k = known.setdefault((primitive, *params.items()) if params else primitive, len(kinds))
        except TypeError:  # a parameter that has no hash
            raise Ungrouped from None
        if k == len(kinds):
            kinds.append((primitive, params))
        # The same text three times, since a loop takes half as much time again.
        first = i if isinstance(a, Tensor) and type(i := get(a)) is int else constant(a)
        second = third = first
        if b is not None:
            second = i if isinstance(b, Tensor) and type(i := get(b)) is int else constant(b)
        if c is not None:
            third = i if isinstance(c, Tensor) and type(i := get(c)) is int else constant(c)
        rows += (k, first, second, third, 1 if b is None else 2 if c is None else 3)
        ids[t] = n
        n += 1
    ends = [get(y) for y in outputs]
    if any(type(i) is not int for i in ends):
        raise Ungrouped
    table = np.array(rows, np.intp).reshape(-1, 5)
    operands = np.where(table[:, 1:4] < 0, n - 1 - table[:, 1:4], table[:, 1:4])
    return Numbering(
        kinds, table[:, 0], operands, table[:, 4], inputs, np.array(constants), np.array(ends)
    )
