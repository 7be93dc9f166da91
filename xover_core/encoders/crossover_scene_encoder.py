# SPDX-License-Identifier: Apache-2.0
"""The published CrossOver (CVPR 2025) as a `SceneEncoder`: preprocessing as its authors did it, then its networks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from xover_core.config import InferenceSettings
from xover_core.encoders.bicubic_resize import resize_bicubic
from xover_core.encoders.scene_encoder import EMBEDDING_DIM, ColoredPoints, ObjectInput
from xover_core.errors import SensorDataError
from xover_core.inference.crossover_networks import PublishedCrossoverSettings, PublishedNetworks
from xover_core.inference.crossover_session import CrossOverSession
from xover_core.types import Float32Array, Float64Array, ModelInfo, RgbdFrame, SceneModality

MODEL_NAMES = {"corrected": "crossover-published", "released": "crossover-released"}
"""Behaviour -> name of the model in settings and maps; see `PublishedCrossoverSettings`."""
IMAGE_SIZE = 224
NUM_OBJECT_POINTS = 1024
MIN_OBJECT_POINTS = 50
"""Scanned objects with fewer points are taken as missing, as published."""
NUM_PADDED_OBJECTS = 150
"""Rows of a scene in the published training."""

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_LOCATION_DIM = 6
_SAMPLING_SEED = 0
# Metres; of an object whose points all coincide.
_MIN_RADIUS = 1e-6

# Features of one object, or None where it lacks the modality.
_Describe = Callable[[ObjectInput], Float32Array | None]


class CrossoverSceneEncoder:
    """Implements `SceneEncoder`. A view is described by 3072 numbers: class token and mean of the patches."""

    def __init__(self, session: CrossOverSession, *, weights_sha256: str, behaviour: str = "corrected") -> None:
        """Use a session.

        Args:
            session: runs the networks.
            weights_sha256: of the unified model.
            behaviour: corrected or released, see `PublishedCrossoverSettings`.
        """
        self._session = session
        self._is_released = behaviour == "released"
        self._model = ModelInfo(
            name=MODEL_NAMES[behaviour],
            checksum=hashlib.sha256(f"{MODEL_NAMES[behaviour]}/{weights_sha256}".encode()).hexdigest(),
            descriptor_dim=EMBEDDING_DIM,
            radii=(),
        )

    @property
    def model(self) -> ModelInfo:
        """Name, checksum and length of the embeddings."""
        return self._model

    @property
    def modalities(self) -> frozenset[SceneModality]:
        """All five; CAD models only as objects."""
        return frozenset(SceneModality)

    def describe_view(self, frame: RgbdFrame) -> Float32Array:
        """(3072,) description of a frame's colours; depth is not used."""
        class_tokens, patches = self._session.image_features(_picture(frame.rgb)[None])
        return np.concatenate([class_tokens[0], patches[0]])

    def embed_views(
        self,
        views: Float32Array,
        T_scene_camera: Float64Array | None = None,  # noqa: ARG002 - poses say nothing to it
    ) -> Float32Array:
        """(V, 3072) descriptions of the views of one scene -> (768,); published with 10 views."""
        if views.ndim != 2 or not len(views):
            raise SensorDataError(f"descriptions of views: expected (V, E), V >= 1, got {views.shape}.")
        return self._session.embed_views(views.astype(np.float32))

    def embed_point_cloud(self, cloud: ColoredPoints) -> Float32Array:
        """A point cloud of a scene, one point for each voxel of 2 cm -> (768,)."""
        features = cloud.colors.astype(np.float32) / np.float32(255) - np.float32(0.5)
        return self._session.embed_cloud(cloud.points, features)

    def embed_floorplan(self, image: NDArray[np.uint8], pixels_per_m: float | None = None) -> Float32Array:  # noqa: ARG002
        """(H, W, 3) uint8 drawing of a scene from above -> (768,); its scale is not used."""
        class_tokens, _ = self._session.image_features(_picture(image)[None])
        return self._session.embed_floorplan(class_tokens[0])

    def embed_text(self, text: str) -> Float32Array:
        """A description in English -> (768,); published with ten referrals joined by spaces.

        Raises:
            SensorDataError: the text has no word, or, as released, it is too long.
        """
        if not _has_word(text):
            raise SensorDataError(f"text {text[:60]!r}: expected a description in English, found no word.")
        features = self._sentence(text)
        if features is None:
            raise SensorDataError(
                f"text {text[:60]!r}...: expected at most {self._session.max_tokens} tokens, as released; shorten it,"
                " or set the behaviour to corrected, which cuts it."
            )
        return self._session.embed_text(features)

    def embed_objects(
        self, objects: Sequence[ObjectInput], modality: SceneModality
    ) -> tuple[Float32Array, Float32Array]:
        """Objects of one scene in one modality -> (K, 768) and the scene's (768,), zero where there is nothing."""
        describers: dict[SceneModality, _Describe] = {
            SceneModality.IMAGE: self._crops,
            SceneModality.TEXT: self._sentences,
            SceneModality.POINT_CLOUD: self._scanned_points,
            SceneModality.CAD: self._cad_points,
        }
        if modality not in describers:
            raise SensorDataError(f"objects: expected one of their modalities, got {modality.value}.")
        features = [describers[modality](item) for item in objects]
        mask = np.array([row is not None for row in features], bool)
        if not mask.any():
            return np.zeros((len(objects), EMBEDDING_DIM), np.float32), np.zeros(EMBEDDING_DIM, np.float32)
        num_rows = max(NUM_PADDED_OBJECTS, len(objects)) if self._is_released else len(objects)
        rows = np.zeros((num_rows, max(len(row) for row in features if row is not None)), np.float32)
        locations = np.zeros((num_rows, _LOCATION_DIM), np.float32)
        for index, row in enumerate(features):
            if row is not None:
                rows[index], locations[index] = row, _location(objects[index], modality)
        is_present = np.pad(mask, (0, num_rows - len(objects)))
        embedded, scene = self._session.embed_objects(modality, rows, locations, is_present)
        return np.where(mask[:, None], embedded[: len(objects)], np.float32(0)), scene

    def _crops(self, item: ObjectInput) -> Float32Array | None:
        """Mean class token of an object's crops: published with three levels (see `object_crops`) of ten views."""
        if not item.images:
            return None
        class_tokens, _ = self._session.image_features(np.stack([_picture(image) for image in item.images]))
        mean: Float32Array = class_tokens.mean(axis=0)
        return mean

    def _sentences(self, item: ObjectInput) -> Float32Array | None:
        """Mean over an object's sentences, one by one."""
        features = [row for row in map(self._sentence, item.sentences) if row is not None]
        return np.mean(features, axis=0).astype(np.float32) if features else None

    def _sentence(self, text: str) -> Float32Array | None:
        """Features of a text; None where it has no word, or, as released, where it is too long."""
        if not _has_word(text):
            return None
        ids, limit = self._session.token_ids(text), self._session.max_tokens
        if len(ids) > limit:
            if self._is_released:
                return None
            ids = [*ids[: limit - 1], ids[-1]]
        return _first(self._session.text_features([ids]))

    def _scanned_points(self, item: ObjectInput) -> Float32Array | None:
        if item.cloud is None or len(item.cloud.points) < MIN_OBJECT_POINTS:
            return None
        return _first(self._session.object_features(sample_object(item.cloud.points)[None]))

    def _cad_points(self, item: ObjectInput) -> Float32Array | None:
        if item.cad_points is None or not len(item.cad_points):
            return None
        return _first(self._session.object_features(sample_object(item.cad_points)[None]))


def make_crossover_scene_encoder(
    settings: PublishedCrossoverSettings | None = None, inference: InferenceSettings | None = None
) -> CrossoverSceneEncoder:
    """The encoder of the published files; those of a modality are read when it is first asked for.

    Args:
        settings: of the networks; None for the defaults.
        inference: what runs them; None for the defaults.

    Raises:
        BackendUnavailableError: a GPU is named that is not there, or that torch cannot use.
        ModelError: the unified model's file is in no models folder.
    """
    settings = settings or PublishedCrossoverSettings()
    networks = PublishedNetworks(settings, inference)
    session = CrossOverSession(networks)
    return CrossoverSceneEncoder(session, weights_sha256=networks.checksum, behaviour=settings.behaviour)


def sample_object(points: Float32Array) -> Float32Array:
    """(1024, 3) random points of an object's (N, 3), centred, in the unit sphere; always the same for the same points.

    With fewer than 1024 points, some are drawn twice.
    """
    draws = np.random.default_rng(_SAMPLING_SEED)
    chosen = points[draws.choice(len(points), NUM_OBJECT_POINTS, replace=len(points) < NUM_OBJECT_POINTS)]
    centred = chosen - chosen.mean(axis=0)
    radius = np.linalg.norm(centred, axis=1).max()
    return np.asarray(centred / max(float(radius), _MIN_RADIUS), np.float32)


def _location(item: ObjectInput, modality: SceneModality) -> Float32Array:
    """(6,) centroid and extent of an object's points; of its box where it is not described by points."""
    points = None
    if modality is SceneModality.CAD:
        points = item.cad_points
    elif modality is SceneModality.POINT_CLOUD and item.cloud is not None:
        points = item.cloud.points
    if points is None:
        return np.concatenate([item.center, item.size]).astype(np.float32)
    return np.concatenate([points.mean(axis=0), np.ptp(points, axis=0)]).astype(np.float32)


def _has_word(text: str) -> bool:
    return re.search(r"\w", text) is not None


def _first(rows: Float32Array) -> Float32Array:
    return np.asarray(rows[0])


def _picture(image: NDArray[np.uint8]) -> Float32Array:
    """(3, 224, 224) stretched bicubically, normalised with ImageNet's mean and deviation."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise SensorDataError(f"picture: expected uint8 RGB (H, W, 3), got {image.dtype} {image.shape}.")
    small = resize_bicubic(image, IMAGE_SIZE, IMAGE_SIZE).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(((small - _MEAN) / _DEVIATION).transpose(2, 0, 1))
