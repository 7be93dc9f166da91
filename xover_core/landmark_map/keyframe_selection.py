# SPDX-License-Identifier: Apache-2.0
"""Which frames become keyframes: those that moved and show something that no keyframe sees yet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from xover_core.config import MappingSettings
from xover_core.geometry.transforms import pose_error
from xover_core.landmark_map.covisibility import CovisibilityGraph, View, view_of_depth
from xover_core.types import Mat4, RgbdFrame


class FrameVerdict(Enum):
    """What became of a frame, and why; the value is the text for people."""

    KEYFRAME = "keyframe"
    NO_DEPTH = "no depth image"
    LITTLE_DEPTH = "too few depth readings"
    NOT_MOVED = "not moved since the last keyframe"
    ALREADY_SEEN = "a keyframe sees the same already"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with what was found on the way.

    Attributes:
        verdict: KEYFRAME when the frame is needed.
        overlaps: share of the frame's points that existing keyframes see, by keyframe id; empty unless it is needed.
    """

    verdict: FrameVerdict
    overlaps: dict[int, float] = field(default_factory=dict)


class KeyframeSelector:
    """Judges frames by depth, motion since the last keyframe, and overlap with all keyframes nearby."""

    def __init__(self, settings: MappingSettings, graph: CovisibilityGraph, last_pose: Mat4 | None = None) -> None:
        self._settings = settings
        self._graph = graph
        self._last_pose = last_pose

    def judge(self, frame: RgbdFrame, T_map_camera: Mat4) -> Judgement:
        """Say whether a frame taken at T_map_camera is needed; cheap tests first, nothing is remembered."""
        if frame.depth is None:
            return Judgement(verdict=FrameVerdict.NO_DEPTH)
        if not self._has_moved(T_map_camera):
            return Judgement(verdict=FrameVerdict.NOT_MOVED)
        view = view_of_depth(frame.depth, frame.intrinsics, T_map_camera, self._settings.max_depth)
        if not self._has_enough_depth(view):
            return Judgement(verdict=FrameVerdict.LITTLE_DEPTH)
        overlaps = self._graph.overlaps(view)
        if max(overlaps.values(), default=0.0) > self._settings.max_overlap:
            return Judgement(verdict=FrameVerdict.ALREADY_SEEN)
        return Judgement(verdict=FrameVerdict.KEYFRAME, overlaps=overlaps)

    def accept(self, T_map_camera: Mat4) -> None:
        """Remember the pose of a frame that became a keyframe."""
        self._last_pose = T_map_camera

    def _has_moved(self, T_map_camera: Mat4) -> bool:
        """Whether the camera has moved or turned far enough since the last keyframe."""
        if self._last_pose is None:
            return True
        distance, angle = pose_error(T_map_camera, self._last_pose)
        return distance >= self._settings.min_translation or math.degrees(angle) >= self._settings.min_rotation_deg

    def _has_enough_depth(self, view: View) -> bool:
        """Whether enough of the depth grid has a reading; at least one."""
        share = np.count_nonzero(view.depth) / view.depth.size
        return bool(len(view.points_map) > 0 and share >= self._settings.min_valid_depth)
