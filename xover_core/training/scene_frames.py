# SPDX-License-Identifier: Apache-2.0
"""The posed RGB-D frames of one training scene, in memory and as one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.datasets.tensor_file import TensorFormat
from xover_core.errors import SensorDataError, TrainingError
from xover_core.geometry.depth import metres_from_raw
from xover_core.training.frame_geometry import FrameGeometry, make_frame_geometry
from xover_core.training.overlap import overlap_matrix
from xover_core.types import CameraIntrinsics, Float32Array, Float64Array

_FORMAT = TensorFormat(name="xover-scene-frames", version="1", what="scene file", error=TrainingError)
_MM_PER_M = 1000.0
_SIZE_STEP = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFrames:
    """F frames of one size that share one world frame.

    Attributes:
        name: for reports.
        images: (F, H, W, 3) uint8 RGB; H and W are multiples of 8.
        depths_mm: (F, H, W) uint16 millimetres along the optical axis, 0 = no reading.
        intrinsics: of each frame.
        T_world_camera: (F, 4, 4) float64.
        overlap: (F, F) float32; entry (i, j) is the share of frame i that frame j sees, in [0, 1].
    """

    name: str
    images: NDArray[np.uint8]
    depths_mm: NDArray[np.uint16]
    intrinsics: tuple[CameraIntrinsics, ...]
    T_world_camera: Float64Array
    overlap: Float32Array

    def __post_init__(self) -> None:
        """Check that all arrays describe the same frames.

        Raises:
            TrainingError: a shape or dtype is wrong, or the size is no multiple of 8.
        """
        if self.images.ndim != 4 or not len(self.images) or self.images.shape[3] != 3:
            raise TrainingError(f"scene {self.name}: expected images (F, H, W, 3), F >= 1, got {self.images.shape}.")
        frames, height, width, _ = self.images.shape
        if height % _SIZE_STEP or width % _SIZE_STEP:
            raise TrainingError(
                f"scene {self.name}: expected a width and height that are multiples of {_SIZE_STEP},"
                f" got {width}x{height}; resize the frames."
            )
        self._check("images", self.images, (frames, height, width, 3), np.uint8)
        self._check("depths_mm", self.depths_mm, (frames, height, width), np.uint16)
        self._check("T_world_camera", self.T_world_camera, (frames, 4, 4), np.float64)
        self._check("overlap", self.overlap, (frames, frames), np.float32)
        sizes = {(camera.height, camera.width) for camera in self.intrinsics}
        if len(self.intrinsics) != frames or sizes != {(height, width)}:
            raise TrainingError(
                f"scene {self.name}: expected {frames} cameras of {width}x{height},"
                f" got {len(self.intrinsics)} with heights and widths {sorted(sizes)}."
            )

    def __len__(self) -> int:
        """Number of frames F."""
        return len(self.images)

    def geometry(self, frames: Sequence[int]) -> FrameGeometry:
        """Patch positions, depth and cameras of these frames, in this order; at least one."""
        return make_frame_geometry(
            list(self.depths(frames)),
            [self.intrinsics[frame] for frame in frames],
            [self.T_world_camera[frame] for frame in frames],
        )

    def depths(self, frames: Sequence[int]) -> Float32Array:
        """(B, H, W) float32 metres of these frames, in this order; 0 = no reading."""
        return metres_from_raw(self.depths_mm[np.asarray(frames, dtype=np.intp)], depth_scale=_MM_PER_M)

    def image_tensor(self, frames: Sequence[int]) -> Tensor:
        """(B, 3, H, W) float32 images in [0, 1] of these frames, in this order."""
        chosen = torch.from_numpy(self.images[np.asarray(frames, dtype=np.intp)])
        return chosen.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format) / 255

    def save(self, path: Path) -> None:
        """Write one file; a reader sees the whole file or none, since it is renamed when complete.

        Raises:
            TrainingError: the file cannot be written.
        """
        cameras = np.array([[c.fx, c.fy, c.cx, c.cy] for c in self.intrinsics], dtype=np.float64)
        arrays: dict[str, NDArray[Any]] = {
            "images": self.images,
            "depths_mm": self.depths_mm,
            "intrinsics": cameras,
            "T_world_camera": self.T_world_camera,
            "overlap": self.overlap,
        }
        _FORMAT.write(path, arrays, {"name": json.dumps(self.name)})

    @classmethod
    def load(cls, path: Path) -> SceneFrames:
        """Open a file; its images and depth are mapped, so that only frames that are used are read.

        Raises:
            TrainingError: no such file, damaged, or not made by `save`.
        """
        name, tensors = _read(path, ("images", "depths_mm", "intrinsics", "T_world_camera", "overlap"))
        images, cameras = tensors["images"], tensors["intrinsics"]
        try:
            height, width = images.shape[1:3]
            return cls(
                name=name,
                images=images,
                depths_mm=tensors["depths_mm"],
                intrinsics=tuple(
                    CameraIntrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=width, height=height)
                    for fx, fy, cx, cy in cameras.tolist()
                ),
                T_world_camera=tensors["T_world_camera"],
                overlap=tensors["overlap"],
            )
        except (ValueError, TypeError, SensorDataError) as error:
            raise TrainingError(f"scene file {path}: its contents are damaged, {error}; make it again.") from error

    def _check(self, what: str, array: NDArray[np.generic], shape: tuple[int, ...], dtype: type) -> None:
        """Raise TrainingError unless an array has this shape and dtype."""
        if array.shape != shape or array.dtype != dtype:
            raise TrainingError(
                f"scene {self.name}: expected {what} as {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}."
            )


def make_scene_frames(
    name: str,
    images: NDArray[np.uint8],
    depths: Float32Array,
    intrinsics: Sequence[CameraIntrinsics],
    T_world_camera: Float64Array,
) -> SceneFrames:
    """Put the frames of a scene together and compute their overlaps.

    Args:
        name: of the scene.
        images: (F, H, W, 3) uint8.
        depths: (F, H, W) metres, 0 = no reading; rounded to millimetres.
        intrinsics: of each frame.
        T_world_camera: (F, 4, 4).

    Raises:
        TrainingError: arrays that do not fit together.
    """
    millimetres = np.rint(depths * _MM_PER_M)
    is_reading = (millimetres > 0) & (millimetres <= np.iinfo(np.uint16).max)
    depths_mm = np.where(is_reading, millimetres, 0).astype(np.uint16)
    metres = depths_mm.astype(np.float32) / np.float32(_MM_PER_M)
    geometry = make_frame_geometry(list(metres), intrinsics, list(T_world_camera))
    return SceneFrames(
        name=name,
        images=images,
        depths_mm=depths_mm,
        intrinsics=tuple(intrinsics),
        T_world_camera=np.asarray(T_world_camera, dtype=np.float64),
        overlap=overlap_matrix(geometry).numpy(),
    )


def read_overlap(path: Path) -> Float32Array:
    """The (F, F) overlaps of a scene file, without its images.

    Raises:
        TrainingError: as `SceneFrames.load`.
    """
    overlap: Float32Array = _read(path, ("overlap",))[1]["overlap"]
    return overlap


def _read(path: Path, keys: Sequence[str]) -> tuple[str, dict[str, NDArray]]:  # type: ignore[type-arg]
    """Name and arrays of a scene file, which are mapped."""
    with _FORMAT.reading(path, framework="pt") as file:
        return json.loads(file.metadata()["name"]), {key: file.get_tensor(key).numpy() for key in keys}
