# SPDX-License-Identifier: Apache-2.0
"""Map one recording, localize another, measure: what `xover evaluate` does, as two calls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xover_core.config import XoverSettings
from xover_core.datasets.rgbd_sequence import RgbdSequence
from xover_core.evaluation.evaluation import Evaluation, find_map_facts
from xover_core.evaluation.match_pictures import ExampleCollector, MatchExample, choose_examples
from xover_core.evaluation.provenance import find_provenance
from xover_core.evaluation.records import QueryRecord
from xover_core.evaluation.replay import Progress, ReplayedQuery, ignore_progress, map_recording, replay
from xover_core.landmark_map.landmark_map import LandmarkMap
from xover_core.landmark_map.map_builder import open_map_builder
from xover_core.localization.localizer import load_localizer

SINGLE_FRAMES = "single frames"
ONLINE = "online"
ROS_NODES = "ROS 2 nodes"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRun:
    """An evaluation with what its report shows besides numbers."""

    evaluation: Evaluation
    landmark_map: LandmarkMap
    examples: tuple[MatchExample, ...]


def build_map(
    recording: RgbdSequence, map_path: Path, settings: XoverSettings, progress: Progress = ignore_progress
) -> float:
    """Write a map of a recording with poses; returns the seconds it took.

    Raises:
        DatasetError: the recording has no poses, or cannot be read.
    """
    start = time.perf_counter()
    builder = open_map_builder(map_path, settings)
    with builder.storage:
        map_recording(recording, builder, progress)
        builder.finish()
    return time.perf_counter() - start


def evaluate_recording(
    recording: RgbdSequence,
    map_path: Path,
    settings: XoverSettings,
    *,
    title: str,
    is_same_place: bool = True,
    is_online: bool = False,
    mapping_s: float | None = None,
    progress: Progress = ignore_progress,
) -> EvaluationRun:
    """Localize a recording in a map and compare with the true poses.

    Args:
        recording: the queries, with true poses in the map's frame when `is_same_place`.
        map_path: map file.
        settings: of the localizer.
        title: for reports.
        is_same_place: False when the queries come from elsewhere, so that every answer is wrong.
        is_online: use time and odometry; else each frame alone.
        mapping_s: seconds that building the map took, for the report.
        progress: called after each frame.

    Raises:
        DatasetError: no query has a true pose, or the recording cannot be read.
        MapFormatError: the map cannot be used.
    """
    localizer = load_localizer(map_path, settings)
    localize = localizer.process if is_online else localizer.localize_image
    collector = ExampleCollector(localizer.landmark_map, seed=settings.random_seed)
    records = []
    for query in replay(recording, localize, is_same_place=is_same_place, progress=progress):
        collector.offer(query)
        records.append(query.record)
    evaluation = Evaluation(
        title=title,
        mode=ONLINE if is_online else SINGLE_FRAMES,
        is_same_place=is_same_place,
        records=tuple(records),
        map_facts=find_map_facts(map_path, localizer.landmark_map),
        settings=settings,
        provenance=find_provenance(),
        mapping_s=mapping_s,
    )
    return EvaluationRun(evaluation=evaluation, landmark_map=localizer.landmark_map, examples=collector.examples)


def evaluate_answers(
    records: Sequence[QueryRecord],
    recording: RgbdSequence,
    map_path: Path,
    settings: XoverSettings,
    *,
    title: str,
    mapping_s: float | None = None,
) -> EvaluationRun:
    """Measure answers that were given elsewhere, by a ROS node for example.

    Pictures of matches are made here afterwards, by localizing some of the frames alone.

    Args:
        records: the answers compared with the truth.
        recording: the queries, for pictures.
        map_path: map file that was used.
        settings: that were used.
        title: for reports.
        mapping_s: seconds that building the map took.
    """
    localizer = load_localizer(map_path, settings)
    collector = ExampleCollector(localizer.landmark_map)
    chosen = {r.stamp_ns: r for r in choose_examples(records, seed=settings.random_seed)}
    for item in recording:
        if item.frame.stamp_ns in chosen:
            result = localizer.localize_image(item.frame)
            collector.offer(ReplayedQuery(item=item, result=result, record=chosen[item.frame.stamp_ns]))
    evaluation = Evaluation(
        title=title,
        mode=ROS_NODES,
        is_same_place=True,
        records=tuple(records),
        map_facts=find_map_facts(map_path, localizer.landmark_map),
        settings=settings,
        provenance=find_provenance(),
        mapping_s=mapping_s,
    )
    return EvaluationRun(evaluation=evaluation, landmark_map=localizer.landmark_map, examples=collector.examples)
