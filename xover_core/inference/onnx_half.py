# SPDX-License-Identifier: Apache-2.0
"""Parts of an ONNX model in half precision, the rest as it was; inputs and outputs stay float32.

The libraries' converters round every input of a model to half precision first, also those that only parts in float32
read: focal lengths and depths would suffer. Here a value is rounded where a part in half precision begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

# Operators whose floating-point inputs and outputs are all of one type. Not among them are those in which squares are
# summed up, of which half precision has too few: norms stay in float32. So does Transpose: ONNX Runtime 1.31 dies of a
# segmentation fault when it joins one in half precision with the product behind it.
_HALF_OPERATORS = frozenset(
    {
        *("MatMul", "Gemm", "Conv", "Add", "Sub", "Mul", "Div", "Neg", "Min", "Max", "Where", "Clip"),
        *("Gelu", "Erf", "Tanh", "Sigmoid", "Relu", "Exp", "Softmax", "LayerNormalization"),
        *("ReduceMax", "AveragePool", "Reshape", "Expand", "Squeeze", "Unsqueeze", "Flatten"),
        *("Concat", "Split", "Slice", "Gather", "Identity", "Pad"),
    }
)
_LARGEST = float(np.finfo(np.float16).max)
_SUFFIX = "_half"


def halve_nodes(model: Any, is_chosen: Callable[[Any], bool]) -> Any:
    """Compute chosen nodes in half precision.

    Args:
        model: an `onnx.ModelProto` that says the types of its values; it is changed.
        is_chosen: of a node.

    Returns:
        The model.
    """
    import onnx

    graph = model.graph
    floats = {
        value.name
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    weights = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    floats |= weights.keys()
    halves: set[str] = set()
    nodes: list[Any] = []

    def rounded(name: str) -> str:
        """The name of a value in half precision, which is made where it is not there yet."""
        if name not in floats:
            return name
        if name not in halves:
            halves.add(name)
            if name in weights:
                graph.initializer.append(_half_tensor(weights[name]))
            else:
                nodes.append(onnx.helper.make_node("Cast", [name], [name + _SUFFIX], to=onnx.TensorProto.FLOAT16))
        return name + _SUFFIX

    for node in graph.node:
        if node.op_type not in _HALF_OPERATORS or not is_chosen(node):
            nodes.append(node)
            continue
        node.input[:] = [rounded(name) for name in node.input]
        results = [name for name in node.output if name in floats]
        node.output[:] = [name + _SUFFIX if name in floats else name for name in node.output]
        halves.update(results)
        nodes.append(node)
        for name in results:
            nodes.append(onnx.helper.make_node("Cast", [name + _SUFFIX], [name], to=onnx.TensorProto.FLOAT))
    _keep_used(graph, nodes)
    del graph.value_info[:]
    return model


def _keep_used(graph: Any, nodes: list[Any]) -> None:
    """Leave out nodes and weights that nothing reads, as casts between two nodes in half precision."""
    used = {value.name for value in graph.output}
    kept = []
    for node in reversed(nodes):
        if used.intersection(node.output):
            kept.append(node)
            used.update(_names_read_by(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))
    weights = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(weights)


def _names_read_by(node: Any) -> Iterator[str]:
    """Its inputs, and what the graphs inside it, as the body of a loop, read from around it."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _names_read_by(inner)


def _half_tensor(tensor: Any) -> Any:
    """Rounded; what is too large, as the numbers that masks are filled with, becomes the largest there is."""
    import onnx

    values = np.clip(onnx.numpy_helper.to_array(tensor), -_LARGEST, _LARGEST).astype(np.float16)
    return onnx.numpy_helper.from_array(values, tensor.name + _SUFFIX)
