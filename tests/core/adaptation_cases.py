# SPDX-License-Identifier: Apache-2.0
"""A camera that turns twice in a box room, and an untrained network: what site adaptation is tested on."""

from __future__ import annotations

import copy
import functools
import math
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from box_room import look_at, room_frame
from locus_cases import SceneList
from torch import nn

from xover_core.config_io import override
from xover_core.networks.compact_encoder import CompactEncoder
from xover_core.training.adaptation_settings import AdaptationSettings
from xover_core.training.compact_start import make_compact
from xover_core.training.locus_settings import LocusNetworkSettings
from xover_core.training.scene_frames import SceneFrames, make_scene_frames
from xover_core.types import CameraIntrinsics, Mat4

RADII = (0.2, 0.6)
CAMERA = CameraIntrinsics(fx=90.0, fy=90.0, cx=55.5, cy=39.5, width=112, height=80)
VALUES = {
    "frames.width": 112,
    "frames.height": 80,
    "frames.min_step": 0.05,
    "held_out.gap": 0.1,
    "copies.num_copies": 1,
    "batches.batch_size": 6,
    "landmarks.num_landmarks": 32,
    "trainer.max_steps": 12,
    "trainer.validate_every": 6,
    "trainer.learning_rate": 0.01,
    "trainer.device": "cpu",
    "max_minutes": 0.0,
}
SETTINGS = override(AdaptationSettings(), VALUES)


@functools.cache
def started_network() -> CompactEncoder:
    """Whitened, not trained: its heads are not what they could be."""
    torch.manual_seed(0)
    network = make_compact(LocusNetworkSettings(radii=RADII, whitening_frames=20), SceneList([make_scene()]))
    assert isinstance(network, CompactEncoder)
    for head in network.context_heads:
        nn.init.normal_(cast(nn.Linear, head).weight, std=0.02)
    return network.eval()


def make_network() -> CompactEncoder:
    return copy.deepcopy(started_network())


def room_poses(num_frames: int) -> list[Mat4]:
    """Two turns on different circles, so that all is seen from several places."""
    angles = np.arange(num_frames) * (720.0 / num_frames)
    reach = np.where(angles < 360, 0.3, 0.8)
    return [
        look_at((r * math.sin(math.radians(a)), r * math.cos(math.radians(a)), 0.0), float(a))
        for r, a in zip(reach, angles, strict=True)
    ]


@functools.cache
def make_scene() -> SceneFrames:
    poses = room_poses(44)
    frames = [room_frame(pose, CAMERA) for pose in poses]
    return make_scene_frames(
        "room",
        np.stack([frame.rgb for frame in frames]),
        np.stack([frame.depth for frame in frames if frame.depth is not None]),
        [CAMERA] * len(frames),
        np.stack(poses),
    )


def write_recording(folder: Path) -> None:
    """The folder layout of recordings, without rotation from a library: quaternions by hand."""
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    lines = []
    for i, pose in enumerate(room_poses(44)):
        frame = room_frame(pose, CAMERA)
        assert frame.depth is not None
        cv2.imwrite(str(folder / "rgb" / f"{i:06d}.jpg"), frame.rgb[..., ::-1])
        cv2.imwrite(str(folder / "depth" / f"{i:06d}.png"), np.rint(frame.depth * 1000).astype(np.uint16))
        vector = cv2.Rodrigues(pose[:3, :3])[0][:, 0]
        angle = float(np.linalg.norm(vector))
        quat_xyzw = [*(vector / max(angle, 1e-12) * math.sin(angle / 2)), math.cos(angle / 2)]
        lines.append(f"{i} {i / 10} {' '.join(str(v) for v in (*pose[:3, 3], *quat_xyzw))}\n")
    (folder / "poses.txt").write_text("".join(lines))
    c = CAMERA
    (folder / "intrinsics.txt").write_text(f"{c.fx} {c.fy} {c.cx} {c.cy} {c.width} {c.height} 1000\n")
