# SPDX-License-Identifier: Apache-2.0
"""Similarity of two embeddings -> log odds that they are of one scene, rather than of two.

Each pair of modalities has its own scale: two views of a room are more alike than its text and its point cloud. The
odds of a scene are the product over all pairs of what was asked and what the scene has; a pair that is missing speaks
neither for nor against. So the numbers of all pairs of a model are to be fitted together (`fit_scene_calibration`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from xover_core.config import SceneBeliefSettings
from xover_core.errors import ModelError
from xover_core.inference.model_store import model_entries
from xover_core.types import Float32Array, Float64Array, SceneModality

Pair = tuple[SceneModality, SceneModality]
_ARROW = "->"
# A pair whose similarities say nothing gets this temperature, in which none of them matters.
_MAX_TEMPERATURE = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCalibration:
    """Of one pair of modalities.

    Attributes:
        temperature: similarity that changes the odds by a factor e.
        unknown_similarity: speaks neither for nor against the scene.
    """

    temperature: float
    unknown_similarity: float

    def log_odds(self, similarities: Float32Array) -> Float64Array:
        """(S,) log odds; 0 where the similarity is NaN."""
        odds = (np.asarray(similarities, np.float64) - self.unknown_similarity) / self.temperature
        return np.nan_to_num(odds, nan=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneCalibration:
    """Of all pairs (what was asked, what the scene has) that were fitted, and what holds for the others."""

    pairs: Mapping[Pair, PairCalibration]
    fallback: PairCalibration

    def of(self, query: SceneModality, stored: SceneModality) -> PairCalibration:
        """The calibration of a pair."""
        return self.pairs.get((query, stored), self.fallback)


def load_scene_calibration(model_name: str, settings: SceneBeliefSettings) -> SceneCalibration:
    """The calibration of a model in the manifests; that of the settings for pairs that were never fitted.

    Models of several files, as the published ones, are in no manifest: all of their pairs are those of the settings.

    Raises:
        ModelError: the calibration is of unknown modalities or has no positive temperature, or a manifest cannot be
            read.
    """
    entry = model_entries().get(model_name)
    pairs = {}
    for key, (temperature, unknown_similarity) in entry.calibration_scene.items() if entry is not None else ():
        try:
            query, stored = (SceneModality(name) for name in key.split(_ARROW))
        except ValueError as error:
            raise ModelError(
                f"model {model_name!r}: expected calibration_scene for pairs as image{_ARROW}text of"
                f" {', '.join(SceneModality)}, got {key!r}; mend the manifest."
            ) from error
        if not temperature > 0:
            raise ModelError(
                f"model {model_name!r}: expected a positive temperature in calibration_scene {key}, got {temperature}."
            )
        pairs[query, stored] = PairCalibration(temperature=temperature, unknown_similarity=unknown_similarity)
    return SceneCalibration(pairs=pairs, fallback=fallback_calibration(settings))


def fallback_calibration(settings: SceneBeliefSettings) -> PairCalibration:
    """What holds for a model that was never calibrated."""
    return PairCalibration(temperature=settings.temperature, unknown_similarity=settings.unknown_similarity)


def fit_scene_calibration(
    similarities: Float32Array, right_scene: Float64Array, *, unknown_prior: float, ridge: float = 1e-6
) -> list[PairCalibration]:
    """Calibrations of several pairs that make the right scenes as probable as possible.

    Args:
        similarities: (Q, P, S) of Q queries with S scenes in each of P pairs; NaN where a scene lacks the modality.
        right_scene: (Q,) row of the scene where the query was taken; -1 for a query from none of them.
        unknown_prior: probability of being in none of the scenes, before looking.
        ridge: penalty on squares, which keeps separable data finite.

    Returns:
        P calibrations, in the order of the pairs.
    """
    num_pairs, num_scenes = similarities.shape[1:]
    is_there = np.isfinite(similarities)
    values = np.where(is_there, similarities, 0.0).astype(np.float64)
    log_prior = np.append(np.full(num_scenes, np.log((1 - unknown_prior) / num_scenes)), np.log(unknown_prior))
    answers = np.where(right_scene < 0, num_scenes, right_scene).astype(np.int64)

    def loss(parameters: Float64Array) -> float:
        scales, offsets = parameters[:num_pairs], parameters[num_pairs:]
        odds = np.einsum("qps,p->qs", values, scales) - np.einsum("qps,p->qs", is_there, offsets)
        logits = np.concatenate([odds, np.zeros((len(odds), 1))], axis=1) + log_prior
        right = logits[np.arange(len(logits)), answers]
        return float((logsumexp(logits, axis=1) - right).mean() + ridge * (parameters**2).mean())

    bounds = [(1 / _MAX_TEMPERATURE, None)] * num_pairs + [(None, None)] * num_pairs
    start = np.concatenate([np.full(num_pairs, 5.0), np.full(num_pairs, 1.0)])
    found = minimize(loss, start, method="L-BFGS-B", bounds=bounds).x
    return [
        PairCalibration(temperature=float(1 / scale), unknown_similarity=float(offset / scale))
        for scale, offset in zip(found[:num_pairs], found[num_pairs:], strict=True)
    ]
