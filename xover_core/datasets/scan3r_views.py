# SPDX-License-Identifier: Apache-2.0
"""Pictures of a 3RScan scan, from the folder `sequence/` or from `sequence.zip` as it is.

`frame-000000.color.jpg`, `.depth.pgm` (mm) and `.pose.txt` (camera to scan); `_info.txt` has the size and camera matrix
of colour and depth, which share one place. The phone was held upright while its camera lies on its side, so images are
turned by 90 deg clockwise here (by 270 deg the other way, as CrossOver says), and their camera and pose with them.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.image_files import decode_color, decode_depth
from xover_core.datasets.json_file import expecting
from xover_core.datasets.matrix_file import rigid_pose
from xover_core.datasets.scan_views import PointLabels
from xover_core.datasets.scannet_calibration import make_intrinsics
from xover_core.datasets.scene_scan import ScanView
from xover_core.errors import DatasetError, SensorDataError
from xover_core.geometry.depth_registration import DepthRegistration
from xover_core.geometry.transforms import make_pose
from xover_core.types import CameraIntrinsics, Float32Array, Mat4

FRAME_FOLDER, FRAME_ARCHIVE = "sequence", "sequence.zip"
_INFO_FILE, _DEFAULT_DEPTH_SCALE = "_info.txt", 1000.0
_COLOR_NAME = re.compile(r"frame-(\d+)\.color\.jpg")
_Scalar = TypeVar("_Scalar", bound=np.generic)
# From the camera as it is built in to the upright one: p_upright = T @ p_camera.
T_UPRIGHT_CAMERA = make_pose(np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), (0.0, 0.0, 0.0))


class _Files(Protocol):
    """Files of frames by name."""

    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes: ...

    def where(self, name: str) -> str: ...


class _FolderFiles:
    """Those of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        return sorted(path.name for path in self._folder.iterdir())

    def read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise DatasetError(f"{self.where(name)}: cannot be read ({error.strerror}); is it complete?") from error

    def where(self, name: str) -> str:
        return str(self._folder / name)


class _ArchiveFiles:
    """Those of a zip file, by their names without folders."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = {Path(name).name: name for name in archive.namelist() if not name.endswith("/")}
        except (OSError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{path}: cannot be opened ({error}); download it again.") from error

    def names(self) -> list[str]:
        return sorted(self._members)

    def read(self, name: str) -> bytes:
        try:
            with zipfile.ZipFile(self._path) as archive:
                return archive.read(self._members[name])
        except (KeyError, OSError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{self.where(name)}: cannot be read ({error}); is the file complete?") from error

    def where(self, name: str) -> str:
        return f"{self._path} {name}"


class Scan3rFrames:
    """Implements `ScanFrames`, in the frame of the reference scan."""

    def __init__(self, files: _Files, frame_step: int, points: PointLabels | None, T_place_scan: Mat4) -> None:
        """List the frames and read the cameras.

        Raises:
            DatasetError: no frames, or a broken `_info.txt`.
        """
        self._files = files
        self._points = points
        self._T_place_scan = T_place_scan
        names = files.names()
        matches = [match for match in map(_COLOR_NAME.fullmatch, names) if match]
        self._numbers = [match[1] for match in matches][::frame_step]
        self._has_pose = set(names)
        if not self._numbers:
            raise DatasetError(f"{files.where('frame-000000.color.jpg')}: expected frames with such names, found none.")
        self._color, self._depth, self._depth_scale = _read_cameras(files)
        self._registration = DepthRegistration(self._depth, self._color, np.eye(4))

    def poses(self) -> Sequence[Mat4 | None]:
        """T_scan_camera of each frame, upright; None where it has no pose file or tracking was lost."""
        return [self._pose(number) for number in self._numbers]

    def view(self, index: int) -> ScanView:
        """One frame, upright.

        Raises:
            DatasetError: its files cannot be read, or do not fit `_info.txt`.
        """
        number = self._numbers[index]
        rgb, depth = self._read_images(number)
        pose = self._pose(number)
        T_scan_camera = np.eye(4) if pose is None else pose
        intrinsics = _upright_intrinsics(self._color)
        upright_depth = _turn(depth)
        labels = self._points.image(upright_depth, intrinsics, T_scan_camera) if self._points else None
        return ScanView(
            rgb=_turn(rgb), depth=upright_depth, instance=labels, intrinsics=intrinsics, T_scan_camera=T_scan_camera
        )

    def _read_images(self, number: str) -> tuple[NDArray[np.uint8], Float32Array]:
        """Colour and depth registered to it, as they lie in the files."""
        color_name, depth_name = f"frame-{number}.color.jpg", f"frame-{number}.depth.pgm"
        rgb = decode_color(self._files.read(color_name), self._files.where(color_name))
        raw = decode_depth(self._files.read(depth_name), self._files.where(depth_name), depth_scale=self._depth_scale)
        if rgb.shape[:2] != (self._color.height, self._color.width):
            raise DatasetError(
                f"{self._files.where(color_name)}: expected {self._color.width}x{self._color.height} pixels as"
                f" {_INFO_FILE} says, got {rgb.shape[1]}x{rgb.shape[0]}."
            )
        try:
            return rgb, self._registration.apply(raw)
        except SensorDataError as error:
            raise DatasetError(f"{self._files.where(depth_name)}: {error}") from error

    def _pose(self, number: str) -> Mat4 | None:
        """T_scan_camera of the upright camera."""
        name = f"frame-{number}.pose.txt"
        if name not in self._has_pose:
            return None
        where = self._files.where(name)
        with expecting(Path(where), "a matrix of sixteen numbers"):
            matrix = np.array(self._files.read(name).split(), dtype=np.float64).reshape(4, 4)
        if not np.isfinite(matrix).all():
            return None
        # the inverse of the turn is its transpose
        return np.asarray(self._T_place_scan @ rigid_pose(matrix, where) @ T_UPRIGHT_CAMERA.T, dtype=np.float64)


def has_frames(folder: Path) -> bool:
    """Whether a scan has pictures."""
    return (folder / FRAME_FOLDER).is_dir() or (folder / FRAME_ARCHIVE).is_file()


def open_scan3r_frames(folder: Path, frame_step: int, points: PointLabels | None, T_place_scan: Mat4) -> Scan3rFrames:
    """Open the pictures of a scan that `has_frames`, the folder before the archive.

    Args:
        folder: of the scan.
        frame_step: one frame of this many.
        points: says which objects a frame shows; None when nobody knows.
        T_place_scan: (4, 4) from the scan's own frame to that of the reference.

    Raises:
        DatasetError: they are incomplete or broken.
    """
    is_folder = (folder / FRAME_FOLDER).is_dir()
    files: _Files = _FolderFiles(folder / FRAME_FOLDER) if is_folder else _ArchiveFiles(folder / FRAME_ARCHIVE)
    return Scan3rFrames(files, frame_step, points, T_place_scan)


def _turn(image: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """An image turned by 90 deg clockwise."""
    return np.ascontiguousarray(np.rot90(image, k=-1))


def _upright_intrinsics(camera: CameraIntrinsics) -> CameraIntrinsics:
    """The camera of turned images: pixel (u, v) goes to (height - 1 - v, u)."""
    return CameraIntrinsics(
        fx=camera.fy,
        fy=camera.fx,
        cx=camera.height - 1 - camera.cy,
        cy=camera.cx,
        width=camera.height,
        height=camera.width,
    )


def _read_cameras(files: _Files) -> tuple[CameraIntrinsics, CameraIntrinsics, float]:
    """Colour and depth camera, and units of depth per metre."""
    where = files.where(_INFO_FILE)
    text = files.read(_INFO_FILE).decode("utf-8", "replace")
    rows = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in text.splitlines())}
    cameras = []
    for kind in ("color", "depth"):
        with expecting(Path(where), f"m_{kind}Width, m_{kind}Height and m_calibration{kind.capitalize()}Intrinsic"):
            matrix = np.array(rows[f"m_calibration{kind.capitalize()}Intrinsic"].split(), np.float64).reshape(4, 4)
            width, height = int(rows[f"m_{kind}Width"]), int(rows[f"m_{kind}Height"])
        cameras.append(make_intrinsics(matrix, width, height, where))
    with expecting(Path(where), "m_depthShift, the units of depth per metre"):
        depth_scale = float(rows.get("m_depthShift", _DEFAULT_DEPTH_SCALE))
    return cameras[0], cameras[1], depth_scale
