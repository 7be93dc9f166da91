# SPDX-License-Identifier: Apache-2.0
"""Posed RGB-D frames -> a map file, online; and the steps that finish a map: refit, scenes, landmarks, budget."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xover_core.config import MappingSettings, XoverSettings
from xover_core.encoders.factory import make_encoder
from xover_core.encoders.patch_encoder import PatchEncoder
from xover_core.encoders.scene_encoder import SceneEncoder
from xover_core.encoders.scene_factory import scene_encoder_if_possible
from xover_core.geometry.camera import back_project
from xover_core.geometry.depth import sample_depth
from xover_core.landmark_map.covisibility import CovisibilityGraph, view_of_keyframe
from xover_core.landmark_map.keyframe_selection import FrameVerdict, KeyframeSelector
from xover_core.landmark_map.keyframe_signatures import signature_bytes
from xover_core.landmark_map.landmark_map import LandmarkMap, check_model
from xover_core.landmark_map.landmark_selection import build_landmarks
from xover_core.landmark_map.map_budget import trim_keyframes, trim_landmarks
from xover_core.landmark_map.map_storage import MapStorage, new_header
from xover_core.landmark_map.scene_data import SceneSource, SceneUpdate, without_embedding
from xover_core.landmark_map.scene_describer import make_describer
from xover_core.landmark_map.scenes import SceneAssigner, merge_tiny_scenes
from xover_core.landmark_map.site_refit import as_float16, encode_again, refit_encoder
from xover_core.landmark_map.thumbnails import encode_thumbnail
from xover_core.types import Float32Array, Keyframe, Landmarks, Mat4, RgbdFrame, Scene, as_pose

_LOGGER = logging.getLogger(__name__)
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSummary:
    """What a finished map holds and what finishing cost.

    Attributes:
        num_keyframes: in the file.
        num_removed: keyframes removed to keep the budget, since the builder was made.
        num_scenes: with keyframes or a name.
        num_landmarks: selected.
        size_bytes: of the file.
        revision: of the map.
        is_refit: whether the descriptors were made anew by a refitted encoder.
        timings_s: (step, seconds) in order of execution.
    """

    num_keyframes: int
    num_removed: int
    num_scenes: int
    num_landmarks: int
    size_bytes: int
    revision: int
    is_refit: bool
    timings_s: tuple[tuple[str, float], ...]


class MapBuilder:
    """Builds one map file. Whenever the process dies, the file holds all keyframes that `add` returned."""

    def __init__(
        self,
        storage: MapStorage,
        encoder: PatchEncoder,
        settings: MappingSettings,
        scene_encoder: SceneEncoder | None = None,
    ) -> None:
        """Continue the map in `storage`, which may be empty.

        Args:
            storage: open for writing.
            encoder: the one that made the map's descriptors.
            settings: of mapping.
            scene_encoder: describes the scenes, unless another one has described those that are there; None: nobody
                does.

        Raises:
            MapFormatError: another model made the map.
        """
        check_model(storage.header, encoder.model, str(storage.path))
        storage.begin_mapping()
        self._storage = storage
        self._encoder = encoder
        self._scene_encoder = scene_encoder
        self._settings = settings
        self._num_removed = 0
        self._counts: Counter[FrameVerdict] = Counter()
        self._restore(storage.load())

    @property
    def storage(self) -> MapStorage:
        """The map file; the caller who opened it closes it."""
        return self._storage

    @property
    def encoder(self) -> PatchEncoder:
        """The encoder of the map as it is now; another one after `finish` has refitted it."""
        return self._encoder

    @property
    def scene_encoder(self) -> SceneEncoder | None:
        """What describes the scenes; None: nobody does."""
        return self._scene_encoder

    @property
    def num_keyframes(self) -> int:
        """Number of keyframes in the map."""
        return len(self._graph)

    @property
    def frame_counts(self) -> Mapping[FrameVerdict, int]:
        """What became of the frames given so far."""
        return self._counts

    def add(self, frame: RgbdFrame, T_map_camera: Mat4) -> Keyframe | None:
        """Store a frame as a keyframe if the map needs it.

        Args:
            frame: with depth.
            T_map_camera: (4, 4) its camera in the map frame.

        Returns:
            The stored keyframe; None when it is not needed, for the reason counted in `frame_counts`.

        Raises:
            GeometryError: not a pose.
            MapFormatError: the file cannot be written.
        """
        pose = as_pose(T_map_camera, "T_map_camera")
        judgement = self._selector.judge(frame, pose)
        keyframe = None
        if judgement.verdict is FrameVerdict.KEYFRAME and frame.depth is not None:
            draft = self._draft(frame, frame.depth, pose)
            scene = self._scenes.propose(draft, judgement.overlaps)
            view = self._describer.describe(frame) if self._describer is not None else None
            keyframe = self._storage.add_keyframe(dataclasses.replace(draft, scene_id=scene.scene_id), scene, view)
            self._include(keyframe, view)
            self._keep_budget()
        self._counts[judgement.verdict] += 1
        return keyframe

    def finish(self, progress: Progress | None = None) -> MapSummary:
        """Refit the descriptors, tidy the scenes, make the landmarks, keep the budget.

        All of it is written in one transaction, so whatever stops it (a kill, or an exception out of `progress`) leaves
        the map as it was. Can be called again and again, and mapping can go on afterwards.

        Args:
            progress: called with the name of the step and the share of it that is done.
        """
        report = progress or _report_nothing
        clock = _StepClock()
        self._keep_budget()
        before, sources = self._storage.load(), self._storage.scenes.read_sources()
        clock.step_done("load")
        encoder, keyframes = self._refit(before, report)
        is_refit = encoder is not self._encoder
        clock.step_done("refit")
        described = {source.scene_id for source in sources}
        radius, budget_mb = self._settings.scene_radius, self._settings.map_budget_mb
        keyframes, scenes = merge_tiny_scenes(keyframes, before.scenes, self._graph, radius, described)
        clock.step_done("scenes")
        scene_update = self._describe_scenes(keyframes, without_embedding(sources, before.scene_embeddings), report)
        clock.step_done("describe")
        landmarks = build_landmarks(keyframes, self._settings, lambda share: report("landmarks", share))
        reserved = scene_update.num_bytes + signature_bytes(len(keyframes), encoder.model.descriptor_dim)
        landmarks = trim_landmarks(landmarks, self._storage, budget_mb, reserved=reserved)
        clock.step_done("landmarks")
        self._write(encoder, keyframes, scenes, landmarks, scene_update)
        clock.step_done("write")
        report("write", 1.0)
        return MapSummary(
            num_keyframes=len(keyframes),
            num_removed=self._num_removed,
            num_scenes=len(scenes),
            num_landmarks=len(landmarks),
            size_bytes=self._storage.path.stat().st_size,
            revision=self._storage.header.revision,
            is_refit=is_refit,
            timings_s=clock.timings_s,
        )

    def _write(
        self,
        encoder: PatchEncoder,
        keyframes: Sequence[Keyframe],
        scenes: Sequence[Scene],
        landmarks: Landmarks,
        scene_update: SceneUpdate,
    ) -> None:
        """Replace what the file holds, in one transaction, and go on from there in memory."""
        self._storage.replace_contents(
            model=encoder.model,
            site_weights=encoder.site_weights,
            keyframes=keyframes,
            has_new_descriptors=encoder is not self._encoder,
            scenes=scenes,
            landmarks=landmarks,
            scene_update=scene_update,
        )
        self._encoder = encoder
        self._group(keyframes, scenes)
        self._storage.signatures.sign_all()
        self._vocabulary = self._storage.signatures.vocabulary
        self._storage.compact()

    def _restore(self, stored: LandmarkMap) -> None:
        """Make the state in memory from the keyframes of the file."""
        self._graph = CovisibilityGraph()
        for keyframe in stored.keyframes:
            self._graph.add(keyframe.keyframe_id, view_of_keyframe(keyframe))
        last_pose = stored.keyframes[-1].T_map_camera if stored.keyframes else None
        self._selector = KeyframeSelector(self._settings, self._graph, last_pose)
        self._vocabulary = self._storage.signatures.vocabulary
        self._group(stored.keyframes, stored.scenes)

    def _group(self, keyframes: Sequence[Keyframe], scenes: Sequence[Scene]) -> None:
        """Go on from these keyframes in these scenes, as they are stored."""
        self._scenes = SceneAssigner(self._settings.scene_radius, keyframes, scenes)
        self._describer = make_describer(self._storage, self._scene_encoder, self._settings, keyframes)

    def _include(self, keyframe: Keyframe, view: NDArray[np.float16] | None) -> None:
        """Bring the state in memory, and the embeddings of the scene, up to a keyframe that has been stored."""
        self._graph.add(keyframe.keyframe_id, view_of_keyframe(keyframe))
        self._selector.accept(keyframe.T_map_camera)
        self._scenes.include(keyframe)
        if self._vocabulary is not None:
            self._storage.signatures.sign_keyframe(keyframe.keyframe_id, self._vocabulary)
        if self._describer is None or view is None:
            return
        self._describer.include(keyframe, view)
        if self._describer.is_due(keyframe.scene_id):
            members = self._storage.load_keyframes(keyframe.scene_id)
            self._storage.scenes.put_embeddings(self._describer.embed(keyframe.scene_id, members))

    def _keep_budget(self) -> None:
        """Remove the least useful keyframes of a map that has grown too large."""
        removed = trim_keyframes(self._storage, self._graph, self._settings.map_budget_mb)
        self._num_removed += len(removed)
        if self._describer is not None:
            self._describer.forget(removed)

    def _draft(self, frame: RgbdFrame, depth: Float32Array, T_map_camera: Mat4) -> Keyframe:
        """Keyframe of a frame, without id and scene."""
        features = self._encoder.encode(frame)
        readings = sample_depth(depth, features.keypoints_px, max_depth=self._settings.max_depth)
        return Keyframe(
            keyframe_id=0,
            scene_id=0,
            stamp_ns=frame.stamp_ns,
            T_map_camera=T_map_camera,
            intrinsics=frame.intrinsics,
            grid_shape=features.grid_shape,
            keypoints_px=features.keypoints_px,
            descriptors=as_float16(features.descriptors),
            points_camera=back_project(features.keypoints_px, readings, frame.intrinsics),
            thumbnail_jpeg=encode_thumbnail(frame.rgb, features.grid_shape, quality=self._settings.thumbnail_quality),
        )

    def _refit(self, before: LandmarkMap, report: Progress) -> tuple[PatchEncoder, list[Keyframe]]:
        """The encoder fitted to the map, and all keyframes encoded with it; both as they are when nothing changes."""
        keyframes = list(before.keyframes)
        if not self._settings.refit_whitening:
            return self._encoder, keyframes
        encoder = refit_encoder(self._encoder, keyframes, lambda share: report("fit", share))
        if encoder.model == self._encoder.model and encoder.site_weights == self._encoder.site_weights:
            return self._encoder, keyframes
        return encoder, encode_again(encoder, keyframes, lambda share: report("encode", share))

    def _describe_scenes(
        self, keyframes: list[Keyframe], sources: Sequence[SceneSource], report: Progress
    ) -> SceneUpdate:
        """Descriptions and embeddings that the map is to get; none without a scene encoder."""
        if self._describer is None:
            return SceneUpdate()
        return self._describer.complete(keyframes, sources, lambda share: report("describe", share))


def _report_nothing(_step: str, _share: float) -> None:
    """Progress that nobody watches."""


class _StepClock:
    """Seconds from step to step."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.timings_s: tuple[tuple[str, float], ...] = ()

    def step_done(self, name: str) -> None:
        """Note the time since the last step was done."""
        now = time.perf_counter()
        self.timings_s += ((name, now - self._last),)
        _LOGGER.debug("finish: %s took %.2f s", name, now - self._last)
        self._last = now


def open_map_builder(path: Path, settings: XoverSettings, *, append: bool = False, frame_id: str = "map") -> MapBuilder:
    """Open a map file for mapping; close it with `builder.storage.close()`.

    Args:
        path: of the map file.
        settings: all of them.
        append: continue the map at `path` with its model; else make a new file.
        frame_id: name of the map frame, of a new map.

    Raises:
        MapFormatError: a new map is asked for where there is one; or none is there to append to, it is damaged, or
            another model made it.
        ModelError: the model is unknown or its weights are missing.
    """
    scene_encoder = scene_encoder_if_possible(settings.scene_encoder, settings.inference)
    if append:
        storage = MapStorage.open(path, read_only=False)
    else:
        encoder = make_encoder(settings.encoder, inference=settings.inference)
        storage = MapStorage.create(path, new_header(encoder.model, encoder.site_weights, frame_id))
    try:
        if append:
            encoder = make_encoder(settings.encoder, storage.header.site_weights, settings.inference)
        return MapBuilder(storage, encoder, settings.mapping, scene_encoder)
    except BaseException:
        storage.close()
        raise
