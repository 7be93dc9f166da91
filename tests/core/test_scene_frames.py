# SPDX-License-Identifier: Apache-2.0
"""Tests of training scenes as files and folders, on views of a box room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from box_room import CAMERA, look_at, room_frame
from safetensors.numpy import save_file

from xover_core.errors import TrainingError
from xover_core.training.frame_geometry import make_frame_geometry
from xover_core.training.scene_folder import SceneFolder
from xover_core.training.scene_frames import SceneFrames, make_scene_frames, read_overlap

NUM_FRAMES = 3
MM = 1e-3


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def room_scene(name: str = "room", turn_deg: float = 20.0) -> SceneFrames:
    poses = [look_at((0.3, 0.1, 0.0), turn_deg * i) for i in range(NUM_FRAMES)]
    frames = [room_frame(T) for T in poses]
    return make_scene_frames(
        name,
        np.stack([frame.rgb for frame in frames]),
        np.stack([frame.depth for frame in frames if frame.depth is not None]),
        [CAMERA] * NUM_FRAMES,
        np.stack(poses),
    )


def test_file_round_trip(tmp_path: Path) -> None:
    scene = room_scene('a "name" with ü')
    path = tmp_path / "room.safetensors"
    scene.save(path)
    loaded = SceneFrames.load(path)
    assert loaded.name == scene.name
    assert loaded.intrinsics == scene.intrinsics
    for key in ("images", "depths_mm", "T_world_camera", "overlap"):
        np.testing.assert_array_equal(getattr(loaded, key), getattr(scene, key))
        assert getattr(loaded, key).dtype == getattr(scene, key).dtype
    np.testing.assert_array_equal(read_overlap(path), scene.overlap)
    assert [p.name for p in tmp_path.iterdir()] == ["room.safetensors"]


def test_geometry_is_that_of_the_frames() -> None:
    scene = room_scene()
    depths = [room_frame(scene.T_world_camera[i]).depth for i in (2, 0)]
    expected = make_frame_geometry(
        [d for d in depths if d is not None], [CAMERA] * 2, [scene.T_world_camera[i] for i in (2, 0)]
    )
    geometry = scene.geometry([2, 0])
    # depth is kept in whole millimetres, and rays are up to 1.3 times longer than the depth
    torch.testing.assert_close(geometry.points_world, expected.points_world, atol=MM, rtol=0)
    torch.testing.assert_close(geometry.T_camera_world, expected.T_camera_world)


def test_image_tensor_is_channels_first_in_unit_range() -> None:
    scene = room_scene()
    images = scene.image_tensor([1, 0])
    assert images.shape == (2, 3, CAMERA.height, CAMERA.width)
    assert images.dtype == torch.float32
    assert images.is_contiguous()
    assert float(images[0, 2, 5, 7]) == pytest.approx(scene.images[1, 5, 7, 2] / 255)


def test_overlap_falls_with_the_turn() -> None:
    overlap = room_scene(turn_deg=20.0).overlap
    np.testing.assert_allclose(np.diag(overlap), 1.0)
    assert 0 < overlap[0, 2] < overlap[0, 1] < 1


def test_depth_beyond_the_range_of_the_file_is_no_reading() -> None:
    room = room_scene()
    depths = room.depths_mm.astype(np.float32) * MM
    depths[0, 0, :3] = 70.0, 0.0002, 65.5
    scene = make_scene_frames("far", room.images, depths, room.intrinsics, room.T_world_camera)
    assert scene.depths_mm[0, 0, :3].tolist() == [0, 0, 65500]


def test_wrong_arrays_are_refused() -> None:
    scene = room_scene()
    with pytest.raises(TrainingError, match="multiples of 8"):
        replace(scene, images=scene.images[:, :-1], depths_mm=scene.depths_mm[:, :-1])
    with pytest.raises(TrainingError, match="depths_mm as uint16"):
        replace(scene, depths_mm=scene.depths_mm.astype(np.float32))
    with pytest.raises(TrainingError, match="3 cameras of 80x64, got 2"):
        replace(scene, intrinsics=scene.intrinsics[:2])
    with pytest.raises(TrainingError, match="expected images"):
        replace(scene, images=scene.images[:0])


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    room_scene().save(good)
    bad.write_bytes(good.read_bytes()[:-100])
    with pytest.raises(TrainingError, match="cannot be read"):
        SceneFrames.load(bad)
    with pytest.raises(TrainingError, match="cannot be read"):
        SceneFrames.load(tmp_path / "none.safetensors")
    save_file({"weight": np.zeros(3, np.float32)}, bad)
    with pytest.raises(TrainingError, match="expected xover-scene-frames 1, got None None"):
        SceneFrames.load(bad)
    save_file({"overlap": np.zeros((1, 1), np.float32)}, bad, {"format": "xover-scene-frames", "version": "1"})
    with pytest.raises(TrainingError, match="cannot be read"):
        SceneFrames.load(bad)


def test_folder_lists_opens_and_forgets_scenes(tmp_path: Path) -> None:
    for name, turn_deg in (("b", 10.0), ("a", 20.0), ("c", 30.0)):
        room_scene(name, turn_deg).save(tmp_path / f"{name}.safetensors")
    (tmp_path / "notes.txt").write_text("not a scene")
    folder = SceneFolder(tmp_path, num_cached=2)
    assert len(folder) == 3
    assert folder.names == ("a", "b", "c")
    first = folder.scene(0)
    assert first.name == "a"
    assert folder.scene(0) is first
    np.testing.assert_array_equal(folder.overlap(1), folder.scene(1).overlap)
    folder.scene(2)
    assert folder.scene(0) is not first


def test_folder_without_scenes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="found none"):
        SceneFolder(tmp_path)
    with pytest.raises(TrainingError, match="found none"):
        SceneFolder(tmp_path / "missing")
