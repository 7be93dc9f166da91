# SPDX-License-Identifier: Apache-2.0
"""Makes a training scene of any posed RGB-D recording: a bag of the site, or a sequence of a data set."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.config import Settings, setting
from xover_core.datasets.rgbd_sequence import RgbdSequence
from xover_core.errors import TrainingError
from xover_core.geometry.depth import valid_share
from xover_core.geometry.transforms import pose_error
from xover_core.training.scale_crop import Window, resize_camera_window, resize_depth_window
from xover_core.training.scene_frames import SceneFrames, make_scene_frames
from xover_core.types import CameraIntrinsics, Float32Array, Mat4, RgbdFrame

Progress = Callable[[int, int], None]
"""Called with (frames done, all frames)."""

# When there are too many frames, the step grows by this factor until few enough are left.
_STEP_GROWTH = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSceneSettings(Settings):
    """Which frames of a recording are kept, and their size."""

    width: int = setting(320, "of images, px; a multiple of 8", minimum=16)
    height: int = setting(240, "of images, px; a multiple of 8", minimum=16)
    max_frames: int = setting(200, "frames that are kept at most", minimum=2)
    min_step: float = setting(
        0.25, "frames nearer than this to one that is kept are left out: distance in m + angle in rad", minimum=0.0
    )
    min_valid_depth: float = setting(0.3, "frames with a smaller share of depth are left out", minimum=0.0, maximum=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeptFrame:
    """A frame at the training size."""

    rgb: NDArray[np.uint8]
    depth: Float32Array
    intrinsics: CameraIntrinsics
    T_world_camera: Mat4


def make_recording_scene(
    sequence: RgbdSequence, settings: RecordingSceneSettings | None = None, progress: Progress | None = None
) -> SceneFrames:
    """Keep frames that are spread over all poses of a recording; only kept frames are held in memory.

    Args:
        sequence: whose items have a pose and depth; others are passed over.
        settings: None = defaults.
        progress: called after each frame.

    Raises:
        TrainingError: fewer than two frames are left, or the size is no multiple of 8.
    """
    settings = settings or RecordingSceneSettings()
    step = settings.min_step
    kept: list[_KeptFrame] = []
    for done, item in enumerate(sequence, start=1):
        if progress:
            progress(done, len(sequence))
        pose, frame = item.T_world_camera, item.frame
        if pose is None or frame.depth is None or valid_share(frame.depth) < settings.min_valid_depth:
            continue
        if not _is_apart(pose, kept, step):
            continue
        kept.append(_resized(frame, frame.depth, pose, settings))
        while len(kept) > settings.max_frames:
            step = max(step, 0.01) * _STEP_GROWTH
            kept = _thinned(kept, step)
    if len(kept) < 2:
        raise TrainingError(
            f"recording {sequence.name}: expected at least two frames with pose, depth and"
            f" {settings.min_step:g} m + rad between them, got {len(kept)}; has it poses, and does the camera move?"
        )
    return make_scene_frames(
        sequence.name,
        np.stack([frame.rgb for frame in kept]),
        np.stack([frame.depth for frame in kept]),
        [frame.intrinsics for frame in kept],
        np.stack([frame.T_world_camera for frame in kept]),
    )


def _is_apart(T_world_camera: Mat4, kept: list[_KeptFrame], step: float) -> bool:
    """Whether a pose is at least `step` from all that are kept."""
    return all(math.fsum(pose_error(T_world_camera, other.T_world_camera)) >= step for other in kept)


def _thinned(frames: list[_KeptFrame], step: float) -> list[_KeptFrame]:
    """The frames in their order, without those nearer than `step` to one before."""
    kept: list[_KeptFrame] = []
    for frame in frames:
        if _is_apart(frame.T_world_camera, kept, step):
            kept.append(frame)
    return kept


def _resized(
    frame: RgbdFrame, depth: Float32Array, T_world_camera: Mat4, settings: RecordingSceneSettings
) -> _KeptFrame:
    """The largest window of the wanted proportions in the middle of a frame, at the training size."""
    width, height = settings.width, settings.height
    window = _middle_window(frame.intrinsics, width / height)
    rgb = frame.rgb[window.top : window.top + window.height, window.left : window.left + window.width]
    # averages when it gets smaller, so that fine patterns do not flicker
    way = cv2.INTER_AREA if width < window.width else cv2.INTER_LINEAR
    return _KeptFrame(
        rgb=np.asarray(cv2.resize(rgb, (width, height), interpolation=way), dtype=np.uint8),
        depth=resize_depth_window(depth, window, width, height),
        intrinsics=resize_camera_window(frame.intrinsics, window, width, height),
        T_world_camera=T_world_camera,
    )


def _middle_window(camera: CameraIntrinsics, proportion: float) -> Window:
    """The largest window with this width / height."""
    width = min(camera.width, round(camera.height * proportion))
    height = min(camera.height, round(camera.width / proportion))
    return Window(left=(camera.width - width) // 2, top=(camera.height - height) // 2, width=width, height=height)
