# SPDX-License-Identifier: Apache-2.0
"""From query records to numbers. Pure functions; every share is of all queries, in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xover_core.evaluation.records import PoseDifference, QueryRecord
from xover_core.types import Float64Array, LocalizationState

_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseThreshold:
    """How close an answer must be to count as right."""

    max_distance: float
    max_angle_deg: float

    @property
    def name(self) -> str:
        """For example `0.25m_10deg`."""
        return f"{self.max_distance:g}m_{self.max_angle_deg:g}deg"

    def contains(self, difference: PoseDifference | None) -> bool:
        """Whether a difference is known and within both limits."""
        if difference is None:
            return False
        return difference.distance <= self.max_distance and difference.angle_deg <= self.max_angle_deg


SUCCESS_THRESHOLDS = (
    PoseThreshold(max_distance=0.05, max_angle_deg=5.0),
    PoseThreshold(max_distance=0.25, max_angle_deg=10.0),
    PoseThreshold(max_distance=0.5, max_angle_deg=15.0),
    PoseThreshold(max_distance=1.0, max_angle_deg=30.0),
)
# An answer beyond this is wrong; it is also what a hypothesis' probability speaks of.
WRONG_BEYOND = SUCCESS_THRESHOLDS[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The numbers of one evaluation.

    Attributes:
        num_queries: all of them.
        answered: share answered as LOCALIZED.
        success: threshold -> share answered within it.
        success_best: threshold -> share whose best hypothesis is within it, whatever the state.
        wrong: share answered as LOCALIZED but over 1 m or 30 deg off (or with no truth at this place).
        states: state name -> share.
        median_m: over the answers with a known truth; None without one.
        median_deg: likewise.
        latency_p50_ms: per processed query; None without one.
        latency_p95_ms: likewise.
        first_fix_s: from the first query to the first answer; None when there was none.
        first_right_fix_s: to the first answer within 1 m and 30 deg.
    """

    num_queries: int
    answered: float
    success: dict[str, float]
    success_best: dict[str, float]
    wrong: float
    states: dict[str, float]
    median_m: float | None
    median_deg: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    first_fix_s: float | None
    first_right_fix_s: float | None

    @property
    def unknown(self) -> float:
        """Share of queries that ended in UNKNOWN."""
        return self.states[LocalizationState.UNKNOWN.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Poses whose probability lies in [low, high): what was promised and what came true."""

    low: float
    high: float
    count: int
    mean_probability: float
    observed_rate: float


def summarize(records: Sequence[QueryRecord]) -> Summary:
    """Compute all numbers; no records give zero shares and None elsewhere."""
    errors = [r.error for r in records if r.error is not None]
    latencies = [r.latency_ms for r in records if r.timings_ms]
    return Summary(
        num_queries=len(records),
        answered=_share([r.is_answered for r in records]),
        success={t.name: success_share([r.error for r in records], t) for t in SUCCESS_THRESHOLDS},
        success_best={t.name: success_share([r.error_best for r in records], t) for t in SUCCESS_THRESHOLDS},
        wrong=_share([is_wrong(r) for r in records]),
        states={s.name: _share([r.state == s for r in records]) for s in LocalizationState},
        median_m=_percentile([e.distance for e in errors], 50),
        median_deg=_percentile([e.angle_deg for e in errors], 50),
        latency_p50_ms=_percentile(latencies, 50),
        latency_p95_ms=_percentile(latencies, 95),
        first_fix_s=_seconds_until(records, [r.is_answered for r in records]),
        first_right_fix_s=_seconds_until(records, [WRONG_BEYOND.contains(r.error) for r in records]),
    )


def is_wrong(record: QueryRecord) -> bool:
    """Whether a pose was given as LOCALIZED that is not within 1 m and 30 deg of a known truth."""
    return record.is_answered and not WRONG_BEYOND.contains(record.error)


def success_share(differences: Sequence[PoseDifference | None], threshold: PoseThreshold) -> float:
    """Share of all queries (None: no answer) within a threshold."""
    return _share([threshold.contains(d) for d in differences])


def success_curve(records: Sequence[QueryRecord], distances: Sequence[float]) -> list[float]:
    """Share of all queries answered within each distance (m) and within 30 deg."""
    errors = [r.error for r in records]
    return [
        success_share(errors, PoseThreshold(max_distance=d, max_angle_deg=WRONG_BEYOND.max_angle_deg))
        for d in distances
    ]


def stage_latencies(records: Sequence[QueryRecord]) -> dict[str, tuple[float, float]]:
    """Stage -> (p50, p95) in milliseconds over the queries that ran it, in order of first appearance."""
    values: dict[str, list[float]] = {}
    for record in records:
        for stage, ms in record.timings_ms:
            values.setdefault(stage, []).append(ms)
    return {s: (float(np.percentile(v, 50)), float(np.percentile(v, 95))) for s, v in values.items()}


def reliability_curve(records: Sequence[QueryRecord], num_bins: int = 10) -> list[ReliabilityBin]:
    """Compare promised probabilities with how often the poses are within 1 m and 30 deg.

    A query counts with its answer, or else with its best hypothesis, or not at all; empty bins are left out.
    """
    promised, came_true = _promises(records)
    index = np.minimum((promised * num_bins).astype(int), num_bins - 1)
    return [
        ReliabilityBin(
            low=i / num_bins,
            high=(i + 1) / num_bins,
            count=int(np.count_nonzero(index == i)),
            mean_probability=float(promised[index == i].mean()),
            observed_rate=float(came_true[index == i].mean()),
        )
        for i in np.unique(index).tolist()
    ]


def expected_calibration_error(records: Sequence[QueryRecord], num_bins: int = 10) -> float | None:
    """Mean gap between promised and observed over the same poses; None without one."""
    bins = reliability_curve(records, num_bins)
    if not bins:
        return None
    gaps = [b.count * abs(b.mean_probability - b.observed_rate) for b in bins]
    return sum(gaps) / sum(b.count for b in bins)


def _promises(records: Sequence[QueryRecord]) -> tuple[Float64Array, Float64Array]:
    """Promised probabilities of answers or else best hypotheses, and 1 or 0 for whether they came true."""
    promised, came_true = [], []
    for record in records:
        if record.is_answered or record.T_map_camera_best is not None:
            promised.append(record.probability)
            came_true.append(WRONG_BEYOND.contains(record.error if record.is_answered else record.error_best))
    return np.array(promised, dtype=np.float64), np.array(came_true, dtype=np.float64)


def _share(flags: Sequence[bool]) -> float:
    """Share of True, 0 for none."""
    return sum(flags) / len(flags) if flags else 0.0


def _percentile(values: Sequence[float], percent: float) -> float | None:
    """Percentile by linear interpolation, None for no values."""
    return float(np.percentile(values, percent)) if values else None


def _seconds_until(records: Sequence[QueryRecord], flags: Sequence[bool]) -> float | None:
    """Seconds from the first record to the first whose flag is set; None when none is."""
    stamps = [r.stamp_ns for r, flag in zip(records, flags, strict=True) if flag]
    return (stamps[0] - records[0].stamp_ns) / _NS_PER_S if stamps else None
