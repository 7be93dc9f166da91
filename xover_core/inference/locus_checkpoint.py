# SPDX-License-Identifier: Apache-2.0
"""Published LoCUS checkpoints -> `MultiRadiusEncoderNetwork`, and to one safetensors file for all radii.

A published file (`locus_dino_rad0.2m_ep20.pth`) holds one head, for one radius, and the frozen DINO backbone, under the
names of the released code: `trainable_head.*` and `dino_model.*`, in a dictionary called `model` or `model_state_dict`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from xover_core.errors import ModelError
from xover_core.inference.checkpoint_report import CheckpointReport, Shapes, compare_tensors
from xover_core.inference.vit_weights import make_vit_backbone, published_shapes, to_published, unused_tensors
from xover_core.inference.weights_file import decode_safetensors, encode_safetensors, read_safetensors, read_torch_file
from xover_core.networks.locus_head import LocusHead
from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork
from xover_core.networks.vit_backbone import VIT_SHAPES, VitBackbone, VitShape

FORMAT = "xover-locus-1"
PUBLISHED_SHAPE = VIT_SHAPES["dino-vitb8"]
_CONTAINERS = ("model", "model_state_dict")
_HEAD, _BACKBONE = "trainable_head.", "dino_model."

_LOGGER = logging.getLogger(__name__)


def load_published_locus(
    checkpoints: Mapping[float, Path], shape: VitShape = PUBLISHED_SHAPE
) -> MultiRadiusEncoderNetwork:
    """Make one network of published checkpoints.

    Args:
        checkpoints: radius rho in metres -> file, one for each head.
        shape: of the backbone, which is in every file and must be the same in all.

    Returns:
        The network in evaluation mode on the CPU, heads in order of radius.

    Raises:
        ModelError: a file cannot be read, tensors are missing, unexpected or misshapen, or the backbones differ.
        BackendUnavailableError: the library `transformers` is missing.
    """
    backbone: dict[str, Tensor] = {}
    heads: dict[float, dict[str, Tensor]] = {}
    for radius, path in sorted(checkpoints.items()):
        tensors = read_published_tensors(path)
        report = inspect_published(tensors, shape)
        report.require_complete(path)
        for note in report.notes:
            _LOGGER.info("%s: %s", path, note)
        found = _under(_BACKBONE, tensors)
        backbone = backbone or found
        if any(not torch.equal(found[key], backbone[key]) for key in published_shapes(shape)):
            raise ModelError(f"checkpoint {path}: its backbone differs from that of the first file; load it alone.")
        heads[radius] = _under(_HEAD, tensors)
    return _build_network(shape, backbone, heads)


def read_published_tensors(path: Path) -> dict[str, Tensor]:
    """Weights of a published checkpoint by their own keys, float32.

    Raises:
        ModelError: the file cannot be read, or has no weights where they should be.
    """
    content = read_torch_file(path)
    for name in _CONTAINERS:
        weights = content.get(name)
        if isinstance(weights, dict) and all(isinstance(value, Tensor) for value in weights.values()):
            return {str(key): value.float() for key, value in weights.items()}
    raise ModelError(
        f"checkpoint {path}: expected its weights under {' or '.join(_CONTAINERS)}, found {sorted(map(str, content))}."
    )


def inspect_published(tensors: Mapping[str, Tensor], shape: VitShape = PUBLISHED_SHAPE) -> CheckpointReport:
    """A sentence for every tensor that is missing, unexpected, misshapen, or left out."""
    expected = {_BACKBONE + key: size for key, size in published_shapes(shape).items()}
    expected |= {_HEAD + key: size for key, size in _head_shapes(shape).items()}
    unused = {_BACKBONE + prefix: why for prefix, why in unused_tensors(shape).items()}
    return compare_tensors(tensors, expected, unused)


def save_locus(network: MultiRadiusEncoderNetwork, path: Path) -> None:
    """Write a network with a `VitBackbone` as safetensors; `load_locus` reads it. The same weights, the same bytes."""
    backbone = network.backbone
    if not isinstance(backbone, VitBackbone):
        raise ModelError(f"weights {path}: expected a network on a ViT backbone, got {type(backbone).__name__}.")
    tensors = {f"backbone.{key}": value for key, value in to_published(backbone.state_dict(), backbone.shape).items()}
    for index, head in enumerate(network.heads):
        tensors |= {f"heads.{index}.{key}": value for key, value in head.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "backbone": json.dumps(dataclasses.asdict(backbone.shape)),
        "radii": json.dumps(network.radii),
    }
    path.write_bytes(encode_safetensors(tensors, metadata))


def load_locus(source: Path | bytes, where: str = "") -> MultiRadiusEncoderNetwork:
    """Read what `save_locus` wrote.

    Args:
        source: the file, or its contents.
        where: what errors call the contents; a file goes by its path.

    Raises:
        ModelError: not such a file, damaged, or incomplete.
        BackendUnavailableError: the library `transformers` is missing.
    """
    name = where or (str(source) if isinstance(source, Path) else "in memory")
    tensors, metadata = read_safetensors(source) if isinstance(source, Path) else decode_safetensors(source, name)
    if metadata.get("format") != FORMAT:
        raise ModelError(f"weights {name}: expected format {FORMAT}, got {metadata.get('format')}.")
    try:
        shape = VitShape(**json.loads(metadata["backbone"]))
        radii = [float(radius) for radius in json.loads(metadata["radii"])]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"weights {name}: damaged metadata, {type(error).__name__}: {error}.") from error
    expected = {f"backbone.{key}": size for key, size in published_shapes(shape).items()}
    for index in range(len(radii)):
        expected |= {f"heads.{index}.{key}": size for key, size in _head_shapes(shape).items()}
    compare_tensors(tensors, expected, {}).require_complete(name)
    heads = {radius: _under(f"heads.{index}.", tensors) for index, radius in enumerate(radii)}
    return _build_network(shape, _under("backbone.", tensors), heads)


def _build_network(
    shape: VitShape, backbone: Mapping[str, Tensor], heads: Mapping[float, Mapping[str, Tensor]]
) -> MultiRadiusEncoderNetwork:
    """A network with these weights, which are complete."""
    modules = [LocusHead(shape.width) for _ in heads]
    for module, state in zip(modules, heads.values(), strict=True):
        module.load_state_dict(state)
    return MultiRadiusEncoderNetwork(make_vit_backbone(backbone, shape), modules, list(heads)).eval()


def _head_shapes(shape: VitShape) -> Shapes:
    """Shapes of a head's tensors by key."""
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in LocusHead(shape.width).state_dict().items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose keys begin so, without the beginning."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
