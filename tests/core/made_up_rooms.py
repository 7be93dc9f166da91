# SPDX-License-Identifier: Apache-2.0
"""Tiny data sets of one room in the layouts of ScanNet (with Scan2CAD, SceneCAD, SceneVerse) and 3RScan.

The room is made of boxes with an object id each; points lie on their sides, pictures come from exact ray casting.
Written with the formulas of the data sets themselves, not with those of the readers.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from made_up_scans import embedded, write_image, write_matrix
from numpy.typing import NDArray

from xover_core.geometry.transforms import invert, make_pose, transform_points
from xover_core.types import CameraIntrinsics, Mat4


@dataclass(frozen=True)
class Box:
    """Axis-aligned in the room; `object_id` counts from 1."""

    object_id: int
    label: str
    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    color: tuple[int, int, int]


WALL = Box(1, "wall", (0.0, 2.9, 0.0), (4.0, 3.0, 2.5), (200, 200, 190))
FLOOR = Box(2, "floor", (0.0, 0.0, -0.1), (4.0, 3.0, 0.0), (120, 80, 40))
DESK = Box(3, "desk", (0.5, 2.0, 0.0), (1.7, 2.7, 0.75), (150, 60, 60))
CHAIR = Box(5, "office chair", (2.5, 1.5, 0.0), (3.0, 2.0, 0.9), (60, 60, 150))
ROOM = (WALL, FLOOR, DESK, CHAIR)
SPACING = 0.06  # m between points, so that every place of a surface is within 5 cm of one


def rotation_z(angle_deg: float) -> NDArray[np.float64]:
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


# From the mesh as published to the room: walls along the axes, floor at z = 0.
T_ROOM_MESH = make_pose(rotation_z(30.0), (0.4, -0.7, 0.02))


def look_from(position: tuple[float, float, float], heading_deg: float, tilt_deg: float = -20.0) -> Mat4:
    """T_room_camera, optical frame; heading 90 looks along y, a negative tilt looks down."""
    heading, tilt = np.radians([heading_deg, tilt_deg])
    forward = np.array([np.cos(heading) * np.cos(tilt), np.sin(heading) * np.cos(tilt), np.sin(tilt)])
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    return make_pose(np.stack([right, np.cross(forward, right), forward], axis=1), position)


CAMERA_POSES = (
    look_from((2.0, 0.3, 1.4), 90.0),
    look_from((3.5, 0.2, 1.5), 120.0),
    look_from((1.0, 0.3, 1.3), 75.0),
    look_from((2.0, 0.4, 1.4), 91.0),
)


def box_points(box: Box) -> NDArray[np.float64]:
    """(N, 3) grid on all sides of a box, corners included."""
    axes = [np.linspace(a, b, max(2, round((b - a) / SPACING) + 1)) for a, b in zip(box.lower, box.upper, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[((grid == box.lower) | (grid == box.upper)).any(axis=1)]


def ray_cast(boxes: tuple[Box, ...], camera: CameraIntrinsics, T_room_camera: Mat4) -> tuple[NDArray, NDArray, NDArray]:
    """Colour (H, W, 3), depth along the axis (H, W) in metres and object ids (H, W); 0 and black where nothing is."""
    v, u = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float64)
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1)
    rays = rays @ T_room_camera[:3, :3].T
    depth, rgb, ids = np.full(u.shape, np.inf), np.zeros((*u.shape, 3), np.uint8), np.zeros(u.shape, np.int32)
    for box in boxes:
        with np.errstate(divide="ignore"):
            slabs = (np.array([box.lower, box.upper])[:, None, None] - T_room_camera[:3, 3]) / rays
        enter, leave = slabs.min(axis=0).max(axis=-1), slabs.max(axis=0).min(axis=-1)
        hit = (enter < leave) & (enter > 0) & (enter < depth)
        depth[hit], rgb[hit], ids[hit] = enter[hit], box.color, box.object_id
    return rgb, np.where(np.isfinite(depth), depth, 0.0), ids


def write_ply(path: Path, columns: dict[str, NDArray[np.generic]], kind: str = "binary_little_endian") -> None:
    """Vertices, with a face behind them as real files have."""
    names = {"f4": "float", "u1": "uchar", "u2": "ushort", "f8": "double"}
    count = len(next(iter(columns.values())))
    header = ["ply", f"format {kind} 1.0", "comment made up", f"element vertex {count}"]
    header += [f"property {names[values.dtype.str[1:]]} {name}" for name, values in columns.items()]
    header += ["element face 1", "property list uchar int vertex_indices", "end_header"]
    order = ">" if kind == "binary_big_endian" else "<"
    rows = np.empty(count, [(name, order + values.dtype.str[1:]) for name, values in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    if kind == "ascii":
        body = "\n".join([*(" ".join(str(value) for value in row) for row in rows.tolist()), "3 0 1 2", ""]).encode()
    else:
        body = rows.tobytes() + np.array([3], "u1").tobytes() + np.array([0, 1, 2], order + "i4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join([*header, ""]).encode() + body)


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def labelled_points(boxes: tuple[Box, ...]) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.int64]]:
    """Points, colours and object ids of a room, with a few points of no object."""
    parts = [box_points(box) for box in boxes]
    stray = np.array([[2.0, 1.0, 1.0], [2.1, 1.0, 1.0]])
    points = np.concatenate([*parts, stray])
    counts = [len(part) for part in parts] + [len(stray)]
    colors = np.repeat([*(box.color for box in boxes), (9, 9, 9)], counts, axis=0).astype(np.uint8)
    return points, colors, np.repeat([*(box.object_id for box in boxes), 0], counts)


def vertex_columns(points: NDArray[np.float64], colors: NDArray[np.uint8]) -> dict[str, NDArray[np.generic]]:
    columns = {name: points[:, i].astype("<f4") for i, name in enumerate("xyz")}
    return columns | {name: colors[:, i] for i, name in enumerate(("red", "green", "blue"))}


# ScanNet ------------------------------------------------------------------------------------------------------------

CAMERA = CameraIntrinsics(fx=70.0, fy=71.0, cx=47.0, cy=35.0, width=96, height=72)
DESK_MODEL, CHAIR_MODEL = ("04379243", "desk0"), ("03001627", "chair0")
T_WORLD_MESH = make_pose(rotation_z(-20.0), (1.0, 2.0, 0.5))  # Scan2CAD's world; it scales, too
WORLD_SCALE = 2.0
REFERRALS = (
    ("the desk that is next to the wall", DESK),
    ("the desk to the left of the office chair", DESK),
    ("the office chair in front of the wall", CHAIR),
)


def make_scannet_tree(root: Path, scan_ids: tuple[str, ...] = ("scene0000_00", "scene0000_01", "scene0002_00")) -> Path:
    """Scans of one room, each with everything, in the folders that CrossOver's preparation leaves."""
    for scan_id in scan_ids:
        write_scannet_scan(root / "scans" / scan_id, scan_id)
    files = root / "files"
    files.mkdir(exist_ok=True)
    (files / "scannetv2_train.txt").write_text("scene0000_00\nscene0000_01\nscene0009_00\n")
    (files / "scannetv2_val.txt").write_text("scene0002_00\n")
    write_json(files / "scan2cad_full_annotations.json", [scan2cad_entry(scan_id) for scan_id in scan_ids])
    entries = [
        {"item_id": f"{scan_id}_{i}", "scan_id": scan_id, "target_id": str(box.object_id - 1), "utterance": text}
        for scan_id in scan_ids
        for i, (text, box) in enumerate(REFERRALS)
    ]
    write_json(files / "sceneverse" / "ssg_ref_rel2_template.json", entries)
    for category, model in (DESK_MODEL, CHAIR_MODEL):
        write_cube(root / "ShapeNetCore.v2" / category / model / "models" / "model_normalized.obj")
    return root


def write_scannet_scan(folder: Path, scan_id: str) -> None:
    """Mesh in its own frame, segments, objects, facts, exported pictures with instance images."""
    points, colors, ids = labelled_points(ROOM)
    mesh_points = transform_points(invert(T_ROOM_MESH), points)
    write_ply(folder / f"{scan_id}_vh_clean_2.ply", vertex_columns(mesh_points, colors))
    # two segments for each object; those of no object are in no group
    segments = ids * 100 + (np.arange(len(ids)) % 2) * 7
    write_json(folder / f"{scan_id}_vh_clean_2.0.010000.segs.json", {"segIndices": segments.tolist()})
    groups = [
        {"id": i, "objectId": i - 1, "label": box.label, "segments": [i * 100, i * 100 + 7]}
        for i, box in ((box.object_id, box) for box in ROOM)
    ]
    write_json(folder / f"{scan_id}.aggregation.json", {"sceneId": f"scannet.{scan_id}", "segGroups": groups})
    numbers = " ".join(f"{value:.6f}" for value in T_ROOM_MESH.ravel())
    (folder / f"{scan_id}.txt").write_text(f"appVersionId = 26 \naxisAlignment = {numbers} \nsceneType = Office \n")
    write_scannet_frames(folder / "data")
    for name in ("color", "depth"):
        write_matrix(folder / "data" / "intrinsic" / f"intrinsic_{name}.txt", embedded(CAMERA.matrix))


def write_scannet_frames(folder: Path) -> None:
    """Every fifth frame; the last one has no pose."""
    for number, T_room_camera in enumerate(CAMERA_POSES):
        rgb, depth, ids = ray_cast(ROOM, CAMERA, T_room_camera)
        name = str(5 * number)
        for other in range(5 if number < len(CAMERA_POSES) - 1 else 1):  # those between are copies
            name = str(5 * number + other)
            write_image(folder / "color" / f"{name}.png", rgb[:, :, ::-1])
            write_image(folder / "depth" / f"{name}.png", np.rint(depth * 1000).astype(np.uint16))
            write_matrix(folder / "pose" / f"{name}.txt", invert(T_ROOM_MESH) @ T_room_camera)
            half = ids[::2, ::2].astype(np.uint8)
            write_image(folder / "instance-filt" / f"{name}.png", half)
    np.savetxt(folder / "pose" / f"{5 * (len(CAMERA_POSES) - 1)}.txt", np.full((4, 4), -np.inf))


def scan2cad_entry(scan_id: str) -> dict[str, object]:
    """The desk's and the chair's box, each a unit cube moved into place, in a world that is scaled and turned."""
    models = []
    for box, (category, model) in ((DESK, DESK_MODEL), (CHAIR, CHAIR_MODEL)):
        size, center = np.subtract(box.upper, box.lower), np.add(box.upper, box.lower) / 2
        pose = T_WORLD_MESH @ invert(T_ROOM_MESH)
        translation = (
            WORLD_SCALE * (pose[:3, :3] @ center)
            + WORLD_SCALE * (pose[:3, 3] - T_WORLD_MESH[:3, 3])
            + T_WORLD_MESH[:3, 3]
        )
        trs = {
            "translation": translation.tolist(),
            "rotation": quaternion_wxyz(-20.0 - 30.0),
            "scale": (size * WORLD_SCALE).tolist(),
        }
        models.append({"sym": "__SYM_NONE", "catid_cad": category, "id_cad": model, "trs": trs})
    scan = {"translation": T_WORLD_MESH[:3, 3].tolist(), "rotation": quaternion_wxyz(-20.0), "scale": [WORLD_SCALE] * 3}
    return {"id_scan": scan_id, "trs": scan, "n_aligned_models": 2, "aligned_models": models}


def quaternion_wxyz(angle_deg: float) -> list[float]:
    """About z."""
    half = np.radians(angle_deg) / 2
    return [float(np.cos(half)), 0.0, 0.0, float(np.sin(half))]


def write_cube(path: Path) -> None:
    """A unit cube about the origin as ShapeNet's files write it: faces with texture and normal, four corners each."""
    corners = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]
    sides = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
    lines = ["# made up", "mtllib none.mtl", *(f"v {x} {y} {z}" for x, y, z in corners), "vn 0 0 1"]
    lines += ["f " + " ".join(f"{i}//1" for i in side) for side in sides]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_layout(root: Path, scan_id: str) -> None:
    """SceneCAD's layout: the four edges of the floor, y up."""
    corners = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [4.0, 3.0, 0.0], [0.0, 3.0, 0.0]])
    x, y, z = transform_points(invert(T_ROOM_MESH), corners).T
    content = {
        "verts": np.stack([x, z, -y], axis=1).tolist(),
        "edges": [[0, 1], [1, 2], [2, 3], [3, 0]],
        "quads": [[0, 1, 2, 3]],
    }
    write_json(root / "files" / "scannet_planes" / f"{scan_id}.json", content)


# 3RScan -------------------------------------------------------------------------------------------------------------

REFERENCE_ID, RESCAN_ID = "11111111-aaaa", "22222222-bbbb"
# The rescan's own frame is another one.
T_PLACE_RESCAN = make_pose(rotation_z(-40.0), (0.9, 0.3, 0.1))
CHAIR_STEP = (-0.6, -0.4, 0.0)  # m, what the chair was moved by
DESK_STEP = (0.02, 0.0, 0.0)  # m, noise of the annotation
MOVED_CHAIR = Box(
    5, CHAIR.label, tuple(np.add(CHAIR.lower, CHAIR_STEP)), tuple(np.add(CHAIR.upper, CHAIR_STEP)), CHAIR.color
)
RESCANNED_ROOM = (WALL, FLOOR, DESK, MOVED_CHAIR)
# As in the phone: wide, and lying on its side; depth sees more than colour in one direction, less in the other.
PHONE_COLOR = CameraIntrinsics(fx=76.0, fy=75.0, cx=49.0, cy=26.0, width=96, height=54)
PHONE_DEPTH = CameraIntrinsics(fx=22.0, fy=22.0, cx=14.0, cy=11.0, width=28, height=22)
# What the built-in camera calls right is up for somebody who holds the phone.
R_HELD_CAMERA = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def column_major(matrix: Mat4) -> list[float]:
    return matrix.T.ravel().tolist()


def make_scan3r_tree(root: Path, *, is_archive: bool = False) -> Path:
    """A reference and a rescan in which the chair was moved, and the desk within the noise."""
    write_scan3r_scan(root / "scans" / REFERENCE_ID, ROOM, np.eye(4))
    write_scan3r_scan(root / "scans" / RESCAN_ID, RESCANNED_ROOM, T_PLACE_RESCAN)
    T_rescan_place = invert(T_PLACE_RESCAN)
    rigid = [
        {
            "instance_reference": box.object_id,
            "instance_rescan": box.object_id,
            "symmetry": 0,
            "transform": column_major(T_rescan_place @ make_pose(np.eye(3), step)),
        }
        for box, step in ((CHAIR, CHAIR_STEP), (DESK, DESK_STEP))
    ]
    rescan = {
        "reference": RESCAN_ID,
        "transform": column_major(T_PLACE_RESCAN),
        "rigid": rigid,
        "removed": [],
        "nonrigid": [],
    }
    pair = {"instance_source": 3, "instance_target": 5, "transform": column_major(np.eye(4))}
    place = {"reference": REFERENCE_ID, "type": "validation", "ambiguity": [[pair]], "scans": [rescan]}
    hidden = {"reference": "33333333-cccc", "type": "test", "scans": [{"reference": "44444444-dddd", "rigid": [4, 7]}]}
    write_json(root / "files" / "3RScan.json", [place, hidden])
    entries = [
        {"scan_id": scan_id, "target_id": box.object_id, "utterance": text}
        for scan_id in (REFERENCE_ID, RESCAN_ID)
        for text, box in REFERRALS
    ]
    write_json(root / "files" / "sceneverse" / "ssg_ref_rel2_template.json", entries)
    if is_archive:
        for scan_id in (REFERENCE_ID, RESCAN_ID):
            pack_sequence(root / "scans" / scan_id)
    return root


def pack_sequence(folder: Path) -> None:
    """`sequence.zip` in place of `sequence/`."""
    with zipfile.ZipFile(folder / "sequence.zip", "w") as archive:
        for path in sorted((folder / "sequence").iterdir()):
            archive.write(path, path.name)
    shutil.rmtree(folder / "sequence")


def write_scan3r_scan(folder: Path, boxes: tuple[Box, ...], T_place_scan: Mat4) -> None:
    """Labelled points (in text, as published), names, textured mesh and pictures, all in the scan's own frame."""
    points, colors, ids = labelled_points(boxes)
    own = transform_points(invert(T_place_scan), points)
    label_colors = (ids[:, None] * [10, 20, 30]).astype(np.uint8)
    columns = vertex_columns(own, label_colors) | {"objectId": ids.astype("<u2"), "globalId": (ids + 40).astype("<u2")}
    write_ply(folder / "labels.instances.annotated.v2.ply", columns, "ascii")
    groups = [{"id": box.object_id, "objectId": box.object_id, "label": box.label, "segments": []} for box in boxes]
    write_json(folder / "semseg.v2.json", {"scan_id": folder.name, "segGroups": groups})
    write_textured_mesh(folder, own, colors)
    write_scan3r_frames(folder / "sequence", boxes, T_place_scan)


def write_textured_mesh(folder: Path, points: NDArray[np.float64], colors: NDArray[np.uint8]) -> None:
    """A texture with a row of blocks, one for each colour, from the bottom up; a face for each three vertices."""
    palette, block = np.unique(colors, axis=0, return_inverse=True)
    write_image(folder / "mesh.refined_0.png", palette[::-1, ::-1].repeat(4, axis=0)[:, None].repeat(4, axis=1))
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points]
    lines += [f"vt 0.5 {(i + 0.5) / len(palette):.6f}" for i in range(len(palette))]
    rows = np.arange(len(points) - len(points) % 3).reshape(-1, 3)
    rows = np.concatenate([rows, [[len(points) - 3, len(points) - 2, len(points) - 1]]])
    lines += ["f " + " ".join(f"{i + 1}/{block.ravel()[i] + 1}" for i in row) for row in rows]
    (folder / "mesh.refined.v2.obj").write_text("\n".join(lines) + "\n")


def write_scan3r_frames(folder: Path, boxes: tuple[Box, ...], T_place_scan: Mat4) -> None:
    """Pictures of the camera that lies on its side."""
    for number, T_room_upright in enumerate(CAMERA_POSES):
        T_room_camera = T_room_upright @ make_pose(R_HELD_CAMERA, (0.0, 0.0, 0.0))
        name = folder / f"frame-{number:06d}"
        rgb = ray_cast(boxes, PHONE_COLOR, T_room_camera)[0]
        depth = ray_cast(boxes, PHONE_DEPTH, T_room_camera)[1]
        write_image(name.with_suffix(".color.jpg"), rgb[:, :, ::-1])
        write_image(name.with_suffix(".depth.pgm"), np.rint(depth * 1000).astype(np.uint16))
        write_matrix(name.with_suffix(".pose.txt"), invert(T_place_scan) @ T_room_camera)
    rows = ["m_versionNumber = 4", "m_sensorName = color_poses", "m_depthShift = 1000", "m_frames.size = 4"]
    for kind, camera in (("color", PHONE_COLOR), ("depth", PHONE_DEPTH)):
        matrix = " ".join(str(value) for value in embedded(camera.matrix).ravel())
        rows += [f"m_{kind}Width = {camera.width}", f"m_{kind}Height = {camera.height}"]
        rows += [f"m_calibration{kind.capitalize()}Intrinsic = {matrix}"]
    (folder / "_info.txt").write_text("\n".join(rows) + "\n")


def mean_color_of(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean of the pixels of a mask, without those at its edge."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return rgb[inner].astype(np.float64).mean(axis=0)
