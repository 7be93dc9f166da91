# SPDX-License-Identifier: Apache-2.0
"""One backbone pass, several LoCUS heads: patch features for every radius."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from torch import Tensor, nn

from xover_core.errors import ModelError


class TokenBackbone(Protocol):
    """What a backbone offers to the heads on it; also an `nn.Module`."""

    @property
    def token_dim(self) -> int:
        """C, length of the tokens."""
        ...

    @property
    def patch_size(self) -> int:
        """Side of a patch, px."""
        ...

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images to (B, prefix + N, C) tokens, patches row by row at the end."""
        ...


class MultiRadiusEncoderNetwork(nn.Module):
    """Images -> L2-normalised patch features, one set for each radius."""

    def __init__(self, backbone: TokenBackbone, heads: Sequence[nn.Module], radii: Sequence[float]) -> None:
        """Join a backbone and heads.

        Args:
            backbone: an `nn.Module` that makes tokens.
            heads: for each radius, (B, prefix + N, C) tokens to (B, N, D) features.
            radii: metres, finest first.

        Raises:
            ModelError: not one head for each radius, or radii that do not ascend.
        """
        super().__init__()
        if len(heads) != len(radii) or not heads or list(radii) != sorted(set(radii)):
            raise ModelError(
                f"encoder network: expected one head for each radius, radii ascending, got {len(heads)} for {radii}."
            )
        self.backbone = cast(nn.Module, backbone)
        self.heads = nn.ModuleList(heads)
        self.radii = tuple(radii)
        self.patch_size = backbone.patch_size

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Describe all patches.

        Args:
            images: (B, 3, H, W), normalised as the backbone expects.

        Returns:
            For each radius (B, rows, cols, D), L2-normalised over D.
        """
        rows, cols = (side // self.patch_size for side in images.shape[-2:])
        tokens = self.backbone(images)
        return tuple(head(tokens).unflatten(1, (rows, cols)) for head in self.heads)

    def only(self, radius: float) -> MultiRadiusEncoderNetwork:
        """The same backbone with the head for one of the radii, which is all that is computed then."""
        head = self.heads[self.radii.index(radius)]
        network = MultiRadiusEncoderNetwork(cast(TokenBackbone, self.backbone), [head], [radius])
        return network.train(self.training)
