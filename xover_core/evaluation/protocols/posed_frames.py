# SPDX-License-Identifier: Apache-2.0
"""Two passes over a recording: a survey of all frames that have depth and pose, then the images of the chosen ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.rgbd_sequence import RgbdSequence
from xover_core.errors import DatasetError
from xover_core.evaluation.protocols.view_overlap import CoarseView, make_coarse_view
from xover_core.evaluation.replay import Progress, ignore_progress
from xover_core.types import Float32Array, Mat4, RgbdFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class PosedFrame:
    """A frame that has all that a protocol needs.

    Attributes:
        name: how the recording calls it.
        frame: colour and intrinsics.
        depth: (H, W) float32 metres.
        T_world_camera: (4, 4) true pose.
    """

    name: str
    frame: RgbdFrame
    depth: Float32Array
    T_world_camera: Mat4


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The frames of a recording that can be used, as coarse views.

    Attributes:
        recording: its name.
        positions: of the frames in the recording, ascending; parallel to `views`.
        views: coarse views.
    """

    recording: str
    positions: tuple[int, ...]
    views: tuple[CoarseView, ...]


def survey(
    sequence: RgbdSequence, *, max_frames: int, max_depth: float, progress: Progress = ignore_progress
) -> Survey:
    """Look at up to `max_frames` frames, evenly spread over the recording.

    Raises:
        DatasetError: fewer than two of them have depth and a true pose.
    """
    positions, views = [], []
    for position, posed in _posed_frames(sequence, set(_spread(len(sequence), max_frames).tolist()), progress):
        positions.append(position)
        views.append(make_coarse_view(posed.frame, posed.depth, posed.T_world_camera, max_depth))
    if len(views) < 2:
        raise DatasetError(
            f"recording {sequence.name}: expected at least 2 frames with depth and a true camera pose, got {len(views)}"
            f" of {len(sequence)}; protocols need posed RGB-D."
        )
    return Survey(recording=sequence.name, positions=tuple(positions), views=tuple(views))


def read_frames(
    sequence: RgbdSequence, surveyed: Survey, chosen: Collection[int], progress: Progress = ignore_progress
) -> dict[int, PosedFrame]:
    """Images of chosen frames, by their index in the survey."""
    index_of = {surveyed.positions[index]: index for index in chosen}
    return {index_of[p]: posed for p, posed in _posed_frames(sequence, index_of.keys(), progress)}


def spread_frames(sequence: RgbdSequence, max_frames: int, progress: Progress = ignore_progress) -> Iterator[RgbdFrame]:
    """Up to `max_frames` frames, evenly spread over a recording; neither poses nor depth are needed."""
    wanted = set(_spread(len(sequence), max_frames).tolist())
    for position, item in enumerate(sequence):
        if position in wanted:
            yield item.frame
        progress(position + 1, len(sequence))


def _spread(length: int, count: int) -> NDArray[np.int64]:
    """At most `count` positions, evenly spread from the first of `length` to the last."""
    return np.unique(np.rint(np.linspace(0, max(length - 1, 0), min(length, count))).astype(np.int64))


def _posed_frames(
    sequence: RgbdSequence, wanted: Collection[int], progress: Progress
) -> Iterator[tuple[int, PosedFrame]]:
    """The wanted positions that have depth and pose."""
    for position, item in enumerate(sequence):
        depth, pose = item.frame.depth, item.T_world_camera
        if position in wanted and depth is not None and pose is not None:
            yield position, PosedFrame(name=item.name, frame=item.frame, depth=depth, T_world_camera=pose)
        progress(position + 1, len(sequence))
