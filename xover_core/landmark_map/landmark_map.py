# SPDX-License-Identifier: Apache-2.0
"""The map as it lies in memory: what a localizer searches and what the finishing steps of a builder work on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import MapFormatError
from xover_core.landmark_map.keyframe_signatures import StoredSignatures
from xover_core.landmark_map.landmark_blocks import LandmarkBlocks
from xover_core.landmark_map.lazy_keyframes import find_table
from xover_core.landmark_map.scene_data import SceneEmbedding
from xover_core.types import Keyframe, Landmarks, ModelInfo, Scene

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapHeader:
    """What identifies a map and the model whose descriptors it holds.

    Attributes:
        schema_version: of the file format; see docs/map-format.md.
        map_id: UUID, never changes.
        revision: increases with every change.
        model: the patch encoder that made the descriptors; a map is refused with any other.
        site_weights: what `make_encoder` needs beyond the model's own weights to make the same descriptors.
        frame_id: name of the frame in which poses and positions are given.
        scene_model: the scene encoder that made the embeddings of scenes; None without any. With another one, the
            embeddings are of no use, but everything else is.
    """

    schema_version: int
    map_id: str
    revision: int
    model: ModelInfo
    site_weights: bytes
    frame_id: str
    scene_model: ModelInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LandmarkMap:
    """One consistent state of a map; read-only.

    Attributes:
        header: identity and model.
        scenes: ordered by id.
        keyframes: ordered by id, which is the order of mapping; of a large map they are read when they are asked for.
        blocks: landmarks by scene; none before the first `MapBuilder.finish`.
        size_bytes: of the file that it was read from.
        scene_embeddings: of scenes in whatever modalities they have, by scene.
        scene_views: (E,) description of each keyframe that has one by the scene encoder, by its id.
        signatures: what keyframes are retrieved by, as it is stored; None where the map is small enough to make it.
    """

    header: MapHeader
    scenes: tuple[Scene, ...]
    keyframes: Sequence[Keyframe]
    blocks: LandmarkBlocks
    size_bytes: int
    scene_embeddings: tuple[SceneEmbedding, ...] = ()
    scene_views: Mapping[int, NDArray[np.float16]] = field(default_factory=dict)
    signatures: StoredSignatures | None = None

    def keyframe(self, keyframe_id: int) -> Keyframe | None:
        """The keyframe of an id; None when there is none."""
        row = find_table(self.keyframes).row_of(keyframe_id)
        return None if row is None else self.keyframes[row]

    @property
    def landmarks(self) -> Landmarks:
        """All landmarks together; of a large map, read from the file each time."""
        return self.blocks.all()


def check_model(header: MapHeader, model: ModelInfo, where: str) -> None:
    """Refuse a map whose descriptors another model made.

    Args:
        header: of the map.
        model: of the encoder that is to be used with it.
        where: how to call the map in the message, for example its path.

    Raises:
        MapFormatError: name, checksum, descriptor length or radii differ.
    """
    if header.model == model:
        return
    raise MapFormatError(
        f"map {where}: its descriptors were made by {_describe(header.model)}, but the encoder is {_describe(model)};"
        " use the model that the map was built with, or build the map again."
    )


def has_scene_model(known: ModelInfo, model: ModelInfo, where: str) -> bool:
    """Whether descriptions of scenes by one model can be used with another; warns when they cannot.

    Args:
        known: the model of the map's descriptions.
        model: of the encoder that is to be used with them.
        where: how to call the map in the message, for example its path.
    """
    if known == model:
        return True
    _LOGGER.warning(
        "map %s: its scenes were described by %s (checksum %s), not by %s (%s); they are left aside until"
        " `xover scene refresh` has described them anew.",
        where,
        known.name,
        known.checksum[:12],
        model.name,
        model.checksum[:12],
    )
    return False


def _describe(model: ModelInfo) -> str:
    """Name a model so that any difference is visible."""
    radii = ", ".join(f"{radius:g}" for radius in model.radii)
    return f"{model.name} (checksum {model.checksum[:12]}, {model.descriptor_dim} values, radii {radii} m)"
