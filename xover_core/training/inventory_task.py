# SPDX-License-Identifier: Apache-2.0
"""The scene inventory as a task of the training engine: recognisers of each modality, and the maps that they share.

Every part is taught what it has to say, and no part is changed for what another makes of it: traits are told from
amounts as they are, and embedded as they were told.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xover_core.encoders.cloud_slices import NUM_SLICES, SLICE_PLANES
from xover_core.encoders.view_pixels import PICTURE_PLANES
from xover_core.errors import TrainingError
from xover_core.inference.inventory_checkpoint import save_inventory
from xover_core.networks.plan_recognition import PlanCells, summarize
from xover_core.networks.scene_inventory import InventoryShape, SceneInventory
from xover_core.networks.thing_recognition import ThingHead
from xover_core.training.feature_folder import PlaceFeatures
from xover_core.training.inventory_batches import InventoryBatch, make_inventory_batch
from xover_core.training.inventory_rooms import MadeUpRoom
from xover_core.training.inventory_settings import InventorySettings
from xover_core.training.inventory_vocabulary import CLASSES, LOOKS, Vocabulary, choose_pairs, choose_traits
from xover_core.training.room_features import RoomFeatures

# Most of a room is walls.
_THING_WEIGHT = 3.0
_MIN_TRAIT = 0.003
# Rare things in views: exponent of how much more they weigh, and a share that is as good as none.
_BALANCE, _LEAST_SHARE = 0.35, 2e-5


class InventoryTask:
    """A `TrainingTask`."""

    score_name = "recall_mean"

    def __init__(
        self,
        rooms: Sequence[MadeUpRoom],
        places: PlaceFeatures,
        validation: PlaceFeatures | None,
        settings: InventorySettings,
    ) -> None:
        """Choose what is told apart, and make the network.

        Args:
            rooms: for texts and floorplans.
            places: scans to train on; those without views or without labels are left out.
            validation: others, to choose the best weights on; None = the newest are the best.
            settings: of everything.

        Raises:
            TrainingError: fewer than two scans whose things are known.
        """
        self.settings = settings
        self._rooms = list(rooms)
        self._scans = _labelled(places)
        if len(self._scans) < 2:
            raise TrainingError(
                f"inventory: expected at least two scans with views whose things are known, got {len(self._scans)};"
                " make them again with `xover scenes --rooms`."
            )
        self._validation = _labelled(validation) if validation else []
        self.vocabulary = choose_vocabulary(self._rooms, settings.data.min_trait_share)
        self.network = _make_network(self._scans, self.vocabulary, settings)
        self._class_weights = _class_weights(self._scans)

    def num_batches(self, epoch: int) -> int:  # noqa: ARG002
        """As many as show every scan about once."""
        return max(1, len(self._scans) // self.settings.batches.num_scans)

    def load_batch(self, epoch: int, number: int) -> InventoryBatch:
        """Draw texts, floorplans and scans."""
        rng = np.random.default_rng([self.settings.trainer.seed, epoch, number])
        count = min(self.settings.batches.num_scans, len(self._scans))
        chosen = [self._scans[i] for i in rng.permutation(len(self._scans))[:count]]
        return make_inventory_batch(self._rooms, chosen, self.vocabulary, self.settings.batches, rng)

    def loss(self, batch: InventoryBatch) -> tuple[Tensor, dict[str, float]]:
        """Sum of what each part gets wrong."""
        network = self.network
        amounts, recognition = self._recognition(batch)
        cells = network.floorplan.cells(batch.plans.rasters)
        drawn = network.floorplan_traits(summarize(cells).detach())
        told = {m: traits_of(amounts[m].detach()) for m, traits_of in self._readers().items()}
        terms = {
            "text": _missed(network.text(batch.words), batch.said),
            "drawn_things": _wrong_marks(cells, batch.plans.marks),
            "floorplan_traits": _missed(drawn, batch.drawn),
            **recognition,
            **{f"{m}_traits": _missed(logits, batch.held) for m, logits in told.items()},
            "contrast": self._contrast(batch, told, drawn.detach()),
        }
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def _readers(self) -> dict[str, nn.Module]:
        return {"cloud": self.network.cloud_traits, "view": self.network.view_traits}

    def _recognition(self, batch: InventoryBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(B, P) amounts of clouds and views, and how wrong classes and looks of their parts are."""
        network, count = self.network, len(batch.slices)
        states, voxels = network.cloud.voxels(batch.slices)
        cells = network.views.cells(batch.pixels, batch.patches)
        terms = {
            "voxels": _wrong_parts(network.cloud.head, states, batch.voxel_classes, batch.voxel_looks),
            "cells": self._wrong_cells(cells, batch.cell_classes, batch.cell_looks),
        }
        scans = batch.view_scans.repeat_interleave(cells.shape[1])
        seen = network.views.head.amounts(cells.flatten(0, 1), scans, count)
        num_cells = torch.bincount(scans, minlength=count)[:, None]
        return {"cloud": network.cloud.head.amounts(states, voxels[:, 0], count), "view": seen / num_cells}, terms

    def _wrong_cells(self, states: Tensor, classes: Tensor, looks: Tensor) -> Tensor:
        """How wrong (V, N, ...) states of cells are about the (V, N, 4) classes and looks of some of their pixels."""
        of_classes, of_looks = (logits.log_softmax(dim=2) for logits in self.network.views.head(states))
        weights = self._class_weights.to(states.device)[classes.clamp_min(0)] * (classes >= 0)
        errors = -(of_classes.gather(2, classes.clamp_min(0)) * weights).sum()
        missed = -(of_looks.gather(2, looks.clamp_min(0)) * (looks >= 0)).sum()
        total: Tensor = errors / weights.sum().clamp_min(1) + missed / (looks >= 0).sum().clamp_min(1)
        return total

    def _contrast(self, batch: InventoryBatch, told: dict[str, Tensor], drawn: Tensor) -> Tensor:
        """InfoNCE between texts about scans and what is told of them; floorplans learn from what is true."""
        network = self.network
        said = network.embed_said(network.text(batch.scan_words).detach())
        held = [network.embed_held(logits.detach()) for logits in told.values()]
        labels = torch.arange(len(said), device=said.device)
        scores = [said @ values.T / self.settings.temperature for values in held]
        rooms = network.embed_held(drawn)
        truth = network.embed_held(torch.logit(batch.drawn, _MIN_TRAIT))
        scores_of_rooms = truth @ rooms.T / self.settings.temperature
        own = torch.arange(len(rooms), device=rooms.device)
        terms = [functional.cross_entropy(s, labels) + functional.cross_entropy(s.T, labels) for s in scores]
        return torch.stack([*terms, functional.cross_entropy(scores_of_rooms, own)]).mean()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Top-1 recalls of texts among other scans, nothing changed."""
        if not self._validation:
            return {}
        self.network.eval()
        rng = np.random.default_rng(self.settings.trainer.seed)
        batch = make_inventory_batch(
            self._rooms, self._validation, self.vocabulary, self.settings.batches, rng, is_changed=False
        )
        amounts, _ = self._recognition(batch)
        said = self.network.of_text(batch.scan_words)
        found = {}
        for name, traits_of in self._readers().items():
            scores = self.network.embed_held(traits_of(amounts[name])) @ said.T
            found[f"{name}_text"] = float(((scores >= scores.diagonal()[:, None]).sum(dim=1) == 1).float().mean())
        self.network.train()
        return {**found, self.score_name: sum(found.values()) / len(found)}

    def save_weights(self, path: Path) -> None:
        """Write the network and the names of its traits."""
        path.write_bytes(save_inventory(self.network, self.vocabulary.traits.names))


def _labelled(places: PlaceFeatures) -> list[RoomFeatures]:
    """All scans with views whose things are known."""
    scans = [scan for i in range(len(places)) for scan in places.place(i)]
    return [scan for scan in scans if len(scan.pictures) and scan.traits]


def choose_vocabulary(rooms: Sequence[MadeUpRoom], min_share: float) -> Vocabulary:
    """Traits, and kinds of drawn things, that a share of the rooms has."""
    return Vocabulary(
        traits=choose_traits([room.traits for room in rooms], min_share),
        kinds=choose_traits([frozenset().union(*room.plan.kinds) for room in rooms], min_share),
    )


def _make_network(scans: Sequence[RoomFeatures], vocabulary: Vocabulary, settings: InventorySettings) -> SceneInventory:
    """With random weights, and what is known of the data before any step."""
    pairs = torch.from_numpy(choose_pairs([scan.things for scan in scans], settings.data.min_pair_scans))
    shape = InventoryShape(
        num_classes=len(CLASSES),
        num_looks=len(LOOKS),
        num_pairs=int(pairs.max()) + 1,
        num_traits=len(vocabulary.traits),
        view_planes=PICTURE_PLANES,
        patch_dim=scans[0].pictures.patches.shape[3],
        num_planes=SLICE_PLANES,
        num_slices=NUM_SLICES,
        num_kinds=len(vocabulary.kinds),
    )
    network = SceneInventory(shape)
    mean = torch.from_numpy(vocabulary.traits.presence([scan.traits for scan in scans])).mean(dim=0)
    with torch.no_grad():
        for head in (network.cloud.head, network.views.head):
            head.pair_of.copy_(pairs)
        network.mean.copy_(mean)
        # rare traits weigh more in texts
        network.said.weight.mul_(-mean.clamp_min(_MIN_TRAIT).log())
    return network


def _missed(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy of all traits of a room or text, mean over these."""
    return functional.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / len(logits)


def _wrong_marks(cells: PlanCells, marks: Tensor) -> Tensor:
    """Cross entropy of all kinds in all cells inside of drawings, sum over each drawing and mean over these."""
    drawing, row, column, kind = marks[cells.inside[tuple(marks[:, :3].T)]].T
    numbers = cells.inside.flatten().cumsum(dim=0).view(cells.inside.shape) - 1
    there = cells.logits[numbers[drawing, row, column], kind]
    total: Tensor = functional.softplus(cells.logits).sum() - there.sum()
    return total / len(cells.context)


def _wrong_parts(head: ThingHead, states: Tensor, classes: Tensor, looks: Tensor) -> Tensor:
    """Cross entropy of (N,) classes and looks, as far as they are known; what has a look counts more."""
    found_classes, found_looks = head(states)
    weights = (classes >= 0) * (1 + (_THING_WEIGHT - 1) * (looks >= 0))
    errors = functional.cross_entropy(found_classes, classes.clamp_min(0), reduction="none")
    of_looks = functional.cross_entropy(found_looks, looks.clamp_min(0), reduction="none") * (looks >= 0)
    return (errors * weights).sum() / weights.sum().clamp_min(1) + of_looks.sum() / (looks >= 0).sum().clamp_min(1)


def _class_weights(scans: Sequence[RoomFeatures]) -> Tensor:
    """(classes,) 1 in the mean over pixels of views; rare things weigh more, though less than in proportion."""
    counts = np.zeros(len(CLASSES), np.int64)
    for scan in scans:
        seen = scan.pictures.classes
        counts += np.bincount(seen[seen >= 0], minlength=len(CLASSES))
    shares = counts / max(counts.sum(), 1)
    weights = (shares + _LEAST_SHARE) ** -_BALANCE
    return torch.from_numpy((weights / max((weights * shares).sum(), _LEAST_SHARE)).astype(np.float32))
