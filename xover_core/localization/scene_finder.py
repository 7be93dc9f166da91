# SPDX-License-Identifier: Apache-2.0
"""Which scene of a map is this: asked by text, picture, floorplan, point cloud, or several of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.config import SceneBeliefSettings, XoverSettings
from xover_core.encoders.scene_encoder import ColoredPoints, SceneEncoder
from xover_core.encoders.scene_factory import make_scene_encoder, scene_encoder_if_possible
from xover_core.errors import ModelError, SensorDataError
from xover_core.landmark_map.landmark_map import LandmarkMap, has_scene_model
from xover_core.landmark_map.lazy_keyframes import find_table
from xover_core.landmark_map.scene_data import check_scale
from xover_core.localization.scene_calibration import SceneCalibration, load_scene_calibration
from xover_core.localization.scene_index import MAX_MATCHES, SceneEvidence, SceneIndex
from xover_core.localization.scene_posterior import bayes_update, scene_prior
from xover_core.types import CameraIntrinsics, Float32Array, Float64Array, RgbdFrame, SceneMatch, SceneModality

# Keyframes that are compared one by one with a picture.
_MAX_VIEWS = 3000
# A picture without calibration is taken to be a phone's or webcam's; ranking scenes hardly depends on it.
_ASSUMED_FIELD_OF_VIEW = np.radians(65.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneQuery:
    """What is known of the scene that is asked for; all together, where there are several.

    Attributes:
        text: a description in English; empty = none.
        frame: a view of it.
        floorplan: (H, W, 3) uint8 RGB.
        pixels_per_m: scale of the floorplan; None when nobody knows.
        cloud: its point cloud.
    """

    text: str = ""
    frame: RgbdFrame | None = None
    floorplan: NDArray[np.uint8] | None = None
    pixels_per_m: float | None = None
    cloud: ColoredPoints | None = None

    def __post_init__(self) -> None:
        """Raise SensorDataError for a scale that is not positive."""
        check_scale(self.pixels_per_m)

    @property
    def modalities(self) -> tuple[SceneModality, ...]:
        """What is filled in."""
        filled = (
            (SceneModality.TEXT, bool(self.text.strip())),
            (SceneModality.IMAGE, self.frame is not None),
            (SceneModality.FLOORPLAN, self.floorplan is not None),
            (SceneModality.POINT_CLOUD, self.cloud is not None),
        )
        return tuple(modality for modality, is_filled in filled if is_filled)


class SceneFinder:
    """Ranks the scenes of one map."""

    def __init__(
        self,
        index: SceneIndex,
        encoder: SceneEncoder,
        calibration: SceneCalibration,
        settings: SceneBeliefSettings,
    ) -> None:
        """Make a finder.

        Args:
            index: of the map's scenes, embedded by `encoder`.
            encoder: of queries.
            calibration: of its similarities.
            settings: of which the prior counts.
        """
        self._index = index
        self._encoder = encoder
        self._calibration = calibration
        self._prior = scene_prior(len(index.scenes), settings.unknown_prior)

    @property
    def encoder(self) -> SceneEncoder:
        """What embeds queries."""
        return self._encoder

    @property
    def prior(self) -> Float64Array:
        """(S + 1,) probabilities before looking, the last one of "none of these"."""
        return self._prior

    @property
    def index(self) -> SceneIndex:
        """The scenes and their embeddings."""
        return self._index

    def find(self, query: SceneQuery, max_matches: int | None = MAX_MATCHES) -> list[SceneMatch]:
        """Rank the scenes for a query.

        Args:
            query: with at least one modality.
            max_matches: the best so many; None = all.

        Raises:
            SensorDataError: nothing is filled in, or the text has no word.
            ModelError: the encoder does not know a modality that is filled in.
        """
        evidence = self.weigh(embed_query(self._encoder, query))
        return self._index.matches(bayes_update(self._prior, evidence.log_odds), evidence, max_matches)

    def look(self, frame: RgbdFrame) -> SceneEvidence:
        """What one view says of each scene; nothing when the encoder knows no images."""
        if SceneModality.IMAGE not in self._encoder.modalities:
            return self.weigh({})
        return self.weigh(embed_query(self._encoder, SceneQuery(frame=frame)))

    def weigh(self, embeddings: Mapping[SceneModality, Float32Array]) -> SceneEvidence:
        """What embeddings of a query say of each scene."""
        return self._index.weigh(embeddings, self._calibration)


def embed_query(encoder: SceneEncoder, query: SceneQuery) -> dict[SceneModality, Float32Array]:
    """The (768,) embedding of everything that is filled in.

    Raises:
        SensorDataError: nothing is, or the text has no word.
        ModelError: the encoder does not know one of the modalities.
    """
    if not query.modalities:
        raise SensorDataError("query: expected a text, image, floorplan or point cloud, got none of them.")
    unknown = [modality.value for modality in query.modalities if modality not in encoder.modalities]
    if unknown:
        known = ", ".join(sorted(encoder.modalities)) or "nothing"
        raise ModelError(f"query: model {encoder.model.name} knows {known}, not {', '.join(unknown)}; leave it out.")
    embeddings = {}
    if SceneModality.TEXT in query.modalities:
        embeddings[SceneModality.TEXT] = encoder.embed_text(query.text)
    if query.frame is not None:
        embeddings[SceneModality.IMAGE] = encoder.embed_views(encoder.describe_view(query.frame)[None])
    if query.floorplan is not None:
        embeddings[SceneModality.FLOORPLAN] = encoder.embed_floorplan(query.floorplan, query.pixels_per_m)
    if query.cloud is not None:
        embeddings[SceneModality.POINT_CLOUD] = encoder.embed_point_cloud(query.cloud)
    return embeddings


def frame_of_picture(rgb: NDArray[np.uint8], stamp_ns: int = 0) -> RgbdFrame:
    """The frame of an (H, W, 3) RGB picture of which nothing else is known."""
    height, width = rgb.shape[:2]
    focal_length = width / 2 / np.tan(_ASSUMED_FIELD_OF_VIEW / 2)
    intrinsics = CameraIntrinsics(
        fx=focal_length, fy=focal_length, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height
    )
    return RgbdFrame(stamp_ns=stamp_ns, rgb=rgb, depth=None, intrinsics=intrinsics)


def make_scene_finder(landmark_map: LandmarkMap, settings: XoverSettings, where: str) -> SceneFinder:
    """The finder for a map.

    Args:
        landmark_map: with embeddings of its scenes.
        settings: that name the scene encoder.
        where: how to call the map in messages.

    Raises:
        ModelError: the map has no embeddings, no scene encoder is named or it is another one than the map's, or its
            weights are missing.
    """
    known = landmark_map.header.scene_model
    advice = f"make them with `xover scene refresh {where}`"
    if known is None or not landmark_map.scene_embeddings:
        raise ModelError(f"map {where}: its scenes have no embeddings to search in; {advice}.")
    encoder = make_scene_encoder(settings.scene_encoder, settings.inference)
    if encoder is None:
        raise ModelError(
            f"map {where}: its scenes were described by {known.name}, but setting scene_encoder.model is empty; name"
            " a model."
        )
    if encoder.model != known:
        raise ModelError(
            f"map {where}: its scenes were described by {known.name} (checksum {known.checksum[:12]}), but the scene"
            f" encoder is {encoder.model.name} ({encoder.model.checksum[:12]}); {advice}."
        )
    return scene_finder_of(landmark_map, encoder, settings)


def find_scene_finder(landmark_map: LandmarkMap, settings: XoverSettings, where: str) -> SceneFinder | None:
    """As `make_scene_finder`, but None where the map cannot be searched; warns when it is for another model."""
    known = landmark_map.header.scene_model
    if known is None or not landmark_map.scene_embeddings or not settings.scene_encoder.model:
        return None
    encoder = scene_encoder_if_possible(settings.scene_encoder, settings.inference)
    if encoder is None or not has_scene_model(known, encoder.model, where):
        return None
    return scene_finder_of(landmark_map, encoder, settings)


def scene_finder_of(landmark_map: LandmarkMap, encoder: SceneEncoder, settings: XoverSettings) -> SceneFinder:
    """The finder for a map whose scenes `encoder` described."""
    calibration = load_scene_calibration(settings.scene_encoder.model, settings.scene_belief)
    with_keyframes = set(find_table(landmark_map.keyframes).scene_ids.tolist())
    known = with_keyframes | {e.scene_id for e in landmark_map.scene_embeddings}
    # of one that has only a name nothing can be said
    scenes = [scene for scene in landmark_map.scenes if scene.scene_id in known]
    index = SceneIndex(scenes, landmark_map.scene_embeddings, _embedded_views(landmark_map, encoder))
    return SceneFinder(index, encoder, calibration, settings.scene_belief)


def _embedded_views(landmark_map: LandmarkMap, encoder: SceneEncoder) -> list[tuple[int, Float32Array]]:
    """Scene and embedding of each described keyframe alone; none in maps so large that comparing would take long."""
    views = landmark_map.scene_views
    if len(views) > _MAX_VIEWS:
        return []
    table = find_table(landmark_map.keyframes)
    described = zip(table.keyframe_ids.tolist(), table.scene_ids.tolist(), strict=True)
    return [
        (scene_id, encoder.embed_views(views[keyframe_id][None].astype(np.float32)))
        for keyframe_id, scene_id in described
        if keyframe_id in views
    ]
