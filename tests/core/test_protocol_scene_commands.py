# SPDX-License-Identifier: Apache-2.0
"""`xover protocol` on made-up scans, with an encoder of colours: tables, JSON, figures, repeatability."""

from __future__ import annotations

import json

import cv2
import pytest
from fake_scene_encoder import FakeSceneEncoder
from made_up_scene_scans import MadeUpScans

from xover_core.cli.main import main
from xover_core.datasets.scan_file import SCAN_SUFFIX, save_scan
from xover_core.evaluation.protocols import classical_scenes, cloud_views, scene_encoder_choice
from xover_core.evaluation.protocols.scene_table import NamedSceneEncoder

NUM_ROOMS, NUM_RESCANS = 7, 4
# A picture with content has grey values that differ by more than this.
MIN_CONTRAST = 10


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    source = MadeUpScans(NUM_ROOMS, NUM_RESCANS)
    for index, name in enumerate(source.ids):
        save_scan(source.scan(index), folder / f"{name}{SCAN_SUFFIX}")
    return folder


@pytest.fixture
def quick_classical(monkeypatch):
    """What the classical descriptors are worth does not matter here; they take their time."""
    monkeypatch.setattr(cloud_views, "NUM_DIRECTIONS", 1)
    monkeypatch.setattr(classical_scenes, "SIFT_HEIGHT", 48)
    monkeypatch.setattr(classical_scenes, "NUM_WORDS", 4)


@pytest.fixture
def fake_model(monkeypatch):
    def model_encoder(name):
        return NamedSceneEncoder(name=name or "fake", encoder=FakeSceneEncoder())

    monkeypatch.setattr(scene_encoder_choice, "model_encoder", model_encoder)


def run(tmp_path, *arguments):
    """What is in the JSON file; the figure must show something."""
    json_path, figure_path = tmp_path / "new" / "out.json", tmp_path / "new" / "out.png"
    assert main(["protocol", *map(str, arguments), "--json", str(json_path), "--figure", str(figure_path)]) == 0
    assert cv2.imread(str(figure_path)).std() > MIN_CONTRAST
    return json.loads(json_path.read_text())


def test_scene_retrieval(scans, tmp_path, capsys, fake_model, quick_classical):
    written = run(tmp_path, "scene-retrieval", scans, "--views", 4, "--scene-model", "paint")
    assert f"{NUM_ROOMS} places, {NUM_ROOMS + NUM_RESCANS} scans, 4 views" in capsys.readouterr().out
    rows = {(row["feature"], row["query"], row["reference"]): row["scores"] for row in written["rows"]}
    assert {name for name, _, _ in rows} == {"chance", "paint", "mean of objects", "colours", "RootSIFT VLAD"}
    chance, ours = rows["chance", "any", "any"], rows["paint", "image", "point_cloud"]
    assert chance["scene"]["at"]["1"] == pytest.approx(1 / NUM_ROOMS)
    assert ours["scene"]["at"]["1"] > 0.7
    assert ours["rescan"]["queries"] == ours["temporal"]["queries"] == NUM_RESCANS
    assert {"image, 1 view", "image, 5 views", "text, 1 sentence"} <= {query for _, query, _ in rows}
    assert {"all", "all but text"} <= {reference for _, _, reference in rows}
    assert written["settings"]["views"] == 4
    assert written["facts"]["places"] == NUM_ROOMS


def test_instance_retrieval(scans, tmp_path, capsys, fake_model):
    written = run(tmp_path, "instance-retrieval", scans)
    assert f"{NUM_RESCANS} objects moved" in capsys.readouterr().out
    rows = {(row["feature"], row["query"], row["reference"]): row for row in written["rows"]}
    assert {name for name, _, _ in rows} == {"chance", "fake", "colours"}
    same, chance = rows["fake", "image", "point_cloud"]["same_scan"], rows["chance", "any", "any"]["same_scan"]
    assert same["at"]["1"] > chance["at"]["1"] == 0.25
    assert rows["fake", "point_cloud", "point_cloud"]["same_scan"] is None
    assert rows["fake", "point_cloud", "point_cloud"]["moved"]["scenes"] == NUM_RESCANS


def test_scene_graph_loc(scans, tmp_path, capsys, fake_model):
    written = run(tmp_path, "scene-graph-loc", scans, "--candidates", 3, 6, "--views", 2, "--no-classical")
    assert "place from one image" in capsys.readouterr().out
    rows = {(r["variant"], r["num_candidates"], r["feature"], r["reference"]): r["recalls"] for r in written["rows"]}
    assert {key[:2] for key in rows} == {(v, n) for v in ("NT", "T", "CrossOver") for n in (3, 6)}
    assert rows["NT", 3, "chance", "any"]["at"]["1"] == pytest.approx(1 / 3)
    assert rows["NT", 3, "fake", "point_cloud"]["at"]["1"] > 0.6
    assert "colours" not in {key[2] for key in rows}


def test_fewer_places(scans, tmp_path, fake_model):
    written = run(tmp_path, "instance-retrieval", scans, "--num-scenes", 3, "--no-classical")
    assert written["facts"]["places"] == 3


def test_the_same_numbers_again(scans, tmp_path, fake_model):
    first, second = (
        run(tmp_path, "scene-graph-loc", scans, "--no-classical", "--candidates", 4)["rows"] for _ in range(2)
    )
    assert first == second


def test_what_is_wrong_is_said(scans, tmp_path, capsys):
    assert main(["protocol", "scene-retrieval", str(tmp_path / "nothing")]) == 2
    assert "no folder with scans there" in capsys.readouterr().err
    assert main(["protocol", "scene-retrieval", str(scans), "--scene-model", "nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err
    assert main(["protocol", "scene-retrieval", str(scans), "--views", "0"]) == 2
    assert "views" in capsys.readouterr().err
