# SPDX-License-Identifier: Apache-2.0
"""What is in a room and in which colours, told by each modality in the same words, as a part of its embedding.

Each modality is recognised by a network of its own, all with the same outcome: probabilities of K traits
(`datasets.procedural.room_traits`: a sofa, a red sofa, two chairs, a kitchen). One linear map makes a part of the
embedding of what a scene holds, another one of what a text says of it: a text names little of what is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from xover_core.networks.plan_recognition import PlanThings
from xover_core.networks.thing_recognition import CloudThings, ThingHead
from xover_core.networks.trait_tagger import TraitTagger
from xover_core.networks.view_recognition import ViewThings

# Amounts that are as good as nothing: voxels of a cloud, share of a view.
_LEAST_VOXELS, _LEAST_SHARE = 0.3, 0.001
# The length of one thing that is named for sure is about 1.
_LEAST_SAID = 0.1
_THING_HIDDEN, _PLAN_HIDDEN = 96, 128
# Most traits cannot be seen in drawings, such as colours, and would be learned by heart.
_PLAN_DROPOUT = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryShape:
    """Sizes that data decide; they are written beside the weights.

    Attributes:
        num_classes: of things, and of what they stand between.
        num_looks: colours and materials.
        num_pairs: of both that are told apart.
        num_traits: K.
        view_planes: of the picture of a view.
        patch_dim: of the features of a patch of a view.
        num_planes: of a slice of a cloud.
        num_slices: of a cloud.
        num_kinds: of things that drawings show.
        head_dim: of what an embedding says without colours, layout and inventory.
        kept_dim: of these that are kept beside an inventory.
        dim: of an inventory.
        gram_dim: of a piece of a word.
    """

    num_classes: int
    num_looks: int
    num_pairs: int
    num_traits: int
    view_planes: int
    patch_dim: int
    num_planes: int
    num_slices: int
    num_kinds: int
    head_dim: int = 448
    kept_dim: int = 320
    dim: int = 128
    gram_dim: int = 64


class AmountTraits(nn.Module):
    """Amounts of things -> logits of traits: a large bed has more voxels than a small one, a kitchen has a stove."""

    def __init__(self, num_pairs: int, num_traits: int, least: float, rank: int = 64) -> None:
        """Make it with random weights.

        Args:
            num_pairs: P.
            num_traits: K.
            least: an amount that is as good as nothing.
            rank: numbers in between.
        """
        super().__init__()
        self.least = least
        self.linear = nn.Sequential(nn.Linear(num_pairs, rank), nn.Linear(rank, num_traits))

    def forward(self, amounts: Tensor) -> Tensor:
        """(B, P) to (B, K)."""
        logits: Tensor = self.linear((amounts / self.least + 1).log())
        return logits


class SceneInventory(nn.Module):
    """Traits from each modality, and what they make of an embedding."""

    mean: Tensor
    basis: Tensor

    def __init__(self, shape: InventoryShape) -> None:
        """Make the networks with random weights."""
        super().__init__()
        self.shape = shape
        sizes = _THING_HIDDEN, shape.num_classes, shape.num_looks, shape.num_pairs
        self.cloud = CloudThings(ThingHead(*sizes), shape.num_planes, shape.num_slices)
        self.views = ViewThings(ThingHead(*sizes), shape.view_planes, shape.patch_dim)
        self.cloud_traits = AmountTraits(shape.num_pairs, shape.num_traits, _LEAST_VOXELS)
        self.view_traits = AmountTraits(shape.num_pairs, shape.num_traits, _LEAST_SHARE)
        self.floorplan = PlanThings(shape.num_kinds)
        self.floorplan_traits = nn.Sequential(
            nn.Linear(self.floorplan.summary_dim, _PLAN_HIDDEN),
            nn.GELU(),
            nn.Dropout(_PLAN_DROPOUT),
            nn.Linear(_PLAN_HIDDEN, shape.num_traits),
        )
        self.text = TraitTagger(shape.num_traits, gram_dim=shape.gram_dim)
        self.held = nn.Linear(shape.num_traits, shape.dim, bias=False)
        self.said = nn.Linear(shape.num_traits, shape.dim, bias=False)
        # of traits in rooms; directions in which heads differ; how much an inventory weighs in scenes and in texts
        self.register_buffer("mean", torch.zeros(shape.num_traits))
        self.register_buffer("basis", torch.eye(shape.kept_dim, shape.head_dim))
        self.weights = nn.Parameter(torch.ones(2))

    def join(self, embeddings: Tensor, inventories: Tensor | None, *, is_text: bool = False) -> Tensor:
        """Put inventories into embeddings.

        Args:
            embeddings: (B, D): heads, then colours and layout.
            inventories: (B, dim) of norm 1; None where there are none.
            is_text: they are of what is said, not of what is there.

        Returns:
            (B, D) of norm 1: fewer dimensions of the heads, inventories, colours and layout.
        """
        heads = embeddings[:, : self.shape.head_dim]
        if inventories is None:
            inventories = heads.new_zeros(len(heads), self.shape.dim)
        weighted = inventories * heads.norm(dim=1, keepdim=True) * self.weights[int(is_text)]
        parts = [heads @ self.basis.T, weighted, embeddings[:, self.shape.head_dim :]]
        return functional.normalize(torch.cat(parts, dim=1), dim=1)

    def of_cloud(self, planes: Tensor) -> Tensor:
        """(B, C, S, H, W) slices of clouds to (B, dim)."""
        return self.embed_held(self.cloud_traits(self.cloud(planes)))

    def of_views(self, amounts: Tensor) -> Tensor:
        """(B, P) means over the views of each scene to (B, dim)."""
        return self.embed_held(self.view_traits(amounts))

    def of_floorplan(self, rasters: Tensor) -> Tensor:
        """(B, H, W) ink in [0, 1] of `encoders.plan_raster` to (B, dim)."""
        return self.embed_held(self.floorplan_traits(self.floorplan(rasters)))

    def of_text(self, words: Tensor) -> Tensor:
        """(B, W, G) ids to (B, dim)."""
        return self.embed_said(self.text(words))

    def embed_held(self, logits: Tensor) -> Tensor:
        """(B, K) logits of what scenes hold to (B, dim); what all rooms have says nothing."""
        return functional.normalize(self.held(logits.sigmoid() - self.mean), dim=1)

    def embed_said(self, logits: Tensor) -> Tensor:
        """(B, K) logits of what texts say to (B, dim); a text that names nothing says nothing."""
        said: Tensor = self.said(logits.sigmoid())
        lengths = said.norm(dim=1, keepdim=True)
        weakened: Tensor = said / (lengths**2 + _LEAST_SAID**2).sqrt()
        return weakened
