# SPDX-License-Identifier: Apache-2.0
"""Graphs of large networks that others published: with their weights where the files are here, else with random ones.

Speed, memory and parity do not ask what the weights are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from xover_core.errors import ConfigError, ModelError
from xover_core.inference.crossover_graphs import (
    IMAGE_ENCODER,
    TEXT_ENCODER,
    make_image_graph,
    make_text_graph,
    published_image_graph,
    published_text_graph,
)
from xover_core.inference.locus_graph import make_locus_graph
from xover_core.inference.model_graph import ModelGraph

if TYPE_CHECKING:
    from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork
    from xover_core.networks.vit_backbone import VitShape

LOCUS_SUFFIX = "-locus"
LOCUS_BACKBONES = ("dino-vitb8", "dino-vits8", "dinov2-vitb14", "dinov2-vits14")
ARCHITECTURES = (*(backbone + LOCUS_SUFFIX for backbone in LOCUS_BACKBONES), IMAGE_ENCODER, TEXT_ENCODER)
"""Names of models that are in no manifest."""

_RADII = (0.2, 0.6)
_FEATURE_DIM = 64
_SEED = 0

Network = TypeVar("Network")


def architecture_graph(name: str, size: tuple[int, int] | None = None) -> ModelGraph:
    """One of `ARCHITECTURES`.

    Args:
        name: of the model.
        size: (height, width) of pictures, px; None for any.

    Raises:
        BackendUnavailableError: torch or transformers is missing.
        ConfigError: a size that is no multiple of the patch, or for a network that takes no pictures.
    """
    if name == TEXT_ENCODER:
        if size is not None:
            raise ConfigError(f"model {name!r}: it takes no pictures; leave the size out.")
        return _text_graph()
    if name == IMAGE_ENCODER:
        return _image_graph(size)
    from xover_core.networks.vit_backbone import vit_shape

    return random_locus_graph(name, vit_shape(name.removesuffix(LOCUS_SUFFIX)), size)


def has_random_weights(graph: ModelGraph) -> bool:
    """Whether a graph's weights mean nothing."""
    return graph.weights_sha256 == random_checksum(graph.name)


def random_checksum(name: str) -> str:
    """What stands for the checksum of random weights; they are the same each time."""
    return hashlib.sha256(f"{name}: random weights of seed {_SEED}".encode()).hexdigest()


def random_locus_graph(name: str, shape: VitShape, size: tuple[int, int] | None = None) -> ModelGraph:
    """LoCUS heads on a transformer.

    Args:
        name: of the model.
        shape: of the backbone.
        size: (height, width) of pictures, px; None for any.

    Raises:
        ConfigError: a size that is no multiple of the patch.
    """
    return make_locus_graph(
        partial(_seeded, partial(_make_locus, shape)),
        name=name,
        radii=_RADII,
        feature_dim=_FEATURE_DIM,
        patch=shape.patch_size,
        num_blocks=shape.num_blocks,
        weights_sha256=random_checksum(name),
        size=size,
    )


def _image_graph(size: tuple[int, int] | None) -> ModelGraph:
    from xover_core.networks.vit_backbone import DINOV2_VITG14, VitBackbone

    try:
        return published_image_graph(size)
    except ModelError:  # no such file
        network, sha256 = partial(_seeded, partial(VitBackbone, DINOV2_VITG14)), random_checksum(IMAGE_ENCODER)
        return make_image_graph(network, DINOV2_VITG14, name=IMAGE_ENCODER, weights_sha256=sha256, size=size)


def _text_graph() -> ModelGraph:
    from xover_core.networks.bert_text_encoder import BertShape, BertTextEncoder

    try:
        return published_text_graph()
    except ModelError:  # no such file
        network, sha256 = partial(_seeded, BertTextEncoder), random_checksum(TEXT_ENCODER)
        return make_text_graph(network, BertShape(), name=TEXT_ENCODER, weights_sha256=sha256)


def _seeded(make: Callable[[], Network]) -> Network:
    """Random weights, the same each time; other random numbers are as they were."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return make()


def _make_locus(shape: VitShape) -> MultiRadiusEncoderNetwork:
    from xover_core.networks.locus_head import LocusHead
    from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork
    from xover_core.networks.vit_backbone import VitBackbone

    heads = [LocusHead(shape.width, feature_dim=_FEATURE_DIM) for _ in _RADII]
    return MultiRadiusEncoderNetwork(VitBackbone(shape), heads, _RADII).eval()
