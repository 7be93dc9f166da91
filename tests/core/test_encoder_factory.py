# SPDX-License-Identifier: Apache-2.0
"""From settings to an encoder."""

from __future__ import annotations

import pytest

from xover_core.config import EncoderSettings
from xover_core.encoders.factory import make_encoder
from xover_core.errors import ModelError
from xover_core.inference.model_store import model_entries


@pytest.mark.parametrize("name", sorted(model_entries()))
def test_every_shipped_model_makes_an_encoder(name):
    encoder = make_encoder(EncoderSettings(model=name))
    assert encoder.model.name == name
    assert encoder.model.radii == model_entries()[name].radii
    assert len(encoder.model.checksum) == 64


def test_the_default_model_is_the_one_of_the_issue():
    model = make_encoder(EncoderSettings()).model
    assert (model.name, model.descriptor_dim) == ("rootsift-pca64", 64)


def test_an_unknown_model_is_refused_with_what_there_is():
    with pytest.raises(ModelError, match=r"encoder\.model: expected rootsift-pca64, got 'sift'"):
        make_encoder(EncoderSettings(model="sift"))


def test_damaged_site_weights_are_refused():
    with pytest.raises(ModelError, match="whitening weights"):
        make_encoder(EncoderSettings(), b"damaged")
