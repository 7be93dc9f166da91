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


def test_without_poses_likeness_decides() -> None:
    assert weigh_by_poses([scene(1, 0.2), scene(2, 0.5)], []) == [scene(2, 0.5), scene(1, 0.2)]


def test_a_pose_outweighs_likeness() -> None:
    first, second = weigh_by_poses([scene(2, 0.8), scene(1, 0.1)], [hypothesis(1, 0.95)])
    assert first.scene_id == 1
    assert first.probability == pytest.approx(0.95 + 0.05 * 0.1)
    assert second.probability == pytest.approx(0.05 * 0.8)


def test_hypotheses_of_one_scene_do_not_add_up() -> None:
    (only,) = weigh_by_poses([scene(1, 0.0)], [hypothesis(1, 0.6), hypothesis(1, 0.6)])
    assert only.probability == pytest.approx(0.6)


def test_probabilities_never_exceed_one_in_all() -> None:
    weighed = weigh_by_poses([scene(1, 0.5), scene(2, 0.5)], [hypothesis(1, 0.9), hypothesis(2, 0.7)])
    assert sum(s.probability for s in weighed) == pytest.approx(1.0)
    assert weighed[0].scene_id == 1
