# SPDX-License-Identifier: Apache-2.0
"""Depth as a camera might have given it: what is switched off stays off, and what is drawn has the drawn size."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from xover_core.training.depth_noise import DepthNoiseSettings, disturb_depth

OFF = DepthNoiseSettings(dropout=0.0, noise_probability=0.0, holes_probability=0.0, range_probability=0.0)
ONLY_NOISE = replace(OFF, noise_probability=1.0, noise=0.006, bend=0.0)
NUM_FRAMES = 40
# the field from which holes are cut has one value over each corner: 12 x 12 of 60 x 80 pixels
SHARE_TOLERANCE = 0.03
# mean shares of 40 frames against those of a uniform distribution: five standard errors
MEAN_TOLERANCE = 5 / (12 * NUM_FRAMES) ** 0.5


def disturb(depth: Tensor, settings: DepthNoiseSettings, seed: int = 0) -> Tensor:
    return disturb_depth(depth, settings, torch.Generator().manual_seed(seed))


def flat(distance: float, num_frames: int = NUM_FRAMES) -> Tensor:
    return torch.full((num_frames, 60, 80), distance)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_switched_off_it_changes_nothing():
    depth = 5 * torch.rand(3, 60, 80)
    assert torch.equal(disturb(depth, OFF), depth)


def test_dropout_leaves_no_depth():
    assert not disturb(flat(2.0), replace(OFF, dropout=1.0)).any()
    dropped = (disturb(flat(2.0, 400), replace(OFF, dropout=0.3)) == 0).flatten(1)
    assert (dropped.all(1) == dropped.any(1)).all()
    assert dropped.all(1).float().mean().item() == pytest.approx(0.3, abs=0.1)


def test_input_stays_and_the_seed_decides():
    depth = flat(2.0, 3)
    first = disturb(depth, DepthNoiseSettings(), seed=1)
    assert torch.equal(depth, flat(2.0, 3))
    assert torch.equal(first, disturb(depth, DepthNoiseSettings(), seed=1))
    assert not torch.equal(first, disturb(depth, DepthNoiseSettings(), seed=2))
    assert not torch.equal(first[0], first[1])


def test_holes_have_shares_up_to_the_largest():
    shares = (disturb(flat(2.0), replace(OFF, holes_probability=1.0, holes=0.4)) == 0).float().mean((1, 2))
    assert shares.max() <= 0.4 + SHARE_TOLERANCE
    # uniform from none to the largest
    assert shares.mean().item() == pytest.approx(0.2, abs=0.4 * MEAN_TOLERANCE)
    half = (disturb(flat(2.0), replace(OFF, holes_probability=1.0, holes=0.2)) == 0).float().mean((1, 2))
    torch.testing.assert_close(half, shares / 2, atol=SHARE_TOLERANCE, rtol=0)


def test_holes_are_blobs_and_the_rest_stays():
    holed = disturb(flat(2.0), replace(OFF, holes_probability=1.0))
    assert set(holed.unique().tolist()) == {0.0, 2.0}
    hole = holed == 0
    # of two neighbours one is a hole and one is not far more rarely than of two pixels anywhere
    borders = (hole[:, :, 1:] != hole[:, :, :-1]).float().mean()
    assert borders < 0.2 * 2 * hole.float().mean() * (1 - hole.float().mean())


def test_noise_grows_with_the_square_of_the_distance():
    near, far = (disturb(flat(d), ONLY_NOISE) - d for d in (1.0, 3.0))
    torch.testing.assert_close(far, 9 * near, atol=1e-5, rtol=1e-2)
    # a standard deviation up to the setting, uniform
    deviation = near.flatten(1).std(1)
    assert deviation.mean().item() == pytest.approx(0.003, abs=0.006 * MEAN_TOLERANCE)
    assert not torch.equal(near[0], near[1])


def test_bent_scales_are_smooth():
    bent = disturb(flat(2.0), replace(OFF, noise_probability=1.0, noise=0.0, bend=0.02)) / 2.0 - 1
    assert 0.002 < bent.std() < 0.02
    steps = (bent[:, :, 1:] - bent[:, :, :-1]).abs().mean()
    assert steps < 0.1 * bent.abs().mean()


def test_range_ends_between_its_limits():
    depth = torch.linspace(0.5, 9.0, 80).expand(NUM_FRAMES, 60, 80)
    limited = disturb(depth, replace(OFF, range_probability=1.0, max_range=6.0))
    limits = limited.amax((1, 2))
    assert limits.min() >= 2.4
    assert limits.max() <= 6.0
    assert limits.max() - limits.min() > 2.0
    assert torch.equal(limited[limited > 0], depth[limited > 0])


def test_settings_change_only_what_they_name():
    depth = flat(2.0)
    holes = replace(OFF, holes_probability=1.0)
    alone = disturb(depth, holes) == 0
    with_noise = disturb(depth, replace(holes, noise_probability=1.0)) == 0
    assert torch.equal(alone, with_noise)


def test_missing_depth_stays_missing():
    depth = flat(2.0)
    depth[:, 20:40] = 0.0
    disturbed = disturb(depth, replace(DepthNoiseSettings(), noise_probability=1.0))
    assert not disturbed[:, 20:40].any()
    assert (disturbed >= 0).all()
