# SPDX-License-Identifier: Apache-2.0
"""Tests of the light CrossOver networks and their files: norms, batches, order, what is missing, and damage."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import pytest
import torch
from room_cases import TINY, tiny_light
from safetensors.torch import load, save

from xover_core.encoders.text_tokens import batch_tokens
from xover_core.errors import ModelError
from xover_core.inference.light_checkpoint import load_light, save_light
from xover_core.networks.light_crossover import LightCrossover, ObjectTensors
from xover_core.networks.sparse_tensor import make_sparse_tensor
from xover_core.types import SceneModality

CLOUD, CAD = SceneModality.POINT_CLOUD, SceneModality.CAD
IMAGE, TEXT = SceneModality.IMAGE, SceneModality.TEXT
# float32 through some layers, in another order of summation
TOLERANCE = 2e-5
# float16 of weights of the order of one
HALF_TOLERANCE = 1e-3
TEXTS = ("a kitchen", "the office with two red chairs and a table by the window", "a room")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> LightCrossover:
    return trained(tiny_light())


def trained(model: LightCrossover) -> LightCrossover:
    """With statistics of batches that are not those of a new network, so that a forgotten mode shows."""
    generator = torch.Generator().manual_seed(3)
    for name, values in model.named_buffers():
        if name.endswith(("running_mean", "running_var", "token_mean", "token_scale")):
            values.copy_(torch.rand(values.shape, generator=generator) + 0.2)
    return model.eval()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def describe(model: LightCrossover, count: int) -> torch.Tensor:
    """(V, E) of random views with their colours."""
    learned = model.views(random(count, TINY.num_tokens, TINY.token_dim))
    return torch.cat([learned, statistics(count)[0]], dim=1)


def statistics(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Histograms and signatures of some scenes."""
    layouts = torch.nn.functional.normalize(random(count, TINY.layout_dim, seed=6), dim=1)
    return random(count, TINY.color_dim, seed=5).softmax(dim=1), layouts


def make_cloud(counts, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for batch, count in enumerate(counts):
        voxels = torch.unique(torch.randint(0, 20, (count, 3), generator=generator), dim=0)
        rows.append(torch.cat([torch.full((len(voxels), 1), batch), voxels], dim=1))
    coordinates = torch.cat(rows)
    return coordinates, torch.rand((len(coordinates), TINY.voxel_dim), generator=generator)


def make_objects(num_scenes=2, num_objects=3, masks=None):
    """Random objects; the last object of the first scene lacks everything, others one modality."""
    if masks is None:
        masks = {m: torch.ones(num_scenes, num_objects, dtype=torch.bool) for m in (CLOUD, CAD, IMAGE, TEXT)}
        for number, mask in enumerate(masks.values()):
            mask[0, -1] = False
            mask[-1, number % num_objects] = False
    counts = {m: int(mask.sum()) for m, mask in masks.items()}
    return ObjectTensors(
        points=random(counts[CLOUD], 128, TINY.point_dim),
        cad_points=random(counts[CAD], 128, TINY.point_dim, seed=1),
        crops=random(counts[IMAGE], 3, 32, 32, seed=2),
        words=torch.from_numpy(batch_tokens([TEXTS[i % 3] for i in range(counts[TEXT])])),
        locations=3 * random(num_scenes, num_objects, 6, seed=4),
        masks=masks,
    )


def select(objects: ObjectTensors, scene: int) -> ObjectTensors:
    """One scene of several."""

    def rows(values, modality):
        before = int(objects.masks[modality][:scene].sum())
        return values[before : before + int(objects.masks[modality][scene].sum())]

    return ObjectTensors(
        points=rows(objects.points, CLOUD),
        cad_points=rows(objects.cad_points, CAD),
        crops=rows(objects.crops, IMAGE),
        words=rows(objects.words, TEXT),
        locations=objects.locations[scene : scene + 1],
        masks={m: mask[scene : scene + 1] for m, mask in objects.masks.items()},
    )


def assert_units(rows: torch.Tensor) -> None:
    torch.testing.assert_close(rows.norm(dim=-1), torch.ones(rows.shape[:-1]), atol=TOLERANCE, rtol=0)


def assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_views_are_pooled_by_scene_in_any_order(model):
    tokens = random(5, TINY.num_tokens, TINY.token_dim)
    assert_close(model.views(tokens), torch.cat([model.views(token[None]) for token in tokens]))
    views = describe(model, 5)
    scenes = torch.tensor([0, 1, 0, 1, 1])
    embedded = model.embed_views(views, scenes, 2)
    assert_units(embedded)
    assert_close(embedded[0], model.embed_views(views[scenes == 0], torch.zeros(2, dtype=torch.int64), 1)[0])
    order = torch.tensor([4, 2, 0, 1, 3])
    assert_close(model.embed_views(views[order], scenes[order], 2), embedded)
    # twice the same views say nothing new
    twice = torch.cat([views, views])
    assert_close(model.embed_views(twice, torch.cat([scenes, scenes]), 2), embedded)


@torch.no_grad()
def test_a_scene_without_views_changes_no_other(model):
    views = describe(model, 3)
    embedded = model.embed_views(views, torch.tensor([0, 2, 2]), 3)
    assert torch.isfinite(embedded).all()
    assert_close(embedded[[0, 2]], model.embed_views(views, torch.tensor([0, 1, 1]), 2))


@torch.no_grad()
def test_the_order_of_tokens_matters(model):
    tokens = random(1, TINY.num_tokens, TINY.token_dim)
    assert (model.views(tokens) - model.views(tokens.flip(1))).abs().max() > 100 * TOLERANCE


@torch.no_grad()
def test_clouds_do_not_see_each_other_nor_the_order_of_voxels(model):
    coordinates, features = make_cloud((60, 200))
    colors, layouts = statistics(2)
    together = model.embed_cloud(make_sparse_tensor(coordinates, features), colors, layouts)
    assert_units(together)
    for batch in range(2):
        chosen = coordinates[:, 0] == batch
        alone = coordinates[chosen] - torch.tensor([batch, 0, 0, 0])
        one = make_sparse_tensor(alone, features[chosen])
        assert_close(model.embed_cloud(one, colors[[batch]], layouts[[batch]])[0], together[batch])
    order = torch.randperm(len(coordinates), generator=torch.Generator().manual_seed(1))
    shuffled = make_sparse_tensor(coordinates[order], features[order])
    assert_close(model.embed_cloud(shuffled, colors, layouts), together)


@torch.no_grad()
def test_floorplans_and_texts_do_not_see_each_other(model):
    rasters = random(3, 112, 112)
    layouts = statistics(3)[1]
    plans = model.embed_floorplan(rasters, layouts)
    assert_units(plans)
    assert_close(plans, torch.cat([model.embed_floorplan(rasters[[i]], layouts[[i]]) for i in range(3)]))
    texts = model.embed_text(torch.from_numpy(batch_tokens(TEXTS)))
    assert_units(texts)
    assert_close(texts, torch.cat([model.embed_text(torch.from_numpy(batch_tokens([text]))) for text in TEXTS]))


@torch.no_grad()
def test_scenes_of_objects_do_not_see_each_other(model):
    objects = make_objects()
    embedded = model.embed_objects(objects)
    fused = model.fuse_objects(embedded, objects.masks)
    assert_units(fused)
    for scene in range(2):
        alone = select(objects, scene)
        rows = model.embed_objects(alone)
        for modality, mask in objects.masks.items():
            assert_units(embedded[modality][mask])
            assert_close(rows[modality][0][mask[scene]], embedded[modality][scene][mask[scene]])
        assert_close(model.fuse_objects(rows, alone.masks)[0], fused[scene])


@torch.no_grad()
def test_padding_changes_no_object(model):
    objects = make_objects()
    padded = replace(
        objects,
        locations=torch.nn.functional.pad(objects.locations, (0, 0, 0, 4)),
        masks={m: torch.nn.functional.pad(mask, (0, 4)) for m, mask in objects.masks.items()},
    )
    ours, theirs = model.embed_objects(padded), model.embed_objects(objects)
    for modality, mask in objects.masks.items():
        assert_close(ours[modality][:, :3][mask], theirs[modality][mask])
    assert_close(model.fuse_objects(ours, padded.masks), model.fuse_objects(theirs, objects.masks))


@torch.no_grad()
def test_where_a_scene_lies_does_not_matter_but_how_its_objects_lie(model):
    objects = make_objects()
    expected = model.embed_objects(objects)[CLOUD][objects.masks[CLOUD]]
    moved = objects.locations + torch.tensor([4.0, -3.0, 0, 0, 0, 0])
    found = model.embed_objects(replace(objects, locations=moved))[CLOUD][objects.masks[CLOUD]]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)  # float32 of metres
    spread = objects.locations.clone()
    spread[:, 1, 0] += 2.0
    assert (
        model.embed_objects(replace(objects, locations=spread))[CLOUD][objects.masks[CLOUD]] - expected
    ).abs().max() > 1e-3


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("modality", [CLOUD, CAD, IMAGE, TEXT])
def test_a_modality_may_be_missing_everywhere(model, modality, training):
    masks = dict(make_objects().masks)
    masks[modality] = torch.zeros_like(masks[modality])
    objects = make_objects(masks=masks)
    fresh = tiny_light().train(training)
    embedded = fresh.embed_objects(objects)
    fused = fresh.fuse_objects(embedded, masks)
    assert torch.isfinite(fused).all()
    assert all(bool(torch.isfinite(embedded[m][mask]).all()) for m, mask in masks.items())
    assert all(bool(torch.isfinite(values.float()).all()) for values in fresh.state_dict().values())


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contents(model) -> bytes:
    return save_light(model)


@torch.no_grad()
def test_a_file_gives_the_network_back(model, contents):
    read = load_light(contents, "this test")
    assert not read.training
    assert read.shape == model.shape
    assert len(contents) < 1.2 * 2 * sum(value.numel() for value in model.state_dict().values())
    for name, value in read.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], atol=HALF_TOLERANCE, rtol=HALF_TOLERANCE)
    rasters = random(2, 112, 112)
    layouts = statistics(2)[1]
    cosines = (read.embed_floorplan(rasters, layouts) * model.embed_floorplan(rasters, layouts)).sum(dim=1)
    assert cosines.min() > 0.999
    # what was rounded once stays as it is
    again = load_light(save_light(read), "again").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in read.state_dict().items())


def changed(contents: bytes, *, drop: str = "", metadata: dict[str, str] | None = None) -> bytes:
    header = json.loads(contents[8 : 8 + int.from_bytes(contents[:8], "little")])["__metadata__"]
    return save({key: value for key, value in load(contents).items() if key != drop}, header | (metadata or {}))


@pytest.mark.parametrize(
    "damage",
    [
        "cut",
        "foreign",
        "empty",
        "format",
        "version",
        "tensor",
        "shape",
        "shape without sizes",
        "shape of words",
        "no json",
    ],
)
def test_damaged_weights_are_refused(contents, damage):
    bad = {
        "cut": lambda: contents[:-10],
        "foreign": lambda: b"nonsense" * 9,
        "empty": lambda: b"",
        "format": lambda: changed(contents, metadata={"format": "compact"}),
        "version": lambda: changed(contents, metadata={"version": "9"}),
        "tensor": lambda: changed(contents, drop="fusion.weight"),
        "shape": lambda: changed(contents, metadata={"shape": json.dumps(_shape() | {"token_dim": 9})}),
        "shape without sizes": lambda: changed(contents, metadata={"shape": "{}"}),
        "shape of words": lambda: changed(contents, metadata={"shape": json.dumps(_shape() | {"token_dim": "9"})}),
        "no json": lambda: changed(contents, metadata={"shape": "{"}),
    }[damage]()
    with pytest.raises(ModelError, match="weights mine") as error:
        load_light(bad, "mine")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def _shape() -> dict[str, int]:
    return dataclasses.asdict(TINY)
