# SPDX-License-Identifier: Apache-2.0
"""Dense upright RootSIFT on the patch grid, at several sizes, without any learned weight.

SIFT (Lowe 2004) with a flat spatial window per bin and bilinear weights, as in dense SIFT; RootSIFT after
Arandjelovic and Zisserman (2012). Larger sizes are computed on an image pyramid, so that every size costs less than
the one before, and the image is smoothed in proportion to the size.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.patch_grid import PatchGrid
from xover_core.geometry.camera import scale_pixels
from xover_core.types import Float32Array

NUM_ORIENTATIONS = 8
BINS_PER_SIDE = 4
DESCRIPTOR_DIM = NUM_ORIENTATIONS * BINS_PER_SIDE**2
# Width of a spatial bin at the finest size, odd so that the filters are centred. A patch of size s has 4 bins of s / 2
# a side; the finest size is 10 px, and each pyramid level doubles it.
BIN_WIDTH_PX = 5
SMOOTHING_PX = 1.0
# Components above this share of the norm are cut, so that one strong edge does not drown the rest (Lowe 2004, 6.1).
MAX_COMPONENT = 0.2
# Below this mean gradient (grey levels per px) a patch has no content, and its descriptor is zero.
MIN_GRADIENT = 0.05


def dense_rootsift(rgb: NDArray[np.uint8], grid: PatchGrid, num_sizes: int) -> Float32Array:
    """Describe each patch by RootSIFT at `num_sizes` sizes (10, 20, 40, ... px), concatenated.

    Args:
        rgb: (H, W, 3) image of the grid's working size.
        grid: where the patches are.
        num_sizes: pyramid levels, at least 1.

    Returns:
        (N, 128 * num_sizes) float32; each 128 of unit L2 norm, or zero where there is no texture.
    """
    level = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    parts = []
    for i in range(num_sizes):
        if i:
            half = (level.shape[1] // 2, level.shape[0] // 2)
            level = np.asarray(cv2.resize(level, half, interpolation=cv2.INTER_AREA), dtype=np.float32)
        scale = (level.shape[1] / grid.working_size[0], level.shape[0] / grid.working_size[1])
        parts.append(_describe(level, scale_pixels(grid.centers_px, *scale)))
    return np.concatenate(parts, axis=1)


def _describe(gray: Float32Array, centers_px: Float32Array) -> Float32Array:
    """(N, 128) RootSIFT of one size at (N, 2) centres."""
    maps = _orientation_maps(np.asarray(cv2.GaussianBlur(gray, (0, 0), SMOOTHING_PX), dtype=np.float32))
    pooled = _pool(maps)
    offsets = (np.arange(BINS_PER_SIDE) - (BINS_PER_SIDE - 1) / 2) * BIN_WIDTH_PX
    margin = int(offsets[-1]) + 2
    padded = cv2.copyMakeBorder(pooled, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=[0.0] * 4)
    columns = np.rint(centers_px[:, :1] + offsets).astype(np.intp) + margin
    rows = np.rint(centers_px[:, 1:] + offsets).astype(np.intp) + margin
    histograms = padded[rows[:, :, None], columns[:, None, :]]
    weights = np.exp(-((offsets / BIN_WIDTH_PX) ** 2) / 8).astype(np.float32)
    histograms = histograms * (weights[:, None] * weights[None, :])[None, :, :, None]
    flat = histograms.reshape(len(centers_px), DESCRIPTOR_DIM)
    return _root_normalise(np.asarray(flat, dtype=np.float32))


def _orientation_maps(gray: Float32Array) -> Float32Array:
    """(H, W, 8) gradient magnitude, shared bilinearly between the two nearest orientations."""
    du = cv2.Sobel(gray, cv2.CV_32F, 1, 0, ksize=1)
    dv = cv2.Sobel(gray, cv2.CV_32F, 0, 1, ksize=1)
    magnitude, angle = cv2.cartToPolar(du, dv)
    position = angle * np.float32(NUM_ORIENTATIONS / (2 * np.pi))
    distance = np.abs(position[..., None] - np.arange(NUM_ORIENTATIONS, dtype=np.float32))
    distance = np.minimum(distance, NUM_ORIENTATIONS - distance)
    return np.asarray(magnitude[..., None] * np.maximum(0, 1 - distance), dtype=np.float32)


def _pool(maps: Float32Array) -> Float32Array:
    """Sum each map with a triangle of half-width one bin; two box filters in a row are that triangle."""
    box = (BIN_WIDTH_PX, BIN_WIDTH_PX)
    halves = []
    for part in (maps[..., :4], maps[..., 4:]):
        once = cv2.boxFilter(np.ascontiguousarray(part), -1, box, borderType=cv2.BORDER_CONSTANT)
        halves.append(cv2.boxFilter(once, -1, box, borderType=cv2.BORDER_CONSTANT))
    # running sums may leave a tiny negative value where there is nothing
    return np.asarray(np.maximum(np.concatenate(halves, axis=2), 0), dtype=np.float32)


def _root_normalise(histograms: Float32Array) -> Float32Array:
    """L2-normalise, cut, L1-normalise, square root: unit L2 norm, and the dot product is Hellinger's kernel."""
    total = histograms.sum(axis=1, keepdims=True)
    unit = histograms / np.maximum(np.linalg.norm(histograms, axis=1, keepdims=True), 1e-12)
    cut = np.minimum(unit, MAX_COMPONENT)
    root = np.sqrt(cut / np.maximum(cut.sum(axis=1, keepdims=True), 1e-12))
    has_content = total > MIN_GRADIENT * BINS_PER_SIDE**2
    return np.asarray(np.where(has_content, root, np.float32(0)), dtype=np.float32)
