# SPDX-License-Identifier: Apache-2.0
"""Patches of several keyframes that show the same place become one landmark.

Seeds are patches spread evenly over the surfaces. A seed gathers from every keyframe the most similar patch within
the landmark radius, if it is similar enough. What at least two keyframes saw becomes a landmark: the mean descriptor
at the median place of its patches. All of it is matrix products over blocks of space, and deterministic.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.landmark_map.patch_cloud import Block, PatchCloud, group_rows
from xover_core.types import Float32Array

# A patch joins a landmark from this cosine similarity on. Whitened descriptors of unrelated patches have 0 +- 0.13.
MIN_SIMILARITY = 0.4
MIN_KEYFRAMES = 2
# Seeds x patches that are compared at once; bounds the memory to some 100 MB.
_MAX_PRODUCT = 8_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedLandmarks:
    """M landmarks made of patches of a cloud.

    Attributes:
        positions: (M, 3) float32, relative to the cloud's origin.
        embeddings: (M, D) float32, L2-normalised.
        offsets: (M + 1,) int64; landmark i consists of rows members[offsets[i]:offsets[i + 1]] of the cloud.
        members: (O,) int64, one for each keyframe that saw it, in order of keyframe.
    """

    positions: Float32Array
    embeddings: Float32Array
    offsets: NDArray[np.int64]
    members: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of landmarks M."""
        return len(self.positions)


def fuse_block(cloud: PatchCloud, block: Block, *, radius: float, seed_spacing: float) -> FusedLandmarks:
    """Landmarks whose seed lies in a block; M may be 0.

    Args:
        cloud: all patches.
        block: which part of them.
        radius: m; patches farther from the seed do not join.
        seed_spacing: m; one seed for each cube of this size.
    """
    seeds = _choose_seeds(cloud, block, seed_spacing)
    step = max(1, _MAX_PRODUCT // max(len(block.surroundings), 1))
    descriptors = cloud.descriptors[block.surroundings].astype(np.float32)
    parts = [
        _fuse_seeds(cloud, seeds[i : i + step], block.surroundings, descriptors, radius)
        for i in range(0, len(seeds), step)
    ]
    return concatenate_fused(parts)


def concatenate_fused(parts: Sequence[FusedLandmarks]) -> FusedLandmarks:
    """Join landmarks of one cloud; at least one part."""
    starts = np.cumsum([0] + [len(part.members) for part in parts])
    ends = [part.offsets[1:] + start for part, start in zip(parts, starts, strict=False)]
    return FusedLandmarks(
        positions=np.concatenate([part.positions for part in parts]),
        embeddings=np.concatenate([part.embeddings for part in parts]),
        offsets=np.concatenate([np.zeros(1, np.int64), *ends]),
        members=np.concatenate([part.members for part in parts]),
    )


def _choose_seeds(cloud: PatchCloud, block: Block, spacing: float) -> NDArray[np.int64]:
    """Of each cube of `spacing`, the patch nearest to its centre."""
    scaled = cloud.points[block.core] / np.float32(spacing)
    cells = np.floor(scaled)
    distances = np.linalg.norm(scaled - cells - 0.5, axis=1)
    groups = group_rows(cells.astype(np.int64))
    return block.core[[int(group[np.argmin(distances[group])]) for group in groups]]


def _fuse_seeds(
    cloud: PatchCloud,
    seeds: NDArray[np.int64],
    rows: NDArray[np.int64],
    descriptors: Float32Array,
    radius: float,
) -> FusedLandmarks:
    """Landmarks from some seeds and the patches (rows of the cloud, with their descriptors) around them."""
    similarities = cloud.descriptors[seeds].astype(np.float32) @ descriptors.T
    similarities[squared_distances(cloud.points[seeds], cloud.points[rows]) > radius**2] = -1.0
    best, members = _best_of_each_keyframe(similarities, cloud.keyframe_ids[rows])
    joins = best >= MIN_SIMILARITY
    joins[joins.sum(axis=1) < MIN_KEYFRAMES] = False
    counts = joins.sum(axis=1)
    counts = counts[counts > 0]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    chosen = members[joins]
    return FusedLandmarks(
        positions=_robust_means(cloud.points[rows[chosen]], offsets, radius),
        embeddings=_normalised_means(descriptors[chosen], offsets),
        offsets=offsets,
        members=rows[chosen],
    )


def squared_distances(a: Float32Array, b: Float32Array) -> Float32Array:
    """(N, M) squared distances of (N, 3) and (M, 3) points that lie within some metres of each other."""
    origin = b[0] if len(b) else np.zeros(3, np.float32)
    a, b = a - origin, b - origin
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)
    return np.asarray(squares - 2 * (a @ b.T), np.float32)


def _best_of_each_keyframe(
    similarities: Float32Array, keyframe_ids: NDArray[np.int64]
) -> tuple[Float32Array, NDArray[np.int64]]:
    """Largest similarity and its column for each seed and keyframe, (N, K) each; ids are sorted."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(keyframe_ids)) + 1])
    parts = np.split(similarities, starts[1:], axis=1)
    members = np.stack([part.argmax(axis=1) + start for part, start in zip(parts, starts, strict=True)], axis=1)
    return np.take_along_axis(similarities, members, axis=1), members


def _normalised_means(descriptors: Float32Array, offsets: NDArray[np.int64]) -> Float32Array:
    """L2-normalised sum of each group of rows."""
    if len(offsets) == 1:
        return np.zeros((0, descriptors.shape[1]), np.float32)
    sums = np.add.reduceat(descriptors, offsets[:-1], axis=0)
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12), np.float32)


def _robust_means(points: Float32Array, offsets: NDArray[np.int64], radius: float) -> Float32Array:
    """Mean of the points of each group that lie within half the radius of the group's median; else the median."""
    medians = [np.median(points[a:b], axis=0) for a, b in itertools.pairwise(offsets)]
    if not medians:
        return np.zeros((0, 3), np.float32)
    centres = np.repeat(np.stack(medians), np.diff(offsets), axis=0)
    weights = (np.linalg.norm(points - centres, axis=1) <= radius / 2).astype(np.float32)
    totals = np.add.reduceat(weights, offsets[:-1])
    means = np.add.reduceat(points * weights[:, None], offsets[:-1], axis=0) / np.maximum(totals, 1)[:, None]
    return np.where(totals[:, None] > 0, means, np.stack(medians)).astype(np.float32)
