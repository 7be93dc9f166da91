# SPDX-License-Identifier: Apache-2.0
"""What a map keeps of its scenes beside keyframes: embeddings for each modality, and what users told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.errors import MapFormatError, SensorDataError
from xover_core.types import Float32Array, SceneModality

KEYFRAME_MODALITIES = (SceneModality.IMAGE, SceneModality.POINT_CLOUD)
"""Modalities whose embeddings are made of keyframes."""
TOLD_MODALITIES = (SceneModality.TEXT, SceneModality.FLOORPLAN)
"""Modalities that users add."""

# A drawing is kept at this length of its longer side at most, px; encoders look at far smaller ones.
MAX_FLOORPLAN_PX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneEmbedding:
    """A scene in one modality.

    Attributes:
        scene_id: whose.
        modality: which.
        num_sources: keyframes of the scene, texts or drawings when it was made.
        vector: (768,) float32 of norm 1.
    """

    scene_id: int
    modality: SceneModality
    num_sources: int
    vector: Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSource:
    """A text or drawing that a user added to a scene, kept so that any model can embed it.

    Attributes:
        scene_id: whose.
        modality: one of `TOLD_MODALITIES`.
        content: UTF-8 text or a PNG.
        pixels_per_m: scale of a drawing; None when nobody knows.
    """

    scene_id: int
    modality: SceneModality
    content: bytes
    pixels_per_m: float | None = None

    @property
    def text(self) -> str:
        """The words of a text."""
        return self.content.decode("utf-8")

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of a drawing.

        Raises:
            MapFormatError: no picture is stored.
        """
        bgr = cv2.imdecode(np.frombuffer(self.content, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise MapFormatError(f"floorplan of scene {self.scene_id}: expected a PNG, got something else.")
        return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneUpdate:
    """Descriptions and embeddings that are to be written together.

    Attributes:
        views: (E,) float16 description of each keyframe that gets one, by its id.
        embeddings: that replace those of the same scene and modality.
    """

    views: Mapping[int, NDArray[np.float16]] = field(default_factory=dict)
    embeddings: tuple[SceneEmbedding, ...] = ()

    @property
    def num_bytes(self) -> int:
        """Bytes of the numbers as they are stored."""
        return sum(view.nbytes for view in self.views.values()) + sum(2 * e.vector.size for e in self.embeddings)


def text_source(scene_id: int, text: str) -> SceneSource:
    """A description in words.

    Raises:
        SensorDataError: it has no letter or digit.
    """
    words = " ".join(text.split())
    if not any(character.isalnum() for character in words):
        raise SensorDataError(f"description of a scene: expected some words, got {words!r}.")
    return SceneSource(scene_id=scene_id, modality=SceneModality.TEXT, content=words.encode("utf-8"))


def check_scale(pixels_per_m: float | None) -> None:
    """Raise SensorDataError unless the scale of a floorplan is positive, or None because nobody knows it."""
    if pixels_per_m is not None and not (np.isfinite(pixels_per_m) and pixels_per_m > 0):
        raise SensorDataError(f"floorplan: expected a positive scale in pixels for a metre, got {pixels_per_m!r}.")


def floorplan_source(scene_id: int, image: NDArray[np.uint8], pixels_per_m: float | None = None) -> SceneSource:
    """A drawing of (H, W, 3) uint8 RGB, reduced to `MAX_FLOORPLAN_PX`.

    Raises:
        SensorDataError: no such array, or a scale that is not positive.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise SensorDataError(f"floorplan: expected (H, W, 3) uint8 RGB, got {image.dtype} {image.shape}.")
    check_scale(pixels_per_m)
    shrink = min(1.0, MAX_FLOORPLAN_PX / max(image.shape[:2]))
    if shrink < 1:
        width, height = (max(1, round(length * shrink)) for length in (image.shape[1], image.shape[0]))
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    _, png = cv2.imencode(".png", image[..., ::-1])
    return SceneSource(
        scene_id=scene_id,
        modality=SceneModality.FLOORPLAN,
        content=png.tobytes(),
        pixels_per_m=None if pixels_per_m is None else pixels_per_m * shrink,
    )


def without_embedding(sources: Sequence[SceneSource], embeddings: Sequence[SceneEmbedding]) -> tuple[SceneSource, ...]:
    """The sources whose scene is not embedded in their modality."""
    embedded = {(embedding.scene_id, embedding.modality) for embedding in embeddings}
    return tuple(source for source in sources if (source.scene_id, source.modality) not in embedded)
