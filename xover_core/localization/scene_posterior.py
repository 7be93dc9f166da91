# SPDX-License-Identifier: Apache-2.0
"""Probabilities of scenes: by Bayes' rule from what views say, and by the poses that were found in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from xover_core.types import Float64Array, PoseHypothesis, SceneMatch


def scene_prior(num_scenes: int, unknown_prior: float) -> Float64Array:
    """(S + 1,) probabilities before looking: all scenes alike, and last, "none of these"."""
    return np.append(np.full(num_scenes, (1 - unknown_prior) / max(num_scenes, 1)), unknown_prior)


def bayes_update(prior: Float64Array, log_odds: Float64Array) -> Float64Array:
    """(S + 1,) probabilities after a view.

    Args:
        prior: (S + 1,), positive, the last one of "none of these".
        log_odds: (S,) that the view is of a scene rather than of none.
    """
    logits = np.log(prior) + np.append(log_odds, 0.0)
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum())


def weigh_by_poses(
    scenes: Sequence[SceneMatch], hypotheses: Sequence[PoseHypothesis], names: Mapping[int, str]
) -> list[SceneMatch]:
    """Scene probabilities given verified poses, best first.

    A pose that is right puts the camera in its scene, whatever the scene looks like from elsewhere; only what the
    poses leave open is shared out by likeness. Hypotheses of one scene exclude each other as far as they are
    distinct, so the best one counts.

    Args:
        scenes: the most probable ones by likeness.
        hypotheses: poses, also in other scenes.
        names: of all scenes by id.
    """
    listed = {scene.scene_id for scene in scenes}
    unlisted = dict.fromkeys(h.scene_id for h in hypotheses if h.scene_id not in listed)
    scenes = [*scenes, *(SceneMatch(scene_id=i, name=names[i], probability=0.0, similarity=0.0) for i in unlisted)]
    by_pose = {scene.scene_id: 0.0 for scene in scenes}
    for hypothesis in hypotheses:
        by_pose[hypothesis.scene_id] = max(by_pose.get(hypothesis.scene_id, 0.0), hypothesis.probability)
    total = sum(by_pose.values())
    share = 1.0 / max(total, 1.0)
    left_open = max(0.0, 1.0 - total)
    weighed = [
        dataclasses.replace(s, probability=by_pose[s.scene_id] * share + left_open * s.probability) for s in scenes
    ]
    return sorted(weighed, key=lambda scene: -scene.probability)
