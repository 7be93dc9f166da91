# SPDX-License-Identifier: Apache-2.0
"""A box with tiled walls, seen by exact ray casting, and a small encoder: what the tests of the map are built on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.patch_encoder import PatchEncoder
from xover_core.encoders.patch_grid import make_patch_grid, resize_to_grid
from xover_core.geometry.camera import back_project, viewing_rays
from xover_core.geometry.transforms import invert, make_pose, transform_points
from xover_core.landmark_map.map_storage import MapStorage, new_header
from xover_core.types import (
    CameraIntrinsics,
    Float32Array,
    Keyframe,
    Landmarks,
    Mat4,
    ModelInfo,
    PatchFeatures,
    RgbdFrame,
    Scene,
)

CAMERA = CameraIntrinsics(fx=60.0, fy=60.0, cx=39.5, cy=31.5, width=80, height=64)
WORKING_HEIGHT = 64
DESCRIPTOR_DIM = 12
HALF_SIZE = np.array([3.0, 2.5, 1.5])
TILE_SIZE = 0.3
MODEL = ModelInfo(name="test-model", checksum="0" * 64, descriptor_dim=DESCRIPTOR_DIM, radii=(0.2,))


def look_at(position: tuple[float, float, float], heading_deg: float) -> Mat4:
    """T_map_camera of a level camera; the map's z is up, heading 0 looks along x, 90 along y."""
    heading = np.radians(heading_deg)
    forward = np.array([np.cos(heading), np.sin(heading), 0.0])
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    return make_pose(np.stack([right, [0.0, 0.0, -1.0], forward], axis=1), position)


def room_frame(T_map_camera: Mat4, camera: CameraIntrinsics = CAMERA, *, stamp_ns: int = 0) -> RgbdFrame:
    """What a camera inside the box sees; walls of random tiles, the same in every run."""
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    rays_camera = viewing_rays(np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float64), camera)
    origin, rays = T_map_camera[:3, 3], rays_camera @ T_map_camera[:3, :3].T
    with np.errstate(divide="ignore"):
        reach = (np.sign(rays) * HALF_SIZE - origin) / rays
    axis = np.argmin(reach, axis=1)
    depth = np.take_along_axis(reach, axis[:, None], axis=1)[:, 0]
    hits = origin + rays * depth[:, None]
    # off the wall's own plane, where the tile would be decided by rounding
    tiles = np.floor((hits + 0.01 * np.sign(hits)) / TILE_SIZE).astype(np.int64) + 100
    colours = np.random.default_rng(0).integers(0, 256, (4096, 3), dtype=np.uint8)
    rgb = colours[(tiles @ (1009, 3019, 5003) + axis) % 4096].reshape(camera.height, camera.width, 3)
    return RgbdFrame(
        stamp_ns=stamp_ns,
        rgb=rgb,
        depth=depth.reshape(camera.height, camera.width).astype(np.float32),
        intrinsics=camera,
    )


class TileEncoder:
    """Mean colours of the four quarters of a patch, less the mean of the site: implements `SiteFittable`."""

    def __init__(self, mean: Float32Array | None = None) -> None:
        self._mean = np.full(DESCRIPTOR_DIM, 127.0, np.float32) if mean is None else mean

    @property
    def model(self) -> ModelInfo:
        checksum = hashlib.sha256(self._mean.tobytes()).hexdigest()
        return dataclasses.replace(MODEL, name="tiles", checksum=checksum)

    @property
    def site_weights(self) -> bytes:
        return self._mean.tobytes()

    def encode(self, frame: RgbdFrame) -> PatchFeatures:
        grid = make_patch_grid(frame.intrinsics.width, frame.intrinsics.height, WORKING_HEIGHT)
        centred = self._quarters(frame.rgb) - self._mean
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        descriptors = (centred / np.maximum(norms, 1e-6)).astype(np.float32)
        return PatchFeatures(grid_shape=grid.grid_shape, keypoints_px=grid.keypoints_px, descriptors=(descriptors,))

    def fit_to(self, frames: Iterable[RgbdFrame]) -> PatchEncoder:
        return TileEncoder(np.mean([self._quarters(f.rgb).mean(axis=0) for f in frames], axis=0).astype(np.float32))

    def _quarters(self, rgb: NDArray[np.uint8]) -> Float32Array:
        """(N, 12) colours of the quarters of each patch."""
        grid = make_patch_grid(rgb.shape[1], rgb.shape[0], WORKING_HEIGHT)
        rows, cols = grid.grid_shape
        small = cv2.resize(resize_to_grid(rgb, grid), (cols * 2, rows * 2), interpolation=cv2.INTER_AREA)
        patches = small.reshape(rows, 2, cols, 2, 3).transpose(0, 2, 1, 3, 4)
        return patches.reshape(rows * cols, DESCRIPTOR_DIM).astype(np.float32)


def room_keyframe(T_map_camera: Mat4, *, keyframe_id: int = 0, scene_id: int = 1) -> Keyframe:
    """A keyframe of the box, as the builder would make it."""
    frame = room_frame(T_map_camera)
    features = TileEncoder().encode(frame)
    columns, rows = np.rint(features.keypoints_px).astype(int).T
    assert frame.depth is not None
    return Keyframe(
        keyframe_id=keyframe_id,
        scene_id=scene_id,
        stamp_ns=7,
        T_map_camera=T_map_camera,
        intrinsics=CAMERA,
        grid_shape=features.grid_shape,
        keypoints_px=features.keypoints_px,
        descriptors=tuple(scale.astype(np.float16) for scale in features.descriptors),
        points_camera=back_project(features.keypoints_px, frame.depth[rows, columns], CAMERA),
        thumbnail_jpeg=b"no picture",
    )


def new_storage(path: Path) -> MapStorage:
    """A map of `MODEL` with one scene and no keyframe."""
    storage = MapStorage.create(path, new_header(MODEL, b"weights", "office"))
    storage.put_scene(Scene(scene_id=1, center_map=np.zeros(3)))
    return storage


def points_in_camera(points_map: NDArray[np.floating], T_map_camera: Mat4) -> NDArray[np.float64]:
    """(N, 3) points seen from a camera."""
    return transform_points(invert(T_map_camera), points_map)


def put_landmarks(storage: MapStorage, landmarks: Landmarks) -> None:
    """Replace the landmarks of a stored map."""
    stored = storage.load()
    storage.replace_contents(
        model=MODEL,
        site_weights=b"",
        keyframes=stored.keyframes,
        has_new_descriptors=False,
        scenes=stored.scenes,
        landmarks=landmarks,
    )
