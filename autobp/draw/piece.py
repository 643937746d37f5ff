"""A piece of a program in a few lines of text: its operations written into one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from autobp.draw.diagram import Diagram
from autobp.draw.formula import Term, operation, quantity
from autobp.draw.literal import shown

__all__ = ["leaving", "written"]

_LINES = 5
_LONGEST = 64  # characters of a line


def leaving(diagram: Diagram, inside: Sequence[int]) -> list[int]:
    """The results of a piece that are used outside it, or are what the whole program computes."""
    there, out = set(inside), {i for i in inside if diagram.nodes[i].output}
    out |= {u.source for u in diagram.uses if u.source in there and u.target not in there}
    return sorted(i for i in out if diagram.nodes[i].kind == "result")


def written(diagram: Diagram, inside: Sequence[int], out: Sequence[int]) -> list[str]:
    """The equations of a piece, of which `out` are the results that leave it; [] if it takes more
    than a few lines. What is used once is written where it is used.

    >>> import numpy as np
    >>> from autobp import Tensor, graph
    >>> from autobp.draw.diagram import diagram
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
    lines = []
    for i in results:
        node = diagram.nodes[i]
        assert node.tensor is not None
        assert node.tensor.primitive is not None
        given = [
            quantity(a) if o is None else terms.get(o) or Term(shown(diagram.nodes[o].name, 16))
            for o, a in zip(node.operands, node.args, strict=True)
        ]
        term = operation(node.tensor.primitive, given, node.params)
        if uses[i] == 1 and i not in out and len(term.text) <= _LONGEST // 2:
            terms[i] = term
        else:
            lines.append(f"{shown(node.name, 16)} = {term.text}")
    short = len(lines) <= _LINES and all(len(line) <= _LONGEST for line in lines)
    return lines if short else []
