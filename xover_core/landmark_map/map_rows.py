# SPDX-License-Identifier: Apache-2.0
"""Rows of the map file <-> the dataclasses of `xover_core.types`. All numbers in blobs are little-endian."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from xover_core.types import CameraIntrinsics, Float32Array, Keyframe, Landmarks, Scene

# A 3D point is three int16 in steps of (largest coordinate / 32767): 6 bytes for 12, and an error of at most half a
# step, 0.12 mm at 8 m, a tenth of what the best depth cameras resolve.
_LARGEST_INT16 = 32767
_NO_POINT = -32768

Row = tuple[Any, ...]


class DamagedRowError(Exception):
    """A row's numbers are not those that were written; `map_connection.map_errors` says in which file."""


def checksum(*blobs: bytes) -> int:
    """CRC-32 over blobs in order; finds damage that SQLite, which checks only its own structure, cannot see."""
    crc = 0
    for blob in blobs:
        crc = zlib.crc32(blob, crc)
    return crc


def to_blob(array: NDArray[Any], dtype: DTypeLike) -> bytes:
    """Bytes of an array, row by row."""
    return np.ascontiguousarray(array, dtype=dtype).tobytes()


def from_blob(blob: bytes, dtype: DTypeLike, *shape: int) -> NDArray[Any]:
    """Read-only array over the bytes, without a copy."""
    return np.frombuffer(blob, dtype=dtype).reshape(shape)


def pack_points(points: Float32Array) -> tuple[bytes, float]:
    """(N, 3) points in metres to a blob and its step in metres; NaN rows stay NaN."""
    is_valid = np.isfinite(points).all(axis=1)
    largest = float(np.abs(points[is_valid]).max(initial=0.0))
    step = largest / _LARGEST_INT16 or 1.0
    units = np.full(points.shape, _NO_POINT, np.int16)
    units[is_valid] = np.rint(points[is_valid].astype(np.float64) / step)
    return to_blob(units, "<i2"), step


def unpack_points(blob: bytes, step: float) -> Float32Array:
    """Inverse of `pack_points`, to half a step."""
    units = from_blob(blob, "<i2", -1, 3)
    points: Float32Array = (units * np.float64(step)).astype(np.float32)
    points[units[:, 0] == _NO_POINT] = np.nan
    return points


def camera_row(keyframe: Keyframe) -> Row:
    """Intrinsics and patch grid of a keyframe, without the id: the same for all frames of a camera."""
    camera = keyframe.intrinsics
    grid = to_blob(keyframe.keypoints_px, "<f4")
    return (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height, *keyframe.grid_shape, grid)


def keyframe_row(keyframe: Keyframe, camera_id: int) -> Row:
    """Row of the table `keyframe` without the id."""
    points, step = pack_points(keyframe.points_camera)
    blobs = (to_blob(keyframe.T_map_camera, "<f8"), points, keyframe.thumbnail_jpeg)
    return (keyframe.scene_id, camera_id, keyframe.stamp_ns, checksum(*blobs), step, *blobs)


def read_camera(row: Row) -> tuple[CameraIntrinsics, tuple[int, int], Float32Array]:
    """Inverse of `camera_row`."""
    fx, fy, cx, cy, width, height, rows, cols, grid = row
    intrinsics = CameraIntrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=width, height=height)
    return intrinsics, (rows, cols), from_blob(grid, "<f4", -1, 2)


def read_keyframe(
    row: Row,
    camera: tuple[CameraIntrinsics, tuple[int, int], Float32Array],
    descriptors: tuple[NDArray[np.float16], ...],
) -> Keyframe:
    """Keyframe from its row (id first), its camera, and its descriptors.

    Raises:
        DamagedRowError: the checksum does not fit, or the number of descriptors is not that of the points.
    """
    keyframe_id, scene_id, _, stamp_ns, crc, step, pose, points, jpeg = row
    points_camera = unpack_points(points, step)
    has_all = descriptors and all(len(scale) == len(points_camera) == len(camera[2]) for scale in descriptors)
    if checksum(pose, points, jpeg) != crc or not has_all:
        raise DamagedRowError(f"the data of keyframe {keyframe_id} do not fit their checksum")
    return Keyframe(
        keyframe_id=keyframe_id,
        scene_id=scene_id,
        stamp_ns=stamp_ns,
        T_map_camera=from_blob(pose, "<f8", 4, 4),
        intrinsics=camera[0],
        grid_shape=camera[1],
        keypoints_px=camera[2],
        descriptors=descriptors,
        points_camera=points_camera,
        thumbnail_jpeg=jpeg,
    )


def read_descriptors(row: Row, descriptor_dim: int) -> NDArray[np.float16]:
    """(N, D) descriptors of one scale from (keyframe_id, scale, crc32, blob).

    Raises:
        DamagedRowError: the checksum does not fit.
    """
    keyframe_id, scale, crc, blob = row
    if checksum(blob) != crc:
        raise DamagedRowError(f"the descriptors of keyframe {keyframe_id}, scale {scale}, do not fit their checksum")
    return from_blob(blob, "<f2", -1, descriptor_dim)


def read_scene(row: Row) -> Scene:
    """Scene from a row of the table `scene`."""
    scene_id, x, y, z, building, floor, room = row
    return Scene(scene_id=scene_id, center_map=np.array([x, y, z]), building=building, floor=floor, room=room)


def landmark_row(landmarks: Landmarks, scene_id: int) -> Row:
    """Row of the table `landmark_block` for landmarks that all belong to one scene."""
    blobs = (
        to_blob(landmarks.landmark_ids, "<i8"),
        to_blob(landmarks.positions_map, "<f8"),
        to_blob(landmarks.embeddings, "<f2"),
        to_blob(landmarks.scores, "<f4"),
        to_blob(landmarks.observation_offsets, "<i8"),
        to_blob(landmarks.observations, "<i4"),
    )
    return (scene_id, len(landmarks), landmarks.radius, checksum(*blobs), *blobs)


def read_landmarks(row: Row, descriptor_dim: int) -> Landmarks:
    """Inverse of `landmark_row`.

    Raises:
        DamagedRowError: the checksum does not fit.
    """
    scene_id, num, radius, crc, *blobs = row
    if checksum(*blobs) != crc:
        raise DamagedRowError(f"the landmarks of scene {scene_id} do not fit their checksum")
    ids, positions, embeddings, scores, offsets, observations = blobs
    return Landmarks(
        landmark_ids=from_blob(ids, "<i8", num),
        scene_ids=np.full(num, scene_id, np.int64),
        positions_map=from_blob(positions, "<f8", num, 3),
        radius=radius,
        embeddings=from_blob(embeddings, "<f2", num, descriptor_dim),
        scores=from_blob(scores, "<f4", num),
        observation_offsets=from_blob(offsets, "<i8", num + 1),
        observations=from_blob(observations, "<i4", -1, 2).astype(np.int64),
    )
