# SPDX-License-Identifier: Apache-2.0
"""The localizer: one frame in, one answer out. Live node, bag replay and evaluation all use this object."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xover_core.config import XoverSettings
from xover_core.encoders.factory import make_encoder
from xover_core.encoders.patch_encoder import PatchEncoder
from xover_core.encoders.scene_encoder import SceneEncoder
from xover_core.encoders.scene_factory import make_scene_encoder
from xover_core.errors import MapFormatError, ModelError
from xover_core.geometry.camera import back_project
from xover_core.geometry.depth import sample_depth
from xover_core.landmark_map.landmark_map import LandmarkMap, check_model
from xover_core.landmark_map.map_reader import open_map
from xover_core.landmark_map.scene_data import SceneEmbedding
from xover_core.localization.belief import Belief
from xover_core.localization.calibration import load_calibration
from xover_core.localization.decision import decide
from xover_core.localization.hypothesis_builder import MAX_VIEW_ANGLE, MAX_VIEW_DISTANCE, HypothesisBuilder
from xover_core.localization.keyframe_retrieval import KeyframeRetriever, best_rows
from xover_core.localization.keyframe_store import StoredView, ViewStore
from xover_core.localization.landmark_matching import LandmarkMatcher
from xover_core.localization.matcher_factory import make_point_matcher, make_view_matcher
from xover_core.localization.pose_candidates import MatchedView, PoseCandidate, QueryView, solve_candidate
from xover_core.localization.pose_hint import apply_hint, near_hint
from xover_core.localization.scene_belief import SceneBelief
from xover_core.localization.scene_finder import SceneFinder, SceneQuery, find_scene_finder, scene_finder_of
from xover_core.localization.scene_index import SceneEvidence
from xover_core.localization.scene_posterior import weigh_by_poses
from xover_core.localization.side_by_side import SideBySide, threads_with_networks
from xover_core.localization.signature_search import make_search
from xover_core.localization.view_evidence import (
    find_best_view,
    matches_with,
    pose_by_hypothesis,
    pose_by_matches,
)
from xover_core.types import (
    Float32Array,
    LocalizationResult,
    LocalizationState,
    PatchFeatures,
    PatchMatches,
    PoseHint,
    PoseHypothesis,
    RelativePose,
    RgbdFrame,
    SceneMatch,
)

# Keyframes that are matched because of the landmarks' pose, beyond those that look alike.
LANDMARK_VIEWS = 3
BYTES_PER_MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameEvidence:
    """Everything that one frame says, before time and thresholds come in."""

    scenes: tuple[SceneMatch, ...]
    hypotheses: tuple[PoseHypothesis, ...]
    relative_pose: RelativePose | None
    matches: PatchMatches | None
    timings_ms: tuple[tuple[str, float], ...]


class Localizer:
    """Localizes frames in one map. Not thread-safe; one worker owns it."""

    def __init__(
        self,
        landmark_map: LandmarkMap,
        encoder: PatchEncoder,
        settings: XoverSettings,
        scene_finder: SceneFinder | None = None,
    ) -> None:
        """Make the map ready for search.

        Args:
            landmark_map: to localize in.
            encoder: of patches, that made the map.
            settings: all of them.
            scene_finder: knows the embeddings of the map's scenes; None: scenes are told by their keyframes alone.

        Raises:
            MapFormatError: the map was made by another model, or has no keyframes.
            ModelError: the model has no calibration.
        """
        check_model(landmark_map.header, encoder.model, landmark_map.header.map_id)
        if not landmark_map.keyframes:
            raise MapFormatError(f"map {landmark_map.header.map_id}: it has no keyframes; map the place first.")
        self._map = landmark_map
        self._encoder = encoder
        self._settings = settings
        retrieval = settings.retrieval
        self._views = ViewStore(landmark_map.keyframes, retrieval.cache_mb * BYTES_PER_MB)
        rng = np.random.default_rng(settings.random_seed)
        search = make_search(self._views, landmark_map.signatures, retrieval.vocabulary_size, rng)
        self._retriever = KeyframeRetriever(search, self._views.table.scene_ids, landmark_map.scenes, retrieval)
        self._landmarks = LandmarkMatcher(
            landmark_map.blocks,
            make_point_matcher(settings),
            settings.solver,
            max_landmarks=retrieval.max_landmarks,
        )
        self._scene_names = {scene.scene_id: scene.name for scene in landmark_map.scenes}
        self._matcher = make_view_matcher(settings)
        self._beside = SideBySide(threads_with_networks(settings.inference))
        self._calibration = load_calibration(encoder.model.name)
        self._belief = Belief(settings.decision)
        self._use_scene_finder(scene_finder)
        self._hint: PoseHint | None = None

    @property
    def landmark_map(self) -> LandmarkMap:
        """The map that is localized in."""
        return self._map

    def process(self, frame: RgbdFrame) -> LocalizationResult:
        """Localize a frame of a moving robot: agreement with earlier frames through odometry counts.

        Frames are expected in order of time; a frame without odometry is answered by itself.
        """
        evidence = self._examine(frame, self._hint, is_alone=False)
        result = self._belief.update(frame, decide(frame, evidence, self._settings.decision))
        if self._scene_belief is not None:
            self._scene_belief.note_state(result.state)
        if result.state is LocalizationState.LOCALIZED:
            self._hint = None
        return result

    def localize_image(self, frame: RgbdFrame) -> LocalizationResult:
        """Localize a single image, with or without depth; changes nothing in the localizer."""
        return decide(frame, self._examine(frame, None, is_alone=True), self._settings.decision)

    def find_scenes(self, query: SceneQuery) -> list[SceneMatch]:
        """Rank the scenes of the map for a text, picture, floorplan or point cloud; changes nothing in the localizer.

        Raises:
            SensorDataError: nothing is filled in, or the text has no word.
            ModelError: the map has no embeddings of this model, or the model does not know a modality.
        """
        if self._scene_finder is None:
            raise ModelError(
                f"map {self._map.header.map_id}: its scenes have no embeddings by model"
                f" {self._settings.scene_encoder.model or '(none)'}; make them with `xover scene refresh`."
            )
        return self._scene_finder.find(query)

    def scene_encoder(self) -> SceneEncoder | None:
        """What embeds queries for scenes; made when the map has no embeddings yet; None when settings name none."""
        if self._scene_finder is not None:
            return self._scene_finder.encoder
        return make_scene_encoder(self._settings.scene_encoder, self._settings.inference)

    def use_embeddings(self, embeddings: Sequence[SceneEmbedding], encoder: SceneEncoder) -> None:
        """Search in these embeddings of the map's scenes from now on; the belief in scenes starts from nothing."""
        header = dataclasses.replace(self._map.header, scene_model=encoder.model)
        self._map = dataclasses.replace(self._map, header=header, scene_embeddings=tuple(embeddings))
        self._use_scene_finder(scene_finder_of(self._map, encoder, self._settings))

    def set_hint(self, hint: PoseHint) -> None:
        """Prefer hypotheses near this pose, until LOCALIZED or `reset`; a hint alone is never an answer."""
        self._hint = hint

    def reset(self) -> None:
        """Forget everything about where the robot is."""
        self._hint = None
        self._belief.reset()
        if self._scene_belief is not None:
            self._scene_belief.reset()

    def _examine(self, frame: RgbdFrame, hint: PoseHint | None, *, is_alone: bool) -> FrameEvidence:
        """The figure of the method: encode, retrieve, match, solve, refine and verify."""
        # the seed depends on the frame alone, so that an answer does not depend on what was asked before
        rng = np.random.default_rng((self._settings.random_seed, frame.stamp_ns % 2**63))
        clock = StageClock()
        features, seen = self._look(frame, is_alone=is_alone)
        query = self._query_view(frame, features)
        clock.stage_done("encode")
        similarities = self._retriever.similarities(query.descriptors)
        scenes = self._rank_scenes(frame, similarities, seen, is_alone=is_alone)
        clock.stage_done("scenes")
        from_landmarks = self._landmarks.solve(query, [scene.scene_id for scene in scenes], rng)
        chosen = self._choose_views(self._favor_scenes(similarities, scenes), from_landmarks, hint)
        clock.stage_done("retrieve")
        pairs = self._matcher.match(features, chosen)
        matched = [MatchedView(view=view, pairs=found) for view, found in zip(chosen, pairs, strict=True)]
        clock.stage_done("match")
        candidates = [solve_candidate(query, m, self._settings.solver, rng) for m in matched]
        clock.stage_done("solve")
        found = [candidate for candidate in [*candidates, from_landmarks] if candidate is not None]
        hypotheses = self._build(query, matched, found, rng)
        hypotheses = apply_hint(hypotheses, hint)
        clock.stage_done("verify")
        best = find_best_view(matched, hypotheses)
        matches = matches_with(query, best, hypotheses[0] if hypotheses else None, self._settings.solver)
        relative = self._relative_pose(query, best, hypotheses, matches, rng)
        clock.stage_done("relative")
        return FrameEvidence(
            scenes=tuple(weigh_by_poses(scenes, hypotheses, self._scene_names)),
            hypotheses=tuple(hypotheses),
            relative_pose=relative,
            matches=matches,
            timings_ms=tuple(clock.timings_ms),
        )

    def _look(self, frame: RgbdFrame, *, is_alone: bool) -> tuple[PatchFeatures, SceneEvidence | None]:
        """Patches, and beside them what the view says of scenes where that will be asked: two networks at once."""
        belief = self._scene_belief
        if belief is None or not (is_alone or belief.will_look(frame)):
            return self._encoder.encode(frame), None
        return self._beside.call(lambda: self._encoder.encode(frame), lambda: belief.look(frame))

    def _query_view(self, frame: RgbdFrame, features: PatchFeatures) -> QueryView:
        """Patches with, where there is depth, 3D points."""
        points = np.full((len(features.keypoints_px), 3), np.nan)
        if frame.depth is not None:
            readings = sample_depth(frame.depth, features.keypoints_px, max_depth=self._settings.mapping.max_depth)
            points = back_project(features.keypoints_px, readings, frame.intrinsics).astype(np.float64)
        has_depth = bool(np.isfinite(points[:, 2]).any())
        return QueryView(
            camera=frame.intrinsics,
            grid_shape=features.grid_shape,
            keypoints_px=features.keypoints_px,
            descriptors=features.finest,
            points_camera=points,
            depth=frame.depth if has_depth else None,
            features=features,
        )

    def _use_scene_finder(self, scene_finder: SceneFinder | None) -> None:
        self._scene_finder = scene_finder
        self._scene_belief = SceneBelief(scene_finder, self._settings) if scene_finder is not None else None

    def _rank_scenes(
        self, frame: RgbdFrame, similarities: Float32Array, seen: SceneEvidence | None, *, is_alone: bool
    ) -> list[SceneMatch]:
        """Scenes by likeness of their keyframes and, where they have embeddings, by those and over time."""
        if self._scene_belief is None:
            return self._retriever.rank_scenes(similarities)
        alike = self._retriever.scene_likeness(similarities)
        decide_scenes = self._scene_belief.judge if is_alone else self._scene_belief.update
        return decide_scenes(frame, alike, seen)

    def _favor_scenes(self, similarities: Float32Array, scenes: Sequence[SceneMatch]) -> Float32Array:
        """Similarities of the keyframes, raised in the likely scenes where scenes have embeddings."""
        if self._scene_belief is None:
            return similarities
        return self._retriever.favor_scenes(similarities, scenes, self._settings.scene_belief.retrieval_weight)

    def _choose_views(
        self, similarities: Float32Array, from_landmarks: PoseCandidate | None, hint: PoseHint | None
    ) -> list[StoredView]:
        """Keyframes to match: the most similar ones, those near a hint, and those that see what the landmarks show."""
        count = self._settings.retrieval.num_keyframes
        table = self._views.table
        chosen = best_rows(similarities, count)
        if hint is not None:
            near = np.flatnonzero(near_hint(table.poses, hint))
            chosen += near[best_rows(similarities[near], count // 2)].tolist()
        if from_landmarks is not None:
            towards = table.rows_towards(
                from_landmarks.T_map_camera,
                max_distance=MAX_VIEW_DISTANCE,
                max_angle=MAX_VIEW_ANGLE,
                max_views=LANDMARK_VIEWS,
            )
            chosen += towards.tolist()
        return self._views.at(dict.fromkeys(chosen))

    def _build(
        self,
        query: QueryView,
        matched: Sequence[MatchedView],
        candidates: Sequence[PoseCandidate],
        rng: np.random.Generator,
    ) -> list[PoseHypothesis]:
        """Refine and verify the candidates; no candidates, no hypotheses."""
        if not candidates:
            return []
        builder = HypothesisBuilder(query, matched, self._views, self._settings, self._calibration, rng)
        return builder.build(candidates)

    def _relative_pose(
        self,
        query: QueryView,
        matched: MatchedView,
        hypotheses: Sequence[PoseHypothesis],
        matches: PatchMatches,
        rng: np.random.Generator,
    ) -> RelativePose | None:
        """The query relative to a keyframe: from the best hypothesis worth reporting, else from the matches alone."""
        if hypotheses and hypotheses[0].probability >= self._settings.decision.min_hypothesis_probability:
            return pose_by_hypothesis(matched, matches, hypotheses[0])
        return pose_by_matches(query, matched, self._settings.solver, rng)


class StageClock:
    """Milliseconds of each stage, one after the other."""

    def __init__(self) -> None:
        self.timings_ms: list[tuple[str, float]] = []
        self._last = time.perf_counter()

    def stage_done(self, name: str) -> None:
        """End the running stage."""
        now = time.perf_counter()
        self.timings_ms.append((name, (now - self._last) * 1e3))
        self._last = now


def load_localizer(map_path: Path, settings: XoverSettings) -> Localizer:
    """Open a map file read-only and make the localizer for it.

    Raises:
        MapFormatError: no map file, damaged, empty, or made by another model than the settings name.
        ModelError: the model is unknown or its weights are missing.
    """
    landmark_map = open_map(map_path, settings.retrieval)
    header = landmark_map.header
    if header.model.name != settings.encoder.model:
        raise MapFormatError(
            f"map {map_path}: its descriptors were made by model {header.model.name!r}, but setting encoder.model is"
            f" {settings.encoder.model!r}; use the map's model, or build the map again."
        )
    encoder = make_encoder(settings.encoder, header.site_weights, settings.inference)
    return Localizer(landmark_map, encoder, settings, find_scene_finder(landmark_map, settings, str(map_path)))
