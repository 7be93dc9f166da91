# SPDX-License-Identifier: Apache-2.0
"""The report is one file without links outward, shows what it should, and survives strange input."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from xover_core.config import XoverSettings
from xover_core.evaluation.evaluation import Evaluation, MapFacts, evaluation_as_json, format_table, write_json
from xover_core.evaluation.match_pictures import ExampleCollector, MatchExample, draw_matches, encode_jpeg
from xover_core.evaluation.provenance import file_sha256, find_provenance
from xover_core.evaluation.report import render_report, write_report
from xover_core.evaluation.top_view import floor_axes, points_from_above, up_direction
from xover_core.types import LocalizationState, PatchMatches

REQUIRED_KEYS = {
    "queries", "answered", "success", "wrong", "unknown", "median_m", "median_deg", "latency_ms", "map_bytes", "model"
}  # fmt: skip
GREEN = np.array([30, 170, 60])


@pytest.fixture
def records(make_record):
    return (
        make_record(error=(0.02, 0.5), probability=0.97),
        make_record(error=(4.0, 3.0), probability=0.92, stamp_s=1.0),
        make_record(best=(0.3, 9.0), probability=0.4, state=LocalizationState.HYPOTHESES, stamp_s=2.0),
        make_record(stamp_s=3.0),
    )


@pytest.fixture
def make_evaluation(small_map):
    def make(records, **changes) -> Evaluation:
        facts = MapFacts(
            map_id="test-map", revision=3, sha256="ab" * 32, size_bytes=2_500_000, num_scenes=1, num_keyframes=2,
            num_landmarks=4, model=small_map.header.model,
        )  # fmt: skip
        fields = {
            "title": "office <&>", "mode": "single frames", "is_same_place": True, "records": records,
            "map_facts": facts, "settings": XoverSettings(), "provenance": find_provenance(),
        }  # fmt: skip
        return Evaluation(**{**fields, **changes})

    return make


def matches_to(keyframe_id: int) -> PatchMatches:
    return PatchMatches(
        keyframe_id=keyframe_id,
        query_px=np.array([[20.0, 30.0], [100.0, 50.0]], np.float32),
        keyframe_px=np.array([[25.0, 30.0], [10.0, 200.0]], np.float32),
        similarities=np.array([0.9, 0.4], np.float32),
        is_inlier=np.array([True, False]),
    )


def test_json_has_the_promised_keys_and_is_strict_json(make_evaluation, records, tmp_path):
    write_json(make_evaluation(records), tmp_path / "deep" / "result.json")
    content = json.loads((tmp_path / "deep" / "result.json").read_text())
    assert set(content) >= REQUIRED_KEYS
    assert set(content["success"]) == {"0.05m_5deg", "0.25m_10deg", "0.5m_15deg", "1m_30deg"}
    assert (content["queries"], content["answered"], content["wrong"]) == (4, 0.5, 0.25)
    assert set(content["latency_ms"]) >= {"p50", "p95"}
    assert (content["map_bytes"], content["model"]) == (2_500_000, "test-model")
    assert len(content["records"]) == 4
    assert content["settings"]["matching.max_matches"] == XoverSettings().matching.max_matches


def test_json_without_a_single_answer(make_evaluation, make_record):
    content = evaluation_as_json(make_evaluation((make_record(),)))
    assert content["median_m"] is None
    assert content["calibration_error"] is None
    json.dumps(content, allow_nan=False)


def test_table_names_units_and_shares(make_evaluation, records):
    table = format_table(make_evaluation(records))
    assert re.search(r"right within 0\.05 m, 5 deg +25\.0 %", table)
    assert re.search(r"wrong \(over 1 m or 30 deg\) +25\.0 %", table)
    assert "2.5 MB; keyframes 2, landmarks 4, scenes 1" in table
    assert "first answer" not in table
    assert re.search(r"first right one +0\.0 s / 0\.0 s", format_table(make_evaluation(records, mode="online")))


def test_report_is_self_contained_and_escapes_names(make_evaluation, records, small_map, tmp_path):
    picture = np.zeros((240, 646, 3), np.uint8)
    examples = [MatchExample(kind="wrong", record=records[1], picture=picture)]
    write_report(make_evaluation(records), small_map, examples, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "office &lt;&amp;&gt;" in html
    assert re.findall(r'(?:src|href)="(?!data:)', html) == []
    assert html.count("data:image/png;base64,") == 5
    assert html.count("data:image/jpeg;base64,") == 1
    assert "Answered, but wrong" in html
    assert "Answered, within" not in html
    assert "400 cm, 3.0 deg off" in html


@pytest.mark.parametrize("num_records", [0, 1])
def test_report_of_next_to_nothing(make_evaluation, make_record, small_map, num_records):
    records = tuple(make_record() for _ in range(num_records))
    assert "</html>" in render_report(make_evaluation(records), small_map, [])


def test_report_says_when_no_answer_can_be_right(make_evaluation, records, small_map):
    assert "only right answer is none" in render_report(make_evaluation(records, is_same_place=False), small_map, [])


def test_match_picture_draws_inliers_where_they_are(small_map, intrinsics):
    query = np.full((480, 640, 3), 255, np.uint8)
    matches = matches_to(1)
    picture = draw_matches(query, small_map.keyframes[0], matches)
    assert picture.shape == (240, 320 + 6 + 320, 3)
    # the query is drawn at half its size
    assert np.abs(picture[15, 10].astype(int) - GREEN).max() < 30
    assert np.abs(picture[30, 326 + 25].astype(int) - GREEN).max() < 30


def test_match_picture_without_matches_has_an_empty_half():
    picture = draw_matches(np.zeros((120, 160, 3), np.uint8), None, None)
    assert picture.shape == (240, 646, 3)
    assert len(np.unique(picture[:, 326:])) == 1


def test_jpeg_keeps_the_order_of_colours():
    rgb = np.zeros((16, 16, 3), np.uint8)
    rgb[..., 0] = 250
    bgr = cv2.imdecode(np.frombuffer(encode_jpeg(rgb), np.uint8), cv2.IMREAD_COLOR)
    assert bgr[8, 8, 2] > 230
    assert bgr[8, 8, 0] < 20


def test_examples_are_a_fair_choice_of_bounded_size(small_map, make_record, make_query):
    collector = ExampleCollector(small_map, num_per_kind=3, seed=1)
    for i in range(60):
        collector.offer(make_query(make_record(error=(0.1, 1.0), stamp_s=float(i)), matches_to(1)))
    collector.offer(make_query(make_record(stamp_s=99.0), None))
    kinds = [e.kind for e in collector.examples]
    assert kinds == ["right", "right", "right", "unanswered"]
    stamps = [e.record.stamp_ns for e in collector.examples[:3]]
    assert stamps == sorted(stamps)
    assert stamps[-1] > 3e9


def test_up_is_found_from_upright_cameras(small_map):
    up = up_direction([k.T_map_camera for k in small_map.keyframes])
    np.testing.assert_allclose(up, [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(floor_axes(up), [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(up_direction([]), [0, 0, 1])


def test_view_from_above_is_not_mirrored(random):
    for up in (np.array([0.0, -1.0, 0.0]), np.array([0.6, 0.0, 0.8])):
        right, forward = floor_axes(up)
        np.testing.assert_allclose(np.cross(right, forward), up, atol=1e-12)


def test_points_from_above_leave_out_ceiling_and_missing_depth(small_map):
    up = np.array([0.0, 0.0, 1.0])
    points = points_from_above(small_map.keyframes, up, max_points=500)
    assert 0 < len(points) <= 500
    assert np.isfinite(points).all()
    assert points[:, 2].max() < 1.2 + 0.6
    assert points_from_above([], up).shape == (0, 3)


def test_provenance_names_version_and_libraries():
    provenance = find_provenance()
    assert provenance.version
    assert provenance.libraries["numpy"] == np.__version__


def test_file_checksum(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file").startswith("ba7816bf8f01cfea")
