"""Plan: where each result is put, so that a program allocates once and works in place.

Every array that a program makes on the way gets a place in one arena, which is allocated with the
program; places are given away again when what is in them was used for the last time. Elementwise
work is done in the place of an operand that nobody needs any more.
"""

from __future__ import annotations

import operator
from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autobp.compiler.passes.images import LAST
from autobp.compiler.passes.joined import side_by_side
from autobp.compiler.passes.rewrite import calls
from autobp.compiler.program import Program, Step, used_by

__all__ = ["Place", "Plan", "planned"]

ALIGNED = 64  # bytes, a line of the cache
LET_GO = 1 << 16  # bytes: smaller arrays stay until the program ends


@dataclass(eq=False)
class Place:
    """Memory that one array after the other is in."""

    nbytes: int
    first: int  # the steps between which it is needed
    last: int
    kind: str  # arena: of the program. own: made by NumPy. argument: the caller's, given away.
    argument: Step | None = None
    start: int = 0


@dataclass
class Plan:
    places: dict[Step, Place] = field(default_factory=dict)
    in_place: set[Step] = field(default_factory=set)  # steps done in the place of an operand
    images: set[Step] = field(default_factory=set)  # steps whose channels are last in memory
    done: dict[Step, list[Step]] = field(default_factory=dict)  # what nobody needs after a step
    size: int = 0  # of the arena
    peak: int = 0  # the most that is held at once, results included


def planned(
    program: Program,
    given: Iterable[Step] = (),
    updated: Mapping[Step, Step] | None = None,
    reuse: bool = False,
) -> Plan:
    """Places for the steps of a program. Arguments that are given away may be overwritten, and so
    may those that are `updated`, by the results that are to take their place; results are put in the
    room only if they may be overwritten by the next call."""
    steps, results = program.steps, set(program.results)
    given = set(given)
    roots = _roots(program)
    last: dict[Step, int] = {}
    for i, step in enumerate(steps):
        for s in step.operands:
            for root in roots.get(s, (s,)):
                last[root] = i
    for s in results:
        for root in roots.get(s, (s,)):
            last[root] = len(steps)
    checks = max((i for i, s in enumerate(steps) if s in program.effects), default=-1)

    over = _written_over(program, updated or {}, last, checks)

    used = used_by(program)
    plan = Plan(images=_images(program))
    places: list[Place] = []
    within: dict[Step, tuple[Place, int]] = {}  # what lies side by side with others, and where
    at = {step: i for i, step in enumerate(steps)}
    for i, step in enumerate(steps):
        if step.function is side_by_side:
            first, end = min(at[s] for s in step.args), max(last.get(s, i) for s in step.args)
            whole = Place(step.nbytes, first, end, "arena")
            places.append(whole)
            start = 0
            for s in step.args:
                within[s] = whole, start
                start += s.nbytes
    for i, step in enumerate(steps):
        if roots.get(step, (step,)) != (step,):
            if _is_copy(step, plan.images):
                places.append(Place(step.nbytes, i, len(steps), "own"))
            continue
        end = last.get(step, i)
        if step.kind is tuple:
            parts = (s for s in used.get(step, []) if s.function is operator.getitem)
            plan.places[step] = Place(sum(s.nbytes for s in parts), i, end, "own")
            places.append(plan.places[step])
        if not step.is_array:
            continue
        place = over.get(step)
        if place is not None:
            plan.in_place.add(step)
        elif step.is_elementwise:
            for s in step.args:
                if not _same_form(s, step) or last.get(s) != i or roots.get(s, (s,)) != (s,):
                    continue
                if s in plan.places and s not in within and plan.places[s].kind != "argument":
                    place = plan.places[s]
                    break
                if s in given and i > checks and step in results:
                    place = Place(step.nbytes, i, end, "argument", s)
                    break
            if place is not None:
                plan.in_place.add(step)
                place.last = end
                if step in results and place.kind == "arena" and not reuse:
                    place.kind = "own"
            elif reuse or step not in results:
                below = _reshaped(step)
                free = below in plan.places and below not in within and last[below] == i
                if free and plan.places[below].kind == "arena":
                    place = plan.places[below]
                    place.last = end
        if step in within:
            place = Place(step.nbytes, i, end, "arena")
        elif place is None and step.is_fresh:
            takes = step.takes_out and (step.is_elementwise or plan.images.isdisjoint(step.args))
            kind = "arena" if takes and (reuse or step not in results) else "own"
            place = Place(step.nbytes, i, end, kind)
            places.append(place)
        if place is not None:
            plan.places[step] = place
    plan.done = _done(plan, steps, roots)
    _settle(plan, places, len(steps))
    for step, (whole, start) in within.items():
        plan.places[step].start = whole.start + start
    return plan


def _written_over(
    program: Program, updated: Mapping[Step, Step], last: Mapping[Step, int], checks: int
) -> dict[Step, Place]:
    """The steps that are done in the place of an argument: those that lead, one in the place of the
    other, from its last use to the result that replaces it."""
    at = {step: i for i, step in enumerate(program.steps)}
    found: dict[Step, Place] = {}
    for result, argument in updated.items():
        after: dict[Step, Step] = {}
        todo = [result]
        while todo:
            step = todo.pop()
            if not step.is_elementwise or not _same_form(argument, step) or at[step] <= checks:
                continue
            if argument in step.args and last.get(argument) == at[step]:
                place = Place(argument.nbytes, at[step], len(at), "argument", argument)
                while step is not result:
                    found[step] = place
                    step = after[step]
                found[result] = place
                break
            for s in step.args:
                if s in at and last.get(s) == at[step]:
                    after[s] = step
                    todo.append(s)
    return found


def _reshaped(step: Step) -> Any:
    """What an operand that has the form of the result is another shape of, if there is one."""
    alike = (s for s in step.args if _same_form(s, step) and s.function is np.reshape)
    return next((s.args[0] for s in alike), None)


def _same_form(s: Any, step: Step) -> bool:
    return isinstance(s, Step) and s.is_array and (s.shape, s.dtype) == (step.shape, step.dtype)


def _is_copy(step: Step, images: set[Step]) -> bool:
    """Whether what could be a view is most likely none: an array that is turned and then reshaped."""
    x: Any = step.args[0] if step.function is np.reshape else None
    turned = calls(x, np.transpose) and len(x.args) == 2
    return x in images or (turned and not (x.args[0] in images and x.args[1] == LAST))


def _done(
    plan: Plan, steps: list[Step], roots: Mapping[Step, tuple[Step, ...]]
) -> dict[Step, list[Step]]:
    """For a step the large arrays that NumPy made and that are needed no longer, with their views."""
    owners: dict[Place, list[Step]] = {}
    for step, place in plan.places.items():
        if place.kind == "own" and place.nbytes >= LET_GO and place.last < len(steps):
            owners.setdefault(place, []).append(step)
    views: dict[Step, list[Step]] = {}
    for view, of in roots.items():
        if len(of) == 1 and view is not of[0]:
            views.setdefault(of[0], []).append(view)
    done: dict[Step, list[Step]] = {}
    for place, own in owners.items():
        for step in own:
            done.setdefault(steps[place.last], []).extend([step, *views.get(step, [])])
    return done


def _roots(program: Program) -> dict[Step, tuple[Step, ...]]:
    """For a view, and for what may be one, the arrays whose memory it shares."""
    roots: dict[Step, tuple[Step, ...]] = {}
    for step in program.steps:
        if (step.kind is tuple or step.is_array) and not step.is_fresh:
            owners = [r for s in step.operands for r in roots.get(s, (s,))]
            roots[step] = tuple(dict.fromkeys(owners)) or (step,)
    return roots


def _images(program: Program) -> set[Step]:
    """The images whose channels are last in memory, where pooling and elementwise work leave them."""
    images: set[Step] = set()
    for step in program.steps:
        kept = [s for s in step.args if isinstance(s, Step) and s in images]
        alike = step.is_elementwise and any(s.shape == step.shape for s in kept)
        pooled = step.operation.channels == "kept" and step.args[0] in kept
        if step.operation.channels == "last" or pooled or alike:
            images.add(step)
    return images


def _settle(plan: Plan, places: list[Place], end: int) -> None:
    """Give each place its start: the lowest at which nothing else is while it is needed."""
    canonical: list[Place] = []  # from the lowest
    for place in sorted((p for p in places if p.kind == "arena"), key=lambda p: -p.nbytes):
        start = 0
        for other in canonical:
            together = place.first <= other.last and other.first <= place.last
            if (
                together
                and start < other.start + other.nbytes
                and other.start < start + place.nbytes
            ):
                start = -(-(other.start + other.nbytes) // ALIGNED) * ALIGNED
        place.start = start
        insort(canonical, place, key=lambda p: p.start)
    plan.size = max((p.start + p.nbytes for p in canonical), default=0)
    own = [p for p in places if p.kind == "own"]
    held = (sum(p.nbytes for p in own if p.first <= i <= p.last) for i in range(end + 1))
    plan.peak = plan.size + max(held, default=0)
