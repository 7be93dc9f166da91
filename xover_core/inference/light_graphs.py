# SPDX-License-Identifier: Apache-2.0
"""The parts of the light CrossOver as graphs, all but the network of point clouds: ONNX has no sparse convolutions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import ModelError
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.model_store import load_weights, model_entry
from xover_core.inference.safetensors_header import read_header
from xover_core.inference.session import Arrays, TensorSpec

if TYPE_CHECKING:
    from torch import nn

    from xover_core.networks.light_crossover import LightCrossover

KIND = "light-crossover"

# Of a number of an embedding, whose norm is 1, or of what is learned of a view: sums in another order.
_TOLERANCE = 1e-4
_CROP_SIZE, _LOCATION_DIM = 32, 6
# Shortest and longest length of axes, but for words. A floorplan, halved five times, still has more than one cell.
_LENGTHS = {
    **{"batch": (1, 16), "views": (1, 4096), "height": (64, 1024), "width": (64, 1024)},
    **{"grams": (1, 128), "objects": (1, 256), "points": (1, 4096)},
}
_EXAMPLE_LENGTHS = (
    {"batch": 2, "views": 5, "height": 112, "width": 96, "words": 7, "grams": 20, "objects": 4, "points": 128},
    {"batch": 1, "views": 1, "height": 112, "width": 112, "words": 1, "grams": 12, "objects": 1, "points": 128},
    {"batch": 3, "views": 9, "height": 64, "width": 112, "words": 31, "grams": 33, "objects": 9, "points": 40},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LightSizes:
    """Of a network, as they stand beside its weights.

    Attributes:
        token_dim: of a token of a view.
        num_tokens: of a view.
        point_dim: of a point of an object.
        color_dim: cells of a histogram of colours.
        layout_dim: of the signature of what stands where.
        view_dim: of what is learned of a view.
        out_dim: of embeddings.
        num_buckets: ids of pieces of words, with padding.
        max_words: longest text.
    """

    token_dim: int
    num_tokens: int
    point_dim: int
    color_dim: int
    layout_dim: int
    view_dim: int
    out_dim: int
    num_buckets: int
    max_words: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A part by its form's name in `networks.light_forms`, its inputs and outputs by name and shape."""

    form: str
    inputs: Mapping[str, tuple[int | str, ...]]
    outputs: Mapping[str, tuple[int | str, ...]]
    modality: str = ""


def light_graphs_of(name: str) -> tuple[ModelGraph, ...]:
    """The graphs of a model of the manifest.

    Args:
        name: of the model, of kind `light-crossover`.

    Raises:
        ModelError: unknown model, or weights that are missing or damaged.
    """
    return make_light_graphs(
        partial(load_network, name), name=name, sizes=light_sizes_of(name), weights_sha256=model_entry(name).sha256
    )


def light_sizes_of(name: str) -> LightSizes:
    """Sizes of a model of the manifest, from the file of its weights; errors as `light_graphs_of`."""
    header = read_header(load_weights(name), name)
    try:
        known = {**json.loads(header.metadata["shape"]), **_text_sizes(header.shapes)}
        return LightSizes(**{field: int(known[field]) for field in LightSizes.__slots__})
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"weights {name}: expected those of a light CrossOver, {type(error).__name__}: {error}."
        ) from error


def make_light_graphs(
    network: Callable[[], LightCrossover], *, name: str, sizes: LightSizes, weights_sha256: str
) -> tuple[ModelGraph, ...]:
    """The graphs of a network.

    Args:
        network: makes it, in evaluation mode on the CPU.
        name: of the model.
        sizes: of the network.
        weights_sha256: of the file with its weights.
    """
    lengths = _LENGTHS | {"words": (1, sizes.max_words)}
    return tuple(
        ModelGraph(
            name=f"{name}.{part_name}",
            module=partial(_make_form, network, part),
            inputs=_specs(part.inputs),
            outputs=_specs(part.outputs),
            examples=partial(_examples, _specs(part.inputs), sizes.num_buckets),
            weights_sha256=weights_sha256,
            tolerance=_TOLERANCE,
            axes={axis: lengths[axis] for shape in part.inputs.values() for axis in shape if isinstance(axis, str)},
        )
        for part_name, part in _parts(sizes).items()
    )


def _parts(sizes: LightSizes) -> dict[str, _Part]:
    """All parts by name."""
    view = sizes.view_dim + sizes.color_dim
    embedding = {"embedding": ("batch", sizes.out_dim)}
    layout = {"layout": ("batch", sizes.layout_dim)}
    return {
        "views": _Part(
            "ViewsForm",
            {"tokens": ("views", sizes.num_tokens, sizes.token_dim)},
            {"described": ("views", sizes.view_dim)},
        ),
        "scene": _Part("SceneForm", {"described": ("batch", "views", view)}, embedding),
        "posed-scene": _Part("PosedSceneForm", {"described": ("batch", "views", view), **layout}, embedding),
        "floorplan": _Part("FloorplanForm", {"raster": ("batch", "height", "width"), **layout}, embedding),
        "text": _Part("TextForm", {"words": ("batch", "words", "grams")}, embedding),
        "objects-points": _objects("point_cloud", {"points": ("objects", "points", sizes.point_dim)}, sizes),
        "objects-cad": _objects("cad", {"points": ("objects", "points", sizes.point_dim)}, sizes),
        "objects-crops": _objects("image", {"crops": ("objects", 3, _CROP_SIZE, _CROP_SIZE)}, sizes),
        "objects-text": _objects("text", {"words": ("objects", "words", "grams")}, sizes),
    }


def _objects(modality: str, values: Mapping[str, tuple[int | str, ...]], sizes: LightSizes) -> _Part:
    """Objects of one scene in one modality."""
    inputs = {**values, "locations": ("objects", _LOCATION_DIM)}
    outputs = {"embeddings": ("objects", sizes.out_dim), "scene": (sizes.out_dim,)}
    return _Part("ObjectsForm", inputs, outputs, modality)


def _specs(shapes: Mapping[str, tuple[int | str, ...]]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name=name, dtype="int64" if name == "words" else "float32", shape=shape)
        for name, shape in shapes.items()
    )


def _examples(inputs: Sequence[TensorSpec], num_buckets: int) -> Iterator[Arrays]:
    """Noise, and texts of made-up ids whose words and pieces are not equally many."""
    random = np.random.default_rng(0)
    for lengths in _EXAMPLE_LENGTHS:
        shapes = {
            spec.name: [lengths[axis] if isinstance(axis, str) else axis for axis in spec.shape] for spec in inputs
        }
        yield {
            name: _random_ids(random, shape, num_buckets) if name == "words" else random.random(shape, dtype=np.float32)
            for name, shape in shapes.items()
        }


def _random_ids(random: np.random.Generator, shape: Sequence[int], num_buckets: int) -> NDArray[np.int64]:
    """(B, W, G) ids, padded with 0: at least one piece in a word, at least one word in a text."""
    texts, words, grams = shape
    ids = random.integers(1, num_buckets, shape)
    num_grams = random.integers(1, grams + 1, (texts, words, 1))
    num_words = random.integers(1, words + 1, (texts, 1, 1))
    is_there = (np.arange(grams) < num_grams) & (np.arange(words)[:, None] < num_words)
    return np.asarray(ids * is_there, np.int64)


def _text_sizes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    return {"num_buckets": shapes["text.grams.weight"][0], "max_words": shapes["text.positions"][0]}


def _make_form(network: Callable[[], LightCrossover], part: _Part) -> nn.Module:
    from xover_core.networks import light_forms
    from xover_core.types import SceneModality

    options = (SceneModality(part.modality),) if part.modality else ()
    form: nn.Module = getattr(light_forms, part.form)(network(), *options)
    return form.eval()


def load_network(name: str) -> LightCrossover:
    """The network of a model of the manifest, in evaluation mode on the CPU; needs torch."""
    from xover_core.inference.light_checkpoint import load_light

    return load_light(load_weights(name), name)
