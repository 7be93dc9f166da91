# SPDX-License-Identifier: Apache-2.0
"""Settings -> patch encoder."""

from __future__ import annotations

from xover_core.config import EncoderSettings
from xover_core.encoders.compact_encoder import CompactPatchEncoder
from xover_core.encoders.patch_encoder import PatchEncoder
from xover_core.encoders.rootsift_encoder import RootSiftEncoder
from xover_core.encoders.whitening import Whitening
from xover_core.errors import ModelError
from xover_core.inference.compact_session import make_compact_session
from xover_core.inference.model_store import ModelEntry, load_weights, model_entry


def make_encoder(settings: EncoderSettings, site_weights: bytes = b"") -> PatchEncoder:
    """Make the encoder that settings name.

    Args:
        settings: model name and working height.
        site_weights: as a map keeps them; where there are any, they replace the weights that come with the model.

    Raises:
        ModelError: unknown model or kind of model, weights that are missing or damaged, or site weights for a model
            that has none.
    """
    entry = model_entry(settings.model)
    if entry.kind not in _MAKERS:
        raise ModelError(
            f"model {entry.name!r}: expected a patch encoder ({', '.join(ENCODER_KINDS)}), the manifest says kind"
            f" {entry.kind!r}; name another model in encoder.model."
        )
    return _MAKERS[entry.kind](entry, settings, site_weights)


def _make_rootsift(entry: ModelEntry, settings: EncoderSettings, site_weights: bytes) -> PatchEncoder:
    return RootSiftEncoder(
        name=entry.name,
        image_height=settings.image_height,
        radii=entry.radii,
        whitening=Whitening.from_bytes(site_weights or load_weights(entry.name)),
    )


def _make_compact(entry: ModelEntry, settings: EncoderSettings, site_weights: bytes) -> PatchEncoder:
    if site_weights:
        raise ModelError(
            f"model {entry.name!r}: expected a map without site weights, got {len(site_weights)} bytes of them; was the"
            " map made by another model of this name?"
        )
    session = make_compact_session(entry.name)
    if session.radii != entry.radii:
        raise ModelError(
            f"model {entry.name!r}: its weights are for the radii {session.radii}, the manifest says {entry.radii}."
        )
    return CompactPatchEncoder(
        name=entry.name,
        image_height=settings.image_height,
        weights_sha256=entry.sha256,
        session=session,
        radius=min(entry.radii, key=lambda radius: abs(radius - settings.radius)),
    )


_MAKERS = {"rootsift": _make_rootsift, "compact": _make_compact}
ENCODER_KINDS = tuple(_MAKERS)
"""Kinds of models in the manifests that are patch encoders."""
