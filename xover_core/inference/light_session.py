# SPDX-License-Identifier: Apache-2.0
"""Running the light CrossOver on the CPU: each part by the fastest that is there, clouds by torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xover_core.config import InferenceSettings
from xover_core.inference.libraries import load_library
from xover_core.inference.light_arrays import ObjectArrays
from xover_core.inference.light_graphs import LightSizes, light_sizes_of, load_network, make_light_graphs
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.model_store import model_entry
from xover_core.inference.session import Session
from xover_core.inference.session_factory import make_session
from xover_core.types import Float32Array, SceneModality

if TYPE_CHECKING:
    from xover_core.networks.light_crossover import LightCrossover

_OBJECT_PARTS = {
    SceneModality.POINT_CLOUD: "objects-points",
    SceneModality.CAD: "objects-cad",
    SceneModality.IMAGE: "objects-crops",
    SceneModality.TEXT: "objects-text",
}


class LightSession:
    """One input at a time; every result is float32 of norm 1, but for the description of a view.

    Whatever runs other networks: these are so small that a GPU would wait for its inputs longer than it computes.
    """

    def __init__(
        self, graphs: Sequence[ModelGraph], network: Callable[[], LightCrossover], *, num_threads: int = 0
    ) -> None:
        """Make the part for views; the others when they are first asked for.

        Args:
            graphs: of all parts.
            network: gives the network in evaluation mode, on the CPU, for clouds.
            num_threads: of one part, see `InferenceSettings`.

        Raises:
            BackendUnavailableError: nothing here can run the parts.
            ModelError: weights that are missing or damaged.
        """
        self._graphs = {graph.name.rpartition(".")[2]: graph for graph in graphs}
        self._network = network
        self._settings = InferenceSettings(device="cpu", num_threads=num_threads)
        self._sessions: dict[str, Session] = {}
        self._views = self._session("views")

    @property
    def token_dim(self) -> int:
        """Numbers of a token of a view."""
        return int(self._views.inputs[0].shape[-1])

    def describe_view(self, tokens: Float32Array) -> Float32Array:
        """(T, C) tokens to what is learned of a view."""
        return self._run("views", tokens=tokens[None])

    @property
    def view_dim(self) -> int:
        """Numbers that are learned of a view."""
        return int(self._views.outputs[0].shape[-1])

    def embed_views(self, views: Float32Array, layout: Float32Array | None) -> Float32Array:
        """(V, E) of what is learned of views, each with its histogram of colours, and the (S,) signature, to (D,)."""
        if layout is None:
            return self._run("scene", described=views[None])
        return self._run("posed-scene", described=views[None], layout=layout[None])

    def embed_cloud(
        self, coordinates: NDArray[np.int32], features: Float32Array, colors: Float32Array, layout: Float32Array
    ) -> Float32Array:
        """(M, 3) voxels, (M, C) features, (H,) histogram of colours and (S,) signature to (D,).

        Raises:
            BackendUnavailableError: torch is missing, which alone runs sparse convolutions.
        """
        load_library("torch")
        from xover_core.inference.light_clouds import embed_cloud

        return embed_cloud(self._network(), coordinates, features, colors, layout)

    def embed_floorplan(self, raster: Float32Array, layout: Float32Array) -> Float32Array:
        """(H, W) ink and (S,) signature to (D,)."""
        return self._run("floorplan", raster=raster[None], layout=layout[None])

    def embed_text(self, words: NDArray[np.int64]) -> Float32Array:
        """(W, G) ids to (D,)."""
        return self._run("text", words=words[None])

    def embed_objects(self, objects: ObjectArrays, modality: SceneModality) -> tuple[Float32Array, Float32Array]:
        """(K, D) of the objects, zero where they lack the modality, and the scene's (D,); at least one has it."""
        values: dict[SceneModality, dict[str, NDArray[Any]]] = {
            SceneModality.POINT_CLOUD: {"points": objects.points},
            SceneModality.CAD: {"points": objects.cad_points},
            SceneModality.IMAGE: {"crops": objects.crops.transpose(0, 3, 1, 2) / np.float32(255)},
            SceneModality.TEXT: {"words": objects.words},
        }
        mask = objects.masks[modality]
        embeddings, scene = self._run_all(
            _OBJECT_PARTS[modality], **values[modality], locations=objects.locations[mask]
        )
        rows = np.zeros((len(mask), embeddings.shape[1]), np.float32)
        rows[mask] = embeddings
        return rows, scene

    def _run(self, part: str, **inputs: NDArray[Any]) -> Float32Array:
        """The one output of a part, of the one row that it was asked for."""
        return np.asarray(self._run_all(part, **inputs)[0][0], np.float32)

    def _run_all(self, part: str, **inputs: NDArray[Any]) -> tuple[Float32Array, ...]:
        """All outputs of a part."""
        session = self._session(part)
        outputs = session.run(
            {spec.name: np.ascontiguousarray(inputs[spec.name], spec.dtype) for spec in session.inputs}
        )
        return tuple(outputs[spec.name] for spec in session.outputs)

    def _session(self, part: str) -> Session:
        """What runs a part."""
        if part not in self._sessions:
            self._sessions[part] = make_session(self._graphs[part], self._settings)
        return self._sessions[part]


def make_light_session(name: str, num_threads: int = 0) -> LightSession:
    """The session of a model of the manifest.

    Args:
        name: of the model.
        num_threads: of one part, see `InferenceSettings`.

    Raises:
        BackendUnavailableError: nothing here can run it.
        ModelError: unknown model, or weights that are missing or damaged.
    """
    # all parts that torch runs share one network
    network = lru_cache(maxsize=1)(partial(load_network, name))
    sizes, checksum = light_sizes_of(name), model_entry(name).sha256
    graphs = make_light_graphs(network, name=name, sizes=sizes, weights_sha256=checksum)
    return LightSession(graphs, network, num_threads=num_threads)


def light_session_of(network: LightCrossover) -> LightSession:
    """The session of a network that is no model of the manifest; by torch."""
    shape = dataclasses.asdict(network.shape)
    known = {name: shape[name] for name in LightSizes.__slots__ if name in shape}
    text = network.text
    sizes = LightSizes(**known, num_buckets=text.grams.num_embeddings, max_words=len(text.positions))
    graphs = make_light_graphs(lambda: network, name="unnamed", sizes=sizes, weights_sha256="")
    return LightSession(graphs, lambda: network)
