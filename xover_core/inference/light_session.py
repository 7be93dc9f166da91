# SPDX-License-Identifier: Apache-2.0
"""Running the light CrossOver by torch on the CPU: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.inference.light_arrays import ObjectArrays
from xover_core.inference.light_checkpoint import load_light
from xover_core.inference.model_store import load_weights
from xover_core.networks.light_crossover import LightCrossover, ObjectTensors
from xover_core.networks.sparse_tensor import make_sparse_tensor
from xover_core.types import Float32Array, SceneModality


class LightSession:
    """One input at a time; every result is float32 of norm 1, but for the description of a view."""

    def __init__(self, model: LightCrossover) -> None:
        """Take a network in evaluation mode."""
        self._model = model

    @property
    def token_dim(self) -> int:
        """Numbers of a token of a view."""
        return self._model.shape.token_dim

    def describe_view(self, tokens: Float32Array) -> Float32Array:
        """(T, C) tokens to what is learned of a view."""
        with torch.inference_mode():
            return _array(self._model.views(torch.from_numpy(tokens)[None])[0])

    @property
    def view_dim(self) -> int:
        """Numbers that are learned of a view."""
        return self._model.shape.view_dim

    def embed_views(self, views: Float32Array, layout: Float32Array | None) -> Float32Array:
        """(V, E) of what is learned of views, each with its histogram of colours, and the (S,) signature, to (D,)."""
        with torch.inference_mode():
            scenes = torch.zeros(len(views), dtype=torch.int64)
            layouts = None if layout is None else torch.from_numpy(layout)[None]
            return _array(self._model.embed_views(torch.from_numpy(views), scenes, 1, layouts)[0])

    def embed_cloud(
        self, coordinates: NDArray[np.int32], features: Float32Array, colors: Float32Array, layout: Float32Array
    ) -> Float32Array:
        """(M, 3) voxels, (M, C) features, (H,) histogram of colours and (S,) signature to (D,)."""
        with torch.inference_mode():
            batch = torch.zeros((len(coordinates), 1), dtype=torch.int32)
            voxels = torch.cat([batch, torch.from_numpy(coordinates)], dim=1)
            cloud = make_sparse_tensor(voxels, torch.from_numpy(features))
            statistics = torch.from_numpy(colors)[None], torch.from_numpy(layout)[None]
            return _array(self._model.embed_cloud(cloud, *statistics)[0])

    def embed_floorplan(self, raster: Float32Array, layout: Float32Array) -> Float32Array:
        """(H, W) ink and (S,) signature to (D,)."""
        with torch.inference_mode():
            rasters, layouts = torch.from_numpy(raster)[None], torch.from_numpy(layout)[None]
            return _array(self._model.embed_floorplan(rasters, layouts)[0])

    def embed_text(self, words: NDArray[np.int64]) -> Float32Array:
        """(W, G) ids to (D,)."""
        with torch.inference_mode():
            return _array(self._model.embed_text(torch.from_numpy(words)[None])[0])

    def embed_objects(self, objects: ObjectArrays, modality: SceneModality) -> tuple[Float32Array, Float32Array]:
        """(K, D) of the objects, zero where they lack the modality, and the scene's (D,)."""
        masks = {m: torch.from_numpy(mask)[None] for m, mask in objects.masks.items()}
        crops = torch.from_numpy(objects.crops).permute(0, 3, 1, 2).float() / 255
        tensors = ObjectTensors(
            points=torch.from_numpy(objects.points),
            cad_points=torch.from_numpy(objects.cad_points),
            crops=crops,
            words=torch.from_numpy(objects.words),
            locations=torch.from_numpy(objects.locations)[None],
            masks=masks,
        )
        with torch.inference_mode():
            embedded = self._model.embed_objects(tensors)
            scene = self._model.fuse_objects(embedded, masks)[0]
            rows = torch.where(masks[modality][0][:, None], embedded[modality][0], 0)
        return _array(rows), _array(scene)


def make_light_session(name: str) -> LightSession:
    """The session of a model of the manifest.

    Raises:
        ModelError: unknown model, or weights that are missing or damaged.
    """
    return LightSession(load_light(load_weights(name), name))


def _array(tensor: Tensor) -> Float32Array:
    return np.asarray(tensor.numpy(), np.float32)
