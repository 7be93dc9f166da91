# SPDX-License-Identifier: Apache-2.0
"""Agreement over time on simulated drives: right hypotheses imply one map -> odom, wrong ones scatter."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from localization_cases import hypothesis

from xover_core.config import DecisionSettings
from xover_core.geometry.transforms import exp_se3, make_pose, pose_error
from xover_core.localization.belief import Belief
from xover_core.localization.decision import decide
from xover_core.localization.localizer import FrameEvidence
from xover_core.types import CameraIntrinsics, LocalizationResult, LocalizationState, Mat4, PoseHypothesis, RgbdFrame

SETTINGS = DecisionSettings()
PIXEL = CameraIntrinsics(fx=1.0, fy=1.0, cx=0.0, cy=0.0, width=1, height=1)
T_MAP_ODOM = exp_se3(np.array([5.0, -3.0, 0.0, 0.0, 0.0, 2.0]))
STEP_M = 0.2
STEP_S = 0.2
# Hypotheses scatter by this around the truth
NOISE_M, NOISE_RAD = 0.05, 0.02
MAX_DISTANCE = 0.2  # m, of the mean of such hypotheses
LOCALIZED, HYPOTHESES, UNKNOWN, LOST = (
    LocalizationState.LOCALIZED,
    LocalizationState.HYPOTHESES,
    LocalizationState.UNKNOWN,
    LocalizationState.LOST,
)


def make_frame(index: int, T_odom_camera: Mat4 | None) -> RgbdFrame:
    return RgbdFrame(
        stamp_ns=round((1 + index * STEP_S) * 1e9),
        rgb=np.zeros((1, 1, 3), np.uint8),
        depth=None,
        intrinsics=PIXEL,
        T_odom_camera=T_odom_camera,
    )


def on_a_curve(index: int) -> Mat4:
    """T_odom_camera of a robot that drives on a circle of 3 m radius."""
    angle = index * STEP_M / 3
    return exp_se3(np.array([0, 0, 0, 0, 0, angle])) @ make_pose(np.eye(3), (3.0, 0.0, 0.0))


def standing(_index: int) -> Mat4:
    return on_a_curve(0)


def single_answer(frame: RgbdFrame, hypotheses: Sequence[PoseHypothesis]) -> LocalizationResult:
    ranked = tuple(sorted(hypotheses, key=lambda h: -h.probability))
    evidence = FrameEvidence(scenes=(), hypotheses=ranked, relative_pose=None, matches=None, timings_ms=())
    return decide(frame, evidence, SETTINGS)


class Drive:
    """Feeds a belief and keeps its answers."""

    def __init__(self, settings: DecisionSettings = SETTINGS, seed: int = 0, T_map_odom: Mat4 = T_MAP_ODOM) -> None:
        self.belief = Belief(settings)
        self.T_map_odom = T_map_odom
        self.answers: list[LocalizationResult] = []
        self.truth: list[Mat4] = []
        self._rng = np.random.default_rng(seed)
        self._index = 0

    def go(self, count: int, *, right: float = 0.0, wrong: Sequence[float] = (), path=on_a_curve) -> Drive:
        """Drive `count` frames with a right hypothesis of probability `right` (0: none) and scattered wrong ones."""
        for _ in range(count):
            T_odom_camera = path(self._index)
            truth = self.T_map_odom @ T_odom_camera
            found = [hypothesis(self._scattered(), p) for p in wrong]
            found += [hypothesis(self._noisy(truth), right)] if right else []
            frame = make_frame(self._index, T_odom_camera)
            self.answers.append(self.belief.update(frame, single_answer(frame, found)))
            self.truth.append(truth)
            self._index += 1
        return self

    @property
    def states(self) -> list[LocalizationState]:
        return [answer.state for answer in self.answers]

    def errors(self) -> list[float]:
        """Distances (m) of all answers with a pose."""
        pairs = zip(self.answers, self.truth, strict=True)
        return [pose_error(a.T_map_camera, truth)[0] for a, truth in pairs if a.T_map_camera is not None]

    def _noisy(self, pose: Mat4) -> Mat4:
        return pose @ exp_se3(self._rng.normal(size=6) * ([NOISE_M] * 3 + [NOISE_RAD] * 3))

    def _scattered(self) -> Mat4:
        yaw, position = self._rng.uniform(-np.pi, np.pi), self._rng.uniform(-8, 8, 2)
        return make_pose(exp_se3(np.array([0, 0, 0, 0, 0, yaw]))[:3, :3], (*position, 0.0))


def test_a_first_view_is_a_hypothesis_and_a_second_confirms_it():
    drive = Drive().go(2, right=0.97)
    assert drive.states == [HYPOTHESES, LOCALIZED]
    first, second = drive.answers
    assert first.T_map_camera is None
    assert first.covariance is None
    assert "second view" in first.reason
    assert second.probability > 0.9
    assert max(drive.errors()) < MAX_DISTANCE


@pytest.mark.parametrize("needed", [2, 3, 5])
def test_as_many_views_as_wanted_must_agree(needed):
    drive = Drive(DecisionSettings(min_agreeing_frames=needed)).go(8, right=0.99)
    assert drive.states == [HYPOTHESES] * (needed - 1) + [LOCALIZED] * (9 - needed)


def test_the_answer_is_consistent_with_odometry():
    drive = Drive().go(5, right=0.97)
    answer = drive.answers[-1]
    np.testing.assert_allclose(answer.T_map_odom @ on_a_curve(4), answer.T_map_camera, atol=1e-9)
    assert pose_error(answer.T_map_odom, T_MAP_ODOM)[1] < 0.05


@pytest.mark.parametrize("seed", range(5))
def test_scattered_wrong_hypotheses_never_localize(seed):
    drive = Drive(seed=seed).go(60, wrong=(0.97, 0.5))
    assert LOCALIZED not in drive.states


def test_right_hypotheses_win_though_wrong_ones_rank_higher():
    drive = Drive().go(12, right=0.6, wrong=(0.7, 0.65))
    assert drive.states[-1] is LOCALIZED
    assert max(drive.errors()) < MAX_DISTANCE


def test_weak_hypotheses_need_more_views():
    def views_needed(probability: float) -> int:
        return Drive().go(10, right=probability).states.index(LOCALIZED)

    assert views_needed(0.97) < views_needed(0.7) < views_needed(0.55)


@pytest.mark.parametrize("probability", [0.97, 0.99999])
def test_standing_still_is_one_view_however_long_and_certain(probability):
    assert set(Drive().go(50, right=probability, path=standing).states) == {HYPOTHESES}


def test_turning_on_the_spot_is_another_view():
    def turning(index: int) -> Mat4:
        return standing(0) @ exp_se3(np.array([0, 0, 0, 0, np.deg2rad(8) * index, 0]))

    assert Drive().go(3, right=0.97, path=turning).states[-1] is LOCALIZED


def test_slow_driving_counts_a_view_for_each_baseline():
    def slow(index: int) -> Mat4:
        return make_pose(np.eye(3), (0.03 * index, 0.0, 0.0))

    drive = Drive().go(40, right=0.8, path=slow)
    assert drive.states[:4] == [HYPOTHESES] * 4
    assert drive.states[-1] is LOCALIZED


def test_a_localized_robot_that_stops_stays_localized():
    drive = Drive().go(5, right=0.97)
    stopped = 5 + round(3 * SETTINGS.lost_after_s / STEP_S)
    drive.go(stopped, right=0.9, path=lambda _: on_a_curve(4))
    assert set(drive.states[2:]) == {LOCALIZED}


def test_without_support_the_pose_is_carried_on_and_then_lost():
    drive = Drive().go(5, right=0.97)
    num_carried = round(SETTINGS.lost_after_s / STEP_S)
    drive.go(num_carried + 5)
    assert set(drive.states[2 : 5 + num_carried - 1]) == {LOCALIZED}
    assert set(drive.states[-4:]) == {LOST}
    assert max(drive.errors()) < MAX_DISTANCE  # odometry was perfect
    deviations = [np.trace(answer.covariance) for answer in drive.answers[5 : 5 + num_carried - 1]]
    assert deviations[30] > deviations[5] > np.trace(drive.answers[4].covariance)
    assert "ago" in drive.answers[10].reason
    assert drive.answers[-1].T_map_camera is None
    assert "10 s" in drive.answers[-1].reason


def test_a_lost_robot_recovers_on_agreement_only():
    drive = Drive().go(5, right=0.97).go(80)
    assert drive.states[-1] is LOST
    drive.go(40, wrong=(0.95,))
    assert drive.states[-1] is LOST
    drive.go(12, right=0.97)
    assert drive.states[-1] is LOCALIZED
    assert drive.errors()[-1] < MAX_DISTANCE


def test_a_kidnapped_robot_switches_on_agreement_only():
    drive = Drive().go(20, right=0.97)
    drive.T_map_odom = exp_se3(np.array([-4.0, 2.0, 0.0, 0.0, 0.0, 1.0])) @ T_MAP_ODOM
    drive.go(20, right=0.97)
    before = pose_error(drive.answers[20].T_map_odom, T_MAP_ODOM)[0]
    assert before < MAX_DISTANCE + 0.1  # one view from elsewhere changes nothing
    after = [pose_error(a.T_map_camera, t)[0] for a, t in zip(drive.answers[20:], drive.truth[20:], strict=True)]
    switched = next(i for i, error in enumerate(after) if error < MAX_DISTANCE)
    assert 1 <= switched <= SETTINGS.window
    # it is in one place or in the other, never between them
    assert max(after[switched:]) < MAX_DISTANCE
    assert min(after[:switched]) > 1.0


def test_one_wrong_view_does_not_move_a_localized_robot():
    drive = Drive().go(6, right=0.97).go(1, wrong=(0.99,)).go(4, right=0.97)
    assert set(drive.states[2:]) == {LOCALIZED}
    assert max(drive.errors()) < MAX_DISTANCE


def test_drift_of_odometry_is_followed():
    drive = Drive().go(3, right=0.97)
    for _ in range(150):  # 30 m with 2 cm and 0.3 deg per step
        drive.T_map_odom = drive.T_map_odom @ exp_se3(np.array([0.01, 0.005, 0, 0, 0, np.deg2rad(0.1)]))
        drive.go(1, right=0.95)
    assert set(drive.states[3:]) == {LOCALIZED}
    # the mean over the window lags behind by half a window of drift
    assert max(drive.errors()) < 0.35
    assert pose_error(drive.T_map_odom, T_MAP_ODOM)[0] > 1.0


def test_reset_forgets_everything():
    drive = Drive().go(6, right=0.97)
    drive.belief.reset()
    drive.go(1, right=0.97)
    assert drive.states[-2:] == [LOCALIZED, HYPOTHESES]


def test_reset_forgets_being_lost():
    drive = Drive().go(5, right=0.97).go(80)
    drive.belief.reset()
    assert drive.go(1).states[-2:] == [LOST, UNKNOWN]


def test_a_frame_without_odometry_is_answered_by_itself():
    belief = Belief(SETTINGS)
    frame = make_frame(0, None)
    single = single_answer(frame, [hypothesis(T_MAP_ODOM, 0.95)])
    assert belief.update(frame, single) is single
    assert single.state is LOCALIZED
    # and it is no view that another could agree with
    moving = make_frame(1, on_a_curve(1))
    assert (
        belief.update(moving, single_answer(moving, [hypothesis(T_MAP_ODOM @ on_a_curve(1), 0.97)])).state is HYPOTHESES
    )


def test_states_without_a_pose_are_passed_on():
    drive = Drive().go(1)
    assert drive.states == [UNKNOWN]
    assert drive.answers[0].T_map_camera is None


def test_what_one_frame_says_is_kept_in_the_answer():
    drive = Drive().go(4, right=0.97, wrong=(0.3,))
    assert len(drive.answers[-1].hypotheses) == 2
    assert drive.answers[-1].stamp_ns == make_frame(3, None).stamp_ns


def test_a_long_window_full_of_contradictions_has_a_probability():
    settings = dataclasses.replace(SETTINGS, window=1000)
    drive = Drive(settings).go(230, wrong=(0.9999,))
    assert LOCALIZED not in drive.states
