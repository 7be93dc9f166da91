# SPDX-License-Identifier: Apache-2.0
"""Fixed descriptors of image patches in windows of metric size: the compact encoder's first layer, nothing to learn.

A patch at depth z is described in windows that measure so many metres on the surface whatever the distance: RootSIFT
(Lowe 2004, Arandjelovic and Zisserman 2012), coarse colour, and relief. Windows are read from a pyramid of half
octaves whose levels lie one after the other in one table, so that a single gather serves all windows of all patches.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

PATCH_SIZE = 8
# Widths of a spatial bin, metres; a window has 4 x 4 bins.
BIN_SIZES_M = (0.05, 0.075, 0.11, 0.16, 0.24, 0.36)
# Widths of a bin at which relief is read, metres.
RELIEF_SIZES_M = (0.11, 0.36)
BINS_PER_SIDE = 4
NUM_ORIENTATIONS = 8
NUM_LEVELS = 8
# Bins are pooled over this many px of a pyramid level.
_POOL_PX = 5
_SMOOTHING_PX = 1.0
_MAX_COMPONENT = 0.2
# Below this mean gradient (of intensities from 0 to 1, per px) a window has no content.
_MIN_GRADIENT = 0.05 / 255
# Sharpness of the orientation bins: cos(22.5 deg) ** 8 is about a half, so neighbours share a gradient evenly.
_ORIENTATION_SQUARINGS = 3
# Where a frame has no depth at all, windows have the size that they have at this distance, m.
DEPTH_WITHOUT_READING_M = 2.5
_MIN_DEPTH_M = 0.1
_FILL_WINDOWS = (3, 7, 15, 31)

_CHANNELS = NUM_ORIENTATIONS + 3
_GRADIENT_DIM = NUM_ORIENTATIONS * BINS_PER_SIDE**2
_COLOR_DIM = 3 * 4
# The first dimensions of a descriptor are gradients; colour, relief, distance follow.
GRADIENTS_DIM = len(BIN_SIZES_M) * _GRADIENT_DIM
STEM_DIM = GRADIENTS_DIM + len(BIN_SIZES_M) * _COLOR_DIM + len(RELIEF_SIZES_M) * BINS_PER_SIDE**2 + 2


class MetricStem(nn.Module):
    """Image, depth and camera -> fixed descriptors and 3D points of all patches."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("gradient_filter", _gradient_filter(), persistent=False)
        angles = torch.arange(NUM_ORIENTATIONS) * (2 * math.pi / NUM_ORIENTATIONS)
        directions = torch.stack([angles.cos(), angles.sin()], dim=1)[:, :, None, None]
        self.register_buffer("directions", directions, persistent=False)
        steps = torch.arange(BINS_PER_SIDE) - (BINS_PER_SIDE - 1) / 2
        self.register_buffer("bin_offsets", torch.cartesian_prod(steps, steps).flip(1), persistent=False)
        weights = torch.exp(-(steps**2) / 8)
        self.register_buffer("bin_weights", torch.outer(weights, weights).reshape(-1, 1), persistent=False)
        self.gradient_filter: Tensor
        self.directions: Tensor
        self.bin_offsets: Tensor
        self.bin_weights: Tensor

    def forward(self, images: Tensor, depth: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
        """Describe all patches.

        Args:
            images: (B, 3, H, W) RGB in [0, 1], sides multiples of 8.
            depth: (B, H, W) metres along the optical axis, 0 without reading.
            intrinsics: (B, 4) fx, fy, cx, cy, px.

        Returns:
            (B, N, C) descriptors, and (B, N, 3) points in the camera's optical frame, metres, patches row by row.
        """
        rows, cols = images.shape[2] // PATCH_SIZE, images.shape[3] // PATCH_SIZE
        half = PATCH_SIZE // 2
        reading = depth[:, half::PATCH_SIZE, half::PATCH_SIZE]
        has_reading = reading > _MIN_DEPTH_M
        patch_depth = fill_depth(reading, has_reading)
        centers = _patch_centers(rows, cols, images)
        points = _back_project(centers, patch_depth.flatten(1), intrinsics)
        pyramid, sizes = self._pyramid(images)
        gradients, colors = self._read_windows(pyramid, sizes, centers, patch_depth.flatten(1), intrinsics)
        relief = self._relief(patch_depth, has_reading, centers, intrinsics)
        distance = torch.stack([patch_depth.flatten(1).log(), has_reading.flatten(1).to(images.dtype)], dim=2)
        return torch.cat([gradients, colors, relief, distance], dim=2), points

    def _pyramid(self, images: Tensor) -> tuple[Tensor, list[tuple[int, int]]]:
        """(B, cells, 11) pooled orientations and colours of all levels in one table, and (height, width) of each."""
        octave = images
        levels, sizes = [], []
        for level in range(NUM_LEVELS):
            if level and level % 2 == 0:
                octave = functional.avg_pool2d(octave, 2)
            image = octave if level % 2 == 0 else _shrink_half_octave(octave)
            levels.append(self._describe_level(image).flatten(2))
            sizes.append((image.shape[2], image.shape[3]))
        return torch.cat(levels, dim=2).transpose(1, 2), sizes

    def _describe_level(self, image: Tensor) -> Tensor:
        """(B, 11, h, w) orientation histograms and opponent colours, pooled over a bin."""
        red, green, blue = image.unbind(1)
        gray = 0.299 * red + 0.587 * green + 0.114 * blue
        padded = functional.pad(gray[:, None], (4, 4, 4, 4), mode="replicate")
        gradient = functional.conv2d(padded, self.gradient_filter)
        magnitude = (gradient**2).sum(1, keepdim=True).clamp_min(1e-12).sqrt()
        cosine = functional.conv2d(gradient / magnitude, self.directions).clamp_min(0)
        for _ in range(_ORIENTATION_SQUARINGS):
            cosine = cosine * cosine
        colors = torch.stack([gray, red - green, (red + green) / 2 - blue], dim=1)
        maps = _box_blur(_box_blur(cosine * magnitude))
        edge = _POOL_PX // 2
        pooled = _box_blur(functional.pad(colors, (edge,) * 4, mode="replicate"))[..., edge:-edge, edge:-edge]
        return torch.cat([maps, pooled], dim=1)

    def _read_windows(
        self, pyramid: Tensor, sizes: list[tuple[int, int]], centers: Tensor, depth: Tensor, intrinsics: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, N, S * 128) RootSIFT and (B, N, S * 12) colours of the S window sizes."""
        height, width = sizes[0]
        table = torch.tensor(sizes, device=pyramid.device)
        starts = functional.pad(torch.cumsum(table[:, 0] * table[:, 1], 0), (1, 0))
        scale = table.to(pyramid.dtype) / torch.tensor([height, width], device=pyramid.device)
        batch = torch.arange(len(pyramid), device=pyramid.device)[:, None, None]
        gradients, colors = [], []
        for size in BIN_SIZES_M:
            bin_px = (intrinsics[:, :1] * size / depth).clamp(_POOL_PX * 0.7, 4.0 * max(height, width))
            level = (2 * torch.log2(bin_px / _POOL_PX)).round().clamp(0, NUM_LEVELS - 1).long()
            position = centers[:, None] + bin_px[..., None, None] * self.bin_offsets
            cell = ((position + 0.5) * scale[level].flip(-1)[:, :, None] - 0.5).round()
            height_width = table[level][:, :, None]
            limit = height_width.flip(-1) - 1
            inside = ((cell >= 0) & (cell <= limit)).all(-1, keepdim=True)
            cell = torch.minimum(cell.clamp_min(0), limit.to(cell.dtype)).long()
            index = starts[level][..., None] + cell[..., 1] * height_width[..., 1] + cell[..., 0]
            values = pyramid[batch, index]
            orientations = values[..., :NUM_ORIENTATIONS] * (inside * self.bin_weights)
            gradients.append(_root_normalise(orientations.flatten(2)))
            colors.append(_quarters(values[..., NUM_ORIENTATIONS:]).flatten(2))
        return torch.cat(gradients, dim=2), torch.cat(colors, dim=2)

    def _relief(self, patch_depth: Tensor, has_reading: Tensor, centers: Tensor, intrinsics: Tensor) -> Tensor:
        """(B, N, 2 * 16) depth around each patch relative to its own, in windows, at most one window; 0 if unknown."""
        batch_size, rows, cols = patch_depth.shape
        depth = patch_depth.flatten(1)
        batch = torch.arange(batch_size, device=depth.device)[:, None, None]
        parts = []
        for size in RELIEF_SIZES_M:
            bin_px = intrinsics[:, :1] * size / depth
            cell = ((centers[:, None] + bin_px[..., None, None] * self.bin_offsets - 3.5) / PATCH_SIZE).round()
            limit = torch.tensor([cols - 1, rows - 1], device=depth.device)
            inside = ((cell >= 0) & (cell <= limit)).all(-1)
            cell = torch.minimum(cell.clamp_min(0), limit.to(cell.dtype)).long()
            index = cell[..., 1] * cols + cell[..., 0]
            known = inside & has_reading.flatten(1)[batch, index] & has_reading.flatten(1)[..., None]
            step = (depth[batch, index] - depth[..., None]) / (BINS_PER_SIDE * size)
            parts.append(step.clamp(-1, 1) * known)
        return torch.cat(parts, dim=2)


def fill_depth(reading: Tensor, has_reading: Tensor) -> Tensor:
    """(B, rows, cols) depth where holes have the mean of the readings around, in the smallest window that has any."""
    known = has_reading.to(reading.dtype)[:, None]
    depth = reading[:, None] * known
    filled, is_filled = depth, known
    for window in _FILL_WINDOWS:
        weight = functional.avg_pool2d(known, window, stride=1, padding=window // 2)
        mean = functional.avg_pool2d(depth, window, stride=1, padding=window // 2) / weight.clamp_min(1e-6)
        use = (1 - is_filled) * (weight > 1e-6).to(depth.dtype)
        filled = filled + use * mean
        is_filled = is_filled + use
    weight = known.mean((2, 3), keepdim=True)
    rest = torch.where(weight > 0, depth.mean((2, 3), keepdim=True) / weight.clamp_min(1e-6), DEPTH_WITHOUT_READING_M)
    return (filled + (1 - is_filled) * rest)[:, 0]


def _patch_centers(rows: int, cols: int, like: Tensor) -> Tensor:
    """(N, 2) px."""
    v = torch.arange(rows, device=like.device, dtype=like.dtype) * PATCH_SIZE + (PATCH_SIZE - 1) / 2
    u = torch.arange(cols, device=like.device, dtype=like.dtype) * PATCH_SIZE + (PATCH_SIZE - 1) / 2
    return torch.stack([u.repeat(rows), v.repeat_interleave(cols)], dim=1)


def _back_project(centers: Tensor, depth: Tensor, intrinsics: Tensor) -> Tensor:
    """(B, N, 3) points of (N, 2) pixels at (B, N) depth."""
    focal, principal = intrinsics[:, None, :2], intrinsics[:, None, 2:]
    rays = (centers - principal) / focal
    return torch.cat([rays * depth[..., None], depth[..., None]], dim=2)


def _shrink_half_octave(image: Tensor) -> Tensor:
    """(B, C, h / sqrt 2, w / sqrt 2)."""
    height, width = image.shape[2:]
    size = (max(1, round(height / math.sqrt(2))), max(1, round(width / math.sqrt(2))))
    blurred = functional.avg_pool2d(functional.pad(image, (0, 1, 0, 1), mode="replicate"), 2, stride=1)
    return functional.interpolate(blurred, size=size, mode="bilinear", align_corners=False)


def _box_blur(maps: Tensor) -> Tensor:
    """Mean over the pooling square, zeros beyond the border; shifted sums, several times faster than pooling layers."""
    pad = _POOL_PX // 2
    rows = functional.pad(maps, (pad, pad, 0, 0))
    width = maps.shape[3]
    total = sum(rows[..., shift : shift + width] for shift in range(_POOL_PX))
    cols = functional.pad(total, (0, 0, pad, pad))
    height = maps.shape[2]
    return sum(cols[..., shift : shift + height, :] for shift in range(_POOL_PX)) * (1 / _POOL_PX**2)


def _root_normalise(histograms: Tensor) -> Tensor:
    """L2-normalise, cut, L1-normalise, square root: unit L2 norm, zero where there is no content."""
    total = histograms.sum(2, keepdim=True)
    unit = histograms / histograms.norm(dim=2, keepdim=True).clamp_min(1e-12)
    cut = unit.clamp_max(_MAX_COMPONENT)
    root = (cut / cut.sum(2, keepdim=True).clamp_min(1e-12)).sqrt()
    return root * (total > _MIN_GRADIENT * BINS_PER_SIDE**2).to(root.dtype)


def _quarters(colors: Tensor) -> Tensor:
    """(B, N, 4, 3) means over the quarters of a window of (B, N, 16, 3)."""
    return colors.unflatten(2, (2, 2, 2, 2)).mean((3, 5)).flatten(2, 3)


def _gradient_filter() -> Tensor:
    """(2, 1, 9, 9) Gaussian smoothing followed by central differences along u and v."""
    steps = torch.arange(-3, 4, dtype=torch.float64)
    gauss = torch.exp(-(steps**2) / (2 * _SMOOTHING_PX**2))
    gauss = gauss / gauss.sum()
    smooth = torch.outer(gauss, gauss)
    padded = functional.pad(smooth, (1, 1, 1, 1))
    du = functional.pad(padded, (0, 2)) - functional.pad(padded, (2, 0))
    du = du[:, 1:-1]
    dv = (functional.pad(padded, (0, 0, 0, 2)) - functional.pad(padded, (0, 0, 2, 0)))[1:-1]
    return torch.stack([du, dv])[:, None].float()
