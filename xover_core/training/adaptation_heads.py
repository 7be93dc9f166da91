# SPDX-License-Identifier: Apache-2.0
"""The heads of a compact encoder on their own: linear maps of `CompactEncoder.head_inputs`, one for each radius."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from xover_core.networks.compact_encoder import CompactEncoder, scale_by_distinctiveness, squared_distances


class SiteHeads(nn.Module):
    """Trainable copies of the heads, which know where they started."""

    def __init__(self, network: CompactEncoder) -> None:
        """Copy the heads; the network itself is left alone."""
        super().__init__()
        self.radii = network.radii
        pairs = list(zip(network.base_heads, network.context_heads, strict=True))
        self._started = [_joined(cast(nn.Linear, base), cast(nn.Linear, context)) for base, context in pairs]
        self.weights = nn.ParameterList(weight.clone() for weight, _ in self._started)
        self.biases = nn.ParameterList(bias.clone() for _, bias in self._started)

    def forward(self, inputs: Sequence[Tensor], points: Tensor, rivals: Tensor) -> tuple[Tensor, ...]:
        """Features as the whole network gives them.

        Args:
            inputs: for each radius (B, N, C), as `CompactEncoder.head_inputs` gives them.
            points: (B, N, 3) in the camera frame.
            rivals: (M,) of the N patches, those of `rival_patches`.

        Returns:
            For each radius (B, N, D).
        """
        squared = squared_distances(points, points[:, rivals])
        heads = zip(inputs, self.weights, self.biases, self.radii, strict=True)
        return tuple(
            scale_by_distinctiveness(functional.linear(x.float(), w, b), squared, rivals, radius)
            for x, w, b, radius in heads
        )

    def squared_change(self) -> Tensor:
        """0-d sum of the squared changes of all weights since the start."""
        heads = zip(self.weights, self.biases, self._started, strict=True)
        changes = [(w - w0).square().sum() + (b - b0).square().sum() for w, b, (w0, b0) in heads]
        return torch.stack(changes).sum()

    @torch.no_grad()
    def mixed(self, shares: Sequence[float]) -> SiteHeads:
        """Heads that are, for each radius, this share of the way from the start to here."""
        heads = copy.deepcopy(self)
        for weight, bias, (weight0, bias0), share in zip(
            heads.weights, heads.biases, self._started, shares, strict=True
        ):
            weight.copy_(torch.lerp(weight0, weight, share))
            bias.copy_(torch.lerp(bias0, bias, share))
        return heads

    @torch.no_grad()
    def placed_in(self, network: CompactEncoder) -> CompactEncoder:
        """A copy of a network with these heads; everything else of it is the same to the bit."""
        changed = copy.deepcopy(network)
        heads = zip(changed.base_heads, changed.context_heads, self.weights, self.biases, strict=True)
        for base, context, weight, bias in heads:
            base_head, context_head = cast(nn.Linear, base), cast(nn.Linear, context)
            base_head.weight.copy_(weight[:, : base_head.in_features])
            base_head.bias.copy_(bias)
            context_head.weight.copy_(weight[:, base_head.in_features :])
        return changed


def _joined(base: nn.Linear, context: nn.Linear) -> tuple[Tensor, Tensor]:
    """(D, base + width) weight and (D,) bias of both heads side by side."""
    return torch.cat([base.weight, context.weight], dim=1).detach(), base.bias.detach().clone()
