"""Model: a graph as ONNX's own data, with constants as initializers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autobp.compiler.onnx.graph import Graph, Node, Value
from autobp.compiler.onnx.printer import Unprintable
from autobp.extras import needed

__all__ = ["IR", "OPSET", "model"]

#: Since ONNX 1.13 and onnxruntime 1.14.
OPSET = 18
IR = 8

_LARGE = 1 << 31  # bytes: of more, the checker takes none


def model(
    graph: Graph,
    name: str,
    weights: Mapping[str, np.ndarray],
    sizes: Mapping[str, tuple[Any, ...]],
    metadata: Mapping[str, str],
    text: str = "",
) -> Any:
    """The ModelProto of a graph: `weights` are initializers, `sizes` the shapes of inputs and outputs,
    whose dimensions have numbers or names. It is checked."""
    onnx = needed("onnx", "save", "onnx")
    constants = _Constants(onnx, weights)
    nodes = [constants.node(node) for node in graph.nodes]

    def info(v: Value) -> Any:
        return onnx.helper.make_tensor_value_info(v.name, _type(onnx, v), sizes[v.name])

    proto = onnx.helper.make_graph(
        nodes,
        name,
        [info(v) for v in graph.inputs],
        [info(v) for v in graph.outputs],
        [
            *(onnx.numpy_helper.from_array(array, name) for name, array in weights.items()),
            *constants.tensors,
        ],
        doc_string=text or None,
    )
    made = onnx.helper.make_model(
        proto,
        producer_name="autobp",
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR,
        doc_string=text,
    )
    onnx.helper.set_model_props(made, dict(metadata))
    if made.ByteSize() < _LARGE:
        try:
            onnx.checker.check_model(made, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            reason = " ".join(str(error).split())
            raise Unprintable(
                f"the graph of {name} does not pass ONNX's checker: {reason}"
            ) from error
    return made


def _type(onnx: Any, value: Value) -> int:
    return int(onnx.helper.np_dtype_to_tensor_dtype(value.dtype))


class _Constants:
    """The constants of nodes as initializers, each once."""

    def __init__(self, onnx: Any, weights: Mapping[str, np.ndarray]) -> None:
        self.onnx = onnx
        self.tensors: list[Any] = []
        self.names: dict[Any, str] = {}
        self.taken = set(weights)

    def name(self, array: np.ndarray) -> str:
        key = array.shape, array.dtype.str, array.tobytes()
        if key not in self.names:
            name = self.names[key] = f"c{len(self.names)}"
            self.tensors.append(
                self.onnx.numpy_helper.from_array(
                    np.ascontiguousarray(array).reshape(array.shape), name
                )
            )
        return self.names[key]

    def node(self, node: Node) -> Any:
        onnx = self.onnx
        attributes = {k: self.attribute(v) for k, v in node.attributes.items()}
        inputs = [x if isinstance(x, str) else self.name(x) for x in node.inputs]
        return onnx.helper.make_node(node.op, inputs, node.outputs, node.name, **attributes)

    def attribute(self, x: Any) -> Any:
        if isinstance(x, np.dtype):
            return int(self.onnx.helper.np_dtype_to_tensor_dtype(x))
        if isinstance(x, Graph):
            info = lambda v: self.onnx.helper.make_tensor_value_info(
                v.name, _type(self.onnx, v), x.sizes.get(v.name, v.shape)
            )
            nodes = [self.node(n) for n in x.nodes]
            return self.onnx.helper.make_graph(
                nodes, "body", [*map(info, x.inputs)], [*map(info, x.outputs)]
            )
        return x
