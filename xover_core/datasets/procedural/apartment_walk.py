# SPDX-License-Identifier: Apache-2.0
"""A recorded drive through an apartment, as if it came from a robot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.camera_walk import Walk, plan_walk
from xover_core.datasets.procedural.odometry_drift import OdometryDrift, drifting_odometry
from xover_core.datasets.procedural.renderer import RenderedView, Renderer
from xover_core.datasets.procedural.robot_driver import RobotSettings
from xover_core.datasets.procedural.sensor_noise import SensorNoise, sense_color, sense_depth
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.types import CameraIntrinsics, Float64Array, Mat4, RgbdFrame

DEFAULT_INTRINSICS = CameraIntrinsics(fx=290.0, fy=290.0, cx=159.5, cy=119.5, width=320, height=240)


class ApartmentWalk:
    """An `RgbdSequence` with truth: frames carry drifting odometry, items the true camera pose.

    Frames are rendered while iterating. The same arguments always give the same frames.
    """

    def __init__(
        self, apartment: Apartment, *, seed: int = 0, rate_hz: float = 5.0, num_frames: int | None = None,
        reverse: bool = False, intrinsics: CameraIntrinsics = DEFAULT_INTRINSICS, noise: SensorNoise | None = None,
        drift: OdometryDrift | None = None, robot: RobotSettings | None = None, device: str = "cpu",
        start_stamp_ns: int = 1_000_000_000, stops_per_room: int = 1,
    ) -> None:  # fmt: skip
        """Plan the drive; nothing is rendered yet.

        Args:
            apartment: where.
            seed: of the drive, the drift and the noise.
            rate_hz: frames per second.
            num_frames: length; None: one round through all rooms.
            reverse: opposite order of rooms.
            intrinsics: of the camera.
            noise: of the camera; None for the defaults of `SensorNoise`.
            drift: of the odometry; None for the defaults of `OdometryDrift`.
            robot: its size, limits and camera mount.
            device: where to render, for example `cpu` or `cuda`.
            start_stamp_ns: stamp of the first frame.
            stops_per_room: see `plan_walk`.

        Raises:
            DatasetError: as `plan_walk`.
        """
        self.apartment = apartment
        self.intrinsics = intrinsics
        self.walk: Walk = plan_walk(
            apartment, seed, rate_hz=rate_hz, num_frames=num_frames, reverse=reverse, stops_per_room=stops_per_room,
            robot=robot,
        )  # fmt: skip
        self.T_odom_base: Float64Array = drifting_odometry(self.walk.T_map_base, drift or OdometryDrift(), seed)
        self._noise = noise or SensorNoise()
        self._seed = seed
        self._device = device
        self._renderer: Renderer | None = None
        stamps = np.rint(self.walk.stamps_s * 1e9).astype(np.int64)
        self.stamps_ns: list[int] = [start_stamp_ns + int(s) for s in stamps]
        self._name = f"apartment-{apartment.seed}-walk-{seed}{'-reverse' if reverse else ''}"

    @property
    def name(self) -> str:
        """A short name for reports."""
        return self._name

    @property
    def T_base_camera(self) -> Mat4:  # noqa: N802 - the name of a transform
        """(4, 4) fixed mount of the camera's optical frame on the base."""
        return self.walk.T_base_camera

    @property
    def T_map_base(self) -> Float64Array:  # noqa: N802 - the name of a transform
        """(N, 4, 4) true poses of the base."""
        return self.walk.T_map_base

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.walk)

    def __iter__(self) -> Iterator[SequenceItem]:
        """Render and yield the frames in order."""
        for index in range(len(self)):
            yield self.item(index)

    def item(self, index: int) -> SequenceItem:
        """Render one frame; it does not depend on which others were rendered before."""
        view = self.perfect_view(index)
        rng = np.random.default_rng([self._seed, 17, index])
        frame = RgbdFrame(
            stamp_ns=self.stamps_ns[index],
            rgb=sense_color(view.rgb, self._noise, rng),
            depth=sense_depth(view, self._noise, rng),
            intrinsics=self.intrinsics,
            T_odom_camera=self.T_odom_base[index] @ self.T_base_camera,
            camera_frame_id="camera_color_optical_frame",
        )
        return SequenceItem(frame=frame, T_world_camera=self.walk.T_map_camera[index], name=f"{index:06d}")

    def perfect_view(self, index: int) -> RenderedView:
        """Render one frame without sensor noise, with instance and class of every pixel."""
        if self._renderer is None:
            self._renderer = Renderer(self.apartment, self._device)
        return self._renderer.render(self.walk.T_map_camera[index], self.intrinsics)
