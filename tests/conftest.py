# SPDX-License-Identifier: Apache-2.0
"""Fixtures that tests of several areas share."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.evaluation.records import PoseDifference, QueryRecord
from xover_core.evaluation.replay import ReplayedQuery
from xover_core.geometry.camera import back_project
from xover_core.geometry.transforms import exp_se3, make_pose
from xover_core.landmark_map.landmark_blocks import ResidentBlocks
from xover_core.landmark_map.landmark_map import LandmarkMap, MapHeader
from xover_core.types import (
    CameraIntrinsics,
    Keyframe,
    Landmarks,
    LocalizationResult,
    LocalizationState,
    Mat4,
    ModelInfo,
    PatchMatches,
    RgbdFrame,
    Scene,
)

REPOSITORY = Path(__file__).resolve().parent.parent


class SignalStack(ctypes.Structure):
    """`stack_t` of signal.h."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@pytest.fixture(autouse=True)
def signals_on_the_usual_stack() -> None:
    """Signals, as the Ctrl-C that some tests send, get no stack of their own.

    Late in a run of all tests the kernel could not use the one that is registered, whoever did that, and the process
    ended in a segmentation fault.
    """
    disabled = SignalStack(address=None, flags=2, size=0)
    ctypes.CDLL(None).sigaltstack(ctypes.byref(disabled), None)


@pytest.fixture
def repository() -> Path:
    """Root of the source tree."""
    return REPOSITORY


@pytest.fixture
def random() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(20)


@pytest.fixture
def intrinsics() -> CameraIntrinsics:
    """A camera with unequal focal lengths and a principal point off the centre."""
    return CameraIntrinsics(fx=260.0, fy=255.0, cx=161.5, cy=117.25, width=320, height=240)


@pytest.fixture
def sample_data() -> Path:
    """Real recordings outside of the repository, named by XOVER_DATA_DIR; skips without them."""
    folder = os.environ.get("XOVER_DATA_DIR", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("XOVER_DATA_DIR names no folder with recordings")
    return Path(folder)


@pytest.fixture
def make_record() -> Callable[..., QueryRecord]:
    """Factory of query records; `error=(m, deg)` means answered with that error, `best=(m, deg)` only a hypothesis."""

    def make(
        *,
        error: tuple[float, float] | None = None,
        best: tuple[float, float] | None = None,
        state: LocalizationState | None = None,
        probability: float = 0.0,
        stamp_s: float = 0.0,
        timings_ms: tuple[tuple[str, float], ...] = (("encode", 10.0),),
        is_same_place: bool = True,
    ) -> QueryRecord:
        best = best or error
        T_map_best = None if best is None else _pose_off_by(*best)
        is_answered = error is not None
        return QueryRecord(
            name=f"{stamp_s:g}",
            stamp_ns=round(stamp_s * 1e9),
            state=state or (LocalizationState.LOCALIZED if is_answered else LocalizationState.UNKNOWN),
            reason="as told",
            probability=probability,
            T_map_camera=_pose_off_by(*error) if error else None,
            T_map_camera_best=T_map_best,
            T_map_camera_true=np.eye(4) if is_same_place else None,
            error=_difference(error) if is_same_place else None,
            error_best=_difference(best) if is_same_place else None,
            num_inliers=30 if best else 0,
            keyframe_id=1 if best else 0,
            timings_ms=timings_ms,
        )

    return make


@pytest.fixture
def make_query(intrinsics: CameraIntrinsics) -> Callable[..., ReplayedQuery]:
    """Factory of replayed queries with a black image."""

    def make(record: QueryRecord, matches: PatchMatches | None) -> ReplayedQuery:
        rgb = np.zeros((240, 320, 3), np.uint8)
        frame = RgbdFrame(stamp_ns=record.stamp_ns, rgb=rgb, depth=None, intrinsics=intrinsics)
        item = SequenceItem(frame=frame, T_world_camera=record.T_map_camera_true, name=record.name)
        result = LocalizationResult(stamp_ns=record.stamp_ns, state=record.state, reason="as told", matches=matches)
        return ReplayedQuery(item=item, result=result, record=record)

    return make


@pytest.fixture
def small_map(intrinsics: CameraIntrinsics, random: np.random.Generator) -> LandmarkMap:
    """Two keyframes that look along +x and +y of a map whose z is up, with four landmarks."""
    forward_x = exp_se3(np.array([0, 0, 1.2, 0, 0, 0])) @ _OPTICAL_LOOKING_ALONG_X
    quarter_turn = exp_se3(np.array([0, 0, 0, 0, 0, np.pi / 2]))
    poses = (forward_x, quarter_turn @ forward_x)
    model = ModelInfo(name="test-model", checksum="0" * 64, descriptor_dim=8, radii=(0.2,))
    return LandmarkMap(
        header=MapHeader(
            schema_version=1, map_id="test-map", revision=3, model=model, site_weights=b"", frame_id="map"
        ),
        scenes=(Scene(scene_id=1, center_map=np.zeros(3), room="test room"),),
        keyframes=tuple(_keyframe(i, T, intrinsics, random) for i, T in enumerate(poses, start=1)),
        blocks=ResidentBlocks(
            Landmarks(
                landmark_ids=np.arange(4),
                scene_ids=np.ones(4, np.int64),
                positions_map=random.uniform(-2, 2, size=(4, 3)),
                radius=0.2,
                embeddings=np.ones((4, 8), np.float16) / np.float16(np.sqrt(8)),
                scores=np.ones(4, np.float32),
                observation_offsets=np.zeros(5, np.int64),
                observations=np.zeros((0, 2), np.int64),
            )
        ),
        size_bytes=1_000_000,
    )


# columns: the camera's x (right), y (down) and z (forward) in a map with z up
_OPTICAL_LOOKING_ALONG_X = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def _keyframe(keyframe_id: int, T: Mat4, intrinsics: CameraIntrinsics, random: np.random.Generator) -> Keyframe:
    """A keyframe with 30 x 40 patches on a wall 2 m away; every seventh has no depth."""
    v, u = np.mgrid[0:30, 0:40] * 8 + 3.5
    keypoints_px = np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float32)
    depth = np.where(np.arange(1200) % 7, 2.0, 0.0)
    _, jpeg = cv2.imencode(".jpg", random.integers(0, 255, (240, 320, 3), dtype=np.uint8))
    return Keyframe(
        keyframe_id=keyframe_id,
        scene_id=1,
        stamp_ns=keyframe_id,
        T_map_camera=T,
        intrinsics=intrinsics,
        grid_shape=(30, 40),
        keypoints_px=keypoints_px,
        descriptors=(np.zeros((1200, 8), np.float16),),
        points_camera=back_project(keypoints_px, depth, intrinsics),
        thumbnail_jpeg=bytes(jpeg),
    )


def _pose_off_by(distance: float, angle_deg: float) -> Mat4:
    """A pose that far from the identity."""
    return make_pose(exp_se3(np.array([0, 0, 0, 0, 0, np.radians(angle_deg)]))[:3, :3], (distance, 0.0, 0.0))


def _difference(error: tuple[float, float] | None) -> PoseDifference | None:
    return None if error is None else PoseDifference(distance=error[0], angle_deg=error[1])
