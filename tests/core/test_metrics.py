# SPDX-License-Identifier: Apache-2.0
"""Metrics: answers that can be counted by hand."""

from __future__ import annotations

import pytest

from xover_core.evaluation.metrics import (
    PoseThreshold,
    expected_calibration_error,
    is_wrong,
    reliability_curve,
    stage_latencies,
    success_curve,
    success_share,
    summarize,
)
from xover_core.evaluation.records import PoseDifference
from xover_core.types import LocalizationState


def test_threshold_needs_both_distance_and_angle_and_includes_its_limits():
    limit = PoseThreshold(max_distance=0.25, max_angle_deg=10.0)
    assert limit.name == "0.25m_10deg"
    assert limit.contains(PoseDifference(distance=0.25, angle_deg=10.0))
    assert not limit.contains(PoseDifference(distance=0.26, angle_deg=1.0))
    assert not limit.contains(PoseDifference(distance=0.01, angle_deg=10.1))
    assert not limit.contains(None)


def test_five_queries(make_record):
    records = [
        make_record(error=(0.01, 1.0), stamp_s=5.0),
        make_record(error=(0.2, 1.0), stamp_s=6.0),
        make_record(error=(3.0, 1.0), stamp_s=7.0),
        make_record(best=(0.02, 0.5), state=LocalizationState.HYPOTHESES, stamp_s=8.0),
        make_record(stamp_s=9.0),
    ]
    summary = summarize(records)
    assert summary.num_queries == 5
    assert summary.answered == 0.6
    assert summary.success == {"0.05m_5deg": 0.2, "0.25m_10deg": 0.4, "0.5m_15deg": 0.4, "1m_30deg": 0.4}
    assert summary.success_best == {"0.05m_5deg": 0.4, "0.25m_10deg": 0.6, "0.5m_15deg": 0.6, "1m_30deg": 0.6}
    assert summary.wrong == 0.2
    assert summary.unknown == 0.2
    assert summary.states == {"UNKNOWN": 0.2, "SCENE_ONLY": 0.0, "HYPOTHESES": 0.2, "LOCALIZED": 0.6, "LOST": 0.0}
    assert (summary.median_m, summary.median_deg) == (0.2, 1.0)


def test_a_good_hypothesis_that_was_not_given_is_no_success(make_record):
    summary = summarize([make_record(best=(0.01, 0.1), state=LocalizationState.HYPOTHESES)])
    assert summary.success["1m_30deg"] == 0.0
    assert summary.success_best["1m_30deg"] == 1.0


def test_at_another_place_every_answer_is_wrong(make_record):
    summary = summarize([make_record(error=(0.0, 0.0), is_same_place=False), make_record(is_same_place=False)])
    assert summary.wrong == summary.answered == 0.5
    assert set(summary.success.values()) == {0.0}
    assert summary.median_m is None


@pytest.mark.parametrize(("error", "expected"), [((1.0, 30.0), False), ((1.01, 0.0), True), ((0.0, 30.1), True)])
def test_wrong_begins_beyond_one_metre_or_thirty_degrees(make_record, error, expected):
    assert is_wrong(make_record(error=error)) is expected


def test_no_answer_is_never_wrong(make_record):
    assert not is_wrong(make_record(best=(9.0, 90.0), state=LocalizationState.HYPOTHESES))


def test_time_to_the_first_and_the_first_right_answer(make_record):
    records = [
        make_record(stamp_s=10.0),
        make_record(error=(5.0, 0.0), stamp_s=10.5),
        make_record(error=(0.1, 0.0), stamp_s=12.0),
    ]
    summary = summarize(records)
    assert (summary.first_fix_s, summary.first_right_fix_s) == (0.5, 2.0)
    never = summarize(records[:1])
    assert (never.first_fix_s, never.first_right_fix_s) == (None, None)


def test_no_queries():
    summary = summarize([])
    assert summary.num_queries == 0
    assert summary.answered == summary.wrong == 0.0
    assert summary.latency_p50_ms is None


def test_latency_percentiles(make_record):
    records = [make_record(timings_ms=(("encode", float(ms)), ("match", 1.0))) for ms in range(101)]
    records.append(make_record(timings_ms=(("encode", 50.0),)))
    assert summarize(records[:101]).latency_p95_ms == pytest.approx(96.0)
    assert list(stage_latencies(records)) == ["encode", "match"]
    assert stage_latencies(records)["encode"][0] == 50.0
    assert stage_latencies(records)["match"] == (1.0, 1.0)


def test_success_curve_rises_and_ignores_answers_that_look_elsewhere(make_record):
    records = [
        make_record(error=(0.1, 1.0)),
        make_record(error=(0.4, 1.0)),
        make_record(error=(0.1, 90.0)),
        make_record(),
    ]
    assert success_curve(records, [0.05, 0.1, 0.4, 2.0]) == [0.0, 0.25, 0.5, 0.5]


def test_success_of_nothing_is_nothing():
    assert success_share([], PoseThreshold(max_distance=1.0, max_angle_deg=1.0)) == 0.0


def test_reliability_compares_promise_and_outcome(make_record):
    records = [make_record(error=(0.1, 0.0), probability=0.95) for _ in range(3)]
    records.append(make_record(error=(9.0, 0.0), probability=0.95))
    records.append(make_record(best=(9.0, 0.0), probability=0.15, state=LocalizationState.HYPOTHESES))
    records.append(make_record(probability=0.0))
    low, high = reliability_curve(records)
    assert (low.low, low.count, low.observed_rate) == (0.1, 1, 0.0)
    assert (high.low, high.count, high.observed_rate) == (0.9, 4, 0.75)
    assert high.mean_probability == pytest.approx(0.95)
    assert expected_calibration_error(records) == pytest.approx((0.15 + 4 * 0.2) / 5)


def test_certainty_falls_into_the_last_bin(make_record):
    (only,) = reliability_curve([make_record(error=(0.1, 0.0), probability=1.0)])
    assert (only.low, only.high) == (0.9, 1.0)


def test_no_hypotheses_no_calibration(make_record):
    assert reliability_curve([make_record()]) == []
    assert expected_calibration_error([make_record()]) is None
