# SPDX-License-Identifier: Apache-2.0
"""Nodes in half precision in models that are written by hand."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from xover_core.inference.onnx_half import halve_nodes


def model_of(nodes, inputs, values, weights=()):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 2))],
        initializer=[onnx.numpy_helper.from_array(array, name) for name, array in weights],
        value_info=[helper.make_tensor_value_info(name, TensorProto.FLOAT, (2, 2)) for name in values],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_what_only_a_branch_reads_is_kept_in_float32():
    branches = [
        helper.make_graph([helper.make_node(op, ["sum", "w"], [op])], op, [], [helper.make_empty_tensor_value_info(op)])
        for op in ("Add", "Mul")
    ]
    nodes = [
        helper.make_node("Add", ["x", "x"], ["sum"]),
        helper.make_node("If", ["choice"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    inputs = [("x", TensorProto.FLOAT, (2, 2)), ("choice", TensorProto.BOOL, ())]
    model = halve_nodes(model_of(nodes, inputs, ["sum"], [("w", np.ones((2, 2), np.float32))]), lambda _: True)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Cast", "Add", "Cast", "If"]
    assert [tensor.name for tensor in model.graph.initializer] == ["w"]


def test_transposed_products_stay_apart():
    nodes = [helper.make_node("Transpose", ["x"], ["turned"]), helper.make_node("MatMul", ["turned", "x"], ["y"])]
    model = halve_nodes(model_of(nodes, [("x", TensorProto.FLOAT, (2, 2))], ["turned"]), lambda _: True)
    onnx.checker.check_model(model)
    by_kind = {node.op_type: node for node in model.graph.node}
    assert list(by_kind["Transpose"].input) == ["x"]
    assert list(by_kind["MatMul"].input) == ["turned_half", "x_half"]
