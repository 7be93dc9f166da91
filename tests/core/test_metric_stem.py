# SPDX-License-Identifier: Apache-2.0
"""Descriptors in windows of metric size: the same surface gives the same ones from near and far, with right depth."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from xover_core.networks.metric_stem import (
    BIN_SIZES_M,
    DEPTH_WITHOUT_READING_M,
    GRADIENTS_DIM,
    PATCH_SIZE,
    STEM_DIM,
    MetricStem,
)

ROWS, COLS = 23, 31
HEIGHT, WIDTH = ROWS * PATCH_SIZE, COLS * PATCH_SIZE
FOCAL = 200.0
# the axis goes through the middle of the middle patch, so that patches stay patches when the distance doubles
CAMERA = torch.tensor([[FOCAL, FOCAL, (WIDTH - 1) / 2, (HEIGHT - 1) / 2]])
NEAR_M = 1.6
# bins are read at whole pixels of half octaves, and the smallest are hardly wider than one from afar: measured 0.97
MIN_SAME_COSINE = 0.95
# unlike places of this wall have 0.8 to 0.9, since all components are positive: what is left to 1 counts
MIN_TIMES_WORSE = 3.0
# float32 square roots of sums of 128
NORM_TOLERANCE = 1e-4
# brightness moves the last digits of gradients, and with them small components
BRIGHTNESS_TOLERANCE = 2e-3
POINT_TOLERANCE_M = 1e-5


@pytest.fixture(scope="module")
def stem() -> MetricStem:
    torch.set_num_threads(1)
    return MetricStem()


def wall_image(distance: float) -> Tensor:
    """(1, 3, H, W) a wall of soft blobs of 4 to 60 cm, seen frontally; 3 x 3 rays a pixel."""
    generator = torch.Generator().manual_seed(0)
    v, u = torch.meshgrid(torch.arange(3 * HEIGHT), torch.arange(3 * WIDTH), indexing="ij")
    x = ((u + 0.5) / 3 - 0.5 - CAMERA[0, 2]) / FOCAL * distance
    y = ((v + 0.5) / 3 - 0.5 - CAMERA[0, 3]) / FOCAL * distance
    places = torch.stack([x, y], dim=-1)[None]
    wall = torch.zeros(1, 3, 3 * HEIGHT, 3 * WIDTH)
    for cell in (0.04, 0.1, 0.25, 0.6):
        blobs = torch.rand(1, 3, 101, 101, generator=generator) - 0.5
        wall += functional.grid_sample(blobs, places / (50 * cell), align_corners=True, padding_mode="reflection")
    return functional.avg_pool2d(wall, 3) * 0.3 + 0.5


def flat_depth(distance: float) -> Tensor:
    return torch.full((1, HEIGHT, WIDTH), distance)


def grid(values: Tensor) -> Tensor:
    """(rows, cols, ...) of (1, N, ...)."""
    return values[0].unflatten(0, (ROWS, COLS))


def windows(descriptors: Tensor) -> Tensor:
    """(..., window sizes, 128) gradients of descriptors."""
    return descriptors[..., :GRADIENTS_DIM].unflatten(-1, (len(BIN_SIZES_M), -1))


def middle(values: Tensor, reach: int, step: int = 1) -> Tensor:
    """Patches of a (rows, cols, ...) grid, `step` patches apart, `reach` steps around the middle."""
    rows = ROWS // 2 + step * torch.arange(-reach, reach + 1)
    cols = COLS // 2 + step * torch.arange(-reach, reach + 1)
    return values[rows][:, cols]


def same_wall_cosines(stem: MetricStem, assumed_far_m: float) -> Tensor:
    """(window sizes,) mean likeness of patches of the wall from near, and from twice as far."""
    near, _ = stem(wall_image(NEAR_M), flat_depth(NEAR_M), CAMERA)
    far, _ = stem(wall_image(2 * NEAR_M), flat_depth(assumed_far_m), CAMERA)
    # a patch covers half as much from near
    return (middle(windows(grid(near)), 1, step=2) * middle(windows(grid(far)), 1)).sum(-1).mean((0, 1))


def test_a_surface_looks_the_same_from_twice_the_distance(stem):
    assert same_wall_cosines(stem, 2 * NEAR_M).min() > MIN_SAME_COSINE


def test_with_wrong_depth_it_does_not(stem):
    right, wrong = same_wall_cosines(stem, 2 * NEAR_M), same_wall_cosines(stem, NEAR_M)
    assert ((1 - wrong) > MIN_TIMES_WORSE * (1 - right)).all()


def test_points_fit_those_of_the_image_at_half_the_size(stem):
    image = wall_image(NEAR_M)[..., : HEIGHT - 8, : WIDTH - 8]
    half = functional.avg_pool2d(image, 2)
    fx, fy, cx, cy = CAMERA[0]
    half_camera = torch.tensor([[fx / 2, fy / 2, (cx + 0.5) / 2 - 0.5, (cy + 0.5) / 2 - 0.5]])
    _, points = stem(image, flat_depth(NEAR_M)[:, : HEIGHT - 8, : WIDTH - 8], CAMERA)
    _, half_points = stem(half, flat_depth(NEAR_M)[:, : half.shape[2], : half.shape[3]], half_camera)
    # four patches are one of the half image
    mean = points[0].unflatten(0, (ROWS // 2, 2, COLS // 2, 2)).mean((1, 3)).flatten(0, 1)
    torch.testing.assert_close(half_points[0], mean, atol=POINT_TOLERANCE_M, rtol=0)


def test_points_are_the_patch_centres_at_their_depth(stem):
    patch_depth = 1.0 + 0.05 * torch.arange(ROWS * COLS).view(1, ROWS, COLS)
    depth = patch_depth.repeat_interleave(PATCH_SIZE, 1).repeat_interleave(PATCH_SIZE, 2)
    camera = torch.tensor([[190.0, 210.0, 100.25, 80.5]])
    descriptors, points = stem(torch.rand(1, 3, HEIGHT, WIDTH), depth, camera)
    assert descriptors.shape == (1, ROWS * COLS, STEM_DIM)
    assert descriptors.isfinite().all()
    pixels = points[..., :2] / points[..., 2:] * camera[:, :2] + camera[:, 2:]
    torch.testing.assert_close(grid(points)[..., 2], patch_depth[0])
    for row, col in ((0, 0), (5, 17), (ROWS - 1, COLS - 1)):
        u, v = grid(pixels)[row, col].tolist()
        assert (u, v) == pytest.approx((8 * col + 3.5, 8 * row + 3.5), abs=1e-3)


def test_holes_take_depth_from_around(stem):
    depth = flat_depth(3.0)
    depth[:, :, WIDTH // 2 :] = 5.0
    depth[:, 40:80, 32:56] = 0.0
    depth[:, 40:80, -16:] = 0.0
    _, points = stem(wall_image(NEAR_M), depth, CAMERA)
    filled = grid(points)[..., 2]
    torch.testing.assert_close(filled[5:10, 4:7], torch.full((5, 3), 3.0))
    torch.testing.assert_close(filled[5:10, -2:], torch.full((5, 2), 5.0))
    # what has a reading keeps it
    assert (filled[0, : COLS // 2] == 3.0).all()
    assert (filled[0, COLS // 2 + 1 :] == 5.0).all()


def test_a_frame_without_depth_is_taken_at_the_usual_distance(stem):
    image = wall_image(NEAR_M)
    without, points = stem(image, torch.zeros(1, HEIGHT, WIDTH), CAMERA)
    torch.testing.assert_close(points[..., 2], torch.full((1, ROWS * COLS), DEPTH_WITHOUT_READING_M))
    usual, _ = stem(image, flat_depth(DEPTH_WITHOUT_READING_M), CAMERA)
    torch.testing.assert_close(without[..., :GRADIENTS_DIM], usual[..., :GRADIENTS_DIM])
    # ... but the descriptors tell a guess from a reading
    assert (without - usual).abs().amax(2).min() > 0.5


def test_windows_have_unit_length_and_flat_ones_are_zero(stem):
    described, _ = stem(wall_image(NEAR_M), flat_depth(NEAR_M), CAMERA)
    lengths = windows(described).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), atol=NORM_TOLERANCE, rtol=0)
    flat, _ = stem(torch.full((1, 3, HEIGHT, WIDTH), 0.4), flat_depth(NEAR_M), CAMERA)
    assert (windows(flat) == 0).all()
    # half of the image is flat: no window is anything between
    half = wall_image(NEAR_M)
    half[..., : WIDTH // 2] = 0.5
    mixed, _ = stem(half, flat_depth(NEAR_M), CAMERA)
    lengths = windows(mixed).norm(dim=-1)
    assert ((lengths < NORM_TOLERANCE) | ((lengths - 1).abs() < NORM_TOLERANCE)).all()
    assert (lengths == 0).any()


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.0), (1.0, -0.1), (0.7, 0.2)])
def test_gradients_ignore_brightness(stem, gain, offset):
    image = wall_image(NEAR_M)
    before, _ = stem(image, flat_depth(NEAR_M), CAMERA)
    after, _ = stem(gain * image + offset, flat_depth(NEAR_M), CAMERA)
    torch.testing.assert_close(
        after[..., :GRADIENTS_DIM], before[..., :GRADIENTS_DIM], atol=BRIGHTNESS_TOLERANCE, rtol=0
    )


def test_frames_of_a_batch_do_not_mix(stem):
    images = torch.cat([wall_image(NEAR_M), wall_image(2 * NEAR_M)])
    depth = torch.cat([flat_depth(NEAR_M), torch.zeros(1, HEIGHT, WIDTH)])
    cameras = torch.cat([CAMERA, 1.1 * CAMERA])
    together = stem(images, depth, cameras)
    for number in (0, 1):
        alone = stem(images[number : number + 1], depth[number : number + 1], cameras[number : number + 1])
        for part, whole in zip(alone, together, strict=True):
            torch.testing.assert_close(part[0], whole[number])
