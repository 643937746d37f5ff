"""Expressions: a small part of Python's syntax, parsed and computed without executing it as code.

Only listed constructs are allowed. Anything else raises an error that shows its place in the text.
Sizes, depths and lengths have limits, so that no text takes long or exhausts the machine.
"""

from __future__ import annotations

import ast
import inspect
import math
import operator
import re
from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Any, NamedTuple

import numpy as np

import autobp
from autobp.cli.console import Failure, suggestion
from autobp.drawing.literal import columns
from autobp.primitive import NUMPY
from autobp.tensor import Tensor

__all__ = ["CONSTANTS", "FUNCTIONS", "Expression"]

_LONGEST = 10_000  # characters
_DEEPEST = 200  # levels of nesting
_LARGEST = 4096  # numbers in one value
_MOST = 1 << 24  # elements that one operation may combine

CONSTANTS = {"pi": math.pi, "e": math.e}

_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.MatMult: operator.matmul,
    ast.Pow: operator.pow,
}
_SIGNS: dict[type, Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}


class Function(NamedTuple):
    call: Callable[..., Any]
    arguments: tuple[int, int]  # the least and the largest number of them
    keywords: tuple[str, ...] = ()


def _function(call: Callable[..., Any]) -> Function:
    """The arguments that a function accepts here: those without a default, and axes by name."""
    if isinstance(call, np.ufunc):
        return Function(call, (call.nin, call.nin))
    parameters = inspect.signature(NUMPY.get(call, call)).parameters
    needed = sum(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in parameters.values())
    names = tuple(name for name in ("axis", "keepdims") if name in parameters)
    return Function(call, (needed, needed), names)


FUNCTIONS = {
    name: _function(getattr(module, name))
    for module, names in {
        np: "sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh exp exp2 expm1 log"
        " log2 log10 log1p sqrt cbrt square reciprocal abs sign transpose trace maximum minimum arctan2"
        " hypot logaddexp dot matmul inner outer vdot sum mean prod max min var std cumsum",
        autobp: "relu sigmoid softplus softmax log_softmax logsumexp",
        np.linalg: "norm det inv solve",
    }.items()
    for name in names.split()
} | {"clip": Function(np.clip, (3, 3))}

_REFUSED = {
    ast.Lambda: "a lambda",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.Subscript: "an index",
    ast.Compare: "a comparison",
    ast.BoolOp: "and, or",
    ast.IfExp: "a condition",
    ast.NamedExpr: "an assignment",
    ast.JoinedStr: "text",
    ast.Dict: "a dict",
    ast.Set: "a set",
    ast.Starred: "a star",
}


_STAR = "a product needs a * sign"
# A number before a name or a bracket, a bracket before either of them, or two names.
_FACTORS = re.compile(
    r"(?<![\w.])(\d[\d_]*\.?\d*) ?([^\W\d]\w*|\()|(\)) ?([\w(])|([^\W\d]\w*) ([^\W\d]\w*)"
)


def _product(text: str) -> tuple[str, int, int] | None:
    """A message for a product without a sign, which Python cannot parse, and its place.

    >>> _product("1 + 2x")
    ('a product needs a * sign: write 2*x', 4, 6)
    """
    for found in _FACTORS.finditer(text):
        one, other = (part for part in found.groups() if part)
        if not any(map(iskeyword, (one, other))):
            rest = f"{other}(…)" if text.startswith("(", found.end()) else other
            factors = "" if one == ")" or other == "(" else f": write {one}*{rest}"
            return _STAR + factors, found.start(), found.end()
    return None


class Expression:
    """A parsed expression: `names` are its variables, and `value` computes it from theirs.

    >>> from autobp import Tensor
    >>> found = Expression("sum(w * [1, 2]) ** 2")
    >>> found.names
    ('w',)
    >>> found.value({"w": Tensor([3.0, 4.0])})
    Tensor(121.0, from power_by)
    >>> Expression("w.__class__")
    Traceback (most recent call last):
    autobp.cli.console.Failure: an attribute is not allowed in an expression
      w.__class__
      ^^^^^^^^^^^
    """

    def __init__(self, text: str) -> None:
        self.text: str = " ".join(text.split())
        if len(self.text) > _LONGEST:
            raise Failure(f"an expression has at most {_LONGEST:,} characters", 2)
        if not self.text:
            raise Failure("the expression is empty", 2)
        try:
            self.tree: Any = ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            start = max(0, (error.offset or 1) - 1)
            end = (error.end_offset or 0) - 1
            unclear = re.match("invalid (syntax|[a-z]+ literal)", error.msg)
            product = _product(self.text) if unclear else None
            if product is not None:
                raise self._failure(*product, 2) from None
            long = error.msg.startswith("Exceeds the limit")  # of digits
            said = "this number is too large" if long else error.msg
            raise self._failure(said, start, max(end, start + 1), 2) from None
        except (RecursionError, MemoryError):
            raise self._too_deep() from None
        except ValueError as error:  # null bytes
            raise Failure(f"this is not an expression: {error}", 2) from None
        self.names: tuple[str, ...] = tuple(dict.fromkeys(self._checked()))

    def value(self, values: Mapping[str, Any]) -> Any:
        """Its value: a Tensor if it depends on one."""
        with np.errstate(all="ignore"):
            return self._value(self.tree, {**CONSTANTS, **values})

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    def _checked(self) -> list[str]:
        """The names of its variables, in order. Raises Failure at the first part that is not allowed."""
        names: list[tuple[int, str]] = []
        stack: list[tuple[ast.AST, int]] = [(self.tree, 1)]
        while stack:
            node, depth = stack.pop()
            if depth > _DEEPEST:
                raise self._too_deep()
            parts: list[ast.AST] = []
            if isinstance(node, ast.Name):
                self._check_name(node)
                names.append((node.col_offset, node.id))
            elif isinstance(node, ast.Constant):
                self._check_number(node)
            elif isinstance(node, ast.List | ast.Tuple):
                parts = [*node.elts]
            elif isinstance(node, ast.BinOp):
                if type(node.op) not in _OPERATORS:
                    hint = "; write ** for a power" if isinstance(node.op, ast.BitXor) else ""
                    raise self._at(node, f"the operators are + - * / @ **{hint}", 2)
                parts = [node.left, node.right]
            elif isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS:
                parts = [node.operand]
            elif isinstance(node, ast.Call):
                self._check_call(node)
                parts = [*node.args]
            else:
                raise self._refused(node)
            stack += [(part, depth + 1) for part in parts]
        return [name for _, name in sorted(names)]

    def _check_name(self, node: ast.Name) -> None:
        if node.id.startswith("_"):
            raise self._at(node, "a name cannot begin with an underscore", 2)

    def _check_number(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self._at(node, "an expression may contain numbers, names and lists of them", 2)
        try:
            finite = math.isfinite(float(node.value))
        except OverflowError:
            finite = False
        if not finite:
            raise self._at(node, "this number is too large", 2)

    def _check_call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            name = node.func.attr
            if node.func.value.id in ("np", "numpy", "math", "autobp", "nn") and name in FUNCTIONS:
                raise self._at(node.func, f"write functions without a prefix: {name}", 2)
        if isinstance(node.func, ast.Constant | ast.BinOp | ast.UnaryOp | ast.Call):
            factor, rest = (ast.get_source_segment(self.text, part) for part in (node.func, node))
            missing = f"{_STAR}: write {factor}*{(rest or '').removeprefix(factor or '')}"
            raise self._at(node, missing if isinstance(node.func, ast.Constant) else _STAR, 2)
        if not isinstance(node.func, ast.Name):
            raise self._refused(node.func)
        name = node.func.id
        if name not in FUNCTIONS:
            meant = suggestion(name, FUNCTIONS)
            meant = (
                meant or f"; write a product as {name}*(…); `autobp draw --help` lists functions"
            )
            raise self._at(node.func, f"there is no function {name!r}{meant}", 2)
        function = FUNCTIONS[name]
        least, most = function.arguments
        if not least <= len(node.args) <= most:
            many = f"{least} argument{'s' * (least != 1)}"
            raise self._at(node, f"{name} takes {many}, not {len(node.args)}", 2)
        for keyword in node.keywords:
            if keyword.arg not in function.keywords:
                known = " and ".join(f"{k}=" for k in function.keywords) or "nothing"
                raise self._at(keyword, f"{name} takes {known} by name", 2)
            self._option(keyword.value)

    def _option(self, node: ast.expr) -> Any:
        """The value of axis= or keepdims=: a whole number, several, or True or False."""
        try:
            found = ast.literal_eval(node)
        except (ValueError, TypeError):  # TypeError: a set of lists
            found = None
        several = found if isinstance(found, tuple) else (found,)
        if not all(isinstance(i, int) for i in several):
            raise self._at(node, "write a whole number here, several as (0, 1), or True", 2)
        return found

    # ── computing ─────────────────────────────────────────────────────────────────────────────────

    def _value(self, node: ast.expr, values: Mapping[str, Any]) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return values[node.id]
        if isinstance(node, ast.List | ast.Tuple):
            parts = [self._value(part, values) for part in node.elts]
            return self._computed(node, _stacked, parts)
        if isinstance(node, ast.UnaryOp):
            return self._computed(node, _SIGNS[type(node.op)], [self._value(node.operand, values)])
        if isinstance(node, ast.BinOp):
            x, y = self._value(node.left, values), self._value(node.right, values)
            if isinstance(node.op, ast.Pow) and isinstance(x, int):
                x = float(x)  # powers of whole numbers have no limit in length
            return self._computed(node, _OPERATORS[type(node.op)], [x, y])
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Name)
        args = [self._value(arg, values) for arg in node.args]
        options = {str(k.arg): self._option(k.value) for k in node.keywords}
        return self._computed(node, FUNCTIONS[node.func.id].call, args, options)

    def _computed(
        self, node: ast.expr, call: Callable[..., Any], args: list[Any], options: Any = None
    ) -> Any:
        """Compute one operation, unless its arguments or its result are too large."""
        shapes = {np.shape(a) for a in args} - {()}
        if len(shapes) > 1 and math.prod(np.size(a) for a in args) > _MOST:
            raise self._at(node, "this operation is too large to compute", 1)
        try:
            found = call(*args, **(options or {}))
        except (ArithmeticError, ValueError, TypeError, IndexError) as error:
            said = "the number is too large" if isinstance(error, OverflowError) else error
            raise self._at(node, f"this cannot be computed: {said}", 1) from None
        if isinstance(found, complex):
            raise self._at(node, "this is not a real number", 1)
        if np.size(found) > _LARGEST:
            raise self._at(node, f"a value may have at most {_LARGEST:,} numbers", 1)
        return found

    # ── failing ───────────────────────────────────────────────────────────────────────────────────

    def _refused(self, node: ast.AST) -> Failure:
        what = "an attribute" if isinstance(node, ast.Attribute) else None
        what = what or _REFUSED.get(type(node), "this")
        return self._at(node, f"{what} is not allowed in an expression", 2)

    def _too_deep(self) -> Failure:
        return Failure(f"an expression may be nested at most {_DEEPEST} levels deep", 2)

    def _at(self, node: Any, message: str, code: int) -> Failure:
        """An error about a node of the syntax tree. Python gives its offsets in bytes."""
        start, end = (
            len(self.text.encode()[:offset].decode(errors="replace"))
            for offset in (node.col_offset, node.end_col_offset)
        )
        return self._failure(message, start, end, code)

    def _failure(self, message: str, start: int, end: int, code: int) -> Failure:
        """An error that shows a part of the text with marks below it."""
        text = "".join(c if c.isprintable() else "?" for c in self.text)
        first = max(0, min(start - 20, len(text) - 70))
        shown = text[first : first + 70]
        before, after = "…" * (first > 0), "…" * (first + 70 < len(text))
        space = " " * columns(before + text[first:start])
        marks = "^" * max(1, columns(text[start : min(end, first + 70)]))
        return Failure(f"{message}\n  {before}{shown}{after}\n  {space}{marks}", code)


def _stacked(*parts: Any) -> Any:
    """A list as an array, or as a Tensor if it contains Tensors."""
    if not parts:
        raise ValueError("the list is empty")
    if len({np.shape(part) for part in parts}) > 1:
        raise ValueError("the parts of the list have different shapes")
    if any(isinstance(part, Tensor) for part in parts):
        return np.stack(parts)
    return np.array(parts, float)
