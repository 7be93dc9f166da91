# SPDX-License-Identifier: Apache-2.0
"""The light CrossOver behind `SceneEncoder`: what its networks see of each modality."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.cloud_slices import cloud_slices
from xover_core.encoders.cloud_voxels import voxelize
from xover_core.encoders.color_histogram import NUM_COLOR_CELLS, color_histogram
from xover_core.encoders.floorplan_raster import rasterize
from xover_core.encoders.layout_signature import cloud_layout, drawn_layout, seen_layout
from xover_core.encoders.object_inputs import CROP_SIZE, NUM_POINTS, POINT_DIM, object_crop, object_points
from xover_core.encoders.plan_raster import plan_raster
from xover_core.encoders.scene_encoder import EMBEDDING_DIM, ColoredPoints, ObjectInput
from xover_core.encoders.text_tokens import MAX_LONG_WORDS, batch_tokens, tokenise
from xover_core.encoders.view_pixels import view_pixels
from xover_core.encoders.view_tokens import ViewTokenizer
from xover_core.errors import ModelError, SensorDataError
from xover_core.geometry.transforms import transform_points
from xover_core.inference.light_arrays import ObjectArrays
from xover_core.types import Float32Array, Float64Array, ModelInfo, RgbdFrame, SceneModality

if TYPE_CHECKING:
    from xover_core.inference.inventory_session import InventorySession
    from xover_core.inference.light_session import LightSession

VIEW_BACKBONE = "locus-compact"
"""Model of models/manifest.yaml whose features views are described by."""

# A room is not seen from fewer places.
_MIN_LAYOUT_VIEWS, _MIN_LAYOUT_POINTS = 4, 300
_OBJECT_MODALITIES = (SceneModality.POINT_CLOUD, SceneModality.CAD, SceneModality.IMAGE, SceneModality.TEXT)


class LightSceneEncoder:
    """Implements `SceneEncoder`. Views without depth are described too, less well."""

    def __init__(
        self,
        *,
        name: str,
        weights_sha256: str,
        session: LightSession,
        tokenizer: ViewTokenizer,
        inventory: InventorySession | None = None,
    ) -> None:
        """Make an encoder.

        Args:
            name: of the model.
            weights_sha256: of its weights, those of the views' backbone, and of the inventory.
            session: runs the networks.
            tokenizer: what the networks see of a view.
            inventory: adds what is in a scene to its embeddings; None: they do without.

        Raises:
            ModelError: the tokenizer's tokens are not those that the network was trained with.
        """
        if tokenizer.token_dim != session.token_dim:
            raise ModelError(
                f"model {name!r}: expected views of {session.token_dim} numbers a token, {VIEW_BACKBONE!r} gives"
                f" {tokenizer.token_dim}; take both models from one release."
            )
        self._session = session
        self._inventory = inventory
        self._num_amounts = inventory.num_pairs if inventory else 0
        self._tokenizer = tokenizer
        self._model = ModelInfo(
            name=name,
            checksum=hashlib.sha256(f"{name}/{weights_sha256}".encode()).hexdigest(),
            descriptor_dim=EMBEDDING_DIM,
            radii=(),
        )

    @property
    def model(self) -> ModelInfo:
        """See `SceneEncoder.model`."""
        return self._model

    @property
    def modalities(self) -> frozenset[SceneModality]:
        """All of them."""
        return frozenset(SceneModality)

    def describe_view(self, frame: RgbdFrame) -> Float32Array:
        """See `SceneEncoder.describe_view`."""
        patches = self._tokenizer.patches(frame)
        tokens = self._tokenizer.pool(frame, patches)
        parts = [self._session.describe_view(tokens), color_histogram(frame.rgb)]
        if self._inventory:
            parts.append(self._inventory.describe_view(view_pixels(frame), patches.transpose(2, 0, 1)))
        return np.concatenate([*parts, self._tokenizer.places(frame).ravel()])

    def embed_views(self, views: Float32Array, T_scene_camera: Float64Array | None = None) -> Float32Array:
        """See `SceneEncoder.embed_views`; with poses and depth of enough views, the layout of the scene is seen too.

        Raises:
            SensorDataError: there is no view.
        """
        if not len(views):
            raise SensorDataError("scene of views: expected at least one view, got none.")
        described = np.asarray(views, np.float32)
        length = self._session.view_dim + NUM_COLOR_CELLS
        learned, amounts, places = np.split(described, [length, length + self._num_amounts], axis=1)
        layout = None
        if T_scene_camera is not None and len(described) >= _MIN_LAYOUT_VIEWS:
            layout = _layout_of(places.reshape(len(described), -1, 3), T_scene_camera)
        embedding = self._session.embed_views(learned, layout)
        return self._inventory.join_views(embedding, amounts) if self._inventory else embedding

    def embed_point_cloud(self, cloud: ColoredPoints) -> Float32Array:
        """See `SceneEncoder.embed_point_cloud`."""
        voxels = voxelize(cloud.points, cloud.colors)
        colors, layout = color_histogram(cloud.colors), cloud_layout(cloud.points)
        embedding = self._session.embed_cloud(voxels.coordinates, voxels.features, colors, layout)
        if self._inventory is None:
            return embedding
        return self._inventory.join_cloud(embedding, cloud_slices(cloud.points, cloud.colors))

    def embed_floorplan(self, image: NDArray[np.uint8], pixels_per_m: float | None = None) -> Float32Array:
        """See `SceneEncoder.embed_floorplan`.

        Raises:
            SensorDataError: no picture, empty paper, or a scale that is not positive.
        """
        raster = rasterize(image, pixels_per_m)
        embedding = self._session.embed_floorplan(raster, drawn_layout(raster))
        if self._inventory is None:
            return embedding
        return self._inventory.join_floorplan(embedding, plan_raster(image, pixels_per_m))

    def embed_text(self, text: str) -> Float32Array:
        """See `SceneEncoder.embed_text`."""
        embedding = self._session.embed_text(tokenise(text))
        if self._inventory is None:
            return embedding
        return self._inventory.join_text(embedding, tokenise(text, max_words=MAX_LONG_WORDS))

    def embed_objects(
        self, objects: Sequence[ObjectInput], modality: SceneModality
    ) -> tuple[Float32Array, Float32Array]:
        """See `SceneEncoder.embed_objects`.

        Raises:
            SensorDataError: objects are not described by floorplans.
        """
        if modality not in _OBJECT_MODALITIES:
            raise SensorDataError(f"objects: expected a modality of objects, got {modality.value}.")
        arrays = _arrays_of(objects, modality)
        if not arrays.masks[modality].any():
            return np.zeros((len(objects), EMBEDDING_DIM), np.float32), np.zeros(EMBEDDING_DIM, np.float32)
        rows, scene = self._session.embed_objects(arrays, modality)
        return rows, self._inventory.join_nothing(scene) if self._inventory else scene


def _layout_of(places: Float32Array, T_scene_camera: Float64Array) -> Float32Array | None:
    """Signature of what (V, P, 3) points of views show to stand where; None when depth is missing."""
    parts = [
        transform_points(pose, points[points[:, 2] > 0].astype(np.float64))
        for points, pose in zip(places, T_scene_camera, strict=True)
    ]
    points = np.concatenate(parts).astype(np.float32)
    cameras = np.asarray(T_scene_camera[:, :2, 3], np.float64)
    return seen_layout(points, cameras) if len(points) >= _MIN_LAYOUT_POINTS else None


def _arrays_of(objects: Sequence[ObjectInput], modality: SceneModality) -> ObjectArrays:
    """What the networks see of the objects in one modality; nothing of the others."""
    rng = np.random.default_rng(0)
    masks = {m: np.zeros(len(objects), bool) for m in _OBJECT_MODALITIES}
    masks[modality] = np.array([_has(one, modality) for one in objects], bool)
    chosen = [one for one, is_there in zip(objects, masks[modality], strict=True) if is_there]
    points = np.zeros((0, NUM_POINTS, POINT_DIM), np.float32)
    clouds, cad, crops, sentences = points, points, np.zeros((0, CROP_SIZE, CROP_SIZE, 3), np.uint8), []
    if chosen and modality is SceneModality.POINT_CLOUD:
        clouds = np.stack([object_points(o.cloud.points, o.cloud.colors, rng) for o in chosen if o.cloud is not None])
    elif chosen and modality is SceneModality.CAD:
        cad = np.stack([object_points(o.cad_points, None, rng) for o in chosen if o.cad_points is not None])
    elif chosen and modality is SceneModality.IMAGE:
        crops = np.stack([object_crop(o.images[0]) for o in chosen])
    elif chosen:
        sentences = [" ".join(o.sentences) for o in chosen]
    locations = np.array([np.concatenate([o.center, o.size]) for o in objects], np.float32).reshape(-1, 6)
    return ObjectArrays(
        points=clouds,
        cad_points=cad,
        crops=crops,
        words=batch_tokens(sentences),
        locations=locations,
        masks=masks,
    )


def _has(one: ObjectInput, modality: SceneModality) -> bool:
    """Whether an object is known in a modality."""
    present = {
        SceneModality.POINT_CLOUD: one.cloud is not None,
        SceneModality.CAD: one.cad_points is not None and len(one.cad_points) > 0,
        SceneModality.IMAGE: bool(one.images),
        SceneModality.TEXT: any(text.strip() for text in one.sentences),
    }
    return present[modality]
