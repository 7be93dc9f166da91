# SPDX-License-Identifier: Apache-2.0
"""Means of the best views of each scene, against a plain loop."""

from __future__ import annotations

import numpy as np

from xover_core.localization.scene_means import NUM_BEST_VIEWS, BestViewMeans


def test_as_a_loop_over_scenes_finds_them(random: np.random.Generator) -> None:
    groups = random.integers(0, 30, 400)
    groups[groups == 7] = 8  # nobody in 7
    groups[groups == 3] = 4
    groups[:2] = 3  # two in 3
    similarities = random.uniform(-1, 1, 400).astype(np.float32)
    similarities[::9] = 0.25  # equal ones count each
    found = BestViewMeans(groups, 30)(similarities)
    for group in range(30):
        own = np.sort(similarities[groups == group])[-NUM_BEST_VIEWS:]
        if len(own):
            np.testing.assert_allclose(found[group], own.mean(), atol=1e-6)
        else:
            assert np.isnan(found[group])


def test_nothing_at_all() -> None:
    assert BestViewMeans(np.zeros(0, np.int64), 0)(np.zeros(0, np.float32)).shape == (0,)
    assert np.isnan(BestViewMeans(np.zeros(0, np.int64), 2)(np.zeros(0, np.float32))).all()
