# SPDX-License-Identifier: Apache-2.0
"""A tree of coordinate frames over time, as tf2 keeps one, without ROS.

Replay and evaluation must take the same path as the live node, so the core has its own.
"""

from __future__ import annotations

import numpy as np

from xover_core.errors import GeometryError
from xover_core.geometry.pose_history import PoseHistory, TransformUnavailableError, UnavailableReason
from xover_core.geometry.transforms import invert
from xover_core.types import Mat4, as_pose

__all__ = ["TransformBuffer", "TransformUnavailableError", "UnavailableReason"]

MAX_FRAMES = 1000  # a bound on memory against publishers that make up new frame names


class TransformBuffer:
    """Transforms between named frames, static or stamped, looked up through the tree."""

    def __init__(self, cache_s: float = 10.0) -> None:
        """Make an empty buffer that keeps `cache_s` seconds of each moving transform."""
        self._cache_s = cache_s
        self._parents: dict[str, str] = {}
        self._static: dict[str, Mat4] = {}
        self._moving: dict[str, PoseHistory] = {}

    @property
    def frames(self) -> frozenset[str]:
        """All frame names known now."""
        return frozenset(self._parents) | frozenset(self._parents.values())

    def set(self, parent: str, child: str, stamp_ns: int, T_parent_child: Mat4, is_static: bool = False) -> bool:
        """Enter a transform; False when it is older than the buffer goes back and was therefore left out.

        A frame has one parent. Another one is accepted only when the transform to the old one has not been renewed
        for `cache_s`: two publishers that disagree about the tree are an error, moving a gripper's object is not.

        Raises:
            GeometryError: empty names, no rigid transform, a loop of frames, a second parent, too many frames.
        """
        parent, child = _clean_name(parent), _clean_name(child)
        self._check_parent(parent, child, stamp_ns, is_static=is_static)
        name = f"transform {parent} -> {child}"
        pose = as_pose(T_parent_child, name)
        if is_static:
            self._moving.pop(child, None)
            self._static[child] = pose
        else:
            self._static.pop(child, None)
            if self._parents.get(child) != parent or child not in self._moving:
                self._moving[child] = PoseHistory(name, cache_s=self._cache_s)
            if not self._moving[child].add(stamp_ns, pose):
                return False
        self._parents[child] = parent
        return True

    def lookup(self, target: str, source: str, stamp_ns: int) -> Mat4:
        """T_target_source at a time: p_target = T_target_source @ p_source.

        Raises:
            TransformUnavailableError: with the reason: a frame nobody has published, two trees, a time before or after
                the data.
        """
        target, source = _clean_name(target), _clean_name(source)
        self._check_known(target, source)
        source_chain, target_chain = self._ancestors(source), self._ancestors(target)
        common = next((frame for frame in source_chain if frame in set(target_chain)), None)
        if common is None:
            raise TransformUnavailableError(
                UnavailableReason.DISCONNECTED,
                f"no transform from {source} to {target}: they are in different trees, with the roots"
                f" {source_chain[-1]} and {target_chain[-1]}; who publishes the transform between those?",
            )
        T_common_source = self._compose(source_chain[: source_chain.index(common)], stamp_ns)
        T_common_target = self._compose(target_chain[: target_chain.index(common)], stamp_ns)
        return invert(T_common_target) @ T_common_source

    def clear(self) -> None:
        """Forget all moving transforms; static ones stay, because they are published once only."""
        for child in self._moving:
            del self._parents[child]
        self._moving.clear()

    def _compose(self, chain: list[str], stamp_ns: int) -> Mat4:
        """T_ancestor_first for the frames of a chain that leads from `first` up to below the ancestor."""
        pose: Mat4 = np.eye(4)
        for frame in chain:
            T_parent_frame = self._static[frame] if frame in self._static else self._moving[frame].lookup(stamp_ns)
            pose = T_parent_frame @ pose
        return pose

    def _ancestors(self, frame: str) -> list[str]:
        """The frame itself, its parent, and so on up to the root."""
        chain = [frame]
        while (parent := self._parents.get(chain[-1])) is not None:
            chain.append(parent)
        return chain

    def _check_known(self, target: str, source: str) -> None:
        """Raise TransformUnavailableError for a frame that nobody has published."""
        known = self.frames
        for frame in (source, target):
            if frame not in known and target != source:
                raise TransformUnavailableError(
                    UnavailableReason.UNKNOWN_FRAME,
                    f"no transform from {source} to {target}: nobody has published frame {frame}; frames known are"
                    f" {', '.join(sorted(known)[:12]) or 'none'}.",
                )

    def _check_parent(self, parent: str, child: str, stamp_ns: int, *, is_static: bool) -> None:
        """Raise GeometryError when the edge would make a loop, a second parent, or one frame too many."""
        if child in self._ancestors(parent):
            raise GeometryError(
                f"transform {parent} -> {child}: would close a loop of frames, {child} being an ancestor of {parent}."
            )
        old = self._parents.get(child)
        if old is None and len(self._parents) >= MAX_FRAMES:
            raise GeometryError(f"transform {parent} -> {child}: more than {MAX_FRAMES} frames, this one is left out.")
        if old is None or old == parent:
            return
        newest_ns = self._moving[child].newest_ns if child in self._moving else None
        is_stale = newest_ns is not None and stamp_ns > newest_ns + int(self._cache_s * 1e9)
        if is_static or not is_stale:
            raise GeometryError(
                f"transform {parent} -> {child}: frame {child} already has the parent {old}; a frame has one parent,"
                " so one of the two publishers must go."
            )


def _clean_name(frame: str) -> str:
    """Frame name without the leading slash that old drivers write; GeometryError when empty."""
    name = frame.lstrip("/")
    if not name:
        raise GeometryError("transform with an empty frame name: the publisher must fill in both frame ids.")
    return name
