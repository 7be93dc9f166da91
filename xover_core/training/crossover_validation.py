# SPDX-License-Identifier: Apache-2.0
"""How well a light CrossOver finds scenes and objects again while it is trained: top-1 recalls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from xover_core.networks.light_crossover import LightCrossover
from xover_core.training.room_batches import RoomBatch, SceneTensors
from xover_core.types import SceneModality

_SCENE_PAIRS = (
    (SceneModality.IMAGE, SceneModality.POINT_CLOUD),
    (SceneModality.IMAGE, SceneModality.TEXT),
    (SceneModality.POINT_CLOUD, SceneModality.TEXT),
    (SceneModality.IMAGE, SceneModality.FLOORPLAN),
    (SceneModality.POINT_CLOUD, SceneModality.FLOORPLAN),
    (SceneModality.TEXT, SceneModality.FLOORPLAN),
)
_OBJECT_PAIRS = (
    (SceneModality.POINT_CLOUD, SceneModality.IMAGE),
    (SceneModality.POINT_CLOUD, SceneModality.CAD),
    (SceneModality.POINT_CLOUD, SceneModality.TEXT),
)


class EmbedScene(Protocol):
    """`embed_scene` of the task."""

    def __call__(self, model: LightCrossover, scene: SceneTensors) -> Mapping[SceneModality, Tensor]:
        """(B, D) by modality."""
        ...


@torch.no_grad()
def measure_scenes(model: LightCrossover, batches: Sequence[RoomBatch], embed: EmbedScene) -> dict[str, float]:
    """Share of scenes that are ranked first among all, for pairs of modalities, and for the cloud of a rescan."""
    found: dict[SceneModality, list[Tensor]] = {}
    masks: dict[SceneModality, list[Tensor]] = {}
    rescans = []
    for batch in batches:
        embedded = embed(model, batch.first)
        for modality, values in embedded.items():
            found.setdefault(modality, []).append(values)
            masks.setdefault(modality, []).append(batch.first.masks[modality])
        assert batch.second is not None, "for measuring, both scans are there"
        again = batch.second
        rescans.append(model.embed_cloud(again.cloud, again.cloud_colors, again.cloud_layouts))
    joined = {modality: torch.cat(values) for modality, values in found.items()}
    present = {modality: torch.cat(values) for modality, values in masks.items()}
    recalls = {f"{a.value}_{b.value}": _top1(joined[a], joined[b], present[a] & present[b]) for a, b in _SCENE_PAIRS}
    cloud = joined[SceneModality.POINT_CLOUD]
    recalls["rescan"] = _top1(torch.cat(rescans), cloud, torch.ones(len(cloud), dtype=torch.bool))
    return recalls


@torch.no_grad()
def measure_objects(model: LightCrossover, batches: Sequence[RoomBatch]) -> dict[str, float]:
    """Share of objects that are ranked first within their scene, for pairs of modalities, and in a rescan."""
    hits: dict[str, list[float]] = {}
    for batch in batches:
        assert batch.second is not None, "for measuring, both scans are there"
        first, second = batch.first.objects, batch.second.objects
        embedded, again = model.embed_objects(first), model.embed_objects(second)
        pairs = {f"object_{a.value}_{b.value}": (embedded[a], embedded[b], first.masks[a] & first.masks[b])
                 for a, b in _OBJECT_PAIRS}  # fmt: skip
        cloud = SceneModality.POINT_CLOUD
        pairs["object_rescan"] = (again[cloud], embedded[cloud], first.masks[cloud] & second.masks[cloud])
        for name, (queries, database, masks) in pairs.items():
            for query, rows, mask in zip(queries, database, masks, strict=True):
                if int(mask.sum()) > 1:
                    hits.setdefault(name, []).append(_top1(query, rows, mask))
    return {name: sum(values) / len(values) for name, values in hits.items()}


def _top1(queries: Tensor, database: Tensor, mask: Tensor) -> float:
    """Share of the rows that have both whose own one is strictly the best; NaN-free: 0 without any."""
    similarities = queries[mask] @ database[mask].T
    if not len(similarities):
        return 0.0
    own = similarities.diagonal()
    return float(((similarities >= own[:, None]).sum(dim=1) == 1).float().mean())
