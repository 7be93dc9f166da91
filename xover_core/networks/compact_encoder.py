# SPDX-License-Identifier: Apache-2.0
"""The compact RGB-D patch encoder: fixed metric descriptors, a small transformer, a head for each radius.

Two paths meet in each head. The base path is linear: a projection of the metric descriptors, started as a whitening, so
that training starts from good features. The context path is two transformer blocks whose attention knows how far apart
patches are in 3D; it starts from zero. The sum is averaged over the surroundings of each patch in 3D, as wide as the
head's radius asks for: patches within the radius of each other shall be alike (LoCUS, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from xover_core.errors import ModelError
from xover_core.networks.metric_stem import GRADIENTS_DIM, PATCH_SIZE, STEM_DIM, MetricStem

# Reach of each attention head, metres: the logit falls by a half at this distance. None sees everything alike.
_HEAD_REACH_M = (0.3, 1.0, 3.0, None)
# Width of the average over the surroundings, as a share of the radius.
_AVERAGE_PER_RADIUS = 0.5
_TOO_FAR = -1e4
# Patches farther away than this are rivals of a patch if they look like it: share of the radius, and so many metres.
_ELSEWHERE_PER_RADIUS, _MIN_ELSEWHERE_M = 1.5, 0.3
_NUM_RIVALS = 3
_RIVAL_WEIGHT = 0.5


class CompactEncoder(nn.Module):
    """Image, depth and camera -> patch features for each radius; their norm says how distinctive a patch is."""

    patch_size = PATCH_SIZE

    def __init__(
        self,
        radii: Sequence[float] = (0.2, 0.6, 2.0),
        *,
        gradient_dim: int = 192,
        other_dim: int = 32,
        width: int = 128,
        num_blocks: int = 2,
        feature_dim: int = 128,
    ) -> None:
        """Make an encoder with a random base projection; see `start_from_whitening`.

        Args:
            radii: metres, ascending.
            gradient_dim: dimensions of the linear path for gradients, at least `feature_dim`.
            other_dim: the same for colour, relief and distance.
            width: of the transformer blocks, a multiple of 4.
            num_blocks: transformer blocks; 0 for none.
            feature_dim: D, length of the features.

        Raises:
            ModelError: radii that do not ascend.
        """
        super().__init__()
        if not radii or list(radii) != sorted(set(radii)):
            raise ModelError(f"compact encoder: expected ascending radii, got {list(radii)}.")
        self.radii = tuple(radii)
        self.feature_dim = feature_dim
        self.stem = MetricStem()
        self.gradients = nn.Linear(GRADIENTS_DIM, gradient_dim)
        self.others = nn.Linear(STEM_DIM - GRADIENTS_DIM, other_dim)
        base_dim = gradient_dim + other_dim
        self.enter = nn.Linear(base_dim, width)
        self.blocks = nn.ModuleList(_SpatialBlock(width) for _ in range(num_blocks))
        self.norm = nn.LayerNorm(width)
        self.base_heads = nn.ModuleList(nn.Linear(base_dim, feature_dim) for _ in radii)
        self.context_heads = nn.ModuleList(_zero_linear(width, feature_dim) for _ in radii)

    def averaged_descriptors(self, images: Tensor, depth: Tensor, intrinsics: Tensor) -> Tensor:
        """(B, N, C) descriptors of the stem, averaged as for the smallest radius: what a whitening is fitted to."""
        descriptors, points = self.stem(images, depth, intrinsics)
        averaged: Tensor = _average_weights(points, self.radii[0]) @ descriptors
        return averaged

    def start_from_whitening(self, gradients: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor]) -> None:
        """Set the linear path to (x - mean) @ basis, and every head to the first dimensions of the gradients.

        Args:
            gradients: mean (C,) of the stem's gradients, and (C, gradient_dim) principal directions, largest variance
                first, each over its standard deviation.
            others: the same for the dimensions that follow.
        """
        with torch.no_grad():
            for layer, (mean, basis) in ((self.gradients, gradients), (self.others, others)):
                layer.weight.copy_(basis.T)
                layer.bias.copy_(-mean @ basis)
            for head in self.base_heads:
                linear = cast(nn.Linear, head)
                linear.weight.copy_(torch.eye(*linear.weight.shape))
                linear.bias.zero_()

    def forward(self, images: Tensor, depth: Tensor, intrinsics: Tensor) -> tuple[Tensor, ...]:
        """Describe all patches.

        Args:
            images: (B, 3, H, W) RGB in [0, 1], sides multiples of 8.
            depth: (B, H, W) metres, 0 without reading; all zeros for a camera without depth.
            intrinsics: (B, 4) fx, fy, cx, cy, px.

        Returns:
            For each radius (B, rows, cols, D): unit vectors times how distinctive the patch is, in (0, 1].
        """
        grid = images.shape[2] // PATCH_SIZE, images.shape[3] // PATCH_SIZE
        base, tokens, points = self._inputs(images, depth, intrinsics)
        rivals = rival_patches(grid, images.device)
        with torch.no_grad():
            squared = squared_distances(points, points[:, rivals])
        features = []
        for radius, base_head, context_head in zip(self.radii, self.base_heads, self.context_heads, strict=True):
            mixed = base_head(base) + context_head(tokens)
            averaged = _average_weights(points, radius) @ mixed
            scaled = scale_by_distinctiveness(averaged, squared, rivals, radius)
            features.append(scaled.reshape(images.shape[0], *grid, -1))
        return tuple(features)

    def head_inputs(self, images: Tensor, depth: Tensor, intrinsics: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """What the heads see, for training them alone.

        Returns:
            For each radius (B, N, base + width), inputs of its base and context head side by side, averaged as
            `forward` averages: heads are linear and the weights of an average sum to 1, so a head may come after the
            average as well. And (B, N, 3) points in the camera frame, for `scale_by_distinctiveness`.
        """
        base, tokens, points = self._inputs(images, depth, intrinsics)
        inputs = torch.cat([base, tokens], dim=2)
        return tuple(_average_weights(points, radius) @ inputs for radius in self.radii), points

    def _inputs(self, images: Tensor, depth: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N, base) linear path, (B, N, width) context path, (B, N, 3) points in the camera frame."""
        with torch.no_grad():
            descriptors, points = self.stem(images, depth, intrinsics)
        grid = images.shape[2] // PATCH_SIZE, images.shape[3] // PATCH_SIZE
        gradients, others = descriptors.split([GRADIENTS_DIM, STEM_DIM - GRADIENTS_DIM], dim=2)
        base = torch.cat([self.gradients(gradients), self.others(others)], dim=2)
        return base, self._context(base, points, grid), points

    def _context(self, base: Tensor, points: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, N, width) tokens that know of their surroundings."""
        tokens = self.enter(base)
        if len(self.blocks):
            bias = _attention_bias(points, grid)
            for block in self.blocks:
                tokens = block(tokens, bias, grid)
        normed: Tensor = self.norm(tokens)
        return normed


def rival_patches(grid: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """(M,) every second patch of every second row: enough to see whether a patch is like others of its frame."""
    return torch.arange(grid[0] * grid[1], device=device).reshape(grid)[::2, ::2].flatten()


def scale_by_distinctiveness(averaged: Tensor, squared: Tensor, rivals: Tensor, radius: float) -> Tensor:
    """Unit features, shortened for patches that look like others of the same frame that lie elsewhere.

    A patch of a plain wall resembles all of the wall. Shortening its feature lowers its similarity with everything, so
    that similarities of different patches can be compared: with a wall's, a book's lower one wins.

    Args:
        averaged: (B, N, D) outputs of a head.
        squared: (B, N, M) squared distances of the patches from the rivals, m^2.
        rivals: (M,) of the patches.
        radius: of the head, m.

    Returns:
        (B, N, D) with norms in (0, 1].
    """
    unit = functional.normalize(averaged, dim=2)
    similarities = unit @ unit[:, rivals].transpose(1, 2)
    is_elsewhere = squared > max(_ELSEWHERE_PER_RADIUS * radius, _MIN_ELSEWHERE_M) ** 2
    nearest = (similarities * is_elsewhere).topk(min(_NUM_RIVALS, len(rivals)), dim=2).values
    return unit * torch.exp(-_RIVAL_WEIGHT * nearest.mean(2, keepdim=True).clamp_min(0))


def _zero_linear(in_dim: int, out_dim: int) -> nn.Linear:
    """A linear layer that gives nothing before it is trained."""
    layer = nn.Linear(in_dim, out_dim, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


class _SpatialBlock(nn.Module):
    """Pre-norm transformer block; keys and values are means of 2 x 2 patches, logits fall with distance in 3D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_heads = len(_HEAD_REACH_M)
        self.norm1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, tokens: Tensor, bias: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, N, width) tokens with (B, heads, N, M) bias."""
        normed = self.norm1(tokens)
        coarse = _pool_tokens(normed, grid)
        key, value = self.key_value(coarse).chunk(2, dim=2)
        query, key, value = (self._heads(part) for part in (self.query(normed), key, value))
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        tokens = tokens + self.proj(attended.transpose(1, 2).flatten(2))
        mixed: Tensor = tokens + self.mlp(self.norm2(tokens))
        return mixed

    def _heads(self, tokens: Tensor) -> Tensor:
        """(B, N, width) to (B, heads, N, width of a head)."""
        batch_size, count, width = tokens.shape
        return tokens.reshape(batch_size, count, self.num_heads, width // self.num_heads).transpose(1, 2)


def _pool_tokens(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, M, C) means over 2 x 2 patches; an odd last row or column is left alone."""
    maps = tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *grid)
    return functional.avg_pool2d(maps, 2, ceil_mode=True, count_include_pad=False).flatten(2).transpose(1, 2)


@torch.no_grad()
def _average_weights(points: Tensor, radius: float) -> Tensor:
    """(B, N, N) rows that sum to 1 and fall with the distances of (B, N, 3) points, as wide as the radius asks for.

    softmax(-c |p - q|^2) over q is softmax(2c p q - c |q|^2), since |p|^2 is the same in a whole row: one product, and
    no pass over all pairs.
    """
    factor = 0.5 / (_AVERAGE_PER_RADIUS * radius) ** 2
    middle = points - points.mean(1, keepdim=True)
    lengths = (middle**2).sum(2, keepdim=True)
    left = torch.cat([2 * factor * middle, torch.full_like(lengths, -factor)], dim=2)
    return torch.softmax(left @ torch.cat([middle, lengths], dim=2).transpose(1, 2), dim=2)


@torch.no_grad()
def _attention_bias(points: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, heads, N, M) what distance takes off the logits."""
    squared = squared_distances(points, _pool_tokens(points, grid))
    slopes = torch.tensor([0.0 if reach is None else -0.5 / reach**2 for reach in _HEAD_REACH_M], device=points.device)
    return (squared[:, None] * slopes[:, None, None]).clamp_min(_TOO_FAR)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """(B, N, M) squared distances of points, m^2."""
    products = a @ b.transpose(1, 2)
    return ((a**2).sum(2)[:, :, None] + (b**2).sum(2)[:, None] - 2 * products).clamp_min(0)
