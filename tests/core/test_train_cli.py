# SPDX-License-Identifier: Apache-2.0
"""`xover train locus` on two tiny rooms: files, resuming, interruption, and what is refused."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch
import yaml
from locus_cases import TinyNetwork, make_room, save_tiny
from safetensors.torch import load_file

from xover_core.cli.main import EXIT_ERROR, EXIT_INTERRUPTED, main
from xover_core.config_io import load_settings_over
from xover_core.training import locus_networks
from xover_core.training.locus_networks import NetworkKind
from xover_core.training.locus_settings import LocusSettings
from xover_core.training.run_folder import read_log

SETTINGS = {
    "network": {"radii": [0.2, 0.6]},
    "batches.batch_size": 4,
    "landmarks": {"num_landmarks": 16},
    "trainer": {"device": "cpu", "max_steps": 6, "validate_every": 3, "log_every": 1, "loader_threads": 1},
}


class InterruptedNetwork(TinyNetwork):
    """Sends Ctrl-C in the second batch."""

    num_calls = 0

    def forward(self, images, depth, intrinsics):
        self.num_calls += 1
        if self.num_calls == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return super().forward(images, depth, intrinsics)


def use_network(monkeypatch, network_class):
    kind = NetworkKind(make=lambda settings, scenes: network_class(settings.radii), save=save_tiny)
    monkeypatch.setitem(locus_networks.NETWORK_KINDS, "compact", kind)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The arguments of a run; the network is tiny."""
    torch.set_num_threads(1)
    use_network(monkeypatch, TinyNetwork)
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


def test_ctrl_c_says_how_to_go_on_and_that_gives_the_same_weights(command, tmp_path, capsys, monkeypatch):
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0
    use_network(monkeypatch, InterruptedNetwork)
    assert main([*command, "--out", str(tmp_path / "run")]) == EXIT_INTERRUPTED
    assert f"xover train locus --out {tmp_path / 'run'} --resume" in capsys.readouterr().out
    use_network(monkeypatch, TinyNetwork)
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
