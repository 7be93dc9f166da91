# SPDX-License-Identifier: Apache-2.0
"""Tests of the pictures that training shows: labels of cells, cutting and mirroring, and what noise leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from room_cases import make_pictures, make_view

from xover_core.training import view_pictures
from xover_core.training.inventory_vocabulary import CLASSES, LOOKS, codes_of
from xover_core.training.view_pictures import ViewPicture, show, show_changed, stack_pictures, take_picture
from xover_core.types import CameraIntrinsics

WIDTH, HEIGHT = 64, 48
# one row and column of labels is two pixels
BORDER = 2


def make_picture() -> ViewPicture:
    """Red, green and depth tell the place of each pixel, and so do classes and looks."""
    rows, columns = np.indices((HEIGHT, WIDTH))
    camera = CameraIntrinsics(fx=50.0, fy=52.0, cx=30.0, cy=25.0, width=WIDTH, height=HEIGHT)
    marked = np.indices((HEIGHT // 2, WIDTH // 2))
    return ViewPicture(
        rgb=np.stack([4 * rows, 3 * columns, 0 * rows], axis=2).astype(np.uint8),
        depth_mm=(1000 + 10 * rows + columns).astype(np.uint16),
        camera=camera,
        patches=np.stack(np.indices((HEIGHT // 8, WIDTH // 8)), axis=2).astype(np.int8),
        classes=marked[0].astype(np.int8),
        looks=marked[1].astype(np.int8),
    )


def directions(picture: ViewPicture) -> np.ndarray:
    """(H, W, 2) where pixels look."""
    rows, columns = np.indices((HEIGHT, WIDTH))
    camera = picture.camera
    return np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy], axis=2)


def test_cells_have_the_labels_of_their_pixels():
    shown = show(make_picture())
    assert shown.classes.shape == shown.looks.shape == (HEIGHT // 4 * WIDTH // 4, 4)
    # the second cell of the third row
    number = 2 * (WIDTH // 4) + 1
    assert (shown.classes[number].tolist(), shown.looks[number].tolist()) == ([4, 4, 5, 5], [2, 3, 2, 3])


def test_a_view_is_labelled_by_what_it_shows():
    view = make_view(0)
    features = np.full((3, 4, 2), (0.25, -0.5), np.float32)
    picture = take_picture(view, features, codes_of({3: f"{CLASSES[9]}:{LOOKS[2]}", 40_000: CLASSES[10]}))
    assert (picture.rgb.shape, picture.depth_mm.shape, picture.classes.shape) == ((120, 160, 3), (120, 160), (60, 80))
    assert {(int(a), int(b)) for a, b in zip(picture.classes.flat, picture.looks.flat, strict=True)} == {
        (-1, -1), (9, 2), (10, -1),
    }  # fmt: skip
    assert picture.camera.width == 160
    np.testing.assert_allclose(show(picture).patches, features.transpose(2, 0, 1), atol=0.51 / 254)
    assert (take_picture(make_blind(view), features, codes_of({})).classes == -1).all()


def make_blind(view):
    return type(view)(
        rgb=view.rgb, depth=None, instance=None, intrinsics=view.intrinsics, T_scan_camera=view.T_scan_camera
    )


@pytest.mark.parametrize("change", ["_cut", "_mirrored"])
def test_what_moves_moves_together(change):
    picture = make_picture()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        changed = view_pictures._cut(picture, rng) if change == "_cut" else view_pictures._mirrored(picture)
        rows, columns = changed.rgb[..., 0] // 4, changed.rgb[..., 1] // 3
        np.testing.assert_array_equal(changed.depth_mm, picture.depth_mm[rows, columns])
        # labels are those of a pixel of the same square
        for labels, places in ((changed.classes, rows), (changed.looks, columns)):
            assert np.abs(labels * 2 - places[::2, ::2].astype(int)).max() <= BORDER
        # so are features, to half a patch, but there are none of what is mirrored
        if change == "_cut":
            middles = np.stack([rows, columns], axis=2)[4::8, 4::8] / 8 - 0.5
            assert np.abs(changed.patches - middles).max() <= 0.75
        else:
            assert not changed.patches.any()
        # a pixel looks where it looked before, to half a pixel; in a mirror, left is right
        before = directions(picture)[rows, columns] * ((-1, 1) if change == "_mirrored" else (1, 1))
        assert np.abs(directions(changed) - before).max() <= 0.51 / 50


def test_changes_depend_on_the_random_source_alone_and_leave_the_picture():
    picture = make_pictures(1)[0]
    kept = picture.rgb.copy()
    first, second, other = (show_changed(picture, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert not np.array_equal(first.pixels, other.pixels)
    np.testing.assert_array_equal(picture.rgb, kept)
    assert first.pixels.dtype == np.float32
    assert np.abs(first.pixels[:3]).max() <= 0.5


def test_some_are_shown_without_depth():
    picture = make_picture()
    blind = [not show_changed(picture, np.random.default_rng(seed)).pixels[3:].any() for seed in range(60)]
    assert 0 < sum(blind) < 30


def test_stacks_give_back_what_was_stacked():
    codes = codes_of({3: CLASSES[9]})
    taken = [take_picture(make_view(number), np.full((2, 3, 4), 0.1 * number), codes) for number in range(2)]
    stack = stack_pictures(taken)
    assert (len(stack), len(stack_pictures([]))) == (2, 0)
    for one, expected in zip(stack, taken, strict=False):
        np.testing.assert_array_equal(show(one).pixels, show(expected).pixels)
        for name in ("patches", "classes", "looks"):
            np.testing.assert_array_equal(getattr(one, name), getattr(expected, name))
