# SPDX-License-Identifier: Apache-2.0
"""Tests of training scenes made of recordings, on a camera that turns in a box room."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from box_room import CAMERA, HALF_SIZE, look_at, room_frame

from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.errors import TrainingError
from xover_core.geometry.transforms import pose_error
from xover_core.training.recording_scenes import RecordingSceneSettings, make_recording_scene
from xover_core.types import CameraIntrinsics, Mat4

SETTINGS = RecordingSceneSettings(width=64, height=48, min_step=0.2)
# half a pixel of the nearest sample at the far end of the box, and a millimetre
POINT_TOLERANCE = 0.06


@dataclass(frozen=True)
class Recording:
    """A camera in the box room."""

    poses: tuple[Mat4 | None, ...]
    camera: CameraIntrinsics = CAMERA
    has_depth: bool = True
    name: str = "turning"

    def __len__(self) -> int:
        return len(self.poses)

    def __iter__(self) -> Iterator[SequenceItem]:
        for i, pose in enumerate(self.poses):
            frame = room_frame(np.eye(4) if pose is None else pose, self.camera)
            if not self.has_depth:
                frame = replace(frame, depth=None)
            yield SequenceItem(frame=frame, T_world_camera=pose, name=str(i))


def turning(num_frames: int, step_deg: float) -> tuple[Mat4, ...]:
    return tuple(look_at((0.2, 0.1, 0.0), step_deg * i) for i in range(num_frames))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_frames_are_spread_and_few_enough() -> None:
    recording = Recording(turning(60, 3.0))
    every = make_recording_scene(recording, SETTINGS)
    # 3 deg are 0.052 rad: each fourth frame is 0.2 apart
    assert len(every) == 15
    few = make_recording_scene(recording, replace(SETTINGS, max_frames=6))
    assert 3 <= len(few) <= 6
    for scene, step in ((every, 0.2), (few, 0.4)):
        for i, first in enumerate(scene.T_world_camera):
            for second in scene.T_world_camera[i + 1 :]:
                assert math.fsum(pose_error(first, second)) >= step
    # the whole turn is still there
    assert pose_error(few.T_world_camera[0], few.T_world_camera[-1])[1] > math.radians(120)


@pytest.mark.parametrize(
    "camera",
    [
        CAMERA,
        CameraIntrinsics(fx=90.0, fy=88.0, cx=70.3, cy=30.3, width=128, height=64),
        CameraIntrinsics(fx=40.0, fy=41.0, cx=23.3, cy=30.5, width=48, height=64),
        CameraIntrinsics(fx=30.0, fy=30.0, cx=19.5, cy=14.5, width=40, height=30),
    ],
    ids=["5:4", "wide", "upright", "small"],
)
def test_points_stay_on_the_walls_whatever_the_camera(camera: CameraIntrinsics) -> None:
    scene = make_recording_scene(Recording(turning(3, 30.0), camera), SETTINGS)
    assert scene.images.shape == (3, 48, 64, 3)
    points = scene.geometry([0, 1, 2]).points_world.reshape(-1, 3).numpy()
    distances = (HALF_SIZE - np.abs(points)).min(axis=1)
    assert np.abs(distances).max() < POINT_TOLERANCE * 60.0 / min(camera.fx, 60.0)
    # pixels stay square where they were
    assert scene.intrinsics[0].fx / scene.intrinsics[0].fy == pytest.approx(camera.fx / camera.fy, rel=0.03)


def test_frames_without_pose_or_depth_are_passed_over() -> None:
    poses = turning(4, 30.0)
    scene = make_recording_scene(Recording((poses[0], None, poses[2], poses[3])), SETTINGS)
    np.testing.assert_allclose(scene.T_world_camera, np.stack([poses[0], poses[2], poses[3]]))
    with pytest.raises(TrainingError, match="at least two frames"):
        make_recording_scene(Recording(poses, has_depth=False), SETTINGS)
    with pytest.raises(TrainingError, match="recording turning"):
        make_recording_scene(Recording((None, None)), SETTINGS)


def test_size_must_be_a_multiple_of_eight() -> None:
    with pytest.raises(TrainingError, match="multiples of 8"):
        make_recording_scene(Recording(turning(3, 30.0)), replace(SETTINGS, width=60))
