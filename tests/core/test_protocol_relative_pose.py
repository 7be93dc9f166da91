# SPDX-License-Identifier: Apache-2.0
"""Relative pose: choice of pairs, exact matches give exact poses, missing answers count."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from picture_frames import picture_frame

from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.errors import DatasetError
from xover_core.evaluation.protocols.pair_errors import NO_MOTION, PairAnswer, compare_with_truth, make_row
from xover_core.evaluation.protocols.pair_solvers import PAIR_SOLVERS
from xover_core.evaluation.protocols.protocol_settings import RelativePoseSettings
from xover_core.evaluation.protocols.relative_pose import choose_pairs, measure_relative_pose
from xover_core.evaluation.protocols.view_matchers import DescribedView, OrbMatcher, SiftMatcher
from xover_core.geometry.camera import project
from xover_core.geometry.transforms import exp_se3, invert, make_pose, transform_points
from xover_core.types import CameraIntrinsics, RgbdFrame

CAMERA = CameraIntrinsics(fx=80.0, fy=80.0, cx=79.5, cy=59.5, width=160, height=120)
# Depth is read at the nearest pixel of a smooth surface, so points lie a few millimetres off.
NEAR_M, NEAR_DEG = 0.02, 1.0


def test_pairs_overlap_within_the_limits_and_come_once():
    overlap = np.random.default_rng(0).random((30, 30)).astype(np.float32)
    overlap = np.minimum(overlap, overlap.T)
    settings = RelativePoseSettings(num_pairs=40, min_overlap=0.2, max_overlap=0.4)
    pairs = choose_pairs(overlap, settings)
    assert len(pairs) == len({tuple(p) for p in pairs.tolist()}) == 40
    assert (pairs[:, 0] < pairs[:, 1]).all()
    values = overlap[pairs[:, 0], pairs[:, 1]]
    assert values.min() >= 0.2
    assert values.max() <= 0.4
    np.testing.assert_array_equal(pairs, choose_pairs(overlap, settings))
    everything = choose_pairs(overlap, RelativePoseSettings(num_pairs=10_000, min_overlap=0.2, max_overlap=0.4))
    assert len(everything) == np.count_nonzero(np.triu((overlap >= 0.2) & (overlap <= 0.4), 1))


def test_no_such_pair_is_an_error():
    with pytest.raises(DatasetError, match="overlap"):
        choose_pairs(np.ones((4, 4), np.float32), RelativePoseSettings())


def surface_frame(T_world_camera):
    """A wavy surface seen from near z = 0: its depth by Newton steps along each ray."""
    v, u = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width]
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(u.shape)], axis=2).reshape(-1, 3)
    depth = np.full(len(rays), 2.0)
    for _ in range(30):
        points = transform_points(T_world_camera, rays * depth[:, None])
        surface = 2.0 + 0.3 * np.sin(2 * points[:, 0]) + 0.3 * np.cos(3 * points[:, 1])
        depth += 0.6 * (surface - points[:, 2])
    rgb = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    return RgbdFrame(stamp_ns=0, rgb=rgb, depth=depth.reshape(u.shape).astype(np.float32), intrinsics=CAMERA)


POSES = [make_pose(np.eye(3), (0, 0, 0)), exp_se3(np.array([0.5, 0.1, 0.05, 0.05, -0.1, 0.1]))]


class SurfaceSequence:
    name = "surface"

    def __len__(self):
        return len(POSES)

    def __iter__(self):
        for i, pose in enumerate(POSES):
            yield SequenceItem(frame=surface_frame(pose), T_world_camera=pose, name=str(i))


class PerfectMatcher:
    """Knows the surface: describes it by the pixels of points on it, whatever the image; matches equal rows."""

    name = "perfect"
    max_error_px = 1.0

    def __init__(self, num_points=60):
        rng = np.random.default_rng(0)
        x, y = rng.uniform(-0.5, 1.0, num_points), rng.uniform(-0.9, 0.9, num_points)
        self._points = np.stack([x, y, 2.0 + 0.3 * np.sin(2 * x) + 0.3 * np.cos(3 * y)], axis=1)
        self._poses = iter(POSES)

    def describe(self, frame):
        pixels = project(transform_points(invert(next(self._poses)), self._points), CAMERA)
        return DescribedView(keypoints_px=pixels.astype(np.float32), descriptors=np.zeros((len(pixels), 1), np.float32))

    def match(self, a, b):
        rows = np.arange(len(a.descriptors))
        return rows, rows


ALL_PAIRS = RelativePoseSettings(min_overlap=0.0, max_overlap=1.0)


def test_exact_matches_give_the_pose_in_every_way():
    rows = measure_relative_pose(SurfaceSequence(), [PerfectMatcher()], ALL_PAIRS).report.rows
    assert [(r.solver, r.scale) for r in rows[1:]] == [(s.method, s.scale) for s in PAIR_SOLVERS]
    for row in rows[1:]:
        assert row.no_answer == 0.0
        assert row.median_m < NEAR_M
        assert row.median_deg < NEAR_DEG
        assert row.share_both == 1.0


def test_too_few_matches_are_no_answer_and_count_as_no_motion():
    rows = measure_relative_pose(SurfaceSequence(), [PerfectMatcher(num_points=5)], ALL_PAIRS).report.rows
    length = np.linalg.norm(POSES[1][:3, 3])
    assert rows[0].feature == NO_MOTION
    for row in rows:
        assert row.no_answer == 1.0
        assert row.mean_m == pytest.approx(length)


def test_the_row_sums_up_the_errors():
    truths = [make_pose(np.eye(3), (x, 0, 0)) for x in (0.5, 1.0, 3.0, 4.0)]
    turned = exp_se3(np.array([0, 0, 0, 0, 0, np.radians(40)]))
    poses = [truths[0], None, make_pose(turned[:3, :3], (3, 0, 0)), None]
    answers = [PairAnswer(T_b_a=pose, num_matches=8, seconds=0.002) for pose in poses]
    row = make_row(compare_with_truth("x", "5-point", "true", answers, truths), answers)
    assert (row.share_1m, row.share_30deg, row.share_both, row.no_answer) == (0.75, 0.75, 0.5, 0.5)
    assert row.mean_m == pytest.approx((0 + 1 + 0 + 4) / 4)
    assert row.median_m == pytest.approx(0.5)
    assert row.mean_deg == pytest.approx(10)
    assert (row.matches, row.ms_per_pair) == (8, pytest.approx(2))


@pytest.mark.parametrize("matcher", [SiftMatcher(), OrbMatcher()])
def test_keypoints_of_a_shifted_image_match_themselves(matcher):
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    image = cv2.resize(noise, (480, 320), interpolation=cv2.INTER_CUBIC)
    left, right = np.ascontiguousarray(image[:, 16:]), np.ascontiguousarray(image[:, :-16])
    a, b = matcher.describe(picture_frame(left)), matcher.describe(picture_frame(right))
    rows_a, rows_b = matcher.match(a, b)
    assert len(rows_a) > 50
    shifts = b.keypoints_px[rows_b] - a.keypoints_px[rows_a]
    # ORB finds points on an image pyramid, to a pixel of its upper levels
    is_right = np.linalg.norm(shifts - (16, 0), axis=1) < 4.0
    assert is_right.mean() > 0.9


@pytest.mark.parametrize("matcher", [SiftMatcher(), OrbMatcher()])
def test_an_empty_image_matches_nothing(matcher):
    nothing = matcher.describe(picture_frame(np.full((120, 160, 3), 90, np.uint8)))
    rows_a, rows_b = matcher.match(nothing, nothing)
    assert nothing.keypoints_px.shape == (0, 2)
    assert len(rows_a) == len(rows_b) == 0
