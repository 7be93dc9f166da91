# SPDX-License-Identifier: Apache-2.0
"""Scans, features and networks of the tests of CrossOver: made-up ones, and a small scanned apartment."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from xover_core.datasets.scene_scan import ScanFloorplan, ScanObject, ScanView, SceneScan
from xover_core.encoders.cloud_voxels import VOXEL_DIM
from xover_core.encoders.color_histogram import NUM_COLOR_CELLS
from xover_core.encoders.floorplan_raster import RASTER_SIZE
from xover_core.encoders.layout_signature import LAYOUT_DIM
from xover_core.encoders.object_inputs import CROP_SIZE, NUM_POINTS, POINT_DIM
from xover_core.networks.light_crossover import LightCrossover, LightShape
from xover_core.training.feature_folder import PlaceFeatures
from xover_core.training.inventory_vocabulary import CLASSES, LOOKS
from xover_core.training.room_features import FEATURES_SUFFIX, MAX_CROPS, RoomFeatures, save_features
from xover_core.training.room_scans import RoomScansSettings, scan_rooms
from xover_core.training.view_pictures import LABEL_PX, PictureStack, stack_pictures
from xover_core.types import CameraIntrinsics

SEED = 3
SETTINGS = RoomScansSettings(
    num_views=4, num_rescan_views=3, num_cloud_views=4, width=96, height=72, max_rooms=3, num_workers=0,
    lookalike_probability=0.0,
)  # fmt: skip
TINY = LightShape(
    token_dim=6, num_tokens=4, voxel_dim=VOXEL_DIM, point_dim=POINT_DIM, color_dim=NUM_COLOR_CELLS,
    layout_dim=LAYOUT_DIM, view_dim=32,
)  # fmt: skip
CAMERA = CameraIntrinsics(fx=30.0, fy=31.0, cx=15.5, cy=11.0, width=32, height=24)
CATEGORIES = ("kitchen", "office")
_WORDS = ("apple", "boat", "cloud", "desk", "eagle", "fork", "guitar", "hat", "ink", "jacket", "kettle", "ladder")


@functools.cache
def scanned_rooms() -> tuple[SceneScan, ...]:
    """The rooms of a small apartment and their rescans, rendered once for all tests."""
    torch.set_num_threads(1)
    return tuple(scan_rooms(SEED, SETTINGS))


def make_view(number: int, camera: CameraIntrinsics = CAMERA) -> ScanView:
    """A smooth picture, depths of whole millimetres and ids beyond one byte."""
    rng = np.random.default_rng(number)
    rows, columns = np.indices((camera.height, camera.width))
    rgb = np.stack([60 + 3 * rows, 200 - 2 * columns, np.full_like(rows, 40 * number + 30)], axis=2)
    depth = rng.integers(0, 9000, rows.shape).astype(np.float32) / np.float32(1000)
    T = np.eye(4)
    T[:3, 3] = number, 2.0, 1.5
    return ScanView(
        rgb=rgb.astype(np.uint8),
        depth=depth,
        instance=rng.choice([0, 3, 40_000], rows.shape).astype(np.int32),
        intrinsics=camera,
        T_scan_camera=T,
    )


def make_scan(scan_id: str = "room", place_id: str = "", seed: int = 0) -> SceneScan:
    """A small scan with everything: 300 points, two objects of which one has a CAD model, two views, a floorplan."""
    rng = np.random.default_rng(seed)
    chair = ScanObject(
        object_id=3,
        label="chair",
        center=np.array([1.0, 0.5, 0.4]),
        size=np.array([0.5, 0.5, 0.8]),
        cad_points=rng.random((50, 3), np.float32),
        sentences=("the chair by the window", "a red chair"),
    )
    sofa = ScanObject(object_id=40_000, label="sofa", center=np.array([2.0, 2.0, 0.4]), size=np.array([2.0, 0.8, 0.8]))
    image = np.full((90, 60, 3), 255, np.uint8)
    image[10:80, 10:13] = image[10:13, 10:50] = (20, 60, 90)
    return SceneScan(
        scan_id=scan_id,
        place_id=place_id or scan_id,
        category="office",
        points=rng.uniform(0, (4, 3, 2.5), (300, 3)).astype(np.float32),
        colors=rng.integers(0, 256, (300, 3), dtype=np.uint8),
        instance=rng.choice([0, 3, 40_000], 300).astype(np.int32),
        objects=(chair, sofa),
        views=(make_view(0), make_view(1)),
        floorplan=ScanFloorplan(image=image, pixels_per_m=20.0),
        sentences=("an office with a chair", "Büro"),
        moved_ids=frozenset({3}),
        things={3: "chair:red", 40_000: "sofa"},
        traits=frozenset({"chair", "chair:red", "sofa", "room:office"}),
    )


def make_features(place: int, scan: int = 0) -> RoomFeatures:
    """Features of a scan of a place, alike in all scans of it: 3 views, 400 points, 3 objects; the last one is new."""
    of_place, of_scan = np.random.default_rng([place, 9]), np.random.default_rng([place, scan])
    size = of_place.uniform(1.5, 5.0, 3)
    color, token = of_place.uniform(20, 230, 3), of_place.normal(0, 1, (4, TINY.token_dim))
    raster = np.zeros((RASTER_SIZE, RASTER_SIZE), np.uint8)
    raster[: int(20 * size[0]), : int(20 * size[1])] = 200
    word = _WORDS[place % len(_WORDS)]
    count = 3
    shapes = of_place.normal(0, 0.4, (count, NUM_POINTS, POINT_DIM))
    return RoomFeatures(
        scan_id=f"place-{place:02d}" + (f"-{scan}" if scan else ""),
        place_id=f"place-{place:02d}",
        category=CATEGORIES[place % len(CATEGORIES)],
        tokens=(token + of_scan.normal(0, 0.1, (3, 4, TINY.token_dim))).astype(np.float16),
        view_colors=np.eye(NUM_COLOR_CELLS, dtype=np.float16)[[place, place, place + 1]],
        points=((of_scan.random((400, 3)) - (0.5, 0.5, 0.0)) * size).astype(np.float32),
        colors=np.clip(color + of_scan.normal(0, 10, (400, 3)), 0, 255).astype(np.uint8),
        raster=raster,
        sentences=(f"the room with the {word}",),
        object_ids=np.array([5, 2, 10 + scan], np.int32),
        locations=np.concatenate([of_place.uniform(-1, 1, (count, 3)), of_place.uniform(0.2, 1, (count, 3))], axis=1)
        .astype(np.float32),
        object_points=shapes.astype(np.float32),
        cad_points=shapes.astype(np.float32),
        crops=of_place.integers(0, 256, (count, MAX_CROPS, CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8),
        num_crops=np.array([2, 1, 0]),
        has_points=np.array([True, True, False]),
        has_cad=np.array([True, False, True]),
        object_sentences=((f"the {word}", f"the big {word}"), ("the lamp",), ()),
        labels=(word, "lamp", "box"),
        point_classes=np.where(np.arange(400) < 200, place % len(CLASSES), -1).astype(np.int8),
        point_looks=np.where(np.arange(400) < 100, place % len(LOOKS), -1).astype(np.int8),
        pictures=make_pictures(place, scan),
        traits=("room:office", f"{CLASSES[place % len(CLASSES)]}"),
        things=(f"{CLASSES[place % len(CLASSES)]}:{LOOKS[place % len(LOOKS)]}", "wall"),
    )  # fmt: skip


def make_pictures(place: int, scan: int = 0, count: int = 3) -> PictureStack:
    """Small pictures of views: the upper half is known to show one thing, the left quarter its look."""
    rng = np.random.default_rng([place, scan, 3])
    height, width = 16, 32
    classes, looks = (np.full((count, height // LABEL_PX, width // LABEL_PX), -1, np.int8) for _ in range(2))
    classes[:, :4], looks[:, :4, :4] = place % len(CLASSES), place % len(LOOKS)
    return PictureStack(
        rgb=rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8),
        depth_mm=rng.integers(0, 5000, (count, height, width), dtype=np.uint16),
        cameras=np.tile([30.0, 31.0, 15.5, 7.0], (count, 1)),
        patches=rng.integers(-127, 128, (count, 2, 4, 5), dtype=np.int8),
        classes=classes,
        looks=looks,
    )


def without(features: RoomFeatures, *, views: bool = False, plan: bool = False, objects: bool = False) -> RoomFeatures:
    """The same scan without its views and crops, without words and floorplan, or without objects."""
    if views:
        features = replace(
            features,
            tokens=features.tokens[:0],
            view_colors=features.view_colors[:0],
            num_crops=0 * features.num_crops,
            pictures=stack_pictures([]),
        )
    if plan:
        features = replace(features, raster=None, sentences=(), object_sentences=((),) * len(features.labels))
    if objects:
        rows = ("object_ids", "locations", "object_points", "cad_points", "crops", "num_crops", "has_points",
                "has_cad", "object_sentences", "labels")  # fmt: skip
        features = replace(features, **{name: getattr(features, name)[:0] for name in rows})
    return features


def place_features(folder: Path, scans: list[RoomFeatures]) -> PlaceFeatures:
    """Features by way of files."""
    paths = [folder / f"{scan.scan_id}{FEATURES_SUFFIX}" for scan in scans]
    for scan, path in zip(scans, paths, strict=True):
        save_features(scan, path)
    return PlaceFeatures(paths)


def tiny_light(shape: LightShape = TINY, seed: int = 0) -> LightCrossover:
    """A network with random weights, always the same, that sees tokens as they are."""
    torch.manual_seed(seed)
    model = LightCrossover(shape)
    model.views.set_statistics(torch.zeros(shape.token_dim), torch.ones(shape.token_dim))
    return model


def threads_of(number: int) -> str:
    """A job: how many threads the process uses; negative ones fail."""
    if number < 0:
        raise ValueError(f"job {number}")
    return f"{number}: {torch.get_num_threads()}"
