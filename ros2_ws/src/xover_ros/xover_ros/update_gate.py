# SPDX-License-Identifier: Apache-2.0
"""Which frames are worth processing: not too many per second, and once localized only after some motion."""

from __future__ import annotations

from dataclasses import dataclass

from xover_core.geometry.transforms import pose_error
from xover_core.types import Mat4

# Cameras jitter: without this allowance a 10 Hz limit would let through only every other frame of a 10 Hz camera.
_JITTER = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """When a frame is due; zeros switch a limit off.

    Attributes:
        max_rate_hz: frames per second at most.
        min_translation: metres moved.
        min_rotation: radians turned.
        max_wait_s: seconds after which a frame is due even without motion.
    """

    max_rate_hz: float
    min_translation: float = 0.0
    min_rotation: float = 0.0
    max_wait_s: float = 0.0


class UpdateGate:
    """Remembers the last frame that was let through."""

    def __init__(self, limits: GateLimits) -> None:
        """Let the first frame through."""
        self.limits = limits
        self._last_stamp_ns: int | None = None
        self._last_pose: Mat4 | None = None
        self._is_forced = False

    def force_next(self) -> None:
        """Let the next frame through whatever the limits say."""
        self._is_forced = True

    def reset(self) -> None:
        """Forget the last frame: time has gone back, or the belief is gone."""
        self._last_stamp_ns, self._last_pose = None, None

    def admits(self, stamp_ns: int, T_odom_camera: Mat4 | None, *, is_localized: bool) -> bool:
        """Whether to process a frame; remembers it if so."""
        is_due = self._is_forced or self._last_stamp_ns is None or self._is_due(stamp_ns, T_odom_camera, is_localized)
        if is_due:
            self._last_stamp_ns, self._last_pose, self._is_forced = stamp_ns, T_odom_camera, False
        return is_due

    def _is_due(self, stamp_ns: int, T_odom_camera: Mat4 | None, is_localized: bool) -> bool:
        waited_s = (stamp_ns - (self._last_stamp_ns or 0)) / 1e9
        limits = self.limits
        if limits.max_rate_hz > 0 and waited_s < (1 - _JITTER) / limits.max_rate_hz:
            return False
        if not is_localized or T_odom_camera is None or self._last_pose is None:
            return True
        if 0 < limits.max_wait_s <= waited_s:
            return True
        distance, angle = pose_error(T_odom_camera, self._last_pose)
        return distance >= limits.min_translation or angle >= limits.min_rotation
