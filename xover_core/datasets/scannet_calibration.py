# SPDX-License-Identifier: Apache-2.0
"""The two cameras of a ScanNet scan, what its settings are, and what its poses mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xover_core.config import Settings, setting
from xover_core.datasets.matrix_file import rigid_pose
from xover_core.errors import DatasetError, SensorDataError
from xover_core.geometry.depth_registration import DepthRegistration
from xover_core.geometry.transforms import invert
from xover_core.types import CameraIntrinsics, Float64Array, Mat4

_FRAMES_PER_SECOND = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanNetSettings(Settings):
    """Which frames of a scan are read."""

    frame_step: int = setting(1, "one frame of this many is read", minimum=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanNetCalibration:
    """Colour and depth camera, both fixed to a base whose pose the scan gives.

    The authors say that depth of the released scans is aligned to colour already (ScanNet's issue 92), so there both
    transforms should be the identity; a scan that says otherwise is taken at its word.
    """

    color: CameraIntrinsics
    depth: CameraIntrinsics
    T_base_color: Mat4
    T_base_depth: Mat4

    def registration(self) -> DepthRegistration:
        """What takes depth to the colour image."""
        return DepthRegistration(self.depth, self.color, invert(self.T_base_color) @ self.T_base_depth)

    def camera_pose(self, T_world_base: Float64Array, where: str) -> Mat4 | None:
        """T_world_camera of the colour camera; None for the infinities or NaN of a frame that tracking lost.

        Raises:
            DatasetError: finite numbers that are no pose.
        """
        if not np.isfinite(T_world_base).all():
            return None
        return rigid_pose(T_world_base, where) @ self.T_base_color


def make_intrinsics(K: Float64Array, width: int, height: int, where: str) -> CameraIntrinsics:
    """The camera of a (4, 4) or (3, 3) matrix; DatasetError naming `where` when it describes none."""
    try:
        return CameraIntrinsics(
            fx=float(K[0, 0]), fy=float(K[1, 1]), cx=float(K[0, 2]), cy=float(K[1, 2]), width=width, height=height
        )
    except SensorDataError as error:
        raise DatasetError(f"{where}: {error}") from error


def stamp_of(index: int) -> int:
    """Nanoseconds of a frame by its number, at 30 frames a second: exported scans keep no time stamps."""
    return index * 10**9 // _FRAMES_PER_SECOND
