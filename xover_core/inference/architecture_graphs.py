# SPDX-License-Identifier: Apache-2.0
"""Graphs of large networks that others published: with their weights where the files are here, else with random ones.

Speed, memory and parity do not ask what the weights are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from xover_core.errors import ConfigError, ModelError
from xover_core.inference.crossover_files import IMAGE_WEIGHTS, TEXT_WEIGHTS, file_checksum, find_published
from xover_core.inference.graph_axes import BATCH, MAX_BATCH, patch_axes
from xover_core.inference.locus_graph import make_locus_graph, picture_examples
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.session import Arrays, TensorSpec

if TYPE_CHECKING:
    from torch import nn

    from xover_core.networks.bert_text_encoder import BertShape, BertTextEncoder
    from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork
    from xover_core.networks.vit_backbone import VitBackbone, VitShape

LOCUS_SUFFIX = "-locus"
LOCUS_BACKBONES = ("dino-vitb8", "dino-vits8", "dinov2-vitb14", "dinov2-vits14")
IMAGE_ENCODER, TEXT_ENCODER = "crossover-2d", "crossover-text"
ARCHITECTURES = (*(backbone + LOCUS_SUFFIX for backbone in LOCUS_BACKBONES), IMAGE_ENCODER, TEXT_ENCODER)
"""Names of models that are in no manifest."""

_RADII = (0.2, 0.6)
_FEATURE_DIM = 64
_SEED = 0
# Of a component of features of norm 1, or of a state of the text encoder, which is about 1.
_TOLERANCE = 1e-3
_EXAMPLE_TOKENS = ((2, 9), (1, 2), (3, 31))

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
        return _published_text()
    if name == IMAGE_ENCODER:
        return _published_image(size)
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


def make_image_graph(
    network: Callable[[], VitBackbone],
    shape: VitShape,
    *,
    name: str,
    weights_sha256: str,
    size: tuple[int, int] | None = None,
) -> ModelGraph:
    """CrossOver's encoder of pictures: `image` (batch, 3, H, W), normalised, to the values of its last block.

    Args:
        network: makes the backbone, in evaluation mode on the CPU.
        shape: of the backbone.
        name: of the model.
        weights_sha256: of the file with its weights.
        size: (height, width) of pictures, px; None for any.

    Returns:
        A graph with outputs `class_token` and `patch_mean`, (batch, C) each.

    Raises:
        ConfigError: a size that is no multiple of the patch.
    """
    axes = patch_axes(name, shape.patch_size, size)
    blocks = (f"network.layers.{block}" for block in range(shape.num_blocks))
    return ModelGraph(
        name=name,
        module=partial(_form, "ValuesForm", network),
        inputs=(TensorSpec(name="image", dtype="float32", shape=(BATCH, 3, *axes.sides)),),
        outputs=tuple(
            TensorSpec(name=output, dtype="float32", shape=(BATCH, shape.width))
            for output in ("class_token", "patch_mean")
        ),
        examples=partial(picture_examples, axes),
        weights_sha256=weights_sha256,
        tolerance=_TOLERANCE,
        axes=axes.lengths,
        reducible=("network.embeddings.patch_embeddings", *blocks),
    )


def make_text_graph(
    network: Callable[[], BertTextEncoder], shape: BertShape, *, name: str, weights_sha256: str
) -> ModelGraph:
    """CrossOver's encoder of texts: `ids` and `mask` (batch, tokens) to `features` (batch, C).

    Args:
        network: makes the encoder, in evaluation mode on the CPU.
        shape: of the encoder.
        name: of the model.
        weights_sha256: of the file with its weights.
    """
    return ModelGraph(
        name=name,
        module=partial(_form, "TokensForm", network),
        inputs=(
            TensorSpec(name="ids", dtype="int64", shape=(BATCH, "tokens")),
            TensorSpec(name="mask", dtype="bool", shape=(BATCH, "tokens")),
        ),
        outputs=(TensorSpec(name="features", dtype="float32", shape=(BATCH, shape.width)),),
        examples=partial(_text_examples, shape.vocabulary_size),
        weights_sha256=weights_sha256,
        tolerance=_TOLERANCE,
        axes={BATCH: (1, MAX_BATCH), "tokens": (1, shape.max_tokens)},
    )


def _published_image(size: tuple[int, int] | None) -> ModelGraph:
    from xover_core.inference.vit_weights import load_vit_backbone
    from xover_core.networks.vit_backbone import DINOV2_VITG14, VitBackbone

    def random() -> VitBackbone:
        return VitBackbone(DINOV2_VITG14)

    def published(path: Path) -> VitBackbone:
        return load_vit_backbone(path, DINOV2_VITG14)

    network, sha256 = _published(IMAGE_ENCODER, IMAGE_WEIGHTS, published, random)
    return make_image_graph(network, DINOV2_VITG14, name=IMAGE_ENCODER, weights_sha256=sha256, size=size)


def _published_text() -> ModelGraph:
    from xover_core.inference.crossover_checkpoint import load_blip_text
    from xover_core.networks.bert_text_encoder import BertShape, BertTextEncoder

    network, sha256 = _published(TEXT_ENCODER, TEXT_WEIGHTS, load_blip_text, BertTextEncoder)
    return make_text_graph(network, BertShape(), name=TEXT_ENCODER, weights_sha256=sha256)


def _published(
    name: str, file: str, load: Callable[[Path], Network], random: Callable[[], Network]
) -> tuple[Callable[[], Network], str]:
    """What makes a network, and the checksum of its weights."""
    try:
        path = find_published(file)
    except ModelError:
        return partial(_seeded, random), random_checksum(name)
    return partial(load, path), file_checksum(path)


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


def _text_examples(vocabulary_size: int) -> Iterator[Arrays]:
    """Made-up ids, of texts that are not equally long."""
    random = np.random.default_rng(0)
    for count, tokens in _EXAMPLE_TOKENS:
        mask = np.arange(tokens) < random.integers(1, tokens + 1, (count, 1))
        yield {"ids": random.integers(1, vocabulary_size, (count, tokens)) * mask, "mask": mask}


def _form(form: str, network: Callable[[], nn.Module]) -> nn.Module:
    from xover_core.networks import exported_forms

    made: nn.Module = getattr(exported_forms, form)(network())
    return made.eval()
