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
# Reach of the gradient filter: three deviations of the smoothing and one px of the difference.
_FILTER_REACH_PX = 4
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
        smoothing, slope = _gradient_filters()
        self.register_buffer("smoothing_filter", smoothing, persistent=False)
        self.register_buffer("slope_filter", slope, persistent=False)
        angles = torch.arange(NUM_ORIENTATIONS) * (2 * math.pi / NUM_ORIENTATIONS)
        directions = torch.stack([angles.cos(), angles.sin()], dim=1)[:, :, None, None]
        self.register_buffer("directions", directions, persistent=False)
        steps = torch.arange(BINS_PER_SIDE) - (BINS_PER_SIDE - 1) / 2
        self.register_buffer("bin_offsets", torch.cartesian_prod(steps, steps).flip(1), persistent=False)
        weights = torch.exp(-(steps**2) / 8)
        self.register_buffer("bin_weights", torch.outer(weights, weights).flatten(), persistent=False)
        self.register_buffer("bin_sizes", torch.tensor(BIN_SIZES_M), persistent=False)
        self.register_buffer("relief_sizes", torch.tensor(RELIEF_SIZES_M), persistent=False)
        self.smoothing_filter: Tensor
        self.slope_filter: Tensor
        self.directions: Tensor
        self.bin_offsets: Tensor
        self.bin_weights: Tensor
        self.bin_sizes: Tensor
        self.relief_sizes: Tensor

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
        colors = _extend(torch.stack([gray, red - green, (red + green) / 2 - blue], dim=1), _FILTER_REACH_PX)
        gradient = self._gradient(colors[:, :1])
        magnitude = (gradient**2).sum(1, keepdim=True).clamp_min(1e-12).sqrt()
        cosine = functional.conv2d(gradient / magnitude, self.directions).clamp_min(0)
        for _ in range(_ORIENTATION_SQUARINGS):
            cosine = cosine * cosine
        maps = _box_blur(_box_blur(cosine * magnitude, padding=_POOL_PX // 2), padding=_POOL_PX // 2)
        rest = _FILTER_REACH_PX - _POOL_PX // 2
        return torch.cat([maps, _box_blur(colors[..., rest:-rest, rest:-rest], padding=0)], dim=1)

    def _gradient(self, gray: Tensor) -> Tensor:
        """(B, 2, h, w) smoothed derivatives along u and v of (B, 1, h + 8, w + 8), by rows and by columns."""
        smooth, slope = self.smoothing_filter, self.slope_filter
        along_u = functional.conv2d(functional.conv2d(gray, slope[:, :, None]), smooth[..., None])
        along_v = functional.conv2d(functional.conv2d(gray, smooth[:, :, None]), slope[..., None])
        return torch.cat([along_u[..., 1:-1, :], along_v[..., 1:-1]], dim=1)

    def _read_windows(
        self, pyramid: Tensor, sizes: list[tuple[int, int]], centers: Tensor, depth: Tensor, intrinsics: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, N, S * 128) RootSIFT and (B, N, S * 12) colours of the S window sizes."""
        height, width = sizes[0]
        table = torch.tensor(sizes, device=pyramid.device)
        starts = functional.pad(torch.cumsum(table[:, 0] * table[:, 1], 0), (1, 0))
        bin_px = intrinsics[:, :1, None] * self.bin_sizes / depth[..., None]
        bin_px = bin_px.clamp(_POOL_PX * 0.7, 4.0 * max(height, width))
        level = (2 * torch.log2(bin_px / _POOL_PX)).round().clamp(0, NUM_LEVELS - 1).long()
        positions = []
        for axis, full in ((0, width), (1, height)):
            position = centers[:, None, None, axis] + bin_px[..., None] * self.bin_offsets[:, axis]
            scale = table[:, 1 - axis].to(pyramid.dtype) / full
            positions.append((position + 0.5) * scale[level][..., None] - 0.5)
        level_height, level_width = table[:, 0][level][..., None], table[:, 1][level][..., None]
        column, row, is_inside = _nearest_cells(positions[0], positions[1], level_width - 1, level_height - 1)
        values = _gather_rows(pyramid, starts[level][..., None] + row * level_width + column)
        orientations = values[..., :NUM_ORIENTATIONS] * (is_inside * self.bin_weights)[..., None]
        gradients = _root_normalise(orientations.flatten(3))
        return gradients.flatten(2), _quarters(values[..., NUM_ORIENTATIONS:]).flatten(2)

    def _relief(self, patch_depth: Tensor, has_reading: Tensor, centers: Tensor, intrinsics: Tensor) -> Tensor:
        """(B, N, 2 * 16) depth around each patch relative to its own, in windows, at most one window; 0 if unknown."""
        rows, cols = patch_depth.shape[1:]
        depth, known = patch_depth.flatten(1), has_reading.flatten(1).to(patch_depth.dtype)
        bin_px = (intrinsics[:, :1, None] * self.relief_sizes / depth[..., None])[..., None]
        positions = [
            (centers[:, None, None, axis] + bin_px * self.bin_offsets[:, axis] - (PATCH_SIZE - 1) / 2) / PATCH_SIZE
            for axis in (0, 1)
        ]
        last_column, last_row = (torch.full((1,), size - 1, device=depth.device) for size in (cols, rows))
        column, row, is_inside = _nearest_cells(positions[0], positions[1], last_column, last_row)
        around = _gather_rows(torch.stack([depth, known], dim=2), row * cols + column)
        step = (around[..., 0] - depth[..., None, None]) / (BINS_PER_SIDE * self.relief_sizes[:, None])
        is_known = is_inside * around[..., 1] * known[..., None, None]
        return (step.clamp(-1, 1) * is_known).flatten(2)


def _nearest_cells(u: Tensor, v: Tensor, last_column: Tensor, last_row: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whole columns and rows inside a map for positions of any shape, and whether they were inside before.

    Columns and rows on their own: on a last axis of two runtimes are slow.
    """
    column, row = u.round(), v.round()
    is_inside = (column >= 0) & (column <= last_column) & (row >= 0) & (row <= last_row)
    column = torch.minimum(column.clamp_min(0), last_column.to(u.dtype)).long()
    row = torch.minimum(row.clamp_min(0), last_row.to(v.dtype)).long()
    return column, row, is_inside


def _gather_rows(table: Tensor, index: Tensor) -> Tensor:
    """(B, ..., C) rows of a (B, cells, C) table at (B, ...) indices; by one gather from one table for all."""
    batch_size, num_cells, num_channels = table.shape
    starts = torch.arange(batch_size, device=table.device) * num_cells
    flat = (index.flatten(1) + starts[:, None]).flatten()
    return table.flatten(0, 1).index_select(0, flat).reshape(*index.shape, num_channels)


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
    return torch.stack([u.expand(rows, cols), v[:, None].expand(rows, cols)], dim=2).flatten(0, 1)


def _back_project(centers: Tensor, depth: Tensor, intrinsics: Tensor) -> Tensor:
    """(B, N, 3) points of (N, 2) pixels at (B, N) depth."""
    focal, principal = intrinsics[:, None, :2], intrinsics[:, None, 2:]
    rays = (centers - principal) / focal
    return torch.cat([rays * depth[..., None], depth[..., None]], dim=2)


def _shrink_half_octave(image: Tensor) -> Tensor:
    """(B, C, h / sqrt 2, w / sqrt 2)."""
    size = _over_sqrt2(image.shape[2]), _over_sqrt2(image.shape[3])
    padded = torch.cat([image, image[..., -1:]], dim=3)
    padded = torch.cat([padded, padded[..., -1:, :]], dim=2)
    blurred = functional.avg_pool2d(padded, 2, stride=1)
    return functional.interpolate(blurred, size=size, mode="bilinear", align_corners=False)


def _extend(maps: Tensor, margin: int) -> Tensor:
    """Repeat the border of (B, C, h, w) maps outwards. Exporters turn the padding layer into slow gathers."""
    wide = torch.cat([*[maps[..., :1]] * margin, maps, *[maps[..., -1:]] * margin], dim=3)
    return torch.cat([*[wide[..., :1, :]] * margin, wide, *[wide[..., -1:, :]] * margin], dim=2)


def _over_sqrt2(length: int) -> int:
    """The nearest whole number, in whole numbers: exporters know no other way to round a size."""
    return (length * 141_421_356 + 100_000_000) // 200_000_000


def _box_blur(maps: Tensor, *, padding: int) -> Tensor:
    """Mean over the pooling square, zeros beyond the border."""
    if torch.compiler.is_compiling():  # also while exporting
        # four times as fast in ONNX Runtime as a convolution; in torch it is the other way round
        return functional.avg_pool2d(maps, _POOL_PX, 1, padding)
    channels = maps.shape[1]
    kernel = maps.new_full((channels, 1, _POOL_PX, _POOL_PX), 1 / _POOL_PX**2)
    return functional.conv2d(maps, kernel, padding=padding, groups=channels)


def _root_normalise(histograms: Tensor) -> Tensor:
    """L2-normalise, cut, L1-normalise, square root: unit L2 norm, zero where there is no content."""
    total = histograms.sum(-1, keepdim=True)
    norm = (histograms * histograms).sum(-1, keepdim=True).sqrt()
    cut = (histograms / norm.clamp_min(1e-12)).clamp_max(_MAX_COMPONENT)
    root = (cut / cut.sum(-1, keepdim=True).clamp_min(1e-12)).sqrt()
    return root * (total > _MIN_GRADIENT * BINS_PER_SIDE**2).to(root.dtype)


def _quarters(colors: Tensor) -> Tensor:
    """(..., 4, 3) means over the quarters of a window of (..., 16, 3)."""
    shape = colors.shape[:-2]
    half = BINS_PER_SIDE // 2
    return colors.reshape(*shape, half, 2, half, 2, 3).mean((-4, -2)).flatten(-3, -2)


def _gradient_filters() -> tuple[Tensor, Tensor]:
    """(1, 1, 7) Gaussian smoothing, and (1, 1, 9) the same followed by central differences."""
    steps = torch.arange(-3, 4, dtype=torch.float64)
    gauss = torch.exp(-(steps**2) / (2 * _SMOOTHING_PX**2))
    gauss = gauss / gauss.sum()
    slope = functional.pad(gauss, (2, 0)) - functional.pad(gauss, (0, 2))
    return gauss[None, None].float(), -slope[None, None].float()
