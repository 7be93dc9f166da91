# SPDX-License-Identifier: Apache-2.0
"""Scenes -> batches: which come together, what of each is shown, and how it is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.encoders.cloud_voxels import voxelize
from xover_core.encoders.color_histogram import color_histogram
from xover_core.encoders.floorplan_raster import RASTER_SIZE
from xover_core.encoders.layout_signature import cloud_layout, drawn_layout
from xover_core.encoders.object_inputs import CROP_SIZE, POINT_DIM
from xover_core.encoders.text_tokens import batch_tokens
from xover_core.networks.light_crossover import ObjectTensors
from xover_core.networks.sparse_tensor import SparseTensor, make_sparse_tensor
from xover_core.training.crossover_settings import RoomBatchSettings
from xover_core.training.feature_folder import PlaceFeatures
from xover_core.training.room_features import RoomFeatures
from xover_core.training.text_disturbance import disturb_text
from xover_core.types import Float32Array, SceneModality

_CUT_SHARE, _MAX_CUT = 0.25, 0.35
_CLOUD_NOISE_M = 0.01
_SCALE_SPREAD = 0.04
# Free descriptions and referrals that are joined into one text.
_MAX_REFERRALS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneTensors:
    """One scan of each of B places.

    Attributes:
        tokens: (V, T, C) of the views of all scans.
        view_colors: (V, H) histograms of their colours.
        view_scenes: (V,) int64: whose view it is.
        cloud: voxels of the B clouds.
        cloud_colors: (B, H) histograms of their colours.
        cloud_layouts: (B, S) signatures of what stands where in them.
        rasters: (B, H, W).
        raster_layouts: (B, S) signatures of what is drawn in them.
        words: (B, W, G).
        objects: of the B scans.
        masks: (B,) bool by modality.
    """

    tokens: Tensor
    view_colors: Tensor
    view_scenes: Tensor
    cloud: SparseTensor
    cloud_colors: Tensor
    cloud_layouts: Tensor
    rasters: Tensor
    raster_layouts: Tensor
    words: Tensor
    objects: ObjectTensors
    masks: Mapping[SceneModality, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomBatch:
    """B places, each in two scans where there are two, else twice in the same.

    Attributes:
        first: with everything.
        second: objects in the same rows as in `first` where both have them; None where rescans are left out.
        rooms: the scans that `first` shows.
    """

    first: SceneTensors
    second: SceneTensors | None
    rooms: tuple[RoomFeatures, ...]


class RoomSampler:
    """Which places come together: any, or those of a category."""

    def __init__(self, places: PlaceFeatures, settings: RoomBatchSettings) -> None:
        self._settings = settings
        self._categories = np.array([places.place(i)[0].category for i in range(len(places))])

    def __len__(self) -> int:
        """Batches that show every place about once."""
        return max(1, len(self._categories) // self._settings.num_scenes)

    def draw(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """Indices of the places of one batch, each once."""
        count = min(self._settings.num_scenes, len(self._categories))
        order = rng.permutation(len(self._categories))
        if rng.random() < self._settings.same_category:
            category = self._categories[order[0]]
            is_same = self._categories[order] == category
            order = np.concatenate([order[is_same], order[~is_same]])
        return np.asarray(order[:count], np.intp)


def make_batch(
    places: Sequence[tuple[RoomFeatures, ...]], settings: RoomBatchSettings, rng: np.random.Generator
) -> RoomBatch:
    """Draw two scans of each place and show some of each, changed at random.

    With `settings.is_changed` false, for measuring: reference scans and first rescans, all views, nothing changed.
    """
    firsts, seconds = [], []
    for scans in places:
        order = rng.permutation(len(scans)) if settings.is_changed else np.arange(min(len(scans), 2))
        firsts.append(scans[order[0]])
        seconds.append(scans[order[-1]])
    rows = [_object_rows(a, b, settings.max_objects, rng) for a, b in zip(firsts, seconds, strict=True)]
    first = _scene_tensors(firsts, [row[0] for row in rows], settings, rng)
    if settings.is_changed and rng.random() >= settings.rescan_share:
        return RoomBatch(first=first, second=None, rooms=tuple(firsts))
    second = _scene_tensors(seconds, [row[1] for row in rows], settings, rng)
    return RoomBatch(first=first, second=second, rooms=tuple(firsts))


def _object_rows(
    first: RoomFeatures, second: RoomFeatures, max_objects: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each of some objects its row in either scan, -1 where it is not there."""
    ids = rng.permutation(np.union1d(first.object_ids, second.object_ids))[:max_objects]
    return tuple(  # type: ignore[return-value]
        np.array([np.flatnonzero(scan.object_ids == i)[0] if i in scan.object_ids else -1 for i in ids], np.intp)
        for scan in (first, second)
    )


def _scene_tensors(
    scans: Sequence[RoomFeatures],
    rows: Sequence[NDArray[np.intp]],
    settings: RoomBatchSettings,
    rng: np.random.Generator,
) -> SceneTensors:
    views = [_draw_views(scan, settings, rng) for scan in scans]
    has_floorplan = [scan.raster is not None for scan in scans]
    texts = [draw_text(scan, settings, rng) for scan in scans]
    # encoders of scenes always have something to do; what stands in for what is missing is masked
    tokens = np.concatenate([scan.tokens[chosen] for scan, chosen in zip(scans, views, strict=True)])
    colors = np.concatenate([scan.view_colors[chosen] for scan, chosen in zip(scans, views, strict=True)])
    clouds = [_change_cloud(scan, settings, rng) for scan in scans]
    rasters = [_change_raster(scan.raster, settings, rng) for scan in scans]
    scenes = np.repeat(np.arange(len(scans)), [len(chosen) for chosen in views])
    present = {
        SceneModality.IMAGE: [len(chosen) > 0 for chosen in views],
        SceneModality.POINT_CLOUD: [True] * len(scans),
        SceneModality.FLOORPLAN: has_floorplan,
        SceneModality.TEXT: [bool(text) for text in texts],
    }
    return SceneTensors(
        tokens=torch.from_numpy(tokens.astype(np.float32)),
        view_colors=torch.from_numpy(colors.astype(np.float32)),
        view_scenes=torch.from_numpy(scenes),
        cloud=_stack_clouds(clouds),
        cloud_colors=torch.from_numpy(np.stack([color_histogram(tints) for _, tints in clouds])),
        cloud_layouts=torch.from_numpy(np.stack([cloud_layout(points) for points, _ in clouds])),
        rasters=torch.from_numpy(np.stack(rasters)),
        raster_layouts=torch.from_numpy(np.stack([drawn_layout(raster) for raster in rasters])),
        words=torch.from_numpy(batch_tokens([text or "nothing" for text in texts])),
        objects=_object_tensors(scans, rows, settings, rng),
        masks={modality: torch.tensor(values) for modality, values in present.items()},
    )


def _draw_views(scan: RoomFeatures, settings: RoomBatchSettings, rng: np.random.Generator) -> NDArray[np.intp]:
    """Some views, or none where there are none."""
    most = min(settings.max_views, len(scan.tokens))
    if not most:
        return np.zeros(0, np.intp)
    if not settings.is_changed:
        return np.arange(most)
    count = 1 if rng.random() < settings.single_view else int(rng.integers(1, most + 1))
    return np.asarray(rng.permutation(len(scan.tokens))[:count], np.intp)


def draw_text(scan: RoomFeatures, settings: RoomBatchSettings, rng: np.random.Generator) -> str:
    """Referrals joined, or a free description, or both; empty where nothing is said."""
    referrals = [text for texts in scan.object_sentences for text in texts]
    if not settings.is_changed:
        return " ".join(referrals[i] for i in rng.permutation(len(referrals))[:_MAX_REFERRALS])
    parts = []
    if referrals and (rng.random() < 0.6 or not scan.sentences):
        count = min(int(rng.integers(3, _MAX_REFERRALS + 1)), len(referrals))
        parts = [referrals[i] for i in rng.permutation(len(referrals))[:count]]
    if scan.sentences and (not parts or rng.random() < 0.3):
        count = min(1 + int(rng.integers(0, 3)), len(scan.sentences))
        parts += [scan.sentences[i] for i in rng.permutation(len(scan.sentences))[:count]]
    text = " ".join(parts[i] for i in rng.permutation(len(parts)))
    return disturb_text(text, rng) if text and rng.random() < settings.typos else text


def _change_cloud(
    scan: RoomFeatures, settings: RoomBatchSettings, rng: np.random.Generator
) -> tuple[Float32Array, Float32Array]:  # fmt: skip
    """Points and colours turned about the vertical, a side cut off, thinned, noisy, in another light."""
    if not settings.is_changed:
        return scan.points, scan.colors.astype(np.float32)
    chosen = rng.permutation(len(scan.points))[: int(settings.cloud_points * rng.uniform(0.5, 1.0))]
    points = scan.points[chosen]
    if rng.random() < _CUT_SHARE:
        direction = rng.uniform(-np.pi, np.pi)
        along = points[:, 0] * np.cos(direction) + points[:, 1] * np.sin(direction)
        kept = along >= np.quantile(along, rng.uniform(0, _MAX_CUT))
        points, chosen = points[kept], chosen[kept]
    turn = rng.uniform(-np.pi, np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.float32)
    scale = np.float32(1 + rng.normal(0, _SCALE_SPREAD / 2))
    points = np.concatenate([points[:, :2] @ rotation.T, points[:, 2:]], axis=1) * scale
    points = points + rng.normal(0, _CLOUD_NOISE_M, points.shape).astype(np.float32)
    gain = np.exp(rng.normal(0, settings.color_gain) + rng.normal(0, settings.color_gain / 2, 3))
    colors = np.clip(scan.colors[chosen] * gain, 0, 255)
    return points.astype(np.float32), colors.astype(np.float32)


def _stack_clouds(clouds: Sequence[tuple[Float32Array, Float32Array]]) -> SparseTensor:
    coordinates, features = [], []
    for number, (points, colors) in enumerate(clouds):
        voxels = voxelize(points, colors)
        batch = np.full((len(voxels.coordinates), 1), number, np.int32)
        coordinates.append(np.concatenate([batch, voxels.coordinates], axis=1))
        features.append(voxels.features)
    return make_sparse_tensor(torch.from_numpy(np.concatenate(coordinates)), torch.from_numpy(np.concatenate(features)))


def _change_raster(
    raster: NDArray[np.uint8] | None, settings: RoomBatchSettings, rng: np.random.Generator
) -> Float32Array:
    """Ink in [0, 1], turned, scaled and shifted a little; empty where there is no floorplan."""
    if raster is None:
        return np.zeros((RASTER_SIZE, RASTER_SIZE), np.float32)
    if not settings.is_changed:
        return np.asarray(raster / np.float32(255), np.float32)
    middle = (RASTER_SIZE - 1) / 2
    degrees = 90.0 * rng.integers(4) + rng.normal(0, 4)
    matrix = cv2.getRotationMatrix2D((middle, middle), float(degrees), float(1 + rng.normal(0, _SCALE_SPREAD)))
    shift = rng.normal(0, 2, (2, 1))
    matrix = np.concatenate([matrix[:, :2], matrix[:, 2:] + shift], axis=1)
    changed = cv2.warpAffine(raster, matrix, (RASTER_SIZE, RASTER_SIZE)).astype(np.float32) / np.float32(255)
    return np.asarray(np.clip(changed * rng.uniform(0.6, 1.4), 0, 1), np.float32)


def _object_tensors(
    scans: Sequence[RoomFeatures],
    rows: Sequence[NDArray[np.intp]],
    settings: RoomBatchSettings,
    rng: np.random.Generator,
) -> ObjectTensors:
    width = max(1, *(len(row) for row in rows))
    has = {m: np.zeros((len(scans), width), bool) for m in _OBJECT_MODALITIES}
    locations = np.zeros((len(scans), width, 6), np.float32)
    points, cad_points, crops, texts = [], [], [], []
    for number, (scan, row) in enumerate(zip(scans, rows, strict=True)):
        turn = _draw_turn(settings, rng)
        for slot, index in enumerate(row):
            if index < 0:
                continue
            locations[number, slot] = _turned(scan.locations[index], turn)
            kept = {m: not settings.is_changed or rng.random() >= settings.missing for m in _OBJECT_MODALITIES}
            sentences = scan.object_sentences[index]
            if scan.has_points[index] and kept[SceneModality.POINT_CLOUD]:
                has[SceneModality.POINT_CLOUD][number, slot] = True
                points.append(_turned_points(scan.object_points[index], _draw_turn(settings, rng)))
            if scan.has_cad[index] and kept[SceneModality.CAD]:
                has[SceneModality.CAD][number, slot] = True
                cad_points.append(_turned_points(scan.cad_points[index], _draw_turn(settings, rng)))
            if scan.num_crops[index] and kept[SceneModality.IMAGE]:
                has[SceneModality.IMAGE][number, slot] = True
                crops.append(scan.crops[index, rng.integers(scan.num_crops[index])])
            if sentences and kept[SceneModality.TEXT]:
                has[SceneModality.TEXT][number, slot] = True
                texts.append(sentences[rng.integers(len(sentences))])
    pictures = _stacked(crops, (CROP_SIZE, CROP_SIZE, 3)).astype(np.float32).transpose(0, 3, 1, 2) / np.float32(255)
    return ObjectTensors(
        points=torch.from_numpy(_stacked(points, (1, POINT_DIM))),
        cad_points=torch.from_numpy(_stacked(cad_points, (1, POINT_DIM))),
        crops=torch.from_numpy(np.ascontiguousarray(pictures)),
        words=torch.from_numpy(batch_tokens(texts)),
        locations=torch.from_numpy(locations),
        masks={m: torch.from_numpy(mask) for m, mask in has.items()},
    )


_OBJECT_MODALITIES = (SceneModality.POINT_CLOUD, SceneModality.CAD, SceneModality.IMAGE, SceneModality.TEXT)


def _stacked(rows: Sequence[NDArray[Any]], shape: tuple[int, ...]) -> NDArray[Any]:
    """The rows in one array, or none of this shape."""
    return np.stack(rows) if rows else np.zeros((0, *shape), np.float32)


def _draw_turn(settings: RoomBatchSettings, rng: np.random.Generator) -> float:
    """An angle about the vertical, rad."""
    return float(rng.uniform(-np.pi, np.pi)) if settings.is_changed else 0.0


def _turned(location: Float32Array, turn: float) -> Float32Array:
    """Centre turned about the vertical; the box is that of the turned box."""
    cos, sin = np.cos(turn), np.sin(turn)
    x, y, z, width, depth, height = location
    return np.array(
        [
            cos * x - sin * y, sin * x + cos * y, z,
            abs(cos) * width + abs(sin) * depth, abs(sin) * width + abs(cos) * depth, height,
        ],
        np.float32,
    )  # fmt: skip


def _turned_points(points: Float32Array, turn: float) -> Float32Array:
    """(P, 6) points turned about the vertical; their colours stay."""
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.float32)
    return np.concatenate([points[:, :2] @ rotation.T, points[:, 2:]], axis=1)
