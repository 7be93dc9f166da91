# SPDX-License-Identifier: Apache-2.0
"""Views of one place with the object at the centre of every patch, wherever they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.evaluation.protocols.patch_sources import protocol_grid
from xover_core.geometry.camera import scale_pixels
from xover_core.types import RgbdFrame

# The last of the stuff classes: everything that has a shape of its own.
THINGS_NAME = "objects"
# Object of a patch that nobody has labelled.
UNLABELLED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledView:
    """A view with labels.

    Attributes:
        frame: what the camera saw.
        object_ids: (N,) int64 of the patches of `protocol_grid`, `UNLABELLED` where nothing is known.
    """

    frame: RgbdFrame
    object_ids: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledScene:
    """Views of one place to train and to test on, and what its objects are.

    Attributes:
        name: of the place, for reports.
        train: views.
        test: views; the very same tuple in the variant of LoCUS' released code.
        train_name: where the training views come from, for the title.
        test_name: where the test views come from.
        stuff_names: classes of surfaces without a shape of their own, and last `THINGS_NAME`.
        stuff_of: object -> its place in `stuff_names`, for every object in the views.
        notes: lines for people, below the table.
    """

    name: str
    train: tuple[LabelledView, ...]
    test: tuple[LabelledView, ...]
    train_name: str
    test_name: str
    stuff_names: tuple[str, ...]
    stuff_of: Mapping[int, int]
    notes: tuple[str, ...] = ()


def patch_labels(labels: NDArray[np.int32], rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(N,) the values of a label image at the centres of an image's patches.

    Args:
        labels: (H', W') of the same view as `rgb`, whose size may be another.
        rgb: (H, W, 3).
    """
    scale_u, scale_v = labels.shape[1] / rgb.shape[1], labels.shape[0] / rgb.shape[0]
    pixels = np.rint(scale_pixels(protocol_grid(rgb).keypoints_px, scale_u, scale_v)).astype(np.intp)
    u, v = np.clip(pixels[:, 0], 0, labels.shape[1] - 1), np.clip(pixels[:, 1], 0, labels.shape[0] - 1)
    return labels[v, u].astype(np.int64)


def spread_indices(count: int, wanted: int) -> list[int]:
    """At most `wanted` of the numbers 0 ... count - 1, evenly spread, each once."""
    return [int(index) for index in np.unique(np.rint(np.linspace(0, count - 1, wanted)).astype(int))]
