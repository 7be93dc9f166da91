# SPDX-License-Identifier: Apache-2.0
"""Tests of layouts of rooms from above: turned rooms are the same, others are not, drawings are like clouds."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.encoders.floorplan_raster import RASTER_PIXELS_PER_M, RASTER_SIZE
from xover_core.encoders.layout_signature import (
    LAYOUT_DIM,
    cloud_layout,
    drawn_layout,
    layout_signature,
    seen_layout,
)

# places are rounded to cells, which lie otherwise in a turned or moved room
MIN_SAME, MAX_OTHER = 0.95, 0.92


def room(width=4.0, depth=3.0, furniture=(0.3, 0.4, 1.2, 1.0)):
    """(N, 2) places 2 cm apart with as much noise: four walls, and a thing in a corner."""
    x, y = np.arange(0, width, 0.02), np.arange(0, depth, 0.02)
    walls = [
        np.stack([x, 0 * x], axis=1), np.stack([x, 0 * x + depth], axis=1),
        np.stack([0 * y, y], axis=1), np.stack([0 * y + width, y], axis=1),
    ]  # fmt: skip
    left, low, across, along = furniture
    grid = np.stack(np.meshgrid(np.arange(left, left + across, 0.02), np.arange(low, low + along, 0.02)), axis=-1)
    places = np.concatenate([*walls, grid.reshape(-1, 2)])
    return (places + np.random.default_rng(0).normal(0, 0.02, places.shape)).astype(np.float32)


def turned(places, angle_deg):
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return (places @ np.array([[c, s], [-s, c]])).astype(np.float32)


def test_signatures_have_norm_one():
    signature = layout_signature(room())
    assert (signature.shape, signature.dtype) == ((LAYOUT_DIM,), np.float32)
    assert np.linalg.norm(signature) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("angle_deg", [0, 17, 90, 133, 180, 270])
def test_turned_and_moved_rooms_are_the_same(angle_deg):
    places = turned(room(), angle_deg) + np.float32((3, -8))
    assert layout_signature(places) @ layout_signature(room()) > MIN_SAME


@pytest.mark.parametrize(
    "other", [{"width": 4.8}, {"depth": 2.4}, {"furniture": (2.6, 0.3, 0.4, 2.4)}, {"width": 2.0, "depth": 2.0}]
)
def test_other_rooms_are_not(other):
    assert layout_signature(room(**other)) @ layout_signature(room()) < MAX_OTHER


def test_the_order_of_places_does_not_matter():
    places = room()
    order = np.random.default_rng(0).permutation(len(places))
    np.testing.assert_array_equal(layout_signature(places[order]), layout_signature(places))


def test_a_drawing_is_like_the_cloud_of_the_room():
    places = room()
    raster = np.zeros((RASTER_SIZE, RASTER_SIZE), np.float32)
    columns, rows = np.rint(room().T * RASTER_PIXELS_PER_M).astype(int) + 20
    raster[RASTER_SIZE - 1 - rows, columns] = 1
    points = np.concatenate([np.append(places, np.full((len(places), 1), z), axis=1) for z in (0.0, 0.5, 2.4)])
    # the floor and the ceiling are not what stands
    floor = np.random.default_rng(0).uniform((0, 0, 0), (4, 3, 0.05), (4000, 3))
    cloud = cloud_layout(np.concatenate([points, floor]).astype(np.float32))
    assert drawn_layout(raster) @ cloud > 0.9
    np.testing.assert_allclose(cloud, layout_signature(places), atol=1e-5)


def test_mirrored_rooms_are_told_apart():
    mirrored = room() * np.float32((-1, 1))
    assert layout_signature(mirrored) @ layout_signature(room()) < MIN_SAME


@pytest.mark.parametrize(
    "places",
    [np.zeros((0, 2)), np.zeros((2, 2)), np.zeros((5, 2)), [[0, 0], [1, 0], [2, 0]], [[0, 0], [99, 0], [0, 99]]],
)
def test_next_to_nothing_is_a_signature_too(places):
    signature = layout_signature(np.array(places, np.float32))
    assert signature.shape == (LAYOUT_DIM,)
    assert np.isfinite(signature).all()


def test_bare_paper_and_bare_floor_are_zero():
    assert not drawn_layout(np.zeros((RASTER_SIZE, RASTER_SIZE), np.float32)).any()
    assert not cloud_layout(np.zeros((50, 3), np.float32)).any()


def seen_room():
    """(N, 3) points of a room's walls and floor, some seen through its door, and where two cameras stood."""
    rng = np.random.default_rng(1)
    places = room()
    # walls come first in `room`; the thing in the corner is low
    tops = np.where(np.arange(len(places)) < 700, 1.9, 0.5)
    walls = np.concatenate([places, rng.uniform(0.2, tops)[:, None]], axis=1)
    floor = np.concatenate([rng.uniform(0, (4, 3), (2000, 2)), np.zeros((2000, 1))], axis=1)
    beyond = rng.uniform((4.3, 1.2, 0.2), (7.0, 1.9, 1.9), (150, 3))
    return np.concatenate([walls, floor, beyond]).astype(np.float32), np.array([[1.8, 1.7], [3.0, 2.2]])


@pytest.mark.parametrize("angle_deg", [0, 30, 117])
def test_what_is_seen_through_doors_is_left_out(angle_deg):
    points, cameras = seen_room()
    turned_points = np.concatenate([turned(points[:, :2], angle_deg), points[:, 2:]], axis=1)
    seen = seen_layout(turned_points, turned(cameras, angle_deg).astype(np.float64))
    assert seen @ layout_signature(room()) > MIN_SAME
    assert cloud_layout(points) @ layout_signature(room()) < MAX_OTHER


def test_cameras_that_see_a_floor_only_see_no_layout():
    floor = np.zeros((50, 3), np.float32)
    assert not seen_layout(floor, np.zeros((2, 2))).any()
