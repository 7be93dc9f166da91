# SPDX-License-Identifier: Apache-2.0
"""Small networks for pictures: tokens of a view, drawings from above, crops of objects."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_START_DEVIATION = 0.02
_MIN_DEVIATION = 1e-3


class ViewNetwork(nn.Module):
    """Tokens of one view -> one vector, by a small transformer; views are averaged over afterwards."""

    token_mean: Tensor
    token_scale: Tensor

    def __init__(
        self,
        token_dim: int,
        num_tokens: int,
        *,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        out_dim: int = 256,
    ) -> None:
        """Make the network with random weights.

        Args:
            token_dim: C.
            num_tokens: N, always in the same places of the image.
            width: of the transformer.
            layers: of the transformer.
            heads: divides the width.
            out_dim: E.
        """
        super().__init__()
        self.register_buffer("token_mean", torch.zeros(token_dim))
        self.register_buffer("token_scale", torch.zeros(token_dim))
        self.enter = nn.Sequential(nn.Linear(token_dim, width), nn.GELU(), nn.Linear(width, width))
        self.positions = nn.Parameter(torch.randn(num_tokens, width) * _START_DEVIATION)
        layer = nn.TransformerEncoderLayer(
            width, heads, 3 * width, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.tokens = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.leave = nn.Sequential(nn.Linear(2 * width, out_dim), nn.GELU(), nn.Linear(out_dim, out_dim))

    @property
    def has_statistics(self) -> bool:
        """Whether `set_statistics` was called, without which nothing is seen."""
        return bool(self.token_scale.any())

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Take over (C,) mean and standard deviation of the tokens that will be seen."""
        self.token_mean.copy_(mean)
        self.token_scale.copy_(1 / deviation.clamp_min(_MIN_DEVIATION))

    def forward(self, tokens: Tensor) -> Tensor:
        """(V, N, C) to (V, out_dim)."""
        states = self.enter((tokens - self.token_mean) * self.token_scale) + self.positions
        states = self.tokens(states)
        view: Tensor = self.leave(torch.cat([states.mean(dim=1), states.amax(dim=1)], dim=1))
        return view


class RasterNetwork(nn.Module):
    """Small pictures -> one vector: convolutions of stride 2, then the mean and the largest value over the picture."""

    def __init__(self, in_channels: int, widths: tuple[int, ...], out_dim: int) -> None:
        """Make the network with random weights.

        Args:
            in_channels: of the pictures.
            widths: channels after each halving.
            out_dim: of the vector.
        """
        super().__init__()
        stages: list[nn.Module] = []
        for channels in widths:
            stages += [
                nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
            in_channels = channels
        self.stages = nn.Sequential(*stages)
        self.leave = nn.Linear(2 * in_channels, out_dim)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out_dim)."""
        maps = self.stages(pictures)
        vector: Tensor = self.leave(torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1))
        return vector


class PointsNetwork(nn.Module):
    """Points of an object and its size -> one vector: each point alone, then mean and largest value, then all again.

    The second round sees the first one's summary, as in PointNet's segmentation branch.
    """

    def __init__(self, point_dim: int, width: int = 96, out_dim: int = 128) -> None:
        """Make the network with random weights."""
        super().__init__()
        self.first = nn.Sequential(nn.Linear(point_dim, 64), nn.GELU(), nn.Linear(64, width), nn.GELU())
        self.second = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.leave = nn.Sequential(
            nn.Linear(2 * width + _SIZE_DIM, 2 * out_dim), nn.GELU(), nn.Linear(2 * out_dim, out_dim)
        )

    def forward(self, points: Tensor, sizes: Tensor) -> Tensor:
        """(M, P, point_dim) points and (M, 3) sizes of boxes in metres to (M, out_dim)."""
        states = self.first(points)
        summary = states.amax(dim=1, keepdim=True).expand_as(states)
        states = self.second(torch.cat([states, summary], dim=2))
        pooled = torch.cat([states.mean(dim=1), states.amax(dim=1), _size_features(sizes)], dim=1)
        vector: Tensor = self.leave(pooled)
        return vector


# Sides of a box whatever way it is turned: the longer and the shorter one on the floor, and the height.
_SIZE_DIM = 3
_MIN_SIDE_M = 0.02


def _size_features(sizes: Tensor) -> Tensor:
    """(M, 3) logarithms of the sides."""
    horizontal = sizes[:, :2].sort(dim=1, descending=True).values
    return torch.cat([horizontal, sizes[:, 2:]], dim=1).clamp_min(_MIN_SIDE_M).log()
