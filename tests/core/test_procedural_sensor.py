# SPDX-License-Identifier: Apache-2.0
"""The simulated RGB-D camera: no noise changes nothing, noise follows its law, holes are where they belong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xover_core.datasets.procedural import ObjectClass, RenderedView, SensorNoise, sense_color, sense_depth
from xover_core.errors import DatasetError

SILENT = SensorNoise(
    read_noise=0, shot_noise=0, blur_px=0, vignetting=0, auto_exposure=0, exposure_spread=0, white_balance_spread=0,
    depth_noise=0, disparity_step=0, edge_holes=0, grazing_holes=0,
)  # fmt: skip
SIZE = (60, 80)
NOISE_TOLERANCE = 0.1  # relative; standard deviations from 4800 pixels are good to 1 %, rounding and steps add some


def flat_view(depth: float) -> RenderedView:
    return RenderedView(
        rgb=np.full((*SIZE, 3), 120, np.uint8),
        depth=np.full(SIZE, depth, np.float32),
        instance=np.ones(SIZE, np.int32),
        object_class=np.full(SIZE, ObjectClass.WALL, np.int16),
    )


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_silent_camera_changes_nothing() -> None:
    image = rng().integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    np.testing.assert_array_equal(sense_color(image, SILENT, rng()), image)
    depth = sense_depth(flat_view(2.0), SILENT, rng())
    assert (depth[depth > 0] == 2.0).all()
    assert (depth > 0).mean() > 0.99


def test_depth_noise_grows_with_the_square_of_depth() -> None:
    noise = replace(SILENT, depth_noise=0.003)
    for metres in (1.0, 2.0, 4.0):
        depth = sense_depth(flat_view(metres), noise, rng())
        assert depth[depth > 0].std() == pytest.approx(0.003 * metres**2, rel=NOISE_TOLERANCE)


def test_depth_comes_in_steps_of_disparity() -> None:
    noise = replace(SILENT, depth_noise=0.01, disparity_step=0.01)
    inverse = 1 / sense_depth(flat_view(2.0), noise, rng())[5:, 5:]
    inverse = inverse[np.isfinite(inverse)]
    np.testing.assert_allclose(inverse / 0.01, np.rint(inverse / 0.01), atol=1e-3)
    assert len(np.unique(inverse)) > 3


def test_range_and_edges_leave_holes() -> None:
    for metres in (0.2, 7.0, 0.0):
        assert not sense_depth(flat_view(metres), SensorNoise(), rng()).any()
    step = flat_view(2.0)
    step.depth[:, 40:] = 3.0
    depth = sense_depth(step, SensorNoise(edge_holes=1.0), rng())
    assert not depth[:, 39:41].any()
    assert (depth[:, :30] > 0).mean() > 0.9


def test_colour_noise_has_the_stated_strength() -> None:
    image = np.full((*SIZE, 3), 120, np.uint8)
    sensed = sense_color(image, replace(SILENT, read_noise=4.0), rng()).astype(np.float64)
    assert sensed.std() == pytest.approx(4.0, rel=NOISE_TOLERANCE)
    assert sensed.mean() == pytest.approx(120, abs=0.5)
    dark_corners = sense_color(image, replace(SILENT, vignetting=0.3), rng())
    assert dark_corners[0, 0, 0] == pytest.approx(120 * 0.7, abs=1.5)
    assert dark_corners[30, 40, 0] == pytest.approx(120, abs=1.5)


def test_exposure_corrects_dark_views_and_varies() -> None:
    dark = np.full((*SIZE, 3), 40, np.uint8)
    assert sense_color(dark, replace(SILENT, auto_exposure=0.5), rng()).mean() > 55
    means = [
        sense_color(dark, replace(SILENT, exposure_spread=0.2), np.random.default_rng(s)).mean() for s in range(30)
    ]
    assert 0.1 < np.std(np.log(means)) < 0.3


def test_impossible_cameras_are_refused() -> None:
    with pytest.raises(DatasetError, match="at least 0"):
        SensorNoise(read_noise=-1.0)
    with pytest.raises(DatasetError, match="min_depth < max_depth"):
        SensorNoise(min_depth=3.0, max_depth=2.0)
