# SPDX-License-Identifier: Apache-2.0
"""Choosing frames: overlap of views of a plane with known answers, batches, rings of distance, patch sources."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from box_room import TileEncoder, room_frame
from picture_frames import picture_frame

from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.encoders.patch_grid import make_patch_grid
from xover_core.errors import DatasetError, ModelError
from xover_core.evaluation.protocols.joined_recordings import JoinedRecordings, parts_of
from xover_core.evaluation.protocols.patch_batches import choose_batches, distance_rings, make_batch
from xover_core.evaluation.protocols.patch_sources import EncoderPatches, RawPatches, SiftPatches, protocol_grid
from xover_core.evaluation.protocols.posed_frames import PosedFrame, read_frames, spread_frames, survey
from xover_core.evaluation.protocols.view_overlap import make_coarse_view, mutual_overlap, overlap_matrix
from xover_core.geometry.transforms import make_pose
from xover_core.types import CameraIntrinsics, RgbdFrame

# 4:3 with a field of view of 2 m x 1.5 m at 1 m
CAMERA = CameraIntrinsics(fx=80.0, fy=80.0, cx=79.5, cy=59.5, width=160, height=120)
# 10 rows and 13 columns of points stand for a view, so a share is right to about one column
ONE_COLUMN = 1 / 13


def plane_frame(depth=1.0):
    """A camera in front of a plane at right angles to its axis."""
    rgb = np.random.default_rng(0).integers(0, 256, (CAMERA.height, CAMERA.width, 3), dtype=np.uint8)
    readings = np.full((CAMERA.height, CAMERA.width), depth, np.float32)
    return RgbdFrame(stamp_ns=0, rgb=rgb, depth=readings, intrinsics=CAMERA)


def plane_view(right=0.0, back=0.0, depth=None):
    """View of the plane z = 1 from a camera moved to the right and back."""
    frame = plane_frame(1.0 + back if depth is None else depth)
    return make_coarse_view(frame, frame.depth, make_pose(np.eye(3), (right, 0.0, -back)), 8.0)


def posed(right=0.0, name="a"):
    frame = plane_frame()
    return PosedFrame(name=name, frame=frame, depth=frame.depth, T_world_camera=make_pose(np.eye(3), (right, 0, 0)))


@pytest.mark.parametrize(("right", "expected"), [(0.0, 1.0), (0.5, 0.75), (1.0, 0.5), (1.6, 0.2), (2.5, 0.0)])
def test_overlap_of_a_shifted_view(right, expected):
    found = overlap_matrix([plane_view(), plane_view(right)])
    assert found[0, 0] == found[1, 1] == 1.0
    assert found[0, 1] == pytest.approx(expected, abs=ONE_COLUMN)
    assert found[1, 0] == pytest.approx(expected, abs=ONE_COLUMN)


def test_the_smaller_direction_counts():
    # from twice as far one sees four times the area
    views = [plane_view(), plane_view(back=1.0)]
    found = overlap_matrix(views)
    assert found[0, 1] == pytest.approx(1.0)
    assert found[1, 0] == pytest.approx(0.25, abs=2 * ONE_COLUMN)
    assert mutual_overlap(views)[0, 1] == found[1, 0]


def test_what_is_hidden_does_not_overlap():
    in_front = plane_view(depth=0.5)
    assert overlap_matrix([plane_view(), in_front])[0, 1] == 0.0


def test_a_direction_without_reading_counts_as_seen_but_gives_no_points():
    blind = plane_view(depth=0.0)
    found = overlap_matrix([plane_view(), blind])
    assert found[0, 1] == 1.0
    assert found[1, 0] == 0.0
    assert not overlap_matrix([blind, blind]).any()


def test_batches_hold_only_frames_that_overlap_their_anchor():
    overlap = mutual_overlap([plane_view(right=0.3 * i) for i in range(12)])
    batches = choose_batches(overlap, num_batches=8, batch_size=5, min_overlap=0.4, rng=np.random.default_rng(0))
    assert len(batches) == 8
    for anchor, *others in batches:
        assert len({anchor, *others}) == 5
        assert all(overlap[anchor, other] > 0.4 for other in others)
    assert len({batch[0] for batch in batches}) == 8  # anchors do not come twice before all have been used
    again = choose_batches(overlap, num_batches=8, batch_size=5, min_overlap=0.4, rng=np.random.default_rng(0))
    assert batches == again


def test_batches_shrink_where_few_frames_overlap():
    overlap = mutual_overlap([plane_view(right=r) for r in (0.0, 0.1, 0.2, 9.0)])
    batches = choose_batches(overlap, num_batches=3, batch_size=16, min_overlap=0.1, rng=np.random.default_rng(0))
    assert all(sorted(batch) == [0, 1, 2] for batch in batches)


def test_no_overlap_is_an_error():
    overlap = mutual_overlap([plane_view(), plane_view(right=9.0)])
    with pytest.raises(DatasetError, match="overlap"):
        choose_batches(overlap, num_batches=1, batch_size=4, min_overlap=0.1, rng=np.random.default_rng(0))


def test_rings_by_distance():
    batch = make_batch([posed(), posed(0.5, "b")], num_queries=50, max_depth=8.0, rng=np.random.default_rng(0))
    rings = distance_rings(batch, (0.2, 1.0, 10.0))
    assert rings.shape == (50, len(batch.points_world))
    for query, ring in zip(batch.queries, rings, strict=True):
        distances = np.linalg.norm(batch.points_world - batch.points_world[query], axis=1)
        expected = np.select([distances <= 0.2, distances <= 1.0, distances <= 10.0], [0, 1, 2], 3)
        expected[query] = 3
        np.testing.assert_array_equal(ring, expected)


def test_patches_of_a_batch_lie_on_the_plane_where_their_pixels_are():
    batch = make_batch([posed(), posed(0.5, "b")], num_queries=5, max_depth=8.0, rng=np.random.default_rng(0))
    pixels = protocol_grid(batch.frames[0].frame.rgb).keypoints_px
    assert len(batch.points_world) == 2 * len(pixels)
    first, second = (batch.points_world[batch.frame_of == i] for i in (0, 1))
    np.testing.assert_allclose(first[:, 2], 1.0, atol=1e-6)
    np.testing.assert_allclose(first[:, 0], (pixels[:, 0] - CAMERA.cx) / CAMERA.fx, atol=1e-6)
    np.testing.assert_allclose(second - first, np.broadcast_to((0.5, 0, 0), first.shape), atol=1e-6)


def test_a_batch_without_depth_is_an_error():
    with pytest.raises(DatasetError, match="depth"):
        make_batch([posed()], num_queries=5, max_depth=0.5, rng=np.random.default_rng(0))


def test_raw_patches_are_the_grey_values_around_the_centre():
    rgb = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    found = RawPatches().describe(picture_frame(rgb))
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    row, column = 7, 11
    u, v = protocol_grid(rgb).centers_px[row * 40 + column]
    square = gray[int(v - 7.5) : int(v + 8.5), int(u - 7.5) : int(u + 8.5)].ravel()
    expected = (square - square.mean()) / np.linalg.norm(square - square.mean())
    np.testing.assert_allclose(found[row * 40 + column], expected, atol=1e-5)


def test_patches_without_content_are_zero():
    flat = picture_frame(np.full((60, 80, 3), 127, np.uint8))
    for source in (RawPatches(), SiftPatches((16.0,))):
        assert not source.describe(flat).any()


def test_sift_sizes_stand_side_by_side_with_equal_weight():
    frame = picture_frame(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    small, large = SiftPatches((8.0,)).describe(frame), SiftPatches((16.0,)).describe(frame)
    both = SiftPatches((8.0, 16.0)).describe(frame)
    np.testing.assert_allclose(both, np.concatenate([small, large], axis=1) / np.sqrt(2), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(both, axis=1), 1.0, atol=1e-5)


def test_an_encoder_with_another_grid_is_refused():
    with pytest.raises(ModelError, match="grid"):
        EncoderPatches(TileEncoder()).describe(room_frame(np.eye(4)))


class StubSequence:
    """Ten frames; every second has no pose."""

    name = "stub"

    def __len__(self):
        return 10

    def __iter__(self):
        for i in range(10):
            pose = None if i % 2 else make_pose(np.eye(3), (i, 0, 0))
            yield SequenceItem(frame=plane_frame(), T_world_camera=pose, name=str(i))


def test_survey_and_reading_agree_on_which_frame_is_which():
    surveyed = survey(StubSequence(), max_frames=100, max_depth=8.0)
    assert surveyed.positions == (0, 2, 4, 6, 8)
    frames = read_frames(StubSequence(), surveyed, [3, 1])
    assert {index: posed.name for index, posed in frames.items()} == {1: "2", 3: "6"}
    assert len(survey(StubSequence(), max_frames=4, max_depth=8.0).positions) < 5
    assert len(list(spread_frames(StubSequence(), 3))) == 3


def test_a_recording_without_poses_is_an_error():
    with pytest.raises(DatasetError, match="posed RGB-D"):
        survey(StubSequence(), max_frames=1, max_depth=8.0)


def test_grids_are_those_of_the_encoders():
    rgb = np.zeros((480, 640, 3), np.uint8)
    assert protocol_grid(rgb).grid_shape == make_patch_grid(640, 480, 240).grid_shape == (30, 40)


def test_recordings_of_a_place_are_one(tmp_path):
    joined = JoinedRecordings("place", [StubSequence(), StubSequence()])
    assert len(joined) == 20
    assert [item.name for item in joined][9:11] == ["stub/9", "stub/0"]
    surveyed = survey(joined, max_frames=100, max_depth=8.0)
    assert (surveyed.recording, len(surveyed.views)) == ("place", 10)
    assert parts_of(tmp_path) == (tmp_path,)
    (tmp_path / "map").mkdir()
    assert parts_of(tmp_path) == (tmp_path,)
    (tmp_path / "query").mkdir()
    assert parts_of(tmp_path) == (tmp_path / "map", tmp_path / "query")
