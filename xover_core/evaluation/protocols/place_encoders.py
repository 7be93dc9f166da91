# SPDX-License-Identifier: Apache-2.0
"""What describes the views of places: scene encoders, and the classical descriptors that they are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from xover_core.config import EncoderSettings, RetrievalSettings
from xover_core.encoders.factory import make_encoder
from xover_core.encoders.patch_encoder import PatchEncoder
from xover_core.evaluation.protocols.classical_scenes import ClassicalSceneEncoder, ColorBag
from xover_core.landmark_map.keyframe_signatures import MAX_VOCABULARY_SAMPLES
from xover_core.landmark_map.vlad import encode_vlad, fit_vocabulary
from xover_core.types import Float32Array, RgbdFrame

_VLAD_MODEL = "rootsift-pca64"


class ViewEncoder(Protocol):
    """The part of `SceneEncoder` that looks at frames."""

    def describe_view(self, frame: RgbdFrame) -> Float32Array:
        """(E,) description of one frame, for `embed_views`."""
        ...

    def embed_views(self, views: Float32Array) -> Float32Array:
        """(V, E) descriptions of the views of one scene, V >= 1 -> (D,) of norm 1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedViewEncoder:
    """An encoder and its name in tables.

    Attributes:
        name: of the rows.
        encoder: what embeds.
        reads_depth: whether its answers change when a frame has depth.
    """

    name: str
    encoder: ViewEncoder
    reads_depth: bool


class VladEncoder:
    """Implements `ViewEncoder` by what the localizer retrieves keyframes with: VLAD over dense patch descriptors."""

    def __init__(self, encoder: PatchEncoder, words: Float32Array) -> None:
        """Use a vocabulary.

        Args:
            encoder: of patches.
            words: (W, C) of the encoder's descriptors.
        """
        self._encoder = encoder
        self._words = words

    def describe_view(self, frame: RgbdFrame) -> Float32Array:
        """(W * C,) of norm 1."""
        return encode_vlad(self._encoder.encode(frame).finest, self._words)

    def embed_views(self, views: Float32Array) -> Float32Array:
        """(V, W * C) -> (W * C,): their mean direction."""
        total = views.sum(axis=0)
        return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), np.float32)


def classical_view_encoders(frames: Sequence[RgbdFrame], seed: int) -> list[NamedViewEncoder]:
    """Histograms of colours, and VLAD of dense RootSIFT with a vocabulary of the places' own frames.

    Args:
        frames: that the places are described by, at least one.
        seed: of the vocabulary.
    """
    colors = ClassicalSceneEncoder("colours", ColorBag())
    return [
        NamedViewEncoder(name="colours", encoder=colors, reads_depth=False),
        NamedViewEncoder(name="RootSIFT VLAD", encoder=_fit_vlad(frames, seed), reads_depth=False),
    ]


def _fit_vlad(frames: Sequence[RgbdFrame], seed: int) -> VladEncoder:
    """As `KeyframeRetriever` fits its vocabulary: to a sample of patches drawn evenly from all frames."""
    encoder, rng = make_encoder(EncoderSettings(model=_VLAD_MODEL)), np.random.default_rng(seed)
    per_view = max(1, MAX_VOCABULARY_SAMPLES // len(frames))
    samples = [rng.permutation(encoder.encode(frame).finest)[:per_view] for frame in frames]
    words = fit_vocabulary(np.concatenate(samples), RetrievalSettings().vocabulary_size, rng)
    return VladEncoder(encoder, words)
