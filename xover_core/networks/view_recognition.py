# SPDX-License-Identifier: Apache-2.0
"""Which things of which look a view shows: a U-shaped network on small pictures, joined by features of their patches.

A cell is 4 x 4 pixels of a picture of 160 x 120, so that a lamp on a table is not mixed with the wall behind it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from xover_core.networks.grid_layers import ResidualLayer, halving_layer
from xover_core.networks.thing_recognition import ThingHead

CELL_PX = 4
"""Side of a cell."""
# Features of patches have norm 1, so each of their numbers is small.
_PATCH_SCALE = 8.0


class ViewThings(nn.Module):
    """Pictures with depth (`encoders.view_pixels`) and LoCUS features -> amounts of things, as shares of the view."""

    def __init__(
        self, head: ThingHead, planes: int, patch_dim: int, widths: tuple[int, int, int, int] = (24, 48, 96, 160)
    ) -> None:
        """Make the network with random weights.

        Args:
            head: takes states of its own length.
            planes: of a picture.
            patch_dim: of the features of a patch.
            widths: channels after each of four halvings.
        """
        super().__init__()
        first, fine, middle, coarse = widths
        self.down1 = nn.Sequential(halving_layer(planes, first), halving_layer(first, fine), ResidualLayer(fine))
        self.down2 = halving_layer(fine, middle)
        # without a bias, so that patches of zeros say nothing
        self.enter = nn.Conv2d(patch_dim, middle, 1, bias=False)
        self.mix = nn.Sequential(ResidualLayer(middle), ResidualLayer(middle))
        self.down3 = nn.Sequential(halving_layer(middle, coarse), *(ResidualLayer(coarse) for _ in range(3)))
        self.whole = nn.Linear(coarse, coarse)
        self.up2, self.mix2 = nn.Conv2d(coarse, middle, 1), nn.Sequential(ResidualLayer(middle), ResidualLayer(middle))
        self.up1, self.mix1 = nn.Conv2d(middle, fine, 1), nn.Sequential(ResidualLayer(fine), ResidualLayer(fine))
        self.cell = nn.Sequential(nn.Linear(fine, head.classes.in_features), nn.ReLU())
        self.head = head

    def forward(self, pixels: Tensor, patches: Tensor) -> Tensor:
        """(V, C, H, W) pictures and (V, D, rows, columns) features of the same views to (V, P) amounts."""
        states = self.cells(pixels, patches)
        views = torch.arange(len(states), device=states.device).repeat_interleave(states.shape[1])
        return self.head.amounts(states.flatten(0, 1), views, len(states)) / states.shape[1]

    def cells(self, pixels: Tensor, patches: Tensor) -> Tensor:
        """(V, C, H, W) and (V, D, rows, columns) to (V, H / 4 * W / 4, hidden) states of cells, row by row."""
        fine = self.down1(pixels)
        middle = self.down2(fine)
        middle = self.mix(middle + _enlarged(self.enter(_PATCH_SCALE * patches), middle))
        coarse = self.down3(middle)
        coarse = coarse + self.whole(coarse.mean(dim=(2, 3)))[:, :, None, None]
        middle = self.mix2(middle + _enlarged(self.up2(coarse), middle))
        fine = self.mix1(fine + _enlarged(self.up1(middle), fine))
        states: Tensor = self.cell(fine.flatten(2).transpose(1, 2))
        return states


def _enlarged(maps: Tensor, like: Tensor) -> Tensor:
    """Maps of the height and width of others."""
    return functional.interpolate(maps, size=like.shape[2:], mode="bilinear", align_corners=False)
