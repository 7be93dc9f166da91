# SPDX-License-Identifier: Apache-2.0
"""Tests of a view's tokens: which features they hold, known colours and depths, any size, and no depth."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.encoders.light_scene_encoder import VIEW_BACKBONE
from xover_core.encoders.view_tokens import TOKEN_GRID, ViewTokenizer
from xover_core.inference.compact_session import make_compact_session
from xover_core.types import CameraIntrinsics, RgbdFrame

SIZES = ((320, 240), (640, 480), (97, 70), (64, 48))
# float32 sums over a cell
TOLERANCE = 1e-5
# the root of a difference of float32 squares
SPREAD_TOLERANCE = 2e-3
# the unit of depth in tokens, m
UNIT = 3.0


class FakeSession:
    """Features that are the number of their radius, and for the first one the column of the patch."""

    descriptor_dim = 2

    def __init__(self, radii=(0.05, 0.2, 0.6, 2.0)):
        self.radii = radii

    def run(self, image, depth, intrinsics):
        self.inputs = image, depth, intrinsics
        rows, columns = depth.shape[1] // 8, depth.shape[2] // 8
        column = np.tile(np.arange(columns, dtype=np.float32), rows)
        return tuple(
            np.stack([np.full(rows * columns, number, np.float32), column], axis=1) for number in range(len(self.radii))
        )


def make_frame(size=(320, 240), color=(255, 0, 51), depth=2.0):
    width, height = size
    camera = CameraIntrinsics(
        fx=0.8 * width, fy=0.8 * width, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height
    )
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:] = color
    image = None if depth is None else np.full((height, width), depth, np.float32)
    return RgbdFrame(stamp_ns=0, rgb=rgb, depth=image, intrinsics=camera)


def grid_of(tokens):
    return tokens.reshape(*TOKEN_GRID, -1)


def test_the_radii_that_are_nearest_are_taken():
    assert grid_of(ViewTokenizer(FakeSession()).tokens(make_frame()))[0, 0, [0, 2]].tolist() == [1, 3]
    assert grid_of(ViewTokenizer(FakeSession((0.1, 1.5))).tokens(make_frame()))[0, 0, [0, 2]].tolist() == [0, 1]


@pytest.mark.parametrize("size", SIZES)
def test_images_of_every_size_have_the_same_tokens(size):
    session = FakeSession()
    tokenizer = ViewTokenizer(session)
    tokens = tokenizer.tokens(make_frame(size))
    assert tokens.shape == (48, 2 * 2 + 6 + 5) == (tokenizer.num_tokens, tokenizer.token_dim)
    assert tokens.dtype == np.float32
    assert np.isfinite(tokens).all()
    assert session.inputs[0].shape[2] == 120
    assert session.inputs[2].tolist()[0][0] == pytest.approx(0.8 * session.inputs[0].shape[3], rel=0.05)
    grid = grid_of(tokens)
    np.testing.assert_allclose(grid[..., 4:7], np.broadcast_to((0.5, -0.5, -0.3), (6, 8, 3)), atol=TOLERANCE)
    np.testing.assert_allclose(grid[..., 7:10], 0, atol=TOLERANCE)
    np.testing.assert_allclose(grid[..., 12], 2 / UNIT, atol=TOLERANCE)
    np.testing.assert_allclose(grid[..., 13], 1, atol=TOLERANCE)
    np.testing.assert_allclose(grid[..., 14], 0, atol=SPREAD_TOLERANCE)


def test_tokens_are_cells_of_the_image():
    frame = make_frame()
    columns = grid_of(ViewTokenizer(FakeSession()).tokens(frame))[..., 1]
    # 20 columns of patches in 8 cells: means of 2.5 of them
    np.testing.assert_allclose(columns[0, :2], [(0 + 1 + 0.5 * 2) / 2.5, (0.5 * 2 + 3 + 4) / 2.5], atol=TOLERANCE)
    np.testing.assert_allclose(columns, columns[:1].repeat(6, axis=0), atol=TOLERANCE)
    frame.rgb[:120] = 255
    colors = grid_of(ViewTokenizer(FakeSession()).tokens(frame))[..., 5]
    # the middle row of patches is cut in two by the border between the cells
    np.testing.assert_allclose(colors[:, 0], [0.5, 0.5, 0.4, -0.4, -0.5, -0.5], atol=TOLERANCE)


def test_positions_are_means_of_points():
    grid = grid_of(ViewTokenizer(FakeSession()).tokens(make_frame(depth=2.0)))
    # the axis is in the middle of the image; the outermost cells have patches 0, 1 and half of 2, of 20 and of 15
    half, middle = 0.5 / 0.8 * 2.0 / UNIT, (0.5 + 1.5 + 0.5 * 2.5) / 2.5
    np.testing.assert_allclose(grid[:, 0, 10], (middle / 10 - 1) * half, atol=TOLERANCE)
    np.testing.assert_allclose(grid[:, 7, 10], (1 - middle / 10) * half, atol=TOLERANCE)
    np.testing.assert_allclose(grid[0, :, 11], (middle / 7.5 - 1) * half * 0.75, atol=TOLERANCE)


def test_missing_readings_are_left_out_of_the_means():
    frame = make_frame()
    frame.depth[:, :160] = 0
    frame.depth[::3, 160:] = np.nan
    grid = grid_of(ViewTokenizer(FakeSession()).tokens(frame))
    assert not grid[:, :4, 10:].any()
    np.testing.assert_allclose(grid[:, 4:, 12], 2 / UNIT, atol=TOLERANCE)
    np.testing.assert_allclose(grid[:, 4:, 13], 2 / 3, atol=0.05)
    assert np.isfinite(grid).all()


def test_the_spread_is_that_of_the_depth():
    frame = make_frame()
    frame.depth[:, ::32] = 2.0
    frame.depth[:] = np.where(np.arange(320) // 2 % 2, 1.0, 3.0)
    spread = grid_of(ViewTokenizer(FakeSession()).tokens(frame))[..., 14]
    np.testing.assert_allclose(spread, 1 / UNIT, atol=0.02)


def test_without_depth_the_colours_are_there():
    with_depth, without = (ViewTokenizer(FakeSession()).tokens(make_frame(depth=depth)) for depth in (2.0, None))
    assert not without[:, -5:].any()
    np.testing.assert_array_equal(without[:, :-5], with_depth[:, :-5])


def test_the_shipped_backbone_gives_tokens():
    tokenizer = ViewTokenizer(make_compact_session(VIEW_BACKBONE))
    frame = make_frame()
    frame.rgb[:] = np.random.default_rng(0).integers(0, 256, frame.rgb.shape)
    tokens = tokenizer.tokens(frame)
    assert tokens.shape == (48, 2 * 128 + 11)
    # means of features of norm 1 at most
    norms = [np.linalg.norm(part, axis=1).max() for part in (tokens[:, :128], tokens[:, 128:256])]
    assert 0.1 < min(norms) <= max(norms) < 1 + TOLERANCE
