# SPDX-License-Identifier: Apache-2.0
"""Tests of the training of the light CrossOver: stages, missing modalities, learning, starting weights, measuring."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from room_cases import TINY, make_features, place_features, tiny_light, without
from safetensors.torch import save_file
from torch import Tensor

from xover_core.config_io import override
from xover_core.errors import ConfigError, ModelError, TrainingError
from xover_core.inference.light_checkpoint import load_light, save_light
from xover_core.training.crossover_settings import CrossoverSettings
from xover_core.training.crossover_task import CrossoverTask, embed_scene
from xover_core.training.crossover_validation import measure_objects, measure_scenes
from xover_core.types import SceneModality

CLOUD, CAD = SceneModality.POINT_CLOUD, SceneModality.CAD
IMAGE, TEXT = SceneModality.IMAGE, SceneModality.TEXT
SCENE_MODALITIES = (IMAGE, CLOUD, SceneModality.FLOORPLAN, TEXT)
OBJECT_MODALITIES = (CLOUD, CAD, IMAGE, TEXT)
PARTS = {
    "instance": {"object_points", "object_cad", "object_crops", "object_text", "objects"},
    "scene": {"fusion", "objects_head"},
    "unified": {
        "views", "cloud", "top_view", "colors", "layout", "floorplan", "text", "view_head", "cloud_head",
        "floorplan_head", "text_head", "fusion", "objects_head",
    },
}  # fmt: skip
# float16 of weights of the order of one
HALF_TOLERANCE = 1e-3
NORM_TOLERANCE = 1e-5
# float32 means of some hundred numbers
SCALE_TOLERANCE = 1e-4
# the loss after a few steps on one batch, as a share of that at the start
MAX_SHARE_LEFT = 0.5


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def settings_of(stage: str, **values: object) -> CrossoverSettings:
    base = {"stage": stage, "batches.num_scenes": 4, "batches.rescan_share": 1.0, "batches.missing": 0.0}
    return override(CrossoverSettings(), base | {key.replace("__", "."): value for key, value in values.items()})


def scans_of(num_places: int, **missing: bool):
    return [without(make_features(place, scan), **missing) for place in range(num_places) for scan in range(2)]


@pytest.fixture
def make_task(tmp_path):
    def make(settings, scans=None, *, validates=False):
        places = place_features(tmp_path, scans or scans_of(4))
        return CrossoverTask(tiny_light(), places, places if validates else None, settings)

    return make


def one_step(task, batch=None, optimizer=None) -> float:
    """Train on a batch; the loss before."""
    optimizer = optimizer or torch.optim.SGD(task.network.parameters(), 1.0)
    task.network.train()
    torch.manual_seed(1)  # of dropout
    loss, _ = task.loss(batch or task.load_batch(0, 0))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


@pytest.mark.parametrize("stage", sorted(PARTS))
def test_a_stage_trains_its_parts_and_no_other(make_task, stage):
    task = make_task(settings_of(stage))
    model = task.network.model
    assert {name for name, part in model.named_children() for p in part.parameters() if p.requires_grad} == PARTS[stage]
    before = {name: value.clone() for name, value in model.named_parameters()}
    one_step(task)
    changed = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    # how much colours and layout weigh
    assert changed == PARTS[stage] | ({"weights"} if stage == "unified" else set())


def test_frozen_parts_take_no_new_statistics(make_task):
    task = make_task(settings_of("unified"))
    model = task.network.model
    before = {name: value.clone() for name, value in model.object_crops.named_buffers()}
    task.network.train()
    task.loss(task.load_batch(0, 0))
    assert model.cloud.training
    assert not model.objects.training
    assert all(torch.equal(value, before[name]) for name, value in model.object_crops.named_buffers())


def test_the_joint_loss_trains_everything(make_task):
    task = make_task(settings_of("unified", loss__object_weight=0.5))
    before = {name: value.clone() for name, value in task.network.named_parameters()}
    one_step(task)
    changed = {
        name.split(".")[1] for name, value in task.network.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed >= PARTS["unified"] | PARTS["instance"]


@pytest.mark.parametrize(("learns", "expected"), [(True, True), (False, False)])
def test_temperatures_are_learned_if_asked_for(make_task, learns, expected):
    task = make_task(settings_of("unified", contrast__learns_temperature=learns))
    before = task.network.scene_scale()
    one_step(task)
    assert bool(task.network.scene_scale() != before) == expected


@pytest.mark.parametrize("stage", [*sorted(PARTS), "joint"])
@pytest.mark.parametrize("missing", ["views", "plan", "objects", "some", "one object"])
def test_losses_are_finite_whatever_is_missing(make_task, stage, missing):
    scans = scans_of(4)
    if missing == "some":
        scans[0], scans[2], scans[5] = (
            without(scan, **{name: True})
            for scan, name in zip((scans[0], scans[2], scans[5]), ("views", "plan", "objects"), strict=True)
        )
    elif missing == "one object":
        scans = [replace(without(scan, objects=True), object_ids=scan.object_ids[:1], **_first(scan)) for scan in scans]
    else:
        scans = [without(scan, **{missing: True}) for scan in scans]
    values = {"loss__object_weight": 1.0} if stage == "joint" else {}
    task = make_task(settings_of("unified" if stage == "joint" else stage, **values), scans)
    for step in range(2):
        task.network.zero_grad()
        loss, scalars = task.loss(task.load_batch(0, step))
        assert torch.isfinite(loss)
        assert all(value == value for value in scalars.values())
        loss.backward()
        gradients = [p.grad for p in task.network.parameters() if p.grad is not None]
        assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    assert all(bool(torch.isfinite(value.float()).all()) for value in task.network.state_dict().values())


def _first(scan) -> dict[str, object]:
    rows = ("locations", "object_points", "cad_points", "crops", "num_crops", "has_points", "has_cad",
            "object_sentences", "labels")  # fmt: skip
    return {name: getattr(scan, name)[:1] for name in rows}


@pytest.mark.parametrize("stage", ["unified", "instance"])
def test_one_batch_is_learned_by_heart(make_task, stage):
    task = make_task(settings_of(stage, batches__is_changed=False, loss__attributes=0.0))
    optimizer = torch.optim.Adam((p for p in task.network.parameters() if p.requires_grad), 2e-3)
    batch = task.load_batch(0, 0)
    losses = [one_step(task, batch, optimizer) for _ in range(8)]
    assert losses[-1] < MAX_SHARE_LEFT * losses[0]


def test_without_a_rescan_nothing_is_said_of_it(make_task):
    for share, expected in ((0.0, False), (1.0, True)):
        task = make_task(settings_of("unified", batches__rescan_share=share, loss__object_weight=1.0))
        _, scalars = task.loss(task.load_batch(0, 0))
        assert ("rescan" in scalars, "object_rescan" in scalars) == (expected, expected)
        assert {"fused/image", "image/point_cloud", "objects", "scale"} <= set(scalars)


def test_batches_depend_on_epoch_and_number_alone(make_task):
    first, second = make_task(settings_of("unified")), make_task(settings_of("unified"))
    assert first.num_batches(0) == 1
    # asked for in another order, as loader threads and resumed runs do
    ours = {key: first.load_batch(*key) for key in ((0, 0), (0, 1), (1, 0))}
    theirs = {key: second.load_batch(*key) for key in ((1, 0), (0, 0), (0, 1))}
    for key, batch in ours.items():
        assert torch.equal(batch.first.tokens, theirs[key].first.tokens)
        assert torch.equal(batch.first.cloud.features, theirs[key].first.cloud.features)
        assert torch.equal(batch.second.objects.locations, theirs[key].second.objects.locations)
    features = [batch.first.cloud.features for batch in ours.values()]
    assert all(a.shape != b.shape or not torch.equal(a, b) for a, b in ((features[0], features[1]), features[1:]))
    other = make_task(settings_of("unified", trainer__seed=1)).load_batch(0, 0).first.cloud.features
    assert other.shape != features[0].shape or not torch.equal(other, features[0])


def test_saved_weights_are_the_network_s_in_half_precision(make_task, tmp_path):
    task = make_task(settings_of("unified"))
    one_step(task)
    task.save_weights(tmp_path / "best.safetensors")
    read = load_light((tmp_path / "best.safetensors").read_bytes(), "best")
    assert not read.training
    expected = task.network.model.state_dict()
    assert set(read.state_dict()) == set(expected)
    for name, value in read.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=HALF_TOLERANCE, rtol=HALF_TOLERANCE)
        assert value.dtype == expected[name].dtype


def test_a_stage_starts_from_the_weights_of_another(make_task, tmp_path):
    start = tmp_path / "start.safetensors"
    start.write_bytes(save_light(tiny_light(seed=5)))
    task = make_task(settings_of("scene", data__start=[str(start)]))
    expected = load_light(start.read_bytes(), "start").state_dict()
    found = task.network.model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert not torch.equal(found["text.out.weight"], tiny_light().state_dict()["text.out.weight"])


def test_later_starts_go_over_earlier_ones_and_may_be_parts(make_task, tmp_path):
    whole, part = tmp_path / "whole.safetensors", tmp_path / "text.safetensors"
    whole.write_bytes(save_light(tiny_light(seed=5)))
    text = tiny_light(seed=6).text.state_dict(prefix="text.")
    save_file(text, part)
    found = make_task(settings_of("unified", data__start=[str(whole), str(part)])).network.model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in text.items())
    expected = load_light(whole.read_bytes(), "whole").state_dict()
    assert torch.equal(found["text_head.0.weight"], expected["text_head.0.weight"])


def test_tokens_are_brought_to_one_scale_once(make_task, tmp_path):
    fresh = tiny_light()
    fresh.views.token_scale.zero_()
    places = place_features(tmp_path, scans_of(4))
    CrossoverTask(fresh, places, None, settings_of("unified"))
    tokens = torch.cat([torch.from_numpy(places.place(i)[0].tokens).float() for i in range(4)]).flatten(0, 1)
    seen = (tokens - fresh.views.token_mean) * fresh.views.token_scale
    torch.testing.assert_close(seen.mean(dim=0), torch.zeros(TINY.token_dim), atol=SCALE_TOLERANCE, rtol=0)
    torch.testing.assert_close(seen.std(dim=0), torch.ones(TINY.token_dim), atol=SCALE_TOLERANCE, rtol=0)
    # a network that has a scale keeps it, and other stages show it no view
    kept = make_task(settings_of("unified")).network.model.views
    assert torch.equal(kept.token_scale, torch.ones(TINY.token_dim))
    unused = tiny_light()
    unused.views.token_scale.zero_()
    CrossoverTask(unused, places, None, settings_of("instance"))
    assert not unused.views.has_statistics


def test_a_network_without_views_to_learn_from_is_trained(tmp_path):
    fresh = tiny_light()
    fresh.views.token_scale.zero_()
    task = CrossoverTask(fresh, place_features(tmp_path, scans_of(3, views=True)), None, settings_of("unified"))
    loss, _ = task.loss(task.load_batch(0, 0))
    assert torch.isfinite(loss)
    assert torch.equal(fresh.views.token_scale, torch.ones(TINY.token_dim))


@pytest.mark.parametrize("damage", ["missing", "cut", "shape"])
def test_weights_that_cannot_be_started_from_are_refused(make_task, tmp_path, damage):
    start = tmp_path / "start.safetensors"
    if damage != "missing":
        contents = save_light(tiny_light(replace(TINY, token_dim=7) if damage == "shape" else TINY))
        start.write_bytes(contents[:-50] if damage == "cut" else contents)
    with pytest.raises(ModelError) as error:
        make_task(settings_of("scene", data__start=[str(start)]))
    assert str(start) in str(error.value)
    assert "\n" not in str(error.value)


def test_one_place_is_too_few(make_task):
    with pytest.raises(TrainingError, match="at least two places"):
        make_task(settings_of("unified"), scans_of(1))


@pytest.mark.parametrize("values", [{"stage": "stage 3"}, {"batches.num_scenes": 1}, {"loss.rescan": -1.0}])
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values)).split(".")[-1]):
        override(CrossoverSettings(), values)


@pytest.mark.parametrize("stage", sorted(PARTS))
def test_recalls_are_measured_on_scenes_as_they_are(make_task, stage):
    task = make_task(settings_of(stage, batches__num_scenes=3), validates=True)
    task.network.eval()
    found = task.validate()
    assert found == task.validate()
    assert all(0 <= value <= 1 for value in found.values())
    assert found["recall_mean"] == pytest.approx(
        sum(v for k, v in found.items() if k != "recall_mean") / (len(found) - 1)
    )
    assert task.score_name in found
    names = {"object_rescan", "object_point_cloud_image"} if stage == "instance" else {"rescan", "image_text"}
    assert names < set(found)


def test_without_validation_nothing_is_measured(make_task):
    assert make_task(settings_of("unified")).validate() == {}


@pytest.mark.parametrize("stage", sorted(PARTS))
def test_validation_without_objects_measures_what_is_there(make_task, stage):
    task = make_task(settings_of(stage), scans_of(4, objects=True), validates=True)
    task.network.eval()
    assert 0 <= task.validate()["recall_mean"] <= 1


def test_scenes_are_embedded_in_the_modalities_asked_for(make_task):
    task = make_task(settings_of("unified"))
    task.network.eval()
    scene = task.load_batch(0, 0).first
    with torch.no_grad():
        everything = embed_scene(task.network.model, scene)
        some = embed_scene(task.network.model, scene, (IMAGE, TEXT))
    assert set(everything) == set(SCENE_MODALITIES)
    assert set(some) == {IMAGE, TEXT}
    for modality, values in everything.items():
        assert values.shape == (4, TINY.out_dim)
        torch.testing.assert_close(values.norm(dim=1), torch.ones(4), atol=NORM_TOLERANCE, rtol=0)
        assert modality not in some or torch.equal(some[modality], values)


# Measuring, with embeddings that the test gives -----------------------------------------------------------------------


class GivenRescans:
    """In place of the network: clouds of rescans get these embeddings."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def embed_cloud(self, cloud: Tensor, *statistics: None) -> Tensor:
        return self.rows[cloud]


def scene_batch(numbers: list[int], lacking: dict[SceneModality, int]):
    index = torch.tensor(numbers)
    masks = {m: index != lacking.get(m, -1) for m in SCENE_MODALITIES}
    second = SimpleNamespace(cloud=index, cloud_colors=None, cloud_layouts=None)
    return SimpleNamespace(first=SimpleNamespace(rows=index, masks=masks), second=second)


def test_recalls_of_scenes_are_counted_among_all_batches():
    rows = torch.eye(4)
    swapped = rows[[1, 0, 2, 3]]
    given = {m: swapped if m is TEXT else rows for m in SCENE_MODALITIES}

    def embed(model, scene):
        return {m: values[scene.rows] for m, values in given.items()}

    batches = [scene_batch([0, 1], {}), scene_batch([2, 3], {})]
    found = measure_scenes(GivenRescans(rows[[0, 1, 3, 2]]), batches, embed)
    assert (found["image_point_cloud"], found["image_text"], found["rescan"]) == (1.0, 0.5, 0.5)
    # the swapped ones lack a text: only the others count
    batches = [scene_batch([0, 2], {TEXT: 0}), scene_batch([1, 3], {TEXT: 1})]
    assert measure_scenes(GivenRescans(rows), batches, embed)["image_text"] == 1.0


def test_ties_are_no_finds():
    same = torch.ones(3, 2)
    found = measure_scenes(
        GivenRescans(same), [scene_batch([0, 1, 2], {})], lambda model, scene: dict.fromkeys(SCENE_MODALITIES, same)
    )
    assert set(found.values()) == {0.0}


def test_scenes_that_nobody_has_count_zero():
    masks = {m: torch.zeros(2, dtype=torch.bool) for m in SCENE_MODALITIES}
    batch = scene_batch([0, 1], {})
    batch.first.masks = masks
    found = measure_scenes(
        GivenRescans(torch.eye(2)), [batch], lambda model, scene: dict.fromkeys(SCENE_MODALITIES, torch.eye(2))
    )
    assert found.pop("rescan") == 1.0
    assert set(found.values()) == {0.0}


def test_recalls_of_objects_are_those_within_their_scene():
    rows = torch.eye(3)[None].repeat(2, 1, 1)
    # in the second scene, sentences are of other objects; the third object of the first scene has none
    swapped = torch.stack([rows[0], rows[1][[1, 0, 2]]])
    embedded = {CLOUD: rows, CAD: rows, IMAGE: rows, TEXT: swapped}
    masks = {m: torch.ones(2, 3, dtype=torch.bool) for m in OBJECT_MODALITIES}
    masks[TEXT][0, 2] = False
    # a single object of a scene is always found, and does not count
    masks[CAD] = torch.tensor([[True, False, False], [True, True, True]])
    scene = SimpleNamespace(objects=SimpleNamespace(embedded=embedded, masks=masks))
    model = SimpleNamespace(embed_objects=lambda objects: objects.embedded)
    found = measure_objects(model, [SimpleNamespace(first=scene, second=scene)])
    assert found["object_point_cloud_text"] == pytest.approx((1.0 + 1 / 3) / 2)
    assert found["object_point_cloud_image"] == found["object_point_cloud_cad"] == found["object_rescan"] == 1.0
