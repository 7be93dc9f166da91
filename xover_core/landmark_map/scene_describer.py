# SPDX-License-Identifier: Apache-2.0
"""Describing keyframes while a map grows, and embedding its scenes from time to time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.config import MappingSettings
from xover_core.encoders.scene_encoder import SceneEncoder
from xover_core.landmark_map.keyframe_frame import keyframe_frame
from xover_core.landmark_map.landmark_map import has_scene_model
from xover_core.landmark_map.map_storage import MapStorage
from xover_core.landmark_map.scene_data import SceneEmbedding, SceneSource, SceneUpdate
from xover_core.landmark_map.scene_embedding import as_stored_view, by_scene, embed_cloud, embed_told, embed_views
from xover_core.types import Keyframe, Mat4, ModelInfo, RgbdFrame, SceneModality


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedKeyframe:
    """What of a keyframe an embedding of its scene needs."""

    scene_id: int
    T_map_camera: Mat4
    view: NDArray[np.float16]


class SceneDescriber:
    """Keeps the descriptions of a map's keyframes in memory; each keyframe is described once."""

    def __init__(
        self,
        encoder: SceneEncoder,
        settings: MappingSettings,
        keyframes: Iterable[Keyframe] = (),
        views: Mapping[int, NDArray[np.float16]] | None = None,
    ) -> None:
        """Continue with keyframes of a map; those without a description get one by `complete`."""
        self._encoder = encoder
        self._settings = settings
        self._described: dict[int, DescribedKeyframe] = {}
        self._num_embedded: dict[int, int] = {}  # keyframes of each scene when it was embedded last
        for keyframe in keyframes:
            if views and keyframe.keyframe_id in views:
                self.include(keyframe, views[keyframe.keyframe_id])

    @property
    def model(self) -> ModelInfo:
        """The model of the descriptions."""
        return self._encoder.model

    def describe(self, frame: RgbdFrame) -> NDArray[np.float16]:
        """(E,) description of a frame, as it is stored."""
        return as_stored_view(self._encoder.describe_view(frame))

    def include(self, keyframe: Keyframe, view: NDArray[np.float16]) -> None:
        """Remember the description of a stored keyframe."""
        self._described[keyframe.keyframe_id] = _described(keyframe, view)

    def forget(self, keyframe_ids: Iterable[int]) -> None:
        """Keyframes were removed from the map."""
        for keyframe_id in keyframe_ids:
            self._described.pop(keyframe_id, None)

    def note_embedded(self, scene_id: int, num_keyframes: int) -> None:
        """A scene has been embedded when it had so many keyframes."""
        self._num_embedded[scene_id] = num_keyframes

    def is_due(self, scene_id: int) -> bool:
        """Whether a scene has grown enough since it was embedded last."""
        before = self._num_embedded.get(scene_id, 0)
        return len(self._members(scene_id)) >= max(before + 1, self._settings.scene_growth * before)

    def embed(self, scene_id: int, keyframes: Sequence[Keyframe]) -> list[SceneEmbedding]:
        """Embed a scene from what is known of it now.

        Args:
            scene_id: the scene.
            keyframes: all of it.
        """
        members = self._members(scene_id)
        self.note_embedded(scene_id, len(members))
        return self._embed(scene_id, members, keyframes)

    def complete(
        self, keyframes: Sequence[Keyframe], sources: Sequence[SceneSource], report: Callable[[float], None]
    ) -> SceneUpdate:
        """Describe the keyframes that are not yet, and embed all scenes; nothing of it is remembered.

        Args:
            keyframes: all of the map, in the scenes to which they belong from now on.
            sources: what users told of scenes.
            report: called with the share that is done.

        Returns:
            What is to be written: descriptions of keyframes that had none, and all embeddings.
        """
        views: dict[int, NDArray[np.float16]] = {}
        for i, keyframe in enumerate(keyframes):
            known = self._described.get(keyframe.keyframe_id)
            views[keyframe.keyframe_id] = self.describe(keyframe_frame(keyframe)) if known is None else known.view
            report((i + 1) / len(keyframes))
        embeddings = embed_told(self._encoder, sources)
        for scene_id, own in by_scene(keyframes).items():
            embeddings += self._embed(scene_id, [_described(k, views[k.keyframe_id]) for k in own], own)
        new_views = {i: view for i, view in views.items() if i not in self._described}
        return SceneUpdate(views=new_views, embeddings=tuple(embeddings))

    def _embed(
        self, scene_id: int, described: Sequence[DescribedKeyframe], keyframes: Sequence[Keyframe]
    ) -> list[SceneEmbedding]:
        """Embed a scene from its keyframes."""
        poses, views = [d.T_map_camera for d in described], [d.view for d in described]
        from_views = embed_views(self._encoder, scene_id, poses, views, self._settings.scene_views)
        return from_views + embed_cloud(self._encoder, scene_id, keyframes)

    def _members(self, scene_id: int) -> list[DescribedKeyframe]:
        return [described for described in self._described.values() if described.scene_id == scene_id]


def _described(keyframe: Keyframe, view: NDArray[np.float16]) -> DescribedKeyframe:
    return DescribedKeyframe(scene_id=keyframe.scene_id, T_map_camera=keyframe.T_map_camera, view=view)


def make_describer(
    storage: MapStorage, encoder: SceneEncoder | None, settings: MappingSettings, keyframes: Sequence[Keyframe]
) -> SceneDescriber | None:
    """The describer of a map that is being built.

    Returns:
        None without an encoder, and, with a warning, when another model described the scenes.
    """
    if encoder is None or not has_scene_model(storage.scenes.model or encoder.model, encoder.model, str(storage.path)):
        return None
    storage.scenes.begin_model(encoder.model)
    describer = SceneDescriber(encoder, settings, keyframes, storage.scenes.read_views())
    for embedding in storage.scenes.read_embeddings():
        if embedding.modality is SceneModality.IMAGE:
            describer.note_embedded(embedding.scene_id, embedding.num_sources)
    return describer


def refresh_scenes(
    storage: MapStorage, encoder: SceneEncoder, settings: MappingSettings, report: Callable[[float], None]
) -> SceneUpdate:
    """Describe all keyframes of a map and embed its scenes anew, in one transaction; who maps it must start again.

    Args:
        storage: open for writing.
        encoder: that describes the scenes from now on.
        settings: of mapping.
        report: called with the share that is done.

    Returns:
        What was written.

    Raises:
        MapFormatError: damaged data, or the file cannot be written.
    """
    storage.begin_mapping()
    keyframes = storage.load().keyframes
    update = SceneDescriber(encoder, settings).complete(keyframes, storage.scenes.read_sources(), report)
    storage.scenes.replace_derived(encoder.model, update)
    return update


def tell_scene(
    storage: MapStorage, encoder: SceneEncoder | None, told: Sequence[SceneSource], *, replace: bool = False
) -> bool:
    """Add what a user tells of one scene, so that the scene is found by it.

    Args:
        storage: open for writing; another process may map at the same time.
        encoder: that embeds it; without one, or with another one than the map's, only the words are kept.
        told: texts or a drawing of one scene, at least one.
        replace: forget what was told of the scene before.

    Returns:
        Whether it was embedded.

    Raises:
        MapFormatError: no such scene.
        SensorDataError: the encoder finds no word in a text.
    """
    scene_id = told[0].scene_id
    if encoder is None or not has_scene_model(storage.scenes.model or encoder.model, encoder.model, str(storage.path)):
        storage.scenes.describe(scene_id, told, [], replace=replace)
        return False
    before = () if replace else [s for s in storage.scenes.read_sources() if s.scene_id == scene_id]
    new_kinds = {source.modality for source in told}
    embeddings = embed_told(encoder, [s for s in (*before, *told) if s.modality in new_kinds])
    storage.scenes.begin_model(encoder.model)
    storage.scenes.describe(scene_id, told, embeddings, replace=replace)
    return {e.modality for e in embeddings} == new_kinds
