# SPDX-License-Identifier: Apache-2.0
"""From settings to an encoder."""

from __future__ import annotations

import pytest

from xover_core.config import EncoderSettings
from xover_core.encoders.factory import make_encoder
from xover_core.errors import ModelError
from xover_core.inference.model_install import install_model, make_entry
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, load_weights, model_entries

PATCH_MODELS = sorted(name for name, entry in model_entries().items() if entry.kind in ("rootsift", "compact"))


@pytest.mark.parametrize("name", PATCH_MODELS)
def test_every_shipped_model_makes_an_encoder(name):
    encoder = make_encoder(EncoderSettings(model=name))
    assert encoder.model.name == name
    assert encoder.model.radii == model_entries()[name].radii[:1]
    assert len(encoder.model.checksum) == 64


def test_the_default_model_is_the_one_of_the_issue():
    model = make_encoder(EncoderSettings()).model
    assert (model.name, model.descriptor_dim) == ("locus-compact", 128)


def test_an_unknown_model_is_refused_with_what_there_is():
    with pytest.raises(ModelError, match=r"model 'sift': not in any manifest; known are .*rootsift-pca64"):
        make_encoder(EncoderSettings(model="sift"))


def test_a_model_of_another_kind_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path))
    entry = make_entry(name="scenes", kind="scene", weights=b"w", licence="MIT", source="this test", radii=(0.2,))
    install_model(tmp_path, entry, b"w")
    with pytest.raises(
        ModelError, match=r"expected a patch encoder \(rootsift, compact, vit-locus\), the manifest says kind 'scene'"
    ):
        make_encoder(EncoderSettings(model="scenes"))


def test_other_radii_than_the_manifest_says_are_refused(tmp_path, monkeypatch):
    weights = load_weights("locus-compact")
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path))
    entry = make_entry(name="mine", kind="compact", weights=weights, licence="MIT", source="this test", radii=(0.2,))
    install_model(tmp_path, entry, weights)
    with pytest.raises(ModelError, match=r"radii \(0\.05, 0\.2, 0\.6, 2\.0\), the manifest says \(0\.2,\)"):
        make_encoder(EncoderSettings(model="mine"))


def test_site_weights_for_a_model_without_any_are_refused():
    with pytest.raises(ModelError, match="without site weights, got 7 bytes"):
        make_encoder(EncoderSettings(model="locus-compact"), b"weights")


def test_damaged_site_weights_are_refused():
    with pytest.raises(ModelError, match="whitening weights"):
        make_encoder(EncoderSettings(model="rootsift-pca64"), b"damaged")
