# SPDX-License-Identifier: Apache-2.0
"""Which scene encoders the tables compare: a model of the manifest, and the classical descriptors."""

from __future__ import annotations

from xover_core.config import SceneEncoderSettings
from xover_core.datasets.scan_source import ScanSource
from xover_core.encoders.scene_factory import make_scene_encoder
from xover_core.errors import ModelError
from xover_core.evaluation.protocols.classical_scenes import (
    ClassicalSceneEncoder,
    ColorBag,
    RootSiftBag,
    fit_words,
)
from xover_core.evaluation.protocols.labelled_patches import spread_indices
from xover_core.evaluation.protocols.scene_table import NamedSceneEncoder

# A vocabulary of few words is known well from so many scans.
_MAX_FIT_SCANS = 12


def model_encoder(name: str | None) -> NamedSceneEncoder:
    """A model by its name, or that of the default settings.

    Raises:
        ModelError: there is none, it is unknown, or its weights are missing or damaged.
    """
    settings = SceneEncoderSettings() if name is None else SceneEncoderSettings(model=name)
    encoder = make_scene_encoder(settings)
    if encoder is None:
        raise ModelError("scene encoder: expected a model, the settings name none; give one by --scene-model NAME.")
    return NamedSceneEncoder(name=encoder.model.name, encoder=encoder)


def classical_encoders(source: ScanSource, seed: int) -> list[NamedSceneEncoder]:
    """A bag of colours, and one of RootSIFT with a vocabulary of the scans themselves, which flatters it a little.

    Raises:
        SensorDataError: not one keypoint in any scan.
    """
    scans = [source.scan(index) for index in spread_indices(len(source), _MAX_FIT_SCANS)]
    name = "RootSIFT VLAD"
    encoder = ClassicalSceneEncoder(name, RootSiftBag(fit_words(scans, seed)))
    return [color_encoder(), NamedSceneEncoder(name=name, encoder=encoder, has_objects=False)]


def color_encoder() -> NamedSceneEncoder:
    """The bag of colours, which describes objects as well."""
    name = "colours"
    return NamedSceneEncoder(name=name, encoder=ClassicalSceneEncoder(name, ColorBag()))
