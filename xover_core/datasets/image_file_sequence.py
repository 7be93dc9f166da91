# SPDX-License-Identifier: Apache-2.0
"""A recording whose frames are image files: what the folder, TUM and 7-Scenes layouts have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.image_files import read_color, read_depth
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.errors import DatasetError, SensorDataError
from xover_core.geometry.depth import valid_share
from xover_core.geometry.depth_registration import DepthRegistration
from xover_core.sensors.camera_info import Undistorter
from xover_core.types import CameraIntrinsics, Float32Array, Mat4, RgbdFrame

_LOGGER = logging.getLogger(__name__)

MAX_UNREADABLE_IN_A_ROW = 10  # one damaged file is an accident, ten are a damaged recording


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFiles:
    """Where one frame lies, and its pose when the recording knows it.

    `intrinsics` are those of this frame where not all frames of the recording have the same.
    """

    name: str
    stamp_ns: int
    color_path: Path
    depth_path: Path
    T_world_camera: Mat4 | None
    intrinsics: CameraIntrinsics | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFormat:
    """How the images of a recording are to be understood.

    Attributes:
        intrinsics: of colour and the depth registered to it.
        depth_scale: units of the depth images per metre.
        invalid_raw: a raw depth besides 0 that means "no reading".
        undistorter: takes the images to those of a pinhole camera; None when they are so already.
        registration: takes depth to the colour camera; None when it is registered already.
        min_depth: nearer readings are errors of the sensor, m.
        min_valid_depth: frames with a smaller share of depth readings are left out.
    """

    intrinsics: CameraIntrinsics
    depth_scale: float
    invalid_raw: int | None = None
    undistorter: Undistorter | None = None
    registration: DepthRegistration | None = None
    min_depth: float = 0.0
    min_valid_depth: float = 0.0


class ImageFileSequence:
    """An `RgbdSequence` over image files, in order of time, read one frame at a time.

    A file that cannot be decoded is skipped with a warning and counted in `num_skipped`. Many of them in a row, or
    images of another size than the camera's, end the iteration with a DatasetError. Frames with too little depth are
    counted in `num_refused`.
    """

    def __init__(self, name: str, frames: Sequence[FrameFiles], image_format: ImageFormat) -> None:
        """Sort the frames by time and look for every file.

        Raises:
            DatasetError: no frames, or a file that is missing.
        """
        if not frames:
            raise DatasetError(f"recording {name}: no frames with colour, depth and a time stamp were found.")
        self._name = name
        self._frames = sorted(frames, key=lambda frame: frame.stamp_ns)
        self._format = image_format
        self.num_skipped = 0
        self.num_refused = 0
        for frame in self._frames:
            for path in (frame.color_path, frame.depth_path):
                if not path.is_file():
                    raise DatasetError(f"recording {name}: frame {frame.name} needs {path}, which does not exist.")

    @property
    def name(self) -> str:
        """A short name for reports."""
        return self._name

    def __len__(self) -> int:
        """Number of frames, those included that turn out to be unreadable or to have too little depth."""
        return len(self._frames)

    def __iter__(self) -> Iterator[SequenceItem]:
        """Yield the frames in order of time.

        Raises:
            DatasetError: too many unreadable files in a row, or images of another size than the camera's.
        """
        self.num_skipped = self.num_refused = 0
        num_in_a_row = 0
        for files in self._frames:
            try:
                rgb, depth = self._read_images(files)
            except DatasetError as error:
                self.num_skipped += 1
                num_in_a_row += 1
                self._report_unreadable(files, num_in_a_row, error)
            else:
                num_in_a_row = 0
                if valid_share(depth) < self._format.min_valid_depth:
                    self.num_refused += 1
                else:
                    yield self._make_item(files, rgb, depth)
        if self.num_refused:
            _LOGGER.warning(
                "recording %s: %d of %d frames are left out because less than %.0f %% of them has depth",
                self._name,
                self.num_refused,
                len(self._frames),
                100 * self._format.min_valid_depth,
            )

    def poses(self) -> list[Mat4 | None]:
        """T_world_camera of each frame, without reading an image."""
        return [files.T_world_camera for files in self._frames]

    def item(self, index: int) -> SequenceItem:
        """One frame, whatever its share of depth.

        Raises:
            DatasetError: its files cannot be decoded, or do not fit the camera.
        """
        files = self._frames[index]
        return self._make_item(files, *self._read_images(files))

    def _read_images(self, files: FrameFiles) -> tuple[NDArray[np.uint8], Float32Array]:
        """Colour and depth of one frame; DatasetError when a file cannot be decoded."""
        rgb = read_color(files.color_path)
        depth = read_depth(files.depth_path, depth_scale=self._format.depth_scale, invalid_raw=self._format.invalid_raw)
        depth[depth < self._format.min_depth] = 0
        return rgb, depth

    def _report_unreadable(self, files: FrameFiles, num_in_a_row: int, error: DatasetError) -> None:
        """Log one skipped frame, or raise DatasetError when it is one too many."""
        if num_in_a_row >= min(MAX_UNREADABLE_IN_A_ROW, len(self._frames)):
            raise DatasetError(
                f"recording {self._name}: {num_in_a_row} frames in a row cannot be read, the last because {error}"
            ) from error
        _LOGGER.warning("recording %s: frame %s is skipped because %s", self._name, files.name, error)

    def _make_item(self, files: FrameFiles, rgb: NDArray[np.uint8], depth: Float32Array) -> SequenceItem:
        """The frame with its pose; DatasetError when the images do not have the camera's size."""
        undistorter, registration = self._format.undistorter, self._format.registration
        intrinsics = files.intrinsics or self._format.intrinsics
        try:
            if registration is not None:
                depth = registration.apply(depth)
            if undistorter is not None:
                rgb, depth = undistorter.undistort_color(rgb), undistorter.undistort_depth(depth)
            frame = RgbdFrame(stamp_ns=files.stamp_ns, rgb=rgb, depth=depth, intrinsics=intrinsics)
        except SensorDataError as error:
            raise DatasetError(
                f"recording {self._name}: frame {files.name} does not fit the intrinsics of the recording: {error}"
            ) from error
        return SequenceItem(frame=frame, T_world_camera=files.T_world_camera, name=files.name)
