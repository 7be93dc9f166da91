# SPDX-License-Identifier: Apache-2.0
"""Tests of the scene inventory: its parts, its place in embeddings, its files, and slices of clouds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from xover_core.encoders.cloud_slices import NUM_SLICES, SLICE_GRID, SLICE_PLANES, cloud_slices, slice_places
from xover_core.encoders.text_tokens import batch_tokens, tokenise
from xover_core.encoders.view_pixels import PICTURE_PLANES
from xover_core.errors import ModelError
from xover_core.inference.inventory_checkpoint import inventory_traits, load_inventory, save_inventory
from xover_core.inference.inventory_session import InventorySession
from xover_core.networks.scene_inventory import InventoryShape, SceneInventory

SHAPE = InventoryShape(
    num_classes=5, num_looks=3, num_pairs=7, num_traits=9, view_planes=PICTURE_PLANES, patch_dim=5,
    num_planes=SLICE_PLANES, num_slices=NUM_SLICES, num_kinds=4, head_dim=20, kept_dim=12, dim=8,
)  # fmt: skip
REST = 6
TRAITS = tuple(f"trait-{number}" for number in range(SHAPE.num_traits))
# float32 through some layers, in another order of summation
TOLERANCE = 1e-5
# matrices in 8 bits
ROUNDED_TOLERANCE = 0.05


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network() -> SceneInventory:
    torch.manual_seed(0)
    made = SceneInventory(SHAPE)
    for head in (made.cloud.head, made.views.head):
        head.pair_of.copy_(torch.arange(15) % SHAPE.num_pairs)
    made.weights.data.copy_(torch.tensor([0.5, 2.0]))
    return made.eval()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def some_cloud(seed: int = 0, count: int = 500):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, (3, 4, 2.5), (count, 3)).astype(np.float32), rng.integers(0, 256, (count, 3), dtype=np.uint8)


def test_amounts_of_a_cloud_sum_to_its_voxels(network):
    planes = torch.from_numpy(np.stack([cloud_slices(*some_cloud(seed, 300 * (seed + 1))) for seed in range(2)]))
    with torch.no_grad():
        amounts, (_, voxels) = network.cloud(planes), network.cloud.voxels(planes)
        alone = network.cloud(planes[1:])
    counts = torch.bincount(voxels[:, 0]).float()
    torch.testing.assert_close(amounts.sum(dim=1), counts, rtol=TOLERANCE, atol=TOLERANCE)
    torch.testing.assert_close(alone, amounts[1:], rtol=1e-4, atol=1e-3)


def test_amounts_of_views_are_shares(network):
    with torch.no_grad():
        amounts = network.views(random(3, PICTURE_PLANES, 24, 36), random(3, 5, 3, 4))
    torch.testing.assert_close(amounts.sum(dim=1), torch.ones(3), rtol=TOLERANCE, atol=TOLERANCE)


def test_patches_of_zeros_say_nothing_and_views_are_alone(network):
    pixels = random(2, PICTURE_PLANES, 32, 48)
    with torch.no_grad():
        amounts, finer = (network.views(pixels, torch.zeros(2, 5, *grid)) for grid in ((4, 6), (7, 9)))
        told = network.views(pixels, random(2, 5, 4, 6))
        alone = network.views(pixels[1:], torch.zeros(1, 5, 4, 6))
    torch.testing.assert_close(finer, amounts, rtol=TOLERANCE, atol=TOLERANCE)
    torch.testing.assert_close(alone, amounts[1:], rtol=1e-4, atol=TOLERANCE)
    assert float((told - amounts).abs().max()) > 10 * TOLERANCE


def test_a_text_says_what_its_parts_say_whatever_it_is_padded_with(network):
    texts = ["a red sofa", "two chairs by the window of the small room"]
    with torch.no_grad():
        together = network.text(torch.from_numpy(batch_tokens(texts)))
        for row, text in enumerate(texts):
            alone = network.text(torch.from_numpy(tokenise(text))[None])[0]
            torch.testing.assert_close(together[row], alone, rtol=TOLERANCE, atol=TOLERANCE)


def test_joined_embeddings_have_norm_one_and_keep_what_is_no_head(network):
    heads = torch.nn.functional.normalize(random(4, SHAPE.head_dim), dim=1)
    embeddings = torch.cat([heads, 1.5 * random(4, REST, seed=1)], dim=1)
    inventories = torch.nn.functional.normalize(random(4, SHAPE.dim, seed=2), dim=1)
    with torch.no_grad():
        scenes, texts = (network.join(embeddings, inventories, is_text=is_text) for is_text in (False, True))
        without = network.join(embeddings, None)
    for joined in (scenes, texts, without):
        assert joined.shape == (4, SHAPE.kept_dim + SHAPE.dim + REST)
        torch.testing.assert_close(joined.norm(dim=1), torch.ones(4), rtol=TOLERANCE, atol=TOLERANCE)
    part = slice(SHAPE.kept_dim, SHAPE.kept_dim + SHAPE.dim)
    assert not without[:, part].any()
    # relative to colours and layout, an inventory has the weight of its kind
    for joined, weight in ((scenes, 0.5), (texts, 2.0)):
        scale = joined[:, -1:] / embeddings[:, -1:]
        torch.testing.assert_close(joined[:, part], scale * weight * inventories, rtol=1e-4, atol=TOLERANCE)


def test_files_come_back_rounded(network):
    contents = save_inventory(network, TRAITS)
    read = load_inventory(contents, "this test")
    assert not read.training
    assert (read.shape, inventory_traits(contents, "this test")) == (network.shape, TRAITS)
    words = torch.from_numpy(batch_tokens(["the red sofa"]))
    with torch.no_grad():
        torch.testing.assert_close(read.of_text(words), network.of_text(words), rtol=0, atol=ROUNDED_TOLERANCE)
    # a second rounding changes nothing
    again = load_inventory(save_inventory(read, TRAITS), "again").state_dict()
    for name, value in read.state_dict().items():
        torch.testing.assert_close(again[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("damage", ["foreign", "cut", "tensor", "shape"])
def test_damaged_files_are_refused(network, damage):
    contents = save_inventory(network, TRAITS)
    if damage == "foreign":
        bad = save({"weight": torch.zeros(2)}, {"format": "something else"})
    elif damage == "cut":
        bad = contents[:-7]
    elif damage == "tensor":
        tensors = load(contents)
        del tensors["held.weight"]
        facts = {"shape": '{"num_classes": 5}', "traits": "[]"}
        bad = save(tensors, {"format": "xover scene inventory", "version": "2", **facts})
    else:
        torch.manual_seed(0)
        bad = save_inventory(SceneInventory(dataclasses.replace(SHAPE, dim=9)), TRAITS)
        bad = bad.replace(b'\\"dim\\": 9', b'\\"dim\\": 8')
    with pytest.raises(ModelError, match="mine") as error:
        load_inventory(bad, "mine")
    assert "\n" not in str(error.value)


def test_the_session_gives_rows_of_norm_one(network):
    session = InventorySession(network)
    embedding = np.ones(SHAPE.head_dim + REST, np.float32)
    amounts = np.stack([session.describe_view(random(PICTURE_PLANES, 24, 36).numpy(), random(5, 3, 4).numpy())] * 2)
    joined = [
        session.join_views(embedding, amounts),
        session.join_cloud(embedding, cloud_slices(*some_cloud())),
        session.join_floorplan(embedding, random(96, 128).numpy()),
        session.join_text(embedding, tokenise("a sofa")),
        session.join_nothing(embedding),
    ]
    for one in joined:
        assert one.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(one), 1, atol=TOLERANCE)


def test_slices_hold_colors_where_points_are():
    points, colors = some_cloud()
    planes, places = cloud_slices(points, colors), slice_places(points)
    assert planes.shape == (SLICE_PLANES, NUM_SLICES, SLICE_GRID, SLICE_GRID)
    assert set(zip(*np.nonzero(planes[0]), strict=True)) == set(map(tuple, places.tolist()))
    own = (places == places[7]).all(axis=1)
    expected = colors[own].astype(np.float64).mean(axis=0) / 255 - 0.5
    np.testing.assert_allclose(planes[(slice(1, None), *places[7])], expected, atol=TOLERANCE)
    assert planes[0][tuple(places[7])] == min(own.sum() / 4, 1)


def test_points_far_from_the_middle_are_cut_off():
    points = np.float32([[0, 0, 0], [20, 0, 0], [9.99, 0, 5]])
    places = slice_places(points)
    assert places[0].tolist() == places[1].tolist() == [-1, -1, -1]
    assert places[2, 0] == NUM_SLICES - 1
