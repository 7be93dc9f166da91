# SPDX-License-Identifier: Apache-2.0
"""Small parts of CrossOver (CVPR 2025) with the tensor names of its published weights: heads, frame MLP, fusion."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Of the published heads.
_NORM_EPS = 1e-12


class ProjectionHead(nn.Sequential):
    """Linear, ReLU, LayerNorm, dropout, linear, then L2 norm 1; every modality ends in one."""

    def __init__(self, in_dim: int, hidden: int, out_dim: int, *, dropout: float = 0.0) -> None:
        """Make a head with random weights; its linear layers are parts 0 and 4."""
        super().__init__(
            nn.Linear(in_dim, hidden),
            nn.ReLU(),
            nn.LayerNorm(hidden, eps=_NORM_EPS),
            nn.Dropout(dropout),
            nn.Linear(hidden, out_dim),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(..., in_dim) to (..., out_dim) of L2 norm 1."""
        for layer in self:
            features = layer(features)
        return nn.functional.normalize(features, dim=-1)


class FrameMlp(nn.Module):
    """What is said of one picture (class token and mean of its patches) -> what is averaged over pictures."""

    def __init__(self, in_dim: int = 3072, out_dim: int = 1536) -> None:
        """Make the layers with random weights."""
        super().__init__()
        self.mlp_layers = nn.Sequential(
            nn.Linear(in_dim, out_dim), nn.GELU(), nn.Dropout(0.0), nn.Linear(out_dim, out_dim)
        )

    def forward(self, views: Tensor) -> Tensor:
        """(..., in_dim) to (..., out_dim)."""
        mixed: Tensor = self.mlp_layers(views)
        return mixed


class WeightedFusion(nn.Module):
    """Modalities of a scene's objects -> one vector, with one learned weight for each modality (F_S, eq. 3).

    The weights of the modalities that a scene has are scaled to a sum of 1. The published code does not do so
    (`renormalizes=False`): there, the fewer modalities, the shorter the sum.
    """

    def __init__(self, num_modalities: int, *, renormalizes: bool = True) -> None:
        """Make it with equal weights."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_modalities, 1))
        self.renormalizes = renormalizes

    def forward(self, embeddings: Tensor, is_present: Tensor) -> Tensor:
        """Weighted sum of the modalities that are there.

        Args:
            embeddings: (B, M, D) of any length; L2-normalised here.
            is_present: (B, M) bool.

        Returns:
            (B, D); zero for a scene without any modality.
        """
        shares = self.weight.softmax(0)[:, 0] * is_present
        if self.renormalizes:
            shares = shares / shares.sum(1, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)
        units = nn.functional.normalize(torch.where(is_present[..., None], embeddings, 0), dim=-1)
        return (shares[..., None] * units).sum(1)


def masked_mean(embeddings: Tensor, mask: Tensor) -> Tensor:
    """Mean over the objects that are there.

    Args:
        embeddings: (B, K, D).
        mask: (B, K) bool.

    Returns:
        (B, D); zero where there is none.
    """
    kept = torch.where(mask[..., None], embeddings, 0)
    return kept.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
