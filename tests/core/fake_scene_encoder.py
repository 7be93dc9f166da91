# SPDX-License-Identifier: Apache-2.0
"""A scene encoder without networks: colours of pictures, clouds and drawings, and words, in one space of 768 numbers.

Scenes of the same colours are near each other in every modality, texts by the colours and the nouns that they name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.scene_encoder import EMBEDDING_DIM, ColoredPoints, ObjectInput
from xover_core.errors import SensorDataError
from xover_core.types import Float32Array, Float64Array, ModelInfo, RgbdFrame, SceneModality

NAMED_COLORS = {
    "red": (200, 30, 30),
    "green": (30, 160, 30),
    "blue": (30, 30, 200),
    "yellow": (230, 230, 40),
    "purple": (140, 30, 160),
    "brown": (120, 80, 30),
    "white": (240, 240, 240),
    "black": (20, 20, 20),
}
COLOR_BINS, WORD_BINS = 64, 192
# A word counts less than the colours: pictures have no words.
WORD_WEIGHT = 0.3


class FakeSceneEncoder:
    """Implements `SceneEncoder`; counts what it was asked for.

    Attributes:
        num_views: views described so far.
    """

    def __init__(self, modalities: frozenset[SceneModality] = frozenset(SceneModality)) -> None:
        self._modalities = modalities
        self._basis = np.random.default_rng(0).normal(size=(COLOR_BINS + WORD_BINS, EMBEDDING_DIM))
        self.num_views = 0

    @property
    def model(self) -> ModelInfo:
        return ModelInfo(name="fake-scenes", checksum="0" * 64, descriptor_dim=EMBEDDING_DIM, radii=())

    @property
    def modalities(self) -> frozenset[SceneModality]:
        return self._modalities

    def describe_view(self, frame: RgbdFrame) -> Float32Array:
        self.num_views += 1
        return color_histogram(frame.rgb.reshape(-1, 3))

    def embed_views(
        self,
        views: Float32Array,
        T_scene_camera: Float64Array | None = None,
    ) -> Float32Array:
        return self._project(views.mean(axis=0))

    def embed_point_cloud(self, cloud: ColoredPoints) -> Float32Array:
        return self._project(color_histogram(cloud.colors))

    def embed_floorplan(self, image: NDArray[np.uint8], pixels_per_m: float | None = None) -> Float32Array:
        pixels = image.reshape(-1, 3)
        drawn = pixels[(pixels < 255).any(axis=1)]
        return self._project(color_histogram(drawn if len(drawn) else pixels))

    def embed_text(self, text: str) -> Float32Array:
        words = re.findall(r"[a-z]+", text.lower())
        if not words:
            raise SensorDataError(f"text: expected words, got {text!r}.")
        named = [NAMED_COLORS[word] for word in words if word in NAMED_COLORS]
        colors = color_histogram(np.array(named, np.uint8)) if named else np.zeros(COLOR_BINS, np.float32)
        counts = np.bincount([_bin(word) for word in words if word not in NAMED_COLORS], minlength=WORD_BINS)
        return self._project(colors, WORD_WEIGHT * np.sqrt(counts / len(words)))

    def embed_objects(
        self, objects: Sequence[ObjectInput], modality: SceneModality
    ) -> tuple[Float32Array, Float32Array]:
        rows = np.zeros((len(objects), EMBEDDING_DIM), np.float32)
        for row, item in zip(rows, objects, strict=True):
            row[:] = self._embed_object(item, modality)
        total = rows.sum(axis=0)
        return rows, np.asarray(total / max(float(np.linalg.norm(total)), 1e-9), np.float32)

    def _embed_object(self, item: ObjectInput, modality: SceneModality) -> Float32Array:
        """(768,), zero when the object lacks the modality."""
        if modality is SceneModality.POINT_CLOUD and item.cloud is not None:
            return self.embed_point_cloud(item.cloud)
        if modality is SceneModality.IMAGE and item.images:
            pixels = np.concatenate([image.reshape(-1, 3) for image in item.images])
            return self._project(color_histogram(pixels))
        if modality is SceneModality.TEXT and item.sentences:
            return self.embed_text(" ".join(item.sentences))
        if modality is SceneModality.CAD and item.cad_points is not None:
            size = ",".join(f"{value:.1f}" for value in item.size)
            return self._project(np.zeros(COLOR_BINS), np.eye(WORD_BINS)[_bin(size)])
        return np.zeros(EMBEDDING_DIM, np.float32)

    def _project(self, colors: NDArray[np.floating], words: NDArray[np.floating] | None = None) -> Float32Array:
        """(768,) of norm 1."""
        parts = np.concatenate([colors, np.zeros(WORD_BINS) if words is None else words])
        vector = parts @ self._basis
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


def color_histogram(colors: NDArray[np.uint8]) -> Float32Array:
    """(64,) square roots of the shares of (N, 3) colours in a grid of 4 x 4 x 4."""
    cells = (colors // 64).astype(np.int64) @ np.array([16, 4, 1])
    return np.sqrt(np.bincount(cells, minlength=COLOR_BINS) / len(colors)).astype(np.float32)


def _bin(word: str) -> int:
    """The same for a word in every process."""
    return hashlib.sha256(word.encode()).digest()[0] % WORD_BINS
