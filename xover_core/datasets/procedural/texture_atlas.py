# SPDX-License-Identifier: Apache-2.0
"""All textures of an apartment in one tensor, with mip levels, and their filtered lookup.

A pixel's colour must not depend on where its centre happens to fall within a fine pattern. So each texture is kept at
all halved sizes, and a lookup blends the two sizes between which the pixel's footprint lies.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from xover_core.datasets.procedural.scene import Texture
from xover_core.datasets.procedural.texture_patterns import SIZE
from xover_core.datasets.procedural.textures import synthesize_texture

_LEVELS = SIZE.bit_length()
_CHAIN = sum((SIZE >> k) ** 2 for k in range(_LEVELS))


class TextureAtlas:
    """Mip chains of K textures; texels are RGB packed into int32."""

    def __init__(self, textures: tuple[Texture, ...], device: str | torch.device) -> None:
        """Synthesize all textures; takes some milliseconds for each."""
        texels = np.zeros((len(textures), _CHAIN), np.int32)
        for row, texture in zip(texels, textures, strict=True):
            _pack_chain(synthesize_texture(texture), row)
        self._texels = torch.as_tensor(texels.reshape(-1), device=device)
        starts = np.cumsum([0] + [(SIZE >> k) ** 2 for k in range(_LEVELS - 1)])
        self._level_starts = torch.as_tensor(starts, dtype=torch.int32, device=device)

    def sample(self, texture: Tensor, uv: Tensor, footprint: Tensor) -> Tensor:
        """Filtered colour of repeating textures.

        Args:
            texture: (N,) int32 index of the texture.
            uv: (2, N) float32; 1 = one repetition to the right, and down.
            footprint: (N,) float32 side of the pixel's footprint in repetitions.

        Returns:
            (3, N) float32 in [0, 1].
        """
        level = (footprint * SIZE).clamp_min(1.0).log2().clamp_max(_LEVELS - 1.001)
        fine = level.int()
        blend = level - fine
        start = texture * _CHAIN
        colors = [self._sample_level(start, uv, fine + k) for k in (0, 1)]
        return torch.lerp(colors[0], colors[1], blend)

    def sample_nearest(self, texture: int, uv: Tensor, footprint: Tensor) -> Tensor:
        """(N,) red channel in [0, 1] at the nearest texel of the nearest mip level; cheap, for noise."""
        level = (footprint * SIZE).clamp_min(1.0).log2().round().clamp_max(_LEVELS - 1).int()
        size = torch.bitwise_right_shift(SIZE, level)
        mask = size - 1
        column, row = (uv[0] * size).floor().int() & mask, (uv[1] * size).floor().int() & mask
        index = self._level_starts.index_select(0, level).add_(texture * _CHAIN).add_(row * size).add_(column)
        return (self._texels.index_select(0, index) & 255).float().mul_(1 / 255)

    def _sample_level(self, start: Tensor, uv: Tensor, level: Tensor) -> Tensor:
        """(3, N) bilinear colour at one mip level of the chains that begin at `start`."""
        size = torch.bitwise_right_shift(SIZE, level)
        mask = size - 1
        x, y = uv[0] * size - 0.5, uv[1] * size - 0.5
        x0, y0 = x.floor(), y.floor()
        fx, fy = x - x0, y - y0
        left, top = x0.int().bitwise_and_(mask), y0.int().bitwise_and_(mask)
        right, bottom = (left + 1).bitwise_and_(mask), (top + 1).bitwise_and_(mask)
        first = self._level_starts.index_select(0, level).add_(start)
        upper, lower = top.mul_(size).add_(first), bottom.mul_(size).add_(first)
        index = torch.cat([upper + left, upper + right, lower + left, lower + right])
        texels = self._texels.index_select(0, index).view(torch.uint8).view(4, -1, 4)
        channels = torch.stack([texels[:, :, c].float() for c in range(3)], dim=1)
        above, below = torch.lerp(channels[0], channels[1], fx), torch.lerp(channels[2], channels[3], fx)
        return torch.lerp(above, below, fy).mul_(1 / 255)


def _pack_chain(image: np.ndarray, row: np.ndarray) -> None:
    """Write an image and its halved versions into `row`, fine to coarse."""
    start = 0
    while True:
        side = len(image)
        padded = np.zeros((side, side, 4), np.uint8)
        padded[:, :, :3] = image
        row[start : start + side * side] = padded.view(np.int32).reshape(-1)
        if side == 1:
            return
        start += side * side
        image = cv2.resize(image, (side // 2, side // 2), interpolation=cv2.INTER_AREA).reshape(side // 2, side // 2, 3)
