# SPDX-License-Identifier: Apache-2.0
"""A small network with axes that may change, in torch, as an ONNX file, and in NumPy for a TensorRT that is made up."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.session import TensorSpec

NAME = "small.part"
CHANNELS, DIM = 3, 5
# Of sums of 12 products of numbers below 1.
TOLERANCE = 1e-5


class SmallNetwork(nn.Module):
    """Patches of 2 x 2 px to features, scaled, and the mean colour."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(CHANNELS, DIM, 2, stride=2, bias=False)
        with torch.no_grad():
            self.patches.weight.copy_(torch.from_numpy(weights()))

    def forward(self, image, scale):
        features = self.patches(image) * scale[:, None, None, None]
        return features.flatten(2).transpose(1, 2), image.mean((2, 3))


def weights():
    """(DIM, CHANNELS, 2, 2)."""
    return np.random.default_rng(1).uniform(-1, 1, (DIM, CHANNELS, 2, 2)).astype(np.float32)


def small_graph(**changes):
    """The graph; `changes` replace its fields."""
    fields = {
        "name": NAME,
        "module": lambda: SmallNetwork().eval(),
        "inputs": (
            TensorSpec(name="image", dtype="float32", shape=("batch", CHANNELS, "2*rows", "2*cols")),
            TensorSpec(name="scale", dtype="float32", shape=("batch",)),
        ),
        "outputs": (
            TensorSpec(name="features", dtype="float32", shape=("batch", "rows*cols", DIM)),
            TensorSpec(name="mean", dtype="float32", shape=("batch", CHANNELS)),
        ),
        "examples": examples,
        "weights_sha256": "0" * 64,
        "tolerance": TOLERANCE,
        "axes": {"batch": (1, 8), "rows": (1, 64), "cols": (1, 64)},
    }
    return ModelGraph(**(fields | changes))


def inputs_of(batch, rows, cols, seed=0):
    """Inputs of a size."""
    random = np.random.default_rng(seed)
    return {
        "image": random.random((batch, CHANNELS, 2 * rows, 2 * cols), dtype=np.float32),
        "scale": random.uniform(0.5, 1.5, batch).astype(np.float32),
    }


def examples():
    """Two sizes."""
    yield inputs_of(2, 3, 4)
    yield inputs_of(1, 5, 2)


def reference(inputs):
    """What the network gives, by NumPy."""
    image, scale = inputs["image"], inputs["scale"]
    batch, _, height, width = image.shape
    blocks = image.reshape(batch, CHANNELS, height // 2, 2, width // 2, 2)
    features = np.einsum("bkrycx,dkyx->brcd", blocks, weights())
    features = features.reshape(batch, -1, DIM) * scale[:, None, None]
    return {"features": features.astype(np.float32), "mean": image.mean((2, 3), dtype=np.float32)}


@lru_cache(maxsize=1)
def small_model():
    """The network as an ONNX file, with an output and a node that its graph does not have."""
    nodes = [
        helper.make_node("Conv", ["image", "weights"], ["maps"], strides=[2, 2], kernel_shape=[2, 2]),
        helper.make_node("Reshape", ["scale", "as_maps"], ["scales"]),
        helper.make_node("Mul", ["maps", "scales"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "as_rows"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["features"], perm=[0, 2, 1]),
        helper.make_node("ReduceMean", ["image", "sides"], ["mean"], keepdims=0),
        helper.make_node("Exp", ["unused"], ["extra"]),
    ]
    constants = {
        "weights": weights(),
        "as_maps": np.array([-1, 1, 1, 1]),
        "as_rows": np.array([0, DIM, -1]),
        "sides": np.array([2, 3]),
        "unused": np.ones(7, np.float32),
    }
    values = {
        "image": ["batch", CHANNELS, "height", "width"],
        "scale": ["batch"],
        "features": ["batch", "patches", DIM],
        "mean": ["batch", CHANNELS],
        "extra": [7],
    }
    described = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()}
    graph = helper.make_graph(
        nodes,
        "small",
        [described["image"], described["scale"]],
        [described["features"], described["mean"], described["extra"]],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()
