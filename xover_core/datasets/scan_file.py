# SPDX-License-Identifier: Apache-2.0
"""Scans in files: one safetensors file for each, whose pictures are compressed and read when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from xover_core.datasets.scene_scan import ScanFloorplan, ScanObject, ScanView, SceneScan
from xover_core.datasets.tensor_file import TensorFormat
from xover_core.errors import DatasetError
from xover_core.types import CameraIntrinsics

SCAN_SUFFIX = ".scan.safetensors"
_FORMAT = TensorFormat(name="xover scene scan", version="1", what="scan file", error=DatasetError)
_JPEG_QUALITY = 95
_MM_PER_M = 1000.0
_MAX_UINT16 = 65535

Bytes = NDArray[np.uint8]


def save_scan(scan: SceneScan, path: Path) -> None:
    """Write a scan; a reader sees the whole file or none, since it is renamed when complete.

    Colour is written as JPEG of quality 95, depth in millimetres. All views must have the same camera, and depth and
    instances or none of them.

    Raises:
        DatasetError: the file cannot be written, its views differ in what they have, or an object id in them is above
            65535.
    """
    arrays: dict[str, NDArray[Any]] = {
        "points": scan.points,
        "colors": scan.colors,
        "instance": scan.instance,
        "object_ids": np.array([o.object_id for o in scan.objects], np.int32),
        "object_centers": np.array([o.center for o in scan.objects], np.float64).reshape(-1, 3),
        "object_sizes": np.array([o.size for o in scan.objects], np.float64).reshape(-1, 3),
    }
    for scanned in scan.objects:
        if scanned.cad_points is not None:
            arrays[f"cad.{scanned.object_id}"] = scanned.cad_points.astype(np.float32)
    if scan.floorplan is not None:
        arrays["floorplan"] = _encoded(".png", scan.floorplan.image[:, :, ::-1])
    if scan.views:
        arrays |= _view_arrays(scan)
    facts = {
        "scan_id": scan.scan_id,
        "place_id": scan.place_id,
        "category": scan.category,
        "labels": [o.label for o in scan.objects],
        "object_sentences": [list(o.sentences) for o in scan.objects],
        "sentences": list(scan.sentences),
        "moved_ids": sorted(scan.moved_ids),
        "things": {str(number): name for number, name in sorted(scan.things.items())},
        "traits": sorted(scan.traits),
        "pixels_per_m": scan.floorplan.pixels_per_m if scan.floorplan else None,
    }
    _FORMAT.write(path, arrays, {"facts": json.dumps(facts)})


def load_scan(path: Path) -> SceneScan:
    """Read a scan; its views are decoded when they are asked for.

    Raises:
        DatasetError: no such file, damaged, or not made by `save_scan`.
    """
    with _FORMAT.reading(path) as file:
        facts = json.loads(file.metadata()["facts"])
        arrays = {key: file.get_tensor(key) for key in file.keys() if not key.startswith("view_")}  # noqa: SIM118 - no mapping
        num_views = file.get_slice("view_poses").get_shape()[0] if "view_poses" in file.keys() else 0  # noqa: SIM118
        return _make_scan(facts, arrays, FileViews(path, num_views))


class FileViews(Sequence[ScanView]):
    """The views in a scan file."""

    def __init__(self, path: Path, num_views: int) -> None:
        self._path = path
        self._num_views = num_views

    def __len__(self) -> int:
        """Number of views."""
        return self._num_views

    @overload
    def __getitem__(self, index: int) -> ScanView: ...
    @overload
    def __getitem__(self, index: slice) -> list[ScanView]: ...
    def __getitem__(self, index: int | slice) -> ScanView | list[ScanView]:
        """Read and decode.

        Raises:
            DatasetError: the file is gone or damaged.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        try:
            with safe_open(self._path, framework="np") as file:
                fx, fy, cx, cy, width, height = file.get_tensor("view_camera").tolist()
                camera = CameraIntrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=int(width), height=int(height))
                rgb = _decoded(_part(file, "view_rgb", number), cv2.IMREAD_COLOR)[:, :, ::-1]
                depth, instance = None, None
                if "view_depth" in file.keys():  # noqa: SIM118 - no mapping
                    raw = _decoded(_part(file, "view_depth", number), cv2.IMREAD_UNCHANGED)
                    depth = raw.astype(np.float32) / np.float32(_MM_PER_M)
                if "view_instance" in file.keys():  # noqa: SIM118
                    instance = _decoded(_part(file, "view_instance", number), cv2.IMREAD_UNCHANGED).astype(np.int32)
                pose = file.get_tensor("view_poses")[number]
        except (OSError, SafetensorError, ValueError) as error:
            raise DatasetError(
                f"scan file {self._path}: view {number} cannot be read, {error}; delete it and make it again."
            ) from error
        return ScanView(
            rgb=np.ascontiguousarray(rgb), depth=depth, instance=instance, intrinsics=camera, T_scan_camera=pose
        )


def _view_arrays(scan: SceneScan) -> dict[str, NDArray[Any]]:
    """Compressed pictures, one after the other, with where each begins."""
    cameras = {view.intrinsics for view in scan.views}
    kinds = {(view.depth is None, view.instance is None) for view in scan.views}
    if len(cameras) != 1 or len(kinds) != 1:
        raise DatasetError(
            f"scan {scan.scan_id}: expected views of one camera that have the same images,"
            f" got {len(cameras)} cameras and {len(kinds)} kinds of views."
        )
    camera = cameras.pop()
    arrays: dict[str, NDArray[Any]] = {
        "view_camera": np.array([camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height]),
        "view_poses": np.array([view.T_scan_camera for view in scan.views], np.float64),
    }
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    arrays |= _joined("view_rgb", [_encoded(".jpg", view.rgb[:, :, ::-1], quality) for view in scan.views])
    depths = [np.clip(np.rint(v.depth * _MM_PER_M), 0, _MAX_UINT16) for v in scan.views if v.depth is not None]
    if depths:
        arrays |= _joined("view_depth", [_encoded(".png", depth.astype(np.uint16)) for depth in depths])
    instances = [view.instance for view in scan.views if view.instance is not None]
    if instances:
        if not all(image.min() >= 0 and image.max() <= _MAX_UINT16 for image in instances):
            raise DatasetError(f"scan {scan.scan_id}: expected object ids from 0 to {_MAX_UINT16} in its views.")
        arrays |= _joined("view_instance", [_encoded(".png", image.astype(np.uint16)) for image in instances])
    return arrays


def _joined(name: str, pictures: list[Bytes]) -> dict[str, NDArray[Any]]:
    ends = np.cumsum([0, *(len(picture) for picture in pictures)]).astype(np.int64)
    return {name: np.concatenate(pictures), f"{name}_ends": ends}


def _part(file: Any, name: str, number: int) -> Bytes:
    """One compressed picture, without reading the others."""
    ends = file.get_tensor(f"{name}_ends")
    picture: Bytes = file.get_slice(name)[int(ends[number]) : int(ends[number + 1])]
    return picture


def _encoded(suffix: str, image: NDArray[Any], options: Sequence[int] = ()) -> Bytes:
    done, data = cv2.imencode(suffix, np.ascontiguousarray(image), list(options))
    if not done:
        raise DatasetError(f"picture {image.dtype} {image.shape}: OpenCV cannot write it as {suffix}.")
    return np.asarray(data, np.uint8).reshape(-1)


def _decoded(data: Bytes, flags: int) -> NDArray[Any]:
    """The picture; ValueError, to which the caller adds the file, when there is none."""
    image = cv2.imdecode(data, flags) if len(data) else None
    if image is None:
        raise ValueError(f"OpenCV finds no picture in {len(data)} bytes")
    return image


def _make_scan(facts: dict[str, Any], arrays: dict[str, NDArray[Any]], views: Sequence[ScanView]) -> SceneScan:
    objects = tuple(
        ScanObject(
            object_id=int(object_id),
            label=label,
            center=center,
            size=size,
            cad_points=arrays.get(f"cad.{int(object_id)}"),
            sentences=tuple(sentences),
        )
        for object_id, label, center, size, sentences in zip(
            arrays["object_ids"],
            facts["labels"],
            arrays["object_centers"],
            arrays["object_sizes"],
            facts["object_sentences"],
            strict=True,
        )
    )
    floorplan = None
    if "floorplan" in arrays:
        image = np.ascontiguousarray(_decoded(arrays["floorplan"], cv2.IMREAD_COLOR)[:, :, ::-1])
        floorplan = ScanFloorplan(image=image, pixels_per_m=facts["pixels_per_m"])
    return SceneScan(
        scan_id=facts["scan_id"],
        place_id=facts["place_id"],
        category=facts["category"],
        points=arrays["points"],
        colors=arrays["colors"],
        instance=arrays["instance"],
        objects=objects,
        views=views,
        floorplan=floorplan,
        sentences=tuple(facts["sentences"]),
        moved_ids=frozenset(facts["moved_ids"]),
        # older files say nothing of these
        things={int(number): name for number, name in facts.get("things", {}).items()},
        traits=frozenset(facts.get("traits", ())),
    )
