# SPDX-License-Identifier: Apache-2.0
"""Tensor names of published DINO and DINOv2 weights, and of our `VitBackbone`, which has those of `transformers`.

Files always hold the published names: those of `transformers` have changed between its versions.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from xover_core.errors import ModelError
from xover_core.inference.checkpoint_report import Shapes, compare_tensors
from xover_core.inference.weights_file import read_safetensors, read_torch_file
from xover_core.networks.vit_backbone import VitBackbone, VitShape

_STEM = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
}
_ATTENTION = {
    "attn.qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
    "attn.proj": ("attention.o_proj",),
}
_MLP = {"mlp.fc1": ("mlp.fc1",), "mlp.fc2": ("mlp.fc2",)}
_SWIGLU = {"mlp.w12": ("mlp.gate_proj", "mlp.up_proj"), "mlp.w3": ("mlp.down_proj",)}
_NORMS = {
    "dino": {"norm1": ("layernorm_before",), "norm2": ("layernorm_after",)},
    "dinov2": {"norm1": ("norm1",), "norm2": ("norm2",)},
}
_SCALES = {"ls1.gamma": "layer_scale1.lambda1", "ls2.gamma": "layer_scale2.lambda1"}

_LOGGER = logging.getLogger(__name__)


def load_vit_backbone(path: Path, shape: VitShape) -> VitBackbone:
    """Make a backbone with the weights of a file that DINO or DINOv2 published (`.pth`), or of a safetensors copy.

    Raises:
        ModelError: the file cannot be read, or tensors are missing, unexpected or misshapen.
        BackendUnavailableError: the library `transformers` is missing.
    """
    tensors = read_safetensors(path)[0] if path.suffix == ".safetensors" else read_torch_file(path)
    others = sorted(key for key, value in tensors.items() if not isinstance(value, Tensor))
    if others:
        raise ModelError(f"weights {path}: expected tensors only, found also {', '.join(others[:5])}.")
    report = compare_tensors(tensors, published_shapes(shape), unused_tensors(shape))
    report.require_complete(path)
    for note in report.notes:
        _LOGGER.info("%s: %s", path, note)
    return make_vit_backbone(tensors, shape)


def make_vit_backbone(tensors: Mapping[str, Tensor], shape: VitShape) -> VitBackbone:
    """A backbone with these published tensors, which are complete; without drawing random ones first."""
    with torch.device("meta"):
        backbone = VitBackbone(shape)
    backbone.load_state_dict(from_published(tensors, shape), assign=True)
    return backbone


def unused_tensors(shape: VitShape) -> dict[str, str]:
    """Published tensors that a backbone has no use for: key prefix -> why."""
    return {
        **{
            f"blocks.{block}.": f"tokens are taken after block {shape.num_blocks}"
            for block in range(shape.num_blocks, shape.total_blocks)
        },
        "norm.": "tokens are taken before the final norm",
        "mask_token": "it is for training only",
    }


def published_shapes(shape: VitShape) -> Shapes:
    """Shapes of the published tensors that a backbone needs, by published name."""
    with torch.device("meta"):
        tensors = to_published(VitBackbone(shape).state_dict(), shape)
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def from_published(tensors: Mapping[str, Tensor], shape: VitShape) -> dict[str, Tensor]:
    """State of a `VitBackbone` from published tensors, which are complete."""
    state: dict[str, Tensor] = {}
    for key, names in _backbone_names(shape).items():
        # one matrix makes query, key and value there
        state.update(zip(names, tensors[key].chunk(len(names)), strict=True))
    return state


def to_published(state: Mapping[str, Tensor], shape: VitShape) -> dict[str, Tensor]:
    """Inverse of `from_published`."""
    return {key: torch.cat([state[name] for name in names]) for key, names in _backbone_names(shape).items()}


def _backbone_names(shape: VitShape) -> dict[str, tuple[str, ...]]:
    """Published name -> names of the backbone's tensors that it is made of, one after the other."""
    names: dict[str, tuple[str, ...]] = {key: (name,) for key, name in _STEM.items()}
    layers = _NORMS[shape.family] | _ATTENTION | (_SWIGLU if shape.use_swiglu else _MLP)
    for block in range(shape.num_blocks):
        for key, parts in layers.items():
            for kind in ("weight", "bias"):
                names[f"blocks.{block}.{key}.{kind}"] = tuple(f"layers.{block}.{part}.{kind}" for part in parts)
        if shape.family == "dinov2":
            names |= {f"blocks.{block}.{key}": (f"layers.{block}.{name}",) for key, name in _SCALES.items()}
    return names
