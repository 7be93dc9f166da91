# SPDX-License-Identifier: Apache-2.0
"""The pose of the camera in a fixed frame, from a stream of poses of the robot or from TF alone."""

from __future__ import annotations

from xover_core.geometry.pose_history import PoseHistory
from xover_core.geometry.transform_buffer import TransformBuffer
from xover_core.types import Mat4


class CameraPoseSource:
    """T_fixed_camera at a time.

    With a pose stream (Odometry, PoseStamped) the poses of the body come from it and only the way from the body to the
    camera from TF; they are kept out of the TF tree, because the TF of the same robot often names another parent for
    the body. Without one, everything comes from TF.
    """

    def __init__(
        self,
        transforms: TransformBuffer,
        *,
        name: str,
        fixed_frame: str,
        pose_stream_body: str | None,
        cache_s: float = 10.0,
    ) -> None:
        """Make a source.

        Args:
            transforms: the TF tree, shared with others.
            name: of the topic or chain, for messages.
            fixed_frame: frame of the poses, when they come from TF.
            pose_stream_body: the frame whose poses `add` will be given; None to use TF alone.
            cache_s: seconds of the pose stream to keep.
        """
        self._transforms = transforms
        self._fixed_frame = fixed_frame
        self._body_frame = pose_stream_body
        self._history = None if pose_stream_body is None else PoseHistory(name, cache_s=cache_s)

    @property
    def newest_ns(self) -> int | None:
        """Newest stamp of the pose stream; None without one or before the first pose."""
        return self._history.newest_ns if self._history else None

    def add(self, stamp_ns: int, T_fixed_body: Mat4, body_frame: str = "") -> None:
        """Take a pose of the stream.

        Args:
            stamp_ns: time of the pose.
            T_fixed_body: (4, 4).
            body_frame: `child_frame_id` of an Odometry; empty to keep the body given at construction.

        Raises:
            GeometryError: not a rigid transform.
        """
        if self._history is not None:
            self._body_frame = body_frame or self._body_frame
            self._history.add(stamp_ns, T_fixed_body)

    def lookup(self, camera_frame: str, stamp_ns: int) -> Mat4:
        """T_fixed_camera at a time.

        Raises:
            TransformUnavailableError: with the reason.
            GeometryError: the camera has no frame name.
        """
        if self._history is None or self._body_frame is None:
            return self._transforms.lookup(self._fixed_frame, camera_frame, stamp_ns)
        return self._history.lookup(stamp_ns) @ self._transforms.lookup(self._body_frame, camera_frame, stamp_ns)

    def clear(self) -> None:
        """Forget the poses of the stream."""
        if self._history is not None:
            self._history.clear()
