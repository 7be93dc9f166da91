# SPDX-License-Identifier: Apache-2.0
"""The text network before it meets images: it learns from texts alone which rooms they are true of.

No room is rendered, so that it sees more words and rooms in minutes than the training with all modalities does in
hours. What it learns is a start for that training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from xover_core.config import Settings, setting
from xover_core.datasets.procedural import make_apartment
from xover_core.datasets.procedural.room_facts import RoomFacts, read_room_facts
from xover_core.datasets.procedural.room_sentences import write_room_text
from xover_core.encoders.text_tokens import batch_tokens
from xover_core.networks.light_text_network import LightTextNetwork
from xover_core.training.room_attributes import NUM_ATTRIBUTES, NUM_CLASSES, room_attributes
from xover_core.training.text_disturbance import disturb_text
from xover_core.training.training_settings import TrainerSettings

TEXT_PREFIX = "text."
"""Of the text network's names in the weights that are saved, as in those of `LightCrossover`."""

# Brings the mean over many classes, of which a text names few, to the size of the other loss.
_CLASS_WEIGHT = 20.0
_NUM_ROOMS = 8
_VALIDATION_SEED = 900_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPretrainingSettings(Settings):
    """What the text network learns from before it meets images."""

    num_apartments: int = setting(250, "apartments of eight rooms and a corridor to write about", minimum=1)
    first_seed: int = setting(500_000, "seed of the first of them", minimum=0)
    num_validation: int = setting(20, "other apartments, to choose the best weights", minimum=1)
    batch_size: int = setting(96, "texts of a batch, each about another room", minimum=2)
    typos: float = setting(0.6, "texts with typing errors and stray words, share", minimum=0.0, maximum=1.0)
    trainer: TrainerSettings = field(
        default_factory=lambda: TrainerSettings(max_steps=1500, weight_decay=0.01, warmup_steps=30, validate_every=250)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBatch:
    """B texts and the rooms that they are about.

    Attributes:
        words: (B, W, G) ids.
        rooms: (B, `NUM_ATTRIBUTES`).
        classes: (B, `NUM_CLASSES`) 1 where a text names an object of the class.
    """

    words: Tensor
    rooms: Tensor
    classes: Tensor


class TextPretrainingNetwork(nn.Module):
    """The text network, with what is thrown away after: an encoder of attributes, and two heads."""

    def __init__(self, text: LightTextNetwork) -> None:
        """Add random heads to a text network."""
        super().__init__()
        dim = text.out.out_features
        self.text = text
        self.rooms = nn.Sequential(nn.Linear(NUM_ATTRIBUTES, dim), nn.GELU(), nn.Linear(dim, dim))
        self.match = nn.Linear(dim, dim)
        self.classes = nn.Linear(dim, NUM_CLASSES)
        self.log_scale = nn.Parameter(torch.tensor(2.3))

    def forward(self, batch: TextBatch) -> tuple[Tensor, Tensor]:
        """(B, B) similarities of texts and rooms, times a scale, and (B, `NUM_CLASSES`) logits of classes named."""
        texts = self.text(batch.words)
        matched = nn.functional.normalize(self.match(texts), dim=1)
        rooms = nn.functional.normalize(self.rooms(batch.rooms), dim=1)
        return matched @ rooms.T * self.log_scale.clamp(max=4.6).exp(), self.classes(texts)


class TextPretrainingTask:
    """A `TrainingTask` whose batches are texts and what is in their rooms."""

    score_name = "top10"

    def __init__(self, network: TextPretrainingNetwork, settings: TextPretrainingSettings) -> None:
        """Draw all rooms; nothing is rendered."""
        self.network = network
        self.settings = settings
        first = settings.first_seed
        self._rooms = _draw_rooms(range(first, first + settings.num_apartments))
        validation = _draw_rooms(range(_VALIDATION_SEED, _VALIDATION_SEED + settings.num_validation))
        # Words that are never trained on are among those that count.
        self._validation = {
            held_out: make_text_batch(validation, np.random.default_rng(1), typos=settings.typos, held_out=held_out)
            for held_out in (0.0, 0.3)
        }

    def num_batches(self, epoch: int) -> int:  # noqa: ARG002
        """Every room about once."""
        return max(1, len(self._rooms) // self.settings.batch_size)

    def load_batch(self, epoch: int, number: int) -> TextBatch:
        """Texts about rooms drawn at random."""
        rng = np.random.default_rng([self.settings.trainer.seed, epoch, number])
        chosen = rng.permutation(len(self._rooms))[: self.settings.batch_size]
        return make_text_batch([self._rooms[i] for i in chosen], rng, typos=self.settings.typos)

    def loss(self, batch: TextBatch) -> tuple[Tensor, dict[str, float]]:
        """Each text finds its room among those of the batch, each room its text, and the classes are named."""
        device = self.network.log_scale.device
        batch = TextBatch(words=batch.words.to(device), rooms=batch.rooms.to(device), classes=batch.classes.to(device))
        similarities, logits = self.network(batch)
        own = torch.arange(len(similarities), device=device)
        match = (nn.functional.cross_entropy(similarities, own) + nn.functional.cross_entropy(similarities.T, own)) / 2
        named = nn.functional.binary_cross_entropy_with_logits(logits, batch.classes)
        return match + _CLASS_WEIGHT * named, {"match": match.item(), "classes": named.item()}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Share of texts whose room is among the first ten; also with three words in ten never seen in training."""
        self.network.eval()
        device = self.network.log_scale.device
        scores = {}
        for held_out, batch in self._validation.items():
            moved = TextBatch(words=batch.words.to(device), rooms=batch.rooms.to(device), classes=batch.classes)
            similarities = self.network(moved)[0]
            rank = (similarities > similarities.diagonal()[:, None]).sum(dim=1)
            scores["top10_unknown_words" if held_out else "top10"] = float((rank < 10).float().mean())
        self.network.train()
        return scores

    def save_weights(self, path: Path) -> None:
        """Write the text network alone, its names with `TEXT_PREFIX`."""
        state = self.network.text.state_dict()
        save_file({f"{TEXT_PREFIX}{name}": value.contiguous() for name, value in state.items()}, path)


def make_text_batch(
    rooms: Sequence[RoomFacts], rng: np.random.Generator, *, typos: float, held_out: float = 0.0
) -> TextBatch:
    """One text about each of some rooms; `typos` and `held_out` are shares of texts and of words."""
    written = [write_room_text(room, rng, held_out=held_out) for room in rooms]
    texts = [disturb_text(w.text, rng) if rng.random() < typos else w.text for w in written]
    classes = np.zeros((len(rooms), NUM_CLASSES), np.float32)
    for row, room, said in zip(classes, rooms, written, strict=True):
        row[[o.object_class for o in room.objects if o.object_id in said.object_ids]] = 1
    return TextBatch(
        words=torch.from_numpy(batch_tokens(texts)),
        rooms=torch.from_numpy(np.stack([room_attributes(room) for room in rooms])),
        classes=torch.from_numpy(classes),
    )


def _draw_rooms(seeds: range) -> list[RoomFacts]:
    apartments = (make_apartment(seed, num_rooms=_NUM_ROOMS) for seed in seeds)
    return [read_room_facts(apartment, room.room_id) for apartment in apartments for room in apartment.rooms]
