# SPDX-License-Identifier: Apache-2.0
"""The networks that LoCUS training knows by name; another is one line in `NETWORK_KINDS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from xover_core.errors import ConfigError
from xover_core.inference.compact_checkpoint import save_compact
from xover_core.inference.locus_checkpoint import save_locus
from xover_core.inference.vit_weights import load_vit_backbone
from xover_core.networks.compact_encoder import CompactEncoder
from xover_core.networks.locus_head import LocusHead
from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork
from xover_core.networks.vit_backbone import vit_shape
from xover_core.training.compact_start import make_compact
from xover_core.training.locus_settings import LocusNetworkSettings
from xover_core.training.scene_source import SceneSource

# Side of the patches whose places `FrameGeometry` gives.
_SCENE_PATCH_SIZE = 8
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class LocusNetwork(Protocol):
    """What LoCUS training trains; also an `nn.Module`."""

    @property
    def radii(self) -> tuple[float, ...]:
        """Rho of each set of features, metres, ascending."""
        ...

    def __call__(self, images: Tensor, depth: Tensor, intrinsics: Tensor) -> tuple[Tensor, ...]:
        """Describe patches of 8 px.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].
            depth: (B, H, W) metres, 0 without reading.
            intrinsics: (B, 4) fx, fy, cx, cy, px.

        Returns:
            For each radius (B, H / 8, W / 8, D), of L2 norm at most 1.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkKind:
    """How a network is made and saved.

    Attributes:
        make: from settings and the scenes it will be trained on, as some start from statistics of these.
        save: its weights, as they are to be used.
    """

    make: Callable[[LocusNetworkSettings, SceneSource], nn.Module]
    save: Callable[[nn.Module, Path], None]


def make_locus_network(settings: LocusNetworkSettings, scenes: SceneSource) -> nn.Module:
    """A fresh `LocusNetwork`, drawn from torch's global generator.

    Raises:
        ConfigError: a file is needed and not named.
        ModelError: weights that do not fit.
    """
    return NETWORK_KINDS[settings.kind].make(settings, scenes)


def save_locus_network(network: nn.Module, settings: LocusNetworkSettings, path: Path) -> None:
    """Write weights as they are to be used."""
    NETWORK_KINDS[settings.kind].save(network, path)


class BackboneHeads(nn.Module):
    """LoCUS heads on a frozen vision transformer, which sees neither depth nor camera."""

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: MultiRadiusEncoderNetwork) -> None:
        """Wrap an encoder of ImageNet-normalised images."""
        super().__init__()
        self.encoder = encoder
        self.radii = encoder.radii
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD)[:, None, None], persistent=False)

    def forward(self, images: Tensor, depth: Tensor, intrinsics: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG002
        """As `LocusNetwork`. Images are resized so that a patch of 8 px becomes one of the backbone's."""
        patch_size = self.encoder.patch_size
        if patch_size != _SCENE_PATCH_SIZE:
            size = [side // _SCENE_PATCH_SIZE * patch_size for side in images.shape[-2:]]
            images = nn.functional.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True)
        features: tuple[Tensor, ...] = self.encoder((images - self.mean) / self.std)
        return features


def _make_heads(settings: LocusNetworkSettings, scenes: SceneSource) -> nn.Module:  # noqa: ARG001
    """Fresh heads on the backbone of a file."""
    if not settings.backbone_weights:
        raise ConfigError(
            f"setting network.backbone_weights: heads are trained on a backbone with weights; name a file of"
            f" {settings.backbone}."
        )
    backbone = load_vit_backbone(Path(settings.backbone_weights), vit_shape(settings.backbone))
    heads = [LocusHead(backbone.token_dim) for _ in settings.radii]
    return BackboneHeads(MultiRadiusEncoderNetwork(backbone, heads, settings.radii))


def _save_heads(network: nn.Module, path: Path) -> None:
    """Heads and backbone in one file, for `load_locus`."""
    save_locus(cast(BackboneHeads, network).encoder, path)


def _save_compact(network: nn.Module, path: Path) -> None:
    """Weights and radii in one file, for `load_compact`."""
    save_compact(cast(CompactEncoder, network), path)


NETWORK_KINDS = {
    "compact": NetworkKind(make=make_compact, save=_save_compact),
    "heads": NetworkKind(make=_make_heads, save=_save_heads),
}
