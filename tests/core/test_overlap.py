# SPDX-License-Identifier: Apache-2.0
"""Tests of patch positions, of which frames see a point, and of overlaps, in a box room and before flat walls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from box_room import CAMERA, look_at, room_frame

from xover_core.errors import TrainingError
from xover_core.geometry.camera import project
from xover_core.geometry.transforms import invert, transform_points
from xover_core.training.frame_geometry import (
    FrameGeometry,
    VisibilitySettings,
    make_frame_geometry,
    seen_by,
)
from xover_core.training.overlap import overlap_matrix
from xover_core.types import Float32Array, Mat4

NUM_PATCHES = 8 * 10
# half a pixel of the nearest sample, at the far end of the box
POINT_TOLERANCE = 0.1
STRICT = VisibilitySettings(depth_tolerance=0.01, depth_tolerance_relative=0.0)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def room_geometry(poses: list[Mat4]) -> FrameGeometry:
    """Views of the box room."""
    depths = [room_frame(T).depth for T in poses]
    return make_frame_geometry([d for d in depths if d is not None], [CAMERA] * len(poses), poses)


def wall_geometry(depths: list[Float32Array], positions_z: list[float], offset: float = 0.0) -> FrameGeometry:
    """Cameras that all look along z."""
    poses = [np.eye(4) for _ in depths]
    for pose, z in zip(poses, positions_z, strict=True):
        pose[:3, 3] = offset, offset, offset + z
    return make_frame_geometry(depths, [CAMERA] * len(depths), poses)


def wall(distance: float) -> Float32Array:
    return np.full((CAMERA.height, CAMERA.width), distance, np.float32)


def test_patches_lie_on_the_walls_row_by_row() -> None:
    geometry = room_geometry([look_at((0.5, 0.2, 0.1), 30.0)])
    points = geometry.points_world[0].numpy()
    assert geometry.points_world.shape == (1, NUM_PATCHES, 3)
    distances = (np.array([3.0, 2.5, 1.5]) - np.abs(points)).min(axis=1)
    assert np.abs(distances).max() < POINT_TOLERANCE
    # the second patch lies to the right of the first, the eleventh below
    pixels = project(transform_points(geometry.T_camera_world[0].numpy(), points), CAMERA)
    np.testing.assert_allclose(pixels[[0, 1, 10]], [[3.5, 3.5], [11.5, 3.5], [3.5, 11.5]], atol=1e-3)


def test_a_frame_overlaps_wholly_with_itself_and_not_with_what_is_behind_it() -> None:
    ahead, behind = look_at((0.0, 0.0, 0.0), 0.0), look_at((0.0, 0.0, 0.0), 180.0)
    overlaps = overlap_matrix(room_geometry([ahead, ahead, behind]))
    assert overlaps.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


def test_overlap_is_the_share_of_the_first_frame_that_the_second_sees() -> None:
    """From half the distance, a camera sees the middle quarter of the wall."""
    overlaps = overlap_matrix(wall_geometry([wall(4.0), wall(2.0)], [0.0, 2.0]))
    assert overlaps[1, 0] == 1
    # 8 x 10 patches; the middle 4 x 5, with the column that lies on the border
    assert overlaps[0, 1] == pytest.approx(4 * 5 / NUM_PATCHES, abs=4 / NUM_PATCHES)


def test_what_is_hidden_is_not_seen() -> None:
    occluded = wall(4.0)
    occluded[:, :40] = 1.0
    overlaps = overlap_matrix(wall_geometry([wall(4.0), occluded], [0.0, 0.0]))
    assert overlaps.tolist() == [[1, 0.5], [0.5, 1]]


def test_patches_without_depth_do_not_count() -> None:
    half, nothing = wall(4.0), wall(0.0)
    half[:, 40:] = 0
    geometry = wall_geometry([wall(4.0), half, nothing], [0.0] * 3)
    assert geometry.has_point.sum(1).tolist() == [NUM_PATCHES, NUM_PATCHES // 2, 0]
    assert overlap_matrix(geometry).tolist() == [[1, 0.5, 0], [1, 1, 0], [0, 0, 0]]


def test_depth_must_agree_within_the_tolerance() -> None:
    geometry = wall_geometry([wall(4.0), wall(4.03)], [0.0, 0.0])
    assert overlap_matrix(geometry)[0, 1] == 1
    assert overlap_matrix(geometry, STRICT)[0, 1] == 0


def test_far_from_the_origin_nothing_changes() -> None:
    near, far = (wall_geometry([wall(4.0), wall(2.0)], [0.0, 2.0], offset) for offset in (0.0, 1e5))
    assert torch.equal(overlap_matrix(near, STRICT), overlap_matrix(far, STRICT))


def test_equals_frame_by_frame_projection(random: np.random.Generator) -> None:
    poses = [look_at(tuple(random.uniform(-1.2, 1.2, 3)), random.uniform(0, 360)) for _ in range(6)]
    geometry = room_geometry(poses)
    points = geometry.points_world.reshape(-1, 3)
    seen = seen_by(points, geometry, VisibilitySettings()).numpy()
    for frame, T in enumerate(poses):
        points_camera = transform_points(invert(T), points.numpy())
        depth = geometry.depth[frame].numpy()
        for point, pixel, is_seen in zip(points_camera, project(points_camera, CAMERA), seen[:, frame], strict=True):
            if np.isnan(pixel).any() or (np.abs(pixel % 1 - 0.5) < 1e-3).any():
                continue  # behind, or on the border of two pixels, where rounding decides
            u, v = np.rint(pixel).astype(int)
            inside = 0 <= u < CAMERA.width and 0 <= v < CAMERA.height
            assert is_seen == (inside and abs(depth[v, u] - point[2]) <= 0.05 + 0.02 * point[2])
    assert 0.1 < seen.mean() < 0.9


def test_points_that_are_nowhere_are_not_seen() -> None:
    geometry = wall_geometry([wall(4.0)], [0.0])
    points = torch.tensor([[torch.nan] * 3, [0.0, 0, 0], [0, 0, -4], [0, 0, 4]], dtype=torch.float64)
    assert seen_by(points, geometry, VisibilitySettings()).tolist() == [[False], [False], [False], [True]]
    assert seen_by(points[:0], geometry, VisibilitySettings()).shape == (0, 1)


def test_selected_frames_keep_their_order() -> None:
    geometry = wall_geometry([wall(1.0), wall(2.0), wall(3.0)], [0.0] * 3).select([2, 0]).to("cpu")
    assert len(geometry) == 2
    assert geometry.depth[:, 0, 0].tolist() == [3, 1]


def test_frames_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(TrainingError, match="1 depth images, 1 cameras, 0 poses"):
        make_frame_geometry([wall(1.0)], [CAMERA], [])
    with pytest.raises(TrainingError, match="at least one"):
        make_frame_geometry([], [], [])
    with pytest.raises(TrainingError, match="one size"):
        make_frame_geometry([wall(1.0)[:32]], [CAMERA], [np.eye(4)])
