# SPDX-License-Identifier: Apache-2.0
"""Networks in the form in which they are exported: tensors in, a tuple of tensors out, nothing else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xover_core.networks.compact_encoder import CompactEncoder
from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class CompactForm(nn.Module):
    """The compact encoder with its patches in one row."""

    def __init__(self, network: CompactEncoder) -> None:
        """Use a network."""
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, depth: Tensor, intrinsics: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W), (B, H, W) and (B, 4) to (B, N, D) for each radius."""
        features: tuple[Tensor, ...] = self.network(image, depth, intrinsics)
        return tuple(one.flatten(1, 2) for one in features)


class LocusForm(nn.Module):
    """LoCUS heads on a vision transformer, from colours to patches in one row."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: MultiRadiusEncoderNetwork) -> None:
        """Use a network of pictures that are normalised with ImageNet's mean and deviation."""
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) RGB in [0, 1] to (B, N, D) for each radius."""
        features: tuple[Tensor, ...] = self.network((image - self.mean) / self.std)
        return tuple(one.flatten(1, 2) for one in features)
