# SPDX-License-Identifier: Apache-2.0
"""Replaying recordings: which frames count, what a record says, what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.errors import DatasetError
from xover_core.evaluation.records import record_as_json
from xover_core.evaluation.replay import map_recording, replay
from xover_core.geometry.transforms import exp_se3, invert
from xover_core.types import LocalizationResult, LocalizationState, Mat4, PoseHypothesis, RgbdFrame

OFF_BY_10_CM = exp_se3(np.array([0.1, 0, 0, 0, 0, 0]))


class Recording:
    """Black frames, one a second, at the given poses."""

    name = "recording"

    def __init__(self, intrinsics, poses: list[Mat4 | None]) -> None:
        self._intrinsics = intrinsics
        self._poses = poses

    def __len__(self) -> int:
        return len(self._poses)

    def __iter__(self) -> Iterator[SequenceItem]:
        rgb = np.zeros((240, 320, 3), np.uint8)
        for i, pose in enumerate(self._poses):
            frame = RgbdFrame(stamp_ns=i * 10**9, rgb=rgb, depth=None, intrinsics=self._intrinsics)
            yield SequenceItem(frame=frame, T_world_camera=pose, name=f"frame {i}")


class Builder:
    """Counts what it is given."""

    def __init__(self) -> None:
        self.stamps: list[int] = []

    def add(self, frame: RgbdFrame, T_map_camera: Mat4) -> None:
        self.stamps.append(frame.stamp_ns)


def hypothesis(T_map_camera: Mat4) -> PoseHypothesis:
    return PoseHypothesis(
        T_map_camera=T_map_camera,
        covariance=np.eye(6),
        probability=0.8,
        scene_id=1,
        keyframe_id=7,
        num_inliers=42,
        inlier_ratio=0.5,
        reprojection_error_px=1.0,
        depth_agreement=float("nan"),
    )


def localize(frame: RgbdFrame) -> LocalizationResult:
    """LOCALIZED 10 cm off in even seconds, a hypothesis in odd ones."""
    is_even = frame.stamp_ns // 10**9 % 2 == 0
    return LocalizationResult(
        stamp_ns=frame.stamp_ns,
        state=LocalizationState.LOCALIZED if is_even else LocalizationState.HYPOTHESES,
        reason="as told",
        T_map_camera=OFF_BY_10_CM if is_even else None,
        probability=0.9 if is_even else 0.8,
        hypotheses=(hypothesis(np.eye(4)),),
        timings_ms=(("encode", 1.0),),
    )


def test_records_compare_answers_and_best_hypotheses_with_the_truth(intrinsics):
    even, odd = (q.record for q in replay(Recording(intrinsics, [np.eye(4)] * 2), localize))
    assert even.error.distance == pytest.approx(0.1)
    assert even.error_best.distance == 0.0
    assert not odd.is_answered
    assert odd.error is None
    assert odd.error_best.angle_deg == pytest.approx(0.0)
    assert (odd.num_inliers, odd.keyframe_id) == (42, 7)


def test_frames_without_truth_are_not_judged(intrinsics):
    recording = Recording(intrinsics, [None, np.eye(4), None])
    assert [q.item.name for q in replay(recording, localize)] == ["frame 1"]


def test_a_recording_without_truth_is_refused_with_advice(intrinsics):
    with pytest.raises(DatasetError, match="xover localize"):
        list(replay(Recording(intrinsics, [None, None]), localize))


def test_at_another_place_truth_is_not_used_and_not_needed(intrinsics):
    queries = list(replay(Recording(intrinsics, [np.eye(4), None]), localize, is_same_place=False))
    assert len(queries) == 2
    assert all(q.record.error is None and q.record.T_map_camera_true is None for q in queries)


def test_progress_counts_every_frame(intrinsics):
    seen = []
    list(
        replay(
            Recording(intrinsics, [None, np.eye(4)]), localize, progress=lambda done, total: seen.append((done, total))
        )
    )
    assert seen == [(1, 2), (2, 2)]


def test_mapping_takes_frames_with_poses(intrinsics):
    builder = Builder()
    assert map_recording(Recording(intrinsics, [np.eye(4), None, np.eye(4)]), builder) == 2
    assert builder.stamps == [0, 2 * 10**9]


def test_mapping_without_poses_is_refused(intrinsics):
    with pytest.raises(DatasetError, match="camera pose to map from"):
        map_recording(Recording(intrinsics, [None]), Builder())


def test_record_as_json_has_plain_values_and_null_for_unknown(intrinsics):
    truth = invert(OFF_BY_10_CM)
    even, odd = (record_as_json(q.record) for q in replay(Recording(intrinsics, [truth, truth]), localize))
    np.testing.assert_allclose(even["pose"], [0.1, 0, 0, 0, 0, 0, 1])
    assert even["error_m"] == pytest.approx(0.2)
    assert (odd["pose"], odd["error_m"]) == (None, None)
    assert odd["best_hypothesis_error_m"] == pytest.approx(0.1)
    assert odd["state"] == "HYPOTHESES"
    assert odd["timings_ms"] == {"encode": 1.0}
