# SPDX-License-Identifier: Apache-2.0
"""The text network before it meets images: from phrases about single objects it learns what words stand for.

No room is rendered and texts are short, so that words are learnt in minutes; what it learns is a start for the training
with all modalities, in which a text names many things at once and words are sorted out slowly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from xover_core.datasets.procedural import ObjectClass, make_apartment
from xover_core.datasets.procedural.room_facts import RoomFacts, read_room_facts
from xover_core.datasets.procedural.room_sentences import write_object_phrase
from xover_core.datasets.procedural.room_wording import COLORS
from xover_core.encoders.text_tokens import batch_tokens
from xover_core.networks.light_text_network import LightTextNetwork
from xover_core.training.text_disturbance import disturb_text
from xover_core.training.text_settings import TextPretrainingSettings

TEXT_PREFIX = "text."
"""Of the text network's names in the weights that are saved, as in those of `LightCrossover`."""

_COLOR_WEIGHT = 0.5
_NUM_ROOMS = 8
_VALIDATION_SEED = 900_000
_VALIDATION_SIZE = 500
# Not said, or the object has none.
_NO_COLOR = -1
_COLOR_NUMBERS = {name: i for i, name in enumerate(COLORS)}

_ByClass = Mapping[ObjectClass, Sequence[tuple[RoomFacts, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseBatch:
    """B phrases and what they point at.

    Attributes:
        words: (B, W, G) ids.
        classes: (B,) int64.
        colors: (B,) int64 numbers of base colours, -1 for objects without one; it need not be said.
    """

    words: Tensor
    classes: Tensor
    colors: Tensor


class TextPretrainingNetwork(nn.Module):
    """The text network with two heads that are thrown away after."""

    def __init__(self, text: LightTextNetwork) -> None:
        """Add random heads to a text network."""
        super().__init__()
        self.text = text
        self.classes = nn.Linear(text.out.out_features, len(ObjectClass))
        self.colors = nn.Linear(text.out.out_features, len(COLORS))

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """(B, W, G) ids to logits of classes and of colours."""
        texts = self.text(words)
        return self.classes(texts), self.colors(texts)


def make_text_network() -> TextPretrainingNetwork:
    """That of the light CrossOver, with random weights."""
    return TextPretrainingNetwork(LightTextNetwork())


class TextPretrainingTask:
    """A `TrainingTask` whose batches are phrases about objects, and what these are."""

    score_name = "class_accuracy"

    def __init__(self, network: TextPretrainingNetwork, settings: TextPretrainingSettings) -> None:
        """Draw all apartments; nothing is rendered."""
        self.network = network
        self.settings = settings
        self._objects = _draw_objects(range(settings.first_seed, settings.first_seed + settings.num_apartments))
        others = _draw_objects(range(_VALIDATION_SEED, _VALIDATION_SEED + settings.num_validation))
        # One with words that are never trained on: how well they are understood shows in the log.
        self._validation = {
            f"class_accuracy{suffix}": make_phrases(
                others, np.random.default_rng(1), _VALIDATION_SIZE, typos=settings.typos, held_out=held_out
            )
            for suffix, held_out in (("", 0.0), ("_new_words", 1.0))
        }

    def num_batches(self, epoch: int) -> int:  # noqa: ARG002
        """Phrases never end; this many are called an epoch."""
        return 100

    def load_batch(self, epoch: int, number: int) -> PhraseBatch:
        """Phrases about objects drawn at random."""
        rng = np.random.default_rng([self.settings.trainer.seed, epoch, number])
        return make_phrases(self._objects, rng, self.settings.batch_size, typos=self.settings.typos)

    def loss(self, batch: PhraseBatch) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy of the class, and of the colour where there is one."""
        device = next(self.network.parameters()).device
        classes, colors = self.network(batch.words.to(device))
        named = nn.functional.cross_entropy(classes, batch.classes.to(device))
        has_color = (batch.colors != _NO_COLOR).to(device)
        # a sum, since a batch may have no colour at all
        painted = nn.functional.cross_entropy(
            colors, batch.colors.to(device), ignore_index=_NO_COLOR, reduction="sum"
        ) / has_color.sum().clamp(min=1)
        return named + _COLOR_WEIGHT * painted, {"classes": named.item(), "colors": painted.item()}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Share of phrases about other apartments whose class is right, with known words and with new ones."""
        self.network.eval()
        device = next(self.network.parameters()).device
        scores = {}
        for name, batch in self._validation.items():
            found = self.network(batch.words.to(device))[0].argmax(dim=1).cpu()
            scores[name] = float((found == batch.classes).float().mean())
        self.network.train()
        return scores

    def save_weights(self, path: Path) -> None:
        """Write the text network alone, its names with `TEXT_PREFIX`."""
        state = self.network.text.state_dict()
        save_file({f"{TEXT_PREFIX}{name}": value.contiguous() for name, value in state.items()}, path)


def make_phrases(
    objects: _ByClass, rng: np.random.Generator, count: int, *, typos: float, held_out: float = 0.0
) -> PhraseBatch:
    """Phrases about objects, all classes equally often; `typos` and `held_out` are shares of phrases and of words."""
    kinds = sorted(objects)
    texts, classes, colors = [], [], []
    for _ in range(count):
        kind = kinds[int(rng.integers(len(kinds)))]
        facts, object_id = objects[kind][int(rng.integers(len(objects[kind])))]
        text = write_object_phrase(facts, object_id, rng, held_out=held_out)
        texts.append(disturb_text(text, rng) if rng.random() < typos else text)
        classes.append(int(kind))
        colors.append(_COLOR_NUMBERS.get(facts.object(object_id).color, _NO_COLOR))
    return PhraseBatch(
        words=torch.from_numpy(batch_tokens(texts)), classes=torch.tensor(classes), colors=torch.tensor(colors)
    )


def _draw_objects(seeds: range) -> _ByClass:
    """All furniture of some apartments by class, as facts of its room and its id."""
    found: dict[ObjectClass, list[tuple[RoomFacts, int]]] = defaultdict(list)
    for seed in seeds:
        apartment = make_apartment(seed, num_rooms=_NUM_ROOMS)
        for room in apartment.rooms:
            facts = read_room_facts(apartment, room.room_id)
            for subject in facts.objects:
                found[subject.object_class].append((facts, subject.object_id))
    return found
