# SPDX-License-Identifier: Apache-2.0
"""A small regression for the tests of the training engine; run as a script, it is one training process."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xover_core.config import Settings, setting
from xover_core.config_io import load_settings_over, override
from xover_core.training.processes import Processes
from xover_core.training.trainer import Trainer, TrainingResult
from xover_core.training.training_settings import TrainerSettings
from xover_core.training.training_task import make_generator, seed_everything

BATCHES_PER_EPOCH = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ToySettings(Settings):
    """A tree as a real task has it."""

    dropout: float = setting(0.2, "share of hidden units", minimum=0.0, maximum=1.0)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)


class ToyTask:
    """Learn a fixed linear map; every second batch has no use for the network's spare part."""

    score_name = "score"

    def __init__(self, settings: ToySettings) -> None:
        seed_everything(settings.trainer.seed)
        layers = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(settings.dropout), nn.Linear(16, 2))
        self.network = nn.ModuleDict({"main": layers, "spare": nn.Linear(4, 2), "frozen": nn.Linear(1, 1)})
        self.network["frozen"].requires_grad_(False)
        self.settings = settings
        self.loaded: list[tuple[int, int]] = []
        self.scores: list[float] | None = None

    def num_batches(self, epoch: int) -> int:
        return BATCHES_PER_EPOCH

    def load_batch(self, epoch: int, number: int) -> tuple[int, Tensor]:
        self.loaded.append((epoch, number))
        return number, torch.randn(8, 4, generator=make_generator(1, epoch, number))

    def loss(self, batch: tuple[int, Tensor]) -> tuple[Tensor, dict[str, float]]:
        number, inputs = batch
        outputs = self.network["main"](inputs)
        if number % 2:
            outputs = outputs + self.network["spare"](inputs)
        loss = (outputs.float() - inputs[:, :2]).square().mean()
        return loss, {"size": float(len(inputs))}

    def validate(self) -> dict[str, float]:
        if self.scores is not None:
            return {"score": self.scores.pop(0)} if self.scores else {}
        inputs = torch.randn(32, 4, generator=make_generator(2))
        with torch.no_grad():
            return {"score": -float((self.network["main"](inputs) - inputs[:, :2]).square().mean())}

    def save_weights(self, path: Path) -> None:
        save_file(dict(self.network.state_dict()), path)


def toy_settings(**values: object) -> ToySettings:
    base = {"max_steps": 12, "validate_every": 4, "log_every": 2, "learning_rate": 0.01, "warmup_steps": 2}
    return override(ToySettings(), {f"trainer.{key}": value for key, value in {**base, **values}.items()})


def checkpoint_tensors(folder: Path, prefix: str = "network.") -> dict[str, Tensor]:
    """Tensors of the last checkpoint."""
    return {key: value for key, value in load_file(folder / "last.safetensors").items() if key.startswith(prefix)}


def train(task: ToyTask, folder: Path, *, resume: bool = False) -> TrainingResult:
    """Train as the command line does, alone or as one of torchrun's processes."""
    processes = Processes.join(task.settings.trainer.device)
    try:
        return Trainer(task, task.settings.trainer, folder, processes=processes).run(resume=resume)
    finally:
        processes.leave()


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(ToyTask(load_settings_over(Path(sys.argv[1]), ToySettings())), Path(sys.argv[2]))
