# SPDX-License-Identifier: Apache-2.0
"""Tests of keyframe selection: one frame for each verdict."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from box_room import look_at, room_frame, room_keyframe

from xover_core.config import MappingSettings
from xover_core.landmark_map.covisibility import CovisibilityGraph, view_of_keyframe
from xover_core.landmark_map.keyframe_selection import FrameVerdict, KeyframeSelector
from xover_core.types import Mat4, RgbdFrame

SETTINGS = MappingSettings(min_translation=0.25, min_rotation_deg=15.0, max_overlap=0.9, min_valid_depth=0.1)
HERE = look_at((0, 0, 0), 0)


def selector_after(*poses: Mat4, settings: MappingSettings = SETTINGS) -> KeyframeSelector:
    """A selector that has accepted keyframes at the poses."""
    graph = CovisibilityGraph()
    for i, pose in enumerate(poses, start=1):
        graph.add(i, view_of_keyframe(room_keyframe(pose)))
    return KeyframeSelector(settings, graph, poses[-1] if poses else None)


def verdict(selector: KeyframeSelector, pose: Mat4, frame: RgbdFrame | None = None) -> FrameVerdict:
    return selector.judge(frame or room_frame(pose), pose).verdict


def test_first_frame_is_a_keyframe() -> None:
    assert verdict(selector_after(), HERE) is FrameVerdict.KEYFRAME


@pytest.mark.parametrize(
    ("pose", "is_needed"),
    [
        (look_at((0.2, 0, 0), 0), False),
        (look_at((0, 0, 0), 14), False),
        (look_at((0, 0, 0), 16), True),
        (look_at((-0.9, 0, 0), 0), True),
    ],
)
def test_motion_by_distance_or_angle(pose: Mat4, is_needed: bool) -> None:
    expected = FrameVerdict.KEYFRAME if is_needed else FrameVerdict.NOT_MOVED
    assert verdict(selector_after(HERE), pose) is expected


def test_motion_counts_from_the_last_keyframe() -> None:
    selector = selector_after(HERE, look_at((0, 0, 0), 60))
    selector.accept(HERE)
    assert verdict(selector, look_at((0.1, 0, 0), 0)) is FrameVerdict.NOT_MOVED


def test_place_seen_before_is_not_needed_again() -> None:
    selector = selector_after(HERE, look_at((0, 0, 0), 180))
    assert verdict(selector, look_at((0.05, 0, 0), 1)) is FrameVerdict.ALREADY_SEEN


def test_no_overlap_limit_keeps_everything_that_moved() -> None:
    settings = dataclasses.replace(SETTINGS, max_overlap=1.0)
    selector = selector_after(HERE, look_at((0, 0, 0), 180), settings=settings)
    assert verdict(selector, look_at((0.05, 0, 0), 1)) is FrameVerdict.KEYFRAME


def test_overlaps_come_with_a_keyframe() -> None:
    pose = look_at((0, 0, 0), 30)
    judgement = selector_after(HERE).judge(room_frame(pose), pose)
    assert judgement.overlaps.keys() == {1}


@pytest.mark.parametrize("bad", [0.0, np.nan])
def test_frame_with_too_little_depth(bad: float) -> None:
    frame = room_frame(HERE)
    assert frame.depth is not None
    frame.depth[5:] = bad
    assert verdict(selector_after(), HERE, frame) is FrameVerdict.LITTLE_DEPTH


def test_depth_beyond_the_range_does_not_count() -> None:
    settings = dataclasses.replace(SETTINGS, max_depth=0.5)
    assert verdict(selector_after(settings=settings), HERE) is FrameVerdict.LITTLE_DEPTH


def test_frame_without_depth() -> None:
    frame = dataclasses.replace(room_frame(HERE), depth=None)
    assert verdict(selector_after(), HERE, frame) is FrameVerdict.NO_DEPTH


def test_without_a_least_share_a_frame_still_needs_a_reading() -> None:
    settings = dataclasses.replace(SETTINGS, min_valid_depth=0.0)
    frame = dataclasses.replace(room_frame(HERE), depth=np.zeros((64, 80), np.float32))
    assert verdict(selector_after(settings=settings), HERE, frame) is FrameVerdict.LITTLE_DEPTH
