# SPDX-License-Identifier: Apache-2.0
"""Tiny scans of rooms: boxes of some colours, seen by a few cameras, drawn from above, and told of."""

from __future__ import annotations

import numpy as np
from fake_scene_encoder import NAMED_COLORS
from numpy.typing import NDArray

from xover_core.datasets.scene_scan import ScanFloorplan, ScanObject, ScanView, SceneScan
from xover_core.geometry.transforms import make_pose
from xover_core.types import CameraIntrinsics

CAMERA = CameraIntrinsics(fx=30.0, fy=30.0, cx=15.5, cy=11.5, width=32, height=24)
CATEGORIES = ("kitchen", "office", "bedroom")
NOUNS = ("chair", "table", "sofa", "lamp")
OBJECTS_PER_ROOM, POINTS_PER_OBJECT, VIEWS_PER_ROOM = 4, 120, 6
MOVE_BY = 0.8


class MadeUpScans:
    """A `ScanSource`: rooms with ids `room-0`, ..., then a rescan of each of the first `num_rescans`."""

    def __init__(self, num_rooms: int, num_rescans: int = 0) -> None:
        self._keys = [(n, False) for n in range(num_rooms)] + [(n, True) for n in range(num_rescans)]

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(scan_id(*key) for key in self._keys)

    def scan(self, index: int) -> SceneScan:
        return make_room(*self._keys[index])


def scan_id(number: int, is_rescan: bool) -> str:
    return f"room-{number}-rescan" if is_rescan else f"room-{number}"


def make_room(number: int, is_rescan: bool = False) -> SceneScan:
    """A room of that number; in its rescan object 1 stands elsewhere."""
    rng = np.random.default_rng([7, number])
    names = rng.choice(list(NAMED_COLORS), OBJECTS_PER_ROOM)
    # shades, so that rooms of the same colour names differ
    shades = [np.clip(np.array(NAMED_COLORS[name]) + rng.integers(-15, 16, 3), 0, 255) for name in names]
    centers = rng.uniform([0, 0, 0.4], [4, 3, 0.6], (OBJECTS_PER_ROOM, 3))
    sizes = rng.uniform(0.3, 1.0, (OBJECTS_PER_ROOM, 3))
    centers[0, 0] += MOVE_BY * is_rescan
    noise = np.random.default_rng([8, number, is_rescan])
    parts = [c + s * noise.uniform(-0.5, 0.5, (POINTS_PER_OBJECT, 3)) for c, s in zip(centers, sizes, strict=True)]
    points = np.concatenate(parts).astype(np.float32)
    instance = np.repeat(np.arange(1, OBJECTS_PER_ROOM + 1), POINTS_PER_OBJECT).astype(np.int32)
    colors = np.array(shades, np.uint8)[instance - 1]
    objects = tuple(
        ScanObject(
            object_id=k + 1,
            label=NOUNS[k],
            center=centers[k],
            size=sizes[k],
            cad_points=parts[k].astype(np.float32),
            sentences=(f"the {names[k]} {NOUNS[k]}", f"a {NOUNS[k]} that is {names[k]}"),
        )
        for k in range(OBJECTS_PER_ROOM)
    )
    return SceneScan(
        scan_id=scan_id(number, is_rescan),
        place_id=scan_id(number, False),
        category=CATEGORIES[number % len(CATEGORIES)],
        points=points,
        colors=colors,
        instance=instance,
        objects=objects,
        views=tuple(_make_view(v, colors, instance, noise) for v in range(VIEWS_PER_ROOM)),
        floorplan=ScanFloorplan(image=_draw_floorplan(points, colors), pixels_per_m=8.0),
        sentences=tuple(sentence for item in objects for sentence in item.sentences),
        moved_ids=frozenset({1}) if is_rescan else frozenset(),
    )


def _make_view(
    number: int, colors: NDArray[np.uint8], instance: NDArray[np.int32], rng: np.random.Generator
) -> ScanView:
    """A picture whose columns are random points' colours; object 4 is in no picture."""
    seen = rng.choice(np.flatnonzero(instance < OBJECTS_PER_ROOM), CAMERA.width)
    seen = seen[np.argsort(instance[seen])]
    size = (CAMERA.height, CAMERA.width)
    turn = 2 * np.pi * number / VIEWS_PER_ROOM
    rotation = np.array([[np.cos(turn), 0, -np.sin(turn)], [np.sin(turn), 0, np.cos(turn)], [0, -1, 0]])
    return ScanView(
        rgb=np.broadcast_to(colors[seen], (*size, 3)).copy(),
        depth=np.full(size, 2.0, np.float32),
        instance=np.broadcast_to(instance[seen], size).copy(),
        intrinsics=CAMERA,
        T_scan_camera=make_pose(rotation, [2 + np.sin(turn), 1.5 + np.cos(turn), 1.2]),
    )


def _draw_floorplan(points: NDArray[np.float32], colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Points from above, 8 px for a metre, on white paper."""
    paper = np.full((48, 64, 3), 255, np.uint8)
    cells = np.clip(((points[:, :2] + 1) * 8).astype(int), 0, [63, 47])
    paper[cells[:, 1], cells[:, 0]] = colors
    return paper
