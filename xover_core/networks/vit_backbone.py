# SPDX-License-Identifier: Apache-2.0
"""Frozen vision transformers (DINO, DINOv2) whose patch tokens the LoCUS heads read; needs the `transformers` library.

The tokens are the residual stream after block 11 of 12, without the final norm, as in LoCUS. So the last block and the
final norm are not made at all. CrossOver reads the values of block 31's attention instead (`VitBackbone.values`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from xover_core.errors import BackendUnavailableError, ModelError, SensorDataError

# DINO and DINOv2 resize their position embedding by a factor that aims a tenth of a patch beyond the new size, which
# moves it by up to that much. Their weights, and the heads on them, have seen no other.
PUBLISHED_POSITION_OFFSET = 0.1
FAMILIES = ("dino", "dinov2")
# Grids whose position embedding is kept; a camera has one. Of ViT-B/8 at 256x320 it takes 4 MB.
_MAX_KEPT_GRIDS = 8
# Sharpness of the cubic that DINO and DINOv2 resize by.
_CUBIC = -0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class VitShape:
    """What distinguishes one backbone from another.

    Attributes:
        family: one of `FAMILIES`; DINOv2 scales what its layers add.
        width: C, length of the tokens.
        num_heads: attention heads.
        patch_size: side of a patch, px.
        trained_size: side of the square images that the position embedding is for, px.
        num_blocks: blocks that are run.
        total_blocks: blocks of the published network.
        use_swiglu: the MLPs are gated, as in DINOv2's largest.
    """

    family: str
    width: int
    num_heads: int
    patch_size: int
    trained_size: int
    num_blocks: int = 11
    total_blocks: int = 12
    use_swiglu: bool = False

    def __post_init__(self) -> None:
        """Check the family, which chooses the architecture."""
        if self.family not in FAMILIES:
            raise ModelError(f"backbone family: expected one of {', '.join(FAMILIES)}, got {self.family!r}.")


VIT_SHAPES = {
    "dino-vitb8": VitShape(family="dino", width=768, num_heads=12, patch_size=8, trained_size=224),
    "dino-vits8": VitShape(family="dino", width=384, num_heads=6, patch_size=8, trained_size=224),
    "dinov2-vitb14": VitShape(family="dinov2", width=768, num_heads=12, patch_size=14, trained_size=518),
    "dinov2-vits14": VitShape(family="dinov2", width=384, num_heads=6, patch_size=14, trained_size=518),
}

DINOV2_VITG14 = VitShape(
    family="dinov2",
    width=1536,
    num_heads=24,
    patch_size=14,
    trained_size=518,
    num_blocks=32,
    total_blocks=40,
    use_swiglu=True,
)
"""CrossOver's; its last block that is made is block 31, counted from 0, of which only the values are used."""


def vit_shape(name: str) -> VitShape:
    """A known backbone's shape.

    Raises:
        ModelError: no backbone has this name.
    """
    if name not in VIT_SHAPES:
        raise ModelError(f"backbone {name!r}: unknown; known are {', '.join(VIT_SHAPES)}.")
    return VIT_SHAPES[name]


class VitBackbone(nn.Module):
    """Images -> class token and patch tokens, without gradients and always in evaluation mode."""

    def __init__(self, shape: VitShape, *, position_offset: float = PUBLISHED_POSITION_OFFSET) -> None:
        """Make a backbone with random weights.

        Args:
            shape: of the network.
            position_offset: patches by which the resized position embedding is drawn out, as published; 0 fits it.

        Raises:
            BackendUnavailableError: `transformers` is missing or cannot be loaded.
        """
        super().__init__()
        model = _make_transformers_model(shape)
        self.embeddings = model.embeddings
        self.layers = model.layers if shape.family == "dino" else model.encoder.layer
        self.shape = shape
        self.position_offset = position_offset
        self._kept_positions: dict[tuple[object, ...], Tensor] = {}
        self.register_load_state_dict_post_hook(_forget_positions)  # type: ignore[no-untyped-call]
        self.requires_grad_(False)
        self.eval()

    @property
    def token_dim(self) -> int:
        """C, length of the tokens."""
        return self.shape.width

    @property
    def patch_size(self) -> int:
        """Side of a patch, px."""
        return self.shape.patch_size

    def train(self, mode: bool = True) -> VitBackbone:  # noqa: ARG002
        """Stay in evaluation mode, whatever the network around does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Tokens of images whose sides are multiples of the patch size.

        Args:
            images: (B, 3, H, W), normalised with ImageNet's mean and deviation.

        Returns:
            (B, 1 + N, C) class token, then N patches row by row.
        """
        tokens = self._embed(images)
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens

    @torch.no_grad()
    def values(self, images: Tensor) -> Tensor:
        """Values of the attention of the last block, each of L2 norm 1 (AnyLoc's value facet, as in CrossOver).

        Args:
            images: (B, 3, H, W), as for `forward`.

        Returns:
            (B, 1 + N, C) class token, then N patches row by row.
        """
        tokens = self._embed(images)
        for layer in self.layers[:-1]:
            tokens = layer(tokens)
        last = self.layers[-1]
        norm = last.norm1 if self.shape.family == "dinov2" else last.layernorm_before
        return nn.functional.normalize(last.attention.v_proj(norm(tokens)), dim=-1)

    def _embed(self, images: Tensor) -> Tensor:
        """Tokens before the first block; SensorDataError for sides that are no multiples of the patch size."""
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise SensorDataError(
                f"images for a backbone with patches of {self.patch_size} px: expected sides that are multiples of it,"
                f" got {height}x{width}; resize them first."
            )
        patches = self.embeddings.patch_embeddings(images)
        class_token = self.embeddings.cls_token.expand(images.shape[0], -1, -1)
        tokens = torch.cat([class_token, patches], dim=1)
        return tokens + self.position_embedding(height // self.patch_size, width // self.patch_size)

    def position_embedding(self, rows: int, cols: int) -> Tensor:
        """(1, 1 + rows * cols, C) position embedding, resized bicubically to the grid; made once for the first grids.

        What is kept is never dropped, since a recorded CUDA graph goes on reading it.
        """
        if torch.compiler.is_compiling():
            # lengths may be symbols there
            return self._resize_positions(rows, cols)
        positions = self.embeddings.position_embeddings
        key = (rows, cols, self.position_offset, positions.dtype, positions.device)
        if key in self._kept_positions:
            return self._kept_positions[key]
        resized = self._resize_positions(rows, cols)
        # memory that is taken while a CUDA graph is recorded belongs to that graph
        is_recorded = positions.is_cuda and torch.cuda.is_current_stream_capturing()
        if len(self._kept_positions) < _MAX_KEPT_GRIDS and not is_recorded:
            self._kept_positions[key] = resized
        return resized

    def _resize_positions(self, rows: int, cols: int) -> Tensor:
        """See `position_embedding`; lengths may be symbols, and every backend computes these operations alike."""
        embedding: Tensor = self.embeddings.position_embeddings
        side = self.shape.trained_size // self.patch_size
        # in float32: half precision would move the embedding
        grid = embedding[0, 1:].float().reshape(side, side, -1)
        counts = [torch.ones(length, device=grid.device).sum() for length in (rows, cols)]
        # as published: on the grid that it was trained for, it is as it was trained
        is_trained = (counts[0] == side) & (counts[1] == side)
        offset = torch.where(is_trained, 0.0, self.position_offset)
        for axis, (length, count) in enumerate(zip((rows, cols), counts, strict=True)):
            centers = (torch.arange(length, device=grid.device) + 0.5) * (side / (count + offset)) - 0.5
            grid = _sample_bicubic(grid.movedim(axis, 0), centers).movedim(0, axis)
        return torch.cat([embedding[:, :1], grid.flatten(0, 1)[None].to(embedding.dtype)], dim=1)


def _sample_bicubic(values: Tensor, positions: Tensor) -> Tensor:
    """(P, A, C) cubic interpolation of (L, A, C) at (P,) positions on the first axis; beyond its ends they go on."""
    taps = positions.floor()[:, None] + torch.arange(-1, 3, device=positions.device)
    distance = (positions[:, None] - taps).abs()
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance * distance + 1
    far = ((distance - 5) * distance + 8) * distance * _CUBIC - 4 * _CUBIC
    weights = torch.where(distance <= 1, near, far)
    return (values[taps.long().clamp(0, values.shape[0] - 1)] * weights[:, :, None, None]).sum(dim=1)


def _forget_positions(backbone: nn.Module, _: object) -> None:
    """Other weights, other embeddings."""
    cast(VitBackbone, backbone)._kept_positions.clear()


def _make_transformers_model(shape: VitShape) -> Any:
    """The library's model with only the blocks that are run."""
    try:
        from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTModel
    except (ImportError, RuntimeError, OSError) as error:
        raise BackendUnavailableError(
            f"DINO and DINOv2 backbones need the library transformers, which cannot be loaded ({error});"
            ' pip install "xover[vit]", and uninstall a torchvision that does not fit torch.'
        ) from error
    size = {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.num_blocks,
        "num_attention_heads": shape.num_heads,
        "image_size": shape.trained_size,
        "patch_size": shape.patch_size,
        "layer_norm_eps": 1e-6,
    }
    if shape.family == "dino":
        return ViTModel(ViTConfig(**size, intermediate_size=4 * shape.width), add_pooling_layer=False)
    return Dinov2Model(Dinov2Config(**size, mlp_ratio=4, use_mask_token=False, use_swiglu_ffn=shape.use_swiglu))
