# SPDX-License-Identifier: Apache-2.0
"""`xover install locus`: published checkpoints become a model that settings can name, or a sentence says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from published_vit import TINY_DINO, PublishedVit, published_checkpoint

from xover_core.cli.main import EXIT_ERROR, main
from xover_core.inference.locus_checkpoint import load_locus
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, load_weights, model_entries, model_entry
from xover_core.networks import vit_backbone
from xover_core.networks.locus_head import LocusHead

pytest.importorskip("transformers")
NAME = "locus-tiny"
# float32 rounding
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of models; a tiny backbone has a name here."""
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setitem(vit_backbone.VIT_SHAPES, "tiny", TINY_DINO)
    return tmp_path / "models"


@pytest.fixture
def backbone() -> PublishedVit:
    return PublishedVit(TINY_DINO)


@pytest.fixture
def heads() -> dict[float, LocusHead]:
    return {radius: LocusHead(TINY_DINO.width) for radius in (0.6, 0.2)}


@pytest.fixture
def checkpoints(tmp_path: Path, backbone: PublishedVit, heads: dict[float, LocusHead]) -> list[str]:
    """Arguments that name a file for each radius, the larger radius first."""
    arguments = []
    for radius, head in heads.items():
        file = tmp_path / f"locus_rad{radius}m.pth"
        torch.save({"model": published_checkpoint(backbone, head), "epoch": 20}, file)
        arguments += ["--checkpoint", f"{radius}={file}"]
    return arguments


def install(*arguments: str, name: str = NAME, backbone: str = "tiny") -> int:
    return main(["install", "locus", "--name", name, "--backbone", backbone, *arguments])


def test_checkpoints_become_one_model(
    folder: Path,
    checkpoints: list[str],
    backbone: PublishedVit,
    heads: dict[float, LocusHead],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert install(*checkpoints) == 0
    entry = model_entry(NAME)
    assert (entry.kind, entry.radii, entry.licence) == ("vit-locus", (0.2, 0.6), "MIT AND Apache-2.0")
    assert "locus_rad0.2m.pth, locus_rad0.6m.pth" in entry.source
    compact = model_entry("locus-compact")
    assert entry.calibration_with_depth == compact.calibration_with_depth
    network = load_locus(load_weights(NAME), NAME)
    images = torch.randn(1, 3, 24, 40)
    for radius, features in zip(network.radii, network(images), strict=True):
        expected = heads[radius](backbone(images)).unflatten(1, (3, 5))
        torch.testing.assert_close(features, expected, rtol=TOLERANCE, atol=TOLERANCE)
    out = capsys.readouterr().out
    assert f"radii 0.2, 0.6 m, written to {folder}" in out
    assert f"--set encoder.model={NAME}" in out
    assert "by the weights of locus-compact" in out
    assert "export" not in out


def test_heads_of_a_training_become_a_model(folder: Path, checkpoints: list[str], tmp_path: Path) -> None:
    assert install(*checkpoints) == 0
    trained = tmp_path / "trained.safetensors"
    trained.write_bytes(load_weights(NAME))
    assert install("--weights", str(trained), "--calibration-of", "rootsift-pca64", name="mine") == 0
    entry = model_entry("mine")
    assert (entry.sha256, entry.radii) == (model_entry(NAME).sha256, (0.2, 0.6))
    assert entry.calibration_with_depth == model_entry("rootsift-pca64").calibration_with_depth
    assert "trained.safetensors" in entry.source


def test_installing_again_replaces(folder: Path, checkpoints: list[str]) -> None:
    assert install(*checkpoints) == 0
    assert install(*checkpoints[:2]) == 0
    assert model_entry(NAME).radii == (0.6,)


def test_another_folder_is_named(
    folder: Path, checkpoints: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(*checkpoints, "--models-dir", str(tmp_path / "elsewhere")) == 0
    assert f"export {MODELS_DIR_VARIABLE}={tmp_path / 'elsewhere'}" in capsys.readouterr().out
    assert NAME not in model_entries()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "expected either --checkpoint, once for each radius, or --weights"),
        (["--checkpoint", "0.2=a.pth", "--weights", "b"], "expected either --checkpoint"),
        (["--checkpoint", "a.pth"], "--checkpoint a.pth: expected RADIUS=FILE"),
        (["--checkpoint", "0=a.pth"], "--checkpoint 0=a.pth: expected RADIUS=FILE"),
        (["--checkpoint", "nan=a.pth"], "--checkpoint nan=a.pth: expected RADIUS=FILE"),
        (["--checkpoint", "0.2=a.pth", "--checkpoint", "0.20=b.pth"], "--checkpoint 0.20=b.pth: expected RADIUS=FILE"),
        (["--checkpoint", "0.2=missing.pth"], "checkpoint missing.pth: cannot be read"),
        (["--checkpoint", "0.2=a.pth", "--calibration-of", "nobody"], "model 'nobody': not in any manifest"),
        (["--checkpoint", "0.2=a.pth", "--name", "a/b"], "expected letters, digits and . _ -, got 'a/b'"),
        (["--checkpoint", "0.2=a.pth", "--name", "locus-compact"], "'locus-compact' is taken by a model outside"),
        (["--checkpoint", "0.2=a.pth", "--backbone", "vit-z"], "backbone 'vit-z': unknown"),
    ],
)
def test_what_cannot_be_installed_is_said_in_a_sentence(
    folder: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(*arguments) == EXIT_ERROR
    assert sentence in capsys.readouterr().err
    assert not folder.exists()


def test_a_checkpoint_of_another_backbone_leaves_nothing(
    folder: Path, checkpoints: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(*checkpoints, backbone="dino-vits8") == EXIT_ERROR
    assert "do not fit the network" in capsys.readouterr().err
    assert not folder.exists()
