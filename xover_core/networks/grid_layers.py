# SPDX-License-Identifier: Apache-2.0
"""Layers of small U-shaped networks on grids: of clouds seen from above, of drawings."""

from __future__ import annotations

from torch import Tensor, nn


class ResidualLayer(nn.Module):
    """A convolution of each channel, then of all, added to what comes in."""

    def __init__(self, channels: int, side: int = 3) -> None:
        """Make it with random weights.

        Args:
            channels: C.
            side: of what each channel's convolution sees, odd.
        """
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(channels, channels, side, padding=side // 2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        changed: Tensor = maps + self.change(maps)
        return changed


def halving_layer(in_channels: int, out_channels: int) -> nn.Sequential:
    """Maps of half the size."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
