# SPDX-License-Identifier: Apache-2.0
"""The light CrossOver as a task of the training engine: objects, their fusion, encoders of scenes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from xover_core.encoders.cloud_voxels import VOXEL_DIM
from xover_core.encoders.color_histogram import NUM_COLOR_CELLS
from xover_core.encoders.layout_signature import LAYOUT_DIM
from xover_core.encoders.light_scene_encoder import VIEW_BACKBONE
from xover_core.encoders.object_inputs import POINT_DIM
from xover_core.encoders.view_tokens import ViewTokenizer
from xover_core.errors import ModelError, TrainingError
from xover_core.inference.compact_session import make_compact_session
from xover_core.inference.light_checkpoint import save_light
from xover_core.inference.weights_file import read_safetensors
from xover_core.networks.light_crossover import LightCrossover, LightShape
from xover_core.training.contrastive_loss import Masks, Temperature, instance_loss, scene_loss, symmetric_info_nce
from xover_core.training.crossover_settings import CrossoverSettings
from xover_core.training.crossover_validation import measure_objects, measure_scenes
from xover_core.training.feature_folder import PlaceFeatures
from xover_core.training.room_attributes import AttributeHead, AttributeReader
from xover_core.training.room_batches import RoomBatch, RoomSampler, SceneTensors, make_batch
from xover_core.types import SceneModality

Embeddings = dict[SceneModality, Tensor]

# What is looked for in the other scan of a place: (in the first, in the second).
_RESCAN_PAIRS = (
    (SceneModality.POINT_CLOUD, SceneModality.POINT_CLOUD),
    (SceneModality.IMAGE, SceneModality.IMAGE),
    (SceneModality.IMAGE, SceneModality.POINT_CLOUD),
)
# Scans that the statistics of tokens are taken from.
_MAX_STATISTICS = 200
_OBJECT_PARTS = ("object_points", "object_cad", "object_crops", "object_text", "objects")
_FUSION_PARTS = ("fusion", "objects_head")


def make_light() -> LightCrossover:
    """The network that is shipped, with random weights."""
    session = make_compact_session(VIEW_BACKBONE)
    tokenizer = ViewTokenizer(session)
    return LightCrossover(
        LightShape(
            token_dim=tokenizer.token_dim,
            num_tokens=tokenizer.num_tokens,
            voxel_dim=VOXEL_DIM,
            point_dim=POINT_DIM,
            color_dim=NUM_COLOR_CELLS,
            layout_dim=LAYOUT_DIM,
        )
    )


class CrossoverTraining(nn.Module):
    """The network, and what is learned with it and thrown away: temperatures, and the head of attributes."""

    def __init__(self, model: LightCrossover, num_labels: int, settings: CrossoverSettings) -> None:
        """Freeze what the stage leaves as it is."""
        super().__init__()
        self.model = model
        self.attributes = AttributeHead(num_labels)
        contrast = settings.contrast
        self.scene_scale = Temperature(contrast.temperature, learns=contrast.learns_temperature)
        self.object_scale = Temperature(contrast.temperature, learns=contrast.learns_temperature)
        for name, part in model.named_children():
            part.requires_grad_(_is_trained(name, settings))
        self._settings = settings

    def train(self, mode: bool = True) -> CrossoverTraining:
        """Parts that are frozen are always evaluated: they neither drop anything nor take new statistics."""
        super().train(mode)
        for name, part in self.model.named_children():
            part.train(mode and _is_trained(name, self._settings))
        return self


def load_starts(model: LightCrossover, settings: CrossoverSettings) -> None:
    """Take over the weights that the settings name, the later over the earlier ones.

    Raises:
        ModelError: no such file, damaged, or of a network of another shape.
    """
    for path in settings.data.start:
        _load_start(model, Path(path))


def _load_start(model: LightCrossover, path: Path) -> None:
    """Take over the weights of an earlier stage: a whole network, or the part that `xover train text` gives.

    Raises:
        ModelError: no such file, damaged, or of a network of another shape.
    """
    tensors, _ = read_safetensors(path)
    own = model.state_dict()
    foreign = [name for name, value in tensors.items() if name not in own or own[name].shape != value.shape]
    if foreign or not tensors:
        raise ModelError(
            f"weights {path}: expected parts of a light CrossOver, got {len(foreign)} of {len(tensors)} tensors that"
            f" are none, such as {', '.join(foreign[:3]) or 'nothing'}; name files of earlier stages."
        )
    model.load_state_dict({**own, **{name: value.to(own[name].dtype) for name, value in tensors.items()}})


def _token_statistics(places: PlaceFeatures) -> tuple[Tensor, Tensor]:
    """(C,) mean and standard deviation of the tokens of all reference scans; 0 and 1 where no scan has a view."""
    step = max(1, len(places) // _MAX_STATISTICS)
    tokens = np.concatenate([places.place(i)[0].tokens for i in range(0, len(places), step)])
    values = torch.from_numpy(tokens.astype(np.float32)).flatten(0, 1)
    if not len(values):
        return values.new_zeros(values.shape[1]), values.new_ones(values.shape[1])
    return values.mean(dim=0), values.std(dim=0)


def _is_trained(part: str, settings: CrossoverSettings) -> bool:
    """Whether a stage changes a part of the network."""
    if settings.stage == "instance":
        return part in _OBJECT_PARTS
    if settings.stage == "scene":
        return part in _FUSION_PARTS
    return part not in _OBJECT_PARTS or settings.loss.object_weight > 0


class CrossoverTask:
    """A `TrainingTask`."""

    def __init__(
        self,
        model: LightCrossover,
        places: PlaceFeatures,
        validation: PlaceFeatures | None,
        settings: CrossoverSettings,
    ) -> None:
        """Prepare.

        Args:
            model: with random weights; those of an earlier stage are loaded where the settings name them.
            places: to train on.
            validation: others, to choose the best weights on; None = the newest are the best.
            settings: of everything.

        Raises:
            TrainingError: fewer than two places.
            ModelError: weights to start from that are missing or of another shape.
        """
        if len(places) < 2:
            raise TrainingError(f"CrossOver: expected at least two places to tell apart, got {len(places)}.")
        load_starts(model, settings)
        if settings.stage == "unified" and not model.views.has_statistics:
            model.views.set_statistics(*_token_statistics(places))
        self._attributes = AttributeReader(places)
        self._training = CrossoverTraining(model, self._attributes.num_labels, settings)
        self._places = places
        self._validation = validation
        self._settings = settings
        self._sampler = RoomSampler(places, settings.batches)

    @property
    def network(self) -> nn.Module:
        """Network and temperatures."""
        return self._training

    @property
    def settings(self) -> CrossoverSettings:
        """All settings."""
        return self._settings

    @property
    def score_name(self) -> str:
        """Mean of the top-1 recalls that are measured."""
        return "recall_mean"

    def num_batches(self, epoch: int) -> int:  # noqa: ARG002
        """As many as show every place about once."""
        return len(self._sampler)

    def load_batch(self, epoch: int, number: int) -> RoomBatch:
        """Draw places, and what is shown of them."""
        rng = np.random.default_rng([self._settings.trainer.seed, epoch, number])
        chosen = [self._places.place(int(index)) for index in self._sampler.draw(rng)]
        return make_batch(chosen, self._settings.batches, rng)

    def loss(self, batch: RoomBatch) -> tuple[Tensor, dict[str, float]]:
        """The loss of the stage."""
        if self._settings.stage == "instance":
            return self._instance_loss(batch)
        if self._settings.stage == "scene":
            return self._fusion_loss(batch)
        return self._unified_loss(batch)

    def _instance_loss(self, batch: RoomBatch) -> tuple[Tensor, dict[str, float]]:
        """Objects of a scene in all their modalities (eq. 1, 2), and the same object in the other scan."""
        scale, contrast = self._training.object_scale(), self._settings.contrast
        objects = batch.first.objects
        embedded = self._training.model.embed_objects(objects)
        total = instance_loss(embedded, objects.masks, scale, contrast).total
        scalars = {"objects": float(total.detach())}
        if batch.second is not None:
            again = self._training.model.embed_objects(batch.second.objects)
            terms = _rescan_terms(embedded, again, objects.masks, batch.second.objects.masks, scale)
            total = total + self._settings.loss.rescan * sum(terms)
            scalars["object_rescan"] = float(terms[0].detach())
        return total, scalars

    def _fusion_loss(self, batch: RoomBatch) -> tuple[Tensor, dict[str, float]]:
        """Fused objects of all modalities against those of each single one (eq. 3)."""
        model, objects = self._training.model, batch.first.objects
        with torch.no_grad():
            embedded = model.embed_objects(objects)
        fused = model.fuse_objects(embedded, objects.masks)
        singles = {m: model.fuse_objects(embedded, _only(m, objects.masks)) for m in objects.masks}
        present = {m: mask.any(dim=1) for m, mask in objects.masks.items()}
        found = scene_loss(
            fused, singles, present, scale=self._training.scene_scale(), settings=self._settings.contrast
        )
        return found.total, {"fusion": float(found.total.detach())}

    def _unified_loss(self, batch: RoomBatch) -> tuple[Tensor, dict[str, float]]:
        """Encoders of scenes against F_S and each other (eq. 5), jointly with the objects where asked for (eq. 4)."""
        settings, scale = self._settings, self._training.scene_scale()
        model, objects = self._training.model, batch.first.objects
        first = embed_scene(model, batch.first)
        with torch.set_grad_enabled(settings.loss.object_weight > 0):
            embedded = model.embed_objects(objects)
        fused = model.fuse_objects(embedded, objects.masks)
        has_objects = torch.stack(list(objects.masks.values())).any(dim=2).any(dim=0)
        found = scene_loss(
            fused, first, batch.first.masks, scale=scale, settings=settings.contrast, fused_mask=has_objects
        )
        total = found.total / len(found.terms)
        scalars = {name: float(term.detach()) for name, term in found.terms.items()}
        if batch.second is not None:
            again = embed_scene(model, batch.second, (SceneModality.IMAGE, SceneModality.POINT_CLOUD))
            terms = _rescan_terms(first, again, batch.first.masks, batch.second.masks, scale)
            total = total + settings.loss.rescan * sum(terms) / len(terms)
            scalars["rescan"] = float(terms[0].detach())
        if settings.loss.attributes:
            attributes = self._attributes.read(batch.rooms)
            of_attributes = self._training.attributes.loss(first, batch.first.masks, attributes)
            total = total + settings.loss.attributes * of_attributes
            scalars["attributes"] = float(of_attributes.detach())
        if settings.loss.object_weight:
            of_objects, more = self._instance_loss(batch)
            total = total + settings.loss.object_weight * of_objects
            scalars |= more
        return total, {**scalars, "scale": float(scale.detach())}

    def validate(self) -> dict[str, float]:
        """Top-1 recalls among the validation's scenes, nothing changed."""
        if self._validation is None:
            return {}
        batches = self._plain_batches(self._validation)
        if self._settings.stage == "instance":
            found = measure_objects(self._training.model, batches)
        else:
            found = measure_scenes(self._training.model, batches, embed_scene)
        # scenes of which none has two objects can measure nothing
        return {**found, "recall_mean": sum(found.values()) / max(len(found), 1)}

    def _plain_batches(self, places: PlaceFeatures) -> list[RoomBatch]:
        settings = dataclasses.replace(self._settings.batches, is_changed=False, max_views=10)
        size = settings.num_scenes
        return [
            make_batch(
                [places.place(i) for i in range(start, min(start + size, len(places)))],
                settings,
                np.random.default_rng([self._settings.trainer.seed, start]),
            )
            for start in range(0, len(places), size)
        ]

    def save_weights(self, path: Path) -> None:
        """Write the network alone."""
        path.write_bytes(save_light(self._training.model))


def _rescan_terms(
    first: Embeddings, second: Embeddings, first_masks: Masks, second_masks: Masks, scale: Tensor
) -> list[Tensor]:
    """InfoNCE between two scans of the same places, or of the same objects."""
    return [symmetric_info_nce(first[a], second[b], first_masks[a], second_masks[b], scale) for a, b in _RESCAN_PAIRS]


def embed_scene(
    model: LightCrossover, scene: SceneTensors, only: tuple[SceneModality, ...] | None = None
) -> Embeddings:  # fmt: skip
    """(B, out_dim) of scenes in each modality, or in some."""
    size = scene.cloud.batch_size
    encoders: dict[SceneModality, Callable[[], Tensor]] = {
        SceneModality.IMAGE: lambda: _embed_pictures(model, scene, size),
        SceneModality.POINT_CLOUD: lambda: model.embed_cloud(scene.cloud, scene.cloud_colors, scene.cloud_layouts),
        SceneModality.FLOORPLAN: lambda: model.embed_floorplan(scene.rasters, scene.raster_layouts),
        SceneModality.TEXT: lambda: model.embed_text(scene.words),
    }
    return {modality: embed() for modality, embed in encoders.items() if only is None or modality in only}


def _embed_pictures(model: LightCrossover, scene: SceneTensors, size: int) -> Tensor:
    """Scenes without a view get something that is masked later."""
    described = torch.cat([model.views(scene.tokens), scene.view_colors], dim=1)
    return model.embed_views(described, scene.view_scenes, size)


def _only(modality: SceneModality, masks: Mapping[SceneModality, Tensor]) -> dict[SceneModality, Tensor]:
    """The masks with all other modalities missing."""
    return {m: mask if m is modality else torch.zeros_like(mask) for m, mask in masks.items()}
