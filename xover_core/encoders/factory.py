# SPDX-License-Identifier: Apache-2.0
"""Settings -> patch encoder."""

from __future__ import annotations

from xover_core.config import EncoderSettings
from xover_core.encoders.patch_encoder import PatchEncoder
from xover_core.encoders.rootsift_encoder import RootSiftEncoder
from xover_core.encoders.whitening import Whitening
from xover_core.errors import ModelError
from xover_core.inference.model_store import load_weights, model_entry

_ROOTSIFT = "rootsift-pca64"


def make_encoder(settings: EncoderSettings, site_weights: bytes = b"") -> PatchEncoder:
    """Make the encoder that settings name.

    Args:
        settings: model name and working height.
        site_weights: as a map keeps them; they replace the weights that come with the model.

    Raises:
        ModelError: unknown model, or weights that are missing or damaged.
    """
    if settings.model != _ROOTSIFT:
        raise ModelError(f"setting encoder.model: expected {_ROOTSIFT}, got {settings.model!r}.")
    return RootSiftEncoder(
        name=settings.model,
        image_height=settings.image_height,
        radii=model_entry(settings.model).radii,
        whitening=Whitening.from_bytes(site_weights or load_weights(settings.model)),
    )
