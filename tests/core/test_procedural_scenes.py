# SPDX-License-Identifier: Apache-2.0
"""Tests of the scenes that are rendered for training: views of use, the same again, and going on after a stop."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from xover_core.datasets.procedural import make_apartment
from xover_core.errors import TrainingError
from xover_core.geometry.camera import project
from xover_core.geometry.transforms import invert, transform_points
from xover_core.training.procedural_scenes import ProceduralScenesSettings, render_scene, render_scenes
from xover_core.training.scene_folder import SceneFolder
from xover_core.training.scene_frames import SceneFrames
from xover_core.training.view_proposals import ViewProposals, camera_pose

SETTINGS = ProceduralScenesSettings(
    num_scenes=1, num_frames=12, width=64, height=48, max_rooms=1, num_workers=0, relit_probability=0.0
)
ANGLE_TOLERANCE_RAD = 1e-9
# the pose is found for a point of the box around the object, and the view's middle is drawn around that point
MIN_SEEN_SHARE = 0.8


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def scene() -> SceneFrames:
    torch.set_num_threads(1)
    return render_scene(3, SETTINGS)


def test_camera_pose_looks_where_it_should() -> None:
    position = np.array([1.0, 2.0, 1.2])
    pose = camera_pose(position, math.radians(90.0), math.radians(-30.0), 0.0)
    np.testing.assert_allclose(pose[:3, 3], position)
    # optical axis: along y and downwards; right: along x; the image's down is the map's, tilted
    np.testing.assert_allclose(pose[:3, 2], [0.0, math.cos(math.radians(30)), -0.5], atol=ANGLE_TOLERANCE_RAD)
    np.testing.assert_allclose(pose[:3, 0], [1.0, 0.0, 0.0], atol=ANGLE_TOLERANCE_RAD)
    assert pose[2, 1] < 0
    rolled = camera_pose(position, math.radians(90.0), 0.0, math.radians(10.0))
    # clockwise: what was to the right is further up in the image, and the camera's right points down
    assert rolled[2, 0] == pytest.approx(-math.sin(math.radians(10.0)))


def test_targets_are_looked_at_from_different_sides() -> None:
    apartment = make_apartment(3, num_rooms=1)
    proposals = ViewProposals(apartment, apartment.rooms, 70.0, np.random.default_rng(0))
    drawn = list(proposals.around_targets(60))
    assert 30 < len(drawn) < 70
    objects = {o.object_id: o for o in apartment.objects}
    in_view, headings = [], []
    for proposal in drawn:
        T = proposal.T_map_camera
        point = transform_points(invert(T), np.asarray(objects[proposal.target_id].position)[None])[0]
        in_view.append(point[2] > 0)
        headings.append(math.atan2(T[1, 2], T[0, 2]))
        assert 0.5 <= T[2, 3] <= 1.7
        assert -0.58 <= T[2, 2] <= 0.26
    assert np.mean(in_view) > MIN_SEEN_SHARE
    counts, _ = np.histogram(headings, bins=8, range=(-math.pi, math.pi))
    assert counts.min() > 0


def test_nothing_is_proposed_where_no_place_is_free() -> None:
    apartment = make_apartment(3, num_rooms=1)
    nowhere = replace(apartment.rooms[0], lower=(50.0, 50.0), upper=(52.0, 52.0))
    proposals = ViewProposals(apartment, [nowhere], 70.0, np.random.default_rng(0))
    assert list(proposals.anywhere(10)) == []
    assert list(proposals.around_targets(10)) == []
    assert proposals.walk(10) == []


def test_walk_poses_are_spaced() -> None:
    apartment = make_apartment(3, num_rooms=1)
    walk = ViewProposals(apartment, apartment.rooms, 70.0, np.random.default_rng(0)).walk(8)
    assert 2 <= len(walk) <= 8
    for before, after in pairwise(walk):
        assert not np.allclose(before.T_map_camera, after.T_map_camera, atol=0.05)


def test_scene_has_wanted_frames_of_use(scene: SceneFrames) -> None:
    assert scene.images.shape == (12, 48, 64, 3)
    for depth_mm in scene.depths_mm:
        assert np.count_nonzero((depth_mm > 0) & (depth_mm < 300)) <= 0.5 * depth_mm.size
        assert np.count_nonzero(depth_mm) > 0.5 * depth_mm.size
    partners = (scene.overlap > 0.1).sum(axis=1) - 1
    assert np.median(partners) >= 4
    fov_deg = math.degrees(2 * math.atan(32 / scene.intrinsics[0].fx))
    assert SETTINGS.min_fov_deg <= fov_deg <= SETTINGS.max_fov_deg


def test_poses_fit_the_depth(scene: SceneFrames) -> None:
    # points of the frame with the most overlap reproject into its partner, where the overlap says so
    first, second = np.unravel_index(np.argmax(scene.overlap - 2 * np.eye(len(scene))), scene.overlap.shape)
    points = scene.geometry([int(first)]).points_world[0].numpy()
    T_camera_world = invert(scene.T_world_camera[second])
    pixels = project(transform_points(T_camera_world, points), scene.intrinsics[second])
    inside = ((pixels >= 0) & (pixels < (64, 48))).all(axis=1)
    assert inside.mean() >= scene.overlap[first, second] - 1e-6


def test_same_arguments_give_the_same_scene(scene: SceneFrames) -> None:
    again = render_scene(3, SETTINGS)
    np.testing.assert_array_equal(again.images, scene.images)
    np.testing.assert_array_equal(again.depths_mm, scene.depths_mm)
    np.testing.assert_array_equal(again.T_world_camera, scene.T_world_camera)


def test_sensor_depth_has_holes_and_the_same_views(scene: SceneFrames) -> None:
    sensed = render_scene(3, replace(SETTINGS, sensor_depth=True))
    np.testing.assert_array_equal(sensed.images, scene.images)
    assert np.count_nonzero(sensed.depths_mm) < np.count_nonzero(scene.depths_mm)


def test_folder_goes_on_where_it_stopped(tmp_path: Path) -> None:
    small = replace(SETTINGS, num_frames=3, first_seed=3)
    seen: list[tuple[int, int]] = []
    paths = render_scenes(tmp_path, small, lambda done, total: seen.append((done, total)))
    assert seen == [(0, 1), (1, 1)]
    assert [path.name for path in paths] == ["apartment-00003.safetensors"]
    first_written = paths[0].stat().st_mtime_ns
    # a part that an earlier run left behind, which is no scene
    (tmp_path / "apartment-00004.safetensors.part").write_bytes(b"half")
    paths = render_scenes(tmp_path, replace(small, num_scenes=2))
    assert len(paths) == 2
    assert paths[0].stat().st_mtime_ns == first_written
    assert SceneFolder(tmp_path).names == ("apartment-00003", "apartment-00004")


def test_worker_processes_render_the_same(tmp_path: Path, scene: SceneFrames) -> None:
    (path,) = render_scenes(tmp_path, replace(SETTINGS, first_seed=3, num_workers=1))
    loaded = SceneFrames.load(path)
    np.testing.assert_array_equal(loaded.images, scene.images)
    np.testing.assert_array_equal(loaded.overlap, scene.overlap)


def test_apartment_without_useful_views_is_an_error_and_left_out(tmp_path: Path) -> None:
    hopeless = replace(SETTINGS, num_frames=2, max_plain_share=0.0)
    with pytest.raises(TrainingError, match="useful views"):
        render_scene(3, hopeless)
    assert render_scenes(tmp_path, hopeless) == []
