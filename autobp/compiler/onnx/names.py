"""Names of the arguments, the weights and the results of a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from autobp.compiler.onnx.operands import Unprintable
from autobp.compiler.program import Step
from autobp.compiler.trace.form import Place
from autobp.compiler.trace.tracing import Traced
from autobp.tensor import Tensor

__all__ = ["Names", "is_argument", "read", "values_at"]


class Names:
    """The names of arguments, weights and results. A weight is what the function finds around it."""

    def __init__(self, traced: Traced) -> None:
        self.names: dict[Any, str] = {}  # by what an argument is
        self.weights: dict[str, np.ndarray] = {}
        bindings = traced.arguments.bindings
        found: dict[int, str] = {}
        for v in traced.found.variables:
            found.setdefault(id(v.value), v.name)
        live = {v.step: v.variable.name for v in traced.arguments.live}
        needed, taken = read(traced), set[str]()
        around = [place for _, place in bindings if not is_argument(traced, place)]
        owners = iter(values_at(traced, [place._replace(attribute="") for place in around]))
        values = iter(values_at(traced, around))
        for (step, place), key in zip(bindings, _keys(traced)):
            is_weight, name = not is_argument(traced, place), _text(traced, place)
            if is_weight:
                owner, value = next(owners), next(values)
                name = re.sub(r"^\w+\.", "", live.get(step) or found.get(id(owner), "weight"))
                name = (owner.name if isinstance(owner, Tensor) else None) or name
            is_gradient = place.attribute == ".grad"
            if step.dtype is None or (step not in needed and (is_weight or is_gradient)):
                continue
            self.names[key] = name = _unused(_path(name) + ".grad" * is_gradient, taken)
            if is_weight:
                self.weights[name] = np.asarray(value, step.dtype)

    def of(self, traced: Traced) -> dict[Step, str]:
        """The names of the arguments of a program, also of one that was traced for other sizes."""
        keys = zip((step for step, _ in traced.arguments.bindings), _keys(traced))
        return {step: self.names[key] for step, key in keys if key in self.names}

    def results(self, traced: Traced) -> dict[str, Any]:
        names = self.of(traced)
        returns: Any = traced.program.returns
        changes: Any = ()
        after: Any = ()
        if traced.tensors or traced.live:
            returns, changes, after = returns
        taken, found = set(names.values()), {}
        for path, x in _leaves(returns, "result"):
            name = x.name if isinstance(x, Step) and x.name and not x.is_argument else path
            found[_unused(name, taken)] = x
        for held, (value, grad) in zip(traced.tensors, changes):
            name = names[held.steps[0]]
            if value is not None:
                found[_unused(f"{name}.new", taken)] = value
            if grad is not None and grad is not ...:
                found[_unused(f"{name}.grad", taken)] = grad
        for variable, value in zip(traced.live, after):
            found[_unused(f"{names[variable.step]}.new", taken)] = value
        if not found:
            raise Unprintable(
                f"{traced.call.name} returns no number and no array: a model needs results"
            )
        return found


def is_argument(traced: Traced, place: Place) -> bool:
    """Whether a place is in an argument; else it is in an object around the function."""
    return place.root in traced.arguments.parameters


def read(traced: Traced) -> set[Step]:
    """The steps that others are called with, that are returned, or that are put in place of."""
    program = traced.program
    found = {s for part in program.nested() for step in part.steps for s in step.operands}
    found |= {held.steps[0] for held in traced.tensors} | {v.step for v in traced.live}
    return found | set(program.results)


def values_at(traced: Traced, places: Sequence[Place], *args: Any) -> list[Any]:
    """What is in some places, of which those in arguments need these."""
    form = traced.arguments
    listed = form.function([f"return [{', '.join(map(str, places))}]"])
    values: list[Any] = listed(*(args or [None] * len(form.parameters)))
    return values


def _keys(traced: Traced) -> Iterator[Any]:
    """What tells the arguments of a program apart, and those of another for the same function."""
    live = {v.step: v.key for v in traced.arguments.live}
    bindings = traced.arguments.bindings
    around = [place for _, place in bindings if not is_argument(traced, place)]
    owners = iter(values_at(traced, [place._replace(attribute="") for place in around]))
    for step, place in bindings:
        key = _text(traced, place) if is_argument(traced, place) else id(next(owners))
        yield live.get(step, key), place.attribute


def _text(traced: Traced, place: Place) -> str:
    """The expression of a place, with the keys that it names as objects."""
    objects = traced.arguments.objects
    return re.sub(r"\bk\d+_(?=\])", lambda found: repr(objects[found[0]]), place.text)


def _path(text: str) -> str:
    """An expression as a path: `params['W'][0]` is params.W.0."""
    text = re.sub(r"\[(['\"]?)(.*?)\1\](?=[.\[]|$)", r".\2", text)
    return re.sub(r"(^|\.)_(\w)", r"\1\2", text)


def _unused(name: str, taken: set[str]) -> str:
    chosen, k = name, 1
    while chosen in taken:
        chosen, k = f"{name}_{k}", k + 1
    taken.add(chosen)
    return chosen


def _leaves(nest: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The numbers and arrays that a program returns."""
    if isinstance(nest, dict | list | tuple):
        items = nest.items() if isinstance(nest, dict) else enumerate(nest)
        for key, x in items:
            yield from _leaves(x, f"{path}.{key}")
    elif isinstance(nest, Step | bool | int | float | np.generic):
        yield path, nest
