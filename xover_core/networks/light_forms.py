# SPDX-License-Identifier: Apache-2.0
"""Parts of the light CrossOver in the form in which they are exported: tensors in, a tuple of tensors out.

The whole of a scene is one input here, so no part needs to know which row belongs to which scene. The network of
point clouds has no such form: its convolutions are sparse.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xover_core.networks.instance_encoder import OBJECT_MODALITIES
from xover_core.networks.light_crossover import LightCrossover, centred_locations
from xover_core.types import SceneModality


class LightForm(nn.Module):
    """A part of the network."""

    def __init__(self, model: LightCrossover) -> None:
        """Use a network."""
        super().__init__()
        self.model = model


class ViewsForm(LightForm):
    """Tokens of views to what is learned of them."""

    def forward(self, tokens: Tensor) -> tuple[Tensor]:
        """(V, T, C) to (V, view_dim)."""
        return (self.model.views(tokens),)


class SceneForm(LightForm):
    """Descriptions of the views of scenes to embeddings."""

    def forward(self, views: Tensor) -> tuple[Tensor]:
        """(B, V, E), of views and their histograms, to (B, out_dim)."""
        return (self.model.embed_pooled_views(views.mean(1), views.amax(1)),)


class PosedSceneForm(LightForm):
    """As `SceneForm`, for views whose poses and depth are known."""

    def forward(self, views: Tensor, layout: Tensor) -> tuple[Tensor]:
        """(B, V, E) and (B, layout_dim) signatures to (B, out_dim)."""
        return (self.model.embed_pooled_views(views.mean(1), views.amax(1), layout),)


class FloorplanForm(LightForm):
    """Drawings to embeddings."""

    def forward(self, raster: Tensor, layout: Tensor) -> tuple[Tensor]:
        """(B, H, W) ink and (B, layout_dim) signatures to (B, out_dim)."""
        return (self.model.embed_floorplan(raster, layout),)


class TextForm(LightForm):
    """Texts to embeddings."""

    def forward(self, words: Tensor) -> tuple[Tensor]:
        """(B, W, G) ids to (B, out_dim)."""
        return (self.model.embed_text(words),)


class ObjectsForm(LightForm):
    """Objects of one scene that are known in one modality, to their embeddings and that of the scene."""

    def __init__(self, model: LightCrossover, modality: SceneModality) -> None:
        """Use a network for objects of a modality."""
        super().__init__(model)
        self.modality = modality
        self.index = list(OBJECT_MODALITIES).index(modality)

    def forward(self, values: Tensor, locations: Tensor) -> tuple[Tensor, Tensor]:
        """(K, ...) points, crops or ids, and (K, 6) boxes, to (K, out_dim) and (out_dim,)."""
        rows = self._encode(values, locations[:, 3:])
        masks = {self.modality: locations.new_ones(1, locations.shape[0], dtype=torch.bool)}
        places = dict.fromkeys(self.model.objects.shape.located, centred_locations(locations[None], masks))
        embedded = self.model.objects({self.modality: rows[None]}, places, masks)[self.modality]
        mean = embedded.mean(1, keepdim=True)
        is_this = torch.arange(len(OBJECT_MODALITIES), device=values.device) == self.index
        scene = self.model.fuse_means(torch.where(is_this[:, None], mean, 0), is_this[None])
        return embedded[0], scene[0]

    def _encode(self, values: Tensor, sizes: Tensor) -> Tensor:
        """(K, C) features of the objects."""
        networks = {
            SceneModality.POINT_CLOUD: self.model.object_points,
            SceneModality.CAD: self.model.object_cad,
            SceneModality.IMAGE: self.model.object_crops,
            SceneModality.TEXT: self.model.object_text,
        }
        is_sized = self.modality in self.model.objects.shape.located
        rows: Tensor = networks[self.modality](*((values, sizes) if is_sized else (values,)))
        return rows
