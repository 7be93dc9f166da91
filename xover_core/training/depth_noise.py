# SPDX-License-Identifier: Apache-2.0
"""Makes true depth what depth cameras give: errors that grow with distance, bent scales, holes, or no depth at all.

Only what the network sees is disturbed; which patches belong together is always read from the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from xover_core.config import Settings, setting

# Cells of the random fields: errors of neighbouring pixels, bent scales, holes.
_FINE_PX, _COARSE_PX, _HOLE_PX = 4, 60, 24
_MIN_RANGE_M = 2.5


def _probability(default: float, what: str) -> float:
    probability: float = setting(default, f"share of frames with {what}", minimum=0.0, maximum=1.0)
    return probability


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthNoiseSettings(Settings):
    """How often, and how much at most; each frame draws its own."""

    dropout: float = _probability(0.1, "no depth at all, as of a camera without")
    noise_probability: float = _probability(0.7, "random and smooth errors")
    noise: float = setting(0.006, "largest deviation at 1 m, m; grows with the square", minimum=0.0, maximum=0.1)
    bend: float = setting(0.02, "largest deviation of the scale, share", minimum=0.0, maximum=0.5)
    holes_probability: float = _probability(0.6, "holes")
    holes: float = setting(0.4, "largest share of the image that holes take", minimum=0.0, maximum=1.0)
    range_probability: float = _probability(0.4, "a limit of range")
    max_range: float = setting(7.0, "largest such limit, m; the smallest is 2.5 m", minimum=_MIN_RANGE_M)


def disturb_depth(depth: Tensor, settings: DepthNoiseSettings, generator: torch.Generator) -> Tensor:
    """Depth as a camera might have given it.

    Args:
        depth: (B, H, W) metres, 0 without reading.
        settings: what to draw.
        generator: on the CPU.

    Returns:
        (B, H, W); the input stays.
    """
    return torch.stack([_disturb(frame, settings, generator) for frame in depth])


def _disturb(depth: Tensor, s: DepthNoiseSettings, generator: torch.Generator) -> Tensor:
    """One (H, W) frame. All numbers are drawn whatever is used, so that settings change nothing but what they name."""
    drawn = torch.rand(8, generator=generator)
    fine = _field(depth, _FINE_PX, generator, "nearest")
    coarse = _field(depth, _COARSE_PX, generator, "bilinear")
    holes = _field(depth, _HOLE_PX, generator, "bilinear")
    if drawn[0] < s.dropout:
        return torch.zeros_like(depth)
    if drawn[1] < s.noise_probability:
        depth = depth * (1 + drawn[2] * s.bend * coarse) + drawn[3] * s.noise * depth**2 * fine
    if drawn[4] < s.holes_probability:
        share = drawn[5] * s.holes
        depth = depth.masked_fill(holes > torch.quantile(holes, 1 - share), 0.0)
    if drawn[6] < s.range_probability:
        depth = depth.masked_fill(depth > _MIN_RANGE_M + drawn[7] * (s.max_range - _MIN_RANGE_M), 0.0)
    return depth.clamp_min(0)


def _field(like: Tensor, cell_px: int, generator: torch.Generator, mode: str) -> Tensor:
    """(H, W) normal numbers that change over cells of `cell_px`."""
    height, width = like.shape
    size = (-(-height // cell_px) + 1, -(-width // cell_px) + 1)
    cells = torch.randn(1, 1, *size, generator=generator).to(like.device)
    field: Tensor = functional.interpolate(cells, size=(height, width), mode=mode)[0, 0]
    return field
