# SPDX-License-Identifier: Apache-2.0
"""Running the scene inventory by torch on the CPU: arrays in, embeddings with what is in the room out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.inference.inventory_checkpoint import load_inventory
from xover_core.inference.model_store import load_weights
from xover_core.networks.scene_inventory import SceneInventory
from xover_core.types import Float32Array


class InventorySession:
    """One scene at a time; embeddings are float32 of norm 1."""

    def __init__(self, network: SceneInventory) -> None:
        """Take a network in evaluation mode."""
        self._network = network

    @property
    def num_pairs(self) -> int:
        """Amounts that a view is described by."""
        return self._network.shape.num_pairs

    def describe_view(self, pixels: Float32Array, patches: Float32Array) -> Float32Array:
        """(C, H, W) picture and (D, rows, columns) features of its patches to (P,) amounts of things."""
        with torch.inference_mode():
            return _array(self._network.views(torch.from_numpy(pixels)[None], torch.from_numpy(patches)[None]))

    def join_views(self, embedding: Float32Array, amounts: Float32Array) -> Float32Array:
        """(D,) of views and their (V, P) amounts to (D,)."""
        with torch.inference_mode():
            mean = torch.from_numpy(amounts).mean(dim=0, keepdim=True)
            return self._join(embedding, self._network.of_views(mean))

    def join_cloud(self, embedding: Float32Array, planes: Float32Array) -> Float32Array:
        """(D,) of a cloud and its (C, S, H, W) slices to (D,)."""
        with torch.inference_mode():
            return self._join(embedding, self._network.of_cloud(torch.from_numpy(planes)[None]))

    def join_floorplan(self, embedding: Float32Array, raster: Float32Array) -> Float32Array:
        """(D,) of a floorplan and its (H, W) ink of `encoders.plan_raster` to (D,)."""
        with torch.inference_mode():
            return self._join(embedding, self._network.of_floorplan(torch.from_numpy(raster)[None]))

    def join_text(self, embedding: Float32Array, words: NDArray[np.int64]) -> Float32Array:
        """(D,) of a text and its (W, G) ids to (D,)."""
        with torch.inference_mode():
            return self._join(embedding, self._network.of_text(torch.from_numpy(words)[None]), is_text=True)

    def join_nothing(self, embedding: Float32Array) -> Float32Array:
        """(D,) of what has no inventory to (D,) that can be compared with all others."""
        with torch.inference_mode():
            return self._join(embedding, None)

    def _join(self, embedding: Float32Array, inventory: Tensor | None, *, is_text: bool = False) -> Float32Array:
        return _array(self._network.join(torch.from_numpy(embedding)[None], inventory, is_text=is_text))


def make_inventory_session(name: str) -> InventorySession:
    """The session of a model of the manifest.

    Raises:
        ModelError: unknown model, or weights that are missing or damaged.
    """
    return InventorySession(load_inventory(load_weights(name), name))


def _array(rows: Tensor) -> Float32Array:
    """The only row."""
    return np.asarray(rows[0].numpy(), np.float32)
