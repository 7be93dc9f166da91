# SPDX-License-Identifier: Apache-2.0
"""Pictures of a scan, read when they are asked for."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Protocol, overload

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from xover_core.datasets.scan_tree import ScanReadingSettings
from xover_core.datasets.scene_scan import ScanView
from xover_core.geometry.camera import back_project
from xover_core.geometry.pose_sampling import farthest_poses
from xover_core.geometry.transforms import transform_points
from xover_core.types import CameraIntrinsics, Float32Array, Mat4

_MAX_DISTANCE = 0.05  # m from a reading to the labelled point it may be, as wide as the meshes are coarse
_LABEL_WIDTH_PX = 160  # labels of a picture are looked up on a grid this wide; object crops need no finer edge


class ScanFrames(Protocol):
    """The frames of a scan, each read by its number."""

    def poses(self) -> Sequence[Mat4 | None]:
        """T_scan_camera of each frame, None where nobody knows it; reads no image."""
        ...

    def view(self, index: int) -> ScanView:
        """One frame that has a pose."""
        ...


class ScanViews(Sequence[ScanView]):
    """Pictures of a scan: those of its frames that have a pose, or of these a few that are far apart.

    The frames are opened with the first question, an image is read when it is asked for.
    """

    def __init__(self, open_frames: Callable[[], ScanFrames], scan_id: str, settings: ScanReadingSettings) -> None:
        """Remember how to open the frames."""
        self._open_frames = open_frames
        self._scan_id = scan_id
        self._settings = settings

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> ScanView: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ScanView]: ...

    def __getitem__(self, index: int | slice) -> ScanView | Sequence[ScanView]:
        """Read one picture, or several.

        Raises:
            DatasetError: its files cannot be read.
            IndexError: there is no such picture.
        """
        chosen = self._chosen[index]
        return self._frames.view(chosen) if isinstance(chosen, int) else [self._frames.view(i) for i in chosen]

    @functools.cached_property
    def _frames(self) -> ScanFrames:
        return self._open_frames()

    @functools.cached_property
    def _chosen(self) -> list[int]:
        """Numbers of the frames to show."""
        poses = self._frames.poses()
        known = [(index, pose) for index, pose in enumerate(poses) if pose is not None]
        if not known or not self._settings.num_views:
            return [index for index, _ in known]
        seed = zlib.crc32(f"{self._settings.seed} {self._scan_id}".encode())
        rows = farthest_poses(np.stack([pose for _, pose in known]), self._settings.num_views, seed)
        return [known[row][0] for row in rows]


class PointLabels:
    """Says which object each pixel shows, by the labelled points of the scan: for pictures without label images."""

    def __init__(self, points: Float32Array, instance: NDArray[np.int32]) -> None:
        """Remember the (N, 3) points and their (N,) objects."""
        self._points = points
        self._instance = instance

    def image(self, depth: Float32Array, intrinsics: CameraIntrinsics, T_scan_camera: Mat4) -> NDArray[np.int32]:
        """(H, W) object ids; 0 where there is no depth or no labelled point within 5 cm of the reading."""
        height, width = depth.shape
        step = max(1, width // _LABEL_WIDTH_PX)
        v, u = np.mgrid[step // 2 : height : step, step // 2 : width : step]
        readings = depth[v, u].ravel()
        pixels = np.stack([u.ravel(), v.ravel()], axis=1)[readings > 0]
        points = transform_points(T_scan_camera, back_project(pixels, readings[readings > 0], intrinsics))
        rows = self._tree.query(points, distance_upper_bound=_MAX_DISTANCE)[1]
        labels = np.zeros(v.shape, np.int32)
        labels.reshape(-1)[readings > 0] = np.append(self._instance, 0)[rows]  # far from all points: the row behind
        image = labels.repeat(step, axis=0).repeat(step, axis=1)[:height, :width]
        rest = ((0, height - image.shape[0]), (0, width - image.shape[1]))
        return np.where(depth > 0, np.pad(image, rest, mode="edge"), 0).astype(np.int32)

    @functools.cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self._points)


def resize_labels(labels: NDArray[np.int32], intrinsics: CameraIntrinsics) -> NDArray[np.int32]:
    """Labels of another size in that of a camera's images."""
    if labels.shape == (intrinsics.height, intrinsics.width):
        return labels
    # OpenCV cannot resize int32; float64 holds each of its numbers
    size = (intrinsics.width, intrinsics.height)
    return np.asarray(cv2.resize(labels.astype(np.float64), size, interpolation=cv2.INTER_NEAREST), dtype=np.int32)
