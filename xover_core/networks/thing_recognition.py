# SPDX-License-Identifier: Apache-2.0
"""Which things of which look a cloud or a view shows, and how much of each: what is there need not be learned by rooms.

A part of a scene (a voxel of 0.2 m, a cell of a view) gets a class and a look (a colour or a material). The amount of a
pair of both is the sum over the parts. Pairs that are rare count as their class alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from xover_core.networks.grid_layers import ResidualLayer, halving_layer

_LAYER_DIM = 32


class ThingHead(nn.Module):
    """States of parts -> logits of classes and looks, and their sums over scenes."""

    pair_of: Tensor

    def __init__(self, in_dim: int, num_classes: int, num_looks: int, num_pairs: int) -> None:
        """Make it with random weights.

        Args:
            in_dim: of a state.
            num_classes: of things and of what they stand between.
            num_looks: colours and materials.
            num_pairs: P; which pair each class and look belong to is set with the weights.
        """
        super().__init__()
        self.num_pairs = num_pairs
        self.classes = nn.Linear(in_dim, num_classes)
        self.looks = nn.Linear(in_dim, num_looks)
        self.register_buffer("pair_of", torch.zeros(num_classes * num_looks, dtype=torch.int64))

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """(N, in_dim) to (N, num_classes) and (N, num_looks) logits."""
        return self.classes(states), self.looks(states)

    def amounts(self, states: Tensor, scenes: Tensor, num_scenes: int) -> Tensor:
        """(B, P) amounts of pairs from (N, in_dim) states of parts and (N,) int64 the scene of each."""
        classes, looks = (logits.softmax(dim=1) for logits in self(states))
        both = classes.new_zeros(num_scenes, classes.shape[1], looks.shape[1])
        for scene in range(num_scenes):
            own = scenes == scene
            both[scene] = classes[own].T @ looks[own]
        amounts: Tensor = both.new_zeros(num_scenes, self.num_pairs).index_add(1, self.pair_of, both.flatten(1))
        return amounts


class CloudThings(nn.Module):
    """Slices of clouds (`encoders.cloud_slices`) -> amounts of things, in voxels of 0.2 m."""

    def __init__(
        self,
        head: ThingHead,
        planes: int,
        slices: int,
        widths: tuple[int, int, int] = (64, 96, 128),
    ) -> None:
        """Make the network with random weights.

        Args:
            head: takes states of its own length.
            planes: of a slice.
            slices: of a cloud.
            widths: channels after each of three halvings.
        """
        super().__init__()
        fine, middle, coarse = widths
        hidden = head.classes.in_features
        self.slices = slices
        self.down1 = nn.Sequential(halving_layer(planes * slices, fine), ResidualLayer(fine))
        self.down2 = nn.Sequential(halving_layer(fine, middle), ResidualLayer(middle))
        self.down3 = nn.Sequential(halving_layer(middle, coarse), ResidualLayer(coarse), ResidualLayer(coarse))
        self.whole = nn.Linear(coarse, coarse)
        self.up2, self.mix2 = nn.Conv2d(coarse, middle, 1), ResidualLayer(middle)
        self.up1, self.mix1 = nn.Conv2d(middle, fine, 1), ResidualLayer(fine)
        self.layers = nn.Conv2d(fine, slices * _LAYER_DIM, 1)
        self.voxel = nn.Sequential(
            nn.Linear(_LAYER_DIM + 4 * planes, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.head = head

    def forward(self, planes: Tensor) -> Tensor:
        """(B, C, S, H, W) slices to (B, P) amounts."""
        states, voxels = self.voxels(planes)
        return self.head.amounts(states, voxels[:, 0], len(planes))

    def voxels(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """(N, hidden) states of the voxels with points in them, and (N, 4) int64 their cloud, slice, row and column."""
        fine = self.down1(planes.flatten(1, 2))
        middle = self.down2(fine)
        coarse = self.down3(middle)
        coarse = coarse + self.whole(coarse.mean(dim=(2, 3)))[:, :, None, None]
        middle = self.mix2(middle + functional.interpolate(self.up2(coarse), scale_factor=2))
        fine = self.mix1(fine + functional.interpolate(self.up1(middle), scale_factor=2))
        layers = self.layers(fine)
        seen = layers.reshape(len(layers), self.slices, _LAYER_DIM, *layers.shape[2:]).permute(0, 1, 3, 4, 2)
        rows, columns = planes.shape[3] // 2, planes.shape[4] // 2
        split = planes.reshape(*planes.shape[:3], rows, 2, columns, 2)
        own = split.permute(0, 2, 3, 5, 1, 4, 6).flatten(4)
        # the first plane says how full the four cells of a voxel are
        voxels = (own[..., :4].amax(dim=-1) > 0).nonzero()
        at = voxels.unbind(dim=1)
        return self.voxel(torch.cat([seen[at], own[at]], dim=1)), voxels
