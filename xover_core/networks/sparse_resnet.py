# SPDX-License-Identifier: Apache-2.0
"""The sparse ResNet34 that CrossOver (CVPR 2025) describes clouds of scenes with, under its published key names."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from xover_core.networks.sparse_backend import SparseLayers, make_sparse_layers
from xover_core.networks.sparse_tensor import SparseTensor

_STAGE_BLOCKS = (3, 4, 6, 3)
STAGE_CHANNELS = (64, 128, 256, 512)
"""Widths of the published stages."""


class SparseBasicBlock(nn.Module):
    """Two 3^3 convolutions beside a shortcut, which is a 1^3 convolution where stride or width changes."""

    def __init__(self, layers: SparseLayers, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = layers.convolution(in_channels, out_channels, 3, stride=stride)
        self.norm1 = layers.batch_norm(out_channels)
        self.conv2 = layers.convolution(out_channels, out_channels, 3)
        self.norm2 = layers.batch_norm(out_channels)
        self.relu = layers.relu()
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                layers.convolution(in_channels, out_channels, 1, stride=stride), layers.batch_norm(out_channels)
            )

    def forward(self, tensor: Any) -> Any:
        """A tensor of the library of the layers -> another."""
        shortcut = tensor if self.downsample is None else self.downsample(tensor)
        hidden = self.relu(self.norm1(self.conv1(tensor)))
        return self.relu(self.norm2(self.conv2(hidden)) + shortcut)


class SparseResNet34(nn.Module):
    """Cloud at 2 cm voxels -> (B, 512) as published: the weights below `encoder3D.` of the published unified model."""

    def __init__(
        self,
        in_channels: int = 3,
        layers: SparseLayers | None = None,
        *,
        stage_channels: tuple[int, int, int, int] = STAGE_CHANNELS,
    ) -> None:
        """Make the network with random weights.

        Args:
            in_channels: features of a voxel; published: RGB / 255 - 0.5.
            layers: of the library that computes; default: as `make_sparse_layers` chooses.
            stage_channels: widths of the four stages; the last one is that of the output.
        """
        super().__init__()
        layers = layers or make_sparse_layers()
        self._layers = layers
        self.out_channels = stage_channels[-1]
        first = stage_channels[0]
        self.conv1 = layers.convolution(in_channels, first, 5, stride=2)
        self.bn1 = layers.batch_norm(first)
        self.relu = layers.relu()
        self.pool = layers.average_pooling(2, stride=2)
        widths = (first, *stage_channels)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _make_stage(layers, widths[stage], widths[stage + 1], num_blocks)
            for stage, num_blocks in enumerate(_STAGE_BLOCKS)
        )
        self.conv5 = layers.convolution(self.out_channels, self.out_channels, 3, stride=3)
        self.bn5 = layers.batch_norm(self.out_channels)

    def forward(self, cloud: SparseTensor) -> Tensor:
        """Voxels of stride 1 with `in_channels` features -> (B, out_channels)."""
        tensor = self.relu(self.bn1(self.conv1(self._layers.enter(cloud))))
        tensor = self.pool(tensor)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            tensor = stage(tensor)
        return self._layers.global_mean(self.relu(self.bn5(self.conv5(tensor))))


def _make_stage(layers: SparseLayers, in_channels: int, out_channels: int, num_blocks: int) -> nn.Sequential:
    """Blocks of one width; the first halves the resolution."""
    first = SparseBasicBlock(layers, in_channels, out_channels, stride=2)
    others = (SparseBasicBlock(layers, out_channels, out_channels) for _ in range(num_blocks - 1))
    return nn.Sequential(first, *others)
