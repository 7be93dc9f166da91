# SPDX-License-Identifier: Apache-2.0
"""Which scans a single image is compared with: as SceneGraphLoc draws them, and as CrossOver does."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.evaluation.protocols.retrieval_metrics import BoolArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateDraw:
    """Candidates of the images of one scan.

    Attributes:
        target: the right scan.
        others: (M,) the wrong ones, the same for all its images, or (V, M) for each image its own.
    """

    target: int
    others: IntArray


def draw_static(places: IntArray, is_ranked: BoolArray, num_candidates: int, seed: int) -> dict[int, CandidateDraw]:
    """SceneGraphLoc without time (NT): the scan of the image, and others drawn once for each scan.

    Args:
        places: (N,) of all scans; scans of the image's own place are no candidates.
        is_ranked: (N,) scans that can be candidates.
        num_candidates: the right one included; fewer where there are not so many.
        seed: of the draws.

    Returns:
        Scan -> its candidates; a scan that cannot be a candidate has no entry.
    """
    return _draw_once(places, is_ranked, num_candidates, seed)[0]


def draw_temporal(places: IntArray, is_ranked: BoolArray, num_candidates: int, seed: int) -> dict[int, CandidateDraw]:
    """SceneGraphLoc over time (T): as `draw_static`, but the right one is a random other scan of the place."""
    return _draw_once(places, is_ranked, num_candidates, seed)[1]


def draw_for_each_image(
    num_images: NDArray[np.integer], is_ranked: BoolArray, num_candidates: int, seed: int
) -> dict[int, CandidateDraw]:
    """CrossOver's variant: the scan of the image, and for each image other random scans, also of its place.

    Args:
        num_images: (N,) images of each scan.
        is_ranked: (N,) scans that can be candidates.
        num_candidates: the right one included.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    draws = {}
    for index in np.flatnonzero(is_ranked).tolist():
        pool = np.setdiff1d(np.flatnonzero(is_ranked), [index])
        size = min(num_candidates - 1, len(pool))
        rows = [rng.choice(pool, size, replace=False) for _ in range(int(num_images[index]))]
        draws[index] = CandidateDraw(target=index, others=np.array(rows, np.int64).reshape(-1, size))
    return draws


def _draw_once(
    places: IntArray, is_ranked: BoolArray, num_candidates: int, seed: int
) -> tuple[dict[int, CandidateDraw], dict[int, CandidateDraw]]:
    """The same wrong ones for NT and T."""
    rng = random.Random(seed)
    static, temporal = {}, {}
    for index, place in enumerate(places.tolist()):
        pool = np.flatnonzero(is_ranked & (places != place)).tolist()
        others = np.array(rng.sample(pool, min(num_candidates - 1, len(pool))), np.int64)
        again = [i for i in np.flatnonzero(is_ranked & (places == place)).tolist() if i != index]
        if is_ranked[index]:
            static[index] = CandidateDraw(target=index, others=others)
        if again:
            temporal[index] = CandidateDraw(target=rng.choice(again), others=others)
    return static, temporal
