# SPDX-License-Identifier: Apache-2.0
"""The training engine on a small regression: repeatable, resumable, stoppable, in one process and in two."""

from __future__ import annotations

import json
import logging
import math
import os
import signal

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from toy_training import BATCHES_PER_EPOCH, ToySettings, ToyTask, checkpoint_tensors, toy_settings, train

from xover_core.config_io import load_settings_over
from xover_core.errors import ModelError, TrainingError
from xover_core.training.processes import Processes
from xover_core.training.run_folder import read_log
from xover_core.training.trainer import StopReason, Trainer

# Two processes add the gradients of two batches in another order than one process does.
SUM_TOLERANCE = 1e-6


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert a
    for key, value in a.items():
        assert torch.equal(value, b[key]), key


def test_it_learns_and_keeps_what_a_run_needs(tmp_path):
    result = train(ToyTask(toy_settings(max_steps=60, validate_every=10)), tmp_path)
    assert result.reason is StopReason.FINISHED
    assert result.step == 60
    log = read_log(tmp_path / "log.jsonl")
    losses = [line["loss"] for line in log if "loss" in line]
    scores = {line["step"]: line["validation/score"] for line in log if "validation/score" in line}
    assert losses[-1] < losses[0] / 2
    assert list(scores) == [10, 20, 30, 40, 50, 60]
    assert result.best_score == max(scores.values()) == scores[result.best_step]
    assert load_settings_over(tmp_path / "settings.yaml", ToySettings()) == toy_settings(
        max_steps=60, validate_every=10
    )
    assert load_file(tmp_path / "best.safetensors").keys() == ToyTask(toy_settings()).network.state_dict().keys()
    assert not list(tmp_path.glob("*.part*"))


@pytest.mark.parametrize("threads", [0, 3])
def test_the_same_seed_gives_the_same_checkpoint_tensors(tmp_path, threads):
    for name, loader_threads in (("a", 0), ("b", threads)):
        train(ToyTask(toy_settings(loader_threads=loader_threads)), tmp_path / name)
    assert_same(checkpoint_tensors(tmp_path / "a", ""), checkpoint_tensors(tmp_path / "b", ""))
    train(ToyTask(toy_settings(seed=1)), tmp_path / "c")
    same, other = (checkpoint_tensors(tmp_path / name)["network.main.0.weight"] for name in ("a", "c"))
    assert not torch.equal(same, other)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"accumulation": 3, "average_decay": 0.9, "optimizer": "adam", "weight_decay": 0.1},
        {"precision": "bf16", "schedule": "constant"},
    ],
)
def test_a_resumed_run_gives_the_same_weights_to_the_bit(tmp_path, values, monkeypatch):
    settings = toy_settings(**values)
    train(ToyTask(settings), tmp_path / "whole")
    stopped = ToyTask(settings)
    monkeypatch.setattr(stopped, "loss", interrupt_after(stopped, 7))
    first = train(stopped, tmp_path / "parts")
    assert first.reason is StopReason.INTERRUPTED
    assert 0 < first.step < 12
    second = train(ToyTask(settings), tmp_path / "parts", resume=True)
    assert second.reason is StopReason.FINISHED
    assert_same(checkpoint_tensors(tmp_path / "whole", ""), checkpoint_tensors(tmp_path / "parts", ""))
    assert_same(load_file(tmp_path / "whole" / "best.safetensors"), load_file(tmp_path / "parts" / "best.safetensors"))


def interrupt_after(task: ToyTask, num_batches: int):
    """A loss that sends Ctrl-C to this process with one of its batches."""
    loss, calls = task.loss, iter(range(10**6))

    def interrupting(batch):
        if next(calls) == num_batches:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(batch)

    return interrupting


def test_resuming_forgets_what_was_logged_beyond_the_checkpoint(tmp_path):
    settings = toy_settings(max_minutes=1e-9)
    train(ToyTask(settings), tmp_path)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(json.dumps({"step": 3, "loss": 99.0}) + '\n{"step": 4, "lo')
    train(ToyTask(toy_settings()), tmp_path, resume=True)
    log = read_log(tmp_path / "log.jsonl")
    assert all(line.get("loss") != 99.0 for line in log)
    assert [line["step"] for line in log if "loss" in line] == [2, 4, 6, 8, 10, 12]


def test_the_time_limit_ends_with_a_validation(tmp_path):
    result = train(ToyTask(toy_settings(max_minutes=1e-9)), tmp_path)
    assert result.reason is StopReason.TIME
    assert (result.step, result.best_step) == (0, 0)
    assert (tmp_path / "best.safetensors").exists()


def test_overfitting_sees_one_batch_only(tmp_path):
    task = ToyTask(toy_settings(overfit=True, loader_threads=0))
    train(task, tmp_path)
    assert set(task.loaded) == {(0, 0)}


def test_batches_are_those_of_all_epochs_in_order(tmp_path):
    task = ToyTask(toy_settings(max_steps=0, num_epochs=2, accumulation=5, loader_threads=0))
    assert train(task, tmp_path).step == 2
    assert task.loaded == [(epoch, number) for epoch in range(2) for number in range(BATCHES_PER_EPOCH)]


def test_patience_ends_a_run_that_does_not_get_better(tmp_path):
    task = ToyTask(toy_settings(max_steps=40, patience=2))
    task.scores = [0.1, 0.3, math.nan, 0.2, 0.9]
    result = train(task, tmp_path)
    assert result.reason is StopReason.PATIENCE
    assert (result.step, result.best_step, result.best_score) == (16, 8, 0.3)


def test_without_a_score_the_newest_weights_are_kept(tmp_path):
    task = ToyTask(toy_settings())
    task.scores = []
    result = train(task, tmp_path)
    assert (result.best_step, result.best_score) == (12, None)
    saved = load_file(tmp_path / "best.safetensors")
    assert_same({k: v for k, v in saved.items() if "frozen" not in k}, {
        key.removeprefix("network."): value for key, value in checkpoint_tensors(tmp_path).items()
    })  # fmt: skip


def test_the_average_is_what_is_saved(tmp_path):
    task = ToyTask(toy_settings(average_decay=0.99, validate_every=0))
    train(task, tmp_path)
    saved = load_file(tmp_path / "best.safetensors")["main.0.weight"]
    assert torch.equal(saved, checkpoint_tensors(tmp_path, "average.")["average.main.0.weight"])
    assert not torch.equal(saved, checkpoint_tensors(tmp_path)["network.main.0.weight"])


def test_a_loss_that_is_no_number_names_step_and_batch(tmp_path):
    task = ToyTask(toy_settings())
    loss = task.loss
    task.loss = lambda batch: (loss(batch)[0] * (math.nan if batch[0] == 3 else 1.0), {})
    with pytest.raises(TrainingError, match=r"step 3, epoch 0, batch 3: the loss is nan"):
        train(task, tmp_path)


def test_a_gradient_that_is_no_number_moves_nothing(tmp_path):
    task = ToyTask(toy_settings())
    loss = task.loss
    # the root's slope at zero is infinite, its value is not
    task.loss = lambda batch: (loss(batch)[0] + (task.network["main"][0].weight * 0).sum().sqrt(), {})
    with pytest.raises(TrainingError, match=r"step 0, epoch 0, batch 0: the gradient"):
        train(task, tmp_path)
    assert all(parameter.isfinite().all() for parameter in task.network.parameters())


def test_errors_of_loading_come_out(tmp_path):
    task = ToyTask(toy_settings(loader_threads=2))

    def broken(epoch, number):
        raise TrainingError("broken scene")

    task.load_batch = broken
    with pytest.raises(TrainingError, match="broken scene"):
        train(task, tmp_path)


def test_a_run_that_broke_off_before_its_first_checkpoint_can_be_started_again(tmp_path):
    broken = ToyTask(toy_settings(log_every=1))
    loss = broken.loss
    broken.loss = lambda batch: (loss(batch)[0] * (math.nan if batch[0] == 2 else 1.0), {})
    with pytest.raises(TrainingError):
        train(broken, tmp_path)
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [1, 2]
    train(ToyTask(toy_settings(max_steps=2, log_every=2)), tmp_path)
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [2, 2]


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    train(ToyTask(toy_settings(max_steps=1)), tmp_path)
    with pytest.raises(TrainingError, match="holds a run already"):
        train(ToyTask(toy_settings(max_steps=1)), tmp_path)


def test_resuming_needs_a_checkpoint_of_the_same_run(tmp_path):
    with pytest.raises(TrainingError, match="to resume from"):
        train(ToyTask(toy_settings()), tmp_path, resume=True)
    train(ToyTask(toy_settings(max_steps=2)), tmp_path)
    with pytest.raises(TrainingError, match=r"trainer\.learning_rate was 0\.01 and is 0\.5"):
        train(ToyTask(toy_settings(max_steps=2, learning_rate=0.5)), tmp_path, resume=True)
    other = ToyTask(toy_settings(max_steps=2))
    other.network["spare"] = torch.nn.Linear(4, 2, bias=False)
    with pytest.raises(TrainingError, match=r"spare\.bias"):
        train(other, tmp_path, resume=True)
    (tmp_path / "last.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match="cannot be read"):
        train(ToyTask(toy_settings(max_steps=2)), tmp_path, resume=True)


class TwoProcesses(Processes):
    """Of which only one is there."""

    def share_weights(self, network: torch.nn.Module) -> None:
        pass


def test_resuming_needs_as_many_processes(tmp_path):
    train(ToyTask(toy_settings(max_steps=2)), tmp_path)
    alone = ToyTask(toy_settings(max_steps=2))
    trainer = Trainer(
        alone, alone.settings.trainer, tmp_path, processes=TwoProcesses(device=torch.device("cpu"), size=2)
    )
    with pytest.raises(TrainingError, match="number of processes was 1 and is 2"):
        trainer.run(resume=True)


def test_what_cannot_be_trained_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="needs a GPU"):
        train(ToyTask(toy_settings(precision="fp16", device="cpu")), tmp_path)
    task = ToyTask(toy_settings())
    task.network.requires_grad_(False)
    with pytest.raises(TrainingError, match="require a gradient"):
        train(task, tmp_path)
    task = ToyTask(toy_settings())
    task.num_batches = lambda epoch: 0
    with pytest.raises(TrainingError, match="at least one batch"):
        train(task, tmp_path)


def test_progress_is_told_in_lines_where_nobody_watches(tmp_path, caplog):
    caplog.set_level(logging.INFO, "xover_core")
    train(ToyTask(toy_settings(report_seconds=0)), tmp_path)
    messages = [record.getMessage() for record in caplog.records]
    assert any(message.startswith("step 12 of 12: loss") for message in messages)
    assert any(message.startswith("validation after step 12: score") for message in messages)
