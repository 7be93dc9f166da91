# SPDX-License-Identifier: Apache-2.0
"""Tests of training the scene inventory: batches, what is learned by heart, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from room_cases import make_features, place_features, without

from xover_core.config_io import override
from xover_core.encoders.cloud_slices import NUM_SLICES, SLICE_GRID
from xover_core.errors import TrainingError
from xover_core.inference.inventory_checkpoint import load_inventory
from xover_core.training.inventory_batches import make_inventory_batch
from xover_core.training.inventory_rooms import draw_text, make_up_rooms
from xover_core.training.inventory_settings import InventorySettings
from xover_core.training.inventory_task import InventoryTask
from xover_core.training.inventory_vocabulary import CLASSES, LOOKS, Vocabulary, choose_pairs, choose_traits, codes_of

SETTINGS = override(
    InventorySettings(),
    {
        "batches.num_texts": 8,
        "batches.num_floorplans": 4,
        "batches.num_scans": 3,
        "data.min_pair_scans": 1,
        "batches.typos": 0.0,
    },
)

VOCABULARY = Vocabulary(traits=choose_traits([["sofa"]], 0), kinds=choose_traits([["window", "bed"]], 0))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def rooms():
    return make_up_rooms([200_000])


@pytest.fixture
def task(tmp_path, rooms) -> InventoryTask:
    torch.manual_seed(0)
    places = place_features(tmp_path, [make_features(place) for place in range(4)])
    return InventoryTask(rooms, places, places, SETTINGS)


def test_texts_say_what_is_true(rooms):
    rng = np.random.default_rng(0)
    for _ in range(200):
        room = rooms[int(rng.integers(len(rooms)))]
        text, said = draw_text(room, rng)
        assert text
        assert said <= room.traits, text
    templates = [said for room in rooms for _, said in room.templates]
    assert any(":" in name for said in templates for name in said if not name.startswith("room:"))


def test_batches_depend_on_their_number_alone(task):
    first, second, other = task.load_batch(1, 2), task.load_batch(1, 2), task.load_batch(1, 3)
    assert torch.equal(first.slices, second.slices)
    assert torch.equal(first.words, second.words)
    assert not torch.equal(first.slices, other.slices)


def test_voxels_of_labels_are_those_of_the_network(task):
    batch = task.load_batch(0, 0)
    task.network.eval()
    states, voxels = task.network.cloud.voxels(batch.slices)
    assert torch.equal(voxels, batch.voxels)
    assert len(states) == len(batch.voxel_classes) == len(batch.voxel_looks)


def test_labels_of_a_cloud_are_those_of_its_points(rooms):
    scan = make_features(1)
    # all in one cell of one slice, but for what sets the middle
    points = np.tile(np.float32([[0.05, 0.05, 0.01]]), (400, 1))
    scan = replace(scan, points=points, point_classes=np.full(400, 7, np.int8), point_looks=np.full(400, 2, np.int8))
    batch = make_inventory_batch(
        rooms, [scan], VOCABULARY, SETTINGS.batches, np.random.default_rng(0), is_changed=False
    )
    assert batch.slices.shape == (1, 4, NUM_SLICES, SLICE_GRID, SLICE_GRID)
    assert batch.voxels.tolist() == [[0, 0, SLICE_GRID // 4, SLICE_GRID // 4]]
    assert (batch.voxel_classes.tolist(), batch.voxel_looks.tolist()) == ([7], [2])


def test_learns_one_batch_by_heart(task):
    batch = task.load_batch(0, 0)
    optimizer = torch.optim.AdamW(task.network.parameters(), 3e-3)
    first, _ = task.loss(batch)
    for _ in range(25):
        total, scalars = task.loss(batch)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert float(total.detach()) < 0.6 * float(first.detach())
    assert set(scalars) == {
        "text",
        "drawn_things",
        "floorplan_traits",
        "voxels",
        "cells",
        "cloud_traits",
        "view_traits",
        "contrast",
    }


def test_scores_are_shares_and_training_goes_on(task):
    scores = task.validate()
    assert 0 <= scores[task.score_name] <= 1
    assert task.network.training


def test_saved_weights_are_the_network(task, tmp_path):
    path = tmp_path / "best.safetensors"
    task.save_weights(path)
    read = load_inventory(path.read_bytes(), "best")
    assert read.shape == task.network.shape
    assert torch.equal(read.cloud.head.pair_of, task.network.cloud.head.pair_of)


def test_scans_without_labels_are_refused(tmp_path, rooms):
    unknown = [replace(make_features(place), traits=()) for place in range(2)]
    blind = [without(make_features(place), views=True) for place in range(2, 4)]
    with pytest.raises(TrainingError, match="whose things are known, got 0"):
        InventoryTask(rooms, place_features(tmp_path, [*unknown, *blind]), None, SETTINGS)


def test_codes_of_things():
    codes = codes_of({1: "wall", 4: "sofa:red", 5: "unicorn:plaid"})
    assert codes.classes.tolist() == [-1, CLASSES.index("wall"), -1, -1, CLASSES.index("sofa"), -1, -1]
    assert codes.looks.tolist() == [-1, -1, -1, -1, LOOKS.index("red"), -1, -1]


def test_rare_pairs_belong_to_their_class():
    pairs = choose_pairs([["sofa:red", "bed:blue"], ["sofa:red"], ["wall"]], 2).reshape(len(CLASSES), len(LOOKS))
    sofa, bed = CLASSES.index("sofa"), CLASSES.index("bed")
    assert pairs[sofa, LOOKS.index("red")] == len(CLASSES)
    assert pairs[sofa, LOOKS.index("blue")] == sofa
    assert (pairs[bed] == bed).all()
