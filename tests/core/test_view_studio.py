# SPDX-License-Identifier: Apache-2.0
"""Tests of which views are worth having, with a renderer that shows what the test says."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from room_cases import CAMERA

from xover_core.datasets.procedural.renderer import RenderedView
from xover_core.training import view_studio
from xover_core.training.view_proposals import Proposal
from xover_core.training.view_studio import ViewLimits, ViewStudio, draw_camera

HERE = Proposal(T_map_camera=np.eye(4))
TARGET = 7


class FakeRenderer:
    """Shows a room of two objects and a bit of the target; the apartment is a function that changes the picture."""

    def __init__(self, apartment) -> None:
        self.apartment = apartment
        self.sizes: list[tuple[int, int]] = []

    def render(self, T_map_camera, camera) -> RenderedView:
        size = camera.height, camera.width
        self.sizes.append(size)
        depth, instance = np.full(size, 2.0, np.float32), np.ones(size, np.int32)
        instance[:, size[1] // 2 :] = 2
        instance[:4, :4] = TARGET
        self.apartment(depth, instance)
        return RenderedView(
            rgb=np.zeros((*size, 3), np.uint8),
            depth=depth,
            instance=instance,
            object_class=np.zeros(size, np.int16),
        )


@pytest.fixture
def make_studio(monkeypatch):
    monkeypatch.setattr(view_studio, "Renderer", FakeRenderer)
    return lambda *changes, limits=None: ViewStudio(changes or (nothing,), limits)


def nothing(depth, instance):
    """A view of use."""


def near(depth, instance):
    depth[: len(depth) // 2] = 0.2


def holes(depth, instance):
    depth[: len(depth) // 2] = 0


def plain(depth, instance):
    instance[4:] = 1


def hidden(depth, instance):
    instance[instance == TARGET] = 1


def test_a_useful_view_is_rendered_in_full(make_studio):
    view = make_studio().take(HERE, CAMERA)
    assert view.depth.shape == (CAMERA.height, CAMERA.width)


@pytest.mark.parametrize("change", [near, holes, plain])
def test_views_of_no_use_are_refused(make_studio, change):
    assert make_studio(change).take(HERE, CAMERA) is None
    all_allowed = ViewLimits(max_near_share=1.0, max_plain_share=1.0, min_depth_share=0.0)
    assert make_studio(change, limits=all_allowed).take(HERE, CAMERA) is not None


def test_a_target_must_be_seen(make_studio):
    at_target = Proposal(T_map_camera=np.eye(4), target_id=TARGET)
    assert make_studio().take(at_target, CAMERA) is not None
    assert make_studio(hidden).take(at_target, CAMERA) is None
    assert make_studio(hidden).take(HERE, CAMERA) is not None


def test_views_get_the_lightings_in_turn(make_studio):
    def mark(number):
        def change(depth, instance):
            depth[:] = number

        return change

    studio = make_studio(mark(1.0), mark(2.0), mark(3.0))
    depths = [studio.take(HERE, CAMERA).depth.max() for _ in range(4)]
    assert depths == [1.0, 2.0, 3.0, 1.0]


def test_no_more_is_looked_at_than_wanted(make_studio):
    proposals = itertools.count()
    taken = list(make_studio().take_useful((HERE for _ in proposals), CAMERA, 3))
    assert len(taken) == 3
    assert next(proposals) == 3
    assert list(make_studio().take_useful([HERE, HERE], CAMERA, 3))[1][0] is HERE
    assert list(make_studio(near).take_useful([HERE] * 5, CAMERA, 3)) == []
    assert list(make_studio().take_useful((HERE for _ in proposals), CAMERA, 0)) == []
    assert next(proposals) == 4


@pytest.mark.parametrize("angles", [(50.0, 70.0), (70.0, 50.0)])
def test_cameras_have_a_field_of_view_between_the_angles(angles):
    rng = np.random.default_rng(0)
    cameras = [draw_camera(rng, 320, 240, *angles) for _ in range(50)]
    fovs = [2 * math.degrees(math.atan(160 / camera.fx)) for camera in cameras]
    assert 50 <= min(fovs) < 55 < 65 < max(fovs) <= 70
    assert all(camera.fx == camera.fy for camera in cameras)
    assert {(camera.cx, camera.cy, camera.width, camera.height) for camera in cameras} == {(159.5, 119.5, 320, 240)}


def test_equal_angles_give_that_camera():
    assert draw_camera(np.random.default_rng(0), 200, 100, 90.0, 90.0).fx == pytest.approx(100.0)
