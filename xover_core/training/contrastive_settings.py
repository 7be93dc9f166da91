# SPDX-License-Identifier: Apache-2.0
"""Settings of CrossOver's contrastive losses; `RELEASED` is what the published code does."""

from __future__ import annotations

from dataclasses import dataclass

from xover_core.config import Settings, setting
from xover_core.types import SceneModality


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastiveSettings(Settings):
    """Which pairs are compared, and how the terms are weighed."""

    missing_rows: str = setting(
        "ignored",
        "objects and scenes without a modality: ignored, or released: negatives of all others",
        choices=("ignored", "negatives"),
    )
    instance_pairs: str = setting(
        "all", "objects: all pairs of modalities, or released: base_modality with each other", choices=("all", "base")
    )
    base_modality: str = setting(
        SceneModality.IMAGE.value,
        "objects: the one that instance_pairs = base takes",
        choices=tuple(modality.value for modality in SceneModality),
    )
    scene_pairs: str = setting(
        "fused",
        "scenes: fused objects with each modality, all pairs of modalities, or both",
        choices=("fused", "modalities", "both"),
    )
    scene_directions: str = setting(
        "mean", "of the two directions of a pair of scenes, mean or released: sum", choices=("mean", "sum")
    )
    same_place: str = setting(
        "excluded",
        "rescans of a place in one batch: excluded, positive, or released: negative",
        choices=("excluded", "positive", "negative"),
    )
    alpha: float = setting(1.0, "weight of scene terms with a 1D modality: text", minimum=0.0)
    beta: float = setting(1.0, "weight of scene terms with a 2D modality: image, floorplan", minimum=0.0)
    gamma: float = setting(1.0, "weight of scene terms with a 3D modality: point_cloud, cad", minimum=0.0)
    instance_weight: float = setting(1.0, "weight of the instance loss in the joint loss", minimum=0.0)
    temperature: float = setting(0.07, "at the start of a training", minimum=0.01)
    learns_temperature: bool = setting(True, "the temperature is learned; released: False")

    def weight(self, modality: SceneModality) -> float:
        """alpha, beta or gamma, by the modality's dimension."""
        if modality is SceneModality.TEXT:
            return self.alpha
        return self.beta if modality in (SceneModality.IMAGE, SceneModality.FLOORPLAN) else self.gamma


RELEASED = ContrastiveSettings(
    missing_rows="negatives",
    instance_pairs="base",
    scene_directions="sum",
    same_place="negative",
    learns_temperature=False,
)
"""As in the published code: missing rows are negatives, the temperature stays 0.07, nothing is weighted."""
