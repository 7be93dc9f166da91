# SPDX-License-Identifier: Apache-2.0
"""Tiny scans in the layouts of Matterport3D and ScanNet: a bright mark on a slanted wall, seen from several places.

Written with the formulas of the data sets themselves, not with those of the readers.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.geometry.transforms import invert, make_pose
from xover_core.types import CameraIntrinsics, Mat4

# World: x right, y away from the viewer, z up. The wall: y = 3 + 0.2 x.
WALL_NORMAL, WALL_OFFSET = np.array([-0.2, 1.0, 0.0]), 3.0
MARK_WORLD = np.array([0.25, 3.05, 1.4])
DARK, BRIGHT = 20, 255
# A camera in OpenCV's convention that looks along +y with z up.
R_WORLD_CAMERA = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
FLIP = np.diag([1.0, -1.0, -1.0])


def camera_pose(number: int) -> Mat4:
    """T_world_camera (OpenCV) of a frame: steps aside, nearer, turns and rolls; every third frame starts again."""
    number = number % 3
    rotation = R_WORLD_CAMERA @ cv2.Rodrigues(np.array([0.03, -0.06, 0.1]) * number)[0]
    return make_pose(rotation, [0.1 - 0.15 * number, 0.2 * number, 1.3 + 0.05 * number])


def pixel_grid(width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    v, u = np.mgrid[0:height, 0:width].astype(np.float64)
    return u, v


def wall_depth(camera: CameraIntrinsics, T_world_camera: Mat4) -> NDArray[np.float64]:
    """(H, W) metres along the optical axis to the wall."""
    u, v = pixel_grid(camera.width, camera.height)
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1)
    rays_world = rays @ T_world_camera[:3, :3].T
    return (WALL_OFFSET - WALL_NORMAL @ T_world_camera[:3, 3]) / (rays_world @ WALL_NORMAL)


def mark_image(camera: CameraIntrinsics, T_world_camera: Mat4) -> NDArray[np.uint8]:
    """(H, W, 3) dark, with the pixel of the mark and the eight around it bright."""
    image = np.full((camera.height, camera.width, 3), DARK, np.uint8)
    x, y, z = (invert(T_world_camera) @ np.append(MARK_WORLD, 1))[:3]
    u, v = round(x / z * camera.fx + camera.cx), round(y / z * camera.fy + camera.cy)
    assert 1 <= u < camera.width - 1, "the mark must be in view"
    assert 1 <= v < camera.height - 1, "the mark must be in view"
    image[v - 1 : v + 2, u - 1 : u + 2] = BRIGHT
    return image


def mark_pixel(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(1, 2) centre of the mark in an image."""
    rows, columns = np.nonzero(rgb[:, :, 1] > (DARK + BRIGHT) / 2)
    return np.array([[columns.mean(), rows.mean()]])


def write_image(path: Path, image: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


# Matterport3D: camera 0 to 2, one panorama; the camera of this file is that of OpenCV.
MATTERPORT_CAMERA = CameraIntrinsics(fx=70.0, fy=72.0, cx=38.0, cy=30.5, width=80, height=64)


def matterport_rows(number: int, camera: int = 1) -> list[str]:
    """`intrinsics_matrix` and `scan` of a frame: camera looks along -z, y up, rows are counted from the bottom."""
    K = MATTERPORT_CAMERA
    T = camera_pose(number) @ np.diag([1.0, -1, -1, 1])
    pose = " ".join(f"{value:.9f}" for value in T.ravel())
    return [
        f"intrinsics_matrix {K.fx} 0 {K.cx}  0 {K.fy} {K.height - 1 - K.cy} 0 0 1 ",
        f"scan pano_d{camera}_{number}.png pano_i{camera}_{number}.jpg {pose}",
    ]


def make_matterport(path: Path, numbers: tuple[int, ...] = (0, 1, 2)) -> Path:
    """A scan; of each number there is also an image of the camera that looks up."""
    rows = ["dataset matterport", f"n_images {2 * len(numbers)}", "depth_directory undistorted_depth_images", ""]
    for number in numbers:
        for camera in (0, 1):
            rows += matterport_rows(number, camera)
            color = path / "undistorted_color_images" / f"pano_i{camera}_{number}.jpg"
            write_image(color, mark_image(MATTERPORT_CAMERA, camera_pose(number)))
            depth = np.rint(wall_depth(MATTERPORT_CAMERA, camera_pose(number)) * 4000).astype(np.uint16)
            write_image(path / "undistorted_depth_images" / f"pano_d{camera}_{number}.png", depth)
    parameters = path / "undistorted_camera_parameters" / f"{path.name}.conf"
    parameters.parent.mkdir()
    parameters.write_text("\n".join(rows) + "\n")
    return path


# ScanNet: colour has more pixels than depth and a wider view; both stand on a base.
SCANNET_COLOR = CameraIntrinsics(fx=110.0, fy=112.0, cx=60.0, cy=47.0, width=126, height=96)
SCANNET_DEPTH = CameraIntrinsics(fx=57.0, fy=58.0, cx=31.0, cy=23.5, width=64, height=48)
SHIFTED = make_pose(cv2.Rodrigues(np.array([0.01, 0.02, 0.0]))[0], [0.05, -0.01, 0.0])


def write_matrix(path: Path, matrix: NDArray[np.floating]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, matrix, fmt="%f")


def scannet_depth_raw(number: int) -> NDArray[np.uint16]:
    return np.rint(wall_depth(SCANNET_DEPTH, camera_pose(number)) * 1000).astype(np.uint16)


def embedded(K: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) in (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3] = K
    return matrix


def make_scannet(path: Path, numbers: tuple[int, ...] = (0, 1, 2), T_base_color: Mat4 | None = None) -> Path:
    """An exported scan. The base is the depth camera, and the colour camera stands on it somewhere else or not."""
    T_base_color = np.eye(4) if T_base_color is None else T_base_color
    for number in numbers:
        write_image(path / "color" / f"{number}.jpg", mark_image(SCANNET_COLOR, camera_pose(number) @ T_base_color))
        write_image(path / "depth" / f"{number}.png", scannet_depth_raw(number))
        write_matrix(path / "pose" / f"{number}.txt", camera_pose(number))
    write_matrix(path / "intrinsic" / "intrinsic_color.txt", embedded(SCANNET_COLOR.matrix))
    write_matrix(path / "intrinsic" / "intrinsic_depth.txt", embedded(SCANNET_DEPTH.matrix))
    write_matrix(path / "intrinsic" / "extrinsic_color.txt", T_base_color)
    write_matrix(path / "intrinsic" / "extrinsic_depth.txt", np.eye(4))
    return path


def make_sens(path: Path, numbers: tuple[int, ...] = (0, 1, 2), *, color_kind: int = 2) -> Path:
    """The same scan as one file, written as ScanNet's `SensorData::saveToFile` does."""
    matrices = (embedded(SCANNET_COLOR.matrix), np.eye(4), embedded(SCANNET_DEPTH.matrix), np.eye(4))
    parts = [struct.pack("<IQ", 4, 11), b"StructureIO", *(m.astype("<f4").tobytes() for m in matrices)]
    sizes = (SCANNET_COLOR.width, SCANNET_COLOR.height, SCANNET_DEPTH.width, SCANNET_DEPTH.height)
    parts += [struct.pack("<2i4I", color_kind, 1, *sizes), struct.pack("<fQ", 1000.0, len(numbers))]
    for number in numbers:
        color = cv2.imencode(".jpg", mark_image(SCANNET_COLOR, camera_pose(number)))[1].tobytes()
        depth = zlib.compress(scannet_depth_raw(number).astype("<u2").tobytes())
        parts += [camera_pose(number).astype("<f4").tobytes(), struct.pack("<4Q", 0, 0, len(color), len(depth))]
        parts += [color, depth]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(parts))
    return path


# A room of colours: its floor and two walls, two chairs and a desk, in blocks that every frame shows elsewhere.
LABEL_COLORS = {
    1: (150, 60, 60),
    2: (60, 150, 60),
    3: (60, 60, 150),
    4: (150, 150, 60),
    5: (150, 60, 150),
    6: (60, 150, 150),
}
RAW_CATEGORY = {1: 3, 2: 1, 3: 1, 4: 2, 5: 2, 6: 1163}
LABEL_TABLE_ROWS = ((1, "wall", "wall"), (2, "chair", "chair"), (3, "floor", "floor"), (1163, "object", "otherprop"))
_BLOCKS = (6, 8)


def write_label_table(path: Path) -> Path:
    """The columns that are read, and one of the many others."""
    rows = [f"{number}\t{raw}\t7\t{nyu}" for number, raw, nyu in LABEL_TABLE_ROWS]
    path.write_text("\n".join(["id\traw_category\tcount\tnyu40class", *rows]) + "\n")
    return path


def make_labelled_scan(path: Path, num_frames: int = 6, *, has_instances: bool = True) -> Path:
    """Colour and label images; labels have half the size of colour. A column of blocks is not labelled."""
    rng = np.random.default_rng(0)
    colors = np.array([(0, 0, 0), *LABEL_COLORS.values()])
    raw = np.array([0, *RAW_CATEGORY.values()], np.uint16)
    for number in range(num_frames):
        objects = rng.integers(1, 7, _BLOCKS)
        image = colors[objects].repeat(40, axis=0).repeat(40, axis=1) + rng.integers(-9, 10, (240, 320, 3))
        write_image(path / "color" / f"{number}.png", image.astype(np.uint8)[:, :, ::-1])
        objects[:, 0] = 0
        labels = objects.repeat(20, axis=0).repeat(20, axis=1)
        write_image(path / "label-filt" / f"{number}.png", raw[labels])
        if has_instances:
            write_image(path / "instance-filt" / f"{number}.png", labels.astype(np.uint8))
    return path
