# SPDX-License-Identifier: Apache-2.0
"""Keyframes -> the landmarks that are kept: fused, scored, and the best of each scene, spread in space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from xover_core.config import MappingSettings
from xover_core.landmark_map.landmark_arrays import empty_landmarks, take_landmarks
from xover_core.landmark_map.landmark_fusion import FusedLandmarks, concatenate_fused, fuse_block
from xover_core.landmark_map.landmark_scoring import score_block
from xover_core.landmark_map.patch_cloud import PatchCloud, blocks_of, make_patch_cloud
from xover_core.types import Float32Array, Keyframe, Landmarks

# Seeds are not denser than this however close together landmarks may lie, m: patches are not denser either.
_MIN_SEED_SPACING = 0.05
_RNG_SEED = 0


def build_landmarks(
    keyframes: Sequence[Keyframe], settings: MappingSettings, report: Callable[[float], None]
) -> Landmarks:
    """Fuse, score and select the landmarks of a map.

    Args:
        keyframes: all of the map, each in its scene, by id.
        settings: radius, spacing, number of landmarks for each scene.
        report: called with the share that is done; may raise to stop.

    Returns:
        Landmarks by scene, best score first, with ids from 1; none for no keyframes.
    """
    if not keyframes or settings.max_landmarks_per_scene == 0:
        dim = keyframes[0].descriptors[0].shape[1] if keyframes else 0
        return empty_landmarks(dim, settings.landmark_radius)
    cloud = make_patch_cloud(keyframes)
    fused, scores = _fuse_and_score(cloud, settings, report)
    scene_of = {keyframe.keyframe_id: keyframe.scene_id for keyframe in keyframes}
    scene_ids = _majority_scenes(fused, cloud, scene_of)
    rows = select_spread(
        fused.positions,
        scores,
        scene_ids,
        spacing=settings.landmark_spacing,
        max_per_scene=settings.max_landmarks_per_scene,
    )
    return _as_landmarks(fused, cloud, scores, scene_ids, rows, settings.landmark_radius)


def select_spread(
    positions: Float32Array,
    scores: Float32Array,
    scene_ids: NDArray[np.int64],
    *,
    spacing: float,
    max_per_scene: int,
) -> NDArray[np.int64]:
    """Rows chosen greedily by score, none within `spacing` (m) of a better one; by scene, best first."""
    order = np.argsort(-scores, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    suppressed = np.zeros(len(order), np.bool_)
    has_pairs = len(order) > 1 and spacing > 0
    pairs = cKDTree(positions).query_pairs(spacing, output_type="ndarray") if has_pairs else np.zeros((0, 2), np.intp)
    better_first = np.sort(rank[pairs], axis=1)
    better_first = better_first[np.lexsort(better_first.T[::-1])]
    for better, worse in better_first.tolist():
        if not suppressed[better]:
            suppressed[worse] = True
    kept = order[~suppressed]
    groups = [kept[scene_ids[kept] == scene_id][:max_per_scene] for scene_id in np.unique(scene_ids)]
    return np.concatenate([np.zeros(0, np.int64), *groups])


def _fuse_and_score(
    cloud: PatchCloud, settings: MappingSettings, report: Callable[[float], None]
) -> tuple[FusedLandmarks, Float32Array]:
    """All landmarks of the cloud with their scores, block by block."""
    rng = np.random.default_rng(_RNG_SEED)
    spacing = max(settings.landmark_spacing, _MIN_SEED_SPACING)
    radius = settings.landmark_radius
    dim = cloud.descriptors.shape[1]
    nothing = np.zeros(0, np.int64)
    fused = [
        FusedLandmarks(
            positions=np.zeros((0, 3), np.float32),
            embeddings=np.zeros((0, dim), np.float32),
            offsets=np.zeros(1, np.int64),
            members=nothing,
        )
    ]
    scores = [np.zeros(0, np.float32)]
    num_done = 0
    for block in blocks_of(cloud, radius):
        fused.append(fuse_block(cloud, block, radius=radius, seed_spacing=spacing))
        scores.append(
            score_block(
                cloud, block, fused[-1], radius=radius, temperature=settings.landmark_score_temperature, rng=rng
            )
        )
        num_done += len(block.core)
        report(num_done / len(cloud))
    return concatenate_fused(fused), np.concatenate(scores)


def _majority_scenes(fused: FusedLandmarks, cloud: PatchCloud, scene_of: Mapping[int, int]) -> NDArray[np.int64]:
    """(M,) scene of most of the keyframes that saw each landmark; the smallest id of equals."""
    known, scene_index = np.unique(list(scene_of.values()), return_inverse=True)
    keyframe_ids = np.fromiter(scene_of, np.int64)
    order = np.argsort(keyframe_ids)
    rows = order[np.searchsorted(keyframe_ids[order], cloud.keyframe_ids[fused.members])]
    landmark = np.repeat(np.arange(len(fused)), np.diff(fused.offsets))
    pairs, votes = np.unique(landmark * len(known) + scene_index[rows], return_counts=True)
    ranked = np.lexsort((pairs, -votes, pairs // len(known)))
    first = np.unique(pairs[ranked] // len(known), return_index=True)[1]
    return np.asarray(known[pairs[ranked][first] % len(known)], np.int64)


def _as_landmarks(
    fused: FusedLandmarks,
    cloud: PatchCloud,
    scores: Float32Array,
    scene_ids: NDArray[np.int64],
    rows: NDArray[np.int64],
    radius: float,
) -> Landmarks:
    """The chosen landmarks as the map keeps them."""
    everything = Landmarks(
        landmark_ids=np.arange(len(fused)),
        scene_ids=scene_ids,
        positions_map=fused.positions + cloud.origin_map,
        radius=radius,
        embeddings=fused.embeddings.astype(np.float16),
        scores=scores,
        observation_offsets=fused.offsets,
        observations=np.stack([cloud.keyframe_ids[fused.members], cloud.patch_indices[fused.members]], axis=1),
    )
    chosen = take_landmarks(everything, rows)
    chosen.landmark_ids[:] = np.arange(1, len(rows) + 1)
    return chosen
