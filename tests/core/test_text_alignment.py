# SPDX-License-Identifier: Apache-2.0
"""Tests of the text stage: only text is trained, what it is compared with stands still, and it learns."""

from __future__ import annotations

import pytest
import torch
from room_cases import make_features, place_features, tiny_light, without

from xover_core.config_io import override
from xover_core.inference.light_checkpoint import load_light, save_light
from xover_core.training.crossover_settings import CrossoverSettings
from xover_core.training.text_alignment import TextAlignmentTask

# the loss after a few steps on one batch, as a share of that at the start
MAX_SHARE_LEFT = 0.7
NORM_TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make_task(tmp_path):
    def make(*, start=(), **missing: bool):
        scans = [without(make_features(place, scan), **missing) for place in range(4) for scan in range(2)]
        places = place_features(tmp_path, scans)
        values = {"stage": "text", "batches.num_scenes": 4, "batches.typos": 0.0, "data.start": list(start)}
        return TextAlignmentTask(tiny_light(), places, places, override(CrossoverSettings(), values))

    return make


def test_only_text_is_trained(make_task):
    task = make_task()
    model = task.network.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD((p for p in task.network.parameters() if p.requires_grad), 1.0)
    task.network.train()
    loss, _ = task.loss(task.load_batch(0, 0))
    loss.backward()
    optimizer.step()
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"text", "text_head"}


def test_one_batch_is_learned_by_heart(make_task):
    task = make_task()
    optimizer = torch.optim.Adam((p for p in task.network.parameters() if p.requires_grad), 2e-3)
    batch = task.load_batch(0, 0)
    task.network.train()
    losses = []
    for _ in range(25):
        loss, _ = task.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < MAX_SHARE_LEFT * losses[0]


def test_targets_have_norm_one_or_are_missing(make_task):
    task = make_task(plan=True)
    batch = task.load_batch(0, 0)
    norms = batch.targets.norm(dim=2)
    assert (norms[:, [0, 2, 3]] - 1).abs().max() < NORM_TOLERANCE
    assert not norms[:, 1].any()
    assert torch.isfinite(task.loss(batch)[0])


def test_batches_depend_on_epoch_and_number_alone(make_task):
    first, again = make_task().load_batch(1, 2), make_task().load_batch(1, 2)
    assert torch.equal(first.words, again.words)
    assert torch.equal(first.targets, again.targets)


def test_recalls_are_shares(make_task):
    found = make_task().validate()
    assert set(found) >= {"point_cloud_text_top1", "floorplan_text_top10", "recall_mean"}
    assert all(0 <= value <= 1 for value in found.values())
    assert found["image_text_top10"] == 1


def test_it_starts_from_weights_and_saves_the_whole_network(make_task, tmp_path):
    start = tmp_path / "start.safetensors"
    start.write_bytes(save_light(tiny_light(seed=5)))
    task = make_task(start=[str(start)])
    task.save_weights(tmp_path / "saved.safetensors")
    expected = load_light(start.read_bytes(), "start").state_dict()
    saved = load_light((tmp_path / "saved.safetensors").read_bytes(), "saved").state_dict()
    assert all(torch.equal(saved[name], value) for name, value in expected.items())
