# SPDX-License-Identifier: Apache-2.0
"""From a scan to what a scene encoder reads: views far from each other, texts of referrals, objects with crops."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.scene_scan import ScanObject, ScanView, SceneScan
from xover_core.encoders.scene_encoder import ColoredPoints, ObjectInput
from xover_core.evaluation.protocols.labelled_patches import spread_indices
from xover_core.geometry.pose_sampling import farthest_poses
from xover_core.types import RgbdFrame

MIN_OBJECT_POINTS = 50
"""Objects with fewer points have no cloud, as in CrossOver."""
CROPS_PER_OBJECT = 3
# A smaller part of an object says little.
_MIN_CROP_PX = 64
# The crop is wider and higher than the object by this share of its size, on each side.
_CROP_MARGIN = 0.1
# Views are read with their pictures, so of a long scan only so many are looked at for each one that is chosen.
_READ_PER_CHOSEN = 3


def choose_views(views: Sequence[ScanView], count: int, seed: int) -> list[ScanView]:
    """At most `count` views, each far from those before it, so that the first n are a good choice of n."""
    read = [views[index] for index in spread_indices(len(views), _READ_PER_CHOSEN * count)] if len(views) else []
    if not read:
        return []
    poses = np.stack([view.T_scan_camera for view in read])
    return [read[index] for index in farthest_poses(poses, count, seed).tolist()]


def frame_of(view: ScanView, *, has_depth: bool = True) -> RgbdFrame:
    """A view as an encoder reads it, without its pose, and without its depth if so wished."""
    depth = view.depth if has_depth else None
    return RgbdFrame(stamp_ns=0, rgb=view.rgb, depth=depth, intrinsics=view.intrinsics)


def cloud_of(scan: SceneScan) -> ColoredPoints | None:
    """The whole cloud; None when it is empty."""
    return ColoredPoints(points=scan.points, colors=scan.colors) if len(scan.points) else None


def sentences_of(scan: SceneScan, seed: int) -> tuple[str, ...]:
    """What is said of a scan and its objects, in random order; the same for the same scan whatever else is read."""
    of_objects = (sentence for item in scan.objects for sentence in item.sentences)
    said = tuple(dict.fromkeys((*scan.sentences, *of_objects)))
    digest = hashlib.sha256(scan.scan_id.encode()).digest()
    rng = np.random.default_rng([seed, int.from_bytes(digest[:4], "little")])
    return tuple(said[index] for index in rng.permutation(len(said)).tolist())


def object_inputs(scan: SceneScan, views: Sequence[ScanView]) -> list[ObjectInput]:
    """The objects of a scan in all modalities, in their order; pictures are crops of `views`."""
    sizes = [_pixels_of_objects(view, scan.objects) for view in views]
    return [
        ObjectInput(
            center=item.center.astype(np.float32),
            size=item.size.astype(np.float32),
            cloud=_object_cloud(scan, item.object_id),
            cad_points=item.cad_points,
            images=_crops(item.object_id, views, np.array([pixels[row] for pixels in sizes], np.int64)),
            sentences=item.sentences,
        )
        for row, item in enumerate(scan.objects)
    ]


def _object_cloud(scan: SceneScan, object_id: int) -> ColoredPoints | None:
    """What was scanned of an object; None for too little."""
    rows = scan.instance == object_id
    if rows.sum() < MIN_OBJECT_POINTS:
        return None
    return ColoredPoints(points=scan.points[rows], colors=scan.colors[rows])


def _pixels_of_objects(view: ScanView, objects: Sequence[ScanObject]) -> NDArray[np.int64]:
    """(K,) pixels of each object in a view; 0 when nobody knows."""
    ids = np.array([item.object_id for item in objects], np.int64)
    if view.instance is None or not len(ids):
        return np.zeros(len(ids), np.int64)
    counts = np.bincount(np.maximum(view.instance, 0).ravel(), minlength=int(ids.max()) + 1)
    return np.asarray(counts[ids], np.int64)


def _crops(object_id: int, views: Sequence[ScanView], num_pixels: NDArray[np.int64]) -> tuple[NDArray[np.uint8], ...]:
    """Crops of the views that show most of an object, most first."""
    best = np.argsort(-num_pixels, kind="stable")[:CROPS_PER_OBJECT]
    shown = [views[index] for index in best.tolist() if num_pixels[index] >= _MIN_CROP_PX]
    return tuple(_crop(view.rgb, view.instance == object_id) for view in shown if view.instance is not None)


def _crop(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The part of a picture around a mask that is not empty."""
    rows, columns = np.nonzero(mask)
    low, high = np.array([rows.min(), columns.min()]), np.array([rows.max(), columns.max()]) + 1
    margin = np.ceil(_CROP_MARGIN * (high - low)).astype(np.int64)
    top, left = np.maximum(low - margin, 0)
    bottom, right = high + margin
    return rgb[top:bottom, left:right]
