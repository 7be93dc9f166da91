# SPDX-License-Identifier: Apache-2.0
"""Scans as training sees them, in files: tokens of views, thinned clouds, rasters of floorplans, texts and objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.scene_scan import ScanObject, ScanView, SceneScan
from xover_core.datasets.tensor_file import TensorFormat
from xover_core.encoders.color_histogram import NUM_COLOR_CELLS, color_histogram
from xover_core.encoders.floorplan_raster import rasterize
from xover_core.encoders.object_inputs import CROP_SIZE, NUM_POINTS, object_crop, object_points
from xover_core.encoders.view_tokens import ViewTokenizer
from xover_core.errors import TrainingError
from xover_core.training.inventory_vocabulary import ThingCodes, codes_of
from xover_core.training.view_pictures import PictureStack, stack_pictures, take_picture
from xover_core.types import Float32Array, RgbdFrame

FEATURES_SUFFIX = ".features.safetensors"
MAX_CROPS = 2
_FORMAT = TensorFormat(name="xover room features", version="4", what="features", error=TrainingError)
# Clouds are thinned to so many points: a room has some thousand voxels.
_MAX_POINTS = 25_000
_MIN_CROP_PIXELS = 60
_CROP_MARGIN = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomFeatures:
    """One scan. V views, N points, K objects; V and K may be 0.

    Attributes:
        scan_id: its name.
        place_id: the same for rescans of a place.
        category: kind of room.
        tokens: (V, T, C) float16 of `ViewTokenizer`.
        view_colors: (V, H) float16 histograms of colours.
        points: (N, 3) float32 metres, the middle of the room near the origin.
        colors: (N, 3) uint8.
        raster: (112, 112) uint8 ink of the floorplan, 0 to 255; None without.
        sentences: about the scene.
        object_ids: (K,) int32.
        locations: (K, 6) float32 centre and size of boxes, in the frame of `points`.
        object_points: (K, 128, 6) float32 and whether there are any.
        cad_points: (K, 128, 6) float32.
        crops: (K, 2, 32, 32, 3) uint8.
        num_crops: (K,) int64.
        has_points: (K,) bool.
        has_cad: (K,) bool.
        object_sentences: of each object.
        labels: of each object.
        point_classes: (N,) int8 rows of `inventory_vocabulary.CLASSES`; -1 where nobody knows.
        point_looks: (N,) int8 rows of `inventory_vocabulary.LOOKS`; -1 without.
        pictures: of the views, and what they show.
        traits: of the scene.
        things: names of what is in the cloud.
    """

    scan_id: str
    place_id: str
    category: str
    tokens: NDArray[np.float16]
    view_colors: NDArray[np.float16]
    points: Float32Array
    colors: NDArray[np.uint8]
    raster: NDArray[np.uint8] | None
    sentences: tuple[str, ...]
    object_ids: NDArray[np.int32]
    locations: Float32Array
    object_points: Float32Array
    cad_points: Float32Array
    crops: NDArray[np.uint8]
    num_crops: NDArray[np.int64]
    has_points: NDArray[np.bool_]
    has_cad: NDArray[np.bool_]
    object_sentences: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...]
    point_classes: NDArray[np.int8]
    point_looks: NDArray[np.int8]
    pictures: PictureStack
    traits: tuple[str, ...]
    things: tuple[str, ...]


def extract_features(scan: SceneScan, tokenizer: ViewTokenizer, seed: int = 0) -> RoomFeatures:
    """Everything that a training step would otherwise compute again and again.

    Raises:
        TrainingError: the scan has no points.
    """
    if not len(scan.points):
        raise TrainingError(f"scan {scan.scan_id}: expected points, got none; leave it out.")
    rng = np.random.default_rng(seed)
    views = list(scan.views)
    shift = np.append(np.median(scan.points[:, :2], axis=0), 0).astype(np.float32)
    kept = rng.permutation(len(scan.points))[:_MAX_POINTS]
    crops, num_crops = _crops_of(scan.objects, views)
    clouds = [scan.instance == scanned.object_id for scanned in scan.objects]
    codes = codes_of(scan.things)
    seen = np.minimum(scan.instance[kept], len(codes.classes) - 1)
    tokens, pictures = _seen_of(views, tokenizer, codes)
    return RoomFeatures(
        scan_id=scan.scan_id,
        place_id=scan.place_id,
        category=scan.category,
        tokens=tokens,
        view_colors=_view_colors(views),
        points=scan.points[kept] - shift,
        colors=scan.colors[kept],
        raster=_raster_of(scan),
        sentences=scan.sentences,
        object_ids=np.array([o.object_id for o in scan.objects], np.int32),
        locations=_locations_of(scan.objects) - np.concatenate([shift, np.zeros(3, np.float32)]),
        object_points=_stack([_cloud_points(scan, mask, rng) for mask in clouds]),
        cad_points=_stack([_cad_points(o, rng) for o in scan.objects]),
        crops=crops,
        num_crops=num_crops,
        has_points=np.array([mask.any() for mask in clouds], bool),
        has_cad=np.array([o.cad_points is not None for o in scan.objects], bool),
        object_sentences=tuple(o.sentences for o in scan.objects),
        labels=tuple(o.label for o in scan.objects),
        point_classes=codes.classes[seen].astype(np.int8),
        point_looks=codes.looks[seen].astype(np.int8),
        pictures=pictures,
        traits=tuple(sorted(scan.traits)),
        things=tuple(sorted({scan.things[i] for i in np.unique(scan.instance).tolist() if i in scan.things})),
    )


_ARRAYS = (
    "tokens", "view_colors", "points", "colors", "object_ids", "locations", "object_points", "cad_points", "crops",
    "num_crops", "has_points", "has_cad", "point_classes", "point_looks",
)  # fmt: skip
_PICTURES = "pictures."


def save_features(features: RoomFeatures, path: Path) -> None:
    """Write one file, renamed when complete.

    Raises:
        TrainingError: it cannot be written.
    """
    arrays = {name: getattr(features, name) for name in _ARRAYS}
    arrays |= {name: arrays[name].astype(np.float16) for name in ("object_points", "cad_points")}
    arrays |= {_PICTURES + field.name: getattr(features.pictures, field.name) for field in fields(PictureStack)}
    if features.raster is not None:
        arrays["raster"] = features.raster
    facts = {
        "scan_id": features.scan_id,
        "place_id": features.place_id,
        "category": features.category,
        "sentences": features.sentences,
        "object_sentences": features.object_sentences,
        "labels": features.labels,
        "traits": features.traits,
        "things": features.things,
    }
    _FORMAT.write(path, arrays, {"facts": json.dumps(facts)})


def load_features(path: Path) -> RoomFeatures:
    """Read one file.

    Raises:
        TrainingError: no such file, damaged, or not made by `save_features`.
    """
    with _FORMAT.reading(path) as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        facts = json.loads(file.metadata()["facts"])
        arrays |= {name: arrays[name].astype(np.float32) for name in ("object_points", "cad_points")}
        return RoomFeatures(
            scan_id=facts["scan_id"],
            place_id=facts["place_id"],
            category=facts["category"],
            sentences=tuple(facts["sentences"]),
            object_sentences=tuple(tuple(texts) for texts in facts["object_sentences"]),
            labels=tuple(facts["labels"]),
            traits=tuple(facts["traits"]),
            things=tuple(facts["things"]),
            raster=arrays.get("raster"),
            pictures=PictureStack(**{field.name: arrays[_PICTURES + field.name] for field in fields(PictureStack)}),
            **{name: arrays[name] for name in _ARRAYS},
        )


def _seen_of(
    views: Sequence[ScanView], tokenizer: ViewTokenizer, codes: ThingCodes
) -> tuple[NDArray[np.float16], PictureStack]:
    """(V, T, C) tokens and pictures of all views."""
    tokens, pictures = [], []
    for number, view in enumerate(views):
        frame = RgbdFrame(stamp_ns=number, rgb=view.rgb, depth=view.depth, intrinsics=view.intrinsics)
        patches = tokenizer.patches(frame)
        tokens.append(tokenizer.pool(frame, patches).astype(np.float16))
        pictures.append(take_picture(view, patches, codes))
    none = np.zeros((0, tokenizer.num_tokens, tokenizer.token_dim), np.float16)
    return np.stack(tokens) if tokens else none, stack_pictures(pictures)


def _view_colors(views: Sequence[ScanView]) -> NDArray[np.float16]:
    """(V, H)."""
    rows = [color_histogram(view.rgb) for view in views]
    return np.array(rows, np.float16).reshape(-1, NUM_COLOR_CELLS)


def _raster_of(scan: SceneScan) -> NDArray[np.uint8] | None:
    if scan.floorplan is None:
        return None
    ink = rasterize(scan.floorplan.image, scan.floorplan.pixels_per_m)
    return np.asarray(np.rint(ink * 255), np.uint8)


def _locations_of(objects: Sequence[ScanObject]) -> Float32Array:
    """(K, 6)."""
    rows = [np.concatenate([scanned.center, scanned.size]) for scanned in objects]
    return np.asarray(np.array(rows, np.float32).reshape(-1, 6))


def _cloud_points(scan: SceneScan, mask: NDArray[np.bool_], rng: np.random.Generator) -> Float32Array | None:
    return object_points(scan.points[mask], scan.colors[mask], rng) if mask.any() else None


def _cad_points(scanned: ScanObject, rng: np.random.Generator) -> Float32Array | None:
    return None if scanned.cad_points is None else object_points(scanned.cad_points, None, rng)


def _stack(rows: Sequence[Float32Array | None]) -> Float32Array:
    """(K, 128, 6), zero where there is nothing."""
    empty = np.zeros((NUM_POINTS, 6), np.float32)
    return np.asarray(np.stack([empty if row is None else row for row in rows]) if rows else empty[None][:0])


def _crops_of(
    objects: Sequence[ScanObject], views: Sequence[ScanView]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:  # fmt: skip
    """Crops of each object from the views that show most of it, and how many there are."""
    crops = np.zeros((len(objects), MAX_CROPS, CROP_SIZE, CROP_SIZE, 3), np.uint8)
    num_crops = np.zeros(len(objects), np.int64)
    seen: dict[int, list[tuple[int, int]]] = {}
    for number, view in enumerate(views):
        if view.instance is not None:
            for object_id, count in zip(*np.unique(view.instance, return_counts=True), strict=True):
                seen.setdefault(int(object_id), []).append((-int(count), number))
    for row, scanned in enumerate(objects):
        best = [number for count, number in sorted(seen.get(scanned.object_id, [])) if -count >= _MIN_CROP_PIXELS]
        for slot, number in enumerate(best[:MAX_CROPS]):
            crops[row, slot] = crop_object(views[number], scanned.object_id)
        num_crops[row] = min(len(best), MAX_CROPS)
    return crops, num_crops


def crop_object(view: ScanView, object_id: int) -> NDArray[np.uint8]:
    """(32, 32, 3) uint8: the box around an object that is seen in a view, with a margin."""
    assert view.instance is not None, "the caller knows that the object is seen"
    rows, columns = np.nonzero(view.instance == object_id)
    margin_y, margin_x = (1 + int(_CROP_MARGIN * np.ptp(along)) for along in (rows, columns))
    top, left = max(rows.min() - margin_y, 0), max(columns.min() - margin_x, 0)
    return object_crop(view.rgb[top : rows.max() + margin_y + 1, left : columns.max() + margin_x + 1])
