"""Pipeline: the passes in their order, and the driver that runs them.

To add a pass, write its rule beside its like, and give it a line in the table. A rule sees
each step that meets the precondition, and returns another step or None.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from autobp.compiler.passes import exact as same
from autobp.compiler.passes import numbers as single
from autobp.compiler.passes import rounding as near
from autobp.compiler.passes.images import image_layouts, is_image
from autobp.compiler.passes.loops import with_optimized_bodies
from autobp.compiler.passes.parts import is_addition, joining
from autobp.compiler.passes.products import has_body, sums_of_products
from autobp.compiler.passes.rewrite import Pass, Rewrite, each, has_arrays
from autobp.compiler.program import Program, Step, mapped

__all__ = ["PASSES", "optimized", "owned_results"]

# fmt: off
PASSES = (
    Pass(same.dead_code_elimination,            requires=same.is_call),
    each(same.canonicalization,                 requires=same.is_call),
    each(same.algebraic_simplification,         requires=same.is_simplified,        numbers=True),
    each(single.python_arithmetic,              requires=single.is_number_call,     numbers=True),
    each(single.sign_simplification,            requires=single.is_float_arithmetic, numbers=True),
    each(near.broadcast_elimination,            requires=near.is_binary,            exact=False),
    each(same.common_subexpression_elimination, requires=same.is_pure,              numbers=True),
    each(near.reassociation,                    requires=near.is_scaling,           exact=False),
    each(near.transpose_folding,                requires=near.is_transpose,         exact=False),
    each(near.variances,                        requires=near.is_variance,          exact=False),
    each(near.dot_product_recognition,          requires=near.is_sum,               exact=False),
    each(near.reduction_to_matmul,              requires=near.is_sum,               exact=False),
    each(same.scatter_simplification,           requires=same.is_scatter),
    each(joining,                               requires=is_addition,               exact=False),
    Pass(sums_of_products,                      requires=has_body,                  exact=False),
    each(same.small_systems,                    requires=same.is_solution,          lowers=True),
    each(same.reductions_of_rows,               requires=same.is_of_rows,           lowers=True),
    each(near.sums_of_exponentials,             requires=near.is_sum_of_exponentials, exact=False, lowers=True),
    each(same.constant_materialization,         requires=same.is_small_elementwise, lowers=True),
    each(same.common_subexpression_elimination, requires=same.is_pure,              lowers=True, numbers=True),
    Pass(image_layouts,                         requires=is_image,                  exact=False, lowers=True),
    Pass(same.errstate_merging,                 requires=same.has_errstate,         lowers=True),
)
# fmt: on

ROUNDS = 10


def optimized(program: Program, passes: Sequence[Pass] = PASSES) -> Program:
    """The program after all passes: after those that simplify until none finds more, then after those
    that lower. The rules of passes go through the program together. After the first round they look
    at steps alone about which something is new. The bodies of loops come first."""
    exact = all(p.exact for p in passes)
    program = with_optimized_bodies(program, lambda body: optimized(body, passes), exact)
    simplify, lower = ([p for p in passes if p.lowers is lowers] for lowers in (False, True))
    program = _without_rules(program, simplify)
    rewrite, dirty = Rewrite(program), None
    for _ in range(ROUNDS):
        after = rewrite.run(simplify, dirty)
        if after is program:
            break
        program = _without_rules(after, simplify)
        dirty, rewrite = rewrite.fresh, Rewrite(program, rewrite)
        if dirty.isdisjoint(program.steps) and not rewrite.single_now:
            break
    rules = {p.rule for p in simplify}
    arrays = [*filter(has_arrays, program.steps)]  # no rule that lowers is for numbers alone
    if any(p.rule not in rules and any(map(p.requires, arrays)) for p in lower if p.rule):
        program = Rewrite(program, rewrite).run(lower)
    return _without_rules(program, lower)


def _without_rules(program: Program, passes: Sequence[Pass]) -> Program:
    """The program after the passes that work on it as a whole."""
    for p in passes:
        if not p.rule:
            program = p(program)
    return program


def owned_results(
    program: Program,
    traced: Program,
    replaced: Collection[Step] = (),
    shared: Collection[Step] = (),
) -> Program:
    """Results are the caller's: neither constants of the program, nor parts of other arrays, nor one
    array in two places. Arguments alone are returned as they are, where the `traced` program did so
    and they are not `replaced` by the call; and what is `shared` is one array wherever it was one."""
    copies: list[Step] = []
    seen: dict[Step, Step] = {}
    originals = iter(traced.results)

    def owned(step: Step) -> Step:
        original = next(originals)
        first = seen.get(step)
        seen.setdefault(step, original)
        lent = original.is_argument and original not in replaced
        is_one = first is None or (first is original and original in shared)
        if not step.is_array or lent or (is_one and step.is_fresh):
            return step
        copy = step.with_(function=np.copy, args=(step,), params={}, constant=None, name=None)
        copies.append(copy)
        return copy

    returns = mapped(owned, program.returns)
    return program.with_(returns=returns, steps=[*program.steps, *copies])
