# SPDX-License-Identifier: Apache-2.0
"""The processes of one run, started by torchrun or alone: shared gradients, flags and scores.

Gradients are averaged in one piece after the backward pass, not by torch's DistributedDataParallel: so a task may call
any part of its network any number of times, and leave out parts that a batch has no data for.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor, nn

from xover_core.errors import TrainingError

# The main process validates alone while the others wait.
_TIMEOUT = datetime.timedelta(hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """This process and how many there are; does nothing when it is alone.

    Attributes:
        device: of this process.
        rank: 0 is the main process, which validates and writes.
        size: number of processes.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: str) -> Processes:
        """Join the others as torchrun's environment says; alone without it.

        Args:
            device: "auto", "cpu" or "cuda".

        Raises:
            TrainingError: a GPU is asked for and there is none for this process.
        """
        size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        chosen = _choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
        if size > 1 and not torch.distributed.is_initialized():
            backend = "nccl" if chosen.type == "cuda" else "gloo"
            torch.distributed.init_process_group(backend, timeout=_TIMEOUT)
        return cls(device=chosen, rank=rank, size=size)

    @property
    def is_main(self) -> bool:
        """Whether this process validates and writes."""
        return self.rank == 0

    def leave(self) -> None:
        """End the connection to the others."""
        if self.size > 1:
            torch.distributed.destroy_process_group()

    def share_weights(self, network: nn.Module) -> None:
        """Give the main process's weights to all."""
        if self.size > 1:
            for tensor in network.state_dict().values():
                torch.distributed.broadcast(tensor, src=0)

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace gradients by their mean over processes; None counts as zero, and stays where all have None."""
        if self.size == 1:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        has_gradient = torch.tensor([p.grad is not None for p in parameters], device=self.device, dtype=torch.float32)
        joined = torch.cat([has_gradient, *(g.float().flatten() for g in gradients)])
        torch.distributed.all_reduce(joined)
        counts, *means = torch.split(joined, [len(parameters), *(p.numel() for p in parameters)])
        for parameter, count, mean in zip(parameters, counts.tolist(), means, strict=True):
            parameter.grad = (mean / self.size).to(parameter.dtype).view_as(parameter) if count else None

    def largest(self, value: float) -> float:
        """Largest of all processes' values."""
        if self.size == 1:
            return value
        shared = self._tensor(value)
        torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
        return float(shared)

    def from_main(self, value: float) -> float:
        """The main process's value."""
        if self.size == 1:
            return value
        shared = self._tensor(value)
        torch.distributed.broadcast(shared, src=0)
        return float(shared)

    def _tensor(self, value: float) -> Tensor:
        return torch.tensor(value, device=self.device, dtype=torch.float64)


def _choose_device(name: str, local_rank: int) -> torch.device:
    """A device by its setting."""
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not num_gpus):
        return torch.device("cpu")
    if local_rank >= num_gpus:
        raise TrainingError(
            f"device {name}: process {local_rank} of this machine found {num_gpus} GPUs; start as many processes as"
            " there are GPUs, or set trainer.device to cpu."
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
