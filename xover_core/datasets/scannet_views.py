# SPDX-License-Identifier: Apache-2.0
"""Pictures of a ScanNet scan, from its `.sens` file or from what was exported of it, with the objects they show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.image_files import index_images, read_labels
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.datasets.scan_views import PointLabels, resize_labels
from xover_core.datasets.scannet_calibration import ScanNetSettings
from xover_core.datasets.scannet_labels import INSTANCE_FOLDER
from xover_core.datasets.scannet_sens import is_sens_layout, open_sens_sequence
from xover_core.datasets.scannet_sequence import COLOR_FOLDER, is_scannet_layout, open_scannet_sequence
from xover_core.datasets.scene_scan import ScanView
from xover_core.types import Mat4

_EXPORT_FOLDERS = ("", "data")  # the second one is where CrossOver's preparation puts it
_SINGLE_CAMERA = "intrinsics.txt"


class _IndexedSequence(Protocol):
    """What both kinds of recordings of ScanNet can do."""

    def poses(self) -> list[Mat4 | None]: ...

    def item(self, index: int) -> SequenceItem: ...


class ScanNetFrames:
    """Implements `ScanFrames`."""

    def __init__(
        self, sequence: _IndexedSequence, labels: dict[int, Path], points: PointLabels | None, T_scan_mesh: Mat4
    ) -> None:
        """Join a recording with what is known of the objects in it.

        Args:
            sequence: the recording, in the frame of the mesh as published.
            labels: files of `instance-filt/` by frame number; may be empty.
            points: says which objects a frame without such a file shows; None when nobody knows.
            T_scan_mesh: (4, 4).
        """
        self._sequence = sequence
        self._labels = labels
        self._points = points
        self._T_scan_mesh = T_scan_mesh

    def poses(self) -> Sequence[Mat4 | None]:
        """T_scan_camera of each frame; None for those that tracking lost."""
        return [None if pose is None else self._T_scan_mesh @ pose for pose in self._sequence.poses()]

    def view(self, index: int) -> ScanView:
        """One frame."""
        item = self._sequence.item(index)
        frame = item.frame
        pose = np.eye(4) if item.T_world_camera is None else item.T_world_camera
        T_scan_camera = self._T_scan_mesh @ pose
        return ScanView(
            rgb=frame.rgb,
            depth=frame.depth,
            instance=self._objects_in(item, T_scan_camera),
            intrinsics=frame.intrinsics,
            T_scan_camera=T_scan_camera,
        )

    def _objects_in(self, item: SequenceItem, T_scan_camera: Mat4) -> NDArray[np.int32] | None:
        """(H, W) object ids, None when nobody knows."""
        path = self._labels.get(int(item.name))
        if path is not None:
            return resize_labels(read_labels(path), item.frame.intrinsics)
        if self._points is None or item.frame.depth is None:
            return None
        return self._points.image(item.frame.depth, item.frame.intrinsics, T_scan_camera)


def has_frames(folder: Path) -> bool:
    """Whether a scan has pictures in a layout that can be read."""
    return _export_folder(folder) is not None or is_sens_layout(folder)


def open_scannet_frames(folder: Path, frame_step: int, points: PointLabels | None, T_scan_mesh: Mat4) -> ScanNetFrames:
    """Open the pictures of a scan that `has_frames`.

    Raises:
        DatasetError: they are incomplete or broken.
    """
    settings = ScanNetSettings(frame_step=frame_step)
    export = _export_folder(folder)
    sequence: _IndexedSequence
    if export is None:
        sequence = open_sens_sequence(folder, settings)
    elif is_scannet_layout(export):
        sequence = open_scannet_sequence(export, settings)
    else:
        sequence = open_scannet_sequence(export, settings, single_camera=folder / _SINGLE_CAMERA)
    candidates = [path for path in (folder / sub / INSTANCE_FOLDER for sub in _EXPORT_FOLDERS) if path.is_dir()]
    labels = index_images(candidates[0], (".png",)) if candidates else {}
    return ScanNetFrames(sequence, labels, points, T_scan_mesh)


def _export_folder(folder: Path) -> Path | None:
    """Where `color/`, `depth/` and `pose/` lie; None when nothing was exported."""
    for candidate in (folder / sub for sub in _EXPORT_FOLDERS):
        if is_scannet_layout(candidate):
            return candidate
        has_images = all((candidate / name).is_dir() for name in (COLOR_FOLDER, "depth", "pose"))
        if has_images and (folder / _SINGLE_CAMERA).is_file():
            return candidate
    return None
