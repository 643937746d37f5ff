"""Products that leave loops: the gradient of a weight that all iterations share.

Each iteration of a backward pass adds a product to it, an outer product or one of matrices. Their sum
is a single product of the stacked factors, which BLAS computes several times as fast as they are
added up one by one.
"""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from autobp.compiler.passes.exact import dead_code_elimination
from autobp.compiler.program import Loop, Program, Step, mapped, rebuilt, steps_in

__all__ = ["has_body", "sums_of_products"]


class _Sum(NamedTuple):
    """A carried value to which each iteration adds `left.T @ right`."""

    place: int
    left: Step
    right: Step


def has_body(step: Step) -> bool:
    return step.loop is not None


def sums_of_products(program: Program) -> Program:
    """What an iteration adds up of products of rows becomes one product after the loop."""
    for step in program.steps:
        sums = [] if step.loop is None or step.loop.varies else _sums(step, step.loop)
        if step.loop is not None and sums:
            program = _taken_out(program, step, step.loop, sums)
    return program


def _sums(step: Step, loop: Loop) -> list[_Sum]:
    """The carried values that begin with zeros and are only added to, by products of two arrays of which
    the loop is given one."""
    carried, sequences, _ = step.args
    becomes, rows = loop.body.returns
    uses = Counter(s for other in loop.body.steps for s in other.operands)
    uses.update(steps_in([becomes, rows]))
    arguments = loop.body.arguments
    elements = zip(arguments[len(carried) : len(carried) + len(sequences)], sequences)
    given = {a for a, x in elements if isinstance(x, Step) and x.is_array}
    found = []
    for place, (argument, first, total) in enumerate(zip(arguments, carried, becomes)):
        if (
            not isinstance(total, Step)
            or total.function is not np.add
            or argument not in total.args
        ):
            continue
        product = total.args[1 - total.args.index(argument)]
        alone = isinstance(product, Step) and uses[argument] == uses[total] == uses[product] == 1
        if not alone or product.shape != argument.shape or not _is_zero(first):
            continue
        factors = _factors(product)
        if factors is not None and not given.isdisjoint(factors):
            found.append(_Sum(place, *factors))
    return found


def _is_zero(x: Any) -> bool:
    return isinstance(x, Step) and x.is_constant and not np.any(x.constant)


def _factors(product: Step) -> tuple[Step, Step] | None:
    """The arrays of which an outer product is made, or a product of matrices: the first is transposed."""
    if product.function not in (np.multiply, np.matmul) or product.params or product.ndim != 2:
        return None
    a, b = product.args
    if (
        not isinstance(a, Step)
        or not isinstance(b, Step)
        or not a.dtype == b.dtype == product.dtype
    ):
        return None
    if product.function is np.multiply:
        x = _expanded(a, -1)
        b = b if b.ndim == 1 else _expanded(b, -2)
    else:
        is_turned = a.function is np.transpose and len(a.args) == 1 and a.ndim == b.ndim == 2
        x = a.args[0] if is_turned and not a.params else None
    return (x, b) if isinstance(x, Step) and isinstance(b, Step) and x.ndim == b.ndim else None


def _expanded(step: Step, axis: int) -> Any:
    """The vector that a step gives another axis."""
    is_one = step.function is np.expand_dims and step.args[1:] == (axis,) and not step.params
    return step.args[0] if is_one and step.ndim == 2 else None


def _taken_out(program: Program, step: Step, loop: Loop, sums: list[_Sum]) -> Program:
    """The program with the products after the loop."""
    carried, sequences, invariants = step.args
    becomes, rows = loop.body.returns
    n, arguments = len(carried), loop.body.arguments
    given = dict(zip(arguments[n : n + len(sequences)], sequences))
    gone = {s.place for s in sums}
    factors = dict.fromkeys(x for s in sums for x in (s.left, s.right) if x not in given)
    stacked = list(dict.fromkeys([*rows, *factors]))
    kept = [i for i in range(n) if i not in gone]
    returns = tuple(becomes[i] for i in kept), tuple(stacked)
    body = dead_code_elimination(loop.body.with_(returns=returns))
    read = {s for other in body.steps for s in other.operands}.union(body.results)
    pairs = list(zip(arguments[n:], (*sequences, *invariants)))
    elements = [(a, x) for a, x in pairs[: len(sequences)] if a in read]
    around = [(a, x) for a, x in pairs[len(sequences) :] if a in read]
    begun = [(arguments[i], carried[i]) for i in kept]
    body = body.with_(arguments=[a for part in (begun, elements, around) for a, _ in part])
    args = tuple(tuple(x for _, x in part) for part in (begun, elements, around))
    made = step.with_(function=replace(loop, body=body), args=args)
    after: list[Step] = []

    def call(like: Step, function: Any, *given: Any, shape: tuple[int, ...]) -> Step:
        new = Step(function, given, {}, shape, like.dtype, np.ndarray)
        new.scope, new.phase = step.scope, step.phase
        after.append(new)
        return new

    def rows_of(x: Step) -> Step:
        """All rows of a factor, as a matrix."""
        whole = given.get(x)
        if whole is None:
            index = len(kept) + stacked.index(x)
            whole = call(x, operator.getitem, made, index, shape=(loop.count, *x.shape))
        columns = x.shape[-1]
        if x.ndim == 1:
            return whole
        size = loop.count * x.shape[0]
        return call(x, np.reshape, whole, (size, columns), shape=(size, columns))

    products: dict[int, Step] = {}
    for place, left, right in sums:
        a, b = rows_of(left), rows_of(right)
        turned = call(left, np.transpose, a, shape=a.shape[::-1])
        products[place] = call(right, np.matmul, turned, b, shape=(a.shape[1], b.shape[1]))

    places = {i: kept.index(i) for i in kept}
    places |= {n + j: len(kept) + stacked.index(row) for j, row in enumerate(rows)}
    instead: dict[Step, Step] = {step: made}
    steps: list[Step] = []
    for old in program.steps:
        if old.is_loop_result and old.args[0] is step:
            i = old.args[1]
            instead[old] = products[i] if i in gone else old.with_(args=(made, places[i]))
            if i not in gone:
                steps.append(instead[old])
            continue
        new = made if old is step else rebuilt(old, instead)
        if new is not old:
            instead[old] = new
        steps.append(new)
        if old is step:
            steps += after
    effects = {instead.get(s, s) for s in program.effects}
    returns = mapped(lambda s: instead.get(s, s), program.returns)
    return program.with_(steps=steps, returns=returns, effects=effects)
