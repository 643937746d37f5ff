"""A piece of a program in a few lines of text: its operations written into one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import Any

import numpy as np

from autobp.drawing.diagram import Diagram
from autobp.drawing.formula import Term, operation, quantity
from autobp.drawing.literal import number, shown
from autobp.drawing.wiring import alikeness

__all__ = ["leaving", "varying", "written"]

_LINES = 5
_LONGEST = 64  # characters of a line


def leaving(diagram: Diagram, inside: Sequence[int]) -> list[int]:
    """The results of a piece that are used outside it, or are outputs of the program."""
    there, out = set(inside), {i for i in inside if diagram.nodes[i].output}
    out |= {u.source for u in diagram.uses if u.source in there and u.target not in there}
    return sorted(i for i in out if diagram.nodes[i].kind == "result")


def varying(diagram: Diagram, pieces: Sequence[Sequence[int]]) -> dict[tuple[int, int | str], str]:
    """How the numbers vary that differ between the pieces of a roll, by the operation of the first
    piece and the argument or parameter.

    >>> from autobp import Tensor, graph
    >>> from autobp.drawing.diagram import diagram
    >>> y = Tensor(2.0) * 3.0 * 4.0
    >>> varying(diagram(graph(y)), [[1], [2]])
    {(1, 1): '3 … 4'}
    """
    found: dict[tuple[int, int | str], str] = {}
    for same in zip(*pieces, strict=True):
        nodes = [diagram.nodes[i] for i in same]
        first = nodes[0]
        if first.kind != "result":
            continue
        slots: dict[int | str, list[Any]] = {
            name: [n.params[name] for n in nodes] for name in first.params
        }
        for slot in range(len(first.operands)):
            if all(n.operands[slot] is None for n in nodes):
                slots[slot] = [n.args[slot] for n in nodes]
        for place, values in slots.items():
            if len({alikeness(value) for value in values}) > 1:
                found[first.index, place] = _from_to(values[0], values[-1])
    return found


def _from_to(first: Any, last: Any) -> str:
    if all(isinstance(x, int | float | np.number) for x in (first, last)) and first != last:
        return f"{number(first)} … {number(last)}"
    return ""


def written(
    diagram: Diagram,
    inside: Sequence[int],
    out: Sequence[int],
    varied: Mapping[tuple[int, int | str], str] = MappingProxyType({}),
) -> list[str]:
    """The equations of a piece whose results `out` leave it; [] if they take more than a few lines. A
    result that is used once is written into its use. A `varied` number has a name, and a line that
    tells how it varies.

    >>> import numpy as np
    >>> from autobp import Tensor, graph
    >>> from autobp.drawing.diagram import diagram
    >>> x, w, b = (Tensor(0.5, name=name) for name in "xwb")
    >>> d = diagram(graph(np.tanh(x * w + b)))
    >>> written(d, range(3, 6), [5])
    ['t5 = tanh(x × w + b)']
    """
    results = [i for i in inside if diagram.nodes[i].kind == "result"]
    if len(results) > 8 * _LINES:
        return []
    uses = Counter(o for i in results for o in diagram.nodes[i].operands if o is not None)
    terms: dict[int, Term] = {}
    lines, names = [], _letters(diagram, inside, varied)
    for i in results:
        node = diagram.nodes[i]
        assert node.tensor is not None
        assert node.tensor.primitive is not None
        given = [
            Term(names[i, k])
            if (i, k) in names
            else quantity(a)
            if o is None
            else terms.get(o) or Term(shown(diagram.nodes[o].name, 16))
            for k, (o, a) in enumerate(zip(node.operands, node.args, strict=True))
        ]
        named = {k: names[i, k] for k in node.params if (i, k) in names}
        term = operation(node.tensor.primitive, given, node.params, named)
        if uses[i] == 1 and i not in out and len(term.text) <= _LONGEST // 2:
            terms[i] = term
        else:
            lines.append(f"{shown(node.name, 16)} = {term.text}")
    lines += [
        f"{name} varies{how and ': '}{how}" for at, name in names.items() for how in [varied[at]]
    ]
    short = len(lines) <= _LINES and all(len(line) <= _LONGEST for line in lines)
    return lines if short else []


def _letters(
    diagram: Diagram, inside: Sequence[int], varied: Mapping[tuple[int, int | str], str]
) -> dict[tuple[int, int | str], str]:
    """A name for each varying number that no variable of the piece has."""
    taken = {
        diagram.nodes[o].name for i in inside for o in diagram.nodes[i].operands if o is not None
    }
    taken |= {diagram.nodes[i].name for i in inside}
    free = (f"c{k or ''}" for k in count())
    return {place: next(name for name in free if name not in taken) for place in varied}
