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

    def sample(self, texture: Tensor, u: Tensor, v: Tensor, footprint: Tensor) -> Tensor:
        """Filtered colour of repeating textures.

        Args:
            texture: (N,) int32 index of the texture.
            u: (N,) float32, 1 = one repetition to the right.
            v: (N,) float32, 1 = one repetition down.
            footprint: (N,) float32 side of the pixel's footprint in repetitions.

        Returns:
            (N, 3) float32 in [0, 1].
        """
        level = (footprint * SIZE).clamp_min(1.0).log2().clamp_max(_LEVELS - 1.001)
        base = level.floor()
        blend = (level - base)[:, None]
        fine = self._sample_level(texture, u, v, base.int())
        coarse = self._sample_level(texture, u, v, base.int() + 1)
        return torch.lerp(fine, coarse, blend)

    def sample_nearest(self, texture: Tensor, uv: Tensor, footprint: Tensor) -> Tensor:
        """(N,) red channel in [0, 1] at the nearest texel of the nearest mip level; for noise, at a third of the cost."""
        level = (footprint * SIZE).clamp_min(1.0).log2().round().clamp_max(_LEVELS - 1).int()
        size = torch.bitwise_right_shift(torch.full_like(level, SIZE), level)
        cell = (uv * size[:, None]).floor().int() & (size - 1)[:, None]
        index = texture * _CHAIN + self._level_starts[level] + cell[:, 1] * size + cell[:, 0]
        return (self._texels[index] & 255).float() * (1 / 255)

    def _sample_level(self, texture: Tensor, u: Tensor, v: Tensor, level: Tensor) -> Tensor:
        """(N, 3) bilinear colour at one mip level."""
        size = torch.bitwise_right_shift(torch.full_like(level, SIZE), level)
        mask = size - 1
        x, y = (u * size - 0.5), (v * size - 0.5)
        x0, y0 = x.floor(), y.floor()
        fx, fy = (x - x0)[:, None], (y - y0)[:, None]
        left, top = x0.int() & mask, y0.int() & mask
        right, bottom = (left + 1) & mask, (top + 1) & mask
        start = texture * _CHAIN + self._level_starts[level]
        upper, lower = start + top * size, start + bottom * size
        index = torch.cat([upper + left, upper + right, lower + left, lower + right])
        texels = self._texels[index].view(torch.uint8).view(4, -1, 4)[:, :, :3].float()
        above = torch.lerp(texels[0], texels[1], fx)
        below = torch.lerp(texels[2], texels[3], fx)
        return torch.lerp(above, below, fy) * (1 / 255)


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
