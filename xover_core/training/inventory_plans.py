# SPDX-License-Identifier: Apache-2.0
"""Floorplans of rooms -> batches for the scene inventory: drawings, changed at random, and where their things are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.drawn_things import find_drawn_things
from xover_core.datasets.procedural.floorplan import draw_floorplan
from xover_core.datasets.procedural.room_facts import RoomFacts
from xover_core.encoders.floorplan_raster import RASTER_PIXELS_PER_M, rasterize
from xover_core.encoders.plan_raster import PLAN_FINENESS, PLAN_SIZE, is_upright, place_plan, window
from xover_core.networks.plan_recognition import CELL_PX
from xover_core.training.inventory_vocabulary import Traits
from xover_core.types import Float32Array, Float64Array

_DRAWN_PIXELS_PER_M = 40.0
_SHIFT_PX, _SCALE_SPREAD = 3.0, 0.015
# Most drawings lie along the axes; some were scanned askew.
_ASKEW_SHARE, _TURN_DEG, _ASKEW_DEG = 0.3, 0.7, 4.0
# Rooms that are nearly square are not always laid down alike.
_SQUARE = 0.93
# Drawings without a scale are taken for rooms of this length, m.
_UNSCALED_SHARE, _UNSCALED_M, _UNSCALED_SPREAD = 0.08, 4.5, 0.03
# Drawings in another hand: soft, bold, faint or dark.
_OTHER_HAND_SHARE, _SOFT_SHARE, _BOLD_SHARE = 0.5, 0.4, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeUpPlan:
    """A drawing of a room, its longer side lying.

    Attributes:
        raster: (224, 224) uint8 ink.
        kinds: of each thing: what it is, its size, kind and shape as traits; colours are not drawn.
        places: (M, 2) float32 pixels (u, v) of their middles.
    """

    raster: NDArray[np.uint8]
    kinds: tuple[frozenset[str], ...]
    places: Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanBatch:
    """Drawings of one size.

    Attributes:
        rasters: (F, H, W) ink in [0, 1].
        marks: (M, 4) int64 drawing, row and column of the cell, and kind of the things, each once.
    """

    rasters: Tensor
    marks: Tensor


def make_up_plan(apartment: Apartment, facts: RoomFacts) -> MadeUpPlan:
    """Draw a room."""
    plan = draw_floorplan(apartment, room_id=facts.room.room_id, pixels_per_m=_DRAWN_PIXELS_PER_M)
    things = find_drawn_things(plan, apartment, facts)
    middles = np.array([thing.center_px for thing in things], np.float64).reshape(-1, 2)
    raster = rasterize(plan.image, plan.pixels_per_m, fineness=PLAN_FINENESS)
    places = place_plan(plan.image, plan.pixels_per_m, middles)
    if is_upright(raster):
        raster, places = raster.T, places[:, ::-1]
    return MadeUpPlan(
        raster=np.ascontiguousarray(np.rint(raster * 255).astype(np.uint8)),
        kinds=tuple(frozenset(name for name in thing.traits if ":" not in name) for thing in things),
        places=np.ascontiguousarray(places),
    )


def make_plan_batch(plans: Sequence[MadeUpPlan], kinds: Traits, rng: np.random.Generator) -> PlanBatch:
    """Change the drawings at random, and cut off the paper around them."""
    changed = [_change_plan(plan, rng) for plan in plans]
    rasters = np.stack([raster for raster, _ in changed])
    rows, columns = window(rasters)
    corner = np.array([columns.start, rows.start])
    size = np.array([columns.stop - columns.start, rows.stop - rows.start]) // CELL_PX
    marks = [np.zeros((0, 4), np.int64)]
    for number, (plan, (_, places)) in enumerate(zip(plans, changed, strict=True)):
        cells = np.floor((places - corner + 0.5) / CELL_PX).astype(np.int64)
        found = [kinds.rows(names) for names in plan.kinds]
        marks += [
            np.array([(number, cell[1], cell[0], kind) for kind in rows_of], np.int64).reshape(-1, 4)
            for cell, rows_of in zip(cells, found, strict=True)
            if ((cell >= 0) & (cell < size)).all()
        ]
    return PlanBatch(
        rasters=torch.from_numpy(np.ascontiguousarray(rasters[:, rows, columns])),
        marks=torch.from_numpy(np.unique(np.concatenate(marks), axis=0)),
    )


def _change_plan(plan: MadeUpPlan, rng: np.random.Generator) -> tuple[Float32Array, Float32Array]:
    """Ink in [0, 1], mirrored, turned, scaled and shifted a little, in another hand; and the places of the things."""
    matrix = _draw_matrix(plan.raster, rng)
    ink = cv2.warpAffine(plan.raster, matrix, (PLAN_SIZE, PLAN_SIZE)).astype(np.float32) / np.float32(255)
    if rng.random() < _OTHER_HAND_SHARE:
        if rng.random() < _SOFT_SHARE:
            ink = cv2.GaussianBlur(ink, (0, 0), float(rng.uniform(0.3, 0.9)))
        if rng.random() < _BOLD_SHARE:
            ink = np.maximum(ink, cv2.dilate(ink, np.ones((2, 2))) * rng.uniform(0.3, 1))
        ink = np.clip(ink * rng.uniform(0.7, 1.35), 0, 1)
    places = plan.places @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(ink, np.float32), np.asarray(places, np.float32)


def _draw_matrix(raster: NDArray[np.uint8], rng: np.random.Generator) -> Float64Array:
    """(2, 3) from pixels to pixels."""
    rows, columns = np.nonzero(raster > 0)
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    turn = 180.0 * rng.integers(2) + rng.normal(0, _ASKEW_DEG if rng.random() < _ASKEW_SHARE else _TURN_DEG)
    if height > _SQUARE * width and rng.random() < 0.5:
        turn += 90.0
    scale = 1 + rng.normal(0, _SCALE_SPREAD)
    if rng.random() < _UNSCALED_SHARE:
        usual = _UNSCALED_M * RASTER_PIXELS_PER_M * PLAN_FINENESS
        scale = usual / max(height, width) * (1 + rng.normal(0, _UNSCALED_SPREAD))
    middle = (PLAN_SIZE - 1) / 2
    matrix = np.asarray(cv2.getRotationMatrix2D((middle, middle), float(turn), float(scale)), np.float64)
    matrix[:, 2] += rng.normal(0, _SHIFT_PX, 2)
    mirror = np.array([[-1.0, 0, PLAN_SIZE - 1], [0, 1, 0], [0, 0, 1]]) if rng.random() < 0.5 else np.eye(3)
    return np.asarray(matrix @ mirror)
