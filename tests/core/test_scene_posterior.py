# SPDX-License-Identifier: Apache-2.0
"""Scene probabilities before and after poses are known."""

import numpy as np
import pytest

from xover_core.localization.scene_posterior import weigh_by_poses
from xover_core.types import PoseHypothesis, SceneMatch


def scene(scene_id: int, probability: float) -> SceneMatch:
    return SceneMatch(scene_id=scene_id, name=f"scene {scene_id}", probability=probability, similarity=0.1)


def hypothesis(scene_id: int, probability: float) -> PoseHypothesis:
    return PoseHypothesis(
        T_map_camera=np.eye(4),
        covariance=np.eye(6),
        probability=probability,
        scene_id=scene_id,
        keyframe_id=1,
        num_inliers=50,
        inlier_ratio=0.5,
        reprojection_error_px=1.0,
        depth_agreement=0.9,
    )


def weigh(scenes: list[SceneMatch], hypotheses: list[PoseHypothesis]) -> list[SceneMatch]:
    return weigh_by_poses(scenes, hypotheses, {7: "attic"})


def test_without_poses_likeness_decides() -> None:
    assert weigh([scene(1, 0.2), scene(2, 0.5)], []) == [scene(2, 0.5), scene(1, 0.2)]


def test_a_pose_outweighs_likeness() -> None:
    first, second = weigh([scene(2, 0.8), scene(1, 0.1)], [hypothesis(1, 0.95)])
    assert first.scene_id == 1
    assert first.probability == pytest.approx(0.95 + 0.05 * 0.1)
    assert second.probability == pytest.approx(0.05 * 0.8)


def test_hypotheses_of_one_scene_do_not_add_up() -> None:
    (only,) = weigh([scene(1, 0.0)], [hypothesis(1, 0.6), hypothesis(1, 0.6)])
    assert only.probability == pytest.approx(0.6)


def test_probabilities_never_exceed_one_in_all() -> None:
    weighed = weigh([scene(1, 0.5), scene(2, 0.5)], [hypothesis(1, 0.9), hypothesis(2, 0.7)])
    assert sum(s.probability for s in weighed) == pytest.approx(1.0)
    assert weighed[0].scene_id == 1


def test_a_pose_in_a_scene_that_was_not_ranked_is_told_of() -> None:
    first, second = weigh([scene(1, 0.5)], [hypothesis(7, 0.9), hypothesis(7, 0.3)])
    assert (first.scene_id, first.name, first.probability) == (7, "attic", pytest.approx(0.9))
    assert second.scene_id == 1
