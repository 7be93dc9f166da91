# SPDX-License-Identifier: Apache-2.0
"""The text network of a light CrossOver against all its other encoders, which stay as they are.

All that is not text is embedded once, so that a step costs a batch of texts and nothing else: many more texts are
seen, in larger batches and beside rooms of their own category, than a step with clouds and views could afford.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from xover_core.encoders.text_tokens import batch_tokens
from xover_core.inference.light_checkpoint import save_light
from xover_core.networks.light_crossover import LightCrossover
from xover_core.training.contrastive_loss import Temperature, symmetric_info_nce
from xover_core.training.crossover_settings import CrossoverSettings
from xover_core.training.crossover_task import embed_scene, load_starts
from xover_core.training.feature_folder import PlaceFeatures
from xover_core.training.room_batches import RoomSampler, draw_text, make_batch
from xover_core.training.room_features import RoomFeatures
from xover_core.types import SceneModality

_TRAINED = ("text", "text_head")
_TARGETS = (SceneModality.POINT_CLOUD, SceneModality.FLOORPLAN, SceneModality.IMAGE)
_CHUNK = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBatch:
    """B texts and what their rooms are like.

    Attributes:
        words: (B, W, G) ids.
        targets: (B, 4, D) embeddings of cloud, floorplan, views and objects.
    """

    words: Tensor
    targets: Tensor


class TextAlignment(nn.Module):
    """The network with all but its text frozen, and a temperature."""

    def __init__(self, model: LightCrossover, settings: CrossoverSettings) -> None:
        super().__init__()
        self.model = model
        self.scale = Temperature(settings.contrast.temperature, learns=settings.contrast.learns_temperature)
        for name, part in model.named_children():
            part.requires_grad_(name in _TRAINED)
        model.weights.requires_grad_(False)

    def train(self, mode: bool = True) -> TextAlignment:
        """What is frozen is always evaluated."""
        super().train(mode)
        for name, part in self.model.named_children():
            part.train(mode and name in _TRAINED)
        return self


class TextAlignmentTask:
    """A `TrainingTask` for the stage `text`."""

    score_name = "recall_mean"

    def __init__(
        self,
        model: LightCrossover,
        places: PlaceFeatures,
        validation: PlaceFeatures | None,
        settings: CrossoverSettings,
    ) -> None:
        """Load the weights of the stages before and embed all scans.

        Raises:
            ModelError: weights to start from that are missing or of another shape.
        """
        load_starts(model, settings)
        self.settings = settings
        self.network = TextAlignment(model, settings)
        self._places = places
        self._validation = validation
        self._sampler = RoomSampler(places, settings.batches)
        self._targets = [_embed_places(model, places, number, settings) for number in range(2)]

    def num_batches(self, epoch: int) -> int:  # noqa: ARG002
        """As many as show every place about once."""
        return len(self._sampler)

    def load_batch(self, epoch: int, number: int) -> TextBatch:
        """Draw places, one of the scans of each, and what is said of it."""
        rng = np.random.default_rng([self.settings.trainer.seed, epoch, number])
        chosen = self._sampler.draw(rng)
        turns = rng.integers(0, 2, len(chosen))
        scans = [_scan(self._places, int(index), int(turn)) for index, turn in zip(chosen, turns, strict=True)]
        texts = [draw_text(scan, self.settings.batches, rng) or "nothing" for scan in scans]
        targets = [self._targets[turn][index] for index, turn in zip(chosen, turns, strict=True)]
        return TextBatch(words=torch.from_numpy(batch_tokens(texts)), targets=torch.stack(targets))

    def loss(self, batch: TextBatch) -> tuple[Tensor, dict[str, float]]:
        """Mean of InfoNCE between texts and each kind of target; scans that lack one are left out of it."""
        device = next(self.network.parameters()).device
        texts, targets = self.network.model.embed_text(batch.words.to(device)), batch.targets.to(device)
        everyone = torch.ones(len(texts), dtype=torch.bool, device=device)
        scale = self.network.scale()
        names = [*(m.value for m in _TARGETS), "fused"]
        terms = {
            name: symmetric_info_nce(texts, targets[:, row], everyone, targets[:, row].any(dim=1), scale)
            for row, name in enumerate(names)
        }
        total = torch.stack(list(terms.values())).mean()
        return total, {**{name: float(term.detach()) for name, term in terms.items()}, "scale": float(scale.detach())}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Top-1 and top-10 recalls of other rooms' texts."""
        if self._validation is None:
            return {}
        plain = dataclasses.replace(self.settings.batches, is_changed=False)
        rng = np.random.default_rng(self.settings.trainer.seed)
        texts = [
            draw_text(_scan(self._validation, i, 0), plain, rng) or "nothing" for i in range(len(self._validation))
        ]
        embedded = self.network.model.embed_text(torch.from_numpy(batch_tokens(texts)))
        targets = _embed_places(self.network.model, self._validation, 0, self.settings)
        found = {}
        for row, modality in enumerate(_TARGETS):
            similarities = targets[:, row] @ embedded.T
            ranks = (similarities >= similarities.diagonal()[:, None]).sum(dim=1)
            for count in (1, 10):
                found[f"{modality.value}_text_top{count}"] = float((ranks <= count).float().mean())
        return {**found, self.score_name: sum(found.values()) / len(found)}

    def save_weights(self, path: Path) -> None:
        """Write the whole network."""
        path.write_bytes(save_light(self.network.model))


def _scan(places: PlaceFeatures, index: int, turn: int) -> RoomFeatures:
    """The reference scan of a place, or its rescan where there is one."""
    scans = places.place(index)
    return scans[min(turn, len(scans) - 1)]


@torch.no_grad()
def _embed_places(model: LightCrossover, places: PlaceFeatures, turn: int, settings: CrossoverSettings) -> Tensor:
    """(P, 4, D) of the reference scans (turn 0) or the rescans (1), nothing changed; zero rows of what is missing."""
    plain = dataclasses.replace(settings.batches, is_changed=False)
    was_training = model.training
    model.eval()
    rows = []
    for start in range(0, len(places), _CHUNK):
        scans = [(_scan(places, i, turn),) for i in range(start, min(start + _CHUNK, len(places)))]
        scene = make_batch(scans, plain, np.random.default_rng([settings.trainer.seed, start])).first
        embedded = embed_scene(model, scene, _TARGETS)
        parts = [embedded[m] * scene.masks[m][:, None] for m in _TARGETS]
        objects = scene.objects
        parts.append(model.fuse_objects(model.embed_objects(objects), objects.masks))
        rows.append(torch.stack(parts, dim=1))
    model.train(was_training)
    return torch.cat(rows)
