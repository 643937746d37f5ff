"""Saving: the program of a compiled function as an ONNX model, for any size of a batch where it can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autobp.compiler.onnx.batch import Fixed, lifted, sizes
from autobp.compiler.onnx.graph import Graph
from autobp.compiler.onnx.lengths import Group, for_length, groups, larger, odd, smaller
from autobp.compiler.onnx.model import model
from autobp.compiler.onnx.names import Names, read
from autobp.compiler.onnx.operands import Unprintable
from autobp.compiler.onnx.preconditions import preconditions, without_folders
from autobp.compiler.onnx.printer import Printer
from autobp.compiler.trace.tracing import Traced, trace_call
from autobp.extras import needed
from autobp.kernels.contraction import of_any_size
from autobp.tensor import Tensor
from autobp.tree import leaves, parts_of_values, transformed

__all__ = ["exported", "save"]

Sizes = Mapping[str, tuple[int | str, ...]]  # of inputs and outputs


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
    names, printer = Names(traced), Printer()
    graph = _graph(traced, names, printer)
    metadata = {}
    if conditions := preconditions(traced.program, printer.inner, names.of(traced)):
        metadata["precondition"] = "\n".join(conditions)
    text = f"{entry.called}, written by autobp.compile"

    def finished(graph: Graph, shapes: Sizes, batch: str) -> Any:
        whole, weights = _with_weights(graph, shapes, names)
        return model(whole, entry.name, weights, shapes, {"batch": batch, **metadata}, text)

    why: list[str] = []
    used, arguments = read(traced), names.of(traced)
    for group in groups(traced):
        if used.isdisjoint(step for step, _ in group):
            continue
        what = " and ".join(arguments[step] for step, _ in group)
        try:
            free, shapes, least = _freed(traced, names, graph, group)
            others = f"all other sizes are {_fixed(why)}"
            return finished(
                free, shapes, f"free: the first axis of {what}, of {least} or more; {others}"
            )
        except Exception as error:
            reason = str(error) if isinstance(error, Fixed) else f"{type(error).__name__}: {error}"
            reason = without_folders(reason.splitlines()[0])
            why.append(f"for {what} of another length, {reason}")
    shapes = {v.name: v.shape for v in (*graph.inputs, *graph.outputs)}
    why = why or ["no argument is an array with rows"]
    return finished(graph, shapes, _fixed(why))


def _fixed(why: list[str]) -> str:
    return f"fixed: {'; '.join(why)}" if why else "fixed"


def _graph(traced: Traced, names: Names, printer: Printer) -> Graph:
    return printer.graph(traced.program, names.of(traced), names.results(traced))


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


def _with_weights(graph: Graph, shapes: Sizes, names: Names) -> tuple[Graph, dict[str, np.ndarray]]:
    """The graph whose inputs are arguments and what it changes, and the weights that it needs."""
    used = {x for node in graph.every_node() for x in node.inputs if isinstance(x, str)}
    changed = {name for name in names.weights if f"{name}.new" in shapes}
    weights = {k: v for k, v in names.weights.items() if k in used or k in changed}
    inputs = [v for v in graph.inputs if v.name not in names.weights or v.name in changed]
    return Graph(inputs, graph.outputs, graph.nodes), weights


def _freed(traced: Traced, names: Names, graph: Graph, group: Group) -> tuple[Graph, Sizes, int]:
    """The graph for first axes of all lengths. If the program depends on them, it is traced again without
    what NumPy does otherwise for long arrays than for short ones."""
    try:
        return _for_any_length(traced, names, graph, group)
    except Fixed:
        if {"Einsum", "MatMul"}.isdisjoint(node.op for node in graph.every_node()):
            raise  # there are no such sums
        same = trace_call(traced.call, earlier=[traced.found])
        if not _are_same(_graph(same, names, Printer()), graph):
            raise  # objects around the function are in another state by now
        with of_any_size():
            plain = trace_call(traced.call, earlier=[traced.found])
            places = {place for _, place in group}
            group = [(step, place) for step, place in plain.arguments.bindings if place in places]
            return _for_any_length(plain, names, _graph(plain, names, Printer()), group)


def _are_same(graph: Graph, other: Graph) -> bool:
    nodes, others = [*graph.every_node()], [*other.every_node()]
    return len(nodes) == len(others) and all(
        (a.op, len(a.inputs)) == (b.op, len(b.inputs))
        and all(np.array_equal(x, y) for x, y in zip(a.inputs, b.inputs))
        for a, b in zip(nodes, others)
    )


def _for_any_length(
    traced: Traced, names: Names, graph: Graph, group: Group
) -> tuple[Graph, Sizes, int]:
    """The graph for first axes of all lengths, and the least of them. The lengths are far apart, since
    the function may be another one for short arrays than for long ones; 0 is none of them."""
    (step, _), places = group[0], [place for _, place in group]
    source, n = names.of(traced)[step], step.shape[0]
    other = for_length(traced, places, m := smaller(traced.program, n))
    batches = [n, m, odd(traced.program, n), larger(traced.program, n, other.program, m)]
    found = [other, *(for_length(traced, places, k) for k in batches[2:])]
    graphs = [graph, *(_graph(t, names, Printer()) for t in found)]
    free = lifted(graphs, batches, source)
    if n > 1:
        try:
            one = _graph(for_length(traced, places, 1), names, Printer())
            free = lifted([*graphs, one], [*batches, 1], source)
        except Exception:
            pass
        else:
            graphs, batches = [*graphs, one], [*batches, 1]
    return free, sizes(graphs, batches), min(batches)
