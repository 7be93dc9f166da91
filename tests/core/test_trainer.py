# SPDX-License-Identifier: Apache-2.0
"""The training engine on a small regression: repeatable, resumable, stoppable, in one process and in two."""

from __future__ import annotations

import itertools
import json
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest
import torch
import toy_training
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from toy_training import BATCHES_PER_EPOCH, ToySettings, ToyTask, train

from xover_core.config_io import dump_settings, load_settings_over, override
from xover_core.errors import ModelError, TrainingError
from xover_core.training.learning_rate import learning_rate_at
from xover_core.training.processes import Processes
from xover_core.training.run_folder import read_log
from xover_core.training.trainer import StopReason, Trainer
from xover_core.training.weight_average import WeightAverage

# Two processes add the gradients of two batches in another order than one process does.
SUM_TOLERANCE = 1e-6


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def toy_settings(**values: object) -> ToySettings:
    base = {"max_steps": 12, "validate_every": 4, "log_every": 2, "learning_rate": 0.01, "warmup_steps": 2}
    return override(ToySettings(), {f"trainer.{key}": value for key, value in {**base, **values}.items()})


def weights(folder: Path, prefix: str = "network.") -> dict[str, Tensor]:
    """Tensors of the last checkpoint."""
    return {key: value for key, value in load_file(folder / "last.safetensors").items() if key.startswith(prefix)}


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
def test_the_same_seed_gives_the_same_weights(tmp_path, threads):
    for name, loader_threads in (("a", 0), ("b", threads)):
        train(ToyTask(toy_settings(loader_threads=loader_threads)), tmp_path / name)
    assert_same(weights(tmp_path / "a", ""), weights(tmp_path / "b", ""))
    train(ToyTask(toy_settings(seed=1)), tmp_path / "c")
    assert not torch.equal(
        weights(tmp_path / "a")["network.main.0.weight"], weights(tmp_path / "c")["network.main.0.weight"]
    )


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
    assert_same(weights(tmp_path / "whole", ""), weights(tmp_path / "parts", ""))
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


def test_an_interrupted_process_leaves_a_checkpoint_to_resume(tmp_path):
    settings = toy_settings(max_steps=10**6, validate_every=0, report_seconds=0)
    process = start_process(tmp_path, settings)
    try:
        wait_for_steps(tmp_path / "run" / "log.jsonl", process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
    with safe_open(tmp_path / "run" / "last.safetensors", "pt") as file:
        step = json.loads(file.metadata()["progress"])["step"]
    assert step >= 2
    task = ToyTask(override(settings, {"trainer.max_minutes": 1e-9}))
    assert train(task, tmp_path / "run", resume=True).step == step


def start_process(folder: Path, settings: ToySettings, **environment: str) -> subprocess.Popen:
    """Training in a process of its own."""
    (folder / "toy.yaml").write_text(dump_settings(settings))
    command = [sys.executable, toy_training.__file__, str(folder / "toy.yaml"), str(folder / "run")]
    return subprocess.Popen(command, env={**os.environ, **environment})


def wait_for_steps(log: Path, process: subprocess.Popen) -> None:
    """Until the log has a line."""
    pause = threading.Event()
    while not (log.exists() and log.read_text()):
        assert process.poll() is None
        pause.wait(0.05)


def test_two_processes_learn_what_one_learns_with_twice_the_batches(tmp_path):
    """Both see the same batches with the same random numbers, dropout included."""
    (tmp_path / "two").mkdir()
    settings = toy_settings(max_steps=4)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    processes = [start_process(tmp_path / "two", settings, **address, RANK=str(rank)) for rank in range(2)]
    try:
        assert [process.wait(60) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    train(ToyTask(override(settings, {"trainer.accumulation": 2})), tmp_path / "one")
    parameters = [f"network.{name}" for name, _ in ToyTask(settings).network.named_parameters() if "frozen" not in name]
    two, one = weights(tmp_path / "two" / "run"), weights(tmp_path / "one")
    for name in parameters:
        torch.testing.assert_close(two[name], one[name], atol=SUM_TOLERANCE, rtol=0)
    gradients = [
        read_log(folder / "log.jsonl")[0]["gradient_norm"] for folder in (tmp_path / "two/run", tmp_path / "one")
    ]
    assert gradients[0] == pytest.approx(gradients[1], rel=SUM_TOLERANCE)


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
        key.removeprefix("network."): value for key, value in weights(tmp_path).items()
    })  # fmt: skip


def test_the_average_is_what_is_saved(tmp_path):
    task = ToyTask(toy_settings(average_decay=0.99, validate_every=0))
    train(task, tmp_path)
    saved = load_file(tmp_path / "best.safetensors")["main.0.weight"]
    assert torch.equal(saved, weights(tmp_path, "average.")["average.main.0.weight"])
    assert not torch.equal(saved, weights(tmp_path)["network.main.0.weight"])


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


class FakeCurves:
    """TensorBoard's writer."""

    made: list[FakeCurves] = []  # noqa: RUF012

    def __init__(self, folder: str, purge_step: int) -> None:
        self.purge_step = purge_step
        self.points: list[tuple[str, int]] = []
        self.is_closed = False
        self.made.append(self)

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.points.append((tag, global_step))

    def close(self) -> None:
        self.is_closed = True


def test_tensorboard_gets_what_the_log_gets(tmp_path, monkeypatch):
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeCurves
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(FakeCurves, "made", [])
    train(ToyTask(toy_settings(max_minutes=1e-9)), tmp_path)
    train(ToyTask(toy_settings()), tmp_path, resume=True)
    first, second = FakeCurves.made
    assert (first.points, first.is_closed) == ([("validation/score", 0)], True)
    expected = [(name, line["step"]) for line in read_log(tmp_path / "log.jsonl") for name in line if name != "step"]
    assert first.points + second.points == expected


def test_without_tensorboard_a_message_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    caplog.set_level(logging.INFO, "xover_core")
    train(ToyTask(toy_settings(max_steps=1)), tmp_path)
    assert any("xover[train]" in record.getMessage() for record in caplog.records)


def test_the_learning_rate_rises_and_falls():
    settings = toy_settings(learning_rate=1.0, warmup_steps=4, final_share=0.1).trainer
    rates = [learning_rate_at(step, 24, settings) for step in range(25)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[14] == pytest.approx(0.55)
    assert rates[24] == pytest.approx(0.1)
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    constant = toy_settings(learning_rate=1.0, warmup_steps=4, schedule="constant").trainer
    assert [learning_rate_at(step, 24, constant) for step in (0, 4, 23)] == pytest.approx([0.2, 1, 1])


def test_the_average_follows_and_gives_the_weights_back():
    network = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(network, 0.5)
    start = network.weight.item()
    for step in range(30):
        network.weight.data.fill_(start + 1)
        average.update(step)
    with average.applied():
        assert network.weight.item() == pytest.approx(start + 1)
        network.weight.data.fill_(7.0)
    assert network.weight.item() == start + 1
    assert average.state["weight"].item() == 7.0


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="found 0 GPUs"):
        Processes.join("cuda")
    assert Processes.join("auto").device == torch.device("cpu")
