# SPDX-License-Identifier: Apache-2.0
"""The compact encoder as a graph: frames of any size, or of one, to the features of all patches for each radius."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from xover_core.errors import ModelError
from xover_core.inference.graph_axes import BATCH, PatchAxes, patch_axes
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.model_store import load_weights, model_entry
from xover_core.inference.safetensors_header import read_header
from xover_core.inference.session import Arrays, TensorSpec

if TYPE_CHECKING:
    from torch import nn

    from xover_core.networks.compact_encoder import CompactEncoder

KIND = "compact"
INPUT_NAMES = ("image", "depth", "intrinsics")
# Outputs are called `features_0.2m`: the radius stands in between.
OUTPUT_PREFIX, OUTPUT_SUFFIX = "features_", "m"
_PATCH = 8
# Of a feature's component (features have a norm of 1 at most). Sums in another order make 1e-5; a window's cell that is
# rounded to its neighbour would make 1e-2.
_TOLERANCE = 1e-3
# Parts with learned weights. Where a pixel or a point lies is more than half precision can say.
_REDUCIBLE = tuple(
    f"network.{part}" for part in ("gradients", "others", "enter", "blocks", "norm", "base_heads", "context_heads")
)
# (rows, cols) of patches: even and odd, since pooling treats the last odd one in its own way.
_EXAMPLE_GRIDS = ((22, 30), (15, 21))


def compact_graph_of(name: str, size: tuple[int, int] | None = None) -> ModelGraph:
    """The graph of a model of the manifest.

    Args:
        name: of the model, of kind `compact`.
        size: (height, width) of frames, px; None for any.

    Raises:
        ModelError: unknown model, or weights that are missing or damaged.
        ConfigError: a size that is no multiple of the patch.
    """
    header = read_header(load_weights(name), name)
    try:
        radii = tuple(float(radius) for radius in json.loads(header.metadata["radii"]))
        feature_dim = header.shapes["base_heads.0.weight"][0]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"weights {name}: expected those of a compact encoder, {type(error).__name__}: {error}."
        ) from error
    return make_compact_graph(
        partial(_load, name),
        name=name,
        radii=radii,
        feature_dim=feature_dim,
        weights_sha256=model_entry(name).sha256,
        size=size,
    )


def make_compact_graph(
    network: Callable[[], CompactEncoder],
    *,
    name: str,
    radii: tuple[float, ...],
    feature_dim: int,
    weights_sha256: str,
    size: tuple[int, int] | None = None,
) -> ModelGraph:
    """The graph of a network.

    Args:
        network: makes it, in evaluation mode on the CPU.
        name: of the model.
        radii: metres, of its heads.
        feature_dim: D.
        weights_sha256: of the file with its weights.
        size: (height, width) of frames, px; None for any.

    Raises:
        ConfigError: a size that is no multiple of the patch.
    """
    axes = patch_axes(name, _PATCH, size)
    shapes = ((BATCH, 3, *axes.sides), (BATCH, *axes.sides), (BATCH, 4))
    return ModelGraph(
        name=name,
        module=partial(_form, network),
        inputs=tuple(
            TensorSpec(name=one, dtype="float32", shape=shape) for one, shape in zip(INPUT_NAMES, shapes, strict=True)
        ),
        outputs=tuple(
            TensorSpec(
                name=f"{OUTPUT_PREFIX}{radius:g}{OUTPUT_SUFFIX}",
                dtype="float32",
                shape=(BATCH, axes.count, feature_dim),
            )
            for radius in radii
        ),
        examples=partial(compact_examples, axes),
        weights_sha256=weights_sha256,
        tolerance=_TOLERANCE,
        axes=axes.lengths,
        reducible=_REDUCIBLE,
    )


def compact_examples(axes: PatchAxes) -> Iterator[Arrays]:
    """Noise and smooth images, with and without depth and with holes in it; two frames and one."""
    random = np.random.default_rng(0)
    for rows, cols in axes.example_grids(_EXAMPLE_GRIDS):
        height, width = rows * axes.patch, cols * axes.patch
        v, u = np.mgrid[0:height, 0:width].astype(np.float32)
        waves = np.stack([np.sin(u / 7 + v / 13), np.cos(u / 5), np.sin(v / 9)]) * 0.5 + 0.5
        noise = random.random((3, height, width))
        slope = 1.037 + 2.913 * u / width + 0.171 * v / height
        holes = slope * (random.random((height, width)) > 0.3)
        camera = [0.813 * width, 0.817 * width, (width - 1) / 2 + 0.31, (height - 1) / 2 - 0.23]
        yield _arrays([waves, noise], [slope, holes], camera)
        yield _arrays([waves], [np.zeros_like(slope)], camera)


def _arrays(images: list[np.ndarray], depths: list[np.ndarray], camera: list[float]) -> Arrays:
    """Inputs by name; all frames by one camera."""
    stacked = np.stack(images), np.stack(depths), np.array([camera] * len(images))
    return {name: np.ascontiguousarray(one, np.float32) for name, one in zip(INPUT_NAMES, stacked, strict=True)}


def _form(network: Callable[[], CompactEncoder]) -> nn.Module:
    from xover_core.networks.exported_forms import CompactForm

    return CompactForm(network()).eval()


def _load(name: str) -> CompactEncoder:
    from xover_core.inference.compact_checkpoint import load_compact

    return load_compact(load_weights(name), name)
