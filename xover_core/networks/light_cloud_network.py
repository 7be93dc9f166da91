# SPDX-License-Identifier: Apache-2.0
"""A small sparse residual network for clouds of rooms, to be trained from scratch on few cores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from xover_core.errors import ModelError
from xover_core.networks.sparse_backend import SparseLayers, make_sparse_layers
from xover_core.networks.sparse_resnet import SparseBasicBlock
from xover_core.networks.sparse_tensor import SparseTensor


class LightCloudNetwork(nn.Module):
    """Cloud -> (B, 2 * widths[-1]): what is there on average, and the most of it anywhere."""

    def __init__(
        self,
        in_channels: int = 7,
        widths: Sequence[int] = (48, 96, 160, 256),
        blocks: Sequence[int] = (1, 1, 1, 1),
        layers: SparseLayers | None = None,
    ) -> None:
        """Make the network with random weights.

        Args:
            in_channels: features of a voxel.
            widths: channels of each stage; every stage halves the resolution first.
            blocks: residual blocks of each stage.
            layers: of the library that computes; default: as `make_sparse_layers` chooses.

        Raises:
            ModelError: widths and blocks are not equally many, or there are none.
        """
        super().__init__()
        if not widths or len(widths) != len(blocks):
            raise ModelError(
                f"light cloud network: expected as many widths as blocks, got {list(widths)} and {list(blocks)}."
            )
        self._layers = layers or make_sparse_layers()
        self.out_channels = 2 * widths[-1]
        stages = zip(pairwise((in_channels, *widths)), blocks, strict=True)
        self.stages = nn.Sequential(*(_make_stage(self._layers, *channels, count) for channels, count in stages))

    def forward(self, cloud: SparseTensor) -> Tensor:
        """Voxels of stride 1 with `in_channels` features -> (B, 2 * widths[-1])."""
        tensor = self.stages(self._layers.enter(cloud))
        return torch.cat([self._layers.global_mean(tensor), self._layers.global_max(tensor)], dim=1)


def _make_stage(layers: SparseLayers, in_channels: int, out_channels: int, num_blocks: int) -> nn.Sequential:
    """Cubes of 2^3 voxels become one, then residual blocks."""
    opening = (
        layers.convolution(in_channels, out_channels, 2, stride=2),
        layers.batch_norm(out_channels),
        layers.relu(),
    )
    return nn.Sequential(*opening, *(SparseBasicBlock(layers, out_channels, out_channels) for _ in range(num_blocks)))
