# SPDX-License-Identifier: Apache-2.0
"""Tests of what the text network learns before it meets images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from xover_core.networks.light_text_network import LightTextNetwork
from xover_core.training.text_pretraining import (
    TEXT_PREFIX,
    TextPretrainingNetwork,
    TextPretrainingTask,
)
from xover_core.training.text_settings import TextPretrainingSettings

SETTINGS = TextPretrainingSettings(num_apartments=2, num_validation=1, batch_size=24, typos=0.0)


@pytest.fixture(scope="module")
def task() -> TextPretrainingTask:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    text = LightTextNetwork(width=32, heads=2, layers=1, out_dim=32, dropout=0.0)
    return TextPretrainingTask(TextPretrainingNetwork(text), SETTINGS)


def test_batches_depend_on_their_number_alone(task: TextPretrainingTask) -> None:
    first, again, other = (task.load_batch(0, number) for number in (3, 3, 4))
    assert torch.equal(first.words, again.words)
    assert not torch.equal(first.classes, other.classes)


def test_classes_come_equally_often_and_some_have_no_color(task: TextPretrainingTask) -> None:
    classes, colors = zip(*((b.classes, b.colors) for b in (task.load_batch(0, i) for i in range(20))), strict=True)
    counts = torch.cat(classes).bincount()
    assert (counts > 0).sum() > 25
    # 480 draws from about 40 classes: 12 each, and boxes, of which a home has most, hardly more
    assert counts.max() < 30
    assert torch.cat(colors).min() == -1 < torch.cat(colors).max()


def test_learns_one_batch_by_heart(task: TextPretrainingTask) -> None:
    batch = task.load_batch(0, 0)
    optimizer = torch.optim.Adam(task.network.parameters(), lr=1e-2)
    before = task.loss(batch)[0].item()
    for _ in range(25):
        optimizer.zero_grad()
        task.loss(batch)[0].backward()
        optimizer.step()
    assert task.loss(batch)[0].item() < before / 2


def test_a_batch_without_colors_has_a_loss(task: TextPretrainingTask) -> None:
    batch = task.load_batch(0, 1)
    loss, scalars = task.loss(replace(batch, colors=torch.full_like(batch.colors, -1)))
    assert loss.isfinite()
    assert scalars["colors"] == 0.0


def test_scores_are_shares_and_training_goes_on(task: TextPretrainingTask) -> None:
    scores = task.validate()
    assert set(scores) == {"class_accuracy", "class_accuracy_new_words"}
    assert all(0.0 <= score <= 1.0 for score in scores.values())
    assert task.network.training


def test_saved_weights_are_the_text_network(task: TextPretrainingTask, tmp_path: Path) -> None:
    task.save_weights(tmp_path / "text.safetensors")
    state = load_file(tmp_path / "text.safetensors")
    assert all(name.startswith(TEXT_PREFIX) for name in state)
    loaded = LightTextNetwork(width=32, heads=2, layers=1, out_dim=32)
    loaded.load_state_dict({name.removeprefix(TEXT_PREFIX): value for name, value in state.items()})
    words = task.load_batch(0, 0).words
    with torch.no_grad():
        assert torch.equal(loaded.eval()(words), task.network.text.eval()(words))
