# SPDX-License-Identifier: Apache-2.0
"""The published CrossOver's encoders of pictures and texts as graphs; its other networks are run by torch only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from xover_core.inference.crossover_files import IMAGE_WEIGHTS, TEXT_WEIGHTS, file_checksum, find_published
from xover_core.inference.graph_axes import BATCH, MAX_BATCH, patch_axes
from xover_core.inference.locus_graph import picture_examples
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.session import Arrays, TensorSpec

if TYPE_CHECKING:
    from torch import nn

    from xover_core.networks.bert_text_encoder import BertShape, BertTextEncoder
    from xover_core.networks.vit_backbone import VitBackbone, VitShape

IMAGE_ENCODER, TEXT_ENCODER = "crossover-2d", "crossover-text"
"""Names of the networks, which are in no manifest."""
IMAGE, CLASS_TOKEN, PATCH_MEAN = "image", "class_token", "patch_mean"
"""Input and outputs of the encoder of pictures."""
IDS, MASK, FEATURES = "ids", "mask", "features"
"""Inputs and output of the encoder of texts."""

# Of a component of features of norm 1, or of a state of the text encoder, which is about 1.
_TOLERANCE = 1e-3
_EXAMPLE_TOKENS = ((2, 9), (1, 2), (3, 31))


def published_image_graph(size: tuple[int, int] | None = None) -> ModelGraph:
    """DINOv2 ViT-g/14 with the published weights, which are read when its network is made.

    Args:
        size: (height, width) of pictures, px; None for any.

    Raises:
        ModelError: the weights are in no models folder.
        ConfigError: a size that is no multiple of the patch.
    """
    path = find_published(IMAGE_WEIGHTS)
    from xover_core.inference.vit_weights import load_vit_backbone
    from xover_core.networks.vit_backbone import DINOV2_VITG14

    network = partial(load_vit_backbone, path, DINOV2_VITG14)
    return make_image_graph(network, DINOV2_VITG14, name=IMAGE_ENCODER, weights_sha256=file_checksum(path), size=size)


def published_text_graph() -> ModelGraph:
    """BLIP's text encoder with the published weights, which are read when its network is made.

    Raises:
        ModelError: the weights are in no models folder.
    """
    path = find_published(TEXT_WEIGHTS)
    from xover_core.inference.crossover_checkpoint import load_blip_text
    from xover_core.networks.bert_text_encoder import BertShape

    network = partial(load_blip_text, path)
    return make_text_graph(network, BertShape(), name=TEXT_ENCODER, weights_sha256=file_checksum(path))


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
        inputs=(TensorSpec(name=IMAGE, dtype="float32", shape=(BATCH, 3, *axes.sides)),),
        outputs=tuple(
            TensorSpec(name=output, dtype="float32", shape=(BATCH, shape.width)) for output in (CLASS_TOKEN, PATCH_MEAN)
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
            TensorSpec(name=IDS, dtype="int64", shape=(BATCH, "tokens")),
            TensorSpec(name=MASK, dtype="bool", shape=(BATCH, "tokens")),
        ),
        outputs=(TensorSpec(name=FEATURES, dtype="float32", shape=(BATCH, shape.width)),),
        examples=partial(_text_examples, shape.vocabulary_size),
        weights_sha256=weights_sha256,
        tolerance=_TOLERANCE,
        axes={BATCH: (1, MAX_BATCH), "tokens": (1, shape.max_tokens)},
    )


def _text_examples(vocabulary_size: int) -> Iterator[Arrays]:
    """Made-up ids, of texts that are not equally long."""
    random = np.random.default_rng(0)
    for count, tokens in _EXAMPLE_TOKENS:
        mask = np.arange(tokens) < random.integers(1, tokens + 1, (count, 1))
        yield {IDS: random.integers(1, vocabulary_size, (count, tokens)) * mask, MASK: mask}


def _form(form: str, network: Callable[[], nn.Module]) -> nn.Module:
    from xover_core.networks import exported_forms

    made: nn.Module = getattr(exported_forms, form)(network())
    return made.eval()
