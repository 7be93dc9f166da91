# SPDX-License-Identifier: Apache-2.0
"""The frames of a site: those of a map as a recording, and which of them are kept apart from training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.errors import TrainingError
from xover_core.geometry.transforms import pose_error
from xover_core.landmark_map.keyframe_frame import keyframe_frame
from xover_core.training.adaptation_settings import HeldOutSettings
from xover_core.training.scene_frames import SceneFrames
from xover_core.types import Keyframe, Mat4

# Fewer do not tell anything.
_MIN_TRAINED, _MIN_HELD_OUT = 12, 6


class MapRecording:
    """The keyframes of a map as an `RgbdSequence`; depth is that of the patches."""

    def __init__(self, name: str, keyframes: Sequence[Keyframe]) -> None:
        """Wrap keyframes, which are put into the order of time."""
        self._name = name
        self._keyframes = sorted(keyframes, key=lambda keyframe: keyframe.stamp_ns)

    @property
    def name(self) -> str:
        """For reports."""
        return self._name

    def __len__(self) -> int:
        """Number of keyframes."""
        return len(self._keyframes)

    def __iter__(self) -> Iterator[SequenceItem]:
        """Yield the keyframes in order."""
        for keyframe in self._keyframes:
            yield SequenceItem(
                frame=keyframe_frame(keyframe),
                T_world_camera=keyframe.T_map_camera,
                name=f"keyframe {keyframe.keyframe_id}",
            )


def split_scene(scene: SceneFrames, settings: HeldOutSettings) -> tuple[SceneFrames, SceneFrames]:
    """Frames to train on, and frames to measure on: whole stretches of the recording, with a gap around them.

    The recording is cut into equal parts, and the end of each is kept apart; so the frames that are kept apart are of
    all of the site, and still no neighbours of those that are trained on.

    Raises:
        TrainingError: too few frames on either side.
    """
    parts = np.array_split(np.arange(len(scene)), settings.stretches)
    held_out = [int(i) for part in parts for i in part[len(part) - math.ceil(settings.share * len(part)) :]]
    kept_apart = [scene.T_world_camera[i] for i in held_out]
    trained = [
        i
        for i in sorted(set(range(len(scene))) - set(held_out))
        if not _is_near(scene.T_world_camera[i], kept_apart, settings.gap)
    ]
    if len(trained) < _MIN_TRAINED or len(held_out) < _MIN_HELD_OUT:
        raise TrainingError(
            f"site {scene.name}: expected at least {_MIN_TRAINED} frames to train on and {_MIN_HELD_OUT} apart from"
            f" them to measure on, got {len(trained)} and {len(held_out)} of {len(scene)} different views; record more"
            " of the site."
        )
    return select_frames(scene, trained), select_frames(scene, held_out)


def select_frames(scene: SceneFrames, frames: Sequence[int]) -> SceneFrames:
    """These frames of a scene, in this order."""
    rows = np.asarray(frames, np.intp)
    return dataclasses.replace(
        scene,
        images=scene.images[rows],
        depths_mm=scene.depths_mm[rows],
        intrinsics=tuple(scene.intrinsics[i] for i in frames),
        T_world_camera=scene.T_world_camera[rows],
        overlap=scene.overlap[np.ix_(rows, rows)],
    )


def _is_near(T_world_camera: Mat4, others: Sequence[Mat4], gap: float) -> bool:
    """Whether a pose is within `gap` (m + rad) of any other."""
    return any(math.fsum(pose_error(T_world_camera, other)) < gap for other in others)
