# SPDX-License-Identifier: Apache-2.0
"""Rooms and scans -> batches for the scene inventory: what is shown, and what is true of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.encoders.cloud_slices import SLICE_GRID, cloud_slices, slice_places
from xover_core.encoders.text_tokens import MAX_LONG_WORDS, batch_tokens
from xover_core.training.inventory_plans import PlanBatch, make_plan_batch
from xover_core.training.inventory_rooms import MadeUpRoom, draw_text
from xover_core.training.inventory_settings import InventoryBatchSettings
from xover_core.training.inventory_vocabulary import Vocabulary
from xover_core.training.room_features import RoomFeatures
from xover_core.training.text_disturbance import disturb_text
from xover_core.training.view_pictures import show, show_changed
from xover_core.types import Float32Array

# Number of sentences of a text about nothing rendered.
_SENTENCE_SHARES = (0.65, 0.25, 0.1)
_MIN_POINTS_SHARE, _CUT_SHARE, _MAX_CUT = 0.25, 0.25, 0.35
_POINT_NOISE_M, _SCALE_SPREAD, _LIGHT_SPREAD, _TINT_SPREAD = 0.01, 0.02, 0.12, 0.06
# Furniture is sought, and walls are everywhere.
_THING_WEIGHT = 2

_Labels = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
_Cloud = tuple[Float32Array, Float32Array, NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryBatch:
    """Texts and floorplans of rooms, clouds and views of scans, of any numbers.

    Attributes:
        words: (A, W, G) ids.
        said: (A, K) 1 for what the texts say.
        plans: F drawings.
        drawn: (F, K) traits of their rooms.
        slices: (B, C, S, H, W) of clouds.
        voxels: (N, 4) int64 voxels of the clouds, in the order of `CloudThings.voxels`: cloud, slice, row, column.
        voxel_classes: (N,) int64; -1 where nobody knows.
        voxel_looks: (N,) int64; -1 without.
        pixels: (V, C, H, W) of views.
        patches: (V, D, rows, columns) features of their patches.
        view_scans: (V,) int64: whose view it is.
        cell_classes: (V, N, 4) int64 of pixels of their cells; -1 where nobody knows.
        cell_looks: (V, N, 4) int64; -1 without.
        held: (B, K) traits of the scans.
        scan_words: (B, W, G) of texts about the scans.
    """

    words: Tensor
    said: Tensor
    plans: PlanBatch
    drawn: Tensor
    slices: Tensor
    voxels: Tensor
    voxel_classes: Tensor
    voxel_looks: Tensor
    pixels: Tensor
    patches: Tensor
    view_scans: Tensor
    cell_classes: Tensor
    cell_looks: Tensor
    held: Tensor
    scan_words: Tensor


def make_inventory_batch(
    rooms: Sequence[MadeUpRoom],
    scans: Sequence[RoomFeatures],
    vocabulary: Vocabulary,
    settings: InventoryBatchSettings,
    rng: np.random.Generator,
    *,
    is_changed: bool = True,
) -> InventoryBatch:
    """Draw texts about rooms and floorplans of them; show scans, changed at random or, for measuring, as they are."""
    told = [_draw_text(rooms, settings, rng) for _ in range(settings.num_texts)]
    drawn = [rooms[int(i)] for i in rng.integers(len(rooms), size=settings.num_floorplans)]
    clouds = [_change_cloud(scan, rng) if is_changed else _plain_cloud(scan) for scan in scans]
    labels = [_voxel_labels(points, classes, looks) for points, _, classes, looks in clouds]
    views = [_draw_views(scan, settings, rng, is_changed=is_changed) for scan in scans]
    chosen = [scan.pictures[view] for scan, numbers in zip(scans, views, strict=True) for view in numbers.tolist()]
    shown = [show_changed(picture, rng) if is_changed else show(picture) for picture in chosen]
    texts = [_scan_text(scan, settings, rng) for scan in scans]
    firsts = np.repeat(np.arange(len(scans)), [len(part[0]) for part in labels])
    return InventoryBatch(
        words=torch.from_numpy(batch_tokens([text for text, _ in told])),
        said=torch.from_numpy(vocabulary.traits.presence([said for _, said in told])),
        plans=make_plan_batch([room.plan for room in drawn], vocabulary.kinds, rng),
        drawn=torch.from_numpy(vocabulary.traits.presence([room.traits for room in drawn])),
        slices=torch.from_numpy(np.stack([cloud_slices(points, colors) for points, colors, *_ in clouds])),
        voxels=torch.from_numpy(np.column_stack([firsts, np.concatenate([part[0] for part in labels])])),
        voxel_classes=torch.from_numpy(np.concatenate([part[1] for part in labels])),
        voxel_looks=torch.from_numpy(np.concatenate([part[2] for part in labels])),
        pixels=torch.from_numpy(np.stack([view.pixels for view in shown])),
        patches=torch.from_numpy(np.stack([view.patches for view in shown])),
        view_scans=torch.from_numpy(np.repeat(np.arange(len(scans)), [len(numbers) for numbers in views])),
        cell_classes=torch.from_numpy(np.stack([view.classes for view in shown])),
        cell_looks=torch.from_numpy(np.stack([view.looks for view in shown])),
        held=torch.from_numpy(vocabulary.traits.presence([scan.traits for scan in scans])),
        scan_words=torch.from_numpy(batch_tokens(texts, max_words=MAX_LONG_WORDS)),
    )


def _draw_text(
    rooms: Sequence[MadeUpRoom], settings: InventoryBatchSettings, rng: np.random.Generator
) -> tuple[str, frozenset[str]]:
    """One to three sentences about a room, and what they say."""
    room = rooms[int(rng.integers(len(rooms)))]
    count = 1 + int(rng.choice(len(_SENTENCE_SHARES), p=_SENTENCE_SHARES))
    parts = [draw_text(room, rng) for _ in range(count)]
    text = " ".join(part for part, _ in parts)
    text = disturb_text(text, rng) if rng.random() < settings.typos else text
    return text, frozenset().union(*(said for _, said in parts))


def _scan_text(scan: RoomFeatures, settings: InventoryBatchSettings, rng: np.random.Generator) -> str:
    """Some sentences about a scan."""
    sentences = [*scan.sentences, *(text for texts in scan.object_sentences for text in texts)] or ["nothing"]
    count = int(rng.integers(1, settings.max_sentences + 1))
    text = " ".join(sentences[i] for i in rng.permutation(len(sentences))[:count])
    return disturb_text(text, rng) if rng.random() < settings.typos else text


def _draw_views(
    scan: RoomFeatures, settings: InventoryBatchSettings, rng: np.random.Generator, *, is_changed: bool
) -> NDArray[np.intp]:
    """Numbers of some views, at least one; a scan without views is no scan to learn from."""
    most = min(settings.max_views, len(scan.pictures))
    count = int(rng.integers(1, most + 1)) if is_changed else most
    return np.asarray(rng.permutation(len(scan.pictures))[:count], np.intp)


def _plain_cloud(scan: RoomFeatures) -> _Cloud:
    classes, looks = scan.point_classes.astype(np.int64), scan.point_looks.astype(np.int64)
    return scan.points, scan.colors.astype(np.float32), classes, looks


def _change_cloud(scan: RoomFeatures, rng: np.random.Generator) -> _Cloud:
    """Thinned, a side cut off, mirrored, turned, noisy, in another light."""
    rows = rng.permutation(len(scan.points))[: max(1, int(len(scan.points) * rng.uniform(_MIN_POINTS_SHARE, 1)))]
    if rng.random() < _CUT_SHARE:
        direction = rng.uniform(-np.pi, np.pi)
        along = scan.points[rows, 0] * np.cos(direction) + scan.points[rows, 1] * np.sin(direction)
        rows = rows[along >= np.quantile(along, rng.uniform(0, _MAX_CUT))]
    points = scan.points[rows] * np.array([rng.choice((-1, 1)), 1, 1], np.float32)
    turn = rng.integers(4) * np.pi / 2 + (rng.normal(0, 0.05) if rng.random() < 0.6 else rng.uniform(-0.8, 0.8))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.float32)
    points = np.concatenate([points[:, :2] @ rotation.T, points[:, 2:]], axis=1)
    points = points * np.float32(1 + rng.normal(0, _SCALE_SPREAD)) + rng.normal(0, _POINT_NOISE_M, points.shape)
    light = np.exp(rng.normal(0, _LIGHT_SPREAD) + rng.normal(0, _TINT_SPREAD, 3))
    colors = np.clip(scan.colors[rows] * light, 0, 255)
    classes, looks = scan.point_classes[rows].astype(np.int64), scan.point_looks[rows].astype(np.int64)
    return points.astype(np.float32), colors.astype(np.float32), classes, looks


def _voxel_labels(points: Float32Array, classes: NDArray[np.int64], looks: NDArray[np.int64]) -> _Labels:
    """(N, 3) voxels of 2 x 2 cells in rising order, and the class and look that most of their points have."""
    places = slice_places(points)
    is_inside = places[:, 0] >= 0
    places = places[is_inside] // np.array([1, 2, 2])
    size = SLICE_GRID // 2
    voxels = (places[:, 0] * size + places[:, 1]) * size + places[:, 2]
    # 1 more, so that -1 is 0
    kinds = (classes[is_inside] + 1) * 256 + looks[is_inside] + 1
    keys, counts = np.unique(voxels * 65536 + kinds, return_counts=True)
    weights = counts * np.where(keys % 256 > 0, _THING_WEIGHT, 1)
    order = np.lexsort((weights, keys // 65536))
    is_last = np.append(np.diff(keys[order] // 65536) > 0, True)
    chosen = keys[order][is_last]
    found, kinds = chosen // 65536, chosen % 65536
    rows = np.column_stack([found // size**2, found // size % size, found % size])
    return rows, kinds // 256 - 1, kinds % 256 - 1
