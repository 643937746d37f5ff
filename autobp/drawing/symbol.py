"""Operations as short labels, with their constant arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.drawing.diagram import Diagram, Node
from autobp.drawing.formula import TYPESET, raised
from autobp.drawing.literal import few, shown
from autobp.operation import SIGNS
from autobp.rules.arithmetic import power_by
from autobp.rules.indexing import getitem

__all__ = ["ordered", "symbol"]

_TYPESET = TYPESET | {"/": "÷", "**": "^", "%": "mod"}
_SHORT = 8  # characters of a name that can stand in a label


def symbol(diagram: Diagram, node: Node, slot: int | None = None) -> str:
    """The operation that made a variable as a label: of the edge in one slot, or of a node.

    >>> from autobp import Tensor, graph
    >>> from autobp.drawing.diagram import diagram
    >>> a, b = Tensor(2.0, name="a"), Tensor(3.0, name="b")
    >>> d = diagram(graph((1 - a) ** 2 / b * 3))
    >>> [symbol(d, d.nodes[use.target], use.slot) for use in d.uses]
    ['1 − a', 't2²', 't3 ÷', '÷ b', '× 3']
    """
    assert node.tensor is not None
    primitive = node.tensor.primitive
    terms = [
        _name(diagram.nodes[i].name) if i is not None else _number(a)
        for i, a in zip(node.operands, node.args)
    ]
    if primitive is power_by:
        return terms[0] + raised(node.params["n"])
    if primitive is getitem:
        return shown(f"{terms[0]}[{_index(node.params['index'])}]", 24)
    if primitive is not None and primitive.facts.sign and len(terms) == 2:
        return _infix(primitive.facts.sign, terms, [i is not None for i in node.operands], slot)
    given = [
        str(v) if k in ("shape", "axes") else f"{k} {v}"
        for k, v in node.params.items()
        if type(v) in (int, float, tuple, str) and (k in ("shape", "axes") or not _trivial(v))
    ]
    return shown(" ".join([node.operation or "", *given]), 24)


def ordered(node: Node) -> bool:
    """Whether an operation is one of two operands in an order: a − b is not b − a."""
    primitive = node.tensor.primitive if node.tensor is not None else None
    sign = primitive.facts.sign if primitive is not None and len(node.operands) == 2 else ""
    return sign in SIGNS and not SIGNS[sign].commutes


def _infix(sign: str, terms: list[str], variable: list[bool], slot: int | None) -> str:
    text, commutes = _TYPESET.get(sign, sign), SIGNS[sign].commutes
    if not all(variable):
        if variable[0]:
            return f"{text} {terms[1]}"
        return f"{text} {terms[0]}" if commutes else f"{terms[0]} {text} {terms[1]}"
    if slot is None or commutes:
        return text
    return f"{text} {terms[1]}" if slot else f"{terms[0]} {text}"


def _name(name: str) -> str:
    return shown(name) if len(name) <= _SHORT else "·"


def _number(a: Any) -> str:
    text = few(a) if np.size(a) <= 4 else "…"
    return f"({text})" if text.startswith("−") else text


def _trivial(v: Any) -> bool:
    """A stride or dilation of 1 all around, a padding of 0."""
    if not isinstance(v, tuple) or len(v) < 2:
        return False
    flat = [i for side in v for i in (side if isinstance(side, tuple) else (side,))]
    return all(isinstance(i, int) for i in flat) and set(flat) in ({0}, {1})


def _index(index: Any) -> str:
    if isinstance(index, tuple):
        return ", ".join(map(_index, index))
    if isinstance(index, slice):
        ends = (index.start, index.stop, index.step)[: 2 + (index.step is not None)]
        return ":".join("" if i is None else str(i) for i in ends)
    if isinstance(index, np.ndarray):
        return few(index) if index.size <= 4 else f"{index.size} places"
    return "…" if index is Ellipsis else str(index)
