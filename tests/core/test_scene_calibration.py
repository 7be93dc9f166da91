# SPDX-License-Identifier: Apache-2.0
"""Similarities of embeddings become odds; the numbers come from a manifest, from the settings, or from a fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from xover_core.config import SceneBeliefSettings
from xover_core.errors import ModelError
from xover_core.localization.scene_calibration import PairCalibration, fit_scene_calibration, load_scene_calibration
from xover_core.localization.scene_posterior import bayes_update, scene_prior
from xover_core.types import SceneModality

SETTINGS = SceneBeliefSettings(temperature=0.2, unknown_similarity=0.4)
IMAGE, TEXT = SceneModality.IMAGE, SceneModality.TEXT


@pytest.fixture
def write_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def write(calibration: object) -> None:
        row = {
            "kind": "scenes", "file": "none", "sha256": "0", "licence": "none", "source": "test", "radii": [],
            "calibration_scene": calibration,
        }  # fmt: skip
        (tmp_path / "manifest.yaml").write_text(yaml.safe_dump({"models": {"my-scenes": row}}))
        monkeypatch.setenv("XOVER_MODELS_DIR", str(tmp_path))

    return write


def test_odds_are_even_at_the_unknown_similarity_and_grow_with_the_temperature() -> None:
    calibration = PairCalibration(temperature=0.1, unknown_similarity=0.3)
    odds = calibration.log_odds(np.array([0.3, 0.4, 0.2, np.nan], np.float32))
    np.testing.assert_allclose(odds, (0.0, 1.0, -1.0, 0.0), atol=1e-6)


def test_pairs_come_from_the_manifest_and_others_from_the_settings(write_manifest) -> None:
    write_manifest({"image->text": [0.05, 0.25]})
    calibration = load_scene_calibration("my-scenes", SETTINGS)
    assert calibration.of(IMAGE, TEXT) == PairCalibration(temperature=0.05, unknown_similarity=0.25)
    from_settings = PairCalibration(temperature=0.2, unknown_similarity=0.4)
    assert calibration.of(TEXT, IMAGE) == from_settings
    assert load_scene_calibration("in-no-manifest", SETTINGS).of(IMAGE, TEXT) == from_settings


@pytest.mark.parametrize(
    ("calibration", "reason"),
    [
        ({"image->smell": [0.1, 0.2]}, "image->smell"),
        ({"image": [0.1, 0.2]}, "for pairs as image->text"),
        ({"image->text": [0.0, 0.2]}, "positive temperature"),
        ({"image->text": [0.1]}, "cannot be read"),
    ],
)
def test_a_calibration_that_makes_no_sense_is_refused(write_manifest, calibration: object, reason: str) -> None:
    write_manifest(calibration)
    with pytest.raises(ModelError, match=reason):
        load_scene_calibration("my-scenes", SETTINGS)


def made_up_queries(random: np.random.Generator, num: int = 1500, num_scenes: int = 6):
    """Similarities of two pairs of which only the first says anything; a fifth of the queries is from elsewhere."""
    right = np.where(random.random(num) < 0.2, -1, random.integers(0, num_scenes, num))
    similarities = random.normal(0.2, 0.1, (num, 2, num_scenes)).astype(np.float32)
    is_inside = np.flatnonzero(right >= 0)
    similarities[is_inside, 0, right[is_inside]] += 0.3
    similarities[:, 1][random.random((num, num_scenes)) < 0.3] = np.nan
    return similarities, right


def test_a_fit_finds_what_says_something_and_is_calibrated(random: np.random.Generator) -> None:
    """Of two normal distributions 0.3 apart with deviation 0.1, the odds change by e each 0.1^2 / 0.3, even midway."""
    similarities, right = made_up_queries(random)
    telling, silent = fit_scene_calibration(similarities, right, unknown_prior=0.2)
    assert telling.temperature == pytest.approx(0.1**2 / 0.3, rel=0.15)
    assert telling.unknown_similarity == pytest.approx(0.35, abs=0.03)
    assert silent.temperature > 10 * telling.temperature


def test_predicted_and_real_shares_agree(random: np.random.Generator) -> None:
    fitted = fit_scene_calibration(*made_up_queries(random), unknown_prior=0.2)
    similarities, right = made_up_queries(random)
    prior = scene_prior(similarities.shape[2], 0.2)
    odds = [sum(c.log_odds(s) for c, s in zip(fitted, row, strict=True)) for row in similarities]
    posterior = np.stack([bayes_update(prior, o) for o in odds])
    chosen = posterior.argmax(axis=1)
    is_right = chosen == np.where(right < 0, similarities.shape[2], right)
    # three standard deviations of a share of 0.86 of 1500 queries
    assert posterior.max(axis=1).mean() == pytest.approx(is_right.mean(), abs=3 * np.sqrt(0.86 * 0.14 / 1500))


def test_a_posterior_sums_to_one_and_follows_the_odds() -> None:
    prior = scene_prior(3, 0.4)
    np.testing.assert_allclose(prior, (0.2, 0.2, 0.2, 0.4))
    np.testing.assert_allclose(bayes_update(prior, np.zeros(3)), prior)
    posterior = bayes_update(prior, np.array([np.log(2.0), 0.0, -1000.0]))
    np.testing.assert_allclose(posterior, (0.4, 0.2, 0.0, 0.4), atol=1e-12)
    np.testing.assert_allclose(bayes_update(prior, np.full(3, 1000.0)), (1 / 3, 1 / 3, 1 / 3, 0.0), atol=1e-12)
    np.testing.assert_allclose(scene_prior(0, 0.4), (0.4,))
