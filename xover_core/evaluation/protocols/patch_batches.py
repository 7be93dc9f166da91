# SPDX-License-Identifier: Apache-2.0
"""Batches of overlapping frames, their patches as 3D points, and query patches: the same for all features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import DatasetError
from xover_core.evaluation.protocols.patch_sources import protocol_grid
from xover_core.evaluation.protocols.posed_frames import PosedFrame
from xover_core.evaluation.protocols.view_overlap import MIN_DEPTH
from xover_core.geometry.camera import back_project
from xover_core.geometry.depth import sample_depth
from xover_core.geometry.transforms import transform_points
from xover_core.types import Float32Array, Float64Array

# Distances of this many queries to all patches are held at a time.
_BLOCK = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchBatch:
    """The patches with depth of the frames of a batch.

    Attributes:
        frames: B frames.
        patch_rows: for each frame the indices on its grid of the patches that have a 3D point.
        points_world: (M, 3) of all of them, frame by frame.
        frame_of: (M,) which of the B frames.
        queries: (Q,) rows of the above, ascending, without repetition.
    """

    frames: tuple[PosedFrame, ...]
    patch_rows: tuple[NDArray[np.int64], ...]
    points_world: Float64Array
    frame_of: NDArray[np.int64]
    queries: NDArray[np.int64]


def choose_batches(
    overlap: Float32Array, *, num_batches: int, batch_size: int, min_overlap: float, rng: np.random.Generator
) -> list[tuple[int, ...]]:
    """Draw an anchor frame for each batch, and with it frames that overlap it.

    Args:
        overlap: (N, N) mutual overlap of all frames.
        num_batches: how many; anchors come again only when all have been used.
        batch_size: frames of a batch; fewer where no frame overlaps with so many others.
        min_overlap: smallest mutual overlap of the anchor with each of the others.
        rng: of the draws.

    Returns:
        Frame indices, anchor first; all batches have one size.

    Raises:
        DatasetError: no two frames overlap.
    """
    is_partner = (overlap > min_overlap) & ~np.eye(len(overlap), dtype=bool)
    num_partners = is_partner.sum(axis=1)
    size = min(batch_size, int(num_partners.max()) + 1)
    if size < 2:
        raise DatasetError(
            f"recording: expected frames whose views overlap by more than {min_overlap:g}, got none among"
            f" {len(overlap)}; are its poses right?"
        )
    anchors = np.flatnonzero(num_partners >= size - 1)
    order = np.concatenate([rng.permutation(anchors) for _ in range(-(-num_batches // len(anchors)))])[:num_batches]
    return [
        (int(anchor), *(int(i) for i in rng.permutation(np.flatnonzero(is_partner[anchor]))[: size - 1]))
        for anchor in order
    ]


def make_batch(
    frames: Sequence[PosedFrame], *, num_queries: int, max_depth: float, rng: np.random.Generator
) -> PatchBatch:
    """Lift the patches of frames to 3D and draw queries among those that have depth.

    Raises:
        DatasetError: no patch has depth.
    """
    rows, points = zip(*(_patch_points(posed, max_depth) for posed in frames), strict=True)
    total = sum(len(r) for r in rows)
    if not total:
        raise DatasetError(f"frame {frames[0].name} and those that overlap it: expected patches with depth, got none.")
    return PatchBatch(
        frames=tuple(frames),
        patch_rows=rows,
        points_world=np.concatenate(points),
        frame_of=np.repeat(np.arange(len(frames)), [len(r) for r in rows]),
        queries=np.sort(rng.choice(total, min(num_queries, total), replace=False)),
    )


def distance_rings(batch: PatchBatch, radii: Sequence[float]) -> NDArray[np.int8]:
    """(Q, M) for each query and patch the first of ascending radii (m) that reaches it, len(radii) beyond all.

    The query itself is beyond all: nobody has to find it.
    """
    rings = np.empty((len(batch.queries), len(batch.points_world)), np.int8)
    limits = np.asarray(radii, np.float64)
    for start in range(0, len(batch.queries), _BLOCK):
        chosen = batch.queries[start : start + _BLOCK]
        distances = np.linalg.norm(batch.points_world[chosen, None] - batch.points_world[None], axis=2)
        rings[start : start + _BLOCK] = np.searchsorted(limits, distances, side="left")
    rings[np.arange(len(batch.queries)), batch.queries] = len(limits)
    return rings


def _patch_points(posed: PosedFrame, max_depth: float) -> tuple[NDArray[np.int64], Float64Array]:
    """Grid indices of the patches with depth, and their (M, 3) points in the world."""
    pixels = protocol_grid(posed.frame.rgb).keypoints_px
    depth = sample_depth(posed.depth, pixels, max_depth=max_depth)
    rows = np.flatnonzero(depth > MIN_DEPTH)
    points = back_project(pixels[rows], depth[rows], posed.frame.intrinsics)
    return rows, transform_points(posed.T_world_camera, points)
