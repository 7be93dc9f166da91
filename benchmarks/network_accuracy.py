# SPDX-License-Identifier: Apache-2.0
"""What a way to run a patch encoder costs in accuracy: patch retrieval, docs/protocols.md, in a made-up apartment."""

from __future__ import annotations

from network_runs import WAYS

from xover_core.config import EncoderSettings, InferenceSettings
from xover_core.datasets.procedural import ApartmentWalk, make_apartment
from xover_core.encoders.factory import make_encoder
from xover_core.evaluation.protocols.patch_retrieval import measure_patch_retrieval
from xover_core.evaluation.protocols.patch_sources import IMAGE_HEIGHT, EncoderPatches, PatchFeature
from xover_core.evaluation.protocols.protocol_settings import PatchRetrievalSettings

SEED = 11
"""Of an apartment that no model was trained on: those are made of others."""
NUM_FRAMES = 90
UNIVERSE_M = 10.0


def accuracy_here(model: str, ways: list[str], num_batches: int) -> dict[str, float]:
    """Mean average precision, in percent, of an encoder's features for each way to run it; all see the same frames."""
    settings = PatchRetrievalSettings(universes=(UNIVERSE_M,), num_batches=num_batches)
    features = [PatchFeature(name=way, source=_source(model, way, settings.rho)) for way in ways]
    walk = ApartmentWalk(make_apartment(SEED, num_rooms=3), seed=SEED, rate_hz=1.0, num_frames=NUM_FRAMES)
    rows = measure_patch_retrieval(walk, features, settings).report.rows
    return {row.feature: 100 * row.other_frames_map for row in rows if row.feature in WAYS}


def _source(model: str, way: str, radius: float) -> EncoderPatches:
    """The encoder, run in one way."""
    backend, precision = WAYS[way]
    inference = InferenceSettings(backend=backend, precision=precision, device="cpu", num_threads=1)
    encoder = make_encoder(EncoderSettings(model=model, image_height=IMAGE_HEIGHT, radius=radius), inference=inference)
    return EncoderPatches(encoder)
