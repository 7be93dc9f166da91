# SPDX-License-Identifier: Apache-2.0
"""From CameraInfo to a pinhole camera, and the remapping of images whose lens distorts."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.errors import SensorDataError
from xover_core.sensors.messages import RawCameraInfo
from xover_core.types import CameraIntrinsics, Float32Array, Float64Array

# Coefficients that each model may have.
_NUM_COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}
_FISHEYE_MODEL = "equidistant"


def is_rectified_topic(name: str) -> bool:
    """Whether a colour topic holds rectified images, by the names that ROS's image_proc gives (`image_rect...`)."""
    return "image_rect" in name


def intrinsics_from_camera_info(info: RawCameraInfo) -> CameraIntrinsics:
    """The pinhole camera of a CameraInfo: that of P for rectified images, else that of K.

    Images with distortion keep K when they are undistorted (see `Undistorter`), so K is right for them as well.

    Raises:
        SensorDataError: K (or P) has another length, is all zero, or describes no camera.
    """
    name, values, stride = ("P", info.P, 4) if info.is_rectified and any(info.P) else ("K", info.K, 3)
    if len(values) != 3 * stride:
        raise SensorDataError(
            f"camera info of {info.frame_id}: expected {3 * stride} values in {name}, got {len(values)}."
        )
    if not any(values):
        raise SensorDataError(
            f"camera info of {info.frame_id}: {name} is all zero, so the camera is not calibrated; calibrate it or have"
            " the driver publish its factory calibration."
        )
    return CameraIntrinsics(
        fx=float(values[0]),
        fy=float(values[stride + 1]),
        cx=float(values[2]),
        cy=float(values[stride + 2]),
        width=info.width,
        height=info.height,
    )


class Undistorter:
    """Takes images of a distorting lens to those of the pinhole camera with the same K; without distortion, nothing.

    The maps are computed once, so keep one object per camera. Depth registered to colour goes through the same map, by
    nearest sample: depth is along the optical axis, which undistortion leaves alone.
    """

    def __init__(self, info: RawCameraInfo) -> None:
        """Compute the maps.

        Raises:
            SensorDataError: an unknown distortion model, a wrong number of coefficients, or no calibration.
        """
        self.intrinsics = intrinsics_from_camera_info(info)
        self._maps = None if info.is_rectified or not any(info.D) else _undistortion_maps(info, self.intrinsics)

    def undistort_color(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 to the same, linearly interpolated, black where the lens saw nothing."""
        self._check_size(rgb.shape, "colour")
        if self._maps is None:
            return rgb
        return np.asarray(cv2.remap(rgb, *self._maps, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)

    def undistort_depth(self, depth: Float32Array) -> Float32Array:
        """(H, W) float32 metres to the same, by nearest sample, 0 where the lens saw nothing."""
        self._check_size(depth.shape, "depth")
        if self._maps is None:
            return depth
        return np.asarray(cv2.remap(depth, *self._maps, interpolation=cv2.INTER_NEAREST), dtype=np.float32)

    def _check_size(self, shape: tuple[int, ...], kind: str) -> None:
        """Raise SensorDataError for an image of another size than the camera info's."""
        width, height = self.intrinsics.width, self.intrinsics.height
        if shape[:2] != (height, width):
            raise SensorDataError(
                f"{kind} image: its size is {shape[1]}x{shape[0]}, but its camera info says {width}x{height};"
                " they belong to different streams or modes of the camera."
            )


def _undistortion_maps(info: RawCameraInfo, intrinsics: CameraIntrinsics) -> tuple[Float32Array, Float32Array]:
    """(H, W) float32 maps of u and v: where each undistorted pixel lies in the distorted image."""
    counts = _NUM_COEFFICIENTS.get(info.distortion_model)
    if counts is None:
        raise SensorDataError(
            f"camera info of {info.frame_id}: unknown distortion model {info.distortion_model!r}; accepted are"
            f" {', '.join(_NUM_COEFFICIENTS)}, or images that are rectified already."
        )
    if len(info.D) not in counts or not np.isfinite(info.D).all():
        raise SensorDataError(
            f"camera info of {info.frame_id}: {info.distortion_model} has {' or '.join(map(str, counts))} finite"
            f" coefficients, got {list(info.D)}."
        )
    K: Float64Array = intrinsics.matrix
    D = np.array(info.D, dtype=np.float64)
    size = (intrinsics.width, intrinsics.height)
    make_maps = (
        cv2.fisheye.initUndistortRectifyMap if info.distortion_model == _FISHEYE_MODEL else cv2.initUndistortRectifyMap
    )
    map_u, map_v = make_maps(K, D, np.eye(3), K, size, cv2.CV_32FC1)
    return np.asarray(map_u, dtype=np.float32), np.asarray(map_v, dtype=np.float32)
