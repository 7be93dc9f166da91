# SPDX-License-Identifier: Apache-2.0
"""Scenes ranked by likeness, and then by the poses that were found in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from xover_core.types import PoseHypothesis, SceneMatch


def weigh_by_poses(scenes: Sequence[SceneMatch], hypotheses: Sequence[PoseHypothesis]) -> list[SceneMatch]:
    """Scene probabilities given verified poses, best first.

    A pose that is right puts the camera in its scene, whatever the scene looks like from elsewhere; only what the
    poses leave open is shared out by likeness. Hypotheses of one scene exclude each other as far as they are
    distinct, so the best one counts.
    """
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
