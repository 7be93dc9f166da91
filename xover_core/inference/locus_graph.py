# SPDX-License-Identifier: Apache-2.0
"""LoCUS heads on a frozen transformer as a graph: pictures to the features of all patches for each radius."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from xover_core.errors import ModelError
from xover_core.inference.compact_graph import OUTPUT_PREFIX, OUTPUT_SUFFIX
from xover_core.inference.graph_axes import BATCH, PatchAxes, patch_axes
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.model_store import load_weights, model_entry
from xover_core.inference.safetensors_header import read_header
from xover_core.inference.session import Arrays, TensorSpec

if TYPE_CHECKING:
    from torch import nn

    from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork

KIND = "vit-locus"
INPUT_NAME = "image"
# Of a feature's component, features being of norm 1: eleven blocks of sums in another order.
_TOLERANCE = 1e-3
# (rows, cols) of patches: neither is the square that position embeddings are for.
_EXAMPLE_GRIDS = ((6, 9), (8, 5))


def locus_graph_of(name: str, size: tuple[int, int] | None = None, radius: float | None = None) -> ModelGraph:
    """The graph of a model of the manifest.

    Args:
        name: of the model, of kind `vit-locus`.
        size: (height, width) of pictures, px; None for any.
        radius: of the one head that is wanted, m; None for all.

    Raises:
        ModelError: unknown model, or weights that are missing or damaged, or without such a head.
        ConfigError: a size that is no multiple of the patch.
    """
    header = read_header(load_weights(name), name)
    try:
        radii = tuple(float(one) for one in json.loads(header.metadata["radii"]))
        backbone = json.loads(header.metadata["backbone"])
        patch, num_blocks = int(backbone["patch_size"]), int(backbone["num_blocks"])
        feature_dim = header.shapes["heads.0.3.weight"][0]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"weights {name}: expected those of LoCUS heads on a transformer, {type(error).__name__}: {error}."
        ) from error
    if radius is not None and radius not in radii:
        raise ModelError(f"weights {name}: expected a head for {radius:g} m, there are those for {radii}.")
    return make_locus_graph(
        partial(_load, name, radius),
        name=name,
        radii=radii if radius is None else (radius,),
        feature_dim=feature_dim,
        patch=patch,
        num_blocks=num_blocks,
        weights_sha256=model_entry(name).sha256,
        size=size,
    )


def make_locus_graph(
    network: Callable[[], MultiRadiusEncoderNetwork],
    *,
    name: str,
    radii: tuple[float, ...],
    feature_dim: int,
    patch: int,
    num_blocks: int,
    weights_sha256: str,
    size: tuple[int, int] | None = None,
) -> ModelGraph:
    """The graph of a network: `image` (batch, 3, H, W) RGB in [0, 1] to `features_0.2m` (batch, N, D) and so on.

    Args:
        network: makes it, in evaluation mode on the CPU.
        name: of the model.
        radii: metres, of its heads.
        feature_dim: D.
        patch: side of a patch, px.
        num_blocks: of the backbone.
        weights_sha256: of the file with its weights.
        size: (height, width) of pictures, px; None for any.

    Raises:
        ConfigError: a size that is no multiple of the patch.
    """
    axes = patch_axes(name, patch, size)
    return ModelGraph(
        name=name,
        module=partial(_form, network),
        inputs=(TensorSpec(name=INPUT_NAME, dtype="float32", shape=(BATCH, 3, *axes.sides)),),
        outputs=tuple(
            TensorSpec(name=output_name(radius), dtype="float32", shape=(BATCH, axes.count, feature_dim))
            for radius in radii
        ),
        examples=partial(picture_examples, axes),
        weights_sha256=weights_sha256,
        tolerance=_TOLERANCE,
        axes=axes.lengths,
        # not the position embedding: where a patch lies is more than half precision can say
        reducible=(
            "network.backbone.embeddings.patch_embeddings",
            *(f"network.backbone.layers.{block}" for block in range(num_blocks)),
            *(f"network.heads.{head}" for head in range(len(radii))),
        ),
    )


def output_name(radius: float) -> str:
    """The output of the head for a radius."""
    return f"{OUTPUT_PREFIX}{radius:g}{OUTPUT_SUFFIX}"


def patch_size_of(graph: ModelGraph) -> int:
    """Side of a patch of such a graph for pictures of any size, px."""
    return int(str(graph.inputs[0].shape[2]).partition("*")[0])


def picture_examples(axes: PatchAxes) -> Iterator[Arrays]:
    """Noise and smooth pictures; two and one."""
    random = np.random.default_rng(0)
    for rows, cols in axes.example_grids(_EXAMPLE_GRIDS):
        height, width = rows * axes.patch, cols * axes.patch
        v, u = np.mgrid[0:height, 0:width].astype(np.float32)
        waves = np.stack([np.sin(u / 7 + v / 13), np.cos(u / 5), np.sin(v / 9)]) * 0.5 + 0.5
        noise = random.random((3, height, width))
        yield {INPUT_NAME: np.stack([waves, noise]).astype(np.float32)}
        yield {INPUT_NAME: np.stack([noise]).astype(np.float32)}


def _form(network: Callable[[], MultiRadiusEncoderNetwork]) -> nn.Module:
    from xover_core.networks.exported_forms import LocusForm

    return LocusForm(network()).eval()


def _load(name: str, radius: float | None) -> MultiRadiusEncoderNetwork:
    from xover_core.inference.locus_checkpoint import load_locus

    network = load_locus(load_weights(name), name)
    return network if radius is None else network.only(radius)
