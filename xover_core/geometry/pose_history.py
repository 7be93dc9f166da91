# SPDX-License-Identifier: Apache-2.0
"""Stamped poses of one body over the last seconds, with interpolation in between."""

from __future__ import annotations

from bisect import bisect_left
from enum import Enum

from xover_core.errors import GeometryError
from xover_core.geometry.transforms import interpolate
from xover_core.types import Mat4, as_pose

MAX_POSES = 20_000  # 10 s at 2 kHz; a bound on memory against publishers that run wild


class UnavailableReason(Enum):
    """Why there is no transform; all but TOO_OLD may be cured by waiting."""

    UNKNOWN_FRAME = "unknown frame"
    DISCONNECTED = "not connected"
    TOO_OLD = "too old"
    NOT_YET = "not yet there"


class TransformUnavailableError(GeometryError):
    """A transform cannot be given for this time.

    Attributes:
        reason: what is missing.
    """

    def __init__(self, reason: UnavailableReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PoseHistory:
    """Poses T_parent_child by stamp, the newest `cache_s` seconds of them; stamps may arrive in any order."""

    def __init__(self, name: str, *, cache_s: float = 10.0) -> None:
        """Make an empty history.

        Args:
            name: what the poses are of, for messages.
            cache_s: how long before the newest stamp poses are kept, seconds.
        """
        self._name = name
        self._cache_ns = int(cache_s * 1e9)
        self._stamps_ns: list[int] = []
        self._poses: list[Mat4] = []

    def __len__(self) -> int:
        """Number of poses held."""
        return len(self._stamps_ns)

    @property
    def newest_ns(self) -> int | None:
        """The newest stamp; None when empty."""
        return self._stamps_ns[-1] if self._stamps_ns else None

    def add(self, stamp_ns: int, T_parent_child: Mat4) -> bool:
        """Insert a pose, replacing one with the same stamp; False when it is older than the history goes back.

        Raises:
            GeometryError: not a rigid transform.
        """
        pose = as_pose(T_parent_child, self._name)
        if self._stamps_ns and stamp_ns < self._stamps_ns[-1] - self._cache_ns:
            return False
        at = bisect_left(self._stamps_ns, stamp_ns)
        if at < len(self._stamps_ns) and self._stamps_ns[at] == stamp_ns:
            self._poses[at] = pose
            return True
        self._stamps_ns.insert(at, stamp_ns)
        self._poses.insert(at, pose)
        self._forget_old()
        return True

    def lookup(self, stamp_ns: int) -> Mat4:
        """T_parent_child at a time, interpolated between its neighbours; never extrapolated.

        Raises:
            TransformUnavailableError: the time lies before the oldest or after the newest pose, or there is none.
        """
        if not self._stamps_ns:
            raise TransformUnavailableError(UnavailableReason.NOT_YET, f"{self._name}: no pose has arrived yet.")
        oldest, newest = self._stamps_ns[0], self._stamps_ns[-1]
        if stamp_ns > newest:
            raise TransformUnavailableError(
                UnavailableReason.NOT_YET,
                f"{self._name}: asked for {stamp_ns / 1e9:.3f} s, the newest pose is"
                f" {(stamp_ns - newest) / 1e9:.3f} s older.",
            )
        if stamp_ns < oldest:
            raise TransformUnavailableError(
                UnavailableReason.TOO_OLD,
                f"{self._name}: asked for {stamp_ns / 1e9:.3f} s, the oldest pose kept is"
                f" {(oldest - stamp_ns) / 1e9:.3f} s newer.",
            )
        after = bisect_left(self._stamps_ns, stamp_ns)
        if self._stamps_ns[after] == stamp_ns:
            return self._poses[after]
        before_ns, after_ns = self._stamps_ns[after - 1], self._stamps_ns[after]
        fraction = (stamp_ns - before_ns) / (after_ns - before_ns)
        return interpolate(self._poses[after - 1], self._poses[after], fraction)

    def clear(self) -> None:
        """Forget all poses."""
        self._stamps_ns.clear()
        self._poses.clear()

    def _forget_old(self) -> None:
        """Drop what is older than the cache time or over the limit of memory."""
        num_old = bisect_left(self._stamps_ns, self._stamps_ns[-1] - self._cache_ns)
        num_old = max(num_old, len(self._stamps_ns) - MAX_POSES)
        if num_old:
            del self._stamps_ns[:num_old], self._poses[:num_old]
