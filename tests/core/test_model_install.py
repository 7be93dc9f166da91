# SPDX-License-Identifier: Apache-2.0
"""Models that a user adds: their files, and a manifest whose other lines stay as they are."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
import yaml

from xover_core.errors import ModelError
from xover_core.inference.model_install import (
    install_export,
    install_model,
    make_entry,
    make_exported,
    user_models_folder,
)
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, load_export, load_weights, model_entry

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


def entry_of(name, weights, **options):
    fields = {"kind": "compact", "licence": "MIT", "source": "this test", "radii": (0.2, 0.6), **options}
    return make_entry(name=name, weights=weights, **fields)


def install_graph(folder, data, *, precision="fp32", weights=b"weights", graph="mine"):
    sha256 = hashlib.sha256(weights).hexdigest()
    install_export(folder, make_exported(graph, precision, data, sha256), data)


def test_an_installed_model_is_found(folder):
    assert user_models_folder() == folder
    entry = entry_of("mine", b"weights", like=model_entry("rootsift-pca64"))
    install_model(folder, entry, b"weights")
    assert model_entry("mine") == entry
    assert load_weights("mine") == b"weights"
    assert len(entry.calibration_with_depth) == 5
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.yaml", "mine.safetensors"]


def test_exports_are_found_by_graph_and_precision(folder):
    install_graph(folder, b"graph")
    install_model(folder, entry_of("mine", b"weights"), b"weights")
    install_graph(folder, b"small graph", precision="int8")
    install_graph(folder, b"part", graph="mine.part")
    assert load_export("mine", "fp32") == b"graph"
    assert load_export("mine", "int8") == b"small graph"
    assert load_export("mine.part", "fp32") == b"part"
    assert load_export("mine", "fp16") is None
    assert load_export("mine.other", "fp32") is None
    names = {"manifest.yaml", "mine.safetensors", "mine.onnx", "mine.int8.onnx", "mine.part.onnx"}
    assert {path.name for path in folder.iterdir()} == names


@pytest.mark.parametrize("graph", ["mine", "mine.part"])
def test_an_export_of_other_weights_is_not_used(folder, caplog, graph):
    install_model(folder, entry_of("mine", b"weights"), b"weights")
    install_graph(folder, b"graph", graph=graph)
    install_model(folder, entry_of("mine", b"new weights"), b"new weights")
    assert load_export(graph, "fp32") is None
    assert f"{graph}.onnx was exported of other weights of {graph}" in caplog.text


def test_an_export_of_a_model_in_no_manifest_is_compared_with_weights_that_are_told(folder, caplog):
    install_export(folder, make_exported("nowhere", "fp32", b"graph", "ab" * 32), b"graph")
    assert load_export("nowhere", "fp32") == b"graph"
    assert load_export("nowhere", "fp32", weights_sha256="ab" * 32) == b"graph"
    assert caplog.records == []
    assert load_export("nowhere", "fp32", weights_sha256="cd" * 32) is None
    assert "was exported of other weights of nowhere" in caplog.text


def test_a_damaged_export_is_refused(folder):
    install_model(folder, entry_of("mine", b"weights"), b"weights")
    install_graph(folder, b"graph")
    (folder / "mine.onnx").write_bytes(b"grap")
    with pytest.raises(ModelError, match="the manifest says"):
        load_export("mine", "fp32")


def test_an_export_of_a_shipped_model_leaves_the_model_shipped(folder):
    shipped = model_entry("locus-compact")
    install_export(folder, make_exported("locus-compact", "int8", b"graph", shipped.sha256), b"graph")
    assert model_entry("locus-compact") == shipped
    assert load_export("locus-compact", "int8") == b"graph"
    assert load_export("locus-compact", "fp32") is not None


def test_a_scene_encoder_keeps_its_calibration(folder):
    pairs = {"image->text": (0.05, 0.25), "text->image": (0.1, 0.2)}
    entry = dataclasses.replace(entry_of("rooms", b"weights"), radii=(), calibration_scene=pairs)
    install_model(folder, entry, b"weights")
    assert model_entry("rooms") == entry


def test_installing_again_replaces(folder):
    for data in (b"old", b"new"):
        install_model(folder, entry_of("mine", data), data)
        install_graph(folder, data + b" graph", weights=data)
    assert load_weights("mine") == b"new"
    assert load_export("mine", "fp32") == b"new graph"


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


def test_rows_stay_in_their_section(folder):
    folder.mkdir()
    manifest = folder / "manifest.yaml"
    manifest.write_text(MANIFEST + "# exported\nexports:\n  first/fp32: {file: a, sha256: b, weights_sha256: c}\n")
    install_model(folder, entry_of("mine", b"weights"), b"weights")
    install_graph(folder, b"graph")
    install_graph(folder, b"graph", graph="first")
    content = yaml.safe_load(manifest.read_text())
    assert list(content["models"]) == ["first", "last", "mine"]
    assert list(content["exports"]) == ["first/fp32", "mine/fp32"]
    assert content["exports"]["first/fp32"]["file"] == "first.onnx"
    assert all(comment in manifest.read_text() for comment in ("# First line.", "# about the first", "# a comment"))


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
