# SPDX-License-Identifier: Apache-2.0
"""The result of an evaluation: its records and all that is needed to understand and repeat it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xover_core.config import XoverSettings
from xover_core.config_io import flatten
from xover_core.evaluation.metrics import (
    Summary,
    expected_calibration_error,
    reliability_curve,
    stage_latencies,
    summarize,
)
from xover_core.evaluation.provenance import Provenance, file_sha256
from xover_core.evaluation.records import QueryRecord, record_as_json
from xover_core.landmark_map.landmark_map import LandmarkMap
from xover_core.types import ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFacts:
    """The map that was used, in numbers."""

    map_id: str
    revision: int
    sha256: str
    size_bytes: int
    num_scenes: int
    num_keyframes: int
    num_landmarks: int
    model: ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Records of one run and what made them.

    Attributes:
        title: one line for people.
        mode: how queries were given: `single frames`, `online`, or `ROS 2 nodes`.
        is_same_place: whether the queries were made where the map was.
        records: one for each query, in order.
        map_facts: the map.
        settings: fully resolved.
        provenance: version, commit, machine.
        mapping_s: seconds that building the map took; None when it was there already.
    """

    title: str
    mode: str
    is_same_place: bool
    records: tuple[QueryRecord, ...]
    map_facts: MapFacts
    settings: XoverSettings
    provenance: Provenance
    mapping_s: float | None = None

    @property
    def summary(self) -> Summary:
        """The numbers."""
        return summarize(self.records)


def find_map_facts(map_path: Path, landmark_map: LandmarkMap) -> MapFacts:
    """Describe a map file and what was loaded from it."""
    header = landmark_map.header
    return MapFacts(
        map_id=header.map_id,
        revision=header.revision,
        sha256=file_sha256(map_path),
        size_bytes=map_path.stat().st_size,
        num_scenes=len(landmark_map.scenes),
        num_keyframes=len(landmark_map.keyframes),
        num_landmarks=len(landmark_map.blocks),
        model=header.model,
    )


def evaluation_as_json(evaluation: Evaluation) -> dict[str, Any]:
    """All of it as JSON values; the keys are documented in docs/evaluation.md."""
    summary = evaluation.summary
    stages = stage_latencies(evaluation.records)
    return {
        "title": evaluation.title,
        "mode": evaluation.mode,
        "is_same_place": evaluation.is_same_place,
        "queries": summary.num_queries,
        "answered": summary.answered,
        "success": summary.success,
        "top1_hypothesis": summary.success_best,
        "wrong": summary.wrong,
        "unknown": summary.unknown,
        "states": summary.states,
        "median_m": summary.median_m,
        "median_deg": summary.median_deg,
        "time_to_first_fix_s": summary.first_fix_s,
        "time_to_first_right_fix_s": summary.first_right_fix_s,
        "latency_ms": {
            "p50": summary.latency_p50_ms,
            "p95": summary.latency_p95_ms,
            "stages": {stage: {"p50": p50, "p95": p95} for stage, (p50, p95) in stages.items()},
        },
        "calibration_error": expected_calibration_error(evaluation.records),
        "reliability": [dataclasses.asdict(b) for b in reliability_curve(evaluation.records)],
        "map_bytes": evaluation.map_facts.size_bytes,
        "model": evaluation.map_facts.model.name,
        "map": dataclasses.asdict(evaluation.map_facts),
        "mapping_s": evaluation.mapping_s,
        "random_seed": evaluation.settings.random_seed,
        "settings": {key: value for key, _, value in flatten(evaluation.settings)},
        "provenance": dataclasses.asdict(evaluation.provenance),
        "records": [record_as_json(r) for r in evaluation.records],
    }


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Write everything as one JSON file; folders on the way are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(evaluation_as_json(evaluation), indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def summary_rows(evaluation: Evaluation) -> list[tuple[str, str]]:
    """The table that people read: (what, value with unit)."""
    summary = evaluation.summary
    rows = [
        ("queries", str(summary.num_queries)),
        ("answered (LOCALIZED)", _percent(summary.answered)),
        *((f"right within {_limits(name)}", _percent(share)) for name, share in summary.success.items()),
        ("wrong (over 1 m or 30 deg)", _percent(summary.wrong)),
        ("UNKNOWN", _percent(summary.unknown)),
        ("median error", _median_error(summary)),
        ("latency p50 / p95", _latency(summary)),
        ("map size", _map_size(evaluation.map_facts)),
        ("model", evaluation.map_facts.model.name),
    ]
    if evaluation.mode != "single frames":
        fixes = (summary.first_fix_s, summary.first_right_fix_s)
        rows.insert(2, ("time to first answer / first right one", " / ".join(map(_seconds, fixes))))
    return rows


def format_table(evaluation: Evaluation) -> str:
    """The summary as aligned text under its title."""
    rows = summary_rows(evaluation)
    width = max(len(what) for what, _ in rows)
    return "\n".join([evaluation.title, *(f"  {what:<{width}}  {value}" for what, value in rows)])


def _limits(threshold_name: str) -> str:
    """`0.25m_10deg` -> `0.25 m, 10 deg`."""
    return threshold_name.replace("m_", " m, ").replace("deg", " deg")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


def _median_error(summary: Summary) -> str:
    if summary.median_m is None or summary.median_deg is None:
        return "-"
    return f"{100 * summary.median_m:.1f} cm, {summary.median_deg:.2f} deg"


def _latency(summary: Summary) -> str:
    if summary.latency_p50_ms is None or summary.latency_p95_ms is None:
        return "-"
    return f"{summary.latency_p50_ms:.0f} ms / {summary.latency_p95_ms:.0f} ms"


def _map_size(facts: MapFacts) -> str:
    return (
        f"{facts.size_bytes / 1e6:.1f} MB; keyframes {facts.num_keyframes}, landmarks {facts.num_landmarks},"
        f" scenes {facts.num_scenes}"
    )
