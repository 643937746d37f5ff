"""Lengths: a function traced again, for arguments whose first axes have other lengths."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from autobp.compiler.onnx.names import is_argument, values_at
from autobp.compiler.program import Program, Step
from autobp.compiler.trace.form import Place
from autobp.compiler.trace.tracing import Traced, trace_call
from autobp.tensor import Tensor
from autobp.tree import parts_of_values, transformed

__all__ = ["Group", "for_length", "groups", "larger", "odd", "smaller"]

Group = list[tuple[Step, Place]]

_ROUND = (960, 480, 240, 120, 60)  # multiples of many numbers: a function may ask for remainders
_MEMORY = 1 << 28  # bytes: what a program for a larger size may make


def groups(traced: Traced) -> Iterator[Group]:
    """Arguments whose first axes may be that of the batch: arrays of one length that are given by
    themselves, then all of them but one, then each alone, then arrays in nests. Data comes before
    weights of another length: whole numbers (labels, tokens), what leads the results, what has no
    gradient, what is given last."""
    arrays = [
        (step, place)
        for step, place in traced.arguments.bindings
        if is_argument(traced, place)
        and step.is_array
        and place.attribute != ".grad"
        and step.shape[:1] > (0,)
    ]
    direct = [(step, place) for step, place in arrays if place.text == place.root]
    alike = _alike(traced, direct)
    yield from alike
    for group in alike:
        for count in sorted({len(group) - 1, 1} - {0, len(group)}, reverse=True):
            yield from map(list, combinations(group, count))
    if len(arrays) > len(direct):
        yield from _alike(traced, arrays)


def _alike(traced: Traced, arrays: Group) -> list[Group]:
    found: dict[int, Group] = {}
    for step, place in reversed(arrays):
        found.setdefault(step.shape[0], []).insert(0, (step, place))
    results = [x for x in traced.program.results if not x.is_argument and x.shape]
    leading = {x.shape[0] for x in results if x.phase == "forward"}
    gradients = {x.shape for x in results if x.phase != "forward"}

    def key(group: Group) -> tuple[bool, bool, bool, int]:
        is_float = all(step.dtype is None or step.dtype.kind == "f" for step, _ in group)
        has_gradient = any(step.shape in gradients for step, _ in group)
        return is_float, group[0][0].shape[0] not in leading, has_gradient, -len(group)

    return sorted(found.values(), key=key)


def smaller(program: Program, n: int) -> int:
    return _unlike(program, n, 2, 1)


def odd(program: Program, n: int) -> int:
    """A size that is no multiple of the numbers of which the larger one is a multiple."""
    return _unlike(program, n, 7, 2)


def larger(program: Program, n: int, other: Program, m: int) -> int:
    """A size for which a program needs no more memory than it may, as far as its sizes for n and m tell."""
    size, small = _bytes(program), _bytes(other)
    power = abs(math.log(size / small) / math.log(n / m)) if size and small else 1.0
    most = n * (_MEMORY / max(1, size)) ** (1 / min(3.0, max(1.0, power)))
    start = next((k for k in _ROUND if n < k <= most), n + 12 - n % 12)
    return _unlike(program, n, start, 12)


def _bytes(program: Program) -> int:
    return sum(step.nbytes for part in program.nested() for step in part.steps)


def _unlike(program: Program, n: int, start: int, step: int) -> int:
    """A size that is no dimension in the program."""
    known = {m for p in program.nested() for step in (*p.steps, *p.arguments) for m in step.shape}
    while start in known or start == n:
        start += step
    return start


def for_length(traced: Traced, places: Sequence[Place], n: int) -> Traced:
    """The same function, traced for arguments in these places whose first axes have another length."""
    call = traced.call
    owners = [place._replace(attribute="") for place in places]
    found = values_at(traced, owners, *call.args, *call.kwargs.values())
    longer = {id(x): _longer(x, n) for x in found}
    swap = lambda x: longer.get(id(x), x)
    args = transformed(swap, call.args, parts_of_values)
    kwargs = transformed(swap, call.kwargs, parts_of_values)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return trace_call(replace(call, args=args, kwargs=kwargs), earlier=[traced.found])


def _longer(x: Any, n: int) -> Any:
    """An array of another length: of ones, or of zeros where it may hold places."""
    if isinstance(x, Tensor):
        return Tensor(_longer(x.numpy(), n), requires_grad=x.requires_grad, name=x.name)
    filled = np.ones if x.dtype.kind == "f" else np.zeros
    return filled((n, *x.shape[1:]), x.dtype)
