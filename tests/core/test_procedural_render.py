# SPDX-License-Identifier: Apache-2.0
"""The renderer: depth against exact intersections, agreement of views, of images with the description, and errors."""

from __future__ import annotations

import math

import numpy as np
import procedural_scene as ps
import pytest
import torch

from xover_core.datasets.procedural import (
    DEFAULT_INTRINSICS,
    Apartment,
    ObjectClass,
    RenderedView,
    Renderer,
    make_apartment,
    plan_walk,
)
from xover_core.datasets.procedural.scene import Shape, Texture
from xover_core.datasets.procedural.texture_atlas import TextureAtlas
from xover_core.datasets.procedural.textures import synthesize_texture
from xover_core.errors import BackendUnavailableError, DatasetError, GeometryError
from xover_core.geometry.camera import back_project, is_inside, project, viewing_rays
from xover_core.geometry.transforms import invert, transform_points
from xover_core.types import CameraIntrinsics, Float64Array, Mat4

DEPTH_TOLERANCE = 2e-3  # m; float32 rays against float64, at up to 10 m
MAX_WRONG_PIXELS = 0.002  # share; rays that graze an edge may fall to either side
REPROJECTION_TOLERANCE = 0.02  # m; depth of the nearest pixel on slanted surfaces
MIN_SHARE_SEEN_AGAIN = 0.75  # of the pixels in view; the rest is newly hidden
TEXEL_TOLERANCE = 2.5 / 255  # rounding to 8 bits at every mip level


@pytest.fixture(scope="module")
def apartment() -> Apartment:
    return make_apartment(3, num_rooms=3)


@pytest.fixture(scope="module")
def renderer(apartment: Apartment) -> Renderer:
    return Renderer(apartment)


def corner_views(apartment: Apartment) -> list[Mat4]:
    """One view across each room, from a place near a corner above the furniture."""
    poses = []
    for room in apartment.rooms:
        x, y = room.upper[0] - 0.3, room.upper[1] - 0.3
        yaw = math.atan2(room.center[1] - y, room.center[0] - x)
        poses.append(ps.look_along((x, y, 2.2), yaw, -0.45))
    return poses


def pixel_grid(camera: CameraIntrinsics) -> Float64Array:
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    return np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float64)


def map_points(view: RenderedView, pose: Mat4, camera: CameraIntrinsics) -> Float64Array:
    return transform_points(pose, back_project(pixel_grid(camera), view.depth.ravel(), camera))


@pytest.mark.parametrize(
    ("part", "depth"),
    [
        (ps.primitive(Shape.BOX, (4.0, 2.0, 1.0), (0.5, 0.4, 0.3)), 2.5),
        (ps.primitive(Shape.ELLIPSOID, (4.0, 2.0, 1.0), (0.5, 0.4, 0.3)), 2.5),
        (ps.primitive(Shape.CYLINDER, (4.0, 2.0, 1.0), (0.5, 0.5, 0.3)), 2.5),
        (ps.primitive(Shape.CYLINDER, (4.0, 2.0, 1.0), (0.2, 0.2, 0.6), (0.0, math.pi / 2, 0.0)), 2.4),
        (ps.primitive(Shape.BOX, (4.0, 2.0, 1.0), (0.5, 0.5, 0.3), (0.0, 0.0, math.pi / 4)), 3 - math.sqrt(0.5)),
    ],
)
def test_center_pixel_has_the_known_depth(part: ps.Primitive, depth: float) -> None:
    camera = CameraIntrinsics(fx=70.0, fy=70.0, cx=40.0, cy=30.0, width=81, height=61)
    view = Renderer(ps.hand_built(ps.scene_object(7, ObjectClass.BOX, (0.0, 0.0, 0.0), part))).render(
        ps.look_along((1.0, 2.0, 1.0), 0.0), camera
    )
    assert view.depth[30, 40] == pytest.approx(depth, abs=DEPTH_TOLERANCE)
    assert view.instance[30, 40] == 7
    assert view.object_class[30, 40] == ObjectClass.BOX
    assert view.depth[0, 0] == 0
    assert view.instance[0, 0] == 0


def test_all_pixels_agree_with_exact_intersections(apartment: Apartment, renderer: Renderer) -> None:
    for pose in corner_views(apartment):
        view = renderer.render(pose, ps.SMALL_CAMERA)
        rays = viewing_rays(pixel_grid(ps.SMALL_CAMERA), ps.SMALL_CAMERA) @ pose[:3, :3].T
        depth, ids = ps.exact_depths(apartment, pose[:3, 3], rays)
        depth[np.isinf(depth)] = 0
        assert (np.abs(view.depth.ravel() - depth) > DEPTH_TOLERANCE).mean() < MAX_WRONG_PIXELS
        assert (view.instance.ravel() != ids).mean() < MAX_WRONG_PIXELS


def test_images_agree_with_the_description(apartment: Apartment, renderer: Renderer) -> None:
    class_of = {o.object_id: int(o.object_class) for o in apartment.objects} | {0: int(ObjectClass.OUTSIDE)}
    view = renderer.render(corner_views(apartment)[0], DEFAULT_INTRINSICS)
    assert view.rgb.shape == (240, 320, 3)
    assert (view.rgb.dtype, view.depth.dtype) == (np.uint8, np.float32)
    assert (view.instance.dtype, view.object_class.dtype) == (np.int32, np.int16)
    for object_id in np.unique(view.instance):
        assert set(view.object_class[view.instance == object_id].tolist()) == {class_of[int(object_id)]}
    assert ((view.depth == 0) == (view.instance == 0)).all()
    assert len(np.unique(view.instance)) > 8
    assert view.rgb.std() > 20


def test_two_views_agree_on_what_both_see(apartment: Apartment, renderer: Renderer) -> None:
    walk = plan_walk(apartment, 0, rate_hz=2.0).T_map_camera
    for first, second in zip(walk[5:100:30], walk[6:101:30], strict=True):
        a, b = (renderer.render(pose, DEFAULT_INTRINSICS) for pose in (first, second))
        points_second = transform_points(invert(second), map_points(a, first, DEFAULT_INTRINSICS))
        pixels = project(points_second, DEFAULT_INTRINSICS)
        is_seen = is_inside(pixels, 320, 240)
        u, v = np.rint(pixels[is_seen]).astype(np.intp).T
        is_same = (b.instance[v, u] == a.instance.ravel()[is_seen]) & (b.depth[v, u] > 0)
        error = np.abs(b.depth[v, u] - points_second[is_seen, 2])[is_same]
        assert is_same.mean() > MIN_SHARE_SEEN_AGAIN
        assert np.median(error) < REPROJECTION_TOLERANCE / 5
        assert (error < REPROJECTION_TOLERANCE).mean() > 0.9


def test_nothing_but_windows_shows_the_outside(apartment: Apartment, renderer: Renderer) -> None:
    num_outside = 0
    for room in apartment.rooms:
        for yaw in np.arange(0, 2 * np.pi, 0.8):
            pose = ps.look_along((*room.center, 2.0), float(yaw), -0.1)
            view = renderer.render(pose, ps.SMALL_CAMERA)
            outside = pixel_grid(ps.SMALL_CAMERA)[view.instance.ravel() == 0]
            rays = viewing_rays(outside, ps.SMALL_CAMERA) @ pose[:3, :3].T
            through = np.zeros(len(rays), bool)
            for window in (o for o in apartment.openings if o.is_window):
                with np.errstate(divide="ignore", invalid="ignore"):
                    reach = (window.offset - pose[1 - window.axis, 3]) / rays[:, 1 - window.axis]
                hit = pose[:3, 3] + reach[:, None] * rays
                is_across = (hit[:, window.axis] > window.start) & (hit[:, window.axis] < window.end)
                through |= (reach > 0) & is_across & (hit[:, 2] > window.bottom) & (hit[:, 2] < window.top)
            assert through.all()
            num_outside += len(rays)
    assert num_outside > 0


def test_a_camera_that_sees_no_surface_sees_the_outside(renderer: Renderer) -> None:
    away = np.eye(4)
    away[:3, :3] = [[0, 0, -1], [1, 0, 0], [0, -1, 0]]
    away[:3, 3] = (-50.0, -50.0, 30.0)
    view = renderer.render(away, DEFAULT_INTRINSICS)
    assert not view.depth.any()
    assert not view.instance.any()
    assert view.rgb.max() > 0


def test_batch_equals_single_views(apartment: Apartment, renderer: Renderer) -> None:
    poses = corner_views(apartment)[:3]
    for pose, batched in zip(poses, renderer.render_batch(poses, ps.SMALL_CAMERA), strict=True):
        single = renderer.render(pose, ps.SMALL_CAMERA)
        np.testing.assert_array_equal(single.depth, batched.depth)
        np.testing.assert_array_equal(single.instance, batched.instance)
        # vector instructions handle the ends of arrays differently, which can flip a rounding
        assert np.abs(single.rgb.astype(int) - batched.rgb).max() <= 1
    assert renderer.render_batch([], ps.SMALL_CAMERA) == []


def test_same_seed_same_picture(apartment: Apartment, renderer: Renderer) -> None:
    pose = corner_views(apartment)[0]
    again = Renderer(make_apartment(3, num_rooms=3)).render(pose, ps.SMALL_CAMERA)
    relit = Renderer(apartment.relit(5)).render(pose, ps.SMALL_CAMERA)
    view = renderer.render(pose, ps.SMALL_CAMERA)
    np.testing.assert_array_equal(view.rgb, again.rgb)
    np.testing.assert_array_equal(view.depth, relit.depth)
    assert np.abs(view.rgb.astype(int) - relit.rgb).mean() > 2


def test_the_floor_is_darker_under_a_table() -> None:
    floor = ps.scene_object(
        1, ObjectClass.FLOOR, (3.0, 2.0, 0.0), ps.primitive(Shape.BOX, (0, 0, -0.05), (3.0, 2.0, 0.05))
    )
    table = ps.scene_object(
        2, ObjectClass.TABLE, (4.0, 2.0, 0.0), ps.primitive(Shape.BOX, (0, 0, 0.7), (0.8, 0.8, 0.03))
    )
    pose = ps.look_along((0.5, 2.0, 0.4), 0.0)
    with_table, without = (
        Renderer(ps.hand_built(*o)).render(pose, ps.SMALL_CAMERA) for o in ((floor, table), (floor,))
    )
    points = map_points(with_table, pose, ps.SMALL_CAMERA)
    is_under = (with_table.instance.ravel() == 1) & (np.abs(points[:, :2] - (4.0, 2.0)).max(axis=1) < 0.3)
    assert is_under.any()
    before, after = (v.rgb.reshape(-1, 3)[is_under].mean() for v in (without, with_table))
    assert after < 0.7 * before


def test_textures_fade_to_their_mean_with_distance() -> None:
    texture = Texture(kind="checker", seed=4, colors=((0.9, 0.8, 0.7), (0.1, 0.2, 0.3)))
    atlas = TextureAtlas((texture,), "cpu")
    image = synthesize_texture(texture).astype(np.float64) / 255
    uv = torch.rand((2, 50), generator=torch.Generator().manual_seed(0)) * 7 - 3
    index = torch.zeros(50, dtype=torch.int32)
    far = atlas.sample(index, uv, torch.full((50,), 2.0)).numpy()
    assert np.abs(far - image.mean(axis=(0, 1))[:, None]).max() < TEXEL_TOLERANCE
    texels = (torch.tensor([[3, 200], [90, 17]]).T + 0.5) / 256
    near = atlas.sample(index[:2], texels, torch.full((2,), 1e-4)).numpy()
    np.testing.assert_allclose(near.T, [image[200, 3], image[17, 90]], atol=TEXEL_TOLERANCE)


def test_bad_input_is_refused(renderer: Renderer) -> None:
    with pytest.raises(GeometryError, match="rigid"):
        renderer.render(np.diag([2.0, 1.0, 1.0, 1.0]), ps.SMALL_CAMERA)
    with pytest.raises(DatasetError, match="unknown kind"):
        synthesize_texture(Texture(kind="velvet"))
    if not torch.cuda.is_available():
        with pytest.raises(BackendUnavailableError, match="cpu"):
            Renderer(ps.hand_built(), device="cuda")
