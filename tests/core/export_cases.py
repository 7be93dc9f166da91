# SPDX-License-Identifier: Apache-2.0
"""A graph that is exported in a second: patches of pictures of any size through a convolution and two linear layers."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from xover_core.inference.graph_axes import patch_axes
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.session import TensorSpec

PATCH = 4


class Tokens(nn.Module):
    """Patches through a convolution and two linear layers, and their mean."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, PATCH, stride=PATCH)
        self.head = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 8))

    def forward(self, image):
        tokens = self.head(self.stem(image).flatten(2).transpose(1, 2))
        return tokens, tokens.mean(1)


def make_graph(size=None, **changes):
    axes = patch_axes("tiny", PATCH, size)
    fields = {
        "name": "tiny.tokens",
        "module": lambda: Tokens().eval(),
        "inputs": (TensorSpec(name="image", dtype="float32", shape=("batch", 3, *axes.sides)),),
        "outputs": (
            TensorSpec(name="tokens", dtype="float32", shape=("batch", axes.count, 8)),
            TensorSpec(name="mean", dtype="float32", shape=("batch", 8)),
        ),
        "examples": lambda: examples(axes),
        "weights_sha256": "ab" * 32,
        "tolerance": 1e-4,
        "axes": axes.lengths,
    }
    return ModelGraph(**{**fields, **changes})


def examples(axes, count=3):
    random = np.random.default_rng(0)
    for rows, cols in [*axes.example_grids([(5, 7), (4, 4)])] * count:
        yield {"image": random.random((2, 3, PATCH * rows, PATCH * cols), dtype=np.float32)}
