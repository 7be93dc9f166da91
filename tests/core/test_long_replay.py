# SPDX-License-Identifier: Apache-2.0
"""A localizer that runs for long keeps no more than at the beginning; and the replay that shows it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import replay_loop
from box_room import look_at, room_frame
from replay_loop import endless_frames, growth, newest_frames, sample_replay, with_odometry

from xover_core.config import EncoderSettings, XoverSettings
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.landmark_map.map_builder import open_map_builder
from xover_core.localization.localizer import Localizer, load_localizer
from xover_core.types import LocalizationResult, LocalizationState, RgbdFrame

SETTINGS = XoverSettings(encoder=EncoderSettings(model="rootsift-pca64"))
PERIOD_NS = 100_000_000
# The window of the belief, 10 frames, is full after the first sample; what is left is that answers are not all alike.
# An object kept of each frame would make 36.
MAX_MORE_OBJECTS = 12
FRAMES_PER_SAMPLE, NUM_SAMPLES = 12, 5


def items(count: int) -> list[SequenceItem]:
    """A drive along a line, looking ahead."""
    poses = [look_at((-0.6 + 0.1 * i, 0.1, 0.0), 4.0 * i) for i in range(count)]
    frames = [dataclasses.replace(room_frame(pose), stamp_ns=(i + 1) * PERIOD_NS) for i, pose in enumerate(poses)]
    return [
        SequenceItem(frame=frame, T_world_camera=pose, name=str(i))
        for i, (frame, pose) in enumerate(zip(frames, poses, strict=True))
    ]


@pytest.fixture(scope="module")
def localizer(tmp_path_factory: pytest.TempPathFactory) -> Localizer:
    path: Path = tmp_path_factory.mktemp("map") / "room.xover"
    builder = open_map_builder(path, SETTINGS)
    with builder.storage:
        for item in items(6):
            builder.add(item.frame, item.T_world_camera)
        builder.finish()
    return load_localizer(path, SETTINGS)


def objects_grown(localize: Callable[[RgbdFrame], LocalizationResult]) -> float:
    """How many more objects Python holds at the end of a replay than after its beginning."""
    frames = itertools.islice(endless_frames(items(6), PERIOD_NS), FRAMES_PER_SAMPLE * NUM_SAMPLES)
    samples = list(sample_replay(localize, frames, FRAMES_PER_SAMPLE))
    assert [sample.num_frames for sample in samples] == [12, 24, 36, 48, 60]
    return growth([sample.num_objects for sample in samples])


def test_a_localizer_keeps_nothing_of_the_frames_that_it_answered(localizer: Localizer) -> None:
    assert objects_grown(localizer.process) <= MAX_MORE_OBJECTS


def test_one_that_keeps_its_answers_is_found_out(localizer: Localizer) -> None:
    kept: list[LocalizationResult] = []

    def keep(frame: RgbdFrame) -> LocalizationResult:
        kept.append(localizer.process(frame))
        return kept[-1]

    assert objects_grown(keep) > 2 * MAX_MORE_OBJECTS


def test_frames_go_there_and_back_with_rising_stamps_and_odometry() -> None:
    recorded = items(4)
    frames = list(itertools.islice(endless_frames(recorded, PERIOD_NS), 8))
    order = [0, 1, 2, 3, 2, 1, 0, 1]
    for number, (frame, index) in enumerate(zip(frames, order, strict=True)):
        assert frame.rgb is recorded[index].frame.rgb
        assert frame.stamp_ns == (number + 1) * PERIOD_NS
        assert frame.T_odom_camera is not None
        np.testing.assert_array_equal(frame.T_odom_camera, recorded[index].T_world_camera)


def test_a_recordings_own_odometry_is_kept() -> None:
    item = items(1)[0]
    own = look_at((5.0, 0.0, 0.0), 0.0)
    with_own = dataclasses.replace(item, frame=dataclasses.replace(item.frame, T_odom_camera=own))
    assert with_odometry(with_own) is with_own.frame
    assert with_odometry(dataclasses.replace(item, T_world_camera=None)).T_odom_camera is None


def test_growth_is_that_from_the_second_fifth_to_the_last() -> None:
    assert growth([900.0, 10.0, 11.0, 12.0, 13.0]) == pytest.approx(3.0)
    assert growth([5.0] * 10) == 0.0


def test_samples_tell_of_latency_and_answers(localizer: Localizer) -> None:
    answers: Iterator[LocalizationState] = itertools.cycle([LocalizationState.LOCALIZED, LocalizationState.UNKNOWN])
    answer = localizer.process(next(endless_frames(items(2), PERIOD_NS)))

    def localize(_: RgbdFrame) -> LocalizationResult:
        return dataclasses.replace(answer, state=next(answers))

    sample = next(sample_replay(localize, endless_frames(items(2), PERIOD_NS), 10))
    assert sample.localized == 0.5
    assert 0 < sample.p50_ms <= sample.p95_ms
    assert sample.memory_mb > 0


def test_in_real_time_the_newest_frame_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(replay_loop.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(replay_loop.time, "sleep", lambda seconds: now.append(now.pop() + seconds + 1e-6))
    taken = []
    for frame in newest_frames(endless_frames(items(4), PERIOD_NS), PERIOD_NS / 1e9, 1.0):
        taken.append(frame.stamp_ns // PERIOD_NS - 1)
        # a quick answer, then slow ones
        now[0] += 0.01 if len(taken) == 1 else 0.25
    assert taken == [0, 1, 3, 6, 8]
