# SPDX-License-Identifier: Apache-2.0
"""Running the networks of CrossOver with arrays in and out; preprocessing is not done here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xover_core.inference.crossover_graphs import CLASS_TOKEN, FEATURES, IDS, IMAGE, MASK, PATCH_MEAN
from xover_core.types import Float32Array, SceneModality

if TYPE_CHECKING:
    from torch import Tensor

    from xover_core.inference.crossover_networks import CrossOverNetworks

VOXEL_SIZE = 0.02
"""Metres."""
# Pictures at once, the most by what the largest backbone needs in memory. No other numbers: what compiles for each
# number of pictures does so four times, and keeps all four.
_IMAGE_BATCHES = (8, 4, 2, 1)


class CrossOverSession:
    """Features and embeddings of pictures, texts, clouds and objects."""

    def __init__(self, networks: CrossOverNetworks) -> None:
        """Use networks."""
        self._networks = networks

    @property
    def max_tokens(self) -> int:
        """Longest text, in tokens."""
        return self._networks.max_tokens

    def image_features(self, images: Float32Array) -> tuple[Float32Array, Float32Array]:
        """(N, 3, H, W) normalised pictures -> (N, C) class tokens and (N, C) means of the patches."""
        encoder = self._networks.image_encoder
        parts = [encoder.run({IMAGE: batch}) for batch in _batches(images)]
        class_tokens, patches = (np.concatenate([part[name] for part in parts]) for name in (CLASS_TOKEN, PATCH_MEAN))
        return class_tokens, patches

    def text_features(self, texts: Sequence[Sequence[int]]) -> Float32Array:
        """Token ids of N texts, each of at most `max_tokens` -> (N, C)."""
        ids = np.zeros((len(texts), max(len(text) for text in texts)), np.int64)
        for row, text in zip(ids, texts, strict=True):
            row[: len(text)] = text
        mask = np.arange(ids.shape[1])[None] < np.array([len(text) for text in texts])[:, None]
        features: Float32Array = self._networks.text_encoder.run({IDS: ids, MASK: mask})[FEATURES]
        return features

    def token_ids(self, text: str) -> list[int]:
        """Ids with the start token before and the end token behind."""
        return self._networks.tokenizer.token_ids(text)

    def object_features(self, points: Float32Array) -> Float32Array:
        """(N, P, 3) points of objects in the unit sphere -> (N, C)."""
        import torch

        with torch.inference_mode():
            return _array(self._networks.object_encoder(self._tensor(points)))

    def embed_views(self, views: Float32Array) -> Float32Array:
        """(V, 2C) class token and mean of the patches of each view -> (D,)."""
        import torch

        mask = torch.ones(1, len(views), dtype=torch.bool, device=self._networks.device)
        with torch.inference_mode():
            return _array(self._networks.unified.embed_views(self._tensor(views[None]), mask)[0])

    def embed_floorplan(self, class_token: Float32Array) -> Float32Array:
        """(C,) -> (D,)."""
        import torch

        with torch.inference_mode():
            return _array(self._networks.unified.embed_floorplans(self._tensor(class_token[None]))[0])

    def embed_text(self, features: Float32Array) -> Float32Array:
        """(C,) -> (D,)."""
        import torch

        with torch.inference_mode():
            return _array(self._networks.unified.embed_texts(self._tensor(features[None]))[0])

    def embed_cloud(self, points: Float32Array, features: Float32Array) -> Float32Array:
        """(N, 3) metres and (N, 3) features -> (D,)."""
        import torch

        from xover_core.networks.sparse_quantization import quantize_points

        with torch.inference_mode():
            cloud = quantize_points([self._tensor(points)], [self._tensor(features)], VOXEL_SIZE)
            return _array(self._networks.unified.embed_clouds(cloud)[0])

    def embed_objects(
        self, modality: SceneModality, features: Float32Array, locations: Float32Array, mask: NDArray[np.bool_]
    ) -> tuple[Float32Array, Float32Array]:
        """Objects of one scene in one modality.

        Args:
            modality: of the features.
            features: (K, C).
            locations: (K, 6) centre and size, metres.
            mask: (K,): this object has the modality.

        Returns:
            (K, D) embeddings of the objects and (D,) of the scene.
        """
        import torch

        values, places, has = (self._tensor(array[None]) for array in (features, locations, mask))
        with torch.inference_mode():
            objects, scene, _ = self._networks.unified.embed_objects(
                {modality: values}, {modality: places}, {modality: has}
            )
        return _array(objects[modality][0]), _array(scene[0])

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(array)).to(self._networks.device)


def _batches(images: Float32Array) -> Iterator[Float32Array]:
    """Pictures in batches of those numbers, the largest first."""
    start = 0
    while start < len(images):
        size = next(size for size in _IMAGE_BATCHES if start + size <= len(images))
        yield np.ascontiguousarray(images[start : start + size])
        start += size


def _array(tensor: Tensor) -> Float32Array:
    values: Float32Array = tensor.float().cpu().numpy()
    return values
