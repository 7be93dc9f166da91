# SPDX-License-Identifier: Apache-2.0
"""Which scene it is, over time: a discrete Bayes filter over the scenes of a map and "none of these".

A view counts for itself once the camera has moved or turned enough since the last one that did, for views of one place
share their mistakes. Until the robot is localized, frames in between are looked at as well; each takes the place of the
view before it instead of adding to it. Before a new view counts, the belief leaks towards the prior: the robot may have
left the scene, or have been carried away.
"""

from __future__ import annotations

import numpy as np

from xover_core.config import SceneBeliefSettings, XoverSettings
from xover_core.geometry.transforms import pose_error
from xover_core.localization.keyframe_retrieval import SceneLikeness
from xover_core.localization.scene_finder import SceneFinder
from xover_core.localization.scene_index import SceneEvidence
from xover_core.localization.scene_posterior import bayes_update
from xover_core.types import Float64Array, LocalizationState, Mat4, RgbdFrame, SceneMatch


class SceneBelief:
    """Turns what views say of scenes into probabilities over time."""

    def __init__(self, finder: SceneFinder, settings: XoverSettings) -> None:
        """Start from nothing.

        Args:
            finder: of the map's scenes.
            settings: of belief and retrieval.
        """
        self._finder = finder
        self._settings: SceneBeliefSettings = settings.scene_belief
        self._likeness = settings.retrieval
        self._scene_ids = np.array([scene.scene_id for scene in finder.index.scenes], np.int64)
        self._state = LocalizationState.UNKNOWN
        self.reset()

    def reset(self) -> None:
        """Start from nothing."""
        self._before = self._posterior = self._finder.prior
        self._T_odom_counted: Mat4 | None = None
        self._matches: list[SceneMatch] = []

    def note_state(self, state: LocalizationState) -> None:
        """What was answered last: once LOST, the robot may be anywhere."""
        if state is LocalizationState.LOST and self._state is not LocalizationState.LOST:
            self.reset()
        self._state = state

    def look(self, frame: RgbdFrame) -> SceneEvidence:
        """What a view says of scenes: what takes long in `judge` and `update`; changes nothing, in any thread."""
        return self._finder.look(frame)

    def will_look(self, frame: RgbdFrame) -> bool:
        """Whether `update` needs what this view says of scenes."""
        return frame.T_odom_camera is None or self._has_moved(frame.T_odom_camera) or self._looks_in_between()

    def judge(self, frame: RgbdFrame, alike: SceneLikeness, seen: SceneEvidence | None = None) -> list[SceneMatch]:
        """The most probable scenes by one frame alone, the best first; changes nothing.

        Args:
            frame: a view.
            alike: scenes by the likeness of their keyframes.
            seen: what `look` gave, where somebody looked already.
        """
        evidence = self.look(frame) if seen is None else seen
        posterior = bayes_update(self._finder.prior, self._log_odds(evidence, alike))
        return self._finder.index.matches(posterior, evidence)

    def update(self, frame: RgbdFrame, alike: SceneLikeness, seen: SceneEvidence | None = None) -> list[SceneMatch]:
        """The most probable scenes by this frame and all before it; a frame without odometry is judged alone.

        Args:
            frame: a view.
            alike: scenes by the likeness of their keyframes.
            seen: what `look` gave, where somebody looked already.
        """
        if frame.T_odom_camera is None:
            return self.judge(frame, alike, seen)
        if not self.will_look(frame):
            return self._matches
        if self._has_moved(frame.T_odom_camera):
            leak = self._settings.leak
            self._before = (1 - leak) * self._posterior + leak * self._finder.prior
            self._T_odom_counted = frame.T_odom_camera
        evidence = self.look(frame) if seen is None else seen
        self._posterior = bayes_update(self._before, self._log_odds(evidence, alike))
        self._matches = self._finder.index.matches(self._posterior, evidence)
        return self._matches

    def _has_moved(self, T_odom_camera: Mat4) -> bool:
        """Whether the camera is far enough from where the last counted view was taken."""
        if self._T_odom_counted is None:
            return True
        distance, angle = pose_error(T_odom_camera, self._T_odom_counted)
        limits = self._settings
        return distance >= limits.min_translation or angle >= np.deg2rad(limits.min_rotation_deg)

    def _looks_in_between(self) -> bool:
        is_localized = self._state is LocalizationState.LOCALIZED
        return self._settings.use_every_frame_until_localized and not is_localized

    def _log_odds(self, evidence: SceneEvidence, alike: SceneLikeness) -> Float64Array:
        """(S,) log odds by embeddings and by the likeness of keyframes."""
        total = evidence.log_odds.copy()
        likeness = (alike.similarities - self._likeness.unknown_similarity) / self._likeness.temperature
        # both are ordered by id, and each scene with keyframes is one of the finder's
        total[np.searchsorted(self._scene_ids, alike.scene_ids)] += self._settings.likeness_weight * likeness
        return np.asarray(total)
