# SPDX-License-Identifier: Apache-2.0
"""A recording that goes on for as long as one likes: forward, backward, forward; stamps rise, and odometry goes on."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from own_process import memory_mb

from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.types import LocalizationResult, LocalizationState, RgbdFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySample:
    """What was seen at one moment of a long replay.

    Attributes:
        num_frames: answered until then.
        minutes: of the recording until then.
        memory_mb: resident memory of the process.
        num_objects: that Python's garbage collector knows.
        p50_ms: of the frames since the sample before.
        p95_ms: of the same.
        localized: share of these frames that were LOCALIZED.
    """

    num_frames: int
    minutes: float
    memory_mb: float
    num_objects: int
    p50_ms: float
    p95_ms: float
    localized: float


def endless_frames(items: Sequence[SequenceItem], period_ns: int) -> Iterator[RgbdFrame]:
    """The frames there and back again for ever; true poses stand for odometry where there is none.

    Args:
        items: of a recording, at least two, held in memory.
        period_ns: between frames.
    """
    there_and_back = [*items, *items[-2:0:-1]]
    for number, item in enumerate(itertools.cycle(there_and_back)):
        frame = with_odometry(item)
        yield dataclasses.replace(frame, stamp_ns=items[0].frame.stamp_ns + number * period_ns)


def with_odometry(item: SequenceItem) -> RgbdFrame:
    """The frame; where it has no odometry but a true pose, that stands for it."""
    if item.frame.T_odom_camera is not None or item.T_world_camera is None:
        return item.frame
    return dataclasses.replace(item.frame, T_odom_camera=item.T_world_camera)


def newest_frames(frames: Iterator[RgbdFrame], period_s: float, duration_s: float) -> Iterator[RgbdFrame]:
    """As a camera's frames reach a node: the newest one whenever one is asked for; what came in between is left out.

    Args:
        frames: of the recording, without end.
        period_s: between frames.
        duration_s: by the clock, after which there are no more.
    """
    start, num_passed = time.monotonic(), 0
    while (elapsed := time.monotonic() - start) < duration_s:
        num_due = int(elapsed / period_s)
        if num_due < num_passed:
            time.sleep(num_passed * period_s - elapsed)
            continue
        yield next(itertools.islice(frames, num_due - num_passed, None))
        num_passed = num_due + 1


def sample_replay(
    localize: Callable[[RgbdFrame], LocalizationResult], frames: Iterator[RgbdFrame], every: int
) -> Iterator[ReplaySample]:
    """Localize all frames, and look at the process each time that some have been answered.

    Args:
        localize: takes the frames one after the other.
        frames: of the replay; what is left of them at the end, too few for a sample, is answered and not told of.
        every: frames between samples.
    """
    num_frames, first_ns = 0, None
    while len(chunk := list(_answered(localize, itertools.islice(frames, every)))) == every:
        num_frames += every
        stamps_ns, wall_ms, is_localized = zip(*chunk, strict=True)
        first_ns = stamps_ns[0] if first_ns is None else first_ns
        p50, p95 = np.percentile(wall_ms, (50, 95))
        gc.collect()
        yield ReplaySample(
            num_frames=num_frames,
            minutes=(stamps_ns[-1] - first_ns) / 60e9,
            memory_mb=memory_mb(),
            num_objects=len(gc.get_objects()),
            p50_ms=float(p50),
            p95_ms=float(p95),
            localized=float(np.mean(is_localized)),
        )


def _answered(
    localize: Callable[[RgbdFrame], LocalizationResult], frames: Iterator[RgbdFrame]
) -> Iterator[tuple[int, float, bool]]:
    """For each frame its stamp, the milliseconds that the answer took, and whether it was LOCALIZED."""
    for frame in frames:
        start = time.perf_counter()
        result = localize(frame)
        yield frame.stamp_ns, 1e3 * (time.perf_counter() - start), result.state is LocalizationState.LOCALIZED


def growth(values: Sequence[float]) -> float:
    """Median of the last fifth less that of the second fifth; the first one is for warming up. At least five values."""
    fifth = len(values) // 5
    return float(np.median(values[-fifth:]) - np.median(values[fifth : 2 * fifth]))
