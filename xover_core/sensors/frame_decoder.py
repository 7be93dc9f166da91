# SPDX-License-Identifier: Apache-2.0
"""Decoding, undistortion and checks of the messages of one frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import SensorDataError
from xover_core.geometry.depth import valid_share
from xover_core.sensors.assembly import AssembledFrame, DropReason, StreamNames
from xover_core.sensors.camera_info import Undistorter
from xover_core.sensors.frame_synchronizer import MatchedMessages
from xover_core.sensors.image_decoding import decode_color, decode_depth, resize_depth_to_color
from xover_core.sensors.messages import ImageMessage, RawCameraInfo
from xover_core.types import Float32Array, Mat4, RgbdFrame


class FrameDropError(SensorDataError):
    """The frame at hand cannot be made.

    Attributes:
        reason: by which drops are counted.
    """

    def __init__(self, reason: DropReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class FrameDecoder:
    """Makes frames of matched messages; keeps the undistortion maps of the camera it saw last."""

    def __init__(self, *, depth_scale: float, names: StreamNames) -> None:
        """Make a decoder.

        Args:
            depth_scale: units per metre of 16-bit depth.
            names: of the topics, for messages.
        """
        self._depth_scale = depth_scale
        self._names = names
        self._undistorter: tuple[RawCameraInfo, Undistorter] | None = None

    def make_frame(
        self, messages: MatchedMessages, T_odom_camera: Mat4 | None, T_world_camera: Mat4 | None
    ) -> AssembledFrame:
        """Decode, undistort and check one frame.

        Raises:
            FrameDropError: with the reason, when a part is unusable.
        """
        undistorter = self._undistorter_of(messages.camera_info)
        rgb = self._decode_color(messages.color, undistorter)
        frame = RgbdFrame(
            stamp_ns=messages.color.stamp_ns,
            rgb=rgb,
            depth=self._decode_depth(messages.depth, undistorter),
            intrinsics=undistorter.intrinsics,
            T_odom_camera=T_odom_camera,
            camera_frame_id=messages.color.frame_id or messages.camera_info.frame_id,
        )
        return AssembledFrame(frame=frame, T_world_camera=T_world_camera)

    def _decode_color(self, image: ImageMessage, undistorter: Undistorter) -> NDArray[np.uint8]:
        """Undistorted colour."""
        try:
            return undistorter.undistort_color(decode_color(image))
        except SensorDataError as error:
            raise FrameDropError(DropReason.BAD_COLOR, f"{self._names.color}: {error}") from error

    def _decode_depth(self, image: ImageMessage, undistorter: Undistorter) -> Float32Array:
        """Undistorted depth in the size of colour, with at least one reading."""
        width, height = undistorter.intrinsics.width, undistorter.intrinsics.height
        try:
            depth = decode_depth(image, depth_scale=self._depth_scale)
            depth = undistorter.undistort_depth(resize_depth_to_color(depth, width=width, height=height))
        except SensorDataError as error:
            raise FrameDropError(DropReason.BAD_DEPTH, f"{self._names.depth}: {error}") from error
        if valid_share(depth) == 0:
            raise FrameDropError(DropReason.EMPTY_DEPTH, f"{self._names.depth}: no pixel has a valid reading.")
        return depth

    def _undistorter_of(self, info: RawCameraInfo) -> Undistorter:
        """The undistorter of a camera info, made anew only when the calibration changes."""
        calibration = replace(info, stamp_ns=0)
        if self._undistorter is None or self._undistorter[0] != calibration:
            try:
                self._undistorter = (calibration, Undistorter(info))
            except SensorDataError as error:
                raise FrameDropError(DropReason.BAD_CAMERA_INFO, f"{self._names.camera_info}: {error}") from error
        return self._undistorter[1]
