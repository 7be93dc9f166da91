# SPDX-License-Identifier: Apache-2.0
"""`xover adapt` on a recording and on a map: the model it leaves, and what leaves nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from adaptation_cases import CAMERA, RADII, VALUES, make_network, write_recording
from box_room import look_at, room_frame

from xover_core.cli.main import EXIT_ERROR, EXIT_INTERRUPTED, main
from xover_core.config import EncoderSettings
from xover_core.encoders.factory import make_encoder
from xover_core.errors import BackendUnavailableError
from xover_core.inference.compact_checkpoint import load_compact, save_compact
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.model_install import install_model, make_entry
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, load_weights, model_entry
from xover_core.training import adaptation_model
from xover_core.training.adaptation_task import AdaptationTask


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording on disk, and a model `start` to adapt; exporting takes long, and has tests of its own."""
    folder = tmp_path / "models"
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(folder))
    monkeypatch.setattr(adaptation_model, "export_into", _cannot_export)
    save_compact(make_network(), tmp_path / "start.safetensors")
    weights = (tmp_path / "start.safetensors").read_bytes()
    entry = make_entry(
        name="start",
        kind="compact",
        weights=weights,
        licence="MIT",
        source="this test",
        radii=RADII,
        like=model_entry("rootsift-pca64"),
    )
    install_model(folder, entry, weights)
    write_recording(tmp_path / "room")
    return tmp_path


def _cannot_export(folder: Path, graph: ModelGraph) -> None:
    raise BackendUnavailableError("exporting to ONNX needs onnx.")


def adapt(site: Path, source: str, *more: str) -> int:
    """Run the command."""
    values = [argument for key, value in VALUES.items() for argument in ("--set", f"{key}={value}")]
    return main(["adapt", str(site / source), "--model", "start", *values, *more])


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_adapted_model_is_found_by_name(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert adapt(site, "room", "--out", "room-model") == 0
    out = capsys.readouterr().out
    assert "before" in out
    assert "--set encoder.model=room-model" in out
    parent, entry = model_entry("start"), model_entry("room-model")
    assert entry.calibration_with_depth == parent.calibration_with_depth
    assert entry.licence == "MIT"
    assert "start" in entry.source
    assert "room; average precision on" in entry.source
    adapted = load_compact(load_weights("room-model"))
    assert torch.equal(adapted.gradients.weight, make_network().gradients.weight)
    encoder = make_encoder(EncoderSettings(model="room-model", image_height=80))
    features = encoder.encode(room_frame(look_at((0.0, 0.0, 0.0), 10.0), CAMERA))
    assert features.finest.shape == (140, 128)


def test_a_worse_model_is_refused_and_nothing_is_written(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files_of(site / "models")
    assert adapt(site, "room", "--out", "worse", "--set", "trainer.learning_rate=0.0") == EXIT_ERROR
    captured = capsys.readouterr()
    assert "0.2 m" in captured.out
    assert "nothing was written" in captured.err
    assert files_of(site / "models") == before


def test_a_map_is_adapted_to_as_well(site: Path) -> None:
    mapping = ["--set", "mapping.min_translation=0.05", "--set", "mapping.min_rotation_deg=5"]
    dense = [
        "--set",
        "mapping.max_overlap=1.0",
        "--set",
        "mapping.max_landmarks_per_scene=0",
        "--set",
        "encoder.image_height=80",
    ]
    assert main(["map", str(site / "room"), "--out", str(site / "room.xover"), *mapping, *dense]) == 0
    assert adapt(site, "room.xover", "--out", "from-map", "--models-dir", str(site / "elsewhere")) == 0
    assert (site / "elsewhere" / "from-map.safetensors").is_file()


def test_ctrl_c_leaves_nothing(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss: Callable[..., object] = AdaptationTask.loss

    def interrupted(task: AdaptationTask, batch: object) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return loss(task, batch)

    before = files_of(site / "models")
    monkeypatch.setattr(AdaptationTask, "loss", interrupted)
    assert adapt(site, "room", "--out", "never") == EXIT_INTERRUPTED
    assert files_of(site / "models") == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["room", "--out", "rootsift-pca64"], "taken by a model outside"),
        (["room", "--out", "../up"], "expected letters"),
        (["room", "--out", "x", "--model", "rootsift-pca64"], "expected one of kind 'compact'"),
        (["room", "--out", "x", "--model", "nobody"], "not in any manifest"),
        (["nothing", "--out", "x"], "nothing"),
        (["room", "--out", "x", "--set", "frames.min_step=2.0"], "record more"),
    ],
)
def test_what_cannot_work_is_one_line(
    site: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    before = files_of(site / "models")
    assert adapt(site, *arguments) == EXIT_ERROR
    assert message in capsys.readouterr().err
    assert files_of(site / "models") == before


def test_a_recording_without_depth_is_one_line(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (site / "room" / "depth").iterdir():
        cv2.imwrite(str(path), np.zeros((CAMERA.height, CAMERA.width), np.uint16))
    assert adapt(site, "room", "--out", "x") == EXIT_ERROR
    assert "frames with pose, depth" in capsys.readouterr().err


def test_settings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapt", "--show-settings", "--minutes", "3"]) == 0
    assert "max_minutes: 3" in capsys.readouterr().out
    assert main(["adapt", "--out", "x"]) == EXIT_ERROR
    assert "expected a recording or map" in capsys.readouterr().err
