# SPDX-License-Identifier: Apache-2.0
"""`xover evaluate` end to end: its JSON, its report, other maps, and what it refuses."""

from __future__ import annotations

import json
import shutil

import pytest

DENSE = ("--set", "mapping.min_translation=0.1", "--set", "mapping.min_rotation_deg=5")


@pytest.fixture(scope="module")
def result(place, tmp_path_factory):
    """JSON and paths of one evaluation that keeps its map."""
    from xover_core.cli.main import main

    folder = tmp_path_factory.mktemp("evaluation")
    outputs = (
        "--json",
        folder / "result.json",
        "--report",
        folder / "report.html",
        "--keep-map",
        folder / "room.xover",
    )
    assert main(["evaluate", str(place), *map(str, outputs), *DENSE]) == 0
    return folder, json.loads((folder / "result.json").read_text())


def test_queries_seen_from_almost_the_same_place_are_found(result):
    _, content = result
    assert content["queries"] == 8
    # the queries lie between frames of the map, so most must be found, and none taken for another place
    assert content["success"]["0.25m_10deg"] >= 0.6
    assert content["wrong"] == 0.0


def test_shares_are_consistent(result):
    _, content = result
    success = list(content["success"].values())
    assert success == sorted(success)
    assert content["answered"] == content["states"]["LOCALIZED"]
    assert content["unknown"] == content["states"]["UNKNOWN"]
    assert success[-1] + content["wrong"] == pytest.approx(content["answered"])
    assert sum(content["states"].values()) == pytest.approx(1.0)
    assert all(a <= b for a, b in zip(success, content["top1_hypothesis"].values(), strict=True))


def test_json_can_repeat_the_run(result):
    folder, content = result
    assert content["settings"]["mapping.min_translation"] == 0.1
    assert content["provenance"]["version"]
    assert content["map_bytes"] == (folder / "room.xover").stat().st_size
    assert content["mapping_s"] > 0
    assert content["model"] == "locus-compact"
    assert content["latency_ms"]["p50"] <= content["latency_ms"]["p95"]


def test_report_is_written(result):
    folder, _ = result
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    assert "room" in html


def test_a_kept_map_gives_the_same_answers(result, place, xover, tmp_path):
    folder, content = result
    again = tmp_path / "again.json"
    code, _, _ = xover("evaluate", place, "--map", folder / "room.xover", "--same-place", "--json", again, *DENSE)
    repeated = json.loads(again.read_text())
    assert code == 0
    assert repeated["success"] == content["success"]
    assert repeated["mapping_s"] is None


def test_at_another_place_every_answer_is_wrong(result, place, xover, tmp_path):
    folder, _ = result
    code, _, _ = xover("evaluate", place, "--map", folder / "room.xover", "--json", tmp_path / "other.json")
    content = json.loads((tmp_path / "other.json").read_text())
    assert code == 0
    assert not content["is_same_place"]
    assert content["wrong"] == content["answered"] > 0
    assert set(content["success"].values()) == {0.0}
    assert content["median_m"] is None


def test_online_uses_odometry_and_times_the_first_fix(result, place, xover, tmp_path):
    folder, _ = result
    arguments = ("--map", folder / "room.xover", "--same-place", "--online", "--json", tmp_path / "online.json")
    code, out, _ = xover("evaluate", place, *arguments)
    content = json.loads((tmp_path / "online.json").read_text())
    assert code == 0
    assert content["mode"] == "online"
    assert "time to first answer" in out
    assert content["wrong"] == 0.0


def test_a_kept_map_is_not_overwritten(result, place, xover):
    folder, _ = result
    code, _, err = xover("evaluate", place, "--keep-map", folder / "room.xover")
    assert code == 2
    assert "exists already" in err


def test_queries_without_truth_are_refused(result, place, xover):
    folder, _ = result
    code, _, err = xover("evaluate", place, "--map", folder / "room.xover", "--same-place", "--pose-topic", "none")
    assert code == 2
    assert "true camera pose" in err


def test_a_folder_without_map_is_refused(place, xover, tmp_path):
    shutil.copytree(place / "query", tmp_path / "query")
    code, _, err = xover("evaluate", tmp_path)
    assert code == 2
    assert str(tmp_path / "map") in err
