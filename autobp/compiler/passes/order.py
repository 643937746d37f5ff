"""Order: the steps of a body of single numbers, so that the next value of what is carried is computed
when the old one is needed no more. Both then have one name, and nothing is moved at the end."""

from __future__ import annotations

import heapq
import operator
from collections.abc import Sequence

from autobp.compiler.program import Program, Step, used_by

__all__ = ["with_carried_last"]

_TERMS = (operator.add, operator.sub, operator.mul, operator.neg)  # written within others


def with_carried_last(body: Program, carried: Sequence[Step]) -> Program:
    """The body of a loop, with the next values of carried numbers computed as late as possible."""
    becomes, _ = body.returns
    arguments = {s: a for a, s in zip(carried, becomes, strict=True) if isinstance(s, Step)}
    at = {step: i for i, step in enumerate(body.steps)}
    nexts = {s: a for s, a in arguments.items() if s in at and s.kind is float and s is not a}
    if not nexts or body.effects or any(s.loop or s.errors for s in body.steps):
        return body
    users = used_by(body)
    waiting = {step: len(users.get(step, ())) for step in body.steps}  # for users in the body
    needed: set[Step] = set()  # arguments that the lines read which are in their place
    others = [-at[s] for s in body.steps if not waiting[s] and s not in nexts]
    heapq.heapify(others)
    ready = [s for s in nexts if not waiting[s]]
    order: list[Step] = []
    while ready or others:
        coming = {nexts[s] for s in ready}
        free = [s for s in ready if nexts[s] not in needed]
        if free:
            disturbed = {s: _arguments(s, users) & coming - {nexts[s]} for s in free}
            step = min(free, key=lambda s: (len(disturbed[s]), -at[s]))
        elif others and (not ready or -others[0] > max(map(at.__getitem__, ready))):
            step = body.steps[-others[0]]
        else:
            step = max(ready, key=at.__getitem__)
        if step in nexts:
            ready.remove(step)
        else:
            heapq.heappop(others)
        order.append(step)
        needed |= _arguments(step, users)
        for s in step.operands:
            if s in waiting:
                waiting[s] -= 1
                if not waiting[s] and s in nexts:
                    ready.append(s)
                elif not waiting[s]:
                    heapq.heappush(others, -at[s])
    return body.with_(steps=order[::-1])


def _arguments(step: Step, users: dict[Step, list[Step]]) -> set[Step]:
    """The arguments that the line of a step reads."""
    found: set[Step] = set()
    todo = [step]
    while todo:
        for s in todo.pop().operands:
            if s.is_argument:
                found.add(s)
            elif s.function in _TERMS and len(users[s]) == 1:
                todo.append(s)
    return found
