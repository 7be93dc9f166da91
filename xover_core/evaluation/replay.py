# SPDX-License-Identifier: Apache-2.0
"""A recording through a localizer: one record for each frame, the same for single frames and for a moving robot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xover_core.datasets.rgbd_sequence import RgbdSequence, SequenceItem
from xover_core.errors import DatasetError
from xover_core.evaluation.records import QueryRecord, make_record
from xover_core.types import LocalizationResult, RgbdFrame

if TYPE_CHECKING:
    from xover_core.landmark_map.map_builder import MapBuilder

Progress = Callable[[int, int], None]
"""Called with the number of frames done and the number of all frames."""


def ignore_progress(_done: int, _total: int) -> None:
    """A `Progress` that shows nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedQuery:
    """A query with everything that is known of it; holds images, so keep only a few."""

    item: SequenceItem
    result: LocalizationResult
    record: QueryRecord


def replay(
    sequence: RgbdSequence,
    localize: Callable[[RgbdFrame], LocalizationResult],
    *,
    is_same_place: bool = True,
    progress: Progress = ignore_progress,
) -> Iterator[ReplayedQuery]:
    """Localize every frame of a recording that has a true pose.

    Args:
        sequence: the queries.
        localize: `Localizer.localize_image` for single frames, `Localizer.process` for a moving robot.
        is_same_place: whether the recording's world is the map's frame; if not, no answer can be right.
        progress: called after each frame.

    Raises:
        DatasetError: no frame has a true pose, so nothing can be measured.
    """
    num_judged = 0
    for done, item in enumerate(sequence, start=1):
        if item.T_world_camera is not None or not is_same_place:
            num_judged += 1
            result = localize(item.frame)
            record = make_record(item, result, is_same_place=is_same_place)
            yield ReplayedQuery(item=item, result=result, record=record)
        progress(done, len(sequence))
    if not num_judged:
        raise DatasetError(
            f"recording {sequence.name}: expected frames with a true camera pose to measure against, got none of"
            f" {len(sequence)}; use `xover localize` for recordings without ground truth."
        )


def map_recording(sequence: RgbdSequence, builder: MapBuilder, progress: Progress = ignore_progress) -> int:
    """Add every frame with a pose to a map; returns how many frames had one.

    Raises:
        DatasetError: no frame has a pose.
    """
    num_posed = 0
    for done, item in enumerate(sequence, start=1):
        if item.T_world_camera is not None:
            builder.add(item.frame, item.T_world_camera)
            num_posed += 1
        progress(done, len(sequence))
    if not num_posed:
        raise DatasetError(
            f"recording {sequence.name}: expected frames with a camera pose to map from, got none of {len(sequence)};"
            " does it have poses.txt, groundtruth.txt, or a pose topic or TF from a fixed frame?"
        )
    return num_posed
