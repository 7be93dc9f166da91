# SPDX-License-Identifier: Apache-2.0
"""Small CrossOver networks, and checkpoints with the tensor names of the published files, written from their list."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from xover_core.networks.bert_text_encoder import BertShape, BertTextEncoder
from xover_core.networks.crossover import CrossOver, CrossOverShape
from xover_core.networks.i2p_mae import I2pMae, I2pMaeShape
from xover_core.networks.instance_encoder import InstanceEncoder, InstanceShape
from xover_core.types import SceneModality

CLOUD, CAD = SceneModality.POINT_CLOUD, SceneModality.CAD
IMAGE, TEXT = SceneModality.IMAGE, SceneModality.TEXT
TINY_INSTANCE = InstanceShape(
    feature_dims={CLOUD: 24, CAD: 24, IMAGE: 32, TEXT: 12},
    head_widths={CLOUD: 12, CAD: 12, IMAGE: 8, TEXT: 6},
    num_layers=2,
    num_heads=3,
    feedforward=16,
)
TINY_CROSSOVER = CrossOverShape(
    instance=TINY_INSTANCE,
    image_dim=32,
    image_head=8,
    text_dim=12,
    text_head=6,
    cloud_channels=(4, 6, 8, 10),
    cloud_head=8,
)
TINY_BERT = BertShape(vocabulary_size=40, width=12, num_layers=2, num_heads=3, feedforward=16, max_tokens=16)
TINY_I2P_MAE = I2pMaeShape(
    group_counts=(16, 8, 4),
    group_sizes=(6, 4, 3),
    widths=(6, 12, 24),
    radii=(0.24, 0.48, 0.96),
    point_widths=(8, 16),
    depth=1,
    num_heads=3,
)


def instance_tensors(network: InstanceEncoder) -> dict[str, Tensor]:
    """Its weights and those that the published files have besides."""
    tensors = dict(network.state_dict())
    width = network.shape.feature_dims[CLOUD]
    for name in network.modality_encoders:
        for index, shape in ((0, (width // 4, width // 2)), (2, (width // 4,)), (4, (width, width // 4))):
            tensors[f"modality_encoders.{name}.point_mlp.{index}.weight"] = torch.zeros(shape)
            tensors[f"modality_encoders.{name}.point_mlp.{index}.bias"] = torch.zeros(shape[0])
    for key in [key for key in tensors if key.startswith("modality_encoders.point.spatial_encoder.")]:
        tensors[key.replace("point.spatial", "cad.spatial")] = torch.zeros_like(tensors[key])
    return tensors


def crossover_tensors(network: CrossOver) -> dict[str, Tensor]:
    """All weights of a `scene_crossover` file."""
    prefix = "objectwise_modality_encoder."
    tensors = {key: value for key, value in network.state_dict().items() if not key.startswith(prefix)}
    instance = instance_tensors(network.objectwise_modality_encoder)
    return tensors | {prefix + key: value for key, value in instance.items()}


def blip_tensors(network: BertTextEncoder) -> dict[str, Tensor]:
    """The text encoder's weights and some of the others in BLIP's file."""
    tensors = {f"text_encoder.{key}": value for key, value in network.state_dict().items()}
    tensors["text_encoder.embeddings.position_ids"] = torch.arange(16)[None]
    tensors["text_encoder.encoder.layer.0.crossattention.self.query.weight"] = torch.zeros(12, 8)
    tensors["visual_encoder.cls_token"] = torch.zeros(1, 1, 8)
    return tensors


def point_bind_tensors(network: I2pMae) -> dict[str, Tensor]:
    """The object encoder's weights and some of the others in Point-Bind's file."""
    tensors = {f"point_encoder.{key}": value for key, value in network.state_dict().items()}
    return tensors | {"bind.some.weight": torch.zeros(2)}


def write_accelerate(folder: Path, tensors: dict[str, Tensor]) -> Path:
    """A folder as the library accelerate writes it."""
    folder.mkdir(parents=True)
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "model.safetensors")
    return folder
