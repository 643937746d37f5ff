"""Formulas: operations and the rules of their derivatives, as a person would write them.

A rule is NumPy code and runs on Tensors, so its formula is taken from a recording of it. A formula
that was written beside the rule could disagree with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from autobp.calculus import as_numpy_scalars
from autobp.context import clock
from autobp.dag import _constant, ancestors
from autobp.drawing.hole import begins_with_hole, choice, fenced, hole, is_open
from autobp.drawing.literal import few, number
from autobp.operation import ATOM, PREFIX, PRODUCT, SIGNS
from autobp.primitive import Primitive, Results, constant, same
from autobp.rules import arithmetic, indexing, linalg, shape
from autobp.tensor import Tensor, leaf

__all__ = ["FEW", "TYPESET", "Term", "brief", "operation", "quantity", "raised", "rule"]

FEW = 4  # up to so many numbers are written out
_LONG = 160  # characters beyond which a formula is left out

TYPESET = {"-": "−", "*": "×"}  # signs of Python as a person writes them
_RAISED = str.maketrans("0123456789−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


class Term(NamedTuple):
    """A part of a formula, and how tightly its operator binds."""

    text: str
    binding: int = ATOM

    def within(self, binding: int = PRODUCT, first: bool = False) -> str:
        """As an operand: in parentheses if its operator binds less tightly or it begins with a sign."""
        if begins_with_hole(self.text) and self.binding >= binding:
            return self.text if first and binding <= PREFIX else fenced(self.text)
        loose = self.binding < binding or (self.text.startswith("−") and not first)
        return f"({self.text})" if loose else self.text


def brief(value: Any, most: int = FEW) -> str:
    """A number; a few numbers; of many, the shape and the range.

    >>> brief(np.array([0.5, -1.0])), brief(np.arange(6.0)), brief(np.ones((2, 3)))
    ('[0.5, −1]', '(6,) 0 … 5', '(2,3) all 1')
    >>> brief(np.array([1.0, 2.0, 3.0, 4.0, np.nan]))
    '(5,) with NaN'
    """
    if is_open(value):
        return hole(value, "b")
    value = np.asarray(value)
    if value.size <= most:
        return few(value)
    shape = str(value.shape).replace(" ", "")
    low, high = np.min(value), np.max(value)
    if np.isnan(low):
        return f"{shape} with NaN"
    return (
        f"{shape} all {number(low)}" if low == high else f"{shape} {number(low)} … {number(high)}"
    )


def quantity(value: Any) -> Term:
    """A number, or numbers, in a formula."""
    text = brief(value)
    if is_open(value):
        return Term(text)
    return Term(text, PREFIX if text.startswith("−") else ATOM)


def operation(
    primitive: Primitive,
    args: Sequence[Term],
    params: Mapping[str, Any],
    named: Mapping[str, str] = MappingProxyType({}),
) -> Term:
    """One operation on terms. Parameters in `named` are written by name.

    >>> from autobp.rules.arithmetic import multiply, power_by
    >>> operation(multiply, [Term("1.5"), quantity(-0.7)], {}).text
    '1.5 × (−0.7)'
    >>> operation(power_by, [Term("a + b", 1)], {"n": 2}).text
    '(a + b)²'
    """
    sign = primitive.facts.sign
    if sign and len(args) == 2:
        return _infix(sign, *args)
    if sign == "-":
        return _negative(args[0])
    if primitive is arithmetic.power_by and "n" in named:
        return Term(f"{args[0].within(ATOM)}^{named['n']}")
    if primitive is arithmetic.power_by:
        return _power(args[0], params["n"])
    if primitive is shape.transpose_ and not named and params["axes"] in (None, (1, 0)):
        return _transposed(args[0])
    if primitive is indexing.getitem:
        index = named.get("index") or _index(params["index"])
        return Term(f"{args[0].within(ATOM)}[{index}]")
    if primitive is indexing.scatter and not named:
        return Term(f"zeros({params['shape']}, [{_index(params['index'])}] = {args[0].text})")
    if primitive in (shape.reshape_, shape.broadcast_to_) and not named:
        return Term(f"{primitive.name}({args[0].text}, {params['shape']})")
    given = [
        f"{k}={named.get(k) or _constant(v)}"
        for k, v in params.items()
        if k in named or (v is not None and v is not False)
    ]
    return Term(f"{primitive.name}({', '.join([*(a.text for a in args), *given])})")


def _index(index: Any) -> str:
    return ", ".join(map(_places, index)) if isinstance(index, tuple) else _places(index)


def _places(index: Any) -> str:
    """A part of an index; of many numbers, how they begin."""
    if not isinstance(index, np.ndarray) or index.ndim != 1 or index.size <= FEW:
        return _constant(index)
    end = ", …" if index.size > 2 * FEW else ""
    return f"[{', '.join(map(str, index[: 2 * FEW].tolist()))}{end}]"


def _infix(sign: str, a: Term, b: Term) -> Term:
    binding, commutes = SIGNS[sign].binding, SIGNS[sign].commutes
    left = a.within(binding + (sign == "**"), first=True)
    return Term(f"{left} {TYPESET.get(sign, sign)} {b.within(binding + (not commutes))}", binding)


def _reduced(sign: str, values: Sequence[Any], args: Sequence[Term]) -> Term | None:
    """The same formula in the simplest form: without factors of 1, which rules have, and with x² for
    x × x. Numbers of the program stay: they may change."""
    if sign == "*":
        for one, other in ((0, 1), (1, 0)):
            if _is_one(values[one]):
                return args[other]
            if _is_one(values[one], -1):
                return _negative(args[other])
        if values[0] is values[1] and args[0].binding >= PREFIX:
            return _power(args[0], 2)
    return args[0] if sign == "/" and _is_one(values[1]) else None


def _is_one(value: Any, one: int = 1) -> bool:
    return type(value) in (int, float, np.float64) and value == one


def _negative(a: Term) -> Term:
    if a.binding == PREFIX and a.text.startswith("−") and not a.text[1:2].isdigit():
        return Term(a.text[1:])
    return Term(f"−{a.within()}", PREFIX if a.binding == ATOM else PRODUCT)


def _power(a: Term, n: Any) -> Term:
    return a if n == 1 else Term(f"{a.within(ATOM)}{raised(n)}")


def raised(n: Any) -> str:
    """An exponent."""
    text = number(n)
    return text.translate(_RAISED) if text.lstrip("−").isdigit() else f"^{text}"


def _transposed(a: Term) -> Term:
    return Term(f"{a.within(ATOM)}ᵀ")


def rule(
    t: Tensor,
    slot: int,
    out: Term,
    args: Sequence[Term],
    carried: Term | None = None,
    mode: str = "reverse",
) -> tuple[str, int] | None:
    """The formula of one rule of the operation that made `t`, and how many numbers it gives: of its
    local derivative, or, with the cotangent or tangent that is `carried`, of what becomes of that.

    None if the rule does not run on Tensors, as one of a user's own may not, or if it is one of an
    operation with several results.
    """
    primitive = t.primitive
    assert primitive is not None
    function = getattr(primitive, mode)[slot]
    start = t if mode == "reverse" else t.args[slot]
    if any(type(constant(x)) is Results for x in (t, *t.args)):
        return None
    if function is same:
        return ("1" if carried is None else carried.text), start.size
    if primitive is linalg.matmul and mode == "reverse" and carried is not None:
        return _matmul(t, slot, args, carried).text, t.args[slot].size
    level = clock()
    terms: dict[Tensor, Term] = {}
    leaves: dict[int, Tensor] = {}

    def variable(of: Any, term: Term) -> Any:
        (value,) = as_numpy_scalars(constant(of))
        if not isinstance(of, Tensor) and np.size(value) == 1:
            return value  # a number in the program is one in the formula
        if id(of) not in leaves:
            leaves[id(of)] = leaf(value, level)
            terms[leaves[id(of)]] = term
        return leaves[id(of)]

    values = [variable(a, term) for a, term in zip(t.args, args, strict=True)]
    along: Any = 1.0
    if carried is not None:
        along = leaf(as_numpy_scalars(constant(start))[0], level)
        terms[along] = carried
    try:
        with np.errstate(all="ignore"):
            result = function(along, variable(t, out), *values, **t.params)
    except Exception:  # a user's rule may raise anything
        return None
    if not isinstance(result, Tensor) or result.level != level:
        return (brief(result), 1) if np.size(result) == 1 else None
    for node in ancestors([result], level):
        if node.primitive is None:
            continue
        given = [terms[a] if isinstance(a, Tensor) else quantity(a) for a in node.args]
        if node.primitive is arithmetic.where and is_open(node.args[0]):
            terms[node] = _chosen(node.args[0], given)
        elif node.primitive is arithmetic.where and np.ndim(node.args[0]) == 0:
            terms[node] = given[1] if node.args[0] else given[2]
        elif node.primitive is shape.reshape_ and np.shape(node.args[0]) == node.shape:
            terms[node] = given[0]  # rules need it for other shapes
        else:
            terms[node] = _reduced(node.primitive.facts.sign, node.args, given) or operation(
                node.primitive, given, node.params
            )
        if len(terms[node].text) > _LONG:
            return None
    return terms[result].text, result.size


def _chosen(condition: Any, given: Sequence[Term]) -> Term:
    """One of two terms, or of arrays the operation."""
    if np.ndim(condition):
        return operation(arithmetic.where, given, {})
    binding = min(given[1].binding, given[2].binding)
    return Term(choice(condition, given[1].text, given[2].text), binding)


def _matmul(t: Tensor, slot: int, args: Sequence[Term], g: Term) -> Term:
    """The transposed rules of a matrix product, without the reshaping that they need for vectors."""
    a, b = args
    left, right = map(np.ndim, map(constant, t.args))
    if left == right == 1:
        return _infix("*", g, args[1 - slot])
    if slot == 0:
        if right == 1:
            return Term(f"outer({g.text}, {b.text})")
        return _infix("@", b, g) if left == 1 else _infix("@", g, _transposed(b))
    if left == 1:
        return Term(f"outer({a.text}, {g.text})")
    return _infix("@", _transposed(a), g)
