# SPDX-License-Identifier: Apache-2.0
"""Data types refuse what they do not describe."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xover_core.errors import GeometryError, SensorDataError
from xover_core.types import CameraIntrinsics, LocalizationResult, LocalizationState, RgbdFrame, Scene, as_pose


def make_frame(intrinsics: CameraIntrinsics, **changes: object) -> RgbdFrame:
    fields: dict[str, object] = {
        "stamp_ns": 1,
        "rgb": np.zeros((240, 320, 3), np.uint8),
        "depth": np.ones((240, 320), np.float32),
        "intrinsics": intrinsics,
    }
    return RgbdFrame(**{**fields, **changes})


def test_as_pose_returns_a_read_only_copy():
    source = np.eye(4)
    pose = as_pose(source, "T")
    source[0, 3] = 5.0
    assert pose[0, 3] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        pose[0, 3] = 1.0


@pytest.mark.parametrize(
    "bad",
    [
        np.eye(3),
        np.diag([1.0, 1.0, -1.0, 1.0]),
        np.diag([2.0, 1.0, 1.0, 1.0]),
        np.full((4, 4), np.nan),
        np.zeros((4, 4)),
        np.eye(4) + np.array([[0.0], [0.0], [0.0], [0.1]]),
    ],
    ids=["shape", "mirror", "scale", "nan", "zero", "last row"],
)
def test_as_pose_refuses_what_is_not_rigid(bad):
    with pytest.raises(GeometryError, match="T_map_camera"):
        as_pose(bad, "T_map_camera")


@pytest.mark.parametrize("change", [{"fx": 0.0}, {"fy": -1.0}, {"cx": np.nan}, {"width": 0}, {"fx": np.inf}])
def test_intrinsics_refuse_what_is_no_camera(intrinsics, change):
    with pytest.raises(SensorDataError, match="CameraInfo"):
        dataclasses.replace(intrinsics, **change)


def test_intrinsics_matrix(intrinsics):
    assert intrinsics.matrix.tolist() == [[260.0, 0.0, 161.5], [0.0, 255.0, 117.25], [0.0, 0.0, 1.0]]


def test_frame_without_depth_is_valid(intrinsics):
    assert make_frame(intrinsics, depth=None).depth is None


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"rgb": np.zeros((240, 320), np.uint8)}, "colour"),
        ({"rgb": np.zeros((240, 320, 3), np.float32)}, "colour"),
        ({"rgb": np.zeros((120, 160, 3), np.uint8)}, "colour"),
        ({"depth": np.ones((240, 320), np.uint16)}, "depth"),
        ({"depth": np.ones((120, 160), np.float32)}, "depth"),
    ],
)
def test_frame_refuses_images_that_contradict_the_camera(intrinsics, change, what):
    with pytest.raises(SensorDataError, match=what):
        make_frame(intrinsics, **change)


def test_frame_refuses_broken_odometry(intrinsics):
    with pytest.raises(GeometryError, match="T_odom_camera"):
        make_frame(intrinsics, T_odom_camera=np.zeros((4, 4)))


def test_scene_name_leaves_out_what_is_unknown():
    center = np.zeros(3)
    assert Scene(scene_id=3, center_map=center).name == "scene 3"
    assert Scene(scene_id=3, center_map=center, building="A", room="kitchen").name == "A/kitchen"


def test_result_without_pose_says_so_by_none():
    result = LocalizationResult(stamp_ns=1, state=LocalizationState.UNKNOWN, reason="no match")
    assert result.T_map_camera is None
    assert result.latency_ms == 0.0


def test_latency_is_the_sum_of_all_stages():
    timings = (("encode", 12.0), ("match", 3.5))
    result = LocalizationResult(stamp_ns=1, state=LocalizationState.UNKNOWN, reason="", timings_ms=timings)
    assert result.latency_ms == 15.5
