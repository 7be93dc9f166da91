# SPDX-License-Identifier: Apache-2.0
"""What is known of a room without any network: which things are in it, in which colours, and how large it is.

To predict it from the embedding of each modality, with one linear map for all of them, is an easier task than to tell
rooms apart, and pulls the modalities into one space long before contrast alone does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xover_core.encoders.scene_encoder import EMBEDDING_DIM
from xover_core.training.feature_folder import PlaceFeatures
from xover_core.training.room_features import RoomFeatures
from xover_core.types import Float32Array, SceneModality

# Things that fewer places have are no attribute.
_MIN_PLACES = 10
_FLOOR_TOP_M, _WALL_BOTTOM_M = 0.1, 1.2
_LAYOUT_DIM = 3
_SURFACE_DIM = 6
# A drawing shows neither colours nor what hangs on walls.
_COLORLESS = (SceneModality.FLOORPLAN,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomAttributes:
    """Of B rooms; L labels.

    Attributes:
        presence: (B, L) 1 where the room has such a thing.
        colors: (B, L, 3) mean colour of these things around the middle of the range, 0 where there is none.
        has_color: (B, L) bool.
        surfaces: (B, 6) mean colour of what lies on the floor, and of what is at the height of the eyes.
        layout: (B, 3) longer and shorter side of the room and its height, in units of 4 m.
    """

    presence: Tensor
    colors: Tensor
    has_color: Tensor
    surfaces: Tensor
    layout: Tensor


class AttributeReader:
    """Reads attributes of rooms, with the labels of a training set."""

    def __init__(self, places: PlaceFeatures) -> None:
        """Count labels; those of few places are left out."""
        counts = Counter(label for i in range(len(places)) for label in set(places.place(i)[0].labels))
        self._rows = {label: row for row, label in enumerate(sorted(x for x, n in counts.items() if n >= _MIN_PLACES))}

    @property
    def num_labels(self) -> int:
        """L."""
        return len(self._rows)

    def read(self, rooms: Sequence[RoomFeatures]) -> RoomAttributes:
        """Attributes of rooms, in their order."""
        presence = np.zeros((len(rooms), self.num_labels), np.float32)
        colors = np.zeros((len(rooms), self.num_labels, 3), np.float32)
        counted = np.zeros((len(rooms), self.num_labels), np.int64)
        for number, room in enumerate(rooms):
            for index, label in enumerate(room.labels):
                row = self._rows.get(label)
                if row is None:
                    continue
                presence[number, row] = 1
                if room.has_points[index]:
                    colors[number, row] += room.object_points[index, :, 3:].mean(axis=0)
                    counted[number, row] += 1
        colors /= np.maximum(counted, 1)[..., None]
        return RoomAttributes(
            presence=torch.from_numpy(presence),
            colors=torch.from_numpy(colors),
            has_color=torch.from_numpy(counted > 0),
            surfaces=torch.from_numpy(np.stack([_surfaces_of(room) for room in rooms])),
            layout=torch.from_numpy(np.stack([_layout_of(room) for room in rooms])),
        )


class AttributeHead(nn.Module):
    """Embedding -> attributes, the same map for all modalities; thrown away after training."""

    def __init__(self, num_labels: int) -> None:
        """Make it with random weights."""
        super().__init__()
        self.num_labels = num_labels
        self.linear = nn.Linear(EMBEDDING_DIM, 4 * num_labels + _SURFACE_DIM + _LAYOUT_DIM)

    def loss(self, embeddings: Mapping[SceneModality, Tensor], masks: Mapping[SceneModality, Tensor],
             attributes: RoomAttributes) -> Tensor:  # fmt: skip
        """Mean over modalities of cross entropy of what is there, and errors of colours and sides.

        Args:
            embeddings: (B, D) by modality, of norm 1.
            masks: (B,) bool by modality.
            attributes: of the B rooms.
        """
        terms = [
            self._loss_of(values[masks[m]], _rows_of(attributes, masks[m]), has_colors=m not in _COLORLESS)
            for m, values in embeddings.items()
            if bool(masks[m].any())
        ]
        return torch.stack(terms).mean() if terms else self.linear.weight.sum() * 0

    def _loss_of(self, embeddings: Tensor, attributes: RoomAttributes, *, has_colors: bool) -> Tensor:
        # of norm 1, each number is small
        found = self.linear(embeddings * EMBEDDING_DIM**0.5)
        sizes = [self.num_labels, 3 * self.num_labels, _SURFACE_DIM, _LAYOUT_DIM]
        presence, colors, surfaces, layout = found.split(sizes, dim=1)
        total: Tensor = (layout - attributes.layout).abs().mean()
        if self.num_labels:  # the mean of nothing is NaN
            total = total + functional.binary_cross_entropy_with_logits(presence, attributes.presence)
        if has_colors:
            errors = (colors.unflatten(1, (self.num_labels, 3)) - attributes.colors).abs().mean(dim=2)
            known = attributes.has_color.float()
            total = total + (errors * known).sum() / known.sum().clamp_min(1)
            total = total + (surfaces - attributes.surfaces).abs().mean()
        return total


def _rows_of(attributes: RoomAttributes, mask: Tensor) -> RoomAttributes:
    """Those of some rooms."""
    return RoomAttributes(
        presence=attributes.presence[mask],
        colors=attributes.colors[mask],
        has_color=attributes.has_color[mask],
        surfaces=attributes.surfaces[mask],
        layout=attributes.layout[mask],
    )


def _surfaces_of(room: RoomFeatures) -> Float32Array:
    """(6,)."""
    heights = room.points[:, 2] - np.quantile(room.points[:, 2], 0.01)
    colors = room.colors / np.float32(255) - np.float32(0.5)
    parts = [heights < _FLOOR_TOP_M, heights > _WALL_BOTTOM_M]
    means = [colors[part].mean(axis=0) if part.any() else np.zeros(3, np.float32) for part in parts]
    return np.asarray(np.concatenate(means), np.float32)


def _layout_of(room: RoomFeatures) -> Float32Array:
    """(3,)."""
    low, high = np.quantile(room.points, [0.01, 0.99], axis=0)
    width, depth, height = high - low
    return np.array([max(width, depth) / 4, min(width, depth) / 4, height / 4], np.float32)
