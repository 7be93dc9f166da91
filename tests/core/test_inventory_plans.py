# SPDX-License-Identifier: Apache-2.0
"""Tests of drawings for training: where things are after every change, and one cell for each."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.encoders.plan_raster import PLAN_SIZE
from xover_core.networks.plan_recognition import CELL_PX
from xover_core.training.inventory_plans import MadeUpPlan, make_plan_batch
from xover_core.training.inventory_rooms import make_up_rooms
from xover_core.training.inventory_vocabulary import Traits

KINDS = Traits(["bed", "bed/double", "sofa"])


@pytest.fixture(scope="module")
def rooms():
    return make_up_rooms([200_000])


def _dot_plan() -> MadeUpPlan:
    """A frame, with a thick dot for each of two things."""
    raster = np.zeros((PLAN_SIZE, PLAN_SIZE), np.uint8)
    raster[70:150, 50:170] = 40
    raster[72:148, 52:168] = 0
    places = np.float32([[80, 90], [140, 120]])
    for u, v in places.astype(int):
        raster[v - 4 : v + 5, u - 4 : u + 5] = 255
    return MadeUpPlan(raster=raster, kinds=(frozenset({"bed", "bed/double"}), frozenset({"sofa"})), places=places)


def test_marks_follow_the_ink():
    rng = np.random.default_rng(0)
    for _ in range(20):
        batch = make_plan_batch([_dot_plan()] * 2, KINDS, rng)
        assert batch.marks.shape == (6, 4)
        for drawing, row, column, _ in batch.marks.tolist():
            cell = batch.rasters[
                drawing, row * CELL_PX : (row + 1) * CELL_PX, column * CELL_PX : (column + 1) * CELL_PX
            ]
            assert float(cell.max()) > 0.4
        beds = [mark[:3] for mark in batch.marks.tolist() if mark[3] == 0]
        assert beds == [mark[:3] for mark in batch.marks.tolist() if mark[3] == 1]


def test_kinds_that_are_not_told_apart_are_left_out():
    batch = make_plan_batch([_dot_plan()], Traits(["sofa"]), np.random.default_rng(0))
    assert batch.marks[:, 3].tolist() == [0]
    nothing = make_plan_batch([_dot_plan()], Traits(["piano"]), np.random.default_rng(0))
    assert nothing.marks.shape == (0, 4)


def test_rooms_have_plans_with_what_they_hold(rooms):
    for room in rooms:
        assert room.plan.raster.shape == (PLAN_SIZE, PLAN_SIZE)
        shown = frozenset().union(*room.plan.kinds)
        assert shown
        assert shown <= room.traits
        assert not any(":" in name for name in shown)
        assert len(room.plan.places) == len(room.plan.kinds)


def test_plans_lie(rooms):
    for room in rooms:
        rows, columns = np.nonzero(room.plan.raster)
        assert np.ptp(columns) >= np.ptp(rows)
