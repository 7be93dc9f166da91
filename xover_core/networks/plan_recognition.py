# SPDX-License-Identifier: Apache-2.0
"""Which things a floorplan shows, and how many: each is found at its middle, so that numbers are sums.

A cell of the drawing (0.16 m) gets a probability for each kind of thing (a bed, a double bed, a window) that the middle
of such a thing lies in it. Circles and boxes that look alike are several things with a little probability each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from xover_core.networks.grid_layers import ResidualLayer, halving_layer

CELL_PX = 4
"""Side of a cell."""
# What a convolution of one channel sees.
_SIDE = 5
# Darkness that is no paper.
_MIN_INK = 0.04
# Before training, there is next to nothing anywhere.
_RARE_LOGIT = -7.0
# Cells in the largest drawing's side; numbers of things that are as good as none, and more than are told apart.
_SIDE_CELLS, _FEW, _MANY = 32.0, 0.05, 10.0
_MANY_SCALE = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCells:
    """What cells inside of drawings show.

    Attributes:
        logits: (N, kinds) of the cells inside, row by row.
        inside: (B, H / 4, W / 4) bool; N are True.
        context: (B, C) of the whole drawings, their sizes included.
    """

    logits: Tensor
    inside: Tensor
    context: Tensor


class PlanThings(nn.Module):
    """Drawings (`encoders.plan_raster`) -> numbers of things of each kind."""

    def __init__(self, num_kinds: int, widths: tuple[int, int, int, int] = (16, 64, 96, 160)) -> None:
        """Make the network with random weights.

        Args:
            num_kinds: of things.
            widths: channels after each of four halvings.
        """
        super().__init__()
        stem, fine, middle, coarse = widths
        self.stem = nn.Sequential(halving_layer(1, stem), halving_layer(stem, fine))
        self.fine = nn.Sequential(_layer(fine), _layer(fine))
        self.down2 = nn.Sequential(halving_layer(fine, middle), _layer(middle), _layer(middle))
        self.down3 = nn.Sequential(halving_layer(middle, coarse), _layer(coarse), _layer(coarse))
        self.whole = nn.Linear(coarse, coarse)
        self.up2, self.mix2 = nn.Conv2d(coarse, middle, 1), _layer(middle)
        self.up1 = nn.Conv2d(middle, fine, 1)
        self.mix1 = nn.Sequential(_layer(fine), _layer(fine))
        self.kinds = nn.Linear(fine, num_kinds)
        nn.init.constant_(self.kinds.bias, _RARE_LOGIT)

    @property
    def summary_dim(self) -> int:
        """Numbers that `forward` gives for each drawing."""
        return 3 * self.kinds.out_features + self.whole.out_features + 2

    def forward(self, rasters: Tensor) -> Tensor:
        """(B, H, W) ink, H and W multiples of 16, to (B, summary_dim)."""
        return summarize(self.cells(rasters))

    def cells(self, rasters: Tensor) -> PlanCells:
        """(B, H, W) ink to what each cell shows."""
        inside = _inside(rasters)
        fine = self.fine(self.stem(rasters[:, None]))
        middle = self.down2(fine)
        coarse = self.down3(middle)
        room = functional.max_pool2d(inside.to(coarse.dtype)[:, None], CELL_PX)
        pooled = (coarse * room).sum(dim=(2, 3)) / room.sum(dim=(2, 3)).clamp_min(1)
        coarse = coarse + self.whole(pooled)[:, :, None, None]
        middle = self.mix2(middle + functional.interpolate(self.up2(coarse), scale_factor=2))
        fine = self.mix1(fine + functional.interpolate(self.up1(middle), scale_factor=2))
        sizes = torch.stack([inside.any(dim=2).sum(dim=1), inside.any(dim=1).sum(dim=1)], dim=1) / _SIDE_CELLS
        logits = self.kinds(fine.permute(0, 2, 3, 1)[inside])
        return PlanCells(logits=logits, inside=inside, context=torch.cat([pooled, sizes.to(pooled.dtype)], dim=1))


def summarize(cells: PlanCells) -> Tensor:
    """(B, 3 kinds + C): log and size of the expected number of things, the probability of any, and the context."""
    drawings = cells.inside.nonzero()[:, 0]
    none = cells.logits.new_zeros(len(cells.context), cells.logits.shape[1])
    numbers = none.index_add(0, drawings, cells.logits.sigmoid())
    misses = none.index_add(0, drawings, functional.softplus(cells.logits))
    size = numbers.clamp_max(_MANY) / _MANY_SCALE
    return torch.cat([(numbers + _FEW).log(), size, 1 - (-misses).exp(), cells.context], dim=1)


def _layer(channels: int) -> ResidualLayer:
    return ResidualLayer(channels, _SIDE)


def _inside(rasters: Tensor) -> Tensor:
    """(B, H / 4, W / 4) bool: cells between the first and last with ink, in both directions."""
    ink = functional.max_pool2d((rasters[:, None] > _MIN_INK).to(rasters.dtype), CELL_PX)[:, 0]
    return _between(ink.amax(dim=2))[:, :, None] & _between(ink.amax(dim=1))[:, None, :]


def _between(used: Tensor) -> Tensor:
    """(B, N) bool, from the first to the last that is not 0."""
    return (used.cummax(dim=1).values * used.flip(1).cummax(dim=1).values.flip(1)) > 0
