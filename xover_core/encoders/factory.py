# SPDX-License-Identifier: Apache-2.0
"""Settings -> patch encoder."""

from __future__ import annotations

from xover_core.config import EncoderSettings, InferenceSettings
from xover_core.encoders.compact_encoder import CompactPatchEncoder
from xover_core.encoders.patch_encoder import PatchEncoder
from xover_core.encoders.rootsift_encoder import RootSiftEncoder
from xover_core.encoders.vit_encoder import VitPatchEncoder
from xover_core.encoders.whitening import Whitening
from xover_core.errors import ModelError
from xover_core.inference.compact_session import make_compact_session
from xover_core.inference.locus_graph import KIND, locus_graph_of, patch_size_of
from xover_core.inference.model_store import ModelEntry, load_weights, model_entry
from xover_core.inference.picture_session import PictureSession
from xover_core.inference.session_factory import make_session


def make_encoder(
    settings: EncoderSettings, site_weights: bytes = b"", inference: InferenceSettings | None = None
) -> PatchEncoder:
    """Make the encoder that settings name.

    Args:
        settings: model name and working height.
        site_weights: as a map keeps them; where there are any, they replace the weights that come with the model.
        inference: what runs networks; None for the defaults.

    Raises:
        BackendUnavailableError: nothing here can run the model's network, or not what `inference` names.
        ModelError: unknown model or kind of model, weights that are missing or damaged, or site weights for a model
            that has none.
    """
    entry = model_entry(settings.model)
    if entry.kind not in _MAKERS:
        raise ModelError(
            f"model {entry.name!r}: expected a patch encoder ({', '.join(ENCODER_KINDS)}), the manifest says kind"
            f" {entry.kind!r}; name another model in encoder.model."
        )
    return _MAKERS[entry.kind](entry, settings, site_weights, inference or InferenceSettings())


def _make_rootsift(
    entry: ModelEntry, settings: EncoderSettings, site_weights: bytes, _: InferenceSettings
) -> PatchEncoder:
    return RootSiftEncoder(
        name=entry.name,
        image_height=settings.image_height,
        radii=entry.radii,
        whitening=Whitening.from_bytes(site_weights or load_weights(entry.name)),
    )


def _make_compact(
    entry: ModelEntry, settings: EncoderSettings, site_weights: bytes, inference: InferenceSettings
) -> PatchEncoder:
    _refuse_site_weights(entry, site_weights)
    radius = _nearest_radius(entry, settings)
    return CompactPatchEncoder(
        name=entry.name,
        image_height=settings.image_height,
        weights_sha256=entry.sha256,
        session=make_compact_session(entry.name, inference, radii=[radius]),
        radius=radius,
    )


def _make_vit(
    entry: ModelEntry, settings: EncoderSettings, site_weights: bytes, inference: InferenceSettings
) -> PatchEncoder:
    _refuse_site_weights(entry, site_weights)
    radius = _nearest_radius(entry, settings)
    graph = locus_graph_of(entry.name, radius=radius)
    return VitPatchEncoder(
        name=entry.name,
        image_height=settings.image_height,
        weights_sha256=entry.sha256,
        session=PictureSession(make_session(graph, inference), patch_size_of(graph)),
        descriptor_dim=int(graph.outputs[0].shape[2]),
        radius=radius,
    )


def _refuse_site_weights(entry: ModelEntry, site_weights: bytes) -> None:
    """Raise ModelError where there are site weights for a model that has none."""
    if site_weights:
        raise ModelError(
            f"model {entry.name!r}: expected a map without site weights, got {len(site_weights)} bytes of them; was the"
            " map made by another model of this name?"
        )


def _nearest_radius(entry: ModelEntry, settings: EncoderSettings) -> float:
    """Of a model's radii the one that is wanted."""
    return min(entry.radii, key=lambda radius: abs(radius - settings.radius))


_MAKERS = {"rootsift": _make_rootsift, "compact": _make_compact, KIND: _make_vit}
ENCODER_KINDS = tuple(_MAKERS)
"""Kinds of models in the manifests that are patch encoders."""
