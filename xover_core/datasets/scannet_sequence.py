# SPDX-License-Identifier: Apache-2.0
"""The layout that ScanNet's SensReader exports: `color/0.jpg`, `depth/0.png`, `pose/0.txt`, `intrinsic/`.

Depth is in millimetres and has another size than colour; it is registered to colour here. Poses are (4, 4) camera to
world, -inf where tracking was lost. There are no time stamps; frames are taken to be 1/30 s apart.

See https://github.com/ScanNet/ScanNet/tree/master/SensReader/python.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from xover_core.datasets.image_file_sequence import FrameFiles, ImageFileSequence, ImageFormat
from xover_core.datasets.image_files import index_images, read_color, read_depth
from xover_core.datasets.matrix_file import read_matrix, rigid_pose
from xover_core.datasets.scannet_calibration import ScanNetCalibration, ScanNetSettings, make_intrinsics, stamp_of
from xover_core.types import Mat4

COLOR_FOLDER, COLOR_SUFFIXES = "color", (".jpg", ".jpeg", ".png")
_DEPTH_SCALE = 1000.0
_FOLDERS = (COLOR_FOLDER, "depth", "pose", "intrinsic")


def is_scannet_layout(path: Path) -> bool:
    """Whether `path` looks like an exported scan."""
    return all((path / folder).is_dir() for folder in _FOLDERS)


def open_scannet_sequence(
    path: Path,
    settings: ScanNetSettings | None = None,
    *,
    numbers: Collection[int] | None = None,
    single_camera: Path | None = None,
) -> ImageFileSequence:
    """Open an exported scan, or of its frames only those with certain numbers.

    Frames without a pose file, or whose pose is not finite, have no pose. Without `extrinsic_color.txt` and
    `extrinsic_depth.txt` both cameras are in one place.

    Args:
        path: the scan.
        settings: which frames; the defaults when not given.
        numbers: of the frames that are wanted; None for all.
        single_camera: file of the matrix of both cameras, in place of `intrinsic/`, for exports that resized colour
            and depth to one size.

    Raises:
        DatasetError: a missing file, a wrong pose or camera, or no frames.
    """
    settings = settings or ScanNetSettings()
    colors = index_images(path / COLOR_FOLDER, COLOR_SUFFIXES)
    depths = index_images(path / "depth", (".png",))
    indices = [i for i in list(colors)[:: settings.frame_step] if numbers is None or i in numbers]
    images = next(iter(colors.values())), next(iter(depths.values()))
    calibration = _read_calibration(path / "intrinsic", *images, single_camera)
    frames = []
    for index in indices:
        pose_path = path / "pose" / f"{colors[index].stem}.txt"
        frames.append(
            FrameFiles(
                name=colors[index].stem,
                stamp_ns=stamp_of(index),
                color_path=colors[index],
                depth_path=depths.get(index, path / "depth" / f"{index}.png"),
                T_world_camera=_read_pose(pose_path, calibration) if pose_path.is_file() else None,
            )
        )
    image_format = ImageFormat(
        intrinsics=calibration.color, depth_scale=_DEPTH_SCALE, registration=calibration.registration()
    )
    return ImageFileSequence(path.resolve().name, frames, image_format)


def _read_pose(path: Path, calibration: ScanNetCalibration) -> Mat4 | None:
    """T_world_camera of a pose file, None for a lost frame."""
    return calibration.camera_pose(read_matrix(path), str(path))


def _read_calibration(
    folder: Path, color_path: Path, depth_path: Path, single_camera: Path | None
) -> ScanNetCalibration:
    """Both cameras; their sizes are those of an image."""
    height, width = read_color(color_path).shape[:2]
    depth_height, depth_width = read_depth(depth_path, depth_scale=_DEPTH_SCALE).shape
    color_file = single_camera or folder / "intrinsic_color.txt"
    depth_file = single_camera or folder / "intrinsic_depth.txt"
    return ScanNetCalibration(
        color=make_intrinsics(read_matrix(color_file), width, height, str(color_file)),
        depth=make_intrinsics(read_matrix(depth_file), depth_width, depth_height, str(depth_file)),
        T_base_color=_read_extrinsics(folder / "extrinsic_color.txt"),
        T_base_depth=_read_extrinsics(folder / "extrinsic_depth.txt"),
    )


def _read_extrinsics(path: Path) -> Mat4:
    """A camera's pose on the base, the identity without a file."""
    return rigid_pose(read_matrix(path), str(path)) if path.is_file() else np.eye(4)
