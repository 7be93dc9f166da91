# SPDX-License-Identifier: Apache-2.0
"""Models that a user adds: their files, and a manifest whose other lines stay as they are."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from xover_core.errors import ModelError
from xover_core.inference.model_install import install_model, make_entry, user_models_folder
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, load_onnx, load_weights, model_entry

MANIFEST = """# First line.
models:
  # about the first
  first:
    kind: test
    file: first.bin
    sha256: 'ab'
    licence: MIT
    source: somebody
    radii: [0.2]
  last:
    kind: test
    file: last.bin  # a comment
    sha256: 'cd'
    licence: MIT
    source: somebody
    radii: [0.6]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def entry_of(name, weights, onnx=b"", **options):
    fields = {"kind": "compact", "licence": "MIT", "source": "this test", "radii": (0.2, 0.6), **options}
    return make_entry(name=name, weights=weights, onnx=onnx, **fields)


def test_an_installed_model_is_found(folder):
    assert user_models_folder() == folder
    entry = entry_of("mine", b"weights", b"graph", like=model_entry("rootsift-pca64"))
    install_model(folder, entry, b"weights", b"graph")
    assert model_entry("mine") == entry
    assert (load_weights("mine"), load_onnx("mine")) == (b"weights", b"graph")
    assert len(entry.calibration_with_depth) == 5
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.yaml", "mine.onnx", "mine.safetensors"]


def test_a_model_that_was_never_exported_has_no_export(folder):
    install_model(folder, entry_of("mine", b"weights"), b"weights")
    assert load_onnx("mine") is None


def test_a_scene_encoder_keeps_its_calibration(folder):
    pairs = {"image->text": (0.05, 0.25), "text->image": (0.1, 0.2)}
    entry = dataclasses.replace(entry_of("rooms", b"weights"), radii=(), calibration_scene=pairs)
    install_model(folder, entry, b"weights")
    assert model_entry("rooms") == entry


def test_installing_again_replaces(folder):
    install_model(folder, entry_of("mine", b"old", b"old graph"), b"old", b"old graph")
    install_model(folder, entry_of("mine", b"new"), b"new")
    assert load_weights("mine") == b"new"
    assert load_onnx("mine") is None


@pytest.mark.parametrize("name", ["first", "last", "new"])
def test_other_entries_and_their_comments_stay(folder, name):
    folder.mkdir()
    manifest = folder / "manifest.yaml"
    manifest.write_text(MANIFEST)
    before = yaml.safe_load(MANIFEST)["models"]
    install_model(folder, entry_of(name, b"weights"), b"weights")
    text = manifest.read_text()
    after = yaml.safe_load(text)["models"]
    assert after[name]["file"] == f"{name}.safetensors"
    assert {k: v for k, v in after.items() if k != name} == {k: v for k, v in before.items() if k != name}
    assert "# First line." in text
    assert "# about the first" in text
    assert ("# a comment" in text) == (name != "last")


@pytest.mark.parametrize("text", ["models: {a: {kind: test}}\n", "models:\n    a:\n        kind: test\n", "models:\n"])
def test_a_manifest_of_another_layout_keeps_its_entries(folder, text):
    folder.mkdir()
    (folder / "manifest.yaml").write_text(text)
    install_model(folder, entry_of("mine", b"weights"), b"weights")
    models = yaml.safe_load((folder / "manifest.yaml").read_text())["models"]
    assert models["mine"]["radii"] == [0.2, 0.6]
    assert ("a" in models) == ("a" in text)


def test_a_broken_manifest_is_not_overwritten(folder):
    folder.mkdir()
    (folder / "manifest.yaml").write_text("models: [")
    with pytest.raises(ModelError, match="cannot be read"):
        install_model(folder, entry_of("mine", b"weights"), b"weights")
    assert (folder / "manifest.yaml").read_text() == "models: ["
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_is_none_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written into"):
        install_model(tmp_path / "file", entry_of("mine", b"weights"), b"weights")
