# SPDX-License-Identifier: Apache-2.0
"""The bag player: by the clock, in circles, paused, and what it refuses."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from conftest import NUM_MAP_FRAMES, Recordings
from node_process import NodeProcess
from probe import Probe
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool
from tf2_msgs.msg import TFMessage
from xover_ros.bag_publishers import parse_transform_pairs
from xover_ros.message_conversions import stamp_to_ns
from xover_ros.raw_bag import RawBag

from xover_core.errors import DatasetError

COLOR = "/camera/color/image_raw"
FRAME_PERIOD_NS = 200_000_000
QUICK = 8.0  # bag seconds per second


def test_all_bytes_arrive_as_they_were_recorded(recordings: Recordings, probe: Probe, tmp_path: Path) -> None:
    recorded = [m.data for m in RawBag(recordings.map_bag).messages(lambda topic: topic == COLOR)]
    arrived: list[bytes] = []
    subscription = probe.node.create_subscription(Image, COLOR, arrived.append, 100, raw=True)
    clocks = probe.collect(Clock, "/clock")
    static = probe.collect_latched(TFMessage, "/tf_static")
    started = time.monotonic()
    with NodeProcess("bag_player", tmp_path / "log", {"bag": recordings.map_bag, "rate": QUICK}) as player:
        probe.wait_until(lambda: len(arrived) == NUM_MAP_FRAMES, "all images")
        probe.wait_until(lambda: not player.is_running, "the player ends")
        assert player.wait() == 0
    probe.node.destroy_subscription(subscription)
    assert arrived == recorded
    assert time.monotonic() - started > (NUM_MAP_FRAMES - 1) * FRAME_PERIOD_NS / 1e9 / QUICK
    times = [stamp_to_ns(clock.clock) for clock in clocks]
    assert times == sorted(times)
    assert max(b - a for a, b in itertools.pairwise(times)) <= FRAME_PERIOD_NS
    assert len({t.child_frame_id for m in static for t in m.transforms}) >= 2


def test_in_a_circle_time_jumps_back_and_a_part_can_be_played(
    recordings: Recordings, probe: Probe, tmp_path: Path
) -> None:
    clocks = probe.collect(Clock, "/clock")
    static = probe.collect(TFMessage, "/tf_static")
    parameters = {
        "bag": recordings.map_bag,
        "rate": QUICK,
        "loop": True,
        "start_offset_s": 2.0,
        "duration_s": 1.0,
        "wait_for_nodes_s": 0.0,
    }
    with NodeProcess("bag_player", tmp_path / "log", parameters) as player:
        probe.wait_until(lambda: _num_jumps_back(clocks) >= 2, "it starts again")
        assert player.stop() == 0
        assert "Traceback" not in player.log
    times = [stamp_to_ns(clock.clock) for clock in clocks]
    assert (max(times) - min(times)) / 1e9 <= 1.0
    assert static, "what holds for the whole bag is told although it was recorded before the start"


def test_pausing(recordings: Recordings, probe: Probe, tmp_path: Path) -> None:
    clocks = probe.collect(Clock, "/clock")
    parameters = {"bag": recordings.map_bag, "rate": QUICK, "start_paused": True, "wait_for_nodes_s": 0.0}
    with NodeProcess("bag_player", tmp_path / "log", parameters) as player:
        assert probe.call(SetBool, "/bag_player/set_paused", SetBool.Request(data=True)).success
        probe.spin(0.5)
        assert clocks == []
        assert probe.call(SetBool, "/bag_player/set_paused", SetBool.Request(data=False)).success
        probe.wait_until(lambda: clocks, "it plays")
        assert player.stop() == 0


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({}, "no bag is named"),
        ({"bag": "/no/such/bag"}, "/no/such/bag"),
        ({"topics": "/lidar"}, "/lidar not in"),
        ({"step_topic": "/lidar"}, "/lidar"),
        ({"drop_transforms": "map"}, "parent->child"),
        ({"mode": "backwards"}, "one of rate, lock_step"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(
    parameters: dict[str, object], reason: str, recordings: Recordings, tmp_path: Path
) -> None:
    bag = {"bag": recordings.map_bag} if parameters else {}
    with NodeProcess("bag_player", tmp_path / "log", {**bag, **parameters}) as player:
        assert player.wait() == 1
    assert reason in player.log
    assert len(player.log.strip().splitlines()) == 1, player.log


def test_lock_step_without_a_node_that_acknowledges_fails(recordings: Recordings, tmp_path: Path) -> None:
    parameters = {"bag": recordings.map_bag, "mode": "lock_step", "wait_for_nodes_s": 0.5}
    with NodeProcess("bag_player", tmp_path / "log", parameters) as player:
        assert player.wait() == 1
    assert "no active localizer or mapper acknowledges images on /processed" in player.log


def test_transform_pairs() -> None:
    assert parse_transform_pairs("map->odom, a -> b") == {("map", "odom"), ("a", "b")}
    assert parse_transform_pairs(" ") == frozenset()
    with pytest.raises(DatasetError):
        parse_transform_pairs("map->")


def _num_jumps_back(clocks: list[Clock]) -> int:
    times = [stamp_to_ns(clock.clock) for clock in clocks]
    return sum(b < a for a, b in itertools.pairwise(times))
