# SPDX-License-Identifier: Apache-2.0
"""Stage 1 of CrossOver: objects of a scene in each modality -> embeddings in the common space.

Objects that have a place (scanned points, CAD models) are told of each other by spatial attention; pictures and
sentences go straight to their head. Tensor names are those of the published `instance_crossover` weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from xover_core.networks.crossover_heads import ProjectionHead
from xover_core.types import SceneModality

OBJECT_MODALITIES = {
    SceneModality.POINT_CLOUD: "point",
    SceneModality.CAD: "cad",
    SceneModality.IMAGE: "rgb",
    SceneModality.TEXT: "referral",
}
"""Modalities of objects and their published names, in the order of the published fusion weights."""
NUM_PAIR_FEATURES = 5
LOCATION_DIM = 6

_PAIR_EPS = 1e-10
_MIN_SPATIAL = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceShape:
    """Sizes of an instance encoder; the defaults are those of the published `instance_crossover`.

    Attributes:
        feature_dims: length of an object's features, by modality.
        head_widths: hidden layer of its head, by modality.
        located: modalities with spatial layers; the others go straight to their head.
        attending: those of them whose objects attend to each other. In the published model CAD models do not, and get
            only their location.
        out_dim: length of embeddings.
        num_layers: spatial layers.
        num_heads: attention heads; divides the located features' lengths.
        feedforward: hidden layer of a spatial layer's MLP.
        dropout: in training.
        counts_padding: padded objects at the origin take part in the largest distance that distances are divided by,
            as published.
    """

    feature_dims: Mapping[SceneModality, int] = field(
        default_factory=lambda: {
            SceneModality.POINT_CLOUD: 384,
            SceneModality.CAD: 384,
            SceneModality.IMAGE: 1536,
            SceneModality.TEXT: 768,
        }
    )
    head_widths: Mapping[SceneModality, int] = field(
        default_factory=lambda: {
            SceneModality.POINT_CLOUD: 192,
            SceneModality.CAD: 192,
            SceneModality.IMAGE: 384,
            SceneModality.TEXT: 384,
        }
    )
    located: tuple[SceneModality, ...] = (SceneModality.POINT_CLOUD, SceneModality.CAD)
    attending: tuple[SceneModality, ...] = (SceneModality.POINT_CLOUD,)
    out_dim: int = 768
    num_layers: int = 4
    num_heads: int = 12
    feedforward: int = 2048
    dropout: float = 0.1
    counts_padding: bool = False


BASELINE_SHAPE = InstanceShape(
    head_widths={
        SceneModality.POINT_CLOUD: 192,
        SceneModality.CAD: 192,
        SceneModality.IMAGE: 768,
        SceneModality.TEXT: 384,
    },
    located=(),
    attending=(),
)
"""The published `instance_baseline`: heads only, each object alone."""


class InstanceEncoder(nn.Module):
    """Features of objects -> embeddings of L2 norm 1, for each modality on its own."""

    def __init__(self, shape: InstanceShape | None = None) -> None:
        """Make the network with random weights."""
        super().__init__()
        self.shape = shape = shape or InstanceShape()
        self.modality_encoders = nn.ModuleDict(
            {
                OBJECT_MODALITIES[m]: SpatialEncoder(shape.feature_dims[m], shape, attends=m in shape.attending)
                for m in shape.located
            }
        )
        self.modality_projections = nn.ModuleDict(
            {
                OBJECT_MODALITIES[m]: ProjectionHead(dim, shape.head_widths[m], shape.out_dim)
                for m, dim in shape.feature_dims.items()
            }
        )

    def forward(
        self,
        features: Mapping[SceneModality, Tensor],
        locations: Mapping[SceneModality, Tensor],
        masks: Mapping[SceneModality, Tensor],
    ) -> dict[SceneModality, Tensor]:
        """Embed the objects of B scenes, padded to K each.

        Args:
            features: (B, K, feature_dim) by modality; modalities may be missing.
            locations: (B, K, 6) centre xyz and box size xyz, metres, z up, for located modalities.
            masks: (B, K) bool by modality: this object has it.

        Returns:
            (B, K, out_dim) by modality, of norm 1; those of missing objects mean nothing.
        """
        embeddings = {}
        for modality, values in features.items():
            name = OBJECT_MODALITIES[modality]
            if modality in self.shape.located:
                values = self.modality_encoders[name](values, locations[modality], masks[modality])
            embeddings[modality] = self.modality_projections[name](values)
        return embeddings


class SpatialEncoder(nn.Module):
    """Features of objects -> features that know where the others stand."""

    def __init__(self, width: int, shape: InstanceShape, *, attends: bool) -> None:
        """Make the layers with random weights.

        Args:
            width: C of the features.
            shape: of the instance encoder.
            attends: objects attend to each other; otherwise their location is added, and nothing else.
        """
        super().__init__()
        self.dropout = nn.Dropout(shape.dropout)
        num_layers = shape.num_layers if attends else 0
        self.spatial_encoder = nn.ModuleList(SpatialLayer(width, shape) for _ in range(num_layers))
        self.loc_layers = nn.ModuleList([nn.Sequential(nn.Linear(LOCATION_DIM, width), nn.LayerNorm(width))])
        self.num_layers = shape.num_layers
        self.counts_padding = shape.counts_padding

    def forward(self, features: Tensor, locations: Tensor, mask: Tensor) -> Tensor:
        """(B, K, C) features, (B, K, 6) locations and (B, K) bool to (B, K, C)."""
        tokens: Tensor = self.dropout(features)
        place: Tensor = self.loc_layers[0](locations)
        if not self.spatial_encoder:
            # published: the location is added once for each layer, also where the layers are left out
            return tokens + self.num_layers * place
        pairs = pair_features(locations[..., :3], None if self.counts_padding else mask)
        for layer in self.spatial_encoder:
            tokens = layer(tokens + place, pairs, mask)
        return tokens


class SpatialLayer(nn.Module):
    """Post-norm attention and MLP."""

    def __init__(self, width: int, shape: InstanceShape) -> None:
        """Make the layer with random weights."""
        super().__init__()
        self.self_attn = SpatialAttention(width, shape.num_heads, shape.dropout)
        self.linear1 = nn.Linear(width, shape.feedforward)
        self.linear2 = nn.Linear(shape.feedforward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, tokens: Tensor, pairs: Tensor, mask: Tensor) -> Tensor:
        """(B, K, C) tokens, (B, K, K, 5) pair features and (B, K) bool to (B, K, C)."""
        tokens = self.norm1(tokens + self.dropout(self.self_attn(tokens, pairs, mask)))
        hidden = self.dropout(nn.functional.gelu(self.linear1(tokens)))
        updated: Tensor = self.norm2(tokens + self.dropout(self.linear2(hidden)))
        return updated


class SpatialAttention(nn.Module):
    """Attention whose logits also ask how another object lies; what is asked depends on the asking object.

    A linear map of the object gives, for each head, a bias and 5 weights of the pair features; the sigmoid of their sum
    is multiplied into the attention. It has its own residual and norm, besides those of the layer.
    """

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        """Make the projections with random weights."""
        super().__init__()
        self.num_heads = num_heads
        self.w_qs, self.w_ks, self.w_vs, self.fc = (nn.Linear(width, width) for _ in range(4))
        self.layer_norm = nn.LayerNorm(width)
        self.lang_cond_fc = nn.Linear(width, num_heads * (1 + NUM_PAIR_FEATURES))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, pairs: Tensor, mask: Tensor) -> Tensor:
        """(B, K, C) tokens, (B, K, K, 5) pair features and (B, K) bool to (B, K, C)."""
        query, key, value = (
            projection(tokens).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for projection in (self.w_qs, self.w_ks, self.w_vs)
        )
        questions = self.lang_cond_fc(tokens).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        spatial = torch.einsum("bhid,bijd->bhij", questions[..., 1:], pairs) + questions[..., :1]
        bias = spatial.sigmoid().clamp(min=_MIN_SPATIAL).log()
        # the lowest number and not -inf, which in a scene without objects would make NaN
        bias = bias.masked_fill(~mask[:, None, None], torch.finfo(bias.dtype).min)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        mixed = self.dropout(self.fc(mixed.transpose(1, 2).flatten(2)))
        updated: Tensor = self.layer_norm(mixed + tokens)
        return updated


def pair_features(centers: Tensor, mask: Tensor | None) -> Tensor:
    """How objects lie to each other: d / largest d, dz / d, d_xy / d, dy / d_xy, dx / d_xy.

    Args:
        centers: (B, K, 3) metres, z up.
        mask: (B, K) bool: objects that count for the largest distance; None = all rows, as published.

    Returns:
        (B, K, K, 5), first index minus second.
    """
    offsets = centers[:, :, None] - centers[:, None]
    distances = (offsets.square().sum(-1) + _PAIR_EPS).sqrt()
    distances_xy = (offsets[..., :2].square().sum(-1) + _PAIR_EPS).sqrt()
    counted = distances
    if mask is not None:
        # where no pair counts, the smallest distance there is stands in
        counted = distances.masked_fill(~(mask[:, :, None] & mask[:, None]), _PAIR_EPS**0.5)
    x, y, z = offsets.unbind(-1)
    features = [
        distances / counted.amax((1, 2), keepdim=True),
        z / distances,
        distances_xy / distances,
        y / distances_xy,
        x / distances_xy,
    ]
    return torch.stack(features, -1)
