"""The backward pass as a program: the rules of reverse mode, recorded while they run.

Rules are NumPy code, and NumPy code on Tensors is recorded. So the sweep runs once more, on Tensors that
stand for the values of the forward pass, and its recording is drawn like any graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autobp.context import clock
from autobp.dag import Graph, ancestors
from autobp.drawing.diagram import Diagram, Kind, Naming, diagram, replaced_leaves, swept
from autobp.errors import replaced
from autobp.primitive import constant
from autobp.tensor import Tensor, leaf

__all__ = ["backward_program"]


def backward_program(graph: Graph, names: Mapping[str, Any] | None = None) -> Diagram:
    """The diagram of the backward pass of a graph, from the seed to the gradients of the inputs. The
    results of the forward pass that it uses are saved values, which are constants for it.

    >>> import numpy as np
    >>> from autobp import Tensor, graph
    >>> program = backward_program(graph(np.tanh(Tensor(0.5, name="x"))))
    >>> [(n.name, n.kind, n.operation) for n in program.nodes]
    [('∂t1', 'input', None), ('t1', 'saved', None), ('u1', 'result', 'multiply'), ('u2', 'result', 'subtract'), ('∂x', 'result', 'multiply')]
    """
    if len(graph.outputs) != 1 or graph.outputs[0].size != 1 or not graph.outputs[0].requires_grad:
        raise ValueError(
            'view="backward program" draws how the gradient of a scalar is computed; pass one result'
            " that requires a gradient, such as a sum or a mean"
        )
    (result,) = graph.outputs
    called, level = Naming(graph, names or {}), clock()
    stands: dict[Tensor, Tensor] = {}

    def stand_in(a: Any) -> Any:
        if not isinstance(a, Tensor):
            return a
        if a not in stands:
            stands[a] = leaf(a.primal_value(), level)
            stands[a].name, stands[a].scope = called(a), a.scope
        return stands[a]

    seed = leaf(constant(np.ones_like(result.primal_value())[()]), level)
    seed.name = f"∂{called(result)}"
    order = [t for t in graph.nodes if t.level == result.level]
    for a in replaced_leaves(graph, result.level):
        raise replaced(a)
    record, error = swept(order, result, seed, stand_in)
    gradients = record.cotangents
    _scopes(record.contributions, {seed, *stands.values()})
    leaves = [t for t in order if t.is_leaf]
    for t in (*leaves, *reversed(order)):
        g = gradients.get(t)
        if isinstance(g, Tensor) and g.level == level and g.name is None:
            g.name = f"∂{called(t)}"
    made = ancestors([g for g in gradients.values() if isinstance(g, Tensor)], level)
    for i, t in enumerate((t for t in made if t.name is None), 1):
        t.name = f"u{i}"
    outputs = dict.fromkeys(g for t in leaves if isinstance(g := gradients.get(t), Tensor))
    program = diagram(Graph(tuple(outputs)), names, gradients=False)
    kinds: dict[Tensor | None, Kind] = {
        new: "saved" if old.primitive else "parameter" if old.scope else "input"
        for old, new in stands.items()
    }
    for node in program.nodes:
        node.kind = kinds.get(node.tensor, node.kind)
    if error is not None:
        program.notes.append(f"the backward pass ends where a rule failed: {error}")
    return program


def _scopes(shares: Mapping[tuple[Tensor, int], Any], placed: set[Tensor]) -> None:
    """Put what the rules of an operation recorded into the scope of that operation."""
    for (t, _), share in shares.items():
        stack = [share]
        while stack:
            made = stack.pop()
            if isinstance(made, Tensor) and made not in placed:
                placed.add(made)
                made.scope = t.scope
                stack += made.args
