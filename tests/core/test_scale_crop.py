# SPDX-License-Identifier: Apache-2.0
"""Tests of zoom: the points that pixels stand for stay where they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from box_room import CAMERA, look_at, room_frame

from xover_core.errors import TrainingError
from xover_core.geometry.camera import back_project, project
from xover_core.training.frame_geometry import VisibilitySettings, seen_by
from xover_core.training.scale_crop import ZoomSettings, zoom_randomly, zoomed_frames
from xover_core.training.scene_frames import SceneFrames, make_scene_frames
from xover_core.types import Float64Array

NUM_FRAMES = 4
ALWAYS = ZoomSettings(probability=1.0, min_scale=0.5)
# a reading is the nearest one of the window, at most half a pixel away in u and in v
HALF_PIXEL = 0.5 + 1e-4
# of a pixel in image coordinates, for bilinear values of a ramp
RAMP_TOLERANCE_PX = 0.02


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def pixel_grid() -> Float64Array:
    v, u = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width]
    return np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float64)


def room_scene() -> SceneFrames:
    poses = [look_at((0.3, 0.1, 0.0), 20.0 * i) for i in range(NUM_FRAMES)]
    frames = [room_frame(T) for T in poses]
    depths = np.stack([f.depth for f in frames if f.depth is not None])
    return make_scene_frames("room", np.stack([f.rgb for f in frames]), depths, [CAMERA] * NUM_FRAMES, np.stack(poses))


def test_back_projected_points_stay() -> None:
    scene = room_scene()
    depths = scene.depths(range(NUM_FRAMES))
    images = torch.zeros(NUM_FRAMES, 3, CAMERA.height, CAMERA.width)
    _, zoomed, cameras = zoom_randomly(images, depths, scene.intrinsics, ALWAYS, generator())
    assert len({camera.fx for camera in cameras}) == NUM_FRAMES
    for before, after, camera in zip(depths, zoomed, cameras, strict=True):
        assert camera.fx > CAMERA.fx
        points = back_project(pixel_grid(), after.ravel(), camera)
        pixels = project(points, CAMERA)
        # each point lies on the ray of an original pixel, to half a pixel, with that pixel's depth
        u, v = np.floor(pixels + 0.5).astype(int).T
        candidates = np.stack(
            [before[(v + i).clip(0, CAMERA.height - 1), (u + j).clip(0, CAMERA.width - 1)]
             for i in (-1, 0, 1) for j in (-1, 0, 1)]
        )  # fmt: skip
        assert (np.abs(candidates - after.ravel()).min(axis=0) == 0).all()
        exact = before[v, u] == after.ravel()
        assert exact.mean() > 0.95
        assert pixels.min() > -HALF_PIXEL
        assert (pixels < np.array([CAMERA.width, CAMERA.height]) - 1 + HALF_PIXEL).all()


def test_image_moves_with_the_camera() -> None:
    # an image that holds its own pixel coordinates
    grid = pixel_grid().reshape(CAMERA.height, CAMERA.width, 2)
    ramp = torch.from_numpy(np.concatenate([grid, grid[:, :, :1]], axis=2)).permute(2, 0, 1)[None].float()
    depths = np.ones((1, CAMERA.height, CAMERA.width), np.float32)
    zoomed, _, (camera,) = zoom_randomly(ramp, depths, [CAMERA], ALWAYS, generator())
    pixels = project(back_project(pixel_grid(), depths.ravel(), camera), CAMERA).reshape(grid.shape)
    values = zoomed[0, :2].permute(1, 2, 0).numpy()
    # not at the border of the window, beyond whose last pixel centres there is nothing to interpolate
    np.testing.assert_allclose(values[4:-4, 4:-4], pixels[4:-4, 4:-4], atol=RAMP_TOLERANCE_PX)


def test_zoomed_frames_see_each_other_as_before() -> None:
    scene = room_scene()
    images, geometry = zoomed_frames(scene, [2, 0], ALWAYS, generator())
    assert images.shape == (2, 3, CAMERA.height, CAMERA.width)
    plain = scene.geometry([2, 0])
    torch.testing.assert_close(geometry.T_camera_world, plain.T_camera_world)
    points = geometry.points_world[0]
    assert float(seen_by(points, plain, VisibilitySettings(depth_tolerance=0.15))[:, 0].float().mean()) > 0.95


def test_no_probability_or_full_scale_changes_nothing() -> None:
    scene = room_scene()
    images, depths = scene.image_tensor([0, 1]), scene.depths([0, 1])
    for settings in (ZoomSettings(probability=0.0), ZoomSettings(probability=1.0, min_scale=1.0)):
        same, same_depths, cameras = zoom_randomly(images, depths, [CAMERA] * 2, settings, generator())
        torch.testing.assert_close(same, images)
        np.testing.assert_array_equal(same_depths, depths)
        assert cameras == (CAMERA, CAMERA)


def test_frames_that_do_not_fit_are_refused() -> None:
    scene = room_scene()
    with pytest.raises(TrainingError, match="expected 2 depth images"):
        zoom_randomly(scene.image_tensor([0, 1]), scene.depths([0]), [CAMERA] * 2, ALWAYS, generator())
