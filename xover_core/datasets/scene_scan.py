# SPDX-License-Identifier: Apache-2.0
"""A scan of a scene in all its modalities, as CrossOver learns from it; some of them may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import DatasetError
from xover_core.types import CameraIntrinsics, Float32Array, Float64Array, Mat4


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanView:
    """One picture of a scan.

    Attributes:
        rgb: (H, W, 3) uint8, upright.
        depth: (H, W) float32 metres registered to colour, 0 = no reading; None when there is none.
        instance: (H, W) int32 object ids, 0 = no object; None when nobody knows.
        intrinsics: of both.
        T_scan_camera: (4, 4), optical frame.
    """

    rgb: NDArray[np.uint8]
    depth: Float32Array | None
    instance: NDArray[np.int32] | None
    intrinsics: CameraIntrinsics
    T_scan_camera: Mat4


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanObject:
    """One object of a scan.

    Attributes:
        object_id: positive; the same object in a rescan of the place has the same id.
        label: its English noun.
        center: (3,) of its axis-aligned box in the scan's frame, m.
        size: (3,) of the box, m.
        cad_points: (P, 3) float32 points on its CAD model as placed in the scan; None without.
        sentences: referrals whose target it is.
    """

    object_id: int
    label: str
    center: Float64Array
    size: Float64Array
    cad_points: Float32Array | None = None
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFloorplan:
    """A drawing from above.

    Attributes:
        image: (H, W, 3) uint8 RGB on white paper.
        pixels_per_m: its scale; None when nobody knows.
    """

    image: NDArray[np.uint8]
    pixels_per_m: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneScan:
    """One scan of a place. Frame: z up, metres, any origin; rescans of a place share the frame.

    Attributes:
        scan_id: unique in its dataset.
        place_id: the same for all scans of a place; that of the reference scan where a dataset has one.
        category: kind of room, in English; empty when nobody knows.
        points: (N, 3) float32.
        colors: (N, 3) uint8 RGB.
        instance: (N,) int32 object ids, 0 = none.
        objects: by rising id.
        views: pictures, read when they are asked for; may be empty.
        floorplan: None without.
        sentences: about the scene as a whole or any of its objects.
        moved_ids: objects that stand elsewhere than in the reference scan of the place.
        things: by id in `instance`, what it is, walls and the like too, with its colour or material where it has one,
            as `sofa:red` (`procedural.room_traits`); empty when nobody knows.
        traits: what is true of the scene, in the same words; empty when nobody knows.
    """

    scan_id: str
    place_id: str
    category: str
    points: Float32Array
    colors: NDArray[np.uint8]
    instance: NDArray[np.int32]
    objects: tuple[ScanObject, ...]
    views: Sequence[ScanView] = ()
    floorplan: ScanFloorplan | None = None
    sentences: tuple[str, ...] = ()
    moved_ids: frozenset[int] = frozenset()
    things: Mapping[int, str] = field(default_factory=dict)
    traits: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Check that the arrays fit together.

        Raises:
            DatasetError: they do not.
        """
        shapes = self.points.shape, self.colors.shape, self.instance.shape
        count = len(self.points)
        if shapes != ((count, 3), (count, 3), (count,)):
            raise DatasetError(
                f"scan {self.scan_id}: expected points (N, 3), colors (N, 3) and instance (N,), got {shapes}."
            )
