# SPDX-License-Identifier: Apache-2.0
"""Networks in the form in which they are exported: tensors in, a tuple of tensors out, nothing else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xover_core.networks.bert_text_encoder import BertTextEncoder
from xover_core.networks.compact_encoder import CompactEncoder
from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork
from xover_core.networks.vit_backbone import VitBackbone

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


class ValuesForm(nn.Module):
    """CrossOver's features of pictures: the class token, and the mean of the patches."""

    def __init__(self, network: VitBackbone) -> None:
        """Use a backbone."""
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W), normalised with ImageNet's mean and deviation, to (B, C) and (B, C)."""
        values = self.network.values(image)
        return values[:, 0], values[:, 1:].mean(1)


class TokensForm(nn.Module):
    """CrossOver's features of texts."""

    def __init__(self, network: BertTextEncoder) -> None:
        """Use an encoder."""
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor]:
        """(B, T) ids and (B, T) bool to (B, C)."""
        return (self.network(ids, mask),)
