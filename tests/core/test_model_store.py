# SPDX-License-Identifier: Apache-2.0
"""Names to verified weights: where they are searched, and what is said when they are not found."""

from __future__ import annotations

import hashlib

import pytest

from xover_core.errors import ModelError
from xover_core.inference.model_store import (
    MODELS_DIR_VARIABLE,
    load_weights,
    model_entries,
    model_entry,
    model_folders,
)

WEIGHTS = b"some weights"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """An empty folder named by the variable and an empty cache; the package's folder comes third."""
    named, cache = tmp_path / "named", tmp_path / "cache"
    (cache / "xover" / "models").mkdir(parents=True)
    named.mkdir()
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(named))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return named, cache / "xover" / "models"


def write_manifest(folder, name="mine", *, data=WEIGHTS, licence="MIT"):
    text = (
        f"models:\n  {name}:\n    kind: test\n    file: mine.bin\n    sha256: '{hashlib.sha256(data).hexdigest()}'\n"
        f"    licence: {licence}\n    source: this test\n    radii: [0.2, 0.6]\n"
    )
    (folder / "manifest.yaml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", sorted(model_entries()))
def test_every_shipped_model_has_its_weights_and_its_papers(name):
    entry = model_entry(name)
    assert hashlib.sha256(load_weights(name)).hexdigest() == entry.sha256
    assert entry.licence
    assert entry.source
    assert entry.radii == tuple(sorted(entry.radii))


def test_a_manifest_adds_its_models_to_the_shipped_ones(folders):
    write_manifest(folders[0])
    entries = model_entries()
    assert {"mine", "rootsift-pca64"} <= set(entries)
    assert entries["mine"].radii == (0.2, 0.6)
    assert entries["mine"].calibration_with_depth == ()


def test_weights_are_found_next_to_their_manifest_or_in_a_later_folder(folders):
    write_manifest(folders[0])
    (folders[1] / "mine.bin").write_bytes(WEIGHTS)
    assert load_weights("mine") == WEIGHTS
    (folders[0] / "mine.bin").write_bytes(WEIGHTS)
    (folders[1] / "mine.bin").write_bytes(b"of another time")
    assert load_weights("mine") == WEIGHTS


def test_the_first_folder_has_the_last_word(folders):
    write_manifest(folders[0], licence="first")
    write_manifest(folders[1], licence="second")
    assert model_entry("mine").licence == "first"


def test_folders_are_searched_in_order(folders, monkeypatch):
    found = model_folders()
    assert found[:2] == list(folders)
    assert found[2].name == "models"
    monkeypatch.delenv(MODELS_DIR_VARIABLE)
    assert model_folders() == found[1:]


@pytest.mark.parametrize("cache", [None, ""])
def test_without_a_cache_variable_the_cache_is_in_the_home(monkeypatch, tmp_path, cache):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if cache is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
    assert tmp_path / ".cache" / "xover" / "models" in model_folders()


def test_an_unknown_model_is_refused_with_the_known_ones(folders):
    write_manifest(folders[0])
    with pytest.raises(ModelError, match=r"'yours': not in any manifest; known are .*mine, rootsift-pca64"):
        load_weights("yours")
    with pytest.raises(ModelError, match="not in any manifest"):
        model_entry("yours")


def test_a_missing_file_is_reported_with_all_places(folders):
    write_manifest(folders[0])
    with pytest.raises(ModelError, match=r"mine\.bin is in none of") as caught:
        load_weights("mine")
    assert str(folders[0]) in str(caught.value)
    assert str(folders[1]) in str(caught.value)
    assert MODELS_DIR_VARIABLE in str(caught.value)


def test_a_wrong_checksum_is_reported_with_both(folders):
    write_manifest(folders[0])
    (folders[0] / "mine.bin").write_bytes(b"something else")
    with pytest.raises(ModelError, match="the manifest says") as caught:
        load_weights("mine")
    for data in (WEIGHTS, b"something else"):
        assert hashlib.sha256(data).hexdigest() in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "models:",
        "- a list",
        "models: {mine: [1, 2]}",
        "models: {mine: {file: a, sha256: b}}",
        "models: {mine: {file: a, sha256: b, licence: c, source: d, radii: [near]}}",
        "models: {mine: {file: a, sha256: b, licence: c, source: d, radii: 0.2}}",
        "models: {\n  mine: [\n",
        b"\xff\xfe\x00",
    ],
)
def test_a_broken_manifest_is_named_in_one_line(folders, text):
    manifest = folders[0] / "manifest.yaml"
    manifest.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelError, match="cannot be read") as caught:
        model_entries()
    assert str(manifest) in str(caught.value)
    assert "\n" not in str(caught.value)
