# SPDX-License-Identifier: Apache-2.0
"""LoCUS as a training task: its loss against the plain definition, its validation against the protocol's numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from locus_cases import RADII, SceneList, TinyNetwork, make_room, save_tiny
from naive_smooth_ap import naive_smooth_ap
from published_vit import TINY_DINO, TINY_DINOV2, PublishedVit
from safetensors.torch import load_file, save_file

from xover_core.config_io import override
from xover_core.errors import ConfigError, TrainingError
from xover_core.evaluation.protocols import average_precision as protocol
from xover_core.evaluation.protocols.retrieval_tally import RetrievalTally
from xover_core.inference.locus_checkpoint import load_locus
from xover_core.networks.vit_backbone import VIT_SHAPES
from xover_core.training import locus_networks
from xover_core.training.average_precision import pooled_average_precision
from xover_core.training.batch_sampling import OverlapBatchSampler
from xover_core.training.locus_networks import NetworkKind
from xover_core.training.locus_settings import LocusSettings, pair_settings
from xover_core.training.locus_task import LocusTask
from xover_core.training.locus_validation import LocusValidation
from xover_core.training.run_folder import read_log
from xover_core.training.scene_source import MixedScenes
from xover_core.training.trainer import Trainer
from xover_core.training.training_task import make_generator

BASE = {
    "network.radii": [0.2, 0.6],
    "batches.batch_size": 4,
    "landmarks.num_landmarks": 24,
    "validation.num_queries": 40,
    "trainer.learning_rate": 3e-3,
    "trainer.loader_threads": 0,
    "trainer.validate_every": 0,
}
# float32 similarities and sums of some thousands of them
TOLERANCE = 1e-5
# What chance gets on these rooms is below 0.05 and 0.2.
HIGH_AP = 0.9


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def rooms():
    return SceneList([make_room("a"), make_room("b", 150.0)])


@pytest.fixture
def tiny(monkeypatch):
    kind = NetworkKind(make=lambda settings, scenes: TinyNetwork(settings.radii), save=save_tiny)
    monkeypatch.setitem(locus_networks.NETWORK_KINDS, "compact", kind)


def settings(**values):
    return override(LocusSettings(), {**BASE, **{key.replace("__", "."): value for key, value in values.items()}})


def make_task(rooms, validation=None, **values):
    return LocusTask(TinyNetwork(), rooms, validation, settings(**values))


def test_one_batch_can_be_learned_by_heart(rooms, tmp_path, tiny):
    task = make_task(
        rooms,
        rooms,
        trainer__overfit=True,
        trainer__max_steps=120,
        trainer__log_every=1,
        augmentation__strength=0.5,
        loss__exclude_same_frame=True,
    )
    Trainer(task, task.settings.trainer, tmp_path).run()
    log = read_log(tmp_path / "log.jsonl")
    for radius in ("0.2m", "0.6m"):
        assert log[0][f"smooth_ap_{radius}"] < HIGH_AP / 2
        assert log[119][f"smooth_ap_{radius}"] > HIGH_AP
    assert load_file(tmp_path / "best.safetensors").keys() == task.network.state_dict().keys()


def test_batches_depend_on_epoch_and_number_only(rooms):
    task = make_task(rooms)
    other = make_task(rooms)
    other.load_batch(3, 0)
    a, b, c = task.load_batch(1, 1), other.load_batch(1, 1), task.load_batch(2, 1)
    assert torch.equal(a.images, b.images)
    assert torch.equal(a.landmarks.patches, b.landmarks.patches)
    assert not torch.equal(a.images, c.images)
    assert task.num_batches(0) == 2


def test_frames_are_augmented_and_zoomed_as_set(rooms):
    plain = make_task(rooms, augmentation__strength=0.0, zoom__probability=0.0)
    batch = plain.load_batch(0, 0)
    scene_batch = OverlapBatchSampler([rooms.overlap(0), rooms.overlap(1)], plain.settings.batches).epoch(0)[0]
    scene = rooms.scene(scene_batch.scene)
    assert torch.equal(batch.images, scene.image_tensor(scene_batch.frames))
    assert torch.equal(batch.geometry.points_world, scene.geometry(scene_batch.frames).points_world)
    zoomed = make_task(rooms, augmentation__strength=0.0, zoom__probability=1.0, zoom__min_scale=0.5).load_batch(0, 0)
    assert (zoomed.geometry.intrinsics[:, 0] > batch.geometry.intrinsics[:, 0]).all()
    augmented = make_task(rooms, zoom__probability=0.0).load_batch(0, 0)
    assert not torch.equal(augmented.images, batch.images)
    assert torch.equal(augmented.geometry.depth, batch.geometry.depth)


def test_the_network_loses_sight_of_depth_and_the_labels_do_not(rooms):
    batch = make_task(rooms, depth_noise__dropout=1.0).load_batch(0, 0)
    assert not batch.seen_depth.any()
    assert batch.geometry.depth.all()
    quiet = {"dropout": 0.0, "noise_probability": 0.0, "holes_probability": 0.0, "range_probability": 0.0}
    truth = make_task(rooms, **{f"depth_noise__{name}": value for name, value in quiet.items()}).load_batch(0, 0)
    assert torch.equal(truth.seen_depth, truth.geometry.depth)


@pytest.mark.parametrize("same_frame", [False, True])
def test_loss_is_one_minus_smooth_ap_of_the_pairs(rooms, same_frame):
    task = make_task(rooms, loss__exclude_same_frame=not same_frame, loss__universes=[2.0, 4.0], loss__weights=[3, 1])
    batch = task.load_batch(0, 0)
    loss, scalars = task.loss(batch)
    expected = [naive_loss(task, batch, index, universe, same_frame) for index, universe in enumerate((2.0, 4.0))]
    assert float(loss.detach()) == pytest.approx((3 * expected[0] + expected[1]) / 4, abs=TOLERANCE)
    assert scalars["smooth_ap_0.2m"] == pytest.approx(1 - expected[0], abs=TOLERANCE)


def naive_loss(task, batch, index, universe, same_frame):
    """By the definition, pair for pair."""
    with torch.no_grad():
        features = task.network(batch.images, None, None)[index].flatten(0, 2)
    points, patches = batch.geometry.points_world.reshape(-1, 3), batch.landmarks.patches
    per_frame = batch.geometry.points_world.shape[1]
    distances = (points[patches][:, None] - points).norm(dim=2)
    columns = torch.arange(len(points))
    in_universe = (distances < universe) & (columns != patches[:, None])
    if not same_frame:
        in_universe &= columns // per_frame != (patches // per_frame)[:, None]
    scores = features[patches] @ features.T
    is_positive = (distances < RADII[index]) & in_universe
    return 1 - float(naive_smooth_ap(scores[in_universe].double(), is_positive[in_universe]))


def test_a_landmark_may_be_the_mean_of_its_positives(rooms):
    patch, mean = (make_task(rooms, loss__landmark_embedding=name) for name in ("patch", "mean"))
    mean.network.load_state_dict(patch.network.state_dict())
    batch = patch.load_batch(0, 0)
    losses = [float(task.loss(batch)[0].detach()) for task in (patch, mean)]
    # positives are nearer to their mean than to one of them
    assert losses[1] < losses[0]


def test_each_landmark_may_have_its_own_ranking(rooms):
    together, apart = (make_task(rooms, loss__ranking=name) for name in ("vectorized", "per-landmark"))
    apart.network.load_state_dict(together.network.state_dict())
    batch = together.load_batch(0, 0)
    assert float(apart.loss(batch)[0].detach()) < float(together.loss(batch)[0].detach())


def test_a_batch_without_landmarks_teaches_nothing(rooms):
    task = make_task(rooms)
    batch = task.load_batch(0, 0)
    nothing = dataclasses.replace(
        batch.landmarks, points_world=torch.zeros(0, 3).double(), patches=torch.zeros(0).long()
    )
    loss, scalars = task.loss(dataclasses.replace(batch, landmarks=nothing))
    loss.backward()
    assert loss.item() == 1
    assert scalars["landmarks"] == 0
    assert not any(p.grad.any() for p in task.network.parameters())


def test_precision_agrees_with_the_protocols(rooms):
    rng = np.random.default_rng(0)
    # few values, so that many are equal
    positives, negatives = (rng.integers(0, 9, size).astype(np.float32) for size in (40, 300))
    chunks = [torch.from_numpy(part) for part in np.array_split(negatives, 3)]
    found = pooled_average_precision([torch.from_numpy(positives[:15]), torch.from_numpy(positives[15:])], chunks)
    assert found == pytest.approx(protocol.average_precision(positives, negatives))
    assert pooled_average_precision([], chunks) is None
    assert pooled_average_precision([torch.tensor([2.0])], [torch.tensor([1.0, 0.0])]) == 1.0


def test_validation_is_the_protocols_number(rooms):
    network, chosen = TinyNetwork(), settings(validation__universe=2.5)
    found = LocusValidation(rooms, chosen.validation, chosen.batches).measure(network, RADII)
    for index, radius in enumerate(RADII):
        tally = RetrievalTally(1)
        for number, batch in enumerate(
            OverlapBatchSampler([rooms.overlap(0), rooms.overlap(1)], chosen.batches).evaluation()
        ):
            add_queries(tally, rooms.scene(batch.scene), batch.frames, number, network, index)
        assert found[f"ap_{radius:g}m"] == pytest.approx(tally.precisions(1).other_frames_vap, abs=TOLERANCE)


def add_queries(tally, scene, frames, number, network, index):
    """The queries of a batch, one after the other, into the protocol's tally."""
    geometry = scene.geometry(frames)
    points = geometry.points_world.reshape(-1, 3).numpy()
    frame_of = np.repeat(np.arange(len(frames)), geometry.points_world.shape[1])
    with torch.no_grad():
        features = network(scene.image_tensor(frames), None, None)[index].flatten(0, 2).numpy()
    # every patch of these rooms has depth
    for query in torch.randperm(len(points), generator=make_generator(0, number))[:40].tolist():
        distances = np.linalg.norm(points - points[query], axis=1)
        rings = np.select([distances < RADII[index], distances < 2.5], [0, 1], default=9).astype(np.int8)
        tally.add(features @ features[query], rings, frame_of != frame_of[query])


class PointNetwork(torch.nn.Module):
    """Knows where a patch is: similarity falls with distance."""

    radii = RADII

    def __init__(self, rooms) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.rooms = rooms

    def forward(self, images, depth, intrinsics):
        for scene in range(len(self.rooms)):
            frames = [self._find(self.rooms.scene(scene), image) for image in images]
            if None not in frames:
                points = self.rooms.scene(scene).geometry(frames).points_world.float()
                # on a sphere, a chord grows with the distance
                lifted = torch.cat([points / 20, (1 - (points / 20).square().sum(-1, keepdim=True)).sqrt()], dim=-1)
                return tuple(lifted.unflatten(1, (8, 10)) for _ in RADII)
        raise AssertionError("unknown images")

    @staticmethod
    def _find(scene, image):
        for frame in range(len(scene)):
            if torch.equal(scene.image_tensor([frame])[0], image):
                return frame
        return None


def test_features_that_know_the_place_are_nearly_perfect(rooms):
    validation = LocusValidation(rooms, settings().validation, settings().batches)
    found = validation.measure(PointNetwork(rooms), RADII)
    assert min(found.values()) > 0.98


def test_the_score_is_of_the_smallest_radius_or_the_mean(rooms):
    task = make_task(rooms, rooms)
    values = task.validate()
    assert task.score_name == "ap_0.2m"
    assert make_task(rooms, validation__score="mean").score_name == "ap_mean"
    assert values["ap_mean"] == pytest.approx((values["ap_0.2m"] + values["ap_0.6m"]) / 2)
    assert make_task(rooms).validate() == {}


def test_sources_are_joined_in_order(rooms):
    third = SceneList([make_room("c", num_frames=3)])
    mixed = MixedScenes([rooms, SceneList([]), third])
    assert [mixed.scene(i).name for i in range(len(mixed))] == ["a", "b", "c"]
    assert mixed.overlap(2).shape == (3, 3)
    with pytest.raises(TrainingError, match="at least one"):
        MixedScenes([])


def test_kappa_comes_from_the_universe():
    pairs = pair_settings((0.2, 0.5, 2.0), LocusSettings().loss)
    assert [pair.kappa for pair in pairs] == pytest.approx([50, 20, 5])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network.radii", [0.6, 0.2]),
        ("network.radii", []),
        ("loss.universes", [-1.0]),
        ("loss.weights", ["a"]),
        ("data.scenes", [3]),
        ("network.kind", "huge"),
        ("trainer.lerning_rate", 1.0),
    ],
)
def test_settings_that_are_refused(key, value):
    with pytest.raises(ConfigError, match=key.rpartition(".")[2]):
        override(LocusSettings(), {key: value})


def test_values_must_be_as_many_as_radii(rooms):
    with pytest.raises(ConfigError, match=r"loss\.weights: expected 1 or 2"):
        make_task(rooms, loss__weights=[1, 2, 3])
    with pytest.raises(ConfigError, match="kappa"):
        make_task(rooms, loss__universes=[0.4])


def test_heads_need_a_backbone(rooms):
    with pytest.raises(ConfigError, match="backbone_weights"):
        locus_networks.make_locus_network(settings(network__kind="heads").network, rooms)


@pytest.mark.parametrize("shape", [TINY_DINO, TINY_DINOV2])
def test_heads_on_a_backbone_are_trained_and_saved(rooms, tmp_path, monkeypatch, shape):
    monkeypatch.setitem(VIT_SHAPES, "dino-vits8", shape)
    save_file(PublishedVit(shape).state_dict(), tmp_path / "vit.safetensors")
    chosen = settings(
        network__kind="heads",
        network__backbone="dino-vits8",
        network__backbone_weights=str(tmp_path / "vit.safetensors"),
        trainer__max_steps=1,
    )
    network = locus_networks.make_locus_network(chosen.network, rooms)
    before = network.encoder.heads[0][0].weight.detach().clone()
    Trainer(LocusTask(network, rooms, rooms, chosen), chosen.trainer, tmp_path / "run").run()
    assert not torch.equal(network.encoder.heads[0][0].weight, before)
    # the frozen backbone is no part of the state, but of what is shipped
    assert not any("backbone" in name for name in load_file(tmp_path / "run" / "last.safetensors"))
    images = rooms.scene(0).image_tensor([0, 1])
    loaded = locus_networks.BackboneHeads(load_locus(tmp_path / "run" / "best.safetensors"))
    with torch.no_grad():
        found, expected = loaded(images, None, None), network(images, None, None)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == (2, 8, 10, 64)
        assert torch.equal(a, b)
