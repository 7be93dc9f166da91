# SPDX-License-Identifier: Apache-2.0
"""The light family of CrossOver: small encoders of views, clouds, floorplans, texts and objects, into one space.

The parts are those of the paper: an instance encoder over objects, their weighted fusion F_S, and encoders that embed a
whole scene in one modality. Everything is small enough to be trained and run on two cores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from xover_core.networks.crossover_heads import ProjectionHead, WeightedFusion, masked_mean
from xover_core.networks.instance_encoder import OBJECT_MODALITIES, InstanceEncoder, InstanceShape
from xover_core.networks.light_cloud_network import LightCloudNetwork
from xover_core.networks.light_text_network import LightTextNetwork
from xover_core.networks.light_views import PointsNetwork, RasterNetwork, ViewNetwork
from xover_core.networks.sparse_backend import SparseLayers
from xover_core.networks.sparse_tensor import SparseTensor
from xover_core.networks.top_view import TOP_VIEW_CHANNELS, top_views
from xover_core.types import SceneModality

OBJECT_DIM = 128
_TEXT_DIM = 256
# Of an embedding, so many dimensions are for colours and for layout; all others are learned freely.
_COLORS_DIM, _LAYOUT_DIM = 192, 128
_START_WEIGHT = 1.5
# A root is infinitely steep at 0.
_MIN_SHARE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class LightShape:
    """Sizes that data or settings decide; they are written beside the weights.

    Attributes:
        token_dim: of a token of a view.
        num_tokens: of a view.
        voxel_dim: features of a voxel.
        point_dim: of a point of an object.
        color_dim: cells of a histogram of colours.
        layout_dim: of the signature of what stands where.
        view_dim: of what is learned of a view; its histogram of colours comes after it.
        out_dim: of embeddings.
    """

    token_dim: int
    num_tokens: int
    voxel_dim: int
    point_dim: int
    color_dim: int
    layout_dim: int
    view_dim: int = 256
    out_dim: int = 768


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectTensors:
    """Objects of B scenes, padded to K each. M are those of all scenes that have a modality, in order of (b, k).

    Attributes:
        points: (M1, P, point_dim) of those with a cloud.
        cad_points: (M2, P, point_dim) of those with a CAD model; colours 0.
        crops: (M3, 3, h, w) in [0, 1], those with pictures.
        words: (M4, W, G) ids of those with sentences.
        locations: (B, K, 6) centre and size of boxes, metres, z up.
        masks: (B, K) bool by modality.
    """

    points: Tensor
    cad_points: Tensor
    crops: Tensor
    words: Tensor
    locations: Tensor
    masks: Mapping[SceneModality, Tensor]


class LightCrossover(nn.Module):
    """All encoders; embeddings have L2 norm 1."""

    def __init__(self, shape: LightShape, layers: SparseLayers | None = None) -> None:
        """Make the network with random weights.

        Args:
            shape: sizes.
            layers: of the library that computes sparse convolutions; None: as `make_sparse_layers` chooses.
        """
        super().__init__()
        self.shape = shape
        self.views = ViewNetwork(shape.token_dim, shape.num_tokens, out_dim=shape.view_dim)
        self.cloud = LightCloudNetwork(shape.voxel_dim, widths=(32, 64, 128, 192), layers=layers)
        self.top_view = RasterNetwork(TOP_VIEW_CHANNELS, (32, 64, 96, 128, 160), _TEXT_DIM)
        self.floorplan = RasterNetwork(1, (32, 64, 96, 128, 160), _TEXT_DIM)
        self.text = LightTextNetwork(out_dim=_TEXT_DIM)
        self.object_points = PointsNetwork(shape.point_dim, out_dim=OBJECT_DIM)
        self.object_cad = PointsNetwork(shape.point_dim, out_dim=OBJECT_DIM)
        self.object_text = LightTextNetwork(width=96, layers=1, out_dim=OBJECT_DIM)
        self.object_crops = RasterNetwork(3, (32, 64, 96), OBJECT_DIM)
        self.objects = InstanceEncoder(_instance_shape(shape.out_dim))
        head_dim = shape.out_dim - _COLORS_DIM - _LAYOUT_DIM
        self.fusion = WeightedFusion(len(OBJECT_MODALITIES))
        self.objects_head = ProjectionHead(shape.out_dim, 384, head_dim)
        self.view_head = ProjectionHead(2 * shape.view_dim, 384, head_dim)
        self.cloud_head = ProjectionHead(self.cloud.out_channels + _TEXT_DIM, 384, head_dim)
        # one map for pixels and points, one for points and drawings: what is alike need not be learned to be so
        self.colors = nn.Linear(shape.color_dim, _COLORS_DIM)
        self.layout = nn.Linear(shape.layout_dim, _LAYOUT_DIM)
        self.weights = nn.Parameter(torch.full((2,), math.log(_START_WEIGHT)))
        self.floorplan_head = ProjectionHead(_TEXT_DIM, 384, head_dim)
        self.text_head = ProjectionHead(_TEXT_DIM, 384, head_dim)

    def embed_views(self, views: Tensor, scenes: Tensor, num_scenes: int, layouts: Tensor | None = None) -> Tensor:
        """Pool descriptions of views over scenes.

        Args:
            views: (V, E), of `self.views`, and each view's histogram of colours after it.
            scenes: (V,) int64, the scene of each view, from 0; each scene has one.
            num_scenes: B.
            layouts: (B, layout_dim) signatures, where poses of the views and depth are known.

        Returns:
            (B, out_dim).
        """
        index = scenes[:, None].expand_as(views)
        shape = num_scenes, views.shape[1]
        mean = views.new_zeros(shape).scatter_reduce(0, index, views, "mean", include_self=False)
        largest = views.new_zeros(shape).scatter_reduce(0, index, views, "amax", include_self=False)
        return self.embed_pooled_views(mean, largest, layouts)

    def embed_pooled_views(self, mean: Tensor, largest: Tensor, layouts: Tensor | None = None) -> Tensor:
        """(B, E) means and largest values over the views of each scene, and signatures, to (B, out_dim)."""
        learned = self.shape.view_dim
        head: Tensor = self.view_head(torch.cat([mean[:, :learned], largest[:, :learned]], dim=1))
        return self._join(head, colors=mean[:, learned:], layouts=layouts)

    def embed_cloud(self, cloud: SparseTensor, colors: Tensor, layouts: Tensor) -> Tensor:
        """B clouds, (B, color_dim) histograms of their colours and (B, layout_dim) signatures to (B, out_dim)."""
        head: Tensor = self.cloud_head(torch.cat([self.cloud(cloud), self.top_view(top_views(cloud))], dim=1))
        return self._join(head, colors=colors, layouts=layouts)

    def embed_floorplan(self, rasters: Tensor, layouts: Tensor) -> Tensor:
        """(B, H, W) ink in [0, 1] and (B, layout_dim) signatures to (B, out_dim)."""
        head: Tensor = self.floorplan_head(self.floorplan(rasters[:, None]))
        return self._join(head, layouts=layouts)

    def embed_text(self, words: Tensor) -> Tensor:
        """(B, W, G) ids to (B, out_dim)."""
        return self._join(self.text_head(self.text(words)))

    def embed_objects(self, objects: ObjectTensors) -> dict[SceneModality, Tensor]:
        """(B, K, out_dim) for each modality; rows of objects without it mean nothing."""
        masks = objects.masks
        sizes = {m: objects.locations[mask][:, 3:] for m, mask in masks.items()}
        rows = {
            SceneModality.POINT_CLOUD: self.object_points(objects.points, sizes[SceneModality.POINT_CLOUD]),
            SceneModality.CAD: self.object_cad(objects.cad_points, sizes[SceneModality.CAD]),
            SceneModality.IMAGE: self.object_crops(objects.crops),
            SceneModality.TEXT: self.object_text(objects.words),
        }
        features = {m: _spread(values, masks[m]) for m, values in rows.items()}
        locations = dict.fromkeys(self.objects.shape.located, centred_locations(objects.locations, masks))
        embedded: dict[SceneModality, Tensor] = self.objects(features, locations, masks)
        return embedded

    def fuse_objects(self, embeddings: Mapping[SceneModality, Tensor], masks: Mapping[SceneModality, Tensor]) -> Tensor:
        """F_S: means of (B, K, out_dim) over the objects of each modality, fused, to (B, out_dim)."""
        means = torch.stack([masked_mean(embeddings[m], masks[m]) for m in OBJECT_MODALITIES], dim=1)
        present = torch.stack([masks[m].any(dim=1) for m in OBJECT_MODALITIES], dim=1)
        return self.fuse_means(means, present)

    def fuse_means(self, means: Tensor, present: Tensor) -> Tensor:
        """F_S after the means: (B, M, out_dim) of each modality and (B, M) bool whether it is there to (B, out_dim)."""
        return self._join(self.objects_head(self.fusion(means, present)))

    def _join(self, head: Tensor, *, colors: Tensor | None = None, layouts: Tensor | None = None) -> Tensor:
        """What a head says, colours and layout, each in dimensions of its own, zero where a modality has none of it."""
        parts = [head, head.new_zeros(head.shape[0], _COLORS_DIM), head.new_zeros(head.shape[0], _LAYOUT_DIM)]
        if colors is not None:
            # small shares count too, for it is their roots that count
            roots = colors.clamp_min(_MIN_SHARE).sqrt()
            parts[1] = self.weights[0].exp() * functional.normalize(self.colors(roots), dim=1)
        if layouts is not None:
            parts[2] = self.weights[1].exp() * functional.normalize(self.layout(layouts), dim=1)
        return functional.normalize(torch.cat(parts, dim=1), dim=1)


def _instance_shape(out_dim: int) -> InstanceShape:
    """A small instance encoder, in which CAD models attend to each other too."""
    dims = dict.fromkeys(OBJECT_MODALITIES, OBJECT_DIM)
    return InstanceShape(
        feature_dims=dims,
        head_widths=dict.fromkeys(dims, 192),
        attending=(SceneModality.POINT_CLOUD, SceneModality.CAD),
        out_dim=out_dim,
        num_layers=2,
        num_heads=4,
        feedforward=256,
    )


def _spread(rows: Tensor, mask: Tensor) -> Tensor:
    """(M, C) rows to (B, K, C), zero where the mask is not set."""
    spread = rows.new_zeros(*mask.shape, rows.shape[1])
    return spread.masked_scatter(mask[..., None], rows)


def centred_locations(locations: Tensor, masks: Mapping[SceneModality, Tensor]) -> Tensor:
    """(B, K, 6) with the middle of the objects as origin on the floor plane: a scene's frame may lie anywhere."""
    known = torch.stack(list(masks.values())).any(dim=0)
    middle = masked_mean(locations[..., :2], known)[:, None]
    return torch.cat([locations[..., :2] - middle, locations[..., 2:]], dim=2)
