# SPDX-License-Identifier: Apache-2.0
"""From the losses of some batches to one step of the weights: precision, accumulation, clipping, averaging."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from xover_core.errors import TrainingError
from xover_core.training.processes import Processes
from xover_core.training.training_settings import TrainerSettings
from xover_core.training.training_state import TrainedParts
from xover_core.training.weight_average import WeightAverage

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Optimization:
    """Optimizer, gradient scaler and average of one network."""

    def __init__(self, network: nn.Module, settings: TrainerSettings, processes: Processes) -> None:
        """Prepare for a network that is on its device.

        Raises:
            TrainingError: it has nothing to train, or the precision is not possible on this device.
        """
        if settings.precision == "fp16" and processes.device.type != "cuda":
            raise TrainingError("trainer.precision fp16: needs a GPU, and this run is on the CPU; use off or bf16.")
        self._settings = settings
        self._processes = processes
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        if not self._parameters:
            raise TrainingError("network: expected parameters that require a gradient, found none.")
        self.parts = TrainedParts(
            network=network,
            average=WeightAverage(network, settings.average_decay),
            optimizer=_make_optimizer(self._parameters, settings),
            scaler=torch.amp.GradScaler(processes.device.type, enabled=settings.precision == "fp16"),
        )

    def precision(self) -> AbstractContextManager[None]:
        """Context in which losses are computed."""
        dtype = _DTYPES.get(self._settings.precision)
        return torch.autocast(self._processes.device.type, dtype=dtype, enabled=dtype is not None)

    def add_gradient(self, loss: Tensor) -> None:
        """Backward pass of one batch of a step."""
        self.parts.scaler.scale(loss / self._settings.accumulation).backward()  # type: ignore[no-untyped-call]

    def step(self, step: int, rate: float) -> float:
        """Move the weights.

        Args:
            step: counted from 0.
            rate: learning rate.

        Returns:
            Norm of the gradient of all processes before clipping; not finite when it is wrong, and then the weights
            have not moved.
        """
        parts, limit = self.parts, self._settings.max_gradient_norm
        for group in parts.optimizer.param_groups:
            group["lr"] = rate
        self._processes.average_gradients(self._parameters)
        parts.scaler.unscale_(parts.optimizer)
        norm = float(nn.utils.clip_grad_norm_(self._parameters, limit or torch.inf))
        if parts.scaler.is_enabled() or torch.isfinite(torch.tensor(norm)):
            # a scaler leaves out steps whose half-precision gradients have overflowed, and then scales less
            parts.scaler.step(parts.optimizer)
            parts.scaler.update()
            parts.average.update(step)
        parts.optimizer.zero_grad(set_to_none=True)
        return norm


def _make_optimizer(parameters: list[nn.Parameter], settings: TrainerSettings) -> torch.optim.Optimizer:
    """Biases, norms and other vectors do not decay."""
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind([group for group in groups if group["params"]], lr=settings.learning_rate)
