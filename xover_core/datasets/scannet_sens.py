# SPDX-License-Identifier: Apache-2.0
"""ScanNet's `.sens` file itself: a header with both cameras, then pose, JPEG colour and zlib depth of each frame.

The numbers are little-endian. See https://github.com/ScanNet/ScanNet/tree/master/SensReader.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from xover_core.datasets.image_files import decode_color
from xover_core.datasets.matrix_file import rigid_pose
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.datasets.scannet_calibration import ScanNetCalibration, ScanNetSettings, make_intrinsics, stamp_of
from xover_core.errors import DatasetError, SensorDataError
from xover_core.geometry.depth import metres_from_raw
from xover_core.types import Float32Array, Float64Array, Mat4, RgbdFrame

_VERSION = 4
_MATRIX = "<16f"
_ENCODED_COLOR = (1, 2)  # PNG, JPEG
_RAW_DEPTH, _ZLIB_DEPTH = 0, 1
_MAX_NAME = 4096  # bytes; a longer sensor name means that this is another kind of file


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """What holds for all frames."""

    calibration: ScanNetCalibration
    depth_compression: int
    depth_scale: float
    num_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _FrameEntry:
    """Where a frame's images lie in the file: colour at `offset`, depth right behind it; sizes in bytes."""

    index: int
    T_world_base: Float64Array
    offset: int
    color_size: int
    depth_size: int


def is_sens_layout(path: Path) -> bool:
    """Whether `path` is a `.sens` file or a folder with one."""
    return path.suffix == ".sens" if path.is_file() else len(list(path.glob("*.sens"))) == 1


def open_sens_sequence(path: Path, settings: ScanNetSettings | None = None) -> SensSequence:
    """Open a `.sens` file, or the one in a folder; see `SensSequence`."""
    return SensSequence(path if path.is_file() else next(path.glob("*.sens")), settings or ScanNetSettings())


class SensSequence:
    """An `RgbdSequence` over one `.sens` file. Images are read while iterating; opening reads only what lies between.

    Names and stamps are those of the exported scan. A frame that cannot be decoded ends the iteration, for what follows
    a damaged place in one file is not to be trusted.
    """

    def __init__(self, path: Path, settings: ScanNetSettings) -> None:
        """Read the header and find all frames.

        Raises:
            DatasetError: another format or version, a compression that is not known here, or a file cut short.
        """
        self._path = path
        with path.open("rb") as file:
            self._header = _read_header(file, path)
            entries = [_read_entry(file, path, index) for index in range(self._header.num_frames)]
        self._entries = entries[:: settings.frame_step]
        self._registration = self._header.calibration.registration()
        if not self._entries:
            raise DatasetError(f"{path}: expected frames, got a header that says there are none.")

    @property
    def name(self) -> str:
        """The scan's name."""
        return self._path.stem

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._entries)

    def __iter__(self) -> Iterator[SequenceItem]:
        """Yield the frames in order.

        Raises:
            DatasetError: a frame that cannot be decoded.
        """
        with self._path.open("rb") as file:
            for entry in self._entries:
                yield self._read_item(file, entry)

    def poses(self) -> list[Mat4 | None]:
        """T_world_camera of each frame, without decoding an image.

        Raises:
            DatasetError: finite numbers that are no pose.
        """
        return [self._camera_pose(entry) for entry in self._entries]

    def item(self, index: int) -> SequenceItem:
        """One frame.

        Raises:
            DatasetError: it cannot be decoded.
        """
        with self._path.open("rb") as file:
            return self._read_item(file, self._entries[index])

    def _camera_pose(self, entry: _FrameEntry) -> Mat4 | None:
        """T_world_camera of a frame."""
        return self._header.calibration.camera_pose(entry.T_world_base, f"{self._path} frame {entry.index}")

    def _read_item(self, file: BinaryIO, entry: _FrameEntry) -> SequenceItem:
        """A frame of the open file."""
        file.seek(entry.offset)
        return self._make_item(entry, file.read(entry.color_size), file.read(entry.depth_size))

    def _make_item(self, entry: _FrameEntry, color_data: bytes, depth_data: bytes) -> SequenceItem:
        """The decoded frame with its pose."""
        where = f"{self._path} frame {entry.index}"
        calibration = self._header.calibration
        try:
            frame = RgbdFrame(
                stamp_ns=stamp_of(entry.index),
                rgb=decode_color(color_data, where),
                depth=self._registration.apply(self._decode_depth(depth_data, where)),
                intrinsics=calibration.color,
            )
        except SensorDataError as error:
            raise DatasetError(f"{where}: {error}") from error
        return SequenceItem(frame=frame, T_world_camera=self._camera_pose(entry), name=str(entry.index))

    def _decode_depth(self, data: bytes, where: str) -> Float32Array:
        """(H, W) metres of the depth camera."""
        size = (self._header.calibration.depth.height, self._header.calibration.depth.width)
        try:
            raw = zlib.decompress(data) if self._header.depth_compression == _ZLIB_DEPTH else data
        except zlib.error as error:
            raise DatasetError(f"{where}: depth cannot be decompressed ({error}); download the file again.") from error
        if len(raw) != 2 * size[0] * size[1]:
            raise DatasetError(f"{where}: expected {2 * size[0] * size[1]} bytes of depth, got {len(raw)}.")
        return metres_from_raw(np.frombuffer(raw, "<u2").reshape(size), depth_scale=self._header.depth_scale)


def _unpack(file: BinaryIO, layout: str, path: Path) -> tuple[Any, ...]:
    """Numbers at the place where the file stands; DatasetError at its end."""
    data = file.read(struct.calcsize(layout))
    if len(data) < struct.calcsize(layout):
        raise DatasetError(f"{path}: the file ends at byte {file.tell()}, too early; download it again.")
    return struct.unpack(layout, data)


def _read_matrix(file: BinaryIO, path: Path) -> Float64Array:
    """A (4, 4) matrix."""
    return np.array(_unpack(file, _MATRIX, path), dtype=np.float64).reshape(4, 4)


def _read_header(file: BinaryIO, path: Path) -> _Header:
    """The header; the file then stands at the first frame."""
    version, name_size = _unpack(file, "<IQ", path)
    if version != _VERSION or name_size > _MAX_NAME:
        raise DatasetError(f"{path}: expected a .sens file of version {_VERSION}, got version {version}.")
    file.seek(name_size, os.SEEK_CUR)
    K_color, T_base_color, K_depth, T_base_depth = (_read_matrix(file, path) for _ in range(4))
    color_kind, depth_kind, width, height, depth_width, depth_height = _unpack(file, "<2i4I", path)
    depth_scale, num_frames = _unpack(file, "<fQ", path)
    if color_kind not in _ENCODED_COLOR or depth_kind not in (_RAW_DEPTH, _ZLIB_DEPTH) or not depth_scale > 0:
        raise DatasetError(
            f"{path}: expected JPEG or PNG colour and raw or zlib depth, got the kinds {color_kind} and {depth_kind}"
            f" with depth scale {depth_scale:g}; export the scan with ScanNet's SensReader instead."
        )
    calibration = ScanNetCalibration(
        color=make_intrinsics(K_color, width, height, f"{path} colour camera"),
        depth=make_intrinsics(K_depth, depth_width, depth_height, f"{path} depth camera"),
        T_base_color=rigid_pose(T_base_color, f"{path} colour extrinsics"),
        T_base_depth=rigid_pose(T_base_depth, f"{path} depth extrinsics"),
    )
    return _Header(
        calibration=calibration, depth_compression=depth_kind, depth_scale=depth_scale, num_frames=num_frames
    )


def _read_entry(file: BinaryIO, path: Path, index: int) -> _FrameEntry:
    """A frame's pose and place; the file then stands at the next one."""
    pose = _read_matrix(file, path)
    _, _, color_size, depth_size = _unpack(file, "<4Q", path)
    offset = file.tell()
    end = offset + color_size + depth_size
    if end > os.fstat(file.fileno()).st_size:
        raise DatasetError(f"{path}: the file ends in frame {index}, too early; download it again.")
    file.seek(end)
    return _FrameEntry(index=index, T_world_base=pose, offset=offset, color_size=color_size, depth_size=depth_size)
