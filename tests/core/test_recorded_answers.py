# SPDX-License-Identifier: Apache-2.0
"""Query records from what a localizer node published."""

from __future__ import annotations

import json

import numpy as np
import pytest

from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.errors import DatasetError
from xover_core.evaluation.answers import pose_values
from xover_core.evaluation.recorded_answers import LATENCY_STAGE, read_recorded_answers, records_of_answers
from xover_core.geometry.transforms import exp_se3, invert
from xover_core.types import LocalizationState, RgbdFrame

MS = 1_000_000
T_BASE_CAMERA = exp_se3(np.array([0.1, 0.0, 1.0, 0.2, -0.3, 0.1]))
T_MAP_CAMERA = exp_se3(np.array([2.0, 1.0, 1.0, 0.0, 0.0, 0.7]))


def values(T_a_b) -> list[float]:
    return [float(v) for v in pose_values(T_a_b)]


def static_transform() -> dict:
    return {"kind": "transform", "stamp_ns": 0, "parent": "base_link", "child": "camera", "pose": values(T_BASE_CAMERA)}


def state(stamp_ns: int, received_ms: float, number: int = 3) -> dict:
    received = {"received_ns": round(received_ms * MS)}
    return {"kind": "state", "stamp_ns": stamp_ns, **received, "state": number, "reason": "as told", "probability": 0.9}


def image(stamp_ns: int, received_ms: float) -> dict:
    return {"kind": "image", "stamp_ns": stamp_ns, "received_ns": round(received_ms * MS)}


@pytest.fixture
def records_of(tmp_path, intrinsics):
    """Records of lines that a recorder wrote, for queries with the stamps 1, 2, ... at one place."""

    def make(lines: list[dict], num_queries: int = 1):
        file = tmp_path / "answers.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        rgb = np.zeros((240, 320, 3), np.uint8)
        items = [
            SequenceItem(
                frame=RgbdFrame(stamp_ns=i, rgb=rgb, depth=None, intrinsics=intrinsics),
                T_world_camera=T_MAP_CAMERA,
                name=f"query {i}",
            )
            for i in range(1, num_queries + 1)
        ]
        return records_of_answers(read_recorded_answers(file), items, base_frame="base_link", camera_frame="camera")

    return make


def test_poses_of_the_base_become_poses_of_the_camera(records_of):
    T_map_base = T_MAP_CAMERA @ invert(T_BASE_CAMERA)
    hypothesis = {"pose": values(T_map_base), "probability": 0.9, "num_inliers": 30, "keyframe_id": 4}
    (record,) = records_of(
        [
            static_transform(),
            state(1, 0),
            {"kind": "pose", "stamp_ns": 1, "pose": values(T_map_base)},
            {"kind": "hypotheses", "stamp_ns": 1, "hypotheses": [hypothesis]},
        ]
    )
    np.testing.assert_allclose(record.T_map_camera, T_MAP_CAMERA, atol=1e-9)
    assert record.error.distance == pytest.approx(0.0, abs=1e-9)
    assert (record.num_inliers, record.keyframe_id) == (30, 4)
    assert record.state is LocalizationState.LOCALIZED


def test_a_query_without_an_answer_is_unknown(records_of):
    (record,) = records_of([static_transform()])
    assert record.state is LocalizationState.UNKNOWN
    assert record.reason == "no answer was published"
    assert not record.is_answered
    assert record.timings_ms == ()


def test_latency_leaves_out_waiting_for_the_answer_before(records_of):
    # the second image comes while the first is processed
    lines = [static_transform(), image(1, 100), image(2, 110), state(1, 180), state(2, 250)]
    first, second = records_of(lines, num_queries=2)
    assert dict(first.timings_ms) == {LATENCY_STAGE: 80.0}
    assert dict(second.timings_ms) == {LATENCY_STAGE: 70.0}


@pytest.mark.parametrize("line", ["no json", "{}", '{"kind": "state"}', '{"kind": "pose", "stamp_ns": 1, "pose": 3}'])
def test_a_broken_file_is_refused_with_its_line(tmp_path, line):
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps(static_transform()) + "\n" + line + "\n")
    with pytest.raises(DatasetError, match=r"answers\.jsonl:2"):
        read_recorded_answers(file)
