# SPDX-License-Identifier: Apache-2.0
"""Networks in the form in which they are exported: tensors in, a tuple of tensors out, nothing else."""

from __future__ import annotations

from torch import Tensor, nn

from xover_core.networks.compact_encoder import CompactEncoder


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
