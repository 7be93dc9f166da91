# SPDX-License-Identifier: Apache-2.0
"""`xover train` on tiny rooms and scans: files, resuming, interruption, stages, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from locus_cases import TinyNetwork, make_room, save_tiny
from room_cases import TINY, make_scan, tiny_light
from safetensors.torch import load_file

from xover_core.cli.main import EXIT_ERROR, EXIT_INTERRUPTED, main
from xover_core.config_io import load_settings_over
from xover_core.datasets.scan_file import SCAN_SUFFIX, save_scan
from xover_core.inference.light_checkpoint import load_light
from xover_core.training import crossover_task, locus_networks
from xover_core.training.crossover_settings import CrossoverSettings
from xover_core.training.locus_networks import NetworkKind
from xover_core.training.locus_settings import LocusSettings
from xover_core.training.run_folder import read_log

SETTINGS = {
    "network": {"radii": [0.2, 0.6]},
    "batches.batch_size": 4,
    "landmarks": {"num_landmarks": 16},
    "trainer": {"device": "cpu", "max_steps": 6, "validate_every": 3, "log_every": 1, "loader_threads": 1},
}


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The arguments of a run; the network is tiny."""
    torch.set_num_threads(1)
    kind = NetworkKind(make=lambda settings, scenes: TinyNetwork(settings.radii), save=save_tiny)
    monkeypatch.setitem(locus_networks.NETWORK_KINDS, "compact", kind)
    for name, heading in (("train", 0.0), ("val", 150.0)):
        (tmp_path / name).mkdir()
        make_room(name, heading).save(tmp_path / name / "room.safetensors")
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
    data = ["--scenes", str(tmp_path / "train"), "--validation", str(tmp_path / "val")]
    return ["train", "locus", "--settings", str(tmp_path / "settings.yaml"), *data]


def test_a_run_leaves_what_it_promises(command, tmp_path, capsys):
    assert main([*command, "--out", str(tmp_path / "run"), "--set", "trainer.average_decay=0.5"]) == 0
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} - {"tensorboard"} == {
        "settings.yaml", "provenance.jsonl", "log.jsonl", "last.safetensors", "best.safetensors"
    }  # fmt: skip
    settings = load_settings_over(run / "settings.yaml", LocusSettings())
    assert settings.trainer.average_decay == 0.5
    assert settings.data.scenes == (str(tmp_path / "train"),)
    assert json.loads((run / "provenance.jsonl").read_text())["version"]
    log = read_log(run / "log.jsonl")
    assert [line["step"] for line in log if "smooth_ap_0.2m" in line] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in log if "validation/ap_0.6m" in line] == [3, 6]
    assert "best score" in capsys.readouterr().out


def test_ctrl_c_says_how_to_go_on_and_that_gives_the_same_weights(command, tmp_path):
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0
    script = Path(__file__).with_name("interrupted_training.py")
    interrupted = subprocess.run(
        [sys.executable, script, *command, "--out", tmp_path / "run"], stdout=subprocess.PIPE, text=True, check=False
    )
    assert interrupted.returncode == EXIT_INTERRUPTED
    assert f"xover train locus --out {tmp_path / 'run'} --resume" in interrupted.stdout
    assert main(["train", "locus", "--out", str(tmp_path / "run"), "--resume"]) == 0
    whole, parts = (load_file(tmp_path / name / "best.safetensors") for name in ("whole", "run"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_overfit_is_a_setting_of_the_run(command, tmp_path):
    assert main([*command, "--out", str(tmp_path / "run"), "--overfit", "--set", "trainer.max_steps=1"]) == 0
    assert load_settings_over(tmp_path / "run" / "settings.yaml", LocusSettings()).trainer.overfit


def test_settings_are_shown_as_they_are_read(tmp_path, capsys):
    assert main(["train", "locus", "--show-settings", "--set", "loss.universes=[5, 6, 7]"]) == 0
    (tmp_path / "shown.yaml").write_text(capsys.readouterr().out)
    assert load_settings_over(tmp_path / "shown.yaml", LocusSettings()).loss.universes == (5, 6, 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "trainer.sped=3"], "unknown setting"),
        (["--set", "trainer.max_steps=-1"], "max_steps"),
        (["--resume"], "settings.yaml"),
        (["--scenes", "nowhere"], "nowhere"),
    ],
)
def test_what_is_refused(command, tmp_path, capsys, arguments, message):
    assert main([*command, "--out", str(tmp_path / "run"), *arguments]) == EXIT_ERROR
    assert message in capsys.readouterr().err


def test_a_folder_that_is_refused_stays_as_it_is(command, tmp_path, capsys):
    run = tmp_path / "run"
    assert main([*command, "--out", str(run), "--set", "trainer.max_steps=1"]) == 0
    before = (run / "provenance.jsonl").read_text()
    assert main([*command, "--out", str(run)]) == EXIT_ERROR
    assert "holds a run already" in capsys.readouterr().err
    assert (run / "provenance.jsonl").read_text() == before
    assert main([*command, "--out", str(tmp_path / "settings.yaml")]) == EXIT_ERROR
    assert "cannot be written to" in capsys.readouterr().err


def test_scenes_must_be_named(tmp_path, capsys):
    assert main(["train", "locus", "--out", str(tmp_path)]) == EXIT_ERROR
    assert "--scenes" in capsys.readouterr().err


# `xover train crossover` ----------------------------------------------------------------------------------------------

CROSSOVER = {
    "batches": {"num_scenes": 2, "max_views": 2, "rescan_share": 1.0},
    "trainer": {"device": "cpu", "max_steps": 2, "validate_every": 2, "log_every": 1, "loader_threads": 0},
}


@pytest.fixture
def crossover(tmp_path, monkeypatch):
    """The arguments of a run on three made-up scans; the network is tiny."""
    torch.set_num_threads(1)
    monkeypatch.setattr(crossover_task, "make_light", lambda: tiny_light(replace(TINY, **SIZES)))
    scans = tmp_path / "scans"
    scans.mkdir()
    for seed, (scan_id, place_id) in enumerate([("a", "a"), ("a-rescan", "a"), ("b", "b")]):
        save_scan(make_scan(scan_id, place_id, seed), scans / f"{scan_id}{SCAN_SUFFIX}")
    (tmp_path / "crossover.yaml").write_text(yaml.safe_dump(CROSSOVER))
    return ["train", "crossover", "--settings", str(tmp_path / "crossover.yaml"), "--scans", str(scans)]


# what the shipped backbone gives of a view
SIZES = {"token_dim": 267, "num_tokens": 48}


def test_crossover_is_trained_stage_by_stage(crossover, tmp_path, capsys):
    validation = ["--validation", str(tmp_path / "scans")]
    assert main([*crossover, *validation, "--stage", "instance", "--out", str(tmp_path / "one")]) == 0
    features = sorted((tmp_path / "scans" / "features").iterdir())
    assert {path.name.split(".")[0] for path in features} == {"a", "a-rescan", "b"}
    written = [path.stat().st_mtime_ns for path in features]
    start = str(tmp_path / "one" / "best.safetensors")
    capsys.readouterr()
    assert main([*crossover, "--start", start, "--out", str(tmp_path / "three")]) == 0
    assert "stopped after step 2" in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path in features] == written
    settings = load_settings_over(tmp_path / "three" / "settings.yaml", CrossoverSettings())
    assert (settings.stage, settings.data.start) == ("unified", (start,))
    assert settings.data.scans == (str(tmp_path / "scans"),)
    log = read_log(tmp_path / "one" / "log.jsonl")
    assert [line["step"] for line in log if "validation/object_rescan" in line] == [2]
    assert [line["step"] for line in log if "object_rescan" in line] == [1, 2]
    one, three = (load_light((tmp_path / name / "best.safetensors").read_bytes(), name) for name in ("one", "three"))
    same = [
        torch.equal(value, three.state_dict()[name])
        for name, value in one.object_text.state_dict(prefix="object_text.").items()
    ]
    assert all(same)
    assert not torch.equal(one.state_dict()["text.out.weight"], three.state_dict()["text.out.weight"])


def test_a_crossover_run_goes_on(crossover, tmp_path, capsys):
    run = tmp_path / "run"
    assert main([*crossover, "--out", str(tmp_path / "whole"), "--stage", "scene"]) == 0
    stopped = ["--stage", "scene", "--set", "trainer.max_minutes=0.000001"]
    assert main([*crossover, "--out", str(run), *stopped]) == 0
    assert f"go on with: xover train crossover --out {run} --resume" in capsys.readouterr().out
    assert main(["train", "crossover", "--out", str(run), "--resume", "--set", "trainer.max_minutes=0"]) == 0
    assert "stopped after step 2" in capsys.readouterr().out
    whole, parts = (load_file(tmp_path / name / "best.safetensors") for name in ("whole", "run"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    assert load_settings_over(run / "settings.yaml", CrossoverSettings()).stage == "scene"


def test_settings_of_crossover_are_shown_as_they_are_read(tmp_path, capsys):
    assert main(["train", "crossover", "--show-settings", "--stage", "scene", "--set", "batches.typos=0.5"]) == 0
    (tmp_path / "shown.yaml").write_text(capsys.readouterr().out)
    shown = load_settings_over(tmp_path / "shown.yaml", CrossoverSettings())
    assert (shown.stage, shown.batches.typos) == ("scene", 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stage", "last"], "stage"),
        (["--set", "batches.scenes=3"], "unknown setting"),
        (["--scans", "nowhere"], "nowhere"),
        (["--start", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--resume"], "settings.yaml"),
    ],
)
def test_what_is_refused_of_crossover(crossover, tmp_path, capsys, arguments, message):
    assert main([*crossover, "--out", str(tmp_path / "run"), *arguments]) == EXIT_ERROR
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_scans_must_be_named(tmp_path, capsys):
    assert main(["train", "crossover", "--out", str(tmp_path)]) == EXIT_ERROR
    assert "--scans" in capsys.readouterr().err
