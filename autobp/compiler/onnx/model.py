"""Model: a graph as ONNX's own data, with constants as initializers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from autobp.compiler.onnx.graph import Graph, Node, Value
from autobp.compiler.onnx.operands import Unprintable
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
    constants = _Constants(onnx, graph.names() | weights.keys())
    nodes = [constants.node(node) for node in graph.nodes]

    proto = onnx.helper.make_graph(
        nodes,
        name,
        [_info(onnx, v, sizes[v.name]) for v in graph.inputs],
        [_info(onnx, v, sizes[v.name]) for v in graph.outputs],
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


def _type(onnx: Any, dtype: np.dtype[Any]) -> int:
    return int(onnx.helper.np_dtype_to_tensor_dtype(dtype))


def _info(onnx: Any, value: Value, shape: Sequence[Any]) -> Any:
    return onnx.helper.make_tensor_value_info(value.name, _type(onnx, value.dtype), shape)


class _Constants:
    """The constants of nodes as initializers, each once."""

    def __init__(self, onnx: Any, taken: set[str]) -> None:
        self.onnx = onnx
        self.tensors: list[Any] = []
        self.names: dict[Any, str] = {}
        self.free = (name for k in count() if (name := f"c{k}") not in taken)

    def name(self, array: np.ndarray) -> str:
        key = array.shape, array.dtype.str, array.tobytes()
        if key not in self.names:
            name = self.names[key] = next(self.free)
            array = np.ascontiguousarray(array).reshape(array.shape)
            self.tensors.append(self.onnx.numpy_helper.from_array(array, name))
        return self.names[key]

    def node(self, node: Node) -> Any:
        onnx = self.onnx
        attributes = {k: self.attribute(v) for k, v in node.attributes.items()}
        inputs = [x if isinstance(x, str) else self.name(x) for x in node.inputs]
        return onnx.helper.make_node(node.op, inputs, node.outputs, node.name, **attributes)

    def attribute(self, x: Any) -> Any:
        if isinstance(x, np.dtype):
            return _type(self.onnx, x)
        if isinstance(x, Graph):
            info = lambda v: _info(self.onnx, v, x.sizes.get(v.name, v.shape))
            nodes = [self.node(n) for n in x.nodes]
            return self.onnx.helper.make_graph(
                nodes, "body", [*map(info, x.inputs)], [*map(info, x.outputs)]
            )
        return x
