# SPDX-License-Identifier: Apache-2.0
"""Parts of the training engine: curves, learning rate, average of weights, devices; and training in other processes."""

from __future__ import annotations

import itertools
import json
import logging
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
from toy_training import ToySettings, ToyTask, checkpoint_tensors, toy_settings, train

from xover_core.config_io import dump_settings, override
from xover_core.errors import TrainingError
from xover_core.training.learning_rate import learning_rate_at
from xover_core.training.processes import Processes
from xover_core.training.run_folder import read_log
from xover_core.training.weight_average import WeightAverage

# Two processes add the gradients of two batches in another order than one process does.
SUM_TOLERANCE = 1e-6
# Two processes that import torch on a busy machine take a minute; only one that hangs takes longer than this, s.
MAX_SECONDS = 300


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_process_leaves_a_checkpoint_to_resume(tmp_path, number):
    settings = toy_settings(max_steps=10**6, validate_every=0, report_seconds=0)
    process = start_process(tmp_path, settings)
    try:
        wait_for_steps(tmp_path / "run" / "log.jsonl", process)
        process.send_signal(number)
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
        assert [process.wait(MAX_SECONDS) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    train(ToyTask(override(settings, {"trainer.accumulation": 2})), tmp_path / "one")
    parameters = [f"network.{name}" for name, _ in ToyTask(settings).network.named_parameters() if "frozen" not in name]
    two, one = checkpoint_tensors(tmp_path / "two" / "run"), checkpoint_tensors(tmp_path / "one")
    for name in parameters:
        torch.testing.assert_close(two[name], one[name], atol=SUM_TOLERANCE, rtol=0)
    gradients = [
        read_log(folder / "log.jsonl")[0]["gradient_norm"] for folder in (tmp_path / "two/run", tmp_path / "one")
    ]
    assert gradients[0] == pytest.approx(gradients[1], rel=SUM_TOLERANCE)


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
