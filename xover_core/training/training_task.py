# SPDX-License-Identifier: Apache-2.0
"""What the training engine asks of a task, and the engine's random seeds."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from xover_core.config import Settings

BatchT = TypeVar("BatchT")


class TrainingTask(Protocol[BatchT]):
    """A network, data and a loss.

    The engine moves the network to the device; the task moves batches to where the network is.
    """

    @property
    def network(self) -> nn.Module:
        """Trained are its parameters that require a gradient."""
        ...

    @property
    def settings(self) -> Settings:
        """All settings of the run, for the record; a resumed run must have the same."""
        ...

    @property
    def score_name(self) -> str:
        """Key of `validate` that is the score: higher is better."""
        ...

    def num_batches(self, epoch: int) -> int:
        """Batches of an epoch, at least one."""
        ...

    def load_batch(self, epoch: int, number: int) -> BatchT:
        """Make one batch: called ahead of time, from several threads, and only for batches that are used.

        It must depend on nothing but the settings, the epoch and the number, not on global random states: so a run
        can be resumed, and spread over processes, without changing what it learns.
        """
        ...

    def loss(self, batch: BatchT) -> tuple[Tensor, dict[str, float]]:
        """The 0-d loss of a batch, and scalars for the log. Global random states are seeded for each batch."""
        ...

    def validate(self) -> dict[str, float]:
        """Scalars, the score among them, of the network as it is; empty when there is nothing to validate on."""
        ...

    def save_weights(self, path: Path) -> None:
        """Write the network as it is, as it is to be used (safetensors)."""
        ...


def seed_everything(*seeds: int) -> None:
    """Seed the global random generators of python, numpy and torch, on all devices, from non-negative integers."""
    state = np.random.SeedSequence(seeds).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(state[1])
    torch.manual_seed(int(state[2]))


def make_generator(*seeds: int) -> torch.Generator:
    """A generator on the CPU, seeded from non-negative integers."""
    state = np.random.SeedSequence(seeds).generate_state(1, np.uint64)
    # torch takes 64 bits, of which the sign is one
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
