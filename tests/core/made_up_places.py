# SPDX-License-Identifier: Apache-2.0
"""Recordings of places that differ by their colours, held in memory or written as folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.evaluation.protocols.place_recordings import RecordedPlace
from xover_core.geometry.transforms import make_pose
from xover_core.types import CameraIntrinsics, Mat4, RgbdFrame

CAMERA = CameraIntrinsics(fx=60.0, fy=60.0, cx=47.5, cy=35.5, width=96, height=72)
_BLOCK_PX = 12
_RATE_HZ = 10
Color = tuple[int, int, int]


class MadeUpRecording:
    """Implements `RgbdSequence`: frames whose blocks have a colour, more or less; a frame 1 m after the other."""

    def __init__(self, name: str, colors: Sequence[Color], *, has_poses: bool = True, has_depth: bool = True) -> None:
        self.name = name
        self._colors = tuple(colors)
        self._has_poses, self._has_depth = has_poses, has_depth

    def __len__(self) -> int:
        return len(self._colors)

    def __iter__(self) -> Iterator[SequenceItem]:
        rng = np.random.default_rng(len(self.name))
        for number, color in enumerate(self._colors):
            shape = CAMERA.height // _BLOCK_PX, CAMERA.width // _BLOCK_PX
            blocks = np.array(color) + rng.integers(-25, 26, (*shape, 1))
            rgb = np.clip(blocks, 0, 255).astype(np.uint8).repeat(_BLOCK_PX, axis=0).repeat(_BLOCK_PX, axis=1)
            depth = np.full(rgb.shape[:2], 2.0, np.float32) if self._has_depth else None
            frame = RgbdFrame(stamp_ns=number, rgb=rgb, depth=depth, intrinsics=CAMERA)
            yield SequenceItem(frame=frame, T_world_camera=self._pose(number), name=str(number))

    def _pose(self, number: int) -> Mat4 | None:
        return make_pose(np.eye(3), (float(number), 0.0, 0.0)) if self._has_poses else None


def made_up_place(name: str, mapped: Sequence[Color], asked: Sequence[Color], **options: bool) -> RecordedPlace:
    """A place by the colours of its frames; queries have no poses."""
    mapping = MadeUpRecording(f"{name}/map", mapped, **options)
    return RecordedPlace(name=name, mapping=mapping, query=MadeUpRecording(f"{name}/query", asked, has_poses=False))


def write_place(folder: Path, mapped: Sequence[Color], asked: Sequence[Color]) -> Path:
    """A place in the plain folder layout."""
    for part, colors in (("map", mapped), ("query", asked)):
        rows = []
        for item in MadeUpRecording(part, colors):
            number, frame, T_world_camera = int(item.name), item.frame, item.T_world_camera
            assert frame.depth is not None
            assert T_world_camera is not None
            _write(folder / part / "rgb" / f"{number}.png", frame.rgb[:, :, ::-1])
            _write(folder / part / "depth" / f"{number}.png", (frame.depth * 1000).astype(np.uint16))
            rows.append(f"{number} {number / _RATE_HZ} {' '.join(map(str, T_world_camera[:3, 3]))} 0 0 0 1\n")
        (folder / part / "poses.txt").write_text("".join(rows))
        c = CAMERA
        (folder / part / "intrinsics.txt").write_text(f"{c.fx} {c.fy} {c.cx} {c.cy} {c.width} {c.height} 1000\n")
    return folder


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
