# SPDX-License-Identifier: Apache-2.0
"""A DINO or DINOv2 network with the tensor names of the published weights, written from their description."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from xover_core.networks.locus_head import LocusHead
from xover_core.networks.vit_backbone import VitShape

TINY_DINO = VitShape(family="dino", width=32, num_heads=2, patch_size=8, trained_size=32, num_blocks=2)
TINY_DINOV2 = VitShape(family="dinov2", width=32, num_heads=2, patch_size=14, trained_size=56, num_blocks=2)
TINY_SWIGLU = dataclasses.replace(TINY_DINOV2, use_swiglu=True)


class PublishedVit(nn.Module):
    """All blocks and the final norm; `forward` gives the residual stream after `shape.num_blocks`."""

    def __init__(self, shape: VitShape, *, num_spare_blocks: int = 1) -> None:
        super().__init__()
        self.shape = shape
        num_patches = (shape.trained_size // shape.patch_size) ** 2
        self.cls_token = nn.Parameter(torch.randn(1, 1, shape.width))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + num_patches, shape.width))
        if shape.family == "dinov2":
            self.mask_token = nn.Parameter(torch.zeros(1, shape.width))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, shape.width, shape.patch_size, shape.patch_size)
        self.blocks = nn.ModuleList(PublishedBlock(shape) for _ in range(shape.num_blocks + num_spare_blocks))
        self.norm = nn.LayerNorm(shape.width, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patch_embed.proj(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), tokens], 1) + self.positions(images)
        for block in self.blocks[: self.shape.num_blocks]:
            tokens = block(tokens)
        return tokens

    def values(self, images: Tensor) -> Tensor:
        """Values of the last of `shape.num_blocks` blocks, by a hook on its qkv as CrossOver takes them."""
        found: list[Tensor] = []
        hook = self.blocks[self.shape.num_blocks - 1].attn.qkv.register_forward_hook(
            lambda module, inputs, output: found.append(output)
        )
        self(images)
        hook.remove()
        return nn.functional.normalize(found[0][:, :, 2 * self.shape.width :], dim=-1)

    def positions(self, images: Tensor) -> Tensor:
        """As published: the factor aims at a tenth of a patch more."""
        side = self.shape.trained_size // self.shape.patch_size
        rows, cols = (length // self.shape.patch_size for length in images.shape[-2:])
        if rows == cols == side:
            return self.pos_embed
        grid = self.pos_embed[0, 1:].T.reshape(1, -1, side, side)
        factors = ((rows + 0.1) / side, (cols + 0.1) / side)
        grid = nn.functional.interpolate(grid, scale_factor=factors, mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid[0].flatten(1).T[None]], 1)


class PublishedBlock(nn.Module):
    """A pre-norm block, with layer scale in DINOv2."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        width = shape.width
        self.num_heads = shape.num_heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp, self.ls1, self.ls2 = (nn.Module() for _ in range(4))
        self.attn.qkv, self.attn.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.use_swiglu = shape.use_swiglu
        if shape.use_swiglu:
            hidden = (8 * width // 3 + 7) // 8 * 8
            self.mlp.w12, self.mlp.w3 = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)
        else:
            self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        if shape.family == "dinov2":
            self.ls1.gamma, self.ls2.gamma = (nn.Parameter(torch.rand(width)) for _ in range(2))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + getattr(self.ls1, "gamma", 1.0) * self.attend(self.norm1(tokens))
        return tokens + getattr(self.ls2, "gamma", 1.0) * self.mix(self.norm2(tokens))

    def mix(self, tokens: Tensor) -> Tensor:
        if not self.use_swiglu:
            return self.mlp.fc2(nn.functional.gelu(self.mlp.fc1(tokens)))
        gate, value = self.mlp.w12(tokens).chunk(2, dim=-1)
        return self.mlp.w3(nn.functional.silu(gate) * value)

    def attend(self, tokens: Tensor) -> Tensor:
        batch, length, width = tokens.shape
        qkv = self.attn.qkv(tokens).reshape(batch, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        shares = (qkv[0] @ qkv[1].mT * (width // self.num_heads) ** -0.5).softmax(-1)
        return self.attn.proj((shares @ qkv[2]).transpose(1, 2).reshape(batch, length, width))


def published_checkpoint(backbone: PublishedVit, head: LocusHead) -> dict[str, Tensor]:
    """The weights in a LoCUS checkpoint."""
    tensors = {f"dino_model.{key}": value for key, value in backbone.state_dict().items()}
    return tensors | {f"trainable_head.{key}": value for key, value in head.state_dict().items()}
