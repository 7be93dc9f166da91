# SPDX-License-Identifier: Apache-2.0
"""Evidence to probability: the shipped weights make sense, and fitting recovers known ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import minimize

from xover_core.encoders.factory import ENCODER_KINDS
from xover_core.errors import ModelError
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, model_entries
from xover_core.localization.calibration import (
    DEPTH_FEATURES,
    ENOUGH_INLIERS,
    MATCHING_FEATURES,
    MAX_RIVAL_RATIO,
    PoseCalibration,
    PoseEvidence,
    fit_logistic,
    load_calibration,
    sigmoid,
)

GOOD = PoseEvidence(num_inliers=60, rival_ratio=0.1, num_agree=2400, num_see_through=30, num_compared=3000)
# Nobody's evidence, but on the border of belief
MEDIUM = dataclasses.replace(GOOD, num_inliers=25, rival_ratio=0.5)


@pytest.fixture(params=sorted(name for name, entry in model_entries().items() if entry.kind in ENCODER_KINDS))
def shipped(request):
    return load_calibration(request.param)


def test_features_are_as_named():
    with_depth = dict(zip(MATCHING_FEATURES + DEPTH_FEATURES, GOOD.features(has_depth=True), strict=True))
    assert with_depth == pytest.approx(
        {
            "constant": 1.0,
            "log inliers": np.log(60),
            "rival ratio": 0.1,
            "consistency": -np.log(40 / 2480),
            "agreement": 2400 / 3050,
        }
    )
    np.testing.assert_array_equal(GOOD.features(has_depth=False), GOOD.features(has_depth=True)[:3])


def test_what_could_not_be_measured_counts_against_the_pose():
    blind = dataclasses.replace(GOOD, num_agree=0, num_see_through=0, num_compared=0)
    assert (blind.features(has_depth=True)[3:] < GOOD.features(has_depth=True)[3:]).all()


def test_few_depth_readings_prove_little():
    few = dataclasses.replace(GOOD, num_agree=24, num_see_through=0, num_compared=24)
    assert (few.features(has_depth=True)[3:] < GOOD.features(has_depth=True)[3:]).all()


def test_features_are_bounded_where_evidence_is_not():
    assert dataclasses.replace(GOOD, rival_ratio=50.0).features(has_depth=False)[2] == MAX_RIVAL_RATIO
    assert dataclasses.replace(GOOD, num_inliers=0).features(has_depth=False)[1] == 0
    assert dataclasses.replace(GOOD, num_inliers=5000).features(has_depth=False)[1] == np.log(ENOUGH_INLIERS)


@pytest.mark.parametrize("has_depth", [True, False])
def test_better_evidence_is_more_probable_with_the_shipped_weights(shipped, has_depth):
    def probability(**changes):
        return shipped.probability(dataclasses.replace(MEDIUM, **changes), has_depth=has_depth)

    assert probability(num_inliers=60) > probability()
    assert probability(rival_ratio=0.9) < probability()
    if has_depth:
        assert probability(num_agree=2900) > probability(num_agree=1500) > probability(num_agree=600)
        assert probability(num_see_through=1500) < probability()


@pytest.mark.parametrize("has_depth", [True, False])
def test_probabilities_lie_between_impossible_and_certain(shipped, has_depth):
    worst = PoseEvidence(num_inliers=12, rival_ratio=1.0, num_agree=0, num_see_through=500, num_compared=600)
    assert 0 <= shipped.probability(worst, has_depth=has_depth) < 0.1
    best = dataclasses.replace(GOOD, num_inliers=300, rival_ratio=0.05, num_agree=2900, num_see_through=0)
    assert 0.9 < shipped.probability(best, has_depth=has_depth) <= 1


def test_the_weights_of_what_was_measured_are_used():
    calibration = PoseCalibration(with_depth=np.zeros(5), without_depth=np.array([2.0, 0, 0]))
    assert calibration.probability(GOOD, has_depth=True) == pytest.approx(0.5)
    assert calibration.probability(GOOD, has_depth=False) == pytest.approx(1 / (1 + np.exp(-2)))


def test_sigmoid_of_any_log_odds():
    values = np.array([-1e4, -3.0, 0.0, 3.0, 1e4])
    np.testing.assert_allclose(sigmoid(values), [0, 1 / (1 + np.exp(3)), 0.5, 1 / (1 + np.exp(-3)), 1])


def simulate(count, weights, random):
    features = np.column_stack([np.ones(count), random.normal(size=(count, len(weights) - 1))])
    return features, (random.random(count) < sigmoid(features @ weights)).astype(float)


def test_fitting_recovers_the_weights_behind_simulated_answers(random):
    weights = np.array([-0.5, 1.5, -2.0, 0.0])
    features, is_right = simulate(20_000, weights, random)
    # 20,000 answers leave a standard error of about 0.03
    np.testing.assert_allclose(fit_logistic(features, is_right, ridge=1e-6), weights, atol=0.1)


def test_fitting_finds_the_minimum_that_scipy_finds(random):
    features, is_right = simulate(300, np.array([0.3, -1.0, 2.0]), random)

    def cost(w):
        logits = features @ w
        return (np.logaddexp(0, logits) - is_right * logits).sum() + 0.5 * (w[1:] ** 2).sum()

    expected = minimize(cost, np.zeros(3), tol=1e-12).x
    np.testing.assert_allclose(fit_logistic(features, is_right, ridge=1.0), expected, atol=1e-4)


def test_separable_answers_have_finite_weights():
    features = np.column_stack([np.ones(40), np.r_[np.full(20, -50.0), np.full(20, 50.0)]])
    weights = fit_logistic(features, (features[:, 1] > 0).astype(float), ridge=0.1)
    assert np.isfinite(weights).all()
    assert (sigmoid(features @ weights).round() == (features[:, 1] > 0)).all()


def test_answers_that_are_all_right_have_finite_weights(random):
    features, _ = simulate(50, np.zeros(3), random)
    weights = fit_logistic(features, np.ones(50), ridge=0.1)
    assert sigmoid(features @ weights).min() > 0.9


def test_an_unknown_model_has_no_calibration():
    with pytest.raises(ModelError, match="'tiles': not in any manifest"):
        load_calibration("tiles")


def test_a_model_that_was_never_calibrated_says_how_to(tmp_path, monkeypatch, repository):
    (tmp_path / "manifest.yaml").write_text(
        "models: {new: {kind: compact, file: a, sha256: b, licence: c, source: d, radii: [0.2],"
        " calibration_with_depth: [1, 2]}}"
    )
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path))
    with pytest.raises(
        ModelError, match=r"expected 5 and 3 calibration weights .* got 2 and 0; fit them with"
    ) as caught:
        load_calibration("new")
    script = str(caught.value).rstrip(".").split()[-1]
    assert (repository / script).is_file()
