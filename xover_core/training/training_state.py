# SPDX-License-Identifier: Apache-2.0
"""The state of a training run in one safetensors file, from which it goes on as if it had never stopped.

Random states are not among it: each batch seeds the generators anew from its position in the run. Neither are frozen
parameters, which the task brings along.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from xover_core.config import Settings
from xover_core.config_io import flatten
from xover_core.errors import TrainingError
from xover_core.inference.weights_file import read_safetensors
from xover_core.training.training_settings import FREE_TO_CHANGE
from xover_core.training.weight_average import WeightAverage

FORMAT = "xover-training-1"
_NETWORK, _AVERAGE, _OPTIMIZER = "network.", "average.", "optimizer."


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run is.

    Attributes:
        step: optimizer steps that are done.
        seconds: that the run took up to here, in all its sessions.
        best_score: of all validations; None before the first.
        best_step: at which it was.
        num_worse: validations since then.
        validated_step: the last step that was validated, -1 before the first.
    """

    step: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    best_step: int = -1
    num_worse: int = 0
    validated_step: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedParts:
    """What a run changes."""

    network: nn.Module
    average: WeightAverage
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler

    def trained_state(self) -> dict[str, Tensor]:
        """The network's tensors but for frozen parameters."""
        frozen = {name for name, p in self.network.named_parameters() if not p.requires_grad}
        return {name: tensor for name, tensor in self.network.state_dict().items() if name not in frozen}


def settings_record(settings: Settings, num_processes: int) -> dict[str, Any]:
    """What must be the same when a run is resumed, by name."""
    record: dict[str, Any] = {"number of processes": num_processes}
    for key, _, value in flatten(settings):
        group, _, name = key.rpartition(".")
        if not (group == "trainer" and name in FREE_TO_CHANGE):
            record[key] = list(value) if isinstance(value, tuple) else value
    return record


def save_state(path: Path, parts: TrainedParts, progress: Progress, record: Mapping[str, Any]) -> None:
    """Write everything; a reader sees the whole file or the previous one."""
    tensors = {_NETWORK + name: tensor for name, tensor in parts.trained_state().items()}
    tensors |= {_AVERAGE + name: tensor for name, tensor in parts.average.state.items()}
    for index, values in parts.optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{key}": torch.as_tensor(value) for key, value in values.items()}
    metadata = {
        "format": FORMAT,
        "progress": json.dumps(dataclasses.asdict(progress)),
        "scaler": json.dumps(parts.scaler.state_dict()),
        "settings": json.dumps(record),
    }
    part = path.with_name(path.name + ".part")
    save_file({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}, part, metadata)
    part.replace(path)


def load_state(path: Path, parts: TrainedParts, record: Mapping[str, Any]) -> Progress:
    """Put a saved state into freshly made parts.

    Returns:
        How far the run was.

    Raises:
        ModelError: no such file, or damaged.
        TrainingError: not such a file, or of a run with other settings.
    """
    tensors, metadata = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        raise TrainingError(f"checkpoint {path}: expected format {FORMAT}, got {metadata.get('format')}.")
    try:
        _require_same_settings(path, json.loads(metadata["settings"]), record)
        keys = parts.network.load_state_dict(_under(_NETWORK, tensors), strict=False)
        if wrong := sorted({*keys.unexpected_keys, *(set(keys.missing_keys) & parts.trained_state().keys())}):
            raise ValueError(f"missing or unexpected are {', '.join(wrong)}")
        parts.average.load(_under(_AVERAGE, tensors))
        _load_optimizer(parts.optimizer, _under(_OPTIMIZER, tensors))
        parts.scaler.load_state_dict(json.loads(metadata["scaler"]))
        return Progress(**json.loads(metadata["progress"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"checkpoint {path}: does not fit this network, {type(error).__name__}: {error};"
            " start anew in another folder."
        ) from error


def _require_same_settings(path: Path, saved: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Raise TrainingError naming the settings that differ."""
    changed = [key for key in {**saved, **record} if saved.get(key) != record.get(key)]
    if changed:
        texts = [f"{key} was {saved.get(key)} and is {record.get(key)}" for key in changed]
        raise TrainingError(
            f"checkpoint {path}: is of a run with other settings: {', '.join(texts)}; change them back, or start anew"
            " in another folder."
        )


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors `index.key` of `save_state` back."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose names begin so, without the beginning."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
