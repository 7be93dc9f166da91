# SPDX-License-Identifier: Apache-2.0
"""Published files -> the networks of CrossOver (CVPR 2025), loaded strictly under their published tensor names.

A `*.pth` of CrossOver is a folder with `model.safetensors`; I2P-MAE is within Point-Bind's `pointbind_i2pmae.pt`, and
the text encoder within BLIP's `model_large.pth`. Nothing in a file is ever run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from xover_core.errors import ModelError
from xover_core.inference.checkpoint_report import compare_tensors
from xover_core.inference.weights_file import read_safetensors, read_torch_file
from xover_core.networks.bert_text_encoder import BertShape, BertTextEncoder
from xover_core.networks.crossover import CrossOver, CrossOverShape
from xover_core.networks.i2p_mae import I2pMae, I2pMaeShape
from xover_core.networks.instance_encoder import (
    BASELINE_SHAPE,
    OBJECT_MODALITIES,
    InstanceEncoder,
    InstanceShape,
)
from xover_core.networks.sparse_backend import SparseLayers

WEIGHTS_NAME = "model.safetensors"

_INSTANCE_PREFIX = "objectwise_modality_encoder."
_LOCATED_PREFIX = "modality_encoders."
_HEADS_PREFIX = "modality_projections."
_OBJECT_PREFIX = "point_encoder."
_TEXT_PREFIX = "text_encoder."
# Counted by batch norm in training, and used by nothing.
_COUNTER = "num_batches_tracked"

NetworkT = TypeVar("NetworkT", bound=nn.Module)
_LOGGER = logging.getLogger(__name__)


def load_crossover(path: Path, shape: CrossOverShape | None = None, layers: SparseLayers | None = None) -> CrossOver:
    """The unified model of a `scene_crossover_*.pth`.

    Args:
        path: the folder, or the file within it.
        shape: other than the published sizes and corrections.
        layers: of the sparse library; default: as `make_sparse_layers` chooses.

    Raises:
        ModelError: no such file, damaged, of another model, or tensors are missing, unexpected or misshapen.
    """
    shape = shape or CrossOverShape()
    tensors = _read_accelerate(path)
    if not any(key.startswith(_INSTANCE_PREFIX) for key in tensors):
        raise ModelError(
            f"checkpoint {path}: expected a unified model with tensors {_INSTANCE_PREFIX}*, found"
            f" {_some_keys(tensors)}; is it one of the instance_* checkpoints? Name a scene_crossover_* one."
        )
    with torch.device("meta"):
        network = CrossOver(shape, layers)
    return _fill(network, tensors, _unused_instance_tensors(shape.instance, _INSTANCE_PREFIX), path)


def load_instance_crossover(path: Path, shape: InstanceShape | None = None) -> InstanceEncoder:
    """The instance encoder of an `instance_crossover_*.pth`, whose objects know of each other.

    Raises:
        ModelError: as for `load_crossover`; also for an `instance_baseline_*.pth`.
    """
    shape = shape or InstanceShape()
    tensors = _read_accelerate(path)
    _require_instance_weights(tensors, path)
    if not any(key.startswith(_LOCATED_PREFIX) for key in tensors):
        raise ModelError(
            f"checkpoint {path}: expected an instance_crossover with tensors {_LOCATED_PREFIX}*, found heads only; it"
            " is an instance_baseline, which is another network: load it by load_instance_baseline, or name another"
            " file."
        )
    with torch.device("meta"):
        network = InstanceEncoder(shape)
    return _fill(network, tensors, _unused_instance_tensors(shape), path)


def load_instance_baseline(path: Path, shape: InstanceShape = BASELINE_SHAPE) -> InstanceEncoder:
    """The heads of an `instance_baseline_*.pth`, which see each object alone.

    Raises:
        ModelError: as for `load_crossover`; also for an `instance_crossover_*.pth`.
    """
    tensors = _read_accelerate(path)
    _require_instance_weights(tensors, path)
    if any(key.startswith(_LOCATED_PREFIX) for key in tensors):
        raise ModelError(
            f"checkpoint {path}: expected an instance_baseline with heads only, found tensors {_LOCATED_PREFIX}*; it is"
            " an instance_crossover, which is another network: load it by load_instance_crossover, or name another"
            " file."
        )
    with torch.device("meta"):
        network = InstanceEncoder(shape)
    return _fill(network, tensors, {}, path)


def load_i2p_mae(path: Path, shape: I2pMaeShape | None = None) -> I2pMae:
    """The object encoder within Point-Bind's checkpoint, or a safetensors copy of it.

    Raises:
        ModelError: as for `load_crossover`.
    """
    tensors = _require_prefix(_read_weights(path), _OBJECT_PREFIX, path)
    with torch.device("meta"):
        network = I2pMae(shape)
    return _fill(network, tensors, {}, path)


def load_blip_text(path: Path, shape: BertShape | None = None) -> BertTextEncoder:
    """The text encoder within BLIP's checkpoint, or a safetensors copy of it.

    Raises:
        ModelError: as for `load_crossover`.
    """
    content = _read_weights(path)
    weights = content.get("model", content)
    tensors = _require_prefix(weights if isinstance(weights, dict) else content, _TEXT_PREFIX, path)
    with torch.device("meta"):
        network = BertTextEncoder(shape)
    unused = {"embeddings.position_ids": "positions are counted", "pooler.": "the first token itself is taken"}
    unused |= {
        f"encoder.layer.{layer}.crossattention.": "texts are read without an image"
        for layer in range(network.shape.num_layers)
    }
    return _fill(network, tensors, unused, path)


def _fill(network: NetworkT, tensors: Mapping[str, Tensor], unused: Mapping[str, str], path: Path) -> NetworkT:
    """A network without storage gets these tensors as float32, after a strict comparison; it comes back frozen."""
    state = network.state_dict()
    expected = {key: tuple(value.shape) for key, value in state.items() if not key.endswith(_COUNTER)}
    found = {key: value for key, value in tensors.items() if not key.endswith(_COUNTER)}
    report = compare_tensors(found, expected, unused)
    report.require_complete(path)
    for note in report.notes:
        _LOGGER.info("%s: %s", path, note)
    filled = {key: found[key].float() for key in expected}
    filled |= {key: torch.zeros((), dtype=torch.long) for key in state if key.endswith(_COUNTER)}
    network.load_state_dict(filled, assign=True)
    return network.requires_grad_(False).eval()


def _unused_instance_tensors(shape: InstanceShape, prefix: str = "") -> dict[str, str]:
    """Published tensors of the instance encoder that it has no use for: key prefix -> why."""
    unused = {}
    for modality in shape.located:
        where = f"{prefix}{_LOCATED_PREFIX}{OBJECT_MODALITIES[modality]}."
        unused[f"{where}point_mlp."] = "the published code never calls it"
        if modality not in shape.attending:
            unused[f"{where}spatial_encoder."] = "the published code switches its attention off"
    return unused


def _require_instance_weights(tensors: Mapping[str, Tensor], path: Path) -> None:
    if not any(key.startswith(_HEADS_PREFIX) for key in tensors):
        raise ModelError(
            f"checkpoint {path}: expected an instance encoder with tensors {_HEADS_PREFIX}*, found"
            f" {_some_keys(tensors)}; is it a scene_crossover_* checkpoint?"
        )


def _require_prefix(content: Mapping[str, object], prefix: str, path: Path) -> dict[str, Tensor]:
    """Tensors whose keys begin so, without the beginning."""
    found = {
        key.removeprefix(prefix): value
        for key, value in content.items()
        if key.startswith(prefix) and isinstance(value, Tensor)
    }
    if not found:
        raise ModelError(
            f"checkpoint {path}: expected tensors {prefix}*, found {_some_keys(content)}; is it of another model?"
        )
    return found


def _some_keys(content: Mapping[str, object]) -> str:
    """The beginnings of the keys that are there, for people."""
    return ", ".join(sorted({key.split(".")[0] for key in content})[:8]) or "none"


def _read_accelerate(path: Path) -> dict[str, Tensor]:
    """Tensors of a folder that the library accelerate wrote, or of the file within it."""
    return read_safetensors(path / WEIGHTS_NAME if path.is_dir() else path)[0]


def _read_weights(path: Path) -> dict[str, object]:
    """Contents of a file of either kind."""
    if path.suffix == ".safetensors":
        return dict(read_safetensors(path)[0])
    return {str(key): value for key, value in read_torch_file(path).items()}
