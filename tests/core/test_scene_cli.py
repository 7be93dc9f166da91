# SPDX-License-Identifier: Apache-2.0
"""`xover scene` and `xover query` on a small map."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from box_room import TileEncoder, look_at, room_frame
from fake_scene_encoder import FakeSceneEncoder

from xover_core.cli.main import EXIT_ERROR, main
from xover_core.config import MappingSettings
from xover_core.encoders import scene_factory
from xover_core.landmark_map.map_builder import MapBuilder
from xover_core.landmark_map.map_storage import MapStorage, new_header
from xover_core.localization import scene_finder
from xover_core.localization.scene_calibration import PairCalibration, SceneCalibration
from xover_core.types import ModelInfo

MODEL = ("--set", "scene_encoder.model=fake-scenes")
OTHER_MODEL = ("--set", "scene_encoder.model=other-scenes")
NO_MODEL = ("--set", "scene_encoder.model=")
CALIBRATION = SceneCalibration(pairs={}, fallback=PairCalibration(temperature=0.1, unknown_similarity=0.3))


class OtherSceneEncoder(FakeSceneEncoder):
    """The same under another name."""

    @property
    def model(self) -> ModelInfo:
        return dataclasses.replace(super().model, name="other-scenes", checksum="9" * 64)


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scene encoders that settings can name."""
    known = {"fake-scenes": FakeSceneEncoder, "other-scenes": OtherSceneEncoder}
    # the default would take long to load
    known["crossover-light"] = OtherSceneEncoder
    for module in (scene_factory, scene_finder):
        monkeypatch.setattr(module, "make_scene_encoder", lambda s, *_: known[s.model]() if s.model else None)
    monkeypatch.setattr(scene_finder, "load_scene_calibration", lambda *_: CALIBRATION)


@pytest.fixture
def map_path(tmp_path: Path) -> str:
    """A map of two scenes, described by the fake encoder."""
    path = tmp_path / "map.xover"
    encoder = TileEncoder()
    settings = MappingSettings(scene_radius=3.0, refit_whitening=False)
    with MapStorage.create(path, new_header(encoder.model, encoder.site_weights)) as storage:
        builder = MapBuilder(storage, encoder, settings, FakeSceneEncoder())
        for x, headings in ((-1.5, (120, 150, 180, 210, 240)), (1.2, (300, 330, 0, 30))):
            for heading in headings:
                pose = look_at((x, 0, 0), heading)
                builder.add(room_frame(pose), pose)
        builder.finish()
    return str(path)


def listed(map_path: str, capsys: pytest.CaptureFixture[str]) -> dict[int, dict]:
    capsys.readouterr()
    assert main(["scene", "list", map_path, "--json"]) == 0
    return {row["scene_id"]: row for row in json.loads(capsys.readouterr().out)}


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    capsys.readouterr()
    assert main(["query", *arguments, "--json", *MODEL]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == EXIT_ERROR
    return capsys.readouterr().err


def test_list_shows_what_each_scene_has(map_path: str, capsys) -> None:
    assert main(["scene", "add", map_path, "2", "--text", "a corner", *NO_MODEL]) == 0
    assert "no scene encoder is set" in capsys.readouterr().out
    assert main(["scene", "list", map_path]) == 0
    head, first, second, note = capsys.readouterr().out.splitlines()
    assert head.split() == ["scene", "name", "keyframes", "image", "point_cloud", "floorplan", "text", "cad"]
    assert first.split() == ["1", "scene", "1", "5", "5", "5", "-", "-", "-"]
    assert second.split() == ["2", "scene", "2", "4", "4", "4", "-", "?", "-"]
    assert "xover scene refresh" in note


def test_names_are_given_and_parts_stay(map_path: str, capsys) -> None:
    assert main(["scene", "name", map_path, "1", "--building", "house", "--room", "kitchen"]) == 0
    assert main(["scene", "name", map_path, "house/kitchen", "--floor", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "scene 1: house/1/kitchen"
    assert main(["scene", "name", map_path, "kitchen", "--building", "", "--floor", ""]) == 0
    assert listed(map_path, capsys)[1]["name"] == "kitchen"


def test_a_text_is_found_again(map_path: str, capsys) -> None:
    main(["scene", "name", map_path, "2", "--room", "lounge"])
    assert main(["scene", "add", map_path, "lounge", "--text", "a purple piano", "--text", "two doors", *MODEL]) == 0
    assert listed(map_path, capsys)[2]["embedded"] == {"image": 4, "point_cloud": 4, "text": 2}
    answer = asked(capsys, map_path, "a room with a purple piano")
    assert answer == asked(capsys, map_path, "--top", "2", "a room with a purple piano"), "options may stand between"
    best = answer["scenes"][0]
    assert (best["scene_id"], best["name"], best["modality"]) == (2, "lounge", "text")
    total = sum(scene["probability"] for scene in answer["scenes"]) + answer["none_of_these"]
    assert total == pytest.approx(1.0)
    assert main(["query", map_path, "a room with a purple piano", "--top", "1", *MODEL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "lounge (scene 2, by its text)" in lines[1]
    assert "none of these" in lines[2]


def test_replacing_forgets_what_was_told(map_path: str, capsys) -> None:
    main(["scene", "add", map_path, "1", "--text", "a purple piano", *MODEL])
    main(["scene", "add", map_path, "1", "--text", "a green bed", "--replace", *MODEL])
    row = listed(map_path, capsys)[1]
    assert (row["texts"], row["embedded"]["text"]) == (["a green bed"], 1)


def test_pictures_floorplans_and_clouds_are_answered(map_path: str, tmp_path: Path, capsys) -> None:
    frame = room_frame(look_at((-1.5, 0, 0), 170))
    cv2.imwrite(str(tmp_path / "view.png"), frame.rgb[..., ::-1])
    plan = np.full((40, 60, 3), 255, np.uint8)
    plan[10:20] = (30, 30, 200)
    cv2.imwrite(str(tmp_path / "plan.png"), plan)
    rows = np.concatenate([np.random.default_rng(0).normal(size=(frame.rgb.size // 3, 3)), frame.rgb.reshape(-1, 3)], 1)
    np.save(tmp_path / "cloud.npy", rows)
    floorplan = str(tmp_path / "plan.png")
    assert main(["scene", "add", map_path, "2", "--floorplan", floorplan, "--pixels-per-m", "20", *MODEL]) == 0
    assert asked(capsys, map_path, "--image", str(tmp_path / "view.png"))["scenes"][0]["scene_id"] == 1
    assert asked(capsys, map_path, "--cloud", str(tmp_path / "cloud.npy"))["scenes"][0]["scene_id"] == 1
    best = asked(capsys, map_path, "--floorplan", floorplan)["scenes"][0]
    assert (best["scene_id"], best["modality"]) == (2, "floorplan")
    both = asked(capsys, map_path, "a room", "--floorplan", floorplan, "--top", "0")["scenes"]
    assert (both[0]["scene_id"], len(both)) == (2, 2)


def test_another_model_asks_for_a_refresh_which_helps(map_path: str, capsys) -> None:
    main(["scene", "add", map_path, "1", "--text", "a purple piano", *MODEL])
    error = refused(capsys, "query", map_path, "a piano", *OTHER_MODEL)
    assert "described by fake-scenes" in error
    assert "xover scene refresh" in error
    assert main(["scene", "refresh", map_path, *OTHER_MODEL]) == 0
    assert "5 embeddings of 2 scenes by other-scenes, from 9 keyframes" in capsys.readouterr().out
    assert main(["query", map_path, "a piano", *OTHER_MODEL]) == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("scene", "name", "MAP", "1"), "expected --building, --floor or --room"),
        (("scene", "name", "MAP", "9", "--room", "x"), "no scene '9'; use a number of these: 1 (scene 1), 2 (scene 2)"),
        (("scene", "add", "MAP", "1"), "expected --text or --floorplan"),
        (("scene", "add", "MAP", "1", "--text", " "), "expected some words"),
        (("scene", "add", "MAP", "1", "--text", "?!", *MODEL), "expected some words"),
        (("scene", "add", "MAP", "1", "--floorplan", "missing.png"), "missing.png"),
        (("scene", "add", "MAP", "1", "--floorplan", "PLAN", "--pixels-per-m", "-2"), "positive scale"),
        (("scene", "refresh", "MAP", *NO_MODEL), "scene_encoder.model is empty"),
        (("scene", "list", "missing.xover"), "no such file"),
        (("query", "MAP", *MODEL), "expected a text, --image, --floorplan or --cloud"),
        (("query", "MAP", "?!", *MODEL), "expected words"),
        (("query", "MAP", "a piano", *NO_MODEL), "scene_encoder.model is empty"),
        (("query", "MAP", "--image", "missing.png", *MODEL), "missing.png"),
        (("query", "MAP", "--cloud", "PLAN", *MODEL), "expected a PLY file"),
        (("query", "MAP", "--floorplan", "PLAN", "--pixels-per-m", "-3", *MODEL), "positive scale"),
        (("query", "MAP", "a piano", "--top", "-1", *MODEL), "--top"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    map_path: str, tmp_path: Path, capsys, arguments: tuple[str, ...], reason: str
) -> None:
    plan = tmp_path / "plan.png"
    cv2.imwrite(str(plan), np.zeros((4, 4, 3), np.uint8))
    places = {"MAP": map_path, "PLAN": str(plan)}
    before = Path(map_path).read_bytes()
    error = refused(capsys, *(places.get(argument, argument) for argument in arguments))
    assert reason in error
    assert error.count("\n") == 1
    assert Path(map_path).read_bytes() == before


def test_a_map_without_embeddings_says_how_to_make_them(tmp_path: Path, capsys) -> None:
    path = tmp_path / "plain.xover"
    encoder = TileEncoder()
    with MapStorage.create(path, new_header(encoder.model, encoder.site_weights)) as storage:
        builder = MapBuilder(storage, encoder, MappingSettings(refit_whitening=False))
        builder.add(room_frame(look_at((0, 0, 0), 0)), look_at((0, 0, 0), 0))
    assert "make them with `xover scene refresh" in refused(capsys, "query", str(path), "a piano", *MODEL)
    assert main(["scene", "refresh", str(path), *MODEL]) == 0
    assert main(["query", str(path), "a piano", *MODEL]) == 0
