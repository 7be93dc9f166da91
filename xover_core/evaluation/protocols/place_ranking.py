# SPDX-License-Identifier: Apache-2.0
"""Ranking places by embeddings of frames, one by one and by all in a row; pure functions of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xover_core.evaluation.protocols.retrieval_metrics import TIE
from xover_core.types import Float32Array, Float64Array

POOLED, VIEWS, BOTH = "pooled", "views", "both"
COMPARISONS = (POOLED, VIEWS, BOTH)
"""With the embeddings of a place's scenes; with those of its single views; the sum of both similarities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPlace:
    """What an encoder makes of the map recording of a place.

    Attributes:
        scenes: (S, D) of norm 1, each pooled from a scene's views.
        views: (V, D) of norm 1, one for each view of any scene.
    """

    scenes: Float32Array
    views: Float32Array


def score_places(queries: Float32Array, places: Sequence[EmbeddedPlace]) -> dict[str, Float64Array]:
    """How similar frames are to places: to the best scene, the best view, or the sum of both.

    Args:
        queries: (Q, D) of norm 1.
        places: P of them.

    Returns:
        Comparison -> (Q, P).
    """
    pooled = np.stack([(queries @ place.scenes.T).max(axis=1) for place in places], axis=1).astype(np.float64)
    views = np.stack([(queries @ place.views.T).max(axis=1) for place in places], axis=1).astype(np.float64)
    return {POOLED: pooled, VIEWS: views, BOTH: pooled + views}


def track_places(scores: Float64Array, *, temperature: float, leak: float, window: int | None = None) -> Float64Array:
    """A discrete Bayes filter over places, after each frame.

    Before a frame counts, the belief leaks towards all places alike; then the odds of each change by its score.

    Args:
        scores: (Q, P) of frames in the order in which they were seen.
        temperature: score that changes the odds by a factor e.
        leak: share of the belief that is spread.
        window: each answer comes from this many frames, its own the last of them; None = from all so far.

    Returns:
        (Q, P) probabilities.
    """
    if window is None:
        return _filter(scores, temperature, leak)
    windows = [scores[max(0, last + 1 - window) : last + 1] for last in range(len(scores))]
    return np.array([_filter(rows, temperature, leak)[-1] for rows in windows]).reshape(scores.shape)


def margins(scores: Float64Array, right: int) -> Float64Array:
    """(Q,) by how much the right one of (Q, P) scores is above the best other one; below 0 where it isn't first."""
    return np.asarray(scores[:, right] - np.delete(scores, right, axis=1).max(axis=1))


def share_first(margin: Float64Array) -> float:
    """Share of (Q,) margins at which the right one is ranked first; an equal score does not count."""
    return float((margin > TIE).mean())


def _filter(scores: Float64Array, temperature: float, leak: float) -> Float64Array:
    """(Q, P) probabilities after each frame, from all places alike before the first."""
    num_places = scores.shape[1]
    belief, answers = np.full(num_places, 1 / num_places), np.zeros_like(scores)
    for answer, row in zip(answers, scores, strict=True):
        logits = np.log((1 - leak) * belief + leak / num_places) + row / temperature
        weights = np.exp(logits - logits.max())
        answer[:] = belief = weights / weights.sum()
    return answers
