# SPDX-License-Identifier: Apache-2.0
"""Bag in, map file, bag in, poses out: through three real nodes, compared with the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import NUM_QUERY_FRAMES, Recordings, play
from geometry_msgs.msg import PoseWithCovarianceStamped
from node_process import NodeProcess
from probe import Probe
from tf2_msgs.msg import TFMessage
from xover_msgs.msg import LocalizationState, PoseHypothesisArray, RelativePose, SceneMatchArray
from xover_ros.message_conversions import pose_matrix, stamp_to_ns, transform_matrix

from xover_core.datasets.bag_frames import forward_camera
from xover_core.geometry.transforms import invert, pose_error

# the query sees what the map was made of; a good pose is a few centimetres off, a wrong one metres
MAX_DISTANCE_M, MAX_ANGLE_RAD = 0.25, np.radians(5)
TOLERANCE_S = 3.0
COMPRESSED = {
    "rgb/image/compressed": "/camera/color/image_raw/compressed",
    "depth/image/compressedDepth": "/camera/depth/image_raw/compressedDepth",
    "rgb/camera_info": "/camera/color/camera_info",
}


class Heard:
    """What the localizer published during one replay."""

    def __init__(self, probe: Probe) -> None:
        self.poses = probe.collect_latched(PoseWithCovarianceStamped, "/pose")
        self.states = probe.collect_latched(LocalizationState, "/state")
        self.hypotheses = probe.collect(PoseHypothesisArray, "/hypotheses")
        self.scenes = probe.collect(SceneMatchArray, "/scene")
        self.relative_poses = probe.collect(RelativePose, "/relative_pose")
        self.transforms = probe.collect(TFMessage, "/tf")


@pytest.fixture(scope="module")
def heard(recordings: Recordings, map_file: Path, probe: Probe, tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """One replay of the query, compressed and from mcap, under simulated time."""
    folder = tmp_path_factory.mktemp("replay")
    heard = Heard(probe)
    parameters = {
        "map_file": f"file://{map_file}",
        "rgb_transport": "compressed",
        "depth_transport": "compressedDepth",
        "use_sim_time": True,
        "max_rate_hz": 0.0,
        "update_min_d": 0.0,
        "update_min_a": 0.0,
        "transform_tolerance": TOLERANCE_S,
    }
    with NodeProcess("localizer_node", folder / "localizer.log", parameters, remaps=COMPRESSED) as localizer:
        # what is published before the probe has found the localizer is lost; the state comes late, too
        probe.wait_until(lambda: heard.states, "the localizer's first state")
        play(recordings.query_bag, folder)
        probe.spin(0.5)
        assert localizer.stop() == 0, localizer.log
        assert "Traceback" not in localizer.log
    return heard


def _localized(heard: Heard) -> list[int]:
    """Stamps of the frames with state LOCALIZED."""
    states = [s for s in heard.states if s.state == LocalizationState.LOCALIZED]
    return [stamp_to_ns(s.header.stamp) for s in states]


def test_every_frame_gets_a_state_with_a_reason(heard: Heard, recordings: Recordings) -> None:
    stamps = [stamp_to_ns(state.header.stamp) for state in heard.states]
    assert [item.frame.stamp_ns for item in recordings.query] == stamps[-NUM_QUERY_FRAMES:]
    assert all(state.reason and state.header.frame_id == "map" for state in heard.states)


def test_poses_are_those_of_the_robot_and_right(heard: Heard, recordings: Recordings) -> None:
    truth = {item.frame.stamp_ns: item.T_world_camera @ invert(forward_camera()) for item in recordings.query}
    assert len(heard.poses) >= NUM_QUERY_FRAMES // 2
    for message in heard.poses:
        distance, angle = pose_error(pose_matrix(message.pose.pose), truth[stamp_to_ns(message.header.stamp)])
        assert distance < MAX_DISTANCE_M
        assert angle < MAX_ANGLE_RAD
        assert np.all(np.diag(np.reshape(message.pose.covariance, (6, 6))) > 0)


def test_silent_until_localized(heard: Heard) -> None:
    assert heard.states[0].state == LocalizationState.UNKNOWN
    assert [stamp_to_ns(pose.header.stamp) for pose in heard.poses] == _localized(heard)


def test_map_to_odom_is_all_that_is_published_and_agrees_with_pose_and_odometry(
    heard: Heard, recordings: Recordings
) -> None:
    own = [t for m in heard.transforms for t in m.transforms if t.header.frame_id == "map"]
    assert {t.child_frame_id for t in own} == {"odom"}
    last = heard.poses[-1]
    item = next(i for i in recordings.query if i.frame.stamp_ns == stamp_to_ns(last.header.stamp))
    T_odom_base = item.frame.T_odom_camera @ invert(forward_camera())
    T_map_base = transform_matrix(own[-1].transform) @ T_odom_base
    np.testing.assert_allclose(T_map_base, pose_matrix(last.pose.pose), atol=1e-6)  # double precision over the wire


def test_stamps_are_of_simulated_time_and_transforms_are_post_dated(heard: Heard, recordings: Recordings) -> None:
    first, last = recordings.query[0].frame.stamp_ns, recordings.query[-1].frame.stamp_ns
    own = [t for m in heard.transforms for t in m.transforms if t.header.frame_id == "map"]
    stamps = [stamp_to_ns(t.header.stamp) for t in own]
    assert min(stamps) >= _localized(heard)[0] + TOLERANCE_S * 1e9 - 1e9
    assert max(stamps) <= last + TOLERANCE_S * 1e9 + 1
    assert max(stamps) > last
    assert all(first <= stamp_to_ns(m.header.stamp) <= last for m in heard.hypotheses)


def test_hypotheses_are_ranked_and_agree_with_the_pose(heard: Heard) -> None:
    by_stamp = {stamp_to_ns(m.header.stamp): m.hypotheses for m in heard.hypotheses}
    for hypotheses in by_stamp.values():
        probabilities = [h.probability for h in hypotheses]
        assert probabilities == sorted(probabilities, reverse=True)
    best = by_stamp[stamp_to_ns(heard.poses[0].header.stamp)][0]
    distance, _ = pose_error(pose_matrix(best.pose.pose), pose_matrix(heard.poses[0].pose.pose))
    assert distance < MAX_DISTANCE_M
    assert best.num_inliers > 0


def test_scene_and_relative_pose(heard: Heard) -> None:
    scenes = [m for m in heard.scenes if m.scenes]
    assert scenes
    assert all(sum(s.probability for s in m.scenes) <= 1 + 1e-6 for m in scenes)
    assert {m.header.frame_id for m in heard.relative_poses} == {"camera_color_optical_frame"}
    assert any(m.is_metric and m.num_inliers > 0 for m in heard.relative_poses)
