# SPDX-License-Identifier: Apache-2.0
"""The unified model of CrossOver (CVPR 2025): features of frozen encoders -> scenes in one space of 768 numbers.

Tensor names are those of the published `scene_crossover` weights. The frozen encoders (DINOv2, BLIP, I2P-MAE) are
networks of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from xover_core.networks.crossover_heads import FrameMlp, ProjectionHead, WeightedFusion, masked_mean
from xover_core.networks.instance_encoder import OBJECT_MODALITIES, InstanceEncoder, InstanceShape
from xover_core.networks.sparse_backend import SparseLayers
from xover_core.networks.sparse_resnet import STAGE_CHANNELS, SparseResNet34
from xover_core.networks.sparse_tensor import SparseTensor
from xover_core.types import SceneModality


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossOverShape:
    """Sizes of the unified model; the defaults are the published ones.

    Attributes:
        instance: of the instance encoder.
        image_dim: of a picture's class token; a view is described by twice as many numbers.
        image_head: hidden layer of the head that pictures and floorplans share.
        text_dim: of a text's features.
        text_head: hidden layer of its head.
        cloud_channels: widths of the stages of the encoder of point clouds.
        cloud_head: hidden layer of its head.
        renormalizes_fusion: fusion weights are scaled to the modalities that are there; published: they are not.
    """

    instance: InstanceShape = field(default_factory=InstanceShape)
    image_dim: int = 1536
    image_head: int = 384
    text_dim: int = 768
    text_head: int = 384
    cloud_channels: tuple[int, int, int, int] = STAGE_CHANNELS
    cloud_head: int = 256
    renormalizes_fusion: bool = True


class CrossOver(nn.Module):
    """Scenes in any modality -> embeddings of L2 norm 1."""

    def __init__(self, shape: CrossOverShape | None = None, layers: SparseLayers | None = None) -> None:
        """Make the network with random weights.

        Args:
            shape: sizes.
            layers: of the sparse library; default: as `make_sparse_layers` chooses.
        """
        super().__init__()
        self.shape = shape = shape or CrossOverShape()
        out_dim = shape.instance.out_dim
        self.objectwise_modality_encoder = InstanceEncoder(shape.instance)
        self.fusion = WeightedFusion(len(OBJECT_MODALITIES), renormalizes=shape.renormalizes_fusion)
        self.objectwise_mlp_head = ProjectionHead(out_dim, out_dim // 2, out_dim)
        self.encoder3D = SparseResNet34(layers=layers, stage_channels=shape.cloud_channels)
        self.encoder3D_mlp_head = ProjectionHead(self.encoder3D.out_channels, shape.cloud_head, out_dim)
        self.encoder1D_mlp_head = ProjectionHead(shape.text_dim, shape.text_head, out_dim)
        self.frame_mlp = FrameMlp(2 * shape.image_dim, shape.image_dim)
        self.encoder2D_mlp_head = ProjectionHead(shape.image_dim, shape.image_head, out_dim)

    def embed_views(self, views: Tensor, mask: Tensor) -> Tensor:
        """Pictures of scenes.

        Args:
            views: (B, V, 2 * image_dim) class token and mean of the patches of each picture.
            mask: (B, V) bool: there is such a picture.

        Returns:
            (B, out_dim).
        """
        embedded: Tensor = self.encoder2D_mlp_head(masked_mean(self.frame_mlp(views), mask))
        return embedded

    def embed_floorplans(self, class_tokens: Tensor) -> Tensor:
        """(B, image_dim) class tokens of drawings to (B, out_dim)."""
        embedded: Tensor = self.encoder2D_mlp_head(class_tokens)
        return embedded

    def embed_texts(self, features: Tensor) -> Tensor:
        """(B, text_dim) to (B, out_dim)."""
        embedded: Tensor = self.encoder1D_mlp_head(features)
        return embedded

    def embed_clouds(self, clouds: SparseTensor) -> Tensor:
        """Point clouds of B scenes on voxels of 2 cm, features RGB / 255 - 0.5, to (B, out_dim)."""
        embedded: Tensor = self.encoder3D_mlp_head(self.encoder3D(clouds))
        return embedded

    def embed_objects(
        self,
        features: Mapping[SceneModality, Tensor],
        locations: Mapping[SceneModality, Tensor],
        masks: Mapping[SceneModality, Tensor],
    ) -> tuple[dict[SceneModality, Tensor], Tensor, Tensor]:
        """Objects of scenes, on their own and fused.

        Args:
            features: (B, K, feature_dim) by modality, at least one; modalities may be missing.
            locations: (B, K, 6) by located modality, see `InstanceEncoder`.
            masks: (B, K) bool by modality: this object has it.

        Returns:
            (B, K, out_dim) embeddings of the objects by modality; (B, out_dim) fused embeddings F_S of the scenes;
            and (B,) bool: this scene has any object. What is missing has embeddings that mean nothing.
        """
        objects = self.objectwise_modality_encoder(features, locations, masks)
        first = next(iter(objects.values()))
        nothing = first.new_zeros(len(first), first.shape[-1])
        pooled = [masked_mean(objects[m], masks[m]) if m in objects else nothing for m in OBJECT_MODALITIES]
        absent = torch.zeros(len(first), dtype=torch.bool, device=first.device)
        is_present = torch.stack([masks[m].any(1) if m in objects else absent for m in OBJECT_MODALITIES], 1)
        fused = self.objectwise_mlp_head(self.fusion(torch.stack(pooled, 1), is_present))
        return objects, fused, is_present.any(1)
