# SPDX-License-Identifier: Apache-2.0
"""A camera's frame -> what a network expects, on the device.

Resizing a picture is two matrix products with weights that are made once. They are those of OpenCV (`INTER_AREA` when
shrinking, `INTER_LINEAR` when enlarging), without its rounding to bytes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from xover_core.geometry.depth import MAX_DEPTH_M, nearest_pixels
from xover_core.types import Float32Array

_WHITE = 255.0

Size = tuple[int, int]


class ImagePreparation(nn.Module):
    """Resizes colour pictures of one size, and puts channels first."""

    rows: Tensor
    columns: Tensor

    def __init__(self, full_size: Size, size: Size) -> None:
        """Make the weights.

        Args:
            full_size: (height, width) of the pictures, px.
            size: (height, width) that the network expects, px.
        """
        super().__init__()
        self._is_resized = full_size != size
        rows, columns = (resize_weights(*lengths) for lengths in zip(size, full_size, strict=True))
        self.register_buffer("rows", torch.from_numpy(rows), persistent=False)
        self.register_buffer("columns", torch.from_numpy(columns.T.copy()), persistent=False)

    def forward(self, rgb: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 to (B, 3, h, w) float32 in [0, 1]."""
        images = rgb.permute(0, 3, 1, 2).float() / _WHITE
        return self.rows @ images @ self.columns if self._is_resized else images


class DepthPreparation(nn.Module):
    """Resizes depth by nearest sample: an average across an edge would be a reading where there is nothing."""

    rows: Tensor
    columns: Tensor

    def __init__(self, full_size: Size, size: Size) -> None:
        """Find the samples.

        Args:
            full_size: (height, width) of the depth, px.
            size: (height, width) that the network expects, px.
        """
        super().__init__()
        for name, length, full in zip(("rows", "columns"), size, full_size, strict=True):
            self.register_buffer(name, torch.from_numpy(nearest_pixels(length, full)), persistent=False)

    def forward(self, depth: Tensor) -> Tensor:
        """(B, H, W) to (B, h, w) metres, 0 without reading."""
        nearest = depth[:, self.rows[:, None], self.columns[None, :]]
        # a comparison with NaN is false
        return torch.where((nearest > 0) & (nearest <= MAX_DEPTH_M), nearest, 0.0)


def resize_weights(length: int, full_length: int) -> Float32Array:
    """(length, full_length) share of each pixel of a full side in each pixel of the resized one; rows sum to 1."""
    step = full_length / length
    if length < full_length:
        edges = np.arange(length + 1) * step
        full = np.arange(full_length)
        overlap = np.minimum(edges[1:, None], full + 1) - np.maximum(edges[:-1, None], full)
        return np.asarray(np.maximum(overlap, 0) / step, np.float32)
    position = np.clip((np.arange(length) + 0.5) * step - 0.5, 0, full_length - 1)
    distance = np.abs(position[:, None] - np.arange(full_length))
    return np.asarray(np.maximum(1 - distance, 0), np.float32)
