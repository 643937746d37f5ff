"""Saving: the program of a compiled function as an ONNX model, for any size of a batch where it can be."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autobp.compiler.onnx.batch import Fixed, lifted, sizes
from autobp.compiler.onnx.graph import Graph
from autobp.compiler.onnx.model import model
from autobp.compiler.onnx.printer import Printer, Unprintable
from autobp.compiler.program import Program, Step
from autobp.compiler.trace.calls import as_type, guarded
from autobp.compiler.trace.form import Place
from autobp.compiler.trace.tracer import named
from autobp.compiler.trace.tracing import Traced, trace_call
from autobp.extras import needed
from autobp.tensor import Tensor
from autobp.tree import leaves, parts_of_values, transformed

__all__ = ["exported", "save"]


def save(entry: Any, path: Path) -> None:
    """Write the program of an entry of `compile` as an ONNX model."""
    onnx = needed("onnx", "save", "onnx")
    onnx.save_model(exported(entry), path)


def exported(entry: Any) -> Any:
    """The ModelProto."""
    traced: Traced | None = getattr(entry, "traced", None)
    if traced is None:
        raise Unprintable(
            f"{entry.called} computes with many single numbers, in nests of lists, which has no spelling in"
            " ONNX: write it for arrays"
        )
    if not traced.program.steps:  # it had loops, and was too long to be kept
        traced = trace_call(traced.call, earlier=[traced.found])
    traced = _apart(traced)
    names = _Names(traced)
    arguments = names.of(traced)
    graph, conditions = _printed(traced, names)
    metadata = {"precondition": "\n".join(conditions)} if conditions else {}

    def finished(graph: Graph, shapes: dict[str, Any], batch: str) -> Any:
        used = {x for node in _nodes(graph) for x in node.inputs if isinstance(x, str)}
        changed = {name for name in names.weights if f"{name}.new" in shapes}
        weights = {k: v for k, v in names.weights.items() if k in used or k in changed}
        given = [v for v in graph.inputs if v.name not in names.weights or v.name in changed]
        text = f"{entry.called}, written by autobp.compile"
        whole = Graph(given, graph.outputs, graph.nodes)
        return model(whole, entry.name, weights, shapes, {"batch": batch, **metadata}, text)

    said = ""
    read = _read(traced)
    for group in _groups(traced):
        if not any(step in read for step, _ in group):
            continue
        what = " and ".join(arguments[step] for step, _ in group)
        try:
            free, shapes = _for_any_batch(traced, names, graph, group)
            return finished(free, shapes, f"free: the first axis of {what}{said and f'; {said}'}")
        except Exception as error:
            reason = str(error) if isinstance(error, Fixed) else f"{type(error).__name__}: {error}"
            reason = _without_folders(reason.splitlines()[0])
            said = said or f"fixed: for {what} of another length, {reason}"
    shapes = {v.name: v.shape for v in (*graph.inputs, *graph.outputs)}
    return finished(graph, shapes, said or "fixed: no argument is an array with rows")


def _printed(traced: Traced, names: _Names) -> tuple[Graph, list[str]]:
    """The graph and its preconditions."""
    printer = Printer()
    graph = names.graph(traced, printer)
    said: dict[Step, str] = dict(names.of(traced))
    programs = [traced.program]
    for inner, operands in printer.inner:
        programs.append(inner)
        said |= {argument: _text(x, said) for argument, x in operands.items()}
    conditions = (text for program in programs for text in _preconditions(program, said))
    return graph, list(dict.fromkeys(conditions))


def _apart(traced: Traced) -> Traced:
    """An array that is given in two places is one argument of the program; a model has an input for
    each."""
    call, seen = traced.call, set()

    def own(x: Any) -> Any:
        if not isinstance(x, np.ndarray | Tensor) or id(x) not in seen:
            seen.add(id(x))
            return x
        if isinstance(x, Tensor):
            return Tensor(x.numpy().copy(), requires_grad=x.requires_grad, name=x.name)
        return x.copy()

    given = [x for _, x in leaves((call.args, call.kwargs)) if isinstance(x, np.ndarray | Tensor)]
    if len({*map(id, given)}) == len(given):
        return traced
    args, kwargs = transformed(own, (call.args, call.kwargs), parts_of_values)
    return trace_call(replace(call, args=args, kwargs=kwargs), earlier=[traced.found])


def _nodes(graph: Graph) -> Iterator[Any]:
    for node in graph.nodes:
        yield node
        for x in node.attributes.values():
            if isinstance(x, Graph):
                yield from _nodes(x)
                yield from (replace(node, inputs=[v.name]) for v in x.outputs)


# ── names ─────────────────────────────────────────────────────────────────────────────────────────


class _Names:
    """The names of arguments, weights and results. A weight is what the function finds around it."""

    def __init__(self, traced: Traced) -> None:
        self.names: dict[Any, str] = {}  # by what an argument is
        self.weights: dict[str, np.ndarray] = {}
        bindings = traced.arguments.bindings
        found: dict[int, str] = {}
        for v in traced.found.variables:
            found.setdefault(id(v.value), v.name)
        live = {v.step: v.variable.name for v in traced.arguments.live}
        read = _read(traced)
        taken: set[str] = set()
        around = [place for _, place in bindings if not place.is_literal]
        objects = iter(_values(traced, [place._replace(attribute="") for place in around]))
        values = iter(_values(traced, around))
        for (step, place), key in zip(bindings, _keys(traced)):
            is_weight, name = not place.is_literal, place.text
            if is_weight:
                owner, value = next(objects), next(values)
                name = re.sub(r"^\w+\.", "", live.get(step) or found.get(id(owner), "weight"))
                name = (owner.name if isinstance(owner, Tensor) else None) or name
            is_gradient = place.attribute == ".grad"
            if step.dtype is None or (step not in read and (is_weight or is_gradient)):
                continue
            self.names[key] = name = _unused(_path(name) + ".grad" * is_gradient, taken)
            if is_weight:
                self.weights[name] = np.asarray(value, step.dtype)

    def of(self, traced: Traced) -> dict[Step, str]:
        """The names of the arguments of a program, also of one that was traced for other sizes."""
        keys = zip((step for step, _ in traced.arguments.bindings), _keys(traced))
        return {step: self.names[key] for step, key in keys if key in self.names}

    def graph(self, traced: Traced, printer: Printer | None = None) -> Graph:
        names = self.of(traced)
        return (printer or Printer()).graph(traced.program, names, self.results(traced, names))

    def results(self, traced: Traced, names: dict[Step, str]) -> dict[str, Any]:
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


def _keys(traced: Traced) -> Iterator[Any]:
    """What tells the arguments of a program apart, and those of another for the same function."""
    live = {v.step: v.key for v in traced.arguments.live}
    places = [place for _, place in traced.arguments.bindings if not place.is_literal]
    objects = iter(_values(traced, [place._replace(attribute="") for place in places]))
    for step, place in traced.arguments.bindings:
        owner = place.text if place.is_literal else id(next(objects))
        yield live.get(step, owner), place.attribute


def _read(traced: Traced) -> set[Step]:
    """The steps that others are called with, that are returned, or that are put in place of."""
    program = traced.program
    read = {s for part in program.nested() for step in part.steps for s in step.operands}
    read |= {held.steps[0] for held in traced.tensors} | {v.step for v in traced.live}
    return read | set(program.results)


def _values(traced: Traced, places: Sequence[Place], *args: Any) -> list[Any]:
    """What is in some places."""
    form = traced.arguments
    listed = form.function([f"return [{', '.join(map(str, places))}]"])
    values: list[Any] = listed(*(args or [None] * len(form.parameters)))
    return values


def _path(text: str) -> str:
    """An expression as a path: `params['W'][0]` is params.W.0."""
    text = re.sub(r"\[['\"]?([^\]'\"]*)['\"]?\]", r".\1", text)
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


# ── sizes ─────────────────────────────────────────────────────────────────────────────────────────

Group = list[tuple[Step, Place]]


def _groups(traced: Traced) -> Iterator[Group]:
    """Arguments whose first axes may be that of the batch: arrays of one length that are given by
    themselves, then each of them alone, then arrays in nests."""
    arrays = [
        (step, place)
        for step, place in traced.arguments.bindings
        if place.is_literal
        and step.is_array
        and place.attribute != ".grad"
        and step.shape[:1] > (0,)
    ]
    direct = [(step, place) for step, place in arrays if place.text == place.root]
    for some in (direct, arrays):
        alike: dict[int, Group] = {}
        for step, place in some:
            alike.setdefault(step.shape[0], []).append((step, place))
        yield from alike.values()
        for group in alike.values():
            if len(group) > 1 and some is direct:
                yield from ([one] for one in group)
        if len(arrays) == len(direct):
            break


def _for_any_batch(
    traced: Traced, names: _Names, graph: Graph, group: Group
) -> tuple[Graph, dict[str, Any]]:
    step = group[0][0]
    batches = [step.shape[0], *_other_sizes(traced.program, step.shape[0])]
    graphs = [graph]
    for n in batches[1:]:
        graphs.append(names.graph(_traced_again(traced, [place for _, place in group], n)))
    shapes = sizes(graphs, batches)
    return lifted(graphs, batches, names.of(traced)[step]), shapes


def _other_sizes(program: Program, n: int) -> Iterator[int]:
    """Two sizes, one of them larger, that are no dimension in the program."""
    known = {m for p in program.nested() for step in p.steps for m in step.shape}
    known |= {m for step in program.arguments for m in step.shape} | {n, 0, 1}
    for start in (2, n + 3):
        while start in known:
            start += 1
        known.add(start)
        yield start


def _traced_again(traced: Traced, places: Sequence[Place], n: int) -> Traced:
    """The same function, traced for arguments whose first axes have another length."""
    call = traced.call
    owners = [place._replace(attribute="") for place in places]
    found = _values(traced, owners, *call.args, *call.kwargs.values())
    longer: dict[int, Any] = {}
    for x in found:
        value = x.value if isinstance(x, Tensor) else x
        array = (
            np.ones((n, *value.shape[1:]), value.dtype)
            if value.dtype.kind == "f"
            else np.zeros((n, *value.shape[1:]), value.dtype)
        )
        longer[id(x)] = (
            Tensor(array, requires_grad=x.requires_grad, name=x.name)
            if isinstance(x, Tensor)
            else array
        )
    swap = lambda x: longer.get(id(x), x)
    args = transformed(swap, call.args, parts_of_values)
    kwargs = transformed(swap, call.kwargs, parts_of_values)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return trace_call(replace(call, args=args, kwargs=kwargs), earlier=[traced.found])


# ── preconditions ─────────────────────────────────────────────────────────────────────────────────


def _preconditions(program: Program, names: dict[Step, str]) -> Iterator[str]:
    """What held for the values that the program was traced with, and must hold for others."""
    seen = set()
    for part in program.nested():
        for step in part.steps:
            if step.function is not guarded:
                continue
            value, expected = step.args
            if isinstance(expected, type):
                continue
            is_form = isinstance(expected, tuple)
            said = (
                f"has shape {expected[0]} and type {expected[1]}" if is_form else f"is {expected!r}"
            )
            line = f" ({_without_folders(step.line)})" if step.line else ""
            text = f"{_text(value, names)} {said}{line}"
            if text not in seen:
                seen.add(text)
                yield text


def _without_folders(text: str) -> str:
    """A model names no folder of its author's."""
    return re.sub(r"\S*[/\\](?=[^/\\\s]+:\d)", "", text)


def _text(x: Any, names: dict[Step, str], depth: int = 4) -> str:
    """A value as an expression of the arguments."""
    if isinstance(x, Step):
        if x in names:
            return names[x]
        if x.is_constant:
            return repr(x.constant.item()) if x.size == 1 else "a constant"
        if x.function is as_type:
            return _text(x.args[0], names, depth)
        if x.function is None or not depth:
            return x.name or "…"
        parts = [_text(a, names, depth - 1) for a in x.args]
        sign = x.operation.sign
        if sign and len(parts) == 2:
            return f"{parts[0]} {sign} {parts[1]}"
        return f"{named(x.function)}({', '.join(parts)})"
    if isinstance(x, list | tuple):
        return f"[{', '.join(_text(a, names, depth - 1) for a in x)}]"
    return getattr(x, "__name__", None) or str(x)
