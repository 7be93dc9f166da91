# SPDX-License-Identifier: Apache-2.0
"""Dense RootSIFT: invariances, and one patch by the textbook."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from xover_core.encoders.dense_rootsift import dense_rootsift
from xover_core.encoders.patch_grid import make_patch_grid

# Lowe's descriptor, said again
BINS_PER_SIDE, NUM_ORIENTATIONS, DESCRIPTOR_DIM = 4, 8, 128
MAX_COMPONENT = 0.2
BIN_WIDTH_PX = 5  # of a patch of 10 px
GRID = make_patch_grid(160, 120, 120)
# float32 sums over up to a thousand pixels
TOLERANCE = 2e-4
# Patches at least this far from the border see nothing of it at all three sizes: the largest window has a
# half-width of 4 bins of 20 px.
MARGIN = 11


@pytest.fixture
def gray(random):
    """A (120, 160) image of blobs with values of 40 to 100, so that it can be made brighter without clipping."""
    noise = random.normal(size=(120, 160)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return (40 + 60 * (smooth - smooth.min()) / np.ptp(smooth)).round().astype(np.uint8)


def describe(gray: np.ndarray, num_sizes: int = 3) -> np.ndarray:
    grid = make_patch_grid(gray.shape[1], gray.shape[0], gray.shape[0])
    return dense_rootsift(np.repeat(gray[..., None], 3, axis=2), grid, num_sizes)


def reference(gray: np.ndarray, center: tuple[float, float]) -> np.ndarray:
    """SIFT of one 10 px patch, with loops: each pixel votes for 4 x 4 bins and 2 orientations."""
    smooth = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 1.0).astype(np.float64)
    histogram = np.zeros((BINS_PER_SIDE, BINS_PER_SIDE, NUM_ORIENTATIONS))
    bin_centers = (np.arange(BINS_PER_SIDE) - 1.5) * BIN_WIDTH_PX
    for v in range(1, gray.shape[0] - 1):
        for u in range(1, gray.shape[1] - 1):
            du, dv = smooth[v, u + 1] - smooth[v, u - 1], smooth[v + 1, u] - smooth[v - 1, u]
            position = np.arctan2(dv, du) / (2 * np.pi) * NUM_ORIENTATIONS
            for i, j in np.ndindex(BINS_PER_SIDE, BINS_PER_SIDE):
                far = [abs(v - center[1] - bin_centers[i]), abs(u - center[0] - bin_centers[j])]
                weight = np.prod([max(0.0, 1 - f / BIN_WIDTH_PX) for f in far])
                weight *= np.exp(-(bin_centers[i] ** 2 + bin_centers[j] ** 2) / (2 * (2 * BIN_WIDTH_PX) ** 2))
                low = int(np.floor(position))
                votes = weight * np.hypot(du, dv)
                histogram[i, j, low % 8] += votes * (low + 1 - position)
                histogram[i, j, (low + 1) % 8] += votes * (position - low)
    cut = np.minimum(histogram.ravel() / np.linalg.norm(histogram), MAX_COMPONENT)
    return np.sqrt(cut / cut.sum())


@pytest.mark.parametrize("row", [7 * 20 + 9, 3 * 20 + 4])
def test_one_patch_agrees_with_the_textbook(gray, row):
    u, v = GRID.centers_px[row]
    low_u, low_v = int(u) - 17, int(v) - 17
    window = gray[max(low_v, 0) : low_v + 36, max(low_u, 0) : low_u + 36]
    expected = reference(window, (u - max(low_u, 0), v - max(low_v, 0)))
    np.testing.assert_allclose(describe(gray)[row, :DESCRIPTOR_DIM], expected, atol=TOLERANCE)


def test_larger_sizes_are_the_finest_of_a_smaller_image(gray):
    half = cv2.resize(gray.astype(np.float32), (80, 60), interpolation=cv2.INTER_AREA)
    row = 7 * 20 + 9
    expected = reference(half, tuple((GRID.centers_px[row] + 0.5) / 2 - 0.5))
    got = describe(gray)[row, DESCRIPTOR_DIM : 2 * DESCRIPTOR_DIM]
    np.testing.assert_allclose(got, expected, atol=TOLERANCE)


def test_each_size_has_unit_norm(gray):
    parts = describe(gray).reshape(300, 3, DESCRIPTOR_DIM)
    assert parts.dtype == np.float32
    assert (parts >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(parts, axis=2), 1, atol=1e-5)


def test_brightness_does_not_matter(gray):
    np.testing.assert_allclose(describe(gray + 50), describe(gray), atol=TOLERANCE)


def test_contrast_does_not_matter(gray):
    np.testing.assert_allclose(describe(gray * 2), describe(gray), atol=TOLERANCE)


def test_a_negative_turns_the_orientations_by_half():
    ramp = np.tile(np.arange(0, 160, dtype=np.uint8), (120, 1))
    histograms = describe(ramp, 1).reshape(-1, 16, NUM_ORIENTATIONS)
    negative = describe(255 - ramp, 1).reshape(-1, 16, NUM_ORIENTATIONS)
    np.testing.assert_allclose(negative, np.roll(histograms, 4, axis=2), atol=TOLERANCE)
    inner = histograms[7 * 20 + 9]
    # brighter to the right: orientation 0 holds everything
    assert inner[:, 0].min() > 0.2
    np.testing.assert_allclose(inner[:, 1:], 0, atol=1e-3)


def test_a_shift_by_a_stride_shifts_by_a_patch(random):
    gray = cv2.GaussianBlur(random.integers(0, 255, (240, 320), dtype=np.uint8), (0, 0), 2)
    shifted = np.roll(gray, (8, -16), axis=(0, 1))
    before = describe(gray).reshape(30, 40, -1)
    after = describe(shifted).reshape(30, 40, -1)
    inside = (slice(MARGIN, -MARGIN - 1), slice(MARGIN + 2, -MARGIN))
    moved = after[MARGIN + 1 : -MARGIN, MARGIN : -MARGIN - 2]
    np.testing.assert_allclose(moved, before[inside], atol=TOLERANCE)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_blank_image_has_no_content(value):
    assert not describe(np.full((120, 160), value, np.uint8)).any()


def test_only_the_blank_half_has_no_content(gray):
    gray[:, 80:] = 60
    parts = describe(gray).reshape(15, 20, 3, DESCRIPTOR_DIM)
    assert parts[:, :9, 0].any(axis=-1).all()
    assert not parts[:, 13:, 0].any()
    # larger patches see the textured half from farther away
    assert parts[:, 13, 2].any()


@pytest.mark.parametrize("shape", [(8, 8), (8, 64), (64, 8)])
def test_images_smaller_than_a_descriptor_are_described(shape, random):
    descriptors = describe(random.integers(0, 255, shape, dtype=np.uint8))
    assert descriptors.shape == (shape[0] * shape[1] // 64, 3 * DESCRIPTOR_DIM)
    assert np.isfinite(descriptors).all()
