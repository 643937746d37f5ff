"""Break each rule in every way that is easy to get wrong, and see that the checks notice.

    python -m tests.mutate [PRIMITIVE ...]

A mutant is a rule, or a function that a rule calls, with one thing in its source changed: a sign, a
factor, an argument, an axis, a transpose, a comparison, a constant. It is put in the table's place in
this process, and the checks of that primitive must fail. Mutants that compute the same numbers by
algebra are listed in EQUIVALENT, each with the reason; one that is listed and does not occur, or
does not survive, is an error too.
"""

from __future__ import annotations

import ast
import copy
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from inspect import unwrap
from itertools import combinations
from pathlib import Path
from types import FunctionType
from typing import Any

from autobp.primitive import Each, Primitive, same
from autobp.rules import PRIMITIVES, batching
from autobp.verify.checks import check_batches, check_primitive
from autobp.verify.samples import RECORDS, Record
from tests.equivalent import EQUIVALENT

Check = Callable[[Primitive, Record], None]


@dataclass(frozen=True)
class Mutant:
    label: str  # where: what → what instead
    installed: Callable[[], AbstractContextManager[None]]
    of_batches: bool = False  # in a batching rule, which one of the checks alone looks at


@dataclass(frozen=True)
class Verdict:
    name: str
    mutants: int
    killed: int
    equivalent: int
    survivors: tuple[str, ...]
    stale: tuple[str, ...]  # listed as equivalent, but not so

    def __str__(self) -> str:
        line = f"{self.name:14} {self.mutants:4} mutants {self.killed:4} killed"
        line += f" {self.equivalent:3} equivalent" if self.equivalent else ""
        notes = [f"    SURVIVES  {label}" for label in self.survivors]
        notes += [f"    STALE     {label}" for label in self.stale]
        return "\n".join([line, *notes])


# ── what is mutated: the rules of a primitive, and what they call ─────────────────────────────────


def rows(primitive: Primitive) -> dict[str, Any]:
    """The rows of rules by the names of their attributes. A diagonal Jacobian has one."""
    if primitive.form == "elementwise":
        return {"reverse": primitive.reverse}
    if primitive.forward is None:  # linear: the function is the forward rule
        return {"function": primitive.function, "reverse": primitive.reverse}
    return {"forward": primitive.forward, "reverse": primitive.reverse}


def rules(primitive: Primitive) -> Iterator[tuple[str, Any, Callable[[Any], Any]]]:
    """Each rule with a name for it, and how to put another in its place."""

    def put(row: str, value: Any) -> AbstractContextManager[None]:
        return replaced(
            primitive, {"forward", "reverse"} if primitive.form == "elementwise" else {row}, value
        )

    for row, held in rows(primitive).items():
        if isinstance(held, Each):
            kind = type(held)
            yield row, held.rule, lambda new, row=row, kind=kind: put(row, kind(new))
        elif callable(held):
            yield row, held, lambda new, row=row: put(row, new)
        else:
            for i, rule in enumerate(held):

                def at(new: Any, row: str = row, held: Any = held, i: int = i) -> Any:
                    return put(row, (*held[:i], new, *held[i + 1 :]))

                yield f"{row}[{i}]", rule, at


def batching_rule(primitive: Primitive) -> FunctionType | None:
    """The batching rule, for the first of the primitives that share it."""
    rule = batching.of(primitive.facts)
    first = next(p for p in PRIMITIVES.values() if batching.of(p.facts) is rule)
    return rule if first is primitive and isinstance(rule, FunctionType) else None


def helpers(functions: Sequence[Any]) -> list[FunctionType]:
    """The functions of the rule modules that some functions call, and those that these call."""
    found: dict[FunctionType, None] = {}
    stack = list(functions)
    while stack:
        function = stack.pop()
        if not isinstance(function, FunctionType):
            continue
        tree = syntax(function)
        foreign = {n for part in body(tree) for n in _of_foreign_arrays(part)}
        names = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n not in foreign]
        local = {n.id for n in names if isinstance(n.ctx, ast.Store)} | set(_parameters(tree))
        for name in dict.fromkeys(n.id for n in names if n.id not in local):
            called = inner(function.__globals__.get(name))
            ours = isinstance(called, FunctionType) and called.__module__.startswith("autobp.rules")
            if ours and called not in found:
                found[called] = None
                stack.append(called)
    return list(found)


@contextmanager
def replaced(owner: Any, names: Sequence[str] | set[str], value: Any) -> Iterator[None]:
    before = {name: getattr(owner, name) for name in names}
    try:
        for name in names:
            setattr(owner, name, value)
        yield
    finally:
        for name, old in before.items():
            setattr(owner, name, old)


@contextmanager
def exchanged(old: FunctionType, new: FunctionType) -> Iterator[None]:
    """One function for another in every module that has it by name, also within a decorator."""
    named = [
        (module, name, value)
        for path, module in list(sys.modules.items())
        if path.startswith("autobp")
        for name, value in vars(module).items()
        if inner(value) is old
    ]
    cells = [c for *_, f in named if f is not old for c in f.__closure__ if c.cell_contents is old]
    names = [(module, name) for module, name, value in named if value is old]
    try:
        for module, name in names:
            setattr(module, name, new)
        for cell in cells:
            cell.cell_contents = new
        yield
    finally:
        for module, name in names:
            setattr(module, name, old)
        for cell in cells:
            cell.cell_contents = old


def inner(value: Any) -> Any:
    """The function that a decorated one was."""
    return unwrap(value) if isinstance(value, FunctionType) else value


# ── source to syntax, and back ────────────────────────────────────────────────────────────────────


@cache
def _parsed(path: str) -> tuple[ast.Lambda | ast.FunctionDef, ...]:
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    return tuple(n for n in ast.walk(tree) if isinstance(n, ast.Lambda | ast.FunctionDef))


def syntax(function: FunctionType) -> ast.Lambda | ast.FunctionDef:
    code = function.__code__
    here = [
        node
        for node in _parsed(code.co_filename)
        if _first_line(node) == code.co_firstlineno and _parameters(node) == _taken(code)
    ]
    if len(here) != 1:
        place = f"{code.co_filename}:{code.co_firstlineno}"
        raise LookupError(f"{place} has {len(here)} functions with these parameters")
    return here[0]


def _first_line(node: ast.Lambda | ast.FunctionDef) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(d.lineno for d in decorators)])


def _parameters(node: ast.Lambda | ast.FunctionDef) -> list[str]:
    a = node.args
    extra = [b.arg for b in (a.vararg, a.kwarg) if b is not None]
    return [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)] + extra


def _taken(code: Any) -> list[str]:
    flags = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args, **kwargs
    return list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + flags])


def rebuilt(tree: ast.Lambda | ast.FunctionDef, like: FunctionType) -> FunctionType:
    """The function that a changed tree says, with the globals and the closure of the original."""
    if isinstance(tree, ast.Lambda):
        body: list[ast.stmt] = [ast.Return(tree)]
    else:
        tree.returns, tree.decorator_list = None, []
        for a in (*tree.args.args, *tree.args.kwonlyargs, tree.args.vararg, tree.args.kwarg):
            if a is not None:
                a.annotation = None
        body = [tree, ast.Return(ast.Name(tree.name, ast.Load()))]
    module = ast.parse(f"def make({', '.join(like.__code__.co_freevars)}): pass")
    module.body[0].body = body  # type: ignore[attr-defined]
    made: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(module), "<mutant>", "exec"), like.__globals__, made)
    return made["make"](*(cell.cell_contents for cell in like.__closure__ or ()))


# ── the changes ───────────────────────────────────────────────────────────────────────────────────

OTHER_OPERATOR: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
OTHER_COMPARISONS: dict[type, tuple[type, ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
}
UNSET: dict[str, Any] = {"axis": None, "keepdims": False}


def instead(node: ast.AST) -> Iterator[ast.expr]:
    """What one expression could have been by mistake."""
    match node:
        case ast.BinOp(left, op, right):
            yield from (left, right)
            if type(op) in OTHER_OPERATOR:
                yield ast.BinOp(left, OTHER_OPERATOR[type(op)](), right)
        case ast.UnaryOp(ast.USub(), operand):
            yield operand
        case ast.Compare(left, [op], [right]) if type(op) in OTHER_COMPARISONS:
            for other in OTHER_COMPARISONS[type(op)]:
                yield ast.Compare(left, [other()], [right])
        case ast.BoolOp(_, values):
            yield from values
        case ast.IfExp(_, body, orelse):
            yield from (body, orelse)
        case ast.Attribute(value, "mT" | "T"):
            yield value
        case ast.Constant(value) if type(value) in (int, float):
            yield ast.Constant(value + 1)
        case ast.Call(function, args, keywords):
            if args and not isinstance(args[0], ast.Starred):
                yield args[0]  # the call forgotten
            if ast.unparse(function) == "np.where":
                yield ast.Call(function, [args[0], args[2], args[1]], keywords)
            for k, word in enumerate(keywords):
                if word.arg in UNSET:
                    unset = ast.keyword(word.arg, ast.Constant(UNSET[word.arg]))
                    yield ast.Call(function, args, [*keywords[:k], unset, *keywords[k + 1 :]])
            for k, a in enumerate(args):
                if isinstance(a, ast.Name) and a.id in UNSET:
                    unset_ = ast.Constant(UNSET[a.id])
                    yield ast.Call(function, [*args[:k], unset_, *args[k + 1 :]], keywords)


class _Exchange(ast.NodeTransformer):
    """Puts one node in another's place."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else self.generic_visit(node)


class _Swap(ast.NodeTransformer):
    """Two names, each for the other."""

    def __init__(self, a: str, b: str) -> None:
        self.names = {a: b, b: a}

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)


def body(tree: ast.Lambda | ast.FunctionDef) -> list[ast.AST]:
    return [tree.body] if isinstance(tree, ast.Lambda) else list(tree.body)


def _of_foreign_arrays(part: ast.AST) -> Iterator[ast.AST]:
    """What is done to arrays of other libraries alone, which these checks do not have: tests/test_arrays.py
    has them."""
    for node in ast.walk(part):
        if isinstance(node, ast.If | ast.IfExp) and "is_foreign(" in ast.unparse(node.test):
            taken = node.body if isinstance(node.body, list) else [node, node.body]
            yield from ast.walk(node.test)
            for inside in taken:
                yield from ast.walk(inside) if inside is not node else [node]
        elif isinstance(node, ast.BoolOp):
            for asked in node.values:
                if isinstance(asked, ast.Call) and "is_foreign(" in ast.unparse(asked):
                    yield from (node, *ast.walk(asked))


def changed(function: FunctionType) -> Iterator[tuple[str, FunctionType]]:
    """The function with one thing changed, and what it is."""
    tree = syntax(function)
    seen: Counter[str] = Counter()

    def told(before: str, after: str) -> str:
        text = f"{before} → {after}"
        seen[text] += 1
        return text if seen[text] == 1 else f"{text} ({seen[text]})"

    def texts(part: ast.AST) -> str:
        return ast.unparse(ast.fix_missing_locations(part))

    foreign = {n for part in body(tree) for n in _of_foreign_arrays(part)}
    for part in body(tree):
        for node in ast.walk(part):
            if node in foreign:
                continue
            for new in instead(node):
                memo: dict[int, Any] = {}
                twin = copy.deepcopy(tree, memo)
                _Exchange(memo[id(node)], copy.deepcopy(new)).visit(twin)
                yield told(texts(node), texts(new)), rebuilt(twin, function)
    names = [n for part in body(tree) for n in ast.walk(part) if isinstance(n, ast.Name)]
    names = [n for n in names if n not in foreign]
    positional = [a.arg for a in (*tree.args.posonlyargs, *tree.args.args) if a.arg not in UNSET]
    for a, b in combinations(positional, 2):
        if {a, b} & {n.id for n in names}:
            twin = copy.deepcopy(tree)
            swap = _Swap(a, b)
            if isinstance(twin, ast.Lambda):
                twin.body = swap.visit(twin.body)
            else:
                twin.body = [swap.visit(s) for s in twin.body]
            yield told(a, f"{b}, and back"), rebuilt(twin, function)
    for node in names:
        for other in positional:
            if node.id in positional and isinstance(node.ctx, ast.Load) and other != node.id:
                memo = {}
                twin = copy.deepcopy(tree, memo)
                memo[id(node)].id = other
                yield told(node.id, other), rebuilt(twin, function)


def negated(rule: Callable[..., Any]) -> Callable[..., Any]:
    def opposite(*args: Any, **params: Any) -> Any:
        result = rule(*args, **params)
        return (-part for part in result) if isinstance(result, Iterator) else -result

    return opposite


def mutants(primitive: Primitive) -> Iterator[Mutant]:
    for place, rule, put in rules(primitive):
        if rule is None:
            yield Mutant(f"{place}: None → same", lambda put=put: put(same))
            continue
        yield Mutant(f"{place}: negated", lambda put=put, rule=rule: put(negated(rule)))
        if place.endswith("]"):
            yield Mutant(f"{place}: → None", lambda put=put: put(None))
        if rule is not same and isinstance(rule, FunctionType):
            for text, new in changed(rule):
                yield Mutant(f"{place}: {text}", lambda put=put, new=new: put(new))
    for helper in helpers([rule for _, rule, _ in rules(primitive)]):
        for text, new in changed(helper):
            label = f"{helper.__name__}: {text}"
            yield Mutant(label, lambda helper=helper, new=new: exchanged(helper, new))
    batch = batching_rule(primitive)
    if batch is not None:
        for text, new in changed(batch):
            facts = replace(primitive.facts, batch=new)
            put = lambda facts=facts: replaced(primitive, {"facts"}, facts)
            yield Mutant(f"batch: {text}", put, of_batches=True)


# ── the verdict ───────────────────────────────────────────────────────────────────────────────────


def survives(primitive: Primitive, record: Record, mutant: Mutant, check: Check) -> bool:
    with mutant.installed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            check(primitive, record)
        except Exception:  # a rule that raises is noticed as well as one that is wrong
            return False
    return True


def judged(primitive: Primitive, record: Record, check: Check = check_primitive) -> Verdict:
    check(primitive, record)  # as it is, it is to pass
    labels, survivors = [], []
    for mutant in mutants(primitive):
        labels.append(mutant.label)
        by = check_batches if mutant.of_batches and check is check_primitive else check
        if survives(primitive, record, mutant, by):
            survivors.append(mutant.label)
    listed = EQUIVALENT.get(primitive.name, {})
    equivalent = [label for label in survivors if label in listed]
    return Verdict(
        primitive.name,
        mutants=len(labels),
        killed=len(labels) - len(survivors),
        equivalent=len(equivalent),
        survivors=tuple(label for label in survivors if label not in listed),
        stale=tuple(label for label in listed if label not in survivors),
    )


def main(names: Sequence[str]) -> int:
    start = time.perf_counter()
    unknown = [n for n in (*names, *EQUIVALENT) if n not in PRIMITIVES]
    if unknown:
        print(f"no such primitive: {', '.join(unknown)}")
        return 1
    verdicts, wrong = [], 0
    for name in names or PRIMITIVES:
        try:
            verdicts.append(judged(PRIMITIVES[name], RECORDS[name]))
        except AssertionError as error:
            wrong += 1
            print(f"{name:14} fails as it is: {error}", flush=True)
        else:
            print(verdicts[-1], flush=True)
    total = {k: sum(getattr(v, k) for v in verdicts) for k in ("mutants", "killed", "equivalent")}
    survivors, stale = (sum(len(getattr(v, k)) for v in verdicts) for k in ("survivors", "stale"))
    print(
        f"{len(verdicts)} primitives, {total['mutants']} mutants: {total['killed']} killed,"
        f" {total['equivalent']} equivalent, {survivors} survive; {stale} stale entries;"
        f" {time.perf_counter() - start:.0f} s"
    )
    return 1 if survivors or stale or wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
